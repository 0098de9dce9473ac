"""The command map: saves what run takes, says how good it is, refuses what cannot be."""

import json

import numpy as np
import pytest
from command_line import spikefab, write_network

from emulator.program_file import load_program
from traces.trace import Trace

pytestmark = pytest.mark.slow_uncompiled

CHIP = """
base = "loihi"
name = "small"
[mesh]
width = 4
height = 4
cores_per_router = 1
[limits]
neurons_per_core = 8
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A network of three layers, data for it, a chip of small cores, and a mapping."""
    path = tmp_path_factory.mktemp("map")
    rng = np.random.default_rng(2)
    write_network(path / "net.nir", weight=rng.normal(0, 4, (24, 6)), names=("a", "b", "c"))
    np.savez(path / "data.npz", x=(rng.random((2, 20, 6)) < 0.5).astype(int))
    (path / "small.toml").write_text(CHIP)
    done = spikefab(
        "map", "net.nir", "--chip", "small.toml", "--json", "-o", "program.h5", cwd=path
    )
    assert done.returncode == 0, done.stderr
    return path, json.loads(done.stdout)


def test_what_is_saved_is_what_was_told(folder):
    path, told = folder
    program = load_program(path / "program.h5")
    assert told["cores"] == program.n_cores == 9
    assert told["hops"] <= told["baseline_hops"]
    assert told["lower_bound"] <= told["hops"] <= told["random_hops"]
    assert sorted(core for p in told["populations"] for core in p["cores"]) == sorted(program.core)
    assert told["fullest"]["compartments"] == 8


def test_a_mapping_changes_no_spike_and_is_planned_anew_at_its_rates(folder):
    path, _ = folder
    run = ("run", "net.nir", "--data", "data.npz", "--chip", "small.toml")
    for name, more in (("plain", ()), ("mapped", ("--mapping", "program.h5"))):
        done = spikefab(*run, "-o", name, *more, cwd=path)
        assert done.returncode == 0, done.stderr
    done = spikefab("compare", "plain/trace.h5", "mapped/trace.h5", cwd=path)
    assert done.returncode == 0, done.stdout
    with Trace.open(path / "mapped" / "trace.h5") as trace:
        places = trace.cores()["place"].tolist()
        spikes = trace.counts("a").sum() + trace.counts("b").sum()
        n_ticks = trace.samples * trace.ticks
    assert places == load_program(path / "program.h5").core.tolist()
    assert spikes > 0
    done = spikefab(
        "map", "net.nir", "--chip", "small.toml", "--rates", "plain/trace.h5", "--start",
        "program.h5", "--json", cwd=path,
    )  # fmt: skip
    told = json.loads(done.stdout)
    assert told["partitioner"] == "kept"
    assert told["rates"] == "measured"
    # Each reaches all three cores of the next layer.
    assert told["packets"] == pytest.approx(3 * spikes / n_ticks)


def test_pins_faults_and_reasons(folder):
    path, _ = folder
    done = spikefab(
        "map", "net.nir", "--chip", "small.toml", "--pin", "b=3,9,14", "--without", "cores 0-2",
        "--without", "link 0,1 - 0,2", "--explain", "b", "--partitioner", "packed", cwd=path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "9 of 13 cores of small" in done.stdout
    assert "core 9 at router (1,2) holds 8 of b" in done.stdout
    assert "fullest: 8 of 8 neurons (100.0 %)" in done.stdout
    assert "would cost" in done.stdout


def test_relays_are_asked_for_named_recorded_and_compared(folder):
    """A core reaches two others, but each layer lies on three."""
    path, _ = folder
    larger = CHIP.replace("height = 4", "height = 8").replace("width = 4", "width = 9")
    (path / "near.toml").write_text(larger + "out_axons_per_core = 2\n")
    chip = ("--chip", "near.toml")
    done = spikefab("map", "net.nir", *chip, cwd=path)
    assert done.returncode == 3
    assert "out-axons, one for each core and format, but a core of small has 2" in done.stderr
    done = spikefab("map", "net.nir", *chip, "--relays", "-o", "relays.h5", cwd=path)
    assert done.returncode == 0, done.stderr
    assert "relays take a tick" in done.stderr
    run = ("run", "net.nir", "--data", "data.npz", *chip, "-o", "relayed")
    done = spikefab(*run, "--mapping", "relays.h5", cwd=path)
    assert done.returncode == 2
    assert "the program has relays ('a relay 1'); use it with --relays" in done.stderr
    done = spikefab(*run, "--mapping", "relays.h5", "--relays", cwd=path)
    assert done.returncode == 0, done.stderr
    with Trace.open(path / "relayed" / "trace.h5") as trace:
        counts = trace.counts("a")
        assert counts.sum() > 0
        for p in trace.populations:
            if p.name.startswith("a relay "):
                # What fires in the last tick of a sample is repeated after it.
                missed = counts - trace.counts(p.name)
                assert 0 <= missed.min() <= missed.max() <= trace.samples
        lags = {p.name: p.lag for p in trace.populations}
    assert lags["b"] == lags["a"] + 2


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("--partitioner", "kept"), 2, "--partitioner kept: needs an earlier mapping to keep"),
        (("--start", "net.nir"), 2, "net.nir: no program saved by spikefab"),
        (("--rates", "net.nir"), 2, "net.nir: an HDF5 file, but no trace"),
        (("--explain", "nobody"), 2, "there is no such population; there are a, b, c"),
        (("-o", "net.nir", "--force"), 2, "net.nir: this is an input; choose another output"),
        (("-o", "program.h5"), 2, "program.h5: is there already; choose another, or use --force"),
        (("--without", "cores 0-8"), 3, "9 cores needed ('a' 3, 'b' 3, 'c' 3), but small has 7"),
        (("--chip", "loihi2"), 2, "chip loihi2: what it holds can be counted, but nothing runs"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_told_in_a_line(folder, arguments, code, message):
    path, _ = folder
    chip = () if "--chip" in arguments else ("--chip", "small.toml")
    done = spikefab("map", "net.nir", *chip, *arguments, cwd=path)
    assert done.returncode == code, done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr
