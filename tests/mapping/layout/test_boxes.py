"""Boxes of layers that are never unrolled, against the same layers unrolled neuron by neuron."""

from itertools import product

import numpy as np
import pytest

from mapping.layout.boxes import (
    Convolution,
    Layer,
    counted,
    dense,
    embedded,
    out_axons,
    stack_flows,
    stack_placed,
)
from mapping.layout.floor import Floor
from mapping.layout.hypergraph import Hypergraph, flows
from mapping.layout.placers import PLACERS, Task

WORDS = (np.arange(200) * 18 + 73) // 64

CASES = {
    "padded": ((2, 6, 5), (2, 3, 2), (3, 6, 5), (2, 3, 3), Convolution(kernel=(3, 3), padding=(1, 1))),
    "valid": ((3, 7, 6), (1, 4, 4), (2, 5, 5), (1, 2, 5), Convolution(kernel=(3, 2))),
    "strided": (
        (2, 9, 8), (2, 4, 3), (3, 4, 4), (3, 3, 2),
        Convolution(kernel=(3, 3), stride=(2, 2), padding=(0, 1)),
    ),
    "gaps": ((1, 9, 9), (1, 2, 2), (2, 3, 3), (2, 2, 1), Convolution(kernel=(2, 1), stride=(3, 4))),
    "dense": ((2, 3, 3), (1, 2, 3), (7, 1, 1), (3, 1, 1), dense((2, 3, 3))),
}  # fmt: skip


@pytest.fixture(params=CASES.values(), ids=CASES)
def step(request):
    shape, box, shape_next, box_next, how = request.param
    return Layer(shape=shape, box=box), Layer(shape=shape_next, box=box_next), how


def core_of(layer, at):
    c, y, x = (i // b for i, b in zip(at, layer.box, strict=True))
    return (c * layer.grid[1] + y) * layer.grid[2] + x


def targets_of(source, layer, how, at):
    """Neurons that one reaches, with the part of the kernel that the synapse has."""
    _, y, x = at
    for target in product(*map(range, layer.shape)):
        ky = y + how.padding[0] - target[1] * how.stride[0]
        kx = x + how.padding[1] - target[2] * how.stride[1]
        if 0 <= ky < how.kernel[0] and 0 <= kx < how.kernel[1]:
            yield target, (ky, kx)


def unrolled(source, layer, how, rate):
    neurons = [*product(*map(range, source.shape)), *product(*map(range, layer.shape))]
    n = int(np.prod(source.shape))
    lists = [
        [
            n + int(np.ravel_multi_index(t, layer.shape))
            for t, _ in targets_of(source, layer, how, at)
        ]
        for at in neurons[:n]
    ] + [[]] * (len(neurons) - n)
    core = [core_of(source, at) for at in neurons[:n]]
    core += [source.n_cores + core_of(layer, at) for at in neurons[n:]]
    start = np.cumsum([0, *map(len, lists)])
    rates = np.concatenate([rate.ravel(), np.zeros(len(neurons) - n)])
    return Hypergraph.of(start, np.concatenate(lists).astype(int), rates), np.array(core)


def test_flows_are_those_of_the_unrolled_layers(step, rng):
    source, layer, how = step
    rate = rng.integers(1, 9, source.shape).astype(float)
    told = stack_flows([source, layer], [how], [rate])
    graph, core = unrolled(source, layer, how, rate)
    counted_flows = flows(graph, core)
    assert told.packets == counted_flows.packets
    for name in ("start", "other", "weight"):
        assert np.array_equal(getattr(told, name), getattr(counted_flows, name))


@pytest.mark.parametrize("shared", [False, True])
def test_counts_are_those_of_the_unrolled_layers(step, shared):
    source, layer, how = step
    lists = [{} for _ in range(layer.n_cores)]
    neurons = np.zeros(layer.n_cores, int)
    outs = np.zeros(source.n_cores, int)
    for at in product(*map(range, layer.shape)):
        neurons[core_of(layer, at)] += 1
    for at in product(*map(range, source.shape)):
        reached = {}
        for target, part in targets_of(source, layer, how, at):
            place = tuple(i % b for i, b in zip(target, layer.box, strict=True))
            reached.setdefault(core_of(layer, target), []).append((place, part))
        outs[core_of(source, at)] += len(reached)
        for c, synapses in reached.items():
            lists[c][at] = synapses
    axons, words = [], []
    for held in lists:
        axon, kept = {}, {}
        for at, synapses in held.items():
            # Which box of the source a channel lies in tells its population apart.
            axon[(at[0] // source.box[0], *at[1:]) if shared else at] = True
            first = synapses[0][0]
            relative = tuple(
                (tuple(np.subtract(place, first).tolist()), part) for place, part in synapses
            )
            kept[(at[0], relative) if shared else at] = len(synapses)
        axons.append(len(axon))
        words.append(sum(int(WORDS[n]) for n in kept.values()))
    told = counted(source, layer, how, WORDS, shared=shared)
    assert told.neurons.tolist() == neurons.tolist()
    assert told.in_axons.tolist() == axons
    assert told.words.tolist() == words
    assert out_axons(source, layer, how).tolist() == outs.tolist()


def test_a_stack_is_placed_no_worse_than_row_by_row_and_the_embedding_uses_each_place_once(rng):
    layers = [Layer(shape=(2, 8, 8), box=(2, 2, 2))] * 3
    same = Convolution(kernel=(3, 3), padding=(1, 1))
    between = stack_flows(layers, [same] * 2, [rng.random((2, 8, 8))] * 2)
    floor = Floor.mesh(8, 7)
    task = Task(flows=between, floor=floor)
    start = embedded(layers, floor)
    assert np.unique(start).size == between.n_cores
    assert task.hops(start) < task.hops(PLACERS["linear"](task, rng))
    found = stack_placed(layers, between, floor, np.random.default_rng(3))
    assert task.hops(found) <= task.hops(start)
    assert np.array_equal(found, stack_placed(layers, between, floor, np.random.default_rng(3)))
