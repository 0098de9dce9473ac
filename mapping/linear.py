"""Linear maps between populations: dense, sparse and convolution, and their composition.

Every map takes a flat vector of ``n_pre`` values to one of ``n_post``; ``pre_shape`` and
``post_shape`` say how the vectors fold into tensors. Pooling is a convolution in which every
channel sees only itself. Chains of maps become one map (`compose`), so that a projection is
always a single step from spikes to synaptic input.
"""

from dataclasses import dataclass
from itertools import product
from math import prod

import numpy as np
from numpy.typing import NDArray

Shape = tuple[int, ...]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

DENSE_ABOVE = 0.5
"""A composed map with a larger share of non-zero weights than this is kept as a dense matrix."""


def _frozen(array: object, dtype: type = np.float64) -> NDArray[np.float64]:
    """Return a read-only contiguous copy."""
    copy: NDArray[np.float64] = np.array(array, dtype=dtype, order="C", copy=True)
    copy.setflags(write=False)
    return copy


def _frozen_ints(array: object) -> Ints:
    copy: Ints = np.array(array, dtype=np.int64, order="C", copy=True)
    copy.setflags(write=False)
    return copy


@dataclass(frozen=True, kw_only=True, eq=False)
class Dense:
    """A full matrix.

    Attributes
    ----------
    weight : float64 [n_post, n_pre]
    pre_shape, post_shape : tuple of int
    """

    weight: Floats
    pre_shape: Shape
    post_shape: Shape

    def __post_init__(self) -> None:
        object.__setattr__(self, "weight", _frozen(self.weight))
        want = (prod(self.post_shape), prod(self.pre_shape))
        if self.weight.shape != want:
            raise ValueError(
                f"dense weights are {self.weight.shape}, but {want[1]} sources and {want[0]} "
                f"targets need {want}"
            )

    @property
    def n_synapses(self) -> int:
        """Stored weights; a zero in a dense matrix keeps its place."""
        return int(self.weight.size)


@dataclass(frozen=True, kw_only=True, eq=False)
class Sparse:
    """Weights listed by source (compressed rows); the form that delivery reads.

    Attributes
    ----------
    row : int64 [n_pre + 1]
        Source ``s`` owns the entries ``row[s]:row[s + 1]``.
    target : int64 [n_synapses]
        Ascending within a source; a target may repeat.
    weight : float64 [n_synapses]
    """

    row: Ints
    target: Ints
    weight: Floats
    pre_shape: Shape
    post_shape: Shape

    def __post_init__(self) -> None:
        for name in ("row", "target"):
            object.__setattr__(self, name, _frozen_ints(getattr(self, name)))
        object.__setattr__(self, "weight", _frozen(self.weight))
        n_pre, n_post = prod(self.pre_shape), prod(self.post_shape)
        if self.row.shape != (n_pre + 1,) or self.row[0] != 0 or np.any(np.diff(self.row) < 0):
            raise ValueError(f"sparse rows must be {n_pre + 1} ascending offsets from 0")
        if self.target.shape != self.weight.shape or self.row[-1] != self.target.size:
            raise ValueError(
                f"sparse weights disagree: rows end at {self.row[-1]}, {self.target.size} targets, "
                f"{self.weight.size} weights"
            )
        if self.target.size and not 0 <= self.target.min() <= self.target.max() < n_post:
            raise ValueError(f"sparse targets must lie in 0..{n_post - 1}")

    @property
    def n_synapses(self) -> int:
        """Stored weights."""
        return int(self.target.size)


@dataclass(frozen=True, kw_only=True, eq=False)
class Convolution:
    """A 1-D or 2-D convolution (cross-correlation, as all frameworks mean it).

    Attributes
    ----------
    kernel : float64 [c_out, c_in / groups, *k]
    pre_shape : (c_in, *extent)
    stride, dilation : tuple of int, one for each axis
    padding : tuple of (before, after), one for each axis
        Zeros around the input.
    groups : int
    """

    kernel: Floats
    pre_shape: Shape
    stride: Shape
    padding: tuple[tuple[int, int], ...]
    dilation: Shape
    groups: int = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "kernel", _frozen(self.kernel))
        n_axes = len(self.pre_shape) - 1
        if n_axes not in (1, 2) or self.kernel.ndim != n_axes + 2:
            raise ValueError(
                f"a convolution needs a kernel [c_out, c_in, *k] and an input [c_in, *extent] of "
                f"one or two axes, not {self.kernel.shape} on {self.pre_shape}"
            )
        for name in ("stride", "padding", "dilation"):
            if len(getattr(self, name)) != n_axes:
                raise ValueError(f"{name} {getattr(self, name)} must have {n_axes} entries")
        if min(self.stride) < 1 or min(self.dilation) < 1 or self.groups < 1:
            raise ValueError("stride, dilation and groups must be at least 1")
        if min(before for pair in self.padding for before in pair) < 0:
            raise ValueError(f"padding must not be negative, but is {self.padding}")
        c_out, c_in = self.kernel.shape[0], self.kernel.shape[1] * self.groups
        if c_in != self.pre_shape[0] or c_out % self.groups:
            raise ValueError(
                f"kernel {self.kernel.shape} in {self.groups} group(s) takes {c_in} channels, "
                f"but the input has {self.pre_shape[0]}"
            )
        if min(self.post_shape) < 1:
            raise ValueError(
                f"kernel {self.kernel.shape[2:]} is larger than the padded input {self.pre_shape}"
            )

    @property
    def post_shape(self) -> Shape:
        """Shape (c_out, *extent) of the output."""
        extents = zip(
            self.pre_shape[1:],
            self.kernel.shape[2:],
            self.stride,
            self.padding,
            self.dilation,
            strict=True,
        )
        return (
            self.kernel.shape[0],
            *((n + sum(pad) - d * (k - 1) - 1) // s + 1 for n, k, s, pad, d in extents),
        )

    @property
    def n_synapses(self) -> int:
        """Connections that do not fall on the padding."""
        source, _, _ = self.taps()
        return int(source.size * self.kernel.shape[0] * self.kernel.shape[1])

    def taps(self) -> tuple[Ints, Ints, Ints]:
        """List the (input position, output position, kernel position) triples, channels aside."""
        axes = [
            _axis_taps(n, m, k, s, pad[0], d)
            for n, m, k, s, pad, d in zip(
                self.pre_shape[1:],
                self.post_shape[1:],
                self.kernel.shape[2:],
                self.stride,
                self.padding,
                self.dilation,
                strict=True,
            )
        ]
        if len(axes) == 1:
            return axes[0]
        (y_in, y_out, y_tap), (x_in, x_out, x_tap) = axes
        grid = [
            (a[:, None] * width + b).ravel()
            for a, b, width in (
                (y_in, x_in, self.pre_shape[2]),
                (y_out, x_out, self.post_shape[2]),
                (y_tap, x_tap, self.kernel.shape[3]),
            )
        ]
        return grid[0], grid[1], grid[2]


Linear = Dense | Sparse | Convolution


def _axis_taps(n: int, m: int, k: int, s: int, before: int, d: int) -> tuple[Ints, Ints, Ints]:
    out, tap = (grid.ravel() for grid in np.meshgrid(np.arange(m), np.arange(k), indexing="ij"))
    source = out * s - before + tap * d
    inside = (source >= 0) & (source < n)
    return source[inside], out[inside], tap[inside]


def pool(
    pre_shape: Shape,
    *,
    window: Shape,
    stride: Shape,
    padding: tuple[tuple[int, int], ...],
    average: bool,
) -> Convolution:
    """Sum or average pooling as a convolution within each channel.

    Averages divide by the whole window, padding included, as PyTorch does by default.
    """
    weight = 1.0 / prod(window) if average else 1.0
    return Convolution(
        kernel=np.full((pre_shape[0], 1, *window), weight),
        pre_shape=pre_shape,
        stride=stride,
        padding=padding,
        dilation=(1,) * len(window),
        groups=pre_shape[0],
    )


def diagonal(scale: Floats, shape: Shape) -> Sparse:
    """One connection from each element to itself, with its own weight."""
    n = prod(shape)
    return Sparse(
        row=np.arange(n + 1),
        target=np.arange(n),
        weight=np.broadcast_to(scale, shape).ravel(),
        pre_shape=shape,
        post_shape=shape,
    )


def sparse(linear: Linear) -> Sparse:
    """Write any map as a list by source, targets ascending; zeros of a dense matrix stay."""
    if isinstance(linear, Sparse):
        return linear
    if isinstance(linear, Dense):
        n_post, n_pre = linear.weight.shape
        return Sparse(
            row=np.arange(n_pre + 1) * n_post,
            target=np.tile(np.arange(n_post), n_pre),
            weight=linear.weight.T.ravel(),
            pre_shape=linear.pre_shape,
            post_shape=linear.post_shape,
        )
    source, target, weight = _unrolled(linear)
    order = np.lexsort((target, source))
    n_pre = prod(linear.pre_shape)
    return Sparse(
        row=np.searchsorted(source[order], np.arange(n_pre + 1)),
        target=target[order],
        weight=weight[order],
        pre_shape=linear.pre_shape,
        post_shape=linear.post_shape,
    )


def _unrolled(conv: Convolution) -> tuple[Ints, Ints, Floats]:
    """All (source, target, weight) of a convolution, in no particular order."""
    at_in, at_out, tap = conv.taps()
    c_out, c_group = conv.kernel.shape[:2]
    out_channel = np.arange(c_out)[:, None]
    in_channel = (out_channel // (c_out // conv.groups)) * c_group + np.arange(c_group)
    source = in_channel[..., None] * prod(conv.pre_shape[1:]) + at_in
    target = (out_channel * prod(conv.post_shape[1:]))[..., None] + at_out
    weight = conv.kernel.reshape(c_out, c_group, -1)[..., tap]
    return source.ravel(), np.broadcast_to(target, source.shape).ravel(), weight.ravel()


def matrix(linear: Linear) -> Floats:
    """Write any map as a full matrix [n_post, n_pre]; repeated connections add up."""
    if isinstance(linear, Dense):
        return linear.weight
    flat = sparse(linear)
    full = np.zeros((prod(flat.post_shape), prod(flat.pre_shape)))
    np.add.at(
        full, (flat.target, np.repeat(np.arange(full.shape[1]), np.diff(flat.row))), flat.weight
    )
    return full


def reshaped(linear: Linear, *, post_shape: Shape) -> Linear:
    """Return the same map with another shape of the output, as flattening asks."""
    if linear.post_shape == post_shape:
        return linear
    if isinstance(linear, Dense):
        return Dense(weight=linear.weight, pre_shape=linear.pre_shape, post_shape=post_shape)
    flat = sparse(linear)
    return Sparse(
        row=flat.row,
        target=flat.target,
        weight=flat.weight,
        pre_shape=flat.pre_shape,
        post_shape=post_shape,
    )


def scaled(linear: Linear, *, by: Floats) -> Linear:
    """Multiply what arrives at each target by its own factor.

    Parameters
    ----------
    by : float64 [n_post] or scalar
    """
    factor = np.broadcast_to(np.asarray(by, dtype=np.float64), (prod(linear.post_shape),))
    if isinstance(linear, Dense):
        return Dense(
            weight=linear.weight * factor[:, None],
            pre_shape=linear.pre_shape,
            post_shape=linear.post_shape,
        )
    if isinstance(linear, Convolution):
        channels = factor.reshape(linear.kernel.shape[0], -1)
        if np.all(channels == channels[:, :1]):
            shape = (-1,) + (1,) * (linear.kernel.ndim - 1)
            return _with_kernel(linear, linear.kernel * channels[:, 0].reshape(shape))
        linear = sparse(linear)
    return Sparse(
        row=linear.row,
        target=linear.target,
        weight=linear.weight * factor[linear.target],
        pre_shape=linear.pre_shape,
        post_shape=linear.post_shape,
    )


def _with_kernel(conv: Convolution, kernel: Floats) -> Convolution:
    return Convolution(
        kernel=kernel,
        pre_shape=conv.pre_shape,
        stride=conv.stride,
        padding=conv.padding,
        dilation=conv.dilation,
        groups=conv.groups,
    )


def compose(first: Linear, then: Linear) -> Linear:
    """Fold two maps into one.

    Pooling followed by a convolution stays a convolution where that is exact, so that a mapper
    still sees the geometry; everything else becomes a list or, if it fills up, a matrix.
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
    if isinstance(first, Convolution) and isinstance(then, Convolution):
        folded = _folded_pool(first, then)
        if folded is not None:
            return folded
    result = _product(sparse(first), sparse(then))
    if result.n_synapses > DENSE_ABOVE * prod(result.pre_shape) * prod(result.post_shape):
        return Dense(
            weight=matrix(result), pre_shape=result.pre_shape, post_shape=result.post_shape
        )
    return result


def _folded_pool(first: Convolution, then: Convolution) -> Convolution | None:
    """Fold a convolution within channels and the next one, where no border makes it inexact."""
    within_channels = first.kernel.shape[1] == 1 and first.groups == first.kernel.shape[0]
    if not within_channels or first.post_shape != then.pre_shape:
        return None
    for axis in range(len(first.stride)):
        # The next layer's padding holds zeros. Folded, it would reach pixels instead: left where
        # windows overlap, right where pooling left a rest of the input over, and anywhere inside
        # the padding of the pooling itself.
        reach = first.dilation[axis] * (first.kernel.shape[2 + axis] - 1) + 1
        rest = first.pre_shape[1 + axis] > first.post_shape[1 + axis] * first.stride[axis]
        padded = then.padding[axis] != (0, 0)
        if first.padding[axis] != (0, 0) or (padded and (reach > first.stride[axis] or rest)):
            return None
    extents = [
        (k2 - 1) * d2 * s1 + (k1 - 1) * d1 + 1
        for k2, d2, s1, k1, d1 in zip(
            then.kernel.shape[2:],
            then.dilation,
            first.stride,
            first.kernel.shape[2:],
            first.dilation,
            strict=True,
        )
    ]
    # Kernel positions first, so that each pair of positions adds one [c_out, c_in] matrix.
    kernel = np.zeros((*extents, *then.kernel.shape[:2]))
    one = np.moveaxis(first.kernel[:, 0], 0, -1)
    two = np.moveaxis(then.kernel, (0, 1), (-2, -1))
    c_out, c_group = then.kernel.shape[:2]
    channel = (np.arange(c_out)[:, None] // (c_out // then.groups)) * c_group + np.arange(c_group)
    for outer in product(*(range(k) for k in then.kernel.shape[2:])):
        for inner in product(*(range(k) for k in first.kernel.shape[2:])):
            at = tuple(
                o * d2 * s1 + i * d1
                for o, d2, s1, i, d1 in zip(
                    outer, then.dilation, first.stride, inner, first.dilation, strict=True
                )
            )
            kernel[at] += two[outer] * one[inner][channel]
    padding = tuple(
        (before * s, after * s)
        for (before, after), s in zip(then.padding, first.stride, strict=True)
    )
    folded = Convolution(
        kernel=np.moveaxis(kernel, (-2, -1), (0, 1)),
        pre_shape=first.pre_shape,
        stride=tuple(a * b for a, b in zip(first.stride, then.stride, strict=True)),
        padding=padding,
        dilation=(1,) * len(padding),
        groups=then.groups,
    )
    return folded if folded.post_shape == then.post_shape else None


def _product(first: Sparse, then: Sparse) -> Sparse:
    """Row-wise sparse product; parallel paths between the same two elements add up."""
    width = np.diff(then.row)[first.target]
    source = np.repeat(np.repeat(np.arange(first.row.size - 1), np.diff(first.row)), width)
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


def apply(linear: Linear, values: Floats) -> Floats:
    """Map analog values.

    Parameters
    ----------
    values : float64 [..., n_pre]

    Returns
    -------
    float64 [..., n_post]
    """
    if isinstance(linear, Dense):
        return np.asarray(values @ linear.weight.T)
    flat = sparse(linear)
    rows = values.reshape(-1, values.shape[-1])
    source = np.repeat(np.arange(rows.shape[1]), np.diff(flat.row))
    n_post = prod(flat.post_shape)
    out = np.empty((rows.shape[0], n_post))
    for index, row in enumerate(rows):
        out[index] = np.bincount(flat.target, weights=row[source] * flat.weight, minlength=n_post)
    return out.reshape(*values.shape[:-1], n_post)
