"""Keys of packets: blocks of the key space, so that few entries tell many packets apart.

Every bundle (packets of one core that go the same way) has a block whose size is a power of two, at
a multiple of its size: one key and one mask cover it. The blocks of a core lie in a block of the
core, largest first, which leaves no gaps between them; bundles of like size with like targets lie
side by side. So far from a core, where all of its packets go one way, one entry covers the core.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mapping.errors import CapacityError
from mapping.routing.sent import Sent

Array = NDArray[Any]

KEY_BITS = 32
WHOLE_MASK = (1 << KEY_BITS) - 1


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


def assign_keys(sent: Sent, chip_name: str) -> Keys:
    """Give each packet a key of its own.

    Raises
    ------
    CapacityError
        If the key space is too small.
    """
    size = _power_above(sent.size)
    first = np.zeros(sent.core.size, np.int64)
    blocks = []
    for core in np.unique(sent.core):
        mine = np.flatnonzero(sent.core == core)
        mine = mine[np.argsort(-size[mine], kind="stable")]
        first[mine] = np.cumsum(size[mine]) - size[mine]
        blocks.append((int(_power_above(size[mine].sum())), mine))
    top = 0
    for room, mine in sorted(blocks, key=lambda block: -block[0]):
        first[mine] += top
        top += room
    if top > 1 << KEY_BITS:
        raise CapacityError(
            chip_name,
            (f"{sent.source.size:,} packets take {top:,} keys in blocks, but a key has {KEY_BITS} "
             f"bits: {1 << KEY_BITS:,} keys; use fewer neurons",),
        )  # fmt: skip
    within = np.arange(sent.source.size) - np.searchsorted(sent.bundle, sent.bundle)
    return Keys(packet=first[sent.bundle] + within, first=first, mask=WHOLE_MASK & ~(size - 1))


def _power_above(count: Array) -> Array:
    """Return the least power of two that is not below each count, which is at least 1."""
    return np.asarray(1 << np.ceil(np.log2(np.maximum(count, 1))).astype(np.int64))
