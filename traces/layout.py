"""What every trace has: names, versions and the description of a recorded population."""

from dataclasses import dataclass
from math import prod

MAGIC = "spikefab-trace"
LAYOUT_VERSION = 1


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
    """

    name: str
    shape: tuple[int, ...]
    lag: int
    output: bool
    spiking: bool

    @property
    def size(self) -> int:
        """Number of neurons."""
        return prod(self.shape)
