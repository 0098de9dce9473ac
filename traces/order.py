"""Batches of events, put into the order of their table after a look at what they name."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def in_order(
    what: str, events: Mapping[str, Array], *, latest: int, n_ticks: int, size: int | None
) -> dict[str, Array]:
    """Sort a batch of events by tick, then number, after a look at both.

    Parameters
    ----------
    what : str
        Whose events, for errors.
    events : mapping
        ``timestamps`` and ``node_ids``, int [n > 0], and whatever else belongs to an event.
    latest : int
        Last tick of the batch before; -1 for the first.
    n_ticks, size : int
        Ticks and neurons that there are.

    Raises
    ------
    ValueError
        If a tick or neuron is not there, or the batch goes back in time.
    """
    ticks, numbers = np.asarray(events["timestamps"]), np.asarray(events["node_ids"])
    if np.min(numbers) < 0:
        raise ValueError(f"{what}: there is no neuron {np.min(numbers)}")
    if size is not None and np.max(numbers) >= size:
        raise ValueError(f"{what} has {size} neurons, there is no neuron {np.max(numbers)}")
    # An engine's spikes come sorted, and to see that takes a tenth of sorting them.
    falls = np.flatnonzero(numbers[1:] < numbers[:-1])
    ordered = bool(
        np.all(ticks[1:] >= ticks[:-1]) and np.all(ticks.take(falls + 1) > ticks.take(falls))
    )
    first, last = int(ticks[0]), int(ticks[-1])
    if not ordered:
        first, last = int(np.min(ticks)), int(np.max(ticks))
    _look_at(what, first, last, latest=latest, n_ticks=n_ticks)
    if ordered:
        return dict(events)
    order = _order(ticks, numbers, last)
    return {name: np.asarray(values)[order] for name, values in events.items()}


def _order(ticks: Array, numbers: Array, last: int) -> Array:
    """Order of events by tick, then number; equals as they came."""
    most = int(np.max(numbers)) + 1
    if (last + 1) * most >= 1 << 62:
        return np.lexsort((numbers, ticks))
    # One number an event sorts several times faster than two.
    key = ticks.astype(np.int64) * most + numbers.astype(np.int64)
    order = np.argsort(key)
    placed = key[order]
    return np.lexsort((numbers, ticks)) if np.any(placed[1:] == placed[:-1]) else order


def in_time(
    what: str, rows: Mapping[str, Array], by: Sequence[str], *, latest: int, n_ticks: int
) -> dict[str, Array]:
    """Sort a batch of a table by some columns, the first of them its ticks, after a look at these.

    Raises
    ------
    ValueError
        If a tick is not there, or the batch goes back in time.
    """
    arrays = {name: np.asarray(values) for name, values in rows.items()}
    ticks = arrays[by[0]]
    _look_at(what, int(np.min(ticks)), int(np.max(ticks)), latest=latest, n_ticks=n_ticks)
    order = np.lexsort([arrays[name] for name in reversed(by)])
    return {name: values[order] for name, values in arrays.items()}


def _look_at(what: str, first: int, last: int, *, latest: int, n_ticks: int) -> None:
    if first < 0 or last >= n_ticks:
        raise ValueError(
            f"{what}: tick {first if first < 0 else last} is outside of the trace, which has "
            f"{n_ticks} ticks (samples × ticks)"
        )
    if first <= latest:
        raise ValueError(
            f"{what}: tick {first} comes after tick {latest}; each batch must hold whole ticks, "
            f"later than the last"
        )
