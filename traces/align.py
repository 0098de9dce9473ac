"""One population of two traces, laid over each other tick by tick without their lags."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from traces.layout import RecordedPopulation
from traces.trace import Trace

Array = NDArray[Any]

WINDOW_EVENTS = 1 << 20
"""Spikes, counts or state values of one trace that are held at a time, at the mean rate."""


class Window(NamedTuple):
    """Some whole samples, or some aligned ticks of one sample; stops are exclusive."""

    first_sample: int
    last_sample: int
    start: int
    stop: int


class Numbered(NamedTuple):
    """Spikes numbered by (sample, aligned tick, neuron), ascending; int64 [n_spikes] each."""

    keys: Array
    payload: Array


@dataclass(frozen=True)
class Aligned:
    """One population in both traces, cut to the ticks that both have without their lags."""

    a: Trace
    b: Trace
    in_a: RecordedPopulation
    in_b: RecordedPopulation

    @property
    def size(self) -> int:
        """Number of neurons."""
        return self.in_a.size

    @property
    def length(self) -> int:
        """Aligned ticks of each sample."""
        return min(self.a.ticks - self.in_a.lag, self.b.ticks - self.in_b.lag)

    @cached_property
    def n_ticks(self) -> int:
        """Aligned ticks of all samples that both traces have: fewer where a run broke off."""
        found = []
        for trace, population in self.sides:
            sample, tick = divmod(trace.whole_ticks, trace.ticks)
            within = min(max(tick - population.lag, 0), self.length)
            found.append(min(sample * self.length + within, trace.samples * self.length))
        return min(found)

    @property
    def sides(self) -> tuple[tuple[Trace, RecordedPopulation], ...]:
        """Trace and population of a, then of b."""
        return (self.a, self.in_a), (self.b, self.in_b)

    def windows(self, values_per_tick: float) -> Iterator[Window]:
        """Cut so that a window holds about `WINDOW_EVENTS` values."""
        ticks = max(int(WINDOW_EVENTS / max(values_per_tick, 1e-9)), 1)
        samples = min(ticks // self.length, max(WINDOW_EVENTS // max(self.size, 1), 1))
        whole, rest = divmod(self.n_ticks, self.length)
        if samples:
            for first in range(0, whole, samples):
                yield Window(first, min(first + samples, whole), 0, self.length)
            if rest:
                yield Window(whole, whole + 1, 0, rest)
            return
        for sample in range(whole + (rest > 0)):
            length = self.length if sample < whole else rest
            for start in range(0, length, ticks):
                yield Window(sample, sample + 1, start, min(start + ticks, length))

    def ends_sample(self, window: Window) -> bool:
        """Whether nothing more of the window's last sample is compared."""
        last = (window.last_sample - 1) * self.length + window.stop
        return window.stop == self.length or last == self.n_ticks

    def spikes(self, window: Window) -> tuple[Numbered, Numbered]:
        """Spikes of a and b."""
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
            if spikes.payload is None:
                found.append(Numbered(*np.unique(keys, return_counts=True)))
                continue
            keys, place = np.unique(keys, return_inverse=True)
            payload = np.zeros(keys.size, np.int64)
            np.add.at(payload, place, spikes.payload[inside])
            found.append(Numbered(keys, payload))
        return found[0], found[1]

    def states(self, window: Window) -> Iterator[tuple[Array, Array]]:
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
