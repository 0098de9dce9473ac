"""What goes into a network for one sample, before any chip: spikes, or analog values held."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mapping.network import Input, Network

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

    Raises
    ------
    ValueError
        If there is no tick, or values are no numbers, not finite, or no numbers of spikes.
    """

    n_ticks: int
    spikes: Mapping[str, Array] = field(default_factory=dict)
    currents: Mapping[str, Array] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.n_ticks < 1:
            raise ValueError(f"input must last at least one tick, but n_ticks is {self.n_ticks}")
        for group, refuse in (("spikes", _refuse_counts), ("currents", _refuse_values)):
            values = {name: _read_only(given) for name, given in getattr(self, group).items()}
            for name, array in values.items():
                refuse(name, array)
            object.__setattr__(self, group, values)

    def check(self, network: Network) -> None:
        """Compare with a network's inputs.

        Raises
        ------
        ValueError
            If an input is missing, unknown, given twice, or of the wrong width or length.
        """
        known = {part.name: part for part in network.inputs}
        given = [*self.spikes, *self.currents]
        for name in given:
            if name not in known:
                raise ValueError(f"there is no input {name!r}; there are {sorted(known)}")
        for name in known:
            if given.count(name) != 1:
                raise ValueError(f"input {name!r} is given {given.count(name)} times; give it once")
        for name, values in (*self.spikes.items(), *self.currents.items()):
            self._check_shape(known[name], values, held=name in self.currents and values.ndim == 1)

    def _check_shape(self, part: Input, values: Array, *, held: bool) -> None:
        width = values.shape[-1] if values.ndim else 0
        if width != part.size:
            raise ValueError(
                f"input {part.name!r} has {part.size} channels {part.shape}, but the data {width} "
                f"(its shape is {values.shape}); the last axis must hold all channels"
            )
        if not held and values.shape[:-1] != (self.n_ticks,):
            raise ValueError(
                f"input {part.name!r}: the data has shape {values.shape}, but {self.n_ticks} ticks "
                f"of {part.size} channels are needed"
            )


def _read_only(given: object) -> Array:
    """Look at the caller's array without copying it and without a way to change it."""
    seen: Array = np.asarray(given).view()
    seen.setflags(write=False)
    return seen


def _refuse_counts(name: str, counts: Array) -> None:
    if counts.dtype.kind not in "biu":
        raise ValueError(
            f"input {name!r}: numbers of spikes must be whole, but are {counts.dtype}; convert "
            f"them, or give analog values as currents"
        )
    if counts.dtype.kind == "i" and np.any(counts < 0):
        raise ValueError(
            f"input {name!r} holds negative numbers of spikes, the least is {counts.min()}"
        )


def _refuse_values(name: str, values: Array) -> None:
    if values.dtype.kind not in "biuf":
        raise ValueError(f"input {name!r}: currents must be numbers, but are {values.dtype}")
    bad = ~np.isfinite(values)
    if bad.any():
        first = tuple(int(k) for k in np.argwhere(bad)[0])
        raise ValueError(
            f"input {name!r}: {int(bad.sum())} of {values.size} values are NaN or infinite, the "
            f"first at {first if len(first) > 1 else first[0]}"
        )
