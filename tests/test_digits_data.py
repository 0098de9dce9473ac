"""The demo's images and networks are the ones their README describes."""

import hashlib
import re
from importlib.resources import files
from pathlib import Path

import nir
import numpy as np
import pytest

DATA = Path(str(files("spikefab") / "data"))
NETWORKS = ["digits_mlp.nir", "digits_cnn.nir"]


@pytest.fixture(scope="module", params=NETWORKS)
def graph(request: pytest.FixtureRequest) -> nir.NIRGraph:
    return nir.read(DATA / request.param)


def chain(graph: nir.NIRGraph) -> list[str]:
    """Return the names of the nodes from input to output, following the edges."""
    after = dict(graph.edges)
    assert len(after) == len(graph.edges), "a node has two successors"
    names = ["input"]
    while names[-1] in after:
        names.append(after[names[-1]])
    return names


def test_held_out_part_is_a_balanced_fifth_of_the_digits():
    with np.load(DATA / "digits_test.npz") as archive:
        assert sorted(archive) == ["x", "y"]
        x, y = archive["x"], archive["y"]
    assert x.dtype == np.float32
    assert x.shape == (360, 1, 8, 8)
    assert y.dtype == np.int64
    assert y.shape == (360,)
    # Pixels are whole sixteenths, and the whole range is used.
    assert np.array_equal(x * 16, np.rint(x * 16))
    assert (x.min(), x.max()) == (0, 1)
    # The 1,797 images hold 174 to 183 of each class; a fifth of that is 35 to 37.
    counts = np.bincount(y, minlength=10)
    assert len(counts) == 10
    assert counts.min() >= 35
    assert counts.max() <= 37
    # No image is in it twice.
    assert len(np.unique(x.reshape(360, 64), axis=0)) == 360


def test_files_are_the_ones_listed_in_the_readme():
    listed = re.findall(
        r"`(\S+)`\s*\|\s*([\d,]+)\s*\|\s*`([0-9a-f]{64})`", (DATA / "README.md").read_text()
    )
    found = [
        (p.name, f"{p.stat().st_size:,}", hashlib.sha256(p.read_bytes()).hexdigest())
        for p in sorted(DATA.glob("digits_*"))
    ]
    assert sorted(listed) == found
    assert len(found) == 3


@pytest.mark.parametrize("name", [*NETWORKS, "digits_test.npz"])
def test_files_are_small(name):
    assert (DATA / name).stat().st_size < 300_000


def test_one_chain_leads_from_the_image_to_ten_output_neurons(graph):
    names = chain(graph)
    assert sorted(names) == sorted(graph.nodes)
    assert names[-1] == "output"
    assert graph.nodes["input"].output_type["output"].tolist() == [1, 8, 8]
    assert graph.nodes["output"].input_type["input"].tolist() == [10]
    assert isinstance(graph.nodes[names[-2]], nir.IF)


def test_each_layer_of_weights_feeds_a_layer_of_integrate_and_fire_neurons(graph):
    names = chain(graph)
    weighted = [n for n in names if isinstance(graph.nodes[n], nir.Affine | nir.Conv2d)]
    neurons = [n for n in names if isinstance(graph.nodes[n], nir.IF)]
    assert [names[names.index(n) + 1] for n in weighted] == neurons
    for name in neurons:
        node = graph.nodes[name]
        assert np.all(node.r == 1)
        assert np.all(node.v_threshold == 1)
        assert np.all(node.v_reset == 0)
        assert node.r.shape == node.v_threshold.shape == node.v_reset.shape


def test_weights_are_finite_float32_with_a_bias_per_output(graph):
    for node in graph.nodes.values():
        if isinstance(node, nir.Affine | nir.Conv2d):
            assert node.weight.dtype == node.bias.dtype == np.float32
            assert node.bias.shape == node.weight.shape[:1]
            assert np.all(np.isfinite(node.weight))
            assert np.all(np.isfinite(node.bias))


def test_sizes_of_the_layers():
    def sizes(name: str) -> list[tuple[int, ...]]:
        graph = nir.read(DATA / name)
        nodes = [graph.nodes[n] for n in chain(graph)]
        return [node.v_threshold.shape for node in nodes if isinstance(node, nir.IF)]

    assert sizes("digits_mlp.nir") == [(128,), (64,), (10,)]
    assert sizes("digits_cnn.nir") == [(12, 8, 8), (24, 4, 4), (64,), (10,)]


def test_convolutions_of_the_cnn():
    graph = nir.read(DATA / "digits_cnn.nir")
    found = [
        (
            node.weight.shape,
            tuple(node.input_shape),
            tuple(node.stride),
            tuple(node.padding),
            tuple(node.dilation),
            node.groups,
        )
        for node in (graph.nodes[name] for name in chain(graph))
        if isinstance(node, nir.Conv2d)
    ]
    assert found == [
        ((12, 1, 3, 3), (8, 8), (1, 1), (1, 1), (1, 1), 1),
        ((24, 12, 3, 3), (8, 8), (2, 2), (1, 1), (1, 1), 1),
    ]


def test_metadata_says_what_nir_has_no_field_for(graph):
    assert graph.metadata["dt"] == 1e-3
    assert graph.metadata["ticks"] == 32
    assert graph.metadata["reset"] == "zero"
    assert graph.metadata["spike"] == "dirac"
    assert "train_digits.py" in graph.metadata["source"]
    assert "1437" in graph.metadata["trained_on"]
