"""State of a sample before its first tick: registers, what is on its way, who is awake."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from emulator import neuron
from emulator.activity import Wake
from emulator.delivery import Pending
from emulator.loading import Loaded
from emulator.neuron import State
from emulator.sweep import BLOCK

Array = NDArray[Any]


def fresh_state(loaded: Loaded, narrow: bool) -> State:
    """Registers of 32 or 64 bits, or float where the chip has them so; all 0."""
    program, chip = loaded.program, loaded.chip
    n, floats = program.n_neurons, chip.arithmetic.float_variables
    whole = np.int32 if narrow else np.int64
    current, membrane = (
        np.float64 if name in floats else whole for name in ("current", "membrane")
    )
    resets = program.reset == neuron.SUBTRACT_ONCE

    def where(wanted: Any, dtype: Any) -> Array:
        return np.zeros(n if wanted else 0, dtype)

    return State(
        current=np.zeros((program.n_currents, n), current),
        membrane=np.zeros(n, membrane),
        push=np.zeros(n, np.float64 if program.bias.dtype.kind == "f" else whole),
        shown=where(chip.arithmetic.current_order == "add-use-decay", current),
        above=where(np.any(resets), np.bool_),
        resting=where(program.refractory.size, np.int32),
        handed=where(program.several_a_tick, np.int64),
    )


def fresh_pending(loaded: Loaded, sums: type) -> Pending:
    """Sums of a type for every tick that input may be on its way; all 0."""
    program = loaded.program
    n_axons = int(program.row_axon.max(initial=-1)) + 1
    listed = program.n_neurons if loaded.chip.arithmetic.accumulate == "each" else 0
    return Pending(
        sums=np.zeros((loaded.n_slots, program.n_sums, program.n_neurons), sums),
        marks=np.zeros((loaded.n_slots, n_axons), np.bool_),
        last=np.zeros(listed, np.int64),
        last_payload=np.zeros(listed, np.int64),
        n_last=np.zeros(1, np.int64),
        rank=loaded.identity,
    )


def fresh_wake(loaded: Loaded, cores: tuple[int, int]) -> Wake:
    """Blocks of one thread, which has some of the cores; none is awake."""
    words = 8 * -(-loaded.program.n_neurons // (64 * BLOCK))
    busy, marks = np.zeros(words, np.int64), np.zeros((loaded.n_slots, words), np.int64)
    start = loaded.program.core_start
    return Wake(
        busy=busy.view(np.uint8), busy_eights=busy, marks=marks.view(np.uint8), marks_eights=marks,
        runs=np.zeros((8 * words, 2), np.int64),
        first_neuron=int(start[cores[0]]), last_neuron=int(start[cores[1]]),
    )  # fmt: skip
