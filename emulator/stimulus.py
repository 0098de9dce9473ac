"""What comes in: input spikes and changes of constant currents, for one sample."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

_LARGEST = 2**31


def _none() -> Array:
    return np.empty(0, np.int64)


@dataclass(frozen=True, kw_only=True, eq=False)
class Stimulus:
    """Events of one sample, in order of ticks.

    Attributes
    ----------
    spike_tick, spike_channel, spike_payload : int64 [n_spikes]
        Channels as `Program` numbers them; a payload of 2 counts as two spikes, or as a factor
        where a row says so. Negative factors are for such rows alone.
    current_tick, current_neuron, current_value : int64 [n_changes]
        From that tick on the neuron's bias is raised by the value, until the next change.
        Neurons as `Program` numbers them; integer membrane units.
    """

    spike_tick: Array = field(default_factory=_none)
    spike_channel: Array = field(default_factory=_none)
    spike_payload: Array = field(default_factory=_none)
    current_tick: Array = field(default_factory=_none)
    current_neuron: Array = field(default_factory=_none)
    current_value: Array = field(default_factory=_none)

    def __post_init__(self) -> None:
        for first, *others in (
            ("spike_tick", "spike_channel", "spike_payload"),
            ("current_tick", "current_neuron", "current_value"),
        ):
            ticks = np.asarray(getattr(self, first), np.int64)
            if ticks.size and (ticks[0] < 0 or np.any(np.diff(ticks) < 0)):
                raise ValueError(f"{first} must ascend from 0")
            for name in (first, *others):
                column = np.ascontiguousarray(getattr(self, name), dtype=np.int64)
                if column.shape != ticks.shape:
                    raise ValueError(f"{name} has {column.size} entries, {first} has {ticks.size}")
                object.__setattr__(self, name, column)
        for name, column in (
            ("spike_payload", self.spike_payload),
            ("current_value", self.current_value),
        ):
            if column.size and not -_LARGEST < column.min() <= column.max() < _LARGEST:
                raise ValueError(
                    f"{name} must lie within ±{_LARGEST - 1:,}, but spans "
                    f"{column.min():,}..{column.max():,}"
                )

    @property
    def largest_payload(self) -> int:
        """Most that one channel sends in one tick, all its spikes together; at least 1."""
        if not self.spike_payload.size:
            return 1
        which = self.spike_tick * (int(self.spike_channel.max()) + 1) + self.spike_channel
        if np.all(np.diff(which) > 0):
            return max(int(np.abs(self.spike_payload).max()), 1)
        _, event = np.unique(which, return_inverse=True)
        return max(int(np.bincount(event, weights=np.abs(self.spike_payload)).max()), 1)

    def since(self, tick: int) -> "Stimulus":
        """What comes in from a tick on."""
        if tick <= 0:
            return self
        spikes = slice(int(np.searchsorted(self.spike_tick, tick)), None)
        currents = slice(int(np.searchsorted(self.current_tick, tick)), None)
        return Stimulus(
            spike_tick=self.spike_tick[spikes],
            spike_channel=self.spike_channel[spikes],
            spike_payload=self.spike_payload[spikes],
            current_tick=self.current_tick[currents],
            current_neuron=self.current_neuron[currents],
            current_value=self.current_value[currents],
        )

    def check(self, n_channels: int, n_neurons: int) -> None:
        """Check every number before compiled code reads it.

        Raises
        ------
        ValueError
            If a channel or neuron is not there.
        """
        for name, column, stop in (
            ("channel", self.spike_channel, n_channels),
            ("neuron", self.current_neuron, n_neurons),
        ):
            if column.size and not 0 <= column.min() <= column.max() < stop:
                raise ValueError(
                    f"the stimulus names {name} {column.min()}..{column.max()}, but the program "
                    f"has {stop}"
                )
