"""Imported Nengo models do what Nengo does: every spike, every decoded value; the rest is refused."""

import numpy as np
import pytest

nengo = pytest.importorskip("nengo", reason="the extra nengo is not installed")
nengo_models = pytest.importorskip("nengo_models")

from mapping.errors import UnsupportedNodeError  # noqa: E402
from mapping.linear import Sparse  # noqa: E402
from mapping.nengo_import import import_nengo  # noqa: E402
from mapping.nengo_ticks import in_whole_ticks  # noqa: E402
from mapping.network_file import load_network, save_network  # noqa: E402
from mapping.reference import prepare, simulate  # noqa: E402

pytestmark = [
    pytest.mark.filterwarnings("ignore::UserWarning"),
    pytest.mark.filterwarnings("ignore:divide by zero:RuntimeWarning"),
]
STEPS = 300


def simulated(model, n_ticks=STEPS):
    run = simulate(prepare(model.network, timing="chip"), model.drive(n_ticks))
    return model.decode(run.spikes, n_ticks)


@pytest.mark.parametrize(
    ("make", "dt"),
    [
        (nengo_models.everything, 1e-3),
        (nengo_models.everything, 5e-4),
        (nengo_models.pictures, 1e-3),
        (nengo_models.arrays, 1e-3),
        (nengo_models.channel, 2e-3),
    ],
)
def test_every_probe_shows_what_nengo_shows(make, dt):
    net = make()
    with nengo.Simulator(net, dt=dt, progress_bar=False) as sim:
        sim.run_steps(STEPS)
        shown = simulated(import_nengo(sim))
    assert len(shown) == len(net.all_probes) > 0
    for probe, decoded in zip(net.all_probes, shown.values(), strict=True):
        assert decoded.shape == sim.data[probe].shape
        spikes = isinstance(probe.obj, nengo.ensemble.Neurons) and probe.synapse is None
        if spikes:
            assert np.any(decoded)
            np.testing.assert_array_equal(decoded, sim.data[probe])
        np.testing.assert_allclose(decoded, sim.data[probe], rtol=1e-9, atol=1e-9)


def test_a_network_a_model_and_a_simulator_give_the_same():
    net = nengo_models.channel()
    model = nengo.builder.Model(dt=1e-3)
    model.build(net)
    with nengo.Simulator(net, progress_bar=False) as sim:
        hashes = {import_nengo(each).network.sha256 for each in (net, model, sim)}
    assert len(hashes) == 1


def test_an_imported_network_is_saved_and_read(tmp_path):
    network = import_nengo(nengo_models.everything()).network
    save_network(network, tmp_path / "nengo.npz")
    read = load_network(tmp_path / "nengo.npz")
    assert read.sha256 == network.sha256
    assert [p.rule for p in read.populations] == [p.rule for p in network.populations]


def test_whole_ticks_are_nengos_own_with_such_a_neuron():
    net = nengo_models.channel(np.square)
    with in_whole_ticks(nengo, net, 1e-3), nengo.Simulator(net, progress_bar=False) as sim:
        sim.run_steps(STEPS)
    shown = simulated(import_nengo(net, whole_ticks=True))
    np.testing.assert_allclose(shown["out"], sim.data[net.probes[0]], atol=1e-12)
    assert all(type(e.neuron_type) is nengo.LIF for e in net.ensembles)


def test_decoders_of_whole_ticks_are_other_ones():
    net = nengo_models.channel()
    usual, ticks = (import_nengo(net, whole_ticks=w) for w in (False, True))
    last = [m.network.projections[-1].linear.weight for m in (usual, ticks)]
    assert not np.allclose(*last)


def test_names_follow_networks_and_are_unique():
    with nengo.Network(label="top") as net:
        nengo.Ensemble(5, 1, label="x")
        nengo.Ensemble(5, 1, label="x")
        nengo.Ensemble(5, 1)
        with nengo.Network(label="in/side"):
            nengo.Ensemble(5, 1, label="x")
    names = [p.name for p in import_nengo(net).network.populations]
    assert names == ["x", "x#2", "ensemble2", "in|side.x"]


def test_an_ensemble_may_be_called_as_the_input_is_and_a_probe_show_less():
    with nengo.Network(seed=1) as net:
        stim = nengo.Node([0.5])
        a, b = nengo.Ensemble(20, 1, label="input"), nengo.Ensemble(20, 1, label="outside0")
        nengo.Connection(stim, a)
        # A synapse of no time still shows a tick late.
        nengo.Connection(a, b, synapse=0)
        nengo.Probe(b.neurons, label="out", sample_every=0.002)
    model = import_nengo(net)
    assert [part.name for part in model.network.parts] == ["outside1", "input", "outside0"]
    assert any("shows every tick here, not one in 0.002 s" in n for n in model.network.notes)
    with nengo.Simulator(net, progress_bar=False) as sim:
        sim.run_steps(STEPS)
        shown = simulated(import_nengo(sim))["out"]
    np.testing.assert_array_equal(shown[1::2], sim.data[net.probes[0]])


def test_without_a_synapse_spikes_take_a_tick_and_that_is_told():
    with nengo.Network(seed=1) as net:
        a, b = nengo.Ensemble(20, 1, label="a"), nengo.Ensemble(20, 1, label="b")
        nengo.Connection(a, b, synapse=None)
    notes = import_nengo(net).network.notes
    assert any("within the tick in Nengo; here its spikes take a tick" in note for note in notes)


def test_convolutions_stay_lists():
    network = import_nengo(nengo_models.pictures()).network
    assert all(isinstance(p.linear, Sparse) for p in network.projections)
    assert network.projections[0].linear.n_synapses == 36 * 4 * 9 * 2


def test_ensembles_without_input_run_on_their_biases():
    with nengo.Network(seed=1) as net:
        a = nengo.Ensemble(30, 1)
        probe = nengo.Probe(a.neurons)
    with nengo.Simulator(net, progress_bar=False) as sim:
        sim.run_steps(STEPS)
        np.testing.assert_array_equal(simulated(import_nengo(sim))["probe0"], sim.data[probe])


def refused_model():
    with nengo.Network(seed=0) as net:
        pre = nengo.Ensemble(10, 1, label="pre")
        post = nengo.Ensemble(10, 1, label="post")
        code = nengo.Node(lambda t, x: x**2, size_in=1, label="code")
        relay = nengo.Node(size_in=1, label="relay")
        nengo.Connection(pre, post, learning_rule_type=nengo.PES(), label="learns")
        nengo.Connection(post, code)
        nengo.Connection(code, pre)
        nengo.Connection(post, relay)
        nengo.Connection(relay, pre, synapse=None)
        for number, kind in enumerate(
            [nengo.Izhikevich(), nengo.AdaptiveLIF(), nengo.LIFRate(), nengo.Tanh(), nengo.Direct(),
             nengo.PoissonSpiking(nengo.LIFRate()), nengo.RegularSpiking(nengo.Sigmoid())]
        ):  # fmt: skip
            nengo.Ensemble(10, 1, neuron_type=kind, label=f"kind{number}")
        noisy = nengo.processes.WhiteNoise()
        nengo.Ensemble(10, 1, label="noisy", noise=noisy)
        target = nengo.Ensemble(10, 1, label="target")
        nengo.Connection(pre, target, synapse=nengo.Alpha(0.01))
        mixed = nengo.Ensemble(10, 1, label="mixed")
        nengo.Connection(pre, mixed, synapse=0.1)
        nengo.Connection(post, mixed, synapse=0.005)
        ring = [nengo.Node(size_in=1, label=f"ring{k}") for k in range(2)]
        nengo.Connection(ring[0], ring[1])
        nengo.Connection(ring[1], ring[0])
        nengo.Connection(ring[1], target)
    return net


def test_everything_that_is_refused_is_told_at_once():
    with pytest.raises(UnsupportedNodeError) as error:
        import_nengo(refused_model())
    text = str(error.value)
    for part in (
        "learns (PES",
        "<Node 'code'>: runs Python code",
        "(refused_model.<locals>.<lambda>) on what the network sends",
        "Izhikevich has a quadratic membrane",
        "AdaptiveLIF has an adapting current",
        "LIFRate sends rates",
        "Tanh sends rates",
        "Direct calculates functions in Python",
        "PoissonSpiking draws its spikes at random",
        "RegularSpiking of Sigmoid has a curve",
        "<Ensemble 'noisy'>: has noise",
        "use Lowpass(tau=0.02) with the same mean delay",
        "mixed: neurons reach it through synapses of 5 ms, 100 ms",
        "passthrough nodes feed each other without a neuron",
    ):
        assert part in text, part


def test_approximations_are_made_where_asked_for_and_told():
    with nengo.Network(seed=0) as net:
        pre = nengo.Ensemble(30, 1, label="pre")
        post = nengo.Ensemble(30, 1, label="post")
        nengo.Connection(nengo.Node([0.5]), pre)
        nengo.Connection(pre, post, synapse=nengo.Alpha(0.02))
        nengo.Connection(post, post, synapse=0.1, transform=0.3)
        nengo.Probe(post, synapse=0.05, label="out")
    with pytest.raises(UnsupportedNodeError, match="approximate=True"):
        import_nengo(net)
    model = import_nengo(net, approximate=True)
    notes = "\n".join(model.network.notes)
    assert "Lowpass(tau=0.04) with the same mean delay takes its place" in notes
    assert "synapses of 40 ms, 100 ms; all take the slowest" in notes
    with nengo.Simulator(net, progress_bar=False) as sim:
        sim.run_steps(1000)
    # Gains are those of the model, so that what is settled is the same.
    shown = simulated(model, 1000)["out"][-200:].mean()
    assert shown == pytest.approx(sim.data[net.probes[0]][-200:].mean(), abs=0.05)


def test_nodes_that_only_listen_and_probes_of_states_are_left_out():
    net = nengo_models.channel()
    with net:
        sink = nengo.Node(lambda t, x: None, size_in=1, label="sink")
        nengo.Connection(net.ensembles[1], sink)
        nengo.Probe(net.ensembles[0].neurons, "voltage")
    model = import_nengo(net)
    notes = "\n".join(model.network.notes)
    assert "<Node 'sink'>: only listens" in notes
    assert "voltage of Neurons is not made of spikes" in notes
    assert list(model.readouts) == ["out"]


def test_what_is_no_model_is_told():
    net = nengo_models.channel()
    with pytest.raises(TypeError, match=r"nengo\.Network.* is needed, not str"):
        import_nengo("model")
    with pytest.raises(ValueError, match="not built yet"):
        import_nengo(nengo.builder.Model())
    with pytest.raises(ValueError, match="tick must be positive"):
        import_nengo(net, dt_s=0)
    with nengo.Simulator(net, progress_bar=False) as sim:
        with pytest.raises(ValueError, match=r"built with a tick of 0.001 s, not 0.002"):
            import_nengo(sim, dt_s=0.002)
        with pytest.raises(ValueError, match="its decoders are solved already"):
            import_nengo(sim, whole_ticks=True)
    with pytest.raises(UnsupportedNodeError, match="there is no ensemble"):
        import_nengo(nengo.Network())


def test_nodes_that_give_no_numbers_are_told():
    with nengo.Network() as net:
        node = nengo.Node(lambda t: 1.0 if t < 0.01 else np.nan)
        nengo.Connection(node, nengo.Ensemble(10, 1))
    model = import_nengo(net)
    assert model.currents(9).shape == (9, 1)
    with pytest.raises(ValueError, match=r"gives NaN or infinite values, first at 0\.01 s"):
        model.currents(20)
