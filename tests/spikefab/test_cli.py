"""The command line as a user meets it: a process, its exit code, its files."""

import json
import re
import signal
import subprocess
import time
from pathlib import Path

import h5py
import nir
import numpy as np
import pytest
from command_line import COMMAND, ENVIRONMENT, spikefab

from traces.trace import Trace

# Whole runs of 360 samples; the kernels in them are tested as plain Python elsewhere.
pytestmark = pytest.mark.slow_uncompiled

CHECKOUT = Path(__file__).resolve().parents[2]
CHIP = (CHECKOUT / "emulator" / "chips" / "loihi.toml").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """One run of the demo that many tests look at."""
    folder = tmp_path_factory.mktemp("demo")
    done = spikefab("demo", "--model", "mlp", "-o", "out", cwd=folder, anew=True)
    assert done.returncode == 0, done.stderr
    return folder / "out", done


def test_the_demo_writes_what_it_says(demo):
    folder, done = demo
    assert {p.name for p in folder.iterdir()} == {
        "trace.h5",
        "float.h5",
        "summary.json",
        "report.html",
    }
    assert "accuracy" in done.stdout
    numbers = json.loads((folder / "summary.json").read_text())
    assert numbers["accuracy"]["float"] >= 0.96
    assert numbers["accuracy"]["chip"] >= numbers["accuracy"]["float"] - 0.01
    for key in (
        "network", "chip", "samples", "ticks", "agreement", "synaptic_events", "packets",
        "energy_j_per_sample", "latency_s_per_sample", "cores_used", "saturations", "wall_s",
        "versions", "seed",
    ):  # fmt: skip
        assert numbers[key] is not None, key
    assert numbers["samples"] == 360
    with Trace.open(folder / "trace.h5") as trace:
        assert numbers["spikes"]["chip"] == sum(trace.n_spikes(p.name) for p in trace.populations)
        assert trace.tick_counters()["spikes"].sum() == numbers["spikes"]["chip"]
        assert trace.ticks == numbers["ticks_per_sample"]
        assert trace.core_counters()["spikes"].sum() == numbers["spikes"]["chip"]
        time_s = trace.tick_counters()["duration_ps"].sum() * 1e-12
        assert numbers["latency_s_per_sample"] == pytest.approx(time_s / 360)


def test_the_report_needs_no_network(demo):
    page = (demo[0] / "report.html").read_text()
    assert not re.search(r"""(src|href)=["']?https?:""", page)
    assert page.count("data:image/png;base64,") == 5


def test_the_traces_name_each_other(demo):
    with Trace.open(demo[0] / "float.h5") as a, Trace.open(demo[0] / "trace.h5") as b:
        assert a.provenance["partner_sha256"] == b.content_sha256 == b.content_hash()
        assert b.provenance["partner_sha256"] == a.content_sha256 == a.content_hash()


def test_the_same_command_gives_the_same_content(demo, tmp_path):
    assert spikefab("demo", "--model", "mlp", "-o", "again", cwd=tmp_path).returncode == 0
    for name in ("float.h5", "trace.h5"):
        with Trace.open(demo[0] / name) as a, Trace.open(tmp_path / "again" / name) as b:
            assert a.content_sha256 == b.content_sha256


def test_compare_tells_equal_from_different(demo):
    folder = demo[0]
    different = spikefab("compare", "float.h5", "trace.h5", cwd=folder)
    assert different.returncode == 4
    assert "first difference: sample" in different.stdout
    assert spikefab("compare", "trace.h5", "trace.h5", cwd=folder).returncode == 0
    as_json = spikefab("compare", "float.h5", "trace.h5", "--json", cwd=folder)
    assert json.loads(as_json.stdout)["equal"] is False


def test_compare_names_the_cause(demo):
    folder = demo[0]
    shown = spikefab("compare", "float.h5", "trace.h5", "--samples", "2", cwd=folder)
    assert shown.returncode == 4
    assert "differing spikes in samples" in shown.stdout
    last = shown.stdout.rstrip().splitlines()[-1]
    assert re.search(r"of the \d+ differing spikes vanish with float weights; ", last)
    plain = spikefab("compare", "float.h5", "trace.h5", "--no-cause", cwd=folder)
    assert plain.returncode == 4
    assert "vanish" not in plain.stdout
    found = json.loads(
        spikefab("compare", "trace.h5", "float.h5", "--samples", "2", "--json", cwd=folder).stdout
    )
    assert found["sentence"] == last
    assert found["causes"]["unlike"] == found["causes"]["noise"] == 0
    for how, message in (
        (("--neuron", "spikes2"), "write it as hidden[42]"),
        (("--ticks", "9"), "write them as 10:20"),
        (("--neuron", "spikes9[1]"), "there is no population 'spikes9'"),
    ):
        refused = spikefab("compare", "float.h5", "trace.h5", *how, cwd=folder)
        assert refused.returncode == 2
        assert message in refused.stderr


def test_info_and_chips(demo):
    folder = demo[0]
    assert "360 samples" in spikefab("info", "trace.h5", cwd=folder).stdout
    assert "loihi" in spikefab("chips", cwd=folder).stdout
    shown = spikefab("chips", "loihi", cwd=folder).stdout
    assert "energy.synaptic_event_pj" in shown
    assert "Davies" in shown


def graph(path, *, weight=None, tau=0.01, n=3, metadata=None):
    weight = np.ones((2, n)) if weight is None else weight
    one = np.ones(2)
    nodes = {
        "input": nir.Input({"input": np.array([n])}),
        "weights": nir.Affine(weight, np.zeros(2)),
        "lif": nir.LIF(tau=one * tau, r=one, v_leak=0 * one, v_threshold=one),
        "output": nir.Output({"output": np.array([2])}),
    }
    edges = [("input", "weights"), ("weights", "lif"), ("lif", "output")]
    nir.write(path, nir.NIRGraph(nodes=nodes, edges=edges, metadata=metadata or {}))


@pytest.fixture
def folder(tmp_path):
    """A good network and good data, and bad ones of each kind."""
    said = {"dt": 1e-3, "reset": "zero"}
    nan = np.ones((2, 3))
    nan[0, 1] = np.nan
    graph(tmp_path / "good.nir", metadata=said, weight=np.full((2, 3), 8.0))
    graph(tmp_path / "silent.nir")
    graph(tmp_path / "nan.nir", weight=nan, metadata=said)
    graph(tmp_path / "negative.nir", tau=-1.0, metadata=said)
    graph(tmp_path / "short.nir", tau=1e-5, metadata=said)
    graph(tmp_path / "wide.nir", n=5000, metadata=said)
    np.savez(tmp_path / "good.npz", x=np.ones((4, 20, 3), int), y=np.zeros(4, int))
    np.savez(tmp_path / "classes.npz", x=np.ones((4, 20, 3), int), y=np.arange(4) % 3)
    np.savez(tmp_path / "unlabelled.npz", x=np.ones((4, 3)))
    np.savez(tmp_path / "narrow.npz", x=np.ones((4, 2)))
    np.savez(tmp_path / "empty.npz", x=np.ones((0, 3)))
    np.savez(tmp_path / "wide.npz", x=np.ones((1, 2, 5000)))
    (tmp_path / "text.nir").write_text("hello")
    (tmp_path / "bad.toml").write_text(CHIP.replace("delay_max", "delay_maks"))
    (tmp_path / "text.toml").write_text("a = = 1")
    (tmp_path / "file").write_text("in the way")
    return tmp_path


def test_run_without_output_writes_nothing(folder):
    before = sorted(p.name for p in folder.iterdir())
    done = spikefab("run", "good.nir", "--data", "good.npz", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert sorted(p.name for p in folder.iterdir()) == before


def test_accuracy_without_labels_is_null(folder):
    done = spikefab(
        "run", "good.nir", "--data", "unlabelled.npz", "--ticks", 5, "-o", "out", cwd=folder
    )
    assert done.returncode == 0, done.stderr
    numbers = json.loads((folder / "out" / "summary.json").read_text())
    assert numbers["accuracy"]["float"] is None
    assert numbers["accuracy"]["chip"] is None
    assert numbers["ticks"] == 5


GOOD = ("good.nir", "--data", "good.npz")


def test_a_full_folder_is_refused_and_force_replaces_only_its_own(folder):
    (folder / "out").mkdir()
    (folder / "out" / "mine.txt").write_text("keep")
    for arguments in (("demo", "--model", "mlp"), ("run", *GOOD)):
        refused = spikefab(*arguments, "-o", "out", cwd=folder)
        assert refused.returncode == 2
        assert "--force" in refused.stderr
        assert [p.name for p in (folder / "out").iterdir()] == ["mine.txt"]
    for _ in range(2):
        forced = spikefab("run", *GOOD, "-o", "out", "--force", cwd=folder)
        assert forced.returncode == 0
        assert (folder / "out" / "mine.txt").read_text() == "keep"
        assert (folder / "out" / "trace.h5").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("missing.nir", *GOOD[1:]), 2, "missing.nir: there is no such file"),
        (("good.nir", "--data", "missing.npz"), 2, "missing.npz: there is no such file"),
        (("text.nir", *GOOD[1:]), 2, "text.nir: cannot be read"),
        (("silent.nir", *GOOD[1:]), 2, "--dt SECONDS.*--reset"),
        (("nan.nir", *GOOD[1:]), 2, "NaN or infinite"),
        (("negative.nir", *GOOD[1:]), 2, "'lif' of type LIF: tau must be positive"),
        (("short.nir", *GOOD[1:]), 2, "shorter than the tick"),
        (
            ("good.nir", "--data", "narrow.npz"),
            2,
            "2 values a sample, but input 'input' takes 3",
        ),
        (("good.nir", "--data", "empty.npz"), 2, "none empty"),
        ((*GOOD, "--chip", "bad.toml"), 2, "unknown key; did you mean 'delay_max'"),
        ((*GOOD, "--chip", "text.toml"), 2, "not valid TOML"),
        ((*GOOD, "--chip", "lohi"), 2, "did you mean 'loihi'"),
        ((*GOOD, "--reset", "never"), 2, "never"),
        ((*GOOD, "-o", "file"), 2, "exists and is no folder"),
        ((*GOOD, "-o", "file/out"), 2, "not writable|cannot be used"),
        ((*GOOD, "--readout", "hidden"), 2, "no output 'hidden'; there are lif"),
        (("good.nir", "--data", "classes.npz"), 2, "class 2, but the output 'lif' has 2 neurons"),
        (("n" * 300, *GOOD[1:]), 2, "too long"),
        (("good.nir", "--data", "d" * 300 + ".npz"), 2, "too long"),
        ((*GOOD, "-o", "o" * 300), 2, "too long"),
        (("wide.nir", "--data", "wide.npz", "-o", "out"), 3, "hears 5,000 sources.*4,096 in-axons"),
    ],
)
def test_bad_input_gives_one_message_and_loses_nothing(folder, arguments, code, message):
    before = {p.name: p.read_bytes() for p in folder.iterdir()}
    done = spikefab("run", *arguments, cwd=folder)
    assert done.returncode == code, done.stderr
    assert re.search(message, done.stderr, re.DOTALL), done.stderr
    assert "Traceback" not in done.stderr
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == before


def test_debug_shows_the_traceback(folder):
    done = spikefab("run", "missing.nir", "--data", "good.npz", "--debug", cwd=folder)
    assert "Traceback" in done.stderr


def test_a_truncated_trace_is_told(demo, tmp_path):
    whole = (demo[0] / "trace.h5").read_bytes()
    (tmp_path / "half.h5").write_bytes(whole[: len(whole) // 2])
    for command in (("info", "half.h5"), ("compare", "half.h5", "half.h5")):
        done = spikefab(*command, cwd=tmp_path)
        assert done.returncode == 2
        assert "damaged" in done.stderr


def written(path):
    """Bytes of a file that another process writes, which may not be there yet."""
    return path.stat().st_size if path.exists() else 0


def test_an_interrupt_leaves_a_readable_trace(folder):
    np.savez(folder / "long.npz", x=np.ones((20000, 20, 3), np.int8))
    with subprocess.Popen(
        [*COMMAND, "run", "good.nir", "--data", "long.npz", "-o", "out"],
        cwd=folder, env=ENVIRONMENT, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        deadline = time.monotonic() + 60
        while written(folder / "out" / "float.h5") < 100_000 and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "interrupted" in errors
    assert "Traceback" not in errors
    with Trace.open(folder / "out" / "float.h5") as trace:
        assert not trace.complete
        assert trace.n_spikes("lif") > 0


def test_a_disk_that_fills_breaks_the_run_off(folder, small_disk):
    np.savez(folder / "long.npz", x=np.ones((20000, 20, 3), np.int8))
    done = spikefab("run", "good.nir", "--data", "long.npz", "-o", "small/out", cwd=folder)
    assert done.returncode == 5, done.stderr
    assert "readable up to tick" in done.stderr
    assert "Traceback" not in done.stderr
    with Trace.open(small_disk / "out" / "float.h5") as trace:
        assert trace.n_spikes("lif") > 1000


@pytest.fixture
def net(tmp_path):
    """A network of lava-dl with one layer, and spikes for it."""
    fields = {
        "type": np.bytes_("dense"), "shape": [2], "weight": [[20, -4, 6]] * 2,
        "neuron/type": np.bytes_("CUBA"), "neuron/iDecay": 400, "neuron/vDecay": 400,
        "neuron/vThMant": 30,
    }  # fmt: skip
    with h5py.File(tmp_path / "a.net", "w") as file:
        for name, value in fields.items():
            file[f"layer/0/{name}"] = value
    np.savez(tmp_path / "x.npz", x=np.ones((2, 9, 3), int), y=np.array([0, 1]))
    return tmp_path


def test_a_net_file_runs_like_any_network(net):
    done = spikefab("run", "a.net", "--data", "x.npz", "-o", "out", cwd=net)
    assert done.returncode == 0, done.stderr
    numbers = json.loads((net / "out" / "summary.json").read_text())
    assert numbers["spikes"]["chip"] == numbers["spikes"]["float"] > 0
    assert "nothing was quantised" in numbers["notes"][0]
    assert spikefab("run", "a.net", "--data", "x.npz", "--compare", ">=", cwd=net).returncode == 0
    done = spikefab("info", "a.net", cwd=net)
    assert "layer 0: dense (" in done.stdout
    assert "neuron/iDecay 400" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--reset", "subtract"), "--reset subtract: networks of lava-dl reset to zero"),
        (("--spike", "dirac"), "--spike dirac"),
        (("--chip", "xylo-v1"), "its integers are those of Loihi"),
        (("--input-shape", "3,x"), "must be channels,rows,columns"),
        (("--input-shape", "4"), "layer 0 (dense): shape: takes input of (3,)"),
    ],
)
def test_what_a_net_file_cannot_be_asked_for_is_bad_input(net, arguments, message):
    done = spikefab("run", "a.net", "--data", "x.npz", *arguments, cwd=net)
    assert done.returncode == 2
    assert message in done.stderr


@pytest.mark.parametrize("command", [("run", "a.net", "--data", "x.npz"), ("info", "a.net")])
def test_a_truncated_net_file_is_bad_input(net, command):
    whole = (net / "a.net").read_bytes()
    (net / "a.net").write_bytes(whole[: len(whole) // 2])
    done = spikefab(*command, cwd=net)
    assert (done.returncode, "Traceback" in done.stderr) == (2, False)
    assert "a.net: " in done.stderr
