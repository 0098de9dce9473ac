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
        If it is empty or its length is no multiple of five.
    """
    raw = np.fromfile(path, np.uint8).astype(np.int64)
    if raw.size == 0:
        raise ValueError(f"{path}: empty, though even the shortest recording holds events")
    if raw.size % 5:
        raise ValueError(
            f"{path}: {raw.size} bytes, but events of 5 bytes each: the file ends within event "
            f"{raw.size // 5}, so it is truncated; fetch it again"
        )
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
    """Count events in ticks; events after the last tick are left out.

    Parameters
    ----------
    t_us : int or float array [n_events]
    x, y, polarity : array [n_events] of whole numbers, of any type
    n_ticks : int
    tick_us : int
        Length of a tick, microseconds.
    shape : (n_polarities, height, width)

    Returns
    -------
    int64 [n_ticks, *shape]

    Raises
    ------
    ValueError
        If an event lies outside the picture or before the start, an address is no whole number, a
        time no number, or the ticks have no length.
    """
    if n_ticks < 1 or tick_us < 1:
        raise ValueError(
            f"{n_ticks} ticks of {tick_us} µs each hold no events; both must be at least 1"
        )
    t_us = np.asarray(t_us)
    if not np.all(np.isfinite(t_us)):
        raise ValueError(f"{np.count_nonzero(~np.isfinite(t_us))} times are NaN or infinite")
    polarity, y, x = (
        _addresses(name, values) for name, values in (("polarity", polarity), ("y", y), ("x", x))
    )
    limits = {"polarity": (polarity, shape[0]), "y": (y, shape[1]), "x": (x, shape[2])}
    for name, (values, limit) in limits.items():
        outside = np.flatnonzero((values < 0) | (values >= limit))
        if outside.size:
            raise ValueError(
                f"event {outside[0]} has {name} {values[outside[0]]}, outside 0..{limit - 1}, so "
                f"it does not fit the shape {shape}"
            )
    if t_us.size and t_us.min() < 0:
        raise ValueError(f"an event lies at {t_us.min()} µs, before the start")
    counts: Array = np.zeros((n_ticks, *shape), np.int64)
    tick = t_us // tick_us
    early = tick < n_ticks
    np.add.at(counts, (tick[early].astype(np.int64), polarity[early], y[early], x[early]), 1)
    return counts


def _addresses(name: str, values: Array) -> Array:
    """Return whole numbers as integers; truth values would select instead of count."""
    values = np.asarray(values)
    with np.errstate(invalid="ignore"):
        whole: Array = values.astype(np.int64)
    if np.any(whole != values):
        raise ValueError(f"{name} must be whole numbers, but {values[whole != values][0]} is none")
    return whole
