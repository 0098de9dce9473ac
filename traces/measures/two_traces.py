"""Measure two traces against each other: neuron by neuron, per population and per layer."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from traces.align import Aligned
from traces.correlation import Moments
from traces.measures.alarm import Limits, alarms
from traces.measures.batches import Batch, batches
from traces.measures.decays import van_rossum
from traces.measures.edits import victor_purpura
from traces.measures.intervals import isi_distance
from traces.measures.measured import Measured, Measures, Summary
from traces.measures.neighbours import spike_distance
from traces.measures.pairs import THREADS, Measure, one_by_one
from traces.measures.rates import earth_mover, rate_correlation
from traces.measures.tiling import spike_time_tiling
from traces.trace import Trace

Array = NDArray[Any]


@dataclass(frozen=True, kw_only=True)
class Parameters:
    """Time scales of the measures, in ticks.

    Attributes
    ----------
    cost_per_tick : float
        Of `victor_purpura`: with 0.1, spikes less than 20 ticks apart are shifted.
    tau_ticks : float
        Of `van_rossum`.
    dt_ticks : float
        Of `spike_time_tiling`.
    bin_ticks : int
        Of `rate_correlation`.
    """

    cost_per_tick: float = 0.1
    tau_ticks: float = 10.0
    dt_ticks: float = 5.0
    bin_ticks: int = 10


OF_TRAINS: Mapping[str, Callable[[Parameters], Measure]] = {
    "victor_purpura": lambda given: victor_purpura(given.cost_per_tick),
    "van_rossum": lambda given: van_rossum(given.tau_ticks),
    "isi_distance": lambda given: isi_distance,
    "spike_distance": lambda given: spike_distance,
    "spike_time_tiling": lambda given: spike_time_tiling(given.dt_ticks),
    "rate_correlation": lambda given: rate_correlation(given.bin_ticks),
}
"""Measures of two trains: of each neuron in each sample."""

OF_RATES: Mapping[str, Callable[[Array, Array], float | None]] = {
    "earth_mover": earth_mover,
    "neuron_correlation": lambda a, b: _correlation(a, b),
}
"""Measures of the neurons' rates in spikes per tick, float64 [n] in a and in b."""

MEASURES = (*OF_TRAINS, *OF_RATES)
ALIKE = frozenset({"spike_time_tiling", "rate_correlation"})
"""Those that are larger the more alike the trains are; the others are distances."""


def _correlation(a: Array, b: Array) -> float | None:
    moments = Moments()
    moments.add(a, b)
    return moments.correlation


def measure(
    a: Trace,
    b: Trace,
    *,
    which: Collection[str] | None = None,
    parameters: Parameters | None = None,
    limits: Limits | None = None,
    threads: int = THREADS,
) -> Measures:
    """Measure how far the spikes of two traces are apart.

    Each population is laid over the other's without their lags, and each neuron's train in each
    sample is measured against the same one's in the other trace. Trains that are silent in both count as
    equal. Memory is bounded by `traces.align.WINDOW_EVENTS` spikes of each trace and some
    numbers per neuron.

    Parameters
    ----------
    a, b : Trace
        Of networks with populations in common. What only one has is told in the notes.
    which : collection of str, optional
        Some of `MEASURES`; all if not given. With none of them there are rates and alarms.
    parameters : Parameters, optional
    limits : Limits, optional
        Of the alarms.
    threads : int

    Raises
    ------
    ValueError
        If there is no such measure, a parameter is out of range, the ticks of the two last
        differently long, or nothing of the two can be measured; says why.
    TraceFormatError
        If a file is damaged.
    """
    wanted = _wanted(which)
    given = parameters or Parameters()
    of_trains = [OF_TRAINS[name](given) for name in wanted if name in OF_TRAINS]
    of_rates = [name for name in wanted if name in OF_RATES]
    if a.dt_s != b.dt_s:
        raise ValueError(
            f"{a.path} has ticks of {a.dt_s:g} s and {b.path} of {b.dt_s:g} s, so their spike times "
            f"cannot be measured against each other; run both with one dt_s"
        )
    pairs, notes = _comparable(a, b)
    if not pairs:
        raise ValueError(f"{a.path} and {b.path} cannot be measured: " + "; ".join(notes))
    tallies = [_tally(each, of_trains, threads) for each in pairs]
    notes += [
        f"population {t.names[0]!r}: {t.n_left_out:,} of {t.n_trains:,} trains have payloads that "
        "stand for too many spikes, so that only their rates were measured"
        for t in tallies if t.n_left_out
    ]  # fmt: skip
    return Measures(
        dt_s=a.dt_s,
        parameters={each.name: each.parameters for each in of_trains if each.parameters},
        populations=tuple(_measured(t.names[0], [t], of_rates) for t in tallies),
        layers=tuple(
            _measured(" + ".join(name for t in layer for name in t.names), layer, of_rates)
            for layer in _layers(tallies)
        ),
        alarms=(*alarms(a, limits, name="a"), *alarms(b, limits, name="b")),
        notes=tuple(notes),
    )


def _wanted(which: Collection[str] | None) -> list[str]:
    asked = MEASURES if which is None else which
    unknown = sorted(set(asked) - set(MEASURES))
    if unknown:
        raise ValueError(
            f"there is no measure {', '.join(unknown)}; there are {', '.join(MEASURES)}"
        )
    return [name for name in MEASURES if name in asked]


def _comparable(a: Trace, b: Trace) -> tuple[list[Aligned], list[str]]:
    """Populations that can be measured, and what cannot be or not as a whole."""
    in_a, in_b = ({p.name: p for p in trace.populations} for trace in (a, b))
    notes, found = [], []
    if a.samples != b.samples:
        notes.append(f"samples: {a.samples} and {b.samples}; those that both have are measured")
    for name in [*in_a, *(name for name in in_b if name not in in_a)]:
        if name not in in_a or name not in in_b:
            notes.append(f"population {name!r} is only in {(a if name in in_a else b).path}")
            continue
        if in_a[name].shape != in_b[name].shape:
            notes.append(f"population {name!r} is {in_a[name].shape} and {in_b[name].shape}")
            continue
        if not in_a[name].spiking and not a.n_spikes(name) + b.n_spikes(name):
            notes.append(f"population {name!r} does not spike")
            continue
        aligned = Aligned(a, b, in_a[name], in_b[name])
        if aligned.length < 1 or aligned.n_ticks < 1:
            notes.append(f"population {name!r} has no tick that both traces have behind its lags")
            continue
        found.append(aligned)
    return found, notes


@dataclass(kw_only=True, eq=False)
class _Tally:
    """What adds up over the batches of a population; arrays of measures are [n_neurons]."""

    names: tuple[str, ...]
    depth: int
    n_ticks: int
    n_trains: int = 0
    n_left_out: int = 0
    counts: Array
    sums: dict[str, Array]
    defined: dict[str, Array]
    worst: dict[str, Summary]


def _tally(aligned: Aligned, of_trains: Sequence[Measure], threads: int) -> _Tally:
    tally = _Tally(
        names=(aligned.in_a.name,),
        depth=max(population.lag for _, population in aligned.sides),
        n_ticks=aligned.n_ticks,
        counts=np.zeros((2, aligned.size), np.int64),
        sums={each.name: np.zeros(aligned.size) for each in of_trains},
        defined={each.name: np.zeros(aligned.size, np.int64) for each in of_trains},
        worst={},
    )
    for batch in batches(aligned):
        tally.n_trains += batch.neuron.size
        tally.n_left_out += int(np.count_nonzero(batch.left_out))
        for side, counts in zip(tally.counts, batch.counts, strict=True):
            np.add.at(side, batch.neuron, counts)
        for each in of_trains:
            values = one_by_one(each, batch.a, batch.b, threads=threads)
            values[batch.left_out] = np.nan
            _add(tally, each.name, batch, values)
    return tally


def _add(tally: _Tally, name: str, batch: Batch, values: Array) -> None:
    there = np.flatnonzero(~np.isnan(values))
    if not there.size:
        return
    np.add.at(tally.sums[name], batch.neuron[there], values[there])
    np.add.at(tally.defined[name], batch.neuron[there], 1)
    sign = -1 if name in ALIKE else 1
    at = there[np.argmax(sign * values[there])]
    value = float(values[at])
    before = tally.worst.get(name)
    if before is None or before.worst is None or sign * value > sign * before.worst:
        tally.worst[name] = Summary(
            None, 0, value, tally.names[0], int(batch.neuron[at]), int(batch.sample[at])
        )


def _layers(tallies: Sequence[_Tally]) -> Iterator[list[_Tally]]:
    """Group populations of one depth, nearest to the input first."""
    for depth in sorted({tally.depth for tally in tallies}):
        yield [tally for tally in tallies if tally.depth == depth]


def _measured(name: str, tallies: Sequence[_Tally], of_rates: Sequence[str]) -> Measured:
    counts = np.concatenate([tally.counts for tally in tallies], axis=1)
    # Populations of one depth may have other lags, and so ticks, in the other trace.
    ticks = np.concatenate([np.full(t.counts.shape[1], t.n_ticks) for t in tallies])
    rates = counts / ticks
    n = counts.shape[1]
    values, neurons = {}, {}
    for each in tallies[0].sums:
        total = np.concatenate([tally.sums[each] for tally in tallies])
        times = np.concatenate([tally.defined[each] for tally in tallies])
        neurons[each] = np.divide(total, times, out=np.full(n, np.nan), where=times > 0)
        values[each] = _summary(each, total, times, tallies)
    for each in of_rates:
        value = OF_RATES[each](rates[0], rates[1])
        values[each] = Summary(None if value is None or np.isnan(value) else value, n)
    return Measured(
        name=name,
        depth=tallies[0].depth,
        n_neurons=n,
        n_trains=sum(tally.n_trains for tally in tallies),
        n_ticks=min(tally.n_ticks for tally in tallies),
        n_left_out=sum(tally.n_left_out for tally in tallies),
        n_spikes_a=int(counts[0].sum()),
        n_spikes_b=int(counts[1].sum()),
        rate_a=float(rates[0].mean()) if n else 0.0,
        rate_b=float(rates[1].mean()) if n else 0.0,
        values=values,
        neurons=neurons,
    )


def _summary(name: str, total: Array, times: Array, tallies: Sequence[_Tally]) -> Summary:
    n = int(times.sum())
    if not n:
        return Summary(None, 0)
    sign = -1.0 if name in ALIKE else 1.0
    worst = max(
        (tally.worst[name] for tally in tallies if name in tally.worst),
        key=lambda found: sign * (found.worst or 0.0),
    )
    return worst._replace(mean=float(total.sum()) / n, n=n)
