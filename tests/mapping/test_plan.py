"""Every partitioner with every placer: legal, counted anew, repeatable, and without any effect on spikes."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from naive import simulate_integers
from networks import random_network

from emulator.chip import Chip
from emulator.chip_file import load_chip
from emulator.engine import Engine
from emulator.program_file import load_program, save_program
from emulator.stimulus import Stimulus
from emulator.ways import ways
from emulator.without import chip_without
from mapping.deploy import map_network
from mapping.errors import CapacityError
from mapping.layout.floor import Floor
from mapping.layout.placers import PLACERS
from mapping.linear import Convolution, Dense, matrix
from mapping.mapping import resources
from mapping.network import Input, Network, Population, Projection
from mapping.outline import Outline
from mapping.partitioners import PARTITIONERS, parts_of
from mapping.pins import Pin
from mapping.plan import Choices, plan, quality
from mapping.quantise import quantise
from mapping.routing.routes import routes_of
from mapping.routing.walk import check_routes

pytestmark = [pytest.mark.plain_python, pytest.mark.slow_uncompiled]

TICKS = 24
CUTTERS = [name for name in PARTITIONERS if name != "kept"]


def chip_of(name="mesh"):
    """Loihi with small cores, so that a small network takes many, on several floors."""
    plain = load_chip("loihi").model_dump()
    plain["limits"] |= {
        "neurons_per_core": {"value": 12}, "out_axons_per_core": {"value": 60},
        "synapse_words_per_core": {"value": 400},
    }  # fmt: skip
    if name == "torus":
        plain["fabric"]["topology"] = "torus"
    if name == "multicast":
        plain["fabric"]["multicast"] = True
        plain["limits"]["routing_entries_per_router"] = {"value": 1024}
    chip = Chip.model_validate(plain)
    return chip_without(chip, ["cores 0-2,9", "link 1,0 - 2,0"]) if name == "faults" else chip


def slow_traffic(mapping, chip, rates):
    """Packets, local deliveries and hops of a tick, synapse by synapse."""
    home = {
        (part.population, int(n)): place
        for place, held in zip(mapping.place, mapping.cores, strict=True)
        for part in held
        for n in part.neurons
    }
    sent = set()
    for p in mapping.fixed.projections:
        dense = isinstance(p.linear, Dense)
        for post, row in enumerate(matrix(p.linear)):
            for pre in range(row.size) if dense else np.flatnonzero(row):
                if (p.source, int(pre)) in home:
                    sent.add((p.source, int(pre), p.exponent, home[p.target, post]))
    packets = local = hops = 0.0
    for source, pre, _, there in sent:
        rate, here = rates[source][pre], home[source, pre]
        way = ways(np.array(here), np.array(there), chip)
        if here == there:
            local += rate
        else:
            packets += rate
            hops += rate * int(way.hops_ew + way.hops_ns + way.hops_off_chip)
    return packets, local, hops


def spikes_of(program, chip, events):
    rasters = {p.name: np.zeros((TICKS, p.size), int) for p in program.populations}

    def observe(block):
        for number, p in enumerate(program.populations):
            mine = program.population[block.spike_neuron] == number
            rasters[p.name][block.spike_tick[mine], program.index[block.spike_neuron[mine]]] = (
                block.spike_payload[mine] if block.spike_payload is not None else 1
            )

    Engine(program, chip).run([events], TICKS, observe)
    return rasters


@pytest.fixture(scope="module")
def case():
    rng = np.random.default_rng(8)
    network = random_network(rng)
    network = replace(
        network,
        populations=tuple(
            replace(p, threshold=1.0 if p.spiking else None) for p in network.populations
        ),
    )
    chip = chip_of()
    fixed = quantise(network, chip)
    size = network.inputs[0].size
    counts = (rng.random((TICKS, size)) < 0.4).astype(int)
    tick, channel = np.nonzero(counts)
    events = Stimulus(spike_tick=tick, spike_channel=channel, spike_payload=counts[tick, channel])
    rates = {p.name: rng.random(p.size) for p in fixed.populations}
    return fixed, events, simulate_integers(fixed, chip, {"in": counts}, TICKS), rates


@pytest.mark.parametrize("floor", ["mesh", "torus", "multicast", "faults"])
@pytest.mark.parametrize("placer", PLACERS)
@pytest.mark.parametrize("partitioner", CUTTERS)
def test_every_plan_is_legal_and_changes_no_spike(case, partitioner, placer, floor):
    fixed, events, expected, rates = case
    chip = chip_of(floor)
    choices = Choices(partitioner=partitioner, placer=placer, rates=rates, seed=3)
    mapping, program = map_network(fixed, chip, choices)
    program.check(chip)
    assert resources(program, chip).violations(program, chip) == ()
    check_routes(routes_of(program, chip), mapping)
    found = plan(Outline.of(fixed), chip, choices)
    assert [[s.neurons.tolist() for s in held] for held in found.cores] == [
        [s.neurons.tolist() for s in held] for held in mapping.cores
    ]  # the same seed gives the same plan
    assert found.place == mapping.place
    judged = quality(found)
    np.testing.assert_allclose(judged.traffic, slow_traffic(mapping, chip, rates))
    assert judged.bound <= judged.traffic.hops * (1 + 1e-9)
    if placer != "linear":
        base = quality(plan(Outline.of(fixed), chip, replace(choices, placer="linear")))
        assert judged.traffic.hops <= base.traffic.hops * (1 + 1e-9)
    if floor in ("mesh", "faults"):
        got = spikes_of(program, chip, events)
        for name, raster in expected.items():
            np.testing.assert_array_equal(got[name], raster, err_msg=name)


@pytest.mark.parametrize("seed", range(4))
def test_traffic_is_never_worse_than_numbers_in_their_order(case, seed):
    fixed, _, _, rates = case
    choices = Choices(partitioner="traffic", placer="anneal", rates=rates, seed=seed)
    judged = quality(plan(Outline.of(fixed), chip_of(), choices))
    assert judged.traffic.hops <= judged.baseline.hops
    assert judged.traffic.hops < judged.random


def test_pinned_populations_lie_where_they_are_told(case):
    fixed, _, _, rates = case
    first = fixed.populations[0].name
    pins = (Pin(population=first, cores=(7, 30, 5, 90)),)
    for partitioner in CUTTERS:
        choices = Choices(partitioner=partitioner, placer="anneal", pins=pins, rates=rates)
        found = plan(Outline.of(fixed), chip_of(), choices)
        on = {
            place
            for held, place in zip(found.cores, found.place, strict=True)
            if any(part.population == first for part in held)
        }
        assert on == {5, 7, 30, 90}


def test_a_saved_program_is_where_the_next_plan_begins(case, tmp_path):
    fixed, _, _, rates = case
    chip, outline = chip_of(), Outline.of(fixed)
    _, program = map_network(fixed, chip, Choices(partitioner="packed", placer="linear"))
    save_program(program, tmp_path / "program.h5")
    start = parts_of(load_program(tmp_path / "program.h5"), outline, Floor.of(chip))
    kept = plan(outline, chip, Choices(partitioner="kept", placer="linear", start=start))
    assert kept.place == tuple(program.core)
    _, again = map_network(fixed, chip, Choices(partitioner="kept", start=start))
    assert again.sha256 == program.sha256
    better = Choices(partitioner="kept", placer="anneal", start=start, rates=rates)
    before = quality(replace(kept, choices=better)).traffic.hops
    assert quality(plan(outline, chip, better)).traffic.hops < before
    with pytest.raises(ValueError, match=r"lies on core \d+, which the chip does not have"):
        parts_of(program, outline, Floor.of(chip_without(chip, ["cores 0-3"])))
    small = replace(outline, populations=outline.populations[1:])
    with pytest.raises(ValueError, match="the program is of another network: it has"):
        parts_of(program, small, Floor.of(chip))
    tight = chip.model_dump()
    tight["limits"]["neurons_per_core"] = {"value": 11}
    with pytest.raises(CapacityError, match=r"core 0 .*: 12 compartments, but a core of loihi has"):
        plan(outline, Chip.model_validate(tight), better)


def test_stopping_keeps_the_best_so_far(case):
    fixed, _, _, rates = case
    choices = Choices(partitioner="traffic", placer="anneal", rates=rates, stop=lambda: True)
    judged = quality(plan(Outline.of(fixed), chip_of(), choices))
    assert judged.traffic.hops <= judged.baseline.hops


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"partitioner": "none"}, "there is no partitioner 'none'; there are sequential, packed"),
        ({"placer": "none"}, "there is no placer 'none'; there are linear, hilbert"),
        ({"partitioner": "kept"}, "there is no earlier plan whose cores could be kept"),
        ({"rates": {"nobody": np.ones(3)}}, "rates of 'nobody', but there are"),
        ({"rates": {"conv": np.ones(3)}}, r"rates of 'conv': \(3,\) for 36; give one for each"),
        ({"rates": {"conv": np.full(36, -1.0)}}, "rates of 'conv': they must be 0 or more"),
    ],
)
def test_wrong_choices_are_told(case, wrong, message):
    with pytest.raises(ValueError, match=message):
        plan(Outline.of(case[0]), chip_of(), Choices(**wrong))


def chain(*sizes):
    """Populations, the first driven by the host, each of which hears all of the one before."""
    names = [f"layer{k}" for k in range(len(sizes))]
    return Network(
        dt_s=1e-3, inputs=(Input(name="in", shape=(1,)),),
        populations=tuple(
            Population(name=name, shape=(n,), threshold=1.0)
            for name, n in zip(names, sizes, strict=True)
        ),
        projections=tuple(
            Projection(
                source=names[k], target=names[k + 1],
                linear=Dense(
                    weight=np.ones((sizes[k + 1], sizes[k])), pre_shape=(sizes[k],),
                    post_shape=(sizes[k + 1],),
                ),
            )
            for k in range(len(sizes) - 1)
        ),
        outputs=(names[-1],),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("sizes", "cores"),
    [((768, 768, 768), 14), ((1000, 1000, 1000), 21), ((784, 1000, 1000, 1000), 28)],
)
def test_whole_chains_fit_as_few_cores_as_were_counted_by_hand(sizes, cores):
    """Columns only; the first layer lies on the chip, too, and needs cores for its out-axons."""
    loihi = load_chip("loihi")
    outline = Outline.before_rounding(chain(*sizes), loihi, direct=frozenset({"in"}))
    assert len(plan(outline, loihi).cores) <= cores


def test_layers_with_geometry_lie_beside_those_that_they_hear():
    """Four equal layers on a mesh: their embedding is better than any order of their cores."""
    conv = Convolution(
        kernel=np.ones((8, 8, 3, 3)), pre_shape=(8, 32, 32), stride=(1, 1),
        padding=((1, 1), (1, 1)), dilation=(1, 1),
    )  # fmt: skip
    names = [f"layer{k}" for k in range(4)]
    network = Network(
        dt_s=1e-3, inputs=(Input(name="in", shape=(1,)),),
        populations=tuple(Population(name=n, shape=(8, 32, 32), threshold=1.0) for n in names),
        projections=tuple(
            Projection(source=a, target=b, linear=conv)
            for a, b in pairwise(names)
        ),
        outputs=(names[-1],),
    )  # fmt: skip
    plain = load_chip("loihi").model_dump()
    plain["mesh"] |= {"width": 16, "height": 16, "cores_per_router": 1}
    plain["limits"] |= {
        "neurons_per_core": {"value": 128}, "out_axons_per_core": {"value": 10**6},
        "synapse_words_per_core": {"value": 10**6},
    }  # fmt: skip
    chip = Chip.model_validate(plain)
    outline = Outline.before_rounding(network, chip, direct=frozenset({"in"}))
    judged = quality(plan(outline, chip, Choices(partitioner="packed", placer="force")))
    assert judged.traffic.hops < 0.15 * judged.baseline.hops
