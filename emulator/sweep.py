"""The neurons' part of a tick: update a range of them, then list who fired.

`sweep` has one loop without a branch that depends on a neuron, so that the compiler works on many
neurons at once where the rules allow it; rules that are off are not in the compiled code. What a
neuron did is one byte, and `collect` goes through those bytes eight at a time.

Names in capitals and functions that are not imported are bound by `emulator.machine`.
"""

from typing import Any, NamedTuple

from numpy.typing import NDArray

from emulator import arithmetic, neuron
from emulator.neuron import Neurons, State
from traces.jit import inlined, inner

Array = NDArray[Any]

BLOCK = 64
"""Neurons that fall asleep and wake up together."""

FIRED, ACTIVE, BELOW = 1, 2, 4
SPILLED = (8, 16, 32, 64, 128)
"""Bits of a neuron's byte. ``BELOW``: its spike is of sign -1. ``SPILLED``: a value of input,
current, drive or membrane left its register; the last one: the membrane did, at its reset."""
SPILLED_INPUT, SPILLED_CURRENT, SPILLED_DRIVE, SPILLED_MEMBRANE, SPILLED_RESET = SPILLED

# Bound by `emulator.machine`.
N_CURRENTS = N_SUMS = 1
ALIKE = STRICT = False
EACH = False
REFRACTORY = 0
LOWER = 0
MANY = ALIAS = SIGNED = ABOVE = False
PERIODIC = LIMITS = SHOWN = HAS_RESET_TO = HAS_LOWER = HAS_LOWER_RESET = False
INPUT_SHIFT: Any = 0
INPUT_BITS = CURRENT_BITS = MEMBRANE_BITS = 24
place: Any = int
as_weight: Any = int
as_current: Any = int
as_drive: Any = int
as_membrane: Any = int
shift_sum: Any = arithmetic.shift_integer
into_current: Any = arithmetic.unchanged
fit_input: Any = arithmetic.unlimited
fit_membrane: Any = arithmetic.saturate
noise: Any = arithmetic.silent
current_step: Any = neuron.current_step
membrane_step: Any = neuron.membrane_step
fire: Any = neuron.fire


class Pieces(NamedTuple):
    """Runs of neurons with the same constants, or all of them where constants differ (`ALIKE`).

    ``start`` int64 [n_pieces + 1]; ``of_block`` int64 [n_blocks]: piece of each block's first
    neuron. ``core`` int64 [n]: where spikes are added one by one; else empty.
    """

    start: Array
    of_block: Array
    core: Array


@inlined
def notice(alarm: Array, variable: int, n: int, tick: int, value: float, fits: bool) -> None:
    """Keep the first value that left its register for the error that a strict run ends with."""
    if not fits and alarm[0] < 0:
        alarm[0], alarm[1], alarm[2], alarm[3] = n, variable, tick, value


@inner
def sweep(
    n_runs: int,
    runs: Array,
    pieces: Pieces,
    tick: int,
    slot: int,
    seed: int,
    sums: Array,
    neurons: Neurons,
    state: State,
    flags: Array,
    overflows: Array,
    alarm: Array,
) -> None:
    """Update runs of neurons.

    Parameters
    ----------
    runs : int64 [n_runs, 2]
        First neuron, and the one after the last.
    slot : int
        Of ``sums`` [n_slots, n_sums, n], which is 0 for these neurons afterwards.
    flags : uint8 [n]
        What each did.
    overflows : int64 [4, n_cores]
        Counts currents that left their register, where spikes are added one by one.
    alarm : float64 [4]
        Neuron, variable, tick and value of the first of them, in a strict run.
    """
    # Taken out of their tuples once: within the loop each access would count references.
    current, membrane, push, shown, above, resting, handed = state
    keep_current, keep_membrane = neurons.keep_current, neurons.keep_membrane
    threshold, resets, sum_shift = neurons.threshold, neurons.reset, neurons.sum_shift
    reset_to, lower, lower_to = neurons.reset_to, neurons.lower, neurons.lower_to
    lower_reset = neurons.lower_reset
    least, most = neurons.membrane_min, neurons.membrane_max
    refractory, spikes_max, alias = neurons.refractory, neurons.spikes_max, neurons.alias
    reset_every, reset_phase = neurons.reset_every, neurons.reset_phase
    restless, identity = neurons.restless, neurons.identity
    piece_start, piece_of_block, core = pieces
    row = place(slot)
    for run in range(n_runs):
        start, stop = int(runs[run, 0]), int(runs[run, 1])
        piece = int(piece_of_block[start // BLOCK])
        while start < stop:
            first, last = start, min(int(piece_start[piece + 1]), stop)
            for number in range(first, last):
                n = place(number)
                # Constants of this neuron.
                c = place(piece if ALIKE else number)
                before = as_membrane(membrane[n])
                pushed = as_drive(push[n])
                rests = (before == 0) & (pushed == 0)
                if PERIODIC and reset_every[c] > 0 and tick % reset_every[c] == reset_phase[c]:
                    starts_over = True
                    before = as_membrane(0)
                else:
                    starts_over = False
                is_resting = False
                if REFRACTORY:
                    left = resting[n]
                    is_resting = left > 0
                    rests = rests & (left == 0)
                    left = left - (1 if is_resting else 0)
                given = 0
                if ALIAS:
                    given = int(handed[n])
                    rests = rests & (given == 0)
                arrived = as_weight(0)
                if not EACH:
                    for g in range(N_SUMS):
                        total = as_weight(sums[row, place(g), n])
                        sums[row, place(g), n] = 0
                        rests = rests & (total == 0)
                        arrived = as_weight(arrived + shift_sum(total, sum_shift[place(g), c]))
                    arrived = as_weight(shift_sum(arrived, INPUT_SHIFT))
                did = 0
                drive = as_current(0)
                for k in range(N_CURRENTS):
                    u = as_current(current[place(k), n])
                    rests = rests & (u == 0)
                    if PERIODIC and starts_over:
                        u = as_current(0)
                    taken = as_current(0)
                    if not EACH:
                        limited = as_weight(fit_input(arrived, INPUT_BITS))
                        taken = as_current(into_current(limited))
                        fits = limited == arrived
                        if REFRACTORY == neuron.SKIP and is_resting:
                            taken = as_current(0)
                            fits = True
                        did = did | (0 if fits else SPILLED_INPUT)
                        if STRICT:
                            notice(alarm, neuron.INPUT, number, tick, arrived, fits)
                    chance = noise(seed, tick, identity[n], k)
                    wanted_u, used, stored = current_step(
                        u, taken, keep_current[place(k), c], chance
                    )
                    if EACH and used != wanted_u:
                        overflows[neuron.CURRENT, core[number]] += 1
                    elif not EACH:
                        did = did | (0 if used == wanted_u else SPILLED_CURRENT)
                    if STRICT:
                        notice(alarm, neuron.CURRENT, number, tick, wanted_u, used == wanted_u)
                    current[place(k), n] = stored
                    if SHOWN:
                        shown[n] = used
                    drive = as_current(drive + used)
                chance = noise(seed, tick, identity[n], -1)
                wanted_drive, driven, wanted, v = membrane_step(
                    before, drive, pushed, keep_membrane[c], chance, is_resting
                )
                fits = (driven == wanted_drive) | is_resting
                did = did | (0 if fits else SPILLED_DRIVE)
                if STRICT:
                    notice(alarm, neuron.DRIVE, number, tick, wanted_drive, fits)
                fits = v == wanted
                if LIMITS:
                    # A limit that the program asks for is no overflow of the register.
                    v = as_membrane(min(max(v, least[c]), most[c]))
                if is_resting and REFRACTORY == neuron.FREEZE:
                    # What a resting neuron throws away has left no register.
                    v, fits = before, True
                if is_resting and REFRACTORY == neuron.HOLD:
                    v, fits = as_membrane(0), True
                did = did | (0 if fits else SPILLED_MEMBRANE)
                if STRICT:
                    notice(alarm, neuron.MEMBRANE, number, tick, wanted, fits)
                reset = int(resets[c])
                quiet = reset == neuron.NEVER
                if REFRACTORY == neuron.SKIP or REFRACTORY == neuron.FREEZE:
                    quiet = quiet | is_resting
                spikes, after, over = fire(
                    v, threshold[c], reset, above[n] if ABOVE else False,
                    as_membrane(reset_to[c] if HAS_RESET_TO else 0),
                    lower[c] if HAS_LOWER else 0,
                    as_membrane(lower_to[c] if HAS_LOWER else 0),
                    int(lower_reset[c]) if HAS_LOWER_RESET else neuron.TO_ZERO,
                    given, int(spikes_max[c]) if MANY else 1,
                )  # fmt: skip
                if LOWER == neuron.LOWER_RESET:
                    # A threshold of the other sign pushes the membrane further out when it is subtracted.
                    fitted = fit_membrane(after, MEMBRANE_BITS)
                    fits = (fitted == after) | quiet
                    did = did | (0 if fits else SPILLED_RESET)
                    if STRICT:
                        notice(alarm, neuron.MEMBRANE, number, tick, after, fits)
                    after = fitted
                membrane[n] = v if quiet else as_membrane(after)
                spikes = given if quiet else spikes
                if ABOVE:
                    above[n] = above[n] if quiet else over
                if REFRACTORY:
                    rest = max(int(refractory[c]) - 1, 0)
                    resting[n] = rest if (spikes != 0) & (not quiet) else left
                active = (not rests) | (restless[c] != 0)
                did = did | (FIRED if spikes != 0 else 0) | (ACTIVE if active else 0)
                if SIGNED:
                    did = did | (BELOW if spikes < 0 else 0)
                flags[n] = did
                if MANY:
                    handed[n] = spikes
                    # An alias may hand spikes to a neuron that is done; who fired is listed later.
                    if ALIAS and spikes != 0 and not quiet and alias[n] >= 0:
                        other = int(alias[n])
                        handed[other] = min(int(handed[other]) + spikes, int(spikes_max[c]))
                        flags[other] = int(flags[other]) | FIRED
            start = max(last, start)
            piece += 1
