"""Vectors recorded from published bit-accurate models, loaded straight into a program.

One HDF5 file holds a small network in integers, its input, and what every state and spike must be
at every step. Nothing is quantised: the weight rules of the model bring the stored weights into its
format, and the program runs on the chip preset that is configured like the model.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
from numpy.typing import NDArray

from emulator.chip import Chip, load_chip
from emulator.engine import Engine
from emulator.neuron import RESETS
from emulator.program import Program, ProgramPopulation
from emulator.stimulus import Stimulus
from mapping.assemble import Rows, row_tables
from mapping.nengo_rule import Block, discretise
from mapping.weight_rules import coarsened, mantissas, shifted, signs_of

Array = NDArray[Any]

NEURONS_A_PART = 32
"""Populations are cut into parts of so many neurons, so that vectors cross cores."""


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


class _Case:
    """The parts of a file, with errors that name what is missing."""

    def __init__(self, file: Any, path: Path) -> None:
        self.path = path
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


def read_vector(path: str | Path) -> Vector:
    """Read a case and build its program.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    VectorError
        If it is broken, or recorded from a model that no preset is configured like.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"{path}: there is no such file")
    try:
        with h5py.File(path, "r") as file:
            case = _Case(file, path)
        return _loaded(case)
    except VectorError:
        raise
    except (OSError, KeyError, ValueError, TypeError, IndexError, AttributeError) as error:
        raise VectorError(f"{path}: no vector file, or a damaged one ({error})") from error


def first_mismatch(path: str | Path) -> Mismatch | None:
    """Run a vector file and return the first value that differs, or None if all are equal.

    Raises
    ------
    FileNotFoundError, VectorError
        As `read_vector` does.
    """
    return next(mismatches(read_vector(path)), None)


def _loaded(case: _Case) -> Vector:
    kind = str(case.root.get("oracle", ""))[:2]
    if kind not in _MODELS:
        raise VectorError(
            f"{case.path}: recorded from {case.root.get('oracle')!r}; known are "
            f"{', '.join(sorted(_MODELS))}"
        )
    return _MODELS[kind](case)


def mismatches(vector: Vector, *, seed: int = 0) -> Iterator[Mismatch]:
    """Run a vector through the engine step by step and compare every value.

    Yields
    ------
    Mismatch
        The first differing value of each step, in the order current, membrane, spikes.
    """
    if vector.weights_differ is not None:
        yield vector.weights_differ
    engine = Engine(vector.program, vector.chip, seed=seed)
    for block in engine.steps(vector.stimulus, vector.n_steps):
        step = block.first_tick
        state = engine.state
        spikes = np.zeros(vector.program.n_neurons, np.int64)
        spikes[block.spike_neuron] = block.spike_payload
        seen = {
            "u": state["current"][0], "i_syn": state["current"][0],
            "i_syn2": state["current"][-1], "v": state["membrane"], "spikes": spikes,
        }  # fmt: skip
        for (name, variable), rows in sorted(vector.expected.items(), key=_in_order):
            got = seen[variable][vector.program.neurons_of(name)]
            wrong = np.flatnonzero(got != rows[step])
            if wrong.size:
                n = int(wrong[0])
                yield Mismatch(step, name, n, variable, rows[step][n].item(), got[n].item())
                break


def _in_order(item: tuple[tuple[str, str], Array]) -> tuple[int, str]:
    (name, variable), _ = item
    return ("u", "i_syn", "i_syn2", "v", "spikes").index(variable), name


def _lava(case: _Case) -> Vector:
    """Lava 0.10, fixed point: the sum of a projection is shifted, once for each delay."""
    chip = load_chip("loihi-lava")
    build = _Building(case, chip)
    for name, given in case.populations.items():
        n = case.size(name)
        model = str(given["model"])
        if model not in ("LIF", "LIFReset", "TernaryLIF"):
            raise VectorError(f"{case.path}: population {name!r} of model {model} is not known")
        mantissa, exponent = (np.broadcast_to(given[k], n) for k in ("bias_mant", "bias_exp"))
        ternary = model == "TernaryLIF"
        every = int(given.get("reset_interval", 0))
        build.add(
            name,
            keep_current=4095 - np.asarray(given["du"]),
            keep_membrane=4096 - np.asarray(given["dv"]),
            bias=[int(m) << int(e) if e >= 0 else int(m) >> -int(e)
                  for m, e in zip(mantissa, exponent, strict=True)],
            threshold=64 * np.asarray(given["vth_hi" if ternary else "vth"]),
            initial_current=given["u0"],
            initial_membrane=given["v0"],
            lower=64 * np.asarray(given["vth_lo"]) if ternary else -(2**40),
            reset_every=every,
            # Steps count from 1, ticks from 0.
            reset_phase=(int(given.get("reset_offset", 0)) - 1) % every if every else 0,
        )  # fmt: skip
    for number, given in enumerate(case.projections):
        weights = np.asarray(given["weights"])
        mode = str(given["sign_mode"])
        mantissa = mantissas(
            weights,
            bits=int(given["num_weight_bits"]),
            signs=signs_of(weights) if mode == "auto" else mode,  # type: ignore[arg-type]
            rounding=chip.arithmetic.weight_rounding,
            weight_range=chip.arithmetic.weight_range,
        )
        build.expect_weights(number, mantissa, given)
        weight_exponent = int(given["weight_exp"])
        build.connect(
            number,
            mantissa,
            shift=max(weight_exponent, 0),
            group_shift=min(weight_exponent, 0),
            payload="presence" if int(given["num_message_bits"]) == 0 else "value",
        )
    return build.vector()


def _nengo(case: _Case) -> Vector:
    """nengo-loihi 1.1, emulator; what was discretised by itself goes through our rule."""
    chip = load_chip("loihi-nengo")
    build = _Building(case, chip)
    automatic = case.root.get("discretized_by") == "discretize_model"
    for name, given in case.populations.items():
        into = [k for k, p in enumerate(case.projections) if str(p["dst"]) == name]
        weights: list[Array] = []
        if automatic:
            fixed = discretise(_block(case, name, into))
            given = given | {
                "decay_u": fixed.decay_u, "decay_v": fixed.decay_v, "bias": fixed.bias,
                "vth": fixed.threshold, "refract_delay": fixed.refractory,
                "vmin": fixed.membrane_min, "vmax": fixed.membrane_max,
            }  # fmt: skip
            weights = list(fixed.weights)
        else:
            weights = [_nengo_weights(case.projections[k], chip) for k in into]
        build.add(
            name,
            keep_current=4095 - np.asarray(given["decay_u"]),
            keep_membrane=4096 - np.asarray(given["decay_v"]),
            bias=given["bias"],
            threshold=given["vth"],
            membrane_min=given["vmin"],
            membrane_max=given["vmax"],
            refractory=given["refract_delay"],
        )
        for k, weight in zip(into, weights, strict=True):
            build.expect_weights(k, weight << chip.numbers.input_shift, case.projections[k])
            build.connect(k, weight)
    return build.vector()


def _block(case: _Case, name: str, into: list[int]) -> Block:
    given = case.populations[name]
    n = case.size(name)
    return Block(
        tau_syn_s=float(given["tau_s"]),
        tau_mem_s=float(given.get("tau_rc", np.inf)),
        tau_ref_s=float(given["tau_ref"]),
        bias=np.broadcast_to(np.asarray(given["bias_float"], np.float64), n),
        threshold=np.full(n, float(given["vth_float"])),
        voltage_min=float(given["min_voltage"]),
        voltage_max=np.inf,
        weights=tuple(np.asarray(case.projections[k]["weights"]) for k in into),
    )


def _nengo_weights(given: Mapping[str, Any], chip: Chip) -> Array:
    bits = int(given["num_weight_bits"])
    mixed = int(given["shift_bits"]) == 8 - bits + 1
    exponent = int(given["weight_exp"])
    whole = mantissas(
        np.asarray(given["weights"]),
        bits=bits,
        signs="mixed" if mixed else "excitatory",
        rounding=chip.arithmetic.weight_rounding,
        weight_range=chip.arithmetic.weight_range,
    )
    if mixed:
        whole = coarsened(whole, bits=bits, exponent=exponent)
    return shifted(whole, exponent)


def _brian(case: _Case) -> Vector:
    """brian2-loihi 0.5: each weight is shifted and cut by itself."""
    chip = load_chip("loihi-brian2")
    build = _Building(case, chip)
    for name, given in case.populations.items():
        build.add(
            name,
            keep_current=4096 - np.asarray(given["decay_I"]),
            keep_membrane=4096 - np.asarray(given["decay_v"]),
            threshold=64 * np.asarray(given["threshold_v_mant"]),
            initial_current=given.get("I0", 0),
            initial_membrane=given.get("v0", 0),
            refractory=given["refractory"],
        )
    modes = {1: "mixed", 2: "excitatory", 3: "inhibitory"}
    for number, given in enumerate(case.projections):
        mantissa = mantissas(
            np.asarray(given["weights"]),
            bits=int(given["num_weight_bits"]),
            signs=modes[int(given["sign_mode"])],  # type: ignore[arg-type]
            rounding=chip.arithmetic.weight_rounding,
            weight_range=chip.arithmetic.weight_range,
        )
        edge = 2**15 - 1
        weight = np.clip(shifted(mantissa, int(given["w_exp"])), -edge, edge)
        weight = np.where(np.asarray(given["mask"]) != 0, weight, 0)
        build.expect_weights(number, weight << chip.numbers.input_shift, given)
        build.connect(number, weight)
    return build.vector()


def _xylo(case: _Case) -> Vector:
    """XyloSim 0.1.3; every synapse of a neuron has a current of its own."""
    chip = load_chip(f"xylo-v{int(case.root['layer_version'])}")
    build = _Building(case, chip)
    n_currents = max(np.asarray(p["dash_syns"]).shape[1] for p in case.populations.values())
    for name, given in case.populations.items():
        n = case.size(name)
        dashes = np.zeros((n_currents, n), np.int64)
        own = np.asarray(given["dash_syns"]).T
        dashes[: len(own)] = own
        biased = bool(given.get("has_bias", 0))
        build.add(
            name,
            keep_current=dashes,
            keep_membrane=given["dash_mem"],
            threshold=given["threshold"],
            bias=given["bias"] if biased else 0,
            # What is read out fires once a tick at most.
            spikes_max=1 if name == "out" else chip.numbers.spikes_per_tick_max,
            alias=given.get("alias_target", -1),
            reset="subtract-repeat",
        )
    for number, given in enumerate(case.projections):
        shift = int(given["weight_shift"])
        for synapse, weight in enumerate(np.asarray(given["weights"], np.int64)):
            half = 2**15
            wrapped = ((weight.T << shift) + half) % (2 * half) - half
            build.connect(number, wrapped, group=synapse)
    return build.vector()


_MODELS: dict[str, Callable[[_Case], Vector]] = {
    "O1": _lava,
    "O2": _nengo,
    "O3": _brian,
    "O4": _xylo,
}


_OFF = {
    "lower": -(2**40), "reset_every": 0, "reset_phase": 0, "alias": -1, "refractory": 0,
    "membrane_min": None, "membrane_max": None, "spikes_max": None,
}  # fmt: skip


class _Building:
    """Collects the columns and rows of a program."""

    def __init__(self, case: _Case, chip: Chip) -> None:
        self._case, self._chip = case, chip
        self._first = dict(zip(case.populations, _starts(case.populations, case), strict=True))
        self._n = sum(case.size(name) for name in case.populations)
        self._channel = dict(zip(case.inputs, _starts(case.inputs, case), strict=True))
        self._columns: dict[str, list[Array]] = {}
        self._rows: list[Rows] = []
        self._groups: list[int] = [0]
        self._weights_differ: Mismatch | None = None

    def add(self, name: str, *, reset: str = "zero", **columns: Any) -> None:
        """Add a population's constants; a single value holds for all neurons."""
        n = self._case.size(name)
        whole = {"bias": 0, "initial_current": 0, "initial_membrane": 0} | columns
        whole["reset"] = RESETS.index(reset)
        for column, value in whole.items():
            array = np.asarray(value)
            if column == "alias":
                array = np.where(array >= 0, array + self._first[name], -1)
            wide = (*array.shape[:-1], n) if array.ndim else (n,)
            self._columns.setdefault(column, []).append(np.broadcast_to(array, wide))

    def expect_weights(self, number: int, got: Array, given: Mapping[str, Any]) -> None:
        """Compare with the effective weights of the file, if it has them."""
        if "weights_effective" not in given or self._weights_differ is not None:
            return
        expected = np.asarray(given["weights_effective"])
        if "mask" in given:
            expected = np.where(np.asarray(given["mask"]) != 0, expected, 0)
        wrong = np.argwhere(got != expected)
        if wrong.size:
            post, pre = wrong[0]
            self._weights_differ = Mismatch(
                0, f"projection {number}", int(post), f"weight from {pre}",
                int(expected[post, pre]), int(got[post, pre]),
            )  # fmt: skip

    def connect(
        self,
        number: int,
        weight: Array,
        *,
        shift: int = 0,
        group_shift: int = 0,
        payload: str = "repeat",
        group: int = 0,
    ) -> None:
        """Add a projection's rows, apart for each delay and each part of its target."""
        given = self._case.projections[number]
        source, target = str(given["src"]), str(given["dst"])
        delays = np.asarray(given.get("delays", given.get("delay", 0)), np.int64)
        delays = np.broadcast_to(delays, weight.shape)
        first = self._first[target]
        numbers = (
            self._first[source] if source in self._first else self._n + self._channel[source]
        ) + np.arange(weight.shape[1])
        for delay in np.unique(delays[weight != 0]):
            # Sums that lose bits when they are shifted are kept apart.
            at = group
            if group_shift < 0:
                self._groups.append(group_shift)
                at = len(self._groups) - 1
            chosen = np.where(delays == delay, weight, 0)
            for core, (start, stop) in enumerate(self._parts):
                low, high = max(start, first), min(stop, first + weight.shape[0])
                if low < high:
                    part = chosen[low - first : high - first].T
                    pre, post = np.nonzero(part)
                    present, size = np.unique(pre, return_counts=True)
                    self._rows.append(
                        Rows(
                            source=numbers[present], size=size, weight=part[pre, post],
                            target=post + low - start, core=core, dense=False, shift=shift,
                            delay=int(delay), exponent=number, group=at,
                            payload=("repeat", "value", "presence").index(payload),
                        )
                    )  # fmt: skip

    @property
    def _parts(self) -> list[tuple[int, int]]:
        """Neurons of each core; one core where spikes are added one by one."""
        if self._chip.n_cores == 1:
            return [(0, self._n)]
        size = max(NEURONS_A_PART, -(-self._n // self._chip.n_cores))
        return [(k, min(k + size, self._n)) for k in range(0, self._n, size)]

    def vector(self) -> Vector:
        """Put everything together."""
        case = self._case
        columns = {
            name: np.concatenate([np.atleast_1d(p) for p in parts], axis=-1)
            for name, parts in self._columns.items()
        }
        for name, off in _OFF.items():
            # Rules that no neuron uses are left out.
            if name in columns and np.all(columns[name] == off):
                del columns[name]
        if "lower" in columns:
            columns["lower_to"] = np.zeros(self._n, np.int64)
        if "reset_every" in columns and "reset_phase" not in columns:
            columns["reset_phase"] = np.zeros(self._n, np.int64)
        if columns["keep_current"].ndim > columns["initial_current"].ndim:
            columns["initial_current"] = np.zeros_like(columns["keep_current"])
        starts = [start for start, _ in self._parts] + [self._n]
        sizes = [case.size(name) for name in case.populations]
        n_sources = self._n + sum(case.size(name) for name in case.inputs)
        program = Program(
            chip=self._chip.name,
            dt_s=1e-3,
            populations=tuple(
                ProgramPopulation(
                    name=name, shape=(case.size(name),), spiking=True, output=True, lag=0, scale=1.0
                )
                for name in case.populations
            ),
            inputs=tuple((name, case.size(name)) for name in case.inputs),
            core=np.arange(len(starts) - 1),
            core_start=np.array(starts),
            population=np.repeat(np.arange(len(sizes)), sizes),
            index=np.concatenate([np.arange(size) for size in sizes]),
            compartments=np.ones(self._n, np.int64),
            sum_shift=np.repeat(np.array(self._groups)[:, None], self._n, axis=1),
            **columns,
            **row_tables(self._rows, n_sources),
        )
        return Vector(
            name=case.path.stem, chip=self._chip, program=program, stimulus=self._stimulus(),
            n_steps=case.n_steps, expected=case.expected, weights_differ=self._weights_differ,
        )  # fmt: skip

    def _stimulus(self) -> Stimulus:
        counts = np.concatenate(
            [np.zeros((self._case.n_steps, 0), np.int64), *self._case.inputs.values()], axis=1
        ).astype(np.int64)
        tick, channel = np.nonzero(counts)
        return Stimulus(spike_tick=tick, spike_channel=channel, spike_payload=counts[tick, channel])


def _starts(names: Mapping[str, Any], case: _Case) -> list[int]:
    return [0, *np.cumsum([case.size(name) for name in names]).tolist()][: len(names)]
