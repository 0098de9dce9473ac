"""Kreuz's SPIKE distance: how far off the spikes around each instant are, against the intervals."""

from typing import Any

from numpy.typing import NDArray

from traces.jit import inner
from traces.measures.outline import merge, outline
from traces.measures.pairs import Measure, nothing

Array = NDArray[Any]


@inner
def nearest(instant: float, others: Array, first: int, last: int) -> float:
    """Distance from an instant to the nearest of others."""
    distance: float = abs(others[first] - instant)
    for k in range(first + 1, last):
        further = abs(others[k] - instant)
        distance = further if further < distance else distance
    return distance


@inner
def settle_edges(
    off: Array, begin: int, a: Array, a_first: int, a_last: int, b: Array, b_first: int, b_last: int
) -> None:
    """Let what is off stay before the first spike and behind the last one."""
    end = begin + a_last - a_first - 1
    off[begin] = off[begin + 1]
    off[end] = off[end - 1]
    if end == begin + 2 and a[a_first + 1] == 0.0:
        # A single spike at the start has the end of the window for its next one.
        off[end] = nearest(a[a_last - 1], b, b_first, b_last)


@inner
def spike_of_pair(
    a: Array, a_first: int, a_last: int, a_aside: float,
    b: Array, b_first: int, b_last: int, b_aside: float,
    length: float, constants: Array, scratch: Array, order: Array,
) -> float:  # fmt: skip
    """Add up over the times between two spikes of either train, where all is linear in time.

    The integral over such a time is that of the mean of its ends. ``scratch`` holds the times, then
    how far off each instant of a and each one of b is.
    """
    n = merge(a, a_first, a_last, b, b_first, b_last, scratch, order)
    scratch[n] = length
    # Entry i of a is at_a + i, so that an instant of a is found by its own number.
    at_a = n + 1 - a_first
    at_b = at_a + a_last - b_first
    for k in range(n):
        i, j = order[k, 0], order[k, 1]
        here, there = a[i], b[j]
        # Written for both; what stays is from when they came, with neighbours on either side.
        before, behind = here - b[j - 1], there - here
        scratch[at_a + i] = before if before < behind else behind
        before, behind = there - a[i - 1], here - there
        scratch[at_b + j] = before if before < behind else behind
    settle_edges(scratch, at_a + a_first, a, a_first, a_last, b, b_first, b_last)
    settle_edges(scratch, at_b + b_first, b, b_first, b_last, a, a_first, a_last)
    then = total = 0.0
    for k in range(n + 1):
        now = scratch[k]
        if now > then:
            i, j = order[k, 0], order[k, 1]
            both = then + now
            isi_a, isi_b = a[i] - a[i - 1], b[j] - b[j - 1]
            off_a = scratch[at_a + i - 1] * (2.0 * a[i] - both)
            off_a += scratch[at_a + i] * (both - 2.0 * a[i - 1])
            off_b = scratch[at_b + j - 1] * (2.0 * b[j] - both)
            off_b += scratch[at_b + j] * (both - 2.0 * b[j - 1])
            isis = isi_a + isi_b
            weighed = off_a * (isi_b * isi_b) + off_b * (isi_a * isi_a)
            total += weighed / (isi_a * isi_b * (isis * isis)) * (now - then)
            then = now
    return total / length


spike_distance = Measure(
    name="spike_distance", prepare=outline, kernel=spike_of_pair, constants=nothing
)
"""Mean over time of how far the spikes around each instant are off, against the intervals there.

For each spike, ``d`` is the time to the nearest spike of the other train. Between its spikes at p and f
a train has ``S(t) = (d_p (f - t) + d_f (t - p)) / isi``, and::

    D = 1/T * integral of (S_a isi_b + S_b isi_a) / (2 mean(isi_a, isi_b)^2) dt

over the window; between 0 and 1, no parameter, no unit. Edges are PySpike's: see
`traces.measures.outline.outline`; the added instants count as neighbours for ``d``, and before the
first and behind the last spike S stays what it is there.

T. Kreuz, D. Chicharro, C. Houghton, R. G. Andrzejak and F. Mormann, "Monitoring spike train
synchrony", J. Neurophysiol. 109(5), 2013, eq. 7 to 12; edges as in M. Mulansky and T. Kreuz,
"PySpike: a Python library for analyzing spike train synchrony", SoftwareX 5, 2016.
"""
