"""Small traces of known spikes."""

import numpy as np
import pytest

from traces.layout import RecordedPopulation
from traces.trace import Trace
from traces.writer import TraceWriter

SIZES = {"a": 6, "b": 4}


class Recording:
    """Write traces of two populations into a folder; 3 samples of 20 ticks if not told otherwise."""

    sizes = SIZES

    def __init__(self, folder):
        self.folder = folder

    def populations(self, lag=0):
        return (
            RecordedPopulation(name="a", shape=(2, 3), lag=lag, output=False, spiking=True),
            RecordedPopulation(name="b", shape=(4,), lag=2 * lag, output=True, spiking=False),
        )

    def writer(self, name, *, lag=0, **how):
        given = {
            "samples": 3, "ticks": 20, "input_ticks": 10, "dt_s": 1e-3, "provenance": {},
            "kind": "chip", "populations": self.populations(lag),
        }  # fmt: skip
        return TraceWriter(self.folder / name, **given | how)

    def write(self, name, spikes, **how):
        """Write spikes {population: set of (sample, tick, neuron)}, sample by sample; open it."""
        ticks, samples = how.get("ticks", 20), how.get("samples", 3)
        with self.writer(name, **how) as writer:
            for sample in range(samples):
                for population, events in spikes.items():
                    mine = [(s * ticks + t, n) for s, t, n in events if s == sample]
                    writer.spikes(population, *np.array(mine, np.int64).reshape(-1, 2).T)
        return Trace.open(self.folder / name)


@pytest.fixture
def recording(tmp_path):
    return Recording(tmp_path)


@pytest.fixture
def random_spikes(rng):
    """Make random spikes {population: set of (sample, tick, neuron)}."""

    def make(n=60, samples=3, ticks=20):
        high = {name: (samples, ticks, size) for name, size in SIZES.items()}
        return {
            name: set(map(tuple, rng.integers(0, high[name], (n, 3)).tolist())) for name in SIZES
        }

    return make
