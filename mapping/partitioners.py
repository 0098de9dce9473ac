"""Ways to cut a network into what cores hold, in one table."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from emulator.chip import Chip
from emulator.program import Program
from mapping.capacity import overfull_cores
from mapping.errors import CapacityError
from mapping.graph import graph_of, limits_of, n_synapses, numbered, sliced
from mapping.layout.floor import Floor
from mapping.layout.pipeline import Job, laid_out
from mapping.mapping import Slice, cores_of
from mapping.needs import Needs, core_limit
from mapping.outline import Outline
from mapping.partition import examine
from mapping.pins import Pin
from mapping.traffic import Rates
from mapping.violations import Violation

SYNAPSES_MOST = 20_000_000
"""Synapses from which on neurons are not moved one by one."""

Array = NDArray[Any]
Cores = tuple[tuple[Slice, ...], ...]


class Parts(NamedTuple):
    """A partition.

    Attributes
    ----------
    cores : tuple of tuple of Slice
    problems : tuple of Violation
        Limits that it breaks.
    pinned : dict of int to int
        Of cores that are pinned, by their number: the chip's core.
    place : int64 [n_cores] or None
        A good place of each on the floor, if the partitioner had to find one.
    """

    cores: Cores
    problems: tuple[Violation, ...]
    pinned: Mapping[int, int]
    place: Array | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Setting:
    """What partitioners are told; see `mapping.plan.Choices`."""

    outline: Outline
    chip: Chip
    needs: Needs
    floor: Floor
    rates: Rates
    pins: Sequence[Pin]
    start: Parts | None
    seed: int
    stop: Callable[[], bool]


Partitioner = Callable[[Setting], Parts]


def sequential(setting: Setting) -> Parts:
    """Fill cores in the order of neurons: the baseline."""
    return _examined(setting, tiled=False)


def packed(setting: Setting) -> Parts:
    """Take as few cores as possible, in tiles where there is geometry."""
    return _examined(setting, tiled=True)


def _examined(setting: Setting, *, tiled: bool) -> Parts:
    found = examine(setting.outline, setting.chip, tiled=tiled, pins=setting.pins)
    return Parts(found.cores, found.problems, found.pinned)


def traffic(setting: Setting) -> Parts:
    """Move neurons between cores for packets times hops, from the best of several partitions.

    Networks of too many synapses to list stay as `packed` has them. Neurons of other populations
    may join those that are pinned to a core, where there is room.
    """
    simple = [packed(setting), sequential(setting)]
    hopeless = any(found.limit != "cores" for found in simple[0].problems)
    if hopeless or n_synapses(setting.outline) > SYNAPSES_MOST:
        return simple[0]
    limit = core_limit(setting.chip)
    graph, words = graph_of(setting.outline, setting.needs, setting.rates)
    pinned = _pinned_neurons(setting, simple[0])
    starts = [numbered(parts.cores, setting.outline) for parts in simple if not parts.problems]
    for spare in (0.0, 0.02, 0.05):
        tight = replace(limit, words=int(limit.words * (1 - spare)))
        job = Job(
            graph=graph, limits=limits_of(setting.outline, tight, words), floor=setting.floor,
            starts=starts, pins=pinned, seed=setting.seed, stop=setting.stop,
        )  # fmt: skip
        try:
            found = laid_out(job)
        except CapacityError:
            break
        held = {} if pinned is None else _pinned_cores(setting, found.core, pinned)
        parts = Parts(sliced(found.core, setting.outline), (), held, found.place)
        # Lists were counted roughly; what counts here is the exact need of each core.
        if not _broken(setting, parts.cores):
            return parts
    return simple[0]


def _pinned_neurons(setting: Setting, parts: Parts) -> Array | None:
    """Place on the floor of each neuron that is pinned, -1 for others; None without pins."""
    if not parts.pinned:
        return None
    at = np.full(len(parts.cores), -1, np.int64)
    at[list(parts.pinned)] = np.searchsorted(setting.floor.core, list(parts.pinned.values()))
    return at[numbered(parts.cores, setting.outline)]


def _pinned_cores(setting: Setting, core: Array, pinned: Array) -> dict[int, int]:
    """Core of the chip of each core that holds pinned neurons."""
    held = np.flatnonzero(pinned >= 0)
    chip_core = setting.floor.core[pinned[held]]
    return dict(zip(core[held].tolist(), chip_core.tolist(), strict=True))


def kept(setting: Setting) -> Parts:
    """Leave neurons on the cores that an earlier plan gave them, if they fit there."""
    if setting.start is None:
        raise ValueError("there is no earlier plan whose cores could be kept; start from one")
    cores = setting.start.cores
    return Parts(cores, _broken(setting, cores), {}, setting.start.place)


def _broken(setting: Setting, cores: Cores) -> tuple[Violation, ...]:
    """Find what cores hold too much of."""
    limit, copies = core_limit(setting.chip), setting.needs.copies(cores, setting.needs.sizes)
    named = ((f"core {number}", slices) for number, slices in enumerate(cores))
    return tuple(overfull_cores(named, setting.needs, copies, limit))


PARTITIONERS: Mapping[str, Partitioner] = {
    "sequential": sequential,
    "packed": packed,
    "traffic": traffic,
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
    return Parts(cores_of(program), (), {}, np.searchsorted(floor.core, program.core))
