"""Wishes of what is recorded: what they mean, and what is told of those that cannot be met."""

from dataclasses import replace

import numpy as np
import pytest
from random_fabrics import TICKS, case

from emulator.engine import Engine
from emulator.probes import KINDS
from spikefab.wished import Wished
from spikefab.wishes import WishError, wishes_of

PROGRAM = case(3, "mesh")[0]  # populations a of 8 and b of 6 neurons, mixed on the chip


def read(*texts):
    return wishes_of(texts, PROGRAM, 1e-3)


def test_without_a_wish_all_spikes_are_recorded():
    wishes = read()
    assert wishes.spikes is None
    assert (wishes.states, wishes.packets, wishes.activity) == ((), False, False)


def test_spikes_of_some():
    assert read("spikes none").spikes == {}
    found = read("spikes a[2:4],b", "spikes a[7]").spikes
    assert {name: ids.tolist() for name, ids in found.items()} == {
        "a": [2, 3, 7], "b": [0, 1, 2, 3, 4, 5],
    }  # fmt: skip
    assert read("spikes all").spikes.keys() == {"a", "b"}


def test_states_of_some_in_a_window():
    v, u = read("v,u b[1:3] every 10 ticks 100:200").states
    assert (v.population, v.neurons.tolist(), v.probe.variable) == ("b", [1, 2], "v")
    assert (u.population, u.neurons.tolist(), u.probe.variable) == ("b", [1, 2], "u")
    for wish in (v, u):
        np.testing.assert_array_equal(wish.probe.neurons, PROGRAM.neurons_of("b")[[1, 2]])
        assert (wish.probe.every, wish.probe.window) == (10, (100, 200))
        assert wish.probe.trigger is None
    assert read("v a[:2] ticks 5:").states[0].probe.window == (5, None)


def test_states_around_what_happens():
    (wish,) = read("v a around spike b[0:2] 5:10").states
    trigger = wish.probe.trigger
    assert (trigger.kind, trigger.before, trigger.after) == ("spike", 5, 10)
    assert trigger.neurons.tolist() == sorted(PROGRAM.neurons_of("b")[:2].tolist())
    trigger = read("u b around overflow membrane a 0:3 every 2").states[0].probe.trigger
    assert (trigger.kind, trigger.variable) == ("overflow", "membrane")
    assert trigger.neurons.size == 8
    trigger = read("u b around overflow 1:3").states[0].probe.trigger
    assert (trigger.variable, trigger.neurons.size) == (None, 0)
    trigger = read("u b around late 1:2").states[0].probe.trigger
    assert (trigger.kind, trigger.limit_ps) == ("late", 10**9)
    watched = read("v a[0] around spike b 1:1", "u b").probing(PROGRAM.n_neurons).watched
    assert watched["watched"].tolist() == PROGRAM.neurons_of("a")[:1].tolist()
    assert watched["watched_currents"].size == 6


def test_packets_and_activity():
    assert read("packets").packets
    assert read("activity", "v a").activity


@pytest.mark.parametrize(
    ("text", "told"),
    [("w a", "nothing is called 'w'; there are spikes, v, u, packets, activity"),
     ("", "nothing is called ''"),
     ("v", r"says of which population; there are a\[0:8\], b\[0:6\]"),
     ("v c", r"no population 'c'; there are a\[0:8\], b\[0:6\]"),
     ("v a[5:20]", "population 'a' has neurons 0..7"),
     ("v a[]", "names no neuron"),
     ("v a every", "every '': a number of ticks is missing"),
     ("v a every 0", "every 0 ticks: must be at least 1"),
     ("v a ticks 9:3", "the window 9:3 holds no tick"),
     ("v a ticks soon", "ticks 'soon': two numbers"),
     ("v a around spike b", "around spike '': two numbers"),
     ("v a around rain 1:2", "around 'rain': must be spike, overflow or late"),
     ("v a sometimes", "'sometimes' is not understood here"),
     ("spikes a every 3", "spikes are recorded at all ticks; 'every 3' is too much")],
)  # fmt: skip
def test_wishes_that_cannot_be_met_are_told(text, told):
    with pytest.raises(WishError, match=told):
        read(text)


def test_all_problems_are_told_together():
    with pytest.raises(WishError) as error:
        read("w a", "v c", "v a", "v b,a every 2", "packets")
    assert [line.partition(":")[0] for line in str(error.value).splitlines()] == [
        "--record 'w a'", "--record 'v c'", "--record",
    ]  # fmt: skip
    assert "v of a is wished for more than once" in str(error.value)


def test_what_a_run_records_anyway_is_no_wish():
    silent = replace(PROGRAM.populations[1], spiking=False)
    program = replace(PROGRAM, populations=(PROGRAM.populations[0], silent))
    with pytest.raises(WishError, match="v of b is recorded at every tick anyway"):
        wishes_of(["v b"], program, 1e-3)
    assert wishes_of(["u b"], program, 1e-3).states


@pytest.mark.plain_python
def test_wishes_become_columns_of_a_trace():
    program, chip, stimuli = case(1403, "mesh")
    wishes = wishes_of(["v a[2:5] every 2", "u b around spike a 1:0", "packets", "spikes b"],
                             program, 1e-3)  # fmt: skip
    always = program.neurons_of("b")[:2]
    wished = Wished(wishes, program, TICKS, always, ["b", "a"])
    engine, blocks = Engine(program, chip, block_ticks=5, n_threads=1, **wished.engine), []
    whole = Engine(program, chip, block_ticks=1, n_threads=1)
    membranes = {}

    def look(block):
        membranes[block.sample * TICKS + block.first_tick] = whole.state["membrane"]

    whole.run(stimuli, TICKS, look)
    engine.run(stimuli, TICKS, blocks.append)
    n_frames = n_packets = 0
    for block in blocks:
        own = wished.own(block).frames
        at = block.sample * TICKS + block.first_tick
        assert own.tolist() == [membranes[at + k][always].tolist() for k in range(len(own))]
        states, triggers = wished.states(block)
        for state in states:
            if state["variable"] == "v":
                assert state["neurons"].tolist() == [2, 3, 4]
                mine = program.neurons_of("a")[2:5]
                assert state["frames"].tolist() == [
                    membranes[tick][mine].tolist() for tick in state["ticks"]
                ]
                n_frames += len(state["ticks"])
        for columns in triggers:
            assert set(columns["kind"]) == {KINDS.index("spike")}
            assert set(columns["population"]) == {1}
        packets = wished.packets(block)
        outside = packets["source_kind"] == 2
        assert np.all(packets["source_kind"] <= 2)
        known = np.where(
            outside, program.n_neurons + packets["source"],
            [program.neurons_of("ab"[1 - kind % 2])[source % 6]
             for kind, source in zip(packets["source_kind"], packets["source"], strict=True)],
        )  # fmt: skip
        same = outside | (packets["source"] < 6)
        assert np.all((known == block.packets.source)[same])
        n_packets += packets["source"].size
    assert n_frames == len(stimuli) * TICKS // 2
    assert n_packets > 20
    assert wished.spikes("a", np.array([1, 2])).tolist() == [False, False]
    assert wished.spikes("b", np.array([1, 2])).tolist() == [True, True]
