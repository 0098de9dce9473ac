from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from naive import simulate_float
from networks import random_network

from mapping.drive import Drive
from mapping.event_files import binned, read_bs2
from mapping.linear import Dense, diagonal
from mapping.network import Input, Network, Population, Projection
from mapping.nir_import import import_nir
from mapping.reference import lag, prepare, simulate

RESETS = ["zero", "subtract", "subtract-once"]


def raster(run, population):
    """Spikes of a run as a matrix of 0 and 1."""
    full = np.zeros((run.n_ticks, population.size))
    full[run.spikes[population.name]] = 1
    return full


def assert_equal_runs(one, other):
    assert one.spikes.keys() == other.spikes.keys()
    assert one.states.keys() == other.states.keys()
    for name, columns in one.spikes.items():
        np.testing.assert_array_equal(columns, other.spikes[name])
    for key, frames in one.states.items():
        np.testing.assert_array_equal(frames, other.states[key])


def one_neuron(**values):
    """One input channel on one perfect integrator, weight 1."""
    return Network(
        dt_s=1e-3,
        inputs=(Input(name="in", shape=(1,)),),
        populations=(Population(name="n", shape=(1,), threshold=1.0, **values),),
        projections=(Projection(source="in", target="n", linear=diagonal(1.0, (1,))),),
        outputs=("n",),
    )


def chain():
    """Three populations in a row, each spike strong enough to go on, and an idle short cut."""
    weight = Dense(weight=np.array([[2.0]]), pre_shape=(1,), post_shape=(1,))
    idle = Dense(weight=np.array([[0.0]]), pre_shape=(1,), post_shape=(1,))
    names = ["in", "a", "b", "c"]
    return Network(
        dt_s=1e-3,
        inputs=(Input(name="in", shape=(1,)),),
        populations=tuple(Population(name=n, shape=(1,), threshold=1.0) for n in names[1:]),
        projections=(
            Projection(source="in", target="c", linear=idle),
            *(Projection(source=a, target=b, linear=weight) for a, b in pairwise(names)),
        ),
        outputs=("c",),
    )


@pytest.mark.parametrize("timing", ["instant", "chip"])
@pytest.mark.parametrize("reset", RESETS)
@pytest.mark.parametrize(("compare", "latency"), [(">", 1), (">=", 0), (">", 2)])
def test_simulation_equals_the_equations(rng, timing, reset, compare, latency):
    network = random_network(rng, reset=reset, compare=compare)
    counts = rng.integers(0, 3, (30, 60)) * (rng.random((30, 60)) < 0.2)
    prepared = prepare(network, timing=timing, input_latency=latency)
    run = simulate(
        prepared,
        Drive(n_ticks=30, spikes={"in": counts}),
        n_ticks=40,
        record=[p.name for p in network.populations],
    )
    fired, i, v = simulate_float(
        network, 40, spikes={"in": counts}, timing=timing, input_latency=latency
    )
    for p in network.populations:
        np.testing.assert_allclose(run.states[p.name, "i"], i[p.name], atol=1e-9)
        np.testing.assert_allclose(run.states[p.name, "v"], v[p.name], atol=1e-9)
        if p.spiking:
            np.testing.assert_array_equal(raster(run, p), fired[p.name])
    assert fired["out"].sum() > 10


@pytest.mark.parametrize("timing", ["instant", "chip"])
def test_currents_equal_the_equations(rng, timing):
    network = random_network(rng, reset="subtract")
    late = replace(network.projections[0], delay_s=3e-3)
    network = replace(network, projections=(late, *network.projections[1:]))
    x = 0.5 * rng.random((20, 60))
    run = simulate(
        prepare(network, timing=timing, input_latency=2),
        Drive(n_ticks=20, currents={"in": x}),
        n_ticks=26,
        record=["conv"],
    )
    fired, i, _ = simulate_float(network, 26, currents={"in": x}, timing=timing, input_latency=2)
    np.testing.assert_allclose(run.states["conv", "i"], i["conv"], atol=1e-9)
    for p in network.populations:
        if p.spiking:
            np.testing.assert_array_equal(raster(run, p), fired[p.name])
    assert fired["out"].sum() > 5


@pytest.mark.parametrize("timing", ["instant", "chip"])
def test_currents_have_a_gain_of_their_own_where_spikes_do_not(timing):
    network = one_neuron(tau_mem_s=1e-3)
    quarter = replace(network.projections[0], current_gain=0.25)
    prepared = prepare(replace(network, projections=(quarter,)), timing=timing)
    for values in (np.array([3.0]), np.full((2, 1), 3.0)):
        run = simulate(prepared, Drive(n_ticks=2, currents={"in": values}), record=["n"])
        assert run.states["n", "v"].ravel().tolist() == [0.75, 0.75]
    run = simulate(prepared, Drive(n_ticks=2, spikes={"in": np.ones((2, 1), int)}), record=["n"])
    assert run.states["n", "i"].max() == 1.0


@pytest.mark.parametrize("timing", ["instant", "chip"])
def test_a_constant_current_equals_its_repetition(rng, timing):
    network, x = random_network(rng), rng.random(60)
    prepared = prepare(network, timing=timing)
    held = simulate(prepared, Drive(n_ticks=20, currents={"in": x}), n_ticks=25)
    timed = simulate(prepared, Drive(n_ticks=20, currents={"in": np.tile(x, (20, 1))}), n_ticks=25)
    assert_equal_runs(held, timed)


def test_input_ends_and_the_run_goes_on():
    run = simulate(
        prepare(one_neuron(tau_mem_s=1e-3), timing="instant"),
        Drive(n_ticks=2, currents={"in": np.array([0.5])}),
        n_ticks=4,
        record=["n"],
    )
    assert run.n_ticks == 4
    assert run.states["n", "v"][:, 0].tolist() == [0.5, 0.5, 0.0, 0.0]


@pytest.mark.parametrize(
    ("reset", "ticks", "membrane"),
    [
        # Input 2.5 at tick 0, 0 after; threshold 1, no leak. Worked by hand.
        ("zero", [0], [0.0, 0.0, 0.0, 0.0]),
        ("subtract", [0, 1], [1.5, 0.5, 0.5, 0.5]),
        # 1.5 is still above, so it needs 2 to fire at tick 1, and never gets there.
        ("subtract-once", [0], [1.5, 1.5, 1.5, 1.5]),
    ],
)
def test_reset_rules_by_hand(reset, ticks, membrane):
    run = simulate(
        prepare(one_neuron(reset=reset), timing="instant"),
        Drive(n_ticks=4, currents={"in": np.array([[2.5], [0], [0], [0]])}),
        record=["n"],
    )
    assert run.spikes["n"][0].tolist() == ticks
    assert run.states["n", "v"][:, 0].tolist() == membrane


def test_subtract_once_equals_snntorchs_equations(rng):
    # snnTorch's Leaky with reset_delay=False: reset = H(mem - thr); mem = beta mem + x - reset thr;
    # spk = H(mem - thr); mem -= (spk - reset) thr.
    x = rng.normal(0.6, 0.8, 300)
    beta, threshold = 1 - 1e-3 / 5e-3, 1.0
    mem, spikes = 0.0, []
    for t, value in enumerate(x):
        before = float(mem > threshold)
        mem = beta * mem + value - before * threshold
        spike = float(mem > threshold)
        mem -= (spike - before) * threshold
        if spike:
            spikes.append(t)
    drive = Drive(n_ticks=300, currents={"in": x[:, None]})
    runs = {
        reset: simulate(
            prepare(one_neuron(reset=reset, tau_mem_s=5e-3), timing="instant"), drive
        ).spikes["n"][0].tolist()
        for reset in RESETS
    }  # fmt: skip
    assert runs["subtract-once"] == spikes
    assert runs["subtract"] != spikes


@pytest.mark.parametrize(("compare", "expected"), [(">", []), (">=", [0, 1, 2])])
def test_a_membrane_at_threshold(compare, expected):
    run = simulate(
        prepare(one_neuron(compare=compare, tau_mem_s=1e-3), timing="instant"),
        Drive(n_ticks=3, spikes={"in": np.ones((3, 1), int)}),
    )
    assert run.spikes["n"][0].tolist() == expected


@pytest.mark.parametrize("direct", [False, True])
@pytest.mark.parametrize(("timing", "latency"), [("instant", 1), ("chip", 1), ("chip", 2)])
def test_lag_is_how_late_a_pulse_arrives(timing, latency, direct):
    network, pulse = chain(), np.array([[1]])
    drive = (
        Drive(n_ticks=1, currents={"in": pulse})
        if direct
        else Drive(n_ticks=1, spikes={"in": pulse})
    )
    run = simulate(prepare(network, timing=timing, input_latency=latency), drive, n_ticks=9)
    expected = lag(network, timing, ["in"] if direct else [], input_latency=latency)
    for name, (ticks, _) in run.spikes.items():
        assert ticks.tolist() == [expected[name]]


def test_lag_in_chip_timing_by_hand():
    assert lag(chain(), "chip") == {"in": 0, "a": 1, "b": 2, "c": 3}
    assert lag(chain(), "chip", ["in"]) == {"in": 0, "a": 0, "b": 1, "c": 2}
    assert lag(chain(), "instant") == {"in": 0, "a": 0, "b": 0, "c": 0}


def test_without_cycles_chip_timing_is_instant_timing_later(rng):
    network = chain()
    counts = rng.integers(0, 2, (50, 1))
    drive = Drive(n_ticks=50, spikes={"in": counts})
    instant = simulate(prepare(network, timing="instant"), drive)
    chip = simulate(prepare(network, timing="chip"), drive, n_ticks=53)
    for name, late in lag(network, "chip").items():
        if name != "in":
            np.testing.assert_array_equal(chip.spikes[name][0], instant.spikes[name][0] + late)


def test_a_sample_depends_on_nothing_but_its_input(rng):
    network = random_network(rng)
    prepared = prepare(network, timing="instant")
    drives = [
        Drive(n_ticks=30, spikes={"in": (rng.random((30, 60)) < p).astype(int)}) for p in (0.1, 0.4)
    ]
    alone = simulate(prepare(network, timing="instant"), drives[1])
    simulate(prepared, drives[0])
    assert_equal_runs(simulate(prepared, drives[1]), alone)
    assert_equal_runs(simulate(prepared, drives[1]), alone)


def test_spikes_are_sorted_and_only_what_was_asked_is_recorded(rng):
    network = random_network(rng)
    drive = Drive(n_ticks=30, spikes={"in": (rng.random((30, 60)) < 0.3).astype(int)})
    prepared = prepare(network, timing="instant")
    run = simulate(prepared, drive, record=["out"])
    assert set(run.states) == {("out", "i"), ("out", "v"), ("sum", "v")}
    assert set(run.spikes) == {"conv", "middle", "out"}
    for ticks, neurons in run.spikes.values():
        assert ticks.dtype == neurons.dtype == np.int64
        np.testing.assert_array_equal(np.lexsort((neurons, ticks)), np.arange(ticks.size))


def test_bad_runs_are_told(rng):
    network = random_network(rng)
    prepared = prepare(network, timing="instant")
    drive = Drive(n_ticks=5, currents={"in": np.zeros(60)})
    with pytest.raises(ValueError, match=r"run of 4 ticks ends before its input of 5"):
        simulate(prepared, drive, n_ticks=4)
    with pytest.raises(
        ValueError, match=r"no population \['hidden'\] to record; there are \['conv'"
    ):
        simulate(prepared, drive, record=["hidden"])
    with pytest.raises(ValueError, match="timing 'late' is none of instant, chip"):
        prepare(network, timing="late")
    with pytest.raises(ValueError, match="input_latency must not be negative, but is -1"):
        prepare(network, timing="chip", input_latency=-1)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"spikes": {"in": np.zeros((3, 4), int)}}, r"60 channels \(2, 6, 5\), but the data 4 "),
        ({"spikes": {"in": np.zeros((3, 2, 6, 5), int)}}, r"but the data 5 .*\(3, 2, 6, 5\)"),
        ({"spikes": {"in": np.zeros((2, 60), int)}}, "3 ticks of 60 channels are needed"),
        ({"spikes": {"in": np.zeros(60, int)}}, "3 ticks of 60 channels are needed"),
        ({"currents": {"in": np.zeros(7)}}, "60 channels .* but the data 7"),
        ({"currents": {"in": np.zeros((4, 60))}}, r"shape \(4, 60\), but 3 ticks"),
        ({"currents": {"out": np.zeros(4)}}, r"there is no input 'out'; there are \['in'\]"),
        ({}, "input 'in' is given 0 times"),
        (
            {"spikes": {"in": np.zeros((3, 60), int)}, "currents": {"in": np.zeros(60)}},
            "input 'in' is given 2 times",
        ),
    ],
)
def test_drives_that_do_not_suit_the_network_are_told(rng, values, message):
    with pytest.raises(ValueError, match=message):
        simulate(prepare(random_network(rng), timing="instant"), Drive(n_ticks=3, **values))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"n_ticks": 0}, "at least one tick, but n_ticks is 0"),
        ({"spikes": {"in": np.array([[1, -2]])}}, "negative numbers of spikes, the least is -2"),
        ({"spikes": {"in": np.ones((1, 2))}}, "whole, but are float64; .* currents"),
        ({"currents": {"in": np.array([0, 1, np.nan])}}, "1 of 3 values are NaN .* first at 2"),
        ({"currents": {"in": np.array([[0, np.inf]])}}, r"1 of 2 values .* first at \(0, 1\)"),
        ({"currents": {"in": np.array(["a"])}}, "currents must be numbers"),
    ],
)
def test_values_that_are_no_input_are_told(values, message):
    with pytest.raises(ValueError, match=message):
        Drive(**{"n_ticks": 1} | values)


def test_a_drive_cannot_be_written_through():
    counts = np.zeros((1, 2), int)
    drive = Drive(n_ticks=1, spikes={"in": counts})
    with pytest.raises(ValueError, match="read-only"):
        drive.spikes["in"][0] = 1
    counts[0] = 1  # The caller's own array stays writable.


def test_one_neuron_fires_when_norses_does(shared):
    folder = shared / "networks" / "nir_lif"
    network = import_nir(folder / "lif_norse.nir", dt_s=1e-4, reset="zero")
    table = np.loadtxt(folder / "lif_norse.csv", delimiter=",")
    drive = Drive(n_ticks=len(table), spikes={"input": table[:, :1].astype(int)})
    run = simulate(prepare(network, timing="instant"), drive, record=["1"])
    assert run.spikes["1"][0].tolist() == [460, 510, 710, 760]
    np.testing.assert_allclose(run.states["1", "v"][:, 0], table[:, 1], rtol=0, atol=1e-6)


def test_a_braille_reader_equals_snntorchs_raster(shared):
    folder = shared / "networks" / "nir_braille_zero"
    network = import_nir(folder / "braille_noDelay_bias_zero.nir", dt_s=1e-4, reset="zero")
    x = np.load(folder / "input_sample0.npy").astype(int)
    expected = np.load(folder / "snntorch_activity_noDelay_bias_zero.npy")
    run = simulate(prepare(network, timing="instant"), Drive(n_ticks=len(x), spikes={"input": x}))
    got = raster(run, network.population("lif1.lif"))
    assert got.size == 9728
    assert np.count_nonzero(got != expected) == 0
    assert np.bincount(run.spikes["lif2"][1]).argmax() == 1


@pytest.mark.slow_uncompiled
def test_a_convolutional_network_reads_n_mnist(shared):
    folder = shared / "networks" / "nir_scnn_nmnist"
    network = import_nir(folder / "cnn_sinabs.nir", dt_s=1e-3, reset="zero")
    prepared = prepare(network, timing="instant")
    lines = [line.split() for line in (folder / "labels.txt").read_text().splitlines()[1:7]]
    for name, label in lines:
        counts = binned(*read_bs2(folder / "samples" / f"{name}.bs2"), n_ticks=300)
        drive = Drive(n_ticks=300, spikes={"input": counts.reshape(300, -1)})
        run = simulate(prepared, drive)
        assert np.bincount(run.spikes["12"][1], minlength=10).argmax() == int(label)


def test_events_of_a_recording_by_hand(tmp_path):
    # x 3, y 33, polarity 1, time 0x123456; then x 0, y 0, polarity 0, time 999.
    (tmp_path / "x.bs2").write_bytes(bytes([3, 33, 0x80 | 0x12, 0x34, 0x56, 0, 0, 0, 3, 231]))
    t_us, x, y, polarity = read_bs2(tmp_path / "x.bs2")
    assert t_us.tolist() == [0x123456, 999]
    assert (x.tolist(), y.tolist(), polarity.tolist()) == ([3, 0], [33, 0], [1, 0])


def test_events_are_counted_in_their_tick():
    t, x, y, p = (np.array(v) for v in ([0, 999, 1000, 2000], [1, 1, 1, 0], [2] * 4, [0, 0, 1, 1]))
    counts = binned(t, x, y, p, n_ticks=2, shape=(2, 3, 2))
    assert counts.shape == (2, 2, 3, 2)
    assert counts[0, 0, 2, 1] == 2
    assert counts[1, 1, 2, 1] == 1
    assert counts.sum() == 3
    assert binned(t, x, y, p, n_ticks=1, tick_us=5000, shape=(2, 3, 2)).sum() == 4


def test_events_of_any_number_type_are_counted():
    t, x, y = (
        np.array([0.0, 999.5, 1000.0]),
        np.array([1.0, 1.0, 0.0]),
        np.array([2, 2, 0], np.uint8),
    )
    counts = binned(t, x, y, np.array([True, False, True]), n_ticks=2, shape=(2, 3, 2))
    assert np.argwhere(counts).tolist() == [[0, 0, 2, 1], [0, 1, 2, 1], [1, 1, 0, 0]]
    with pytest.raises(ValueError, match=r"x must be whole numbers, but 0\.5 is none"):
        binned(t, x / 2, y, y * 0, n_ticks=2, shape=(2, 3, 2))
    with pytest.raises(ValueError, match="1 times are NaN or infinite"):
        binned(np.array([0, np.nan]), x[:2], y[:2], y[:2] * 0, n_ticks=2, shape=(2, 3, 2))


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"12345678", "8 bytes, .* within event 1, so it is truncated"), (b"", "empty")],
)
def test_broken_recordings_are_told(tmp_path, content, message):
    (tmp_path / "x.bs2").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read_bs2(tmp_path / "x.bs2")


def test_a_missing_recording_is_told(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.bs2"):
        read_bs2(tmp_path / "none.bs2")


@pytest.mark.parametrize(
    ("event", "ticks", "message"),
    [
        ((0, 34, 0, 0), {"n_ticks": 1}, r"event 0 has x 34, outside 0\.\.33"),
        ((0, 0, 240, 0), {"n_ticks": 1}, r"event 0 has y 240, outside 0\.\.33"),
        ((0, 0, 0, 2), {"n_ticks": 1}, r"event 0 has polarity 2, outside 0\.\.1"),
        ((-5, 0, 0, 0), {"n_ticks": 1}, "an event lies at -5 µs, before the start"),
        ((0, 0, 0, 0), {"n_ticks": 0}, "0 ticks of 1000 µs each hold no events"),
        ((0, 0, 0, 0), {"n_ticks": 1, "tick_us": 0}, "1 ticks of 0 µs each hold no events"),
    ],
)
def test_events_that_cannot_be_counted_are_told(event, ticks, message):
    with pytest.raises(ValueError, match=message):
        binned(*(np.array([value]) for value in event), **ticks)
