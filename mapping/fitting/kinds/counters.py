"""One way of counting for each kind of core."""

from collections.abc import Callable

from emulator.chip import Chip
from mapping.fitting.kinds.count import Count
from mapping.fitting.kinds.crossbar import count_crossbars
from mapping.fitting.kinds.layers import count_layers
from mapping.fitting.kinds.lists import count_lists
from mapping.fitting.kinds.processors import count_processors
from mapping.outline import Outline

COUNTERS: dict[str, Callable[[Outline, Chip], Count]] = {
    "lists": count_lists,
    "crossbar": count_crossbars,
    "layers": count_layers,
    "processors": count_processors,
}
"""For each value of a chip's ``core``."""


def count(outline: Outline, chip: Chip) -> Count:
    """Count what a network takes of a chip, whatever its kind of core."""
    return COUNTERS[chip.core](outline, chip)
