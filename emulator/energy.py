"""Energy from counters and a cost table; no state, so a recorded run can be costed again."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from emulator.chip import Chip


class Joules(NamedTuple):
    """Energy of a run by what used it, joules."""

    neurons: float
    synapses: float
    network: float
    static: float

    @property
    def total(self) -> float:
        """Everything together."""
        return sum(self)


def energy_j(counters: Mapping[str, NDArray[Any]], duration_ps: int, chip: Chip) -> Joules | None:
    """Cost a run; None for a chip without energies.

    Parameters
    ----------
    counters : mapping of int arrays
        As `emulator.engine.Engine.counters` names them.
    duration_ps : int
        Time the chip was busy; static power flows for so long.
    """
    if chip.energy is None:
        return None
    total = {name: float(np.sum(values)) for name, values in counters.items()}
    cost = chip.energy
    delivered = total["packets"] + total["local_packets"] + total["input_packets"]
    return Joules(
        neurons=1e-12
        * (
            total["active"] * cost.neuron_active_pj.value
            + total["inactive"] * cost.neuron_inactive_pj.value
        ),
        synapses=1e-12 * total["synaptic_events"] * cost.synaptic_event_pj.value,
        network=1e-12
        * (
            delivered * cost.local_spike_pj.value
            + total["hops_ew"] * cost.hop_ew_pj.value
            + total["hops_ns"] * cost.hop_ns_pj.value
        ),
        static=duration_ps * 1e-12 * cost.static_power_w.value,
    )
