"""The network as SimPy processes: the rules in readable form, and a place to extend them.

A server (link, ejection port or core) is one long-lived process. Every instant is a pair: ps, and
a delta that counts services without duration within it. An instant has phases, told apart by the
priority of events: what happens anyway (finishes, arrivals, the user's own events; 0 and 1), then
entries into injection queues, then every idle server that has something to do decides once.
So no decision depends on the order of what happens at one instant.
"""

from collections import deque
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import Any

import numpy as np
import simpy
from numpy.typing import NDArray

from emulator.noc.scratch import LATENCY_BINS, Traffic
from emulator.noc.topology import HERE, Noc

Array = NDArray[Any]

# Priorities within an instant; those of the next delta begin `DELTA` higher.
ENTER, DECIDE, DELTA = 3, 5, 10

NEVER_PS = 1 << 62


@dataclass(frozen=True, slots=True, kw_only=True)
class Packet:
    """What is sent. (source, neuron, sequence) is unique among packets of one instant.

    Attributes
    ----------
    source : int
        Core.
    targets : tuple of int
        Cores; with more than one, the packet forks where their ways part.
    created_ps : int
    n_syn : tuple of int
        Synaptic events at each target.
    bits, neuron, sequence : int
    identity : int
        For observers.
    """

    source: int
    targets: tuple[int, ...]
    created_ps: int
    n_syn: tuple[int, ...]
    bits: int = 0
    neuron: int = 0
    sequence: int = 0
    identity: int = 0


class Part:
    """A packet on its way to some of its targets, in one buffer since `arrived_ps`."""

    __slots__ = ("arrived_ps", "n_branches", "packet", "targets")

    def __init__(self, packet: Packet, targets: tuple[int, ...]) -> None:
        self.packet, self.targets = packet, targets
        self.arrived_ps = 0
        self.n_branches = 0


class Buffer:
    """A first-in first-out queue before a router's port or a core."""

    __slots__ = ("depth", "feeder", "parts", "peak", "port", "read", "router", "taken")

    def __init__(self, router: int, port: int, depth: int, feeder: "Server | None") -> None:
        self.router, self.port, self.depth, self.feeder = router, port, depth, feeder
        self.parts: deque[Part] = deque()
        self.taken = self.peak = 0  # slots reserved or in use
        self.read: Server | None = None  # of a core's queue, whose only reader is the core

    def has_room(self) -> bool:
        """Whether another slot can be reserved."""
        return self.depth == 0 or self.taken < self.depth

    def take(self) -> None:
        """Reserve a slot."""
        self.taken += 1
        self.peak = max(self.peak, self.taken)


@dataclass(slots=True, eq=False)
class Branch:
    """What the head of a buffer wants of one server."""

    buffer: Buffer
    part: Part
    targets: tuple[int, ...]
    room: Buffer | None  # behind the server; a core has none


@dataclass(slots=True, eq=False)
class Server:
    """A link, an ejection port or a core; of a core `flight_ps` is nothing."""

    number: int
    service_ps: Callable[[Branch], int]
    flight_ps: int = 0
    waiting: list[Branch] = field(default_factory=list)
    in_flight: deque[tuple[Part, Buffer]] = field(default_factory=deque)
    wake: simpy.Event | None = None  # while it is idle and nobody has woken it
    fails_ps: int = NEVER_PS
    n_packets: int = 0
    busy_ps: int = 0


Observer = Callable[..., None]


class SimulatedNoc:
    """A network inside a SimPy environment whose clock is integer picoseconds.

    Parameters
    ----------
    env : simpy.Environment
        May be shared with other processes.
    noc : Noc
    on_start : callable, optional
        Called with (server number, packet, ps, delta) at every start.
    on_delivery : callable, optional
        Called with (packet, target core, ps) when a core is done with a packet.
    on_drop : callable, optional
        Called with (packet, target core, ps) when a packet is lost on a link that has failed.

    Attributes
    ----------
    links, ejections, cores : list of Server
    feeding, queues, injections : list of Buffer
        Behind links (by link, then class), before cores, and of sources.
    n_sent, n_delivered, n_dropped : int
        Copies: a packet counts once for each target.
    stall_ps : list of int
        How long packets of each core waited to enter its injection queue.
    """

    def __init__(
        self,
        env: simpy.Environment,
        noc: Noc,
        *,
        on_start: Observer | None = None,
        on_delivery: Observer | None = None,
        on_drop: Observer | None = None,
    ) -> None:
        self.env, self.noc = env, noc
        self._on_start, self._on_delivery, self._on_drop = on_start, on_delivery, on_drop
        self._delta = self._delta_ps = 0
        self.n_sent = self.n_delivered = self.n_dropped = 0
        self.stall_ps = [0] * noc.n_cores
        self._pending: list[list[tuple[int, int, int, int, Packet]]] = [
            [] for _ in range(noc.n_cores)
        ]
        self._step = noc.step.tolist()
        self._core_router = noc.core_router.tolist()
        self._first_step = (noc.first_link * noc.n_classes).tolist()
        self._make_servers()
        self._make_buffers()
        for server in self.servers:
            env.process(self._serve(server))

    @property
    def servers(self) -> tuple[Server, ...]:
        """All processes of the network."""
        return (*self.links, *self.ejections, *self.cores)

    def _make_servers(self) -> None:
        noc = self.noc

        def moves(fixed_ps: int, bit_ps: int) -> Callable[[Branch], int]:
            return lambda branch: fixed_ps + branch.part.packet.bits * bit_ps

        def works(core: int) -> Callable[[Branch], int]:
            axon_ps, syn_ps = int(noc.axon_ps[core]), int(noc.syn_ps[core])

            def service_ps(branch: Branch) -> int:
                packet = branch.part.packet
                return axon_ps + packet.n_syn[packet.targets.index(core)] * syn_ps

            return service_ps

        self.links = [
            Server(k, moves(*costs[:2]), costs[2])
            for k, costs in enumerate(
                zip(
                    noc.link_fixed_ps.tolist(), noc.link_bit_ps.tolist(),
                    noc.link_flight_ps.tolist(), strict=True,
                )
            )
        ]  # fmt: skip
        self.ejections = [
            Server(noc.n_links + k, moves(*costs[:2]), costs[2])
            for k, costs in enumerate(
                zip(
                    noc.eject_fixed_ps.tolist(), noc.eject_bit_ps.tolist(),
                    noc.eject_flight_ps.tolist(), strict=True,
                )
            )
        ]  # fmt: skip
        self.cores = [Server(noc.n_ports + k, works(k)) for k in range(noc.n_cores)]

    def _make_buffers(self) -> None:
        noc = self.noc
        n_ports = int(noc.link_port.max(initial=-1)) + 1
        self.feeding = [
            Buffer(
                int(noc.link_to[link]), int(noc.link_port[link]) * noc.n_classes + c,
                noc.buffer, self.links[link],
            )
            for link in range(noc.n_links)
            for c in range(noc.n_classes)
        ]  # fmt: skip
        self.queues = [
            Buffer(self._core_router[k], 0, noc.buffer_core, self.ejections[k])
            for k in range(noc.n_cores)
        ]
        for queue, core in zip(self.queues, self.cores, strict=True):
            queue.read = core
        self.injections = [
            Buffer(
                self._core_router[k], n_ports * noc.n_classes + int(noc.core_local[k]),
                noc.buffer_inject, None,
            )
            for k in range(noc.n_cores)
        ]  # fmt: skip
        self._source = {id(queue): k for k, queue in enumerate(self.injections)}

    def send(self, packet: Packet) -> None:
        """Hand a packet to its source core's injection queue, now or in the future.

        Raises
        ------
        ValueError
            If the packet's creation has passed.
        """
        if packet.created_ps < self.env.now:
            raise ValueError(
                f"packet of core {packet.source}: created at {packet.created_ps:,} ps, but it is "
                f"{self.env.now:,} ps already; create it now or later"
            )
        self.n_sent += len(packet.targets)
        key = (packet.created_ps, packet.neuron, packet.sequence, self.n_sent)
        heappush(self._pending[packet.source], (*key, packet))
        self._enter_soon(packet.source, packet.created_ps - int(self.env.now))

    def fail(self, link: int, at_ps: int) -> None:
        """Let a link fail: what starts on it at `at_ps` or later is lost, after its service."""
        self.links[link].fails_ps = at_ps

    def resume(self, traffic: Traffic, counts: Array, fails_ps: Array) -> None:
        """Go on where a network without packets was.

        Parameters
        ----------
        traffic : Traffic
        counts : int64 [3]
            `n_sent`, `n_delivered` and `n_dropped`.
        fails_ps : int64 [n_links]
        """
        self.n_sent, self.n_delivered, self.n_dropped = counts.tolist()
        ports = (*self.links, *self.ejections)
        for server, n, busy in zip(
            ports, traffic.packets.tolist(), traffic.busy_ps.tolist(), strict=True
        ):
            server.n_packets, server.busy_ps = n, busy
        buffers = (*self.feeding, *self.queues, *self.injections)
        for buffer, peak in zip(buffers, traffic.peak.tolist(), strict=True):
            buffer.peak = peak
        self.stall_ps = traffic.stall_ps.tolist()
        for link, ps in zip(self.links, fails_ps.tolist(), strict=True):
            link.fails_ps = ps

    def traffic(self) -> Traffic:
        """Statistics so far, without latencies, which only observers know."""
        ports = (*self.links, *self.ejections)
        buffers = (*self.feeding, *self.queues, *self.injections)
        return Traffic(
            packets=np.array([server.n_packets for server in ports], np.int64),
            busy_ps=np.array([server.busy_ps for server in ports], np.int64),
            peak=np.array([buffer.peak for buffer in buffers], np.int64),
            stall_ps=np.array(self.stall_ps, np.int64),
            latency=np.zeros(LATENCY_BINS, np.int64),
        )

    @property
    def delta(self) -> int:
        """Second number of the current instant."""
        return self._delta if self._delta_ps == self.env.now else 0

    def _event(self, delay_ps: int, priority: int) -> simpy.Event:
        """Make an event that happens after a delay, in a phase of that instant."""
        event = self.env.event()
        event._ok, event._value = True, None
        self.env.schedule(event, priority, delay_ps)  # type: ignore[arg-type]
        return event

    def _wake(self, server: Server) -> None:
        """Let an idle server decide once all else at this instant has happened."""
        event, server.wake = server.wake, None
        if event is not None:
            event._ok, event._value = True, None
            self.env.schedule(event, DELTA * self.delta + DECIDE)  # type: ignore[arg-type]

    def _serve(self, server: Server) -> Generator[simpy.Event, Any, None]:
        """Decide, serve and hand on, for ever."""
        env = self.env
        just_served = False
        while True:
            server.wake = wake = env.event()
            if just_served and server.waiting:
                self._wake(server)
            yield wake
            branch = self._choice(server)
            just_served = branch is not None
            if branch is None:
                continue  # what it waits for will wake it
            server.waiting.remove(branch)
            start_ps, delta = int(env.now), self.delta
            service_ps = server.service_ps(branch)
            server.n_packets += 1
            server.busy_ps += service_ps
            if branch.room is not None:
                branch.room.take()
            if self._on_start is not None:
                self._on_start(server.number, branch.part.packet, start_ps, delta)
            if service_ps > 0:
                yield self._event(service_ps, simpy.events.NORMAL)
            else:
                yield self._event(0, DELTA * (delta + 1))
                self._delta, self._delta_ps = delta + 1, start_ps
            self._leave(branch)
            self._hand_on(server, branch, start_ps >= server.fails_ps)

    def _choice(self, server: Server) -> Branch | None:
        """Choose the oldest head in its buffer, then the lowest port; None if there is no room."""
        chosen = None
        for branch in server.waiting:
            if branch.room is not None and not branch.room.has_room():
                continue
            if chosen is None or _age(branch) < _age(chosen):
                chosen = branch
        return chosen

    def _offer(self, buffer: Buffer) -> None:
        """Let the head of a buffer wait at the servers that it wants."""
        part = buffer.parts[0]
        branches = self._branches(buffer, part)
        part.n_branches = len(branches)
        for server, branch in branches:
            server.waiting.append(branch)
            if server.wake is not None:
                self._wake(server)

    def _branches(self, buffer: Buffer, part: Part) -> list[tuple[Server, Branch]]:
        """Split a head's targets by the server that leads to each."""
        if buffer.read is not None:
            return [(buffer.read, Branch(buffer, part, part.targets, None))]
        if len(part.targets) == 1:
            server, room = self._next(buffer.router, part.targets[0])
            return [(server, Branch(buffer, part, part.targets, room))]
        ways: dict[int, list[tuple[Server, Buffer, int]]] = {}
        for target in part.targets:
            server, room = self._next(buffer.router, target)
            ways.setdefault(server.number, []).append((server, room, target))
        branches = []
        for way in ways.values():
            # Of the classes behind a link, the highest that one of the targets needs.
            room = max((room for _, room, _ in way), key=lambda room: room.port)
            targets = tuple(target for _, _, target in way)
            branches.append((way[0][0], Branch(buffer, part, targets, room)))
        return branches

    def _next(self, router: int, target: int) -> tuple[Server, Buffer]:
        """Return the server towards a core, and the buffer behind it."""
        step = self._step[router][self._core_router[target]]
        if step == HERE:
            return self.ejections[target], self.queues[target]
        room = self.feeding[self._first_step[router] + step]
        assert room.feeder is not None
        return room.feeder, room

    def _leave(self, branch: Branch) -> None:
        """Free a buffer's slot if its head was sent to all targets, and offer the next head."""
        buffer = branch.buffer
        branch.part.n_branches -= 1
        if branch.part.n_branches:
            return
        buffer.parts.popleft()
        self._release(buffer)
        if buffer.parts:
            self._offer(buffer)

    def _release(self, buffer: Buffer) -> None:
        """Free a slot, and tell whoever fills the buffer."""
        buffer.taken -= 1
        if buffer.feeder is None:
            core = self._source[id(buffer)]
            if self._pending[core] and self._pending[core][0][0] <= self.env.now:
                self._enter_soon(core, 0)
        elif buffer.feeder.waiting and buffer.feeder.wake is not None:
            self._wake(buffer.feeder)

    def _hand_on(self, server: Server, branch: Branch, is_lost: bool) -> None:
        """Let what was served arrive, now or after its flight; a core has delivered it."""
        packet, now = branch.part.packet, int(self.env.now)
        if branch.room is None:
            self.n_delivered += 1
            if self._on_delivery is not None:
                self._on_delivery(packet, branch.targets[0], now)
            return
        if is_lost:
            self._release(branch.room)
            self.n_dropped += len(branch.targets)
            if self._on_drop is not None:
                for target in branch.targets:
                    self._on_drop(packet, target, now)
            return
        part = Part(packet, branch.targets)
        if server.flight_ps == 0:
            self._arrive(part, branch.room)
            return
        # What flies on one link arrives in the order of its starts: the event takes the first.
        server.in_flight.append((part, branch.room))
        landing = self._event(server.flight_ps, simpy.events.NORMAL)
        landing.callbacks.append(lambda _: self._arrive(*server.in_flight.popleft()))

    def _arrive(self, part: Part, buffer: Buffer) -> None:
        """Put a packet into a buffer where a slot is reserved for it."""
        part.arrived_ps = int(self.env.now)
        buffer.parts.append(part)
        if len(buffer.parts) == 1:
            self._offer(buffer)

    def _enter_soon(self, core: int, delay_ps: int) -> None:
        """Let a source's packets enter once all else at that instant has happened."""
        delta = 0 if delay_ps else self.delta
        event = self._event(delay_ps, DELTA * delta + ENTER)
        event.callbacks.append(lambda _: self._enter(core))

    def _enter(self, core: int) -> None:
        """Put packets that are due into an injection queue while it has room."""
        pending, queue = self._pending[core], self.injections[core]
        now = int(self.env.now)
        while pending and pending[0][0] <= now and queue.has_room():
            packet = heappop(pending)[-1]
            self.stall_ps[core] += now - packet.created_ps
            queue.take()
            self._arrive(Part(packet, packet.targets), queue)


def _age(branch: Branch) -> tuple[int, int]:
    return branch.part.arrived_ps, branch.buffer.port
