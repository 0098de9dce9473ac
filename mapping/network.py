"""The network as it was trained: populations and projections in float, free of any framework.

One update of a neuron (forward Euler, as the training frameworks simulate), tick ``t``::

    i[t] = (1 - dt / tau_syn) * i[t-1] + sum(w * s) + bias      i[t] = sum(w * s) + bias without tau_syn
    v[t] = v[t-1] + dt / tau_mem * (v_leak - v[t-1]) + i[t] + push    no leak where tau_mem is infinite
    v[t] = max(v[t], v_min)
    spike where v[t] > threshold (or >=), then the reset rule

Weights, biases and currents are in units of the membrane per tick: an importer folds resistances
and input gains into them, so that no later stage needs to know them.

That is the rule ``euler``. Nengo's neurons follow three others (`Rule`), for which ``mapping.updates``
has the equations.
"""

from dataclasses import dataclass, field
from math import prod
from typing import Literal, TypeVar, get_args

import numpy as np
from numpy.typing import NDArray

from mapping import cycles
from mapping.errors import NetworkError
from mapping.linear import Convolution, Floats, Linear, Shape, whole

Reset = Literal["zero", "subtract", "subtract-once"]
"""``zero``: v becomes v_reset. ``subtract``: the threshold is taken off (relative to v_reset).
``subtract-once``: the same, but a neuron that is still above threshold after its reset needs a
second threshold's worth to fire at the next tick (snnTorch's Leaky and Synaptic with
``reset_mechanism="subtract"`` and ``reset_delay=False``; its default, ``reset_delay=True``, takes
the threshold off one step later and is none of the rules here)."""

Compare = Literal[">", ">="]

Rule = Literal["euler", "within-tick", "regular", "regular-lif"]
"""How a population advances by a tick. ``euler``: as the head of this file says. ``within-tick``: the
exact solution of the same membrane for a current that is constant within a tick; the time of a
spike is interpolated, so that rest may end within a tick (`nengo.LIF`). ``regular``: a positive
current is integrated without a leak, and the neuron fires as often as the threshold fits
(`nengo.SpikingRectifiedLinear`). ``regular-lif``: fires evenly at the rate that a ``within-tick``
neuron has for this current (`nengo.RegularSpiking` of `nengo.LIFRate`)."""

_NEEDS: dict[str, tuple[Reset, Compare]] = {
    "within-tick": ("zero", ">"),
    "regular": ("subtract", ">="),
    # It counts how far it is until its next spike; its membrane, where it has one, is a LIF neuron's.
    "regular-lif": ("zero", ">="),
}

LATER = {"push": 0.0, "v_min": -np.inf, "v_start": 0.0}
"""Parameters that older networks do not have, and what they are there."""

PARAMETERS = (
    "tau_mem_s", "tau_syn_s", "threshold", "v_leak", "v_reset", "bias", "refractory_s", *LATER,
)  # fmt: skip
"""Parameters of a population that may differ from neuron to neuron."""

_INFINITE = ("tau_mem_s", "v_min")


@dataclass(frozen=True, kw_only=True, eq=False)
class Input:
    """Where data enters: one channel for each element.

    Attributes
    ----------
    name : str
    shape : tuple of int
    """

    name: str
    shape: Shape

    def __post_init__(self) -> None:
        _set_shape(self)
        if self.size < 1:
            raise NetworkError(f"input {self.name!r}: shape {self.shape} holds no channels")

    @property
    def size(self) -> int:
        """Number of channels."""
        return prod(self.shape)


@dataclass(frozen=True, kw_only=True, eq=False)
class Population:
    """Neurons of one kind. Parameters are scalars or arrays of ``shape``; stored flat.

    Attributes
    ----------
    name : str
    shape : tuple of int
    tau_mem_s : float64 [n]
        Membrane time constant, seconds; infinite for a perfect integrator.
    tau_syn_s : float64 [n]
        Time constant of the synaptic current, seconds; 0 for none.
    threshold : float64 [n] or None
        None for leaky integrators that never spike.
    v_leak, v_reset : float64 [n]
    bias : float64 [n]
        Constant input each tick, through the synaptic current like a spike.
    refractory_s : float64 [n]
        Time after a spike in which the membrane stays where the reset put it, while the synaptic
        current goes on; seconds, rounded to ticks under the rule ``euler`` alone.
    push : float64 [n]
        Constant input each tick, straight into the membrane.
    v_min : float64 [n]
        The membrane never falls below; -inf for no limit.
    v_start : float64 [n]
        The membrane when a sample begins.
    reset : {"zero", "subtract", "subtract-once"}
    compare : {">", ">="}
    rule : {"euler", "within-tick", "regular", "regular-lif"}
    """

    name: str
    shape: Shape
    threshold: Floats | float | None
    tau_mem_s: Floats | float = np.inf
    tau_syn_s: Floats | float = 0.0
    v_leak: Floats | float = 0.0
    v_reset: Floats | float = 0.0
    bias: Floats | float = 0.0
    refractory_s: Floats | float = 0.0
    push: Floats | float = 0.0
    v_min: Floats | float = -np.inf
    v_start: Floats | float = 0.0
    reset: Reset = "zero"
    compare: Compare = ">"
    rule: Rule = "euler"

    def __post_init__(self) -> None:
        _set_shape(self)
        problems = []
        for name in PARAMETERS:
            value = getattr(self, name)
            if value is None:
                continue
            try:
                array = np.asarray(value, np.float64)
                flat = array.shape == (self.size,)
                full = array.copy() if flat else np.broadcast_to(array, self.shape).ravel()
            except ValueError:
                problems.append(
                    f"{name} has shape {np.shape(value)}, but the population {self.shape}"
                )
                continue
            full.setflags(write=False)
            object.__setattr__(self, name, full)
            problems += _bad_numbers(name, full, infinite_allowed=name in _INFINITE)
        if self.reset not in get_args(Reset):
            problems.append(f"reset {self.reset!r} is none of {', '.join(get_args(Reset))}")
        if self.compare not in get_args(Compare):
            problems.append(f"compare {self.compare!r} is none of >, >=")
        if self.rule not in get_args(Rule):
            problems.append(f"rule {self.rule!r} is none of {', '.join(get_args(Rule))}")
        if not problems:
            problems += self._contradictions()
        if problems:
            raise NetworkError(f"population {self.name!r}: " + "; ".join(problems))

    def _contradictions(self) -> list[str]:
        if self.size == 0:
            return [f"shape {self.shape} holds no neurons"]
        problems = []
        if np.any(np.asarray(self.tau_mem_s) <= 0):
            problems.append(
                f"tau_mem_s must be positive, but the least is {np.min(self.tau_mem_s)}"
            )
        for name in ("tau_syn_s", "refractory_s"):
            least = np.min(np.asarray(getattr(self, name)))
            if least < 0:
                problems.append(f"{name} must not be negative, but the least is {least}")
        if self.threshold is not None and np.any(self.threshold <= np.asarray(self.v_reset)):
            problems.append("every threshold must be above v_reset, or the neuron never rests")
        if np.any(self.v_min == np.inf) or np.any(
            np.asarray(self.v_min) > np.asarray(self.v_reset)
        ):
            problems.append(
                f"v_min must not be above v_reset, but is up to {np.max(self.v_min):.6g}"
            )
        return problems + self._against_rule()

    def _against_rule(self) -> list[str]:
        """Say what the rule of the population has no meaning for."""
        if self.rule == "euler":
            return []
        wrong = []
        needs = _NEEDS[self.rule]
        if (self.reset, self.compare) != needs:
            wrong.append(f"reset {needs[0]!r} and compare {needs[1]!r}")
        if self.threshold is None:
            wrong.append("a threshold")
        leaky = np.isfinite(np.asarray(self.tau_mem_s))
        if self.rule == "regular":
            if leaky.any() or np.any(np.asarray(self.refractory_s)):
                wrong.append("no leak and no refractory time")
        elif not leaky.all():
            wrong.append("a finite tau_mem_s")
        return [f"rule {self.rule!r} needs {text}" for text in wrong]

    @property
    def extras(self) -> tuple[str, ...]:
        """Parameters that say something which networks of old had not; see `mapping.network_file`."""
        return tuple(n for n, old in LATER.items() if np.any(np.asarray(getattr(self, n)) != old))

    @property
    def size(self) -> int:
        """Number of neurons."""
        return prod(self.shape)

    @property
    def spiking(self) -> bool:
        """Whether these neurons have a threshold."""
        return self.threshold is not None

    @property
    def model(self) -> str:
        """Short name in NIR's terms: I, IF, LI, LIF, CubaLI or CubaLIF."""
        leak = "L" if np.any(np.isfinite(self.tau_mem_s)) else ""
        filtered = "Cuba" if np.any(np.asarray(self.tau_syn_s) > 0) else ""
        return filtered + ("L" if filtered else leak) + "I" + ("F" if self.spiking else "")


@dataclass(frozen=True, kw_only=True, eq=False)
class Projection:
    """Connections from an input or population to a population.

    Attributes
    ----------
    source, target : str
    linear : Dense, Sparse or Convolution
    delay_s : float
        On top of what the timing itself takes; rounded to ticks.
    current_gain : float
        What a current of 1, held for a tick, is worth against a spike: other than 1 where spikes
        have unit area and the target leaks.
    chip_ticks : int
        Ticks that a spike takes longer on a chip than the timing and the delay say, or shorter if
        negative: where relays lie on the way, or on others into the same target. None in instant
        timing.
    """

    source: str
    target: str
    linear: Linear
    delay_s: float = 0.0
    current_gain: float = 1.0
    chip_ticks: int = 0

    def __post_init__(self) -> None:
        for name in ("delay_s", "current_gain"):
            object.__setattr__(self, name, float(getattr(self, name)))

    @property
    def name(self) -> str:
        """``source→target``."""
        return f"{self.source}→{self.target}"


@dataclass(frozen=True, kw_only=True, eq=False)
class Network:
    """Populations, projections, inputs and outputs, checked against each other.

    Attributes
    ----------
    dt_s : float
        Length of a tick, seconds.
    inputs : tuple of Input
    populations : tuple of Population
    projections : tuple of Projection
    outputs : tuple of str
        Populations that are read out.
    notes : tuple of str
        What an importer assumed or rewrote.
    """

    dt_s: float
    inputs: tuple[Input, ...]
    populations: tuple[Population, ...]
    projections: tuple[Projection, ...]
    outputs: tuple[str, ...]
    notes: tuple[str, ...] = field(default=())

    def __post_init__(self) -> None:
        object.__setattr__(self, "dt_s", float(self.dt_s))
        problems = self._unknown_names() or [
            *self._wrong_times(),
            *(text for projection in self.projections for text in self._misfits(projection)),
        ]
        if problems:
            raise NetworkError("the network contradicts itself:\n  - " + "\n  - ".join(problems))

    def _unknown_names(self) -> list[str]:
        names = [part.name for part in self.parts]
        wrong = [name for name in names if not isinstance(name, str)]
        if wrong:
            return [f"names must be text, but one is {wrong[0]!r}"]
        problems = [
            f"two parts are called {name!r}" for name in sorted(set(names)) if names.count(name) > 1
        ]
        own = {population.name for population in self.populations}
        if not self.inputs and not any(
            np.any(np.asarray(p.bias)) or np.any(np.asarray(p.push)) for p in self.populations
        ):
            problems.append("there is no input and no bias, so nothing can ever happen")
        if not self.outputs:
            problems.append("there is no output; name at least one population")
        problems += [
            f"output {name!r} is no population" for name in self.outputs if name not in own
        ]
        for projection in self.projections:
            if projection.source not in names:
                problems.append(f"projection {projection.name}: there is no {projection.source!r}")
            if projection.target not in own:
                problems.append(
                    f"projection {projection.name}: {projection.target!r} is no population"
                )
        return problems

    def _wrong_times(self) -> list[str]:
        if not (np.isfinite(self.dt_s) and self.dt_s > 0):
            return [f"the tick dt_s must be positive, but is {self.dt_s}"]
        problems = []
        for population in self.populations:
            for name in ("tau_mem_s", "tau_syn_s"):
                tau = np.asarray(getattr(population, name))
                # A stored 1e-4 and a tick of 1e-4 differ in the last bit after float32.
                short = tau[(tau > 0) & (tau < self.dt_s * (1 - 1e-6))]
                if short.size:
                    problems.append(
                        f"population {population.name!r}: {name} {short.min():.6g} s is shorter "
                        f"than the tick of {self.dt_s:.6g} s, so the state would change sign at "
                        f"every tick; use a tick of at most {short.min():.6g} s (--dt)"
                    )
        return problems

    def _misfits(self, projection: Projection) -> list[str]:
        source, target = self.part(projection.source), self.part(projection.target)
        problems = []
        for end, part, shape in (
            ("source", source, projection.linear.pre_shape),
            ("target", target, projection.linear.post_shape),
        ):
            if prod(shape) != part.size:
                problems.append(
                    f"projection {projection.name}: the weights expect {prod(shape)} {end} "
                    f"elements {shape}, but {part.name!r} has {part.size} {part.shape}"
                )
        weights = weights_of(projection.linear)
        problems += [f"projection {projection.name}: {t}" for t in _bad_numbers("weights", weights)]
        problems += [f"projection {projection.name}: {t}" for t in self._wrong_delay(projection)]
        if not np.isfinite(projection.current_gain):
            problems.append(
                f"projection {projection.name}: current_gain is {projection.current_gain}"
            )
        if isinstance(source, Population) and not source.spiking:
            problems.append(
                f"projection {projection.name}: {source.name!r} never spikes, so nothing can be "
                f"sent on; give it a threshold or make it an output"
            )
        return problems

    def _wrong_delay(self, projection: Projection) -> list[str]:
        delay = projection.delay_s
        if not (np.isfinite(delay) and delay >= 0):
            return [f"delay must not be negative, but is {delay} s"]
        if self.dt_s > 0 and delay / self.dt_s >= 2**31:
            return [f"a delay of {delay:.6g} s is 2^31 ticks or more of {self.dt_s:.6g} s each"]
        return []

    def part(self, name: str) -> Input | Population:
        """Return the input or population of this name; KeyError if there is none."""
        return _named(self.parts, name)

    def population(self, name: str) -> Population:
        """Return the population of this name; KeyError if there is none."""
        return _named(self.populations, name)

    def delay_ticks(self, projection: Projection) -> int:
        """Delay of a projection, rounded to ticks."""
        return round(projection.delay_s / self.dt_s)

    @property
    def parts(self) -> tuple[Input | Population, ...]:
        """Inputs, then populations."""
        return (*self.inputs, *self.populations)

    @property
    def recurrent(self) -> frozenset[int]:
        """Indices of projections that close a cycle, whatever their delays.

        Depth-first from the inputs; see `mapping.cycles`. Without them, everything lies in
        layers (`depth`), as pipelining on a chip needs.
        """
        return cycles.closing(self._names, self._edges, self.outputs)

    @property
    def feedback(self) -> frozenset[int]:
        """Indices of projections that close a cycle without any delay.

        They carry the spikes of the previous tick where everything else acts within the tick. A
        cycle that holds a delay of a tick or more needs no such cut.
        """
        at_once = [e for e, delay in zip(self._edges, self._delays, strict=True) if delay == 0]
        return frozenset(
            index
            for index in self.recurrent
            if self._delays[index] == 0 and cycles.on_cycle(self._edges[index], at_once)
        )

    @property
    def depth(self) -> dict[str, int]:
        """Number of projections on the longest way from an input to each part, cycles cut."""
        closing = self.recurrent
        kept = [edge for index, edge in enumerate(self._edges) if index not in closing]
        return cycles.depths(self._names, kept)

    @property
    def order(self) -> tuple[Population, ...]:
        """Populations so that each comes after all that feed it within a tick, then by depth."""
        cut = self.feedback
        within = [
            edge
            for index, edge in enumerate(self._edges)
            if self._delays[index] == 0 and index not in cut
        ]
        own = {population.name: population for population in self.populations}
        return tuple(
            own[name] for name in cycles.ordered(self._names, within, self.depth) if name in own
        )

    @property
    def _names(self) -> list[str]:
        return [part.name for part in self.parts]

    @property
    def _edges(self) -> list[cycles.Edge]:
        return [(projection.source, projection.target) for projection in self.projections]

    @property
    def _delays(self) -> list[int]:
        return [self.delay_ticks(projection) for projection in self.projections]

    def readout(self, name: str | None = None) -> Population:
        """Return the output that a class is read from: the first, or the one of this name.

        Raises
        ------
        NetworkError
            If it is no output.
        """
        chosen = self.outputs[0] if name is None else name
        if chosen not in self.outputs:
            raise NetworkError(f"there is no output {name!r}; there are {', '.join(self.outputs)}")
        return self.population(chosen)

    @property
    def sha256(self) -> str:
        """Hash of everything that decides what the network does (notes do not)."""
        from mapping.network_file import content_hash  # which needs the classes of this file

        return content_hash(self)


Part = TypeVar("Part", Input | Population, Population)


def _named(parts: tuple[Part, ...], name: str) -> Part:
    for part in parts:
        if part.name == name:
            return part
    raise KeyError(f"no part {name!r}; there are {[part.name for part in parts]}")


def current_keep(population: Population, dt_s: float) -> Floats:
    """Share of the synaptic current left after one tick; 0 where there is no filter."""
    tau = np.asarray(population.tau_syn_s)
    return np.where(tau > 0, 1 - dt_s / np.where(tau > 0, tau, 1.0), 0.0)


def membrane_keep(population: Population, dt_s: float) -> Floats:
    """Share of the membrane left after one tick."""
    return np.asarray(1 - dt_s / np.asarray(population.tau_mem_s))


def rest_ticks(population: Population, dt_s: float) -> NDArray[np.int64]:
    """Ticks that each neuron rests after a spike; int64 [n]."""
    ticks: NDArray[np.int64] = np.rint(np.asarray(population.refractory_s) / dt_s).astype(np.int64)
    return ticks


def weights_of(linear: Linear) -> Floats:
    """Return the stored weights of a map: matrix, list or kernel."""
    return linear.kernel if isinstance(linear, Convolution) else linear.weight


def _set_shape(part: Input | Population) -> None:
    try:
        object.__setattr__(part, "shape", whole("shape", part.shape))
    except ValueError as error:
        raise NetworkError(f"{part.name!r}: {error}") from None


def _bad_numbers(name: str, values: Floats, *, infinite_allowed: bool = False) -> list[str]:
    bad = np.isnan(values) if infinite_allowed else ~np.isfinite(values)
    if not bad.any():
        return []
    where = tuple(int(i) for i in np.argwhere(bad)[0])
    return [
        f"{int(bad.sum())} of {values.size} values of {name} are NaN or infinite, the first at "
        f"{where if len(where) > 1 else where[0]}"
    ]
