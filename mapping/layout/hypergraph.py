"""Who reaches whom, neuron by neuron, and what a partition of it makes cores send each other.

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


@dataclass(frozen=True, kw_only=True, eq=False)
class Hypergraph:
    """Targets and spike rates of neurons.

    Attributes
    ----------
    start : int64 [n + 1]
        Targets of neuron ``u`` are ``target[start[u]:start[u + 1]]``.
    target : int32 [n_synapses]
        Each pair of neurons once: parallel synapses cost no second packet.
    rate : float64 [n]
        Spikes in the time that traffic is counted over.
    """

    start: Array
    target: Array
    rate: Array

    @property
    def n(self) -> int:
        """Neurons."""
        return self.start.size - 1

    @staticmethod
    def of(start: Array, target: Array, rate: Array | None = None) -> "Hypergraph":
        """Check lists of targets, and make each target unique in its list.

        Parameters
        ----------
        start : int [n + 1]
        target : int [n_synapses]
        rate : float [n], optional
            1 for every neuron where there is none.

        Raises
        ------
        ValueError
            If lists do not follow each other, a target is no neuron, or a rate is negative or no
            number.
        """
        start, target = np.asarray(start, np.int64), np.asarray(target)
        n = start.size - 1
        if n < 0 or start[0] != 0 or start[-1] != target.size or np.any(np.diff(start) < 0):
            raise ValueError(
                f"start: lists of targets must follow each other from 0 to {target.size:,}"
            )
        if target.size and (target.min() < 0 or target.max() >= n):
            wrong = target[(target < 0) | (target >= n)][0]
            raise ValueError(f"target: {wrong:,} is none of the {n:,} neurons")
        rates = np.ones(n) if rate is None else np.array(rate, np.float64)
        if rates.shape != (n,):
            raise ValueError(f"rate: {rates.shape} rates for {n:,} neurons; give one for each")
        if not np.all(np.isfinite(rates)) or np.any(rates < 0):
            at = int(np.flatnonzero(~np.isfinite(rates) | (rates < 0))[0])
            raise ValueError(f"rate: that of neuron {at:,} is {rates[at]}; rates are 0 or more")
        kept = np.empty(target.size, np.int32)
        size = _unique_targets(start, target.astype(np.int32), kept, np.full(n, -1, np.int64))
        return Hypergraph(
            start=np.concatenate([[0], np.cumsum(size)]), target=kept[: size.sum()], rate=rates
        )

    @cached_property
    def sources(self) -> tuple[Array, Array]:
        """Sources of each neuron: start int64 [n + 1] and source int32 [n_synapses]."""
        fan_in = np.bincount(self.target, minlength=self.n)
        start = np.concatenate([[0], np.cumsum(fan_in)])
        source = np.empty(self.target.size, np.int32)
        _transpose(self.start, self.target, start[:-1].copy(), source)
        return start, source


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
    order = np.argsort(core, kind="stable")
    most = min(n_cores * n_cores, graph.target.size)
    source, target = np.empty(most, np.int32), np.empty(most, np.int32)
    packets = np.empty(most)
    n = _count_flows(
        graph.start, graph.target, graph.rate, core, order, np.zeros(n_cores),
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
    start: Array, target: Array, rate: Array, core: Array, order: Array, total: Array,
    stamp: Array, listed: Array, source_out: Array, target_out: Array, packets_out: Array,
) -> int:  # fmt: skip
    """Add up packets core by core; a destination counts once for each neuron."""
    touched = np.empty(total.size, np.int64)
    n_touched = n = 0
    for at in range(order.size):
        u = order[at]
        for k in range(start[u], start[u + 1]):
            c = core[target[k]]
            if stamp[c] != u:
                stamp[c] = u
                total[c] += rate[u]
                if not listed[c]:
                    listed[c] = True
                    touched[n_touched] = c
                    n_touched += 1
        if at + 1 == order.size or core[order[at + 1]] != core[u]:
            for k in range(n_touched):
                c = touched[k]
                source_out[n], target_out[n], packets_out[n] = core[u], c, total[c]
                total[c] = 0.0
                listed[c] = False
                n += 1
            n_touched = 0
    return n
