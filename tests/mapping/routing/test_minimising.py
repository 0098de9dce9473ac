"""Fewer entries: every packet keeps its way, prefixes are as few as can be, keys are in order."""

import itertools

import numpy as np
import pytest

from mapping.errors import CapacityError
from mapping.routing.covering import ordered_covering, raw_entries
from mapping.routing.entries import Entries, first_match
from mapping.routing.keys import ABSENT, WHOLE_MASK, assign_keys
from mapping.routing.prefixes import shortest_prefixes
from mapping.routing.sent import Sent


def way_of(entries, key):
    """The first that matches, one by one."""
    for k, mask, way in zip(*(column.tolist() for column in entries), strict=True):
        if key & mask == k:
            return way
    return None


def random_blocks(rng, bits, n_ways, *, gaps=0.3):
    """Blocks of a small key space that do not overlap, some keys left out."""
    rows, at = [], 0
    while at < 1 << bits:
        most = (at & -at).bit_length() - 1 if at else bits - 1
        size = 1 << int(rng.integers(0, most + 1) if rng.random() < 0.4 else 0)
        if rng.random() >= gaps:
            rows.append((at, WHOLE_MASK & ~(size - 1), int(rng.integers(n_ways))))
        at += size
    order = rng.permutation(len(rows))
    return Entries.of([rows[k] for k in order])


def ways_kept(entries, blocks, straight):
    """Whether every key of every block goes its way, with an entry or straight on."""
    for key, mask, way, free in zip(
        *(column.tolist() for column in blocks), straight.tolist(), strict=True
    ):
        for k in range(key, key + (~mask & WHOLE_MASK) + 1):
            found = way_of(entries, k)
            if found != way and not (found is None and free):
                return False
    return True


@pytest.mark.parametrize("seed", range(40))
def test_every_key_keeps_its_way(seed):
    rng = np.random.default_rng(seed)
    blocks = random_blocks(rng, int(rng.integers(3, 9)), int(rng.integers(1, 6)))
    straight = rng.random(blocks.key.size) < 0.3
    raw = raw_entries(blocks, straight)
    prefixes = shortest_prefixes(blocks, straight)
    assert ways_kept(raw, blocks, straight)
    assert ways_kept(prefixes, blocks, straight)
    assert prefixes.key.size <= raw.key.size
    for start in (raw, prefixes):
        for most in (1, start.key.size - 1):
            merged = ordered_covering(start, blocks, straight, most)
            assert ways_kept(merged, blocks, straight)
            assert merged.key.size <= start.key.size


def test_merging_goes_no_further_than_asked():
    n = 16
    blocks = Entries(np.arange(n), np.full(n, WHOLE_MASK), np.arange(n) // 2)
    never = np.zeros(n, bool)
    raw = raw_entries(blocks, never)
    for most in (20, 16, 15, 12, 8, 1):
        merged = ordered_covering(raw, blocks, never, most)
        assert merged.key.size == min(max(most, 8), n)
        assert ways_kept(merged, blocks, never)


def test_masks_with_gaps_do_what_prefixes_cannot():
    """Odd keys one way, even ones another: two entries, but sixteen prefixes."""
    n = 16
    blocks = Entries(np.arange(n), np.full(n, WHOLE_MASK), np.arange(n) % 2)
    never = np.zeros(n, bool)
    assert shortest_prefixes(blocks, never).key.size > 2
    merged = ordered_covering(raw_entries(blocks, never), blocks, never, 2)
    assert merged.key.size == 2
    assert ways_kept(merged, blocks, never)


def least_prefixes(ways, straight, given=None):
    """Fewest prefixes for keys 0 .. 2^k - 1 under a prefix that sends them ``given``; by trial."""
    wants = {w for w in ways if w is not None}
    ok = all(
        w is None or w == given or (given is None and s)
        for w, s in zip(ways, straight, strict=True)
    )
    if ok:
        return 0
    found = [1 + least_prefixes_below(ways, straight, way) for way in wants]
    found.append(least_prefixes_below(ways, straight, given))
    return min(found)


def least_prefixes_below(ways, straight, given):
    if len(ways) == 1:
        w, s = ways[0], straight[0]
        fits = w is None or w == given or (given is None and s)
        return 0 if fits else 10**6
    half = len(ways) // 2
    return least_prefixes(ways[:half], straight[:half], given) + least_prefixes(
        ways[half:], straight[half:], given
    )


@pytest.mark.parametrize("some_straight", [False, True])
def test_prefixes_are_as_few_as_can_be(rng, some_straight):
    for _ in range(60):
        ways = [None if rng.random() < 0.3 else int(rng.integers(3)) for _ in range(16)]
        straight = [bool(some_straight and rng.random() < 0.3) for _ in ways]
        rows = [(k, WHOLE_MASK, w) for k, w in enumerate(ways) if w is not None]
        free = np.array([straight[k] for k, _, _ in rows], bool)
        found = shortest_prefixes(Entries.of(rows), free).key.size
        least = least_prefixes(ways, straight)
        # That no entry applies below one cannot be said, which may cost the optimum.
        assert least <= found <= least + some_straight * 3
        if not some_straight:
            assert found == least


def test_looking_up_many_keys_is_looking_up_each(rng):
    for _ in range(20):
        n = int(rng.integers(1, 30))
        mask = rng.integers(0, 64, n)
        entries = Entries(rng.integers(0, 64, n) & mask, mask, rng.integers(0, 4, n))
        keys = np.arange(64)
        place = first_match(entries, keys)
        got = [None if p == n else int(entries.way[p]) for p in place]
        assert got == [way_of(entries, k) for k in keys.tolist()]
    assert first_match(Entries.of([]), np.arange(3)).tolist() == [0, 0, 0]


def sent_of(sizes_by_core):
    core = [c for c, sizes in enumerate(sizes_by_core) for _ in sizes]
    sizes = [size for sizes in sizes_by_core for size in sizes]
    bundle = np.repeat(np.arange(len(sizes)), sizes)
    return Sent(np.arange(bundle.size), bundle, np.array(core), np.arange(len(sizes) + 1),
                np.zeros(len(sizes), int))  # fmt: skip


def test_blocks_hold_their_keys_and_no_others(rng):
    for _ in range(20):
        sizes = [rng.integers(1, 9, rng.integers(0, 12)).tolist() for _ in range(5)]
        sent = sent_of(sizes)
        ways = rng.integers(-1, 3, (sent.core.size, 4)).astype(np.int32)
        keys = assign_keys(sent, ways, "chip")
        assert np.unique(keys.packet).size == keys.packet.size
        mine = (keys.packet[:, None] & keys.mask) == keys.first
        assert np.array_equal(mine, sent.bundle[:, None] == np.arange(sent.core.size))
        # The blocks of a core lie in a block of its own.
        for core, other in itertools.permutations(np.unique(sent.core), 2):
            at = keys.first[sent.core == core]
            span = int(np.bitwise_or.reduce(at ^ at[0])).bit_length()
            assert not np.any(keys.first[sent.core == other] >> span == at[0] >> span)


def test_bundles_that_go_the_same_ways_lie_side_by_side():
    sent = sent_of([[1] * 8])
    ways = np.array([[0, 1, 0, 1, 0, 1, 0, 1]] * 3, np.int32).T
    ways[0] = ABSENT
    at = assign_keys(sent, ways, "chip").first
    assert {int(k) >> 2 for k in at[[1, 3, 5, 7]]} == {int(at[1]) >> 2}


def test_more_packets_than_keys_are_refused():
    sent = sent_of([[1], [1]])
    sent = sent._replace(bundle=np.zeros(2, int))

    class Many(Sent):
        @property
        def size(self):
            return np.array([2**31, 2**31 + 1])

    with pytest.raises(CapacityError, match=r"a key has 32 bits: 4,294,967,296 keys"):
        assign_keys(Many(*sent), np.zeros((2, 1), np.int32), "chip")
