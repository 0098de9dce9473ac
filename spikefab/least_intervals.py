"""How soon a neuron of a recorded run can fire again, for alarms about saturated ones."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from emulator.program import Program
from spikefab.embedded import Embedded
from traces.trace import Trace

Array = NDArray[Any]


def least_intervals(trace: Trace) -> dict[str, Array]:
    """Least ticks from one spike to the next, from the program that a trace carries.

    Goes into `traces.measures.Limits`.

    Returns
    -------
    dict of population name to int64 [n]
        Empty for traces that carry no program.

    Raises
    ------
    TraceFormatError
        If the program is damaged or another one than was run.
    """
    if "program" not in trace.attachments():
        return {}
    return intervals_of(Embedded(trace).program)


def intervals_of(program: Program) -> dict[str, Array]:
    """Least ticks from one spike to the next in each population; a rest counts from its spike on."""
    found = {}
    for number, population in enumerate(program.populations):
        found[population.name] = intervals = np.ones(int(np.prod(population.shape)), np.int64)
        if program.refractory.size:
            mine = program.population == number
            intervals[program.index[mine]] = np.maximum(program.refractory[mine], 1)
    return found
