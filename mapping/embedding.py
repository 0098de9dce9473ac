"""Lay cores on the floor as their neurons lie in their layers: a start for placers."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mapping.layout.floor import Floor
from mapping.mapping import Slice
from mapping.outline import Outline

Array = NDArray[Any]


def embedded(cores: Sequence[Sequence[Slice]], outline: Outline, floor: Floor) -> Array | None:
    """Deal cores out to the floor by rows and columns of their neurons, layers interleaved.

    Neurons without geometry are taken to lie in the middle.

    Returns
    -------
    int64 [n_cores] or None
        Place of each core; None if no population has rows and columns.
    """
    shapes = {p.name: p.shape for p in outline.populations}
    if not any(len(shape) == 3 for shape in shapes.values()):
        return None
    at = np.array([_middle(slices, shapes) for slices in cores])
    n = len(at)
    order = np.lexsort((np.arange(floor.n_places), floor.x, floor.y))[:n]
    by_row = np.lexsort((np.arange(n), at[:, 0]))
    by_place = np.lexsort((np.arange(n), at[by_row, 1], floor.y[order]))
    place = np.empty(n, np.int64)
    place[by_row[by_place]] = order
    return place


def _middle(slices: Sequence[Slice], shapes: dict[str, tuple[int, ...]]) -> tuple[float, float]:
    """Mean row and column of a core's neurons, as shares of their layers."""
    total = row = column = 0.0
    for part in slices:
        n, shape = part.neurons.size, shapes[part.population]
        y, x = 0.5, 0.5
        if len(shape) == 3:
            position = part.neurons % (shape[1] * shape[2])
            y = (float(np.mean(position // shape[2])) + 0.5) / shape[1]
            x = (float(np.mean(position % shape[2])) + 0.5) / shape[2]
        total, row, column = total + n, row + n * y, column + n * x
    return row / total, column / total
