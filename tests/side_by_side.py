"""One network in float and on a chip, from the same input."""

import numpy as np

from emulator.chip_file import load_chip
from emulator.engine import Engine
from mapping.linear import Dense
from mapping.reference import prepare, simulate
from spikefab.deployment import deploy
from spikefab.host import stimulus

LOIHI = load_chip("loihi")


def dense(weight):
    weight = np.atleast_2d(np.asarray(weight, float))
    n_post, n_pre = weight.shape
    return Dense(weight=weight, pre_shape=(n_pre,), post_shape=(n_post,))


def run_both(network, drive, chip=LOIHI, *, direct=False):
    """Spike counts and membranes of every population, in float and on the chip."""
    deployment = deploy(network, chip, direct=direct)
    program = deployment.program
    ticks = drive.n_ticks + max(p.lag for p in program.populations)
    names = [p.name for p in network.populations]
    prepared = prepare(network, timing="chip", input_latency=chip.arithmetic.input_latency)
    float_run = simulate(prepared, drive, n_ticks=ticks, record=names)
    engine = Engine(program, chip, watched=np.arange(program.n_neurons))
    counts, frames = np.zeros(program.n_neurons, int), []

    def observe(block):
        np.add.at(counts, block.spike_neuron, block.spike_payload)
        frames.append(block.frames)

    engine.run([stimulus(drive, deployment, ticks)], ticks, observe)
    found = {}
    for p in network.populations:
        fixed, at = deployment.fixed.population(p.name), program.neurons_of(p.name)
        spikes = float_run.spikes[p.name][1] if p.spiking else np.empty(0, int)
        v = np.vstack(frames)[:, at] / fixed.scale + fixed.offset
        found[p.name] = (
            np.bincount(spikes, minlength=p.size), counts[at], float_run.states[p.name, "v"], v,
        )  # fmt: skip
    overflows = {k: int(v.sum()) for k, v in engine.counters.items() if k.endswith("overflows")}
    return found, overflows, deployment.fixed
