"""Model ``links``: packets wait for links, but never for room.

Another model than ``queued``: buffers are unbounded and a packet waits in a queue of its own link,
so that nothing holds back a link behind it or a packet beside it. Links can then be worked off one
after another, each once everything before it is known, without any queue of events. It agrees with
``queued`` only where nothing blocks, and is a lower bound of congestion elsewhere.
"""

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emulator.noc.packets import Outcome, Packets, busiest_link, check_packets
from emulator.noc.scratch import LATENCY_BINS, latency_bin, make_traffic
from emulator.noc.topology import HERE, NOWHERE, Noc
from emulator.noc.ways import next_link
from traces.jit import kernel

Array = NDArray[Any]

# Packets are sorted by time, then port, in one number.
PORT_BITS = 21


@lru_cache(maxsize=16)
def link_order(noc: Noc) -> Array:
    """Order links so that every route takes them in this order, int64 [n_links].

    Raises
    ------
    ValueError
        If routes go round in a ring, as on a torus.
    """
    after: list[set[int]] = [set() for _ in range(noc.n_links)]
    for one, other in _followers(noc):
        after[one].add(other)
    n_before = np.bincount([k for links in after for k in links], minlength=noc.n_links)
    order = np.flatnonzero(n_before == 0).tolist()
    for link in order:  # grows as it goes
        for other in sorted(after[link]):
            n_before[other] -= 1
            if n_before[other] == 0:
                order.append(other)
    if len(order) < noc.n_links:
        ring = int(np.flatnonzero(n_before)[0])
        raise ValueError(
            f"{noc.topology}: routes go round in a ring, for example over link "
            f"{noc.link_name[ring]}, so links cannot be worked off in order; use fabric queued"
        )
    result = np.array(order, np.int64)
    result.flags.writeable = False
    return result


def _followers(noc: Noc) -> Iterator[tuple[int, int]]:
    """Yield pairs of links that some route takes one after the other."""
    used = np.unique(noc.core_router)
    at, goal = (a.ravel() for a in np.meshgrid(used, used, indexing="ij"))
    joined = noc.step[at, goal] != NOWHERE
    at, goal = at[joined], goal[joined]
    last = np.full(at.size, HERE)
    while at.size:
        moving = at != goal
        at, goal, last = at[moving], goal[moving], last[moving]
        link = next_link(noc, at, goal)
        pairs = np.unique(np.stack([last, link])[:, last != HERE], axis=1)
        yield from zip(*pairs.tolist(), strict=True)
        at, last = noc.link_to[link], link


@kernel
def pass_servers(
    order: Array,
    following: Array,
    link_to: Array,
    port: Array,
    fixed: Array,
    each: Array,
    flight: Array,
    at: Array,
    goal: Array,
    target: Array,
    bits: Array,
    n_syn: Array,
    came_by: Array,
    ready: Array,
    arrived: Array,
    packets: Array,
    busy: Array,
) -> None:
    """Let packets pass links, ejection ports and cores, one server after another.

    Each serves the oldest first, of equals the one from the lowest port, then as they came.

    Parameters
    ----------
    order : int64 [n_servers]
        Links in an order that all routes follow, then ejection ports, then cores.
    following : int64 [n_routers, n_routers]
        Next link towards a router, or `HERE`.
    link_to, port : int64 [n_links]
        Router and input port at a link's end.
    fixed, each, flight : int64 [n_servers]
        Service is `fixed` and `each` times the bits; at cores, times the synaptic events.
    at, goal, target, bits, n_syn : int64 [n]
        Router where each packet is, where it goes to, core, size, and synaptic events.
    came_by : int64 [n]
        Port by which it came to its router.
    ready : int64 [n]
        When; in the end, when its core was done with it.
    arrived : int64 [n]
        Gets when it came to its core.
    packets, busy : int64 [n_servers]
        Added to.
    """
    n, n_links = at.size, link_to.size
    n_cores = (fixed.size - n_links) // 2
    head = np.full(fixed.size, HERE, np.int64)
    tail = np.full(fixed.size, HERE, np.int64)
    after = np.full(n, HERE, np.int64)
    waiting, key = np.arange(n), np.zeros(n, np.int64)
    n_waiting = n
    for k in range(-1, order.size):
        s = int(order[k]) if k >= 0 else HERE
        if s != HERE:
            n_waiting, p = 0, int(head[s])
            while p != HERE:
                waiting[n_waiting] = p
                key[n_waiting] = (ready[p] << PORT_BITS) | came_by[p]
                n_waiting += 1
                p = int(after[p])
            waiting[:n_waiting] = waiting[:n_waiting][np.argsort(key[:n_waiting], kind="mergesort")]
            free = 0
            for i in range(n_waiting):
                p = waiting[i]
                times = int(bits[p] if s < n_links + n_cores else n_syn[p])
                arrived[p] = ready[p]
                service = int(fixed[s]) + times * int(each[s])
                free = max(int(ready[p]), free) + service
                ready[p] = free + flight[s]
                busy[s] += service
                came_by[p] = 0
                if s < n_links:
                    at[p], came_by[p] = link_to[s], port[s]
            packets[s] += n_waiting
        if s >= n_links + n_cores:
            continue
        for i in range(n_waiting):
            p = waiting[i]
            to = s + n_cores  # an ejection port's core
            if s < n_links:
                to = int(following[at[p], goal[p]])
                if to == HERE:
                    to = n_links + int(target[p])
            after[p] = HERE
            if head[to] == HERE:
                head[to] = p
            else:
                after[tail[to]] = p
            tail[to] = p


def carry_links(noc: Noc, packets: Packets, *, bits: int = 0) -> Outcome:
    """Carry one tick's packets, each to one target, without limits of buffers.

    Parameters
    ----------
    noc : Noc
        Its depths of buffers count for nothing.
    packets : Packets
    bits : int
        Size of every packet, where `packets` has no sizes.

    Returns
    -------
    Outcome
        Without starts, and with peaks and stalls of 0, as there are no buffers to speak of.

    Raises
    ------
    ValueError
        If the packets do not fit the network, if its links cannot be ordered, or if the tick could
        last longer than times can tell.
    """
    check_packets(noc, packets)
    order = np.concatenate([link_order(noc), np.arange(noc.n_links, noc.n_ports + noc.n_cores)])
    size = packets.bits if packets.bits.size else np.full(packets.n, bits, np.int64)
    source, target = packets.source, packets.target.astype(np.int64)
    n_syn = packets.n_syn.astype(np.int64)
    ready, arrived = packets.created_ps.copy(), packets.created_ps.copy()
    n_in = int(noc.link_port.max(initial=-1)) + 1
    fixed = np.concatenate([noc.link_fixed_ps, noc.eject_fixed_ps, noc.axon_ps])
    each = np.concatenate([noc.link_bit_ps, noc.eject_bit_ps, noc.syn_ps])
    flight = np.concatenate([noc.link_flight_ps, noc.eject_flight_ps, np.zeros_like(noc.axon_ps)])
    slowest = int(fixed.max()) + int(each.max()) * int(
        max(size.max(initial=0), n_syn.max(initial=0))
    )
    most = int(ready.max(initial=0)) + (packets.n + noc.n_routers) * (slowest + int(flight.max()))
    if n_in + noc.n_cores >= 1 << PORT_BITS or most >= 1 << (62 - PORT_BITS):
        raise ValueError(
            f"{noc.topology}: a tick of {packets.n:,} packets could last {most:,} ps, but model "
            f"links tells times up to {1 << (62 - PORT_BITS):,} ps; send less, or use fabric queued"
        )
    following = next_link(noc, *np.indices((noc.n_routers, noc.n_routers)))
    n_passed, busy_ps = np.zeros_like(fixed), np.zeros_like(fixed)
    pass_servers(
        order, following, noc.link_to, noc.link_port, fixed, each, flight,
        noc.core_router[source], noc.core_router[target], target, size, n_syn,
        n_in + noc.core_local[source], ready, arrived, n_passed, busy_ps,
    )  # fmt: skip
    traffic = make_traffic(noc)
    traffic.packets[:], traffic.busy_ps[:] = n_passed[: noc.n_ports], busy_ps[: noc.n_ports]
    latency = latency_bin(ready - packets.created_ps)
    traffic.latency[:] = np.bincount(latency, minlength=LATENCY_BINS)
    busiest, busiest_ps = busiest_link(noc, traffic)
    return Outcome(
        delivered_ps=ready, end_ps=int(ready.max(initial=0)), busiest=busiest,
        busiest_ps=busiest_ps, traffic=traffic, starts=np.zeros((0, 4), np.int64), arrived_ps=arrived,
    )  # fmt: skip
