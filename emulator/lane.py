"""A lane runs samples one after another: the state that changes, and the threads that change it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from emulator import kernels, neuron
from emulator.arithmetic import hashed
from emulator.block import Block, Counted
from emulator.carried import added, no_traffic
from emulator.counting import fresh_counters
from emulator.delivery import Pending
from emulator.errors import EngineError, OverflowAlarm
from emulator.fabric import Carry
from emulator.incoming import check_signs, events_of, with_sent
from emulator.loading import Loaded
from emulator.lost import take_back
from emulator.machine import advance_of
from emulator.neuron import Neurons, State
from emulator.noc.scratch import Traffic
from emulator.packet_log import PACKETS_A_BLOCK, Rows, log_of
from emulator.registers import fresh_pending, fresh_state, fresh_wake
from emulator.snapshot import of_machine, on_its_way, take_machine, wake_all
from emulator.stimulus import Stimulus
from emulator.sweep import BLOCK
from emulator.traffic import Activity, Ticks, fresh_ticks

Array = NDArray[Any]

SPIKES_A_BLOCK = 1 << 18
"""Room for listed spikes in one compiled call; bounds the memory of a run."""
_OPEN = 1 << 60
"""Arrivals at the gate that let everybody pass."""
OPEN_PAYLOAD_MAX = 1 << 15
"""Most spikes of a channel in a tick that a process sends, where the chip has no limit."""
CORE_TICKS_A_BLOCK = 1 << 18
"""Ticks of one call times cores; bounds it too."""
NEURON_TICKS_A_BLOCK = 1 << 28
"""Ticks of one call times neurons; bounds the time until a run notices that it is interrupted."""

WATCHED_VALUES_A_BLOCK = 1 << 22
"""Ticks of one call times values that are watched."""


@dataclass(frozen=True, kw_only=True, eq=False)
class _Machine:
    """Kernel, constants and state of one width of registers."""

    advance: Callable[..., Any]
    neurons: Neurons
    state: State
    pending: Pending


class Watched(NamedTuple):
    """Neurons that are looked at in every tick: their membranes, currents, and overflows."""

    membranes: Array
    currents: Array
    overflows: Array


class Lane:
    """State of one sample at a time.

    Parameters
    ----------
    loaded : Loaded
    carry : Carry, optional
        The fabric; without one, blocks come with their activity and no times.
    n_threads : int
        Threads that share the cores; fewer where rules need one order of delivery for all cores.
    watched : Watched
    seed : int
    strict : bool
    log_packets : bool
    """

    def __init__(
        self, loaded: Loaded, carry: Carry | None, *, n_threads: int, watched: Watched, seed: int,
        strict: bool, log_packets: bool = False,
    ) -> None:  # fmt: skip
        program = loaded.program
        self._loaded, self._carry = loaded, carry
        self._watched, self._seed, self._strict = watched, seed, strict
        self.counters = fresh_counters(program)
        self._traffics = [no_traffic()]
        cuts = _shares(loaded, n_threads)
        self._cores = list(zip(cuts[:-1].tolist(), cuts[1:].tolist(), strict=True))
        if carry is not None:
            self._traffics = [carry.fresh_traffic() for _ in self._cores]
        self._synapses = [loaded.synapses(*cores) for cores in self._cores]
        self._begins = loaded.begins_awake
        self._sleeps = loaded.sleeps(program.core_start[cuts[:-1]].tolist())
        self._pool = ThreadPoolExecutor(len(self._cores) - 1) if len(self._cores) > 1 else None
        self._machines: dict[tuple[bool, type], _Machine] = {}
        self._wakes = [fresh_wake(loaded, cores) for cores in self._cores]
        self._spent_ps = np.empty((0, program.n_cores), np.int64)
        self._eights = np.zeros(-(-program.n_neurons // 8), np.int64)
        self._flags = self._eights.view(np.uint8)
        self._logs = log_packets and carry is not None
        n_spikes = SPIKES_A_BLOCK
        if log_packets:
            fan_out = int(np.diff(loaded.packets.first).max(initial=1))
            n_spikes = min(n_spikes, PACKETS_A_BLOCK // max(fan_out, 1))
        # One entry more than can be listed: what is no spike is written and overwritten.
        self._room = n_spikes + program.n_neurons + 1
        shape = (len(self._cores), self._room)
        signed = loaded.chip.arithmetic.lower_threshold == "spike" and program.lower.size > 0
        bare = not (program.several_a_tick or signed)
        self._neuron, self._sent_ps = np.empty(shape, np.int64), np.empty(shape, np.int64)
        self._payload = np.empty((len(self._cores), 0 if bare else self._room), np.int64)
        self._machine: _Machine = self._machine_for(Stimulus())
        self._reset()  # lays hands on all memory now, not in the first tick
        self._inbox: list[tuple[int, int]] | None = None
        self._next_tick = self._sample = 0

    @property
    def state(self) -> dict[str, Array]:
        """Copies of current [n_currents, n] and membrane [n]; see `Engine.state`."""
        columns = {"current": self._shown(), "membrane": self._machine.state.membrane}
        return {name: array.astype(_wide(array)) for name, array in columns.items()}

    def _shown(self) -> Array:
        """Currents as the membranes took them in; [n_currents, n]."""
        state = self._machine.state
        shown = self._loaded.chip.arithmetic.current_order == "add-use-decay"
        return state.shown[None] if shown else state.current

    @property
    def traffic(self) -> Traffic:
        """A copy of what the fabric has carried for this lane."""
        return added(self._traffics)

    def clear(self) -> None:
        """Let what is counted begin at 0."""
        for column in (*self.counters, *(column for part in self._traffics for column in part)):
            column[...] = 0

    def saved(self) -> dict[str, Array]:
        """Copies of registers and of what is on its way, between two blocks; see `blocks`."""
        return of_machine(self._machine.state, self._machine.pending)

    def restored(self, saved: Mapping[str, Array]) -> dict[str, Array]:
        """Check what was saved, and return the `state` in it.

        Raises
        ------
        SnapshotError
        """
        self._machine = self._machine_for(Stimulus(), saved=saved)
        self._reset()
        take_machine(saved, self._machine.state, self._machine.pending)
        return self.state

    def send(self, channel: int, payload: int) -> None:
        """Let an input channel spike in the tick that comes next.

        Raises
        ------
        RuntimeError
            If the sample was begun without anybody who could send.
        ValueError
            If there is no such channel, or the payload is no number of spikes.
        """
        if self._inbox is None:
            raise RuntimeError(
                "this sample takes no spikes from processes: they must be in Engine.env before the "
                "run, or use fabric simpy"
            )
        n_channels = self._loaded.program.n_channels
        if not 0 <= channel < n_channels:
            raise ValueError(f"channel {channel}, but there are 0..{n_channels - 1}")
        most = self._loaded.chip.numbers.input_payload_max or OPEN_PAYLOAD_MAX
        if not 1 <= payload <= most:
            raise ValueError(f"payload {payload}, but must be 1..{most:,}")
        self._inbox.append((channel, payload))

    def take_back(self, lost: Sequence[tuple[int, int]], activity: Activity) -> None:
        """Undo what packets of the last tick would have delivered.

        Parameters
        ----------
        lost : sequence of (packet, core in use)
            Packets as `emulator.traffic.Packets` numbers them, each once for each time it was lost.
        """
        take_back(lost, activity, self._next_tick - 1, self._loaded, self._machine.pending.sums)

    def blocks(
        self, sample: int, stimulus: Stimulus, n_ticks: int, length: Callable[[], int],
        *, is_open: bool = False, first_tick: int = 0, saved: Mapping[str, Array] | None = None,
    ) -> Iterator[Block]:  # fmt: skip
        """Run a sample from the initial state, ``length()`` ticks at a time or fewer.

        Parameters
        ----------
        is_open : bool
            Whether `send` may add to the stimulus on the way; one tick at a time then.
        first_tick : int
            Tick to go on from, with the state that was ``saved`` there.

        Raises
        ------
        SnapshotError
            If that is no state of this program.
        """
        program = self._loaded.program
        stimulus.check(program.n_channels, program.n_neurons)
        check_signs(self._loaded, stimulus)
        self._machine = self._machine_for(stimulus, is_open=is_open, saved=saved)
        self._inbox = [] if is_open else None
        self._sample = sample
        self._reset()
        if saved is not None:
            take_machine(saved, self._machine.state, self._machine.pending)
            for wake in self._wakes:
                wake_all(wake, self._machine.pending)
        events = events_of(self._loaded, stimulus)
        seed = hashed(self._seed, sample, 0, 0)
        most = min(
            CORE_TICKS_A_BLOCK // max(program.n_cores, 1),
            NEURON_TICKS_A_BLOCK // max(program.n_neurons, 1),
        )
        values = self._watched.membranes.size + self._shown().shape[0] * self._watched.currents.size
        most = max(min(most, WATCHED_VALUES_A_BLOCK // max(values, 1)), 1)
        marking = self._sleeps or stimulus.current_tick.size > 0
        at = (
            first_tick,
            int(np.searchsorted(events.spike_tick, first_tick)),
            int(np.searchsorted(events.current_tick, first_tick)),
        )
        while at[0] < n_ticks:
            n_most = min(length(), n_ticks - at[0], most)
            if self._inbox:
                events = with_sent(events, at[0], at[1], self._inbox, self._loaded)
                self._inbox.clear()
            listed = self._listed(n_most)
            done, *following = self._advance(at, n_most, events, seed, marking, listed)
            self._raise_alarm(sample)
            activity = self._activity(at[0], done, events, listed)
            ticks = fresh_ticks(done)
            log = self._time(activity, ticks)
            self._next_tick = at[0] + done
            yield Block(
                sample=sample,
                first_tick=at[0],
                tick_ps=ticks.duration_ps,
                slowest_core=ticks.slowest_core,
                busiest_link=ticks.busiest_link,
                spike_tick=np.repeat(at[0] + np.arange(done), np.diff(activity.spike_start)),
                spike_neuron=activity.spike_neuron,
                spike_payload=activity.spike_payload,
                frames=listed.frames[:done],
                currents=listed.currents[:done],
                spilled=listed.spilled[:done],
                counted=Counted(
                    self._loaded,
                    activity,
                    listed.tally[:, : done + 1].sum(axis=0),
                    listed.merged[:done],
                ),
                packets=log_of(log, at[0], program, self._loaded.chip) if self._logs else None,
                activity=activity if self._carry is None else None,
            )
            at = (at[0] + done, following[0], following[1])

    def _machine_for(
        self, stimulus: Stimulus, *, is_open: bool = False, saved: Mapping[str, Array] | None = None
    ) -> _Machine:
        """Registers and sums as wide as a sample needs them; the widest for an open one."""
        loaded, program = self._loaded, self._loaded.program
        waiting, pushing = on_its_way(saved or {}, program.bias)
        load = loaded.load * stimulus.largest_payload + waiting
        injected = max(float(np.abs(stimulus.current_value).max(initial=0)), pushing)
        narrow = not is_open and load <= loaded.load_max and injected <= loaded.injected_max
        sums: type = np.int32 if not is_open and load < 2**31 else np.int64
        if program.weight.dtype.kind == "f":
            sums = np.float64
        if (narrow, sums) not in self._machines:
            self._machines[narrow, sums] = _Machine(
                advance=advance_of(
                    program, loaded.chip, strict=self._strict, narrow=narrow, alike=loaded.alike
                ),
                neurons=loaded.neurons(narrow),
                state=fresh_state(loaded, narrow),
                pending=fresh_pending(loaded, sums),
            )
        return self._machines[narrow, sums]

    def _reset(self) -> None:
        program, state, pending = self._loaded.program, self._machine.state, self._machine.pending
        state.current[:] = program.initial_current
        state.membrane[:] = program.initial_membrane
        state.push[:] = program.bias
        for array in (*state[3:], pending.sums, pending.marks, pending.n_last):
            array[:] = 0
        for wake in self._wakes:
            wake.marks[:] = 0
            blocks = slice(wake.first_neuron // BLOCK, -(-wake.last_neuron // BLOCK))
            wake.busy[blocks] = self._begins[blocks]
        self._eights[:] = 0
        self._alarm = np.full((len(self._cores), 4), -1.0)

    def _listed(self, ticks: int) -> kernels.Listed:
        program = self._loaded.program
        watched, membrane, shown = self._watched, self._machine.state.membrane, self._shown()
        if len(self._spent_ps) < ticks:
            self._spent_ps = np.empty((ticks, program.n_cores), np.int64)
        binary = program.row_axon.size > 0
        return kernels.Listed(
            neuron=self._neuron,
            payload=self._payload,
            sent_ps=self._sent_ps,
            start=np.zeros((len(self._cores), ticks + 1), np.int64),
            spent_ps=self._spent_ps,
            merged=np.zeros((ticks, 2 * program.n_cores) if binary else (1, 0), np.int64),
            watched=watched.membranes,
            frames=np.empty((ticks, watched.membranes.size), _wide(membrane)),
            sensed=watched.currents,
            currents=np.empty((ticks, len(shown), watched.currents.size), _wide(shown)),
            shown=shown,
            alert=watched.overflows,
            spilled=np.empty((ticks, watched.overflows.size), np.uint8),
            tally=np.zeros((len(self._cores), ticks + 1, len(kernels.TALLIED)), np.int64),
        )

    def _advance(
        self, at: tuple[int, int, int], ticks: int, events: kernels.Events, seed: int,
        marking: bool, listed: kernels.Listed,
    ) -> tuple[int, int, int]:  # fmt: skip
        """Run every thread's cores."""
        loaded, machine = self._loaded, self._machine
        gate = np.zeros(1, np.int64)

        def run(me: int) -> tuple[int, int, int]:
            first, last = self._cores[me]
            team = kernels.Team(me, len(self._cores), first, last, gate)
            wake = self._wakes[me]
            if not marking:
                wake = wake._replace(marks=wake.marks[:0], marks_eights=wake.marks_eights[:0])
            try:
                done: tuple[int, int, int] = machine.advance(
                    team, at[0], ticks, self._synapses[me], loaded.places, loaded.pieces,
                    machine.neurons, machine.state, machine.pending, wake, loaded.costs,
                    self.counters, events, at[1], at[2], seed, self._flags, self._eights,
                    self._alarm[me], listed,
                )  # fmt: skip
            except Exception as error:
                gate[0] = _OPEN  # or the other threads would wait for this one
                raise self._failed(me, at[0], ticks, error) from error
            return done

        others = (
            [self._pool.submit(run, me) for me in range(1, len(self._cores))] if self._pool else []
        )
        done = run(0)
        for other in others:
            other.result()
        return done

    def _failed(self, me: int, tick: int, n_ticks: int, error: Exception) -> EngineError:
        """Say where a kernel failed."""
        first, last = self._cores[me]
        cores = self._loaded.program.core[first:last]
        when = f"tick {tick}" if n_ticks == 1 else f"ticks {tick}..{tick + n_ticks - 1}"
        return EngineError(
            f"{self._loaded.chip.name}, cores {cores.min()}..{cores.max()}: sample {self._sample}, "
            f"{when}: the chip failed ({type(error).__name__}: {error})"
        )

    def _activity(
        self, first_tick: int, done: int, events: kernels.Events, listed: kernels.Listed
    ) -> Activity:
        """Join what the threads listed."""
        start = listed.start[:, : done + 1]
        inputs = np.searchsorted(events.spike_tick, first_tick + np.arange(done + 1))
        mine = slice(inputs[0], inputs[-1])
        self._count_input(events.spike_channel[mine], events.spike_payload[mine])
        neurons, sent_ps, payload = (
            _joined(column, start) for column in (listed.neuron, listed.sent_ps, listed.payload)
        )
        return Activity(
            spike_start=start.sum(axis=0),
            spike_neuron=neurons,
            spike_payload=payload if payload.size else np.ones(neurons.size, np.int64),
            spike_ps=sent_ps,
            input_start=inputs - inputs[0],
            input_channel=events.spike_channel[mine],
            input_payload=events.spike_payload[mine],
            input_ps=events.sent_ps[mine],
            update_ps=listed.spent_ps[:done].copy(),  # the next block is written over it
            merged_events=np.ascontiguousarray(listed.merged[:done, : listed.merged.shape[1] // 2]),
        )

    def _count_input(self, channel: Array, payload: Array) -> None:
        program, counters = self._loaded.program, self.counters
        times = np.bincount(channel, minlength=program.n_channels)
        counters.times[program.n_neurons :] += times
        if payload.size and payload.min() == payload.max() == 1:
            counters.repeats[program.n_neurons :] += times
        else:
            np.add.at(counters.repeats, program.n_neurons + channel, payload)

    def _time(self, activity: Activity, ticks: Ticks) -> list[Rows]:
        """Let the fabric say how long ticks took, each thread for some; return packets, if logged."""
        if self._carry is None:
            return []
        logs: list[list[Rows]] = [[] for _ in self._cores]
        log = logs if self._logs else [None for _ in logs]
        parts = len(self._cores)
        cuts = [ticks.duration_ps.size * k // parts for k in range(parts + 1)]
        others = [
            self._pool.submit(
                self._carry, activity, cuts[k], cuts[k + 1], ticks, self._traffics[k], log[k]
            )
            for k in range(1, parts)
            if self._pool
        ]
        self._carry(activity, cuts[0], cuts[1], ticks, self._traffics[0], log[0])
        for other in others:
            other.result()
        return [rows for part in logs for rows in part]

    def _raise_alarm(self, sample: int) -> None:
        """End a strict run.

        Raises
        ------
        OverflowAlarm
        """
        alarms = self._alarm[self._alarm[:, 0] >= 0]
        if not alarms.size:
            return
        first = alarms[np.lexsort((alarms[:, 0], alarms[:, 2]))[0]]
        machine, variable, tick, value = (int(number) for number in first)
        program = self._loaded.program
        raise OverflowAlarm(
            core=int(program.core[program.neuron_core[machine]]),
            population=program.populations[program.population[machine]].name,
            neuron=int(program.index[machine]),
            variable=neuron.VARIABLES[variable],
            bits=getattr(self._loaded.chip.numbers, f"{neuron.VARIABLES[variable]}_bits"),
            sample=sample,
            tick=tick,
            value=value,
        )


def _wide(array: Array) -> type:
    return np.float64 if array.dtype.kind == "f" else np.int64


def _joined(column: Array, start: Array) -> Array:
    """Spikes of all threads, tick by tick; threads hold ascending neurons."""
    if column.shape[1] == 0:
        return np.empty(0, np.int64)
    if len(column) == 1:
        return column[0, : start[0, -1]].copy()
    ticks = [np.repeat(np.arange(row.size - 1), np.diff(row)) for row in start]
    order = np.argsort(np.concatenate(ticks), kind="stable")
    parts = [row[: ends[-1]] for row, ends in zip(column, start, strict=True)]
    return np.asarray(np.concatenate(parts)[order])


def _shares(loaded: Loaded, n_threads: int) -> Array:
    """Cut the cores into parts of about the same work, one for each thread; int64 [n + 1]."""
    program = loaded.program
    if loaded.chip.arithmetic.accumulate == "each" or program.row_axon.size:
        n_threads = 1  # the order of delivery is one for all cores
    n_threads = max(min(n_threads, program.n_cores), 1)
    work = np.bincount(program.row_core, program.row_size, minlength=program.n_cores)
    before = np.cumsum(work + np.diff(program.core_start))
    cuts = np.searchsorted(before, before[-1] * np.arange(1, n_threads) / n_threads) + 1
    return np.unique(
        np.concatenate([[0], np.minimum(cuts, program.n_cores - 1), [program.n_cores]])
    )
