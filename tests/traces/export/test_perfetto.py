"""The timeline, by the rules of Chrome's trace event format."""

import gzip
import json
from collections import Counter, defaultdict

import numpy as np
import pytest
from traces_to_export import made

from traces.export.clock import ticking
from traces.export.formats import export
from traces.export.perfetto_timeline import _packet_events
from traces.export.perfetto_tracks import Tracks
from traces.export.recorded import Packets
from traces.export.selection import select

NEEDS = {
    "X": {"pid", "tid", "ts", "dur", "name"}, "B": {"pid", "tid", "ts", "name"},
    "E": {"pid", "tid", "ts"}, "C": {"pid", "ts", "name", "args"}, "M": {"pid", "name", "args"},
    "s": {"pid", "tid", "ts", "name", "cat", "id"}, "b": {"pid", "ts", "name", "cat", "id"},
    "f": {"pid", "tid", "ts", "name", "cat", "id", "bp"},
    "e": {"pid", "ts", "name", "cat", "id"},
}  # fmt: skip


def checked(events):
    """Check all events by the format's rules; return them by phase, and names of tracks."""
    by_phase, names, threads = defaultdict(list), {}, {}
    for event in events:
        assert NEEDS[event["ph"]] <= event.keys()
        assert all(
            np.isfinite(event.get(key, 0)) and event.get(key, 0) >= 0 for key in ("ts", "dur")
        )
        by_phase[event["ph"]].append(event)
        if event["ph"] == "M" and event["name"] == "thread_name":
            names[event["pid"], event["tid"]] = event["args"]["name"]
        if "tid" in event:
            # Perfetto takes equal numbers of threads for the same thread.
            assert threads.setdefault(event["tid"], event["pid"]) == event["pid"]
    assert len(set(names.values())) == len(names)
    for event in by_phase["X"]:
        assert (event["pid"], event["tid"]) in names
    ends = defaultdict(int)
    for event in sorted(by_phase["X"], key=lambda e: (e["tid"], e["ts"], e["dur"])):
        # Slices of a track lie one after the other, in nanoseconds.
        assert round(event["ts"] * 1000) >= ends[event["tid"]]
        ends[event["tid"]] = round(event["ts"] * 1000) + round(event["dur"] * 1000)
    assert len(by_phase["B"]) == len(by_phase["E"])
    for first, last in (("s", "f"), ("b", "e")):
        assert Counter(e["id"] for e in by_phase[first]) == Counter(e["id"] for e in by_phase[last])
        begun = {e["id"]: e["ts"] for e in by_phase[first]}
        assert all(begun[e["id"]] <= e["ts"] for e in by_phase[last])
    return by_phase, names


def named(by_phase, names, phase, track):
    """Events of one phase on the track of a name."""
    return [e for e in by_phase[phase] if names.get((e["pid"], e.get("tid"))) == track]


@pytest.mark.parametrize("suffix", ["json", "json.gz"])
def test_the_timeline_shows_ticks_cores_links_and_counters(everything, tmp_path, suffix):
    path = tmp_path / f"x.{suffix}"
    export(everything.trace, "perfetto", path, ticks=(5, 55))
    raw = path.read_bytes()
    whole = json.loads(gzip.decompress(raw) if suffix.endswith("gz") else raw)
    assert whole["otherData"]["clock"] == "chip"
    by_phase, names = checked(whole["traceEvents"])
    assert set(names.values()) == {
        "samples", "ticks", "core 3: 6 neurons", "core 8: 4 neurons", "link 3 → 4", "link 8 → 0",
    }  # fmt: skip
    starts = np.concatenate([[0], np.cumsum(everything.duration)])
    ticks = named(by_phase, names, "X", "ticks")
    assert [e["name"] for e in ticks[:2]] == ["tick 5", "tick 6"]
    assert [round(e["ts"] * 1000) for e in ticks] == (starts[5:55] // 1000).tolist()
    begun = [(e["name"], round(e["ts"] * 1000)) for e in by_phase["B"]]
    expected = [("sample 0", 5), ("sample 1", 20), ("sample 2", 40)]
    assert begun == [(name, starts[tick] // 1000) for name, tick in expected]
    for core, label in ((3, "core 3: 6 neurons"), (8, "core 8: 4 neurons")):
        slowest = np.flatnonzero(everything.counted["slowest_core"][5:55] == core) + 5
        found = named(by_phase, names, "X", label)
        assert [round(e["ts"] * 1000) for e in found] == (starts[slowest] // 1000).tolist()
    busiest = np.flatnonzero(everything.counted["busiest_link"][5:55] == 1)
    assert len(named(by_phase, names, "X", "link 8 → 0")) == busiest.size


def test_counters_can_be_read_back(everything, tmp_path):
    export(everything.trace, "perfetto", tmp_path / "x.json", clock="model")
    by_phase, _ = checked(json.loads((tmp_path / "x.json").read_text())["traceEvents"])
    expected = np.zeros(60, int)
    for tick, _, worth in everything.spikes["out"]:
        expected[tick] += abs(worth)
    changes = {
        round(e["ts"] / 500): e["args"]["value"] for e in by_phase["C"]
        if e["name"] == "spikes of out"
    }  # fmt: skip
    value, found = 0, []
    for tick in range(60):
        value = changes.get(tick, value)
        found.append(value)
    assert found == expected.tolist()


def test_a_float_trace_has_a_timeline_too(recording, random_spikes, tmp_path):
    with recording.write("float.h5", random_spikes(), kind="float") as trace:
        export(trace, "perfetto", tmp_path / "x.json")
    whole = json.loads((tmp_path / "x.json").read_text())
    assert whole["otherData"]["clock"] == "model"
    by_phase, names = checked(whole["traceEvents"])
    assert len(named(by_phase, names, "X", "ticks")) == 60
    assert {e["name"] for e in by_phase["C"]} == {"spikes of a", "spikes of b"}


def test_the_chips_clock_needs_a_chips_trace(recording, random_spikes, tmp_path):
    from traces.errors import ExportError

    with recording.write("float.h5", random_spikes(), kind="float") as trace:
        for to, name in (("perfetto", "x.json"), ("vcd", "x.vcd")):
            with pytest.raises(ExportError, match="use --clock model"):
                export(trace, to, tmp_path / name, clock="chip")


def test_packets_leave_travel_and_are_served_in_turn(tmp_path):
    n = 40
    rng = np.random.default_rng(5)
    tick = np.sort(rng.integers(0, 60, n))
    left = rng.integers(0, 200_000, n)
    arrived = left + rng.integers(1, 300_000, n)
    done, free = np.zeros(n, int), {}
    core = rng.choice([3, 8], n)
    for k in np.lexsort((arrived, tick)):  # one after the other, as a core takes them in
        key = (tick[k], core[k])
        free[key] = done[k] = max(arrived[k], free.get(key, 0)) + 5_000
    kind, source = rng.integers(0, 3, n), rng.integers(0, 4, n)
    packets = Packets(tick, kind, source, core, rng.integers(0, 9, n), left, arrived, done)
    with made(tmp_path, rng, lambda duration: packets).trace as trace:
        selection = select(trace)
        ticks = next(ticking(selection, "model"))
        lines = list(_packet_events(selection, Tracks(trace), ticks, packets, 0))
    by_phase, names = checked(map(json.loads, lines))
    assert [len(by_phase[phase]) for phase in "sfbe"] == [n] * 4
    for place in (3, 8):
        served = named(by_phase, names, "X", f"core {place} takes in")
        assert len(served) == (core == place).sum()
        assert all(4_000 <= round(e["dur"] * 1e6) <= 6_000 for e in served)
    label = f"{['a b', 'out', 'in'][kind[0]]}[{source[0]}]"
    assert label in {e["name"] for e in by_phase["X"]}
