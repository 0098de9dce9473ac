"""Fewest entries whose masks are prefixes, longest first: the optimum, in one pass up and one down.

R. Draves, C. King, S. Venkatachary, B. Zill, "Constructing optimal IP routing tables", INFOCOM 1999,
on the tree of the keys in use: keys that no packet has may go anywhere, and blocks that go straight
on are content with their way or with no entry above them. Merging equal neighbours is a case of it.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mapping.routing.entries import STRAIGHT, Entries
from mapping.routing.keys import WHOLE_MASK

Array = NDArray[Any]


class _Node(NamedTuple):
    """Keys from ``key`` on under ``mask``; the ways that suit as many below as any can."""

    key: int
    mask: int
    ways: frozenset[int]
    below: tuple["_Node", ...]


def shortest_prefixes(blocks: Entries, straight: Array) -> Entries:
    """Cover blocks of keys with as few prefixes as possible.

    Parameters
    ----------
    blocks : Entries
        All that come to a router, each block a prefix; none overlap.
    straight : bool [n]
        Whether what comes of each block would also take its way without an entry.

    Returns
    -------
    Entries
        Longer prefixes first.
    """
    if not blocks.key.size:
        return blocks
    order = np.argsort(blocks.key, kind="stable")
    leaves = [
        _Node(key, mask, frozenset((way, STRAIGHT) if free else (way,)), ())
        for key, mask, way, free in zip(
            blocks.key[order].tolist(), blocks.mask[order].tolist(), blocks.way[order].tolist(),
            straight[order].tolist(), strict=True,
        )
    ]  # fmt: skip
    rows: list[tuple[int, int, int]] = []
    stack = [(_tree(leaves), STRAIGHT)]
    while stack:
        node, given = stack.pop()
        if given not in node.ways:
            # That there is no entry cannot be asked for below one; then those below ask for theirs.
            able = [way for way in node.ways if way != STRAIGHT]
            if able:
                given = min(able)
                rows.append((node.key, node.mask, given))
        stack += [(child, given) for child in node.below]
    return Entries.of(sorted(rows, key=lambda row: (-row[1], row[0])))


def _tree(leaves: list[_Node]) -> _Node:
    """Join neighbours from the longest common prefix to the shortest, as if by recursion."""
    open_nodes: list[_Node] = []
    depths: list[int] = []  # bits below the common prefix of each open node and the one before it
    for leaf in leaves:
        if open_nodes:
            apart = (open_nodes[-1].key ^ leaf.key).bit_length()
            while depths and depths[-1] < apart:
                _join(open_nodes, depths)
            depths.append(apart)
        open_nodes.append(leaf)
    while depths:
        _join(open_nodes, depths)
    return open_nodes[0]


def _join(open_nodes: list[_Node], depths: list[int]) -> None:
    right, left, depth = open_nodes.pop(), open_nodes.pop(), depths.pop()
    mask = WHOLE_MASK & ~((1 << depth) - 1)
    both = left.ways & right.ways
    open_nodes.append(_Node(left.key & mask, mask, both or left.ways | right.ways, (left, right)))
