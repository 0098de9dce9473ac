"""Cut a network into what a chip's cores hold: cut its populations, share cores, judge.

Populations are cut from the last layer back, because the out-axons of a part depend on how many
cores its targets were cut into. With feedback that is known only after a first cut; such
populations are cut again, and cores that still send to too many others are halved.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from emulator.chip import Chip
from mapping.capacity import (
    overfull_cores,
    reaching_too_far,
    too_long_delays,
    too_many_cores,
    unfit_neurons,
)
from mapping.cutting import Cut, cut
from mapping.mapping import Slice
from mapping.needs import Need, Needs, core_limit
from mapping.outline import Outline, OutlinePopulation
from mapping.pins import Pin, check_pins, pinned_cores, pinned_slices
from mapping.violations import Violation

Array = NDArray[Any]
Cores = list[list[Slice]]

SPARE = (0.0, 0.0, 0.02, 0.04, 0.06, 0.08)
"""Share of the out-axons kept free in each round of cutting.

With feedback, the neurons at the end of a part reach other cores after the next cut; room for
them lets most rounds end at once, where halving cores sends more packets everywhere.
"""


class Partition(NamedTuple):
    """A partition, and why it is as it is.

    Attributes
    ----------
    cores : tuple of tuple of Slice
        Within all limits where there are no problems; as far as it came where there are.
    problems : tuple of Violation
        Every violated limit.
    closed : dict of str to str
        Of each population of several parts, the resource that most of them ran out of.
    pinned : dict of int to int
        Of the parts that are pinned, by their number in ``cores``: the chip's core.
    """

    cores: tuple[tuple[Slice, ...], ...]
    problems: tuple[Violation, ...]
    closed: dict[str, str]
    pinned: dict[int, int]


def partition(
    outline: Outline, chip: Chip, *, tiled: bool = True, pins: Sequence[Pin] = ()
) -> tuple[tuple[tuple[Slice, ...], ...], tuple[Violation, ...]]:
    """Cut a network into what cores hold; see `examine`.

    Returns
    -------
    cores
        Within all limits where there are no problems; as far as it came where there are. The
        first lie on `mapping.pins.pinned_cores`, if anything is pinned.
    problems
        Every violated limit.
    """
    found = examine(outline, chip, tiled=tiled, pins=pins)
    return found.cores, found.problems


def examine(
    outline: Outline,
    chip: Chip,
    *,
    tiled: bool = True,
    pins: Sequence[Pin] = (),
    thorough: bool = False,
    needs: Needs | None = None,
) -> Partition:
    """Cut a network into what cores hold, and say what closed them.

    Parameters
    ----------
    tiled : bool
        Whether populations with geometry may be cut in another order than that of their neurons.
    pins : sequence of Pin
        Populations that are told where to lie; what is too much for a core is a problem of it.
    thorough : bool
        Whether to count synapses even where the chip has no room for the neurons alone.
    needs : Needs, optional
        Of this outline and chip, if they are known already.

    Raises
    ------
    PinError
        If no mapping can follow the pins.
    """
    check_pins(pins, outline, chip)
    needs, limit = needs or Needs.of(outline, chip), core_limit(chip)
    unfit = {p.name: unfit_neurons(needs, p, limit) for p in outline.populations}
    problems = [*too_long_delays(outline, chip), *chain.from_iterable(unfit.values())]
    fixed, told = pinned_slices(pins, outline), pinned_cores(pins)
    free = [p for p in outline.populations if p.name not in {pin.population for pin in pins}]
    held: Cores = []
    closed: dict[str, str] = {}
    least = {p.name: -(-p.size * p.compartments // limit.compartments) for p in free}
    taken = sum(p.size * p.compartments for p in free)
    room = (chip.usable.size - len(fixed)) * limit.compartments
    if taken > room and not thorough:
        # Not even the neurons have room, so there is no need to look at synapses.
        n = len(fixed) + -(-taken // limit.compartments)
        closed = {name: "compartments" for name, cores in least.items() if cores > 1}
        least |= {pin.population: len(pin.cores) for pin in pins}
        problems += _overfull_pins(needs, limit, fixed, told, [*fixed, *map(_whole, free)])
        problems.append(too_many_cores(n, least, closed, chip, at_least=True))
    else:
        fitting = {p.name for p in free if not unfit[p.name]}
        held, closed = _partition(outline, needs, limit, fitting, chip, fixed, tiled=tiled)
        problems += _overfull_pins(needs, limit, fixed, told, held)
        copies = needs.copies(held, needs.sizes)
        if len(held) > chip.usable.size:
            more = any(unfit.values()) or any(_overfull(held[len(fixed) :], needs, copies, limit))
            count = Counter(part.population for slices in held for part in slices)
            problems.append(too_many_cores(len(held), count, closed, chip, at_least=more))
        for p in outline.populations:
            problems += reaching_too_far(p, copies[p.name], limit, chip)
    return Partition(
        tuple(tuple(core) for core in held), tuple(problems), closed,
        dict(enumerate(told)) if held else {},
    )  # fmt: skip


def _whole(part: OutlinePopulation) -> list[Slice]:
    return [Slice(population=part.name, neurons=np.arange(part.size))]


def _overfull_pins(
    needs: Needs, limit: Need, fixed: Cores, told: Sequence[int], held: Cores
) -> Iterator[Violation]:
    """Find pinned cores that hold too much, where parts lie on the cores ``held``."""
    copies = needs.copies(held, needs.sizes) if fixed else {}
    named = zip((f"core {core}" for core in told), fixed, strict=True)
    return overfull_cores(named, needs, copies, limit)


def _partition(
    outline: Outline,
    needs: Needs,
    limit: Need,
    fitting: set[str],
    chip: Chip,
    fixed: Cores,
    *,
    tiled: bool,
) -> tuple[Cores, dict[str, str]]:
    """Cut the fitting populations, share cores, and repair out-axons.

    Parameters
    ----------
    fixed : list of list of Slice
        Cores that hold what is pinned to them, and nothing else.

    Returns
    -------
    cores
        First those that are fixed. Within all limits, unless they are more than the chip has or a
        neuron alone is over; what is fixed may be over, too.
    closed : dict of str
        Of each population, the resource that most of its cores ran out of.
    """
    cuts: dict[str, Cut] = {}
    held: Cores = list(fixed)
    for spare in SPARE:
        before = cuts
        tight = replace(limit, out_axons=int(limit.out_axons * (1 - spare)))
        cuts = _cut_all(outline, needs, tight, fitting, before, fixed, tiled=tiled)
        if all(cuts[name] is before.get(name) for name in cuts):
            break
        held = [*fixed, *_share_cores(outline, needs, cuts, limit)]
        over = _overfull(held, needs, needs.copies(held, needs.sizes), limit)[len(fixed) :]
        if not any(over) or len(held) > chip.usable.size:
            break
    closed = {name: found.closed.copy() for name, found in cuts.items()}
    while len(held) <= chip.usable.size:
        copies = needs.copies(held, needs.sizes)
        free = held[len(fixed) :]
        finer = [*fixed, *_halved(free, _overfull(free, needs, copies, limit), closed)]
        if len(finer) == len(held):
            break
        held = finer
    return held, {name: count.most_common(1)[0][0] for name, count in closed.items() if count}


def _cut_all(
    outline: Outline,
    needs: Needs,
    limit: Need,
    fitting: set[str],
    before: dict[str, Cut],
    fixed: Cores,
    *,
    tiled: bool,
) -> dict[str, Cut]:
    """Cut all populations, knowing an earlier cut; one whose out-axons are the same stays."""
    cuts = dict(before)
    pinned = {part.population for slices in fixed for part in slices}
    for name in reversed(outline.order):
        if name not in fitting:
            continue
        parts = [
            *fixed,
            *(
                [Slice(population=p.name, neurons=part)]
                for p in outline.populations
                if p.name not in pinned
                for part in (cuts[p.name].parts if p.name in cuts else [np.arange(p.size)])
            ),
        ]
        copies = needs.copies(parts, [name])[name]
        known = cuts.get(name)
        if known is None or not np.array_equal(known.copies, copies):
            cuts[name] = cut(needs, outline.population(name), copies, limit, tiled=tiled)
    return cuts


def _share_cores(outline: Outline, needs: Needs, cuts: dict[str, Cut], limit: Need) -> Cores:
    """Put parts on cores in the network's order; a part joins the last core where both fit.

    Parts of one population that meet become one slice, with one list for each source.
    """
    copies = {name: found.copies for name, found in cuts.items()}
    held: Cores = []
    for name in outline.order:
        for part in cuts[name].parts if name in cuts else []:
            joined = _joined(held[-1] if held else [], name, part)
            if held and not needs.need(joined, copies).broken(limit):
                held[-1] = joined
            else:
                held.append(_joined([], name, part))
    return held


def _joined(slices: list[Slice], name: str, part: Array) -> list[Slice]:
    if slices and slices[-1].population == name:
        both = np.concatenate([slices[-1].neurons, part])
        return [*slices[:-1], Slice(population=name, neurons=both)]
    return [*slices, Slice(population=name, neurons=part)]


def _overfull(held: Cores, needs: Needs, copies: dict[str, Array], limit: Need) -> list[bool]:
    """Find the cores that send to more cores than they have out-axons, or memory for them."""
    if needs.chip.shared is not None:
        found = [needs.need(slices, copies) for slices in held]
        return [n.out_axons > limit.out_axons or n.shared > limit.shared for n in found]
    return [
        sum(int(copies[part.population][part.neurons].sum()) for part in slices) > limit.out_axons
        for slices in held
    ]


def _halved(held: Cores, overfull: list[bool], closed: dict[str, Counter[str]]) -> Cores:
    """Halve overfull cores, down to single neurons; fewer neurons take less of everything."""
    result: Cores = []
    for slices, over in zip(held, overfull, strict=True):
        if not over or sum(part.neurons.size for part in slices) < 2:
            result.append(slices)
            continue
        if len(slices) > 1:
            halves = [slices[: len(slices) // 2], slices[len(slices) // 2 :]]
        else:
            halves = [
                [Slice(population=slices[0].population, neurons=half)]
                for half in np.array_split(slices[0].neurons, 2)
            ]
        result += halves
        for part in slices:
            closed[part.population]["out_axons"] += 1
    return result
