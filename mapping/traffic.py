"""What cores of a partition send each other, counted per core and never synapse by synapse."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mapping.layout.hypergraph import Flows
from mapping.mapping import Slice
from mapping.needs import Needs

Array = NDArray[Any]
Cores = Sequence[Sequence[Slice]]
Rates = Mapping[str, Array]
"""Spikes of each neuron or channel in a tick, by population or input; float64 [n]."""


def core_of(cores: Cores, sizes: Mapping[str, int]) -> dict[str, Array]:
    """Number of the core that each neuron of each population lies on; int64 [n], -1 for none."""
    found = {name: np.full(n, -1, np.int64) for name, n in sizes.items()}
    for number, slices in enumerate(cores):
        for part in slices:
            found[part.population][part.neurons] = number
    return found


def flows_between(needs: Needs, cores: Cores, rates: Rates) -> Flows:
    """Count packets of a tick: one for each spike, weight format and core that hears it.

    Parts without a rate are taken to fire once a tick. Packets from inputs, which come from
    outside, are not counted; see `packets_from_outside`.
    """
    on = core_of(cores, needs.sizes)
    sources, targets, packets = [], [], []
    for target, name, source in _axons(needs, cores):
        if name in on:
            rate = rates[name][source] if name in rates else None
            sent = np.bincount(on[name][source], weights=rate, minlength=len(cores))
            heard = np.flatnonzero(np.bincount(on[name][source], minlength=len(cores)))
            sources.append(heard)
            targets.append(np.full(heard.size, target))
            packets.append(sent[heard].astype(np.float64))
    empty = [np.empty(0, np.int64)]
    return Flows.of(len(cores), *(np.concatenate(v or empty) for v in (sources, targets, packets)))


def packets_from_outside(needs: Needs, cores: Cores, rates: Rates) -> float:
    """Packets that inputs send to the cores of a partition in a tick."""
    return float(
        sum(
            rates[name][source].sum() if name in rates else source.size
            for _, name, source in _axons(needs, cores)
            if name not in needs.sizes
        )
    )


def _axons(needs: Needs, cores: Cores) -> Iterator[tuple[int, str, Array]]:
    for number, slices in enumerate(cores):
        for name, source in needs.heard(slices):
            yield number, name, source
