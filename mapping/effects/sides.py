"""Two sides of a comparison in one form: every constant in network units, every rule by name.

A side is a network in float, or the same network in one chip's integers. What makes the two differ
is a handful of fields, and `mapping.effects.effects` says which of them belong to one effect.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emulator.arithmetic import FRACTIONS
from emulator.chip import Chip
from mapping.assemble import lags
from mapping.constants import current_gain
from mapping.fixed import FixedNetwork, FixedPopulation, FixedProjection
from mapping.linear import Floats, Linear, scaled, with_weights
from mapping.network import (
    Network,
    Population,
    current_keep,
    membrane_keep,
    rest_ticks,
    weights_of,
)
from mapping.reference import Timing
from mapping.rounding import bias_integers, bias_limit, is_float, leak_of

Array = NDArray[Any]


@dataclass(frozen=True, kw_only=True, eq=False)
class Decay:
    """How a register decays.

    Attributes
    ----------
    keep, leak : float64 [n]
        Share that stays, and that goes, each tick.
    whole : int64 [n]
        What the chip counts it as; 0 in float.
    rule : str
        A key of `emulator.arithmetic.DECAYS`, or ``float``.
    bits : int
    """

    keep: Floats
    leak: Floats
    whole: Array
    rule: str = "float"
    bits: int = 1


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Widths and what happens beyond them: (rule, bits) of each register, counted in ``scale``."""

    scale: float = 1.0
    input: tuple[str, int] = ("none", 62)
    current: tuple[str, int] = ("none", 62)
    drive: tuple[str, int] = ("none", 62)
    membrane: tuple[str, int] = ("none", 62)
    form: str = "sum"


@dataclass(frozen=True, kw_only=True)
class Register:
    """A register that holds whole numbers, ``scale`` of them for a network unit; 0 for float.

    ``fraction``: rule and steps for a network unit, where a register in float keeps so few.
    """

    scale: float = 0.0
    fraction: tuple[str, float] = ("none", 1.0)


@dataclass(frozen=True, kw_only=True, eq=False)
class Handing:
    """How the host hands over currents: as changes of a bias in the chip's bias format."""

    bias: Array
    scale: float
    chip: Chip

    def handed(self, current: Floats) -> tuple[Floats, int]:
        """What of a current arrives, in network units, and how many were cut to the format."""
        exact = self.bias + current * self.scale
        value = (bias_integers(exact, self.chip) - self.bias) / self.scale
        return value, int(np.count_nonzero(np.abs(exact) > bias_limit(self.chip) + 0.5))


@dataclass(frozen=True, kw_only=True, eq=False)
class Cells:
    """One population on one side; arrays [n] in network units.

    The membrane counts from where a reset puts it. ``initial_current`` is what is there before its
    first decay. ``gain``: factor on all weights that belongs to the decay of the current.
    """

    name: str
    size: int
    threshold: Floats
    bias: Floats
    initial_current: Floats
    handing: Handing | None
    current_decay: Decay
    order: str
    gain: Floats
    membrane_decay: Decay
    current: Register
    membrane: Register
    initial_membrane: Floats
    limits: Limits
    reset: str
    spikes_max: int
    refractory: str
    rest: Array
    compare: str
    accumulate: str


@dataclass(frozen=True, kw_only=True, eq=False)
class Side:
    """A network as one side runs it.

    Attributes
    ----------
    label : str
    network : Network
    direct : frozenset of str
        Inputs that the host turns into currents.
    cells : tuple of Cells
        In the order of ``network.populations``.
    weights : dict of projection number to Linear
        Of those that are loaded, in network units and without `Cells.gain`.
    late : dict of projection number to int
        Ticks until a spike acts.
    lag : dict of population to int
    timing : {"instant", "chip"}
    seed : int
        Of stochastic rounding.
    whole_weights : bool
    """

    label: str
    network: Network
    direct: frozenset[str]
    cells: tuple[Cells, ...]
    weights: dict[int, Linear]
    late: dict[int, int]
    lag: dict[str, int]
    timing: Timing
    seed: int = 0
    whole_weights: bool = False


def float_side(
    network: Network,
    *,
    direct: frozenset[str],
    timing: Timing = "chip",
    input_latency: int = 1,
    label: str = "float",
) -> Side:
    """Take a network as it is.

    Parameters
    ----------
    input_latency : int
        In chip timing, ticks from an input spike to the first population.
    """
    loaded = _loaded(network, direct)
    first = {part.name: input_latency for part in network.inputs}
    feedback, recurrent = network.feedback, network.recurrent
    late = {}
    for index in loaded:
        projection = network.projections[index]
        delay = network.delay_ticks(projection)
        if timing == "instant":
            late[index] = 1 if index in feedback else delay
        elif index in recurrent:
            late[index] = max(delay, 1)
        else:
            late[index] = delay + first.get(projection.source, 1)
    lag = {part.name: 0 for part in network.parts}
    return Side(
        label=label,
        network=network,
        direct=direct,
        cells=tuple(_float_cells(p, network.dt_s) for p in network.populations),
        weights={index: network.projections[index].linear for index in loaded},
        late=late,
        lag=lag if timing == "instant" else lags(network, direct, input_latency),
        timing=timing,
    )


def _loaded(network: Network, direct: frozenset[str]) -> list[int]:
    return [k for k, p in enumerate(network.projections) if p.source not in direct]


def _float_decay(keep: Floats, leak: Floats) -> Decay:
    return Decay(keep=keep, leak=leak, whole=np.zeros(keep.size, np.int64))


def _float_cells(population: Population, dt_s: float) -> Cells:
    offset = _offset(population)
    keep = current_keep(population, dt_s)
    leak = dt_s / np.asarray(population.tau_mem_s)
    # As chips do it (`mapping.constants`), so that rounding a bias is all that its effect does.
    settled = np.asarray(population.bias) / (1 - keep)
    height = population.threshold
    return Cells(
        name=population.name,
        size=population.size,
        threshold=np.empty(0) if height is None else np.asarray(height) - offset,
        bias=settled + leak * (np.asarray(population.v_leak) - offset),
        initial_current=np.where(keep > 0, -settled, 0.0),
        handing=None,
        current_decay=_float_decay(keep, 1 - keep),
        order="decay-add-use",
        gain=np.ones(population.size),
        membrane_decay=_float_decay(membrane_keep(population, dt_s), leak),
        current=Register(),
        membrane=Register(),
        initial_membrane=-offset,
        limits=Limits(),
        reset=population.reset if population.spiking else "none",
        spikes_max=1,
        refractory="freeze",
        rest=rest_ticks(population, dt_s),
        compare=population.compare,
        accumulate="sum",
    )


def _offset(population: Population) -> Floats:
    """Where the chip's 0 lies; readouts never reset."""
    return np.asarray(population.v_reset) * float(population.spiking)


def chip_side(fixed: FixedNetwork, chip: Chip, *, seed: int = 0) -> Side:
    """Take a network in a chip's integers.

    Parameters
    ----------
    seed : int
        Of the run, for stochastic rounding.

    Raises
    ------
    ValueError
        If the chip's rules cannot be mixed with others; says which.
    """
    _refuse_unmixable(fixed, chip)
    network = fixed.network
    loaded = _loaded(network, fixed.direct)
    first = {part.name: chip.arithmetic.input_latency for part in network.inputs}
    weights, late = {}, {}
    for index, projection in zip(loaded, fixed.projections, strict=True):
        part = fixed.population(projection.target)
        weights[index] = _in_network_units(projection, part, network, chip)
        late[index] = projection.delay + first.get(projection.source, 1)
    return Side(
        label=chip.name,
        network=network,
        direct=fixed.direct,
        cells=tuple(_chip_cells(p, fixed, chip) for p in network.populations),
        weights=weights,
        late=late,
        lag=lags(network, fixed.direct, chip.arithmetic.input_latency),
        timing="chip",
        seed=seed,
        whole_weights=not is_float("weights", chip),
    )


def _refuse_unmixable(fixed: FixedNetwork, chip: Chip) -> None:
    rules = chip.arithmetic
    problems = []
    if chip.core != "lists":
        problems.append(f"it has {chip.core} cores")
    if rules.axons != "counting":
        problems.append("several spikes on its axons are one (arithmetic.axons)")
    if any(part.sum_shift < 0 for part in fixed.populations):
        problems.append("sums of weights lose bits by a shift to the right")
    if problems:
        raise ValueError(f"{chip.name}: its effects cannot be told apart: {'; '.join(problems)}")


def _gain(population: Population, part: FixedPopulation, dt_s: float, chip: Chip) -> Floats:
    loaded = leak_of(part.keep_current, "current", chip)
    return current_gain(1 - current_keep(population, dt_s), loaded, chip)


def _in_network_units(
    projection: FixedProjection, part: FixedPopulation, network: Network, chip: Chip
) -> Linear:
    """What mantissas are worth, without what makes up for the decay of the current."""
    shift = part.sum_shift + projection.shift
    if chip.arithmetic.accumulate == "sum":
        shift += chip.numbers.input_shift
    worth = weights_of(projection.linear) * (2.0**shift) / part.scale
    linear = with_weights(projection.linear, worth)
    gain = _gain(network.population(part.name), part, network.dt_s, chip)
    return linear if np.all(gain == 1) else scaled(linear, by=1 / gain)


def _chip_decay(register: str, loaded: Array, chip: Chip) -> Decay:
    numbers, floats = chip.numbers, is_float("decays", chip)
    leak = leak_of(loaded, register, chip)
    return Decay(
        keep=1 - leak,
        leak=leak,
        whole=np.zeros(leak.size, np.int64) if floats else loaded.astype(np.int64),
        rule="float" if floats else getattr(chip.arithmetic, f"{register}_decay"),
        bits=numbers.decay_bits,
    )


def _limits(scale: float, chip: Chip) -> Limits:
    numbers, rules = chip.numbers, chip.arithmetic
    floats = {"input": "weights", "drive": "current"}

    def limit(register: str) -> tuple[str, int]:
        free = is_float(floats.get(register, register), chip)
        rule = "none" if free else getattr(rules, f"{register}_overflow")
        return rule, getattr(numbers, f"{register}_bits")

    return Limits(
        scale=scale, input=limit("input"), current=limit("current"), drive=limit("drive"),
        membrane=limit("membrane"), form=rules.membrane_form,
    )  # fmt: skip


def _chip_cells(population: Population, fixed: FixedNetwork, chip: Chip) -> Cells:
    part, rules, numbers = fixed.population(population.name), chip.arithmetic, chip.numbers
    current = _chip_decay("current", part.keep_current, chip)
    start = part.initial_current / part.scale
    if rules.current_order == "add-use-decay":  # is given as it is after its first decay
        start = np.where(current.keep > 0, start / np.where(current.keep > 0, current.keep, 1), 0.0)
    bits = numbers.membrane_fraction_bits
    fraction = ("none", 1.0)
    if is_float("membrane", chip) and bits is not None and rules.membrane_decay in FRACTIONS:
        fraction = (rules.membrane_decay, part.scale * 2.0**bits)
    n = part.size
    given = any(
        p.target == part.name and p.source in fixed.direct for p in fixed.network.projections
    )
    rest = np.zeros(n, np.int64) if part.refractory is None else np.maximum(part.refractory - 1, 0)
    return Cells(
        name=part.name,
        size=n,
        threshold=np.empty(0) if part.threshold is None else part.threshold / part.scale,
        bias=part.bias / part.scale,
        initial_current=start,
        handing=Handing(bias=part.bias, scale=part.scale, chip=chip) if given else None,
        current_decay=current,
        order=rules.current_order,
        gain=_gain(population, part, fixed.network.dt_s, chip),
        membrane_decay=_chip_decay("membrane", part.keep_membrane, chip),
        current=Register(scale=0.0 if is_float("current", chip) else part.scale),
        membrane=Register(
            scale=0.0 if is_float("membrane", chip) else part.scale, fraction=fraction
        ),
        initial_membrane=part.initial_membrane / part.scale,
        limits=_limits(part.scale, chip),
        reset=part.reset if part.threshold is not None else "none",
        spikes_max=max(part.spikes_max, 1),
        refractory=rules.refractory,
        rest=rest,
        compare=rules.compare,
        accumulate=rules.accumulate,
    )
