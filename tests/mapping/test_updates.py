"""The rules of populations, by hand, and what they refuse."""

import numpy as np
import pytest

from mapping import updates
from mapping.drive import Drive
from mapping.errors import NetworkError
from mapping.linear import Dense
from mapping.network import Input, Network, Population, Projection
from mapping.network_file import load_network, save_network
from mapping.reference import prepare, simulate

DT = 1e-3


def one(current, n_ticks=200, **values):
    """Run one neuron with a constant current."""
    population = Population(name="n", shape=(1,), **values)
    network = Network(
        dt_s=DT,
        inputs=(Input(name="in", shape=(1,)),),
        populations=(population,),
        projections=(
            Projection(
                source="in", target="n",
                linear=Dense(weight=[[1.0]], pre_shape=(1,), post_shape=(1,)),
            ),
        ),
        outputs=("n",),
    )  # fmt: skip
    drive = Drive(n_ticks=n_ticks, currents={"in": np.array([current])})
    return simulate(prepare(network, timing="chip"), drive, record=("n",))


def lif(tau_rc=0.02, **values):
    share = -np.expm1(-DT / tau_rc)
    return {"threshold": 1.0, "tau_mem_s": DT / share, "rule": "within-tick"} | values, share


@pytest.mark.parametrize("current", [1.01, 1.5, 3.0, 8.0, 30.0])
@pytest.mark.parametrize("rest", [0.001, 0.002, 0.0023])
def test_rates_within_ticks_are_those_of_the_formula(current, rest):
    values, share = lif(refractory_s=rest)
    run = one(current * share, 5000, **values)
    interval = rest + 0.02 * np.log1p(1 / (current - 1))
    assert abs(run.spikes["n"][0].size - 5000 * DT / interval) <= 1


@pytest.mark.parametrize("current", [0.3, 2.5, 60.0])
def test_regular_neurons_fire_evenly(current):
    """In each tick the whole part of what has come in so far, less what was sent."""
    values = {"threshold": 1.0, "rule": "regular", "reset": "subtract", "compare": ">="}
    run = one(current, 100, v_start=0.25, **values)
    counts = np.bincount(run.spikes["n"][0], minlength=100)
    level = np.floor(0.25 + current * np.arange(1, 101) + 1e-9)
    assert counts.tolist() == np.diff(level, prepend=0).astype(int).tolist()


def test_a_negative_current_is_nothing_to_regular_neurons():
    values = {"threshold": 1.0, "rule": "regular", "reset": "subtract", "compare": ">="}
    run = one(-3.0, v_start=0.5, **values)
    assert np.all(run.states["n", "v"] == 0.5)


def test_regular_lif_has_the_rate_of_lif():
    values, share = lif(refractory_s=0.002)
    values |= {"rule": "regular-lif", "compare": ">="}
    run = one(2.0 * share, 5000, **values)
    rate = 1 / (0.002 + 0.02 * np.log(2))
    assert run.spikes["n"][0].size == int(5000 * DT * rate)
    assert set(np.diff(run.spikes["n"][0]).tolist()) <= {15, 16}
    assert one(0.99 * share, **values).spikes["n"][0].size == 0


def test_push_goes_past_the_synapse_and_bias_through_it():
    filtered = {"threshold": None, "tau_syn_s": 0.01, "tau_mem_s": DT}
    pushed, biased = one(0.0, push=1.0, **filtered), one(0.0, bias=1.0, **filtered)
    assert np.all(pushed.states["n", "v"] == 1)
    np.testing.assert_allclose(biased.states["n", "v"][:3, 0], [1.0, 1.9, 2.71])


def test_the_membrane_starts_and_ends_where_it_is_told():
    run = one(-0.4, v_start=0.7, v_min=-0.5, threshold=1.0)
    np.testing.assert_allclose(run.states["n", "v"][:4, 0], [0.3, -0.1, -0.5, -0.5])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"rule": "exact"}, "rule 'exact' is none of euler, within-tick, regular, regular-lif"),
        ({"rule": "within-tick"}, "rule 'within-tick' needs a finite tau_mem_s"),
        ({"rule": "within-tick", "tau_mem_s": 0.02, "reset": "subtract"}, "needs reset 'zero'"),
        ({"rule": "within-tick", "tau_mem_s": 0.02, "threshold": None}, "needs a threshold"),
        ({"rule": "regular"}, "needs reset 'subtract' and compare '>='"),
        (
            {"rule": "regular", "reset": "subtract", "compare": ">=", "tau_mem_s": 0.02},
            "needs no leak and no refractory time",
        ),
        ({"rule": "regular-lif", "compare": ">="}, "a finite tau_mem_s"),
        ({"v_min": 0.5}, "v_min must not be above v_reset, but is up to 0.5"),
        ({"v_min": np.nan}, "1 of 1 values of v_min are NaN"),
        ({"push": np.inf}, "1 of 1 values of push are NaN or infinite"),
    ],
)
def test_contradictions_are_told(values, message):
    with pytest.raises(NetworkError, match=message):
        Population(**({"name": "n", "shape": (1,), "threshold": 1.0} | values))


def test_networks_of_old_keep_their_hash_and_new_ones_are_read_back(tmp_path):
    def network(**values):
        return Network(
            dt_s=DT, inputs=(), projections=(), outputs=("n",),
            populations=(Population(name="n", shape=(2,), threshold=1.0, bias=0.1, **values),),
        )  # fmt: skip

    plain = network()
    # As it was before there were rules.
    assert plain.sha256.startswith("a5b960fc0ccc0e0d")
    assert plain.sha256 == network(v_min=-np.inf, push=0.0, v_start=[0.0, 0.0]).sha256
    changed = [network(push=0.1), network(v_min=-1.0), network(v_start=[0.0, 0.5])]
    assert len({n.sha256 for n in (plain, *changed)}) == 4
    for number, each in enumerate(changed):
        save_network(each, tmp_path / f"{number}.npz")
        assert load_network(tmp_path / f"{number}.npz").sha256 == each.sha256


def test_every_rule_has_an_update():
    from typing import get_args

    from mapping.network import Rule

    assert set(updates.UPDATES) == set(get_args(Rule))
