"""The event engine: SimPy decides when, compiled kernels decide what.

`Engine.env` is a SimPy environment whose clock is integer picoseconds. One process runs the
chip's ticks. While nothing else waits in the environment many ticks go into one compiled call, and
short samples are evaluated side by side; as soon as a user's own process is there, the chip
advances tick by tick, with the same result.
"""

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from itertools import chain, count, islice
from queue import SimpleQueue
from typing import Any, NamedTuple

import numpy as np
import simpy
from numpy.typing import NDArray

from emulator.activity import Counters
from emulator.block import Block
from emulator.carried import Carried, add_to, added, no_traffic
from emulator.chip import Chip
from emulator.counting import carried_by_counters, fresh_counters, totals
from emulator.errors import EngineError, OverflowAlarm, SnapshotError
from emulator.fabric import FABRIC_NAMES, FABRICS, Carry, barrier_ps
from emulator.lane import Lane, Watched
from emulator.loading import load
from emulator.noc.scratch import Traffic
from emulator.packet_log import PacketLog, log_of
from emulator.program import Program
from emulator.simulation import Simulation
from emulator.snapshot import FORM, Snapshot, of_columns, take_columns
from emulator.stimulus import Stimulus
from emulator.traffic import Activity
from traces.jit import COMPILES

__all__ = ["Block", "Engine"]

Array = NDArray[Any]

BLOCK_TICKS = 1024
SIDE_BY_SIDE_TICKS = 1024
"""Longer samples run one after another: their spikes are not held until it is their turn."""
NEURONS_A_THREAD = 1 << 14
"""Fewer neurons are done before a second thread has come."""


def usable_cores() -> int:
    """Processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class _Ahead(NamedTuple):
    """A sample that was run before its turn."""

    blocks: list[Block]
    counters: Counters
    traffic: Traffic
    state: dict[str, Array]


class Engine:
    """One program on one chip; runs once.

    Parameters
    ----------
    program : Program
    chip : Chip
    watched, watched_currents, watched_overflows : int array, optional
        Neurons whose membrane, or synaptic currents, or overflows are reported at every tick.
    block_ticks : int
        Ticks in one compiled call; changes nothing but speed.
    seed : int
        For stochastic rounding alone.
    strict : bool
        End the run with an error at the first value that leaves its register.
    log_packets : bool
        List every packet in `Block.packets`; samples then run one after another.
    fabric : str
        What carries packets; one of `emulator.fabric.FABRIC_NAMES`.
    n_threads : int, optional
        Threads that share the cores of a sample, or run short samples side by side; changes
        nothing but speed. By default samples take all processors, and a sample by itself one for
        every 16,384 neurons.
    first_sample : int
        Number of the first sample, by which stochastic rounding is drawn and blocks are named.
    identity : int64 [n], optional
        Numbers of the neurons in the whole that the program is a part of (`emulator.excerpt`).

    Attributes
    ----------
    env : simpy.Environment
        For processes of your own; docs/extending.md shows some.
    fabric : Simulation or None
        The network, where it is made of processes (``fabric="simpy"``).

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
        watched_currents: Array | None = None,
        watched_overflows: Array | None = None,
        block_ticks: int = BLOCK_TICKS,
        seed: int = 0,
        strict: bool = False,
        log_packets: bool = False,
        fabric: str = "ideal",
        n_threads: int | None = None,
        first_sample: int = 0,
        identity: Array | None = None,
    ) -> None:
        program.check(chip)
        if block_ticks < 1:
            raise ValueError(f"block_ticks must be at least 1, but is {block_ticks}")
        if n_threads is not None and n_threads < 1:
            raise ValueError(f"n_threads must be at least 1, but is {n_threads}")
        if fabric not in FABRIC_NAMES:
            raise ValueError(f"fabric must be one of {', '.join(FABRIC_NAMES)}, not {fabric!r}")
        self.env = simpy.Environment(initial_time=0)
        self.program = program
        self._chip = chip
        self._block_ticks = block_ticks
        self._loaded = load(program, chip, identity)
        self.fabric: Simulation | None = None
        self._carry: Carry | None = None
        packets = self._loaded.packets
        if fabric == "simpy":
            self.fabric = Simulation(
                self.env, program, chip, packets, barrier_ps(program, chip),
                log_packets=log_packets,
            )  # fmt: skip
        else:
            self._carry = FABRICS[fabric](program, chip, packets)
        lists = (watched, watched_currents, watched_overflows)
        self._lane_about: dict[str, Any] = {
            "watched": Watched(*(_neurons(listed, program.n_neurons) for listed in lists)),
            "seed": seed, "strict": strict, "log_packets": log_packets,
        }  # fmt: skip
        self._side_by_side, self._threads = _threads(n_threads, program.n_neurons)
        self._origin: dict[str, Any] = {"form": FORM, "fabric": fabric, "seed": seed}
        self._counted = fresh_counters(program)
        self._traffic = no_traffic() if self._carry is None else self._carry.fresh_traffic()
        self._n_ticks = 0
        self._main: Lane | None = None
        self._state: dict[str, Array] | None = None
        self._started = False
        self._at = (first_sample, 0)
        self._n_of_sample = 0
        self._is_accompanied = False
        self._saved: Snapshot | None = None
        self._ticked = self.env.event()
        self._holds: list[simpy.Event] = []

    @property
    def counters(self) -> dict[str, Array]:
        """Totals of each core so far, int64 [n_cores]."""
        packets = self._loaded.packets
        return totals(self._counts(), self._n_ticks, packets, self.program, self._chip)

    def _counts(self) -> Counters:
        """What all lanes have counted."""
        if self._main is None:
            return self._counted
        return _added(self._counted, self._main.counters)

    @property
    def carried(self) -> Carried:
        """What the fabric has carried so far."""
        if self.fabric is not None:
            return self.fabric.carried()
        carried = self._carry.carried(self._carried_traffic()) if self._carry is not None else None
        if carried is not None:
            return carried
        packets = self._loaded.packets
        return carried_by_counters(self._counts(), packets, self.program, self._chip)

    def _carried_traffic(self) -> Traffic:
        """What the fabric has carried for all lanes."""
        return self._traffic if self._main is None else added([self._traffic, self._main.traffic])

    def snapshot(self) -> Snapshot:
        """Save where the machine is: between two blocks, as in ``observe``, or beside `steps`.

        Another engine with the same program, chip, seed and fabric goes on from there (`restore`),
        with any number of threads and length of blocks. Between samples a snapshot holds no
        registers. Of a sample that runs beside others (short ones, on several threads) there is
        one at its end only; `can_snapshot` tells.

        Raises
        ------
        SnapshotError
            If processes of the user's are there, which cannot be saved, or within a sample that
            runs beside others.
        """
        obstacle = self._obstacle()
        if obstacle:
            raise SnapshotError(f"sample {self._at[0]}, tick {self._at[1]}: {obstacle}")
        if self._saved is not None:
            return self._saved
        sample, tick = self._at
        if tick == self._n_of_sample:
            sample, tick = sample + (tick > 0), 0
        carried = of_columns("traffic", self._carried_traffic())
        if self.fabric is not None:
            carried = self.fabric.saved()
        return Snapshot(
            header={
                **self._about(), "sample": sample, "tick": tick, "now_ps": int(self.env.now),
                "n_ticks": self._n_ticks,
            },
            arrays={
                **of_columns("counter", self._counts()), **carried,
                **(self._lane().saved() if tick else {}),
            },
        )  # fmt: skip

    @property
    def can_snapshot(self) -> bool:
        """Whether `snapshot` is possible here."""
        return not self._obstacle()

    def _obstacle(self) -> str:
        """Say what stands against a snapshot here, if anything does."""
        if self._is_accompanied or self._has_company():
            return (
                "processes beside the chip cannot be saved; take snapshots of runs without "
                "processes of your own in Engine.env"
            )
        if self._state is not None and self._saved is None and self._at[1] < self._n_of_sample:
            return (
                "a sample that runs beside others can be saved at its end only; set n_threads=1 "
                "to run one sample after another"
            )
        return ""

    def _has_company(self) -> bool:
        """Whether anything of the user's waits for the chip or for the clock."""
        watches = self.fabric is not None and bool(self.fabric.on_delivery)
        waits = bool(self._ticked.callbacks or self._holds)
        return watches or waits or self.env.peek() != float("inf")

    def restore(self, snapshot: Snapshot) -> None:
        """Begin where another engine was saved, before anything runs or waits in `env`.

        `run` and `steps` take stimuli from the snapshot's sample on, and report from its tick on
        what they would have without a break; `counters`, `carried` and the clock go on too.

        Raises
        ------
        RuntimeError
            If this engine has begun already.
        SnapshotError
            If the snapshot is not of this program, chip, seed and fabric, or is damaged.
        """
        if self._started or self._saved is not None or self._has_company():
            raise RuntimeError(
                "a snapshot is restored first: into a new engine, before a run and before "
                "processes are in Engine.env"
            )
        snapshot.check_origin(self._about())
        counted, traffic = fresh_counters(self.program), self._traffic
        take_columns("counter", counted, snapshot.arrays)
        if self.fabric is not None:
            self.fabric.resume(snapshot.arrays)
        else:
            take_columns("traffic", traffic, snapshot.arrays)
        if snapshot.tick:
            self._state = self._lane().restored(snapshot.arrays)
        self._counted, self._n_ticks = counted, int(snapshot.header["n_ticks"])
        self._at, self._saved = (snapshot.sample, snapshot.tick), snapshot
        self.env.timeout(snapshot.now_ps - int(self.env.now))
        self.env.step()

    def _about(self) -> dict[str, Any]:
        """What a snapshot belongs to."""
        if "program_sha256" not in self._origin:
            hashes = {"program_sha256": self.program.sha256, "chip_sha256": self._chip.sha256}
            self._origin |= hashes
        return self._origin

    def ticked(self) -> simpy.Event:
        """Return what happens at the end of the tick that runs; its value is (sample, tick)."""
        return self._ticked

    def hold(self) -> simpy.Event:
        """Keep the next tick from beginning until the event that this returns has succeeded."""
        event = self.env.event()
        self._holds.append(event)
        return event

    def send(self, channel: int, payload: int = 1) -> None:
        """Let an input channel spike in the tick that comes next, for processes in `env`.

        Parameters
        ----------
        channel : int
            As `Program` numbers them.
        payload : int
            Spikes.

        Raises
        ------
        RuntimeError
            If nothing was in `env` when the sample began, so that none was expected.
        ValueError
            If there is no such channel, or the payload is out of range.
        """
        self._lane().send(channel, payload)

    @property
    def state(self) -> dict[str, Array]:
        """Copies of current [n_currents, n] and membrane [n] of every neuron.

        The current is the one that the membrane last took in. Of a sample that ran beside others:
        at its end.
        """
        if self._state is not None:
            return {name: array.copy() for name, array in self._state.items()}
        return self._lane().state

    def run(
        self, stimuli: Iterable[Stimulus], n_ticks: int, observe: Callable[[Block], None]
    ) -> None:
        """Run one sample after another from the initial state, ``n_ticks`` each.

        Parameters
        ----------
        stimuli : iterable of Stimulus
            Asked for a few samples ahead where samples are short.
        observe : callable
            Gets each block when its ticks have passed; an error that it raises ends the run.

        Raises
        ------
        ValueError
            If a snapshot was restored that lies behind the last tick of a sample.
        """
        self._start(n_ticks)
        chip = self.env.process(self._tick_loop(stimuli, n_ticks, observe))
        try:
            self._let(chip)
        except Exception as error:
            if chip.triggered:
                raise
            raise self._broken("a process beside the chip", error) from error

    def prepare(self) -> None:
        """Lay out tables and state now instead of when the run begins."""
        self._lane()

    def steps(self, stimulus: Stimulus, n_ticks: int) -> Iterator[Block]:
        """Run one sample tick by tick, for looking at `state` in between.

        After `restore`: the snapshot's sample, from its tick on.

        Raises
        ------
        ValueError
            As `run` does.
        """
        self._start(n_ticks)
        passed: list[Block] = []
        for block in self._blocks(self._at[0], stimulus, n_ticks, lambda: 1):
            self._let(self.env.process(self._pass(block, passed.append)))
            yield passed.pop()

    def _let(self, process: simpy.Process) -> None:
        """Let time pass until a process has ended; unlike `env.run`, leaves nothing in `env`."""
        process.callbacks.append(lambda event: setattr(event, "defused", True))
        try:
            while not process.processed:
                self.env.step()
        except simpy.core.EmptySchedule as error:
            raise RuntimeError("nothing is left that would let the next tick begin") from error
        if isinstance(process.value, BaseException):
            raise process.value

    def _start(self, n_ticks: int) -> None:
        if self._started:
            raise RuntimeError("an engine runs once; make a new one for another run")
        if self._at[1] >= max(n_ticks, 1):
            raise ValueError(
                f"the snapshot lies at tick {self._at[1]} of its sample, but samples have "
                f"{n_ticks} ticks"
            )
        self._started = True
        self._n_of_sample = n_ticks
        self._is_accompanied = self._has_company()

    def _lane(self) -> Lane:
        """Lane of what runs by itself."""
        if self._main is None:
            self._main = self._new_lane(self._threads)
        return self._main

    def _new_lane(self, n_threads: int) -> Lane:
        return Lane(self._loaded, self._carry, n_threads=n_threads, **self._lane_about)

    def _tick_loop(
        self, stimuli: Iterable[Stimulus], n_ticks: int, observe: Callable[[Block], None]
    ) -> Generator[simpy.Event, None, None]:
        """Run all samples; time passes as each block takes it."""
        numbers, waiting = count(self._at[0]), iter(stimuli)
        if self._at[1]:
            # The rest of the sample that was broken off.
            for stimulus in islice(waiting, 1):
                yield from self._alone(next(numbers), stimulus, n_ticks, observe)
        first = list(islice(waiting, 2))
        many = (
            self._is_alone()
            and len(first) > 1
            and self._side_by_side > 1
            and not self._lane_about["log_packets"]
            and n_ticks <= SIDE_BY_SIDE_TICKS
        )
        samples = zip(numbers, chain(first, waiting), strict=False)
        if many:
            with ThreadPoolExecutor(self._side_by_side) as pool:
                yield from self._together(pool, samples, n_ticks, observe)
            return
        for sample, stimulus in samples:
            yield from self._alone(sample, stimulus, n_ticks, observe)

    def _alone(
        self, sample: int, stimulus: Stimulus, n_ticks: int, observe: Callable[[Block], None]
    ) -> Generator[simpy.Event, None, None]:
        blocks = self._blocks(sample, stimulus, n_ticks, self._uninterrupted_ticks)
        while (block := self._following(blocks)) is not None:
            yield from self._pass(block, observe)

    def _blocks(
        self, sample: int, stimulus: Stimulus, n_ticks: int, length: Callable[[], int]
    ) -> Iterator[Block]:
        """Run a sample that runs by itself, from where a snapshot left it."""
        tick = self._at[1] if self._saved is not None else 0
        saved = self._saved.arrays if self._saved is not None and tick else None
        self._state, self._at = None, (sample, tick)
        return self._lane().blocks(
            sample, stimulus, n_ticks, length, is_open=not self._is_alone(), first_tick=tick,
            saved=saved,
        )  # fmt: skip

    def _following(self, blocks: Iterator[Block]) -> Block | None:
        """Run on, and say where it was if that fails."""
        try:
            return next(blocks, None)
        except (OverflowAlarm, EngineError, ValueError):
            raise
        except Exception as error:
            raise self._broken("the fabric", error) from error

    def _broken(self, who: str, error: Exception) -> EngineError:
        sample, tick = self._at
        cores = self.program.core
        return EngineError(
            f"{self._chip.name}, cores {cores.min()}..{cores.max()}: sample {sample}, tick {tick}, "
            f"{int(self.env.now):,} ps: {who} failed ({type(error).__name__}: {error})"
        )

    def _pass(
        self, block: Block, observe: Callable[[Block], None]
    ) -> Generator[simpy.Event, Any, None]:
        """Let the time of some ticks pass."""
        self._n_ticks += block.tick_ps.size
        self._saved = None
        if self.fabric is not None and block.activity is not None:
            activity = block.activity
            ticks = yield from self.fabric.tick(activity)
            block = replace(
                block, tick_ps=ticks.duration_ps, slowest_core=ticks.slowest_core,
                busiest_link=ticks.busiest_link, activity=None,
                packets=self._log(block.first_tick),
            )  # fmt: skip
            self._lose(self.fabric, activity)
        else:
            yield self.env.timeout(int(block.tick_ps.sum()))
        last = block.first_tick + block.tick_ps.size
        self._at = block.sample, last
        observe(block)
        if self._ticked.callbacks or self._holds:
            self._ticked.succeed((block.sample, last - 1))
            self._ticked = self.env.event()
            yield self.env.timeout(0)  # whoever waited for the tick may hold the next one
            while self._holds:
                yield self._holds.pop()

    def _log(self, first_tick: int) -> PacketLog | None:
        if self.fabric is None or not self._lane_about["log_packets"]:
            return None
        return log_of(self.fabric.log, first_tick, self.program, self._chip)

    def _lose(self, fabric: Simulation, activity: Activity) -> None:
        """Take back what lost packets would have done."""
        if fabric.lost:
            self._lane().take_back(fabric.lost, activity)
            fabric.lost.clear()

    def _together(
        self,
        pool: ThreadPoolExecutor,
        samples: Iterator[tuple[int, Stimulus]],
        n_ticks: int,
        observe: Callable[[Block], None],
    ) -> Generator[simpy.Event, None, None]:
        """Run samples ahead of their turn while nobody else waits for the clock."""
        lanes: SimpleQueue[Lane] = SimpleQueue()
        for _ in range(self._side_by_side):
            lanes.put(self._new_lane(1))
        ahead: deque[Future[_Ahead]] = deque()
        try:
            while True:
                while self._is_alone() and len(ahead) < 2 * self._side_by_side:
                    following = next(samples, None)
                    if following is None:
                        break
                    ahead.append(pool.submit(_run_ahead, lanes, *following, n_ticks))
                if ahead:
                    yield from self._take(ahead.popleft().result(), observe)
                    continue
                following = next(samples, None)
                if following is None:
                    return
                yield from self._alone(*following, n_ticks, observe)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def _take(
        self, sample: _Ahead, observe: Callable[[Block], None]
    ) -> Generator[simpy.Event, None, None]:
        """Let the ticks of a sample pass that ran before its turn."""
        self._counted = _added(self._counted, sample.counters)
        add_to(self._traffic, sample.traffic)
        self._state = sample.state
        for block in sample.blocks:
            for part in (block,) if self._is_alone() else block.ticks():
                yield from self._pass(part, observe)

    def _is_alone(self) -> bool:
        """Whether no process could do anything between two ticks."""
        waited_for = self.fabric is not None or self._ticked.callbacks or self._holds
        return not waited_for and self.env.peek() == float("inf")

    def _uninterrupted_ticks(self) -> int:
        """Ticks that may run in one call: many only while nobody else waits for the clock."""
        return self._block_ticks if self._is_alone() else 1


def _run_ahead(lanes: "SimpleQueue[Lane]", sample: int, stimulus: Stimulus, n_ticks: int) -> _Ahead:
    lane = lanes.get()
    try:
        lane.clear()
        blocks = list(lane.blocks(sample, stimulus, n_ticks, lambda: n_ticks))
        counters = Counters(*(counts.copy() for counts in lane.counters))
        return _Ahead(blocks, counters, lane.traffic, lane.state)
    finally:
        lanes.put(lane)


def _neurons(listed: Array | None, n_neurons: int) -> Array:
    watched = np.asarray([] if listed is None else listed, np.int64)
    if watched.size and not 0 <= watched.min() <= watched.max() < n_neurons:
        raise ValueError(f"watched neurons must lie in 0..{n_neurons - 1}")
    return watched


def _added(one: Counters, other: Counters) -> Counters:
    return Counters(*(a + b for a, b in zip(one, other, strict=True)))


def _threads(wanted: int | None, n_neurons: int) -> tuple[int, int]:
    """Samples side by side, and threads of a sample by itself."""
    if not COMPILES:
        return 1, 1
    if wanted is not None:
        return wanted, wanted
    most = usable_cores()
    return most, max(min(most, n_neurons // NEURONS_A_THREAD), 1)
