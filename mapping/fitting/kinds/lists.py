"""Cores that hold a list of synapses for each axon (Loihi, Loihi 2, Xylo)."""

from emulator.chip import Chip
from mapping.fitting.kinds.count import Count
from mapping.needs import Needs
from mapping.outline import Outline
from mapping.partition import partition


def count_lists(outline: Outline, chip: Chip) -> Count:
    """Cut a network into cores, and add up what they hold."""
    cores, violations = partition(outline, chip)
    needs = Needs.of(outline, chip)
    copies = needs.copies(cores, needs.sizes)
    used = [needs.need(slices, copies) for slices in cores]
    if chip.shared is not None:
        taken, there = 8 * sum(need.shared for need in used), 8 * chip.shared.memory_bytes.value
    else:
        assert chip.packing is not None  # as `Chip` sees to
        taken = sum(need.words for need in used) * chip.packing.word_bits
        there = chip.limit("synapse_words_per_core") * chip.packing.word_bits
    return Count(
        cores=len(cores),
        memory_bits=taken,
        memory_bits_there=there * chip.usable.size,
        violations=violations,
    )
