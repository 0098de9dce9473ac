"""Placers: legal, no worse than the baseline, the same for the same seed, and counted right."""

import itertools

import numpy as np
import pytest

from mapping.errors import CapacityError
from mapping.layout.floor import Floor, hilbert_number
from mapping.layout.hypergraph import Flows, Hypergraph, flows
from mapping.layout.placers import PLACERS, Task, check_placement, cooled, lower_bound

FLOORS = {
    "mesh": Floor.mesh(5, 4),
    "tiles": Floor.mesh(3, 2, per_router=4),
    "torus": Floor(x=np.arange(20) % 5, y=np.arange(20) // 5, ring_x=5, ring_y=4),
    "holes": Floor(x=np.arange(1, 20) * 7 % 20 % 5, y=np.arange(1, 20) * 7 % 20 // 5),
}


def random_graph(rng, n=90, degree=6):
    lists = [rng.integers(0, n, rng.integers(0, degree)) for _ in range(n)]
    start = np.concatenate([[0], np.cumsum([len(x) for x in lists])])
    return Hypergraph.of(start, np.concatenate(lists), rng.integers(0, 5, n).astype(float))


def hops_between(floor, a, b):
    """Breadth first over the grid of routers, holes included."""
    width, height = int(floor.x.max()) + 1, int(floor.y.max()) + 1
    goal = (floor.x[b], floor.y[b])
    seen, reached = {(floor.x[a], floor.y[a])}, 0
    while goal not in seen:
        steps = {(x + i, y + j) for x, y in seen for i, j in ((1, 0), (-1, 0), (0, 1), (0, -1))}
        if floor.ring_x:
            steps = {(x % floor.ring_x, y % floor.ring_y) for x, y in steps}
        seen |= {(x, y) for x, y in steps if 0 <= x < width and 0 <= y < height}
        reached += 1
    return reached


def recount(graph, core, floor, place):
    """Packets, local deliveries and hops, spike by spike."""
    packets = local = hops = 0.0
    for u in range(graph.n):
        for c in {int(core[t]) for t in graph.target[graph.start[u] : graph.start[u + 1]]}:
            if c == core[u]:
                local += graph.rate[u]
            else:
                packets += graph.rate[u]
                hops += graph.rate[u] * hops_between(floor, place[core[u]], place[c])
    return packets, local, hops


LONG = pytest.mark.slow_uncompiled
ALL = [pytest.param(name, marks=LONG if name == "anneal" else ()) for name in PLACERS]


@pytest.mark.parametrize("floor", FLOORS.values(), ids=FLOORS)
@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("seed", range(3))
def test_a_placement_is_legal_repeatable_and_no_worse_than_the_baseline(name, floor, seed):
    graph = random_graph(np.random.default_rng(seed))
    core = np.random.default_rng(seed).permutation(graph.n) % 13
    found = flows(graph, core)
    task = Task(flows=found, floor=floor, pins={3: 7})
    place = PLACERS[name](task, np.random.default_rng(seed))
    check_placement(task, place)
    assert np.array_equal(place, PLACERS[name](task, np.random.default_rng(seed)))
    packets, local, hops = recount(graph, core, floor, place)
    assert (found.packets, found.local, task.hops(place)) == (packets, local, hops)
    assert hops <= task.hops(PLACERS["linear"](task, np.random.default_rng(seed)))
    assert lower_bound(found, floor) <= hops


@LONG
@pytest.mark.parametrize("floor", [Floor.mesh(3, 2), Floor.mesh(2, 2, per_router=2)])
def test_annealing_finds_the_best_of_all_placements_of_a_few_cores(floor, rng):
    source, target = np.nonzero(~np.eye(5, dtype=bool))
    found = Flows.of(5, source, target, rng.integers(0, 9, source.size).astype(float))
    task = Task(flows=found, floor=floor)
    least = min(task.hops(np.array(p)) for p in itertools.permutations(range(floor.n_places), 5))
    assert task.hops(PLACERS["anneal"](task, rng)) == least
    assert lower_bound(found, floor) <= least


@pytest.mark.parametrize("n", [0, 1])
@pytest.mark.parametrize("name", PLACERS)
def test_no_core_and_one_core_cost_nothing(name, n, rng):
    none = np.empty(0, np.int64)
    task = Task(flows=Flows.of(n, none, none, np.empty(0)), floor=Floor.mesh(2, 2))
    place = PLACERS[name](task, rng)
    assert (place.size, task.hops(place)) == (n, 0)


@pytest.mark.parametrize("name", PLACERS)
def test_an_optimisation_that_is_stopped_keeps_what_it_has(name, rng):
    graph = random_graph(rng)
    task = Task(flows=flows(graph, np.arange(graph.n) % 13), floor=FLOORS["mesh"],
                stop=lambda: True)  # fmt: skip
    place = PLACERS[name](task, rng)
    check_placement(task, place)
    assert task.hops(place) <= task.hops(np.arange(13))


@LONG
def test_cooling_never_leaves_a_better_placement_for_a_worse_one(rng):
    graph = random_graph(rng)
    task = Task(flows=flows(graph, np.arange(graph.n) % 13), floor=FLOORS["mesh"])
    best = PLACERS["anneal"](task, rng)
    assert task.hops(cooled(task, best, rng, 2000)) <= task.hops(best)
    start = PLACERS["linear"](task, rng)
    assert task.hops(cooled(task, start, rng, 20_000)) < task.hops(start)


@LONG
def test_a_given_start_is_never_made_worse(rng):
    graph = random_graph(rng)
    found = flows(graph, np.arange(graph.n) % 13)
    good = PLACERS["anneal"](Task(flows=found, floor=FLOORS["mesh"]), rng)
    task = Task(flows=found, floor=FLOORS["mesh"], starts=(good,))
    for name in ("hilbert", "force", "anneal"):
        assert task.hops(PLACERS[name](task, rng)) <= task.hops(good)


@pytest.mark.parametrize("size", [(8, 8), (16, 8), (8, 16), (4, 1)])
def test_the_hilbert_order_goes_from_neighbour_to_neighbour(size):
    floor = Floor.mesh(*size)
    order = floor.along_hilbert()
    assert sorted(order) == list(range(floor.n_places))
    assert np.all(floor.distance(order[1:], order[:-1]) == 1)
    assert hilbert_number(np.array([0]), np.array([0])).tolist() == [0]


@pytest.mark.parametrize(
    ("pins", "message"),
    [
        ({0: 1, 2: 1}, r"cores \[0, 2\] are all pinned to place 1; it holds one"),
        ({9: 0}, "core 9 is pinned to place 0, but there are 3 cores and 4 places"),
        ({0: 4}, "core 0 is pinned to place 4"),
    ],
)
def test_pins_that_contradict_are_refused(pins, message):
    none = np.empty(0, np.int64)
    with pytest.raises(ValueError, match=message):
        Task(flows=Flows.of(3, none, none, np.empty(0)), floor=Floor.mesh(2, 2), pins=pins)


def test_more_cores_than_places_are_refused_before_work():
    none = np.empty(0, np.int64)
    with pytest.raises(CapacityError, match="5 cores are needed, but there are 4 places"):
        Task(flows=Flows.of(5, none, none, np.empty(0)), floor=Floor.mesh(2, 2))


@pytest.mark.parametrize(
    ("start", "target", "rate", "message"),
    [
        ([0, 2], [0], None, "lists of targets must follow each other"),
        ([0, 1], [1], None, "target: 1 is none of the 1 neurons"),
        ([0, 0], [], [-1.0], "that of net 0 is -1.0"),
        ([0, 0], [], [np.nan], "that of net 0 is nan"),
        ([0, 0], [], [1.0, 2.0], "give one for each"),
    ],
)
def test_a_broken_hypergraph_is_refused(start, target, rate, message):
    with pytest.raises(ValueError, match=message):
        Hypergraph.of(start, np.array(target, np.int64), rate)


def test_parallel_synapses_cost_one_packet_and_own_ones_none():
    graph = Hypergraph.of([0, 4, 4], np.array([1, 1, 0, 1]), [3.0, 1.0])
    found = flows(graph, np.array([0, 1]))
    assert (found.packets, found.local) == (3.0, 3.0)
    assert [part.tolist() for part in graph.sources] == [[0, 1, 2], [0, 0]]
