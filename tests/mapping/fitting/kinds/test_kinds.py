"""Counting for each kind of core, against hand counts and slow recounts."""

import re
from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest

from emulator.chip_file import load_chip
from emulator.errors import ChipDoesNotRunError, ProgramError
from mapping.deploy import map_network
from mapping.fitting.judging import judge
from mapping.fitting.kinds.count import runs_that_fit
from mapping.fitting.kinds.counters import COUNTERS, count
from mapping.fitting.kinds.crossbar import axons_of_a_source, count_crossbars, splitters
from mapping.fitting.kinds.layers import layer_of, matched
from mapping.linear import Convolution, Dense, Sparse
from mapping.network import Input, Network, Population, Projection
from mapping.outline import Outline, OutlineProjection
from mapping.quantise import quantise

SPECK, SPINNAKER2, LOIHI2 = (load_chip(name) for name in ("speck", "spinnaker2", "loihi2"))
TRUENORTH, RANC = load_chip("truenorth"), load_chip("ranc")


def dense(n_post, n_pre, pre_shape=None):
    return Dense(
        weight=np.ones((n_post, n_pre)), pre_shape=pre_shape or (n_pre,), post_shape=(n_post,)
    )


def conv(pre, c_out, kernel=3, stride=1, padding=1, **how):
    return Convolution(
        kernel=np.ones((c_out, pre[0] // how.get("groups", 1), kernel, kernel)), pre_shape=pre,
        stride=(stride,) * 2, padding=((padding,) * 2,) * 2,
        dilation=(how.pop("dilation", 1),) * 2, **how,
    )  # fmt: skip


def outline(chip, inputs, *layers, delay=0):
    """Layers (name, source, linear), each a population of its own unless named again."""
    shapes = {name: linear.post_shape for name, _, linear in layers}
    network = Network(
        dt_s=1e-3,
        inputs=tuple(Input(name=k, shape=v) for k, v in inputs.items()),
        populations=tuple(
            Population(name=k, shape=v, threshold=1.0, reset="zero") for k, v in shapes.items()
        ),
        projections=tuple(
            Projection(source=source, target=name, linear=linear, delay_s=delay * 1e-3)
            for name, source, linear in layers
        ),
        outputs=(layers[-1][0],),
    )
    return Outline.before_rounding(network, chip, direct=frozenset())


def limits_of(found):
    return [violation.limit for violation in found.violations]


def test_every_kind_of_core_is_counted():
    for name in ("loihi", "loihi2", "ranc", "truenorth", "speck", "spinnaker2"):
        chip = load_chip(name)
        assert chip.core in COUNTERS
        found = count(outline(chip, {"in": (1, 4, 4)}, ("a", "in", conv((1, 4, 4), 2))), chip)
        if chip.core != "crossbar":
            assert found.violations == (), name
        assert 0 < found.memory_bits <= found.memory_bits_there


@pytest.mark.parametrize("name", ["truenorth", "ranc", "speck", "spinnaker2", "loihi2"])
def test_layers_are_told_for_every_kind_of_core_and_add_up(name):
    """Two layers, the second so wide that it takes several cores where a core is small."""
    chip = load_chip(name)
    first = conv((1, 16, 16), 2, kernel=2, stride=2, padding=0)
    layers = [("a", "in", first), ("b", "a", conv((2, 8, 8), 12, kernel=1, padding=0))]
    found = judge(outline(chip, {"in": (1, 16, 16)}, *layers), chip)
    assert found.fits == (name != "ranc")  # which has but 12 cores
    assert [layer.population for layer in found.layers] == ["a", "b"]
    assert [layer.neurons for layer in found.layers] == [128, 768]
    assert [layer.synapses for layer in found.layers] == [128 * 4, 768 * 2]
    if chip.core == "crossbar":
        (splitters,) = [note for note in found.notes if "splitters" in note]
        extra = int(splitters.split()[0])
        per_core = chip.limit("in_axons_per_core") * chip.limit("neurons_per_core")
    else:
        extra = per_core = 0
    if chip.core != "lists" or chip.packing is not None:
        bits = sum(layer.bits for layer in found.layers) + extra * per_core
        assert bits == found.memory_bits
    if chip.core != "lists":  # layers share no core
        assert sum(layer.cores for layer in found.layers) + extra == found.n_cores
    for layer in found.layers:
        assert (layer.closed is None) == (layer.cores == 1)
        assert layer.most * layer.cores >= layer.neurons
        assert re.search(r"[\d,]+ of [\d,]+", layer.arithmetic)


def test_layers_that_fit_no_core_are_told_with_the_numbers():
    for chip, said in (
        (load_chip("truenorth"), r"hear 2,000 sources × \d+ axons = [\d,]+ of 256 axons"),
        (SPECK, r"2,000 channels × 2\^\(0 \+ 6\) = 128,000 of [\d,]+ words of kernels.*no core"),
    ):
        found = judge(outline(chip, {"in": (2000,)}, ("a", "in", dense(50, 2000))), chip)
        assert not found.fits
        assert re.search(said, found.layers[0].arithmetic)


@pytest.mark.parametrize("chip", [SPECK, SPINNAKER2, LOIHI2], ids=lambda c: c.name)
def test_chips_that_do_not_run_say_why_and_what_runs(chip):
    network = Network(
        dt_s=1e-3, inputs=(Input(name="in", shape=(2,)),),
        populations=(Population(name="a", shape=(2,), threshold=1.0),),
        projections=(Projection(source="in", target="a", linear=dense(2, 2)),), outputs=("a",),
    )  # fmt: skip
    message = f"chip {chip.name}: .*nothing runs on it: .*take one of generic, loihi, .*xylo-v2"
    with pytest.raises(ChipDoesNotRunError, match=message):
        quantise(network, chip)
    fixed = quantise(network, load_chip("loihi"))
    with pytest.raises(ChipDoesNotRunError, match=message):
        map_network(fixed, chip)
    _, program = map_network(fixed, load_chip("loihi"))
    with pytest.raises(ProgramError, match=f"nothing runs on {chip.name}: {chip.why}"):
        program.check(chip)


@pytest.mark.parametrize("seed", range(20))
def test_runs_are_the_longest_that_fit(seed):
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, 9, 60)
    room, most = int(rng.integers(5, 40)), int(rng.integers(1, 20))

    def fits(first, end):
        return bool(sizes[first:end].sum() <= room)

    runs, at = runs_that_fit(60, most, fits), 0
    for run in runs:
        assert run[0] == at
        at = int(run[-1]) + 1
        assert run.size == 1 or fits(run[0], at)
        assert at == 60 or run.size == most or not fits(int(run[0]), at + 1)
    assert at == 60


# The documentation's own example: 16 channels to 32, 3 x 3 on 64 x 64.
def test_words_of_a_layer_are_those_of_the_documentation():
    linear = conv((16, 64, 64), 32)
    layer = layer_of(OutlineProjection(source="in", target="a", linear=linear, delay=0, format=0))
    assert layer.words == (8 * 1024, 128 * 1024, 32)
    found = count(outline(SPECK, {"in": (16, 64, 64)}, ("a", "in", linear)), SPECK)
    (broken,) = found.violations
    assert (broken.limit, broken.where) == ("layers.neuron_words", "population 'a'")
    assert (broken.need, broken.have) == (128 * 1024, 64 * 1024)
    assert "131,072 words of neuron memory, but speck has 65,536 at most" in str(broken)


@pytest.mark.parametrize(
    ("linear", "limit"),
    [
        (conv((2, 32, 32), 4, kernel=16, padding=7), None),
        (conv((2, 33, 33), 4, kernel=17, padding=7), "layers.kernel_extent_max"),
        (conv((2, 32, 32), 4, kernel=8, dilation=3, padding=7), "layers.kernel_extent_max"),
        (conv((2, 128, 128), 2, stride=2), None),
        (conv((2, 129, 129), 2, stride=4), "layers.input_extent_max"),
        (conv((1, 66, 66), 1, padding=0), None),
        (conv((1, 67, 67), 1, padding=0), "layers.output_extent_max"),
        (conv((2, 16, 16), 4, stride=3), "layers.strides"),
        (conv((2, 16, 16), 4, kernel=2, padding=8), "layers.padding_max"),
        (conv((2, 16, 16), 4, kernel=2, padding=7), None),
        (dense(10, 1024), None),
        (dense(10, 1025), "layers.channels_max"),
        (conv((1024, 2, 2), 2, kernel=1, padding=0), None),
    ],
)
def test_limits_of_a_layer_hold_on_either_side(linear, limit):
    found = count(outline(SPECK, {"in": linear.pre_shape}, ("a", "in", linear)), SPECK)
    assert limits_of(found) == ([] if limit is None else [limit])
    if limit is None:
        assert set(found.placed) == {"a"}


def test_kernels_are_addressed_by_bits_and_groups_are_zeros():
    def words(linear):
        return layer_of(
            OutlineProjection(source="in", target="a", linear=linear, delay=0, format=0)
        ).words[0]

    assert words(conv((4, 8, 8), 8)) == 4 * 16 * 8
    assert words(conv((4, 8, 8), 9)) == 4 * 16 * 16
    assert words(conv((4, 8, 8), 8, groups=4)) == 4 * 16 * 8
    assert words(dense(10, 6 * 5 * 5, (6, 5, 5))) == 6 * 32 * 16


def test_a_layer_that_fits_everywhere_gives_way_to_one_that_does_not():
    """Core 2 alone is large enough for two kinds of layers: the matching must find the way."""
    assert matched({"a": [0, 1], "b": [0], "c": [1, 2]}) == {"b": 0, "a": 1, "c": 2}
    assert len(matched({"a": [0], "b": [0]})) == 1


@pytest.mark.parametrize("seed", range(20))
def test_matching_places_as_many_as_any_order_could(seed):
    rng = np.random.default_rng(seed)
    choices = {name: sorted(np.flatnonzero(rng.random(5) < 0.4).tolist()) for name in "abcde"}

    def greedy(order):
        taken = set()
        for name in order:
            free = [c for c in choices[name] if c not in taken]
            taken |= set(free[:1])
        return len(taken)

    # The best of first choices in every order of names and numbers is the largest matching.
    best = max(
        sum(number in choices[name] for name, number in zip("abcde", numbers, strict=True))
        for numbers in permutations(range(5))
    )
    found = matched(choices)
    assert len(set(found.values())) == len(found) == best >= max(map(greedy, permutations("abcde")))
    assert all(number in choices[name] for name, number in found.items())


def test_more_layers_than_cores_and_too_many_destinations_are_told_together():
    chain = [("l0", "in", conv((1, 8, 8), 1))]
    chain += [(f"l{k}", f"l{k - 1}", conv((1, 8, 8), 1)) for k in range(1, 9)]
    found = count(outline(SPECK, {"in": (1, 8, 8)}, *chain), SPECK)
    assert (found.cores, limits_of(found)) == (9, [])
    assert sorted(core for (core,) in found.placed.values()) == list(range(9))
    more = [*chain, ("l9", "l0", conv((1, 8, 8), 1)), ("l10", "l0", conv((1, 8, 8), 1))]
    found = count(outline(SPECK, {"in": (1, 8, 8)}, *more), SPECK)
    assert limits_of(found) == ["layers.destinations_max", "cores"]
    destinations, cores = found.violations
    assert (destinations.need, destinations.have) == (3, 2)
    assert (cores.need, cores.have) == (11, 9)


def test_lists_two_kernels_and_delays_are_no_layers():
    lists = Sparse(
        row=np.arange(5), target=np.arange(4), weight=np.ones(4), pre_shape=(4,), post_shape=(4,)
    )
    found = count(outline(SPECK, {"in": (4,)}, ("a", "in", lists), delay=2), SPECK)
    assert limits_of(found) == ["delay_max", "layers.kernels"]
    twice = outline(
        SPECK, {"in": (4,), "on": (4,)}, ("a", "in", dense(4, 4)), ("a", "on", dense(4, 4))
    )
    assert limits_of(count(twice, SPECK)) == ["layers.kernels"]


@pytest.mark.parametrize(
    ("bits", "axons"), [(1, 1), (2, 2), (3, 3), (4, 4), (5, 6), (6, 8), (8, 12)]
)
def test_axons_of_a_source_are_the_fewest(bits, axons):
    """By trying all: digits (m + 1) of four types must make 2**bits weights."""
    assert axons_of_a_source(bits, 4) == axons
    fewest = min(sum(m) for m in np.ndindex(*(5,) * 4) if np.prod(np.array(m) + 1) >= 2**bits)
    assert axons == fewest


def test_splitters_are_trees():
    assert [splitters(n, 256) for n in (0, 1, 2, 256, 257)] == [0, 0, 2, 256, 257 + 2]


@pytest.mark.parametrize(("n_pre", "fits"), [(256, True), (257, False)])
def test_a_neuron_of_a_crossbar_hears_as_many_sources_as_there_are_axons(n_pre, fits):
    found = count_crossbars(
        outline(RANC, {"in": (n_pre,)}, ("a", "in", dense(256, n_pre))), RANC, weight_bits=1
    )
    assert limits_of(found) == ([] if fits else ["in_axons_per_core"])
    if not fits:
        assert (found.violations[0].need, found.violations[0].have) == (257, 256)
        assert "no sum over several cores exists; hear at most 256 sources" in str(
            found.violations[0]
        )


def test_crossbars_of_a_chain_with_splitters_by_hand():
    """512 neurons take two cores; each of 100 hidden ones is wanted on both, so it is split."""
    network = outline(RANC, {"in": (64,)}, ("a", "in", dense(100, 64)), ("b", "a", dense(512, 100)))
    found = count_crossbars(network, RANC, weight_bits=1)
    assert found.cores == 1 + 2 + 1  # 100 x 2 neurons of splitters on one core
    assert limits_of(found) == []
    eight = count(network, RANC)
    assert limits_of(eight) == ["in_axons_per_core"] * 2
    assert eight.violations[1].need == 100 * 12


@pytest.mark.parametrize("more", [0, 1])
def test_a_processor_is_filled_to_the_byte(more):
    rules = SPINNAKER2.processors
    room = rules.memory_bytes.value - rules.program_bytes.value
    n_pre, n = 10, 100
    need = n * rules.neuron_bytes.value + n_pre * (rules.row_bytes.value + n * 4)
    program = rules.program_bytes.model_copy(
        update={"value": rules.memory_bytes.value - need + more}
    )
    assert need < room
    chip = SPINNAKER2.model_copy(
        update={"processors": rules.model_copy(update={"program_bytes": program})}
    )
    found = count(outline(chip, {"in": (n_pre,)}, ("a", "in", dense(n, n_pre))), chip)
    assert (found.cores, limits_of(found)) == (1 + more, [])


def test_a_processor_too_small_for_a_neuron_and_a_chip_with_too_few():
    wide = outline(SPINNAKER2, {"in": (9000,)}, ("a", "in", dense(1, 9000)))
    (broken,) = count(wide, SPINNAKER2).violations
    assert broken.limit == "processors.memory_bytes"
    assert broken.need == 32768 + 32 + 9000 * (8 + 4)
    many = outline(SPINNAKER2, {"in": (1,)}, ("a", "in", dense(152 * 1024 + 1, 1)))
    found = count(many, SPINNAKER2)
    assert (found.cores, limits_of(found)) == (153, ["cores"])


def test_routing_entries_are_counted_by_sending_processors():
    entries = SPINNAKER2.limits.model_dump() | {"routing_entries_per_router": {"value": 3}}
    few = SPINNAKER2.model_copy(update={"limits": type(SPINNAKER2.limits).model_validate(entries)})
    for n, limits in ((2048, []), (2049, ["routing_entries_per_router"])):
        network = outline(few, {"in": (2,)}, ("a", "in", dense(n, 2)), ("b", "a", dense(1, n)))
        assert limits_of(count(network, few)) == limits


def with_memory(n_bytes):
    shared = LOIHI2.shared.model_copy(
        update={"memory_bytes": LOIHI2.shared.memory_bytes.model_copy(update={"value": n_bytes})}
    )
    return LOIHI2.model_copy(update={"shared": shared})


def test_shared_memory_is_filled_to_the_byte():
    """200 x 200, by hand: 29 words a source, 200 neurons, 200 in-axons, none go out."""
    network = outline(LOIHI2, {"in": (200,)}, ("a", "in", dense(200, 200)))
    need = 200 * 29 * 8 + 200 * 8 + 200 * 4
    for n_bytes, cores in ((need, 1), (need - 1, 2)):
        found = count(network, with_memory(n_bytes))
        assert (found.cores, limits_of(found)) == (cores, [])


def test_a_neuron_larger_than_the_shared_memory_is_named():
    network = outline(LOIHI2, {"in": (200,)}, ("a", "in", dense(3, 200)))
    need = 200 * 8 + 8 + 200 * 4
    assert limits_of(count(network, with_memory(need))) == []
    (broken,) = count(network, with_memory(need - 1)).violations
    assert (broken.limit, broken.need, broken.have) == ("shared.memory_bytes", need, need - 1)


def test_shared_memory_is_repaired_where_out_axons_come_late():
    """Feedback: how many cores a neuron sends to is known only when all are cut."""
    network = outline(LOIHI2, {"in": (4,)}, ("a", "in", dense(400, 4)), ("a", "a", dense(400, 400)))
    found = count(network, with_memory(20_000))
    assert limits_of(found) == []
    assert found.memory_bits <= found.cores * 8 * 20_000


def test_readouts_have_no_place_among_layers():
    own = outline(SPECK, {"in": (4,)}, ("a", "in", dense(4, 4)))
    quiet = replace(own, populations=(replace(own.populations[0], spiking=False),))
    assert limits_of(count(quiet, SPECK)) == ["spiking"]


def greedy_runs(n, most, fits):
    """Slow: lengthen a run one neuron at a time."""
    runs, first = [], 0
    while first < n:
        end = first + 1
        while end < n and end - first < most and fits(first, end + 1):
            end += 1
        runs.append((first, end))
        first = end
    return runs


@pytest.mark.parametrize("seed", range(10))
def test_random_lists_are_counted_like_by_a_slow_recount(seed):
    """Feedback over lists with repeats: crossbars with splitters, and processors."""
    rng = np.random.default_rng(seed)
    n, n_in = int(rng.integers(20, 120)), int(rng.integers(5, 60))
    tables = [rng.random((n, m)) < rng.uniform(0.02, 0.2) for m in (n_in, n)]
    lists = [
        Sparse(
            row=np.concatenate([[0], np.cumsum(table.sum(0))]), target=np.nonzero(table.T)[1],
            weight=np.ones(table.sum()), pre_shape=(table.shape[1],), post_shape=(n,),
        )
        for table in tables
    ]  # fmt: skip
    network = outline(RANC, {"in": (n_in,)}, ("a", "in", lists[0]), ("a", "a", lists[1]))
    both = np.concatenate(tables, axis=1)

    axons, room = RANC.limit("in_axons_per_core"), RANC.limit("neurons_per_core")
    runs = greedy_runs(n, room, lambda a, b: 3 * both[a:b].any(0).sum() <= axons)
    wanted = 3 * sum(tables[1][a:b].any(0).astype(int) for a, b in runs)
    trees = [splitters(int(d), room) for d in wanted]
    found = count_crossbars(network, RANC, weight_bits=3)
    assert len(runs) + -(-sum(trees) // room) <= found.cores <= len(runs) + len(trees)

    rules = SPINNAKER2.processors
    few = rules.model_copy(
        update={"memory_bytes": rules.memory_bytes.model_copy(update={"value": 32768 + 2500})}
    )

    def size(a, b):
        return (
            32768
            + 32 * (b - a)
            + 8 * sum(int(t[a:b].any(0).sum()) for t in tables)
            + 4 * int(both[a:b].sum())
        )

    runs = greedy_runs(n, 1024, lambda a, b: size(a, b) <= 32768 + 2500)
    found = count(network, SPINNAKER2.model_copy(update={"processors": few}))
    assert found.cores == len(runs)
    assert found.memory_bits == 8 * sum(size(a, b) for a, b in runs)
