"""Dead cores, routers and links: what the chip file and the command line say, and runs on them."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from random_fabrics import TICKS, TOPOLOGIES, case, with_fabric, with_faults
from random_machines import random_chip

from emulator.chip_file import ChipError, load_chip
from emulator.engine import Engine
from emulator.errors import FabricChoiceError, ProgramError
from emulator.fabric import FABRIC_NAMES
from emulator.noc.of_chip import noc_of
from emulator.noc.ways import route
from emulator.ways import ways
from emulator.without import chip_without

pytestmark = pytest.mark.plain_python


def run(program, chip, stimuli, fabric):
    engine = Engine(program, chip, fabric=fabric)
    blocks = []
    engine.run(stimuli, TICKS, blocks.append)
    return engine, {
        name: np.concatenate([getattr(block, name) for block in blocks]).tolist()
        for name in ("tick_ps", "slowest_core", "busiest_link", "spike_tick", "spike_neuron",
                     "spike_payload")
    }  # fmt: skip


def file_with(tmp_path, faults, mesh='base = "loihi"'):
    path = tmp_path / "chip.toml"
    path.write_text(f'{mesh}\nname = "worn"\n[faults]\n{faults}\n')
    return path


def test_the_file_and_the_command_line_say_the_same(tmp_path):
    text = (
        'cores = [9, 5, 7, 9]\nreserved = [0]\nrouters = ["7,3"]\n'
        'links = ["4,0-3,0", "1,1 -> 2,1", "2,2 -> 2,3", "2,3->2,2"]'
    )
    chip = load_chip(file_with(tmp_path, text))
    assert chip.faults.cores == (5, 7, 9)
    assert chip.faults.links == ("1,1 -> 2,1", "2,2 - 2,3", "3,0 - 4,0")
    plain = load_chip("loihi").model_copy(update={"name": "worn"})
    said = chip_without(
        plain,
        ["core 5", "cores 7, 9", "Reserved 0", "router 31", "link 3-4", "link 9->10",
         "links (2,2) - (2,3)"],
    )  # fmt: skip
    assert said == chip
    assert said.sha256 == chip.sha256 != plain.sha256
    assert hash(said) == hash(chip)
    assert chip.n_cores == 128
    assert set(range(128)) - set(chip.usable.tolist()) == {0, 5, 7, 9, 124, 125, 126, 127}
    more = chip_without(chip, ["cores 10-12"])
    assert more.faults.cores == (5, 7, 9, 10, 11, 12)
    assert chip_without(chip, []) == chip


def test_router_numbers_follow_the_order_of_tiles(tmp_path):
    chip = load_chip("loihi-sanafe")
    assert chip.mesh.tile_order == "column-major"
    assert chip_without(chip, ["router 1"]).faults.routers == ("0,1",)
    lost = np.setdiff1d(np.arange(chip.n_cores), chip_without(chip, ["router 1"]).usable)
    assert lost.tolist() == [4, 5, 6, 7]


def test_faults_are_told_with_the_constants_of_a_chip():
    chip = load_chip("loihi")
    assert not [row for row in chip.rows() if row.key.startswith("faults")]
    rows = {row.key: row.value for row in chip_without(chip, ["link 3-4", "core 7"]).rows()}
    assert rows["faults.links"] == ("3,0 - 4,0",)
    assert rows["faults.cores"] == (7,)


@pytest.mark.parametrize(
    ("faults", "message"),
    [
        ("cores = [128]", r"faults.cores: 128, but worn has cores 0 to 127"),
        ("reserved = [3, 900]", r"faults.reserved: 900, but worn has cores 0 to 127"),
        ("cores = [-1]", r"faults.cores.0: must be greater than or equal to 0"),
        ('cores = ["a"]', r"faults.cores.0: must be a valid integer"),
        ('routers = ["8,0"]', r"faults.routers: 8,0 is outside the chip, whose routers are 0,0 to 7,3"),
        ('routers = ["3"]', r"faults.routers: 3, but routers of a mesh are written x,y"),
        ('routers = ["north"]', r"faults.routers: 'north' is no router; write \"x,y\""),
        ('links = ["0,0 - 0,9"]', r"faults.links: 0,9 is outside the chip"),
        ('links = ["0,0 - 2,0"]', r"routers 0,0 and 2,0 are not neighbours on a mesh"),
        ('links = ["0,0 - 0,0"]', r"'0,0 - 0,0' joins a router with itself"),
        ('links = ["0,0 to 1,0"]', r"'0,0 to 1,0' is no link; write two routers with -"),
        ('link = ["0,0 - 1,0"]', r"faults.link: unknown key; did you mean 'links'"),
        (
            f"cores = {list(range(100))}\nreserved = {list(range(100, 128))}",
            r"all 128 cores of worn are dead or reserved, so that none is left",
        ),
        (f"cores = {list(range(130))}", r"faults.cores: 128, but worn has cores 0 to 127"),
        (
            'links = ["0,0 - 1,0", "0,0 - 0,1"]',
            r"cut the chip in two: no way .* joins core 0 and core 4 \(124 of 128 cores are cut",
        ),
        ('routers = ["1,0", "0,1"]', r"joins core 0 and core 8"),
        (
            'links = ["0,0 -> 1,0", "0,1 -> 0,0"]',
            r"over links that work in both directions joins core 0 and core 4",
        ),
    ],
)  # fmt: skip
def test_a_file_with_impossible_faults_is_refused(tmp_path, faults, message):
    with pytest.raises(ChipError, match=message):
        load_chip(file_with(tmp_path, faults))


def test_what_is_cut_off_may_be_given_up(tmp_path):
    text = 'links = ["0,0 - 1,0", "0,0 - 0,1"]\ncores = [0, 1, 2, 3]'
    chip = load_chip(file_with(tmp_path, text))
    assert chip.usable.tolist() == list(range(4, 128))
    with pytest.raises(ValueError, match="faults leave no way from core 0 to core 9"):
        ways(0, 9, chip)


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("", "nothing known; write for example 'core 5'"),
        ("core", "nothing known"),
        ("chip 3", "nothing known"),
        ("core five", "'five' is no core; write numbers and ranges"),
        ("cores 9-5", "9-5: the first core is after the last"),
        ("cores 0-128", "core 128, but loihi has cores 0 to 127"),
        ("core 1,,2", "'' is no core"),
        ("router 32", "router 32, but loihi has routers 0 to 31"),
        ("router a,b", "'a,b' is no router"),
        ("link 3", "'3' is no link"),
        ("link 3-5", "routers 3,0 and 5,0 are not neighbours"),
        ("link 3-99", "router 99, but loihi has routers 0 to 31"),
        ("link 3 - 4 - 5", "is no link"),
        ("cores 0-127", "all 128 cores of loihi are dead or reserved"),
    ],
)
def test_bad_text_on_the_command_line_is_refused(fault, message):
    with pytest.raises(ValueError, match=message):
        chip_without(load_chip("loihi"), ["core 3", fault])


def test_trees_and_crossbars_have_routers_of_their_own(rng):
    tree = with_fabric(rng, random_chip(rng), "tree")
    assert chip_without(tree, ["router 3"]).usable.tolist() == [*range(2, 16)]
    with pytest.raises(ValueError, match="as one number, 0 for the root"):
        chip_without(tree, ["router 0,1"])
    with pytest.raises(ValueError, match="the tree has routers 0 to 10"):
        chip_without(tree, ["router 11"])
    with pytest.raises(ValueError, match=r"joins core 0 and core 8 \(8 of 16"):
        chip_without(tree, ["link 0-1"])
    assert chip_without(tree, ["link 0-1", "cores 0-7"]).usable.tolist() == [*range(8, 16)]
    crossbar = with_fabric(rng, random_chip(rng), "crossbar")
    with pytest.raises(ValueError, match="a crossbar has one router and no links; name cores"):
        chip_without(crossbar, ["link 0-1"])


def test_a_program_on_a_dead_core_is_refused():
    program, chip, _ = case(1, "mesh")
    dead = int(program.core[1])
    for fault in (f"core {dead}", f"reserved {dead}"):
        with pytest.raises(ProgramError, match=f"dead or reserved on .* first is core {dead} with"):
            Engine(program, chip_without(chip, [fault]))


def test_entries_of_routers_need_packets_that_fork(tmp_path):
    path = tmp_path / "chip.toml"
    path.write_text('base = "loihi"\n[limits]\nrouting_entries_per_router = 1024\n')
    with pytest.raises(ChipError, match=r"routing_entries_per_router: with fabric.multicast false"):
        load_chip(path)
    path.write_text(path.read_text() + "[fabric]\nmulticast = true\n")
    assert load_chip(path).limit("routing_entries_per_router") == 1024


def test_too_many_routers_for_ways_around_faults():
    plain = load_chip("loihi").model_dump()
    plain["mesh"] |= {"width": 100, "height": 100}
    chip = chip_without(type(load_chip("loihi")).model_validate(plain), ["link 3-4"])
    with pytest.raises(FabricChoiceError, match=r"10,000 routers.*at most 4,096"):
        ways(0, 4, chip)
    dead_core = chip_without(chip.model_copy(update={"faults": type(chip.faults)()}), ["core 7"])
    assert ways(0, 16, dead_core).hops_ew == 4


@pytest.mark.parametrize("topology", [t for t in TOPOLOGIES if t != "crossbar"])
def test_hops_follow_the_links_of_the_network_by_direction(rng, topology):
    n_longer = 0
    for _ in range(10):
        whole = with_fabric(rng, random_chip(rng), topology)
        chip = with_faults(rng, whole, n=9)
        cores = chip.usable
        noc, there = noc_of(chip, cores)
        found, usual = ways(cores[:, None], cores, chip), ways(cores[:, None], cores, whole)
        names = ("hops_ew", "hops_ns", "hops_off_chip")
        for a, b in rng.integers(0, cores.size, (30, 2)):
            links = route(noc, int(there[a]), int(there[b]))
            count = Counter(noc.link_kind[links].tolist())
            assert [int(getattr(found, name)[a, b]) for name in names] == [
                count[k] for k in range(3)
            ]
            assert not {named(noc, k, chip) for k in links} & set(chip.faults.dead_wires)
            timing, off_chip = chip.timing, chip.fabric.off_chip_hop_ps
            assert found.latency_ps[a, b] == (
                count[0] * timing.hop_ew_ps.value + count[1] * timing.hop_ns_ps.value
                + count[2] * (off_chip.value if off_chip else 0) + timing.local_spike_ps.value
            )  # fmt: skip
        n_longer += int((sum(found[:3]) > sum(usual[:3])).sum())
    assert n_longer > 20 or topology == "tree"


def named(noc, link, chip):
    """The link as a chip file names it; read from its name, which tells where its router lies."""
    if chip.fabric.topology == "tree":
        return (int(noc.link_from[link]),), (int(noc.link_to[link]),)
    at, side = noc.link_name[link].split()
    x, y = map(int, at.strip("()").split(","))
    dx, dy = {"north": (0, 1), "east": (1, 0), "south": (0, -1), "west": (-1, 0)}[side]
    mesh, fabric = chip.mesh, chip.fabric
    return (x, y), (
        (x + dx) % (mesh.width * fabric.chips_x), (y + dy) % (mesh.height * fabric.chips_y)
    )  # fmt: skip


@pytest.mark.parametrize("multicast", [False, True])
@pytest.mark.parametrize("topology", TOPOLOGIES)
def test_all_fabrics_go_the_same_ways_around_faults(topology, multicast):
    n_faults = n_hops = 0
    for seed in range(8):
        program, chip, stimuli = case(500 + seed, topology, faulty=True, multicast=multicast)
        n_faults += chip.faults.on_ways
        # On a torus without dead links routes still go round in rings.
        no_links = multicast or (topology == "torus" and not chip.faults.on_ways)
        fabrics = [name for name in FABRIC_NAMES if not (no_links and name == "links")]
        found = {name: run(program, chip, stimuli, name) for name in fabrics}
        ideal, free = found["ideal"]
        for name, (engine, outcome) in found.items():
            assert outcome["spike_neuron"] == free["spike_neuron"], (seed, name)
            assert engine.counters.keys() == ideal.counters.keys()
            for counter in ("packets", "hops_ew", "hops_ns", "hops_off_chip"):
                assert np.array_equal(engine.counters[counter], ideal.counters[counter])
            if name != "simple":
                assert np.all(np.array(outcome["tick_ps"]) >= free["tick_ps"]), (seed, name)
        assert found["queued"][1] == found["simpy"][1], seed
        queued = found["queued"][0].carried
        hops = sum(int(ideal.counters[f"hops_{way}"].sum()) for way in ("ew", "ns", "off_chip"))
        if not multicast:
            assert queued.packets.tolist() == ideal.carried.packets.tolist()
            assert queued.packets.sum() == hops
        n_hops += hops
    assert n_faults >= 4 or topology in ("crossbar", "tree")
    assert n_hops > 60 or topology == "crossbar"


def test_a_chip_without_faults_goes_its_usual_ways():
    program, chip, stimuli = case(3, "mesh")
    far = replace(program, core=np.array([0, 7, 15])[: program.n_cores])
    assert run(far, chip, stimuli, "queued")[1] == run(
        far, chip_without(chip, ["core 3", "reserved 4"]), stimuli, "queued"
    )[1]  # fmt: skip
