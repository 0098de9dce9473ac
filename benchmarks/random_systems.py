"""Small networks and traffic made at random, for comparing the compiled and the SimPy form.

What makes the two differ, if anything does, is common here: equal times, services and flights
without duration, full buffers, hot spots, packets to the own core, forks.
"""

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import simpy

from emulator.noc.detours import around
from emulator.noc.packets import Outcome, Packets, packets_of
from emulator.noc.topology import TOPOLOGIES, Common, Noc
from emulator.noc.trees import Forest, plant

Array = np.ndarray[Any, np.dtype[Any]]
Rng = np.random.Generator


@dataclass(frozen=True, kw_only=True)
class System:
    """A network and a tick's packets."""

    noc: Noc
    packets: Packets
    bits: int
    forest: Forest | None


def random_system(
    rng: Rng, *, topology: str | None = None, forks: bool | None = None, faulty: bool = False
) -> System:
    """Make a network and its traffic.

    Parameters
    ----------
    rng : numpy.random.Generator
    topology : str, optional
        One of `TOPOLOGIES`; any if omitted.
    forks : bool, optional
        Whether packets have several targets; some systems if omitted.
    faulty : bool
        Whether some links are dead.
    """
    noc = random_noc(rng, topology)
    if faulty:
        noc = with_dead_links(rng, noc)
    bits = int(rng.integers(0, 4))
    if rng.random() < 0.35 if forks is None else forks:
        packets, forest = _forking(rng, noc)
        return System(noc=noc, packets=packets, bits=bits, forest=forest)
    n = _n_packets(rng)
    source, target = _pairs(rng, noc, n)
    packets, _ = packets_of(
        noc, source, target, _created(rng, n), _n_syn(rng, n),
        bits=rng.integers(0, 4, n) if rng.random() < 0.3 else None,
        neuron=rng.integers(0, 5, n),
    )  # fmt: skip
    return System(noc=noc, packets=packets, bits=bits, forest=None)


def random_noc(rng: Rng, topology: str | None = None) -> Noc:
    """Make a network of one of the topologies, with random costs and depths of buffers."""
    topology = str(rng.choice(list(TOPOLOGIES))) if topology is None else topology
    side = int(rng.choice([2, 4, 6]))

    def upto(most: int) -> int:
        return int(rng.integers(1, most + 1))

    depths = [0, 1, 1, 1, 2, 3, 5]
    shape: dict[str, Any] = {
        "common": Common(
            buffer=int(rng.choice(depths)),
            buffer_inject=int(rng.choice(depths)),
            buffer_core=int(rng.choice(depths)),
        )
    }
    if topology == "crossbar":
        shape["n_cores"] = upto(8) if rng.random() < 0.8 else int(rng.integers(65, 140))
    elif topology == "tree":
        shape["fan_out"] = rng.integers(1, 4, rng.integers(0, 4)).tolist()
    else:
        shape |= {"width": upto(side), "height": upto(side)}
        shape["tile_order"] = str(rng.choice(["row-major", "column-major"]))
    if topology == "chips":
        shape |= {"width": upto(3), "height": upto(3), "chips_x": upto(3), "chips_y": upto(2)}
    if topology != "crossbar":
        shape["cores_per_router"] = int(rng.choice([1, 1, 2, 3]))
    noc = TOPOLOGIES[topology](**shape)
    return replace(noc, **_random_costs(rng, noc))


def with_dead_links(rng: Rng, noc: Noc) -> Noc:
    """Kill as many links as leave all cores joined, up to a random number, and lead around them."""
    roots = rng.integers(0, noc.n_routers, 2).tolist()
    dead = np.zeros(noc.n_links, np.bool_)
    axis = rng.integers(0, 2, noc.n_links)
    found = around(noc, dead, noc.core_router, roots, axis)
    for link in rng.permutation(noc.n_links)[: int(rng.integers(1, noc.n_links + 2))]:
        more = dead.copy()
        more[link] = True
        if rng.random() < 0.7:
            more |= (noc.link_from == noc.link_to[link]) & (noc.link_to == noc.link_from[link])
        try:
            found = around(noc, more, noc.core_router, roots, axis)
        except ValueError:
            continue
        dead = more
    return found


def _random_costs(rng: Rng, noc: Noc) -> dict[str, Any]:
    """Draw a cost for each server: none, few values, or many; some kinds of cost all zero."""
    style = rng.choice(["zero", "equal", "few", "positive", "many"], p=[0.08, 0.17, 0.3, 0.25, 0.2])
    costs: dict[str, Any] = {}
    for name in (field.name for field in fields(noc) if field.name.endswith("_ps")):
        size = getattr(noc, name).size
        value = np.zeros(size, np.int64)
        if style == "equal":
            value[:] = rng.integers(0, 4)
        elif style == "few":
            value = rng.choice([0, 0, 1, 2, 5], size)
        elif style == "positive":
            value = rng.integers(1, 5 if rng.random() < 0.5 else 30, size)
        elif style == "many":
            value = rng.integers(0, 3000, size)
        if style != "positive" or not name.endswith("fixed_ps"):
            value = value * (rng.random() < 0.6)
        costs[name] = value.astype(np.int64)
    return costs


def _n_packets(rng: Rng) -> int:
    return int(rng.integers(0, int(rng.choice([4, 40, 150, 400], p=[0.2, 0.4, 0.3, 0.1]))))


def _pairs(rng: Rng, noc: Noc, n: int) -> tuple[Array, Array]:
    source = rng.integers(0, noc.n_cores, n)
    style = rng.choice(["uniform", "hot", "reversed", "from one"])
    if style == "hot":
        return source, np.where(rng.random(n) < 0.8, rng.integers(noc.n_cores), source)
    if style == "reversed":
        return source, noc.n_cores - 1 - source
    if style == "from one":
        source[:] = rng.integers(noc.n_cores)
    return source, rng.integers(0, noc.n_cores, n)


def _created(rng: Rng, n: int) -> Array:
    style = rng.choice(["burst", "grid", "spread", "far"])
    if style == "burst":
        return np.zeros(n, np.int64)
    if style == "grid":
        return rng.integers(0, 6, n) * int(rng.choice([1, 7, 1000]))
    return rng.integers(0, 2 * n + 1 if style == "spread" else 10**7, n)


def _n_syn(rng: Rng, n: int) -> Array:
    return rng.integers(0, int(rng.choice([1, 3, 64])), n)


def _forking(rng: Rng, noc: Noc) -> tuple[Packets, Forest]:
    """Make trees, and packets that follow them."""
    n_trees = int(rng.integers(1, 20))
    source = rng.integers(0, noc.n_cores, n_trees)
    most = min(noc.n_cores, int(rng.choice([1, 3, 12, 1000])))
    targets = [
        rng.choice(noc.n_cores, rng.integers(1, most + 1), replace=False) for _ in range(n_trees)
    ]
    first = np.concatenate([[0], np.cumsum([t.size for t in targets])])
    forest = plant(noc, source, first, np.concatenate(targets))
    n = _n_packets(rng) // 2
    created_ps, tree = _created(rng, n), rng.integers(0, n_trees, n)
    order = np.lexsort((tree, created_ps, source[tree]))
    tree = tree[order]
    size = np.diff(first)[tree]
    packets = Packets(
        first_packet=np.searchsorted(source[tree], np.arange(noc.n_cores + 1)).astype(np.int64),
        created_ps=created_ps[order],
        target=tree.astype(np.int32),
        n_syn=_n_syn(rng, int(size.sum())).astype(np.int32),
        bits=rng.integers(0, 4, n if rng.random() < 0.3 else 0),
        first_copy=np.cumsum(size) - size,
    )
    return packets, forest


class ShuffledNumbers:
    """Sequence numbers of events in random order, so that equal times and priorities are too.

    SimPy breaks ties by the order of insertion. What depends on that order is not determined by
    the rules, and a run with these numbers shows it.
    """

    def __init__(self, rng: Rng) -> None:
        self._rng, self.n = rng, 0
        self._block: Iterator[int] = iter(())

    def __next__(self) -> int:
        number = next(self._block, None)
        if number is None:
            self._block = iter(self._rng.integers(0, 2**40, 4096).tolist())
            number = next(self._block)
        self.n += 1
        return number << 32 | self.n


def shuffled_environment(rng: Rng) -> simpy.Environment:
    """Return an environment that takes events of equal time and priority in random order.

    Raises
    ------
    RuntimeError
        If SimPy does not number events as it did in version 4.1.
    """
    env = simpy.Environment()
    numbers = ShuffledNumbers(rng)
    env._eid = numbers  # type: ignore[assignment]
    seen: list[int] = []
    for k in range(32):
        env.timeout(0, k).callbacks.append(lambda event: seen.append(event.value))
    env.run()
    if numbers.n != 32 or seen == sorted(seen):
        raise RuntimeError("SimPy does not take its sequence numbers from Environment._eid")
    return env


def differences(one: Outcome, other: Outcome) -> list[str]:
    """Name everything in which two outcomes differ."""
    found = [
        name
        for name in ("delivered_ps", "starts")
        if not np.array_equal(getattr(one, name), getattr(other, name))
    ]
    found += [
        name
        for name in ("end_ps", "busiest", "busiest_ps")
        if getattr(one, name) != getattr(other, name)
    ]
    found += [
        name
        for name, a, b in zip(one.traffic._fields, one.traffic, other.traffic, strict=True)
        if not np.array_equal(a, b)
    ]
    return found
