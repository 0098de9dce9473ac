"""From where the values of a built Nengo model come: paths back through passthrough nodes.

What arrives at an ensemble, a probe or a node is a sum of terms: what some neurons or some node of the
outside send, times one matrix, through some synapses in a row. Nodes in between are gone.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mapping.nengo_matrix import (
    Listed,
    Matrix,
    identity,
    is_zero,
    of_convolution,
    placed,
    product,
    selection,
)

Array = NDArray[Any]


class Outside(NamedTuple):
    """Values that the host calculates: a node without input, and what a connection makes of it.

    ``function`` is that of the connection, None for none; ``indices`` are what it gets of the node.
    """

    node: Any
    function: Any
    indices: Array


class Term(NamedTuple):
    """``matrix [size, n]`` times the activity of an ensemble's neurons, or values of the outside.

    ``filters``: synapses that are not None, in the order in which they act.
    """

    origin: Any
    matrix: Matrix
    filters: tuple[Any, ...]


class Walk:
    """Follows connections of one model backwards; problems are collected, not raised."""

    def __init__(self, nengo: Any, model: Any) -> None:
        self._nengo, self._model = nengo, model
        self.problems: list[str] = []
        self.unheard: list[str] = []
        network = model.toplevel
        self.connections: Sequence[Any] = network.all_connections
        self._into: dict[Any, list[Any]] = {}
        for connection in self.connections:
            self._into.setdefault(connection.post_obj, []).append(connection)
        self._heard = {connection.pre_obj for connection in self.connections}
        self._found: dict[Any, list[Term]] = {}
        self._open: list[Any] = []

    def is_source(self, node: Any) -> bool:
        """Whether a node is the outside: a constant, a function of time or a process."""
        return node.output is not None and node.size_in == 0

    def check(self) -> None:
        """Find what cannot be on a chip wherever it is: rules that learn, and code in the loop."""
        for connection in self.connections:
            if connection.learning_rule_type is not None:
                self.problems.append(
                    f"{connection}: learns ({connection.learning_rule_type}), and weights on the chip "
                    "stand still; train in Nengo, then freeze (sim.data[connection].weights as a "
                    "transform or NoSolver) and remove the rule"
                )
        for node in self._model.toplevel.all_nodes:
            if node.output is None or self.is_source(node):
                continue
            if node in self._heard:
                self.problems.append(
                    f"{node}: runs Python code ({_called(node.output)}) on what the network sends, "
                    "which no chip does; make it an ensemble with a function on its connection, a "
                    "plain matrix (transform=), or cut the model there and run the parts apart"
                )
            else:
                self.unheard.append(str(node))

    def into(self, target: Any) -> list[Term]:
        """What arrives at an ensemble (in its dimensions), its neurons or a node."""
        if target in self._found:
            return self._found[target]
        if target in self._open:
            ring = [*self._open[self._open.index(target) :], target]
            problem = (
                f"{' → '.join(map(str, ring))}: passthrough nodes feed each other without a neuron "
                "between them; make one of them an ensemble"
            )
            if problem not in self.problems:
                self.problems.append(problem)
            return []
        self._open.append(target)
        found = [
            term._replace(matrix=self._at(term.matrix, connection, target))
            for connection in self._into.get(target, [])
            if not self.whole(connection)
            for term in self.through(connection)
        ]
        self._open.pop()
        self._found[target] = found = [term for term in found if not is_zero(term.matrix)]
        return found

    def whole_into(self, ensemble: Any) -> list[Term]:
        """What arrives at an ensemble's neurons through solvers that solve for whole weights."""
        return [
            term
            for connection in self._into.get(ensemble, [])
            if self.whole(connection)
            for term in self.through(connection)
            if not is_zero(term.matrix)
        ]

    def whole(self, connection: Any) -> bool:
        """Whether a connection's weights are those from neuron to neuron, encoders included."""
        nengo = self._nengo
        return (
            connection.solver.weights
            and isinstance(connection.pre_obj, nengo.Ensemble)
            and isinstance(connection.post_obj, nengo.Ensemble)
        )

    def through(self, connection: Any) -> Iterator[Term]:
        """What a connection brings to where it ends, before it is laid into a part of that."""
        nengo, pre = self._nengo, connection.pre_obj
        try:
            weights = _matrix(nengo, connection, self._model.params[connection])
        except ValueError as error:
            self.problems.append(f"{connection}: {error}")
            return
        filters = () if connection.synapse is None else (connection.synapse,)
        if isinstance(pre, nengo.Ensemble):
            yield Term(pre, weights, filters)
            return
        size = pre.size_out
        indices = np.atleast_1d(np.arange(size)[connection.pre_slice])
        if isinstance(pre, nengo.Node) and pre.output is not None:
            if self.is_source(pre):
                yield Term(Outside(pre, connection.function, indices), weights, filters)
            return
        taken = product(weights, selection(indices, size))
        if isinstance(pre, nengo.ensemble.Neurons):
            yield Term(pre.ensemble, taken, filters)
            return
        for term in self.into(pre):
            yield Term(term.origin, product(taken, term.matrix), (*term.filters, *filters))

    def _at(self, matrix: Matrix, connection: Any, target: Any) -> Matrix:
        size = target.size_in
        indices = np.atleast_1d(np.arange(size)[connection.post_slice])
        return placed(matrix, indices, size)


def outside_of(node: Any) -> Outside:
    """A node as it is."""
    return Outside(node, None, np.arange(node.size_out))


def _matrix(nengo: Any, connection: Any, built: Any) -> Matrix:
    """Weights of a built connection: transform times decoders, and encoders where solved for."""
    weights, transform = built.weights, connection.transform
    if weights is None:
        return identity(connection.size_out)
    if isinstance(transform, nengo.transforms.ConvolutionTranspose):
        raise ValueError(
            "transposed convolutions are not known; write it as a matrix (nengo.Sparse)"
        )
    if isinstance(transform, nengo.Convolution):
        return of_convolution(transform, np.asarray(weights))
    if isinstance(transform, nengo.Sparse):
        entries = weights.tocoo() if hasattr(weights, "tocoo") else None
        if entries is not None:
            return Listed(weights.shape, entries.row, entries.col, entries.data)
        row, column = np.asarray(weights.indices).T
        return Listed(weights.shape, row, column, np.asarray(weights.data))
    weights = np.asarray(weights, np.float64)
    if weights.ndim == 2:
        return weights
    whole = identity(connection.size_out)
    return whole._replace(value=whole.value * weights)


def _called(output: Any) -> str:
    return str(getattr(output, "__qualname__", None) or type(output).__name__)
