"""Measures of spike trains: distances, correlations, and alarms about a trace."""

from traces.measures.alarm import Alarm, Limits, alarms
from traces.measures.decays import van_rossum
from traces.measures.edits import victor_purpura
from traces.measures.intervals import isi_distance
from traces.measures.measured import Measured, Measures, Summary, plain
from traces.measures.neighbours import spike_distance
from traces.measures.pairs import Measure, one_by_one, pair, pairwise
from traces.measures.rates import earth_mover, rate_correlation
from traces.measures.tiling import spike_time_tiling
from traces.measures.trains import Trains
from traces.measures.two_traces import MEASURES, Parameters, measure

__all__ = [
    "MEASURES",
    "Alarm",
    "Limits",
    "Measure",
    "Measured",
    "Measures",
    "Parameters",
    "Summary",
    "Trains",
    "alarms",
    "earth_mover",
    "isi_distance",
    "measure",
    "one_by_one",
    "pair",
    "pairwise",
    "plain",
    "rate_correlation",
    "spike_distance",
    "spike_time_tiling",
    "van_rossum",
    "victor_purpura",
]
