"""With everything wide, a chip converges to the float reference: the bound of docs/arithmetic.md."""

import numpy as np
import pytest
from random_machines import chip_with

from emulator.engine import Engine
from mapping.drive import Drive
from mapping.linear import Dense
from mapping.network import Input, Network, Population, Projection
from mapping.reference import prepare, simulate
from spikefab.deployment import deploy
from spikefab.host import stimulus

pytestmark = pytest.mark.plain_python
TICKS, N_IN, N = 120, 20, 6


def wide_chip(bits):
    """The parametric chip with so many bits for weights and decays, and registers 14 bits wider."""
    widths = {"weight_bits": bits, "decay_bits": bits, "threshold_bits": min(bits + 10, 32)}
    registers = {"current_bits": bits + 14, "membrane_bits": bits + 14, "bias_bits": 32}
    return chip_with(numbers=widths | registers)


def network(rng, threshold):
    weight = rng.normal(0.02, 0.1, (N, N_IN))
    return Network(
        dt_s=1e-3,
        inputs=(Input(name="in", shape=(N_IN,)),),
        populations=(
            Population(
                name="a", shape=(N,), threshold=threshold, tau_mem_s=rng.uniform(8e-3, 30e-3, N),
                tau_syn_s=rng.uniform(2e-3, 9e-3, N),
            ),
        ),
        projections=(
            Projection(
                source="in", target="a",
                linear=Dense(weight=weight, pre_shape=(N_IN,), post_shape=(N,)),
            ),
        ),
        outputs=("a",),
    )  # fmt: skip


def bound(net, chip, fixed, counts, states):
    """Largest error of each membrane after each tick, from the formats and the float run alone.

    Parameters
    ----------
    states : (i, v), float64 [ticks, n]
        Of the float run.
    """
    population, part = net.populations[0], fixed.populations[0]
    keep_u = 1 - net.dt_s / population.tau_syn_s
    keep_v = 1 - net.dt_s / population.tau_mem_s
    in_decay, unit = 0.5 / 2**chip.numbers.decay_bits, 1 / part.scale
    step = 2.0 ** (part.sum_shift + fixed.projections[0].shift + chip.numbers.input_shift)
    error_u, error_v = np.zeros(N), np.zeros(N)
    found = []
    for tick, (u, v) in enumerate(zip(*states, strict=True)):
        before_u, before_v = (states[0][tick - 1], states[1][tick - 1]) if tick else (0 * u, 0 * v)
        arrived = counts[tick - 1].sum() if 1 <= tick <= len(counts) else 0
        error_u = (
            (keep_u + in_decay) * error_u + in_decay * np.abs(before_u)
            + (0.5 + 0.5 * step * arrived) * unit
        )  # fmt: skip
        error_v = (keep_v + in_decay) * error_v + in_decay * np.abs(before_v) + 0.5 * unit + error_u
        found.append(error_v)
    return np.array(found)


def both(net, chip, counts):
    drive = Drive(n_ticks=len(counts), spikes={"in": counts})
    deployment = deploy(net, chip, direct=False)
    ticks = len(counts) + 1
    run = simulate(prepare(net, timing="chip"), drive, n_ticks=ticks, record=("a",))
    engine = Engine(deployment.program, chip, watched=np.arange(N))
    blocks = []
    engine.run([stimulus(drive, deployment, ticks)], ticks, blocks.append)
    membranes = np.vstack([b.frames for b in blocks]) / deployment.fixed.populations[0].scale
    spikes = [(b.spike_tick.tolist(), b.spike_neuron.tolist()) for b in blocks]
    overflows = [v.sum() for k, v in engine.counters.items() if k.endswith("overflows")]
    assert not any(overflows)
    return run, membranes, spikes, deployment.fixed


@pytest.mark.parametrize("bits", [8, 12, 16, 20, 24])
def test_membranes_stay_within_the_bound(rng, bits):
    net, chip = network(rng, None), wide_chip(bits)
    counts = (rng.random((TICKS, N_IN)) < 0.2).astype(int)
    run, membranes, _, fixed = both(net, chip, counts)
    limit = bound(net, chip, fixed, counts, (run.states["a", "i"], run.states["a", "v"]))
    error = np.abs(membranes - run.states["a", "v"])
    assert np.all(error <= limit)
    # The bound itself halves with every bit, give or take what the scale loses to powers of 2.
    assert limit.max() < 2.0 ** (9 - bits)
    assert error.max() > 0


def test_wide_enough_every_spike_is_the_same(rng):
    net = network(rng, 0.4)
    counts = (rng.random((TICKS, N_IN)) < 0.2).astype(int)
    run, _, spikes, _ = both(net, wide_chip(24), counts)
    ticks, neurons = run.spikes["a"]
    assert len(ticks) > 50
    got = sorted(pair for t, n in spikes for pair in zip(t, n, strict=True))
    assert got == sorted(zip(ticks.tolist(), neurons.tolist(), strict=True))
