"""Datasets that grow together: buffered, appended in large pieces, cut to a length."""

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

COMPRESSION: Mapping[str, Mapping[str, Any]] = {
    "none": {},
    "fast": {"compression": "lzf", "shuffle": True},
    "small": {"compression": "gzip", "compression_opts": 4, "shuffle": True},
}
"""What HDF5 does with each block; libsonata reads ``none`` alone."""
CHUNK_VALUES = 1 << 16
"""Most values that HDF5 stores as one block."""


class Columns:
    """A table that is appended to; its columns are datasets of one group.

    Parameters
    ----------
    group : h5py.Group
        Without these columns, or with all of them, which then grow on.
    columns : mapping of name to dtype
    chunk_rows : int
        Most rows that HDF5 stores as one block.
    widths : mapping of name to int, optional
        Values in each row of those columns that are arrays of two dimensions.
    compression : str
        One of `COMPRESSION`.
    """

    def __init__(
        self,
        group: Any,
        columns: Mapping[str, Any],
        *,
        chunk_rows: int,
        widths: Mapping[str, int] | None = None,
        compression: str = "none",
    ) -> None:
        self.group = group
        self._types = {name: np.dtype(dtype) for name, dtype in columns.items()}
        self._widths = widths or {}
        self._chunk_rows, self._compression = chunk_rows, compression
        self._held: dict[str, list[Array]] = {name: [] for name in columns}
        there = [name for name in columns if name in group]
        # Kept open: each dataset that is opened again would read its last block again.
        self._datasets = {
            name: group[name] if there else self._create(name, name) for name in columns
        }
        self.n_added = self._n_written = min(len(dataset) for dataset in self._datasets.values())

    def _create(self, path: str, name: str) -> Any:
        width = self._widths.get(name)
        tail = () if width is None else (width,)
        rows = max(min(CHUNK_VALUES // max(width or 1, 1), self._chunk_rows), 1)
        return self.group.create_dataset(
            path,
            shape=(0, *tail),
            maxshape=(None, *tail),
            # No block is of no size, where an array has no column.
            chunks=(rows, *(max(n, 1) for n in tail)),
            dtype=self._types[name],
            fletcher32=True,
            **COMPRESSION[self._compression],
        )

    def dtype(self, name: str) -> Any:
        """Type in which a column is stored."""
        return self._types[name]

    @property
    def lengths(self) -> dict[str, int]:
        """Rows of each column in the file."""
        return {name: int(dataset.shape[0]) for name, dataset in self._datasets.items()}

    def last(self, name: str) -> int:
        """Last number in the file of a column of whole numbers; -1 if there is none."""
        return int(self._datasets[name][-1]) if self.n_added else -1

    def add(self, *, fitting: Collection[str] = (), **columns: Array) -> int:
        """Hold a copy of some rows.

        Parameters
        ----------
        fitting : collection of str
            Columns of whole numbers that are known to fit their type.

        Returns
        -------
        int
            Bytes that are held now in addition.

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
        return sum(values.nbytes for values in rows.values())

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

    def widen(self, name: str, dtype: Any) -> None:
        """Store a column in a type that holds more, what is there already too."""
        self.write()
        old = self._datasets[name]
        self._types[name] = np.dtype(dtype)
        unnamed = f"{name} in a wider type"
        wide = self._create(unnamed, name)
        wide.resize(old.shape[0], axis=0)
        for first in range(0, old.shape[0], old.chunks[0]):
            wide[first : first + old.chunks[0]] = old[first : first + old.chunks[0]]
        for about, value in old.attrs.items():
            wide.attrs[about] = value
        del self.group[name]
        self.group.move(unnamed, name)
        self._datasets[name] = self.group[name]

    def cut(self, rows: int) -> None:
        """Drop what is held, and all rows of the file but the first ones."""
        self._held = {name: [] for name in self._types}
        for dataset in self._datasets.values():
            dataset.resize(rows, axis=0)
        self.n_added = self._n_written = rows

    def rows_before(self, name: str, tick: int) -> int:
        """Count the rows of the file with a lower number in a column that is sorted by it."""
        low, high = 0, self.n_added
        while low < high:
            middle = (low + high) // 2
            if int(self._datasets[name][middle]) < tick:
                low = middle + 1
            else:
                high = middle
        return low
