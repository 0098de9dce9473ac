"""Write a trace while the run goes on: bounded memory, flushed about every second.

What was flushed survives a killed process. A full disk is met before HDF5 meets it: free space is
compared with what is about to be written, and a small reserve file beside the trace is given up
when a write fails all the same, so that the file can still be closed in order.
"""

import shutil
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, NoReturn

import h5py
import numpy as np
from numpy.typing import NDArray

from traces.content import content_hash_of
from traces.errors import TraceWriteError
from traces.layout import LAYOUT_VERSION, MAGIC, RecordedPopulation

try:
    import resource
except ImportError:  # not there on Windows, where files have no such limit
    resource = None  # type: ignore[assignment]

Array = NDArray[Any]

BUFFER_EVENTS = 1 << 16
"""Events of one column set that are held before they are written."""
FLUSH_S = 1.0
RESERVE_BYTES = 1 << 20
MARGIN_BYTES = 1 << 18
"""Free space that must be left after a write, for the file's own bookkeeping."""


class _Columns:
    """Some datasets that grow together, with a buffer."""

    def __init__(self, group: Any, columns: Mapping[str, type], width: int = 0) -> None:
        self.group = group
        self.n_held = 0
        self._held: dict[str, list[Array]] = {name: [] for name in columns}
        self.n_chunk_bytes = 0
        tail = (width,) if width else ()
        chunk = max(BUFFER_EVENTS // 16 // max(width, 1), 16)
        for name, dtype in columns.items():
            self.n_chunk_bytes += chunk * max(width, 1) * np.dtype(dtype).itemsize
            group.create_dataset(
                name, shape=(0, *tail), maxshape=(None, *tail), chunks=(chunk, *tail), dtype=dtype
            )

    def add(self, **columns: Array) -> None:
        for name, values in columns.items():
            self._held[name].append(np.asarray(values))
        self.n_held += len(next(iter(columns.values())))

    @property
    def n_bytes(self) -> int:
        """Bytes that wait to be written, at most."""
        return sum(part.size * 8 for parts in self._held.values() for part in parts)

    def write(self) -> None:
        if not self.n_held:
            return
        for name, parts in self._held.items():
            values = np.concatenate(parts)
            dataset = self.group[name]
            before = dataset.shape[0]
            dataset.resize(before + len(values), axis=0)
            dataset[before:] = values
        self._held = {name: [] for name in self._held}
        self.n_held = 0


def _room(path: Path) -> int:
    """Bytes that a file may still grow: free space, or what a limit on file sizes leaves."""
    free = shutil.disk_usage(path.parent).free
    if resource is not None:
        limit, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
        if limit != resource.RLIM_INFINITY:
            free = min(free, limit - path.stat().st_size)
    return free


class TraceWriter:
    """Append to a new trace file; use it in a ``with`` statement.

    Parameters
    ----------
    path : path
        Must not exist.
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

    Raises
    ------
    FileExistsError
        If there is such a file.
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
    ) -> None:
        self.path = Path(path)
        if self.path.exists():
            raise FileExistsError(f"{self.path} exists; choose another name or remove it")
        self._populations = {p.name: p for p in populations}
        self._columns: dict[str, _Columns] = {}
        self._last_flush = time.monotonic()
        self._latest = dict.fromkeys(self._populations, -1)
        self._last_tick = -1
        self._flushed_tick = -1
        self._broken = False
        self._reserve = self.path.with_name(f".{self.path.name}.reserve")
        try:
            # Space for closing the file in order is taken before the run, not when it is gone.
            self._reserve.write_bytes(bytes(RESERVE_BYTES))
            self._file = h5py.File(self.path, "w", libver=("earliest", "v110"))
        except OSError as error:
            self._give_up_reserve()
            raise TraceWriteError(
                f"{self.path}: cannot be created ({error.strerror or error})"
            ) from error
        root = self._file.attrs
        root["magic"], root["layout_version"], root["kind"] = MAGIC, LAYOUT_VERSION, kind
        root["samples"], root["ticks"], root["input_ticks"] = samples, ticks, input_ticks
        root["dt_s"], root["complete"] = dt_s, False
        root.create("populations", [p.name for p in populations], dtype=h5py.string_dtype())
        self._file.create_group("provenance")
        self.note(**provenance)
        for population in populations:
            self._add_population(population)
        self._tick_columns: _Columns | None = None
        self.flush()

    def _add_population(self, population: RecordedPopulation) -> None:
        group = self._file.create_group(f"spikes/{population.name}")
        sorting = h5py.enum_dtype({"none": 0, "by_id": 1, "by_time": 2}, basetype="u1")
        group.attrs.create("sorting", 2, dtype=sorting)
        group.attrs["shape"] = population.shape
        for name in ("lag", "output", "spiking"):
            group.attrs[name] = getattr(population, name)
        columns = _Columns(group, {"timestamps": np.uint64, "node_ids": np.uint32})
        group["timestamps"].attrs["units"] = "ticks"
        self._columns[group.name] = columns

    def spikes(self, population: str, ticks: Array, neurons: Array) -> None:
        """Append spikes; a batch holds whole ticks and is sorted here by tick, then neuron.

        Raises
        ------
        ValueError
            If a batch goes back in time, or names a neuron that is not there.
        """
        if not len(ticks):
            return
        size = self._populations[population].size
        if np.min(neurons) < 0 or np.max(neurons) >= size:
            raise ValueError(f"population {population!r} has {size} neurons, not {np.max(neurons)}")
        order = np.lexsort((neurons, ticks))
        ticks, neurons = np.asarray(ticks)[order], np.asarray(neurons)[order]
        if ticks[0] <= self._latest[population]:
            raise ValueError(
                f"population {population!r}: tick {ticks[0]} comes after tick "
                f"{self._latest[population]}; each batch must hold whole ticks, later than the last"
            )
        self._latest[population] = int(ticks[-1])
        self._last_tick = max(self._last_tick, int(ticks[-1]))
        columns = self._columns[f"/spikes/{population}"]
        columns.add(timestamps=ticks.astype(np.uint64), node_ids=neurons.astype(np.uint32))
        self._after(columns)

    def state(
        self, population: str, variable: str, frames: Array, *, scale: float, offset: float = 0.0
    ) -> None:
        """Append one frame a tick, starting at tick 0; physical value = stored * scale + offset.

        Parameters
        ----------
        frames : int or float array [n_ticks, n]
        """
        key = f"/reports/{population}_{variable}/{population}"
        if key not in self._columns:
            self._add_report(key, self._populations[population].size, scale, offset)
        columns = self._columns[key]
        # The SONATA format wants float32, which holds registers of up to 25 bits exactly.
        columns.add(data=np.asarray(frames, np.float32))
        self._after(columns)

    def _add_report(self, key: str, size: int, scale: float, offset: float) -> None:
        group = self._file.create_group(key)
        self._columns[key] = _Columns(group, {"data": np.float32}, width=size)
        group["data"].attrs["units"] = "membrane units"
        group["data"].attrs["scale"], group["data"].attrs["offset"] = scale, offset
        mapping = group.create_group("mapping")
        mapping["node_ids"] = np.arange(size, dtype=np.uint64)
        mapping["index_pointers"] = np.arange(size + 1, dtype=np.uint64)
        mapping["element_ids"] = np.zeros(size, np.uint32)
        ticks = float(self._file.attrs["samples"] * self._file.attrs["ticks"])
        mapping["time"] = np.array([0.0, ticks, 1.0])
        mapping["time"].attrs["units"] = "ticks"

    def stimulus_spikes(self, name: str, ticks: Array, channels: Array, payloads: Array) -> None:
        """Append input spikes."""
        self._stimulus("spikes", name, timestamps=ticks, node_ids=channels, payload=payloads)

    def stimulus_currents(self, name: str, ticks: Array, neurons: Array, values: Array) -> None:
        """Append changes of constant currents; a value holds until the neuron's next change."""
        self._stimulus("currents", name, timestamps=ticks, node_ids=neurons, values=values)

    def _stimulus(self, kind: str, name: str, **events: Array) -> None:
        key = f"/stimulus/{kind}/{name}"
        if key not in self._columns:
            types: dict[str, type] = {
                n: v.dtype.type if n == "values" else np.int64 for n, v in events.items()
            }
            self._columns[key] = _Columns(self._file.create_group(key), types)
        self._columns[key].add(**events)
        self._after(self._columns[key])

    def tick_counters(self, **columns: Array) -> None:
        """Append counters of consecutive ticks, int64 [n_ticks] each."""
        key = "/counters/tick"
        if key not in self._columns:
            types = dict.fromkeys(columns, np.int64)
            self._columns[key] = _Columns(self._file.create_group(key), types)
        self._columns[key].add(**columns)
        self._after(self._columns[key])

    def core_counters(self, columns: Mapping[str, Array]) -> None:
        """Write each core's totals, int64 [n_cores] each."""
        for name, values in columns.items():
            self._file[f"counters/core/{name}"] = np.asarray(values, np.int64)

    def note(self, **provenance: str | int | float) -> None:
        """Add to the provenance."""
        self._file["provenance"].attrs.update(provenance)

    @staticmethod
    def add_notes(path: str | Path, **provenance: str | int | float) -> None:
        """Add to the provenance of a finished trace, which its content hash leaves out."""
        try:
            with h5py.File(path, "r+") as file:
                file["provenance"].attrs.update(provenance)
        except (OSError, RuntimeError) as error:
            raise TraceWriteError(f"{path}: cannot be written on ({error})") from error

    def _after(self, columns: _Columns) -> None:
        late = time.monotonic() - self._last_flush > FLUSH_S
        if late or columns.n_held >= BUFFER_EVENTS:
            self.flush()

    def flush(self) -> None:
        """Write all buffers and bring the file on disk up to date."""
        if self._broken:
            raise TraceWriteError(f"{self.path}: an earlier write failed")
        needed = sum(columns.n_bytes for columns in self._columns.values())
        try:
            if not self.path.exists():
                raise FileNotFoundError(f"{self.path} has vanished")
            needed += MARGIN_BYTES + sum(
                columns.n_chunk_bytes for columns in self._columns.values()
            )
            free = _room(self.path)
            if free < needed:
                raise OSError(f"{free:,} bytes are free, {needed:,} are needed")
            for columns in self._columns.values():
                columns.write()
            self._file.flush()
        except (OSError, RuntimeError, ValueError) as error:
            self._fail(error)
        self._flushed_tick = self._last_tick
        self._last_flush = time.monotonic()

    def _fail(self, error: Exception) -> NoReturn:
        self._broken = True
        self._give_up_reserve()
        self._close_quietly()
        readable = (
            f"readable up to tick {self._flushed_tick}"
            if self._flushed_tick >= 0
            else "holds no spikes yet"
        )
        if not self.path.exists():
            readable = "is gone"
        raise TraceWriteError(f"{self.path}: cannot be written on ({error}); the file {readable}")

    def _close_quietly(self) -> None:
        """Close without a second error; what was flushed is on disk already."""
        with suppress(OSError, RuntimeError, ValueError):
            self._file.close()

    def _give_up_reserve(self) -> None:
        self._reserve.unlink(missing_ok=True)

    def close(self) -> None:
        """Write the rest, the content hash, and mark the trace as complete."""
        if self._broken:
            return
        self.flush()
        try:
            self._file.attrs["content_sha256"] = content_hash_of(self._file)
            self._file.attrs["complete"] = True
            self._file.flush()
            self._file.close()
        except (OSError, RuntimeError) as error:
            self._fail(error)
        self._broken = True
        self._give_up_reserve()

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
            self._broken = True
        self._give_up_reserve()
