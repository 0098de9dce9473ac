"""Linear maps between populations: dense, sparse and convolution.

Every map takes a flat vector of ``n_pre`` values to one of ``n_post``; ``pre_shape`` and
``post_shape`` say how the vectors fold into tensors. Pooling is a convolution in which every
channel sees only itself. Chains of maps become one map (`mapping.folding`), so that a projection
is always a single step from spikes to synaptic input.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from math import prod
from operator import index
from typing import Any

import numpy as np
from numpy.typing import NDArray

Shape = tuple[int, ...]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

LARGEST = 2**31
"""More elements than this in one tensor are taken for a mistake."""


def whole(name: str, values: Iterable[int]) -> Shape:
    """Return plain integers, so that shapes from NumPy can be hashed and saved like any other.

    Raises
    ------
    ValueError
        If one of them is no whole number.
    """
    try:
        return tuple(index(value) for value in values)
    except TypeError:
        raise ValueError(f"{name} must be whole numbers, but is {values!r}") from None


def _set_whole(linear: object, *names: str) -> None:
    """Replace attributes of a frozen map by plain integers."""
    for name in names:
        object.__setattr__(linear, name, whole(name, getattr(linear, name)))


def constant(value: float, shape: Shape) -> Floats:
    """Return an array of one value, which takes no memory whatever its shape."""
    return np.broadcast_to(np.float64(value), shape)


def is_constant(array: NDArray[Any]) -> bool:
    """Whether an array is a single number that is told for all its elements."""
    return array.size > 1 and not any(array.strides)


def _frozen(array: object) -> Floats:
    """Return a read-only contiguous copy; a constant stays the single number that it is."""
    if isinstance(array, np.ndarray) and is_constant(array):
        return constant(array.flat[0], array.shape)
    copy: Floats = np.array(array, dtype=np.float64, order="C", copy=True)
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
        _set_whole(self, "pre_shape", "post_shape")
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
        _set_whole(self, "pre_shape", "post_shape")
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
    def source(self) -> Ints:
        """int64 [n_synapses]: source of each entry."""
        return np.repeat(np.arange(self.row.size - 1), np.diff(self.row))

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
        _set_whole(self, "pre_shape", "stride", "dilation")
        padding = tuple(whole("padding", pair) for pair in self.padding)
        object.__setattr__(self, "padding", padding)
        object.__setattr__(self, "groups", index(self.groups))
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
        if prod(self.post_shape) > LARGEST:
            raise ValueError(f"the output {self.post_shape} holds more than 2^31 elements")

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

    Raises
    ------
    ValueError
        If the window is empty or larger than the padded input.
    """
    if min(window) < 1:
        raise ValueError(f"the window {window} must be at least 1 in every axis")
    padded = tuple(n + sum(pair) for n, pair in zip(pre_shape[1:], padding, strict=True))
    if any(k > n for k, n in zip(window, padded, strict=True)):
        raise ValueError(f"the window {window} is larger than the padded input {padded}")
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
    np.add.at(full, (flat.target, flat.source), flat.weight)
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


def with_weights(linear: Linear, weights: Floats) -> Linear:
    """Return the same connections with other weights."""
    if isinstance(linear, Convolution):
        return replace(linear, kernel=weights)
    return replace(linear, weight=weights)


def some(listed: Sparse, kept: NDArray[np.bool_]) -> Sparse:
    """Only some entries of a list, by bool [n_synapses]."""
    source = listed.source[kept]
    return replace(
        listed,
        row=np.searchsorted(source, np.arange(listed.row.size)),
        target=listed.target[kept],
        weight=listed.weight[kept],
    )


def scaled(linear: Linear, *, by: Floats) -> Linear:
    """Multiply what arrives at each target by its own factor.

    Parameters
    ----------
    by : float64 [n_post] or scalar
    """
    factor = np.broadcast_to(np.asarray(by, dtype=np.float64), (prod(linear.post_shape),))
    if isinstance(linear, Dense) and is_constant(linear.weight) and np.all(factor == factor[0]):
        value = linear.weight.flat[0] * factor[0]
        return replace(linear, weight=constant(value, linear.weight.shape))
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
            return with_weights(linear, linear.kernel * channels[:, 0].reshape(shape))
        linear = sparse(linear)
    return Sparse(
        row=linear.row,
        target=linear.target,
        weight=linear.weight * factor[linear.target],
        pre_shape=linear.pre_shape,
        post_shape=linear.post_shape,
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
    source = flat.source
    n_post = prod(flat.post_shape)
    out = np.empty((rows.shape[0], n_post))
    for k, row in enumerate(rows):
        out[k] = np.bincount(flat.target, weights=row[source] * flat.weight, minlength=n_post)
    return out.reshape(*values.shape[:-1], n_post)
