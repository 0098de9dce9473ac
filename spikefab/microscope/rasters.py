"""Spikes of one sample as sorted numbers, so that differences are operations on sets."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mapping.effects.run import MixedRun
from traces.trace import Trace

Array = NDArray[Any]


class Raster(NamedTuple):
    """Spikes of a population in a sample.

    ``keys``: tick * size + neuron, ascending, ticks without the lag. ``times``: how many each is.
    """

    keys: Array
    times: Array


class Frame(NamedTuple):
    """A population as it is compared: neurons, and aligned ticks of a sample."""

    size: int
    length: int


def recorded(trace: Trace, population: str, sample: int, frame: Frame) -> Raster:
    """Read a sample of a trace."""
    part = trace.population(population)
    first = sample * trace.ticks + part.lag
    spikes = trace.spikes(population, first, first + frame.length)
    payload = np.ones(spikes.ticks.size, np.int64) if spikes.payload is None else spikes.payload
    return _raster(spikes.ticks - first, spikes.neurons, payload, frame)


def rerun(run: MixedRun, population: str, lag: int, frame: Frame) -> Raster:
    """Take a sample that was run again."""
    ticks, neurons, times = run.spikes[population]
    ticks = ticks - lag
    inside = (ticks >= 0) & (ticks < frame.length)
    return _raster(ticks[inside], neurons[inside], times[inside], frame)


def _raster(ticks: Array, neurons: Array, times: Array, frame: Frame) -> Raster:
    keys, place = np.unique(ticks * frame.size + neurons, return_inverse=True)
    counts = np.zeros(keys.size, np.int64)
    np.add.at(counts, place, times)
    return Raster(keys, counts)


def differing(one: Raster, other: Raster) -> Array:
    """Places at which two rasters differ: a spike in one alone, or another number of spikes."""
    keys = np.union1d(one.keys, other.keys)
    return np.asarray(keys[_at(one, keys) != _at(other, keys)])


def _at(raster: Raster, keys: Array) -> Array:
    """Spikes at places; 0 where there are none."""
    counts = np.zeros(keys.size, np.int64)
    counts[np.searchsorted(keys, raster.keys)] = raster.times
    return counts


Differences = Mapping[str, Array]
"""For each population, the places that differ."""


def total(found: Differences) -> int:
    """Differing spikes of all populations."""
    return sum(int(keys.size) for keys in found.values())
