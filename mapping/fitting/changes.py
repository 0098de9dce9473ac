"""Changes of outlines and chips that make a network need less or a chip hold more."""

from collections import Counter
from collections.abc import Container, Iterator, Sequence
from dataclasses import replace
from math import prod
from typing import Any
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from emulator.chip import Chip
from mapping.linear import Convolution, Dense, Linear, Shape, Sparse, constant, some
from mapping.network import weights_of
from mapping.outline import Outline, OutlineProjection

Array = NDArray[Any]

_RARE = 1 / 16
"""Share of synapses up to which they are drawn one by one."""
_PIECE = 1 << 24
"""Synapses that are drawn together; bounds the memory that this takes."""


class UnchangeableError(ValueError):
    """There is no such change of this network or chip."""


def with_weight_bits(chip: Chip, bits: int) -> Chip:
    """Return a chip whose weights are held in fewer bits."""
    return _edited(chip, "numbers" if chip.runs else "formats", weight_bits=bits)


def side_by_side(chip: Chip, n: int) -> Chip:
    """Return ``n`` chips in a row.

    A hop between chips that the file gives no time for is taken to be as long as one within.

    Raises
    ------
    UnchangeableError
        If its fabric is no mesh, the only one that goes on over several chips.
    """
    fabric = chip.fabric
    if fabric.topology != "mesh":
        raise UnchangeableError(f"chips with a {fabric.topology} are not put side by side")
    hop: Any = fabric.off_chip_hop_ps
    if hop is None:
        hop = {"value": 0 if chip.timing is None else chip.timing.hop_ew_ps.value}
    return _edited(chip, "fabric", chips_x=n, chips_y=1, off_chip_hop_ps=hop)


def _edited(chip: Chip, table: str, **values: Any) -> Chip:
    """Change some values of a table; the whole chip is checked again.

    Raises
    ------
    UnchangeableError
        If there can be no such chip.
    """
    whole = chip.model_dump()
    try:
        return Chip.model_validate(whole | {table: whole[table] | values})
    except ValueError as error:
        raise UnchangeableError(f"{chip.name} with {values} cannot be: {error}") from None


def narrowed(outline: Outline, widths: dict[str, int]) -> Outline:
    """Leave out the last neurons of populations; of those with geometry, the last channels.

    Parameters
    ----------
    widths : dict of str to int
        Neurons or channels that are left of each population.

    Raises
    ------
    UnchangeableError
        If a connection binds channels one by one.
    """
    shapes = {name: narrowed_shape(outline.population(name).shape, n) for name, n in widths.items()}
    return replace(
        outline,
        populations=tuple(
            replace(
                p, shape=shapes[p.name], settings=p.settings[: prod(shapes[p.name])],
                levels=p.levels[: prod(shapes[p.name])],
            ) if p.name in shapes else p
            for p in outline.populations
        ),
        projections=tuple(_narrow(p, shapes) for p in outline.projections),
    )  # fmt: skip


def narrowed_shape(shape: Shape, n: int) -> Shape:
    """Shape of a population of which ``n`` neurons or channels are left."""
    return (n, *shape[1:])


def _narrow(projection: OutlineProjection, shapes: dict[str, Shape]) -> OutlineProjection:
    linear = projection.linear
    pre = shapes.get(projection.source, linear.pre_shape)
    post = shapes.get(projection.target, linear.post_shape)
    if pre is linear.pre_shape and post is linear.post_shape:
        return projection
    cut: Linear
    if isinstance(linear, Dense):
        cut = Dense(weight=constant(1.0, (prod(post), prod(pre))), pre_shape=pre, post_shape=post)
    elif isinstance(linear, Sparse):
        cut = _fewer(linear, pre, post)
    else:
        if linear.groups > 1:
            raise UnchangeableError(f"{projection.name} binds its channels one by one")
        c_in, c_out = (_channels(shape, linear, at) for at, shape in enumerate((pre, post)))
        cut = replace(
            linear, kernel=linear.kernel[:c_out, :c_in], pre_shape=(c_in, *linear.pre_shape[1:])
        )
    return replace(projection, linear=cut)


def _channels(shape: Shape, conv: Convolution, at: int) -> int:
    """Channels that are left at one end of a convolution."""
    extent = prod((conv.pre_shape, conv.post_shape)[at][1:])
    if prod(shape) % extent:
        raise UnchangeableError("what is left is no whole channel")
    return prod(shape) // extent


def _fewer(listed: Sparse, pre: Shape, post: Shape) -> Sparse:
    kept = some(listed, (listed.source < prod(pre)) & (listed.target < prod(post)))
    return replace(kept, row=kept.row[: prod(pre) + 1], pre_shape=pre, post_shape=post)


def n_synapses(projection: OutlineProjection) -> int:
    """Synapses that pruning can choose from: of a convolution those of its kernel."""
    weights = weights_of(projection.linear)
    return int(weights.size if isinstance(projection.linear, Dense) else np.count_nonzero(weights))


def pruned(
    outline: Outline, share: float, *, names: Container[str] | None = None, seed: int = 0
) -> Outline:
    """Draw which synapses stay if a share of them is pruned at random.

    Each stays with the same chance, so that the share is an expected value. A larger share with
    the same seed prunes these and more. Weights of a convolution are pruned in its kernel; what is
    left of a full matrix is a list, whose synapses need an index.

    Parameters
    ----------
    share : float
        From 0 to 1.
    names : container of str, optional
        Projections to prune, as `OutlineProjection.name` calls them; all by default.
    """
    return replace(
        outline,
        projections=tuple(
            replace(p, linear=_thinned(p.linear, share, _drawing(p.name, number, seed)))
            if names is None or p.name in names
            else p
            for p, number in _numbered(outline.projections)
        ),
    )


def _numbered(
    projections: Sequence[OutlineProjection],
) -> Iterator[tuple[OutlineProjection, int]]:
    """Count projections of one name, which run side by side."""
    seen: Counter[str] = Counter()
    for p in projections:
        yield p, seen[p.name]
        seen[p.name] += 1


def _drawing(name: str, number: int, seed: int) -> np.random.Generator:
    """Draw for each projection by its name, whatever others there are."""
    return np.random.default_rng([seed, crc32(name.encode("utf-8", "surrogatepass")), number])


def _thinned(linear: Linear, share: float, rng: np.random.Generator) -> Linear:
    if isinstance(linear, Dense):
        return _drawn(linear, share, rng)
    if isinstance(linear, Sparse):
        return some(linear, rng.random(linear.n_synapses) >= share)
    return replace(
        linear, kernel=np.where(rng.random(linear.kernel.shape) >= share, linear.kernel, 0)
    )


def _drawn(matrix: Dense, share: float, rng: np.random.Generator) -> Sparse:
    """Give each synapse a mark, uniform from 0 to 1; those stay whose mark is low enough.

    Marks below `_RARE` are drawn by the gaps between them, which are geometric: where most
    synapses go, the others need no mark.
    """
    (n_post, n_pre), keep = matrix.weight.shape, 1 - share
    rare = _at_random(n_post * n_pre, _RARE, rng)
    mark = rng.random(rare.size) * _RARE
    if keep <= _RARE:
        at = rare[mark < keep]
    else:
        pieces = []
        for first in range(0, n_post * n_pre, _PIECE):
            last = min(first + _PIECE, n_post * n_pre)
            rest = _RARE + (1 - _RARE) * rng.random(last - first, np.float32)
            stays = rest < np.float32(keep)
            stays[rare[slice(*np.searchsorted(rare, [first, last]))] - first] = True
            pieces.append(first + np.flatnonzero(stays))
        at = np.concatenate(pieces)
    return Sparse(
        row=np.searchsorted(at, np.arange(n_pre + 1) * n_post), target=at % n_post,
        weight=constant(1.0, at.shape) if at.size > 1 else np.ones(at.size),
        pre_shape=matrix.pre_shape, post_shape=matrix.post_shape,
    )  # fmt: skip


def _at_random(n: int, chance: float, rng: np.random.Generator) -> Array:
    """Choose numbers below ``n``, each with the same chance; ascending."""
    found, last = [], -1
    while last < n:
        gaps = rng.geometric(chance, int((n - last) * chance * 1.01) + 64)
        found.append(last + np.cumsum(gaps))
        last = int(found[-1][-1])
    chosen = np.concatenate(found)
    return chosen[: np.searchsorted(chosen, n)]
