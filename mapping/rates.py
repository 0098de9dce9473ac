"""How often neurons fire, as a recording has it, for plans that are made for real traffic."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mapping.outline import Outline
from traces.trace import Trace

Array = NDArray[Any]


def rates_of(trace: Trace, outline: Outline) -> dict[str, Array]:
    """Average spikes of each neuron and channel in a tick; float64 [n] by population or input.

    Raises
    ------
    ValueError
        If the trace is of another network, or nothing was recorded.
    """
    n_ticks = trace.samples * trace.ticks
    recorded = {p.name: p.size for p in trace.populations}
    found: dict[str, Array] = {}
    for part in outline.populations:
        if recorded.get(part.name) != part.size:
            has = f"{recorded[part.name]:,}" if part.name in recorded else "no such"
            raise ValueError(
                f"{trace.path}: the network has {part.size:,} neurons in {part.name!r}, the trace "
                f"{has}; it is of another network"
            )
        if not n_ticks:
            raise ValueError(f"{trace.path}: nothing was recorded, so there are no rates")
        found[part.name] = trace.counts(part.name).sum(axis=0) / n_ticks
    for name, size in outline.inputs.items():
        if name in trace.stimuli("spikes"):
            channels = trace.stimulus_spikes(name).neurons
            found[name] = np.bincount(channels, minlength=size)[:size] / n_ticks
    return found
