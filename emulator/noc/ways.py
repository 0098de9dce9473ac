"""Ways through a network: routes, hops and latencies when nothing queues."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from emulator.noc.topology import HERE, NOWHERE, Noc

Array = NDArray[Any]

KIND_BITS = 15
"""Of a count of links; no way is longer than there are routers, and few networks have kinds."""


class Ways(NamedTuple):
    """Hops and latency from core to core.

    Attributes
    ----------
    hops : int64 [n_kinds, ...]
        Links of each of the network's `kinds`.
    latency_ps : int64 [...]
        From creation until the target core is done, when nothing queues and a packet causes no
        synaptic events.
    """

    hops: Array
    latency_ps: Array


def next_link(noc: Noc, router: Array, goal: Array) -> Array:
    """Link that a packet at `router` takes towards the router `goal`; `HERE` if it is there."""
    step = noc.step[router, goal].astype(np.int64)
    return np.where(step == HERE, HERE, noc.first_link[router] + step // noc.n_classes)


def ways(noc: Noc, source: Array, target: Array, bits: int = 0) -> Ways:
    """Hops and latency of packets between cores; all pairs if the arguments broadcast so.

    Parameters
    ----------
    noc : Noc
    source, target : int [...]
        Cores; broadcast.
    bits : int
        Size of the packets.

    Raises
    ------
    ValueError
        If no way leads from one of the cores to its target.
    """
    source, target = np.broadcast_arrays(np.asarray(source), np.asarray(target))
    at, goal = noc.core_router[source.ravel()], noc.core_router[target.ravel()]
    if np.any(noc.step[at, goal] == NOWHERE):
        lost = int(np.argmax(noc.step[at, goal] == NOWHERE))
        raise ValueError(
            f"{noc.topology}: no way from core {source.ravel()[lost]} to {target.ravel()[lost]}; "
            "dead routers and links part them"
        )
    hops = np.zeros((len(noc.kinds), at.size), np.int64)
    service = noc.eject_fixed_ps + bits * noc.eject_bit_ps
    latency = (service + noc.eject_flight_ps + noc.axon_ps)[target.ravel()]
    link_ps = noc.link_fixed_ps + bits * noc.link_bit_ps + noc.link_flight_ps
    moving = np.flatnonzero(at != goal)
    at = at.copy()
    while moving.size:
        link = next_link(noc, at[moving], goal[moving])
        hops[noc.link_kind[link], moving] += 1
        latency[moving] += link_ps[link]
        at[moving] = noc.link_to[link]
        moving = moving[at[moving] != goal[moving]]
    return Ways(hops.reshape(len(noc.kinds), *source.shape), latency.reshape(source.shape))


def hops_between(noc: Noc) -> Array:
    """Links of each of the network's kinds from router to router; int16 [n_kinds, n, n].

    0 where no way leads, or one to or from a router without cores.
    """
    n = noc.n_routers
    used = np.zeros(n, np.bool_)
    used[noc.core_router] = True
    row, column = np.nonzero((noc.step != NOWHERE) & (noc.step != HERE) & used)
    link = next_link(noc, row, column)
    at = np.repeat(np.arange(n, dtype=np.int32)[:, None], n, axis=1)
    count = np.zeros((n, n), np.int64)  # of all kinds, each in its own bits
    at[row, column], count[row, column] = noc.link_to[link], 1 << KIND_BITS * noc.link_kind[link]
    more = count
    while more.any():  # each round doubles how far all have gone
        more = np.take_along_axis(count, at, axis=0)
        count += more
        at = np.take_along_axis(at, at, axis=0)
    kinds = KIND_BITS * np.arange(len(noc.kinds))[:, None, None]
    hops = (count >> kinds) & ((1 << KIND_BITS) - 1)
    hops[:, ~used] = 0
    return np.asarray(hops.astype(np.int16))


def n_links_between(noc: Noc) -> Array:
    """Links from router to router, int64 [n_routers, n_routers]; see `hops_between`."""
    return np.asarray(hops_between(noc).sum(axis=0, dtype=np.int64))


def diameter(noc: Noc) -> int:
    """Links on the longest route between two cores."""
    return int(n_links_between(noc).max())


def route(noc: Noc, source: int, target: int) -> list[int]:
    """List the links from one core to another.

    Raises
    ------
    ValueError
        If there is no such core.
    """
    for name, core in (("source", source), ("target", target)):
        if not 0 <= core < noc.n_cores:
            raise ValueError(f"{name}: core {core}, but {noc.topology} has 0 to {noc.n_cores - 1}")
    at, goal = int(noc.core_router[source]), int(noc.core_router[target])
    links: list[int] = []
    while at != goal:
        link = int(next_link(noc, np.array(at), np.array(goal)))
        links.append(link)
        at = int(noc.link_to[link])
    return links


def route_names(noc: Noc, source: int, target: int) -> list[str]:
    """Name the links from one core to another, such as ``(2,1) east``."""
    return [noc.link_name[link] for link in route(noc, source, target)]
