"""Where neurons lie on the chip, as far as a trace tells."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from traces.trace import Trace

Array = NDArray[Any]

MOST_NAMED = 3
"""Populations that a core's name lists."""


class Machine(NamedTuple):
    """Cores and what lies on them.

    Attributes
    ----------
    labels : mapping of place to str
        What each core is called: ``core 5: hidden[0:512]``.
    core_of : mapping of population to int64 [n]
        Place of the core of each neuron; empty without the program.
    inputs : mapping of name to int
        Channels of each input; empty without the program.
    """

    labels: dict[int, str]
    core_of: dict[str, Array]
    inputs: dict[str, int]


def machine_of(trace: Trace) -> Machine:
    """Read the attached program, or, where there is none, how many neurons each core holds."""
    if "program" not in trace.attachments():
        return Machine(_counted(trace), {}, {})
    header, arrays = trace.attached("program")
    names = [str(part["name"]) for part in header["populations"]]
    sizes = [int(np.prod(part["shape"], dtype=np.int64)) for part in header["populations"]]
    starts, places = arrays["core_start"], arrays["core"]
    owner, index = arrays["population"], arrays["index"]
    core = np.repeat(places, np.diff(starts)).astype(np.int64)
    core_of = {}
    for number, name in enumerate(names):
        mine = owner == number
        core_of[name] = np.zeros(sizes[number], np.int64)
        core_of[name][index[mine]] = core[mine]
    labels = {}
    for place, first, last in zip(places, starts[:-1], starts[1:], strict=True):
        held = _held(names, owner[first:last], index[first:last])
        labels[int(place)] = f"core {place}: {held}" if held else f"core {place}"
    return Machine(labels, core_of, {str(name): int(size) for name, size in header["inputs"]})


def _counted(trace: Trace) -> dict[int, str]:
    cores = trace.cores()
    if not cores:
        return {}
    pairs = zip(cores["place"].tolist(), cores["neurons"].tolist(), strict=True)
    return {place: f"core {place}: {neurons:,} neurons" for place, neurons in pairs}


def _held(names: list[str], owner: Array, index: Array) -> str:
    """Say which neurons a core holds, as slices where they lie side by side."""
    said = []
    for number in np.unique(owner):
        mine = index[owner == number]
        first, last = int(mine.min()), int(mine.max()) + 1
        dense = last - first == mine.size
        said.append(
            f"{names[number]}[{first}:{last}]" if dense else f"{names[number]} ({mine.size:,})"
        )
    rest = f" and {len(said) - MOST_NAMED} more" if len(said) > MOST_NAMED else ""
    return ", ".join(said[:MOST_NAMED]) + rest
