"""Processes beside the chip, and runs that fail."""

from dataclasses import replace

import numpy as np
import pytest
from random_fabrics import TICKS, case, with_fabric
from random_machines import CHANNELS, chip_with, random_chip, random_program, random_stimulus

from emulator import lane as lanes
from emulator.engine import Engine
from emulator.errors import EngineError
from emulator.fabric import FABRIC_NAMES
from emulator.stimulus import Stimulus

pytestmark = pytest.mark.plain_python


def idle(engine):
    while True:
        yield engine.env.timeout(10**9)


def after_every_tick(engine, do):
    while True:
        _, tick = yield engine.ticked()
        do(tick)


def spikes(blocks):
    return [
        s for b in blocks for s in zip(b.spike_tick, b.spike_neuron, b.spike_payload, strict=True)
    ]


@pytest.mark.parametrize("fabric", ["ideal", "queued", "simpy"])
def test_spikes_that_a_process_sends_are_those_of_a_stimulus(fabric):
    n_sent = 0
    for seed in range(12):
        program, chip, (stimulus, _) = case(400 + seed, "mesh")
        payload = stimulus.spike_payload
        if chip.numbers.input_payload_max:
            payload = np.minimum(payload, chip.numbers.input_payload_max)
        given = replace(stimulus, spike_payload=payload)
        expected, blocks = [], []
        Engine(program, chip, fabric=fabric).run([given], TICKS, expected.append)
        engine = Engine(program, chip, fabric=fabric)

        def send(tick, engine=engine, given=given):
            for k in np.flatnonzero(given.spike_tick == tick + 1):
                engine.send(int(given.spike_channel[k]), int(given.spike_payload[k]))

        engine.env.process(after_every_tick(engine, send))
        first = given.spike_tick == 0
        start = Stimulus(
            spike_tick=given.spike_tick[first], spike_channel=given.spike_channel[first],
            spike_payload=given.spike_payload[first],
        )  # fmt: skip
        engine.run([start], TICKS, blocks.append)
        assert spikes(blocks) == spikes(expected), seed
        ticks = [np.concatenate([b.tick_ps for b in run]).tolist() for run in (blocks, expected)]
        assert ticks[0] == ticks[1], seed
        n_sent += np.count_nonzero(~first)
    assert n_sent > 100


def test_a_process_that_only_waits_changes_nothing():
    for seed in range(8):
        program, chip, stimuli = case(500 + seed, "mesh")
        for fabric in ("ideal", "queued"):
            expected, blocks = [], []
            Engine(program, chip, fabric=fabric).run(stimuli, TICKS, expected.append)
            engine = Engine(program, chip, fabric=fabric)
            engine.env.process(idle(engine))
            engine.run(stimuli, TICKS, blocks.append)
            assert spikes(blocks) == spikes(expected)
            assert len(blocks) == 2 * TICKS


def test_what_cannot_be_sent_is_refused():
    program, chip, stimuli = case(1, "mesh")
    engine = Engine(program, chip)
    engine.run(stimuli, TICKS, lambda block: None)
    with pytest.raises(RuntimeError, match="takes no spikes from processes"):
        engine.send(0)
    open_engine = Engine(program, chip, fabric="simpy")
    found = []

    def send(tick):
        for channel, payload in ((CHANNELS, 1), (-1, 1), (0, 0), (0, 10**6)):
            with pytest.raises(ValueError, match=r"channel|payload") as refused:
                open_engine.send(channel, payload)
            found.append(str(refused.value))

    open_engine.env.process(after_every_tick(open_engine, send))
    open_engine.run(stimuli[:1], 1, lambda block: None)
    assert f"channel {CHANNELS}, but there are 0..{CHANNELS - 1}" in found
    assert any("payload 0, but must be 1.." in text for text in found)


def lossless(seed, topology="mesh"):
    """A program on a chip whose links may fail."""
    while True:
        rng = np.random.default_rng(seed)
        chip = random_chip(rng)
        program = random_program(rng, chip)
        rules = chip.arithmetic
        if rules.accumulate == "sum" and rules.axons == "counting":
            break
        seed += 1000
    chip = with_fabric(rng, chip, topology)
    return replace(program, core=np.array([0, 7, 13])), chip, random_stimulus(rng, TICKS)


def test_what_a_failed_link_loses_is_never_done():
    """As if the rows of its packets were not there from the start."""
    n_dropped = 0
    for seed in range(25):
        program, chip, stimulus = lossless(seed)
        engine, blocks = Engine(program, chip, fabric="simpy"), []
        names = engine.fabric.network.noc.link_name
        for link in names:
            engine.fabric.fail(link, 0)
        engine.run([stimulus], TICKS, blocks.append)
        # What stays within a router, or comes from outside, takes no link.
        router = program.core // 2
        sender = program.source_core[program.row_source]
        kept = (sender < 0) | (router[np.maximum(sender, 0)] == router[program.row_core])
        silent = replace(program, weight=np.where(_of_weights(program, kept), program.weight, 0))
        expected = []
        Engine(silent, chip).run([stimulus], TICKS, expected.append)
        assert spikes(blocks) == spikes(expected), seed
        carried = engine.carried
        assert engine.fabric.network.n_sent == carried.dropped + carried.latency.sum()
        n_dropped += carried.dropped
    assert n_dropped > 200


def _of_weights(program, rows):
    """Whether each weight belongs to one of some rows."""
    kept = np.zeros(program.weight.size, bool)
    for row in np.flatnonzero(rows):
        kept[program.row_weight[row] : program.row_weight[row] + program.row_size[row]] = True
    return kept


def test_links_that_are_not_there_or_cannot_fail_are_refused():
    program, chip, _ = lossless(0)
    with pytest.raises(ValueError, match=r"no link 'north pole'; there are \(0,0\) north"):
        Engine(program, chip, fabric="simpy").fabric.fail("north pole")
    forking = chip.model_copy(update={"fabric": chip.fabric.model_copy(update={"multicast": True})})
    engine = Engine(program, forking, fabric="simpy")
    with pytest.raises(ValueError, match="its packets fork"):
        engine.fabric.fail("(0,0) north")


def test_a_process_that_fails_ends_the_run_with_its_place():
    for fabric in FABRIC_NAMES:
        program, chip, stimuli = case(2, "mesh")
        engine, blocks = Engine(program, chip, fabric=fabric), []

        def careless(engine=engine):
            for _ in range(5):
                yield engine.ticked()
            raise KeyError("unplugged")

        engine.env.process(careless())
        with pytest.raises(
            EngineError,
            match=r"generic, cores \d+\.\.\d+: sample 0, tick 5, [\d,]+ ps: a process beside the "
            r"chip failed \(KeyError: 'unplugged'\)",
        ):
            engine.run(stimuli, TICKS, blocks.append)
        assert [b.first_tick for b in blocks] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("n_threads", [1, 3])
def test_a_kernel_that_fails_ends_the_run_with_its_place(n_threads, monkeypatch):
    program, chip, stimuli = case(2, "mesh")

    def failing(*about, **how):
        def advance(team, tick, *rest):
            raise MemoryError("no room")

        return advance

    monkeypatch.setattr(lanes, "advance_of", failing)
    engine = Engine(program, chip, n_threads=n_threads)
    with pytest.raises(
        EngineError, match=r"generic, cores \d+\.\.\d+: sample 0, ticks 0\.\.11: the chip failed "
        r"\(MemoryError: no room\)"
    ):  # fmt: skip
        engine.run(stimuli, TICKS, lambda block: None)


def test_an_error_of_the_observer_passes_as_it_is():
    program, chip, stimuli = case(2, "mesh")

    def observe(block):
        raise OSError("disk full")

    for fabric in ("ideal", "simpy"):
        with pytest.raises(OSError, match="disk full"):
            Engine(program, chip, fabric=fabric).run(stimuli, TICKS, observe)


def test_chips_without_times_have_fabrics_too():
    rng = np.random.default_rng(0)
    chip = chip_with()
    program = random_program(rng, random_chip(np.random.default_rng(4)))
    for fabric in FABRIC_NAMES:
        try:
            engine = Engine(program, chip, fabric=fabric)
        except ValueError:
            continue
        engine.run([random_stimulus(rng, TICKS)], TICKS, lambda block: None)
        assert engine.env.now == 0
