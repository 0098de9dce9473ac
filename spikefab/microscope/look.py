"""One neuron on both sides, tick by tick: what arrived, its current, its membrane, its spikes."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mapping.drive import Drive
from mapping.effects.machine import Machine
from mapping.effects.run import MixedRun
from mapping.effects.sides import Cells, Side
from mapping.reference import Weights
from spikefab.microscope.origin import Pair

Array = NDArray[Any]

TOLERATED = 1e-9
"""Share of the threshold by which states may differ from rounding of float64 alone."""
LOUDEST = 256
"""Sources whose states are followed: those with the largest weights."""
BEFORE, AFTER = 7, 2
"""Ticks that are shown before and after a difference."""
PARTS = ("input", "current", "membrane", "membrane after the reset")
"""How `mapping.effects.run.STATES` are told."""


class Arrival(NamedTuple):
    """Spikes of one source that act in a tick, and the weight of each."""

    source: str
    spikes: int
    weight: float


class Moment(NamedTuple):
    """A neuron on one side in one tick, in the network's units.

    ``reached``: the membrane that was compared with the threshold; ``membrane``: after the reset.
    ``registers``: current, reached and membrane as the chip holds them; None for those in float.
    """

    arrivals: tuple[Arrival, ...]
    arrived: float
    current: float
    reached: float
    membrane: float
    spikes: int
    registers: tuple[int | None, int | None, int | None]


class Parting(NamedTuple):
    """The first state that differs. ``tick`` without the population's lag."""

    tick: int
    population: str
    neuron: int
    variable: str
    base: float
    full: float


class Told(NamedTuple):
    """A constant of a neuron on both sides."""

    what: str
    base: float
    full: float


@dataclass(frozen=True, kw_only=True, eq=False)
class Look:
    """What a neuron does on both sides.

    Attributes
    ----------
    sample, population, neuron
    core : int or None
        Place on the chip; None where both sides are in float.
    first_tick : int
        Of the rows, without the population's lag.
    base, full : tuple of Moment
    constants : tuple of Told
    heaviest : Told or None
        Of the weights that acted, the one that changes what arrives the most.
    parting : Parting or None
        The first state of this neuron or of its sources that differs.
    own_parting : Parting or None
        The first state of this neuron itself.
    """

    sample: int
    population: str
    neuron: int
    core: int | None
    first_tick: int
    base: tuple[Moment, ...]
    full: tuple[Moment, ...]
    constants: tuple[Told, ...]
    heaviest: Told | None
    parting: Parting | None
    own_parting: Parting | None


def look_at(pair: Pair, population: str, neuron: int, sample: int, ticks: tuple[int, int]) -> Look:
    """Run a sample on both sides and follow a neuron.

    Parameters
    ----------
    ticks : (int, int)
        First tick, and the one after the last, without the population's lag.
    """
    sides = pair.base.side, pair.full.side
    machines = [pair.machine(side) for side in sides]
    sources = _sources(machines[0], population, neuron)
    drive = pair.full.samples.drive(sample, pair.full.side.network)
    record = {name: np.unique(numbers) for name, numbers in sources.items()}
    runs = [pair.run(machine, sample, record) for machine in machines]
    lags = [side.lag[population] for side in sides]
    most = min(run.n_ticks - lag for run, lag in zip(runs, lags, strict=True))
    first, last = max(ticks[0], 0), max(min(ticks[1], most), max(ticks[0], 0))
    place = int(np.searchsorted(record[population], neuron))
    moments = [
        tuple(
            _moment(drive, machine, run, population, neuron, place, lag + tick)
            for tick in range(first, last)
        )
        for machine, run, lag in zip(machines, runs, lags, strict=True)
    ]
    return Look(
        sample=sample,
        population=population,
        neuron=neuron,
        core=_core(pair, population, neuron),
        first_tick=first,
        base=moments[0],
        full=moments[1],
        constants=tuple(
            _constants(_cells(sides[0], population), _cells(sides[1], population), neuron)
        ),
        heaviest=_heaviest(*moments),
        parting=_parting(pair, runs, record, until=last),
        own_parting=_parting(pair, runs, record, until=last, only=(population, place)),
    )


def _core(pair: Pair, population: str, neuron: int) -> int | None:
    for origin in (pair.full, pair.base):
        core = origin.core_of(population, neuron)
        if core is not None:
            return core
    return None


def _cells(side: Side, population: str) -> Cells:
    return next(cells for cells in side.cells if cells.name == population)


def _sources(machine: Machine, population: str, neuron: int) -> dict[str, Array]:
    """Neurons that a neuron hears, and itself; inputs have no states."""
    found: dict[str, list[Array]] = {population: [np.array([neuron])]}
    for name, ways in machine.ways.items():
        for way in ways:
            if way.target == population and name in machine.parts:
                found.setdefault(name, []).append(_heard(way.weights, neuron))
    return {name: np.concatenate(numbers) for name, numbers in found.items()}


def _heard(weights: Weights, neuron: int) -> Array:
    """Sources of the largest weights onto a neuron."""
    if weights.full.size:
        sources = np.flatnonzero(weights.full[:, neuron])
        sizes = np.abs(weights.full[sources, neuron])
    else:
        entries = np.flatnonzero(weights.target == neuron)
        sources = np.searchsorted(weights.row, entries, "right") - 1
        sizes = np.abs(weights.weight[entries])
    return np.asarray(sources[np.argsort(-sizes, kind="stable")[:LOUDEST]])


def _moment(
    drive: Drive, machine: Machine, run: MixedRun, population: str, neuron: int, place: int,
    tick: int,
) -> Moment:  # fmt: skip
    cells = machine.parts[population].cells
    arrived, current, reached, membrane = (
        float(run.states[population, state][tick, place])
        for state in ("arrived", "u", "reached", "v")
    )
    offset = _offset(machine.side, population, neuron)
    scale = cells.membrane.scale

    def whole(value: float, by: float) -> int | None:
        return round(value * by) if by > 0 else None

    return Moment(
        arrivals=tuple(_arrivals(drive, machine, run, population, neuron, tick)),
        arrived=arrived,
        current=current,
        reached=reached + offset,
        membrane=membrane + offset,
        spikes=_spikes_at(run, population, neuron, tick),
        registers=(
            whole(current, cells.current.scale), whole(reached, scale), whole(membrane, scale),
        ),
    )  # fmt: skip


def _offset(side: Side, population: str, neuron: int) -> float:
    part = side.network.population(population)
    return float(np.asarray(part.v_reset)[neuron]) if part.spiking else 0.0


def _spikes_at(run: MixedRun, population: str, neuron: int, tick: int) -> int:
    if population not in run.spikes:
        return 0
    ticks, neurons, times = run.spikes[population]
    first, last = np.searchsorted(ticks, [tick, tick + 1])
    mine = neurons[first:last] == neuron
    return int(times[first:last][mine].sum())


def _arrivals(
    drive: Drive, machine: Machine, run: MixedRun, population: str, neuron: int, tick: int
) -> Iterator[Arrival]:
    """Sources whose spikes act in a tick, and their weights."""
    for name, ways in machine.ways.items():
        for way in ways:
            if way.target != population or tick < way.late:
                continue
            for source, spikes in _fired(drive, run, name, tick - way.late):
                targets, weights = way.weights.of(source)
                weight = float(weights[targets == neuron].sum())
                if weight != 0:
                    yield Arrival(f"{name}[{source}]", spikes, weight)


def _fired(drive: Drive, run: MixedRun, name: str, tick: int) -> Iterator[tuple[int, int]]:
    if name in drive.spikes:
        if tick < len(drive.spikes[name]):
            counts = drive.spikes[name][tick]
            for source in np.flatnonzero(counts):
                yield int(source), int(counts[source])
        return
    if name in run.spikes:
        ticks, neurons, times = run.spikes[name]
        first, last = np.searchsorted(ticks, [tick, tick + 1])
        yield from zip(neurons[first:last].tolist(), times[first:last].tolist(), strict=True)


def _constants(base: Cells, full: Cells, neuron: int) -> Iterator[Told]:
    """Constants of a neuron that differ, in the network's units."""
    pairs = [
        ("bias", base.bias, full.bias),
        ("share of the current kept", base.current_decay.keep, full.current_decay.keep),
        ("share of the membrane kept", base.membrane_decay.keep, full.membrane_decay.keep),
    ]
    if base.threshold.size:
        pairs.insert(0, ("threshold", base.threshold, full.threshold))
    for what, one, other in pairs:
        yield Told(what, float(one[neuron]), float(other[neuron]))


def _heaviest(base: tuple[Moment, ...], full: tuple[Moment, ...]) -> Told | None:
    """Find the source whose weights differ most, times its spikes on the full side."""
    sums: dict[str, list[float]] = {}
    for k, moments in enumerate((base, full)):
        for moment in moments:
            for source, spikes, weight in moment.arrivals:
                found = sums.setdefault(source, [np.nan, np.nan, 0.0])
                found[k] = weight
                found[2] += spikes
    # What was heard on one side alone has no other weight to compare with.
    known = {source: s for source, s in sums.items() if s[0] != s[1] and not np.isnan(s[0] + s[1])}
    if not known:
        return None
    source = max(known, key=lambda s: abs(known[s][1] - known[s][0]) * known[s][2])
    return Told(source, known[source][0], known[source][1])


def _parting(
    pair: Pair, runs: list[MixedRun], record: dict[str, Array], *, until: int,
    only: tuple[str, int] | None = None,
) -> Parting | None:  # fmt: skip
    """Find the first state that differs, of a neuron and its sources, by tick and then by signal."""
    found: list[tuple[int, int, int, Parting]] = []
    sides = pair.base.side, pair.full.side
    for order, part in enumerate(pair.base.side.network.order):
        name = part.name
        if name not in record or not record[name].size or (only and only[0] != name):
            continue
        columns = slice(None) if only is None else slice(only[1], only[1] + 1)
        level = 1.0 if part.threshold is None else float(np.max(np.abs(part.threshold)))
        for number, state in enumerate(("arrived", "u", "reached", "v")):
            both = [
                run.states[name, state][side.lag[name] : side.lag[name] + until, columns]
                for run, side in zip(runs, sides, strict=True)
            ]
            n = min(map(len, both))
            size = np.maximum(np.abs(both[0][:n]), level)
            apart = np.abs(both[0][:n] - both[1][:n]) > TOLERATED * size
            at = np.argwhere(apart)
            if len(at):
                tick, place = (int(k) for k in at[0])
                where = int(record[name][columns][place])
                offset = _offset(sides[0], name, where) if number > 1 else 0.0
                values = [float(side[tick, place]) + offset for side in both]
                variable = PARTS[number]
                found.append((tick, order, number, Parting(tick, name, where, variable, *values)))
    return min(found)[3] if found else None
