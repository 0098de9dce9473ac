"""Partitions to begin with: which neurons share a core, before anybody moves.

Every one keeps each limit but that of out-axons, which depend on all cores together; moves and
splits repair those afterwards. What takes more than a whole core lies alone on one.
"""

from collections.abc import Sequence
from math import isqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mapping.layout.hypergraph import Hypergraph
from mapping.layout.move_kernels import Edges, Rules
from mapping.layout.moves import Limits, edges_of
from mapping.layout.order_kernels import NOWHERE, SILENT, Filling, fill_in_order, grow

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


def in_order(graph: Hypergraph, limits: Limits, order: Array, border: Array) -> Array:
    """Fill cores in any order; int32 [n].

    Parameters
    ----------
    order : int64 [n]
        All neurons.
    border : bool [n]
        Whether a new core begins with this entry of ``order``.
    """
    edges, rules = edges_of(graph), limits.rules(graph.n)
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
    return _overlapping(edges_of(graph), limits.rules(graph.n), np.random.default_rng(seed))


def _overlapping(edges: Edges, rules: Rules, rng: np.random.Generator) -> Array:
    n = edges.first.size - 1
    core = np.full(n, NOWHERE, np.int32)
    fan_in = np.diff(edges.source_start)
    total = np.bincount(np.repeat(np.arange(n), fan_in), edges.rate[edges.source], minlength=n)
    noise = SILENT * (0.1 + 0.8 * rng.random(n))
    n_cores = grow(
        edges, rules, _empty(edges, rules), rng.permutation(n), total, noise, core,
        np.empty(n), np.empty(max(isqrt(n), 1)), np.empty(n, np.int64),
    )  # fmt: skip
    deaf = np.flatnonzero(core == NOWHERE)
    by_goal = deaf[np.lexsort((noise[deaf], _main_goal(edges, core, n_cores)[deaf]))]
    order = np.concatenate([np.argsort(core, kind="stable")[deaf.size :], by_goal])
    border = np.zeros(n, np.bool_)
    border[1:] = np.diff(core[order]) > 0
    return _in_order(edges, rules, order, border)


def _main_goal(edges: Edges, core: Array, n_cores: int) -> Array:
    """Core with most targets of each neuron, ``n_cores`` where there is none; int64 [n]."""
    n = core.size
    owner = np.repeat(edges.owner, np.diff(edges.start))
    goal = core[edges.target]
    known = (owner >= 0) & (goal != NOWHERE)
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
