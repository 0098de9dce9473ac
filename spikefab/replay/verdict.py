"""What a verification finds: identical, with how much was compared, or the first difference."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple


class Mismatch(NamedTuple):
    """A value that differs.

    ``tick`` as the trace counts, None for totals of the run; ``core`` is a place on the chip.
    ``recorded`` and ``replayed`` are numbers of spikes (the payload), or values as stored; None
    where a value is not there.
    """

    tick: int | None
    core: int | None
    population: str | None
    neuron: int | None
    variable: str
    recorded: float | None
    replayed: float | None


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """Whether a run was made again.

    Attributes
    ----------
    what : str
        What was made again, in words.
    start, stop : int
        Ticks that were compared; up to the first difference if there is one.
    compared : mapping of str to int
        How many values of each kind.
    not_compared : tuple of str
        Recorded, but not compared.
    first : Mismatch or None
    notes : tuple of str
    """

    what: str
    start: int
    stop: int
    compared: Mapping[str, int]
    not_compared: tuple[str, ...] = ()
    first: Mismatch | None = None
    notes: tuple[str, ...] = ()

    @property
    def identical(self) -> bool:
        """Whether nothing differs."""
        return self.first is None


class Differs(Exception):  # noqa: N818 - ends a run, and is no error of anybody
    """Carries the first difference out of a run."""

    def __init__(self, first: Mismatch) -> None:
        super().__init__(first)
        self.first = first
