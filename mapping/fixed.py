"""The same network in integers, for one chip's number formats.

Between `Network` and the loaded program: populations with integer constants, projections with
integer mantissas and one exponent each, and a report of the error every tensor took.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mapping.linear import Linear, Shape
from mapping.network import Network

Array = NDArray[Any]


@dataclass(frozen=True, kw_only=True, eq=False)
class FixedPopulation:
    """Integer constants of one population; arrays are int64 [n].

    What a chip keeps in float is float64 here, in the same units.

    Attributes
    ----------
    scale : float
        Integer membrane units for one unit of the float membrane.
    offset : float64 [n]
        The float membrane that the integer 0 stands for: chips reset to 0, networks to v_reset.
        0 for readouts, which never reset.
    keep_current, keep_membrane
        What is left of 2**decay_bits after one tick of decay; a shift where the chip decays by
        shifts; the share that is kept where decays are float.
    sum_shift : int
        Left shift of summed weights, the smallest weight exponent included, before the chip's own
        shift of all input.
    threshold : int64 [n] or None
    reset : str
        Rule of the chip, as `emulator.neuron.RESETS` names it.
    spikes_max : int
        Most spikes a tick; 0 where the reset lets there be only one.
    membrane_min, membrane_max : int64 [n] or None
        Limits of the membrane; None where no neuron has any. The upper one limits nothing.
    refractory : int64 [n] or None
        Ticks of rest after a spike, the one of the spike included; None where there is none.
    """

    name: str
    shape: Shape
    scale: float
    offset: NDArray[np.float64]
    keep_current: Array
    keep_membrane: Array
    bias: Array
    threshold: Array | None
    initial_current: Array
    initial_membrane: Array
    sum_shift: int
    reset: str
    compartments: int
    spikes_max: int = 0
    membrane_min: Array | None = None
    membrane_max: Array | None = None
    refractory: Array | None = None

    @property
    def size(self) -> int:
        """Number of neurons."""
        return int(self.bias.size)


@dataclass(frozen=True, kw_only=True, eq=False)
class FixedProjection:
    """Integer weights: ``linear`` holds mantissas, each worth ``mantissa << shift``.

    Attributes
    ----------
    exponent : int
        The chip's weight exponent of this tensor.
    shift : int
        Left shift on top of the target population's ``sum_shift``.
    delay : int
        Ticks on top of the one that every projection takes.
    """

    source: str
    target: str
    linear: Linear
    exponent: int
    shift: int
    delay: int

    @property
    def name(self) -> str:
        """``source→target``."""
        return f"{self.source}→{self.target}"


@dataclass(frozen=True, kw_only=True)
class TensorError:
    """What rounding did to one tensor.

    Attributes
    ----------
    tensor : str
    bits : int
    scale : float
        Integer units for one float unit.
    rms, worst : float
        Error relative to the largest absolute value of the tensor; of a threshold or decay,
        relative to each value itself, decays being judged by what is lost each tick.
    n, n_zeroed, n_clipped : int
        Values; those that became zero but were not; those cut to the format.
    n_wrong : int
        Of thresholds and decays those that change by more than 5 %.
    """

    tensor: str
    bits: int
    scale: float
    rms: float
    worst: float
    n: int
    n_zeroed: int
    n_clipped: int
    n_wrong: int = 0


@dataclass(frozen=True, kw_only=True, eq=False)
class FixedNetwork:
    """A network in one chip's integers.

    Attributes
    ----------
    network : Network
        Where it came from.
    direct : frozenset of str
        Inputs whose first linear step the host computes and hands over as bias current.
    errors : tuple of TensorError
    notes : tuple of str
        What the chip does differently from the network, and why.
    """

    network: Network
    direct: frozenset[str]
    populations: tuple[FixedPopulation, ...]
    projections: tuple[FixedProjection, ...]
    errors: tuple[TensorError, ...]
    notes: tuple[str, ...]

    def population(self, name: str) -> FixedPopulation:
        """Return the population of this name; KeyError if there is none."""
        for part in self.populations:
            if part.name == name:
                return part
        raise KeyError(f"no population {name!r}; there are {[p.name for p in self.populations]}")
