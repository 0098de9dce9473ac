"""What a fabric has to carry: the spikes of some ticks, and the packets that a spike is.

A source's packets are its rows with ``row_packet``; rows that follow without it share the packet
before them, as long as they lie on the same core.
"""

from math import gcd
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from emulator.chip import Chip
from emulator.chip_costs import by_kind
from emulator.neuron import AS_REPEAT
from emulator.program import Program

Array = NDArray[Any]


class Activity(NamedTuple):
    """Function's account of some ticks, all that physics needs to know.

    Attributes
    ----------
    spike_start : int64 [n_ticks + 1]
        Tick ``t`` of the block has the spikes ``spike_start[t]:spike_start[t + 1]``.
    spike_neuron, spike_payload, spike_ps : int64 [n_spikes]
        By ascending neuron within a tick; ``spike_ps``: picoseconds into the tick at which the
        neuron's packets may leave.
    input_start, input_channel, input_payload, input_ps : int64
        The same of input spikes; at 0 if they come from outside.
    update_ps : int64 [n_ticks, n_cores]
        Time that each core spends on its channels and neurons.
    merged_events : int64 [n_ticks, n_cores] or [1, 0]
        Synaptic events that did not happen on each core, as their binary axon was hit before.
    """

    spike_start: Array
    spike_neuron: Array
    spike_payload: Array
    spike_ps: Array
    input_start: Array
    input_channel: Array
    input_payload: Array
    input_ps: Array
    update_ps: Array
    merged_events: Array


def one_tick(activity: Activity, k: int) -> Activity:
    """Cut one tick out."""
    spikes = slice(*activity.spike_start[k : k + 2])
    inputs = slice(*activity.input_start[k : k + 2])
    merged = activity.merged_events
    return Activity(
        spike_start=np.array([0, spikes.stop - spikes.start]),
        spike_neuron=activity.spike_neuron[spikes],
        spike_payload=activity.spike_payload[spikes], spike_ps=activity.spike_ps[spikes],
        input_start=np.array([0, inputs.stop - inputs.start]),
        input_channel=activity.input_channel[inputs],
        input_payload=activity.input_payload[inputs], input_ps=activity.input_ps[inputs],
        update_ps=activity.update_ps[k : k + 1],
        merged_events=merged[k : k + 1] if merged.size else merged,
    )  # fmt: skip


class Ticks(NamedTuple):
    """Physics' account of some ticks; int64 [n_ticks] each.

    Attributes
    ----------
    duration_ps
    slowest_core
        Index of the core that was done last, the first of equals.
    busiest_link
        Link of the network that was busy longest, the first of equals; -1 if none was used, or
        where the fabric does not follow links.
    """

    duration_ps: Array
    slowest_core: Array
    busiest_link: Array


def fresh_ticks(n: int) -> Ticks:
    """Ticks of which nothing is known yet."""
    return Ticks(np.zeros(n, np.int64), np.zeros(n, np.int64), np.full(n, -1, np.int64))


class Packets(NamedTuple):
    """What one spike of each source sends.

    Attributes
    ----------
    first : int64 [n_sources + 1]
        Source ``s`` sends the packets ``first[s]:first[s + 1]``, by ascending core.
    core : uint16 or uint32 [n_packets]
        Index of the core it goes to.
    work : uint16 or uint32 [n_packets]
        Synaptic work there, in units of ``unit_ps``, for each of the spikes of a payload: as many
        as there are events where all kinds of synapses take the same time.
    once : same, or empty
        Work whatever the payload is; empty where there is none.
    repeats : uint8 [n_packets] or empty
        Whether a payload sends the packet so many times; empty where all do.
    unit_ps : int
    """

    first: Array
    core: Array
    work: Array
    once: Array
    repeats: Array
    unit_ps: int


def first_rows(program: Program) -> Array:
    """First row of each packet; bool [n_rows]."""
    begins = program.row_packet.copy()
    begins[program.source_row[:-1][np.diff(program.source_row) > 0]] = True
    begins[1:] |= program.row_core[1:] != program.row_core[:-1]
    return np.asarray(begins)


def packets_of(program: Program, chip: Chip) -> Packets:
    """Read the packets off a program's rows."""
    n_rows = program.row_size.size
    begins = first_rows(program)
    row = np.flatnonzero(begins)
    before = np.zeros(n_rows + 1, np.int64)
    np.cumsum(begins, out=before[1:])
    unit_ps, units = _units(program, chip)
    size = program.row_size
    if units is not None:
        size = size * units[program.row_kind]
    once = repeats = np.empty(0, np.uint16)
    if np.any(program.row_payload):
        repeated = np.asarray(program.row_payload == AS_REPEAT)
        once = np.add.reduceat(np.where(repeated, 0, size), row, dtype=np.int64)
        size = np.where(repeated, size, 0)
        repeats = repeated[row].astype(np.uint8)
    work = np.add.reduceat(size, row, dtype=np.int64) if n_rows else np.empty(0, np.int64)
    most = max(int(x.max(initial=0)) for x in (work, once, np.array([program.n_cores])))
    narrow = np.uint16 if most < 1 << 16 else np.uint32
    return Packets(
        first=before[program.source_row], core=program.row_core[row].astype(narrow),
        work=work.astype(narrow), once=once.astype(narrow), repeats=repeats, unit_ps=unit_ps,
    )  # fmt: skip


def unit_of_work(chip: Chip) -> int:
    """Picoseconds of which every kind of synaptic event takes a whole number."""
    if chip.timing is None:
        return 0
    return gcd(*(cost.value for cost in by_kind(chip.timing.synaptic_event_ps)))


def _units(program: Program, chip: Chip) -> tuple[int, Array | None]:
    """Unit of synaptic work, and the units of an event of each kind if not all take just one."""
    unit_ps = unit_of_work(chip)
    if not unit_ps:
        return 0, None
    assert chip.timing is not None
    costs = np.array([cost.value for cost in by_kind(chip.timing.synaptic_event_ps)])
    return unit_ps, None if np.all(costs == unit_ps) else costs // unit_ps


def packets_sent(packets: Packets) -> tuple[Array, Array]:
    """Packets of each source for each of the spikes of a payload, and whatever the payload is.

    Returns
    -------
    (int64 [n_sources], int64 [n_sources])
    """
    n = np.diff(packets.first)
    if not packets.repeats.size:
        return n, np.zeros_like(n)
    before = np.zeros(packets.repeats.size + 1, np.int64)
    np.cumsum(packets.repeats, out=before[1:])
    repeated = before[packets.first[1:]] - before[packets.first[:-1]]
    return repeated, n - repeated
