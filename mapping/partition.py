"""Cut populations into parts that fit a core, and put the parts on cores.

Populations are cut from the last layer back, because the out-axons of a part depend on how many
cores its targets were cut into. A population with geometry (channels, rows, columns) is filled
tile by tile: neighbours share sources, so fewer axons and packets are needed than in numbering
order. Every tile shape is tried; the fewest parts win, then the fewest in-axons, which with equal
spike rates is the number of packets.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emulator.chip import Chip
from emulator.program import Program
from mapping.assemble import assemble
from mapping.errors import CapacityError
from mapping.fixed import FixedNetwork, FixedPopulation, FixedProjection
from mapping.linear import Dense, Shape, sparse
from mapping.mapping import Mapping, Slice, resources
from mapping.packing import list_words, synapse_bits

Array = NDArray[Any]

REPAIRS = 8
"""Rounds of splitting cores whose out-axons turn out too many."""


@dataclass(frozen=True, kw_only=True, eq=False)
class _Fan:
    """Sources of each target of one projection (compressed columns), or a full matrix."""

    projection: FixedProjection
    n_pre: int
    column: Array | None
    source: Array | None


@dataclass(frozen=True, kw_only=True, eq=False)
class _Need:
    """What a part takes of a core."""

    compartments: int
    in_axons: int
    words: int
    out_axons: int


def map_network(fixed: FixedNetwork, chip: Chip) -> tuple[Mapping, Program]:
    """Partition, place and assemble.

    Raises
    ------
    CapacityError
        With every violated limit.
    """
    limit = _Need(
        compartments=chip.limit("neurons_per_core"),
        in_axons=chip.limit("in_axons_per_core"),
        words=chip.limit("synapse_words_per_core"),
        out_axons=chip.limit("out_axons_per_core"),
    )
    problems = _too_long_delays(fixed, chip)
    parts: dict[str, list[Array]] = {}
    for population in reversed(fixed.network.order):
        own = fixed.population(population.name)
        fans = [_fan(p) for p in fixed.projections if p.target == own.name]
        wide = list(_oversized(own, fans, limit, chip))
        problems += wide
        if not wide:
            copies = _copies(fixed, own, parts)
            parts[own.name] = _best_parts(own, fans, copies, limit, chip)
    if problems:
        raise CapacityError(chip.name, tuple(problems))
    held = _share_cores(fixed, parts, limit, chip)
    for _ in range(REPAIRS):
        if len(held) > chip.n_cores:
            raise CapacityError(chip.name, (_too_many_cores(held, chip),))
        mapping = Mapping(
            fixed=fixed, cores=tuple(tuple(core) for core in held), place=tuple(range(len(held)))
        )
        program = assemble(
            mapping, chip_name=chip.name, input_latency=chip.arithmetic.input_latency
        )
        broken = resources(program, chip).violations(program, chip)
        if not broken:
            return mapping, program
        used = resources(program, chip)
        held = _split_overfull(held, used.out_axons > limit.out_axons)
    raise CapacityError(chip.name, broken)


def _too_long_delays(fixed: FixedNetwork, chip: Chip) -> list[str]:
    longest = chip.limits.delay_max.value
    return [
        f"projection {p.name}: a delay of {p.delay} ticks, but {chip.name} delays by at most "
        f"{longest}; use a longer tick (--dt) or a shorter delay"
        for p in fixed.projections
        if p.delay > longest
    ]


def _too_many_cores(held: list[list[Slice]], chip: Chip) -> str:
    count: dict[str, int] = {}
    for core in held:
        for part in core:
            count[part.population] = count.get(part.population, 0) + 1
    listing = ", ".join(f"{name!r} {n}" for name, n in count.items())
    return (
        f"{len(held)} cores needed ({listing}), but {chip.name} has {chip.n_cores}; use a chip "
        f"with more or larger cores, or narrow the largest of these populations"
    )


def _fan(projection: FixedProjection) -> _Fan:
    n_pre = prod(projection.linear.pre_shape)
    if isinstance(projection.linear, Dense):
        return _Fan(projection=projection, n_pre=n_pre, column=None, source=None)
    listed = sparse(projection.linear)
    kept = listed.weight != 0
    source = np.repeat(np.arange(n_pre), np.diff(listed.row))[kept]
    target = listed.target[kept]
    order = np.argsort(target, kind="stable")
    column = np.searchsorted(target[order], np.arange(prod(listed.post_shape) + 1))
    return _Fan(projection=projection, n_pre=n_pre, column=column, source=source[order])


def _sources_in(fan: _Fan, part: Array) -> Array:
    """Synapses of each source within a part, int64 [n_pre]."""
    assert fan.column is not None
    assert fan.source is not None
    start, size = fan.column[part], np.diff(fan.column)[part]
    step = np.repeat(start - (np.cumsum(size) - size), size)
    return np.bincount(fan.source[step + np.arange(step.size)], minlength=fan.n_pre)


def _need(own: FixedPopulation, fans: list[_Fan], copies: Array, part: Array, chip: Chip) -> _Need:
    """Count a part as if it had a core alone; indices are counted as wide as a full core asks."""
    words = 0
    by_format: dict[tuple[str, int], Array] = {}
    for fan in fans:
        projection = fan.projection
        if fan.column is None:
            counts = np.full(fan.n_pre, part.size)
            bits = synapse_bits(chip, max_delay=projection.delay)
        else:
            counts = _sources_in(fan, part)
            bits = synapse_bits(
                chip,
                max_delay=projection.delay,
                n_targets=chip.limits.neurons_per_core.value,
            )
        words += int(list_words(counts[counts > 0], bits, chip).sum())
        key = (projection.source, projection.exponent)
        by_format[key] = by_format.get(key, np.zeros(fan.n_pre, np.int64)) + counts
    in_axons = sum(int(np.count_nonzero(counts)) for counts in by_format.values())
    return _Need(
        compartments=part.size * own.compartments,
        in_axons=in_axons,
        words=words,
        out_axons=int(copies[part].sum()),
    )


def _fits(need: _Need, limit: _Need) -> bool:
    return (
        need.compartments <= limit.compartments
        and need.in_axons <= limit.in_axons
        and need.words <= limit.words
        and need.out_axons <= limit.out_axons
    )


def _oversized(own: FixedPopulation, fans: list[_Fan], limit: _Need, chip: Chip) -> Iterator[str]:
    """Find neurons that no core can hold even alone."""
    fan_in: Array = np.zeros(own.size, np.int64)
    for fan in fans:
        fan_in = fan_in + (fan.n_pre if fan.column is None else np.diff(fan.column))
    worst = int(fan_in.argmax())
    if fan_in[worst] > limit.in_axons:
        n_over = int(np.count_nonzero(fan_in > limit.in_axons))
        yield (
            f"population {own.name!r}: neuron {worst} hears {fan_in[worst]:,} sources, but a core "
            f"of {chip.name} takes {limit.in_axons:,} in-axons ({n_over:,} of {own.size:,} neurons "
            f"are over); narrow or prune what feeds it"
        )
    if own.compartments > limit.compartments:
        yield (
            f"population {own.name!r}: a neuron takes {own.compartments} compartments, but a core "
            f"of {chip.name} has {limit.compartments}"
        )


def _copies(fixed: FixedNetwork, own: FixedPopulation, parts: dict[str, list[Array]]) -> Array:
    """Out-axons of each neuron: distinct parts that it reaches, and one for each part still uncut.

    A population that is not cut yet (feedback, or itself) counts as one part; `map_network`
    recounts and repairs.
    """
    copies: Array = np.zeros(own.size, np.int64)
    for projection in fixed.projections:
        if projection.source != own.name:
            continue
        cut = parts.get(projection.target)
        if cut is None:
            copies += 1
        elif isinstance(projection.linear, Dense):
            copies += len(cut)
        else:
            fan = _fan(projection)
            for part in cut:
                copies += _sources_in(fan, part) > 0
    return copies


def _best_parts(
    own: FixedPopulation, fans: list[_Fan], copies: Array, limit: _Need, chip: Chip
) -> list[Array]:
    best: list[Array] = []
    best_score: tuple[int, int] | None = None
    only_dense = all(fan.column is None for fan in fans)
    for order, grain in _orders(own.shape, numbered_only=only_dense):
        parts = _fill(own, fans, copies, order, grain, limit, chip)
        score = (len(parts), sum(_need(own, fans, copies, p, chip).in_axons for p in parts))
        if best_score is None or score < best_score:
            best, best_score = parts, score
    return best


def _orders(shape: Shape, *, numbered_only: bool) -> Iterator[tuple[Array, int]]:
    """Orders in which to fill cores, each with the number of neurons that should stay together."""
    n = prod(shape)
    yield np.arange(n), 1
    if len(shape) != 3 or numbered_only:
        return
    channels, height, width = shape
    number = np.arange(n).reshape(shape)
    sizes = [[s for s in (2, 4, 8, 16, 32) if s < extent] + [extent] for extent in (height, width)]
    for rows, columns in product(*sizes):
        if rows == height and columns == width:
            continue
        tiles = [
            number[:, y : y + rows, x : x + columns].ravel()
            for y in range(0, height, rows)
            for x in range(0, width, columns)
        ]
        yield np.concatenate(tiles), channels * rows * columns


def _fill(
    own: FixedPopulation,
    fans: list[_Fan],
    copies: Array,
    order: Array,
    grain: int,
    limit: _Need,
    chip: Chip,
) -> list[Array]:
    """Cut an order into the longest runs that fit; whole tiles where a tile fits."""

    def longest(start: int, unit: int) -> int:
        """Largest number of units from ``start`` that fit; needs grow with length."""
        low, high = 0, -(-(order.size - start) // unit)
        high = min(high, limit.compartments // max(own.compartments * unit, 1))
        while low < high:
            middle = (low + high + 1) // 2
            part = order[start : start + middle * unit]
            if _fits(_need(own, fans, copies, part, chip), limit):
                low = middle
            else:
                high = middle - 1
        return low

    parts = []
    start = 0
    while start < order.size:
        length = longest(start, grain) * grain or longest(start, 1)
        # A neuron alone that still does not fit (too many out-axons) is reported after recounting.
        length = max(length, 1)
        parts.append(order[start : start + length])
        start += length
    return parts


def _share_cores(
    fixed: FixedNetwork, parts: dict[str, list[Array]], limit: _Need, chip: Chip
) -> list[list[Slice]]:
    """Put parts on cores in the network's order; a part joins the last core where both fit."""
    held: list[list[Slice]] = []
    used = _Need(compartments=0, in_axons=0, words=0, out_axons=0)
    for population in fixed.network.order:
        own = fixed.population(population.name)
        fans = [_fan(p) for p in fixed.projections if p.target == own.name]
        copies = _copies(fixed, own, parts)
        for part in parts[own.name]:
            need = _need(own, fans, copies, part, chip)
            both = _Need(
                compartments=used.compartments + need.compartments,
                in_axons=used.in_axons + need.in_axons,
                words=used.words + need.words,
                out_axons=used.out_axons + need.out_axons,
            )
            if held and _fits(both, limit):
                held[-1].append(Slice(population=own.name, neurons=part))
                used = both
            else:
                held.append([Slice(population=own.name, neurons=part)])
                used = need
    return held


def _split_overfull(held: list[list[Slice]], overfull: Array) -> list[list[Slice]]:
    """Halve every core that sends to more cores than it has out-axons."""
    result: list[list[Slice]] = []
    for core, slices in enumerate(held):
        if not overfull[core] or sum(part.neurons.size for part in slices) < 2:
            result.append(slices)
        elif len(slices) > 1:
            result += [slices[: len(slices) // 2], slices[len(slices) // 2 :]]
        else:
            first, second = np.array_split(slices[0].neurons, 2)
            result += [
                [Slice(population=slices[0].population, neurons=half)] for half in (first, second)
            ]
    return result
