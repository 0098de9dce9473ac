"""Integer rules by name: how decays round, what overflows do, when a threshold is reached.

Every table maps a name that a chip file may use to the small function that does it. A machine is
put together from them (`emulator.machine`), so a rule that is not chosen is not in the compiled
code, and a new rule is one function and one line of a table here.

Published models that use each rule: Lava 0.10 (fixed point), nengo-loihi 1.1 (emulator),
brian2-loihi 0.5.2, XyloSim 0.1.3.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from traces.jit import inlined

# Bound by `emulator.machine`: 64-bit integers, or 32-bit ones where nothing can leave those.
whole: Callable[[Any], int] = int
WIDEST_SHIFT = 63


@inlined
def product_wide(x: int, keep: int, bits: int) -> tuple[int, int]:
    """``x * keep / 2**bits`` rounded down, and what was cut off in units of 2**-bits."""
    product = int(x) * int(keep)
    below = product >> bits
    return below, product - (below << bits)


@inlined
def product_split(x: int, keep: int, bits: int) -> tuple[int, int]:
    """The same in two halves, neither of which is wider than x if ``bits`` is at most 15."""
    mask = (1 << bits) - 1
    low = whole((int(x) & mask) * int(keep))
    return whole(whole(int(x) >> bits) * int(keep) + whole(low >> bits)), whole(low & mask)


product: Callable[..., tuple[int, int]] = product_wide

# Decays: what is left of x after one tick. ``keep`` counts in 2**-bits; ``noise`` is uniform in
# 0..2**32 and used by stochastic rounding alone.


@inlined
def keep_toward_zero(x: int, keep: int, bits: int, noise: int) -> int:
    """``x * keep / 2**bits``, rounded towards zero (Davies et al., IEEE Micro 38(1), 2018)."""
    below, rest = product(x, keep, bits)
    return whole(below + (1 if (x < 0) & (rest != 0) else 0))


@inlined
def keep_away(x: int, keep: int, bits: int, noise: int) -> int:
    """The same, rounded away from zero."""
    below, rest = product(x, keep, bits)
    return whole(below + (1 if (x >= 0) & (rest != 0) else 0))


@inlined
def keep_floor(x: int, keep: int, bits: int, noise: int) -> int:
    """The same, rounded down: an arithmetic shift."""
    below, _ = product(x, keep, bits)
    return whole(below)


@inlined
def keep_nearest_even(x: int, keep: int, bits: int, noise: int) -> int:
    """The same, rounded to the nearest, halves to the even one."""
    below, rest = product(x, keep, bits)
    half = 1 << (bits - 1)
    return whole(below + (1 if (rest > half) | ((rest == half) & ((below & 1) == 1)) else 0))


@inlined
def keep_stochastic(x: int, keep: int, bits: int, noise: int) -> int:
    """The same, rounded up with a probability equal to the fraction that is cut off."""
    below, rest = product(x, keep, bits)
    return whole(below + (1 if int(noise) >> (32 - bits) < rest else 0))


@inlined
def keep_by_shift(x: int, keep: int, bits: int, noise: int) -> int:
    """Subtract ``x >> keep``, but at least 1 from a positive x (XyloSim)."""
    less = whole(int(x) >> int(keep))
    return whole(int(x) - (1 if (less == 0) & (x > 0) else less))


@inlined
def keep_float(x: float, keep: float, bits: int, noise: int) -> float:
    """Register and factor in float, nothing rounded."""
    return float(x) * float(keep)


@inlined
def keep_in_float(x: float, keep: int, bits: int, noise: int) -> float:
    """A register in float whose factor counts in 2**-bits."""
    return float(x) * float(keep) * (1.0 / (1 << bits))


@inlined
def keep_rounded_float(x: int, keep: float, bits: int, noise: int) -> int:
    """A factor in float on an integer register, rounded to the nearest, halves to the even one."""
    return int(np.rint(float(x) * float(keep)))


DECAYS = {
    "toward-zero": keep_toward_zero,
    "away": keep_away,
    "floor": keep_floor,
    "nearest-even": keep_nearest_even,
    "stochastic": keep_stochastic,
    "shift": keep_by_shift,
}


# Fractions: what a register in float keeps of a value, in steps of 2**-bits.


@inlined
def cut_toward_zero(x: float, bits: int) -> float:
    """Cut what lies behind the last bit (SANA-FE: ``trunc(64 v) / 64``)."""
    return float(np.trunc(x * math.pow(2.0, bits))) * math.pow(2.0, -bits)


@inlined
def cut_away(x: float, bits: int) -> float:
    """The same, rounded away from zero."""
    return math.copysign(float(np.ceil(abs(x) * math.pow(2.0, bits))) * math.pow(2.0, -bits), x)


@inlined
def cut_floor(x: float, bits: int) -> float:
    """The same, rounded down."""
    return float(np.floor(x * math.pow(2.0, bits))) * math.pow(2.0, -bits)


@inlined
def cut_nearest_even(x: float, bits: int) -> float:
    """The same, rounded to the nearest, halves to the even one."""
    return float(np.rint(x * math.pow(2.0, bits))) * math.pow(2.0, -bits)


FRACTIONS = {
    "toward-zero": cut_toward_zero,
    "away": cut_away,
    "floor": cut_floor,
    "nearest-even": cut_nearest_even,
}


# Overflow: what a register of so many bits, sign included, makes of a value.


@inlined
def unlimited(x: float, bits: int) -> float:
    """No limit."""
    return x


@inlined
def wrap(x: int, bits: int) -> int:
    """Two's complement: -2**(bits-1) .. 2**(bits-1) - 1."""
    half = 1 << (bits - 1)
    return whole((whole(int(x) + half) & (2 * half - 1)) - half)


@inlined
def saturate(x: int, bits: int) -> int:
    """Cut at a sign and a magnitude: ±(2**(bits-1) - 1) (Loihi's membrane)."""
    most = (1 << (bits - 1)) - 1
    return whole(min(max(int(x), -most), most))


@inlined
def saturate_twos(x: int, bits: int) -> int:
    """Cut at the range of two's complement (XyloSim)."""
    half = 1 << (bits - 1)
    return whole(min(max(int(x), -half), half - 1))


@inlined
def wrap_once(x: int, bits: int) -> int:
    """Correct by 2**bits a single time; legal are -2**(bits-1) + 1 .. 2**(bits-1) (Lava)."""
    half = 1 << (bits - 1)
    return whole(int(x) - (2 * half if x > half else 0) + (2 * half if x <= -half else 0))


OVERFLOWS = {
    "none": unlimited,
    "wrap": wrap,
    "saturate": saturate,
    "saturate-twos": saturate_twos,
    "wrap-once": wrap_once,
}


@inlined
def above(v: float, threshold: float) -> bool:
    """Strictly above the threshold."""
    return v > threshold


@inlined
def reached(v: float, threshold: float) -> bool:
    """Above the threshold or exactly on it."""
    return v >= threshold


COMPARES = {">": above, ">=": reached}


# Shifts of summed weights into the current register; to the right they round down.


@inlined
def shift_integer(x: int, by: int) -> int:
    """``x * 2**by``, rounded down."""
    # Compilers take the narrow shift only where they see that it is no wider than the register.
    return whole(
        whole(int(x) << (max(int(by), 0) & WIDEST_SHIFT)) >> (max(-int(by), 0) & WIDEST_SHIFT)
    )


@inlined
def shift_float(x: float, factor: float) -> float:
    """``x * 2**by``, where the factor is that power of 2."""
    return float(x) * float(factor)


@inlined
def unchanged(x: float) -> float:
    """Enter a register of the same kind."""
    return x


@inlined
def to_integer(x: float) -> int:
    """Enter an integer register: the nearest, halves to the even one."""
    return int(np.rint(x))


@inlined
def hashed(a: int, b: int, c: int, d: int) -> int:
    """32 well-mixed bits of four numbers.

    Noise is a function of what it is for, so neither placement nor order changes it. Each round
    multiplies by an odd number of 27 bits, so that nothing leaves 64 bits.
    """
    mixed = 0
    for part in (a, b, c, d):
        mixed = (mixed ^ (int(part) & 0xFFFFFFFF)) + 0x1E3779B9
        for _ in range(3):
            mixed = (((mixed >> 16) ^ mixed) * 0x45D9F3B) & 0xFFFFFFFF
    return (mixed >> 16) ^ mixed


@inlined
def silent(a: int, b: int, c: int, d: int) -> int:
    """No noise, for rules that need none."""
    return 0


def round_array(values: np.ndarray, rule: str, rng: np.random.Generator) -> np.ndarray:
    """Round constants, as weights and thresholds are rounded once.

    Parameters
    ----------
    values : float64 array
    rule : str
        A key of `ROUNDINGS`.
    rng : Generator
        For stochastic rounding alone.
    """
    return np.asarray(ROUNDINGS[rule](np.asarray(values, np.float64), rng))


ROUNDINGS = {
    "nearest-even": lambda x, rng: np.rint(x),
    "floor": lambda x, rng: np.floor(x),
    "toward-zero": lambda x, rng: np.trunc(x),
    "away": lambda x, rng: np.copysign(np.ceil(np.abs(x)), x),
    "stochastic": lambda x, rng: np.floor(x + rng.random(np.shape(x))),
}
