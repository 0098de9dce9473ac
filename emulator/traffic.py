"""What a fabric has to carry: the spikes of some ticks, and the packets that a spike is.

A source's packets are its rows with ``row_packet``; rows that follow without it share the packet
before them, as long as they lie on the same core.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

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


class Packets(NamedTuple):
    """What one spike of each source sends.

    Attributes
    ----------
    first : int64 [n_sources + 1]
        Source ``s`` sends the packets ``first[s]:first[s + 1]``, by ascending core.
    core : uint16 or uint32 [n_packets]
        Index of the core it goes to.
    events : uint16 or uint32 [n_packets]
        Synaptic events there, for each of the spikes of a payload.
    once : same, or empty
        Synaptic events whatever the payload is; empty where there are none.
    repeats : uint8 [n_packets] or empty
        Whether a payload sends the packet so many times; empty where all do.
    """

    first: Array
    core: Array
    events: Array
    once: Array
    repeats: Array


def packets_of(program: Program) -> Packets:
    """Read the packets off a program's rows."""
    n_rows = program.row_size.size
    begins = program.row_packet.copy()
    begins[program.source_row[:-1][np.diff(program.source_row) > 0]] = True
    begins[1:] |= program.row_core[1:] != program.row_core[:-1]
    row = np.flatnonzero(begins)
    before = np.zeros(n_rows + 1, np.int64)
    np.cumsum(begins, out=before[1:])
    size = program.row_size
    once = repeats = np.empty(0, np.uint16)
    if np.any(program.row_payload):
        repeated = np.asarray(program.row_payload == AS_REPEAT)
        once = np.add.reduceat(np.where(repeated, 0, size), row, dtype=np.int64)
        size = np.where(repeated, size, 0)
        repeats = repeated[row].astype(np.uint8)
    events = np.add.reduceat(size, row, dtype=np.int64) if n_rows else np.empty(0, np.int64)
    most = max(int(x.max(initial=0)) for x in (events, once, np.array([program.n_cores])))
    narrow = np.uint16 if most < 1 << 16 else np.uint32
    return Packets(
        first=before[program.source_row], core=program.row_core[row].astype(narrow),
        events=events.astype(narrow), once=once.astype(narrow), repeats=repeats,
    )  # fmt: skip


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
