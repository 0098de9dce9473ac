"""What a population's neurons ask of a chip's registers, in float units."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from mapping.linear import Convolution, Dense, Floats, Linear, sparse
from mapping.network import weights_of

ROOM = 32
"""Thresholds that the membrane holds, in both directions."""
CURRENT_VOLLEYS = 4
ACTIVE = 1 / 4
"""Share of ticks in which every source of a readout spikes, while it settles."""
FULL_TICKS = 64
"""Ticks that stand for the memory of a readout without a leak, which has no bound."""
MATTERS = 2**-6, 2**-10, 2**16
"""A bias matters if it adds up to the first of these of a threshold, within the third in ticks,
and is not below the second of what arrives if all sources spike."""
NEAR_ZERO = 1e-290
"""What is below is nothing: with it no scale can be calculated."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Load:
    """What the neurons of one population ask of a chip, in float units; arrays are float64 [n].

    Attributes
    ----------
    name : str
    height : array or None
        Thresholds above v_reset; None for readouts.
    holds : bool
        Whether the membrane keeps what is above the threshold after a spike.
    up, down : array
        Sums of the positive and of the negative weights that are loaded, both as magnitudes.
    current_leak, membrane_leak : array
        Share lost each tick on the chip.
    bias : array
        Into the membrane at each tick.
    start : array
        Initial current.
    host : array or float
        Largest current, after its filter, that the host hands over to any neuron.
    host_known : bool
        False if ``host`` only assumes analog values up to 1.
    v_reset : float
        Largest distance of 0 from where the chip's membrane counts from.
    weight : float
        Largest weight, or the mean one where only signs are stored.
    """

    name: str
    height: Floats | None
    holds: bool
    up: Floats
    down: Floats
    current_leak: Floats
    membrane_leak: Floats
    bias: Floats
    start: Floats
    host: Floats | float
    host_known: bool
    v_reset: float
    weight: float

    @cached_property
    def volley(self) -> Floats:
        """Most that arrives in a tick, in one direction."""
        return np.maximum(self.up, self.down)

    @cached_property
    def current(self) -> Floats:
        """What the current register is to hold."""
        lasting = np.minimum(1 / np.maximum(self.current_leak, 1e-12), CURRENT_VOLLEYS)
        return np.asarray(self.volley * lasting + np.abs(self.start))

    @cached_property
    def level(self) -> float:
        """The membrane that counts: the largest threshold, or where a readout can settle."""
        return self._settled if self.height is None else float(self.height.max())

    @cached_property
    def must_hold(self) -> float:
        """The least that the membrane must hold: thresholds; a readout's biases and one tick."""
        if self.height is not None:
            return self.level
        most = float((self.volley + np.abs(self.bias) * self._ticks).max())
        return most if most > NEAR_ZERO else 1.0

    @cached_property
    def _ticks(self) -> Floats:
        """Memory of the membrane."""
        leak = np.maximum(self.membrane_leak, 1e-12)
        return np.where(self.membrane_leak > 0, 1 / leak, FULL_TICKS)

    @cached_property
    def _settled(self) -> float:
        """Where a readout's membrane plausibly settles."""
        ticks = self._ticks
        memory = ticks / np.maximum(self.current_leak, 1e-12)
        lasting = np.maximum(np.minimum(memory, CURRENT_VOLLEYS), memory * ACTIVE)
        up = self.up * lasting + np.maximum(self.bias, 0) * ticks
        down = self.down * lasting + np.maximum(-self.bias, 0) * ticks
        most = float((np.maximum(up, down) + self.host * ticks).max())
        return most if most > NEAR_ZERO else 1.0

    @cached_property
    def _drives(self) -> tuple[Floats, Floats]:
        """Most that can ever enter the membrane in a tick, upwards and downwards."""
        lasting = 1 / np.maximum(self.current_leak, 1e-12)
        return (
            np.asarray(self.up * lasting + np.maximum(self.bias, 0) + self.host),
            np.asarray(self.down * lasting + np.maximum(-self.bias, 0) + self.host),
        )

    @cached_property
    def membrane(self) -> float:
        """What the membrane register is to hold."""
        if self.height is None:
            return self.level
        up, down = self._drives
        leak = np.maximum(self.membrane_leak, 1e-300)
        # Positive drive below a threshold a tick is spent by the spikes that it causes.
        grows = self.holds & (up > self.height)
        most = np.maximum(self.height + np.where(grows, up / leak, up), down / leak)
        return max(float(np.minimum(most, ROOM * self.height).max()), self.level)

    @cached_property
    def bias_matters(self) -> Floats:
        """Which biases do something that can be noticed; bool [n]."""
        of_level, of_volley, ticks = MATTERS
        level = self.level if self.height is None else self.height
        reached = np.abs(self.bias) * np.minimum(1 / np.maximum(self.membrane_leak, 1e-12), ticks)
        return np.asarray(
            (self.bias != 0)
            & (reached >= of_level * level)
            & (np.abs(self.bias) >= of_volley * self.volley)
        )


def fan_sums(linear: Linear) -> tuple[Floats, Floats]:
    """Add up the positive and the negative weights of each target, as magnitudes.

    For a convolution those of a target whose whole kernel lies within the input.
    """
    weights = weights_of(linear)
    positive, negative = np.maximum(weights, 0.0), np.maximum(-weights, 0.0)
    if isinstance(linear, Dense):
        return positive.sum(axis=1), negative.sum(axis=1)
    if isinstance(linear, Convolution):
        places = int(np.prod(linear.post_shape[1:]))
        axes = tuple(range(1, weights.ndim))
        return np.repeat(positive.sum(axes), places), np.repeat(negative.sum(axes), places)
    flat, n = sparse(linear), int(np.prod(linear.post_shape))
    return (
        np.asarray(np.bincount(flat.target, weights=positive, minlength=n), np.float64),
        np.asarray(np.bincount(flat.target, weights=negative, minlength=n), np.float64),
    )
