"""Recordings of event cameras."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


class CameraEvents(NamedTuple):
    """Events in the order of the file; int64 [n_events]."""

    t_us: Array
    x: Array
    y: Array
    polarity: Array


def read_bs2(path: str | Path) -> CameraEvents:
    """Read a ``.bs2`` file of N-MNIST: five bytes an event.

    x, y, then one bit of polarity and 23 bits of time in microseconds (Orchard et al., Frontiers
    in Neuroscience 9, 2015).

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If its length is no multiple of five.
    """
    raw = np.fromfile(path, np.uint8).astype(np.int64)
    if raw.size % 5:
        raise ValueError(f"{path}: {raw.size} bytes, but events of 5 bytes each; it is truncated")
    x, y, high, middle, low = raw.reshape(-1, 5).T
    return CameraEvents(((high & 127) << 16) | (middle << 8) | low, x, y, high >> 7)


def binned(
    t_us: Array,
    x: Array,
    y: Array,
    polarity: Array,
    *,
    n_ticks: int,
    tick_us: int = 1000,
    shape: tuple[int, int, int] = (2, 34, 34),
) -> Array:
    """Count events in ticks; later events are left out.

    Returns
    -------
    int64 [n_ticks, *shape]

    Raises
    ------
    ValueError
        If an event lies outside the picture.
    """
    if x.size and (x.max() >= shape[2] or y.max() >= shape[1]):
        raise ValueError(
            f"an event at x {x.max()}, y {y.max()} lies outside the {shape[1]} × {shape[2]} picture"
        )
    counts: Array = np.zeros((n_ticks, *shape), np.int64)
    tick = t_us // tick_us
    early = tick < n_ticks
    np.add.at(counts, (tick[early], polarity[early], y[early], x[early]), 1)
    return counts
