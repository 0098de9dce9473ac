"""A program as the kernels want it: derived once, shared by all samples and threads."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emulator import neuron
from emulator.activity import CoreCosts, Places
from emulator.chip import Chip
from emulator.delivery import Synapses
from emulator.fanout import Fanout, fanout_of
from emulator.neuron import Neurons
from emulator.program import Program
from emulator.sweep import BLOCK, Pieces
from emulator.synapses import global_targets, synapses_of
from emulator.traffic import Packets, packets_of, packets_sent
from emulator.width import heaviest_load, largest_burst, narrow_limits

Array = NDArray[Any]

_CONSTANTS = (
    "keep_current", "keep_membrane", "sum_shift", "threshold", "reset", "reset_to", "membrane_min",
    "membrane_max", "refractory", "reset_every", "reset_phase", "lower", "lower_to", "lower_reset",
    "spikes_max",
)  # fmt: skip
_NEURONS_A_PIECE = 32
"""Runs of equal neurons pay off if they are this long on average."""


def sleepless(program: Program, chip: Chip) -> bool:
    """Whether spikes reach neurons past the sums that wake them, so that nobody may sleep."""
    return chip.arithmetic.accumulate == "each" or program.alias.size > 0


@dataclass(frozen=True, kw_only=True, eq=False)
class Loaded:
    """One program on one chip.

    Attributes
    ----------
    packets : Packets
    places : Places
    pieces : Pieces
    alike : bool
        Whether constants are stored for each piece instead of each neuron.
    costs : CoreCosts
    load : float
        Bound of what one neuron is sent in a tick, payloads of inputs apart.
    load_max, injected_max : float
        Up to which registers may be narrow.
    numbers : int64 [n], optional
        What `identity` is instead, where the program is a part of a larger one.
    """

    program: Program
    chip: Chip
    packets: Packets
    places: Places
    pieces: Pieces
    alike: bool
    costs: CoreCosts
    load: float
    load_max: float
    injected_max: float
    numbers: Array | None = None

    @cached_property
    def restless(self) -> Array:
        """Neurons that do something even where everything in them is 0; bool [n]."""
        program = self.program
        spikes = (program.reset != neuron.NEVER) & (program.threshold <= 0)
        if program.lower.size:
            spikes |= program.lower > 0
        if program.membrane_min.size:
            spikes |= (program.membrane_min > 0) | (program.membrane_max < 0)
        return np.asarray(spikes)

    @cached_property
    def begins_awake(self) -> Array:
        """Blocks in which a neuron is not at rest when a sample begins; uint8 [n_blocks]."""
        program = self.program
        awake = self.restless | (program.bias != 0) | (program.initial_membrane != 0)
        awake |= np.any(program.initial_current != 0, axis=0)
        starts = np.arange(0, program.n_neurons, BLOCK)
        begins = np.logical_or.reduceat(awake, starts) if starts.size else awake
        return np.asarray(begins | sleepless(program, self.chip), np.uint8)

    @cached_property
    def identity(self) -> Array:
        """Number of each neuron by population and index, wherever it lies; int64 [n]."""
        if self.numbers is not None:
            return self.numbers
        program = self.program
        starts = np.cumsum([0, *(p.size for p in program.populations)])
        return np.asarray(starts[program.population] + program.index, np.int64)

    @cached_property
    def fanout(self) -> Fanout:
        """What a spike of each source adds to the counters."""
        return fanout_of(self.program, self.chip)

    @cached_property
    def targets(self) -> Array | None:
        """Targets of sparse rows, counted from the first neuron of all; None if they are shared."""
        return global_targets(self.program)

    @property
    def n_slots(self) -> int:
        """Ticks that input may be on its way: it acts at the next one plus its delay."""
        return int(self.program.row_delay.max(initial=0)) + 1

    def neurons(self, narrow: bool) -> Neurons:
        """Constants, one for each neuron or piece, in registers of 32 or 64 bits."""
        program = self.program
        at = self.pieces.start[:-1] if self.alike else slice(None)
        columns = {}
        for name in _CONSTANTS:
            column = getattr(program, name)
            column = column[..., at] if column.size else column
            if narrow and column.dtype.kind != "f":
                # A shift by 31 already leaves the sign alone.
                shifts = name.startswith("keep") and self._shifts(name)
                column = np.minimum(column, 31) if shifts else column
                column = column.astype(np.int32) if column.dtype == np.int64 else column
            columns[name] = np.ascontiguousarray(column)
        if program.weight.dtype.kind == "f":
            columns["sum_shift"] = 2.0 ** columns["sum_shift"].astype(np.float64)
        return Neurons(
            **columns,
            restless=np.ascontiguousarray(self.restless[at]),
            bias=program.bias.astype(np.int32) if narrow else program.bias,
            alias=program.alias,
            identity=self.identity,
        )

    def _shifts(self, name: str) -> bool:
        register = name.removeprefix("keep_")
        return bool(getattr(self.chip.arithmetic, f"{register}_decay") == "shift")

    def sleeps(self, threads: Sequence[int]) -> bool:
        """Whether any block of neurons can fall asleep.

        Parameters
        ----------
        threads : sequence of int
            First neuron of each thread.
        """
        program = self.program
        awake = self.restless | (program.bias != 0)
        starts = np.unique(np.concatenate([np.arange(0, program.n_neurons, BLOCK), threads]))
        starts = starts[starts < program.n_neurons]
        return not np.all(np.logical_or.reduceat(awake, starts)) if starts.size else False

    def synapses(self, first_core: int, last_core: int) -> Synapses:
        """Runs of synapses onto some of the cores."""
        return synapses_of(
            self.program, first_core, last_core, self.targets,
            merge=self.chip.arithmetic.accumulate == "sum" and not self.program.row_axon.size,
        )  # fmt: skip


def load(program: Program, chip: Chip, numbers: Array | None = None) -> Loaded:
    """Derive what the kernels want from a program that was checked; see `Loaded`."""
    packets = packets_of(program, chip)
    pieces, alike = _pieces(program, chip)
    load_max, injected_max = narrow_limits(program, chip)
    costs = _costs(packets, chip)
    return Loaded(
        program=program, chip=chip, packets=packets, pieces=pieces, alike=alike, costs=costs,
        places=_places(program, costs),
        load=heaviest_load(program) * largest_burst(program),
        load_max=load_max, injected_max=injected_max, numbers=numbers,
    )  # fmt: skip


def _costs(packets: Packets, chip: Chip) -> CoreCosts:
    timing, none = chip.timing, np.empty(0, np.int64)
    if timing is None:
        return CoreCosts(0, 0, 0, 0, 0, none, none)
    out_ps, repeated_ps, once_ps = timing.axon_out_ps.value, none, none
    if out_ps:
        repeated_ps, once_ps = (out_ps * sent for sent in packets_sent(packets))
    active, inactive = timing.neuron_active_ps.value, timing.neuron_inactive_ps.value
    spike, channel_active, channel_inactive = timing.spike_ps.value, active, inactive
    channel_active += spike
    if timing.channel_active_ps is not None:
        channel_active = timing.channel_active_ps.value
    if timing.channel_inactive_ps is not None:
        channel_inactive = timing.channel_inactive_ps.value
    return CoreCosts(
        active, inactive, spike, channel_active, channel_inactive, repeated_ps, once_ps
    )


def _pieces(program: Program, chip: Chip) -> tuple[Pieces, bool]:
    """Cut where constants change, unless they change all the time."""
    n = program.n_neurons
    differs = np.zeros(n, np.bool_)
    for name in _CONSTANTS:
        column = getattr(program, name)
        if column.size:
            changes = column[..., 1:] != column[..., :-1]
            differs[1:] |= changes.any(axis=0) if changes.ndim == 2 else changes
    differs[:1] = True
    start = np.flatnonzero(differs)
    alike = start.size * _NEURONS_A_PIECE <= n or start.size == 1
    start = start if alike else start[:1]
    first = np.arange(0, n, BLOCK)
    each = chip.arithmetic.accumulate == "each"
    return Pieces(
        start=np.append(start, n),
        of_block=np.searchsorted(start, first, "right") - 1,
        core=program.neuron_core if each else np.empty(0, np.int64),
    ), alike


def _places(program: Program, costs: CoreCosts) -> Places:
    channel_core = program.channel_core.astype(np.int64)
    if not np.any(channel_core >= 0):
        channel_core = np.empty(0, np.int64)
    rank = np.zeros(channel_core.size, np.int64)
    order = np.argsort(channel_core, kind="stable")
    held = channel_core[order]
    rank[order] = np.arange(held.size) - np.searchsorted(held, held)
    n_channels = np.bincount(channel_core[channel_core >= 0], minlength=program.n_cores)
    held_neurons = np.diff(program.core_start)
    blocks = np.arange(0, program.n_neurons, BLOCK)
    return Places(
        core_start=program.core_start,
        block_core=np.searchsorted(program.core_start, blocks, "right") - 1,
        rest_ps=held_neurons * costs.neuron_inactive + n_channels * costs.channel_inactive,
        channel_core=channel_core,
        channel_rank=rank,
    )
