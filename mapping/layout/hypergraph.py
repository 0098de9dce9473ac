"""Who reaches whom, spike by spike, and what a partition of it makes cores send each other.

A neuron and its targets are one hyperedge: a spike costs one packet for each *distinct* core that
holds a target of it, whatever the number of its synapses there.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from traces.jit import kernel

Array = NDArray[Any]

MOST_KINDS = 64
"""Kinds of lists that nets can have."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Hypergraph:
    """Targets and spike rates of nets.

    A net is what one spike of a neuron sends as one packet to each core that it reaches. A neuron
    has one, unless the chip needs more: one for each weight format, or for each delay where the
    packet carries it. Nets from outside the chip have no neuron; they take axons and memory
    where they end, but no packet is counted for them.

    Attributes
    ----------
    start : int64 [n_nets + 1]
        Targets of net ``e`` are ``target[start[e]:start[e + 1]]``.
    target : int32 [n_synapses]
        Neurons, each once in a net: parallel synapses cost no second packet.
    rate : float64 [n_nets]
        Spikes in the time that traffic is counted over.
    owner : int32 [n_nets]
        Neuron that fires, ascending; then nets from outside, -1.
    kind : int64 [n_nets]
        Which table tells how long its lists are (`Limits.list_words`).
    n : int
        Neurons.
    """

    start: Array
    target: Array
    rate: Array
    owner: Array
    kind: Array
    n: int

    @property
    def n_nets(self) -> int:
        """Nets, those from outside included."""
        return self.start.size - 1

    @staticmethod
    def of(
        start: Array,
        target: Array,
        rate: Array | None = None,
        *,
        n: int | None = None,
        owner: Array | None = None,
        kind: Array | None = None,
    ) -> "Hypergraph":
        """Check lists of targets, and make each target unique in its list.

        Parameters
        ----------
        start : int [n_nets + 1]
        target : int [n_synapses]
        rate : float [n_nets], optional
            1 for every net where there is none.
        n : int, optional
            Neurons; as many as nets where it is not given.
        owner : int [n_nets], optional
            Neuron of each net; each has one where it is not given.
        kind : int [n_nets], optional
            0 for every net where it is not given.

        Raises
        ------
        ValueError
            If lists do not follow each other, a target or an owner is no neuron, nets are not in
            the order of their neurons, or a rate is negative or no number.
        """
        start, target = np.asarray(start, np.int64), np.asarray(target)
        n_nets = start.size - 1
        n = n_nets if n is None else n
        if n_nets < 0 or start[0] != 0 or start[-1] != target.size or np.any(np.diff(start) < 0):
            raise ValueError(
                f"start: lists of targets must follow each other from 0 to {target.size:,}"
            )
        if target.size and (target.min() < 0 or target.max() >= n):
            wrong = target[(target < 0) | (target >= n)][0]
            raise ValueError(f"target: {wrong:,} is none of the {n:,} neurons")
        rates = np.ones(n_nets) if rate is None else np.array(rate, np.float64)
        if rates.shape != (n_nets,):
            raise ValueError(f"rate: {rates.shape} rates for {n_nets:,} nets; give one for each")
        if not np.all(np.isfinite(rates)) or np.any(rates < 0):
            at = int(np.flatnonzero(~np.isfinite(rates) | (rates < 0))[0])
            raise ValueError(f"rate: that of net {at:,} is {rates[at]}; rates are 0 or more")
        if (
            kind is not None
            and np.size(kind)
            and not 0 <= np.min(kind) <= np.max(kind) < MOST_KINDS
        ):
            raise ValueError(f"kind: {np.min(kind)} to {np.max(kind)}; there are {MOST_KINDS}")
        kept = np.empty(target.size, np.int32)
        size = _unique_targets(start, target.astype(np.int32), kept, np.full(n, -1, np.int64))
        return Hypergraph(
            start=np.concatenate([[0], np.cumsum(size)]), target=kept[: size.sum()], rate=rates,
            owner=_checked_owner(owner, n_nets, n),
            kind=np.zeros(n_nets, np.int64) if kind is None else np.asarray(kind, np.int64), n=n,
        )  # fmt: skip

    @cached_property
    def sources(self) -> tuple[Array, Array]:
        """Nets that end at each neuron: start int64 [n + 1] and net int32 [n_synapses]."""
        fan_in = np.bincount(self.target, minlength=self.n)
        start = np.concatenate([[0], np.cumsum(fan_in)])
        source = np.empty(self.target.size, np.int32)
        _transpose(self.start, self.target, start[:-1].copy(), source)
        return start, source

    @cached_property
    def first(self) -> Array:
        """Nets of neuron ``u`` are ``first[u]`` to ``first[u + 1]``, exclusive; int64 [n + 1]."""
        inside = self.owner[: np.count_nonzero(self.owner >= 0)]
        return np.searchsorted(inside, np.arange(self.n + 1))


def _checked_owner(owner: Array | None, n_nets: int, n: int) -> Array:
    if owner is None:
        if n_nets != n:
            raise ValueError(f"owner: {n_nets:,} nets of {n:,} neurons need an owner each")
        return np.arange(n, dtype=np.int32)
    owner = np.asarray(owner, np.int32)
    if owner.shape != (n_nets,):
        raise ValueError(f"owner: {owner.shape} owners of {n_nets:,} nets; give one for each")
    if owner.size and (owner.min() < -1 or owner.max() >= n):
        raise ValueError(f"owner: {owner.min():,} to {owner.max():,}, but there are {n:,} neurons")
    last = np.where(owner < 0, n, owner)
    if np.any(np.diff(last) < 0):
        raise ValueError("owner: nets must be in the order of their neurons, outside ones last")
    return owner


class Traffic(NamedTuple):
    """What a partition and its placement cost.

    Attributes
    ----------
    packets : float
        Spikes times the other cores that each reaches.
    local : float
        Deliveries to the own core; they take no hop.
    hops : float
        Packets times their ways.
    """

    packets: float
    local: float
    hops: float


@dataclass(frozen=True, kw_only=True, eq=False)
class Flows:
    """Packets between cores, both ways together, each core with its partners.

    Attributes
    ----------
    start : int64 [n_cores + 1]
    other : int32 [n_flows]
        Partners of core ``c`` are ``other[start[c]:start[c + 1]]``, ascending, itself never.
    weight : float64 [n_flows]
    local : float
        Deliveries within cores.
    """

    start: Array
    other: Array
    weight: Array
    local: float = 0.0

    @property
    def n_cores(self) -> int:
        """Cores, those without any flow included."""
        return self.start.size - 1

    @property
    def packets(self) -> float:
        """All packets of the network: each flow is listed at both of its ends."""
        return float(self.weight.sum()) / 2

    @staticmethod
    def of(n_cores: int, source: Array, target: Array, packets: Array) -> "Flows":
        """Join one-way flows, in any order and number.

        Parameters
        ----------
        source, target : int [n]
        packets : float [n]
        """
        apart = source != target
        ends = np.concatenate([source[apart], target[apart]]).astype(np.int64)
        others = np.concatenate([target[apart], source[apart]]).astype(np.int64)
        key, at = np.unique(ends * n_cores + others, return_inverse=True)
        weight = np.bincount(at, np.tile(packets[apart], 2), minlength=key.size)
        core, other = np.divmod(key, max(n_cores, 1))
        start = np.searchsorted(core, np.arange(n_cores + 1))
        return Flows(
            start=start, other=other.astype(np.int32), weight=weight,
            local=float(packets[~apart].sum()),
        )  # fmt: skip


def flows(graph: Hypergraph, core: Array) -> Flows:
    """Count what the cores of a partition send each other.

    Parameters
    ----------
    core : int [n]
        Core of each neuron, from 0 without gaps.
    """
    core = np.asarray(core, np.int32)
    n_cores = int(core.max(initial=-1)) + 1
    home = core[graph.owner[: graph.first[-1]]]
    order = np.argsort(home, kind="stable")
    most = min(n_cores * n_cores, graph.target.size)
    source, target = np.empty(most, np.int32), np.empty(most, np.int32)
    packets = np.empty(most)
    n = _count_flows(
        graph.start, graph.target, graph.rate, core, home, order, np.zeros(n_cores),
        np.full(n_cores, -1, np.int64), np.zeros(n_cores, np.bool_), source, target, packets,
    )  # fmt: skip
    return Flows.of(n_cores, source[:n], target[:n], packets[:n])


@kernel
def _unique_targets(start: Array, target: Array, kept: Array, last: Array) -> Array:
    size = np.zeros(start.size - 1, np.int64)
    n = 0
    for u in range(start.size - 1):
        for k in range(start[u], start[u + 1]):
            if last[target[k]] != u:
                last[target[k]] = u
                kept[n] = target[k]
                n += 1
                size[u] += 1
    return size


@kernel
def _transpose(start: Array, target: Array, free: Array, source: Array) -> None:
    for u in range(start.size - 1):
        for k in range(start[u], start[u + 1]):
            source[free[target[k]]] = u
            free[target[k]] += 1


@kernel
def _count_flows(
    start: Array, target: Array, rate: Array, core: Array, home: Array, order: Array, total: Array,
    stamp: Array, listed: Array, source_out: Array, target_out: Array, packets_out: Array,
) -> int:  # fmt: skip
    """Add up packets core by core; a destination counts once for each net."""
    touched = np.empty(total.size, np.int64)
    n_touched = n = 0
    for at in range(order.size):
        e = order[at]
        for k in range(start[e], start[e + 1]):
            c = core[target[k]]
            if stamp[c] != e:
                stamp[c] = e
                total[c] += rate[e]
                if not listed[c]:
                    listed[c] = True
                    touched[n_touched] = c
                    n_touched += 1
        if at + 1 == order.size or home[order[at + 1]] != home[e]:
            for k in range(n_touched):
                c = touched[k]
                source_out[n], target_out[n], packets_out[n] = home[e], c, total[c]
                total[c] = 0.0
                listed[c] = False
                n += 1
            n_touched = 0
    return n
