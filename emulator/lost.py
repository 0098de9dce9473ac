"""Packets that a failing link loses: what they would have delivered never acts."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emulator import neuron
from emulator.loading import Loaded
from emulator.traffic import Activity, first_rows

Array = NDArray[Any]


def take_back(
    lost: Sequence[tuple[int, int]], activity: Activity, tick: int, loaded: Loaded, sums: Array
) -> None:
    """Undo what packets of a tick would have delivered.

    Parameters
    ----------
    lost : sequence of (packet, core in use)
        Packets as `emulator.traffic.Packets` numbers them, each once for each time it was lost.
    tick : int
        The tick that they were sent in, the last that has run.
    sums : array [n_slots, n_sums, n]
        As `emulator.delivery.Pending` has them.
    """
    program, n = loaded.program, loaded.program.n_neurons
    row_start = np.append(np.flatnonzero(first_rows(program)), program.row_size.size)
    sources = np.concatenate([activity.spike_neuron, n + activity.input_channel])
    payloads = np.concatenate([activity.spike_payload, activity.input_payload])
    payload_of = dict(zip(sources.tolist(), payloads.tolist(), strict=True))
    for packet, _ in lost:
        first, last = int(row_start[packet]), int(row_start[packet + 1])
        source = int(np.searchsorted(program.source_row, first, "right")) - 1
        latency = 1 if source < n else loaded.chip.arithmetic.input_latency
        for row in range(first, last):
            _take_back_row(row, tick + latency, payload_of[source], loaded, sums)


def _take_back_row(row: int, tick: int, payload: int, loaded: Loaded, sums: Array) -> None:
    program = loaded.program
    size, at = int(program.row_size[row]), int(program.row_target[row])
    targets = at + np.arange(size)
    if not program.row_dense[row]:
        start = int(program.core_start[program.row_core[row]])
        targets = start + program.target[at : at + size].astype(np.int64)
    # Of a payload that is so many packets, one is lost.
    times = payload if program.row_payload[row] == neuron.AS_VALUE else 1
    first = int(program.row_weight[row])
    weights = program.weight[first : first + size].astype(sums.dtype)
    acts = tick + int(program.row_delay[row])
    slot = sums[acts % len(sums), int(program.row_group[row])]
    np.subtract.at(slot, targets, weights * (times << int(program.row_shift[row])))
