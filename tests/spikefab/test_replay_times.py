"""Recorded spikes on other fabrics, places and costs: the times of a real run, or a band with them."""

import json
from dataclasses import replace

import numpy as np
import pytest
from command_line import spikefab
from replays import deployed, network_in, recorded

from emulator.chip_file import chip_with, load_chip
from emulator.engine import Engine
from emulator.program_file import save_program
from spikefab.replay.recording import Recording, Window
from spikefab.replay.retimed import retime, timed_like
from spikefab.run import run_network
from spikefab.telling import BadInputError
from traces.trace import Trace

pytestmark = pytest.mark.plain_python
TREE = {
    "fabric.topology": "tree", "fabric.fan_out": [2, 2], "mesh.width": 2, "mesh.height": 2,
}  # fmt: skip
EQUAL = {"timing__neuron_active_ps": 5300}
"""An active neuron takes as long as another one."""


def real(program, chip, recording, fabric):
    """Times of a real run, and when spikes left in it."""
    engine = Engine(program, chip, fabric=fabric, n_threads=1)
    times, sent, update = [], [], []

    def observe(block):
        activity = block.counted.activity
        times.append(block.tick_ps)
        sent.append(activity.spike_ps)
        update.append(activity.update_ps.copy())

    trace = recording.trace
    engine.run(map(recording.stimulus, range(trace.samples)), trace.ticks, observe)
    return np.concatenate(times), np.concatenate(sent), np.concatenate(update)


@pytest.fixture
def two_cores(tmp_path, monkeypatch):
    """A run on two cores, as if it had been recorded with activity."""
    recorded(tmp_path / "run", limits__neurons_per_core=9)
    with Trace.open(tmp_path / "run/trace.h5") as trace:
        recording = Recording(trace)
        assert recording.program.n_cores > 1
        _, sent, update = real(recording.program, recording.chip, recording, "ideal")

        def activity(self, start, stop):
            ticks = self.fired(0, trace.whole_ticks).tick
            return sent[(ticks >= start) & (ticks < stop)], update[start:stop]

        monkeypatch.setattr(Recording, "activity", activity)
        yield recording


@pytest.mark.parametrize("fabric", ["simple", "ideal", "links", "queued"])
def test_with_activity_times_are_those_of_a_real_run(two_cores, fabric):
    found = retime(two_cores, fabric=fabric, timing=load_chip("loihi-sanafe"))
    chip = timed_like(two_cores.chip, load_chip("loihi-sanafe"))
    wanted, *_ = real(two_cores.program, chip, two_cores, fabric)
    assert found.exact
    assert found.least.duration_ps.tolist() == found.most.duration_ps.tolist() == wanted.tolist()
    assert found.before.duration_ps.tolist() != wanted.tolist()


def test_on_other_places_times_and_energies_are_those_of_a_real_run(two_cores):
    program = two_cores.program
    other = replace(program, core=program.core[::-1] * 7 + 20)
    found = retime(two_cores, program=other, fabric="queued")
    wanted, *_ = real(other, two_cores.chip, two_cores, "queued")
    assert found.exact
    assert found.least.duration_ps.tolist() == wanted.tolist()
    assert set(found.least.slowest_core) <= set(other.core)
    assert found.least.energy.nominal.network > found.before.energy.nominal.network
    here = retime(two_cores)
    assert here.least.duration_ps.tolist() == here.before.duration_ps.tolist()
    assert here.least.energy == here.before.energy


def test_neurons_in_other_cores_give_a_band_with_the_real_times(two_cores):
    program, chip = two_cores.program, two_cores.chip
    deployment, _ = deployed(two_cores.trace.path.parent, limits__neurons_per_core=20)
    assert deployment.program.n_cores != program.n_cores
    found = retime(two_cores, program=deployment.program)
    assert not found.exact
    assert "cores hold other neurons now" in found.why
    wanted, *_ = real(deployment.program, chip, two_cores, "ideal")
    assert np.all(found.least.duration_ps <= wanted)
    assert np.all(wanted <= found.most.duration_ps)


def test_without_activity_times_are_a_band_that_holds_the_recorded_ones(tmp_path):
    recorded(tmp_path / "run")
    with Trace.open(tmp_path / "run/trace.h5") as trace:
        recording = Recording(trace)
        for window in (None, Window(25, 40)):
            found = retime(recording, window=window)
            assert not found.exact
            assert "does not say which neurons were active" in found.why
            assert np.all(found.least.duration_ps <= found.before.duration_ps)
            assert np.all(found.before.duration_ps <= found.most.duration_ps)
            assert np.any(found.least.duration_ps < found.most.duration_ps)
    done = spikefab("replay", "run/trace.h5", "--timing", "loihi", "--json", cwd=tmp_path)
    told = json.loads(done.stdout)
    assert told["exact"] is False
    assert told["after"].keys() == {"least", "most"}
    assert told["after"]["least"]["total_s"] < told["after"]["most"]["total_s"]


@pytest.mark.parametrize("fabric", ["simple", "queued"])
def test_where_active_neurons_take_no_longer_no_activity_is_needed(tmp_path, fabric):
    recorded(tmp_path / "run", **EQUAL)
    deployment, samples = deployed(tmp_path, **EQUAL)
    wanted = run_network(deployment, samples, fabric=fabric)
    with Trace.open(tmp_path / "run/trace.h5") as trace:
        found = retime(Recording(trace), fabric=fabric)
    assert found.exact
    assert found.least.duration_ps.tolist() == wanted.ticks["duration_ps"].ravel().tolist()
    assert found.least.energy.nominal.total == pytest.approx(wanted.energy.total)
    if fabric == "queued":
        assert found.least.carried.latency.tolist() == wanted.carried.latency.tolist()
        assert found.least.carried.busy_ps.tolist() == wanted.carried.busy_ps.tolist()


def test_a_recorded_network_on_chip_is_told_as_it_was(tmp_path):
    run = recorded(tmp_path / "run", run={"fabric": "queued"}, **EQUAL)
    with Trace.open(tmp_path / "run/trace.h5") as trace:
        before = retime(Recording(trace), fabric="ideal").before
    assert before.carried.latency.tolist() == run.carried.latency.tolist()
    assert before.carried.packets.tolist() == run.carried.packets.tolist()


def test_programs_of_other_networks_are_refused(tmp_path):
    recorded(tmp_path / "run")
    deployment, _ = deployed(tmp_path)
    program = deployment.program
    save_program(replace(program, threshold=program.threshold * 2), tmp_path / "other.h5")
    done = spikefab("replay", "run/trace.h5", "--mapping", "other.h5", cwd=tmp_path)
    assert done.returncode == 2
    assert "a program of another network: threshold of neurons differs" in done.stderr
    with Trace.open(tmp_path / "run/trace.h5") as trace:
        chip = chip_with(load_chip("loihi"), TREE)
        with pytest.raises(BadInputError, match="the tables of loihi do not suit loihi"):
            retime(Recording(trace), timing=chip)
    assert network_in(tmp_path).sha256 == deployment.network.sha256
