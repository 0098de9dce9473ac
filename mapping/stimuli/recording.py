"""Spikes on the channels of an input, and how they become counts in ticks."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mapping.errors import StimulusError

Array = NDArray[Any]

MOST_COUNTS = 1 << 30
"""Of the dense array that samples are; 4 bytes each while events are counted."""
MOST_SPIKES = 2**31 - 1
"""Of one channel in one tick."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Recording:
    """Spikes as a file has them.

    Attributes
    ----------
    where : str
        File, and what of it, for errors.
    at : int or float array [n]
        Times from the start of the sample, not below 0.
    unit_s : float
        Seconds of one unit of time.
    channel : int64 [n]
    worth : int64 [n]
        What each counts for; 1 if not given.
    sample : int64 [n]
        0 if not given.
    n_samples : int
    length : float, optional
        Of a sample, in units of time; without it samples end with the last spike of all.
    """

    where: str
    at: Array
    unit_s: float
    channel: Array
    worth: Array = field(default_factory=lambda: np.ones(1, np.int64))
    sample: Array = field(default_factory=lambda: np.zeros(1, np.int64))
    n_samples: int = 1
    length: float | None = None

    def __post_init__(self) -> None:
        for name in ("worth", "sample"):
            full = np.broadcast_to(np.asarray(getattr(self, name), np.int64), self.at.shape)
            object.__setattr__(self, name, full)


def binned(
    recording: Recording,
    *,
    n_channels: int,
    dt_s: float,
    ticks: int | None = None,
    n_samples: int | None = None,
) -> Array:
    """Count spikes in ticks: one at time t falls into tick floor(t / dt).

    A time that differs from a whole tick by no more than rounding is that tick.

    Parameters
    ----------
    ticks : int, optional
        Length of a sample; later spikes are left out. As long as the recording by default.
    n_samples : int, optional
        Only the first so many.

    Returns
    -------
    uint8, uint16 or int32 [n_samples, ticks, n_channels]

    Raises
    ------
    StimulusError
        If a spike is of a channel or time that cannot be, is worth less than nothing, or there is
        not enough of the recording, or too much of it to hold.
    """
    _check(recording, n_channels)
    tick = _ticks(recording.at, recording.unit_s / dt_s)
    length = ticks if ticks is not None else _length(recording, tick, dt_s)
    n = recording.n_samples if n_samples is None else n_samples
    if not 1 <= n <= recording.n_samples:
        raise StimulusError(
            f"{recording.where}: {n} samples were asked for, but it has {recording.n_samples}"
        )
    if n * length * n_channels > MOST_COUNTS:
        raise StimulusError(
            f"{recording.where}: {n:,} samples × {length:,} ticks × {n_channels:,} channels are "
            f"more counts than the {MOST_COUNTS:,} that are held; are its times in units of "
            f"{recording.unit_s:g} s, and is a tick {dt_s:g} s? Or choose fewer with --ticks or "
            "--samples"
        )
    kept = (tick < length) & (recording.sample < n)
    place = (recording.sample[kept] * length + tick[kept]) * n_channels + recording.channel[kept]
    counts = np.zeros(n * length * n_channels, np.int32)
    _add(counts, place, recording.worth[kept], recording.where)
    most = int(counts.max(initial=0))
    small = next(dtype for dtype in (np.uint8, np.uint16, np.int32) if most <= np.iinfo(dtype).max)
    return counts.astype(small, copy=False).reshape(n, length, n_channels)


def _add(counts: Array, place: Array, worth: Array, where: str) -> None:
    total = int(worth.sum(dtype=np.float64)) if worth.size else 0
    if total > MOST_SPIKES:  # only then could a single count be as large
        _, which = np.unique(place, return_inverse=True)
        most = np.bincount(which, weights=worth).max()
        if most > MOST_SPIKES:
            raise StimulusError(
                f"{where}: {most:,.0f} spikes of one channel in one tick, but at most "
                f"{MOST_SPIKES:,} can be"
            )
    np.add.at(counts, place, worth.astype(np.int32))


def _check(recording: Recording, n_channels: int) -> None:
    where = recording.where
    if recording.at.dtype.kind == "f" and not np.all(np.isfinite(recording.at)):
        bad = int(np.flatnonzero(~np.isfinite(recording.at))[0])
        raise StimulusError(f"{where}: the time of spike {bad} is {recording.at[bad]}, no number")
    early = np.flatnonzero(recording.at < 0)
    if early.size:
        raise StimulusError(
            f"{where}: spike {early[0]} is at {recording.at[early[0]]:g}, before the start at 0"
        )
    outside = np.flatnonzero((recording.channel < 0) | (recording.channel >= n_channels))
    if outside.size:
        raise StimulusError(
            f"{where}: spike {outside[0]} is of channel {recording.channel[outside[0]]}, but the "
            f"input has {n_channels}, 0 to {n_channels - 1}; {outside.size:,} spikes are outside"
        )
    below = np.flatnonzero(recording.worth < 0)
    if below.size:
        raise StimulusError(
            f"{where}: spike {below[0]} is worth {recording.worth[below[0]]}, but an input takes "
            "no negative spikes"
        )


def _ticks(at: Array, ticks_per_unit: float) -> Array:
    exact = at * ticks_per_unit
    nearest = np.rint(exact)
    tolerance = 1e-9 + 8 * np.finfo(np.float64).eps * np.abs(exact)
    whole = np.abs(exact - nearest) <= tolerance
    found: Array = np.where(whole, nearest, np.floor(exact))
    # A time that no sample lasts as long as is refused by its length, not by overflow.
    return np.minimum(found, float(1 << 53)).astype(np.int64)


def _length(recording: Recording, tick: Array, dt_s: float) -> int:
    if recording.length is None:
        if not tick.size:
            raise StimulusError(
                f"{recording.where}: holds no spikes, so say how long it is with --ticks"
            )
        return int(tick.max()) + 1
    last = recording.length * recording.unit_s / dt_s
    whole = round(last)
    return max(whole if abs(last - whole) <= 1e-9 * max(last, 1) else int(np.ceil(last)), 1)


def in_order(where: str, at: Array, hint: str) -> None:
    """Refuse times that run backwards.

    Raises
    ------
    StimulusError
        With the first that does.
    """
    back = np.flatnonzero(at[1:] < at[:-1])
    if back.size:
        k = int(back[0])
        raise StimulusError(
            f"{where}: times run backwards: event {k + 1} is at {at[k + 1]}, after event {k} at "
            f"{at[k]}; {hint}"
        )
