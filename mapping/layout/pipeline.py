"""From a network to a layout: which neurons share a core, and where the cores lie.

One function, `laid_out`, which tries several partitions, places the cores of the best, and moves
neurons for packets times hops. It stops on counts of proposals, so that the same seed gives the
same layout on any machine.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mapping.errors import CapacityError
from mapping.layout.floor import Floor
from mapping.layout.hypergraph import Hypergraph, flows
from mapping.layout.metis import EXPANSIONS, by_metis
from mapping.layout.moves import (
    Limits,
    cut_of,
    excess_of,
    moved,
    moves_cost,
    resource_use,
    tables_fit,
)
from mapping.layout.orders import aligned, overlapping, sequential, tiled, twinned
from mapping.layout.placers import PLACERS, Task, cooled, lower_bound, random_hops
from mapping.layout.repair import check_neurons, cut_in_order, over_limits, repaired, with_pins
from mapping.layout.tiles import Shape

Array = NDArray[Any]

TRIES = 4
"""Fills with overlapping neurons, each with other seeds."""
PROPOSALS = 1 << 20
"""Moves of neurons that one round looks at."""
ROUNDS = 8
FINALISTS = 3
APART = 1e-3
"""Hops that each packet to another core counts with beyond its way: cores of one router are none
apart."""
COOLING = 50_000
"""Moves of cores after each round."""
WORTH = 2e-4
"""Share of the hops that a round must save for another one."""
STEPS = 2_000_000_000
"""Of all moves of neurons together (see `moved`), about as many as a core does in some seconds."""
REPAIR, TRIAL = 0.04, 0.12
"""Shares of it for the repair of each start, and for the first round of each finalist."""
LARGE = 5_000_000
"""Synapses from which one fill with overlapping neurons, and one start, must do."""
LARGE_STEPS = 0.25
"""Share of the steps that is left then: each takes longer, as tables are far larger than caches."""
IMBALANCE = 1.03
"""By how much METIS may make a part larger than the average one."""
FILLS = 3
"""Times that tables of moves could be filled within the steps, at least, or nothing is moved."""


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
        Place where a neuron must lie, -1 for any. No others join it there, unless a start has them.
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

    @property
    def steps(self) -> int:
        """Of all moves of neurons together, at most."""
        share = LARGE_STEPS if self.graph.target.size >= LARGE else 1.0
        return int(share * STEPS * self.effort)

    @property
    def pinned(self) -> Array:
        """Whether each neuron must stay; bool [n]."""
        return np.zeros(self.graph.n, np.bool_) if self.pins is None else self.pins >= 0

    def places(self, core: Array) -> dict[int, int]:
        """Return the place of each core that holds pinned neurons."""
        held = np.flatnonzero(self.pinned)
        return {} if self.pins is None else {int(core[u]): int(self.pins[u]) for u in held}

    def task(self, core: Array, *starts: Array) -> Task:
        """Cores of a partition to be placed; ``starts`` are placements to begin with."""
        return Task(
            flows=flows(self.graph, core), floor=self.floor, pins=self.places(core), starts=starts,
            effort=self.effort, stop=self.stop,
        )  # fmt: skip


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
    packets: float
    core: Array
    place: Array

    @property
    def rank(self) -> tuple[float, float, float]:
        return self.over, self.hops, self.packets


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
    check_neurons(job.graph, job.graph.edges, job.limits)
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
    core = with_pins(job.graph, job.limits, job.pins, sequential)
    return cut_in_order(job.graph.edges, job.limits, core, job.pinned)


def _told(job: Job, found: _Found, base: Array) -> Layout:
    between, plain = flows(job.graph, found.core), flows(job.graph, base)
    hops = np.inf
    if _fits(job, base):
        task = job.task(base)
        hops = task.hops(PLACERS["linear"](task, np.random.default_rng(0)))
    return Layout(
        core=found.core, place=found.place, packets=between.packets, local=between.local,
        hops=Task(flows=between, floor=job.floor).hops(found.place),
        lower_bound=lower_bound(between, job.floor),
        random_hops=random_hops(between, job.floor, np.random.default_rng(0)),
        baseline_packets=plain.packets, baseline_hops=float(hops),
    )  # fmt: skip


def _shortage(job: Job, core: Array) -> str:
    over = over_limits(job.graph.edges, job.limits, core)
    return (
        f"{int(core.max(initial=-1)) + 1:,} of {job.floor.n_places:,} cores are used and limits "
        f"still exceeded: {'; '.join(over)}; use fewer synapses, or more cores"
    )


def _placed(job: Job, core: Array, rng: np.random.Generator, placer: str) -> _Found:
    task = job.task(core)
    place = PLACERS[placer](task, rng)
    return _ranked(job, task, core, place)


def _ranked(job: Job, task: Task, core: Array, place: Array) -> _Found:
    # Sums in another order must not decide.
    hops, packets = (round(value, 6) for value in (task.hops(place), task.flows.packets))
    return _Found(over=_over(job, core), hops=hops, packets=packets, core=core, place=place)


def _over(job: Job, core: Array) -> float:
    """Add up by which shares of its limits cores are over them."""
    if job.limits.only_neurons:
        held = np.bincount(core, minlength=1)[:, None]
        return float(excess_of(held, np.array([job.limits.neurons])).sum())
    limit = job.limits.rules(core.size).limit
    return float(excess_of(resource_use(job.graph.edges, core, job.limits), limit).sum())


def _legal(job: Job, core: Array, rng: np.random.Generator) -> _Found:
    """Place a partition with the job's placer, repaired where it breaks limits."""
    fixed = repaired(
        job.graph.edges, job.graph, job.limits, job.floor, core, job.pinned, rng,
        int(REPAIR * job.steps), job.stop,
    )  # fmt: skip
    return _placed(job, fixed, rng, job.placer)


def _from_order(job: Job, rng: np.random.Generator) -> _Found:
    return _legal(job, _small_enough(job, [_baseline(job)])[0], rng)


def _packed(job: Job, rng: np.random.Generator) -> _Found:
    ranked = sorted(_small_enough(job, _starts(job)), key=partial(_promise, job))
    found = None
    for core in ranked[: 2 * FINALISTS]:
        found = _legal(job, core, rng)
        if not found.over:
            break
    assert found is not None
    return found


def _by_traffic(job: Job, rng: np.random.Generator) -> _Found:
    starts = _small_enough(job, _starts(job))
    if job.graph.target.size >= LARGE:  # it takes long to place many cores
        starts = sorted(starts, key=partial(_promise, job))[:1]
    found = sorted((_legal(job, core, rng) for core in starts), key=lambda one: one.rank)
    if len(found) > 1:
        found = [_refined(job, one, rng, 1, TRIAL) for one in found[:FINALISTS]]
    best = min(found, key=lambda one: one.rank)
    rest = 1 - REPAIR * len(starts) - TRIAL * FINALISTS
    return _refined(job, best, rng, ROUNDS, rest)


def _by_metis(job: Job, rng: np.random.Generator) -> _Found:
    """Let METIS cut, each way of making a graph of nets, and repair; the better of both."""
    n_parts, seed = _least_parts(job), int(rng.integers(1 << 31))
    found = []
    for name in EXPANSIONS:
        order = partial(by_metis, n_parts=n_parts, expansion=name, seed=seed)
        core = with_pins(job.graph, job.limits, job.pins, order)
        found.append(_legal(job, _small_enough(job, [core])[0], rng))
    return min(found, key=lambda one: one.rank)


def _least_parts(job: Job) -> int:
    """Cores that free neurons take: with some room, as METIS keeps no limit to the last neuron.

    Where more than neurons is limited, as many as the best fill takes.
    """
    size = np.ones(job.graph.n) if job.limits.compartments is None else job.limits.compartments
    least = int(np.ceil(IMBALANCE * np.sum(size[~job.pinned]) / max(job.limits.neurons, 1)))
    if not job.limits.only_neurons:
        pinned = 0 if job.pins is None else np.unique(job.pins[job.pinned]).size
        filled = min(int(core.max(initial=-1)) + 1 for core in _starts(job))
        least = max(least, filled - pinned)
    return max(least, 1)


def _promise(job: Job, core: Array) -> tuple[float, float]:
    """How much of it must be repaired, and its packets."""
    return _over(job, core), flows(job.graph, core).packets


PARTITIONERS: Mapping[str, Partitioner] = {
    "sequential": _from_order,
    "packed": _packed,
    "traffic": _by_traffic,
    "metis": _by_metis,
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


def _refined(
    job: Job, found: _Found, rng: np.random.Generator, rounds: int, share: float
) -> _Found:
    """Move neurons, then cores, again and again; the best of all.

    Parameters
    ----------
    share : float
        Of all steps that moves may take.
    """
    n_cores, left = found.place.size, int(share * job.steps)
    dear = FILLS * moves_cost(job.graph.edges, n_cores) > left
    if n_cores < 2 or dear or not tables_fit(job.graph.edges, n_cores):
        return found
    cut = cut_of(job.graph.edges, found.core, job.limits, job.limits.neurons)
    place, best = found.place, found
    for _ in range(rounds):
        if job.stop() or left <= moves_cost(job.graph.edges, n_cores):
            break
        hop = job.floor.distance(place[:, None], place[None, :]) + APART * (1 - np.eye(n_cores))
        left -= moved(
            job.graph.edges, cut, job.limits, hop, rng, int(PROPOSALS * job.effort), most_steps=left,
            pinned=job.pinned, stop=job.stop,
        ).steps  # fmt: skip
        core = cut.core.copy()
        task = job.task(core, place)
        place = cooled(task, PLACERS[job.placer](task, rng), rng, int(COOLING * job.effort))
        now = _ranked(job, task, core, place)
        worth = now.over < best.over or now.hops < best.hops * (1 - WORTH)
        best = min(best, now, key=lambda one: one.rank)
        if not worth:
            break
    return best
