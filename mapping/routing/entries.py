"""Routing entries of one router: the first whose key and mask match a packet says where it goes.

A packet that no entry matches goes straight on: out of the side opposite to the one on which it
came in (default routing, as in SpiNNaker's routers).
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

STRAIGHT = -1
"""Way of a block whose packets go straight on, so that it needs no entry."""


class Entries(NamedTuple):
    """Entries in their order, or blocks of keys; int64 [n] each.

    ``way`` numbers sets of output ports (`mapping.routing.tables.Tables`).
    """

    key: Array
    mask: Array
    way: Array

    @staticmethod
    def of(rows: list[tuple[int, int, int]]) -> "Entries":
        """Make entries of (key, mask, way)."""
        key, mask, way = np.array(rows, np.int64).reshape(-1, 3).T
        return Entries(key, mask, way)


def first_match(entries: Entries, keys: Array) -> Array:
    """Place of the first entry that matches each key, or the number of entries; int64 [n].

    Entries of one mask are looked up together, so that a router with thousands of them takes
    thousands of packets at once.
    """
    found = np.full(keys.size, entries.key.size)
    for mask in np.unique(entries.mask):
        mine = np.flatnonzero(entries.mask == mask)
        known, first = np.unique(entries.key[mine], return_index=True)
        at = np.minimum(np.searchsorted(known, keys & mask), known.size - 1)
        hit = known[at] == (keys & mask)
        found[hit] = np.minimum(found[hit], mine[first[at[hit]]])
    return found
