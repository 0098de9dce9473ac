"""Runs that break off, for real: killed, out of disk space, interrupted, robbed of their folder."""

import shutil
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import pytest

from traces.errors import TraceWriteError
from traces.trace import Trace

CHECKOUT = Path(__file__).resolve().parents[2]

ENDLESS = """
import sys, numpy as np
from traces.errors import TraceWriteError
from traces.layout import RecordedPopulation
from traces.writer import TraceWriter
{before}
cells = [RecordedPopulation(name="a", shape=(1000,), lag=0, output=True, spiking=True)]
try:
    with TraceWriter(sys.argv[1], kind="chip", populations=cells, samples=1, ticks=10**9,
                     input_ticks=1, dt_s=1e-3, provenance={{}}, buffer_bytes=320_000) as writer:
        for tick in range(10**9):
            writer.spikes("a", np.full(1000, tick), np.arange(1000))
            writer.state("a", "v", np.full((1, 1000), tick), scale=1.0)
            if tick % 100 == 99:
                print(tick, flush=True)
except TraceWriteError as error:
    print("broke off:", error, flush=True)
    sys.exit(5)
"""


@contextmanager
def endless(path, before=""):
    """Write until something goes wrong."""
    process = subprocess.Popen(
        [sys.executable, "-c", ENDLESS.format(before=before), str(path)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=CHECKOUT,
    )  # fmt: skip
    with process:
        try:
            yield process
        finally:
            process.kill()


def run_until_it_breaks_off(path, before=""):
    """Return what was printed."""
    with endless(path, before) as process:
        text, errors = process.communicate(timeout=60)
    assert errors == ""
    assert process.returncode == 5
    return text


def whole_ticks(path):
    """Ticks in a broken-off file; each must hold its 1000 spikes and its frame."""
    with Trace.open(path) as trace:
        assert not trace.complete
        assert trace.content_sha256 is None
        spikes = trace.spikes("a")
        frames = trace.state("a", "v")
    n = len(spikes.ticks) // 1000
    np.testing.assert_array_equal(spikes.ticks[: n * 1000], np.repeat(np.arange(n), 1000))
    np.testing.assert_array_equal(spikes.neurons[: n * 1000], np.tile(np.arange(1000), n))
    assert len(frames) >= n - 1
    np.testing.assert_array_equal(frames, np.arange(len(frames))[:, None] + np.zeros(1000))
    return n


def promised_ticks(text):
    """Ticks that the error says are readable."""
    return int(text.split("is readable up to tick ")[1].split()[0]) + 1


@pytest.mark.parametrize("wait_s", [0.02, 0.11, 0.23])
def test_a_killed_process_leaves_what_was_flushed(tmp_path, wait_s):
    with endless(tmp_path / "t.h5") as process:
        process.stdout.readline()
        time.sleep(wait_s)
        process.kill()
        text, _ = process.communicate()
    # Tick 99 was told, so at most the last 20 ticks before it wait in a buffer.
    told = int(text.split()[-1]) if text.split() else 99
    assert whole_ticks(tmp_path / "t.h5") >= told - 20
    assert [p.name for p in tmp_path.iterdir()] == ["t.h5"]


def test_a_full_disk_ends_the_run_with_a_readable_file(small_disk):
    text = run_until_it_breaks_off(small_disk / "t.h5")
    assert "No space left on device" in text
    assert whole_ticks(small_disk / "t.h5") >= promised_ticks(text) > 100
    assert [p.name for p in small_disk.iterdir()] == ["t.h5"]


def test_a_limited_file_size_ends_the_run_with_a_readable_file(tmp_path):
    before = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (4 << 20, 4 << 20))"
    text = run_until_it_breaks_off(tmp_path / "t.h5", before)
    assert "cannot be written on (File too large)" in text
    assert whole_ticks(tmp_path / "t.h5") >= promised_ticks(text) > 100


def test_a_disk_that_is_full_from_the_start(small_disk):
    with suppress(OSError):
        (small_disk / "other").write_bytes(bytes(6 << 20))
    assert "cannot be" in run_until_it_breaks_off(small_disk / "t.h5")
    assert sorted(p.name for p in small_disk.iterdir()) == ["other"]


@pytest.mark.parametrize("replaced", [False, True])
def test_a_vanished_folder_ends_the_run(recording, replaced):
    folder = recording.folder / "gone"
    folder.mkdir()
    writer = recording.writer("gone/t.h5")
    shutil.rmtree(folder)
    if replaced:
        # Another run made a file of the same name; writing on would be in vain.
        folder.mkdir()
        (folder / "kept").touch()
        (folder / "t.h5").touch()
    writer.spikes("a", np.array([5]), np.array([0]))
    with pytest.raises(TraceWriteError, match=r"t\.h5 has vanished.*; the file is gone"):
        writer.flush()
    with pytest.raises(TraceWriteError, match="an earlier write failed"):
        writer.flush()
    with pytest.raises(TraceWriteError, match="an earlier write failed"):
        writer.note(wall_s=1.0)
    writer.close()


def test_a_folder_that_is_not_there(recording):
    with pytest.raises(TraceWriteError, match=r"cannot be created .*No such file or directory"):
        recording.writer("nowhere/t.h5")


@pytest.mark.parametrize("error", [KeyboardInterrupt, ZeroDivisionError])
def test_an_interrupted_run_keeps_what_it_recorded(recording, error):
    def interrupted():
        with recording.writer("t.h5") as writer:
            writer.spikes("a", np.array([5, 5]), np.array([1, 0]))
            raise error

    with pytest.raises(error):
        interrupted()
    with Trace.open(recording.folder / "t.h5") as trace:
        assert not trace.complete
        assert [c.tolist() for c in trace.spikes("a")[:2]] == [[5, 5], [0, 1]]


def test_an_interrupt_in_the_middle_of_a_write_loses_and_doubles_nothing(recording):
    """The interrupt hits between the two columns of a table."""

    class Interrupting:
        def __init__(self, parts):
            self.parts = parts

        def __array__(self, dtype=None, copy=None):
            raise KeyboardInterrupt

    def interrupted():
        with recording.writer("t.h5") as writer:
            writer.spikes("a", np.array([5, 6]), np.array([1, 2]))
            held = writer.tables["/spikes/a"]._held
            whole, held["node_ids"] = held["node_ids"], [Interrupting(held["node_ids"])]
            try:
                writer.flush()
            finally:
                held["node_ids"] = whole

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    with Trace.open(recording.folder / "t.h5") as trace:
        assert [c.tolist() for c in trace.spikes("a")[:2]] == [[5, 6], [1, 2]]


def test_counters_of_ticks_tell_how_far_a_silent_run_came(recording):
    writer = recording.writer("t.h5")
    for _ in range(3):
        writer.tick_counters(active=np.ones(5, int), duration_ps=np.ones(5, int))
    writer.__exit__(KeyboardInterrupt, KeyboardInterrupt(), None)
    with Trace.open(recording.folder / "t.h5") as trace:
        assert not trace.complete
        # The spikes of the last batch may still have been on their way.
        assert trace.whole_ticks == 10
