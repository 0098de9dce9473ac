"""Ordered covering: merge entries of one way under masks with gaps, more general ones further down.

A. Mundy, J. Heathcote, J. D. Garside, "On-chip order-exploiting routing table minimization for a
multicast supercomputer network", HPSR 2016. A merged entry may match keys of other ways as long as
entries above it match them first; so two checks guard a merge, which sinks its entries to where
those as general as it end:

- *up*: an entry that would sink below one that matches its packets leaves the merge;
- *down*: where the merge would match packets of an entry below it, the cheapest of its members
  leave, until a fixed bit keeps those packets out.

Two things differ from the paper. Packets are known block by block, so both checks look at the keys
that really come instead of all that entries could match. And each round gives every way its best
merge, largest ways first, instead of one merge for the best way of all: a table of thousands of
entries is done in a few rounds.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mapping.routing.entries import Entries, first_match
from mapping.routing.keys import KEY_BITS, WHOLE_MASK

Array = NDArray[Any]


class _Table(NamedTuple):
    """Entries by rising generality, the blocks that come, and which entry each of them meets.

    Blocks without an entry, which go straight on, are ``owner`` [n entries]: they lie below all.
    """

    entries: Entries
    blocks: Entries
    owner: Array


def ordered_covering(entries: Entries, blocks: Entries, straight: Array, most: int) -> Entries:
    """Merge entries until there are no more than ``most``, or as far as merges go.

    Parameters
    ----------
    entries : Entries
        More general ones later; every block is taken its way by the first that matches it.
    blocks : Entries
        All that come to the router.
    straight : bool [n_blocks]
        Whether a block may go without an entry; one that no entry matches must.
    most : int

    Returns
    -------
    Entries
        No more of them than before; the way of each block stays.
    """
    owner = first_match(entries, blocks.key)
    table = _Table(entries, blocks, owner)
    merged = True
    while merged and table.entries.key.size > most:
        merged = False
        ways, count = np.unique(table.entries.way, return_counts=True)
        for way in ways[np.lexsort((ways, -count))][: np.count_nonzero(count > 1)].tolist():
            if table.entries.key.size <= most:
                break
            chosen = _best_merge(table, way)
            if chosen.size > 1:
                table, merged = _merged(table, chosen), True
    return _without_needless(table, straight)


def _generality(mask: Array) -> Array:
    """Bits that a mask leaves open; int64 [n]."""
    return np.asarray(KEY_BITS - np.bitwise_count(np.asarray(mask, np.uint64)).astype(np.int64))


def _joint(entries: Entries, chosen: Array) -> tuple[int, int]:
    """Key and mask of the least entry that matches all that some entries do."""
    key, mask = entries.key[chosen], entries.mask[chosen]
    differ = np.bitwise_or.reduce(key) ^ np.bitwise_and.reduce(key)
    joint = int(np.bitwise_and.reduce(mask) & ~differ & WHOLE_MASK)
    return int(key[0]) & joint, joint


def _place(table: _Table, mask: int) -> int:
    """Where an entry with a mask goes: below all that are as general."""
    return int(
        np.searchsorted(_generality(table.entries.mask), _generality(np.array(mask)), "right")
    )


def _best_merge(table: _Table, way: int) -> Array:
    """Choose entries of a way that can be merged together; fewer than two if none can."""
    chosen = np.flatnonzero(table.entries.way == way)
    while chosen.size > 1:
        key, mask = _joint(table.entries, chosen)
        place = _place(table, mask)
        stays = _free_to_sink(table, chosen, place)
        if not stays.all():
            chosen = chosen[stays]
            continue
        caught = _caught(table, chosen, key, mask, place)
        if not caught.size:
            break
        chosen = _kept_out(table, chosen, mask, caught)
    return chosen


def _free_to_sink(table: _Table, chosen: Array, place: int) -> Array:
    """Whether no entry of another way between each entry and a place matches its packets."""
    entries, blocks = table.entries, table.blocks
    between = np.arange(int(chosen[0]), place)
    between = between[entries.way[between] != entries.way[chosen[0]]]
    mine = np.flatnonzero(np.isin(table.owner, chosen))
    hit = _meet(blocks, mine, entries.key[between], entries.mask[between])
    hit &= between[None, :] > table.owner[mine][:, None]
    return ~np.isin(chosen, table.owner[mine][hit.any(axis=1)])


def _meet(blocks: Entries, which: Array, key: Array, mask: Array) -> Array:
    """Whether blocks and entries share a key; bool [n_blocks, n_entries]."""
    key, mask = np.atleast_1d(key), np.atleast_1d(mask)
    differ = blocks.key[which][:, None] ^ key[None, :]
    return np.asarray((differ & blocks.mask[which][:, None] & mask[None, :]) == 0)


def _caught(table: _Table, chosen: Array, key: int, mask: int, place: int) -> Array:
    """Blocks of other ways that a merged entry at a place would match first."""
    blocks = table.blocks
    below = np.flatnonzero((table.owner >= place) & (blocks.way != table.entries.way[chosen[0]]))
    return below[_meet(blocks, below, np.array(key), np.array(mask))[:, 0]]


def _kept_out(table: _Table, chosen: Array, mask: int, caught: Array) -> Array:
    """Drop the fewest members of a merge that give it a bit against the block hardest to keep out."""
    entries, blocks = table.entries, table.blocks
    bits = 1 << np.arange(KEY_BITS)
    # Bits that the merge leaves open, but a block fixes.
    able = ((mask & bits) == 0) & ((blocks.mask[caught][:, None] & bits) != 0)
    hardest = int(np.argmin(able.sum(axis=1)))
    bits = bits[able[hardest]]
    if not bits.size:
        return chosen[:1]
    block = int(blocks.key[caught[hardest]])
    fixed = (entries.mask[chosen][:, None] & bits) != 0
    differs = fixed & (((entries.key[chosen][:, None] ^ block) & bits) != 0)
    return np.asarray(chosen[differs[:, int(np.argmax(differs.sum(axis=0)))]])


def _merged(table: _Table, chosen: Array) -> _Table:
    """Put one entry in the place of several."""
    entries = table.entries
    key, mask = _joint(entries, chosen)
    place = _place(table, mask)
    stays = np.ones(entries.key.size, np.bool_)
    stays[chosen] = False
    before = int(np.count_nonzero(stays[:place]))
    new = Entries(
        *(
            np.insert(column[stays], before, value)
            for column, value in zip(entries, (key, mask, entries.way[chosen[0]]), strict=True)
        )
    )
    moved = np.cumsum(stays) - 1
    moved[place:] += 1
    moved[chosen] = before
    return table._replace(entries=new, owner=np.append(moved, new.key.size)[table.owner])


def _without_needless(table: _Table, straight: Array) -> Entries:
    """Drop entries all of whose packets go straight on and would be matched by none further down.

    From the last entry up, as what lies below one must be known.
    """
    entries, blocks = table.entries, table.blocks
    stays = np.ones(entries.key.size, np.bool_)
    for place in range(entries.key.size - 1, -1, -1):
        mine = np.flatnonzero(table.owner == place)
        if not straight[mine].all():
            continue
        below = place + 1 + np.flatnonzero(stays[place + 1 :])
        stays[place] = bool(_meet(blocks, mine, entries.key[below], entries.mask[below]).any())
    return Entries(*(column[stays] for column in entries))


def raw_entries(blocks: Entries, straight: Array) -> Entries:
    """Return an entry for each block that does not go straight on, more general ones later."""
    needed = np.flatnonzero(~straight)
    order = needed[np.lexsort((blocks.key[needed], -blocks.mask[needed]))]
    return Entries(*(column[order] for column in blocks))
