"""Scales, formats and what is told of losses; the oracle of a run is the float network."""

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from side_by_side import dense, run_both

from emulator.chip import Chip
from emulator.chip_file import load_chip
from mapping.deploy import map_network
from mapping.drive import Drive
from mapping.errors import NetworkError
from mapping.linear import Convolution, matrix
from mapping.network import Input, Network, Population, Projection
from mapping.quantise import quantise
from mapping.reference import lag, prepare, simulate

pytestmark = pytest.mark.plain_python

LOIHI = load_chip("loihi")
XYLO = """
base = "xylo-v2"
name = "xylo"
[packing]
index_bits_sizes = [0, 10]
"""


def chip_with(part, **values):
    """Loihi with other numbers or other rules."""
    return LOIHI.model_copy(update={part: getattr(LOIHI, part).model_copy(update=values)})


def one_layer(weight, *, dt_s=1e-3, threshold=1.0, **values):
    """Inputs ``in`` on one population ``a``."""
    linear = dense(weight)
    return Network(
        dt_s=dt_s,
        inputs=(Input(name="in", shape=linear.pre_shape),),
        populations=(Population(name="a", shape=linear.post_shape, threshold=threshold, **values),),
        projections=(Projection(source="in", target="a", linear=linear),),
        outputs=("a",),
    )


def volleys(n, *, every=10, ticks=200):
    counts = np.zeros((ticks, n), int)
    counts[::every] = 1
    return Drive(n_ticks=ticks, spikes={"in": counts})


def error_of(fixed, tensor):
    return next(e for e in fixed.errors if e.tensor == tensor)


@pytest.mark.parametrize("tau", [0.02, 0.5, 1.0, 10.0, np.inf])
def test_a_long_time_constant_leaves_room_for_a_volley(tau):
    network = one_layer(np.full((1, 100), 0.03), dt_s=1e-4, tau_mem_s=tau)
    found, overflows, _ = run_both(network, volleys(100))
    assert found["a"][0].tolist() == found["a"][1].tolist() == [20]
    assert not any(overflows.values())


@pytest.mark.parametrize("tau_syn", [0.02, 0.1, 1.0])
def test_registers_hold_four_volleys_of_a_filtered_input(rng, tau_syn):
    weight = rng.normal(0.3, 1, (40, 50)) * 0.5e-3 / tau_syn / 7
    network = one_layer(weight, tau_mem_s=20e-3, tau_syn_s=tau_syn)
    fixed = quantise(network, LOIHI)
    part = fixed.populations[0]
    loaded = matrix(fixed.projections[0].linear) * 2.0 ** (part.sum_shift + 6)
    volley = max(np.maximum(loaded, 0).sum(1).max(), np.maximum(-loaded, 0).sum(1).max())
    assert volley < 2**21
    assert 4 * volley < 2**23


@pytest.mark.compiled
@pytest.mark.slow_uncompiled
@pytest.mark.parametrize(("weight", "tolerance"), [(1e-2, 0), (1e-4, 2), (3e-5, 1), (1e-5, 2)])
def test_weights_far_below_the_threshold_cut_no_threshold(rng, weight, tolerance):
    counts = (rng.random((2000, 1000)) < 0.5).astype(int)
    network = one_layer(np.full((1, 1000), weight))
    found, _, fixed = run_both(network, Drive(n_ticks=2000, spikes={"in": counts}))
    assert error_of(fixed, "a threshold").n_clipped == 0
    assert abs(int(found["a"][0][0]) - int(found["a"][1][0])) <= tolerance


def test_a_large_bias_is_not_cut_for_the_sake_of_small_weights():
    values = {"bias": 2.0, "tau_mem_s": 10e-3, "tau_syn_s": 20e-3, "reset": "subtract"}
    network = one_layer(np.full((1, 50), 0.01), **values)
    found, _, fixed = run_both(network, Drive(n_ticks=200, spikes={"in": np.zeros((200, 50), int)}))
    assert error_of(fixed, "a bias").n_clipped == 0
    assert found["a"][0].tolist() == found["a"][1].tolist() == [201]


def test_values_cut_to_a_format_are_counted_and_told():
    fixed = quantise(one_layer([[1e6, 1e6]], bias=1e6), LOIHI)
    assert error_of(fixed, "in→a weights").n_clipped == 2
    assert error_of(fixed, "a bias").n_clipped == 1
    assert "in→a weights: 2 of 2 values are cut to the chip's 8-bit format" in fixed.notes
    assert "a bias: 1 of 1 values are cut to the chip's 12-bit format" in fixed.notes
    assert fixed.populations[0].threshold.tolist() == [64 * 64]


def test_a_reset_far_from_zero_lowers_the_scale():
    network = one_layer([[1.0, 1.0]], v_reset=-300.0, threshold=-299.0)
    found, _, fixed = run_both(network, volleys(2, every=1, ticks=20))
    assert abs(fixed.populations[0].initial_membrane[0]) < 2**23
    assert found["a"][0].tolist() == found["a"][1].tolist()


@pytest.mark.parametrize("weight", [0.0, 1.0])
def test_readouts_count_from_zero_whatever_their_reset(weight):
    network = one_layer(
        np.full((3, 2), weight), threshold=None, tau_mem_s=20e-3, v_leak=0.5,
        v_reset=np.array([0.5, 0.0, -0.3]),
    )  # fmt: skip
    found, _, fixed = run_both(network, volleys(2, ticks=100))
    assert fixed.populations[0].offset.tolist() == [0, 0, 0]
    np.testing.assert_allclose(found["a"][3], found["a"][2], atol=0.02)


def test_a_large_readout_needs_no_full_matrix():
    conv = Convolution(
        kernel=np.ones((8, 8, 3, 3)), pre_shape=(8, 48, 48), stride=(1, 1),
        padding=((1, 1), (1, 1)), dilation=(1, 1),
    )  # fmt: skip
    network = Network(
        dt_s=1e-3,
        inputs=(Input(name="in", shape=conv.pre_shape),),
        populations=(Population(name="a", shape=conv.post_shape, threshold=None, tau_mem_s=20e-3),),
        projections=(Projection(source="in", target="a", linear=conv),),
        outputs=("a",),
    )
    tracemalloc.start()
    quantise(network, LOIHI)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 100e6  # a full matrix takes 2.7 GB


@pytest.mark.parametrize(("tau_mem", "tau_syn"), [(20e-3, 10e-3), (0.2, 20e-3), (1e-3, 0.1)])
def test_a_filtered_readout_stays_in_its_register(rng, tau_mem, tau_syn):
    network = one_layer(
        rng.normal(0.2, 1, (3, 100)), threshold=None, tau_mem_s=tau_mem, tau_syn_s=tau_syn
    )
    counts = (rng.random((500, 100)) < 0.2).astype(int)
    found, overflows, _ = run_both(network, Drive(n_ticks=500, spikes={"in": counts}))
    assert not any(overflows.values())
    _, _, v, on_chip = found["a"]
    assert np.abs(on_chip - v).mean() < 0.05 * np.abs(v).mean()


def test_thresholds_are_judged_one_by_one():
    threshold = np.logspace(-7, 0, 40)
    fixed = quantise(one_layer(threshold[:, None] * 0.3, threshold=threshold), LOIHI)
    error = error_of(fixed, "a threshold")
    loaded = fixed.populations[0].threshold / fixed.populations[0].scale
    wrong = np.abs(loaded - threshold) / np.maximum(loaded, threshold)
    assert error.worst == pytest.approx(wrong.max())
    assert error.n_wrong == np.count_nonzero(wrong > 0.05) > 5
    # Below half a step a threshold is lifted to the least one.
    assert error.n_clipped == np.count_nonzero(threshold * fixed.populations[0].scale < 32) > 0
    assert any("a threshold: " in n and "change by more than 5 %" in n for n in fixed.notes)


def test_the_smallest_threshold_gets_room():
    fixed = quantise(one_layer([[0.3], [3e-3]], threshold=np.array([1.0, 1e-2])), LOIHI)
    assert error_of(fixed, "a threshold").worst < 0.04


@pytest.mark.parametrize(
    ("ticks", "note"),
    [
        (100, None),
        (5000, "the worst from 5,000 ticks to 4,096 ticks"),
        (20000, "1 of 1 leaks vanished, the time constant of up to 20,000 ticks"),
    ],
)
def test_decays_are_judged_as_time_constants(ticks, note):
    fixed = quantise(one_layer([[0.1]], tau_mem_s=ticks * 1e-3), LOIHI)
    error = error_of(fixed, "a membrane decay")
    on_chip = 4096 / max(round(4096 / ticks), 1e-9)
    expected = 1 - min(ticks, on_chip) / max(ticks, on_chip)
    assert error.worst == pytest.approx(expected, abs=1e-6)
    assert [n for n in fixed.notes if "decay" in n and (note or "decay") in n] == [
        n for n in fixed.notes if "decay" in n
    ]
    assert bool(fixed.notes) == (note is not None)


def test_weights_that_became_zero_are_told():
    fixed = quantise(one_layer([[0.3, 0.2, -100.0]]), LOIHI)
    assert any("in→a weights: 2 of 3 became 0" in n for n in fixed.notes)


@pytest.mark.compiled
@pytest.mark.slow_uncompiled
@pytest.mark.parametrize("bias", [1e-3, 1e-4, 2e-5])
def test_a_weak_bias_finds_room(bias):
    network = Network(
        dt_s=1e-3, inputs=(), projections=(), outputs=("a",),
        populations=(Population(name="a", shape=(1,), threshold=1.0, bias=bias),),
    )  # fmt: skip
    found, _, fixed = run_both(network, Drive(n_ticks=60000))
    assert abs(int(found["a"][0][0]) - int(found["a"][1][0])) <= 0.05 * found["a"][0][0]
    assert fixed.notes == ()


def test_a_bias_that_vanishes_or_changes_is_told():
    network = one_layer([[5.0]], threshold=1.0, bias=np.array([2e-6]), tau_mem_s=np.inf)
    matters = replace(network, populations=(replace(network.populations[0], bias=6e-3),))
    fixed = quantise(matters, chip_with("numbers", threshold_bits=3, threshold_shift=0))
    assert any("a bias: 1 of 1 vanished" in n for n in fixed.notes)
    assert not any(
        " bias: " in n for n in quantise(network, LOIHI).notes
    )  # nothing beside a weight


@pytest.mark.parametrize("weight", [1e-310, 5e-324])
def test_weights_near_nothing_count_as_zero(weight):
    fixed = quantise(one_layer([[weight, weight]]), LOIHI)
    assert not np.any(matrix(fixed.projections[0].linear))
    assert any("2 of 2 became 0" in n for n in fixed.notes)


def test_a_threshold_near_nothing_is_refused():
    with pytest.raises(NetworkError, match=r"population 'a'.*1e-310.*larger units"):
        quantise(one_layer([[1.0]], threshold=1e-310), LOIHI)


@pytest.mark.parametrize("weight", [1e300, 1e308])
def test_enormous_weights_are_cut_without_a_warning(weight):
    fixed = quantise(one_layer([[weight, weight]], tau_syn_s=1e300, bias=0.1), LOIHI)
    assert error_of(fixed, "in→a weights").n_clipped == 2


def test_the_scale_follows_the_largest_current():
    network = one_layer([[1.0]], threshold=1.0)
    direct = frozenset(["in"])
    known = {largest: quantise(network, LOIHI, direct=direct, largest_currents={"a": largest})
             for largest in (1e-3, 1.0, 60.0, 1e6)}  # fmt: skip
    scales = {largest: fixed.populations[0].scale for largest, fixed in known.items()}
    assert scales[1e-3] == 128000  # 128 units of current
    assert scales[1.0] == 2**14
    assert 60 * scales[60.0] <= 4095 << 7
    assert scales[1e6] == 64 * 64


@pytest.mark.parametrize("timing", ["instant", "chip"])
@pytest.mark.parametrize(("delay", "late"), [(0, 1), (1, 1), (3, 3)])
def test_feedback_takes_the_delay_that_is_stated(timing, delay, late):
    network = Network(
        dt_s=1e-3,
        inputs=(Input(name="in", shape=(2,)),),
        populations=(Population(name="a", shape=(2,), threshold=1.0),),
        projections=(
            Projection(source="in", target="a", linear=dense([[2.0, 0], [0, 0]])),
            Projection(
                source="a", target="a", linear=dense([[0, 0], [2.0, 0]]), delay_s=delay * 1e-3
            ),
        ),
        outputs=("a",),
    )
    counts = np.zeros((10, 2), int)
    counts[0, 0] = 1
    drive = Drive(n_ticks=10, spikes={"in": counts})
    first = lag(network, timing)["a"]
    run = simulate(prepare(network, timing=timing), drive, n_ticks=12)
    assert run.spikes["a"][0].tolist() == [first, first + late]
    assert run.spikes["a"][1].tolist() == [0, 1]
    assert quantise(network, LOIHI).projections[1].delay == max(delay - 1, 0)


def test_ways_of_different_length_are_told():
    names = ("a", "b", "c")
    network = Network(
        dt_s=1e-3,
        inputs=(Input(name="in", shape=(1,)),),
        populations=tuple(Population(name=n, shape=(1,), threshold=1.0) for n in names),
        projections=tuple(
            Projection(source=a, target=b, linear=dense([[1.0]]))
            for a, b in [("in", "a"), ("a", "b"), ("b", "c"), ("a", "c"), ("c", "a")]
        ),
        outputs=("c",),
    )
    notes = quantise(network, LOIHI).notes
    assert any(
        n.startswith("c: ways of different length") and "from b 3, from a 2" in n for n in notes
    )
    assert any(n.startswith("c→a: feedback comes 2 ticks later") for n in notes)
    assert not any(n.startswith(("a:", "b:")) for n in notes)


@pytest.mark.parametrize("rule", ["nearest-even", "floor", "toward-zero", "away", "stochastic"])
def test_weights_and_decays_follow_the_rounding_of_the_chip(rng, rule):
    chip = chip_with("arithmetic", weight_rounding=rule, decay_rounding=rule)
    network = one_layer(rng.normal(0, 0.2, (20, 30)), tau_mem_s=rng.uniform(5e-3, 50e-3, 20))
    fixed = quantise(network, chip, seed=3)
    part, mantissa = fixed.populations[0], matrix(fixed.projections[0].linear)
    exact = matrix(network.projections[0].linear) * part.scale / 2.0 ** (part.sum_shift + 6)
    field, decay = 4096e-3 / network.populations[0].tau_mem_s, 4096 - part.keep_membrane
    for value, whole in ((exact, mantissa), (field, decay)):
        inside = np.abs(whole) != 127
        value, whole = value[inside], whole[inside]
        expected = {
            "nearest-even": np.round(value), "floor": np.floor(value),
            "toward-zero": np.fix(value), "away": np.fix(value) + np.sign(value),
        }  # fmt: skip
        if rule == "stochastic":
            assert np.all((whole == np.floor(value)) | (whole == np.floor(value) + 1))
            assert set(whole == np.floor(value)) == {True, False}
        else:
            np.testing.assert_array_equal(whole, expected[rule])
    again = quantise(network, chip, seed=3)
    np.testing.assert_array_equal(mantissa, matrix(again.projections[0].linear))


def test_the_full_range_reaches_one_further_down():
    chip = chip_with("arithmetic", weight_range="full")
    network = one_layer([[-1e6, 1e6]])
    assert matrix(quantise(network, chip).projections[0].linear).tolist() == [[-128, 127]]
    assert matrix(quantise(network, LOIHI).projections[0].linear).tolist() == [[-127, 127]]


def test_one_bit_holds_signs():
    weight = np.array([[0.2, -0.4, 0.0, 0.3]])
    fixed = quantise(one_layer(weight), chip_with("numbers", weight_bits=1))
    assert matrix(fixed.projections[0].linear).tolist() == [[1, -1, 0, 1]]
    part = fixed.populations[0]
    worth = 2.0 ** (part.sum_shift + 6) / part.scale
    assert 0.3 / 2**0.5 < worth < 0.3 * 2**0.5  # the nearest power of 2 to the mean


def test_a_machine_in_float_equals_the_float_network(rng):
    floats = ("weights", "decays", "thresholds", "current", "membrane")
    chip = chip_with("arithmetic", float_variables=floats)
    network = one_layer(
        rng.normal(0.05, 0.2, (30, 50)), threshold=rng.uniform(0.5, 2, 30),
        tau_mem_s=20e-3, tau_syn_s=5e-3, reset="subtract",
    )  # fmt: skip
    counts = (rng.random((200, 50)) < 0.1).astype(int)
    found, _, fixed = run_both(network, Drive(n_ticks=200, spikes={"in": counts}), chip)
    np.testing.assert_array_equal(found["a"][0], found["a"][1])
    assert found["a"][0].sum() > 100
    np.testing.assert_allclose(found["a"][3], found["a"][2], atol=1e-9)
    assert all(e.worst < 1e-12 for e in fixed.errors)


@pytest.mark.parametrize("variable", ["weights", "decays", "thresholds", "current", "membrane"])
def test_each_variable_alone_may_be_float(rng, variable):
    chip = chip_with("arithmetic", float_variables=(variable,))
    network = one_layer(rng.normal(0.05, 0.2, (30, 50)), tau_mem_s=20e-3, tau_syn_s=5e-3, bias=0.01)
    counts = (rng.random((200, 50)) < 0.1).astype(int)
    found, _, _ = run_both(network, Drive(n_ticks=200, spikes={"in": counts}), chip)
    assert np.abs(found["a"][0] - found["a"][1]).sum() < 0.02 * found["a"][0].sum()


@pytest.fixture
def xylo(tmp_path):
    path = tmp_path / "xylo.toml"
    path.write_text(XYLO)
    return load_chip(path)


def test_decays_by_shift_take_the_nearest(xylo):
    taus = np.array([2, 3, 5, 16, 100, 1e9, np.inf]) * 1e-3
    network = one_layer(np.ones((7, 1)), tau_mem_s=taus, tau_syn_s=8e-3, reset="subtract")
    fixed = quantise(network, xylo)
    assert fixed.populations[0].keep_membrane.tolist() == [1, 2, 2, 4, 7, 15, 15]
    assert fixed.populations[0].keep_current.tolist() == [3] * 7
    assert any(
        "a membrane decay: " in n and "from no leak to 3.277e+04 ticks" in n for n in fixed.notes
    )


@pytest.mark.parametrize("tau_syn", [4e-3, 5e-3, 8e-3])
def test_a_chip_that_subtracts_again_and_again_runs_a_network_that_subtracts(rng, xylo, tau_syn):
    weight = rng.normal(0.3, 1, (40, 16)) * 0.4e-3 / tau_syn
    network = one_layer(weight, tau_mem_s=16e-3, tau_syn_s=tau_syn, reset="subtract", compare=">=")
    counts = (rng.random((300, 16)) < 0.1).astype(int)
    found, _, fixed = run_both(network, Drive(n_ticks=300, spikes={"in": counts}), xylo)
    part = fixed.populations[0]
    assert (part.reset, part.spikes_max) == ("subtract-repeat", 31)
    assert any("a: reset subtract is run as subtract-repeat" in n for n in fixed.notes)
    assert found["a"][0].sum() > 500
    assert np.abs(found["a"][0] - found["a"][1]).sum() < 0.06 * found["a"][0].sum()


def test_xylo_shifts_every_weight_by_itself(rng, xylo):
    network = one_layer(rng.normal(0, 0.5, (8, 16)), tau_syn_s=8e-3, reset="subtract")
    fixed = quantise(network, xylo)
    part, projection = fixed.populations[0], fixed.projections[0]
    assert part.sum_shift == 0
    loaded = matrix(projection.linear) * 2.0**projection.shift / part.scale
    # The current decays once, to 7/8, before it is used.
    exact = matrix(network.projections[0].linear) * 8 / 7
    assert np.abs(loaded - exact).max() <= 0.5 * 2**projection.shift / part.scale * (1 + 1e-9)
    _, program = map_network(fixed, xylo)
    assert program.spikes_max.tolist() == [31] * 8


@pytest.mark.parametrize("weight_bits", [8, 16, 24, 32])
def test_wide_weights_leave_registers_their_room(weight_bits, rng):
    plain = load_chip("generic").model_dump()
    plain["numbers"]["weight_bits"] = weight_bits
    plain["packing"]["weight_bits_sizes"] = (weight_bits,)
    chip = Chip.model_validate(plain)
    network = one_layer(rng.normal(0.05, 0.2, (30, 50)), tau_mem_s=20e-3, tau_syn_s=5e-3)
    counts = (rng.random((200, 50)) < 0.1).astype(int)
    found, overflows, _ = run_both(network, Drive(n_ticks=200, spikes={"in": counts}), chip)
    in_float, on_chip, *_ = found["a"]
    assert in_float.sum() > 100
    assert np.abs(in_float - on_chip).sum() <= 0.02 * in_float.sum()
    assert not any(overflows.values())


def test_registers_that_hold_nothing_give_a_scale_and_say_what_is_lost():
    fixed = quantise(one_layer([[0.5, -0.2]]), chip_with("numbers", membrane_bits=1))
    assert 0 < fixed.populations[0].scale < np.inf
    assert any("threshold" in note or "weights" in note for note in fixed.notes)
