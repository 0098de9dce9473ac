"""Loihi's weight formats: which mantissas a weight of few bits can have.

A synapse stores 8 bits of magnitude; with fewer bits, or with both signs in one list, the lowest
bits are always zero. How a weight gets there differs between the published models.
"""

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from emulator.arithmetic import ROUNDINGS
from emulator.chip import Chip

Array = NDArray[Any]
Signs = Literal["mixed", "excitatory", "inhibitory"]


def unlike_loihi(chip: Chip) -> list[str]:
    """Say in what a chip's formats and rules differ from those that Loihi's integers are meant for.

    Widths of registers and their overflow may differ; what a number is worth may not.
    """
    numbers, rules = chip.numbers, chip.arithmetic
    wrong = [
        f"{name} is {value}, not {wanted}"
        for name, value, wanted in (
            ("core", chip.core, "lists"),
            ("numbers.weight_shift", numbers.weight_shift, 1),
            ("numbers.input_shift", numbers.input_shift, 6),
            ("numbers.threshold_shift", numbers.threshold_shift, 6),
            ("numbers.threshold_bits", numbers.threshold_bits, 17),
            ("numbers.bias_bits", numbers.bias_bits, 12),
            ("numbers.bias_exponent_max", numbers.bias_exponent_max, 7),
            ("numbers.decay_bits", numbers.decay_bits, 12),
            ("arithmetic.accumulate", rules.accumulate, "sum"),
            ("arithmetic.membrane_form", rules.membrane_form, "sum"),
            ("arithmetic.float_variables", list(rules.float_variables), []),
        )
        if value != wanted
    ]
    if "shift" in (rules.current_decay, rules.membrane_decay):
        wrong.append("it decays by shifts")
    return wrong


def signs_of(weights: Array) -> Signs:
    """Sign mode that a list of weights asks for; one of zeros alone is excitatory."""
    if weights.size == 0 or weights.min() >= 0:
        return "excitatory"
    return "inhibitory" if weights.max() <= 0 else "mixed"


def step_bits(bits: int, signs: Signs) -> int:
    """Lowest bits that are always 0 in weights of so many bits."""
    return 8 - bits + (signs == "mixed")


def mantissas(
    weights: Array,
    *,
    bits: int,
    signs: Signs,
    rounding: str,
    weight_range: str,
    rng: np.random.Generator | None = None,
) -> Array:
    """Bring weights into a list's format.

    Parameters
    ----------
    weights : array
        In units of the format: magnitudes up to 255 or 256.
    bits : int
        Bits of each weight, 1 to 8, its sign included where signs are mixed.
    signs : {"mixed", "excitatory", "inhibitory"}
    rounding : str
        ``floor`` (Lava), ``nearest-even`` (nengo-loihi), ``toward-zero`` (brian2-loihi), or
        another of `emulator.arithmetic.ROUNDINGS`; magnitudes are rounded where all are negative.
        Weights beyond the range, or of the other sign, are cut at its edge.
    weight_range : {"symmetric", "full", "full-256"}
        ±254 for mixed lists (nengo-loihi); -256 to 254, and 255 where all have one sign (Lava);
        the same, but negative lists reach -256 (brian2-loihi).

    Returns
    -------
    int64 array
        Multiples of ``2**(8 - bits)``, twice that where signs are mixed.

    Raises
    ------
    ValueError
        If the number of bits is not there.
    """
    if not 1 <= bits <= 8:
        raise ValueError(f"weights have 1 to 8 bits, not {bits}")
    step = 2 ** step_bits(bits, signs)
    sign = -1 if signs == "inhibitory" else 1
    values = sign * np.asarray(weights, np.float64)
    if weight_range == "symmetric":
        most = 256 // step - 1
        units = np.clip(ROUNDINGS[rounding](values / step, rng), -most, most)
    else:
        lowest = -256 if signs == "mixed" else 0
        highest = 256 if signs == "inhibitory" and weight_range == "full-256" else 255
        units = ROUNDINGS[rounding](np.clip(values, lowest, highest) / step, rng)
    whole: Array = (sign * units * step).astype(np.int64)
    return whole


def shifted(mantissa: Array, exponent: int) -> Array:
    """Apply a weight's exponent to the weight itself, rounding down where it loses bits."""
    if exponent >= 0:
        return mantissa << exponent
    return mantissa >> -exponent


def loaded(mantissa: Array, *, step_bits: int, exponent: int, chip: Chip) -> tuple[Array, int]:
    """Apply a weight's exponent as the chip does.

    Parameters
    ----------
    mantissa : int64 array
        Multiples of ``2**step_bits``.

    Returns
    -------
    (weights, sum_exponent)
        What synapses hold, and the exponent that is left for the sum of a tick.
    """
    rules, bits = chip.arithmetic, chip.numbers.shifted_weight_bits
    if rules.weight_exponent_on == "sum":
        return mantissa, exponent
    if rules.weight_exponent_on == "synapse-coarsened":
        mantissa = coarsened(mantissa, step_bits=step_bits, exponent=exponent)
    weight, half = shifted(mantissa, exponent), 2 ** (bits - 1)
    if rules.shifted_weight_overflow == "saturate":
        weight = np.clip(weight, 1 - half, half - 1)
    elif rules.shifted_weight_overflow == "wrap":
        weight = (weight + half) % (2 * half) - half
    return weight, 0


def coarsened(mantissa: Array, *, step_bits: int, exponent: int) -> Array:
    """Round mantissas so that a negative exponent loses no bit (nengo-loihi).

    Parameters
    ----------
    mantissa : int64 array
        Multiples of ``2**step_bits``, symmetric.
    exponent : int
        Of the weight.
    """
    total = step_bits + exponent
    if total >= 0:
        return mantissa
    most = 2 ** (8 - step_bits) - 1
    units = mantissa // 2**step_bits
    rounded = np.clip(np.rint(units * 2.0**total) / 2.0**total, -most, most)
    whole: Array = np.trunc(rounded).astype(np.int64) * 2**step_bits
    return whole
