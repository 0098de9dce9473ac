"""A network synapse by synapse, for the search that moves single neurons between cores."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mapping.layout.hypergraph import Hypergraph
from mapping.layout.moves import Limits
from mapping.linear import Dense, sparse
from mapping.mapping import Slice
from mapping.needs import Fan, Need, Needs
from mapping.outline import Outline
from mapping.packing import list_words
from mapping.traffic import Rates

Array = NDArray[Any]


class _Nets(NamedTuple):
    """Nets of one part in one format: owner (-1 from outside), rate and kind of each, its targets."""

    owner: Array
    rate: Array
    kind: Array
    size: Array
    target: Array


def n_synapses(outline: Outline) -> int:
    """Synapses that `graph_of` would list."""
    return sum(p.linear.n_synapses for p in outline.projections)


def graph_of(outline: Outline, needs: Needs, rates: Rates) -> tuple[Hypergraph, Array]:
    """List a network's nets: one for each neuron or channel and weight format.

    Neurons are numbered population by population, in the outline's order.

    Returns
    -------
    graph : Hypergraph
    words : int64 [n_kinds, n_lengths]
        Words of synapse memory of lists of each kind, indices as wide as the fullest core asks.
        Lists of one net on one core are taken for one, so that this is not exact.
    """
    bits = sorted({b for fans in needs.fans.values() for fan in fans for b in [_bits(fan, needs)]})
    nets = list(_all_nets(outline, needs, rates, bits))
    n = sum(p.size for p in outline.populations)
    room = min(2 * needs.chip.limit("neurons_per_core"), n) + 2
    words = np.stack([list_words(np.arange(room), b, needs.chip) for b in bits or [1]])
    if not nets:
        return Hypergraph.of(np.zeros(1), np.empty(0), n=n, owner=np.empty(0)), words
    owner, rate, kind, size, target = (np.concatenate(column) for column in zip(*nets, strict=True))
    heard = size > 0
    begin = np.cumsum(size) - size
    order = np.flatnonzero(heard)
    order = order[np.argsort(np.where(owner[order] < 0, n, owner[order]), kind="stable")]
    start = np.concatenate([[0], np.cumsum(size[order])])
    step = np.repeat(begin[order] - start[:-1], size[order]) + np.arange(start[-1])
    graph = Hypergraph.of(
        start, target[step], rate[order], n=n, owner=owner[order], kind=kind[order]
    )
    return graph, words


def _bits(fan: Fan, needs: Needs) -> int:
    return fan.bits(needs.chip, needs.chip.limit("neurons_per_core"))


def _all_nets(outline: Outline, needs: Needs, rates: Rates, bits: list[int]) -> Iterator[_Nets]:
    first = _first(outline)
    groups: dict[tuple[str, int], list[Fan]] = {}
    for fans in needs.fans.values():
        for fan in fans:
            groups.setdefault((fan.projection.source, fan.projection.format), []).append(fan)
    sizes = needs.sizes | outline.inputs
    for (source, _), heard in groups.items():
        n = sizes[source]
        numbers, targets = [], []
        for fan in heard:
            listed = sparse(fan.projection.linear)
            kept = slice(None) if isinstance(fan.projection.linear, Dense) else listed.weight != 0
            numbers.append(listed.source[kept])
            targets.append(listed.target[kept] + first[fan.projection.target])
        number, target = np.concatenate(numbers), np.concatenate(targets)
        if len(heard) > 1:
            order = np.argsort(number, kind="stable")
            number, target = number[order], target[order]
        yield _Nets(
            owner=np.arange(n) + first[source] if source in first else np.full(n, -1),
            rate=np.asarray(rates.get(source, np.ones(n)), np.float64),
            kind=np.full(n, max(bits.index(_bits(fan, needs)) for fan in heard)),
            size=np.bincount(number, minlength=n),
            target=target,
        )


def _first(outline: Outline) -> dict[str, int]:
    """Number of the first neuron of each population."""
    sizes = [p.size for p in outline.populations]
    starts = np.cumsum([0, *sizes])[:-1].tolist()
    return dict(zip((p.name for p in outline.populations), starts, strict=True))


def limits_of(outline: Outline, needs: Needs, limit: Need, words: Array) -> Limits:
    """Say what cores hold, and what neurons take of it.

    Settings and thresholds are limited where the chip limits them.
    """
    compartments = np.concatenate([np.full(p.size, p.compartments) for p in outline.populations])
    tables = [
        (np.concatenate([numbers[p.name] for p in outline.populations]), most)
        for numbers, most in ((needs.settings, limit.settings), (needs.levels, limit.levels))
        if numbers
    ]
    # A table with room for all that there are limits nothing, and would only slow moves down.
    tables = [(column, most) for column, most in tables if np.unique(column).size > most]
    return Limits(
        neurons=limit.compartments, in_axons=limit.in_axons, out_axons=limit.out_axons,
        words=limit.words, list_words=words,
        compartments=compartments if np.any(compartments != 1) else None,
        profile=np.stack([column for column, _ in tables], axis=1) if tables else None,
        profiles=[most for _, most in tables],
    )  # fmt: skip


def numbered(cores: tuple[tuple[Slice, ...], ...], outline: Outline) -> Array:
    """Number of the core of each neuron; int32 [n], -1 for none."""
    first = _first(outline)
    found = np.full(sum(p.size for p in outline.populations), -1, np.int32)
    for number, slices in enumerate(cores):
        for part in slices:
            found[first[part.population] + part.neurons] = number
    return found


def sliced(core: Array, outline: Outline) -> tuple[tuple[Slice, ...], ...]:
    """Turn numbers of cores back into slices, neurons of a slice ascending."""
    held: list[list[Slice]] = [[] for _ in range(int(core.max(initial=-1)) + 1)]
    for part in outline.populations:
        first = _first(outline)[part.name]
        mine = core[first : first + part.size]
        order = np.argsort(mine, kind="stable")
        cuts = np.flatnonzero(np.diff(mine[order])) + 1
        for neurons in np.split(order, cuts):
            held[mine[neurons[0]]].append(Slice(population=part.name, neurons=neurons))
    return tuple(tuple(slices) for slices in held)
