"""From a network to a layout: which neurons share a core, and where the cores lie.

One function, `laid_out`, which tries several partitions, places the cores of the best, and moves
neurons for packets times hops. It stops on counts of proposals, so that the same seed gives the
same layout on any machine.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mapping.errors import CapacityError
from mapping.layout.floor import Floor
from mapping.layout.hypergraph import Hypergraph, flows
from mapping.layout.move_kernels import Edges
from mapping.layout.moves import Limits, cut_of, edges_of, moved
from mapping.layout.orders import aligned, overlapping, sequential, tiled, twinned
from mapping.layout.placers import PLACERS, Task, cooled, lower_bound, random_hops
from mapping.layout.repair import over_limits, repaired, with_pins
from mapping.layout.tiles import Shape

Array = NDArray[Any]

TRIES = 4
"""Fills with overlapping neurons, each with other seeds."""
PROPOSALS = 1 << 20
"""Moves of neurons that one round looks at."""
ROUNDS = 8
FINALISTS = 3
WORTH = 2e-4
"""Share of the hops that a round must save for another one."""
TABLES = 2e9
"""Steps that it may take to fill the tables of moves; larger networks keep their first partition."""
LARGE = 3_000_000
"""Synapses from which one fill with overlapping neurons must do."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Job:
    """Neurons to be laid out.

    Attributes
    ----------
    graph : Hypergraph
    limits : Limits
    floor : Floor
    shapes : sequence of tuple of int
        Of the layers, in the order of their neurons; none where the network is a flat list.
    starts : sequence of int [n]
        Partitions to begin with, beside those that are found here.
    pins : int64 [n], optional
        Place where a neuron must lie, -1 for any.
    placer : str
        One of `PLACERS`.
    seed : int
    effort : float
        Proposals, as a multiple of what is usual.
    stop : callable
        Whether to end early, with the best so far.

    Raises
    ------
    ValueError
        If shapes or starts do not fit the network, a pin is no place, or there is no such placer.
    """

    graph: Hypergraph
    limits: Limits
    floor: Floor
    shapes: Sequence[Shape] = ()
    starts: Sequence[Array] = ()
    pins: Array | None = None
    placer: str = "anneal"
    seed: int = 0
    effort: float = 1.0
    stop: Callable[[], bool] = field(default=lambda: False)

    def __post_init__(self) -> None:
        n = self.graph.n
        if self.placer not in PLACERS:
            raise ValueError(f"placer: {self.placer!r} is none of {', '.join(PLACERS)}")
        if self.shapes and sum(self.sizes) != n:
            raise ValueError(f"shapes: they hold {sum(self.sizes):,} neurons of {n:,}")
        for core in self.starts:
            used = np.unique(core)
            if np.shape(core) != (n,) or used[0] != 0 or used[-1] + 1 != used.size:
                raise ValueError(
                    f"starts: each needs a core for each of the {n:,} neurons, from 0 without gaps"
                )
        if self.pins is not None and (
            np.shape(self.pins) != (n,)
            or np.any((self.pins < -1) | (self.pins >= self.floor.n_places))
        ):
            raise ValueError(
                f"pins: each of the {n:,} neurons needs one of the {self.floor.n_places:,} places, "
                "or -1"
            )

    @property
    def sizes(self) -> list[int]:
        """Neurons of each layer."""
        return [int(np.prod(shape)) for shape in self.shapes]

    @cached_property
    def edges(self) -> Edges:
        """Who reaches whom, both ways."""
        return edges_of(self.graph)

    @property
    def pinned(self) -> Array:
        """Whether each neuron must stay; bool [n]."""
        return np.zeros(self.graph.n, np.bool_) if self.pins is None else self.pins >= 0

    def places(self, core: Array) -> dict[int, int]:
        """Return the place of each core that holds pinned neurons."""
        held = np.flatnonzero(self.pinned)
        return {} if self.pins is None else {int(core[u]): int(self.pins[u]) for u in held}


@dataclass(frozen=True, kw_only=True, eq=False)
class Layout:
    """A partition and where its cores lie, with what it costs at the rates as they are.

    Attributes
    ----------
    core : int32 [n]
        Core of each neuron, from 0 without gaps.
    place : int64 [n_cores]
        Place of each core on the floor.
    packets, local, hops : float
        As in `Traffic`.
    lower_bound : float
        Hops that no placement of this partition can go below.
    random_hops : float
        Hops of random placements of this partition, on average.
    baseline_packets, baseline_hops : float
        Neurons and cores in their order; infinite hops where those cores find no room.
    """

    core: Array
    place: Array
    packets: float
    local: float
    hops: float
    lower_bound: float
    random_hops: float
    baseline_packets: float
    baseline_hops: float

    @property
    def n_cores(self) -> int:
        """Cores that hold neurons."""
        return int(self.place.size)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Found:
    """A partition that is placed; better ones are lower."""

    over: float
    hops: float
    core: Array
    place: Array

    @property
    def rank(self) -> tuple[float, float]:
        return self.over, self.hops


Partitioner = Callable[[Job, np.random.Generator], _Found]


def laid_out(job: Job, partitioner: str = "traffic") -> Layout:
    """Lay out a network; never worse than its neurons and cores in their order.

    Raises
    ------
    ValueError
        If there is no such partitioner.
    CapacityError
        If no partition keeps the limits of all cores on the floor.
    """
    if partitioner not in PARTITIONERS:
        raise ValueError(f"partitioner: {partitioner!r} is none of {', '.join(PARTITIONERS)}")
    rng = np.random.default_rng(job.seed)
    base = _baseline(job)
    found = PARTITIONERS[partitioner](job, rng)
    if _fits(job, base):
        placed = _placed(job, base, rng, "linear")
        found = min(placed, found, key=lambda one: one.rank)
    if found.over:
        raise CapacityError("the floor", (_shortage(job, found.core),))
    return _told(job, found, base)


def _fits(job: Job, core: Array) -> bool:
    return int(core.max(initial=-1)) < job.floor.n_places


def _baseline(job: Job) -> Array:
    return with_pins(job.graph, job.limits, job.pins, sequential)


def _told(job: Job, found: _Found, base: Array) -> Layout:
    between, plain = flows(job.graph, found.core), flows(job.graph, base)
    hops = np.inf
    if _fits(job, base):
        task = Task(flows=plain, floor=job.floor, pins=job.places(base))
        hops = task.hops(PLACERS["linear"](task, np.random.default_rng(0)))
    return Layout(
        core=found.core, place=found.place, packets=between.packets, local=between.local,
        hops=Task(flows=between, floor=job.floor).hops(found.place),
        lower_bound=lower_bound(between, job.floor),
        random_hops=random_hops(between, job.floor, np.random.default_rng(0)),
        baseline_packets=plain.packets, baseline_hops=float(hops),
    )  # fmt: skip


def _shortage(job: Job, core: Array) -> str:
    over = over_limits(job.edges, job.limits, core)
    return (
        f"{int(core.max(initial=-1)) + 1:,} of {job.floor.n_places:,} cores are used and limits "
        f"still exceeded: {'; '.join(over)}; use fewer synapses, or more cores"
    )


def _placed(job: Job, core: Array, rng: np.random.Generator, placer: str) -> _Found:
    task = Task(flows=flows(job.graph, core), floor=job.floor, pins=job.places(core), stop=job.stop)
    place = PLACERS[placer](task, rng)
    over = len(over_limits(job.edges, job.limits, core))
    return _Found(over=over, hops=task.hops(place), core=core, place=place)


def _legal(job: Job, core: Array, rng: np.random.Generator) -> _Found:
    """Place a partition with the job's placer, repaired where it breaks limits."""
    fixed = repaired(job.edges, job.graph, job.limits, job.floor, core, job.pinned, rng, job.stop)
    return _placed(job, fixed, rng, job.placer)


def _from_order(job: Job, rng: np.random.Generator) -> _Found:
    return _legal(job, _small_enough(job, [_baseline(job)])[0], rng)


def _packed(job: Job, rng: np.random.Generator) -> _Found:
    ranked = sorted(_small_enough(job, _starts(job)), key=lambda c: flows(job.graph, c).packets)
    found = None
    for core in ranked[: 2 * FINALISTS]:
        found = _legal(job, core, rng)
        if not found.over:
            break
    assert found is not None
    return found


def _by_traffic(job: Job, rng: np.random.Generator) -> _Found:
    starts = _small_enough(job, _starts(job))
    found = sorted((_legal(job, core, rng) for core in starts), key=lambda one: one.rank)
    n_cores = found[0].place.size
    if n_cores < 2 or (job.graph.target.size + job.graph.n_nets) * n_cores > TABLES * job.effort:
        return found[0]
    best = sorted((_refined(job, one, rng, 1) for one in found[:FINALISTS]), key=lambda o: o.rank)
    return _refined(job, best[0], rng, ROUNDS)


PARTITIONERS: Mapping[str, Partitioner] = {
    "sequential": _from_order,
    "packed": _packed,
    "traffic": _by_traffic,
}


def _starts(job: Job) -> list[Array]:
    """Partitions to begin with; the baseline is the first."""
    found = [_baseline(job), *(np.asarray(core, np.int32) for core in job.starts)]
    if job.stop():
        return found
    orders: list[Callable[[Hypergraph, Limits], Array | None]] = []
    if job.shapes and job.pins is None:
        orders.append(lambda graph, limits: aligned(graph, limits, job.sizes))
        found += tiled(job.graph, job.limits, job.shapes)[:FINALISTS]
    elif job.graph.target.size:
        orders.append(twinned)
    tries = TRIES if job.graph.target.size < LARGE else 1
    seeds = np.random.SeedSequence(job.seed).generate_state(2 * tries)
    for seed in seeds[:tries]:
        orders.append(partial(overlapping, seed=int(seed)))
    for order in orders:
        if not job.stop():
            core = with_pins(job.graph, job.limits, job.pins, order)
            if core is not None:
                found.append(core)
    if not job.limits.only_neurons and not job.stop():
        found += _spread(job, found[-1], int(seeds[-1]))
    return found


def _spread(job: Job, core: Array, seed: int) -> list[Array]:
    """Overlapping neurons, as many on each core, as if nothing else was limited.

    A fill that closes cores at in-axons leaves splinters to the last ones; here moves see to it
    that limits hold in the end.
    """
    n_cores, compartments = int(core.max(initial=-1)) + 1, job.limits.compartments
    total = job.graph.n if compartments is None else int(np.sum(compartments))
    found = []
    for share in (0.77, 0.85, 1.0):
        room = min(-(-total // max(int(share * n_cores), 1)), job.limits.neurons)
        loose = Limits(neurons=room, compartments=compartments)
        order = with_pins(job.graph, loose, job.pins, lambda g, m: overlapping(g, m, seed))
        found.append(order)
    return found


def _small_enough(job: Job, starts: list[Array]) -> list[Array]:
    fitting = [core for core in starts if _fits(job, core)]
    if not fitting:
        need = min(int(core.max()) + 1 for core in starts)
        raise CapacityError(
            "the floor",
            (f"{need:,} cores are needed, but there are {job.floor.n_places:,} places; "
             "put more neurons on each core, or use more chips",),
        )  # fmt: skip
    return fitting


def _refined(job: Job, found: _Found, rng: np.random.Generator, rounds: int) -> _Found:
    """Move neurons, then cores, again and again; the best of all."""
    cut = cut_of(job.edges, found.core, job.limits, job.limits.neurons)
    place, best = found.place, found
    for _ in range(rounds):
        if job.stop():
            break
        hop = job.floor.distance(place[:, None], place[None, :])
        moved(
            job.edges, cut, job.limits, hop, rng, int(PROPOSALS * job.effort),
            pinned=job.pinned, stop=job.stop,
        )  # fmt: skip
        core = cut.core.copy()
        task = Task(
            flows=flows(job.graph, core), floor=job.floor, pins=job.places(core), starts=(place,),
            stop=job.stop,
        )  # fmt: skip
        place = cooled(task, PLACERS[job.placer](task, rng), rng, 50_000)
        over = len(over_limits(job.edges, job.limits, core))
        now = _Found(over=over, hops=task.hops(place), core=core, place=place)
        worth = now.over < best.over or now.hops < best.hops * (1 - WORTH)
        best = min(best, now, key=lambda one: one.rank)
        if not worth:
            break
    return best
