"""Times of recorded spikes on another fabric, placement or timing, without running a neuron.

A core updates its neurons one after another, so when a spike leaves depends on how many neurons
before it were active. That is the one thing that spikes do not tell: a time that was recorded does
(`Clock.work_of`), or it lies between two ends (`Clock.least_work`, `Clock.most_work`).
"""

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from emulator.activity import CoreCosts
from emulator.carried import Carried
from emulator.chip import Chip
from emulator.errors import RetimingError
from emulator.fabric import FABRICS
from emulator.happened import Happened
from emulator.loading import load
from emulator.merging import Merging
from emulator.program import Program
from emulator.traffic import Activity, Ticks, fresh_ticks

Array = NDArray[Any]


class Work(NamedTuple):
    """How many neurons were active.

    ``upto`` int64 [n_spikes]: on the core of each spike, up to its own neuron; ``total`` int64
    [n_ticks, n_cores].
    """

    upto: Array
    total: Array


class Times(NamedTuple):
    """When packets may leave, and how long cores update; as `Activity` has them.

    ``spike_ps`` int64 [n_spikes]; ``input_ps`` int64 [n_inputs]; ``update_ps`` int64 [n_ticks,
    n_cores].
    """

    spike_ps: Array
    input_ps: Array
    update_ps: Array


class Clock:
    """Times of one program on one chip, apart from its network.

    Parameters
    ----------
    program : Program
    chip : Chip
        With times.
    """

    def __init__(self, program: Program, chip: Chip) -> None:
        program.check(chip)
        loaded = load(program, chip)
        self.program, self.chip, self.packets = program, chip, loaded.packets
        self._costs: CoreCosts = loaded.costs
        self._places = loaded.places
        self._core = program.neuron_core

    @property
    def active_ps(self) -> int:
        """What an active neuron takes longer than one that is not."""
        return int(self._costs.neuron_active) - int(self._costs.neuron_inactive)

    def least_work(self, happened: Happened) -> Work:
        """Nobody was active but those that fired."""
        if self.program.alias.size:
            # A neuron that is handed a spike need not be active.
            return Work(np.zeros_like(happened.spike_neuron), np.zeros(self._shape(happened), int))
        place = self._place(happened)
        ones = np.ones(place.size, np.int64)
        return Work(_running(ones, place), self._summed(ones, place, happened))

    def most_work(self, happened: Happened) -> Work:
        """Everybody was active in every tick."""
        start = self.program.core_start
        upto = happened.spike_neuron + 1 - start[self._core[happened.spike_neuron]]
        return Work(upto, np.broadcast_to(np.diff(start), self._shape(happened)))

    def work_of(self, happened: Happened, spike_ps: Array, update_ps: Array) -> Work | None:
        """Derive who was active from recorded times; None where that cost nothing.

        Raises
        ------
        RetimingError
            If the times are not those of this program and chip.
        """
        without = self.times(happened, None)
        extra = [spike_ps - without.spike_ps, update_ps - without.update_ps]
        if self.active_ps == 0:
            if any(np.any(ps) for ps in extra):
                raise RetimingError(_NOT_OURS)
            return None
        found = [np.divmod(ps, self.active_ps) for ps in extra]
        most = self.most_work(happened)
        if any(np.any(rest) for _, rest in found) or any(
            np.any((n < 0) | (n > limit)) for (n, _), limit in zip(found, most, strict=True)
        ):
            raise RetimingError(_NOT_OURS)
        return Work(found[0][0], found[1][0])

    def times(self, happened: Happened, work: Work | None) -> Times:
        """When packets leave; as if nobody was active where ``work`` is None."""
        costs, rest_ps = self._costs, self._places.rest_ps
        place, shape = self._place(happened), self._shape(happened)
        fired = np.full(place.size, costs.spike, np.int64)
        if costs.repeated_ps.size:
            fired += np.abs(happened.spike_payload) * costs.repeated_ps[happened.spike_neuron]
            fired += costs.once_ps[happened.spike_neuron]
        input_ps, channels_ps = self._inputs(happened)
        core = self._core[happened.spike_neuron]
        behind = self.program.core_start[core + 1] - 1 - happened.spike_neuron
        spike_ps = rest_ps[core] - behind * costs.neuron_inactive + _running(fired, place)
        spike_ps += channels_ps.ravel()[place]
        update_ps = rest_ps + channels_ps + self._summed(fired, place, happened)
        if work is not None:
            spike_ps = spike_ps + work.upto * self.active_ps
            update_ps = update_ps + work.total * self.active_ps
        return Times(spike_ps, input_ps, update_ps.reshape(shape))

    def _shape(self, happened: Happened) -> tuple[int, int]:
        return happened.n_ticks, self.program.n_cores

    def _place(self, happened: Happened) -> Array:
        """Number of (tick, core) of each spike; ascending."""
        return happened.spike_tick * self.program.n_cores + self._core[happened.spike_neuron]

    def _summed(self, values: Array, place: Array, happened: Happened) -> Array:
        shape = self._shape(happened)
        sums = np.zeros(shape[0] * shape[1], np.int64)
        np.add.at(sums, place, values)
        return sums.reshape(shape)

    def _inputs(self, happened: Happened) -> tuple[Array, Array]:
        """When input leaves, and what channels on cores take these beyond being there."""
        costs, places = self._costs, self._places
        taken = np.zeros(self._shape(happened), np.int64)
        sent = np.zeros(happened.input_tick.size, np.int64)
        if not places.channel_core.size:
            return sent, taken
        channel, tick = happened.input_channel, happened.input_tick
        on_core = np.flatnonzero(places.channel_core[channel] >= 0)
        channel, tick = channel[on_core], tick[on_core]
        begins = np.ones(channel.size, np.bool_)
        begins[1:] = (channel[1:] != channel[:-1]) | (tick[1:] != tick[:-1])
        cost = begins * (int(costs.channel_active) - int(costs.channel_inactive))
        if costs.repeated_ps.size:
            source = self.program.n_neurons + channel
            cost = cost + np.abs(happened.input_payload[on_core]) * costs.repeated_ps[source]
            cost = cost + costs.once_ps[source]
        place = tick * self.program.n_cores + places.channel_core[channel]
        order = np.argsort(place, kind="stable")
        running = np.empty(channel.size, np.int64)
        running[order] = _running(cost[order], place[order])
        waits = (places.channel_rank[channel] + 1) * int(costs.channel_inactive)
        sent[on_core] = waits + running
        np.add.at(taken.ravel(), place, cost)
        return sent, taken


_NOT_OURS = (
    "the recorded times of spikes and cores are not those of the recorded program on its chip; "
    "times of this trace cannot be told anew"
)


def _running(values: Array, place: Array) -> Array:
    """Sum of the values of one place so far, the own included; places ascend."""
    sums = np.cumsum(values)
    begins = np.searchsorted(place, place)
    before = np.append(0, sums)[begins]
    return np.asarray(sums - before)


class Timer:
    """A fabric that tells how long recorded ticks take.

    Raises
    ------
    FabricChoiceError, FabricError
        If the fabric cannot carry the program's packets.
    """

    def __init__(self, clock: Clock, fabric: str) -> None:
        self._clock = clock
        self._carry = FABRICS[fabric](clock.program, clock.chip, clock.packets)
        self._traffic = self._carry.fresh_traffic()
        binary = clock.program.row_axon.size > 0
        self._merging = Merging(clock.program, clock.chip) if binary else None

    def begin(self) -> None:
        """Begin a sample."""
        if self._merging is not None:
            self._merging.begin()

    def __call__(self, happened: Happened, work: Work | None) -> Ticks:
        """Time the ticks that come next."""
        times = self._clock.times(happened, work)
        ticks = fresh_ticks(happened.n_ticks)
        edges = np.arange(happened.n_ticks + 1)
        merged = np.zeros((1, 0), np.int64) if self._merging is None else self._merging(happened)
        activity = Activity(
            spike_start=np.searchsorted(happened.spike_tick, edges),
            spike_neuron=happened.spike_neuron,
            spike_payload=happened.spike_payload,
            spike_ps=times.spike_ps,
            input_start=np.searchsorted(happened.input_tick, edges),
            input_channel=happened.input_channel,
            input_payload=happened.input_payload,
            input_ps=times.input_ps,
            update_ps=np.ascontiguousarray(times.update_ps),
            merged_events=merged,
        )
        self._carry(activity, 0, happened.n_ticks, ticks, self._traffic)
        return ticks

    def carried(self) -> Carried | None:
        """Statistics so far; None where the fabric follows no packets."""
        return self._carry.carried(self._traffic)


class Moved:
    """From the numbers of one program to those of another of the same network.

    Parameters
    ----------
    old, new : Program

    Attributes
    ----------
    same_cores : bool
        Whether every core holds the same neurons in the same order, wherever it lies now: then who
        was active is known for the new program, too.

    Raises
    ------
    RetimingError
        If the two do not have the same neurons.
    """

    def __init__(self, old: Program, new: Program) -> None:
        _refuse_others(old, new)
        self.number = np.empty(old.n_neurons, np.int64)
        for part in old.populations:
            self.number[old.neurons_of(part.name)] = new.neurons_of(part.name)
        steps = np.diff(self.number) == 1
        ends = np.zeros(old.n_neurons + 1, np.bool_)
        ends[old.core_start] = True
        # Neurons of a core follow each other, and its first is a first.
        starts = old.core_start[:-1][np.diff(old.core_start) > 0]
        follows = bool(np.all(steps | ends[1:-1]))
        self.same_cores = (
            follows
            and bool(np.all(np.isin(self.number[starts], new.core_start)))
            and starts.size == int(np.count_nonzero(np.diff(new.core_start)))
        )
        self._new_core = new.neuron_core[self.number[starts]]
        self._old_core = old.neuron_core[starts]
        self._n_new = new.n_cores

    def happened(self, happened: Happened, work: Work | None) -> tuple[Happened, Work | None]:
        """Number spikes anew, and who was active, if that is known for the new cores."""
        neuron = self.number[happened.spike_neuron]
        order = np.lexsort((neuron, happened.spike_tick))
        moved = replace(
            happened, spike_neuron=neuron[order], spike_payload=happened.spike_payload[order]
        )
        if work is None or not self.same_cores:
            return moved, None
        total = np.zeros((happened.n_ticks, self._n_new), np.int64)
        total[:, self._new_core] = work.total[:, self._old_core]
        return moved, Work(work.upto[order], total)


_NEURONS = (
    "keep_current", "keep_membrane", "bias", "threshold", "initial_current", "initial_membrane",
    "sum_shift", "reset",
)  # fmt: skip


def _refuse_others(old: Program, new: Program) -> None:
    """Refuse programs of other networks."""
    shapes = [{p.name: (p.shape, p.scale) for p in program.populations} for program in (old, new)]
    problems = []
    if shapes[0] != shapes[1]:
        problems.append(f"populations are {_listed(old)} and {_listed(new)}")
    if old.inputs != new.inputs:
        problems.append(f"inputs are {dict(old.inputs)} and {dict(new.inputs)}")
    if not problems:
        there, here = (
            np.concatenate([program.neurons_of(p.name) for p in old.populations])
            for program in (old, new)
        )
        for name in _NEURONS:
            one, other = getattr(old, name)[..., there], getattr(new, name)[..., here]
            if not np.array_equal(one, other):
                problems.append(f"{name} of neurons differs")
        if _synapses(old) != _synapses(new):
            problems.append("the numbers of synapses of their neurons differ")
    if problems:
        raise RetimingError("it is a program of another network: " + "; ".join(problems))


def _listed(program: Program) -> str:
    return ", ".join(f"{p.name} {p.shape}" for p in program.populations)


def _synapses(program: Program) -> dict[str, list[int]]:
    """Synapses that leave the neurons of each population and the channels, in their order."""
    leaving = np.bincount(program.row_source, program.row_size, program.source_row.size - 1).astype(
        np.int64
    )
    found = {p.name: leaving[program.neurons_of(p.name)].tolist() for p in program.populations}
    return found | {"": leaving[program.n_neurons :].tolist()}
