"""Any tick of a recorded run, exactly, from the nearest checkpoint."""

import numpy as np
import pytest
from networks import random_network

import spikefab
from emulator.chip_file import load_chip
from spikefab.data import Samples
from spikefab.telling import BadInputError

pytestmark = pytest.mark.slow_uncompiled

NAMES = ("conv", "middle", "out")


@pytest.fixture(scope="module", params=[None, 4])
def recorded(request, tmp_path_factory):
    """A run of 3 samples with all states, without and with checkpoints within samples."""
    rng = np.random.default_rng(3)
    network = random_network(rng)
    x = (rng.random((3, 9, network.inputs[0].size)) < 0.3).astype(np.int64)
    samples = Samples(x=x, y=None, n_ticks=9, spiking=True)
    folder = tmp_path_factory.mktemp("run")
    deployment = spikefab.deploy(network, load_chip("loihi"), direct=False)
    spikefab.run_network(
        deployment, samples, folder=folder, threads=1, checkpoint_ticks=request.param,
        record=[f"v,u {name}" for name in NAMES],
    )  # fmt: skip
    return folder / "trace.h5"


def test_every_tick_is_as_it_was_recorded(recorded):
    with spikefab.open(recorded) as recording:
        trace = recording.trace
        assert len(trace.checkpoints()) > 3 or trace.checkpoints()[0] % trace.ticks == 0
        for tick in range(1, trace.samples * trace.ticks + 1, 5):
            state = recording.seek(tick)
            for name in NAMES:
                for variable, found in (("v", state[name].v), ("u", state[name].u[0])):
                    frames = trace.raw_frames(name, variable, tick - 1, tick)
                    assert np.array_equal(frames.values[0], found), (tick, name, variable)


def test_before_the_first_tick_is_what_was_loaded(recorded):
    with spikefab.open(recorded) as recording:
        program = recording.program
        for name, state in recording.seek(0).items():
            assert np.array_equal(state.v, program.initial_membrane[program.neurons_of(name)])


def test_a_tick_that_is_not_there_is_refused(recorded):
    with (
        spikefab.open(recorded) as recording,
        pytest.raises(BadInputError, match=r"tick 9999 is none of 0\.\."),
    ):
        recording.seek(9999)
