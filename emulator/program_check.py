"""What can be wrong with a program, looked at before compiled code reads it.

Compiled code does not check its indices: whatever it may read must be known to be there.
"""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from emulator.chip import Chip
from emulator.neuron import AS_REPEAT, KINDS, PAYLOADS, REPEAT, RESETS, STAY, SUBTRACT, TO_ZERO

if TYPE_CHECKING:
    from emulator.program import Program

Array = NDArray[Any]

_PIECE = 1 << 20
"""Synapses that are looked at together; bounds the memory that a check takes."""
_COLUMNS = (
    "population", "index", "compartments", "keep_current", "keep_membrane", "bias", "threshold",
    "initial_current", "initial_membrane", "sum_shift", "reset", "core_start", "source_row",
    "row_weight", "row_target", "row_size", "row_core", "row_dense", "row_packet", "row_shift",
    "row_delay", "row_group", "row_payload", "row_kind",
)  # fmt: skip
_OPTIONAL = (
    "reset_to", "membrane_min", "membrane_max", "refractory", "reset_every", "reset_phase",
    "lower", "lower_to", "lower_reset", "spikes_max", "alias", "row_axon", "channel_core",
)  # fmt: skip


_OF_MEMBRANE = ("reset_to", "membrane_min", "membrane_max", "lower", "lower_to")
"""What the membrane is compared with or set to: in float only where it is."""


def problems_of(program: "Program", chip: Chip) -> list[str]:
    """List every contradiction in a program, and what the machine cannot hold of it."""
    if not chip.runs:
        return [f"nothing runs on {chip.name}: {chip.why}"]
    # Each look relies on what the one before found in order.
    return (
        _broken_indices(program)
        or [*_outside_registers(program, chip), *_misplaced(program, chip)]
        or _rules_broken(program, chip)
        or (_not_crossbars(program, chip) if chip.core == "crossbar" else [])
    )


def _broken_indices(program: "Program") -> list[str]:
    n, n_rows = program.n_neurons, program.row_size.size
    problems = []
    for name in (*_COLUMNS, *_OPTIONAL):
        size = getattr(program, name).shape[-1]
        want = _wanted_size(name, program, n, n_rows)
        if size != want and not (name in _OPTIONAL and size == 0):
            problems.append(f"{name} has {size} entries, but needs {want}")
    if program.initial_current.shape != program.keep_current.shape:
        problems.append(
            f"initial_current is {program.initial_current.shape}, but keep_current "
            f"{program.keep_current.shape}"
        )
    if problems:
        return problems
    for name, stop in (("core_start", n), ("source_row", n_rows)):
        offsets = getattr(program, name)
        if offsets[0] != 0 or offsets[-1] != stop or np.any(np.diff(offsets) < 0):
            problems.append(f"{name} must ascend from 0 to {stop}")
    if n_rows and not problems:
        problems += _broken_rows(program)
    return [*problems, *_broken_owners(program)]


def _broken_owners(program: "Program") -> list[str]:
    """Check that the neurons of each population are all there, once."""
    if program.population.size and not (
        0 <= program.population.min() <= program.population.max() < len(program.populations)
    ):
        return [
            f"a neuron is of population {program.population.max()}, but there are "
            f"{len(program.populations)}"
        ]
    problems = []
    for number, part in enumerate(program.populations):
        index = program.index[program.population == number]
        if index.size and not 0 <= index.min() <= index.max() < part.size:
            problems.append(
                f"{part.name!r}: neurons {index.min()}..{index.max()} are loaded, but it has "
                f"{part.size}"
            )
            continue
        times = np.bincount(index, minlength=part.size)
        if np.any(times > 1):
            problems.append(
                f"{np.count_nonzero(times > 1)} neurons of {part.name!r} are loaded more than once"
            )
        if np.any(times == 0):
            problems.append(f"{np.count_nonzero(times == 0)} neurons of {part.name!r} are missing")
    return problems


def _wanted_size(name: str, program: "Program", n: int, n_rows: int) -> int:
    if name == "core_start":
        return program.n_cores + 1
    if name == "source_row":
        return n + program.n_channels + 1
    if name == "channel_core":
        return program.n_channels
    return n_rows if name.startswith("row_") else n


def _broken_rows(program: "Program") -> list[str]:
    size, core = program.row_size.astype(np.int64), program.row_core
    if core.min() < 0 or core.max() >= program.n_cores or size.min() < 0:
        return ["row_core or row_size lies outside the cores in use"]
    start, stop = program.core_start[core], program.core_start[core + 1]
    problems = []
    if program.row_weight.min() < 0 or (program.row_weight + size).max() > program.weight.size:
        problems.append("a row reads weights beyond the end of the synapse memory")
    dense, first = program.row_dense, program.row_target
    if np.any(dense & ((first < start) | (first + size > stop))):
        problems.append("a dense row reaches neurons of another core")
    listed = np.flatnonzero(~dense)
    if np.any((first[listed] < 0) | (first[listed] + size[listed] > program.target.size)):
        problems.append("a sparse row reads targets beyond the end of the list")
    elif _any_astray(program, listed):
        problems.append("a sparse row reaches a neuron that its core does not hold")
    return problems


def _any_astray(program: "Program", rows: Array) -> bool:
    """Whether a target of some sparse rows lies beyond its core; looked at piece by piece."""
    ends = np.cumsum(program.row_size[rows], dtype=np.int64)
    n_pieces = int(ends[-1] // _PIECE) + 1 if rows.size else 0
    cuts = np.searchsorted(ends, np.arange(1, n_pieces) * _PIECE) + 1
    for piece in np.split(rows, cuts):
        size, core = program.row_size[piece].astype(np.int64), program.row_core[piece]
        width = np.repeat((program.core_start[core + 1] - program.core_start[core]), size)
        step = np.repeat(program.row_target[piece] - (np.cumsum(size) - size), size)
        if np.any(program.target[step + np.arange(step.size)] >= width):
            return True
    return False


def _outside_registers(program: "Program", chip: Chip) -> list[str]:
    numbers, rules = chip.numbers, chip.arithmetic
    limits: list[tuple[str, float, float]] = [
        ("row_delay", 0, chip.row_delay_max),
        ("sum_shift", -32, 32),
        ("row_shift", 0, 32),
        ("reset", 0, len(RESETS) - 1),
        ("row_payload", 0, len(PAYLOADS) - 1),
        ("row_kind", 0, len(KINDS) - 1),
        (
            "row_group",
            0,
            (program.n_currents if rules.accumulate == "each" else program.n_sums) - 1,
        ),
        ("refractory", 0, 2**16),
        ("spikes_max", 0, numbers.spikes_per_tick_max),
        ("alias", -1, program.n_neurons - 1),
        ("row_axon", 0, program.row_size.size),
        ("channel_core", -1, program.n_cores - 1),
    ]
    for register in ("current", "membrane"):
        if "decays" in rules.float_variables:
            most = 1.0
        elif getattr(rules, f"{register}_decay") == "shift":
            most = 62
        else:
            most = 2**numbers.decay_bits
        limits.append((f"keep_{register}", 0, most))
        if getattr(rules, f"{register}_overflow") != "none":
            edge = 2 ** (getattr(numbers, f"{register}_bits") - 1)
            limits.append((f"initial_{register}", -edge, edge))
    problems = []
    for name, low, high in limits:
        values = getattr(program, name)
        n_bad = int(np.count_nonzero(~((values >= low) & (values <= high))))
        if n_bad:
            problems.append(
                f"{n_bad} of {values.size} values of {name} are outside {low}..{high} "
                f"({values.min()}..{values.max()})"
            )
    return problems


def _misplaced(program: "Program", chip: Chip) -> list[str]:
    problems = []
    if np.any((program.core < 0) | (program.core >= chip.n_cores)):
        problems.append(f"a core number is outside the {chip.n_cores} cores of {chip.name}")
    else:
        problems += _on_faults(program, chip)
    if np.unique(program.core).size != program.core.size:
        problems.append("two cores lie on the same place")
    return problems


def _on_faults(program: "Program", chip: Chip) -> list[str]:
    """Find cores in use that are dead or reserved."""
    taken = program.core[~np.isin(program.core, chip.usable)]
    if not taken.size:
        return []
    first = int(np.flatnonzero(program.core == taken[0])[0])
    neurons = program.core_start[first + 1] - program.core_start[first]
    return [
        f"{taken.size} of {program.n_cores} cores in use are dead or reserved on {chip.name}, the "
        f"first is core {taken[0]} with {neurons} neurons; map the network again"
    ]


def _not_crossbars(program: "Program", chip: Chip) -> list[str]:
    """Find what crossbar cores cannot hold."""
    problems = []
    most = chip.limits.neurons_per_core.value
    held = np.diff(program.core_start)
    if np.any(held > most):
        problems.append(
            f"core {program.core[held.argmax()]} holds {held.max()} neurons, but a crossbar of "
            f"{chip.name} has {most}"
        )
    if program.row_size.size and not program.row_axon.size:
        problems.append("the program has no row_axon, but spikes reach a crossbar on its axons")
    several = np.count_nonzero(np.diff(program.source_row)[: program.n_neurons] > 1)
    if several:
        problems.append(
            f"{several} neurons send to several places, but a neuron of a crossbar has one "
            "destination"
        )
    return problems


def _rules_broken(program: "Program", chip: Chip) -> list[str]:
    """Find what a program needs of a chip that has other rules."""
    rules = chip.arithmetic
    problems = []
    for column, missing, what in (
        ("refractory", rules.refractory == "none", "arithmetic.refractory is none"),
        ("lower", rules.lower_threshold == "none", "arithmetic.lower_threshold is none"),
        ("row_axon", rules.axons != "binary", "arithmetic.axons is counting"),
    ):
        if getattr(program, column).size and missing:
            problems.append(f"the program has {column}, but {chip.name}'s {what}")
    if program.lower.size != program.lower_to.size:
        problems.append("lower and lower_to must both be given or both be empty")
    if program.lower_reset.size and not program.lower.size:
        problems.append("lower_reset is given, but lower is empty")
    if not np.all(np.isin(program.lower_reset, (TO_ZERO, SUBTRACT, STAY))):
        problems.append("lower_reset must be zero, subtract or stay")
    if program.reset_every.size != program.reset_phase.size:
        problems.append("reset_every and reset_phase must both be given or both be empty")
    if program.membrane_min.size != program.membrane_max.size:
        problems.append("membrane_min and membrane_max must both be given or both be empty")
    repeats = program.reset == REPEAT
    if np.any(repeats) and not program.spikes_max.size:
        problems.append("neurons with reset subtract-repeat need spikes_max")
    if np.any(repeats) and program.lower.size:
        problems.append(
            "neurons with reset subtract-repeat beside lower thresholds: a neuron that fires "
            "several times a tick has no spike of the other sign; leave lower out"
        )
    used = [RESETS[code] for code in np.unique(program.reset) if 0 < code < len(RESETS)]
    unknown = [name for name in used if name not in rules.resets]
    if unknown:
        problems.append(
            f"resets {', '.join(unknown)}, but {chip.name} has {', '.join(sorted(rules.resets))}"
        )
    if program.n_currents > 1 and rules.accumulate != "each":
        problems.append(
            "several currents need a chip that adds spikes one by one (accumulate each)"
        )
    if program.alias.size and program.refractory.size:
        problems.append(
            "alias together with refractory: whether a neuron at rest passes on what it is handed "
            "is defined by no machine"
        )
    if program.alias.size:
        handed = np.flatnonzero(program.alias >= 0)
        core = program.neuron_core
        if np.any(core[handed] != core[program.alias[handed]]):
            problems.append("an alias hands spikes to a neuron of another core")
    if rules.lower_threshold == "spike" and program.lower.size:
        source = program.row_source
        if np.any((source < program.n_neurons) & (program.row_payload == AS_REPEAT)):
            problems.append(
                "spikes of sign -1 reach rows that repeat a spike; their row_payload must be value "
                "or presence"
            )
    for name, floats in (
        ("weight", "weights"), ("threshold", "thresholds"),
        *((name, "membrane") for name in _OF_MEMBRANE),
    ):  # fmt: skip
        if getattr(program, name).dtype.kind == "f" and floats not in rules.float_variables:
            problems.append(f"{name} is float, but {chip.name} has no float {floats}")
    return problems
