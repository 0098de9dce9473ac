"""The command export, and runs on spikes that came from elsewhere."""

import csv
import json

import numpy as np
import pytest
from command_line import spikefab

from spikefab.export_command import window
from spikefab.telling import BadInputError
from traces.trace import Trace


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """A folder with a network, its data, and a run of it."""
    from command_line import write_network

    folder = tmp_path_factory.mktemp("ran")
    write_network(folder / "net.nir", weight=np.eye(3) * 8.0, names=("first", "second"))
    x = np.random.default_rng(3).integers(0, 2, (4, 20, 3))
    np.savez(folder / "data.npz", x=x)
    done = spikefab("run", "net.nir", "--data", "data.npz", "-o", "out", cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder


def rasters(path):
    with Trace.open(path) as trace:
        return {p.name: trace.spikes(p.name)[:2] for p in trace.populations}


@pytest.mark.parametrize(
    ("data", "more"),
    [
        (("--to", "csv", "-o", "again.csv"), ("--population", "input")),
        (None, ("--population", "input")),
        (None, ()),
    ],
)
def test_a_run_on_its_own_recorded_input_is_the_same_run(ran, tmp_path, data, more):
    path = ran / "out" / "trace.h5"
    if data is not None:
        done = spikefab("export", path, *data, cwd=tmp_path)
        assert (done.returncode, done.stderr) == (0, "")
        path = tmp_path / data[-1]
    done = spikefab(
        "run", ran / "net.nir", "--data", path, *more, "--ticks", 20, "-o", "out", cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    for name in ("trace.h5", "float.h5"):
        again, before = rasters(tmp_path / "out" / name), rasters(ran / "out" / name)
        assert again.keys() == before.keys()
        for population, columns in before.items():
            assert columns[0].size > 0
            np.testing.assert_array_equal(again[population], columns)


def test_a_recorded_population_drives_a_network(ran, tmp_path):
    done = spikefab(
        "run", ran / "net.nir", "--data", ran / "out" / "trace.h5", "--population", "first",
        "-o", "out", cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    with Trace.open(ran / "out" / "trace.h5") as before, Trace.open(
        tmp_path / "out" / "trace.h5"
    ) as trace:  # fmt: skip
        source = before.spikes("first")
        found = trace.stimulus_spikes("input")
        assert trace.input_ticks == before.ticks
        sample, tick = np.divmod(source.ticks, before.ticks)
        np.testing.assert_array_equal(found.ticks, sample * trace.ticks + tick)
        np.testing.assert_array_equal(found.neurons, source.neurons)


def test_a_window_of_one_population_is_exported(ran, tmp_path):
    done = spikefab(
        "export", ran / "out" / "trace.h5", "--to", "csv", "-o", "x.csv", "--population", "second",
        "--samples", "1:3", cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0
    assert done.stdout.startswith("written to x.csv: ")
    with (tmp_path / "x.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["population"] for row in rows} == {"second"}
    assert {row["sample"] for row in rows} == {"1", "2"}


def test_the_timeline_names_what_lies_on_cores(ran, tmp_path):
    done = spikefab(
        "export", ran / "out" / "trace.h5", "--to", "perfetto", "-o", "x.json", cwd=tmp_path
    )
    assert done.returncode == 0
    events = json.loads((tmp_path / "x.json").read_text())["traceEvents"]
    names = {e["args"]["name"] for e in events if e.get("name") == "thread_name"}
    assert any("first[0:3]" in name and name.startswith("core ") for name in names)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("--to", "pdf", "-o", "x"), 2, "'pdf'"),
        (("--to", "csv", "-o", "x.csv", "--ticks", "5"), 2, "--ticks '5': must be two whole"),
        (("--to", "csv", "-o", "x.csv", "--ticks", "0:9999"), 2, "ticks 0:9999 are not there"),
        (("--to", "csv", "-o", "x.csv", "--population", "z"), 2, "no population or input 'z'"),
        (("--to", "csv", "-o", "no/x.csv"), 2, "there is no folder"),
        (("--to", "csv", "-o", "/dev/full"), 2, "is there already"),
        (("--to", "vcd", "-o", "x.vcd", "--table", "ticks"), 2, "--table means nothing for vcd"),
    ],
)
def test_what_cannot_be_exported_is_told(ran, tmp_path, arguments, code, message):
    done = spikefab("export", ran / "out" / "trace.h5", *arguments, cwd=tmp_path)
    assert done.returncode == code
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "content", "more", "message"),
    [
        ("x.csv", "tick,channel\n0,3\n", (), "spike 0 is of channel 3, but the input has 3"),
        (
            "x.csv",
            "tick,channel\n0,2\n",
            ("--encoding", "direct"),
            "cannot enter as direct current",
        ),
        ("x.csv", "tick,channel\n0,2\n", ("--accuracy",), "spikes without classes"),
        ("x.csv", "tick,channel\n0,2\n", ("--samples", "2"), "2 samples were asked for"),
        ("x.bs2", "abcde", (), "say how its channels lie with --sensor"),
        ("x.bs2", "abcde", ("--sensor", "2,3"), "must be polarities,rows,columns"),
        ("x.txt", "", (), "data is read from .npz or .h5, spikes also from"),
    ],
)
def test_spikes_that_cannot_be_input_are_told(ran, tmp_path, name, content, more, message):
    (tmp_path / name).write_text(content)
    done = spikefab("run", ran / "net.nir", "--data", name, *more, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (None, (None, None)),
        ("3:5", (3, 5)),
        (":5", (None, 5)),
        ("3:", (3, None)),
        ("-2:5", (-2, 5)),
    ],
)
def test_windows_are_read(text, expected):
    assert window("--ticks", text) == expected


@pytest.mark.parametrize("text", ["", "5", "a:b", "1:2:3", "1.5:2"])
def test_other_text_is_no_window(text):
    with pytest.raises(BadInputError, match="such as 100:200, 100: or :200"):
        window("--ticks", text)
