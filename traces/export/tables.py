"""Flat tables of a trace, for formats that hold one: spikes, states, counters of ticks, packets."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from traces.errors import ExportError
from traces.export.recorded import counters, frame_pieces, packets
from traces.export.selection import Selection

Array = NDArray[Any]


class Names(NamedTuple):
    """A column of names: ``names[code]`` for each code; int32 [n_rows]."""

    codes: Array
    names: tuple[str, ...]


Batch = Mapping[str, Array | Names]


@dataclass(frozen=True, kw_only=True, eq=False)
class Table:
    """Rows in batches of bounded size.

    Attributes
    ----------
    columns : mapping of name to {"int64", "float64", "name"}
    batches : iterator of Batch
        Each with all columns, of one length.
    left_out : tuple of str
        What the trace holds and this table does not.
    """

    columns: Mapping[str, str]
    batches: Iterator[Batch]
    left_out: tuple[str, ...] = ()


WHEN = {"sample": "int64", "tick": "int64", "time_s": "float64"}
"""First columns of every table; tick and time count from the start of the sample."""


def _when(selection: Selection, ticks: Array) -> dict[str, Array]:
    sample, tick = np.divmod(ticks, selection.trace.ticks)
    return {"sample": sample, "tick": tick, "time_s": tick * selection.trace.dt_s}


def _same(names: tuple[str, ...], name: str, n: int) -> Names:
    return Names(np.full(n, names.index(name), np.int32), names)


def spikes(selection: Selection) -> Table:
    """One row for each spike; by population, then time, then neuron."""
    names = tuple(source.name for source in selection.sources)

    def batches() -> Iterator[Batch]:
        for source in selection.sources:
            for ticks, neurons, payload in selection.pieces(source):
                yield _when(selection, ticks) | {
                    "population": _same(names, source.name, ticks.size),
                    "neuron": neurons,
                    "payload": np.ones_like(ticks) if payload is None else payload,
                }

    columns = WHEN | {"population": "name", "neuron": "int64", "payload": "int64"}
    left_out = tuple(
        f"states {variable} of {population}" for population, variable in selection.states()
    )
    return Table(columns=columns, batches=batches(), left_out=left_out)


def states(selection: Selection) -> Table:
    """One row for each recorded value; by population and variable, then time, then neuron."""
    pairs = selection.states()
    if not pairs:
        raise ExportError(f"{selection.trace.path}: no states of these populations were recorded")
    populations = tuple(dict.fromkeys(population for population, _ in pairs))
    variables = tuple(dict.fromkeys(variable for _, variable in pairs))

    def batches() -> Iterator[Batch]:
        for population, variable in pairs:
            for ticks, neurons, values in frame_pieces(selection, population, variable):
                n = values.size
                yield _when(selection, np.repeat(ticks, neurons.size)) | {
                    "population": _same(populations, population, n),
                    "variable": _same(variables, variable, n),
                    "neuron": np.tile(neurons, ticks.size),
                    "value": values.ravel(),
                }

    columns = WHEN | {
        "population": "name", "variable": "name", "neuron": "int64", "value": "float64",
    }  # fmt: skip
    return Table(columns=columns, batches=batches())


def tick_counters(selection: Selection) -> Table:
    """One row for each tick, with all that was counted in it."""
    names = tuple(counters(selection, selection.start, selection.start + 1))
    if not names:
        raise ExportError(f"{selection.trace.path}: no counters of ticks; a chip's trace has them")

    def batches() -> Iterator[Batch]:
        for start, stop in selection.windows():
            counted = counters(selection, start, stop)
            n = min((column.size for column in counted.values()), default=0)
            yield _when(selection, np.arange(start, start + n)) | counted

    return Table(columns=WHEN | dict.fromkeys(names, "int64"), batches=batches())


def packet_table(selection: Selection) -> Table:
    """One row for each packet and destination; times in picoseconds from the start of the tick."""
    if packets(selection, selection.start, selection.start) is None:
        raise ExportError(f"{selection.trace.path}: no packets were recorded")
    names = source_names(selection)
    whole = ("core", "hops", "left_ps", "arrived_ps", "done_ps")

    def batches() -> Iterator[Batch]:
        for start, stop in selection.windows(*selection.sources):
            found = packets(selection, start, stop)
            if found is None:
                continue
            yield _when(selection, found.timestamps) | {
                "source": Names(found.source_kind.astype(np.int32), names),
                "neuron": found.source,
                **{name: getattr(found, name) for name in whole},
            }

    columns = WHEN | {"source": "name", "neuron": "int64"} | dict.fromkeys(whole, "int64")
    return Table(columns=columns, batches=batches())


def source_names(selection: Selection) -> tuple[str, ...]:
    """Names that packets number: populations, then inputs."""
    trace = selection.trace
    return (*(population.name for population in trace.populations), *trace.packet_inputs)


TABLES: dict[str, Callable[[Selection], Table]] = {
    "spikes": spikes,
    "states": states,
    "ticks": tick_counters,
    "packets": packet_table,
}
"""What there is, by name."""
