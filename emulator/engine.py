"""The event engine: SimPy decides when, compiled kernels decide what.

`Engine.env` is a SimPy environment whose clock is integer picoseconds. One process runs the
chip's ticks. While nothing else waits in the environment many ticks go into one compiled call;
as soon as a user's own process is there, the chip advances tick by tick, with the same result.
"""

from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import simpy
from numpy.typing import NDArray

from emulator import kernels
from emulator.chip import Chip
from emulator.fabric import n_routers_used, ways
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
    spike_tick, spike_neuron : int64 [n_spikes]
        In order of ticks; neurons as `Program` numbers them.
    frames : int64 [n_ticks, n_watched]
        Membranes of the watched neurons at the end of each tick.
    """

    sample: int
    first_tick: int
    tick_ps: Array
    spike_tick: Array
    spike_neuron: Array
    frames: Array


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
        self._tables = _tables(program, chip, self._watched)
        self._rules = _rules(chip)
        self._costs = _costs(program, chip)
        self._load = _heaviest_load(program)
        self._state = _fresh_state(program)
        self._counters = kernels.Counters(
            *(np.zeros(program.n_cores, np.int64) for _ in kernels.Counters._fields)
        )
        room = max(SPIKES_A_BLOCK, program.n_neurons)
        self._out = np.empty(room, np.int64), np.empty(room, np.int64)
        self._started = False

    @property
    def counters(self) -> dict[str, Array]:
        """Totals of each core so far, int64 [n_cores]."""
        return {name: array.copy() for name, array in self._counters._asdict().items()}

    @property
    def state(self) -> dict[str, Array]:
        """Copies of current and membrane of every neuron, int64 [n]."""
        return {"current": self._state.current.copy(), "membrane": self._state.membrane.copy()}

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
        self._widen(stimulus)
        events = kernels.Events(**vars(stimulus))
        tick = next_spike = next_current = 0
        while tick < n_ticks:
            ticks = min(length(), n_ticks - tick)
            frames = np.empty((ticks, self._watched.size), np.int64)
            tick_ps = np.empty(ticks, np.int64)
            done, n_out, next_spike, next_current = kernels.advance(
                tick, ticks, self._tables, self._state, self._rules, self._costs, self._counters,
                events, next_spike, next_current, *self._out, frames, tick_ps,
            )  # fmt: skip
            yield Block(
                sample=sample,
                first_tick=tick,
                tick_ps=tick_ps[:done],
                spike_tick=self._out[0][:n_out].copy(),
                spike_neuron=self._out[1][:n_out].copy(),
                frames=frames[:done],
            )
            tick += done

    def _widen(self, stimulus: Stimulus) -> None:
        """Take wider sums of weights if this sample's could leave 32 bits."""
        fits = self._load * stimulus.largest_payload < 2**31
        if not fits and self._state.pending.dtype != np.int64:
            self._state = self._state._replace(pending=self._state.pending.astype(np.int64))

    def _reset(self) -> None:
        self._state.current[:] = self.program.initial_current
        self._state.membrane[:] = self.program.initial_membrane
        for array in (self._state.above, self._state.injected, self._state.pending):
            array[:] = 0


def _tables(program: Program, chip: Chip, watched: Array) -> kernels.Tables:
    row_source = np.repeat(np.arange(program.source_row.size - 1), np.diff(program.source_row))
    on_chip = row_source < program.n_neurons
    target = program.core[program.row_core]
    source = target.copy()
    source[on_chip] = program.core[program.neuron_core[row_source[on_chip]]]
    way = ways(source, target, chip)
    latency = np.where(on_chip, way.latency_ps, 0)
    own = {
        name: getattr(program, name) for name in kernels.Tables._fields if hasattr(program, name)
    }
    return kernels.Tables(
        **own,
        row_latency=latency,
        row_hops_ew=way.hops_ew,
        row_hops_ns=way.hops_ns,
        watched=watched,
    )


def _rules(chip: Chip) -> kernels.Rules:
    overflow = {"wrap": kernels.WRAP, "saturate": kernels.SATURATE}
    return kernels.Rules(
        decay_bits=chip.numbers.decay_bits,
        current_bits=chip.numbers.current_bits,
        membrane_bits=chip.numbers.membrane_bits,
        current_overflow=overflow[chip.arithmetic.current_overflow],
        membrane_overflow=overflow[chip.arithmetic.membrane_overflow],
        at_threshold=int(chip.arithmetic.compare == ">="),
        input_latency=chip.arithmetic.input_latency,
    )


def _costs(program: Program, chip: Chip) -> kernels.Costs:
    timing = chip.timing
    return kernels.Costs(
        neuron_active=timing.neuron_active_ps.value,
        neuron_inactive=timing.neuron_inactive_ps.value,
        synaptic_event=timing.synaptic_event_ps.value,
        axon_in=timing.axon_in_ps.value,
        barrier=timing.barrier_ps(n_routers_used(program.core, chip)),
    )


def _heaviest_load(program: Program) -> int:
    """Bound of what one neuron can be sent in a tick if every source spikes once."""
    if not program.row_size.size:
        return 0
    first, size = program.row_target, program.row_size.astype(np.int64)
    # A sparse row whose targets do not ascend may name one of them more than once.
    falls = np.flatnonzero(np.diff(program.target.astype(np.int64)) <= 0) + 1
    n_falls = np.searchsorted(falls, first + size) - np.searchsorted(falls, first, "right")
    often = np.where(~program.row_dense & (n_falls > 0), size, 1)
    weight = np.abs(program.weight.astype(np.int64)).max(initial=0) << program.row_shift
    return int(np.bincount(program.row_core, weights=weight * often).max())


def _fresh_state(program: Program) -> kernels.State:
    n = program.n_neurons
    longest = int(program.row_delay.max(initial=0))
    # A spike acts at the next tick plus its delay, so that many slots and one more are in use.
    slots = longest + 2
    return kernels.State(
        current=program.initial_current.astype(np.int64),
        membrane=program.initial_membrane.astype(np.int64),
        above=np.zeros(n, np.uint8),
        injected=np.zeros(n, np.int64),
        pending=np.zeros((slots, n), np.int32),
    )
