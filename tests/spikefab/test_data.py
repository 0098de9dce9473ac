import h5py
import numpy as np
import pytest

from mapping.linear import Dense
from mapping.network import Input, Network, Population, Projection
from spikefab.data import DataError, fit_samples, load_samples


def network(shape=(2, 3)):
    n = int(np.prod(shape))
    linear = Dense(weight=np.ones((1, n)), pre_shape=shape, post_shape=(1,))
    return Network(
        dt_s=1e-3, inputs=(Input(name="in", shape=shape),),
        populations=(Population(name="a", shape=(1,), threshold=1.0),),
        projections=(Projection(source="in", target="a", linear=linear),), outputs=("a",),
    )  # fmt: skip


@pytest.mark.parametrize("shape", [(4, 6), (4, 2, 3)])
def test_static_samples_are_current_held_for_all_ticks(shape):
    x = np.linspace(0, 1, 24).reshape(shape)
    samples = fit_samples(x, None, network(), ticks=7)
    assert (len(samples), samples.n_ticks, samples.spiking) == (4, 7, False)
    drive = samples.drive(1, network())
    np.testing.assert_array_equal(drive.currents["in"], x[1].ravel())


@pytest.mark.parametrize("shape", [(4, 5, 6), (4, 5, 2, 3)])
@pytest.mark.parametrize("spiking", [True, False])
def test_samples_with_ticks_are_used_as_they_are(rng, shape, spiking):
    x = rng.integers(0, 3, shape) if spiking else rng.random(shape)
    samples = fit_samples(x, np.arange(4), network())
    assert (samples.n_ticks, samples.spiking) == (5, spiking)
    drive = samples.drive(2, network())
    values = drive.spikes["in"] if spiking else drive.currents["in"]
    np.testing.assert_array_equal(values, x[2].reshape(5, 6))
    assert fit_samples(x, None, network(), ticks=3).n_ticks == 3


def test_whole_numbers_may_be_currents_and_static_counts_spikes():
    x = np.ones((2, 6))
    assert not fit_samples(np.ones((2, 5, 6)), None, network(), encoding="direct").spiking
    held = fit_samples(x, None, network(), ticks=3, encoding="spikes")
    assert held.drive(0, network()).spikes["in"].tolist() == [[1] * 6] * 3


@pytest.mark.parametrize("suffix", [".npz", ".h5"])
def test_files(tmp_path, suffix):
    path, x, y = tmp_path / f"data{suffix}", np.ones((3, 6)), np.array([0, 1, 0])
    if suffix == ".npz":
        np.savez(path, x=x, y=y)
    else:
        with h5py.File(path, "w") as file:
            file["x"], file["y"] = x, y
    samples = load_samples(path, network(), ticks=2, n_samples=2)
    assert len(samples) == 2
    assert samples.y.tolist() == [0, 1]


@pytest.mark.parametrize(
    ("x", "how", "message"),
    [
        (
            np.ones((2, 5)),
            {"ticks": 3},
            r"5 values a sample or tick, but input 'in' takes 6 \(2, 3\)",
        ),
        (np.ones((0, 6)), {"ticks": 3}, "none empty"),
        (np.full((2, 6), np.nan), {"ticks": 3}, "12 NaN"),
        (np.ones((2, 6)), {}, "--ticks"),
        (np.ones((2, 6)), {"ticks": 0}, "at least 1, but is 0"),
        (np.ones((2, 4, 6)), {"ticks": 5}, "--ticks 5, but the data lasts 4"),
        (np.full((2, 4, 6), 0.5), {"encoding": "spikes"}, r"holds 0.5\.\.0.5; use direct"),
        (np.ones((2, 6)), {"ticks": 1, "n_samples": 3}, "3 samples were asked for, but it has 2"),
        (np.ones((2, 6)), {"ticks": 1, "n_samples": 0}, "at least 1, but is 0"),
        (np.array([["a"] * 6]), {"ticks": 1}, "not numbers"),
    ],
)
def test_data_that_does_not_suit_is_told(x, how, message):
    with pytest.raises(DataError, match=message):
        fit_samples(x, None, network(), **how)


def test_an_ambiguous_shape_names_both_readings():
    with pytest.raises(
        DataError, match=r"static samples of \(1, 6\) and as 4 samples × 1 ticks of \(6,\)"
    ):
        fit_samples(np.ones((4, 1, 6)), None, network((1, 6)), ticks=2)


@pytest.mark.parametrize("y", [np.zeros(3, int), np.zeros((2, 1), int), np.zeros(2)])
def test_classes_that_are_none_are_told(y):
    with pytest.raises(DataError, match="y must be 2 whole numbers"):
        fit_samples(np.ones((2, 6)), y, network(), ticks=1)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.npz", b"nothing", "cannot be read|damaged"),
        ("a.h5", b"nothing", "cannot be read"),
        ("a.csv", b"1,2", "from .npz or .h5, not .csv"),
    ],
)
def test_files_that_are_none_are_told(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message):
        load_samples(tmp_path / name, network())


def test_an_archive_without_x_and_a_missing_file(tmp_path):
    np.savez(tmp_path / "a.npz", images=np.ones((2, 6)))
    with pytest.raises(DataError, match="no array 'x' in it; there are images"):
        load_samples(tmp_path / "a.npz", network())
    with pytest.raises(FileNotFoundError, match="no such file"):
        load_samples(tmp_path / "b.npz", network())
