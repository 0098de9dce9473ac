"""Keys of packets: blocks of the key space, so that few entries tell many packets apart.

Every bundle (packets of one core that go the same way) has a block whose size is a power of two, at
a multiple of its size: one key and one mask cover it. Blocks of a size are joined in pairs to blocks
of twice the size, first those of each core, then those of cores, so that what lies side by side goes
the same way at as many routers as possible: there one entry serves both.
"""

from collections import defaultdict
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mapping.errors import CapacityError
from mapping.routing.sent import Sent

Array = NDArray[Any]

KEY_BITS = 32
WHOLE_MASK = (1 << KEY_BITS) - 1

ABSENT = -1
"""Way of a block at a router that it does not come to, or where it needs no entry."""
COMPARED = 256
"""Blocks of one size that are compared each with each; more are cut into runs of so many."""


class Keys(NamedTuple):
    """Keys, and the blocks that they lie in.

    Attributes
    ----------
    packet : int64 [n_packets]
        In the order of `Sent`.
    first, mask : int64 [n_bundles]
        A key is of the block if ``key & mask == first``.
    """

    packet: Array
    first: Array
    mask: Array


class _Block(NamedTuple):
    """Bundles with their offsets, and where they go at each router; int64 [n], int32 [n_routers]."""

    bundle: Array
    offset: Array
    ways: Array


def assign_keys(sent: Sent, ways: Array, chip_name: str) -> Keys:
    """Give each packet a key of its own.

    Parameters
    ----------
    sent : Sent
    ways : int32 [n_bundles, n]
        Number of the ports by which each bundle leaves each of some routers, or `ABSENT`.

    Raises
    ------
    CapacityError
        If the key space is too small.
    """
    size = _power_above(sent.size)
    cores: dict[int, list[_Block]] = defaultdict(list)
    for core in np.unique(sent.core):
        mine: dict[int, list[_Block]] = defaultdict(list)
        for bundle in np.flatnonzero(sent.core == core):
            mine[int(size[bundle])].append(_Block(np.array([bundle]), np.array([0]), ways[bundle]))
        whole, block = _joined(mine)
        cores[whole].append(block)
    first = np.zeros(sent.core.size, np.int64)
    if cores:
        top, block = _joined(cores)
        first[block.bundle] = block.offset
        if top > 1 << KEY_BITS:
            raise CapacityError(
                chip_name,
                (f"{sent.source.size:,} packets take {top:,} keys in blocks, but a key has "
                 f"{KEY_BITS} bits: {1 << KEY_BITS:,} keys; use fewer neurons",),
            )  # fmt: skip
    within = np.arange(sent.source.size) - np.searchsorted(sent.bundle, sent.bundle)
    return Keys(packet=first[sent.bundle] + within, first=first, mask=WHOLE_MASK & ~(size - 1))


def _joined(blocks: dict[int, list[_Block]]) -> tuple[int, _Block]:
    """Join blocks to one, from the smallest up; return its size, too. A last odd one stays alone."""
    size = min(blocks)
    while len(blocks) > 1 or len(blocks[size]) > 1:
        here = blocks.pop(size)
        partner = np.concatenate(
            [
                start
                + _partners(np.stack([block.ways for block in here[start : start + COMPARED]]))
                for start in range(0, len(here), COMPARED)
            ]
        )
        blocks[2 * size] = [
            block if partner[k] == k else _side_by_side(block, here[partner[k]], size)
            for k, block in enumerate(here)
            if partner[k] >= k
        ] + blocks.get(2 * size, [])
        size *= 2
    return size, blocks[size][0]


def _side_by_side(one: _Block, other: _Block, size: int) -> _Block:
    # Where they differ one of the ways may still be shared with others further up.
    return _Block(
        np.concatenate([one.bundle, other.bundle]),
        np.concatenate([one.offset, other.offset + size]),
        np.where(one.ways == ABSENT, other.ways, one.ways),
    )


def _partners(ways: Array) -> Array:
    """Pair blocks that go the same way at most routers; int64 [n], an odd one with itself.

    In rounds: whoever prefer each other, of those that are left, become a pair.
    """
    n = ways.shape[0]
    partner = np.arange(n)
    alike = np.zeros((n, n), np.int32)
    for column in ways.T:
        present = np.flatnonzero(column >= 0)
        alike[np.ix_(present, present)] += column[present, None] == column[present]
    left = np.arange(n)
    while left.size > 1:
        among = alike[np.ix_(left, left)]
        np.fill_diagonal(among, -1)
        best = among.argmax(axis=1)
        # Those that like all equally would all prefer the first.
        if among.max() == 0:
            pairs = left[: left.size // 2 * 2].reshape(-1, 2)
        else:
            mutual = np.flatnonzero(
                (best[best] == np.arange(left.size)) & (np.arange(left.size) < best)
            )
            pairs = np.stack([left[mutual], left[best[mutual]]], axis=1)
        if not pairs.size:
            at = int(among.max(axis=1).argmax())
            pairs = left[[[at, best[at]]]]
        partner[pairs[:, 0]], partner[pairs[:, 1]] = pairs[:, 1], pairs[:, 0]
        left = left[~np.isin(left, pairs)]
    return partner


def _power_above(count: Array) -> Array:
    """Return the least power of two that is not below each count, which is at least 1."""
    return np.asarray(1 << np.ceil(np.log2(np.maximum(count, 1))).astype(np.int64))
