"""The assembled machine against unbounded integers, with rules and programs at random."""

from dataclasses import replace

import numpy as np
import pytest
from naive_machine import Machine
from random_machines import chip_with, random_chip, random_program, random_stimulus

from emulator.engine import Engine
from emulator.errors import OverflowAlarm, ProgramError
from emulator.neuron import VARIABLES
from emulator.stimulus import Stimulus

pytestmark = pytest.mark.plain_python

TICKS = 25


def equal_to_the_twin(seed, **limits):
    rng = np.random.default_rng(seed)
    chip = random_chip(rng)
    program = random_program(rng, chip)
    return equal_runs(program, chip, random_stimulus(rng, TICKS), seed, **limits)


def equal_runs(program, chip, stimulus, seed, **limits):
    twin = Machine(program, chip, seed=seed)
    engine = Engine(program, chip, seed=seed, **limits)
    inputs = list(
        zip(stimulus.spike_tick, stimulus.spike_channel, stimulus.spike_payload, strict=True)
    )
    inputs = [tuple(int(x) for x in event) for event in inputs]
    n_spikes = 0
    for block in engine.steps(stimulus, TICKS):
        tick = block.first_tick
        spikes = twin.tick(tick, inputs)
        got = dict(zip(block.spike_neuron.tolist(), block.spike_payload.tolist(), strict=True))
        state = engine.state
        where = f"seed {seed}, tick {tick}, {chip.arithmetic}, {chip.numbers}"
        expected_u = [twin.shown] if chip.arithmetic.current_order == "add-use-decay" else twin.u
        assert state["current"].tolist() == expected_u, where
        assert state["membrane"].tolist() == twin.v, where
        assert got == spikes, where
        n_spikes += len(spikes)
    for variable, count in twin.counts.items():
        assert engine.counters[f"{variable}_overflows"].sum() == count, (seed, variable)
    return n_spikes


def test_random_rules_equal_unbounded_integers():
    assert sum(equal_to_the_twin(seed) for seed in range(150)) > 2000


@pytest.mark.compiled
@pytest.mark.slow_uncompiled
@pytest.mark.parametrize("seed", [3, 31])
def test_compiled_random_rules_equal_unbounded_integers(seed):
    equal_to_the_twin(seed)


def test_a_strict_run_ends_at_the_first_value_that_leaves_its_register():
    seen = set()
    for seed in range(40):
        rng = np.random.default_rng(seed)
        chip = random_chip(rng)
        program = random_program(rng, chip)
        stimulus = random_stimulus(rng, TICKS)
        lenient = Engine(program, chip, seed=seed)
        lenient.run([stimulus], TICKS, lambda block: None)
        spilled = {v: int(lenient.counters[f"{v}_overflows"].sum()) for v in VARIABLES}
        strict = Engine(program, chip, seed=seed, strict=True)
        if not any(spilled.values()):
            strict.run([stimulus], TICKS, lambda block: None)
            continue
        with pytest.raises(OverflowAlarm) as caught:
            strict.run([stimulus], TICKS, lambda block: None)
        alarm = caught.value
        assert spilled[alarm.variable] > 0
        assert alarm.bits == getattr(chip.numbers, f"{alarm.variable}_bits")
        assert abs(alarm.value) >= 2 ** (alarm.bits - 1) - 1 or "membrane" in alarm.variable
        assert alarm.population in ("a", "b")
        assert f"neuron {alarm.neuron}: {alarm.variable} {alarm.value:,} does not fit" in str(alarm)
        # Just before that tick nothing had left its register.
        before = Engine(program, chip, seed=seed)
        if alarm.tick:
            before.run([stimulus], alarm.tick, lambda block: None)
            assert not any(before.counters[f"{v}_overflows"].sum() for v in VARIABLES)
        seen.add(alarm.variable)
    assert seen >= {"input", "current", "membrane"}


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"refractory": np.ones(14, int)}, "has refractory, but .* arithmetic.refractory is none"),
        ({"row_axon": np.zeros(40, int)}, "has row_axon, but .* arithmetic.axons is counting"),
        ({"lower": np.zeros(14, int)}, "lower and lower_to must both be given"),
        ({"keep_current": np.full(14, 9999)}, "14 of 14 values of keep_current are outside 0..4096"),
        ({"row_group": np.full(40, 3)}, "values of row_group are outside 0..0"),
        ({"row_payload": np.full(40, 3)}, "values of row_payload are outside 0..2"),
        ({"alias": np.full(14, 14)}, "values of alias are outside -1..13"),
        ({"weight": np.full(200, 0.5)}, "weight is float, but .* has no float weights"),
        ({"reset": np.full(14, 4)}, "resets subtract-repeat, but .* has"),
        ({"keep_current": np.ones((2, 14), int), "initial_current": np.zeros((2, 14), int)},
         "several currents need a chip that adds spikes one by one"),
    ],
)  # fmt: skip
def test_a_program_that_the_chip_has_no_rule_for_is_refused(columns, message):
    chip = chip_with(arithmetic={"refractory": "none"})
    rich = chip_with(
        arithmetic={"refractory": "none", "resets": {"zero": 1, "subtract": 1, "stay": 1}},
    )
    program = random_program(np.random.default_rng(1), rich)
    program = replace(
        program, reset=np.full(14, 1), row_payload=0 * program.row_payload,
        row_group=0 * program.row_group, sum_shift=program.sum_shift[0], alias=np.empty(0, int),
        membrane_min=np.empty(0, int), membrane_max=np.empty(0, int), spikes_max=np.empty(0, int),
    )  # fmt: skip
    program.check(chip)
    with pytest.raises(ProgramError, match=message):
        replace(program, **columns).check(chip)


def test_lower_thresholds_beside_repeated_spikes_are_refused():
    chip = chip_with(
        arithmetic={"lower_threshold": "reset", "resets": {"subtract-repeat": 1}},
        numbers={"spikes_per_tick_max": 7},
    )
    program = small_program(chip, reset=4)
    program.check(chip)
    below = replace(program, lower=np.full(14, -9), lower_to=np.zeros(14, int))
    with pytest.raises(ProgramError, match="subtract-repeat beside lower thresholds"):
        below.check(chip)


def small_program(chip, *, reset, payload=0):
    """The random program's rows and registers, every special column left out."""
    rules = {"refractory": "none", "lower_threshold": "none", "axons": "counting"}
    program = random_program(
        np.random.default_rng(1),
        chip.model_copy(update={"arithmetic": chip.arithmetic.model_copy(update=rules)}),
    )
    none = np.empty(0, int)
    columns = ("reset_every", "reset_phase", "membrane_min", "membrane_max", "reset_to", "alias")
    return replace(
        program, reset=np.full(14, reset), row_payload=np.full_like(program.row_payload, payload),
        threshold=program.threshold % 200 + 1, **dict.fromkeys(columns, none),
    )  # fmt: skip


@pytest.mark.parametrize("payload", [1, 2])
def test_signed_input_equals_unbounded_integers(payload):
    chip = chip_with(arithmetic={"resets": {"subtract": 1}}, numbers={"spikes_per_tick_max": 7})
    program = small_program(chip, reset=2, payload=payload)
    stimulus = random_stimulus(np.random.default_rng(4), TICKS)
    signs = np.random.default_rng(5).choice([-1, 1], stimulus.spike_payload.size)
    signed = replace(stimulus, spike_payload=stimulus.spike_payload * signs)
    assert equal_runs(program, chip, signed, seed=0) > 0


def test_negative_counts_of_spikes_are_refused():
    chip = chip_with(arithmetic={"resets": {"subtract": 1}}, numbers={"spikes_per_tick_max": 7})
    program = small_program(chip, reset=2)
    negative = Stimulus(spike_tick=[0], spike_channel=[2], spike_payload=[-3])
    with pytest.raises(ValueError, match=r"channel 2 has payloads down to -3, but its synapses"):
        Engine(program, chip).run([negative], 1, lambda block: None)


def test_bursts_of_neurons_leave_no_register_of_sums():
    chip = chip_with(
        arithmetic={"resets": {"subtract-repeat": 1}},
        numbers={"spikes_per_tick_max": 255, "weight_bits": 32, "current_bits": 48,
                 "membrane_bits": 48, "input_shift": 0, "decay_bits": 8},
    )  # fmt: skip
    program = small_program(chip, reset=4)
    program = replace(
        program, spikes_max=np.full(14, 255), threshold=np.full(14, 1000), bias=np.full(14, 90_000),
        weight=program.weight.astype(np.int32) * 40_000, keep_membrane=np.zeros(14, int),
        keep_current=0 * program.keep_current,
    )  # fmt: skip
    assert equal_runs(program, chip, Stimulus(), seed=0) > 0
