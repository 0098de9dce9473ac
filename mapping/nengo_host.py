"""What the host does for a Nengo model: input before the chip, decoding of spikes after it.

Both are Nengo's own arithmetic in float: nodes are called at their times, synapses are the model's.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mapping.nengo_matrix import Matrix, applied
from mapping.nengo_walk import Outside

Array = NDArray[Any]
Columns = Sequence[Array | None]
"""Spikes of a population: ticks, neurons, and how often each fired, where that is told."""


@dataclass(frozen=True, kw_only=True, eq=False)
class OutsideTerm:
    """A part of a signal that the host calculates: ``matrix`` times values, through ``filters``."""

    origin: Outside
    matrix: Matrix
    filters: tuple[Any, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class NeuronTerm:
    """A part of a signal that neurons send.

    Attributes
    ----------
    population : str
    matrix : [size, n]
    worth : float
        What one spike is for a tick: Nengo's ``amplitude / dt``.
    filters : tuple of synapses
    """

    population: str
    matrix: Matrix
    worth: float
    filters: tuple[Any, ...]


class Outsides:
    """Values of nodes at each tick; each node is asked once.

    Parameters
    ----------
    seeds : mapping of node to int
        For processes without a seed.
    """

    def __init__(self, n_ticks: int, dt_s: float, seeds: Mapping[Any, int]) -> None:
        self.n_ticks, self._dt_s, self._seeds = n_ticks, dt_s, seeds
        self._nodes: dict[Any, Array] = {}

    def sum_of(self, terms: Sequence[OutsideTerm], size: int) -> Array:
        """Signal that all terms add up to; float64 [n_ticks, size]."""
        total = np.zeros((self.n_ticks, size))
        for term in terms:
            total += filtered(
                applied(term.matrix, self._values(term.origin)), term.filters, self._dt_s
            )
        return total

    def _values(self, origin: Outside) -> Array:
        node, function, indices = origin
        if node not in self._nodes:
            self._nodes[node] = self._of_node(node)
        values = self._nodes[node][:, indices]
        if function is None:
            return values
        return np.array([np.hstack(function(row)) for row in values], np.float64)

    def _of_node(self, node: Any) -> Array:
        output, size = node.output, node.size_out
        times = np.arange(1, self.n_ticks + 1) * self._dt_s
        if hasattr(output, "make_step"):
            rng = output.get_rng(np.random.RandomState(self._seeds[node]))
            state = output.make_state((0,), (size,), self._dt_s)
            step = output.make_step((0,), (size,), self._dt_s, rng, state)
            rows = [np.array(step(t), np.float64) for t in times.tolist()]
        elif callable(output):
            rows = [np.array(output(t), np.float64) for t in times.tolist()]
        else:
            rows = [np.asarray(output, np.float64)] * self.n_ticks
        values = np.array([row.reshape(-1) for row in rows]).reshape(self.n_ticks, -1)
        if values.shape[1] != size or not np.isfinite(values).all():
            bad = np.flatnonzero(~np.isfinite(values).all(axis=1))
            raise ValueError(
                f"{node}: gives {values.shape[1]} values, but has {size}"
                if values.shape[1] != size
                else f"{node}: gives NaN or infinite values, first at {times[bad[0]]:.6g} s"
            )
        return values


def filtered(values: Array, filters: Sequence[Any], dt_s: float) -> Array:
    """Send rows [n_ticks, n] through synapses of Nengo, each of which shows a tick late."""
    for synapse in filters:
        shape = (values.shape[1],)
        state = synapse.make_state(shape, shape, dt_s)
        step = synapse.make_step(shape, shape, dt_s, None, state)
        out = np.zeros_like(values)
        for tick in range(1, len(values)):
            out[tick] = step(tick * dt_s, values[tick - 1])
        values = out
    return values


@dataclass(frozen=True, kw_only=True, eq=False)
class HostInput:
    """Channels of the network's input that carry one signal.

    Attributes
    ----------
    target : str
        Population that they reach.
    first, size : int
    terms : tuple of OutsideTerm
    keep : float
        Share of the target's synaptic current that a tick leaves. It would filter the signal, which
        has its own synapses already, so the host takes that back: a current of
        ``x[t] - keep * x[t-1]`` becomes x.
    """

    target: str
    first: int
    size: int
    terms: tuple[OutsideTerm, ...]
    keep: float

    def currents(self, outsides: Outsides) -> Array:
        """What the host hands over; float64 [n_ticks, size]."""
        signal = outsides.sum_of(self.terms, self.size)
        before = np.vstack([np.zeros((1, self.size)), signal[:-1]])
        return signal - self.keep * before


@dataclass(frozen=True, kw_only=True, eq=False)
class Readout:
    """One probe: what it shows, from spikes.

    Attributes
    ----------
    name : str
    size : int
    terms : tuple of NeuronTerm
    host : tuple of OutsideTerm
        What it shows of input.
    filters : tuple of synapses
        Of the probe itself, where it sits on a signal and not on a connection of its own.
    dt_s : float
    """

    name: str
    size: int
    terms: tuple[NeuronTerm, ...]
    dt_s: float
    host: tuple[OutsideTerm, ...] = ()
    filters: tuple[Any, ...] = ()
    seeds: Mapping[Any, int] = field(default_factory=dict)

    @property
    def populations(self) -> tuple[str, ...]:
        """Whose spikes it needs."""
        return tuple(dict.fromkeys(term.population for term in self.terms))

    def decode(self, spikes: Mapping[str, Columns], n_ticks: int) -> Array:
        """Filter and decode.

        Parameters
        ----------
        spikes : mapping of population name to (ticks, neurons) or (ticks, neurons, times)
            As `mapping.reference.FloatRun` and `traces.trace.Trace.spikes` have them.
        n_ticks : int

        Returns
        -------
        float64 [n_ticks, size]
            Row ``t`` is Nengo's at time ``(t + 1) dt``.

        Raises
        ------
        KeyError
            If a population's spikes are missing.
        """
        shown = Outsides(n_ticks, self.dt_s, self.seeds).sum_of(self.host, self.size)
        for term in self.terms:
            ticks, neurons, *times = spikes[term.population]
            sent = np.zeros((n_ticks, term.matrix.shape[1]))
            early = np.asarray(ticks) < n_ticks
            given = times[0] if times else None
            often = 1 if given is None else np.asarray(given)[early]
            np.add.at(sent, (np.asarray(ticks)[early], np.asarray(neurons)[early]), often)
            decoded = applied(term.matrix, sent) * term.worth
            shown += filtered(decoded, term.filters, self.dt_s)
        return filtered(shown, self.filters, self.dt_s)
