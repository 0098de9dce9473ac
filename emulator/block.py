"""What an engine reports: some ticks of one sample."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


@dataclass(frozen=True, kw_only=True, eq=False)
class Block:
    """What happened in some consecutive ticks of one sample.

    Attributes
    ----------
    sample, first_tick : int
        Ticks count from the start of the sample.
    tick_ps : int64 [n_ticks]
        Duration of each tick.
    spike_tick, spike_neuron, spike_payload : int64 [n_spikes]
        In order of ticks; neurons as `Program` numbers them; a payload is 1, -1 below a lower
        threshold, or the number of spikes where neurons fire several times a tick.
    frames : int64 or float64 [n_ticks, n_watched]
        Membranes of the watched neurons at the end of each tick.
    """

    sample: int
    first_tick: int
    tick_ps: Array
    spike_tick: Array
    spike_neuron: Array
    spike_payload: Array
    frames: Array

    def ticks(self) -> Iterator["Block"]:
        """Cut into blocks of one tick."""
        n_ticks = self.tick_ps.size
        start = np.searchsorted(self.spike_tick, self.first_tick + np.arange(n_ticks + 1))
        for k in range(n_ticks):
            mine = slice(start[k], start[k + 1])
            yield Block(
                sample=self.sample, first_tick=self.first_tick + k,
                tick_ps=self.tick_ps[k : k + 1], spike_tick=self.spike_tick[mine],
                spike_neuron=self.spike_neuron[mine], spike_payload=self.spike_payload[mine],
                frames=self.frames[k : k + 1],
            )  # fmt: skip
