"""One neuron, one tick: the integer step of which every published machine is a configuration.

Three functions of plain numbers, called in this order (`emulator.sweep.sweep`):

1. `current_step`: the current decays, takes in what arrived and is used, in one of three orders
   (`ORDERS`);
2. `membrane_step`: the membrane decays and takes in currents and bias, as one sum, one after the
   other, or as an increment that is limited by itself (`FORMS`); a neuron that rests after a spike holds, freezes
   or skips (`REFRACTORIES`);
3. `fire`: one spike or several, of one sign or two, and the reset.

The names in capitals and the functions that are not imported are bound by `emulator.machine` to
what a chip and a program ask for; the defaults here are those of the preset ``loihi``.
"""

from typing import Any, NamedTuple

from numpy.typing import NDArray

from emulator import arithmetic
from traces.jit import inlined, inner

Array = NDArray[Any]

NEVER, TO_ZERO, SUBTRACT, SUBTRACT_ONCE, REPEAT, STAY = range(6)
RESETS = ("none", "zero", "subtract", "subtract-once", "subtract-repeat", "stay")
"""Codes of `Program.reset`. ``none``: never spikes; ``subtract-repeat``: as often as the threshold
fits into the membrane, one spike each; ``stay``: spikes and keeps its membrane."""

PAYLOADS = ("repeat", "value", "presence")
AS_REPEAT, AS_VALUE, AS_PRESENCE = range(3)
"""What a row of synapses makes of a spike's number (`Program.row_payload`): so many spikes, one
spike that carries the number as a factor, or one spike whatever the number."""

KINDS = ("dense", "sparse", "convolution")
DENSE, SPARSE, CONVOLUTION = range(3)
"""Codes of `Program.row_kind`: synapses of a matrix, of a list, or of weights that places share."""

ORDERS = ("decay-add-use", "add-use-decay", "add-decay-use")
DECAY_ADD_USE, ADD_USE_DECAY, ADD_DECAY_USE = range(3)

FORMS = ("sum", "increment", "bias-first")
SUM, INCREMENT, BIAS_FIRST = range(3)

REFRACTORIES = ("none", "hold", "freeze", "skip")
ALERT, HOLD, FREEZE, SKIP = range(4)

LOWERS = ("none", "spike", "reset")
NO_LOWER, LOWER_SPIKE, LOWER_RESET = range(3)

VARIABLES = ("input", "current", "drive", "membrane")
"""What can leave its register, each counted by itself: what arrived in a tick, the synaptic
current, current plus bias, and the membrane."""
INPUT, CURRENT, DRIVE, MEMBRANE = range(4)

# Bound by `emulator.machine`; here only so that each name has a type and a meaning.
ORDER = DECAY_ADD_USE
FORM = SUM
REFRACTORY = ALERT
LOWER = NO_LOWER
REPEATS = ABOVE = False
CURRENT_BITS = DRIVE_BITS = MEMBRANE_BITS = 24
DECAY_BITS = 12
as_current: Any = int
as_drive: Any = int
as_membrane: Any = int
FRACTION_BITS = 0
into_membrane: Any = arithmetic.unchanged
fit_current: Any = arithmetic.wrap
fit_drive: Any = arithmetic.unlimited
fit_membrane: Any = arithmetic.saturate
decay_current: Any = arithmetic.keep_toward_zero
decay_membrane: Any = arithmetic.keep_toward_zero
cut_membrane: Any = arithmetic.unlimited
crosses: Any = arithmetic.above
wrap: Any = arithmetic.wrap


class Neurons(NamedTuple):
    """Constants of neurons; columns of rules that are off are empty.

    One entry for each neuron [n], or for each run of equal neurons [n_alike]; ``sum_shift`` is
    [n_sums, n], ``keep_current`` [n_currents, n]. Always [n]: ``bias``, ``alias``, ``identity``.
    """

    sum_shift: Array
    keep_current: Array
    keep_membrane: Array
    threshold: Array
    reset: Array
    reset_to: Array
    membrane_min: Array
    membrane_max: Array
    refractory: Array
    reset_every: Array
    reset_phase: Array
    lower: Array
    lower_to: Array
    lower_reset: Array
    spikes_max: Array
    restless: Array
    bias: Array
    alias: Array
    identity: Array


class State(NamedTuple):
    """What changes in a neuron; arrays [n], ``current`` [n_currents, n].

    ``push``: the bias and the current that is injected. ``shown`` is the current as it was used,
    where it decays after its use. ``above``: still over threshold after the last reset.
    ``resting``: ticks of rest that are left. ``handed``: spikes of this tick, those that an alias
    handed over included. Empty where no rule asks for them.
    """

    current: Array
    membrane: Array
    push: Array
    shown: Array
    above: Array
    resting: Array
    handed: Array


@inlined
def current_step(u: float, taken: float, keep: float, chance: int) -> tuple[float, float, float]:
    """Advance one synaptic current by a tick.

    Parameters
    ----------
    u, taken, keep
        Current, what arrived, and the decay's constant.
    chance : int
        For stochastic rounding.

    Returns
    -------
    (wanted, used, stored)
        Before and after the register took it; what is left for the next tick.
    """
    if ORDER == DECAY_ADD_USE:
        wanted = as_current(decay_current(u, keep, DECAY_BITS, chance) + taken)
    elif ORDER == ADD_DECAY_USE:
        wanted = as_current(decay_current(as_current(u + taken), keep, DECAY_BITS, chance))
    else:
        wanted = as_current(u + taken)
    used = as_current(fit_current(wanted, CURRENT_BITS))
    stored = used
    if ORDER == ADD_USE_DECAY:
        stored = as_current(decay_current(used, keep, DECAY_BITS, chance))
    return wanted, used, stored


@inlined
def membrane_step(
    v: float, drive: float, push: float, keep: float, chance: int, skips: bool
) -> tuple[float, float, float, float]:
    """Advance the membrane by a tick.

    Parameters
    ----------
    v, drive, push, keep
        Membrane, sum of currents, bias, and the decay's constant.
    skips : bool
        Whether it leaks only, being refractory.

    Returns
    -------
    (wanted_drive, driven, wanted, v)
        Current plus bias, and the membrane, each before and after its register took it.
    """
    kept = as_membrane(cut_membrane(decay_membrane(v, keep, DECAY_BITS, chance), FRACTION_BITS))
    wanted_drive = as_drive(drive + push)
    if FORM == SUM:
        driven = as_drive(fit_drive(wanted_drive, DRIVE_BITS))
        wanted = as_membrane(kept + into_membrane(driven))
        if REFRACTORY == SKIP and skips:
            wanted = kept
        return wanted_drive, driven, wanted, as_membrane(fit_membrane(wanted, MEMBRANE_BITS))
    if FORM == BIAS_FIRST:
        wanted = as_membrane(as_membrane(kept + into_membrane(push)) + into_membrane(drive))
        if REFRACTORY == SKIP and skips:
            wanted = kept
        v = as_membrane(fit_membrane(wanted, MEMBRANE_BITS))
        return wanted_drive, wanted_drive, wanted, v
    # The change is formed and limited by itself, first with the currents, then with the bias.
    change = as_membrane(wrap(as_membrane(kept - v), MEMBRANE_BITS) + into_membrane(drive))
    wanted = as_membrane(as_membrane(v + change) + push)
    limited = as_membrane(fit_membrane(change, MEMBRANE_BITS))
    change = as_membrane(fit_membrane(as_membrane(limited + push), MEMBRANE_BITS))
    v = as_membrane(fit_membrane(as_membrane(v + change), MEMBRANE_BITS))
    return wanted_drive, wanted_drive, wanted, v


@inlined
def fire(
    v: float,
    threshold: float,
    reset: int,
    above: bool,
    reset_to: float,
    lower: float,
    lower_to: float,
    lower_reset: int,
    given: int,
    most: int,
) -> tuple[int, float, bool]:
    """Compare with the thresholds and reset.

    Parameters
    ----------
    above : bool
        Still over the threshold after the last reset.
    lower_to, lower_reset
        Membrane after a reset to zero below the lower threshold, and which reset it is.
    given, most : int
        Spikes that an alias handed over before, and the most a tick can have.

    Returns
    -------
    (spikes, v, above)
    """
    if REPEATS and reset == REPEAT:
        return repeat(v, threshold, given, most)
    spikes = given
    compared = v
    if ABOVE and reset == SUBTRACT_ONCE and above:
        compared = v - threshold
    if crosses(compared, threshold):
        spikes = 1
        if reset == TO_ZERO:
            v = reset_to
        elif reset != STAY:
            v = v - threshold
    elif LOWER != NO_LOWER and v < lower:
        if LOWER == LOWER_SPIKE:
            spikes = -1
        if lower_reset == SUBTRACT:
            v = v - lower
        elif lower_reset != STAY:
            v = lower_to
    return spikes, v, crosses(v, threshold)


@inner
def repeat(v: float, threshold: float, given: int, most: int) -> tuple[int, float, bool]:
    """Fire as often as the threshold fits into the membrane."""
    spikes = given
    while spikes < most and crosses(v, threshold):
        v = v - threshold
        spikes += 1
    return spikes, v, False
