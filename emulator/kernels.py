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
from traces.jit import kernel, meet

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
    1]: where each tick's spikes begin; ``spent_ps`` int64 [n_ticks, n_cores]; ``merged_events``
    int64 [n_ticks, n_cores] or [0, 0]; ``watched`` int64 [n_watched] with ``frames`` [n_ticks,
    n_watched].
    """

    neuron: Array
    payload: Array
    sent_ps: Array
    start: Array
    spent_ps: Array
    merged_events: Array
    watched: Array
    frames: Array


@kernel
def take_input(
    first: int, last: int, team: Team, events: Events, places: Places, costs: CoreCosts,
    counters: Counters, n_neurons: int, spent_ps: Array,
) -> None:  # fmt: skip
    """Count a tick's input spikes, and the time of channels that lie on this thread's cores.

    Channels come before the neurons of their core, in their order.
    """
    for k in range(first, last):
        channel = int(events.spike_channel[k])
        payload = int(events.spike_payload[k])
        if team.me == 0:
            counters.times[n_neurons + channel] += 1
            counters.repeats[n_neurons + channel] += payload
        if places.channel_core.size == 0:
            continue
        core = int(places.channel_core[channel])
        if core < team.first_core or core >= team.last_core:
            continue
        if k == first or events.spike_channel[k - 1] != channel:
            spent_ps[core] += costs.neuron_active - costs.neuron_inactive + costs.spike
        if costs.repeated_ps.size:
            source = n_neurons + channel
            spent_ps[core] += abs(payload) * costs.repeated_ps[source] + costs.once_ps[source]
        waits = (int(places.channel_rank[channel]) + 1) * costs.neuron_inactive
        events.sent_ps[k] = waits + int(spent_ps[core]) - int(places.rest_ps[core])


@kernel
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
    n_neurons = state.membrane.size
    n_slots = pending.sums.shape[0]
    me = int(team.me)
    start = listed.start
    room = listed.neuron.shape[1]
    payloads = listed.payload
    mine = Fired(listed.neuron[me], payloads[me], listed.sent_ps[me])
    watched = listed.watched
    first_neuron, last_neuron = int(wake.first_neuron), int(wake.last_neuron)
    n_fired = 0
    for done in range(n_ticks):
        for other in range(team.size):
            if start[other, done] + n_neurons > room:
                return done, next_spike, next_current
        tick = first_tick + done
        slot = tick % n_slots
        spent_ps = listed.spent_ps[done]
        for core in range(team.first_core, team.last_core):
            spent_ps[core] = places.rest_ps[core]
        merged = listed.merged_events[done if BINARY_AXONS else 0]
        first_spike = next_spike
        while next_spike < events.spike_tick.size and events.spike_tick[next_spike] == tick:
            next_spike += 1
        take_input(
            first_spike, next_spike, team, events, places, costs, counters, n_neurons, spent_ps
        )
        while next_current < events.current_tick.size and events.current_tick[next_current] == tick:
            n = int(events.current_neuron[next_current])
            if first_neuron <= n < last_neuron:
                value = as_drive(events.current_value[next_current])
                state.push[n] = as_drive(neurons.bias[n] + value)
                wake.busy[n // BLOCK] = 1
            next_current += 1
        if EACH:
            arrivals(
                events.spike_channel, events.spike_payload, first_spike, next_spike, tick, synapses,
                pending, state, counters, alarm,
            )  # fmt: skip
        elif LATENCY == 0:
            deliver(
                events.spike_channel, events.spike_payload, first_spike, next_spike, n_neurons,
                tick, synapses, pending, wake, counters, merged,
            )  # fmt: skip
        if BINARY_AXONS:
            pending.marks[slot] = False
        n_runs = awake_runs(wake, slot)
        sweep(
            n_runs, wake.runs, pieces, tick, slot, seed, pending.sums, neurons, state, flags,
            counters.overflows, alarm,
        )  # fmt: skip
        n_fired = collect(
            n_runs, flags, eights, wake, places, costs, state.handed, counters, mine, n_fired,
            spent_ps,
        )  # fmt: skip
        start[me, done + 1] = n_fired
        for k in range(watched.size):
            if first_neuron <= watched[k] < last_neuron:
                listed.frames[done, k] = state.membrane[watched[k]]
        if team.size > 1:
            meet(team.gate, team.size * (done + 1))
        if EACH:
            first = int(start[me, done])
            for k in range(first, n_fired):
                pending.last[k - first] = mine.neuron[k]
                pending.last_payload[k - first] = mine.payload[k] if MANY or SIGNED else 1
            pending.n_last[0] = n_fired - first
            continue
        if LATENCY == 1:
            deliver(
                events.spike_channel, events.spike_payload, first_spike, next_spike, n_neurons,
                tick + 1, synapses, pending, wake, counters, merged,
            )  # fmt: skip
        for other in range(team.size):
            deliver(
                listed.neuron[other], payloads[other], start[other, done], start[other, done + 1],
                0, tick + 1, synapses, pending, wake, counters, merged,
            )  # fmt: skip
    return n_ticks, next_spike, next_current
