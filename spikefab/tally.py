"""What a chip's run adds up to, block by block, whoever hands the blocks over."""

from collections.abc import Iterator
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from emulator.block import Block
from emulator.program import Program, ProgramPopulation
from mapping.network import Population
from spikefab.decisions import Decisions
from traces.trace import Trace

Array = NDArray[Any]

TIMES = {
    "duration_ps": "tick_ps", "slowest_core": "slowest_core", "busiest_link": "busiest_link",
}  # fmt: skip
"""What is kept of each tick, and how `Block` calls it."""


class Passed(NamedTuple):
    """Some ticks of one sample that have passed; as `Block` has them.

    ``times`` int64 [n_ticks] by the names of `TIMES`; ``frames`` [n_ticks, n] are the membranes of
    the outputs that never spike.
    """

    sample: int
    first_tick: int
    spike_tick: Array
    spike_neuron: Array
    spike_payload: Array
    frames: Array
    times: dict[str, Array]

    @property
    def n_ticks(self) -> int:
        """Number of ticks."""
        return len(self.times["duration_ps"])


def passed(block: Block) -> Passed:
    """What an engine reports."""
    return Passed(
        block.sample, block.first_tick, block.spike_tick, block.spike_neuron, block.spike_payload,
        block.frames, {name: getattr(block, kept) for name, kept in TIMES.items()},
    )  # fmt: skip


class Tally:
    """Counts, times and decisions of a run.

    Parameters
    ----------
    program : Program
    output : Population
        The one that classes are read from.
    silent : list of ProgramPopulation
        Outputs that never spike, in the order of the frames.
    n_samples, ticks : int

    Attributes
    ----------
    times : mapping of name to int64 [samples, ticks]
    """

    def __init__(
        self, program: Program, output: Population, silent: list[ProgramPopulation],
        n_samples: int, ticks: int,
    ) -> None:  # fmt: skip
        self._program, self._ticks = program, ticks
        ends = np.cumsum([0, *(part.size for part in silent)]).tolist()
        frames = {part.name: slice(*cut) for part, cut in zip(silent, pairwise(ends), strict=True)}
        self._frames = frames.get(output.name)
        self._output = next(p for p in program.populations if p.name == output.name)
        self._counts = np.zeros((n_samples, program.n_neurons), np.int64)
        self._frame_sums = np.zeros((n_samples, ends[-1]))
        self._decisions = Decisions(
            program.neurons_of(output.name), program.n_neurons, self._frames
        )
        self.times = {name: np.zeros((n_samples, ticks), np.int64) for name in TIMES}

    def add(self, some: Passed) -> bool:
        """Take in the ticks that come next; return whether they end a sample."""
        np.add.at(self._counts[some.sample], some.spike_neuron, np.abs(some.spike_payload))
        self._frame_sums[some.sample] += some.frames.sum(axis=0)
        now = slice(some.first_tick, some.first_tick + some.n_ticks)
        for name, values in some.times.items():
            self.times[name][some.sample, now] = values
        self._decisions.add(
            some.n_ticks, some.spike_tick - some.first_tick, some.spike_neuron,
            some.spike_payload, some.frames,
        )  # fmt: skip
        ends = now.stop == self._ticks
        if ends:
            self._decisions.end_sample()
        return ends

    def saved(self, n_samples: int) -> dict[str, Array]:
        """What so many whole samples added up to, for a trace that does not hold their spikes."""
        return {
            "tally_counts": self._counts[:n_samples],
            "tally_frame_sums": self._frame_sums[:n_samples],
            "tally_settled": self.settled[:n_samples],
            **{f"tally_{name}": values[:n_samples] for name, values in self.times.items()},
        }

    def restore(self, arrays: dict[str, Array]) -> None:
        """Begin with what `saved` gave."""
        n = len(arrays["tally_counts"])
        self._counts[:n] = arrays["tally_counts"]
        self._frame_sums[:n] = arrays["tally_frame_sums"]
        self._decisions.ticks[:] = arrays["tally_settled"].tolist()
        for name, values in self.times.items():
            values[:n] = arrays[f"tally_{name}"]

    @property
    def counts(self) -> dict[str, Array]:
        """Spikes of each neuron in each sample, by population; int64 [samples, n]."""
        program = self._program
        return {p.name: self._counts[:, program.neurons_of(p.name)] for p in program.populations}

    @property
    def readout(self) -> Array:
        """Spike counts of the output, or its mean membrane; float64 [samples, n]."""
        if self._frames is not None:
            return self._frame_sums[:, self._frames] / self._ticks / self._output.scale
        return self._counts[:, self._program.neurons_of(self._output.name)].astype(np.float64)

    @property
    def settled(self) -> Array:
        """Ticks at which classes were settled; int64 [samples that ended]."""
        return np.array(self._decisions.ticks, np.int64)


def recorded(
    trace: Trace, program: Program, silent: list[ProgramPopulation], stop: int
) -> Iterator[Passed]:
    """Yield what a trace holds of the ticks before ``stop``, a sample or its beginning at a time."""
    index = np.full(int(program.core.max(initial=-1)) + 1, -1)
    index[program.core] = np.arange(program.core.size)
    for first in range(0, stop, trace.ticks):
        last = min(first + trace.ticks, stop)
        found = [_spikes(trace, program, p.name, first, last) for p in program.populations]
        tick, neuron, payload = (np.concatenate(column) for column in zip(*found, strict=True))
        order = np.lexsort((neuron, tick))
        frames = [trace.raw_state(p.name, "v", first, last) for p in silent]
        times = trace.tick_counters(first, last, names=tuple(TIMES))
        # A trace has places on the chip, an engine counts the cores in use.
        times["slowest_core"] = index[times["slowest_core"]]
        yield Passed(
            sample=first // trace.ticks,
            first_tick=0,
            spike_tick=tick[order] - first,
            spike_neuron=neuron[order],
            spike_payload=payload[order],
            frames=np.concatenate(frames, axis=1) if frames else np.empty((last - first, 0)),
            times=times,
        )


def _spikes(
    trace: Trace, program: Program, name: str, first: int, last: int
) -> tuple[Array, Array, Array]:
    spikes = trace.spikes(name, first, last)
    payload = np.ones_like(spikes.ticks) if spikes.payload is None else spikes.payload
    return spikes.ticks, program.neurons_of(name)[spikes.neurons], payload
