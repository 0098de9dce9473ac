"""The microscope against networks that were made so that one effect alone is to blame."""

import json
from dataclasses import replace

import h5py
import numpy as np
import pytest
from command_line import spikefab
from random_machines import chip_with

from emulator.chip import Chip
from emulator.chip_file import load_chip
from mapping.linear import Dense
from mapping.network import Input, Network, Population, Projection
from mapping.netx_import import import_netx
from mapping.nir_import import import_nir
from mapping.quantise import quantise
from spikefab.data import Samples
from spikefab.deployment import deploy, deploy_fixed
from spikefab.microscope import command
from spikefab.microscope.as_json import divergence_json
from spikefab.microscope.causes import find_causes
from spikefab.microscope.explain import explain_difference, read_neuron, read_ticks
from spikefab.microscope.words import sentence, share_of
from spikefab.run import run_network
from spikefab.telling import BadInputError
from spikefab.wording import as_json

pytestmark = pytest.mark.plain_python
TICKS, N_IN = 40, 6
FLOATS = ("weights", "decays", "thresholds", "current", "membrane")
SEEDS = (1, 2, 3)


def floating(*but, numbers=None, **arithmetic):
    """The parametric chip with everything in float but some variables."""
    kept = [name for name in FLOATS if name not in but]
    return chip_with(numbers=numbers, arithmetic={"float_variables": kept} | arithmetic)


def one_layer(rng, **values):
    weights = rng.normal(0.15, 0.3, (8, N_IN))
    values = {"threshold": 1.0, "tau_mem_s": rng.uniform(5e-3, 30e-3, 8)} | values
    return Network(
        dt_s=1e-3, inputs=(Input(name="in", shape=(N_IN,)),),
        populations=(
            Population(name="hidden", shape=(8,), **values),
            Population(name="out", shape=(3,), threshold=0.7, reset=values.get("reset", "zero")),
        ),
        projections=(
            Projection(
                source="in", target="hidden",
                linear=Dense(
                    weight=weights, pre_shape=(N_IN,), post_shape=(8,)
                ),
            ),
            Projection(
                source="hidden", target="out",
                linear=Dense(
                    weight=rng.normal(0.2, 0.4, (3, 8)), pre_shape=(8,), post_shape=(3,)
                ),
            ),
        ),
        outputs=("out",),
    )  # fmt: skip


def spikes_for(rng, n=5, p=0.4):
    return Samples(
        x=rng.random((n, TICKS, N_IN)) < p, y=rng.integers(0, 3, n), n_ticks=TICKS, spiking=True
    )


def explained(deployment, given, folder, **how):
    folder.mkdir(exist_ok=True)
    run_network(deployment, given, folder=folder)
    return explain_difference(folder / "float.h5", folder / "trace.h5", **how)


def only(found, name):
    """Check that one effect is to blame for everything, and the others for nothing."""
    causes = found.causes
    assert causes.unlike == causes.noise == causes.unexplained == 0
    assert causes.total > 0
    for share in causes.shares:
        want = causes.total if share.name == name else 0
        got = [sum(c.values()) for c in (share.vanish, share.alone)]
        assert (share.name, got, share.in_turn) == (share.name, [want, want], want)
        assert sum(share.appear.values()) == sum(share.alone_other.values()) == 0
    assert sentence(found).startswith(f"100 % of the {causes.total:,} differing spikes vanish")


@pytest.mark.parametrize("seed", SEEDS)
def test_weights_alone(seed, tmp_path):
    rng = np.random.default_rng(seed)
    chip = floating("weights", numbers={"weight_bits": 4})
    only(explained(deploy(one_layer(rng), chip, direct=False), spikes_for(rng), tmp_path / "o"),
         "weight rounding")  # fmt: skip


@pytest.mark.parametrize("seed", SEEDS)
def test_thresholds_alone(seed, tmp_path):
    rng = np.random.default_rng(seed)
    network = one_layer(rng, threshold=rng.uniform(0.1, 1.0, 8))
    chip = floating("thresholds", numbers={"threshold_bits": 5, "membrane_bits": 24})
    found = explained(deploy(network, chip, direct=False), spikes_for(rng), tmp_path / "o")
    only(found, "threshold rounding")


@pytest.mark.parametrize("seed", SEEDS)
def test_biases_alone(seed, tmp_path):
    rng = np.random.default_rng(seed)
    network = one_layer(rng, bias=rng.uniform(0.01, 0.2, 8))
    chip = floating(numbers={"bias_bits": 2, "bias_exponent_max": 30})
    found = explained(deploy(network, chip, direct=False), spikes_for(rng, p=0.2), tmp_path / "o")
    only(found, "bias rounding")


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("register", ["current", "membrane"])
def test_decays_alone(seed, register, tmp_path):
    rng = np.random.default_rng(seed)
    tau = rng.uniform(4e-3, 20e-3, 8)
    values = (
        {"tau_mem_s": tau} if register == "membrane" else {"tau_syn_s": tau, "tau_mem_s": np.inf}
    )
    # With the offset, a field of the current is exact for those without a filter.
    chip = floating("decays", numbers={"decay_bits": 5, "current_decay_offset": 1})
    found = explained(
        deploy(one_layer(rng, **values), chip, direct=False), spikes_for(rng), tmp_path / "o"
    )
    only(found, f"{register} decay")


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("register", ["current", "membrane"])
def test_widths_alone(seed, register, tmp_path):
    rng = np.random.default_rng(seed)
    tau = {"tau_syn_s": rng.uniform(4e-3, 20e-3, 8)} if register == "current" else {}
    numbers = {"current_bits": 9, "membrane_bits": 9, "weight_exponent_max": 0}
    chip = floating(register, numbers=numbers)
    found = explained(
        deploy(one_layer(rng, **tau), chip, direct=False), spikes_for(rng), tmp_path / "o"
    )
    only(found, f"{register} width")


def exact(network, chip, scale=64.0):
    """The network in integers that hold every value, at a scale of our own."""
    fixed = quantise(network, chip)
    populations = tuple(
        replace(
            part, scale=scale, sum_shift=0,
            threshold=np.rint(np.asarray(p.threshold) * scale).astype(np.int64),
            bias=np.zeros(p.size, np.int64), keep_current=np.zeros(p.size, np.int64),
            initial_current=np.zeros(p.size, np.int64),
        )
        for part, p in zip(fixed.populations, network.populations, strict=True)
    )  # fmt: skip
    projections = tuple(
        replace(q, linear=replace(p.linear, weight=p.linear.weight * scale), exponent=0, shift=0)
        for q, p in zip(fixed.projections, network.projections, strict=True)
    )
    return replace(fixed, populations=populations, projections=projections)


def integers(rng, reset="subtract"):
    """Integrators whose weights are multiples of 1/4, with strong inhibition."""
    network = one_layer(rng, tau_mem_s=np.inf, reset=reset)
    weights = [rng.choice([-1.5, -0.75, 0.25, 0.5, 1.0], p.linear.weight.shape)
               for p in network.projections]  # fmt: skip
    populations = tuple(replace(p, threshold=1.0) for p in network.populations)
    projections = tuple(
        replace(p, linear=replace(p.linear, weight=w))
        for p, w in zip(network.projections, weights, strict=True)
    )
    return replace(network, populations=populations, projections=projections)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("rule", ["saturate", "wrap"])
def test_overflow_alone(seed, rule, tmp_path):
    rng = np.random.default_rng(seed)
    numbers = {"weight_bits": 16, "membrane_bits": 9, "current_decay_offset": 1}
    chip = chip_with(numbers=numbers, arithmetic={"membrane_overflow": rule})
    deployment = deploy_fixed(exact(integers(rng), chip), chip)
    only(explained(deployment, spikes_for(rng), tmp_path / "o"), "overflow")


@pytest.mark.parametrize("seed", SEEDS)
def test_resets_alone(seed, tmp_path):
    rng = np.random.default_rng(seed)
    network = one_layer(rng, reset="subtract")
    strong = tuple(
        replace(p, linear=replace(p.linear, weight=3 * np.abs(p.linear.weight)))
        for p in network.projections
    )
    chip = floating(
        numbers={"spikes_per_tick_max": 15}, resets={"subtract-repeat": 1}, input_latency=0
    )
    deployment = deploy(replace(network, projections=strong), chip, direct=False)
    only(explained(deployment, spikes_for(rng), tmp_path / "o"), "reset rule")


@pytest.mark.parametrize("seed", SEEDS)
def test_rest_alone(seed, tmp_path):
    rng = np.random.default_rng(seed)
    network = one_layer(rng, refractory_s=3e-3, reset="subtract")
    chip = floating(refractory="skip")
    deployment = deploy(network, chip, direct=False)
    only(explained(deployment, spikes_for(rng), tmp_path / "o"), "rest after a spike")


@pytest.mark.parametrize("seed", SEEDS)
def test_comparing_alone(seed, tmp_path):
    rng = np.random.default_rng(seed)
    network = integers(rng, reset="zero")
    network = replace(
        network, populations=tuple(replace(p, compare=">=") for p in network.populations)
    )
    chip = chip_with(
        numbers={"weight_bits": 16, "membrane_bits": 30, "current_decay_offset": 1},
        arithmetic={"membrane_overflow": "none"},
    )
    deployment = deploy_fixed(exact(network, chip), chip)
    only(explained(deployment, spikes_for(rng), tmp_path / "o"), "threshold compare")


@pytest.mark.parametrize("seed", SEEDS)
def test_currents_of_the_host_alone(seed, tmp_path):
    rng = np.random.default_rng(seed)
    chip = floating(numbers={"bias_bits": 2, "bias_exponent_max": 30})
    samples = Samples(x=rng.random((5, N_IN)), y=None, n_ticks=TICKS, spiking=False)
    samples = replace(samples, x=np.repeat(samples.x[:, None], TICKS, 1))
    deployment = deploy(one_layer(rng), chip, direct=True, samples=samples)
    only(explained(deployment, samples, tmp_path / "o"), "host currents")


@pytest.mark.parametrize("seed", SEEDS)
def test_timing_alone(seed, tmp_path):
    rng = np.random.default_rng(seed)
    network = one_layer(rng)
    skip = Projection(
        source="in", target="out",
        linear=Dense(weight=rng.normal(0.3, 0.3, (3, N_IN)), pre_shape=(N_IN,), post_shape=(3,)),
    )  # fmt: skip
    network = replace(network, projections=(*network.projections, skip))
    deployment = deploy(network, floating(), direct=False)
    found = explained(deployment, spikes_for(rng), tmp_path / "o", as_trained=True)
    only(found, "delivery timing")
    assert explained(deployment, spikes_for(rng), tmp_path / "o2").causes is None


def test_between_two_chips_effects_are_their_rules(rng, tmp_path):
    network, samples = one_layer(rng, bias=0.01), spikes_for(rng)
    coarse = chip_with(arithmetic={"membrane_decay": "floor"}, numbers={"decay_bits": 5})
    for k, chip in enumerate((chip_with(), coarse)):
        (tmp_path / str(k)).mkdir()
        run_network(deploy(network, chip, direct=False), samples, folder=tmp_path / str(k))
    paths = [tmp_path / str(k) / "trace.h5" for k in (0, 1)]
    found = explain_difference(*paths)
    causes = found.causes
    assert causes.unlike == causes.noise == 0
    names = {share.name for share in causes.shares}
    assert "membrane decay" in names
    assert not names & {"reset rule", "threshold compare", "delivery timing"}
    assert causes.left_in_turn == 0
    assert sum(share.in_turn for share in causes.shares) == causes.total > 0
    back = explain_difference(*paths[::-1])
    assert back.causes.total == causes.total
    assert "of generic" in sentence(found)


def test_float_may_be_either_of_the_two(rng, tmp_path):
    deployment = deploy(
        one_layer(rng), floating("weights", numbers={"weight_bits": 4}), direct=False
    )
    found = explained(deployment, spikes_for(rng), tmp_path / "o")
    turned = explain_difference(tmp_path / "o/trace.h5", tmp_path / "o/float.h5")
    assert (found.swapped, turned.swapped) == (False, True)
    assert vars(turned.causes) == vars(found.causes) | {"shares": turned.causes.shares}
    assert sentence(turned) == sentence(found)


def test_everything_of_a_real_chip_adds_up(rng, tmp_path):
    network = one_layer(rng, tau_syn_s=5e-3, bias=0.02, v_reset=-0.1, v_leak=0.05)
    found = explained(
        deploy(network, load_chip("loihi"), direct=False), spikes_for(rng, n=8), tmp_path / "o",
        samples=3,
    )  # fmt: skip
    causes = found.causes
    assert causes.unlike == causes.noise == causes.left_in_turn == 0
    assert sum(share.in_turn for share in causes.shares) == causes.total > 0
    assert len(causes.samples) == 3
    assert causes.n_runs == 3 * (2 + 3 * len(causes.shares) - 1)
    as_json(divergence_json(found))


def test_the_first_difference_is_shown_on_both_sides(rng, tmp_path):
    chip = floating("weights", numbers={"weight_bits": 4})
    deployment = deploy(one_layer(rng), chip, direct=False)
    found = explained(deployment, spikes_for(rng), tmp_path / "o")
    first, look = found.comparison.first, found.look
    assert (look.population, look.neuron, look.sample) == first[2:4] + first[:1]
    assert look.core == 0
    at = first.tick - look.first_tick
    spikes = [look.base[at].spikes, look.full[at].spikes]
    assert spikes == [first.payload_a, first.payload_b]
    for moments in (look.base, look.full):
        for moment in moments:
            arrived = sum(a.spikes * a.weight for a in moment.arrivals)
            assert moment.arrived == pytest.approx(arrived)
            assert (moment.reached > 1.0) == (moment.spikes == 1)
            assert moment.registers == (None, None, None)
    if look.population == "hidden":
        weights = deployment.network.projections[0].linear.weight[look.neuron]
        assert {a.weight for m in look.base for a in m.arrivals} <= set(weights.tolist())
    assert look.parting.variable == look.own_parting.variable == "input"
    assert look.parting.tick <= look.own_parting.tick <= first.tick
    told = divergence_json(found)["first_differing"]
    assert told == found.first._asdict() | {
        "core": 0, "variable": "input", "variable_tick": look.own_parting.tick,
    }  # fmt: skip
    assert look.heaviest.base != look.heaviest.full


def test_any_other_neuron_can_be_looked_at(rng, tmp_path):
    deployment = deploy(one_layer(rng), load_chip("loihi"), direct=False)
    found = explained(
        deployment, spikes_for(rng), tmp_path / "o", samples=0, neuron="out[2]", ticks=(3, 9),
        sample=4,
    )  # fmt: skip
    look = found.look
    assert (look.population, look.neuron, look.sample, look.first_tick) == ("out", 2, 4, 3)
    assert len(look.base) == len(look.full) == 6
    assert found.causes is None
    scale = deployment.fixed.population("out").scale
    for moment in look.full:
        assert moment.registers[1] == pytest.approx(moment.reached * scale)


def test_looking_at_what_is_not_there_is_told(rng, tmp_path):
    deployment = deploy(one_layer(rng), load_chip("loihi"), direct=False)
    run_network(deployment, spikes_for(rng), folder=tmp_path)
    paths = tmp_path / "float.h5", tmp_path / "trace.h5"
    for how, message in (
        ({"neuron": "hiden[1]"}, "no population 'hiden' in both; there are hidden, out"),
        ({"neuron": "hidden[8]"}, r"no hidden\[8\]; 'hidden' has 0..7"),
        ({"neuron": "hidden[1]", "sample": 5}, "no sample 5; there are 0..4"),
        ({"neuron": "hidden[1]", "ticks": (90, 95)}, "ticks 90:95 are not there"),
    ):
        with pytest.raises(BadInputError, match=message):
            explain_difference(*paths, **how)
    with pytest.raises(BadInputError, match="names no neuron"):
        read_neuron("hidden")
    for text in ("5", "5:5", "a:b"):
        with pytest.raises(BadInputError, match="names no ticks"):
            read_ticks(text)
    assert read_ticks("3:12") == (3, 12)


def test_equal_traces_have_no_cause(rng, tmp_path):
    deployment = deploy(one_layer(rng), load_chip("loihi"), direct=False)
    run_network(deployment, spikes_for(rng), folder=tmp_path)
    found = explain_difference(tmp_path / "trace.h5", tmp_path / "trace.h5")
    assert found.comparison.equal
    assert (found.causes, found.look, found.why_not, sentence(found)) == (None, None, "", "")


@pytest.fixture
def two(rng, tmp_path):
    """Traces in float and of a chip that differ."""
    chip = floating("weights", numbers={"weight_bits": 4})
    run_network(deploy(one_layer(rng), chip, direct=False), spikes_for(rng), folder=tmp_path)
    return tmp_path / "float.h5", tmp_path / "trace.h5"


def without_attachments(path):
    with h5py.File(path, "r+") as file:
        del file["attached"]


def test_traces_that_carry_nothing_are_compared_as_recorded(two):
    without_attachments(two[1])
    found = explain_difference(*two)
    assert found.causes is None
    assert found.look is None
    assert "does not carry what it was made from" in found.why_not
    first, seen = found.comparison.first, found.recorded
    at = first.tick - seen.place.first_tick
    assert seen.spikes[at].tolist() == [first.payload_a, first.payload_b]
    assert np.isnan(seen.membrane).all()


def test_what_is_equal_needs_no_cause(two):
    without_attachments(two[1])
    found = explain_difference(two[1], two[1])
    assert (found.comparison.equal, found.why_not) == (True, "")


def test_a_program_of_another_hash_is_no_cause(two):
    with h5py.File(two[1], "r+") as file:
        file["provenance"].attrs["program_sha256"] = "0" * 64
    found = explain_difference(*two)
    assert not found.comparison.equal
    assert found.causes is None
    assert "recorded from the program 000000000000, but it carries" in found.why_not


def test_spikes_that_the_rules_do_not_give_are_not_explained(two):
    with h5py.File(two[1], "r+") as file:
        nodes = file["spikes/hidden/node_ids"]
        nodes[0] = (
            (nodes[0] + 1) % 8 if nodes.shape[0] == 1 or nodes[1] != nodes[0] + 1 else nodes[0] - 1
        )
    found = explain_difference(*two)
    assert found.causes.unlike > 0
    assert not sentence(found).startswith("100 %")
    assert all(share.in_turn is None for share in found.causes.shares)


def test_other_input_is_no_effect(rng, tmp_path):
    deployment = deploy(one_layer(rng), load_chip("loihi"), direct=False)
    for k in (0, 1):
        (tmp_path / str(k)).mkdir()
        run_network(deployment, spikes_for(rng), folder=tmp_path / str(k))
    found = explain_difference(tmp_path / "0/trace.h5", tmp_path / "1/trace.h5")
    assert found.why_not == "the two were given different input"


def test_what_was_known_when_interrupted_is_returned(two, monkeypatch):
    calls = []

    def progress(done, total):
        calls.append((done, total))
        if done == 3 * 4 + 2:
            raise KeyboardInterrupt

    found = explain_difference(*two, progress=progress)
    causes = found.causes
    assert causes.broken_off
    assert calls[0][1] % (len(causes.shares) * 3 + 1) == 0
    assert len(causes.samples) == (3 * 4 + 2) // (2 + 2 * len(causes.shares))
    assert causes.total > 0


def test_an_interrupted_command_tells_it(two, monkeypatch, capsys):
    def interrupted(*about, **how):
        causes = find_causes(*about, **how)
        causes.broken_off = True
        return causes

    monkeypatch.setattr("spikefab.microscope.explain.find_causes", interrupted)
    how = {
        "samples": 2,
        "as_trained": False,
        "neuron": None,
        "ticks": None,
        "sample": None,
        "measures": False,
    }
    with pytest.raises(command.typer.Exit) as left:
        command.compare_two(*two, json=False, **how)
    assert left.value.exit_code == 130
    assert "interrupted: what 2 samples showed until then" in capsys.readouterr().out


def test_the_command_prints_and_saves_the_same_figures(two, capsys):
    how = {
        "samples": 4,
        "as_trained": False,
        "neuron": None,
        "ticks": None,
        "sample": None,
        "measures": False,
    }
    for as_one in (False, True):
        with pytest.raises(command.typer.Exit) as left:
            command.compare_two(*two, json=as_one, **how)
        assert left.value.exit_code == 4
        text = capsys.readouterr().out
        if not as_one:
            shown = text
    found = json.loads(text)
    causes = found["causes"]
    assert found["sentence"] in shown.replace("\n", " ")
    assert f"{causes['total']:,} differing spikes in samples" in shown
    (share,) = [s for s in causes["shares"] if s["name"] == "weight rounding"]
    assert share["vanish_share"] == share["alone_share"] == share["in_turn_share"] == 1
    assert found["first"]["neuron"] == found["look"]["neuron"]


def test_shares_are_0_and_100_only_where_they_are():
    assert [share_of(*p) for p in ((0, 9), (9, 9), (1, 999), (998, 999), (1, 3), (0, 0))] == [
        "0 %", "100 %", "< 1 %", "> 99 %", "33 %", "0 %",
    ]  # fmt: skip


def test_traces_in_part_alike_are_compared_in_part(rng, tmp_path):
    deployment = deploy(one_layer(rng), load_chip("loihi"), direct=False)
    samples = spikes_for(rng)
    for k, n in enumerate((5, 3)):
        (tmp_path / str(k)).mkdir()
        some = replace(samples, x=samples.x[:n], y=samples.y[:n])
        run_network(deployment, some, folder=tmp_path / str(k))
    found = explain_difference(tmp_path / "0/float.h5", tmp_path / "1/trace.h5")
    assert found.comparison.partial
    assert "samples is 5 and 3" in found.comparison.differences
    assert found.comparison.populations[0].n_ticks == 3 * (TICKS + 1)
    assert found.causes.total > 0
    assert max(found.causes.samples) < 3


@pytest.mark.parametrize("seed", SEEDS)
def test_spikes_that_saturate_one_by_one(seed, tmp_path):
    """Only together do a narrow current and the order of spikes matter: each takes it all back."""
    rng = np.random.default_rng(seed)
    rules = {
        "accumulate": "each", "current_order": "add-decay-use", "input_latency": 0,
        "current_overflow": "saturate-twos", "current_decay": "shift", "membrane_decay": "shift",
    }  # fmt: skip
    numbers = {"current_bits": 9, "membrane_bits": 30, "decay_bits": 4, "weight_bits": 8}
    network = one_layer(rng, tau_syn_s=2e-3, tau_mem_s=4e-3)
    weights = [
        rng.choice([-3.0, 0.5, 1.0, 2.0], p.linear.weight.shape) for p in network.projections
    ]
    network = replace(
        network,
        projections=tuple(
            replace(p, linear=replace(p.linear, weight=w))
            for p, w in zip(network.projections, weights, strict=True)
        ),
        populations=(
            network.populations[0], replace(network.populations[1], tau_syn_s=2e-3, tau_mem_s=4e-3),
        ),
    )  # fmt: skip
    samples, paths = spikes_for(rng, p=0.7), []
    for rule in ("each", "sum"):
        plain = load_chip("generic").model_dump()
        plain["limits"]["delay_max"]["value"] = 0
        plain["numbers"] |= numbers
        plain["arithmetic"] |= rules | {"accumulate": rule}
        chip = Chip.model_validate(plain)
        fixed = quantise(network, chip)
        fixed = replace(
            fixed,
            populations=tuple(replace(p, sum_shift=0) for p in fixed.populations),
            projections=tuple(replace(p, exponent=0, shift=2) for p in fixed.projections),
        )
        (tmp_path / rule).mkdir()
        run_network(deploy_fixed(fixed, chip), samples, folder=tmp_path / rule)
        paths.append(tmp_path / rule / "trace.h5")
    only(explain_difference(*paths), "accumulate order")


def test_effects_that_hide_each_other_are_seen_alone(tmp_path, rng):
    """A bias in whole units, into a membrane of whole units: either rounds as both do."""
    network = one_layer(rng, bias=rng.uniform(0.02, 0.2, 8), tau_mem_s=np.inf)
    chip = floating("membrane", numbers={"membrane_bits": 10})
    silent = Samples(x=np.zeros((2, 90, N_IN), np.int64), y=None, n_ticks=90, spiking=True)
    found = explained(deploy(network, chip, direct=False), silent, tmp_path / "o", samples=1)
    causes = found.causes
    of = {share.name: share for share in causes.shares}
    total = causes.differing["hidden"]
    assert total > 0
    for name in ("bias rounding", "membrane width"):
        assert (of[name].vanish["hidden"], of[name].alone["hidden"]) == (0, total)
    assert causes.unexplained < causes.total
    assert causes.left_in_turn == 0
    assert "made by others as well" in sentence(found) or "vanish" in sentence(found)


def integrator(weight, bias, threshold):
    """Neurons that add up one input."""
    return Network(
        dt_s=1e-3, inputs=(Input(name="in", shape=(1,)),), outputs=("hidden",),
        populations=(Population(name="hidden", shape=(4,), threshold=threshold, bias=bias),),
        projections=(
            Projection(
                source="in", target="hidden",
                linear=Dense(weight=np.full((4, 1), weight), pre_shape=(1,), post_shape=(4,)),
            ),
        ),
    )  # fmt: skip


def off(network, chip, weight, bias, threshold):
    """The same network with other constants on the chip, which keeps everything in float."""
    fixed = quantise(network, chip)
    (part,), (projection,) = fixed.populations, fixed.projections
    return replace(
        fixed,
        populations=(
            replace(
                part, scale=1.0, sum_shift=0, bias=np.full(4, bias),
                threshold=np.full(4, threshold), initial_current=np.zeros(4),
            ),
        ),
        projections=(
            replace(
                projection, exponent=0, shift=0,
                linear=replace(projection.linear, weight=np.full((4, 1), weight)),
            ),
        ),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("float_", "chip", "gone", "unexplained"),
    [
        # 5 spikes are 1.25 in float; rounded, the 5th is below the threshold if both are off.
        ((0.25, 0.0, 1.0), (0.2475, 0.0, 1.24), 1, 0),
        # 1.37 against 1.28 at the 5th spike: each of three takes 0.06, and any two are enough.
        ((0.25, 0.02, 1.28), (0.238, 0.01, 1.34), 0, 1),
    ],
)
def test_effects_that_act_only_together(float_, chip, gone, unexplained, tmp_path):
    network, kept = integrator(*float_), floating()
    ones = Samples(x=np.ones((1, 8, 1), np.int64), y=None, n_ticks=8, spiking=True)
    found = explained(deploy_fixed(off(network, kept, *chip), kept), ones, tmp_path / "o")
    causes = found.causes
    assert causes.total == 8  # four neurons, a spike missed and one that comes a tick later
    assert causes.unlike == causes.noise == 0
    for share in causes.shares:
        assert sum(share.alone.values()) == 0
        moved = share.name in ("weight rounding", "threshold rounding", "bias rounding")
        assert sum(share.vanish.values()) == gone * moved * causes.total
    assert causes.unexplained == unexplained * causes.total
    assert sum(share.in_turn for share in causes.shares) == causes.total
    if unexplained:
        assert "100 % come from several effects together" in sentence(found)


def test_chips_of_other_scales_add_up(tmp_path, rng):
    """Everything differs: widths, scales, orders, latencies; in turn, all of it is found."""
    network, samples = one_layer(rng, tau_syn_s=4e-3, tau_mem_s=8e-3), spikes_for(rng)
    paths = []
    for name in ("loihi-brian2", "loihi-lava"):
        (tmp_path / name).mkdir()
        run_network(deploy(network, load_chip(name), direct=False), samples, folder=tmp_path / name)
        paths.append(tmp_path / name / "trace.h5")
    found = explain_difference(*paths)
    assert found.causes.unlike == found.causes.noise == found.causes.left_in_turn == 0
    assert "delivery timing" in {share.name for share in found.causes.shares}


def test_readouts_alone_are_explained_by_their_membranes(rng, tmp_path):
    network = one_layer(rng)
    readout = Population(name="sum", shape=(8,), threshold=None, tau_mem_s=10e-3)
    network = Network(
        dt_s=1e-3, inputs=network.inputs, populations=(readout,), outputs=("sum",),
        projections=(replace(network.projections[0], target="sum"),),
    )  # fmt: skip
    chip = floating("weights", numbers={"weight_bits": 3})
    found = explained(deploy(network, chip, direct=False), spikes_for(rng), tmp_path / "o")
    causes = found.causes
    assert causes.total == 0
    assert causes.readout > 0
    assert (found.first.sample, found.first.population) == (0, "sum")
    assert found.look.own_parting.tick == found.first.tick
    assert "but no spike differs" in sentence(found)
    for share in causes.shares:
        weights = share.name == "weight rounding"
        assert share.readout_without == pytest.approx(0 if weights else causes.readout, abs=1e-12)
        assert share.readout_alone == pytest.approx(causes.readout if weights else 0, abs=1e-12)


@pytest.mark.compiled
def test_braille_is_weights(shared, tmp_path):
    """A trained recurrent network on Loihi: its weights' range is what costs its spikes."""
    folder = shared / "networks" / "nir_braille_zero"
    network = import_nir(
        folder / "braille_noDelay_bias_zero.nir", dt_s=1e-4, reset="zero", compare=None
    )
    x = np.load(folder / "input_sample0.npy").astype(np.int64)
    samples = Samples(
        x=np.stack([np.roll(x, k, axis=1) for k in range(3)]), y=None, n_ticks=len(x), spiking=True
    )
    deployment = deploy(network, load_chip("loihi"), direct=False)
    found = explained(deployment, samples, tmp_path / "o")
    causes = found.causes
    assert causes.unlike == causes.noise == causes.left_in_turn == 0
    assert causes.total > 100
    (weights,) = [share for share in causes.shares if share.name == "weight rounding"]
    assert sum(weights.vanish.values()) > 0.9 * causes.total


@pytest.mark.compiled
def test_integers_of_lava_dl_are_decays_alone(shared, tmp_path):
    """Nothing was quantised, so weights, thresholds and biases cannot be to blame."""
    path = shared / "networks" / "loihi_mnist" / "trained_mnist_network.net"
    fixed = import_netx(path, load_chip("loihi-lava"), input_shape=(784, 1, 1))
    images = np.load(shared / "networks/ann_mnist_cnn/mnist_500.npz")["X"][:6] / 255
    level, counts = np.zeros_like(images), np.zeros((6, 32, 784), np.int64)
    for tick in range(32):
        level += images
        counts[:, tick] = level > 1
        level[level > 1] = 0
    samples = Samples(x=counts, y=None, n_ticks=32, spiking=True)
    found = explained(deploy_fixed(fixed, load_chip("loihi-lava")), samples, tmp_path / "o")
    assert found.causes.total > 0
    names = {share.name for share in found.causes.shares}
    assert found.causes.unlike == found.causes.left_in_turn == 0
    assert not names & {"weight rounding", "threshold rounding", "bias rounding"}


def test_networks_of_other_populations_are_compared_without_a_cause(rng, tmp_path):
    network = one_layer(rng)
    small = replace(
        network, populations=network.populations[:1], projections=network.projections[:1],
        outputs=("hidden",),
    )  # fmt: skip
    samples, paths = replace(spikes_for(rng), y=None), []
    for k, one in enumerate((network, small)):
        (tmp_path / str(k)).mkdir()
        chip = chip_with(numbers={"weight_bits": 8 - 4 * k})
        run_network(deploy(one, chip, direct=False), samples, folder=tmp_path / str(k))
        paths.append(tmp_path / str(k) / "trace.h5")
    found = explain_difference(*paths)
    assert found.comparison.partial
    assert [p.name for p in found.comparison.populations] == ["hidden"]
    assert found.comparison.first is not None
    assert "different populations" in found.why_not
    assert found.recorded.place.population == "hidden"
    with pytest.raises(BadInputError, match="no population 'out' in both"):
        explain_difference(*paths, neuron="out[1]")


def test_measures_are_told_beside_a_comparison(tmp_path):
    done = spikefab("demo", "--model", "mlp", "-o", "out", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    asked = ("compare", "out/float.h5", "out/trace.h5", "--no-cause", "--measures")
    told = spikefab(*asked, cwd=tmp_path)
    assert told.returncode == 4
    assert "distances of spike trains, means over neurons and samples" in told.stdout
    assert "cost_per_tick 0.1" in told.stdout
    found = json.loads(spikefab(*asked, "--json", cwd=tmp_path).stdout)
    names = {row["name"] for row in found["measures"]["populations"]}
    assert names == {p["name"] for p in found["populations"]}
