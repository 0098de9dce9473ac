"""A lane runs samples one after another: the state that changes, and the threads that change it."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from emulator import kernels, neuron
from emulator.activity import Wake
from emulator.arithmetic import hashed
from emulator.counting import fresh_counters, merged_off
from emulator.delivery import Pending
from emulator.errors import EngineError, OverflowAlarm
from emulator.fabric import Carry
from emulator.fanout import counts_by_tick
from emulator.loading import Loaded
from emulator.machine import advance_of
from emulator.neuron import Neurons, State
from emulator.stimulus import Stimulus
from emulator.sweep import BLOCK
from emulator.traffic import Activity, Ticks, first_rows, fresh_ticks, one_tick

Array = NDArray[Any]

SPIKES_A_BLOCK = 1 << 18
"""Room for listed spikes in one compiled call; bounds the memory of a run."""
_OPEN = 1 << 60
"""Arrivals at the gate that let everybody pass."""
OPEN_PAYLOAD_MAX = 1 << 15
"""Most spikes of a channel in a tick that a process sends, where the chip has no limit."""
CORE_TICKS_A_BLOCK = 1 << 20
"""Ticks of one call times cores; bounds it too."""


class _Counted(NamedTuple):
    """What happened in a block; ``tally`` and ``merged`` as `kernels.Listed` has them."""

    loaded: Loaded
    activity: Activity
    tally: Array
    merged: Array

    def tick(self, k: int) -> "_Counted":
        """Cut one tick out."""
        return _Counted(
            self.loaded, one_tick(self.activity, k), self.tally[k : k + 2], self.merged[k : k + 1]
        )

    def by_tick(self) -> dict[str, Array]:
        """Count everything; int64 [n_ticks] by name."""
        program, activity = self.loaded.program, self.activity
        n_ticks = len(self.tally) - 1
        tallied = dict(zip(kernels.TALLIED, np.diff(self.tally, axis=0).T, strict=True))
        merged = np.zeros((2, n_ticks), np.int64)
        if program.row_axon.size:
            merged = self.merged.reshape(n_ticks, 2, program.n_cores).sum(axis=2).T
        inputs, spikes = np.diff(activity.input_start), np.diff(activity.spike_start)
        tick = np.concatenate([np.repeat(np.arange(n_ticks), n) for n in (inputs, spikes)])
        source = np.concatenate([program.n_neurons + activity.input_channel, activity.spike_neuron])
        payload = np.concatenate([activity.input_payload, activity.spike_payload])
        found = counts_by_tick(self.loaded.fanout, n_ticks, tick, source, payload)
        events = {f"{kind}_events": found.pop(f"{kind}_events") for kind in neuron.KINDS}
        events = merged_off(events, merged[0], program)
        fired = np.abs(activity.spike_payload)
        return {
            "active": tallied["active"],
            "inactive": program.n_neurons - tallied["active"],
            "spikes": _summed(fired, activity.spike_start),
            **events,
            **found,
            **{name: tallied[name] for name in kernels.TALLIED[1:]},
            "merged_packets": merged[1],
        }


def _summed(values: Array, start: Array) -> Array:
    """Sum of each part of a list; int64 [n_parts]."""
    before = np.concatenate([[0], np.cumsum(values)])
    return np.asarray(before[start[1:]] - before[start[:-1]], np.int64)


@dataclass(frozen=True, kw_only=True, eq=False)
class Block:
    """What happened in some consecutive ticks of one sample.

    Attributes
    ----------
    sample, first_tick : int
        Ticks count from the start of the sample.
    tick_ps : int64 [n_ticks]
        Duration of each tick.
    slowest_core, busiest_link : int64 [n_ticks]
        See `emulator.traffic.Ticks`.
    spike_tick, spike_neuron, spike_payload : int64 [n_spikes]
        In order of ticks; neurons as `Program` numbers them; a payload is 1, -1 below a lower
        threshold, or the number of spikes where neurons fire several times a tick.
    frames : int64 or float64 [n_ticks, n_watched]
        Membranes of the watched neurons at the end of each tick.
    counted
        What `tick_counters` are made of when they are asked for.
    activity : Activity, optional
        Where the times of the ticks are not known yet.
    """

    sample: int
    first_tick: int
    tick_ps: Array
    slowest_core: Array
    busiest_link: Array
    spike_tick: Array
    spike_neuron: Array
    spike_payload: Array
    frames: Array
    counted: "_Counted"
    activity: Activity | None = None

    @property
    def tick_counters(self) -> dict[str, Array]:
        """What each tick added to `Engine.counters`, over all cores; int64 [n_ticks] by name."""
        return self.counted.by_tick()

    def ticks(self) -> Iterator["Block"]:
        """Cut into blocks of one tick."""
        n_ticks = self.tick_ps.size
        start = np.searchsorted(self.spike_tick, self.first_tick + np.arange(n_ticks + 1))
        for k in range(n_ticks):
            mine = slice(start[k], start[k + 1])
            yield Block(
                sample=self.sample, first_tick=self.first_tick + k,
                tick_ps=self.tick_ps[k : k + 1], slowest_core=self.slowest_core[k : k + 1],
                busiest_link=self.busiest_link[k : k + 1], spike_tick=self.spike_tick[mine],
                spike_neuron=self.spike_neuron[mine], spike_payload=self.spike_payload[mine],
                frames=self.frames[k : k + 1], counted=self.counted.tick(k),
            )  # fmt: skip


@dataclass(frozen=True, kw_only=True, eq=False)
class _Machine:
    """Kernel, constants and state of one width of registers."""

    advance: Callable[..., Any]
    neurons: Neurons
    state: State
    pending: Pending


class Lane:
    """State of one sample at a time.

    Parameters
    ----------
    loaded : Loaded
    carry : Carry, optional
        The fabric; without one, blocks come with their activity and no times.
    n_threads : int
        Threads that share the cores; fewer where rules need one order of delivery for all cores.
    watched : int64 [n_watched]
    seed : int
    strict : bool
    """

    def __init__(
        self, loaded: Loaded, carry: Carry | None, *, n_threads: int, watched: Array, seed: int,
        strict: bool,
    ) -> None:  # fmt: skip
        program = loaded.program
        self._loaded, self._carry = loaded, carry
        self._watched, self._seed, self._strict = watched, seed, strict
        self.counters = fresh_counters(program)
        cuts = _shares(loaded, n_threads)
        self._cores = list(zip(cuts[:-1].tolist(), cuts[1:].tolist(), strict=True))
        self._synapses = [loaded.synapses(*cores) for cores in self._cores]
        self._sleeps = loaded.sleeps(program.core_start[cuts[:-1]].tolist())
        self._pool = ThreadPoolExecutor(len(self._cores) - 1) if len(self._cores) > 1 else None
        self._machines: dict[tuple[bool, type], _Machine] = {}
        self._wakes = [_wake(loaded, cores) for cores in self._cores]
        self._spent_ps = np.empty((0, program.n_cores), np.int64)
        self._eights = np.zeros(-(-program.n_neurons // 8), np.int64)
        self._flags = self._eights.view(np.uint8)
        self._room = SPIKES_A_BLOCK + program.n_neurons
        shape = (len(self._cores), self._room)
        signed = loaded.chip.arithmetic.lower_threshold == "spike" and program.lower.size > 0
        bare = not (program.several_a_tick or signed)
        self._neuron, self._sent_ps = np.empty(shape, np.int64), np.empty(shape, np.int64)
        self._payload = np.empty((len(self._cores), 0 if bare else self._room), np.int64)
        self._machine: _Machine = self._machine_for(Stimulus())
        self._reset()  # memory is only there once it is written, and that takes its time
        self._inbox: list[tuple[int, int]] | None = None
        self._next_tick = self._sample = 0

    @property
    def state(self) -> dict[str, Array]:
        """Copies of current [n_currents, n] and membrane [n]; see `Engine.state`."""
        state = self._machine.state
        shown = self._loaded.chip.arithmetic.current_order == "add-use-decay"
        current = state.shown[None] if shown else state.current
        wide = {np.dtype(np.int32): np.int64}
        return {
            name: array.astype(wide.get(array.dtype, array.dtype))
            for name, array in (("current", current), ("membrane", state.membrane))
        }

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
        program, n = self._loaded.program, self._loaded.program.n_neurons
        row_start = np.append(np.flatnonzero(first_rows(program)), program.row_size.size)
        payloads = dict(
            zip(activity.spike_neuron.tolist(), activity.spike_payload.tolist(), strict=True)
        )
        payloads |= {
            n + channel: payload
            for channel, payload in zip(
                activity.input_channel.tolist(), activity.input_payload.tolist(), strict=True
            )
        }
        for packet, _ in lost:
            first, last = int(row_start[packet]), int(row_start[packet + 1])
            source = int(np.searchsorted(program.source_row, first, "right")) - 1
            latency = 1 if source < n else self._loaded.chip.arithmetic.input_latency
            for row in range(first, last):
                self._take_back_row(row, latency, payloads[source])

    def _take_back_row(self, row: int, latency: int, payload: int) -> None:
        program, sums = self._loaded.program, self._machine.pending.sums
        size, at = int(program.row_size[row]), int(program.row_target[row])
        targets = at + np.arange(size)
        if not program.row_dense[row]:
            start = int(program.core_start[program.row_core[row]])
            targets = start + program.target[at : at + size].astype(np.int64)
        # Of a payload that is so many packets, one is lost.
        times = payload if program.row_payload[row] == neuron.AS_VALUE else 1
        first = int(program.row_weight[row])
        weights = program.weight[first : first + size].astype(sums.dtype)
        act = self._next_tick - 1 + latency + int(program.row_delay[row])
        slot = sums[act % len(sums), int(program.row_group[row])]
        np.subtract.at(slot, targets, weights * (times << int(program.row_shift[row])))

    def blocks(
        self, sample: int, stimulus: Stimulus, n_ticks: int, length: Callable[[], int],
        *, is_open: bool = False,
    ) -> Iterator[Block]:  # fmt: skip
        """Run a sample from the initial state, ``length()`` ticks at a time or fewer.

        Parameters
        ----------
        is_open : bool
            Whether `send` may add to the stimulus on the way; one tick at a time then.
        """
        program = self._loaded.program
        stimulus.check(program.n_channels, program.n_neurons)
        _check_signs(self._loaded, stimulus)
        self._machine = self._machine_for(stimulus, is_open=is_open)
        self._inbox = [] if is_open else None
        self._sample = sample
        self._reset()
        events = _events(self._loaded, stimulus)
        seed = hashed(self._seed, sample, 0, 0)
        most = max(CORE_TICKS_A_BLOCK // max(program.n_cores, 1), 1)
        marking = self._sleeps or stimulus.current_tick.size > 0
        at = (0, 0, 0)
        while at[0] < n_ticks:
            n_most = min(length(), n_ticks - at[0], most)
            if self._inbox:
                events = _with(events, at[0], at[1], self._inbox, self._loaded)
                self._inbox.clear()
            listed = self._listed(n_most)
            done, *following = self._advance(at, n_most, events, seed, marking, listed)
            self._raise_alarm(sample)
            activity = self._activity(at[0], done, events, listed)
            ticks = fresh_ticks(done)
            self._time(activity, ticks)
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
                counted=_Counted(
                    self._loaded,
                    activity,
                    listed.tally[:, : done + 1].sum(axis=0),
                    listed.merged[:done],
                ),
                activity=activity if self._carry is None else None,
            )
            at = (at[0] + done, following[0], following[1])

    def _machine_for(self, stimulus: Stimulus, *, is_open: bool = False) -> _Machine:
        """Registers and sums as wide as a sample needs them; the widest for an open one."""
        loaded, program = self._loaded, self._loaded.program
        load = loaded.load * stimulus.largest_payload
        injected = float(np.abs(stimulus.current_value).max(initial=0))
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
                state=_state(loaded, narrow),
                pending=_pending(loaded, sums),
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
            wake.busy[wake.first_neuron // BLOCK : -(-wake.last_neuron // BLOCK)] = 1
        self._alarm = np.full((len(self._cores), 4), -1.0)

    def _listed(self, ticks: int) -> kernels.Listed:
        program = self._loaded.program
        floats = self._machine.state.membrane.dtype.kind == "f"
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
            watched=self._watched,
            frames=np.empty((ticks, self._watched.size), np.float64 if floats else np.int64),
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
            # Threads write to sums of their own neurons, but each holds rows of its own.
            pending = machine.pending._replace(held=np.zeros_like(machine.pending.held))
            try:
                done: tuple[int, int, int] = machine.advance(
                    team, at[0], ticks, self._synapses[me], loaded.places, loaded.pieces,
                    machine.neurons, machine.state, pending, wake, loaded.costs,
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
        sources = self._loaded.program.n_neurons + events.spike_channel[mine]
        np.add.at(self.counters.times, sources, 1)
        np.add.at(self.counters.repeats, sources, events.spike_payload[mine])
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
            update_ps=listed.spent_ps[:done],
            merged_events=np.ascontiguousarray(listed.merged[:done, : listed.merged.shape[1] // 2]),
        )

    def _time(self, activity: Activity, ticks: Ticks) -> None:
        """Let the fabric say how long ticks took, each thread for some of them."""
        if self._carry is None:
            return
        parts = len(self._cores)
        cuts = [ticks.duration_ps.size * k // parts for k in range(parts + 1)]
        others = [
            self._pool.submit(self._carry, activity, cuts[k], cuts[k + 1], ticks)
            for k in range(1, parts)
            if self._pool
        ]
        self._carry(activity, cuts[0], cuts[1], ticks)
        for other in others:
            other.result()

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


def _wake(loaded: Loaded, cores: tuple[int, int]) -> Wake:
    words = -(-loaded.program.n_neurons // (8 * BLOCK))
    busy, marks = np.zeros(words, np.int64), np.zeros((loaded.n_slots, words), np.int64)
    start = loaded.program.core_start
    return Wake(
        busy=busy.view(np.uint8), busy_eights=busy, marks=marks.view(np.uint8), marks_eights=marks,
        runs=np.zeros((8 * words, 2), np.int64),
        first_neuron=int(start[cores[0]]), last_neuron=int(start[cores[1]]),
    )  # fmt: skip


def _events(loaded: Loaded, stimulus: Stimulus) -> kernels.Events:
    """Cut payloads to what the chip takes, and sort channels where they lie on cores."""
    columns = dict(vars(stimulus))
    most = loaded.chip.numbers.input_payload_max
    if most:
        columns["spike_payload"] = np.minimum(columns["spike_payload"], most)
    if loaded.places.channel_core.size:
        tick, channel = stimulus.spike_tick, stimulus.spike_channel
        if np.any((tick[1:] == tick[:-1]) & (channel[1:] < channel[:-1])):
            order = np.lexsort((channel, tick))
            for name in ("spike_channel", "spike_payload"):
                columns[name] = columns[name][order]
    return kernels.Events(**columns, sent_ps=np.zeros(stimulus.spike_tick.size, np.int64))


def _with(
    events: kernels.Events, tick: int, at: int, more: list[tuple[int, int]], loaded: Loaded
) -> kernels.Events:
    """Add input spikes to a tick; ``at`` is the first event that has not happened."""
    channel, payload = np.array(more, np.int64).T
    following = {
        "spike_tick": np.full(channel.size, tick), "spike_channel": channel,
        "spike_payload": payload, "sent_ps": np.zeros(channel.size, np.int64),
    }  # fmt: skip
    columns = {
        name: np.concatenate([getattr(events, name)[at:], added])
        for name, added in following.items()
    }
    keys = [columns["spike_tick"]]
    if loaded.places.channel_core.size:
        keys.insert(0, columns["spike_channel"])
    order = np.lexsort(keys)
    return events._replace(
        **{
            name: np.concatenate([getattr(events, name)[:at], column[order]])
            for name, column in columns.items()
        }
    )


def _check_signs(loaded: Loaded, stimulus: Stimulus) -> None:
    """Refuse negative factors where a payload is a number of spikes.

    Raises
    ------
    ValueError
    """
    negative = stimulus.spike_channel[stimulus.spike_payload < 0]
    if not negative.size:
        return
    program = loaded.program
    repeats = program.row_payload == neuron.AS_REPEAT
    if loaded.chip.arithmetic.accumulate == "each":
        repeats = np.ones_like(repeats)
    counting = np.intersect1d(negative, program.row_source[repeats] - program.n_neurons)
    if counting.size:
        raise ValueError(
            f"channel {counting[0]} has payloads down to {stimulus.spike_payload.min():,}, but "
            "its synapses take a payload as that many spikes; only rows whose row_payload is "
            "value or presence take negative ones"
        )


def _state(loaded: Loaded, narrow: bool) -> State:
    program, chip = loaded.program, loaded.chip
    n, floats = program.n_neurons, chip.arithmetic.float_variables
    whole = np.int32 if narrow else np.int64
    current, membrane = (
        np.float64 if name in floats else whole for name in ("current", "membrane")
    )
    resets = program.reset == neuron.SUBTRACT_ONCE

    def where(wanted: Any, dtype: Any) -> Array:
        return np.zeros(n if wanted else 0, dtype)

    return State(
        current=np.zeros((program.n_currents, n), current),
        membrane=np.zeros(n, membrane),
        push=np.zeros(n, np.float64 if program.bias.dtype.kind == "f" else whole),
        shown=where(chip.arithmetic.current_order == "add-use-decay", current),
        above=where(np.any(resets), np.bool_),
        resting=where(program.refractory.size, np.int32),
        handed=where(program.several_a_tick, np.int64),
    )


def _pending(loaded: Loaded, sums: type) -> Pending:
    program = loaded.program
    n_axons = int(program.row_axon.max(initial=-1)) + 1
    listed = program.n_neurons if loaded.chip.arithmetic.accumulate == "each" else 0
    return Pending(
        sums=np.zeros((loaded.n_slots, program.n_sums, program.n_neurons), sums),
        marks=np.zeros((loaded.n_slots, n_axons), np.bool_),
        held=np.zeros(4, np.int64),
        last=np.zeros(listed, np.int64),
        last_payload=np.zeros(listed, np.int64),
        n_last=np.zeros(1, np.int64),
        rank=loaded.identity,
    )
