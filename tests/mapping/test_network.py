import numpy as np
import pytest
from networks import random_network

from mapping.errors import NetworkError
from mapping.linear import Dense
from mapping.network import Input, Network, Population, Projection, load_network, save_network


def small(**changes):
    one = Dense(weight=np.ones((2, 3)), pre_shape=(3,), post_shape=(2,))
    parts = {
        "dt_s": 1e-3,
        "inputs": (Input(name="in", shape=(3,)),),
        "populations": (Population(name="a", shape=(2,), threshold=1.0, tau_mem_s=0.01),),
        "projections": (Projection(source="in", target="a", linear=one),),
        "outputs": ("a",),
    }
    return Network(**parts | changes)


def test_round_trip_keeps_everything(tmp_path, rng):
    network = random_network(rng, reset="subtract-once", compare=">=")
    save_network(network, tmp_path / "network.npz")
    again = load_network(tmp_path / "network.npz")
    assert again.sha256 == network.sha256
    assert again.outputs == network.outputs
    assert [p.model for p in again.populations] == ["LIF", "CubaLIF", "IF", "LI"]


def test_the_hash_sees_what_matters():
    other = Population(name="a", shape=(2,), threshold=1.5, tau_mem_s=0.01)
    assert small().sha256 == small(notes=("imported",)).sha256
    assert small().sha256 != small(populations=(other,)).sha256
    assert small().sha256 != small(dt_s=2e-3).sha256


def test_a_file_that_is_no_network_is_refused(tmp_path):
    path = tmp_path / "network.npz"
    path.write_text("nothing")
    with pytest.raises(NetworkError, match="not a network saved"):
        load_network(path)


def test_feedback_order_and_depth(rng):
    network = random_network(rng)
    closing = {network.projections[k].name for k in network.feedback}
    assert closing == {"middle→middle", "out→middle"}
    assert network.depth == {"in": 0, "conv": 1, "middle": 2, "out": 3, "sum": 3}
    names = [p.name for p in network.order]
    assert names.index("conv") < names.index("middle") < names.index("out")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"tau_mem_s": -1.0}, "tau_mem_s must be positive, but the least is -1"),
        ({"tau_syn_s": -1.0}, "tau_syn_s must not be negative"),
        ({"threshold": 0.0}, "above v_reset"),
        ({"threshold": np.nan}, "2 of 2 values of threshold are NaN"),
        ({"bias": np.ones(3)}, r"bias has shape \(3,\), but the population \(2,\)"),
        ({"reset": "never"}, "reset 'never' is none of zero, subtract, subtract-once"),
        ({"compare": "<"}, "compare '<'"),
        ({"shape": (0,)}, "holds no neurons"),
    ],
)
def test_bad_populations_are_told(values, message):
    with pytest.raises(NetworkError, match=message):
        Population(**{"name": "a", "shape": (2,), "threshold": 1.0} | values)


def bad_weights(value):
    weight = np.ones((2, 3))
    weight[1, 2] = value
    linear = Dense(weight=weight, pre_shape=(3,), post_shape=(2,))
    return (Projection(source="in", target="a", linear=linear),)


WIDE = Dense(weight=np.ones((2, 4)), pre_shape=(4,), post_shape=(2,))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dt_s": 0.0}, "tick dt_s must be positive"),
        ({"dt_s": 0.02}, r"tau_mem_s 0.01 s is shorter than the tick of 0.02 s.*--dt"),
        ({"outputs": ()}, "no output"),
        ({"outputs": ("b",)}, "output 'b' is no population"),
        ({"projections": bad_weights(np.nan)}, r"1 of 6 values of weights are NaN.*\(1, 2\)"),
        ({"projections": bad_weights(np.inf)}, "infinite"),
        (
            {"projections": (Projection(source="in", target="a", linear=WIDE),)},
            r"expect 4 source elements \(4,\), but 'in' has 3",
        ),
        (
            {"projections": (Projection(source="x", target="y", linear=WIDE),)},
            r"(?s)no 'x'.*'y' is no population",
        ),
    ],
)
def test_contradictions_are_told(changes, message):
    with pytest.raises(NetworkError, match=message):
        small(**changes)


def test_a_tick_as_long_as_tau_is_allowed():
    assert small(dt_s=0.01 * (1 + 1e-7)).dt_s > 0.01


def test_membranes_do_not_travel():
    silent = Population(name="s", shape=(2,), threshold=None)
    linear = Dense(weight=np.ones((2, 2)), pre_shape=(2,), post_shape=(2,))
    network = small()
    with pytest.raises(NetworkError, match="'s' never spikes"):
        small(
            populations=(*network.populations, silent),
            projections=(*network.projections, Projection(source="s", target="a", linear=linear)),
        )
