"""Energy from counters and a cost table; no state, so a recorded run can be costed again.

Every part is a sum of counts, each times its cost, and so holds for a run, a sample or a tick.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from emulator.chip import Chip
from emulator.chip_bounds import at_bound
from emulator.chip_costs import ByKind, Energy, by_kind
from emulator.neuron import KINDS

Array = NDArray[Any]

COUNTED = (
    "active", "inactive", "spikes", *(f"{kind}_events" for kind in KINDS), "packets",
    "local_packets", "input_packets", "hops_ew", "hops_ns", "hops_off_chip",
)  # fmt: skip
"""Counters that energy is made of."""

_ADDED_LATER = ("spikes", *(f"{kind}_events" for kind in KINDS), "hops_off_chip")
"""Counters that recordings of earlier versions may lack."""


class Joules(NamedTuple):
    """Energy by what used it, joules."""

    neurons: float
    synapses: float
    network: float
    static: float

    @property
    def total(self) -> float:
        """Everything together."""
        return sum(self)


class Band(NamedTuple):
    """Energy with every cost at its lowest, as given, and at its highest."""

    low: Joules
    nominal: Joules
    high: Joules


class CountersError(ValueError):
    """Counters do not suffice for a chip's costs."""


def energy_j(counters: Mapping[str, Array], duration_ps: int, chip: Chip) -> Joules | None:
    """Cost a run; None for a chip without energies.

    Parameters
    ----------
    counters : mapping of int arrays
        As `emulator.engine.Engine.counters` names them, of cores or of ticks.
    duration_ps : int
        Time the chip was busy; static power flows for so long.

    Raises
    ------
    CountersError
        If a counter is missing that the chip's costs need.
    """
    if chip.energy is None:
        return None
    count = {name: float(np.sum(values)) for name, values in counters.items()}
    return Joules(*map(float, _parts(count, duration_ps, chip.energy)))


def energy_band(counters: Mapping[str, Array], duration_ps: int, chip: Chip) -> Band | None:
    """Cost a run with the lowest, the nominal and the highest costs; see `energy_j`."""
    parts = [energy_j(counters, duration_ps, at_bound(chip, side)) for side in Band._fields]
    low, nominal, high = parts
    return None if low is None or nominal is None or high is None else Band(low, nominal, high)


def energy_by_tick(counters: Mapping[str, Array], duration_ps: Array, chip: Chip) -> Array | None:
    """Cost each tick; float64 [n_ticks, 4], the parts as `Joules` has them. See `energy_j`.

    Parameters
    ----------
    counters : mapping of int arrays [n_ticks]
    duration_ps : int array [n_ticks]
    """
    if chip.energy is None:
        return None
    count = {name: np.asarray(values, np.float64) for name, values in counters.items()}
    parts = _parts(count, np.asarray(duration_ps, np.float64), chip.energy)
    return np.stack(np.broadcast_arrays(*parts), axis=-1)


def _parts(count: Mapping[str, Any], duration_ps: Any, cost: Energy) -> tuple[Any, ...]:
    """Neurons, synapses, network and static, as `Joules` has them."""
    missing = sorted(set(COUNTED) - set(_ADDED_LATER) - count.keys())
    if missing:
        raise CountersError(f"the counters lack {', '.join(missing)}")
    sent = count["packets"] + count["local_packets"]
    neurons = (
        count["active"] * cost.neuron_active_pj.value
        + count["inactive"] * cost.neuron_inactive_pj.value
    )
    if cost.spike_pj.value:
        if "spikes" not in count:
            raise CountersError("the counters lack spikes, which the chip's energy.spike_pj needs")
        neurons = neurons + count["spikes"] * cost.spike_pj.value
    network = (
        (sent + count["input_packets"]) * cost.local_spike_pj.value
        + sent * cost.axon_out_pj.value
        + count["hops_ew"] * cost.hop_ew_pj.value
        + count["hops_ns"] * cost.hop_ns_pj.value
        + count.get("hops_off_chip", 0.0) * cost.off_chip_hop_pj.value
    )
    static = duration_ps * 1e-12 * cost.static_power_w.value
    return 1e-12 * neurons, 1e-12 * _synapses_pj(count, cost), 1e-12 * network, static


def _synapses_pj(count: Mapping[str, Any], cost: Energy) -> Any:
    """Synaptic events, each kind at its cost; all together suffice where there is one cost."""
    if all(f"{kind}_events" in count for kind in KINDS):
        costs = zip(KINDS, by_kind(cost.synaptic_event_pj), strict=True)
        return sum(count[f"{kind}_events"] * one.value for kind, one in costs)
    if isinstance(cost.synaptic_event_pj, ByKind):
        raise CountersError(
            "the counters do not tell dense, sparse and convolution synapses apart, but the chip's "
            "energy.synaptic_event_pj does"
        )
    if "synaptic_events" not in count:
        raise CountersError("the counters lack synaptic_events")
    return count["synaptic_events"] * cost.synaptic_event_pj.value
