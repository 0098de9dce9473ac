"""Where cores can lie: coordinates of the routers that have room, and ways between them."""

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


@dataclass(frozen=True, kw_only=True, eq=False)
class Floor:
    """Places for cores on a grid of routers; dead and reserved ones are left out.

    Attributes
    ----------
    x, y : int64 [n_places]
        Router of each place, from 0. Several places of one router are no hop apart.
    ring_x, ring_y : int
        Routers on a ring in that direction, 0 where rows (columns) have ends.

    Raises
    ------
    ValueError
        If places have no two coordinates, or lie outside.
    """

    x: Array
    y: Array
    ring_x: int = 0
    ring_y: int = 0

    def __post_init__(self) -> None:
        if self.x.shape != self.y.shape or self.x.ndim != 1:
            raise ValueError(f"places need an x and a y each: {self.x.shape} and {self.y.shape}")
        for name, at, ring in (("x", self.x, self.ring_x), ("y", self.y, self.ring_y)):
            if at.size and (at.min() < 0 or (ring and at.max() >= ring)):
                raise ValueError(f"{name}: {at.min()} to {at.max()} is outside the grid")
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, np.ndarray):
                value = np.ascontiguousarray(value, np.int64).view()
                value.flags.writeable = False
                object.__setattr__(self, field.name, value)

    @property
    def n_places(self) -> int:
        """Cores that find room."""
        return int(self.x.size)

    @staticmethod
    def mesh(width: int, height: int, per_router: int = 1) -> "Floor":
        """Lay out a whole mesh row by row."""
        router = np.repeat(np.arange(width * height), per_router)
        return Floor(x=router % width, y=router // width)

    def distance(self, a: Array, b: Array) -> Array:
        """Count hops between places; int64, broadcast over the arguments."""
        dx, dy = np.abs(self.x[a] - self.x[b]), np.abs(self.y[a] - self.y[b])
        if self.ring_x:
            dx = np.minimum(dx, self.ring_x - dx)
        if self.ring_y:
            dy = np.minimum(dy, self.ring_y - dy)
        return np.asarray(dx + dy)

    def along_hilbert(self) -> Array:
        """Order places along a Hilbert curve over the smallest square that covers the grid."""
        wide = self.x.max(initial=0) > self.y.max(initial=0)
        # The first half of the curve covers the half of the square with the lower x.
        number = hilbert_number(self.y, self.x) if wide else hilbert_number(self.x, self.y)
        return np.lexsort((np.arange(self.n_places), number))

    def nearest(self) -> Array:
        """Count routers' places by distance from an inner one of an endless grid; int64 [n_places].

        The k-th entry is a lower bound of the distance to the k-th other core.
        """
        per_router = np.unique(self.x * (self.y.max(initial=0) + 1) + self.y, return_counts=True)[1]
        room = int(per_router.max(initial=1))
        distances = np.arange(1, self.n_places + 1)
        away = np.repeat(distances, np.minimum(4 * distances * room, self.n_places))
        return np.concatenate([np.zeros(room - 1, np.int64), away])[: self.n_places]


def hilbert_number(x: Array, y: Array) -> Array:
    """Number of grid points along the Hilbert curve (Hilbert, Math. Ann. 38, 1891); int64 [n].

    Parameters
    ----------
    x, y : int [n]
        From 0.
    """
    x, y = np.array(x, np.int64), np.array(y, np.int64)
    side = 1 << max(int(max(x.max(initial=0), y.max(initial=0))).bit_length() - 1, 0)
    number = np.zeros(x.size, np.int64)
    while side:
        right, up = (x & side) > 0, (y & side) > 0
        number += side * side * ((3 * right) ^ up)
        # The quarters at the start and the end of the curve are turned.
        x[right & ~up], y[right & ~up] = (2 * side - 1 - v[right & ~up] for v in (x, y))
        x[~up], y[~up] = y[~up].copy(), x[~up].copy()
        x, y = x & (side - 1), y & (side - 1)
        side >>= 1
    return number
