"""What queueing theory says about the network."""

from dataclasses import replace

import numpy as np
import pytest
from random_systems import random_noc

from emulator.noc.packets import Packets, packets_of
from emulator.noc.queued import carry
from emulator.noc.topology import TOPOLOGIES, Common, Cost, crossbar, mesh, torus, tree
from emulator.noc.trees import plant
from emulator.noc.ways import ways

UNIT = 1000


def sent(noc, source, target, created_ps=0, n_syn=0):
    source, target = np.broadcast_arrays(source, target)
    columns = (np.broadcast_to(c, source.shape) for c in (created_ps, n_syn))
    return packets_of(noc, source, target, *columns)


def test_a_packet_alone_takes_the_sum_of_its_way():
    """All pairs of 8 x 8, one after another, with a single slot in every buffer."""
    noc = mesh(
        width=8, height=8, east_west=Cost(1600, 3, 400), north_south=Cost(1500, 2, 200),
        common=Common(
            eject=Cost(900, 1, 50), axon_ps=700, syn_ps=11, buffer=1, buffer_inject=1, buffer_core=1
        ),
    )  # fmt: skip
    source, target = (a.ravel() for a in np.indices((64, 64)))
    packets, order = sent(noc, source, target, np.arange(64 * 64) * 10**6, 5)
    hops_x = abs(source % 8 - target % 8)
    hops_y = abs(source // 8 - target // 8)
    expected = hops_x * (1630 + 400) + hops_y * (1520 + 200) + 910 + 50 + 700 + 55
    latency = carry(noc, packets, bits=10).delivered_ps - packets.created_ps
    assert np.array_equal(latency, expected[order])
    assert np.array_equal(ways(noc, source, target, 10).latency_ps + 55, expected)


@pytest.mark.parametrize("topology", TOPOLOGIES)
def test_packets_that_never_meet_are_not_delayed(rng, topology):
    for _ in range(5):
        noc = random_noc(rng, topology)
        source, target = rng.integers(0, noc.n_cores, (2, 50))
        packets, order = sent(noc, source, target, np.arange(50) * 10**7)
        latency = carry(noc, packets, bits=2).delivered_ps - packets.created_ps
        assert np.array_equal(latency, ways(noc, source, target, 2).latency_ps[order])


@pytest.mark.parametrize("hop", [0, 500, 1000, 2500])
@pytest.mark.parametrize("depth", range(1, 9))
def test_credits_limit_the_rate_of_a_link(hop, depth):
    """A slot is taken for two services and a flight, so B slots carry B / (2 s + hop)."""
    n = 2000
    noc = mesh(
        width=8, height=1, east_west=Cost(UNIT, 0, hop), common=Common(eject=Cost(1), buffer=depth)
    )
    outcome = carry(noc, sent(noc, np.zeros(n, int), 7)[0])
    rate = (n - 1) * UNIT / (outcome.end_ps - outcome.delivered_ps[0])
    assert rate == pytest.approx(min(1, depth * UNIT / (2 * UNIT + hop)), rel=4e-3)


@pytest.mark.parametrize("load", [0.3, 0.6, 0.9])
@pytest.mark.slow_uncompiled
def test_one_link_is_an_m_d_1_queue(load):
    """Mean wait = load * service / (2 (1 - load)) (Pollaczek and Khinchine)."""
    rng = np.random.default_rng(7)
    n = 400_000
    noc = crossbar(n_cores=2, common=Common(eject=Cost(UNIT)))
    created = np.cumsum(rng.exponential(UNIT / load, n)).astype(np.int64)
    packets, _ = sent(noc, np.zeros(n, int), 1, created)
    wait = carry(noc, packets).delivered_ps - packets.created_ps - UNIT
    # Means of 40 stretches, which hardly depend on one another, tell how far off the mean may be.
    means = wait.reshape(40, -1).mean(axis=1)
    error = means.std(ddof=1) / np.sqrt(40)
    assert abs(means.mean() - UNIT * load / (2 * (1 - load))) < 4 * error + 1


HEAVY = {
    "mesh": mesh(width=6, height=6, east_west=Cost(3), north_south=Cost(2, 0, 1)),
    "torus": torus(width=6, height=7, cores_per_router=2, east_west=Cost(3), north_south=Cost(2)),
    "ring": torus(width=9, height=1, east_west=Cost(2, 0, 3)),
    "tree": tree(fan_out=[3, 3, 2], cores_per_router=2, up=Cost(2), down=Cost(3)),
    "crossbar": crossbar(n_cores=100),
}


@pytest.mark.parametrize("forks", [False, True], ids=["one target", "forking"])
@pytest.mark.parametrize("name", HEAVY)
def test_no_deadlock_with_a_single_slot_in_every_buffer(rng, name, forks):
    noc = replace(HEAVY[name], buffer=1, buffer_inject=1, buffer_core=1)
    noc = replace(noc, axon_ps=np.full(noc.n_cores, 5))
    source = np.repeat(np.arange(noc.n_cores), 25)
    if not forks:
        target = rng.integers(0, noc.n_cores, source.size)
        outcome = carry(noc, sent(noc, source, target)[0])
    else:
        targets = [rng.choice(noc.n_cores, 5, replace=False) for _ in range(noc.n_cores)]
        first = np.arange(noc.n_cores + 1) * 5
        forest = plant(noc, np.arange(noc.n_cores), first, np.concatenate(targets))
        packets = Packets(
            first_packet=np.arange(noc.n_cores + 1) * 25, created_ps=np.zeros_like(source),
            target=source.astype(np.int32), n_syn=np.zeros(5 * source.size, np.int32),
            first_copy=np.arange(source.size) * 5,
        )  # fmt: skip
        outcome = carry(noc, packets, forest=forest)
    assert np.all(outcome.delivered_ps > 0)
    assert outcome.traffic.peak.max() == 1


def test_opposite_corners_of_full_rings_do_not_wait_for_each_other():
    """All go half way round the same ring, which deadlocks without a second class."""
    noc = torus(width=8, height=1, east_west=Cost(10), common=Common(buffer=1, buffer_inject=1))
    source = np.repeat(np.arange(8), 50)
    outcome = carry(noc, sent(noc, source, (source + 4) % 8)[0])
    assert np.all(outcome.delivered_ps > 0)
    east = [noc.link_name[k].endswith("east") for k in range(noc.n_links)]
    assert outcome.traffic.packets[: noc.n_links][east].tolist() == [50 * 4] * 8


def test_every_port_counts_what_passed(rng):
    noc = mesh(width=5, height=4, east_west=Cost(7, 1), north_south=Cost(3))
    source, target = rng.integers(0, 20, (2, 500))
    packets, _ = sent(noc, source, target, rng.integers(0, 1000, 500))
    traffic = carry(noc, packets, bits=2).traffic
    found = ways(noc, source, target).hops
    by_kind = [traffic.packets[: noc.n_links][noc.link_kind == kind].sum() for kind in (0, 1)]
    assert by_kind == found.sum(axis=1).tolist()
    assert traffic.packets[noc.n_links :].tolist() == np.bincount(target, minlength=20).tolist()
    costs = np.where(noc.link_kind == 0, 9, 3)
    assert np.array_equal(traffic.busy_ps[: noc.n_links], costs * traffic.packets[: noc.n_links])
    assert traffic.latency.sum() == 500
