"""How many integer units one float unit of a population's membrane becomes.

Everything that meets in one neuron shares this scale: weights, bias, threshold. A large one rounds
finely, a small one leaves the registers room. The rule, from weak to strong:

1. *Fine*: thresholds, the smallest of them, leaks, biases and host currents that matter, and the
   largest weight round finely (the constants below). Weights follow the scale with their exponent,
   so they ask for something only at its lower end. Readouts ask for their whole register.
2. *Room*: registers hold what is plausible. In one tick, every source spikes once, all positive
   weights together or all negative ones (``input``); four such volleys at once or what their
   filter makes of a lasting one, whichever is less (``current``; with biases, ``drive``); and in
   the membrane `ROOM` thresholds, or all that can ever be in it if that is less. A readout
   settles under every source spiking in a quarter of all ticks. Biases, the host's currents and
   the largest weight fit their formats.
3. *Coarse*: for room, little is given up. The largest weight keeps a quarter of its mantissa (of a
   readout, which nothing but its sum depends on, an eighth), and of a wide one no more than
   `COARSE_WEIGHT_STEPS`, unless biases or currents would be cut, beside which such weights are
   nothing. The largest threshold keeps `COARSE_STEPS` whatever happens: a neuron that gets a
   hundred thresholds in a tick does the same with less.
4. *Must*: thresholds and resets fit; of a readout, what biases settle at, and one tick.

What leaves its format then is cut and told; what leaves its register is counted in the run.
The least scale that is fine is taken; integrators without a leak get the rest as room.
"""

from math import ceil, floor, inf, log2

import numpy as np

from emulator.chip import Chip
from mapping.errors import NetworkError
from mapping.linear import Linear
from mapping.load import NEAR_ZERO, ROOM, Load
from mapping.network import weights_of
from mapping.rounding import (
    bias_limit,
    is_float,
    mantissa_range,
    threshold_limit,
    threshold_step,
    weight_step,
)

FINE_STEPS = 256
"""Steps of the largest threshold: rounding changes it by less than 0.2 %."""
COARSE_STEPS = 64
FINE_WEIGHT_STEPS = 2**15
"""Steps of the largest weight; of wider weights the lowest bits stay unused for want of need."""
COARSE_WEIGHT_STEPS = 2**8
"""Steps of the largest weight beyond which room for its sums is worth more."""
SMALLEST_STEPS = 16
"""Steps of the smallest threshold of a population: less than about 3 %."""
DECAY_RESOLUTION = 2**8
"""Decays drop up to a unit a tick; the threshold is to be so many times what that adds up to."""
BIAS_UNITS = 8
"""Units of the smallest bias that matters."""
CURRENT_UNITS = 128
"""Units of the largest current that the host hands over."""


def choose_scale(load: Load, chip: Chip) -> float:
    """Return integer membrane units for one float unit; the head of this file says how.

    Raises
    ------
    NetworkError
        If thresholds are so small that no scale can be calculated.
    """
    if load.level < NEAR_ZERO:
        raise NetworkError(
            f"population {load.name!r}: the thresholds are at most {load.level:.3g} above v_reset, "
            f"too small a number to calculate with; give membrane and weights in larger units"
        )
    with np.errstate(over="ignore", under="ignore"):
        must = _must(load, chip)
        unit = _unit(load, chip, must)
        room, formats = _room(load, chip), _formats(load, chip, unit)
        coarse = max(min(_coarse_weight(load, chip, unit), formats), _coarse_threshold(load, chip))
        wanted = min(max(min(_fine(load, chip, unit), room, formats), coarse), must)
        if unit is not None:
            highest = min(must, max(min(room, formats), wanted))
            wanted = _whole_mantissa(wanted, unit, chip, coarse, highest)
        if wanted <= 0:
            wanted = 1 / load.level  # registers that hold nothing suit any scale
    return _exact_threshold(wanted, load, chip)


def reference_weight(linear: Linear, chip: Chip) -> float:
    """Weight that the exponent is chosen for: the largest, or the mean if only signs are stored."""
    sizes = np.abs(weights_of(linear))
    if chip.numbers.weight_bits == 1:
        return float(sizes[sizes > 0].mean()) if np.any(sizes > 0) else 0.0
    return float(sizes.max(initial=0.0))


def weight_exponent(largest: float, chip: Chip) -> int:
    """Smallest exponent at which a weight in membrane units still fits."""
    numbers = chip.numbers
    # The largest may round down to the last mantissa, but not up past it.
    slack = 0.499 if chip.arithmetic.weight_rounding == "nearest-even" else 0.0
    if numbers.weight_bits == 1:
        slack = 2**0.5 - 1  # the nearest power of 2
    steps = largest / ((mantissa_range(chip)[1] + slack) * weight_step(0, chip))
    if steps <= 2.0**numbers.weight_exponent_min:
        return numbers.weight_exponent_min
    if steps >= 2.0**numbers.weight_exponent_max:
        return numbers.weight_exponent_max
    return ceil(log2(steps))


def _edge(register: str, chip: Chip) -> float:
    """Largest value of a register; infinite if it has none, or overflow is no rule of the chip."""
    rules, numbers = chip.arithmetic, chip.numbers
    floats = {"input": "weights", "drive": "current"}.get(register, register)
    if is_float(floats, chip) or getattr(rules, f"{register}_overflow") == "none":
        return inf
    return float(2 ** (getattr(numbers, f"{register}_bits") - 1) - 1)


def _ratio(limit: float, load: float) -> float:
    return limit / load if load > 0 else inf


def _must(load: Load, chip: Chip) -> float:
    # A register in float holds anything; its width still says what the other numbers suit.
    edge = float(2 ** (chip.numbers.membrane_bits - 1) - 1)
    limit = edge if load.height is None else min(edge, threshold_limit(chip))
    return min(_ratio(limit, load.must_hold), _ratio(edge, load.v_reset))


def _unit(load: Load, chip: Chip, must: float) -> float | None:
    """Scale at which the largest weight uses its whole mantissa with an exponent of 0.

    None without weights, or if even the largest scale would round them all to 0.
    """
    least = weight_step(chip.numbers.weight_exponent_min, chip)
    if load.weight * must < least / 2:
        return None
    return mantissa_range(chip)[1] * weight_step(0, chip) / load.weight


def _formats(load: Load, chip: Chip, unit: float | None) -> float:
    """Largest scale at which biases, the host's currents and the largest weight are not cut."""
    given = np.abs(load.bias) + (load.host if load.host_known else 0.0)
    most = inf if unit is None else unit * 2.0**chip.numbers.weight_exponent_max
    return min(_ratio(bias_limit(chip), float(given.max())), most)


def _room(load: Load, chip: Chip) -> float:
    """Largest scale at which each register holds what is plausible."""
    drive = load.current + np.abs(load.bias) + load.host
    # Currents that are not known may be larger than 1; a readout has room for that.
    unknown = ROOM if load.height is None and not load.host_known else 1
    return min(
        _ratio(_edge("input", chip), float(load.volley.max())),
        _ratio(_edge("current", chip), float(load.current.max())),
        _ratio(_edge("drive", chip), float(drive.max())),
        _ratio(_edge("membrane", chip), load.membrane),
        _ratio(bias_limit(chip), unknown * float(np.max(load.host))),
    )


def _fine(load: Load, chip: Chip, unit: float | None) -> float:
    """Scale from which on everything rounds finely."""
    steps = min(mantissa_range(chip)[1], FINE_WEIGHT_STEPS)
    wishes = [0.0 if unit is None else _of_steps(steps, load, chip)]
    leak = np.concatenate([load.current_leak, load.membrane_leak])
    decay = DECAY_RESOLUTION / leak.min(initial=1.0, where=leak > 0) / load.level
    if load.height is not None:
        step = threshold_step(chip)
        wishes += [
            FINE_STEPS * step / load.level,
            SMALLEST_STEPS * step / float(np.maximum(load.height, NEAR_ZERO).min()),
            decay,
        ]
    else:
        # Where a readout settles is known, so it can have the whole register.
        edge = float(2 ** (chip.numbers.membrane_bits - 1) - 1)
        known = load.host_known or not np.any(load.host)
        bounded = known and bool(np.all(load.membrane_leak > 0))
        wishes.append(edge / load.level if bounded else max(decay, edge / ROOM / load.level))
    biases = np.abs(load.bias[load.bias_matters])
    if biases.size:
        wishes.append(BIAS_UNITS / float(biases.min()))
    if load.host_known and np.max(load.host) > 0:
        wishes.append(CURRENT_UNITS / float(np.max(load.host)))
    return max(wishes)


def _coarse_weight(load: Load, chip: Chip, unit: float | None) -> float:
    """Scale at which the largest weight has lost as many bits as it may."""
    if unit is None:
        return 0.0
    kept = mantissa_range(chip)[1] / (8 if load.height is None else 4)
    return _of_steps(min(kept, COARSE_WEIGHT_STEPS), load, chip)


def _of_steps(steps: float, load: Load, chip: Chip) -> float:
    """Scale at which the largest weight has so many steps of the lowest exponent."""
    return steps * weight_step(chip.numbers.weight_exponent_min, chip) / load.weight


def _coarse_threshold(load: Load, chip: Chip) -> float:
    """Scale at which the largest threshold has the least steps."""
    return 0.0 if load.height is None else COARSE_STEPS * threshold_step(chip) / load.level


def _whole_mantissa(scale: float, unit: float, chip: Chip, lowest: float, highest: float) -> float:
    """Move to the next scale at which the largest weight uses its whole mantissa, if one is near."""
    exponent = ceil(log2(scale / unit))
    if unit * 2.0**exponent > highest:
        exponent -= 1
    numbers, moved = chip.numbers, unit * 2.0**exponent
    known = numbers.weight_exponent_min <= exponent <= numbers.weight_exponent_max
    return moved if known and lowest <= moved <= highest else scale


def _exact_threshold(scale: float, load: Load, chip: Chip) -> float:
    """Lower the scale by less than a step so that a threshold shared by all is not rounded."""
    if load.height is None or is_float("thresholds", chip):
        return scale
    height, step = load.height, threshold_step(chip)
    steps = floor(scale * height[0] / step)
    if steps < 1 or np.any(height != height[0]):
        return scale
    return float(steps * step / height[0])
