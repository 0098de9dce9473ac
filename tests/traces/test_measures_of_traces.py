"""Measures between two traces, neuron by neuron, and alarms, against counts of sets."""

import json
import math

import h5py
import naive_measures as naive
import numpy as np
import pytest

from traces.align import Aligned
from traces.layout import RecordedPopulation
from traces.measures import MEASURES, Limits, Parameters, alarms, measure, plain
from traces.measures.batches import batches
from traces.trace import Trace

PARAMETERS = Parameters(cost_per_tick=0.3, tau_ticks=4.0, dt_ticks=1.5, bin_ticks=3)
OF_TRAINS = {
    "victor_purpura": {"cost_per_tick": 0.3},
    "van_rossum": {"tau_ticks": 4.0},
    "isi_distance": {},
    "spike_distance": {},
    "spike_time_tiling": {"dt_ticks": 1.5},
    "rate_correlation": {"bin_ticks": 3},
}
ALIKE = ("spike_time_tiling", "rate_correlation")


@pytest.fixture(params=[1 << 20, 50, 1], ids=lambda n: f"{n} events")
def window(request, monkeypatch):
    monkeypatch.setattr("traces.align.WINDOW_EVENTS", request.param)


def population(name="a", shape=(4,), **how):
    given = {"lag": 0, "output": True, "spiking": True, "payload": False} | how
    return RecordedPopulation(name=name, shape=shape, **given)


def written(recording, name, rows, *, populations=None, **how):
    """Write rows {population: [(tick of the trace, neuron, payload)]}; one population if not told."""
    with recording.writer(name, populations=populations or [population()], **how) as writer:
        for part, events in rows.items():
            ticks, neurons, payloads = np.array(sorted(events), np.int64).reshape(-1, 3).T
            carries = any(p.name == part and p.payload for p in populations or [])
            writer.spikes(part, ticks, neurons, *([payloads] if carries else []))
    return Trace.open(recording.folder / name)


def trains_of(events, size, lag, lengths):
    """Spikes {(sample, neuron): list of aligned ticks} of events (sample, tick, neuron)."""
    found = {(s, n): [] for s in range(len(lengths)) for n in range(size)}
    for sample, tick, neuron in events:
        if sample < len(lengths) and 0 <= tick - lag < lengths[sample]:
            found[sample, neuron].append(tick - lag)
    return found


def check_population(part, in_a, in_b, lengths):
    """Compare with means of the naive measures."""
    for name, given in OF_TRAINS.items():
        values = {
            at: getattr(naive, name)(sorted(in_a[at]), sorted(in_b[at]), lengths[at[0]], **given)
            for at in in_a
        }
        values = {at: value for at, value in values.items() if not math.isnan(value)}
        found = part.values[name]
        assert found.n == len(values)
        assert found.mean == pytest.approx(np.mean(list(values.values())), abs=1e-9)
        worst = (min if name in ALIKE else max)(values.values())
        assert found.worst == pytest.approx(worst, abs=1e-9)
        assert values[found.sample, found.neuron] == pytest.approx(worst, abs=1e-9)
        for neuron, value in enumerate(part.neurons[name]):
            mine = [v for (_, n), v in values.items() if n == neuron]
            assert value == pytest.approx(
                np.mean(mine) if mine else math.nan, abs=1e-9, nan_ok=True
            )


@pytest.mark.parametrize("lag", [0, 3])
def test_every_neuron_is_measured_and_lags_are_taken_away(recording, random_spikes, window, lag):
    a, b = random_spikes(90), random_spikes(90)
    late = {
        name: {(s, t, n) for s, t, n in events if t >= lag * (1 + (name == "b"))}
        for name, events in b.items()
    }
    with recording.write("a.h5", a) as one, recording.write("b.h5", late, lag=lag) as other:
        found = measure(one, other, parameters=PARAMETERS)
    for part in found.populations:
        own = lag * (1 + (part.name == "b"))
        lengths = [20 - own] * 3
        size = recording.sizes[part.name]
        in_a = trains_of(a[part.name], size, 0, lengths)
        in_b = trains_of(late[part.name], size, own, lengths)
        check_population(part, in_a, in_b, lengths)
        assert (part.n_neurons, part.n_trains, part.n_ticks) == (size, 3 * size, sum(lengths))
        assert part.n_spikes_a == sum(map(len, in_a.values()))
        rates = np.zeros((2, size))
        for side, trains in zip(rates, (in_a, in_b), strict=True):
            for (_, neuron), ticks in trains.items():
                side[neuron] += len(ticks) / sum(lengths)
        assert part.rate_b == pytest.approx(rates[1].mean())
        assert part.values["earth_mover"].mean == pytest.approx(naive.earth_mover(*rates))
        assert part.values["neuron_correlation"].mean == pytest.approx(np.corrcoef(rates)[0, 1])
    assert [layer.name for layer in found.layers] == (["a", "b"] if lag else ["a + b"])
    assert found.notes == ()


def test_a_layer_is_all_its_populations(recording, random_spikes):
    a, b = random_spikes(90), random_spikes(90)
    with recording.write("a.h5", a) as one, recording.write("b.h5", b) as other:
        found = measure(one, other)
    (layer,), parts = found.layers, found.populations
    assert layer.n_spikes_a == sum(p.n_spikes_a for p in parts)
    for name in OF_TRAINS:
        in_parts = [p.values[name] for p in parts]
        n = sum(value.n for value in in_parts)
        assert layer.values[name].n == n
        assert layer.values[name].mean == pytest.approx(sum(v.n * v.mean for v in in_parts) / n)
        worst = (min if name in ALIKE else max)(in_parts, key=lambda v: v.worst)
        assert layer.values[name][2:] == worst[2:]
        np.testing.assert_array_equal(
            layer.neurons[name], np.concatenate([p.neurons[name] for p in parts])
        )


@pytest.mark.parametrize("whole_ticks", [7, 27, 40])
def test_only_ticks_that_both_have_are_measured(recording, random_spikes, window, whole_ticks):
    a, b = random_spikes(), random_spikes()
    recording.write("b.h5", b).close()
    with h5py.File(recording.folder / "b.h5", "r+") as file:
        file.attrs["complete"] = False
        file.attrs["whole_ticks"] = whole_ticks
    with recording.write("a.h5", a) as one, Trace.open(recording.folder / "b.h5") as other:
        found = measure(one, other, parameters=PARAMETERS)
    lengths = [20] * (whole_ticks // 20) + [whole_ticks % 20] * (whole_ticks % 20 > 0)
    for part in found.populations:
        size = recording.sizes[part.name]
        sides = (trains_of(events[part.name], size, 0, lengths) for events in (a, b))
        check_population(part, *sides, lengths)


def test_equal_traces_are_no_distance_apart(recording, random_spikes):
    with recording.write("a.h5", random_spikes(90)) as a:
        found = measure(a, a)
    for part in (*found.populations, *found.layers):
        for name in (
            "victor_purpura",
            "van_rossum",
            "isi_distance",
            "spike_distance",
            "earth_mover",
        ):
            assert part.values[name].mean == 0
        for name in (*ALIKE, "neuron_correlation"):
            assert part.values[name].mean == pytest.approx(1.0)


def test_spikes_count_as_often_as_their_payload_is_large(recording, window):
    carrying = [population(payload=True)]
    one = {"a": [(1, 0, 2), (4, 0, -1), (6, 1, 3)]}
    other = {"a": [(1, 0, 1), (4, 0, 1), (6, 1, 1), (7, 1, 1), (8, 1, 1)]}
    with (
        written(recording, "a.h5", one, populations=carrying, samples=1) as a,
        written(recording, "b.h5", other, samples=1) as b,
    ):
        found = measure(a, b, parameters=PARAMETERS)
    (part,) = found.populations
    assert (part.n_spikes_a, part.n_spikes_b) == (6, 5)
    lengths = [20]
    in_a = {(0, n): ticks for n, ticks in enumerate(([1, 1, 4], [6, 6, 6], [], []))}
    in_b = {(0, n): ticks for n, ticks in enumerate(([1, 4], [6, 7, 8], [], []))}
    check_population(part, in_a, in_b, lengths)


def test_payloads_that_stand_for_too_many_spikes_count_in_rates_alone(
    recording, monkeypatch, window
):
    monkeypatch.setattr("traces.measures.batches.MOST_REPEATS", 5)
    carrying = [population(payload=True)]
    rows = {"a": [(1, 0, 2), (4, 1, 3), (6, 1, 3)]}
    with written(recording, "a.h5", rows, populations=carrying, samples=1) as a:
        found = measure(a, a)
    (part,) = found.populations
    assert (part.n_spikes_a, part.n_trains, part.n_left_out) == (8, 4, 1)
    assert part.values["victor_purpura"].n == 3
    assert np.isnan(part.neurons["victor_purpura"]).tolist() == [False, True, False, False]
    assert found.notes == (
        "population 'a': 1 of 4 trains have payloads that stand for too many spikes, so that only "
        "their rates were measured",
    )


@pytest.mark.parametrize("payload", [False, True])
def test_batches_hold_few_spikes_and_every_train_once(recording, rng, monkeypatch, payload):
    monkeypatch.setattr("traces.align.WINDOW_EVENTS", 40)
    parts = [population(shape=(30,), payload=payload)]
    # Ticks of a busy sample, and of samples that fit together.
    for ticks, samples in ((200, 2), (4, 50)):
        keys = np.sort(rng.choice(ticks * samples * 30, 1500, replace=False))
        rows = {"a": [(k // 30, k % 30, 1 + k % 3) for k in keys.tolist()]}
        name = f"{ticks}.h5"
        with written(recording, name, rows, populations=parts, ticks=ticks, samples=samples,
                     input_ticks=ticks) as a:  # fmt: skip
            aligned = Aligned(a, a, *a.populations, *a.populations)
            seen, counts = [], np.zeros((samples, 30), int)
            for batch in batches(aligned):
                seen += zip(batch.sample.tolist(), batch.neuron.tolist(), strict=True)
                largest = batch.a.counts.max()
                assert batch.a.ticks.size <= 40 + largest
                np.testing.assert_array_equal(batch.a.ticks, batch.b.ticks)
                np.testing.assert_array_equal(batch.counts[0], batch.a.counts)
                counts[batch.sample, batch.neuron] += batch.a.counts
            assert sorted(seen) == [(s, n) for s in range(samples) for n in range(30)]
            np.testing.assert_array_equal(counts, a.counts("a"))


def test_measures_are_chosen(recording, random_spikes):
    with recording.write("a.h5", random_spikes()) as a:
        found = measure(a, a, which=["earth_mover", "victor_purpura"])
        assert list(found.populations[0].values) == ["victor_purpura", "earth_mover"]
        assert found.parameters == {"victor_purpura": {"cost_per_tick": 0.1}}
        assert list(measure(a, a, which=()).populations[0].values) == []
        with pytest.raises(ValueError, match=r"no measure ISI, spikes; there are victor_purpura, "):
            measure(a, a, which=["ISI", "spikes", "earth_mover"])
        with pytest.raises(ValueError, match=r"a cost per tick must be 0 or more, got -1"):
            measure(a, a, parameters=Parameters(cost_per_tick=-1.0))


def test_measures_become_plain_values(recording, random_spikes):
    rows = random_spikes()
    rows["a"] = {row for row in rows["a"] if row[2] == 0}
    with recording.write("a.h5", rows, dt_s=2e-3) as a:
        found = plain(measure(a, a, parameters=Parameters(cost_per_tick=math.inf)))
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert found["parameters"]["victor_purpura"] == {"cost_per_tick": None, "cost_per_s": None}
    assert found["parameters"]["van_rossum"] == {"tau_ticks": 10.0, "tau_s": 0.02}
    assert found["parameters"]["rate_correlation"] == {"bin_ticks": 10, "bin_s": 0.02}
    assert tuple(found["populations"][0]["values"]) == MEASURES
    assert found["populations"][0]["values"]["victor_purpura"]["mean"] == 0
    assert [(alarm["trace"], alarm["neurons"]) for alarm in found["alarms"]] == [
        ("a", [1, 2, 3, 4, 5]), ("b", [1, 2, 3, 4, 5]),
    ]  # fmt: skip


def test_what_differs_is_told_and_the_rest_measured(recording):
    mine = [population(), population("c"), population("d"), population("r", spiking=False),
            population("late")]  # fmt: skip
    theirs = [population(), population("c", (2, 2)), population("e"),
              population("r", spiking=False), population("late", lag=20)]  # fmt: skip
    with (
        written(recording, "a.h5", {"a": [(3, 1, 1)]}, populations=mine, samples=1) as a,
        written(
            recording, "b.h5", {"a": [(3, 1, 1), (22, 1, 1)]}, populations=theirs, samples=2
        ) as b,
    ):
        found = measure(a, b)
    assert [part.name for part in found.populations] == ["a"]
    assert found.populations[0].n_spikes_b == 1
    assert list(found.notes) == [
        "samples: 1 and 2; those that both have are measured",
        "population 'c' is (4,) and (2, 2)",
        f"population 'd' is only in {recording.folder / 'a.h5'}",
        "population 'r' does not spike",
        "population 'late' has no tick that both traces have behind its lags",
        f"population 'e' is only in {recording.folder / 'b.h5'}",
    ]


def test_traces_without_anything_in_common_are_refused(recording):
    with (
        written(recording, "a.h5", {}) as a,
        written(recording, "b.h5", {}, populations=[population("b")]) as b,
        written(recording, "c.h5", {}, dt_s=2e-3) as c,
    ):
        with pytest.raises(
            ValueError, match=r"a\.h5 and .*b\.h5 cannot be measured: population 'a'"
        ):
            measure(a, b)
        with pytest.raises(ValueError, match=r"ticks of 0\.001 s and .*c\.h5 of 0\.002 s"):
            measure(a, c)


def every(n, size, ticks=60):
    """Neuron 0 fires every n-th tick, one in each of the others once."""
    return [(t, 0, 1) for t in range(0, ticks, n)] + [(5, k, 1) for k in range(1, size)]


def test_silent_and_saturated_neurons_raise_alarms(recording, window):
    parts = [population("none"), population("few"), population("all"), population("fine")]
    rows = {
        "few": [(3, 2, 1)], "all": every(1, 4), "fine": every(2, 4),
    }  # fmt: skip
    with written(recording, "t.h5", rows, populations=parts) as trace:
        found = alarms(trace, name="chip")
        told = [(a.trace, a.population, a.kind, a.neurons.tolist(), a.size) for a in found]
        assert told == [
            ("chip", "none", "silent", [0, 1, 2, 3], 4),
            ("chip", "few", "silent", [0, 1, 3], 4),
            ("chip", "all", "saturated", [0], 4),
        ]
        assert [alarm.text for alarm in found] == [
            "chip: population 'none': none of its 4 neurons fired in 60 ticks",
            "chip: population 'few': 3 of 4 neurons (75.0%) never fired in 60 ticks: 0, 1, 3",
            "chip: population 'all': 1 of 4 neurons (25.0%) fired in at least 95% of the ticks they "
            "could: 0",
        ]
        kept = Limits(silent_share=0.75, saturated_share=0.25)
        assert [alarm.population for alarm in alarms(trace, kept)] == ["none"]
        # A refractory neuron cannot fire more often than that.
        for intervals in (2, np.array([2, 1, 1, 1])):
            slow = alarms(trace, Limits(least_interval={"fine": intervals}))[-1]
            assert (slow.population, slow.kind, slow.neurons.tolist()) == ("fine", "saturated", [0])
            assert "could, their refractory periods left out: 0" in slow.text
        with pytest.raises(ValueError, match=r"'fine': least intervals of \(2,\), but it has 4"):
            alarms(trace, Limits(least_interval={"fine": np.array([1, 2])}))
        assert alarms(trace)[0].trace == str(trace.path)


def test_ticks_before_the_lag_are_no_chances_to_fire(recording, window):
    late = [(s * 20 + t, 0, 1) for s in range(3) for t in range(8, 20)]
    with written(recording, "t.h5", {"a": late}, populations=[population(lag=8)]) as trace:
        assert [(a.kind, a.neurons.tolist()) for a in alarms(trace)] == [
            ("silent", [1, 2, 3]), ("saturated", [0]),
        ]  # fmt: skip


def test_a_share_of_the_chances_to_fire_is_reached_or_not(recording):
    """Every 3 ticks, a neuron can fire 7 times in 20 ticks, so 21 times in 3 samples."""
    often = [(20 * s + t, 0, 1) for s in range(3) for t in range(0, 20, 3)]
    for n, rate, kinds in ((18, 0.9, []), (19, 0.9, ["saturated"]), (19, 0.95, [])):
        limits = Limits(least_interval={"a": 3}, saturated_rate=rate, silent_share=1.0)
        with written(recording, f"{n} {rate}.h5", {"a": often[:n]}) as trace:
            assert [alarm.kind for alarm in alarms(trace, limits)] == kinds


def test_a_payload_does_not_make_a_neuron_saturated(recording):
    rows = {"a": [(t, 0, 9) for t in range(0, 60, 6) for _ in range(6)]}
    with written(recording, "t.h5", rows, populations=[population(payload=True)]) as trace:
        assert [alarm.kind for alarm in alarms(trace)] == ["silent"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"silent_share": 1.5}, r"silent_share is a share from 0 to 1, got 1\.5"),
        ({"saturated_rate": -1}, r"saturated_rate is a share from 0 to 1, got -1"),
        ({"least_interval": {"a": 0}}, r"population 'a': .* at least 1, got 0"),
        ({"least_interval": {"a": np.array([2, -1])}}, r"population 'a': .* at least 1, got -1"),
    ],
)
def test_limits_out_of_range_are_told(given, message):
    with pytest.raises(ValueError, match=message):
        Limits(**given)
