"""Fabric ``links``: packets wait for links, but never for room; another model than ``queued``.

See `emulator.noc.links`. It is faster, and agrees with ``queued`` where nothing blocks.
"""

from functools import cache
from typing import Any

from emulator import sending
from emulator.carried import Carried, add_to, carried_of
from emulator.chip import Chip
from emulator.errors import FabricChoiceError
from emulator.noc.links import carry_links, link_order
from emulator.noc.of_chip import noc_of
from emulator.noc.scratch import Traffic, make_traffic
from emulator.packet_log import Rows, followed
from emulator.program import Program
from emulator.sending import make_room, packets_in, sendings_of
from emulator.traffic import Activity, Packets, Ticks
from traces.jit import specialised


@cache
def _compiled() -> dict[str, Any]:
    return specialised(sending.KERNELS, {"FORKS": False})


class LinksCarry:
    """A program's packets over links without limits of buffers.

    Raises
    ------
    FabricChoiceError
        If the links of the chip's network cannot be put in order, or packets fork.
    """

    def __init__(self, program: Program, chip: Chip, packets: Packets, barrier_ps: int) -> None:
        if chip.fabric.multicast:
            raise FabricChoiceError(
                f"{chip.name}: its packets fork in routers, which fabric links does not know; use "
                "fabric queued"
            )
        self._noc, there = noc_of(chip, program.core)
        try:
            link_order(self._noc)
        except ValueError as error:
            raise FabricChoiceError(f"{chip.name}: {error}") from error
        self._bits, self._barrier_ps = chip.fabric.packet_bits, barrier_ps
        self._n_neurons, self._n_cores = program.n_neurons, program.n_cores
        self._sendings, _ = sendings_of(program, packets, self._noc, there, chip)

    def __call__(
        self, activity: Activity, first: int, last: int, ticks: Ticks, traffic: Traffic,
        log: list[Rows] | None = None,
    ) -> None:  # fmt: skip
        """Fill ``ticks[first:last]``."""
        kernels = _compiled()
        room = make_room(self._noc.n_cores, self._n_cores, 0, 0)
        for tick in range(first, last):
            n, _ = kernels["fill_room"](activity, self._sendings, self._n_neurons, tick, room)
            if n > room.created_ps.size:
                room = make_room(self._noc.n_cores, self._n_cores, n, n)
                kernels["fill_room"](activity, self._sendings, self._n_neurons, tick, room)
            done = carry_links(self._noc, packets_in(room, n, n, forks=False), bits=self._bits)
            room.delivered_ps[:n] = done.delivered_ps
            add_to(traffic, done.traffic)
            if log is not None:
                log.append(followed(tick, room, n, n, self._sendings, done.arrived_ps))
            kernels["end_tick"](activity, tick, n, room, self._barrier_ps, done.busiest, ticks)

    def fresh_traffic(self) -> Traffic:
        """Statistics of nothing yet."""
        return make_traffic(self._noc)

    def carried(self, traffic: Traffic) -> Carried:
        """Sort statistics."""
        return carried_of(self._noc, traffic)
