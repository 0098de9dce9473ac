"""What a run says of time: from the engine to the trace, the summary, the report and the terminal."""

import json
from pathlib import Path

import numpy as np
import pytest
from command_line import spikefab as command

import spikefab
from emulator.carried import carried_of
from emulator.chip import Chip
from emulator.chip_file import load_chip
from emulator.engine import Engine
from emulator.errors import EngineError
from emulator.noc.of_chip import noc_of
from emulator.noc.scratch import make_traffic
from spikefab.report import write_report
from spikefab.summary import summary
from spikefab.telling import judged
from spikefab.timing import timing_numbers
from traces.trace import Trace

DATA = Path(spikefab.__file__).parent / "data"
pytestmark = pytest.mark.slow_uncompiled


@pytest.fixture(scope="module")
def small_cores(tmp_path_factory):
    """Loihi with 4 × 4 routers of one small core each."""
    path = tmp_path_factory.mktemp("chip") / "small.toml"
    path.write_text(
        'base = "loihi"\nname = "small"\n[mesh]\nwidth = 4\nheight = 4\ncores_per_router = 1\n'
        "[limits]\nneurons_per_core = 64\n"
    )
    return path


@pytest.fixture(scope="module")
def runs(small_cores, tmp_path_factory):
    """Ten digits on the chip, with each fabric."""
    chip = load_chip(small_cores)
    network = spikefab.import_nir(DATA / "digits_mlp.nir", dt_s=1e-3)
    samples = spikefab.load_samples(DATA / "digits_test.npz", network, ticks=8, n_samples=10)
    deployment = spikefab.deploy(network, chip, direct=True, samples=samples)
    found = {}
    for fabric in ("simple", "ideal", "links", "queued"):
        folder = tmp_path_factory.mktemp(fabric)
        found[fabric] = spikefab.run_network(
            deployment, samples, fabric=fabric, folder=folder, tick_period_s=6e-6
        )
    return found


@pytest.mark.parametrize("fabric", ["simple", "ideal", "links", "queued"])
def test_trace_summary_and_result_tell_the_same_time(runs, fabric):
    result = runs[fabric]
    numbers = summary(result, network="digits", wall_s=0.0)
    timing = json.loads(json.dumps(numbers["timing"]))
    with Trace.open(result.folder / "trace.h5") as trace:
        ticks, links, waited = trace.tick_counters(), trace.totals("link"), trace.totals("latency")
        received = trace.core_counters()["received"].sum()
    duration = ticks["duration_ps"]
    assert duration.tolist() == result.ticks["duration_ps"].ravel().tolist()
    assert timing["fabric"] == fabric
    assert timing["ticks"] == duration.size == 10 * result.ticks_per_sample
    assert timing["missed_deadlines"] == np.count_nonzero(duration > 6_000_000) > 0
    assert timing["real_time_margin"] == pytest.approx(1 - duration.max() / 6e6)
    assert timing["tick_s"]["max"] == pytest.approx(duration.max() * 1e-12)
    assert 0 < timing["decision_s"]["median"] <= duration.sum() * 1e-12 / 10 * 2
    assert links["packets"].sum() == numbers["hops"]
    assert set(ticks["slowest_core"]) <= set(result.deployment.program.core)
    followed = fabric in ("links", "queued")
    assert (waited["packets"].sum() == received) == followed
    assert (timing["packet_latency_s"] is not None) == followed
    assert (timing["queue_peaks"]["injection"] > 0) == (fabric == "queued")
    assert bool(np.any(ticks["busiest_link"] >= 0)) == followed
    busiest = timing["busiest_links"][0]
    assert busiest["utilisation"] == pytest.approx(links["busy_ps"].max() / duration.sum())


def test_no_fabric_is_faster_than_ideal_and_spikes_are_the_same(runs):
    least = runs["ideal"].ticks["duration_ps"]
    for name in ("links", "queued"):
        assert np.all(runs[name].ticks["duration_ps"] >= least)
        for part, counts in runs["ideal"].counts_chip.items():
            assert np.array_equal(runs[name].counts_chip[part], counts)
    assert runs["queued"].ticks["duration_ps"].sum() > least.sum()


def test_a_decision_falls_when_the_class_leads_for_good(runs):
    result = runs["ideal"]
    with Trace.open(result.folder / "trace.h5") as trace:
        for sample in range(10):
            first = sample * trace.ticks
            spikes = trace.spikes(result.readout, first, first + trace.ticks)
            counts = np.zeros((trace.ticks, 10), int)
            np.add.at(counts, (spikes.ticks - first, spikes.neurons), 1)
            sums = counts.cumsum(axis=0)
            leads = np.where(sums.any(axis=1), sums.argmax(axis=1), -1)
            settled = int(result.settled[sample])
            assert np.all(leads[settled:] == leads[-1])
            assert settled == 0 or leads[settled - 1] != leads[-1]


@pytest.mark.parametrize("fabric", ["ideal", "queued"])
def test_the_report_shows_links_ticks_and_waiting(runs, fabric):
    result = runs[fabric]
    numbers = summary(result, network="digits", wall_s=0.0)
    path = result.folder / "report.html"
    write_report(result, numbers, path)
    page = path.read_text()
    assert f"Fabric {fabric}." in page
    assert "How long each tick lasts on the chip" in page
    assert ("How long packets are on their way" in page) == (fabric == "queued")
    late = numbers["timing"]["missed_deadlines"]
    assert f"{late} of {numbers['timing']['ticks']}" in page


def test_assumed_buffers_are_marked_where_they_count(runs):
    marks = {name: summary(run, network="", wall_s=0)["marks"] for name, run in runs.items()}
    assert "fabric.link_buffer" in marks["queued"]["time"]
    assert "fabric.link_buffer" not in marks["ideal"]["time"]


def test_the_command_line_takes_fabric_threads_and_period(small_cores, tmp_path):
    about = [DATA / "digits_mlp.nir", "--data", DATA / "digits_test.npz", "--samples", "3"]
    out = tmp_path / "out"
    done = command(
        "run", *about, "--chip", small_cores, "--ticks", "6", "--fabric", "queued", "--threads", "2",
        "--tick-period", "0.00001", "-o", out, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    timing = json.loads((out / "summary.json").read_text())["timing"]
    assert timing["fabric"] == "queued"
    assert timing["tick_period_s"] == 1e-5
    assert "ticks over 10 µs" in done.stdout
    for wrong, told in (
        (["--tick-period", "0"], "--tick-period 0.0: must be a number of seconds above 0"),
        (["--tick-period", "nan"], "must be a number of seconds above 0"),
        (["--threads", "0"], "--threads"),
        (["--fabric", "magic"], "magic"),
    ):
        done = command("run", *about, "--chip", small_cores, *wrong, cwd=tmp_path)
        assert done.returncode == 2
        assert told in done.stderr


def test_a_fabric_that_does_not_suit_the_chip_is_bad_input(small_cores, tmp_path):
    torus = tmp_path / "torus.toml"
    torus.write_text(small_cores.read_text() + '[fabric]\ntopology = "torus"\n')
    about = [
        DATA / "digits_mlp.nir",
        "--data",
        DATA / "digits_test.npz",
        "--samples",
        "1",
        "--ticks",
        "4",
    ]
    done = command("run", *about, "--chip", torus, "--fabric", "links", cwd=tmp_path)
    assert done.returncode == 2
    assert "use fabric queued" in done.stderr
    done = command("run", *about, "--chip", torus, "--fabric", "queued", cwd=tmp_path)
    assert done.returncode == 0


def test_a_kernel_that_fails_leaves_a_readable_trace(small_cores, tmp_path, monkeypatch):
    begin, calls = Engine._pass, []

    def failing(self, block, observe):
        calls.append(block.first_tick)
        if len(calls) == 3:
            raise self._broken("the fabric", MemoryError("no room"))
        return begin(self, block, observe)

    monkeypatch.setattr(Engine, "_pass", failing)
    network = spikefab.import_nir(DATA / "digits_mlp.nir", dt_s=1e-3)
    samples = spikefab.load_samples(DATA / "digits_test.npz", network, ticks=6, n_samples=5)
    deployment = spikefab.deploy(network, load_chip(small_cores), direct=True, samples=samples)
    with pytest.raises(EngineError, match=r"small, cores 0\.\.\d: sample 1, tick \d+") as failed:
        spikefab.run_network(deployment, samples, folder=tmp_path)
    assert judged(failed.value) == (5, str(failed.value))
    with Trace.open(tmp_path / "trace.h5") as trace:
        assert not trace.complete
        assert trace.n_spikes("spikes1") > 0


def test_numbers_of_a_run_without_packets():
    chip = Chip.model_validate(load_chip("loihi").model_dump())

    noc, _ = noc_of(chip, np.array([0]))
    ticks = {name: np.full((1, 2), value) for name, value in (
        ("duration_ps", 5), ("slowest_core", 0), ("busiest_link", -1))}  # fmt: skip
    found = timing_numbers(
        ticks, np.array([-1]), carried_of(noc, make_traffic(noc)), np.array([3]), fabric="queued",
        period_s=1e-11,
    )  # fmt: skip
    assert found["busiest_links"] == []
    assert found["packet_latency_s"] is None
    assert found["decision_s"] == {"undecided": 1}
    assert found["slowest_cores"] == [{"core": 3, "ticks": 2}]
    assert found["real_time_margin"] == pytest.approx(0.5)


def test_a_network_too_large_for_a_table_of_routes_runs_without_contention(tmp_path):
    large = tmp_path / "large.toml"
    large.write_text(
        'base = "loihi"\n[mesh]\nwidth = 200\nheight = 200\n[fabric]\ntopology = "torus"\n'
    )
    about = [
        "run", DATA / "digits_mlp.nir", "--data", DATA / "digits_test.npz", "--samples", "1",
        "--ticks", "4", "--chip", large,
    ]  # fmt: skip
    out = tmp_path / "out"
    done = command(*about, "-o", out, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads((out / "summary.json").read_text())["timing"]["busiest_links"] == []
    done = command(*about, "--fabric", "queued", cwd=tmp_path)
    assert done.returncode == 2
    assert (
        "a torus of 40,000 routers, but routes are held in a table for at most 4,096" in done.stderr
    )
