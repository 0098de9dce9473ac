"""Fabric ``simpy``: an engine's packets as processes in its own environment, for users to extend.

The same rules as ``queued`` (`emulator.noc.simulated` has them in readable form), and the same
times, to the picosecond. Whatever else runs in the environment can watch packets and fail links.
"""

from collections.abc import Callable, Generator, Mapping
from typing import Any

import numpy as np
import simpy
from numpy.typing import NDArray

from emulator import sending
from emulator.carried import Carried, carried_of
from emulator.chip import Chip
from emulator.noc.of_chip import noc_of
from emulator.noc.queued import carry_rules
from emulator.noc.scratch import Traffic, latency_bin
from emulator.noc.simulated import Packet, SimulatedNoc
from emulator.noc.simulated_tick import listed
from emulator.packet_log import Rows
from emulator.program import Program
from emulator.sending import make_room, packets_in, sendings_of
from emulator.snapshot import check_arrays, of_columns, take_columns
from emulator.traffic import Activity, Packets, Ticks, fresh_ticks
from traces.jit import specialised

Array = NDArray[Any]


class Simulation:
    """A program's packets in a SimPy environment.

    Parameters
    ----------
    env : simpy.Environment
    program, chip, packets
    barrier_ps : int

    Attributes
    ----------
    network : SimulatedNoc
    on_delivery : list of callable
        Called with (packet, target core of the network, ps) when a core is done with a packet.
    lost : list of (sending, core in use)
        What was lost since somebody emptied the list.
    log : list of Rows
        Packets of the last tick, where they are logged.
    """

    def __init__(
        self,
        env: simpy.Environment,
        program: Program,
        chip: Chip,
        packets: Packets,
        barrier_ps: int,
        *,
        log_packets: bool = False,
    ) -> None:
        self.env, self._chip, self._barrier_ps = env, chip, barrier_ps
        self._noc, there = noc_of(chip, program.core)
        self.network = SimulatedNoc(
            env,
            self._noc,
            on_start=self._note if log_packets else None,
            on_delivery=self._delivered,
            on_drop=self._dropped,
        )
        for _ in self.network.servers:
            env.step()  # they begin to wait now: what `env` holds from here on is of others
        self.on_delivery: list[Callable[[Packet, int, int], None]] = []
        self.lost: list[tuple[int, int]] = []
        self.log: list[Rows] = []
        self._came: dict[tuple[int, int], int] = {}
        self._rows: list[tuple[int, int, int, int, int]] | None = [] if log_packets else None
        self._in_use = {int(place): k for k, place in enumerate(there)}
        self._n_neurons, self._n_cores = program.n_neurons, program.n_cores
        self._sendings, self._forest = sendings_of(program, packets, self._noc, there, chip)
        rules = carry_rules(self._noc, chip.fabric.packet_bits, forks=self._forest is not None)
        self._kernels = specialised(sending.KERNELS, {"FORKS": rules["FORKS"]})
        self._room = make_room(self._noc.n_cores, self._n_cores, 0, 0)
        self._latency = np.zeros_like(self.network.traffic().latency)
        self._done_ps = np.zeros(self._n_cores, np.int64)
        self._sent: Array = np.zeros(0, np.int64)
        self._start_ps = self._n_open = 0
        self._all_done: simpy.Event | None = None

    def fail(self, link: str, at_ps: int | None = None) -> None:
        """Let a link fail, now or later: what starts on it from then on is lost.

        Parameters
        ----------
        link : str
            Such as ``(2,1) east``.
        at_ps : int, optional

        Raises
        ------
        ValueError
            If there is no such link, or packets fork on this chip.
        """
        names = self._noc.link_name
        if link not in names:
            raise ValueError(
                f"there is no link {link!r}; there are {', '.join(names[:8])}"
                + (f" and {len(names) - 8} more" if len(names) > 8 else "")
            )
        rules = self._chip.arithmetic
        for is_so, what in (
            (self._forest is not None, "its packets fork (fabric.multicast)"),
            (rules.accumulate == "each", "spikes saturate one by one (arithmetic.accumulate)"),
            (rules.axons == "binary", "spikes on an axon merge (arithmetic.axons)"),
        ):
            if is_so:
                raise ValueError(
                    f"{self._chip.name}: {what}, so that it is not known what a lost packet would "
                    "have added; links of such a chip cannot fail"
                )
        self.network.fail(names.index(link), int(self.env.now) if at_ps is None else at_ps)

    def tick(self, activity: Activity) -> Generator[simpy.Event, Any, Ticks]:
        """Carry one tick's packets; time passes until the barrier is reached.

        Returns
        -------
        Ticks
            One.
        """
        start_ps = int(self.env.now)
        n, n_copies = self._fill(activity)
        self._done_ps[:] = activity.update_ps[0]
        self._start_ps = start_ps
        self._sent = self._room.sending[:n].copy()
        before = self._links()
        packets = packets_in(self._room, n, n_copies, forks=self._forest is not None)
        self._n_open = self.network.n_delivered + self.network.n_dropped + n_copies
        if n_copies:
            self._all_done = all_done = self.env.event()
            for packet in listed(packets, self._chip.fabric.packet_bits, self._forest):
                self.network.send(_later(packet, start_ps))
            yield all_done
        if self._rows is not None:
            sending, *rows = np.array(self._rows, np.int64).reshape(-1, 5).T
            source = np.searchsorted(self._sendings.first, sending, "right") - 1
            self.log = [Rows(np.zeros_like(source), source, *rows)]
            self._rows.clear()
        ticks = fresh_ticks(1)
        used, busy = self._links() - before
        if used.any():
            ticks.busiest_link[0] = int(np.where(used, busy, -1).argmax())
        ticks.slowest_core[0] = int(self._done_ps.argmax())
        ticks.duration_ps[0] = int(self._done_ps.max(initial=0)) + self._barrier_ps
        rest = start_ps + int(ticks.duration_ps[0]) - int(self.env.now)
        if rest > 0:
            yield self.env.timeout(rest)
        # What waited for a link that failed may have ended after all that arrived.
        ticks.duration_ps[0] = int(self.env.now) - start_ps
        return ticks

    def _fill(self, activity: Activity) -> tuple[int, int]:
        fill = self._kernels["fill_room"]
        n, n_copies = fill(activity, self._sendings, self._n_neurons, 0, self._room)
        if n > self._room.created_ps.size or n_copies > self._room.n_syn.size:
            self._room = make_room(self._noc.n_cores, self._n_cores, 2 * n, 2 * n_copies)
            n, n_copies = fill(activity, self._sendings, self._n_neurons, 0, self._room)
        return int(n), int(n_copies)

    def _links(self) -> Array:
        """Packets on each link so far, and how long they kept it busy; int64 [2, n_links]."""
        links = self.network.links
        columns = [[link.n_packets for link in links], [link.busy_ps for link in links]]
        return np.array(columns, np.int64)

    def _delivered(self, packet: Packet, target: int, ps: int) -> None:
        core = self._in_use[target]
        self._done_ps[core] = max(int(self._done_ps[core]), ps - self._start_ps)
        self._latency[int(latency_bin(ps - packet.created_ps))] += 1
        for observer in self.on_delivery:
            observer(packet, target, ps)
        if self._rows is not None:
            came = self._came.pop((packet.identity, target))
            sending = int(self._sent[packet.identity])
            start_ps = self._start_ps
            left_ps = packet.created_ps - start_ps
            self._rows.append((sending, core, left_ps, came - start_ps, ps - start_ps))
        self._count()

    def _note(self, server: int, packet: Packet, ps: int, delta: int) -> None:
        """Foretell when what an ejection port starts to serve will be at its core."""
        core = server - self._noc.n_links
        if 0 <= core < self._noc.n_cores:
            fixed, each, flight = (
                int(column[core])
                for column in (
                    self._noc.eject_fixed_ps, self._noc.eject_bit_ps, self._noc.eject_flight_ps,
                )
            )  # fmt: skip
            self._came[packet.identity, core] = ps + fixed + packet.bits * each + flight

    def _dropped(self, packet: Packet, target: int, ps: int) -> None:
        self.lost.append((int(self._sent[packet.identity]), self._in_use[target]))
        self._count()

    def _count(self) -> None:
        gone = self.network.n_delivered + self.network.n_dropped
        if gone == self._n_open and self._all_done is not None:
            self._all_done.succeed()
            self._all_done = None

    def carried(self) -> Carried:
        """Statistics so far."""
        return carried_of(self._noc, self._traffic(), dropped=self.network.n_dropped)

    def _traffic(self) -> Traffic:
        return self.network.traffic()._replace(latency=self._latency.copy())

    def saved(self) -> dict[str, Array]:
        """Name copies of all that lasts from tick to tick."""
        network = self.network
        counts = [network.n_sent, network.n_delivered, network.n_dropped]
        return {
            **of_columns("traffic", self._traffic()),
            "network_counts": np.array(counts, np.int64),
            "network_fails_ps": np.array([link.fails_ps for link in network.links], np.int64),
        }

    def resume(self, arrays: Mapping[str, Array]) -> None:
        """Go on where `saved` was taken.

        Raises
        ------
        SnapshotError
        """
        traffic = self._traffic()
        take_columns("traffic", traffic, arrays)
        ours = self.saved()
        check_arrays(arrays, {name: ours[name] for name in ("network_counts", "network_fails_ps")})
        self.network.resume(traffic, arrays["network_counts"], arrays["network_fails_ps"])
        self._latency[:] = traffic.latency


def _later(packet: Packet, start_ps: int) -> Packet:
    """Count a packet's creation from the start of the run."""
    return Packet(
        source=packet.source, targets=packet.targets, created_ps=packet.created_ps + start_ps,
        n_syn=packet.n_syn, bits=packet.bits, neuron=packet.neuron, sequence=packet.sequence,
        identity=packet.identity,
    )  # fmt: skip
