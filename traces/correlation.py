"""How two series differ, taken in piece by piece."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


class Moments:
    """Difference and correlation of pairs that come in pieces.

    Means and sums of squares of pieces are joined by the formula of Chan, Golub and LeVeque,
    "Updating formulae and a pairwise algorithm for computing sample variances" (1979), which does
    not lose digits where the mean is large against the spread.
    """

    def __init__(self) -> None:
        self.n = 0
        self._mean = np.zeros(2)
        self._squares = np.zeros((2, 2))
        self._error_squares = 0.0
        self._low = np.full(2, np.inf)
        self._high = np.full(2, -np.inf)
        self.max = 0.0
        """Largest absolute difference; not a number if one of the values is none."""

    def add(self, x: Array, y: Array) -> None:
        """Take in pairs; two arrays of one shape."""
        if not x.size:
            return
        pairs = np.stack([x.ravel(), y.ravel()]).astype(np.float64)
        error = np.abs(pairs[0] - pairs[1])
        self._error_squares += float(np.sum(error**2))
        self.max = float(np.maximum(self.max, error.max()))
        self._low = np.minimum(self._low, pairs.min(axis=1))
        self._high = np.maximum(self._high, pairs.max(axis=1))
        mean = pairs.mean(axis=1)
        centred = pairs - mean[:, None]
        step = mean - self._mean
        n = self.n + x.size
        self._squares += centred @ centred.T + np.outer(step, step) * (self.n * x.size / n)
        self._mean += step * (x.size / n)
        self.n = n

    @property
    def rms(self) -> float:
        """Root of the mean squared difference; 0 of nothing."""
        return math.sqrt(self._error_squares / self.n) if self.n else 0.0

    @property
    def correlation(self) -> float | None:
        """Pearson correlation; None if a series is constant or not finite, or has no values."""
        if not self.n or np.any(self._low == self._high):
            return None
        (xx, xy), (_, yy) = self._squares
        if not xx * yy > 0:
            return None
        return float(np.clip(xy / math.sqrt(xx * yy), -1.0, 1.0))
