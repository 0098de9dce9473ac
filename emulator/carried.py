"""What a fabric has carried in a run: by link, by core, and how long packets took."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emulator.noc.scratch import Traffic, latency_edges
from emulator.noc.topology import Noc

Array = NDArray[Any]


@dataclass(frozen=True, kw_only=True, eq=False)
class Carried:
    """Totals of a run.

    Attributes
    ----------
    noc : Noc
    packets, busy_ps : int64 [n_links]
        Packets on each link, and how long they kept it busy.
    queue_peak : int64 [n_links]
        Most packets behind each link at once; 0 where the fabric has no queues.
    injection_peak, core_peak : int64 [n_cores]
        The same at each core that sends, and in each that receives.
    stall_ps : int64 [n_cores]
        How long packets of each core waited for its bounded injection queue.
    latency : int64 [n_bins]
        Packets by the time from leaving their neuron until the core was done with them; empty where
        the fabric does not follow them.
    latency_edges_ps : float64 [n_bins + 1]
        Where the bins begin and the last ends.
    dropped : int
        Packets that were lost on links that failed.
    """

    noc: Noc
    packets: Array
    busy_ps: Array
    queue_peak: Array
    injection_peak: Array
    core_peak: Array
    stall_ps: Array
    latency: Array
    latency_edges_ps: Array
    dropped: int = 0


def no_traffic() -> Traffic:
    """Statistics where nothing is followed."""
    return Traffic(*(np.zeros(0, np.int64) for _ in Traffic._fields))


def carried_of(noc: Noc, traffic: Traffic, dropped: int = 0) -> Carried:
    """Sort a network's statistics."""
    n_feeding = noc.n_links * noc.n_classes
    links, queues, injections = np.split(traffic.peak, [n_feeding, n_feeding + noc.n_cores])
    return Carried(
        noc=noc,
        packets=traffic.packets[: noc.n_links],
        busy_ps=traffic.busy_ps[: noc.n_links],
        queue_peak=links.reshape(noc.n_links, noc.n_classes).max(axis=1, initial=0),
        injection_peak=injections,
        core_peak=queues,
        stall_ps=traffic.stall_ps,
        latency=traffic.latency,
        latency_edges_ps=latency_edges(),
        dropped=dropped,
    )


def added(traffics: Sequence[Traffic]) -> Traffic:
    """Statistics of several parts of one run; at least one."""
    together = Traffic(*(column.copy() for column in traffics[0]))
    for traffic in traffics[1:]:
        add_to(together, traffic)
    return together


def add_to(total: Traffic, part: Traffic) -> None:
    """Add the statistics of one more part of a run."""
    for name in Traffic._fields:
        join = np.maximum if name == "peak" else np.add
        join(getattr(total, name), getattr(part, name), out=getattr(total, name))
