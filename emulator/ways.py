"""Ways over a chip's network: hops and latency from core to core, in closed form."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from emulator.chip import Chip

Array = NDArray[Any]


class Ways(NamedTuple):
    """Hops and latency from core to core; int64, broadcast over the arguments.

    Of a tree ``hops_ew`` are those up, ``hops_ns`` those down.
    """

    hops_ew: Array
    hops_ns: Array
    hops_off_chip: Array
    latency_ps: Array


def router_of(core: Array, chip: Chip) -> tuple[Array, Array]:
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


def router_at(x: Array, y: Array, chip: Chip) -> Array:
    """Return the number of the router at each place; the inverse of `router_of`."""
    mesh = chip.mesh
    right, x = np.divmod(np.asarray(x, np.int64), mesh.width)
    down, y = np.divmod(np.asarray(y, np.int64), mesh.height)
    within = x * mesh.height + y if mesh.tile_order == "column-major" else y * mesh.width + x
    return np.asarray((down * chip.fabric.chips_x + right) * mesh.width * mesh.height + within)


def ways(source: Array, target: Array, chip: Chip) -> Ways:
    """Hops and latency of a packet between cores on the chip; 0 hops within one router."""
    source, target = np.asarray(source, np.int64), np.asarray(target, np.int64)
    hops_ew, hops_ns, off_chip = _HOPS[chip.fabric.topology](source, target, chip)
    timing = chip.timing
    if timing is None:
        return Ways(hops_ew, hops_ns, off_chip, np.zeros_like(hops_ew))
    latency = hops_ew * timing.hop_ew_ps.value + hops_ns * timing.hop_ns_ps.value
    if chip.fabric.off_chip_hop_ps is not None:
        latency = latency + off_chip * chip.fabric.off_chip_hop_ps.value
    return Ways(hops_ew, hops_ns, off_chip, latency + timing.local_spike_ps.value)


def _mesh_hops(source: Array, target: Array, chip: Chip) -> tuple[Array, Array, Array]:
    (x0, y0), (x1, y1) = router_of(source, chip), router_of(target, chip)
    width, height = chip.mesh.width, chip.mesh.height
    off_x, off_y = np.abs(x1 // width - x0 // width), np.abs(y1 // height - y0 // height)
    return np.abs(x1 - x0) - off_x, np.abs(y1 - y0) - off_y, off_x + off_y


def _torus_hops(source: Array, target: Array, chip: Chip) -> tuple[Array, Array, Array]:
    (x0, y0), (x1, y1) = router_of(source, chip), router_of(target, chip)
    dx, dy = np.abs(x1 - x0), np.abs(y1 - y0)
    hops_ew = np.minimum(dx, chip.mesh.width - dx)
    return hops_ew, np.minimum(dy, chip.mesh.height - dy), np.zeros_like(hops_ew)


def _tree_hops(source: Array, target: Array, chip: Chip) -> tuple[Array, Array, Array]:
    at, goal = (core // chip.mesh.cores_per_router for core in (source, target))
    up = np.zeros(np.broadcast_shapes(at.shape, goal.shape), np.int64)
    for fan in reversed(chip.fabric.fan_out or ()):
        up += at != goal
        at, goal = at // fan, goal // fan
    return up, up, np.zeros_like(up)


def _crossbar_hops(source: Array, target: Array, chip: Chip) -> tuple[Array, Array, Array]:
    none = np.zeros(np.broadcast_shapes(source.shape, target.shape), np.int64)
    return none, none, none


_HOPS = {
    "mesh": _mesh_hops,
    "torus": _torus_hops,
    "tree": _tree_hops,
    "crossbar": _crossbar_hops,
}


def n_routers_used(core: Array, chip: Chip) -> int:
    """Routers with at least one core in use; the barrier's length depends on them."""
    return int(np.unique(np.asarray(core) // chip.mesh.cores_per_router).size)
