"""What is loaded onto a chip, as flat integer arrays.

Neurons are numbered core by core. Sources are neurons first, then input channels. A source owns
*rows*: the synapses that one spike of it reaches on one core, in one weight format and with one
delay. Rows whose synapses share a packet with the row before (same core, same format) are marked.
"""

import hashlib
import json
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emulator.chip import Chip
from emulator.errors import ProgramError
from emulator.neuron import DENSE, REPEAT, SPARSE
from emulator.program_check import problems_of

Array = NDArray[Any]


def _none() -> Array:
    return np.empty(0, np.int64)


@dataclass(frozen=True, kw_only=True)
class ProgramPopulation:
    """How to read a population's neurons back.

    Attributes
    ----------
    name, shape
    spiking, output : bool
    lag : int
        Ticks by which it trails the input.
    scale : float
        Integer membrane units for one float unit.
    """

    name: str
    shape: tuple[int, ...]
    spiking: bool
    output: bool
    lag: int
    scale: float

    @property
    def size(self) -> int:
        """Number of neurons."""
        return prod(self.shape)


@dataclass(frozen=True, kw_only=True, eq=False)
class Program:
    """Neuron constants, synapse memory and routes of all cores.

    Attributes
    ----------
    chip : str
        Name of the chip it was made for.
    dt_s : float
    populations : tuple of ProgramPopulation
    inputs : tuple of (name, n_channels)
        Channels are numbered input by input.
    core : int32 [n_cores]
        Place of each used core on the chip.
    core_start : int64 [n_cores + 1]
        Core ``c`` holds the neurons ``core_start[c]:core_start[c + 1]``.
    population, index : int32 [n]
        Which neuron of which population each is.
    compartments : int32 [n]
    keep_current : int64 or float64 [n] or [n_currents, n]
        What is left of 2**decay_bits after a tick; a shift where the chip decays by shifts; the
        factor itself where decays are float.
    keep_membrane, bias, threshold, initial_current, initial_membrane : int64 or float64 [n]
    sum_shift : int8 [n] or [n_sums, n]
        Of summed weights, before the chip's own shift of all input; to the right, rounding down,
        where negative. Several sums where sums are shifted apart.
    reset : uint8 [n]
        Index into `emulator.neuron.RESETS`.
    reset_to, membrane_min, membrane_max, refractory, reset_every, reset_phase, lower, lower_to,\
    lower_reset, spikes_max, alias : int64 [n] or empty
        Those of the membrane (`reset_to`, its limits, `lower`, `lower_to`) may be float64 where the
        membrane is. Where not empty: the membrane after a reset to zero; its least and most; ticks of rest
        after a spike, the one of the spike included; every so many ticks u and v start from 0, in
        the ticks with that remainder; the lower threshold, the membrane after it, and which
        reset it takes (a code of `emulator.neuron.RESETS`: zero, subtract or stay); most spikes
        a tick; the neuron (or -1) that gets the same spikes.
    source_row : int64 [n_sources + 1]
        Source ``s`` owns the rows ``source_row[s]:source_row[s + 1]``.
    row_weight : int64 [n_rows]
        Where the row's weights begin; ``row_size`` of them follow.
    row_target : int64 [n_rows]
        Dense rows: first neuron. Sparse rows: where the row begins in ``target``.
    row_size : int32 [n_rows]
    row_core : int32 [n_rows]
        Index of the core it lies on.
    row_dense, row_packet : bool [n_rows]
    row_shift, row_delay : uint8, int16 [n_rows]
    row_group, row_payload : uint8 [n_rows]
        Which sum, or which current, it adds to; index into `emulator.neuron.PAYLOADS`.
    row_kind : uint8 [n_rows], optional
        Kind of its synapses, an index into `emulator.neuron.KINDS`; dense or sparse, as the
        row is, where nothing is said.
    row_axon : int64 [n_rows] or empty
        Binary axon that the spike travels on; several spikes on it in one tick are one.
    weight : int8, int16, int32 or float64 [n_weights]
    target : uint16 [n_targets]
        Neuron within its core.
    channel_core : int32 [n_channels] or empty
        Index of the core that each input channel sends its packets from, as if it were a neuron
        there; -1, and all where it is empty, from outside of the mesh.
    """

    chip: str
    dt_s: float
    populations: tuple[ProgramPopulation, ...]
    inputs: tuple[tuple[str, int], ...]
    core: Array
    core_start: Array
    population: Array
    index: Array
    compartments: Array
    keep_current: Array
    keep_membrane: Array
    bias: Array
    threshold: Array
    initial_current: Array
    initial_membrane: Array
    sum_shift: Array
    reset: Array
    source_row: Array
    row_weight: Array
    row_target: Array
    row_size: Array
    row_core: Array
    row_dense: Array
    row_packet: Array
    row_shift: Array
    row_delay: Array
    weight: Array
    target: Array
    row_group: Array = field(default_factory=_none)
    row_payload: Array = field(default_factory=_none)
    row_kind: Array = field(default_factory=_none)
    row_axon: Array = field(default_factory=_none)
    reset_to: Array = field(default_factory=_none)
    membrane_min: Array = field(default_factory=_none)
    membrane_max: Array = field(default_factory=_none)
    refractory: Array = field(default_factory=_none)
    reset_every: Array = field(default_factory=_none)
    reset_phase: Array = field(default_factory=_none)
    lower: Array = field(default_factory=_none)
    lower_to: Array = field(default_factory=_none)
    lower_reset: Array = field(default_factory=_none)
    spikes_max: Array = field(default_factory=_none)
    alias: Array = field(default_factory=_none)
    channel_core: Array = field(default_factory=_none)

    def __post_init__(self) -> None:
        for name in ("row_group", "row_payload"):
            if not np.size(getattr(self, name)):
                object.__setattr__(self, name, np.zeros(np.size(self.row_size), np.uint8))
        if not np.size(self.row_kind):
            object.__setattr__(self, "row_kind", np.where(self.row_dense, DENSE, SPARSE))
        for name, dtype in COLUMNS.items():
            array = np.asarray(getattr(self, name))
            if name in _TWO_AXES and array.ndim == 1:
                array = array[None]
            if not (name in _FLOATS and array.dtype.kind == "f"):
                array = _exact(name, array, dtype)
            if name == "weight":
                array = _narrowest(array)
            array = np.ascontiguousarray(array)
            if array.flags.writeable:
                array = array.copy()
                array.setflags(write=False)
            object.__setattr__(self, name, array)

    @property
    def n_neurons(self) -> int:
        """Neurons on all cores."""
        return int(self.core_start[-1])

    @property
    def n_cores(self) -> int:
        """Cores in use."""
        return int(self.core.size)

    @property
    def n_currents(self) -> int:
        """Synaptic currents of each neuron."""
        return int(self.keep_current.shape[0])

    @property
    def n_sums(self) -> int:
        """Sums of weights that are shifted apart before they add up."""
        return int(self.sum_shift.shape[0])

    @property
    def several_a_tick(self) -> bool:
        """Whether any neuron can fire several spikes in a tick."""
        return bool(np.any(self.reset == REPEAT)) or self.alias.size > 0

    @property
    def n_channels(self) -> int:
        """Input channels."""
        return sum(n for _, n in self.inputs)

    @property
    def neuron_core(self) -> Array:
        """int64 [n]: index of the core of each neuron."""
        return np.repeat(np.arange(self.n_cores), np.diff(self.core_start))

    @property
    def row_source(self) -> Array:
        """int64 [n_rows]: source of each row."""
        return np.repeat(np.arange(self.source_row.size - 1), np.diff(self.source_row))

    @property
    def source_core(self) -> Array:
        """int64 [n_sources]: index of the core that each source sends from; -1 from outside."""
        channels = self.channel_core if self.channel_core.size else np.full(self.n_channels, -1)
        return np.concatenate([self.neuron_core, channels])

    def first_channel(self, name: str) -> int:
        """Number of an input's first channel."""
        first = 0
        for other, size in self.inputs:
            if other == name:
                return first
            first += size
        raise KeyError(f"no input {name!r}; there are {[n for n, _ in self.inputs]}")

    def neurons_of(self, name: str) -> Array:
        """int64 [n]: machine number of each neuron of a population, in the population's order."""
        names = [p.name for p in self.populations]
        if name not in names:
            raise KeyError(f"no population {name!r}; there are {names}")
        number = names.index(name)
        mine = np.flatnonzero(self.population == number)
        placed: Array = np.empty(mine.size, np.int64)
        placed[self.index[mine]] = mine
        return placed

    @property
    def sha256(self) -> str:
        """Hash of everything that is loaded."""
        digest = hashlib.sha256(json.dumps(self.header(), sort_keys=True).encode())
        for name in COLUMNS:
            array = getattr(self, name)
            digest.update(f"{name} {array.dtype.str} {array.shape}".encode())
            digest.update(array.tobytes())
        return digest.hexdigest()

    def header(self) -> dict[str, Any]:
        """Everything that is no column, as plain values."""
        return {
            "format": FORMAT,
            "chip": self.chip,
            "dt_s": self.dt_s,
            "populations": [vars(p) for p in self.populations],
            "inputs": self.inputs,
        }

    def check(self, chip: Chip) -> None:
        """Check every index before compiled code reads it.

        Raises
        ------
        ProgramError
            With every index that leads astray, and with decays, initial states, delays and shifts
            that the machine cannot hold. Weights, biases and thresholds are loaded as they are.
        """
        problems = problems_of(self, chip)
        if problems:
            raise ProgramError("the program cannot be loaded:\n  - " + "\n  - ".join(problems))


FORMAT = "spikefab-program-5"
COLUMNS = {
    "core": np.int32,
    "core_start": np.int64,
    "population": np.int32,
    "index": np.int32,
    "compartments": np.int32,
    "keep_current": np.int64,
    "keep_membrane": np.int64,
    "bias": np.int64,
    "threshold": np.int64,
    "initial_current": np.int64,
    "initial_membrane": np.int64,
    "sum_shift": np.int8,
    "reset": np.uint8,
    "reset_to": np.int64,
    "membrane_min": np.int64,
    "membrane_max": np.int64,
    "refractory": np.int64,
    "reset_every": np.int64,
    "reset_phase": np.int64,
    "lower": np.int64,
    "lower_to": np.int64,
    "lower_reset": np.uint8,
    "spikes_max": np.int64,
    "alias": np.int64,
    "source_row": np.int64,
    "row_weight": np.int64,
    "row_target": np.int64,
    "row_size": np.int32,
    "row_core": np.int32,
    "row_dense": np.bool_,
    "row_packet": np.bool_,
    "row_shift": np.uint8,
    "row_delay": np.int16,
    "row_group": np.uint8,
    "row_payload": np.uint8,
    "row_kind": np.uint8,
    "row_axon": np.int64,
    "weight": np.int64,
    "target": np.uint16,
    "channel_core": np.int32,
}
_FLOATS = frozenset(
    {"keep_current", "keep_membrane", "bias", "threshold", "initial_current", "initial_membrane",
     "weight", "reset_to", "membrane_min", "membrane_max", "lower", "lower_to"}
)  # fmt: skip
_TWO_AXES = ("keep_current", "sum_shift", "initial_current")


def _exact(name: str, array: Array, dtype: type) -> Array:
    """Change the type of an array, but none of its values."""
    same: Array = array.astype(dtype, copy=False)
    if same is not array and not np.array_equal(same, array):
        bad = int(np.count_nonzero(same != array))
        raise ProgramError(f"{bad} of {array.size} values of {name} do not fit {np.dtype(dtype)}")
    return same


def _narrowest(weight: Array) -> Array:
    """Store weights as narrow as they are: they are most of what a run reads."""
    for dtype in (np.int8, np.int16, np.int32):
        info = np.iinfo(dtype)
        if (
            weight.dtype.kind == "i"
            and info.min <= weight.min(initial=0) <= weight.max(initial=0) <= info.max
        ):
            narrow: Array = weight.astype(dtype, copy=False)
            return narrow
    return weight
