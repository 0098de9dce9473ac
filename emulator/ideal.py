"""Fabric ``ideal``: hop latency without contention.

A packet takes X first, then Y. Nothing queues: it leaves when its neuron's costs have passed
(`emulator.activity`) and needs the sum of its hops. A core works off its synaptic events one after
another, beside its neurons, from the first packet that comes. A tick ends with the slowest core,
plus the barrier: no fabric with these latencies is faster. Input from outside is there at the
start of a tick; its way to the mesh is not modelled.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from emulator.traffic import Activity, Packets
from traces.jit import inner, kernel

Array = NDArray[Any]

NEVER = np.iinfo(np.int64).max // 2
CROWDED = 8
"""A source that sends to one in so many cores is worth a row of all cores."""
CORES_MOST = 1024
"""With more cores than this no table of all pairs is made."""


class Latencies(NamedTuple):
    """Where cores are, and picoseconds.

    ``x``, ``y`` int64 [n_cores]; ``source_core`` int64 [n_sources], -1 for channels from outside.
    """

    x: Array
    y: Array
    source_core: Array
    hop_ew: int
    hop_ns: int
    local: int
    axon_in: int
    synaptic_event: int
    barrier: int


class Crowd(NamedTuple):
    """The same packets as rows of all cores, where most cores get one.

    ``events`` uint8 or uint16 [n_sources, n_cores]: synaptic events and 1, or 0 for no packet;
    ``latency_ps`` int64 [n_cores + 1, n_cores], the last row for channels from outside.
    """

    events: Array
    latency_ps: Array


def crowd_of(packets: Packets, latencies: Latencies) -> Crowd | None:
    """Spread packets out to rows, if that is worth it."""
    n_sources, n_cores = latencies.source_core.size, latencies.x.size
    most = int(packets.events.max(initial=0)) + 1
    if (
        packets.repeats.size
        or n_cores > CORES_MOST
        or packets.core.size * CROWDED < n_sources * n_cores
        or most >= 1 << 16
    ):
        return None
    events = np.zeros((n_sources, n_cores), np.uint8 if most < 1 << 8 else np.uint16)
    at = np.repeat(np.arange(n_sources, dtype=np.int32), np.diff(packets.first))
    # A core may get several packets of one spike; those stay apart.
    if np.any((at[1:] == at[:-1]) & (packets.core[1:] <= packets.core[:-1])):
        return None
    events[at, packets.core] = packets.events + 1
    x, y = latencies.x, latencies.y
    latency_ps = np.zeros((n_cores + 1, n_cores), np.int64)
    latency_ps[:-1] = (
        np.abs(x[:, None] - x) * latencies.hop_ew
        + np.abs(y[:, None] - y) * latencies.hop_ns
        + latencies.local
    )
    return Crowd(events, latency_ps)


@inner
def carry_crowds(
    sources: Array, payloads: Array, sent_ps: Array, first: int, last: int, first_source: int,
    crowd: Crowd, latencies: Latencies, earliest_ps: Array, latest_ps: Array, work_ps: Array,
) -> None:  # fmt: skip
    """Do what `carry` does, for all cores at once."""
    events, latency_ps = crowd
    source_core = latencies.source_core
    n_cores = earliest_ps.size
    axon_in, synaptic_event = latencies.axon_in, latencies.synaptic_event
    for k in range(first, last):
        source = first_source + int(sources[k])
        times, left_ps = int(payloads[k]), int(sent_ps[k])
        sender = int(source_core[source])
        if sender < 0:
            sender = n_cores
        for core in range(n_cores):
            marked = int(events[source, core])
            arrival = left_ps + int(latency_ps[sender, core])
            work = times * (axon_in + (marked - 1) * synaptic_event)
            earliest_ps[core] = min(earliest_ps[core], arrival if marked > 0 else NEVER)
            latest_ps[core] = max(latest_ps[core], arrival if marked > 0 else 0)
            work_ps[core] += work if marked > 0 else 0


@inner
def carry(
    sources: Array, payloads: Array, sent_ps: Array, first: int, last: int, first_source: int,
    packets: Packets, latencies: Latencies, earliest_ps: Array, latest_ps: Array, work_ps: Array,
    touched: Array, n_touched: int,
) -> int:  # fmt: skip
    """Note when the packets of some spikes come, and what they make each core do.

    Parameters
    ----------
    earliest_ps, latest_ps, work_ps : int64 [n_cores]
        First and last arrival, and the time that axons and synaptic events take.
    touched : int64 [n_cores]
        Lists the cores that packets come to.

    Returns
    -------
    int
        Number of these cores so far.
    """
    start, core, events, once, repeated = packets
    x, y, source_core = latencies.x, latencies.y, latencies.source_core
    hop_ew, hop_ns, local = latencies.hop_ew, latencies.hop_ns, latencies.local
    axon_in, synaptic_event = latencies.axon_in, latencies.synaptic_event
    for k in range(first, last):
        source = first_source + int(sources[k])
        times, left_ps = int(payloads[k]), int(sent_ps[k])
        sender = int(source_core[source])
        at_x, at_y = int(x[max(sender, 0)]), int(y[max(sender, 0)])
        for packet in range(start[source], start[source + 1]):
            to = int(core[packet])
            arrival = left_ps
            if sender >= 0:
                arrival += abs(int(x[to]) - at_x) * hop_ew + abs(int(y[to]) - at_y) * hop_ns + local
            sent, done = times, times * int(events[packet])
            if repeated.size:
                sent = times if repeated[packet] else 1
                done += int(once[packet])
            if earliest_ps[to] == NEVER:
                touched[n_touched] = to
                n_touched += 1
            earliest_ps[to] = min(int(earliest_ps[to]), arrival)
            latest_ps[to] = max(int(latest_ps[to]), arrival)
            work_ps[to] += sent * axon_in + done * synaptic_event
    return n_touched


@kernel
def ideal_ticks(
    activity: Activity,
    packets: Packets | None,
    crowd: Crowd | None,
    latencies: Latencies,
    n_neurons: int,
    first: int,
    last: int,
    tick_ps: Array,
) -> None:
    """Fill in the duration of the ticks ``first:last``, from packets in one form or the other."""
    spike_start, spike_neuron, spike_payload, spike_ps = activity[:4]
    input_start, input_channel, input_payload, input_ps = activity[4:8]
    update_ps, merged = activity.update_ps, activity.merged_events
    n_cores = update_ps.shape[1]
    earliest_ps = np.full(n_cores, NEVER, np.int64)
    latest_ps = np.zeros(n_cores, np.int64)
    work_ps = np.zeros(n_cores, np.int64)
    touched = np.arange(n_cores)
    for tick in range(first, last):
        inputs = int(input_start[tick]), int(input_start[tick + 1])
        spikes = int(spike_start[tick]), int(spike_start[tick + 1])
        n_touched = n_cores
        # What is None is not compiled.
        if crowd is not None:
            carry_crowds(
                input_channel, input_payload, input_ps, inputs[0], inputs[1], n_neurons, crowd,
                latencies, earliest_ps, latest_ps, work_ps,
            )  # fmt: skip
            carry_crowds(
                spike_neuron, spike_payload, spike_ps, spikes[0], spikes[1], 0, crowd, latencies,
                earliest_ps, latest_ps, work_ps,
            )  # fmt: skip
        if packets is not None:
            n_touched = carry(
                input_channel, input_payload, input_ps, inputs[0], inputs[1], n_neurons, packets,
                latencies, earliest_ps, latest_ps, work_ps, touched, 0,
            )  # fmt: skip
            n_touched = carry(
                spike_neuron, spike_payload, spike_ps, spikes[0], spikes[1], 0, packets, latencies,
                earliest_ps, latest_ps, work_ps, touched, n_touched,
            )  # fmt: skip
        slowest = 0
        for core in range(n_cores):
            slowest = max(slowest, int(update_ps[tick, core]))
        for k in range(n_touched):
            core = touched[k]
            work = int(work_ps[core])
            if merged.size:
                work -= merged[tick, core] * latencies.synaptic_event
            arrived = max(int(latest_ps[core]), int(earliest_ps[core]) + work)
            slowest = max(slowest, 0 if earliest_ps[core] == NEVER else arrived)
            earliest_ps[core], latest_ps[core], work_ps[core] = NEVER, 0, 0
        tick_ps[tick] = slowest + latencies.barrier
