"""Threads, blocks of ticks, samples side by side and widths of registers change no result."""

import threading
from dataclasses import replace

import numpy as np
import pytest
from large_machines import (
    CHANNELS,
    large_chip,
    large_program,
    large_stimulus,
    scattered_memory,
)
from random_machines import uncompiled

from emulator.engine import Engine
from emulator.loading import load
from emulator.stimulus import Stimulus
from traces.jit import COMPILES

pytestmark = pytest.mark.slow_uncompiled

TICKS = 30
RULES = {
    "sums": ({}, {}, {}),
    "bursts": (
        {"membrane_bits": 16, "current_bits": 14},
        {"current_overflow": "saturate", "membrane_overflow": "saturate-twos", "compare": ">="},
        {"bursts": True, "n_sums": 2},
    ),
}
"""Numbers, rules and programs; few, as each compiles anew."""


def case(name, seed=0, **how):
    rng = np.random.default_rng(seed)
    numbers, arithmetic, about = RULES[name]
    chip = large_chip(timed=True, numbers=numbers, arithmetic=arithmetic)
    program = large_program(rng, chip, **about, **how)
    return program, chip, [large_stimulus(rng, TICKS) for _ in range(7)]


def outcome(engine, stimuli, n_ticks=TICKS):
    """Everything that a run gives."""
    blocks = []
    engine.run(stimuli, n_ticks, blocks.append)
    columns = ("tick_ps", "slowest_core", "spike_tick", "spike_neuron", "spike_payload")
    found = {
        name: np.concatenate([getattr(block, name) for block in blocks]).tolist()
        for name in columns
    }
    found["sample"] = np.concatenate([np.full(b.tick_ps.size, b.sample) for b in blocks]).tolist()
    found["frames"] = np.concatenate([block.frames for block in blocks]).tolist()
    for name in engine.counters:
        found[f"ticks {name}"] = np.concatenate([b.tick_counters[name] for b in blocks]).tolist()
        found[f"total {name}"] = engine.counters[name].tolist()
    found |= {name: array.tolist() for name, array in engine.state.items()}
    found["link packets"] = engine.carried.packets.tolist()
    found["now"] = engine.env.now
    return found


def assert_equal(found, expected, where):
    for name, value in expected.items():
        assert found[name] == value, (where, name)


WATCHED = np.array([0, 69, 70, 200, 306])


@pytest.mark.parametrize("rules", RULES)
def test_neither_threads_nor_blocks_nor_company_change_anything(rules):
    program, chip, stimuli = case(rules)
    expected = outcome(Engine(program, chip, watched=WATCHED, n_threads=1), stimuli)
    assert len(expected["spike_neuron"]) > 1000
    for how in (
        {"n_threads": 1, "block_ticks": 1},
        {"n_threads": 1, "block_ticks": 7},
        {"n_threads": 2},
        {"n_threads": 3, "block_ticks": 4},
        {"n_threads": 99},
    ):
        found = outcome(Engine(program, chip, watched=WATCHED, **how), stimuli)
        assert_equal(found, expected, how)
    # One sample by itself: here the threads share its cores.
    expected = outcome(Engine(program, chip, watched=WATCHED, n_threads=1), stimuli[:1])
    for how in ({"n_threads": 2}, {"n_threads": 3, "block_ticks": 1}, {"n_threads": 99}):
        found = outcome(Engine(program, chip, watched=WATCHED, **how), stimuli[:1])
        assert_equal(found, expected, how)


def test_samples_beyond_those_side_by_side_wait_their_turn():
    """Whoever waits in the environment sees each tick of each sample at its own time."""
    program, chip, stimuli = case("sums")

    def waited(n_threads):
        engine, seen = Engine(program, chip, n_threads=n_threads), []

        def watch():
            yield engine.env.timeout(100_000)
            for _ in range(40):
                happened = yield engine.ticked()
                seen.append((happened, engine.env.now))

        engine.env.process(watch())
        return outcome(engine, stimuli), seen

    alone = outcome(Engine(program, chip, n_threads=1), stimuli)
    one, seen = waited(1)
    other, also_seen = waited(3)
    assert seen == also_seen
    assert len(seen) == 40
    assert len({sample for (sample, _), _ in seen}) > 1
    for found in (one, other):
        assert_equal(found, alone, "waiting")


def test_a_process_that_comes_during_a_run_sees_single_ticks():
    """Samples that ran ahead pass tick by tick once somebody waits."""
    program, chip, stimuli = case("sums")
    engine, seen, blocks = Engine(program, chip, n_threads=3), [], []

    def watch():
        for _ in range(2 * TICKS):
            seen.append((yield engine.ticked()))

    def observe(block):
        blocks.append(block)
        if len(blocks) == 1:
            engine.env.process(watch())

    engine.run(stimuli, TICKS, observe)
    assert seen == sorted(set(seen))
    assert len(seen) == 2 * TICKS
    expected = []
    Engine(program, chip, n_threads=1).run(stimuli, TICKS, expected.append)
    for name in ("tick_ps", "spike_tick", "spike_neuron", "frames"):
        one, other = (np.concatenate([getattr(b, name) for b in bs]) for bs in (blocks, expected))
        np.testing.assert_array_equal(one, other, err_msg=name)


class Stop(BaseException):
    """As an interrupt from the keyboard."""


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt, Stop])
def test_an_observer_that_stops_a_run_leaves_no_thread_at_work(error):
    program, chip, _ = case("sums")
    before = set(threading.enumerate())
    asked = []

    def stimuli():
        for number in range(10_000):
            asked.append(number)
            yield Stimulus()

    def observe(block):
        if block.sample == 3:
            raise error("no more")

    engine = Engine(program, chip, n_threads=3)
    with pytest.raises(error, match="no more"):
        engine.run(stimuli(), TICKS, observe)
    assert len(asked) < 20  # samples are not taken far ahead
    working = set(threading.enumerate()) - before
    for thread in working:
        thread.join(timeout=60)
    assert not any(thread.is_alive() for thread in working)


def test_a_stimulus_that_is_wrong_ends_a_run_after_the_samples_before_it():
    program, chip, stimuli = case("sums")
    wrong = Stimulus(spike_tick=[0], spike_channel=[CHANNELS], spike_payload=[1])
    for n_threads in (1, 3):
        seen = []
        with pytest.raises(ValueError, match="the program has 8"):
            Engine(program, chip, n_threads=n_threads).run(
                [*stimuli[:4], wrong, *stimuli[4:]],
                TICKS,
                lambda b, seen=seen: seen.append(b.sample),
            )
        assert sorted(set(seen)) == [0, 1, 2, 3]


def test_samples_are_taken_from_a_generator_in_order_and_an_error_of_it_is_told():
    program, chip, stimuli = case("sums")

    def broken():
        yield from stimuli[:3]
        raise OSError("the file ends here")

    for n_threads in (1, 3):
        with pytest.raises(OSError, match="the file ends here"):
            Engine(program, chip, n_threads=n_threads).run(broken(), TICKS, lambda block: None)


def widths(engine):
    """Bits of the membrane's register, and of the sums of input."""
    machine = engine._lane()._machine
    return 8 * machine.state.membrane.itemsize, 8 * machine.pending.sums.itemsize


def with_ballast(program, stimulus, payload):
    """Add a channel without synapses that sends so much that no narrow register is safe."""
    ballast = replace(
        program, inputs=(*program.inputs, ("ballast", 1)),
        source_row=np.append(program.source_row, program.source_row[-1]),
    )  # fmt: skip
    columns = {
        "spike_tick": np.append(0, stimulus.spike_tick),
        "spike_channel": np.append(CHANNELS, stimulus.spike_channel),
        "spike_payload": np.append(payload, stimulus.spike_payload),
    }
    return ballast, replace(stimulus, **columns)


WIDE_RULES = {
    "widest": (
        {"membrane_bits": 29, "current_bits": 29, "decay_bits": 15},
        {"current_decay": "away", "membrane_decay": "nearest-even", "membrane_overflow":
         "saturate-twos", "current_overflow": "saturate"},
    ),
    "increment": (
        {"membrane_bits": 26, "current_bits": 29, "input_bits": 28},
        {"current_decay": "floor", "membrane_decay": "shift", "membrane_form": "increment",
         "input_overflow": "wrap", "membrane_overflow": "wrap", "current_order": "add-use-decay"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("rules", WIDE_RULES)
def test_registers_of_32_bits_hold_what_those_of_64_hold(rules, monkeypatch):
    """Up to the heaviest input that still counts as narrow, at the edges of all registers.

    What wide registers would hold is told by plain Python, whose integers have no end.
    """
    rng = np.random.default_rng(5)
    numbers, arithmetic = WIDE_RULES[rules]
    chip = large_chip(numbers=numbers, arithmetic=arithmetic)
    program = large_program(rng, chip, heavy=20_000)
    if arithmetic.get("membrane_decay") == "shift":
        program = replace(program, keep_membrane=rng.integers(0, 40, program.n_neurons))
    edge = 2 ** (chip.numbers.membrane_bits - 1) - 1
    program = replace(
        program, initial_membrane=rng.choice([-edge, edge, 0], program.n_neurons),
        threshold=rng.integers(edge // 8, edge, program.n_neurons),
    )  # fmt: skip
    loaded = load(program, chip)
    payload = int(loaded.load_max // loaded.load)
    assert payload >= 1
    stimulus = large_stimulus(rng, TICKS)
    stimulus = replace(stimulus, spike_payload=np.full_like(stimulus.spike_payload, payload))
    narrow = Engine(program, chip, n_threads=1)
    expected = outcome(narrow, [stimulus])
    assert widths(narrow) == (32, 32)
    assert expected["spike_neuron"]
    largest = max(np.abs(expected["membrane"]).max(), np.abs(expected["current"]).max())
    assert largest > 2**22
    sums_fit = int(2**31 // loaded.load) - 1
    if rules == "widest":
        assert sums_fit > payload
        assert_wide(program, chip, stimulus, sums_fit, (64, 32), expected)
    uncompiled(monkeypatch)
    assert_wide(program, chip, stimulus, 2**31 - 1, (64, 64), expected)


def assert_wide(program, chip, stimulus, payload, wanted, expected):
    """Ballast that no narrow register would hold changes nothing."""
    ballast, heavier = with_ballast(program, stimulus, payload)
    wide = Engine(ballast, chip, n_threads=1)
    found = outcome(wide, [heavier])
    assert widths(wide) == wanted
    assert_equal(found, expected, wanted)


def test_samples_of_different_widths_take_turns():
    """A heavy sample between light ones runs in wide registers and leaves nothing behind."""
    program, chip, stimuli = case("sums")
    ballast, heavy = with_ballast(program, stimuli[1], 2**31 - 1)
    expected = outcome(Engine(program, chip, n_threads=1), stimuli[:3])
    for n_threads in (1, 2):
        engine = Engine(ballast, chip, n_threads=n_threads)
        found = outcome(engine, [stimuli[0], heavy, stimuli[2]])
        assert_equal(found, expected, n_threads)


@pytest.mark.parametrize(("rules", "gap"), [("sums", 0), ("sums", 1), ("bursts", 0)])
def test_runs_that_are_merged_over_cores_do_what_single_rows_do(rules, gap):
    program, chip, stimuli = case(rules, seed=2)
    single = scattered_memory(program, np.random.default_rng(3), gap=gap)
    merged, apart = (load(p, chip).synapses(0, p.n_cores).runs for p in (program, single))
    assert len(apart) == program.row_size.size
    assert len(merged) < 0.8 * len(apart)
    shared = load(single, chip).targets
    assert (shared is None) == (gap > 0)
    expected = outcome(Engine(program, chip, n_threads=1), stimuli[:2])
    for n_threads in (1, 2):
        found = outcome(Engine(single, chip, n_threads=n_threads), stimuli[:2])
        assert_equal(found, expected, n_threads)


def test_threads_are_threads():
    program, chip, _ = case("sums")
    engine = Engine(program, chip, n_threads=3)
    assert len(engine._lane()._cores) == (3 if COMPILES else 1)
