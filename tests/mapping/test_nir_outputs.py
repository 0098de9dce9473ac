"""What a graph's outputs read, what reaches them, and how cycles and currents are taken."""

import nir
import numpy as np
import pytest

from mapping.drive import Drive
from mapping.errors import NirError, UnsupportedNodeError
from mapping.nir_import import import_nir
from mapping.reference import prepare, simulate

DT = 1e-3


def fire(n=2):
    return nir.IF(r=np.ones(n), v_threshold=np.full(n, 0.5))


def integrate(n=2):
    return nir.LI(tau=np.full(n, 0.01), r=np.ones(n), v_leak=np.zeros(n))


def gate(kind, n=2):
    return kind(np.array([n]))


def graph(edges, **nodes):
    """Edges as ``"a>b c>d"``; inputs and outputs are called in… and out…."""
    pairs = [tuple(edge.split(">")) for edge in edges.split()]
    names = {name for pair in pairs for name in pair} - set(nodes)
    gates = {
        name: gate(nir.Input if name.startswith("in") else nir.Output)
        for name in names
        if name.startswith(("in", "out"))
    }
    metadata = {"dt": DT, "reset": "zero"}
    return nir.NIRGraph(nodes=nodes | gates, edges=pairs, metadata=metadata, type_check=False)


def instant(network, x):
    drive = Drive(n_ticks=len(x), spikes={network.inputs[0].name: np.asarray(x)})
    return simulate(prepare(network, timing="instant"), drive)


def test_an_output_of_several_populations_reads_their_sum():
    upper, lower = nir.Linear(np.diag([1.0, 0])), nir.Linear(np.diag([0, 1.0]))
    network = import_nir(
        graph("in>w in>u w>a u>b a>out b>out", w=upper, u=lower, a=fire(), b=fire())
    )
    assert network.outputs == ("out",)
    assert "'out' adds up the spikes of a, b: it reads a plain sum" in network.notes
    x = np.array([[1, 1], [0, 1], [1, 0], [0, 0]])
    np.testing.assert_array_equal(instant(network, x).states["out", "v"], x)


def test_membranes_are_not_added_up():
    both = graph("in>a in>b a>out b>out", a=integrate(), b=integrate())
    with pytest.raises(UnsupportedNodeError, match="adds the membrane of a, b"):
        import_nir(both)


def test_a_membrane_behind_weights_is_told_how_to_be_read():
    weighted = graph("in>a a>w w>out", a=integrate(), w=nir.Linear(np.eye(2)))
    with pytest.raises(UnsupportedNodeError, match=r"'out' through weights or a delay, .*use LIF"):
        import_nir(weighted)


def test_storage_changes_neither_order_nor_hash(tmp_path):
    nodes = {"z": fire(), "h": fire(), "a": fire()}
    edges = "in>h h>z h>a z>out_z a>out_a"
    kept = import_nir(graph(edges, **nodes))
    back = import_nir(graph(edges, **dict(reversed(nodes.items()))))
    nir.write(tmp_path / "net.nir", graph(edges, **nodes))
    stored = import_nir(tmp_path / "net.nir")
    assert kept.outputs == back.outputs == stored.outputs == ("a", "z")
    assert kept.sha256 == back.sha256 == stored.sha256


def test_an_output_may_lead_on():
    network = import_nir(graph("in>a a>out out>b b>out2", a=fire(), b=fire()))
    assert network.outputs == ("a", "b")
    assert {p.name for p in network.projections} == {"in→a", "a→b"}


@pytest.mark.parametrize(
    ("edges", "message"),
    [
        ("in>out2 a>out", "to any neuron .there are a"),
        ("in>a", r"to any Output \(there are out\)"),
        ("in>a b>out", r"to any Output \(there are out\)"),
    ],
)
def test_where_nothing_arrives_is_told(edges, message):
    nodes = {"a": fire(), "out": gate(nir.Output)} | ({"b": fire()} if "b" in edges else {})
    with pytest.raises(NirError, match=f"no way leads from an Input {message}.*edges missing"):
        import_nir(graph(edges, **nodes))
    empty = graph("in>out", a=fire(), out=gate(nir.Output), **{"in": gate(nir.Input)})
    empty.edges.clear()
    with pytest.raises(NirError, match="no way leads from an Input"):
        import_nir(empty)


def test_without_an_output_node_the_last_neurons_are_read():
    network = import_nir(graph("in>a a>b", a=fire(), b=fire()))
    assert network.outputs == ("b",)
    assert "there is no Output; read out: b" in network.notes


@pytest.mark.parametrize("spike", ["hold", "dirac"])
@pytest.mark.parametrize("kind", ["LI", "CubaLI", "I"])
def test_a_current_of_one_equals_a_bias_of_one(kind, spike):
    node = {
        "LI": integrate(),
        "I": nir.I(r=np.ones(2)),
        "CubaLI": nir.CubaLI(
            tau_syn=np.full(2, 5e-3), tau_mem=np.full(2, 0.01), r=np.ones(2), v_leak=np.zeros(2)
        ),
    }[kind]

    def membrane(bias, current):
        weights = nir.Affine(np.eye(2), np.full(2, bias))
        network = import_nir(graph("in>w w>a a>out", w=weights, a=node), spike=spike)
        drive = Drive(n_ticks=9, currents={"in": np.full(2, current)})
        return simulate(prepare(network, timing="instant"), drive).states["a", "v"]

    np.testing.assert_allclose(membrane(0.0, 1.0), membrane(1.0, 0.0), rtol=1e-12)


@pytest.mark.parametrize("delayed", ["a>d d>b b>a", "a>b b>d d>a"])
def test_a_cycle_takes_its_delay_wherever_that_lies(delayed):
    pair = {"a": fire(1), "b": fire(1), "d": nir.Delay(np.array([3 * DT]))}
    ends = {"in": gate(nir.Input, 1), "out": gate(nir.Output, 1)}
    network = import_nir(graph(f"in>a {delayed} b>out", **pair, **ends))
    run = instant(network, [[1]] + 9 * [[0]])
    assert run.spikes["a"][0].tolist() == [0, 3, 6, 9]
    assert not any("closes a cycle" in note for note in network.notes)


@pytest.mark.parametrize("name", ["skip", "a_skip"])
def test_where_a_cycle_is_cut_depends_on_no_weights_name(name):
    weights = {key: nir.Linear(np.eye(2)) for key in ("first", "on", "back", name)}
    edges = f"in>first first>h1 h1>on on>h2 in>{name} {name}>h2 h2>back back>h1 h2>out"
    network = import_nir(graph(edges, h1=fire(), h2=fire(), **weights))
    cut = [note for note in network.notes if "closes a cycle" in note]
    assert cut == [
        "h2→h1 closes a cycle and carries the previous tick's spikes (one tick of delay)"
    ]


@pytest.mark.parametrize("threshold", [0.0, -0.5])
def test_a_threshold_may_be_zero_or_less(threshold):
    node = nir.Threshold(np.full(1, threshold))
    weights = nir.Linear(np.array([[1.0, -1.0]]))
    network = import_nir(graph("in>w w>a a>out", w=weights, a=node, out=gate(nir.Output, 1)))
    x = np.array([[1, 0], [0, 0], [0, 1], [1, 1], [1, 0]])
    expected = np.flatnonzero(x @ [1, -1] > threshold)
    assert instant(network, x).spikes["a"][0].tolist() == expected.tolist()
