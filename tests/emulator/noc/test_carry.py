"""The kernel's working memory, its errors and its statistics."""

from dataclasses import replace

import numpy as np
import pytest
from random_systems import random_system

from emulator.noc.carry import latency_place
from emulator.noc.packets import Packets, packets_of
from emulator.noc.queued import FabricError, carry, carry_kernel, told
from emulator.noc.scratch import (
    LATENCY_BINS,
    OK,
    RECORD_FULL,
    TIME_OVERFLOW,
    TOO_MANY,
    latency_bin,
    latency_edges,
    make_scratch,
    make_traffic,
)  # fmt: skip
from emulator.noc.topology import Common, Cost, mesh
from traces.jit import python_of

NOTHING = np.zeros(0, np.int64)
NO_ROWS = np.zeros((0, 4), np.int64)


def run(noc, packets, scratch, traffic, *, forest=None, starts=NO_ROWS, bits_min=0):
    delivered = np.full(packets.n_syn.size, -1)
    kernel = carry_kernel(noc, bits_min, forks=forest is not None)
    result = kernel(
        packets.first_packet, packets.created_ps, packets.target, packets.n_syn, packets.bits,
        packets.first_copy, delivered, starts, scratch, traffic,
    )  # fmt: skip
    return *result, delivered


@pytest.mark.parametrize("forks", [False, True], ids=["one target", "forking"])
def test_each_tick_begins_with_an_empty_network(rng, forks):
    """Ticks on one scratch equal ticks on a new one each, and statistics add up."""
    for _ in range(15):
        system = random_system(rng, forks=forks)
        noc, forest = system.noc, system.forest
        ticks = [system.packets]
        for _ in range(3):
            shift = replace(system.packets, created_ps=system.packets.created_ps * 2 + 1)
            ticks.append(replace(shift, n_syn=shift.n_syn[::-1].copy()))
        if ticks[0].bits.size:
            ticks = [replace(tick, bits=NOTHING) for tick in ticks]
        size = system.packets.n
        if forks:
            size += int(forest.n_edges_of()[system.packets.target].sum())
        scratch = make_scratch(noc, size, bits=system.bits, forest=forest)
        traffic = make_traffic(noc)
        total = make_traffic(noc)
        for tick in ticks:
            alone = carry(noc, tick, bits=system.bits, forest=forest)
            status, end_ps, busiest, busiest_ps, _, delivered = run(
                noc, tick, scratch, traffic, forest=forest, bits_min=system.bits
            )
            assert status == OK
            assert (end_ps, busiest, busiest_ps) == (alone.end_ps, alone.busiest, alone.busiest_ps)
            assert delivered.tolist() == alone.delivered_ps.tolist()
            for name in ("packets", "busy_ps", "stall_ps", "latency"):
                getattr(total, name)[:] += getattr(alone.traffic, name)
            np.maximum(total.peak, alone.traffic.peak, out=total.peak)
        for name, got, expected in zip(total._fields, traffic, total, strict=True):
            assert got.tolist() == expected.tolist(), name


def small(**costs):
    return mesh(width=3, height=1, east_west=Cost(**costs), common=Common(eject=Cost(10)))


def some(noc, n=4, created_ps=0):
    return packets_of(noc, np.zeros(n, int), np.full(n, 2), np.full(n, created_ps), np.zeros(n))[0]


def test_long_runs_start_their_clock_anew():
    """Ticks near the end of time: the clock inside begins anew, and nothing changes."""
    noc = replace(small(fixed_ps=5), axon_ps=np.ones(3, np.int64))
    scratch, traffic = make_scratch(noc, 4), make_traffic(noc)
    expected = run(noc, some(noc), scratch, traffic)[1]
    far = some(noc, created_ps=2**40)
    for _ in range(9):
        assert run(noc, far, scratch, traffic)[:2] == (OK, 2**40 + expected)
        assert run(noc, some(noc), scratch, traffic)[:2] == (OK, expected)


def test_times_that_do_not_fit_are_told():
    noc = small(fixed_ps=0)  # deltas take some of the bits
    with pytest.raises(FabricError, match="mesh: a tick of 4 packets lasts longer than packed"):
        carry(noc, some(noc, created_ps=2**60))
    slow = replace(noc, axon_ps=np.full(3, 10**12), syn_ps=np.full(3, 10**12))
    packets = replace(some(slow), n_syn=np.full(4, 2**20 - 1, np.int32))
    with pytest.raises(FabricError, match="at least 1 ps each, or send less"):
        carry(slow, packets)


def test_too_many_packets_or_starts_are_told():
    noc = small(fixed_ps=5)
    traffic = make_traffic(noc)
    status, *_ = run(noc, some(noc), make_scratch(noc, 3), traffic)
    assert status == TOO_MANY
    assert "4 packets exceed the capacity" in told(noc, status, 0, 4)
    status, *_ = run(noc, some(noc), make_scratch(noc, 4), traffic, starts=np.zeros((5, 4), int))
    assert status == RECORD_FULL
    assert told(noc, TIME_OVERFLOW, 0, 4).startswith("mesh: a tick of 4 packets")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"created_ps": np.array([3, 1, 0, 0])}, "created_ps: must ascend within"),
        ({"created_ps": np.full(4, -1)}, "created_ps: -1 to -1; 0 to"),
        ({"target": np.full(4, 3, np.int32)}, "target: 3 to 3, but there are 3 of kind core"),
        ({"n_syn": np.full(4, 2**20, np.int32)}, "n_syn: 1,048,576 to 1,048,576; 0 to 1,048,575"),
        ({"n_syn": np.zeros(3, np.int32)}, r"n_syn: one for each of 4 copies, got \(3,\)"),
        ({"bits": np.zeros(3, np.int64)}, r"bits: one for each of 4 packets expected, got \(3,\)"),
        ({"first_packet": np.array([0, 4, 4, 5])}, "first_packet: must begin with 0 and end with"),
        ({"first_packet": np.array([0, 5, 4, 4])}, "first_packet: must ascend"),
        ({"first_packet": np.array([0, 4])}, r"first_packet: shape \(4,\) expected, got \(2,\)"),
    ],
)
def test_packets_that_do_not_fit_are_refused(change, message):
    noc = small(fixed_ps=5)
    with pytest.raises(ValueError, match=message):
        carry(noc, replace(some(noc), **change))


def test_a_tick_without_packets_ends_at_once():
    noc = small(fixed_ps=5)
    outcome = carry(noc, some(noc, 0), record=True)
    assert (outcome.end_ps, outcome.busiest, outcome.busiest_ps) == (0, -1, 0)
    assert outcome.starts.shape == (0, 4)


def test_bounded_injection_stalls_the_source_only():
    """One slot: a packet enters when the one before it has left, which takes one service."""
    noc = replace(small(fixed_ps=100), buffer_inject=1)
    outcome = carry(noc, some(noc), record=True)
    assert outcome.traffic.stall_ps.tolist() == [100 + 200 + 300, 0, 0]
    assert outcome.starts[outcome.starts[:, 0] == 0][:, 2].tolist() == [0, 100, 200, 300]
    free = carry(replace(noc, buffer_inject=0), some(noc))
    assert free.delivered_ps.tolist() == outcome.delivered_ps.tolist()
    assert free.traffic.peak[-3] == 4  # all wait at once


def test_the_busiest_link_is_the_one_that_worked_longest():
    noc = mesh(width=3, height=2, east_west=Cost(10), north_south=Cost(35))
    source, target = np.array([0, 0, 0, 2]), np.array([1, 1, 1, 5])
    packets, _ = packets_of(noc, source, target, np.zeros(4), np.zeros(4))
    outcome = carry(noc, packets)
    assert noc.link_name[outcome.busiest] == "(2,0) north"
    assert outcome.busiest_ps == 35


@pytest.mark.parametrize("place", [latency_place, python_of(latency_place)])
def test_latencies_fall_between_the_edges_of_their_bins(rng, place):
    edges = latency_edges()
    values = [*range(40), *(2**k + d for k in range(3, 62) for d in (-1, 0, 1))]
    values += (2 ** rng.uniform(0, 62, 300)).astype(np.int64).tolist()
    bins = latency_bin(np.array(values))
    assert [place(value) for value in values] == bins.tolist()
    for value, found in zip(values, bins.tolist(), strict=True):
        assert int(edges[found]) <= value < int(edges[found + 1])
    assert bins.max() < LATENCY_BINS
    assert np.all(np.diff(edges) > 0)


def test_packets_are_sorted_by_creation_neuron_and_place():
    noc = small(fixed_ps=5)
    packets, order = packets_of(
        noc, [1, 0, 0, 0, 0], [0, 1, 2, 1, 2], [5, 9, 5, 5, 5], np.arange(5), neuron=[0, 0, 2, 1, 2]
    )
    assert order.tolist() == [3, 2, 4, 1, 0]
    assert packets.first_packet.tolist() == [0, 4, 5, 5]
    assert packets.n_syn.tolist() == [3, 2, 4, 1, 0]
    assert isinstance(packets, Packets)
