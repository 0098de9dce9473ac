"""Put a machine together: the kernels for one chip's rules and one program's needs.

Every rule that a chip file names is looked up here in a table of `emulator.arithmetic` or
`emulator.neuron` and bound into copies of the kernels (`traces.jit.specialised`).
"""

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emulator import activity, arithmetic, delivery, kernels, neuron, sweep
from emulator.chip import Chip
from emulator.loading import sleepless
from emulator.program import Program
from traces.intrinsics import fetch_nothing, prefetch
from traces.jit import COMPILES, specialised

Array = NDArray[Any]


def advance_of(
    program: Program,
    chip: Chip,
    *,
    strict: bool,
    narrow: bool = False,
    alike: bool = False,
    compiled: bool = True,
) -> Callable[..., Any]:
    """Return `kernels.advance` for a program on a chip.

    Parameters
    ----------
    strict : bool
        Whether the first value that leaves its register is kept for an error.
    narrow : bool
        Whether registers are 32 bits wide; only where `emulator.width` says that this is exact.
    alike : bool
        Whether constants are those of runs of equal neurons.
    compiled : bool
        Whether to compile; plain Python is slow, but ready at once.
    """
    bound = _bound(program, chip, strict)
    bound |= {"ALIKE": alike, "place": np.uint64 if compiled and COMPILES else int}
    bound["fetch"] = prefetch if compiled and COMPILES else fetch_nothing
    rules: tuple[Any, ...] = ()
    if narrow and compiled and COMPILES:
        rules = _rules_of(bound)
        bound |= {"whole": np.int32, "WIDEST_SHIFT": 31, "product": arithmetic.product_split}
        bound |= dict.fromkeys(("as_weight", "as_current", "as_drive", "as_membrane"), np.int32)
    return _built(tuple(sorted(bound.items())), rules, compiled)


@cache
def _built(
    bound: tuple[tuple[str, Any], ...], rules: tuple[Any, ...], compiled: bool
) -> Callable[..., Any]:
    templates = (
        *rules, neuron.current_step, neuron.membrane_step, neuron.repeat, neuron.fire, sweep.sweep,
        activity.awake_runs, activity.collect, delivery.add,
        delivery.deliver,
        delivery.arrive, delivery.arrive_in_order, kernels.count_up, kernels.take_input, kernels.keep_last,
        kernels.advance,
    )  # fmt: skip
    return specialised(templates, dict(bound), compiled=compiled)["advance"]  # type: ignore[no-any-return]


def _rules_of(bound: dict[str, Any]) -> tuple[Any, ...]:
    """Rules that a machine of narrow registers has copies of, callees first."""
    names = ("shift_sum", "fit_input", "fit_current", "fit_drive", "fit_membrane",
             "decay_current", "decay_membrane")  # fmt: skip
    found = [arithmetic.product_split, arithmetic.wrap, *(bound[name] for name in names)]
    return tuple(dict.fromkeys(found))


def _bound(program: Program, chip: Chip, strict: bool) -> dict[str, Any]:
    numbers, rules, floating = chip.numbers, chip.arithmetic, chip.arithmetic.float_variables
    each = rules.accumulate == "each"
    current_floats = "current" in floating
    membrane_floats = "membrane" in floating
    sums_float = program.weight.dtype.kind == "f"
    push_floats = current_floats or program.bias.dtype.kind == "f"
    noisy = "stochastic" in (rules.current_decay, rules.membrane_decay)
    lower = rules.lower_threshold if program.lower.size else "none"
    return {
        "N_CURRENTS": program.n_currents,
        "N_SUMS": program.n_sums,
        "EACH": each,
        "LATENCY": rules.input_latency,
        "STRICT": strict,
        "ORDER": neuron.ORDERS.index(rules.current_order),
        "FORM": neuron.FORMS.index(rules.membrane_form),
        "REFRACTORY": neuron.REFRACTORIES.index(rules.refractory if program.refractory.size else "none"),
        "LOWER": neuron.LOWERS.index(lower),
        "SIGNED": lower == "spike",
        "REPEATS": bool(np.any(program.reset == neuron.REPEAT)),
        "ABOVE": bool(np.any(program.reset == neuron.SUBTRACT_ONCE)),
        "MANY": program.several_a_tick,
        "ALIAS": program.alias.size > 0,
        "SLEEPLESS": sleepless(program, chip),
        "PERIODIC": program.reset_every.size > 0,
        "LIMITS": program.membrane_min.size > 0,
        "SHOWN": rules.current_order == "add-use-decay",
        "HAS_RESET_TO": program.reset_to.size > 0,
        "HAS_LOWER": program.lower.size > 0,
        "HAS_LOWER_RESET": program.lower_reset.size > 0,
        "MIXED_PAYLOADS": bool(np.any(program.row_payload)),
        "GROUPS": program.n_sums > 1 or program.n_currents > 1,
        "BINARY_AXONS": program.row_axon.size > 0,
        "INPUT_SHIFT": 2.0**numbers.input_shift if sums_float else numbers.input_shift,
        "INPUT_BITS": numbers.input_bits,
        "CURRENT_BITS": numbers.current_bits,
        "DRIVE_BITS": numbers.drive_bits,
        "MEMBRANE_BITS": numbers.membrane_bits,
        "DECAY_BITS": numbers.decay_bits,
        "FRACTION_BITS": numbers.membrane_fraction_bits or 0,
        "as_weight": float if sums_float else int,
        "as_current": float if current_floats else int,
        "as_drive": float if push_floats else int,
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
        "arrivals": delivery.arrive_in_order if each else delivery.arrive_never,
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
