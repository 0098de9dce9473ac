"""Rates become spikes: units, scales, and rates that equal activations."""

import json

import numpy as np
import pytest

from mapping.ann.convert import convert, largest_activations
from mapping.ann.npz_import import import_weights
from mapping.ann.rate_network import Layer, RateNetwork, mapped
from mapping.drive import Drive
from mapping.errors import NetworkError
from mapping.linear import Convolution, Dense, apply
from mapping.network import Input
from mapping.reference import prepare, simulate


def dense(rng, n_post, n_pre, scale=0.5):
    weight = rng.normal(0.1, scale, (n_post, n_pre))
    return Dense(weight=weight, pre_shape=(n_pre,), post_shape=(n_post,))


@pytest.fixture
def rng():
    return np.random.default_rng(7)


@pytest.fixture
def rate(rng):
    """Two layers with biases, a sum of both, and an output without an activation."""
    first, second = dense(rng, 12, 6), dense(rng, 12, 12, 0.3)
    skip = Dense(weight=np.eye(12), pre_shape=(12,), post_shape=(12,))
    return RateNetwork(
        inputs=(Input(name="in", shape=(6,)),),
        layers=(
            Layer(name="a", shape=(12,), sources={"in": first}, bias=rng.normal(0, 0.1, 12),
                  activation="relu"),
            Layer(name="b", shape=(12,), sources={"a": second}, bias=rng.normal(0, 0.1, 12),
                  activation="relu"),
            Layer(name="c", shape=(12,), sources={"a": skip, "b": skip}, bias=np.zeros(12),
                  activation="relu", ceiling=1.5),
            Layer(name="out", shape=(3,), sources={"c": dense(rng, 3, 12)},
                  bias=rng.normal(0, 0.1, 3), activation="none"),
        ),
        outputs=("out",),
    )  # fmt: skip


def spiking_rates(converted, x, n_ticks):
    """Spikes a tick of each layer, times what one stands for; the output's mean slope."""
    run = simulate(
        prepare(converted.network, timing="instant"), Drive(n_ticks=n_ticks, currents={"in": x})
    )
    found = {}
    for name, unit in converted.unit.items():
        if name in run.spikes:
            counts = np.bincount(run.spikes[name][1], minlength=12)
            found[name] = counts / n_ticks * unit
        else:
            found[name] = run.states[name, "v"][-1] / n_ticks * unit
    return found


@pytest.mark.parametrize("scale", [1.0, 0.5])
def test_rates_equal_activations_to_within_a_few_spikes(rate, rng, scale):
    x = rng.random((8, 6))
    converted = convert(rate, largest_activations(rate, x), scale=scale)
    expected, n_ticks = rate.activations(x), 4000
    for sample in range(2):
        found = spiking_rates(converted, x[sample], n_ticks)
        for name, values in found.items():
            unit = max(converted.unit.values())
            assert np.allclose(values, expected[name][sample], atol=40 * unit / n_ticks), name


def test_the_largest_activation_fires_as_often_as_asked(rate, rng):
    x = rng.random((50, 6))
    largest = largest_activations(rate, x)
    halved = convert(rate, largest, scale={"a": 0.5})
    assert halved.unit["a"] == pytest.approx(2 * largest["a"])
    assert halved.unit["b"] == pytest.approx(largest["b"])
    assert halved.unit["c"] == 1.5  # a ceiling is one spike a tick
    low = largest_activations(rate, x, percentile=50)
    assert low["a"] == pytest.approx(np.median(rate.activations(x)["a"]))
    for wrong in (0, -1, {"a": 0.0}):
        with pytest.raises(NetworkError, match="scales must be above 0"):
            convert(rate, largest, scale=wrong)
    with pytest.raises(NetworkError, match=r"scales of \['z'\], but the layers are"):
        convert(rate, largest, scale={"z": 1.0})


def test_a_convolution_is_mapped_as_its_list_says(rng):
    for _ in range(60):
        axes, groups = int(rng.integers(1, 3)), int(rng.integers(1, 4))
        c_in, c_out = groups * int(rng.integers(1, 3)), groups * int(rng.integers(1, 3))
        conv = Convolution(
            kernel=rng.normal(size=(c_out, c_in // groups, *rng.integers(1, 4, axes))),
            pre_shape=(c_in, *rng.integers(5, 9, axes)), stride=tuple(rng.integers(1, 3, axes)),
            padding=tuple(tuple(rng.integers(0, 3, 2)) for _ in range(axes)),
            dilation=tuple(rng.integers(1, 3, axes)), groups=groups,
        )  # fmt: skip
        x = rng.normal(size=(3, int(np.prod(conv.pre_shape))))
        assert np.allclose(mapped(conv, x), apply(conv, x))


def test_plain_weights_make_a_chain(tmp_path, rng):
    w, b, v = rng.normal(size=(5, 4)), rng.normal(size=5), rng.normal(size=(3, 5))
    np.savez(tmp_path / "net.npz", **{"0.weight": w, "0.bias": b, "10.weight": v})
    network = import_weights(tmp_path / "net.npz")
    x = rng.normal(size=(6, 4))
    expected = np.maximum(x @ w.T + b, 0) @ v.T
    assert np.allclose(network.activations(x)[network.outputs[0]], expected)
    assert [layer.activation for layer in network.layers] == ["relu", "none"]


def test_weights_with_a_list_of_layers(tmp_path, rng):
    kernel, weight = rng.normal(size=(3, 1, 3, 3)), rng.normal(size=(2, 12))
    layers = [
        {"type": "convolution", "weight": "k", "padding": 1, "stride": 2},
        {"type": "batch_norm", "mean": "m", "variance": "v"},
        {"type": "relu", "ceiling": 6},
        {"type": "average_pool", "window": 2, "stride": 1},
        {"type": "flatten"},
        {"type": "dense", "weight": "w"},
    ]
    mean, variance = rng.normal(size=3), rng.random(3) + 0.5
    np.savez(
        tmp_path / "net.npz", layers=json.dumps(layers), input_shape=[1, 6, 6], k=kernel, w=weight,
        m=mean, v=variance,
    )  # fmt: skip
    network = import_weights(tmp_path / "net.npz")
    x = rng.normal(size=(2, 36))
    padded = np.pad(x.reshape(2, 6, 6), ((0, 0), (1, 1), (1, 1)))
    conv = np.array(
        [[[[(padded[s, 2 * i:2 * i + 3, 2 * j:2 * j + 3] * kernel[c, 0]).sum() for j in range(3)]
           for i in range(3)] for c in range(3)] for s in range(2)]
    )  # fmt: skip
    normed = (conv - mean[:, None, None]) / np.sqrt(variance[:, None, None] + 1e-5)
    rates = np.clip(normed, 0, 6)
    pooled = (
        rates[..., :-1, :-1] + rates[..., 1:, :-1] + rates[..., :-1, 1:] + rates[..., 1:, 1:]
    ) / 4
    expected = pooled.reshape(2, 12) @ weight.T
    assert np.allclose(network.activations(x)[network.outputs[0]], expected)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"a": np.ones(3)}, "no array whose name ends with 'weight'; there are a"),
        ({"0.weight": np.ones((2, 3, 3, 3))}, "a chain is made of matrices alone"),
        ({"0.weight": np.ones((2, 3)), "1.weight": np.ones((4, 5))}, r"layer 2 \(dense\): weights"),
        ({"0.weight": np.full((2, 3), np.nan)}, "a weight from 'input' is NaN or infinite"),
        ({"layers": json.dumps([{"type": "tanh"}]), "input_shape": [3]}, "is of type 'tanh'"),
        ({"layers": json.dumps([{"type": "dense"}]), "input_shape": [3]}, "'weight' is missing"),
    ],
)
def test_weights_that_make_no_network_are_refused(tmp_path, arrays, message):
    np.savez(tmp_path / "net.npz", **arrays)
    with pytest.raises(NetworkError, match=message):
        import_weights(tmp_path / "net.npz")
