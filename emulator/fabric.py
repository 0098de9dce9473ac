"""Fabrics: what carries packets from core to core, and how long a tick takes with it.

Function never waits for physics: a fabric looks at what happened in some ticks
(`emulator.traffic.Activity`) and says how long each of them took. `FABRICS` lists them all.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from emulator.chip import Chip
from emulator.ideal import Latencies, crowd_of, ideal_ticks
from emulator.program import Program
from emulator.traffic import Activity, Packets

Array = NDArray[Any]

Carry = Callable[[Activity, int, int, Array], None]
"""Fill ``tick_ps[first:last]`` from an activity: ``carry(activity, first, last, tick_ps)``. Ticks
do not depend on each other, and several threads may call it for different ticks."""

Fabric = Callable[[Program, Chip, Packets], Carry]


class Ways(NamedTuple):
    """Hops and latency from core to core; int64, broadcast over the arguments."""

    hops_ew: Array
    hops_ns: Array
    latency_ps: Array


def router_of(core: Array, chip: Chip) -> tuple[Array, Array]:
    """Return x and y of the router of each core (row-major, ``cores_per_router`` together)."""
    router = np.asarray(core, np.int64) // chip.mesh.cores_per_router
    return router % chip.mesh.width, router // chip.mesh.width


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


def ideal(program: Program, chip: Chip, packets: Packets) -> Carry:
    """Hop latency without contention (`emulator.ideal`)."""
    x, y = router_of(program.core, chip)
    timing = chip.timing
    costs = (0, 0, 0, 0, 0, 0)
    if timing is not None:
        costs = (
            timing.hop_ew_ps.value, timing.hop_ns_ps.value, timing.local_spike_ps.value,
            timing.axon_in_ps.value, timing.synaptic_event_ps.value,
            timing.barrier_ps(n_routers_used(program.core, chip)),
        )  # fmt: skip
    latencies = Latencies(x, y, program.source_core, *costs)
    crowd = crowd_of(packets, latencies)
    listed = packets if crowd is None else None
    n_neurons = program.n_neurons

    def carry(activity: Activity, first: int, last: int, tick_ps: Array) -> None:
        ideal_ticks(activity, listed, crowd, latencies, n_neurons, first, last, tick_ps)

    return carry


FABRICS: dict[str, Fabric] = {"ideal": ideal}
