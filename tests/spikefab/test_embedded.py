"""What a trace carries: enough to make its run again."""

import h5py
import numpy as np
import pytest
from command_line import write_network

from emulator.chip_file import load_chip
from mapping.deploy import map_network
from mapping.nir_import import import_nir
from spikefab.data import fit_samples
from spikefab.deployment import deploy
from spikefab.embedded import Embedded
from spikefab.run import run_network
from traces.errors import TraceFormatError
from traces.trace import Trace

pytestmark = pytest.mark.plain_python
HERE = ("network", "chip", "program")


@pytest.fixture
def network(tmp_path):
    write_network(tmp_path / "net.nir", weight=np.full((2, 3), 8.0))
    return import_nir(tmp_path / "net.nir", reset="zero")


@pytest.fixture
def spiking_run(network):
    x = np.random.default_rng(0).integers(0, 2, (4, 20, 3))
    samples = fit_samples(x, np.array([0, 1, 1, 0]), network)
    return deploy(network, load_chip("loihi"), direct=False), samples


@pytest.fixture
def direct_run(network):
    x = np.random.default_rng(0).random((4, 3))
    samples = fit_samples(x, None, network, ticks=20)
    return deploy(network, load_chip("loihi"), direct=True, samples=samples), samples


def test_a_run_carries_all_it_was_made_from(spiking_run, tmp_path):
    deployment, samples = spiking_run
    run_network(deployment, samples, folder=tmp_path)
    with Trace.open(tmp_path / "trace.h5") as trace:
        found = Embedded(trace)
        for name in HERE:
            assert getattr(found, name).sha256 == getattr(deployment, name).sha256
        assert found.samples.x.dtype == samples.x.dtype
        assert np.array_equal(found.samples.x, samples.x)
        assert np.array_equal(found.samples.y, samples.y)
        assert (found.samples.n_ticks, found.samples.spiking) == (samples.n_ticks, True)
        again = found.deployment
        assert again.fixed.errors == deployment.fixed.errors
        assert again.fixed.notes == deployment.fixed.notes
        _, program = map_network(again.fixed, again.chip)
        assert program.sha256 == deployment.program.sha256
        assert np.array_equal(again.used.synapse_words, deployment.used.synapse_words)
        assert found.how["quantiser"] == "spikefab"
        assert found.how["direct"] is False


def test_held_values_are_kept_once(direct_run, tmp_path):
    deployment, samples = direct_run
    run_network(deployment, samples, folder=tmp_path)
    with Trace.open(tmp_path / "trace.h5") as trace:
        found = Embedded(trace).samples
        assert found.x.shape == samples.x.shape
        assert np.array_equal(found.x, samples.x)
        assert found.spiking is False


def test_what_was_changed_is_refused(spiking_run, tmp_path):
    deployment, samples = spiking_run
    run_network(deployment, samples, folder=tmp_path)
    with h5py.File(tmp_path / "trace.h5", "a") as file:
        file["attached/program/arrays/weight"][0] -= 1
        file["provenance"].attrs["network_sha256"] = "0" * 64
        del file["attached/samples"]
    with Trace.open(tmp_path / "trace.h5") as trace:
        found = Embedded(trace)
        with pytest.raises(TraceFormatError, match="attached/program differs from its hash"):
            _ = found.program
        with pytest.raises(TraceFormatError, match="recorded from the network 000000000000"):
            _ = found.network
        with pytest.raises(TraceFormatError, match="holds no samples"):
            _ = found.samples
