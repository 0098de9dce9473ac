"""Fold a chain of linear maps into one, and keep its geometry where that is exact."""

from itertools import product
from math import prod

import numpy as np

from mapping.linear import Convolution, Dense, Floats, Linear, Shape, Sparse, matrix, sparse

DENSE_ABOVE = 0.5
"""A composed map with a larger share of non-zero weights than this is kept as a dense matrix."""


def compose(first: Linear, then: Linear) -> Linear:
    """Fold two maps into one.

    Pooling next to a convolution stays a convolution where that is exact, so that a mapper
    still sees the geometry; everything else becomes a list or, if it fills up, a matrix.

    Raises
    ------
    ValueError
        If the first does not make as many values as the second takes.
    """
    if prod(first.post_shape) != prod(then.pre_shape):
        raise ValueError(
            f"a map to {first.post_shape} cannot feed a map from {then.pre_shape}: "
            f"{prod(first.post_shape)} values against {prod(then.pre_shape)}"
        )
    if isinstance(first, Dense) and isinstance(then, Dense):
        return Dense(
            weight=then.weight @ first.weight,
            pre_shape=first.pre_shape,
            post_shape=then.post_shape,
        )
    if isinstance(first, Convolution) and isinstance(then, Convolution) and _foldable(first, then):
        return _folded(first, then)
    result = _product(sparse(first), sparse(then))
    if result.n_synapses > DENSE_ABOVE * prod(result.pre_shape) * prod(result.post_shape):
        return Dense(
            weight=matrix(result), pre_shape=result.pre_shape, post_shape=result.post_shape
        )
    return result


def _within_channels(conv: Convolution) -> bool:
    """Whether every channel sees only itself, as in pooling."""
    return bool(conv.kernel.shape[1] == 1 and conv.groups == conv.kernel.shape[0])


def _foldable(first: Convolution, then: Convolution) -> bool:
    """Whether one of two convolutions keeps channels apart and no border makes the fold inexact."""
    if first.post_shape != then.pre_shape:
        return False
    if not (_within_channels(first) or _within_channels(then)):
        return False
    for axis in range(len(first.stride)):
        # The second map's padding holds zeros. Folded, it would reach elements instead: left
        # where windows overlap, right where the first map left a rest of the input over, and
        # anywhere inside the padding of the first map.
        reach = first.dilation[axis] * (first.kernel.shape[2 + axis] - 1) + 1
        rest = first.pre_shape[1 + axis] > first.post_shape[1 + axis] * first.stride[axis]
        apart = first.padding[axis] == (0, 0) and reach <= first.stride[axis] and not rest
        if then.padding[axis] != (0, 0) and not apart:
            return False
    return True


def _folded(first: Convolution, then: Convolution) -> Convolution:
    """Return the convolution that two of them make.

    A tap ``i`` of the first and ``j`` of the second meet at ``j d2 s1 + i d1``.
    """
    by_channel = _within_channels(first)
    # Kernel positions first, so that each pair of positions adds one [c_out, c_in] matrix.
    one = np.moveaxis(first.kernel, (0, 1), (-2, -1))
    two = np.moveaxis(then.kernel, (0, 1), (-2, -1))
    if by_channel:
        c_out, c_group = then.kernel.shape[:2]
        first_of_group = (np.arange(c_out)[:, None] // (c_out // then.groups)) * c_group
        one = one[..., first_of_group + np.arange(c_group), 0]
    taps = zip(first.stride, first.dilation, then.dilation, strict=True)
    steps = [(d2 * s1, d1) for s1, d1, d2 in taps]
    kernel = _all_pairs(one, two, steps)
    padding = zip(first.padding, then.padding, first.stride, strict=True)
    return Convolution(
        kernel=np.moveaxis(kernel, (-2, -1), (0, 1)),
        pre_shape=first.pre_shape,
        stride=tuple(a * b for a, b in zip(first.stride, then.stride, strict=True)),
        padding=tuple((p[0] + q[0] * s, p[1] + q[1] * s) for p, q, s in padding),
        dilation=(1,) * len(steps),
        groups=then.groups if by_channel else first.groups,
    )


def _all_pairs(one: Floats, two: Floats, steps: list[tuple[int, int]]) -> Floats:
    """Add up products of all taps; kernels are [*k, c_out, c_group], steps those of two and one."""
    inner, outer = one.shape[:-2], two.shape[:-2]
    extents: Shape = tuple(
        (k2 - 1) * far + (k1 - 1) * near + 1
        for k2, k1, (far, near) in zip(outer, inner, steps, strict=True)
    )
    channels = np.broadcast_shapes(one.shape[-2:], two.shape[-2:])
    kernel = np.zeros((*extents, *channels))
    for j in product(*map(range, outer)):
        for i in product(*map(range, inner)):
            at = tuple(b * far + a * near for b, a, (far, near) in zip(j, i, steps, strict=True))
            kernel[at] += two[j] * one[i]
    return kernel


def _product(first: Sparse, then: Sparse) -> Sparse:
    """Row-wise sparse product; parallel paths between the same two elements add up."""
    width = np.diff(then.row)[first.target]
    source = np.repeat(first.source, width)
    step = np.repeat(then.row[first.target] - (np.cumsum(width) - width), width)
    entry = step + np.arange(source.size)
    key = source * prod(then.post_shape) + then.target[entry]
    weight = np.repeat(first.weight, width) * then.weight[entry]
    unique, inverse = np.unique(key, return_inverse=True)
    n_post = prod(then.post_shape)
    return Sparse(
        row=np.searchsorted(unique // n_post, np.arange(first.row.size)),
        target=unique % n_post,
        weight=np.bincount(inverse.ravel(), weights=weight, minlength=unique.size).astype(
            np.float64
        ),
        pre_shape=first.pre_shape,
        post_shape=then.post_shape,
    )
