"""Frames, counters and packets of a window of ticks, in pieces of bounded size."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from traces.export.selection import MOST_TICKS, Selection

Array = NDArray[Any]

MOST_VALUES = 1 << 20
"""Values of frames that are held at once, if one tick has no more."""


class Frames(NamedTuple):
    """States of some neurons; values float64 [n_frames, n_neurons] in network units."""

    ticks: Array
    neurons: Array
    values: Array


class Packets(NamedTuple):
    """One row for each packet and destination; int64 [n]; see ``docs/trace-format.md``."""

    ticks: Array
    source_kind: Array
    source: Array
    core: Array
    hops: Array
    left_ps: Array
    arrived_ps: Array
    done_ps: Array


def frames(selection: Selection, population: str, variable: str, start: int, stop: int) -> Frames:
    """Read the frames of some ticks."""
    read = getattr(selection.trace, "frames", None)  # traces of layout 2 have them
    if read is not None:
        return Frames(*read(population, variable, start, stop))
    values = selection.trace.state(population, variable, start, stop)
    return Frames(np.arange(start, start + len(values)), np.arange(values.shape[1]), values)


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
    read = getattr(selection.trace, "packets", None)  # traces of layout 2 may have them
    found = None if read is None else read(start, stop)
    return None if found is None else Packets(*found)


def update_ps(selection: Selection, start: int, stop: int) -> Array | None:
    """Read how long each core worked in some ticks; int64 [n_ticks, n_cores]; None where not kept."""
    read = getattr(selection.trace, "core_update_ps", None)
    found: Array | None = None if read is None else read(start, stop)
    return found
