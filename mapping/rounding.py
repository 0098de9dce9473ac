"""Constants in a chip's formats: weights, decays, biases and thresholds.

Each function takes float64 in the population's scaled units and returns what is loaded: whole
numbers, or the values themselves where the chip keeps that variable in float.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from emulator.arithmetic import round_array
from emulator.chip import Chip

Floats = NDArray[np.float64]
Array = NDArray[Any]


def is_float(variable: str, chip: Chip) -> bool:
    """Whether a chip keeps a variable in float."""
    return variable in chip.arithmetic.float_variables


def mantissa_range(chip: Chip) -> tuple[int, int]:
    """Least and largest mantissa of a weight; with 1 bit there are -1 and +1 alone."""
    half = 2 ** (chip.numbers.weight_bits - 1)
    if half == 1:
        return -1, 1
    return (-(half - 1) if chip.arithmetic.weight_range == "symmetric" else -half), half - 1


def weight_step(exponent: int, chip: Chip) -> float:
    """Membrane units of a mantissa of 1."""
    # Spikes that are added one by one do not pass the shift of summed input.
    input_shift = 0 if chip.arithmetic.accumulate == "each" else chip.numbers.input_shift
    return float(2.0 ** (chip.numbers.weight_shift + exponent + input_shift))


def mantissas(exact: Floats, chip: Chip, rng: np.random.Generator) -> Floats:
    """Round weights that count in steps of their exponent; whole numbers in float64.

    With 1 bit the sign is left; a weight of exactly 0 stays no connection.
    """
    if is_float("weights", chip):
        return exact
    low, high = mantissa_range(chip)
    if chip.numbers.weight_bits == 1:
        return np.sign(exact)
    rounded = round_array(exact, chip.arithmetic.weight_rounding, rng)
    return np.asarray(np.clip(rounded, low, high), np.float64)


def membrane_limits(lowest: Floats, chip: Chip) -> tuple[Array, Array]:
    """Round lower limits of the membrane, -inf for none; beside them upper ones that limit nothing.

    ``power-of-two`` is a limit of 1 - 2^a, of which 0 is one: Loihi's.
    """
    numbers, rules = chip.numbers, chip.arithmetic
    if is_float("membrane", chip):
        return lowest, np.full(lowest.shape, np.inf)
    # A register that is not limited itself is bounded by what 64 bits hold.
    free = rules.membrane_overflow == "none"
    edge = 2**62 if free else 2 ** (numbers.membrane_bits - 1)
    least = np.clip(lowest, -edge, 0)
    if rules.membrane_floor == "power-of-two":
        least = 1 - 2.0 ** np.rint(np.log2(1 - least))
    return np.rint(least).astype(np.int64), np.full(lowest.shape, edge)


def bias_limit(chip: Chip) -> int:
    """Largest bias, in membrane units."""
    return int((2**chip.numbers.bias_bits - 1) << chip.numbers.bias_exponent_max)


def bias_integers(exact: Floats, chip: Chip) -> NDArray[np.int64]:
    """Round to mantissa and exponent, each neuron its own: ``mantissa << exponent``.

    Values beyond the format are cut to its edge.
    """
    numbers = chip.numbers
    limit = 2**numbers.bias_bits - 1
    if np.abs(exact).max(initial=0.0) <= limit:
        return np.rint(exact).astype(np.int64)
    need = np.ceil(np.log2(np.maximum(np.abs(exact) / limit, 1.0)))
    step = 2.0 ** np.minimum(need, numbers.bias_exponent_max)
    mantissa = np.clip(np.rint(exact / step), -limit, limit)
    whole: NDArray[np.int64] = (mantissa * step).astype(np.int64)
    return whole


def threshold_step(chip: Chip) -> int:
    """Membrane units between two neighbouring thresholds."""
    return int(2**chip.numbers.threshold_shift)


def threshold_limit(chip: Chip) -> float:
    """Largest threshold, in membrane units."""
    if is_float("thresholds", chip):
        return np.inf
    return float((2**chip.numbers.threshold_bits - 1) << chip.numbers.threshold_shift)


def thresholds(exact: Floats, chip: Chip, rng: np.random.Generator) -> Array:
    """Round thresholds, given in membrane units; at least one step."""
    if is_float("thresholds", chip):
        return exact
    step, limit = threshold_step(chip), 2**chip.numbers.threshold_bits - 1
    rounded = round_array(exact / step, chip.arithmetic.threshold_rounding, rng)
    whole: Array = np.clip(rounded, 1, limit).astype(np.int64) * step
    return whole


def decays(keep: Floats, register: str, chip: Chip, rng: np.random.Generator) -> Array:
    """Round the share that a register keeps each tick.

    Parameters
    ----------
    keep : float64 [n]
        0..1.
    register : {"current", "membrane"}

    Returns
    -------
    int64 or float64 [n]
        What is left of ``2**decay_bits``; a shift where the chip decays by shifts; the share
        itself where decays are float.
    """
    numbers, rules = chip.numbers, chip.arithmetic
    if register == "current" and rules.current_order == "add-decay-use":
        # Such a current decays before it is used: if it kept nothing, nothing would ever arrive.
        keep = np.maximum(keep, 0.5)
    if is_float("decays", chip):
        return keep
    if getattr(rules, f"{register}_decay") == "shift":
        most = 2**numbers.decay_bits - 1
        shift = -np.log2(np.maximum(1 - keep, 2.0 ** -(most + 1)))
        return np.asarray(np.clip(np.rint(shift), 0, most), np.int64)
    whole, offset = 2**numbers.decay_bits, getattr(numbers, f"{register}_decay_offset")
    field = round_array((1 - keep) * whole - offset, rules.decay_rounding, rng)
    kept: Array = (whole - offset - np.clip(field, 0, whole - 1)).astype(np.int64)
    return kept


def leak_of(loaded: Array, register: str, chip: Chip) -> Floats:
    """Share that is lost each tick, of a loaded decay."""
    if is_float("decays", chip):
        return 1 - loaded
    if getattr(chip.arithmetic, f"{register}_decay") == "shift":
        return np.asarray(2.0 ** -loaded.astype(np.float64))
    return np.asarray(1 - loaded / 2**chip.numbers.decay_bits)
