"""Routes lead every spike where the network wants it, and a walk notices when they do not."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from networks import random_network
from random_fabrics import TOPOLOGIES, with_faults

from emulator.chip import Chip
from emulator.chip_file import load_chip
from mapping.assemble import assemble
from mapping.deploy import map_network
from mapping.errors import CapacityError
from mapping.linear import matrix
from mapping.quantise import quantise
from mapping.routing.axons import Axons
from mapping.routing.entries import Entries
from mapping.routing.routes import routes_of
from mapping.routing.tables import Tables, tables_of
from mapping.routing.walk import check_routes, walk
from mapping.routing.wanted import wanted_of

FIXED: dict[int, object] = {}


def chip_of(rng, topology, *, limit=None, faulty=False, neurons=6):
    """A chip of small cores, 48 of them."""
    plain = load_chip("generic").model_dump()
    plain["mesh"] |= {"width": 6, "height": 4, "cores_per_router": 2}
    plain["mesh"]["tile_order"] = str(rng.choice(["row-major", "column-major"]))
    plain["limits"]["neurons_per_core"] = {"value": neurons}
    plain["fabric"] |= {"topology": "mesh" if topology == "chips" else topology}
    if topology == "tree":
        plain["fabric"]["fan_out"] = [4, 6]
    if topology == "chips":
        plain["mesh"] |= {"width": 3}
        plain["fabric"] |= {"chips_x": 2, "off_chip_hop_ps": {"value": 9}}
    if limit is not None:
        plain["limits"]["routing_entries_per_router"] = {"value": limit}
        plain["fabric"]["multicast"] = True
    chip = Chip.model_validate(plain)
    return with_faults(rng, chip, least=40, n=8) if faulty else chip


def mapped(rng, chip, seed=0):
    """A network with every kind of projection on random cores of a chip."""
    if seed not in FIXED:
        network = random_network(np.random.default_rng(seed))
        FIXED[seed] = quantise(network, load_chip("generic"))
    mapping, _ = map_network(FIXED[seed], chip)
    place = rng.permutation(chip.usable)[: len(mapping.cores)]
    mapping = replace(mapping, place=tuple(place.tolist()))
    return mapping, assemble(mapping, chip_name=chip.name, input_latency=1)


def naive_wanted(mapping):
    """Cores of each neuron's packets, weight by weight."""
    core_of = {
        (part.population, int(neuron)): place
        for place, held in zip(mapping.place, mapping.cores, strict=True)
        for part in held
        for neuron in part.neurons
    }
    wants = {}
    for projection in mapping.fixed.projections:
        if projection.source not in mapping.fixed.direct | {
            part.name for part in mapping.fixed.network.inputs
        }:
            dense = type(projection.linear).__name__ == "Dense"
            weight = np.asarray(matrix(projection.linear))
            for target, source in np.argwhere(dense | (weight != 0)):
                place = core_of[projection.target, int(target)]
                wants.setdefault((projection.source, int(source)), set()).add(
                    (place, projection.exponent)
                )
    return {name: Counter(place for place, _ in found) for name, found in wants.items()}


@pytest.mark.parametrize("seed", range(3))
def test_what_the_network_wants_is_counted_weight_by_weight(rng, seed):
    mapping, _ = mapped(rng, chip_of(rng, "mesh"), seed)
    wanted = wanted_of(mapping)
    found = {}
    for neuron, core, copies in zip(wanted.neuron, wanted.core, wanted.copies, strict=True):
        name = wanted.names[wanted.population[neuron]], int(wanted.place[neuron])
        found.setdefault(name, Counter())[int(core)] += int(copies)
    assert found == naive_wanted(mapping)
    assert len({tuple(sorted(count)) for count in found.values()}) > 3


@pytest.mark.parametrize("faulty", [False, True], ids=["whole", "faulty"])
@pytest.mark.parametrize("limit", [None, 1000, 8], ids=["axons", "tables", "few entries"])
@pytest.mark.parametrize("topology", TOPOLOGIES)
def test_every_spike_reaches_exactly_its_cores(topology, limit, faulty):
    for seed in range(3):
        rng = np.random.default_rng([seed, faulty, TOPOLOGIES.index(topology)])
        chip = chip_of(rng, topology, limit=limit, faulty=faulty)
        mapping, program = mapped(rng, chip, seed)
        routes = tables_of(program, chip) if limit else routes_of(program, chip)
        assert isinstance(routes, Tables if limit else Axons)
        done = check_routes(routes, mapping)
        assert done.n_delivered == sum(sum(c.values()) for c in naive_wanted(mapping).values())
        assert done.n_hops > 0 or topology == "crossbar"
        if limit:
            assert np.all(routes.n_after <= routes.n_before)


@pytest.mark.parametrize("faulty", [False, True], ids=["whole", "faulty"])
@pytest.mark.parametrize("topology", ["mesh", "torus", "chips"])
def test_fewer_entries_lead_the_same_ways(rng, topology, faulty):
    gains = []
    for seed in range(3):
        chip = chip_of(rng, topology, limit=10_000, faulty=faulty, neurons=4)
        mapping, program = mapped(rng, chip, seed)
        whole = tables_of(program, chip)
        plain = chip.model_dump()
        most = int(whole.n_after.max())
        for limit in (most // 2, most // 4, 1):
            plain["limits"]["routing_entries_per_router"]["value"] = max(limit, 1)
            few = tables_of(program, Chip.model_validate(plain))
            assert few.n_before.tolist() == whole.n_after.tolist()
            assert np.all(few.n_after <= few.n_before)
            # No fewer than asked for, so that no more is merged than must be.
            assert np.array_equal(
                few.n_after[few.n_before <= limit], few.n_before[few.n_before <= limit]
            )
            one, other = check_routes(whole, mapping), check_routes(few, mapping)
            assert one == other
        gains.append(few.n_after.sum() / few.n_before.sum())
    assert max(gains) < 0.9


def test_tables_that_fit_only_after_merging_are_accepted(rng):
    chip = chip_of(rng, "mesh", limit=10_000, neurons=4)
    mapping, program = mapped(rng, chip)
    before = int(routes_of(program, chip).n_before.max())
    plain = chip.model_dump()
    plain["limits"]["routing_entries_per_router"]["value"] = before - before // 8
    routes = routes_of(program, Chip.model_validate(plain))
    assert routes.n_after.max() <= before - before // 8 < routes.n_before.max()
    assert not walk(routes, mapping).problems


def random_mutation(rng, tables):
    """Tables with one thing changed."""
    size = tables.n_after
    router = int(rng.choice(np.flatnonzero(size)))
    entries = Entries(*(column.copy() for column in tables.router[router]))
    k = int(rng.integers(size[router]))
    kind = rng.choice(["drop", "way", "bit", "wider"])
    if kind == "drop":
        entries = Entries(*(np.delete(column, k) for column in entries))
    elif kind == "way":
        entries.way[k] = rng.integers(tables.way_first.size - 1)
    elif kind == "bit":
        entries.key[k] ^= entries.mask[k] & -entries.mask[k]
    else:
        entries.mask[k] &= entries.mask[k] - 1
        entries.key[k] &= entries.mask[k]
    routers = list(tables.router)
    routers[router] = entries
    return replace(tables, router=tuple(routers))


def plain_walk(tables, mapping):
    """Where each packet ends, entry by entry; None if it is lost or goes in circles."""
    wanted, noc = wanted_of(mapping), tables.noc
    place = dict(zip(tables.core.tolist(), tables.there.tolist(), strict=True))
    chip_core = {there: core for core, there in place.items()}
    found = {}
    for source, key in zip(tables.packet_source.tolist(), tables.packet_key.tolist(), strict=True):
        start = int(noc.core_router[place[int(wanted.sender[source])]])
        queue = [(start, -1)]
        for at, came in queue:  # grows as it goes
            if len(queue) > 4 * noc.n_routers:
                return None
            ports = None
            for k, m, way in zip(*(column.tolist() for column in tables.router[at]), strict=True):
                if key & m == k:
                    ports = tables.way_port[tables.way_first[way] : tables.way_first[way + 1]]
                    break
            if ports is None:
                ports = [tables.straight[came]] if came >= 0 else [-1]
            for port in map(int, ports):
                if port >= noc.n_links and noc.core_router[port - noc.n_links] == at:
                    core = chip_core.get(port - noc.n_links)
                    if core is None or found.setdefault((source, key), Counter())[core]:
                        return None
                    found[source, key][core] += 1
                elif 0 <= port < noc.n_links and noc.link_from[port] == at:
                    queue.append((int(noc.link_to[port]), port))
                else:
                    return None
    total = {}
    for (source, _), cores in found.items():
        total[source] = total.get(source, Counter()) + cores
    return total


@pytest.mark.parametrize("topology", ["mesh", "torus", "crossbar"])
def test_a_walk_notices_every_change_that_matters(rng, topology):
    chip = chip_of(rng, topology, limit=4, neurons=10)
    mapping, program = mapped(rng, chip)
    tables = tables_of(program, chip)
    right = plain_walk(tables, mapping)
    assert not walk(tables, mapping).problems
    n_wrong = 0
    for _ in range(60):
        changed = random_mutation(rng, tables)
        same = plain_walk(changed, mapping) == right
        assert (not walk(changed, mapping).problems) == same
        n_wrong += not same
    assert n_wrong > 20


def small(rng):
    """Tables on a mesh without merges, with their mapping."""
    chip = chip_of(rng, "mesh", limit=1000, neurons=10)
    mapping, program = mapped(rng, chip)
    return tables_of(program, chip), mapping


def with_entry(tables, router, key, mask, way):
    routers = list(tables.router)
    old = routers[router]
    routers[router] = Entries(
        *(np.append(v, c) for v, c in zip((key, mask, way), old, strict=True))
    )
    return replace(tables, router=tuple(routers))


def added_way(tables, ports):
    return replace(
        tables,
        way_port=np.append(tables.way_port, ports),
        way_first=np.append(tables.way_first, tables.way_port.size + len(ports)),
    ), tables.way_first.size - 1


def test_problems_name_neuron_router_and_core(rng):
    tables, mapping = small(rng)
    wanted, noc = wanted_of(mapping), tables.noc
    source, key = int(tables.packet_source[0]), int(tables.packet_key[0])
    name = wanted.name(source).replace("[", r"\[").replace("]", r"\]")
    place = dict(zip(tables.core.tolist(), tables.there.tolist(), strict=True))
    router = int(noc.core_router[place[int(wanted.sender[source])]])
    links = np.flatnonzero(noc.link_from == router)
    mine = set(wanted.core[wanted.neuron == source].tolist())

    def told(tables):
        with pytest.raises(ValueError, match="routes lead astray") as error:
            check_routes(tables, mapping)
        return str(error.value)

    other, way = added_way(
        tables, [noc.n_links + int(np.flatnonzero(noc.core_router == router)[0])]
    )
    text = told(with_entry(other, router, key, 2**32 - 1, way))
    for core in mine:
        if noc.core_router[place[core]] != router:
            assert f"{wanted.name(source)}: core {core} at router (" in text
    assert "is missing, 0 packets of 1" in text

    strange = next(c for c in tables.core.tolist() if c not in mine)
    at = int(noc.core_router[place[strange]])
    entries = tables.router[at]
    k = 0
    ports = tables.way_port[slice(*tables.way_first[entries.way[k] : entries.way[k] + 2])]
    other, way = added_way(tables, [*ports, noc.n_links + place[strange]])
    text = told(with_entry(other, at, int(entries.key[k]), int(entries.mask[k]), way))
    assert "come to core" in text or f"times to core {strange}" in text

    back = int(
        np.flatnonzero((noc.link_from == noc.link_to[links[0]]) & (noc.link_to == router))[0]
    )
    other, there = added_way(tables, [int(links[0])])
    other, again = added_way(other, [back])
    other = with_entry(other, router, key, 2**32 - 1, there)
    other = with_entry(other, int(noc.link_to[links[0]]), key, 2**32 - 1, again)
    assert "goes round in a ring, again by the same link out of router (" in told(other)

    text = told(replace(tables, router=tuple(Entries.of([]) for _ in tables.router)))
    assert f"{wanted.name(source)}: no entry takes it on from router (" in text
    assert "more" in text.splitlines()[-1]
    keys = tables.packet_key.copy()
    keys[1] = keys[0]
    assert f"its key {key:#x} is that of another packet, too" in told(
        replace(tables, packet_key=keys)
    )
    assert name


def test_wrong_axons_are_noticed(rng):
    chip = chip_of(rng, "mesh")
    mapping, program = mapped(rng, chip)
    axons = routes_of(program, chip)

    def told(**changed):
        with pytest.raises(ValueError, match="routes lead astray") as error:
            check_routes(replace(axons, **changed), mapping)
        return str(error.value)

    core = axons.out_core.copy()
    core[0] = (core[0] + 1) % axons.core.size
    assert "is missing" in told(out_core=core)
    axon = axons.out_axon.copy()
    axon[0] = 10**6
    assert "in-axon 1000000 of core" in told(out_axon=axon)
    same = np.flatnonzero(axons.out_core == axons.out_core[0])[1]
    axon[0] = axons.out_axon[same]
    assert "is that of another packet, too" in told(out_axon=axon)


def test_in_axons_lead_to_the_rows_of_their_source(rng):
    chip = chip_of(rng, "mesh")
    _, program = mapped(rng, chip)
    axons = routes_of(program, chip)
    rows = []
    for source in range(program.source_row.size - 1):
        for k in range(axons.out_first[source], axons.out_first[source + 1]):
            at = axons.in_first[axons.out_core[k]] + axons.out_axon[k]
            found = range(axons.row_first[at], axons.row_last[at])
            assert set(program.row_core[found]) == {axons.out_core[k]}
            assert set(program.row_source[found]) == {source}
            rows += found
    assert sorted(rows) == list(range(program.row_size.size))


def test_tables_that_do_not_fit_are_refused_with_every_router(rng):
    chip = chip_of(rng, "mesh", limit=1, neurons=4)
    _, program = mapped(rng, chip)
    with pytest.raises(
        CapacityError, match=r"routing entries after merging \(\d+ before\)"
    ) as error:
        routes_of(program, chip)
    tables = tables_of(program, chip)
    assert len(error.value.violations) == np.count_nonzero(tables.n_after > 1)
    assert "holds 1 per router; put populations" in error.value.violations[0]
    assert "keys" in tables.told()
    assert "of 1 (" in tables.told()
