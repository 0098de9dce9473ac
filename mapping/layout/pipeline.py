"""From a hypergraph to cores on a floor: several starts, the best placed, neurons moved, placed anew."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mapping.layout.floor import Floor
from mapping.layout.hypergraph import Hypergraph, flows
from mapping.layout.move_kernels import Edges
from mapping.layout.moves import Limits, cut_of, edges_of, moved
from mapping.layout.orders import overlapping, sequential
from mapping.layout.placers import PLACERS, Task, cooled

Array = NDArray[Any]

ROUNDS = 3
PROPOSALS = 200
"""Moves that are proposed for each neuron in a round, and the most of all neurons together."""
PROPOSALS_MOST = 3_000_000
TRIED = 2
"""Starts that are followed to the end."""
SPLITS = 12
"""Times that cores over a limit are split, with moves in between, before a start is given up."""


class Layout(NamedTuple):
    """Where neurons and cores lie.

    Attributes
    ----------
    core : int32 [n]
        Core of each neuron, from 0 without gaps.
    place : int64 [n_cores]
        Place of each core on the floor.
    hops : float
        Packets times hops.
    fits : bool
        Whether no core holds more than it can.
    """

    core: Array
    place: Array
    hops: float
    fits: bool

    @property
    def rank(self) -> tuple[bool, float]:
        """Order layouts: what fits, then what takes fewest hops."""
        return not self.fits, self.hops


def laid_out(
    graph: Hypergraph,
    limits: Limits,
    floor: Floor,
    *,
    starts: Sequence[Array] = (),
    seed: int = 0,
    stop: Callable[[], bool] = lambda: False,
) -> Layout:
    """Find a layout with few packets times hops; never more than those of any start.

    Parameters
    ----------
    starts : sequence of int [n]
        Cores of neurons to begin with, besides numbering order and the overlap of hyperedges.
    stop : callable
        Whether to end early, with the best so far.

    Returns
    -------
    Layout
        That with the fewest hops of those that fit; of those that do not, where none does.
    """
    rng, edges = np.random.default_rng(seed), edges_of(graph)
    given = [*starts, sequential(graph, limits), overlapping(graph, limits, seed)]
    first = [
        found
        for core in given
        if (found := _placed(graph, edges, limits, floor, core, rng, stop)) is not None
    ]
    if not first:
        core = min(given, key=lambda one: int(one.max(initial=-1)))
        return Layout(core, np.arange(0), np.inf, fits=False)
    best = min(first, key=lambda one: one.rank)
    for found in sorted(first, key=lambda one: one.rank)[:TRIED]:
        for better in _improved(graph, edges, limits, floor, found, rng, stop):
            best = min(best, better, key=lambda one: one.rank)
    return best


def _placed(
    graph: Hypergraph,
    edges: Edges,
    limits: Limits,
    floor: Floor,
    core: Array,
    rng: np.random.Generator,
    stop: Callable[[], bool],
    start: Array | None = None,
) -> Layout | None:
    """Place a partition; None if it has more cores than there are places."""
    core = np.unique(core, return_inverse=True)[1].reshape(-1).astype(np.int32)
    n_cores = int(core.max(initial=-1)) + 1
    if n_cores > floor.n_places:
        return None
    task = Task(
        flows=flows(graph, core), floor=floor, stop=stop, starts=() if start is None else (start,)
    )
    if start is None:
        place = PLACERS["anneal"](task, rng)
    else:
        place = cooled(task, start, rng, 4000 * n_cores)
    return Layout(core, place, task.hops(place), fits=_fits(edges, limits, core))


def _fits(edges: Edges, limits: Limits, core: Array) -> bool:
    room = int(np.bincount(core).max(initial=1))
    use = cut_of(edges, core, limits, room).use
    return bool(np.all(use <= limits.rules(core.size, room).limit))


def _improved(
    graph: Hypergraph,
    edges: Edges,
    limits: Limits,
    floor: Floor,
    found: Layout,
    rng: np.random.Generator,
    stop: Callable[[], bool],
) -> list[Layout]:
    """Move neurons and place anew, in turns."""
    layouts = []
    n = found.core.size
    proposals = min(PROPOSALS * n, PROPOSALS_MOST)
    for turn in range(ROUNDS + SPLITS):
        if stop() or (turn >= ROUNDS and found.fits):
            break
        if turn and not found.fits:
            found = _split(edges, limits, floor, found) or found
        hop = floor.distance(found.place[:, None], found.place)
        cut = cut_of(edges, found.core, limits, limits.neurons)
        moved(edges, cut, limits, hop, rng, proposals, stop=stop)
        used = np.unique(cut.core)
        better = _placed(graph, edges, limits, floor, cut.core, rng, stop, start=found.place[used])
        assert better is not None  # moves make no new cores
        found = better
        layouts.append(found)
    return layouts


def _split(edges: Edges, limits: Limits, floor: Floor, found: Layout) -> Layout | None:
    """Halve cores that hold too much; None if there are no places left for that."""
    n_cores = int(found.core.max()) + 1
    room = int(np.bincount(found.core).max())
    cut = cut_of(edges, found.core, limits, room)
    rules = limits.rules(found.core.size, room)
    over = np.flatnonzero(np.any(cut.use > rules.limit, axis=1))
    free = np.setdiff1d(np.arange(floor.n_places), found.place)
    core, place = found.core.copy(), found.place.tolist()
    for c in over:
        mine = np.flatnonzero(found.core == c)
        if mine.size < 2 or not free.size:
            continue
        near = int(np.argmin(floor.distance(np.int64(place[c]), free)))
        core[mine[mine.size // 2 :]] = n_cores
        n_cores += 1
        place.append(int(free[near]))
        free = np.delete(free, near)
    if n_cores == found.place.size:
        return None
    return Layout(core, np.array(place), np.inf, fits=False)
