"""Frames, counters and packets of a window of ticks, in pieces of bounded size."""

from collections.abc import Iterator
from typing import Any

from numpy.typing import NDArray

from traces.export.selection import MOST_TICKS, Selection
from traces.reports import Frames
from traces.trace import Packets

Array = NDArray[Any]

MOST_VALUES = 1 << 20
"""Values of frames that are held at once, if one tick has no more."""


def frames(selection: Selection, population: str, variable: str, start: int, stop: int) -> Frames:
    """Read the frames of some ticks."""
    return selection.trace.frames(population, variable, start, stop)


def frame_pieces(selection: Selection, population: str, variable: str) -> Iterator[Frames]:
    """Read the frames of all selected ticks, none of the pieces empty."""
    most_ticks = ticks_at_once(selection.trace.population(population).size)
    for start, stop in selection.windows(most_ticks=most_ticks):
        found = frames(selection, population, variable, start, stop)
        if found.ticks.size:
            yield found


def ticks_at_once(n_values: int) -> int:
    """Ticks of which so many values each can be held."""
    return min(max(1, MOST_VALUES // max(n_values, 1)), MOST_TICKS)


def counters(selection: Selection, start: int, stop: int) -> dict[str, Array]:
    """Read the counters of some ticks; int64 [n]; nothing from a trace without."""
    return selection.trace.tick_counters(start, stop)


def packets(selection: Selection, start: int, stop: int) -> Packets | None:
    """Read the packets of some ticks; None where none were recorded."""
    trace = selection.trace
    return trace.packets(start, stop) if "packets" in trace.tables else None


def update_ps(selection: Selection, start: int, stop: int) -> Array | None:
    """Read how long each core worked in some ticks; int64 [n_ticks, n_cores]; None where not kept."""
    return selection.trace.core_tick_counters(start, stop).get("update_ps")
