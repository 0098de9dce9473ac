"""Moves of neurons: tables and resources equal what is counted anew, hops fall, limits hold."""

import numpy as np
import pytest

from mapping.layout.floor import Floor
from mapping.layout.hypergraph import Hypergraph, flows
from mapping.layout.move_kernels import (
    IN_AXONS,
    NEURONS,
    OUT_AXONS,
    excess,
    exchange_change,
    fill_fares,
    move,
    renew_fares,
)
from mapping.layout.move_kernels import WORDS as WORDS_USED
from mapping.layout.moves import Limits, cut_of, moved, resource_use
from mapping.layout.placers import Task

N, CORES, ROOM = 60, 6, 12
FLOOR = Floor.mesh(3, 2)
HOP = FLOOR.distance(np.arange(CORES)[:, None], np.arange(CORES)[None, :])
WORDS = np.array([(np.arange(N + 5) + 1) // 2, 2 * np.arange(N + 5)])
COMPARTMENTS = np.arange(N) % 3 + 1
PROFILE = np.stack([np.arange(N) % 7, np.arange(N) // 20], axis=1)
TABLES = {"compartments": COMPARTMENTS, "profile": PROFILE, "list_words": WORDS}


def random_graph(seed):
    """Sparse and dense parts, synapses onto oneself, neurons without sources or targets.

    Odd seeds: some neurons have no net and some have several, of two kinds, and some nets come from
    outside.
    """
    rng = np.random.default_rng(seed)
    owner = np.arange(N)
    if seed % 2:
        owner = np.concatenate([np.sort(rng.integers(0, N, N)), np.full(10, -1)])
    lists = [rng.choice(N - 5, rng.integers(0, 12), replace=False) for _ in owner]
    start = np.concatenate([[0], np.cumsum([len(x) for x in lists])])
    rate = rng.integers(1, 5, owner.size).astype(float)
    kind = rng.integers(0, 1 + seed % 2, owner.size)
    return Hypergraph.of(start, np.concatenate(lists), rate, n=N, owner=owner, kind=kind)


def nets(graph):
    """Owner, targets, rate and kind of each net."""
    for e in range(graph.n_nets):
        targets = graph.target[graph.start[e] : graph.start[e + 1]]
        yield int(graph.owner[e]), targets, float(graph.rate[e]), int(graph.kind[e])


def hops_of(graph, core):
    """Hops with core c at place c."""
    total = 0.0
    for u, targets, rate, _ in nets(graph):
        if u >= 0:
            total += rate * sum(int(HOP[core[u], c]) for c in {int(core[t]) for t in targets})
    return total


def use_of(graph, core):
    """Neurons, compartments, in-axons, out-axons, words and profiles of each core."""
    use = np.zeros((CORES, 7), int)
    for c in range(CORES):
        mine = np.flatnonzero(core == c)
        tables = [len(set(PROFILE[mine, k].tolist())) for k in (0, 1)]
        use[c] = [mine.size, COMPARTMENTS[mine].sum(), 0, 0, 0, *tables]
    for u, targets, _, kind in nets(graph):
        reached = core[targets].tolist()
        for c in set(reached):
            use[c, IN_AXONS] += 1
            use[c, WORDS_USED] += WORDS[kind, reached.count(c)]
            if u >= 0:
                use[core[u], OUT_AXONS] += 1
    return use


def limits_at(used):
    """Limits that a partition just keeps."""
    most = used.max(axis=0).tolist()
    return Limits(
        neurons=most[1], in_axons=most[2], out_axons=most[3], words=most[4],
        profiles=most[5:], **TABLES,
    )  # fmt: skip


@pytest.fixture(params=range(4))
def graph(request):
    return random_graph(request.param)


def partition(rng):
    return rng.permutation(N) % CORES


def test_fares_and_resources_follow_every_move(graph, rng):
    limits = Limits(neurons=3 * ROOM, profiles=(7, 3), **TABLES)
    edges, rules = graph.edges, limits.rules(N, N)
    cut = cut_of(edges, partition(rng), limits, N)
    hop = HOP.astype(float)
    fare = np.zeros((N, CORES))
    fill_fares(edges, cut, hop, fare, np.zeros(CORES))
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
    fill_fares(edges, cut, hop, fresh, np.zeros(CORES))
    np.testing.assert_allclose(fare, fresh, atol=1e-9)
    assert np.array_equal(cut.use, use_of(graph, cut.core))
    assert np.array_equal(cut.use, resource_use(edges, cut.core, limits))
    seats = cut.member[cut.core, cut.seat]
    assert np.array_equal(seats, np.arange(N))


def test_an_exchange_costs_what_is_counted_anew(graph, rng):
    edges, limits = graph.edges, Limits(neurons=ROOM)
    cut = cut_of(edges, partition(rng), limits, N)
    hop, fare, mark = HOP.astype(float), np.zeros((N, CORES)), np.full(graph.n_nets, -1)
    fill_fares(edges, cut, hop, fare, np.zeros(CORES))
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
        edges, limits = graph.edges, Limits(neurons=ROOM)
        core = partition(rng)
        cut = cut_of(edges, core, limits, ROOM)
        return core, cut, moved(edges, cut, limits, HOP, rng, 4000, heat=heat).added

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
    used = use_of(graph, core)
    limits = limits_at(used)
    edges = graph.edges
    cut = cut_of(edges, core, limits, N)
    assert moved(edges, cut, limits, HOP, rng, 4000).added < 0
    assert excess(cut, limits.rules(N, N)) == 0
    assert np.all(use_of(graph, cut.core).max(axis=0)[1:] <= used.max(axis=0)[1:])


@pytest.mark.parametrize("column", [IN_AXONS, OUT_AXONS, WORDS_USED])
def test_moves_repair_cores_that_are_over_a_limit(graph, rng, column):
    core = np.sort(partition(rng))
    most = int(use_of(graph, core)[:, column].max()) - 3
    name = {IN_AXONS: "in_axons", OUT_AXONS: "out_axons", WORDS_USED: "words"}[column]
    limits = Limits(neurons=3 * ROOM, profiles=(7, 3), **TABLES, **{name: most})
    edges = graph.edges
    cut = cut_of(edges, core, limits, N)
    assert excess(cut, limits.rules(N, N)) > 0
    moved(edges, cut, limits, HOP, rng, 8000)
    assert use_of(graph, cut.core)[:, column].max() <= most


def test_a_stop_leaves_the_partition_as_it_is(graph, rng):
    edges, limits = graph.edges, Limits(neurons=ROOM)
    core = partition(rng)
    cut = cut_of(edges, core, limits, ROOM)
    assert moved(edges, cut, limits, HOP, rng, 4000, stop=lambda: True).added == 0
    assert np.array_equal(cut.core, core)


def test_silent_neurons_count_a_little_and_all_silent_ones_alike():
    none = Hypergraph.of([0, 1, 2], np.array([1, 0]), [0.0, 0.0])
    assert none.edges.rate.tolist() == [1.0, 1.0]
    half = Hypergraph.of([0, 1, 2], np.array([1, 0]), [2.0, 0.0])
    assert half.edges.rate.tolist() == [2.0, 0.01]


def test_words_are_told_for_the_longest_list_that_may_come_up():
    limits = Limits(neurons=4, list_words=np.arange(5))
    with pytest.raises(ValueError, match="ends at lists of 4 synapses, but one of 5 may come up"):
        limits.rules(10)


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        ({"compartments": np.zeros(10, int)}, "compartments: give 1 or more for each of the 10"),
        ({"profiles": (3,)}, "for 10 neurons and 1 tables"),
    ],
)
def test_what_neurons_take_is_told_for_each(tables, message):
    with pytest.raises(ValueError, match=message):
        Limits(neurons=4, **tables).rules(10)
