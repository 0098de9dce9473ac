"""The float simulation that a chip is compared with.

Two timings. *instant*: a spike acts downstream within its tick, feedback at the next, as training
frameworks simulate. *chip*: every projection takes one tick, so that the result can be laid over
a chip's; currents that the host hands over act at once. Both update a neuron by its population's
rule (`mapping.updates`), in float64, and deliver by ascending source, so results never depend on
anything but the network and its input.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mapping.assemble import lags
from mapping.drive import Drive
from mapping.linear import Dense, Linear, sparse
from mapping.network import Network, Population
from mapping.updates import UPDATES, Fired, Neurons, State, neurons_of
from traces.jit import kernel

Array = NDArray[Any]
Timing = Literal["instant", "chip"]


@dataclass(frozen=True, kw_only=True, eq=False)
class FloatRun:
    """Result of one sample.

    Attributes
    ----------
    n_ticks : int
    spikes : mapping of population name to (ticks, neurons)
        int64, sorted by tick, then neuron; listed as often as a neuron fired in a tick.
    states : mapping of (population, variable) to float64 [n_ticks, n]
        ``v`` or ``i`` at the end of each tick, of what was asked and of non-spiking outputs.
    resting : mapping of population name to float64 [n]
        Ticks of rest that were left at the end, as `mapping.updates.State` counts them.
    """

    n_ticks: int
    spikes: Mapping[str, tuple[Array, Array]]
    states: Mapping[tuple[str, str], Array]
    resting: Mapping[str, Array]


class Weights(NamedTuple):
    """Synapses by source: a matrix [n_pre, n_post], or a list."""

    full: Array
    row: Array
    target: Array
    weight: Array

    def of(self, source: int) -> tuple[Array, Array]:
        """Targets of a source, and their weights."""
        if self.full.size:
            return np.arange(self.full.shape[1]), self.full[source]
        mine = slice(self.row[source], self.row[source + 1])
        return self.target[mine], self.weight[mine]


class _Way(NamedTuple):
    """One projection: ticks until a spike acts, and until a current of the host acts."""

    source: str
    target: str
    weights: Weights
    spike_ticks: int
    current_ticks: int
    current_gain: float


class Prepared(NamedTuple):
    """A network with everything that every sample needs; see `prepare`."""

    network: Network
    order: tuple[Population, ...]
    neurons: Mapping[str, Neurons]
    ways: Mapping[str, tuple[_Way, ...]]


@kernel
def deliver(sources: Array, times: Array, weights: Weights, into: Array) -> None:
    """Add the weights of each source, multiplied by how often it fired or by its value."""
    if weights.full.size:
        for k in range(sources.size):
            row = weights.full[sources[k]]
            for j in range(row.size):
                into[j] += times[k] * row[j]
        return
    for k in range(sources.size):
        for j in range(weights.row[sources[k]], weights.row[sources[k] + 1]):
            into[weights.target[j]] += times[k] * weights.weight[j]


def prepare(network: Network, *, timing: Timing, input_latency: int = 1) -> Prepared:
    """Unroll weights and constants once for many samples.

    Parameters
    ----------
    timing : {"instant", "chip"}
    input_latency : int
        Chip timing: ticks from an input spike to the first population.

    Raises
    ------
    ValueError
        If the timing is unknown or the latency negative.
    """
    if timing not in ("instant", "chip"):
        raise ValueError(f"timing {timing!r} is none of instant, chip")
    if input_latency < 0:
        raise ValueError(f"input_latency must not be negative, but is {input_latency}")
    first = {part.name: input_latency for part in network.inputs}
    feedback, recurrent = network.feedback, network.recurrent
    ways: dict[str, list[_Way]] = {part.name: [] for part in network.parts}
    for index, projection in enumerate(network.projections):
        source, delay = projection.source, network.delay_ticks(projection)
        if timing == "instant":
            late = 1 if index in feedback else delay
        elif index in recurrent:
            # A delay that the network states already is the tick that a way back takes.
            late = max(delay, 1) + projection.chip_ticks
        else:
            late = delay + first.get(source, 1) + projection.chip_ticks
        ways[source].append(
            _Way(
                source, projection.target, weights_by_source(projection.linear), late, delay,
                projection.current_gain,
            )
        )  # fmt: skip
    return Prepared(
        network=network,
        order=network.order,
        neurons={p.name: neurons_of(p, network.dt_s) for p in network.populations},
        ways={name: tuple(leaving) for name, leaving in ways.items()},
    )


def weights_by_source(linear: Linear) -> Weights:
    """Unroll a map, so that each source's weights follow each other."""
    none, whole = np.empty(0), np.empty(0, np.int64)
    if isinstance(linear, Dense):
        full = np.array(linear.weight.T, order="C")
        return Weights(full, whole, whole, none)
    listed = sparse(linear)
    # Copies, since compiled code takes read-only arrays for another type and compiles anew.
    return Weights(np.empty((0, 0)), listed.row.copy(), listed.target.copy(), listed.weight.copy())


def lag(
    network: Network,
    timing: Timing,
    direct_inputs: Iterable[str] = (),
    *,
    input_latency: int = 1,
) -> dict[str, int]:
    """Ticks by which each input and population trails the input.

    None in instant timing; in chip timing one for each projection on the longest way, where
    inputs that are handed over as currents (``direct_inputs``) reach the first population at
    once. Delays of the network itself count in neither.
    """
    if timing == "instant":
        return {part.name: 0 for part in network.parts}
    return lags(network, frozenset(direct_inputs), input_latency)


def simulate(
    prepared: Prepared,
    drive: Drive,
    *,
    n_ticks: int | None = None,
    record: Iterable[str] = (),
) -> FloatRun:
    """Run one sample: every ``i`` starts at 0, every ``v`` at ``v_start``.

    Parameters
    ----------
    n_ticks : int, optional
        Length of the run; after ``drive.n_ticks`` there is no input. The same by default.
    record : names
        Populations of which ``i`` and ``v`` are kept at every tick.

    Raises
    ------
    ValueError
        If the drive does not suit the network, the run ends before its input, or a population
        to record is not there.
    """
    network, wanted = prepared.network, frozenset(record)
    length = drive.n_ticks if n_ticks is None else n_ticks
    _check(network, drive, length, wanted)
    cells = {p.name: _Cells(p, prepared) for p in prepared.order}
    shown = {p.name for p in network.populations if p.name in network.outputs and not p.spiking}
    frames = {
        name: np.empty((2, length, cells[name].state.v.size)) for name in sorted(wanted | shown)
    }
    held = _held_currents(prepared, drive)
    for tick in range(length):
        if tick < drive.n_ticks:
            _feed(prepared, drive, held, tick, cells)
        for name, cell in cells.items():
            fired = cell.advance(tick)
            if name in frames:
                frames[name][:, tick] = cell.state.i, cell.state.v
            for way in prepared.ways[name] if fired.who.size else ():
                arriving = cells[way.target].arriving(tick + way.spike_ticks)
                deliver(fired.who, fired.times, way.weights, arriving)
    return FloatRun(
        n_ticks=length,
        spikes={p.name: cells[p.name].spikes() for p in network.populations if p.spiking},
        states={
            (name, variable): frames[name][k]
            for name in frames
            for k, variable in enumerate(("i", "v"))
            if variable == "v" or name in wanted
        },
        resting={name: cell.state.resting for name, cell in cells.items()},
    )


def _check(network: Network, drive: Drive, n_ticks: int, record: frozenset[str]) -> None:
    drive.check(network)
    if n_ticks < drive.n_ticks:
        raise ValueError(
            f"the run of {n_ticks} ticks ends before its input of {drive.n_ticks}; shorten the "
            f"input or run on"
        )
    names = [p.name for p in network.populations]
    unknown = sorted(record - set(names))
    if unknown:
        raise ValueError(f"no population {unknown} to record; there are {names}")


def _feed(
    prepared: Prepared,
    drive: Drive,
    held: Mapping[str, list[Array]],
    tick: int,
    cells: Mapping[str, "_Cells"],
) -> None:
    """Send one tick's input on its ways."""
    for name, counts in drive.spikes.items():
        for way in prepared.ways[name]:
            _add(counts[tick], way, cells[way.target].arriving(tick + way.spike_ticks))
    for name, values in drive.currents.items():
        for k, way in enumerate(prepared.ways[name]):
            arriving = cells[way.target].arriving(tick + way.current_ticks)
            arriving += held[name][k] if name in held else _mapped(values[tick], way, arriving.size)


def _add(values: Array, way: _Way, into: Array) -> None:
    sources = np.flatnonzero(values)
    deliver(sources, values[sources].astype(np.float64), way.weights, into)


def _mapped(values: Array, way: _Way, n_post: int) -> Array:
    into = np.zeros(n_post)
    _add(values * way.current_gain, way, into)
    return into


def _held_currents(prepared: Prepared, drive: Drive) -> dict[str, list[Array]]:
    """Map constant analog input once, for each way that leaves it."""
    return {
        name: [
            _mapped(values, w, prepared.neurons[w.target].leak.size) for w in prepared.ways[name]
        ]
        for name, values in drive.currents.items()
        if values.ndim == 1
    }


class _Cells:
    """State of one population during a run."""

    def __init__(self, population: Population, prepared: Prepared) -> None:
        n = population.size
        start = np.array(population.v_start)
        self.state = State(np.zeros(n), start, np.zeros(n, np.bool_), np.zeros(n))
        self._update = UPDATES[population.rule]
        self._neurons = prepared.neurons[population.name]
        ways = [way for leaving in prepared.ways.values() for way in leaving]
        longest = max((w.spike_ticks for w in ways if w.target == population.name), default=0)
        # A ring: input for tick t waits in row t modulo its length and is cleared when used.
        # A host's currents are never later than spikes on the same way.
        self._arriving = np.zeros((longest + 1, n))
        self._fired = Fired(np.empty(n, np.int64), np.empty(n))
        self._ticks: list[Array] = []
        self._who: list[Array] = []

    def arriving(self, tick: int) -> Array:
        """Input that acts at this tick."""
        row: Array = self._arriving[tick % len(self._arriving)]
        return row

    def advance(self, tick: int) -> Fired:
        """Update all neurons; return who fired, and how often."""
        n_fired = self._update(self._neurons, self.arriving(tick), self.state, self._fired)
        fired = Fired(*(column[:n_fired].copy() for column in self._fired))
        if n_fired:
            who = np.repeat(fired.who, fired.times.astype(np.int64))
            self._ticks.append(np.full(who.size, tick, np.int64))
            self._who.append(who)
        return fired

    def spikes(self) -> tuple[Array, Array]:
        """All spikes so far."""
        if not self._ticks:
            return np.empty(0, np.int64), np.empty(0, np.int64)
        return np.concatenate(self._ticks), np.concatenate(self._who)
