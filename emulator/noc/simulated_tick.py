"""Fabric ``simpy``: one tick's packets through the network of SimPy processes."""

from collections.abc import Iterator

import numpy as np
import simpy

from emulator.noc.packets import Outcome, Packets, busiest_link, check_packets, undelivered
from emulator.noc.scratch import LATENCY_BINS, latency_bin
from emulator.noc.simulated import Packet, SimulatedNoc
from emulator.noc.topology import Noc
from emulator.noc.trees import Forest


def listed(packets: Packets, bits: int = 0, forest: Forest | None = None) -> Iterator[Packet]:
    """Yield a tick's packets one by one."""
    for p, source in enumerate(packets.source.tolist()):
        if forest is None:
            copy, targets = p, (int(packets.target[p]),)
        else:
            copy, tree = int(packets.first_copy[p]), int(packets.target[p])
            leaves = slice(*forest.first_leaf[tree : tree + 2].tolist())
            targets = tuple(forest.target[leaves].tolist())
        yield Packet(
            source=source,
            targets=targets,
            created_ps=int(packets.created_ps[p]),
            n_syn=tuple(packets.n_syn[copy : copy + len(targets)].tolist()),
            bits=int(packets.bits[p]) if packets.bits.size else bits,
            sequence=p,
            identity=p,
        )


def carry_simulated(
    noc: Noc,
    packets: Packets,
    *,
    bits: int = 0,
    forest: Forest | None = None,
    record: bool = False,
    env: simpy.Environment | None = None,
) -> Outcome:
    """Carry one tick's packets through an empty network, as `emulator.noc.queued.carry` does.

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
    env : simpy.Environment, optional
        A new one at 0 ps.

    Returns
    -------
    Outcome

    Raises
    ------
    RuntimeError
        If packets were not delivered.
    """
    check_packets(noc, packets, forest)
    env = simpy.Environment() if env is None else env
    n_copies = packets.n_syn.size
    delivered = [-1] * n_copies
    latency: list[int] = []
    starts: list[tuple[int, int, int, int]] = []
    sent = list(listed(packets, bits, forest))
    first_copy = packets.first_copy.tolist() if forest is not None else list(range(packets.n))

    def note_start(server: int, packet: Packet, ps: int, delta: int) -> None:
        starts.append((server, packet.identity, ps, delta))

    def note_delivery(packet: Packet, target: int, ps: int) -> None:
        copy = first_copy[packet.identity] + packet.targets.index(target)
        delivered[copy] = ps
        latency.append(ps - packet.created_ps)

    network = SimulatedNoc(
        env, noc, on_start=note_start if record else None, on_delivery=note_delivery
    )
    for packet in sent:
        network.send(packet)
    env.run()
    if network.n_delivered != n_copies:
        raise RuntimeError(undelivered(noc, n_copies - network.n_delivered, n_copies))
    traffic = network.traffic()
    traffic.latency[:] = np.bincount(
        latency_bin(np.array(latency, np.int64)), minlength=LATENCY_BINS
    )
    busiest, busiest_ps = busiest_link(noc, traffic)
    return Outcome(
        delivered_ps=np.array(delivered, np.int64),
        end_ps=max(delivered, default=0),
        busiest=busiest,
        busiest_ps=busiest_ps,
        traffic=traffic,
        starts=np.array(sorted(starts), np.int64).reshape(-1, 4),
    )
