"""The assembled machine against unbounded integers, with rules and programs at random."""

import numpy as np
import pytest
from naive_machine import Machine
from tests_rules import chip_with, random_chip, random_program, random_stimulus

from emulator import engine as engines
from emulator.engine import Engine
from emulator.errors import OverflowAlarm
from emulator.machine import advance_of

TICKS = 25


def plain_python(monkeypatch):
    """Let engines run the kernels as plain Python, so that new rules cost no compilation."""

    def uncompiled(program, chip, *, strict):
        return advance_of(program, chip, strict=strict, compiled=False)

    monkeypatch.setattr(engines, "advance_of", uncompiled)


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


def test_random_rules_equal_unbounded_integers(monkeypatch):
    plain_python(monkeypatch)
    assert sum(equal_to_the_twin(seed) for seed in range(150)) > 2000


@pytest.mark.slow_uncompiled
@pytest.mark.parametrize("seed", [3, 7, 12, 31])
def test_compiled_random_rules_equal_unbounded_integers(seed):
    equal_to_the_twin(seed)
