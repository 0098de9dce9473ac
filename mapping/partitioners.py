"""Ways to cut a network into what cores hold, in one table."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from numpy.typing import NDArray

from emulator.chip import Chip
from mapping.layout.floor import Floor
from mapping.mapping import Slice
from mapping.needs import Needs
from mapping.outline import Outline
from mapping.partition import partition
from mapping.traffic import Rates
from mapping.violations import Violation

Array = NDArray[Any]
Cores = tuple[tuple[Slice, ...], ...]


class Parts(NamedTuple):
    """A partition.

    Attributes
    ----------
    cores : tuple of tuple of Slice
    problems : tuple of Violation
        Limits that it breaks.
    place : int64 [n_cores] or None
        A good place of each on the floor, if the partitioner had to find one.
    """

    cores: Cores
    problems: tuple[Violation, ...] = ()
    place: Array | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Setting:
    """What partitioners are told; see `mapping.plan.Choices`."""

    outline: Outline
    chip: Chip
    needs: Needs
    floor: Floor
    rates: Rates
    start: Parts | None
    seed: int
    stop: Callable[[], bool]


Partitioner = Callable[[Setting], Parts]


def sequential(setting: Setting) -> Parts:
    """Fill cores in the order of neurons: the baseline."""
    return Parts(*partition(setting.outline, setting.chip, tiled=False))


def packed(setting: Setting) -> Parts:
    """Take as few cores as possible, in tiles where there is geometry."""
    return Parts(*partition(setting.outline, setting.chip))


PARTITIONERS: Mapping[str, Partitioner] = {
    "sequential": sequential,
    "packed": packed,
}
