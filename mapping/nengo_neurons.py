"""Nengo's neuron types: what they do with a current, and the population that does the same.

A neuron gets ``J = gain * (encoder . x) + bias``. Formulas are those of nengo 4, ``neurons.py``.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mapping.linear import Floats
from mapping.network import Population, Rule

Array = NDArray[Any]

SPIKING: Mapping[str, Rule] = {
    "LIF": "within-tick",
    "WholeTickLIF": "euler",
    "SpikingRectifiedLinear": "regular",
    "RegularSpiking(RectifiedLinear)": "regular",
    "RegularSpiking(LIFRate)": "regular-lif",
}
"""Types that send spikes, and the rule of a population that is each of them."""

_REGULAR = ("RegularSpiking(RectifiedLinear)", "RegularSpiking(LIFRate)")

RATES = ("LIFRate", "RectifiedLinear")
"""Types that send rates: their curves are those of spiking types, but no population is one."""


@dataclass(frozen=True, kw_only=True)
class NengoNeuron:
    """One neuron type with its parameters.

    Attributes
    ----------
    kind : str
        A key of `SPIKING` or one of `RATES`.
    amplitude : float
        A spike is worth ``amplitude / dt`` to whom it reaches, for a tick.
    tau_rc, tau_ref : float
        Seconds; of types with a membrane that leaks.
    min_voltage : float
    gained : float
        Factor on the rate before it is made spikes (``amplitude`` of the base of `RegularSpiking`).
    """

    kind: str
    amplitude: float = 1.0
    tau_rc: float = np.inf
    tau_ref: float = 0.0
    min_voltage: float = -np.inf
    gained: float = 1.0

    @property
    def leaky(self) -> bool:
        """Whether rates saturate as those of a membrane that leaks do."""
        return "LIF" in self.kind

    def share(self, dt_s: float) -> float:
        """What a current of 1 adds to a membrane at 0 in a tick."""
        if self.leaky:
            return float(-np.expm1(-dt_s / self.tau_rc))
        return dt_s * self.gained

    def gain_bias(self, max_rates: Array, intercepts: Array) -> tuple[Floats, Floats]:
        """Gain and bias for which a neuron starts at an intercept and reaches a rate at 1."""
        if not self.leaky:
            gain = np.asarray(max_rates / (1 - intercepts))
            return gain, -intercepts * gain
        z = 1 / (1 - np.exp((self.tau_ref - 1 / max_rates) / self.tau_rc))
        gain = np.asarray((1 - z) / (intercepts - 1))
        return gain, 1 - gain * intercepts

    def rates(self, current: Array) -> Floats:
        """Activity that a lasting current leads to, in spikes a second times ``amplitude``."""
        worth = self.amplitude if self.kind not in _REGULAR else 1.0
        if not self.leaky:
            return np.asarray(worth * self.gained * np.maximum(current, 0.0))
        if self.kind == "WholeTickLIF":
            raise ValueError("its rates depend on the tick; see mapping.nengo_ticks")
        over = np.maximum(current - 1, 0.0)
        with np.errstate(divide="ignore"):
            interval = self.tau_ref + self.tau_rc * np.log1p(1 / over)
        return np.asarray(worth / interval)

    def population(
        self,
        name: str,
        *,
        bias: Array,
        v_start: Array | float,
        tau_syn_s: float,
        dt_s: float,
    ) -> Population:
        """Make the population that follows Nengo's step to the last digits.

        Parameters
        ----------
        bias : float64 [n]
            Nengo's, as a current.
        v_start : float64 [n]
            Initial ``voltage``.
        tau_syn_s : float
            As `filter_time` has it.
        """
        rule, share = SPIKING[self.kind], self.share(dt_s)
        repeats = rule in ("regular", "regular-lif")
        return Population(
            name=name,
            shape=bias.shape,
            threshold=1.0,
            tau_mem_s=dt_s / share if self.leaky else np.inf,
            tau_syn_s=tau_syn_s,
            refractory_s=self.tau_ref,
            push=share * bias,
            # What integrates nothing but positive currents never falls below 0.
            v_min=0.0 if repeats else self.min_voltage,
            v_start=v_start,
            rule=rule,
            reset="subtract" if rule == "regular" else "zero",
            compare=">=" if repeats else ">",
        )


def filter_time(tau_s: float, dt_s: float) -> float:
    """Time constant of a forward Euler filter that is Nengo's `Lowpass` of ``tau_s``, in seconds."""
    return dt_s / float(-np.expm1(-dt_s / tau_s)) if tau_s > 0 else 0.0


def filter_share(tau_s: float, dt_s: float) -> float:
    """What a spike of a tick adds to Nengo's `Lowpass`, in shares of its height."""
    return float(-np.expm1(-dt_s / tau_s)) if tau_s > 0 else 1.0
