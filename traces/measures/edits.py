"""The spike train metric of Victor and Purpura: what it costs to turn one train into the other."""

import math
from typing import Any

from numpy.typing import NDArray

from traces.jit import inner
from traces.measures.pairs import Measure, instants

Array = NDArray[Any]

BEYOND = float(2**62)
"""A reach in ticks that no two spikes exceed."""


def victor_purpura(cost_per_tick: float) -> Measure:
    """Least cost of turning one train into the other by adding, deleting and shifting spikes.

    Adding or deleting a spike costs 1, shifting one by ``d`` ticks costs ``cost_per_tick * d``.
    Two spikes further apart than ``2 / cost_per_tick`` ticks are never worth a shift. The distance
    is a metric between 0 and the number of spikes of both, and has no unit.

    Parameters
    ----------
    cost_per_tick : float
        1/ticks. A cost in Hz (1/s) becomes one per tick times ``dt_s``: 100 Hz in ticks of 1 ms is
        0.1. With 0 the distance is the difference of the numbers of spikes; with infinity it is the
        number of spikes without a counterpart in the same tick.

    Notes
    -----
    J. D. Victor and K. P. Purpura, "Nature and precision of temporal coding in visual cortex: a
    metric-space analysis", J. Neurophysiol. 76(2), 1996, eq. 1 to 4: with ``G[i, j]`` the distance
    of the first i and the first j spikes, ``G[i, 0] = i``, ``G[0, j] = j`` and::

        G[i, j] = min(G[i-1, j] + 1, G[i, j-1] + 1, G[i-1, j-1] + q |a_i - b_j|)

    Computed is what shifts save, ``M[i, j] = i + j - G[i, j]``, so that additions drop out::

        M[i, j] = max(M[i-1, j], M[i, j-1], M[i-1, j-1] + 2 - q |a_i - b_j|)

    and only pairs within ``2 / q`` need to be looked at.

    Raises
    ------
    ValueError
        If the cost is negative or no number.
    """
    if not cost_per_tick >= 0:
        raise ValueError(f"a cost per tick must be 0 or more, got {cost_per_tick}")
    reach = 2 / cost_per_tick if cost_per_tick else BEYOND
    # A cost without bound leaves pairs of one tick, which are not shifted.
    constants = (cost_per_tick if math.isfinite(cost_per_tick) else 0.0, min(reach, BEYOND))
    return Measure(
        name="victor_purpura",
        parameters={"cost_per_tick": cost_per_tick},
        prepare=instants,
        kernel=cost_of_pair,
        constants=lambda trains: constants,
    )


@inner
def cost_of_pair(
    a: Array, a_first: int, a_last: int, a_aside: float,
    b: Array, b_first: int, b_last: int, b_aside: float,
    length: float, constants: Array, saved: Array, order: Array,
) -> float:  # fmt: skip
    """Compute the distance of two trains; ``saved`` holds a row of M where it last changed."""
    cost, reach = constants[0], constants[1]
    for j in range(b_last - b_first):
        saved[j] = 0.0
    low, before = b_first, 0.0  # spikes of b before low are out of reach, and saved so much
    for i in range(a_first, a_last):
        at = a[i]
        while low < b_last and b[low] < at - reach:
            value = saved[low - b_first]
            before = value if value > before else before
            low += 1
        # M grows along a row: where an entry is smaller than those before it, it is out of date.
        left = corner = before
        for j in range(low, b_last):
            if b[j] > at + reach:
                break
            value = saved[j - b_first]
            above = value if value > corner else corner
            matched = corner + (2.0 - cost * abs(at - b[j]))
            best = above if above > matched else matched
            left = left if left > best else best
            saved[j - b_first] = left
            corner = above
    for j in range(low, b_last):
        value = saved[j - b_first]
        before = value if value > before else before
    return (a_last - a_first) + (b_last - b_first) - before
