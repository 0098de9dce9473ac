"""The ISI distance: how the intervals between spikes differ at each instant."""

from typing import Any

from numpy.typing import NDArray

from traces.jit import inner
from traces.measures.outline import merge, outline
from traces.measures.pairs import Measure, nothing

Array = NDArray[Any]


@inner
def isi_of_pair(
    a: Array, a_first: int, a_last: int, a_aside: float,
    b: Array, b_first: int, b_last: int, b_aside: float,
    length: float, constants: Array, scratch: Array, order: Array,
) -> float:  # fmt: skip
    """Add up over the times between two spikes of either train."""
    n = merge(a, a_first, a_last, b, b_first, b_last, scratch, order)
    scratch[n] = length
    then = total = 0.0
    for k in range(n + 1):
        now = scratch[k]
        if now > then:
            i, j = order[k, 0], order[k, 1]
            isi_a, isi_b = a[i] - a[i - 1], b[j] - b[j - 1]
            longer = isi_a if isi_a > isi_b else isi_b
            total += abs(isi_a - isi_b) / longer * (now - then)
            then = now
    return total / length


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
