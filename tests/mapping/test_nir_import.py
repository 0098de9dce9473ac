from itertools import pairwise

import h5py
import nir
import numpy as np
import pytest

from mapping.drive import Drive
from mapping.errors import NetworkError, NirError, UnsupportedNodeError
from mapping.linear import Convolution, Dense, matrix
from mapping.nir_import import import_nir
from mapping.reference import prepare, simulate

DT = 1e-3
METADATA = {"dt": DT, "reset": "zero"}


def ones(n, value=1.0):
    return np.full(n, value)


def lif(n=2, tau=0.01, r=1.0, leak=0.0):
    return nir.LIF(tau=ones(n, tau), r=ones(n, r), v_leak=ones(n, leak), v_threshold=ones(n))


def chain(*nodes, shape=(3,), out=(2,), metadata=METADATA):
    """Input, the nodes one after another (named a, b, c, …), Output."""
    names = [chr(ord("a") + k) for k in range(len(nodes))]
    whole = {"input": nir.Input({"input": np.array(shape)}), **dict(zip(names, nodes, strict=True))}
    whole["output"] = nir.Output({"output": np.array(out)})
    order = list(whole)
    edges = list(pairwise(order))
    return nir.NIRGraph(nodes=whole, edges=edges, metadata=metadata, type_check=False)


def affine(rng, n_out, n_in):
    return nir.Affine(rng.normal(size=(n_out, n_in)), rng.normal(size=n_out))


def written(graph, tmp_path):
    nir.write(tmp_path / "net.nir", graph)
    return tmp_path / "net.nir"


@pytest.mark.parametrize("through_file", [True, False])
def test_a_lif_layer(rng, tmp_path, through_file):
    node = affine(rng, 2, 3)
    graph = chain(node, lif(leak=0.2, r=3.0))
    network = import_nir(written(graph, tmp_path) if through_file else graph)
    (population,) = network.populations
    assert (network.dt_s, population.name, population.model) == (DT, "b", "LIF")
    gain = 3.0 * DT / 0.01
    np.testing.assert_allclose(matrix(network.projections[0].linear), gain * node.weight)
    np.testing.assert_allclose(population.bias, gain * node.bias)
    np.testing.assert_allclose(population.v_leak, 0.2)
    assert network.outputs == ("b",)


NEURONS = {
    "IF": (nir.IF(r=ones(2, 2.0), v_threshold=ones(2)), "hold", 2.0 * DT, "dirac", 2.0),
    "I": (nir.I(r=ones(2, 2.0)), "hold", 2.0 * DT, "dirac", 2.0),
    "LI": (nir.LI(tau=ones(2, 0.01), r=ones(2, 2.0), v_leak=ones(2, 0.0)), "hold", 0.2, "dirac", 200.0),
    "LIF": (lif(r=2.0), "hold", 0.2, "dirac", 200.0),
    "CubaLI": (
        nir.CubaLI(
            tau_syn=ones(2, 0.005), tau_mem=ones(2, 0.01), r=ones(2, 2.0), v_leak=ones(2, 0.0),
            w_in=ones(2, 3.0),
        ), "hold", 0.2 * 3 * 0.2, "dirac", 200 * 3 * 0.2,
    ),
    "CubaLIF": (
        nir.CubaLIF(
            tau_syn=ones(2, 0.005), tau_mem=ones(2, 0.01), r=ones(2, 2.0), v_leak=ones(2, 0.0),
            v_threshold=ones(2), w_in=ones(2, 3.0),
        ), "hold", 0.2 * 3 * 0.2, "dirac", 200 * 3 * 0.2,
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", NEURONS)
def test_every_neuron_in_both_readings_of_a_spike(rng, kind):
    node, *readings = NEURONS[kind]
    weights = affine(rng, 2, 3)
    for spike, gain in zip(readings[::2], readings[1::2], strict=True):
        network = import_nir(chain(weights, node), spike=spike)
        assert network.populations[0].model == kind
        np.testing.assert_allclose(matrix(network.projections[0].linear), gain * weights.weight)
    default = import_nir(chain(weights, node))
    at = 1 if kind in ("IF", "I") else 0
    np.testing.assert_allclose(
        matrix(default.projections[0].linear), readings[2 * at + 1] * weights.weight
    )


def test_a_threshold_forgets_everything(rng):
    network = import_nir(chain(nir.Linear(np.ones((2, 3))), nir.Threshold(ones(2, 1.5))))
    x = np.array([[1, 0, 0], [1, 1, 0], [1, 0, 0], [1, 1, 1]])
    run = simulate(prepare(network, timing="instant"), Drive(n_ticks=4, spikes={"input": x}))
    assert run.spikes["b"][0].tolist() == [1, 1, 3, 3]


def test_convolution_pooling_and_flatten_fold(rng):
    conv1 = nir.Conv2d((8, 8), rng.normal(size=(4, 2, 3, 3)), 1, 1, 1, 1, rng.normal(size=4))
    conv2 = nir.Conv2d((4, 4), rng.normal(size=(3, 4, 3, 3)), 1, "same", 1, 1, rng.normal(size=3))
    two = np.array([2, 2])
    neurons = [
        nir.IF(r=np.ones(s), v_threshold=np.ones(s), v_reset=np.zeros(s))
        for s in ((4, 8, 8), (3, 4, 4), (5,))
    ]
    graph = chain(
        conv1, neurons[0], nir.SumPool2d(two, two, np.array([0, 0])), conv2, neurons[1],
        nir.AvgPool2d(two, two, np.array([0, 0])), nir.Flatten({"input": np.array([3, 2, 2])}, 0, -1),
        affine(rng, 5, 12), neurons[2], shape=(2, 8, 8), out=(5,),
    )  # fmt: skip
    network = import_nir(graph)
    first, second, third = (p.linear for p in network.projections)
    assert isinstance(first, Convolution)
    assert isinstance(second, Convolution)
    assert second.kernel.shape == (3, 4, 6, 6)
    assert isinstance(third, Dense)
    assert third.weight.shape == (5, 48)
    np.testing.assert_allclose(network.population("b").bias, np.repeat(conv1.bias, 64))


def test_one_axis_groups_and_a_missing_input_shape(rng):
    conv = nir.Conv1d(None, rng.normal(size=(4, 1, 3)), 2, 1, 1, 2, np.zeros(4))
    neurons = nir.IF(r=np.ones((4, 5)), v_threshold=np.ones((4, 5)), v_reset=np.zeros((4, 5)))
    network = import_nir(chain(conv, neurons, shape=(2, 9), out=(4, 5)))
    assert network.projections[0].linear.post_shape == (4, 5)


def test_scales_and_biases_pass_through_later_steps(rng):
    first, second, factor = affine(rng, 4, 3), affine(rng, 2, 4), rng.normal(size=4)
    network = import_nir(chain(first, nir.Scale(factor), second, nir.IF(ones(2), ones(2))))
    whole = second.weight @ (factor[:, None] * first.weight)
    np.testing.assert_allclose(matrix(network.projections[0].linear), whole)
    bias = second.weight @ (factor * first.bias) + second.bias
    np.testing.assert_allclose(network.populations[0].bias, bias)


def test_delays_are_kept_apart(rng):
    graph = chain(
        nir.Delay(np.array([2e-3, 0.0, 2e-3])), affine(rng, 2, 3), nir.IF(ones(2), ones(2))
    )
    network = import_nir(graph)
    delays = sorted(network.delay_ticks(p) for p in network.projections)
    assert delays == [0, 2]
    total = sum(matrix(p.linear) for p in network.projections)
    np.testing.assert_allclose(total, graph.nodes["b"].weight)


def test_recurrence_and_nesting(rng, tmp_path):
    inner = nir.NIRGraph(
        nodes={
            "input": nir.Input({"input": np.array([2])}),
            "lif": lif(),
            "back": nir.Linear(rng.normal(size=(2, 2))),
            "output": nir.Output({"output": np.array([2])}),
        },
        edges=[("input", "lif"), ("lif", "back"), ("back", "lif"), ("lif", "output")],
        type_check=False,
    )
    graph = chain(affine(rng, 2, 3), inner, affine(rng, 2, 2), lif())
    network = import_nir(written(graph, tmp_path))
    assert [p.name for p in network.populations] == ["b.lif", "d"]
    assert {p.name for p in network.projections} == {"input→b.lif", "b.lif→b.lif", "b.lif→d"}
    assert any("previous tick" in note and "b.lif→b.lif" in note for note in network.notes)


def test_an_output_without_neurons_is_a_plain_sum(rng):
    weights = affine(rng, 2, 3)
    network = import_nir(chain(weights))
    x = np.array([[1, 0, 1], [0, 0, 0]])
    run = simulate(prepare(network, timing="instant"), Drive(n_ticks=2, spikes={"input": x}))
    expected = x @ weights.weight.T + weights.bias
    np.testing.assert_allclose(run.states["output", "v"], expected)


def test_arguments_win_over_metadata(rng, tmp_path):
    stored = {"dt": DT, "reset": "zero", "spike": "dirac", "compare": ">="}
    path = written(chain(affine(rng, 2, 3), lif(), metadata=stored), tmp_path)
    population = import_nir(path).populations[0]
    assert (population.reset, population.compare) == ("zero", ">=")
    asked = import_nir(path, dt_s=2e-3, reset="subtract", spike="hold", compare=">")
    assert asked.dt_s == 2e-3
    assert (asked.populations[0].reset, asked.populations[0].compare) == ("subtract", ">")
    told = [note for note in asked.notes if "the file says" in note]
    assert len(told) == 4
    assert any("(dirac)" in note for note in import_nir(path).notes)
    assert any("(hold)" in note for note in asked.notes)


def test_what_the_file_does_not_say_is_asked_for(rng):
    graph = chain(affine(rng, 2, 3), lif(), metadata={})
    with pytest.raises(
        NirError, match=r"dt_s=.*--dt.*reset=.*--reset.*zero, subtract, subtract-once"
    ):
        import_nir(graph)
    with pytest.raises(NirError, match="--reset"):
        import_nir(graph, dt_s=DT)
    with pytest.raises(NirError, match="--dt") as caught:
        import_nir(chain(affine(rng, 2, 3), metadata={}))
    assert "reset" not in str(caught.value)  # nothing here has one


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({"dt": -1.0}, "tick must be a positive number of seconds, but dt is -1.0"),
        ({"dt": "soon"}, "dt 'soon' is no number of seconds"),
        ({"reset": "never"}, "reset 'never' is none of zero, subtract, subtract-once"),
        ({"spike": "tall"}, "spike 'tall' is none of hold, dirac"),
        ({"compare": "<"}, "compare '<' is none of >, >="),
    ],
)
def test_wrong_metadata_is_told(rng, metadata, message):
    with pytest.raises(NirError, match=message):
        import_nir(chain(affine(rng, 2, 3), lif(), metadata=METADATA | metadata))


LAYER = nir.Linear(np.ones((2, 3)))
FIRE = nir.IF(r=np.ones(2), v_threshold=np.ones(2))
CUT = nir.Linear(np.ones((2, 2)))


def conv(**how):
    node = nir.Conv1d(None, np.ones((2, 1, 2)), 1, 0, 1, 1, np.zeros(2))
    for name, value in how.items():  # past the checks of the nir package, as a file may be
        setattr(node, name, value)
    return node


@pytest.mark.parametrize(
    ("nodes", "error", "message"),
    [
        (
            [nir.Affine(np.full((2, 3), np.nan), np.zeros(2)), FIRE],
            NirError, "'a' of type Affine: 6 of 6 values of weight are NaN or infinite",
        ),
        ([nir.Affine(np.ones((2, 3)), np.full(2, np.inf)), FIRE], NirError, "2 of 2 values of bias"),
        ([nir.Affine(np.ones((2, 3)), np.ones(4)), FIRE], NirError, r"bias \(4,\) does not suit"),
        ([LAYER, lif(r=np.nan)], NirError, "'b' of type LIF: 2 of 2 values of r are NaN"),
        ([LAYER, lif(tau=-1.0)], NirError, "'b' of type LIF: tau must be positive, but.* -1 s"),
        ([LAYER, lif(tau=1e-5)], NetworkError, "node 'b' of type LIF: tau_mem_s 1e-05 s is shorter than the tick"),
        ([LAYER, nir.IF(np.ones(2), np.zeros(2))], NetworkError, "'b' of type IF: every threshold must be above"),
        ([nir.Linear(np.ones((2, 4))), FIRE], NirError, r"'a' of type Linear takes 4 values, but 3"),
        ([LAYER, lif(n=5)], NirError, r"'b' of type LIF takes 5 values, but 2 \(2,\) arrive"),
        ([nir.Affine(np.ones((2, 3)), np.ones(2)), lif(n=5)], NirError, "'b' of type LIF takes 5"),
        ([nir.Linear(np.ones((2, 2, 3))), FIRE], UnsupportedNodeError, "'a' of type Linear: weights"),
        (
            [LAYER, nir.I(np.ones(2)), CUT, FIRE],
            UnsupportedNodeError, "'b' of type I sends its membrane on to 'd'.*use IF",
        ),
        (
            [LAYER, nir.I(np.ones(2)), CUT],
            UnsupportedNodeError, "'b' of type I sends its membrane on to 'output'",
        ),
        ([nir.Delay(np.full(3, -1e-3)), LAYER, FIRE], NirError, "'a' of type Delay: a delay must not"),
        ([nir.Delay(np.zeros(4) + np.arange(4)), LAYER, FIRE], NirError, "'a' of type Delay: delay has 4 values"),
        ([nir.Scale(np.ones(4)), LAYER, FIRE], NirError, "'a' of type Scale: "),
        ([conv(), FIRE], NirError, "'a' of type Conv1d: .* one or two axes"),
        ([conv(input_shape=5), FIRE], NirError, "'a' of type Conv1d takes 5 values, but 3"),
        ([conv(input_shape=3, padding="wide"), FIRE], NirError, "padding 'wide' is neither 'same'"),
        (
            [conv(input_shape=3, padding="same", stride=2), FIRE],
            NirError, "'same' needs a stride of 1",
        ),
        (
            [nir.SumPool2d(np.array([2, 2]), np.array([2, 2]), np.array([0, 0])), FIRE],
            NirError, r"'a' of type SumPool2d: pools channels × rows × columns, but \(3,\)",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_expressed_is_told(nodes, error, message):
    with pytest.raises(error, match=message):
        import_nir(chain(*nodes))


def test_parameters_of_different_lengths_are_told(rng, tmp_path):
    path = written(chain(affine(rng, 2, 3), lif()), tmp_path)
    with h5py.File(path, "r+") as file:  # the nir package refuses to build such a node
        del file["node/nodes/b/v_threshold"]
        file["node/nodes/b/v_threshold"] = np.ones(5)
    with pytest.raises(NirError, match=r"'b' of type LIF takes 5 values, but 2 \(2,\) arrive"):
        import_nir(path)


def test_all_unknown_nodes_are_named_at_once(rng, tmp_path):
    path = written(chain(affine(rng, 2, 3), lif(), affine(rng, 2, 2), lif()), tmp_path)
    with h5py.File(path, "r+") as file:
        for name, kind in (("a", "Conv9d"), ("d", "Izhikevich")):
            del file[f"node/nodes/{name}/type"]
            file[f"node/nodes/{name}/type"] = kind
    with pytest.raises(
        UnsupportedNodeError, match=r"'a' of type Conv9d.*'d' of type Izhikevich.*CubaLIF"
    ):
        import_nir(path)


def test_a_cycle_without_a_neuron_is_told(rng):
    graph = chain(affine(rng, 3, 3), affine(rng, 3, 3), lif(3))
    graph.edges.append(("b", "a"))
    with pytest.raises(
        UnsupportedNodeError, match=r"cycle without a neuron: a → b → a; only neurons"
    ):
        import_nir(graph)


def test_real_networks_have_the_expected_structure(shared):
    folder = shared / "networks"
    network = import_nir(folder / "nir_scnn_nmnist" / "cnn_sinabs.nir", dt_s=1e-3, reset="zero")
    assert sorted(p.size for p in network.populations) == [10, 256, 512, 4096, 4096]
    by_name = {p.name: p.linear for p in network.projections}
    assert by_name["3→6"].kernel.shape == (8, 16, 6, 6)
    assert by_name["3→6"].stride == (2, 2)
    assert by_name["6→10"].weight.shape == (256, 512)
    braille = import_nir(
        folder / "nir_braille_zero" / "braille_noDelay_bias_zero.nir", dt_s=1e-4, reset="zero"
    )
    assert [(p.model, p.size) for p in braille.populations] == [("CubaLIF", 38), ("CubaLIF", 7)]
    two = import_nir(
        folder / "nir_lif" / "two_lif_neurons.nir", dt_s=1e-4, reset="zero", spike="dirac"
    )
    assert matrix(two.projections[1].linear).item() == pytest.approx(100.0)
