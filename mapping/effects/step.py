"""One neuron, one tick, each register whole or in float: the machine of which every mix is one.

The compiled machine of `emulator` binds its rules when it is compiled, which is fast and takes
seconds for each set of rules; looking for a cause takes dozens of sets. Here rules are values, so
that one compiled function serves all of them. Integer decays are those of `emulator.arithmetic`.

A register that is whole holds a chip's integers; one in float holds the network's own units, so
that a network without any effect is computed as `mapping.reference` does. Between them values are
in network units; whoever enters a whole register is rounded to the nearest, halves to even.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from emulator import arithmetic
from emulator.neuron import (
    ADD_USE_DECAY,
    BIAS_FIRST,
    DECAY_ADD_USE,
    FREEZE,
    HOLD,
    INCREMENT,
    NEVER,
    REPEAT,
    SKIP,
    STAY,
    SUBTRACT_ONCE,
    TO_ZERO,
)
from mapping.effects.registers import (
    FLOAT,
    UNLIMITED,
    WRAP,
    Columns,
    Registers,
    Rules,
    crosses,
    cut,
    decayed,
    entered,
    fit,
    limited_current,
    limited_membrane,
)
from traces.jit import inlined, kernel

Array = NDArray[Any]


@kernel
def add_each(
    targets: Array, weights: Array, times: int, rules: Rules, registers: Registers
) -> None:
    """Add a source's weights to currents spike by spike, each fitted to its register."""
    current = registers.current
    for j in range(targets.size):
        n, weight = int(targets[j]), float(weights[j])
        if rules.current_scale > 0:
            weight = float(np.rint(weight * rules.current_scale))
        for _ in range(times):
            current[n] = limited_current(current[n] + weight, rules, registers.spilled)


@kernel
def decay_first(columns: Columns, rules: Rules, registers: Registers, tick: int, seed: int) -> None:
    """Let currents decay before spikes are added one by one to them."""
    current = registers.current
    for n in range(current.size):
        if rules.current_scale > 0:
            noise = 0
            if rules.noisy:
                noise = arithmetic.hashed(seed, tick, columns.identity[n], 0)
            current[n] = decayed(
                current[n], columns.keep_current[n], columns.whole_current[n], rules.current_decay,
                rules.current_decay_bits, noise,
            )  # fmt: skip
        else:
            current[n] = columns.keep_current[n] * current[n]


@inlined
def current_step(
    u: float, taken: float, n: int, columns: Columns, rules: Rules, spilled: Array, noise: int
) -> tuple[float, float]:
    """Advance a current; what is used, and what is left for the next tick."""
    order = rules.order
    if order != DECAY_ADD_USE:
        u = u + taken
    if order != ADD_USE_DECAY and not (rules.each and order == DECAY_ADD_USE):
        if rules.current_scale > 0:
            u = decayed(
                u, columns.keep_current[n], columns.whole_current[n], rules.current_decay,
                rules.current_decay_bits, noise,
            )  # fmt: skip
        else:
            u = columns.keep_current[n] * u
    if order == DECAY_ADD_USE:
        u = u + taken
    used = limited_current(u, rules, spilled)
    left = used
    if order == ADD_USE_DECAY:
        if rules.current_scale > 0:
            left = decayed(
                used, columns.keep_current[n], columns.whole_current[n], rules.current_decay,
                rules.current_decay_bits, noise,
            )  # fmt: skip
        else:
            left = columns.keep_current[n] * used
    return used, left


@inlined
def incremented(
    v: float, kept: float, drive: float, push: float, rules: Rules, spilled: Array
) -> float:
    """Advance a membrane by a change that is limited by itself (XyloSim's second version)."""
    scale, bits, rule = rules.membrane_scale, rules.membrane_bits, rules.membrane_fit
    ratio = rules.limit_scale / scale if scale > 0 else rules.limit_scale
    before, left = v * ratio, kept * ratio
    one, other = entered(drive, scale) * ratio, entered(push, scale) * ratio
    change = fit(left - before, WRAP, bits) + one
    wanted = before + change + other
    change = fit(fit(change, rule, bits) + other, rule, bits)
    found = fit(before + change, rule, bits)
    if found != wanted:
        spilled[3] += 1
    return float(np.rint(found / ratio)) if scale > 0 else found / ratio


@inlined
def membrane_step(
    v: float, drive: float, push: float, n: int, skips: bool, columns: Columns, rules: Rules,
    spilled: Array, noise: int,
) -> float:  # fmt: skip
    """Advance a membrane; ``drive`` and ``push`` in network units."""
    scale, both = rules.membrane_scale, drive + push
    if scale > 0:
        kept = decayed(
            v, columns.keep_membrane[n], columns.whole_membrane[n], rules.membrane_decay,
            rules.membrane_decay_bits, noise,
        )  # fmt: skip
    elif rules.membrane_decay == FLOAT and rules.fraction == 0:
        kept = v + columns.leak[n] * (0.0 - v)
    else:
        kept = cut(v * columns.keep_membrane[n], rules.fraction, rules.fraction_scale)
    if skips:
        return limited_membrane(kept, rules, spilled)
    if rules.form == INCREMENT:
        return incremented(v, kept, drive, push, rules, spilled)
    if rules.form == BIAS_FIRST:
        wanted = (kept + entered(push, scale)) + entered(drive, scale)
        return limited_membrane(wanted, rules, spilled)
    if rules.drive_fit != UNLIMITED:
        wanted = both * rules.limit_scale
        if rules.drive_whole:
            wanted = float(np.rint(wanted))
        driven = fit(wanted, rules.drive_fit, rules.drive_bits)
        if driven != wanted:
            spilled[2] += 1
            both = driven / rules.limit_scale
    return limited_membrane(kept + entered(both, scale), rules, spilled)


@inlined
def fire(v: float, threshold: float, above: bool, rules: Rules) -> tuple[int, float, bool]:
    """Compare and reset; spikes, membrane, whether it is still above."""
    scale = rules.membrane_scale
    unit = scale if scale > 0 else 1.0
    height = entered(threshold, scale)
    if rules.reset == REPEAT:
        spikes = 0
        while spikes < rules.most and crosses(v / unit, threshold, rules.reached):
            v = v - height
            spikes += 1
        return spikes, v, False
    compared = v - height if rules.reset == SUBTRACT_ONCE and above else v
    spikes = 0
    if crosses(compared / unit, threshold, rules.reached):
        spikes = 1
        if rules.reset == TO_ZERO:
            v = 0.0
        elif rules.reset != STAY:
            v = v - height
    return spikes, v, crosses(v / unit, threshold, rules.reached)


@kernel
def step(
    columns: Columns, rules: Rules, arrived: Array, push: Array, registers: Registers, tick: int,
    seed: int, fired: Array, times: Array,
) -> int:  # fmt: skip
    """Advance one population by a tick; list who fired and how often.

    Parameters
    ----------
    arrived, push : float64 [n]
        Sums of weights, and bias with the host's current, in network units. ``arrived`` is 0
        afterwards.
    """
    current, membrane, spilled = registers.current, registers.membrane, registers.spilled
    resting, n_fired = registers.resting, 0
    for n in range(membrane.size):
        came = arrived[n]
        arrived[n] = 0.0
        rests = resting[n] > 0
        if rests:
            resting[n] -= 1
        skips = rests and rules.refractory == SKIP
        if rules.input_fit != UNLIMITED and not rules.each and not skips:
            wanted = came * rules.limit_scale
            if rules.input_whole:
                wanted = float(np.rint(wanted))
            limited = fit(wanted, rules.input_fit, rules.input_bits)
            if limited != wanted:
                spilled[0] += 1
                came = limited / rules.limit_scale
        taken = 0.0 if skips else entered(came, rules.current_scale)
        noise_u = noise_v = 0
        if rules.noisy:
            noise_u = arithmetic.hashed(seed, tick, columns.identity[n], 0)
            noise_v = arithmetic.hashed(seed, tick, columns.identity[n], -1)
        used, current[n] = current_step(current[n], taken, n, columns, rules, spilled, noise_u)
        drive = used / rules.current_scale if rules.current_scale > 0 else used
        registers.used[n] = drive
        before = membrane[n]
        if rests and rules.refractory == FREEZE:
            v = before
        elif rests and rules.refractory == HOLD:
            v = 0.0
        else:
            v = membrane_step(before, drive, push[n], n, skips, columns, rules, spilled, noise_v)
        registers.reached[n] = v
        membrane[n] = v
        if rules.reset == NEVER or (rests and rules.refractory != HOLD):
            continue
        spikes, membrane[n], registers.above[n] = fire(
            v, columns.threshold[n], registers.above[n], rules
        )
        if spikes:
            fired[n_fired] = n
            times[n_fired] = spikes
            n_fired += 1
            resting[n] = columns.rest[n]
    return n_fired
