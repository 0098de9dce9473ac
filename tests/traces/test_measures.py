"""Measures of two spike trains against their formulas, known values, and what other programs found."""

import json
import math
from pathlib import Path

import naive_measures as naive
import numpy as np
import pytest

from traces import measures
from traces.measures import (
    Trains,
    isi_distance,
    one_by_one,
    pair,
    pairwise,
    rate_correlation,
    spike_distance,
    spike_time_tiling,
    van_rossum,
    victor_purpura,
)

PEERS = Path(__file__).resolve().parent.parent / "data" / "measures" / "peers.json"
LENGTH = 60
MEASURES = (
    *map(victor_purpura, (0, 0.01, 0.3, 1.0, 5.0, math.inf)),
    *map(van_rossum, (0.2, 3.0, 50.0)),
    isi_distance,
    spike_distance,
    *map(spike_time_tiling, (0.5, 2.0, 11.0)),
    *map(rate_correlation, (1, 7, 20)),
)
DISTANCES = tuple(m for m in MEASURES if m.name.endswith(("purpura", "rossum", "distance")))


def name_of(measure):
    return " ".join([measure.name, *(f"{value:g}" for value in measure.parameters.values())])


every_measure = pytest.mark.parametrize("measure", MEASURES, ids=name_of)
every_distance = pytest.mark.parametrize("measure", DISTANCES, ids=name_of)


def expected(measure, a, b):
    return getattr(naive, measure.name)(a, b, LENGTH, **measure.parameters)


@pytest.fixture
def trains(rng):
    """Few spikes, several in a tick, at the edges, in every tick, and random ones."""
    some = [rng.integers(0, LENGTH, n).tolist() for n in (1, 2, 3, 7, 7, 20)]
    return [
        [], [0], [LENGTH], [0, LENGTH], [0, 1], [LENGTH - 1, LENGTH], [9], [9] * 4,
        [0, 0, 30, LENGTH, LENGTH], list(range(LENGTH + 1)), list(range(4, LENGTH, 7)), *some,
    ]  # fmt: skip


@every_measure
def test_every_pair_has_the_value_of_the_formula(measure, trains):
    found = pairwise(measure, Trains.of(trains, stop=LENGTH))
    for i, a in enumerate(trains):
        for j, b in enumerate(trains):
            assert found[i, j] == pytest.approx(expected(measure, a, b), abs=1e-7, nan_ok=True), (
                a,
                b,
            )


@every_measure
def test_a_pair_is_what_it_is_among_many(measure, trains):
    many = Trains.of(trains, stop=LENGTH)
    found = pairwise(measure, many)
    np.testing.assert_array_equal(found, found.T)
    np.testing.assert_array_equal(pairwise(measure, many, many), found)
    others = Trains.of(trains[::-1], stop=LENGTH)
    np.testing.assert_array_equal(pairwise(measure, many, others), found[:, ::-1])
    np.testing.assert_array_equal(one_by_one(measure, many, others), np.diag(found[:, ::-1]))
    for i, j in ((0, 1), (3, 8), (12, 16), (16, 12)):
        value = pair(measure, trains[i], trains[j], stop=LENGTH)
        np.testing.assert_equal(value, found[i, j])


@every_measure
def test_threads_change_nothing(measure, trains):
    many = Trains.of(trains, stop=LENGTH)
    found = pairwise(measure, many, threads=1)
    for threads in (2, 5, 64):
        np.testing.assert_array_equal(pairwise(measure, many, threads=threads), found)
        np.testing.assert_array_equal(
            one_by_one(measure, many, many, threads=threads), np.diag(found)
        )


@every_measure
def test_only_times_from_the_start_of_the_window_on_matter(measure, trains):
    early = pairwise(measure, Trains.of(trains, stop=LENGTH))
    late = [np.array(train, np.int64) + 10**9 for train in trains]
    moved = pairwise(measure, Trains.of(late, start=10**9, stop=10**9 + LENGTH))
    np.testing.assert_array_equal(moved, early)


@every_measure
def test_no_trains_have_no_pairs(measure):
    none = Trains.of([], stop=5)
    assert pairwise(measure, none).shape == (0, 0)
    assert pairwise(measure, Trains.of([[1], [2]], stop=5), none).shape == (2, 0)
    assert one_by_one(measure, none, none).shape == (0,)


@every_distance
def test_distances_are_metrics(measure, trains):
    found = pairwise(measure, Trains.of(trains, stop=LENGTH))
    assert np.all(np.diag(found) == 0)
    assert np.all(found >= 0)
    if measure is spike_distance:
        return  # the triangle inequality does not hold for it
    through = (found[:, :, None] + found[None]).min(axis=1)
    assert np.all(found <= through + 1e-12)


@pytest.mark.parametrize(
    ("measure", "a", "b", "value"),
    [
        (victor_purpura(0.1), [10], [15], 0.5),
        (victor_purpura(0.1), [10], [31], 2.0),  # deleted and added
        (victor_purpura(0.1), [], [1, 2, 3], 3.0),
        (victor_purpura(0.1), [10, 20, 30], [12, 24, 30], 0.6),
        (victor_purpura(0.0), [10, 20], [0, 50, 60], 1.0),
        (victor_purpura(math.inf), [10, 20], [10, 21, 60], 3.0),
        (victor_purpura(0.1), [10, 10, 10], [10], 2.0),
        (van_rossum(10.0), [], [40], 1.0),
        (van_rossum(10.0), [], [40, 40], 2.0),
        (van_rossum(10.0), [10], [15], math.sqrt(2 * (1 - math.exp(-0.5)))),
        (van_rossum(math.inf), [10, 20], [0, 50, 60], 1.0),
        (isi_distance, range(0, 61, 10), range(0, 61, 20), 0.5),
        (isi_distance, range(0, 61, 10), range(5, 61, 10), 0.0),
        (isi_distance, [], [30], 0.5),
        # The spike at 30 is 30 off; its train's S is t, its interval 30 against 60.
        (spike_distance, [0, 60], [0, 30, 60], 2 / 9),
        (spike_distance, [], [0, 60], 0.0),
        (spike_time_tiling(5), [10, 30], [10, 30], 1.0),
        # A third of the window is near each one's spikes, none of which are near each other.
        (spike_time_tiling(5), [10, 30], [20, 45], -1 / 3),
        (rate_correlation(30), [1, 2, 50], [3, 40, 50], -1.0),
        (rate_correlation(20), [1, 25, 45, 45], [1, 25, 45, 45], 1.0),
    ],
)  # fmt: skip
def test_known_values(measure, a, b, value):
    assert pair(measure, list(a), list(b), stop=60) == pytest.approx(value, abs=1e-12)


def test_nothing_is_said_of_what_is_not_defined():
    assert math.isnan(pair(spike_time_tiling(5), [], [3], stop=60))
    assert math.isnan(pair(rate_correlation(10), [], [3], stop=60))
    assert math.isnan(pair(rate_correlation(60), [1, 2], [3], stop=60))


@pytest.mark.slow_uncompiled
@pytest.mark.parametrize(
    "sample", json.loads(PEERS.read_text())["samples"], ids=["tricky", "random"]
)
def test_elephant_and_pyspike_find_the_same(sample):
    """Recorded by ``benchmarks/measures.py --record``, which says what was recorded and how."""
    trains = Trains.of(sample["trains"], start=sample["start"], stop=sample["stop"])
    assert {row["peer"] for row in sample["values"]} == {"elephant", "pyspike"}
    for row in sample["values"]:
        given = getattr(measures, row["measure"])
        measure = given(**row["parameters"]) if row["parameters"] else given
        theirs = np.array(row["matrix"], np.float64)
        power = 2 if row["measure"] == "van_rossum" else 1  # theirs is the root of what cancels
        np.testing.assert_allclose(pairwise(measure, trains) ** power, theirs**power, atol=1e-10)


@pytest.mark.slow_uncompiled
def test_long_trains_have_the_value_of_the_formula(rng):
    a, b = (np.sort(rng.integers(0, 20_000, n)).tolist() for n in (400, 300))
    for cost in (0.001, 0.1):
        found = pair(victor_purpura(cost), a, b, stop=20_000)
        assert found == pytest.approx(naive.victor_purpura(a, b, 20_000, cost))
    found = pair(van_rossum(30.0), a, b, stop=20_000)
    assert found == pytest.approx(naive.van_rossum(a, b, 20_000, 30.0))


def test_earth_is_moved_as_little_as_can_be(rng):
    for n, m in ((1, 1), (4, 4), (3, 7), (10, 1)):
        a, b = rng.integers(0, 5, n), rng.normal(size=m)
        assert measures.earth_mover(a, b) == pytest.approx(naive.earth_mover(a, b))
        assert measures.earth_mover(b, a) == pytest.approx(naive.earth_mover(a, b))
    assert measures.earth_mover([0.0, 1.0], [1.0, 2.0]) == 1.0
    assert measures.earth_mover([3, 1, 2], [1, 2, 3]) == 0.0
    assert math.isnan(measures.earth_mover([], [1.0]))


def test_trains_from_events_count_payloads(rng):
    ticks, neurons = np.array([5, 3, 3, 9]), np.array([1, 0, 2, 1])
    trains = Trains.from_events(ticks, neurons, np.array([2, -3, 1, 0]), n=4, start=2, stop=10)
    assert [trains[k].tolist() for k in range(4)] == [[3, 3, 3], [5, 5], [3], []]
    assert trains[-3].tolist() == [5, 5]
    np.testing.assert_array_equal(trains.counts, [3, 2, 1, 0])
    np.testing.assert_allclose(trains.rates, [3 / 8, 2 / 8, 1 / 8, 0])
    cut = trains.between(3, 5)
    assert [cut[k].tolist() for k in range(4)] == [[3, 3, 3], [], [3], []]
    assert (cut.start, cut.stop, cut.length) == (3, 5, 2)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: victor_purpura(-1), r"a cost per tick must be 0 or more, got -1"),
        (lambda: victor_purpura(math.nan), r"a cost per tick must be 0 or more, got nan"),
        (lambda: van_rossum(0), r"a time constant in ticks must be positive, got 0"),
        (lambda: spike_time_tiling(0), r"within a positive number of ticks, got 0"),
        (lambda: spike_time_tiling(math.inf), r"within a positive number of ticks, got inf"),
        (lambda: rate_correlation(0), r"a positive whole number of ticks, got 0"),
        (lambda: rate_correlation(2.5), r"a positive whole number of ticks, got 2\.5"),
        (lambda: Trains.of([[0.01]], stop=5), r"train 0: float64 \(1,\) is no list of whole ticks; .*dt_s"),
        (lambda: Trains.of([[1], [[2]]], stop=5), r"train 1: int64 \(1, 1\) is no list"),
        (lambda: Trains.of([[math.nan]], stop=5), r"no list of whole ticks"),
        (lambda: Trains.of([[1, 6]], stop=5), r"spikes of ticks 1 to 6, but the window goes from 0 to 5"),
        (lambda: Trains.of([], stop=0), r"a window of ticks 0 to 0 holds nothing"),
        (
            lambda: Trains.from_events(np.array([1]), np.array([3]), n=3, start=0, stop=5),
            r"spikes of neurons 3 to 3, but neurons go from 0 to 2",
        ),
        (
            lambda: pairwise(isi_distance, Trains.of([[1]], stop=5), Trains.of([[1]], stop=6)),
            r"ticks 0 to 5 and of ticks 0 to 6 cannot be measured by isi_distance; cut both",
        ),
        (
            lambda: one_by_one(isi_distance, Trains.of([[1]], stop=5), Trains.of([], stop=5)),
            r"a has 1 trains and b has 0",
        ),
        (
            lambda: pairwise(isi_distance, Trains.of([[1]], stop=5), threads=0),
            r"threads must be at least 1, got 0",
        ),
    ],
)  # fmt: skip
def test_bad_input_is_told(make, message):
    with pytest.raises(ValueError, match=message):
        make()
