"""Routing tables of chips whose routers tell multicast packets apart by key and mask.

Packets go the ways of the chip's network (`emulator.noc`), around faults as well. A router's table
has an entry for each block of keys that comes to it, but for those that go straight on. Where that
is more than a router holds, the entries become fewer: prefixes first, then ordered covering.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from emulator.chip import Chip
from emulator.noc.of_chip import noc_of
from emulator.noc.topology import Noc
from emulator.noc.ways import next_link
from emulator.program import Program
from mapping.errors import CapacityError
from mapping.routing.covering import ordered_covering, raw_entries
from mapping.routing.entries import Entries
from mapping.routing.keys import ABSENT, Keys, assign_keys
from mapping.routing.prefixes import shortest_prefixes
from mapping.routing.sent import Sent, sent_by

Array = NDArray[Any]

SPREAD = 1 << 25
"""Bundles times routers that are looked at for keys; bounds the memory that this takes."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Tables:
    """Keys of all packets and entries of all routers.

    Attributes
    ----------
    chip_name : str
    limit : int
        Entries that a router holds.
    noc : Noc
        Routers, links and cores are numbered as in it.
    core : int64 [n_cores]
        Number on the chip of each core in use, and ``there`` [n_cores] in the network.
    packet_source, packet_key : int64 [n_packets]
        Which source sends each packet, and the key that it carries.
    router : tuple of Entries
        One for each router, in the order in which they are compared.
    way_first : int64 [n_ways + 1]
    way_port : int64
        Way w leads out of ``way_port[way_first[w]:way_first[w + 1]]``: links, then, from
        ``noc.n_links`` on, cores.
    straight : int64 [n_links]
        Link that goes on from the end of each in its direction, -1 if there is none.
    n_before : int64 [n_routers]
        Entries of each router before they were made fewer.
    """

    chip_name: str
    limit: int
    noc: Noc
    core: Array
    there: Array
    packet_source: Array
    packet_key: Array
    router: tuple[Entries, ...]
    way_first: Array
    way_port: Array
    straight: Array
    n_before: Array

    @property
    def n_after(self) -> Array:
        """Entries of each router; int64 [n_routers]."""
        return np.array([entries.key.size for entries in self.router], np.int64)

    @property
    def violations(self) -> tuple[str, ...]:
        """Name every router that holds too few entries, with its numbers."""
        return tuple(
            f"router {router_name(self.noc, k)}: {self.n_after[k]:,} routing entries after merging "
            f"({self.n_before[k]:,} before), but {self.chip_name} holds {self.limit:,} per router; "
            "put populations that send to the same cores on the same core, or use more of the chip"
            for k in np.flatnonzero(self.n_after > self.limit).tolist()
        )

    def check(self) -> None:
        """Refuse tables that do not fit.

        Raises
        ------
        CapacityError
            With every router that holds too few entries.
        """
        if self.violations:
            raise CapacityError(self.chip_name, self.violations)

    def told(self) -> str:
        """Say in a line how full the routers are."""
        before, after = self.n_before, self.n_after
        fullest = int(after.argmax())
        return (
            f"{self.packet_key.size:,} keys, {int(after.sum()):,} routing entries "
            f"({int(before.sum()):,} before merging); fullest router "
            f"{router_name(self.noc, fullest)}: {after[fullest]:,} of {self.limit:,} "
            f"({int(before.max()):,} at most before)"
        )


def router_name(noc: Noc, router: int) -> str:
    """Name a router by its place, or by its number where it has none."""
    first = int(noc.first_link[router])
    if first < noc.n_links and noc.link_from[first] == router:
        name = noc.link_name[first]
        if name.startswith("("):
            return name.split()[0]
    return str(router)


class _Passing(NamedTuple):
    """Bundles at the routers that they pass; sorted by router, then bundle.

    ``way`` int64 [n]: where each goes on; ``straight`` bool [n]: whether it would by itself.
    """

    router: Array
    bundle: Array
    way: Array
    straight: Array


def tables_of(program: Program, chip: Chip) -> Tables:
    """Build the routing tables of a program.

    Parameters
    ----------
    program : Program
    chip : Chip
        With ``limits.routing_entries_per_router``.

    Returns
    -------
    Tables
        Perhaps too large, see `Tables.check`.

    Raises
    ------
    CapacityError
        If the key space is too small.
    """
    noc, there = noc_of(chip, program.core)
    sent = sent_by(program, chip)
    passing, way_first, way_port = _passing(sent, noc, there, onward(noc))
    keys = assign_keys(sent, _ways_at_busiest(passing, sent.core.size), chip.name)
    limit = chip.limit("routing_entries_per_router")
    cuts = np.searchsorted(passing.router, np.arange(noc.n_routers + 1))
    found = [
        _entries(_Passing(*(column[first:last] for column in passing)), keys, limit)
        for first, last in pairwise(cuts.tolist())
    ]
    return Tables(
        chip_name=chip.name, limit=limit, noc=noc, core=program.core.astype(np.int64), there=there,
        packet_source=sent.source, packet_key=keys.packet,
        router=tuple(entries for entries, _ in found), way_first=way_first, way_port=way_port,
        straight=onward(noc), n_before=np.array([n for _, n in found], np.int64),
    )  # fmt: skip


def _ways_at_busiest(passing: _Passing, n_bundles: int) -> Array:
    """Tell the ways that need entries, at the routers that most bundles pass; int32 [n_bundles, n]."""
    routers, count = np.unique(passing.router, return_counts=True)
    busiest = routers[np.lexsort((routers, -count))[: max(SPREAD // max(n_bundles, 1), 1)]]
    column = np.full(int(passing.router.max(initial=0)) + 1, -1)
    column[busiest] = np.arange(busiest.size)
    mine = (column[passing.router] >= 0) & ~passing.straight
    ways = np.full((n_bundles, busiest.size), ABSENT, np.int32)
    ways[passing.bundle[mine], column[passing.router[mine]]] = passing.way[mine]
    return ways


def onward(noc: Noc) -> Array:
    """Link that goes on in the direction of each, -1 where there is none; int64 [n_links].

    On a grid, links of one direction end at ports of one side.
    """
    found = np.full(noc.n_links, -1)
    if noc.topology not in ("mesh", "torus", "chips"):
        return found
    place = {
        (start, port): link
        for link, (start, port) in enumerate(
            zip(noc.link_from.tolist(), noc.link_port.tolist(), strict=True)
        )
    }
    for link, (end, port) in enumerate(
        zip(noc.link_to.tolist(), noc.link_port.tolist(), strict=True)
    ):
        found[link] = place.get((end, port), -1)
    return found


def _entries(passing: _Passing, keys: Keys, limit: int) -> tuple[Entries, int]:
    """Make a router's entries, few enough if they can be; and tell how many they were at first."""
    blocks = Entries(keys.first[passing.bundle], keys.mask[passing.bundle], passing.way)
    raw = raw_entries(blocks, passing.straight)
    n = raw.key.size
    if n <= limit:
        return raw, n
    entries = shortest_prefixes(blocks, passing.straight)
    if entries.key.size > limit:
        entries = ordered_covering(entries, blocks, passing.straight, limit)
    return entries, n


def _passing(sent: Sent, noc: Noc, there: Array, straight: Array) -> tuple[_Passing, Array, Array]:
    """Follow each bundle to its cores, and number the sets of ports by which it leaves routers."""
    n_ports = noc.n_ports
    taken, came = [], []
    bundle = np.repeat(np.arange(sent.core.size), np.diff(sent.first))
    target = there[sent.target]
    at, goal = noc.core_router[there[sent.core[bundle]]], noc.core_router[target]
    taken.append((goal * sent.core.size + bundle) * n_ports + noc.n_links + target)
    while True:
        moving = at != goal
        bundle, at, goal = bundle[moving], at[moving], goal[moving]
        if not at.size:
            break
        link = next_link(noc, at, goal)
        taken.append(np.unique((at * sent.core.size + bundle) * n_ports + link))
        came.append(np.unique((noc.link_to[link] * sent.core.size + bundle) * n_ports + link))
        at = noc.link_to[link]
    place, port = np.divmod(np.unique(np.concatenate(taken)), n_ports)
    begins = np.flatnonzero(np.append(True, np.diff(place) != 0)[: place.size])
    where = place[begins]
    way, way_first, way_port = _numbered(port, np.append(begins, place.size))
    entered, by = np.divmod(np.concatenate([np.empty(0, np.int64), *came]), n_ports)
    arrival = np.full(where.size, -1)
    arrival[np.searchsorted(where, entered)] = by
    alone = way_port[np.minimum(way_first[way], max(way_port.size - 1, 0))]
    goes_on = (arrival >= 0) & (np.diff(way_first)[way] == 1)
    goes_on &= alone == np.where(arrival >= 0, straight[arrival], -1) if straight.size else False
    router, bundle = np.divmod(where, max(sent.core.size, 1))
    return _Passing(router, bundle, way, goes_on), way_first, way_port


def _numbered(port: Array, cuts: Array) -> tuple[Array, Array, Array]:
    """Number equal runs alike.

    Returns
    -------
    (number of each run, where each different run begins, their values)
    """
    number: dict[bytes, int] = {}
    way = np.array(
        [
            number.setdefault(port[first:last].tobytes(), len(number))
            for first, last in pairwise(cuts.tolist())
        ],
        np.int64,
    )
    runs = [np.frombuffer(run, np.int64) for run in number]
    first = np.concatenate([[0], np.cumsum([run.size for run in runs])]).astype(np.int64)
    return way, first, np.concatenate([np.empty(0, np.int64), *runs])
