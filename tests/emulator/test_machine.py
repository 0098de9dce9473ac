"""The assembled machine against unbounded integers, with rules and programs at random."""

from dataclasses import replace

import numpy as np
import pytest
from naive_machine import Machine
from random_machines import chip_with, random_chip, random_program, random_stimulus

from emulator.engine import Engine
from emulator.errors import OverflowAlarm, ProgramError
from emulator.neuron import VARIABLES

pytestmark = pytest.mark.plain_python

TICKS = 25


def equal_to_the_twin(seed, **limits):
    rng = np.random.default_rng(seed)
    chip = random_chip(rng)
    program = random_program(rng, chip)
    stimulus = random_stimulus(rng, TICKS)
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
