"""Fabric ``queued``: every packet, every link, finite buffers and back-pressure, tick by tick.

Packets are made of spikes (`emulator.sending`) and carried through the compiled network
(`emulator.noc.carry`). A tick ends when every core and every packet is done, plus the barrier.
"""

from functools import cache
from queue import Empty, SimpleQueue
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from emulator import sending
from emulator.carried import Carried, carried_of
from emulator.chip import Chip
from emulator.noc.carry import carry_tick
from emulator.noc.of_chip import noc_of
from emulator.noc.queued import KERNELS, FabricError, carry_rules, told
from emulator.noc.scratch import OK, Scratch, Traffic, make_scratch, make_traffic
from emulator.noc.ways import diameter
from emulator.packet_log import Rows, arrivals, followed
from emulator.program import Program
from emulator.sending import Room, Sendings, end_tick, fill_room, make_room, sendings_of
from emulator.traffic import Activity, Packets, Ticks
from traces.jit import kernel, specialised

Array = NDArray[Any]

# Bound by `emulator.noc.queued.carry_rules`.
FORKS = False

_ROOM = 1 << 10
"""Packets in a tick that there is room for at first."""


@kernel
def queued_ticks(
    activity: Activity, sendings: Sendings, n_neurons: int, barrier_ps: int, first: int, last: int,
    ticks: Ticks, room: Room, scratch: Scratch, traffic: Traffic, no_bits: Array, no_starts: Array,
) -> tuple[int, int, int, int]:  # fmt: skip
    """Carry the packets of the ticks ``first:last``.

    Returns
    -------
    (ticks done, status, packets, copies)
        Of the tick that did not fit into the room or the network, if any.
    """
    for tick in range(first, last):
        n, n_copies = fill_room(activity, sendings, n_neurons, tick, room)
        if n > room.created_ps.size or n_copies > room.n_syn.size:
            return tick, OK, n, n_copies
        status, _, busiest, _, _ = carry_tick(
            room.first_packet, room.created_ps, room.target, room.n_syn, no_bits,
            room.first_copy[: n if FORKS else 0], room.delivered_ps[:n_copies], no_starts, scratch,
            traffic,
        )  # fmt: skip
        if status != OK:
            return tick, status, n, n_copies
        end_tick(activity, tick, n_copies, room, barrier_ps, busiest, ticks)
    return last, OK, 0, 0


@cache
def _compiled(**rules: bool) -> dict[str, Any]:
    return specialised([*KERNELS, *sending.KERNELS, queued_ticks], rules)


class _Place(NamedTuple):
    """Memory of one thread."""

    room: Room
    scratch: Scratch


class QueuedCarry:
    """A program's packets through the compiled network; threads may call it for different ticks.

    Parameters
    ----------
    program, chip, packets
    barrier_ps : int

    Raises
    ------
    FabricError
        At a call, if a tick lasts longer than the network can tell, with the tick.
    """

    def __init__(self, program: Program, chip: Chip, packets: Packets, barrier_ps: int) -> None:
        self._noc, there = noc_of(chip, program.core)
        self._chip, self._barrier_ps = chip, barrier_ps
        self._n_neurons, self._n_cores = program.n_neurons, program.n_cores
        self._sendings, self._forest = sendings_of(program, packets, self._noc, there, chip)
        bits = chip.fabric.packet_bits
        rules = carry_rules(self._noc, bits, forks=self._forest is not None)
        self._kernels = _compiled(**rules)
        self._starts_most = diameter(self._noc)
        self._places: SimpleQueue[_Place] = SimpleQueue()

    def __call__(
        self, activity: Activity, first: int, last: int, ticks: Ticks, traffic: Traffic,
        log: list[Rows] | None = None,
    ) -> None:  # fmt: skip
        """Fill ``ticks[first:last]``."""
        try:
            place = self._places.get_nowait()
        except Empty:
            place = self._new_place(_ROOM, _ROOM)
        if log is not None:
            self._follow(activity, first, last, ticks, traffic, log, place)
            return
        no_bits, no_starts = np.zeros(0, np.int64), np.zeros((0, 4), np.int64)
        while True:
            first, status, n, n_copies = self._kernels["queued_ticks"](
                activity, self._sendings, self._n_neurons, self._barrier_ps, first, last, ticks,
                place.room, place.scratch, traffic, no_bits, no_starts,
            )  # fmt: skip
            self._check(status, first, place.room, n_copies)
            if first == last:
                break
            place = self._new_place(n + n // 4, n_copies + n_copies // 4)
        self._places.put(place)

    def _follow(
        self, activity: Activity, first: int, last: int, ticks: Ticks, traffic: Traffic,
        log: list[Rows], place: _Place,
    ) -> None:  # fmt: skip
        """Carry tick by tick, and list what became of every packet."""
        kernels, sendings, bits = self._kernels, self._sendings, self._chip.fabric.packet_bits
        no_bits, forks = np.zeros(0, np.int64), self._forest is not None
        for tick in range(first, last):
            fill = kernels["fill_room"]
            n, n_copies = fill(activity, sendings, self._n_neurons, tick, place.room)
            if n > place.room.created_ps.size or n_copies > place.room.n_syn.size:
                place = self._new_place(n + n // 4, n_copies + n_copies // 4)
                fill(activity, sendings, self._n_neurons, tick, place.room)
            room = place.room
            starts = np.zeros((n_copies * (self._starts_most + 2), 4), np.int64)
            status, _, busiest, _, n_starts = kernels["carry_tick"](
                room.first_packet, room.created_ps, room.target, room.n_syn, no_bits,
                room.first_copy[: n if forks else 0], room.delivered_ps[:n_copies], starts,
                place.scratch, traffic,
            )  # fmt: skip
            self._check(status, tick, room, n_copies)
            kernels["end_tick"](activity, tick, n_copies, room, self._barrier_ps, busiest, ticks)
            arrived = arrivals(starts[:n_starts], self._noc, bits, room, n, n_copies, sendings)
            log.append(followed(tick, room, n, n_copies, sendings, arrived))
        self._places.put(place)

    def _check(self, status: int, tick: int, room: Room, n_copies: int) -> None:
        if status != OK:
            missing = int((room.delivered_ps[:n_copies] < 0).sum())
            raise FabricError(
                f"{self._chip.name}, tick {tick} of the block: "
                + told(self._noc, status, missing, n_copies)
            )

    def _new_place(self, n: int, n_copies: int) -> _Place:
        capacity = n
        if self._forest is not None:
            # A packet that forks is split into no more parts than its tree has edges.
            capacity = n * (1 + int(self._forest.n_edges_of().max(initial=1)))
        scratch = make_scratch(
            self._noc, capacity, bits=self._chip.fabric.packet_bits, forest=self._forest
        )
        room = make_room(self._noc.n_cores, self._n_cores, n, n_copies)
        return _Place(room, scratch)

    def fresh_traffic(self) -> Traffic:
        """Statistics of nothing yet."""
        return make_traffic(self._noc)

    def carried(self, traffic: Traffic) -> Carried:
        """Sort statistics."""
        return carried_of(self._noc, traffic)
