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
from emulator.sweep import BLOCK, passing
from traces.jit import fetch_nothing, inlined, kernel

Array = NDArray[Any]

N_COLUMNS = 8
WEIGHT, TARGET, SIZE, BASE, DELAY, SHIFT, KIND, OWNER = range(N_COLUMNS)
"""Columns of `Synapses.runs`. Where the weights begin, and how many there are; dense runs: first
neuron in ``TARGET``, -1 in ``BASE``; sparse runs: where the targets begin, and the neuron that they
count from. ``KIND``: reading of payloads + 4 * sum; ``OWNER``: index of the core."""

# Bound by `emulator.machine`.
BINARY_AXONS = MIXED_PAYLOADS = GROUPS = False
CURRENT_BITS = 24
whole: Any = int
place: Any = int
as_weight: Any = int
fit_current: Any = arithmetic.wrap
notice: Any = passing
fetch: Any = fetch_nothing

FAR, NEARER, NEAR = 12, 8, 4
"""Spikes ahead of their turn at which a source, its first run and that run's synapses are fetched:
in large networks the wait for the first word of each is most of the time."""
LINE, LINES_MOST = 64, 8
"""Bytes of a cache line, and how many of a run are fetched; the rest is seen to come."""


class Synapses(NamedTuple):
    """What one thread delivers.

    ``source_run`` int64 [n_sources + 1]; ``runs`` int64 [n_runs, 8]; ``axon`` int64 [n_runs] or
    empty; ``weight``; ``target`` uint16 or uint32.
    """

    source_run: Array
    runs: Array
    axon: Array
    weight: Array
    target: Array


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


@inlined
def fetch_run(runs: Array, run: int, weight: Array, target: Array) -> None:
    """Fetch the synapses of a run that is delivered soon."""
    size = int(runs[run, SIZE])
    step = LINE // weight.itemsize
    for j in range(0, min(size, step * LINES_MOST), step):
        fetch(weight, int(runs[run, WEIGHT]) + j)
    if runs[run, BASE] >= 0:
        step = LINE // target.itemsize
        for j in range(0, min(size, step * LINES_MOST), step):
            fetch(target, int(runs[run, TARGET]) + j)


@inlined
def add_four(
    one: int, two: int, three: int, four: int, at: int, size: int, row: int, group: int,
    sums: Array, weight: Array,
) -> None:  # fmt: skip
    """Add four rows of weights, which begin there, to the sums of ``at:at + size``."""
    for j in range(size):
        first = as_weight(weight[place(one + j)]) + as_weight(weight[place(two + j)])
        second = as_weight(weight[place(three + j)]) + as_weight(weight[place(four + j)])
        sums[row, group, place(at + j)] += as_weight(as_weight(first) + as_weight(second))


@inlined
def add_one(
    begin: int, at: int, size: int, row: int, group: int, sums: Array, weight: Array
) -> None:
    """Add one row of weights."""
    for j in range(size):
        sums[row, group, place(at + j)] += as_weight(weight[place(begin + j)])


@kernel
def add_held(
    held: int, one: int, two: int, three: int, at: int, size: int, row: int, group: int,
    sums: Array, weight: Array,
) -> None:  # fmt: skip
    """Add up to three rows."""
    add_one(one, at, size, row, group, sums, weight)
    if held > 1:
        add_one(two, at, size, row, group, sums, weight)
    if held > 2:
        add_one(three, at, size, row, group, sums, weight)


@kernel
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
    merged : int64 [n_cores] or empty
        Gets the synaptic events that do not happen because their axon was hit before.
    """
    source_run, runs, axons, weight, target = synapses
    flat = runs.reshape(runs.size)
    sums, hit = pending.sums, pending.marks
    marks = wake.marks
    n_slots = sums.shape[0]
    now = tick % n_slots
    marking = marks.shape[0] > 0
    held = 0
    held_1 = held_2 = held_3 = held_at = held_size = held_row = held_group = 0
    for k in range(first, last):
        if k + FAR < last:
            fetch(source_run, first_source + int(sources[k + FAR]))
        if k + NEARER < last:
            fetch(flat, int(source_run[first_source + int(sources[k + NEARER])]) * N_COLUMNS)
        if k + NEAR < last:
            run = int(source_run[first_source + int(sources[k + NEAR])])
            if run < source_run[first_source + int(sources[k + NEAR]) + 1]:
                fetch_run(runs, run, weight, target)
        source = first_source + int(sources[k])
        payload = int(payloads[k]) if payloads.size else 1
        for run in range(source_run[source], source_run[source + 1]):
            size = int(runs[run, SIZE])
            slot = now + int(runs[run, DELAY])
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
                    continue
                hit[slot, axon] = True
            times = times << int(runs[run, SHIFT])
            begin, at, base = int(runs[run, WEIGHT]), int(runs[run, TARGET]), int(runs[run, BASE])
            row, group = place(slot), place(group)
            if base < 0:
                if times != 1:
                    for j in range(size):
                        product = as_weight(weight[place(begin + j)]) * times
                        sums[row, group, place(at + j)] += product
                else:
                    # Four rows onto the same neurons are added at once: reading and writing the
                    # sums is most of the work.
                    same = (held_at == at) & (held_size == size) & (held_row == slot)
                    if held and not (same & (held_group == group)):
                        add_held(held, held_1, held_2, held_3, held_at, held_size,
                                 place(held_row), place(held_group), sums, weight)  # fmt: skip
                        held = 0
                    if held == 3:
                        add_four(held_1, held_2, held_3, begin, at, size, row, group, sums, weight)
                        held = 0
                    else:
                        held += 1
                        held_3, held_2, held_1 = held_2, held_1, begin
                        held_at, held_size, held_row, held_group = at, size, slot, int(group)
                if marking:
                    for block in range(at // BLOCK, (at + size + BLOCK - 1) // BLOCK):
                        marks[slot, block] = 1
            else:
                for j in range(size):
                    n = place(base + int(target[place(at + j)]))
                    sums[row, group, n] += as_weight(weight[place(begin + j)]) * times
                if marking:
                    for j in range(size):
                        n = base + int(target[place(at + j)])
                        marks[row, place(n // BLOCK)] = 1
    if held:
        add_held(held, held_1, held_2, held_3, held_at, held_size, place(held_row),
                 place(held_group), sums, weight)  # fmt: skip


@kernel
def arrive(
    source: int, payload: int, tick: int, synapses: Synapses, state: State, counters: Counters,
    alarm: Array,
) -> None:  # fmt: skip
    """Add one source's weights to the currents, spike by spike, each fitted to its register."""
    source_run, runs, _, weights, target = synapses
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


@kernel
def arrive_never(
    channels: Array, payloads: Array, first: int, last: int, tick: int, synapses: Synapses,
    pending: Pending, state: State, counters: Counters, alarm: Array,
) -> None:  # fmt: skip
    """Do nothing, where input is summed before it enters a current."""
