from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest
from networks import random_network

from mapping.errors import NetworkError
from mapping.linear import Convolution, Dense, diagonal
from mapping.network import Input, Network, Population, Projection
from mapping.network_file import load_network, save_network


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
    named = [p.name for p in network.projections]
    assert {named[k] for k in network.recurrent} == {"middle→middle", "out→middle"}
    # The other one has a delay of its own, so it needs no cut within a tick.
    assert {named[k] for k in network.feedback} == {"middle→middle"}
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


def loop(delays, names=("a", "b", "c"), outputs=("c",), extra=()):
    """Input to a, a to b, b to c, c to a; ``delays`` in ticks of those edges."""
    a, b, c = names
    edges = [("in", a), (a, b), (b, c), (c, a), *extra]
    delays = [0, *delays] + [0] * len(extra)
    return Network(
        dt_s=1e-3,
        inputs=(Input(name="in", shape=(1,)),),
        populations=tuple(Population(name=n, shape=(1,), threshold=0.5) for n in sorted(names)),
        projections=tuple(
            Projection(source=s, target=t, linear=diagonal(1.0, (1,)), delay_s=d * 1e-3)
            for (s, t), d in zip(edges, delays, strict=True)
        ),
        outputs=outputs,
    )


@pytest.mark.parametrize("at", range(3))
def test_a_delay_anywhere_in_a_cycle_makes_the_cut_needless(at):
    network = loop([2 * (k == at) for k in range(3)])
    assert network.feedback == frozenset()
    assert {network.projections[k].name for k in network.recurrent} == {"c→a"}
    within = {(p.source, p.target) for p in network.projections if p.delay_s == 0}
    place = {name: k for k, name in enumerate(["in", *(p.name for p in network.order)])}
    assert all(place[a] < place[b] for a, b in within)
    assert network.depth == {"in": 0, "a": 1, "b": 2, "c": 3}


@pytest.mark.parametrize("names", list(permutations("abc")))
def test_a_cut_leads_away_from_the_outputs_whatever_the_names(names):
    a, b, c = names
    # Short cuts from the input reach every part of the cycle at once.
    network = loop([0, 0, 0], names, (c,), extra=[("in", c), ("in", b)])
    assert {network.projections[k].name for k in network.feedback} == {f"{c}→{a}"}


def test_numbers_from_numpy_are_taken_and_saved(tmp_path):
    conv = Convolution(
        kernel=np.ones((1, 1, 2, 2)), pre_shape=tuple(np.array([1, 3, 3])),
        stride=np.array([1, 1]), padding=np.zeros((2, 2), int), dilation=tuple(np.array([1, 1])),
        groups=np.int64(1),
    )  # fmt: skip
    network = Network(
        dt_s=np.float32(1e-3),
        inputs=(Input(name="in", shape=np.array([1, 3, 3])),),
        populations=(Population(name="a", shape=tuple(np.array([1, 2, 2])), threshold=1.0),),
        projections=(
            Projection(source="in", target="a", linear=conv, delay_s=np.float32(2e-3),
                       current_gain=np.float32(0.5)),
        ),
        outputs=("a",),
    )  # fmt: skip
    save_network(network, tmp_path / "network.npz")
    again = load_network(tmp_path / "network.npz")
    assert again.sha256 == network.sha256
    assert again.projections[0].current_gain == 0.5


def test_what_a_current_is_worth_changes_the_hash():
    half = (replace(small().projections[0], current_gain=0.5),)
    assert small(projections=half).sha256 != small().sha256


def test_a_save_that_fails_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "network.npz"
    save_network(small(), path)
    before = path.read_bytes()
    with pytest.raises(TypeError):
        save_network(small(notes=(object(),)), path)

    def broken(file, **arrays):
        file.write(b"half")
        raise OSError("no space left")

    monkeypatch.setattr(np, "savez_compressed", broken)
    with pytest.raises(OSError, match="no space"):
        save_network(small(), path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_no_damage_to_a_saved_network_lets_another_error_out(tmp_path, rng):
    path = tmp_path / "network.npz"
    save_network(small(), path)
    whole = path.read_bytes()
    refused = 0
    for _ in range(300):
        damaged = bytearray(whole)
        for at in rng.integers(len(whole), size=3):
            damaged[at] = rng.integers(256)
        path.write_bytes(damaged[: rng.integers(1, len(whole) + 1)])
        try:
            load_network(path)
        except NetworkError:
            refused += 1
    assert refused > 200


def test_names_and_delays_that_cannot_be_are_told():
    with pytest.raises(NetworkError, match="names must be text, but one is 3"):
        small(inputs=(Input(name=3, shape=(3,)),))
    with pytest.raises(NetworkError, match=r"delay of 1e\+10 s is 2\^31 ticks or more"):
        small(projections=(replace(small().projections[0], delay_s=1e10),))
    with pytest.raises(NetworkError, match=r"'in': shape must be whole numbers, but is \(1.5,\)"):
        Input(name="in", shape=(1.5,))


def test_the_readout_is_an_output():
    assert small().readout().name == "a"
    with pytest.raises(NetworkError, match="no output 'b'; there are a"):
        small().readout("b")
