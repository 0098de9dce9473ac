"""What a spike sets off: packets, hops and synaptic events, read off a program's rows.

Counts of a run follow from who fired how often: `counts_by_tick` and `events_by_core` are sums over
spikes, without a machine. Not so where spikes merge on binary axons, which these do not know.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from emulator.chip import Chip
from emulator.neuron import AS_REPEAT, KINDS
from emulator.program import Program
from emulator.ways import ways

Array = NDArray[Any]


_PIECE = 1 << 20
"""Rows that are looked at together; bounds the memory that a count takes."""


class Fanout(NamedTuple):
    """Counters that one spike of each source adds to, over all cores; int64 [n_sources] by name.

    ``repeated``: for each of the spikes of a payload; ``once``: whatever the payload.
    """

    repeated: Mapping[str, Array]
    once: Mapping[str, Array]


def fanout_of(program: Program, chip: Chip) -> Fanout:
    """Read a program's fan-out, in packets, hops and synaptic events by kind."""
    source = program.row_source
    counted = _of_rows(program, chip)
    repeats = np.asarray(program.row_payload == AS_REPEAT)
    n_sources = program.source_row.size - 1

    def summed(mine: Array) -> dict[str, Array]:
        return {
            name: np.bincount(source[mine], values[mine], n_sources).astype(np.int64)
            for name, values in counted.items()
        }

    return Fanout(repeated=summed(repeats), once=summed(~repeats))


def _of_rows(program: Program, chip: Chip) -> dict[str, Array]:
    """What each row adds to each counter; int64 [n_rows]."""
    sender = program.source_core[program.row_source]
    target = program.row_core
    sent = program.row_packet.astype(np.int64)
    outside, local = sender < 0, sender == target
    away = sent * ~(outside | local)
    way = ways(program.core[np.maximum(sender, 0)], program.core[target], chip)
    return {
        **{
            f"{kind}_events": program.row_size * (program.row_kind == code)
            for code, kind in enumerate(KINDS)
        },
        "packets": away,
        "local_packets": sent * local,
        "input_packets": sent * outside,
        "received": sent,
        "hops_ew": away * way.hops_ew,
        "hops_ns": away * way.hops_ns,
        "hops_off_chip": away * way.hops_off_chip,
    }


def counts_by_tick(
    fanout: Fanout, n_ticks: int, tick: Array, source: Array, payload: Array
) -> dict[str, Array]:
    """Count what spikes set off in each tick; int64 [n_ticks] by name.

    Parameters
    ----------
    tick, source, payload : int array [n_spikes]
        Spikes of neurons and of input channels, numbered as a program's sources; ticks from 0, and
        payloads as far as the chip takes them (`input_payload_max`).
    """
    return {
        name: np.bincount(tick, each[source] * payload + fanout.once[name][source], n_ticks).astype(
            np.int64
        )
        for name, each in fanout.repeated.items()
    }


def events_by_core(program: Program, times: Array, repeats: Array) -> dict[str, Array]:
    """Count synaptic events of each kind on each core; int64 [n_cores] by name.

    Parameters
    ----------
    times, repeats : int array [n_sources]
        How often each source fired, and how many spikes that were.
    """
    found = {f"{kind}_events": np.zeros(program.n_cores, np.int64) for kind in KINDS}
    n_rows = program.row_size.size
    for first in range(0, n_rows, _PIECE):
        rows = slice(first, first + _PIECE)
        number = np.arange(first, min(first + _PIECE, n_rows))
        source = np.searchsorted(program.source_row, number, "right") - 1
        repeated = program.row_payload[rows] == AS_REPEAT
        events = np.where(repeated, repeats[source], times[source]) * program.row_size[rows]
        for code, kind in enumerate(KINDS):
            mine = program.row_kind[rows] == code
            np.add.at(found[f"{kind}_events"], program.row_core[rows][mine], events[mine])
    return found
