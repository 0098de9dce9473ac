"""Blocks of neurons that fall asleep and wake up, and what updates and packets take."""

from dataclasses import replace

import numpy as np
import pytest
from large_machines import CHANNELS, large_chip, large_program, large_stimulus
from naive_costs import durations, updates
from naive_machine import Machine
from random_machines import random_chip, random_program, random_stimulus

from emulator.chip import Chip
from emulator.engine import Engine
from emulator.fabric import barrier_ps
from emulator.stimulus import Stimulus
from emulator.sweep import BLOCK

pytestmark = pytest.mark.plain_python

TICKS = 50


def events_of(stimulus, kind, columns):
    named = (getattr(stimulus, f"{kind}_{name}").tolist() for name in ("tick", *columns))
    return list(zip(*named, strict=True))


def followed(program, chip, stimulus, n_ticks=TICKS, **how):
    """Run beside the twins; return the engine, spikes, and which blocks were awake, tick by tick."""
    twin = Machine(program, chip)
    engine, simple = Engine(program, chip, **how), Engine(program, chip, fabric="simple")
    inputs = events_of(stimulus, "spike", ("channel", "payload"))
    most = chip.numbers.input_payload_max
    cut = [(t, c, min(y, most or y)) for t, c, y in inputs]
    if np.any(program.channel_core >= 0):
        cut.sort(key=lambda event: event[:2])
    currents = events_of(stimulus, "current", ("neuron", "value"))
    barrier, n_spikes, awake = barrier_ps(program, chip), 0, []
    both = zip(engine.steps(stimulus, n_ticks), simple.steps(stimulus, n_ticks), strict=True)
    for block, simple_block in both:
        tick = block.first_tick
        spikes = twin.tick(tick, inputs, currents)
        got = dict(zip(block.spike_neuron.tolist(), block.spike_payload.tolist(), strict=True))
        assert got == spikes, tick
        assert engine.state["membrane"].tolist() == twin.v, tick
        assert int(block.tick_counters["active"][0]) == sum(twin.active), tick
        awake.append(np.sum([wake.busy for wake in engine._lane()._wakes], axis=0) > 0)
        n_spikes += len(spikes)
        if chip.timing is None:
            continue
        now = [(c, y) for t, c, y in cut if t == tick]
        spent, leaves = updates(program, chip, twin.active, spikes, now)
        activity = block.counted.activity
        assert activity.update_ps[0].tolist() == spent, tick
        left = [leaves[neuron][0] for neuron in block.spike_neuron.tolist()]
        assert activity.spike_ps.tolist() == left, tick
        ideal_ps, simple_ps = durations(program, chip, spent, leaves, spikes, now, barrier)
        assert (int(block.tick_ps[0]), int(simple_block.tick_ps[0])) == (ideal_ps, simple_ps), tick
    return engine, n_spikes, np.array(awake)


def quiet_case(seed=0, **columns):
    """Input for a few ticks; a current that comes when all is still, and goes."""
    rng = np.random.default_rng(seed)
    chip = large_chip(timed=True)
    program = replace(large_program(rng, chip, quiet=True), **columns)
    early = large_stimulus(rng, TICKS, until=4)
    return program, chip, replace(
        early, current_tick=np.array([30, 30, 33]), current_neuron=np.array([150, 300, 150]),
        current_value=np.array([900, -50, 0]),
    )  # fmt: skip


@pytest.mark.parametrize("n_threads", [1, 3])
def test_blocks_fall_asleep_and_wake_and_nothing_changes(n_threads):
    program, chip, stimulus = quiet_case()
    program = replace(program, threshold=program.threshold + 200)
    _, n_spikes, awake = followed(program, chip, stimulus, n_threads=n_threads)
    assert n_spikes > 10
    n_blocks = -(-program.n_neurons // BLOCK)
    assert awake[2, :n_blocks].sum() > n_blocks // 2
    assert not awake[29].any()
    assert awake[30, [150 // BLOCK, 300 // BLOCK]].all()
    slept = awake[:-1] & ~awake[1:]
    woke = ~awake[:-1] & awake[1:]
    assert slept.any()
    assert woke.any()
    assert awake[-1, 300 // BLOCK]  # its current stays
    assert not awake[-1, 150 // BLOCK]


def test_restless_neurons_keep_their_block_awake():
    program, chip, _ = quiet_case()
    threshold = program.threshold.copy()
    threshold[[5, 200]] = -1
    restless = replace(
        program, threshold=threshold, weight=0 * program.weight.astype(np.int64),
        reset=np.full(program.n_neurons, 1),
    )  # fmt: skip
    _, n_spikes, awake = followed(restless, chip, Stimulus(), n_ticks=12)
    assert n_spikes == 24
    assert np.flatnonzero(awake[-1]).tolist() == [5 // BLOCK, 200 // BLOCK]


def test_input_that_cancels_out_makes_nobody_active():
    program, chip, _ = quiet_case()
    first, last = program.source_row[program.n_neurons : program.n_neurons + 2]
    rows = [
        name for name in vars(program) if name.startswith("row_") and getattr(program, name).size
    ]
    columns = {
        name: np.concatenate([getattr(program, name)] + 2 * [getattr(program, name)[first:last]])
        for name in rows
    }
    columns["row_weight"][-(last - first) :] += program.weight.size
    ends = program.source_row[-1] + np.array([1, 2]) * (last - first)
    both = replace(
        program, inputs=(*program.inputs, ("opposed", 2)), **columns,
        source_row=np.append(program.source_row, ends),
        weight=np.append(program.weight, -program.weight.astype(np.int64)),
    )  # fmt: skip
    opposed = Stimulus(
        spike_tick=[5, 5], spike_channel=[CHANNELS, CHANNELS + 1], spike_payload=[1, 1]
    )
    engine, n_spikes, _ = followed(both, chip, opposed, n_ticks=12)
    assert n_spikes == 0
    assert engine.counters["active"].sum() == 0
    assert engine.counters["synaptic_events"].sum() > 0
    one = replace(opposed, spike_payload=[2, 1])
    engine, _, _ = followed(both, chip, one, n_ticks=12)
    assert engine.counters["active"].sum() > 0


def test_costs_of_random_rules_are_those_of_the_twin():
    n_spikes = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        chip = random_chip(rng)
        timed = large_chip(timed=True).model_dump()
        chip = Chip.model_validate(
            chip.model_dump() | {name: timed[name] for name in ("timing", "mesh")}
        )  # fmt: skip
        program = random_program(rng, chip)
        if program.row_axon.size or program.alias.size:
            continue  # what merges, and what hands over its spikes, is tested elsewhere
        channel_core = rng.integers(-1, program.n_cores, program.n_channels)
        program = replace(
            program, channel_core=channel_core,
            core=rng.permutation(chip.n_cores)[: program.n_cores],
        )  # fmt: skip
        n_spikes += followed(program, chip, random_stimulus(rng, 15), n_ticks=15)[1]
    assert n_spikes > 500


@pytest.mark.compiled
@pytest.mark.slow_uncompiled
def test_compiled_blocks_fall_asleep_and_wake_and_nothing_changes():
    program, chip, stimulus = quiet_case(seed=1)
    for n_threads in (1, 3):
        assert followed(program, chip, stimulus, n_threads=n_threads)[1] > 10
