"""Cycles in a network of named parts: where they are cut, and the orders that result.

Edges are (source, target) pairs and are told by their index. The cut depends on structure first:
depth-first from the inputs, the successor that lies farthest from an output first, so that what
is cut leads away from the outputs. Names decide only where structure does not.
"""

from collections.abc import Iterable, Sequence

Edge = tuple[str, str]


def closing(names: Sequence[str], edges: Sequence[Edge], ends: Iterable[str]) -> frozenset[int]:
    """Indices of the edges that close a cycle in depth-first order.

    Parameters
    ----------
    names : all parts; the walk starts at the first, then at each that was not reached
    ends : names of the outputs
    """
    far = _distances(names, edges, ends)
    leaving: dict[str, list[int]] = {name: [] for name in names}
    for index, (source, _) in enumerate(edges):
        leaving[source].append(index)
    for listed in leaving.values():
        listed.sort(key=lambda k: (-far[edges[k][1]], edges[k][1], k))
    found: set[int] = set()
    done: set[str] = set()
    for name in names:
        if name not in done:
            _visit(name, edges, leaving, done, found)
    return frozenset(found)


def _visit(
    start: str,
    edges: Sequence[Edge],
    leaving: dict[str, list[int]],
    done: set[str],
    found: set[int],
) -> None:
    """Walk depth-first from one part; without recursion, since chains may be long."""
    path = [start]
    stack = [iter(leaving[start])]
    while stack:
        for index in stack[-1]:
            target = edges[index][1]
            if target in path:
                found.add(index)
            elif target not in done:
                path.append(target)
                stack.append(iter(leaving[target]))
                break
        else:
            stack.pop()
            done.add(path.pop())


def _distances(names: Sequence[str], edges: Sequence[Edge], ends: Iterable[str]) -> dict[str, int]:
    """Edges from each part to the nearest end; more than there are parts where none is reached."""
    far = dict.fromkeys(names, len(names))
    waiting = sorted(ends)
    far |= dict.fromkeys(waiting, 0)
    for name in waiting:
        for source, target in edges:
            if target == name and far[source] > far[name] + 1:
                far[source] = far[name] + 1
                waiting.append(source)
    return far


def on_cycle(edge: Edge, edges: Sequence[Edge]) -> bool:
    """Whether an edge's source can be reached from its target."""
    source, target = edge
    reached = [target]
    for name in reached:
        reached += [b for b in dict.fromkeys(b for a, b in edges if a == name) if b not in reached]
    return source in reached


def depths(names: Sequence[str], edges: Sequence[Edge]) -> dict[str, int]:
    """Number of edges on the longest way to each part, in a graph without cycles."""
    depth = dict.fromkeys(names, 0)
    for _ in names:
        before = dict(depth)
        for source, target in edges:
            depth[target] = max(depth[target], depth[source] + 1)
        if depth == before:
            break
    return depth


def ordered(names: Sequence[str], edges: Sequence[Edge], rank: dict[str, int]) -> list[str]:
    """Sort parts so that every edge leads forward, and by rank where edges leave a choice."""
    waiting = dict.fromkeys(names, 0)
    for _, target in edges:
        waiting[target] += 1
    order: list[str] = []
    while waiting:
        ready = [name for name, count in waiting.items() if count == 0]
        following = min(ready, key=lambda name: rank[name])
        del waiting[following]
        order.append(following)
        for source, target in edges:
            if source == following:
                waiting[target] -= 1
    return order
