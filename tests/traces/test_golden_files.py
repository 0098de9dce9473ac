"""Files that each layout's own writer made are read by every later version, value for value."""

from pathlib import Path

import numpy as np
import pytest

from traces.trace import Trace

FILES = Path(__file__).resolve().parents[1] / "data" / "traces"


def columns(table):
    return [None if column is None else column.tolist() for column in table]


def test_layout_1_chip():
    with Trace.open(FILES / "v1" / "chip.h5") as trace:
        assert (trace.layout_version, trace.kind, trace.complete) == (1, "chip", True)
        assert (trace.samples, trace.ticks, trace.input_ticks, trace.dt_s) == (2, 5, 3, 1e-3)
        hidden, out = trace.populations
        assert (hidden.name, hidden.shape, hidden.lag, hidden.output) == (
            "hidden",
            (2, 3),
            1,
            False,
        )
        assert (out.name, out.shape, out.lag, out.output) == ("out", (4,), 2, True)
        assert columns(trace.spikes("hidden")) == [
            [1, 1, 3, 6, 6, 8], [0, 5, 2, 0, 5, 2], [1, -1, 3, 1, -1, 3]
        ]  # fmt: skip
        assert columns(trace.spikes("out", 5, 10)) == [[9], [1], None]
        assert trace.counts("hidden").tolist() == [[1, 0, 3, 0, 0, 1]] * 2
        assert columns(trace.stimulus_spikes("in")) == [
            [0, 0, 2, 5, 5, 7], [0, 1, 1, 0, 1, 1], [2, 1, 1, 2, 1, 1]
        ]  # fmt: skip
        assert columns(trace.stimulus_currents("out")) == [[1, 6], [3, 3], [-40, -40]]
        assert trace.states() == (("out", "v"),)
        assert trace.raw_state("out", "v", 4, 6).tolist() == [
            [-8388592, -8388591, -8388590, -8388589],
            [-8388603, -8388602, -8388601, -8388600],
        ]
        assert trace.state("out", "v", 0, 1).tolist() == [
            [-2097153.0, -2097152.75, -2097152.5, -2097152.25]
        ]
        counters = trace.tick_counters(3, 6)
        assert columns(counters[name] for name in ("duration_ps", "spikes")) == [
            [1000000000003, 1000000000004, 1000000000000], [3, 1, 0]
        ]  # fmt: skip
        assert trace.core_counters()["packets"].tolist() == [8, 0]
        assert trace.cores()["place"].tolist() == [3, 9]
        assert trace.provenance == {"seed": 7, "chip": "loihi"}
        assert trace.content_hash() == trace.content_sha256 == CHIP_1


def test_layout_1_float():
    with Trace.open(FILES / "v1" / "float.h5") as trace:
        assert (trace.layout_version, trace.kind, trace.complete) == (1, "float", True)
        assert columns(trace.spikes("hidden")) == [[0, 2, 2, 5, 7, 7], [4, 0, 1, 4, 0, 1], None]
        assert columns(trace.stimulus_currents("hidden")) == [[0, 5], [2, 2], [0.5, 0.5]]
        expected = np.arange(20).reshape(5, 4) / 8
        np.testing.assert_array_equal(trace.state("out", "v"), [*expected, *expected + 5])
        assert trace.content_hash() == trace.content_sha256


def test_layout_1_broken_off():
    with Trace.open(FILES / "v1" / "broken_off.h5") as trace:
        assert (trace.complete, trace.content_sha256, trace.whole_ticks) == (False, None, 5)
        assert columns(trace.spikes("hidden")) == [[1, 1, 3, 6], [0, 5, 2, 4], [1, -1, 3, 2]]
        assert columns(trace.spikes("out")) == [[4, 6], [1, 0], None]
        assert trace.tick_counters()["spikes"].tolist() == [0, 2, 0, 1, 1, 0, 2]


@pytest.mark.parametrize("name", ["none", "fast", "small"])
def test_layout_2(name):
    with Trace.open(FILES / "v2" / f"{name}.h5") as trace:
        assert (trace.layout_version, trace.kind, trace.complete) == (2, "chip", True)
        assert (trace.samples, trace.ticks, trace.input_ticks, trace.dt_s) == (2, 5, 3, 1e-3)
        hidden, out = trace.populations
        assert (hidden.name, hidden.shape, hidden.lag, hidden.output) == (
            "hidden",
            (2, 3),
            1,
            False,
        )
        assert (hidden.payload, hidden.sent_ps, out.payload, out.sent_ps) == (
            True,
            True,
            False,
            False,
        )
        assert columns(trace.spikes("hidden")) == [
            [1, 1, 3, 6, 6, 8], [0, 5, 2, 0, 5, 2], [1, -1, 3, 1, -1, 3]
        ]  # fmt: skip
        assert trace.sent_ps("hidden", 3).tolist() == [50, 60, 70, 50]
        assert columns(trace.spikes("out", 5, 10)) == [[9], [1], None]
        assert columns(trace.stimulus_spikes("in", 5)) == [[5, 5, 7], [0, 1, 1], [2, 1, 1]]
        assert columns(trace.stimulus_currents("out")) == [[1, 6], [3, 3], [-40, -40]]
        assert trace.states() == (("hidden", "u"), ("out", "v"))
        assert columns(trace.frames("hidden", "u")) == [
            [2, 7], [1, 4], [[1.0, -0.5], [11.0, 9.5]]
        ]  # fmt: skip
        assert trace.raw_frames("out", "v", 4, 6).values.tolist() == [
            [33554448, 33554449, 33554450, 33554451],
            [33554437, 33554438, 33554439, 33554440],
        ]
        assert trace.state("out", "v", 0, 1).tolist() == [
            [8388607.0, 8388607.25, 8388607.5, 8388607.75]
        ]
        assert trace.packet_inputs == ("in",)
        assert columns(trace.packets(0, 5)) == [
            [0, 1], [2, 0], [1, 5], [3, 9], [0, 2], [20, 10], [40, 30], [60, 50]
        ]  # fmt: skip
        assert trace.trigger_kinds == ("spike", "deadline")
        assert columns(trace.triggers(5)) == [[8, 9], [0, 1], [0, -1], [2, -1]]
        assert trace.tick_counters(3, 6)["duration_ps"].tolist() == [
            1000000000003, 1000000000004, 1000000000000
        ]  # fmt: skip
        assert trace.core_tick_counters(4, 6)["update_ps"].tolist() == [[8, 9], [5, 6]]
        assert trace.core_counters()["packets"].tolist() == [8, 0]
        assert trace.cores()["place"].tolist() == [3, 9]
        assert trace.provenance == {"seed": 7, "chip": "loihi"}
        assert trace.attached("network").header == {"name": "n"}
        assert trace.attached("network").arrays["w"].tolist() == [0, 1, 2]
        assert trace.checkpoints() == (5,)
        assert trace.checkpoint(5).arrays["v"].tolist() == [1, 2]
        assert trace.content_hash() == trace.content_sha256 == CHIP_2


def test_layout_2_of_a_run_that_was_killed_in_the_middle_of_a_flush():
    with Trace.open(FILES / "v2" / "killed.h5") as trace:
        assert (trace.complete, trace.content_sha256, trace.whole_ticks) == (False, None, 5)
        assert trace.checkpoint(5).header == {"at": 5}
        assert columns(trace.spikes("hidden")) == [[1, 1, 3], [0, 5, 2], [1, -1, 3]]
        assert columns(trace.frames("hidden", "u")) == [[2], [1, 4], [[1.0, -0.5]]]
        assert trace.core_tick_counters(4)["update_ps"].tolist() == [[8, 9]]


def test_the_killed_one_has_a_journal():
    assert (FILES / "v2" / "killed.h5").read_bytes().endswith(b"spikefab-journal")


def test_golden_files_are_small_enough_to_be_kept():
    assert sum(path.stat().st_size for path in FILES.glob("v*/*.h5")) < 700_000


CHIP_1 = "f9db351ab1ae49563c25301b6fc08ee65c903306e67b3fe133951c049164ca6c"
CHIP_2 = "dbf72d0e3d1764da066e13a8f3dfe5cee89894709b03ed117a44b3a253577c53"
