"""Read a trace lazily: a window of ticks, one population, nothing else."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

import h5py
import numpy as np
from numpy.typing import NDArray

from traces.bundle import Bundle, read_bundle
from traces.content import content_hash_of, header_hash, header_of
from traces.errors import TraceFormatError
from traces.events import Events, first_outside
from traces.layout import LAYOUT_VERSION, MAGIC, TABLES, RecordedPopulation
from traces.reports import Frames, report_path
from traces.store import Store
from traces.tables import lengths_of
from traces.walk import check

Array = NDArray[Any]

_DAMAGE = (OSError, RuntimeError, KeyError, TypeError, ValueError)


class Spikes(NamedTuple):
    """Spikes sorted by tick, then neuron; int64 [n_spikes]; payload None where there is none."""

    ticks: Array
    neurons: Array
    payload: Array | None = None


class Packets(NamedTuple):
    """Packets, one row for each and each destination; int64 [n_packets].

    ``source_kind`` counts the trace's populations, then `Trace.packet_inputs`; ``source`` is a
    neuron or channel there, ``core`` the place of the destination on the chip; times are ps into
    the tick.
    """

    timestamps: Array
    source_kind: Array
    source: Array
    core: Array
    hops: Array
    left_ps: Array
    arrived_ps: Array
    done_ps: Array


class Triggers(NamedTuple):
    """Triggers that fired; int64 [n_triggers].

    ``kind`` counts `Trace.trigger_kinds`; ``population`` and ``neuron`` are -1 where there is none.
    """

    timestamps: Array
    kind: Array
    population: Array
    neuron: Array


class Currents(NamedTuple):
    """Changes of constant currents, sorted by tick, then neuron; [n_changes]."""

    ticks: Array
    neurons: Array
    values: Array


class Trace:
    """An open trace file; use `Trace.open`, best in a ``with`` statement.

    Attributes
    ----------
    kind : str
        ``chip`` or ``float``.
    samples, ticks, input_ticks : int
        Tick ``t`` of sample ``k`` is tick ``k * ticks + t`` of the trace.
    dt_s : float
    layout_version : int
    populations : tuple of RecordedPopulation
    complete : bool
        False for a run that broke off.
    content_sha256 : str or None
        As written at the end of the run; `content_hash` counts again.
    provenance : dict
    """

    def __init__(self, file: Any, store: Store) -> None:
        self._file = file
        self._store = store
        self.path = path = store.path
        root = dict(file.attrs)
        if root.get("magic") != MAGIC:
            raise TraceFormatError(f"{path}: an HDF5 file, but no trace of spikefab")
        self.layout_version = int(root.get("layout_version", -1))
        if self.layout_version < 1:
            raise TraceFormatError(
                f"{path}: damaged, it does not say which layout it has; this program reads 1 to "
                f"{LAYOUT_VERSION}"
            )
        if self.layout_version > LAYOUT_VERSION:
            raise TraceFormatError(
                f"{path}: layout version {self.layout_version}, but this program reads up to "
                f"{LAYOUT_VERSION}; update spikefab"
            )
        wanted = ("kind", "samples", "ticks", "input_ticks", "dt_s", "complete", "populations")
        missing = [name for name in wanted if name not in root]
        if missing:
            raise TraceFormatError(f"{path}: damaged, lacks the attributes {', '.join(missing)}")
        self.kind = str(root["kind"])
        self.samples, self.ticks = int(root["samples"]), int(root["ticks"])
        self.input_ticks, self.dt_s = int(root["input_ticks"]), float(root["dt_s"])
        self.complete = bool(root["complete"])
        if self.samples < 0 or self.ticks < 1:
            raise TraceFormatError(
                f"{path}: damaged, {self.samples} samples of {self.ticks} ticks cannot be"
            )
        told = root.get("content_sha256")
        self.content_sha256 = None if told is None else str(told)
        self.populations = tuple(self._population(str(name)) for name in root["populations"])
        self._whole_ticks = root.get("whole_ticks")
        header = root.get("header_sha256")
        if header is not None and bytes(header).decode() != header_hash(
            header_of(file), lengths_of(file)
        ):
            raise TraceFormatError(
                f"{path}: damaged, its header differs from its checksum; spikefab recover saves "
                f"what can be read"
            )
        notes = self._group("provenance").attrs
        self.provenance = {name: _note(notes, name) for name in notes}

    @staticmethod
    def open(path: str | Path) -> "Trace":
        """Open a trace.

        Raises
        ------
        FileNotFoundError, PermissionError
            If there is no such file, or the user may not read it.
        TraceFormatError
            If it is no trace, is damaged, is being written, or comes from a newer version.
        """
        path = Path(path)
        if path.is_dir():
            raise TraceFormatError(f"{path}: this is a folder, not a trace")
        if not path.exists():
            raise FileNotFoundError(f"{path}: there is no such file")
        try:
            store = Store.read(path)
        except PermissionError:
            raise PermissionError(f"{path}: may not be read by this user") from None
        except BlockingIOError:
            raise TraceFormatError(
                f"{path}: is being written; open it when the run has ended"
            ) from None
        except OSError as error:
            raise TraceFormatError(f"{path}: cannot be read ({error.strerror})") from None
        file = None
        try:
            check(store)
            file = _h5(store)
            return Trace(file, store)
        except BaseException as error:
            if file is not None:
                file.close()
            store.close()
            if isinstance(error, TraceFormatError) or not isinstance(error, _DAMAGE):
                raise
            raise TraceFormatError(f"{path}: damaged ({error})") from None

    def _population(self, name: str) -> RecordedPopulation:
        group = self._group(f"spikes/{name}")
        for column in ("timestamps", "node_ids"):
            self._dataset(f"spikes/{name}/{column}")
        about = group.attrs
        return RecordedPopulation(
            name=name,
            shape=tuple(int(n) for n in about["shape"]),
            lag=int(about["lag"]),
            output=bool(about["output"]),
            spiking=bool(about["spiking"]),
            payload="payload" in group,
            sent_ps="sent_ps" in group,
        )

    @property
    def whole_ticks(self) -> int:
        """Ticks from the start of which everything is there; all of them of a complete trace."""
        most = self.samples * self.ticks
        if self.complete:
            return most
        if self._whole_ticks is not None:
            return min(max(int(self._whole_ticks), 0), most)
        # Files of earlier writers do not say: chips' count ticks, and before the last tick with a
        # spike the others are whole.
        counted = [d.shape[0] for d in self._group_of("counters/tick") if d.shape]
        return min(max([*counted, *map(self._last_tick, self.populations)], default=0), most)

    def _group_of(self, path: str) -> list[Any]:
        return list(self._file[path].values()) if path in self._file else []

    def _last_tick(self, population: RecordedPopulation) -> int:
        n = self.n_spikes(population.name)
        ticks = self._dataset(f"spikes/{population.name}/timestamps")
        return int(self._read(ticks, n - 1, n)[0]) if n else 0

    def population(self, name: str) -> RecordedPopulation:
        """Return the population of this name."""
        found = {population.name: population for population in self.populations}
        return found[self._known("population", name, found)]

    def _known(self, what: str, name: str, known: Sequence[str] | Mapping[str, Any]) -> str:
        if name not in known:
            there = ", ".join(known) or "none"
            raise KeyError(f"{self.path}: no {what} {name!r}; there are: {there}")
        return name

    def _group(self, path: str) -> Any:
        item = self._file.get(path)
        if not isinstance(item, h5py.Group):
            raise TraceFormatError(f"{self.path}: damaged, the group '/{path}' is missing")
        return item

    def _dataset(self, path: str) -> Any:
        item = self._file.get(path)
        if not isinstance(item, h5py.Dataset):
            raise TraceFormatError(f"{self.path}: damaged, the dataset '/{path}' is missing")
        return item

    def _read(self, dataset: Any, first: int, last: int) -> Array:
        try:
            values: Array = dataset[first:last]
        except (OSError, RuntimeError) as error:
            raise TraceFormatError(f"{self.path}: {dataset.name} is damaged ({error})") from None
        return values

    def _events(self, path: str, columns: Sequence[str]) -> Events:
        datasets = [self._dataset(f"{path}/{column}") for column in columns]
        for column, dataset in zip(columns, datasets, strict=True):
            kinds = "iuf" if column == "values" else "iu"
            if dataset.ndim != 1 or dataset.dtype.kind not in kinds:
                raise TraceFormatError(
                    f"{self.path}: damaged, {dataset.name} is {dataset.dtype} {dataset.shape}, "
                    f"not a list of numbers"
                )
        return Events(datasets, self._read)

    def _in_range(self, what: str, ticks: Array, numbers: Array, size: int | None = None) -> None:
        outside = first_outside(ticks, numbers, self.samples * self.ticks, size)
        if outside is not None:
            raise TraceFormatError(
                f"{self.path}: damaged, {what} has spikes of tick {ticks[outside]} and neuron "
                f"{numbers[outside]}, but there are {self.samples * self.ticks} ticks"
                + ("" if size is None else f" and {size} neurons")
            )

    def n_spikes(self, population: str, start: int | None = None, stop: int | None = None) -> int:
        """Count the recorded spikes of ticks ``start`` to ``stop`` (exclusive), without reading them."""
        self.population(population)
        table = self._events(f"spikes/{population}", ["timestamps", "node_ids"])
        return table.count(start, stop)

    def spikes(self, population: str, start: int | None = None, stop: int | None = None) -> Spikes:
        """Read the spikes of ticks ``start`` (inclusive) to ``stop`` (exclusive)."""
        spikes = Spikes(*self._spike_table(population).window(start, stop))
        size = self.population(population).size
        self._in_range(repr(population), spikes.ticks, spikes.neurons, size)
        if np.any(spikes.ticks[1:] < spikes.ticks[:-1]):
            raise TraceFormatError(f"{self.path}: damaged, {population!r} is not in order")
        return spikes

    def _spike_table(self, population: str) -> Events:
        columns = ["timestamps", "node_ids"]
        if self.population(population).payload:
            columns.append("payload")
        table = self._events(f"spikes/{population}", columns)
        # Later windows would never meet what lies behind the end.
        last = table.rows(len(table) - 1, len(table)) if len(table) else ()
        if last:
            self._in_range(repr(population), last[0], last[1])
        return table

    def counts(
        self, population: str, start_sample: int = 0, stop_sample: int | None = None
    ) -> Array:
        """Count the spikes of each neuron in each sample; int64 [samples, n].

        A spike that carries a payload counts as often as the payload is large. Reads in pieces:
        besides the result, memory does not grow with the number of spikes.
        """
        size = self.population(population).size
        samples = range(self.samples)[start_sample:stop_sample]
        counts: Array = np.zeros((len(samples), size), np.int64)
        table = self._spike_table(population)
        window = samples.start * self.ticks, samples.stop * self.ticks
        for ticks, neurons, *payload in table.pieces(*window):
            self._in_range(repr(population), ticks, neurons, size)
            sample = ticks // self.ticks - samples.start
            if np.any(np.diff(sample) < 0) or sample[0] < 0 or sample[-1] >= len(samples):
                raise TraceFormatError(f"{self.path}: damaged, {population!r} is not in order")
            first, last = int(sample[0]), int(sample[-1]) + 1
            some = np.zeros((last - first) * size, np.int64)
            np.add.at(some, (sample - first) * size + neurons, np.abs(payload[0]) if payload else 1)
            counts[first:last] += some.reshape(last - first, size)
        return counts

    def sent_ps(self, population: str, start: int | None = None, stop: int | None = None) -> Array:
        """Read when spikes left their neurons, ps into their ticks; int64 [n_spikes].

        Raises
        ------
        KeyError
            If these times were not recorded.
        """
        if not self.population(population).sent_ps:
            raise KeyError(f"{self.path}: {population!r} was recorded without times of sending")
        columns = ["timestamps", "sent_ps"]
        return self._events(f"spikes/{population}", columns).window(start, stop)[1]

    def state(
        self,
        population: str,
        variable: str,
        start: int | None = None,
        stop: int | None = None,
    ) -> Array:
        """Read states of all neurons at every tick in the network's units; float64 [ticks, n].

        Raises
        ------
        KeyError
            If they were not recorded, or not of all neurons and ticks: `frames` reads those.
        """
        frames = self.raw_state(population, variable, start, stop)
        return self._physical(population, variable, frames)

    def _physical(self, population: str, variable: str, frames: Array) -> Array:
        about = self._report(population, variable).attrs
        return frames * float(about.get("scale", 1.0)) + float(about.get("offset", 0.0))

    def raw_state(
        self,
        population: str,
        variable: str,
        start: int | None = None,
        stop: int | None = None,
    ) -> Array:
        """Read the same as they are stored: register values on a chip; float64 [ticks, n]."""
        data = self._report(population, variable)
        if not self.all_frames(population, variable):
            raise KeyError(
                f"{self.path}: '{population}.{variable}' was recorded of some neurons or ticks "
                f"only; read its frames"
            )
        window = range(data.shape[0])[start:stop]
        return self._read(data, window.start, window.stop).astype(np.float64)

    def all_frames(self, population: str, variable: str) -> bool:
        """Whether a state was recorded of all neurons at every tick, so that `state` reads it."""
        data = self._report(population, variable)
        size = self.population(population).size
        return "ticks" not in data.parent and data.shape[1] == size

    def frames(
        self,
        population: str,
        variable: str,
        start: int | None = None,
        stop: int | None = None,
    ) -> Frames:
        """Read the states that were recorded in ticks ``start`` to ``stop``, in network units."""
        raw = self.raw_frames(population, variable, start, stop)
        return raw._replace(values=self._physical(population, variable, raw.values))

    def raw_frames(
        self,
        population: str,
        variable: str,
        start: int | None = None,
        stop: int | None = None,
    ) -> Frames:
        """Read the same as they are stored, in the type in which they are stored."""
        data = self._report(population, variable)
        neurons = self._recorded_neurons(population, variable, data)
        if "ticks" in data.parent:
            path = data.parent.name.lstrip("/")
            first, last = self._events(path, ["ticks"]).between(start, stop)
            ticks = self._read(self._dataset(f"{path}/ticks"), first, last).astype(np.int64)
            if np.any(np.diff(ticks) < 1) or np.any(ticks >= self.samples * self.ticks):
                raise TraceFormatError(f"{self.path}: damaged, {path}/ticks are not in order")
        else:
            window = range(data.shape[0])[slice(*_not_below_0(start, stop))]
            first, last = window.start, max(window.stop, window.start)
            ticks = np.arange(first, last)
        return Frames(ticks, neurons, self._read(data, first, last))

    def _recorded_neurons(self, population: str, variable: str, data: Any) -> Array:
        ids = self._counts(f"{data.parent.name.lstrip('/')}/mapping/node_ids")
        neurons = self._read(ids, 0, ids.shape[0]).astype(np.int64)
        size = self.population(population).size
        wrong = neurons.size != data.shape[1] or np.any(np.diff(neurons) < 1)
        if wrong or (neurons.size and (neurons[0] < 0 or neurons[-1] >= size)):
            raise TraceFormatError(
                f"{self.path}: damaged, the neurons of '{population}.{variable}' are not in order"
            )
        return neurons

    def _report(self, population: str, variable: str) -> Any:
        recorded = [f"{name}.{what}" for name, what in self.states()]
        self._known("recorded state", f"{population}.{variable}", recorded)
        data = self._dataset(f"{report_path(population, variable).lstrip('/')}/data")
        ids = f"{report_path(population, variable).lstrip('/')}/mapping/node_ids"
        size = int(self._counts(ids).shape[0])
        if data.ndim != 2 or data.shape[1] != size or data.dtype.kind not in "iuf":
            raise TraceFormatError(
                f"{self.path}: damaged, {data.name} is {data.dtype} {data.shape}, but must be "
                f"numbers [ticks, {size}]"
            )
        return data

    def packets(self, start: int | None = None, stop: int | None = None) -> Packets:
        """Read the packets of a window of ticks.

        Raises
        ------
        KeyError
            If packets were not recorded.
        """
        return Packets(*self._table_of_events("packets", start, stop))

    @property
    def packet_inputs(self) -> tuple[str, ...]:
        """Inputs whose packets were recorded, in the order in which ``source_kind`` counts them."""
        return tuple(map(str, self._group("packets").attrs["inputs"]))

    def triggers(self, start: int | None = None, stop: int | None = None) -> Triggers:
        """Read the triggers that fired in a window of ticks.

        Raises
        ------
        KeyError
            If triggers were not recorded.
        """
        return Triggers(*self._table_of_events("triggers", start, stop))

    @property
    def trigger_kinds(self) -> tuple[str, ...]:
        """Kinds of triggers, in the order in which ``kind`` counts them."""
        return tuple(map(str, self._group("triggers").attrs["kinds"]))

    @property
    def tables(self) -> tuple[str, ...]:
        """Tables of events that were recorded, of those in `traces.layout.TABLES`."""
        return tuple(name for name in TABLES if name in self._file)

    def _table_of_events(self, name: str, start: int | None, stop: int | None) -> tuple[Array, ...]:
        self._known("table", name, self.tables)
        columns = self._events(name, list(TABLES[name].types)).window(start, stop)
        ticks = columns[0]
        if np.any(np.diff(ticks) < 0) or np.any((ticks < 0) | (ticks >= self.samples * self.ticks)):
            raise TraceFormatError(f"{self.path}: damaged, the ticks of '/{name}' are not in order")
        return columns

    def checkpoints(self) -> tuple[int, ...]:
        """Ticks of the trace at which the run can go on, ascending."""
        return tuple(sorted(int(name) for name in self._file.get("checkpoints", {})))

    def checkpoint(self, tick: int) -> Bundle:
        """Read the state in which the run goes on at a tick.

        Raises
        ------
        KeyError
            If there is none of this tick.
        TraceFormatError
            If it differs from its hash.
        """
        names = {str(at): at for at in self.checkpoints()}
        at = names[self._known("checkpoint at tick", str(tick), names)]
        return read_bundle(self._group(f"checkpoints/{at:012}"))

    def states(self) -> tuple[tuple[str, str], ...]:
        """List the (population, variable) pairs whose states were recorded."""
        names = {population.name for population in self.populations}
        found = []
        for report in self._file.get("reports", {}):
            # Both parts of the name may hold underscores; the group inside tells them apart.
            inner = [name for name in self._group(f"reports/{report}") if name in names]
            found += [(name, report.removeprefix(f"{name}_")) for name in inner]
        return tuple(found)

    def stimuli(self, kind: str) -> tuple[str, ...]:
        """List the inputs (``kind`` spikes) or populations (currents) with a stimulus."""
        return tuple(self._file.get(f"stimulus/{kind}", {}))

    def stimulus_spikes(
        self, name: str, start: int | None = None, stop: int | None = None
    ) -> Spikes:
        """Read the spikes that went into an input; neurons are its channels."""
        self._known("stimulus of spikes", name, self.stimuli("spikes"))
        columns = ["timestamps", "node_ids", "payload"]
        spikes = Spikes(*self._events(f"stimulus/spikes/{name}", columns).window(start, stop))
        self._in_range(f"input {name!r}", spikes.ticks, spikes.neurons)
        return spikes

    def n_stimulus_spikes(
        self, name: str, start: int | None = None, stop: int | None = None
    ) -> int:
        """Count the events that `stimulus_spikes` reads, without reading them."""
        self._known("stimulus of spikes", name, self.stimuli("spikes"))
        return self._events(f"stimulus/spikes/{name}", ["timestamps"]).count(start, stop)

    def stimulus_currents(
        self, name: str, start: int | None = None, stop: int | None = None
    ) -> Currents:
        """Read the changes of a population's constant currents."""
        self._known("stimulus of currents", name, self.stimuli("currents"))
        columns = ["timestamps", "node_ids", "values"]
        return Currents(*self._events(f"stimulus/currents/{name}", columns).window(start, stop))

    def attachments(self) -> tuple[str, ...]:
        """List the bundles that the run was made from."""
        return tuple(self._file.get("attached", {}))

    def attached(self, name: str) -> Bundle:
        """Read a bundle.

        Raises
        ------
        KeyError
            If there is none of this name.
        TraceFormatError
            If it differs from its hash.
        """
        self._known("attachment", name, self.attachments())
        return read_bundle(self._group(f"attached/{name}"))

    def cores(self) -> dict[str, Array]:
        """Place and number of neurons of each core, int64 [n_cores]; empty in earlier traces."""
        return self._table("cores")

    def core_counters(self) -> dict[str, Array]:
        """Totals of each core, int64 [n_cores]."""
        return self.totals("core")

    def totals(self, table: str) -> dict[str, Array]:
        """Totals of the run by ``core``, ``link`` or ``latency``; empty where none were kept."""
        return self._table(f"counters/{table}")

    def _table(self, group: str) -> dict[str, Array]:
        names = self._file.get(group, {})
        datasets = {name: self._counts(f"{group}/{name}") for name in names}
        if len({data.shape for data in datasets.values()}) > 1:
            raise TraceFormatError(f"{self.path}: damaged, columns of '/{group}' differ in length")
        return {name: self._read(data, 0, data.shape[0]) for name, data in datasets.items()}

    def _counts(self, path: str) -> Any:
        data = self._dataset(path)
        if data.ndim != 1 or data.dtype.kind not in "iu":
            raise TraceFormatError(
                f"{self.path}: damaged, {data.name} is {data.dtype} {data.shape}, not a list of "
                "whole numbers"
            )
        return data

    def tick_counters(
        self, start: int | None = None, stop: int | None = None, *, names: Sequence[str] = ()
    ) -> dict[str, Array]:
        """Read the counters of a window of ticks, all or those of some names."""
        there = tuple(self._file.get("counters/tick", {}))
        wanted = [self._known("counter", name, there) for name in names] or there
        datasets = {name: self._counts(f"counters/tick/{name}") for name in wanted}
        window = range(min((d.shape[0] for d in datasets.values()), default=0))[start:stop]
        return {n: self._read(d, window.start, window.stop) for n, d in datasets.items()}

    def core_tick_counters(
        self, start: int | None = None, stop: int | None = None, *, names: Sequence[str] = ()
    ) -> dict[str, Array]:
        """Read counters of each core in a window of ticks, int64 [ticks, cores]; or of some names."""
        there = tuple(self._file.get("counters/core_tick", {}))
        wanted = [self._known("counter of cores and ticks", name, there) for name in names] or there
        datasets = {name: self._dataset(f"counters/core_tick/{name}") for name in wanted}
        wrong = [d.name for d in datasets.values() if d.ndim != 2 or d.dtype.kind not in "iu"]
        if wrong:
            raise TraceFormatError(f"{self.path}: damaged, {wrong[0]} is not [ticks, cores]")
        window = range(min((d.shape[0] for d in datasets.values()), default=0))[start:stop]
        return {n: self._read(d, window.start, window.stop) for n, d in datasets.items()}

    def content_hash(self) -> str:
        """Compute the content hash again."""
        try:
            return content_hash_of(self._file)
        except _DAMAGE as error:
            raise TraceFormatError(f"{self.path}: damaged ({error})") from None

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        self._store.close()

    def __enter__(self) -> "Trace":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def _h5(store: Store) -> Any:
    try:
        return h5py.File(store, "r")
    except (OSError, RuntimeError) as error:
        raise TraceFormatError(f"{store}: no HDF5 file, or a damaged one ({error})") from None


def _not_below_0(*ticks: int | None) -> tuple[int | None, ...]:
    return tuple(None if tick is None else max(tick, 0) for tick in ticks)


def _note(notes: Any, name: str) -> Any:
    """Read an attribute that anyone may have written, in whatever type."""
    try:
        value = notes[name]
    except _DAMAGE as error:
        return f"cannot be read ({error})"
    return value.item() if isinstance(value, np.generic) else value
