"""Fabric ``ideal``: hop latency without contention.

A packet takes X first, then Y. Nothing queues: it leaves when its neuron's update cost has
passed and needs the sum of its hops. A core handles its synaptic events one after another once
its own updates are done and the last packet has come. A tick ends with the slowest core, plus
the barrier. Input comes from outside at the start of a tick; its way to the mesh is not modelled.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from emulator.chip import Chip

Array = NDArray[Any]


class Ways(NamedTuple):
    """Hops and latency from core to core; int64, broadcast over the arguments."""

    hops_ew: Array
    hops_ns: Array
    latency_ps: Array


def router_of(core: Array, chip: Chip) -> tuple[Array, Array]:
    """Return x and y of the router of each core (``cores_per_router`` together, in `tile_order`)."""
    mesh = chip.mesh
    router = np.asarray(core, np.int64) // mesh.cores_per_router
    if mesh.tile_order == "column-major":
        return router // mesh.height, router % mesh.height
    return router % mesh.width, router // mesh.width


def router_at(x: Array, y: Array, chip: Chip) -> Array:
    """Return the number of the router at each place; the inverse of `router_of`."""
    mesh = chip.mesh
    if mesh.tile_order == "column-major":
        return np.asarray(np.asarray(x, np.int64) * mesh.height + y)
    return np.asarray(np.asarray(y, np.int64) * mesh.width + x)


def ways(source: Array, target: Array, chip: Chip) -> Ways:
    """Hops and latency of a packet between physical cores; 0 hops within one core."""
    (x0, y0), (x1, y1) = router_of(source, chip), router_of(target, chip)
    hops_ew, hops_ns = np.abs(x1 - x0), np.abs(y1 - y0)
    timing = chip.timing
    if timing is None:
        return Ways(hops_ew, hops_ns, np.zeros_like(hops_ew))
    latency = hops_ew * timing.hop_ew_ps.value + hops_ns * timing.hop_ns_ps.value
    latency = latency + timing.local_spike_ps.value
    return Ways(hops_ew, hops_ns, latency)


def n_routers_used(core: Array, chip: Chip) -> int:
    """Routers with at least one core in use; the barrier's length depends on them."""
    return int(np.unique(np.asarray(core) // chip.mesh.cores_per_router).size)
