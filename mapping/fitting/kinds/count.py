"""What counting a network for a chip tells."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from mapping.fitting.layer_use import LayerUse
from mapping.violations import Violation


@dataclass(frozen=True, kw_only=True)
class Count:
    """What a network takes of a chip.

    Attributes
    ----------
    cores : int
        As far as counting came; those of populations that fit nowhere are left out.
    memory_bits, memory_bits_there : int
        For what the network's connections and neurons are stored in, and what the chip has of it.
    violations : tuple of Violation
        Empty where the network fits.
    layers : tuple of LayerUse
        What each population takes, in the outline's order of populations; none where cores are
        judged one by one (`mapping.fitting.judging`).
    placed : dict of str to tuple of int
        Cores of each population, where the kind of core decides on them.
    notes : tuple of str
        What was assumed, and what the chip would do differently.
    """

    cores: int
    memory_bits: int
    memory_bits_there: int
    violations: tuple[Violation, ...]
    layers: tuple[LayerUse, ...] = ()
    placed: dict[str, tuple[int, ...]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def runs_that_fit(n: int, most: int, fits: Callable[[int, int], bool]) -> list[NDArray[np.int64]]:
    """Cut ``n`` neurons in their order into the longest runs that fit, one neuron at least.

    Parameters
    ----------
    most : int
        Neurons of a run.
    fits : function of first and end
        Whether a run fits; a part of one that fits must fit.
    """
    runs, first, length = [], 0, most
    while first < n:
        low, high = 1, min(most, n - first) + 1
        near = [length, length + 1]  # neighbouring runs are alike
        while high - low > 1:
            probe = near.pop(0) if near else (low + high) // 2
            if low < probe < high:
                low, high = (probe, high) if fits(first, first + probe) else (low, probe)
        runs.append(np.arange(first, first + low))
        first, length = first + low, low
    return runs
