"""Traces that formats are tried on."""

import numpy as np
import pytest
from traces_to_export import made, population

from traces.writer import TraceWriter


@pytest.fixture
def everything(tmp_path, rng):
    """A trace of everything but packets; see `made`."""
    found = made(tmp_path, rng)
    yield found
    found.trace.close()


@pytest.fixture
def long_trace(tmp_path):
    """Make a trace of many spikes in one population of 1,000 neurons."""

    def make(n_spikes, name="long.h5"):
        per_tick = 500
        n_ticks = n_spikes // per_tick
        with TraceWriter(
            tmp_path / name, kind="chip", populations=(population("p", (1000,)),), samples=1,
            ticks=n_ticks, input_ticks=n_ticks, dt_s=1e-3, provenance={},
        ) as writer:  # fmt: skip
            step = min(1000, n_ticks)
            neurons = np.tile(np.arange(0, 1000, 2), step)
            for first in range(0, n_ticks, step):
                writer.spikes("p", np.repeat(np.arange(first, first + step), per_tick), neurons)
        return tmp_path / name

    return make
