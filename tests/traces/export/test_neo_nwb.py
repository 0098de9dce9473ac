"""Neo and NWB, opened by Neo and pynwb; run where these are installed."""

import numpy as np
import pytest

from traces.errors import ExportError
from traces.export.formats import export


@pytest.fixture(params=["pkl", "nix"])
def block(request, everything, tmp_path):
    """Export samples 1 and 2 and let Neo read them."""
    neo = pytest.importorskip("neo", reason="needs pip install '.[neo]'")
    path = tmp_path / f"x.{request.param}"
    export(everything.trace, "neo", path, samples=(1, 3))
    if request.param == "pkl":
        return neo.PickleIO(str(path)).read_block()
    reader = neo.NixIO(str(path), mode="ro")
    read = reader.read_block()
    reader.close()
    return read


def test_neo_finds_a_train_for_each_neuron_of_each_sample(everything, block):
    assert [segment.name for segment in block.segments] == ["sample 1", "sample 2"]
    for sample, segment in enumerate(block.segments, 1):
        trains = {
            (t.annotations["population"], int(t.annotations["neuron"])): t
            for t in segment.spiketrains
        }
        channels = max(n for _, n, _ in everything.spikes["in"]) + 1
        assert len(trains) == 6 + 4 + channels
        for (name, neuron), train in trains.items():
            mine = [
                (t % 20, w)
                for t, n, w in everything.spikes[name]
                if n == neuron and t // 20 == sample
            ]
            np.testing.assert_allclose(train.rescale("s").magnitude, [t * 5e-4 for t, _ in mine])
            assert float(train.t_stop.rescale("s")) == pytest.approx(0.01)
            if name == "out":
                assert train.array_annotations["payload"].tolist() == [w for _, w in mine]
    assert {group.name: len(group.spiketrains) for group in block.groups}["a b"] == 12


def test_neo_finds_states_as_signals(everything, block):
    (signal,) = block.segments[0].analogsignals
    np.testing.assert_allclose(signal.magnitude, everything.frames[20:40], rtol=1e-6)
    assert float(signal.sampling_period.rescale("s")) == pytest.approx(5e-4)


def test_neo_would_have_to_hold_too_much(everything, tmp_path, monkeypatch):
    pytest.importorskip("neo", reason="needs pip install '.[neo]'")
    monkeypatch.setattr("traces.export.neo_block.MOST_TRAINS", {".nix": 30, ".pkl": 1_000_000})
    with pytest.raises(ExportError, match=r"33 spike trains .* at most 30 go into \.nix; choose"):
        export(everything.trace, "neo", tmp_path / "x.nix")


@pytest.mark.parametrize("group", [1, 20, 10**6])
def test_nwb_has_a_unit_for_each_neuron(everything, tmp_path, monkeypatch, group):
    pynwb = pytest.importorskip("pynwb", reason="needs pip install '.[nwb]'")
    monkeypatch.setattr("traces.export.nwb_file.SPIKES_OF_A_GROUP", group)
    monkeypatch.setattr("traces.export.selection.MOST_EVENTS", 10)
    monkeypatch.setattr("traces.export.recorded.MOST_VALUES", 30)
    export(everything.trace, "nwb", tmp_path / "x.nwb", ticks=(3, 50))
    assert pynwb.validate(path=str(tmp_path / "x.nwb")) in ([], ([], 0))
    with pynwb.NWBHDF5IO(str(tmp_path / "x.nwb"), "r") as opened:
        file = opened.read()
        units = file.units.to_dataframe()
        for _, unit in units.iterrows():
            mine = [
                (t, w) for t, n, w in everything.spikes[unit.population]
                if n == unit.neuron and 3 <= t < 50
            ]  # fmt: skip
            np.testing.assert_allclose(unit.spike_times, [t * 5e-4 for t, _ in mine])
            assert list(unit.payload) == [w for _, w in mine]
        series = file.acquisition["out_v"]
        np.testing.assert_array_equal(series.data[:], everything.frames[3:50])
        assert (series.rate, series.starting_time) == pytest.approx((2000.0, 0.0015))
        trials = file.trials.to_dataframe()
        assert trials["sample"].tolist() == [0, 1, 2]
        np.testing.assert_allclose(trials["start_time"], [0.0015, 0.01, 0.02])


def test_neo_reads_the_nwb_file(everything, tmp_path):
    neo = pytest.importorskip("neo", reason="needs pip install '.[neo]'")
    pytest.importorskip("pynwb", reason="needs pip install '.[nwb]'")
    export(everything.trace, "nwb", tmp_path / "x.nwb", populations=["a b"])
    (block,) = neo.NWBIO(str(tmp_path / "x.nwb"), "r").read_all_blocks()
    trains = block.segments[0].spiketrains
    found = sorted(float(t) for train in trains for t in train.rescale("s").magnitude)
    np.testing.assert_allclose(found, [t * 5e-4 for t, _, _ in everything.spikes["a b"]])
