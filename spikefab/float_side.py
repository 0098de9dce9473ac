"""The float simulation of all samples: in the chip's timing, recorded, and as it was trained."""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mapping.network import Network, Population
from mapping.reference import FloatRun, prepare, simulate
from spikefab.data import Samples
from spikefab.due import Due
from traces.trace import Trace
from traces.writer import TraceWriter

Array = NDArray[Any]


class FloatSide(NamedTuple):
    """What the float simulation found; see `spikefab.run.RunResult`."""

    counts: dict[str, Array]
    readout: Array
    instant: Array


class Before(NamedTuple):
    """What an earlier run did: the samples up to a checkpoint, and its tick."""

    side: FloatSide
    tick: int


def before(trace: Trace) -> Before | None:
    """Read back what a float trace holds up to its last checkpoint; None if it has none."""
    ticks = trace.checkpoints()
    if not ticks:
        return None
    last = trace.checkpoint(ticks[-1]).arrays
    done = ticks[-1] // trace.ticks
    counts = {p.name: trace.counts(p.name, 0, done) for p in trace.populations}
    return Before(FloatSide(counts, last["readout"], last["instant"]), ticks[-1])


def float_side(
    network: Network,
    output: Population,
    samples: Samples,
    ticks: int,
    latency: int,
    writer: TraceWriter | None,
    progress: Callable[[int], None],
    before: Before | None = None,
) -> FloatSide:
    """Simulate every sample in both timings.

    Parameters
    ----------
    output : Population
        The one that classes are read from.
    ticks : int
        Of each sample in the chip's timing.
    latency : int
        Ticks from an input spike to the first population there.
    progress : callable
        Told how many samples are done.
    before : Before, optional
        What an earlier run did of it.
    """
    in_step = prepare(network, timing="chip", input_latency=latency)
    as_trained = prepare(network, timing="instant")
    n = len(samples)
    side = FloatSide(
        {p.name: np.zeros((n, p.size), np.int64) for p in network.populations},
        np.zeros((n, output.size)),
        np.zeros((n, output.size)),
    )
    first = 0
    if before is not None:
        first = len(before.side.readout)
        for name, counts in before.side.counts.items():
            side.counts[name][:first] = counts
        side.readout[:first], side.instant[:first] = before.side.readout, before.side.instant
    due = Due()
    for index in range(first, n):
        drive = samples.drive(index, network)
        run = simulate(in_step, drive, n_ticks=ticks)
        for name, (at, neurons) in run.spikes.items():
            side.counts[name][index] = np.bincount(neurons, minlength=side.counts[name].shape[1])
            if writer is not None:
                writer.spikes(name, at + index * ticks, neurons)
        if writer is not None:
            for (name, variable), frames in run.states.items():
                writer.state(name, variable, frames, scale=1.0)
        side.readout[index] = _read_out(run, output)
        side.instant[index] = _read_out(simulate(as_trained, drive), output)
        done = index + 1
        if writer is not None and (due.at(done) or done == n):
            began = time.perf_counter()
            arrays = {"readout": side.readout[:done], "instant": side.instant[:done]}
            writer.checkpoint(done * ticks, {}, arrays)
            due.done(done, time.perf_counter() - began)
        progress(done)
    return side


def _read_out(run: FloatRun, output: Population) -> Array:
    """Spike counts of an output, or its mean membrane if it never spikes."""
    if not output.spiking:
        return np.asarray(run.states[output.name, "v"].mean(axis=0))
    return np.bincount(run.spikes[output.name][1], minlength=output.size).astype(np.float64)
