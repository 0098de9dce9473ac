"""What formats make of recorded packets."""

import csv
import json

import numpy as np
import pytest
from traces_to_export import made
from vcd_reader import read_vcd

from traces.export.formats import export
from traces.trace import Packets


@pytest.fixture
def everything(tmp_path, rng):
    """The trace of everything, with 50 random packets."""

    def draw(duration, n=50):
        ticks = np.sort(rng.integers(0, 60, n))
        left, arrived, done = np.sort(rng.integers(0, duration[ticks], (3, n)), axis=0)
        kind, source, core, hops = (
            rng.integers(0, 3, n), rng.integers(0, 4, n), rng.choice([3, 8], n),
            rng.integers(0, 5, n),
        )  # fmt: skip
        order = np.lexsort((source, left, ticks))
        drawn = (ticks, kind, source, core, hops, left, arrived, done)
        return Packets(*(column[order] for column in drawn))

    found = made(tmp_path, rng, draw)
    yield found
    found.trace.close()


@pytest.fixture
def packets(everything):
    return everything.packets


def test_a_table_has_a_row_for_each(everything, packets, tmp_path):
    export(everything.trace, "csv", tmp_path / "x.csv", table="packets", ticks=(9, 51))
    with (tmp_path / "x.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    names = ["a b", "out", "in"]
    found = [
        (int(r["sample"]) * 20 + int(r["tick"]), names.index(r["source"]), int(r["neuron"]),
         *(int(r[name]) for name in ("core", "hops", "left_ps", "arrived_ps", "done_ps")))
        for r in rows
    ]  # fmt: skip
    assert found == [
        row for row in zip(*(c.tolist() for c in packets), strict=True) if 9 <= row[0] < 51
    ]


def test_waveforms_show_when_they_arrive(everything, packets, tmp_path):
    export(everything.trace, "vcd", tmp_path / "x.vcd", clock="chip")
    changes, _ = read_vcd(tmp_path / "x.vcd")
    starts = np.concatenate([[0], np.cumsum(everything.duration)])
    at = starts[packets.timestamps] + packets.arrived_ps
    for core in (3, 8):
        found = changes[f"trace.cores.core{core}_packet"]
        assert [moment for moment, _ in found] == sorted(at[packets.core == core].tolist())


def test_the_timeline_shows_them_on_the_cores_that_take_them_in(everything, packets, tmp_path):
    export(everything.trace, "perfetto", tmp_path / "x.json")
    events = json.loads((tmp_path / "x.json").read_text())["traceEvents"]
    tracks = {e["tid"]: e["args"]["name"] for e in events if e.get("name") == "thread_name"}
    flights = [e for e in events if e["ph"] == "b"]
    assert len(flights) == packets.timestamps.size
    assert len({e["id"] for e in flights}) == packets.timestamps.size
    for core in (3, 8):
        taken = [
            e for e in events if e["ph"] == "X" and tracks[e["tid"]] == f"core {core} takes in"
        ]
        assert len(taken) == (packets.core == core).sum()
        assert sum(e["name"] == f"to core {core}" for e in flights) == len(taken)
    senders = {name for name in tracks.values() if name.endswith(" sends")}
    assert senders <= {"a b sends", "out sends", "in sends"}
