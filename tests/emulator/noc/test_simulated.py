"""What the SimPy form offers beyond a tick: sending at any time, failures, observers."""

import numpy as np
import pytest
import simpy

from emulator.noc.simulated import Packet, SimulatedNoc
from emulator.noc.topology import Common, Cost, mesh
from emulator.noc.ways import route


def chain(**common):
    return mesh(
        width=4, height=1, east_west=Cost(100, 1, 20),
        common=Common(eject=Cost(50), axon_ps=30, syn_ps=2, **common),
    )  # fmt: skip


def packet(created_ps, source=0, target=3, **more):
    return Packet(source=source, targets=(target,), created_ps=created_ps, n_syn=(5,), **more)


def test_packets_are_sent_from_processes_of_the_user():
    env = simpy.Environment()
    got = []
    noc = SimulatedNoc(env, chain(), on_delivery=lambda *about: got.append(about[1:]))

    def answer():
        """Send back what has come, after a while."""
        noc.send(packet(0))
        while not got:
            yield env.timeout(1)
        assert (env.now, got) == (450, [(3, 450)])
        yield env.timeout(1000)
        noc.send(packet(env.now, source=3, target=0, bits=10))

    env.process(answer())
    env.run()
    # Three links of 100 + 20 ps, ejection, and the core; then the same with 10 bits a link.
    assert got == [(3, 450), (0, 450 + 1000 + 450 + 30)]


def test_the_past_is_over():
    env = simpy.Environment(500)
    noc = SimulatedNoc(env, chain())
    with pytest.raises(ValueError, match="core 0: created at 499 ps, but it is 500 ps already"):
        noc.send(packet(499))


def test_packets_that_start_on_a_failed_link_are_lost_and_counted():
    env = simpy.Environment()
    dropped, delivered = [], []
    plan = chain(buffer=1, buffer_core=1)
    noc = SimulatedNoc(
        env, plan,
        on_drop=lambda p, target, ps: dropped.append((p.identity, target, ps)),
        on_delivery=lambda p, target, ps: delivered.append(p.identity),
    )  # fmt: skip
    middle = route(plan, 0, 3)[1]
    noc.fail(middle, 1000)
    for k in range(20):
        noc.send(packet(0, identity=k, sequence=k))
    noc.send(packet(0, source=2, target=3, identity=99))
    env.run()
    assert noc.n_sent == 21 == noc.n_delivered + noc.n_dropped
    assert sorted(delivered) == [*range(len(delivered) - 1), 99]
    assert 0 < len(dropped) == noc.n_dropped
    assert all(ps >= 1000 for _, _, ps in dropped)
    assert noc.links[middle].n_packets == 20
    assert all(buffer.taken == 0 for buffer in (*noc.feeding, *noc.queues, *noc.injections))


def test_a_dead_link_drops_all_targets_behind_it(rng):
    env = simpy.Environment()
    plan = mesh(width=3, height=3, east_west=Cost(10), north_south=Cost(10))
    noc = SimulatedNoc(env, plan)
    noc.fail(route(plan, 0, 1)[0], 0)
    noc.send(Packet(source=0, targets=tuple(range(9)), created_ps=0, n_syn=(0,) * 9))
    env.run()
    # Columns 1 and 2 lie behind the link to the east; the own column does not.
    assert (noc.n_sent, noc.n_delivered, noc.n_dropped) == (9, 3, 6)


@pytest.mark.parametrize("fails_ps", [0, 3000, 20_000])
def test_packets_sent_are_received_or_dropped(rng, fails_ps):
    plan = mesh(
        width=4, height=4, cores_per_router=2, east_west=Cost(100), north_south=Cost(80, 0, 5),
        common=Common(eject=Cost(60), axon_ps=90, buffer=1, buffer_inject=2, buffer_core=1),
    )  # fmt: skip
    env = simpy.Environment()
    noc = SimulatedNoc(env, plan)
    for link in rng.choice(plan.n_links, 6, replace=False).tolist():
        noc.fail(link, fails_ps)
    for k in range(600):
        source, target = rng.integers(0, 32, 2).tolist()
        created = int(rng.integers(0, 10_000))
        noc.send(packet(created, source=source, target=target, neuron=k))
    env.run()
    assert noc.n_sent == 600 == noc.n_delivered + noc.n_dropped
    assert (noc.n_dropped > 0) == (fails_ps < 20_000)


def test_equally_old_packets_enter_by_neuron_whatever_the_order_of_sending():
    env = simpy.Environment()
    order = []
    noc = SimulatedNoc(env, chain(), on_delivery=lambda p, *_: order.append(p.neuron))
    for neuron in (5, 2, 9, 1):
        noc.send(packet(40, neuron=neuron))
    env.run()
    assert order == [1, 2, 5, 9]


def test_statistics_are_those_of_its_servers():
    env = simpy.Environment()
    plan = chain()
    noc = SimulatedNoc(env, plan)
    for k in range(3):
        noc.send(packet(0, neuron=k))
    env.run()
    traffic = noc.traffic()
    links = route(plan, 0, 3)
    assert traffic.packets[links].tolist() == [3, 3, 3]
    assert traffic.busy_ps[links].tolist() == [300, 300, 300]
    assert traffic.packets.sum() == 12
    assert np.all(traffic.stall_ps == 0)
