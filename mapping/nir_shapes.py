"""How the shapes and parameters of NIR nodes fit what arrives at them.

Exporters disagree: some keep a batch axis of 1, some flatten the parameters of neurons, some give
one value for each channel. What has one reading is taken; what has two is refused.
"""

from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mapping.errors import NirError
from mapping.linear import LARGEST, Shape
from mapping.nir_file import Node

Array = NDArray[Any]


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


def without_batch(shape: Shape, n_axes: int) -> Shape:
    """Drop leading axes of size 1 while there are more than ``n_axes``."""
    while len(shape) > n_axes and shape[0] == 1:
        shape = shape[1:]
    return shape


def input_shape(node: Node) -> Shape:
    """Shape that an Input states, without a batch axis.

    Raises
    ------
    NirError
        If it states none, or no possible one.
    """
    shape = _stated(node, "input")
    if shape is None:
        raise NirError(f"node {node.name!r} of type {node.kind} has no 'input_type'")
    if min(shape) < 1 or prod(shape) > LARGEST:
        raise node.wrong(f"shape {shape} must hold 1 to 2^31 channels")
    return without_batch(shape, 3)


def check_stated(node: Node, arriving: Shape) -> None:
    """Check that what arrives at an Input or Output is as large as it states, if it does.

    Raises
    ------
    NirError
        If it is not.
    """
    shape = _stated(node, node.kind.lower())
    if shape is not None and prod(shape) != prod(arriving):
        raise node.wrong(
            f"its shape {shape} holds {prod(shape)} values, but {prod(arriving)} {arriving} arrive"
        )


def _stated(node: Node, key: str) -> Shape | None:
    """Shape that a gate of a graph states, as a file or as the nir package holds it."""
    value = node.values.get("shape")
    if value is None:
        value = node.values.get(f"{key}_type")
    if isinstance(value, dict):
        value = value.get(key)
    if value is None:
        return None
    return Node(name=node.name, kind=node.kind, values={"shape": value}).integers("shape")


def parameter_shape(node: Node) -> Shape | None:
    """Shape of a neuron's parameters, or None if they are plain numbers."""
    shapes = [np.shape(v) for v in node.values.values() if isinstance(v, np.ndarray)]
    return max(shapes, key=lambda s: (prod(s), len(s)), default=()) or None


def settled(parameters: Shape | None, arriving: Shape) -> Shape:
    """Shape of neurons, of their parameters and of what arrives at them.

    Of two that hold as many, the one with more axes; parameters that hold for a channel or along
    an axis take the shape of what arrives.
    """
    if parameters is None or prod(parameters) == 1:
        return arriving
    own = without_batch(parameters, len(arriving))
    if prod(own) == prod(arriving):
        return own if len(own) >= len(arriving) else arriving
    by_channel = len(own) == 1 < len(arriving) and own[0] == arriving[0]
    return arriving if by_channel or _broadcasts(own, arriving) else own


def _broadcasts(shape: Shape, to: Shape) -> bool:
    try:
        return np.broadcast_shapes(shape, to) == to
    except ValueError:
        return False


def spread(node: Node, key: str, shape: Shape, default: float | None = None) -> Array:
    """One value of a parameter for each element.

    Parameters
    ----------
    shape
        The parameter holds one value, one for each element or channel (the first axis), or
        axes of size 1 where it is the same all along.

    Returns
    -------
    float64 [n]

    Raises
    ------
    NirError
        If it does not fit, or fits the first and the last axis.
    """
    values = node.numbers(key, default)
    if values.size in (1, prod(shape)):
        return np.broadcast_to(values.ravel(), (prod(shape),))
    values = values.reshape(without_batch(values.shape, len(shape)))
    if values.ndim == 1 < len(shape) and values.size == shape[0]:
        if values.size == shape[-1]:
            raise node.wrong(
                f"{key} has {values.size} values, which could be for the first or the last axis of "
                f"{shape}; give it {len(shape)} axes"
            )
        values = values.reshape(-1, *(1,) * (len(shape) - 1))
    try:
        return np.broadcast_to(values, shape).ravel()
    except ValueError:
        raise node.wrong(
            f"{key} has {values.size} values {values.shape}, which do not fit {prod(shape)} "
            f"elements {shape}"
        ) from None
