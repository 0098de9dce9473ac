"""Run a mix of two sides: `mapping.reference` with the rules of a chip wherever they are switched on.

Populations, ways and the order of delivery are those of the float reference, so that a mix without
any effect adds up the same numbers in the same order; a mix with all effects of a chip gives the
spikes of that chip, whatever its placement.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emulator.arithmetic import hashed
from mapping.effects.machine import Machine, Part, Way
from mapping.effects.registers import Registers
from mapping.effects.sides import Side
from mapping.effects.step import add_each, decay_first, step
from mapping.reference import deliver

Array = NDArray[Any]
Handed = Callable[[str], Iterator[tuple[int, Array]]]

STATES = ("arrived", "u", "reached", "v")
"""What can be kept of neurons at each tick: what arrived, the current as it was used, the membrane
before and after the reset; all in network units."""


@dataclass(frozen=True, kw_only=True, eq=False)
class MixedRun:
    """One sample.

    Attributes
    ----------
    n_ticks : int
    spikes : mapping of population to (ticks, neurons, times)
        int64, sorted by tick, then neuron.
    states : mapping of (population, state) to float64 [n_ticks, n_recorded]
        Those of `STATES`, of what was asked for; else ``v`` of outputs that never spike.
    spilled : mapping of population to int64 [4]
        Values that left their register: input, current, drive, membrane.
    handed_cut : int
        Currents of the host that were cut to the bias format.
    """

    n_ticks: int
    spikes: Mapping[str, tuple[Array, Array, Array]]
    states: Mapping[tuple[str, str], Array]
    spilled: Mapping[str, Array]
    handed_cut: int


def run_machine(
    machine: Machine,
    spikes: Mapping[str, Array],
    handed: Handed,
    *,
    n_ticks: int,
    sample: int = 0,
    record: Mapping[str, Any] | None = None,
) -> MixedRun:
    """Run one sample from its initial state.

    Parameters
    ----------
    spikes : mapping of input to int array [n_input_ticks, n_channels]
        Spikes of each channel; for inputs that are not handed over as currents.
    handed : callable
        For a population, the currents of the host: (tick, float64 [n]) whenever they change, in
        network units.
    sample : int
        Number of the sample in its run, which stochastic rounding depends on.
    record : mapping of population to int array or slice, optional
        Neurons of which all of `STATES` are kept.
    """
    side, wanted = machine.side, record or {}
    seed = int(hashed(side.seed, sample, 0, 0))
    cells = {name: _Cells(part, machine, seed) for name, part in machine.parts.items()}
    frames = _frames(side, cells, wanted, n_ticks)
    for name, cell in cells.items():
        cell.hand(handed(name))
    for tick in range(n_ticks):
        for name, counts in spikes.items():
            if tick < len(counts):
                sources = np.flatnonzero(counts[tick])
                _send(machine, name, tick, sources, counts[tick][sources], cells)
        for name, cell in cells.items():
            fired, times = cell.advance(tick)
            for state in STATES:
                if (name, state) in frames:
                    cell.show(state, wanted.get(name, slice(None)), frames[name, state][tick])
            _send(machine, name, tick, fired, times, cells)
    return MixedRun(
        n_ticks=n_ticks,
        spikes={p.name: cells[p.name].spikes() for p in side.network.populations if p.spiking},
        states=frames,
        spilled={name: cell.registers.spilled for name, cell in cells.items()},
        handed_cut=sum(cell.n_cut for cell in cells.values()),
    )


def _frames(
    side: Side, cells: Mapping[str, "_Cells"], wanted: Mapping[str, Any], n_ticks: int
) -> dict[tuple[str, str], Array]:
    found: dict[tuple[str, str], Array] = {}
    for part in side.network.populations:
        if part.name in wanted:
            width = cells[part.name].registers.used[wanted[part.name]].size
            found |= {(part.name, state): np.empty((n_ticks, width)) for state in STATES}
        elif part.name in side.network.outputs and not part.spiking:
            found[part.name, "v"] = np.empty((n_ticks, part.size))
    return found


def _send(
    machine: Machine, name: str, tick: int, sources: Array, times: Array,
    cells: Mapping[str, "_Cells"],
) -> None:  # fmt: skip
    if sources.size:
        for way in machine.ways[name]:
            cells[way.target].take(way, tick + way.late, sources, times, machine.ranks[name])


class _Cells:
    """State of one population during a run."""

    def __init__(self, part: Part, machine: Machine, seed: int) -> None:
        cells, n = part.cells, part.cells.size
        self.name, self.size = cells.name, n
        self._part, self._seed = part, seed
        start, membrane = cells.initial_current, cells.initial_membrane
        if cells.order == "add-use-decay":
            start = start * cells.current_decay.keep
        self.registers = Registers(
            current=_entered(start, cells.current.scale),
            membrane=_entered(membrane, cells.membrane.scale),
            used=np.zeros(n), reached=np.zeros(n), above=np.zeros(n, np.bool_),
            resting=np.zeros(n, np.int64), spilled=np.zeros(4, np.int64),
        )  # fmt: skip
        leaving = [way for ways in machine.ways.values() for way in ways]
        longest = max((way.late for way in leaving if way.target == self.name), default=0)
        # A ring: input for tick t waits in row t modulo its length and is cleared when used.
        self._arriving = np.zeros((longest + 1, n))
        self._arrived = np.zeros(n)
        self._waiting: dict[int, list[tuple[int, int, Way, Array, Array]]] = {}
        self._fired, self._times = np.empty(n, np.int64), np.empty(n, np.int64)
        self._push = np.array(cells.bias, np.float64)
        self._handed: Iterator[tuple[int, Array]] = iter(())
        self._next: tuple[int, Array] | None = None
        self._listed: list[tuple[Array, Array, Array]] = []
        self.n_cut = 0

    def hand(self, currents: Iterator[tuple[int, Array]]) -> None:
        """Take what the host will hand over."""
        self._handed = currents
        self._next = next(self._handed, None)

    def take(self, way: Way, tick: int, sources: Array, times: Array, rank: int) -> None:
        """Take spikes that act at a tick."""
        if self._part.rules.each:
            self._waiting.setdefault(tick, []).append((rank, way.projection, way, sources, times))
            return
        row = self._arriving[tick % len(self._arriving)]
        deliver(sources, times.astype(np.float64), way.weights, row)

    def advance(self, tick: int) -> tuple[Array, Array]:
        """Update all neurons; return who fired, and how often."""
        part = self._part
        self._change(tick)
        arrived = self._arriving[tick % len(self._arriving)]
        self._arrived[:] = arrived
        if part.rules.each:
            self._add_each(tick)
        n_fired = step(
            part.columns, part.rules, arrived, self._push, self.registers, tick, self._seed,
            self._fired, self._times,
        )  # fmt: skip
        fired, times = self._fired[:n_fired].copy(), self._times[:n_fired].copy()
        if n_fired:
            self._listed.append((np.full(n_fired, tick, np.int64), fired, times))
        return fired, times

    def show(self, state: str, neurons: Any, into: Array) -> None:
        """Copy a state of some neurons, in network units."""
        registers, unit = self.registers, self._part.rules.membrane_scale or 1.0
        if state == "arrived":
            into[:] = self._arrived[neurons]
        elif state == "u":
            into[:] = registers.used[neurons]
        else:
            values = registers.reached if state == "reached" else registers.membrane
            into[:] = values[neurons] / unit

    def _change(self, tick: int) -> None:
        """Let the host change currents."""
        cells = self._part.cells
        while self._next is not None and self._next[0] == tick:
            current = self._next[1]
            if cells.handing is not None:
                current, n_cut = cells.handing.handed(current)
                self.n_cut += n_cut
            self._push = cells.bias + current
            self._next = next(self._handed, None)

    def _add_each(self, tick: int) -> None:
        part = self._part
        if part.cells.order == "decay-add-use":
            decay_first(part.columns, part.rules, self.registers, tick, self._seed)
        waiting = self._waiting.pop(tick, [])
        for _, _, way, sources, times in sorted(waiting, key=lambda item: item[:2]):
            for source, count in zip(sources.tolist(), times.tolist(), strict=True):
                targets, weights = way.weights.of(source)
                add_each(targets, weights, count, part.rules, self.registers)
                # For show alone: what arrives has entered the current already.
                np.add.at(self._arrived, targets, weights * count)

    def spikes(self) -> tuple[Array, Array, Array]:
        """All spikes so far."""
        if not self._listed:
            return np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.int64)
        ticks, fired, times = zip(*self._listed, strict=True)
        return np.concatenate(ticks), np.concatenate(fired), np.concatenate(times)


def _entered(values: Array, scale: float) -> Array:
    found: Array = np.rint(values * scale) if scale > 0 else np.array(values, np.float64)
    return found
