"""NIR's linear primitives as maps: one node and the shape that arrives give one map."""

from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mapping.errors import NirError, UnsupportedNodeError
from mapping.linear import Convolution, Dense, Linear, Shape, diagonal, pool
from mapping.nir_file import Node

Array = NDArray[Any]

LINEAR = ("Affine", "Linear", "Conv1d", "Conv2d", "SumPool2d", "AvgPool2d", "Scale")


def step(node: Node, shape: Shape) -> Linear | Shape:
    """Translate a node that ``shape`` arrives at; Flatten gives just the new shape.

    Raises
    ------
    NirError
        If parameters are missing or do not suit the shape.
    UnsupportedNodeError
        If the node cannot be expressed.
    """
    try:
        if node.kind in ("Affine", "Linear"):
            return _matrix(node, shape)
        if node.kind in ("Conv1d", "Conv2d"):
            return _convolution(node, shape)
        if node.kind in ("SumPool2d", "AvgPool2d"):
            return _pool(node, shape)
        if node.kind == "Scale":
            return _scale(node, shape)
    except (NirError, UnsupportedNodeError):
        raise
    except KeyError as error:
        raise NirError(f"node {node.name!r} of type {node.kind} has no {error.args[0]!r}") from None
    except (ValueError, TypeError, IndexError) as error:
        raise NirError(f"node {node.name!r} of type {node.kind}: {error}") from None
    return _flattened(node, shape)


def _flattened(node: Node, shape: Shape) -> Shape:
    start, end = int(node.values.get("start_dim", 1)), int(node.values.get("end_dim", -1))
    end = end + len(shape) if end < 0 else end
    start = start + len(shape) if start < 0 else start
    if not 0 <= start <= end < len(shape):
        return (prod(shape),)
    return (*shape[:start], prod(shape[start : end + 1]), *shape[end + 1 :])


def _matrix(node: Node, shape: Shape) -> Dense:
    weight = np.asarray(node.values["weight"], np.float64)
    if weight.ndim != 2:
        raise UnsupportedNodeError(
            f"node {node.name!r} of type {node.kind}: weights {weight.shape} have "
            f"{weight.ndim} axes; only [out, in] can be expressed"
        )
    if weight.shape[1] != prod(shape):
        raise NirError(
            f"node {node.name!r} of type {node.kind} takes {weight.shape[1]} values, but "
            f"{prod(shape)} {shape} arrive"
        )
    return Dense(weight=weight, pre_shape=shape, post_shape=(weight.shape[0],))


def _axes(value: Any, n: int) -> Shape:
    values = [int(v) for v in np.atleast_1d(value)]
    return tuple(values * n if len(values) == 1 else values)


def _convolution(node: Node, shape: Shape) -> Convolution:
    weight = np.asarray(node.values["weight"], np.float64)
    n_axes = 1 if node.kind == "Conv1d" else 2
    groups = int(node.values.get("groups", 1))
    extent = node.values.get("input_shape")
    if len(shape) != n_axes + 1 and extent is not None:
        shape = (weight.shape[1] * groups, *_axes(extent, n_axes))
    dilation = _axes(node.values.get("dilation", 1), n_axes)
    padding = node.values.get("padding", 0)
    if isinstance(padding, str):
        total = [
            d * (k - 1) if padding == "same" else 0
            for d, k in zip(dilation, weight.shape[2:], strict=True)
        ]
        # PyTorch puts the odd one behind.
        pads = tuple((t // 2, t - t // 2) for t in total)
    else:
        pads = tuple((p, p) for p in _axes(padding, n_axes))
    return Convolution(
        kernel=weight,
        pre_shape=shape,
        stride=_axes(node.values.get("stride", 1), n_axes),
        padding=pads,
        dilation=dilation,
        groups=groups,
    )


def _pool(node: Node, shape: Shape) -> Convolution:
    if len(shape) != 3:
        raise NirError(
            f"node {node.name!r} of type {node.kind} pools channels × rows × columns, but {shape} "
            f"arrives"
        )
    return pool(
        shape,
        window=_axes(node.values["kernel_size"], 2),
        stride=_axes(node.values["stride"], 2),
        padding=tuple((p, p) for p in _axes(node.values.get("padding", 0), 2)),
        average=node.kind == "AvgPool2d",
    )


def _scale(node: Node, shape: Shape) -> Linear:
    scale = np.asarray(node.values["scale"], np.float64)
    if scale.size == prod(shape):
        scale = scale.reshape(shape)
    return diagonal(np.broadcast_to(scale, shape), shape)
