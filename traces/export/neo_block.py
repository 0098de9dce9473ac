"""A Neo block: a segment for each sample, a spike train for each neuron, a group for each population."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from traces.errors import ExportError
from traces.export.recorded import frames
from traces.export.selection import Selection, Source
from traces.extras import extra

Array = NDArray[Any]

MOST_TRAINS = {".nix": 20_000, ".pkl": 1_000_000}
"""NIX takes 11 ms and 19 kB a train, a pickle 0.2 ms and 0.4 kB (Neo 0.14, nixio 1.5)."""
MOST_SPIKES = 50_000_000
"""Neo holds all of them, 8 bytes and more each."""


class _Span(NamedTuple):
    """The ticks of one sample that are exported."""

    sample: int
    start: int
    stop: int


def write_neo(selection: Selection, path: Path) -> tuple[str, ...]:
    """Write a block as NIX (``.nix``) or as Neo's own pickle (``.pkl``).

    Times are seconds from the start of the sample. Trains carry ``population``, ``neuron`` and
    ``sample`` as annotations, and what spikes are worth other than 1 as the array annotation
    ``payload``; states are signals.

    Raises
    ------
    ExportError
        If Neo is not installed, or would have to hold too much.
    """
    neo, pq = extra("neo", "neo"), extra("quantities", "neo")
    suffix = path.suffix.lower()
    if suffix == ".nix":
        extra("nixio", "neo")  # Neo itself says so only when it is half done
    _check_size(selection, suffix)
    trace = selection.trace
    block = neo.Block(
        name=trace.path.name, dt_s=trace.dt_s, kind=trace.kind,
        trace_sha256=str(trace.content_sha256),
    )  # fmt: skip
    groups = {source.name: neo.Group(name=source.name) for source in selection.sources}
    block.groups.extend(groups.values())
    sizes = {source.name: selection.counts(source).size for source in selection.sources}
    for sample in selection.samples:
        start, stop = sample * trace.ticks, (sample + 1) * trace.ticks
        span = _Span(sample, max(start, selection.start), min(stop, selection.stop))
        segment = neo.Segment(name=f"sample {sample}", index=sample)
        block.segments.append(segment)
        for source in selection.sources:
            trains = _trains(neo, pq, selection, source, span, sizes[source.name])
            segment.spiketrains.extend(trains)
            groups[source.name].spiketrains.extend(trains)
        for population, variable in selection.states():
            signals = _signals(neo, pq, selection, population, variable, span)
            for signal in signals:
                regular = isinstance(signal, neo.AnalogSignal)
                kind = "analogsignals" if regular else "irregularlysampledsignals"
                getattr(segment, kind).append(signal)
    block.check_relationships()
    _save(neo, block, path, suffix)
    return ()


def _check_size(selection: Selection, suffix: str) -> None:
    """Refuse what would take hours or more memory than there may be."""
    n_neurons = sum(
        1 if source.shape is None else selection.trace.population(source.name).size
        for source in selection.sources
    )
    n_trains = n_neurons * len(selection.samples)
    n_spikes = sum(
        selection.n_spikes(source, selection.start, selection.stop) for source in selection.sources
    )
    for n, most, what in (
        (n_trains, MOST_TRAINS[suffix], "spike trains (neurons × samples)"),
        (n_spikes, MOST_SPIKES, "spikes, all of which Neo holds in memory"),
    ):
        if n > most:
            instead = ", a .pkl file (up to 1,000,000)" if suffix == ".nix" else ""
            raise ExportError(
                f"{selection.trace.path}: {n:,} {what}, but at most {most:,} go into {suffix}; "
                f"choose fewer with --population, --samples or --ticks{instead}"
            )


def _trains(
    neo: Any, pq: Any, selection: Selection, source: Source, span: _Span, size: int
) -> list[Any]:
    """Make a train of each neuron, also of those that were silent."""
    trace = selection.trace
    at, neurons, payload = selection.spikes(source, span.start, span.stop)
    order = np.argsort(neurons, kind="stable")
    ends = np.searchsorted(neurons[order], np.arange(size + 1))
    first = span.sample * trace.ticks
    limits = {
        "t_start": (span.start - first) * trace.dt_s * pq.s,
        "t_stop": (span.stop - first) * trace.dt_s * pq.s,
    }
    trains = []
    for neuron in range(size):
        mine = order[ends[neuron] : ends[neuron + 1]]
        worth = {} if payload is None else {"payload": payload[mine]}
        trains.append(
            neo.SpikeTrain(
                (at[mine] - first) * trace.dt_s, units=pq.s, name=f"{source.name}[{neuron}]",
                population=source.name, neuron=neuron, sample=span.sample,
                array_annotations=worth, **limits,
            )
        )  # fmt: skip
    return trains


def _signals(
    neo: Any, pq: Any, selection: Selection, population: str, variable: str, span: _Span
) -> list[Any]:
    """Make a signal of the states, if there are any; regular if its frames are."""
    trace = selection.trace
    found = frames(selection, population, variable, span.start, span.stop)
    if not found.ticks.size:
        return []
    times = (found.ticks - span.sample * trace.ticks) * trace.dt_s
    about = {
        "units": pq.dimensionless, "name": f"{population} {variable}", "population": population,
        "variable": variable, "array_annotations": {"neuron": found.neurons},
    }  # fmt: skip
    steps = np.unique(np.diff(found.ticks))
    if steps.size > 1:
        return [neo.IrregularlySampledSignal(times * pq.s, found.values, **about)]
    period = (int(steps[0]) if steps.size else 1) * trace.dt_s * pq.s
    return [
        neo.AnalogSignal(
            found.values, t_start=times[0] * pq.s, sampling_period=period, **about
        )
    ]  # fmt: skip


def _save(neo: Any, block: Any, path: Path, suffix: str) -> None:
    if suffix == ".pkl":
        neo.PickleIO(str(path)).write_block(block)
        return
    file = neo.NixIO(str(path), mode="ow")
    try:
        file.write_block(block)
    finally:
        file.close()
