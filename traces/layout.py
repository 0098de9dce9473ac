"""What every trace has: names, versions and the description of a recorded population."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import NamedTuple

MAGIC = "spikefab-trace"
LAYOUT_VERSION = 2


class TableLayout(NamedTuple):
    """Columns of a table of events with their types, and the columns by which it is sorted."""

    types: Mapping[str, str]
    sorted_by: tuple[str, ...]


TABLES = {
    "packets": TableLayout(
        {
            "timestamps": "u8", "source_kind": "u2", "source": "u4", "core": "i4", "hops": "u2",
            "left_ps": "i8", "arrived_ps": "i8", "done_ps": "i8",
        },
        ("timestamps", "left_ps", "source"),
    ),
    "triggers": TableLayout(
        {"timestamps": "u8", "kind": "u1", "population": "i4", "neuron": "i8"},
        ("timestamps", "kind", "population", "neuron"),
    ),
}  # fmt: skip
"""Tables that are there where they were asked for, in groups of these names."""


@dataclass(frozen=True, kw_only=True)
class RecordedPopulation:
    """A population in a trace.

    Attributes
    ----------
    name : str
    shape : tuple of int
    lag : int
        Ticks by which it trails the input; 0 in instant timing.
    output, spiking : bool
    payload : bool
        Whether each spike carries a number, an int32.
    sent_ps : bool
        Whether the time is kept at which each spike left its neuron, ps into its tick.

    Raises
    ------
    ValueError
        If the name cannot be that of a group in the file, or the shape or the lag is negative.
    """

    name: str
    shape: tuple[int, ...]
    lag: int
    output: bool
    spiking: bool
    payload: bool = False
    sent_ps: bool = False

    def __post_init__(self) -> None:
        if "/" in self.name or self.name in ("", ".", ".."):
            raise ValueError(
                f"population {self.name!r}: the name becomes that of a group in the file, so it "
                f"must not be empty, a dot, or hold a slash; rename it"
            )
        if self.lag < 0 or any(n < 0 for n in self.shape):
            raise ValueError(
                f"population {self.name!r}: shape {self.shape} and lag {self.lag} must not be "
                f"negative"
            )

    @property
    def columns(self) -> dict[str, str]:
        """Columns of its spikes, with their types."""
        extra = {"payload": "i4"} if self.payload else {}
        times = {"sent_ps": "i8"} if self.sent_ps else {}
        return {"timestamps": "u8", "node_ids": "u4"} | extra | times

    @property
    def size(self) -> int:
        """Number of neurons."""
        return prod(self.shape)
