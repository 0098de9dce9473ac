"""Many spike trains in one window of ticks."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[Any]


@dataclass(frozen=True, kw_only=True, eq=False)
class Trains:
    """Spike trains one after another; use `Trains.of` or `Trains.from_events`.

    Attributes
    ----------
    ticks : int64 [n_spikes]
        Ascending within each train; a spike that counts several times is there as often.
    first : int64 [n_trains + 1]
        Train ``k`` is ``ticks[first[k]:first[k + 1]]``.
    start, stop : int
        The window in ticks. As time it goes from ``start`` to ``stop``, both edges included; the
        spike of tick ``t`` is at the instant ``t``.
    """

    ticks: Array
    first: Array
    start: int
    stop: int

    @staticmethod
    def of(trains: Sequence[ArrayLike], *, start: int = 0, stop: int) -> "Trains":
        """Take lists of ticks, one for each train, in any order.

        Raises
        ------
        ValueError
            If ticks are no whole numbers or lie outside of the window, or the window is empty.
        """
        lists = [_whole(train, k) for k, train in enumerate(trains)]
        ticks = np.concatenate([np.empty(0, np.int64), *(np.sort(each) for each in lists)])
        first = np.cumsum([0, *(each.size for each in lists)], dtype=np.int64)
        return _checked(ticks, first, start, stop)

    @staticmethod
    def from_events(
        ticks: Array, neurons: Array, payload: Array | None = None, *, n: int, start: int, stop: int
    ) -> "Trains":
        """Take spikes of neurons below ``n``, in any order.

        A spike that carries a payload counts as often as the payload is large, as everywhere in
        comparisons of traces.

        Raises
        ------
        ValueError
            If a spike lies outside of the window or belongs to no neuron below ``n``.
        """
        if neurons.size and not 0 <= neurons.min() <= neurons.max() < n:
            raise ValueError(
                f"spikes of neurons {neurons.min()} to {neurons.max()}, but neurons go from 0 to "
                f"{n - 1}"
            )
        if payload is not None:
            times = np.abs(payload)
            ticks, neurons = np.repeat(ticks, times), np.repeat(neurons, times)
        if np.any(ticks[1:] < ticks[:-1]):
            order = np.argsort(ticks, kind="stable")
            ticks, neurons = ticks[order], neurons[order]
        # NumPy sorts numbers of 16 bits in linear time.
        order = np.argsort(neurons.astype(np.min_scalar_type(n)), kind="stable")
        first = np.append(0, np.cumsum(np.bincount(neurons, minlength=n)))
        return _checked(ticks[order].astype(np.int64), first.astype(np.int64), start, stop)

    def __len__(self) -> int:
        return self.first.size - 1

    def __getitem__(self, train: int) -> Array:
        """Ticks of one train."""
        number = range(len(self))[train]
        return self.ticks[self.first[number] : self.first[number + 1]]

    @property
    def length(self) -> int:
        """Ticks of the window."""
        return self.stop - self.start

    @property
    def counts(self) -> Array:
        """Spikes of each train; int64 [n_trains]."""
        return np.diff(self.first)

    @property
    def rates(self) -> Array:
        """Spikes per tick of each train; float64 [n_trains]."""
        return self.counts / self.length

    @property
    def numbers(self) -> Array:
        """Train of each spike; int64 [n_spikes]."""
        return np.repeat(np.arange(len(self)), self.counts)

    def between(self, start: int, stop: int) -> "Trains":
        """Cut to a window: spikes of ticks ``start`` to ``stop``, the latter excluded."""
        kept = (self.ticks >= start) & (self.ticks < stop)
        counts = np.bincount(self.numbers[kept], minlength=len(self))
        first = np.append(0, np.cumsum(counts)).astype(np.int64)
        return _checked(self.ticks[kept], first, start, stop)


def _whole(train: ArrayLike, number: int) -> Array:
    given = np.asarray(train)
    if not given.size:
        return np.empty(0, np.int64)
    ticks = (
        given.astype(np.int64) if given.dtype.kind in "iuf" and np.isfinite(given).all() else None
    )
    if ticks is None or given.ndim != 1 or np.any(ticks != given):
        raise ValueError(
            f"train {number}: {given.dtype} {given.shape} is no list of whole ticks; spike times in "
            "seconds become ticks by np.rint(seconds / dt_s)"
        )
    return ticks


def _checked(ticks: Array, first: Array, start: int, stop: int) -> Trains:
    if stop <= start:
        raise ValueError(f"a window of ticks {start} to {stop} holds nothing; stop must be larger")
    if ticks.size and not start <= ticks.min() <= ticks.max() <= stop:
        raise ValueError(
            f"spikes of ticks {ticks.min()} to {ticks.max()}, but the window goes from {start} to "
            f"{stop}; widen it, or cut the trains"
        )
    for array in (ticks, first):
        array.setflags(write=False)
    return Trains(ticks=ticks, first=first, start=start, stop=stop)
