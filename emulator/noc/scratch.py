"""What the compiled network works on: rows of numbers for servers, buffers and packets.

Each server, buffer and packet is a row of int64 in one flat array, so that what is used together
lies together. The columns of the rows are named here, for Python and kernels alike. Nothing is
cleared between ticks: times go on from the end of the tick before, and are relative only outside.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from emulator.noc.topology import COST_MAX, Noc
from emulator.noc.trees import NO_FOREST, Forest
from emulator.noc.ways import diameter

Array = NDArray[Any]

NONE = -1
NEVER = 1 << 62

# Columns of a server: its work, the wait list, its place in the queue, costs, the tick's counts.
(
    FREE, WAITING, WAKE, BEFORE, AFTER, BUCKET, STUCK, FIXED, BIT, FLIGHT, TICK_PACKETS, TICK_BUSY,
) = range(12)  # fmt: skip
SERVER_BITS = 4

# Columns of a buffer. A ring keeps when its last slots were or will be released.
(
    HEAD, TAIL, READY, AGE, READ_FREE, READ_BEFORE, USED, DEPTH, RING_IN, RING_OUT, RING_START,
    FEEDER, FIRST_STEP, ROW, PORT, NEXT_WAITING, PEAK, BRANCHES, GOES,
) = range(19)  # fmt: skip
BUFFER_BITS = 5

# Columns of a packet. A packet that forks carries the node of its tree instead of its target.
ARRIVED, NEXT, TARGET, ROUTER, PACKET = range(5)
NODE = TARGET
PACKET_BITS = 3

# Settings that last, and where the last tick ended.
(
    BASE, DELTA_BITS, WIDTH_BITS, LIMIT_PS, N_LINKS, N_CORES, N_CLASSES, N_LEAVES, BUFFER_INJECT,
    CAPACITY,
) = range(10)  # fmt: skip

BUCKETS = 1024
WORD_BITS = 5

# How a tick can end.
OK, UNDELIVERED, TIME_OVERFLOW, TOO_MANY, RECORD_FULL = range(5)

# Latencies are counted in eighths of octaves: bin x below 8 ps, then 8 bins for each power of 2.
LATENCY_BINS = 8 * 61

# Position of a lone bit in a word of 32: the top five bits of its product with a de Bruijn number.
DE_BRUIJN = 0x077CB531
PLACE = np.zeros(32, np.int64)
for _bit in range(32):
    PLACE[(((1 << _bit) * DE_BRUIJN) & 0xFFFFFFFF) >> 27] = _bit


class Scratch(NamedTuple):
    """Working memory of `carry_tick` for one network."""

    settings: Array
    server: Array
    buffer: Array
    packet: Array
    ring: Array
    step: Array
    core_router: Array
    core_free: Array
    core_oldest: Array
    core_axon_ps: Array
    core_syn_ps: Array
    bucket: Array
    word: Array
    leaf: Array
    heads: Array
    wakes: Array
    touched: Array
    spare: Array
    edge: Array
    node_edge: Array
    root: Array


class Traffic(NamedTuple):
    """Statistics that add up over ticks.

    Attributes
    ----------
    packets, busy_ps : int64 [n_links + n_cores]
        Packets started on each link and ejection port, and how long they kept it busy.
    peak : int64 [n_links * n_classes + 2 * n_cores]
        Most slots in use at once in each link's buffers, core queues and injection queues. Slots
        are counted after each start that reserves one, and after each entry into an injection
        queue; what is released at that very instant is free already.
    stall_ps : int64 [n_cores]
        How long packets of a core waited to enter its bounded injection queue.
    latency : int64 [LATENCY_BINS]
        Histogram of delivered - created; see `latency_bin`.
    """

    packets: Array
    busy_ps: Array
    peak: Array
    stall_ps: Array
    latency: Array


def make_traffic(noc: Noc) -> Traffic:
    """Make statistics of nothing yet."""
    return Traffic(
        packets=np.zeros(noc.n_ports, np.int64),
        busy_ps=np.zeros(noc.n_ports, np.int64),
        peak=np.zeros(n_buffers(noc), np.int64),
        stall_ps=np.zeros(noc.n_cores, np.int64),
        latency=np.zeros(LATENCY_BINS, np.int64),
    )


def n_buffers(noc: Noc) -> int:
    """Count link buffers, core queues and injection queues, which are numbered in this order."""
    return noc.n_links * noc.n_classes + 2 * noc.n_cores


def latency_bin(ps: Array | int) -> Array:
    """Return the bin of each latency: ps below 8, then eighths of octaves."""
    ps = np.asarray(ps, np.int64)
    octave = np.zeros(ps.shape, np.int64)
    for shift in (32, 16, 8, 4, 2, 1):
        octave += shift * (ps >> octave >= 1 << shift)
    return np.where(ps < 8, ps, (octave - 2) * 8 + ((ps >> np.maximum(octave - 3, 0)) & 7))


def latency_edges() -> Array:
    """Lower edge of each bin in ps, float64 [LATENCY_BINS + 1]."""
    octave, eighth = np.divmod(np.arange(LATENCY_BINS + 1), 8)
    return np.where(octave == 0, eighth, (8.0 + eighth) * 2.0 ** (octave - 1))


def least_service_ps(noc: Noc, bits_min: int = 0) -> int:
    """Least service of any link or ejection port for packets of at least `bits_min` bits."""
    links = noc.link_fixed_ps + bits_min * noc.link_bit_ps
    ports = noc.eject_fixed_ps + bits_min * noc.eject_bit_ps
    return int(min(links.min(initial=COST_MAX), ports.min()))


def has_zero_service(noc: Noc, bits_min: int = 0) -> bool:
    """Whether a service can take no time, so that instants need a second number."""
    return least_service_ps(noc, bits_min) == 0 or int(noc.axon_ps.min()) == 0


def make_scratch(
    noc: Noc,
    capacity: int,
    *,
    bits: int = 0,
    bits_min: int | None = None,
    forest: Forest | None = None,
) -> Scratch:
    """Make working memory.

    Parameters
    ----------
    noc : Noc
    capacity : int
        Packets in a tick at most; of packets that fork, their parts that are under way at once.
    bits : int
        Size of every packet; 0 where `carry_tick` is given sizes.
    bits_min : int, optional
        Least size where it is given sizes; `bits` if omitted.
    forest : Forest, optional
        Trees of packets that fork.

    Returns
    -------
    Scratch
    """
    bits_min = bits if bits_min is None else bits_min
    n_links, n_cores, n_classes = noc.n_links, noc.n_cores, noc.n_classes
    n_feeding = n_links * n_classes
    settings = np.zeros(16, np.int64)
    # Every delta at one ps consumes a start, and no route is longer than there are routers.
    delta_bits = 0
    if has_zero_service(noc, bits_min):
        delta_bits = int(capacity * (diameter(noc) + 2)).bit_length()
    least = max(least_service_ps(noc, bits_min), 1)
    settings[DELTA_BITS] = delta_bits
    settings[WIDTH_BITS] = delta_bits + least.bit_length() - 1
    settings[LIMIT_PS] = (NEVER >> 1) >> delta_bits
    settings[N_LINKS], settings[N_CORES], settings[N_CLASSES] = n_links, n_cores, n_classes
    settings[BUFFER_INJECT], settings[CAPACITY] = noc.buffer_inject, capacity
    n_leaves = 1 << int(noc.n_ports - 1).bit_length()
    settings[N_LEAVES] = n_leaves

    server = np.zeros((noc.n_ports, 1 << SERVER_BITS), np.int64)
    server[:, (WAITING, BEFORE, AFTER)] = NONE
    server[:, WAKE] = NEVER
    fixed = np.concatenate([noc.link_fixed_ps, noc.eject_fixed_ps])
    server[:, BIT] = np.concatenate([noc.link_bit_ps, noc.eject_bit_ps])
    server[:, FIXED] = fixed + bits * server[:, BIT]
    server[:, FLIGHT] = np.concatenate([noc.link_flight_ps, noc.eject_flight_ps])

    buffer = np.zeros((n_buffers(noc), 1 << BUFFER_BITS), np.int64)
    buffer[:, (HEAD, TAIL, FEEDER, NEXT_WAITING, GOES)] = NONE
    feeds = np.arange(n_feeding) // n_classes
    buffer[:n_feeding, FEEDER] = feeds
    buffer[n_feeding : n_feeding + n_cores, FEEDER] = n_links + np.arange(n_cores)
    reader = np.concatenate([noc.link_to[feeds], noc.core_router, noc.core_router])
    buffer[:, FIRST_STEP] = noc.first_link[reader] * n_classes
    buffer[:, ROW] = reader * noc.n_routers
    n_in = int(noc.link_port.max(initial=-1)) + 1
    rank = noc.link_port[feeds] * n_classes + np.arange(n_feeding) % n_classes
    buffer[:n_feeding, PORT] = rank
    buffer[n_feeding + n_cores :, PORT] = n_in * n_classes + noc.core_local
    buffer[:n_feeding, DEPTH] = noc.buffer
    buffer[n_feeding : n_feeding + n_cores, DEPTH] = noc.buffer_core
    depth = buffer[:, DEPTH]
    buffer[:, RING_START] = np.cumsum(depth) - depth
    buffer[:, RING_IN] = buffer[:, RING_OUT] = buffer[:, RING_START]

    forest = NO_FOREST if forest is None else forest
    n_waits = max(int(np.diff(forest.node_edge).max(initial=0)), 1)
    return Scratch(
        settings=settings,
        server=server.ravel(),
        buffer=buffer.ravel(),
        packet=np.zeros((capacity + 1) << PACKET_BITS, np.int64),
        ring=np.zeros(int(depth.sum()) + 1, np.int64),
        step=noc.step.ravel(),
        core_router=noc.core_router,
        core_free=np.zeros(n_cores, np.int64),
        core_oldest=np.full(n_cores, NONE, np.int64),
        core_axon_ps=noc.axon_ps,
        core_syn_ps=noc.syn_ps,
        bucket=np.full(BUCKETS, NONE, np.int64),
        word=np.zeros(BUCKETS >> WORD_BITS, np.int64),
        leaf=np.full(2 * n_leaves, NEVER, np.int64),
        heads=np.zeros(n_cores + n_waits + 2, np.int64),
        wakes=np.zeros(2 * (n_cores + 2) * (n_waits + 2), np.int64),
        touched=np.zeros(noc.n_ports, np.int64),
        spare=np.arange(capacity if forest.n_edges else 0, dtype=np.int64),
        edge=forest.edge.copy().ravel(),
        node_edge=forest.node_edge,
        root=forest.root,
    )
