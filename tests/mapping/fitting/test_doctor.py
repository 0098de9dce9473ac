"""What does not fit, and what makes it fit: each fix is applied again here, and mapped."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from emulator.chip import Chip
from emulator.chip_file import load_chip
from mapping.deploy import map_network
from mapping.errors import CapacityError, UnsupportedNodeError
from mapping.fitting.changes import (
    UnchangeableError,
    narrowed,
    pruned,
    side_by_side,
    with_weight_bits,
)
from mapping.fitting.doctor import Fix, Search, examine_patient, fixes, search
from mapping.fitting.judging import judge
from mapping.fitting.patient import Options, Patient
from mapping.linear import Convolution, Dense, Sparse, constant, sparse
from mapping.mapping import resources
from mapping.network import Input, Network, Population, Projection
from mapping.outline import Outline
from mapping.pins import Pin
from mapping.quantise import quantise
from mapping.relayed import relayed

LOIHI = load_chip("loihi")


def chip_of(cores=(4, 2), **limits):
    """A small Loihi: tiles of one core each."""
    whole = LOIHI.model_dump()
    whole["mesh"] |= {"width": cores[0], "height": cores[1], "cores_per_router": 1}
    for name, value in limits.items():
        whole["limits"][name] = {"value": value}
    return Chip.model_validate(whole | {"name": "small"})


def dense(n_post, n_pre):
    return Dense(weight=np.ones((n_post, n_pre)), pre_shape=(n_pre,), post_shape=(n_post,))


def chain(*sizes, delay_s=0.0, reset="zero", dt_s=1e-3):
    names = ["in", *(f"l{k}" for k in range(len(sizes) - 1))]
    return Network(
        dt_s=dt_s,
        inputs=(Input(name="in", shape=(sizes[0],)),),
        populations=tuple(
            Population(name=k, shape=(n,), threshold=1.0, reset=reset, tau_mem_s=0.05)
            for k, n in zip(names[1:], sizes[1:], strict=True)
        ),
        projections=tuple(
            Projection(source=s, target=t, linear=dense(m, n), delay_s=delay_s * (s != "in"))
            for s, t, n, m in zip(names, names[1:], sizes, sizes[1:], strict=False)
        ),
        outputs=(names[-1],),
    )


def with_options(network, options):
    populations = network.populations
    if options.reset is not None:
        populations = tuple(replace(p, reset=options.reset) for p in populations)
    return replace(network, dt_s=options.dt_s or network.dt_s, populations=populations)


def outline_of(network, chip, options):
    direct = frozenset(p.name for p in network.inputs if options.direct)
    return Outline.of(quantise(with_options(network, options), chip, direct=direct))


def patient_of(network, *, options=None, pins=()):
    return Patient(
        network=lambda changed: with_options(network, changed),
        outline=lambda chip, changed: outline_of(network, chip, changed),
        options=options or Options(),
        pins=pins,
    )


def treated(network, chip, *, others=(), **how):
    patient = patient_of(network, **how)
    found = examine_patient(patient, chip)
    assert not found.fits
    return fixes(patient, found, others)


def loaded(linear):
    """The connections of one map with weights of 1, so that none is rounded to 0."""
    if isinstance(linear, Dense):
        return dense(*linear.weight.shape)
    if isinstance(linear, Convolution):
        return replace(linear, kernel=(linear.kernel != 0) * 1.0)
    return replace(linear, weight=np.ones(linear.n_synapses))


def maps(network, chip, *applied, options=None):
    """Apply changes to the network itself, load it, and say whether that works.

    Independent of the doctor but for the instance that pruning draws.
    """
    options = options or Options()
    for change in applied:
        kind = change["kind"]
        if "+" in kind:
            return maps(network, chip, *change["both"], options=options)
        if kind == "tick":
            options = replace(options, dt_s=change["dt_s"])
        elif kind == "reset":
            options = replace(options, reset=change["reset"])
        elif kind == "input":
            options = replace(options, direct=change["encoding"] == "direct")
        elif kind == "bits":
            numbers = chip.numbers.model_copy(update={"weight_bits": change["weight_bits"]})
            chip = chip.model_copy(update={"numbers": numbers})
        elif kind == "chips":
            fabric = chip.fabric.model_dump() | {
                "chips_x": change["chips_x"], "off_chip_hop_ps": {"value": 1},
            }  # fmt: skip
            chip = Chip.model_validate(chip.model_dump() | {"fabric": fabric})
        elif kind == "chip":
            chip = load_chip(change["chip"])
        elif kind == "narrow":
            network = cut_down(network, change["widths"])
        elif kind == "prune":
            network = thinned(network, change)
        else:
            raise AssertionError(kind)
    direct = frozenset(p.name for p in network.inputs if options.direct)
    try:
        map_network(quantise(with_options(network, options), chip, direct=direct), chip)
    except (CapacityError, UnsupportedNodeError):
        return False
    return True


def cut_down(network, widths):
    """Leave out the last neurons of populations, by slicing matrices."""
    sizes = {p.name: p.size for p in network.parts} | widths
    return replace(
        network,
        populations=tuple(
            Population(name=p.name, shape=(sizes[p.name],), threshold=1.0, reset=p.reset)
            for p in network.populations
        ),
        projections=tuple(
            replace(p, linear=dense(sizes[p.target], sizes[p.source])) for p in network.projections
        ),
    )


def thinned(network, change):
    names = None if change["projection"] is None else {change["projection"]}
    outline = Outline.before_rounding(network, LOIHI, direct=frozenset())
    drawn = pruned(outline, change["share"], names=names, seed=change["seed"])
    return replace(
        network,
        projections=tuple(
            replace(p, linear=loaded(q.linear))
            for p, q in zip(network.projections, drawn.projections, strict=True)
        ),
    )


def of_kind(found, kind):
    return [fix for fix in found if fix.kind == kind]


SMALL = chip_of((2, 2), synapse_words_per_core=1024)
CHAIN = chain(150, *[200] * 4, 10)


@pytest.fixture(scope="module")
def chain_fixes():
    return treated(CHAIN, SMALL, others=[load_chip("generic"), load_chip("xylo-v2")])


def test_every_fix_of_a_chain_maps(chain_fixes):
    assert not maps(CHAIN, SMALL)
    assert {fix.kind for fix in chain_fixes} >= {"narrow", "prune", "chips", "chip"}
    for fix in chain_fixes:
        assert maps(CHAIN, SMALL, fix.apply), fix.change


def test_the_smallest_change_is_told_first(chain_fixes):
    sizes = [fix.size for fix in chain_fixes]
    assert sizes == sorted(sizes)
    assert all(0 < size <= 1 for size in sizes)


def test_the_next_smaller_change_is_too_small(chain_fixes):
    tried = 0
    for fix in chain_fixes:
        smaller = one_smaller(fix)
        if smaller is not None:
            tried += 1
            assert not maps(CHAIN, SMALL, smaller), fix.change
    assert tried >= 3


def one_smaller(fix: Fix):
    """The step before a fix, where the test knows it."""
    apply = dict(fix.apply)
    if fix.kind == "chips" and apply["chips_x"] > 2:
        return apply | {"chips_x": apply["chips_x"] - 1}
    if fix.kind == "bits" and apply["weight_bits"] < 7:
        return apply | {"weight_bits": apply["weight_bits"] + 1}
    if fix.kind == "narrow" and len(apply["widths"]) == 1:
        return apply | {"widths": {k: n + 1 for k, n in apply["widths"].items()}}
    if fix.kind == "narrow":
        share = max(apply["widths"].values()) // 2  # of 200, in per cent
        return apply | {"widths": dict.fromkeys(apply["widths"], 2 * (share + 1))}
    if fix.kind == "prune":
        return apply | {"share": round(apply["share"] - 0.01, 2)}
    return None


@pytest.mark.parametrize(
    ("limit", "below", "network", "options"),
    [
        # 784 sources x 20 words per list of 142 targets, on one core
        ("synapse_words_per_core", 784 * 20 - 1, chain(784, 142), Options()),
        ("in_axons_per_core", 783, chain(784, 142), Options()),
        ("neurons_per_core", 141, chain(784, 142), Options()),
        ("neurons_per_core", 283, chain(784, 142, reset="subtract"), Options()),
        ("out_axons_per_core", 141, chain(784, 142, 10), Options()),
        ("out_axons_per_core", 141, chain(784, 142, 10), Options(direct=True)),
    ],
)
def test_both_sides_of_each_limit(limit, below, network, options):
    """One core: what is exactly there fits, one less does not, and every fix maps."""
    wide = {"synapse_words_per_core": 30000}
    patient = patient_of(network, options=options)
    assert examine_patient(patient, chip_of((1, 1), **wide | {limit: below + 1})).fits
    narrow = chip_of((1, 1), **wide | {limit: below})
    found = examine_patient(patient, narrow)
    assert not found.fits
    told = fixes(patient, found)
    assert told
    for fix in told:
        assert maps(network, narrow, fix.apply, options=options), fix.change


def test_a_neuron_that_hears_too_much_is_told_for_each_layer():
    network = chain(100, 90, 80, 5)
    chip = chip_of(in_axons_per_core=60)
    found = examine_patient(patient_of(network), chip)
    assert [(p.limit, p.where, p.need, p.have) for p in found.problems] == [
        ("in_axons_per_core", f"population 'l{k}', neuron 0", n, 60)
        for k, n in enumerate((100, 90, 80))
    ]
    told = fixes(patient_of(network), found)
    for fix in told:
        assert maps(network, chip, fix.apply), fix.change
    # Inputs cannot be narrowed: only fewer synapses, or no synapses from them.
    assert all("prune" in f.kind or "input" in f.kind for f in told)


def test_a_delay_that_is_too_long_asks_for_the_shortest_tick_that_helps():
    network = chain(4, 5, 3, delay_s=0.1)
    found = examine_patient(patient_of(network), LOIHI)
    assert [(p.limit, p.need, p.have) for p in found.problems] == [("delay_max", 100, 62)]
    (fix,) = fixes(patient_of(network), found)
    assert fix.kind == "tick"
    assert maps(network, LOIHI, fix.apply)
    dt = fix.apply["dt_s"]
    assert round(0.1 / dt) == 62
    assert not maps(network, LOIHI, fix.apply | {"dt_s": dt - 0.01e-3})
    assert fix.size == pytest.approx(1 - 1e-3 / dt)


def test_a_delay_just_within_the_limit_fits():
    assert examine_patient(patient_of(chain(4, 5, 3, delay_s=0.062)), LOIHI).fits
    assert not examine_patient(patient_of(chain(4, 5, 3, delay_s=0.063)), LOIHI).fits


def test_another_reset_frees_compartments():
    network = chain(4, 600, 3, reset="subtract")
    chip = chip_of((1, 1))
    told = treated(network, chip)
    (fix,) = of_kind(told, "reset")
    assert fix.apply == {"kind": "reset", "reset": "zero"}
    assert maps(network, chip, fix.apply)


def test_a_reset_that_the_chip_lacks_is_a_broken_limit_beside_all_others():
    xylo = load_chip("xylo-v2")
    network = chain(1100, 20, 3)
    found = examine_patient(patient_of(network), xylo)
    assert [p.limit for p in found.problems] == [
        "arithmetic.resets", "arithmetic.resets", "in_axons_per_core",
    ]  # fmt: skip
    told = fixes(patient_of(network), found)
    assert told
    assert all(fix.kind.count("+") == 1 for fix in told)  # no single change is enough
    for fix in told:
        assert maps(network, xylo, fix.apply), fix.change


def test_relays_are_offered_where_neurons_reach_too_many_cores():
    plain = load_chip("loihi").model_dump()
    plain["limits"] |= {"neurons_per_core": {"value": 8}, "out_axons_per_core": {"value": 5}}
    chip, network = Chip.model_validate(plain), chain(6, 12, 60, 5)
    found = examine_patient(patient_of(network), chip)
    assert "out_axons_per_core" in {told.limit for told in found.problems}
    (fix,) = (fix for fix in fixes(patient_of(network), found) if fix.kind == "relays")
    _, program = map_network(relayed(quantise(network, chip), chip), chip)
    assert program.n_cores == fix.cores
    fitting = load_chip("loihi")
    assert not any(
        fix.kind == "relays" for fix in treated(chain(300, 400, 400, 10), chip_of((1, 1)))
    )
    assert examine_patient(patient_of(network), fitting).fits


def test_a_search_that_ends_early_says_so(monkeypatch):
    network, chip = chain(300, 400, 400, 10), chip_of((1, 1))
    found = examine_patient(patient_of(network), chip)
    whole = search(patient_of(network), found)
    assert whole.complete
    monkeypatch.setattr("mapping.fitting.patient.EFFORT_MOST", 3 * 810)  # three mappings
    cut_off = search(patient_of(network), found)
    assert not cut_off.complete
    assert len(cut_off.fixes) < len(whole.fixes)
    monkeypatch.setattr("mapping.fitting.patient.EFFORT_MOST", 800)  # none, on other chips neither
    others = [load_chip("loihi")]
    assert search(patient_of(network), found, others) == Search(fixes=(), complete=False)


def test_delay_and_cores_together_need_two_changes():
    network = chain(300, 400, 400, 10, delay_s=0.1)
    chip = chip_of((1, 1))
    found = examine_patient(patient_of(network), chip)
    assert {p.limit for p in found.problems} == {"delay_max", "cores"}
    told = fixes(patient_of(network), found)
    assert told
    for fix in told:
        assert fix.kind.startswith("tick+")
        assert fix.size == pytest.approx(
            1 - 1e-3 / fix.apply["both"][0]["dt_s"] + alone(fix, network), abs=1e-9
        )
        assert maps(network, chip, fix.apply), fix.change


def alone(fix, network):
    second = fix.apply["both"][1]
    if second["kind"] == "chips":
        return 1 - 1 / second["chips_x"]
    if second["kind"] == "bits":
        return 1 - second["weight_bits"] / 8
    if second["kind"] == "narrow":
        sizes = {p.name: p.size for p in network.populations}
        return sum(sizes[k] - n for k, n in second["widths"].items()) / sum(sizes.values())
    assert second["kind"] == "prune"
    count = {p.name: p.linear.n_synapses for p in network.projections}
    own = count.get(second["projection"], sum(count.values()))
    return second["share"] * own / sum(count.values())


def test_a_pin_is_let_go_and_the_rest_stays():
    network = chain(784, 200, 10)
    pins = (Pin(population="l0", cores=(3,)), Pin(population="l1", cores=(4,)))
    told = treated(network, LOIHI, pins=pins)
    (fix,) = (f for f in of_kind(told, "unpin") if len(f.apply["populations"]) == 1)
    assert fix.apply["populations"] == ["l0"]
    kept = (pins[1],)
    assert examine_patient(patient_of(network, pins=kept), LOIHI).fits
    assert not any(f.kind == "chip" for f in told)  # cores of another chip are others


def test_what_cannot_shrink_needs_more_chips_or_has_no_fix():
    network, chip = chain(4, 1, 1, 1), chip_of((1, 1), neurons_per_core=1)
    (fix,) = treated(network, chip)
    assert fix.apply == {"kind": "chips", "chips_x": 3, "chips_y": 1}
    assert maps(network, chip, fix.apply)
    torus = chip.fabric.model_copy(update={"topology": "torus"})
    assert treated(network, chip.model_copy(update={"fabric": torus})) == ()


def test_chips_that_hold_the_same_are_mapped_once():
    shared = CHAIN
    outline = Outline.before_rounding(shared, SMALL, direct=frozenset())
    calls = []

    def counted(chip, options):
        calls.append(chip.name)
        return outline

    patient = Patient(network=lambda _: shared, outline=counted)
    first = fixes(patient, examine_patient(patient, SMALL))
    n = len(patient.tried)
    twin = SMALL.model_copy(update={"name": "twin"})
    assert fixes(patient, examine_patient(patient, twin)) == first
    assert len(patient.tried) == n


# The arithmetic


def test_the_arithmetic_of_a_layer_names_its_terms():
    found = judge(outline_of(chain(784, 512, 10), LOIHI, Options()), LOIHI)
    first, last = found.layers
    assert first.arithmetic == (
        "784 sources × 20 words per list of 142 targets = 15,680 of 16,384 words; "
        "one neuron more takes 16,464 → 4 cores of up to 142"
    )
    assert (first.cores, first.most, first.closed) == (4, 142, "synapse_words_per_core")
    assert last.closed is None
    assert last.cores == 1
    assert sum(layer.words for layer in found.layers) == found.memory_bits // 64


def test_out_axons_and_compartments_have_their_own_arithmetic():
    found = judge(outline_of(chain(1, 1000, 1000), LOIHI, Options()), LOIHI)
    assert found.layers[0].arithmetic.startswith("455 neurons × 9 cores = 4,095 of 4,096 out-axons")
    assert found.layers[0].closed == "out_axons_per_core"
    found = judge(outline_of(chain(2, 700, reset="subtract"), LOIHI, Options()), LOIHI)
    assert found.layers[0].arithmetic.startswith("512 neurons × 2 = 1,024 of 1,024 compartments")


def test_what_cores_take_is_what_is_loaded():
    network, chip = chain(784, 512, 300, 10), LOIHI
    fixed = quantise(network, chip)
    found = judge(Outline.of(fixed), chip)
    mapping, program = map_network(fixed, chip)
    used = resources(program, chip)
    by_limit = {use.limit: use for use in found.uses}
    for limit, column in (
        ("neurons_per_core", used.compartments), ("in_axons_per_core", used.in_axons),
        ("out_axons_per_core", used.out_axons), ("synapse_words_per_core", used.synapse_words),
    ):  # fmt: skip
        assert by_limit[limit].total == column.sum()
        assert by_limit[limit].fullest == column.max()
        assert column[by_limit[limit].core] == column.max()
    assert found.n_cores == program.n_cores == len(mapping.cores)


# Changes


def test_narrowing_leaves_out_the_last_channels():
    conv = Convolution(
        kernel=np.ones((6, 2, 3, 3)), pre_shape=(2, 5, 5), stride=(1, 1),
        padding=((1, 1), (1, 1)), dilation=(1, 1),
    )  # fmt: skip
    rng = np.random.default_rng(0)
    full = rng.random((7, 150)) < 0.3
    listed = sparse(Dense(weight=full * 1.0, pre_shape=(6, 5, 5), post_shape=(7,)))
    listed = replace(listed, weight=np.asarray(full.T.ravel(), float))
    network = Network(
        dt_s=1e-3,
        inputs=(Input(name="in", shape=(2, 5, 5)),),
        populations=(
            Population(name="a", shape=(6, 5, 5), threshold=1.0),
            Population(name="b", shape=(7,), threshold=1.0),
        ),
        projections=(
            Projection(source="in", target="a", linear=conv),
            Projection(source="a", target="b", linear=listed),
        ),
        outputs=("b",),
    )
    outline = Outline.before_rounding(network, LOIHI, direct=frozenset())
    found = narrowed(outline, {"a": 4, "b": 5})
    assert found.population("a").shape == (4, 5, 5)
    assert found.population("a").settings.shape == (100,)
    first, second = (p.linear for p in found.projections)
    assert isinstance(first, Convolution)
    assert isinstance(second, Sparse)
    assert first.kernel.shape == (4, 2, 3, 3)
    left = np.zeros((5, 100), bool)
    left[second.target, second.source] = second.weight != 0
    assert np.array_equal(left, full[:5, :100])
    by_channel = replace(
        network,
        projections=(replace(network.projections[0], linear=replace(
            conv, kernel=np.ones((6, 1, 3, 3)), groups=2)), network.projections[1]),
    )  # fmt: skip
    outline = Outline.before_rounding(by_channel, LOIHI, direct=frozenset())
    with pytest.raises(UnchangeableError, match="in→a binds its channels one by one"):
        narrowed(outline, {"a": 4})


def test_pruning_keeps_the_expected_share_and_larger_shares_prune_more():
    outline = Outline.before_rounding(chain(500, 400, 10), LOIHI, direct=frozenset())
    kept = []
    for share in (0.3, 0.6, 0.9, 0.95, 0.99):
        first, second = (p.linear for p in pruned(outline, share, names={"in→l0"}).projections)
        assert isinstance(second, Dense)
        n, p = 500 * 400, 1 - share
        assert abs(first.n_synapses - n * p) < 5 * np.sqrt(n * p * (1 - p))
        kept.append(set(zip(first.source.tolist(), first.target.tolist(), strict=True)))
    assert all(more > less for more, less in pairwise(kept))


def test_a_chip_with_fewer_bits_or_more_chips_is_checked_anew():
    assert with_weight_bits(LOIHI, 3).numbers.weight_bits == 3
    four = side_by_side(LOIHI, 4)
    assert four.n_cores == 512
    assert four.fabric.off_chip_hop_ps.value == LOIHI.timing.hop_ew_ps.value
    with pytest.raises(UnchangeableError):
        side_by_side(LOIHI, 5000)
    torus = LOIHI.model_copy(
        update={"fabric": LOIHI.fabric.model_copy(update={"topology": "torus"})}
    )
    with pytest.raises(UnchangeableError, match="torus"):
        side_by_side(torus, 2)


def test_a_large_network_is_judged_without_its_weights():
    sizes = [5000, *[4000] * 4]
    network = chain(*[2] * 5)
    matrices = [
        Dense(weight=constant(1.0, (m, n)), pre_shape=(n,), post_shape=(m,))
        for n, m in pairwise(sizes)
    ]
    network = Network(
        dt_s=1e-3,
        inputs=(Input(name="in", shape=(5000,)),),
        populations=tuple(Population(name=f"l{k}", shape=(4000,), threshold=1.0) for k in range(4)),
        projections=tuple(
            replace(p, linear=linear)
            for p, linear in zip(network.projections, matrices, strict=True)
        ),
        outputs=("l3",),
    )
    outline = Outline.before_rounding(network, LOIHI, direct=frozenset())
    found = judge(outline, LOIHI)
    assert {p.limit for p in found.problems} == {"in_axons_per_core", "cores"}
