"""Decide where every neuron lies: cut, place, and say how good that is.

The objective is what the network-on-chip carries: packets, one for each spike and distinct core
that hears it, times their hops. Spikes never depend on it; times and energies do.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emulator.chip import Chip
from mapping.errors import CapacityError
from mapping.layout.floor import Floor
from mapping.layout.hypergraph import Flows, Traffic
from mapping.layout.placers import PLACERS, Task, lower_bound, random_hops
from mapping.mapping import Slice
from mapping.needs import Needs
from mapping.outline import Outline
from mapping.partitioners import PARTITIONERS, Parts, Setting
from mapping.traffic import Rates, flows_between, packets_from_outside

Array = NDArray[Any]


@dataclass(frozen=True, kw_only=True, eq=False)
class Plan:
    """Where neurons lie.

    Attributes
    ----------
    outline : Outline
    chip : Chip
    partitioner, placer : str
    cores : tuple of tuple of Slice
    place : tuple of int
        Core of the chip on which each of ``cores`` lies.
    flows : Flows
        Packets between ``cores`` in a tick.
    traffic : Traffic
        Of a tick.
    from_outside : float
        Packets of a tick that come from inputs; they are not part of ``traffic``.
    bound : float
        Hops that no placement of these cores goes below.
    random : float
        Hops of an average random placement of them.
    baseline : Traffic or None
        Of neurons cut in their numbering and cores in theirs; None if that does not fit.
    """

    outline: Outline
    chip: Chip
    partitioner: str
    placer: str
    cores: tuple[tuple[Slice, ...], ...]
    place: tuple[int, ...]
    flows: Flows
    traffic: Traffic
    from_outside: float
    bound: float
    random: float
    baseline: Traffic | None


@dataclass(frozen=True, kw_only=True, eq=False)
class Choices:
    """How to plan.

    Attributes
    ----------
    partitioner, placer : str
        Keys of `PARTITIONERS` and `PLACERS`.
    rates : mapping of str to float64 [n]
        Spikes of each neuron in a tick, by population or input; 1 where there are none.
    start : Parts, optional
        An earlier plan's cores and places to improve.
    seed : int
    stop : callable
        Whether to end early, with the best so far.
    """

    partitioner: str = "packed"
    placer: str = "linear"
    rates: Rates = field(default_factory=dict)
    start: Parts | None = None
    seed: int = 0
    stop: Callable[[], bool] = lambda: False


def plan(outline: Outline, chip: Chip, choices: Choices | None = None) -> Plan:
    """Cut a network, and place its parts on the cores of a chip.

    Raises
    ------
    CapacityError
        With every violated limit.
    ValueError
        If there is no such partitioner or placer, or a rate is not told for each neuron.
    """
    choices = choices or Choices()
    cut = _named("partitioner", choices.partitioner, PARTITIONERS)
    placed = _named("placer", choices.placer, PLACERS)
    _check_rates(outline, choices.rates)
    needs, floor = Needs.of(outline, chip), Floor.of(chip)
    setting = Setting(
        outline=outline, chip=chip, needs=needs, floor=floor, rates=choices.rates,
        start=choices.start, seed=choices.seed, stop=choices.stop,
    )  # fmt: skip
    parts = cut(setting)
    if parts.problems:
        raise CapacityError(chip.name, parts.problems)
    flows = flows_between(needs, parts.cores, choices.rates)
    task = Task(
        flows=flows, floor=floor, stop=choices.stop,
        starts=() if parts.place is None else (parts.place,),
    )  # fmt: skip
    rng = np.random.default_rng(choices.seed)
    place = placed(task, rng)
    if parts.place is not None and task.hops(parts.place) < task.hops(place):
        place = parts.place
    return Plan(
        outline=outline, chip=chip, partitioner=choices.partitioner, placer=choices.placer,
        cores=parts.cores, place=tuple(floor.core[place].tolist()), flows=flows,
        traffic=Traffic(flows.packets, flows.local, task.hops(place)),
        from_outside=packets_from_outside(needs, parts.cores, choices.rates),
        bound=lower_bound(flows, floor), random=random_hops(flows, floor, rng),
        baseline=_baseline(setting),
    )  # fmt: skip


def _baseline(setting: Setting) -> Traffic | None:
    parts = PARTITIONERS["sequential"](setting)
    if parts.problems:
        return None
    flows = flows_between(setting.needs, parts.cores, setting.rates)
    hops = Task(flows=flows, floor=setting.floor).hops(np.arange(len(parts.cores)))
    return Traffic(flows.packets, flows.local, hops)


def _named(what: str, name: str, known: Mapping[str, Any]) -> Any:
    if name not in known:
        raise ValueError(f"there is no {what} {name!r}; there are {', '.join(known)}")
    return known[name]


def _check_rates(outline: Outline, rates: Rates) -> None:
    sizes = outline.inputs | {p.name: p.size for p in outline.populations}
    for name, rate in rates.items():
        if name not in sizes:
            raise ValueError(f"rates of {name!r}, but there are {', '.join(sizes)}")
        if np.shape(rate) != (sizes[name],):
            raise ValueError(
                f"rates of {name!r}: {np.shape(rate)} for {sizes[name]:,}; give one for each"
            )
        if not np.all(np.isfinite(rate)) or np.min(rate) < 0:
            raise ValueError(f"rates of {name!r}: they must be 0 or more")
