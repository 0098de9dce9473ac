"""Find and read the events of a window of ticks in a table that is sorted by tick."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

PIECE_EVENTS = 1 << 20


class Events:
    """Columns of one table, the ticks first; nothing is read before it is asked for.

    Parameters
    ----------
    columns : sequence of h5py.Dataset
    read : callable
        Reads rows ``first`` to ``last`` of a dataset.
    """

    def __init__(self, columns: Sequence[Any], read: Callable[[Any, int, int], Array]) -> None:
        self._columns = columns
        self._read = read

    def __len__(self) -> int:
        # A run that broke off may leave one column longer than another.
        return min(int(column.shape[0]) for column in self._columns)

    def count(self, start: int | None, stop: int | None) -> int:
        """Number of events of ticks ``start`` to ``stop`` (exclusive)."""
        first, last = self.between(start, stop)
        return last - first

    def window(self, start: int | None, stop: int | None) -> tuple[Array, ...]:
        """Read the events of ticks ``start`` to ``stop`` (exclusive); integers as int64."""
        first, last = self.between(start, stop)
        return self.rows(first, last)

    def pieces(self, start: int | None, stop: int | None) -> Iterator[tuple[Array, ...]]:
        """Read the same in pieces of bounded size, none of them empty."""
        first, last = self.between(start, stop)
        for row in range(first, last, PIECE_EVENTS):
            yield self.rows(row, min(row + PIECE_EVENTS, last))

    def rows(self, first: int, last: int) -> tuple[Array, ...]:
        """Read some rows."""
        columns = [self._read(column, first, last) for column in self._columns]
        return tuple(c if c.dtype.kind == "f" else c.astype(np.int64) for c in columns)

    def between(self, start: int | None, stop: int | None) -> tuple[int, int]:
        """Find the rows of ticks ``start`` to ``stop`` (exclusive)."""
        first = 0 if start is None else self._first_at(start)
        last = len(self) if stop is None else self._first_at(stop)
        return first, max(first, last)

    def _first_at(self, tick: int) -> int:
        """Row of the first event at or after a tick, by halves in the file itself."""
        low, high = 0, len(self)
        while low < high:
            middle = (low + high) // 2
            if int(self._read(self._columns[0], middle, middle + 1)[0]) < tick:
                low = middle + 1
            else:
                high = middle
        return low


def first_outside(ticks: Array, numbers: Array, n_ticks: int, size: int | None) -> int | None:
    """Find the first event of a tick or a number (of ``size``, if given) that is not there."""
    outside = (ticks < 0) | (ticks >= n_ticks) | (numbers < 0)
    if size is not None:
        outside |= numbers >= size
    return int(np.argmax(outside)) if outside.any() else None
