"""Runs that are broken off, saved, and gone on with, against runs without a break."""

import io
from dataclasses import replace

import numpy as np
import pytest
from random_fabrics import TICKS, TOPOLOGIES, case
from random_machines import chip_with, random_stimulus

from emulator import lane as lanes
from emulator.engine import Engine
from emulator.errors import SnapshotError
from emulator.fabric import FABRIC_NAMES
from emulator.snapshot import Snapshot

pytestmark = pytest.mark.plain_python


class Stop(Exception):  # noqa: N818 - no error: where a test breaks a run off
    pass


def of_blocks(blocks):
    """Everything that blocks report, tick by tick, wherever they were cut."""
    found = {}
    for block in blocks:
        counters = block.tick_counters
        for k, part in enumerate(block.ticks()):
            found[part.sample, part.first_tick] = (
                int(part.tick_ps[0]), int(part.slowest_core[0]), int(part.busiest_link[0]),
                part.spike_neuron.tolist(), part.spike_payload.tolist(), part.frames.tolist(),
                {name: int(column[k]) for name, column in counters.items()},
            )  # fmt: skip
    return found


def of_engine(engine):
    """Everything that an engine has added up."""
    carried = vars(engine.carried) | {"noc": None}
    return (
        int(engine.env.now),
        {name: counts.tolist() for name, counts in engine.counters.items()},
        {name: np.asarray(value).tolist() for name, value in carried.items() if value is not None},
        {name: array.tolist() for name, array in engine.state.items()},
    )


def through_file(snapshot):
    file = io.BytesIO()
    np.savez(file, **snapshot.arrays)
    file.seek(0)
    with np.load(file) as loaded:
        return Snapshot(header=dict(snapshot.header), arrays=dict(loaded))


def broken_off(program, chip, stimuli, sample, tick, **how):
    """Run until so many ticks of a sample have passed, and save."""
    engine, blocks, found = Engine(program, chip, **{"n_threads": 1} | how), [], []

    def observe(block):
        blocks.append(block)
        if (block.sample, block.first_tick + block.tick_ps.size) == (sample, tick):
            found.append(engine.snapshot())
            raise Stop

    with pytest.raises(Stop):
        engine.run(stimuli, TICKS, observe)
    return found[0], blocks


def gone_on_with(program, chip, stimuli, snapshot, **how):
    engine, blocks = Engine(program, chip, **how), []
    engine.restore(snapshot)
    engine.run(stimuli[snapshot.sample :], TICKS, blocks.append)
    return engine, blocks


def check(program, chip, stimuli, sample, tick, *, fabric="ideal", seed=7, watched=(0, 3)):
    how = {"fabric": fabric, "seed": seed, "watched": np.array(watched)}
    whole, blocks = Engine(program, chip, n_threads=1, **how), []
    whole.run(stimuli, TICKS, blocks.append)
    saved, first = broken_off(program, chip, stimuli, sample, tick, block_ticks=1, **how)
    assert ("membrane" in saved.arrays) == (tick < TICKS)
    engine, rest = gone_on_with(
        program, chip, stimuli, through_file(saved), block_ticks=5, n_threads=3, **how
    )
    assert of_blocks(first) | of_blocks(rest) == of_blocks(blocks)
    assert of_engine(engine) == of_engine(whole)
    return engine


@pytest.mark.parametrize("fabric", FABRIC_NAMES)
def test_a_run_that_goes_on_is_one_without_a_break(fabric):
    rng = np.random.default_rng(5)
    n_spikes = n_waiting = 0
    for seed in range(25):
        program, chip, stimuli = case(700 + seed, "mesh")
        stimuli = [*stimuli, random_stimulus(rng, TICKS)]
        engine = check(
            program, chip, stimuli, int(rng.integers(3)), int(rng.integers(1, TICKS + 1)),
            fabric=fabric,
        )  # fmt: skip
        n_spikes += int(engine.counters["spikes"].sum())
        n_waiting += int(program.row_delay.max())
    assert n_spikes > 100
    assert n_waiting > 10


@pytest.mark.parametrize("topology", [name for name in TOPOLOGIES if name != "mesh"])
@pytest.mark.parametrize("fabric", ["queued", "simpy"])
def test_statistics_of_any_network_go_on(topology, fabric):
    for seed in range(4):
        program, chip, stimuli = case(800 + seed, topology, multicast=seed % 2 == 1)
        check(program, chip, stimuli, seed % 2, 5, fabric=fabric)


def test_currents_that_were_injected_last():
    rng = np.random.default_rng(3)
    for seed in range(10):
        program, chip, stimuli = case(900 + seed, "mesh")
        n = 6
        injected = [
            replace(
                stimulus, current_tick=np.sort(rng.integers(0, TICKS, n)),
                current_neuron=rng.integers(0, program.n_neurons, n),
                current_value=rng.integers(-30, 60, n),
            )
            for stimulus in stimuli
        ]  # fmt: skip
        check(program, chip, injected, 0, int(rng.integers(1, TICKS)))


@pytest.mark.parametrize(
    "arithmetic",
    [{"current_decay": "stochastic", "membrane_decay": "stochastic"},
     {"float_variables": ["current", "membrane"]},
     {"float_variables": ["current", "membrane", "decays", "weights", "biases"]}],
    ids=["stochastic", "float-registers", "float"],
)  # fmt: skip
def test_registers_of_any_kind(arithmetic):
    n_ran = 0
    for seed in range(12):
        program, chip, stimuli = case(950 + seed, "mesh")
        if chip.arithmetic.accumulate == "each":
            continue
        plain = chip.model_dump()
        plain["arithmetic"] |= arithmetic
        try:
            other = type(chip).model_validate(plain)
            Engine(program, other)
        except ValueError:
            continue
        check(program, other, stimuli, 1, 4)
        n_ran += 1
    assert n_ran > 3 or "biases" in arithmetic.get("float_variables", ())


def test_a_snapshot_is_the_same_however_it_was_computed():
    program, chip, stimuli = case(703, "mesh")
    snapshots = [
        # One sample alone: several are saved at their ends only, where threads run them side by side.
        broken_off(program, chip, stimuli[:1], 0, 6, **how)[0]
        for how in ({"block_ticks": 1, "n_threads": 1}, {"block_ticks": 3, "n_threads": 3},
                    {"block_ticks": 2, "n_threads": 2})
    ]  # fmt: skip
    for other in snapshots[1:]:
        assert other.header == snapshots[0].header
        assert other.arrays.keys() == snapshots[0].arrays.keys()
        for name, array in snapshots[0].arrays.items():
            assert array.dtype == other.arrays[name].dtype, name
            np.testing.assert_array_equal(array, other.arrays[name], err_msg=name)


@pytest.mark.parametrize("fabric", FABRIC_NAMES)
def test_steps_seek_to_any_tick_of_a_sample(fabric):
    program, chip, stimuli = case(705, "mesh")
    saved, _ = broken_off(program, chip, stimuli, 1, 4, block_ticks=1, fabric=fabric)
    begins = Engine(program, chip, fabric=fabric)
    begins.restore(saved)
    assert begins.snapshot() is saved
    whole = Engine(program, chip, fabric=fabric)
    ticks = whole.steps(stimuli[1], TICKS)
    states = [{name: array.tolist() for name, array in whole.state.items()} for _ in ticks]
    assert {name: array.tolist() for name, array in begins.state.items()} == states[3]
    for block in begins.steps(stimuli[1], TICKS):
        assert block.sample == 1
        assert {name: array.tolist() for name, array in begins.state.items()} == states[
            block.first_tick
        ]
    assert block.first_tick == TICKS - 1


@pytest.mark.compiled
def test_samples_beside_others_are_saved_at_their_end(monkeypatch):
    program, chip, stimuli = case(709, "mesh")
    stimuli = 4 * stimuli
    for fabric in ("ideal", "queued"):
        whole, blocks = Engine(program, chip, fabric=fabric, n_threads=1), []
        whole.run(stimuli, TICKS, blocks.append)
        beside, snapshots = Engine(program, chip, fabric=fabric, n_threads=2), []

        def observe(block, beside=beside, snapshots=snapshots):
            assert beside.can_snapshot == (block.first_tick + block.tick_ps.size == TICKS)
            if beside.can_snapshot:
                snapshots.append(beside.snapshot())

        beside.run(stimuli, TICKS, observe)
        assert [s.sample for s in snapshots] == list(range(1, 9))
        for saved in snapshots[:-1]:
            engine, rest = gone_on_with(program, chip, stimuli, saved, fabric=fabric, n_threads=2)
            assert of_engine(engine) == of_engine(whole)
            assert of_blocks(rest) == {
                at: found for at, found in of_blocks(blocks).items() if at[0] >= saved.sample
            }


@pytest.mark.compiled
def test_compiled_and_plain_machines_go_on_for_each_other(monkeypatch):
    from random_machines import uncompiled

    program, chip, stimuli = case(707, "mesh")
    whole, blocks = Engine(program, chip, fabric="queued"), []
    whole.run(stimuli, TICKS, blocks.append)
    saved, first = broken_off(
        program, chip, stimuli, 0, 7, block_ticks=1, n_threads=1, fabric="queued"
    )
    with monkeypatch.context() as patched:
        uncompiled(patched)
        engine, rest = gone_on_with(program, chip, stimuli, saved, fabric="queued")
    assert of_blocks(first) | of_blocks(rest) == of_blocks(blocks)
    assert of_engine(engine) == of_engine(whole)


def test_input_without_latency_is_taken_once_where_a_block_is_full(monkeypatch):
    """Whatever room there is for spikes, blocks are cut between ticks and lose no input."""
    n_cut = 0
    for seed in range(20):
        program, chip, stimuli = case(100 + seed, "mesh")
        if chip.arithmetic.input_latency:
            continue
        expected, blocks = [], []
        Engine(program, chip).run(stimuli, TICKS, expected.append)
        with monkeypatch.context() as patched:
            patched.setattr(lanes, "SPIKES_A_BLOCK", 1)
            Engine(program, chip, n_threads=1).run(stimuli, TICKS, blocks.append)
        assert of_blocks(blocks) == of_blocks(expected), seed
        n_cut += len(blocks) - len(expected)
    assert n_cut > 20


def test_processes_beside_the_chip_cannot_be_saved():
    program, chip, stimuli = case(2, "mesh")
    for fabric in ("ideal", "simpy"):
        engine = Engine(program, chip, fabric=fabric)

        def waits(engine=engine):
            yield engine.ticked()

        engine.env.process(waits())
        found = []

        def observe(block, engine=engine, found=found):
            with pytest.raises(SnapshotError, match="processes beside the chip cannot be saved"):
                engine.snapshot()
            found.append(engine.can_snapshot)

        engine.run(stimuli, TICKS, observe)
        assert not any(found)
    watched = Engine(program, chip, fabric="simpy")
    watched.fabric.on_delivery.append(lambda *about: None)
    with pytest.raises(SnapshotError, match="processes beside the chip"):
        watched.snapshot()


def test_links_that_were_told_to_fail_still_fail():
    program, chip, stimuli = case(2, "mesh")
    rules = {"accumulate": "sum", "axons": "counting"}
    chip = chip.model_copy(update={"arithmetic": chip.arithmetic.model_copy(update=rules)})
    if program.row_axon.size:
        program = replace(program, row_axon=np.empty(0, np.int64))
    how = {"fabric": "simpy"}
    whole = Engine(program, chip, **how)
    for engine in (whole, broken := Engine(program, chip, **how)):
        for link in engine.fabric.network.noc.link_name:
            engine.fabric.fail(link, 0)
    blocks, saved = [], []
    whole.run(stimuli, TICKS, blocks.append)

    def observe(block):
        saved.append(broken.snapshot())

    broken.run(stimuli, TICKS, observe)
    engine, rest = gone_on_with(program, chip, stimuli, saved[6], **how)
    assert of_engine(engine) == of_engine(whole)
    assert of_blocks(rest).items() <= of_blocks(blocks).items()


def test_snapshots_of_other_machines_are_refused():
    program, chip, stimuli = case(3, "mesh")
    saved, _ = broken_off(program, chip, stimuli, 0, 5, block_ticks=1)
    heavier = replace(program, weight=program.weight + 1)
    other = chip_with()
    for engine, text in (
        (Engine(program, chip, seed=1), "seed: 0 in the snapshot, 1 here"),
        (Engine(program, chip, fabric="queued"), "fabric: 'ideal' in the snapshot, 'queued' here"),
        (Engine(heavier, chip), "program_sha256: '.*' in the snapshot, '.*' here"),
    ):
        with pytest.raises(SnapshotError, match=text):
            engine.restore(saved)
    assert other.sha256 != chip.sha256
    for change, text in (
        ({"tick": -1}, "tick: a number from 0 on expected, got -1"),
        ({"chip_sha256": other.sha256}, "chip_sha256"),
        ({"form": "spikefab-snapshot-0"}, "form: 'spikefab-snapshot-0'"),
    ):
        with pytest.raises(SnapshotError, match=text):
            Engine(program, chip).restore(
                Snapshot(header=saved.header | change, arrays=saved.arrays)
            )


@pytest.mark.parametrize(
    ("change", "text"),
    [({"membrane": np.zeros(3, np.int64)}, r"membrane: shape \(\d+,\) expected, got \(3,\)"),
     ({"push": np.zeros(14)}, "push: numbers like int64 expected, got float64"),
     ({"sums_at": np.array([10**6])}, "sums_at names 1000000..1000000 of"),
     ({"sums_at": np.zeros(0, np.int64), "sums": np.ones(2, np.int64)}, "sums: shape"),
     ({"marks_at": np.array([0.5])}, "marks_at is missing or damaged"),
     ({"last": np.zeros(99, np.int64)}, "last is missing or damaged"),
     ({"counter_active": None}, "counter_active is missing")],
    ids=lambda value: None if isinstance(value, str) else next(iter(value)),
)  # fmt: skip
def test_damaged_snapshots_are_refused(change, text):
    program, chip, stimuli = case(3, "mesh")
    saved, _ = broken_off(program, chip, stimuli, 0, 5, block_ticks=1)
    arrays = {k: v for k, v in (saved.arrays | change).items() if v is not None}
    with pytest.raises(SnapshotError, match=text):
        Engine(program, chip).restore(Snapshot(header=saved.header, arrays=arrays))


def test_a_snapshot_is_restored_first_and_within_its_sample():
    program, chip, stimuli = case(3, "mesh")
    saved, _ = broken_off(program, chip, stimuli, 0, 5, block_ticks=1)
    engine = Engine(program, chip)
    engine.env.timeout(3)
    with pytest.raises(RuntimeError, match="a snapshot is restored first"):
        engine.restore(saved)
    ran = Engine(program, chip)
    ran.run(stimuli, TICKS, lambda block: None)
    with pytest.raises(RuntimeError, match="a snapshot is restored first"):
        ran.restore(saved)
    short = Engine(program, chip)
    short.restore(saved)
    with pytest.raises(ValueError, match="lies at tick 5 of its sample, but samples have 5 ticks"):
        short.run(stimuli, 5, lambda block: None)


def test_a_run_can_be_saved_before_it_begins_and_after_its_end():
    program, chip, stimuli = case(3, "mesh")
    engine, blocks = Engine(program, chip), []
    start = engine.snapshot()
    assert (start.sample, start.tick, start.now_ps) == (0, 0, 0)
    engine.run(stimuli[:1], TICKS, blocks.append)
    end = engine.snapshot()
    assert (end.sample, end.tick) == (1, 0)
    assert not np.array_equal(end.arrays["counter_active"], start.arrays["counter_active"])
    whole = Engine(program, chip)
    whole.run(stimuli, TICKS, lambda block: None)
    more = Engine(program, chip)
    more.restore(end)
    more.run(stimuli[1:], TICKS, blocks.append)
    assert of_engine(more) == of_engine(whole)
    empty = Engine(program, chip)
    empty.restore(end)
    empty.run([], TICKS, lambda block: None)
    assert int(empty.env.now) == end.now_ps
