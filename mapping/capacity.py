"""Say why a network does not fit a chip: what, where, the number, the limit, what to do."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emulator.chip import Chip
from mapping.mapping import Slice
from mapping.needs import Need, Needs
from mapping.outline import Outline, OutlinePopulation
from mapping.packing import list_words
from mapping.violations import Violation

Array = NDArray[Any]

LIMITS = {
    "compartments": "neurons_per_core",
    "in_axons": "in_axons_per_core",
    "out_axons": "out_axons_per_core",
    "words": "synapse_words_per_core",
    "settings": "neuron_profiles_per_core",
    "levels": "threshold_profiles_per_core",
    "shared": "shared.memory_bytes",
}
"""The limit of the chip file that bounds each resource of a core."""

PLURALS = {
    "compartments": "compartments",
    "in_axons": "in-axons",
    "out_axons": "out-axons",
    "words": "words of synapse memory",
    "settings": "distinct settings of decays and rest",
    "levels": "distinct thresholds",
    "shared": "bytes of shared memory",
}


def too_long_delays(outline: Outline, chip: Chip) -> list[Violation]:
    """Find projections that are slower than the chip can be."""
    longest = chip.limits.delay_max.value
    return [
        Violation(
            limit="delay_max",
            where=f"projection {p.name}",
            need=p.delay,
            have=longest,
            text=f"projection {p.name}: a delay of {p.delay} ticks, but {chip.name} delays by at "
            f"most {longest}; use a longer tick (--dt) or a shorter delay",
        )
        for p in outline.projections
        if p.delay > longest
    ]


def too_many_cores(
    n: int, count: dict[str, int], closed: dict[str, str], chip: Chip, *, at_least: bool
) -> Violation:
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
        f"those of {_listed(names)} run out of {plural}"
        for resource, plural in PLURALS.items()
        if (names := [repr(name) for name in count if closed.get(name) == resource])
    ]
    usable = chip.usable.size
    has = f"{usable}" if usable == chip.n_cores else f"{usable} of {chip.n_cores} left"
    text = (
        f"{'at least ' if at_least else ''}{n:,} cores needed ({listing}), but {chip.name} has "
        f"{has}; {', '.join(reasons) or 'none has room for two populations'}; use a chip "
        f"with more or larger cores, or narrow the largest of these populations"
    )
    return Violation(limit="cores", where=chip.name, need=n, have=usable, text=text)


def _listed(names: Sequence[str]) -> str:
    return (" and " if len(names) < 4 else ", ").join(names)


def unfit_neurons(needs: Needs, own: OutlinePopulation, limit: Need) -> list[Violation]:
    """Find neurons that no core can hold even alone, out-axons aside."""
    chip, fans = needs.chip, needs.fans[own.name]
    told: list[Violation] = []
    if own.compartments > limit.compartments:
        told.append(
            Violation(
                limit=LIMITS["compartments"],
                where=f"population {own.name!r}",
                need=own.compartments,
                have=limit.compartments,
                text=f"population {own.name!r}: a neuron takes {own.compartments} compartments, "
                f"but a core of {chip.name} has {limit.compartments}; use a reset that takes fewer "
                f"(--reset) or a chip with larger cores",
            )
        )
    # A synapse has at most an axon and a list of its own; those that share are told apart only
    # where that would be too much.
    synapses: Array = np.zeros(own.size, np.int64)
    words: Array = np.zeros(own.size, np.int64)
    for fan in fans:
        synapses += fan.fan_in
        words += fan.fan_in * list_words(1, fan.bits(chip, 1), chip)
    shared = 0 * words
    if chip.shared is not None and chip.packing is not None:
        shared = (
            chip.shared.neuron_bytes.value * own.compartments
            + chip.shared.in_axon_bytes.value * synapses
            + words * chip.packing.word_bits // 8
        )
    suspects = np.flatnonzero(
        (synapses > limit.in_axons) | (words > limit.words) | (shared > limit.shared)
    )
    only_dense = all(fan.dense for fan in fans)  # then all neurons are alike
    copies = {own.name: np.zeros(own.size, np.int64)}
    alone = [
        needs.need([Slice(population=own.name, neurons=np.array([neuron]))], copies)
        for neuron in (suspects[:1] if only_dense else suspects)
    ]
    for resource, what in (
        (
            "in_axons",
            "hears {:,} sources, but a core of {} takes {:,} in-axons",
        ),
        (
            "words",
            "takes {:,} words of synapse memory, but a core of {} holds {:,}",
        ),
        (
            "shared",
            "takes {:,} bytes with its synapses and axons, but a core of {} has {:,} for all",
        ),
    ):
        row = np.zeros(own.size, np.int64)
        row[suspects] = [getattr(need, resource) for need in alone]
        told += _over(own, row, resource, limit, what, chip, "narrow or prune what feeds it")
    return told


def reaching_too_far(
    own: OutlinePopulation, copies: Array, limit: Need, chip: Chip
) -> list[Violation]:
    """Find neurons that alone send to more cores, in all formats, than one core has out-axons."""
    what = "needs {:,} out-axons, one for each core and format, but a core of {} has {:,}"
    return _over(own, copies, "out_axons", limit, what, chip, "narrow or prune what it feeds")


def _over(
    own: OutlinePopulation,
    used: Array,
    resource: str,
    limit: Need,
    what: str,
    chip: Chip,
    advice: str,
) -> list[Violation]:
    worst, most = int(used.argmax()), int(getattr(limit, resource))
    need, n_over = int(used[worst]), int(np.count_nonzero(used > most))
    if not n_over:
        return []
    text = (
        f"population {own.name!r}: neuron {worst} {what.format(need, chip.name, most)} "
        f"({n_over:,} of {own.size:,} neurons are over); {advice}"
    )
    where = f"population {own.name!r}, neuron {worst}"
    return [Violation(limit=LIMITS[resource], where=where, need=need, have=most, text=text)]


def core_violation(
    where: str, slices: Sequence[Slice], resource: str, need: Need, limit: Need, chip: Chip
) -> Violation:
    """Say that a core that was told what to hold holds too much."""
    used, most = getattr(need, resource), getattr(limit, resource)
    held = ", ".join(f"{part.neurons.size:,} of {part.population!r}" for part in slices)
    bits = ""
    if resource == "words" and chip.packing is not None:
        size = chip.packing.word_bits
        bits = f" ({used * size:,} of {most * size:,} bits)"
    text = (
        f"{where} ({held}): {used:,} {PLURALS[resource]}, but a core of {chip.name} has {most:,}"
        f"{bits}; put fewer neurons on it"
    )
    return Violation(limit=LIMITS[resource], where=where, need=used, have=most, text=text)


def overfull_cores(
    named: Iterable[tuple[str, Sequence[Slice]]],
    needs: Needs,
    copies: dict[str, Array],
    limit: Need,
) -> Iterator[Violation]:
    """Find what cores hold too much of that were told what to hold, each with its name."""
    for where, slices in named:
        need = needs.need(slices, copies)
        for resource in need.broken(limit):
            yield core_violation(where, slices, resource, need, limit, needs.chip)
