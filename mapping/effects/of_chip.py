"""A network in a chip's integers as one side of a comparison."""

import numpy as np

from emulator.arithmetic import FRACTIONS
from emulator.chip import Chip
from mapping.assemble import lags
from mapping.constants import current_gain
from mapping.effects.sides import Array, Cells, Decay, Handing, Limits, Register, Side, loaded
from mapping.fixed import FixedNetwork, FixedPopulation, FixedProjection
from mapping.linear import Floats, Linear, scaled, with_weights
from mapping.network import Network, Population, current_keep, weights_of
from mapping.rounding import is_float, leak_of


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
    numbers = loaded(network, fixed.direct)
    first = {part.name: chip.arithmetic.input_latency for part in network.inputs}
    weights, late = {}, {}
    for index, projection in zip(numbers, fixed.projections, strict=True):
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
    leak = leak_of(part.keep_current, "current", chip)
    return current_gain(1 - current_keep(population, dt_s), leak, chip)


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
