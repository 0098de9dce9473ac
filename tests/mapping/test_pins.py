"""Populations that are told where to lie."""

from dataclasses import replace

import numpy as np
import pytest
from networks import random_network

from emulator.chip_file import load_chip
from emulator.without import chip_without
from mapping.assemble import assemble
from mapping.linear import Dense
from mapping.mapping import Mapping, resources
from mapping.needs import Needs
from mapping.network import Input, Network, Population, Projection
from mapping.outline import Outline
from mapping.partition import examine, partition
from mapping.pins import Pin, PinError, check_pins, pinned_cores, read_pin
from mapping.quantise import quantise

LOIHI = load_chip("loihi")


def chain(*sizes):
    """An input and dense layers ``a``, ``b``, … behind it."""
    names = ["in", *"abcdef"[: len(sizes) - 1]]
    return Network(
        dt_s=1e-3,
        inputs=(Input(name="in", shape=(sizes[0],)),),
        populations=tuple(
            Population(name=k, shape=(n,), threshold=1.0)
            for k, n in zip(names[1:], sizes[1:], strict=True)
        ),
        projections=tuple(
            Projection(
                source=s,
                target=t,
                linear=Dense(weight=np.ones((m, n)), pre_shape=(n,), post_shape=(m,)),
            )
            for s, t, n, m in zip(names, names[1:], sizes, sizes[1:], strict=False)
        ),
        outputs=(names[-1],),
    )


def outline_of(network, chip=LOIHI):
    return Outline.of(quantise(network, chip))


@pytest.mark.parametrize(
    ("text", "population", "cores"),
    [
        ("a=5", "a", (5,)),
        ("a=0-3", "a", (0, 1, 2, 3)),
        (" a = 7, 1,4-5 ", "a", (7, 1, 4, 5)),
        ("x=y=2", "x=y", (2,)),
        ("layers.0.lif=3", "layers.0.lif", (3,)),
    ],
)
def test_pins_are_read(text, population, cores):
    assert read_pin(text) == Pin(population=population, cores=cores)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a", "write POPULATION=CORES"),
        ("=3", "write POPULATION=CORES"),
        ("a=", "'' is no core"),
        ("a=x", "'x' is no core"),
        ("a=1,,2", "'' is no core"),
        ("a=-1", "'-1' is no core"),
        ("a=5-2", "5-2: the first core is after the last"),
        ("a=1,2,1", "names core 1 twice"),
        ("a=0-4,3", "names core 3 twice"),
        ("a=0-99999", "more than 65,536 cores"),
    ],
)
def test_what_is_no_pin_is_refused(text, said):
    with pytest.raises(PinError, match=said):
        read_pin(text)


@pytest.mark.parametrize(
    ("pins", "said"),
    [
        (["z=1"], "pin z=1: there is no population 'z'; it has a, b"),
        (["in=1"], "there is no population 'in'"),
        (["a=128"], "core 128, but loihi has cores 0 to 127"),
        (["b=0-3"], "4 cores for 3 neurons"),
        (["a=1", "a=2"], "population 'a' is pinned 2 times"),
        (["a=5"], "core 5 of loihi is dead or reserved"),
        (["a=6"], "core 6 of loihi is dead or reserved"),
    ],
)
def test_pins_that_nothing_can_follow_are_refused_before_work(pins, said):
    chip = chip_without(LOIHI, ["core 5", "reserved 6"])
    told = [read_pin(text) for text in pins]
    with pytest.raises(PinError, match=said):
        check_pins(told, outline_of(chain(4, 10, 3)), chip)


def test_all_that_is_wrong_with_pins_is_told_at_once():
    told = [read_pin(text) for text in ("z=1", "b=0-3", "a=200")]
    with pytest.raises(PinError) as caught:
        partition(outline_of(chain(4, 10, 3)), LOIHI, pins=told)
    assert len(str(caught.value).splitlines()) == 3


def test_parts_are_equal_and_consecutive_and_come_first_by_core():
    pins = (read_pin("a=9,2,4"), read_pin("c=4"))
    found = examine(outline_of(chain(4, 10, 20, 3)), LOIHI, pins=pins)
    assert found.problems == ()
    assert pinned_cores(pins) == (2, 4, 9)
    assert found.pinned == {0: 2, 1: 4, 2: 9}
    held = [{p.population: p.neurons.tolist() for p in core} for core in found.cores]
    assert held[:3] == [
        {"a": [4, 5, 6]},
        {"a": [7, 8, 9], "c": [0, 1, 2]},
        {"a": [0, 1, 2, 3]},
    ]
    assert held[3:] == [{"b": list(range(20))}]  # nobody else joins a pinned core


@pytest.mark.parametrize(("n", "fits"), [(142, True), (143, False)])
def test_a_pinned_core_that_holds_too_much_is_a_broken_limit_of_it(n, fits):
    """784 sources by 142 targets are 784 x 20 words of 16,384; by 143, 784 x 21 are too many."""
    cores, problems = partition(
        outline_of(chain(784, n)), LOIHI, pins=[Pin(population="a", cores=(7,))]
    )
    assert [part.neurons.size for part in cores[0]] == [n]
    assert (problems == ()) == fits
    if not fits:
        assert [(p.limit, p.where, p.need, p.have) for p in problems] == [
            ("synapse_words_per_core", "core 7", 784 * 21, 16384)
        ]
        assert "core 7 (143 of 'a')" in str(problems[0])
        assert f"({784 * 21 * 64:,} of 1,048,576 bits)" in str(problems[0])


def test_every_broken_limit_of_a_pinned_core_is_told():
    pins = [read_pin("a=3"), read_pin("b=3")]
    _, problems = partition(outline_of(chain(784, 1000, 900)), LOIHI, pins=pins)
    assert {p.limit for p in problems} == {"neurons_per_core", "synapse_words_per_core"}
    assert {p.where for p in problems} == {"core 3"}


def test_a_pinned_core_that_sends_too_much_is_told():
    """1,000 neurons to 9 cores each are 9,000 out-axons of 4,096."""
    pins = [read_pin("a=3")]
    _, problems = partition(outline_of(chain(1, 1000, 1000)), LOIHI, pins=pins)
    assert [(p.limit, p.need, p.have) for p in problems] == [("out_axons_per_core", 9000, 4096)]


def test_the_rest_must_do_with_the_cores_that_are_left():
    few = chip_without(LOIHI, ["cores 6-127"])
    outline = outline_of(chain(768, 768, 10))
    assert partition(outline, few)[1] == ()
    _, problems = partition(outline, few, pins=[read_pin("b=0")])
    assert [(p.limit, p.need, p.have) for p in problems] == [("cores", 7, 6)]


@pytest.mark.parametrize("seed", range(6))
def test_what_pinned_parts_take_is_what_is_loaded(seed):
    rng = np.random.default_rng(seed)
    limits = LOIHI.limits.model_copy(
        update={"neuron_profiles_per_core": None, "threshold_profiles_per_core": None}
    )
    chip = LOIHI.model_copy(update={"limits": limits})
    fixed = quantise(random_network(rng), chip)
    outline = Outline.of(fixed)
    some = rng.permutation([p.name for p in outline.populations])[:2]
    pins = tuple(
        Pin(population=str(name), cores=tuple(rng.permutation(5)[: rng.integers(1, 4)].tolist()))
        for name in some
    )
    found = examine(outline, chip, pins=pins)
    assert found.problems == ()
    place = [found.pinned.get(k, 100 + k) for k in range(len(found.cores))]
    program = assemble(
        Mapping(fixed=fixed, cores=found.cores, place=tuple(place)), chip_name="loihi",
        input_latency=1,
    )  # fmt: skip
    used, needs = resources(program, chip), Needs.of(outline, chip)
    copies = needs.copies(found.cores, needs.sizes)
    for slices, core in zip(found.cores, place, strict=True):
        need, at = needs.need(slices, copies), program.core.tolist().index(core)
        assert need.words == used.synapse_words[at]
        assert (need.in_axons, need.out_axons) == (used.in_axons[at], used.out_axons[at])
    for pin in pins:
        on = program.neuron_core[program.population == _number(program, pin.population)]
        assert set(program.core[on].tolist()) == set(pin.cores)


def _number(program, name):
    return [p.name for p in program.populations].index(name)


def test_pins_change_nothing_where_there_are_none():
    network = replace(chain(300, 500, 40), notes=())
    plain = partition(outline_of(network), LOIHI)
    assert plain[1] == ()
    assert examine(outline_of(network), LOIHI).pinned == {}
