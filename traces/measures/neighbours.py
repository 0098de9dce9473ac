"""Kreuz's SPIKE distance: how far off the spikes around each instant are, against the intervals."""

import math
from typing import Any

from numpy.typing import NDArray

from traces.jit import inlined, inner
from traces.measures.outline import outline
from traces.measures.pairs import Measure, nothing

Array = NDArray[Any]


@inlined
def nearest(instant: float, others: Array, first: int, last: int) -> float:
    """Distance from an instant to the nearest of ascending others, none nearer before ``first``."""
    distance: float = abs(others[first] - instant)
    for k in range(first + 1, last):
        further = abs(others[k] - instant)
        if further > distance:
            break
        distance = further
    return distance


@inner
def spike_of_pair(
    a: Array, a_first: int, a_last: int, a_aside: float,
    b: Array, b_first: int, b_last: int, b_aside: float,
    length: float, constants: Array, scratch: Array,
) -> float:  # fmt: skip
    """Sweep over the spikes of both; the first and last value of each are no spikes.

    Between two spikes of either train everything is linear in time, so an interval's part of the
    integral is the mean of its ends. ``off`` is the distance of the spike before, ``slope`` how it
    changes towards that of the spike to come; at the edges it stays.
    """
    i, j = a_first, b_first
    isi_a, isi_b = a[i + 1] - a[i], b[j + 1] - b[j]
    to_come_a = nearest(a[i + 1], b, j, b_last)
    to_come_b = nearest(b[j + 1], a, i, a_last)
    off_a, off_b = to_come_a, to_come_b
    slope_a = slope_b = 0.0
    since_a, since_b = a[i], b[j]
    then = total = 0.0
    while True:
        next_a = a[i + 1] if i + 2 < a_last else math.inf
        next_b = b[j + 1] if j + 2 < b_last else math.inf
        now = next_a if next_a < next_b else next_b
        if now > length:
            now = length
        if now > then:
            both = then + now
            twice_a = 2.0 * off_a + slope_a * (both - 2.0 * since_a)
            twice_b = 2.0 * off_b + slope_b * (both - 2.0 * since_b)
            isis = isi_a + isi_b
            total += (twice_a * isi_b + twice_b * isi_a) / (isis * isis) * (now - then)
            then = now
        if next_a == math.inf and next_b == math.inf:
            return total / length
        i += next_a <= next_b
        j += next_b <= next_a
        if next_a <= next_b:
            off_a, since_a = to_come_a, next_a
            isi_a = a[i + 1] - since_a
            slope_a = 0.0
            # A single spike at the start has the end of the window for its next one.
            if i + 2 < a_last or (i == a_first + 1 and since_a == 0.0):
                to_come_a = nearest(a[i + 1], b, j, b_last)
                slope_a = (to_come_a - off_a) / isi_a
        if next_b <= next_a:
            off_b, since_b = to_come_b, next_b
            isi_b = b[j + 1] - since_b
            slope_b = 0.0
            if j + 2 < b_last or (j == b_first + 1 and since_b == 0.0):
                to_come_b = nearest(b[j + 1], a, i, a_last)
                slope_b = (to_come_b - off_b) / isi_b


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
