"""Write a trace while the run goes on: bounded memory, flushed about every second.

What was flushed survives a killed process. A full disk is met before HDF5 meets it: free space is
compared with what is about to be written. A reserve of disk space is given up when a write fails
all the same, so that the file can still be cut back to the last flush and closed in order.
"""

import os
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, NoReturn

import h5py
import numpy as np
from numpy.typing import NDArray

from traces.bundle import write_bundle
from traces.columns import Columns, frame_report, in_order
from traces.content import content_hash_of
from traces.disk import Disk
from traces.errors import TraceWriteError
from traces.layout import LAYOUT_VERSION, MAGIC, RecordedPopulation

Array = NDArray[Any]

BUFFER_EVENTS = 1 << 19
"""Events of one table that are held before they are written."""
CHUNK_VALUES = 1 << 16
"""Values of a report of states that HDF5 stores as one block."""
FLUSH_S = 1.0
NOTE_BYTES = 60_000
"""Longest text in the provenance; HDF5 holds attributes of less than 64 KiB."""

# What h5py raises when the disk is at fault depends on where in HDF5 it is noticed.
_DISK_TROUBLE = (OSError, RuntimeError, ValueError, KeyError)


class TraceWriter:
    """Append to a new trace file; use it in a ``with`` statement.

    Leaving the statement by an exception, an interrupt too, keeps what was recorded and does not
    mark the trace as complete.

    Parameters
    ----------
    path : path
    kind : {"chip", "float"}
    populations : sequence of RecordedPopulation
        In the order in which comparisons go through them.
    samples, ticks : int
        Tick ``t`` of sample ``k`` is stored as ``k * ticks + t``.
    input_ticks : int
        Ticks of each sample in which input is applied.
    dt_s : float
    provenance : mapping
        Strings and numbers that say where the run came from.
    buffer_events : int
        Events of one table that are held in memory before they are written.
    overwrite : bool
        Whether a file of this name may be replaced.

    Raises
    ------
    FileExistsError
        If there is such a file.
    ValueError
        If two populations have the same name, or the numbers of ticks make no sense.
    TraceWriteError
        If the file cannot be made, or at any later call if it cannot be written on.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        kind: Literal["chip", "float"],
        populations: Sequence[RecordedPopulation],
        samples: int,
        ticks: int,
        input_ticks: int,
        dt_s: float,
        provenance: Mapping[str, str | int | float],
        buffer_events: int = BUFFER_EVENTS,
        overwrite: bool = False,
    ) -> None:
        self.path = Path(path)
        self._populations = {p.name: p for p in populations}
        self._n_ticks = samples * ticks
        self._check(populations, samples, ticks, input_ticks)
        if not overwrite and self.path.exists():
            raise FileExistsError(f"{self.path} exists; choose another name or remove it")
        self._buffer_events = buffer_events
        self._columns: dict[str, Columns] = {}
        self._last_flush = time.monotonic()
        self._latest: dict[str, int] = {}
        self._whole_tick = self._flushed_tick = -1
        self._broken = False
        try:
            self._disk = Disk(self.path)
        except OSError as error:
            raise self._not_created(error) from error
        try:
            self._file = h5py.File(self.path, "w", libver=("earliest", "v110"))
            self._disk.made()
        except OSError as error:
            self._disk.give_up_reserve()
            raise self._not_created(error) from error
        try:
            self._begin(kind, populations, samples, ticks, input_ticks, dt_s)
            self.note(**provenance)
            self.flush()
        except BaseException:
            self._close_quietly()
            self._disk.give_up_reserve()
            raise

    def _begin(
        self,
        kind: str,
        populations: Sequence[RecordedPopulation],
        samples: int,
        ticks: int,
        input_ticks: int,
        dt_s: float,
    ) -> None:
        with self._writing():
            root = self._file.attrs
            root["magic"], root["layout_version"], root["kind"] = MAGIC, LAYOUT_VERSION, kind
            root["samples"], root["ticks"], root["input_ticks"] = samples, ticks, input_ticks
            root["dt_s"], root["complete"] = dt_s, False
            root["whole_ticks"] = 0
            root.create("populations", [p.name for p in populations], dtype=h5py.string_dtype())
            self._file.create_group("provenance")
            for population in populations:
                self._add_population(population)

    def _not_created(self, error: OSError) -> TraceWriteError:
        return TraceWriteError(f"{self.path}: cannot be created ({error.strerror or error})")

    @staticmethod
    def _check(
        populations: Sequence[RecordedPopulation], samples: int, ticks: int, input_ticks: int
    ) -> None:
        names = [p.name for p in populations]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"populations must have different names; twice: {', '.join(twice)}")
        if samples < 0 or ticks < 1 or not 0 <= input_ticks <= ticks:
            raise ValueError(
                f"{samples} samples of {ticks} ticks, {input_ticks} of them with input: samples "
                f"must be 0 or more, ticks 1 or more, input_ticks between 0 and ticks"
            )

    def _add_population(self, population: RecordedPopulation) -> None:
        group = self._file.create_group(f"spikes/{population.name}")
        sorting = h5py.enum_dtype({"none": 0, "by_id": 1, "by_time": 2}, basetype="u1")
        group.attrs.create("sorting", 2, dtype=sorting)
        group.attrs["shape"] = population.shape
        for name in ("lag", "output", "spiking"):
            group.attrs[name] = getattr(population, name)
        columns: dict[str, type] = {"timestamps": np.uint64, "node_ids": np.uint32}
        if population.payload:
            columns["payload"] = np.int32
        # Large chunks for long runs; a short one must not take more space than it needs.
        most = self._n_ticks * population.size
        rows = 1 << min(max((most // 256).bit_length(), 10), 16)
        self._columns[group.name] = Columns(group, columns, chunk_rows=rows)
        group["timestamps"].attrs["units"] = "ticks"

    def spikes(
        self, population: str, ticks: Array, neurons: Array, payload: Array | None = None
    ) -> None:
        """Append spikes; a batch holds whole ticks and is sorted here by tick, then neuron.

        Parameters
        ----------
        population : str
        ticks, neurons : int array [n_spikes]
        payload : int array [n_spikes], optional
            For populations that were declared with one, and only for these.

        Raises
        ------
        ValueError
            If a batch goes back in time, or names a tick or neuron that is not there, or lacks a
            payload.
        """
        recorded = self._populations[population]
        if recorded.payload != (payload is not None):
            wants = "carry" if recorded.payload else "do not carry"
            raise ValueError(f"spikes of population {population!r} {wants} a payload")
        key = f"/spikes/{population}"
        columns = {"timestamps": ticks, "node_ids": neurons}
        if payload is not None:
            columns["payload"] = payload
        before = self._latest.get(key, -1)
        self._append(key, f"population {population!r}", columns, recorded.size)
        if len(ticks):
            # Other populations may still owe the ticks of this batch, but not those of the last.
            alone = len(self._populations) == 1
            self._whole_tick = max(self._whole_tick, self._latest[key] if alone else before)
        self._after(self._columns[key])

    def _append(
        self, key: str, what: str, events: Mapping[str, Array], size: int | None = None
    ) -> None:
        if len(events["timestamps"]):
            latest = self._latest.get(key, -1)
            rows = in_order(what, events, latest=latest, n_ticks=self._n_ticks, size=size)
            # Looked at by `in_order`, unless numbers have no end.
            known = ("timestamps", "node_ids") if size is not None else ("timestamps",)
            self._columns[key].add(fitting=known, **rows)
            self._latest[key] = int(rows["timestamps"][-1])

    def state(
        self,
        population: str,
        variable: str,
        frames: Array,
        *,
        scale: float,
        offset: float = 0.0,
        first_tick: int | None = None,
    ) -> None:
        """Append one frame a tick, from tick 0 on; physical value = stored * scale + offset.

        Parameters
        ----------
        frames : int or float array [n_ticks, n]
            Stored as float32, as the SONATA format wants: integers of up to 25 bits are exact.
        first_tick : int, optional
            Tick of the first frame, to have it checked.

        Raises
        ------
        ValueError
            If the frames are not of this population's size, or not those that come next.
        """
        size = self._populations[population].size
        key = f"/reports/{population}_{variable}/{population}"
        frames = np.asarray(frames)
        if frames.ndim != 2 or frames.shape[1] != size:
            raise ValueError(
                f"frames of population {population!r} must be [n_ticks, {size}], not {frames.shape}"
            )
        following = self._columns[key].n_added if key in self._columns else 0
        if first_tick is not None and first_tick != following:
            raise ValueError(
                f"{variable!r} of population {population!r}: the next frame is that of tick "
                f"{following}, not {first_tick}; every tick needs one"
            )
        if key not in self._columns:
            rows = max(min(CHUNK_VALUES // max(size, 1), self._n_ticks), 1)
            with self._writing():
                columns = frame_report(self._file, key, size, self._n_ticks, rows)
                about = columns.group["data"].attrs
                about["units"], about["scale"], about["offset"] = "membrane units", scale, offset
                self._columns[key] = columns
                # Where libsonata looks for reports; a link, since one file may hold many.
                if f"report/{population}" not in self._file:
                    self._file[f"report/{population}"] = h5py.SoftLink(key)
        self._columns[key].add(data=frames)
        self._after(self._columns[key])

    def stimulus_spikes(self, name: str, ticks: Array, channels: Array, payloads: Array) -> None:
        """Append input spikes, int arrays [n_spikes]; a batch holds whole ticks."""
        self._stimulus("spikes", name, timestamps=ticks, node_ids=channels, payload=payloads)

    def stimulus_currents(self, name: str, ticks: Array, neurons: Array, values: Array) -> None:
        """Append changes of constant currents; a value holds until the neuron's next change."""
        self._stimulus("currents", name, timestamps=ticks, node_ids=neurons, values=values)

    def _stimulus(self, kind: str, name: str, **events: Array) -> None:
        key = f"/stimulus/{kind}/{name}"
        if key not in self._columns:
            # Currents are integers on a chip and floats in its float simulation.
            types: dict[str, type] = {
                n: np.float64 if np.asarray(v).dtype.kind == "f" else np.int64
                for n, v in events.items()
            }
            self._create(key, types, chunk_rows=1 << 12)
        self._append(key, f"stimulus of {name!r}", events)
        self._after(self._columns[key])

    def _create(self, key: str, types: Mapping[str, type], chunk_rows: int) -> None:
        with self._writing():
            self._columns[key] = Columns(self._file.create_group(key), types, chunk_rows=chunk_rows)

    def tick_counters(self, **columns: Array) -> None:
        """Append counters of consecutive ticks, int64 [n_ticks] each; always the same names."""
        key = "/counters/tick"
        if key not in self._columns:
            rows = min(max(self._n_ticks, 1), 1 << 13)
            self._create(key, dict.fromkeys(columns, np.int64), chunk_rows=rows)
        before = self._columns[key].n_added
        self._columns[key].add(**columns)
        # As with spikes: what else belongs to the ticks before this batch has come.
        self._whole_tick = max(self._whole_tick, before - 1)
        self._after(self._columns[key])

    def totals(self, table: str, columns: Mapping[str, Array]) -> None:
        """Write totals of the run below ``/counters/<table>``; a second call replaces them.

        Parameters
        ----------
        table : str
            What is counted by: ``core``, ``link`` or ``latency``.
        columns : mapping of name to int array
            Of the same length; stored as int64.
        """
        with self._writing():
            for name, values in columns.items():
                path = f"counters/{table}/{name}"
                if path in self._file:
                    del self._file[path]
                self._file[path] = np.asarray(values, np.int64)

    def cores(self, **columns: Array) -> None:
        """Write what is known of each core before the run, int64 [n_cores] each.

        Parameters
        ----------
        place : its number on the chip
        neurons : how many it holds
        """
        with self._writing():
            for name, values in columns.items():
                self._file[f"cores/{name}"] = np.asarray(values, np.int64)

    def attach(self, name: str, header: Mapping[str, Any], arrays: Mapping[str, Array]) -> None:
        """Write what the run was made from as a bundle; see `traces.bundle`."""
        with self._writing():
            write_bundle(self._file.create_group(f"attached/{name}"), header, arrays)

    def note(self, **provenance: str | int | float) -> None:
        """Add to the provenance.

        Raises
        ------
        ValueError
            If a text is too long for an attribute of the file.
        """
        _check_notes(provenance)
        with self._writing():
            self._file["provenance"].attrs.update(provenance)

    @staticmethod
    def add_notes(path: str | Path, **provenance: str | int | float) -> None:
        """Add to the provenance of a finished trace, which its content hash leaves out.

        Does not wait for those who read the trace meanwhile.

        Raises
        ------
        TraceWriteError
            If the file cannot be written on.
        """
        _check_notes(provenance)
        try:
            with h5py.File(path, "r+", locking=False) as file:
                file["provenance"].attrs.update(provenance)
        except _DISK_TROUBLE as error:
            raise TraceWriteError(f"{path}: cannot be written on ({_reason(error)})") from error

    def _after(self, columns: Columns) -> None:
        late = time.monotonic() - self._last_flush > FLUSH_S
        if late or columns.n_held >= self._buffer_events:
            self.flush()

    def flush(self) -> None:
        """Write all buffers and bring the file on disk up to date."""
        with self._writing():
            self._disk.check(sum(c.n_bytes_to_grow for c in self._columns.values()))
            for columns in self._columns.values():
                columns.write()
            self._file.attrs.modify("whole_ticks", self._whole_tick + 1)
            self._file.flush()
            for columns in self._columns.values():
                columns.keep()
            self._flushed_tick = self._whole_tick
        self._last_flush = time.monotonic()

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Turn whatever goes wrong with the file into one error, after saving what there is."""
        if self._broken:
            raise TraceWriteError(f"{self.path}: is closed, or an earlier write failed")
        try:
            yield
        except _DISK_TROUBLE as error:
            self._fail(error)

    def _fail(self, error: Exception) -> NoReturn:
        self._disk.give_up_reserve()
        self._save_what_was_flushed()
        if not self._disk.there():
            state = "is gone"
        elif not self._opens():
            state = "is damaged"
        elif self._flushed_tick >= 0:
            state = f"is readable up to tick {self._flushed_tick}"
        else:
            state = "holds no spikes yet"
        raise TraceWriteError(
            f"{self.path}: cannot be written on ({_reason(error)}); the file {state}"
        ) from error

    def _opens(self) -> bool:
        """Whether the file can be read, rather than believe it."""
        try:
            h5py.File(self.path, "r").close()
        except _DISK_TROUBLE:
            return False
        return True

    def _save_what_was_flushed(self) -> None:
        self._broken = True
        for columns in self._columns.values():
            with suppress(*_DISK_TROUBLE):
                columns.cut_back()
        with suppress(*_DISK_TROUBLE):
            self._file.attrs.modify("whole_ticks", self._flushed_tick + 1)
        self._close_quietly()

    def _close_quietly(self) -> None:
        """Close without a second error; what was flushed is on disk already."""
        self._broken = True
        with suppress(*_DISK_TROUBLE):
            self._file.close()

    def close(self) -> None:
        """Write the rest, the content hash, and mark the trace as complete."""
        if self._broken:
            return
        self.flush()
        with self._writing():
            del self._file.attrs["whole_ticks"]
            self._file.attrs["content_sha256"] = content_hash_of(self._file)
            self._file.attrs["complete"] = True
            self._file.flush()
            self._file.close()
        self._broken = True
        self._disk.give_up_reserve()

    def __enter__(self) -> "TraceWriter":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if kind is None:
            self.close()
            return
        if not self._broken:
            # The run broke off: keep what there is, but do not call it complete.
            with suppress(TraceWriteError):
                self.flush()
            self._close_quietly()
        self._disk.give_up_reserve()


def _reason(error: Exception) -> str:
    """Say in one line what the operating system said, which HDF5 wraps in many."""
    number = re.search(r"errno = (\d+)", str(error))
    return os.strerror(int(number[1])) if number else " ".join(str(error).split())


def _check_notes(provenance: Mapping[str, str | int | float]) -> None:
    for name, value in provenance.items():
        size = len(value.encode()) if isinstance(value, str) else 0
        if size > NOTE_BYTES:
            raise ValueError(
                f"provenance {name!r} has {size:,} bytes, but the file holds {NOTE_BYTES:,} in one "
                f"text; store a hash of it"
            )
