"""The spike trains of one population in two traces, some samples and neurons at a time."""

import itertools
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from traces import align
from traces.align import Aligned, Window
from traces.layout import RecordedPopulation
from traces.measures.trains import Trains
from traces.trace import Trace

Array = NDArray[Any]

MOST_REPEATS = 1 << 16
"""Spikes of one train that its payloads may stand for."""
HELD_WINDOWS = 4
"""How many windows' spikes are held of a trace in whose samples there are more: each group of
neurons takes one more reading of the sample."""


class Batch(NamedTuple):
    """Trains of both traces: train k is that of a neuron in a sample.

    ``sample`` and ``neuron`` int64 [n_trains]. ``counts`` int64 [2, n_trains] are the spikes of a and
    b. Where payloads stand for more than `MOST_REPEATS` spikes, the train is ``left_out``, bool
    [n_trains], and empty here.
    """

    sample: Array
    neuron: Array
    a: Trains
    b: Trains
    counts: Array
    left_out: Array


class _Group(NamedTuple):
    """Samples that are read together, and their ticks."""

    first: int
    last: int
    length: int


class _Found(NamedTuple):
    """Spikes of one trace in order: train, tick and size of the payload; integers [n_spikes]."""

    train: Array
    tick: Array
    payload: Array


def batches(aligned: Aligned) -> Iterator[Batch]:
    """Cut a population's trains so that a batch has about `align.WINDOW_EVENTS` spikes of a trace.

    A sample with more than `HELD_WINDOWS` times as many is read once for every group of neurons.
    """
    of_sample = _mean_spikes(aligned)
    for group in _groups(aligned, max(of_sample, aligned.size)):
        for first, last in _neurons(aligned, group, of_sample):
            found = _read(aligned, group, first, last, of_sample)
            yield from _cut(aligned, group, first, last, found)


def _mean_spikes(aligned: Aligned) -> float:
    """Spikes in a sample, of the trace that has more."""
    return max(
        trace.n_spikes(population.name) * trace.ticks / max(trace.whole_ticks, 1)
        for trace, population in aligned.sides
    )


def _groups(aligned: Aligned, in_sample: float) -> Iterator[_Group]:
    whole, rest = divmod(aligned.n_ticks, aligned.length)
    step = max(int(align.WINDOW_EVENTS / max(in_sample, 1)), 1)
    for first in range(0, whole, step):
        yield _Group(first, min(first + step, whole), aligned.length)
    if rest:
        yield _Group(whole, whole + 1, rest)


def _neurons(aligned: Aligned, group: _Group, of_sample: float) -> list[tuple[int, int]]:
    """Cut a sample's neurons so that few enough spikes are theirs."""
    if of_sample <= align.WINDOW_EVENTS:
        return [(0, aligned.size)]
    counts = np.max(
        [trace.counts(p.name, group.first, group.last)[0] for trace, p in aligned.sides], axis=0
    )
    return _ranges(counts, HELD_WINDOWS * align.WINDOW_EVENTS)


def _ranges(counts: Array, most: int) -> list[tuple[int, int]]:
    """Cut so that each range counts about as much as may be held, or is a single one."""
    parts = np.cumsum(counts) // most
    edges = np.unique([0, *(np.flatnonzero(np.diff(parts)) + 1), counts.size]).tolist()
    return list(itertools.pairwise(edges))


def _read(
    aligned: Aligned, group: _Group, first: int, last: int, of_sample: float
) -> tuple[_Found, _Found]:
    """Read the spikes of some neurons, in windows of ticks where a sample has many."""
    step = group.length
    if of_sample > align.WINDOW_EVENTS:
        step = max(int(align.WINDOW_EVENTS * aligned.length / of_sample), 1)
    joined = []
    for trace, population in aligned.sides:
        parts = []
        for start in range(0, group.length, step):
            window = Window(group.first, group.last, start, min(start + step, group.length))
            parts.append(_chosen(trace, population, window, first, last))
        joined.append(_Found(*map(np.concatenate, zip(*parts, strict=True))))
    return joined[0], joined[1]


def _chosen(
    trace: Trace, population: RecordedPopulation, window: Window, first: int, last: int
) -> _Found:
    """Read the spikes of some neurons in a window, in columns as narrow as can be."""
    begin = window.first_sample * trace.ticks + population.lag + window.start
    end = (window.last_sample - 1) * trace.ticks + population.lag + window.stop
    spikes = trace.spikes(population.name, begin, end)
    sample, tick = np.divmod(spikes.ticks, trace.ticks)
    tick -= population.lag
    # Between two samples lie ticks that the other trace does not have.
    mine = (tick >= window.start) & (tick < window.stop)
    mine &= (spikes.neurons >= first) & (spikes.neurons < last)
    n = (window.last_sample - window.first_sample) * (last - first)
    train = (sample[mine] - window.first_sample) * (last - first) + spikes.neurons[mine] - first
    payload = np.ones(train.size, np.uint8)
    if spikes.payload is not None:
        payload = np.abs(spikes.payload[mine])
    return _Found(
        train.astype(np.min_scalar_type(n)),
        tick[mine].astype(np.min_scalar_type(window.stop)),
        payload,
    )


def _cut(
    aligned: Aligned, group: _Group, first: int, last: int, both: tuple[_Found, _Found]
) -> Iterator[Batch]:
    """Cut where payloads make more of the spikes than may be held."""
    n = (group.last - group.first) * (last - first)
    counts = np.zeros((2, n), np.int64)
    for side, found in zip(counts, both, strict=True):
        np.add.at(side, found.train, found.payload)
    payload = any(population.payload for _, population in aligned.sides)
    left_out = payload & np.any(counts > MOST_REPEATS, axis=0)
    for begin, end in _ranges(np.where(left_out, 0, counts.max(axis=0)), align.WINDOW_EVENTS):
        sample, neuron = np.divmod(np.arange(begin, end), last - first)
        trains = [_trains(found, begin, end, left_out, group.length) for found in both]
        yield Batch(
            sample + group.first, neuron + first, trains[0], trains[1],
            counts[:, begin:end], left_out[begin:end],
        )  # fmt: skip


def _trains(found: _Found, begin: int, end: int, left_out: Array, length: int) -> Trains:
    mine = (found.train >= begin) & (found.train < end) & ~left_out[found.train]
    ticks, numbers = (each[mine].astype(np.int64) for each in (found.tick, found.train))
    return Trains.from_events(
        ticks, numbers - begin, found.payload[mine], n=end - begin, start=0, stop=length
    )  # fmt: skip
