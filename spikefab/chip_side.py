"""The chip's side of a run: its engine, its host, what is recorded and what it adds up to."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emulator.block import Block
from emulator.engine import Engine
from emulator.program import Program, ProgramPopulation
from emulator.snapshot import Snapshot
from emulator.stimulus import Stimulus
from mapping.network import Network, Population
from spikefab.data import Samples
from spikefab.deployment import Deployment
from spikefab.due import Due
from spikefab.host import Host
from spikefab.record import Recorder
from spikefab.tally import Tally, passed, recorded
from spikefab.wished import Wished
from spikefab.wishes import wishes_of
from traces.bundle import Bundle
from traces.trace import Trace
from traces.writer import TraceWriter

Array = NDArray[Any]


class ChipSide:
    """One run on the chip, from its beginning or from a checkpoint.

    Parameters
    ----------
    output : Population
        The one that classes are read from.
    ticks : int
        Of each sample.
    wished : Wished
        What is recorded.
    checkpoint_ticks : int, optional
        See `spikefab.run.run_network`.
    engine_choices
        Go to `Engine`.

    Attributes
    ----------
    engine, host, tally
    """

    def __init__(
        self, deployment: Deployment, samples: Samples, output: Population, ticks: int,
        wished: Wished, *, checkpoint_ticks: int | None = None, **engine_choices: Any,
    ) -> None:  # fmt: skip
        program = deployment.program
        self._deployment, self._samples, self._ticks = deployment, samples, ticks
        self._silent, self._wished = silent_outputs(program), wished
        self.host = Host(deployment)
        self.engine = Engine(program, deployment.chip, **wished.engine, **engine_choices)
        self.tally = Tally(program, output, self._silent, len(samples), ticks)
        self._first_tick = 0
        self._handed: dict[int, dict[str, dict[str, int]]] = {}
        self._due = Due(checkpoint_ticks)
        self._checkpoint_ticks = checkpoint_ticks

    def go_on(self, trace: Trace, checkpoint: Bundle) -> None:
        """Begin at a checkpoint of an earlier run instead of the first tick."""
        header = checkpoint.header
        self._first_tick = int(header["tick"])
        self._due = Due(self._checkpoint_ticks, first_tick=self._first_tick)
        self.engine.restore(Snapshot(header=header["engine"], arrays=checkpoint.arrays))
        self.host.n_handed.update(header["host"]["handed"])
        self.host.n_cut.update(header["host"]["cut"])
        if not self._wished.all_spikes:
            self.tally.restore(checkpoint.arrays)
            return
        for some in recorded(trace, self._deployment.program, self._silent, self._first_tick):
            self.tally.add(some)

    def run(
        self, record: Recorder, writer: TraceWriter | None, progress: Callable[[int], None]
    ) -> None:
        """Run what is left; ``progress`` is told how many samples are done."""

        def observe(block: Block) -> None:
            ended = self.tally.add(passed(self._wished.own(block)))
            if writer is not None:
                record.block(writer, block, self._silent)
                tick = block.sample * self._ticks + block.first_tick + block.tick_ps.size
                # What a recording holds back or leaves out is no part of the engine's snapshot.
                whole = ended or self._wished.is_plain
                if whole and self._due.at(tick) and self.engine.can_snapshot:
                    self._checkpoint(writer, tick, keep=self._due.kept)
            if ended:
                progress(block.sample + 1)

        self.engine.run(self._events(record, writer), self._ticks, observe)
        if writer is not None:
            self._checkpoint(writer, len(self._samples) * self._ticks)
            record.totals(writer, self.engine)

    def _events(self, record: Recorder, writer: TraceWriter | None) -> Iterator[Stimulus]:
        for index in range(self._first_tick // self._ticks, len(self._samples)):
            self._handed[index] = self._host_counts()
            drive = self._samples.drive(index, self._deployment.network)
            events = self.host.stimulus(drive, self._ticks)
            if writer is not None:
                record.stimulus(writer, events, index, first_tick=self._first_tick)
            yield events

    def _host_counts(self) -> dict[str, dict[str, int]]:
        return {"handed": dict(self.host.n_handed), "cut": dict(self.host.n_cut)}

    def _checkpoint(self, writer: TraceWriter, tick: int, *, keep: bool = False) -> None:
        began = time.perf_counter()
        snapshot = self.engine.snapshot()
        sample = tick // self._ticks
        # What the host counted before this sample: it is handed over again from its start.
        counts = self._handed.get(sample, self._host_counts())
        header = {"tick": tick, "engine": snapshot.header, "host": counts}
        arrays = dict(snapshot.arrays)
        if not self._wished.all_spikes:
            arrays |= self.tally.saved(sample)
        writer.checkpoint(tick, header, arrays, keep=keep)
        self._handed = {k: v for k, v in self._handed.items() if k >= sample}
        self._due.done(tick, time.perf_counter() - began)


def silent_outputs(program: Program) -> list[ProgramPopulation]:
    """Outputs that never spike: their membranes are read."""
    return [p for p in program.populations if p.output and not p.spiking]


def wished_of(how: dict[str, Any], program: Program, network: Network, ticks: int) -> Wished:
    """What a run records.

    Parameters
    ----------
    how : dict
        The run's choices, as its trace carries them.
    ticks : int
        Of each sample.
    """
    numbers = [program.neurons_of(part.name) for part in silent_outputs(program)]
    period_s = network.dt_s if how["tick_period_s"] is None else how["tick_period_s"]
    return Wished(
        wishes_of(how.get("record", ()), program, period_s), program, ticks,
        np.concatenate(numbers) if numbers else np.empty(0, np.int64),
        [p.name for p in network.order],
    )  # fmt: skip
