"""The same network in integers, for one chip's number formats.

Between `Network` and the loaded program: populations with integer constants, projections with
integer mantissas and one exponent each, and a report of the error every tensor took.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mapping.linear import Linear, Shape
from mapping.network import Network, Reset

Integers = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, eq=False)
class FixedPopulation:
    """Integer constants of one population; arrays are int64 [n].

    Attributes
    ----------
    scale : float
        Integer membrane units for one unit of the float membrane.
    offset : float64 [n]
        The float membrane that the integer 0 stands for: chips reset to 0, networks to v_reset.
    keep_current, keep_membrane
        What is left of 2**decay_bits after one tick of decay.
    sum_shift : int
        Left shift of summed weights, the smallest weight exponent included, before the chip's own
        shift of all input.
    threshold : int64 [n] or None
    refractory : int64 [n] or None
        Ticks of rest after a spike, the one of the spike included; None where there is none.
    """

    name: str
    shape: Shape
    scale: float
    offset: NDArray[np.float64]
    keep_current: Integers
    keep_membrane: Integers
    bias: Integers
    threshold: Integers | None
    initial_current: Integers
    initial_membrane: Integers
    sum_shift: int
    reset: Reset
    compartments: int
    refractory: Integers | None = None

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
        Ticks.
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
        Error relative to the largest absolute value of the tensor.
    n, n_zeroed, n_clipped : int
        Values; those that became zero but were not; those cut to the format.
    """

    tensor: str
    bits: int
    scale: float
    rms: float
    worst: float
    n: int
    n_zeroed: int
    n_clipped: int


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
        """Return the population of this name."""
        return next(part for part in self.populations if part.name == name)
