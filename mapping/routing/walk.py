"""Walk through routes: let every neuron spike, follow its packets, and see where they end.

The walk knows nothing of how routes were made. It compares with what the network wants
(`mapping.routing.wanted`), which comes from projections and the mapping, not from the program.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from emulator.noc.topology import HERE
from emulator.noc.ways import next_link
from mapping.mapping import Mapping
from mapping.routing.axons import Axons
from mapping.routing.entries import first_match
from mapping.routing.tables import Tables, router_name
from mapping.routing.wanted import Wanted, wanted_of

Array = NDArray[Any]

PIECE = 1 << 25
"""Packets times links that are followed together; bounds the memory of a walk."""
TOLD = 20
"""Problems that are told one by one."""


class Walk(NamedTuple):
    """What a walk has seen.

    Attributes
    ----------
    n_packets, n_delivered, n_hops : int
        Packets of neurons, copies that came to cores, and links that they took.
    n_problems : int
    problems : tuple of str
        The first of them: neuron, router, and the core that is missing or was reached for nothing.
    """

    n_packets: int
    n_delivered: int
    n_hops: int
    n_problems: int
    problems: tuple[str, ...]


class _Seen(NamedTuple):
    """Events of a walk; int64 [n] each.

    ``packet``, ``router``, ``what``: a core of the network that was reached, or a code below 0.
    """

    packet: Array
    router: Array
    what: Array


LOST, ROUND = -1, -2


def walk(routes: Tables | Axons, mapping: Mapping) -> Walk:
    """Follow a spike of every neuron.

    Parameters
    ----------
    routes : Tables or Axons
    mapping : Mapping
        What the routes were made for.

    Returns
    -------
    Walk
        Without problems if every packet reaches each core with a target of its neuron once in each
        weight format, no other core, and no router twice by the same link.
    """
    wanted = wanted_of(mapping)
    follow = _follow_keys if isinstance(routes, Tables) else _follow_axons
    neuron, seen, n_hops, broken = follow(routes, wanted)  # type: ignore[arg-type]
    reached = np.flatnonzero(seen.what >= 0)
    chip_core = np.full(routes.noc.n_cores, -1)
    chip_core[routes.there] = routes.core
    problems = [
        *broken,
        *_astray(routes, wanted, neuron, seen),
        *_twice(routes, wanted, neuron, seen, reached),
        *_wrong_cores(routes, wanted, neuron, seen, reached, chip_core),
    ]
    return Walk(neuron.size, reached.size, n_hops, len(problems), tuple(problems[:TOLD]))


def check_routes(routes: Tables | Axons, mapping: Mapping) -> Walk:
    """Walk, and refuse routes that lead anywhere else than the network wants.

    Raises
    ------
    ValueError
        With the first problems.
    """
    done = walk(routes, mapping)
    if done.problems:
        more = done.n_problems - len(done.problems)
        lines = [*done.problems, *([f"and {more:,} more"] if more else [])]
        raise ValueError("routes lead astray:\n  - " + "\n  - ".join(lines))
    return done


def _follow_keys(tables: Tables, wanted: Wanted) -> tuple[Array, _Seen, int, list[str]]:
    mine = np.flatnonzero(tables.packet_source < wanted.sender.size)
    neuron, key = tables.packet_source[mine], tables.packet_key[mine]
    core_there = np.full(int(max(tables.core.max(initial=0), wanted.sender.max(initial=0))) + 1, -1)
    core_there[tables.core] = tables.there
    start = tables.noc.core_router[core_there[wanted.sender[neuron]]]
    size = max(PIECE // (tables.noc.n_links + 1), 1)
    pieces = [
        _follow(tables, key[first : first + size], start[first : first + size], first)
        for first in range(0, key.size, size)
    ]
    seen = _Seen(*(_joined([piece[0][k] for piece in pieces]) for k in range(3)))
    known, times = np.unique(key, return_counts=True)
    twice = np.flatnonzero(np.isin(key, known[times > 1]))
    broken = [
        f"neuron {wanted.name(int(neuron[k]))}: its key {key[k]:#x} is that of another packet, too"
        for k in twice
    ]
    return neuron, seen, sum(piece[1] for piece in pieces), broken


def _joined(parts: list[Array]) -> Array:
    return np.concatenate([np.empty(0, np.int64), *parts])


def _follow(tables: Tables, key: Array, start: Array, first: int) -> tuple[_Seen, int]:
    """Let packets hop from router to router, all of them at once."""
    noc = tables.noc
    packet, at, came = np.arange(key.size), start, np.full(key.size, -1)
    passed = np.zeros((key.size, noc.n_links), np.bool_)
    seen: list[tuple[Array, Array, Array]] = []
    n_hops = 0
    while packet.size:
        way = np.full(packet.size, -1)
        order = np.argsort(at, kind="stable")
        cuts = np.flatnonzero(np.append(True, np.diff(at[order]) != 0))
        for mine in np.split(order, cuts[1:]):
            entries = tables.router[at[mine[0]]]
            place = first_match(entries, key[packet[mine]])
            way[mine] = np.append(entries.way, -1)[place]
        straight = np.append(tables.straight, -1)[came]
        size = np.where(way < 0, 1, np.diff(np.append(tables.way_first, 0))[way])
        begin = tables.way_first[np.maximum(way, 0)]
        copy = np.repeat(np.arange(packet.size), size)
        within = np.arange(copy.size) - np.repeat(np.cumsum(size) - size, size)
        listed = np.append(tables.way_port, -1)
        port = np.where(
            way[copy] < 0, straight[copy], listed[np.minimum(begin[copy] + within, listed.size - 1)]
        )
        packet, at = packet[copy], at[copy]
        leaves = (port >= 0) & (port < noc.n_links)
        leaves[leaves] = noc.link_from[port[leaves]] == at[leaves]
        core = port - noc.n_links
        here = (port >= noc.n_links) & (noc.core_router[np.maximum(core, 0)] == at)
        again = leaves.copy()
        again[leaves] = passed[packet[leaves], port[leaves]]
        passed[packet[leaves], port[leaves]] = True
        goes, lost = leaves & ~again, ~leaves & ~here
        for which, what in ((here, core), (lost, LOST), (again, ROUND)):
            told = np.broadcast_to(np.asarray(what), port.shape)[which]
            seen.append((packet[which] + first, at[which], told))
        n_hops += int(np.count_nonzero(goes))
        packet, came = packet[goes], port[goes]
        at = noc.link_to[came]
    return _Seen(*(_joined([part[k] for part in seen]) for k in range(3))), n_hops


def _follow_axons(axons: Axons, wanted: Wanted) -> tuple[Array, _Seen, int, list[str]]:
    """Follow packets that name their core; each pair of cores once."""
    noc = axons.noc
    n_out = int(axons.out_first[wanted.sender.size])
    neuron = np.repeat(np.arange(axons.out_first.size - 1), np.diff(axons.out_first))[:n_out]
    target = axons.there[axons.out_core[:n_out]]
    sender = np.full(int(wanted.sender.max(initial=0)) + 1, -1)
    known = axons.core < sender.size
    sender[axons.core[known]] = axons.there[known]
    pair, which = np.unique(
        sender[wanted.sender[neuron]] * noc.n_cores + target, return_inverse=True
    )
    at, goal = noc.core_router[pair // noc.n_cores], noc.core_router[pair % noc.n_cores]
    hops, moving = np.zeros(pair.size, np.int64), np.flatnonzero(at != goal)
    while moving.size:
        link = next_link(noc, at[moving], goal[moving])
        moving, link = moving[link >= 0], link[link >= 0]
        at[moving] = noc.link_to[link]
        hops[moving] += 1
        moving = moving[(at[moving] != goal[moving]) & (hops[moving] < noc.n_routers)]
    what = np.where(at == goal, pair % noc.n_cores, np.where(hops < noc.n_routers, LOST, ROUND))
    seen = _Seen(np.arange(n_out), at[which], what[which])
    return neuron, seen, int(hops[which].sum()), list(_broken_axons(axons, wanted, neuron))


def _broken_axons(axons: Axons, wanted: Wanted, neuron: Array) -> Iterator[str]:
    """Find out-axons to in-axons that are not there, or that are another's."""
    core, axon = axons.out_core[: neuron.size], axons.out_axon[: neuron.size]
    here = np.diff(axons.in_first)[core]
    for k in np.flatnonzero((axon < 0) | (axon >= here)):
        yield (
            f"neuron {wanted.name(int(neuron[k]))}: in-axon {axon[k]} of core "
            f"{axons.core[core[k]]}, which has {here[k]}"
        )
    if axons.shared:
        return
    number = axons.in_first[core] + axon
    known, times = np.unique(number, return_counts=True)
    for k in np.flatnonzero(np.isin(number, known[times > 1])):
        yield (
            f"neuron {wanted.name(int(neuron[k]))}: in-axon {axon[k]} of core "
            f"{axons.core[core[k]]} is that of another packet, too"
        )


def _astray(routes: Tables | Axons, wanted: Wanted, neuron: Array, seen: _Seen) -> Iterator[str]:
    said = {
        LOST: "no entry takes it on from router {}",
        ROUND: "it goes round in a ring, again by the same link out of router {}",
    }
    for k in np.flatnonzero(seen.what < 0):
        told = said[int(seen.what[k])].format(router_name(routes.noc, int(seen.router[k])))
        yield f"neuron {wanted.name(int(neuron[seen.packet[k]]))}: {told}"


def _twice(
    routes: Tables | Axons, wanted: Wanted, neuron: Array, seen: _Seen, reached: Array
) -> Iterator[str]:
    """Find packets that come to a core more than once."""
    n_cores = routes.noc.n_cores
    code = seen.packet[reached] * n_cores + seen.what[reached]
    _, first, times = np.unique(code, return_index=True, return_counts=True)
    for k in np.flatnonzero(times > 1):
        at = reached[first[k]]
        yield (
            f"neuron {wanted.name(int(neuron[seen.packet[at]]))}: one packet comes {times[k]} times "
            f"to core {routes.core[routes.there == seen.what[at]][0]} at router "
            f"{router_name(routes.noc, int(seen.router[at]))}"
        )


def _wrong_cores(
    routes: Tables | Axons, wanted: Wanted, neuron: Array, seen: _Seen, reached: Array,
    chip_core: Array,
) -> Iterator[str]:  # fmt: skip
    """Compare how often each neuron's packets came to each core with how often they should."""
    span = int(max(wanted.core.max(initial=0), chip_core.max(initial=0))) + 2
    at = seen.what[reached]
    core = np.where(chip_core[at] >= 0, chip_core[at], span - 1)  # of none of the cores in use
    got, first, came = np.unique(
        neuron[seen.packet[reached]] * span + core, return_index=True, return_counts=True
    )
    want = wanted.neuron * span + wanted.core
    every = np.union1d(got, want)
    n_got, n_want, event = (np.zeros(every.size, np.int64) for _ in range(3))
    n_got[np.searchsorted(every, got)] = came
    event[np.searchsorted(every, got)] = reached[first]
    n_want[np.searchsorted(every, want)] = wanted.copies
    place = dict(zip(routes.core.tolist(), routes.there.tolist(), strict=True))
    for k in np.flatnonzero(n_got != n_want):
        name, number = wanted.name(int(every[k] // span)), int(every[k] % span)
        if n_got[k] > n_want[k]:
            router = router_name(routes.noc, int(seen.router[event[k]]))
            which = f"core {number}" if number < span - 1 else "a core that is not in use"
            yield (
                f"neuron {name}: {n_got[k]} packets come to {which} at router {router}, but the "
                f"network wants {n_want[k]}"
            )
        else:
            there = place.get(number, HERE)
            router = (
                ""
                if there == HERE
                else (f" at router {router_name(routes.noc, int(routes.noc.core_router[there]))}")
            )
            yield (
                f"neuron {name}: core {number}{router} is missing, {n_got[k]} packets of "
                f"{n_want[k]} come to it"
            )
