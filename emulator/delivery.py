"""The synapses' part of a tick: add the weights of what fired to the sums of their targets.

A source's synapses lie in *runs*: those with one delay, shift, sum and reading of payloads, on
several cores where their weights follow each other. Sums of input do not depend on the order of
delivery, because nothing wraps or saturates before the neuron's own update. Where a chip's current
saturates at every single spike (`EACH`), spikes are added when they arrive, by ascending source
(population, then neuron).

Names in capitals and functions that are not imported are bound by `emulator.machine`.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from emulator import arithmetic, neuron
from emulator.activity import Counters, Wake
from emulator.neuron import State
from emulator.sweep import BLOCK, notice
from traces.intrinsics import fetch_nothing
from traces.jit import inner, kernel

Array = NDArray[Any]

N_COLUMNS = 8
WEIGHT, TARGET, SIZE, BASE, DELAY, SHIFT, KIND, OWNER = range(N_COLUMNS)
"""Columns of `Synapses.runs`. Where the weights begin, and how many there are; dense runs: first
neuron in ``TARGET``, -1 in ``BASE``; sparse runs: where the targets begin, and the neuron that they
count from. ``KIND``: reading of payloads + 4 * sum; ``OWNER``: index of the core."""

# Bound by `emulator.machine`.
BINARY_AXONS = MIXED_PAYLOADS = GROUPS = STRICT = False
CURRENT_BITS = 24
whole: Any = int
place: Any = int
as_weight: Any = int
fit_current: Any = arithmetic.wrap
fetch: Any = fetch_nothing

FAR, NEARER, NEAR = 12, 8, 4
"""Spikes ahead of their turn at which a source, its first run and that run's synapses are fetched:
in large networks the wait for the first word of each is most of the time."""
LINE, LINES_MOST = 64, 8
"""Bytes of a cache line, and how many of a run are fetched; the rest is seen to come."""


class Synapses(NamedTuple):
    """What one thread delivers.

    ``source_run`` int64 [n_sources + 1]; ``runs`` int64 [n_runs, 8]; ``axon`` int64 [n_runs] or
    empty; ``weight``; ``target`` uint16 or uint32. ``held`` int64 [4]: the thread's own, for rows
    that wait to be added together.
    """

    source_run: Array
    runs: Array
    axon: Array
    weight: Array
    target: Array
    held: Array


class Pending(NamedTuple):
    """What is on its way to neurons.

    ``sums`` [n_slots, n_sums, n]: summed weights that act at tick t, in slot t % n_slots; int32
    where no sum can leave it, else int64 or float64. ``marks`` [n_slots, n_axons]: axons that were
    hit. ``last`` and ``last_payload`` [n], with ``n_last`` [1]: who fired at the last tick, where
    spikes are added one by one; ``rank`` [n]: the order of that.
    """

    sums: Array
    marks: Array
    last: Array
    last_payload: Array
    n_last: Array
    rank: Array


@inner
def add(
    begins: Array, n_rows: int, at: int, size: int, slot: int, group: int, sums: Array,
    weight: Array,
) -> None:  # fmt: skip
    """Add some rows of weights, which begin there, to the sums of ``at:at + size``."""
    row, column = place(slot), place(group)
    if n_rows == 4:
        one, two, three, four = int(begins[0]), int(begins[1]), int(begins[2]), int(begins[3])
        for j in range(size):
            first = as_weight(weight[place(one + j)]) + as_weight(weight[place(two + j)])
            second = as_weight(weight[place(three + j)]) + as_weight(weight[place(four + j)])
            sums[row, column, place(at + j)] += as_weight(as_weight(first) + as_weight(second))
        return
    for k in range(n_rows):
        begin = int(begins[k])
        for j in range(size):
            sums[row, column, place(at + j)] += as_weight(weight[place(begin + j)])


@inner
def deliver(
    sources: Array,
    payloads: Array,
    first: int,
    last: int,
    first_source: int,
    tick: int,
    synapses: Synapses,
    pending: Pending,
    wake: Wake,
    counters: Counters,
    merged: Array,
) -> None:
    """Add the weights of some spikes to what acts at ``tick`` plus each delay.

    Parameters
    ----------
    sources, payloads : int64 [n_spikes]
        Counted from ``first_source``; no payloads: all are 1.
    first, last : int
        Which of them.
    merged : int64 [2 * n_cores] or empty
        Gets the synaptic events that do not happen because their axon was hit before.
    """
    source_run, runs, axons, weight, target, held = synapses
    flat = runs.reshape(runs.size)
    sums, hit = pending.sums, pending.marks
    marks, busy = wake.marks, wake.busy
    n_slots = sums.shape[0]
    now = tick % n_slots
    marking = marks.shape[0] > 0
    step, wide_step = LINE // weight.itemsize, LINE // target.itemsize
    # Rows of weights that wait to be added to the same neurons, and to which.
    n_held = 0
    held_at = held_size = held_slot = held_group = 0
    for k in range(first, last):
        if k + FAR < last:
            fetch(source_run, first_source + int(sources[k + FAR]))
        if k + NEARER < last:
            fetch(flat, int(source_run[first_source + int(sources[k + NEARER])]) * N_COLUMNS)
        if k + NEAR < last:
            run = int(source_run[first_source + int(sources[k + NEAR])])
            if run < source_run[first_source + int(sources[k + NEAR]) + 1]:
                size = min(int(runs[run, SIZE]), LINES_MOST * step)
                for j in range(0, size, step):
                    fetch(weight, int(runs[run, WEIGHT]) + j)
                if runs[run, BASE] >= 0:
                    for j in range(0, size, wide_step):
                        fetch(target, int(runs[run, TARGET]) + j)
        source = first_source + int(sources[k])
        payload = int(payloads[k]) if payloads.size else 1
        for run in range(source_run[source], source_run[source + 1]):
            size = int(runs[run, SIZE])
            delay = int(runs[run, DELAY])
            slot = now + delay
            if slot >= n_slots:
                slot -= n_slots
            times, group = payload, 0
            if MIXED_PAYLOADS and runs[run, KIND] & 3 == neuron.AS_PRESENCE:
                times = 1
            if GROUPS:
                group = int(runs[run, KIND]) >> 2
            if BINARY_AXONS:
                axon = axons[run]
                if hit[slot, axon]:
                    core = int(runs[run, OWNER])
                    repeats = payload
                    if MIXED_PAYLOADS and runs[run, KIND] & 3 != neuron.AS_REPEAT:
                        repeats = 1
                    counters.merged_packets[core] += 1
                    counters.merged_events[core] += size * repeats
                    merged[core] += size * repeats
                    merged[counters.active.size + core] += 1
                    continue
                hit[slot, axon] = True
            times = times << int(runs[run, SHIFT])
            begin, at, base = int(runs[run, WEIGHT]), int(runs[run, TARGET]), int(runs[run, BASE])
            row, column = place(slot), place(group)
            woken = busy if delay == 0 or not marking else marks[slot]
            if base < 0:
                marked = False
                if times != 1:
                    for j in range(size):
                        product = as_weight(weight[place(begin + j)]) * times
                        sums[row, column, place(at + j)] += product
                else:
                    # Four rows onto the same neurons are added at once: reading and writing the
                    # sums is most of the work.
                    same = (held_at == at) & (held_size == size)
                    marked = same & (held_slot == slot) & (held_group == group)
                    if not marked:
                        add(held, n_held, held_at, held_size, held_slot, held_group, sums, weight)
                        n_held = 0
                    held[n_held] = begin
                    n_held += 1
                    held_at, held_size, held_slot, held_group = at, size, slot, group
                    if n_held == 4:
                        add(held, n_held, at, size, slot, group, sums, weight)
                        n_held = 0
                if marking and not marked:
                    for block in range(at // BLOCK, (at + size + BLOCK - 1) // BLOCK):
                        woken[block] = 1
            else:
                for j in range(size):
                    n = place(base + int(target[place(at + j)]))
                    sums[row, column, n] += as_weight(weight[place(begin + j)]) * times
                if marking:
                    for j in range(size):
                        n = base + int(target[place(at + j)])
                        woken[place(n // BLOCK)] = 1
    add(held, n_held, held_at, held_size, held_slot, held_group, sums, weight)


@inner
def arrive(
    source: int, payload: int, tick: int, synapses: Synapses, state: State, counters: Counters,
    alarm: Array,
) -> None:  # fmt: skip
    """Add one source's weights to the currents, spike by spike, each fitted to its register."""
    source_run, runs, _, weights, target, _ = synapses
    for run in range(source_run[source], source_run[source + 1]):
        first, at, base = int(runs[run, WEIGHT]), int(runs[run, TARGET]), int(runs[run, BASE])
        group, core = (int(runs[run, KIND]) >> 2 if GROUPS else 0), int(runs[run, OWNER])
        for k in range(int(runs[run, SIZE])):
            n = at + k if base < 0 else base + int(target[at + k])
            weight = int(weights[first + k]) << int(runs[run, SHIFT])
            for _ in range(payload):
                wanted = int(state.current[group, n]) + weight
                fitted = fit_current(wanted, CURRENT_BITS)
                if fitted != wanted:
                    counters.overflows[neuron.CURRENT, core] += 1
                if STRICT:
                    notice(alarm, neuron.CURRENT, n, tick, wanted, fitted == wanted)
                state.current[group, n] = fitted


@kernel
def arrive_in_order(
    channels: Array, payloads: Array, first: int, last: int, tick: int, synapses: Synapses,
    pending: Pending, state: State, counters: Counters, alarm: Array,
) -> None:  # fmt: skip
    """Add this tick's input and the last tick's spikes, by ascending source."""
    n_neurons = state.membrane.size
    for k in range(first, last):
        source = n_neurons + int(channels[k])
        arrive(source, int(payloads[k]), tick, synapses, state, counters, alarm)
    n_last = int(pending.n_last[0])
    for k in np.argsort(pending.rank[pending.last[:n_last]]):
        source, payload = int(pending.last[k]), int(pending.last_payload[k])
        arrive(source, payload, tick, synapses, state, counters, alarm)


@inner
def arrive_never(
    channels: Array, payloads: Array, first: int, last: int, tick: int, synapses: Synapses,
    pending: Pending, state: State, counters: Counters, alarm: Array,
) -> None:  # fmt: skip
    """Do nothing, where input is summed before it enters a current."""
