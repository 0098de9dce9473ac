"""What a chip can hold, of any network."""

from dataclasses import dataclass

import numpy as np

from emulator.chip import Chip
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
        Synapse memory of each core.
    dense_synapses : int or None
        Most synapses of 8 bits in a core's lists of full matrices, without delays.
    delay_max : int
        Ticks on top of the one that every spike takes (of a crossbar, that one included).
    weight_bits : int
    total_bits : int or None
        Synapse memory of all usable cores.
    """

    chip: str
    core: str
    cores: int
    usable: int
    neurons: int | None
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
    n = int(chip.usable.size)
    neurons, in_axons, out_axons, words = (
        None if limit is None else int(limit.value)
        for limit in (
            chip.limits.neurons_per_core, chip.limits.in_axons_per_core,
            chip.limits.out_axons_per_core, chip.limits.synapse_words_per_core,
        )
    )  # fmt: skip
    bits = None if words is None or chip.packing is None else words * chip.packing.word_bits
    if chip.core == "crossbar" and neurons is not None and in_axons is not None:
        bits = neurons * in_axons
    return Holding(
        chip=chip.name, core=chip.core, cores=chip.n_cores, usable=n,
        neurons=neurons, in_axons=in_axons, out_axons=out_axons,
        words=words, bits=bits, dense_synapses=_dense_synapses(chip, words),
        delay_max=chip.limits.delay_max.value, weight_bits=chip.weight_bits,
        total_bits=None if bits is None else bits * n,
    )  # fmt: skip


def _dense_synapses(chip: Chip, words: int | None) -> int | None:
    """Most synapses of 8 bits that lists of up to as many as there are neurons have room for.

    The longest lists need the fewest headers; of those that are left over, shorter ones.
    """
    if words is None or chip.packing is None:
        return None
    lengths = np.arange(1, chip.limit("neurons_per_core") + 1)
    each = list_words(lengths, 8, chip)
    lists = np.minimum(words // each, chip.limit("in_axons_per_core"))
    return int((lists * lengths).max())
