"""Say why a population lies where it lies."""

from collections.abc import Iterator

import numpy as np

from mapping.capacity import LIMITS
from mapping.layout.floor import Floor
from mapping.layout.placers import Task, cheapest_exchange
from mapping.needs import core_limit
from mapping.plan import Plan, Quality
from spikefab.wording import percent

MOST = 8
"""Cores that are told one by one."""


def explained(found: Plan, judged: Quality, name: str) -> Iterator[str]:
    """Tell of a population: what fills its cores, with whom they talk, what moving them would cost."""
    needs, floor = found.needs, found.floor
    limit, copies = core_limit(found.chip), needs.copies(found.cores, needs.sizes)
    mine = [k for k, held in enumerate(found.cores) if any(s.population == name for s in held)]
    place = np.searchsorted(floor.core, found.place)
    task = Task(flows=judged.flows, floor=floor)
    yield f"{name}: {needs.sizes[name]:,} neurons on {len(mine)} cores"
    for k in mine[:MOST]:
        held = ", ".join(f"{s.neurons.size:,} of {s.population}" for s in found.cores[k])
        at = f"router ({floor.x[place[k]]},{floor.y[place[k]]})"
        yield f"core {found.place[k]} at {at} holds {held}"
        need = needs.need(found.cores[k], copies)
        shares = {key: getattr(need, key) / max(getattr(limit, key), 1) for key in LIMITS}
        fullest = max(shares, key=lambda key: shares[key])
        yield (
            f"  fullest: {getattr(need, fullest):,} of {getattr(limit, fullest):,} "
            f"{LIMITS[fullest].removesuffix('_per_core').replace('_', ' ')} "
            f"({percent(shares[fullest], 1)})"
        )
        yield from _partners(found, judged, floor, place, k)
        yield from _bound_here(task, floor, place, k)
    if len(mine) > MOST:
        yield f"and {len(mine) - MOST} more cores"


def _partners(
    found: Plan, judged: Quality, floor: Floor, place: np.ndarray, k: int
) -> Iterator[str]:
    """Whom a core talks with most, and how far that is."""
    flows = judged.flows
    here = slice(flows.start[k], flows.start[k + 1])
    other, weight = flows.other[here], flows.weight[here]
    if not other.size:
        yield "  no packets to or from other cores, so that any place is as good"
        return
    total: dict[str, tuple[float, float]] = {}
    for to, packets in zip(other.tolist(), weight.tolist(), strict=True):
        names = "+".join(s.population for s in found.cores[to])
        ways = packets * float(floor.distance(place[k], place[to]))
        before = total.get(names, (0.0, 0.0))
        total[names] = (before[0] + packets, before[1] + ways)
    for names, (packets, ways) in sorted(total.items(), key=lambda item: -item[1][0])[:4]:
        yield f"  {packets:,.1f} packets a tick with {names}, {ways / packets:.2f} hops each"


def _bound_here(task: Task, floor: Floor, place: np.ndarray, k: int) -> Iterator[str]:
    if place.size < 2 and floor.n_places < 2:
        return
    cost, to = cheapest_exchange(task, place, k)
    if to < 0:
        return
    what = f"the best other place (core {floor.core[to]})"
    if cost < 0:
        yield f"  {what} would save {-cost:,.1f} hops a tick"
    else:
        yield f"  {what} would cost {cost:,.1f} hops a tick more"
