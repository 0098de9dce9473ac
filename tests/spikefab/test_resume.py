"""A run that broke off goes on from its last checkpoint and ends as if nothing had been."""

from itertools import count

import numpy as np
import pytest
from networks import random_network

from emulator.chip_file import load_chip
from spikefab.data import Samples
from spikefab.deployment import deploy
from spikefab.replay.recording import Recording
from spikefab.replay.whole import replay_whole
from spikefab.run import resume_network, run_network
from spikefab.summary import summary
from traces.trace import Trace

pytestmark = pytest.mark.slow_uncompiled

TRIGGERED = ("v conv[0:9] around spike middle 2:3", "u middle every 3 ticks")


class Broken(Exception):  # noqa: N818
    """What ends a run in these tests."""


def case(seed, *, n_samples=4, n_ticks=9):
    rng = np.random.default_rng(seed)
    network = random_network(rng)
    shape = (n_samples, n_ticks, network.inputs[0].size)
    x = (rng.random(shape) < 0.3).astype(np.int64)
    samples = Samples(x=x, y=rng.integers(0, 4, n_samples), n_ticks=n_ticks, spiking=True)
    return deploy(network, load_chip("loihi"), direct=False, seed=seed), samples


def broken_off(deployment, samples, folder, monkeypatch, *, after, **how):
    """Run, and break off when so many blocks of the chip have been recorded."""
    from spikefab import record

    block, number = record.Recorder.block, count(1)

    def counted(self, *arguments):
        block(self, *arguments)
        if next(number) == after:
            raise Broken

    monkeypatch.setattr(record.Recorder, "block", counted)
    with pytest.raises(Broken):
        run_network(deployment, samples, folder=folder, **how)
    monkeypatch.undo()


def hashes(folder):
    found = []
    for name in ("trace.h5", "float.h5"):
        with Trace.open(folder / name) as trace:
            assert trace.complete
            assert trace.content_hash() == trace.content_sha256
            found.append(trace.content_sha256)
    return found


def same(one, other):
    for name in ("readout_float", "readout_chip", "readout_instant", "settled"):
        assert np.array_equal(getattr(one, name), getattr(other, name)), name
    for name in ("counts_float", "counts_chip", "counters", "ticks"):
        for key, value in getattr(one, name).items():
            assert np.array_equal(value, getattr(other, name)[key]), (name, key)
    assert one.currents_cut == other.currents_cut
    numbers = [summary(result, network="net", wall_s=0.0) for result in (one, other)]
    for each in numbers:
        each.pop("wall_s"), each.pop("speed", None)
    assert {k: v for k, v in numbers[0].items() if "wall" not in k} == {
        k: v for k, v in numbers[1].items() if "wall" not in k
    }


@pytest.mark.parametrize(
    ("record", "fabric"),
    [((), "ideal"), (("packets", "activity"), "queued"), (TRIGGERED, "links"),
     (("spikes out", "v conv every 2"), "ideal")],
)  # fmt: skip
@pytest.mark.parametrize("after", [1, 4])
def test_going_on_ends_in_the_same_files(tmp_path, monkeypatch, record, fabric, after):
    deployment, samples = case(after)
    how = {"fabric": fabric, "record": record, "threads": 1, "checkpoint_ticks": 4}
    for name in ("whole", "broken"):
        (tmp_path / name).mkdir()
    whole = run_network(deployment, samples, folder=tmp_path / "whole", **how)
    broken_off(deployment, samples, tmp_path / "broken", monkeypatch, after=after, **how)
    resumed = resume_network(tmp_path / "broken", threads=1)
    same(whole, resumed)
    assert hashes(tmp_path / "whole") == hashes(tmp_path / "broken")


def test_a_run_that_never_came_to_a_checkpoint_begins_again(tmp_path, monkeypatch):
    deployment, samples = case(7)
    for name in ("whole", "broken"):
        (tmp_path / name).mkdir()
    whole = run_network(deployment, samples, folder=tmp_path / "whole")
    broken_off(deployment, samples, tmp_path / "broken", monkeypatch, after=1)
    with Trace.open(tmp_path / "broken" / "trace.h5") as trace:
        assert trace.checkpoints() == ()
    same(whole, resume_network(tmp_path / "broken"))
    assert hashes(tmp_path / "whole") == hashes(tmp_path / "broken")


def test_a_complete_run_is_read_back(tmp_path):
    deployment, samples = case(8)
    whole = run_network(deployment, samples, folder=tmp_path)
    before = hashes(tmp_path)
    same(whole, resume_network(tmp_path))
    assert hashes(tmp_path) == before


@pytest.mark.parametrize(
    ("record", "fabric"), [(("packets", "activity"), "queued"), (TRIGGERED, "ideal"),
                           (("spikes out", "v conv[3:30] every 2"), "links")],
)  # fmt: skip
def test_all_that_was_recorded_is_replayed(tmp_path, record, fabric):
    deployment, samples = case(9)
    run_network(deployment, samples, folder=tmp_path, record=record, fabric=fabric)
    with Trace.open(tmp_path / "trace.h5") as trace:
        verdict = replay_whole(Recording(trace))
    assert verdict.identical, verdict
    assert verdict.not_compared == ()
