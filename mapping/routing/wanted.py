"""Where a network wants its spikes, worked out from its projections alone.

Nothing of a program is looked at, so that what is checked against this is checked independently.
"""

from collections.abc import Callable
from math import prod
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mapping.fixed import FixedProjection
from mapping.linear import Dense, sparse
from mapping.mapping import Mapping, Slice

Array = NDArray[Any]
Held = list[tuple[int, Slice]]


class Wanted(NamedTuple):
    """Packets that must come of one spike of each neuron; sorted by neuron, then core.

    Attributes
    ----------
    neuron, core, copies : int64 [n]
        Neurons are numbered core by core, slice by slice; cores as on the chip. A core gets a copy
        for each weight format in which the neuron reaches it.
    population, place : int64 [n_neurons]
        Which neuron of which population each is.
    sender : int64 [n_neurons]
        Core of the chip that it lies on.
    names : tuple of str
        Of populations.
    """

    neuron: Array
    core: Array
    copies: Array
    population: Array
    place: Array
    sender: Array
    names: tuple[str, ...]

    def name(self, neuron: int) -> str:
        """Name a neuron, such as ``'hidden'[3]``."""
        return f"{self.names[self.population[neuron]]!r}[{self.place[neuron]}]"


def wanted_of(mapping: Mapping) -> Wanted:
    """Find every core that holds a target of each neuron.

    A neuron reaches what its weights reach: of a matrix every target, even with a weight of 0, as
    matrices are stored whole; of lists and convolutions those with a weight.
    """
    fixed = mapping.fixed
    names = tuple(part.name for part in fixed.populations)
    held: Held = [
        (place, part)
        for place, core in zip(mapping.place, mapping.cores, strict=True)
        for part in core
    ]
    number = {part.name: np.full(part.size, -1, np.int64) for part in fixed.populations}
    n = 0
    for _, part in held:
        number[part.population][part.neurons] = np.arange(n, n + part.neurons.size)
        n += part.neurons.size
    formats = sorted({projection.exponent for projection in fixed.projections})
    n_cores = max(mapping.place, default=0) + 1
    pairs = [
        _pairs(projection, number, held, n_cores) * len(formats)
        + formats.index(projection.exponent)
        for projection in fixed.projections
        if projection.source in number
    ]
    # Projections of one format share their packets.
    every = np.unique(np.concatenate([np.empty(0, np.int64), *pairs]))
    pair, copies = np.unique(every // max(len(formats), 1), return_counts=True)
    return Wanted(
        neuron=pair // n_cores,
        core=pair % n_cores,
        copies=copies,
        population=_of_held(
            held, lambda part: np.full(part.neurons.size, names.index(part.population))
        ),
        place=_of_held(held, lambda part: part.neurons),
        sender=np.repeat([place for place, _ in held], [part.neurons.size for _, part in held]),
        names=names,
    )


def _of_held(held: Held, take: Callable[[Slice], Array]) -> Array:
    return np.concatenate([np.empty(0, np.int64), *(take(part) for _, part in held)])


def _pairs(
    projection: FixedProjection, number: dict[str, Array], held: Held, n_cores: int
) -> Array:
    """Each neuron with each core that a projection leads it to, ``neuron * n_cores + core``."""
    source = number[projection.source]
    slices = [(place, part.neurons) for place, part in held if part.population == projection.target]
    if isinstance(projection.linear, Dense):
        cores = np.unique([place for place, neurons in slices if neurons.size]).astype(np.int64)
        return np.asarray((source[:, None] * n_cores + cores).ravel())
    listed = sparse(projection.linear)
    at = np.full(prod(listed.post_shape), -1, np.int64)
    for place, neurons in slices:
        at[neurons] = place
    there = listed.weight != 0
    return np.unique(source[listed.source[there]] * n_cores + at[listed.target[there]])
