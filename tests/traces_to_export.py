"""Traces with everything that formats can show, and what was put into them."""

from types import SimpleNamespace

import numpy as np

from traces.layout import RecordedPopulation
from traces.trace import Trace
from traces.writer import TraceWriter

SAMPLES, TICKS, DT_S = 3, 20, 5e-4


def population(name, shape, **about):
    given = {"lag": 0, "output": False, "spiking": True} | about
    return RecordedPopulation(name=name, shape=shape, **given)


def made(tmp_path, rng, draw_packets=None):
    """Two populations, one with payload; an input; states; counters, cores and links.

    ``spikes`` is {source: [(tick, neuron, worth), ...]} in the order of the file.
    """
    path = tmp_path / "trace.h5"
    n_ticks = SAMPLES * TICKS
    populations = (population("a b", (2, 3)), population("out", (4,), output=True, payload=True))
    spikes = {
        "a b": random_events(rng, n_ticks, 6, worth=(1, 2)),
        "out": random_events(rng, n_ticks, 4, worth=(-1, 4)),
        "in": random_events(rng, n_ticks, 5, worth=(1, 4)),
    }
    frames = rng.normal(size=(n_ticks, 4)).astype(np.float32)
    duration = rng.integers(1_000, 90_000, n_ticks) * 1_000 + 7
    with TraceWriter(
        path, kind="chip", populations=populations, samples=SAMPLES, ticks=TICKS, input_ticks=15,
        dt_s=DT_S, provenance={"chip": "loihi"},
    ) as writer:  # fmt: skip
        writer.cores(place=np.array([3, 8]), neurons=np.array([6, 4]))
        writer.spikes("a b", *columns(spikes["a b"])[:2])
        writer.spikes("out", *columns(spikes["out"]))
        writer.stimulus_spikes("in", *columns(spikes["in"]))
        writer.state("out", "v", frames, scale=0.5)
        counted = {
            "spikes": np.bincount(columns(spikes["a b"])[0], minlength=n_ticks),
            "slowest_core": rng.choice([3, 8], n_ticks),
            "busiest_link": rng.integers(-1, 2, n_ticks),
        }
        writer.tick_counters(duration_ps=duration, **counted)
        links = {"from_router": [3, 8], "to_router": [4, 0], "packets": [5, 6]}
        packets = draw_packets(duration) if draw_packets else None
        if packets is not None:
            writer.packets(inputs=["in"], **packets._asdict())
        writer.totals("link", {name: np.array(values) for name, values in links.items()})
    return SimpleNamespace(
        trace=Trace.open(path), path=path, packets=packets, spikes=spikes, frames=frames * 0.5, duration=duration,
        counted=counted, samples=SAMPLES, ticks=TICKS, dt_s=DT_S,
    )  # fmt: skip


def random_events(rng, n_ticks, size, *, worth, n=70):
    """Draw events (tick, neuron, worth), each (tick, neuron) once, in order; never worth 0."""
    places = rng.choice(n_ticks * size, n, replace=False)
    return sorted(
        (int(place // size), int(place % size), int(rng.integers(*worth)) or 3)
        for place in places.tolist()
    )


def columns(events):
    return np.array(events, np.int64).reshape(-1, 3).T
