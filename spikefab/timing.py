"""What a run took, and where: ticks against a deadline, cores, links, packets and decisions."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from emulator.carried import Carried
from spikefab.decisions import UNDECIDED

Array = NDArray[Any]

MOST_NAMED = 5
"""Cores and links that are named, the worst first."""


def timing_numbers(
    ticks: dict[str, Array],
    settled: Array,
    carried: Carried | None,
    core: Array,
    *,
    fabric: str,
    period_s: float,
) -> dict[str, Any]:
    """Sum up the time of a run.

    Parameters
    ----------
    ticks : mapping of int64 [samples, ticks]
        ``duration_ps``, ``slowest_core`` and ``busiest_link`` of each tick; -1 stands for none.
    settled : int64 [samples]
        As `spikefab.decisions.Decisions` gives them.
    carried : Carried, optional
        Without it nothing is told of links, queues and packets.
    core : int array [n_cores]
        Place on the chip of each core in use.
    fabric : str
    period_s : float
        Ticks must end within it to keep up with real time.
    """
    duration = ticks["duration_ps"]
    period_ps = period_s * 1e12
    traffic = {} if carried is None else _traffic(ticks, carried)
    return {
        "fabric": fabric,
        "tick_s": _spread(duration.ravel() * 1e-12),
        "tick_period_s": period_s,
        "missed_deadlines": int((duration > period_ps).sum()),
        "ticks": int(duration.size),
        "real_time_margin": 1.0 - float(duration.max(initial=0)) / period_ps,
        "speed_up": period_ps * duration.size / max(float(duration.sum()), 1.0),
        "decision_s": _decisions(duration, settled),
        "slowest_cores": [
            {"core": int(core[k]), "ticks": n} for k, n in _most_often(ticks["slowest_core"])
        ],
        "busiest_links": [],
        "packet_latency_s": None,
        "packet_latency_histogram": None,
        "queue_peaks": None,
        "injection_stall_s": None,
        "packets_dropped": None,
        **traffic,
    }


def _traffic(ticks: dict[str, Array], carried: Carried) -> dict[str, Any]:
    """Sum up links, queues and packets."""
    return {
        "busiest_links": _links(ticks["busiest_link"], carried, int(ticks["duration_ps"].sum())),
        "packet_latency_s": _latency(carried),
        "packet_latency_histogram": _histogram(carried),
        "queue_peaks": {
            "link": int(carried.queue_peak.max(initial=0)),
            "injection": int(carried.injection_peak.max(initial=0)),
            "core": int(carried.core_peak.max(initial=0)),
        },
        "injection_stall_s": float(carried.stall_ps.sum()) * 1e-12,
        "packets_dropped": carried.dropped,
    }


def _spread(values: Array) -> dict[str, float]:
    if not values.size:
        return {}
    at = np.quantile(values, [0.0, 0.5, 0.99, 1.0])
    return dict(zip(("min", "median", "p99", "max"), at.tolist(), strict=True))


def _decisions(duration: Array, settled: Array) -> dict[str, Any]:
    """From the start of a sample's input to the end of the tick that settles its class."""
    known = np.flatnonzero(settled != UNDECIDED)
    ends = np.cumsum(duration, axis=1)
    taken = ends[known, settled[known]] * 1e-12
    return {**_spread(taken), "undecided": int(settled.size - known.size)}


def _most_often(numbers: Array) -> list[tuple[int, int]]:
    """Return the numbers that occur most often, with how often; the lowest of equals first."""
    count = np.bincount(numbers[numbers >= 0])
    order = np.lexsort((np.arange(count.size), -count))[:MOST_NAMED]
    return [(int(k), int(count[k])) for k in order if count[k]]


def _links(busiest: Array, carried: Carried, total_ps: int) -> list[dict[str, Any]]:
    often = np.bincount(busiest[busiest >= 0], minlength=carried.packets.size)
    order = np.lexsort((np.arange(often.size), -carried.busy_ps))[:MOST_NAMED]
    return [
        {
            "link": carried.noc.link_name[k],
            "packets": int(carried.packets[k]),
            "utilisation": float(carried.busy_ps[k] / max(total_ps, 1)),
            "busiest_in_ticks": int(often[k]),
        }
        for k in order
        if carried.packets[k]
    ]


def _latency(carried: Carried) -> dict[str, float] | None:
    """Quantiles of the histogram: the upper end of the bin in which each falls."""
    n = np.cumsum(carried.latency)
    if not n.size or not n[-1]:
        return None
    at = {
        name: int(np.searchsorted(n, share * n[-1]))
        for name, share in (("median", 0.5), ("p99", 0.99), ("max", 1.0))
    }
    return {name: float(carried.latency_edges_ps[k + 1]) * 1e-12 for name, k in at.items()}


def _histogram(carried: Carried) -> dict[str, list[int]]:
    """Packets by latency: from ``least_ps`` on, below ``below_ps``; bins without packets left out."""
    used = np.flatnonzero(carried.latency)
    edges = carried.latency_edges_ps
    return {
        "least_ps": np.ceil(edges[used]).astype(np.int64).tolist(),
        "below_ps": np.ceil(edges[used + 1]).astype(np.int64).tolist(),
        "packets": carried.latency[used].tolist(),
    }
