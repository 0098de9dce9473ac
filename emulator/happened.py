"""What happened in some ticks, as function knows it: who fired, and what came in."""

from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

Array = NDArray[Any]


@dataclass(frozen=True, kw_only=True, eq=False)
class Happened:
    """Spikes of some consecutive ticks of one sample.

    Attributes
    ----------
    n_ticks : int
    spike_tick, spike_neuron, spike_payload : int64 [n_spikes]
        Ticks from 0; by ascending neuron within a tick.
    input_tick, input_channel, input_payload : int64 [n_inputs]
        In the order in which the machine took them, payloads as far as the chip takes them.
    """

    n_ticks: int
    spike_tick: Array
    spike_neuron: Array
    spike_payload: Array
    input_tick: Array
    input_channel: Array
    input_payload: Array
