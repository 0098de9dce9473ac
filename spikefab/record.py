"""The two trace files of a run, written while it goes on."""

import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from emulator.carried import Carried
from emulator.energy import COUNTED
from emulator.engine import Block, Engine
from emulator.errors import FabricChoiceError
from emulator.neuron import RESETS
from emulator.probes import KINDS
from emulator.program import ProgramPopulation
from emulator.stimulus import Stimulus
from spikefab.data import Samples
from spikefab.deployment import Deployment
from spikefab.wished import Wished
from traces.errors import TraceFormatError
from traces.layout import RecordedPopulation
from traces.trace import Trace
from traces.writer import TraceWriter


def carried_of_run(engine: Engine) -> Carried | None:
    """What the fabric has carried; None where its links are not followed, being too many."""
    try:
        return engine.carried
    except FabricChoiceError:
        return None


class GoingOn(NamedTuple):
    """How a trace that an earlier run left is gone on with: from which tick, if any."""

    tick: int | None
    complete: bool


NEW = GoingOn(None, complete=False)


class Recorder:
    """The two trace files of a run, or none of them."""

    def __init__(
        self,
        folder: Path | None,
        deployment: Deployment,
        samples: Samples,
        ticks: int,
        provenance: dict[str, str | int | float],
        wished: Wished,
    ) -> None:
        self._folder = folder
        self._program = deployment.program
        self._about, self._wished = provenance, wished
        self._ticks = ticks
        self._common: dict[str, Any] = {
            "samples": len(samples),
            "ticks": ticks,
            "input_ticks": samples.n_ticks,
            "dt_s": deployment.network.dt_s,
        }
        parts = {p.name: p for p in self._program.populations}
        # As the signal goes, not as the file of the network happens to list them.
        self._parts = [parts[p.name] for p in deployment.network.order]
        self._carrying = _carrying(deployment)

    def float_trace(self, going_on: GoingOn = NEW) -> "Writing":
        """Open ``float.h5``."""
        return self._open("float.h5", "float", going_on)

    def chip_trace(
        self, attachments: Callable[[], Mapping[str, Any]], going_on: GoingOn = NEW
    ) -> "Writing":
        """Open ``trace.h5``.

        Parameters
        ----------
        attachments : callable
            Gives what the run is made from, for a new file.
        """
        return self._open("trace.h5", "chip", going_on, attachments)

    def _open(
        self, name: str, kind: Any, going_on: GoingOn,
        attachments: Callable[[], Mapping[str, Any]] = dict,
    ) -> "Writing":  # fmt: skip
        if self._folder is None or going_on.complete:
            return Writing(None)
        if going_on.tick is not None:
            return Writing(TraceWriter.resume(self._folder / name, going_on.tick))
        populations = [
            RecordedPopulation(
                name=p.name, shape=p.shape, lag=p.lag, output=p.output, spiking=p.spiking,
                payload=kind == "chip" and p.name in self._carrying,
                sent_ps=kind == "chip" and self._wished.activity,
            )
            for p in self._parts
        ]  # fmt: skip
        return Writing(
            TraceWriter(
                self._folder / name, kind=kind, populations=populations, provenance=self._about,
                attachments=attachments(), **self._common,
            )
        )  # fmt: skip

    def cores(self, writer: TraceWriter) -> None:
        """Record where the cores lie and how many neurons they hold."""
        program = self._program
        writer.cores(place=program.core, neurons=np.diff(program.core_start))

    def stimulus(
        self, writer: TraceWriter, events: Stimulus, sample: int, *, first_tick: int = 0
    ) -> None:
        """Record a sample's input, that of ticks before ``first_tick`` of the trace excepted."""
        first = sample * self._ticks
        events = events.since(first_tick - first)
        for name, size in self._program.inputs:
            channel = events.spike_channel - self._program.first_channel(name)
            mine = (channel >= 0) & (channel < size)
            writer.stimulus_spikes(
                name, events.spike_tick[mine] + first, channel[mine], events.spike_payload[mine]
            )
        owner = self._program.population[events.current_neuron]
        for number in np.unique(owner):
            mine = owner == number
            writer.stimulus_currents(
                self._program.populations[number].name,
                events.current_tick[mine] + first,
                self._program.index[events.current_neuron[mine]],
                events.current_value[mine],
            )

    def block(self, writer: TraceWriter, block: Block, silent: list[ProgramPopulation]) -> None:
        """Record some ticks."""
        owner = self._program.population[block.spike_neuron]
        at = block.spike_tick + block.sample * self._ticks
        for number in np.flatnonzero(np.bincount(owner)):
            mine = np.flatnonzero(owner == number)
            name = self._program.populations[number].name
            mine = mine[self._wished.spikes(name, self._program.index[block.spike_neuron[mine]])]
            writer.spikes(
                name,
                at.take(mine),
                self._program.index.take(block.spike_neuron.take(mine)),
                block.spike_payload.take(mine) if name in self._carrying else None,
                block.sent_ps.take(mine) if self._wished.activity else None,
            )
        first = 0
        for part in silent:
            frames = block.frames[:, first : first + part.size]
            # What never resets is counted from 0, in the network as on the chip.
            writer.state(part.name, "v", frames, scale=1.0 / part.scale)
            first += part.size
        counted = {
            name: block.tick_counters[name] for name in COUNTED if name in block.tick_counters
        }
        counted["spikes"] = np.bincount(
            block.spike_tick - block.first_tick,
            weights=np.abs(block.spike_payload),
            minlength=block.tick_ps.size,
        ).astype(np.int64)
        self._write_wishes(writer, block)
        core = self._program.core
        writer.tick_counters(
            duration_ps=block.tick_ps, slowest_core=core[block.slowest_core],
            busiest_link=block.busiest_link, **counted,
        )  # fmt: skip

    def _write_wishes(self, writer: TraceWriter, block: Block) -> None:
        if self._wished.activity:
            writer.core_tick_counters(update_ps=block.update_ps)
        states, triggers = self._wished.states(block)
        for state in states:
            writer.state(**state)
        for columns in triggers:
            writer.triggers(kinds=KINDS, **columns)
        packets = self._wished.packets(block)
        if packets is not None:
            writer.packets(inputs=[name for name, _ in self._program.inputs], **packets)

    @staticmethod
    def totals(writer: TraceWriter, engine: Engine) -> None:
        """Record what the run adds up to, by core, by link and by how long packets took."""
        writer.totals("core", engine.counters)
        carried = carried_of_run(engine)
        if carried is None:
            return
        writer.totals(
            "link",
            {
                "from_router": carried.noc.link_from, "to_router": carried.noc.link_to,
                "packets": carried.packets, "busy_ps": carried.busy_ps,
                "queue_peak": carried.queue_peak,
            },
        )  # fmt: skip
        used = np.flatnonzero(carried.latency)
        writer.totals(
            "latency",
            {
                "least_ps": np.ceil(carried.latency_edges_ps[used]),
                "below_ps": np.ceil(carried.latency_edges_ps[used + 1]),
                "packets": carried.latency[used],
            },
        )  # fmt: skip

    def finish(self) -> None:
        """Name each trace's partner by its content hash; warns where that cannot be done."""
        if self._folder is None:
            return
        names = ("float.h5", "trace.h5")
        try:
            hashes = []
            for name in names:
                with Trace.open(self._folder / name) as trace:
                    hashes.append(str(trace.content_sha256))
            for name, partner, digest in zip(names, names[::-1], hashes[::-1], strict=True):
                TraceWriter.add_notes(self._folder / name, partner=partner, partner_sha256=digest)
        except (OSError, TraceFormatError) as error:
            # Both traces are complete; what is missing is a convenience.
            warnings.warn(f"the traces do not name each other as partners ({error})", stacklevel=2)


def _carrying(deployment: Deployment) -> frozenset[str]:
    """Populations whose chip neurons may give other payloads than 1."""
    program = deployment.program
    several = program.reset == RESETS.index("subtract-repeat")
    if program.lower.size and deployment.chip.arithmetic.lower_threshold == "spike":
        several = np.ones_like(several)
    if program.alias.size:  # one of two names of a neuron: its spikes add to the other's
        several = np.ones_like(several)
    return frozenset(program.populations[k].name for k in np.unique(program.population[several]))


class Writing:
    """A writer in a ``with`` statement, or nothing to write to."""

    def __init__(self, writer: TraceWriter | None) -> None:
        self._writer = writer

    def __enter__(self) -> TraceWriter | None:
        return self._writer.__enter__() if self._writer is not None else None

    def __exit__(self, *about: Any) -> None:
        if self._writer is not None:
            self._writer.__exit__(*about)
