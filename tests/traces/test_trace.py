import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import h5py
import numpy as np
import pytest

from traces.compare import compare
from traces.content import content_hash_of
from traces.errors import TraceFormatError, TraceWriteError
from traces.layout import RecordedPopulation
from traces.trace import Trace
from traces.writer import TraceWriter

CHECKOUT = Path(__file__).resolve().parents[2]
SAMPLES, TICKS = 3, 20


def populations(lag=0):
    return [
        RecordedPopulation(name="a", shape=(2, 3), lag=lag, output=False, spiking=True),
        RecordedPopulation(name="b", shape=(4,), lag=2 * lag, output=True, spiking=True),
    ]


def write(path, spikes, *, lag=0, **how):
    """Write spikes {population: set of (sample, tick, neuron)}."""
    given = {"samples": SAMPLES, "ticks": TICKS, "input_ticks": 10, "dt_s": 1e-3, "provenance": {}}
    with TraceWriter(path, kind="chip", populations=populations(lag), **given | how) as writer:
        for name, events in spikes.items():
            for sample in range(SAMPLES):
                mine = [(s * TICKS + t, n) for s, t, n in sorted(events) if s == sample]
                writer.spikes(name, *np.array(mine, np.int64).reshape(-1, 2).T)
    return Trace.open(path)


def random_spikes(rng, n=60):
    return {
        name: {
            tuple(int(v) for v in row)
            for row in zip(
                rng.integers(0, SAMPLES, n), rng.integers(0, TICKS, n), rng.integers(0, size, n),
                strict=True,
            )
        }
        for name, size in (("a", 6), ("b", 4))
    }  # fmt: skip


def test_round_trip_and_windows(tmp_path, rng):
    spikes = random_spikes(rng)
    with write(tmp_path / "t.h5", spikes) as trace:
        assert trace.complete
        assert trace.populations == tuple(populations())
        for name, events in spikes.items():
            flat = sorted((s * TICKS + t, n) for s, t, n in events)
            assert list(zip(*trace.spikes(name), strict=True)) == flat
            window = [(t, n) for t, n in flat if 13 <= t < 31]
            assert list(zip(*trace.spikes(name, 13, 31), strict=True)) == window
            counts = np.zeros((SAMPLES, trace.population(name).size), int)
            for s, _, n in events:
                counts[s, n] += 1
            np.testing.assert_array_equal(trace.counts(name), counts)


def test_libsonata_reads_it(tmp_path, rng):
    libsonata = pytest.importorskip("libsonata")
    spikes = random_spikes(rng)
    write(tmp_path / "t.h5", spikes).close()
    reader = libsonata.SpikeReader(str(tmp_path / "t.h5"))
    assert sorted(reader.get_population_names()) == ["a", "b"]
    population = reader["a"]
    assert population.sorting == "by_time"
    got = [(int(t), int(n)) for n, t in population.get()]
    assert got == sorted((s * TICKS + t, n) for s, t, n in spikes["a"])


def test_states_read_back_in_the_networks_units(tmp_path):
    libsonata = pytest.importorskip("libsonata")
    frames = np.arange(80, dtype=np.int32).reshape(20, 4)
    path = tmp_path / "t.h5"
    with TraceWriter(
        path, kind="chip", populations=populations(), samples=1, ticks=20, input_ticks=20,
        dt_s=1e-3, provenance={},
    ) as writer:  # fmt: skip
        writer.state("b", "v", frames[:7], scale=0.5, offset=-1.0)
        writer.state("b", "v", frames[7:], scale=0.5, offset=-1.0)
    with Trace.open(path) as trace:
        assert trace.states() == (("b", "v"),)
        np.testing.assert_array_equal(trace.state("b", "v", 3, 9), frames[3:9] * 0.5 - 1.0)
    with h5py.File(path) as file, h5py.File(tmp_path / "report.h5", "w") as report:
        file.copy("reports/b_v", report, "report")
    reader = libsonata.ElementReportReader(str(tmp_path / "report.h5"))
    np.testing.assert_array_equal(reader["b"].get().data, frames)


def test_content_hash_sees_content_only(tmp_path, rng):
    spikes = random_spikes(rng)
    first = write(tmp_path / "1.h5", spikes)
    again = write(tmp_path / "2.h5", spikes, provenance={"command": "another"})
    assert first.content_sha256 == again.content_sha256 == again.content_hash()
    spikes["b"] ^= {(0, 1, 1)}
    assert write(tmp_path / "3.h5", spikes).content_sha256 != first.content_sha256
    with h5py.File(tmp_path / "1.h5") as old, h5py.File(tmp_path / "4.h5", "w") as new:
        for name, value in old.attrs.items():
            new.attrs[name] = value
        for name in ("spikes", "provenance"):
            old.copy(name, new)
        times = new["spikes/a/timestamps"][()]
        units = new["spikes/a/timestamps"].attrs["units"]
        del new["spikes/a/timestamps"]
        new.create_dataset("spikes/a/timestamps", data=times, chunks=(5,), compression="gzip")
        new["spikes/a/timestamps"].attrs["units"] = units
        assert content_hash_of(new) == first.content_sha256


def slow_comparison(a, b):
    common, union = a & b, a | b
    return len(a), len(b), len(common), len(common) / len(union) if union else 1.0


def test_comparison_equals_sets_of_spikes(tmp_path, rng):
    one, two = random_spikes(rng), random_spikes(rng)
    with write(tmp_path / "1.h5", one) as a, write(tmp_path / "2.h5", two) as b:
        found = compare(a, b)
    for p in found.populations:
        expected = slow_comparison(one[p.name], two[p.name])
        assert (p.n_a, p.n_b, p.n_common, p.agreement) == expected
        first = min(one[p.name] ^ two[p.name])
        assert (p.first.sample, p.first.tick, p.first.neuron) == first
        assert p.first.only_in == ("a" if first in one[p.name] else "b")
    order = {"a": 0, "b": 1}
    differences = [(s, t, order[name], n) for name in one for s, t, n in one[name] ^ two[name]]
    first = min(differences)
    assert (found.first.sample, found.first.tick, found.first.neuron) == (
        first[0],
        first[1],
        first[3],
    )
    assert not found.equal


def test_lag_is_taken_off(tmp_path, rng):
    spikes = {
        name: {(s, t, n) for s, t, n in events if t < 12}
        for name, events in random_spikes(rng).items()
    }
    late = {
        name: {(s, t + lag, n) for s, t, n in spikes[name]} for name, lag in (("a", 3), ("b", 6))
    }
    with write(tmp_path / "1.h5", spikes) as a, write(tmp_path / "2.h5", late, lag=3) as b:
        assert compare(a, b).equal
        assert compare(a, b).agreement == 1.0


def test_traces_of_other_runs_are_not_compared(tmp_path):
    with (
        write(tmp_path / "1.h5", {}) as a,
        write(tmp_path / "2.h5", {}, samples=4, dt_s=2e-3) as b,
        pytest.raises(ValueError, match=r"samples is 3 and 4; dt_s is 0.001 and 0.002"),
    ):
        compare(a, b)


def test_an_existing_file_is_not_overwritten(tmp_path):
    path = tmp_path / "t.h5"
    path.write_text("mine")
    with pytest.raises(FileExistsError, match="exists"):
        write(path, {})
    assert path.read_text() == "mine"


def test_time_does_not_go_back(tmp_path):
    def write_backwards():
        with TraceWriter(
            tmp_path / "t.h5", kind="chip", populations=populations(), samples=1, ticks=9,
            input_ticks=9, dt_s=1e-3, provenance={},
        ) as writer:  # fmt: skip
            writer.spikes("a", np.array([5]), np.array([0]))
            writer.spikes("a", np.array([4]), np.array([0]))

    with pytest.raises(ValueError, match=r"tick 4 comes after tick 5"):
        write_backwards()
    with Trace.open(tmp_path / "t.h5") as trace:
        assert not trace.complete
        assert trace.n_spikes("a") == 1


def damaged(kind, path, tmp_path):
    raw = path.read_bytes()
    if kind == "truncated":
        path.write_bytes(raw[: len(raw) // 2])
    elif kind == "text":
        path.write_text("no HDF5")
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "other":
        with h5py.File(path, "w") as file:
            file["x"] = 1
    elif kind == "newer":
        with h5py.File(path, "r+") as file:
            file.attrs["layout_version"] = 2
    elif kind == "incomplete":
        with h5py.File(path, "r+") as file:
            del file["spikes/b"]


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("truncated", "damaged"),
        ("text", "no HDF5"),
        ("empty", "no HDF5"),
        ("other", "no trace"),
        ("newer", "version 2, but this program reads up to 1"),
        ("incomplete", "damaged"),
    ],
)
def test_damaged_files_are_refused(tmp_path, kind, message):
    path = tmp_path / "t.h5"
    write(path, {}).close()
    damaged(kind, path, tmp_path)
    with pytest.raises(TraceFormatError, match=message):
        Trace.open(path)


def test_missing_files_and_folders(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such file"):
        Trace.open(tmp_path / "t.h5")
    with pytest.raises(TraceFormatError, match="folder"):
        Trace.open(tmp_path)


ENDLESS = """
import sys, numpy as np
from traces.errors import TraceWriteError
from traces.layout import RecordedPopulation
from traces.writer import TraceWriter
{before}
cells = [RecordedPopulation(name="a", shape=(1000,), lag=0, output=True, spiking=True)]
try:
    with TraceWriter(sys.argv[1], kind="chip", populations=cells, samples=1, ticks=10**9,
                     input_ticks=1, dt_s=1e-3, provenance={{}}) as writer:
        for tick in range(10**9):
            writer.spikes("a", np.full(1000, tick), np.arange(1000))
            if tick % 1000 == 999:
                print(tick, flush=True)
except TraceWriteError as error:
    print("broke off:", error, flush=True)
    sys.exit(5)
"""


def endless(path, before=""):
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(ENDLESS).format(before=before), str(path)],
        stdout=subprocess.PIPE, text=True, cwd=CHECKOUT,
    )  # fmt: skip


def whole_ticks(path):
    """Ticks of a broken-off file; each must hold its 1000 spikes."""
    with Trace.open(path) as trace:
        assert not trace.complete
        spikes = trace.spikes("a")
    n = len(spikes.ticks) // 1000
    np.testing.assert_array_equal(spikes.ticks[: n * 1000], np.repeat(np.arange(n), 1000))
    np.testing.assert_array_equal(spikes.neurons[: n * 1000], np.tile(np.arange(1000), n))
    return n


def test_a_killed_process_leaves_what_was_flushed(tmp_path):
    process = endless(tmp_path / "t.h5")
    process.stdout.readline()
    time.sleep(0.3)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert whole_ticks(tmp_path / "t.h5") >= 900


def test_a_full_disk_ends_the_run_with_a_readable_file(tmp_path):
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", str(small)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip("a small file system cannot be mounted here")
    try:
        process = endless(small / "t.h5")
        text, _ = process.communicate(timeout=60)
        assert process.returncode == 5
        assert "bytes are free" in text
        assert "readable up to tick" in text
        assert whole_ticks(small / "t.h5") > 100
        assert sorted(p.name for p in small.iterdir()) == ["t.h5"]
    finally:
        subprocess.run(["umount", str(small)], check=True)


def test_a_limited_file_size_ends_the_run_with_a_readable_file(tmp_path):
    before = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (3 << 20, 3 << 20))"
    process = endless(tmp_path / "t.h5", before)
    text, _ = process.communicate(timeout=60)
    assert process.returncode == 5
    assert "cannot be written on" in text
    assert whole_ticks(tmp_path / "t.h5") > 100


def test_a_vanished_folder_ends_the_run(tmp_path):
    folder = tmp_path / "gone"
    folder.mkdir()

    def write_into_nothing():
        with TraceWriter(
            folder / "t.h5", kind="chip", populations=populations(), samples=1, ticks=9,
            input_ticks=9, dt_s=1e-3, provenance={},
        ) as writer:  # fmt: skip
            (folder / "t.h5").unlink()
            writer.spikes("a", np.array([5]), np.array([0]))

    with pytest.raises(TraceWriteError, match="vanished"):
        write_into_nothing()
