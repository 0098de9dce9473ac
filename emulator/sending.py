"""From spikes to packets: what each source sends, in the order in which cores send it.

A core's packets leave in the order of their creation, then of the channel or neuron, then of the
spikes of a payload. Input from outside enters the router of its core at the start of the tick.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from emulator.chip import Chip
from emulator.noc.packets import SIZE_MAX
from emulator.noc.packets import Packets as NocPackets
from emulator.noc.queued import FabricError
from emulator.noc.topology import Noc
from emulator.noc.trees import Forest, plant
from emulator.program import Program
from emulator.traffic import Activity, Packets, Ticks
from traces.jit import inner, kernel

Array = NDArray[Any]

# Bound by `emulator.noc.queued.carry_rules`.
FORKS = False


class Sendings(NamedTuple):
    """What one spike of each source puts into the network: packets to one core, or trees.

    Attributes
    ----------
    first : int64 [n_sources + 1]
        Source ``s`` makes the sendings ``first[s]:first[s + 1]``; a tree has its sending's number.
    first_copy : int64 [n_sendings + 1] or [0]
        Copies of a sending, one for each target core; none where each has just one.
    copy_core : uint16 or uint32 [n_copies]
        Core in use that a copy goes to.
    work, once : uint16 or uint32 [n_copies]
        Synaptic work of a copy for each spike of a payload, and whatever the payload; ``once`` is
        empty where there is none.
    repeats : uint8 [n_sendings] or [0]
        Whether a payload sends it so many times; empty where it always does.
    source_core : int32 [n_sources]
        Core of the network that a source sends from; -1 from outside, where each copy enters at
        the core that it goes to.
    there : int64 [n_cores]
        Core of the network for each core in use.
    """

    first: Array
    first_copy: Array
    copy_core: Array
    work: Array
    once: Array
    repeats: Array
    source_core: Array
    there: Array


class Room(NamedTuple):
    """One tick's packets as `emulator.noc.carry.carry_tick` wants them, and what becomes of them.

    ``sending`` [n_packets]: which of `Sendings` each is. ``weight`` and ``is_first`` [n_packets] are
    of packets that fork: the spikes that one carries, and whether it is the first of its payload. ``copy_core``, ``delivered_ps`` [n_copies];
    ``done_ps`` [n_cores].
    """

    first_packet: Array
    created_ps: Array
    target: Array
    n_syn: Array
    first_copy: Array
    sending: Array
    weight: Array
    is_first: Array
    copy_core: Array
    delivered_ps: Array
    done_ps: Array


@inner
def count_packets(
    sources: Array, payloads: Array, first: int, last: int, first_source: int,
    sendings: Sendings, first_packet: Array,
) -> tuple[int, int]:  # fmt: skip
    """Add up how many packets each core sends, in ``first_packet[core + 1]``.

    Returns
    -------
    (packets, copies)
    """
    start, repeats, first_copy = sendings.first, sendings.repeats, sendings.first_copy
    copy_core, source_core, there = sendings.copy_core, sendings.source_core, sendings.there
    n_packets, n_copies = 0, 0
    for k in range(first, last):
        source = first_source + int(sources[k])
        times = max(int(payloads[k]), 0) if payloads.size else 1
        core = int(source_core[source])
        for sending in range(start[source], start[source + 1]):
            n = 1 if repeats.size and not repeats[sending] else times
            copy, size = sending, 1
            if FORKS:
                copy = int(first_copy[sending])
                size = int(first_copy[sending + 1]) - copy
            enters = core if core >= 0 else int(there[copy_core[copy]])
            first_packet[enters + 1] += n
            n_packets += n
            n_copies += n * size
    return n_packets, n_copies


@inner
def make_packets(
    sources: Array, payloads: Array, sent_ps: Array, first: int, last: int, first_source: int,
    outside: bool, sendings: Sendings, room: Room,
) -> None:  # fmt: skip
    """Put packets where those of their core go on; ``first_packet[core]`` moves along.

    Parameters
    ----------
    outside : bool
        Whether to take the sources from outside or the others.
    """
    start, repeats, first_copy = sendings.first, sendings.repeats, sendings.first_copy
    copy_core, source_core, there = sendings.copy_core, sendings.source_core, sendings.there
    work, once = sendings.work, sendings.once
    first_packet, created_ps, target, n_syn = room[:4]
    for k in range(first, last):
        source = first_source + int(sources[k])
        times = max(int(payloads[k]), 0) if payloads.size else 1
        created, core = int(sent_ps[k]), int(source_core[source])
        if (core < 0) != outside:
            continue
        for sending in range(start[source], start[source + 1]):
            repeated = not repeats.size or repeats[sending] != 0
            copy = int(first_copy[sending]) if FORKS else sending
            goal = int(there[copy_core[copy]])
            enters = core if core >= 0 else goal
            for time in range(times if repeated else 1):
                p = int(first_packet[enters])
                first_packet[enters] = p + 1
                created_ps[p] = created
                room.sending[p] = sending
                if FORKS:
                    # Copies are laid down once all packets have their place.
                    target[p] = sending
                    room.weight[p] = 1 if repeated else times
                    room.is_first[p] = time == 0
                    continue
                target[p] = goal
                n = int(work[copy]) * (1 if repeated else times)
                if once.size and time == 0:
                    n += int(once[copy])
                n_syn[p] = n
                room.copy_core[p] = copy_core[copy]


@inner
def lay_copies(n_packets: int, sendings: Sendings, room: Room) -> None:
    """Give the packets that fork their copies, in the order of packets."""
    first_copy, work, once, core = (
        sendings.first_copy, sendings.work, sendings.once, sendings.copy_core,
    )  # fmt: skip
    n = 0
    for p in range(n_packets):
        room.first_copy[p] = n
        sending = int(room.target[p])
        for copy in range(first_copy[sending], first_copy[sending + 1]):
            done = int(work[copy]) * int(room.weight[p])
            if once.size and room.is_first[p]:
                done += int(once[copy])
            room.n_syn[n] = done
            room.copy_core[n] = core[copy]
            n += 1


@kernel
def fill_room(
    activity: Activity, sendings: Sendings, n_neurons: int, tick: int, room: Room
) -> tuple[int, int]:
    """Make one tick's packets, if there is room for them.

    Returns
    -------
    (packets, copies)
    """
    spike_start, spike_neuron, spike_payload, spike_ps = activity[:4]
    input_start, input_channel, input_payload, input_ps = activity[4:8]
    inputs, spikes = input_start[tick : tick + 2], spike_start[tick : tick + 2]
    first_packet = room.first_packet
    n_places = first_packet.size - 1
    first_packet[:] = 0
    n_in, copies_in = count_packets(
        input_channel, input_payload, inputs[0], inputs[1], n_neurons, sendings, first_packet
    )
    n_out, copies_out = count_packets(
        spike_neuron, spike_payload, spikes[0], spikes[1], 0, sendings, first_packet
    )
    n, n_copies = n_in + n_out, copies_in + copies_out
    if n > room.created_ps.size or n_copies > room.n_syn.size:
        return n, n_copies
    for core in range(n_places):
        first_packet[core + 1] += first_packet[core]
    # What comes from outside is there before any channel or neuron of the core has its turn.
    for outside in (True, False):
        make_packets(
            input_channel, input_payload, input_ps, inputs[0], inputs[1], n_neurons, outside,
            sendings, room,
        )  # fmt: skip
    make_packets(
        spike_neuron, spike_payload, spike_ps, spikes[0], spikes[1], 0, False, sendings, room
    )
    for core in range(n_places, 0, -1):
        first_packet[core] = first_packet[core - 1]
    first_packet[0] = 0
    if FORKS:
        lay_copies(n, sendings, room)
    return n, n_copies


@kernel
def end_tick(
    activity: Activity, tick: int, n_copies: int, room: Room, barrier_ps: int, busiest: int,
    ticks: Ticks,
) -> None:  # fmt: skip
    """Note when the last core was done with its neurons and with what came to it."""
    n_cores = activity.update_ps.shape[1]
    done_ps = room.done_ps
    done_ps[:] = activity.update_ps[tick]
    for copy in range(n_copies):
        core = int(room.copy_core[copy])
        done_ps[core] = max(int(done_ps[core]), int(room.delivered_ps[copy]))
    slowest = 0
    for core in range(n_cores):
        if done_ps[core] > done_ps[slowest]:
            slowest = core
    ticks.duration_ps[tick] = done_ps[slowest] + barrier_ps
    ticks.slowest_core[tick] = slowest
    ticks.busiest_link[tick] = busiest


KERNELS = (count_packets, make_packets, lay_copies, fill_room, end_tick)
"""In the order in which `traces.jit.specialised` wants them."""


def make_room(n_places: int, n_cores: int, n: int, n_copies: int) -> Room:
    """Make room for packets.

    Parameters
    ----------
    n_places, n_cores : int
        Cores of the network, and those in use.
    n, n_copies : int
        Packets and copies in a tick at most.
    """
    return Room(
        first_packet=np.zeros(n_places + 1, np.int64),
        created_ps=np.zeros(n, np.int64),
        target=np.zeros(n, np.int32),
        n_syn=np.zeros(n_copies, np.int32),
        first_copy=np.zeros(n, np.int64),
        sending=np.zeros(n, np.int32),
        weight=np.zeros(n, np.int64),
        is_first=np.zeros(n, np.bool_),
        copy_core=np.zeros(n_copies, np.int32),
        delivered_ps=np.zeros(n_copies, np.int64),
        done_ps=np.zeros(n_cores, np.int64),
    )


def packets_in(room: Room, n: int, n_copies: int, *, forks: bool) -> NocPackets:
    """Show what `fill_room` made to the parts of `emulator.noc` that take values."""
    return NocPackets(
        first_packet=room.first_packet, created_ps=room.created_ps[:n], target=room.target[:n],
        n_syn=room.n_syn[:n_copies],
        first_copy=room.first_copy[:n] if forks else np.zeros(0, np.int64),
    )  # fmt: skip


def sendings_of(
    program: Program, packets: Packets, noc: Noc, there: Array, chip: Chip
) -> tuple[Sendings, Forest | None]:
    """List what each source puts into the network, and the trees of what forks.

    Parameters
    ----------
    there : int64 [n_cores]
        Core of the network for each core in use.

    Raises
    ------
    FabricError
        If one packet causes more synaptic work than the network counts.
    """
    source_core = np.full(program.source_core.size, -1, np.int32)
    on_chip = program.source_core >= 0
    source_core[on_chip] = there[program.source_core[on_chip]]
    most = int(packets.work.max(initial=0)) + int(packets.once.max(initial=0))
    if most > SIZE_MAX:
        raise FabricError(
            f"{chip.name}: a packet causes {most:,} units of synaptic work, but the network counts "
            f"up to {SIZE_MAX:,}; use smaller cores"
        )
    single = Sendings(
        first=packets.first, first_copy=np.empty(0, np.int64), copy_core=packets.core,
        work=packets.work, once=packets.once, repeats=packets.repeats, source_core=source_core,
        there=there,
    )  # fmt: skip
    return _forking(single, noc) if chip.fabric.multicast else (single, None)


def _forking(single: Sendings, noc: Noc) -> tuple[Sendings, Forest]:
    """Join the packets of one source to different cores; those from outside stay single.

    Packets to one core in several weight formats stay apart: the first of each core fork together,
    then the second, as long as they agree in whether a payload repeats them.
    """
    n = single.copy_core.size
    core = single.copy_core.astype(np.int64)
    source = np.repeat(np.arange(single.first.size - 1), np.diff(single.first))
    repeats = single.repeats if single.repeats.size else np.ones(n, np.uint8)
    rank = _rank_of_equals(np.stack([source, repeats, core]))
    outside = single.source_core[source] < 0
    rank[outside] = np.arange(np.count_nonzero(outside))
    order = np.lexsort((core, rank, repeats, source))
    start = np.flatnonzero(_changes(np.stack([source, repeats, rank])[:, order]))
    owner, first_copy = source[order][start], np.append(start, n)
    begins = single.source_core[owner].astype(np.int64)
    goal = single.there[core[order]]
    forest = plant(noc, np.where(begins < 0, goal[start], begins), first_copy, goal)
    return Sendings(
        first=np.searchsorted(owner, np.arange(single.first.size)), first_copy=first_copy,
        copy_core=single.copy_core[order], work=single.work[order],
        once=single.once[order] if single.once.size else single.once,
        repeats=repeats[order][start] if single.repeats.size else single.repeats,
        source_core=single.source_core, there=single.there,
    ), forest  # fmt: skip


def _changes(columns: Array) -> Array:
    """Whether each column differs from the one before it; bool [n]."""
    differs = np.ones(columns.shape[1], np.bool_)
    differs[1:] = np.any(columns[:, 1:] != columns[:, :-1], axis=0)
    return differs


def _rank_of_equals(columns: Array) -> Array:
    """How many equal columns come before each; int64 [n]."""
    order = np.lexsort(columns[::-1])
    new = _changes(columns[:, order])
    rank = np.empty(order.size, np.int64)
    rank[order] = np.arange(order.size) - np.flatnonzero(new)[np.cumsum(new) - 1]
    return rank
