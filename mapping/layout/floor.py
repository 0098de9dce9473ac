"""Where cores can lie: coordinates of the routers that have room, and ways between them."""

from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emulator.chip import Chip
from emulator.routers import is_grid, router_of
from emulator.ways import ways
from mapping.errors import CapacityError

Array = NDArray[Any]

ROUTERS_MOST = 4096
"""Routers in use of the largest floor whose hops are held in a table."""


def _none() -> Array:
    return np.empty(0, np.int64)


def _no_table() -> Array:
    return np.empty((0, 0), np.int64)


@dataclass(frozen=True, kw_only=True, eq=False)
class Floor:
    """Places for cores on a grid of routers; dead and reserved ones are left out.

    Where ways do not follow the grid (around faults), or routers have none (a tree's leaves and
    the cores of a crossbar stand in a row), hops are held in a table.

    Attributes
    ----------
    x, y : int64 [n_places]
        Router of each place, from 0. Several places of one router are no hop apart.
    ring_x, ring_y : int
        Routers on a ring in that direction, 0 where rows (columns) have ends.
    core : int64 [n_places]
        The chip's number of the core at each place; the place's own where nothing is said.
    router : int64 [n_places] or [0]
        Row of each place in ``between``; empty where hops follow from x and y.
    between : int64 [n_routers, n_routers] or [0, 0]
        Hops from router to router.

    Raises
    ------
    ValueError
        If places have no two coordinates, or lie outside of the grid or the table.
    """

    x: Array
    y: Array
    ring_x: int = 0
    ring_y: int = 0
    core: Array = field(default_factory=_none)
    router: Array = field(default_factory=_none)
    between: Array = field(default_factory=_no_table)

    def __post_init__(self) -> None:
        if self.x.shape != self.y.shape or self.x.ndim != 1:
            raise ValueError(f"places need an x and a y each: {self.x.shape} and {self.y.shape}")
        for name, at, ring in (("x", self.x, self.ring_x), ("y", self.y, self.ring_y)):
            if at.size and (at.min() < 0 or (ring and at.max() >= ring)):
                raise ValueError(f"{name}: {at.min()} to {at.max()} is outside the grid")
        if not self.core.size:
            object.__setattr__(self, "core", np.arange(self.x.size))
        if self.core.shape != self.x.shape or self.router.size not in (0, self.x.size):
            raise ValueError(
                f"{self.x.size} places, but {self.core.size} cores and {self.router.size} routers"
            )
        if self.router.size and not 0 <= self.router.min() <= self.router.max() < len(self.between):
            raise ValueError(f"router: hops are known between {len(self.between)} routers")
        for each in fields(self):
            value = getattr(self, each.name)
            if isinstance(value, np.ndarray):
                value = np.ascontiguousarray(value, np.int64).view()
                value.flags.writeable = False
                object.__setattr__(self, each.name, value)

    @property
    def n_places(self) -> int:
        """Cores that find room."""
        return int(self.x.size)

    @cached_property
    def both_ways(self) -> Array:
        """Mean of the hops there and back, which differ where links are dead one way; float64.

        Placers judge by it, as they add up what two cores send each other.
        """
        return np.asarray((self.between + self.between.T) / 2)

    @staticmethod
    def mesh(width: int, height: int, per_router: int = 1) -> "Floor":
        """Lay out a whole mesh row by row."""
        router = np.repeat(np.arange(width * height), per_router)
        return Floor(x=router % width, y=router // width)

    @staticmethod
    def of(chip: Chip) -> "Floor":
        """Lay out the usable cores of a chip, ascending; distances are its packets' hops.

        Raises
        ------
        CapacityError
            If hops need a table, but there are too many routers for one.
        FabricChoiceError
            The same, if the reason is ways around faults.
        """
        cores = chip.usable
        if is_grid(chip):
            x, y = router_of(cores, chip)
            if not chip.faults.on_ways:
                ring = chip.fabric.topology == "torus"
                return Floor(
                    x=x, y=y, core=cores,
                    ring_x=chip.mesh.width if ring else 0, ring_y=chip.mesh.height if ring else 0,
                )  # fmt: skip
        else:
            leaf = cores // chip.mesh.cores_per_router
            x, y = leaf if chip.fabric.topology == "tree" else cores, np.zeros_like(cores)
        number, first, router = np.unique(
            cores // chip.mesh.cores_per_router, return_index=True, return_inverse=True
        )
        if chip.fabric.topology == "crossbar":
            number, first, router = number[:1], first[:1], np.zeros_like(router)
        if number.size > ROUTERS_MOST:
            raise CapacityError(
                chip.name,
                (f"{number.size:,} routers of a {chip.fabric.topology} are in use, but their hops "
                 f"are held in a table for at most {ROUTERS_MOST:,}; use fewer cores",),
            )  # fmt: skip
        way = ways(cores[first][:, None], cores[first], chip)
        between = way.hops_ew + way.hops_ns + way.hops_off_chip
        return Floor(x=x, y=y, core=cores, router=router, between=between)

    def distance(self, a: Array, b: Array) -> Array:
        """Count hops from place to place; int64, broadcast over the arguments."""
        if self.router.size:
            return np.asarray(self.between[self.router[a], self.router[b]])
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
        """Tell how near the k-th other core is at least; [n_places].

        From an inner place of an endless grid, or from the best place where hops have a table.
        """
        if self.router.size:
            return self._nearest_in_table()
        per_router = np.unique(self.x * (self.y.max(initial=0) + 1) + self.y, return_counts=True)[1]
        room = int(per_router.max(initial=1))
        # 2 d (d + 1) routers lie within d hops, so that the furthest of n places needs no more.
        distances = np.arange(1, int(np.sqrt(self.n_places / (2 * room))) + 2)
        away = np.repeat(distances, 4 * distances * room)
        return np.concatenate([np.zeros(room - 1, np.int64), away])[: self.n_places]

    def _nearest_in_table(self) -> Array:
        used, room = np.unique(self.router, return_counts=True)
        least = np.full(self.n_places, np.inf)
        for at in used:
            away = self.both_ways[at, used]
            order = np.argsort(away, kind="stable")
            # One place is the own one.
            others = np.repeat(away[order], room[order] - (used[order] == at))
            least[: others.size] = np.minimum(least[: others.size], others)
        return least


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
