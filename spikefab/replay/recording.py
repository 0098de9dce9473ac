"""A chip's trace as its machine sees it: what went in, and who fired, in the program's numbers."""

from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from emulator.chip import Chip
from emulator.engine import Engine
from emulator.excerpt import Fired
from emulator.happened import Happened
from emulator.program import Program
from emulator.snapshot import Snapshot
from emulator.stimulus import Stimulus
from spikefab.embedded import Embedded
from spikefab.host import Host
from spikefab.telling import BadInputError
from traces.trace import Trace

Array = NDArray[Any]


@dataclass(frozen=True)
class Window:
    """Ticks ``start`` (inclusive) to ``stop`` (exclusive), as the trace counts them."""

    start: int
    stop: int


def window_of(trace: Trace, samples: str | None = None, ticks: str | None = None) -> Window:
    """Read a part of a run, as ``A:B``; all that is whole by default.

    Raises
    ------
    BadInputError
        If it is no range, or not a tick of it is there.
    """
    start, stop = 0, trace.whole_ticks
    if samples is not None:
        first, last = _range("--samples", samples, trace.samples)
        start, stop = first * trace.ticks, last * trace.ticks
    if ticks is not None:
        start, stop = _range("--ticks", ticks, trace.samples * trace.ticks)
    if start >= trace.whole_ticks:
        raise BadInputError(
            f"{trace.path}: not one of the ticks {start}:{stop} is there; the run broke off after "
            f"{trace.whole_ticks} whole ticks"
        )
    return Window(start, min(stop, trace.whole_ticks))


class MachineState(NamedTuple):
    """State of a population between two ticks, as registers hold it.

    ``u`` int64 or float64 [n_currents, n], ``v`` [n]; divided by ``scale`` they are in the network's
    units.
    """

    u: Array
    v: Array
    scale: float


class Recording:
    """What a trace carries and holds of a chip's run.

    Parameters
    ----------
    trace : Trace
        Of a chip; it must stay open.

    Raises
    ------
    BadInputError
        If it is no chip's trace, or not a tick of it is whole.
    TraceFormatError
        Here or at any attribute, if what it was made from is not in it, or is of another hash.
    """

    def __init__(self, trace: Trace) -> None:
        if trace.kind != "chip":
            raise BadInputError(
                f"{trace.path}: a {trace.kind} trace; only the whole of it can be made again, all "
                "else needs the chip's trace"
            )
        if trace.whole_ticks == 0:
            raise BadInputError(
                f"{trace.path}: broke off before a tick was whole; nothing to replay"
            )
        self.trace = trace
        self.embedded = Embedded(trace)
        self.program: Program = self.embedded.program
        self.chip: Chip = self.embedded.chip
        _check_populations(trace, self.program)

    def __enter__(self) -> "Recording":
        return self

    def __exit__(self, *about: object) -> None:
        self.trace.close()

    @property
    def how(self) -> dict[str, Any]:
        """Choices of the run."""
        return self.embedded.how

    def stimulus(self, sample: int) -> Stimulus:
        """Rebuild a sample's input, as it was recorded; made again from the data if it was not."""
        if not self._has_stimulus:
            drive = self.embedded.samples.drive(sample, self.embedded.network)
            return self._host.stimulus(drive, self.trace.ticks)
        trace, program = self.trace, self.program
        span = sample * trace.ticks, (sample + 1) * trace.ticks
        spikes, currents = [_NOTHING], [_NOTHING]
        for name in trace.stimuli("spikes"):
            found = trace.stimulus_spikes(name, *span)
            first = program.first_channel(name)
            payload = np.ones_like(found.ticks) if found.payload is None else found.payload
            spikes.append((found.ticks - span[0], found.neurons + first, payload))
        for name in trace.stimuli("currents"):
            changes = trace.stimulus_currents(name, *span)
            neurons = program.neurons_of(name)[changes.neurons]
            currents.append((changes.ticks - span[0], neurons, changes.values))
        spike, current = _joined(spikes), _joined(currents)
        return Stimulus(
            spike_tick=spike[0], spike_channel=spike[1], spike_payload=spike[2],
            current_tick=current[0], current_neuron=current[1], current_value=current[2],
        )  # fmt: skip

    def fired(self, start: int, stop: int, names: Collection[str] | None = None) -> Fired:
        """Read the spikes of some ticks, which count from ``start``, by ascending neuron.

        Parameters
        ----------
        names : collection of str, optional
            Populations to read; all by default.
        """
        found = [_NOTHING]
        for part in self.program.populations:
            if names is not None and part.name not in names:
                continue
            spikes = self.trace.spikes(part.name, start, stop)
            payload = np.ones_like(spikes.ticks) if spikes.payload is None else spikes.payload
            neurons = self.program.neurons_of(part.name)[spikes.neurons]
            found.append((spikes.ticks - start, neurons, payload))
        return Fired(*_joined(found))

    def seek(self, tick: int) -> dict[str, MachineState]:
        """Return the exact state of the machine before a tick of the trace.

        Before the first tick of a sample that is what the sample before has left; before tick 0
        what was loaded. Begins at the nearest checkpoint before it, or with its sample, and runs from there.

        Parameters
        ----------
        tick : int
            As the trace counts them; the ticks before it have passed.

        Returns
        -------
        mapping of population to MachineState

        Raises
        ------
        BadInputError
            If there is no such tick, or the run broke off before it.
        """
        engine = self.engine_at(tick)
        state, program = engine.state, self.program
        return {
            p.name: MachineState(
                u=state["current"][:, program.neurons_of(p.name)],
                v=state["membrane"][program.neurons_of(p.name)],
                scale=p.scale,
            )
            for p in program.populations
        }

    def engine_at(self, tick: int) -> Engine:
        """Return an engine that has come to a tick of the trace; see `seek`."""
        trace = self.trace
        if not 0 <= tick <= trace.whole_ticks:
            raise BadInputError(
                f"{trace.path}: tick {tick} is none of 0..{trace.whole_ticks}, the whole ticks of "
                f"this trace"
            )
        sample, within = divmod(tick, trace.ticks)
        if not within and tick:  # the end of the sample before, whose state is still there
            sample, within = sample - 1, trace.ticks
        engine = Engine(
            self.program, self.chip, seed=int(self.how["seed"]), fabric=str(self.how["fabric"]),
            first_sample=sample, n_threads=1,
        )  # fmt: skip
        before = [t for t in trace.checkpoints() if sample * trace.ticks < t <= tick]
        begun = 0
        if before and before[-1] < (sample + 1) * trace.ticks:
            saved = trace.checkpoint(before[-1])
            engine = Engine(
                self.program, self.chip, seed=int(self.how["seed"]),
                fabric=str(self.how["fabric"]), n_threads=1,
            )  # fmt: skip
            engine.restore(Snapshot(header=saved.header["engine"], arrays=saved.arrays))
            begun = before[-1] - sample * trace.ticks
        if begun < within:
            steps = engine.steps(self.stimulus(sample), trace.ticks)
            for _ in range(within - begun):
                next(steps)
        return engine

    def inputs(self, sample: int) -> tuple[Array, Array, Array]:
        """Tick, channel and payload of a sample's input spikes, as the machine takes them."""
        given, most = self.stimulus(sample), self.chip.numbers.input_payload_max
        payload = np.minimum(given.spike_payload, most) if most else given.spike_payload
        order = np.arange(payload.size)
        if np.any(self.program.channel_core >= 0):
            order = np.lexsort((given.spike_channel, given.spike_tick))
        return given.spike_tick[order], given.spike_channel[order], payload[order]

    def happened(self, inputs: tuple[Array, Array, Array], start: int, stop: int) -> Happened:
        """What happened in some ticks of one sample, whose `inputs` these are."""
        within = start % self.trace.ticks
        tick, channel, payload = inputs
        mine = slice(*np.searchsorted(tick, [within, within + stop - start]))
        fired = self.fired(start, stop)
        return Happened(
            n_ticks=stop - start, spike_tick=fired.tick, spike_neuron=fired.neuron,
            spike_payload=fired.payload, input_tick=tick[mine] - within,
            input_channel=channel[mine], input_payload=payload[mine],
        )  # fmt: skip

    @cached_property
    def has_activity(self) -> bool:
        """Whether the trace holds when spikes left and how long cores updated."""
        return self.activity(0, 1) is not None

    def activity(self, start: int, stop: int) -> tuple[Array, Array] | None:
        """Read when spikes left, as `fired` orders them, and updates [n_ticks, n_cores]; ps."""
        trace: Any = self.trace
        # Traces of earlier layouts know no times of sending.
        if not all(getattr(part, "sent_ps", False) for part in trace.populations):
            return None
        found = [_NOTHING]
        for part in self.program.populations:
            spikes = self.trace.spikes(part.name, start, stop)
            neurons = self.program.neurons_of(part.name)[spikes.neurons]
            found.append((spikes.ticks, neurons, trace.sent_ps(part.name, start, stop)))
        update = trace.core_tick_counters(start, stop, names=("update_ps",))["update_ps"]
        return _joined(found)[2], update

    @cached_property
    def _has_stimulus(self) -> bool:
        trace = self.trace
        if self.how.get("direct"):
            return bool(trace.stimuli("currents"))
        return {name for name, _ in self.program.inputs} <= set(trace.stimuli("spikes"))

    @cached_property
    def _host(self) -> Host:
        return Host(self.embedded.deployment)


_NOTHING = (np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.int64))


def _joined(columns: list[tuple[Array, Array, Array]]) -> tuple[Array, Array, Array]:
    """Join (tick, number, value) and order them by tick, then number."""
    tick, number, value = (np.concatenate(column) for column in zip(*columns, strict=True))
    order = np.lexsort((number, tick))
    return tick[order], number[order], value[order]


def _range(option: str, text: str, most: int) -> tuple[int, int]:
    first, colon, last = text.partition(":")
    try:
        start = int(first) if first.strip() else 0
        stop = (int(last) if last.strip() else most) if colon else start + 1
    except ValueError:
        raise BadInputError(
            f"{option} {text}: must be FIRST:LAST in whole numbers, LAST not included; 3 is 3:4"
        ) from None
    if not 0 <= start < stop <= most:
        raise BadInputError(f"{option} {text}: must lie within 0:{most} and not be empty")
    return start, stop


def _check_populations(trace: Trace, program: Program) -> None:
    there = {p.name: p.shape for p in program.populations}
    odd = [p.name for p in trace.populations if there.get(p.name) != p.shape]
    if odd:
        raise BadInputError(
            f"{trace.path}: the populations {', '.join(odd)} are not those of the program that it "
            "carries; it was put together from two files"
        )


def open(path: str | Path) -> Recording:  # noqa: A001 - users write spikefab.open(path).seek(tick)
    """Open a chip's trace for looking at the machine in it; best in a ``with`` statement.

    Raises
    ------
    FileNotFoundError, TraceFormatError, BadInputError
        As `Trace.open` and `Recording` do.
    """
    trace = Trace.open(path)
    try:
        return Recording(trace)
    except BaseException:
        trace.close()
        raise
