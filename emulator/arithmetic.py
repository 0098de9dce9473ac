"""Integer rules by name: how decays round, what overflows do, when a threshold is reached.

Every table maps a name that a chip file may use to the small function that does it. A machine is
put together from them (`emulator.machine`), so a rule that is not chosen is not in the compiled
code, and a new rule is one function and one line of a table here.

Published models that use each rule: Lava 0.10 (fixed point), nengo-loihi 1.1 (emulator),
brian2-loihi 0.5.2, XyloSim 0.1.3.
"""

import math

import numpy as np

from traces.jit import kernel

# Decays: what is left of x after one tick. ``keep`` counts in 2**-bits; ``noise`` is uniform in
# 0..2**32 and used by stochastic rounding alone.


@kernel
def keep_toward_zero(x: int, keep: int, bits: int, noise: int) -> int:
    """``x * keep / 2**bits``, rounded towards zero (Davies et al., IEEE Micro 38(1), 2018)."""
    size = (abs(int(x)) * int(keep)) >> bits
    return size if x >= 0 else -size


@kernel
def keep_away(x: int, keep: int, bits: int, noise: int) -> int:
    """The same, rounded away from zero."""
    size = (abs(int(x)) * int(keep) + (1 << bits) - 1) >> bits
    return size if x >= 0 else -size


@kernel
def keep_floor(x: int, keep: int, bits: int, noise: int) -> int:
    """The same, rounded down: an arithmetic shift."""
    return (int(x) * int(keep)) >> bits


@kernel
def keep_nearest_even(x: int, keep: int, bits: int, noise: int) -> int:
    """The same, rounded to the nearest, halves to the even one."""
    product = int(x) * int(keep)
    whole = product >> bits
    rest = product - (whole << bits)
    half = 1 << (bits - 1)
    if rest > half or (rest == half and (whole & 1)):
        return whole + 1
    return whole


@kernel
def keep_stochastic(x: int, keep: int, bits: int, noise: int) -> int:
    """The same, rounded up with a probability equal to the fraction that is cut off."""
    product = int(x) * int(keep)
    whole = product >> bits
    rest = product - (whole << bits)
    return whole + (1 if int(noise) >> (32 - bits) < rest else 0)


@kernel
def keep_by_shift(x: int, keep: int, bits: int, noise: int) -> int:
    """Subtract ``x >> keep``, but at least 1 from a positive x (XyloSim)."""
    less = int(x) >> int(keep)
    return int(x) - (1 if less == 0 and x > 0 else less)


@kernel
def keep_float(x: float, keep: float, bits: int, noise: int) -> float:
    """Register and factor in float, nothing rounded."""
    return float(x) * float(keep)


@kernel
def keep_in_float(x: float, keep: int, bits: int, noise: int) -> float:
    """A register in float whose factor counts in 2**-bits."""
    return float(x) * float(keep) * math.pow(2.0, -bits)


@kernel
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


@kernel
def cut_toward_zero(x: float, bits: int) -> float:
    """Cut what lies behind the last bit (SANA-FE: ``trunc(64 v) / 64``)."""
    return float(np.trunc(x * math.pow(2.0, bits))) * math.pow(2.0, -bits)


@kernel
def cut_away(x: float, bits: int) -> float:
    """The same, rounded away from zero."""
    return math.copysign(float(np.ceil(abs(x) * math.pow(2.0, bits))) * math.pow(2.0, -bits), x)


@kernel
def cut_floor(x: float, bits: int) -> float:
    """The same, rounded down."""
    return float(np.floor(x * math.pow(2.0, bits))) * math.pow(2.0, -bits)


@kernel
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


@kernel
def unlimited(x: float, bits: int) -> float:
    """No limit."""
    return x


@kernel
def wrap(x: int, bits: int) -> int:
    """Two's complement: -2**(bits-1) .. 2**(bits-1) - 1."""
    half = 1 << (bits - 1)
    return ((int(x) + half) & (2 * half - 1)) - half


@kernel
def saturate(x: int, bits: int) -> int:
    """Cut at a sign and a magnitude: ±(2**(bits-1) - 1) (Loihi's membrane)."""
    most = (1 << (bits - 1)) - 1
    return min(max(int(x), -most), most)


@kernel
def saturate_twos(x: int, bits: int) -> int:
    """Cut at the range of two's complement (XyloSim)."""
    half = 1 << (bits - 1)
    return min(max(int(x), -half), half - 1)


@kernel
def wrap_once(x: int, bits: int) -> int:
    """Correct by 2**bits a single time; legal are -2**(bits-1) + 1 .. 2**(bits-1) (Lava)."""
    half = 1 << (bits - 1)
    if x > half:
        return int(x) - 2 * half
    if x <= -half:
        return int(x) + 2 * half
    return int(x)


OVERFLOWS = {
    "none": unlimited,
    "wrap": wrap,
    "saturate": saturate,
    "saturate-twos": saturate_twos,
    "wrap-once": wrap_once,
}


@kernel
def above(v: float, threshold: float) -> bool:
    """Strictly above the threshold."""
    return v > threshold


@kernel
def reached(v: float, threshold: float) -> bool:
    """Above the threshold or exactly on it."""
    return v >= threshold


COMPARES = {">": above, ">=": reached}


# Shifts of summed weights into the current register; to the right they round down.


@kernel
def shift_integer(x: int, by: int) -> int:
    """``x * 2**by``, rounded down."""
    return int(x) << int(by) if by >= 0 else int(x) >> -int(by)


@kernel
def shift_float(x: float, by: int) -> float:
    """``x * 2**by``."""
    return float(x) * math.pow(2.0, int(by))


@kernel
def unchanged(x: float) -> float:
    """Enter a register of the same kind."""
    return x


@kernel
def to_integer(x: float) -> int:
    """Enter an integer register: the nearest, halves to the even one."""
    return int(np.rint(x))


@kernel
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


@kernel
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
