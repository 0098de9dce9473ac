import fcntl
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from traces.compare import compare
from traces.errors import TraceFormatError
from traces.layout import RecordedPopulation
from traces.order import in_order
from traces.trace import Trace

CHECKOUT = Path(__file__).resolve().parents[2]


def rows(spikes):
    return list(zip(spikes.ticks.tolist(), spikes.neurons.tolist(), strict=True))


@pytest.mark.parametrize("buffer_bytes", [1, 100, 1 << 20])
def test_round_trip_and_windows(recording, random_spikes, buffer_bytes):
    spikes = random_spikes()
    with recording.write("t.h5", spikes, buffer_bytes=buffer_bytes) as trace:
        assert trace.complete
        assert trace.populations == recording.populations()
        assert (trace.kind, trace.samples, trace.ticks, trace.input_ticks) == ("chip", 3, 20, 10)
        for name, events in spikes.items():
            flat = sorted((s * 20 + t, n) for s, t, n in events)
            assert trace.n_spikes(name) == len(flat)
            assert rows(trace.spikes(name)) == flat
            assert trace.spikes(name).payload is None
            for start, stop in [(13, 31), (None, 5), (59, None), (30, 30), (40, 20), (0, 999)]:
                low, high = start or 0, 60 if stop is None else stop
                window = [(t, n) for t, n in flat if low <= t < high]
                assert rows(trace.spikes(name, start, stop)) == window


def test_counts_of_some_samples(recording, random_spikes, monkeypatch):
    monkeypatch.setattr("traces.events.PIECE_EVENTS", 5)
    spikes = random_spikes()
    with recording.write("t.h5", spikes) as trace:
        for name, events in spikes.items():
            counts = np.zeros((3, recording.sizes[name]), int)
            for s, _, n in events:
                counts[s, n] += 1
            np.testing.assert_array_equal(trace.counts(name), counts)
            np.testing.assert_array_equal(trace.counts(name, 1, 2), counts[1:2])
            np.testing.assert_array_equal(trace.counts(name, 2), counts[2:])


def test_payloads_stay_with_their_spikes(recording, rng):
    ticks = np.repeat(np.arange(20), 3)
    neurons = np.concatenate([rng.permutation(4)[:3] for _ in range(20)])
    payload = rng.integers(-(2**31), 2**31, 60)
    carrying = RecordedPopulation(
        name="c", shape=(4,), lag=0, output=True, spiking=True, payload=True
    )
    with recording.writer("t.h5", populations=[carrying]) as writer:
        writer.spikes("c", ticks[:30], neurons[:30], payload[:30])
        writer.spikes("c", ticks[30:], neurons[30:], payload[30:])
    with Trace.open(recording.folder / "t.h5") as trace:
        assert trace.populations == (carrying,)
        found = trace.spikes("c", 3, 17)
    expected = sorted(
        row for row in zip(ticks.tolist(), neurons.tolist(), payload.tolist(), strict=True)
        if 3 <= row[0] < 17
    )  # fmt: skip
    assert list(zip(*(c.tolist() for c in found), strict=True)) == expected


def test_libsonata_reads_spikes(recording, random_spikes):
    libsonata = pytest.importorskip("libsonata")
    spikes = random_spikes()
    recording.write("t.h5", spikes).close()
    reader = libsonata.SpikeReader(str(recording.folder / "t.h5"))
    assert sorted(reader.get_population_names()) == ["a", "b"]
    for name in spikes:
        assert reader[name].sorting == "by_time"
        got = [(int(t), int(n)) for n, t in reader[name].get()]
        assert got == sorted((s * 20 + t, n) for s, t, n in spikes[name])


def test_libsonata_reads_states(recording):
    libsonata = pytest.importorskip("libsonata")
    # Registers of 25 bits with their sign.
    frames = np.arange(-40, 40).reshape(20, 4) * (2**24 // 40)
    with recording.writer("t.h5", samples=1) as writer:
        writer.state("b", "v", frames, scale=1.0)
        writer.state("b", "u", frames + 1, scale=1.0)
        writer.state("a", "i_syn", np.zeros((20, 6)), scale=1.0)
    path = str(recording.folder / "t.h5")
    elements = libsonata.ElementReportReader(path)
    assert elements.get_population_names() == ["a", "b"]
    np.testing.assert_array_equal(elements["b"].get().data, frames)
    assert elements["b"].times == (0.0, 20.0, 1.0)
    cells = libsonata.SomaReportReader(path)["b"].get()
    np.testing.assert_array_equal(cells.data, frames)
    assert cells.ids.tolist() == [0, 1, 2, 3]


def test_states_read_back_in_the_networks_units(recording):
    frames = np.arange(80, dtype=np.int32).reshape(20, 4)
    with recording.writer("t.h5", samples=1) as writer:
        writer.state("b", "v", frames[:7], scale=0.5, offset=-1.0, first_tick=0)
        writer.state("b", "v", frames[7:], scale=0.5, offset=-1.0, first_tick=7)
        writer.state("a", "i_syn", np.zeros((20, 6)), scale=1.0)
    with Trace.open(recording.folder / "t.h5") as trace:
        assert trace.states() == (("a", "i_syn"), ("b", "v"))
        np.testing.assert_array_equal(trace.state("b", "v", 3, 9), frames[3:9] * 0.5 - 1.0)
        np.testing.assert_array_equal(trace.raw_state("b", "v"), frames)
        with pytest.raises(KeyError, match=r"no recorded state 'b.u'; there are: a.i_syn, b.v"):
            trace.state("b", "u")


def test_stimuli_read_back(recording):
    with recording.writer("t.h5") as writer:
        for first in (0, 20):
            at = first + np.array([5, 3, 3])
            writer.stimulus_spikes("in", at, np.array([1, 2, 0]), np.array([7, 8, 9]))
            writer.stimulus_currents("a", at, np.array([1, 2, 0]), np.array([0.5, -1.5, 2.0]))
        writer.stimulus_currents("b", np.array([2]), np.array([1]), np.array([-7]))
    with Trace.open(recording.folder / "t.h5") as trace:
        assert trace.stimuli("spikes") == ("in",)
        assert trace.stimuli("currents") == ("a", "b")
        spikes = trace.stimulus_spikes("in", 4, 24)
        assert [c.tolist() for c in spikes] == [[5, 23, 23], [1, 0, 2], [7, 9, 8]]
        currents = trace.stimulus_currents("a")
        assert currents.ticks.tolist() == [3, 3, 5, 23, 23, 25]
        assert currents.values.tolist() == [2.0, -1.5, 0.5] * 2
        values = trace.stimulus_currents("b").values
        assert values.tolist() == [-7]
        assert values.dtype == np.int64
        with pytest.raises(KeyError, match="no stimulus of spikes 'out'; there are: in"):
            trace.stimulus_spikes("out")


def test_counters_and_provenance_read_back(recording):
    with recording.writer("t.h5", provenance={"seed": 3, "command": "run"}) as writer:
        writer.tick_counters(spikes=np.arange(4), duration_ps=np.arange(4) * 10**12)
        writer.tick_counters(spikes=np.arange(2), duration_ps=np.zeros(2, int))
        writer.totals("core", {"packets": np.array([1, 2])})
        writer.totals("core", {"packets": np.array([3, 4])})
        writer.note(wall_s=0.5)
    with Trace.open(recording.folder / "t.h5") as trace:
        counters = trace.tick_counters()
        assert counters["spikes"].tolist() == [0, 1, 2, 3, 0, 1]
        assert counters["duration_ps"].tolist() == [0, 10**12, 2 * 10**12, 3 * 10**12, 0, 0]
        only = trace.tick_counters(1, 3, names=["spikes"])
        assert {name: v.tolist() for name, v in only.items()} == {"spikes": [1, 2]}
        with pytest.raises(KeyError, match="no counter 'hops'; there are: duration_ps, spikes"):
            trace.tick_counters(names=["hops"])
        assert trace.core_counters()["packets"].tolist() == [3, 4]
        assert trace.provenance == {"seed": 3, "command": "run", "wall_s": 0.5}


def test_unknown_population_is_told(recording):
    with recording.write("t.h5", {}) as trace, pytest.raises(KeyError, match="there are: a, b"):
        trace.spikes("c")


def damage(kind, path):
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
    else:
        with h5py.File(path, "r+") as file:
            if kind == "newer":
                file.attrs["layout_version"] = 3
            elif kind == "no version":
                del file.attrs["layout_version"]
            elif kind == "no population":
                del file["spikes/b"]
            elif kind == "no column":
                del file["spikes/b/node_ids"]
            elif kind == "no attribute":
                del file.attrs["ticks"]
            elif kind == "no lag":
                del file["spikes/b"].attrs["lag"]
            elif kind == "no ticks":
                file.attrs["ticks"] = 0
            elif kind == "no number":
                file.attrs["samples"] = "many"


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("truncated", "damaged"),
        ("text", "no HDF5"),
        ("empty", "no HDF5"),
        ("other", "no trace of spikefab"),
        ("newer", "version 3, but this program reads up to 2"),
        ("no version", "does not say which layout it has"),
        ("no population", "group '/spikes/b' is missing"),
        ("no column", "dataset '/spikes/b/node_ids' is missing"),
        ("no attribute", "lacks the attributes ticks"),
        ("no lag", "damaged .*lag"),
        ("no number", "damaged .*many"),
        ("no ticks", "damaged, 3 samples of 0 ticks"),
    ],
)
def test_damaged_files_are_refused(recording, kind, message):
    recording.write("t.h5", {"a": {(0, 1, 2)}}).close()
    path = recording.folder / "t.h5"
    damage(kind, path)
    with pytest.raises(TraceFormatError, match=message):
        Trace.open(path)


@pytest.mark.parametrize("read", [lambda t: t.spikes("a"), lambda t: t.counts("a")])
def test_spikes_of_no_neuron_are_damage(recording, read):
    recording.write("t.h5", {"a": {(0, 1, 2)}}).close()
    with h5py.File(recording.folder / "t.h5", "r+") as file:
        file["spikes/a/node_ids"][0] = 6
    with (
        Trace.open(recording.folder / "t.h5") as trace,
        pytest.raises(TraceFormatError, match="'a' has spikes of tick 1 and neuron 6"),
    ):
        read(trace)


@pytest.mark.parametrize("tick", [60, 2**63 - 1, 2**63])
def test_spikes_of_no_tick_are_damage(recording, tick):
    recording.write("t.h5", {"a": {(0, 1, 2)}}).close()
    with h5py.File(recording.folder / "t.h5", "r+") as file:
        file["spikes/a/timestamps"][0] = tick
    for read in (lambda t: t.spikes("a", 0, 20), lambda t: t.counts("a")):
        with (
            Trace.open(recording.folder / "t.h5") as trace,
            pytest.raises(TraceFormatError, match=r"'a' has spikes of tick .* there are 60 ticks"),
        ):
            read(trace)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("spikes/a/node_ids", 3),
        ("spikes/a/node_ids", ["x"]),
        ("spikes/a/timestamps", [[1, 2]]),
        ("spikes/a/timestamps", [0.5]),
        ("reports/b_v/b/data", [[1.0, 2.0]]),
        ("reports/b_v/b/data", 1.0),
    ],
)
def test_datasets_of_another_form_are_damage(recording, path, value):
    with recording.writer("t.h5") as writer:
        writer.spikes("a", np.array([1]), np.array([2]))
        writer.state("b", "v", np.zeros((60, 4)), scale=1.0)
    with h5py.File(recording.folder / "t.h5", "r+") as file:
        del file[path]
        file[path] = value
    with (
        Trace.open(recording.folder / "t.h5") as trace,
        pytest.raises(TraceFormatError, match=f"damaged, /{path} is"),
    ):
        compare(trace, trace)


def test_a_note_of_a_strange_type_harms_nothing(recording):
    recording.write("t.h5", {}).close()
    with h5py.File(recording.folder / "t.h5", "r+") as file:
        file["provenance"].attrs["empty"] = h5py.Empty("f")
        kind = h5py.h5t.STD_B8LE
        h5py.h5a.create(file["provenance"].id, b"bits", kind, h5py.h5s.create(h5py.h5s.SCALAR))
    with Trace.open(recording.folder / "t.h5") as trace:
        assert sorted(trace.provenance) == ["bits", "empty"]


def test_missing_files_and_folders(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such file"):
        Trace.open(tmp_path / "t.h5")
    with pytest.raises(TraceFormatError, match="folder"):
        Trace.open(tmp_path)


def test_a_trace_that_is_being_written_is_told(recording):
    recording.write("t.h5", {}).close()
    with open(recording.folder / "t.h5", "rb+") as held:
        # What HDF5 does with a file that it writes, here from another process or not.
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(TraceFormatError, match="is being written; open it when"):
            Trace.open(recording.folder / "t.h5")


def test_notes_are_added_while_others_read(recording):
    recording.write("t.h5", {}).close()
    with recording.write("other.h5", {}), Trace.open(recording.folder / "t.h5"):
        code = "import sys; from traces.writer import TraceWriter; TraceWriter.add_notes(sys.argv[1], partner='p')"
        subprocess.run(
            [sys.executable, "-c", code, str(recording.folder / "t.h5")], check=True, cwd=CHECKOUT
        )
    with Trace.open(recording.folder / "t.h5") as trace:
        assert trace.provenance == {"partner": "p"}
        assert trace.content_hash() == trace.content_sha256


@pytest.mark.parametrize("ticks", [5, 2**60])
@pytest.mark.parametrize("kind", ["sorted", "mixed", "with equals"])
def test_batches_are_put_in_order_whatever_they_are(kind, ticks, rng):
    number = rng.choice(1000, 300, replace=kind == "with equals")
    tick = rng.integers(0, 5, 300) * (ticks // 5)
    if kind == "sorted":
        number, tick = np.sort(number), np.sort(tick)
    events = {"timestamps": tick, "node_ids": number, "payload": np.arange(300)}
    found = in_order("these", events, latest=-1, n_ticks=ticks, size=1000)
    expected = sorted(zip(tick.tolist(), number.tolist(), range(300), strict=True))
    assert list(zip(*(column.tolist() for column in found.values()), strict=True)) == expected
