"""What became of every packet: when it left its neuron, came to a core, and was done with there.

One row for each packet and destination, those that stay on their core included. Fabrics that follow
packets (``queued``, ``links``, ``simpy``) tell times as they were. With ``ideal`` and ``simple``
nothing waits: a row is done when its own work would be, had the core nothing else to do, and
with ``simple`` it is there at once. What a failing link loses has no row.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from emulator.chip import Chip
from emulator.ideal import Latencies
from emulator.noc.topology import Noc
from emulator.program import Program
from emulator.sending import Room, Sendings
from emulator.traffic import Activity, Packets
from emulator.ways import ways

Array = NDArray[Any]

PACKETS_A_BLOCK = 1 << 20
"""Packets of a block that are logged together; a single tick may have more."""


class Rows(NamedTuple):
    """Packets of some ticks of a block as a fabric lists them; int64 [n_rows].

    ``tick`` counts from the block's first, ``source`` as `Program` numbers neurons and behind them
    channels, ``core`` those in use; times are picoseconds into the tick.
    """

    tick: Array
    source: Array
    core: Array
    left_ps: Array
    arrived_ps: Array
    done_ps: Array


class PacketLog(NamedTuple):
    """Packets of a block, by tick, then ``left_ps``, ``source`` and ``core``; see `Rows`.

    ``tick`` counts from the start of the sample; ``hops`` are links between routers.
    """

    tick: Array
    source: Array
    core: Array
    hops: Array
    left_ps: Array
    arrived_ps: Array
    done_ps: Array

    def between(self, first: int, last: int) -> "PacketLog":
        """Cut out the ticks ``first:last``."""
        mine = slice(*np.searchsorted(self.tick, [first, last]))
        return PacketLog(*(column[mine] for column in self))


def log_of(pieces: Sequence[Rows], first_tick: int, program: Program, chip: Chip) -> PacketLog:
    """Put a block's packets in order, and look up how far they went."""
    none = np.empty(0, np.int64)
    rows = Rows(
        *(np.concatenate([none, *columns]) for columns in zip(*pieces, strict=True))
        if pieces
        else 6 * (none,)
    )
    rows = Rows(
        *(
            column[np.lexsort((rows.done_ps, rows.core, rows.source, rows.left_ps, rows.tick))]
            for column in rows
        )
    )
    sender = program.source_core[rows.source]
    way = ways(program.core[np.maximum(sender, 0)], program.core[rows.core], chip)
    hops = np.where(sender < 0, 0, way.hops_ew + way.hops_ns + way.hops_off_chip)
    return PacketLog(
        first_tick + rows.tick, rows.source, rows.core, hops, rows.left_ps, rows.arrived_ps,
        rows.done_ps,
    )  # fmt: skip


def followed(
    tick: int, room: Room, n: int, n_copies: int, sendings: Sendings, arrived_ps: Array
) -> Rows:
    """List the packets of one tick that a network has carried.

    Parameters
    ----------
    arrived_ps : int64 [n_copies]
    """
    packet = packet_of_copy(room, n, sendings)
    source = np.searchsorted(sendings.first, room.sending[packet], "right") - 1
    return Rows(
        np.full(n_copies, tick), source, room.copy_core[:n_copies].astype(np.int64),
        room.created_ps[packet], arrived_ps, room.delivered_ps[:n_copies].copy(),
    )  # fmt: skip


def packet_of_copy(room: Room, n: int, sendings: Sendings) -> Array:
    """Which packet each copy is of; int64 [n_copies]."""
    if not sendings.first_copy.size:
        return np.arange(n)
    sending = room.sending[:n]
    return np.repeat(np.arange(n), sendings.first_copy[sending + 1] - sendings.first_copy[sending])


def arrivals(
    starts: Array, noc: Noc, bits: int, room: Room, n: int, n_copies: int, sendings: Sendings
) -> Array:
    """When copies came to their cores, from when they left their ejection ports; int64 [n_copies].

    Parameters
    ----------
    starts : int64 [n_starts, 4]
        Server, packet, ps and delta of every start.
    """
    port = starts[:, 0] - noc.n_links
    ejected = (port >= 0) & (port < noc.n_cores)
    port, packet, ps = port[ejected], starts[ejected, 1], starts[ejected, 2]
    took = noc.eject_fixed_ps[port] + bits * noc.eject_bit_ps[port] + noc.eject_flight_ps[port]
    there = sendings.there[room.copy_core[:n_copies]]
    # A packet comes to each core once, so that both lists have the same keys.
    wanted = packet_of_copy(room, n, sendings) * noc.n_cores + there
    arrived = np.empty(n_copies, np.int64)
    arrived[np.argsort(wanted)] = (ps + took)[np.argsort(packet * noc.n_cores + port)]
    return arrived


def unhindered(
    activity: Activity, first: int, last: int, packets: Packets, latencies: Latencies,
    n_neurons: int, *, ways_count: bool,
) -> Rows:  # fmt: skip
    """List the packets of some ticks as if each were alone."""
    tick, source, payload, left = _sent(activity, first, last, n_neurons)
    n_of = packets.first[source + 1] - packets.first[source]
    spike = np.repeat(np.arange(source.size), n_of)
    number = np.arange(spike.size) + np.repeat(packets.first[source] - np.cumsum(n_of) + n_of, n_of)
    repeated = np.ones(spike.size, np.bool_)
    if packets.repeats.size:
        repeated = packets.repeats[number] != 0
    times = np.where(repeated, np.maximum(payload[spike], 0), 1)
    work = packets.work[number] * np.where(repeated, 1, payload[spike])
    row = np.repeat(np.arange(spike.size), times)
    work = work[row]
    if packets.once.size:
        is_first = np.append(True, row[1:] != row[:-1])[: row.size]
        work = work + is_first * packets.once[number[row]].astype(np.int64)
    spike, number = spike[row], number[row]
    core = packets.core[number].astype(np.int64)
    arrived = left[spike]
    if ways_count:
        arrived = arrived + _way_ps(latencies, source[spike], core, number)
    done = arrived + latencies.axon_in + work * latencies.synaptic_event
    return Rows(tick[spike], source[spike], core, left[spike], arrived, done)


def _sent(activity: Activity, first: int, last: int, n_neurons: int) -> tuple[Array, ...]:
    """Tick, source, payload and time of all that fired."""
    columns = []
    for start, source, payload, ps, number in (
        (activity.input_start, activity.input_channel, activity.input_payload, activity.input_ps, n_neurons),
        (activity.spike_start, activity.spike_neuron, activity.spike_payload, activity.spike_ps, 0),
    ):  # fmt: skip
        tick = np.repeat(np.arange(first, last), np.diff(start[first : last + 1]))
        mine = slice(start[first], start[last])
        columns.append((tick, number + source[mine], payload[mine], ps[mine]))
    return tuple(np.concatenate(column) for column in zip(*columns, strict=True))


def _way_ps(latencies: Latencies, source: Array, core: Array, packet: Array) -> Array:
    if latencies.by_packet.size:
        return latencies.by_packet[packet]
    if not latencies.table.size:
        return np.zeros_like(core)
    return np.asarray(latencies.table[latencies.source_core[source], core])
