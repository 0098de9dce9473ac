"""nengo-loihi's emulator (``pip install nengo-loihi 'numpy<1.24'``), given integers directly.

Blocks are filled below Nengo's own layer, so nothing is quantised on the way: the registers hold
the workload's numbers.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from nengo_loihi.block import Axon, LoihiBlock, Synapse
from nengo_loihi.builder import Model
from nengo_loihi.emulator import EmulatorInterface
from nengo_loihi.inputs import SpikeInput
from peer_outcome import Outcome, Spent

CORE = 1024  # compartments a core


def block(bias: Any, threshold: int, leak: int) -> LoihiBlock:
    """Make compartments of integers, whose synaptic current lasts one tick."""
    made = LoihiBlock(len(bias))
    cells = made.compartment
    whole = np.zeros(len(bias), np.int32)
    cells.decay_u, cells.decay_v = whole + 4095, whole + leak
    cells.scale_u = cells.scale_v = False
    cells.vth, cells.bias = whole + 64 * threshold, np.asarray(64 * bias, np.int32)
    cells.vmin, cells.vmax = -(2**23) + 1, 2**23 - 1
    return made


def project(source: Any, target: LoihiBlock, weights: list[Any], indices: list[Any]) -> None:
    """Connect all of a source with a block: row ``i`` are the weights of its cell ``i``."""
    synapse = Synapse(len(weights))
    synapse.weights = [np.asarray(64 * row.astype(np.int32))[None] for row in weights]
    synapse.indices = [np.asarray(row, np.int32)[None] for row in indices]
    target.add_synapse(synapse)
    axon = Axon(len(weights))
    axon.target = synapse
    axon.set_compartment_axon_map(np.arange(len(weights)))
    source.add_axon(axon)


def feed_forward(net: dict[str, Any], model: Model) -> list[int]:
    """Build W1 of one block a layer; say to which population each block belongs."""
    source: Any = SpikeInput(net["raster"].shape[1])
    for tick, row in enumerate(net["raster"]):
        source.add_spikes(tick + 1, np.flatnonzero(row), permanent=True)
    model.add_input(source)
    for layer, weights in enumerate(net["weights"]):
        n_out = weights.shape[1]
        target = block(np.zeros(n_out, int), net["vth"][layer], net["dv"])
        project(source, target, list(weights), [np.arange(n_out)] * len(weights))
        model.add_block(target)
        source = target
    return [0, 1, 2]


def recurrent(net: dict[str, Any], model: Model, size: int) -> list[int]:
    """Build W2 or W3 of blocks of one size; targets of a row are in order."""
    firsts = range(0, net["n"], size)
    blocks = [block(net["bias"][i : i + size], net["vth"], net["dv"]) for i in firsts]
    for begin, source in zip(firsts, blocks, strict=True):
        model.add_block(source)
        rows, weights = net["dst"][begin : begin + size], net["w"][begin : begin + size]
        cuts = [np.searchsorted(row, [*firsts, net["n"]]) for row in rows]
        for place, (first, target) in enumerate(zip(firsts, blocks, strict=True)):
            parts = [slice(cut[place], cut[place + 1]) for cut in cuts]
            project(
                source, target,
                [row[part] for row, part in zip(weights, parts, strict=True)],
                [row[part] - first for row, part in zip(rows, parts, strict=True)],
            )  # fmt: skip
    return [0] * len(blocks)


def prepare(net: dict[str, Any], blocks: str) -> Callable[[], Outcome]:
    """Build with a block for each population, or with blocks that fit a core (``cores``)."""
    model = Model()
    if "raster" in net:
        owners = feed_forward(net, model)  # layers of 1024 fit a core as they are
    else:
        owners = recurrent(net, model, CORE if blocks == "cores" else net["n"])

    def simulate() -> Outcome:
        emulator = EmulatorInterface(model, seed=0)
        begin = Spent.now()
        emulator.run_steps(net["steps"])
        spent = begin.since()
        counts = [0] * (max(owners) + 1)
        for owner, span in zip(owners, emulator.block_info.slices.values(), strict=True):
            counts[owner] += int(emulator.compartment.spike_count[span].sum())
        return Outcome(*spent, tuple(counts), f"{len(owners)} blocks")

    return simulate
