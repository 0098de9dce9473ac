"""States in the layout of SONATA's frame reports, stored exactly: the writer's side."""

from typing import Any, NamedTuple

import h5py
import numpy as np
from numpy.typing import NDArray

from traces.layout import RecordedPopulation
from traces.tables import Tables, exact_type

Array = NDArray[Any]


class Frames(NamedTuple):
    """States of some neurons at some ticks: int64 [n_frames], int64 [n], float64 [n_frames, n]."""

    ticks: Array
    neurons: Array
    values: Array


def report_path(population: str, variable: str) -> str:
    """Path of the group of a variable's frames."""
    return f"/reports/{population}_{variable}/{population}"


class Reports:
    """The reports of one file.

    Parameters
    ----------
    file : h5py.File
    tables : Tables
        That hold the frames.
    n_ticks : int
        Ticks of the whole trace.
    """

    def __init__(self, file: Any, tables: Tables, n_ticks: int) -> None:
        self._file = file
        self._tables = tables
        self._n_ticks = n_ticks
        self._neurons: dict[str, Array] = {}

    def checked(
        self,
        population: RecordedPopulation,
        variable: str,
        frames: Array,
        ticks: Array | None,
        neurons: Array | None,
        stored: Any,
    ) -> tuple[Frames, bool]:
        """Look at frames before they are taken.

        Returns
        -------
        Frames
            Values as they came.
        bool
            Whether their ticks are stored: they are not simply those that come next.

        Raises
        ------
        ValueError
            If they are not of these neurons, or not those that come next.
        """
        path, what = report_path(population.name, variable), f"{variable!r} of {population.name!r}"
        frames = np.asarray(frames)
        chosen = _chosen(what, population.size, neurons)
        if frames.ndim != 2 or frames.shape[1] != chosen.size or frames.dtype.kind not in "biuf":
            raise ValueError(
                f"frames of population {population.name!r} must be numbers [n_ticks, "
                f"{chosen.size}], not {frames.dtype} {frames.shape}"
            )
        if path in self._tables:
            self._like_before(path, what, chosen, ticks is not None)
        if stored is not None and frames.dtype.kind in "biu":
            kind = exact_type(frames, np.dtype(stored).type)
            if kind != np.dtype(stored).type:
                raise ValueError(
                    f"{what}: whole numbers that {np.dtype(stored)} does not hold; leave the type "
                    f"open, or take {np.dtype(kind)}"
                )
        if ticks is None:
            first = self._tables[path].n_added if path in self._tables else 0
            return Frames(np.arange(first, first + len(frames)), chosen, frames), False
        return Frames(self._in_order(path, what, frames, ticks), chosen, frames), True

    def _like_before(self, path: str, what: str, chosen: Array, with_ticks: bool) -> None:
        if path not in self._neurons:
            self._neurons[path] = self._file[f"{path}/mapping/node_ids"][()].astype(np.int64)
        if not np.array_equal(self._neurons[path], chosen):
            raise ValueError(f"{what}: frames of other neurons than before")
        if with_ticks != ("ticks" in self._tables[path].group):
            raise ValueError(f"{what}: frames come either with ticks or without, not both")

    def _in_order(self, path: str, what: str, frames: Array, ticks: Array) -> Array:
        given = np.asarray(ticks)
        if given.shape != (len(frames),) or given.dtype.kind not in "iu":
            raise ValueError(f"{what}: {len(frames)} frames, but ticks are {given.shape}")
        latest = self._tables.latest.get(f"{path}/ticks", -1)
        if path in self._tables and latest < 0:
            latest = self._tables[path].last("ticks")
        steps = np.diff(given.astype(np.int64), prepend=latest)
        if np.any(steps < 1):
            raise ValueError(f"{what}: the tick of each frame must come after that of the last")
        if given.size and given[-1] >= self._n_ticks:
            raise ValueError(
                f"{what}: tick {given[-1]} is outside of the trace, which has {self._n_ticks} ticks"
            )
        return given.astype(np.int64)

    def prepare(
        self,
        population: RecordedPopulation,
        variable: str,
        frames: Frames,
        with_ticks: bool,
        scale: float,
        offset: float,
        stored: Any,
    ) -> None:
        """Make the report, or give it a type that holds the frames exactly."""
        path = report_path(population.name, variable)
        before = self._tables[path].dtype("data").type if path in self._tables else np.float32
        kind = exact_type(frames.values, before) if stored is None else np.dtype(stored).type
        if path in self._tables:
            if kind != before:
                self._tables[path].widen("data", kind)
            return
        types = {"data": kind} | ({"ticks": np.uint64} if with_ticks else {})
        rows = max(self._n_ticks, 1)
        columns = self._tables.open(
            path, types, chunk_rows=min(rows, 1 << 12), widths={"data": frames.neurons.size}
        )
        about = columns.group["data"].attrs
        about["units"], about["scale"], about["offset"] = "membrane units", scale, offset
        self._map(columns.group, frames.neurons)
        if not with_ticks:
            self._link(population.name, path)

    def _map(self, group: Any, neurons: Array) -> None:
        mapping = group.create_group("mapping")
        mapping["node_ids"] = neurons.astype(np.uint64)
        mapping["index_pointers"] = np.arange(neurons.size + 1, dtype=np.uint64)
        mapping["element_ids"] = np.zeros(neurons.size, np.uint32)
        mapping["time"] = np.array([0.0, float(self._n_ticks), 1.0])
        mapping["time"].attrs["units"] = "ticks"

    def _link(self, population: str, path: str) -> None:
        # Where libsonata looks for reports; a link, since one file may hold many.
        if f"report/{population}" not in self._file:
            self._file[f"report/{population}"] = h5py.SoftLink(path)

    def add(self, population: str, variable: str, frames: Frames, with_ticks: bool) -> None:
        """Hold the frames."""
        path = report_path(population, variable)
        self._neurons[path] = frames.neurons
        rows = {"data": frames.values} | ({"ticks": frames.ticks} if with_ticks else {})
        self._tables.add(path, rows)
        if with_ticks and frames.ticks.size:
            self._tables.latest[f"{path}/ticks"] = int(frames.ticks[-1])

    def finish(self) -> None:
        """Write the times of frames whose ticks are stored, now that all are there."""
        for path in [p for p in self._tables if p.startswith("/reports/")]:
            group = self._tables[path].group
            if "ticks" not in group or not len(group["ticks"]):
                continue
            ticks = group["ticks"][()].astype(np.int64)
            steps = np.unique(np.diff(ticks))
            step = 0 if steps.size > 1 else int(steps[0]) if steps.size else 1
            group["mapping/time"][...] = [ticks[0], ticks[-1] + max(step, 1), step]
            if step:
                self._link(path.rsplit("/", 1)[1], path)


def _chosen(what: str, size: int, neurons: Array | None) -> Array:
    if neurons is None:
        return np.arange(size)
    chosen = np.asarray(neurons)
    if chosen.ndim != 1 or chosen.dtype.kind not in "iu" or np.any(np.diff(chosen) < 1):
        raise ValueError(f"{what}: neurons must be a list of numbers in ascending order")
    if chosen.size and (chosen[0] < 0 or chosen[-1] >= size):
        wrong = chosen[0] if chosen[0] < 0 else chosen[-1]
        raise ValueError(f"{what}: there are {size} neurons, there is no neuron {wrong}")
    return chosen.astype(np.int64)
