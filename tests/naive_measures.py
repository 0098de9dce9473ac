"""Measures of two spike trains straight from their formulas, tick by tick and spike by spike.

Trains are lists of whole ticks in a window from 0 to ``length``.
"""

import math
from fractions import Fraction

import numpy as np


def victor_purpura(a, b, length, cost_per_tick):
    """The whole matrix G of Victor and Purpura (1996)."""
    g = np.zeros((len(a) + 1, len(b) + 1))
    g[:, 0], g[0] = np.arange(len(a) + 1), np.arange(len(b) + 1)
    for i, x in enumerate(sorted(a), start=1):
        for j, y in enumerate(sorted(b), start=1):
            shift = 0 if x == y else cost_per_tick * abs(x - y)
            g[i, j] = min(g[i - 1, j] + 1, g[i, j - 1] + 1, g[i - 1, j - 1] + shift)
    return g[-1, -1]


def van_rossum(a, b, length, tau_ticks):
    """The integral written out: a sum over all pairs of spikes (Houghton and Kreuz 2012, eq. 5)."""

    def overlap(x, y):
        return math.fsum(math.exp(-abs(s - t) / tau_ticks) for s in x for t in y)

    return math.sqrt(max(overlap(a, a) + overlap(b, b) - 2 * overlap(a, b), 0.0))


def _spikes(train, length):
    """Distinct spikes; those of an empty train are at the edges."""
    return sorted(set(train)) or [0, length]


def _around(train, t, length):
    """Instants before and behind t as PySpike has them, not all of which are spikes."""
    n = len(train)
    first = min(0, 2 * train[0] - train[1]) if n > 1 else 0
    last = max(length, 2 * train[-1] - train[-2]) if n > 1 else length
    return max([first, *(x for x in train if x < t)]), min([last, *(x for x in train if x > t)])


def isi_distance(a, b, length):
    """Mean over the ticks, in the middle of each; between two ticks nothing changes."""
    a, b = _spikes(a, length), _spikes(b, length)
    total = 0.0
    for tick in range(length):
        isis = [math.dist(*([x] for x in _around(x, tick + 0.5, length))) for x in (a, b)]
        total += abs(isis[0] - isis[1]) / max(isis)
    return total / length


def spike_distance(a, b, length):
    """Mean over the ticks, in the middle of each; between two ticks all is linear."""
    a, b = _spikes(a, length), _spikes(b, length)

    def off(x, others):
        """How far a spike is from the nearest of the other train, edges included."""
        edges = _around(others, -1, length)[0], _around(others, length + 1, length)[1]
        return min(abs(x - y) for y in (*edges, *others))

    def dissimilarity(train, others, t):
        before, behind = _around(train, t, length)
        if before < train[0]:
            d = [off(train[0], others)] * 2
        elif t > train[-1] and train != [0]:
            d = [off(train[-1], others)] * 2
        else:
            d = [off(before, others), off(behind, others)]
        isi = behind - before
        return (d[0] * (behind - t) + d[1] * (t - before)) / isi, isi

    total = 0.0
    for tick in range(length):
        s_a, isi_a = dissimilarity(a, b, tick + 0.5)
        s_b, isi_b = dissimilarity(b, a, tick + 0.5)
        total += (s_a * isi_b + s_b * isi_a) / (2 * ((isi_a + isi_b) / 2) ** 2)
    return total / length


def spike_time_tiling(a, b, length, dt_ticks):
    """Share of time near a spike in quarters of a tick, for windows of whole or half ticks."""
    if not a or not b:
        return math.nan

    def tiled(train):
        middles = [(quarter + 0.5) / 4 for quarter in range(4 * length)]
        return Fraction(sum(any(abs(m - x) < dt_ticks for x in train) for m in middles), 4 * length)

    def near(train, others):
        return Fraction(sum(any(abs(x - y) <= dt_ticks for y in others) for x in train), len(train))

    def term(p, t):
        return Fraction(1) if p * t == 1 else (p - t) / (1 - p * t)

    return float((term(near(a, b), tiled(b)) + term(near(b, a), tiled(a))) / 2)


def rate_correlation(a, b, length, bin_ticks):
    """Pearson correlation of counts in bins, the last of which may be shorter."""
    edges = [*range(0, length, bin_ticks), length]
    x, y = (np.histogram(train, edges)[0] for train in (a, b))
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        return math.nan
    return np.corrcoef(x, y)[0, 1]


def earth_mover(a, b):
    """Lay as many copies of each beside each other as make the two equally many."""
    x, y = sorted(list(a) * len(b)), sorted(list(b) * len(a))
    return float(np.mean(np.abs(np.subtract(x, y))))
