import math
from dataclasses import replace

import numpy as np
import pytest
from networks import random_network

from emulator.chip_file import load_chip
from emulator.neuron import KINDS
from mapping.deploy import map_network
from mapping.errors import CapacityError, UnsupportedNodeError
from mapping.linear import Dense, matrix
from mapping.mapping import resources
from mapping.network import Input, Network, Population, Projection
from mapping.nir_import import import_nir
from mapping.packing import list_words, synapse_bits
from mapping.quantise import quantise
from mapping.rounding import bias_integers

LOIHI = load_chip("loihi")


def chain(*sizes, weight=None, rng=None):
    """Dense layers one after another."""
    rng = rng or np.random.default_rng(1)
    layers = [
        Population(name=f"layer{k}", shape=(n,), threshold=1.0) for k, n in enumerate(sizes[1:])
    ]
    names = ["in", *(p.name for p in layers)]
    projections = tuple(
        Projection(
            source=names[k], target=names[k + 1],
            linear=Dense(weight=rng.normal(0, 0.3, (sizes[k + 1], sizes[k])), pre_shape=(sizes[k],), post_shape=(sizes[k + 1],)),
        )
        for k in range(len(sizes) - 1)
    )  # fmt: skip
    return Network(
        dt_s=1e-3, inputs=(Input(name="in", shape=(sizes[0],)),), populations=tuple(layers),
        projections=projections, outputs=(names[-1],),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("n", "sparse", "words"),
    [(200, False, 29), (200, True, 54), (512 // 4, False, 18), (0, False, 0)],
)
def test_words_of_a_list_by_hand(n, sparse, words):
    """Figures worked out by hand from the formula: 200 = 3 x 64 + 8."""
    bits = synapse_bits(LOIHI, n_targets=200 if sparse else None)
    assert int(list_words(n, bits, LOIHI)) == words


def test_a_dense_200_by_200_takes_371200_bits():
    _, program = map_network(quantise(chain(200, 200), LOIHI), LOIHI)
    used = resources(program, LOIHI)
    assert used.synapse_words.tolist() == [5800]
    assert used.in_axons.tolist() == [200]
    assert used.out_axons.tolist() == [0]


@pytest.mark.parametrize(
    ("sizes", "cores"), [((784, 512, 10), 5), ((768, 768, 768), 12), ((1000, 1000, 1000), 18)]
)
def test_dense_chains_need_few_cores(sizes, cores):
    _, program = map_network(quantise(chain(*sizes), LOIHI), LOIHI)
    assert program.n_cores <= cores
    assert resources(program, LOIHI).violations(program, LOIHI) == ()


def test_small_layers_share_a_core():
    _, program = map_network(quantise(chain(20, 20, 20, 10), LOIHI), LOIHI)
    assert program.n_cores == 1


def slow_counts(mapping, chip):
    """In-axons, out-axons and words of each core, neuron by neuron, from the mapping alone."""
    fixed = mapping.fixed
    home = {
        (part.population, int(n)): core
        for core, held in enumerate(mapping.cores)
        for part in held
        for n in part.neurons
    }
    width = [sum(part.neurons.size for part in held) for held in mapping.cores]
    lists = {}
    for p in fixed.projections:
        dense = isinstance(p.linear, Dense)
        for post, row in enumerate(matrix(p.linear)):
            for pre in range(row.size) if dense else np.flatnonzero(row):
                core = home[p.target, post]
                key = (p.source, int(pre), core, p.exponent, dense, p.delay, p.target)
                lists[key] = lists.get(key, 0) + 1
    n = len(mapping.cores)
    words, axons = np.zeros(n, int), [set() for _ in range(n)]
    sent = [set() for _ in range(n)]
    for (source, pre, core, exponent, dense, delay, _), size in lists.items():
        bits = 8 + (0 if delay == 0 else 3 if delay < 8 else 6)
        if not dense:
            need = max(width[core] - 1, 0).bit_length()
            bits += next(b for b in (0, 6, 7, 8, 9, 10, 11, 12) if b >= need)
        blocks = [min(64, size - at) for at in range(0, size, 64)]
        words[core] += sum(math.ceil((block * bits + 10) / 64) for block in blocks)
        axons[core].add((source, pre, exponent))
        if (source, pre) in home:
            sent[home[source, pre]].add((source, pre, exponent, core))
    return [len(a) for a in axons], [len(s) for s in sent], words.tolist()


@pytest.mark.parametrize("neurons_per_core", [7, 20, 1024])
def test_counts_equal_a_slow_recount(rng, neurons_per_core):
    limits = LOIHI.limits.model_copy(
        update={
            "neurons_per_core": LOIHI.limits.neurons_per_core.model_copy(
                update={"value": neurons_per_core}
            )
        }
    )
    chip = LOIHI.model_copy(update={"limits": limits})
    mapping, program = map_network(quantise(random_network(rng), chip), chip)
    used = resources(program, chip)
    in_axons, out_axons, words = slow_counts(mapping, chip)
    assert used.in_axons.tolist() == in_axons
    assert used.out_axons.tolist() == out_axons
    assert used.synapse_words.tolist() == words
    assert used.compartments.max() <= neurons_per_core


def test_every_neuron_lies_on_exactly_one_core(rng):
    mapping, program = map_network(quantise(random_network(rng), LOIHI), LOIHI)
    for p in program.populations:
        assert sorted(program.neurons_of(p.name)) == sorted(set(program.neurons_of(p.name)))
    assert program.n_neurons == sum(p.size for p in mapping.fixed.populations)


def test_the_real_convolutional_network_fits_21_cores(shared):
    path = shared / "networks" / "nir_scnn_nmnist" / "cnn_sinabs.nir"
    network = import_nir(path, dt_s=1e-3, reset="zero")
    _, program = map_network(quantise(network, LOIHI), LOIHI)
    used = resources(program, LOIHI)
    assert program.n_cores <= 21
    assert used.violations(program, LOIHI) == ()


def test_all_that_does_not_fit_is_told_at_once():
    delayed = chain(5000, 30, 20)
    first, second = delayed.projections
    network = replace(delayed, projections=(first, replace(second, delay_s=0.07)))
    with pytest.raises(CapacityError) as caught:
        map_network(quantise(network, LOIHI), LOIHI)
    text = str(caught.value)
    assert "layer0→layer1: a delay of 70 ticks, but loihi delays by at most 62" in text
    assert "'layer0': neuron 0 hears 5,000 sources, but a core of loihi takes 4,096" in text
    assert len(caught.value.violations) == 2


def test_too_many_cores_are_counted():
    with pytest.raises(CapacityError, match=r"cores needed \('layer0' \d+, .*but loihi has 128"):
        map_network(quantise(chain(10, 4000, 4000, 4000), LOIHI), LOIHI)


def test_a_reset_that_the_chip_lacks_is_refused(rng):
    arithmetic = LOIHI.arithmetic.model_copy(update={"resets": {"zero": 1}})
    chip = LOIHI.model_copy(update={"arithmetic": arithmetic})
    with pytest.raises(
        UnsupportedNodeError, match=r"reset 'subtract', but loihi has zero.*--reset"
    ):
        quantise(random_network(rng, reset="subtract"), chip)


@pytest.mark.parametrize("weight_bits", [2, 4, 8])
def test_rounding_errors_stay_within_half_a_step(rng, weight_bits):
    numbers = LOIHI.numbers.model_copy(update={"weight_bits": weight_bits})
    chip = LOIHI.model_copy(update={"numbers": numbers})
    network = random_network(rng)
    fixed = quantise(network, chip)
    limit = 2 ** (weight_bits - 1) - 1
    for p, q in zip(network.projections, fixed.projections, strict=True):
        population = fixed.population(q.target)
        unit = 2.0 ** (population.sum_shift + q.shift + chip.numbers.input_shift)
        mantissa = matrix(q.linear)
        assert np.abs(mantissa).max() <= limit
        error = np.abs(mantissa * unit - matrix(p.linear) * population.scale)
        assert error.max() <= 0.5 * unit * (1 + 1e-9)
        assert np.abs(mantissa).max() > limit / 2
    for p in network.populations:
        q = fixed.population(p.name)
        if p.threshold is not None:
            exact = (p.threshold - p.v_reset) * q.scale
            assert np.abs(q.threshold - exact).max() <= 32 * (1 + 1e-9)
            assert q.threshold.max() <= (2**17 - 1) * 64
    assert {e.tensor for e in fixed.errors} >= {"in→conv weights", "conv threshold", "middle bias"}
    assert not any(e.n_clipped for e in fixed.errors)


def test_a_shared_threshold_is_exact():
    fixed = quantise(chain(20, 20), LOIHI)
    population = fixed.populations[0]
    assert population.threshold[0] == pytest.approx(population.scale, rel=1e-12)


def test_biases_keep_to_mantissa_and_exponent(rng):
    exact = np.concatenate([rng.normal(0, 1e4, 500), [0.0, 4095.4, 4096.0, -(4095 << 7), 1e9]])
    rounded = bias_integers(exact, LOIHI)
    for value, given in zip(rounded.tolist(), exact.tolist(), strict=True):
        exponent = next(e for e in range(8) if abs(value) <= 4095 << e and value % (1 << e) == 0)
        inside = min(max(given, -(4095 << 7)), 4095 << 7)
        assert abs(value - inside) <= 2 ** max(
            exponent, math.ceil(math.log2(max(abs(inside) / 4095, 1)))
        )


def test_rows_are_of_the_kind_that_their_weights_are_given_in(rng):
    """Convolution into conv, a list into middle, matrices between all others; by source and target."""
    _, program = map_network(quantise(random_network(rng), LOIHI), LOIHI)
    names = [p.name for p in program.populations]
    first = program.core_start[program.row_core]
    at = np.where(
        program.row_dense, program.row_target,
        first + program.target[np.where(program.row_dense, 0, program.row_target)],
    )  # fmt: skip
    into = program.population[at]
    source = program.row_source
    inputs = source >= program.n_neurons
    out_of = np.where(inputs, -1, program.population[np.where(inputs, 0, source)])
    found = {
        (names[a] if a >= 0 else "in", names[b]): {KINDS[k] for k in program.row_kind[mine]}
        for a, b in {(int(a), int(b)) for a, b in zip(out_of, into, strict=True)}
        if np.any(mine := (out_of == a) & (into == b))
    }
    assert found == {
        ("in", "conv"): {"convolution"}, ("conv", "middle"): {"sparse"},
        ("middle", "middle"): {"dense"}, ("middle", "out"): {"dense"},
        ("out", "middle"): {"dense"}, ("middle", "sum"): {"dense"}, ("in", "out"): {"dense"},
    }  # fmt: skip
