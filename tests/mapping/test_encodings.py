"""Input encodings against their formulas."""

from math import ceil, exp, floor

import numpy as np
import pytest

from mapping.encodings import ENCODINGS, Encoding, EncodingError, parameters_of

T = 40
VALUES = np.array([0.0, 0.1, 0.25, 0.5, 0.8, 1.0])


def spikes(text, values=VALUES, n_ticks=T, seed=3):
    return Encoding.parse(text).spikes(values, n_ticks, seed)


@pytest.mark.parametrize("name", ENCODINGS)
def test_a_seed_decides_everything_and_shapes_are_as_told(name):
    encoding = Encoding.parse(f"{name}:most=3" if name == "burst" else name)
    first = encoding.spikes(VALUES, T, (1, 2))
    assert first.shape == (T, encoding.width(VALUES.size))
    assert first.dtype == np.int64
    assert first.min() >= 0
    assert np.array_equal(first, encoding.spikes(VALUES, T, (1, 2)))
    drawn = name in ("poisson", "bernoulli", "regular", "population")
    assert np.array_equal(first, encoding.spikes(VALUES, T, (1, 3))) != drawn


@pytest.mark.parametrize("name", ["poisson", "bernoulli", "regular"])
def test_rate_codes_have_their_rate(name):
    n_ticks, rate = 20_000, 0.3
    counts = spikes(f"{name}:rate={rate}", n_ticks=n_ticks)
    spread = np.sqrt(rate * VALUES / n_ticks)
    assert np.all(np.abs(counts.mean(axis=0) - rate * VALUES) <= 5 * spread + 1 / n_ticks)
    variance = {"poisson": rate * VALUES, "bernoulli": rate * VALUES * (1 - rate * VALUES)}
    if name in variance:
        assert np.allclose(counts.var(axis=0), variance[name], rtol=0.1)
    else:
        gaps = np.diff(np.flatnonzero(counts[:, -1]))
        assert set(gaps) <= {floor(1 / rate), ceil(1 / rate)}
    assert name == "poisson" or counts.max() == 1


def test_accumulate_and_fire_is_an_integrator():
    moving = np.random.default_rng(0).random((T, 3)) * 2
    found = spikes("accumulate:threshold=0.75,high=2", moving)
    for channel in range(3):
        v = 0.0
        for tick in range(T):
            v += moving[tick, channel] / 2
            n = floor(v / 0.75 + 1e-9)
            v -= n * 0.75
            assert found[tick, channel] == n
    # Ten times a tenth is one, whatever binary says.
    assert np.flatnonzero(spikes("accumulate", np.array([0.1]))[:, 0]).tolist() == [9, 19, 29, 39]


def test_time_to_first_spike():
    found = spikes("ttfs:least=0.05")
    assert found.sum(axis=0).tolist() == [0, 1, 1, 1, 1, 1]
    for channel in range(1, VALUES.size):
        assert np.argmax(found[:, channel]) == round((1 - VALUES[channel]) * (T - 1))


@pytest.mark.parametrize("bits", [1, 4, 8])
def test_phases_are_bits(bits):
    found = spikes(f"phase:bits={bits}", n_ticks=3 * bits)
    sums = found.reshape(3, bits, -1).sum(axis=1)
    assert np.all(sums == np.rint(VALUES * (2**bits - 1)))
    assert np.all((found == 0) | (found == 2 ** (bits - 1 - np.arange(3 * bits) % bits)[:, None]))


def test_a_burst_is_longer_and_denser_the_larger_the_value():
    found = spikes("burst:spikes=4,least=2,most=6")
    for channel, x in enumerate(VALUES):
        at = np.flatnonzero(found[:, channel])
        assert at.size == ceil(x * 4)
        assert set(np.diff(at)) <= {round(6 - x * 4)}
    with pytest.raises(EncodingError, match="a burst of the data lasts 10 ticks, but there are 7"):
        spikes("burst:spikes=4,least=2,most=6", VALUES[[0, 2, 3, 4, 5]], n_ticks=7)


def test_changes_can_be_added_up_again():
    moving = np.random.default_rng(1).random((T, 4))
    found = spikes("delta:threshold=0.125", moving).reshape(T, 4, 2)
    known = 0.125 * np.cumsum(found[:, :, 0] - found[:, :, 1], axis=0)
    assert np.all(np.abs(moving - known) < 0.125)
    assert not np.any((found[:, :, 0] > 0) & (found[:, :, 1] > 0))
    still = spikes("delta:threshold=0.1", np.array([0.3]))
    assert still[0].tolist() == [3, 0]
    assert not still[1:].any()


def test_populations_share_a_value():
    found = spikes("population:neurons=4,beta=2,rate=1", np.array([0.25, 1.0]), n_ticks=10_000)
    for value, rates in zip([0.25, 1.0], found.mean(axis=0).reshape(2, 4), strict=True):
        for j, rate in enumerate(rates):
            centre, width = (j - 0.5) / 2, 1 / (2 * 2)
            assert rate == pytest.approx(exp(-((value - centre) ** 2) / (2 * width**2)), abs=2e-4)


def test_pixels_keep_their_range():
    assert np.array_equal(spikes("ttfs:high=255", VALUES * 255), spikes("ttfs"))
    assert np.array_equal(spikes("ttfs:low=-1,high=1", VALUES * 2 - 1), spikes("ttfs"))


@pytest.mark.parametrize(
    ("text", "values", "message"),
    [
        ("rate", VALUES, "there is no encoding 'rate'; there are poisson, bernoulli"),
        ("poisson:speed=1", VALUES, "poisson has no parameter speed; it has rate, low, high"),
        ("poisson:rate", VALUES, "'rate' is not of the form key=number"),
        ("poisson:rate=many", VALUES, "'rate=many' is not of the form key=number"),
        ("poisson:rate=0", VALUES, "rate must be above 0, but is 0"),
        ("bernoulli:rate=1.5", VALUES, "rate must be above 0 and at most 1, but is 1.5"),
        ("ttfs:low=1,high=1", VALUES, "low must be below high, but they are 1 and 1"),
        ("ttfs", VALUES * 255, "carries values from 0 to 1, but the data spans 0 to 255; say so"),
        ("ttfs", np.eye(T), "one value for each channel, but the data changes"),
        ("phase:bits=0", VALUES, "bits must be a whole number from 1 to 16"),
        ("population:neurons=2", VALUES, "neurons must be a whole number from 3 on"),
        ("delta:threshold=-1", VALUES, "threshold must be above 0"),
        ("burst:least=9", VALUES, "a burst needs"),
        ("poisson", np.full(3, np.nan), "the data spans nan to nan"),
    ],
)  # fmt: skip
def test_what_cannot_be_encoded_is_refused(text, values, message):
    with pytest.raises(EncodingError, match=message):
        spikes(text, values)


def test_every_code_says_its_parameters():
    for name, code in ENCODINGS.items():
        for parameter in parameters_of(name):
            assert f"{parameter} :" in code.__doc__ or f"{parameter}, most :" in code.__doc__
