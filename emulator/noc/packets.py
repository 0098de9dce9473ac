"""What a network carries in a tick, and what becomes of it."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emulator.noc.scratch import Traffic
from emulator.noc.topology import COST_MAX, Noc
from emulator.noc.trees import Forest

Array = NDArray[Any]

# So that a service, and the sum of a few, stays within 64 bits: sizes times costs up to COST_MAX.
SIZE_MAX = 2**20 - 1
CREATED_MAX = 2**60


def _nothing() -> Array:
    return np.zeros(0, np.int64)


@dataclass(frozen=True, kw_only=True)
class Packets:
    """A tick's packets, grouped by source core and in the order of their injection.

    Attributes
    ----------
    first_packet : int64 [n_cores + 1]
        Packets of core k are first_packet[k] to first_packet[k + 1], ascending by creation, then
        neuron, then sequence.
    created_ps : int64 [n]
    target : int32 [n]
        Target core; of packets that fork, their tree.
    n_syn : int32 [n], or [n_copies] of packets that fork
        Synaptic events at the target.
    bits : int64 [n] or [0]
        Sizes; empty if all packets have the size that is told elsewhere.
    first_copy : int64 [n] or [0]
        Of packets that fork: where their copies begin in what is counted by copies; copies are in
        the order of their tree's targets.
    """

    first_packet: Array
    created_ps: Array
    target: Array
    n_syn: Array
    bits: Array = field(default_factory=_nothing)
    first_copy: Array = field(default_factory=_nothing)

    @property
    def n(self) -> int:
        """Packets."""
        return int(self.created_ps.size)

    @property
    def source(self) -> Array:
        """Source core of each packet, int64 [n]."""
        return np.repeat(np.arange(self.first_packet.size - 1), np.diff(self.first_packet))


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of a tick's packets.

    Attributes
    ----------
    delivered_ps : int64 [n] or [n_copies]
        When the target core was done with a packet.
    end_ps : int
        The last of them; 0 if there was none.
    busiest, busiest_ps : int
        Link that was busy longest, the first of equals, and how long; -1 and 0 if none was used.
    traffic : Traffic
    starts : int64 [n_starts, 4]
        Server, packet, ps and delta of every start, sorted; empty if not recorded.
    arrived_ps : int64 [n] or [0]
        When packets came to their cores, where there are no starts.
    """

    delivered_ps: Array
    end_ps: int
    busiest: int
    busiest_ps: int
    traffic: Traffic
    starts: Array
    arrived_ps: Array = field(default_factory=_nothing)


def packets_of(
    noc: Noc,
    source: Array,
    target: Array,
    created_ps: Array,
    n_syn: Array,
    *,
    bits: Array | None = None,
    neuron: Array | None = None,
) -> tuple[Packets, Array]:
    """Group packets by source core and sort them by creation, neuron and place in the arguments.

    Parameters
    ----------
    noc : Noc
    source, target, created_ps, n_syn : int [n]
    bits : int [n], optional
    neuron : int [n], optional
        Decides among packets of one core that are created at the same ps.

    Returns
    -------
    Packets
        With a target each.
    int64 [n]
        Which of the arguments each packet was.
    """
    source = np.asarray(source)
    order = np.lexsort((np.zeros_like(source) if neuron is None else neuron, created_ps, source))
    packets = Packets(
        first_packet=np.searchsorted(source[order], np.arange(noc.n_cores + 1)).astype(np.int64),
        created_ps=np.asarray(created_ps, np.int64)[order],
        target=np.asarray(target, np.int32)[order],
        n_syn=np.asarray(n_syn, np.int32)[order],
        bits=_nothing() if bits is None else np.asarray(bits, np.int64)[order],
    )
    check_packets(noc, packets)
    return packets, order


def check_packets(noc: Noc, packets: Packets, forest: Forest | None = None) -> None:
    """Refuse packets that a network cannot carry.

    Raises
    ------
    ValueError
        Naming every column that is wrong, with the numbers.
    """
    n = packets.n
    n_copies, n_goals, goal = n, noc.n_cores, "core"
    found = []
    if forest is not None:
        goal, n_goals = "tree", forest.n_trees
    for name, column, size in (
        ("first_packet", packets.first_packet, noc.n_cores + 1),
        ("target", packets.target, n),
        ("first_copy", packets.first_copy, 0 if forest is None else n),
    ):
        if column.shape != (size,):
            found.append(f"{name}: shape ({size},) expected, got {column.shape}")
    if packets.bits.size and packets.bits.shape != (n,):
        found.append(f"bits: one for each of {n} packets expected, got {packets.bits.shape}")
    if not found:
        if packets.first_packet[0] != 0 or packets.first_packet[-1] != n:
            found.append(f"first_packet: must begin with 0 and end with the {n} packets")
        elif np.any(np.diff(packets.first_packet) < 0):
            found.append("first_packet: must ascend")
        if n and not 0 <= packets.target.min() <= packets.target.max() < n_goals:
            found.append(
                f"target: {packets.target.min()} to {packets.target.max()}, but there are "
                f"{n_goals} of kind {goal}"
            )
    if found:
        raise ValueError("\n".join(found))
    if forest is not None:
        n_leaves = np.diff(forest.first_leaf)[packets.target]
        n_copies = int(n_leaves.sum())
        if np.any(packets.first_copy != np.cumsum(n_leaves) - n_leaves):
            found.append("first_copy: copies must follow one another, as the trees' targets do")
        if np.any(forest.source[packets.target] != packets.source):
            found.append("target: a packet's tree must begin at its source core")
    if packets.n_syn.shape != (n_copies,):
        found.append(f"n_syn: one for each of {n_copies} copies, got {packets.n_syn.shape}")
    within = np.flatnonzero(np.diff(packets.created_ps) < 0) + 1
    if np.any(~np.isin(within, packets.first_packet)):
        found.append("created_ps: must ascend within the packets of a core")
    for name, column, most in (
        ("created_ps", packets.created_ps, CREATED_MAX),
        ("n_syn", packets.n_syn, SIZE_MAX),
        ("bits", packets.bits, SIZE_MAX),
    ):
        if column.size and not 0 <= column.min() <= column.max() <= most:
            found.append(f"{name}: {column.min():,} to {column.max():,}; 0 to {most:,} is possible")
    if found:
        raise ValueError("\n".join(found))


def busiest_link(noc: Noc, traffic: Traffic) -> tuple[int, int]:
    """Return the link that was busy longest, the first of equals, and how long; -1, 0 if none."""
    used = np.flatnonzero(traffic.packets[: noc.n_links])
    if not used.size:
        return -1, 0
    link = int(used[np.argmax(traffic.busy_ps[used])])
    return link, int(traffic.busy_ps[link])


def undelivered(noc: Noc, n_missing: int, n: int) -> str:
    """Say that packets were lost, which the rules exclude."""
    return (
        f"{noc.topology}: {n_missing} of {n} packets were not delivered, which must not happen; "
        "please report it with the network and its traffic"
    )


assert SIZE_MAX * COST_MAX + CREATED_MAX < 2**62
