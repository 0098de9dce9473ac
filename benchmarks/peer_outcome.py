"""What an adapter of ``peers.py`` returns for one run; imported in the peers' environments."""

import time
from typing import NamedTuple


class Outcome(NamedTuple):
    """One run from the first tick.

    ``seconds`` is the time of the loop over ticks, ``cpu_s`` the processor time of this process in
    it (None where another process ran the loop), ``spikes`` the count of each population that
    computes (three in W1, one in W2 and W3), or of all together if the peer counts them so; then
    ``n_events`` are the synaptic events that the peer counted. ``peak_rss_mb`` is given where
    another process ran the loop.
    """

    seconds: float
    cpu_s: float | None
    spikes: tuple[int, ...]
    notes: str = ""
    n_events: int | None = None
    peak_rss_mb: float | None = None


class Spent(NamedTuple):
    """Seconds on the clock and of the processor."""

    seconds: float
    cpu_s: float

    @classmethod
    def now(cls) -> "Spent":
        """Read both clocks."""
        return cls(time.perf_counter(), time.process_time())

    def since(self) -> "Spent":
        """Say what was spent since these readings."""
        now = Spent.now()
        return Spent(now.seconds - self.seconds, now.cpu_s - self.cpu_s)
