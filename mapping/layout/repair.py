"""Partitions that break a limit are made to keep it: by moves first, then by splits.

Out-axons of a core depend on where its neurons' targets lie, so that no fill can see to them.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from mapping.layout.floor import Floor
from mapping.layout.hypergraph import Hypergraph
from mapping.layout.move_kernels import Edges
from mapping.layout.moves import Limits, cut_of, moved
from mapping.layout.orders import overlapping

Array = NDArray[Any]
Core = TypeVar("Core", bound=Array | None)

PROPOSALS = 1 << 18
ROUNDS = 6
NAMES = ("neurons", "compartments", "in-axons", "out-axons", "words of synapse memory")


def over_limits(edges: Edges, limits: Limits, core: Array) -> list[str]:
    """Tell which cores are over which limit, with the numbers."""
    if limits.only_neurons:
        held = np.bincount(core, minlength=1)
        return [
            f"core {c}: {held[c]:,} neurons of {limits.neurons:,}"
            for c in np.flatnonzero(held > limits.neurons)
        ]
    use = cut_of(edges, core, limits, limits.neurons).use
    limit = limits.rules(core.size).limit
    return [
        f"core {c}: {use[c, k]:,} {_name(k)} of {limit[k]:,}"
        for c, k in np.argwhere(use > limit).tolist()
    ]


def _name(column: int) -> str:
    return NAMES[column] if column < len(NAMES) else f"profiles of table {column - len(NAMES)}"


def repaired(
    edges: Edges, graph: Hypergraph, limits: Limits, floor: Floor, core: Array, pinned: Array,
    rng: np.random.Generator, stop: Callable[[], bool],
) -> Array:  # fmt: skip
    """Move neurons while a limit is broken, and split cores that stay over one; int32 [n].

    Cores are taken to lie one hop from each other: where they come to lie is not known yet.
    Limits may still be broken in the end, where the floor has no more places.
    """
    for _ in range(ROUNDS):
        over = over_limits(edges, limits, core)
        if not over or stop():
            break
        n_cores = int(core.max(initial=-1)) + 1
        cut = cut_of(edges, core, limits, limits.neurons)
        moved(edges, cut, limits, 1 - np.eye(n_cores), rng, PROPOSALS, pinned=pinned, stop=stop)
        core = cut.core
        use = cut_of(edges, core, limits, limits.neurons).use
        limit = limits.rules(core.size).limit
        broken = np.flatnonzero(np.any(use > limit, axis=1))
        for c in broken[: floor.n_places - n_cores]:
            _split(graph, core, int(c), ~pinned, int(rng.integers(1 << 31)))
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
