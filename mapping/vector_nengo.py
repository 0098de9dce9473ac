"""Vectors recorded from Nengo, in float: gains, biases, rates, decoders, spikes and decoded output.

A file holds one ensemble, what it gets and what Nengo made of it. Ensembles that spike run through the float
reference as an imported one does; of those that do not, the rates are compared. Spikes must be
equal, all else to the tolerance that the file states, relative to the largest value of its kind.
"""

import ast
import operator
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
from numpy.typing import NDArray

from mapping.drive import Drive
from mapping.linear import Dense
from mapping.nengo_neurons import RATES, SPIKING, NengoNeuron, filter_share, filter_time
from mapping.network import Input, Network, Projection
from mapping.reference import FloatRun, prepare, simulate
from mapping.vector_case import Mismatch, VectorError

Array = NDArray[Any]


class _Found(NamedTuple):
    """Values to compare: rows [n_rows, n] and the step of each row."""

    variable: str
    steps: Array
    got: Array


class NengoCase:
    """One file; see the head of this one.

    Raises
    ------
    VectorError
        If it holds more than one ensemble, or one of a type that is not known.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with h5py.File(path, "r") as file:
            self.root = dict(file.attrs)
            if len(file["pop"]) != 1:
                raise VectorError(f"{path}: holds {len(file['pop'])} ensembles; one is known")
            (self.name,) = file["pop"]
            pop, expected = file["pop"][self.name], file["expected"][self.name]
            self.given: dict[str, Any] = dict(pop.attrs) | {k: v[()] for k, v in pop.items()}
            self.expected: dict[str, Array] = {k: v[()] for k, v in expected.items()}
            self.stride = int(expected.attrs.get("output_stride", 1))
            inputs = file.get("input", {})
            x = [item["spikes"][()] for item in inputs.values()] or [self.expected.pop("x")]
        self.x = np.hstack(x)
        self.dt_s = float(self.root["dt"])
        kind = str(self.given["neuron_type"])
        if kind not in (*SPIKING, *RATES):
            raise VectorError(
                f"{path}: neurons of type {kind}; known are {', '.join([*SPIKING, *RATES])}"
            )
        known = ("amplitude", "tau_rc", "tau_ref", "min_voltage")
        self.neuron = NengoNeuron(
            kind=kind, **{key: float(self.given[key]) for key in known if key in self.given}
        )
        self.spiking = kind in SPIKING
        self.rec_tau_s = float(self.root.get("rec_tau", 0.0))
        self.tolerance = _tolerances(str(self.root["tolerance"]))

    def current(self, x: Array) -> Array:
        """Current of each neuron at some points; float64 [n_points, n]."""
        return np.asarray(self.given["gain"] * (x @ self.given["encoders"].T) + self.given["bias"])

    def network(self) -> Network:
        """Build the ensemble as an imported one is built."""
        share = self.neuron.share(self.dt_s)
        encoders = share * self.given["gain"][:, None] * self.given["encoders"]
        n, dimensions = encoders.shape
        projections = [("x", encoders)]
        if self.rec_tau_s > 0:
            worth = self.neuron.amplitude / self.dt_s * filter_share(self.rec_tau_s, self.dt_s)
            projections.append((self.name, encoders @ self.expected["decoders_rec"] * worth))
        return Network(
            dt_s=self.dt_s,
            inputs=(Input(name="x", shape=(dimensions,)),),
            populations=(
                self.neuron.population(
                    self.name, bias=self.given["bias"], v_start=self.given["v0"],
                    tau_syn_s=filter_time(self.rec_tau_s, self.dt_s), dt_s=self.dt_s,
                ),
            ),
            projections=tuple(
                Projection(
                    source=source, target=self.name,
                    linear=Dense(weight=w, pre_shape=(w.shape[1],), post_shape=(n,)),
                )
                for source, w in projections
            ),
            outputs=(self.name,),
        )  # fmt: skip

    def run(self) -> FloatRun:
        """Run the recorded input; it takes no filter, so that of the feedback is taken back."""
        keep = 1 - filter_share(self.rec_tau_s, self.dt_s)
        before = np.vstack([np.zeros_like(self.x[:1]), self.x[:-1]])
        drive = Drive(n_ticks=len(self.x), currents={"x": self.x - keep * before})
        return simulate(prepare(self.network(), timing="chip"), drive, record=(self.name,))

    def found(self) -> Iterator[_Found]:
        """Everything of the file that is calculated here."""
        yield from self._curves()
        if not self.spiking:
            sent = self.neuron.rates(self.current(self.x))
            if "decoders" not in self.expected:
                yield _every("output", sent, self.stride)
            yield from self._shown(sent)
            return
        run = self.run()
        spikes = np.zeros((len(self.x), self.given["gain"].size))
        np.add.at(spikes, run.spikes[self.name], 1)
        yield _every("spikes", spikes)
        last = np.array([len(self.x) - 1])
        for variable in self.expected:
            if match := re.fullmatch(r"v_first(\d+)", variable):
                yield _every(variable, run.states[self.name, "v"][: int(match[1])])
        yield _Found("v_last", last, run.states[self.name, "v"][-1:])
        resting = run.resting[self.name][None] * self.dt_s
        yield _Found("refractory_last", last, resting)
        yield from self._shown(spikes * self.neuron.amplitude / self.dt_s)

    def _shown(self, sent: Array) -> Iterator[_Found]:
        """Activity through the synapse, and decoded."""
        yield _every("filtered", _lowpass(sent, self._tau_s, self.dt_s))
        if "decoders" in self.expected:
            decoded = sent @ self.expected["decoders"].T
            yield _every("output", _lowpass(decoded, self._tau_s, self.dt_s))

    @property
    def _tau_s(self) -> float:
        return float(self.root["synapse_tau"])

    def _curves(self) -> Iterator[_Found]:
        gain, bias = self.neuron.gain_bias(self.given["max_rates"], self.given["intercepts"])
        yield _every("gain", gain[None])
        yield _every("bias", bias[None])
        if "tuning_x" in self.expected:
            x = self.expected["tuning_x"][:, None]
            encoders = self.given["encoders"]
            # Of more dimensions, each neuron's curve is along its own encoder.
            along = x * encoders[:, 0] if encoders.shape[1] == 1 else x
            current = self.given["gain"] * along + self.given["bias"]
            yield _every("tuning_rates", self.neuron.rates(current))
        if "eval_points" in self.given:
            points = self.given["eval_points"]
            rates = self.neuron.rates(self.current(points))
            reg = float(self.root["reg"])
            function = {"decoders": str(self.root["function"]), "decoders_rec": "x"}
            for variable in sorted(function.keys() & self.expected.keys()):
                shape = (len(points), len(self.expected[variable]))
                targets = np.broadcast_to(value_of(function[variable], points), shape)
                yield _every(variable, _solved(rates, targets, reg))

    def mismatches(self) -> Iterator[Mismatch]:
        """Compare; yield what differs first in each step, in order of steps."""
        stored = self.expected | {key: self.given[key][None] for key in ("gain", "bias")}
        missed = set(self.expected) - {"tuning_x"}
        differing: list[Mismatch] = []
        for variable, steps, got in self.found():
            missed.discard(variable)
            if variable not in stored:
                continue
            want = np.asarray(stored[variable], np.float64).reshape(-1, got.shape[1])
            if want.shape != got.shape:
                raise VectorError(
                    f"{self.path}: {variable} is {want.shape}, but must be {got.shape}"
                )
            close = self.tolerance.get(variable, self.tolerance[""]) * np.abs(want).max(initial=0)
            wrong = ~(np.abs(got - want) <= (0 if variable == "spikes" else close))
            for row in np.flatnonzero(wrong.any(axis=1)):
                n = int(np.argmax(wrong[row]))
                differing.append(
                    Mismatch(
                        int(steps[row]), self.name, n, variable, want[row, n].item(),
                        got[row, n].item(),
                    )
                )  # fmt: skip
        if missed:
            raise VectorError(f"{self.path}: expected/{self.name} holds {sorted(missed)}: unknown")
        seen: set[int] = set()
        for mismatch in sorted(differing, key=lambda m: m.step):
            if mismatch.step not in seen:
                seen.add(mismatch.step)
                yield mismatch


def _every(variable: str, got: Array, stride: int = 1) -> _Found:
    return _Found(variable, np.arange(0, len(got), stride), got[::stride])


def _lowpass(x: Array, tau_s: float, dt_s: float) -> Array:
    """Nengo's `Lowpass`: a row shows the input of the rows before."""
    share = filter_share(tau_s, dt_s)
    y = np.zeros_like(x)
    for row in range(1, len(x)):
        y[row] = y[row - 1] + share * (x[row - 1] - y[row - 1])
    return y


def _solved(rates: Array, targets: Array, reg: float) -> Array:
    """Decoders by Nengo's `LstsqL2`; float64 [dimensions, n]."""
    noise = reg * rates.max()
    gram = rates.T @ rates + len(rates) * noise**2 * np.eye(rates.shape[1])
    return np.asarray(np.linalg.solve(gram, rates.T @ targets).T)


def _tolerances(text: str) -> dict[str, float]:
    """Read ``float64: rtol 1e-9; spikes exact`` and its like; '' for what has none of its own."""
    found: dict[str, float] = {}
    for clause in text.split(";"):
        match = re.search(r"(?:(\w+)\s+)?rtol\s+([0-9.eE+-]+)", clause)
        if match:
            found[match[1] or ""] = float(match[2])
    if not found:
        raise ValueError(f"the tolerance {text!r} states no rtol")
    return {"": min(found.values())} | found


_OPERATORS: dict[type, Callable[..., Any]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul,
    ast.Div: operator.truediv, ast.Pow: operator.pow, ast.USub: operator.neg,
}  # fmt: skip
_FUNCTIONS = {"sin": np.sin, "cos": np.cos, "exp": np.exp, "abs": np.abs, "sqrt": np.sqrt}


def value_of(formula: str, x: Array) -> Any:
    """Calculate a formula of points ``x [n_points, dimensions]``, without running it as code.

    Raises
    ------
    VectorError
        If it holds anything but numbers, ``x``, ``x[k]``, ``pi``, arithmetic, sin, cos, exp, abs and sqrt.
    """

    def of(node: ast.AST) -> Any:
        match node:
            case ast.Constant(value=int() | float() as value):
                return value
            case ast.Name(id="x"):
                return x
            case ast.Subscript(value=ast.Name(id="x"), slice=ast.Constant(value=int() as k)):
                return x[:, [k]]
            case ast.Name(id="pi") | ast.Attribute(attr="pi"):
                return np.pi
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
                return _OPERATORS[type(op)](of(left), of(right))
            case ast.UnaryOp(op=op, operand=operand) if type(op) in _OPERATORS:
                return _OPERATORS[type(op)](of(operand))
            case ast.Call(
                func=ast.Name(id=name) | ast.Attribute(attr=name), args=[argument], keywords=[]
            ) if name in _FUNCTIONS:
                return _FUNCTIONS[name](of(argument))
        raise VectorError(
            f"the function {formula!r} holds {ast.unparse(node)!r}, not arithmetic of x"
        )

    try:
        return of(ast.parse(formula, mode="eval").body)
    except SyntaxError:
        raise VectorError(f"the function {formula!r} is no formula of x") from None
