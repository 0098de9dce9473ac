"""Relays: neurons that repeat a spike, for populations that reach more cores than a core can send to.

A neuron sends one out-axon to each core that hears it. Where these are more than a whole core has,
no cut of the network helps. Relays do: the neuron reaches one core for each of its relays, and each
relay a part of the targets, one tick later. Everything is then set back in time so that the network
computes what it did: every part trails by its own number of ticks (``late``), the same on all ways
into it, and delays that the network has already are used up first (retiming, C. E. Leiserson and
J. B. Saxe, Algorithmica 6, 1991). Spikes equal, bit for bit, those of the network with these delays.

A part of a full matrix becomes a list, whose synapses need an index; projections that go to one
relay as a whole stay as they are.
"""

from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from emulator.chip import Chip
from emulator.chip_tables import LARGEST
from mapping.errors import NetworkError
from mapping.linear import Linear, diagonal, some, sparse
from mapping.needs import Needs, core_limit
from mapping.outline import Outline, OutlinePopulation, OutlineProjection
from mapping.partition import examine
from mapping.pins import Pin

Array = NDArray[Any]

ROUNDS = 12
"""Partitions in looking for relays."""
SYNAPSES_MOST = 20_000_000
"""Synapses of the largest projection that is dealt out to several relays."""


class RelayError(NetworkError):
    """No relays leave the network what it is; the text says why."""


class Piece(NamedTuple):
    """Targets of one projection, from ``first`` to ``end``, exclusive."""

    projection: int
    first: int
    end: int


Groups = Mapping[str, tuple[tuple[Piece, ...], ...]]
"""Of each population that is relayed, what each of its relays sends to."""


class Way(NamedTuple):
    """A projection of the relayed network.

    Attributes
    ----------
    source, target : str
    origin : int or None
        The projection that it comes from; None for one from a neuron to its relay.
    piece : Piece or None
        The part of its targets; None for all.
    delay : int
        Ticks on top of the one that every projection takes.
    """

    source: str
    target: str
    origin: int | None
    piece: Piece | None
    delay: int


def relay_names(name: str, groups: Groups) -> list[str]:
    """Names of the relays of a population."""
    return [f"{name} relay {k + 1}" for k in range(len(groups[name]))]


def is_relay(name: str, populations: Container[str]) -> bool:
    """Tell whether this is the name of a relay of one of these populations."""
    source, sign, number = name.rpartition(" relay ")
    return bool(sign) and number.isdigit() and source in populations and name not in populations


def ways_of(
    ends: Sequence[tuple[str, str, int]], sizes: Mapping[str, int], groups: Groups
) -> tuple[list[Way], dict[str, int]]:
    """List the projections of the relayed network, each with its delay.

    Parameters
    ----------
    ends : sequence of (source, target, delay)
        Projections of the network, with ticks on top of the one that each takes.
    sizes : mapping of str to int
        Neurons of each population.

    Returns
    -------
    ways : list of Way
    late : dict of str to int
        Ticks by which each population trails what it did.

    Raises
    ------
    RelayError
        If a cycle has no delay that a relay could take.
    """
    late = _late(ends, sizes, groups)
    ways = [
        Way(name, relay, None, None, 0) for name in groups for relay in relay_names(name, groups)
    ]
    for index, (source, target, delay) in enumerate(ends):
        left = delay + late[target] - late.get(source, 0) - (source in groups)
        if source not in groups:
            ways.append(Way(source, target, index, None, left))
            continue
        for relay, group in zip(relay_names(source, groups), groups[source], strict=True):
            for piece in group:
                if piece.projection == index:
                    whole = piece.end - piece.first == sizes[target]
                    ways.append(Way(relay, target, index, None if whole else piece, left))
    return ways, late


def _late(
    ends: Sequence[tuple[str, str, int]], sizes: Mapping[str, int], groups: Groups
) -> dict[str, int]:
    """Find the least ticks by which each population must trail (Bellman and Ford's rule)."""
    late = dict.fromkeys(sizes, 0)
    for _ in range(len(sizes) + 1):
        changed = ""
        for source, target, delay in ends:
            least = late.get(source, 0) + (source in groups) - delay
            if least > late[target]:
                late[target], changed = least, f"{source}→{target}"
        if not changed:
            return late
    raise RelayError(
        f"relays of {', '.join(map(repr, groups))}: {changed} lies on a cycle without a delay, so "
        "that a tick more would change what the network computes; give the way back a delay of a "
        "tick, or narrow or prune what these populations feed"
    )


def part_of(linear: Linear, piece: Piece) -> Linear:
    """List the synapses of a projection that end on a part of its targets."""
    if linear.n_synapses > SYNAPSES_MOST:
        raise RelayError(
            f"relays: a projection of {linear.n_synapses:,} synapses is too large to be dealt out "
            f"to several (at most {SYNAPSES_MOST:,}); narrow or prune it"
        )
    listed = sparse(linear)
    return some(listed, (listed.target >= piece.first) & (listed.target < piece.end))


def with_relays(outline: Outline, groups: Groups, compartments: int) -> Outline:
    """Outline the relayed network.

    Parameters
    ----------
    compartments : int
        Of each relay.

    Raises
    ------
    RelayError
    """
    if not groups:
        return outline
    sizes = {p.name: p.size for p in outline.populations}
    ends = [(p.source, p.target, p.delay) for p in outline.projections]
    ways, _ = ways_of(ends, sizes, groups)
    settings, levels, formats = (
        1 + max((int(np.max(v)) for v in values), default=-1)
        for values in (
            [p.settings for p in outline.populations],
            [p.levels for p in outline.populations],
            [p.format for p in outline.projections],
        )
    )
    populations: list[OutlinePopulation] = []
    order: list[str] = []
    for name in outline.order:
        order += [name, *(relay_names(name, groups) if name in groups else [])]
    for own in outline.populations:
        populations.append(own)
        for relay in relay_names(own.name, groups) if own.name in groups else []:
            populations.append(
                OutlinePopulation(
                    name=relay, shape=own.shape, compartments=compartments, spiking=True,
                    settings=np.broadcast_to(np.int64(settings), (own.size,)),
                    levels=np.broadcast_to(np.int64(levels), (own.size,)),
                )
            )  # fmt: skip
    return replace(
        outline, populations=tuple(populations), order=tuple(order),
        projections=tuple(_outlined(way, outline, sizes, formats) for way in ways),
    )  # fmt: skip


def _outlined(
    way: Way, outline: Outline, sizes: Mapping[str, int], new_format: int
) -> OutlineProjection:
    if way.origin is None:
        linear: Linear = diagonal(np.ones(sizes[way.source]), (sizes[way.source],))
        return OutlineProjection(
            source=way.source, target=way.target, linear=linear, delay=way.delay, format=new_format
        )
    own = outline.projections[way.origin]
    linear = own.linear if way.piece is None else part_of(own.linear, way.piece)
    return replace(own, source=way.source, linear=linear, delay=way.delay)


def relays_for(outline: Outline, chip: Chip, compartments: int, pins: Sequence[Pin] = ()) -> Groups:
    """Find which populations need relays on a chip, and what each relay sends to.

    Targets are dealt out anew until no relay reaches more cores than it may: relays take cores
    themselves, and lists with an index take more memory than a full matrix.

    Returns
    -------
    Groups
        Empty where none are needed, or where none help: then the network does not fit, and
        mapping it says so.

    Raises
    ------
    RelayError
        If relays would change what the network computes.
    """
    most = core_limit(chip).out_axons
    room: dict[str, int] = {}
    groups: Groups = {}
    # Where neurons reach too far, cores are cut down for out-axons until single neurons lie on
    # them, and everything reaches too far. So what is first asked is who does on whole cores.
    tried = _sending_anywhere(chip)
    good: Groups | None = None
    for _ in range(ROUNDS):
        now = with_relays(outline, groups, compartments)
        cores, far = _reaching_too_far(now, tried, pins, most)
        if not far and tried is not chip:
            tried = chip
            cores, far = _reaching_too_far(now, tried, pins, most)
        if not far:
            # In between, cores were cut finer than they are now: perhaps fewer relays are enough.
            good, groups = groups, _all_dealt(outline, cores, room)
            if _n_relays(groups) >= _n_relays(good):
                return good
            continue
        if good is not None:
            return good
        if any(name in groups for name in far):
            return {}  # it cannot even reach its relays: these would need relays themselves
        owner = {relay: name for name in groups for relay in relay_names(name, groups)}
        asked = {owner.get(name, name) for name in far}
        room |= dict.fromkeys(asked - room.keys(), most)
        dealt = _all_dealt(outline, cores, room)
        if dealt == groups:  # cores are as many as was thought, but do not end where pieces do
            room |= {name: room[name] - 1 - room[name] // 8 for name in asked}
            if min(room.values()) < 1:
                return {}
            dealt = _all_dealt(outline, cores, room)
        groups = dealt
    return good or {}


def _sending_anywhere(chip: Chip) -> Chip:
    """Return the chip with out-axons without end."""
    most = chip.limits.out_axons_per_core
    if most is None:
        return chip
    endless = most.model_copy(update={"value": LARGEST})
    limits = chip.limits.model_copy(update={"out_axons_per_core": endless})
    return chip.model_copy(update={"limits": limits})


def _reaching_too_far(
    outline: Outline, chip: Chip, pins: Sequence[Pin], most: int
) -> tuple[dict[str, int], list[str]]:
    """Cores of each population, and those whose neurons reach too many."""
    needs = Needs.of(outline, chip)
    found = examine(outline, chip, pins=pins, needs=needs, thorough=True)
    copies = needs.copies(found.cores, needs.sizes)
    cores = dict.fromkeys(needs.sizes, 0)
    for held in found.cores:
        for name in {part.population for part in held}:
            cores[name] += 1
    return cores, [name for name, n in copies.items() if n.max(initial=0) > most]


def _n_relays(groups: Groups) -> int:
    return sum(map(len, groups.values()))


def _all_dealt(outline: Outline, cores: Mapping[str, int], room: Mapping[str, int]) -> Groups:
    return {name: tuple(_dealt(outline, name, cores, most)) for name, most in room.items()}


def _dealt(
    outline: Outline, name: str, cores: Mapping[str, int], most: int
) -> Iterator[tuple[Piece, ...]]:
    """Deal what a population feeds out to relays that reach at most so many cores each."""
    group: list[Piece] = []
    reached = 0
    for index, projection in enumerate(outline.projections):
        if projection.source != name:
            continue
        n = outline.population(projection.target).size
        parts = min(max(-(-cores[projection.target] // most), 1), n)
        each = -(-cores[projection.target] // parts)
        borders = np.linspace(0, n, parts + 1).astype(int).tolist()
        for first, end in pairwise(borders):
            if group and reached + each > most:
                yield tuple(group)
                group, reached = [], 0
            group.append(Piece(index, first, end))
            reached += each
    yield tuple(group)
