"""When a sample's class is settled: the tick from which on its answer no longer changes."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

UNDECIDED = -1


def settled_tick(scores: Array) -> int:
    """Return the tick at whose end the final class leads for good.

    Parameters
    ----------
    scores : float or int array [n_ticks, n_classes]
        What each tick adds to the score of each class. The lowest of the best classes leads, as in
        `numpy.argmax`; nobody leads while all scores are 0.

    Returns
    -------
    int
        `UNDECIDED` if nobody leads in the end.
    """
    sums = np.cumsum(scores, axis=0)
    leads = np.where(np.any(sums != 0, axis=1), sums.argmax(axis=1), UNDECIDED)
    if not leads.size or leads[-1] == UNDECIDED:
        return UNDECIDED
    others = np.flatnonzero(leads != leads[-1])
    return int(others[-1]) + 1 if others.size else 0


class Decisions:
    """Settled ticks of one sample after another.

    Parameters
    ----------
    neurons : int array [n_classes]
        Machine numbers of the output that decides.
    n_neurons : int
        On the whole chip.
    frames : slice, optional
        Which of the watched membranes are its own, if it never spikes.
    """

    def __init__(self, neurons: Array, n_neurons: int, frames: slice | None = None) -> None:
        self.ticks: list[int] = []
        self._class = np.full(n_neurons, -1, np.int64)
        self._class[neurons] = np.arange(len(neurons))
        self._n_classes = len(neurons)
        self._frames = frames
        self._scores: list[Array] = []

    def add(
        self, n_ticks: int, ticks: Array, neurons: Array, payload: Array, frames: Array
    ) -> None:
        """Take in consecutive ticks; ``ticks`` [n_spikes] count from the first of them."""
        if self._frames is not None:
            self._scores.append(np.array(frames[:, self._frames], np.float64))
            return
        number = self._class[neurons]
        mine = number >= 0
        at = ticks[mine] * self._n_classes + number[mine]
        scores = np.bincount(at, weights=np.abs(payload[mine]), minlength=n_ticks * self._n_classes)
        self._scores.append(scores.reshape(n_ticks, self._n_classes))

    def end_sample(self) -> None:
        """Settle what was added since the last sample ended."""
        self.ticks.append(settled_tick(np.concatenate(self._scores)))
        self._scores.clear()
