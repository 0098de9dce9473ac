"""nengo-loihi's way from float to integers, as one selectable rule (nengo-loihi 1.1.0).

It scales a whole block of neurons at once: the largest weight into it gets the largest mantissa,
and thresholds and biases follow, with corrections for what rounding takes from decaying states.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mapping.weight_rules import coarsened, mantissas, shifted

Array = NDArray[Any]

_DECAY_START = 2097152
_LOST_PER_TICK = 0.494
"""Mean of what rounding towards zero takes from a decaying value each tick, in units."""
_THRESHOLD_MAX = 131071 * 64
_BIAS_MAX = 4095 * 128
_EXPONENT_MIN = -7


@dataclass(frozen=True, kw_only=True, eq=False)
class Block:
    """Neurons in float that share cores; arrays float [n].

    As Nengo has it, currents and membranes are low-pass filters: a constant input of 1 settles at
    1, unless the membrane does not leak.

    Attributes
    ----------
    current_leak, membrane_leak : float
        Share of the state that a tick takes; 0 for a membrane without a leak.
    rest_ticks : int
        Ticks of rest after a spike.
    bias, threshold : float [n]
    voltage_min, voltage_max : float
    weights : tuple of float [n, n_pre]
        One matrix for each group of synapses.
    """

    current_leak: float
    membrane_leak: float
    rest_ticks: int
    bias: Array
    threshold: Array
    voltage_min: float
    voltage_max: float
    weights: tuple[Array, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class FixedBlock:
    """The same in integers; ``weights`` hold mantissa times exponent, before the shift by 6.

    ``scale``: integer membrane units of a float unit. ``refractory`` counts the tick of the spike.
    """

    scale: float

    decay_u: int
    decay_v: int
    refractory: int
    bias: Array
    threshold: Array
    membrane_min: int
    membrane_max: int
    weights: tuple[Array, ...]


def discretise(block: Block) -> FixedBlock:
    """Round a block as nengo-loihi does.

    Raises
    ------
    ValueError
        If no weight exponent lets the thresholds and biases fit.
    """
    decay_u = int(np.rint(np.clip(4095 * block.current_leak - 1, 0, 4095)))
    decay_v = int(np.rint(4095 * block.membrane_leak))
    of_current = 1 / _expected_sum(decay_u, 1)
    of_membrane = 1 / _expected_sum(decay_v, 0) if decay_v else 1.0
    largest = max(
        (float(np.abs(w.astype(np.float32)).max(initial=0)) for w in block.weights), default=0
    )
    bias, threshold = (
        a.astype(np.float32).astype(np.float64) for a in (block.bias, block.threshold)
    )
    # Without weights, as if the threshold were the largest of them.
    weight_scale = 255 / (largest or float(threshold.max(initial=0)) or 1.0)
    for exponent in range(0, _EXPONENT_MIN - 1, -1):
        scale = weight_scale * 2.0 ** (6 + exponent) / (of_current * of_membrane)
        bias_scale = scale * of_membrane
        fits = np.all(np.rint(threshold * scale) <= _THRESHOLD_MAX)
        if fits and np.all(np.abs(np.rint(bias * bias_scale)) <= _BIAS_MAX):
            break
    else:
        raise ValueError(
            f"thresholds up to {threshold.max():g} and biases up to {np.abs(bias).max():g} do not "
            f"fit beside weights up to {largest:g}, whatever the weight exponent"
        )
    return FixedBlock(
        scale=scale,
        decay_u=decay_u,
        decay_v=decay_v,
        refractory=block.rest_ticks + 1,
        bias=_bias(np.rint(bias * bias_scale)),
        threshold=(np.rint(np.rint(threshold * scale) / 64) * 64).astype(np.int64),
        membrane_min=_least(scale * block.voltage_min),
        membrane_max=_most(scale * block.voltage_max),
        weights=tuple(_weights(w, largest, weight_scale, exponent) for w in block.weights),
    )


def _expected_sum(decay: int, offset: int) -> float:
    """Sum of a decaying state over time, relative to its start, with what rounding takes."""
    keep = (4096 - offset - decay) / 4096
    if keep <= 0:
        return 1.0  # it forgets everything at once
    lost = 1 - keep
    n = -math.log1p(_DECAY_START * lost / _LOST_PER_TICK) / math.log(keep)
    geometric: float = (1 - keep ** (n + 1)) / lost
    return geometric - _LOST_PER_TICK * (n + 1 - geometric) / (lost * _DECAY_START)


def _bias(scaled: Array) -> Array:
    """Round to a mantissa of 12 bits and an exponent, each neuron its own."""
    exponent = np.ceil(np.log2(np.maximum(np.abs(scaled) / 4095, 1)))
    whole: Array = (np.rint(scaled / 2**exponent) * 2**exponent).astype(np.int64)
    return whole


def _least(scaled: float) -> int:
    bits = int(np.clip(np.rint(np.log2(1 - scaled)), 0, 31))
    return 1 - (1 << bits)


def _most(scaled: float) -> int:
    steps = 7.0 if math.isinf(scaled) else float(np.rint((math.log2(scaled + 1) - 9) / 2))
    return int(2 ** (9 + 2 * int(np.clip(steps, 0, 7))) - 1)


def _weights(weight: Array, largest: float, scale: float, exponent: int) -> Array:
    """Round one group of synapses; smaller groups get a lower exponent of their own."""
    weight = weight.astype(np.float32)
    own = float(np.abs(weight).max(initial=0))
    finer = math.floor(math.log2(largest / own)) if own > 0 else 0
    own_exponent = max(exponent - finer, -6)
    whole = mantissas(
        weight * scale * 2.0**finer, bits=8, signs="mixed", rounding="nearest-even",
        weight_range="symmetric",
    )  # fmt: skip
    return shifted(coarsened(whole, step_bits=1, exponent=own_exponent), own_exponent)
