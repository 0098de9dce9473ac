"""Two sides of a comparison in one form: every constant in network units, every rule by name.

A side is a network in float, or the same network in one chip's integers. What makes the two differ
is a handful of fields, and `mapping.effects.effects` says which of them belong to one effect.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emulator.chip import Chip
from mapping.linear import Floats, Linear
from mapping.network import (
    Network,
)
from mapping.reference import Timing
from mapping.rounding import bias_integers, bias_limit

Array = NDArray[Any]


@dataclass(frozen=True, kw_only=True, eq=False)
class Decay:
    """How a register decays.

    Attributes
    ----------
    keep, leak : float64 [n]
        Share that stays, and that goes, each tick.
    whole : int64 [n]
        What the chip counts it as; 0 in float.
    rule : str
        A key of `emulator.arithmetic.DECAYS`, or ``float``.
    bits : int
    """

    keep: Floats
    leak: Floats
    whole: Array
    rule: str = "float"
    bits: int = 1


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Widths and what happens beyond them: (rule, bits) of each register, counted in ``scale``."""

    scale: float = 1.0
    input: tuple[str, int] = ("none", 62)
    current: tuple[str, int] = ("none", 62)
    drive: tuple[str, int] = ("none", 62)
    membrane: tuple[str, int] = ("none", 62)
    form: str = "sum"


@dataclass(frozen=True, kw_only=True)
class Register:
    """A register that holds whole numbers, ``scale`` of them for a network unit; 0 for float.

    ``fraction``: rule and steps for a network unit, where a register in float keeps so few.
    """

    scale: float = 0.0
    fraction: tuple[str, float] = ("none", 1.0)


@dataclass(frozen=True, kw_only=True, eq=False)
class Handing:
    """How the host hands over currents: as changes of a bias in the chip's bias format."""

    bias: Array
    scale: float
    chip: Chip

    def handed(self, current: Floats) -> tuple[Floats, int]:
        """What of a current arrives, in network units, and how many were cut to the format."""
        exact = self.bias + current * self.scale
        value = (bias_integers(exact, self.chip) - self.bias) / self.scale
        return value, int(np.count_nonzero(np.abs(exact) > bias_limit(self.chip) + 0.5))


@dataclass(frozen=True, kw_only=True, eq=False)
class Cells:
    """One population on one side; arrays [n] in network units.

    The membrane counts from where a reset puts it. ``initial_current`` is what is there before its
    first decay. ``gain``: factor on all weights that belongs to the decay of the current.
    """

    name: str
    size: int
    threshold: Floats
    bias: Floats
    initial_current: Floats
    handing: Handing | None
    current_decay: Decay
    order: str
    gain: Floats
    membrane_decay: Decay
    current: Register
    membrane: Register
    initial_membrane: Floats
    limits: Limits
    reset: str
    spikes_max: int
    refractory: str
    rest: Array
    compare: str
    accumulate: str


@dataclass(frozen=True, kw_only=True, eq=False)
class Side:
    """A network as one side runs it.

    Attributes
    ----------
    label : str
    network : Network
    direct : frozenset of str
        Inputs that the host turns into currents.
    cells : tuple of Cells
        In the order of ``network.populations``.
    weights : dict of projection number to Linear
        Of those that are loaded, in network units and without `Cells.gain`.
    late : dict of projection number to int
        Ticks until a spike acts.
    lag : dict of population to int
    timing : {"instant", "chip"}
    seed : int
        Of stochastic rounding.
    whole_weights : bool
    """

    label: str
    network: Network
    direct: frozenset[str]
    cells: tuple[Cells, ...]
    weights: dict[int, Linear]
    late: dict[int, int]
    lag: dict[str, int]
    timing: Timing
    seed: int = 0
    whole_weights: bool = False


def loaded(network: Network, direct: frozenset[str]) -> list[int]:
    """Numbers of the projections that spikes travel on."""
    return [k for k, p in enumerate(network.projections) if p.source not in direct]
