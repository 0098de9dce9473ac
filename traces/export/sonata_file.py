"""Spikes and states in SONATA (Dai et al., PLoS Computational Biology 16(2), 2020), in milliseconds."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from traces.export.recorded import frame_pieces
from traces.export.selection import Selection, Source
from traces.export.whole import MARGIN_BYTES, check_room
from traces.reports import Frames

Array = NDArray[Any]

SORTING = h5py.enum_dtype({"none": 0, "by_id": 1, "by_time": 2}, basetype="u1")
CHUNK_ROWS = 1 << 16


def write_sonata(selection: Selection, path: Path) -> tuple[str, ...]:
    """Write one file with ``/spikes/<population>`` and ``/report/<population>``.

    Inputs are populations, too. Of each population the variable that was recorded first is
    ``/report/<population>``; all are ``/reports/<population>_<variable>``, as in a trace. What
    spikes are worth other than 1 is a third column ``payload``, which other readers pass over.

    Returns
    -------
    tuple of str
        What the file does not hold.
    """
    check_room(path, MARGIN_BYTES * (1 + len(selection.sources)))
    with h5py.File(path, "w") as file:
        for source in selection.sources:
            _write_spikes(file, selection, source)
        return tuple(
            note for pair in selection.states() for note in _write_report(file, selection, *pair)
        )


def _write_spikes(file: Any, selection: Selection, source: Source) -> None:
    group = file.create_group(f"spikes/{source.name}")
    group.attrs.create("sorting", 2, dtype=SORTING)
    times = _growing(group, "timestamps", np.float64)
    times.attrs["units"] = "ms"
    numbers = _growing(group, "node_ids", np.uint64)
    payloads = _growing(group, "payload", np.int32) if source.payload else None
    for spikes in selection.pieces(source):
        _append(times, spikes.ticks * _dt_ms(selection))
        _append(numbers, spikes.neurons)
        if payloads is not None and spikes.payload is not None:
            _append(payloads, spikes.payload)


def _write_report(file: Any, selection: Selection, population: str, variable: str) -> list[str]:
    """Write the frames of one variable; returns what cannot be written."""
    key = f"reports/{population}_{variable}"
    group = data = None
    first = last = -1
    steps: set[int] = set()
    for piece in frame_pieces(selection, population, variable):
        if group is None:
            group = file.create_group(f"{key}/{population}")
            data = _growing(group, "data", np.float32, width=piece.neurons.size)
            data.attrs["units"] = "membrane units"
            first = last = int(piece.ticks[0])
            steps |= set(np.diff(piece.ticks).tolist())
        else:
            steps |= set(np.diff(piece.ticks, prepend=last).tolist())
        _append(data, piece.values)
        last = int(piece.ticks[-1])
    if group is None:
        return []
    if len(steps) > 1:
        del file[key]
        return [f"states {variable} of {population}: not at regular ticks, which SONATA asks for"]
    _describe(group, selection, piece, (first, last, steps.pop() if steps else 1))
    if f"report/{population}" not in file:
        file[f"report/{population}"] = h5py.SoftLink(f"/{key}/{population}")
    return []


def _describe(group: Any, selection: Selection, frame: Frames, span: tuple[int, int, int]) -> None:
    first, last, step = span
    mapping = group.create_group("mapping")
    mapping["node_ids"] = frame.neurons.astype(np.uint64)
    mapping["index_pointers"] = np.arange(frame.neurons.size + 1, dtype=np.uint64)
    mapping["element_ids"] = np.zeros(frame.neurons.size, np.uint32)
    mapping["time"] = np.array([first, last + step, step]) * _dt_ms(selection)
    mapping["time"].attrs["units"] = "ms"


def _dt_ms(selection: Selection) -> float:
    return selection.trace.dt_s * 1e3


def _growing(group: Any, name: str, dtype: type, *, width: int = 0) -> Any:
    """Make an empty dataset; not compressed, since libsonata cannot read that."""
    tail = (width,) if width else ()
    rows = max(1, CHUNK_ROWS // max(width, 1))
    return group.create_dataset(
        name, shape=(0, *tail), maxshape=(None, *tail), chunks=(rows, *tail), dtype=dtype
    )


def _append(dataset: Any, values: Array) -> None:
    chunk_bytes = int(np.prod(dataset.chunks)) * dataset.dtype.itemsize
    needed = values.size * dataset.dtype.itemsize + chunk_bytes + MARGIN_BYTES
    check_room(Path(dataset.file.filename), needed)
    before = dataset.shape[0]
    dataset.resize(before + len(values), axis=0)
    dataset[before:] = values
    dataset.file.flush()  # so that the next look at the disk sees this
