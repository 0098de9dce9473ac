from contextlib import suppress

import numpy as np
import pytest

from traces.errors import ExportError
from traces.export.formats import export
from traces.export.selection import select
from traces.trace import Trace


def read(selection, source):
    """All spikes of a source as {(tick, neuron, worth)} and how many pieces they came in."""
    pieces = list(selection.pieces(source))
    found = []
    for ticks, neurons, payload in pieces:
        worth = np.ones_like(ticks) if payload is None else payload
        found += zip(ticks.tolist(), neurons.tolist(), worth.tolist(), strict=True)
    return found, len(pieces)


@pytest.mark.parametrize("most", [1, 3, 10, 1000])
@pytest.mark.parametrize("window", [(None, None), (7, 33), (0, 1), (59, None)])
def test_pieces_together_are_all_spikes_of_the_window(everything, monkeypatch, most, window):
    monkeypatch.setattr("traces.export.selection.MOST_EVENTS", most)
    selection = select(everything.trace, ticks=window)
    start, stop = window[0] or 0, 60 if window[1] is None else window[1]
    for source in selection.sources:
        found, n_pieces = read(selection, source)
        expected = [event for event in everything.spikes[source.name] if start <= event[0] < stop]
        assert found == expected
        assert n_pieces > 1 or most > 3 or stop - start == 1


def test_windows_hold_few_spikes_unless_one_tick_has_more(everything, monkeypatch):
    monkeypatch.setattr("traces.export.selection.MOST_EVENTS", 4)
    selection = select(everything.trace)
    windows = list(selection.windows(*selection.sources))
    assert [start for start, _ in windows[1:]] == [stop for _, stop in windows[:-1]]
    assert (windows[0][0], windows[-1][1]) == (0, 60)
    for start, stop in windows:
        n = sum(selection.n_spikes(source, start, stop) for source in selection.sources)
        assert n <= 4 or stop - start == 1


def test_populations_and_inputs_are_chosen_by_name(everything):
    chosen = select(everything.trace, populations=["in", "a b"]).sources
    assert [source.name for source in chosen] == ["a b", "in"]
    assert [source.is_input for source in chosen] == [False, True]


def test_samples_are_windows_of_ticks(everything):
    selection = select(everything.trace, samples=(1, 2))
    assert (selection.start, selection.stop, selection.samples) == (20, 40, range(1, 2))
    assert select(everything.trace, ticks=(19, 21)).samples == range(2)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"populations": ["b"]}, r"no population or input 'b'; there are: a b, out, in"),
        ({"ticks": (5, 5)}, r"ticks 5:5 are not there; it has 60 ticks"),
        ({"ticks": (0, 61)}, r"0 <= start < stop <= 60"),
        ({"ticks": (-3, None)}, r"ticks -3:60"),
        ({"samples": (3, None)}, r"samples 3:3 are not there; it has 3 samples"),
        ({"samples": (0, 1), "ticks": (0, 1)}, "of ticks or of samples, not of both"),
        ({"table": "spikes"}, "--table means nothing for vcd; it is for csv, parquet"),
        ({"clock": "wall"}, "--clock 'wall' is none of model, chip"),
        ({"to": "pdf"}, "--to 'pdf' is none of sonata, nwb"),
        ({"to": "csv", "table": "packets"}, "no packets were recorded"),
        ({"to": "csv", "table": "states", "populations": ["a b"]}, "no states of these"),
        ({"to": "perfetto"}, r"know their files by \.json or \.json\.gz"),
    ],
)
def test_what_cannot_be_chosen_is_told(everything, tmp_path, how, message):
    how = {"to": "vcd"} | how
    with pytest.raises(ExportError, match=message):
        export(everything.trace, how.pop("to"), tmp_path / "x.vcd", **how)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["trace.h5"]


def test_of_a_run_that_broke_off_only_what_is_whole(recording, tmp_path):
    with suppress(KeyboardInterrupt), recording.writer("cut.h5") as writer:
        for tick in (3, 12, 30, 31):
            writer.spikes("a", np.array([tick]), np.array([1]))
            writer.spikes("b", np.array([tick]), np.array([1]))
            writer.flush()
        raise KeyboardInterrupt
    with Trace.open(tmp_path / "cut.h5") as trace:
        whole = trace.whole_ticks
        assert 12 < whole < 60
        assert select(trace).stop == whole
        with pytest.raises(ExportError, match="that are whole"):
            select(trace, ticks=(0, 60))


def test_a_run_that_broke_off_at_once_has_nothing_to_export(recording, tmp_path):
    with suppress(KeyboardInterrupt), recording.writer("cut.h5"):
        raise KeyboardInterrupt
    with (
        Trace.open(tmp_path / "cut.h5") as trace,
        pytest.raises(ExportError, match="no tick of it is whole, so there is nothing"),
    ):
        select(trace)
