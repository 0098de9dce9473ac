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
    payload : bool
        Whether each spike carries a number, an int32.

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
    def size(self) -> int:
        """Number of neurons."""
        return prod(self.shape)
