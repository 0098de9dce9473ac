"""What can be wrong with a chip's faults: parts that are not there, and what they cut off."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from emulator.chip_faults import link_texts, router_text
from emulator.routers import (
    Place,
    grid_size,
    is_grid,
    n_routers,
    neighbours,
    number_of,
    number_of_core,
)

if TYPE_CHECKING:
    from emulator.chip import Chip

Array = NDArray[Any]


def usable_cores(chip: "Chip") -> Array:
    """Cores that can hold neurons, ascending; int64 [n]."""
    faults = chip.faults
    works = np.ones(chip.n_cores, np.bool_)
    works[list(faults.cores + faults.reserved)] = False
    if faults.routers:
        dead = [number_of(place, chip) for place in faults.dead_routers]
        works &= ~np.isin(number_of_core(np.arange(chip.n_cores), chip), dead)
    return np.flatnonzero(works)


def problems_of_faults(chip: "Chip") -> list[str]:
    """List what a chip's faults name that is not there, or else what they leave of no use."""
    return [*_outside(chip)] or [*_left_over(chip)]


def _outside(chip: "Chip") -> Iterator[str]:
    faults = chip.faults
    for name in ("cores", "reserved"):
        beyond = [core for core in getattr(faults, name) if core >= chip.n_cores]
        if beyond:
            yield (
                f"faults.{name}: {beyond[0]}, but {chip.name} has cores 0 to {chip.n_cores - 1:,}"
            )
    for place in faults.dead_routers:
        wrong = _no_router(place, chip)
        if wrong:
            yield f"faults.routers: {wrong}"
    pairs = _pairs(neighbours(chip), n_routers(chip)) if faults.links else np.empty(0, np.int64)
    for wire in faults.dead_wires:
        wrong = _no_router(wire[0], chip) or _no_router(wire[1], chip)
        if wrong:
            yield f"faults.links: {wrong}"
        elif not _are_neighbours(wire, pairs, chip):
            yield (
                f"faults.links: {link_texts([wire])[0]}, but routers {router_text(wire[0])} and "
                f"{router_text(wire[1])} are not neighbours on a {chip.fabric.topology}"
            )


def _no_router(place: Place, chip: "Chip") -> str:
    """Say why there is no such router; empty if there is."""
    topology = chip.fabric.topology
    if topology == "crossbar":
        return f"{router_text(place)}, but a crossbar has one router and no links; name cores"
    if len(place) != (2 if is_grid(chip) else 1):
        return (
            f"{router_text(place)}, but routers of a {topology} are written "
            f"{'x,y' if is_grid(chip) else 'as one number, 0 for the root'}"
        )
    if is_grid(chip):
        width, height = grid_size(chip)
        if place[0] >= width or place[1] >= height:
            return (
                f"{router_text(place)} is outside the chip, whose routers are 0,0 to "
                f"{width - 1},{height - 1}"
            )
    elif place[0] >= n_routers(chip):
        return f"{place[0]}, but the tree has routers 0 to {n_routers(chip) - 1:,}"
    return ""


def _pairs(ends: Array, n: int) -> Array:
    """Neighbours in one number each, the lower first."""
    low, high = np.sort(ends, axis=0)
    return np.asarray(low * n + high)


def _are_neighbours(wire: tuple[Place, Place], pairs: Array, chip: "Chip") -> bool:
    ends = np.array([[number_of(place, chip)] for place in wire])
    return bool(np.isin(_pairs(ends, n_routers(chip)), pairs).all())


def _left_over(chip: "Chip") -> Iterator[str]:
    cores = usable_cores(chip)
    if not cores.size:
        yield (
            f"faults: all {chip.n_cores:,} cores of {chip.name} are dead or reserved, so that none "
            "is left; give some of them back"
        )
    elif chip.faults.on_ways:
        number = number_of_core(cores, chip)
        reached = _reached_from(int(number[0]), chip)
        lost = np.flatnonzero(~reached[number])
        if lost.size:
            yield (
                f"faults: they cut the chip in two: no way over links that work in both directions "
                f"joins core {cores[0]} and core {cores[lost[0]]} ({lost.size:,} of {cores.size:,} "
                "cores are cut off); list the smaller part among faults.cores, or give a link back"
            )


def _reached_from(router: int, chip: "Chip") -> Array:
    """Routers joined to one over links that work in both directions; bool [n_routers]."""
    n = n_routers(chip)
    works = np.ones(n, np.bool_)
    works[[number_of(place, chip) for place in chip.faults.dead_routers]] = False
    ends = neighbours(chip)
    dead = [[number_of(place, chip) for place in wire] for wire in chip.faults.dead_wires]
    gone = np.isin(_pairs(ends, n), _pairs(np.array(dead, np.int64).reshape(-1, 2).T, n))
    ends = ends[:, ~gone & works[ends].all(axis=0)]
    both = np.concatenate([ends, ends[::-1]], axis=1)
    order = np.argsort(both[0], kind="stable")
    to, first = both[1, order], np.searchsorted(both[0, order], np.arange(n + 1))
    reached = np.zeros(n, np.bool_)
    reached[router] = True
    edge = [router]
    for at in edge:  # grows as it goes
        for other in to[first[at] : first[at + 1]].tolist():
            if not reached[other]:
                reached[other] = True
                edge.append(other)
    return reached
