"""What an adapter of ``peers.py`` returns for one run; imported in the peers' environments."""

from typing import NamedTuple


class Outcome(NamedTuple):
    """One run from the first tick.

    ``seconds`` is the time of the loop over ticks, ``spikes`` the count of each population that
    computes (three in W1, one in W2 and W3), or of all together if the peer counts them so; then
    ``n_events`` are the synaptic events that the peer counted. ``peak_rss_mb`` is given where
    another process ran the loop.
    """

    seconds: float
    spikes: tuple[int, ...]
    notes: str = ""
    n_events: int | None = None
    peak_rss_mb: float | None = None
