"""Fast ways through the function of a machine change nothing: threads, widths, sleep, samples."""

from dataclasses import replace

import numpy as np
import pytest
from naive_machine import Machine
from random_machines import chip_with

from emulator.chip_file import load_chip
from emulator.engine import Engine
from emulator.loading import load
from emulator.program import Program, ProgramPopulation
from emulator.stimulus import Stimulus
from mapping.assemble import Rows, row_tables

TICKS = 40
N, CHANNELS = 300, 10
CORES = np.array([0, 70, 70, 200, 203, N])


def quiet_program(rng, *, dense=False, bias=False, restless=False, channel_core=None):
    """Five blocks of neurons on five cores, one of them empty; little happens in most of them."""
    rows = []
    for number in range(150):
        core = int(rng.choice([0, 2, 3, 4]))
        width = int(CORES[core + 1] - CORES[core])
        size = int(rng.integers(1, min(width, 20) + 1))
        as_run = dense or rng.random() < 0.3
        start = int(rng.integers(width - size + 1))
        target = [CORES[core] + start] if as_run else np.sort(rng.integers(0, width, size))
        source = rng.integers(N) if number % 3 else N + rng.integers(CHANNELS)
        rows.append(
            Rows(
                source=np.array([source]), size=np.array([size]),
                weight=rng.integers(-20, 40, size), target=np.asarray(target), core=core,
                dense=as_run, shift=int(rng.integers(0, 2)), delay=int(rng.integers(0, 4)),
                exponent=number,
            )
        )  # fmt: skip
    threshold = rng.integers(100, 900, N)
    if restless:
        threshold[rng.integers(0, N, 3)] = -5
    return Program(
        chip="loihi", dt_s=1e-3,
        populations=(ProgramPopulation(name="a", shape=(N,), spiking=True, output=True, lag=0,
                                       scale=1.0),),
        inputs=(("in", CHANNELS),), core=np.array([3, 9, 1, 30, 17]), core_start=CORES,
        population=np.zeros(N, int), index=np.arange(N), compartments=np.ones(N, int),
        keep_current=np.repeat([0, 1000, 2000], 100), keep_membrane=np.repeat([3840, 4096], 150),
        bias=(rng.random(N) < 0.02) * rng.integers(0, 300, N) * bias, threshold=threshold,
        initial_current=np.zeros(N, int), initial_membrane=(np.arange(N) == 77) * 50,
        sum_shift=np.zeros(N, int), reset=rng.choice([0, 1, 2, 3], N, p=[0.1, 0.5, 0.2, 0.2]),
        channel_core=np.empty(0, int) if channel_core is None else channel_core,
        **row_tables(rows, N + CHANNELS),
    )  # fmt: skip


def quiet_stimulus(rng, *, currents=False):
    """A few spikes, then silence, then a few more."""
    tick = np.sort(rng.choice([0, 1, 2, 3, 25, 26, 33], 30))
    events = {
        "spike_tick": tick, "spike_channel": rng.integers(0, CHANNELS, 30),
        "spike_payload": rng.integers(1, 3, 30),
    }  # fmt: skip
    if currents:
        events |= {
            "current_tick": [5, 9, 12, 30], "current_neuron": [250, 77, 250, 299],
            "current_value": [200, -9, 0, 70],
        }  # fmt: skip
    return Stimulus(**events)


def outcome(program, chip, stimuli, **how):
    """Everything that a run shows."""
    engine = Engine(program, chip, **how)
    seen = []

    def observe(block):
        spikes = (block.spike_tick, block.spike_neuron, block.spike_payload)
        for one in block.ticks():
            seen.append((one.sample, one.first_tick, int(one.tick_ps[0]), -1))
        seen.extend(
            (block.sample, *spike) for spike in zip(*(x.tolist() for x in spikes), strict=True)
        )

    engine.run(stimuli, TICKS, observe)
    counters = {name: values.tolist() for name, values in engine.counters.items()}
    state = {name: values.tolist() for name, values in engine.state.items()}
    return sorted(seen), engine.env.now, counters, state


@pytest.mark.plain_python
@pytest.mark.parametrize("seed", range(12))
def test_what_sleeps_misses_nothing(seed):
    rng = np.random.default_rng(seed)
    chip = load_chip("loihi")
    program = quiet_program(rng, bias=seed % 3 == 0, restless=seed % 4 == 1, dense=seed % 5 == 2)
    # A bare weight and its negative cancel to a sum of 0.
    stimulus = quiet_stimulus(rng, currents=False)
    twin, engine = Machine(program, chip), Engine(program, chip)
    inputs = list(zip(*(getattr(stimulus, f"spike_{x}").tolist() for x in
                        ("tick", "channel", "payload")), strict=True))  # fmt: skip
    n_spikes = n_active = 0
    for block in engine.steps(stimulus, TICKS):
        spikes = twin.tick(block.first_tick, inputs)
        got = dict(zip(block.spike_neuron.tolist(), block.spike_payload.tolist(), strict=True))
        assert got == spikes, block.first_tick
        assert engine.state["membrane"].tolist() == twin.v
        assert engine.state["current"].tolist() == twin.u
        n_spikes += len(spikes)
    n_active = engine.counters["active"].sum()
    assert n_active + engine.counters["inactive"].sum() == N * TICKS
    assert n_spikes > 20
    assert n_active < N * TICKS


@pytest.mark.plain_python
def test_active_neurons_are_counted_whether_their_block_sleeps_or_not():
    """The twin's state before a tick and what arrives in it say who is active."""
    rng = np.random.default_rng(3)
    program, chip = quiet_program(rng), load_chip("loihi")
    stimulus = quiet_stimulus(rng)
    inputs = list(zip(*(getattr(stimulus, f"spike_{x}").tolist() for x in
                        ("tick", "channel", "payload")), strict=True))  # fmt: skip
    twin, engine, expected = Machine(program, chip), Engine(program, chip), 0
    for block in engine.steps(stimulus, TICKS):
        arrives = twin.arriving(block.first_tick, inputs)[0]
        expected += sum(
            bool(twin.u[0][n] or twin.v[n] or arrives[n] or program.bias[n]) for n in range(N)
        )
        twin.tick(block.first_tick, inputs)
        assert engine.counters["active"].sum() == expected, block.first_tick


@pytest.mark.parametrize("currents", [False, True])
def test_threads_blocks_and_widths_change_nothing(currents):
    rng = np.random.default_rng(5)
    chip = load_chip("loihi")
    program = quiet_program(rng, bias=True, restless=True)
    stimuli = [quiet_stimulus(rng, currents=currents)]
    expected = outcome(program, chip, stimuli, n_threads=1)
    assert sum(expected[2]["spikes"]) > 50
    for how in ({"n_threads": 2}, {"n_threads": 9}, {"block_ticks": 1}, {"block_ticks": 7}):
        assert outcome(program, chip, stimuli, **how) == expected, how


def test_registers_of_32_and_64_bits_are_equal(monkeypatch):
    rng = np.random.default_rng(6)
    chip = chip_with("loihi", numbers={"current_bits": 12, "membrane_bits": 9, "input_bits": 12})
    program = replace(quiet_program(rng, bias=True), initial_membrane=np.zeros(N, int))
    stimuli = [quiet_stimulus(rng, currents=True)]
    narrow = outcome(program, chip, stimuli)
    loaded = load(program, chip)
    assert loaded.load * 3 <= loaded.load_max
    wide = replace(loaded, load_max=-1.0)
    monkeypatch.setattr("emulator.engine.load", lambda program, chip: wide)
    assert outcome(program, chip, stimuli) == narrow
    for variable in ("input", "current", "membrane"):
        assert sum(narrow[2][f"{variable}_overflows"]) > 0


def test_samples_side_by_side_equal_one_after_another():
    rng = np.random.default_rng(7)
    chip = load_chip("loihi")
    program = quiet_program(rng, bias=True)
    stimuli = [quiet_stimulus(rng, currents=k % 2 == 1) for k in range(9)]
    expected = outcome(program, chip, iter(stimuli), n_threads=1)
    assert outcome(program, chip, iter(stimuli), n_threads=3) == expected


def test_a_bad_sample_ends_a_run_when_it_is_its_turn():
    rng = np.random.default_rng(8)
    chip = load_chip("loihi")
    program = quiet_program(rng)
    bad = Stimulus(spike_tick=[0], spike_channel=[CHANNELS], spike_payload=[1])
    seen = []
    with pytest.raises(ValueError, match=r"channel 10..10, but the program has 10"):
        Engine(program, chip, n_threads=2).run(
            [quiet_stimulus(rng), quiet_stimulus(rng), bad, quiet_stimulus(rng)], TICKS,
            lambda block: seen.append(block.sample),
        )  # fmt: skip
    assert sorted(set(seen)) == [0, 1]


def test_company_that_comes_late_sees_single_ticks():
    rng = np.random.default_rng(9)
    chip = load_chip("loihi")
    program = quiet_program(rng)
    stimuli = [quiet_stimulus(rng) for _ in range(6)]
    engine = Engine(program, chip, n_threads=2)
    lengths = []

    def visitor():
        while True:
            yield engine.env.timeout(10**12)

    def observe(block):
        lengths.append(block.tick_ps.size)
        if len(lengths) == 1:
            engine.env.process(visitor())

    engine.run(stimuli, TICKS, observe)
    assert lengths == [TICKS] + [1] * (5 * TICKS)


def test_wrong_ways_to_run_are_refused():
    program, chip = quiet_program(np.random.default_rng(1)), load_chip("loihi")
    with pytest.raises(ValueError, match="n_threads must be at least 1, but is 0"):
        Engine(program, chip, n_threads=0)
    with pytest.raises(ValueError, match=r"fabric must be one of ideal.*, not 'perfect'"):
        Engine(program, chip, fabric="perfect")


def test_rows_that_follow_each_other_are_one_run():
    rng = np.random.default_rng(2)
    sizes, core = [70, 0, 130, 3, 97], [0, 2, 3, 4]
    weight = rng.integers(-9, 9, (2, N))
    begin = np.array([[0, 70, 200, 203]]) + N * np.arange(2)[:, None]
    program = replace(
        quiet_program(rng), source_row=np.append(0, np.where(np.arange(N + CHANNELS) < 1, 4, 8)),
        row_weight=begin.ravel(), row_target=np.tile([0, 70, 200, 203], 2),
        row_size=np.tile([sizes[c] for c in core], 2), row_core=np.tile(core, 2),
        weight=weight.ravel(), target=np.empty(0, int),
        **{f"row_{name}": np.full(8, value) for name, value in
           (("dense", True), ("packet", True), ("shift", 0), ("delay", 0), ("group", 0),
            ("payload", 0))},
    )  # fmt: skip
    chip = load_chip("loihi")
    program.check(chip)
    loaded = load(program, chip)
    assert loaded.synapses(0, 5).runs[:, :4].tolist() == [[0, 0, N, -1], [N, 0, N, -1]]
    # A thread of some cores has its part of each.
    assert loaded.synapses(2, 4).runs[:, :3].tolist() == [[70, 70, 133], [N + 70, 70, 133]]


def test_channels_on_cores_take_their_time_and_their_hops():
    """Two channels on core 0; channel 1 sends to a neuron two tiles to the east."""
    chip = load_chip("loihi")
    timing = chip.timing.model_dump()
    for name, ps in (("spike_ps", 70), ("axon_out_ps", 11)):
        timing[name]["value"] = ps
    chip = type(chip).model_validate(chip.model_dump() | {"timing": timing})
    rows = [Rows(source=np.array([2]), size=np.array([1]), weight=np.array([4]),
                 target=np.array([0]), core=1, dense=False)]  # fmt: skip
    none = np.zeros(1, int)
    program = Program(
        chip="loihi", dt_s=1e-3, inputs=(("in", 2),),
        populations=(ProgramPopulation(name="a", shape=(1,), spiking=True, output=True, lag=0,
                                       scale=1.0),),
        core=[0, 8], core_start=[0, 0, 1], population=none, index=none, compartments=none + 1,
        keep_current=none, keep_membrane=none, bias=none, threshold=none + 9999,
        initial_current=none, initial_membrane=none, sum_shift=none, reset=none + 1,
        channel_core=[0, 0], **row_tables(rows, 3),
    )  # fmt: skip
    stimulus = Stimulus(spike_tick=[1, 1], spike_channel=[1, 0], spike_payload=[3, 1])
    durations = []
    engine = Engine(program, chip, block_ticks=1)
    engine.run([stimulus], 2, lambda b: durations.append(int(b.tick_ps[0])))
    barrier, active, inactive = chip.timing.barrier_ps(2), 8400, 5300
    sent = active + 70 + active + 70 + 3 * 11  # channel 0 has no packet, channel 1 three
    assert durations == [
        max(2 * inactive, inactive) + barrier,
        sent + 2 * 4100 + 2100 + 3 * 3500 + barrier,
    ]
    counters = engine.counters
    assert counters["packets"].tolist() == [3, 0]
    assert counters["hops_ew"].tolist() == [6, 0]
    assert counters["input_packets"].sum() == counters["spikes"].sum() == 0
    assert counters["synaptic_events"].tolist() == [0, 3]
