"""The compiled network equals the SimPy processes, start by start, in any order of insertion."""

from dataclasses import replace

import numpy as np
import pytest
from random_systems import (
    differences,
    random_noc,
    random_system,
    shuffled_environment,
)  # fmt: skip

from emulator.noc.packets import Packets, packets_of
from emulator.noc.queued import carry
from emulator.noc.simulated_tick import carry_simulated
from emulator.noc.topology import TOPOLOGIES, Common, torus
from emulator.noc.trees import plant


def all_ways(system, rng):
    """One system carried by the compiled form and by SimPy, plain and shuffled."""
    args = {"bits": system.bits, "forest": system.forest, "record": True}
    yield carry(system.noc, system.packets, **args)
    yield carry_simulated(system.noc, system.packets, **args)
    env = shuffled_environment(rng)
    yield carry_simulated(system.noc, system.packets, **args, env=env)


@pytest.mark.parametrize("forks", [False, True], ids=["one target", "forking"])
@pytest.mark.parametrize("topology", TOPOLOGIES)
def test_every_start_is_at_the_same_ps_and_delta(topology, forks):
    rng = np.random.default_rng([list(TOPOLOGIES).index(topology), forks])
    n_starts = n_delta = n_stalled = n_full = 0
    for case in range(40):
        system = random_system(rng, topology=topology, forks=forks)
        queued, simulated, shuffled = all_ways(system, rng)
        assert differences(queued, simulated) == [], f"case {case}"
        assert differences(simulated, shuffled) == [], f"case {case}, shuffled"
        assert np.all(queued.delivered_ps >= 0)
        n_starts += len(queued.starts)
        n_delta += int(np.count_nonzero(queued.starts[:, 3]))
        n_stalled += bool(queued.traffic.stall_ps.any())
        depth = system.noc.buffer_core
        n_full += 0 < depth == queued.traffic.peak.max()
    # The systems must be worth comparing.
    assert n_starts > 2000
    assert n_delta > 50
    assert n_stalled > 3
    assert n_full > 3


@pytest.mark.parametrize("forks", [False, True], ids=["one target", "forking"])
@pytest.mark.parametrize("topology", ["mesh", "torus", "chips"])
def test_ways_around_dead_links_are_the_same_and_never_jam(topology, forks):
    """Also where every buffer has one slot; a packet that does not arrive is an error of both."""
    rng = np.random.default_rng([7, list(TOPOLOGIES).index(topology), forks])
    n_full = n_starts = 0
    for case in range(25):
        system = random_system(rng, topology=topology, forks=forks, faulty=True)
        if case % 2:
            noc = replace(system.noc, buffer=1, buffer_inject=1, buffer_core=1)
            system = replace(system, noc=noc)
        queued, simulated, shuffled = all_ways(system, rng)
        assert differences(queued, simulated) == [], f"case {case}"
        assert differences(simulated, shuffled) == [], f"case {case}, shuffled"
        n_full += bool(queued.traffic.stall_ps.any())
        n_starts += len(queued.starts)
    assert n_full > 3
    assert n_starts > 1500


@pytest.mark.slow_uncompiled
def test_both_classes_of_a_full_ring_wake_their_link():
    """A link that finds one class full is woken by whichever class gives a slot back first."""
    for case in range(30):
        rng = np.random.default_rng([5, case])
        noc = torus(width=9, height=1, common=Common(buffer=1))
        noc = replace(
            noc,
            link_fixed_ps=rng.integers(1, 60, noc.n_links),
            eject_fixed_ps=rng.integers(1, 60, 9),
        )
        source, target = rng.integers(0, 9, (2, 900))
        packets, _ = packets_of(noc, source, target, rng.integers(0, 500, 900), np.zeros(900))
        one, other = carry(noc, packets, record=True), carry_simulated(noc, packets, record=True)
        assert differences(one, other) == [], f"case {case}"


def test_a_tree_of_one_target_is_a_packet_of_one_target(rng):
    for _ in range(30):
        system = random_system(rng, forks=False)
        packets, noc = system.packets, system.noc
        forest = plant(noc, packets.source, np.arange(packets.n + 1), packets.target)
        forking = Packets(
            first_packet=packets.first_packet, created_ps=packets.created_ps,
            target=np.arange(packets.n, dtype=np.int32), n_syn=packets.n_syn, bits=packets.bits,
            first_copy=np.arange(packets.n),
        )  # fmt: skip
        one = carry(noc, packets, bits=system.bits, record=True)
        other = carry(noc, forking, bits=system.bits, forest=forest, record=True)
        assert differences(one, other) == []


def test_forking_packets_take_each_link_once(rng):
    for _ in range(30):
        system = random_system(rng, forks=True)
        if not system.packets.n:
            continue
        starts = carry(system.noc, system.packets, forest=system.forest, record=True).starts
        links = starts[starts[:, 0] < system.noc.n_links]
        assert len(np.unique(links[:, :2], axis=0)) == len(links)


def test_shuffled_environment_notices_a_simpy_that_numbers_otherwise(rng, monkeypatch):
    import simpy

    class Renamed(simpy.Environment):
        def schedule(self, event, priority=1, delay=0):
            self._eid, kept = iter(range(self.n, self.n + 1)), self._eid
            self.n += 1
            super().schedule(event, priority, delay)
            self._eid = kept

        n = 0

    monkeypatch.setattr("random_systems.simpy.Environment", Renamed)
    with pytest.raises(RuntimeError, match="SimPy does not take its sequence numbers"):
        shuffled_environment(rng)


def test_random_networks_are_of_every_kind(rng):
    nocs = [random_noc(rng) for _ in range(200)]
    assert {noc.topology for noc in nocs} == set(TOPOLOGIES)
    assert {noc.n_classes for noc in nocs} == {1, 2}
    assert max(noc.n_cores for noc in nocs) > 64
    assert {0, 1, 2} < {noc.buffer for noc in nocs}
