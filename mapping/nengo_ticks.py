"""A LIF neuron in whole ticks for Nengo: what a chip's neuron does, so that decoders are solved for it.

Nengo's LIF spikes and rests within ticks, a chip's in whole ticks: a neuron fires half a tick later on
average, so that at 200 Hz a tenth of its spikes is missing, and decoders that were solved for Nengo's
curve decode too little. nengo-loihi has neuron types of its own for that reason (``LoihiLIF``).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

NAME = "WholeTickLIF"


@cache
def whole_tick_lif(nengo: Any) -> Any:
    """Return the class; Nengo's neuron types are extended by inheritance alone."""

    class WholeTickLIF(nengo.LIF):  # type: ignore[misc]
        """`nengo.LIF` whose spikes and rest are whole ticks of ``dt_s`` seconds."""

        def __init__(self, lif: Any, dt_s: float) -> None:
            super().__init__(
                tau_rc=lif.tau_rc, tau_ref=lif.tau_ref, min_voltage=lif.min_voltage,
                amplitude=lif.amplitude, initial_state=lif.initial_state,
            )  # fmt: skip
            self._dt_s = dt_s

        def rates(self, x: Array, gain: Array, bias: Array) -> Array:
            """Rates as they are in whole ticks: of rest, and until the membrane is over threshold."""
            current = np.asarray(self.current(x, gain, bias))
            rates = rates_in_ticks(current, self.tau_rc, self.tau_ref, self._dt_s)
            return np.asarray(self.amplitude * rates)

        def step(
            self,
            dt: float,
            J: Array,  # noqa: N803, Nengo's name, by which it is called
            output: Array,
            voltage: Array,
            refractory_time: Array,
        ) -> None:
            """Advance by a tick; ``refractory_time`` counts ticks."""
            rests = refractory_time > 0
            voltage[:] -= np.where(rests, 0.0, (J - voltage) * np.expm1(-dt / self.tau_rc))
            np.maximum(voltage, self.min_voltage, out=voltage)
            fired = voltage > 1
            output[:] = fired * (self.amplitude / dt)
            voltage[fired] = 0.0
            refractory_time[:] = np.where(
                fired, np.rint(self.tau_ref / dt), refractory_time - rests
            )

    return WholeTickLIF


def rates_in_ticks(current: Array, tau_rc: float, tau_ref: float, dt_s: float) -> Array:
    """Spikes a second of a lasting current, where charging and rest take whole ticks."""
    rates = np.zeros(np.shape(current))
    over = current > 1
    # After n ticks the membrane is at J (1 - keep^n); the least n for which that is above 1.
    charging = np.floor(np.log1p(-1 / current[over]) * -tau_rc / dt_s) + 1
    rates[over] = 1 / (dt_s * (np.rint(tau_ref / dt_s) + charging))
    return rates


@contextmanager
def in_whole_ticks(nengo: Any, network: Any, dt_s: float) -> Iterator[None]:
    """Let a network's LIF neurons be such while it is built, and then what they were."""
    changed = [e for e in network.all_ensembles if type(e.neuron_type) is nengo.LIF]
    before = [ensemble.neuron_type for ensemble in changed]
    for ensemble in changed:
        ensemble.neuron_type = whole_tick_lif(nengo)(ensemble.neuron_type, dt_s)
    try:
        yield
    finally:
        for ensemble, lif in zip(changed, before, strict=True):
            ensemble.neuron_type = lif
