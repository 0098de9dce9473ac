"""The float simulation that a chip is compared with.

Two timings. *instant*: a spike acts downstream within its tick, feedback at the next, as training
frameworks simulate. *chip*: every projection takes one tick, so that the result can be laid over
a chip's; currents that the host hands over act at once. Both update a neuron as
`mapping.network` says, in float64, and deliver by ascending source, so results never depend on
anything but the network and its input.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mapping.drive import Drive
from mapping.linear import Dense, apply, sparse
from mapping.network import Network, Population, Projection
from traces.jit import kernel

Array = NDArray[Any]
Timing = Literal["instant", "chip"]

_RESETS = {"zero": 0, "subtract": 1, "subtract-once": 2}


@dataclass(frozen=True, kw_only=True, eq=False)
class FloatRun:
    """Result of one sample.

    Attributes
    ----------
    n_ticks : int
    spikes : mapping of population name to (ticks, neurons)
        int64, sorted by tick, then neuron.
    states : mapping of (population, variable) to float64 [n_ticks, n]
        ``v`` or ``i`` at the end of each tick, of what was asked and of non-spiking outputs.
    """

    n_ticks: int
    spikes: Mapping[str, tuple[Array, Array]]
    states: Mapping[tuple[str, str], Array]


class _Weights(NamedTuple):
    """Synapses by source: a matrix [n_pre, n_post], or a list."""

    full: Array
    row: Array
    target: Array
    weight: Array


class _Way(NamedTuple):
    projection: Projection
    weights: _Weights
    ticks: int


class Prepared(NamedTuple):
    """A network with everything that every sample needs; see `prepare`."""

    network: Network
    timing: Timing
    input_latency: int
    ways: tuple[_Way, ...]


@kernel
def _deliver(fired: Array, times: Array, weights: _Weights, into: Array) -> None:
    if weights.full.size:
        for k in range(fired.size):
            row = weights.full[fired[k]]
            for j in range(row.size):
                into[j] += times[k] * row[j]
        return
    for k in range(fired.size):
        for j in range(weights.row[fired[k]], weights.row[fired[k] + 1]):
            into[weights.target[j]] += times[k] * weights.weight[j]


@kernel
def _update(
    fired: Array,
    i: Array,
    v: Array,
    above: Array,
    arrived: Array,
    keep_i: Array,
    leak: Array,
    v_leak: Array,
    bias: Array,
    threshold: Array,
    v_reset: Array,
    reset: int,
    at_threshold: bool,
) -> int:
    """Advance one population by one tick; list who fired."""
    n_fired = 0
    for n in range(v.size):
        i[n] = keep_i[n] * i[n] + (arrived[n] + bias[n])
        v[n] = v[n] + leak[n] * (v_leak[n] - v[n]) + i[n]
        arrived[n] = 0.0
        if not threshold.size:
            continue
        height = threshold[n] - v_reset[n]
        compared = v[n] - height if reset == 2 and above[n] else v[n]
        if compared > threshold[n] or (at_threshold and compared == threshold[n]):
            fired[n_fired] = n
            n_fired += 1
            v[n] = v_reset[n] if reset == 0 else v[n] - height
        above[n] = v[n] > threshold[n] or (at_threshold and v[n] == threshold[n])
    return n_fired


def prepare(network: Network, *, timing: Timing, input_latency: int = 1) -> Prepared:
    """Unroll the weights once for many samples.

    Parameters
    ----------
    input_latency : int
        Chip timing: ticks from an input spike to the first population.
    """
    feedback = network.feedback
    sources = {part.name for part in network.inputs}
    ways = []
    for index, projection in enumerate(network.projections):
        ticks = network.delay_ticks(projection)
        if timing == "chip":
            ticks += input_latency if projection.source in sources else 1
        elif index in feedback:
            ticks = max(ticks, 1)
        ways.append(_Way(projection, _weights(projection), ticks))
    return Prepared(network, timing, input_latency, tuple(ways))


def _weights(projection: Projection) -> _Weights:
    none, whole = np.empty(0), np.empty(0, np.int64)
    if isinstance(projection.linear, Dense):
        full = np.ascontiguousarray(projection.linear.weight.T)
        return _Weights(full, whole, whole, none)
    listed = sparse(projection.linear)
    return _Weights(np.empty((0, 0)), listed.row.copy(), listed.target.copy(), listed.weight.copy())


def simulate(
    prepared: Prepared,
    drive: Drive,
    *,
    n_ticks: int | None = None,
    record: tuple[str, ...] = (),
) -> FloatRun:
    """Run one sample from rest.

    Parameters
    ----------
    n_ticks : int, optional
        Length of the run; after ``drive.n_ticks`` there is no input. The same by default.
    record : tuple of str
        Populations of which ``i`` and ``v`` are kept at every tick.

    Raises
    ------
    ValueError
        If the drive does not suit the network.
    """
    network = prepared.network
    drive.check(network)
    length = drive.n_ticks if n_ticks is None else n_ticks
    cells = {p.name: _Cells(p, network, prepared.ways) for p in network.order}
    recorded = {
        p.name
        for p in network.populations
        if p.name in record or (p.name in network.outputs and not p.spiking)
    }
    frames = {name: np.empty((2, length, network.population(name).size)) for name in recorded}
    by_source: dict[str, list[_Way]] = {}
    for way in prepared.ways:
        by_source.setdefault(way.projection.source, []).append(way)
    held = dict(_held_currents(prepared, drive))
    for tick in range(length):
        for part in network.inputs:
            for way in by_source.get(part.name, ()):
                if part.name in drive.spikes:
                    if tick < drive.n_ticks:
                        counts = drive.spikes[part.name][tick]
                        channels = np.flatnonzero(counts)
                        target = cells[way.projection.target]
                        target.receive(way, tick, channels, counts[channels].astype(np.float64))
                else:
                    _hand_over(way, held, drive, tick, cells[way.projection.target], network)
        for name, cell in cells.items():
            fired = cell.advance(tick)
            if name in frames:
                frames[name][:, tick] = cell.i, cell.v
            for way in by_source.get(name, ()):
                cells[way.projection.target].receive(way, tick, fired, np.ones(fired.size))
    return FloatRun(
        n_ticks=length,
        spikes={p.name: cells[p.name].spikes() for p in network.populations if p.spiking},
        states={
            (name, variable): frames[name][k]
            for name in sorted(recorded)
            for k, variable in enumerate(("i", "v"))
            if variable == "v" or name in record
        },
    )


def _held_currents(prepared: Prepared, drive: Drive) -> Iterator[tuple[int, Array]]:
    """Map constant analog input once; the key is the way's identity."""
    for way in prepared.ways:
        values = drive.currents.get(way.projection.source)
        if values is not None and values.ndim == 1:
            yield id(way), apply(way.projection.linear, values.astype(np.float64))


def _hand_over(
    way: _Way, held: dict[int, Array], drive: Drive, tick: int, target: "_Cells", network: Network
) -> None:
    """Add analog input; the host hands it over without the latency of a spike."""
    at = tick - network.delay_ticks(way.projection)
    if not 0 <= at < drive.n_ticks:
        return
    arrived = held.get(id(way))
    if arrived is None:
        values = drive.currents[way.projection.source][at]
        arrived = apply(way.projection.linear, values.astype(np.float64))
    target.arriving(tick)[:] += arrived


class _Cells:
    """State of one population during a run."""

    def __init__(self, population: Population, network: Network, ways: tuple[_Way, ...]) -> None:
        n = population.size
        tau_syn = np.asarray(population.tau_syn_s)
        self.i, self.v = np.zeros(n), np.zeros(n)
        self._above = np.zeros(n, np.bool_)
        filtered = tau_syn > 0
        keep_i = np.where(filtered, 1 - network.dt_s / np.where(filtered, tau_syn, 1.0), 0.0)
        self._constants: tuple[Any, ...] = (
            keep_i,
            network.dt_s / np.asarray(population.tau_mem_s),
            population.v_leak,
            population.bias,
            np.empty(0) if population.threshold is None else population.threshold,
            population.v_reset,
            _RESETS[population.reset],
            population.compare == ">=",
        )
        longest = max((w.ticks for w in ways if w.projection.target == population.name), default=0)
        self._arriving = np.zeros((longest + 1, n))
        self._fired = np.empty(n, np.int64)
        self._ticks: list[Array] = []
        self._neurons: list[Array] = []

    def arriving(self, tick: int) -> Array:
        """Input that acts at this tick."""
        now: Array = self._arriving[tick % len(self._arriving)]
        return now

    def receive(self, way: _Way, tick: int, fired: Array, times: Array) -> None:
        """Take spikes of one projection's source."""
        if fired.size:
            _deliver(fired, times, way.weights, self.arriving(tick + way.ticks))

    def advance(self, tick: int) -> Array:
        """Update all neurons; return who fired."""
        n_fired = _update(
            self._fired, self.i, self.v, self._above, self.arriving(tick), *self._constants
        )
        fired = self._fired[:n_fired].copy()
        if n_fired:
            self._ticks.append(np.full(n_fired, tick, np.int64))
            self._neurons.append(fired)
        return fired

    def spikes(self) -> tuple[Array, Array]:
        """All spikes so far."""
        if not self._ticks:
            return np.empty(0, np.int64), np.empty(0, np.int64)
        return np.concatenate(self._ticks), np.concatenate(self._neurons)
