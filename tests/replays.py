"""Runs to replay: a small network of three layers, its data, and a trace of it."""

import numpy as np
from command_line import write_network

from emulator.chip_file import chip_with, load_chip
from mapping.nir_import import import_nir
from spikefab.data import fit_samples
from spikefab.deployment import deploy
from spikefab.run import run_network

TICKS, SAMPLES, CHANNELS = 20, 4, 3


def network_in(folder):
    rng = np.random.default_rng(3)
    weight = rng.normal(2.0, 4.0, (6, CHANNELS))
    write_network(folder / "net.nir", weight=weight, names=("one", "two", "three"))
    return import_nir(folder / "net.nir", reset="zero")


def deployed(folder, *, direct=False, chip=None, x=None, **changes):
    """A deployment and samples for it; ``changes`` are keys of the chip with __ for the dot."""
    network = network_in(folder)
    rng = np.random.default_rng(0)
    chip = load_chip(chip or "loihi")
    settings = {key.replace("__", "."): value for key, value in changes.items()}
    chip = chip_with(chip, settings) if settings else chip
    y = rng.integers(0, 6, SAMPLES)
    if direct:
        samples = fit_samples(rng.random((SAMPLES, CHANNELS)), y, network, ticks=TICKS)
    else:
        x = rng.integers(0, 3, (SAMPLES, TICKS, CHANNELS)) if x is None else x
        samples = fit_samples(x, y, network, encoding="spikes")
    return deploy(network, chip, direct=direct, samples=samples), samples


def recorded(folder, *, run=None, **how):
    """Run into a folder and return what was run."""
    folder.mkdir(exist_ok=True)
    deployment, samples = deployed(folder, **how)
    result = run_network(deployment, samples, folder=folder, **(run or {}))
    assert all(counts.any() for counts in result.counts_chip.values())
    return result
