"""The event engine: SimPy decides when, compiled kernels decide what.

`Engine.env` is a SimPy environment whose clock is integer picoseconds. One process runs the
chip's ticks. While nothing else waits in the environment many ticks go into one compiled call;
as soon as a user's own process is there, the chip advances tick by tick, with the same result.
"""

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import simpy
from numpy.typing import NDArray

from emulator import kernels, neuron
from emulator.arithmetic import hashed
from emulator.chip import Chip
from emulator.chip_costs import by_kind
from emulator.errors import OverflowAlarm
from emulator.fabric import n_routers_used, ways
from emulator.machine import advance_of
from emulator.program import Program
from emulator.stimulus import Stimulus

Array = NDArray[Any]

BLOCK_TICKS = 256
SPIKES_A_BLOCK = 1 << 18
"""Room for listed spikes in one compiled call; bounds the memory of a run."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Block:
    """What happened in some consecutive ticks of one sample.

    Attributes
    ----------
    sample, first_tick : int
        Ticks count from the start of the sample.
    tick_ps : int64 [n_ticks]
        Duration of each tick.
    spike_tick, spike_neuron, spike_payload : int64 [n_spikes]
        In order of ticks; neurons as `Program` numbers them; a payload is 1, -1 below a lower
        threshold, or the number of spikes where neurons fire several times a tick.
    frames : int64 or float64 [n_ticks, n_watched]
        Membranes of the watched neurons at the end of each tick.
    tick_counters : mapping of name to int64 [n_ticks]
        What each tick added to `Engine.counters`, over all cores.
    """

    sample: int
    first_tick: int
    tick_ps: Array
    spike_tick: Array
    spike_neuron: Array
    spike_payload: Array
    frames: Array
    tick_counters: Mapping[str, Array] = field(default_factory=dict)


class Engine:
    """One program on one chip; runs once.

    Parameters
    ----------
    program : Program
    chip : Chip
    watched : int array, optional
        Neurons whose membrane is reported at every tick.
    block_ticks : int
        Ticks in one compiled call; changes nothing but speed.
    seed : int
        For stochastic rounding alone.
    strict : bool
        End the run with an error at the first value that leaves its register.

    Raises
    ------
    ProgramError
        If the program does not suit the chip.
    """

    def __init__(
        self,
        program: Program,
        chip: Chip,
        *,
        watched: Array | None = None,
        block_ticks: int = BLOCK_TICKS,
        seed: int = 0,
        strict: bool = False,
    ) -> None:
        program.check(chip)
        if block_ticks < 1:
            raise ValueError(f"block_ticks must be at least 1, but is {block_ticks}")
        self.env = simpy.Environment(initial_time=0)
        self.program = program
        self._watched = np.asarray([] if watched is None else watched, np.int64)
        if (
            self._watched.size
            and not 0 <= self._watched.min() <= self._watched.max() < program.n_neurons
        ):
            raise ValueError(f"watched neurons must lie in 0..{program.n_neurons - 1}")
        self._block_ticks = block_ticks
        self._chip, self._seed = chip, seed
        self._advance = advance_of(program, chip, strict=strict)
        self._tables = _tables(program, chip, self._watched)
        self._neurons = _neurons(program)
        self._costs = _costs(program, chip)
        self._load = _heaviest_load(program)
        self._state, self._pending = _fresh_state(program, chip)
        self._alarm = np.full(4, -1.0)
        self._counters = kernels.Counters(
            *(np.zeros(program.n_cores, np.int64) for _ in kernels.Counters._fields)
        )
        room = max(SPIKES_A_BLOCK, program.n_neurons)
        self._out = tuple(np.empty(room, np.int64) for _ in range(3))
        self._started = False

    @property
    def counters(self) -> dict[str, Array]:
        """Totals of each core so far, int64 [n_cores]."""
        return {name: array.copy() for name, array in self._counters._asdict().items()}

    @property
    def state(self) -> dict[str, Array]:
        """Copies of current [n_currents, n] and membrane [n] of every neuron.

        The current is the one that the membrane last took in.
        """
        shown = self._chip.arithmetic.current_order == "add-use-decay"
        current = self._state.shown[None] if shown else self._state.current
        return {"current": current.copy(), "membrane": self._state.membrane.copy()}

    def run(
        self, stimuli: Iterable[Stimulus], n_ticks: int, observe: Callable[[Block], None]
    ) -> None:
        """Run one sample after another from the initial state, ``n_ticks`` each.

        Parameters
        ----------
        observe : callable
            Gets each block when its ticks have passed; an error that it raises ends the run.
        """
        self._start()
        chip = self.env.process(self._tick_loop(stimuli, n_ticks, observe))
        self.env.run(until=chip)

    def steps(self, stimulus: Stimulus, n_ticks: int) -> Iterator[Block]:
        """Run one sample tick by tick, for looking at `state` in between."""
        self._start()
        for block in self._blocks(0, stimulus, n_ticks, lambda: 1):
            if block.tick_ps.any():
                self.env.run(until=self.env.now + int(block.tick_ps.sum()))
            yield block

    def _start(self) -> None:
        if self._started:
            raise RuntimeError("an engine runs once; make a new one for another run")
        self._started = True

    def _tick_loop(
        self, stimuli: Iterable[Stimulus], n_ticks: int, observe: Callable[[Block], None]
    ) -> Generator[simpy.Event, None, None]:
        """Run all samples; time passes as each block takes it."""
        for sample, stimulus in enumerate(stimuli):
            self._reset()
            for block in self._blocks(sample, stimulus, n_ticks, self._uninterrupted_ticks):
                yield self.env.timeout(int(block.tick_ps.sum()))
                observe(block)

    def _uninterrupted_ticks(self) -> int:
        """Ticks that may run in one call: many only while nobody else waits for the clock."""
        return self._block_ticks if self.env.peek() == float("inf") else 1

    def _blocks(
        self, sample: int, stimulus: Stimulus, n_ticks: int, length: Callable[[], int]
    ) -> Iterator[Block]:
        stimulus.check(self.program.n_channels, self.program.n_neurons)
        self._check_signs(stimulus)
        self._widen(stimulus)
        events = kernels.Events(**vars(stimulus))
        seed = hashed(self._seed, sample, 0, 0)
        tick = next_spike = next_current = 0
        while tick < n_ticks:
            ticks = min(length(), n_ticks - tick)
            frames = np.empty((ticks, self._watched.size), self._state.membrane.dtype)
            tick_ps = np.empty(ticks, np.int64)
            tick_counts = np.empty((ticks, len(self._counters)), np.int64)
            done, n_out, next_spike, next_current = self._advance(
                tick, ticks, self._tables, self._neurons, self._state, self._pending, self._costs,
                self._counters, events, self._chip.arithmetic.input_latency, seed, self._alarm,
                next_spike, next_current, *self._out, frames, tick_ps, tick_counts,
            )  # fmt: skip
            self._raise_alarm(sample)
            yield Block(
                sample=sample,
                first_tick=tick,
                tick_ps=tick_ps[:done],
                spike_tick=self._out[0][:n_out].copy(),
                spike_neuron=self._out[1][:n_out].copy(),
                spike_payload=self._out[2][:n_out].copy(),
                frames=frames[:done],
                tick_counters=dict(zip(self._counters._fields, tick_counts[:done].T, strict=True)),
            )
            tick += done

    def _raise_alarm(self, sample: int) -> None:
        """End a strict run.

        Raises
        ------
        OverflowAlarm
        """
        if self._alarm[0] < 0:
            return
        machine, variable, tick, value = (int(number) for number in self._alarm)
        program = self.program
        raise OverflowAlarm(
            core=int(program.core[program.neuron_core[machine]]),
            population=program.populations[program.population[machine]].name,
            neuron=int(program.index[machine]),
            variable=neuron.VARIABLES[variable],
            bits=getattr(self._chip.numbers, f"{neuron.VARIABLES[variable]}_bits"),
            sample=sample,
            tick=tick,
            value=value,
        )

    def _check_signs(self, stimulus: Stimulus) -> None:
        """Refuse negative factors where a payload is a number of spikes.

        Raises
        ------
        ValueError
        """
        negative = stimulus.spike_channel[stimulus.spike_payload < 0]
        if not negative.size:
            return
        program = self.program
        repeats = program.row_payload == neuron.AS_REPEAT
        if self._chip.arithmetic.accumulate == "each":
            repeats = np.ones_like(repeats)
        counting = np.intersect1d(negative, program.row_source[repeats] - program.n_neurons)
        if counting.size:
            raise ValueError(
                f"channel {counting[0]} has payloads down to {stimulus.spike_payload.min():,}, but "
                "its synapses take a payload as that many spikes; only rows whose row_payload is "
                "value or presence take negative ones"
            )

    def _widen(self, stimulus: Stimulus) -> None:
        """Take wider sums of weights if this sample's could leave 32 bits."""
        sums = self._pending.sums
        most = max(stimulus.largest_payload, _largest_burst(self.program))
        if sums.dtype == np.int32 and self._load * most >= 2**31:
            self._pending = self._pending._replace(sums=sums.astype(np.int64))

    def _reset(self) -> None:
        self._state.current[:] = self.program.initial_current
        self._state.membrane[:] = self.program.initial_membrane
        for array in (
            *self._state[2:],
            self._pending.sums,
            self._pending.marks,
            self._pending.n_last,
        ):
            array[:] = 0


def _tables(program: Program, chip: Chip, watched: Array) -> kernels.Tables:
    row_source = program.row_source
    sender = program.source_core[row_source]
    on_chip = sender >= 0
    target = program.core[program.row_core]
    source = target.copy()
    source[on_chip] = program.core[sender[on_chip]]
    way = ways(source, target, chip)
    latency = np.where(on_chip, way.latency_ps, 0)
    own = {
        name: getattr(program, name) for name in kernels.Tables._fields if hasattr(program, name)
    }
    own["channel_core"] = program.source_core[program.n_neurons :]
    return kernels.Tables(
        **own,
        row_latency=latency,
        row_hops_ew=way.hops_ew,
        row_hops_ns=way.hops_ns,
        rank=_identity(program),
        watched=watched,
    )


def _identity(program: Program) -> Array:
    """Number of each neuron by population and index, wherever it lies; int64 [n]."""
    starts = np.cumsum([0, *(p.size for p in program.populations)])
    return np.asarray(starts[program.population] + program.index, np.int64)


def _neurons(program: Program) -> neuron.Neurons:
    own = {
        name: getattr(program, name) for name in neuron.Neurons._fields if hasattr(program, name)
    }
    return neuron.Neurons(**own, restless=_restless(program), identity=_identity(program))


def _restless(program: Program) -> Array:
    """Neurons that do something even where everything in them is 0; bool [n]."""
    spikes = (program.reset != neuron.NEVER) & (program.threshold <= 0)
    if program.lower.size:
        spikes |= program.lower > 0
    if program.membrane_min.size:
        spikes |= (program.membrane_min > 0) | (program.membrane_max < 0)
    return np.asarray(spikes)


def _costs(program: Program, chip: Chip) -> kernels.Costs:
    timing = chip.timing
    if timing is None:
        return kernels.Costs(0, 0, np.zeros(len(neuron.KINDS), np.int64), 0, 0)
    return kernels.Costs(
        neuron_active=timing.neuron_active_ps.value,
        neuron_inactive=timing.neuron_inactive_ps.value,
        synaptic_event=np.array([cost.value for cost in by_kind(timing.synaptic_event_ps)]),
        axon_in=timing.axon_in_ps.value,
        barrier=timing.barrier_ps(n_routers_used(program.core, chip)),
    )


def _heaviest_load(program: Program) -> float:
    """Bound of what one neuron can be sent in a tick if every source spikes once."""
    if not program.row_size.size:
        return 0
    first, size = program.row_target, program.row_size.astype(np.int64)
    # A sparse row whose targets do not ascend may name one of them more than once.
    falls = np.flatnonzero(np.diff(program.target.astype(np.int64)) <= 0) + 1
    n_falls = np.searchsorted(falls, first + size) - np.searchsorted(falls, first, "right")
    often = np.where(~program.row_dense & (n_falls > 0), size, 1)
    weight = np.abs(program.weight.astype(np.float64)).max(initial=0) * 2.0**program.row_shift
    return float(np.bincount(program.row_core, weights=weight * often).max())


def _largest_burst(program: Program) -> int:
    """Most spikes that one neuron can fire in a tick."""
    return int(program.spikes_max.max(initial=1)) if program.several_a_tick else 1


def _fresh_state(program: Program, chip: Chip) -> tuple[neuron.State, kernels.Pending]:
    n = program.n_neurons
    floats = chip.arithmetic.float_variables
    dtype = {name: np.float64 if name in floats else np.int64 for name in ("current", "membrane")}
    state = neuron.resting_state(n, program.n_currents, dtype["current"], dtype["membrane"])
    state.current[:] = program.initial_current
    state.membrane[:] = program.initial_membrane
    longest = int(program.row_delay.max(initial=0))
    # A spike acts at the next tick plus its delay, so that many slots and one more are in use.
    slots = longest + 2
    n_axons = int(program.row_axon.max(initial=-1)) + 1
    pending = kernels.Pending(
        sums=np.zeros(
            (slots, program.n_sums, n),
            np.float64 if program.weight.dtype.kind == "f" else np.int32,
        ),
        marks=np.zeros((slots, n_axons), np.bool_),
        last=np.zeros(n, np.int64),
        last_payload=np.zeros(n, np.int64),
        n_last=np.zeros(1, np.int64),
    )
    return state, pending
