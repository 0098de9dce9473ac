"""Orders of neurons that have geometry: box by box, so that neighbours share a core."""

from collections.abc import Iterator, Sequence
from itertools import product
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Shape = tuple[int, ...]
Box = tuple[int, int, int]


def boxes(shape: Shape, room: int) -> list[Box]:
    """Sizes (channels, rows, columns) of boxes of at most ``room`` neurons that are worth trying.

    Powers of two and whole sides; those of which no side can be doubled.
    """
    sides = [[s for s in (1, 2, 4, 8, 16, 32, 64) if s < n] + [n] for n in volume(shape)]
    fitting = [(c, y, x) for c, y, x in product(*sides) if c * y * x <= room]
    taken = set(fitting)

    def grown(box: Box) -> Iterator[Box]:
        for axis, side in enumerate(sides):
            larger = [s for s in side if s > box[axis]]
            if larger:
                c, y, x = (larger[0] if at == axis else side for at, side in enumerate(box))
                yield c, y, x

    return [box for box in fitting if not any(more in taken for more in grown(box))]


def volume(shape: Shape) -> Box:
    """Channels, rows and columns; what has fewer axes has one of the others."""
    if len(shape) == 3:
        return shape[0], shape[1], shape[2]
    if len(shape) == 2:
        return shape[0], 1, shape[1]
    return 1, 1, prod(shape)


def box_order(shape: Shape, box: Box) -> tuple[Array, Array]:
    """Neurons of a population box by box, row by row of boxes.

    Returns
    -------
    order : int64 [n]
    border : bool [n]
        Whether a box begins.
    """
    channels, height, width = volume(shape)
    number = np.arange(channels * height * width).reshape(channels, height, width)
    parts = [
        number[c : c + box[0], y : y + box[1], x : x + box[2]].ravel()
        for y in range(0, height, box[1])
        for x in range(0, width, box[2])
        for c in range(0, channels, box[0])
    ]
    order = np.concatenate(parts) if parts else np.empty(0, np.int64)
    border = np.zeros(order.size, np.bool_)
    border[np.cumsum([0, *(part.size for part in parts)])[:-1]] = True
    return order, border


def tile_orders(shapes: Sequence[Shape], room: int) -> Iterator[tuple[Array, Array]]:
    """Orders of whole networks: for each box shape of the largest population, all cut alike.

    A population that the box does not suit is cut into boxes of about the same field of view: rows
    and columns shrink with its own, and channels fill what is left.

    Yields
    ------
    order, border
        As `box_order` has them, for all populations one after another.
    """
    starts = np.cumsum([0, *(prod(shape) for shape in shapes)])
    geometric = [shape for shape in shapes if volume(shape)[1] > 1]
    if not geometric:
        return
    largest = max(geometric, key=prod)
    for box in boxes(largest, room):
        orders, borders = [], []
        for start, shape in zip(starts, shapes, strict=False):
            order, border = box_order(shape, _fitted(shape, box, room))
            orders.append(start + order)
            borders.append(border)
        yield np.concatenate(orders), np.concatenate(borders)


def _fitted(shape: Shape, box: Box, room: int) -> Box:
    channels, height, width = volume(shape)
    rows, columns = min(box[1], height), min(box[2], width)
    if box[0] == 1 or height == 1:
        return min(channels, room), rows, columns if height > 1 else min(width, room)
    return max(min(channels, room // (rows * columns)), 1), rows, columns
