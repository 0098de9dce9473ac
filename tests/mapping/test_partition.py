import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from networks import random_network

from emulator.chip_file import load_chip
from emulator.without import chip_without
from mapping.deploy import map_network
from mapping.errors import CapacityError
from mapping.linear import Convolution, Dense, Sparse, matrix
from mapping.mapping import resources
from mapping.needs import Needs, fan_of
from mapping.network import Input, Network, Population, Projection
from mapping.outline import Outline, OutlineProjection
from mapping.quantise import quantise

LOIHI = load_chip("loihi")


def chip_with(**limits):
    """Loihi with other limits."""
    values = LOIHI.limits.model_dump()
    for name, value in limits.items():
        if name == "delay_max":
            values[name] = value
        else:
            values[name] = {**values[name], "value": value, "low": None, "high": None}
    return LOIHI.model_copy(update={"limits": type(LOIHI.limits).model_validate(values)})


def dense(n_post, n_pre):
    return Dense(weight=np.ones((n_post, n_pre)), pre_shape=(n_pre,), post_shape=(n_post,))


def conv(c_in, c_out, extent, kernel=3, **how):
    """Of one or two axes, same size."""
    half, n = kernel // 2, len(extent)
    return Convolution(
        kernel=np.random.default_rng(3).normal(0, 1, (c_out, c_in, *(kernel,) * n)),
        pre_shape=(c_in, *extent), stride=(1,) * n, padding=((half, half),) * n, dilation=(1,) * n,
    )  # fmt: skip


def net(inputs, populations, *projections):
    """Names with sizes or shapes, and (source, target, linear[, delay in ticks])."""

    def shape(value):
        return value if isinstance(value, tuple) else (value,)

    return Network(
        dt_s=1e-3,
        inputs=tuple(Input(name=k, shape=shape(v)) for k, v in inputs.items()),
        populations=tuple(
            Population(name=k, shape=shape(v), threshold=1.0) for k, v in populations.items()
        ),
        projections=tuple(
            Projection(source=s, target=t, linear=linear, delay_s=sum(delay) * 1e-3)
            for s, t, linear, *delay in projections
        ),
        outputs=(list(populations)[-1],),
    )


def mapped(network, chip=LOIHI):
    """Map, and recount what is loaded."""
    mapping, program = map_network(quantise(network, chip), chip)
    assert resources(program, chip).violations(program, chip) == ()
    return mapping, program


def refused(network, chip=LOIHI):
    with pytest.raises(CapacityError) as caught:
        map_network(quantise(network, chip), chip)
    for found in caught.value.violations:
        assert found.need > found.have
    return tuple(map(str, caught.value.violations))


def test_one_axis_is_tiled_like_two():
    """(channels, n) is the same geometry as (channels, 1, n)."""
    flat, second = conv(1, 16, (500,), 5), conv(16, 16, (500,), 5)
    cores = []
    for axes in (1, 2):
        layers = [
            c if axes == 1 else Convolution(
                kernel=c.kernel[:, :, None], pre_shape=(c.pre_shape[0], 1, 500), stride=(1, 1),
                padding=((0, 0), (2, 2)), dilation=(1, 1),
            )
            for c in (flat, second)
        ]  # fmt: skip
        shapes = {name: c.post_shape for name, c in zip("ab", layers, strict=True)}
        _, program = mapped(
            net({"in": layers[0].pre_shape}, shapes, ("in", "a", layers[0]), ("a", "b", layers[1]))
        )
        cores.append(program.n_cores)
    assert cores[0] == cores[1] <= 20


def test_a_tile_size_that_does_not_divide_the_population_is_cut_at_tile_ends():
    c = conv(4, 4, (17, 13))
    mapping, _ = mapped(net({"in": c.pre_shape}, {"a": c.post_shape}, ("in", "a", c)))
    assert sum(s.neurons.size for held in mapping.cores for s in held) == 4 * 17 * 13


@pytest.mark.parametrize(
    "projections",
    [
        [("in", "a", dense(1, 2500)), ("in", "a", dense(1, 2500), 3)],
        [
            ("in", "a", Sparse(row=2 * np.arange(2501), target=np.zeros(5000), weight=np.ones(5000),
                               pre_shape=(2500,), post_shape=(1,)))
        ],
    ],
    ids=["two projections of one format", "a target listed twice"],
)  # fmt: skip
def test_a_source_that_is_heard_twice_takes_one_axon(projections):
    _, program = mapped(net({"in": 2500}, {"a": 1}, *projections))
    assert resources(program, LOIHI).in_axons.tolist() == [2500]


def test_indices_are_as_wide_as_the_part_needs():
    """By hand: 15 to 17 synapses of 8 + 6 bits take 4 words, of 8 + 10 bits (1024 neurons) 5."""
    targets = [np.arange(source % 2, 64, 2) for source in range(100)]
    lists = Sparse(
        row=32 * np.arange(101), target=np.concatenate(targets), weight=np.ones(3200),
        pre_shape=(100,), post_shape=(64,),
    )  # fmt: skip
    chip = chip_with(synapse_words_per_core=400)
    _, program = mapped(net({"in": 100}, {"a": 64}, ("in", "a", lists)), chip)
    assert program.n_cores == 2


def test_a_core_is_shared_only_if_the_wider_indices_fit():
    """Each of two populations takes 4 words a source with 6 bits; with 7 bits one takes 5."""

    def lists(n):
        return Sparse(
            row=18 * np.arange(11), target=np.tile(np.arange(18), 10), weight=np.ones(180),
            pre_shape=(10,), post_shape=(n,),
        )  # fmt: skip

    network = net({"in": 10}, {"a": 64, "b": 64}, ("in", "a", lists(64)), ("in", "b", lists(64)))
    alone = 5  # 18 * 14 + 10 = 262 bits
    shared = 5  # 18 * 15 + 10 = 280 bits
    for words, cores in ((10 * 2 * shared, 1), (10 * 2 * shared - 1, 2), (10 * alone, 2)):
        _, program = mapped(network, chip_with(synapse_words_per_core=words))
        assert program.n_cores == cores


def test_parts_of_a_population_that_meet_are_one_slice():
    """Only one neuron sends back, so all of them have out-axons enough on one core."""
    back = Sparse(
        row=np.minimum(np.arange(21), 1), target=[0], weight=[1.0], pre_shape=(20,), post_shape=(20,)
    )  # fmt: skip
    network = net({"in": 5}, {"a": 20}, ("in", "a", dense(20, 5)), ("a", "a", back))
    mapping, _ = mapped(network, chip_with(out_axons_per_core=15))
    assert [[part.population for part in held] for held in mapping.cores] == [["a"]]


@pytest.mark.parametrize("n", [3, 300])
def test_a_neuron_larger_than_the_memory_is_named(n):
    network = net({"in": 2000}, {"a": n}, ("in", "a", dense(n, 2000)))
    (problem,) = refused(network, chip_with(synapse_words_per_core=1000))
    assert problem == (
        "population 'a': neuron 0 takes 2,000 words of synapse memory, but a core of loihi holds "
        f"1,000 ({n} of {n} neurons are over); narrow or prune what feeds it"
    )


def test_a_neuron_that_sends_to_too_many_cores_is_named():
    network = net({"in": 1}, {"a": 1, "b": 32}, ("in", "a", dense(1, 1)), ("a", "b", dense(32, 1)))
    (problem,) = refused(network, chip_with(out_axons_per_core=3, neurons_per_core=8))
    assert problem == (
        "population 'a': neuron 0 needs 4 out-axons, one for each core and format, but a core of "
        "loihi has 3 (1 of 1 neurons are over); narrow or prune what it feeds"
    )
    _, program = mapped(network, chip_with(out_axons_per_core=4, neurons_per_core=8))
    assert program.n_cores == 5


def test_no_problem_hides_another():
    """One word a source holds 6 synapses of 8 bits, so 900 neurons with 900 sources need 150."""
    network = net(
        {"in": 1100}, {"wide": 10, "many": 900, "slow": 5},
        ("in", "wide", dense(10, 1100)), ("wide", "many", dense(900, 10)),
        ("many", "many", dense(900, 900)), ("many", "slow", dense(5, 900), 70),
    )  # fmt: skip
    chip = chip_with(in_axons_per_core=1000, synapse_words_per_core=1000)
    delay, *wide, cores = refused(network, chip)
    assert "many→slow: a delay of 70 ticks, but loihi delays by at most 62" in delay
    assert "'wide': neuron 0 hears 1,100 sources, but a core of loihi takes 1,000" in wide[0]
    assert "'wide': neuron 0 takes 1,100 words of synapse memory" in wide[1]
    assert cores.startswith("at least 152 cores needed ('many' 150, 'slow' 2), but loihi has 128")


def test_the_resource_that_closed_the_cores_is_told():
    (problem,) = refused(net({"in": 1}, {"a": 140_000}, ("in", "a", dense(140_000, 1))))
    assert problem.startswith(
        "at least 137 cores needed ('a' 137), but loihi has 128; those of 'a' "
    )
    assert "run out of compartments" in problem
    chip = chip_with(synapse_words_per_core=1000)
    (problem,) = refused(net({"in": 900}, {"a": 900}, ("in", "a", dense(900, 900))), chip)
    assert problem.startswith(
        "150 cores needed ('a' 150), but loihi has 128; those of 'a' run out "
    )
    assert "run out of words of synapse memory" in problem


def test_repair_goes_on_until_every_core_is_legal():
    """A ring in which each core can send only one packet needs a core for each neuron."""
    n = 64
    ring = Sparse(
        row=np.arange(n + 1), target=np.roll(np.arange(n), 1), weight=np.ones(n),
        pre_shape=(n,), post_shape=(n,),
    )  # fmt: skip
    _, program = mapped(
        net({"in": 1}, {"a": n}, ("in", "a", dense(n, 1)), ("a", "a", ring)),
        chip_with(out_axons_per_core=1),
    )
    assert program.n_cores == n


def test_what_repair_ends_with_is_judged():
    """Feedback to everybody: on 16 cores, each neuron needs 16 out-axons."""
    network = net({"in": 1}, {"a": 256}, ("in", "a", dense(256, 1)), ("a", "a", dense(256, 256)))
    problems = refused(network, chip_with(out_axons_per_core=15, neurons_per_core=16))
    assert any("'a': neuron 0 needs " in problem for problem in problems)
    assert all(" 8 cores" not in problem for problem in problems)


def test_a_small_world_needs_as_many_cores_as_its_axons_ask():
    """10,000 x 100 synapses, a tenth rewired; halving cores over their out-axons took 43."""
    rng, n, k = np.random.default_rng(0), 10_000, 100
    offset = np.concatenate([np.arange(-k // 2, 0), np.arange(1, k // 2 + 1)])
    target = (np.arange(n)[:, None] + offset) % n
    far = rng.random(target.shape) < 0.1
    target = np.sort(np.where(far, rng.integers(0, n, target.shape), target), axis=1).ravel()
    lists = Sparse(
        row=k * np.arange(n + 1), target=target, weight=rng.normal(0, 1, n * k),
        pre_shape=(n,), post_shape=(n,),
    )  # fmt: skip
    first = Sparse(row=[0, 1], target=[0], weight=[1.0], pre_shape=(1,), post_shape=(n,))
    _, program = mapped(net({"in": 1}, {"a": n}, ("in", "a", first), ("a", "a", lists)))
    assert program.n_cores <= 26


def test_a_large_convolution_is_never_written_out():
    """19 million synapses would take over a gigabyte; the neurons alone need too many cores."""
    c = conv(2, 64, (128, 128))
    fixed = quantise(net({"in": c.pre_shape}, {"a": c.post_shape}, ("in", "a", c)), LOIHI)
    tracemalloc.start()
    try:
        with pytest.raises(CapacityError, match="at least 1,024 cores needed"):
            map_network(fixed, LOIHI)
        assert tracemalloc.get_traced_memory()[1] < 200e6
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize("extent", [(9,), (6, 5)])
def test_lists_of_a_convolution_are_counted_from_its_kernel(rng, groups, extent):
    n = len(extent)
    kernel = rng.integers(-1, 2, (8, 4 // groups, *(3,) * n)).astype(float)
    linear = Convolution(
        kernel=kernel, pre_shape=(4, *extent), stride=(1, 2)[:n], padding=((1, 0), (2, 1))[:n],
        dilation=(2, 1)[:n], groups=groups,
    )  # fmt: skip
    full = matrix(linear) != 0
    fan = fan_of(OutlineProjection(source="in", target="a", linear=linear, delay=0, format=0))
    np.testing.assert_array_equal(fan.fan_in, full.sum(1))
    for size in (1, 7, len(full)):
        part = rng.permutation(len(full))[:size]
        held = fan.lists(part)
        count = np.zeros(full.shape[1])
        count[held.source] = held.size
        np.testing.assert_array_equal(count, full[part].sum(0))
        assert held.size.min(initial=1) > 0
        assert np.all(np.diff(held.source) > 0)


@pytest.mark.parametrize("seed", range(20))
def test_what_is_counted_before_loading_is_what_is_loaded(seed):
    """The search and the recount of the assembled program are two ways to the same numbers."""
    rng = np.random.default_rng(seed)
    chip = chip_with(
        neurons_per_core=int(rng.choice([7, 20, 64, 1024])),
        synapse_words_per_core=int(rng.choice([150, 400, 16384])),
        out_axons_per_core=int(rng.choice([60, 200, 4096])),
    )
    network = random_network(rng)
    if seed % 2:  # the same source in two lists of one format
        again = replace(network.projections[0], delay_s=3e-3)
        network = replace(network, projections=(*network.projections, again))
    fixed = quantise(network, chip)
    mapping, program = map_network(fixed, chip)
    used, needs = resources(program, chip), Needs.of(Outline.of(fixed), chip)
    assert used.violations(program, chip) == ()
    copies = needs.copies(mapping.cores, needs.sizes)
    for core, held in enumerate(mapping.cores):
        need = needs.need(held, copies)
        assert need.compartments == used.compartments[core]
        assert need.in_axons == used.in_axons[core]
        assert need.out_axons == used.out_axons[core]
        assert need.words == used.synapse_words[core]
        names = [part.population for part in held]
        assert len(set(names)) == len(names)


def test_dead_and_reserved_cores_hold_no_neurons():
    chip = chip_without(chip_with(neurons_per_core=10), ["cores 0,2-4", "reserved 6", "router 3,0"])
    fixed = quantise(net({"in": 4}, {"a": 55}, ("in", "a", dense(55, 4))), chip)
    mapping, program = map_network(fixed, chip)
    assert mapping.place == (1, 5, 7, 8, 9, 10)
    program.check(chip)
    full = chip_without(chip, ["cores 8-127"])
    with pytest.raises(CapacityError, match=r"6 cores needed .* but loihi has 3 of 128 left"):
        map_network(fixed, full)


def many_settings(n, n_settings, *, levels=False):
    """A population in which neighbours have different settings, or thresholds."""
    kind = np.arange(n) % n_settings
    own = {"threshold": 1.0 + kind / 2} if levels else {"tau_mem_s": (2.0 + kind) * 1e-3}
    first = net({"in": 4}, {"a": n}, ("in", "a", dense(n, 4)))
    population = replace(first.populations[0], threshold=1.0)
    return replace(first, populations=(replace(population, **own),))


@pytest.mark.parametrize(
    ("limit", "levels"),
    [("neuron_profiles_per_core", False), ("threshold_profiles_per_core", True)],
)
@pytest.mark.parametrize(("n_settings", "cores"), [(5, 1), (6, 2), (10, 2), (11, 3)])
def test_a_population_of_many_settings_is_spread_by_setting(limit, levels, n_settings, cores):
    """Five settings a core; in numbering order, with all mixed, 66 neurons would take 14."""
    values = LOIHI.limits.model_dump() | {limit: {"value": 5}}
    chip = LOIHI.model_copy(update={"limits": type(LOIHI.limits).model_validate(values)})
    network = many_settings(66, n_settings, levels=levels)
    fixed = quantise(network, chip)
    mapping, program = map_network(fixed, chip)
    used, needs = resources(program, chip), Needs.of(Outline.of(fixed), chip)
    assert program.n_cores == cores
    counted = [needs.need(held, needs.copies(mapping.cores, needs.sizes)) for held in mapping.cores]
    name = "levels" if levels else "settings"
    assert [getattr(need, name) for need in counted] == getattr(used, name).tolist()
    assert max(getattr(used, name)) <= 5
    tight = values | {limit: {"value": 4}}
    smaller = LOIHI.model_copy(update={"limits": type(LOIHI.limits).model_validate(tight)})
    broken = used.violations(program, smaller)
    assert bool(broken) == (max(getattr(used, name)) > 4)
    assert all(v.limit == limit and v.have == 4 for v in broken)


def test_populations_share_the_settings_that_they_have_in_common():
    values = LOIHI.limits.model_dump() | {"neuron_profiles_per_core": {"value": 1}}
    chip = LOIHI.model_copy(update={"limits": type(LOIHI.limits).model_validate(values)})
    alike = net({"in": 4}, {"a": 3, "b": 3}, ("in", "a", dense(3, 4)), ("in", "b", dense(3, 4)))
    first, second = alike.populations
    other = replace(alike, populations=(first, replace(second, tau_mem_s=5e-3)))
    assert [mapped(network, chip)[1].n_cores for network in (alike, other)] == [1, 2]
