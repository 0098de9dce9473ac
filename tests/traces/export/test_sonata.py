"""SONATA, opened by the library that the format's users have."""

import h5py
import numpy as np
import pytest

from traces.export.formats import export

libsonata = pytest.importorskip("libsonata", reason="needs pip install '.[test]'")


@pytest.fixture
def exported(everything, tmp_path):
    """Export a window, and say where it lies."""
    assert export(everything.trace, "sonata", tmp_path / "x.h5", ticks=(7, 49)) == ()
    return tmp_path / "x.h5"


def test_spikes_are_read_by_libsonata_in_milliseconds(everything, exported):
    reader = libsonata.SpikeReader(exported)
    assert sorted(reader.get_population_names()) == ["a b", "in", "out"]
    for name, events in everything.spikes.items():
        population = reader[name]
        assert population.sorting == "by_time"
        expected = [(neuron, tick * 0.5) for tick, neuron, _ in events if 7 <= tick < 49]
        found = population.get()
        assert [node for node, _ in found] == [node for node, _ in expected]
        np.testing.assert_allclose([t for _, t in found], [t for _, t in expected], rtol=1e-12)


def test_windows_of_time_are_found_by_libsonata(everything, exported):
    found = libsonata.SpikeReader(exported)["a b"].get(tstart=10.0, tstop=14.9)
    expected = [n for t, n, _ in everything.spikes["a b"] if 20 <= t < 30]
    assert [node for node, _ in found] == expected


def test_states_are_read_by_libsonata_in_network_units(everything, exported):
    report = libsonata.ElementReportReader(exported)["out"]
    assert (report.time_units, report.data_units) == ("ms", "membrane units")
    np.testing.assert_allclose(report.times, (3.5, 24.5, 0.5))
    np.testing.assert_array_equal(report.get().data, everything.frames[7:49])
    assert list(report.get_node_ids()) == [0, 1, 2, 3]


def test_payload_is_a_column_of_ours(everything, exported):
    with h5py.File(exported) as file:
        payload = file["spikes/out/payload"][()]
        assert "payload" not in file["spikes/a b"]
    assert payload.tolist() == [w for t, _, w in everything.spikes["out"] if 7 <= t < 49]
