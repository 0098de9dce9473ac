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

Everything is one function that works on one local array: calls that hand arrays on would count
references in the innermost loop, which takes several times as long as the work itself. Likewise
there is no division, and few branches that cannot be guessed. In the code, w is a server, b the
buffer a packet leaves and d the one it enters, all by their position in memory (see
`emulator.noc.scratch`). WHEEL, CLASSES and FORKS are bound by `emulator.noc.queued`.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

# isort: off
# fmt: off
from emulator.noc.scratch import (
    AFTER, AGE, ARRIVED, AXON, BASE, BIT, BRANCHES, BUCKETS, BUFFER_INJECT, BUFFER_ROW,
    BUFFERS_AT, CAPACITY, CELL, CELLS, CORE, DE_BRUIJN, DELTA_BITS, DEPTH, EDGES_AT, FAR,
    FEEDER, FIRST_DOWN, FIXED, FLIGHT, FREE, GOAL_ROW, GOES, HEAD, HEADS_AT, LAST, LIMIT_PS,
    N_CLASSES, N_CORES, N_LEAVES, N_LINKS, N_WORDS, NATURAL, NEVER, NEXT, NEXT_WAITING, NONE,
    NUMBER, OK, PACKET, PACKET_ROW, PACKET_ROW_BITS, PACKETS_AT, PEAK, PLACE, PORT, READ_BEFORE,
    READ_FREE, READY, RECORD_FULL, RING_END, RING_IN, RING_OUT, RING_START, RINGS_AT, ROUTER,
    SERVER_ROW, SERVERS, SPARE_AT, STALL, STUCK, SYN, TAIL, TARGET, TICK_BUSY, TICK_PACKETS,
    TIME_OVERFLOW, TOO_MANY, UNDELIVERED, USED, WAITING, WAKE, WAKES_AT, WIDTH_BITS, WORD_BITS,
    WORDS, Scratch, Traffic,
)
from emulator.noc.topology import HERE
from emulator.noc.trees import (
    EDGE_BUFFER, EDGE_CHILD, EDGE_DOWN, EDGE_LEAF, EDGE_ROW, EDGE_SERVER, EDGE_WAITING,
)
# fmt: on
# isort: on
from traces.jit import kernel

Array = NDArray[Any]

# Bound by `emulator.noc.queued.carry_kernel`.
WHEEL = True
CLASSES = False
FORKS = False

FLOAT_BINS = (1023 + 2) * 8
"""Eighths of octaves from the least exponent of a float to that of 4."""


@kernel
def latency_place(ps: int) -> int:
    """Return the bin of a latency; see `emulator.noc.scratch.latency_bin`."""
    # A float's exponent and first bits are octave and eighth. Clearing what cannot matter keeps the
    # conversion from rounding up into them.
    bits = int(np.float64(ps & ~(ps >> 4)).view(np.int64))
    return ps if ps < 8 else (bits >> 49) - FLOAT_BINS


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
    settings, m, step, core_router = (
        scratch.settings,
        scratch.memory,
        scratch.step,
        scratch.core_router,
    )
    leaf, node_edge, root = scratch.leaf, scratch.node_edge, scratch.root
    latency, peak = traffic.latency, traffic.peak
    delta_bits, width_bits = int(settings[DELTA_BITS]), int(settings[WIDTH_BITS])
    delta_mask = (1 << delta_bits) - 1
    n_links, n_cores = int(settings[N_LINKS]), int(settings[N_CORES])
    buffers_at, packets_at = int(settings[BUFFERS_AT]), int(settings[PACKETS_AT])
    edges_at, heads_at = int(settings[EDGES_AT]), int(settings[HEADS_AT])
    wakes_at, spare_at = int(settings[WAKES_AT]), int(settings[SPARE_AT])
    queues_at = buffers_at + n_links * int(settings[N_CLASSES]) * BUFFER_ROW
    injects_at = queues_at + n_cores * BUFFER_ROW
    n_leaves = int(settings[N_LEAVES])
    ahead = int(settings[BUFFER_INJECT]) * PACKET_ROW
    limit_ps = int(settings[LIMIT_PS])
    n_packets = int(first_packet[n_cores])
    sized, recorded = bits.size > 0, starts.shape[0] > 0
    if n_packets > settings[CAPACITY]:
        return TOO_MANY, 0, NONE, 0, 0

    # Times go on from the last tick, so that what it left behind lies in the past.
    if settings[BASE] > limit_ps:
        settings[BASE] = 0
        m[int(settings[RINGS_AT]) : packets_at] = 0
        for w in range(SERVERS, buffers_at, SERVER_ROW):
            m[w + FREE] = 0
        for b in range(buffers_at, int(settings[RINGS_AT]), BUFFER_ROW):
            m[b + READ_FREE] = 0
            m[b + READ_BEFORE] = 0
    base = int(settings[BASE])
    limit_ps += base
    cursor = (base << delta_bits) >> width_bits
    far, horizon = NEVER, 0

    n_heads, at = 0, packets_at
    for core in range(n_cores):
        first, last = int(first_packet[core]), int(first_packet[core + 1])
        if first == last:
            continue
        b = injects_at + core * BUFFER_ROW
        m[b + HEAD] = at
        m[b + TAIL] = at
        for p in range(first, last):
            created = int(created_ps[p])
            if created > limit_ps - base:
                return TIME_OVERFLOW, 0, NONE, 0, 0
            m[at + ARRIVED] = (base + created) << delta_bits
            if FORKS:
                m[at + TARGET] = root[target[p]]
                m[at + PACKET] = p
            else:
                m[at + TARGET] = queues_at + int(target[p]) * BUFFER_ROW
                m[at + ROUTER] = core_router[target[p]]
            at += PACKET_ROW
        m[b + LAST] = at
        m[heads_at + n_heads] = b
        n_heads += 1
    n_left = n_packets
    if FORKS:
        n_left = delivered_ps.size
    n_spare, rows_next, rows_end = 0, at, packets_at + int(settings[CAPACITY]) * PACKET_ROW
    head, other, n_wakes, n_starts, end_ps = 0, 0, 0, 0, base
    status = OK

    while True:
        # New heads wait at the servers that they want.
        if n_heads > 0:
            n_heads -= 1
            head, other = int(m[heads_at + n_heads]) & NATURAL, 0
        for k in range(2):
            b = head if k == 0 else other
            if b == 0:
                continue
            at = int(m[b + HEAD]) & NATURAL
            arrived = int(m[at + ARRIVED])
            ready = max(arrived, int(m[b + READ_FREE]))
            m[b + READY] = ready
            m[b + AGE] = arrived >> delta_bits
            if FORKS:
                node = int(m[at + TARGET])
                first, last = int(node_edge[node]), int(node_edge[node + 1])
                m[b + BRANCHES] = last - first
                m[b + GOES] = 0
                for e in range(first, last):
                    c = (edges_at + e * EDGE_ROW) & NATURAL
                    w = int(m[c + EDGE_SERVER]) & NATURAL
                    m[c + EDGE_WAITING] = m[w + WAITING]
                    m[w + WAITING] = c
                    m[wakes_at + 2 * n_wakes] = w
                    m[wakes_at + 2 * n_wakes + 1] = max(ready, int(m[w + FREE]))
                    n_wakes += 1
            else:
                place = int(step[m[b + GOAL_ROW] + m[at + ROUTER]])
                queue, down = int(m[at + TARGET]), int(m[b + FIRST_DOWN]) + place * BUFFER_ROW
                d = queue if place == HERE else down
                if CLASSES:
                    m[b + GOES] = d
                    w = int(m[(d & NATURAL) + FEEDER]) & NATURAL
                else:
                    w = (SERVERS + ((d - buffers_at) >> 1)) & NATURAL
                m[b + NEXT_WAITING] = m[w + WAITING]
                m[w + WAITING] = b
                if CLASSES or m[w + STUCK] == 0:
                    m[wakes_at + 2 * n_wakes] = w
                    m[wakes_at + 2 * n_wakes + 1] = max(ready, int(m[w + FREE]))
                    n_wakes += 1
        head, other = 0, 0

        # Put servers into the queue, or forward in it.
        for k in range(n_wakes):
            w = int(m[wakes_at + 2 * k]) & NATURAL
            when = int(m[wakes_at + 2 * k + 1])
            if when >= m[w + WAKE]:
                continue
            if WHEEL:
                if m[w + WAKE] < NEVER:
                    cell, after = int(m[w + CELL]) & NATURAL, int(m[w + AFTER]) & NATURAL
                    m[cell] = after
                    m[after + CELL] = cell
                cell = when >> width_bits
                if cell - cursor >= BUCKETS:
                    far = min(far, cell)
                    cell = CELLS + FAR
                else:
                    cell &= BUCKETS - 1
                    m[WORDS + (cell >> WORD_BITS)] |= 1 << (cell & 31)
                    cell += CELLS
                after = int(m[cell]) & NATURAL
                m[w + CELL] = cell
                m[w + AFTER] = after
                m[cell] = w
                m[after + CELL] = w + AFTER
            else:
                i = n_leaves + int(m[w + NUMBER])
                leaf[i] = when
                while i > 1 and leaf[i >> 1] > when:
                    i >>= 1
                    leaf[i] = when
            m[w + WAKE] = when
        n_wakes = 0

        # Take the next server out.
        if n_heads > 0:
            continue
        if n_left == 0:
            break
        if WHEEL:
            cell = cursor & (BUCKETS - 1)
            w = int(m[CELLS + cell]) & NATURAL
            while w == 0:
                # Look for the next bit; bits of cells that have become empty are cleared on the way.
                i = WORDS + (cell >> WORD_BITS)
                m[i] &= ~(1 << (cell & 31))
                ones = (int(m[i]) >> (cell & 31)) << (cell & 31)
                n_looked = 0
                while ones == 0 and n_looked < N_WORDS:
                    i = WORDS + ((i - WORDS + 1) & (N_WORDS - 1))
                    ones = int(m[i])
                    n_looked += 1
                gap = BUCKETS
                if ones != 0:
                    lone = int(PLACE[(((ones & -ones) * DE_BRUIJN) & 0xFFFFFFFF) >> 27])
                    gap = (((i - WORDS) << WORD_BITS) + lone - cell) & (BUCKETS - 1)
                if ones == 0 or cursor + gap >= far:
                    break
                cursor += gap
                cell = cursor & (BUCKETS - 1)
                w = int(m[CELLS + cell]) & NATURAL
            if w == 0:
                if far == NEVER:
                    status = UNDELIVERED
                    break
                # The wheel turns to where the first of those beyond it comes in.
                cursor, far = far, NEVER
                w = int(m[CELLS + FAR]) & NATURAL
                m[CELLS + FAR] = 0
                while w > 0:
                    m[wakes_at + 2 * n_wakes] = w
                    m[wakes_at + 2 * n_wakes + 1] = m[w + WAKE]
                    m[w + WAKE] = NEVER
                    n_wakes += 1
                    w = int(m[w + AFTER]) & NATURAL
                continue
            after = int(m[w + AFTER]) & NATURAL
            m[CELLS + cell] = after
            m[after + CELL] = CELLS + cell
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
            w = SERVERS + (i - n_leaves) * SERVER_ROW
            leaf[i] = NEVER
            while i > 1:
                i >>= 1
                leaf[i] = min(leaf[2 * i], leaf[2 * i + 1])
            horizon = when + 1
        m[w + WAKE] = NEVER

        # When can it start next, and with whom: the earliest, then the oldest, then the port.
        free = int(m[w + FREE])
        d = (buffers_at + ((w - SERVERS) << 1)) & NATURAL
        if CLASSES:
            # Other heads may start while one is stuck, so it is found out anew each time.
            m[w + STUCK] = 0
        elif m[d + DEPTH] > 0:
            if m[d + USED] == m[d + DEPTH] and d < queues_at:
                m[w + STUCK] = 1  # until the buffer behind it is read
                continue
            free = max(free, int(m[int(m[d + RING_IN]) & NATURAL]))
        start, second, oldest, port = NEVER, NEVER, NEVER, NEVER
        # Each cell of the wait list is what points to the next one.
        chosen, chosen_cell, cell = 0, 0, w + WAITING
        c = int(m[cell]) & NATURAL
        while c > 0:
            b = c
            if FORKS:
                b = int(m[c + EDGE_BUFFER]) & NATURAL
            ready = max(int(m[b + READY]), free)
            if CLASSES:
                goes = int(m[(c + EDGE_DOWN) if FORKS else (b + GOES)]) & NATURAL
                if m[goes + DEPTH] > 0:
                    if m[goes + USED] == m[goes + DEPTH] and goes < queues_at:
                        m[w + STUCK] = 1
                        ready = NEVER
                    else:
                        ready = max(ready, int(m[int(m[goes + RING_IN]) & NATURAL]))
            if ready <= start and ready < NEVER:
                age = int(m[b + AGE])
                if ready < start or age < oldest or (age == oldest and m[b + PORT] < port):
                    second = start
                    start, oldest, port = ready, age, int(m[b + PORT])
                    chosen, chosen_cell = c, cell
                    if CLASSES:
                        d = goes
                else:
                    second = ready
            else:
                second = min(second, ready)
            cell = c + (EDGE_WAITING if FORKS else NEXT_WAITING)
            c = int(m[cell]) & NATURAL
        if chosen == 0:
            continue
        if start >= horizon:
            m[wakes_at] = w
            m[wakes_at + 1] = start
            n_wakes = 1
            continue

        # Start.
        b = chosen
        if FORKS:
            b = int(m[chosen + EDGE_BUFFER]) & NATURAL
        at = int(m[b + HEAD]) & NATURAL
        identity = (at - packets_at) >> PACKET_ROW_BITS
        if FORKS:
            identity = int(m[at + PACKET])
        service = int(m[w + FIXED])
        if sized:
            service += int(bits[identity]) * int(m[w + BIT])
        start_ps = start >> delta_bits
        finish_ps = start_ps + service
        if finish_ps > limit_ps:
            status = TIME_OVERFLOW
            break
        finish = finish_ps << delta_bits if service > 0 else start + 1
        flight = int(m[w + FLIGHT])
        arrival = finish
        if flight > 0:
            arrival = (finish_ps + flight) << delta_bits
        m[w + FREE] = finish
        m[w + TICK_PACKETS] += 1
        m[w + TICK_BUSY] += service
        if recorded:
            if n_starts + 2 > starts.shape[0]:
                status = RECORD_FULL
                break
            starts[n_starts, 0] = m[w + NUMBER]
            starts[n_starts, 1] = identity
            starts[n_starts, 2] = start_ps - base
            starts[n_starts, 3] = start & delta_mask
            n_starts += 1

        # It waits no more; whoever else waits here is served later.
        m[chosen_cell] = m[chosen + (EDGE_WAITING if FORKS else NEXT_WAITING)]
        if second < NEVER:
            m[wakes_at] = w
            m[wakes_at + 1] = max(second, finish)
            n_wakes = 1

        # The head leaves its buffer when its last branch does.
        left = finish
        leaves = True
        if FORKS:
            left = max(finish, int(m[b + GOES]))
            m[b + GOES] = left
            m[b + BRANCHES] -= 1
            leaves = m[b + BRANCHES] == 0
        if leaves:
            if b < injects_at:
                follower = int(m[at + NEXT])
                m[b + TAIL] = m[b + TAIL] if follower > 0 else 0
                m[b + READ_BEFORE] = m[b + READ_FREE]
                m[b + USED] -= 1
                if m[b + DEPTH] > 0:
                    i = int(m[b + RING_OUT]) & NATURAL
                    m[i] = left
                    i += 1
                    m[b + RING_OUT] = i if i < m[b + RING_END] else m[b + RING_START]
                    f = int(m[b + FEEDER]) & NATURAL
                    if m[f + STUCK] != 0:
                        if not CLASSES:
                            m[f + STUCK] = 0
                        m[wakes_at + 2 * n_wakes] = f
                        m[wakes_at + 2 * n_wakes + 1] = left
                        n_wakes += 1
            else:
                last = int(m[b + LAST])
                follower = at + PACKET_ROW if at + PACKET_ROW < last else 0
                if ahead > 0 and at + ahead < last:
                    created = int(m[at + ahead + ARRIVED])
                    if left > created:
                        m[at + ahead + ARRIVED] = left
                        m[b + STALL] += (left >> delta_bits) - (created >> delta_bits)
                i = int(m[b + TAIL]) & NATURAL
                while i < last and m[i + ARRIVED] < left:
                    i += PACKET_ROW
                m[b + TAIL] = i
                m[b + PEAK] = max(int(m[b + PEAK]), (i - at) >> PACKET_ROW_BITS)
            m[b + READ_FREE] = left
            m[b + HEAD] = follower
            if follower > 0:
                head = b

        # A slot is taken behind the server from now on.
        q = at
        if FORKS:
            d = int(m[chosen + EDGE_DOWN]) & NATURAL
            if n_spare > 0:
                n_spare -= 1
                q = int(m[spare_at + n_spare]) & NATURAL
            else:
                q = rows_next
                rows_next += PACKET_ROW
                if rows_next > rows_end:
                    status = TOO_MANY
                    break
            m[q + PACKET] = identity
            m[q + TARGET] = m[chosen + EDGE_CHILD]
            if leaves:
                m[spare_at + n_spare] = at
                n_spare += 1
        room = int(m[d + RING_IN]) & NATURAL
        if m[d + DEPTH] > 0:
            i = room + 1
            m[d + RING_IN] = i if i < m[d + RING_END] else m[d + RING_START]
        m[q + NEXT] = 0
        if d < queues_at:
            m[q + ARRIVED] = arrival
            used = int(m[d + USED]) + 1
            m[d + USED] = used
            used += int(m[d + READ_FREE] > start) + int(m[d + READ_BEFORE] > start)
            m[d + PEAK] = max(int(m[d + PEAK]), used)
            tail = int(m[d + TAIL]) & NATURAL
            m[d + TAIL] = q
            if tail == 0:
                m[d + HEAD] = q
                other = d
            m[tail + NEXT] = q
            continue

        # A core serves its queue in order, so its times are known at once.
        m[(int(m[d + TAIL]) & NATURAL) + NEXT] = q
        m[d + TAIL] = q
        copy = identity
        if FORKS:
            copy = int(first_copy[identity]) + int(m[chosen + EDGE_LEAF])
        service = int(m[d + AXON]) + int(n_syn[copy]) * int(m[d + SYN])
        begin = max(arrival, int(m[d + READ_FREE]))
        done_ps = (begin >> delta_bits) + service
        if done_ps > limit_ps:
            status = TIME_OVERFLOW
            break
        done = done_ps << delta_bits if service > 0 else begin + 1
        m[d + READ_FREE] = done
        m[q + ARRIVED] = done
        # The head is the packet before which as many have come since as were ever there at once: if
        # it is still there, there is one more than ever.
        i = int(m[d + HEAD]) & NATURAL
        if i == 0:
            i = q
        if m[i + ARRIVED] > start:
            m[d + PEAK] += 1
            m[d + HEAD] = i
        else:
            m[d + HEAD] = m[i + NEXT]
            if FORKS:
                m[spare_at + n_spare] = i
                n_spare += 1
        if m[d + DEPTH] > 0:
            m[room] = done
        delivered_ps[copy] = done_ps - base
        latency[latency_place(done_ps - base - int(created_ps[identity]))] += 1
        end_ps = max(end_ps, done_ps)
        n_left -= 1
        if recorded:
            starts[n_starts, 0] = n_links + n_cores + m[d + CORE]
            starts[n_starts, 1] = identity
            starts[n_starts, 2] = (begin >> delta_bits) - base
            starts[n_starts, 3] = begin & delta_mask
            n_starts += 1

    # Add the tick up.
    busiest, busiest_ps = NONE, NONE
    for s in range(n_links + n_cores):
        w = SERVERS + s * SERVER_ROW
        if m[w + TICK_PACKETS] == 0:
            continue
        busy = int(m[w + TICK_BUSY])
        traffic.packets[s] += m[w + TICK_PACKETS]
        traffic.busy_ps[s] += busy
        m[w + TICK_PACKETS] = 0
        m[w + TICK_BUSY] = 0
        if s < n_links and busy > busiest_ps:
            busiest, busiest_ps = s, busy
    for k in range(peak.size):
        b = buffers_at + k * BUFFER_ROW
        if m[b + PEAK] > 0:
            peak[k] = max(int(peak[k]), int(m[b + PEAK]))
            m[b + PEAK] = 0
        if queues_at <= b < injects_at:
            m[b + HEAD] = 0
            m[b + TAIL] = 0
    for core in range(n_cores):
        b = injects_at + core * BUFFER_ROW
        traffic.stall_ps[core] += m[b + STALL]
        m[b + STALL] = 0
    settings[BASE] = end_ps + 1
    return status, end_ps - base, busiest, max(busiest_ps, 0), n_starts
