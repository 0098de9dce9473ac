"""Partitions to begin with: which neurons share a core, before anybody moves.

Every one keeps each limit but that of out-axons, which depend on all cores together; moves and
splits repair those afterwards. What takes more than a whole core lies alone on one.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mapping.layout.hypergraph import Hypergraph, flows
from mapping.layout.move_kernels import Edges, Rules
from mapping.layout.moves import Limits
from mapping.layout.order_kernels import NOWHERE, SILENT, Filling, fill_in_order, grow
from mapping.layout.tiles import Shape, tile_orders
from traces.jit import kernel

Array = NDArray[Any]


def sequential(graph: Hypergraph, limits: Limits, layers: Sequence[int] = ()) -> Array:
    """Fill cores in the given order: the baseline.

    Parameters
    ----------
    layers : sequence of int
        First neurons of layers that begin on a core of their own.

    Returns
    -------
    int32 [n]
        Core of each neuron, from 0 without gaps.
    """
    border = np.zeros(graph.n, np.bool_)
    border[[at for at in layers if at < graph.n]] = True
    return in_order(graph, limits, np.arange(graph.n), border)


def aligned(graph: Hypergraph, limits: Limits, sizes: Sequence[int]) -> Array:
    """Fill cores layer by layer, those of a layer as evenly as it goes; int32 [n].

    Parameters
    ----------
    sizes : sequence of int
        Neurons of each layer.
    """
    return evenly(graph, limits, np.arange(graph.n), np.repeat(np.arange(len(sizes)), sizes))


def twinned(graph: Hypergraph, limits: Limits) -> Array | None:
    """Fill cores evenly with neurons that hear the very same nets, or else reach the same.

    These are dense layers, however their neurons are numbered.

    Returns
    -------
    int32 [n] or None
        None where most neurons are like no other.
    """
    mark = np.random.default_rng(0).integers(1 << 62, size=graph.n_nets + graph.n, dtype=np.uint64)
    twin = np.zeros((graph.n, 2), np.uint64)
    _mark_twins(*graph.sources, mark[: graph.n_nets], twin[:, 0])
    deaf = twin[:, 0] == 0
    _mark_goals(graph.start, graph.target, graph.first, mark[graph.n_nets :], twin[:, 1])
    twin[~deaf, 1] = 0
    _, kind = np.unique(twin, axis=0, return_inverse=True)
    if graph.n == 0 or kind.max() + 1 > graph.n // 16:
        return None
    kind = kind.reshape(-1)
    first = np.full(kind.max() + 1, graph.n)
    np.minimum.at(first, kind, np.arange(graph.n))
    return evenly(graph, limits, np.argsort(first[kind], kind="stable"), np.sort(first[kind]))


def tiled(graph: Hypergraph, limits: Limits, shapes: Sequence[Shape]) -> list[Array]:
    """Fill cores with boxes of layers that have geometry, best first by packets.

    Parameters
    ----------
    shapes : sequence of tuple of int
        Channels, rows and columns of each layer.
    """
    edges, rules = graph.edges, limits.rules(graph.n)
    found = [_in_order(edges, rules, *order) for order in tile_orders(shapes, limits.neurons)]
    return sorted(found, key=lambda core: flows(graph, core).packets)


def evenly(graph: Hypergraph, limits: Limits, order: Array, layer: Array) -> Array:
    """Fill cores in an order, with equal parts of each layer where limits allow it; int32 [n].

    Parameters
    ----------
    layer : int [n]
        Layer of each entry of ``order``, ascending.
    """
    edges, rules = graph.edges, limits.rules(graph.n)
    border = np.diff(layer, prepend=layer[:1]) > 0
    core = _in_order(edges, rules, order, border)
    begins = np.concatenate([[0], np.flatnonzero(border), [order.size]])
    for first, last in pairwise(begins):
        parts = np.unique(core[order[first:last]]).size
        border[first + (np.arange(1, parts) * (last - first)) // max(parts, 1)] = True
    return _in_order(edges, rules, order, border)


def in_order(graph: Hypergraph, limits: Limits, order: Array, border: Array) -> Array:
    """Fill cores in any order; int32 [n].

    Parameters
    ----------
    order : int64 [n]
        All neurons.
    border : bool [n]
        Whether a new core begins with this entry of ``order``.
    """
    edges, rules = graph.edges, limits.rules(graph.n)
    return _in_order(edges, rules, order, border)


def _in_order(edges: Edges, rules: Rules, order: Array, border: Array) -> Array:
    core = np.full(order.size, NOWHERE, np.int32)
    fill_in_order(edges, rules, _empty(edges, rules), order, border, core)
    return core


def overlapping(graph: Hypergraph, limits: Limits, seed: int = 0) -> Array:
    """Fill each core with neurons that hear the nets that it has already; int32 [n].

    The next neuron is always that with the largest share of its sources' spikes on the core
    (overlap of hyperedges, after Ronzani and Silvano, arXiv 2601.16118). Seeds and the choice
    between equals are random, so that the numbering of neurons makes no difference.
    """
    return _overlapping(graph.edges, limits.rules(graph.n), np.random.default_rng(seed))


def _overlapping(edges: Edges, rules: Rules, rng: np.random.Generator) -> Array:
    n = edges.first.size - 1
    core = np.full(n, NOWHERE, np.int32)
    share, noise = np.zeros(n), SILENT * (0.1 + 0.8 * rng.random(n))
    _hear(edges, share)
    np.divide(1.0, share, out=share, where=share > 0)
    shift = n.bit_length() // 2
    n_cores = grow(
        edges, rules, _empty(edges, rules), rng.permutation(n), share, noise, core,
        np.empty(n), np.empty((n >> shift) + 1), shift, np.empty(n, np.int64),
        edges.target.copy(), edges.start[1:].copy(),
    )  # fmt: skip
    deaf = np.flatnonzero(core == NOWHERE)
    if not deaf.size:
        return core
    by_goal = deaf[np.lexsort((noise[deaf], _main_goal(edges, core, n_cores)[deaf]))]
    order = np.concatenate([np.argsort(core, kind="stable")[deaf.size :], by_goal])
    border = np.zeros(n, np.bool_)
    border[1:] = np.diff(core[order]) > 0
    return _in_order(edges, rules, order, border)


def _main_goal(edges: Edges, core: Array, n_cores: int) -> Array:
    """Core with most targets of each neuron that has none yet; int64 [n].

    ``n_cores`` where there is none, and for the others.
    """
    n = core.size
    asks = (edges.owner >= 0) & (core[edges.owner] == NOWHERE)
    mine = np.repeat(asks, np.diff(edges.start))
    owner = np.repeat(edges.owner[asks], np.diff(edges.start)[asks])
    goal = core[edges.target[mine]]
    known = goal != NOWHERE
    key, times = np.unique(owner[known] * np.int64(n_cores) + goal[known], return_counts=True)
    best = np.lexsort((times, key // max(n_cores, 1)))
    found = np.full(n, n_cores, np.int64)
    found[key[best] // max(n_cores, 1)] = key[best] % max(n_cores, 1)
    return found


def _empty(edges: Edges, rules: Rules) -> Filling:
    return Filling(
        np.zeros(rules.limit.size, np.int64), np.zeros(edges.rate.size, np.int32),
        np.zeros(int(rules.profile.max(initial=-1)) + 1, np.int32),
    )  # fmt: skip


@kernel
def _hear(edges: Edges, total: Array) -> None:
    """Add up the rates of the nets that end at each neuron."""
    for u in range(total.size):
        for k in range(edges.source_start[u], edges.source_start[u + 1]):
            total[u] += edges.rate[edges.source[k]]


@kernel
def _mark_twins(start: Array, source: Array, mark: Array, twin: Array) -> None:
    for u in range(twin.size):
        for k in range(start[u], start[u + 1]):
            twin[u] += mark[source[k]]


@kernel
def _mark_goals(start: Array, target: Array, first: Array, mark: Array, twin: Array) -> None:
    for u in range(twin.size):
        for k in range(start[first[u]], start[first[u + 1]]):
            twin[u] += mark[target[k]]
