"""Divide neurons among cores within their limits; all in one table.

`sequential` is the baseline: the given order. `packed` takes the order with the fewest packets of
those that are quick to find. `traffic` begins there, places the cores, and moves neurons for packets
times hops; it keeps the best that it saw, the others included, so that it is never worse.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mapping.floor import Floor
from mapping.grow_kernels import NOWHERE, fill_in_order, grow
from mapping.hypergraph import Hypergraph, flows
from mapping.move_kernels import Edges
from mapping.moves import Limits, cut_of, edges_of, moved, resource_use
from mapping.placers import PLACERS, Placer, Task
from mapping.tiles import Shape, tile_orders

Array = NDArray[Any]

GROWTHS = 6
"""Tries of growing cores, each with other ties and seeds."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Job:
    """Neurons to be divided.

    Attributes
    ----------
    graph : Hypergraph
    limits : Limits
    floor : Floor
    shapes : sequence of tuple of int
        Of the populations, in the order of their neurons; none where the network is a flat list.
    proposals : int
        Moves of neurons that `traffic` looks at in all.
    stop : callable
        Whether to end early, with the best so far.
    """

    graph: Hypergraph
    limits: Limits
    floor: Floor
    shapes: Sequence[Shape] = ()
    proposals: int = 1 << 23
    stop: Callable[[], bool] = lambda: False


@dataclass(frozen=True, kw_only=True, eq=False)
class Layout:
    """A partition and where its cores lie.

    Attributes
    ----------
    core : int32 [n]
    place : int64 [n_cores]
    hops : float
        Packets times hops, with the rates as they are.
    """

    core: Array
    place: Array
    hops: float


Partitioner = Callable[[Job, np.random.Generator], Array]
