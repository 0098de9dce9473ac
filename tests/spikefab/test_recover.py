"""The commands recover and resume."""

import json
import os

import pytest
from command_line import spikefab

from traces.trace import Trace


@pytest.fixture
def ran(small):
    done = spikefab("run", "net.nir", "--data", "data.npz", "-o", "out", cwd=small)
    assert done.returncode == 0, done.stderr
    return small


@pytest.fixture
def cut(ran):
    """A trace that lost its end, as after a full disk."""
    path = ran / "out" / "trace.h5"
    os.truncate(path, path.stat().st_size * 9 // 10)
    return ran


def test_a_complete_trace_is_copied_and_told(ran):
    done = spikefab("recover", "out/trace.h5", cwd=ran)
    assert done.returncode == 0, done.stderr
    assert "trace.h5: complete, nothing is missing" in done.stdout
    with (
        Trace.open(ran / "out" / "trace.h5") as one,
        Trace.open(ran / "out" / "trace-recovered.h5") as other,
    ):
        assert one.content_sha256 == other.content_sha256 == other.content_hash()
    again = spikefab("recover", "out/trace.h5", cwd=ran)
    assert again.returncode == 2
    assert "trace-recovered.h5 exists; choose another name" in again.stderr
    assert spikefab("recover", "out/trace.h5", "--force", cwd=ran).returncode == 0


def test_what_cannot_be_saved_is_one_message(cut):
    before = (cut / "out" / "trace.h5").read_bytes()
    done = spikefab("recover", "out/trace.h5", "-o", "saved.h5", "--json", cwd=cut)
    assert "Traceback" not in done.stderr
    assert (cut / "out" / "trace.h5").read_bytes() == before
    if done.returncode == 0:
        told = json.loads(done.stdout)
        assert not told["complete"]
        assert told["lost"]
    else:
        assert done.returncode == 2
        assert "out/trace.h5: " in done.stderr
    assert spikefab("recover", "none.h5", cwd=cut).returncode == 2


def test_there_may_be_nothing_to_resume(ran):
    done = spikefab("resume", "out", cwd=ran)
    assert done.returncode == 2
    assert "out: the run in it is complete; there is nothing to resume" in done.stderr
    done = spikefab("resume", "nowhere", cwd=ran)
    assert done.returncode == 2
    assert "nowhere: no such folder; give the folder that a run was writing to" in done.stderr


def test_a_run_that_lacks_its_report_gets_it(ran):
    before = json.loads((ran / "out" / "summary.json").read_text())
    for name in ("summary.json", "report.html"):
        (ran / "out" / name).unlink()
    done = spikefab("resume", "out", cwd=ran)
    assert done.returncode == 0, done.stderr
    after = json.loads((ran / "out" / "summary.json").read_text())
    assert {k: v for k, v in after.items() if "wall" not in k} == {
        k: v for k, v in before.items() if "wall" not in k
    }
    assert (ran / "out" / "report.html").exists()
