"""Model ``links`` against a plain computation, link by link in X-then-Y order."""

import itertools

import numpy as np
import pytest
from random_systems import random_system

from emulator.noc.links import carry_links, link_order
from emulator.noc.packets import packets_of
from emulator.noc.queued import carry
from emulator.noc.topology import Common, Cost, crossbar, mesh, torus
from emulator.noc.ways import route


def naive_links(noc, packets, bits):
    """Serve every link in turn, far from its end first; then ejection ports; then cores."""
    n_in = max(noc.link_port.tolist(), default=-1) + 1
    source = packets.source.tolist()
    routes = [route(noc, s, t) for s, t in zip(source, packets.target.tolist(), strict=True)]
    came = [
        (int(created), n_in + int(noc.core_local[s]), p)
        for p, (created, s) in enumerate(zip(packets.created_ps, source, strict=True))
    ]
    # Any order that routes follow will do: links by the longest part of a route before them.
    before = dict.fromkeys(range(noc.n_links), 0)
    for _ in range(noc.n_links):
        for links in (route(noc, s, t) for s in range(noc.n_cores) for t in range(noc.n_cores)):
            for one, other in itertools.pairwise(links):
                before[other] = max(before[other], before[one] + 1)
    starts = {}
    for link in sorted(before, key=before.get):
        free, order = 0, {}
        for p, links in enumerate(routes):
            if link in links:
                feeder = links[links.index(link) - 1] if links[0] != link else None
                # Packets of one feeder keep its order, whatever the time.
                rank = starts[feeder, p][1] if feeder is not None else p
                order[p] = (came[p][0], came[p][1], rank)
        for k, p in enumerate(sorted(order, key=order.get)):
            size = int(packets.bits[p]) if packets.bits.size else bits
            free = max(free, came[p][0]) + int(
                noc.link_fixed_ps[link] + size * noc.link_bit_ps[link]
            )
            came[p] = (free + int(noc.link_flight_ps[link]), int(noc.link_port[link]), p)
            starts[link, p] = (free, k)
    delivered = [0] * packets.n
    for core in range(noc.n_cores):
        mine = [p for p in range(packets.n) if packets.target[p] == core]
        free = done = 0

        def rank(p):
            return starts[routes[p][-1], p][1] if routes[p] else p

        for p in sorted(mine, key=lambda p: (*came[p][:2], rank(p))):
            size = int(packets.bits[p]) if packets.bits.size else bits
            free = max(free, came[p][0]) + int(
                noc.eject_fixed_ps[core] + size * noc.eject_bit_ps[core]
            )
            begin = max(done, free + int(noc.eject_flight_ps[core]))
            done = begin + int(noc.axon_ps[core] + int(packets.n_syn[p]) * noc.syn_ps[core])
            delivered[p] = done
    return delivered


@pytest.mark.parametrize("topology", ["mesh", "tree", "crossbar", "chips"])
def test_links_equal_a_plain_computation(rng, topology):
    n_packets = 0
    while n_packets < 300:
        system = random_system(rng, topology=topology, forks=False)
        if system.noc.n_cores > 14:
            continue
        got = carry_links(system.noc, system.packets, bits=system.bits)
        expected = naive_links(system.noc, system.packets, system.bits)
        assert got.delivered_ps.tolist() == expected
        n_packets += system.packets.n


def test_links_equal_queued_where_nothing_blocks(rng):
    """Two inputs never meet on a crossbar whose targets differ, so both models are one queue."""
    noc = crossbar(n_cores=9, common=Common(eject=Cost(700, 3, 40), axon_ps=20, syn_ps=7))
    n = 200
    source = rng.integers(0, 9, n)
    packets, _ = packets_of(
        noc, source, (source + 4) % 9, rng.integers(0, 20_000, n), rng.integers(0, 9, n)
    )
    one, other = carry_links(noc, packets, bits=5), carry(noc, packets, bits=5)
    assert one.delivered_ps.tolist() == other.delivered_ps.tolist()
    assert one.traffic.busy_ps.tolist() == other.traffic.busy_ps.tolist()
    assert one.traffic.latency.tolist() == other.traffic.latency.tolist()


def test_links_never_end_later_than_finite_buffers(rng):
    """On a single path nothing is reordered, so room only delays."""
    noc = mesh(
        width=6, height=1, east_west=Cost(100, 0, 30),
        common=Common(eject=Cost(100), axon_ps=300, buffer=1, buffer_core=1),
    )  # fmt: skip
    packets, _ = packets_of(noc, np.zeros(40, int), np.full(40, 5), np.zeros(40), np.zeros(40))
    one, other = carry_links(noc, packets), carry(noc, packets)
    assert np.all(one.delivered_ps <= other.delivered_ps)
    # The last of 40 waits for 39 services of the slowest server, which is the core.
    assert one.end_ps == 5 * 130 + 100 + 40 * 300


def test_order_follows_every_route(rng):
    noc = mesh(width=4, height=3)
    place = np.argsort(link_order(noc))
    for source in range(12):
        for target in range(12):
            assert np.all(np.diff(place[route(noc, source, target)]) > 0)


def test_a_torus_whose_routes_go_round_is_refused():
    noc = torus(width=5, height=1)
    with pytest.raises(ValueError, match=r"torus: routes go round in a ring.*use fabric queued"):
        link_order(noc)
    assert link_order(torus(width=3, height=2)).size == 3 * 2 * 4


def test_ticks_that_last_too_long_are_refused():
    noc = mesh(width=2, height=1, common=Common(axon_ps=10**12))
    packets, _ = packets_of(noc, np.zeros(9, int), np.ones(9), np.zeros(9), np.zeros(9))
    with pytest.raises(ValueError, match="model links tells times up to"):
        carry_links(noc, packets)
