"""Matrices of a Nengo model, full or listed, and what paths through it do with them.

A projected image is a list of a few entries for each target, and folded into a full matrix it would
be thousands of times larger; so products keep lists as lists.
"""

from math import prod
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mapping.linear import Convolution, Dense, Linear, Sparse, sparse

Array = NDArray[Any]

FULL = 1 / 2
"""Share of entries that are not 0 from which on a matrix is stored in full."""


class Listed(NamedTuple):
    """Entries of a matrix [n_rows, n_columns]; several for one place add up."""

    shape: tuple[int, int]
    row: Array
    column: Array
    value: Array


Matrix = Array | Listed
"""From columns to rows: ``y = M x``."""


def identity(n: int) -> Listed:
    """Hand on n values."""
    return Listed((n, n), np.arange(n), np.arange(n), np.ones(n))


def selection(indices: Array, n: int) -> Listed:
    """Take some of n values, in this order."""
    return Listed((indices.size, n), np.arange(indices.size), indices, np.ones(indices.size))


def placed(matrix: Matrix, indices: Array, n: int) -> Matrix:
    """Lay the rows of a matrix into those of one with n rows."""
    if isinstance(matrix, Listed):
        return matrix._replace(shape=(n, matrix.shape[1]), row=indices[matrix.row])
    full = np.zeros((n, matrix.shape[1]))
    full[indices] = matrix
    return full


def product(left: Matrix, right: Matrix) -> Matrix:
    """Multiply; a list if both are lists."""
    if not isinstance(left, Listed):
        if not isinstance(right, Listed):
            return left @ right
        return np.asarray(product(_turned(right), left.T)).T
    if not isinstance(right, Listed):
        full = np.zeros((left.shape[0], right.shape[1]))
        np.add.at(full, left.row, left.value[:, None] * right[left.column])
        return full
    order = np.argsort(right.row, kind="stable")
    first = np.searchsorted(right.row[order], np.arange(right.shape[0] + 1))
    size = np.diff(first)[left.column]
    entry = np.repeat(np.arange(left.row.size), size)
    within = np.arange(entry.size) - np.repeat(np.cumsum(size) - size, size)
    partner = order[first[left.column[entry]] + within]
    return Listed(
        (left.shape[0], right.shape[1]), left.row[entry], right.column[partner],
        left.value[entry] * right.value[partner],
    )  # fmt: skip


def _turned(matrix: Listed) -> Listed:
    return Listed(matrix.shape[::-1], matrix.column, matrix.row, matrix.value)


def scaled_rows(matrix: Matrix, by: Array) -> Matrix:
    """Multiply each row by a number."""
    if isinstance(matrix, Listed):
        return matrix._replace(value=matrix.value * by[matrix.row])
    return np.asarray(matrix * by[:, None])


def sum_of(matrices: list[Matrix]) -> Matrix:
    """Add matrices of one shape; a list if all are lists."""
    if all(isinstance(matrix, Listed) for matrix in matrices):
        lists = [matrix for matrix in matrices if isinstance(matrix, Listed)]
        columns = zip(*((m.row, m.column, m.value) for m in lists), strict=True)
        return Listed(lists[0].shape, *(np.concatenate(column) for column in columns))
    return np.asarray(sum(full(matrix) for matrix in matrices))


def full(matrix: Matrix) -> Array:
    """Write a matrix out."""
    if not isinstance(matrix, Listed):
        return matrix
    out = np.zeros(matrix.shape)
    np.add.at(out, (matrix.row, matrix.column), matrix.value)
    return out


def is_zero(matrix: Matrix) -> bool:
    """Whether nothing comes through."""
    return not np.any(matrix.value if isinstance(matrix, Listed) else matrix)


def linear_of(matrix: Matrix) -> Linear:
    """Make weights of a projection, in full or by source, whichever is smaller."""
    n_post, n_pre = matrix.shape
    if not isinstance(matrix, Listed):
        if np.count_nonzero(matrix) >= FULL * matrix.size:
            return Dense(weight=matrix, pre_shape=(n_pre,), post_shape=(n_post,))
        row, column = np.nonzero(matrix)
        matrix = Listed((n_post, n_pre), row, column, matrix[row, column])
    elif matrix.value.size >= FULL * n_post * n_pre:
        return linear_of(full(matrix))
    place, which = np.unique(matrix.column * n_post + matrix.row, return_inverse=True)
    weight = np.bincount(which, weights=matrix.value, minlength=place.size)
    place, weight = place[weight != 0], weight[weight != 0]
    return Sparse(
        row=np.searchsorted(place // n_post, np.arange(n_pre + 1)),
        target=place % n_post, weight=weight, pre_shape=(n_pre,), post_shape=(n_post,),
    )  # fmt: skip


def applied(matrix: Matrix, rows: Array) -> Array:
    """Multiply each row of [n_rows, n_columns] by a matrix."""
    return np.asarray(product(matrix, rows.T)).T


def of_convolution(transform: Any, kernel: Array) -> Listed:
    """List a convolution of Nengo's; elements are numbered as Nengo does, channels last or first.

    Raises
    ------
    ValueError
        If it has not one or two axes.
    """
    pre, post = transform.input_shape, transform.output_shape
    axes = len(transform.kernel_size)
    if axes not in (1, 2):
        raise ValueError(f"convolutions of {axes} axes are not known, of 1 and 2 are")
    extent = tuple(pre.spatial_shape)
    pads = [
        max((out - 1) * stride + k - n, 0) if transform.padding == "same" else 0
        for out, stride, k, n in zip(
            post.spatial_shape, transform.strides, transform.kernel_size, extent, strict=True
        )
    ]
    ours = Convolution(
        kernel=np.moveaxis(kernel, (-1, -2), (0, 1)),
        pre_shape=(pre.n_channels, *extent),
        stride=transform.strides,
        padding=tuple((pad // 2, pad - pad // 2) for pad in pads),
        dilation=(1,) * axes,
        groups=transform.groups,
    )
    listed = sparse(ours)
    row, column = listed.target, listed.source
    if transform.channels_last:
        row, column = _numbers(ours.post_shape)[row], _numbers(ours.pre_shape)[column]
    shape = (prod(ours.post_shape), prod(ours.pre_shape))
    return Listed(shape, row, column, np.asarray(listed.weight))


def _numbers(shape: tuple[int, ...]) -> Array:
    """Number of each element, channels first, among the same with channels last."""
    last = np.arange(prod(shape)).reshape(*shape[1:], shape[0])
    return np.moveaxis(last, -1, 0).ravel()
