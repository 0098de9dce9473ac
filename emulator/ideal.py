"""Fabric ``ideal``: hop latency without contention.

Nothing queues: a packet leaves when its neuron's costs have passed
(`emulator.activity`) and needs the sum of its hops. A core works off its synaptic events one after
another, beside its neurons, from the first packet that comes. A tick ends with the slowest core,
plus the barrier: no fabric with these latencies is faster. Input from outside is there at the
start of a tick; its way to the mesh is not modelled.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from emulator.chip import Chip
from emulator.program import Program
from emulator.traffic import Activity, Packets, Ticks
from emulator.ways import ways
from traces.jit import inner, kernel

Array = NDArray[Any]

NEVER = np.iinfo(np.int64).max // 2
CROWDED = 8
"""A source that sends to one in so many cores is worth a row of all cores."""
CORES_MOST = 1024
"""With more cores than this no table of all pairs is made."""


class Latencies(NamedTuple):
    """When packets come, and picoseconds.

    ``table`` int64 [n_cores + 1, n_cores] from core to core, the last row for channels from
    outside; no rows where there are more than `CORES_MOST` cores, and then ``by_packet`` [n_packets]
    has them. ``source_core`` int64 [n_sources], -1 for channels from outside.
    """

    table: Array
    by_packet: Array
    source_core: Array
    axon_in: int
    synaptic_event: int
    barrier: int


def latencies_of(program: Program, chip: Chip, packets: Packets, barrier_ps: int) -> Latencies:
    """Look up what each packet's way takes."""
    n_cores, core = program.n_cores, program.core
    table = np.zeros((n_cores + 1 if n_cores <= CORES_MOST else 0, n_cores), np.int64)
    by_packet = np.empty(0, np.int64)
    if table.size:
        table[:-1] = ways(core[:, None], core, chip).latency_ps
    else:
        sender = np.repeat(program.source_core, np.diff(packets.first))
        way = ways(core[np.maximum(sender, 0)], core[packets.core], chip)
        by_packet = np.where(sender >= 0, way.latency_ps, 0)
    timing = chip.timing
    axon_in = timing.axon_in_ps.value if timing else 0
    return Latencies(table, by_packet, program.source_core, axon_in, packets.unit_ps, barrier_ps)


class Crowd(NamedTuple):
    """The same packets as rows of all cores, where most cores get one.

    ``work`` uint8 or uint16 [n_sources, n_cores]: synaptic work and 1, or 0 for no packet.
    ``group`` int32 [n_sources]: sources of one number follow each other, lie on one core and send
    to the same cores.
    """

    work: Array
    group: Array


def crowd_of(packets: Packets, latencies: Latencies) -> Crowd | None:
    """Spread packets out to rows, if that is worth it."""
    n_sources, n_cores = latencies.source_core.size, latencies.table.shape[1]
    most = int(packets.work.max(initial=0)) + 1
    if (
        packets.repeats.size
        or not latencies.table.size
        or packets.core.size * CROWDED < n_sources * n_cores
        or most >= 1 << 16
    ):
        return None
    work = np.zeros((n_sources, n_cores), np.uint8 if most < 1 << 8 else np.uint16)
    at = np.repeat(np.arange(n_sources, dtype=np.int32), np.diff(packets.first))
    # A core may get several packets of one spike; those stay apart.
    if np.any((at[1:] == at[:-1]) & (packets.core[1:] <= packets.core[:-1])):
        return None
    work[at, packets.core] = packets.work + 1
    differs = np.any((work[1:] > 0) != (work[:-1] > 0), axis=1)
    differs |= latencies.source_core[1:] != latencies.source_core[:-1]
    return Crowd(work, np.append(0, np.cumsum(differs)).astype(np.int32))


@inner
def carry_crowds(
    sources: Array, payloads: Array, sent_ps: Array, first: int, last: int, first_source: int,
    crowd: Crowd, latencies: Latencies, earliest_ps: Array, latest_ps: Array, work_ps: Array,
) -> None:  # fmt: skip
    """Do what `carry` does, for all cores at once."""
    events, latency_ps = crowd.work, latencies.table
    source_core, groups = latencies.source_core, crowd.group
    n_cores = earliest_ps.size
    axon_in, synaptic_event = latencies.axon_in, latencies.synaptic_event
    k = first
    while k < last:
        source = first_source + int(sources[k])
        group, sender = int(groups[source]), int(source_core[source])
        if sender < 0:
            sender = n_cores
        # Of spikes that reach the same cores the same way, all but the work is done with the last.
        sent, first_ps, last_ps, event_ps = 0, NEVER, 0, 0
        while True:
            times, left_ps = int(payloads[k]), int(sent_ps[k])
            event_ps = times * synaptic_event
            sent += times
            first_ps, last_ps = min(first_ps, left_ps), max(last_ps, left_ps)
            k += 1
            if k == last or groups[first_source + int(sources[k])] != group:
                break
            for core in range(n_cores):
                work_ps[core] += int(events[source, core]) * event_ps
            source = first_source + int(sources[k])
        # A mark is one more than the events.
        packets_ps = sent * (axon_in - synaptic_event)
        for core in range(n_cores):
            marked = int(events[source, core])
            way_ps = int(latency_ps[sender, core])
            work = packets_ps + marked * event_ps
            earliest_ps[core] = min(earliest_ps[core], first_ps + way_ps if marked > 0 else NEVER)
            latest_ps[core] = max(latest_ps[core], last_ps + way_ps if marked > 0 else 0)
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
    start, core, work, once, repeated = packets[:5]
    table, by_packet, source_core = latencies.table, latencies.by_packet, latencies.source_core
    n_cores = earliest_ps.size
    axon_in, synaptic_event = latencies.axon_in, latencies.synaptic_event
    for k in range(first, last):
        source = first_source + int(sources[k])
        times, left_ps = int(payloads[k]), int(sent_ps[k])
        sender = int(source_core[source])
        if sender < 0:
            sender = n_cores
        for packet in range(start[source], start[source + 1]):
            to = int(core[packet])
            arrival = left_ps
            if by_packet.size:
                arrival += int(by_packet[packet])
            else:
                arrival += int(table[sender, to])
            sent, done = times, times * int(work[packet])
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
    ways_count: bool,
    first: int,
    last: int,
    ticks: Ticks,
) -> None:
    """Fill in duration and slowest core of some ticks, from packets in one form or the other.

    Parameters
    ----------
    ways_count : bool
        Whether packets take their time on the way; not in fabric ``simple``, where a core's sending
        and its taking in overlap from the start of the tick.
    """
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
        longest, slowest = 0, n_cores
        for core in range(n_cores):
            longest = max(longest, int(update_ps[tick, core]))
        for k in range(n_touched):
            core = int(touched[k])
            arrived = int(work_ps[core])
            if merged.size:
                arrived -= merged[tick, core] * latencies.synaptic_event
            if ways_count:
                arrived = max(int(latest_ps[core]), int(earliest_ps[core]) + arrived)
            if earliest_ps[core] != NEVER and arrived >= longest:
                slowest = core if arrived > longest else min(core, slowest)
                longest = arrived
            earliest_ps[core], latest_ps[core], work_ps[core] = NEVER, 0, 0
        # The first of equals: neurons of a core before it may take as long.
        for core in range(slowest):
            if update_ps[tick, core] == longest:
                slowest = core
                break
        ticks.duration_ps[tick] = longest + latencies.barrier
        ticks.slowest_core[tick] = slowest
