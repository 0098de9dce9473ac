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
from emulator.sweep import ACTIVE, BELOW, BLOCK, FIRED, SPILLED
from traces.jit import inner

Array = NDArray[Any]

# Bound by `emulator.machine`.
SLEEPLESS = MANY = SIGNED = False
PLAIN = True

_EACH_BYTE = 0x0101010101010101
_ONLY_ACTIVE = ACTIVE * _EACH_BYTE
_ALSO_FIRED = (ACTIVE | FIRED) * _EACH_BYTE
_SPILLED = sum(SPILLED)
_SPILLED_FIRST = SPILLED[0]


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
    """Picoseconds for each neuron of a core, and each one that fires.

    ``repeated_ps``, ``once_ps`` int64 [n_sources] or empty: what the packets of a source take the
    core that sends them, for each spike of a payload, and whatever the payload is.
    """

    neuron_active: int
    neuron_inactive: int
    spike: int
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
            while n < stop:
                count = min(stop - n, 8 - (n & 7))
                if count == 8:
                    word = int(eights[n >> 3])
                    if word | _ONLY_ACTIVE == _ONLY_ACTIVE:
                        active = (((word >> 1) & _EACH_BYTE) * _EACH_BYTE >> 56) & 255
                        on_core += active
                        extra += active * active_ps
                        n += 8
                        continue
                    if PLAIN and word | _ALSO_FIRED == _ALSO_FIRED and repeated_ps.size == 0:
                        # Who fires is hard to guess: eight without a branch are faster.
                        rest_of_core = int(rest_ps[core]) - (core_end - 1) * inactive_ps
                        for _ in range(8):
                            did = int(flags[n])
                            did_fire = did & FIRED
                            on_core += (did >> 1) & 1
                            extra += ((did >> 1) & 1) * active_ps + did_fire * spike_ps
                            out_neuron[n_fired] = n
                            out_ps[n_fired] = rest_of_core + n * inactive_ps + extra
                            times[n] += did_fire
                            n_fired += did_fire
                            n += 1
                        continue
                for _ in range(count):
                    did = int(flags[n])
                    if did & ACTIVE:
                        on_core += 1
                        extra += active_ps
                    if did & FIRED:
                        spikes = 1
                        if SIGNED and did & BELOW:
                            spikes = -1
                        if MANY:
                            spikes = int(handed[n])
                            handed[n] = 0
                            repeats[n] += abs(spikes)
                        if MANY or SIGNED:
                            out_payload[n_fired] = spikes
                        times[n] += 1
                        extra += spike_ps
                        if repeated_ps.size:
                            extra += abs(spikes) * int(repeated_ps[n]) + int(once_ps[n])
                        out_neuron[n_fired] = n
                        passed = int(rest_ps[core]) - (core_end - 1 - n) * inactive_ps
                        out_ps[n_fired] = passed + extra
                        n_fired += 1
                    if did & _SPILLED:
                        for variable in range(5):
                            if did & (_SPILLED_FIRST << variable):
                                overflows[min(variable, MEMBRANE), core] += 1
                    n += 1
            spent_ps[core] = int(rest_ps[core]) + extra
            active_total[core] += on_core
            n_active += on_core
            if n == last or n == (block + 1) * BLOCK:
                busy[block] = 1 if SLEEPLESS or n_active else 0
                n_active = 0
                block += 1
    return n_fired
