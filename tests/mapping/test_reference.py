import numpy as np
import pytest
from networks import random_network

from mapping.drive import Drive
from mapping.event_files import binned, read_bs2
from mapping.linear import matrix
from mapping.nir_import import import_nir
from mapping.reference import prepare, simulate


def slow(network, counts, n_ticks, timing):
    """The update equation with full matrices and a history of every spike."""
    spikes = {"in": np.vstack([counts, np.zeros((n_ticks - len(counts), counts.shape[1]))])}
    cells = {
        p.name: (np.zeros(p.size), np.zeros(p.size), np.zeros(p.size, bool))
        for p in network.populations
    }
    for p in network.populations:
        spikes[p.name] = np.zeros((n_ticks, p.size))
    potentials = {p.name: np.zeros((n_ticks, p.size)) for p in network.populations}
    for t in range(n_ticks):
        for p in network.order:
            arrived = np.zeros(p.size)
            for k, way in enumerate(network.projections):
                if way.target != p.name:
                    continue
                delay = network.delay_ticks(way)
                late = delay + 1 if timing == "chip" else max(delay, int(k in network.feedback))
                if t >= late:
                    arrived += matrix(way.linear) @ spikes[way.source][t - late]
            i, v, above = cells[p.name]
            keep = np.where(
                p.tau_syn_s > 0, 1 - network.dt_s / np.where(p.tau_syn_s > 0, p.tau_syn_s, 1), 0
            )
            i = keep * i + arrived + p.bias
            v = v + network.dt_s / p.tau_mem_s * (p.v_leak - v) + i
            if p.spiking:
                height = p.threshold - p.v_reset
                test = v - height * above if p.reset == "subtract-once" else v
                fire = test > p.threshold if p.compare == ">" else test >= p.threshold
                v = np.where(fire, p.v_reset if p.reset == "zero" else v - height, v)
                above = v > p.threshold if p.compare == ">" else v >= p.threshold
                spikes[p.name][t] = fire
            cells[p.name] = i, v, above
            potentials[p.name][t] = v
    return spikes, potentials


@pytest.mark.parametrize("timing", ["instant", "chip"])
@pytest.mark.parametrize("reset", ["zero", "subtract", "subtract-once"])
def test_simulation_equals_the_equations(rng, timing, reset):
    network = random_network(rng, reset=reset)
    counts = rng.integers(0, 3, (30, 60)) * (rng.random((30, 60)) < 0.2)
    run = simulate(
        prepare(network, timing=timing), Drive(n_ticks=30, spikes={"in": counts}), n_ticks=40,
        record=("conv", "middle", "out"),
    )  # fmt: skip
    spikes, potentials = slow(network, counts, 40, timing)
    for p in network.populations:
        np.testing.assert_allclose(run.states[p.name, "v"], potentials[p.name], atol=1e-9)
        if p.spiking:
            raster = np.zeros((40, p.size))
            raster[run.spikes[p.name]] = 1
            np.testing.assert_array_equal(raster, spikes[p.name])
    assert spikes["out"].sum() > 10


@pytest.mark.parametrize("timing", ["instant", "chip"])
def test_constant_current_equals_its_repetition(rng, timing):
    network, x = random_network(rng), rng.random(60)
    prepared = prepare(network, timing=timing)
    held = simulate(prepared, Drive(n_ticks=20, currents={"in": x}), n_ticks=25)
    timed = simulate(prepared, Drive(n_ticks=20, currents={"in": np.tile(x, (20, 1))}), n_ticks=25)
    for name, (ticks, neurons) in held.spikes.items():
        np.testing.assert_array_equal(ticks, timed.spikes[name][0])
        np.testing.assert_array_equal(neurons, timed.spikes[name][1])


@pytest.mark.parametrize(
    ("drive", "message"),
    [
        (
            Drive(n_ticks=3, spikes={"in": np.zeros((3, 4), int)}),
            r"60 channels \(2, 6, 5\), but the data 4",
        ),
        (
            Drive(n_ticks=3, spikes={"in": np.zeros((2, 60), int)}),
            "3 ticks of 60 channels are needed",
        ),
        (Drive(n_ticks=3, currents={"in": np.full(60, np.nan)}), "NaN"),
        (Drive(n_ticks=3, spikes={"in": -np.ones((3, 60), int)}), "negative"),
        (Drive(n_ticks=3), "given 0 times"),
        (Drive(n_ticks=0, currents={"in": np.zeros(60)}), "at least one tick"),
    ],
)
def test_bad_drives_are_told(rng, drive, message):
    with pytest.raises(ValueError, match=message):
        simulate(prepare(random_network(rng), timing="instant"), drive)


def test_one_neuron_fires_when_norses_does(shared):
    folder = shared / "networks" / "nir_lif"
    network = import_nir(folder / "lif_norse.nir", dt_s=1e-4, reset="zero")
    table = np.loadtxt(folder / "lif_norse.csv", delimiter=",")
    drive = Drive(n_ticks=len(table), spikes={"input": table[:, :1].astype(int)})
    run = simulate(prepare(network, timing="instant"), drive, record=("1",))
    assert run.spikes["1"][0].tolist() == [460, 510, 710, 760]
    np.testing.assert_allclose(run.states["1", "v"][:, 0], table[:, 1], atol=1e-6)


def test_a_braille_reader_equals_snntorchs_raster(shared):
    folder = shared / "networks" / "nir_braille_zero"
    network = import_nir(folder / "braille_noDelay_bias_zero.nir", dt_s=1e-4, reset="zero")
    x = np.load(folder / "input_sample0.npy").astype(int)
    expected = np.load(folder / "snntorch_activity_noDelay_bias_zero.npy")
    run = simulate(prepare(network, timing="instant"), Drive(n_ticks=len(x), spikes={"input": x}))
    raster = np.zeros(expected.shape)
    raster[run.spikes["lif1.lif"]] = 1
    assert np.count_nonzero(raster != expected) == 0
    assert np.bincount(run.spikes["lif2"][1]).argmax() == 1


@pytest.mark.slow_uncompiled
def test_a_convolutional_network_reads_n_mnist(shared):
    folder = shared / "networks" / "nir_scnn_nmnist"
    network = import_nir(folder / "cnn_sinabs.nir", dt_s=1e-3, reset="zero")
    prepared = prepare(network, timing="instant")
    lines = [line.split() for line in (folder / "labels.txt").read_text().splitlines()[1:9]]
    for name, label in lines:
        counts = binned(*read_bs2(folder / "samples" / f"{name}.bs2"), n_ticks=300)
        drive = Drive(n_ticks=300, spikes={"input": counts.reshape(300, -1)})
        run = simulate(prepared, drive)
        assert np.bincount(run.spikes["12"][1], minlength=10).argmax() == int(label)


def test_a_truncated_recording_is_told(tmp_path):
    (tmp_path / "x.bs2").write_bytes(b"12345678")
    with pytest.raises(ValueError, match="8 bytes, but events of 5"):
        read_bs2(tmp_path / "x.bs2")
