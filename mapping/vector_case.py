"""One vector file in memory: a small network in integers, its input, and what must come out."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import h5py
from numpy.typing import NDArray

from emulator.chip import Chip
from emulator.program import Program
from emulator.stimulus import Stimulus

Array = NDArray[Any]


class VectorError(ValueError):
    """A vector file is broken or of a kind that is not known."""


class Mismatch(NamedTuple):
    """The first value that differs."""

    step: int
    population: str
    neuron: int
    variable: str
    expected: float
    got: float


@dataclass(frozen=True, kw_only=True, eq=False)
class Vector:
    """A loaded case.

    Attributes
    ----------
    expected : mapping of (population, variable) to array [n_steps, n]
        ``u`` (or ``i_syn``, ``i_syn2``), ``v`` and ``spikes``.
    weights_differ : Mismatch or None
        The first weight that the model's rule makes other than the file says.
    """

    name: str
    chip: Chip
    program: Program
    stimulus: Stimulus
    n_steps: int
    expected: Mapping[tuple[str, str], Array]
    weights_differ: Mismatch | None = None


class Case:
    """The parts of a file as they are stored."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with h5py.File(path, "r") as file:
            self._read(file)

    def _read(self, file: Any) -> None:
        self.root = dict(file.attrs)
        self.populations = {name: _values(item) for name, item in file["pop"].items()}
        self.projections = [
            _values(file["proj"][key]) for key in sorted(file.get("proj", {}), key=int)
        ]
        self.inputs = {name: item["spikes"][()] for name, item in file.get("input", {}).items()}
        self.expected = {
            (name, variable): data[()]
            for name, item in file["expected"].items()
            for variable, data in item.items()
            if variable != "hibernation"
        }
        self.n_steps = int(self.root["n_steps"])

    def size(self, name: str) -> int:
        """Neurons of a population or channels of an input."""
        if name in self.populations:
            return int(self.populations[name]["n"])
        return int(self.inputs[name].shape[1])


def _values(group: Any) -> dict[str, Any]:
    return dict(group.attrs) | {name: data[()] for name, data in group.items()}
