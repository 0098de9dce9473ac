"""A network in float and on a chip: what is read out, and what a current is worth."""

import nir
import numpy as np
import pytest

from emulator.chip_file import load_chip
from mapping.errors import NetworkError
from mapping.nir_import import import_nir
from spikefab.data import DataError, Samples, fit_samples
from spikefab.deployment import deploy
from spikefab.run import run_network
from spikefab.summary import summary

LOIHI = load_chip("loihi")


def two_outputs():
    """Output a repeats the first two channels, output b all three the other way round."""
    one = np.ones
    nodes = {
        "in": nir.Input(np.array([3])),
        "w": nir.Linear(np.eye(3)[:2]),
        "u": nir.Linear(np.eye(3)[::-1]),
        "a": nir.IF(r=one(2), v_threshold=one(2) / 2),
        "b": nir.IF(r=one(3), v_threshold=one(3) / 2),
        "out": nir.Output(np.array([2])),
        "out2": nir.Output(np.array([3])),
    }
    edges = [("in", "w"), ("in", "u"), ("w", "a"), ("u", "b"), ("a", "out"), ("b", "out2")]
    return import_nir(
        nir.NIRGraph(nodes, edges, metadata={"dt": 1e-3, "reset": "zero"}, type_check=False)
    )


def test_the_readout_decides_the_class():
    network = two_outputs()
    x = np.repeat(np.eye(3, dtype=int)[:, None], 5, axis=1)
    samples = fit_samples(x, np.array([2, 1, 0]), network, readout="b")
    deployment = deploy(network, LOIHI, direct=False)
    result = run_network(deployment, samples, readout="b")
    numbers = summary(result, network="two", wall_s=0.0)
    assert set(numbers["accuracy"].values()) == {1.0}
    assert "classes are read from output 'b'; there are also 'a' (--readout)" in numbers["notes"]
    unlabelled = Samples(x=x, y=None, n_ticks=5, spiking=True)
    numbers = summary(run_network(deployment, unlabelled), network="two", wall_s=0.0)
    assert numbers["predictions"]["chip"] == [0, 1, 0]
    assert any("read from output 'a'" in note for note in numbers["notes"])


def test_a_readout_that_does_not_suit_is_told():
    network = two_outputs()
    samples = Samples(x=np.ones((1, 4, 3), int), y=np.array([2]), n_ticks=4, spiking=True)
    deployment = deploy(network, LOIHI, direct=False)
    with pytest.raises(DataError, match="class 2, but the output 'a' has 2 neurons"):
        run_network(deployment, samples)
    with pytest.raises(NetworkError, match="no output 'c'; there are a, b"):
        run_network(deployment, samples, readout="c")


def test_the_host_gives_currents_their_own_gain():
    one = np.ones(2)
    nodes = {
        "in": nir.Input(np.array([2])),
        "w": nir.Linear(np.array([[1.0, 0.5], [0.0, 1.0]])),
        "lif": nir.LIF(tau=0.01 * one, r=20 * one, v_leak=0 * one, v_threshold=one),
        "out": nir.Output(np.array([2])),
    }
    edges = [("in", "w"), ("w", "lif"), ("lif", "out")]
    graph = nir.NIRGraph(
        nodes, edges, metadata={"dt": 1e-3, "reset": "zero", "spike": "dirac"}, type_check=False
    )
    network = import_nir(graph)
    samples = fit_samples(np.array([[0.1, 0.2], [0.3, 0.0]]), None, network, ticks=50)
    result = run_network(deploy(network, LOIHI, direct=True), samples)
    assert result.readout_float.sum() > 10
    assert result.readout_float.max() < 50  # a thousand times the current would fire at every tick
    np.testing.assert_array_equal(result.readout_chip, result.readout_float)
