"""How many words of synapse memory a list takes (counting rules of a Loihi-like core).

A list of ``n`` synapses is stored in blocks of up to ``synapses_per_block``; each block has a
header and is rounded up to whole words (formula and table values: nengo-loihi, ``block.py``).
A list whose targets are consecutive needs no index with each synapse.
"""

from bisect import bisect_left
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emulator.chip import Chip
from emulator.chip_tables import Packing

Array = NDArray[Any]


def list_words(n: Array | int, bits: int, chip: Chip) -> Array:
    """Words of lists of ``n`` synapses of ``bits`` each."""
    packing = _packing(chip)
    full, rest = np.divmod(np.asarray(n, np.int64), packing.synapses_per_block)
    block = _words(packing.synapses_per_block * bits + packing.block_header_bits, chip)
    return np.asarray(
        full * block + np.where(rest > 0, _words(rest * bits + packing.block_header_bits, chip), 0)
    )


def _packing(chip: Chip) -> Packing:
    if chip.packing is None:
        raise ValueError(f"{chip.name} has {chip.core} cores, which hold no lists of synapses")
    return chip.packing


def _words(bits: Any, chip: Chip) -> Any:
    return -(-bits // _packing(chip).word_bits)


def synapse_bits(chip: Chip, *, max_delay: int = 0, n_targets: int | None = None) -> int:
    """Bits of one synapse: weight, delay, and an index if it is one of a sparse list.

    Parameters
    ----------
    max_delay : int
        Largest delay in the list, ticks.
    n_targets : int, optional
        Neurons that the index must tell apart; None for a dense list.
    """
    packing = _packing(chip)
    bits = _size(packing.weight_bits_sizes, chip.weight_bits)
    bits += _size(packing.delay_bits_sizes, max_delay.bit_length())
    if n_targets is not None:
        bits += _size(packing.index_bits_sizes, max(n_targets - 1, 0).bit_length())
    return bits


def _size(sizes: tuple[int, ...], need: int) -> int:
    """Smallest size that the format offers for so many bits."""
    at = bisect_left(sizes, need)
    return sizes[min(at, len(sizes) - 1)]
