"""Moves of neurons: tables and resources equal what is counted anew, hops fall, limits hold."""

import numpy as np
import pytest

from mapping.layout.floor import Floor
from mapping.layout.hypergraph import Hypergraph, flows
from mapping.layout.move_kernels import (
    NEURONS,
    excess,
    exchange_change,
    fill_fares,
    move,
    renew_fares,
)
from mapping.layout.moves import Limits, cut_of, edges_of, moved, resource_use
from mapping.layout.placers import Task

N, CORES, ROOM = 60, 6, 12
FLOOR = Floor.mesh(3, 2)
HOP = FLOOR.distance(np.arange(CORES)[:, None], np.arange(CORES)[None, :])
WORDS = (np.arange(N + 5) + 1) // 2


def random_graph(seed):
    """Sparse and dense parts, synapses onto oneself, neurons without sources or targets."""
    rng = np.random.default_rng(seed)
    lists = [rng.choice(N - 5, rng.integers(0, 12), replace=False) for _ in range(N)]
    start = np.concatenate([[0], np.cumsum([len(x) for x in lists])])
    return Hypergraph.of(start, np.concatenate(lists), rng.integers(1, 5, N).astype(float))


def hops_of(graph, core):
    """Hops with core c at place c."""
    total = 0.0
    for u in range(graph.n):
        reached = {int(core[t]) for t in graph.target[graph.start[u] : graph.start[u + 1]]}
        total += graph.rate[u] * sum(int(HOP[core[u], c]) for c in reached)
    return total


def use_of(graph, core, words):
    """Neurons, in-axons, out-axons and words of each core, list by list."""
    use = np.zeros((CORES, 4), int)
    for u in range(graph.n):
        use[core[u], 0] += 1
        targets = core[graph.target[graph.start[u] : graph.start[u + 1]]].tolist()
        for c in set(targets):
            use[c, 1] += 1
            use[core[u], 2] += 1
            use[c, 3] += words[targets.count(c)]
    return use


@pytest.fixture(params=range(4))
def graph(request):
    return random_graph(request.param)


def partition(rng):
    return rng.permutation(N) % CORES


def test_fares_and_resources_follow_every_move(graph, rng):
    limits = Limits(neurons=ROOM + 1, list_words=WORDS)
    edges, rules = edges_of(graph), limits.rules(N)
    cut = cut_of(edges, partition(rng), limits, N)
    hop = HOP.astype(float)
    fare = np.zeros((N, CORES))
    fill_fares(edges, cut, hop, fare)
    for _ in range(40):
        u, to = int(rng.integers(N)), int(rng.integers(CORES))
        at = int(cut.core[u])
        if to == at:
            continue
        before, told = hops_of(graph, cut.core), fare[u, to] - fare[u, at]
        move(edges, cut, rules, u, to)
        renew_fares(edges, cut, hop, fare, u, at, np.zeros(CORES))
        assert hops_of(graph, cut.core) - before == pytest.approx(told)
    fresh = np.zeros_like(fare)
    fill_fares(edges, cut, hop, fresh)
    np.testing.assert_allclose(fare, fresh, atol=1e-9)
    assert np.array_equal(cut.use, use_of(graph, cut.core, WORDS))
    assert np.array_equal(cut.use, resource_use(graph, cut.core, limits))
    seats = cut.member[cut.core, cut.seat]
    assert np.array_equal(seats, np.arange(N))


def test_an_exchange_costs_what_is_counted_anew(graph, rng):
    edges, limits = edges_of(graph), Limits(neurons=ROOM)
    cut = cut_of(edges, partition(rng), limits, N)
    hop, fare, mark = HOP.astype(float), np.zeros((N, CORES)), np.full(N, -1)
    fill_fares(edges, cut, hop, fare)
    for stamp in range(300):
        u, v = rng.integers(N, size=2)
        a, b = cut.core[u], cut.core[v]
        if a == b:
            continue
        core = cut.core.copy()
        core[u], core[v] = b, a
        told = exchange_change(edges, cut, hop, fare, u, v, mark, stamp)
        assert hops_of(graph, core) - hops_of(graph, cut.core) == pytest.approx(told)
        # Proposals are refused by the sum of both moves, so it must never be too high.
        assert fare[u, b] - fare[u, a] + fare[v, a] - fare[v, b] <= told + 1e-9


@pytest.mark.parametrize("heat", [0.0, 0.3])
def test_moves_add_the_hops_that_they_tell_and_keep_to_the_room(graph, heat):
    def run():
        rng = np.random.default_rng(1)
        edges, limits = edges_of(graph), Limits(neurons=ROOM)
        core = partition(rng)
        cut = cut_of(edges, core, limits, ROOM)
        return core, cut, moved(edges, cut, limits, HOP, rng, 4000, heat=heat)

    core, cut, added = run()
    assert hops_of(graph, cut.core) - hops_of(graph, core) == pytest.approx(added)
    assert added < 0
    assert cut.use[:, NEURONS].max() <= ROOM
    assert cut.use[:, NEURONS].min() > 0
    assert np.array_equal(cut.core, run()[1].core)
    found = Task(flows=flows(graph, cut.core), floor=FLOOR)
    assert found.hops(np.arange(CORES)) == hops_of(graph, cut.core)


def test_moves_never_break_a_limit_that_holds(graph, rng):
    core = partition(rng)
    used = use_of(graph, core, WORDS).max(axis=0)
    limits = Limits(
        neurons=ROOM, in_axons=int(used[1]), out_axons=int(used[2]), words=int(used[3]),
        list_words=WORDS,
    )  # fmt: skip
    edges = edges_of(graph)
    cut = cut_of(edges, core, limits, ROOM)
    assert moved(edges, cut, limits, HOP, rng, 4000) < 0
    assert excess(cut, limits.rules()) == 0
    now = use_of(graph, cut.core, WORDS)
    assert np.all(now.max(axis=0) <= [ROOM, *used[1:]])


def test_moves_repair_cores_that_are_over_a_limit(rng):
    graph = random_graph(0)
    core = np.sort(partition(rng))
    used = use_of(graph, core, WORDS)
    limits = Limits(neurons=ROOM, out_axons=int(used[:, 2].max()) - 3)
    edges = edges_of(graph)
    cut = cut_of(edges, core, limits, ROOM)
    assert excess(cut, limits.rules()) > 0
    moved(edges, cut, limits, HOP, rng, 8000)
    assert use_of(graph, cut.core, WORDS)[:, 2].max() <= limits.out_axons


def test_a_stop_leaves_the_partition_as_it_is(graph, rng):
    edges, limits = edges_of(graph), Limits(neurons=ROOM)
    core = partition(rng)
    cut = cut_of(edges, core, limits, ROOM)
    assert moved(edges, cut, limits, HOP, rng, 4000, stop=lambda: True) == 0
    assert np.array_equal(cut.core, core)


def test_silent_neurons_count_a_little_and_all_silent_ones_alike():
    none = Hypergraph.of([0, 1, 2], np.array([1, 0]), [0.0, 0.0])
    assert edges_of(none).rate.tolist() == [1.0, 1.0]
    half = Hypergraph.of([0, 1, 2], np.array([1, 0]), [2.0, 0.0])
    assert edges_of(half).rate.tolist() == [2.0, 0.01]


def test_words_are_told_for_the_longest_list_that_may_come_up():
    limits = Limits(neurons=4, list_words=np.arange(5))
    with pytest.raises(ValueError, match="ends at lists of 4 synapses, but one of 5 may come up"):
        limits.rules()
