"""Writers that are killed at any moment, and others that go on where they were: nothing is lost.

The writer puts down everything that a trace can hold, in tiny blocks, so that HDF5's bookkeeping
changes all the time, as computed from the tick alone: whatever is read back can be checked.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import traces.store
from traces.errors import TraceFormatError, TraceWriteError
from traces.layout import RecordedPopulation
from traces.trace import Trace
from traces.writer import TraceWriter

CHECKOUT = Path(__file__).resolve().parents[2]
TICKS, SAMPLES = 40, 5
CELLS = (
    RecordedPopulation(name="a", shape=(30,), lag=0, output=False, spiking=True, payload=True),
    RecordedPopulation(name="b", shape=(20,), lag=1, output=True, spiking=True),
)


def begin(path, **how):
    return TraceWriter(
        path, kind="chip", populations=CELLS, samples=SAMPLES, ticks=TICKS, input_ticks=10,
        dt_s=1e-3, provenance={"seed": 1}, **how,
    )  # fmt: skip


def spikes_of(tick, size):
    return np.flatnonzero((np.arange(size) * 7 + tick) % 5 < 2)


def write(writer, first, last, *, checkpoint_every=7):
    """Write ticks ``first`` to ``last``, each as it would come from an engine."""
    for tick in range(first, last):
        if tick and tick % checkpoint_every == 0:
            writer.checkpoint(tick, {"tick": tick}, {"v": np.full(200, tick)})
        if tick % TICKS == 0:
            writer.stimulus_spikes("in", tick + np.arange(3), np.arange(3), np.ones(3, int))
        for cells in CELLS:
            who = spikes_of(tick, cells.size)
            payload = [who + tick] if cells.payload else []
            writer.spikes(cells.name, np.full(who.size, tick), who, *payload)
        writer.state("b", "v", np.full((1, 20), tick * 2**17), scale=1.0)
        if tick % 3 == 0:
            chosen = {"ticks": np.array([tick]), "neurons": np.array([2, 5])}
            writer.state("a", "u", np.full((1, 2), tick), scale=1.0, **chosen)
        names = ["source_kind", "source", "core", "hops", "left_ps", "arrived_ps", "done_ps"]
        writer.packets(timestamps=np.full(4, tick), **{n: np.arange(4) + tick for n in names})
        writer.tick_counters(spikes=np.array([tick]), duration_ps=np.array([tick * 10]))


def finish(writer):
    writer.totals("core", {"spikes": np.array([4, 5])})


def check(path):
    """Read all that is there; return the ticks that are whole."""
    with Trace.open(path) as trace:
        whole = trace.whole_ticks
        for cells in CELLS:
            expected = [(t, n) for t in range(whole) for n in spikes_of(t, cells.size).tolist()]
            found = trace.spikes(cells.name, 0, whole)
            pairs = zip(found.ticks.tolist(), found.neurons.tolist(), strict=True)
            assert list(pairs) == expected
            if cells.payload:
                np.testing.assert_array_equal(found.payload, found.ticks + found.neurons)
        frames = trace.frames("b", "v") if ("b", "v") in trace.states() else None
        if frames is not None:
            np.testing.assert_array_equal(frames.values[:, 3], frames.ticks * 2**17)
        if trace.tables:
            packets = trace.packets()
            np.testing.assert_array_equal(
                packets.hops, packets.timestamps + np.tile(range(4), len(packets.hops) // 4)
            )
        for tick in trace.checkpoints():
            assert tick <= whole
            assert trace.checkpoint(tick).header == {"tick": tick}
        return whole


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


def go_on(path):
    """Resume from the last checkpoint, as a run does; return the content hash."""
    with Trace.open(path) as trace:
        tick = max(trace.checkpoints(), default=0)
    # The sample's stimulus is written at its begin.
    following = -(-tick // TICKS) * TICKS
    with TraceWriter.resume(path, tick, stimulus_tick=following) as writer:
        write(writer, tick, SAMPLES * TICKS)
        finish(writer)
    assert check(path) == SAMPLES * TICKS
    with Trace.open(path) as trace:
        assert trace.complete
        assert trace.content_hash() == trace.content_sha256
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
    monkeypatch.setattr("traces.trace.walk", lambda _: None)
    monkeypatch.setattr("traces.columns.CHUNK_VALUES", 16)
    writer = begin(file, buffer_bytes=2000)
    write(writer, 0, 60)
    writer.__exit__(KeyboardInterrupt, KeyboardInterrupt(), None)
    monkeypatch.undo()
    monkeypatch.setattr("traces.trace.walk", lambda _: None)
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
from test_killed_and_resumed import *
writer = begin(sys.argv[1], buffer_bytes=int(sys.argv[2]), compression=sys.argv[3])
print("begun", flush=True)
write(writer, 0, SAMPLES * TICKS)
time.sleep(60)
"""


@pytest.mark.parametrize("compression", ["none", "fast", "small"])
def test_a_killed_writer_goes_on_to_the_same_end(tmp_path, uninterrupted, rng, compression):
    program = WRITER.format(tests=str(CHECKOUT / "tests/traces"), checkout=str(CHECKOUT))
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
    writer.__exit__(KeyboardInterrupt, KeyboardInterrupt(), None)
    with pytest.raises(ValueError, match="cannot go on at tick 11, it is whole up to tick 8"):
        TraceWriter.resume(path, 11)
    with Trace.open(path), pytest.raises(TraceWriteError, match="held by another process"):
        TraceWriter.resume(path, 3)
    with pytest.raises(FileNotFoundError, match="no such file"):
        TraceWriter.resume(tmp_path / "nothing.h5", 3)
    recording.write("whole.h5", {}).close()
    with pytest.raises(ValueError, match="is complete; only a trace of layout 2 that broke off"):
        TraceWriter.resume(recording.folder / "whole.h5", 3)
