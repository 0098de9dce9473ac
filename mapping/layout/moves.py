"""Improve a partition by moving neurons between cores, for packets times hops."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mapping.layout.hypergraph import Hypergraph
from mapping.layout.move_kernels import (
    IN_AXONS,
    N_RESOURCES,
    NEURONS,
    OUT_AXONS,
    WORDS,
    Cut,
    Edges,
    Rules,
    fill_counts,
    fill_fares,
    refine,
)

Array = NDArray[Any]

UNLIMITED = 1 << 60
CHUNK = 1 << 16
"""Proposals of one compiled call: between calls ``stop`` is asked."""
FLOOR_RATE = 0.01
"""Share of the average rate that a silent neuron counts with, so that it lies where it would cost
little if it fired on other data."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Limits:
    """What a core holds of flat lists of synapses.

    Attributes
    ----------
    neurons, in_axons, out_axons, words : int
        Out-axons are one for each neuron and core that it reaches, its own included.
    list_words : int64 [neurons + 2 or more], optional
        Words of synapse memory of a list of so many synapses; none are counted without it.
    """

    neurons: int
    in_axons: int = UNLIMITED
    out_axons: int = UNLIMITED
    words: int = UNLIMITED
    list_words: Array | None = None

    @property
    def only_neurons(self) -> bool:
        """Whether nothing else is limited."""
        return min(self.in_axons, self.out_axons, self.words) == UNLIMITED

    def rules(self, room: int | None = None) -> Rules:
        """Return what kernels are told.

        Parameters
        ----------
        room : int, optional
            Neurons that a core may come to hold, if more than it should.

        Raises
        ------
        ValueError
            If ``list_words`` ends before the longest list of such a core.
        """
        room = max(self.neurons, room or 0)
        limit = np.empty(N_RESOURCES, np.int64)
        limit[NEURONS], limit[IN_AXONS] = self.neurons, self.in_axons
        limit[OUT_AXONS], limit[WORDS] = self.out_axons, self.words
        if self.list_words is None:
            return Rules(limit, np.zeros(room + 2, np.int64))
        if self.list_words.size < room + 2:
            raise ValueError(
                f"list_words: ends at lists of {self.list_words.size - 1:,} synapses, but one of "
                f"{room + 1:,} may come up on a core of {room:,} neurons; give more"
            )
        return Rules(limit, np.asarray(self.list_words, np.int64))


def edges_of(graph: Hypergraph) -> Edges:
    """Both ways, without synapses onto oneself, no rate 0."""
    source = np.repeat(np.arange(graph.n, dtype=np.int32), np.diff(graph.start))
    apart = source != graph.target
    own = np.zeros(graph.n, np.bool_)
    own[source[~apart]] = True
    rest = graph
    if own.any():
        size = np.diff(graph.start) - own
        rest = Hypergraph(
            start=np.concatenate([[0], np.cumsum(size)]), target=graph.target[apart],
            rate=graph.rate,
        )  # fmt: skip
    rate = np.maximum(graph.rate, FLOOR_RATE * graph.rate.mean()) if graph.n else graph.rate
    if not rate.any():
        rate = np.ones(graph.n)
    return Edges(rest.start, rest.target, *rest.sources, rate, own)


def cut_of(edges: Edges, core: Array, limits: Limits, room: int) -> Cut:
    """Count everything of a partition.

    Parameters
    ----------
    room : int
        Neurons that a core may come to hold; at least as many as one holds now.
    """
    room = max(room, int(np.bincount(core).max(initial=0)))
    n, n_cores = core.size, int(core.max(initial=-1)) + 1
    cut = Cut(
        core.astype(np.int32),
        np.zeros((n, n_cores), np.uint16 if room < 1 << 16 else np.uint32),
        np.zeros((n_cores, room + 1), np.int32),  # one more during an exchange
        np.zeros(n, np.int32),
        np.zeros((n_cores, N_RESOURCES), np.int64),
    )
    fill_counts(edges, cut, limits.rules(room))
    return cut


def resource_use(graph: Hypergraph, core: Array, limits: Limits) -> Array:
    """Neurons, in-axons, out-axons and words that each core takes; int64 [n_cores, 4]."""
    room = int(np.bincount(core).max(initial=1))
    return cut_of(edges_of(graph), core, limits, room).use


def moved(
    edges: Edges,
    cut: Cut,
    limits: Limits,
    hop: Array,
    rng: np.random.Generator,
    n_proposals: int,
    *,
    heat: float = 0.0,
    stop: Callable[[], bool] = lambda: False,
) -> float:
    """Propose moves and exchanges, changing ``cut``; return the hops that are added.

    Parameters
    ----------
    hop : int [n_cores, n_cores]
    heat : float
        Cost, in hops of an average spike, that is accepted at first with chance 1/e. It falls to 0.
    stop : callable
        Whether to end early.
    """
    n, n_cores = cut.reach.shape
    if n_cores < 2:
        return 0.0
    fare = np.zeros((n, n_cores))
    hop = np.ascontiguousarray(hop, np.float64)
    fill_fares(edges, cut, hop, fare)
    mark, extra = np.full(n, -1, np.int64), np.zeros(n_cores)
    chunks = -(-n_proposals // CHUNK)
    size = -(-n_proposals // max(chunks, 1))
    heats = heat * float(edges.rate.mean()) * np.linspace(1, 0, chunks + 1)
    price = 10.0 * float(edges.rate.sum()) * float(hop.max())
    rules, added = limits.rules(cut.member.shape[1]), 0.0
    for k in range(chunks):
        if stop():
            break
        added += refine(
            edges, cut, rules, hop, fare, rng.random((size, 5)), heats[k], heats[k + 1],
            mark, k * size, extra, not limits.only_neurons, price,
        )  # fmt: skip
    return added
