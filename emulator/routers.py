"""Where a chip's routers lie and which of them are neighbours, from its file alone."""

from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from emulator.chip import Chip

Array = NDArray[Any]
Place = tuple[int, ...]
"""A router as files name it: x and y on a grid, over all chips; on a tree its number."""


def router_of(core: Array, chip: "Chip") -> tuple[Array, Array]:
    """Return x and y of the router of each core.

    Cores of a router follow one another, then routers in ``tile_order``, then chips row by row; x
    and y count over all chips.
    """
    mesh = chip.mesh
    router = np.asarray(core, np.int64) // mesh.cores_per_router
    which, router = np.divmod(router, mesh.width * mesh.height)
    x, y = router % mesh.width, router // mesh.width
    if mesh.tile_order == "column-major":
        x, y = router // mesh.height, router % mesh.height
    down, right = np.divmod(which, chip.fabric.chips_x)
    return x + right * mesh.width, y + down * mesh.height


def router_at(x: Array, y: Array, chip: "Chip") -> Array:
    """Return the number of the router at each place; the inverse of `router_of`."""
    mesh = chip.mesh
    right, x = np.divmod(np.asarray(x, np.int64), mesh.width)
    down, y = np.divmod(np.asarray(y, np.int64), mesh.height)
    within = x * mesh.height + y if mesh.tile_order == "column-major" else y * mesh.width + x
    return np.asarray((down * chip.fabric.chips_x + right) * mesh.width * mesh.height + within)


def grid_size(chip: "Chip") -> tuple[int, int]:
    """Routers along x and along y, over all chips."""
    return chip.mesh.width * chip.fabric.chips_x, chip.mesh.height * chip.fabric.chips_y


def is_grid(chip: "Chip") -> bool:
    """Whether routers have an x and a y."""
    return chip.fabric.topology in ("mesh", "torus")


def n_routers(chip: "Chip") -> int:
    """Routers of the network, those of a tree above its leaves included."""
    if chip.fabric.topology == "crossbar":
        return 1
    if chip.fabric.topology == "tree":
        fans = chip.fabric.fan_out or ()
        return sum(prod(fans[:level]) for level in range(len(fans) + 1))
    return prod(grid_size(chip))


def number_of(place: Place, chip: "Chip") -> int:
    """Number the routers of a grid along its rows over all chips; those of a tree have numbers."""
    return place[0] + place[1] * grid_size(chip)[0] if is_grid(chip) else place[0]


def place_of(number: int, chip: "Chip") -> Place:
    """Name a router; the inverse of `number_of`."""
    if not is_grid(chip):
        return (number,)
    y, x = divmod(number, grid_size(chip)[0])
    return x, y


def number_of_core(core: Array, chip: "Chip") -> Array:
    """Number of each core's router, as `number_of` counts; int64 [n]."""
    core = np.asarray(core, np.int64)
    if is_grid(chip):
        x, y = router_of(core, chip)
        return np.asarray(x + y * grid_size(chip)[0])
    if chip.fabric.topology == "crossbar":
        return np.zeros_like(core)
    leaves = chip.mesh.width * chip.mesh.height
    return np.asarray(n_routers(chip) - leaves + core // chip.mesh.cores_per_router)


def neighbours(chip: "Chip") -> Array:
    """Pairs of routers with links between them, each pair once; int64 [2, n]."""
    if chip.fabric.topology == "crossbar":
        return np.empty((2, 0), np.int64)
    if chip.fabric.topology == "tree":
        parents = _parents(chip.fabric.fan_out or ())
        return np.stack([parents[1:], np.arange(1, parents.size)])
    width, height = grid_size(chip)
    number = np.arange(width * height).reshape(height, width)
    pairs = [(number[:, :-1], number[:, 1:]), (number[:-1], number[1:])]
    if chip.fabric.topology == "torus":
        # A ring of two has both its links between the same routers.
        pairs += [(number[:, -1:], number[:, :1])] if width > 2 else []
        pairs += [(number[-1:], number[:1])] if height > 2 else []
    return np.concatenate([np.stack([a.ravel(), b.ravel()]) for a, b in pairs], axis=1)


def _parents(fan_out: tuple[int, ...]) -> Array:
    """Router above each router of a tree, -1 above the root; level by level."""
    parents, first, n = [np.array([-1])], 0, 1
    for fan in fan_out:
        parents.append(np.repeat(np.arange(first, first + n), fan))
        first, n = first + n, n * fan
    return np.concatenate(parents)
