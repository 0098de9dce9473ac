"""NIR's neurons as populations, and what a spike is worth at each.

A spike is the value 1 held for one tick (``hold``), or has unit area (``dirac``). With ``dirac``
a weight acts at once where a bias, a current, still acts for the length of the tick::

    LI, LIF           v += dt / tau * (v_leak - v + r * (hold + bias))         + r / tau * dirac
    CubaLI, CubaLIF   i += dt / tau_syn * (-i + w_in * (hold + bias))          + w_in / tau_syn * dirac
                      v += dt / tau_mem * (v_leak - v + r * i)
    I, IF with hold   v += dt * r * (hold + bias)
    I, IF with dirac  v += r * (dirac + bias)      a tick is the unit of time: dt does not enter

(NIR: Pedersen et al., Nature Communications 15, 8122 (2024), table 1; forward Euler.)
"""

from math import prod
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mapping.linear import Shape
from mapping.network import Compare, Population, Reset
from mapping.nir_file import Node
from mapping.nir_shapes import spread

Array = NDArray[Any]
Spike = Literal["hold", "dirac"]


class Conventions(NamedTuple):
    """What a NIR file does not say."""

    dt_s: float
    reset: Reset
    spike: Spike | None
    compare: Compare

    def spike_of(self, kind: str) -> Spike:
        """How a node type reads a spike."""
        return self.spike or ("dirac" if kind in ("I", "IF") else "hold")


def current_gain(node: Node, how: Conventions) -> float:
    """What a current of 1 that lasts a tick is worth against a spike.

    Other than 1 only where a spike has unit area, 1/dt for a tick, and dt enters.
    """
    leaky = node.kind in ("LI", "LIF", "CubaLI", "CubaLIF")
    return how.dt_s if leaky and how.spike_of(node.kind) == "dirac" else 1.0


def gains(node: Node, shape: Shape, how: Conventions) -> tuple[Array, Array]:
    """Units of the membrane per tick for an input of weight 1.

    Parameters
    ----------
    node : Node
        A neuron or an output, which sums up.

    Returns
    -------
    of_spike, of_bias : float64 [n]

    Raises
    ------
    NirError
        If a parameter is missing, not finite, or no positive time constant.
    """
    if node.kind in ("Threshold", "Output"):
        one = np.ones(prod(shape))
        return one, one
    dt, spike = how.dt_s, how.spike_of(node.kind)
    r = spread(node, "r", shape)
    if node.kind in ("I", "IF"):
        gain = r * dt if spike == "hold" else r
        return gain, gain
    held = r * dt / _tau(node, _membrane(node), shape)
    if _filtered(node):
        held = held * spread(node, "w_in", shape, 1.0) * dt / _tau(node, "tau_syn", shape)
    return held / current_gain(node, how), held


def population(node: Node, shape: Shape, how: Conventions, bias: Array) -> Population:
    """Translate a neuron node.

    Parameters
    ----------
    bias : float64 [n]
        The sum of all biases that arrive, as the file has them.

    Raises
    ------
    NirError
        If a parameter is missing or not finite.
    NetworkError
        If parameters contradict each other.
    """
    values: dict[str, Array] = {"bias": bias * gains(node, shape, how)[1]}
    threshold: Array | None = None
    if node.kind == "Threshold":
        # A membrane that forgets everything within a tick is the sum that arrives in it.
        values["tau_mem_s"] = np.full(prod(shape), how.dt_s)
        threshold = spread(node, "threshold", shape)
        # Where it is reset to is forgotten as well, but must lie below the threshold.
        values["v_reset"] = np.where(threshold > 0, 0.0, threshold - 1.0)
    else:
        if node.kind not in ("I", "IF"):
            values["tau_mem_s"] = _tau(node, _membrane(node), shape)
            values["v_leak"] = spread(node, "v_leak", shape)
        if _filtered(node):
            values["tau_syn_s"] = _tau(node, "tau_syn", shape)
        if node.kind.endswith("IF"):
            threshold = spread(node, "v_threshold", shape)
            values["v_reset"] = spread(node, "v_reset", shape, 0.0)
    return Population(
        name=node.name,
        shape=shape,
        threshold=threshold,
        reset="zero" if node.kind == "Threshold" else how.reset,
        compare=how.compare,
        rule="euler",
        **values,
    )


def plain_sum(name: str, shape: Shape, how: Conventions, bias: Array) -> Population:
    """Neurons that never spike and whose membrane is the sum that arrives in a tick."""
    return Population(name=name, shape=shape, threshold=None, tau_mem_s=how.dt_s, bias=bias)


def _membrane(node: Node) -> str:
    return "tau_mem" if _filtered(node) else "tau"


def _filtered(node: Node) -> bool:
    return node.kind.startswith("Cuba")


def _tau(node: Node, key: str, shape: Shape) -> Array:
    tau = spread(node, key, shape)
    if np.any(tau <= 0):
        raise node.wrong(f"{key} must be positive, but the least is {tau.min():.6g} s")
    return tau
