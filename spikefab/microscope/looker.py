"""Runs of a pair, and where they differ from what was recorded."""

from typing import Any

from numpy.typing import NDArray

from mapping.effects.machine import Machine
from mapping.effects.run import MixedRun
from mapping.effects.sides import Side
from spikefab.microscope.origin import Pair
from spikefab.microscope.rasters import Differences, Frame, Raster, differing, recorded, rerun
from traces.trace import Trace

Array = NDArray[Any]


def frames_of(pair: Pair) -> dict[str, Frame]:
    """Aligned ticks of each spiking population."""
    base, full = pair.base, pair.full
    ticks = [
        min(pair.n_ticks, o.trace.ticks if o.trace is not None else o.samples.n_ticks)
        for o in (base, full)
    ]
    found = {}
    for part in base.side.network.order:
        if part.spiking:
            lags = base.side.lag[part.name], full.side.lag[part.name]
            length = min(t - lag for t, lag in zip(ticks, lags, strict=True))
            found[part.name] = Frame(part.size, max(length, 0))
    return found


def differing_samples(pair: Pair, most: int) -> list[int]:
    """Find the first samples in which recorded spikes differ; all of them where that is known."""
    looker = Looker(pair)
    found: list[int] = []
    for sample in range(looker.n_samples):
        if len(found) == most:
            break
        if any(keys.size for keys in looker.differences(sample).values()):
            found.append(sample)
    return found


def n_whole(pair: Pair) -> int:
    """Samples that both sides have to their end."""
    traces = [o.trace for o in (pair.base, pair.full) if o.trace is not None]
    samples = [len(o.samples) for o in (pair.base, pair.full)]
    return min([*samples, *(t.whole_ticks // t.ticks for t in traces)])


class Looker:
    """Runs mixes of a pair and compares them with what was recorded."""

    def __init__(self, pair: Pair) -> None:
        self.pair = pair
        self.frames = frames_of(pair)
        self.n_runs = 0
        self.n_samples = n_whole(pair)
        self._unrecorded: dict[int, dict[str, Raster]] = {}

    def base(self, sample: int) -> dict[str, Raster]:
        """Spikes of the base: recorded, or run again where nothing was recorded."""
        trace, side = self.pair.base.trace, self.pair.base.side
        if trace is not None:
            return self._recorded(trace, sample)
        if sample not in self._unrecorded:
            run = self.pair.run(self.pair.machine(side), sample)
            self._unrecorded[sample] = self.rasters(run, side)
        return self._unrecorded[sample]

    def full(self, sample: int) -> dict[str, Raster]:
        """Spikes of the full side as they were recorded; it always is a trace."""
        trace = self.pair.full.trace
        assert trace is not None
        return self._recorded(trace, sample)

    def _recorded(self, trace: Trace, sample: int) -> dict[str, Raster]:
        return {name: recorded(trace, name, sample, frame) for name, frame in self.frames.items()}

    def differences(self, sample: int) -> Differences:
        """Where the two recordings differ."""
        return between(self.base(sample), self.full(sample))

    def run(self, machine: Machine, sample: int) -> MixedRun:
        """Run a mix."""
        self.n_runs += 1
        return self.pair.run(machine, sample)

    def rasters(self, run: MixedRun, side: Side) -> dict[str, Raster]:
        """Spikes of a mix as they are compared."""
        return {
            name: rerun(run, name, side.lag[name], frame) for name, frame in self.frames.items()
        }


def between(one: dict[str, Raster], other: dict[str, Raster]) -> dict[str, Array]:
    """Places that differ, population by population."""
    return {name: differing(one[name], other[name]) for name in one}
