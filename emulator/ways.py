"""Ways over a chip's network: hops and latency from core to core.

In closed form where packets go their usual ways; around faults by the network's own table.
"""

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from emulator.chip import Chip
from emulator.noc.of_chip import noc_of
from emulator.noc.topology import NOWHERE
from emulator.noc.ways import hops_between
from emulator.routers import router_of

Array = NDArray[Any]


class Ways(NamedTuple):
    """Hops and latency from core to core; int64, broadcast over the arguments.

    Of a tree ``hops_ew`` are those up, ``hops_ns`` those down.
    """

    hops_ew: Array
    hops_ns: Array
    hops_off_chip: Array
    latency_ps: Array


def ways(source: Array, target: Array, chip: Chip) -> Ways:
    """Hops and latency of a packet between cores on the chip; 0 hops within one router.

    Raises
    ------
    FabricChoiceError
        If faults lead packets around, but the network has too many routers for a table.
    ValueError
        If faults leave no way from a core to another.
    """
    source, target = np.asarray(source, np.int64), np.asarray(target, np.int64)
    hops_of = _hops_around if chip.faults.on_ways else _HOPS[chip.fabric.topology]
    hops_ew, hops_ns, off_chip = hops_of(source, target, chip)
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


def _hops_around(source: Array, target: Array, chip: Chip) -> tuple[Array, Array, Array]:
    hops, step, router = _table_around(chip)
    at, goal = np.broadcast_arrays(router[source], router[target])
    if np.any(step[at, goal] == NOWHERE):
        lost = np.argmax(step[at, goal].ravel() == NOWHERE)
        one, other = (core.ravel()[lost] for core in np.broadcast_arrays(source, target))
        raise ValueError(f"{chip.name}: faults leave no way from core {one} to core {other}")
    found = [hops[kind, at, goal].astype(np.int64) for kind in range(hops.shape[0])]
    return found[0], found[1], found[2] if len(found) > 2 else np.zeros_like(found[0])


@lru_cache(maxsize=4)
def _table_around(chip: Chip) -> tuple[Array, Array, Array]:
    """Hops between routers, next links, and each core's router."""
    noc, _ = noc_of(chip, np.arange(chip.n_cores))
    return hops_between(noc), noc.step, noc.core_router


_HOPS = {
    "mesh": _mesh_hops,
    "torus": _torus_hops,
    "tree": _tree_hops,
    "crossbar": _crossbar_hops,
}


def n_routers_used(core: Array, chip: Chip) -> int:
    """Routers with at least one core in use; the barrier's length depends on them."""
    return int(np.unique(np.asarray(core) // chip.mesh.cores_per_router).size)
