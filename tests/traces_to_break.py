"""A writer of everything that a trace can hold, and the checks of what is read back.

Blocks are tiny, so that HDF5's bookkeeping changes all the time, and all is computed from the tick
alone, so that whatever is read back can be checked.
"""

import numpy as np

from traces.layout import RecordedPopulation
from traces.trace import Trace
from traces.writer import TraceWriter

TICKS, SAMPLES = 40, 5
CELLS = (
    RecordedPopulation(name="a", shape=(30,), lag=0, output=False, spiking=True, payload=True),
    RecordedPopulation(name="b", shape=(20,), lag=1, output=True, spiking=True),
)


def begin(path, **how):
    return TraceWriter(
        path, kind="chip", populations=CELLS, samples=SAMPLES, ticks=TICKS, input_ticks=10,
        dt_s=1e-3, provenance={"seed": 1}, **how,
    )  # fmt: skip


def spikes_of(tick, size):
    return np.flatnonzero((np.arange(size) * 7 + tick) % 5 < 2)


def write(writer, first, last, *, checkpoint_every=7):
    """Write ticks ``first`` to ``last``, each as it would come from an engine."""
    for tick in range(first, last):
        if tick and tick % checkpoint_every == 0:
            writer.checkpoint(tick, {"tick": tick}, {"v": np.full(200, tick)})
        if tick % TICKS == 0:
            writer.stimulus_spikes("in", tick + np.arange(3), np.arange(3), np.ones(3, int))
        for cells in CELLS:
            who = spikes_of(tick, cells.size)
            payload = [who + tick] if cells.payload else []
            writer.spikes(cells.name, np.full(who.size, tick), who, *payload)
        writer.state("b", "v", np.full((1, 20), tick * 2**17), scale=1.0)
        if tick % 3 == 0:
            chosen = {"ticks": np.array([tick]), "neurons": np.array([2, 5])}
            writer.state("a", "u", np.full((1, 2), tick), scale=1.0, **chosen)
        names = ["source_kind", "source", "core", "hops", "left_ps", "arrived_ps", "done_ps"]
        writer.packets(timestamps=np.full(4, tick), **{n: np.arange(4) + tick for n in names})
        writer.tick_counters(spikes=np.array([tick]), duration_ps=np.array([tick * 10]))


def finish(writer):
    writer.totals("core", {"spikes": np.array([4, 5])})


def check(path):
    """Read all that is there; return the ticks that are whole."""
    with Trace.open(path) as trace:
        whole = trace.whole_ticks
        for cells in CELLS:
            expected = [(t, n) for t in range(whole) for n in spikes_of(t, cells.size).tolist()]
            found = trace.spikes(cells.name, 0, whole)
            pairs = zip(found.ticks.tolist(), found.neurons.tolist(), strict=True)
            assert list(pairs) == expected
            if cells.payload:
                np.testing.assert_array_equal(found.payload, found.ticks + found.neurons)
        frames = trace.frames("b", "v") if ("b", "v") in trace.states() else None
        if frames is not None:
            np.testing.assert_array_equal(frames.values[:, 3], frames.ticks * 2**17)
        if trace.tables:
            packets = trace.packets()
            np.testing.assert_array_equal(
                packets.hops, packets.timestamps + np.tile(range(4), len(packets.hops) // 4)
            )
        for tick in trace.checkpoints():
            assert tick <= whole
            assert trace.checkpoint(tick).header == {"tick": tick}
        return whole


def go_on(path):
    """Resume from the last checkpoint, as a run does; return the content hash."""
    with Trace.open(path) as trace:
        tick = max(trace.checkpoints(), default=0)
    # The sample's stimulus is written at its begin.
    following = -(-tick // TICKS) * TICKS
    with TraceWriter.resume(path, tick, stimulus_tick=following) as writer:
        write(writer, tick, SAMPLES * TICKS)
        finish(writer)
    assert check(path) == SAMPLES * TICKS
    with Trace.open(path) as trace:
        assert trace.complete
        assert trace.content_hash() == trace.content_sha256
        return trace.content_sha256
