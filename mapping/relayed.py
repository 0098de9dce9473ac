"""Put relays into a network in a chip's integers; `mapping.relays` decides where.

Integers of the network stay as they are. A relay's come from rounding a network of one neuron that
fires at every spike: its weight is twice its threshold, so that no rounding of either matters, and
its membrane is reset to 0 whenever anything arrives.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emulator.chip import Chip
from mapping.fixed import FixedNetwork, FixedPopulation, FixedProjection
from mapping.linear import Dense, diagonal
from mapping.network import Input, Network, Population, Projection
from mapping.outline import Outline
from mapping.pins import Pin
from mapping.quantise import quantise
from mapping.relays import Groups, RelayError, Way, part_of, relay_names, relays_for, ways_of
from mapping.traffic import Rates

Array = NDArray[Any]


def relayed(fixed: FixedNetwork, chip: Chip, pins: Sequence[Pin] = ()) -> FixedNetwork:
    """Add the relays that a network needs on a chip; the network itself where it needs none.

    Its float network has them, too, with `Projection.chip_ticks` so that in chip timing every part
    trails by the same ticks as on the chip; notes say by how many.

    Raises
    ------
    RelayError
        If relays would change what the network computes, or the chip has no neuron for them.
    """
    compartments = relay_compartments(chip)
    groups = relays_for(Outline.of(fixed), chip, compartments, pins)
    if not groups:
        return fixed
    several = [name for name in groups if fixed.population(name).spikes_max > 1]
    if several:
        raise RelayError(
            f"relays of {several[0]!r}: it fires several times a tick, which a relay cannot repeat; "
            "give it another reset (--reset zero)"
        )
    ends = [(p.source, p.target, p.delay) for p in fixed.projections]
    ways, late = ways_of(ends, {p.name: p.size for p in fixed.populations}, groups)
    _check_host(fixed, late)
    constants, first = _one_relay(chip, fixed.network.dt_s)
    populations: list[FixedPopulation] = []
    for own in fixed.populations:
        populations.append(own)
        for relay in relay_names(own.name, groups) if own.name in groups else []:
            populations.append(_as_many(constants, own, relay))
    return replace(
        fixed, network=_in_float(fixed, ways, groups, late), populations=tuple(populations),
        projections=tuple(_integers(way, fixed, first) for way in ways),
        notes=(*fixed.notes, *_notes(groups, late)),
    )  # fmt: skip


def rates_of_relays(rates: Rates, plain: FixedNetwork, fixed: FixedNetwork) -> Rates:
    """Add the spike rates of relays, which are those of the neurons that they repeat.

    Parameters
    ----------
    plain, fixed : FixedNetwork
        A network, and what `relayed` made of it.
    """
    known = {p.name for p in plain.populations}
    ends = ((p.source, p.target) for p in fixed.projections if p.target not in known)
    return {**rates, **{relay: rates[name] for name, relay in ends if name in rates}}


def relay_compartments(chip: Chip) -> int:
    """Compartments of a relay.

    Raises
    ------
    RelayError
        If the chip does not reset neurons to 0.
    """
    if not chip.runs or "zero" not in chip.arithmetic.resets:
        raise RelayError(f"relays: {chip.name} has no neuron that is reset to 0; use another chip")
    return int(chip.arithmetic.resets["zero"])


def _check_host(fixed: FixedNetwork, late: Mapping[str, int]) -> None:
    for p in fixed.network.projections:
        if p.source in fixed.direct and late[p.target]:
            raise RelayError(
                f"relays: {p.target!r} would trail by {late[p.target]} ticks, but hears currents of "
                f"the host from {p.source!r}, which are not held back; let inputs enter as spikes "
                "(--encoding spikes)"
            )


def _one_relay(chip: Chip, dt_s: float) -> tuple[FixedPopulation, FixedProjection]:
    """Round a neuron that repeats its input, and the way to it."""
    one = Dense(weight=np.ones((1, 1)), pre_shape=(1,), post_shape=(1,))
    fixed = quantise(
        Network(
            dt_s=dt_s, inputs=(Input(name="in", shape=(1,)),), populations=(_relay("relay", (1,)),),
            projections=(Projection(source="in", target="relay", linear=one),), outputs=("relay",),
        ),
        chip,
    )  # fmt: skip
    return fixed.populations[0], fixed.projections[0]


def _relay(name: str, shape: tuple[int, ...]) -> Population:
    return Population(name=name, shape=shape, threshold=0.5, reset="zero")


def _as_many(one: FixedPopulation, own: FixedPopulation, name: str) -> FixedPopulation:
    """Repeat a relay for each neuron of a population."""
    each: dict[str, Any] = {
        f.name: np.repeat(getattr(one, f.name), own.size)
        for f in fields(one)
        if isinstance(getattr(one, f.name), np.ndarray)
    }
    return replace(one, name=name, shape=own.shape, **each)


def _integers(way: Way, fixed: FixedNetwork, first: FixedProjection) -> FixedProjection:
    if way.origin is None:
        n, shape = fixed.population(way.source).size, fixed.population(way.source).shape
        assert isinstance(first.linear, Dense)
        linear = diagonal(np.full(n, first.linear.weight[0, 0]).reshape(shape), shape)
        return replace(first, source=way.source, target=way.target, linear=linear, delay=way.delay)
    own = fixed.projections[way.origin]
    whole = own.linear if way.piece is None else part_of(own.linear, way.piece)
    return replace(own, source=way.source, linear=whole, delay=way.delay)


def _in_float(
    fixed: FixedNetwork, ways: list[Way], groups: Groups, late: Mapping[str, int]
) -> Network:
    """Build the float network that does the same, tick by tick in chip timing."""
    network = fixed.network
    loaded = [p for p in network.projections if p.source not in fixed.direct]
    if [p.name for p in loaded] != [p.name for p in fixed.projections]:
        raise RelayError("relays: the network's projections are not those that are loaded")
    takes = dict(zip(map(id, network.projections), _chip_ticks(network), strict=True))
    populations: list[Population] = []
    for own in network.populations:
        populations.append(own)
        names = relay_names(own.name, groups) if own.name in groups else []
        populations += [_relay(name, own.shape) for name in names]
    projections = [p for p in network.projections if p.source in fixed.direct]
    wanted = [takes[id(p)] for p in projections]
    for way in ways:
        if way.origin is None:
            shape = network.population(way.source).shape
            linear = diagonal(np.ones(shape), shape)
            projections.append(Projection(source=way.source, target=way.target, linear=linear))
            wanted.append(1)
            continue
        own_way = loaded[way.origin]
        part = own_way.linear if way.piece is None else part_of(own_way.linear, way.piece)
        projections.append(replace(own_way, source=way.source, linear=part, chip_ticks=0))
        wanted.append(
            takes[id(own_way)] + late[own_way.target] - late.get(own_way.source, 0)
            - (own_way.source in groups)
        )  # fmt: skip
    plain = replace(network, populations=tuple(populations), projections=tuple(projections))
    return replace(
        plain,
        projections=tuple(
            replace(p, chip_ticks=p.chip_ticks + most - least)
            for p, most, least in zip(projections, wanted, _chip_ticks(plain), strict=True)
        ),
    )


def _chip_ticks(network: Network) -> list[int]:
    """Ticks of each projection in chip timing, an input's counted as one."""
    closing = network.recurrent
    return [
        (max(network.delay_ticks(p), 1) if k in closing else network.delay_ticks(p) + 1)
        + p.chip_ticks
        for k, p in enumerate(network.projections)
    ]


def _notes(groups: Groups, late: Mapping[str, int]) -> Iterator[str]:
    for name, relays in groups.items():
        yield f"{name!r} reaches its targets through {len(relays)} relays of each neuron"
    behind = {name: ticks for name, ticks in late.items() if ticks}
    if behind:
        listing = ", ".join(f"{name!r} by {ticks}" for name, ticks in behind.items())
        yield (
            f"relays take a tick: {listing} more than without them, on all ways alike, so that what "
            "is computed stays the same"
        )
    else:
        yield "relays take a tick, which delays of the network had room for: nothing is later"
