"""From rates to spikes: the same network of integrate-and-fire neurons.

A neuron of a layer that fires ``r`` times a tick stands for the activation ``r * unit``. With the
threshold 1, reset by subtraction and no leak, a constant drive of ``x / unit`` a tick gives just that
rate, up to one spike a tick. So weights from layer ``k`` to layer ``l`` become ``W * unit_k / unit_l`` and
biases ``b / unit_l`` (Diehl et al., IJCNN 2015; Rueckauer et al., Front. Neurosci. 11, 2017).

``unit`` is what makes the layer's largest activation on the given data fire ``scale`` times a tick. The
factor ``scale`` is the ``scale_firing_rates`` of NengoDL: neurons get a larger input, and their spikes
count for less. Below 1 it saves spikes and loses precision; above 1 the largest activations saturate,
as if the data had none of them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mapping.ann.rate_network import Layer, RateNetwork
from mapping.errors import NetworkError
from mapping.linear import Linear, scaled
from mapping.network import Network, Population, Projection

Array = NDArray[Any]
Output = Literal["membrane", "spikes"]

DT_S = 1e-3


@dataclass(frozen=True, kw_only=True, eq=False)
class Converted:
    """A spiking network and what its spikes stand for.

    Attributes
    ----------
    network : Network
    rate : RateNetwork
        Where it came from.
    unit : mapping of layer to float
        Activation that one spike a tick stands for.
    """

    network: Network
    rate: RateNetwork
    unit: Mapping[str, float]


def largest_activations(
    rate: RateNetwork, x: Array, *, percentile: float = 100.0
) -> dict[str, float]:
    """Measure what each layer's activations reach.

    Parameters
    ----------
    x : float array [samples, n_channels]
    percentile : float
        Share of the activations that lie at or below it, per cent: 99.9 leaves outliers out.

    Raises
    ------
    NetworkError
        If the percentile is none.
    """
    if not 0 < percentile <= 100:
        raise NetworkError(f"percentile must be above 0 and at most 100, but is {percentile}")
    found = {}
    for name, values in rate.activations(x).items():
        size = np.abs(values)
        found[name] = float(size.max(initial=0.0))
        if percentile < 100 and size.size:
            found[name] = float(np.percentile(size, percentile))
    return found


def convert(
    rate: RateNetwork,
    largest: Mapping[str, float],
    *,
    scale: float | Mapping[str, float] = 1.0,
    output: Output = "membrane",
    dt_s: float = DT_S,
    input_unit: float = 1.0,
) -> Converted:
    """Make a spiking network of a rate network.

    Parameters
    ----------
    largest : mapping of layer to float
        Largest activation, as `largest_activations` measures it.
    scale : float or mapping of layer to float
        Spikes a tick at the largest activation; 1 for layers that are not named.
    output : {"membrane", "spikes"}
        Whether outputs without an activation are read from the membranes of neurons that never
        spike, or get spikes, which lose what is negative.
    dt_s : float
        Length of a tick, seconds.
    input_unit : float
        What a value of 1 in the data is to the rate network: 1 / 255 for bytes where it was
        trained on pixels up to 1.

    Raises
    ------
    NetworkError
        If a scale is 0 or below, or names a layer that is not there.
    """
    scales = _scales(rate, scale)
    notes = list(rate.notes)
    unit: dict[str, float] = {part.name: input_unit for part in rate.inputs}
    populations, projections = [], []
    for layer in rate.layers:
        unit[layer.name] = _unit(layer, largest[layer.name], scales[layer.name], notes)
        spiking = layer.activation == "relu" or output == "spikes"
        populations.append(
            Population(
                name=layer.name, shape=layer.shape, threshold=1.0 if spiking else None,
                bias=(layer.bias / unit[layer.name]).reshape(layer.shape),
                reset="subtract" if spiking else "zero", compare=">=",
            )
        )  # fmt: skip
        for source, linear in layer.sources.items():
            factor = unit[source] / unit[layer.name]
            projections.append(
                Projection(source=source, target=layer.name, linear=_times(linear, factor))
            )
    network = Network(
        dt_s=dt_s, inputs=rate.inputs, populations=tuple(populations),
        projections=tuple(projections), outputs=rate.outputs, notes=tuple(notes),
    )  # fmt: skip
    return Converted(network=network, rate=rate, unit={p.name: unit[p.name] for p in rate.layers})


def _scales(rate: RateNetwork, scale: float | Mapping[str, float]) -> dict[str, float]:
    names = [layer.name for layer in rate.layers]
    if not isinstance(scale, Mapping):
        scale = dict.fromkeys(names, float(scale))
    unknown = sorted(set(scale) - set(names))
    if unknown:
        raise NetworkError(f"scales of {unknown}, but the layers are {names}")
    bad = {name: value for name, value in scale.items() if not 0 < value < np.inf}
    if bad:
        raise NetworkError(f"scales must be above 0, but are {bad}")
    return dict.fromkeys(names, 1.0) | dict(scale)


def _unit(layer: Layer, largest: float, scale: float, notes: list[str]) -> float:
    """Activation of one spike a tick."""
    if not largest > 0:
        notes.append(f"{layer.name}: no activation on the given data, so its scale is 1")
        return 1.0
    if layer.ceiling < np.inf:
        # Neurons that fire in every tick cannot fire more: just what the ceiling asks for.
        if scale != 1:
            notes.append(
                f"{layer.name}: keeps its ceiling of {layer.ceiling:g} at one spike a tick, "
                f"whatever scale is asked for"
            )
        return layer.ceiling
    return largest / scale


def _times(linear: Linear, factor: float) -> Linear:
    return linear if factor == 1 else scaled(linear, by=np.array(factor))
