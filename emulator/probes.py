"""What is looked at in a run: membranes and currents of chosen neurons, in chosen ticks.

A probe takes every k-th tick of a window of each sample, or only the ticks around what triggers it:
a spike, a value that left its register, a tick that took too long. `Probing` selects from the
blocks that an engine reports, whatever their length, and holds no more than the ticks that a
trigger may still ask for.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from emulator.block import Block
from emulator.kernels import TALLIED
from emulator.neuron import VARIABLES
from emulator.sweep import SPILLED, SPILLED_RESET

Array = NDArray[Any]

HELD_VALUES_MAX = 1 << 26
"""Values that a triggered probe may hold back: ticks before a trigger times neurons."""
KINDS = ("spike", "overflow", "late")
NOBODY = -1
"""Neuron of what no single neuron triggered."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Trigger:
    """What makes a probe look.

    Attributes
    ----------
    kind : {"spike", "overflow", "late"}
        A spike of one of ``neurons``; a value of one of them, or of any neuron where none are named,
        that left its register; a tick that lasted longer than ``limit_ps``.
    neurons : int64 [n]
        Machine numbers.
    variable : str, optional
        Of an overflow: one of `emulator.neuron.VARIABLES`, any by default. Where spikes saturate one
        by one, currents that they let overflow are seen only if no neurons are named.
    before, after : int
        Ticks around it that are recorded too.
    """

    kind: Literal["spike", "overflow", "late"]
    neurons: Array = field(default_factory=lambda: np.empty(0, np.int64))
    variable: str | None = None
    limit_ps: int = 0
    before: int = 0
    after: int = 0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"a trigger is one of {', '.join(KINDS)}, not {self.kind!r}")
        if self.variable is not None and self.variable not in VARIABLES:
            raise ValueError(f"overflows are of {', '.join(VARIABLES)}, not {self.variable!r}")
        if min(self.before, self.after) < 0:
            raise ValueError(f"ticks around a trigger count from 0, not {self.before}:{self.after}")


@dataclass(frozen=True, kw_only=True, eq=False)
class Probe:
    """Neurons of which a variable is recorded.

    Attributes
    ----------
    variable : {"v", "u"}
        Membrane, or synaptic currents.
    neurons : int64 [n]
        Machine numbers, in the order in which their values are wanted.
    every : int
        Ticks from one frame to the next, counted from the window's first.
    window : (int, int or None)
        First tick of each sample and the one after the last; to the sample's end by default.
    trigger : Trigger, optional
        Without one, all ticks of the window are recorded.
    """

    variable: Literal["v", "u"]
    neurons: Array
    every: int = 1
    window: tuple[int, int | None] = (0, None)
    trigger: Trigger | None = None

    def __post_init__(self) -> None:
        if self.variable not in ("v", "u"):
            raise ValueError(f"a probe records v or u, not {self.variable!r}")
        if self.every < 1:
            raise ValueError(f"every {self.every} ticks: must be at least 1")
        start, stop = self.window
        if start < 0 or (stop is not None and stop <= start):
            raise ValueError(f"the window {start}:{stop} holds no tick")
        held = self.neurons.size * (self.trigger.before if self.trigger is not None else 0)
        if held > HELD_VALUES_MAX:
            raise ValueError(
                f"{self.trigger and self.trigger.before:,} ticks before a trigger of "
                f"{self.neurons.size:,} neurons are {held:,} values to hold back, but at most "
                f"{HELD_VALUES_MAX:,} are; record fewer neurons or ticks"
            )


class Frames(NamedTuple):
    """What a probe recorded of a sample.

    ``ticks`` int64 [n_frames], ``values`` [n_frames, n], of currents [n_frames, n_currents, n].
    """

    sample: int
    ticks: Array
    values: Array


class Fired(NamedTuple):
    """Triggers that fired in a block: their ``ticks``, and which ``neuron`` each, or `NOBODY`."""

    sample: int
    ticks: Array
    neuron: Array


class Probing:
    """Several probes on one engine.

    Parameters
    ----------
    probes : sequence of Probe
    n_neurons : int
        Of the program.

    Attributes
    ----------
    watched : mapping of name to int64 array
        What `emulator.engine.Engine` takes to see everything that the probes want.
    """

    def __init__(self, probes: Sequence[Probe], n_neurons: int) -> None:
        self._probes = tuple(probes)
        alert = [p.trigger.neurons for p in probes if p.trigger and p.trigger.kind == "overflow"]
        self.watched = {
            "watched": _joint([p.neurons for p in probes if p.variable == "v"]),
            "watched_currents": _joint([p.neurons for p in probes if p.variable == "u"]),
            "watched_overflows": _joint(alert),
        }
        names = {"v": "watched", "u": "watched_currents"}
        self._columns = [
            np.searchsorted(self.watched[names[p.variable]], p.neurons) for p in probes
        ]
        self._triggers = [
            None if p.trigger is None else _Firing(p.trigger, self.watched, n_neurons)
            for p in probes
        ]
        self._around = [_Around(p) for p in probes]

    def take(self, block: Block) -> tuple[list[Frames], list[Fired]]:
        """Select from the block that comes next.

        Returns
        -------
        (list of Frames, list of Fired)
            One of each for every probe, in their order; a frame comes once, ticks ascend.
        """
        frames, fired = [], []
        for probe, columns, firing, around in zip(
            self._probes, self._columns, self._triggers, self._around, strict=True
        ):
            values = block.frames if probe.variable == "v" else block.currents
            happened = _nothing(block) if firing is None else firing.of(block)
            fired.append(happened)
            frames.append(around.take(block, values, columns, happened.ticks))
        return frames, fired


def _joint(lists: list[Array]) -> Array:
    return np.unique(np.concatenate([np.empty(0, np.int64), *lists]))


def _nothing(block: Block) -> Fired:
    none = np.empty(0, np.int64)
    return Fired(block.sample, none, none)


class _Firing:
    """One trigger: when it fires."""

    def __init__(self, trigger: Trigger, watched: dict[str, Array], n_neurons: int) -> None:
        self._trigger = trigger
        self._is_meant = np.zeros(n_neurons, np.bool_)
        self._is_meant[trigger.neurons] = True
        self._columns = np.searchsorted(watched["watched_overflows"], trigger.neurons)
        wanted = VARIABLES if trigger.variable is None else (trigger.variable,)
        self._tallied = [TALLIED.index(f"{name}_overflows") for name in wanted]
        self._bits = sum(SPILLED[VARIABLES.index(name)] for name in wanted)
        if "membrane" in wanted:
            self._bits |= SPILLED_RESET

    def of(self, block: Block) -> Fired:
        """List when it fired in a block, and by whom."""
        trigger, first = self._trigger, block.first_tick
        if trigger.kind == "spike":
            mine = self._is_meant[block.spike_neuron]
            return Fired(block.sample, block.spike_tick[mine], block.spike_neuron[mine])
        if trigger.kind == "overflow" and trigger.neurons.size:
            tick, which = np.nonzero(block.spilled[:, self._columns] & self._bits)
            return Fired(block.sample, first + tick, trigger.neurons[which])
        if trigger.kind == "overflow":
            seen = np.diff(block.counted.tally[:, self._tallied].sum(axis=1)) > 0
        else:
            seen = block.tick_ps > trigger.limit_ps
        tick = np.flatnonzero(seen)
        return Fired(block.sample, first + tick, np.full(tick.size, NOBODY))


class _Around:
    """Frames of one probe: those that are wanted, and those that may be wanted yet."""

    def __init__(self, probe: Probe) -> None:
        self._probe = probe
        self._sample, self._fired_last = NOBODY, -(1 << 62)
        self._held_ticks: Array = np.empty(0, np.int64)
        self._held: Array | None = None

    def take(self, block: Block, values: Array, columns: Array, fired: Array) -> Frames:
        """Select from a block in which a trigger ``fired``, in ascending ticks."""
        if block.sample != self._sample:
            self._sample, self._fired_last = block.sample, -(1 << 62)
            self._held_ticks, self._held = np.empty(0, np.int64), None
        ticks = self._in_window(block.first_tick, len(values))
        rows = values[ticks - block.first_tick][..., columns]
        trigger = self._probe.trigger
        if trigger is None:
            return Frames(block.sample, ticks, rows)
        if self._held is not None:
            ticks = np.concatenate([self._held_ticks, ticks])
            rows = np.concatenate([self._held, rows])
        wanted = self._wanted(ticks, np.concatenate([[self._fired_last], fired]))
        if fired.size:
            self._fired_last = int(fired[-1])
        # What was not wanted may be, by a trigger to come.
        held = ~wanted & (ticks >= block.first_tick + len(values) - trigger.before)
        self._held_ticks, self._held = ticks[held], rows[held]
        return Frames(block.sample, ticks[wanted], rows[wanted])

    def _in_window(self, first: int, n_ticks: int) -> Array:
        start, stop = self._probe.window
        begin = max(first, start)
        begin += -(begin - start) % self._probe.every
        end = first + n_ticks if stop is None else min(first + n_ticks, stop)
        return np.arange(begin, max(end, begin), self._probe.every)

    def _wanted(self, ticks: Array, fired: Array) -> Array:
        trigger = self._probe.trigger
        assert trigger is not None
        following = np.searchsorted(fired, ticks)  # the first trigger at the tick or behind it
        never = np.append(fired, 1 << 62)
        soon = never[following] - ticks <= trigger.before
        passed = np.searchsorted(fired, ticks, "right") - 1
        recent = (passed >= 0) & (ticks - fired[np.maximum(passed, 0)] <= trigger.after)
        return np.asarray(soon | recent)
