"""Crossbar cores (TrueNorth, RANC): axons by neurons, a weight for each neuron and type of axon.

A source that is heard with any of ``2**b`` weights comes in on several axons of the core: of each
type up to ``m`` axons, the neuron connected to any of them, so that ``m`` axons give the multiples
0 to ``m`` of the type's weight; like digits, the types make ``prod(m + 1)`` weights together. What
is counted is the fewest axons that make enough. It holds for weights that are not known; those that
are, such as -1, 0 and 1, may do with fewer, see ``weight_bits``.

A neuron has one destination, so one that is needed on several axons sends to a *splitter*: an axon
of another core on which a neuron for each destination repeats it one tick later. Input from outside
reaches every axon by itself. The sum over the axons of several cores does not exist: a neuron that
needs more axons than a crossbar has cannot be split exactly.
"""

from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emulator.chip import Chip
from mapping.capacity import too_long_delays
from mapping.fitting.kinds.count import Count, runs_that_fit
from mapping.fitting.layer_use import LayerUse
from mapping.needs import Fan, fan_of
from mapping.outline import Outline, OutlinePopulation
from mapping.violations import Violation

Array = NDArray[Any]


def axons_of_a_source(weight_bits: int, axon_types: int) -> int:
    """Fewest axons on which a source makes any of ``2**weight_bits`` weights."""
    copies = [0] * axon_types
    while prod(n + 1 for n in copies) < 2**weight_bits:
        copies[copies.index(min(copies))] += 1
    return sum(copies)


def splitters(destinations: int, neurons: int) -> int:
    """Neurons of splitters that repeat a spike to so many axons; none for a single one."""
    total, here = 0, destinations
    while here > 1:
        total += here
        here = -(-here // neurons)
    return total


def count_crossbars(outline: Outline, chip: Chip, *, weight_bits: int | None = None) -> Count:
    """Fill crossbars population by population, in the order of the neurons, and add splitters.

    Parameters
    ----------
    weight_bits : int, optional
        Of weights that may be anything; all that the chip's have but the sign where left out.
    """
    n_axons, room = chip.limit("in_axons_per_core"), chip.limit("neurons_per_core")
    bits = max(chip.weight_bits - 1, 1) if weight_bits is None else weight_bits
    each = axons_of_a_source(bits, chip.limit("axon_types"))
    violations = list(too_long_delays(outline, chip))
    fans = [fan_of(projection) for projection in outline.projections]
    sent = {p.name: np.zeros(p.size, np.int64) for p in outline.populations}
    cores = 0
    layers = []
    for population in outline.populations:
        own = [fan for fan in fans if fan.projection.target == population.name]

        def fits(first: int, end: int, own: list[Fan] = own) -> bool:
            return _n_heard(own, first, end) * each <= n_axons

        most = _n_heard(own, *_widest(own, population.size))
        if most * each > n_axons:
            violations.append(_too_many(population.name, most, each, bits, chip))
            n_cores = -(-population.size // room)
            cores += n_cores
            layers.append(_layer(population, own, n_cores, min(population.size, room), each, chip))
            continue
        runs = runs_that_fit(population.size, room, fits)
        cores += len(runs)
        layers.append(_layer(population, own, len(runs), max(map(len, runs)), each, chip))
        for run in runs:
            for source, elements in _heard(own, int(run[0]), int(run[-1]) + 1).items():
                if source in sent:
                    sent[source][elements] += each
    extra = sum(_splitter_cores(reached, n_axons, room) for reached in sent.values())
    if cores + extra > chip.usable.size:
        violations.append(_too_many_cores(cores, extra, chip))
    return Count(
        cores=cores + extra,
        memory_bits=(cores + extra) * n_axons * room,
        memory_bits_there=int(chip.usable.size) * n_axons * room,
        violations=tuple(violations),
        layers=tuple(layers),
        notes=(
            f"weights of {bits} bits that may be anything take {each} axons for each source",
            *([f"{extra:,} cores of splitters, each a tick later"] if extra else []),
        ),
    )


def _layer(
    own: OutlinePopulation, fans: list[Fan], n_cores: int, most: int, each: int, chip: Chip
) -> LayerUse:
    """Tell how the first core of a population is counted, or its widest neuron if none fits."""
    n_axons, room = chip.limit("in_axons_per_core"), chip.limit("neurons_per_core")
    heard = _n_heard(fans, 0, most)
    fits = heard * each <= n_axons
    closed = "neurons_per_core" if most == room and fits else "in_axons_per_core"
    text = f"{most:,} of {room:,} neurons hear {heard:,} sources × {each} axons = {heard * each:,} "
    text += f"of {n_axons:,} axons"
    return LayerUse(
        population=own.name, shape=own.shape, neurons=own.size,
        synapses=sum(int(fan.fan_in.sum()) for fan in fans), cores=n_cores, most=most, words=None,
        bits=n_cores * n_axons * room, closed=closed if n_cores > 1 else None,
        arithmetic=text + (f" → {n_cores:,} cores of up to {most:,}" if n_cores > 1 else ""),
    )  # fmt: skip


def _heard(fans: list[Fan], first: int, end: int) -> dict[str, Array]:
    """Elements of each source that a run of neurons hears."""
    part = np.arange(first, end)
    found: dict[str, Array] = {}
    for fan in fans:
        source, elements = fan.projection.source, fan.lists(part).source
        found[source] = np.union1d(found[source], elements) if source in found else elements
    return found


def _n_heard(fans: list[Fan], first: int, end: int) -> int:
    return sum(elements.size for elements in _heard(fans, first, end).values())


def _widest(fans: list[Fan], n: int) -> tuple[int, int]:
    """First and end of the neuron with the most synapses."""
    synapses: Array = np.zeros(n, np.int64)
    for fan in fans:
        synapses += fan.fan_in
    widest = int(synapses.argmax())
    return widest, widest + 1


def _splitter_cores(reached: Array, n_axons: int, room: int) -> int:
    """Cores of splitters for the neurons of a population; equal ones share cores."""
    total = 0
    for destinations, n in zip(*np.unique(reached[reached > 1], return_counts=True), strict=True):
        size = splitters(int(destinations), room)
        total += (
            -(-int(n) * size // room) if size > room else -(-int(n) // min(room // size, n_axons))
        )
    return total


def _too_many(name: str, most: int, each: int, bits: int, chip: Chip) -> Violation:
    where, have = f"population {name!r}", chip.limit("in_axons_per_core")
    return Violation(
        limit="in_axons_per_core", where=where, need=most * each, have=have,
        text=f"{where}: a neuron hears {most:,} sources on {each} axons each (weights of {bits} "
        f"bits from {chip.limit('axon_types')} types), {most * each:,} axons, but a crossbar of "
        f"{chip.name} has {have}, and no sum over several cores exists; hear at most "
        f"{have // each} sources, or use fewer bits (1 bit: {have} sources)",
    )  # fmt: skip


def _too_many_cores(cores: int, extra: int, chip: Chip) -> Violation:
    have = int(chip.usable.size)
    return Violation(
        limit="cores", where=chip.name, need=cores + extra, have=have,
        text=f"{cores + extra:,} cores needed, {extra:,} of them splitters, but {chip.name} has "
        f"{have:,}; use more chips, fewer bits, or narrow the largest populations",
    )  # fmt: skip
