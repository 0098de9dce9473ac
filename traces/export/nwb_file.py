"""Neurodata Without Borders (Rübel et al., eLife 11, 2022): a unit for each neuron, a trial for each sample."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from traces.errors import ExportError
from traces.export.recorded import frame_pieces
from traces.export.selection import MOST_EVENTS, Selection, Source
from traces.export.whole import MARGIN_BYTES, check_room
from traces.extras import extra

Array = NDArray[Any]

SPIKES_OF_A_GROUP = 16 * MOST_EVENTS
"""Spikes that are held to put them in order by neuron; each group of neurons reads the trace once."""
MOST_UNITS = 2_000_000
"""Rows of the table of units, which pynwb holds."""
CHUNK_ROWS = 1 << 16


def write_nwb(selection: Selection, path: Path) -> tuple[str, ...]:
    """Write units (with ``population`` and ``neuron``), trials, and states as acquired time series.

    Times are seconds from the start of the trace: sample k begins at k × ticks × dt. What spikes
    are worth other than 1 is the ragged column ``payload``. NWB wants to know when a session
    began, which a simulation has not: it is 1970.

    Raises
    ------
    ExportError
        If pynwb is not installed, or there are too many neurons for it.
    """
    nwb = extra("pynwb", "nwb")
    trace = selection.trace
    counts = {source.name: selection.counts(source) for source in selection.sources}
    n_units = sum(count.size for count in counts.values())
    if n_units > MOST_UNITS:
        raise ExportError(
            f"{trace.path}: {n_units:,} neurons, but the table of units, which pynwb holds in "
            f"memory, takes at most {MOST_UNITS:,}; choose fewer with --population"
        )
    file = nwb.NWBFile(
        session_description=f"spikefab trace {trace.path.name} of kind {trace.kind}, "
        f"{trace.samples} samples of {trace.ticks} ticks of {trace.dt_s:g} s",
        identifier=str(trace.content_sha256 or trace.path.name),
        session_start_time=datetime(1970, 1, 1, tzinfo=UTC),
        source_script=str(trace.provenance.get("command", "spikefab")),
        source_script_file_name="spikefab",
    )
    _add_trials(file, selection)
    file.units = _units(nwb, selection, path, counts)
    for population, variable in selection.states():
        file.add_acquisition(_series(nwb, selection, path, population, variable))
    with nwb.NWBHDF5IO(str(path), "w") as opened:
        opened.write(file)
    return ()


def _add_trials(file: Any, selection: Selection) -> None:
    per_sample, dt_s = selection.trace.ticks, selection.trace.dt_s
    file.add_trial_column(name="sample", description="number of the sample")
    for sample in selection.samples:
        start = max(sample * per_sample, selection.start)
        stop = min((sample + 1) * per_sample, selection.stop)
        file.add_trial(start_time=start * dt_s, stop_time=stop * dt_s, sample=sample)


def _units(nwb: Any, selection: Selection, path: Path, counts: dict[str, Array]) -> Any:
    """Describe the table; its spikes come when it is written."""
    common = extra("hdmf.common", "nwb")
    names = np.repeat([s.name for s in selection.sources], [counts[s.name].size for s in selection.sources])  # fmt: skip
    numbers = [np.arange(counts[source.name].size) for source in selection.sources]
    ends = np.cumsum(np.concatenate([counts[source.name] for source in selection.sources]))
    neurons = np.concatenate(numbers)

    def by_neuron(column: Callable[[Array, Array], Array], dtype: type) -> Any:
        def batches() -> Iterator[Array]:
            for source in selection.sources:
                yield from _by_neuron(selection, source, counts[source.name], column, dtype)

        return _streamed(batches(), path, (int(ends[-1]) if ends.size else 0,), dtype)

    dt_s = selection.trace.dt_s
    columns = [
        common.VectorData(name="population", description="whose neuron it is", data=names.tolist()),
        common.VectorData(name="neuron", description="its number there", data=neurons),
    ]
    ragged = [("spike_times", "seconds", by_neuron(lambda at, worth: at * dt_s, np.float64))]
    if any(source.payload for source in selection.sources):
        worth = by_neuron(lambda at, worth: worth, np.int32)
        ragged.append(("payload", "what each spike counts for", worth))
    # All are observed all the time; Neo's reader asks for it.
    span = np.array([selection.start, selection.stop]) * dt_s
    observed = common.VectorData(
        name="obs_intervals", description="from when to when the trace has it",
        data=np.tile(span, (neurons.size, 1)),
    )  # fmt: skip
    whole = common.VectorIndex(
        name="obs_intervals_index", target=observed, data=np.arange(1, neurons.size + 1)
    )
    columns += [whole, observed]
    for name, about, data in ragged:
        column = common.VectorData(name=name, description=about, data=data)
        # The index first: hdmf forgets a streamed column before it meets the index behind it.
        columns += [common.VectorIndex(name=f"{name}_index", target=column, data=ends), column]
    return nwb.misc.Units(
        name="units", description="neurons and input channels", id=np.arange(neurons.size),
        resolution=dt_s, columns=columns, colnames=["population", "neuron", "obs_intervals", *(name for name, _, _ in ragged)],
    )  # fmt: skip


def _by_neuron(
    selection: Selection,
    source: Source,
    counts: Array,
    column: Callable[[Array, Array], Array],
    dtype: type,
) -> Iterator[Array]:
    """Give a column of spikes by neuron, then time, though the trace has them by time."""
    before = np.concatenate([[0], np.cumsum(counts)])
    first = 0
    while first < counts.size:
        last = int(np.searchsorted(before, before[first] + SPIKES_OF_A_GROUP, side="right")) - 1
        last = min(max(last, first + 1), counts.size)
        n = int(before[last] - before[first])
        who, row = np.empty(n, np.int32), 0
        value: Array = np.empty(n, dtype)
        for ticks, neurons, payload in selection.pieces(source):
            mine = (neurons >= first) & (neurons < last)
            worth = np.ones_like(ticks) if payload is None else payload
            stop = row + int(np.count_nonzero(mine))
            who[row:stop] = neurons[mine] - first
            value[row:stop] = column(ticks[mine], worth[mine])
            row = stop
        if n:
            yield value[np.argsort(who, kind="stable")]
        first = last


def _series(nwb: Any, selection: Selection, path: Path, population: str, variable: str) -> Any:
    """Describe the states of a population; they come when they are written."""
    dt_s = selection.trace.dt_s
    ticks, neurons = [], np.empty(0, np.int64)
    for piece in frame_pieces(selection, population, variable):
        ticks.append(piece.ticks)
        neurons = piece.neurons
    at = np.concatenate(ticks) if ticks else np.empty(0, np.int64)
    steps = np.unique(np.diff(at))
    if steps.size > 1:
        when: dict[str, Any] = {"timestamps": at * dt_s}
    else:
        step = int(steps[0]) if steps.size else 1
        when = {"starting_time": float(at[0]) * dt_s if at.size else 0.0, "rate": 1 / (step * dt_s)}
    values = (piece.values for piece in frame_pieces(selection, population, variable))
    return nwb.TimeSeries(
        name=f"{population}_{variable}", unit="membrane units", continuity="step",
        description=f"{variable} of {population}, at the end of ticks",
        comments=f"columns are neurons {neurons.tolist()}" if neurons.size <= 1000 else "",
        data=_streamed(values, path, (at.size, neurons.size), np.float64), **when,
    )  # fmt: skip


def _streamed(batches: Iterator[Array], path: Path, shape: tuple[int, ...], dtype: type) -> Any:
    """Hand batches of rows to HDF5 one after the other, with a look at the disk before each."""
    data_utils = extra("hdmf.data_utils", "nwb")
    width = int(np.prod(shape[1:], dtype=np.int64)) * np.dtype(dtype).itemsize

    class Rows(data_utils.AbstractDataChunkIterator):  # type: ignore[name-defined,misc]
        """What the library wants to be subclassed."""

        dtype = np.dtype(np.float64)
        maxshape = (None, *shape[1:])

        def __init__(self) -> None:
            self.dtype = np.dtype(dtype)
            self._row = 0

        def __len__(self) -> int:
            return shape[0]

        def __iter__(self) -> "Rows":
            return self

        def __next__(self) -> Any:
            rows = next(batches)
            check_room(path, rows.shape[0] * width + CHUNK_ROWS * 8 + MARGIN_BYTES)
            first, self._row = self._row, self._row + rows.shape[0]
            across = tuple(slice(0, n) for n in shape[1:])
            return data_utils.DataChunk(
                data=rows.astype(self.dtype), selection=(slice(first, self._row), *across)
            )

        def recommended_chunk_shape(self) -> tuple[int, ...]:
            return (max(1, CHUNK_ROWS * 8 // max(width, 1)), *shape[1:])

        def recommended_data_shape(self) -> tuple[int, ...]:
            return shape

    return Rows()
