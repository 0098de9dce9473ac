"""Trains as the ISI and the SPIKE distance see them: distinct instants, continued at the edges."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from traces.jit import inner
from traces.measures.pairs import Prepared
from traces.measures.trains import Trains

Array = NDArray[Any]


def outline(trains: Trains) -> Prepared:
    """Prepare the instants of each train with one more before and one behind them.

    Follows PySpike (its ``spike_distance`` and ``reconcile_spike_trains``): several spikes in a tick
    are one; a train without spikes has one at either edge of the window. The first interval is as
    long as the one after it, or reaches the edge, whichever is longer; so is the last. A single
    spike's intervals end at the edges.
    """
    counts = _distinct(trains)
    values, first = counts
    n = np.diff(first)
    length = float(trains.length)
    # Two for the edges of each train, two more for an empty one's spikes.
    empty = n == 0
    padded = np.append(0, np.cumsum(n + 2 + 2 * empty))
    out = np.empty(padded[-1])
    number = np.repeat(np.arange(n.size), n)
    out[padded[number] + 1 + np.arange(values.size) - first[number]] = values
    head, tail = padded[:-1], padded[1:] - 1
    out[head[empty] + 1], out[tail[empty] - 1] = 0.0, length
    several = np.diff(padded) > 3
    out[head], out[tail] = 0.0, length
    first_two = head[several] + 1, head[several] + 2
    last_two = tail[several] - 1, tail[several] - 2
    out[head[several]] = np.minimum(0.0, 2 * out[first_two[0]] - out[first_two[1]])
    out[tail[several]] = np.maximum(length, 2 * out[last_two[0]] - out[last_two[1]])
    return Prepared(padded.astype(np.int64), out, np.zeros(n.size))


def _distinct(trains: Trains) -> tuple[Array, Array]:
    """Instants from the start of the window, each once in a train, and where trains begin."""
    number = trains.numbers
    new = np.ones(trains.ticks.size, np.bool_)
    new[1:] = (trains.ticks[1:] != trains.ticks[:-1]) | (number[1:] != number[:-1])
    counts = np.bincount(number[new], minlength=len(trains))
    values = (trains.ticks[new] - trains.start).astype(np.float64)
    return values, np.append(0, np.cumsum(counts)).astype(np.int64)


@inner
def merge(
    a: Array, a_first: int, a_last: int, b: Array, b_first: int, b_last: int,
    times: Array, order: Array,
) -> int:  # fmt: skip
    """List the instants of two outlines in order; of those at one instant a's come first.

    ``times[k]`` is that of the k-th, and ``order[k]`` the next instant of a and of b when it came.
    Which train comes next is chance, so it is computed rather than branched on.

    Returns
    -------
    int
        How many there are; ``order`` has one row more.
    """
    i, j = a_first + 1, b_first + 1
    a_end, b_end = a_last - 1, b_last - 1
    n = a_end - i + b_end - j
    for k in range(n):
        order[k, 0] = i
        order[k, 1] = j
        of_a = ((a[i] <= b[j]) & (i < a_end)) | (j >= b_end)
        times[k] = a[i] if of_a else b[j]
        i += of_a
        j += 1 - of_a
    order[n, 0] = i
    order[n, 1] = j
    return n
