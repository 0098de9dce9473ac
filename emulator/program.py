"""What is loaded onto a chip, as flat integer arrays.

Neurons are numbered core by core. Sources are neurons first, then input channels. A source owns
*rows*: the synapses that one spike of it reaches on one core, in one weight format and with one
delay. Rows whose synapses share a packet with the row before (same core, same format) are marked.
"""

import hashlib
import json
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emulator.chip import Chip
from emulator.errors import ProgramError

Array = NDArray[Any]

RESETS = ("none", "zero", "subtract", "subtract-once")
"""Codes of the reset rules in `Program.reset`; ``none`` marks neurons that never spike."""


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
    keep_current, keep_membrane, bias, threshold, initial_current, initial_membrane : int32 [n]
    input_shift : uint8 [n]
    reset : uint8 [n]
        Index into `RESETS`.
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
    weight : int8 [n_weights]
    target : uint16 [n_targets]
        Neuron within its core.
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
    input_shift: Array
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

    def __post_init__(self) -> None:
        for name, dtype in _DTYPES.items():
            array: Array = np.ascontiguousarray(getattr(self, name), dtype=dtype)
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
    def n_channels(self) -> int:
        """Input channels."""
        return sum(n for _, n in self.inputs)

    @property
    def neuron_core(self) -> Array:
        """int64 [n]: index of the core of each neuron."""
        return np.repeat(np.arange(self.n_cores), np.diff(self.core_start))

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
        number = [p.name for p in self.populations].index(name)
        mine = np.flatnonzero(self.population == number)
        placed: Array = np.empty(mine.size, np.int64)
        placed[self.index[mine]] = mine
        return placed

    @property
    def sha256(self) -> str:
        """Hash of everything that is loaded."""
        digest = hashlib.sha256(json.dumps(self._header(), sort_keys=True).encode())
        for name in _DTYPES:
            digest.update(name.encode())
            digest.update(getattr(self, name).tobytes())
        return digest.hexdigest()

    def _header(self) -> dict[str, Any]:
        return {
            "format": _FORMAT,
            "chip": self.chip,
            "dt_s": self.dt_s,
            "populations": [vars(p) for p in self.populations],
            "inputs": self.inputs,
        }

    def save(self, path: str | Path) -> None:
        """Write to an ``.npz`` file."""
        arrays = {name: getattr(self, name) for name in _DTYPES}
        with Path(path).open("wb") as file:
            np.savez_compressed(file, header=np.array(json.dumps(self._header())), **arrays)

    @staticmethod
    def load(path: str | Path) -> "Program":
        """Read what `save` wrote.

        Raises
        ------
        ProgramError
            If the file is none of these or is damaged.
        """
        try:
            with np.load(path, allow_pickle=False) as file:
                header = json.loads(str(file["header"]))
                arrays = {name: file[name] for name in _DTYPES}
            if header.pop("format") != _FORMAT:
                raise ProgramError(f"{path}: another format than {_FORMAT}")
            header["populations"] = tuple(
                ProgramPopulation(**{**plain, "shape": tuple(plain["shape"])})
                for plain in header["populations"]
            )
            header["inputs"] = tuple((name, int(size)) for name, size in header["inputs"])
            return Program(**header, **arrays)
        except FileNotFoundError:
            raise
        except (OSError, KeyError, TypeError, ValueError, EOFError) as error:
            if isinstance(error, ProgramError):
                raise
            raise ProgramError(f"{path}: not a program saved by spikefab ({error})") from error

    def check(self, chip: Chip) -> None:
        """Check every index before compiled code reads it.

        Raises
        ------
        ProgramError
            With all contradictions, and with all constants outside the chip's registers.
        """
        problems = [*_broken_indices(self), *_outside_registers(self, chip)]
        if problems:
            raise ProgramError("the program cannot be loaded:\n  - " + "\n  - ".join(problems))


_FORMAT = "spikefab-program-1"
_DTYPES = {
    "core": np.int32,
    "core_start": np.int64,
    "population": np.int32,
    "index": np.int32,
    "compartments": np.int32,
    "keep_current": np.int32,
    "keep_membrane": np.int32,
    "bias": np.int32,
    "threshold": np.int32,
    "initial_current": np.int32,
    "initial_membrane": np.int32,
    "input_shift": np.uint8,
    "reset": np.uint8,
    "source_row": np.int64,
    "row_weight": np.int64,
    "row_target": np.int64,
    "row_size": np.int32,
    "row_core": np.int32,
    "row_dense": np.bool_,
    "row_packet": np.bool_,
    "row_shift": np.uint8,
    "row_delay": np.int16,
    "weight": np.int8,
    "target": np.uint16,
}


def _broken_indices(program: Program) -> list[str]:
    n, n_rows = program.n_neurons, program.row_size.size
    problems = []
    for name in _DTYPES:
        size = getattr(program, name).size
        want = _wanted_size(name, program, n, n_rows)
        if want is not None and size != want:
            problems.append(f"{name} has {size} entries, but needs {want}")
    if problems:
        return problems
    for name, stop in (("core_start", n), ("source_row", n_rows)):
        offsets = getattr(program, name)
        if offsets[0] != 0 or offsets[-1] != stop or np.any(np.diff(offsets) < 0):
            problems.append(f"{name} must ascend from 0 to {stop}")
    if n_rows and not problems:
        problems += _broken_rows(program)
    return [*problems, *_broken_owners(program)]


def _broken_owners(program: Program) -> list[str]:
    """Check that the neurons of each population are all there, once."""
    if program.population.size and not (
        0 <= program.population.min() <= program.population.max() < len(program.populations)
    ):
        return [
            f"a neuron is of population {program.population.max()}, but there are "
            f"{len(program.populations)}"
        ]
    problems = []
    for number, part in enumerate(program.populations):
        index = program.index[program.population == number]
        if index.size and not 0 <= index.min() <= index.max() < part.size:
            problems.append(
                f"{part.name!r}: neurons {index.min()}..{index.max()} are loaded, but it has "
                f"{part.size}"
            )
            continue
        times = np.bincount(index, minlength=part.size)
        if np.any(times > 1):
            problems.append(
                f"{np.count_nonzero(times > 1)} neurons of {part.name!r} are loaded more than once"
            )
        if np.any(times == 0):
            problems.append(f"{np.count_nonzero(times == 0)} neurons of {part.name!r} are missing")
    return problems


def _wanted_size(name: str, program: Program, n: int, n_rows: int) -> int | None:
    if name in ("weight", "target", "core"):
        return None
    if name == "core_start":
        return program.n_cores + 1
    if name == "source_row":
        return n + program.n_channels + 1
    return n_rows if name.startswith("row_") else n


def _broken_rows(program: Program) -> list[str]:
    size, core = program.row_size.astype(np.int64), program.row_core
    if core.min() < 0 or core.max() >= program.n_cores or size.min() < 0:
        return ["row_core or row_size lies outside the cores in use"]
    start, stop = program.core_start[core], program.core_start[core + 1]
    problems = []
    if program.row_weight.min() < 0 or (program.row_weight + size).max() > program.weight.size:
        problems.append("a row reads weights beyond the end of the synapse memory")
    dense, first = program.row_dense, program.row_target
    if np.any(dense & ((first < start) | (first + size > stop))):
        problems.append("a dense row reaches neurons of another core")
    listed = ~dense
    if np.any(listed & ((first < 0) | (first + size > program.target.size))):
        problems.append("a sparse row reads targets beyond the end of the list")
    elif listed.any():
        width = np.repeat((stop - start)[listed], size[listed])
        step = np.repeat(first[listed] - (np.cumsum(size[listed]) - size[listed]), size[listed])
        if np.any(program.target[step + np.arange(step.size)] >= width):
            problems.append("a sparse row reaches a neuron that its core does not hold")
    return problems


def _outside_registers(program: Program, chip: Chip) -> list[str]:
    numbers = chip.numbers
    whole = 2**numbers.decay_bits
    current, membrane = 2 ** (numbers.current_bits - 1), 2 ** (numbers.membrane_bits - 1)
    limits = (
        ("keep_current", 0, whole),
        ("keep_membrane", 0, whole),
        ("initial_current", -current, current - 1),
        ("initial_membrane", -membrane, membrane - 1),
        ("row_delay", 0, chip.limits.delay_max.value),
        ("input_shift", 0, 24),
        ("row_shift", 0, 24),
        ("reset", 0, len(RESETS) - 1),
    )
    problems = []
    for name, low, high in limits:
        values = getattr(program, name)
        n_bad = int(np.count_nonzero((values < low) | (values > high)))
        if n_bad:
            problems.append(
                f"{n_bad} of {values.size} values of {name} are outside {low}..{high} "
                f"({int(values.min())}..{int(values.max())})"
            )
    if np.any((program.core < 0) | (program.core >= chip.n_cores)):
        problems.append(f"a core number is outside the {chip.n_cores} cores of {chip.name}")
    if np.unique(program.core).size != program.core.size:
        problems.append("two cores lie on the same place")
    return problems
