"""The compiled network: one tick's packets from injection to delivery.

There are no events for finishes, arrivals or released slots. A packet is put into the next buffer
when it starts, with the time at which it will arrive, and a server that is woken computes its next
start in closed form: the earliest instant at which it is free, the buffer behind it has a slot
and a head is there. If that lies beyond what is safe, it is woken again then.

What is safe: a start changes nothing before its end. If every service takes at least L, starts
less than L apart cannot influence each other, so a time wheel with buckets no wider than L holds
servers in any order (`WHEEL`). Where a service takes no time, a winner tree gives the earliest.

Times are packed: ps << delta_bits | delta, where delta counts services without duration within a
ps (no bits where there are none). Ages are compared without delta.

Everything is one function that works on local arrays: calls that hand arrays on would count
references in the innermost loop, which takes several times as long as the work itself. Likewise
there is no division. Names in capitals that are not imported are bound by `carry_kernel`.
"""

from typing import Any

from numpy.typing import NDArray

from emulator.noc.scratch import (
    AFTER,
    AGE,
    ARRIVED,
    BASE,
    BEFORE,
    BIT,
    BRANCHES,
    BUCKET,
    BUCKETS,
    BUFFER_BITS,
    BUFFER_INJECT,
    CAPACITY,
    DE_BRUIJN,
    DELTA_BITS,
    DEPTH,
    FEEDER,
    FIRST_STEP,
    FIXED,
    FLIGHT,
    FREE,
    GOES,
    HEAD,
    LIMIT_PS,
    N_CLASSES,
    N_CORES,
    N_LEAVES,
    N_LINKS,
    NEVER,
    NEXT,
    NEXT_WAITING,
    NODE,
    NONE,
    OK,
    PACKET,
    PACKET_BITS,
    PEAK,
    PLACE,
    PORT,
    READ_BEFORE,
    READ_FREE,
    READY,
    RECORD_FULL,
    RING_IN,
    RING_OUT,
    RING_START,
    ROUTER,
    ROW,
    SERVER_BITS,
    STUCK,
    TAIL,
    TARGET,
    TICK_BUSY,
    TICK_PACKETS,
    TIME_OVERFLOW,
    TOO_MANY,
    UNDELIVERED,
    USED,
    WAITING,
    WAKE,
    WIDTH_BITS,
    WORD_BITS,
    Scratch,
    Traffic,
)  # fmt: skip
from emulator.noc.topology import HERE
from emulator.noc.trees import (
    EDGE_BITS,
    EDGE_BUFFER,
    EDGE_CHILD,
    EDGE_DOWN,
    EDGE_LEAF,
    EDGE_SERVER,
    EDGE_WAITING,
)  # fmt: skip
from traces.jit import kernel

Array = NDArray[Any]

# Bound by `emulator.noc.queued.carry_kernel`.
WHEEL = True
CLASSES = False
FORKS = False


@kernel
def latency_place(ps: int) -> int:
    """Return the bin of a latency; see `emulator.noc.scratch.latency_bin`."""
    if ps < 8:
        return ps
    octave, rest = 3, ps >> 4
    while rest >= 256:
        octave += 8
        rest >>= 8
    while rest > 0:
        octave += 1
        rest >>= 1
    return (octave - 2) * 8 + ((ps >> (octave - 3)) & 7)


@kernel
def carry_tick(
    first_packet: Array,
    created_ps: Array,
    target: Array,
    n_syn: Array,
    bits: Array,
    first_copy: Array,
    delivered_ps: Array,
    starts: Array,
    scratch: Scratch,
    traffic: Traffic,
) -> tuple[int, int, int, int, int]:
    """Carry one tick's packets through an empty network.

    Parameters
    ----------
    first_packet : int64 [n_cores + 1]
        Packets of source core k are first_packet[k] to first_packet[k + 1], in the order of their
        injection: by creation, then neuron, then sequence.
    created_ps : int64 [n]
    target : int32 [n]
        Target core; of packets that fork, their tree.
    n_syn : int32 [n], or [n_copies] of packets that fork
        Synaptic events that a packet causes.
    bits : int64 [n] or [0]
        Sizes; none if all packets have the size that the scratch was made with.
    first_copy : int64 [n] or [0]
        Of packets that fork: where their copies begin, in the order of their tree's targets.
    delivered_ps : int64 [n] or [n_copies]
        Set to when the target core was done with each packet.
    starts : int64 [any, 4]
        Filled with server, packet, ps, delta of every start, if there are rows at all.
    scratch : Scratch
    traffic : Traffic
        Added to.

    Returns
    -------
    status : int
        `OK`, or what broke; the scratch is of no use any more then.
    end_ps : int
        Last delivery; 0 if there was none.
    busiest, busiest_ps : int
        Link that was busy longest in this tick, and how long; -1 and 0 if none was used.
    n_starts : int
        Rows filled.
    """
    settings, server, buffer = scratch.settings, scratch.server, scratch.buffer
    packet, ring, step = scratch.packet, scratch.ring, scratch.step
    core_router, core_free = scratch.core_router, scratch.core_free
    core_axon_ps, core_syn_ps = scratch.core_axon_ps, scratch.core_syn_ps
    bucket, word, leaf = scratch.bucket, scratch.word, scratch.leaf
    heads, wakes, touched = scratch.heads, scratch.wakes, scratch.touched
    spare, edge, node_edge, root = scratch.spare, scratch.edge, scratch.node_edge, scratch.root
    stall_ps, latency, peak = traffic.stall_ps, traffic.latency, traffic.peak
    delta_bits, width_bits = int(settings[DELTA_BITS]), int(settings[WIDTH_BITS])
    delta_mask = (1 << delta_bits) - 1
    n_links, n_cores = int(settings[N_LINKS]), int(settings[N_CORES])
    n_classes = int(settings[N_CLASSES])
    n_feeding = n_links * n_classes
    first_inject = n_feeding + n_cores
    buffer_inject = int(settings[BUFFER_INJECT])
    n_leaves = int(settings[N_LEAVES])
    limit_ps = int(settings[LIMIT_PS])
    n_packets = int(first_packet[n_cores])
    sized, recorded = bits.size > 0, starts.shape[0] > 0
    if n_packets > settings[CAPACITY]:
        return TOO_MANY, 0, NONE, 0, 0

    # Times go on from the last tick, so that what it left behind lies in the past.
    if settings[BASE] > limit_ps:
        settings[BASE] = 0
        core_free[:] = 0
        ring[:] = 0
        for s in range(n_links + n_cores):
            server[(s << SERVER_BITS) + FREE] = 0
        for b in range(first_inject + n_cores):
            buffer[(b << BUFFER_BITS) + READ_FREE] = 0
            buffer[(b << BUFFER_BITS) + READ_BEFORE] = 0
    base = int(settings[BASE])
    limit_ps += base
    cursor = (base << delta_bits) >> width_bits
    horizon = 0

    n_heads, n_left = 0, n_packets
    for core in range(n_cores):
        first, last = int(first_packet[core]), int(first_packet[core + 1])
        if first == last:
            continue
        for p in range(first, last):
            at = p << PACKET_BITS
            created = int(created_ps[p])
            if created > limit_ps - base:
                return TIME_OVERFLOW, 0, NONE, 0, 0
            packet[at + ARRIVED] = (base + created) << delta_bits
            if FORKS:
                packet[at + NODE] = root[target[p]]
                packet[at + PACKET] = p
            else:
                packet[at + TARGET] = target[p]
                packet[at + ROUTER] = core_router[target[p]]
        b = (first_inject + core) << BUFFER_BITS
        buffer[b + HEAD] = first
        buffer[b + TAIL] = first
        heads[n_heads] = first_inject + core
        n_heads += 1
    if FORKS:
        n_left = delivered_ps.size
    n_rows, n_spare = n_packets, 0
    n_wakes, n_starts, n_touched, end_ps = 0, 0, 0, base
    status = OK

    while True:
        # New heads wait at the servers that they want.
        for k in range(n_heads):
            number = int(heads[k])
            b = number << BUFFER_BITS
            at = int(buffer[b + HEAD]) << PACKET_BITS
            arrived = int(packet[at + ARRIVED])
            ready = max(arrived, int(buffer[b + READ_FREE]))
            buffer[b + READY] = ready
            buffer[b + AGE] = arrived >> delta_bits
            if FORKS:
                node = int(packet[at + NODE])
                buffer[b + BRANCHES] = node_edge[node + 1] - node_edge[node]
                buffer[b + GOES] = 0
                for e in range(node_edge[node], node_edge[node + 1]):
                    s = int(edge[(e << EDGE_BITS) + EDGE_SERVER])
                    w = s << SERVER_BITS
                    edge[(e << EDGE_BITS) + EDGE_WAITING] = server[w + WAITING]
                    server[w + WAITING] = e
                    if CLASSES or server[w + STUCK] == 0:
                        wakes[2 * n_wakes] = s
                        wakes[2 * n_wakes + 1] = max(ready, int(server[w + FREE]))
                        n_wakes += 1
            else:
                place = int(step[buffer[b + ROW] + packet[at + ROUTER]])
                if place == HERE:
                    d = n_feeding + int(packet[at + TARGET])
                else:
                    d = int(buffer[b + FIRST_STEP]) + place
                s = d
                if CLASSES:
                    buffer[b + GOES] = d
                    s = int(buffer[(d << BUFFER_BITS) + FEEDER])
                w = s << SERVER_BITS
                buffer[b + NEXT_WAITING] = server[w + WAITING]
                server[w + WAITING] = number
                if CLASSES or server[w + STUCK] == 0:
                    wakes[2 * n_wakes] = s
                    wakes[2 * n_wakes + 1] = max(ready, int(server[w + FREE]))
                    n_wakes += 1
        n_heads = 0

        # Put servers into the queue, or forward in it.
        for k in range(n_wakes):
            s = int(wakes[2 * k])
            when = int(wakes[2 * k + 1])
            w = s << SERVER_BITS
            if when >= server[w + WAKE]:
                continue
            if WHEEL:
                slot = min(when >> width_bits, cursor + BUCKETS - 1) & (BUCKETS - 1)
                if server[w + WAKE] < NEVER:
                    before, after = int(server[w + BEFORE]), int(server[w + AFTER])
                    if after >= 0:
                        server[(after << SERVER_BITS) + BEFORE] = before
                    if before >= 0:
                        server[(before << SERVER_BITS) + AFTER] = after
                    else:
                        old = int(server[w + BUCKET])
                        bucket[old] = after
                        if after < 0:
                            word[old >> WORD_BITS] ^= 1 << (old & 31)
                after = int(bucket[slot])
                if after >= 0:
                    server[(after << SERVER_BITS) + BEFORE] = s
                else:
                    word[slot >> WORD_BITS] |= 1 << (slot & 31)
                server[w + BEFORE] = NONE
                server[w + AFTER] = after
                server[w + BUCKET] = slot
                bucket[slot] = s
            else:
                i = n_leaves + s
                leaf[i] = when
                while i > 1 and leaf[i >> 1] > when:
                    i >>= 1
                    leaf[i] = when
            server[w + WAKE] = when
        n_wakes = 0

        # Take the next server out.
        if n_left == 0:
            break
        if WHEEL:
            slot = cursor & (BUCKETS - 1)
            s = int(bucket[slot])
            if s < 0:
                i = slot >> WORD_BITS
                ones = (int(word[i]) >> (slot & 31)) << (slot & 31)
                n_looked = 0
                while ones == 0 and n_looked < (BUCKETS >> WORD_BITS):
                    i = (i + 1) & ((BUCKETS >> WORD_BITS) - 1)
                    ones = int(word[i])
                    n_looked += 1
                if ones == 0:
                    status = UNDELIVERED
                    break
                lone = ones & -ones
                found = (i << WORD_BITS) + int(PLACE[((lone * DE_BRUIJN) & 0xFFFFFFFF) >> 27])
                cursor += (found - slot) & (BUCKETS - 1)
                slot = found
                s = int(bucket[slot])
            w = s << SERVER_BITS
            after = int(server[w + AFTER])
            bucket[slot] = after
            if after >= 0:
                server[(after << SERVER_BITS) + BEFORE] = NONE
            else:
                word[slot >> WORD_BITS] ^= 1 << (slot & 31)
            horizon = (cursor + 1) << width_bits
        else:
            when = int(leaf[1])
            if when == NEVER:
                status = UNDELIVERED
                break
            i = 1
            while i < n_leaves:
                i <<= 1
                if leaf[i] != when:
                    i += 1
            s = i - n_leaves
            w = s << SERVER_BITS
            leaf[i] = NEVER
            while i > 1:
                i >>= 1
                leaf[i] = min(leaf[2 * i], leaf[2 * i + 1])
            horizon = when + 1
        server[w + WAKE] = NEVER

        # When can it start next, and with whom: the earliest, then the oldest, then the port.
        free = int(server[w + FREE])
        d = s
        if CLASSES:
            # Other heads may start while one is stuck, so it is found out anew each time.
            server[w + STUCK] = 0
        else:
            e = d << BUFFER_BITS
            if buffer[e + DEPTH] > 0:
                if d < n_feeding and buffer[e + USED] == buffer[e + DEPTH]:
                    server[w + STUCK] = 1  # until the buffer behind it is read
                    continue
                free = max(free, int(ring[buffer[e + RING_IN]]))
        start, second, oldest, port = NEVER, NEVER, NEVER, NEVER
        chosen, before_chosen, before = NONE, NONE, NONE
        c = int(server[w + WAITING])
        while c >= 0:
            if FORKS:
                b = int(edge[(c << EDGE_BITS) + EDGE_BUFFER]) << BUFFER_BITS
                after = int(edge[(c << EDGE_BITS) + EDGE_WAITING])
            else:
                b = c << BUFFER_BITS
                after = int(buffer[b + NEXT_WAITING])
            ready = max(int(buffer[b + READY]), free)
            if CLASSES:
                if FORKS:
                    goes = int(edge[(c << EDGE_BITS) + EDGE_DOWN])
                else:
                    goes = int(buffer[b + GOES])
                e = goes << BUFFER_BITS
                if buffer[e + DEPTH] > 0:
                    if goes < n_feeding and buffer[e + USED] == buffer[e + DEPTH]:
                        server[w + STUCK] = 1
                        ready = NEVER
                    else:
                        ready = max(ready, int(ring[buffer[e + RING_IN]]))
            if ready <= start and ready < NEVER:
                age = int(buffer[b + AGE])
                if ready < start or age < oldest or (age == oldest and buffer[b + PORT] < port):
                    second = start
                    start, oldest, port = ready, age, int(buffer[b + PORT])
                    chosen, before_chosen = c, before
                    if CLASSES:
                        d = goes
                else:
                    second = ready
            else:
                second = min(second, ready)
            before = c
            c = after
        if chosen < 0:
            continue
        if start >= horizon:
            wakes[0] = s
            wakes[1] = start
            n_wakes = 1
            continue

        # Start.
        number = chosen
        if FORKS:
            number = int(edge[(chosen << EDGE_BITS) + EDGE_BUFFER])
        b = number << BUFFER_BITS
        p = int(buffer[b + HEAD])
        at = p << PACKET_BITS
        identity = p
        if FORKS:
            identity = int(packet[at + PACKET])
        service = int(server[w + FIXED])
        if sized:
            service += int(bits[identity]) * int(server[w + BIT])
        start_ps = start >> delta_bits
        if start_ps + service > limit_ps:
            status = TIME_OVERFLOW
            break
        finish = (start_ps + service) << delta_bits if service > 0 else start + 1
        flight = int(server[w + FLIGHT])
        arrival = finish
        if flight > 0:
            arrival = ((finish >> delta_bits) + flight) << delta_bits
        server[w + FREE] = finish
        if server[w + TICK_PACKETS] == 0:
            touched[n_touched] = s
            n_touched += 1
        server[w + TICK_PACKETS] += 1
        server[w + TICK_BUSY] += service
        if recorded:
            if n_starts + 2 > starts.shape[0]:
                status = RECORD_FULL
                break
            starts[n_starts, 0] = s
            starts[n_starts, 1] = identity
            starts[n_starts, 2] = start_ps - base
            starts[n_starts, 3] = start & delta_mask
            n_starts += 1

        # It waits no more; whoever else waits here is served later.
        if FORKS:
            after = int(edge[(chosen << EDGE_BITS) + EDGE_WAITING])
            if before_chosen >= 0:
                edge[(before_chosen << EDGE_BITS) + EDGE_WAITING] = after
            else:
                server[w + WAITING] = after
        else:
            after = int(buffer[b + NEXT_WAITING])
            if before_chosen >= 0:
                buffer[(before_chosen << BUFFER_BITS) + NEXT_WAITING] = after
            else:
                server[w + WAITING] = after
        if second < NEVER:
            wakes[0] = s
            wakes[1] = max(second, finish)
            n_wakes = 1

        # The head leaves its buffer when its last branch does.
        left = finish
        leaves = True
        if FORKS:
            left = max(finish, int(buffer[b + GOES]))
            buffer[b + GOES] = left
            buffer[b + BRANCHES] -= 1
            leaves = buffer[b + BRANCHES] == 0
        if leaves:
            if number < first_inject:
                follower = int(packet[at + NEXT])
                buffer[b + READ_BEFORE] = buffer[b + READ_FREE]
                buffer[b + USED] -= 1
                if buffer[b + DEPTH] > 0:
                    i = int(buffer[b + RING_OUT])
                    ring[i] = left
                    i += 1
                    if i == buffer[b + RING_START] + buffer[b + DEPTH]:
                        i = int(buffer[b + RING_START])
                    buffer[b + RING_OUT] = i
                f = int(buffer[b + FEEDER])
                if server[(f << SERVER_BITS) + STUCK] != 0:
                    if not CLASSES:
                        server[(f << SERVER_BITS) + STUCK] = 0
                    wakes[2 * n_wakes] = f
                    wakes[2 * n_wakes + 1] = left
                    n_wakes += 1
            else:
                core = number - first_inject
                last = int(first_packet[core + 1])
                follower = p + 1 if p + 1 < last else NONE
                if buffer_inject > 0 and p + buffer_inject < last:
                    entered = (p + buffer_inject) << PACKET_BITS
                    created = int(packet[entered + ARRIVED])
                    if left > created:
                        packet[entered + ARRIVED] = left
                        stall_ps[core] += (left >> delta_bits) - (created >> delta_bits)
                i = int(buffer[b + TAIL])
                while i < last and packet[(i << PACKET_BITS) + ARRIVED] < left:
                    i += 1
                buffer[b + TAIL] = i
                buffer[b + PEAK] = max(int(buffer[b + PEAK]), i - p)
            buffer[b + READ_FREE] = left
            buffer[b + HEAD] = follower
            if follower >= 0:
                heads[0] = number
                n_heads = 1

        # A slot is taken behind the server from now on.
        q = p
        e = d << BUFFER_BITS
        if FORKS:
            d = int(edge[(chosen << EDGE_BITS) + EDGE_DOWN])
            e = d << BUFFER_BITS
            if n_spare > 0:
                n_spare -= 1
                q = int(spare[n_spare])
            else:
                q = n_rows
                n_rows += 1
                if n_rows > settings[CAPACITY]:
                    status = TOO_MANY
                    break
            packet[(q << PACKET_BITS) + PACKET] = identity
            packet[(q << PACKET_BITS) + NODE] = edge[(chosen << EDGE_BITS) + EDGE_CHILD]
            if leaves:
                spare[n_spare] = p
                n_spare += 1
        room = int(buffer[e + RING_IN])
        if buffer[e + DEPTH] > 0:
            i = room + 1
            if i == buffer[e + RING_START] + buffer[e + DEPTH]:
                i = int(buffer[e + RING_START])
            buffer[e + RING_IN] = i
        to = q << PACKET_BITS
        packet[to + NEXT] = NONE
        if d < n_feeding:
            packet[to + ARRIVED] = arrival
            used = int(buffer[e + USED]) + 1
            buffer[e + USED] = used
            if buffer[e + READ_FREE] > start:
                used += 1
                if buffer[e + READ_BEFORE] > start:
                    used += 1
            buffer[e + PEAK] = max(int(buffer[e + PEAK]), used)
            if buffer[e + HEAD] < 0:
                buffer[e + HEAD] = q
                heads[n_heads] = d
                n_heads += 1
            else:
                packet[(int(buffer[e + TAIL]) << PACKET_BITS) + NEXT] = q
            buffer[e + TAIL] = q
            continue

        # A core serves its queue in order, so its times are known at once.
        core = d - n_feeding
        i = int(buffer[e + HEAD])
        while i >= 0 and packet[(i << PACKET_BITS) + ARRIVED] <= start:
            buffer[e + USED] -= 1
            if FORKS:
                spare[n_spare] = i
                n_spare += 1
            i = int(packet[(i << PACKET_BITS) + NEXT])
        buffer[e + USED] += 1
        buffer[e + PEAK] = max(int(buffer[e + PEAK]), int(buffer[e + USED]))
        if i < 0:
            i = q
        else:
            packet[(int(buffer[e + TAIL]) << PACKET_BITS) + NEXT] = q
        buffer[e + HEAD] = i
        buffer[e + TAIL] = q
        copy = p
        if FORKS:
            copy = int(first_copy[identity]) + int(edge[(chosen << EDGE_BITS) + EDGE_LEAF])
        service = int(core_axon_ps[core]) + int(n_syn[copy]) * int(core_syn_ps[core])
        begin = max(arrival, int(core_free[core]))
        done_ps = (begin >> delta_bits) + service
        if done_ps > limit_ps:
            status = TIME_OVERFLOW
            break
        done = done_ps << delta_bits if service > 0 else begin + 1
        core_free[core] = done
        packet[to + ARRIVED] = done
        ring[room] = done
        delivered_ps[copy] = done_ps - base
        latency[latency_place(done_ps - base - int(created_ps[identity]))] += 1
        end_ps = max(end_ps, done_ps)
        n_left -= 1
        if recorded:
            starts[n_starts, 0] = n_links + n_cores + core
            starts[n_starts, 1] = identity
            starts[n_starts, 2] = (begin >> delta_bits) - base
            starts[n_starts, 3] = begin & delta_mask
            n_starts += 1

    # Add the tick up, over the servers that it used.
    busiest, busiest_ps = NONE, NONE
    for k in range(n_touched):
        s = int(touched[k])
        w = s << SERVER_BITS
        busy = int(server[w + TICK_BUSY])
        traffic.packets[s] += server[w + TICK_PACKETS]
        traffic.busy_ps[s] += busy
        server[w + TICK_PACKETS] = 0
        server[w + TICK_BUSY] = 0
        if s < n_links:
            if busy > busiest_ps or (busy == busiest_ps and s < busiest):
                busiest, busiest_ps = s, busy
        else:
            e = (n_feeding + s - n_links) << BUFFER_BITS
            buffer[e + HEAD] = NONE
            buffer[e + USED] = 0
        first = s * n_classes if s < n_links else n_feeding + s - n_links
        for d in range(first, first + (n_classes if s < n_links else 1)):
            peak[d] = max(int(peak[d]), int(buffer[(d << BUFFER_BITS) + PEAK]))
    for core in range(n_cores):
        if first_packet[core] < first_packet[core + 1]:
            d = first_inject + core
            peak[d] = max(int(peak[d]), int(buffer[(d << BUFFER_BITS) + PEAK]))
    settings[BASE] = end_ps + 1
    return status, end_ps - base, busiest, max(busiest_ps, 0), n_starts
