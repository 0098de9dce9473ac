"""CSV and Parquet."""

import csv

import numpy as np
import pytest

from traces.export.formats import export


def read_csv(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_spikes_as_csv(everything, tmp_path):
    notes = export(everything.trace, "csv", tmp_path / "x.csv", ticks=(5, 50))
    rows = read_csv(tmp_path / "x.csv")
    found = [
        (
            r["population"],
            int(r["sample"]) * 20 + int(r["tick"]),
            int(r["neuron"]),
            int(r["payload"]),
        )
        for r in rows
    ]
    expected = [
        (name, *event) for name in ("a b", "out", "in") for event in everything.spikes[name]
        if 5 <= event[0] < 50
    ]  # fmt: skip
    assert found == expected
    assert all(float(r["time_s"]) == pytest.approx(int(r["tick"]) * 5e-4) for r in rows)
    assert notes == ("states v of out",)


def test_states_as_csv_are_exact(everything, tmp_path, monkeypatch):
    monkeypatch.setattr("traces.export.recorded.MOST_VALUES", 13)
    export(everything.trace, "csv", tmp_path / "x.csv", table="states", ticks=(3, 41))
    rows = read_csv(tmp_path / "x.csv")
    assert {(r["population"], r["variable"]) for r in rows} == {("out", "v")}
    values = np.array([float(r["value"]) for r in rows]).reshape(-1, 4)
    np.testing.assert_array_equal(values, everything.frames[3:41].astype(np.float64))
    assert [int(r["neuron"]) for r in rows[:5]] == [0, 1, 2, 3, 0]


def test_counters_as_csv(everything, tmp_path):
    export(everything.trace, "csv", tmp_path / "x.csv", table="ticks")
    rows = read_csv(tmp_path / "x.csv")
    assert [int(r["duration_ps"]) for r in rows] == everything.duration.tolist()
    assert [int(r["busiest_link"]) for r in rows] == everything.counted["busiest_link"].tolist()
    assert [int(r["sample"]) for r in rows[19:21]] == [0, 1]


@pytest.mark.parametrize("table", ["spikes", "states", "ticks"])
def test_parquet_holds_the_same_as_csv(everything, tmp_path, table, monkeypatch):
    parquet = pytest.importorskip("pyarrow.parquet", reason="needs pip install '.[parquet]'")
    monkeypatch.setattr("traces.export.selection.MOST_EVENTS", 9)
    export(everything.trace, "csv", tmp_path / "x.csv", table=table)
    export(everything.trace, "parquet", tmp_path / "x.parquet", table=table)
    read = parquet.read_table(tmp_path / "x.parquet")
    rows = read_csv(tmp_path / "x.csv")
    assert read.column_names == list(rows[0])
    for name in read.column_names:
        column = read[name].to_pylist()
        assert [type(column[0])(r[name]) for r in rows] == pytest.approx(column)
    assert float(read.schema.metadata[b"spikefab.dt_s"]) == 5e-4
