"""Affine expressions of activations: what lies between two activations, folded as it is read."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import prod

import numpy as np

from mapping.ann.rate_network import mapped
from mapping.folding import compose
from mapping.linear import (
    Convolution,
    Dense,
    Floats,
    Ints,
    Linear,
    Shape,
    Sparse,
    diagonal,
    reshaped,
    scaled,
    sparse,
)


@dataclass(frozen=True, kw_only=True, eq=False)
class Affine:
    """``sum of W a + b`` over activations ``a`` of some parts.

    Attributes
    ----------
    shape : tuple of int
        Without the axis of samples.
    terms : mapping of part to Linear, or None for the identity
    bias : float64 [n]
    """

    shape: Shape
    terms: Mapping[str, Linear | None]
    bias: Floats

    @property
    def size(self) -> int:
        """Number of values."""
        return prod(self.shape)

    def through(self, linear: Linear) -> "Affine":
        """Apply one more map, which takes this shape."""
        return Affine(
            shape=linear.post_shape,
            terms={
                name: linear if first is None else compose(first, linear)
                for name, first in self.terms.items()
            },
            bias=mapped(linear, self.bias[None])[0],
        )

    def plus(self, bias: Floats) -> "Affine":
        """Add a constant, float64 of a shape that fits this one."""
        return replace(self, bias=self.bias + np.broadcast_to(bias, self.shape).ravel())

    def times(self, factor: Floats) -> "Affine":
        """Multiply with a constant, float64 of a shape that fits this one."""
        by = np.broadcast_to(factor, self.shape).ravel().astype(np.float64)
        terms = {
            name: diagonal(by.reshape(self.shape), self.shape)
            if linear is None
            else scaled(linear, by=by)
            for name, linear in self.terms.items()
        }
        return Affine(shape=self.shape, terms=terms, bias=self.bias * by)

    def and_(self, other: "Affine") -> "Affine":
        """Sum of two expressions of one shape."""
        terms = dict(self.terms)
        for name, linear in other.terms.items():
            terms[name] = _sum(terms[name], linear, self.shape) if name in terms else linear
        return Affine(shape=self.shape, terms=terms, bias=self.bias + other.bias)

    def folded(self, shape: Shape) -> "Affine":
        """Return the same values in another shape."""
        terms = {
            name: None if linear is None else reshaped(linear, post_shape=shape)
            for name, linear in self.terms.items()
        }
        return Affine(shape=shape, terms=terms, bias=self.bias)

    def taken(self, index: Ints, shape: Shape) -> "Affine":
        """Some of the values in another order; ``index`` int64 [n] says which."""
        size = self.size
        order = np.argsort(index, kind="stable")
        chosen = Sparse(
            row=np.searchsorted(index[order], np.arange(size + 1)),
            target=order,
            weight=np.ones(index.size),
            pre_shape=self.shape,
            post_shape=shape,
        )
        return self.through(chosen)

    def sources(self) -> dict[str, Linear]:
        """Terms as maps, the identity written out."""
        return {
            name: diagonal(np.ones(self.shape), self.shape) if linear is None else linear
            for name, linear in self.terms.items()
        }


def identity(name: str, shape: Shape) -> Affine:
    """Activations of a part as they are."""
    return Affine(shape=shape, terms={name: None}, bias=np.zeros(prod(shape)))


def _sum(one: Linear | None, other: Linear | None, shape: Shape) -> Linear:
    """Sum of two maps between the same two parts."""
    pair = [diagonal(np.ones(shape), shape) if each is None else each for each in (one, other)]
    first, second = pair
    if isinstance(first, Dense) and isinstance(second, Dense):
        return replace(first, weight=first.weight + second.weight)
    if _alike(first, second):
        assert isinstance(first, Convolution)
        assert isinstance(second, Convolution)
        return replace(first, kernel=first.kernel + second.kernel)
    a, b = sparse(first), sparse(second)
    n_post = prod(a.post_shape)
    key = np.concatenate([a.source * n_post + a.target, b.source * n_post + b.target])
    unique, inverse = np.unique(key, return_inverse=True)
    weight = np.bincount(inverse.ravel(), np.concatenate([a.weight, b.weight]), unique.size)
    return Sparse(
        row=np.searchsorted(unique // n_post, np.arange(a.row.size)),
        target=unique % n_post,
        weight=weight.astype(np.float64),
        pre_shape=a.pre_shape,
        post_shape=a.post_shape,
    )


def _alike(one: Linear, other: Linear) -> bool:
    """Whether two convolutions differ in nothing but their kernels."""
    if not (isinstance(one, Convolution) and isinstance(other, Convolution)):
        return False
    names = ("pre_shape", "stride", "padding", "dilation", "groups")
    same = all(getattr(one, name) == getattr(other, name) for name in names)
    return same and one.kernel.shape == other.kernel.shape
