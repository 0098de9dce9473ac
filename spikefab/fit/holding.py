"""What a chip can hold, of any network."""

from dataclasses import dataclass

import numpy as np

from emulator.chip import Chip
from emulator.chip_tables import Sourced
from mapping.packing import list_words


@dataclass(frozen=True, kw_only=True)
class Holding:
    """What a chip has room for; None where its cores have no such limit.

    Attributes
    ----------
    chip, core : str
        Name, and kind of core.
    cores, usable : int
        In all, and without dead and reserved ones.
    neurons, in_axons, out_axons : int or None
        Of each core.
    words, bits : int or None
        Synapse memory of each core; where neurons share it, and of a processor, all of it.
    dense_synapses : int or None
        Most synapses of 8 bits in a core's lists of full matrices, without delays.
    delay_max : int
        Ticks on top of the one that every spike takes (of a crossbar, that one included).
    weight_bits : int
    total_bits : int or None
        The same of all usable cores; of cores that hold a layer each, what is for kernels.
    """

    chip: str
    core: str
    cores: int
    usable: int
    neurons: int
    in_axons: int | None
    out_axons: int | None
    words: int | None
    bits: int | None
    dense_synapses: int | None
    delay_max: int
    weight_bits: int
    total_bits: int | None


def holding(chip: Chip) -> Holding:
    """List what a chip can hold."""
    limits, n = chip.limits, int(chip.usable.size)
    words = _value(limits.synapse_words_per_core)
    bits = None if words is None or chip.packing is None else words * chip.packing.word_bits
    total = None if bits is None else bits * n
    if chip.core == "crossbar":
        bits = limits.neurons_per_core.value * chip.limit("in_axons_per_core")
        total = bits * n
    elif chip.processors is not None:
        bits = 8 * chip.processors.memory_bytes.value
        total = bits * n
    elif chip.shared is not None:
        bits = 8 * chip.shared.memory_bytes.value
        total = bits * n
    elif chip.layers is not None:
        total = sum(chip.layers.kernel_words[core] for core in chip.usable) * chip.weight_bits
    return Holding(
        chip=chip.name, core=chip.core, cores=chip.n_cores, usable=n,
        neurons=limits.neurons_per_core.value, in_axons=_value(limits.in_axons_per_core),
        out_axons=_value(limits.out_axons_per_core),
        words=words, bits=bits, dense_synapses=_dense_synapses(chip, words),
        delay_max=limits.delay_max.value, weight_bits=chip.weight_bits,
        total_bits=total,
    )  # fmt: skip


def _value(limit: Sourced[int] | None) -> int | None:
    return None if limit is None else limit.value


def _dense_synapses(chip: Chip, words: int | None) -> int | None:
    """Most synapses of 8 bits that lists of up to as many as there are neurons have room for.

    The longest lists need the fewest headers; of those that are left over, shorter ones.
    """
    if words is None or chip.packing is None:
        return None
    lengths = np.arange(1, chip.limit("neurons_per_core") + 1)
    each = list_words(lengths, 8, chip)
    most_axons = chip.limit("in_axons_per_core")
    lists = np.minimum(words // each, most_axons)
    return int((lists * lengths).max())
