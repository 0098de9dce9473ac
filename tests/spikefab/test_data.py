import h5py
import numpy as np
import pytest

from mapping.encodings import Encoding, EncodingError
from mapping.linear import Dense
from mapping.network import Input, Network, Population, Projection
from spikefab.data import DataError, fit_samples, load_samples


def network(shape=(2, 3)):
    """Two outputs, of four neurons and of two."""
    n = int(np.prod(shape))
    sizes = {"a": 4, "b": 2}
    return Network(
        dt_s=1e-3, inputs=(Input(name="in", shape=shape),),
        populations=tuple(Population(name=k, shape=(m,), threshold=1.0) for k, m in sizes.items()),
        projections=tuple(
            Projection(
                source="in", target=name,
                linear=Dense(weight=np.ones((m, n)), pre_shape=shape, post_shape=(m,)),
            )
            for name, m in sizes.items()
        ),
        outputs=("a", "b"),
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
            r"5 values a sample, but input 'in' takes 6 \(2, 3\)",
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


@pytest.mark.parametrize(
    ("shape", "own", "static"),
    [
        ((3, 4, 5), (1, 4, 5), True),
        ((3, 7, 4, 5), (1, 4, 5), False),
        ((3, 4, 5), (20,), True),
        ((3, 7, 4, 5), (20,), False),
        ((3, 7, 4, 5), (1, 1, 4, 5), False),
    ],
)
def test_axes_of_one_and_folded_inputs_have_one_reading(shape, own, static):
    x = np.arange(np.prod(shape)).reshape(shape)
    samples = fit_samples(x, None, network(own), ticks=2)
    assert samples.spiking != static
    first = x[0].ravel() if static else x[0, :2].reshape(2, 20)
    np.testing.assert_array_equal(samples.x[0], first)


def test_axes_in_another_order_are_not_guessed():
    with pytest.raises(
        DataError, match=r"40 values a sample, .* takes 40 \(2, 4, 5\).*in that order"
    ):
        fit_samples(np.ones((3, 4, 5, 2)), None, network((2, 4, 5)), ticks=2)


def test_spikes_or_current_is_decided_by_all_of_the_data():
    x = np.zeros((3, 5, 6))
    x[2, 4, 0] = 0.5
    for how in ({}, {"n_samples": 2}, {"ticks": 4}):
        assert not fit_samples(x, None, network(), **how).spiking


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (
            np.full((2, 5, 6), 2**63 + 5, np.uint64),
            r"up to 9\.22337e\+18, but a channel spikes at most",
        ),
        (np.full((2, 5, 6), 1e20), r"up to 1e\+20"),
        (np.full((2, 5, 6), np.longdouble("1e4000")), "60 NaN or infinite"),
    ],
)
def test_numbers_beyond_every_count_are_told(x, message):
    with pytest.raises(DataError, match=message):
        fit_samples(x, None, network())


def test_small_floats_count_spikes_and_large_ones_may_be_currents():
    assert fit_samples(np.ones((2, 5, 6), np.float16), None, network()).spiking
    assert not fit_samples(np.full((2, 5, 6), 1e20), None, network(), encoding="direct").spiking


@pytest.mark.parametrize(
    ("y", "readout", "message"),
    [
        ([0, 4], None, "class 4, but the output 'a' has 4 neurons, one for each class from 0 to 3"),
        ([0, 2], "b", "class 2, but the output 'b' has 2 neurons.*another output with --readout"),
        ([-1, 0], None, "class -1"),
        (np.array([0, 2**63 + 1], np.uint64), None, "class 9223372036854775809"),
    ],
)
def test_classes_without_a_neuron_are_told(y, readout, message):
    with pytest.raises(DataError, match=message):
        fit_samples(np.ones((2, 6)), np.array(y), network(), ticks=1, readout=readout)


def test_static_spikes_take_no_memory_for_each_tick():
    samples = fit_samples(np.ones((2, 6)), None, network(), ticks=10**6, encoding="spikes")
    assert samples.x.shape == (2, 10**6, 6)
    assert samples.x.strides[1] == 0


@pytest.mark.parametrize("y", [np.zeros(3, int), np.zeros((2, 1), int), np.zeros(2)])
def test_classes_that_are_none_are_told(y):
    with pytest.raises(DataError, match="y must be 2 whole numbers"):
        fit_samples(np.ones((2, 6)), y, network(), ticks=1)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.npz", b"nothing", "cannot be read|damaged"),
        ("a.h5", b"nothing", "cannot be read"),
        ("a.txt", b"1,2", r"from .npz or .h5, .* not .txt"),
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


@pytest.mark.parametrize("name", ["a.npz", "a.NPZ", "a.h5"])
def test_other_arrays_may_be_anything(tmp_path, name):
    path, x, y = tmp_path / name, np.ones((3, 6)), np.array([0, 1, 3])
    if name == "a.h5":
        with h5py.File(path, "w") as file:
            file["x"], file["y"], file["dead"] = x, y, h5py.SoftLink("/none")
    else:
        with path.open("wb") as file:
            np.savez(file, x=x, y=y, names=np.array(["a", None], object))
    assert load_samples(path, network(), ticks=2).y.tolist() == [0, 1, 3]


def test_a_dead_link_in_place_of_x_is_told(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["x"] = h5py.SoftLink("/none")
    with pytest.raises(DataError, match="no array 'x'"):
        load_samples(tmp_path / "a.h5", network(), ticks=2)


def test_a_lone_array_under_another_suffix_is_told(tmp_path):
    with (tmp_path / "a.npz").open("wb") as file:
        np.save(file, np.ones((3, 6)))
    with pytest.raises(DataError, match="one array without a name"):
        load_samples(tmp_path / "a.npz", network(), ticks=2)


def test_a_name_too_long_for_a_file_is_told(tmp_path):
    with pytest.raises(DataError, match="too long"):
        load_samples(tmp_path / ("a" * 300 + ".npz"), network())


def test_values_become_spikes_by_a_code():
    net = network((7,))
    x = np.random.default_rng(0).random((3, 7))
    found = fit_samples(x, None, net, ticks=12, encoding="regular:rate=0.5", seed=4)
    assert found.spiking
    assert found.x.dtype == np.uint8
    for index in range(3):
        expected = Encoding.parse("regular:rate=0.5").spikes(x[index], 12, (4, index))
        assert np.array_equal(found.x[index], expected)
    with pytest.raises(EncodingError, match="there is no encoding 'ratio'"):
        fit_samples(x, None, net, ticks=12, encoding="ratio")
    with pytest.raises(DataError, match="makes 2 channels of each value, but input 'in' has 7"):
        fit_samples(x, None, net, ticks=12, encoding="delta")
    spread = fit_samples(x, None, network((7, 5)), ticks=12, encoding="population:neurons=5")
    assert spread.x.shape == (3, 12, 35)
