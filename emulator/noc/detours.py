"""Ways around dead links and routers: up*/down* routing, free of deadlock with any buffers.

Routers that are still joined are ranked by their distance from a root, equals by their number. A
link leads *up* if it ends at a lower rank, else *down*. Every way goes up to the last-ranked router
from which its target can be reached downwards, then down; so no packet ever takes a link up after
one down. Waiting for a slot therefore follows one order of all links (up links by falling, then
down links by rising rank of their ends), no buffers can wait for each other in a ring, and one slot
in each is enough (M. D. Schroeder et al., "Autonet: a high-speed, self-configuring local area
network using point-to-point links", IEEE J. Sel. Areas Commun. 9(8), 1991; the condition:
W. J. Dally and C. L. Seitz, IEEE Trans. Computers C-36(5), 1987).

On a whole mesh with its root in a corner this is the negative-first turn model (C. J. Glass and
L. M. Ni, "The turn model for adaptive routing", ISCA 1992), whose ways are shortest; so ways are
longer only where faults force them to be, or the lie of the root.

Two more properties follow from the meeting point being one router, the last in rank of those that
qualify, and from taking, of equally short ways up to it and down from it, the first in an order of
each router's links. The next link depends on router and target alone, so that a table holds all
ways. And ways from one source never meet again once they have parted, so that a packet that forks
passes each router once, as tables of keys need it. For let two ways cross at router w. If both are
going down there, the meeting point of the way to w is that of both; if one is still going up, w
itself would have been a later meeting point for the other; so they came to w the same way.
"""

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from emulator.noc.topology import HERE, NOWHERE, Noc

Array = NDArray[Any]

FAR = 1 << 13
"""Beyond any distance; twice of it is still a number of 16 bits."""


class Turns(NamedTuple):
    """Distances from router to router, int16 [n_routers, n_routers], `FAR` where there is no way.

    ``down`` and ``up`` over links of that direction alone; ``meeting`` is the rank of the router
    where the way turns. ``rank`` int64 [n_routers], -1 of routers that are cut off; ``order`` lists
    the others by rank.
    """

    down: Array
    up: Array
    meeting: Array
    rank: Array
    order: Array


def around(
    noc: Noc, dead: Array, homes: Array, roots: Sequence[int], axis: Array | None = None
) -> Noc:
    """Take dead links out of a network and lead its packets around them.

    Parameters
    ----------
    noc : Noc
    dead : bool [n_links]
    homes : int array
        Routers that must be joined: those with cores in use.
    roots : sequence of int
        Routers to rank from; the one with the fewest hops between homes is taken, the first of
        equals. Those that are cut off do not count; if all are, the first home is taken.
    axis : int [n_links], optional
        Which of equally short ways is taken: up over links of higher numbers first, down over lower
        ones. On a grid with 1 for links along its longer side, packets cross that side in the row
        of their source if it is up and of their target if it is down, which spreads them.

    Returns
    -------
    Noc
        With one class of buffers. Where no way leads, `step` is `NOWHERE`.

    Raises
    ------
    ValueError
        If two homes are not joined by links that work in both directions.
    """
    homes = np.unique(homes)
    values = {
        field.name: getattr(noc, field.name)[~dead]
        for field in fields(noc)
        if field.name.startswith("link_") and field.name != "link_name"
    }
    names = tuple(name for name, gone in zip(noc.link_name, dead, strict=True) if not gone)
    start, end = values["link_from"], values["link_to"]
    axis = np.zeros(start.size, np.int64) if axis is None else axis[~dead]
    joined = _levels(start, end, noc.n_routers, int(homes[0])) >= 0
    lost = homes[~joined[homes]]
    if lost.size:
        raise ValueError(
            f"{noc.topology}: dead links part router {lost[0]} from router {homes[0]}; leave one "
            "of them without cores in use"
        )
    able = [root for root in dict.fromkeys(roots) if joined[root]] or [int(homes[0])]
    best = min((_turns(start, end, noc.n_routers, root) for root in able), key=_hops_of(homes))
    return replace(noc, **values, link_name=names, n_classes=1, step=_steps(start, end, axis, best))


def _hops_of(homes: Array) -> Any:
    def hops(turns: Turns) -> int:
        meeting = turns.order[turns.meeting[np.ix_(homes, homes)]]
        return int(
            turns.up[homes[:, None], meeting].sum(dtype=np.int64)
            + turns.down[meeting, homes].sum(dtype=np.int64)
        )

    return hops


def _levels(start: Array, end: Array, n: int, root: int) -> Array:
    """Links from a root over those that work in both directions, -1 where cut off; int64 [n]."""
    both = np.isin(start * n + end, end * n + start)
    start, end = start[both], end[both]
    level = np.full(n, -1)
    level[root] = 0
    edge = np.array([root])
    while edge.size:
        reached = end[np.isin(start, edge)]
        reached = np.unique(reached[level[reached] < 0])
        level[reached] = level[edge[0]] + 1
        edge = reached
    return level


def _turns(start: Array, end: Array, n: int, root: int) -> Turns:
    level = _levels(start, end, n, root)
    order = np.lexsort((np.arange(n), level))
    order = order[level[order] >= 0]
    rank = np.full(n, -1)
    rank[order] = np.arange(order.size)
    first = np.searchsorted(start, np.arange(n + 1))
    down, up = (np.full((n, n), FAR, np.int16) for _ in range(2))
    meeting = np.full((n, n), -1, np.int16)
    for at in order[::-1]:
        down[at, at] = 0
        for to in end[first[at] : first[at + 1]]:
            if rank[to] > rank[at]:
                np.minimum(down[at], down[to] + 1, out=down[at])
    for at in order:
        up[at, at] = 0
        for to in end[first[at] : first[at + 1]]:
            if 0 <= rank[to] < rank[at]:
                np.minimum(up[at], up[to] + 1, out=up[at])
                np.maximum(meeting[at], meeting[to], out=meeting[at])
        meeting[at, down[at] < FAR] = rank[at]
    return Turns(down, up, meeting, rank, order)


def _steps(start: Array, end: Array, axis: Array, turns: Turns) -> Array:
    """Next link towards each router, as `Noc.step` counts; int16 [n_routers, n_routers]."""
    down, up, meeting, rank, order = turns
    n = rank.size
    step = np.full((n, n), NOWHERE, np.int16)
    first = np.searchsorted(start, np.arange(n + 1))
    for at in order:
        turn = order[meeting[at]]
        sinks = down[at] < FAR
        rises = (meeting[at] >= 0) & ~sinks
        # What is written last is taken.
        places = np.argsort(axis[first[at] : first[at + 1]], kind="stable").tolist()
        for place in places:
            to = end[first[at] + place]
            if 0 <= rank[to] < rank[at]:
                step[at, rises & (up[to][turn] + 1 == up[at][turn])] = place
        for place in reversed(places):
            to = end[first[at] + place]
            if rank[to] > rank[at]:
                step[at, sinks & (down[to] + 1 == down[at])] = place
        step[at, at] = HERE
    return step
