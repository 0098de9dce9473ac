"""What was found of causes, as values."""

from dataclasses import dataclass, field
from typing import NamedTuple


class First(NamedTuple):
    """A spike that differs; the tick counts without the population's lag."""

    sample: int
    tick: int
    population: str
    neuron: int


@dataclass(kw_only=True)
class Share:
    """What one effect does to the difference, summed over samples.

    Attributes
    ----------
    vanish, appear : dict of population to int
        Without it: differing spikes that no longer differ, and others that then do.
    alone, alone_other : dict of population to int
        With it alone: spikes that differ, of those that differ on the full side, and others.
    in_turn : int or None
        Differing spikes that are gone when it is taken back in its turn; negative where that makes
        more. None where that look was not taken.
    classes_back : int
        Without it: samples with the class of the base, of those with another class.
    classes_alone : int
        With it alone: samples with another class than the base.
    right_without, right_alone : int
        Samples whose class is right.
    readout_without, readout_alone : float
        Sum of squared deviations of readouts that never spike.
    """

    name: str
    vanish: dict[str, int] = field(default_factory=dict)
    appear: dict[str, int] = field(default_factory=dict)
    alone: dict[str, int] = field(default_factory=dict)
    alone_other: dict[str, int] = field(default_factory=dict)
    in_turn: int | None = None
    classes_back: int = 0
    classes_alone: int = 0
    right_without: int = 0
    right_alone: int = 0
    readout_without: float = 0.0
    readout_alone: float = 0.0


@dataclass(kw_only=True)
class Causes:
    """What the differences between two runs come from.

    Attributes
    ----------
    samples : list of int
        Those that were run again.
    n_runs : int
    differing : dict of population to int
        Spikes that differ in these samples.
    shares : list of Share
        Effects in which the two sides differ, in the order in which they are taken back in turn.
    unexplained : int
        Differing spikes that stay whichever effect is taken back, and that no effect makes alone.
    noise : int
        Spikes in which the base differs from what was recorded when it is run again: rounding of
        float64, or an earlier version.
    unlike : int
        The same, of the full side. If there are any, nothing was attributed.
    left_in_turn : int or None
        Differing spikes that stay when all effects are taken back.
    classes_differ, right_base, right_full, judged : int
        Samples with another class; with the right class on either side; samples with a class.
    readout : float
        Sum of squared deviations of readouts that never spike.
    readout_values : int
        How many values that is the sum of.
    first : First or None
        The first differing spike of these samples.
    first_signs : dict of effect to (vanishes without it, is there with it alone)
        Of that spike.
    broken_off : bool
        Whether this is what was known when the user interrupted.
    """

    samples: list[int] = field(default_factory=list)
    n_runs: int = 0
    differing: dict[str, int] = field(default_factory=dict)
    shares: list[Share] = field(default_factory=list)
    unexplained: int = 0
    noise: int = 0
    unlike: int = 0
    left_in_turn: int | None = None
    classes_differ: int = 0
    right_base: int = 0
    right_full: int = 0
    judged: int = 0
    readout: float = 0.0
    readout_values: int = 0
    first: First | None = None
    first_signs: dict[str, tuple[bool, bool]] = field(default_factory=dict)
    broken_off: bool = False

    @property
    def total(self) -> int:
        """Differing spikes of all populations."""
        return sum(self.differing.values())
