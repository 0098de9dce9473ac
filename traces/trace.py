"""Read a trace lazily: a window of ticks, one population, nothing else."""

from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

import h5py
import numpy as np
from numpy.typing import NDArray

from traces.content import content_hash_of
from traces.errors import TraceFormatError
from traces.layout import LAYOUT_VERSION, MAGIC, RecordedPopulation

Array = NDArray[Any]

_COUNT_EVENTS = 1 << 20


class Spikes(NamedTuple):
    """Spikes sorted by tick, then neuron; int64 [n_spikes]."""

    ticks: Array
    neurons: Array


class Trace:
    """An open trace file; use `Trace.open`, best in a ``with`` statement.

    Attributes
    ----------
    kind : str
        ``chip`` or ``float``.
    samples, ticks, input_ticks : int
    dt_s : float
    populations : tuple of RecordedPopulation
    complete : bool
        False for a run that broke off.
    content_sha256 : str or None
        As written at the end of the run; `content_hash` counts again.
    provenance : dict
    """

    def __init__(self, file: Any, path: Path) -> None:
        self._file = file
        self.path = path
        root = dict(file.attrs)
        if root.get("magic") != MAGIC:
            raise TraceFormatError(f"{path}: an HDF5 file, but no trace of spikefab")
        version = int(root.get("layout_version", -1))
        if version > LAYOUT_VERSION:
            raise TraceFormatError(
                f"{path}: layout version {version}, but this program reads up to {LAYOUT_VERSION}; "
                f"update spikefab"
            )
        try:
            self.kind = str(root["kind"])
            self.samples, self.ticks = int(root["samples"]), int(root["ticks"])
            self.input_ticks, self.dt_s = int(root["input_ticks"]), float(root["dt_s"])
            self.complete = bool(root["complete"])
            self.content_sha256 = root.get("content_sha256")
            self.populations = tuple(self._population(str(n)) for n in root["populations"])
            self.provenance = {k: _plain(v) for k, v in file["provenance"].attrs.items()}
        except KeyError as error:
            raise TraceFormatError(f"{path}: damaged, {error.args[0]}") from None

    @staticmethod
    def open(path: str | Path) -> "Trace":
        """Open a trace.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        TraceFormatError
            If it is no trace, is damaged, or comes from a newer version.
        """
        path = Path(path)
        if path.is_dir():
            raise TraceFormatError(f"{path}: this is a folder, not a trace")
        if not path.exists():
            raise FileNotFoundError(f"{path}: there is no such file")
        try:
            file = h5py.File(path, "r")
        except (OSError, RuntimeError) as error:
            raise TraceFormatError(f"{path}: no HDF5 file, or a damaged one ({error})") from None
        try:
            return Trace(file, path)
        except (OSError, RuntimeError) as error:
            file.close()
            raise TraceFormatError(f"{path}: damaged ({error})") from None
        except TraceFormatError:
            file.close()
            raise

    def _population(self, name: str) -> RecordedPopulation:
        attributes = self._file[f"spikes/{name}"].attrs
        return RecordedPopulation(
            name=name,
            shape=tuple(int(n) for n in attributes["shape"]),
            lag=int(attributes["lag"]),
            output=bool(attributes["output"]),
            spiking=bool(attributes["spiking"]),
        )

    def population(self, name: str) -> RecordedPopulation:
        """Return the population of this name."""
        for population in self.populations:
            if population.name == name:
                return population
        known = ", ".join(p.name for p in self.populations)
        raise KeyError(f"{self.path}: no population {name!r}; there are {known}")

    def _dataset(self, path: str) -> Any:
        try:
            return self._file[path]
        except KeyError:
            raise TraceFormatError(f"{self.path}: the dataset {path!r} is missing") from None

    def n_spikes(self, population: str) -> int:
        """Number of recorded spikes."""
        return int(self._dataset(f"spikes/{population}/node_ids").shape[0])

    def spikes(self, population: str, start: int = 0, stop: int | None = None) -> Spikes:
        """Read the spikes of ticks ``start`` (inclusive) to ``stop`` (exclusive)."""
        times = self._dataset(f"spikes/{population}/timestamps")
        ids = self._dataset(f"spikes/{population}/node_ids")
        n = min(times.shape[0], ids.shape[0])
        first = self._first_at(times, start, n)
        last = n if stop is None else self._first_at(times, stop, n)
        return Spikes(
            self._read(times, first, last).astype(np.int64),
            self._read(ids, first, last).astype(np.int64),
        )

    def _first_at(self, times: Any, tick: int, n: int) -> int:
        """Search by halves in the file itself."""
        low, high = 0, n
        while low < high:
            middle = (low + high) // 2
            if int(self._read(times, middle, middle + 1)[0]) < tick:
                low = middle + 1
            else:
                high = middle
        return low

    def _read(self, dataset: Any, first: int, last: int) -> Array:
        try:
            values: Array = dataset[first:last]
        except (OSError, RuntimeError) as error:
            raise TraceFormatError(f"{self.path}: {dataset.name} is damaged ({error})") from None
        return values

    def pieces(self, population: str) -> Iterator[Spikes]:
        """Read all spikes in pieces of bounded size."""
        n = self.n_spikes(population)
        times = self._dataset(f"spikes/{population}/timestamps")
        ids = self._dataset(f"spikes/{population}/node_ids")
        for first in range(0, n, _COUNT_EVENTS):
            last = min(first + _COUNT_EVENTS, n)
            yield Spikes(
                self._read(times, first, last).astype(np.int64),
                self._read(ids, first, last).astype(np.int64),
            )

    def counts(self, population: str) -> Array:
        """Count the spikes of each neuron in each sample; int64 [samples, n]."""
        size = self.population(population).size
        counts: Array = np.zeros(self.samples * size, np.int64)
        for piece in self.pieces(population):
            counts += np.bincount(
                piece.ticks // self.ticks * size + piece.neurons, minlength=counts.size
            )
        return counts.reshape(self.samples, size)

    def state(
        self, population: str, variable: str, start: int = 0, stop: int | None = None
    ) -> Array:
        """Read recorded states in the network's units; float64 [ticks, n]."""
        data = self._dataset(f"reports/{population}_{variable}/{population}/data")
        values = self._read(data, start, data.shape[0] if stop is None else stop)
        return values * float(data.attrs["scale"]) + float(data.attrs["offset"])

    def states(self) -> tuple[tuple[str, str], ...]:
        """List the (population, variable) pairs whose states were recorded."""
        found = []
        for name in self._file.get("reports", {}):
            population, _, variable = name.rpartition("_")
            found.append((population, variable))
        return tuple(found)

    def core_counters(self) -> dict[str, Array]:
        """Totals of each core, int64 [n_cores]."""
        group = self._file.get("counters/core", {})
        return {name: group[name][()] for name in group}

    def tick_counters(self, start: int = 0, stop: int | None = None) -> dict[str, Array]:
        """Read the counters of a window of ticks."""
        group = self._file.get("counters/tick", {})
        return {
            name: self._read(group[name], start, group[name].shape[0] if stop is None else stop)
            for name in group
        }

    def content_hash(self) -> str:
        """Compute the content hash again."""
        return content_hash_of(self._file)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> "Trace":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value
