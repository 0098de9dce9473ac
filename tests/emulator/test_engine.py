from dataclasses import replace

import h5py
import numpy as np
import pytest
from naive import simulate_integers
from networks import random_network

from emulator.chip_bounds import cost_rows
from emulator.chip_costs import Timing
from emulator.chip_file import load_chip
from emulator.energy import energy_j
from emulator.engine import Engine
from emulator.errors import ProgramError
from emulator.neuron import KINDS
from emulator.program_file import load_program, notes_of, save_program
from emulator.routers import router_of
from emulator.stimulus import Stimulus
from mapping.assemble import assemble
from mapping.deploy import map_network
from mapping.drive import Drive
from mapping.mapping import Mapping, Slice
from mapping.quantise import quantise
from spikefab.deployment import Deployment
from spikefab.host import stimulus

# Machines of many rules: compiled ones are compared with plain Python elsewhere.
pytestmark = pytest.mark.plain_python

TICKS = 40


def scattered(fixed, chip, rng, n_cores):
    """Neurons cut into random slices on random cores: legal, and as bad as can be."""
    cores = [[] for _ in range(n_cores)]
    for population in fixed.populations:
        order = rng.permutation(population.size)
        for part in np.array_split(order, min(3, population.size)):
            cores[rng.integers(n_cores)].append(Slice(population=population.name, neurons=part))
    held = tuple(tuple(core) for core in cores if core)
    place = tuple(int(c) for c in rng.choice(chip.n_cores, len(held), replace=False))
    mapping = Mapping(fixed=fixed, cores=held, place=place)
    latency = chip.arithmetic.input_latency
    return mapping, assemble(mapping, chip_name=chip.name, input_latency=latency)


def run(program, chip, events, **how):
    """Spikes of each population as a raster, and the engine."""
    rasters = {p.name: np.zeros((TICKS, p.size), bool) for p in program.populations}
    engine = Engine(program, chip, **how)

    def observe(block):
        for p in program.populations:
            number = program.neurons_of(p.name)
            back = np.full(program.n_neurons, -1)
            back[number] = np.arange(p.size)
            mine = back[block.spike_neuron] >= 0
            rasters[p.name][block.spike_tick[mine], back[block.spike_neuron[mine]]] = True

    engine.run([events], TICKS, observe)
    return rasters, engine


@pytest.fixture
def case(rng):
    def make(reset="zero", compare=">", **arithmetic):
        chip = load_chip("loihi")
        chip = chip.model_copy(
            update={
                "arithmetic": chip.arithmetic.model_copy(update={"compare": compare, **arithmetic})
            }
        )
        network = random_network(rng, reset=reset, compare=compare)
        fixed = quantise(network, chip)
        counts = rng.integers(0, 3, (TICKS, 60)) * (rng.random((TICKS, 60)) < 0.2)
        mapping, program = map_network(fixed, chip)
        deployment = Deployment(
            network=network, chip=chip, fixed=fixed, mapping=mapping, program=program, used=None
        )
        events = stimulus(Drive(n_ticks=TICKS, spikes={"in": counts}), deployment, TICKS)
        return chip, fixed, program, events, counts

    return make


@pytest.mark.parametrize("reset", ["zero", "subtract", "subtract-once"])
@pytest.mark.parametrize("compare", [">", ">="])
@pytest.mark.parametrize("latency", [0, 1])
def test_engine_equals_a_dense_network_without_cores(case, reset, compare, latency):
    chip, fixed, program, events, counts = case(reset, compare, input_latency=latency)
    expected = simulate_integers(fixed, chip, {"in": counts}, TICKS)
    got, _ = run(program, chip, events)
    assert sum(int(r.sum()) for r in expected.values()) > 50
    for name, raster in expected.items():
        np.testing.assert_array_equal(got[name], raster, err_msg=name)


@pytest.mark.parametrize("rule", ["wrap", "saturate"])
def test_overflow_equals_the_dense_network_and_is_counted(case, rule):
    chip, fixed, program, events, counts = case()
    narrow = chip.numbers.model_copy(update={"current_bits": 15, "membrane_bits": 15})
    chip = chip.model_copy(
        update={
            "numbers": narrow,
            "arithmetic": chip.arithmetic.model_copy(
                update={"current_overflow": rule, "membrane_overflow": rule}
            ),
        }
    )
    fixed = replace(
        fixed,
        populations=tuple(
            replace(
                p, initial_current=0 * p.initial_current, initial_membrane=0 * p.initial_membrane
            )
            for p in fixed.populations
        ),
    )
    _, program = scattered(fixed, chip, np.random.default_rng(1), 4)
    expected = simulate_integers(fixed, chip, {"in": counts}, TICKS)
    got, engine = run(program, chip, events)
    for name, raster in expected.items():
        np.testing.assert_array_equal(got[name], raster, err_msg=name)
    assert engine.counters["current_overflows"].sum() > 0
    assert engine.counters["membrane_overflows"].sum() > 0


@pytest.mark.parametrize("payload", [2**20, 2**29])
def test_sums_beyond_32_bits_are_exact(case, payload):
    chip, fixed, program, _, counts = case()
    counts = counts * payload
    tick, channel = np.nonzero(counts)
    events = Stimulus(spike_tick=tick, spike_channel=channel, spike_payload=counts[tick, channel])
    expected = simulate_integers(fixed, chip, {"in": counts}, TICKS)
    got, _ = run(program, chip, events)
    for name, raster in expected.items():
        np.testing.assert_array_equal(got[name], raster, err_msg=name)


@pytest.mark.parametrize("n_cores", [1, 2, 5, 9])
def test_no_placement_changes_a_spike(case, rng, n_cores):
    chip, fixed, program, events, _ = case()
    expected, _ = run(program, chip, events)
    _, other = scattered(fixed, chip, rng, n_cores)
    got, _ = run(other, chip, events)
    for name, raster in expected.items():
        np.testing.assert_array_equal(got[name], raster, err_msg=name)


def test_block_size_steps_and_company_change_nothing(case):
    chip, _, program, events, _ = case()
    expected, reference = run(program, chip, events)
    for block_ticks in (1, 7):
        got, engine = run(program, chip, events, block_ticks=block_ticks)
        assert engine.env.now == reference.env.now
        for name, raster in expected.items():
            np.testing.assert_array_equal(got[name], raster)
        for name, counts in reference.counters.items():
            np.testing.assert_array_equal(engine.counters[name], counts)
    stepped = Engine(program, chip)
    neurons = [block.spike_neuron for block in stepped.steps(events, TICKS)]
    assert sum(map(len, neurons)) == sum(int(r.sum()) for r in expected.values())
    assert stepped.env.now == reference.env.now

    def clock(env, ticks):
        while True:
            yield env.timeout(1_000_000)
            ticks.append(env.now)

    accompanied, ticks = Engine(program, chip), []
    accompanied.env.process(clock(accompanied.env, ticks))
    accompanied.run([events], TICKS, lambda block: None)
    assert accompanied.env.now == reference.env.now
    assert len(ticks) == reference.env.now // 1_000_000


def test_counters_conserve(case, rng):
    chip, fixed, program, events, counts = case()
    _, program = scattered(fixed, chip, rng, 5)
    rasters, engine = run(program, chip, events)
    total = {name: int(values.sum()) for name, values in engine.counters.items()}
    fired = np.zeros(program.n_neurons + program.n_channels, np.int64)
    for p in program.populations:
        fired[program.neurons_of(p.name)] = rasters[p.name].sum(axis=0)
    fired[program.n_neurons :] = counts.sum(axis=0)
    rows = np.repeat(np.arange(fired.size), np.diff(program.source_row))
    assert total["spikes"] == fired[: program.n_neurons].sum()
    assert total["synaptic_events"] == (fired[rows] * program.row_size).sum()
    sent = total["packets"] + total["local_packets"] + total["input_packets"]
    assert sent == fired[rows[program.row_packet]].sum()
    assert total["active"] + total["inactive"] == program.n_neurons * TICKS


def test_samples_are_independent(case):
    chip, _, program, events, _ = case()
    seen = []
    Engine(program, chip).run(
        [events, Stimulus(), events], TICKS, lambda b: seen.append((b.sample, b.spike_neuron))
    )
    rows = [np.concatenate([n for s, n in seen if s == sample]) for sample in range(3)]
    np.testing.assert_array_equal(rows[0], rows[2])


def test_time_of_one_packet_by_hand(case):
    """One neuron fires once on core 0 and reaches one neuron two tiles to the east."""
    from mapping.linear import Dense
    from mapping.network import Input, Network, Population, Projection

    chip = load_chip("loihi")
    one = Dense(weight=np.array([[2.0]]), pre_shape=(1,), post_shape=(1,))
    network = Network(
        dt_s=1e-3,
        inputs=(Input(name="in", shape=(1,)),),
        populations=tuple(Population(name=n, shape=(1,), threshold=1.0) for n in "ab"),
        projections=(
            Projection(source="in", target="a", linear=one),
            Projection(source="a", target="b", linear=one),
        ),
        outputs=("b",),
    )
    fixed = quantise(network, chip)
    cores = tuple((Slice(population=n, neurons=np.array([0])),) for n in "ab")
    mapping = Mapping(fixed=fixed, cores=cores, place=(0, 8))
    program = assemble(mapping, chip_name="loihi", input_latency=1)
    event = Stimulus(spike_tick=[0], spike_channel=[0], spike_payload=[1])
    durations = []
    engine = Engine(program, chip, block_ticks=1)
    engine.run([event], 4, lambda b: durations.append(int(b.tick_ps[0])))
    barrier = chip.timing.barrier_ps(2)
    idle, active, event_ps = 5300, 8400, 3500
    assert durations == [
        max(idle, event_ps) + barrier,  # input reaches a, which works on it beside its neuron
        active + 2 * 4100 + 2100 + event_ps + barrier,  # a fires, two hops east to b
        active + barrier,  # b fires
        active + barrier,  # the current register of b still holds the input of the last tick
    ]
    counters = engine.counters
    assert counters["hops_ew"].sum() == 2
    assert counters["packets"].tolist() == [1, 0]
    joules = energy_j(counters, int(engine.env.now), chip)
    assert joules.neurons == pytest.approx((4 * 81 + 4 * 52) * 1e-12)
    assert joules.synapses == pytest.approx(2 * 23.6e-12)
    assert joules.network == pytest.approx((2 * 1.7 + 2 * 3.0) * 1e-12)


def test_an_engine_runs_once(case):
    chip, _, program, events, _ = case()
    engine = Engine(program, chip)
    engine.run([events], 1, lambda block: None)
    with pytest.raises(RuntimeError, match="runs once"):
        engine.run([events], 1, lambda block: None)


def test_an_observer_that_fails_ends_the_run(case):
    chip, _, program, events, _ = case()

    def observe(block):
        raise OSError("no space")

    with pytest.raises(OSError, match="no space"):
        Engine(program, chip).run([events], 5, observe)


def test_program_round_trip(case, tmp_path):
    _, _, program, _, _ = case()
    save_program(program, tmp_path / "program.h5", {"seed": 3})
    again = load_program(tmp_path / "program.h5")
    assert again.sha256 == program.sha256
    assert notes_of(tmp_path / "program.h5") == {"seed": "3"}
    assert [path.name for path in tmp_path.iterdir()] == ["program.h5"]


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("row_core", 99, "outside the cores"),
        ("row_weight", 10**6, "beyond the end of the synapse memory"),
        ("row_target", 10**6, "neurons of another core|beyond the end of the list"),
        ("keep_membrane", 5000, "keep_membrane are outside 0..4096"),
        ("row_delay", 63, "row_delay are outside 0..62"),
        ("core", 128, "outside the 128 cores"),
        ("population", 4, "population 4, but there are 4"),
        ("index", 99999, "99999 are loaded, but it has"),
        ("index", 1, "'conv' are loaded more than once"),
    ],
)
def test_a_broken_program_is_refused(case, column, value, message):
    chip, _, program, _, _ = case()
    array = getattr(program, column).copy()
    array[0] = value
    with pytest.raises(ProgramError, match=message):
        replace(program, **{column: array}).check(chip)


def test_a_damaged_program_file_is_refused(tmp_path):
    path = tmp_path / "program.h5"
    with pytest.raises(FileNotFoundError, match="there is no such file"):
        load_program(path)
    path.write_bytes(b"no archive")
    with pytest.raises(ProgramError, match="not a program"):
        load_program(path)
    assert notes_of(path) == {}


def test_a_program_file_that_was_changed_is_refused(case, tmp_path):
    _, _, program, _, _ = case()
    path = tmp_path / "program.h5"
    save_program(program, path)
    with h5py.File(path, "a") as file:
        file["program/arrays/weight"][0] += 1
    with pytest.raises(ProgramError, match="differs from its hash; it was changed or damaged"):
        load_program(path)
    with h5py.File(path, "a") as file:
        file.attrs["format"] = "spikefab-program-3"
    with pytest.raises(ProgramError, match="no program saved by spikefab"):
        load_program(path)


@pytest.mark.parametrize(
    ("name", "value"),
    [("spike_payload", -(2**31)), ("spike_payload", 2**31), ("current_value", -(2**63))],
)
def test_a_stimulus_beyond_all_registers_is_refused(name, value):
    columns = ("spike_tick", "spike_channel", "spike_payload")
    if name == "current_value":
        columns = ("current_tick", "current_neuron", "current_value")
    with pytest.raises(ValueError, match=f"{name} must lie within ±2,147,483,647"):
        Stimulus(**{column: [0] for column in columns} | {name: [value]})


def test_a_stimulus_for_channels_that_are_not_there_is_refused(case):
    chip, _, program, _, _ = case()
    event = Stimulus(spike_tick=[0], spike_channel=[60], spike_payload=[1])
    with pytest.raises(ValueError, match=r"channel 60..60, but the program has 60"):
        Engine(program, chip).run([event], 1, lambda block: None)


def test_counters_of_ticks_add_up_to_those_of_cores_whatever_the_blocks(case):
    chip, fixed, _, events, _ = case()
    _, program = scattered(fixed, chip, np.random.default_rng(2), 5)
    series = []
    for block_ticks in (1, 7, 256):
        engine = Engine(program, chip, block_ticks=block_ticks)
        blocks = []
        engine.run([events, events], TICKS, blocks.append)
        ticks = {
            name: np.concatenate([b.tick_counters[name] for b in blocks])
            for name in engine.counters
        }
        for name, counts in engine.counters.items():
            assert ticks[name].shape == (2 * TICKS,)
            assert ticks[name].sum() == counts.sum(), name
        series.append(ticks)
    for name, first in series[0].items():
        assert all(np.array_equal(first, other[name]) for other in series[1:]), name
    assert np.array_equal(series[0]["spikes"][:TICKS], series[0]["spikes"][TICKS:])
    assert len(set(series[0]["spikes"].tolist())) > 3


def test_each_kind_of_synapse_is_counted_and_what_comes_is_received(case):
    chip, fixed, _, events, _ = case()
    _, program = scattered(fixed, chip, np.random.default_rng(3), 4)
    spikes = []
    engine = Engine(program, chip)
    engine.run([events], TICKS, lambda b: spikes.append(np.repeat(b.spike_neuron, b.spike_payload)))
    times = np.bincount(np.concatenate(spikes), minlength=program.source_row.size - 1)
    times[program.n_neurons :] = np.bincount(
        events.spike_channel, weights=events.spike_payload, minlength=program.n_channels
    )
    source, total = program.row_source, engine.counters
    for code, kind in enumerate(KINDS):
        mine = program.row_kind == code
        expected = np.bincount(
            program.row_core[mine],
            weights=times[source[mine]] * program.row_size[mine],
            minlength=program.n_cores,
        )
        np.testing.assert_array_equal(total[f"{kind}_events"], expected)
        assert expected.sum() > 0, kind
    came = times[source] * program.row_packet
    np.testing.assert_array_equal(
        total["received"], np.bincount(program.row_core, weights=came, minlength=program.n_cores)
    )


def test_inputs_on_cores_send_packets_like_neurons(case):
    chip, fixed, _, events, _ = case()
    chip = load_chip("loihi-sanafe").model_copy(update={"arithmetic": chip.arithmetic})
    _, program = scattered(fixed, chip, np.random.default_rng(5), 4)
    outside, engine = run(program, chip, events)
    placed = replace(program, channel_core=np.arange(program.n_channels) % program.n_cores)
    inside, other = run(placed, chip, events)
    for name, raster in outside.items():
        np.testing.assert_array_equal(inside[name], raster)
    rows = np.flatnonzero(program.row_packet & (program.row_source >= program.n_neurons))
    sender = placed.source_core[program.row_source[rows]]
    x, y = router_of(program.core, chip)
    to = program.row_core[rows]
    times = np.bincount(
        events.spike_channel, weights=events.spike_payload, minlength=program.n_channels
    )[program.row_source[rows] - program.n_neurons]
    before, after = (
        {name: int(counts.sum()) for name, counts in e.counters.items()} for e in (engine, other)
    )
    assert (before["input_packets"], after["input_packets"]) == (times.sum(), 0)
    assert after["local_packets"] - before["local_packets"] == times[sender == to].sum()
    assert after["packets"] - before["packets"] == times[sender != to].sum() > 0
    assert after["hops_ew"] - before["hops_ew"] == (times * abs(x[sender] - x[to])).sum()
    assert after["hops_ns"] - before["hops_ns"] == (times * abs(y[sender] - y[to])).sum()
    joules = [energy_j(e.counters, 0, chip) for e in (engine, other)]
    hops_pj = 3.0 * (after["hops_ew"] - before["hops_ew"]) + 4.2 * (
        after["hops_ns"] - before["hops_ns"]
    )
    assert joules[1].network - joules[0].network == pytest.approx(
        1e-12 * (111 * times.sum() + hops_pj)
    )


def test_the_time_of_a_synaptic_event_is_that_of_its_kind(case):
    chip, fixed, _, events, _ = case()
    # All on one core, whose work is then the whole time of a tick.
    limits = chip.limits.model_copy(update={"threshold_profiles_per_core": None})
    chip = chip.model_copy(update={"limits": limits})
    _, program = map_network(fixed, chip)
    free = {row.key.split(".")[1]: {"value": 0} for row in cost_rows(chip)
            if row.key.startswith("timing.") and row.key != "timing.barrier"}  # fmt: skip
    free |= {
        "barrier": [[1, 0]],
        "synaptic_event_ps": {"dense": 1, "sparse": 1000, "convolution": 10**6},
    }
    timed = chip.model_copy(update={"timing": Timing.model_validate(free)})
    assert program.n_cores == 1
    engine = Engine(program, timed)
    engine.run([events], TICKS, lambda block: None)
    total = {name: int(counts.sum()) for name, counts in engine.counters.items()}
    assert engine.env.now == (
        total["dense_events"] + 1000 * total["sparse_events"] + 10**6 * total["convolution_events"]
    )


def test_kinds_of_rows_that_are_not_there_are_refused(case):
    chip, _, program, _, _ = case()
    with pytest.raises(ProgramError, match=r"values of row_kind are outside 0\.\.2"):
        replace(program, row_kind=program.row_kind + 2).check(chip)
    assert replace(program, row_kind=np.empty(0)).row_kind.tolist() == (~program.row_dense).tolist()


def test_floats_of_the_membrane_need_a_membrane_in_float(case):
    chip, _, program, _, _ = case()
    halves = replace(program, reset_to=np.full(program.n_neurons, 0.5))
    with pytest.raises(ProgramError, match="reset_to is float, but loihi has no float membrane"):
        halves.check(chip)
