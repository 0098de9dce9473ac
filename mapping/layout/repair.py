"""Partitions that break a limit are made to keep it: by moves first, then by splits.

Out-axons of a core depend on where its neurons' targets lie, so that no fill can see to them.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from mapping.errors import CapacityError
from mapping.layout.floor import Floor
from mapping.layout.hypergraph import Hypergraph
from mapping.layout.move_kernels import NEURONS, OUT_AXONS, Edges
from mapping.layout.moves import (
    UNLIMITED,
    Limits,
    cut_of,
    excess_of,
    moved,
    moves_cost,
    resource_use,
    tables_fit,
)
from mapping.layout.orders import overlapping

Array = NDArray[Any]
Core = TypeVar("Core", bound=Array | None)

PROPOSALS = 1 << 20
ROUNDS = 10
WORTH = 0.5
"""Share of what is over limits that may be left after moves that are worth another round."""
NAMES = ("neurons", "compartments", "in-axons", "out-axons", "words of synapse memory")


def over_limits(edges: Edges, limits: Limits, core: Array) -> list[str]:
    """Tell which cores are over which limit, with the numbers."""
    if limits.only_neurons:
        held = np.bincount(core, minlength=1)
        return [
            f"core {c}: {held[c]:,} neurons of {limits.neurons:,}"
            for c in np.flatnonzero(held > limits.neurons)
        ]
    use = resource_use(edges, core, limits)
    limit = limits.rules(core.size).limit
    return [
        f"core {c}: {use[c, k]:,} {_name(k)} of {limit[k]:,}"
        for c, k in np.argwhere(use > limit).tolist()
    ]


def check_neurons(graph: Hypergraph, edges: Edges, limits: Limits) -> None:
    """Refuse neurons that no core can hold even alone.

    Raises
    ------
    CapacityError
        If there are any; it names the first of them for each limit.
    """
    if limits.only_neurons:
        return
    rules, fan_in = limits.rules(graph.n), np.diff(edges.source_start)
    heard = np.repeat(np.arange(graph.n), fan_in)
    owner, own = edges.owner[: edges.first[-1]], edges.own[: edges.first[-1]]
    one = rules.words[edges.kind, 1]
    words = np.bincount(heard, one[edges.source], graph.n)
    words += np.bincount(owner[own], one[: own.size][own], graph.n)
    in_axons = fan_in + np.bincount(owner[own], minlength=graph.n)
    sends = (np.diff(edges.start)[: own.size] > 0) | own
    out_axons = np.bincount(owner[sends], minlength=graph.n)
    need = (np.ones(graph.n), rules.compartments, in_axons, out_axons, words)
    problems = []
    for k, taken in enumerate(need):
        if np.any(taken > rules.limit[k]):
            u = int(np.argmax(taken > rules.limit[k]))
            problems.append(
                f"neuron {u:,} alone takes {int(taken[u]):,} {_name(k)} of {rules.limit[k]:,} that "
                "a core has; give it fewer sources, or smaller weights"
            )
    if problems:
        raise CapacityError("the floor", tuple(problems))


def _name(column: int) -> str:
    return NAMES[column] if column < len(NAMES) else f"profiles of table {column - len(NAMES)}"


def repaired(
    edges: Edges, graph: Hypergraph, limits: Limits, floor: Floor, core: Array, pinned: Array,
    rng: np.random.Generator, most_steps: int, stop: Callable[[], bool],
) -> Array:  # fmt: skip
    """Move neurons while a limit is broken, and split cores that stay over one; int32 [n].

    Cores are taken to lie one hop from each other: where they come to lie is not known yet.
    Limits may still be broken in the end, where the floor has no more places.
    """
    steps, before = 0, np.inf
    limit = limits.rules(core.size).limit
    for _ in range(ROUNDS):
        n_cores = int(core.max(initial=-1)) + 1
        over = excess_of(resource_use(edges, core, limits), limit)
        if not over.any() or stop():
            break
        if tables_fit(edges, n_cores) and 4 * moves_cost(edges, n_cores) < most_steps - steps:
            cut = cut_of(edges, core, limits, limits.neurons)
            steps += moved(
                edges, cut, limits, 1 - np.eye(n_cores), rng, PROPOSALS, pinned=pinned, stop=stop,
                most_steps=(most_steps - steps) // 2, until_legal=True,
            ).steps  # fmt: skip
            core, over = cut.core, excess_of(cut.use, limit)
        if over.sum() < WORTH * before:
            before = over.sum()
            continue  # moves get on
        before = over.sum()
        worst = np.argsort(-over, kind="stable")[: np.count_nonzero(over)]
        for c in worst[: floor.n_places - n_cores]:
            _split(graph, core, int(c), ~pinned, int(rng.integers(1 << 31)))
    return core


def cut_in_order(edges: Edges, limits: Limits, core: Array, pinned: Array) -> Array:
    """Cut cores that have too many out-axons into even parts, neurons in their order; int32 [n].

    Parts of a core are numbered one after another, before the next core's.
    """
    for _ in range(0 if limits.out_axons == UNLIMITED else ROUNDS):
        use = resource_use(edges, core, limits)
        parts = -(-use[:, OUT_AXONS] // max(limits.out_axons, 1))
        if parts.max(initial=0) < 2:
            break
        order = np.argsort(core, kind="stable")
        rank = np.empty(core.size, np.int64)
        rank[order] = np.arange(core.size) - np.searchsorted(core[order], core[order])
        part = rank * np.maximum(parts[core], 1) // use[core, NEURONS]
        part[pinned] = 0
        core = np.unique(core * (part.max() + 1) + part, return_inverse=True)[1].astype(np.int32)
    return core


def _split(graph: Hypergraph, core: Array, c: int, free: Array, seed: int) -> None:
    """Put half of a core's neurons, which hear the same nets, on a core of their own."""
    mine = np.flatnonzero((core == c) & free)
    if mine.size < 2:
        return
    half = overlapping(among(graph, mine), Limits(neurons=-(-mine.size // 2)), seed)
    core[mine[half == 1]] = core.max() + 1


def among(graph: Hypergraph, mine: Array) -> Hypergraph:
    """Take some of the neurons; nets of the others come from outside.

    Parameters
    ----------
    mine : int [n_mine]
        Ascending.
    """
    number = np.full(graph.n + 1, -1, np.int64)
    number[mine] = np.arange(mine.size)
    net = np.repeat(np.arange(graph.n_nets), np.diff(graph.start))
    kept = number[graph.target] >= 0
    size = np.bincount(net[kept], minlength=graph.n_nets)
    owner = number[graph.owner]
    order = np.lexsort((np.arange(graph.n_nets), np.where(owner < 0, graph.n, owner)))
    by_owner = np.argsort(np.argsort(order)[net[kept]], kind="stable")
    return replace(
        graph, start=np.concatenate([[0], np.cumsum(size[order])]),
        target=number[graph.target[kept][by_owner]].astype(np.int32), rate=graph.rate[order],
        owner=owner[order].astype(np.int32), kind=graph.kind[order], n=mine.size,
    )  # fmt: skip


def with_pins(
    graph: Hypergraph, limits: Limits, pins: Array | None,
    order: Callable[[Hypergraph, Limits], Core],
) -> Core:  # fmt: skip
    """Fill cores of pinned neurons, one for each place, then the others in an order; int32 [n]."""
    if pins is None or not np.any(pins >= 0):
        return order(graph, limits)
    free = np.flatnonzero(pins < 0)
    places, core = np.unique(pins[pins >= 0], return_inverse=True)
    rest = order(among(graph, free), among_limits(limits, free))
    if rest is None:
        return rest
    joined = np.empty(graph.n, np.int32)
    joined[pins >= 0] = core
    joined[free] = places.size + rest
    return joined  # type: ignore[return-value]


def among_limits(limits: Limits, mine: Array) -> Limits:
    """Take what is told of some of the neurons."""
    return replace(
        limits,
        compartments=None if limits.compartments is None else limits.compartments[mine],
        profile=None if limits.profile is None else limits.profile[mine],
    )
