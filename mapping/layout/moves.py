"""Improve a partition by moving neurons between cores, for packets times hops."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mapping.layout.hypergraph import MOST_KINDS
from mapping.layout.move_kernels import (
    COMPARTMENTS,
    N_RESOURCES,
    NEURONS,
    ROW,
    Cut,
    Edges,
    Rules,
    count_lists,
    fill_counts,
    fill_fares,
    refine,
)

Array = NDArray[Any]

UNLIMITED = 1 << 60
CHUNK = 1 << 14
"""Proposals of one compiled call: between calls ``stop`` is asked."""
ENTRIES = 60_000_000
"""Largest table of nets and cores, or of neurons and cores."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Limits:
    """What a core holds of lists of synapses, and what neurons take of it.

    A list is what one net has on one core. It cannot be said here that equal lists are stored once
    (shared weights of convolutions), or that indices are shorter on a core of few neurons: tables
    must have lists as long as they may come to be.

    Attributes
    ----------
    neurons : int
        Compartments, where ``compartments`` are told.
    in_axons, out_axons, words : int
        An in-axon is one list. Out-axons are one for each list of a neuron, those on its own core
        included.
    list_words : int64 [n_kinds, n_lengths], or [n_lengths] for one kind, optional
        Words of synapse memory of a list of 0, 1, 2, … synapses: dense ones, or sparse ones with
        their indices, in each weight format. None are counted without it.
    compartments : int [n], optional
        Of each neuron; 1 where it is not given.
    profile : int [n, n_tables], optional
        What is set for each neuron in tables of the core: neuron constants, thresholds, or what
        all neurons of a core must have in common.
    profiles : sequence of int [n_tables]
        How many different entries each of these tables holds.
    """

    neurons: int
    in_axons: int = UNLIMITED
    out_axons: int = UNLIMITED
    words: int = UNLIMITED
    list_words: Array | None = None
    compartments: Array | None = None
    profile: Array | None = None
    profiles: Sequence[int] = ()

    @property
    def only_neurons(self) -> bool:
        """Whether nothing but the number of neurons is limited."""
        unlimited = min(self.in_axons, self.out_axons, self.words) == UNLIMITED
        return unlimited and self.compartments is None and not self.profiles

    def rules(self, n: int, room: int | None = None) -> Rules:
        """Return what kernels are told.

        Parameters
        ----------
        n : int
            Neurons of the network.
        room : int, optional
            Neurons that a core may come to hold, if more than it should.

        Raises
        ------
        ValueError
            If ``list_words`` ends before the longest list of such a core, a neuron has no
            compartment, or profiles are not told for each neuron and table.
        """
        room = min(max(self.neurons, room or 0), n)
        words = np.zeros((1, room + 2), np.int64)
        if self.list_words is not None:
            words = np.atleast_2d(np.asarray(self.list_words, np.int64))
        if len(words) == 1:  # one table for all kinds
            words = np.repeat(words, MOST_KINDS, axis=0)
        if words.shape[1] < room + 2:
            raise ValueError(
                f"list_words: ends at lists of {words.shape[1] - 1:,} synapses, but one of "
                f"{room + 1:,} may come up on a core of {room:,} neurons; give more"
            )
        size = np.ones(n, np.int64) if self.compartments is None else self.compartments
        if np.shape(size) != (n,) or np.any(size < 1):
            raise ValueError(f"compartments: give 1 or more for each of the {n:,} neurons")
        limit = [self.neurons, self.neurons, self.in_axons, self.out_axons, self.words]
        return Rules(
            np.array([*limit, *self.profiles], np.int64), np.ascontiguousarray(words),
            np.ascontiguousarray(size, np.int64), self._numbered_profiles(n),
        )  # fmt: skip

    def _numbered_profiles(self, n: int) -> Array:
        """Number profiles through all tables; int64 [n, n_tables]."""
        profile = np.empty((n, 0)) if self.profile is None else np.asarray(self.profile)
        if profile.shape != (n, len(self.profiles)):
            raise ValueError(
                f"profile: {profile.shape} for {n:,} neurons and {len(self.profiles)} tables"
            )
        numbered, used = np.empty(profile.shape, np.int64), 0
        for k in range(profile.shape[1]):
            distinct, number = np.unique(profile[:, k], return_inverse=True)
            numbered[:, k] = used + number
            used += distinct.size
        return numbered


def cut_of(edges: Edges, core: Array, limits: Limits, room: int) -> Cut:
    """Count everything of a partition.

    Parameters
    ----------
    room : int
        Neurons that a core may come to hold; at least as many as one holds now.
    """
    room = max(room, int(np.bincount(core).max(initial=0)))
    n, n_cores = core.size, int(core.max(initial=-1)) + 1
    rules = limits.rules(n, room)
    cut = Cut(
        core.astype(np.int32),
        np.zeros((edges.rate.size, n_cores), np.uint16 if room < 1 << 16 else np.uint32),
        np.zeros((edges.rate.size, n_cores), np.int32),
        np.zeros((n_cores, room + 1), np.int32),  # one more during an exchange
        np.zeros(n, np.int32),
        np.zeros((n_cores, rules.limit.size), np.int64),
        np.zeros((n_cores, int(rules.profile.max(initial=-1)) + 1), np.int32),
    )
    fill_counts(edges, cut, rules)
    return cut


def resource_use(edges: Edges, core: Array, limits: Limits) -> Array:
    """Count what each core takes; int64 [n_cores, 5 + n_tables].

    Neurons, compartments, in-axons, out-axons, words, and distinct profiles of each table.
    """
    held = np.bincount(core)
    rules = limits.rules(core.size, int(held.max(initial=1)))
    use = np.zeros((held.size, rules.limit.size), np.int64)
    use[:, NEURONS] = held
    np.add.at(use[:, COMPARTMENTS], core, rules.compartments)
    for k in range(rules.profile.shape[1]):
        most = int(rules.profile.max(initial=0)) + 1
        pairs = np.unique(core * np.int64(most) + rules.profile[:, k])
        use[:, N_RESOURCES + k] = np.bincount(pairs // most, minlength=held.size)
    scratch = np.zeros(held.size, np.int64)
    count_lists(edges, core.astype(np.int32), rules, use, scratch, scratch.copy())
    return use


def excess_of(use: Array, limit: Array) -> Array:
    """Add up by which shares of its limits each core is over them; float64 [n_cores]."""
    return np.asarray((np.maximum(use - limit, 0) / np.maximum(limit, 1)).sum(axis=1))


def tables_fit(edges: Edges, n_cores: int) -> bool:
    """Whether moves have room for their tables."""
    n = max(edges.rate.size, edges.first.size - 1)
    return n * n_cores <= ENTRIES


def moves_cost(edges: Edges, n_cores: int) -> int:
    """Steps that it takes to fill the tables of moves."""
    return (edges.target.size + edges.rate.size) * (2 + n_cores // ROW)


class Moves(NamedTuple):
    """What moves have done: hops that are added, and the steps that it took."""

    added: float
    steps: int


def moved(
    edges: Edges,
    cut: Cut,
    limits: Limits,
    hop: Array,
    rng: np.random.Generator,
    n_proposals: int,
    *,
    heat: float = 0.0,
    most_steps: int = UNLIMITED,
    until_legal: bool = False,
    pinned: Array | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> Moves:
    """Propose moves and exchanges, changing ``cut``.

    Parameters
    ----------
    hop : int [n_cores, n_cores]
    heat : float
        Cost, in hops of an average spike, that is accepted at first with chance 1/e. It falls to 0.
    most_steps : int
        Entries of tables that are looked at, about, before it ends early: no clock is asked, so
        that results are the same everywhere.
    until_legal : bool
        Whether to end as soon as no core exceeds a limit.
    pinned : bool [n], optional
        Neurons that must stay, on cores that nobody joins.
    stop : callable
        Whether to end early.
    """
    n, n_cores = cut.core.size, cut.reach.shape[1]
    if n_cores < 2:
        return Moves(0.0, 0)
    fare = np.zeros((n, n_cores))
    closed = np.zeros(n_cores, np.bool_)
    if pinned is not None:
        closed[cut.core[pinned]] = True
    hop = np.ascontiguousarray(hop, np.float64)
    mark, extra = np.full(edges.rate.size, -1, np.int64), np.zeros(n_cores)
    fill_fares(edges, cut, hop, fare, extra)
    chunks = -(-n_proposals // CHUNK)
    size = -(-n_proposals // max(chunks, 1))
    heats = heat * float(edges.rate.mean()) * np.linspace(1, 0, chunks + 1)
    price = 10.0 * float(edges.rate.sum()) * float(hop.max())
    work = np.full(1, moves_cost(edges, n_cores), np.int64)
    rules, added = limits.rules(n, cut.member.shape[1] - 1), 0.0
    limited = not limits.only_neurons
    for k in range(chunks):
        legal = until_legal and not (cut.use > rules.limit).any()
        if legal or work[0] > most_steps or stop():
            break
        added += refine(
            edges, cut, rules, closed, hop, fare, rng.random((size, 5)), heats[k], heats[k + 1],
            mark, k * size, extra, limited, price, work, most_steps, until_legal and limited,
        )  # fmt: skip
    return Moves(added, int(work[0]))
