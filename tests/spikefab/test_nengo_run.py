"""Nengo models on chips: what their probes decode there, and how far from what was asked for."""

import importlib
from pathlib import Path

import numpy as np
import pytest

nengo = pytest.importorskip("nengo", reason="the extra nengo is not installed")
nengo_models = pytest.importorskip("nengo_models")

import spikefab  # noqa: E402
from spikefab.nengo_run import nengo_samples, run_nengo  # noqa: E402

pytestmark = [
    pytest.mark.filterwarnings("ignore::UserWarning"),
    pytest.mark.filterwarnings("ignore:divide by zero:RuntimeWarning"),
]
SECONDS = 1.0


def lowpass(x, times):
    """Nengo's Lowpass, one after the other."""
    for tau in times:
        keep, y = np.exp(-1e-3 / tau), np.zeros_like(x)
        for row in range(1, len(x)):
            y[row] = keep * y[row - 1] + (1 - keep) * x[row - 1]
        x = y
    return x


def ideal(function):
    x = np.sin(2 * np.pi * np.arange(1, 1001) * 1e-3)
    return lowpass(function(x), [0.02, 0.02])


FUNCTIONS = {"channel": (None, lambda x: x), "square": (np.square, np.square)}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_on_loihi_decode_as_in_float(name):
    function, wanted = FUNCTIONS[name]
    net = nengo_models.channel(function, n=100)
    run = run_nengo(net, spikefab.load_chip("loihi"), duration_s=SECONDS, whole_ticks=True)
    error = run.error("out", ideal(wanted), from_s=0.2)
    # 100 LIF neurons: 0.05 of a range of 1 and 2 is what Nengo itself reaches here.
    assert error.float_rmse < 0.05
    assert error.chip_rmse < error.float_rmse + 0.01
    assert error.between_rmse < 0.03
    assert sum(s.ticks.size for s in run.spikes_chip.values()) > 1000


def test_decoders_solved_for_nengos_neuron_decode_too_little_on_a_chip():
    """What whole_ticks is for: without it a tenth of the spikes is missing."""
    net = nengo_models.channel(n=100)
    run = run_nengo(net, spikefab.load_chip("loihi"), duration_s=SECONDS)
    error = run.error("out", ideal(lambda x: x), from_s=0.2)
    assert error.float_rmse < 0.05
    assert 0.08 < error.chip_rmse < 0.3
    assert any("whole_ticks of import_nengo" in note for note in run.notes)


@pytest.mark.parametrize("chip", ["loihi", "generic"])
def test_neurons_without_a_leak_need_a_floor_and_have_one(chip):
    net = nengo_models.channel(
        np.square, neuron_type=nengo.SpikingRectifiedLinear(),
        max_rates=nengo.dists.Uniform(100, 200),
    )  # fmt: skip
    run = run_nengo(net, spikefab.load_chip(chip), duration_s=SECONDS)
    assert run.error("out", ideal(np.square), from_s=0.2).chip_rmse < 0.05
    program = run.deployment.program
    assert program.membrane_min.tolist() == [0] * program.n_neurons


def test_a_chip_without_a_floor_says_so():
    net = nengo_models.channel(neuron_type=nengo.SpikingRectifiedLinear())
    run = run_nengo(net, spikefab.load_chip("xylo-v2"), duration_s=0.05)
    assert any("xylo-v2 has no such limit" in note for note in run.notes)


def test_the_float_side_is_nengos():
    net = nengo_models.channel(np.square)
    with nengo.Simulator(net, progress_bar=False) as sim:
        sim.run(0.3)
        run = run_nengo(sim, spikefab.load_chip("loihi"), duration_s=0.3)
    np.testing.assert_allclose(run.decoded_float["out"], sim.data[net.probes[0]], atol=1e-9)
    np.testing.assert_allclose(run.times_s, sim.trange())


def test_a_recorded_run_decodes_the_same(tmp_path):
    """Through `run_network`, a trace file and its spikes."""
    model = spikefab.import_nengo(nengo_models.channel(np.square, n=40))
    chip = spikefab.load_chip("loihi")
    direct = run_nengo(model, chip, duration_s=0.2)
    samples = nengo_samples(model, 200)
    deployment = spikefab.deploy(model.network, chip, direct=True, samples=samples)
    result = spikefab.run_network(deployment, samples, folder=tmp_path)
    assert result.ticks_per_sample >= 200
    for file, shown in (("trace", direct.decoded_chip), ("float", direct.decoded_float)):
        with spikefab.Trace.open(tmp_path / f"{file}.h5") as trace:
            spikes = {p.name: trace.spikes(p.name) for p in model.network.populations}
        decoded = model.decode(spikes, 200)
        np.testing.assert_array_equal(decoded["out"], shown["out"])


def test_what_is_asked_wrongly_is_told():
    run = run_nengo(nengo_models.channel(n=20), spikefab.load_chip("loihi"), duration_s=0.01)
    with pytest.raises(KeyError, match=r"no probe 'in'; there are \['out'\]"):
        run.error("in", np.zeros(10))
    with pytest.raises(ValueError, match=r"the ideal is \(20,\), but probe 'out' \(10, 1\)"):
        run.error("out", np.zeros(20))
    with pytest.raises(ValueError, match="nothing is left after 1 s"):
        run.error("out", np.zeros(10), from_s=1)
    with pytest.raises(ValueError, match="less than a tick"):
        run_nengo(run.model, spikefab.load_chip("loihi"), duration_s=1e-4)


def test_the_example_states_its_errors(monkeypatch, capsys):
    monkeypatch.syspath_prepend(Path(__file__).resolve().parents[2] / "examples")
    example = importlib.import_module("nengo_functions")
    command = ["nengo_functions", "--neurons", "60", "--seconds", "1"]
    monkeypatch.setattr("sys.argv", command)
    example.main()
    rows = capsys.readouterr().out.splitlines()[1:]
    assert len(rows) == len(example.NEURONS) * 3
    figures = {row[:46].strip(): [float(x) for x in row[46:].split()] for row in rows}
    ticks, usual = (
        [figures[f"{kind:36}{function}"][1] for function in ("x", "x²")]
        for kind in ("LIF, decoders for whole ticks", "LIF, decoders for Nengo's")
    )
    assert max(ticks) < 0.06 < min(usual)


def test_biases_alone_run_on_a_chip():
    with nengo.Network(seed=1) as net:
        nengo.Probe(nengo.Ensemble(30, 1, label="a"), synapse=0.02, label="out")
    run = run_nengo(net, spikefab.load_chip("loihi"), duration_s=0.3, whole_ticks=True)
    assert run.error("out", np.zeros(300), from_s=0.1).chip_rmse < 0.15
    assert run.spikes_chip["a"].ticks.size > 100
