"""Probes against a record of everything, out of which each frame is picked by hand."""

import numpy as np
import pytest
from random_fabrics import TICKS, case

from emulator.engine import Engine
from emulator.neuron import VARIABLES
from emulator.probes import NOBODY, Probe, Probing, Trigger

pytestmark = pytest.mark.plain_python


def everything(program, chip, stimuli):
    """Membranes, currents, spikes, overflows and durations of every (sample, tick)."""
    engine, found = Engine(program, chip, block_ticks=1, n_threads=1), {}
    before = np.zeros(len(VARIABLES), int)

    def observe(block):
        counts = np.array([engine.counters[f"{v}_overflows"].sum() for v in VARIABLES])
        found[block.sample, block.first_tick] = {
            "v": engine.state["membrane"], "u": engine.state["current"],
            "spikes": set(block.spike_neuron.tolist()),
            "overflows": dict(zip(VARIABLES, counts - before, strict=True)),
            "ps": int(block.tick_ps[0]),
        }  # fmt: skip
        before[:] = counts

    engine.run(stimuli, TICKS, observe)
    return found


def picked(record, probe, n_samples):
    """The frames that a probe should give, by the words of its description."""
    found = []
    start, stop = probe.window[0], TICKS if probe.window[1] is None else probe.window[1]
    for sample in range(n_samples):
        for tick in range(start, min(stop, TICKS), probe.every):
            if probe.trigger is not None:
                around = range(tick - probe.trigger.after, tick + probe.trigger.before + 1)
                if not any(fires(record.get((sample, t)), probe.trigger) for t in around):
                    continue
            value = record[sample, tick][probe.variable][..., probe.neurons]
            found.append((sample, tick, value.tolist()))
    return found


def fires(at, trigger):
    if at is None:
        return False
    if trigger.kind == "spike":
        return bool(at["spikes"] & set(trigger.neurons.tolist()))
    if trigger.kind == "late":
        return at["ps"] > trigger.limit_ps
    names = VARIABLES if trigger.variable is None else (trigger.variable,)
    return any(at["overflows"][name] for name in names)


def random_trigger(rng, n, record):
    kind = rng.choice(["spike", "overflow", "late"])
    about = {"before": int(rng.integers(5)), "after": int(rng.integers(5))}
    if kind == "spike":
        about["neurons"] = rng.permutation(n)[: rng.integers(1, 4)]
    elif kind == "late":
        about["limit_ps"] = int(np.quantile([at["ps"] for at in record.values()], 0.8))
    elif rng.random() < 0.6:
        about["variable"] = str(rng.choice(VARIABLES))
    return Trigger(kind=str(kind), **about)


def test_probes_give_the_frames_that_they_ask_for_once_and_in_order():
    rng = np.random.default_rng(8)
    n_frames = n_triggered = 0
    for seed in range(25):
        program, chip, stimuli = case(1100 + seed, "mesh")
        record, n = everything(program, chip, stimuli), program.n_neurons
        probes = [
            Probe(
                variable=str(rng.choice(["v", "u"])), neurons=rng.permutation(n)[: rng.integers(1, n)],
                every=int(rng.integers(1, 4)),
                window=(int(rng.integers(0, 4)), [None, 9, 30][rng.integers(3)]),
                trigger=random_trigger(rng, n, record) if rng.random() < 0.7 else None,
            )
            for _ in range(6)
        ]  # fmt: skip
        for block_ticks in (1, 3, TICKS):
            probing, found = Probing(probes, n), [[] for _ in probes]
            engine = Engine(program, chip, block_ticks=block_ticks, n_threads=2, **probing.watched)

            def observe(block, probing=probing, found=found):
                for frames, mine in zip(probing.take(block)[0], found, strict=True):
                    mine += [
                        (frames.sample, int(tick), value.tolist())
                        for tick, value in zip(frames.ticks, frames.values, strict=True)
                    ]

            engine.run(stimuli, TICKS, observe)
            for probe, mine in zip(probes, found, strict=True):
                assert mine == picked(record, probe, len(stimuli)), seed
                n_frames += len(mine)
                n_triggered += len(mine) if probe.trigger is not None else 0
    assert n_frames > 2500
    assert n_triggered > 1000


def test_overflows_of_single_neurons_add_up_to_those_of_the_chip():
    n_seen = 0
    for seed in range(30):
        program, chip, stimuli = case(1200 + seed, "mesh")
        if chip.arithmetic.accumulate == "each":
            continue  # spikes that come one by one are counted by core only
        neurons = np.arange(program.n_neurons)
        for variable in VARIABLES:
            trigger = Trigger(kind="overflow", neurons=neurons, variable=variable)
            anywhere = Trigger(kind="overflow", variable=variable)
            probing = Probing(
                [Probe(variable="v", neurons=neurons, trigger=t) for t in (trigger, anywhere)],
                program.n_neurons,
            )
            engine = Engine(program, chip, block_ticks=5, **probing.watched)

            def observe(block, probing=probing):
                nonlocal n_seen
                (one, other), (by_neuron, by_chip) = probing.take(block)
                assert one.ticks.tolist() == other.ticks.tolist()
                assert np.unique(by_neuron.ticks).tolist() == by_chip.ticks.tolist()
                assert np.all(by_chip.neuron == NOBODY)
                n_seen += by_neuron.ticks.size

            engine.run(stimuli, TICKS, observe)
    assert n_seen > 100


def test_watching_cuts_blocks_and_changes_nothing(monkeypatch):
    from emulator import lane as lanes

    program, chip, stimuli = case(1300, "mesh")
    neurons = np.arange(program.n_neurons)
    watched = {"watched": neurons, "watched_currents": neurons[::-1]}
    expected, blocks = [], []
    Engine(program, chip, **watched).run(stimuli, TICKS, expected.append)
    monkeypatch.setattr(lanes, "WATCHED_VALUES_A_BLOCK", 3 * 2 * program.n_neurons)
    Engine(program, chip, **watched).run(stimuli, TICKS, blocks.append)
    assert max(block.tick_ps.size for block in blocks) <= 3 < expected[0].tick_ps.size
    for name in ("frames", "currents"):
        one, other = ([getattr(b, name) for b in run] for run in (blocks, expected))
        np.testing.assert_array_equal(np.concatenate(one), np.concatenate(other))


@pytest.mark.parametrize(
    ("about", "text"),
    [({"variable": "w"}, "records v or u, not 'w'"),
     ({"every": 0}, "every 0 ticks: must be at least 1"),
     ({"window": (5, 5)}, "the window 5:5 holds no tick"),
     ({"trigger": {"kind": "spike", "before": 1 << 26}}, "values to hold back, but at most"),
     ({"trigger": {"kind": "flood"}}, "one of spike, overflow, late, not 'flood'"),
     ({"trigger": {"kind": "overflow", "variable": "v"}}, "overflows are of input, current"),
     ({"trigger": {"kind": "late", "after": -1}}, "count from 0, not 0:-1")],
    ids=str,
)  # fmt: skip
def test_probes_that_make_no_sense_are_refused(about, text):
    def make(trigger=None, **given):
        given = {"variable": "v", "neurons": np.arange(3)} | given
        return Probe(trigger=None if trigger is None else Trigger(**trigger), **given)

    with pytest.raises(ValueError, match=text):
        make(**about)
