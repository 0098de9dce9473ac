"""Comparison of two traces against a count of sets."""

import h5py
import numpy as np
import pytest

from traces.compare import compare
from traces.layout import RecordedPopulation
from traces.trace import Trace


@pytest.fixture(params=[1 << 20, 50, 1], ids=lambda n: f"{n} events")
def window(request, monkeypatch):
    monkeypatch.setattr("traces.align.WINDOW_EVENTS", request.param)


def broken_off(recording, name, spikes, whole_ticks, **how):
    """Write a trace that says that only so many of its ticks are whole."""
    recording.write(name, spikes, **how).close()
    with h5py.File(recording.folder / name, "r+") as file:
        file.attrs["complete"] = False
        file.attrs["whole_ticks"] = whole_ticks
    return Trace.open(recording.folder / name)


@pytest.mark.parametrize("lag", [0, 3])
def test_counts_and_first_difference(recording, random_spikes, window, lag):
    a, b = random_spikes(), random_spikes()
    late = {
        name: {(s, t, n) for s, t, n in events if t >= lag * (1 + (name == "b"))}
        for name, events in b.items()
    }
    with recording.write("a.h5", a) as one, recording.write("b.h5", late, lag=lag) as other:
        found = compare(one, other)
    for part in found.populations:
        own = lag * (1 + (part.name == "b"))
        in_a = {(s, t, n) for s, t, n in a[part.name] if t < 20 - own}
        in_b = {(s, t - own, n) for s, t, n in late[part.name]}
        assert (part.n_a, part.n_b, part.n_common) == (len(in_a), len(in_b), len(in_a & in_b))
        assert part.n_ticks == 3 * (20 - own)
        assert part.first[0:2] + part.first[3:5] == min(
            (*e, "a" if e in in_a else "b") for e in in_a ^ in_b
        )
        counts = np.zeros((2, part.n_ticks, recording.sizes[part.name]))
        for side, events in enumerate((in_a, in_b)):
            for s, t, n in events:
                counts[side, s * (20 - own) + t, n] = 1
        rates = counts.mean(axis=1)
        assert part.rate_error == pytest.approx(np.abs(rates[0] - rates[1]).mean())
    assert not found.equal
    assert (found.complete_a, found.complete_b) == (True, True)


@pytest.mark.parametrize("whole_ticks", [1, 19, 20, 27, 40, 59])
def test_only_ticks_that_both_have_are_compared(recording, random_spikes, window, whole_ticks):
    spikes = random_spikes()
    cut = {
        name: {e for e in events if e[0] * 20 + e[1] < whole_ticks}
        for name, events in spikes.items()
    }
    # Ticks behind the last whole one may be there in part.
    cut["a"] |= {e for e in spikes["a"] if e[0] * 20 + e[1] == whole_ticks}
    with recording.write("a.h5", spikes) as a, broken_off(recording, "b.h5", cut, whole_ticks) as b:
        found = compare(a, b)
    assert found.equal
    assert (found.complete_a, found.complete_b) == (True, False)
    assert (found.whole_ticks_a, found.whole_ticks_b) == (60, whole_ticks)
    for part in found.populations:
        assert part.n_ticks == whole_ticks
        assert (
            part.n_a
            == part.n_b
            == len([e for e in spikes[part.name] if e[0] * 20 + e[1] < whole_ticks])
        )
        if part.rate_correlation is not None:
            assert part.rate_correlation == pytest.approx(1.0)


def test_nothing_in_common_is_told(recording, random_spikes):
    with (
        recording.write("a.h5", random_spikes()) as a,
        broken_off(recording, "b.h5", {}, 0) as b,
        pytest.raises(ValueError, match=r"before they had a tick in common \(60 and 0 ticks"),
    ):
        compare(a, b)


def test_a_broken_off_run_says_how_far_it_goes(recording):
    def interrupted():
        with recording.writer("t.h5") as writer:
            for tick in (3, 8, 12):
                writer.spikes("a", np.array([tick]), np.array([0]))
                writer.spikes("b", np.array([tick]), np.array([0]))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    with Trace.open(recording.folder / "t.h5") as trace:
        # Of tick 12 and those after 8 more may have been to come.
        assert trace.whole_ticks == 9
    with h5py.File(recording.folder / "t.h5", "r+") as file:
        # As files of layout 1 were written before, which had no checksum of their header either.
        del file.attrs["whole_ticks"], file.attrs["header_sha256"]
    with Trace.open(recording.folder / "t.h5") as trace:
        assert trace.whole_ticks == 12


def carrying(recording, name, rows, payload=True):
    """Write spikes (tick, neuron, payload) of one population, one sample."""
    part = RecordedPopulation(
        name="a", shape=(4,), lag=0, output=True, spiking=True, payload=payload
    )
    ticks, neurons, payloads = np.array(rows).T
    with recording.writer(name, populations=[part], samples=1) as writer:
        writer.spikes("a", ticks, neurons, payloads if payload else None)
    return Trace.open(recording.folder / name)


def test_another_payload_is_a_difference(recording, window):
    rows = [(1, 0, 1), (2, 1, 3), (2, 2, -1), (5, 3, 2)]
    other = [(1, 0, 1), (2, 1, 3), (2, 2, 1), (5, 3, 7)]
    with carrying(recording, "a.h5", rows) as a, carrying(recording, "b.h5", other) as b:
        found = compare(a, b)
        assert compare(a, a).equal
        np.testing.assert_array_equal(a.counts("a"), [[1, 3, 1, 2]])
    (part,) = found.populations
    assert not found.equal
    assert (part.n_a, part.n_b, part.n_common, part.n_payload_differs) == (4, 4, 4, 2)
    assert part.first[:5] == (0, 2, "a", 2, None)
    assert (part.first.payload_a, part.first.payload_b) == (-1, 1)
    assert part.rate_error == pytest.approx(5 / 4 / 20)


def test_a_spike_without_payload_counts_one(recording):
    rows = [(1, 0, 1), (2, 1, 3)]
    with carrying(recording, "a.h5", rows) as a, carrying(recording, "b.h5", rows, False) as b:
        (part,) = compare(a, b).populations
    assert (part.n_common, part.n_payload_differs) == (2, 1)
    assert part.first[1:] == (2, "a", 1, None, 2, 2, 3, 1)


def test_membranes_are_compared_up_to_where_both_go(recording, window):
    for name, offset in (("a.h5", 0.0), ("b.h5", 0.5)):
        with recording.writer(name) as writer:
            writer.state("b", "v", np.arange(240.0).reshape(60, 4), scale=1.0, offset=offset)
    with Trace.open(recording.folder / "a.h5") as a, Trace.open(recording.folder / "b.h5") as b:
        part = compare(a, b).populations[1]
    assert part.state_max_error == part.state_rms_error == 0.5
    assert part.state_correlation == pytest.approx(1.0)


def test_fewer_samples_are_compared_in_part(recording, random_spikes, window):
    spikes = random_spikes()
    fewer = {name: {e for e in events if e[0] < 2} for name, events in spikes.items()}
    with (
        recording.write("a.h5", spikes) as a,
        recording.write("b.h5", fewer, samples=2) as b,
    ):
        found = compare(a, b)
    assert found.partial
    assert not found.equal
    assert found.first is None
    assert found.differences == ("samples is 3 and 2",)
    for part in found.populations:
        assert part.n_a == part.n_b == part.n_common == len(fewer[part.name])
        assert part.n_ticks == 2 * 20


def test_longer_samples_are_compared_in_part(recording, random_spikes, window):
    spikes = random_spikes()
    with (
        recording.write("a.h5", spikes) as a,
        recording.write("b.h5", spikes, ticks=25, input_ticks=15) as b,
    ):
        found = compare(a, b)
    assert found.partial
    assert found.first is None
    assert found.differences == ("input_ticks is 10 and 15",)
    assert found.n_ticks == 3 * 20


def test_common_populations_are_compared(recording, random_spikes):
    spikes = random_spikes()
    parts = recording.populations()
    other = (RecordedPopulation(name="c", shape=(4,), lag=0, output=True, spiking=True), parts[0])
    with recording.write("a.h5", spikes) as a:
        only_a = {"a": spikes["a"]}
        with recording.write("b.h5", only_a, populations=other) as b:
            found = compare(a, b)
    assert [p.name for p in found.populations] == ["a"]
    assert found.populations[0].agreement == 1
    assert found.partial
    assert sorted(text.split(" is ")[0] for text in found.differences) == [
        "population 'b'", "population 'c'",
    ]  # fmt: skip


def test_populations_of_another_shape_are_left_out(recording, random_spikes):
    wide = tuple(
        RecordedPopulation(
            name=p.name, shape=(9,) if p.name == "a" else p.shape, lag=0, output=p.output,
            spiking=p.spiking,
        )
        for p in recording.populations()
    )  # fmt: skip
    spikes = random_spikes()
    with (
        recording.write("a.h5", spikes) as a,
        recording.write("b.h5", spikes, populations=wide) as b,
    ):
        found = compare(a, b)
    assert [p.name for p in found.populations] == ["b"]
    assert found.differences == ("population 'a' is (2, 3) and (9,)",)


def test_nothing_in_common_says_all_that_differs(recording):
    one = (RecordedPopulation(name="x", shape=(2,), lag=0, output=True, spiking=True),)
    other = (RecordedPopulation(name="y", shape=(2,), lag=0, output=True, spiking=True),)
    with (
        recording.write("a.h5", {}, populations=one) as a,
        recording.write("b.h5", {}, populations=other, samples=2, dt_s=2e-3) as b,
        pytest.raises(
            ValueError, match=r"'x' is only in .*'y' is only in .*samples is 3 and 2.*dt_s"
        ),
    ):
        compare(a, b)


def test_networks_of_another_hash_are_told_but_compared(recording, random_spikes):
    spikes = random_spikes()
    with (
        recording.write("a.h5", spikes, provenance={"network_sha256": "a" * 64}) as a,
        recording.write("b.h5", spikes, provenance={"network_sha256": "b" * 64}) as b,
    ):
        found = compare(a, b)
    assert found.equal
    assert found.differences == (f"the networks are not the same ({'a' * 12} and {'b' * 12})",)
