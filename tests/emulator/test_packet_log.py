"""What is told of every packet, against counters, durations, and the other network."""

import numpy as np
import pytest
from random_fabrics import TICKS, TOPOLOGIES, case

from emulator.engine import Engine
from emulator.fabric import FABRIC_NAMES, barrier_ps
from emulator.packet_log import PacketLog

pytestmark = pytest.mark.plain_python


def run(program, chip, stimuli, fabric, **how):
    engine = Engine(program, chip, fabric=fabric, log_packets=True, **how)
    blocks = []
    engine.run(stimuli, TICKS, blocks.append)
    return engine, blocks


def logged(blocks):
    """All packets, with their samples."""
    rows = [np.stack([np.full(b.packets.tick.size, b.sample), *b.packets], axis=1) for b in blocks]
    return np.concatenate(rows)


@pytest.mark.parametrize("multicast", [False, True])
@pytest.mark.parametrize("topology", TOPOLOGIES)
def test_both_networks_tell_the_same_of_every_packet(topology, multicast):
    n_rows = 0
    for seed in range(6):
        program, chip, stimuli = case(1400 + seed, topology, multicast=multicast)
        _, compiled = run(program, chip, stimuli, "queued")
        _, simulated = run(program, chip, stimuli, "simpy")
        assert logged(compiled).tolist() == logged(simulated).tolist(), seed
        n_rows += len(logged(compiled))
    assert n_rows > 200


@pytest.mark.parametrize("fabric", FABRIC_NAMES)
def test_rows_are_the_packets_that_are_counted(fabric):
    n_rows = n_moved = 0
    for seed in range(10):
        program, chip, stimuli = case(1500 + seed, "mesh")
        engine, blocks = run(program, chip, stimuli, fabric)
        rows, counters = logged(blocks), engine.counters
        _, tick, source, core, hops, left, arrived, done = rows.T
        assert (
            np.bincount(core, minlength=program.n_cores).tolist() == counters["received"].tolist()
        )
        sender = program.source_core[source]
        away = (sender >= 0) & (sender != core)
        for name, mine in (("packets", away), ("local_packets", sender == core)):
            counted = np.bincount(sender[mine], minlength=program.n_cores)
            assert counted.tolist() == counters[name].tolist(), name
        counted = sum(int(counters[f"hops_{way}"].sum()) for way in ("ew", "ns", "off_chip"))
        assert hops[away].sum() == counted
        assert np.all(hops[~away] == 0)
        assert np.all(left <= arrived)
        assert np.all(arrived <= done)
        by_tick = {}
        for block in blocks:
            for name in ("packets", "local_packets", "input_packets"):
                for k, n in enumerate(block.tick_counters.get(name, ())):
                    at = block.sample, block.first_tick + k
                    by_tick[at] = by_tick.get(at, 0) + int(n)
            order = np.lexsort((block.packets.core, block.packets.source, block.packets.left_ps,
                                block.packets.tick))  # fmt: skip
            assert np.all(np.diff(block.packets.tick[order]) >= 0)
            assert np.all(np.diff(block.packets.tick) >= 0)
        if by_tick:
            found = dict.fromkeys(by_tick, 0)
            for sample, t in zip(rows[:, 0], tick, strict=True):
                found[int(sample), int(t)] += 1
            assert found == by_tick
        n_rows += len(rows)
        n_moved += int(np.count_nonzero(arrived > left))
    assert n_rows > 200
    assert n_moved > 50 or fabric == "simple"


@pytest.mark.parametrize("fabric", ["queued", "links", "simpy"])
def test_a_tick_ends_with_its_last_packet_or_its_last_update(fabric):
    for seed in range(8):
        program, chip, stimuli = case(1600 + seed, "mesh")
        _, blocks = run(program, chip, stimuli, fabric)
        for block in blocks:
            for part in block.ticks():
                last = part.update_ps[0].max()
                last = max(last, part.packets.done_ps.max(initial=0))
                assert part.tick_ps[0] == last + barrier_ps(program, chip), seed


@pytest.mark.parametrize("fabric", ["ideal", "queued", "links"])
def test_logs_do_not_depend_on_blocks_threads_or_room(fabric, monkeypatch):
    program, chip, stimuli = case(1701, "mesh")
    expected = logged(run(program, chip, stimuli, fabric)[1]).tolist()
    quiet = []
    Engine(program, chip, fabric=fabric).run(stimuli, TICKS, quiet.append)
    assert all(block.packets is None for block in quiet)
    for how in ({"block_ticks": 1}, {"block_ticks": 5, "n_threads": 3}):
        assert logged(run(program, chip, stimuli, fabric, **how)[1]).tolist() == expected
    from emulator import lane as lanes

    monkeypatch.setattr(lanes, "PACKETS_A_BLOCK", 1)
    _, blocks = run(program, chip, stimuli, fabric)
    assert logged(blocks).tolist() == expected
    assert isinstance(blocks[0].packets, PacketLog)
    ticks = [b.tick_ps for b in quiet]
    assert np.concatenate([b.tick_ps for b in blocks]).tolist() == np.concatenate(ticks).tolist()
