"""What a trace holds besides spikes: chosen states, packets, triggers, times, checkpoints."""

import h5py
import numpy as np
import pytest

from traces.layout import TABLES, RecordedPopulation
from traces.trace import Trace
from traces.writer import TraceWriter


def test_states_of_some_neurons_at_some_ticks(recording, rng):
    values = rng.integers(-(2**23), 2**23, (12, 2))
    ticks = np.arange(0, 60, 5)
    with recording.writer("t.h5") as writer:
        for some in (slice(0, 5), slice(5, 12)):
            writer.state(
                "a", "u1", values[some], scale=0.5, offset=1.0, ticks=ticks[some],
                neurons=np.array([1, 4]),
            )  # fmt: skip
    with Trace.open(recording.folder / "t.h5") as trace:
        assert trace.states() == (("a", "u1"),)
        assert not trace.all_frames("a", "u1")
        frames = trace.frames("a", "u1", 11, 40)
        assert frames.ticks.tolist() == [15, 20, 25, 30, 35]
        assert frames.neurons.tolist() == [1, 4]
        np.testing.assert_array_equal(frames.values, values[3:8] * 0.5 + 1.0)
        np.testing.assert_array_equal(trace.raw_frames("a", "u1").values, values)
        with pytest.raises(KeyError, match="of some neurons or ticks only; read its frames"):
            trace.state("a", "u1")


def test_frames_of_every_tick_are_frames_too(recording):
    values = np.arange(240).reshape(60, 4)
    with recording.writer("t.h5") as writer:
        writer.state("b", "v", values, scale=2.0)
    with Trace.open(recording.folder / "t.h5") as trace:
        frames = trace.frames("b", "v", 58)
        assert frames.ticks.tolist() == [58, 59]
        assert frames.neurons.tolist() == [0, 1, 2, 3]
        np.testing.assert_array_equal(frames.values, values[58:] * 2.0)
        np.testing.assert_array_equal(trace.state("b", "v"), values * 2.0)


def test_libsonata_reads_states_of_every_fifth_tick_but_no_irregular_ones(recording):
    libsonata = pytest.importorskip("libsonata")
    values = np.arange(24).reshape(12, 2)
    with recording.writer("t.h5") as writer:
        for name, ticks in (
            ("a", np.arange(2, 60, 5)),
            ("b", np.arange(12) ** 2 // 3 + np.arange(12)),
        ):
            writer.state(name, "v", values, scale=1.0, ticks=ticks, neurons=np.array([1, 3]))
    reader = libsonata.ElementReportReader(str(recording.folder / "t.h5"))
    assert reader.get_population_names() == ["a"]
    assert reader["a"].times == (2.0, 62.0, 5.0)
    assert reader["a"].get_node_ids() == [1, 3]
    np.testing.assert_array_equal(reader["a"].get().data, values)


@pytest.mark.parametrize(
    ("batches", "stored"),
    [
        ([[0, 2**24], [-(2**24), 3]], "float32"),
        ([[0, 1], [2**24 + 1, 3]], "int32"),
        ([[2**24 + 1, 1], [2**31, 3]], "int64"),
        ([[2**62 + 1, 1], [2**53 + 1, 3]], "int64"),
        ([[0.5, 0.25], [0.0, -0.5]], "float32"),
        ([[0.5, 0.25], [0.1, np.nan]], "float64"),
    ],
)
def test_states_are_exact_in_the_smallest_type_that_holds_them(recording, batches, stored):
    with recording.writer("t.h5") as writer:
        for row in batches:
            writer.state("a", "v", np.array([row]), scale=1.0, neurons=np.array([0, 5]))
            writer.flush()
    with Trace.open(recording.folder / "t.h5") as trace:
        raw = trace.raw_frames("a", "v").values
        assert raw.dtype == stored
        np.testing.assert_array_equal(raw, np.array(batches))
        assert trace.content_hash() == trace.content_sha256


def test_a_stored_type_is_obeyed_or_refused(recording):
    with recording.writer("t.h5") as writer:
        writer.state("b", "v", np.full((1, 4), 0.1), scale=1.0, stored=np.float32)
        with pytest.raises(
            ValueError, match="float32 does not hold; leave the type open, or take int32"
        ):
            writer.state("b", "u", np.full((1, 4), 2**24 + 1), scale=1.0, stored=np.float32)
    with Trace.open(recording.folder / "t.h5") as trace:
        np.testing.assert_array_equal(trace.raw_frames("b", "v").values, np.float32(0.1))


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"neurons": np.array([0, 6])}, "6 neurons, there is no neuron 6"),
        ({"neurons": np.array([3, 1])}, "ascending"),
        ({"neurons": np.array([0])}, r"must be numbers \[n_ticks, 1\]"),
        ({"ticks": np.array([7, 7])}, "must come after that of the last"),
        ({"ticks": np.array([7, 60])}, "tick 60 is outside"),
        ({"ticks": np.array([7])}, "2 frames, but ticks"),
        ({"ticks": np.array([3, 9])}, "must come after"),
        ({"ticks": None}, "either with ticks or without"),
        ({"neurons": np.array([0, 2])}, "other neurons than before"),
    ],
)
def test_frames_that_do_not_fit_are_told(recording, how, message):
    with recording.writer("t.h5") as writer:
        chosen = {"ticks": np.array([2, 5]), "neurons": np.array([0, 1])}
        writer.state("a", "v", np.zeros((2, 2)), scale=1.0, **chosen)
        with pytest.raises(ValueError, match=message):
            writer.state(
                "a", "v", np.zeros((2, 2)), scale=1.0, **chosen | {"ticks": np.array([6, 8])} | how
            )


def random_packets(rng, n, ticks):
    high = {"timestamps": ticks, "source_kind": 3, "source": 2**32, "core": 9, "hops": 2**16}
    return {name: rng.integers(0, high.get(name, 10**12), n) for name in TABLES["packets"].types}


def test_packets_in_order_of_their_leaving(recording, rng):
    packets = random_packets(rng, 300, 60)
    batches = [packets["timestamps"] < 31, packets["timestamps"] >= 31]
    with recording.writer("t.h5") as writer:
        for some in batches:
            writer.packets(inputs=["in"], **{n: v[some] for n, v in packets.items()})
        with pytest.raises(ValueError, match="packets: tick 5 comes after tick 59"):
            writer.packets(**{n: v[:1] * 0 + 5 for n, v in packets.items()})
        with pytest.raises(ValueError, match="columns must be timestamps, source_kind"):
            writer.packets(timestamps=np.array([1]))
    order = sorted(
        zip(*(packets[n].tolist() for n in TABLES["packets"].types), strict=True),
        key=lambda row: (row[0], row[5], row[2]),
    )
    with Trace.open(recording.folder / "t.h5") as trace:
        assert trace.tables == ("packets",)
        assert trace.packet_inputs == ("in",)
        found = trace.packets(10, 50)
        with pytest.raises(KeyError, match="no table 'triggers'"):
            trace.triggers()
    rows = list(zip(*(column.tolist() for column in found), strict=True))
    assert rows == [row for row in order if 10 <= row[0] < 50]


def test_triggers(recording):
    with recording.writer("t.h5") as writer:
        writer.triggers(
            kinds=["spike", "deadline"], timestamps=np.array([4, 4]), kind=np.array([1, 0]),
            population=np.array([-1, 1]), neuron=np.array([-1, 3]),
        )  # fmt: skip
    with Trace.open(recording.folder / "t.h5") as trace:
        assert trace.trigger_kinds == ("spike", "deadline")
        assert [c.tolist() for c in trace.triggers(4, 5)] == [[4, 4], [0, 1], [1, -1], [3, -1]]


def test_times_of_sending_and_counters_of_each_core(recording):
    timed = RecordedPopulation(
        name="c", shape=(4,), lag=0, output=True, spiking=True, payload=True, sent_ps=True
    )
    with recording.writer("t.h5", populations=[timed]) as writer:
        writer.spikes(
            "c", np.array([3, 3]), np.array([2, 1]), np.array([5, 6]), np.array([10**12, 7])
        )
        with pytest.raises(ValueError, match="carry a sent_ps"):
            writer.spikes("c", np.array([4]), np.array([2]), np.array([5]))
        writer.core_tick_counters(update_ps=np.arange(6).reshape(3, 2))
        writer.core_tick_counters(update_ps=np.arange(6, 8).reshape(1, 2))
    with Trace.open(recording.folder / "t.h5") as trace:
        assert trace.populations == (timed,)
        assert trace.spikes("c").payload.tolist() == [6, 5]
        assert trace.sent_ps("c").tolist() == [7, 10**12]
        assert trace.core_tick_counters(1, 4)["update_ps"].tolist() == [[2, 3], [4, 5], [6, 7]]


def test_checkpoints_come_and_go(recording):
    with recording.writer("t.h5") as writer:
        for tick in (0, 10, 20, 30, 40):
            arrays = {"v": np.full(100, tick)}
            writer.checkpoint(tick, {"at": tick}, arrays, keep=tick == 10)
        with pytest.raises(ValueError, match="checkpoint at tick 61: the trace has 60 ticks"):
            writer.checkpoint(61, {}, {})
    with Trace.open(recording.folder / "t.h5") as trace:
        assert trace.checkpoints() == (10, 30, 40)
        found = trace.checkpoint(30)
        assert found.header == {"at": 30}
        np.testing.assert_array_equal(found.arrays["v"], 30)
        with pytest.raises(KeyError, match="no checkpoint at tick '20'; there are: 10, 30, 40"):
            trace.checkpoint(20)
        with_them = trace.content_sha256
    recording.write("plain.h5", {}).close()
    with Trace.open(recording.folder / "plain.h5") as plain:
        assert plain.content_sha256 == with_them


@pytest.mark.parametrize("compression", ["none", "fast", "small"])
def test_compression_changes_size_and_nothing_else(recording, random_spikes, compression):
    spikes = random_spikes(400, samples=3, ticks=200)
    recording.write("plain.h5", spikes, ticks=200).close()
    with (
        recording.write("t.h5", spikes, ticks=200, compression=compression) as trace,
        Trace.open(recording.folder / "plain.h5") as plain,
    ):
        assert trace.content_sha256 == plain.content_sha256 == trace.content_hash()
    with h5py.File(recording.folder / "t.h5", "r") as file:
        column = file["spikes/a/timestamps"]
        assert column.fletcher32
        assert column.compression == {"none": None, "fast": "lzf", "small": "gzip"}[compression]
        assert len(column[()]) == len(spikes["a"])


def test_an_unknown_compression_is_told(recording):
    with pytest.raises(ValueError, match="no compression 'best'; there are none, fast, small"):
        recording.writer("t.h5", compression="best")


def test_many_populations_share_one_buffer(tmp_path, rng):
    """Held bytes never exceed the buffer by more than one batch, however many tables there are."""
    cells = [
        RecordedPopulation(name=f"p{k}", shape=(50,), lag=0, output=False, spiking=True)
        for k in range(40)
    ]
    with TraceWriter(
        tmp_path / "t.h5", kind="chip", populations=cells, samples=1, ticks=50, input_ticks=1,
        dt_s=1e-3, provenance={}, buffer_bytes=20_000,
    ) as writer:  # fmt: skip
        held = []
        for tick in range(50):
            for cell in cells:
                writer.spikes(cell.name, np.full(50, tick), np.arange(50))
                held.append(writer.tables.n_held_bytes)
    assert 19_000 < max(held) <= 20_000 + 600
    with Trace.open(tmp_path / "t.h5") as trace:
        assert all(trace.n_spikes(cell.name) == 2500 for cell in cells)
