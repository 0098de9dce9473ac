"""Moves of cores on the floor: what they save, and who makes them.

State throughout: ``place`` int64 [n_cores], ``holder`` int64 [n_places] the core at each place, or
-1. Flows are lists of partners with both ways together, so that a move of one core is judged from
its own list.
"""

from math import exp
from typing import Any

from numpy.typing import NDArray

from traces.jit import inlined, kernel

Array = NDArray[Any]


@inlined
def _hops(
    x: Array, y: Array, ring_x: int, ring_y: int, router: Array, between: Array, a: int, b: int
) -> float:
    if router.size > 0:
        return float(between[router[a], router[b]])
    dx, dy = abs(x[a] - x[b]), abs(y[a] - y[b])
    if ring_x > 0:
        dx = min(dx, ring_x - dx)
    if ring_y > 0:
        dy = min(dy, ring_y - dy)
    return float(dx + dy)


@kernel
def total_hops(
    start: Array, other: Array, weight: Array, x: Array, y: Array, ring_x: int, ring_y: int,
    router: Array, between: Array, place: Array,
) -> float:  # fmt: skip
    """Packets times hops of a placement."""
    total = 0.0
    for core in range(place.size):
        for k in range(start[core], start[core + 1]):
            if other[k] > core:
                total += weight[k] * _hops(
                    x, y, ring_x, ring_y, router, between, place[core], place[other[k]]
                )
    return total


@kernel
def change(
    start: Array, other: Array, weight: Array, x: Array, y: Array, ring_x: int, ring_y: int,
    router: Array, between: Array, place: Array, a: int, b: int, to: int,
) -> float:  # fmt: skip
    """Hops that core ``a`` costs more at ``to``, where ``b`` (or nobody, -1) makes room for it."""
    at = place[a]
    total = 0.0
    for k in range(start[a], start[a + 1]):
        c = other[k]
        if c != b:
            total += weight[k] * (
                _hops(x, y, ring_x, ring_y, router, between, to, place[c])
                - _hops(x, y, ring_x, ring_y, router, between, at, place[c])
            )
    if b >= 0:
        for k in range(start[b], start[b + 1]):
            c = other[k]
            if c != a:
                total += weight[k] * (
                    _hops(x, y, ring_x, ring_y, router, between, at, place[c])
                    - _hops(x, y, ring_x, ring_y, router, between, to, place[c])
                )
    return total


@kernel
def swap(place: Array, holder: Array, a: int, to: int) -> None:
    """Put core ``a`` at ``to``, and who lies there at its place."""
    at, b = place[a], holder[to]
    place[a], holder[to], holder[at] = to, a, b
    if b >= 0:
        place[b] = at


@kernel
def side_gains(
    start: Array, other: Array, weight: Array, x: Array, y: Array, ring_x: int, ring_y: int,
    router: Array, between: Array, place: Array, holder: Array, pinned: Array, first: Array,
    second: Array, gain: Array,
) -> None:  # fmt: skip
    """Tell for pairs of neighbouring places what exchanging their cores saves."""
    for k in range(first.size):
        a, b, to = holder[first[k]], holder[second[k]], second[k]
        if a < 0:
            a, b, to = b, a, first[k]
        if a < 0 or pinned[a] or (b >= 0 and pinned[b]):
            gain[k] = 0.0
        else:
            gain[k] = -change(
                start, other, weight, x, y, ring_x, ring_y, router, between, place, a, b, to
            )


@kernel
def exchange_sides(
    start: Array, other: Array, weight: Array, x: Array, y: Array, ring_x: int, ring_y: int,
    router: Array, between: Array, place: Array, holder: Array, first: Array, second: Array,
    order: Array, least: float,
) -> float:  # fmt: skip
    """Exchange pairs in order, those that still save; return what is saved."""
    saved = 0.0
    for pair in order:
        a, b, to = holder[first[pair]], holder[second[pair]], second[pair]
        if a < 0:
            a, b, to = b, a, first[pair]
        if a < 0:
            continue
        gain = -change(start, other, weight, x, y, ring_x, ring_y, router, between, place, a, b, to)
        if gain > least:
            swap(place, holder, a, to)
            saved += gain
    return saved


@kernel
def anneal(
    start: Array, other: Array, weight: Array, x: Array, y: Array, ring_x: int, ring_y: int,
    router: Array, between: Array, place: Array, holder: Array, pinned: Array, grid: Array,
    chance: Array,
    heat_first: float, heat_last: float, reach_first: float, reach_last: float,
) -> float:  # fmt: skip
    """Propose one exchange for each row of ``chance``; return the hops that are added.

    Parameters
    ----------
    grid : int64 [height, width, per_router]
        Places of each router, -1 where there is none.
    chance : float64 [n, 5]
        Uniform in [0, 1).
    heat_first, heat_last : float
        Cost that is accepted with chance 1/e, in equal steps from the first to the last.
    reach_first, reach_last : float
        Routers around the target of a move among which it looks.
    """
    height, width, per_router = grid.shape
    added = 0.0
    n = chance.shape[0]
    for step in range(n):
        a = int(chance[step, 0] * place.size)
        if pinned[a]:
            continue
        heat = heat_first + (heat_last - heat_first) * step / n
        reach = reach_first + (reach_last - reach_first) * step / n
        about = place[a]
        fan = start[a + 1] - start[a]
        # Half of the moves go near a partner, the other half near the own place.
        pick = int(2 * chance[step, 1] * fan)
        if pick < fan:
            about = place[other[start[a] + pick]]
        to_x = int(x[about] + (2 * chance[step, 2] - 1) * (reach + 1))
        to_y = int(y[about] + (2 * chance[step, 3] - 1) * (reach + 1))
        if ring_x > 0:
            to_x %= ring_x
        if ring_y > 0:
            to_y %= ring_y
        if to_x < 0 or to_x >= width or to_y < 0 or to_y >= height:
            continue
        part = chance[step, 4] * per_router
        to = grid[to_y, to_x, int(part)]
        if to < 0 or to == place[a]:
            continue
        b = holder[to]
        if b >= 0 and pinned[b]:
            continue
        more = change(start, other, weight, x, y, ring_x, ring_y, router, between, place, a, b, to)
        luck = part - int(part)
        if more <= 0 or (heat > 0 and luck < exp(-more / heat)):
            swap(place, holder, a, to)
            added += more
    return added
