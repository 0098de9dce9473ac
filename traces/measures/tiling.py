"""The spike time tiling coefficient: how many spikes are near others, against what chance gives."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from traces.jit import inner
from traces.measures.pairs import Measure, Prepared, instants
from traces.measures.trains import Trains

Array = NDArray[Any]


def spike_time_tiling(dt_ticks: float) -> Measure:
    """Correlation of two trains by near spikes, whatever their rates.

    Parameters
    ----------
    dt_ticks : float
        Two spikes are near each other if they are at most so many ticks apart: ``dt / dt_s`` of a
        window in seconds.

    Notes
    -----
    C. S. Cutts and S. J. Eglen, "Detecting pairwise correlations in spike trains", J. Neurosci.
    34(43), 2014::

        STTC = ((P_a - T_b) / (1 - P_a T_b) + (P_b - T_a) / (1 - P_b T_a)) / 2

    ``P_a`` is the share of a's spikes that are near one of b, ``T_a`` the share of the window that is
    near a spike of a. A term of 0/0 is 1. From -1 to 1, 0 where spikes are near by chance; not a
    number if a train has no spikes.

    Raises
    ------
    ValueError
        If the window is not positive or infinite.
    """
    if not 0 < dt_ticks < math.inf:
        raise ValueError(f"spikes count as near within a positive number of ticks, got {dt_ticks}")
    return Measure(
        name="spike_time_tiling",
        parameters={"dt_ticks": dt_ticks},
        prepare=lambda trains: _tiled(trains, dt_ticks),
        kernel=tiling_of_pair,
        constants=lambda trains: (dt_ticks,),
    )


def _tiled(trains: Trains, dt_ticks: float) -> Prepared:
    """Prepare instants, and which share of the window is near one of them."""
    first, values, _ = instants(trains)
    number = trains.numbers
    near = np.zeros(values.size)
    # From a spike to the next one in the train, at most the right side of one and the left of the other.
    gaps = np.minimum(np.diff(values), 2 * dt_ticks)
    near[:-1] += np.where(number[1:] == number[:-1], gaps, 0)
    covered = np.zeros(len(trains))
    np.add.at(covered, number, near)
    there = np.flatnonzero(trains.counts)
    covered[there] += np.minimum(values[first[there]], dt_ticks)
    covered[there] += np.minimum(trains.length - values[first[there + 1] - 1], dt_ticks)
    return Prepared(first, values, covered / trains.length)


@inner
def near_spikes(
    a: Array, a_first: int, a_last: int, b: Array, b_first: int, b_last: int, reach: float
) -> int:
    """Count the spikes of a that are near one of b."""
    found, j = 0, b_first
    for i in range(a_first, a_last):
        while j < b_last and b[j] < a[i] - reach:
            j += 1
        if j < b_last and b[j] <= a[i] + reach:
            found += 1
    return found


@inner
def against_chance(share: float, tiled: float) -> float:
    """One of the two terms."""
    return 1.0 if share * tiled == 1.0 else (share - tiled) / (1.0 - share * tiled)


@inner
def tiling_of_pair(
    a: Array, a_first: int, a_last: int, a_aside: float,
    b: Array, b_first: int, b_last: int, b_aside: float,
    length: float, constants: Array, scratch: Array, order: Array,
) -> float:  # fmt: skip
    """Compute the coefficient of two trains; aside is the share of the window near a spike."""
    n, m = a_last - a_first, b_last - b_first
    if n == 0 or m == 0:
        return math.nan
    share_a = near_spikes(a, a_first, a_last, b, b_first, b_last, constants[0]) / n
    share_b = near_spikes(b, b_first, b_last, a, a_first, a_last, constants[0]) / m
    return 0.5 * (against_chance(share_a, b_aside) + against_chance(share_b, a_aside))
