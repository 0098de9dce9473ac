"""When a checkpoint is due: every so many ticks, or now and then where nobody asked."""

import time

LEAST_S = 2.0
"""Time between two checkpoints that nobody asked for."""
MOST_SHARE = 0.02
"""Of a run's time that such checkpoints take."""


class Due:
    """The times of checkpoints.

    Parameters
    ----------
    every : int, optional
        Ticks between two; by time without it.

    Attributes
    ----------
    kept : bool
        Whether they were asked for, so that none may be dropped.
    """

    def __init__(self, every: int | None = None, *, first_tick: int = 0) -> None:
        self.kept = every is not None
        self._every, self._tick = every, first_tick
        self._wait_s, self._last = LEAST_S, time.perf_counter()

    def at(self, tick: int) -> bool:
        """Whether one is due when this tick comes next."""
        if self._every is not None:
            return tick // self._every > self._tick // self._every
        return time.perf_counter() - self._last > self._wait_s

    def done(self, tick: int, took_s: float) -> None:
        """Take note of one, and of the time that it took."""
        self._tick, self._last = tick, time.perf_counter()
        self._wait_s = max(LEAST_S, took_s / MOST_SHARE)
