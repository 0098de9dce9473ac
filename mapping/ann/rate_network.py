"""The network as it was trained on rates: affine sums and activations, free of any framework.

Whatever lies between two activations (convolution, pooling, batch norm, flattening, residual sums)
is folded into one linear map for each source and one bias (`mapping.ann.affine`). A layer is then::

    a = f(sum over sources of W x + b)

with ``f`` one of `ACTIVATIONS`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from mapping.errors import NetworkError
from mapping.linear import Convolution, Floats, Linear, Shape, apply
from mapping.network import Input, weights_of

Array = NDArray[Any]

_SAMPLES_AT_ONCE = 32
"""Of a convolution; bounds the memory of its windows."""

ACTIVATIONS = ("relu", "none")
"""``relu``: max(0, x), up to the layer's ceiling; ``none``: x, for outputs alone."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Layer:
    """One layer.

    Attributes
    ----------
    name : str
    shape : tuple of int
    sources : mapping of name of an input or layer to Linear
    bias : float64 [n]
    activation : str
        One of `ACTIVATIONS`.
    ceiling : float
        Largest activation; infinite for a plain ReLU, 6 for a ReLU6.
    """

    name: str
    shape: Shape
    sources: Mapping[str, Linear]
    bias: Floats
    activation: str
    ceiling: float = np.inf

    def __post_init__(self) -> None:
        bias = np.array(self.bias, np.float64).ravel()
        bias.setflags(write=False)
        object.__setattr__(self, "bias", bias)
        problems = []
        if self.activation not in ACTIVATIONS:
            problems.append(f"activation {self.activation!r} is none of {', '.join(ACTIVATIONS)}")
        if bias.size != self.size:
            problems.append(f"{bias.size} biases for {self.size} neurons")
        if not np.isfinite(bias).all():
            problems.append("a bias is NaN or infinite")
        if not self.ceiling > 0:
            problems.append(f"a ceiling must be above 0, but is {self.ceiling}")
        for source, linear in self.sources.items():
            if prod(linear.post_shape) != self.size:
                problems.append(f"{prod(linear.post_shape)} values come from {source!r}")
            if not np.isfinite(weights_of(linear)).all():
                problems.append(f"a weight from {source!r} is NaN or infinite")
        if problems:
            raise NetworkError(f"layer {self.name!r}: " + "; ".join(problems))

    @property
    def size(self) -> int:
        """Number of neurons."""
        return prod(self.shape)


@dataclass(frozen=True, kw_only=True, eq=False)
class RateNetwork:
    """Layers in an order in which each comes after its sources.

    Attributes
    ----------
    inputs : tuple of Input
    layers : tuple of Layer
    outputs : tuple of str
    notes : tuple of str
        What was rewritten or left off.
    """

    inputs: tuple[Input, ...]
    layers: tuple[Layer, ...]
    outputs: tuple[str, ...]
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        known = [part.name for part in self.inputs]
        sizes = {part.name: part.size for part in self.inputs}
        for layer in self.layers:
            if layer.name in known:
                raise NetworkError(f"two parts are called {layer.name!r}")
            for source, linear in layer.sources.items():
                if source not in known:
                    raise NetworkError(
                        f"layer {layer.name!r} takes from {source!r}, which does not come before it"
                    )
                if prod(linear.pre_shape) != sizes[source]:
                    raise NetworkError(
                        f"layer {layer.name!r} takes {prod(linear.pre_shape)} values from "
                        f"{source!r}, which has {sizes[source]}"
                    )
            known.append(layer.name)
            sizes[layer.name] = layer.size
        names = [layer.name for layer in self.layers]
        missing = sorted(set(self.outputs) - set(names))
        if missing or not self.outputs:
            raise NetworkError(f"outputs {missing or 'none'} are no layers; there are {names}")

    def layer(self, name: str) -> Layer:
        """Return the layer of this name; KeyError if there is none."""
        for layer in self.layers:
            if layer.name == name:
                return layer
        raise KeyError(f"no layer {name!r}; there are {[layer.name for layer in self.layers]}")

    def activations(self, x: Array) -> dict[str, Array]:
        """Run it on rates.

        Parameters
        ----------
        x : float array [samples, n_channels]
            Into the only input.

        Returns
        -------
        mapping of layer to float64 [samples, n]
        """
        found: dict[str, Array] = {self.inputs[0].name: np.asarray(x, np.float64)}
        for layer in self.layers:
            total = np.broadcast_to(layer.bias, (len(x), layer.size)).copy()
            for source, linear in layer.sources.items():
                total += mapped(linear, found[source])
            if layer.activation == "relu":
                np.clip(total, 0.0, layer.ceiling, out=total)
            found[layer.name] = total
        return {layer.name: found[layer.name] for layer in self.layers}


def mapped(linear: Linear, values: Floats) -> Floats:
    """Map many vectors at once; float64 [samples, n_post]."""
    return _convolved(linear, values) if isinstance(linear, Convolution) else apply(linear, values)


def _convolved(conv: Convolution, values: Floats) -> Floats:
    """Lay all windows side by side, so that one product of matrices does the work."""
    c_out, c_group = conv.kernel.shape[:2]
    window, groups, n_axes = conv.kernel.shape[2:], conv.groups, len(conv.stride)
    kernel = conv.kernel.reshape(groups, c_out // groups, -1).swapaxes(1, 2)
    reach = tuple(d * (k - 1) + 1 for k, d in zip(window, conv.dilation, strict=True))
    axes = tuple(range(2, 2 + n_axes))
    steps = tuple(slice(None, None, s) for s in conv.stride)
    gaps = tuple(slice(None, None, d) for d in conv.dilation)
    n_places = prod(conv.post_shape[1:])
    out = np.empty((len(values), groups, c_out // groups, n_places))
    for first in range(0, len(values), _SAMPLES_AT_ONCE):
        some = values[first : first + _SAMPLES_AT_ONCE].reshape(-1, *conv.pre_shape)
        padded = np.pad(some, ((0, 0), (0, 0), *conv.padding))
        windows = sliding_window_view(padded, reach, axes)[(slice(None),) * 2 + steps + gaps]
        n = len(some)
        # [samples, groups, channels of a group, *positions, *window]
        split = windows.reshape(n, groups, c_group, *windows.shape[2:])
        places = range(3, 3 + n_axes)
        turned = split.transpose(1, 0, *places, 2, *(axis + n_axes for axis in places))
        for group in range(groups):
            # One product of two plain matrices is what libraries are fast at.
            rows = turned[group].reshape(n * n_places, -1)
            found = (rows @ kernel[group]).reshape(n, n_places, -1)
            out[first : first + n, group] = found.swapaxes(1, 2)
    return out.reshape(len(values), -1)
