"""Relays: what was refused maps, and computes the same with the delays written in."""

from dataclasses import replace

import numpy as np
import pytest

from emulator.chip import Chip
from emulator.chip_file import load_chip
from emulator.engine import Engine
from emulator.stimulus import Stimulus
from mapping.deploy import map_network
from mapping.drive import Drive
from mapping.errors import CapacityError
from mapping.linear import Convolution, Dense, Sparse
from mapping.mapping import resources
from mapping.network import Input, Network, Population, Projection
from mapping.network_file import packed, unpacked
from mapping.outline import Outline
from mapping.plan import Choices
from mapping.quantise import quantise
from mapping.reference import lag, prepare, simulate
from mapping.relayed import rates_of_relays, relay_compartments, relayed
from mapping.relays import RelayError, relays_for, with_relays
from mapping.routing.routes import routes_of
from mapping.routing.walk import check_routes

TICKS = 40


def chip_with(out_axons, name="loihi"):
    plain = load_chip(name).model_dump()
    plain["limits"] |= {
        "neurons_per_core": {"value": 8}, "out_axons_per_core": {"value": out_axons},
    }  # fmt: skip
    return Chip.model_validate(plain)


def dense(rng, n_post, n_pre):
    weight = rng.normal(0.6 / n_pre**0.5, 1 / n_pre**0.5, (n_post, n_pre))
    return Dense(weight=weight, pre_shape=(n_pre,), post_shape=(n_post,))


def cells(rng, name, *shape):
    return Population(
        name=name, shape=shape, threshold=0.8 + 0.4 * rng.random(shape), tau_mem_s=10e-3,
        bias=0.02 * rng.random(shape),
    )  # fmt: skip


def network_of(rng, populations, ways, outputs, inputs=6):
    sizes = {p.name: p.size for p in populations} | {"in": inputs}
    return Network(
        dt_s=1e-3, inputs=(Input(name="in", shape=(inputs,)),), populations=populations,
        projections=tuple(
            Projection(
                source=s, target=t, linear=dense(rng, sizes[t], sizes[s]), delay_s=delay * 1e-3
            )
            for s, t, delay in ways
        ),
        outputs=outputs,
    )  # fmt: skip


def chain(rng):
    return network_of(
        rng, (cells(rng, "a", 12), cells(rng, "b", 60), cells(rng, "c", 5)),
        [("in", "a", 0), ("a", "b", 0), ("b", "c", 0)], ("c",),
    )  # fmt: skip


def skipping(rng):
    """Other ways into the targets of the relays, from inputs, before and behind them."""
    return network_of(
        rng, (cells(rng, "a", 12), cells(rng, "b", 60), cells(rng, "c", 5), cells(rng, "d", 9)),
        [("in", "a", 0), ("a", "b", 0), ("in", "b", 2), ("b", "c", 0), ("a", "c", 1),
         ("in", "d", 0), ("d", "b", 0), ("d", "c", 0)],
        ("c",),
    )  # fmt: skip


def several_targets(rng):
    """Many layers hear one; their projections stay whole."""
    return network_of(
        rng, (cells(rng, "a", 12), *(cells(rng, f"t{k}", 16) for k in range(4))),
        [("in", "a", 0), *(("a", f"t{k}", k % 2) for k in range(4))],
        tuple(f"t{k}" for k in range(4)),
    )  # fmt: skip


def delayed_cycle(rng):
    """The way back has a delay that pays for the relay."""
    return network_of(
        rng, (cells(rng, "a", 12), cells(rng, "b", 120), cells(rng, "c", 5)),
        [("in", "a", 0), ("a", "b", 0), ("b", "a", 4), ("a", "a", 3), ("b", "c", 0)], ("c",),
    )  # fmt: skip


def convolutions(rng):
    """A kernel of which each relay takes some channels, and a list."""
    conv = Convolution(
        kernel=rng.normal(0.4, 0.5, (12, 3, 3, 3)), pre_shape=(3, 2, 2), stride=(1, 1),
        padding=((1, 1), (1, 1)), dilation=(1, 1),
    )  # fmt: skip
    pairs = rng.random((48, 30)) < 0.1
    listed = Sparse(
        row=np.concatenate([[0], np.cumsum(pairs.sum(1))]), target=np.nonzero(pairs)[1],
        weight=rng.normal(0.5, 0.5, int(pairs.sum())), pre_shape=(12, 2, 2), post_shape=(30,),
    )  # fmt: skip
    return Network(
        dt_s=1e-3, inputs=(Input(name="in", shape=(6,)),),
        populations=(cells(rng, "a", 3, 2, 2), cells(rng, "b", 12, 2, 2), cells(rng, "c", 30)),
        projections=(
            Projection(source="in", target="a", linear=dense(rng, 12, 6)),
            Projection(source="a", target="b", linear=conv),
            Projection(source="b", target="c", linear=listed),
        ),
        outputs=("c",),
    )  # fmt: skip


NETWORKS = {f.__name__: f for f in (chain, skipping, several_targets, delayed_cycle, convolutions)}


def stimulus(rng, size):
    tick, channel = np.nonzero(rng.random((TICKS, size)) < 0.4)
    return Stimulus(spike_tick=tick, spike_channel=channel, spike_payload=np.ones_like(tick))


def spikes_of(program, chip, events):
    found = {p.name: np.zeros((TICKS, p.size), int) for p in program.populations}

    def observe(block):
        for number, p in enumerate(program.populations):
            mine = program.population[block.spike_neuron] == number
            at = block.spike_tick[mine], program.index[block.spike_neuron[mine]]
            np.add.at(found[p.name], at, 1)

    Engine(program, chip).run([events], TICKS, observe)
    return found


@pytest.mark.parametrize("chip_name", ["loihi", "generic"])
@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("name", NETWORKS)
def test_what_was_refused_maps_and_equals_the_network_with_its_delays_written_in(
    name, seed, chip_name
):
    rng = np.random.default_rng(seed)
    network = NETWORKS[name](rng)
    few = {"convolutions": 9, "delayed_cycle": 12}.get(name, 5)
    small, large = chip_with(few, chip_name), chip_with(10_000, chip_name)
    fixed = quantise(network, small)
    with pytest.raises(CapacityError, match="out-axons, one for each core and format"):
        map_network(fixed, small)
    with_them = relayed(fixed, small)
    mapping, program = map_network(with_them, small, Choices(partitioner="packed"))
    assert resources(program, small).violations(program, small) == ()
    check_routes(routes_of(program, small), mapping)

    events = stimulus(rng, network.inputs[0].size)
    got = spikes_of(program, small, events)
    # The same projections without relays, as late as these are, on cores that reach far.
    late = {p.name: program_lag(with_them) [p.name] - program_lag(fixed)[p.name]
            for p in network.populations}  # fmt: skip
    written = tuple(
        replace(p, delay=p.delay + late[p.target] - late.get(p.source, 0))
        for p in fixed.projections
    )
    _, plain = map_network(replace(fixed, projections=written), large)
    expected = spikes_of(plain, large, events)
    for population in network.populations:
        assert expected[population.name].any(), population.name
        np.testing.assert_array_equal(got[population.name], expected[population.name])
    for relay in got.keys() - expected.keys():  # each repeats its neuron a tick later
        source = relay.rpartition(" relay ")[0]
        np.testing.assert_array_equal(got[relay][1:], got[source][:-1])


def program_lag(fixed):
    return lag(fixed.network, "chip", fixed.direct)


@pytest.mark.parametrize("name", NETWORKS)
def test_the_float_network_with_relays_is_the_network_in_both_timings(name, rng):
    network = NETWORKS[name](rng)
    # Biases act from the first tick on wherever a population lies, so that they show what trails.
    network = replace(network, populations=tuple(replace(p, bias=0.0) for p in network.populations))
    chip = chip_with(5)
    fixed = quantise(network, chip)
    with_them = relayed(fixed, chip).network
    counts = (rng.random((TICKS, network.inputs[0].size)) < 0.4).astype(int)
    drive = Drive(n_ticks=TICKS, spikes={"in": counts}, currents={})
    for timing in ("instant", "chip"):
        one = simulate(prepare(network, timing=timing), drive, n_ticks=TICKS + 20)
        two = simulate(prepare(with_them, timing=timing), drive, n_ticks=TICKS + 20)
        before, after = (lag(n, timing) for n in (network, with_them))
        for p in network.populations:
            behind = after[p.name] - before[p.name]
            (at, who), (later, same) = one.spikes[p.name], two.spikes[p.name]
            kept = at + behind < TICKS + 20
            np.testing.assert_array_equal(at[kept] + behind, later)
            np.testing.assert_array_equal(who[kept], same)


def test_networks_that_need_no_relays_stay_as_they_are(rng):
    chip = chip_with(10_000)
    fixed = quantise(chain(rng), chip)
    assert relayed(fixed, chip) is fixed


def test_a_prediction_from_the_outline_is_what_is_loaded(rng):
    network, chip = skipping(rng), chip_with(5)
    fixed = quantise(network, chip)
    outline = Outline.of(fixed)
    groups = relays_for(outline, chip, relay_compartments(chip))
    told = with_relays(outline, groups, relay_compartments(chip))
    loaded = Outline.of(relayed(fixed, chip))
    assert sorted(told.order) == sorted(loaded.order)
    assert [(p.source, p.target, p.delay) for p in told.projections] == [
        (p.source, p.target, p.delay) for p in loaded.projections
    ]
    assert [(p.name, p.size, p.compartments) for p in told.populations] == [
        (p.name, p.size, p.compartments) for p in loaded.populations
    ]


def test_notes_say_what_is_later_and_the_network_is_saved_with_it(rng):
    chip = chip_with(5)
    fixed = relayed(quantise(skipping(rng), chip), chip)
    assert any("'a' reaches its targets through" in note for note in fixed.notes)
    assert any("relays take a tick: 'b' by 1" in note for note in fixed.notes)
    again = unpacked(*packed(fixed.network))
    assert [p.chip_ticks for p in again.projections] == [
        p.chip_ticks for p in fixed.network.projections
    ]


def test_rates_of_relays_are_those_of_their_neurons(rng):
    chip = chip_with(5)
    plain = quantise(chain(rng), chip)
    fixed = relayed(plain, chip)
    rates = {"a": rng.random(12)}
    found = rates_of_relays(rates, plain, fixed)
    relays = [p.name for p in fixed.populations if p.name.startswith("a relay ")]
    assert len(relays) > 1
    assert found.keys() == {"a", *relays}
    for relay in relays:
        assert np.array_equal(found[relay], rates["a"])


def test_a_cycle_without_a_delay_is_refused(rng):
    network = network_of(
        rng, (cells(rng, "a", 12), cells(rng, "b", 60)),
        [("in", "a", 0), ("a", "b", 0), ("b", "a", 1)], ("b",),
    )  # fmt: skip
    chip = chip_with(5)
    with pytest.raises(RelayError, match="lies on a cycle without a delay"):
        relayed(quantise(network, chip), chip)


def test_currents_of_the_host_that_would_come_too_early_are_refused(rng):
    network, chip = skipping(rng), chip_with(5)
    fixed = quantise(network, chip, direct=frozenset({"in"}))
    with pytest.raises(RelayError, match="'b' would trail by 1 ticks, but hears currents"):
        relayed(fixed, chip)


def test_relays_that_would_need_relays_leave_the_refusal_as_it_is(rng):
    chip = chip_with(2)
    fixed = quantise(chain(rng), chip)
    assert relayed(fixed, chip) is fixed
    with pytest.raises(CapacityError, match="out-axons"):
        map_network(fixed, chip)
