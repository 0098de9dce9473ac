"""Put the cores of a partition on the floor, so that packets have short ways.

All placers have one signature and stand in one table. Each but `linear` begins with simple
orders and keeps the best of what it saw, so that none is ever worse than `linear`.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mapping.errors import CapacityError
from mapping.layout.floor import Floor
from mapping.layout.hypergraph import Flows
from mapping.layout.place_kernels import anneal as anneal_kernel
from mapping.layout.place_kernels import change, exchange_sides, side_gains, total_hops

Array = NDArray[Any]

RESTARTS = 4
CHUNK = 1 << 15
"""Proposals of one compiled call: between calls `Task.stop` is asked."""
WORK = 100_000_000
"""Flows that are looked at for many cores."""
LEAST = 1e-9
"""Share of the hops below which a gain is taken for rounding."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Task:
    """Cores to be placed.

    Attributes
    ----------
    flows : Flows
    floor : Floor
    pins : dict of int to int
        Cores that must lie at a place.
    starts : sequence of int64 [n_cores]
        Placements to begin with, beside those that a placer knows.
    stop : callable
        Whether to end early, with the best so far; asked between compiled calls.

    Raises
    ------
    ValueError
        If pins contradict each other, or a start is no placement.
    CapacityError
        If there are more cores than places.
    """

    flows: Flows
    floor: Floor
    pins: Mapping[int, int] = field(default_factory=dict)
    starts: Sequence[Array] = ()
    stop: Callable[[], bool] = lambda: False

    def __post_init__(self) -> None:
        n_cores, n_places = self.flows.n_cores, self.floor.n_places
        if n_cores > n_places:
            raise CapacityError(
                "the floor",
                (f"{n_cores:,} cores are needed, but there are {n_places:,} places; "
                 "put more neurons on each core, or use more chips",),
            )  # fmt: skip
        for core, place in self.pins.items():
            if not (0 <= core < n_cores and 0 <= place < n_places):
                raise ValueError(
                    f"core {core} is pinned to place {place}, but there are {n_cores} cores and "
                    f"{n_places} places"
                )
        if len(set(self.pins.values())) < len(self.pins):
            twice = next(p for p in self.pins.values() if [*self.pins.values()].count(p) > 1)
            cores = sorted(core for core, place in self.pins.items() if place == twice)
            raise ValueError(f"cores {cores} are all pinned to place {twice}; it holds one")
        for start in self.starts:
            check_placement(self, start)

    @property
    def pinned(self) -> Array:
        """Whether each core must stay; bool [n_cores]."""
        held = np.zeros(self.flows.n_cores, np.bool_)
        held[list(self.pins)] = True
        return held

    def arrays(self) -> tuple[Array, Array, Array, Array, Array, int, int, Array, Array]:
        """Return what kernels are told."""
        flows, floor = self.flows, self.floor
        return (
            flows.start, flows.other, flows.weight, floor.x, floor.y, floor.ring_x, floor.ring_y,
            floor.router, floor.both_ways,
        )  # fmt: skip

    def hops(self, place: Array) -> float:
        """Packets times hops of a placement."""
        return float(total_hops(*self.arrays(), place))


Placer = Callable[[Task, np.random.Generator], Array]


def check_placement(task: Task, place: Array) -> None:
    """Refuse what is no placement of the task: two cores at a place, or a pin not kept.

    Raises
    ------
    ValueError
    """
    n_cores, n_places = task.flows.n_cores, task.floor.n_places
    if place.shape != (n_cores,) or np.unique(place).size < n_cores:
        raise ValueError(f"{n_cores} cores need as many different places")
    if n_cores and (place.min() < 0 or place.max() >= n_places):
        raise ValueError(f"place {place.min()} to {place.max()}, but there are {n_places}")
    for core, pin in task.pins.items():
        if place[core] != pin:
            raise ValueError(f"core {core} lies at place {place[core]}, but is pinned to {pin}")


def linear(task: Task, rng: np.random.Generator) -> Array:
    """Cores in their order at places in theirs: the baseline."""
    return _in_order(task, np.arange(task.floor.n_places))


def hilbert(task: Task, rng: np.random.Generator) -> Array:
    """Cores in their order along a Hilbert curve, unless row by row is better."""
    return _best(task, _starts(task))


def force(task: Task, rng: np.random.Generator) -> Array:
    """Exchange neighbours while that shortens ways, strongest pull first, from the Hilbert order.

    After Jin et al., "Mapping very large scale spiking neuron network to neuromorphic hardware",
    ASPLOS 2023: in each round the strongest share of all pairs of neighbouring places that pull
    their cores past each other is exchanged, each if it still saves when its turn comes.
    """
    place = hilbert(task, rng)
    return _relaxed(task, place)


def anneal(task: Task, rng: np.random.Generator) -> Array:
    """Simulated annealing by exchanges, several times; best of all (Kirkpatrick et al., 1983).

    Restarts begin at the best simple order and are heated until an average exchange is accepted;
    where there are so many cores that this melts more than the proposals can freeze again, the
    heat is that of a single packet flow.
    """
    start = _relaxed(task, _best(task, _starts(task)))
    n_cores = task.flows.n_cores
    if n_cores < 2 or not task.flows.weight.size:
        return start
    if n_cores > 256:
        # Dense flows make a proposal dear.
        count = min(4000 * n_cores, WORK * n_cores // task.flows.weight.size)
        return _best(task, [start, _annealed(task, start, rng, count, hot=False)])
    count = max(4000 * n_cores, 20_000)
    found = [_annealed(task, start, rng, count, hot=True) for _ in range(RESTARTS)]
    return _relaxed(task, _best(task, [start, *found]))


PLACERS: Mapping[str, Placer] = {
    "linear": linear,
    "hilbert": hilbert,
    "force": force,
    "anneal": anneal,
}


def cooled(task: Task, place: Array, rng: np.random.Generator, n_proposals: int) -> Array:
    """Improve a placement by cold annealing; never worse than it."""
    if task.flows.n_cores < 2 or not task.flows.weight.size:
        return place
    return _best(task, [place, _annealed(task, place, rng, n_proposals, hot=False)])


def lower_bound(flows: Flows, floor: Floor) -> float:
    """Hops that no placement of this partition can go below.

    The partners of a core, heaviest first, lie no nearer than the nearest places of an endless
    mesh; each flow has two ends (P. C. Gilmore, J. SIAM 10(2), 1962; E. L. Lawler, 1963).
    """
    near = floor.nearest()
    core = np.repeat(np.arange(flows.n_cores), np.diff(flows.start))
    heaviest = np.lexsort((-flows.weight, core))
    rank = np.arange(core.size) - flows.start[core]
    return float((flows.weight[heaviest] * near[rank]).sum()) / 2


def random_hops(flows: Flows, floor: Floor, rng: np.random.Generator, n: int = 16) -> float:
    """Average hops of random placements."""
    task = Task(flows=flows, floor=floor)
    places = [rng.permutation(floor.n_places)[: flows.n_cores] for _ in range(n)]
    return float(np.mean([task.hops(place) for place in places]))


def cheapest_exchange(task: Task, place: Array, core: int) -> tuple[float, int]:
    """Find the best other place of a core, which it exchanges with whoever lies there.

    Returns
    -------
    hops, place
        What that adds, and where; -1 where there is no other.
    """
    holder, found = _holder(task, place), (np.inf, -1)
    for to in range(task.floor.n_places):
        if to != place[core]:
            added = change(*task.arrays(), place, core, holder[to], to)
            found = min(found, (float(added), to))
    return found


def _in_order(task: Task, order: Array) -> Array:
    """Fill places in an order, around the pins."""
    place = np.full(task.flows.n_cores, -1, np.int64)
    place[list(task.pins)] = list(task.pins.values())
    free = order[~np.isin(order, list(task.pins.values()))]
    place[place < 0] = free[: np.count_nonzero(place < 0)]
    return place


def _starts(task: Task) -> list[Array]:
    orders = (np.arange(task.floor.n_places), task.floor.along_hilbert())
    return [*(_in_order(task, order) for order in orders), *task.starts]


def _best(task: Task, places: Iterable[Array]) -> Array:
    """Return the placement with the fewest hops, the first of equal ones."""
    return min(places, key=task.hops)


def _holder(task: Task, place: Array) -> Array:
    holder = np.full(task.floor.n_places, -1, np.int64)
    holder[place] = np.arange(place.size)
    return holder


def _grid(floor: Floor) -> Array:
    """Places of each router; int64 [height, width, most at one router], -1 where there is none."""
    width, height = int(floor.x.max(initial=0)) + 1, int(floor.y.max(initial=0)) + 1
    router = floor.y * width + floor.x
    order = np.argsort(router, kind="stable")
    within = np.arange(order.size) - np.searchsorted(router[order], router[order])
    grid = np.full((height * width, int(within.max(initial=0)) + 1), -1, np.int64)
    grid[router[order], within] = order
    return grid.reshape(height, width, -1)


def _sides(floor: Floor) -> tuple[Array, Array]:
    """Pairs of places at routers next to each other."""
    grid = _grid(floor)
    pairs = []
    for axis, ring in ((1, floor.ring_x), (0, floor.ring_y)):
        beside = np.roll(grid, -1, axis=axis)
        if not ring:
            beside = beside.copy()
            beside[(slice(None), -1) if axis else -1] = -1
        first, second = np.broadcast_arrays(grid[:, :, :, None], beside[:, :, None, :])
        pairs.append(np.stack([first.ravel(), second.ravel()]))
    first, second = np.concatenate(pairs, axis=1)
    real = (first >= 0) & (second >= 0) & (first != second)
    return first[real], second[real]


def _relaxed(task: Task, place: Array, share: float = 0.3) -> Array:
    """Exchange neighbours until no exchange saves; ``share`` of those that pull, each round."""
    first, second = _sides(task.floor)
    place, holder, pinned = place.copy(), _holder(task, place), task.pinned
    gain = np.zeros(first.size)
    least = LEAST * max(task.hops(place), 1.0)
    while not task.stop():
        side_gains(*task.arrays(), place, holder, pinned, first, second, gain)
        pulling = np.flatnonzero(gain > least)
        if not pulling.size:
            break
        strongest = pulling[np.argsort(-gain[pulling], kind="stable")]
        order = strongest[: max(int(share * strongest.size), 1)]
        exchange_sides(*task.arrays(), place, holder, first, second, order, least)
    return place


def _annealed(
    task: Task, start: Array, rng: np.random.Generator, n_proposals: int, *, hot: bool
) -> Array:
    """Cool down from a placement; what is found may be worse than it."""
    place, holder, pinned = start.copy(), _holder(task, start), task.pinned
    grid = _grid(task.floor)
    reach = float(max(grid.shape[:2])) if hot else max(grid.shape[:2]) / 4
    heat = _typical_change(task, start, rng) if hot else _typical_flow(task)
    n_chunks = max(n_proposals // CHUNK, 16)
    size = max(n_proposals // n_chunks, 1)
    # The heat falls by 1000 (hot) or 100, as a power of the time; the reach to the neighbours.
    falling = heat * (1e-3 if hot else 1e-2) ** (np.arange(n_chunks + 1) / n_chunks)
    nearing = np.maximum(reach * (1 - np.arange(n_chunks + 1) / n_chunks), 1.0)
    falling[-1] = 0.0
    for k in range(n_chunks):
        if task.stop():
            break
        anneal_kernel(
            *task.arrays(), place, holder, pinned, grid, rng.random((size, 5)),
            falling[k], falling[k + 1], nearing[k], nearing[k + 1],
        )  # fmt: skip
    return place


def _typical_change(task: Task, place: Array, rng: np.random.Generator) -> float:
    """Average size of what an exchange of two cores changes."""
    holder = _holder(task, place)
    core = rng.integers(place.size, size=200)
    to = rng.integers(task.floor.n_places, size=200)
    found = [
        abs(change(*task.arrays(), place, c, holder[t], t))
        for c, t in zip(core, to, strict=True)
        if place[c] != t
    ]
    return float(np.mean(found)) if found else 0.0


def _typical_flow(task: Task) -> float:
    return float(task.flows.weight.mean()) * 0.5
