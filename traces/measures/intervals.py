"""The ISI distance: how the intervals between spikes differ at each instant."""

import math
from typing import Any

from numpy.typing import NDArray

from traces.jit import inner
from traces.measures.outline import outline
from traces.measures.pairs import Measure, nothing

Array = NDArray[Any]


@inner
def isi_of_pair(
    a: Array, a_first: int, a_last: int, a_aside: float,
    b: Array, b_first: int, b_last: int, b_aside: float,
    length: float, constants: Array, scratch: Array,
) -> float:  # fmt: skip
    """Sweep over the spikes of both; the first and last value of each are no spikes."""
    i, j = a_first, b_first
    isi_a, isi_b = a[i + 1] - a[i], b[j + 1] - b[j]
    then = total = 0.0
    while True:
        next_a = a[i + 1] if i + 2 < a_last else math.inf
        next_b = b[j + 1] if j + 2 < b_last else math.inf
        now = next_a if next_a < next_b else next_b
        if now > length:
            now = length
        if now > then:
            longer = isi_a if isi_a > isi_b else isi_b
            total += abs(isi_a - isi_b) / longer * (now - then)
            then = now
        if next_a == math.inf and next_b == math.inf:
            return total / length
        if next_a <= next_b:
            i += 1
            isi_a = a[i + 1] - a[i]
        if next_b <= next_a:
            j += 1
            isi_b = b[j + 1] - b[j]


isi_distance = Measure(name="isi_distance", prepare=outline, kernel=isi_of_pair, constants=nothing)
"""Mean over time of the relative difference of the current interspike intervals.

``D = 1/T * integral of |isi_a(t) - isi_b(t)| / max(isi_a(t), isi_b(t)) dt`` over the window, where
``isi(t)`` is the interval between the spikes around t; between 0 and 1, no parameter, no unit. Edges
as in `traces.measures.outline.outline`, which is PySpike's way. It does not see shifts: two
regular trains of one rate are 0 apart.

T. Kreuz, J. S. Haas, A. Morelli, H. D. I. Abarbanel and A. Politi, "Measuring spike train
synchrony", J. Neurosci. Methods 165(1), 2007; in the form of T. Kreuz, M. Mulansky and N. Bozanic,
"SPIKY: a graphical user interface for monitoring spike train synchrony", J. Neurophysiol. 113(9), 2015.
"""
