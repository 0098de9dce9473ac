"""Fabric ``simple``: no network, and what cores send overlaps with what they take in.

A tick lasts as long as the core that is busiest updating and sending, or the one that is busiest
taking in, whichever is longer, plus the barrier (SANA-FE 2.2.9, timing model ``simple``). Hops cost
no time. Pure functions of what each core did, of one tick or of several at once.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emulator.chip_costs import Timing, by_kind
from emulator.neuron import KINDS

Array = NDArray[Any]


def tick_ps(generation_ps: Array, reception_ps: Array, barrier_ps: int) -> Array:
    """Length of each tick; int64 [...].

    Parameters
    ----------
    generation_ps, reception_ps : int array [..., n_cores]
        Time of each core for its own neurons and packets, and for what comes to it.
    barrier_ps : int
    """
    busiest = np.maximum(generation_ps, reception_ps).max(axis=-1, initial=0)
    return np.asarray(busiest + barrier_ps, np.int64)


def generation_ps(counters: Mapping[str, Array], timing: Timing) -> Array:
    """Time for updating neurons and sending packets; int64, as the counters are shaped.

    Parameters
    ----------
    counters : mapping of int arrays [..., n_cores]
        As `emulator.engine.Engine.counters` names them.
    """
    return np.asarray(
        counters["active"] * timing.neuron_active_ps.value
        + counters["inactive"] * timing.neuron_inactive_ps.value
        + counters["spikes"] * timing.spike_ps.value
        + (counters["packets"] + counters["local_packets"]) * timing.axon_out_ps.value
    )


def reception_ps(counters: Mapping[str, Array], timing: Timing) -> Array:
    """Time for taking in packets and their synaptic events; see `generation_ps`."""
    costs = zip(KINDS, by_kind(timing.synaptic_event_ps), strict=True)
    events = sum(counters[f"{kind}_events"] * cost.value for kind, cost in costs)
    return np.asarray(counters["received"] * timing.axon_in_ps.value + events)
