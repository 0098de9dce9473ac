"""Totals of a run that follow from how often each source has fired."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emulator.activity import Counters
from emulator.carried import Carried, carried_of
from emulator.chip import Chip
from emulator.fanout import events_by_core
from emulator.neuron import KINDS, VARIABLES
from emulator.noc.of_chip import noc_of
from emulator.noc.scratch import make_traffic
from emulator.noc.ways import next_link
from emulator.program import Program
from emulator.traffic import Packets
from emulator.ways import Ways, ways

Array = NDArray[Any]

_PIECE = 1 << 20
"""Packets that are looked at together; bounds the memory that this takes."""


def fresh_counters(program: Program) -> Counters:
    """Counters at 0."""
    cores, sources = program.n_cores, program.n_neurons + program.n_channels
    return Counters(
        active=np.zeros(cores, np.int64),
        overflows=np.zeros((len(VARIABLES), cores), np.int64),
        merged_packets=np.zeros(cores, np.int64),
        merged_events=np.zeros(cores, np.int64),
        times=np.zeros(sources, np.int64),
        repeats=np.zeros(sources, np.int64),
    )


def totals(
    counted: Counters, n_ticks: int, packets: Packets, program: Program, chip: Chip
) -> dict[str, Array]:
    """Totals of each core over ``n_ticks`` ticks, int64 [n_cores] each.

    ``packets`` and hops are those that leave a core for another one, by the core that sends;
    ``local_packets`` stay on it; ``input_packets`` come from outside, by the core that they reach;
    ``received`` are all that reach a core. ``merged_packets``, of all of these, hit a binary axon that was hit before.
    """
    n, n_cores = program.n_neurons, program.n_cores
    times, repeats = counted.times, _repeats(counted, program)
    found = {
        name: np.zeros(n_cores, np.int64)
        for name in ("packets", "local_packets", "input_packets", "received", "hops_ew", "hops_ns",
                     "hops_off_chip")
    }  # fmt: skip
    for sender, target, sent, way in _pieces(times, repeats, packets, program, chip):
        np.add.at(found["received"], target, sent)
        outside, local = sender < 0, sender == target
        np.add.at(found["input_packets"], target[outside], sent[outside])
        np.add.at(found["local_packets"], target[local], sent[local])
        away = ~(outside | local)
        np.add.at(found["packets"], sender[away], sent[away])
        for name in ("hops_ew", "hops_ns", "hops_off_chip"):
            np.add.at(found[name], sender[away], sent[away] * getattr(way, name)[away])
    size = np.diff(program.core_start)
    fired = np.add.reduceat(np.append(repeats[:n], 0), program.core_start[:-1]) * (size > 0)
    return {
        "active": counted.active.copy(),
        "inactive": size * n_ticks - counted.active,
        "spikes": fired,
        **merged_off(events_by_core(program, times, repeats), counted.merged_events, program),
        **found,
        "merged_packets": counted.merged_packets.copy(),
        **{f"{name}_overflows": counted.overflows[k].copy() for k, name in enumerate(VARIABLES)},
    }


def merged_off(events: dict[str, Array], merged: Array, program: Program) -> dict[str, Array]:
    """Take off what did not happen on binary axons, and add up all kinds of synaptic events.

    Where axons are binary, which kind of events did not happen is not kept: all count as those of
    the first row.
    """
    total = np.asarray(sum(events.values()), np.int64)
    if program.row_axon.size:
        total = total - merged
        kind = f"{KINDS[program.row_kind[0]]}_events"
        events = {name: total if name == kind else np.zeros_like(total) for name in events}
    return {"synaptic_events": total, **events}


def carried_by_counters(
    counted: Counters, packets: Packets, program: Program, chip: Chip
) -> Carried:
    """What has gone over each link, where the fabric does not follow packets itself.

    Packets that fork count on each link as often as they have targets behind it.
    """
    noc, there = noc_of(chip, program.core)
    traffic = make_traffic(noc)
    between = np.zeros((program.n_cores, program.n_cores), np.int64)
    repeats = _repeats(counted, program)
    for sender, target, sent, _ in _pieces(counted.times, repeats, packets, program, chip):
        on_chip = sender >= 0
        np.add.at(between, (sender[on_chip], target[on_chip]), sent[on_chip])
    source, target = np.nonzero(between)
    count = between[source, target]
    at, goal = noc.core_router[there[source]], noc.core_router[there[target]]
    while at.size:
        moving = at != goal
        at, goal, count = at[moving], goal[moving], count[moving]
        link = next_link(noc, at, goal)
        np.add.at(traffic.packets, link, count)
        at = noc.link_to[link]
    service = noc.link_fixed_ps + chip.fabric.packet_bits * noc.link_bit_ps
    traffic.busy_ps[: noc.n_links] = traffic.packets[: noc.n_links] * service
    return carried_of(noc, traffic)


def _repeats(counted: Counters, program: Program) -> Array:
    """Spikes of each source, those of a payload one by one; int64 [n_sources]."""
    repeats = counted.repeats.copy()
    if not program.several_a_tick:
        repeats[: program.n_neurons] = counted.times[: program.n_neurons]
    return repeats


def _pieces(
    times: Array, repeats: Array, packets: Packets, program: Program, chip: Chip
) -> Iterator[tuple[Array, Array, Array, Ways]]:
    """Yield sender, target, times sent and ways of packets, piece by piece."""
    first, source_core = packets.first, program.source_core
    for start in range(0, packets.core.size, _PIECE):
        number = np.arange(start, min(start + _PIECE, packets.core.size))
        source = np.searchsorted(first, number, "right") - 1
        fired = np.flatnonzero(times[source])
        number, source = number[fired], source[fired]
        sender, target = source_core[source], packets.core[number].astype(np.int64)
        sent = repeats[source]
        if packets.repeats.size:
            sent = np.where(packets.repeats[number], sent, times[source])
        yield (
            sender,
            target,
            sent,
            ways(program.core[np.maximum(sender, 0)], program.core[target], chip),
        )
