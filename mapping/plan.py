"""Decide where every neuron lies: cut, place, and say how good that is.

The objective is what the network-on-chip carries: packets, one for each spike and distinct core
that hears it, times their hops. Spikes never depend on it; times and energies do.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emulator.chip import Chip
from mapping.embedding import embedded
from mapping.errors import CapacityError
from mapping.layout.floor import Floor
from mapping.layout.hypergraph import Flows, Traffic
from mapping.layout.placers import PLACERS, Task, lower_bound, random_hops
from mapping.needs import Needs
from mapping.outline import Outline
from mapping.partitioners import PARTITIONERS, Cores, Parts, Setting
from mapping.pins import Pin
from mapping.traffic import Rates, flows_between, packets_from_outside

Array = NDArray[Any]


@dataclass(frozen=True, kw_only=True, eq=False)
class Choices:
    """How to plan.

    Attributes
    ----------
    partitioner, placer : str
        Keys of `PARTITIONERS` and `PLACERS`.
    rates : mapping of str to float64 [n]
        Spikes of each neuron in a tick, by population or input; 1 where there are none.
    pins : sequence of Pin
        Populations that are told where to lie.
    start : Parts, optional
        An earlier plan's cores and places to improve.
    relays : bool
        Whether `mapping.relayed.relayed` is to add relays before a network is planned.
    seed : int
    stop : callable
        Whether to end early, with the best so far.
    """

    partitioner: str = "packed"
    placer: str = "linear"
    rates: Rates = field(default_factory=dict)
    pins: Sequence[Pin] = ()
    start: Parts | None = None
    relays: bool = False
    seed: int = 0
    stop: Callable[[], bool] = lambda: False


@dataclass(frozen=True, kw_only=True, eq=False)
class Plan:
    """Where neurons lie.

    Attributes
    ----------
    outline : Outline
    chip : Chip
    choices : Choices
    needs : Needs
        What counts the outline's neurons on the chip.
    floor : Floor
    cores : tuple of tuple of Slice
    place : tuple of int
        Core of the chip on which each of ``cores`` lies.
    """

    outline: Outline
    chip: Chip
    choices: Choices
    needs: Needs
    floor: Floor
    cores: Cores
    place: tuple[int, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class Quality:
    """How good a plan is, in packets of a tick.

    Attributes
    ----------
    flows : Flows
        Packets between the plan's cores.
    traffic : Traffic
    from_outside : float
        Packets that come from inputs; they are not part of ``traffic``.
    bound : float
        Hops that no placement of these cores goes below.
    random : float
        Hops of an average random placement of them.
    baseline : Traffic or None
        Of neurons cut in their numbering and cores in theirs; None if that does not fit.
    """

    flows: Flows
    traffic: Traffic
    from_outside: float
    bound: float
    random: float
    baseline: Traffic | None


def plan(outline: Outline, chip: Chip, choices: Choices | None = None) -> Plan:
    """Cut a network, and place its parts on the cores of a chip.

    Raises
    ------
    CapacityError
        With every violated limit.
    PinError
        If no mapping can follow the pins.
    ValueError
        If there is no such partitioner or placer, or a rate is not told for each neuron.
    """
    choices = choices or Choices()
    cut = _named("partitioner", choices.partitioner, PARTITIONERS)
    placed = _named("placer", choices.placer, PLACERS)
    _check_rates(outline, choices.rates)
    setting = _setting(outline, chip, choices, Needs.of(outline, chip), Floor.of(chip))
    parts = cut(setting)
    if parts.problems:
        raise CapacityError(chip.name, parts.problems)
    task = Task(
        flows=flows_between(setting.needs, parts.cores, choices.rates), floor=setting.floor,
        stop=choices.stop, starts=_starts(setting, parts),
        pins={
            core: int(np.searchsorted(setting.floor.core, at)) for core, at in parts.pinned.items()
        },
    )  # fmt: skip
    place = placed(task, np.random.default_rng(choices.seed))
    if parts.place is not None and task.hops(parts.place) < task.hops(place):
        place = parts.place
    return Plan(
        outline=outline, chip=chip, choices=choices, needs=setting.needs, floor=setting.floor,
        cores=parts.cores, place=tuple(setting.floor.core[place].tolist()),
    )  # fmt: skip


def quality(found: Plan) -> Quality:
    """Judge a plan against the baseline, against chance, and against what is possible."""
    choices, needs, floor = found.choices, found.needs, found.floor
    setting = _setting(found.outline, found.chip, choices, needs, floor)
    flows = flows_between(needs, found.cores, choices.rates)
    place = np.searchsorted(floor.core, found.place)
    hops = Task(flows=flows, floor=floor).hops(place)
    return Quality(
        flows=flows,
        traffic=Traffic(flows.packets, flows.local, hops),
        from_outside=packets_from_outside(needs, found.cores, choices.rates),
        bound=lower_bound(flows, floor),
        random=random_hops(flows, floor, np.random.default_rng(choices.seed)),
        baseline=_baseline(setting),
    )


def _starts(setting: Setting, parts: Parts) -> list[Array]:
    """Placements to begin with, unless pins forbid them."""
    found = parts.place
    if found is None and not parts.pinned:
        found = embedded(parts.cores, setting.outline, setting.floor)
    return [] if found is None else [found]


def _setting(outline: Outline, chip: Chip, choices: Choices, needs: Needs, floor: Floor) -> Setting:
    return Setting(
        outline=outline, chip=chip, needs=needs, floor=floor,
        rates=choices.rates, pins=choices.pins, start=choices.start, seed=choices.seed, stop=choices.stop,
    )  # fmt: skip


def _baseline(setting: Setting) -> Traffic | None:
    parts = PARTITIONERS["sequential"](replace(setting, pins=()))
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
