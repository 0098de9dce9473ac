"""Registers that are whole or in float: how they decay, and what they make of values they cannot hold.

Integer decays are those of `emulator.arithmetic`; limits are the same rules for values that may be
no whole numbers.
"""

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from emulator import arithmetic
from traces.jit import inlined, kernel

Array = NDArray[Any]

DECAY_RULES = ("float", *arithmetic.DECAYS)
FLOAT, TOWARD_ZERO, AWAY, FLOOR, NEAREST_EVEN, STOCHASTIC, SHIFT = range(7)
OVERFLOW_RULES = tuple(arithmetic.OVERFLOWS)
UNLIMITED, WRAP, SATURATE, SATURATE_TWOS, WRAP_ONCE = range(5)
FRACTION_RULES = ("none", *arithmetic.FRACTIONS)


class Rules(NamedTuple):
    """Rules of one population.

    ``current_scale``, ``membrane_scale``: integers for one network unit, 0 for a register in
    float. ``limit_scale``: the same, of the limits. ``*_fit`` and ``*_bits``: overflow rule and
    width. ``input_whole``, ``drive_whole``: whether these sums are made of integers alone.
    """

    order: int
    current_scale: float
    current_decay: int
    current_decay_bits: int
    membrane_scale: float
    membrane_decay: int
    membrane_decay_bits: int
    fraction: int
    fraction_scale: float
    form: int
    limit_scale: float
    input_fit: int
    input_bits: int
    input_whole: bool
    current_fit: int
    current_bits: int
    drive_fit: int
    drive_bits: int
    drive_whole: bool
    membrane_fit: int
    membrane_bits: int
    reset: int
    most: int
    reached: bool
    refractory: int
    each: bool
    noisy: bool


class Columns(NamedTuple):
    """Constants of one population's neurons [n], in network units where they have any.

    ``keep_*``: share kept each tick; ``whole_*`` int64: the same as the chip counts it.
    ``leak``: share that a membrane in float loses. ``rest`` int64: ticks of rest after a spike.
    ``identity`` int64: number of the neuron in the network.
    """

    keep_current: Array
    whole_current: Array
    keep_membrane: Array
    leak: Array
    whole_membrane: Array
    threshold: Array
    rest: Array
    identity: Array


class Registers(NamedTuple):
    """What changes; float64 [n], ``above`` bool, ``resting`` int64.

    ``used``: the current as it was used. ``reached``: the membrane that was compared with the
    threshold. ``spilled`` int64 [4]: values that left their register, as `emulator.neuron.VARIABLES`.
    """

    current: Array
    membrane: Array
    used: Array
    reached: Array
    above: Array
    resting: Array
    spilled: Array


@inlined
def fit(x: float, rule: int, bits: int) -> float:
    """What a register of so many bits makes of a value, whole or not."""
    if rule == UNLIMITED:
        return x
    half = math.pow(2.0, float(bits - 1))
    if rule == SATURATE:
        return min(max(x, 1.0 - half), half - 1.0)
    if rule == SATURATE_TWOS:
        return min(max(x, -half), half - 1.0)
    if rule == WRAP_ONCE:
        return x - (2.0 * half if x > half else 0.0) + (2.0 * half if x <= -half else 0.0)
    return x - 2.0 * half * math.floor((x + half) / (2.0 * half))


@kernel
def decayed(x: float, keep: float, whole: int, rule: int, bits: int, noise: int) -> float:
    """What a whole register keeps after a tick."""
    if rule == FLOAT:
        return float(np.rint(x * keep))
    value, kept = int(x), int(whole)
    if rule == TOWARD_ZERO:
        return float(arithmetic.keep_toward_zero(value, kept, bits, noise))
    if rule == AWAY:
        return float(arithmetic.keep_away(value, kept, bits, noise))
    if rule == FLOOR:
        return float(arithmetic.keep_floor(value, kept, bits, noise))
    if rule == NEAREST_EVEN:
        return float(arithmetic.keep_nearest_even(value, kept, bits, noise))
    if rule == STOCHASTIC:
        return float(arithmetic.keep_stochastic(value, kept, bits, noise))
    return float(arithmetic.keep_by_shift(value, kept, bits, noise))


@inlined
def cut(x: float, rule: int, scale: float) -> float:
    """Keep so much of a fraction, in steps of 1 / scale."""
    if rule == 0:
        return x
    steps = x * scale
    if rule == 1:
        return float(np.trunc(steps)) / scale
    if rule == 2:
        return math.copysign(float(np.ceil(abs(steps))), x) / scale
    if rule == 3:
        return float(np.floor(steps)) / scale
    return float(np.rint(steps)) / scale


@inlined
def crosses(v: float, threshold: float, reached: bool) -> bool:
    """Whether a neuron fires."""
    return v >= threshold if reached else v > threshold


@inlined
def limited_current(u: float, rules: Rules, spilled: Array) -> float:
    """What the current's register takes of a value in its own units."""
    ratio = rules.limit_scale
    if rules.current_scale > 0:
        ratio = rules.limit_scale / rules.current_scale
    wanted = u * ratio
    taken = fit(wanted, rules.current_fit, rules.current_bits)
    if taken == wanted:
        return u
    spilled[1] += 1
    return float(np.rint(taken / ratio)) if rules.current_scale > 0 else taken / ratio


@inlined
def entered(x: float, scale: float) -> float:
    """Enter a register from network units."""
    return float(np.rint(x * scale)) if scale > 0 else x


@inlined
def limited_membrane(v: float, rules: Rules, spilled: Array) -> float:
    """What the membrane's register takes of a value in its own units."""
    ratio = rules.limit_scale
    if rules.membrane_scale > 0:
        ratio = rules.limit_scale / rules.membrane_scale
    wanted = v * ratio
    taken = fit(wanted, rules.membrane_fit, rules.membrane_bits)
    if taken == wanted:
        return v
    spilled[3] += 1
    return float(np.rint(taken / ratio)) if rules.membrane_scale > 0 else taken / ratio
