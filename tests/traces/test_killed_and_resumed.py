"""Writers that are killed at any moment, and others that go on where they were: nothing is lost."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from traces_to_break import SAMPLES, TICKS, begin, check, finish, go_on, write

import traces.store
from traces.errors import TraceFormatError, TraceWriteError
from traces.trace import Trace
from traces.writer import TraceWriter

CHECKOUT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    """Content hash of the run that nothing interrupts."""
    path = tmp_path_factory.mktemp("whole") / "t.h5"
    with begin(path) as writer:
        write(writer, 0, SAMPLES * TICKS)
        finish(writer)
    assert check(path) == SAMPLES * TICKS
    with Trace.open(path) as trace:
        return trace.content_sha256


@pytest.mark.parametrize("tick", [0, 1, 7, 63, 199])
@pytest.mark.parametrize("buffer_bytes", [1, 1 << 20])
def test_an_interrupted_run_goes_on_to_the_same_end(tmp_path, uninterrupted, tick, buffer_bytes):
    def interrupted():
        with begin(tmp_path / "t.h5", buffer_bytes=buffer_bytes) as writer:
            write(writer, 0, tick)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert go_on(tmp_path / "t.h5") == uninterrupted


def test_every_single_write_may_be_the_last(tmp_path, uninterrupted, monkeypatch):
    """Copies of the file before every write to the disk, each torn in two, as a kill leaves them."""
    copies = tmp_path / "copies"
    copies.mkdir()
    file = tmp_path / "t.h5"
    plain = traces.store.Store._write_at
    n = 0

    def copy_then_write(self, at, data):
        nonlocal n
        view = memoryview(data)
        if file.exists() and n % 3 == 0:
            plain(self, at, view[: len(view) // 2])
            shutil.copy(file, copies / f"{n}.h5")
        n += 1
        plain(self, at, view)

    monkeypatch.setattr(traces.store.Store, "_write_at", copy_then_write)
    monkeypatch.setattr("traces.walk.walk", lambda _: None)
    monkeypatch.setattr("traces.columns.CHUNK_VALUES", 16)
    writer = begin(file, buffer_bytes=2000)
    write(writer, 0, 60)
    writer.break_off()
    monkeypatch.undo()
    monkeypatch.setattr("traces.walk.walk", lambda _: None)
    found = sorted(copies.iterdir(), key=lambda path: int(path.stem))
    assert len(found) > 200
    whole = [check(path) for path in found]
    assert whole == sorted(whole)
    assert whole[-1] >= 58
    for path in found[:: len(found) // 8]:
        assert go_on(path) == uninterrupted


WRITER = """
import sys
sys.path[:0] = [{tests!r}, {checkout!r}]
import traces.columns
traces.columns.CHUNK_VALUES = 16
import time
from traces_to_break import *
writer = begin(sys.argv[1], buffer_bytes=int(sys.argv[2]), compression=sys.argv[3])
print("begun", flush=True)
write(writer, 0, SAMPLES * TICKS)
time.sleep(60)
"""


@pytest.mark.parametrize("compression", ["none", "fast", "small"])
def test_a_killed_writer_goes_on_to_the_same_end(tmp_path, uninterrupted, rng, compression):
    program = WRITER.format(tests=str(CHECKOUT / "tests"), checkout=str(CHECKOUT))
    for k in range(6):
        path = tmp_path / f"{k}.h5"
        command = [sys.executable, "-c", program, str(path), "3000", compression]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            process.stdout.readline()
            time.sleep(rng.uniform(0, 0.3))
            os.kill(process.pid, signal.SIGKILL)
        check(path)
        assert go_on(path) == uninterrupted
    assert sorted(p.name for p in tmp_path.iterdir()) == [f"{k}.h5" for k in range(6)]


def test_what_cannot_go_on_is_told(tmp_path, recording):
    path = tmp_path / "t.h5"
    writer = begin(path)
    write(writer, 0, 10)
    with pytest.raises(TraceWriteError, match="held by another process"):
        begin(path, overwrite=True)
    with pytest.raises(FileExistsError, match="choose another name"):
        begin(path)
    with pytest.raises(TraceFormatError, match="is being written"):
        TraceWriter.resume(path, 3)
    writer.break_off()
    with pytest.raises(ValueError, match="cannot go on at tick 11, it is whole up to tick 8"):
        TraceWriter.resume(path, 11)
    with Trace.open(path), pytest.raises(TraceWriteError, match="held by another process"):
        TraceWriter.resume(path, 3)
    with pytest.raises(FileNotFoundError, match="no such file"):
        TraceWriter.resume(tmp_path / "nothing.h5", 3)
    recording.write("whole.h5", {}).close()
    with pytest.raises(ValueError, match="is complete; only a trace of layout 2 that broke off"):
        TraceWriter.resume(recording.folder / "whole.h5", 3)
