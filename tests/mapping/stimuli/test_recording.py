"""Spikes in ticks."""

from fractions import Fraction

import numpy as np
import pytest

from mapping.errors import StimulusError
from mapping.stimuli import recording as module
from mapping.stimuli.recording import Recording, binned


def given(at, channel=None, **more):
    at = np.asarray(at)
    channel = np.zeros(at.size, np.int64) if channel is None else np.asarray(channel)
    return Recording(where="file", at=at, channel=channel, **({"unit_s": 1e-3} | more))


def test_counts_equal_those_made_one_by_one(rng):
    n = 500
    at, channel = rng.integers(0, 90_000, n), rng.integers(0, 7, n)
    worth, sample = rng.integers(0, 4, n), rng.integers(0, 3, n)
    made = given(at, channel, unit_s=1e-6, worth=worth, sample=sample, n_samples=4)
    found = binned(made, n_channels=7, dt_s=1e-3, ticks=80)
    expected = np.zeros((4, 80, 7), int)
    for t, c, w, s in zip(at, channel, worth, sample, strict=True):
        if t // 1000 < 80:
            expected[s, t // 1000, c] += w
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(
        binned(made, n_channels=7, dt_s=1e-3, ticks=80, n_samples=2), expected[:2]
    )


@pytest.mark.parametrize("dt_s", ["1/1000", "1/10000", "1/3000", "7/1000", "1/8192"])
@pytest.mark.parametrize("unit_s", ["1/1000000", "1/1000"])
def test_times_on_the_edge_of_a_tick_belong_to_it(dt_s, unit_s):
    dt, unit = Fraction(dt_s), Fraction(unit_s)
    at = np.arange(0, 3_000_000, 997)
    exact = [int(Fraction(int(t)) * unit / dt) for t in at]
    found = binned(given(at, unit_s=float(unit)), n_channels=1, dt_s=float(dt))
    np.testing.assert_array_equal(found[0, :, 0], np.bincount(exact))


def test_milliseconds_of_ticks_come_back_as_these_ticks():
    for dt_s in (1e-3, 1e-4, 3e-5, 1 / 7):
        ticks = np.arange(0, 100_000, 13)
        found = binned(given(ticks * dt_s * 1e3), n_channels=1, dt_s=dt_s)
        np.testing.assert_array_equal(np.flatnonzero(found[0, :, 0]), ticks)


@pytest.mark.parametrize(("worth", "dtype"), [(1, np.uint8), (300, np.uint16), (70_000, np.int32)])
def test_counts_are_as_small_as_they_can_be(worth, dtype):
    found = binned(given([1, 1], worth=np.array([worth, 0])), n_channels=1, dt_s=1e-3)
    assert (found.dtype, found[0, 1, 0]) == (dtype, worth)


def test_the_length_is_that_of_the_recording_if_it_has_one():
    assert binned(given([2]), n_channels=1, dt_s=1e-3).shape == (1, 3, 1)
    assert binned(given([2], length=10), n_channels=1, dt_s=1e-3).shape == (1, 10, 1)
    assert binned(given([2], length=10), n_channels=1, dt_s=3e-3).shape == (1, 4, 1)
    assert binned(given([2], length=10), n_channels=1, dt_s=1e-3, ticks=4).shape == (1, 4, 1)


@pytest.mark.parametrize(
    ("made", "how", "message"),
    [
        (given([1.0, np.nan]), {}, "the time of spike 1 is nan"),
        (given([3, -1]), {}, "spike 1 is at -1, before the start"),
        (given([1, 2], [0, 3]), {}, "spike 1 is of channel 3, but the input has 3, 0 to 2; 1 spik"),
        (given([1, 2], [-1, 0]), {}, "spike 0 is of channel -1"),
        (given([1], worth=np.array([-1])), {}, "spike 0 is worth -1"),
        (given([1]), {"n_samples": 2}, "2 samples were asked for, but it has 1"),
        (given(np.empty(0)), {}, "holds no spikes, so say how long it is with --ticks"),
        (given([5e12]), {}, "5,000,000,000,001 ticks .* are its times in units of 0.001 s"),
        (given([1e300]), {}, "are its times in units of 0.001 s"),
        (given([1, 1], worth=np.array([2**31 - 1, 1])), {}, "2,147,483,648 spikes of one channel"),
    ],
)
def test_what_cannot_be_input_is_told(made, how, message):
    with pytest.raises(StimulusError, match=f"^file: .*{message}"):
        binned(made, n_channels=3, dt_s=1e-3, **how)


def test_many_worth_much_are_no_trouble_apart():
    made = given([1, 2], worth=np.array([2**31 - 1, 2**31 - 1]))
    assert binned(made, n_channels=1, dt_s=1e-3).max() == 2**31 - 1
    assert module.MOST_SPIKES == 2**31 - 1
