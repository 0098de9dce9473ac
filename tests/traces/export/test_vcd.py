"""VCD, read by the rules of IEEE 1364-2005, clause 18, and by pyvcd."""

import pytest
from vcd_reader import read_vcd

from traces.export.formats import export


@pytest.mark.parametrize("clock", ["model", "chip"])
def test_every_spike_is_an_event_at_its_tick(everything, tmp_path, clock):
    export(everything.trace, "vcd", tmp_path / "x.vcd", clock=clock, ticks=(4, 57))
    changes, last = read_vcd(tmp_path / "x.vcd")
    lengths = [500_000_000] * 60 if clock == "model" else everything.duration.tolist()
    starts = [sum(lengths[:tick]) for tick in range(61)]
    assert last == starts[57]
    for neuron in range(6):
        mine = [starts[t] for t, n, _ in everything.spikes["a b"] if n == neuron and 4 <= t < 57]
        assert changes[f"trace.a_b.n{neuron}"] == [(at, 1) for at in mine]
    rises = [at for at, value in changes["trace.machine.tick_clock"] if value]
    assert rises == starts[4:57]


def test_spikes_of_other_worth_are_numbers_that_fall_back(everything, tmp_path):
    export(everything.trace, "vcd", tmp_path / "x.vcd")
    changes, _ = read_vcd(tmp_path / "x.vcd")
    for neuron in range(4):
        mine = [(t, w) for t, n, w in everything.spikes["out"] if n == neuron]
        found = changes[f"trace.out.n{neuron}"]
        assert found[::2] == [(t * 500_000_000, w % 2**64) for t, w in mine]
        assert found[1::2] == [(t * 500_000_000 + 250_000_000, 0) for t, _ in mine]


def test_states_and_counters_change_as_recorded(everything, tmp_path, monkeypatch):
    monkeypatch.setattr("traces.export.recorded.MOST_VALUES", 12)
    export(everything.trace, "vcd", tmp_path / "x.vcd")
    changes, _ = read_vcd(tmp_path / "x.vcd")
    expected = [(t * 500_000_000, float(v)) for t, v in enumerate(everything.frames[:, 2])]
    assert changes["trace.out.v_2"] == expected
    held, found = None, iter(changes["trace.machine.busiest_link"])
    for tick, link in enumerate(everything.counted["busiest_link"].tolist()):
        if link != held:
            assert next(found) == (tick * 500_000_000, link % 2**64)
        held = link
    assert next(found, None) is None


@pytest.mark.parametrize("dt_ps", [1, 7, 1000, 500_000_000, 10**9, 10**12, 3 * 10**15])
def test_the_unit_of_time_is_the_coarsest_that_half_ticks_fit(dt_ps):
    from traces.export.vcd_file import _power

    unit = 10 ** _power(dt_ps)
    if dt_ps % 2 == 0:
        assert dt_ps % (2 * unit) == 0
        assert unit == 10**14 or dt_ps % (20 * unit)
    else:
        assert unit == 1


def test_populations_that_would_be_called_alike_are_told_apart():
    from traces.export.vcd_wires import _scopes

    assert _scopes(["a b", "a.b", "cores", "a_b"]) == ["a_b", "a_b_", "cores_", "a_b__"]


def test_codes_are_short_and_each_is_used_once():
    from itertools import islice

    from traces.export.vcd_wires import _codes

    codes = list(islice(_codes(), 94 + 94**2 + 5))
    assert len(set(codes)) == len(codes)
    assert [len(codes[k]) for k in (0, 93, 94, 94 + 94**2 - 1, 94 + 94**2)] == [1, 1, 2, 2, 3]


def test_pyvcd_reads_the_same(everything, tmp_path):
    reader = pytest.importorskip("vcd.reader", reason="needs pip install '.[test]'")
    export(everything.trace, "vcd", tmp_path / "x.vcd")
    changes, last = read_vcd(tmp_path / "x.vcd")
    with (tmp_path / "x.vcd").open("rb") as file:
        tokens = list(reader.tokenize(file))
    kinds = reader.TokenKind
    times = [t.time_change for t in tokens if t.kind is kinds.CHANGE_TIME]
    changed = (kinds.CHANGE_SCALAR, kinds.CHANGE_VECTOR, kinds.CHANGE_REAL)
    assert times[-1] * 50_000_000 in (last, last * 5)
    assert sum(t.kind in changed for t in tokens) == sum(map(len, changes.values()))
    assert sum(t.kind is kinds.VAR for t in tokens) >= len(changes)
