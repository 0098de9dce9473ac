"""Weights of a layer that lava-dl saved: range, exponent and delays."""

from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emulator.chip import Chip
from mapping.linear import Linear, Shape, some, sparse, with_weights
from mapping.network import weights_of
from mapping.netx_file import Layer
from mapping.netx_neurons import Note, spread
from mapping.weight_rules import mantissas, shifted, signs_of

Array = NDArray[Any]

_RANGES = {"mixed": (-256, 254), "excitatory": (0, 255), "inhibitory": (-256, 0)}
_EXPONENTS = (-8, 7)


def check_range(layer: Layer, field: str, lists: list[Linear], chip: Chip, note: Note) -> None:
    """Refuse weights beyond nine bits, sign included; note which ones the chip would round.

    Raises
    ------
    NetxError
        With the number of such weights and the range.
    """
    weights = np.concatenate([weights_of(part).ravel() for part in lists])
    signs = signs_of(weights)
    low, high = _RANGES[signs]
    n_bad = int(np.count_nonzero((weights < low) | (weights > high)))
    if n_bad:
        raise layer.wrong(
            field,
            f"{n_bad} of {weights.size} weights are outside {low}..{high}, the range of {signs} "
            f"weights ({weights.min():.0f}..{weights.max():.0f})",
        )
    rules = chip.arithmetic
    held = mantissas(
        weights, bits=8, signs=signs, rounding=rules.weight_rounding,
        weight_range=rules.weight_range,
    )  # fmt: skip
    n_odd = int(np.count_nonzero(held != weights))
    # Where all are small, an exponent of -1 holds the odd ones, too.
    if n_odd and np.abs(weights).max() > 127:
        note(
            f"layer {layer.number}: {n_odd} of {weights.size} weights are none that {chip.name} can "
            f"hold beside the largest ({signs}, {weights.min():.0f}..{weights.max():.0f}); they are "
            f"loaded as they are, as Lava does"
        )


def with_exponent(
    layer: Layer, lists: list[Linear], chip: Chip, note: Note
) -> tuple[list[Linear], int]:
    """Apply a layer's weight exponent to its weights, where the chip does.

    Returns
    -------
    (lists, sum_shift)
        Mantissas, and the exponent that is left for their sum.

    Raises
    ------
    NetxError
    """
    exponent = 0
    for field in ("weight_exp", "neuron/weight_exp"):
        if layer.has(field):
            exponent = layer.number_of(field, *_EXPONENTS)
    if not exponent:
        return lists, 0
    note(
        f"layer {layer.number}: weights count 2**{exponent} times what is stored (weight_exp); "
        f"lava-dl's own reader leaves that field out"
    )
    if exponent > 0 or chip.arithmetic.weight_exponent_on == "sum":
        return lists, exponent
    weights = np.concatenate([weights_of(part).ravel() for part in lists])
    n_lost = int(np.count_nonzero(weights % 2.0**-exponent))
    if n_lost:
        note(
            f"layer {layer.number}: {chip.name} shifts each weight by {exponent}, so {n_lost} of "
            f"{weights.size} lose bits"
        )
    whole = [weights_of(part).astype(np.int64) for part in lists]
    return [
        with_weights(part, shifted(mantissa, exponent))
        for part, mantissa in zip(lists, whole, strict=True)
    ], 0


def by_delay(
    layer: Layer, linear: Linear, shape: Shape, chip: Chip, note: Note
) -> list[tuple[int, Linear]]:
    """Split by delay: what the file gives for a neuron holds for all that reaches it.

    Raises
    ------
    NetxError
    """
    if not layer.has("delay"):
        return [(0, linear)]
    most = chip.limits.delay_max.value
    delay = layer.between("delay", 0, most, why=f", the ticks by which {chip.name} can delay")
    n_pre, n_post = prod(linear.pre_shape), prod(shape)
    each_synapse = delay.shape == (n_post, n_pre) and layer.kind != "conv"
    of_source = delay.size == n_pre and layer.kind.startswith("dense")
    if not (each_synapse or of_source or delay.size in (1, shape[0], n_post)):
        raise layer.wrong(
            "delay",
            f"has shape {delay.shape}, but {n_post} neurons {shape} hear {n_pre} sources; one "
            f"number, or one for each neuron, channel, source or synapse is needed",
        )
    note(
        f"layer {layer.number}: delays hold for all that reaches a neuron, as lava-dl loads them"
        + (" for dense layers (those of others it leaves out)" if layer.kind != "dense" else "")
    )
    if np.all(delay == delay.flat[0]):
        return [(int(delay.flat[0]), linear)]
    listed = sparse(linear)
    source = listed.source
    if each_synapse:
        ticks = delay[listed.target, source]
    elif delay.size in (shape[0], n_post):
        ticks = spread(delay.ravel(), shape)[listed.target]
    else:
        ticks = delay.ravel()[source]
    found = [
        (int(one), some(listed, (ticks == one) & (listed.weight != 0))) for one in np.unique(ticks)
    ]
    return [part for part in found if part[1].weight.size] or [(0, linear)]
