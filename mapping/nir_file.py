"""Read a NIR file into a flat list of nodes, whatever state the file is in.

The ``nir`` package raises errors of many kinds on old, foreign or damaged files, from inside its
own classes. Here its file format is read as plain values, so that every message can name the
node; graphs that ``nir`` holds in memory come in through their own dictionaries.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import nir
import numpy as np
from numpy.typing import NDArray

from mapping.errors import NetworkError, NirError, UnsupportedNodeError
from mapping.linear import constant, is_constant

LARGE_MATRIX = 1 << 20
"""Weights from which on a matrix may stay unread."""

_HINT = "is it a NIR file (HDF5, as nir.write makes it)?"


@dataclass(frozen=True, kw_only=True)
class Node:
    """One primitive: its type and its parameters as arrays or strings.

    ``nested`` says whether it lies in a graph within the graph.
    """

    name: str
    kind: str
    values: Mapping[str, Any]
    nested: bool = False

    def wrong(self, text: str) -> NirError:
        """Return an error that names this node."""
        return NirError(f"node {self.name!r} of type {self.kind}: {text}")

    def numbers(self, key: str, default: float | None = None) -> NDArray[np.float64]:
        """Return a parameter in float.

        Raises
        ------
        NirError
            If it is missing, holds anything but numbers, or one of them is not finite.
        """
        value = self.values.get(key, default)
        if value is None:
            raise NirError(f"node {self.name!r} of type {self.kind} has no {key!r}")
        try:
            array = np.asarray(value)
        except (ValueError, TypeError, RuntimeError):
            raise self.wrong(f"{key} is no array of numbers") from None
        if array.dtype.kind not in "biuf" or not array.size:
            raise self.wrong(f"{key} holds no numbers, but {array.dtype} {array.shape}")
        if is_constant(array):
            return constant(float(array.flat[0]), array.shape)
        array = array.astype(np.float64)
        bad = ~np.isfinite(array)
        if bad.any():
            raise self.wrong(
                f"{int(bad.sum())} of {array.size} values of {key} are NaN or infinite"
            )
        return array

    def integers(self, key: str, default: int | None = None) -> tuple[int, ...]:
        """Return a parameter of one or a few whole numbers.

        Raises
        ------
        NirError
            If it is missing or holds anything else.
        """
        values = self.numbers(key, default)
        if values.ndim > 1 or np.any(values != np.round(values)) or np.abs(values).max() > 2**31:
            raise self.wrong(f"{key} must be whole numbers, but is {self.values.get(key)!r}")
        return tuple(int(value) for value in np.atleast_1d(values))

    def integer(self, key: str, default: int | None = None) -> int:
        """Return a parameter of one whole number.

        Raises
        ------
        NirError
            If it is missing or holds anything else.
        """
        values = self.integers(key, default)
        if len(values) != 1:
            raise self.wrong(f"{key} must be one whole number, but is {self.values.get(key)!r}")
        return values[0]


@contextmanager
def naming(node: Node) -> Iterator[None]:
    """Let errors of computing with a node's numbers name the node."""
    try:
        yield
    except (NirError, NetworkError, UnsupportedNodeError):
        raise
    except (ValueError, ArithmeticError, MemoryError) as error:
        raise node.wrong(str(error) or type(error).__name__) from None


@dataclass(frozen=True, kw_only=True)
class Graph:
    """Nodes and edges without nesting; inputs and outputs of the whole graph by name."""

    nodes: Mapping[str, Node]
    edges: tuple[tuple[str, str], ...]
    metadata: Mapping[str, Any]


def read_graph(source: str | Path | nir.NIRGraph, *, matrices: bool = True) -> Graph:
    """Read a file or take a graph from memory; nested graphs are flattened, names joined by dots.

    Parameters
    ----------
    matrices : bool
        Whether to read the weights of large matrices; where not, they are all told to be 1, for
        those who ask only for shapes. Kernels are small and always read.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    NirError
        If it is no NIR file, is truncated, or misses what every NIR file has.
    """
    if isinstance(source, nir.NIRGraph):
        return _graph(_held(source), "the graph")
    if not isinstance(source, str | os.PathLike):
        raise NirError(
            f"a path or a nir.NIRGraph is needed, but this is of type {type(source).__name__}"
        )
    return _graph(_read_tree(Path(source), matrices=matrices), str(source))


def _held(graph: nir.NIRGraph) -> dict[str, Any]:
    """Return a graph in memory as its file would have it; ``to_dict`` fails on odd members."""
    nodes = {
        name: _held(node)
        if isinstance(node, nir.NIRGraph)
        else {"type": type(node).__name__} | vars(node)
        if isinstance(node, nir.NIRNode)
        else node
        for name, node in graph.nodes.items()
    }
    return {
        "type": "NIRGraph", "nodes": nodes, "edges": graph.edges, "metadata": graph.metadata,
    }  # fmt: skip


def _graph(tree: Mapping[str, Any], where: str) -> Graph:
    kind = _text(tree.get("type", "nothing"))
    if kind != "NIRGraph":
        raise NirError(f"{where}: the top node is of type {kind}, not NIRGraph; {_HINT}")
    flat = _Flat(where)
    flat.add("", tree)
    unknown = sorted({name for edge in flat.edges for name in edge} - set(flat.nodes))
    if unknown:
        raise NirError(f"{where}: edges name nodes that are not there: {', '.join(unknown)}")
    stored = tree.get("metadata")
    metadata = stored.items() if isinstance(stored, Mapping) else ()
    return Graph(
        nodes=dict(sorted(flat.nodes.items())),
        edges=tuple(sorted(set(flat.edges))),
        metadata={str(key): _alone(_plain(value)) for key, value in metadata},
    )


def _read_tree(path: Path, *, matrices: bool) -> dict[str, Any]:
    try:
        if path.is_dir():
            raise NirError(f"{path}: this is a folder, not a NIR file")
        if not path.exists():
            raise FileNotFoundError(f"{path}: there is no such file")
        with h5py.File(path, "r") as file:
            if "node" not in file:
                raise NirError(f"{path}: no group 'node' in it; {_HINT}")
            if not isinstance(file["node"], h5py.Group):
                raise NirError(f"{path}: 'node' holds no nodes; {_HINT}")
            return _tree(file["node"], matrices=matrices)
    except (NirError, FileNotFoundError):
        raise
    except Exception as error:  # h5py raises many kinds on damaged files
        raise NirError(f"{path}: cannot be read ({error}); {_HINT}") from error


def _tree(group: Any, *, matrices: bool) -> dict[str, Any]:
    return {
        key: _tree(item, matrices=matrices)
        if isinstance(item, h5py.Group)
        else constant(1.0, item.shape)
        if not matrices and _is_large_matrix(key, item)
        else item[()]
        for key, item in group.items()
    }


def _is_large_matrix(key: str, item: h5py.Dataset) -> bool:
    numbers = item.dtype.kind in "biuf" and item.ndim == 2
    return bool(key == "weight" and numbers and item.size >= LARGE_MATRIX)


def _plain(value: Any) -> Any:
    """Turn bytes and 0-dimensional arrays into what they hold, lists and tensors into arrays."""
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if hasattr(value, "detach"):  # a torch tensor, perhaps one that is still being trained
        return _plain(value.detach().cpu().numpy())
    if isinstance(value, list | tuple):
        return _listed(value)
    if isinstance(value, np.generic) or (isinstance(value, np.ndarray) and value.ndim == 0):
        return _plain(value.item())
    return value


def _listed(value: list[Any] | tuple[Any, ...]) -> Any:
    try:
        array = np.asarray(value)
    except (ValueError, TypeError, RuntimeError):
        return value
    return array if array.dtype.kind in "biuf" else value


def _alone(value: Any) -> Any:
    """Return the only member of a list or array of one."""
    if isinstance(value, list | tuple | np.ndarray) and np.size(value) == 1:
        return _plain(np.asarray(value).ravel()[0])
    return value


def _text(value: Any) -> str:
    return str(_plain(value))


class _Flat:
    """Nodes and edges of a graph and of the graphs nested in it."""

    def __init__(self, where: str) -> None:
        self.nodes: dict[str, Node] = {}
        self.edges: list[tuple[str, str]] = []
        self._where = where
        self._inputs: dict[str, list[str]] = {}
        self._outputs: dict[str, list[str]] = {}

    def add(self, prefix: str, tree: Mapping[str, Any]) -> None:
        """Add a graph; its nodes carry ``prefix`` before their names."""
        children = tree.get("nodes")
        if not isinstance(children, Mapping) or "edges" not in tree:
            raise NirError(
                f"{self._where}: {_graph_name(prefix)} has no 'nodes' or no 'edges'; {_HINT}"
            )
        for name, child in children.items():
            self._add_node(prefix + str(name), child, nested=bool(prefix))
        own = [name for name in sorted(prefix + str(n) for n in children) if name in self.nodes]
        self._inputs[prefix] = [n for n in own if self.nodes[n].kind == "Input"]
        self._outputs[prefix] = [n for n in own if self.nodes[n].kind == "Output"]
        for edge in self._pairs(prefix, tree["edges"]):
            source, target = (prefix + _text(end) for end in edge)
            self.edges.append(
                (
                    self._gate(source, target, source, self._outputs, "Output"),
                    self._gate(source, target, target, self._inputs, "Input"),
                )
            )

    def _add_node(self, name: str, child: Any, *, nested: bool) -> None:
        if not isinstance(child, Mapping) or "type" not in child:
            raise NirError(f"{self._where}: node {name!r} has no type; {_HINT}")
        kind = _text(child["type"])
        if name in self.nodes or name + "." in self._inputs:
            raise NirError(
                f"{self._where}: two nodes are called {name!r} once nested names are joined by "
                f"dots; rename one"
            )
        if kind == "NIRGraph":
            self.add(name + ".", child)
            return
        try:
            values = {str(k): _plain(v) for k, v in child.items() if k != "type"}
        except (TypeError, RuntimeError) as error:
            raise NirError(
                f"{self._where}: node {name!r} of type {kind} cannot be read ({error})"
            ) from error
        self.nodes[name] = Node(name=name, kind=kind, values=values, nested=nested)

    def _pairs(self, prefix: str, edges: Any) -> list[Any]:
        try:
            pairs = [tuple(edge) for edge in edges]
        except TypeError:
            pairs = [()]
        wrong = [pair for pair in pairs if len(pair) != 2]
        if wrong:
            raise NirError(
                f"{self._where}: {_graph_name(prefix)} has edges that are no pairs of names"
            )
        return pairs

    def _gate(
        self, source: str, target: str, end: str, gates: Mapping[str, list[str]], kind: str
    ) -> str:
        """Return the node that an edge's end stands for: itself, or a nested graph's gate."""
        inner = gates.get(end + ".")
        if inner is None:
            return end
        if len(inner) != 1:
            found = f"{len(inner)} nodes of type {kind} ({', '.join(inner)})" if inner else "none"
            raise NirError(
                f"{self._where}: edge {source} → {target} needs one node of type {kind} in the "
                f"graph {end!r}, but it has {found}; let the edge name the inner node"
            )
        return inner[0]


def _graph_name(prefix: str) -> str:
    return f"the graph {prefix.rstrip('.')!r}" if prefix else "the graph"
