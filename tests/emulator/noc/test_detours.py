"""Ways around dead links: legal, without rings, shortest where nothing is dead, and trees."""

import numpy as np
import pytest
from random_systems import random_noc, with_dead_links

from emulator.noc.detours import around
from emulator.noc.links import link_order
from emulator.noc.topology import EAST, NOWHERE, TOPOLOGIES, WEST, mesh, torus
from emulator.noc.ways import diameter, hops_between, route, ways

GRIDS = ["mesh", "torus", "chips"]


def whole(noc, root=0):
    return around(noc, np.zeros(noc.n_links, bool), noc.core_router, [root])


def routers_of(noc, links):
    return [int(noc.link_from[links[0]]), *noc.link_to[links].tolist()] if links else []


@pytest.mark.parametrize("topology", TOPOLOGIES)
def test_every_core_is_reached_over_links_that_work(rng, topology):
    for _ in range(12):
        noc = with_dead_links(rng, random_noc(rng, topology))
        core = np.arange(noc.n_cores)
        assert ways(noc, core[:, None], core).hops.sum() >= 0
        hops = hops_between(noc)
        for source, target in rng.integers(0, noc.n_cores, (30, 2)):
            links = route(noc, source, target)
            at = noc.core_router[source]
            for link in links:
                assert noc.link_from[link] == at
                at = noc.link_to[link]
            kinds = np.bincount(noc.link_kind[links], minlength=len(noc.kinds)).tolist()
            assert hops[:, noc.core_router[source], at].tolist() == kinds


@pytest.mark.parametrize("topology", GRIDS)
def test_no_link_ever_waits_for_itself(rng, topology):
    """Which link follows which has an order, so that one slot in each buffer is enough."""
    n_dead = 0
    for _ in range(20):
        noc = random_noc(rng, topology)
        faulty = with_dead_links(rng, noc)
        n_dead += noc.n_links - faulty.n_links
        place = np.empty(faulty.n_links, int)
        place[link_order(faulty)] = np.arange(faulty.n_links)
        for source, target in rng.integers(0, noc.n_cores, (40, 2)):
            assert np.all(np.diff(place[route(faulty, source, target)]) > 0)
    assert n_dead > 40


@pytest.mark.parametrize("topology", GRIDS)
def test_ways_from_one_source_never_meet_again(rng, topology):
    for _ in range(20):
        noc = with_dead_links(rng, random_noc(rng, topology))
        for source in rng.integers(0, noc.n_cores, 4).tolist():
            enters = {}
            for target in range(noc.n_cores):
                for link in route(noc, source, target):
                    assert enters.setdefault(int(noc.link_to[link]), link) == link
            assert int(noc.core_router[source]) not in enters


@pytest.mark.parametrize("order", ["row-major", "column-major"])
@pytest.mark.parametrize("corner", [0, 5, 18, 23])
def test_on_a_whole_mesh_ways_from_a_corner_are_shortest(corner, order):
    noc = mesh(width=6, height=4, tile_order=order)
    assert np.array_equal(hops_between(whole(noc, corner)), hops_between(noc))


def busiest(noc):
    """Ways over the link that most ways take, all pairs counted."""
    count = np.zeros(noc.n_links, int)
    for source in range(noc.n_cores):
        for target in range(noc.n_cores):
            np.add.at(count, route(noc, source, target), 1)
    return count.max()


@pytest.mark.parametrize("size", [(8, 4), (3, 6)])
@pytest.mark.parametrize("corner", range(4))
def test_on_a_whole_mesh_no_link_is_busier_than_with_x_then_y(size, corner):
    width, height = size
    noc = mesh(width=width, height=height)
    along_x = np.isin(noc.link_port, (EAST, WEST))
    axis = (along_x == (width >= height)).astype(int)
    root = [0, width - 1, width * (height - 1), width * height - 1][corner]
    nothing = np.zeros(noc.n_links, bool)
    assert busiest(around(noc, nothing, noc.core_router, [root], axis)) <= busiest(noc)
    assert busiest(around(noc, nothing, noc.core_router, [root], 1 - axis)) > busiest(noc)


def test_a_dead_link_lengthens_only_ways_that_need_it():
    noc = mesh(width=4, height=4)
    dead = np.array([name in ("(1,1) east", "(2,1) west") for name in noc.link_name])
    longer = hops_between(around(noc, dead, noc.core_router, [0])).sum(axis=0)
    longer = longer - hops_between(noc).sum(axis=0)
    assert longer[5, 6] == longer[6, 5] == 2  # from (1,1) to (2,1) around the gap
    assert longer[5, 7] == longer[4, 6] == 2
    assert np.all(longer[[0, 1, 2, 3]][:, [0, 1, 2, 3]] == 0)


def test_a_one_way_link_is_used_in_the_direction_that_works():
    noc = mesh(width=3, height=2)
    dead = np.array([name == "(0,1) east" for name in noc.link_name])
    noc = around(noc, dead, noc.core_router, [0])
    assert [noc.link_name[k] for k in route(noc, 4, 3)] == ["(1,1) west"]
    assert routers_of(noc, route(noc, 3, 4)) == [3, 0, 1, 4]


def test_the_root_with_the_fewest_hops_is_taken():
    noc = torus(width=5, height=1)
    dead = np.array([name in ("(4,0) east", "(0,0) west") for name in noc.link_name])
    total = [hops_between(around(noc, dead, noc.core_router, [r])).sum() for r in range(5)]
    assert hops_between(around(noc, dead, noc.core_router, range(5))).sum() == min(total)


def test_routers_that_are_cut_off_have_no_ways_and_the_others_do():
    noc = mesh(width=3, height=1)
    dead = (noc.link_from == 2) | (noc.link_to == 2)
    cut = around(noc, dead, np.array([0, 1]), [2])
    assert cut.step[0, 2] == cut.step[2, 0] == NOWHERE
    assert ways(cut, 0, 1).hops.sum() == diameter(cut) == 1
    assert link_order(cut).size == 2
    with pytest.raises(ValueError, match="no way from core 1 to 2"):
        ways(cut, 1, 2)
    with pytest.raises(ValueError, match="dead links part router 2 from router 0"):
        around(noc, dead, noc.core_router, [0])


def test_a_mesh_of_one_router_has_no_ways_to_change():
    assert diameter(whole(mesh(width=1, height=1, cores_per_router=3))) == 0
