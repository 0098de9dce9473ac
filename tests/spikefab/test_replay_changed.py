"""Recorded runs again with another precision, chip, or input."""

import json
from dataclasses import replace

import numpy as np
import pytest
from command_line import spikefab
from replays import SAMPLES, TICKS, deployed, recorded

from spikefab.replay.changed import on_chip, run_changed, settings_of
from spikefab.replay.edits import edited, from_events
from spikefab.replay.recording import Recording
from spikefab.run import run_network
from spikefab.telling import BadInputError
from traces.compare import compare
from traces.trace import Trace

pytestmark = pytest.mark.plain_python


@pytest.fixture
def run(tmp_path):
    recorded(tmp_path / "run")
    with Trace.open(tmp_path / "run/trace.h5") as trace:
        yield Recording(trace)


@pytest.fixture
def samples(tmp_path):
    return deployed(tmp_path)[1]


def test_nothing_changed_is_no_difference(run):
    found = run_changed(run, deployment=on_chip(run, None, {}))
    assert found.comparison.equal
    assert found.flipped.size == 0
    assert found.recorded.size == SAMPLES


def test_another_precision_is_that_of_a_new_run(run, tmp_path):
    settings = settings_of(["numbers.weight_bits=3"])
    found = run_changed(run, deployment=on_chip(run, None, settings), what=["weights"])
    assert not found.comparison.equal
    deployment, samples = deployed(tmp_path, numbers__weight_bits=3)
    (tmp_path / "new").mkdir()
    result = run_network(deployment, samples, folder=tmp_path / "new")
    assert found.result.deployment.program.sha256 == deployment.program.sha256
    assert np.array_equal(found.replayed, result.readout_chip.argmax(1))
    with (
        Trace.open(tmp_path / "new/trace.h5") as new,
        Trace.open(tmp_path / "new/float.h5") as other,
    ):
        assert compare(run.trace, new) == found.comparison
        assert compare(other, new) == found.with_float
    wanted = float(np.mean(found.recorded == samples.y))
    assert found.accuracy(found.recorded) == wanted


def test_settings_are_read_as_a_chip_file_has_them():
    found = settings_of(
        ["a.b=4", "c=true", "d.e=0.5", "f='>='", "g=subtract-once", "h=[1, 2]", "i=toward-zero"]
    )
    assert list(found.values()) == [4, True, 0.5, ">=", "subtract-once", [1, 2], "toward-zero"]
    for text in ("a.b", "=4", "a="):
        with pytest.raises(BadInputError, match="must be KEY=VALUE in the names of a chip file"):
            settings_of([text])


def test_edits_remove_then_shift_then_add(samples):
    x = np.asarray(samples.x, int)
    found = edited(
        samples, "input", remove=["0@2..4/1"], shift=["1..2@0..1=+3", "*@19/0=1"],
        add=["input:2@*/3=2", "0@0/0"],
    )  # fmt: skip
    wanted = x.copy()
    wanted[1, 2:5, 0] = 0
    moved = wanted[:, 0:2, 1:3].copy()
    wanted[:, 0:2, 1:3] = 0
    wanted[:, 3:5, 1:3] += moved
    dropped = wanted[0, 19].sum()
    wanted[0, 19] = 0
    wanted[3, :, 2] += 2
    wanted[0, 0, 0] += 1
    assert np.array_equal(found.samples.x, wanted)
    assert found.removed == x[1, 2:5, 0].sum()
    assert found.shifted == moved.sum() + dropped
    assert found.dropped == dropped
    assert found.added == 2 * TICKS + 1
    assert np.array_equal(samples.x, x)


@pytest.mark.parametrize("by", [-40, -19, -3, 0, 3, 19, 40])
def test_spikes_are_shifted_or_fall_off(samples, by):
    x = np.asarray(samples.x, int)
    found = edited(samples, "input", shift=[f"*@*={by}"])
    wanted = np.zeros_like(x)
    for tick in range(TICKS):
        if 0 <= tick + by < TICKS:
            wanted[:, tick + by] = x[:, tick]
    assert np.array_equal(found.samples.x, wanted)
    assert found.dropped == x.sum() - wanted.sum()


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"remove": ["3@0"]}, "--remove 3@0: channel 3 is not there; there are 0..2"),
        ({"remove": ["0@20"]}, "tick 20 is not there; there are 0..19"),
        ({"remove": ["0@0/4"]}, "sample 4 is not there"),
        ({"remove": ["0"]}, r"must be \[INPUT:\]CHANNELS@TICKS"),
        ({"remove": ["2..1@0"]}, "channel 2..1 is not there"),
        ({"remove": ["other:0@0"]}, "there is no input 'other'; there is 'input'"),
        ({"shift": ["0@0"]}, "needs a whole number behind =; 3@10=.2 moves by 2 ticks"),
        ({"add": ["0@0=0"]}, "0 spikes cannot be added"),
        ({"add": ["0@0=9999999999"]}, "would spike"),
    ],
)
def test_edits_that_cannot_be_are_refused(samples, how, message):
    with pytest.raises(BadInputError, match=message):
        edited(samples, "input", **how)


def test_direct_current_is_not_edited(tmp_path):
    _, samples = deployed(tmp_path, direct=True)
    with pytest.raises(BadInputError, match="the input was direct current"):
        edited(samples, "input", remove=["0@0"])


def test_events_of_a_file_are_all_input(samples, tmp_path):
    (tmp_path / "e.csv").write_text("tick,payload,channel\n0,2,1\n24,,2\n24,3,2\n")
    found = from_events(samples, tmp_path / "e.csv", 23)
    wanted = np.zeros_like(np.asarray(samples.x, int))
    wanted[0, 0, 1], wanted[1, 1, 2] = 2, 4
    assert np.array_equal(found.samples.x, wanted)
    assert found.added - found.removed == wanted.sum() - np.asarray(samples.x, int).sum()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "its first line must name the columns"),
        ("tick,chan\n", "its first line must name the columns tick, channel .* but is tick, chan"),
        ("tick,channel\n1,x\n", r"line 2: tick, channel and payload must be whole"),
        ("tick,channel\n21,0\n", "line 2: tick 21 takes no input; there are 4 samples of 23 ticks"),
        ("tick,channel\n0,0\n92,0\n", "line 3: tick 92 takes no input"),
        ("tick,channel\n0,3\n", "channel 3 with payload 1, but there are channels 0..2"),
        ("tick,channel,payload\n0,0,-1\n", "channel 0 with payload -1"),
    ],
)
def test_events_that_cannot_be_are_refused(samples, tmp_path, text, message):
    (tmp_path / "e.csv").write_text(text)
    with pytest.raises(BadInputError, match=message):
        from_events(samples, tmp_path / "e.csv", 23)


def test_an_edited_input_is_run_saved_and_compared(tmp_path):
    recorded(tmp_path / "run")
    done = spikefab(
        "replay", "run/trace.h5", "--remove", "*@0..9/1", "-o", "new", "--json", cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    deployment, samples = deployed(tmp_path)
    x = np.array(samples.x)
    x[1, :10] = 0
    result = run_network(deployment, replace(samples, x=x))
    with Trace.open(tmp_path / "new/trace.h5") as new:
        for name, counts in result.counts_chip.items():
            assert np.array_equal(new.counts(name), counts)
        assert new.provenance["replay_of"]
    assert told["recorded_to_replayed"]["equal"] is False
    assert told["recorded_to_replayed"]["first"]["sample"] == 1
    assert {"trace.h5", "float.h5", "summary.json", "report.html"} <= {
        p.name for p in (tmp_path / "new").iterdir()
    }
    before = spikefab("replay", "new/trace.h5", cwd=tmp_path)
    assert before.stdout.startswith("identical"), before.stderr


def test_integers_that_came_as_integers_are_not_quantised_anew(run):
    run.embedded.how["quantiser"] = None
    with pytest.raises(BadInputError, match="its network came in the integers of loihi"):
        on_chip(run, None, {})
