"""The compiled machine: many ticks in one call, and many threads.

The order within a tick is: input of this tick, then every neuron, then delivery of what fired. It
is function alone. What it costs a core is added up beside it (`emulator.activity`), and what
packets cost on their way is looked at afterwards (`emulator.fabric`).

Each thread has some of the cores. It lists the spikes of its own neurons, meets the others once in
a tick, and delivers everyone's spikes to its own neurons.

Names in capitals and functions that are not imported are bound by `emulator.machine`.
"""

from typing import Any, NamedTuple

from numpy.typing import NDArray

from emulator import activity, delivery
from emulator import sweep as sweeping
from emulator.activity import CoreCosts, Counters, Fired, Places, Wake
from emulator.delivery import Pending, Synapses
from emulator.neuron import Neurons, State
from emulator.sweep import BLOCK, Pieces
from traces.intrinsics import meet
from traces.jit import inner, lean

Array = NDArray[Any]

# Bound by `emulator.machine`.
EACH = BINARY_AXONS = MANY = SIGNED = False
LATENCY = 1
as_drive: Any = int
awake_runs: Any = activity.awake_runs
collect: Any = activity.collect
deliver: Any = delivery.deliver
arrivals: Any = delivery.arrive_never
sweep: Any = sweeping.sweep


class Team(NamedTuple):
    """Which thread this is, of how many; its cores; and where they meet, int64 [1]."""

    me: int
    size: int
    first_core: int
    last_core: int
    gate: Array


class Events(NamedTuple):
    """A sample's stimulus, sorted by tick, then by channel where channels lie on cores.

    ``sent_ps`` [n_spikes] is filled in: picoseconds into the tick at which packets may leave.
    """

    spike_tick: Array
    spike_channel: Array
    spike_payload: Array
    sent_ps: Array
    current_tick: Array
    current_neuron: Array
    current_value: Array


class Listed(NamedTuple):
    """What a call lists.

    ``neuron``, ``payload``, ``sent_ps`` [n_threads, room]; ``start`` int64 [n_threads, n_ticks +
    1]: where each tick's spikes begin; ``spent_ps`` int64 [n_ticks, n_cores]; ``merged``
    int64 [n_ticks, 2 * n_cores] or [1, 0]: events, then packets, that merged on each core; ``watched`` int64 [n_watched] with ``frames`` [n_ticks,
    n_watched]; the same of currents, ``sensed`` [n_sensed] with ``currents`` [n_ticks, n_currents,
    n_sensed] out of ``shown`` [n_currents, n], and of what left its register, ``alert`` [n_alert]
    with ``spilled`` uint8 [n_ticks, n_alert] (`emulator.sweep.SPILLED`); ``tally`` int64 [n_threads, n_ticks + 1, 5]: counts before the first tick and after
    each, of `TALLIED`.
    """

    neuron: Array
    payload: Array
    sent_ps: Array
    start: Array
    spent_ps: Array
    merged: Array
    watched: Array
    frames: Array
    sensed: Array
    currents: Array
    shown: Array
    alert: Array
    spilled: Array
    tally: Array


TALLIED = (
    "active", "input_overflows", "current_overflows", "drive_overflows", "membrane_overflows",
)  # fmt: skip
"""What is counted up after every tick."""


@inner
def count_up(counters: Counters, first_core: int, last_core: int, row: Array) -> None:
    """Sum up what some cores have counted so far, in the order of `TALLIED`; int64 [5]."""
    active, overflows = counters.active, counters.overflows
    total = 0
    for core in range(first_core, last_core):
        total += active[core]
    row[0] = total
    for k in range(row.size - 1):
        total = 0
        for core in range(first_core, last_core):
            total += overflows[k, core]
        row[k + 1] = total


@inner
def take_input(
    first: int, last: int, events: Events, places: Places, costs: CoreCosts, first_core: int,
    last_core: int, n_neurons: int, spent_ps: Array,
) -> None:  # fmt: skip
    """Add up the time of channels that lie on this thread's cores.

    They come before the neurons of their core, in their order.
    """
    channel_core, rank, rest_ps = places.channel_core, places.channel_rank, places.rest_ps
    channels, payloads, sent_ps = events.spike_channel, events.spike_payload, events.sent_ps
    repeated_ps, once_ps = costs.repeated_ps, costs.once_ps
    begins_ps = int(costs.channel_active) - int(costs.channel_inactive)
    for k in range(first, last):
        channel = int(channels[k])
        core = int(channel_core[channel])
        if core < first_core or core >= last_core:
            continue
        if k == first or channels[k - 1] != channel:
            spent_ps[core] += begins_ps
        if repeated_ps.size:
            source = n_neurons + channel
            spent_ps[core] += abs(int(payloads[k])) * repeated_ps[source] + once_ps[source]
        waits = (int(rank[channel]) + 1) * int(costs.channel_inactive)
        sent_ps[k] = waits + int(spent_ps[core]) - int(rest_ps[core])


@inner
def keep_last(pending: Pending, fired: Fired, first: int, last: int) -> None:
    """Note who fired in this tick, where spikes are added one by one in the next."""
    for k in range(first, last):
        pending.last[k - first] = fired.neuron[k]
        pending.last_payload[k - first] = fired.payload[k] if MANY or SIGNED else 1
    pending.n_last[0] = last - first


@lean
def advance(
    team: Team, first_tick: int, n_ticks: int, synapses: Synapses, places: Places, pieces: Pieces,
    neurons: Neurons, state: State, pending: Pending, wake: Wake, costs: CoreCosts,
    counters: Counters, events: Events, next_spike: int, next_current: int, seed: int,
    flags: Array, eights: Array, alarm: Array, listed: Listed,
) -> tuple[int, int, int]:  # fmt: skip
    """Run ticks until the block ends or the list of spikes might overflow.

    Returns
    -------
    (ticks done, next input spike, next current change)
    """
    n_neurons, n_slots = state.membrane.size, pending.sums.shape[0]
    me, size = int(team.me), int(team.size)
    first_core, last_core = int(team.first_core), int(team.last_core)
    first_neuron, last_neuron = int(wake.first_neuron), int(wake.last_neuron)
    start, watched, busy = listed.start, listed.watched, wake.busy
    sensed, currents, shown = listed.sensed, listed.currents, listed.shown
    alert, spilled = listed.alert, listed.spilled
    mine = Fired(listed.neuron[me], listed.payload[me], listed.sent_ps[me])
    rest_ps, handed = places.rest_ps, state.handed
    spike_tick, current_tick = events.spike_tick, events.current_tick
    first_spike = next_spike
    n_fired = 0
    count_up(counters, first_core, last_core, listed.tally[me, 0])
    for done in range(n_ticks + 1):
        # What was sent in the last tick comes; input too, of this tick if it has no latency.
        tick = first_tick + done
        ends = done == n_ticks
        for other in range(size):
            if start[other, done] + n_neurons >= listed.neuron.shape[1]:
                ends = True
        if LATENCY == 0:
            first_spike = next_spike
        if LATENCY == 0 and not ends:
            while next_spike < spike_tick.size and spike_tick[next_spike] == tick:
                next_spike += 1
        if not EACH:
            for part in range(size + 1):
                other = part - LATENCY
                from_outside = other < 0 or other == size
                row = min(max(done - LATENCY if from_outside else done - 1, 0), n_ticks - 1)
                other = 0 if from_outside else other
                first, last = first_spike, next_spike
                if not from_outside:
                    first = int(start[other, max(done - 1, 0)])
                    last = int(start[other, done])
                deliver(
                    events.spike_channel if from_outside else listed.neuron[other],
                    events.spike_payload if from_outside else listed.payload[other],
                    first, last, n_neurons if from_outside else 0, tick, synapses, pending, wake,
                    counters, listed.merged[row if BINARY_AXONS else 0],
                )  # fmt: skip
        if ends:
            return done, next_spike, next_current
        if LATENCY == 1:
            first_spike = next_spike
            while next_spike < spike_tick.size and spike_tick[next_spike] == tick:
                next_spike += 1
        slot = tick % n_slots
        spent_ps = listed.spent_ps[done]
        for core in range(first_core, last_core):
            spent_ps[core] = rest_ps[core]
        if places.channel_core.size:
            take_input(
                first_spike, next_spike, events, places, costs, first_core, last_core, n_neurons,
                spent_ps,
            )  # fmt: skip
        while next_current < current_tick.size and current_tick[next_current] == tick:
            n = int(events.current_neuron[next_current])
            if first_neuron <= n < last_neuron:
                value = as_drive(events.current_value[next_current])
                state.push[n] = as_drive(neurons.bias[n] + value)
                busy[n // BLOCK] = 1
            next_current += 1
        if EACH:
            arrivals(
                events.spike_channel, events.spike_payload, first_spike, next_spike, tick, synapses,
                pending, state, counters, alarm,
            )  # fmt: skip
        if BINARY_AXONS:
            pending.marks[slot] = False
        n_runs = awake_runs(wake, slot)
        sweep(
            n_runs, wake.runs, pieces, tick, slot, seed, pending.sums, neurons, state, flags,
            counters.overflows, alarm,
        )  # fmt: skip
        first_fired = n_fired
        tally = listed.tally[me, done + 1]
        for k in range(tally.size):
            tally[k] = listed.tally[me, done, k]
        n_fired = collect(
            n_runs, flags, eights, wake, places, costs, handed, counters, mine, n_fired, spent_ps,
            tally,
        )  # fmt: skip
        start[me, done + 1] = n_fired
        for k in range(watched.size):
            if first_neuron <= watched[k] < last_neuron:
                listed.frames[done, k] = state.membrane[watched[k]]
        for k in range(sensed.size):
            if first_neuron <= sensed[k] < last_neuron:
                for group in range(shown.shape[0]):
                    currents[done, group, k] = shown[group, sensed[k]]
        for k in range(alert.size):
            if first_neuron <= alert[k] < last_neuron:
                spilled[done, k] = flags[alert[k]]
        if EACH:
            keep_last(pending, mine, first_fired, n_fired)
            # Spikes that come one by one let currents overflow outside of `collect`.
            count_up(counters, first_core, last_core, tally)
        if size > 1:
            meet(team.gate, size * (done + 1))
    return n_ticks, next_spike, next_current
