"""Fabrics: what carries packets from core to core, and how long a tick takes with it.

Function never waits for physics: a fabric looks at what happened in some ticks
(`emulator.traffic.Activity`) and says how long each of them took. `FABRICS` lists them all.
"""

from collections.abc import Callable
from functools import partial
from typing import Protocol

from emulator.carried import Carried, no_traffic
from emulator.chip import Chip
from emulator.ideal import crowd_of, ideal_ticks, latencies_of
from emulator.linked import LinksCarry
from emulator.noc.scratch import Traffic
from emulator.packet_log import Rows, unhindered
from emulator.program import Program
from emulator.queued import QueuedCarry
from emulator.traffic import Activity, Packets, Ticks
from emulator.ways import n_routers_used


class Carry(Protocol):
    """A fabric at work for one program on one chip.

    Ticks do not depend on each other, and several threads may call it for different ticks, each
    with statistics of its own.
    """

    def __call__(
        self, activity: Activity, first: int, last: int, ticks: Ticks, traffic: Traffic,
        log: list[Rows] | None = None,
    ) -> None:  # fmt: skip
        """Fill in the ticks ``first:last`` of a block, and add what was carried to ``traffic``.

        Parameters
        ----------
        log : list of Rows, optional
            Gets every packet.
        """

    def fresh_traffic(self) -> Traffic:
        """Statistics of nothing yet."""

    def carried(self, traffic: Traffic) -> Carried | None:
        """Sort statistics; None where totals follow from the counters alone."""


class _FreeCarry:
    """Fabrics without contention: ``ideal`` and ``simple`` (`emulator.ideal`)."""

    def __init__(
        self, program: Program, chip: Chip, packets: Packets, *, ways_count: bool = True
    ) -> None:
        latencies = latencies_of(program, chip, packets, barrier_ps(program, chip))
        crowd = crowd_of(packets, latencies)
        listed = packets if crowd is None else None
        self._packets = packets
        self._tables = listed, crowd, latencies, program.n_neurons, ways_count

    def __call__(
        self, activity: Activity, first: int, last: int, ticks: Ticks, traffic: Traffic,
        log: list[Rows] | None = None,
    ) -> None:  # fmt: skip
        ideal_ticks(activity, *self._tables, first, last, ticks)
        if log is not None:
            _, _, latencies, n_neurons, ways_count = self._tables
            log.append(
                unhindered(
                    activity, first, last, self._packets, latencies, n_neurons,
                    ways_count=ways_count,
                )
            )  # fmt: skip

    def fresh_traffic(self) -> Traffic:
        return no_traffic()

    def carried(self, traffic: Traffic) -> None:
        return None


def _queued(program: Program, chip: Chip, packets: Packets) -> Carry:
    """Every packet and link, with finite buffers (`emulator.queued`)."""
    return QueuedCarry(program, chip, packets, barrier_ps(program, chip))


def _links(program: Program, chip: Chip, packets: Packets) -> Carry:
    """Waiting for links, never for room (`emulator.linked`)."""
    return LinksCarry(program, chip, packets, barrier_ps(program, chip))


def barrier_ps(program: Program, chip: Chip) -> int:
    """Time that ends every tick of a program."""
    if chip.timing is None:
        return 0
    return chip.timing.barrier_ps(n_routers_used(program.core, chip))


FABRICS: dict[str, Callable[[Program, Chip, Packets], Carry]] = {
    "simple": partial(_FreeCarry, ways_count=False),
    "ideal": _FreeCarry,
    "links": _links,
    "queued": _queued,
}
FABRIC_NAMES = (*FABRICS, "simpy")
"""All fabrics; ``simpy`` lives in the engine's own environment (`emulator.simulation`)."""
