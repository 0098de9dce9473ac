"""Rows of a program as the runs of synapses that are delivered (`emulator.delivery`)."""

from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emulator.delivery import Synapses
from emulator.program import Program

Array = NDArray[Any]

_PIECE = 1 << 20
"""Rows that are looked at together; bounds the memory that this takes."""


def synapses_of(
    program: Program, first_core: int, last_core: int, target: Array | None, *, merge: bool
) -> Synapses:
    """List the runs of synapses onto the cores ``first_core:last_core``.

    Rows of a source become one run where their weights and targets follow each other, so nothing
    of the synapse memory is copied but targets, which then count from the first neuron of all.
    """
    runs, sources = [np.empty((0, 8), np.int64)], [np.empty(0, np.int32)]
    rows_before = program.source_row
    cuts = np.searchsorted(rows_before, np.arange(0, program.row_size.size, _PIECE), "left")
    for first, last in pairwise(np.unique([*cuts, rows_before.size - 1])):
        rows = np.arange(rows_before[first], rows_before[last])
        core = program.row_core[rows]
        kept = (core >= first_core) & (core < last_core)
        numbers = np.arange(first, last, dtype=np.int32)
        source = np.repeat(numbers, np.diff(rows_before[first : last + 1]))[kept]
        part, begins = _runs(program, rows[kept], source, target is not None, merge)
        runs.append(part)
        sources.append(source[begins])
    axon = program.row_axon
    if axon.size:
        axon = axon[(program.row_core >= first_core) & (program.row_core < last_core)]
    return Synapses(
        source_run=np.searchsorted(np.concatenate(sources), np.arange(rows_before.size)),
        runs=np.concatenate(runs),
        axon=axon,
        weight=program.weight,
        target=program.target if target is None else target,
        held=np.zeros(4, np.int64),
    )


def _runs(
    program: Program, rows: Array, source: Array, counts_globally: bool, merge: bool
) -> tuple[Array, Array]:
    """Join some rows, given with their sources, to runs.

    Returns
    -------
    (int64 [n_runs, 8], int64 [n_runs])
        The runs, and the row that each begins with.
    """
    dense, size = program.row_dense[rows], program.row_size[rows].astype(np.int64)
    weight, at, core = program.row_weight[rows], program.row_target[rows], program.row_core[rows]
    begins = np.ones(rows.size, np.bool_)
    if merge:
        begins[1:] = weight[1:] != weight[:-1] + size[:-1]
        begins[1:] |= at[1:] != at[:-1] + size[:-1]
        begins[1:] |= source[1:] != source[:-1]
        begins[1:] |= dense[1:] != dense[:-1]
        for name in ("row_delay", "row_shift", "row_group", "row_payload"):
            column = getattr(program, name)[rows]
            begins[1:] |= column[1:] != column[:-1]
        if not counts_globally:
            begins |= ~dense
    first = np.flatnonzero(begins)
    payload, group = program.row_payload, program.row_group
    assert payload is not None
    assert group is not None
    runs = np.empty((first.size, 8), np.int64)
    if first.size:
        base = 0 if counts_globally else program.core_start[core[first]]
        columns = (
            weight[first], at[first], np.add.reduceat(size, first),
            np.where(dense[first], -1, base), program.row_delay[rows[first]],
            program.row_shift[rows[first]],
            payload[rows[first]] + 4 * group[rows[first]].astype(np.int64),
            core[first],
        )  # fmt: skip
        for k, column in enumerate(columns):
            runs[:, k] = column
    return runs, first


def global_targets(program: Program) -> Array | None:
    """Targets counted from the first neuron of all; None where rows of several cores share them."""
    listed = np.flatnonzero(~program.row_dense & (program.row_size > 0))
    at, size = program.row_target[listed], program.row_size[listed]
    if np.any(np.diff(at) < 0):
        order = np.argsort(at, kind="stable")
        listed, at, size = listed[order], at[order], size[order]
    ends = at + size
    if at.size and (at[0] != 0 or ends[-1] != program.target.size or np.any(at[1:] != ends[:-1])):
        return None
    narrow = np.uint16 if program.n_neurons <= 1 << 16 else np.uint32
    base = program.core_start.astype(narrow)[program.row_core[listed]]
    target = np.repeat(base, size)
    target += program.target.astype(narrow, copy=False)
    return target
