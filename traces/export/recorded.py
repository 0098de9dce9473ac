"""Frames and packets as every layout of a trace gives them."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from traces.export.selection import Selection

Array = NDArray[Any]

MOST_VALUES = 1 << 20
"""Values of frames, or rows of packets, that are held at once."""


class Frames(NamedTuple):
    """States of some neurons; values float64 [n_frames, n_neurons] in network units."""

    ticks: Array
    neurons: Array
    values: Array


def frames(selection: Selection, population: str, variable: str) -> Iterator[Frames]:
    """Read the frames of the selected ticks in pieces of bounded size, none of them empty."""
    trace = selection.trace
    step = max(1, MOST_VALUES // max(trace.population(population).size, 1))
    for start in range(selection.start, selection.stop, step):
        stop = min(start + step, selection.stop)
        values = trace.state(population, variable, start, stop)
        if len(values):
            ticks, neurons = np.arange(start, start + len(values)), np.arange(values.shape[1])
            yield Frames(ticks, neurons, values)


def counters(selection: Selection, start: int, stop: int) -> dict[str, Array]:
    """Read the counters of some ticks; int64 [n]; those of ticks that are missing are not there."""
    return selection.trace.tick_counters(start, stop)


def packets(selection: Selection, start: int, stop: int) -> Any:
    """Read the packets of some ticks; None where none were recorded."""
    read = getattr(selection.trace, "packets", None)
    return None if read is None else read(start, stop)
