"""Read a NIR file into a flat list of nodes, whatever state the file is in.

The ``nir`` package raises errors of many kinds on old, foreign or damaged files, from inside its
own classes. Here its file format is read as plain values, so that every message can name the
node; graphs that ``nir`` holds in memory come in through their own dictionaries.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import nir
import numpy as np

from mapping.errors import NirError

_HINT = "is it a NIR file (HDF5, as nir.write makes it)?"


@dataclass(frozen=True, kw_only=True)
class Node:
    """One primitive: its type and its parameters as arrays or strings."""

    name: str
    kind: str
    values: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Graph:
    """Nodes and edges without nesting; inputs and outputs of the whole graph by name."""

    nodes: Mapping[str, Node]
    edges: tuple[tuple[str, str], ...]
    metadata: Mapping[str, Any]


def read_graph(source: str | Path | nir.NIRGraph) -> Graph:
    """Read a file or take a graph from memory; nested graphs are flattened, names joined by dots.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    NirError
        If it is no NIR file, is truncated, or misses what every NIR file has.
    """
    tree = source.to_dict() if isinstance(source, nir.NIRGraph) else _read_tree(Path(source))
    where = "graph" if isinstance(source, nir.NIRGraph) else str(source)
    if _text(tree.get("type")) != "NIRGraph":
        raise NirError(f"{where}: the top node is {_text(tree.get('type'))!r}, not a NIRGraph")
    nodes: dict[str, Node] = {}
    edges: list[tuple[str, str]] = []
    _flatten("", tree, nodes, edges, where)
    unknown = sorted({name for edge in edges for name in edge} - set(nodes))
    if unknown:
        raise NirError(f"{where}: edges name nodes that are not there: {', '.join(unknown)}")
    metadata = {key: _plain(value) for key, value in (tree.get("metadata") or {}).items()}
    return Graph(nodes=nodes, edges=tuple(sorted(set(edges))), metadata=metadata)


def _read_tree(path: Path) -> dict[str, Any]:
    if path.is_dir():
        raise NirError(f"{path}: this is a folder, not a NIR file")
    if not path.exists():
        raise FileNotFoundError(f"{path}: there is no such file")
    try:
        with h5py.File(path, "r") as file:
            if "node" not in file:
                raise NirError(f"{path}: no group 'node' in it; {_HINT}")
            return _tree(file["node"])
    except (OSError, RuntimeError, KeyError, TypeError) as error:
        raise NirError(f"{path}: cannot be read ({error}); {_HINT}") from error


def _tree(group: Any) -> dict[str, Any]:
    return {
        key: _tree(item) if isinstance(item, h5py.Group) else item[()]
        for key, item in group.items()
    }


def _plain(value: Any) -> Any:
    """Turn bytes and 0-dimensional arrays into what they hold."""
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if isinstance(value, np.ndarray) and value.ndim == 0:
        return _plain(value.item())
    return value


def _text(value: Any) -> str:
    return str(_plain(value))


def _flatten(
    prefix: str,
    tree: Mapping[str, Any],
    nodes: dict[str, Node],
    edges: list[tuple[str, str]],
    where: str,
) -> tuple[list[str], list[str]]:
    """Add a graph's nodes and edges; return the names of its inputs and outputs."""
    children = tree.get("nodes")
    if not isinstance(children, Mapping) or "edges" not in tree:
        raise NirError(f"{where}: graph {prefix.rstrip('.') or '(top)'} has no nodes and edges")
    into: dict[str, list[str]] = {}
    out_of: dict[str, list[str]] = {}
    for name, child in children.items():
        full = prefix + str(name)
        if not isinstance(child, Mapping) or "type" not in child:
            raise NirError(f"{where}: node {full!r} has no type")
        kind = _text(child["type"])
        if kind == "NIRGraph":
            into[full], out_of[full] = _flatten(full + ".", child, nodes, edges, where)
            continue
        nodes[full] = Node(
            name=full, kind=kind, values={k: _plain(v) for k, v in child.items() if k != "type"}
        )
        into[full] = out_of[full] = [full]
    for edge in tree["edges"]:
        if len(edge) != 2:
            raise NirError(f"{where}: edge {edge!r} does not have two ends")
        source, target = (prefix + _text(end) for end in edge)
        for a in out_of.get(source, [source]):
            edges += [(a, b) for b in into.get(target, [target])]
    own = {prefix + str(name) for name in children}
    return (
        [n for n in sorted(own) if n in nodes and nodes[n].kind == "Input"],
        [n for n in sorted(own) if n in nodes and nodes[n].kind == "Output"],
    )
