"""What one population takes of a chip, whatever its kind of core."""

from dataclasses import dataclass

from mapping.linear import Shape


@dataclass(frozen=True, kw_only=True)
class LayerUse:
    """One population on the cores.

    Attributes
    ----------
    population : str
    shape : tuple of int
    neurons, synapses : int
        Synapses that are stored for it.
    cores : int
        Cores that hold some of it, or would; 0 where none can.
    most : int
        Neurons of it on the core that holds most of them.
    words : int or None
        Synapse memory of all its cores; None where it is not counted in words of one size.
    bits : int
        What it takes of the chip's memory.
    closed : str or None
        The limit that ended most of its cores; None where it lies on one.
    arithmetic : str
        How a core of it is counted, in one line.
    """

    population: str
    shape: Shape
    neurons: int
    synapses: int
    cores: int
    most: int
    words: int | None
    bits: int
    closed: str | None
    arithmetic: str
