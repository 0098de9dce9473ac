"""The growing tables of one trace file: made when first needed, bounded in memory together."""

from collections.abc import Iterator, Mapping
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from traces.columns import CHUNK_VALUES, Columns

Array = NDArray[Any]


class Tables:
    """Tables by the path of their group.

    Parameters
    ----------
    file : h5py.File
    compression : str
        One of `traces.columns.COMPRESSION`.

    Attributes
    ----------
    n_held_bytes : int
        Bytes of all tables that wait to be written.
    latest : dict
        Last tick of each table of events.
    """

    def __init__(self, file: Any, *, compression: str) -> None:
        self._file = file
        self._compression = compression
        self._columns: dict[str, Columns] = {}
        self.latest: dict[str, int] = {}
        self.n_held_bytes = 0

    def __contains__(self, path: str) -> bool:
        return path in self._columns

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._columns))

    def __getitem__(self, path: str) -> Columns:
        return self._columns[path]

    def open(
        self,
        path: str,
        types: Mapping[str, Any],
        *,
        chunk_rows: int = CHUNK_VALUES,
        widths: Mapping[str, int] | None = None,
    ) -> Columns:
        """Make a table, or go on with what the file has of it."""
        group = self._file.require_group(path)
        columns = Columns(
            group, types, chunk_rows=chunk_rows, widths=widths, compression=self._compression
        )
        self._columns[path] = columns
        if "timestamps" in types:
            self.latest[path] = columns.last("timestamps")
        return columns

    def reopen(self) -> None:
        """Go on with every table that the file has."""
        for path in growing(self._file):
            if path not in self._columns:
                group = self._file[path]
                names = [n for n, item in group.items() if grows(item)]
                self.open(
                    path,
                    {name: group[name].dtype for name in names},
                    widths={name: group[name].shape[1] for name in names if group[name].ndim == 2},
                )

    def add(self, path: str, rows: Mapping[str, Array], *, fitting: tuple[str, ...] = ()) -> None:
        """Hold rows of a table; events come with their ticks in ``timestamps``."""
        self.n_held_bytes += self._columns[path].add(fitting=fitting, **rows)
        if "timestamps" in rows and len(rows["timestamps"]):
            self.latest[path] = int(rows["timestamps"][-1])

    def write(self) -> None:
        """Hand everything that is held to HDF5."""
        for columns in self._columns.values():
            columns.write()
        self.n_held_bytes = 0

    def lengths(self) -> dict[str, dict[str, int]]:
        """Rows of each column of each table in the file."""
        return {path: columns.lengths for path, columns in self._columns.items()}

    def cut(self, tick: int, stimulus_tick: int) -> None:
        """Drop all that belongs to a tick or to later ones, of stimuli to another."""
        for path, columns in self._columns.items():
            at = stimulus_tick if path.startswith("/stimulus/") else tick
            by = next((n for n in ("timestamps", "ticks") if n in columns.group), None)
            shortest = min(columns.lengths.values(), default=0)
            columns.cut(min(at, shortest) if by is None else columns.rows_before(by, at))
            if by == "timestamps":
                self.latest[path] = columns.last(by)
            self.latest.pop(f"{path}/ticks", None)
        self.n_held_bytes = 0


def growing(file: Any) -> Iterator[str]:
    """Paths of all groups whose datasets grow together, in sorted order."""
    yield from sorted(
        f"/{path}"
        for parent in ("spikes", "stimulus/spikes", "stimulus/currents", "counters", "reports", "")
        for path in _children(file, parent)
        if any(grows(item) for item in file[path].values())
    )


def lengths_of(file: Any) -> dict[str, dict[str, int]]:
    """Rows of each column of each growing table of an open file."""
    return {
        path: {name: int(item.shape[0]) for name, item in file[path].items() if grows(item)}
        for path in growing(file)
    }


def _children(file: Any, parent: str) -> Iterator[str]:
    group = file.get(parent or "/")
    for name in group if isinstance(group, h5py.Group) else ():
        # A link may be broken, and one of SONATA's leads to what is found at its own place.
        if isinstance(group.get(name, getlink=True), h5py.HardLink):
            path = f"{parent}/{name}".lstrip("/")
            if not isinstance(file[path], h5py.Group):
                continue
            if parent == "reports":
                yield from (f"{path}/{inner}" for inner in file[path])
            else:
                yield path


def grows(item: Any) -> bool:
    """Whether an item of a file is a dataset that rows are appended to."""
    return isinstance(item, h5py.Dataset) and item.maxshape[:1] == (None,)


def exact_type(frames: Array, stored: Any) -> Any:
    """Find the type nearest to the one in which numbers are stored that holds these exactly.

    float32, which SONATA wants, then int32, int64 and float64 for whole numbers, float64 for
    others.
    """
    if frames.dtype.kind == "f":
        wider = (np.float32, np.float64)
    else:
        wider = (np.float32, np.int32, np.int64, np.float64)  # type: ignore[assignment]
    first = wider.index(stored) if stored in wider else len(wider) - 1
    return next((kind for kind in wider[first:] if _holds(kind, frames)), np.float64)


def _holds(kind: Any, frames: Array) -> bool:
    with np.errstate(all="ignore"):
        cast = frames.astype(kind)
        back = cast.astype(frames.dtype)
    equal = (back == frames) | ((back != back) & (frames != frames))
    return bool(np.all(equal))
