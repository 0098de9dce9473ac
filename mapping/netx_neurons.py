"""Neurons of a layer that lava-dl saved: both twins of a population."""

from collections.abc import Callable
from math import prod

import numpy as np

from emulator.chip import Chip
from mapping.fixed import FixedPopulation
from mapping.linear import Shape
from mapping.network import Compare, Population
from mapping.netx_file import Integers, Layer

NEURONS = ("CUBA", "LOIHI", "LIF")
"""Names that one and the same neuron has had."""

_FOREVER = 2.0**40
"""Time constant, in ticks, that stands for none: its leak is below any rounding."""
_WHOLE = 4096

Note = Callable[[str], None]


def neurons(
    layer: Layer,
    shape: Shape,
    *,
    chip: Chip,
    dt_s: float,
    compare: Compare,
    sum_shift: int,
    note: Note,
) -> tuple[Population, FixedPopulation]:
    """Read a layer's neurons.

    Parameters
    ----------
    sum_shift : int
        Weight exponent that is applied to sums of weights.
    note : callable
        Gets what was assumed.

    Raises
    ------
    NetxError
    """
    n = prod(shape)
    bias = _bias(layer, shape, chip)
    threshold: Integers | None = None
    rest: Integers | None = None
    if layer.has("neuron"):
        _check_kind(layer)
        i_decay = each(layer, "neuron/iDecay", shape, 0, _WHOLE)
        v_decay = each(layer, "neuron/vDecay", shape, 0, _WHOLE)
        threshold = _threshold(layer, shape, chip, note)
        rest = _rest(layer, shape, chip, note)
    elif layer.kind == "dense":
        note(f"layer {layer.number}: has no neuron, so it adds up and never spikes")
        i_decay, v_decay = np.zeros(n, np.int64), np.full(n, _WHOLE)
    else:
        raise layer.wrong("neuron", "is missing")
    if np.any(i_decay == 0) and chip.numbers.current_decay_offset:
        note(
            f"layer {layer.number}: iDecay 0 keeps all of the current, as in Lava's simulation; the "
            f"smallest decay field of {chip.name} keeps 4095/4096"
        )
    # A bias of the membrane does not pass the current. In float it is what v leaks towards, so
    # where nothing leaks a little must.
    forever = np.where(bias != 0, _FOREVER, np.inf)
    tau_mem = np.where(v_decay > 0, _WHOLE / np.maximum(v_decay, 1), forever)
    tau_syn = np.where(i_decay > 0, _WHOLE / np.maximum(i_decay, 1), _FOREVER)
    name = f"layer{layer.number}"
    population = Population(
        name=name,
        shape=shape,
        threshold=None if threshold is None else threshold.astype(np.float64),
        tau_mem_s=tau_mem * dt_s,
        tau_syn_s=np.where(i_decay == _WHOLE, 0.0, tau_syn) * dt_s,
        v_leak=bias.astype(np.float64) * np.where(bias != 0, tau_mem, 0.0),
        compare=compare,
        refractory_s=0.0 if rest is None else np.maximum(rest - 1, 0) * dt_s,
    )
    nudge = 0 if threshold is None else _nudge(chip, compare, note)
    return population, FixedPopulation(
        name=name,
        shape=shape,
        scale=64.0,
        offset=np.zeros(n),
        keep_current=_WHOLE - i_decay,
        keep_membrane=_WHOLE - v_decay,
        bias=bias << 6,
        threshold=None if threshold is None else (threshold << 6) + nudge,
        initial_current=np.zeros(n, np.int64),
        initial_membrane=np.zeros(n, np.int64),
        sum_shift=sum_shift,
        reset="zero",
        compartments=1,
        refractory=rest,
    )


def averaging(
    layer: Layer, n_post: int, size: int, dt_s: float
) -> tuple[Population, FixedPopulation]:
    """Neurons that add up what arrives in a tick and forget it at once; ``size`` spikes are 1."""
    name, zeros = f"layer{layer.number}", np.zeros(n_post, np.int64)
    population = Population(name=name, shape=(n_post,), threshold=None, tau_mem_s=dt_s)
    return population, FixedPopulation(
        name=name,
        shape=(n_post,),
        scale=64.0 * size,
        offset=np.zeros(n_post),
        keep_current=zeros,
        keep_membrane=zeros,
        bias=zeros,
        threshold=None,
        initial_current=zeros,
        initial_membrane=zeros,
        sum_shift=0,
        reset="zero",
        compartments=1,
    )


def each(layer: Layer, field: str, shape: Shape, low: int, high: int) -> Integers:
    """Return one value for each neuron, of one for all, for each channel or for each neuron.

    Raises
    ------
    NetxError
    """
    values = layer.between(field, low, high)
    if values.size not in (1, shape[0], prod(shape)):
        raise layer.wrong(
            field,
            f"has shape {values.shape}, but one value, or one for each of {shape[0]} channels or "
            f"{prod(shape)} neurons is needed",
        )
    return spread(values.ravel(), shape)


def spread(values: Integers, shape: Shape) -> Integers:
    """Repeat values of channels, or a single one, for each neuron."""
    if values.size == shape[0]:
        return np.repeat(values, prod(shape[1:]))
    return np.broadcast_to(values, (prod(shape),)).copy()


def _check_kind(layer: Layer) -> None:
    kind = layer.text("neuron/type")
    if kind.upper() not in NEURONS:
        raise layer.wrong(
            "neuron/type",
            f"neurons of type {kind!r} cannot be expressed; {', '.join(NEURONS)} can",
        )
    if layer.has("neuron/gradedSpike") and layer.whole("neuron/gradedSpike").any():
        raise layer.wrong("neuron/gradedSpike", "spikes that carry a number are not supported")


def _threshold(layer: Layer, shape: Shape, chip: Chip, note: Note) -> Integers | None:
    numbers = chip.numbers
    most = 2**numbers.threshold_bits - 1
    threshold = each(layer, "neuron/vThMant", shape, 1, 2**31 - 1)
    beyond = threshold > most
    if not beyond.any():
        return threshold
    # lava-dl saves layers that only integrate with a threshold that no membrane reaches.
    if not beyond.all() or np.any(threshold << 6 < 2 ** (numbers.membrane_bits - 1)):
        raise layer.wrong(
            "neuron/vThMant",
            f"{int(beyond.sum())} of {threshold.size} values are above {most:,}, the largest that "
            f"{chip.name} holds ({threshold.min():,}..{threshold.max():,})",
        )
    note(
        f"layer {layer.number}: vThMant {threshold.max():,} is more than a membrane can reach, so it "
        f"never spikes"
    )
    return None


def _nudge(chip: Chip, compare: Compare, note: Note) -> int:
    """Make ``>=`` of whole numbers from the chip's ``>``, or the other way round."""
    if compare == chip.arithmetic.compare:
        return 0
    note(
        f"v {compare} threshold was asked for, but {chip.name} fires at v {chip.arithmetic.compare} "
        f"threshold: thresholds are moved by one unit of the membrane, which gives the same spikes, "
        f"but the chip's register, in steps of 64, cannot hold it"
    )
    return -1 if compare == ">=" else 1


def _bias(layer: Layer, shape: Shape, chip: Chip) -> Integers:
    """Mantissas of the bias."""
    if not layer.has("bias"):
        return np.zeros(prod(shape), np.int64)
    numbers = chip.numbers
    most = ((2**numbers.bias_bits - 1) << numbers.bias_exponent_max) >> 6
    return each(layer, "bias", shape, -most, most)


def _rest(layer: Layer, shape: Shape, chip: Chip, note: Note) -> Integers | None:
    """Refractory ticks; 1 is the tick of the spike itself, so it is none."""
    if not layer.has("neuron/refDelay"):
        return None
    rest = each(layer, "neuron/refDelay", shape, 0, 63)
    if rest.max() <= 1:
        return None
    if chip.arithmetic.refractory == "none":
        note(
            f"layer {layer.number}: refDelay {rest.max()} is left out, since {chip.name} has no "
            f"refractory time"
        )
        return None
    return rest
