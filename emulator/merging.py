"""Spikes that merge on binary axons, from who fired alone: what fabrics without queues leave out."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from emulator.chip import Chip
from emulator.happened import Happened
from emulator.neuron import AS_REPEAT
from emulator.program import Program

Array = NDArray[Any]


class Merging:
    """Follow a sample's axons tick by tick; see `emulator.delivery.deliver` for the rule.

    Several spikes that act on one axon in one tick are one: the first that is delivered.
    """

    def __init__(self, program: Program, chip: Chip) -> None:
        self._program = program
        self._latency = chip.arithmetic.input_latency
        self.begin()

    def begin(self) -> None:
        """Begin a sample."""
        self._tick = 0
        self._hit = np.empty(0, np.int64)

    def __call__(self, happened: Happened) -> Array:
        """Count the synaptic events that do not happen, by tick and core; int64 [n_ticks, n_cores].

        Parameters
        ----------
        happened : Happened
            The ticks that come next.
        """
        program = self._program
        merged = np.zeros((happened.n_ticks, program.n_cores), np.int64)
        tick, source, payload, arrives = self._delivered(happened)
        n_rows = np.diff(program.source_row)[source]
        event = np.repeat(np.arange(source.size), n_rows)
        step = np.arange(event.size) - np.repeat(np.cumsum(n_rows) - n_rows, n_rows)
        row = program.source_row[source][event] + step
        n_axons = int(program.row_axon.max(initial=0)) + 1
        acts = self._tick + arrives[event] + program.row_delay[row]
        hit = acts * n_axons + program.row_axon[row]
        late = np.ones(hit.size, np.bool_)
        late[np.unique(hit, return_index=True)[1]] = False
        late |= np.isin(hit, self._hit)
        times = np.where(program.row_payload[row] == AS_REPEAT, payload[event], 1)
        lost = times * program.row_size[row]
        np.add.at(merged, (tick[event[late]], program.row_core[row[late]]), lost[late])
        self._tick += happened.n_ticks
        waiting = np.append(self._hit, hit)
        self._hit = np.unique(waiting[waiting >= self._tick * n_axons])
        return merged

    def _delivered(self, happened: Happened) -> tuple[Array, Array, Array, Array]:
        """Tick, source, payload and tick of delivery of all spikes, in order of delivery."""
        n = happened.spike_tick.size, happened.input_tick.size
        tick = np.append(happened.spike_tick, happened.input_tick)
        source = np.append(happened.spike_neuron, happened.input_channel + self._program.n_neurons)
        payload = np.append(happened.spike_payload, happened.input_payload)
        arrives = tick + np.repeat([1, self._latency], n)
        # What waits a tick, as neurons do, comes ahead of input that acts at once.
        second = np.repeat([self._latency == 1, self._latency == 0], n)
        order = np.lexsort((np.arange(tick.size), second, arrives))
        return tick[order], source[order], payload[order], arrives[order]
