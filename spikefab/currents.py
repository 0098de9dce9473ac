"""Direct current: what the host computes of analog input, in float, before any chip."""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mapping.drive import Drive
from mapping.linear import Dense, Linear, apply, sparse
from mapping.network import Network, current_keep

Array = NDArray[Any]


class Way(NamedTuple):
    """One projection of an analog input; convolutions are unrolled."""

    source: str
    linear: Linear
    delay: int
    gain: float

    def mapped(self, values: Array) -> Array:
        """Current that arrives at each neuron, without its filter."""
        return apply(self.linear, values) * self.gain


class Target(NamedTuple):
    """A population that gets current from the host; ``keep`` is the share left of its filter."""

    name: str
    keep: Array
    ways: tuple[Way, ...]


def targets_of(network: Network, direct: frozenset[str]) -> tuple[Target, ...]:
    """Unroll once for many samples what the host does."""
    found = []
    for population in network.populations:
        ways = tuple(
            Way(p.source, _listed(p.linear), network.delay_ticks(p), p.current_gain)
            for p in network.projections
            if p.target == population.name and p.source in direct
        )
        if ways:
            found.append(Target(population.name, current_keep(population, network.dt_s), ways))
    return tuple(found)


def _listed(linear: Linear) -> Linear:
    return linear if isinstance(linear, Dense) else sparse(linear)


def changes(target: Target, drive: Drive, n_ticks: int) -> Iterator[tuple[int, Array]]:
    """Yield each tick at which the filtered current differs from the last one, and the current.

    Parameters
    ----------
    n_ticks : int
        Length of the sample; a filtered current that outlasts it is not followed further.

    Yields
    ------
    (tick, float64 [n])
        The same array every time; copy it to keep it.
    """
    ways = [way for way in target.ways if way.source in drive.currents]
    values = [drive.currents[way.source] for way in ways]
    held = [way.mapped(x) if x.ndim == 1 else None for way, x in zip(ways, values, strict=True)]
    filtered = bool(np.any(target.keep > 0))
    level, arriving = np.zeros(target.keep.size), np.zeros(target.keep.size)
    edges = {tick for way in ways for tick in (way.delay, way.delay + drive.n_ticks)}
    moving = any(x is None for x in held)
    for tick in range(n_ticks):
        if moving or tick in edges:
            arriving = np.zeros(level.size)
            for way, x, mapped in zip(ways, values, held, strict=True):
                at = tick - way.delay
                if 0 <= at < drive.n_ticks:
                    arriving += way.mapped(x[at]) if mapped is None else mapped
        elif not filtered:
            continue
        level *= target.keep
        level += arriving
        yield tick, level


def largest_currents(targets: tuple[Target, ...], drives: Iterable[Drive]) -> dict[str, float]:
    """Largest magnitude that the host hands over to each population, over all samples."""
    largest = {target.name: 0.0 for target in targets}
    for drive in drives:
        for target in targets:
            # After its input, a filtered current only fades.
            last = drive.n_ticks + max(way.delay for way in target.ways)
            for _, current in changes(target, drive, last):
                largest[target.name] = max(largest[target.name], float(np.abs(current).max()))
    return largest
