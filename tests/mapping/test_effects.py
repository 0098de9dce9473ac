"""Mixes of a network and a chip: no effect is the float reference, all effects are the engine."""

import numpy as np
import pytest
from networks import random_network
from random_machines import chip_with, random_chip

from emulator.arithmetic import DECAYS, OVERFLOWS
from emulator.chip_file import load_chip
from emulator.engine import Engine
from mapping.drive import Drive
from mapping.effects.effects import EFFECTS, in_play, mixed, unlike
from mapping.effects.machine import machine_of
from mapping.effects.of_chip import chip_side
from mapping.effects.of_float import float_side
from mapping.effects.registers import FLOAT, OVERFLOW_RULES, decayed, fit
from mapping.effects.run import run_machine
from mapping.linear import Dense
from mapping.network import Input, Network, Population, Projection
from mapping.quantise import quantise
from mapping.reference import prepare, simulate
from spikefab.currents import changes, targets_of
from spikefab.deployment import deploy
from spikefab.host import Host
from traces.jit import python_of

pytestmark = pytest.mark.plain_python
TICKS = 40
ALL = frozenset(EFFECTS)


def nothing(name):
    return iter(())


def counts_of(rng, n, p=0.3, most=1):
    return rng.integers(1, most + 1, (TICKS, n)) * (rng.random((TICKS, n)) < p)


def as_list(spikes):
    return {
        name: list(zip(*(column.tolist() for column in columns), strict=True))
        for name, columns in spikes.items()
    }


def engine_spikes(deployment, drive, ticks, seed=0):
    program = deployment.program
    engine = Engine(program, deployment.chip, seed=seed)
    blocks = []
    engine.run([Host(deployment).stimulus(drive, ticks)], ticks, blocks.append)
    found = {p.name: [] for p in program.populations if p.spiking}
    for block in blocks:
        for tick, number, payload in zip(
            block.spike_tick.tolist(), block.spike_neuron.tolist(), block.spike_payload.tolist(),
            strict=True,
        ):  # fmt: skip
            name = program.populations[program.population[number]].name
            found[name].append((tick, int(program.index[number]), payload))
    return {name: sorted(spikes) for name, spikes in found.items()}, engine


CHIPS = ["generic", "loihi", "loihi-lava", "loihi-nengo", "loihi-brian2", "xylo-v1", "xylo-v2"]


@pytest.mark.parametrize("name", CHIPS)
@pytest.mark.parametrize("seed", [1, 2])
def test_all_effects_are_the_chip_spike_by_spike(name, seed):
    rng = np.random.default_rng(seed)
    chip = load_chip(name)
    delays = chip.limits.delay_max.value > 0
    reset = "zero" if "zero" in chip.arithmetic.resets else "subtract"
    network = random_network(rng) if delays else layered(rng, reset)
    deployment = deploy(network, chip, direct=False)
    size = network.inputs[0].size
    drive = Drive(n_ticks=TICKS, spikes={"in": counts_of(rng, size, 0.3 if delays else 0.2)})
    ticks = TICKS + 6
    wanted, engine = engine_spikes(deployment, drive, ticks)
    side = chip_side(deployment.fixed, chip)
    base = float_side(network, direct=frozenset(), input_latency=chip.arithmetic.input_latency)
    for mix in (side, mixed(base, side, ALL), mixed(side, base, frozenset())):
        run = run_machine(machine_of(mix), drive.spikes, nothing, n_ticks=ticks)
        assert as_list(run.spikes) == wanted
    assert sum(map(len, wanted.values())) > 20
    left = [sum(s[k] for s in run.spilled.values()) for k in range(4)]
    told = [
        engine.counters[f"{v}_overflows"].sum() for v in ("input", "current", "drive", "membrane")
    ]
    assert left == told


def layered(rng, reset="zero"):
    def cells(name, n):
        return Population(
            name=name, shape=(n,), threshold=1.0, tau_mem_s=rng.choice([4e-3, 16e-3], n),
            tau_syn_s=rng.choice([2e-3, 8e-3], n), reset=reset,
        )  # fmt: skip

    def dense(n_post, n_pre, scale):
        weight = rng.normal(0.1, scale, (n_post, n_pre))
        return Dense(weight=weight, pre_shape=(n_pre,), post_shape=(n_post,))

    return Network(
        dt_s=1e-3, inputs=(Input(name="in", shape=(8,)),),
        populations=(cells("a", 12), cells("b", 5)),
        projections=(
            Projection(source="in", target="a", linear=dense(12, 8, 0.3)),
            Projection(source="a", target="a", linear=dense(12, 12, 0.1)),
            Projection(source="a", target="b", linear=dense(5, 12, 0.3)),
        ),
        outputs=("b",),
    )  # fmt: skip


@pytest.mark.parametrize("seed", range(30))
def test_all_effects_of_a_random_chip_are_its_engine(seed):
    rng = np.random.default_rng(seed)
    chip = random_chip(rng)
    plain = chip.model_dump()
    plain["arithmetic"] |= {"axons": "counting", "lower_threshold": "none"}
    plain["numbers"] |= {"decay_bits": int(rng.integers(3, 13)), "input_payload_max": 0}
    chip = type(chip).model_validate(plain)
    resets = ["zero", "subtract", "subtract-once"]
    network = layered(rng, str(rng.choice(resets)))
    if chip.arithmetic.refractory != "none":
        rest = rng.integers(0, 4, 12) * 1e-3
        first = network.populations[0]
        kinds = {k: getattr(first, k) for k in ("name", "shape", "threshold", "tau_mem_s", "reset")}
        network = Network(
            dt_s=1e-3, inputs=network.inputs, projections=network.projections, outputs=("b",),
            populations=(Population(refractory_s=rest, **kinds), network.populations[1]),
        )  # fmt: skip
    deployment = deploy(network, chip, direct=False)
    drive = Drive(n_ticks=TICKS, spikes={"in": counts_of(rng, 8, 0.4)})
    wanted, _ = engine_spikes(deployment, drive, TICKS + 3, seed=seed)
    side = chip_side(deployment.fixed, chip, seed=seed)
    run = run_machine(machine_of(side), drive.spikes, nothing, n_ticks=TICKS + 3)
    assert as_list(run.spikes) == wanted


@pytest.mark.parametrize("timing", ["chip", "instant"])
@pytest.mark.parametrize("latency", [0, 1])
@pytest.mark.parametrize("reset", ["zero", "subtract", "subtract-once"])
def test_no_effect_is_the_float_reference(rng, timing, latency, reset):
    network = random_network(rng, reset=reset)
    drive = Drive(n_ticks=TICKS, spikes={"in": counts_of(rng, 60, most=2)})
    prepared = prepare(network, timing=timing, input_latency=latency)
    wanted = simulate(prepared, drive, n_ticks=TICKS + 6)
    side = float_side(network, direct=frozenset(), timing=timing, input_latency=latency)
    run = run_machine(machine_of(side), drive.spikes, nothing, n_ticks=TICKS + 6)
    got = {name: (ticks.tolist(), who.tolist()) for name, (ticks, who, _) in run.spikes.items()}
    assert got == {name: (t.tolist(), n.tolist()) for name, (t, n) in wanted.spikes.items()}
    np.testing.assert_allclose(run.states["sum", "v"], wanted.states["sum", "v"], atol=1e-12)


def tied(weights):
    """Integrators without leak or bias, whose membranes meet the threshold exactly, and do not."""
    return Network(
        dt_s=1e-3, inputs=(Input(name="in", shape=(3,)),),
        populations=(Population(name="a", shape=(4,), threshold=1.0, reset="subtract"),),
        projections=(
            Projection(
                source="in", target="a",
                linear=Dense(weight=weights, pre_shape=(3,), post_shape=(4,)),
            ),
        ),
        outputs=("a",),
    )  # fmt: skip


def test_no_effect_is_the_reference_to_the_last_bit_without_leaks_and_biases(rng):
    network = tied(rng.choice([0.1, 0.2, 0.25, 0.3, -0.1], (4, 3)))
    drive = Drive(n_ticks=TICKS, spikes={"in": counts_of(rng, 3, 0.6)})
    wanted = simulate(prepare(network, timing="chip"), drive, record=("a",))
    side = float_side(network, direct=frozenset())
    run = run_machine(
        machine_of(side), drive.spikes, nothing, n_ticks=TICKS, record={"a": slice(None)}
    )
    assert np.array_equal(run.states["a", "v"], wanted.states["a", "v"])
    assert np.array_equal(run.states["a", "u"], wanted.states["a", "i"])
    assert len(wanted.spikes["a"][0]) > 5


def test_currents_of_the_host_are_those_of_the_engine_and_of_the_reference(rng):
    network = random_network(rng)
    chip = chip_with("loihi", numbers={"bias_bits": 6, "bias_exponent_max": 2})
    drive = Drive(n_ticks=TICKS, currents={"in": rng.random((TICKS, 60))})
    deployment = deploy(network, chip, direct=True)
    names = frozenset(["in"])
    targets = {target.name: target for target in targets_of(network, names)}

    def handed(name):
        for tick, current in changes(targets[name], drive, TICKS + 5) if name in targets else ():
            yield tick, current.copy()

    wanted, _ = engine_spikes(deployment, drive, TICKS + 5)
    side = chip_side(deployment.fixed, chip)
    run = run_machine(machine_of(side), {}, handed, n_ticks=TICKS + 5)
    assert as_list(run.spikes) == wanted
    base = float_side(network, direct=names)
    assert "host currents" in in_play(base, side)
    plain = run_machine(machine_of(base), {}, handed, n_ticks=TICKS + 5)
    reference = simulate(prepare(network, timing="chip"), drive, n_ticks=TICKS + 5)
    assert {k: v[0].tolist() for k, v in plain.spikes.items()} == {
        k: v[0].tolist() for k, v in reference.spikes.items()
    }


def test_overflow_rules_are_those_of_the_integer_machine(rng):
    for name, rule in OVERFLOWS.items():
        code = OVERFLOW_RULES.index(name)
        for bits in (2, 5, 9):
            for x in range(-3 * 2**bits, 3 * 2**bits):
                assert python_of(fit)(float(x), code, bits) == python_of(rule)(x, bits)


def test_decays_of_whole_registers_are_those_of_the_integer_machine(rng):
    for code, rule in enumerate(DECAYS.values(), start=FLOAT + 1):
        for x in (-9000, -17, -1, 0, 1, 5, 9001):
            for keep in (0, 1, 5, 8):
                noise = int(rng.integers(2**32))
                got = python_of(decayed)(float(x), 0.5, keep, code, 3, noise)
                assert got == python_of(rule)(x, keep, 3, noise)


def test_what_does_not_differ_is_not_in_play(rng):
    network = tied(np.full((4, 3), 0.5))
    chip = load_chip("generic")
    side = chip_side(quantise(network, chip), chip)
    base = float_side(network, direct=frozenset())
    assert in_play(base, base) == ()
    # Even a current without a filter keeps 1 of 4,096 on a chip that has no other decay.
    widths = ("current width", "membrane width", "overflow")
    assert in_play(base, side) == ("current decay", *widths)


def test_networks_of_other_populations_are_not_mixed(rng):
    one = float_side(tied(np.ones((4, 3))), direct=frozenset())
    other = float_side(layered(rng), direct=frozenset())
    assert "different populations" in unlike(one, other)[0]
    with pytest.raises(ValueError, match="different populations"):
        mixed(one, other, ALL)


def test_crossbars_are_not_mixed(rng):
    fixed = quantise(tied(np.ones((4, 3))), load_chip("generic"))
    with pytest.raises(ValueError, match="crossbar cores"):
        chip_side(fixed, load_chip("ranc"))
