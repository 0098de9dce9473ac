"""Whether 32 bits hold everything that a sample can do, so that registers may be that narrow.

The bound is static: widths of registers, the heaviest load of a core, the largest constants. What
is not provably inside takes 64 bits, with the same results.
"""

import numpy as np

from emulator import neuron
from emulator.chip import Chip
from emulator.program import Program

LARGEST = 2.0**28
"""Of a register or constant. No step adds up more than one input, of four times that, and three of
these."""
_SPLIT_BITS = 15
_PIECE = 1 << 20
_COLUMNS = ("weight", "bias", "threshold", "reset_to", "membrane_min", "membrane_max", "lower",
            "lower_to", "initial_current", "initial_membrane")  # fmt: skip


def heaviest_load(program: Program) -> float:
    """Bound of what one neuron can be sent in a tick if every source spikes once."""
    # A sparse row whose targets do not ascend may name one of them more than once.
    falls = np.zeros(program.target.size, np.int32)
    np.cumsum(program.target[1:] <= program.target[:-1], out=falls[1:])
    each_core = np.zeros(program.n_cores)
    for start in range(0, program.row_size.size, _PIECE):
        rows = slice(start, start + _PIECE)
        first, size = program.row_target[rows], program.row_size[rows].astype(np.int64)
        often = 2.0 ** program.row_shift[rows]
        listed = np.flatnonzero(~program.row_dense[rows] & (size > 0))
        again = falls[first[listed] + size[listed] - 1] > falls[first[listed]]
        often[listed[again]] *= size[listed[again]]
        each_core += np.bincount(program.row_core[rows], often, minlength=program.n_cores)
    return float(_largest(program.weight) * each_core.max(initial=0))


def largest_burst(program: Program) -> int:
    """Most spikes that one neuron can fire in a tick."""
    return int(program.spikes_max.max(initial=1)) if program.several_a_tick else 1


def narrow_limits(program: Program, chip: Chip) -> tuple[float, float]:
    """Up to which input all registers may be 32 bits wide.

    Returns
    -------
    (load, injected)
        Largest sum of weights that one neuron may be sent in a tick, and largest current that may
        be injected; below 0 where nothing fits.
    """
    numbers, rules = chip.numbers, chip.arithmetic
    registers = ("current", "membrane")
    if (
        rules.float_variables
        or rules.accumulate == "each"
        or program.several_a_tick
        or "stochastic" in (rules.current_decay, rules.membrane_decay)
        or "wrap-once" in (rules.input_overflow, rules.drive_overflow)
        or any(getattr(rules, f"{name}_overflow") == "none" for name in registers)
        or any(getattr(program, name).dtype.kind == "f" for name in _COLUMNS)
        or numbers.decay_bits > _SPLIT_BITS
    ):
        return -1, -1
    edges = {name: 2.0 ** (getattr(numbers, f"{name}_bits") - 1) for name in registers}
    limits = [*edges.values(), *(_largest(getattr(program, name)) for name in _COLUMNS)]
    for name in ("input", "drive"):
        if getattr(rules, f"{name}_overflow") != "none":
            limits.append(2.0 ** (getattr(numbers, f"{name}_bits") - 1))
    if max(limits) > LARGEST:
        return -1, -1
    # Corrected once, a value is back in its register only if it was not far outside.
    arrives, pushed = 4 * LARGEST, LARGEST
    if rules.current_overflow == "wrap-once":
        arrives = edges["current"]
    if rules.membrane_overflow == "wrap-once":
        pushed = edges["membrane"] - edges["current"] - max(limits[2:])
    shift = max(int(program.sum_shift.max(initial=0)), 0) + numbers.input_shift
    return arrives / 2.0**shift, pushed - _largest(program.bias)


def _largest(values: neuron.Array) -> float:
    return max(float(values.max(initial=0)), -float(values.min(initial=0)))
