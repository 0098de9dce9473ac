"""Walk through a NIR graph: from every input and neuron along linear nodes to the next neurons.

Only neurons take part in time; what lies between two of them is one linear map and one delay. The
walk also finds what NIR leaves out, the shape of what arrives at a node, and carries constant
biases to the neurons they reach.
"""

from collections.abc import Iterator
from math import prod
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mapping.errors import NirError, UnsupportedNodeError
from mapping.folding import compose
from mapping.linear import Linear, Shape, apply, diagonal, reshaped, scaled, some, sparse
from mapping.nir_file import Graph, Node, naming
from mapping.nir_linear import BIASED, LINEAR, delays, step
from mapping.nir_shapes import (
    check_stated,
    input_shape,
    parameter_shape,
    same_size,
    settled,
    spread,
)

Array = NDArray[Any]

SPIKING = ("IF", "LIF", "CubaLIF", "Threshold")
SILENT = ("I", "LI", "CubaLI")
NEURONS = SPIKING + SILENT
SUPPORTED = tuple(
    sorted({*NEURONS, *LINEAR, "Input", "Output", "Flatten", "Delay", "NIRGraph"}, key=str.lower)
)


class Route(NamedTuple):
    """What lies between a source and a target: a map (None: the identity) and a delay."""

    source: str
    target: str
    linear: Linear | None
    shape: Shape
    delay_s: float


class Walk:
    """All routes of a graph.

    Attributes
    ----------
    inputs : list of str
        Input nodes, but for those of nested graphs that an edge leads to.
    neurons : list of str
    routes : list of Route
        From inputs and neurons to neurons and outputs, sources in the order they are reached.
    shapes : dict of str to tuple of int
        Shapes of inputs, neurons and outputs.
    arriving : dict of str to tuple of int
        Shape of what arrives at every other node that anything reaches.

    Raises
    ------
    NirError, UnsupportedNodeError
        On construction, if shapes do not suit each other, or a cycle passes no neuron.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.routes: list[Route] = []
        self.shapes: dict[str, Shape] = {}
        self.arriving: dict[str, Shape] = {}
        fed = {b for _, b in graph.edges}
        self._next: dict[str, list[str]] = {name: [] for name in graph.nodes}
        for a, b in graph.edges:
            self._next[a].append(b)
        self.inputs = [
            name
            for name, node in graph.nodes.items()
            if node.kind == "Input" and not (node.nested and name in fed)
        ]
        self.neurons = [n for n in graph.nodes if self._kind(n) in NEURONS]
        if not self.inputs:
            raise NirError("the graph has no Input node to start from")
        for name in self.inputs:
            self.shapes[name] = input_shape(graph.nodes[name])
        self._follow(list(self.inputs))
        for name in sorted(self.neurons):
            if name not in self.shapes:
                self.shapes[name] = parameter_shape(graph.nodes[name]) or (1,)
                self._follow([name])

    def _kind(self, name: str) -> str:
        return self.graph.nodes[name].kind

    def _follow(self, waiting: list[str]) -> None:
        """Find the routes from some sources, then from every neuron reached."""
        while waiting:
            source = waiting.pop(0)
            for route in self._onward(source, source, None, self.shapes[source], 0.0, (source,)):
                self.routes.append(route)
                node = self.graph.nodes[route.target]
                if route.target in self.shapes:
                    pass
                elif node.kind in NEURONS:
                    self.shapes[route.target] = settled(parameter_shape(node), route.shape)
                    waiting.append(route.target)
                else:
                    check_stated(node, route.shape)
                    self.shapes[route.target] = route.shape
                same_size(node, route.shape, prod(self.shapes[route.target]))

    def _onward(
        self,
        source: str,
        name: str,
        linear: Linear | None,
        shape: Shape,
        delay_s: float,
        way: tuple[str, ...],
    ) -> Iterator[Route]:
        for target in sorted(self._next[name]):
            node = self.graph.nodes[target]
            if node.kind in NEURONS or self.reads_out(node):
                yield Route(source, target, linear, shape, delay_s)
            if node.kind in NEURONS:
                continue
            if target in way:
                raise UnsupportedNodeError(
                    f"a cycle without a neuron: {' → '.join((*way[way.index(target) :], target))}; "
                    f"only neurons keep a state from tick to tick, so put one into it"
                )
            self.arriving.setdefault(target, shape)
            with naming(node):
                ways_on = list(_through(node, linear, shape))
            for inner, after, delay in ways_on:
                yield from self._onward(
                    source, target, inner, after, delay_s + delay, (*way, target)
                )

    def reads_out(self, node: Node) -> bool:
        """Whether a node is an Output of the whole graph, or of a nested one that leads nowhere."""
        return node.kind == "Output" and not (node.nested and self._next[node.name])

    def reached(self) -> set[str]:
        """Names of neurons and outputs that something from an input can arrive at."""
        found = list(self.inputs)
        for name in found:
            found += sorted(
                {route.target for route in self.routes if route.source == name} - set(found)
            )
        return set(found) - set(self.inputs)

    def biases(self) -> tuple[dict[str, Array], list[str]]:
        """Constant input of each target: every bias once, through the linear nodes after it.

        Returns
        -------
        dict of str to float64 [n_target], list of str
            The second names the nodes whose bias passes a delay.
        """
        biases: dict[str, Array] = {}
        delayed = []
        for name, bias, shape in self._node_biases():
            routes = list(self._onward(name, name, None, shape, 0.0, (name,)))
            if np.any(bias) and any(route.delay_s for route in routes):
                delayed.append(name)
            for route in routes:
                carried = bias if route.linear is None else apply(route.linear, bias)
                same_size(
                    self.graph.nodes[route.target], route.shape, prod(self.shapes[route.target])
                )
                biases[route.target] = biases.get(route.target, 0.0) + carried
        return biases, delayed

    def _node_biases(self) -> Iterator[tuple[str, Array, Shape]]:
        for name, node in self.graph.nodes.items():
            if node.kind not in BIASED or name not in self.arriving:
                continue
            linear = step(node, self.arriving[name])
            assert not isinstance(linear, tuple)
            bias = node.numbers("bias")
            per_channel = bias.ndim == 1 and bias.size == linear.post_shape[0]
            if per_channel:
                bias = bias.reshape(-1, *(1,) * (len(linear.post_shape) - 1))
            elif bias.size not in (1, prod(linear.post_shape)):
                raise node.wrong(f"bias {bias.shape} does not suit the output {linear.post_shape}")
            else:
                bias = bias.reshape(linear.post_shape if bias.size > 1 else ())
            yield name, np.broadcast_to(bias, linear.post_shape).ravel(), linear.post_shape

    def idle(self) -> list[str]:
        """Names of nodes that nothing arrives at."""
        reached = {*self.arriving, *self.inputs, *(route.target for route in self.routes)}
        return sorted(set(self.graph.nodes) - reached)


def _through(
    node: Node, linear: Linear | None, shape: Shape
) -> Iterator[tuple[Linear | None, Shape, float]]:
    """Pass one node that is no neuron; a delay with several values splits the way."""
    if node.kind in ("Input", "Output"):
        check_stated(node, shape)
        yield linear, shape, 0.0
    elif node.kind == "Delay":
        values = delays(node, shape)
        if np.all(values == values[0]):
            yield linear, shape, float(values[0])
            return
        base = diagonal(np.ones(shape), shape) if linear is None else linear
        for value in np.unique(values):
            kept = scaled(base, by=(values == value).astype(np.float64))
            yield _pruned(kept), shape, float(value)
    elif node.kind == "Scale" and linear is not None:
        # Not composed, so that a convolution stays one where a channel has one factor.
        yield scaled(linear, by=spread(node, "scale", shape)), shape, 0.0
    else:
        then = step(node, shape)
        if isinstance(then, tuple):
            yield (None if linear is None else reshaped(linear, post_shape=then)), then, 0.0
        else:
            yield (then if linear is None else compose(linear, then)), then.post_shape, 0.0


def _pruned(linear: Linear) -> Linear:
    """Drop zeros, so that a masked map holds only what it still connects."""
    listed = sparse(linear)
    return some(listed, listed.weight != 0)
