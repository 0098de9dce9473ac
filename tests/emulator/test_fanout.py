"""Counts from who fired, against the machine's own counters, on programs at random."""

from dataclasses import replace

import numpy as np
import pytest
from random_machines import random_chip, random_program, random_stimulus

from emulator.engine import Engine
from emulator.fanout import counts_by_tick, events_by_core, fanout_of

pytestmark = pytest.mark.plain_python

TICKS = 20


def spikes_of(program, chip, stimulus):
    """Run; blocks of one tick, and all spikes as tick, source and payload."""
    engine = Engine(program, chip)
    blocks = list(engine.steps(stimulus, TICKS))
    payload = stimulus.spike_payload
    if chip.numbers.input_payload_max:
        payload = np.minimum(payload, chip.numbers.input_payload_max)
    fired = [(b.spike_tick, b.spike_neuron, b.spike_payload) for b in blocks] + [
        (stimulus.spike_tick, program.n_neurons + stimulus.spike_channel, payload)
    ]
    return engine, blocks, [np.concatenate(column) for column in zip(*fired, strict=True)]


@pytest.mark.parametrize("on_cores", [False, True])
def test_counters_follow_from_who_fired(on_cores):
    n_events = n_hops = n_programs = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        chip = random_chip(rng)
        program = random_program(rng, chip)
        if program.row_axon.size:
            continue
        kinds = rng.integers(0, 3, program.row_size.size)
        cores = rng.integers(-1, program.n_cores, program.n_channels)
        program = replace(program, row_kind=kinds, core=rng.permutation(256)[: program.n_cores])
        if on_cores:
            program = replace(program, channel_core=cores)
        stimulus = random_stimulus(rng, TICKS)
        engine, blocks, (tick, source, payload) = spikes_of(program, chip, stimulus)
        found = counts_by_tick(fanout_of(program, chip), TICKS, tick, source, payload)
        for name, counts in found.items():
            expected = [int(block.tick_counters[name][0]) for block in blocks]
            assert counts.tolist() == expected, (seed, name)
        n_sources = program.source_row.size - 1
        times = np.bincount(source, minlength=n_sources)
        repeats = np.bincount(source, payload, n_sources).astype(int)
        for name, counts in events_by_core(program, times, repeats).items():
            assert counts.tolist() == engine.counters[name].tolist(), (seed, name)
        n_programs += 1
        n_events += engine.counters["synaptic_events"].sum()
        n_hops += engine.counters["hops_ew"].sum() + engine.counters["hops_ns"].sum()
    assert n_programs > 30
    assert n_events > 3000
    assert n_hops > 1000
