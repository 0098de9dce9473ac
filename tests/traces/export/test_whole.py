"""A file is there whole or not at all, whatever happens."""

import os
import subprocess
import sys

import pytest

from traces.errors import ExportError, TraceWriteError
from traces.export.formats import FORMATS, export
from traces.export.whole import whole_file
from traces.trace import Trace

NAMES = {
    "sonata": "x.h5", "csv": "x.csv", "vcd": "x.vcd", "perfetto": "x.json", "nwb": "x.nwb",
    "parquet": "x.parquet", "neo": "x.pkl",
}  # fmt: skip
NEEDS = {"nwb": "pynwb", "parquet": "pyarrow", "neo": "neo"}
ALL = sorted(FORMATS)


def needed(to):
    if to in NEEDS:
        pytest.importorskip(NEEDS[to], reason=f"exports to {to} need it; pip install '.[{to}]'")


@pytest.mark.parametrize("to", ALL)
def test_an_earlier_file_stays_unless_told(everything, tmp_path, to):
    needed(to)
    path = tmp_path / NAMES[to]
    path.write_text("precious")
    with pytest.raises(ExportError, match="is there already; choose another, or use --force"):
        export(everything.trace, to, path)
    assert path.read_text() == "precious"
    export(everything.trace, to, path, force=True)
    assert path.read_bytes() != b"precious"
    assert sorted(os.listdir(tmp_path)) == sorted(["trace.h5", path.name])


@pytest.mark.parametrize("to", ALL)
@pytest.mark.parametrize("trouble", [KeyboardInterrupt, OSError(28, "No space left on device")])
def test_an_export_that_ends_early_leaves_nothing(everything, tmp_path, monkeypatch, to, trouble):
    needed(to)
    monkeypatch.setattr("traces.export.selection.MOST_EVENTS", 8)
    seen = []
    read = Trace.spikes

    def failing(self, *window):
        seen.append(window)
        if len(seen) > 3:
            raise trouble
        return read(self, *window)

    monkeypatch.setattr(Trace, "spikes", failing)
    path = tmp_path / NAMES[to]
    path.write_text("precious")
    expected = KeyboardInterrupt if trouble is KeyboardInterrupt else TraceWriteError
    with pytest.raises(expected) as told:
        export(everything.trace, to, path, force=True)
    if expected is TraceWriteError:
        assert str(told.value).startswith(f"{path}: cannot be written (No space left on device)")
    assert path.read_text() == "precious"
    assert sorted(os.listdir(tmp_path)) == sorted(["trace.h5", path.name])


@pytest.mark.parametrize("to", ALL)
def test_a_full_disk_leaves_nothing(long_trace, small_disk, to):
    needed(to)
    if to in ("vcd", "perfetto", "parquet"):  # whose files are small
        (small_disk / "other").write_bytes(bytes(6 * 2**20 - 100_000))
    before = os.listdir(small_disk)
    with Trace.open(long_trace(1_000_000)) as trace, pytest.raises(TraceWriteError) as told:
        export(trace, to, small_disk / NAMES[to])
    assert str(told.value).startswith(f"{small_disk / NAMES[to]}: cannot be written")
    assert os.listdir(small_disk) == before


def test_a_file_that_another_made_meanwhile_stays(tmp_path):
    path = tmp_path / "x.csv"

    def write():
        with whole_file(path) as unfinished:
            unfinished.write_text("mine")
            path.write_text("theirs")

    with pytest.raises(ExportError, match="was made by another"):
        write()
    assert path.read_text() == "theirs"
    assert os.listdir(tmp_path) == ["x.csv"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("", "this is a folder"),
        ("none/x.csv", "there is no folder"),
        ("trace.h5", "this is the trace itself"),
    ],
)
def test_places_that_cannot_be_written(everything, tmp_path, name, message):
    with pytest.raises(ExportError, match=message):
        export(everything.trace, "csv", tmp_path / name, force=True)


@pytest.mark.parametrize(("to", "library"), NEEDS.items())
def test_a_missing_library_is_named_with_its_extra(everything, tmp_path, to, library):
    code = (
        f"import sys; sys.modules[{library!r}] = None\n"
        "from traces.export.formats import export\n"
        "from traces.trace import Trace\n"
        f"export(Trace.open({str(everything.path)!r}), {to!r}, {str(tmp_path / NAMES[to])!r})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert f"needs {library}, which is not installed" in done.stderr
    assert f"pip install 'spikefab[{to}]'" in done.stderr
    assert not (tmp_path / NAMES[to]).exists()
