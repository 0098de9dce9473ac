"""Ways to cut a network into what cores hold, in one table."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from emulator.chip import Chip
from emulator.program import Program
from mapping.capacity import core_violation
from mapping.layout.floor import Floor
from mapping.mapping import Slice
from mapping.needs import Needs, core_limit
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


def kept(setting: Setting) -> Parts:
    """Leave neurons on the cores that an earlier plan gave them, if they fit there."""
    if setting.start is None:
        raise ValueError("there is no earlier plan whose cores could be kept; start from one")
    cores, limit = setting.start.cores, core_limit(setting.chip)
    copies = setting.needs.copies(cores, setting.needs.sizes)
    problems = tuple(
        core_violation(f"core {number}", slices, resource, need, limit, setting.chip)
        for number, slices in enumerate(cores)
        for need in [setting.needs.need(slices, copies)]
        for resource in need.broken(limit)
    )
    return Parts(cores, problems, setting.start.place)


PARTITIONERS: Mapping[str, Partitioner] = {
    "sequential": sequential,
    "packed": packed,
    "kept": kept,
}


def parts_of(program: Program, outline: Outline, floor: Floor) -> Parts:
    """Read cores and places back from what was loaded once.

    Raises
    ------
    ValueError
        If it was of another network, or lies on cores that are not there.
    """
    sizes = {p.name: p.size for p in outline.populations}
    loaded = {p.name: p.size for p in program.populations}
    if sizes != loaded:
        name = next(n for n in {**sizes, **loaded} if sizes.get(n) != loaded.get(n))
        raise ValueError(
            f"the program is of another network: it has {loaded.get(name, 0):,} neurons in "
            f"{name!r}, the network {sizes.get(name, 0):,}"
        )
    gone = np.setdiff1d(program.core, floor.core)
    if gone.size:
        raise ValueError(
            f"the program lies on core {gone[0]}, which the chip does not have or may not use; "
            "map anew"
        )
    names = [p.name for p in program.populations]
    cores = []
    for first, last in pairwise(program.core_start.tolist()):
        population, index = program.population[first:last], program.index[first:last]
        cuts = np.flatnonzero(np.diff(population)) + 1
        cores.append(
            tuple(
                Slice(population=names[population[part[0]]], neurons=index[part])
                for part in np.split(np.arange(last - first), cuts)
            )
        )
    return Parts(tuple(cores), (), np.searchsorted(floor.core, program.core))
