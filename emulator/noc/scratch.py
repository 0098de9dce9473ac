"""What the compiled network works on: rows of numbers for servers, buffers and packets.

Everything lies in one array of int64, `memory`: the cells of the time wheel, then a row for each
server, buffer, packet and part of a tree. Rows refer to each other by their position; 0 is none.
With one array, addresses stay in registers, and what is used together lies together. The columns
of the rows are named here, for Python and kernels alike. Nothing is cleared between ticks: times
go on from the end of the tick before, and are relative only outside.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from emulator.noc.topology import COST_MAX, Noc
from emulator.noc.trees import EDGE_BUFFER, EDGE_DOWN, EDGE_SERVER, NO_FOREST, Forest
from emulator.noc.ways import diameter

Array = NDArray[Any]

NONE = -1
NEVER = 1 << 62
# Masks a position, so that the compiler knows that it does not count from the end.
NATURAL = (1 << 40) - 1

# Row 0 stands for none and takes what is written to nobody, which saves asking. Then come cells of
# the time wheel, one more for what lies beyond it, and a bit for each cell.
BUCKETS = 1024
CELLS = 32
FAR = BUCKETS
WORD_BITS = 5
N_WORDS = BUCKETS >> WORD_BITS
WORDS = CELLS + FAR + 8
SERVERS = WORDS + N_WORDS + 24

LINE = 8  # numbers in a cache line

# Columns of a server: its work, the wait list, its place in the queue, costs, the tick's counts.
# The cell that holds its position in the queue may be a bucket or another server's `AFTER`.
(
    FREE, WAITING, WAKE, CELL, AFTER, STUCK, FIXED, FLIGHT, TICK_PACKETS, TICK_BUSY, NUMBER, BIT,
) = range(12)  # fmt: skip
SERVER_ROW = 16

# Columns of a buffer, eight to a cache line: its head; its slots; what its reader needs once for
# each head. A ring keeps when its last slots were or will be released.
(
    HEAD, TAIL, READY, AGE, PORT, NEXT_WAITING, READ_FREE, READ_BEFORE, USED, DEPTH, RING_IN,
    RING_OUT, RING_START, RING_END, FEEDER, PEAK, FIRST_DOWN, GOAL_ROW, CORE, BRANCHES, GOES,
) = range(21)  # fmt: skip
# Where a link feeds a single buffer, both have the same number, and so the same place.
BUFFER_ROW = 2 * SERVER_ROW
# Of a core's queue, which no router reads: service of a packet, and of a synaptic event.
AXON, SYN = FIRST_DOWN, GOAL_ROW
# Of an injection queue, whose slots need no counting: where the tick's packets end, and stalls.
LAST, STALL = USED, DEPTH

# Columns of a packet. `TARGET` is the target core's queue, at `ROUTER`; of a part of one that forks,
# the node of its tree, and which `PACKET` it is part of.
ARRIVED, NEXT, TARGET, ROUTER = range(4)
PACKET = ROUTER
PACKET_ROW_BITS = 2
PACKET_ROW = 1 << PACKET_ROW_BITS

# Settings that last, and where the last tick ended.
(
    BASE, DELTA_BITS, WIDTH_BITS, LIMIT_PS, N_LINKS, N_CORES, N_CLASSES, N_LEAVES, BUFFER_INJECT,
    CAPACITY, BUFFERS_AT, PACKETS_AT, EDGES_AT, RINGS_AT, HEADS_AT, WAKES_AT, SPARE_AT,
) = range(17)  # fmt: skip

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
    memory: Array
    step: Array
    core_router: Array
    leaf: Array
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
    n_links * n_classes
    # Every delta at one ps consumes a start, and no route is longer than there are routers.
    delta_bits = 0
    if has_zero_service(noc, bits_min):
        delta_bits = int(capacity * (diameter(noc) + 2)).bit_length()
    least = max(least_service_ps(noc, bits_min), 1)
    n_leaves = 1 << int(noc.n_ports - 1).bit_length()
    forest = NO_FOREST if forest is None else forest
    # A head waits at all its servers, and all servers can be far from the present at once.
    n_heads = n_cores + 2
    n_wakes = noc.n_ports + n_heads * max(int(np.diff(forest.node_edge).max(initial=0)), 1) + 2

    server = np.zeros((noc.n_ports, SERVER_ROW), np.int64)
    server[:, WAKE] = NEVER
    server[:, BIT] = np.concatenate([noc.link_bit_ps, noc.eject_bit_ps])
    server[:, FIXED] = np.concatenate([noc.link_fixed_ps, noc.eject_fixed_ps])
    server[:, FIXED] += bits * server[:, BIT]
    server[:, FLIGHT] = np.concatenate([noc.link_flight_ps, noc.eject_flight_ps])
    server[:, NUMBER] = np.arange(noc.n_ports)

    buffers_at = SERVERS + server.size
    rings_at = buffers_at + n_buffers(noc) * BUFFER_ROW
    buffer = _buffer_rows(noc, buffers_at, rings_at)
    packets_at = -(-(int(buffer[-1, RING_END]) + 1) // LINE) * LINE
    edges_at = packets_at + (capacity + 1) * PACKET_ROW
    edge = forest.edge.copy()
    edge[:, EDGE_SERVER] = SERVERS + edge[:, EDGE_SERVER] * SERVER_ROW
    for column in (EDGE_BUFFER, EDGE_DOWN):
        edge[:, column] = buffers_at + edge[:, column] * BUFFER_ROW
    heads_at = edges_at + edge.size
    wakes_at = heads_at + n_heads
    spare_at = wakes_at + 2 * n_wakes

    memory = _aligned(spare_at + (capacity if edge.size else 0) + 1)
    memory[SERVERS:buffers_at] = server.ravel()
    memory[buffers_at:rings_at] = buffer.ravel()
    memory[edges_at:heads_at] = edge.ravel()
    settings = np.zeros(24, np.int64)
    settings[DELTA_BITS] = delta_bits
    settings[WIDTH_BITS] = delta_bits + least.bit_length() - 1
    settings[LIMIT_PS] = (NEVER >> 1) >> delta_bits
    settings[N_LINKS], settings[N_CORES], settings[N_CLASSES] = n_links, n_cores, n_classes
    settings[N_LEAVES], settings[CAPACITY] = n_leaves, capacity
    settings[BUFFER_INJECT] = noc.buffer_inject
    settings[BUFFERS_AT], settings[PACKETS_AT], settings[EDGES_AT] = (
        buffers_at,
        packets_at,
        edges_at,
    )
    settings[RINGS_AT], settings[HEADS_AT] = rings_at, heads_at
    settings[WAKES_AT], settings[SPARE_AT] = wakes_at, spare_at
    return Scratch(
        settings=settings,
        memory=memory,
        step=noc.step.ravel(),
        core_router=noc.core_router,
        leaf=np.full(2 * n_leaves, NEVER, np.int64),
        node_edge=forest.node_edge,
        root=forest.root,
    )


def _aligned(n: int) -> Array:
    """Zeros that begin with a cache line, as every row then does; int64 [n]."""
    memory = np.zeros(n + LINE, np.int64)
    skipped = -(memory.ctypes.data // memory.itemsize) % LINE
    return memory[skipped : skipped + n]


def _buffer_rows(noc: Noc, buffers_at: int, rings_at: int) -> Array:
    """Make rows of buffers: behind links, before cores, and of sources."""
    n_links, n_cores, n_classes = noc.n_links, noc.n_cores, noc.n_classes
    n_feeding = n_links * n_classes
    buffer = np.zeros((n_buffers(noc), BUFFER_ROW), np.int64)
    feeding, queue = buffer[:n_feeding], buffer[n_feeding : n_feeding + n_cores]
    inject = buffer[n_feeding + n_cores :]
    feeds = np.arange(n_feeding) // n_classes
    reader = np.concatenate([noc.link_to[feeds], noc.core_router, noc.core_router])
    buffer[:, FIRST_DOWN] = buffers_at + noc.first_link[reader] * n_classes * BUFFER_ROW
    buffer[:, GOAL_ROW] = reader * noc.n_routers
    feeding[:, FEEDER] = SERVERS + feeds * SERVER_ROW
    feeding[:, PORT] = noc.link_port[feeds] * n_classes + np.arange(n_feeding) % n_classes
    feeding[:, DEPTH] = noc.buffer
    queue[:, FEEDER] = SERVERS + (n_links + np.arange(n_cores)) * SERVER_ROW
    queue[:, DEPTH] = noc.buffer_core
    queue[:, AXON], queue[:, SYN] = noc.axon_ps, noc.syn_ps
    inject[:, PORT] = (int(noc.link_port.max(initial=-1)) + 1) * n_classes + noc.core_local
    queue[:, CORE] = inject[:, CORE] = np.arange(n_cores)
    depth = buffer[:, DEPTH]
    buffer[:, RING_END] = rings_at + np.cumsum(depth)
    buffer[:, RING_START] = buffer[:, RING_END] - depth
    buffer[:, RING_IN] = buffer[:, RING_OUT] = buffer[:, RING_START]
    return buffer
