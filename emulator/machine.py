"""Put a machine together: the kernels for one chip's rules and one program's needs.

Every rule that a chip file names is looked up here in a table of `emulator.arithmetic` or
`emulator.neuron` and bound into copies of the kernels (`traces.jit.specialised`).
"""

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emulator import arithmetic, kernels, neuron
from emulator.chip import Chip
from emulator.program import Program
from traces.jit import specialised

Array = NDArray[Any]


def advance_of(
    program: Program, chip: Chip, *, strict: bool, compiled: bool = True
) -> Callable[..., Any]:
    """Return `kernels.advance` for a program on a chip.

    Parameters
    ----------
    strict : bool
        Whether the first value that leaves its register is kept for an error.
    compiled : bool
        Whether to compile; plain Python is slow, but ready at once.
    """
    return _built(tuple(sorted(_bound(program, chip, strict).items())), compiled)


@cache
def _built(bound: tuple[tuple[str, Any], ...], compiled: bool) -> Callable[..., Any]:
    templates = (
        neuron.current_step, neuron.membrane_step, neuron.fire,
        kernels.send, kernels.arrive, kernels.update_core, kernels.advance,
    )  # fmt: skip
    return specialised(templates, dict(bound), compiled=compiled)["advance"]  # type: ignore[no-any-return]


def _bound(program: Program, chip: Chip, strict: bool) -> dict[str, Any]:
    numbers, rules, floating = chip.numbers, chip.arithmetic, chip.arithmetic.float_variables
    each = rules.accumulate == "each"
    current_floats = "current" in floating
    membrane_floats = "membrane" in floating
    sums_float = program.weight.dtype.kind == "f"
    push_floats = current_floats or program.bias.dtype.kind == "f"
    noisy = "stochastic" in (rules.current_decay, rules.membrane_decay)
    return {
        "N_CURRENTS": program.n_currents,
        "EACH": each,
        "ORDER": neuron.ORDERS.index(rules.current_order),
        "FORM": neuron.FORMS.index(rules.membrane_form),
        "REFRACTORY": neuron.REFRACTORIES.index(rules.refractory if program.refractory.size else "none"),
        "LOWER": neuron.LOWERS.index(rules.lower_threshold if program.lower.size else "none"),
        "REPEATS": bool(np.any(program.reset == neuron.REPEAT)),
        "MANY": program.several_a_tick,
        "ALIAS": program.alias.size > 0,
        "PERIODIC": program.reset_every.size > 0,
        "LIMITS": program.membrane_min.size > 0,
        "SHOWN": rules.current_order == "add-use-decay",
        "HAS_RESET_TO": program.reset_to.size > 0,
        "HAS_LOWER": program.lower.size > 0,
        "HAS_LOWER_RESET": program.lower_reset.size > 0,
        "MIXED_PAYLOADS": bool(np.any(program.row_payload)),
        "GROUPS": program.n_sums > 1 or program.n_currents > 1,
        "BINARY_AXONS": program.row_axon.size > 0,
        "INPUT_MAX": numbers.input_payload_max,
        "INPUT_SHIFT": numbers.input_shift,
        "INPUT_BITS": numbers.input_bits,
        "CURRENT_BITS": numbers.current_bits,
        "DRIVE_BITS": numbers.drive_bits,
        "MEMBRANE_BITS": numbers.membrane_bits,
        "DECAY_BITS": numbers.decay_bits,
        "FRACTION_BITS": numbers.membrane_fraction_bits or 0,
        "as_weight": float if sums_float else int,
        "as_current": float if current_floats else int,
        "as_membrane": float if membrane_floats else int,
        "shift_sum": arithmetic.shift_float if sums_float else arithmetic.shift_integer,
        "into_current": _entering(sums_float, current_floats),
        "into_membrane": _entering(push_floats, membrane_floats),
        "fit_input": _fit(rules.input_overflow, sums_float),
        "fit_current": _fit(rules.current_overflow, current_floats),
        "fit_drive": _fit(rules.drive_overflow, push_floats),
        "fit_membrane": _fit(rules.membrane_overflow, membrane_floats),
        "decay_current": _decay(rules.current_decay, floating, current_floats),
        "decay_membrane": _decay(rules.membrane_decay, floating, membrane_floats),
        "cut_membrane": _cut(rules.membrane_decay, numbers.membrane_fraction_bits),
        "crosses": arithmetic.COMPARES[rules.compare],
        "noise": arithmetic.hashed if noisy else arithmetic.silent,
        "spill": kernels.alarming if strict else kernels.counting,
    }  # fmt: skip


def _entering(value_floats: bool, register_floats: bool) -> Any:
    """What happens on the way into a register."""
    if value_floats and not register_floats:
        return arithmetic.to_integer
    return arithmetic.unchanged


def _fit(rule: str, floats: bool) -> Any:
    """Float has no register to leave."""
    return arithmetic.unlimited if floats else arithmetic.OVERFLOWS[rule]


def _cut(rule: str, fraction_bits: int | None) -> Any:
    """Keep every bit of what the decay leaves, or so many behind the point."""
    return arithmetic.unlimited if fraction_bits is None else arithmetic.FRACTIONS[rule]


def _decay(rule: str, floating: tuple[str, ...], register_floats: bool) -> Any:
    factor_floats = "decays" in floating
    if register_floats:
        return arithmetic.keep_float if factor_floats else arithmetic.keep_in_float
    return arithmetic.keep_rounded_float if factor_floats else arithmetic.DECAYS[rule]
