"""What goes into a network for one sample, before any chip: spikes, or analog values held."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mapping.network import Network

Array = NDArray[Any]


@dataclass(frozen=True, kw_only=True, eq=False)
class Drive:
    """Input of one sample.

    Attributes
    ----------
    n_ticks : int
        Ticks in which input is applied.
    spikes : mapping of input name to int array [n_ticks, n_channels]
        Spikes of each channel at each tick.
    currents : mapping of input name to float array [n_ticks, n_channels] or [n_channels]
        Analog values; without a tick axis they hold for all input ticks.
    """

    n_ticks: int
    spikes: Mapping[str, Array] = field(default_factory=dict)
    currents: Mapping[str, Array] = field(default_factory=dict)

    def check(self, network: Network) -> None:
        """Compare with a network's inputs.

        Raises
        ------
        ValueError
            If an input is missing, unknown, given twice or of the wrong width, or not finite.
        """
        if self.n_ticks < 1:
            raise ValueError(f"input must last at least one tick, but n_ticks is {self.n_ticks}")
        known = {part.name: part for part in network.inputs}
        given = [*self.spikes, *self.currents]
        for name in sorted(known):
            if given.count(name) != 1:
                raise ValueError(f"input {name!r} is given {given.count(name)} times; give it once")
        for name, values in (*self.spikes.items(), *self.currents.items()):
            if name not in known:
                raise ValueError(f"there is no input {name!r}; there are {sorted(known)}")
            size = known[name].size
            if values.shape[-1:] != (size,):
                raise ValueError(
                    f"input {name!r} has {size} channels {known[name].shape}, but the data "
                    f"{values.shape[-1] if values.ndim else 0}"
                )
            held = name in self.currents and values.ndim == 1
            if not held and values.shape[:-1] != (self.n_ticks,):
                raise ValueError(
                    f"input {name!r}: the data has shape {values.shape}, but {self.n_ticks} ticks "
                    f"of {size} channels are needed"
                )
            if not np.all(np.isfinite(values)):
                raise ValueError(f"input {name!r} holds NaN or infinite values")
            if name in self.spikes and np.any(values < 0):
                raise ValueError(f"input {name!r} holds negative numbers of spikes")
