"""When ticks begin and end, in picoseconds: as long as in the network, or as long as on the chip."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from traces.errors import ExportError
from traces.export.recorded import counters
from traces.export.selection import MOST_TICKS, Selection, Source

Array = NDArray[Any]

CLOCKS = ("model", "chip")


class Ticks(NamedTuple):
    """Some ticks one after the other.

    Attributes
    ----------
    start, stop : int
    edges_ps : int64 [n + 1]
        Start of each, and the end of the last.
    counters : mapping of name to int64 [n]
        Empty for a trace without.
    """

    start: int
    stop: int
    edges_ps: Array
    counters: dict[str, Array]


def has_chip_clock(selection: Selection) -> bool:
    """Whether the trace says how long each tick took on the chip."""
    return "duration_ps" in counters(selection, selection.start, selection.start + 1)


def dt_ps(selection: Selection) -> int:
    """Length of a tick in the network, picoseconds.

    Raises
    ------
    ExportError
        If it is too short or too long to be counted in them.
    """
    length = round(selection.trace.dt_s * 1e12)
    if not length >= 1 or length * selection.stop >= 1 << 63:
        raise ExportError(
            f"{selection.trace.path}: {selection.stop:,} ticks of {selection.trace.dt_s:g} s each "
            "cannot be counted in picoseconds"
        )
    return length


def ticking(
    selection: Selection, clock: str, *sources: Source, most_ticks: int = MOST_TICKS
) -> Iterator[Ticks]:
    """Go through the selected ticks in windows of few spikes of some sources.

    Raises
    ------
    ExportError
        If the trace does not know the chip's time.
    """
    if clock == "chip" and not has_chip_clock(selection):
        raise ExportError(
            f"{selection.trace.path}: it does not say how long ticks took on a chip; "
            "use --clock model"
        )
    now = _time_before(selection) if clock == "chip" else selection.start * dt_ps(selection)
    for start, stop in selection.windows(*sources, most_ticks=most_ticks):
        counted = counters(selection, start, stop)
        if clock == "chip":
            lengths = counted["duration_ps"]
        else:
            lengths = np.full(stop - start, dt_ps(selection))
        edges = now + np.concatenate([[0], np.cumsum(lengths)])
        now = int(edges[-1])
        yield Ticks(start, stop, edges, counted)


def _time_before(selection: Selection) -> int:
    time = 0
    for start in range(0, selection.start, MOST_TICKS):
        stop = min(start + MOST_TICKS, selection.start)
        time += int(counters(selection, start, stop)["duration_ps"].sum())
    return time
