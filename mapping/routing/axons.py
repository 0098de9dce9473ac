"""Axon tables of chips whose packets name core and axon.

Out-axons of each source, and in-axons of each core.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emulator.chip import Chip
from emulator.noc.of_chip import noc_of
from emulator.noc.topology import Noc
from emulator.program import Program
from emulator.traffic import first_rows

Array = NDArray[Any]


@dataclass(frozen=True, kw_only=True, eq=False)
class Axons:
    """Where each source sends its packets, and what they meet there.

    Attributes
    ----------
    noc : Noc
        The chip's network; ``there`` int64 [n_cores] is the place in it of each core in use.
    core : int64 [n_cores]
        Number on the chip of each core in use.
    source_core : int64 [n_sources]
        Index of the core that each source sends from; -1 from outside.
    out_first : int64 [n_sources + 1]
        Source s has the out-axons ``out_first[s]:out_first[s + 1]``.
    out_core, out_axon : int64 [n_out_axons]
        Index of the core that each goes to, and the number of its in-axon there.
    in_first : int64 [n_cores + 1]
        Core c has the in-axons ``in_first[c]:in_first[c + 1]``, numbered from 0.
    row_first, row_last : int64 [n_in_axons]
        Rows of the program that each sets off.
    shared : bool
        Whether several out-axons may go to one in-axon, as binary axons allow.
    """

    noc: Noc
    there: Array
    core: Array
    source_core: Array
    out_first: Array
    out_core: Array
    out_axon: Array
    in_first: Array
    row_first: Array
    row_last: Array
    shared: bool


def axons_of(program: Program, chip: Chip) -> Axons:
    """Read the axon tables off a program.

    In-axons are numbered by source; where axons are binary, as the program says.
    """
    noc, there = noc_of(chip, program.core)
    begins = first_rows(program)
    row = np.flatnonzero(begins)
    last = np.append(row[1:], begins.size)
    source, core = program.row_source[row], program.row_core[row].astype(np.int64)
    shared = program.row_axon.size > 0
    number = program.row_axon[row] if shared else np.zeros(row.size, np.int64)
    order = np.lexsort((row, number, core))
    new = np.ones(row.size, np.bool_)
    if shared:
        new[1:] = (np.diff(core[order]) != 0) | (np.diff(number[order]) != 0)
    in_core = core[order][new]
    in_first = np.searchsorted(in_core, np.arange(program.n_cores + 1))
    axon = np.empty(row.size, np.int64)
    axon[order] = np.cumsum(new) - 1 - in_first[core[order]]
    return Axons(
        noc=noc, there=there, core=program.core.astype(np.int64), source_core=program.source_core,
        out_first=np.searchsorted(source, np.arange(program.source_row.size)), out_core=core,
        out_axon=axon, in_first=in_first, row_first=row[order][new], row_last=last[order][new],
        shared=shared,
    )  # fmt: skip
