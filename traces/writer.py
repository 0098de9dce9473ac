"""Write a trace while the run goes on: bounded memory, flushed about every second.

The file goes from one flush to the next as a whole (`traces.store`): whatever ends the run, a
killed process or a full disk, leaves the state of the last flush.
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
from traces.columns import CHUNK_VALUES, COMPRESSION
from traces.content import content_hash_of, header_hash, header_of
from traces.errors import TraceFormatError, TraceWriteError
from traces.layout import LAYOUT_VERSION, MAGIC, TABLES, RecordedPopulation
from traces.order import in_order, in_time
from traces.reports import Reports
from traces.seal import close_sealed, unsealed
from traces.store import Store, uninterrupted
from traces.tables import Tables
from traces.trace import Trace

Array = NDArray[Any]

BUFFER_BYTES = 1 << 24
"""Bytes of all tables together that are held before they are written."""
FLUSH_S = 1.0
NOTE_BYTES = 60_000
"""Longest text in the provenance; HDF5 holds attributes of less than 64 KiB."""
CHECKPOINTS_KEPT = 2

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
    attachments : mapping of name to (header, arrays), optional
        What the run is made from, as bundles (`traces.bundle`). The file appears with them or not
        at all, so that whatever is there can be gone on with.
    compression : {"none", "fast", "small"}
        How columns are packed; libsonata reads ``none`` alone.
    buffer_bytes : int
        Bytes of all tables together that are held before they are written. Besides these, HDF5
        holds one block of each column, together about a fourth of it, and a flush needs what it
        changes in the file already written: memory stays below four times the buffer, however
        long the run.
    overwrite : bool
        Whether a file of this name may be replaced.

    Attributes
    ----------
    path : Path
    n_ticks : int
        Ticks of all samples.
    file : h5py.File
    tables : Tables
        For `traces.recover`, which copies also what there is no call for.

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
        attachments: Mapping[str, tuple[Mapping[str, Any], Mapping[str, Array]]] | None = None,
        compression: Literal["none", "fast", "small"] = "none",
        buffer_bytes: int = BUFFER_BYTES,
        overwrite: bool = False,
    ) -> None:
        path = Path(path)
        self._check(populations, samples, ticks, input_ticks, compression)
        _check_notes(provenance)
        if not overwrite and path.exists():
            raise FileExistsError(f"{path} exists; choose another name or remove it")
        try:
            store = Store.create(path)
        except OSError as error:
            raise _not_created(path, error) from error
        self._store = store
        self.file: Any = None
        try:
            with uninterrupted():
                self.file = file = _h5(
                    store, "w", n_tables=len(populations), buffer_bytes=buffer_bytes
                )
                root = file.attrs
                root["magic"], root["layout_version"], root["kind"] = MAGIC, LAYOUT_VERSION, kind
                root["samples"], root["ticks"], root["input_ticks"] = samples, ticks, input_ticks
                root["dt_s"], root["complete"], root["whole_ticks"] = dt_s, False, 0
                names = [p.name for p in populations]
                root.create("populations", names, dtype=h5py.string_dtype())
                file.create_group("provenance").attrs.update(provenance)
                self._begin(store, file, populations, samples * ticks, buffer_bytes, compression)
                for population in populations:
                    self._add_population(population)
                for name, bundle in (attachments or {}).items():
                    write_bundle(file.create_group(f"attached/{name}"), *bundle)
                self._header = header_of(file)
                self._commit()
                store.publish(overwrite=overwrite)
        except FileExistsError:
            self._close_quietly()
            raise FileExistsError(f"{path} exists; choose another name or remove it") from None
        except _DISK_TROUBLE as error:
            self._close_quietly()
            raise _not_created(path, error) from error
        except BaseException:
            self._close_quietly()
            raise

    def _begin(
        self,
        store: Store,
        file: Any,
        populations: Sequence[RecordedPopulation],
        n_ticks: int,
        buffer_bytes: int,
        compression: str,
    ) -> None:
        self.path = store.path
        self._store, self.file, self.n_ticks = store, file, n_ticks
        self._populations = {p.name: p for p in populations}
        self.tables = Tables(file, compression=compression)
        self._reports = Reports(file, self.tables, n_ticks)
        self._buffer_bytes = buffer_bytes
        self._last_flush = time.monotonic()
        self._whole_tick = self._flushed_tick = -1
        self._broken = False

    @classmethod
    def resume(
        cls,
        path: str | Path,
        tick: int,
        *,
        stimulus_tick: int | None = None,
        compression: Literal["none", "fast", "small"] = "none",
        buffer_bytes: int = BUFFER_BYTES,
    ) -> "TraceWriter":
        """Go on writing a trace whose run broke off.

        Parameters
        ----------
        path : path
        tick : int
            Tick of the trace that is written next; what is there of it and of later ticks, and
            checkpoints of later ticks, are dropped.
        stimulus_tick : int, optional
            Tick from which the stimulus is written again, if another: a sample's stimulus may
            have been written before the sample ran.
        compression : {"none", "fast", "small"}
            Of tables that are not there yet.
        buffer_bytes : int

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        ValueError
            If the trace is complete, of an earlier layout, or does not reach this tick.
        TraceFormatError
            If it is no trace or a damaged one.
        TraceWriteError
            If another process holds it, or it cannot be written on.
        """
        path = Path(path)
        _check_compression(compression)
        with Trace.open(path) as trace:
            populations, n_ticks = trace.populations, trace.samples * trace.ticks
            _check_resumable(trace, tick)
        writer = cls.__new__(cls)
        try:
            store = Store.change(path)
        except BlockingIOError:
            raise TraceWriteError(f"{path}: is held by another process; wait for it") from None
        except OSError as error:
            raise TraceWriteError(f"{path}: cannot be written on ({_reason(error)})") from error
        writer._store = store
        writer.file = None
        try:
            unsealed(store)
            with uninterrupted():
                writer.file = file = _h5(
                    store, "r+", n_tables=len(populations), buffer_bytes=buffer_bytes
                )
                writer._begin(store, file, populations, n_ticks, buffer_bytes, compression)
                writer._cut(tick, tick if stimulus_tick is None else stimulus_tick)
                writer._header = header_of(file)
                writer._commit()
        except _DISK_TROUBLE as error:
            writer._close_quietly()
            raise TraceWriteError(f"{path}: cannot be written on ({_reason(error)})") from error
        except BaseException:
            writer._close_quietly()
            raise
        return writer

    def _cut(self, tick: int, stimulus_tick: int) -> None:
        for name, population in self._populations.items():
            self.tables.open(f"/spikes/{name}", population.columns)
        self.tables.reopen()
        self.tables.cut(tick, stimulus_tick)
        # Totals are written at the end of a run, which the run that broke off may have seen.
        for name in list(self.file.get("counters", {})):
            if f"/counters/{name}" not in self.tables:
                del self.file[f"counters/{name}"]
        for at in self._checkpoints():
            if at > tick:
                del self.file[_checkpoint_path(at)]
        self._whole_tick = self._flushed_tick = tick - 1

    @staticmethod
    def _check(
        populations: Sequence[RecordedPopulation],
        samples: int,
        ticks: int,
        input_ticks: int,
        compression: str,
    ) -> None:
        _check_compression(compression)
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
        group = self.file.create_group(f"spikes/{population.name}")
        sorting = h5py.enum_dtype({"none": 0, "by_id": 1, "by_time": 2}, basetype="u1")
        group.attrs.create("sorting", 2, dtype=sorting)
        group.attrs["shape"] = population.shape
        for name in ("lag", "output", "spiking"):
            group.attrs[name] = getattr(population, name)
        # Large blocks for long runs; a short one must not take more space than it needs.
        most = self.n_ticks * population.size
        rows = 1 << min(max((most // 256).bit_length(), 10), 16)
        share = self._buffer_bytes // (64 * max(len(self._populations), 1))
        rows = min(rows, max(1 << share.bit_length() >> 1, 1 << 10))
        self.tables.open(group.name, population.columns, chunk_rows=rows)
        group["timestamps"].attrs["units"] = "ticks"

    def spikes(
        self,
        population: str,
        ticks: Array,
        neurons: Array,
        payload: Array | None = None,
        sent_ps: Array | None = None,
    ) -> None:
        """Append spikes; a batch holds whole ticks and is sorted here by tick, then neuron.

        Parameters
        ----------
        population : str
        ticks, neurons : int array [n_spikes]
        payload, sent_ps : int array [n_spikes], optional
            For populations that were declared with them, and only for these.

        Raises
        ------
        ValueError
            If a batch goes back in time, or names a tick or neuron that is not there, or lacks a
            payload or times.
        """
        recorded = self._populations[population]
        columns = {"timestamps": ticks, "node_ids": neurons}
        for name, values in (("payload", payload), ("sent_ps", sent_ps)):
            declared = getattr(recorded, name)
            if declared != (values is not None):
                wants = "carry" if declared else "do not carry"
                raise ValueError(f"spikes of population {population!r} {wants} a {name}")
            if values is not None:
                columns[name] = values
        key = f"/spikes/{population}"
        before = self.tables.latest[key]
        self._append(key, f"population {population!r}", columns, recorded.size)
        if len(ticks):
            # Other populations may still owe the ticks of this batch, but not those of the last.
            alone = len(self._populations) == 1
            self._whole_tick = max(self._whole_tick, self.tables.latest[key] if alone else before)
        self._after()

    def _append(
        self, key: str, what: str, events: Mapping[str, Array], size: int | None = None
    ) -> None:
        if len(events["timestamps"]):
            latest = self.tables.latest[key]
            rows = in_order(what, events, latest=latest, n_ticks=self.n_ticks, size=size)
            # Looked at by `in_order`, unless numbers have no end.
            known = ("timestamps", "node_ids") if size is not None else ("timestamps",)
            self.tables.add(key, rows, fitting=known)

    def state(
        self,
        population: str,
        variable: str,
        frames: Array,
        *,
        scale: float,
        offset: float = 0.0,
        ticks: Array | None = None,
        neurons: Array | None = None,
        first_tick: int | None = None,
        stored: Any = None,
    ) -> None:
        """Append frames of states; physical value = stored * scale + offset.

        Parameters
        ----------
        variable : str
            ``v`` the membrane; ``u``, ``u1``, ... synaptic currents.
        frames : int or float array [n_frames, n]
        ticks : int array [n_frames], optional
            Their ticks, ascending; every tick from 0 on if left out. Either always or never.
        neurons : int array [n], optional
            Whose states these are, ascending, always the same; all of the population if left out.
        first_tick : int, optional
            Tick of the first frame, to have it checked where ticks are left out.
        stored : dtype, optional
            float32, float64, int32 or int64. If left out, float32, which SONATA wants and which
            holds integers of 25 bits with their sign, as long as it holds every value exactly;
            from then on a type that does.

        Raises
        ------
        ValueError
            If the frames are not of these neurons, not those that come next, or whole numbers
            that the type cannot hold.
        """
        recorded = self._populations[population]
        checked, with_ticks = self._reports.checked(
            recorded, variable, frames, ticks, neurons, stored
        )
        following = int(checked.ticks[0]) if checked.ticks.size else first_tick
        if first_tick is not None and first_tick != following:
            raise ValueError(
                f"{variable!r} of population {population!r}: the next frame is that of tick "
                f"{following}, not {first_tick}; every tick needs one"
            )
        if not checked.neurons.size:
            return
        with self._writing():
            self._reports.prepare(recorded, variable, checked, with_ticks, scale, offset, stored)
        self._reports.add(population, variable, checked, with_ticks)
        self._after()

    def stimulus_spikes(self, name: str, ticks: Array, channels: Array, payloads: Array) -> None:
        """Append input spikes, int arrays [n_spikes]; a batch holds whole ticks."""
        self._stimulus("spikes", name, timestamps=ticks, node_ids=channels, payload=payloads)

    def stimulus_currents(self, name: str, ticks: Array, neurons: Array, values: Array) -> None:
        """Append changes of constant currents; a value holds until the neuron's next change."""
        self._stimulus("currents", name, timestamps=ticks, node_ids=neurons, values=values)

    def _stimulus(self, kind: str, name: str, **events: Array) -> None:
        key = f"/stimulus/{kind}/{name}"
        # Currents are integers on a chip and floats in its float simulation.
        types = {
            n: np.float64 if np.asarray(v).dtype.kind == "f" else np.int64
            for n, v in events.items()
        }
        self._open(key, types, chunk_rows=1 << 12)
        self._append(key, f"stimulus of {name!r}", events)
        self._after()

    def _open(self, key: str, types: Mapping[str, Any], **how: Any) -> bool:
        """Make a table at its first use; whether it was made."""
        if key in self.tables:
            return False
        with self._writing():
            self.tables.open(key, types, **how)
        return True

    def packets(self, *, inputs: Sequence[str] = (), **columns: Array) -> None:
        """Append packets, one row for each and each destination; a batch holds whole ticks.

        Parameters
        ----------
        inputs : sequence of str
            Names that ``source_kind`` counts after the populations; those of the first call count.
        **columns : int array [n_packets]
            As in `traces.layout.TABLES`.

        Raises
        ------
        ValueError
            If columns are missing or do not fit, or the batch goes back in time.
        """
        self._event_table("packets", columns, inputs=inputs)

    def triggers(self, *, kinds: Sequence[str] = (), **columns: Array) -> None:
        """Append triggers that fired; a batch holds whole ticks.

        Parameters
        ----------
        kinds : sequence of str
            Names that ``kind`` counts; those of the first call count.
        **columns : int array [n_triggers]
            As in `traces.layout.TABLES`; -1 where a trigger is of no population or neuron.

        Raises
        ------
        ValueError
            If columns are missing or do not fit, or the batch goes back in time.
        """
        self._event_table("triggers", columns, kinds=kinds)

    def _event_table(self, name: str, columns: Mapping[str, Array], **names: Sequence[str]) -> None:
        layout, key = TABLES[name], f"/{name}"
        if columns.keys() != layout.types.keys():
            raise ValueError(
                f"{name}: columns must be {', '.join(layout.types)}, not {', '.join(columns)}"
            )
        # Large blocks for long runs, as with spikes.
        rows = min(CHUNK_VALUES, max(self.n_ticks, 1 << 10))
        if self._open(key, layout.types, chunk_rows=rows):
            with self._writing():
                for about, values in names.items():
                    text = h5py.string_dtype()
                    self.tables[key].group.attrs.create(about, list(values), dtype=text)
        if len(columns["timestamps"]):
            latest = self.tables.latest[key]
            by = layout.sorted_by
            rows_in_time = in_time(name, columns, by, latest=latest, n_ticks=self.n_ticks)
            self.tables.add(key, rows_in_time)
        self._after()

    def tick_counters(self, **columns: Array) -> None:
        """Append counters of consecutive ticks, int64 [n_ticks] each; always the same names."""
        key = "/counters/tick"
        rows = min(max(self.n_ticks, 1), 1 << 13)
        self._open(key, dict.fromkeys(columns, np.int64), chunk_rows=rows)
        before = self.tables[key].n_added
        self.tables.add(key, columns)
        # As with spikes: what else belongs to the ticks before this batch has come.
        self._whole_tick = max(self._whole_tick, before - 1)
        self._after()

    def core_tick_counters(self, **columns: Array) -> None:
        """Append counters of each core in consecutive ticks, int64 [n_ticks, n_cores] each."""
        key = "/counters/core_tick"
        wide = {name: np.asarray(values) for name, values in columns.items()}
        if any(values.ndim != 2 or not values.shape[1] for values in wide.values()):
            raise ValueError(f"{key}: columns must be [n_ticks, n_cores]")
        self._open(
            key,
            dict.fromkeys(wide, np.int64),
            chunk_rows=min(max(self.n_ticks, 1), 1 << 13),
            widths={name: values.shape[1] for name, values in wide.items()},
        )
        self.tables.add(key, wide)
        self._after()

    def totals(self, table: str, columns: Mapping[str, Array]) -> None:
        """Write totals of the run below ``/counters/<table>``; a second call replaces them.

        Parameters
        ----------
        table : str
            What is counted by: ``core``, ``link`` or ``latency``.
        columns : mapping of name to int array
            Of the same length; stored as int64.
        """
        self._replace(f"counters/{table}", columns)

    def cores(self, **columns: Array) -> None:
        """Write what is known of each core before the run, int64 [n_cores] each.

        Parameters
        ----------
        place : its number on the chip
        neurons : how many it holds
        """
        self._replace("cores", columns)

    def _replace(self, group: str, columns: Mapping[str, Array]) -> None:
        with self._writing():
            for name, values in columns.items():
                path = f"{group}/{name}"
                if path in self.file:
                    del self.file[path]
                self.file[path] = np.asarray(values, np.int64)

    def attach(self, name: str, header: Mapping[str, Any], arrays: Mapping[str, Array]) -> None:
        """Write what the run was made from as a bundle; see `traces.bundle`."""
        with self._writing():
            write_bundle(self.file.create_group(f"attached/{name}"), header, arrays)

    def checkpoint(
        self,
        tick: int,
        header: Mapping[str, Any],
        arrays: Mapping[str, Array],
        *,
        keep: bool = False,
    ) -> None:
        """Flush, with the state in which the run goes on at a tick; both are there or neither.

        All that belongs to earlier ticks must have been handed over. Of the checkpoints that are
        not to be kept the newest two remain.

        Parameters
        ----------
        tick : int
            Tick of the trace that comes next.
        header, arrays
            The state as a bundle, see `traces.bundle`.
        keep : bool
            Whether it stays whatever comes later.
        """
        if not 0 <= tick <= self.n_ticks:
            raise ValueError(
                f"checkpoint at tick {tick}: the trace has {self.n_ticks} ticks (samples × ticks)"
            )
        with self._writing():
            path = _checkpoint_path(tick)
            if path in self.file:
                del self.file[path]
            group = self.file.create_group(path)
            write_bundle(group, header, arrays)
            group.attrs["keep"] = keep
            passing = [at for at in self._checkpoints() if not self._kept(at)]
            for at in passing[:-CHECKPOINTS_KEPT]:
                del self.file[_checkpoint_path(at)]
        self._whole_tick = max(self._whole_tick, tick - 1)
        self.flush()

    def _checkpoints(self) -> list[int]:
        return sorted(int(name) for name in self.file.get("checkpoints", {}))

    def _kept(self, tick: int) -> bool:
        return bool(self.file[_checkpoint_path(tick)].attrs["keep"])

    def note(self, **provenance: str | int | float) -> None:
        """Add to the provenance.

        Raises
        ------
        ValueError
            If a text is too long for an attribute of the file.
        """
        _check_notes(provenance)
        with self._writing():
            self.file["provenance"].attrs.update(provenance)

    @staticmethod
    def add_notes(path: str | Path, **provenance: str | int | float) -> None:
        """Add to the provenance of a finished trace, which its content hash leaves out.

        Does not wait for those who read the trace meanwhile.

        Raises
        ------
        TraceFormatError
            If the file is damaged.
        TraceWriteError
            If the file cannot be written on.
        """
        _check_notes(provenance)
        try:
            Trace.open(path).close()
            store = Store.change(Path(path), small=True)
            try:
                unsealed(store)
                with uninterrupted():
                    file = h5py.File(store, "r+")
                    file["provenance"].attrs.update(provenance)
                    close_sealed(file, store)
            finally:
                store.close()
        except TraceFormatError:
            raise
        except _DISK_TROUBLE as error:
            raise TraceWriteError(f"{path}: cannot be written on ({_reason(error)})") from error

    def _after(self) -> None:
        late = time.monotonic() - self._last_flush > FLUSH_S
        held = self.tables.n_held_bytes + self._store.n_held_bytes
        if late or held >= self._buffer_bytes:
            self.flush()

    def flush(self) -> None:
        """Write all buffers and bring the file on disk up to date, all of it or nothing."""
        with self._writing():
            if not self._store.there():
                raise FileNotFoundError(f"{self.path} has vanished")
            self._commit()
        self._last_flush = time.monotonic()

    def _commit(self) -> None:
        self.tables.write()
        whole = self._whole_tick + 1
        self.file.attrs.modify("whole_ticks", whole)
        self._header.root["whole_ticks"] = str(whole)
        digest = header_hash(self._header, self.tables.lengths())
        self.file.attrs["header_sha256"] = np.bytes_(digest)
        self.file.flush()
        self._store.commit()
        self._flushed_tick = self._whole_tick

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Turn whatever goes wrong with the file into one error, after saving what there is."""
        if self._broken:
            raise TraceWriteError(f"{self.path}: is closed, or an earlier write failed")
        with uninterrupted():
            try:
                yield
            except _DISK_TROUBLE as error:
                self._fail(error)

    def _fail(self, error: Exception) -> NoReturn:
        there = self._store.there()
        self._close_quietly()
        if not there:
            state = "is gone"
        elif self._flushed_tick >= 0:
            state = f"is readable up to tick {self._flushed_tick}"
        else:
            state = "holds no spikes yet"
        raise TraceWriteError(
            f"{self.path}: cannot be written on ({_reason(error)}); the file {state}"
        ) from error

    def _close_quietly(self) -> None:
        """Close without a second error; what was flushed is on disk already."""
        self._broken = True
        self._store.abandon()
        if self.file is not None:
            with suppress(*_DISK_TROUBLE):
                self.file.close()
        self._store.close()

    def close(self) -> None:
        """Write the rest, the content hash, and mark the trace as complete; then seal it."""
        if self._broken:
            return
        self.flush()
        with self._writing():
            self._reports.finish()
            del self.file.attrs["whole_ticks"], self.file.attrs["header_sha256"]
            self.file.attrs["content_sha256"] = content_hash_of(self.file)
            self.file.attrs["complete"] = True
            close_sealed(self.file, self._store)
        self._store.close()
        self._broken = True

    def break_off(self) -> None:
        """Write the rest and close, without calling the trace complete."""
        if self._broken:
            return
        self.flush()
        with self._writing():
            close_sealed(self.file, self._store)
        self._store.close()
        self._broken = True

    def of_layout(self, version: int) -> None:
        """Call the trace one of another layout, as a copy of what an earlier version wrote."""
        with self._writing():
            self.file.attrs["layout_version"] = version
            self._header = header_of(self.file)

    def reaches(self, whole_ticks: int) -> None:
        """Take note that all is there of so many ticks from the start."""
        self._whole_tick = whole_ticks - 1

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
        else:
            with suppress(TraceWriteError):
                self.break_off()


def _h5(store: Store, mode: str, *, n_tables: int, buffer_bytes: int) -> Any:
    """Open an HDF5 file that holds no more of its blocks in memory than it must."""
    share = buffer_bytes // (8 * max(n_tables, 1))
    return h5py.File(
        store, mode, libver=("earliest", "v110"), rdcc_nbytes=min(max(share, 1 << 14), 1 << 19)
    )


def _checkpoint_path(tick: int) -> str:
    return f"checkpoints/{tick:012}"


def _not_created(path: Path, error: Exception) -> TraceWriteError:
    if isinstance(error, BlockingIOError):
        return TraceWriteError(f"{path}: is held by another process, and cannot be replaced")
    return TraceWriteError(f"{path}: cannot be created ({_reason(error)})")


def _reason(error: Exception) -> str:
    """Say in one line what the operating system said, which HDF5 wraps in many."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    number = re.search(r"errno = (\d+)", str(error))
    return os.strerror(int(number[1])) if number else " ".join(str(error).split())


def _check_compression(compression: str) -> None:
    if compression not in COMPRESSION:
        raise ValueError(
            f"there is no compression {compression!r}; there are {', '.join(COMPRESSION)}"
        )


def _check_resumable(trace: Trace, tick: int) -> None:
    if trace.layout_version < LAYOUT_VERSION or trace.complete:
        state = "is complete" if trace.complete else f"has layout {trace.layout_version}"
        raise ValueError(f"{trace.path}: {state}; only a trace of layout 2 that broke off goes on")
    if not 0 <= tick <= trace.whole_ticks:
        raise ValueError(
            f"{trace.path}: cannot go on at tick {tick}, it is whole up to tick "
            f"{trace.whole_ticks - 1}"
        )


def _check_notes(provenance: Mapping[str, str | int | float]) -> None:
    for name, value in provenance.items():
        size = len(value.encode()) if isinstance(value, str) else 0
        if size > NOTE_BYTES:
            raise ValueError(
                f"provenance {name!r} has {size:,} bytes, but the file holds {NOTE_BYTES:,} in one "
                f"text; store a hash of it"
            )
