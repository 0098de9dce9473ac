"""Compiled integer machine: deliver spikes, update neurons, list who fired.

All cores of a chip advance together, many ticks a call. Plain arrays are changed in place. The
order within a tick is: input of this tick, then every neuron, then delivery of what fired. Sums
of input do not depend on the order of delivery, because nothing wraps or saturates before the
neuron's own update.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from traces.jit import kernel

Array = NDArray[Any]

WRAP, SATURATE = 0, 1
NEVER, TO_ZERO, SUBTRACT, SUBTRACT_ONCE = 0, 1, 2, 3


class Rules(NamedTuple):
    """Numbers of a chip that decide the arithmetic."""

    decay_bits: int
    current_bits: int
    membrane_bits: int
    current_overflow: int
    membrane_overflow: int
    at_threshold: int
    input_latency: int


class Costs(NamedTuple):
    """Picoseconds."""

    neuron_active: int
    neuron_inactive: int
    synaptic_event: int
    axon_in: int
    barrier: int


class Tables(NamedTuple):
    """The loaded program, and the fabric's price of each row's packet."""

    core_start: Array
    keep_current: Array
    keep_membrane: Array
    bias: Array
    threshold: Array
    input_shift: Array
    reset: Array
    source_row: Array
    row_weight: Array
    row_target: Array
    row_size: Array
    row_core: Array
    row_dense: Array
    row_packet: Array
    row_shift: Array
    row_delay: Array
    row_latency: Array
    row_hops_ew: Array
    row_hops_ns: Array
    weight: Array
    target: Array
    watched: Array


class State(NamedTuple):
    """Everything that changes.

    ``pending`` [n_slots, n]: summed weights that act at tick t, in slot t % n_slots; int32 where
    no sum can leave it, else int64.
    ``above`` [n]: still over threshold after the last reset (subtract-once).
    """

    current: Array
    membrane: Array
    above: Array
    injected: Array
    pending: Array


class Counters(NamedTuple):
    """Totals for each core, int64 [n_cores]."""

    active: Array
    inactive: Array
    spikes: Array
    synaptic_events: Array
    packets: Array
    local_packets: Array
    input_packets: Array
    hops_ew: Array
    hops_ns: Array
    current_overflows: Array
    membrane_overflows: Array


class Events(NamedTuple):
    """A sample's stimulus, sorted by tick."""

    spike_tick: Array
    spike_channel: Array
    spike_payload: Array
    current_tick: Array
    current_neuron: Array
    current_value: Array


@kernel
def decay(x: int, keep: int, bits: int) -> int:
    """Keep ``keep / 2**bits`` of ``x``, rounding towards zero (Davies et al., 2018)."""
    size = (abs(int(x)) * int(keep)) >> bits
    return size if x >= 0 else -size


@kernel
def bounded(x: int, bits: int, rule: int) -> int:
    """Fit ``x`` into a signed register: wrap to two's complement, or saturate symmetrically."""
    half = 1 << (bits - 1)
    if rule == WRAP:
        return ((int(x) + half) & (2 * half - 1)) - half
    return min(max(int(x), -(half - 1)), half - 1)


@kernel
def deliver(
    source: int,
    tick: int,
    payload: int,
    sent_ps: int,
    tables: Tables,
    pending: Array,
    counters: Counters,
    arrival_ps: Array,
    work_ps: Array,
    costs: Costs,
    from_core: int,
) -> None:
    """Add one source's weights to its targets, to act at ``tick`` plus each row's delay.

    ``from_core`` is -1 for input channels, whose packets come from outside.
    """
    n_slots = pending.shape[0]
    for row in range(tables.source_row[source], tables.source_row[source + 1]):
        core = int(tables.row_core[row])
        first = int(tables.row_weight[row])
        at = int(tables.row_target[row])
        size = int(tables.row_size[row])
        times = int(payload) << int(tables.row_shift[row])
        slot = pending[(tick + int(tables.row_delay[row])) % n_slots]
        weights = tables.weight[first : first + size]
        if tables.row_dense[row]:
            sums = slot[at : at + size]
            for k in range(size):
                sums[k] += int(weights[k]) * times
        else:
            sums = slot[tables.core_start[core] : tables.core_start[core + 1]]
            targets = tables.target[at : at + size]
            for k in range(size):
                sums[targets[k]] += int(weights[k]) * times
        counters.synaptic_events[core] += size * payload
        work_ps[core] += size * payload * costs.synaptic_event
        if tables.row_packet[row]:
            work_ps[core] += payload * costs.axon_in
            arrival_ps[core] = max(arrival_ps[core], sent_ps + tables.row_latency[row])
            if from_core < 0:
                counters.input_packets[core] += payload
            elif from_core == core:
                counters.local_packets[core] += payload
            else:
                counters.packets[from_core] += payload
                counters.hops_ew[from_core] += payload * tables.row_hops_ew[row]
                counters.hops_ns[from_core] += payload * tables.row_hops_ns[row]


@kernel
def update_core(
    core: int,
    slot: Array,
    tables: Tables,
    state: State,
    rules: Rules,
    costs: Costs,
    counters: Counters,
    fired: Array,
    fired_ps: Array,
    n_fired: int,
) -> tuple[int, int]:
    """Update the neurons of one core; return how many have fired so far and the time it took."""
    bits, wide = 1 << (rules.current_bits - 1), 1 << (rules.membrane_bits - 1)
    spent = 0
    first = n_fired
    for n in range(tables.core_start[core], tables.core_start[core + 1]):
        u, v, a = int(state.current[n]), int(state.membrane[n]), int(slot[n])
        push = int(tables.bias[n]) + int(state.injected[n])
        if (u | v | a | push) == 0:
            counters.inactive[core] += 1
            spent += costs.neuron_inactive
            state.above[n] = 0
            continue
        counters.active[core] += 1
        spent += costs.neuron_active
        slot[n] = 0
        u = decay(u, tables.keep_current[n], rules.decay_bits) + (a << int(tables.input_shift[n]))
        if u < -bits or u >= bits:
            counters.current_overflows[core] += 1
            u = bounded(u, rules.current_bits, rules.current_overflow)
        state.current[n] = u
        v = decay(v, tables.keep_membrane[n], rules.decay_bits) + u + push
        if v <= -wide or v >= wide:
            counters.membrane_overflows[core] += 1
            v = bounded(v, rules.membrane_bits, rules.membrane_overflow)
        reset = tables.reset[n]
        if reset != NEVER:
            height = int(tables.threshold[n])
            # `>=` on integers is `>` one below.
            level = height - rules.at_threshold
            compared = v - height if reset == SUBTRACT_ONCE and state.above[n] else v
            if compared > level:
                fired[n_fired] = n
                fired_ps[n_fired] = spent
                n_fired += 1
                v = 0 if reset == TO_ZERO else v - height
            state.above[n] = v > level
        state.membrane[n] = v
    counters.spikes[core] += n_fired - first
    return n_fired, spent


@kernel
def advance(
    first_tick: int,
    n_ticks: int,
    tables: Tables,
    state: State,
    rules: Rules,
    costs: Costs,
    counters: Counters,
    events: Events,
    next_spike: int,
    next_current: int,
    out_tick: Array,
    out_neuron: Array,
    frames: Array,
    tick_ps: Array,
) -> tuple[int, int, int, int]:
    """Run ticks until the block ends or the list of spikes might overflow.

    Returns
    -------
    (ticks done, spikes listed, next input spike, next current change)
    """
    n_neurons = state.current.size
    n_cores = tables.core_start.size - 1
    n_slots = state.pending.shape[0]
    update_ps = np.zeros(n_cores, np.int64)
    arrival_ps = np.zeros(n_cores, np.int64)
    work_ps = np.zeros(n_cores, np.int64)
    fired = np.empty(n_neurons, np.int64)
    fired_ps = np.empty(n_neurons, np.int64)
    fired_core = np.empty(n_neurons, np.int64)
    n_out = 0
    for done in range(n_ticks):
        if n_out + n_neurons > out_tick.size:
            return done, n_out, next_spike, next_current
        tick = first_tick + done
        arrival_ps[:] = 0
        work_ps[:] = 0
        while next_spike < events.spike_tick.size and events.spike_tick[next_spike] == tick:
            deliver(
                n_neurons + events.spike_channel[next_spike],
                tick + rules.input_latency,
                events.spike_payload[next_spike],
                0, tables, state.pending, counters, arrival_ps, work_ps, costs, -1,
            )  # fmt: skip
            next_spike += 1
        while next_current < events.current_tick.size and events.current_tick[next_current] == tick:
            state.injected[events.current_neuron[next_current]] = events.current_value[next_current]
            next_current += 1
        slot = state.pending[tick % n_slots]
        n_fired = 0
        for core in range(n_cores):
            before = n_fired
            n_fired, update_ps[core] = update_core(
                core, slot, tables, state, rules, costs, counters, fired, fired_ps, n_fired
            )
            fired_core[before:n_fired] = core
        for k in range(n_fired):
            deliver(
                fired[k], tick + 1, 1, fired_ps[k],
                tables, state.pending, counters, arrival_ps, work_ps, costs, fired_core[k],
            )  # fmt: skip
            out_tick[n_out + k] = tick
            out_neuron[n_out + k] = fired[k]
        n_out += n_fired
        slowest = 0
        for core in range(n_cores):
            slowest = max(slowest, max(update_ps[core], arrival_ps[core]) + work_ps[core])
        tick_ps[done] = slowest + costs.barrier
        for k in range(tables.watched.size):
            frames[done, k] = state.membrane[tables.watched[k]]
    return n_ticks, n_out, next_spike, next_current
