from dataclasses import replace

import numpy as np
import pytest
from crossbars import random_arrivals, random_cores
from naive import simulate_crossbars
from networks import random_network

from emulator.chip_file import load_chip
from emulator.engine import Engine
from emulator.errors import OverflowAlarm, ProgramError
from emulator.stimulus import Stimulus
from mapping.crossbar import CrossbarCore, load_crossbars
from mapping.errors import CapacityError, NetworkError, UnsupportedNodeError
from mapping.quantise import quantise

pytestmark = pytest.mark.plain_python

TICKS = 60
TRUENORTH = load_chip("truenorth")
NARROW = TRUENORTH.model_copy(
    update={"numbers": TRUENORTH.numbers.model_copy(update={"membrane_bits": 9})}
)
RANC = load_chip("ranc")


def run(loaded, chip, arriving, **how):
    """Spikes as a set of (tick, core, neuron), potentials of each core, and the engine."""
    program = loaded.program
    events = sorted((tick, loaded.channel(core, axon)) for tick, core, axon in arriving)
    ticks, channels = np.array(events, np.int64).reshape(-1, 2).T
    stimulus = Stimulus(spike_tick=ticks, spike_channel=channels, spike_payload=np.ones_like(ticks))
    engine = Engine(program, chip, watched=np.arange(program.n_neurons), **how)
    places = [int(p.name.removeprefix("core ")) for p in program.populations]
    fired, potentials = set(), {place: [] for place in places}

    def observe(block):
        for tick, n in zip(block.spike_tick, block.spike_neuron, strict=True):
            fired.add((int(tick), places[program.population[n]], int(program.index[n])))
        for frame in block.frames:
            for k, place in enumerate(places):
                potentials[place].append(frame[program.population == k].astype(int).tolist())

    engine.run([stimulus], TICKS, observe)
    return fired, potentials, engine


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    ("chip", "modes", "delays", "rule", "edge", "saturating"),
    [
        (RANC, (0,), (1, 16), "wrap", 256, False),
        (RANC, (1,), (1, 16), "wrap", 256, False),
        (RANC, (0, 1), (1, 3), "wrap", 20, False),
        (NARROW, (0, 1, 2), (1, 15), "saturate", 256, True),
        (TRUENORTH, (2,), (1, 1), "saturate", 20, False),
    ],
    ids=["absolute", "linear", "mixed", "saturating", "none"],
)
def test_the_engine_equals_a_crossbar_written_out(
    seed, chip, modes, delays, rule, edge, saturating
):
    rng = np.random.default_rng(seed)
    cores = random_cores(
        rng, places=(1, 2, 5, 7), outputs=(0, 3), modes=modes, delays=delays, edge=edge,
        saturating=saturating,
    )  # fmt: skip
    arriving = random_arrivals(rng, cores, TICKS)
    bits = chip.numbers.membrane_bits
    expected, potentials, counts = simulate_crossbars(cores, arriving, TICKS, bits=bits, rule=rule)
    loaded = load_crossbars(cores, chip, outputs=(0, 3))
    for how in ({}, {"block_ticks": 1}):
        got, seen, engine = run(loaded, chip, arriving, **how)
        assert got == expected
        assert seen == potentials
        total = {name: int(values.sum()) for name, values in engine.counters.items()}
        assert total["merged_packets"] == counts["merged"]
        assert total["synaptic_events"] == counts["synaptic"]
        assert total["membrane_overflows"] == counts["overflows"]
        hops = [0, 0]
        for _, place, n in expected:
            target = int(cores[place].to_core[n])
            if target >= 0:
                width = chip.mesh.width
                hops[0] += abs(target % width - place % width)
                hops[1] += abs(target // width - place // width)
        assert [total["hops_ew"], total["hops_ns"]] == hops
    assert counts["merged"] > 0
    assert len(expected) > 100


def test_every_packet_leaves_however_many_name_an_axon():
    core = one_core(n=3, threshold=[0, 0, 0], to_core=[1, 1, 1], to_axon=[7, 7, 9])
    loaded = load_crossbars({0: core}, RANC, outputs=(1,))
    assert loaded.output_axon.tolist() == [7, 7, 9]
    assert loaded.output_core.tolist() == [1, 1, 1]
    fired, _, engine = run(loaded, RANC, [])
    assert len(fired) == 3 * TICKS
    assert engine.counters["packets"].tolist() == [3 * TICKS, 0]
    assert engine.counters["hops_ew"].sum() == 3 * TICKS
    assert engine.counters["merged_packets"].sum() == 0


def one_core(n=1, n_axons=2, **values):
    """A core whose neurons do nothing but what is given."""
    plain = {
        "connected": np.zeros((n_axons, n), bool), "axon_type": np.zeros(n_axons, int),
        "weight": np.zeros((n, 4), int), "threshold": np.full(n, 10), "lower": np.full(n, -10),
        "leak": np.zeros(n, int), "reset_to": np.zeros(n, int), "reset": np.zeros(n, int),
        "to_core": np.full(n, -1), "to_axon": np.zeros(n, int), "delay": np.ones(n, int),
    }  # fmt: skip
    return CrossbarCore(**{name: np.asarray(v) for name, v in (plain | values).items()})


@pytest.mark.parametrize(
    ("reset", "saturates", "after"),
    [(0, False, 4), (1, False, -3), (2, False, -13), (0, True, -10)],
)
def test_below_the_lower_threshold_by_hand(reset, saturates, after):
    core = one_core(leak=[0], initial=[-13], reset=[reset], reset_to=[-4], saturates=[saturates])
    _, potentials, _ = run(load_crossbars({0: core}, TRUENORTH), TRUENORTH, [])
    assert potentials[0][0] == [after]


def test_a_strict_run_names_the_potential_that_left_its_register():
    core = one_core(leak=[-200], lower=[-256], initial=[-100])
    loaded = load_crossbars({0: core}, RANC)
    with pytest.raises(
        OverflowAlarm, match=r"core 0, population 'core 0', neuron 0: membrane -300"
    ):
        run(loaded, RANC, [], strict=True)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"leak": [0, 0]}, r"core 4: leak is \(2,\), but the crossbar needs \(1,\)"),
        ({"weight": [1, 2]}, r"weight \[neurons, types\]"),
        ({"weight": [[1, 2]], "axon_type": [0, 2]}, "axon_type 2 of axon 1, but there are 2"),
        ({"reset": [3]}, "reset 3 of neuron 0, but the modes are absolute, linear, none"),
        ({"threshold": [0.5]}, "threshold must be int64, but is float64"),
        ({"axon_type": [0, 0, 0]}, r"axon_type is \(3,\), but the crossbar needs \(2,\)"),
    ],
)
def test_crossbars_that_contradict_themselves_are_refused(values, message):
    with pytest.raises(NetworkError, match=message):
        load_crossbars({4: one_core(**values)}, TRUENORTH)


def test_an_output_is_no_crossbar():
    with pytest.raises(NetworkError, match="core 4 is an output and a crossbar"):
        load_crossbars({4: one_core()}, TRUENORTH, outputs=(4,))


@pytest.mark.parametrize(
    ("chip", "values", "message"),
    [
        (RANC, {"weight": [[256, 0, 0, -257]]}, r"2 of 4 values of weight are outside -256..255"),
        (RANC, {"leak": [256]}, r"leak are outside -256..255 \(256..256\)"),
        (RANC, {"threshold": [300]}, "threshold are outside -256..255"),
        (RANC, {"lower": [-257]}, "lower are outside -256..255"),
        (RANC, {"reset_to": [256]}, "reset_to are outside -256..255"),
        (RANC, {"initial": [-300]}, "initial are outside -256..255"),
        (RANC, {"to_core": [4], "delay": [17]}, r"1 delays are outside 1..16 ticks \(17..17\)"),
        (TRUENORTH, {"to_core": [4], "delay": [16]}, r"1 delays are outside 1..15 ticks"),
        (TRUENORTH, {"to_core": [4], "delay": [0]}, r"1 delays are outside 1..15 ticks"),
        (RANC, {"reset": [2]}, "reset none, but the chip has no rule for it"),
        (RANC, {"weight": [[0] * 5]}, "5 axon types, but a core holds 4"),
        (RANC, {"n_axons": 257}, "257 axons, but a core holds 256"),
        (RANC, {"n": 257}, "257 neurons, but a core holds 256"),
        (RANC, {"to_core": [5]}, "1 neurons send to cores that are not there, neuron 0 to core 5"),
        (RANC, {"to_core": [4], "to_axon": [2]}, "neuron 0 sends to axon 2 of core 4, which has 2"),
    ],
)  # fmt: skip
def test_what_a_chip_cannot_hold_is_refused(chip, values, message):
    with pytest.raises(CapacityError, match=message):
        load_crossbars({4: one_core(**values)}, chip)


def test_crossbars_fit_no_other_cores_and_no_core_outside_the_mesh():
    with pytest.raises(CapacityError, match="its cores are lists, not crossbars"):
        load_crossbars({0: one_core()}, load_chip("loihi"))
    with pytest.raises(CapacityError, match="core 12: outside the 12 cores"):
        load_crossbars({12: one_core()}, RANC)


def test_no_crossbars_are_an_empty_program():
    loaded = load_crossbars({}, RANC)
    assert loaded.program.n_neurons == 0
    loaded.program.check(RANC)


@pytest.mark.parametrize(
    ("column", "change", "message"),
    [
        ("row_axon", lambda a: a[:0], "has no row_axon"),
        ("lower_reset", lambda a: a + 2, "lower_reset must be zero, subtract or stay"),
        ("lower_reset", lambda a: a[:1], "lower_reset has 1 entries, but needs 3"),
        ("row_delay", lambda a: a + 16, r"row_delay are outside 0..15"),
    ],
)
def test_programs_that_crossbars_cannot_hold_are_refused(column, change, message):
    core = one_core(n=3, to_core=[0, 0, 0])
    program = load_crossbars({0: core}, RANC).program
    with pytest.raises(ProgramError, match=message):
        replace(program, **{column: change(getattr(program, column))}).check(RANC)


def test_a_second_destination_is_refused():
    program = load_crossbars({0: one_core(n=2, to_core=[0, 0])}, RANC).program
    rows = program.source_row.copy()
    rows[1] = 2  # the first neuron takes the row of the second
    with pytest.raises(ProgramError, match="1 neurons send to several places"):
        replace(program, source_row=rows).check(RANC)


@pytest.mark.parametrize("chip", [RANC, TRUENORTH])
def test_networks_are_not_quantised_onto_crossbars(rng, chip):
    with pytest.raises(UnsupportedNodeError, match=r"crossbar cores.*load a memory image instead"):
        quantise(random_network(rng), chip)
