"""What a network takes of a chip is known from its shapes, before any weight is read."""

from dataclasses import replace

import h5py
import nir
import numpy as np
import pytest
from networks import random_network

from emulator.chip_file import load_chip
from mapping import nir_file
from mapping.deploy import map_network
from mapping.linear import constant, is_constant, with_weights
from mapping.mapping import resources
from mapping.network import weights_of
from mapping.nir_import import import_nir
from mapping.outline import Outline
from mapping.partition import partition
from mapping.quantise import quantise

LOIHI = load_chip("loihi")
RESOURCES = ("neurons", "in_axons", "out_axons", "synapse_words")


def without_zeros(network):
    """The same connections, each with a weight that no rounding makes 0; alike neurons."""
    return replace(
        network,
        populations=tuple(
            replace(p, threshold=1.0 if p.spiking else None) for p in network.populations
        ),
        projections=tuple(
            replace(p, linear=with_weights(p.linear, np.ones(weights_of(p.linear).shape)))
            for p in network.projections
        ),
    )


@pytest.mark.parametrize("seed", range(12))
def test_shapes_alone_give_the_counts_of_what_is_loaded(seed):
    """Where each pair of parts has one projection, so that no two can come to share a format."""
    network = without_zeros(random_network(np.random.default_rng(seed)))
    single = {(p.source, p.target): p for p in network.projections}
    network = replace(network, projections=tuple(single.values()))
    planned, problems = partition(
        Outline.before_rounding(network, LOIHI, direct=frozenset()), LOIHI
    )
    assert problems == ()
    mapping, program = map_network(quantise(network, LOIHI), LOIHI)
    assert [[(part.population, part.neurons.tolist()) for part in held] for held in planned] == [
        [(part.population, part.neurons.tolist()) for part in held] for held in mapping.cores
    ]
    assert resources(program, LOIHI).violations(program, LOIHI) == ()


def test_settings_tell_neurons_apart_as_rounding_does():
    rng = np.random.default_rng(5)
    network = random_network(rng)
    first = network.populations[0]
    decays = np.where(np.arange(first.size) % 2, 20e-3, 5e-3)
    network = replace(
        network, populations=(replace(first, tau_mem_s=decays), *network.populations[1:])
    )
    planned = Outline.before_rounding(network, LOIHI, direct=frozenset()).populations[0]
    loaded = Outline.of(quantise(network, LOIHI)).populations[0]
    for outline in (planned, loaded):
        assert np.unique(outline.settings).size == 2
        assert np.array_equal(
            outline.settings == outline.settings[0], np.arange(first.size) % 2 == 0
        )


def test_large_matrices_stay_unread(tmp_path, monkeypatch):
    monkeypatch.setattr(nir_file, "LARGE_MATRIX", 12)
    weight = np.arange(12.0).reshape(3, 4)
    nodes = {
        "in": nir.Input({"input": np.array([4])}),
        "w": nir.Affine(weight, np.arange(3.0)),
        "n": nir.LIF(*(np.full(3, v) for v in (0.02, 1.0, 0.0, 1.0, 0.0))),
        "out": nir.Output({"output": np.array([3])}),
    }  # fmt: skip
    path = tmp_path / "net.nir"
    nir.write(path, nir.NIRGraph(nodes, [("in", "w"), ("w", "n"), ("n", "out")]))
    read, unread = (
        import_nir(path, dt_s=1e-3, reset="zero", matrices=matrices) for matrices in (True, False)
    )
    assert not is_constant(read.projections[0].linear.weight)
    assert is_constant(unread.projections[0].linear.weight)
    assert unread.projections[0].linear.weight.shape == (3, 4)
    np.testing.assert_array_equal(unread.populations[0].bias, read.populations[0].bias)
    with h5py.File(path, "a") as file:
        del file["node/nodes/w/weight"]
        file["node/nodes/w/weight"] = np.full((3, 4), "x", dtype=h5py.string_dtype())
    with pytest.raises(nir_file.NirError, match="weight holds no numbers"):
        import_nir(path, dt_s=1e-3, reset="zero", matrices=False)


def test_a_constant_is_one_number_whatever_its_shape():
    ones = constant(2.0, (1000, 1000, 1000))
    assert is_constant(ones)
    assert ones[3, 4, 5] == 2
    assert not is_constant(np.ones((2, 2)))
