"""A part of a machine with recorded spikes at its boundary does what it did in the whole."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from random_machines import N, chip_with, random_chip, random_program, random_stimulus

from emulator.engine import Engine
from emulator.errors import ExcerptError
from emulator.excerpt import Fired, excerpt
from emulator.neuron import RESETS
from emulator.stimulus import Stimulus

pytestmark = pytest.mark.plain_python
TICKS = 24


def run(program, chip, stimulus, **how):
    """Spikes (tick, neuron, payload) and membranes of every neuron at every tick."""
    everybody = np.arange(program.n_neurons)
    engine = Engine(program, chip, watched=everybody, n_threads=1, **how)
    blocks = []
    engine.run([stimulus], TICKS, blocks.append)
    spikes = [
        np.concatenate([getattr(block, f"spike_{name}") for block in blocks])
        for name in ("tick", "neuron", "payload")
    ]
    return Fired(*spikes), np.concatenate([block.frames for block in blocks])


def with_currents(stimulus, rng):
    tick = np.sort(rng.integers(0, TICKS, 6))
    return Stimulus(
        **{name: getattr(stimulus, name) for name in ("spike_tick", "spike_channel", "spike_payload")},
        current_tick=tick, current_neuron=rng.integers(0, N, 6),
        current_value=rng.integers(-30, 60, 6),
    )  # fmt: skip


def machine(seed):
    rng = np.random.default_rng(seed)
    chip = random_chip(rng)
    program = random_program(rng, chip)
    return chip, program, with_currents(random_stimulus(rng, TICKS), rng), rng


def assert_same_alone(program, chip, neurons, stimulus, fired, membranes, seed):
    part = excerpt(program, chip, neurons)
    part.program.check(part.chip)
    alone, frames = run(
        part.program, part.chip, part.stimulus(stimulus, fired, TICKS), seed=seed,
        identity=part.identity,
    )  # fmt: skip
    here = np.isin(fired.neuron, part.neurons)
    assert np.array_equal(alone.tick, fired.tick[here])
    assert np.array_equal(part.neurons[alone.neuron], fired.neuron[here])
    assert np.array_equal(alone.payload, fired.payload[here])
    assert np.array_equal(frames, membranes[:, part.neurons])
    return part


@pytest.mark.parametrize("seed", range(60))
def test_every_core_alone_equals_the_whole_run(seed):
    chip, program, stimulus, _ = machine(seed)
    fired, membranes = run(program, chip, stimulus, seed=seed)
    for core in range(program.n_cores):
        here = np.arange(*program.core_start[core : core + 2])
        assert_same_alone(program, chip, here, stimulus, fired, membranes, seed)


@pytest.mark.parametrize("seed", range(60))
def test_any_neurons_alone_equal_the_whole_run(seed):
    chip, program, stimulus, rng = machine(seed)
    fired, membranes = run(program, chip, stimulus, seed=seed)
    some = np.flatnonzero(rng.random(N) < 0.5)
    for neurons in (program.neurons_of("a"), program.neurons_of("b"), some, np.arange(N)):
        outside = ~np.isin(np.arange(N), neurons)
        if program.alias.size and np.any(np.isin(program.alias[outside], neurons)):
            with pytest.raises(ExcerptError, match=r"handed the spikes of '.' neuron .* take both"):
                excerpt(program, chip, neurons)
            continue
        assert_same_alone(program, chip, neurons, stimulus, fired, membranes, seed)


def test_the_random_machines_reach_every_kind_of_boundary():
    seen = Counter()
    for seed in range(60):
        chip, program, stimulus, _ = machine(seed)
        fired, _ = run(program, chip, stimulus, seed=seed)
        neurons = np.arange(*program.core_start[:2])
        if program.n_cores == 1 and not program.alias.size:
            neurons = program.neurons_of("a")
        part = excerpt(program, chip, neurons)
        seen[part.led.split(" ")[0]] += 1
        seen["latency", chip.arithmetic.input_latency] += 1
        crossing = np.isin(fired.neuron, part.sources) & ~np.isin(fired.neuron, neurons)
        seen["crossing"] += int(crossing.sum())
        seen["several"] += int((fired.payload[crossing] > 1).sum())
        seen["negative"] += int((fired.payload[crossing] < 0).sum())
    assert {"", "currents", "neurons"} <= seen.keys()
    assert all(seen["latency", k] for k in (0, 1))
    assert min(seen["crossing"], seen["several"], seen["negative"]) > 20, seen


def test_a_part_without_its_boundary_is_not_the_same():
    chip, program, stimulus, _ = machine(0)
    fired, membranes = run(program, chip, stimulus)
    part = excerpt(program, chip, np.arange(*program.core_start[:2]))
    assert np.isin(fired.neuron, part.sources).any()
    none = Fired(*(column[:0] for column in fired))
    _, frames = run(
        part.program, part.chip, part.stimulus(stimulus, none, TICKS), identity=part.identity
    )
    assert not np.array_equal(frames, membranes[:, part.neurons])


def test_a_part_needs_neurons():
    chip, program, *_ = machine(0)
    with pytest.raises(ExcerptError, match="holds no neurons"):
        excerpt(program, chip, np.empty(0, int))


def float_machine(unit):
    rng = np.random.default_rng(5)
    rules = {"resets": dict.fromkeys(RESETS[1:], 1)}
    floats = {"float_variables": ["weights", "current", "membrane"]}
    numbers = {"spikes_per_tick_max": 31}
    program = random_program(rng, chip_with("generic", numbers=numbers, arithmetic=rules))
    chip = chip_with("generic", numbers=numbers, arithmetic=rules | floats)
    return chip, replace(program, weight=program.weight * unit), random_stimulus(rng, TICKS)


def test_float_weights_whose_sums_are_exact_are_cut_out():
    chip, program, stimulus = float_machine(2.0**-7)
    fired, membranes = run(program, chip, stimulus)
    for core in range(program.n_cores):
        here = np.arange(*program.core_start[core : core + 2])
        assert_same_alone(program, chip, here, stimulus, fired, membranes, 0)


def test_float_weights_whose_sums_depend_on_their_order_are_refused():
    chip, program, _ = float_machine(0.1)
    with pytest.raises(ExcerptError, match="its weights are float, and the last bit of their sums"):
        excerpt(program, chip, np.arange(3))
