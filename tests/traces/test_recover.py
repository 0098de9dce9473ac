"""What can be read of a damaged trace is saved, into a file that is sound."""

import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from traces_to_break import CELLS, SAMPLES, TICKS, begin, check, finish, go_on, write

from traces.errors import TraceFormatError
from traces.recover import recover
from traces.trace import Trace

FILES = Path(__file__).resolve().parents[1] / "data" / "traces"


@pytest.fixture
def broken_off(tmp_path):
    path = tmp_path / "t.h5"
    writer = begin(path)
    writer.attach("network", {"name": "n"}, {"w": np.arange(100)})
    write(writer, 0, 100)
    writer.break_off()
    return path


def hash_of(path):
    with Trace.open(path) as trace:
        return trace.content_sha256


def whole(path):
    with begin(path) as writer:
        write(writer, 0, SAMPLES * TICKS)
        finish(writer)
    return path


def test_a_whole_trace_is_recovered_whole(tmp_path):
    path = whole(tmp_path / "t.h5")
    before = path.read_bytes()
    found = recover(path, tmp_path / "r.h5")
    assert (found.complete, found.whole_ticks, found.lost) == (True, SAMPLES * TICKS, ())
    assert found.rows["/packets"] == (800, 800)
    assert hash_of(tmp_path / "r.h5") == hash_of(path)
    assert check(tmp_path / "r.h5") == 200
    assert path.read_bytes() == before


def test_a_killed_trace_is_recovered_and_goes_on(broken_off, tmp_path):
    raw = broken_off.read_bytes()
    broken_off.write_bytes(raw[: raw.rindex(b"spikefab-seal-02") - 500])  # no seal: as killed
    found = recover(broken_off, tmp_path / "r.h5")
    assert (found.complete, found.whole_ticks, found.lost) == (False, 99, ())
    with Trace.open(tmp_path / "r.h5") as trace:
        assert trace.attached("network").header == {"name": "n"}
        assert trace.checkpoints() == (91, 98)
        assert trace.provenance == {"seed": 1, "recovered_from": "t.h5"}
    assert check(tmp_path / "r.h5") == 99
    assert go_on(tmp_path / "r.h5") == hash_of(whole(tmp_path / "whole.h5"))


@pytest.mark.parametrize("layout", ["chip", "float", "broken_off"])
def test_layout_1_is_recovered_as_layout_1(tmp_path, layout):
    source = FILES / "v1" / f"{layout}.h5"
    found = recover(source, tmp_path / "r.h5")
    assert found.lost == ()
    with Trace.open(source) as a, Trace.open(tmp_path / "r.h5") as b:
        assert found.complete == a.complete == b.complete
        assert (a.whole_ticks, a.content_hash()) == (b.whole_ticks, b.content_hash())


def test_a_trace_that_was_cut_off_keeps_what_lies_before(tmp_path):
    path = whole(tmp_path / "t.h5")
    raw = path.read_bytes()
    for part, least in ((0.98, 100), (0.9, 50)):
        path.write_bytes(raw[: int(len(raw) * part)])
        with pytest.raises(TraceFormatError, match=r"damaged.*spikefab recover saves"):
            Trace.open(path)
        found = recover(path, tmp_path / "r.h5", overwrite=True)
        assert not found.complete
        assert found.lost
        assert found.whole_ticks == check(tmp_path / "r.h5") >= least
    path.write_bytes(raw[: len(raw) // 3])
    with pytest.raises(TraceFormatError, match=r"cut off at byte [\d,]+\); nothing can be saved"):
        recover(path, tmp_path / "new.h5")


def test_a_damaged_block_costs_what_lies_behind_it_and_no_other_table(tmp_path, monkeypatch):
    monkeypatch.setattr("traces.columns.CHUNK_VALUES", 64)
    path = whole(tmp_path / "t.h5")
    with h5py.File(path, "r") as file:
        chunk = file["packets/hops"].id.get_chunk_info(3)
    raw = bytearray(path.read_bytes())
    raw[chunk.byte_offset + 5] ^= 4
    path.write_bytes(raw)
    with Trace.open(path) as trace, pytest.raises(TraceFormatError, match="hops is damaged"):
        trace.packets()
    found = recover(path, tmp_path / "r.h5")
    assert found.rows["/packets"] == (3 * 64, 800)
    assert found.rows["/counters/tick"] == (200, 200)
    assert found.lost[0].startswith("/packets: ")
    # Four packets a tick; the last tick that was kept may be there in part.
    assert found.whole_ticks == 3 * 64 // 4 - 1
    with Trace.open(tmp_path / "r.h5") as trace:
        assert trace.n_spikes("a") == sum(
            len([n for n in range(30) if (n * 7 + t) % 5 < 2]) for t in range(200)
        )
    check(tmp_path / "r.h5")


def test_files_that_say_they_are_being_written_are_read(tmp_path):
    """HDF5's newer formats say so, and keep saying so when the writer was killed."""
    path, old = tmp_path / "t.h5", whole(tmp_path / "o.h5")
    code = (
        "import h5py, os, sys\n"
        "new, old = h5py.File(sys.argv[1], 'w', libver='latest'), h5py.File(sys.argv[2])\n"
        "for name in old: old.copy(name, new)\n"
        "for name, value in old.attrs.items(): new.attrs[name] = value\n"
        "new.flush()\n"
        "os._exit(0)"
    )
    subprocess.run([sys.executable, "-c", code, str(path), str(old)], check=True)
    with pytest.raises(OSError, match="already open for write"):
        h5py.File(path, "r")
    with Trace.open(path) as trace:
        assert trace.content_hash() == hash_of(old)
    found = recover(path, tmp_path / "r.h5")
    assert found.lost == ()
    assert hash_of(tmp_path / "r.h5") == hash_of(old)


@pytest.mark.parametrize("content", [b"", b"no trace at all", bytes(100_000)])
def test_what_is_no_trace_is_told(tmp_path, content):
    (tmp_path / "t.h5").write_bytes(content)
    with pytest.raises(TraceFormatError, match="nothing can be saved"):
        recover(tmp_path / "t.h5", tmp_path / "r.h5")
    assert [p.name for p in tmp_path.iterdir()] == ["t.h5"]


def test_no_file_is_written_over(broken_off, tmp_path):
    with pytest.raises(FileExistsError, match="choose another name"):
        recover(broken_off, broken_off, overwrite=True)
    (tmp_path / "r.h5").touch()
    with pytest.raises(FileExistsError, match="choose another name"):
        recover(broken_off, tmp_path / "r.h5")
    with pytest.raises(FileNotFoundError, match="no such file"):
        recover(tmp_path / "nothing.h5", tmp_path / "new.h5")


def test_a_trace_that_is_being_written_is_not_recovered(tmp_path):
    with begin(tmp_path / "t.h5"):
        with pytest.raises(TraceFormatError, match="is being written"):
            recover(tmp_path / "t.h5", tmp_path / "r.h5")
        assert CELLS
