"""Fabric ``queued``: the compiled discrete-event network, called from Python."""

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emulator.noc import carry as kernels
from emulator.noc.packets import Outcome, Packets, check_packets, undelivered
from emulator.noc.scratch import (
    OK,
    RECORD_FULL,
    TIME_OVERFLOW,
    TOO_MANY,
    UNDELIVERED,
    least_service_ps,
    make_scratch,
    make_traffic,
)  # fmt: skip
from emulator.noc.topology import Noc
from emulator.noc.trees import Forest
from emulator.noc.ways import ways
from traces.jit import specialised

Array = NDArray[Any]


class FabricError(RuntimeError):
    """The network broke off a tick; the text says why."""


# In the order in which `specialised` wants them.
KERNELS = (kernels.latency_place, kernels.carry_tick)


def carry_rules(noc: Noc, bits_min: int = 0, *, forks: bool = False) -> dict[str, bool]:
    """Return what is bound into `KERNELS` for a network.

    Kernels that call `carry_tick` are specialised together with it:
    ``specialised([*KERNELS, mine], {**carry_rules(noc), **my_rules})``.

    Parameters
    ----------
    noc : Noc
    bits_min : int
        Least size of packets; where a link or ejection port then takes no time, a winner tree
        takes the place of the time wheel.
    forks : bool
        Whether packets fork.
    """
    wheel = least_service_ps(noc, bits_min) > 0
    # Rare networks share code that looks behind a server for each head: less to compile.
    return {"WHEEL": wheel, "CLASSES": noc.n_classes > 1 or forks or not wheel, "FORKS": forks}


def carry_kernel(noc: Noc, bits_min: int = 0, *, forks: bool = False) -> Any:
    """Return `emulator.noc.carry.carry_tick`, compiled for a network; see `carry_rules`."""
    return _bound(**carry_rules(noc, bits_min, forks=forks))


@cache
def _bound(**rules: bool) -> Any:
    return specialised(KERNELS, rules)["carry_tick"]


def carry(
    noc: Noc,
    packets: Packets,
    *,
    bits: int = 0,
    forest: Forest | None = None,
    record: bool = False,
) -> Outcome:
    """Carry one tick's packets through an empty network.

    Parameters
    ----------
    noc : Noc
    packets : Packets
    bits : int
        Size of every packet, where `packets` has no sizes.
    forest : Forest, optional
        Trees of packets that fork.
    record : bool
        Whether to list every start.

    Returns
    -------
    Outcome

    Raises
    ------
    ValueError
        If the packets do not fit the network.
    FabricError
        If the tick lasts longer than times can tell.
    """
    check_packets(noc, packets, forest)
    n_rows = n_starts = 0
    if forest is not None:
        n_rows = int(forest.n_edges_of()[packets.target].sum())
        n_starts = n_rows + packets.n_syn.size
    elif record:
        n_starts = int(ways(noc, packets.source, packets.target).hops.sum()) + 2 * packets.n
    bits_min = int(packets.bits.min()) if packets.bits.size else bits
    scratch = make_scratch(
        noc,
        packets.n + n_rows,
        bits=0 if packets.bits.size else bits,
        bits_min=bits_min,
        forest=forest,
    )
    traffic = make_traffic(noc)
    delivered_ps = np.full(packets.n_syn.size, -1, np.int64)
    starts = np.zeros((n_starts if record else 0, 4), np.int64)
    run = carry_kernel(noc, bits_min, forks=forest is not None)
    status, end_ps, busiest, busiest_ps, n_used = run(
        packets.first_packet, packets.created_ps, packets.target, packets.n_syn, packets.bits,
        packets.first_copy, delivered_ps, starts, scratch, traffic,
    )  # fmt: skip
    if status != OK:
        raise FabricError(told(noc, status, int((delivered_ps < 0).sum()), delivered_ps.size))
    starts = starts[:n_used]
    return Outcome(
        delivered_ps=delivered_ps, end_ps=end_ps, busiest=busiest, busiest_ps=busiest_ps,
        traffic=traffic, starts=starts[np.lexsort(starts.T[::-1])],
    )  # fmt: skip


def told(noc: Noc, status: int, n_missing: int, n: int) -> str:
    """Say why a tick broke off."""
    if status == UNDELIVERED:
        return undelivered(noc, n_missing, n)
    return {
        TIME_OVERFLOW: (
            f"{noc.topology}: a tick of {n:,} packets lasts longer than packed times can tell; "
            "give links, ejection ports and cores a service of at least 1 ps each, or send less"
        ),
        TOO_MANY: f"{noc.topology}: {n:,} packets exceed the capacity that the scratch was made for",
        RECORD_FULL: f"{noc.topology}: more starts than there are rows to record them",
    }[status]
