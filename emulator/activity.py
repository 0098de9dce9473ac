"""Who is awake, who fired, and when each neuron's packets may leave.

Neurons sleep and wake in blocks of `emulator.sweep.BLOCK`. A block is awake in a tick if input has
arrived for it (`Wake.marks`) or if one of its neurons was active in the tick before (`Wake.busy`):
where none was, every neuron in it is at rest and stays so, and not looking at it changes nothing.

A core updates its neurons one after another, so that a neuron's packets leave when the costs of
all neurons before it on the core have passed, and its own. Sleeping neurons take their time too.
"""

from typing import Any, NamedTuple

from numpy.typing import NDArray

from emulator.neuron import MEMBRANE
from emulator.sweep import BELOW, BLOCK, SPILLED
from traces.jit import inlined, inner

Array = NDArray[Any]

# Bound by `emulator.machine`.
SLEEPLESS = MANY = SIGNED = False

_EACH_BYTE = 0x0101010101010101
_SPILLED_FIRST = SPILLED[0]
# All bits of eight neurons but FIRED, ACTIVE and BELOW, which are the lowest three in this order.
_ANY_SPILLED = ~(7 * _EACH_BYTE)


class Wake(NamedTuple):
    """What one thread knows about the blocks of neurons; n_blocks is a multiple of 64 here.

    ``busy`` uint8 [n_blocks] and ``marks`` uint8 [n_slots, n_blocks]: whether one of a block's
    neurons was active in the last tick or gets input in this one, and whether input arrives for it
    later, in the slot of `emulator.delivery.Pending`; no rows where all neurons are active anyway. ``busy_eights``,
    ``marks_eights``: the same as int64, eight blocks each. ``runs`` int64 [n_blocks, 2]: first and
    last neuron of what is awake. ``first_neuron``, ``last_neuron``: of the thread, which leaves
    blocks of others at 0.
    """

    busy: Array
    busy_eights: Array
    marks: Array
    marks_eights: Array
    runs: Array
    first_neuron: int
    last_neuron: int


class CoreCosts(NamedTuple):
    """Picoseconds for each neuron of a core, each one that fires, and each input channel on a core.

    ``repeated_ps``, ``once_ps`` int64 [n_sources] or empty: what the packets of a source take the
    core that sends them, for each spike of a payload, and whatever the payload is.
    """

    neuron_active: int
    neuron_inactive: int
    spike: int
    channel_active: int
    channel_inactive: int
    repeated_ps: Array
    once_ps: Array


class Places(NamedTuple):
    """Where neurons and channels are.

    ``core_start`` [n_cores + 1]; ``block_core`` [n_blocks]: core of each block's first neuron;
    ``rest_ps`` [n_cores]: time of a core in which nothing is active; ``channel_core`` [n_channels]
    or empty, ``channel_rank``: which of its core's channels each is.
    """

    core_start: Array
    block_core: Array
    rest_ps: Array
    channel_core: Array
    channel_rank: Array


class Fired(NamedTuple):
    """The spikes of one thread, in order of ticks; see `emulator.traffic.Activity`.

    ``neuron``, ``payload``, ``sent_ps`` [room]; ``payload`` stays empty where all are 1.
    """

    neuron: Array
    payload: Array
    sent_ps: Array


class Counters(NamedTuple):
    """What is counted inside the kernels; the rest follows from it (`emulator.counting`).

    int64 [n_cores]: active neurons, values that left their register [4, n_cores], packets that an
    axon merged, and their events. int64 [n_sources]: how often each source fired, and how many
    spikes that were; ``repeats`` counts neurons only where they fire several times a tick.
    """

    active: Array
    overflows: Array
    merged_packets: Array
    merged_events: Array
    times: Array
    repeats: Array


@inner
def awake_runs(wake: Wake, slot: int) -> int:
    """List what is awake, joined to runs of neurons; clear the marks of this tick.

    Returns
    -------
    int
        Number of ``wake.runs``.
    """
    busy, marks, runs = wake.busy_eights, wake.marks_eights, wake.runs
    first_neuron, last_neuron = int(wake.first_neuron), int(wake.last_neuron)
    # With one slot all input acts at once, and wakes as if its neurons had been active.
    marking = marks.shape[0] > 1
    n_runs = 0
    end = -1
    group = 8 * 8 * BLOCK
    for at in range(first_neuron // group, (last_neuron + group - 1) // group):
        # Most of a large network sleeps: eight words are looked at together.
        any_awake = 0
        for word in range(8 * at, 8 * at + 8):
            any_awake |= int(busy[word])
            if marking:
                any_awake |= int(marks[slot, word])
        if any_awake == 0:
            continue
        for word in range(8 * at, 8 * at + 8):
            awake = int(busy[word])
            if marking:
                awake |= int(marks[slot, word])
                marks[slot, word] = 0
            for k in range(8 if awake else 0):
                if (awake >> (8 * k)) & 255:
                    block = 8 * word + k
                    if block != end:
                        runs[n_runs, 0] = max(block * BLOCK, first_neuron)
                        n_runs += 1
                    end = block + 1
                    runs[n_runs - 1, 1] = min(end * BLOCK, last_neuron)
    return n_runs


@inlined
def bytes_set(word: int) -> int:
    """Count the bytes of eight that are 1, where the others are 0."""
    return ((word * _EACH_BYTE) >> 56) & 255


@inner
def collect(
    n_runs: int,
    flags: Array,
    eights: Array,
    wake: Wake,
    places: Places,
    costs: CoreCosts,
    handed: Array,
    counters: Counters,
    fired: Fired,
    n_fired: int,
    spent_ps: Array,
    tally: Array,
) -> int:
    """List who fired, note who was active, and add up what that takes each core.

    Parameters
    ----------
    flags : uint8 [n]
        What each neuron did; ``eights`` the same as int64, eight neurons each.
    n_fired : int
        Spikes listed so far.
    spent_ps : int64 [n_cores]
        Time of each core, so far as if all of its neurons were inactive.
    tally : int64 [5]
        Gets the active neurons and the overflows of all cores, as `emulator.kernels.TALLIED` says.

    Returns
    -------
    int
        Spikes listed now.
    """
    runs, busy = wake.runs, wake.busy
    core_start, block_core, rest_ps = places.core_start, places.block_core, places.rest_ps
    active_total, times, repeats = counters.active, counters.times, counters.repeats
    overflows = counters.overflows
    out_neuron, out_payload, out_ps = fired.neuron, fired.payload, fired.sent_ps
    active_ps = int(costs.neuron_active) - int(costs.neuron_inactive)
    inactive_ps, spike_ps = int(costs.neuron_inactive), int(costs.spike)
    repeated_ps, once_ps = costs.repeated_ps, costs.once_ps
    for run in range(n_runs):
        n, last = int(runs[run, 0]), int(runs[run, 1])
        block = n // BLOCK
        core = int(block_core[block])
        n_active = 0
        while n < last:
            while core_start[core + 1] <= n:
                core += 1
            core_end = int(core_start[core + 1])
            stop = min(core_end, last, (block + 1) * BLOCK)
            # What the costs of this core's neurons are above those of inactive ones.
            extra = int(spent_ps[core]) - int(rest_ps[core])
            on_core = 0
            passed = int(rest_ps[core]) - (core_end - 1 - n) * inactive_ps
            while n < stop:
                # Eight neurons at once, byte k for neuron n + k; fewer at the ends of a core.
                count = min(stop - n, 8 - (n & 7))
                if count == 8:
                    word = int(eights[n >> 3])
                else:
                    word = 0
                    for k in range(count):
                        word |= int(flags[n + k]) << (8 * k)
                active = (word >> 1) & _EACH_BYTE
                # Only those that fired are gone through: branches that ask each neuron would be
                # guessed wrong.
                spiking = word & _EACH_BYTE
                while spiking != 0:
                    lone = spiking & -spiking
                    spiking ^= lone
                    k = bytes_set((lone - 1) & _EACH_BYTE)
                    at = n + k
                    spikes = 1
                    if SIGNED and (word >> (8 * k)) & BELOW:
                        spikes = -1
                    if MANY:
                        spikes = int(handed[at])
                        handed[at] = 0
                        repeats[at] += abs(spikes)
                    if MANY or SIGNED:
                        out_payload[n_fired] = spikes
                    times[at] += 1
                    extra += spike_ps
                    if repeated_ps.size:
                        extra += abs(spikes) * int(repeated_ps[at]) + int(once_ps[at])
                    out_neuron[n_fired] = at
                    so_far = bytes_set(active & (2 * lone - 1)) * active_ps
                    out_ps[n_fired] = passed + k * inactive_ps + extra + so_far
                    n_fired += 1
                if word & _ANY_SPILLED:
                    for k in range(8):
                        for variable in range(5):
                            if (word >> (8 * k)) & (_SPILLED_FIRST << variable):
                                overflows[min(variable, MEMBRANE), core] += 1
                                tally[1 + min(variable, MEMBRANE)] += 1
                on_word = bytes_set(active)
                on_core += on_word
                extra += on_word * active_ps
                passed += count * inactive_ps
                n += count
            spent_ps[core] = int(rest_ps[core]) + extra
            active_total[core] += on_core
            tally[0] += on_core
            n_active += on_core
            if n == last or n == (block + 1) * BLOCK:
                busy[block] = 1 if SLEEPLESS or n_active else 0
                n_active = 0
                block += 1
    return n_fired
