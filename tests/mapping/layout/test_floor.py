"""The floor of a chip: usable cores alone, and the hops that its packets take."""

import tracemalloc

import numpy as np
import pytest
from random_fabrics import TOPOLOGIES, with_fabric, with_faults
from random_machines import random_chip

from emulator.chip import Chip
from emulator.chip_file import load_chip
from emulator.ways import ways
from emulator.without import chip_without
from mapping.errors import CapacityError
from mapping.layout.floor import Floor
from mapping.layout.hypergraph import Flows
from mapping.layout.placers import PLACERS, Task, check_placement, lower_bound


def chips(rng, topology):
    """Sizes, orders of tiles and faults at random."""
    for case in range(8):
        plain = with_fabric(rng, random_chip(rng), topology).model_dump()
        plain["mesh"]["tile_order"] = str(rng.choice(["row-major", "column-major"]))
        if topology != "tree":
            plain["mesh"] |= {"width": int(rng.integers(1, 6)), "height": int(rng.integers(1, 5))}
        plain["mesh"]["cores_per_router"] = int(rng.integers(1, 4))
        chip = Chip.model_validate(plain)
        yield with_faults(rng, chip, least=1, n=6) if case % 2 else chip


@pytest.mark.parametrize("topology", TOPOLOGIES)
def test_distances_are_the_hops_of_packets(rng, topology):
    for chip in chips(rng, topology):
        floor = Floor.of(chip)
        assert np.array_equal(floor.core, chip.usable)
        place = np.arange(floor.n_places)
        way = ways(floor.core[:, None], floor.core, chip)
        hops = way.hops_ew + way.hops_ns + way.hops_off_chip
        assert np.array_equal(floor.distance(place[:, None], place), hops)
        assert sorted(floor.along_hilbert()) == place.tolist()


@pytest.mark.slow_uncompiled
@pytest.mark.parametrize("topology", TOPOLOGIES)
def test_placers_work_on_every_floor(rng, topology):
    for chip in chips(rng, topology):
        floor = Floor.of(chip)
        n = int(rng.integers(1, min(floor.n_places, 9) + 1))
        sent = rng.integers(0, 9, (n, n)) * (1 - np.eye(n, dtype=int))
        source, target = np.nonzero(sent)
        weight = sent[source, target].astype(float)
        flow = Flows.of(n, source, target, weight)
        task = Task(flows=flow, floor=floor)
        before = None
        for name, placer in PLACERS.items():
            place = placer(task, np.random.default_rng(1))
            check_placement(task, place)
            there, back = floor.distance(place[source], place[target]), None
            if not any("->" in link for link in chip.faults.links):
                assert task.hops(place) == float((weight * there).sum())
            back = floor.distance(place[target], place[source])
            assert task.hops(place) == pytest.approx(float((weight * (there + back)).sum()) / 2)
            before = task.hops(place) if before is None else before
            assert lower_bound(flow, floor) <= task.hops(place) + 1e-9 <= before + 2e-9, name


def test_dead_and_reserved_cores_are_no_places():
    chip = chip_without(load_chip("loihi"), ["cores 0-5", "reserved 9", "router 31"])
    floor = Floor.of(chip)
    assert floor.n_places == 128 - 7 - 4
    assert floor.core[:4].tolist() == [6, 7, 8, 10]
    assert (floor.x[0], floor.y[0]) == (1, 0)


def test_a_tree_too_large_for_a_table_is_refused():
    plain = load_chip("loihi").model_dump()
    plain["mesh"] |= {"width": 128, "height": 64}
    plain["fabric"] |= {"topology": "tree", "fan_out": [128, 64]}
    with pytest.raises(CapacityError, match="8,192 routers of a tree are in use"):
        Floor.of(Chip.model_validate(plain))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"core": np.arange(3)}, "2 places, but 3 cores and 0 routers"),
        ({"router": np.arange(2)}, "hops are known between 0 routers"),
        ({"ring_x": 1}, "x: 0 to 1 is outside the grid"),
    ],
)
def test_a_floor_that_contradicts_itself_is_refused(values, message):
    with pytest.raises(ValueError, match=message):
        Floor(x=np.arange(2), y=np.zeros(2, int), **values)


@pytest.mark.parametrize("per_router", [1, 3])
def test_nearest_counts_the_places_of_an_endless_grid_and_no_more(per_router):
    reach = np.arange(-40, 41)
    away = np.sort((np.abs(reach)[:, None] + np.abs(reach)).ravel())
    expected = np.repeat(away, per_router)[1:]  # all places but the own one
    for side in (1, 2, 7, 30):
        floor = Floor.mesh(side, side, per_router)
        assert floor.nearest().tolist() == expected[: floor.n_places].tolist()
    tracemalloc.start()
    Floor.mesh(256, 256).nearest()  # a table of all pairs would be 28 GiB
    assert tracemalloc.get_traced_memory()[1] < 64 * 2**20
    tracemalloc.stop()
