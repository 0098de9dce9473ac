"""Cut a population into parts that fit a core.

A population with geometry (channels, rows, columns) is filled tile by tile: neighbours share
sources, so fewer axons and packets are needed than in numbering order. Every tile shape is tried;
the fewest parts win, then the fewest in-axons, which with equal spike rates is the number of
packets, then the most compact ones, whose packets have the shortest ways.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mapping.linear import Shape
from mapping.mapping import Slice
from mapping.needs import Need, Needs
from mapping.outline import OutlinePopulation

Array = NDArray[Any]

MANY, SAMPLED, KEPT = 48, 6, 3
"""A population of more than so many parts is cut on trial first, about so many parts of it in each
tiling; so many of the best are then tried on all of it."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Cut:
    """Parts of a population.

    Attributes
    ----------
    parts : list of int64 arrays
    in_axons : int
        Of all parts together.
    closed : Counter of str
        How many parts each resource ended.
    copies : int64 [n]
        Out-axons of each neuron that were counted with.
    """

    parts: list[Array]
    in_axons: int
    closed: Counter[str]
    copies: Array


def cut(
    needs: Needs, own: OutlinePopulation, copies: Array, limit: Need, *, tiled: bool = True
) -> Cut:
    """Cut into the fewest parts that any of the tried orders gives; only one if not tiled."""
    only_dense = bool(needs.fans[own.name]) and all(fan.dense for fan in needs.fans[own.name])
    singles = np.arange(1, own.size + 1)
    chosen = np.arange(own.size)
    best = _fill(needs, own, copies, chosen, singles, limit, own.size)
    assert best is not None  # as many parts as neurons are allowed
    shape = (own.size,) if only_dense else own.shape
    tilings = list(_tilings(shape)) if tiled else []
    if len(best.parts) > MANY:
        tilings = _promising(needs, own, copies, tilings, limit, len(best.parts))
    for order, ends in tilings:
        found = _fill(needs, own, copies, order, ends, limit, len(best.parts))
        if found and _cost(found, shape) < _cost(best, shape):
            best, chosen = found, order
    for order in _sorted_by_profile(needs, own):
        found = _fill(needs, own, copies, order, singles, limit, len(best.parts) - 1)
        if found:
            best, chosen = found, order
    # Whole tiles leave room at the end of each part; where that adds up to a part, it is filled.
    return _fill(needs, own, copies, chosen, singles, limit, len(best.parts) - 1) or best


def _sorted_by_profile(needs: Needs, own: OutlinePopulation) -> Iterator[Array]:
    """Orders in which neurons that share what a core has few of lie side by side."""
    keys = [
        numbers[own.name]
        for numbers in (needs.settings, needs.levels)
        if own.name in numbers and np.ptp(numbers[own.name])
    ]
    yield from (np.lexsort(tuple(order)) for order in ([keys, keys[::-1]] if keys else []))


def _cost(found: Cut, shape: Shape) -> tuple[int, int, int]:
    """Order cuts: parts, in-axons, and rows and columns that parts reach over."""
    reach = 0
    if len(shape) > 1:
        for part in found.parts:
            at = np.unravel_index(part, shape)[1:]
            reach += int(sum(np.ptp(axis) for axis in at))
    return len(found.parts), found.in_axons, reach


def _promising(
    needs: Needs,
    own: OutlinePopulation,
    copies: Array,
    tilings: list[tuple[Array, Array]],
    limit: Need,
    n_parts: int,
) -> list[tuple[Array, Array]]:
    """Keep the tilings that do best on a stretch in the middle: fewest parts, then in-axons."""
    stretch = own.size * SAMPLED // n_parts
    scored: list[tuple[tuple[float, ...], int]] = []
    for at, (order, ends) in enumerate(tilings):
        first, last = np.searchsorted(ends, [(own.size - stretch) // 2, (own.size + stretch) // 2])
        start = int(ends[first])
        chosen = order[start : ends[last]]
        if chosen.size:
            found = _fill(
                needs, own, copies, chosen, ends[first + 1 : last + 1] - start, limit, chosen.size
            )
            assert found is not None  # as many parts as neurons are allowed
            scored.append((tuple(c / chosen.size for c in _cost(found, own.shape)), at))
    return [tilings[at] for _, at in sorted(scored)[:KEPT]]


def _tilings(shape: Shape) -> Iterator[tuple[Array, Array]]:
    """Orders in which to fill cores tile by tile, each with the ends of its tiles."""
    if len(shape) == 2:
        shape = (shape[0], 1, shape[1])
    if len(shape) != 3:
        return
    _, height, width = shape
    number = np.arange(prod(shape)).reshape(shape)
    sizes = [[s for s in (2, 4, 8, 16, 32) if s < extent] + [extent] for extent in (height, width)]
    for rows, columns in product(*sizes):
        if rows == height and columns == width:
            continue
        tiles = [
            number[:, y : y + rows, x : x + columns].ravel()
            for y in range(0, height, rows)
            for x in range(0, width, columns)
        ]
        yield np.concatenate(tiles), np.cumsum([tile.size for tile in tiles])


def _fill(
    needs: Needs,
    own: OutlinePopulation,
    copies: Array,
    order: Array,
    ends: Array,
    limit: Need,
    most: int,
) -> Cut | None:
    """Cut an order into the longest runs that fit; whole tiles where a tile fits.

    None as soon as it would take more than ``most`` parts.
    """
    room = limit.compartments // own.compartments
    sent = np.concatenate([[0], np.cumsum(copies[order])])
    singles = np.arange(1, order.size + 1)
    parts: list[Array] = []
    closed: Counter[str] = Counter()
    in_axons = start = 0
    units = order.size

    def count(end: int) -> Need:
        part = Slice(population=own.name, neurons=order[start:end])
        return needs.need([part], {own.name: copies})

    while start < order.size:
        if len(parts) + -(-(order.size - start) // room) > most:
            return None
        # Compartments and out-axons are sums: they bound a part before any list is counted.
        enough = int(np.searchsorted(sent, sent[start] + limit.out_axons, side="right")) - 1
        last = min(start + room, enough)
        end, need, over = _longest(count, ends, start, last, limit, units)
        if need is None:
            end, need, over = _longest(count, singles, start, last, limit, units)
        if end < order.size:
            closed[over or ("compartments" if start + room <= enough else "out_axons")] += 1
        # A neuron that does not fit even alone gets a part of its own; the caller judges it.
        end = max(end, start + 1)
        in_axons += need.in_axons if need else 0
        units = end - start
        parts.append(order[start:end])
        start = end
    return Cut(parts=parts, in_axons=in_axons, closed=closed, copies=copies)


def _longest(
    count: Callable[[int], Need], ends: Array, start: int, last: int, limit: Need, guess: int
) -> tuple[int, Need | None, str]:
    """Furthest of ``ends`` after ``start``, up to ``last``, that fits; needs grow with length.

    Looks near a length of ``guess`` first, in steps that double, as neighbouring parts are alike.

    Returns
    -------
    end, need, over
        ``start`` and None if none fits; the resource that the next end breaks, if it was counted.
    """
    first, beyond = (int(np.searchsorted(ends, at, side="right")) for at in (start, last))
    low, high = first - 1, beyond
    end, need, over = start, None, ""
    probe, step = int(np.searchsorted(ends, start + guess)), 1
    while high - low > 1:
        if not low < probe < high:
            probe = high - 1 if high == beyond and step == 1 else (low + high) // 2
        found = count(int(ends[probe]))
        broken = found.broken(limit)
        if broken:
            high, over, probe = probe, broken[0], probe - step
        else:
            low, end, need, probe = probe, int(ends[probe]), found, probe + step
        step *= 2
    return end, need, over
