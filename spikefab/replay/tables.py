"""Differences of what is recorded only when asked for: counters of cores and ticks, and packets."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikefab.replay.verdict import Mismatch

Array = NDArray[Any]


def core_counters_differ(
    trace: Any, given: Mapping[str, Sequence[Array]], first: int, start: int, stop: int,
    compared: Counter[str],
) -> Iterator[Mismatch]:  # fmt: skip
    """Compare counters of each core in the ticks ``start:stop``; given from tick ``first`` on."""
    if not given or not hasattr(trace, "core_tick_counters"):
        return
    recorded = trace.core_tick_counters(start, stop)
    place = trace.cores().get("place")
    for name, parts in given.items():
        if name not in recorded:
            continue
        here, there = np.concatenate(parts)[start - first : stop - first], recorded[name]
        compared["counters of cores and ticks"] += there.size
        if here.shape != there.shape:
            yield Mismatch(start + min(len(here), len(there)), None, None, None, name, None, None)
        elif np.any(here != there):
            row, core = (int(k[0]) for k in np.nonzero(here != there))
            yield Mismatch(
                start + row, None if place is None else int(place[core]), None, None, name,
                int(there[row, core]), int(here[row, core]),
            )  # fmt: skip


def packets_differ(
    trace: Any, given: Sequence[Mapping[str, Array]], start: int, stop: int, compared: Counter[str]
) -> Iterator[Mismatch]:
    """Compare the packets of the ticks ``start:stop``."""
    if not given or not hasattr(trace, "packets"):
        return
    recorded = trace.packets(start, stop)._asdict()
    columns = {name: np.concatenate([part[name] for part in given]) for name in given[0]}
    inside = (columns["timestamps"] >= start) & (columns["timestamps"] < stop)
    names = [name for name in recorded if name in columns]
    there, here = (
        np.stack([np.asarray(side[name], np.int64) for name in names], axis=1)
        for side in (recorded, {name: columns[name][inside] for name in names})
    )
    # As rows, since nothing says in which order equals come.
    there, here = (side[np.lexsort(side.T[::-1])] for side in (there, here))
    compared["packets"] += len(there)
    if np.array_equal(there, here):
        return
    n = min(len(there), len(here))
    row = int([*np.flatnonzero(np.any(there[:n] != here[:n], axis=1)), n][0])
    at = [side[row] for side in (there, here) if row < len(side)]
    odd = min(at, key=lambda packet: int(packet[0]))
    column = int(np.argmax(at[0] != at[-1]))
    yield Mismatch(
        int(odd[0]), int(odd[names.index("core")]), None, None, f"packet {names[column]}",
        int(there[row, column]) if row < len(there) else None,
        int(here[row, column]) if row < len(here) else None,
    )  # fmt: skip
