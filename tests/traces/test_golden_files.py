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


@pytest.mark.parametrize("name", ["chip", "float", "broken_off"])
def test_layout_1_is_small_enough_to_be_kept(name):
    assert (FILES / "v1" / f"{name}.h5").stat().st_size < 70_000


CHIP_1 = "f9db351ab1ae49563c25301b6fc08ee65c903306e67b3fe133951c049164ca6c"
