"""Trees of packets that fork at routers, built once from the routes of their targets.

Where a packet becomes head of a buffer, its targets are split by the server that leads to each.
Every server takes its part when it is ready; the head leaves when the last part has gone. A part
enters the highest buffer class that one of its targets needs, so that it takes each link once.
A tree has a node for each buffer that a packet passes and an edge for each part that leaves it.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emulator.noc.topology import HERE, Noc

Array = NDArray[Any]

# Columns of an edge: the buffer it leaves, its server, the buffer it enters, the node there (or
# NO_NODE), which of the tree's targets it ends at, and its place in a wait list.
EDGE_BUFFER, EDGE_SERVER, EDGE_DOWN, EDGE_CHILD, EDGE_LEAF, EDGE_WAITING = range(6)
EDGE_ROW = 8
NO_NODE = -1


@dataclass(frozen=True, kw_only=True)
class Forest:
    """Trees, numbered as they were asked for; arrays are read-only.

    Attributes
    ----------
    source : int64 [n_trees]
        Core where each begins.
    first_leaf : int64 [n_trees + 1]
    target : int64 [n_leaves]
        Target cores of tree t are first_leaf[t] to first_leaf[t + 1].
    root : int64 [n_trees]
        First node.
    node_edge : int64 [n_nodes + 1]
        Edges of node n are node_edge[n] to node_edge[n + 1].
    edge : int64 [n_edges, 8]
        See the columns above.
    """

    source: Array
    first_leaf: Array
    target: Array
    root: Array
    node_edge: Array
    edge: Array

    @property
    def n_trees(self) -> int:
        """Trees."""
        return int(self.source.size)

    @property
    def n_edges(self) -> int:
        """Edges of all trees."""
        return int(self.edge.shape[0])

    def n_edges_of(self) -> Array:
        """Edges of each tree, which is how often one of its packets starts on links and ports."""
        return np.diff(np.append(self.node_edge[self.root], self.n_edges))


def _fixed(values: Any) -> Array:
    array = np.array(values, np.int64)
    array.flags.writeable = False
    return array


def plant(noc: Noc, source: Array, first_target: Array, target: Array) -> Forest:
    """Build a tree for each source.

    Parameters
    ----------
    noc : Noc
    source : int [n_trees]
        Cores.
    first_target : int [n_trees + 1]
        Targets of tree t are first_target[t] to first_target[t + 1].
    target : int [n]
        Cores; none twice in a tree.

    Returns
    -------
    Forest

    Raises
    ------
    ValueError
        If a tree has no target or one twice, or if a core does not exist.
    """
    n_feeding = noc.n_links * noc.n_classes
    first_step = noc.first_link * noc.n_classes
    edges: list[tuple[int, ...]] = []
    node_edge, root = [0], []
    for t, core in enumerate(np.asarray(source).tolist()):
        cores = np.asarray(target[first_target[t] : first_target[t + 1]]).tolist()
        _check_tree(noc, t, core, cores)
        root.append(len(node_edge) - 1)
        # Nodes are numbered as they are met, so a node's edges follow one another.
        level = [
            (n_feeding + noc.n_cores + core, int(noc.core_router[core]), list(range(len(cores))))
        ]
        n_nodes = root[-1] + 1
        for buffer, router, leaves in level:
            parts: dict[int, list[int]] = {}
            downs: dict[int, int] = {}
            for leaf in leaves:
                step = int(noc.step[router, noc.core_router[cores[leaf]]])
                down = n_feeding + cores[leaf] if step == HERE else int(first_step[router]) + step
                server = noc.n_links + cores[leaf] if step == HERE else down // noc.n_classes
                parts.setdefault(server, []).append(leaf)
                downs[server] = max(down, downs.get(server, 0))
            for server, part in parts.items():
                down = downs[server]
                if server >= noc.n_links:
                    edges.append((buffer, server, down, NO_NODE, part[0], NO_NODE, 0, 0))
                    continue
                edges.append((buffer, server, down, n_nodes, NO_NODE, NO_NODE, 0, 0))
                level.append((down, int(noc.link_to[server]), part))
                n_nodes += 1
            node_edge.append(len(edges))
    return Forest(
        source=_fixed(source), first_leaf=_fixed(first_target), target=_fixed(target),
        root=_fixed(root), node_edge=_fixed(node_edge),
        edge=_fixed(np.reshape(edges, (-1, EDGE_ROW))),
    )  # fmt: skip


def _check_tree(noc: Noc, tree: int, core: int, targets: list[int]) -> None:
    """Refuse a tree without targets, with one twice, or with a core that does not exist."""
    if not targets:
        raise ValueError(f"tree {tree}: no targets; leave the tree out")
    if len(set(targets)) < len(targets):
        raise ValueError(f"tree {tree}: a target core is named twice; name each once")
    for k in (core, *targets):
        if not 0 <= k < noc.n_cores:
            raise ValueError(f"tree {tree}: core {k}, but there are 0 to {noc.n_cores - 1}")


NO_FOREST = Forest(
    source=_fixed([]), first_leaf=_fixed([0]), target=_fixed([]), root=_fixed([]),
    node_edge=_fixed([0]), edge=_fixed(np.zeros((0, EDGE_ROW))),
)  # fmt: skip
