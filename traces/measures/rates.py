"""Measures of rates: correlation of counts, and the distance of distributions."""

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from traces.jit import inner
from traces.measures.pairs import Measure, Prepared
from traces.measures.trains import Trains

Array = NDArray[Any]


def rate_correlation(bin_ticks: int) -> Measure:
    """Pearson correlation of the two trains' numbers of spikes in bins of some ticks.

    From -1 to 1; not a number if a train has as many spikes in every bin, as an empty one has.

    Parameters
    ----------
    bin_ticks : int
        Bins are laid from the start of the window on; the last one may be shorter, and counts.

    Notes
    -----
    ``(n sum(x y) - sum(x) sum(y)) / sqrt((n sum(x^2) - sum(x)^2) (n sum(y^2) - sum(y)^2))`` over n bins
    with x and y spikes, in whole numbers up to the root.

    Raises
    ------
    ValueError
        If the bin is not a positive whole number of ticks.
    """
    if bin_ticks < 1 or bin_ticks != int(bin_ticks):
        raise ValueError(f"a bin must be a positive whole number of ticks, got {bin_ticks}")
    return Measure(
        name="rate_correlation",
        parameters={"bin_ticks": bin_ticks},
        prepare=lambda trains: _binned(trains, int(bin_ticks)),
        kernel=correlation_of_pair,
        constants=lambda trains: (float(_n_bins(trains, int(bin_ticks))),),
    )


def _n_bins(trains: Trains, bin_ticks: int) -> int:
    # A spike at the very end of the window belongs to the last bin.
    return -(-trains.length // bin_ticks)


def _binned(trains: Trains, bin_ticks: int) -> Prepared:
    """Prepare the bin of each spike, and each train's variance times the squared number of bins."""
    n_bins = _n_bins(trains, bin_ticks)
    bins = np.minimum((trains.ticks - trains.start) // bin_ticks, n_bins - 1)
    number = trains.numbers
    begins = np.ones(bins.size, np.bool_)
    begins[1:] = (bins[1:] != bins[:-1]) | (number[1:] != number[:-1])
    at = np.flatnonzero(begins)
    count = np.diff(np.append(at, bins.size)).astype(np.float64)
    squares = np.bincount(number[at], weights=count**2, minlength=len(trains))
    spread = n_bins * squares - trains.counts.astype(np.float64) ** 2
    return Prepared(trains.first, bins.astype(np.float64), spread)


@inner
def correlation_of_pair(
    a: Array, a_first: int, a_last: int, a_aside: float,
    b: Array, b_first: int, b_last: int, b_aside: float,
    length: float, constants: Array, scratch: Array, order: Array,
) -> float:  # fmt: skip
    """Correlate two trains of bins; aside is how far each one's counts are spread."""
    if a_aside <= 0.0 or b_aside <= 0.0:
        return math.nan
    products, i, j = 0.0, a_first, b_first
    while i < a_last and j < b_last:
        if a[i] < b[j]:
            i += 1
        elif b[j] < a[i]:
            j += 1
        else:
            at, n, m = a[i], 0, 0
            while i < a_last and a[i] == at:
                n, i = n + 1, i + 1
            while j < b_last and b[j] == at:
                m, j = m + 1, j + 1
            products += n * m
    shared = constants[0] * products - float(a_last - a_first) * float(b_last - b_first)
    found: float = shared / (math.sqrt(a_aside) * math.sqrt(b_aside))
    return min(max(found, -1.0), 1.0)


def earth_mover(a: ArrayLike, b: ArrayLike) -> float:
    """Earth mover's (first Wasserstein) distance of two distributions of firing rates.

    The least mean change of rate that turns one distribution into the other, whichever neurons
    have the rates: ``integral of |F_a(x) - F_b(x)| dx`` with F the share of rates up to x. The
    unit is that of the rates.

    Parameters
    ----------
    a, b : array_like
        Rates, each weighing as much; the two may differ in number.

    Notes
    -----
    S. S. Vallender, "Calculation of the Wasserstein distance between probability distributions on
    the line", Theory of Probability and its Applications 18(4), 1974.

    Returns
    -------
    float
        Not a number if one of the two is empty.
    """
    x, y = (np.sort(np.asarray(each, np.float64).ravel()) for each in (a, b))
    if not x.size or not y.size:
        return math.nan
    both = np.sort(np.concatenate([x, y]))
    shares = [np.searchsorted(each, both[:-1], side="right") / each.size for each in (x, y)]
    return float(np.sum(np.abs(shares[0] - shares[1]) * np.diff(both)))
