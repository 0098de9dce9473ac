"""Recorded spikes through another fabric, placement, timing or cost table, without any neuron."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emulator.carried import Carried
from emulator.chip import Chip
from emulator.energy import COUNTED, Band, CountersError, energy_band
from emulator.errors import FabricChoiceError, RetimingError
from emulator.fanout import counts_by_tick, fanout_of
from emulator.happened import Happened
from emulator.noc.of_chip import noc_of
from emulator.noc.scratch import latency_edges
from emulator.program import Program
from emulator.retiming import Clock, Moved, Timer, Work
from spikefab.replay.recording import Recording, Window, window_of
from spikefab.telling import BadInputError
from traces.trace import Trace

Array = NDArray[Any]

_PIECE_TICKS = 1024
_PIECE_VALUES = 1 << 18
"""Ticks times cores that are held at a time."""
_OF_PLACES = (
    "packets", "local_packets", "input_packets", "hops_ew", "hops_ns", "hops_off_chip",
)  # fmt: skip
"""Counters that depend on where cores lie."""
WITHOUT_QUEUES = ("simple", "ideal")
"""Fabrics in which nothing that leaves later lets anything else arrive sooner."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Side:
    """Times and energy of the recorded ticks.

    Attributes
    ----------
    duration_ps, slowest_core, busiest_link : int64 [n_ticks]
        Cores by place; -1 for no link.
    core : int [n_cores]
        Place of each core.
    carried : Carried or None
    energy : Band or None
    """

    fabric: str
    duration_ps: Array
    slowest_core: Array
    busiest_link: Array
    core: Array
    carried: Carried | None
    energy: Band | None


@dataclass(frozen=True, kw_only=True, eq=False)
class Retimed:
    """Recorded ticks, timed anew.

    Attributes
    ----------
    window : Window
    before : Side
        As recorded.
    least, most : Side
        One and the same where times are exact; else with all silent neurons inactive, and with all
        neurons active.
    why : str
        Why times are a band; empty where they are exact.
    notes : tuple of str
    """

    window: Window
    before: Side
    least: Side
    most: Side
    why: str
    notes: tuple[str, ...]

    @property
    def exact(self) -> bool:
        """Whether every time is that of a real run."""
        return not self.why


def timed_like(chip: Chip, other: Chip) -> Chip:
    """Give a chip the timing, energy and fabric tables of another one.

    Raises
    ------
    BadInputError
        If they contradict the rest of the chip.
    """
    tables = {name: getattr(other, name) for name in ("timing", "energy", "fabric")}
    plain = chip.model_dump() | {
        name: None if table is None else table.model_dump() for name, table in tables.items()
    }
    try:
        return Chip.model_validate(plain)
    except ValueError as error:
        raise BadInputError(
            f"--timing: the tables of {other.name} do not suit {chip.name} ({error})"
        ) from error


def retime(
    recording: Recording, *, fabric: str | None = None, program: Program | None = None,
    timing: Chip | None = None, window: Window | None = None,
) -> Retimed:  # fmt: skip
    """Tell how long the recorded ticks take elsewhere, and what they cost there.

    Parameters
    ----------
    fabric : str, optional
        One of `emulator.fabric.FABRICS`; the recorded one by default.
    program : Program, optional
        The same network on other places.
    timing : Chip, optional
        Whose timing, energy and fabric tables hold.
    window : Window, optional
        All ticks that are whole by default.

    Raises
    ------
    BadInputError
        If this is not the same network, or the chip or fabric cannot carry it, or the trace's
        recorded times are not its own.
    """
    trace = recording.trace
    window = window or window_of(trace)
    chip = recording.chip if timing is None else timed_like(recording.chip, timing)
    if chip.timing is None:
        raise BadInputError(
            f"{chip.name} names no times; take those of another chip with --timing, loihi's say"
        )
    if recording.program.row_axon.size and window.start % trace.ticks:
        raise BadInputError(
            "spikes merge on binary axons, those of earlier ticks too; take whole samples "
            "(--samples) or ticks from the start of one"
        )
    name = _fabric(fabric, str(recording.how["fabric"]))
    target = recording.program if program is None else program
    try:
        old, new = Clock(recording.program, recording.chip), Clock(target, chip)
        moved = None if program is None else Moved(recording.program, program)
        timing_run = _Timing(recording, old, new, moved, name, window)
        timing_run.run()
    except RetimingError as error:
        raise BadInputError(f"{trace.path}: {error}") from error
    before = _recorded_side(recording, window)
    counters = timing_run.counters()
    sides = [timing_run.side(end, counters) for end in timing_run.ends]
    return Retimed(
        window=window, before=before, least=sides[0], most=sides[-1], why=timing_run.why,
        notes=tuple(_notes(trace, window, name, timing_run.why)),
    )  # fmt: skip


def _fabric(asked: str | None, recorded: str) -> str:
    if asked == "simpy":
        raise BadInputError(
            "--fabric simpy: is a part of running machines; queued takes the same picoseconds"
        )
    name = asked or recorded
    return "queued" if name == "simpy" else name


class _End:
    """Times with one account of who was active."""

    def __init__(self, clock: Clock, fabric: str, n_ticks: int) -> None:
        self.timer = Timer(clock, fabric)
        self.duration_ps, self.slowest = np.zeros(n_ticks, np.int64), np.zeros(n_ticks, np.int64)
        self.busiest = np.full(n_ticks, -1, np.int64)
        self._at = 0

    def add(self, happened: Happened, work: Work | None) -> None:
        now = slice(self._at, self._at + happened.n_ticks)
        ticks = self.timer(happened, work)
        self.duration_ps[now], self.slowest[now] = ticks.duration_ps, ticks.slowest_core
        self.busiest[now] = ticks.busiest_link
        self._at = now.stop


class _Timing:
    """Goes through the recorded ticks once."""

    def __init__(
        self, recording: Recording, old: Clock, new: Clock, moved: Moved | None, fabric: str,
        window: Window,
    ) -> None:  # fmt: skip
        self._recording, self._old, self._new = recording, old, new
        self._moved, self._fabric, self._window = moved, fabric, window
        self.why = self._why()
        n_ends = 2 if self.why else 1
        n_ticks = window.stop - window.start
        self.ends = [_End(new, fabric, n_ticks) for _ in range(n_ends)]
        self._fanout = fanout_of(new.program, new.chip)
        self._counted = dict.fromkeys(_OF_PLACES, 0)

    def _why(self) -> str:
        """Say why times are not exact, if they are not."""
        if self._new.active_ps == 0:
            return ""
        if not self._recording.has_activity:
            return (
                "the trace does not say which neurons were active, and an active one takes "
                f"{self._new.active_ps:,} ps more; record the run with activity for exact times"
            )
        if self._old.active_ps == 0:
            return (
                "active neurons took no longer than others where the run was recorded, so its "
                "times do not tell which they were"
            )
        if self._moved is not None and not self._moved.same_cores:
            return "cores hold other neurons now, and which of these were active is not recorded"
        return ""

    def run(self) -> None:
        """Time all ticks."""
        for happened, recorded, begins in self._pieces():
            work = None
            if recorded is not None:
                work = self._old.work_of(happened, *recorded)
            there = happened
            if self._moved is not None:
                there, work = self._moved.happened(happened, work)
            self._count(there)
            works = [work]
            if self.why:
                works = [self._new.least_work(there), self._new.most_work(there)]
            for end, active in zip(self.ends, works, strict=True):
                if begins:
                    end.timer.begin()
                end.add(there, active)

    def _pieces(self) -> Iterator[tuple[Happened, tuple[Array, Array] | None, bool]]:
        """Yield some ticks of one sample at a time, and whether they begin one."""
        recording, ticks = self._recording, self._recording.trace.ticks
        cores = max(self._new.program.n_cores, self._old.program.n_cores)
        most = max(min(_PIECE_TICKS, _PIECE_VALUES // max(cores, 1)), 1)
        for sample in range(self._window.start // ticks, -(-self._window.stop // ticks)):
            begin = max(self._window.start, sample * ticks)
            end = min(self._window.stop, (sample + 1) * ticks)
            inputs = recording.inputs(sample)
            for start in range(begin, end, most):
                stop = min(start + most, end)
                happened = recording.happened(inputs, start, stop)
                yield happened, recording.activity(start, stop), start == begin

    def _count(self, happened: Happened) -> None:
        n = self._new.program.n_neurons
        counted = counts_by_tick(
            self._fanout, 1, np.zeros(happened.spike_tick.size + happened.input_tick.size, np.int64),
            np.append(happened.spike_neuron, n + happened.input_channel),
            np.append(happened.spike_payload, happened.input_payload),
        )  # fmt: skip
        for name in _OF_PLACES:
            self._counted[name] += int(counted[name][0])

    def counters(self) -> dict[str, Array]:
        """Counters of the window: those of the recorded places, counted anew for others."""
        counters = _counters(self._recording.trace, self._window)
        if self._moved is not None or self._new.chip.fabric != self._old.chip.fabric:
            counters |= {name: np.array([n]) for name, n in self._counted.items()}
        return counters

    def side(self, end: _End, counters: dict[str, Array]) -> Side:
        """Sum up."""
        core = self._new.program.core
        return Side(
            fabric=self._fabric, duration_ps=end.duration_ps, slowest_core=core[end.slowest],
            busiest_link=end.busiest, core=core, carried=end.timer.carried(),
            energy=_energy(counters, int(end.duration_ps.sum()), self._new.chip),
        )  # fmt: skip


def _counters(trace: Trace, window: Window) -> dict[str, Array]:
    there = trace.tick_counters(window.start, window.stop)
    return {name: there[name] for name in COUNTED if name in there}


def _energy(counters: dict[str, Array], duration_ps: int, chip: Chip) -> Band | None:
    try:
        return energy_band(counters, duration_ps, chip)
    except CountersError:
        return None


def _recorded_side(recording: Recording, window: Window) -> Side:
    trace = recording.trace
    names = ("duration_ps", "slowest_core", "busiest_link")
    ticks = trace.tick_counters(window.start, window.stop, names=names)
    duration = ticks["duration_ps"]
    return Side(
        fabric=str(recording.how["fabric"]), duration_ps=duration,
        slowest_core=ticks["slowest_core"], busiest_link=ticks["busiest_link"],
        core=recording.program.core, carried=_carried(recording, window),
        energy=_energy(_counters(trace, window), int(duration.sum()), recording.chip),
    )  # fmt: skip


def _carried(recording: Recording, window: Window) -> Carried | None:
    """Rebuild what the recorded fabric carried from the totals of a complete run."""
    trace = recording.trace
    link, latency = trace.totals("link"), trace.totals("latency")
    if not link or window != Window(0, trace.samples * trace.ticks):
        return None
    try:
        noc, _ = noc_of(recording.chip, recording.program.core)
    except FabricChoiceError:
        return None
    if link["packets"].size != noc.n_links:
        return None
    edges = latency_edges()
    histogram = np.zeros(edges.size - 1, np.int64)
    if latency:
        at = np.searchsorted(np.ceil(edges[:-1]), latency["least_ps"])
        np.add.at(histogram, at, latency["packets"])
    none = np.zeros(noc.n_cores, np.int64)
    return Carried(
        noc=noc, packets=link["packets"], busy_ps=link["busy_ps"], queue_peak=link["queue_peak"],
        injection_peak=none, core_peak=none, stall_ps=none, latency=histogram,
        latency_edges_ps=edges,
    )  # fmt: skip


def _notes(trace: Trace, window: Window, fabric: str, why: str) -> Iterator[str]:
    if why:
        yield f"times are a band, not one number: {why}"
        if fabric not in WITHOUT_QUEUES:
            yield (
                f"fabric {fabric} lets packets wait for each other, so a time can also lie outside "
                "of its two ends; ideal at the lower end stays a lower bound"
            )
    if window != Window(0, trace.samples * trace.ticks):
        yield (
            f"ticks {window.start:,}:{window.stop:,} of {trace.samples * trace.ticks:,}; links and "
            "latencies were recorded for the whole run alone"
        )
