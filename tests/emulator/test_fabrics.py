"""Engines with every fabric: the same spikes, and times that must agree or bound each other."""

from dataclasses import replace

import numpy as np
import pytest
from random_fabrics import TICKS, TOPOLOGIES, case
from random_machines import CHANNELS, uncompiled, uncompiled_machines

from emulator.chip import Chip
from emulator.engine import Engine
from emulator.fabric import FABRIC_NAMES
from emulator.stimulus import Stimulus

pytestmark = pytest.mark.plain_python


def run(program, chip, stimuli, fabric, **how):
    engine = Engine(program, chip, fabric=fabric, **how)
    blocks = []
    engine.run(stimuli, TICKS, blocks.append)
    return engine, {
        name: np.concatenate([getattr(block, name) for block in blocks]).tolist()
        for name in ("tick_ps", "slowest_core", "busiest_link", "spike_tick", "spike_neuron",
                     "spike_payload")
    }  # fmt: skip


def spikes(found):
    return [found[name] for name in ("spike_tick", "spike_neuron", "spike_payload")]


@pytest.mark.parametrize("multicast", [False, True])
@pytest.mark.parametrize("topology", TOPOLOGIES)
def test_compiled_and_simulated_network_take_the_same_picoseconds(topology, multicast):
    n_packets = 0
    for seed in range(12):
        program, chip, stimuli = case(seed, topology, multicast=multicast)
        compiled, found = run(program, chip, stimuli, "queued")
        simulated, expected = run(program, chip, stimuli, "simpy")
        assert found == expected, seed
        assert compiled.env.now == simulated.env.now
        for name in ("packets", "busy_ps", "queue_peak", "injection_peak", "core_peak", "stall_ps",
                     "latency"):  # fmt: skip
            one, other = getattr(compiled.carried, name), getattr(simulated.carried, name)
            assert one.tolist() == other.tolist(), (seed, name)
        n_packets += int(compiled.carried.latency.sum())
    assert n_packets > 300


@pytest.mark.parametrize("topology", TOPOLOGIES)
def test_no_fabric_changes_a_spike_and_none_is_faster_than_ideal(topology):
    fabrics = [name for name in FABRIC_NAMES if (topology, name) != ("torus", "links")]
    for seed in range(8):
        program, chip, stimuli = case(100 + seed, topology)
        found = {name: run(program, chip, stimuli, name) for name in fabrics}
        least = np.array(found["ideal"][1]["tick_ps"])
        for name, (engine, outcome) in found.items():
            assert spikes(outcome) == spikes(found["ideal"][1]), (seed, name)
            assert engine.counters.keys() == found["ideal"][0].counters.keys()
            if name != "simple":
                assert np.all(np.array(outcome["tick_ps"]) >= least), (seed, name)


@pytest.mark.parametrize("topology", TOPOLOGIES)
def test_packets_on_links_are_the_hops_that_are_counted(topology):
    n_hops = 0
    for seed in range(10):
        program, chip, stimuli = case(200 + seed, topology)
        free, _ = run(program, chip, stimuli, "ideal")
        followed, _ = run(program, chip, stimuli, "queued")
        assert free.carried.packets.tolist() == followed.carried.packets.tolist()
        counted = sum(int(free.counters[f"hops_{way}"].sum()) for way in ("ew", "ns", "off_chip"))
        assert followed.carried.packets.sum() == counted
        received = free.counters["received"].sum()
        assert followed.carried.latency.sum() == received
        n_hops += counted
    assert n_hops > 100 or topology == "crossbar"


@pytest.mark.parametrize("fabric", ["ideal", "queued"])
def test_blocks_and_threads_change_no_time(fabric):
    for seed in range(6):
        program, chip, stimuli = case(300 + seed, "mesh")
        _, expected = run(program, chip, stimuli, fabric, n_threads=1)
        for how in ({"block_ticks": 1}, {"block_ticks": 5}, {"n_threads": 3}):
            assert run(program, chip, stimuli, fabric, **how)[1] == expected, (seed, how)


@pytest.mark.compiled
def test_compiled_kernels_take_the_times_of_plain_python(monkeypatch):
    program, chip, stimuli = case(2, "mesh")
    uncompiled_machines(monkeypatch)  # compiled ones are compared in test_machine.py
    found = {name: run(program, chip, stimuli, name)[1] for name in ("ideal", "queued")}
    with monkeypatch.context() as patched:
        uncompiled(patched)
        for name, outcome in found.items():
            assert run(program, chip, stimuli, name)[1] == outcome, name


def test_links_of_a_torus_cannot_be_put_in_order():
    program, chip, _ = case(0, "torus")
    with pytest.raises(ValueError, match=r"routes go round in a ring.*use fabric queued"):
        Engine(program, chip, fabric="links")


def test_links_do_not_know_packets_that_fork():
    program, chip, _ = case(0, "mesh", multicast=True)
    with pytest.raises(ValueError, match=r"fork in routers.*use fabric queued"):
        Engine(program, chip, fabric="links")


def test_a_fabric_that_is_not_there_is_refused():
    program, chip, _ = case(0, "mesh")
    with pytest.raises(ValueError, match="must be one of simple, ideal, links, queued, simpy"):
        Engine(program, chip, fabric="magic")


def test_a_mesh_too_large_for_a_table_is_cut_to_what_is_used():
    program, chip, stimuli = case(2, "mesh")
    program = replace(program, core=np.array([0, 9, 14]))
    _, expected = run(program, chip, stimuli, "queued")
    plain = chip.model_dump()
    plain["mesh"] |= {"width": 400, "height": 100}
    large = Chip.model_validate(plain)
    router, local = np.divmod(program.core, 2)
    y, x = np.divmod(router, 4)
    there = ((y + 50) * 400 + x + 300) * 2 + local
    engine, found = run(replace(program, core=there), large, stimuli, "queued")
    assert found["tick_ps"] == expected["tick_ps"]
    assert engine.carried.noc.link_name[0].startswith("(300,50)")


def test_channels_on_cores_take_what_the_chip_says():
    """By hand: two channels and two neurons on one core, all packets to the own core."""
    program, chip, _ = case(2, "mesh")
    plain, none = chip.model_dump(), np.empty(0, np.int64)
    for channel in (None, {"value": 7}):
        plain["timing"] |= {
            **{name: {"value": 0} for name in (
                "synaptic_event_ps", "axon_in_ps", "hop_ew_ps", "hop_ns_ps", "local_spike_ps",
                "spike_ps", "axon_out_ps", "neuron_inactive_ps")},
            "neuron_active_ps": {"value": 100}, "barrier": [[1, 1]],
            "channel_active_ps": channel, "channel_inactive_ps": channel and {"value": 3},
        }  # fmt: skip
        quiet = replace(
            program, bias=np.zeros(program.n_neurons), membrane_min=none, membrane_max=none,
            initial_membrane=np.zeros(program.n_neurons), lower=none, lower_to=none,
            threshold=np.full(program.n_neurons, 2**20), weight=np.zeros_like(program.weight),
            channel_core=np.zeros(CHANNELS),
        )  # fmt: skip
        one = Stimulus(spike_tick=[2], spike_channel=[1], spike_payload=[1])
        _, found = run(quiet, Chip.model_validate(plain), [one], "simple")
        sends, waits = (7, 3) if channel else (100, 0)
        rest = CHANNELS * waits + 1
        expected = [rest] * TICKS
        expected[2] = rest - waits + sends
        assert found["tick_ps"] == expected
