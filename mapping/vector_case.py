"""One vector file in memory: a small network in integers, its input, and what must come out."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
from numpy.typing import NDArray

from emulator.chip import Chip
from emulator.program import Program
from emulator.stimulus import Stimulus

Array = NDArray[Any]


class VectorError(ValueError):
    """A vector file is broken or of a kind that is not known."""


class Mismatch(NamedTuple):
    """The first value that differs; one of the whole chip is of no neuron."""

    step: int
    population: str
    neuron: int | None
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
    """The parts of a file as they are stored, integers in 64 bits whatever the file keeps them in.

    Raises
    ------
    VectorError
        If parts are missing, of other sizes than their populations, or fractions among integers.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with h5py.File(path, "r") as file:
            self._read(file)
        self._check()

    def _read(self, file: Any) -> None:
        self.root = dict(file.attrs)
        self.populations = {name: _values(item) for name, item in file["pop"].items()}
        self.projections = [
            _values(file["proj"][key]) for key in sorted(file.get("proj", {}), key=int)
        ]
        self.inputs = {
            name: _wide(item["spikes"][()]) for name, item in file.get("input", {}).items()
        }
        self.expected = {
            (name, variable): data[()]
            for name, item in file["expected"].items()
            for variable, data in item.items()
            if variable != "hibernation"
        }
        self.n_steps = int(self.root["n_steps"])

    @property
    def in_float(self) -> bool:
        """Whether floats are to be found in it: it was recorded in float, or before rounding."""
        return (
            self.root.get("run_tag") == "floating_pt"
            or self.root.get("discretized_by") == "discretize_model"
        )

    def size(self, name: str) -> int:
        """Neurons of a population or channels of an input."""
        if name in self.populations:
            return int(self.populations[name]["n"])
        return int(self.inputs[name].shape[1])

    def _check(self) -> None:
        self.inputs = {
            name: self._whole(f"input/{name}/spikes", rows) for name, rows in self.inputs.items()
        }
        if not self.in_float:
            for folder, groups in (
                ("pop", self.populations.items()),
                ("proj", enumerate(self.projections)),
            ):
                for name, group in groups:
                    for key, value in group.items():
                        group[key] = self._whole(f"{folder}/{name}/{key}", value)
        for name, rows in self.inputs.items():
            self._of_shape(f"input/{name}/spikes", rows, (self.n_steps, self.size(name)))
        for number, given in enumerate(self.projections):
            shape = (self.size(str(given["dst"])), self.size(str(given["src"])))
            # XyloSim's are [synapse, pre, post].
            by_synapse = given["weights"].ndim == 3
            if by_synapse:
                shape = (given["weights"].shape[0], *reversed(shape))
            for key in ("weights", "weights_effective", "mask", "delays"):
                if key in given:
                    self._of_shape(f"proj/{number}/{key}", given[key], shape)
        for name, given in self.populations.items():
            alias = np.asarray(given.get("alias_target", -1))
            if np.any((alias < -1) | (alias >= self.size(name))):
                raise VectorError(
                    f"{self.path}: pop/{name}/alias_target spans {alias.min()}..{alias.max()}, but "
                    f"the population has neurons 0..{self.size(name) - 1} (-1: none)"
                )
            if not any(expected == name for expected, _ in self.expected):
                raise VectorError(
                    f"{self.path}: expected/{name} is missing or empty, so there is nothing to "
                    "compare with"
                )
        for (name, variable), rows in self.expected.items():
            if name not in self.populations or variable not in VARIABLES:
                raise VectorError(
                    f"{self.path}: expected/{name}/{variable}: known are populations "
                    f"{', '.join(self.populations)} with {', '.join(VARIABLES)}"
                )
            self._of_shape(f"expected/{name}/{variable}", rows, (self.n_steps, self.size(name)))

    def _whole(self, where: str, value: Any) -> Any:
        """Turn floats that are whole numbers into integers; leave what is no number."""
        values = np.asarray(value)
        if values.dtype.kind != "f":
            return value
        wrong = ~(np.abs(values) < 2.0**62) | (values != np.rint(values))
        if wrong.any():
            raise VectorError(
                f"{self.path}: {where} holds {values[wrong].flat[0]:g}, but this case is one of "
                "integers"
            )
        whole = values.astype(np.int64)
        return whole if whole.ndim else whole[()]

    def _of_shape(self, where: str, values: Array, shape: tuple[int, ...]) -> None:
        if values.shape != shape:
            raise VectorError(f"{self.path}: {where} is {values.shape}, but must be {shape}")


VARIABLES = ("u", "i_syn", "i_syn2", "v", "spikes")
"""What files record, in the order in which differences are told."""


def tree_of(path: Path) -> dict[str, Any]:
    """Read a whole file: attributes, datasets, and groups within groups."""
    with h5py.File(path, "r") as file:
        return _tree(file)


def _tree(group: Any) -> dict[str, Any]:
    return dict(group.attrs) | {
        name: _tree(item) if isinstance(item, h5py.Group) else item[()]
        for name, item in group.items()
    }


def oracle_of(path: Path) -> str:
    """Name what a file was recorded from, such as ``O1_lava``; empty where it does not say."""
    with h5py.File(path, "r") as file:
        return str(file.attrs.get("oracle", ""))


def _values(group: Any) -> dict[str, Any]:
    values = dict(group.attrs) | {name: data[()] for name, data in group.items()}
    return {name: _wide(value) for name, value in values.items()}


def _wide(value: Any) -> Any:
    """Integers of few bits would overflow where they are shifted."""
    return value.astype(np.int64) if getattr(value, "dtype", np.dtype("O")).kind in "iub" else value
