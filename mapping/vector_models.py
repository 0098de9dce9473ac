"""Each published model's file turned into a program: its weight rules, constants and columns.

The preset of the same configuration runs it. Nothing is quantised.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from emulator.chip import Chip
from emulator.chip_file import load_chip
from mapping.nengo_rule import Block, discretise
from mapping.vector_case import Case, Vector, VectorError
from mapping.vector_program import Building
from mapping.weight_rules import Signs, loaded, mantissas, signs_of, step_bits

Array = NDArray[Any]

_NENGO_DT_S = 1e-3
"""Tick of all vectors of nengo-loihi."""


def _lava(case: Case) -> Vector:
    """Lava 0.10, fixed point: the sum of a projection is shifted, once for each delay."""
    chip = load_chip("loihi-lava")
    numbers = chip.numbers
    build = Building(case, chip)
    for name, given in case.populations.items():
        n = case.size(name)
        model = str(given["model"])
        if model not in ("LIF", "LIFReset", "TernaryLIF"):
            raise VectorError(f"{case.path}: population {name!r} of model {model} is not known")
        bias, bias_exponent = (np.broadcast_to(given[k], n) for k in ("bias_mant", "bias_exp"))
        ternary = model == "TernaryLIF"
        every = int(given.get("reset_interval", 0))
        build.add(
            name,
            **_keeps(given["du"], given["dv"], chip),
            bias=[int(m) << int(e) if e >= 0 else int(m) >> -int(e)
                  for m, e in zip(bias, bias_exponent, strict=True)],
            threshold=np.left_shift(given["vth_hi" if ternary else "vth"], numbers.threshold_shift),
            initial_current=given["u0"],
            initial_membrane=given["v0"],
            lower=np.left_shift(given["vth_lo"], numbers.threshold_shift) if ternary else -(2**40),
            reset_every=every,
            # Steps count from 1, ticks from 0.
            reset_phase=(int(given.get("reset_offset", 0)) - 1) % every if every else 0,
        )  # fmt: skip
    for number, given in enumerate(case.projections):
        weights = np.asarray(given["weights"])
        signs = _signs(case, str(given["sign_mode"]), weights)
        mantissa = mantissas(
            weights,
            bits=int(given["num_weight_bits"]),
            signs=signs,
            rounding=chip.arithmetic.weight_rounding,
            weight_range=chip.arithmetic.weight_range,
        )
        build.expect_weights(number, mantissa, given)
        weight, exponent = loaded(
            mantissa,
            step_bits=step_bits(int(given["num_weight_bits"]), signs),
            exponent=int(given["weight_exp"]),
            chip=chip,
        )
        build.connect(
            number,
            weight,
            exponent=exponent,
            payload="presence" if int(given["num_message_bits"]) == 0 else "value",
        )
    return build.vector()


def _nengo(case: Case) -> Vector:
    """nengo-loihi 1.1, emulator; what was discretised by itself goes through our rule."""
    chip = load_chip("loihi-nengo")
    build = Building(case, chip)
    automatic = case.root.get("discretized_by") == "discretize_model"
    for name, given in case.populations.items():
        into = [k for k, p in enumerate(case.projections) if str(p["dst"]) == name]
        weights: list[tuple[Array, int]] = []
        if automatic:
            fixed = discretise(_block(case, name, into))
            given = given | {
                "decay_u": fixed.decay_u, "decay_v": fixed.decay_v, "bias": fixed.bias,
                "vth": fixed.threshold, "refract_delay": fixed.refractory,
                "vmin": fixed.membrane_min, "vmax": fixed.membrane_max,
            }  # fmt: skip
            weights = [(weight, 0) for weight in fixed.weights]
        else:
            weights = [_nengo_weights(case.projections[k], chip) for k in into]
        build.add(
            name,
            **_keeps(given["decay_u"], given["decay_v"], chip),
            bias=given["bias"],
            threshold=given["vth"],
            membrane_min=given["vmin"],
            membrane_max=given["vmax"],
            refractory=given["refract_delay"],
        )
        for k, (weight, exponent) in zip(into, weights, strict=True):
            build.expect_weights(k, weight << chip.numbers.input_shift, case.projections[k])
            build.connect(k, weight, exponent=exponent)
    return build.vector()


def _block(case: Case, name: str, into: list[int]) -> Block:
    given = case.populations[name]
    n = case.size(name)
    return Block(
        current_leak=-math.expm1(-_NENGO_DT_S / float(given["tau_s"])),
        membrane_leak=-math.expm1(-_NENGO_DT_S / float(given.get("tau_rc", np.inf))),
        rest_ticks=int(np.rint(float(given["tau_ref"]) / _NENGO_DT_S)),
        bias=np.broadcast_to(np.asarray(given["bias_float"], np.float64), n),
        threshold=np.full(n, float(given["vth_float"])),
        voltage_min=float(given["min_voltage"]),
        voltage_max=np.inf,
        weights=tuple(np.asarray(case.projections[k]["weights"]) for k in into),
    )


def _nengo_weights(given: Mapping[str, Any], chip: Chip) -> tuple[Array, int]:
    bits, lowest = int(given["num_weight_bits"]), int(given["shift_bits"])
    whole = mantissas(
        np.asarray(given["weights"]),
        bits=bits,
        signs="mixed" if lowest == 8 - bits + 1 else "excitatory",
        rounding=chip.arithmetic.weight_rounding,
        weight_range=chip.arithmetic.weight_range,
    )
    return loaded(whole, step_bits=lowest, exponent=int(given["weight_exp"]), chip=chip)


def _brian(case: Case) -> Vector:
    """brian2-loihi 0.5: each weight is shifted and cut by itself."""
    chip = load_chip("loihi-brian2")
    numbers = chip.numbers
    build = Building(case, chip)
    for name, given in case.populations.items():
        build.add(
            name,
            **_keeps(given["decay_I"], given["decay_v"], chip),
            threshold=np.left_shift(given["threshold_v_mant"], numbers.threshold_shift),
            initial_current=given.get("I0", 0),
            initial_membrane=given.get("v0", 0),
            refractory=given["refractory"],
        )
    modes = {1: "mixed", 2: "excitatory", 3: "inhibitory"}
    for number, given in enumerate(case.projections):
        weights = np.asarray(given["weights"])
        mode = int(given["sign_mode"])
        signs = _signs(case, modes.get(mode, str(mode)), weights)
        mantissa = mantissas(
            weights,
            bits=int(given["num_weight_bits"]),
            signs=signs,
            rounding=chip.arithmetic.weight_rounding,
            weight_range=chip.arithmetic.weight_range,
        )
        weight, exponent = loaded(
            mantissa,
            step_bits=step_bits(int(given["num_weight_bits"]), signs),
            exponent=int(given["w_exp"]),
            chip=chip,
        )
        weight = np.where(np.asarray(given["mask"]) != 0, weight, 0)
        build.expect_weights(number, weight << numbers.input_shift, given)
        build.connect(number, weight, exponent=exponent)
    return build.vector()


def _xylo(case: Case) -> Vector:
    """XyloSim 0.1.3; every synapse of a neuron has a current of its own."""
    chip = load_chip(f"xylo-v{int(case.root['layer_version'])}")
    build = Building(case, chip)
    n_currents = max(np.asarray(p["dash_syns"]).shape[1] for p in case.populations.values())
    for name, given in case.populations.items():
        n = case.size(name)
        dashes = np.zeros((n_currents, n), np.int64)
        own = np.asarray(given["dash_syns"]).T
        dashes[: len(own)] = own
        biased = bool(given.get("has_bias", 0))
        build.add(
            name,
            keep_current=dashes,
            keep_membrane=given["dash_mem"],
            threshold=given["threshold"],
            bias=given["bias"] if biased else 0,
            # What is read out fires once a tick at most.
            spikes_max=1 if name == "out" else chip.numbers.spikes_per_tick_max,
            alias=given.get("alias_target", -1),
            reset="subtract-repeat",
        )
    for number, given in enumerate(case.projections):
        shift = int(given["weight_shift"])
        for synapse, weight in enumerate(np.asarray(given["weights"], np.int64)):
            own, _ = loaded(weight.T, step_bits=0, exponent=shift, chip=chip)
            build.connect(number, own, group=synapse)
    return build.vector()


def _keeps(current: Any, membrane: Any, chip: Chip) -> dict[str, Any]:
    """Turn decay fields into what is kept of current and membrane."""
    numbers = chip.numbers
    whole = 2**numbers.decay_bits
    return {
        "keep_current": whole - numbers.current_decay_offset - np.asarray(current),
        "keep_membrane": whole - numbers.membrane_decay_offset - np.asarray(membrane),
    }


def _signs(case: Case, mode: str, weights: Array) -> Signs:
    """Sign mode of a list of weights, as the file names it.

    Raises
    ------
    VectorError
    """
    known: dict[str, Signs] = {s: s for s in get_args(Signs)}
    if mode == "auto":
        return signs_of(weights)
    if mode not in known:
        raise VectorError(
            f"{case.path}: sign mode {mode} is not known; known are auto, {', '.join(known)}"
        )
    return known[mode]


MODELS: dict[str, Callable[[Case], Vector]] = {
    "O1": _lava,
    "O2": _nengo,
    "O3": _brian,
    "O4": _xylo,
}
