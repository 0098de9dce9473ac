"""Compare two traces of one network, each population aligned by its lag."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from traces.layout import RecordedPopulation
from traces.trace import Trace

Array = NDArray[Any]

_WINDOW_TICKS = 1 << 14


class Difference(NamedTuple):
    """A spike that only one of the two traces has.

    ``tick`` counts within the sample from the population's lag on; ``only_in`` is a or b.
    """

    sample: int
    tick: int
    population: str
    neuron: int
    only_in: str


@dataclass(frozen=True, kw_only=True)
class PopulationComparison:
    """How one population differs.

    Attributes
    ----------
    n_a, n_b, n_common : int
        Spikes in the aligned ticks of a, of b, and of both.
    agreement : float
        Common spikes over all different ones; 1 if both are silent.
    rate_error : float
        Mean absolute difference of rates, spikes per neuron and tick.
    rate_correlation : float or None
        Pearson correlation of spike counts over neurons and samples; None if one is constant.
    state_rms_error, state_correlation : float or None
        Of the recorded membrane of populations that never spike, in the network's units.
    first : Difference or None
    """

    name: str
    n_a: int
    n_b: int
    n_common: int
    rate_error: float
    rate_correlation: float | None
    state_rms_error: float | None
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
        """Whether every spike and every recorded state is the same."""
        return self.first is None and not any(p.state_rms_error for p in self.populations)

    @property
    def first(self) -> Difference | None:
        """First difference by sample, tick, population and neuron."""
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
    """Compare spike by spike, in windows, so that long traces need little memory.

    Raises
    ------
    ValueError
        If the two are not of the same network and data; says in what they differ.
    """
    _check_comparable(a, b)
    return Comparison(
        populations=tuple(_compared(a, b, p, b.population(p.name)) for p in a.populations)
    )


def _check_comparable(a: Trace, b: Trace) -> None:
    problems = []
    shapes_a, shapes_b = ({p.name: p.shape for p in trace.populations} for trace in (a, b))
    for name in sorted(shapes_a.keys() ^ shapes_b.keys()):
        problems.append(f"population {name!r} is only in {(a if name in shapes_a else b).path}")
    for name in sorted(shapes_a.keys() & shapes_b.keys()):
        if shapes_a[name] != shapes_b[name]:
            problems.append(f"population {name!r} is {shapes_a[name]} and {shapes_b[name]}")
    for what in ("samples", "input_ticks", "dt_s"):
        if getattr(a, what) != getattr(b, what):
            problems.append(f"{what} is {getattr(a, what)} and {getattr(b, what)}")
    if problems:
        raise ValueError(f"{a.path} and {b.path} cannot be compared: " + "; ".join(problems))


def _compared(
    a: Trace, b: Trace, in_a: RecordedPopulation, in_b: RecordedPopulation
) -> PopulationComparison:
    size = in_a.size
    counts = np.zeros((2, a.samples, size), np.int64)
    n_common = 0
    first: Difference | None = None
    # Both are cut to the ticks that both have once the lag is taken off.
    length = min(a.ticks - in_a.lag, b.ticks - in_b.lag)
    for samples in _windows(a.samples, max(a.ticks, b.ticks)):
        keys_a = _keys(a, in_a, samples, length)
        keys_b = _keys(b, in_b, samples, length)
        n_common += np.intersect1d(keys_a, keys_b, assume_unique=True).size
        for row, keys in enumerate((keys_a, keys_b)):
            at = keys // (length * size) * size + keys % size
            counts[row] += np.bincount(at, minlength=a.samples * size).reshape(a.samples, size)
        if first is None:
            odd = np.setxor1d(keys_a, keys_b, assume_unique=True)
            if odd.size:
                key = int(odd[0])
                tick, neuron = divmod(key % (length * size), size)
                only = "a" if np.any(keys_a == key) else "b"
                first = Difference(key // (length * size), tick, in_a.name, neuron, only)
    n_ticks = a.samples * max(length, 1)
    difference = np.abs(counts[0].sum(axis=0) - counts[1].sum(axis=0))
    rms, correlation = _states(a, b, in_a, in_b, length)
    return PopulationComparison(
        name=in_a.name,
        n_a=int(counts[0].sum()),
        n_b=int(counts[1].sum()),
        n_common=n_common,
        rate_error=float(difference.mean() / n_ticks),
        rate_correlation=_correlation(counts[0].ravel(), counts[1].ravel()),
        state_rms_error=rms,
        state_correlation=correlation,
        first=first,
    )


def _windows(samples: int, ticks: int) -> Iterator[range]:
    step = max(_WINDOW_TICKS // ticks, 1)
    for start in range(0, samples, step):
        yield range(start, min(start + step, samples))


def _keys(trace: Trace, population: RecordedPopulation, samples: range, length: int) -> Array:
    """Number each spike by (sample, aligned tick, neuron); ascending."""
    spikes = trace.spikes(population.name, samples.start * trace.ticks, samples.stop * trace.ticks)
    sample, tick = np.divmod(spikes.ticks, trace.ticks)
    tick -= population.lag
    inside = (tick >= 0) & (tick < length)
    keys: Array = (sample * length + tick)[inside] * population.size + spikes.neurons[inside]
    return np.unique(keys)


def _states(
    a: Trace, b: Trace, in_a: RecordedPopulation, in_b: RecordedPopulation, length: int
) -> tuple[float | None, float | None]:
    wanted = (in_a.name, "v")
    if in_a.spiking or wanted not in a.states() or wanted not in b.states():
        return None, None
    frames = []
    for trace, population in ((a, in_a), (b, in_b)):
        whole = trace.state(*wanted).reshape(trace.samples, trace.ticks, population.size)
        frames.append(whole[:, population.lag : population.lag + length].ravel())
    rms = float(np.sqrt(np.mean((frames[0] - frames[1]) ** 2)))
    return rms, _correlation(frames[0], frames[1])


def _correlation(x: Array, y: Array) -> float | None:
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        return None
    return float(np.corrcoef(x, y)[0, 1])
