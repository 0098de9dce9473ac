"""Traces and SONATA files as input: what was exported comes back."""

import h5py
import numpy as np
import pytest

from mapping.errors import StimulusError
from mapping.network import Input
from mapping.stimuli.reading import Wanted, kind_of, read_counts
from traces.export.formats import export
from traces.layout import RecordedPopulation
from traces.trace import Trace
from traces.writer import TraceWriter

SAMPLES, TICKS, INPUT_TICKS, DT_S = 3, 20, 15, 5e-4
SHAPE = (2, 3)


@pytest.fixture
def recorded(tmp_path, rng):
    """Write a trace; returns its path and the counts of each source [samples, ticks, n]."""
    counts = {
        "hidden": rng.binomial(1, 0.2, (SAMPLES, TICKS, 6)),
        "out": rng.integers(0, 4, (SAMPLES, TICKS, 2)),
        "in": rng.integers(0, 3, (SAMPLES, TICKS, 6)),
    }
    counts["in"][:, INPUT_TICKS:] = 0
    counts["hidden"][-1, -1, 2] = 1
    populations = [
        RecordedPopulation(
            name=name, shape=shape, lag=0, output=False, spiking=True, payload=name == "out"
        )
        for name, shape in (("hidden", SHAPE), ("out", (2,)))
    ]
    path = tmp_path / "trace.h5"
    with TraceWriter(
        path, kind="chip", populations=populations, samples=SAMPLES, ticks=TICKS,
        input_ticks=INPUT_TICKS, dt_s=DT_S, provenance={},
    ) as writer:  # fmt: skip
        for name, values in counts.items():
            flat = values.reshape(-1, values.shape[2])
            at, who = np.nonzero(flat)
            if name == "in":
                writer.stimulus_spikes(name, at, who, flat[at, who])
            else:
                writer.spikes(name, at, who, flat[at, who] if name == "out" else None)
    return path, counts


def wanted(shape=SHAPE, dt_s=DT_S, name="in", **more):
    return Wanted(Input(name=name, shape=shape), dt_s, **more)


def test_a_recorded_input_is_input_again(recorded):
    path, counts = recorded
    found = read_counts(path, wanted())
    np.testing.assert_array_equal(found, counts["in"][:, :INPUT_TICKS])


@pytest.mark.parametrize(("name", "shape"), [("hidden", SHAPE), ("out", (2,))])
def test_a_recorded_population_is_input(recorded, name, shape):
    path, counts = recorded
    found = read_counts(path, wanted(shape, population=name))
    np.testing.assert_array_equal(found, counts[name])
    some = read_counts(path, wanted(shape, population=name), ticks=7, n_samples=2)
    np.testing.assert_array_equal(some, counts[name][:2, :7])


def test_longer_ticks_gather_spikes(recorded):
    path, counts = recorded
    found = read_counts(path, wanted(population="hidden", dt_s=2 * DT_S))
    expected = counts["hidden"].reshape(SAMPLES, TICKS // 2, 2, 6).sum(axis=2)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    ("to", "name"), [("sonata", "x.h5"), ("csv", "x.csv")]
)  # fmt: skip
@pytest.mark.parametrize(("source", "shape"), [("hidden", SHAPE), ("out", (2,)), ("in", SHAPE)])
def test_what_was_exported_comes_back(recorded, tmp_path, to, name, source, shape):
    path, counts = recorded
    with Trace.open(path) as trace:
        export(trace, to, tmp_path / name)
    flat = to == "sonata"  # which knows no samples: they follow one another
    ticks = SAMPLES * TICKS if flat else TICKS
    found = read_counts(tmp_path / name, wanted(shape, population=source), ticks=ticks)
    np.testing.assert_array_equal(found.reshape(counts[source].shape), counts[source])


def test_kinds_are_told_apart(recorded, tmp_path):
    path, _ = recorded
    with Trace.open(path) as trace:
        export(trace, "sonata", tmp_path / "s.h5")
    with h5py.File(tmp_path / "data.h5", "w") as file:
        file["x"] = np.ones(3)
    (tmp_path / "damaged.h5").write_bytes(b"no HDF5")
    names = ("trace.h5", "s.h5", "data.h5", "damaged.h5", "none.h5", "x.npz", "a.CSV", "a.bs2")
    found = [kind_of(tmp_path / name) for name in names]
    assert found == ["trace", "sonata", None, None, None, None, "csv", "bs2"]


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"population": "none"}, "no spikes of 'none'; there are: hidden, out, in"),
        ({"name": "other"}, "spikes of hidden, out, in; say whose .* --population"),
        ({"population": "out"}, "'out' has 2 neurons, but the input 'in' takes 6 channels"),
        ({"sensor": (1, 2, 3)}, "--sensor is for cameras"),
    ],
)
def test_what_does_not_suit_is_told(recorded, asked, message):
    with pytest.raises(StimulusError, match=message):
        read_counts(recorded[0], wanted(**asked))


def test_more_samples_than_there_are(recorded):
    with pytest.raises(StimulusError, match="4 samples were asked for, but it has 3"):
        read_counts(recorded[0], wanted(), n_samples=4)


def sonata(path, at=(0.0, 1.0), ids=(0, 1), *, units="ms", sorting=None):
    with h5py.File(path, "w") as file:
        group = file.create_group("spikes/p")
        group["timestamps"], group["node_ids"] = np.array(at), np.array(ids, np.uint64)
        if units:
            group["timestamps"].attrs["units"] = units
        if sorting is not None:
            group.attrs["sorting"] = sorting
    return path


@pytest.mark.parametrize(
    ("units", "dt_s"), [("ms", 1e-3), (None, 1e-3), ("s", 1.0), ("us", 1e-6), ("ticks", 0.3)]
)
def test_units_of_sonata(tmp_path, units, dt_s):
    found = read_counts(sonata(tmp_path / "x.h5", units=units), wanted(dt_s=dt_s))
    assert np.argwhere(found).tolist() == [[0, 0, 0], [0, 1, 1]]


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"units": "fortnights"}, "times in 'fortnights', but s, ms, milliseconds, us and ticks"),
        ({"ids": (0, 6)}, "spike 1 is of channel 6, but the input has 6"),
        ({"ids": (0,)}, r"of shape \(2,\) and node_ids of \(1,\)"),
        ({"at": (2.0, 1.0), "sorting": 2}, "times run backwards: event 1 is at 1.0, after .* 2.0"),
        ({"at": (-1.0, 1.0)}, "spike 0 is at -1, before the start"),
        ({"at": (0.0, np.nan)}, "the time of spike 1 is nan"),
        ({"at": (0.0, 1e12)}, "are its times in units of 0.001 s"),
    ],
)
def test_bad_sonata_is_told(tmp_path, how, message):
    path = sonata(tmp_path / "x.h5", **how)
    with pytest.raises(StimulusError, match=message):
        read_counts(path, wanted(dt_s=1e-3))


def test_spikes_by_neuron_need_no_order(tmp_path):
    found = read_counts(sonata(tmp_path / "x.h5", at=(2.0, 1.0), sorting=1), wanted(dt_s=1e-3))
    assert np.argwhere(found).tolist() == [[0, 1, 1], [0, 2, 0]]
