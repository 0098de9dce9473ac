"""A machine that is saved and goes on elsewhere does what it would have done."""

import io
import json
from dataclasses import replace

import numpy as np
import pytest
from random_fabrics import TICKS, case

from emulator.engine import Engine
from emulator.errors import SnapshotError
from emulator.fabric import FABRIC_NAMES
from emulator.snapshot import Snapshot

pytestmark = pytest.mark.plain_python

TIMES = ("tick_ps", "slowest_core", "busiest_link")
SPIKES = ("spike_tick", "spike_neuron", "spike_payload")


def through_a_file(snapshot):
    """Nothing but JSON and arrays survives this."""
    file = io.BytesIO()
    np.savez(file, **snapshot.arrays)
    file.seek(0)
    with np.load(file) as arrays:
        return Snapshot(
            header=json.loads(json.dumps(snapshot.header)), arrays={k: arrays[k] for k in arrays}
        )


def engine_of(program, chip, fabric, **how):
    return Engine(
        program, chip, fabric=fabric, watched=np.arange(0, program.n_neurons, 3), seed=5, **how
    )


def ticks_of(blocks):
    """Everything that is reported, tick by tick."""
    found = []
    for block in blocks:
        counted = block.tick_counters
        for k in range(block.tick_ps.size):
            tick = block.first_tick + k
            mine = block.spike_tick == tick
            found.append(
                (
                    block.sample, tick, *(int(getattr(block, name)[k]) for name in TIMES),
                    *(getattr(block, name)[mine].tolist() for name in SPIKES),
                    block.frames[k].tolist(), {name: int(c[k]) for name, c in counted.items()},
                )
            )  # fmt: skip
    return found


def ending(engine):
    carried = engine.carried
    return {
        "now": int(engine.env.now),
        **{name: array.tolist() for name, array in engine.counters.items()},
        **{name: array.tolist() for name, array in engine.state.items()},
        **{
            name: getattr(carried, name).tolist()
            for name in ("packets", "busy_ps", "queue_peak", "injection_peak", "core_peak",
                         "stall_ps", "latency")
        },
    }  # fmt: skip


def whole_run(program, chip, stimuli, fabric, at, **how):
    """An undisturbed run, and the snapshot that was taken before tick ``at`` of all ticks."""
    engine, blocks, saved = engine_of(program, chip, fabric, **how), [], []

    def observe(block):
        blocks.append(block)
        if block.sample * TICKS + block.first_tick + block.tick_ps.size == at:
            saved.append(engine.snapshot())

    engine.run(stimuli, TICKS, observe)
    return ticks_of(blocks), ending(engine), saved[0]


@pytest.mark.parametrize("fabric", FABRIC_NAMES)
@pytest.mark.parametrize("seed", range(12))
def test_going_on_elsewhere_changes_nothing(fabric, seed):
    rng = np.random.default_rng(seed)
    program, chip, stimuli = case(200 + seed, "mesh")
    stimuli = [*stimuli, *stimuli]
    at = int(rng.integers(1, len(stimuli) * TICKS + 1))
    ticks, end, saved = whole_run(program, chip, stimuli, fabric, at, block_ticks=1, n_threads=1)
    assert (saved.sample, saved.tick) == divmod(at, TICKS)
    other = engine_of(program, chip, fabric, block_ticks=int(rng.integers(1, 9)))
    other.restore(through_a_file(saved))
    blocks = []
    other.run(stimuli[saved.sample :], TICKS, blocks.append)
    assert ticks_of(blocks) == ticks[at:]
    assert ending(other) == end


@pytest.mark.parametrize("fabric", ["ideal", "queued"])
def test_a_saved_machine_can_be_looked_at_tick_by_tick(fabric):
    program, chip, stimuli = case(301, "mesh")
    ticks, end, saved = whole_run(program, chip, stimuli[:1], fabric, 7, block_ticks=1)
    engine = engine_of(program, chip, fabric)
    engine.restore(saved)
    blocks = []
    for block in engine.steps(stimuli[0], TICKS):
        blocks.append(block)
        assert engine.can_snapshot
        assert engine.snapshot().tick == (8 + len(blocks) - 1) % TICKS
    assert ticks_of(blocks) == ticks[7:]
    assert ending(engine) == end


def test_a_snapshot_of_a_snapshot_is_the_same():
    program, chip, stimuli = case(302, "mesh")
    _, _, saved = whole_run(program, chip, stimuli[:1], "queued", 9, block_ticks=1)
    engine = engine_of(program, chip, "queued")
    engine.restore(saved)
    again = engine.snapshot()
    assert engine.can_snapshot
    assert again.header == saved.header
    assert again.arrays.keys() == saved.arrays.keys()
    assert all(np.array_equal(again.arrays[name], saved.arrays[name]) for name in saved.arrays)


def test_between_samples_nothing_but_totals_is_kept():
    program, chip, stimuli = case(303, "mesh")
    _, _, saved = whole_run(program, chip, stimuli, "ideal", TICKS, block_ticks=1, n_threads=1)
    assert "membrane" not in saved.arrays
    assert {name.split("_")[0] for name in saved.arrays} <= {"counter", "traffic"}


def test_another_machine_is_refused():
    program, chip, stimuli = case(304, "mesh")
    _, _, saved = whole_run(program, chip, stimuli[:1], "ideal", 5, block_ticks=1)
    renamed = chip.model_copy(update={"name": "another"})
    other = Engine(program, renamed, fabric="links", seed=6)
    with pytest.raises(SnapshotError, match=r"chip_sha256.*\n.*fabric: 'ideal'.*\n.*seed: 5 in"):
        other.restore(saved)
    engine = engine_of(program, chip, "ideal")
    arrays = {**saved.arrays}
    del arrays["membrane"]
    with pytest.raises(SnapshotError, match="membrane is missing"):
        engine.restore(replace(saved, arrays=arrays))
    engine = engine_of(program, chip, "ideal")
    list(engine.steps(stimuli[0], TICKS))
    with pytest.raises(RuntimeError, match="restored first"):
        engine.restore(saved)


def test_processes_of_the_user_cannot_be_saved():
    program, chip, stimuli = case(305, "mesh")
    engine = engine_of(program, chip, "simpy")

    def sensor():
        while True:
            yield engine.ticked()

    engine.env.process(sensor())
    told = []

    def observe(block):
        with pytest.raises(SnapshotError, match="processes beside the chip cannot be saved"):
            engine.snapshot()
        told.append(engine.can_snapshot)

    engine.run(stimuli[:1], TICKS, observe)
    assert told
    assert not any(told)
