"""NIR's linear primitives as maps: one node and the shape that arrives give one map."""

from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mapping.errors import UnsupportedNodeError
from mapping.linear import Convolution, Dense, Linear, Shape, diagonal, pool
from mapping.nir_file import Node, naming
from mapping.nir_shapes import same_size, spread, without_batch

Array = NDArray[Any]

BIASED = ("Affine", "Conv1d", "Conv2d")
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
    with naming(node):
        if node.kind in ("Affine", "Linear"):
            return _matrix(node, shape)
        if node.kind in ("Conv1d", "Conv2d"):
            return _convolution(node, shape)
        if node.kind in ("SumPool2d", "AvgPool2d"):
            return _pool(node, shape)
        if node.kind == "Scale":
            return diagonal(spread(node, "scale", shape).reshape(shape), shape)
        return _flattened(node, shape)


def delays(node: Node, shape: Shape) -> Array:
    """Seconds by which a Delay holds back each element of what arrives.

    Returns
    -------
    float64 [n]

    Raises
    ------
    NirError
        If there are none, they do not fit the shape, or one is negative.
    """
    values = spread(node, "delay", shape)
    if np.any(values < 0):
        raise node.wrong(f"a delay must not be negative, but the least is {values.min()} s")
    return values


def _flattened(node: Node, shape: Shape) -> Shape:
    start, end = node.integer("start_dim", 1), node.integer("end_dim", -1)
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
    groups = node.integer("groups", 1)
    shape = _extent(node, without_batch(shape, n_axes + 1), weight, groups)
    stride = _axes(node, "stride", n_axes, 1)
    dilation = _axes(node, "dilation", n_axes, 1)
    return Convolution(
        kernel=weight,
        pre_shape=shape,
        stride=stride,
        padding=_padding(node, weight.shape[2:], stride, dilation, shape[1:]),
        dilation=dilation,
        groups=groups,
    )


def _extent(node: Node, shape: Shape, weight: Array, groups: int) -> Shape:
    """Shape that a convolution works on: what arrives, or its own where that came flat."""
    n_axes = 1 if node.kind == "Conv1d" else 2
    if node.values.get("input_shape") is None or weight.ndim < 2:
        return shape
    stated = _axes(node, "input_shape", n_axes)
    if len(shape) != n_axes + 1:
        unfolded = (weight.shape[1] * groups, *stated)
        same_size(node, shape, prod(unfolded))
        return unfolded
    if shape[1:] != stated:
        raise ValueError(f"its input_shape is {stated}, but {shape[1:]} arrives in each channel")
    return shape


def _padding(
    node: Node, kernel: Shape, stride: Shape, dilation: Shape, extent: Shape
) -> tuple[tuple[int, int], ...]:
    """Zeros before and after each axis; the names mean what PyTorch means by them."""
    padding = node.values.get("padding")
    if not isinstance(padding, str):
        given = _axes(node, "padding", len(stride), 0)
        for p, k, d, n in zip(given, kernel, dilation, extent, strict=False):
            # A kernel of 1 with a padding of 1 is common; one wider than all there is is not.
            if p > d * (k - 1) + 1 + n:
                raise ValueError(
                    f"padding {given} is wider than the kernel {kernel} and the input {extent} together"
                )
        return tuple((p, p) for p in given)
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
    shape = without_batch(shape, 3)
    if len(shape) != 3:
        raise node.wrong(f"pools channels × rows × columns, but {shape} arrives")
    window, padding = _axes(node, "kernel_size", 2), _axes(node, "padding", 2, 0)
    if any(p and not p < k for p, k in zip(padding, window, strict=True)) or any(
        p > n for p, n in zip(padding, shape[1:], strict=True)
    ):
        raise ValueError(
            f"padding {padding} must be less than the window {window}, and not wider "
            f"than the input {shape[1:]}"
        )
    return pool(
        shape,
        window=window,
        stride=_axes(node, "stride", 2),
        padding=tuple((p, p) for p in padding),
        average=node.kind == "AvgPool2d",
    )
