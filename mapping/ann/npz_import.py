"""Rate networks in plain ``.npz`` archives: weights, and a list of layers where it is needed.

Without a list, all weights are matrices and make a chain of dense layers with ReLU between them::

    np.savez("net.npz", **{"0.weight": w0, "0.bias": b0, "2.weight": w2})       # [n_out, n_in]

With one, ``layers`` is a text in JSON, and ``input_shape`` the shape of a sample::

    [{"type": "convolution", "weight": "0.weight", "bias": "0.bias", "stride": 2, "padding": 1},
     {"type": "relu"}, {"type": "average_pool", "window": 2}, {"type": "flatten"},
     {"type": "dense", "weight": "4.weight"}]

Keys that a layer does not name are 1 for ``stride`` and ``groups`` (the window for pools) and 0 for
``padding``.
"""

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mapping.ann.affine import Affine, identity
from mapping.ann.rate_network import Layer, RateNetwork
from mapping.errors import NetworkError
from mapping.linear import Convolution, Dense, Shape, pool
from mapping.network import Input

Array = NDArray[Any]


def import_weights(path: str | Path) -> RateNetwork:
    """Read a rate network.

    Raises
    ------
    FileNotFoundError
    NetworkError
        If it is no such archive, or its layers do not fit each other; names the layer.
    """
    arrays = _arrays(Path(path))
    try:
        if "layers" in arrays:
            layers = json.loads(str(arrays["layers"]))
            if "input_shape" not in arrays:
                raise NetworkError("has 'layers', but no 'input_shape'")
            shape = tuple(int(n) for n in np.atleast_1d(arrays["input_shape"]))
        else:
            layers, shape = _chain(arrays)
        return _built(layers, shape, arrays)
    except (NetworkError, ValueError, TypeError, KeyError) as error:
        raise NetworkError(f"{path}: {error}") from error


def _arrays(path: Path) -> dict[str, Array]:
    if not path.exists():
        raise FileNotFoundError(f"{path}: there is no such file")
    try:
        with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except Exception as error:  # zipfile, zlib and NumPy raise many kinds on damaged archives
        raise NetworkError(f"{path}: no archive of arrays, or a damaged one ({error})") from error


def _chain(arrays: Mapping[str, Array]) -> tuple[list[dict[str, Any]], Shape]:
    """Layers of a chain of matrices, by the numbers in their names."""
    weights = sorted((n for n in arrays if n.endswith("weight")), key=_numbers)
    if not weights:
        raise NetworkError(
            f"no array whose name ends with 'weight'; there are {', '.join(arrays) or 'none'}"
        )
    other = [f"{n} {arrays[n].shape}" for n in weights if arrays[n].ndim != 2]
    if other:
        raise NetworkError(
            f"{', '.join(other)}: a chain is made of matrices alone; say what lies between with "
            f"'layers' and 'input_shape'"
        )
    layers: list[dict[str, Any]] = []
    for name in weights:
        bias = name.removesuffix("weight") + "bias"
        layers += [{"type": "relu"}] if layers else []
        layers.append(
            {"type": "dense", "weight": name} | ({"bias": bias} if bias in arrays else {})
        )
    return layers, (int(arrays[weights[0]].shape[1]),)


def _numbers(name: str) -> list[Any]:
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)]


def _built(layers: list[dict[str, Any]], shape: Shape, arrays: Mapping[str, Array]) -> RateNetwork:
    made: list[Layer] = []
    value = identity("input", shape)
    for number, about in enumerate(layers):
        kind = str(about.get("type"))
        if kind == "relu":
            name = f"layer{len(made) + 1}"
            made.append(_layer(name, value, "relu", float(about.get("ceiling", np.inf))))
            value = identity(name, value.shape)
            continue
        if kind not in _KINDS:
            raise NetworkError(
                f"layer {number} is of type {kind!r}; there are relu, {', '.join(_KINDS)}"
            )
        try:
            value = _KINDS[kind](value, about, arrays)
        except KeyError as error:
            raise NetworkError(f"layer {number} ({kind}): {error} is missing") from error
        except ValueError as error:
            raise NetworkError(f"layer {number} ({kind}): {error}") from error
    if not made or value.terms != {made[-1].name: None} or value.bias.any():
        made.append(_layer("output", value, "none"))
    return RateNetwork(
        inputs=(Input(name="input", shape=shape),), layers=tuple(made), outputs=(made[-1].name,)
    )


def _layer(name: str, value: Affine, activation: str, ceiling: float = np.inf) -> Layer:
    return Layer(
        name=name, shape=value.shape, sources=value.sources(), bias=value.bias,
        activation=activation, ceiling=ceiling,
    )  # fmt: skip


_About = Mapping[str, Any]
_Arrays = Mapping[str, Array]


def _dense(value: Affine, about: _About, arrays: _Arrays) -> Affine:
    weight = np.asarray(arrays[about["weight"]], np.float64)
    if len(value.shape) != 1:
        raise ValueError(f"takes {value.shape}; flatten before it")
    n_post, n_pre = weight.shape
    if n_pre != value.size and n_post == value.size:  # as Keras writes them
        weight, n_post, n_pre = weight.T, n_pre, n_post
    if n_pre != value.size:
        raise ValueError(f"weights {weight.shape} for {value.size} values")
    found = value.through(Dense(weight=weight, pre_shape=(n_pre,), post_shape=(n_post,)))
    return _biased(found, about, arrays)


def _biased(value: Affine, about: _About, arrays: _Arrays) -> Affine:
    if "bias" not in about:
        return value
    bias = np.asarray(arrays[about["bias"]], np.float64)
    return value.plus(bias.reshape(-1, *[1] * (len(value.shape) - 1)))


def _convolution(value: Affine, about: _About, arrays: _Arrays) -> Affine:
    kernel = np.asarray(arrays[about["weight"]], np.float64)
    n_axes = kernel.ndim - 2
    padding = tuple((n, n) for n in _each(about.get("padding", 0), n_axes))
    conv = Convolution(
        kernel=kernel, pre_shape=value.shape, stride=_each(about.get("stride", 1), n_axes),
        padding=padding, dilation=_each(about.get("dilation", 1), n_axes),
        groups=int(about.get("groups", 1)),
    )  # fmt: skip
    return _biased(value.through(conv), about, arrays)


def _average_pool(value: Affine, about: _About, arrays: _Arrays) -> Affine:
    n_axes = len(value.shape) - 1
    window = _each(about["window"], n_axes)
    linear = pool(
        value.shape, window=window, stride=_each(about.get("stride", window), n_axes),
        padding=tuple((n, n) for n in _each(about.get("padding", 0), n_axes)), average=True,
    )  # fmt: skip
    return value.through(linear)


def _batch_norm(value: Affine, about: _About, arrays: _Arrays) -> Affine:
    mean, variance = (np.asarray(arrays[about[name]], np.float64) for name in ("mean", "variance"))
    factor = 1 / np.sqrt(variance + float(about.get("epsilon", 1e-5)))
    if "weight" in about:
        factor = factor * arrays[about["weight"]]
    shape = (-1, *[1] * (len(value.shape) - 1))
    found = value.times(factor.reshape(shape)).plus((-mean * factor).reshape(shape))
    return _biased(found, about, arrays)


def _flatten(value: Affine, about: _About, arrays: _Arrays) -> Affine:
    return value.folded((value.size,))


def _each(value: Any, n_axes: int) -> tuple[int, ...]:
    values = tuple(int(n) for n in np.atleast_1d(value))
    return values * n_axes if len(values) == 1 else values


_KINDS: dict[str, Callable[[Affine, _About, _Arrays], Affine]] = {
    "dense": _dense,
    "convolution": _convolution,
    "average_pool": _average_pool,
    "batch_norm": _batch_norm,
    "flatten": _flatten,
}
