"""How soon neurons can fire again, found in the program that a trace carries."""

import h5py
import numpy as np
import pytest

from emulator.chip_file import load_chip
from mapping.linear import Dense
from mapping.network import Input, Network, Population, Projection
from spikefab.data import fit_samples
from spikefab.deployment import deploy
from spikefab.least_intervals import least_intervals
from spikefab.run import run_network
from traces.measures import Limits, alarms
from traces.trace import Trace

pytestmark = pytest.mark.plain_python


@pytest.fixture
def driven(tmp_path):
    """A trace of neurons that get far more than they need, and rest for 0 to 3 ticks."""
    network = Network(
        dt_s=1e-3,
        inputs=(Input(name="in", shape=(1,)),),
        populations=(
            Population(name="out", shape=(4,), threshold=1.0,
                       refractory_s=np.array([0, 1e-3, 2e-3, 3e-3])),
        ),
        projections=(
            Projection(source="in", target="out",
                       linear=Dense(weight=np.full((4, 1), 9.0), pre_shape=(1,), post_shape=(4,))),
        ),
        outputs=("out",),
    )  # fmt: skip
    samples = fit_samples(np.ones((2, 30, 1), np.int64), None, network)
    run_network(deploy(network, load_chip("generic"), direct=False), samples, folder=tmp_path)
    return tmp_path / "trace.h5"


def test_neurons_that_fire_as_soon_as_they_can_are_saturated(driven):
    with Trace.open(driven) as trace:
        intervals = least_intervals(trace)
        spikes = trace.spikes("out", 0, trace.ticks)
        found = alarms(trace, Limits(least_interval=intervals))
        blind = alarms(trace)
    gaps = [np.unique(np.diff(spikes.ticks[spikes.neurons == k])).tolist() for k in range(4)]
    assert gaps == [[1], [2], [3], [4]]
    np.testing.assert_array_equal(intervals["out"], [1, 2, 3, 4])
    assert [(alarm.kind, alarm.neurons.tolist()) for alarm in found] == [
        ("saturated", [0, 1, 2, 3])
    ]
    assert [(alarm.kind, alarm.neurons.tolist()) for alarm in blind] == [("saturated", [0])]


def test_a_trace_without_its_program_tells_nothing(driven):
    with h5py.File(driven, "r+") as file:
        del file["attached/program"]
    with Trace.open(driven) as trace:
        assert least_intervals(trace) == {}
