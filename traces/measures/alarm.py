"""Alarms of a trace: populations and neurons that are silent, and that fire whenever they can."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from traces import align
from traces.layout import RecordedPopulation
from traces.trace import Trace

Array = NDArray[Any]

_TOLD = 5
"""Neurons that a text names."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """When an alarm is raised.

    Attributes
    ----------
    silent_share : float
        Silent neurons above this share of a population are told; a population that is silent
        altogether always is.
    saturated_share : float
        Saturated neurons above this share are told.
    saturated_rate : float
        A neuron is saturated if it fired in at least this share of the ticks in which it could.
    least_interval : mapping of population name to int or int64 [n]
        Least ticks from one spike of a neuron to its next, 1 where not told; the refractory period.

    Raises
    ------
    ValueError
        If a share is not from 0 to 1, or an interval is less than a tick.
    """

    silent_share: float = 0.5
    saturated_share: float = 0.05
    saturated_rate: float = 0.95
    least_interval: Mapping[str, int | Array] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("silent_share", "saturated_share", "saturated_rate"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is a share from 0 to 1, got {getattr(self, name)}")
        for name, ticks in self.least_interval.items():
            if np.min(ticks, initial=1) < 1:
                raise ValueError(
                    f"population {name!r}: a neuron cannot fire more often than every tick, so its "
                    f"least interval must be at least 1, got {np.min(ticks)}"
                )


class Alarm(NamedTuple):
    """Something in a population that is hardly meant.

    ``kind`` is silent or saturated; ``neurons`` are all that are so, int64 [n], of ``size`` there are.
    """

    trace: str
    population: str
    kind: str
    neurons: Array
    size: int
    text: str


def alarms(trace: Trace, limits: Limits | None = None, *, name: str = "") -> tuple[Alarm, ...]:
    """Look for silent and saturated neurons, population by population.

    Populations that are read by their membranes and have no spikes are left out, and so are
    traces without a tick. Reads in windows, so that long traces need little memory.

    Parameters
    ----------
    trace : Trace
    limits : Limits, optional
    name : str
        How the alarms call the trace; by its path if not told.

    Raises
    ------
    TraceFormatError
        If the file is damaged.
    """
    limits = limits or Limits()
    name = name or str(trace.path)
    return tuple(
        alarm
        for population in trace.populations
        if population.spiking or trace.n_spikes(population.name)
        for alarm in _of_population(trace, population, limits, name)
    )


def _of_population(
    trace: Trace, population: RecordedPopulation, limits: Limits, name: str
) -> Iterator[Alarm]:
    size = population.size
    interval = _least_interval(population, limits)
    n_ticks, n_most = _chances(trace, population.lag, interval)
    if not size or not n_ticks:
        return
    fired = ticks_fired(trace, population)
    silent = np.flatnonzero(fired == 0)
    saturated = np.flatnonzero((fired > 0) & (fired >= limits.saturated_rate * n_most))

    def alarm(kind: str, neurons: Array, does: str) -> Alarm:
        share = f"{neurons.size:,} of {size:,} neurons ({neurons.size / size:.1%})"
        which = ", ".join(map(str, neurons[:_TOLD].tolist())) + ", ..." * (neurons.size > _TOLD)
        text = f"{name}: population {population.name!r}: {share} {does}: {which}"
        return Alarm(name, population.name, kind, neurons, size, text)

    if silent.size == size:
        text = (
            f"{name}: population {population.name!r}: none of its {size:,} neurons fired in "
            f"{n_ticks:,} ticks"
        )
        yield Alarm(name, population.name, "silent", silent, size, text)
    elif silent.size > limits.silent_share * size:
        yield alarm("silent", silent, f"never fired in {n_ticks:,} ticks")
    if saturated.size > limits.saturated_share * size:
        does = f"fired in at least {limits.saturated_rate:.0%} of the ticks they could"
        if np.any(interval[saturated] > 1):
            does += ", their refractory periods left out"
        yield alarm("saturated", saturated, does)


def _least_interval(population: RecordedPopulation, limits: Limits) -> Array:
    told = np.asarray(limits.least_interval.get(population.name, 1), np.int64)
    if told.ndim and told.shape != (population.size,):
        raise ValueError(
            f"population {population.name!r}: least intervals of {told.shape}, but it has "
            f"{population.size} neurons"
        )
    return np.broadcast_to(told, population.size)


def _chances(trace: Trace, lag: int, interval: Array) -> tuple[int, Array]:
    """Ticks behind the lag in all samples, and how often a neuron can fire in them."""
    whole, rest = divmod(trace.whole_ticks, trace.ticks)
    each, last = max(trace.ticks - lag, 0), max(rest - lag, 0)
    return whole * each + last, whole * -(-each // interval) + -(-last // interval)


def ticks_fired(trace: Trace, population: RecordedPopulation) -> Array:
    """Ticks in which each neuron fired, whatever its payloads; int64 [n]."""
    n_ticks = trace.whole_ticks
    step = max(int(align.WINDOW_EVENTS * n_ticks / max(trace.n_spikes(population.name), 1)), 1)
    fired = np.zeros(population.size, np.int64)
    for start in range(0, n_ticks, step):
        spikes = trace.spikes(population.name, start, min(start + step, n_ticks))
        ticks, neurons = spikes.ticks, spikes.neurons
        # Sorted by tick, then neuron: spikes of one neuron in a tick follow each other.
        once = np.ones(ticks.size, np.bool_)
        once[1:] = (ticks[1:] != ticks[:-1]) | (neurons[1:] != neurons[:-1])
        fired += np.bincount(neurons[once], minlength=population.size)
    return fired
