"""Topologies: links, routes, names, hops and latencies when nothing queues."""

from dataclasses import replace

import numpy as np
import pytest
from random_systems import random_noc

from emulator.noc.topology import TOPOLOGIES, Common, Cost, chips, crossbar, mesh, torus, tree
from emulator.noc.trees import plant
from emulator.noc.ways import diameter, route, route_names, ways


@pytest.mark.parametrize("topology", TOPOLOGIES)
def test_every_route_leads_from_source_to_target(rng, topology):
    for _ in range(10):
        noc = random_noc(rng, topology)
        for source, target in rng.integers(0, noc.n_cores, (40, 2)):
            at = noc.core_router[source]
            for link in route(noc, source, target):
                assert noc.link_from[link] == at
                at = noc.link_to[link]
            assert at == noc.core_router[target]


@pytest.mark.parametrize("topology", TOPOLOGIES)
def test_ways_add_up_routes(rng, topology):
    for _ in range(5):
        noc = random_noc(rng, topology)
        source, target = rng.integers(0, noc.n_cores, (2, 30))
        found = ways(noc, source, target, bits=3)
        for k, (s, t) in enumerate(zip(source, target, strict=True)):
            links = route(noc, s, t)
            kinds = np.bincount(noc.link_kind[links], minlength=len(noc.kinds))
            assert found.hops[:, k].tolist() == kinds[: len(noc.kinds)].tolist()
            flown = (noc.link_fixed_ps + 3 * noc.link_bit_ps + noc.link_flight_ps)[links].sum()
            port = noc.eject_fixed_ps[t] + 3 * noc.eject_bit_ps[t] + noc.eject_flight_ps[t]
            assert found.latency_ps[k] == flown + port + noc.axon_ps[t]
        assert diameter(noc) >= found.hops.sum(axis=0).max()


@pytest.mark.parametrize("order", ["row-major", "column-major"])
def test_mesh_goes_x_then_y(order):
    noc = mesh(width=4, height=3, cores_per_router=2, tile_order=order)

    def core(x, y):
        return 2 * (y * 4 + x if order == "row-major" else x * 3 + y)

    assert route_names(noc, core(0, 2), core(2, 0)) == [
        "(0,2) east", "(1,2) east", "(2,2) south", "(2,1) south",
    ]  # fmt: skip
    assert route_names(noc, core(3, 0), core(2, 1) + 1) == ["(3,0) west", "(2,0) north"]
    assert route(noc, core(1, 1), core(1, 1) + 1) == []
    k = np.arange(noc.n_cores)
    r = k // 2
    x, y = (r % 4, r // 4) if order == "row-major" else (r // 3, r % 3)
    hops = ways(noc, k[:, None], k).hops
    assert np.array_equal(hops[0], abs(x[:, None] - x))
    assert np.array_equal(hops[1], abs(y[:, None] - y))
    assert diameter(noc) == 5


def test_input_ports_of_a_mesh_are_north_east_south_west_then_cores():
    noc = mesh(width=3, height=3)
    names = {noc.link_name[k]: int(noc.link_port[k]) for k in np.flatnonzero(noc.link_to == 4)}
    assert names == {"(1,2) south": 0, "(2,1) west": 1, "(1,0) north": 2, "(0,1) east": 3}


@pytest.mark.parametrize(("width", "height"), [(1, 1), (2, 3), (4, 5), (6, 1)])
def test_torus_goes_the_shorter_way_round(width, height):
    noc = torus(width=width, height=height)
    k = np.arange(noc.n_cores)
    dx = (k % width - k[:, None] % width) % width
    dy = (k // width - k[:, None] // width) % height
    hops = ways(noc, k[:, None], k).hops
    assert np.array_equal(hops[0], np.minimum(dx, width - dx))
    assert np.array_equal(hops[1], np.minimum(dy, height - dy))


def test_torus_breaks_ties_towards_plus():
    assert route_names(torus(width=4, height=1), 1, 3) == ["(1,0) east", "(2,0) east"]
    assert route_names(torus(width=4, height=1), 3, 1) == ["(3,0) east", "(0,0) east"]
    assert route_names(torus(width=5, height=1), 0, 3) == ["(0,0) west", "(4,0) west"]


def test_buffers_of_a_torus_never_wait_in_a_ring(rng):
    """Follow every route from buffer to buffer: what waits for what has no cycle."""
    for width, height in [(2, 2), (3, 4), (5, 5), (6, 1)]:
        noc = torus(width=width, height=height)
        waits = set()
        for source in range(noc.n_cores):
            for target in range(noc.n_cores):
                at, before = source, None
                while at != target:
                    step = int(noc.step[at, target])
                    buffer = (int(noc.first_link[at]) + step // 2, step % 2)
                    if before is not None:
                        waits.add((before, buffer))
                    at, before = int(noc.link_to[buffer[0]]), buffer
        # Buffers that wait for none are taken away until none is left.
        while waits:
            free = {b for _, b in waits} - {a for a, _ in waits}
            assert free, f"{width} x {height}: {sorted(waits)[:3]} wait in a ring"
            waits = {(a, b) for a, b in waits if b not in free}


def test_tree_goes_up_to_the_common_ancestor():
    noc = tree(fan_out=[3, 2], cores_per_router=2, up=Cost(5), down=Cost(7))
    assert (noc.n_routers, noc.n_cores, noc.n_links) == (10, 12, 18)
    leaf = np.arange(12) // 2
    same = leaf[:, None] == leaf
    cousins = leaf[:, None] // 2 != leaf // 2
    hops = ways(noc, np.arange(12)[:, None], np.arange(12)).hops
    expected = np.where(same, 0, np.where(cousins, 2, 1))
    assert np.array_equal(hops[0], expected)
    assert np.array_equal(hops[1], expected)
    assert route_names(noc, 0, 11) == [
        "router 4 up", "router 1 up", "router 0 down to 3", "router 3 down to 9",
    ]  # fmt: skip


def test_crossbar_has_no_links():
    noc = crossbar(n_cores=100, common=Common(eject=Cost(3, 2, 1), axon_ps=10))
    assert noc.n_links == 0
    assert diameter(noc) == 0
    assert ways(noc, 3, np.arange(100), bits=4).latency_ps.tolist() == [3 + 8 + 1 + 10] * 100


def test_chips_are_one_mesh_with_slower_links_between():
    noc = chips(
        chips_x=2, chips_y=2, width=3, height=2, cores_per_router=2,
        east_west=Cost(1), north_south=Cost(2), between=Cost(100),
    )  # fmt: skip
    # Core 0 is at (0, 0) of the first chip, the last core at (5, 3) of the whole.
    assert ways(noc, 0, 47).hops.tolist() == [4, 2, 2]
    # Cores are numbered chip by chip: 12 is the first of the second chip, at (3, 0).
    assert route_names(noc, 0, 12) == ["(0,0) east", "(1,0) east", "(2,0) east"]
    assert ways(noc, 0, 12).latency_ps == 1 + 1 + 100
    assert noc.core_router[24] == 2 * 6
    column = chips(chips_x=1, chips_y=1, width=3, height=2, tile_order="column-major")
    assert column.core_router.tolist() == [0, 3, 1, 4, 2, 5]


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: mesh(width=0, height=2), "width: 0; at least 1"),
        (lambda: mesh(width=2, height=2, tile_order="spiral"), "tile_order: 'spiral'; row-major"),
        (lambda: tree(fan_out=[2, 0]), r"fan_out\[1\]: 0; at least 1"),
        (lambda: crossbar(n_cores=3, common=Common(axon_ps=-1)), "axon_ps: -1 to -1 ps; costs are"),
        (lambda: mesh(width=2, height=1, common=Common(buffer=-2)), "buffer: -2 slots"),
        (lambda: crossbar(n_cores=2**20 + 1), "1,048,577 cores; 1 to 1,048,576"),
        (
            lambda: replace(mesh(width=2, height=1), link_to=np.zeros(3, np.int64)),
            r"link_to: int64 \[2\] expected, got int64 \(3,\)",
        ),
        (
            lambda: replace(mesh(width=3, height=1), link_from=np.array([2, 1, 1, 0])),
            "link_from: must ascend",
        ),
        (
            lambda: replace(mesh(width=2, height=1), link_to=np.array([1, 7])),
            "link_to: 1 to 7, but there are 2 routers",
        ),
        (
            lambda: replace(mesh(width=2, height=1), step=np.full((2, 2), 3, np.int16)),
            "step: a route takes link 3 of router 0, which has 1",
        ),
        (lambda: route(mesh(width=2, height=1), 0, 2), "target: core 2, but mesh has 0 to 1"),
        (lambda: plant(mesh(width=2, height=1), [0], [0, 0], []), "tree 0: no targets"),
        (lambda: plant(mesh(width=2, height=1), [0], [0, 2], [1, 1]), "named twice"),
        (lambda: plant(mesh(width=2, height=1), [0], [0, 1], [5]), "core 5, but there are 0 to 1"),
    ],
)
def test_errors_say_what_is_wrong(build, message):
    with pytest.raises(ValueError, match=message):
        build()


def test_trees_reach_their_targets_over_the_links_of_the_routes(rng):
    for _ in range(30):
        noc = random_noc(rng)
        source = int(rng.integers(noc.n_cores))
        targets = rng.choice(noc.n_cores, rng.integers(1, min(noc.n_cores, 9) + 1), replace=False)
        forest = plant(noc, np.array([source]), np.array([0, targets.size]), targets)
        links = {link for t in targets for link in route(noc, source, t)}
        ports = {noc.n_links + int(t) for t in targets}
        servers = forest.edge[:, 1].tolist()
        assert sorted(servers) == sorted(links | ports)
        assert forest.n_edges_of().tolist() == [len(servers)]
