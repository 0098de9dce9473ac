"""Compare two traces of one network, each population aligned by its lag."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from traces.correlation import Moments
from traces.layout import RecordedPopulation
from traces.trace import Trace

Array = NDArray[Any]

WINDOW_EVENTS = 1 << 20
"""Spikes, counts or state values of one trace that are held at a time, at the mean rate."""


class Difference(NamedTuple):
    """A spike that only one of the two traces has.

    ``tick`` counts within the sample from the population's lag on; ``tick_a`` and ``tick_b`` are
    the same tick as the two traces count it within the sample; ``only_in`` is a or b.
    """

    sample: int
    tick: int
    population: str
    neuron: int
    only_in: str
    tick_a: int
    tick_b: int


@dataclass(frozen=True, kw_only=True)
class PopulationComparison:
    """How one population differs.

    Attributes
    ----------
    n_a, n_b, n_common : int
        Spikes in the aligned ticks of a, of b, and of both.
    rate_error : float
        Mean absolute difference of rates, spikes per neuron and tick.
    rate_correlation : float or None
        Pearson correlation of spike counts over neurons and samples; None if one is constant.
    state_rms_error, state_max_error, state_correlation : float or None
        Of the recorded membrane of populations that never spike, in the network's units; None
        where it was not recorded in both.
    first : Difference or None
    """

    name: str
    n_a: int
    n_b: int
    n_common: int
    rate_error: float
    rate_correlation: float | None
    state_rms_error: float | None
    state_max_error: float | None
    state_correlation: float | None
    first: Difference | None

    @property
    def agreement(self) -> float:
        """Common spikes over all different ones; 1 if both are silent."""
        union = self.n_a + self.n_b - self.n_common
        return self.n_common / union if union else 1.0


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Two traces side by side."""

    populations: tuple[PopulationComparison, ...]

    @property
    def equal(self) -> bool:
        """Whether every spike and every state that was recorded in both is the same."""
        return self.first is None and not any(p.state_max_error for p in self.populations)

    @property
    def first(self) -> Difference | None:
        """First difference by sample, aligned tick, population and neuron."""
        order = {p.name: k for k, p in enumerate(self.populations)}
        found = [p.first for p in self.populations if p.first is not None]
        return min(found, key=lambda d: (*d[:2], order[d.population], d.neuron), default=None)

    @property
    def agreement(self) -> float:
        """Common spikes of all populations over all different ones."""
        common = sum(p.n_common for p in self.populations)
        union = sum(p.n_a + p.n_b - p.n_common for p in self.populations)
        return common / union if union else 1.0


def compare(a: Trace, b: Trace) -> Comparison:
    """Compare spike by spike, in windows of ticks, so that long traces need little memory.

    Raises
    ------
    ValueError
        If the two are not of the same network and data; says in what they differ.
    TraceFormatError
        If a file is damaged.
    """
    _check_comparable(a, b)
    return Comparison(
        populations=tuple(_compared(_Aligned(a, b, p, b.population(p.name))) for p in a.populations)
    )


def _check_comparable(a: Trace, b: Trace) -> None:
    problems = []
    in_a, in_b = ({p.name: p for p in trace.populations} for trace in (a, b))
    for name in sorted(in_a.keys() ^ in_b.keys()):
        problems.append(f"population {name!r} is only in {(a if name in in_a else b).path}")
    for name in sorted(in_a.keys() & in_b.keys()):
        if in_a[name].shape != in_b[name].shape:
            problems.append(f"population {name!r} is {in_a[name].shape} and {in_b[name].shape}")
        for trace, population in ((a, in_a[name]), (b, in_b[name])):
            if population.lag >= trace.ticks:
                problems.append(
                    f"population {name!r} trails the input by {population.lag} ticks, but a "
                    f"sample of {trace.path} has {trace.ticks}"
                )
    for what in ("samples", "input_ticks", "dt_s"):
        if getattr(a, what) != getattr(b, what):
            problems.append(f"{what} is {getattr(a, what)} and {getattr(b, what)}")
    if problems:
        raise ValueError(f"{a.path} and {b.path} cannot be compared: " + "; ".join(problems))


class _Window(NamedTuple):
    """Some whole samples, or some aligned ticks of one sample; stops are exclusive."""

    first_sample: int
    last_sample: int
    start: int
    stop: int


@dataclass(frozen=True)
class _Aligned:
    """One population in both traces, cut to the ticks that both have without their lags."""

    a: Trace
    b: Trace
    in_a: RecordedPopulation
    in_b: RecordedPopulation

    @property
    def size(self) -> int:
        return self.in_a.size

    @property
    def length(self) -> int:
        """Aligned ticks of each sample."""
        return min(self.a.ticks - self.in_a.lag, self.b.ticks - self.in_b.lag)

    @property
    def sides(self) -> tuple[tuple[Trace, RecordedPopulation], ...]:
        return (self.a, self.in_a), (self.b, self.in_b)

    def windows(self, values_per_tick: float) -> Iterator[_Window]:
        """Cut so that a window holds about `WINDOW_EVENTS` values."""
        ticks = max(int(WINDOW_EVENTS / max(values_per_tick, 1e-9)), 1)
        samples = min(ticks // self.length, max(WINDOW_EVENTS // max(self.size, 1), 1))
        if samples:
            for first in range(0, self.a.samples, samples):
                yield _Window(first, min(first + samples, self.a.samples), 0, self.length)
            return
        for sample in range(self.a.samples):
            for start in range(0, self.length, ticks):
                yield _Window(sample, sample + 1, start, min(start + ticks, self.length))

    def keys(self, window: _Window) -> tuple[Array, Array]:
        """Number the spikes of a and b by (sample, aligned tick, neuron); ascending."""
        found = []
        for trace, population in self.sides:
            start = window.first_sample * trace.ticks + population.lag + window.start
            stop = (window.last_sample - 1) * trace.ticks + population.lag + window.stop
            spikes = trace.spikes(population.name, start, stop)
            sample, tick = np.divmod(spikes.ticks, trace.ticks)
            tick -= population.lag
            # Between two samples lie ticks that the other trace does not have.
            inside = (tick >= 0) & (tick < self.length)
            keys = ((sample * self.length + tick) * self.size + spikes.neurons)[inside]
            found.append(np.unique(keys))
        return found[0], found[1]

    def states(self, window: _Window) -> Iterator[tuple[Array, Array]]:
        """Membranes of a and b in the same ticks, sample by sample; float64 [n_ticks, n]."""
        for sample in range(window.first_sample, window.last_sample):
            frames = []
            for trace, population in self.sides:
                first = sample * trace.ticks + population.lag
                start, stop = first + window.start, first + window.stop
                frames.append(trace.state(population.name, "v", start, stop))
            # A run that broke off has fewer frames.
            both = min(len(frames[0]), len(frames[1]))
            yield frames[0][:both], frames[1][:both]

    def difference(self, key: int, only_in: str) -> Difference:
        sample, rest = divmod(key, self.length * self.size)
        tick, neuron = divmod(rest, self.size)
        return Difference(
            sample=sample,
            tick=tick,
            population=self.in_a.name,
            neuron=neuron,
            only_in=only_in,
            tick_a=tick + self.in_a.lag,
            tick_b=tick + self.in_b.lag,
        )


def _compared(aligned: _Aligned) -> PopulationComparison:
    a, b, size = aligned.a, aligned.b, aligned.size
    totals = np.zeros((2, size), np.int64)
    rates = Moments()
    n_common = 0
    first: Difference | None = None
    open_sample = np.zeros((2, size), np.int64)
    spikes = max(a.n_spikes(aligned.in_a.name), b.n_spikes(aligned.in_b.name))
    for window in aligned.windows(spikes / max(a.samples * aligned.length, 1)):
        keys = aligned.keys(window)
        n_common += np.intersect1d(*keys, assume_unique=True).size
        if first is None:
            odd = np.setxor1d(*keys, assume_unique=True)
            if odd.size:
                only_in = "a" if np.isin(odd[0], keys[0]) else "b"
                first = aligned.difference(int(odd[0]), only_in)
        counts = np.stack([_counts(k, aligned, window) for k in keys])
        totals += counts.sum(axis=1)
        open_sample += counts[:, -1]
        if window.stop == aligned.length:
            # The last sample of a window may have begun in earlier ones.
            counts[:, -1] = open_sample
            rates.add(counts[0], counts[1])
            open_sample[:] = 0
    states = _state_errors(aligned)
    n_ticks = max(a.samples * aligned.length, 1)
    return PopulationComparison(
        name=aligned.in_a.name,
        n_a=int(totals[0].sum()),
        n_b=int(totals[1].sum()),
        n_common=n_common,
        rate_error=float(np.abs(totals[0] - totals[1]).sum() / max(size, 1) / n_ticks),
        rate_correlation=rates.correlation,
        state_rms_error=states.rms if states else None,
        state_max_error=states.max if states else None,
        state_correlation=states.correlation if states else None,
        first=first,
    )


def _counts(keys: Array, aligned: _Aligned, window: _Window) -> Array:
    """Spikes of each neuron in each sample of a window; int64 [samples, n]."""
    n, size = window.last_sample - window.first_sample, aligned.size
    sample = keys // (aligned.length * size) - window.first_sample
    counts = np.bincount(sample * size + keys % size, minlength=n * size)
    return counts.reshape(n, size)


def _state_errors(aligned: _Aligned) -> Moments | None:
    """Compare the membranes of a population that never spikes, if both were recorded."""
    wanted = (aligned.in_a.name, "v")
    if aligned.in_a.spiking or any(wanted not in t.states() for t in (aligned.a, aligned.b)):
        return None
    moments = Moments()
    for window in aligned.windows(aligned.size):
        for in_a, in_b in aligned.states(window):
            moments.add(in_a, in_b)
    return moments if moments.n else None
