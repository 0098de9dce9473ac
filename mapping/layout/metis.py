"""Partitions by METIS, which comes with the optional extra ``metis``.

METIS cuts edges (G. Karypis and V. Kumar, SIAM J. Sci. Comput. 20(1), 1998), but a spike costs a
packet for each *core* that it reaches, however many of its targets lie there. So each net becomes
edges that are dear to cut in about as many places as it reaches cores: `star` gives it a vertex of
its own beside all its pins, `cycles` leads random cycles through them, which stand for the clique
of all pairs and have far fewer edges. Neither is always better.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mapping.layout.hypergraph import Hypergraph
from mapping.layout.move_kernels import Edges
from mapping.layout.moves import Limits
from traces.errors import MissingExtraError

Array = NDArray[Any]

CYCLES = 2
"""Random cycles through the pins of each net."""
FINENESS = 100
"""Weight of an edge of mean weight: METIS adds up integers."""


class Ties(NamedTuple):
    """Edges of a graph of neurons, and of vertices behind them that weigh nothing.

    Attributes
    ----------
    n : int
        Vertices.
    one, other : int64 [n_edges]
    weight : float64 [n_edges]
    """

    n: int
    one: Array
    other: Array
    weight: Array


def star(edges: Edges, n: int, rng: np.random.Generator) -> Ties:
    """Tie every neuron of a net to a vertex that stands for the net."""
    net, pin = _pins(edges)
    return Ties(n + edges.rate.size, n + net, pin, edges.rate[net])


def cycles(edges: Edges, n: int, rng: np.random.Generator) -> Ties:
    """Tie the neurons of a net along random cycles; a cut of a cycle costs half of its rate."""
    net, pin = _pins(edges)
    size = np.bincount(net, minlength=edges.rate.size)
    last = np.cumsum(size)[size > 0] - 1
    ties = []
    for _ in range(CYCLES):
        mixed = pin[np.argsort(net + rng.random(net.size), kind="stable")]
        beside = np.roll(mixed, -1)
        beside[last] = mixed[last + 1 - size[size > 0]]
        ties.append((mixed, beside))
    one, other = (np.concatenate(ends) for ends in zip(*ties, strict=True))
    apart = one != other
    return Ties(n, one[apart], other[apart], np.tile(edges.rate[net], CYCLES)[apart])


EXPANSIONS: Mapping[str, Callable[[Edges, int, np.random.Generator], Ties]] = {
    "star": star,
    "cycles": cycles,
}


def _pins(edges: Edges) -> tuple[Array, Array]:
    """Nets and their neurons, targets and the one that fires; net by net."""
    size = np.diff(edges.start)
    fires = np.flatnonzero((edges.owner >= 0) & (size > 0))
    net = np.concatenate([np.repeat(np.arange(size.size), size), fires])
    pin = np.concatenate([edges.target, edges.owner[fires]]).astype(np.int64)
    order = np.argsort(net, kind="stable")
    return net[order], pin[order]


def by_metis(
    graph: Hypergraph, limits: Limits, n_parts: int, expansion: str, seed: int = 0
) -> Array:
    """Cut a network into parts of about equal size; int32 [n], from 0 without gaps.

    Compartments alone are balanced: limits may be broken by a few of them, and by all else.

    Parameters
    ----------
    expansion : str
        A key of `EXPANSIONS`.

    Raises
    ------
    MissingExtraError
        If pymetis is not installed.
    """
    try:
        import pymetis
    except ImportError:
        raise MissingExtraError(
            "partitioner metis: it needs pymetis, which is not installed; install spikefab[metis], "
            "or take the partitioner traffic"
        ) from None
    ties = EXPANSIONS[expansion](graph.edges, graph.n, np.random.default_rng(seed))
    if n_parts < 2 or not ties.one.size:
        return np.asarray(np.arange(graph.n) * n_parts // max(graph.n, 1), np.int32)
    size = np.zeros(ties.n, np.int64)
    size[: graph.n] = 1 if limits.compartments is None else limits.compartments
    start, other, weight = _both_ways(ties)
    found = pymetis.part_graph(
        n_parts, pymetis.CSRAdjacency(start, other), vweights=size, eweights=weight,
        options=pymetis.Options(seed=seed),
    )  # fmt: skip
    part = np.asarray(found.vertex_part)[: graph.n]
    return np.unique(part, return_inverse=True)[1].astype(np.int32)


def _both_ways(ties: Ties) -> tuple[Array, Array, Array]:
    """List the neighbours of each vertex, with whole weights of at least 1."""
    one, other = (np.concatenate(ends) for ends in ((ties.one, ties.other), (ties.other, ties.one)))
    weight = np.maximum(np.rint(ties.weight * (FINENESS / ties.weight.mean())), 1)
    order = np.argsort(one, kind="stable")
    start = np.searchsorted(one[order], np.arange(ties.n + 1))
    return start, other[order], np.tile(weight, 2)[order].astype(np.int64)
