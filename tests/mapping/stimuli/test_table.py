"""Spikes in comma-separated values."""

import numpy as np
import pytest

from mapping.errors import StimulusError
from mapping.network import Input
from mapping.stimuli.reading import Wanted, read_counts

WANTED = Wanted(Input(name="in", shape=(2, 3)), 1e-3)


@pytest.fixture
def read(tmp_path):
    """Write a table and read it."""

    def do(text, wanted=WANTED, **how):
        (tmp_path / "x.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
        return read_counts(tmp_path / "x.csv", wanted, **how)

    return do


@pytest.mark.parametrize(
    "text",
    [
        "tick,channel\n0,5\n2,1\n2,1\n",
        "Tick , NEURON\r\n2,1\r\n0,5\r\n2,1\r\n",
        "time_s,channel\n0.0004,5\n0.002,1\n0.0029,1\n",
        "time_ms,channel\n0,5\n2,1\n2.5,1\n",
        "time_us,channel,ignored\n0,5,a\n2000,1,b\n2999,1,\n",
        "tick,channel,payload\n0,5,1\n2,1,2\n",
        "tick,time_s,channel,payload\n0,0,5,1\n2,0.002,1,2\n",
        b"\xef\xbb\xbftick,channel\n0,5\n\n2,1\n2,1\n",
        "tick,x,y,polarity\n0,2,1,0\n2,1,0,0\n2,1,0,0\n",
    ],
)
def test_all_ways_to_say_the_same(read, text):
    shape = WANTED if "polarity" not in str(text) else WANTED._replace(
        part=Input(name="in", shape=(1, 2, 3))
    )  # fmt: skip
    expected = np.zeros((1, 3, 6), int)
    expected[0, 0, 5], expected[0, 2, 1] = 1, 2
    np.testing.assert_array_equal(read(text, shape), expected)


def test_samples_and_populations(read):
    text = "sample,tick,population,neuron\n1,0,a,3\n0,1,a,2\n0,0,b,1\n"
    found = read(text, WANTED._replace(population="a"))
    assert found.shape == (2, 2, 6)
    assert np.argwhere(found).tolist() == [[0, 1, 2], [1, 0, 3]]
    with pytest.raises(StimulusError, match=r"spikes of a, b; say whose .* --population"):
        read(text)
    with pytest.raises(StimulusError, match="no spikes of 'c'; there are those of a, b"):
        read(text, WANTED._replace(population="c"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty; the first line must name columns"),
        ("1,2\n3,4\n", "no column of ticks or times; columns are: tick or time_s"),
        ("time,channel\n", "no column of ticks or times"),
        ("tick,what\n0,1\n", "no column of channels"),
        ("tick,tick,channel\n", "names a column twice"),
        ("tick,channel\n0,1,2\n", "line 2 has 3 values, but there are 2 columns"),
        ("tick,channel\n0,1\n0.5,1\n", "row 2 has tick 0.5, but whole numbers"),
        ("tick,channel\n0,a\n", "row 1 has channel 'a', which is no number"),
        ("tick,channel\n0,nan\n", "row 1 has channel 'nan'"),
        ("time_s,channel\ninf,0\n", "row 1 has time_s 'inf'"),
        ("tick,channel\n-1,0\n", "spike 0 is at -1"),
        ("tick,channel\n0,6\n", "channel 6, but the input has 6, 0 to 5"),
        ("tick,channel,sample\n0,1,-1\n", "there is a sample -1"),
        ("tick,time_s,channel\n3,0.006,1\n", r"tick 3 is at 0.006 \(time_s\), but a tick .* 0.001"),
        ("tick,channel\n", "holds no spikes, so say how long"),
        (b"tick,channel\n\xff\xfe,1\n", "no table of comma-separated values"),
        ('tick,channel\n"0,1\n', "no table of comma-separated values"),
        ("tick,x,y\n0,9,0\n", r"go into an input of \(polarities, rows, columns\)|has x 9"),
        ("time_us,channel\n9e18,1\n", "are its times in units of 1e-06 s"),
    ],
)
def test_bad_tables_are_told(read, text, message):
    with pytest.raises(StimulusError, match=message):
        read(text)


def test_a_population_of_a_table_without(read):
    with pytest.raises(StimulusError, match="has no column 'population'"):
        read("tick,channel\n0,0\n", WANTED._replace(population="a"))
