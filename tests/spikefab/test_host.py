"""Direct current on the host, against the equation tick by tick."""

import tracemalloc

import numpy as np
import pytest

from emulator.chip_file import load_chip
from mapping.drive import Drive
from mapping.linear import Convolution, Dense, matrix
from mapping.network import Input, Network, Population, Projection
from mapping.rounding import bias_integers
from spikefab import currents
from spikefab.data import Samples
from spikefab.deployment import deploy
from spikefab.host import Host, stimulus
from spikefab.run import run_network
from spikefab.summary import summary

LOIHI = load_chip("loihi")


def network_of(rng, *, tau_syn_s=0.0, delay_s=0.0, threshold=1.0):
    """Two inputs' worth of ways onto one population."""
    first = Dense(weight=rng.normal(0, 0.3, (6, 4)), pre_shape=(4,), post_shape=(6,))
    conv = Convolution(
        kernel=rng.normal(0, 0.3, (1, 1, 3)), pre_shape=(1, 4), stride=(1,), padding=((2, 2),),
        dilation=(1,),
    )  # fmt: skip
    return Network(
        dt_s=1e-3,
        inputs=(Input(name="in", shape=(4,)),),
        populations=(
            Population(
                name="a", shape=(6,), threshold=threshold, tau_syn_s=tau_syn_s, bias=0.01,
                tau_mem_s=10e-3,
            ),
        ),
        projections=(
            Projection(source="in", target="a", linear=first),
            Projection(source="in", target="a", linear=conv, delay_s=delay_s),
        ),
        outputs=("a",),
    )  # fmt: skip


def slow_changes(network, deployment, values, n_ticks):
    """The bias at each tick [n_ticks, n], from the equation."""
    part = network.populations[0]
    arriving = np.zeros((n_ticks, part.size))
    for p in network.projections:
        first = round(p.delay_s / network.dt_s)
        for tick, row in enumerate(values):
            if tick + first < n_ticks:
                arriving[tick + first] += matrix(p.linear) @ row
    fixed, level, given = deployment.fixed.populations[0], np.zeros(part.size), []
    for row in arriving:
        keep = np.where(part.tau_syn_s > 0, 1 - network.dt_s / np.maximum(part.tau_syn_s, 1e-9), 0)
        level = keep * level + row
        given.append(bias_integers(fixed.bias + level * fixed.scale, LOIHI) - fixed.bias)
    return np.array(given)


@pytest.mark.parametrize("held", [True, False])
@pytest.mark.parametrize("tau_syn", [0.0, 4e-3])
@pytest.mark.parametrize("delay", [0.0, 3e-3])
def test_events_follow_the_equation(rng, held, tau_syn, delay):
    network = network_of(rng, tau_syn_s=tau_syn, delay_s=delay)
    values = rng.normal(0, 1, 4) if held else rng.normal(0, 1, (20, 4))
    deployment = deploy(network, LOIHI, direct=True)
    events = stimulus(Drive(n_ticks=20, currents={"in": values}), deployment, 30)
    expected = slow_changes(network, deployment, np.broadcast_to(values, (20, 4)), 30)
    back = np.argsort(deployment.program.neurons_of("a"))
    got, now = np.zeros((30, 6), np.int64), np.zeros(6, np.int64)
    for tick in range(30):
        for k in np.flatnonzero(events.current_tick == tick):
            neuron = back[events.current_neuron[k]]
            assert now[neuron] != events.current_value[k]  # nothing is said twice
            now[neuron] = events.current_value[k]
        got[tick] = now
    np.testing.assert_array_equal(got, expected)


def test_a_held_input_is_two_changes_however_long(rng):
    network = network_of(rng)
    deployment = deploy(network, LOIHI, direct=True)
    drive = Drive(n_ticks=100_000, currents={"in": rng.normal(0, 1, 4)})
    tracemalloc.start()
    events = stimulus(drive, deployment, 100_001)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert sorted(set(events.current_tick)) == [0, 100_000]
    assert events.current_tick.size == 12
    assert peak < 1e6


def test_a_convolution_is_unrolled_once_for_a_deployment(rng, monkeypatch):
    network = network_of(rng)
    calls = []
    unroll = currents.sparse
    monkeypatch.setattr(currents, "sparse", lambda linear: calls.append(1) or unroll(linear))
    samples = Samples(x=rng.normal(0, 1, (5, 4)), y=None, n_ticks=4, spiking=False)
    run_network(deploy(network, LOIHI, direct=True, samples=samples), samples)
    assert len(calls) == 1


def test_currents_beyond_the_format_are_counted_and_told(rng):
    network = network_of(rng)
    samples = Samples(x=np.full((2, 4), 1e4), y=None, n_ticks=10, spiking=False)
    result = run_network(deploy(network, LOIHI, direct=True), samples)
    numbers = summary(result, network="n", wall_s=0.0)
    cut = numbers["currents_cut"]["a"]
    assert cut == 12
    told = [note for note in numbers["warnings"] if "currents of the host" in note]
    assert len(told) == 1
    assert told[0].startswith(f"a: {cut} of 12 currents of the host were cut to the chip's largest")


def test_samples_that_are_known_are_not_cut(rng):
    network = network_of(rng, threshold=None)
    samples = Samples(x=rng.uniform(0, 255, (8, 4)), y=None, n_ticks=50, spiking=False)
    result = run_network(deploy(network, LOIHI, direct=True, samples=samples), samples)
    assert result.currents_cut == {"a": 0}
    assert result.warnings == ()
    np.testing.assert_allclose(
        result.readout_chip, result.readout_float, rtol=0.01, atol=1e-3 * np.abs(result.readout_float).max()
    )  # fmt: skip


@pytest.mark.parametrize("tau_syn", [0.0, 20e-3])
def test_the_largest_current_is_the_largest_that_is_handed_over(rng, tau_syn):
    network = network_of(rng, tau_syn_s=tau_syn)
    drives = [Drive(n_ticks=30, currents={"in": rng.normal(0, 0.2, 4)}) for _ in range(3)]
    targets = currents.targets_of(network, frozenset(["in"]))
    largest = currents.largest_currents(targets, drives)["a"]
    deployment = deploy(network, LOIHI, direct=True)
    host = Host(deployment)
    fixed = deployment.fixed.populations[0]
    handed = max(np.abs(host.stimulus(d, 30).current_value).max() for d in drives)
    assert handed / fixed.scale == pytest.approx(largest, rel=1e-3, abs=2 / fixed.scale)
