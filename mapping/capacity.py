"""Say why a network does not fit a chip: what, where, the number, the limit, what to do."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from emulator.chip import Chip
from mapping.fixed import FixedNetwork, FixedPopulation
from mapping.mapping import Slice
from mapping.needs import Need, Needs
from mapping.packing import list_words

Array = NDArray[Any]

_PLURALS = {
    "compartments": "compartments",
    "in_axons": "in-axons",
    "out_axons": "out-axons",
    "words": "words of synapse memory",
}


def too_long_delays(fixed: FixedNetwork, chip: Chip) -> list[str]:
    """Find projections that are slower than the chip can be."""
    longest = chip.limits.delay_max.value
    return [
        f"projection {p.name}: a delay of {p.delay} ticks, but {chip.name} delays by at most "
        f"{longest}; use a longer tick (--dt) or a shorter delay"
        for p in fixed.projections
        if p.delay > longest
    ]


def too_many_cores(
    n: int, count: dict[str, int], closed: dict[str, str], chip: Chip, *, at_least: bool
) -> str:
    """Say how many cores are needed, and which resource ran out on them.

    Parameters
    ----------
    count : dict of str to int
        Cores of each population.
    closed : dict of str to str
        The resource that most cores of a population ran out of; none if it needs only one.
    """
    listing = ", ".join(f"{name!r} {cores}" for name, cores in count.items())
    reasons = [
        f"those of {' and '.join(names)} run out of {plural}"
        for resource, plural in _PLURALS.items()
        if (names := [repr(name) for name in count if closed.get(name) == resource])
    ]
    usable = chip.usable.size
    has = f"{usable}" if usable == chip.n_cores else f"{usable} of {chip.n_cores} left"
    return (
        f"{'at least ' if at_least else ''}{n:,} cores needed ({listing}), but {chip.name} has "
        f"{has}; {', '.join(reasons) or 'none has room for two populations'}; use a chip "
        f"with more or larger cores, or narrow the largest of these populations"
    )


def unfit_neurons(needs: Needs, own: FixedPopulation, limit: Need) -> list[str]:
    """Find neurons that no core can hold even alone, out-axons aside."""
    chip, fans = needs.chip, needs.fans[own.name]
    told = []
    if own.compartments > limit.compartments:
        told.append(
            f"population {own.name!r}: a neuron takes {own.compartments} compartments, but a core "
            f"of {chip.name} has {limit.compartments}; use a reset that takes fewer (--reset) or "
            f"a chip with larger cores"
        )
    # A synapse has at most an axon and a list of its own; those that share are told apart only
    # where that would be too much.
    synapses: Array = np.zeros(own.size, np.int64)
    words: Array = np.zeros(own.size, np.int64)
    for fan in fans:
        synapses += fan.fan_in
        words += fan.fan_in * list_words(1, fan.bits(chip, 1), chip)
    suspects = np.flatnonzero((synapses > limit.in_axons) | (words > limit.words))
    only_dense = all(fan.dense for fan in fans)  # then all neurons are alike
    copies = {own.name: np.zeros(own.size, np.int64)}
    alone = [
        needs.need([Slice(population=own.name, neurons=np.array([neuron]))], copies)
        for neuron in (suspects[:1] if only_dense else suspects)
    ]
    for used, most, what in (
        (
            [need.in_axons for need in alone],
            limit.in_axons,
            "hears {:,} sources, but a core of {} takes {:,} in-axons",
        ),
        (
            [need.words for need in alone],
            limit.words,
            "takes {:,} words of synapse memory, but a core of {} holds {:,}",
        ),
    ):
        row = np.zeros(own.size, np.int64)
        row[suspects] = used
        told += _over(own, row, most, what, chip, "narrow or prune what feeds it")
    return told


def reaching_too_far(own: FixedPopulation, copies: Array, limit: Need, chip: Chip) -> list[str]:
    """Find neurons that alone send to more cores, in all formats, than one core has out-axons."""
    what = "needs {:,} out-axons, one for each core and format, but a core of {} has {:,}"
    return _over(own, copies, limit.out_axons, what, chip, "narrow or prune what it feeds")


def _over(
    own: FixedPopulation, used: Array, limit: int, what: str, chip: Chip, advice: str
) -> list[str]:
    worst = int(used.argmax())
    if used[worst] <= limit:
        return []
    n_over = int(np.count_nonzero(used > limit))
    return [
        f"population {own.name!r}: neuron {worst} {what.format(int(used[worst]), chip.name, limit)} "
        f"({n_over:,} of {own.size:,} neurons are over); {advice}"
    ]
