"""Orders and the whole pipeline: legal, repeatable, never worse than the baseline."""

import sys

import numpy as np
import pytest
from extras import needs_metis, with_extras

from mapping.errors import CapacityError
from mapping.layout.floor import Floor
from mapping.layout.hypergraph import Hypergraph, flows
from mapping.layout.metis import EXPANSIONS, by_metis
from mapping.layout.moves import Limits
from mapping.layout.orders import aligned, overlapping, sequential, tiled, twinned
from mapping.layout.pipeline import PARTITIONERS, Job, laid_out
from mapping.layout.placers import Task
from mapping.layout.repair import cut_in_order
from traces.errors import MissingExtraError

pytestmark = pytest.mark.slow_uncompiled

N = 120
FLOOR = Floor.mesh(8, 8)
WORDS = np.array([(np.arange(N + 5) + 3) // 4, np.arange(N + 5)])


def ring(seed):
    """A ring that is numbered at random, some of it rewired, silent neurons, odd rates."""
    rng = np.random.default_rng(seed)
    number = rng.permutation(N)
    lists = [[number[(u + d) % N] for d in (0, 1, 2, 3, 4)] + [rng.integers(N)] for u in range(N)]
    start = np.arange(N + 1) * 6
    by_number = [lists[u] for u in np.argsort(number)]
    return Hypergraph.of(start, np.concatenate(by_number), rng.integers(0, 4, N).astype(float))


def several(seed):
    """Nets of two kinds, several or none to a neuron, some from outside."""
    rng = np.random.default_rng(seed)
    owner = np.concatenate([np.sort(rng.integers(0, N, N)), np.full(10, -1)])
    lists = [rng.choice(N, rng.integers(0, 9), replace=False) for _ in owner]
    start = np.cumsum([0, *map(len, lists)])
    return Hypergraph.of(
        start, np.concatenate(lists), rng.random(owner.size), n=N, owner=owner,
        kind=rng.integers(0, 2, owner.size),
    )  # fmt: skip


def layers(seed):
    """Dense layers of 40, numbered in order."""
    size = np.where(np.arange(N) < 80, 40, 0)
    targets = np.concatenate([np.tile(np.arange(40, 80), 40), np.tile(np.arange(80, 120), 40)])
    return Hypergraph.of(np.concatenate([[0], np.cumsum(size)]), targets)


def disconnected(seed):
    return Hypergraph.of(np.zeros(N + 1, int), np.empty(0, int))


GRAPHS = {"ring": ring, "several": several, "layers": layers, "disconnected": disconnected}
LIMITS = {
    "neurons": Limits(neurons=16),
    "axons": Limits(neurons=30, in_axons=90, out_axons=95, words=150, list_words=WORDS),
    "compartments": Limits(
        neurons=20, in_axons=110, compartments=np.arange(N) % 3 + 1,
        profile=(np.arange(N) % 11)[:, None], profiles=(4,),
    ),
}  # fmt: skip
ORDERS = {
    "sequential": sequential,
    "aligned": lambda graph, limits: aligned(graph, limits, [40, 40, 40]),
    "overlapping": lambda graph, limits: overlapping(graph, limits, 5),
    "tiled": lambda graph, limits: tiled(graph, limits, [(2, 4, 5), (2, 4, 5), (40,)])[0],
    "twinned": lambda graph, limits: twinned(graph, limits),
}


def use_of(graph, core, limits):
    """Compartments, in-axons, out-axons, words and profiles of each core, list by list."""
    n_cores = int(core.max()) + 1
    use = np.zeros((n_cores, 5), int)
    size = np.ones(N, int) if limits.compartments is None else limits.compartments
    np.add.at(use[:, 0], core, size)
    words = np.zeros((2, N + 5), int) if limits.list_words is None else limits.list_words
    for e in range(graph.n_nets):
        reached = core[graph.target[graph.start[e] : graph.start[e + 1]]].tolist()
        for c in set(reached):
            use[c, 1] += 1
            use[c, 3] += words[graph.kind[e], reached.count(c)]
            if graph.owner[e] >= 0:
                use[core[graph.owner[e]], 2] += 1
    if limits.profile is not None:
        use[:, 4] = [len(set(limits.profile[core == c, 0].tolist())) for c in range(n_cores)]
    return use


def limit_of(limits):
    most = (limits.profiles or (N,))[0]
    return np.array([limits.neurons, limits.in_axons, limits.out_axons, limits.words, most])


@pytest.fixture(params=GRAPHS.values(), ids=GRAPHS)
def graph(request):
    return request.param(1)


@pytest.fixture(params=LIMITS.values(), ids=LIMITS)
def limits(request):
    return request.param


@pytest.mark.parametrize("order", ORDERS.values(), ids=ORDERS)
def test_orders_keep_limits_and_leave_no_gap(order, graph, limits):
    core = order(graph, limits)
    if core is None:
        pytest.skip("no two neurons of this network are alike")
    assert core.shape == (N,)
    assert np.array_equal(np.unique(core), np.arange(core.max() + 1))
    over = use_of(graph, core, limits) > limit_of(limits)
    assert not over[:, [0, 1, 3, 4]].any()
    assert np.array_equal(core, order(graph, limits))


@pytest.mark.parametrize("name", with_extras(PARTITIONERS))
def test_layouts_keep_limits_are_counted_right_and_no_worse_than_the_baseline(name, graph, limits):
    job = Job(graph=graph, limits=limits, floor=FLOOR, effort=0.01, seed=3)
    found = laid_out(job, name)
    core, place = found.core, found.place
    assert np.array_equal(np.unique(core), np.arange(place.size))
    assert np.unique(place).size == place.size
    assert not np.any(use_of(graph, core, limits) > limit_of(limits))
    packets = hops = 0.0
    for e in range(graph.n_nets):
        u = graph.owner[e]
        if u < 0:
            continue
        for c in {int(core[t]) for t in graph.target[graph.start[e] : graph.start[e + 1]]}:
            packets += graph.rate[e] * (c != core[u])
            hops += graph.rate[e] * int(FLOOR.distance(place[core[u]], place[c]))
    assert (found.packets, found.hops) == pytest.approx((packets, hops))
    assert found.lower_bound <= found.hops + 1e-9
    plain = sequential(graph, limits)
    if not np.any(use_of(graph, plain, limits) > limit_of(limits)):
        between = Task(flows=flows(graph, plain), floor=FLOOR)
        base = between.hops(np.arange(plain.max() + 1))
        assert found.baseline_hops == pytest.approx(base)
        assert found.hops <= base + 1e-9
    again = laid_out(job, name)
    assert np.array_equal(core, again.core)
    assert np.array_equal(place, again.place)


def test_the_pipeline_unties_a_ring_that_is_numbered_at_random():
    graph, limits = ring(0), LIMITS["neurons"]
    found = laid_out(Job(graph=graph, limits=limits, floor=FLOOR, effort=0.05))
    assert found.hops < 0.5 * found.baseline_hops


def test_the_baseline_cuts_cores_of_too_many_out_axons_in_their_order():
    graph, limits = layers(0), Limits(neurons=40, in_axons=40, out_axons=60)
    core = sequential(graph, limits)
    assert use_of(graph, core, limits)[:, 2].tolist() == [40, 40, 0]
    tight = Limits(neurons=40, in_axons=40, out_axons=25)
    cut = cut_in_order(graph.edges, tight, core, np.zeros(N, bool))
    assert not np.any(use_of(graph, cut, tight) > limit_of(tight))
    assert np.all(np.diff(cut) >= 0)
    assert np.unique(np.stack([core, cut]), axis=1).shape[1] == cut.max() + 1
    base = laid_out(Job(graph=graph, limits=tight, floor=FLOOR, effort=0.01), "sequential")
    assert base.baseline_hops < np.inf


def test_cores_of_one_router_send_no_more_packets_than_the_baseline():
    floor = Floor.mesh(1, 1, 64)
    found = laid_out(Job(graph=ring(2), limits=LIMITS["neurons"], floor=floor, effort=0.02))
    assert (found.hops, found.baseline_hops) == (0, 0)
    assert found.packets < 0.7 * found.baseline_packets


@pytest.mark.parametrize("name", with_extras(PARTITIONERS))
def test_pinned_neurons_lie_where_they_must(name, graph, limits):
    pins = np.full(N, -1)
    pins[[3, 50, 51]] = [7, 20, 20]
    job = Job(graph=graph, limits=limits, floor=FLOOR, pins=pins, effort=0.01)
    found = laid_out(job, name)
    assert found.place[found.core[[3, 50, 51]]].tolist() == [7, 20, 20]
    assert not np.any(use_of(graph, found.core, limits) > limit_of(limits))


@pytest.mark.parametrize("expansion", EXPANSIONS)
@pytest.mark.parametrize("seed", range(3))
def test_edges_of_a_net_join_all_its_neurons_and_no_others(expansion, seed):
    edges = several(seed).edges
    ties = EXPANSIONS[expansion](edges, N, np.random.default_rng(seed))
    assert np.all(ties.weight > 0)
    group = np.arange(ties.n)  # joined by edges
    expected = np.arange(N)  # joined by nets
    for one, other in zip(ties.one, ties.other, strict=True):
        group[group == group[one]] = group[other]
    for e in range(edges.rate.size):
        pins = edges.target[edges.start[e] : edges.start[e + 1]].tolist()
        if pins and edges.owner[e] >= 0:
            pins.append(int(edges.owner[e]))
        for pin in pins:
            expected[expected == expected[pin]] = expected[pins[0]]
    same, known = group[:N, None] == group[:N], expected[:, None] == expected
    assert np.array_equal(same, known)


@needs_metis
@pytest.mark.parametrize("expansion", EXPANSIONS)
def test_metis_unties_a_ring_and_is_repeatable(expansion):
    graph, limits = ring(0), LIMITS["neurons"]
    core = by_metis(graph, limits, 8, expansion, seed=1)
    assert np.array_equal(np.unique(core), np.arange(8))
    assert np.array_equal(core, by_metis(graph, limits, 8, expansion, seed=1))
    by_chance = np.random.default_rng(0).permutation(N) % 8
    assert flows(graph, core).packets < 0.6 * flows(graph, by_chance).packets


def test_metis_without_its_extra_is_refused(monkeypatch):
    monkeypatch.setitem(sys.modules, "pymetis", None)  # as if it were not installed
    job = Job(graph=ring(0), limits=LIMITS["neurons"], floor=FLOOR)
    with pytest.raises(MissingExtraError, match=r"not installed; install spikefab\[metis\]"):
        laid_out(job, "metis")


def test_a_given_start_is_never_made_worse():
    graph, limits = ring(0), LIMITS["neurons"]
    good = laid_out(Job(graph=graph, limits=limits, floor=FLOOR, effort=0.2))
    job = Job(graph=graph, limits=limits, floor=FLOOR, starts=[good.core], effort=0.01)
    assert laid_out(job).hops <= 1.05 * good.hops


def test_a_stop_keeps_the_best_so_far(graph):
    job = Job(graph=graph, limits=LIMITS["neurons"], floor=FLOOR, stop=lambda: True)
    found = laid_out(job)
    assert found.hops <= found.baseline_hops


def test_what_does_not_fit_is_refused_with_the_numbers():
    with pytest.raises(CapacityError, match="8 cores are needed, but there are 4 places"):
        laid_out(Job(graph=ring(0), limits=LIMITS["neurons"], floor=Floor.mesh(2, 2)))
    with pytest.raises(CapacityError, match="in-axons of 3"):
        laid_out(Job(graph=ring(0), limits=Limits(neurons=16, in_axons=3),
                     floor=Floor.mesh(16, 16), effort=0.01))  # fmt: skip


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"shapes": [(3, 3)]}, "shapes: they hold 9 neurons of 120"),
        ({"starts": [np.full(N, 1)]}, "from 0 without gaps"),
        ({"pins": np.full(N, 64)}, "needs one of the 64 places"),
        ({"placer": "best"}, "'best' is none of linear, hilbert"),
    ],
)
def test_a_job_that_contradicts_itself_is_refused(given, message):
    with pytest.raises(ValueError, match=message):
        Job(graph=ring(0), limits=LIMITS["neurons"], floor=FLOOR, **given)


def test_an_unknown_partitioner_is_refused():
    job = Job(graph=ring(0), limits=LIMITS["neurons"], floor=FLOOR)
    with pytest.raises(ValueError, match="'best' is none of sequential, packed, traffic"):
        laid_out(job, "best")
