"""Datasets that grow together: buffered, appended in large pieces, cut back if a write fails."""

from collections.abc import Mapping
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
        for name, dtype in self._types.items():
            # No compression: libsonata cannot read it.
            group.create_dataset(
                name,
                shape=(0, *tail),
                maxshape=(None, *tail),
                chunks=(chunk_rows, *tail),
                dtype=dtype,
            )

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

    def add(self, **columns: Array) -> None:
        """Hold a copy of some rows."""
        n_rows = {name: len(values) for name, values in columns.items()}
        if n_rows.keys() != self._types.keys() or len(set(n_rows.values())) > 1:
            raise ValueError(
                f"{self.group.name}: columns {', '.join(self._types)} must have the same length, "
                f"not {n_rows}"
            )
        for name, values in columns.items():
            self._held[name].append(np.array(values, self._types[name]))
        self.n_added += next(iter(n_rows.values()))

    def write(self) -> None:
        """Hand what is held to HDF5; a write that was interrupted can be made again."""
        if self.n_added == self._n_written:
            return
        for name, parts in self._held.items():
            dataset = self.group[name]
            dataset.resize(self.n_added, axis=0)
            dataset[self._n_written :] = np.concatenate(parts)
        # An interrupt between these two lines would write the same rows twice.
        self._n_written, self._held = self.n_added, {name: [] for name in self._types}

    def keep(self) -> None:
        """Take note that what was written is on disk."""
        self._n_flushed = self._n_written

    def cut_back(self) -> None:
        """Drop what was written since the last `keep`: it may be there in part only."""
        for name in self._types:
            if self.group[name].shape[0] > self._n_flushed:
                self.group[name].resize(self._n_flushed, axis=0)
