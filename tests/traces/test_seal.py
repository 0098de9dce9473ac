"""Every byte of a closed trace is vouched for; HDF5 sees nothing of what was changed."""

import os
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from traces_to_break import SAMPLES, TICKS, begin, finish, write

import traces.walk
from traces.errors import TraceFormatError
from traces.trace import Trace
from traces.writer import TraceWriter

CHECKOUT = Path(__file__).resolve().parents[2]


@pytest.fixture
def sealed(tmp_path):
    path = tmp_path / "t.h5"
    with begin(path) as writer:
        write(writer, 0, SAMPLES * TICKS)
        finish(writer)
    return path


@pytest.fixture
def no_walk(monkeypatch):
    """Fail if a sealed file is walked through by a child process."""

    def walked(store):
        raise AssertionError(f"{store} was taken for unsealed")

    monkeypatch.setattr(traces.walk, "walk", walked)


def read_all(path):
    with Trace.open(path) as trace:
        for population in trace.populations:
            trace.spikes(population.name)
        for population, variable in trace.states():
            trace.frames(population, variable)
        trace.packets()
        trace.tick_counters()
        trace.stimulus_spikes("in")
        trace.core_counters()
        for tick in trace.checkpoints():
            trace.checkpoint(tick)


def test_every_changed_byte_is_noticed(sealed, no_walk, rng):
    read_all(sealed)
    raw = sealed.read_bytes()
    for at in rng.choice(len(raw) - 16, 150, replace=False):
        changed = bytearray(raw)
        changed[at] ^= 1 << rng.integers(0, 8)
        sealed.write_bytes(changed)
        with pytest.raises(TraceFormatError, match="damaged"):
            read_all(sealed)


def test_blocks_that_change_places_are_noticed(sealed, no_walk):
    with h5py.File(sealed, "r") as file:
        a, b = (file[f"packets/{name}"].id.get_chunk_info(0) for name in ("left_ps", "done_ps"))
    raw = bytearray(sealed.read_bytes())
    first, second = (slice(c.byte_offset, c.byte_offset + c.size) for c in (a, b))
    raw[first], raw[second] = raw[second], raw[first]
    raw[second.start] ^= 1  # these two columns hold the same
    raw[second.start + 1] ^= 1
    sealed.write_bytes(raw)
    with Trace.open(sealed) as trace, pytest.raises(TraceFormatError, match="from its checksum"):
        trace.packets()


def test_a_run_that_broke_off_in_order_is_sealed_too(tmp_path, no_walk):
    writer = begin(tmp_path / "t.h5")
    write(writer, 0, 30)
    writer.break_off()
    with Trace.open(tmp_path / "t.h5") as trace:
        assert not trace.complete


def test_notes_renew_the_seal(sealed, no_walk):
    with Trace.open(sealed) as trace:
        before = trace.content_sha256
    for k in range(3):
        TraceWriter.add_notes(sealed, **{f"note{k}": "x" * 5000})
    with Trace.open(sealed) as trace:
        assert trace.provenance["note2"] == "x" * 5000
        assert trace.content_hash() == before
    read_all(sealed)


def test_notes_do_not_bless_damage(sealed):
    with h5py.File(sealed, "r") as file:
        chunk = file["packets/hops"].id.get_chunk_info(0)
    raw = bytearray(sealed.read_bytes())
    raw[chunk.byte_offset] ^= 1
    sealed.write_bytes(raw)
    with pytest.raises(OSError, match="differs from its checksum"):
        TraceWriter.add_notes(sealed, partner="p")
    assert sealed.read_bytes() == raw


def test_a_file_that_others_changed_is_walked_through_and_read(sealed):
    with h5py.File(sealed, "r+") as file:
        file.attrs["mine"] = 3
    assert not sealed.read_bytes().endswith(b"spikefab-seal-02")
    read_all(sealed)


def test_a_header_that_was_changed_is_noticed_without_a_seal(tmp_path):
    writer = begin(tmp_path / "t.h5")
    write(writer, 0, 30)
    writer.break_off()
    with h5py.File(tmp_path / "t.h5", "r+") as file:
        file.attrs["whole_ticks"] = 31
    with pytest.raises(TraceFormatError, match="its header differs from its checksum"):
        Trace.open(tmp_path / "t.h5")


@pytest.mark.parametrize(
    ("does", "message"),
    [("os.kill(os.getpid(), 11)", "HDF5 crashes on it"), ("time.sleep(9)", "does not come back")],
)
def test_what_kills_the_child_is_an_error_here(sealed, tmp_path, monkeypatch, does, message):
    with h5py.File(sealed, "r+"):
        pass  # without a seal, and new to this process
    (tmp_path / "sitecustomize.py").write_text(
        f"import os, sys, time\nif 'traces.walk' in sys.orig_argv: {does}\n"
    )
    monkeypatch.setattr(traces.walk, "WALK_S", 1.0)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    with pytest.raises(TraceFormatError, match=message):
        Trace.open(sealed)


def test_open_traces_do_no_harm_when_python_ends(sealed):
    code = "import sys; from traces.trace import Trace; t = Trace.open(sys.argv[1]); t.spikes('a')"
    done = subprocess.run(
        [sys.executable, "-c", code, str(sealed)], cwd=CHECKOUT, capture_output=True, text=True,
        check=False, env=os.environ | {"PYTHONPATH": str(CHECKOUT)},
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")


def test_a_writer_that_is_forgotten_leaves_its_last_flush(tmp_path):
    code = (
        "import sys; from traces_to_break import *\n"
        "w = begin(sys.argv[1]); write(w, 0, 30); w.flush(); write(w, 30, 33)"
    )
    paths = os.pathsep.join([str(CHECKOUT), str(CHECKOUT / "tests")])
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "t.h5")], capture_output=True, text=True,
        check=False, env=os.environ | {"PYTHONPATH": paths},
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    with Trace.open(tmp_path / "t.h5") as trace:
        assert trace.whole_ticks == 29
        assert np.all(trace.packets().timestamps < 30)
