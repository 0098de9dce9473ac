"""Datasets that grow together: buffered, appended in large pieces, cut back if a write fails."""

from collections.abc import Collection, Mapping
from math import ceil
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


class Columns:
    """A table that is appended to; its columns are datasets of one group.

    Parameters
    ----------
    group : h5py.Group
    columns : mapping of name to dtype
    chunk_rows : int
        Rows that HDF5 stores as one block.
    width : int
        Values in each row; 0 for one that is no array.
    """

    def __init__(
        self, group: Any, columns: Mapping[str, type], *, chunk_rows: int, width: int = 0
    ) -> None:
        self.group = group
        self.n_added = 0
        self._n_flushed = 0
        self._n_written = 0
        self._chunk_rows = chunk_rows
        self._width = max(width, 1)
        self._types = {name: np.dtype(dtype) for name, dtype in columns.items()}
        self._held: dict[str, list[Array]] = {name: [] for name in columns}
        tail = (width,) if width else ()
        # Kept open: a dataset that is let go writes what HDF5 holds of it, and h5py only prints
        # what goes wrong then. No compression: libsonata cannot read it.
        self._datasets = {
            name: group.create_dataset(
                name,
                shape=(0, *tail),
                maxshape=(None, *tail),
                chunks=(chunk_rows, *tail),
                dtype=dtype,
            )
            for name, dtype in self._types.items()
        }

    @property
    def n_held(self) -> int:
        """Values of one column that wait to be written."""
        return (self.n_added - self._n_written) * self._width

    @property
    def n_bytes_to_grow(self) -> int:
        """Bytes by which the file grows, in whole chunks, when what is held is written."""
        before = ceil(self._n_written / self._chunk_rows)
        chunks = ceil(self.n_added / self._chunk_rows) - before
        row_bytes = self._width * sum(dtype.itemsize for dtype in self._types.values())
        return chunks * self._chunk_rows * row_bytes

    def add(self, *, fitting: Collection[str] = (), **columns: Array) -> None:
        """Hold a copy of some rows.

        Parameters
        ----------
        fitting : collection of str
            Columns of whole numbers that are known to fit their type.

        Raises
        ------
        ValueError
            If columns are missing, differ in length, or hold what their type cannot.
        """
        n_rows = {name: len(values) for name, values in columns.items()}
        if n_rows.keys() != self._types.keys() or len(set(n_rows.values())) > 1:
            raise ValueError(
                f"{self.group.name}: columns {', '.join(self._types)} must have the same length, "
                f"not {n_rows}"
            )
        rows = {name: np.array(values, self._types[name]) for name, values in columns.items()}
        for name, values in rows.items():
            known = name in fitting and np.asarray(columns[name]).dtype.kind in "iu"
            if (
                values.dtype.kind in "iu"
                and not known
                and not np.array_equal(values, columns[name])
            ):
                raise ValueError(f"{self.group.name}/{name}: values must fit into {values.dtype}")
        for name, values in rows.items():
            self._held[name].append(values)
        self.n_added += next(iter(n_rows.values()))

    def write(self) -> None:
        """Hand what is held to HDF5; a write that was interrupted can be made again."""
        if self.n_added == self._n_written:
            return
        for name, parts in self._held.items():
            dataset = self._datasets[name]
            dataset.resize(self.n_added, axis=0)
            dataset[self._n_written :] = parts[0] if len(parts) == 1 else np.concatenate(parts)
        # Only now, so that an interrupted write is made again, over itself.
        self._n_written, self._held = self.n_added, {name: [] for name in self._types}

    def keep(self) -> None:
        """Take note that what was written is on disk."""
        self._n_flushed = self._n_written

    def cut_back(self) -> None:
        """Drop what was written since the last `keep`: it may be there in part only."""
        for dataset in self._datasets.values():
            if dataset.shape[0] > self._n_flushed:
                try:
                    dataset.resize(self._n_flushed, axis=0)
                except (OSError, RuntimeError, ValueError, KeyError):
                    # HDF5 misses a chunk that it could not write, and forgets to store the new
                    # length, unless it changes once more.
                    dataset.resize(self._n_flushed + 1, axis=0)
                    dataset.resize(self._n_flushed, axis=0)


def frame_report(file: Any, key: str, size: int, n_ticks: int, rows: int) -> Columns:
    """Begin a SONATA report of one value for each neuron and tick.

    Parameters
    ----------
    key : str
        Path of the report's population.
    size, n_ticks : int
        Neurons, and ticks of the whole trace.
    """
    group = file.create_group(key)
    columns = Columns(group, {"data": np.float32}, chunk_rows=rows, width=size)
    mapping = group.create_group("mapping")
    mapping["node_ids"] = np.arange(size, dtype=np.uint64)
    mapping["index_pointers"] = np.arange(size + 1, dtype=np.uint64)
    mapping["element_ids"] = np.zeros(size, np.uint32)
    mapping["time"] = np.array([0.0, float(n_ticks), 1.0])
    mapping["time"].attrs["units"] = "ticks"
    return columns


def in_order(
    what: str, events: Mapping[str, Array], *, latest: int, n_ticks: int, size: int | None
) -> dict[str, Array]:
    """Sort a batch of events by tick, then number, after a look at both.

    Parameters
    ----------
    what : str
        Whose events, for errors.
    events : mapping
        ``timestamps`` and ``node_ids``, int [n > 0], and whatever else belongs to an event.
    latest : int
        Last tick of the batch before; -1 for the first.
    n_ticks, size : int
        Ticks and neurons that there are.

    Raises
    ------
    ValueError
        If a tick or neuron is not there, or the batch goes back in time.
    """
    ticks, numbers = np.asarray(events["timestamps"]), np.asarray(events["node_ids"])
    if np.min(numbers) < 0:
        raise ValueError(f"{what}: there is no neuron {np.min(numbers)}")
    if size is not None and np.max(numbers) >= size:
        raise ValueError(f"{what} has {size} neurons, there is no neuron {np.max(numbers)}")
    # An engine's spikes come sorted, and to see that takes a tenth of sorting them.
    falls = np.flatnonzero(numbers[1:] < numbers[:-1])
    ordered = bool(
        np.all(ticks[1:] >= ticks[:-1]) and np.all(ticks.take(falls + 1) > ticks.take(falls))
    )
    first, last = int(ticks[0]), int(ticks[-1])
    if not ordered:
        first, last = int(np.min(ticks)), int(np.max(ticks))
    if first < 0 or last >= n_ticks:
        raise ValueError(
            f"{what}: tick {first if first < 0 else last} is outside of the trace, which has "
            f"{n_ticks} ticks (samples × ticks)"
        )
    if first <= latest:
        raise ValueError(
            f"{what}: tick {first} comes after tick {latest}; each batch must hold whole ticks, "
            f"later than the last"
        )
    if ordered:
        return dict(events)
    order = _order(ticks, numbers, last)
    return {name: np.asarray(values)[order] for name, values in events.items()}


def _order(ticks: Array, numbers: Array, last: int) -> Array:
    """Order of events by tick, then number; equals as they came."""
    most = int(np.max(numbers)) + 1
    if (last + 1) * most >= 1 << 62:
        return np.lexsort((numbers, ticks))
    # One number an event sorts several times faster than two.
    key = ticks.astype(np.int64) * most + numbers.astype(np.int64)
    order = np.argsort(key)
    placed = key[order]
    return np.lexsort((numbers, ticks)) if np.any(placed[1:] == placed[:-1]) else order
