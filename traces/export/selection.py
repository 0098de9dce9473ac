"""What of a trace is exported: some populations, some ticks, in pieces of bounded size."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from traces.errors import ExportError
from traces.trace import Spikes, Trace

Array = NDArray[Any]

MOST_EVENTS = 1 << 19
"""Events that are held at once, as far as whole ticks allow."""
MOST_TICKS = 1 << 14
"""Ticks of one window, so that what is kept of every tick is bounded, too."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where spikes come from: a population, or an input of the network.

    Attributes
    ----------
    name : str
    shape : tuple of int or None
        None for an input, whose shape is not in the file.
    payload : bool
        Whether its spikes may count for other than 1.
    """

    name: str
    shape: tuple[int, ...] | None
    payload: bool

    @property
    def is_input(self) -> bool:
        """Whether it is an input, whose neurons are channels."""
        return self.shape is None


@dataclass(frozen=True, kw_only=True, eq=False)
class Selection:
    """What is exported.

    Attributes
    ----------
    trace : Trace
        Open.
    sources : tuple of Source
        Populations in the order of the trace, then inputs.
    start, stop : int
        Ticks of the trace; tick t of sample k is ``k * trace.ticks + t``.
    table : str
        Which table, for formats of one: see `traces.export.tables.TABLES`.
    clock : {"model", "chip"} or None
        Whether a tick lasts as long as in the network or as on the chip; None as the format likes.
    """

    trace: Trace
    sources: tuple[Source, ...]
    start: int
    stop: int
    table: str = "spikes"
    clock: str | None = None

    @property
    def populations(self) -> tuple[Source, ...]:
        """The sources that are populations."""
        return tuple(source for source in self.sources if not source.is_input)

    @property
    def samples(self) -> range:
        """Samples of which at least one tick is exported."""
        per_sample = self.trace.ticks
        return range(self.start // per_sample, -(-self.stop // per_sample))

    def spikes(self, source: Source, start: int, stop: int) -> Spikes:
        """Read the spikes of some ticks; payload is None where all are worth 1."""
        if not source.is_input:
            return self.trace.spikes(source.name, start, stop)
        return self.trace.stimulus_spikes(source.name, start, stop)

    def n_spikes(self, source: Source, start: int, stop: int) -> int:
        """Count the spikes of some ticks."""
        count = self.trace.n_stimulus_spikes if source.is_input else self.trace.n_spikes
        return count(source.name, start, stop)

    def windows(self, *sources: Source, most_ticks: int = MOST_TICKS) -> Iterator[tuple[int, int]]:
        """Cut the ticks into windows (start, stop) of few spikes of these sources.

        A single tick is never cut: it holds as many spikes as there are neurons, at most.
        """
        start, n_ticks = self.start, most_ticks
        while start < self.stop:
            stop = min(start + n_ticks, self.stop)
            n = sum(self.n_spikes(source, start, stop) for source in sources)
            if n > MOST_EVENTS and stop - start > 1:
                n_ticks = (stop - start) // 2
                continue
            yield start, stop
            start = stop
            if n < MOST_EVENTS // 4:
                n_ticks = min(2 * n_ticks, most_ticks)

    def pieces(self, source: Source) -> Iterator[Spikes]:
        """Read the spikes of one source in pieces of bounded size, none of them empty."""
        for start, stop in self.windows(source):
            spikes = self.spikes(source, start, stop)
            if spikes.ticks.size:
                yield spikes

    def counts(self, source: Source) -> Array:
        """Count the recorded events of each neuron; int64 [n], of an input up to its last channel used."""
        counts: Array = np.zeros(0 if source.shape is None else prod(source.shape), np.int64)
        for spikes in self.pieces(source):
            more = np.bincount(spikes.neurons, minlength=counts.size)
            more[: counts.size] += counts
            counts = more
        return counts

    def states(self) -> tuple[tuple[str, str], ...]:
        """List the recorded states (population, variable) of these populations."""
        names = {source.name for source in self.populations}
        return tuple(pair for pair in self.trace.states() if pair[0] in names)


def select(
    trace: Trace,
    *,
    populations: Sequence[str] = (),
    ticks: tuple[int | None, int | None] = (None, None),
    samples: tuple[int | None, int | None] = (None, None),
    table: str = "spikes",
    clock: str | None = None,
) -> Selection:
    """Choose what to export.

    Parameters
    ----------
    populations : sequence of str
        Names of populations and inputs; all of them if there is none.
    ticks, samples : (start, stop)
        Window of ticks or of samples, ``stop`` exclusive; None for the end. Of a run that broke
        off only what is whole.

    Raises
    ------
    ExportError
        If a population or tick is not there.
    """
    there = [Source(name=p.name, shape=p.shape, payload=p.payload) for p in trace.populations] + [
        Source(name=name, shape=None, payload=True) for name in trace.stimuli("spikes")
    ]
    names = [source.name for source in there]
    for name in populations:
        if name not in names:
            raise ExportError(
                f"{trace.path}: no population or input {name!r}; there are: {', '.join(names)}"
            )
    wanted = tuple(s for s in there if not populations or s.name in populations)
    if samples != (None, None):
        if ticks != (None, None):
            raise ExportError("choose a window of ticks or of samples, not of both")
        start, stop = _window(trace, "sample", samples, trace.samples)
        ticks = start * trace.ticks, min(stop * trace.ticks, trace.whole_ticks)
    start, stop = _window(trace, "tick", ticks, trace.whole_ticks)
    return Selection(
        trace=trace, sources=wanted, start=start, stop=stop, table=table, clock=clock
    )  # fmt: skip


def _window(
    trace: Trace, what: str, asked: tuple[int | None, int | None], n: int
) -> tuple[int, int]:
    if n == 0:
        raise ExportError(f"{trace.path}: no {what} of it is whole, so there is nothing to export")
    start, stop = asked[0] or 0, n if asked[1] is None else asked[1]
    if not 0 <= start < stop <= n:
        whole = "" if trace.complete else " that are whole (the run broke off)"
        raise ExportError(
            f"{trace.path}: {what}s {start}:{stop} are not there; it has {n:,} {what}s{whole}, "
            f"so 0 <= start < stop <= {n} is needed"
        )
    return start, stop
