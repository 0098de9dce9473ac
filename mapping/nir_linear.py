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
        return _flattened(node, shape)
    except (NirError, UnsupportedNodeError):
        raise
    except ValueError as error:
        raise node.wrong(str(error)) from None


def same_size(node: Node, arriving: Shape, n: int) -> None:
    """Check that as many values arrive at a node as it takes.

    Raises
    ------
    NirError
        If they do not.
    """
    if prod(arriving) != n:
        raise NirError(
            f"node {node.name!r} of type {node.kind} takes {n} values, but {prod(arriving)} "
            f"{arriving} arrive"
        )


def delays(node: Node, shape: Shape) -> Array:
    """Seconds by which a Delay holds back each element of what arrives.

    Returns
    -------
    float64 [n]

    Raises
    ------
    NirError
        If there are none, not as many as elements, or negative ones.
    """
    values = node.numbers("delay")
    if values.size > 1:
        same_size(node, shape, values.size)
    if np.any(values < 0):
        raise node.wrong(f"a delay must not be negative, but the least is {values.min()} s")
    return np.broadcast_to(values.ravel(), (prod(shape),))


def _flattened(node: Node, shape: Shape) -> Shape:
    (start, *_), (end, *_) = node.integers("start_dim", 1), node.integers("end_dim", -1)
    end = end + len(shape) if end < 0 else end
    start = start + len(shape) if start < 0 else start
    if not 0 <= start <= end < len(shape):
        return (prod(shape),)
    return (*shape[:start], prod(shape[start : end + 1]), *shape[end + 1 :])


def _matrix(node: Node, shape: Shape) -> Dense:
    weight = node.numbers("weight")
    if weight.ndim != 2:
        raise UnsupportedNodeError(
            f"node {node.name!r} of type {node.kind}: weights {weight.shape} have "
            f"{weight.ndim} axes; only [out, in] can be expressed"
        )
    same_size(node, shape, weight.shape[1])
    return Dense(weight=weight, pre_shape=shape, post_shape=(weight.shape[0],))


def _axes(node: Node, key: str, n: int, default: int | None = None) -> Shape:
    """One whole number for each of ``n`` axes; one alone holds for all."""
    values = node.integers(key, default)
    return values * n if len(values) == 1 else values


def _convolution(node: Node, shape: Shape) -> Convolution:
    weight = node.numbers("weight")
    n_axes = 1 if node.kind == "Conv1d" else 2
    groups = node.integers("groups", 1)[0]
    has_extent = node.values.get("input_shape") is not None
    if len(shape) != n_axes + 1 and has_extent and weight.ndim > 1:
        unfolded = (weight.shape[1] * groups, *_axes(node, "input_shape", n_axes))
        same_size(node, shape, prod(unfolded))
        shape = unfolded
    stride = _axes(node, "stride", n_axes, 1)
    dilation = _axes(node, "dilation", n_axes, 1)
    return Convolution(
        kernel=weight,
        pre_shape=shape,
        stride=stride,
        padding=_padding(node, weight.shape[2:], stride, dilation),
        dilation=dilation,
        groups=groups,
    )


def _padding(
    node: Node, kernel: Shape, stride: Shape, dilation: Shape
) -> tuple[tuple[int, int], ...]:
    """Zeros before and after each axis; the names mean what PyTorch means by them."""
    padding = node.values.get("padding")
    if not isinstance(padding, str):
        return tuple((p, p) for p in _axes(node, "padding", len(stride), 0))
    if padding == "valid":
        return ((0, 0),) * len(stride)
    if padding != "same":
        raise ValueError(f"padding {padding!r} is neither 'same', 'valid' nor a number")
    if max(stride) > 1:
        raise ValueError(f"padding 'same' needs a stride of 1, but the stride is {stride}")
    totals = [d * (k - 1) for d, k in zip(dilation, kernel, strict=True)]
    # PyTorch puts the odd one behind.
    return tuple((total // 2, total - total // 2) for total in totals)


def _pool(node: Node, shape: Shape) -> Convolution:
    if len(shape) != 3:
        raise node.wrong(f"pools channels × rows × columns, but {shape} arrives")
    return pool(
        shape,
        window=_axes(node, "kernel_size", 2),
        stride=_axes(node, "stride", 2),
        padding=tuple((p, p) for p in _axes(node, "padding", 2, 0)),
        average=node.kind == "AvgPool2d",
    )


def _scale(node: Node, shape: Shape) -> Linear:
    scale = node.numbers("scale")
    if scale.size == prod(shape):
        scale = scale.reshape(shape)
    return diagonal(np.broadcast_to(scale, shape), shape)
