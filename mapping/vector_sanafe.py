"""Vectors of SANA-FE: neurons in float, on the cores where they lay; read and laid out."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emulator.chip import Chip
from emulator.chip_file import load_chip
from emulator.neuron import RESETS
from emulator.program import Program, ProgramPopulation
from emulator.stimulus import Stimulus
from mapping.assemble import Rows, row_tables
from mapping.vector_case import Vector, VectorError, tree_of

Array = NDArray[Any]

CHIP = "loihi-sanafe-float"
_KINDS = {
    "loihi_dense_synapse": "dense", "loihi_sparse_synapse": "sparse",
    "loihi_conv_synapse": "convolution", "loihi_convolution_synapse": "convolution",
}  # fmt: skip
_RESETS = {"hard": "zero", "soft": "subtract"}


@dataclass(frozen=True, kw_only=True, eq=False)
class SanafeCase:
    """One file: a population, its inputs, and what was recorded.

    Attributes
    ----------
    population, input : str
    neurons : mapping
        Parameters of the population, float64 or int64 [n].
    core, input_core : int64 [n], [n_inputs]
        Core of the chip of each neuron.
    fires : int64 [n_steps, n_inputs]
    source, target : int64 [n_synapses]
        Sources are the inputs, then the neurons.
    weight : float64 [n_synapses]
    kind : str
        Of all synapses; one of `emulator.neuron.KINDS`.
    expected : mapping of name to [n_steps, n]
        ``v`` and ``spikes`` of the population.
    messages : mapping of name to [n_messages]
        Those of the first steps; empty if none were recorded.
    per_step : mapping of name to [n_steps]
    totals : mapping
    """

    path: Path
    population: str
    input: str
    neurons: Mapping[str, Any]
    core: Array
    input_core: Array
    fires: Array
    source: Array
    target: Array
    weight: Array
    kind: str
    expected: Mapping[str, Array]
    messages: Mapping[str, Array]
    per_step: Mapping[str, Array]
    totals: Mapping[str, float]

    @staticmethod
    def read(path: Path) -> "SanafeCase":
        """Read a file.

        Raises
        ------
        VectorError
            If it names what is not known, or parts do not fit together.
        KeyError
            If parts are missing.
        """
        tree = tree_of(path)
        unit = str(tree["synapse_unit"])
        inputs, projections = sorted(tree["input"]), tree["proj"]
        populations = sorted(set(tree["pop"]) - set(inputs))
        if unit not in _KINDS:
            raise VectorError(f"{path}: {unit} is not known; known are {', '.join(_KINDS)}")
        if len(inputs) != 1 or len(populations) != 1:
            raise VectorError(
                f"{path}: populations {', '.join(populations)} and inputs {', '.join(inputs)}, but "
                "this reads files of one of each"
            )
        neurons, into = tree["pop"][populations[0]], tree["pop"][inputs[0]]
        expected = tree["expected"]
        per_step = expected["per_step"]
        case = SanafeCase(
            path=path,
            population=populations[0],
            input=inputs[0],
            neurons=neurons,
            core=_core_of(neurons),
            input_core=_core_of(into),
            fires=np.asarray(tree["input"][inputs[0]]["spikes"], np.int64),
            kind=_KINDS[unit],
            expected={name: expected[populations[0]][name] for name in ("v", "spikes")},
            messages=expected.get("messages_detailed", {}),
            per_step={name: np.asarray(values) for name, values in per_step.items()},
            totals=expected["totals"],
            **{
                name: np.concatenate([np.asarray(p[key]) for p in projections.values()])
                for name, key in (
                    ("source", "src_index"), ("target", "dst_index"), ("weight", "weight"),
                )
            },
        )  # fmt: skip
        case._check(int(tree["n_steps"]))
        return case

    def _check(self, n_steps: int) -> None:
        n, n_inputs = self.core.size, self.input_core.size
        for what, array, shape in (
            ("input", self.fires, (n_steps, n_inputs)),
            *((f"expected {name}", rows, (n_steps, n)) for name, rows in self.expected.items()),
            *((f"per_step {name}", rows, (n_steps,)) for name, rows in self.per_step.items()),
            ("weight", self.weight, self.source.shape),
            ("dst_index", self.target, self.source.shape),
        ):
            if np.shape(array) != shape:
                raise VectorError(f"{self.path}: {what} is {np.shape(array)}, but must be {shape}")
        for what, index, most in (
            ("src_index", self.source, n_inputs + n), ("dst_index", self.target, n),
        ):  # fmt: skip
            if index.size and not 0 <= index.min() <= index.max() < most:
                raise VectorError(
                    f"{self.path}: {what} spans {index.min()}..{index.max()}, but must lie within "
                    f"0..{most - 1}"
                )

    @property
    def n_steps(self) -> int:
        """Recorded time steps."""
        return int(self.fires.shape[0])

    def detailed_s(self) -> Array:
        """Recorded time of each step by SANA-FE's ``detailed`` model, seconds; float64 [n_steps].

        Not repeatable for networks whose neurons send to several tiles: that simulator sends in
        the order of memory addresses.
        """
        return np.asarray(self.per_step["sim_time_detailed"], np.float64)

    def vector(self) -> Vector:
        """Lay the case out on the chip."""
        chip = load_chip(CHIP)
        tick, channel = np.nonzero(self.fires)
        return Vector(
            name=self.path.stem,
            chip=chip,
            program=_program(self, chip),
            stimulus=Stimulus(
                spike_tick=tick, spike_channel=channel, spike_payload=self.fires[tick, channel]
            ),
            n_steps=self.n_steps,
            expected={(self.population, name): rows for name, rows in self.expected.items()},
        )


def _core_of(given: Mapping[str, Any]) -> Array:
    """Cores are numbered tile by tile, four on each."""
    return 4 * np.asarray(given["tile"], np.int64) + np.asarray(given["core"], np.int64)


def _program(case: SanafeCase, chip: Chip) -> Program:
    """Neurons and inputs on their cores; all synapses of a source on one core share a packet."""
    place = np.unique(np.concatenate([case.core, case.input_core]))
    core, n = np.searchsorted(place, case.core), case.core.size
    index = np.argsort(core, kind="stable")
    machine = np.argsort(index)
    starts = np.searchsorted(core[index], np.arange(place.size + 1))
    n_inputs = case.input_core.size
    source = np.where(
        case.source < n_inputs, n + case.source, machine[np.maximum(case.source - n_inputs, 0)]
    )
    rows = _rows(source, machine[case.target], case.weight, starts, case.kind)
    return Program(
        chip=chip.name,
        dt_s=1e-3,
        populations=(
            ProgramPopulation(
                name=case.population, shape=(n,), spiking=True, output=True, lag=0, scale=1.0
            ),
        ),
        inputs=((case.input, n_inputs),),
        core=place,
        core_start=starts,
        population=np.zeros(n, np.int64),
        index=index,
        compartments=np.ones(n, np.int64),
        initial_current=np.zeros(n),
        initial_membrane=np.zeros(n),
        sum_shift=np.zeros(n, np.int64),
        channel_core=np.searchsorted(place, case.input_core),
        **{name: values[index] for name, values in _constants(case, n).items()},
        **row_tables(rows, n + n_inputs),
    )


def _constants(case: SanafeCase, n: int) -> dict[str, Array]:
    given = case.neurons
    mode = str(given["reset_mode"])
    if mode not in _RESETS:
        raise VectorError(
            f"{case.path}: reset_mode {mode} is not known; known are {', '.join(_RESETS)}"
        )
    columns = {
        "keep_current": np.asarray(given["input_decay"], np.float64),
        "keep_membrane": np.asarray(given["leak_decay"], np.float64),
        "bias": np.asarray(given["bias"], np.float64),
        "threshold": np.asarray(given["threshold"], np.float64),
        "reset": np.full(n, RESETS.index(_RESETS[mode])),
        "reset_to": np.asarray(given["reset"], np.float64),
        "refractory": np.asarray(given["refractory_delay"], np.int64),
    }
    if "reverse_threshold" in given:
        least = np.broadcast_to(np.float64(given["reverse_threshold"]), n)
        # There the membrane is cut at its least after the reset, which is below no threshold.
        columns |= {"membrane_min": least, "membrane_max": np.full(n, np.inf)}
        columns["reset_to"] = np.maximum(columns["reset_to"], least)
    return columns


def _rows(source: Array, target: Array, weight: Array, starts: Array, kind: str) -> list[Rows]:
    """Rows of each core, in the order of the file within a source."""
    core = np.searchsorted(starts, target, "right") - 1
    found = []
    for number in np.unique(core):
        mine = np.flatnonzero(core == number)
        mine = mine[np.argsort(source[mine], kind="stable")]
        present, size = np.unique(source[mine], return_counts=True)
        found.append(
            Rows(
                source=present, size=size, weight=weight[mine],
                target=target[mine] - starts[number], core=int(number), dense=False, kind=kind,
            )
        )  # fmt: skip
    return found
