"""Compiled machine: deliver spikes, update neurons, list who fired.

All cores of a chip advance together, many ticks a call. Plain arrays are changed in place. The
order within a tick is: input of this tick, then every neuron, then delivery of what fired. Sums
of input do not depend on the order of delivery, because nothing wraps or saturates before the
neuron's own update. Where a chip's current saturates at every single spike (`EACH`), spikes are
added when they arrive, by ascending source (population, then neuron).

Names in capitals and functions that are not imported are bound by `emulator.machine`.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from emulator import arithmetic, neuron
from emulator.neuron import Neurons, State
from traces.jit import kernel

Array = NDArray[Any]


# Bound by `emulator.machine`.
N_CURRENTS = 1
EACH = False
REFRACTORY = 0
MANY = ALIAS = False
PERIODIC = LIMITS = SHOWN = HAS_RESET_TO = HAS_LOWER = False
HAS_LOWER_RESET = False
LOWER = 0
MIXED_PAYLOADS = False
GROUPS = False
BINARY_AXONS = False
INPUT_MAX = 0
INPUT_SHIFT = 0
INPUT_BITS = CURRENT_BITS = MEMBRANE_BITS = 24
as_weight: Any = int
as_current: Any = int
as_membrane: Any = int
shift_sum: Any = arithmetic.shift_integer
into_current: Any = arithmetic.unchanged
fit_input: Any = arithmetic.unlimited
fit_current: Any = arithmetic.wrap
fit_membrane: Any = arithmetic.saturate
noise: Any = arithmetic.silent
current_step: Any = neuron.current_step
membrane_step: Any = neuron.membrane_step
fire: Any = neuron.fire


class Costs(NamedTuple):
    """Picoseconds; ``synaptic_event`` [n_kinds] for each kind of synapse."""

    neuron_active: int
    neuron_inactive: int
    synaptic_event: Array
    axon_in: int
    barrier: int


class Tables(NamedTuple):
    """The loaded synapses and routes, and the fabric's price of each row's packet.

    Columns of rules that are off are empty. ``rank`` [n_sources]: order in which sources are
    delivered where that order matters.
    """

    core_start: Array
    source_row: Array
    row_weight: Array
    row_target: Array
    row_size: Array
    row_core: Array
    row_dense: Array
    row_packet: Array
    row_shift: Array
    row_delay: Array
    row_group: Array
    row_payload: Array
    row_kind: Array
    row_axon: Array
    channel_core: Array
    row_latency: Array
    row_hops_ew: Array
    row_hops_ns: Array
    weight: Array
    target: Array
    rank: Array
    watched: Array


class Pending(NamedTuple):
    """What is on its way to neurons.

    ``sums`` [n_slots, n_sums, n]: summed weights that act at tick t, in slot t % n_slots; int32
    where no sum can leave it, else int64 or float64. ``marks`` [n_slots, n_axons]: axons that were
    hit. ``last`` and ``last_payload`` [n], with ``n_last`` [1]: who fired at the last tick.
    """

    sums: Array
    marks: Array
    last: Array
    last_payload: Array
    n_last: Array


class Counters(NamedTuple):
    """Totals for each core, int64 [n_cores].

    ``synaptic_events`` are those of all kinds. ``packets`` to other cores and ``local_packets`` are
    counted where they are sent, ``input_packets`` from outside of the mesh and ``received``, which
    are all of them, where they come.
    """

    active: Array
    inactive: Array
    spikes: Array
    synaptic_events: Array
    dense_events: Array
    sparse_events: Array
    convolution_events: Array
    packets: Array
    local_packets: Array
    input_packets: Array
    received: Array
    merged_packets: Array
    hops_ew: Array
    hops_ns: Array
    input_overflows: Array
    current_overflows: Array
    drive_overflows: Array
    membrane_overflows: Array


class Events(NamedTuple):
    """A sample's stimulus, sorted by tick."""

    spike_tick: Array
    spike_channel: Array
    spike_payload: Array
    current_tick: Array
    current_neuron: Array
    current_value: Array


class Work(NamedTuple):
    """What a tick costs each core: its own updates, the last packet's arrival, its synapses."""

    update_ps: Array
    arrival_ps: Array
    synapse_ps: Array


@kernel
def counting(spilled: Array, alarm: Array, variable: int, n: int, tick: int, value: float) -> None:
    """Count a value that left its register."""
    spilled[variable] += 1


@kernel
def alarming(spilled: Array, alarm: Array, variable: int, n: int, tick: int, value: float) -> None:
    """Count it, and keep the first one for the error that a strict run ends with."""
    spilled[variable] += 1
    if alarm[0] < 0:
        alarm[0], alarm[1], alarm[2], alarm[3] = n, variable, tick, value


spill: Any = counting


@kernel
def count_events(counters: Counters, core: int, kind: int, n: int) -> None:
    """Count synaptic events, all together and those of their kind."""
    counters.synaptic_events[core] += n
    if kind == neuron.DENSE:
        counters.dense_events[core] += n
    elif kind == neuron.CONVOLUTION:
        counters.convolution_events[core] += n
    else:
        counters.sparse_events[core] += n


@kernel
def tally(counters: Counters, so_far: Array, added: Array) -> None:
    """Put what was added to each counter since the last time, over all cores, into a row.

    Parameters
    ----------
    so_far, added : int64 [n_counters]
    """
    for k, counts in enumerate(counters):
        total = 0
        for core in range(counts.size):
            total += counts[core]
        added[k] = total - so_far[k]
        so_far[k] = total


@kernel
def send(
    source: int,
    tick: int,
    payload: int,
    sent_ps: int,
    from_core: int,
    tables: Tables,
    pending: Pending,
    counters: Counters,
    work: Work,
    costs: Costs,
) -> None:
    """Send one source's packets, and add its weights to what acts at ``tick`` plus each delay.

    ``from_core`` is -1 for input channels, whose packets come from outside.
    """
    n_slots = pending.sums.shape[0]
    for row in range(tables.source_row[source], tables.source_row[source + 1]):
        core = int(tables.row_core[row])
        size = int(tables.row_size[row])
        times = int(payload)
        repeats = int(payload)
        if MIXED_PAYLOADS and tables.row_payload[row] != neuron.AS_REPEAT:
            repeats = 1
            if tables.row_payload[row] == neuron.AS_PRESENCE:
                times = 1
        if tables.row_packet[row]:
            counters.received[core] += repeats
            work.synapse_ps[core] += repeats * costs.axon_in
            arrival = sent_ps + tables.row_latency[row]
            work.arrival_ps[core] = max(work.arrival_ps[core], arrival)
            if from_core < 0:
                counters.input_packets[core] += repeats
            elif from_core == core:
                counters.local_packets[core] += repeats
            else:
                counters.packets[from_core] += repeats
                counters.hops_ew[from_core] += repeats * tables.row_hops_ew[row]
                counters.hops_ns[from_core] += repeats * tables.row_hops_ns[row]
        at_slot = (tick + int(tables.row_delay[row])) % n_slots
        if BINARY_AXONS:
            axon = tables.row_axon[row]
            if pending.marks[at_slot, axon]:
                counters.merged_packets[core] += 1
                continue
            pending.marks[at_slot, axon] = True
        kind = int(tables.row_kind[row])
        count_events(counters, core, kind, size * repeats)
        work.synapse_ps[core] += size * repeats * costs.synaptic_event[kind]
        if EACH:
            continue
        group = 0
        if GROUPS:
            group = int(tables.row_group[row])
        times = times << int(tables.row_shift[row])
        slot = pending.sums[at_slot, group]
        first = int(tables.row_weight[row])
        weights = tables.weight[first : first + size]
        at = int(tables.row_target[row])
        if tables.row_dense[row]:
            sums = slot[at : at + size]
            for k in range(size):
                sums[k] += as_weight(weights[k]) * times
        else:
            sums = slot[tables.core_start[core] : tables.core_start[core + 1]]
            targets = tables.target[at : at + size]
            for k in range(size):
                sums[targets[k]] += as_weight(weights[k]) * times


@kernel
def arrive(
    source: int,
    tick: int,
    payload: int,
    tables: Tables,
    state: State,
    counters: Counters,
    spilled: Array,
    alarm: Array,
) -> None:
    """Add one source's weights to the currents, spike by spike, each fitted to its register."""
    for row in range(tables.source_row[source], tables.source_row[source + 1]):
        core = int(tables.row_core[row])
        start = int(tables.core_start[core])
        first, at = int(tables.row_weight[row]), int(tables.row_target[row])
        current = state.current[int(tables.row_group[row]) if GROUPS else 0]
        for k in range(int(tables.row_size[row])):
            n = at + k if tables.row_dense[row] else start + int(tables.target[at + k])
            weight = int(tables.weight[first + k]) << int(tables.row_shift[row])
            for _ in range(payload):
                wanted = int(current[n]) + weight
                fitted = fit_current(wanted, CURRENT_BITS)
                if fitted != wanted:
                    spill(spilled, alarm, neuron.CURRENT, n, tick, wanted)
                current[n] = fitted
        counters.current_overflows[core] += spilled[neuron.CURRENT]
        spilled[neuron.CURRENT] = 0


@kernel
def update_core(
    core: int,
    tick: int,
    sums: Array,
    tables: Tables,
    neurons: Neurons,
    state: State,
    costs: Costs,
    counters: Counters,
    spilled: Array,
    alarm: Array,
    seed: int,
    fired: Array,
    fired_payload: Array,
    fired_ps: Array,
    n_fired: int,
) -> tuple[int, int]:
    """Update the neurons of one core; return how many have fired so far and the time it took."""
    # Taken out of their tuples once: within the loop each access would count references.
    current, membrane, shown, above, injected, resting, handed = state
    bias, keep_current, keep_membrane = neurons.bias, neurons.keep_current, neurons.keep_membrane
    threshold, resets, sum_shift = neurons.threshold, neurons.reset, neurons.sum_shift
    restless, identity = neurons.restless, neurons.identity
    reset_to, lower, lower_to = neurons.reset_to, neurons.lower, neurons.lower_to
    lower_reset = neurons.lower_reset
    least, most = neurons.membrane_min, neurons.membrane_max
    refractory, spikes_max, alias = neurons.refractory, neurons.spikes_max, neurons.alias
    reset_every, reset_phase = neurons.reset_every, neurons.reset_phase
    n_active = 0
    spent = 0
    first, last = int(tables.core_start[core]), int(tables.core_start[core + 1])
    for n in range(first, last):
        before = as_membrane(membrane[n])
        push = bias[n] + injected[n]
        rests = before == 0 and push == 0
        for k in range(N_CURRENTS):
            rests = rests and current[k, n] == 0
        if not EACH:
            rests = rests and sums[0, n] == 0
            if GROUPS:
                for g in range(1, sums.shape[0]):
                    rests = rests and sums[g, n] == 0
        if REFRACTORY:
            rests = rests and resting[n] == 0
        if ALIAS:
            rests = rests and handed[n] == 0
        if rests and not restless[n]:
            spent += costs.neuron_inactive
            above[n] = False
            if SHOWN:
                shown[n] = 0
            continue
        n_active += 1
        spent += costs.neuron_active
        if PERIODIC and reset_every[n] > 0 and tick % reset_every[n] == reset_phase[n]:
            before = as_membrane(0)
            for k in range(N_CURRENTS):
                current[k, n] = 0
        is_resting = False
        if REFRACTORY and resting[n] > 0:
            is_resting = True
            resting[n] -= 1
        drive = as_current(0)
        for k in range(N_CURRENTS):
            taken = as_current(0)
            if not EACH:
                arrived = shift_sum(sums[0, n], sum_shift[0, n])
                sums[0, n] = 0
                if GROUPS:
                    for g in range(1, sums.shape[0]):
                        arrived += shift_sum(sums[g, n], sum_shift[g, n])
                        sums[g, n] = 0
                arrived = shift_sum(arrived, INPUT_SHIFT)
                if not (REFRACTORY == neuron.SKIP and is_resting):
                    limited = fit_input(arrived, INPUT_BITS)
                    if limited != arrived:
                        spill(spilled, alarm, neuron.INPUT, n, tick, arrived)
                    taken = into_current(limited)
            chance = noise(seed, tick, identity[n], k)
            wanted_u, used, stored = current_step(
                as_current(current[k, n]), taken, keep_current[k, n], chance
            )
            if used != wanted_u:
                spill(spilled, alarm, neuron.CURRENT, n, tick, wanted_u)
            current[k, n] = stored
            if SHOWN:
                shown[n] = used
            drive += used
        chance = noise(seed, tick, identity[n], -1)
        wanted_drive, driven, wanted, v = membrane_step(
            before, drive, push, keep_membrane[n], chance, is_resting
        )
        # What a resting neuron throws away has left no register.
        if is_resting and REFRACTORY == neuron.FREEZE:
            membrane[n] = before
            continue
        if is_resting and REFRACTORY == neuron.HOLD:
            v = as_membrane(0)
        else:
            if driven != wanted_drive and not is_resting:
                spill(spilled, alarm, neuron.DRIVE, n, tick, wanted_drive)
            if LIMITS:
                v = min(max(v, least[n]), most[n])
            if v != wanted:
                spill(spilled, alarm, neuron.MEMBRANE, n, tick, wanted)
        reset = int(resets[n])
        if reset == neuron.NEVER or (REFRACTORY == neuron.SKIP and is_resting):
            membrane[n] = v
            continue
        unreset = v
        spikes, v, above[n] = fire(
            v, threshold[n], reset, above[n],
            as_membrane(reset_to[n] if HAS_RESET_TO else 0),
            lower[n] if HAS_LOWER else 0,
            as_membrane(lower_to[n] if HAS_LOWER else 0),
            int(lower_reset[n]) if HAS_LOWER_RESET else neuron.TO_ZERO,
            handed[n] if ALIAS else 0,
            spikes_max[n] if MANY else 1,
        )  # fmt: skip
        if LOWER == neuron.LOWER_RESET and v != unreset:
            # A threshold of the other sign pushes the membrane further out when it is subtracted.
            wanted = v
            v = fit_membrane(wanted, MEMBRANE_BITS)
            if v != wanted:
                spill(spilled, alarm, neuron.MEMBRANE, n, tick, wanted)
        membrane[n] = v
        if REFRACTORY and spikes != 0:
            resting[n] = max(refractory[n] - 1, 0)
        if MANY:
            # Who fired is listed below: an alias may hand spikes to a neuron that is done.
            handed[n] = spikes
            fired_ps[n] = spent
            if ALIAS and spikes and alias[n] >= 0:
                handed[alias[n]] = min(handed[alias[n]] + spikes, spikes_max[n])
        elif spikes:
            fired[n_fired] = n
            fired_payload[n_fired] = spikes
            fired_ps[n_fired] = spent
            n_fired += 1
            counters.spikes[core] += abs(spikes)
    if MANY:
        for n in range(first, last):
            if handed[n]:
                fired[n_fired] = n
                fired_payload[n_fired] = handed[n]
                fired_ps[n_fired] = fired_ps[n]
                counters.spikes[core] += abs(handed[n])
                handed[n] = 0
                n_fired += 1
    counters.active[core] += n_active
    counters.inactive[core] += last - first - n_active
    counters.input_overflows[core] += spilled[neuron.INPUT]
    counters.current_overflows[core] += spilled[neuron.CURRENT]
    counters.drive_overflows[core] += spilled[neuron.DRIVE]
    counters.membrane_overflows[core] += spilled[neuron.MEMBRANE]
    spilled[:] = 0
    return n_fired, spent


@kernel
def advance(
    first_tick: int,
    n_ticks: int,
    tables: Tables,
    neurons: Neurons,
    state: State,
    pending: Pending,
    costs: Costs,
    counters: Counters,
    events: Events,
    input_latency: int,
    seed: int,
    alarm: Array,
    next_spike: int,
    next_current: int,
    out_tick: Array,
    out_neuron: Array,
    out_payload: Array,
    frames: Array,
    tick_ps: Array,
    tick_counts: Array,
) -> tuple[int, int, int, int]:
    """Run ticks until the block ends or the list of spikes might overflow.

    Returns
    -------
    (ticks done, spikes listed, next input spike, next current change)
    """
    n_neurons = state.membrane.size
    n_cores = tables.core_start.size - 1
    n_slots = pending.sums.shape[0]
    work = Work(
        np.zeros(n_cores, np.int64), np.zeros(n_cores, np.int64), np.zeros(n_cores, np.int64)
    )
    spilled = np.zeros(4, np.int64)
    so_far, ignored = np.zeros(len(counters), np.int64), np.zeros(len(counters), np.int64)
    tally(counters, so_far, ignored)
    fired = np.empty(n_neurons, np.int64)
    fired_payload = np.empty(n_neurons, np.int64)
    fired_ps = np.empty(n_neurons, np.int64)
    fired_core = np.empty(n_neurons, np.int64)
    n_out = 0
    for done in range(n_ticks):
        if n_out + n_neurons > out_tick.size:
            return done, n_out, next_spike, next_current
        tick = first_tick + done
        work.arrival_ps[:] = 0
        work.synapse_ps[:] = 0
        while next_spike < events.spike_tick.size and events.spike_tick[next_spike] == tick:
            channel = events.spike_channel[next_spike]
            source = n_neurons + channel
            payload = int(events.spike_payload[next_spike])
            if INPUT_MAX:
                payload = min(payload, INPUT_MAX)
            send(
                source, tick + input_latency, payload, 0, tables.channel_core[channel],
                tables, pending, counters, work, costs,
            )  # fmt: skip
            if EACH:
                arrive(source, tick, payload, tables, state, counters, spilled, alarm)
            next_spike += 1
        while next_current < events.current_tick.size and events.current_tick[next_current] == tick:
            state.injected[events.current_neuron[next_current]] = events.current_value[next_current]
            next_current += 1
        if EACH:
            n_last = int(pending.n_last[0])
            by_rank = np.argsort(tables.rank[pending.last[:n_last]])
            for k in by_rank:
                arrive(
                    pending.last[k], tick, pending.last_payload[k],
                    tables, state, counters, spilled, alarm,
                )  # fmt: skip
        if BINARY_AXONS:
            pending.marks[tick % n_slots] = False
        sums = pending.sums[tick % n_slots]
        n_fired = 0
        for core in range(n_cores):
            before = n_fired
            n_fired, work.update_ps[core] = update_core(
                core, tick, sums, tables, neurons, state, costs, counters, spilled, alarm, seed,
                fired, fired_payload, fired_ps, n_fired,
            )  # fmt: skip
            fired_core[before:n_fired] = core
        for k in range(n_fired):
            send(
                fired[k], tick + 1, fired_payload[k], fired_ps[k], fired_core[k],
                tables, pending, counters, work, costs,
            )  # fmt: skip
            out_tick[n_out + k] = tick
            out_neuron[n_out + k] = fired[k]
            out_payload[n_out + k] = fired_payload[k]
            if EACH:
                pending.last[k] = fired[k]
                pending.last_payload[k] = fired_payload[k]
        if EACH:
            pending.n_last[0] = n_fired
        n_out += n_fired
        slowest = 0
        for core in range(n_cores):
            ready = max(work.update_ps[core], work.arrival_ps[core])
            slowest = max(slowest, ready + work.synapse_ps[core])
        tick_ps[done] = slowest + costs.barrier
        tally(counters, so_far, tick_counts[done])
        for k in range(tables.watched.size):
            frames[done, k] = state.membrane[tables.watched[k]]
    return n_ticks, n_out, next_spike, next_current
