"""Reading NIR files in any state, and what nesting turns into."""

from itertools import pairwise

import h5py
import nir
import numpy as np
import pytest

from mapping.errors import NetworkError, NirError, UnsupportedNodeError
from mapping.linear import matrix
from mapping.nir_file import read_graph
from mapping.nir_import import import_nir


def neurons(n=2):
    one = np.ones(n)
    return nir.LIF(tau=0.01 * one, r=one, v_leak=0 * one, v_threshold=one)


def graph(nodes, edges, **how):
    return nir.NIRGraph(nodes=nodes, edges=edges, type_check=False, **how)


def ends(n=2):
    return {"in": nir.Input({"input": np.array([n])}), "out": nir.Output({"output": np.array([n])})}


def network(**middle):
    middle = middle or {"w": nir.Affine(np.eye(2), np.ones(2)), "lif": neurons()}
    names = ["in", *middle, "out"]
    nodes = ends() | middle
    return graph(nodes, list(pairwise(names)), metadata={"dt": 1e-3, "reset": "zero"})


@pytest.fixture
def path(tmp_path):
    nir.write(tmp_path / "net.nir", network())
    return tmp_path / "net.nir"


def test_a_file_and_its_graph_say_the_same(path):
    from_file, from_memory = read_graph(path), read_graph(network())
    assert from_file.edges == from_memory.edges
    assert {n.name: n.kind for n in from_file.nodes.values()} == {
        n.name: n.kind for n in from_memory.nodes.values()
    }
    assert from_file.metadata == {"dt": 1e-3, "reset": "zero"}


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("missing", "net.nir: there is no such file"),
        ("folder", "this is a folder, not a NIR file"),
        ("text", r"net.nir: cannot be read .*is it a NIR file \(HDF5"),
        ("empty", "net.nir: cannot be read"),
        ("truncated", "net.nir: cannot be read"),
        ("other HDF5", "net.nir: no group 'node' in it"),
    ],
)
def test_what_is_no_nir_file_gives_one_clear_error(path, tmp_path, kind, message):
    whole = path.read_bytes()
    path.unlink()
    if kind == "folder":
        path = tmp_path
    elif kind == "other HDF5":
        with h5py.File(path, "w") as file:
            file["spikes"] = [1, 2, 3]
    elif kind != "missing":
        path.write_bytes({"text": b"hello", "empty": b"", "truncated": whole[:900]}[kind])
    error = FileNotFoundError if kind == "missing" else NirError
    with pytest.raises(error, match=message):
        import_nir(path)


@pytest.mark.parametrize(
    ("where", "value", "message"),
    [
        ("node", 3, "'node' holds no nodes"),
        ("node/type", None, "top node is of type nothing, not NIRGraph"),
        ("node/type", "LIF", "top node is of type LIF, not NIRGraph"),
        ("node/edges", None, "the graph has no 'nodes' or no 'edges'"),
        ("node/edges", 3, "edges that are no pairs"),
        ("node/edges", [["in", "w", "lif"]], "edges that are no pairs"),
        ("node/edges", [["in", "x"], ["y", "out"]], "edges name nodes that are not there: x, y"),
        ("node/nodes/in", None, "edges name nodes that are not there: in"),
        ("node/nodes/w", 3, "node 'w' has no type"),
        ("node/nodes/w/type", None, "node 'w' has no type"),
        ("node/nodes/w/weight", None, "'w' of type Affine has no 'weight'"),
        ("node/nodes/w/weight", "x", "'w' of type Affine: weight holds no numbers"),
        ("node/nodes/lif/tau", None, "'lif' of type LIF has no 'tau'"),
        ("node/nodes/lif/tau", h5py.Empty("f4"), "'lif' of type LIF: tau"),
        ("node/nodes/lif/r", [1.0, np.nan], "'lif' of type LIF: 1 of 2 values of r are NaN"),
        ("node/nodes/in/shape", None, "'in' of type Input has no 'input_type'"),
        ("node/nodes/in/shape", [0], r"shape \(0,\) must hold 1 to 2\^31 channels"),
        ("node/nodes/in/shape", [1.5], "shape must be whole numbers"),
        ("node/nodes/in/type", "Scale", "has no Input node to start from"),
    ],
)
def test_a_damaged_part_is_named(path, where, value, message):
    with h5py.File(path, "r+") as file:
        del file[where]
        if value is not None:
            file[where] = value
    with pytest.raises(NirError, match=message):
        import_nir(path)


JUNK = (b"x", np.nan, -1, 0, 2.5, [1, 2], [], np.zeros((2, 3, 4)), [b"a"], 1 + 2j, h5py.Empty("f4"))


def test_no_damage_lets_another_error_out(path):
    """Every part of a file in turn is deleted or replaced by every kind of junk."""
    whole = path.read_bytes()
    with h5py.File(path) as file:
        parts: list[str] = []
        file.visit(parts.append)
    refused = 0
    for part in parts:
        for junk in (None, *JUNK):
            path.write_bytes(whole)
            with h5py.File(path, "r+") as file:
                del file[part]
                if junk is not None:
                    file[part] = junk
            try:
                import_nir(path)
            except (NirError, NetworkError, UnsupportedNodeError):
                refused += 1
    assert refused > len(parts) * len(JUNK) / 2


def test_scalar_parameters_hold_for_all_neurons(path):
    with h5py.File(path, "r+") as file:
        for key, value in {"tau": 0.02, "r": 3.0, "v_leak": 0.1, "v_threshold": 1.0}.items():
            del file[f"node/nodes/lif/{key}"]
            file[f"node/nodes/lif/{key}"] = value
    imported = import_nir(path)
    np.testing.assert_allclose(imported.populations[0].tau_mem_s, [0.02, 0.02])
    np.testing.assert_allclose(
        matrix(imported.projections[0].linear), 3.0 * 1e-3 / 0.02 * np.eye(2)
    )


def nested(inner_nodes, inner_edges, tmp_path, edges=(("in", "block"), ("block", "out"))):
    block = graph(inner_nodes, inner_edges)
    whole = graph(ends() | {"block": block}, list(edges), metadata={"dt": 1e-3, "reset": "zero"})
    nir.write(tmp_path / "nested.nir", whole)
    return tmp_path / "nested.nir"


def test_graphs_nest_twice(tmp_path):
    core = graph(ends() | {"lif": neurons()}, [("in", "lif"), ("lif", "out")])
    path = nested(ends() | {"core": core}, [("in", "core"), ("core", "out")], tmp_path)
    imported = import_nir(path)
    assert [p.name for p in imported.populations] == ["block.core.lif"]
    assert imported.outputs == ("block.core.lif",)


def test_an_edge_into_a_graph_needs_one_gate(tmp_path):
    path = nested({"lif": neurons()}, [], tmp_path)
    with pytest.raises(NirError, match=r"in → block needs one node of type Input.*has none"):
        import_nir(path)
    two = ends() | {"more": nir.Input({"input": np.array([2])}), "lif": neurons()}
    inner = [("in", "lif"), ("more", "lif"), ("lif", "out")]
    with pytest.raises(NirError, match=r"2 nodes of type Input \(block.in, block.more\)"):
        import_nir(nested(two, inner, tmp_path))


def test_an_edge_may_name_an_inner_node(tmp_path):
    two = ends() | {"more": nir.Input({"input": np.array([2])}), "lif": neurons()}
    inner = [("in", "lif"), ("more", "lif"), ("lif", "out")]
    edges = [("in", "block.more"), ("block.lif", "out")]
    imported = import_nir(nested(two, inner, tmp_path, edges))
    assert {p.name for p in imported.projections} == {"in→block.lif", "block.in→block.lif"}


def test_joined_names_must_stay_apart(tmp_path):
    inner = graph(ends() | {"lif": neurons()}, [("in", "lif"), ("lif", "out")])
    whole = network(**{"block": inner, "block.lif": neurons()})
    with pytest.raises(NirError, match=r"two nodes are called 'block\.lif'"):
        import_nir(whole)


class Tensor:
    """As torch's: it must be detached before NumPy may see it."""

    def __init__(self, values, detached=False):
        self._values, self._detached = np.asarray(values), detached

    def detach(self):
        return Tensor(self._values, detached=True)

    def cpu(self):
        return self

    def numpy(self):
        return self._values

    def __array__(self, dtype=None, copy=None):
        raise RuntimeError("Can't call numpy() on Tensor that requires grad.")


def changed(node, **values):
    """A node past the checks of the nir package."""
    for name, value in values.items():
        setattr(node, name, value)
    return node


def test_tensors_and_lists_in_memory_are_numbers():
    weights = changed(
        nir.Affine(np.eye(2), np.ones(2)), weight=Tensor(np.eye(2)), bias=Tensor(np.ones(2))
    )
    lif = changed(neurons(), tau=[0.01, 0.01], v_threshold=Tensor([1.0, 1.0]))
    held = import_nir(network(w=weights, lif=lif))
    assert held.sha256 == import_nir(network()).sha256


@pytest.mark.parametrize("source", [{"a": 1}, neurons(), 3, None])
def test_a_source_that_is_none_is_told(source):
    with pytest.raises(NirError, match=r"a path or a nir\.NIRGraph is needed, but this is of type"):
        import_nir(source)


def test_a_node_that_is_none_is_named():
    whole = network()
    whole.nodes["w"] = None
    with pytest.raises(NirError, match="the graph: node 'w' has no type"):
        import_nir(whole)


def test_a_name_too_long_for_a_file_is_told(tmp_path):
    with pytest.raises(NirError, match="too long"):
        import_nir(tmp_path / ("a" * 300))


def test_metadata_may_be_arrays_of_one():
    whole = network()
    whole.metadata = {"dt": np.array([1e-3]), "reset": np.array([b"zero"])}
    assert import_nir(whole).sha256 == import_nir(network()).sha256
