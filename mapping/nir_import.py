"""From a NIR graph to a `Network`.

NIR says what a neuron computes in continuous time; a `Network` holds what happens in a tick. Two
things are not in the file and must be known: the length of the tick and the reset rule. A third
is a convention: a spike is the value 1 for the length of a tick (``hold``; how frameworks train
leaky neurons), or has unit area (``dirac``; how they train IF neurons, where dt does not enter).
"""

from collections.abc import Iterator
from dataclasses import replace
from math import prod
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

import nir
import numpy as np
from numpy.typing import NDArray

from mapping.errors import NetworkError, NirError, UnsupportedNodeError
from mapping.linear import Linear, Shape, Sparse, apply, compose, diagonal, reshaped, scaled, sparse
from mapping.network import Compare, Input, Network, Population, Projection, Reset
from mapping.nir_file import Graph, Node, read_graph
from mapping.nir_linear import LINEAR, step

Array = NDArray[Any]
Spike = Literal["hold", "dirac"]

_SPIKING = ("IF", "LIF", "CubaLIF", "Threshold")
_SILENT = ("I", "LI", "CubaLI")
_NEURONS = _SPIKING + _SILENT
_PASSING = ("Input", "Output", "Flatten", "Delay")
SUPPORTED = tuple(sorted({*_NEURONS, *LINEAR, *_PASSING, "NIRGraph"}))


class _Conventions(NamedTuple):
    dt_s: float
    reset: Reset
    spike: Spike | None
    compare: Compare
    notes: tuple[str, ...]


class _Path(NamedTuple):
    """What lies between a source and a target: a map (None: the identity) and a delay."""

    target: str
    linear: Linear | None
    shape: Shape
    delay_s: float


def import_nir(
    source: str | Path | nir.NIRGraph,
    *,
    dt_s: float | None = None,
    reset: Reset | None = None,
    spike: Spike | None = None,
    compare: Compare | None = None,
) -> Network:
    """Import a NIR file or graph.

    Parameters
    ----------
    dt_s, reset, spike, compare
        Win over the graph's metadata (``dt``, ``reset``, ``spike``, ``compare``).

    Raises
    ------
    FileNotFoundError, NirError
        No file; a broken file; neither metadata nor argument says dt or the reset rule.
    UnsupportedNodeError
        Names every node that cannot be expressed, with its type and the reason.
    NetworkError
        Parameters contradict each other (NaN, negative time constants, shapes).
    """
    graph = read_graph(source)
    where = "the graph" if isinstance(source, nir.NIRGraph) else str(source)
    _refuse_unknown(graph, where)
    conventions = _conventions(graph, where, dt_s, reset, spike, compare)
    try:
        return _Import(graph, conventions).network()
    except (NirError, UnsupportedNodeError, NetworkError) as error:
        raise type(error)(f"{where}: {error}") from error


def _refuse_unknown(graph: Graph, where: str) -> None:
    listed = [
        f"node {node.name!r} of type {node.kind} is not known"
        for node in graph.nodes.values()
        if node.kind not in SUPPORTED
    ]
    if listed:
        raise UnsupportedNodeError(
            f"{where}: " + "; ".join(listed) + f". Supported: {', '.join(SUPPORTED)}"
        )


def _conventions(
    graph: Graph,
    where: str,
    dt_s: float | None,
    reset: Reset | None,
    spike: Spike | None,
    compare: Compare | None,
) -> _Conventions:
    notes = []
    given = {"dt": dt_s, "reset": reset, "spike": spike, "compare": compare}
    allowed = {"reset": get_args(Reset), "spike": get_args(Spike), "compare": get_args(Compare)}
    found: dict[str, Any] = {}
    for key, argument in given.items():
        stored = graph.metadata.get(key)
        value = stored if argument is None else argument
        if argument is not None and stored is not None and stored != argument:
            notes.append(f"{key} {argument} was asked for; the file says {stored}")
        if value is not None and key in allowed and value not in allowed[key]:
            raise NirError(f"{where}: {key} {value!r} is none of {', '.join(allowed[key])}")
        found[key] = value
    spiking = any(node.kind in ("IF", "LIF", "CubaLIF") for node in graph.nodes.values())
    missing = []
    if found["dt"] is None:
        missing.append("the length of a tick (pass dt_s=SECONDS, on the command line --dt SECONDS)")
    if found["reset"] is None and spiking:
        missing.append(
            f"how neurons reset (pass reset=, on the command line --reset, one of "
            f"{', '.join(get_args(Reset))})"
        )
    if missing:
        raise NirError(
            f"{where}: NIR files do not say, and this one's metadata neither, "
            + "; nor ".join(missing)
        )
    try:
        dt = float(found["dt"])
    except (TypeError, ValueError):
        raise NirError(f"{where}: dt {found['dt']!r} is no number of seconds") from None
    if not (np.isfinite(dt) and dt > 0):
        raise NirError(f"{where}: the tick must be a positive number of seconds, but dt is {dt}")
    return _Conventions(
        dt, found["reset"] or "zero", found["spike"], found["compare"] or ">", tuple(notes)
    )


class _Import:
    """One import: walks from every source along linear nodes to the next neurons."""

    def __init__(self, graph: Graph, conventions: _Conventions) -> None:
        self._graph = graph
        self._how = conventions
        self._next: dict[str, list[str]] = {name: [] for name in graph.nodes}
        for a, b in graph.edges:
            self._next[a].append(b)
        fed = {b for _, b in graph.edges}
        self._inputs = [
            n for n, node in graph.nodes.items() if node.kind == "Input" and n not in fed
        ]
        self._shape: dict[str, Shape] = {}
        self._paths: dict[str, list[_Path]] = {}
        self._notes = list(conventions.notes)

    def network(self) -> Network:
        """Translate the whole graph."""
        if not self._inputs:
            raise NirError("the graph has no Input node")
        self._walk_all()
        self._refuse_values()
        biases = self._biases()
        outputs, readouts = self._outputs()
        neurons = [n for n in self._graph.nodes if self._graph.nodes[n].kind in _NEURONS]
        populations = [self._population(name, biases) for name in neurons]
        populations += [self._readout(name, biases) for name in readouts]
        projections = tuple(self._projections(readouts))
        spikes = sorted({self._spike(self._graph.nodes[n].kind) for n in neurons})
        self._notes.append(f"a spike is read as {' and '.join(spikes)}; tick {self._how.dt_s:g} s")
        network = Network(
            dt_s=self._how.dt_s,
            inputs=tuple(Input(name=n, shape=self._shape[n]) for n in self._inputs),
            populations=tuple(populations),
            projections=projections,
            outputs=tuple(outputs),
            notes=tuple(self._notes),
        )
        cut = [
            f"{network.projections[k].name} closes a cycle and carries the previous tick's spikes "
            f"(one tick of delay)"
            for k in sorted(network.feedback)
        ]
        return replace(network, notes=(*network.notes, *cut))

    def _walk_all(self) -> None:
        """Walk from inputs, then from every neuron in the order in which they are reached."""
        waiting = list(self._inputs)
        for name in self._inputs:
            self._shape[name] = self._input_shape(self._graph.nodes[name])
        unreached = sorted(n for n, node in self._graph.nodes.items() if node.kind in _NEURONS)
        while waiting or unreached:
            if not waiting:
                name = unreached.pop(0)
                if name in self._shape:
                    continue
                self._shape[name] = self._own_shape(name) or (1,)
                waiting.append(name)
            name = waiting.pop(0)
            paths = list(self._walk(name, None, self._shape[name], 0.0, (name,)))
            self._paths[name] = paths
            for path in paths:
                if (
                    self._graph.nodes[path.target].kind in _NEURONS
                    and path.target not in self._shape
                ):
                    own = self._own_shape(path.target)
                    # Parameters of one value hold for all that arrives.
                    alone = own is None or (prod(own) == 1 and prod(path.shape) > 1)
                    self._shape[path.target] = path.shape if alone or own is None else own
                    waiting.append(path.target)

    def _walk(
        self, name: str, linear: Linear | None, shape: Shape, delay_s: float, way: tuple[str, ...]
    ) -> Iterator[_Path]:
        for target in sorted(self._next[name]):
            node = self._graph.nodes[target]
            if node.kind in _NEURONS or (node.kind == "Output" and not self._next[target]):
                yield _Path(target, linear, shape, delay_s)
                continue
            if target in way:
                raise UnsupportedNodeError(
                    f"a cycle without a neuron: {' → '.join((*way, target))}; nothing there takes "
                    f"time, so it has no meaning in ticks"
                )
            for inner, after, delay in self._through(node, linear, shape):
                yield from self._walk(target, inner, after, delay_s + delay, (*way, target))

    def _through(
        self, node: Node, linear: Linear | None, shape: Shape
    ) -> Iterator[tuple[Linear | None, Shape, float]]:
        """Pass one node that is no neuron; a delay with several values splits the way."""
        if node.kind in ("Input", "Output"):
            yield linear, shape, 0.0
        elif node.kind == "Delay":
            yield from self._delayed(node, linear, shape)
        else:
            then = step(node, shape)
            if not isinstance(then, tuple):
                linear = then if linear is None else compose(linear, then)
                yield linear, then.post_shape, 0.0
            else:
                yield (None if linear is None else reshaped(linear, post_shape=then)), then, 0.0

    def _delayed(
        self, node: Node, linear: Linear | None, shape: Shape
    ) -> Iterator[tuple[Linear | None, Shape, float]]:
        delays = np.asarray(node.values.get("delay", np.nan), np.float64)
        if not np.all(np.isfinite(delays)) or np.any(delays < 0):
            raise NirError(f"node {node.name!r} of type Delay: delays must be finite and >= 0")
        values = np.unique(delays)
        if values.size == 1:
            yield linear, shape, float(values[0])
            return
        if delays.size != prod(shape):
            raise NirError(
                f"node {node.name!r} of type Delay has {delays.size} delays, but {prod(shape)} "
                f"elements {shape} arrive"
            )
        base = diagonal(np.ones(shape), shape) if linear is None else linear
        for value in values:
            masked = scaled(base, by=(delays.ravel() == value).astype(np.float64))
            yield _pruned(masked), shape, float(value)

    def _input_shape(self, node: Node) -> Shape:
        value = node.values.get("shape", node.values.get("input_type"))
        if isinstance(value, dict):
            value = value.get("input")
        if value is None:
            raise NirError(f"node {node.name!r} of type Input has no shape")
        shape = tuple(int(n) for n in np.atleast_1d(value))
        if not shape or min(shape) < 1:
            raise NirError(f"node {node.name!r} of type Input has the shape {shape}")
        return shape

    def _own_shape(self, name: str) -> Shape | None:
        """Shape of a neuron's parameters, or None if they are plain numbers."""
        shapes = [
            np.shape(v)
            for v in self._graph.nodes[name].values.values()
            if not isinstance(v, str | dict)
        ]
        largest = max(shapes, key=lambda s: (prod(s), len(s)), default=())
        return tuple(largest) or None

    def _refuse_values(self) -> None:
        """Refuse integrators whose membrane would feed on: only spikes travel on a chip."""
        found = [
            f"node {name!r} of type {self._graph.nodes[name].kind} sends its membrane on to "
            f"{path.target!r}; only spikes travel between neurons, so use {self._graph.nodes[name].kind}F"
            for name, paths in self._paths.items()
            for path in paths
            if self._graph.nodes[name].kind in _SILENT
            and self._graph.nodes[path.target].kind != "Output"
        ]
        if found:
            raise UnsupportedNodeError("; ".join(found))

    def _outputs(self) -> tuple[list[str], list[str]]:
        """Names of populations that are read out, and of outputs that need a plain sum."""
        outputs: list[str] = []
        readouts: list[str] = []
        for name, paths in self._paths.items():
            for path in paths:
                if self._graph.nodes[path.target].kind != "Output":
                    continue
                plain = path.linear is None and path.delay_s == 0 and name not in self._inputs
                chosen = name if plain else path.target
                if not plain and path.target not in readouts:
                    readouts.append(path.target)
                    self._shape[path.target] = path.shape
                    self._notes.append(f"{path.target} reads a plain sum (no neuron before Output)")
                if chosen not in outputs:
                    outputs.append(chosen)
        if not outputs:
            outputs = [n for n, paths in self._paths.items() if not paths and n not in self._inputs]
            self._notes.append(f"no Output node; read out: {', '.join(outputs)}")
        return outputs, readouts

    def _biases(self) -> dict[str, Array]:
        """Constant input of each target: every bias, carried through the linear nodes after it."""
        biases: dict[str, Array] = {}
        for name, node in self._graph.nodes.items():
            if node.kind not in LINEAR or "bias" not in node.values:
                continue
            shape = self._reached_shape(name)
            if shape is None:
                continue
            linear = step(node, shape)
            if isinstance(linear, tuple):
                continue
            bias = np.asarray(node.values["bias"], np.float64)
            per_element = bias.reshape(bias.shape + (1,) * (len(linear.post_shape) - bias.ndim))
            full = np.broadcast_to(per_element, linear.post_shape).ravel()
            for path in self._walk(name, None, linear.post_shape, 0.0, (name,)):
                carried = full if path.linear is None else apply(path.linear, full)
                biases[path.target] = biases.get(path.target, 0.0) + carried
        return biases

    def _reached_shape(self, name: str) -> Shape | None:
        """Shape of what arrives at a linear node."""
        for source, paths in self._paths.items():
            del paths
            found = self._shape_at(source, self._shape[source], name, {source})
            if found is not None:
                return found
        return None

    def _shape_at(self, name: str, shape: Shape, wanted: str, seen: set[str]) -> Shape | None:
        for target in sorted(self._next[name]):
            if target == wanted:
                return shape
            node = self._graph.nodes[target]
            if node.kind in _NEURONS or target in seen:
                continue
            after = shape
            if node.kind not in ("Input", "Output", "Delay"):
                then = step(node, shape)
                after = then if isinstance(then, tuple) else then.post_shape
            found = self._shape_at(target, after, wanted, seen | {target})
            if found is not None:
                return found
        return None

    def _spike(self, kind: str) -> Spike:
        if kind == "Threshold":
            return "dirac"
        return self._how.spike or ("dirac" if kind in ("IF", "I") else "hold")

    def _number(self, node: Node, key: str, default: float | None = None) -> Array:
        value = node.values.get(key, default)
        if value is None:
            raise NirError(f"node {node.name!r} of type {node.kind} has no {key!r}")
        try:
            array = np.asarray(value, np.float64)
        except (TypeError, ValueError):
            raise NirError(f"node {node.name!r} of type {node.kind}: {key} is no number") from None
        n = prod(self._shape[node.name])
        if array.size not in (1, n):
            raise NirError(
                f"node {node.name!r} of type {node.kind}: {key} has {array.size} values, but the "
                f"neurons are {n} {self._shape[node.name]}"
            )
        return np.broadcast_to(array.ravel(), (n,)).astype(np.float64)

    def _gains(self, name: str) -> tuple[Array, Array]:
        """Membrane (or current) steps for a spike of weight 1, and for a bias of 1 held a tick."""
        node, dt = self._graph.nodes[name], self._how.dt_s
        if node.kind in ("Threshold", "Output"):
            one = np.ones(prod(self._shape[name]))
            return one, one
        r = self._number(node, "r")
        spike = self._spike(node.kind)
        if node.kind in ("IF", "I"):
            gain = r * dt if spike == "hold" else r
            return gain, gain
        tau = self._tau(node, "tau_mem" if node.kind.startswith("Cuba") else "tau")
        held = r * dt / tau
        if node.kind.startswith("Cuba"):
            held = held * self._number(node, "w_in", 1.0) * dt / self._tau(node, "tau_syn")
        return (held / dt if spike == "dirac" else held), held

    def _tau(self, node: Node, key: str) -> Array:
        tau = self._number(node, key)
        if np.any(~(tau > 0)):
            raise NirError(
                f"node {node.name!r} of type {node.kind}: {key} must be positive, but the least is "
                f"{np.nanmin(tau) if np.isfinite(tau).any() else tau[0]} s"
            )
        return tau

    def _population(self, name: str, biases: dict[str, Array]) -> Population:
        node, shape = self._graph.nodes[name], self._shape[name]
        _, held = self._gains(name)
        bias = biases.get(name, np.zeros(prod(shape)))
        if np.size(bias) != held.size:
            raise NirError(
                f"node {name!r} of type {node.kind}: {held.size} neurons {shape}, but "
                f"{np.size(bias)} values arrive"
            )
        values: dict[str, Array] = {"bias": bias * held}
        if node.kind == "Threshold":
            values["tau_mem_s"] = np.full(prod(shape), self._how.dt_s)
            threshold: Array | None = self._number(node, "threshold")
        else:
            cuba = node.kind.startswith("Cuba")
            if node.kind not in ("I", "IF"):
                values["tau_mem_s"] = self._tau(node, "tau_mem" if cuba else "tau")
                values["v_leak"] = self._number(node, "v_leak")
            if cuba:
                values["tau_syn_s"] = self._tau(node, "tau_syn")
            threshold = self._number(node, "v_threshold") if node.kind in _SPIKING else None
            if threshold is not None:
                values["v_reset"] = self._number(node, "v_reset", 0.0)
        return Population(
            name=name,
            shape=shape,
            threshold=None if threshold is None else threshold.reshape(shape),
            reset="zero" if node.kind == "Threshold" else self._how.reset,
            compare=self._how.compare,
            **{key: value.reshape(shape) for key, value in values.items()},
        )

    def _readout(self, name: str, biases: dict[str, Array]) -> Population:
        shape = self._shape[name]
        return Population(
            name=name,
            shape=shape,
            threshold=None,
            tau_mem_s=self._how.dt_s,
            bias=biases.get(name, np.zeros(prod(shape))).reshape(shape),
        )

    def _projections(self, readouts: list[str]) -> Iterator[Projection]:
        for name, paths in self._paths.items():
            for path in paths:
                kind = self._graph.nodes[path.target].kind
                if kind == "Output" and path.target not in readouts:
                    continue
                linear = path.linear
                if linear is None:
                    linear = diagonal(np.ones(self._shape[name]), self._shape[name])
                if prod(linear.post_shape) != prod(self._shape[path.target]):
                    raise NirError(
                        f"node {path.target!r} of type {kind} has {prod(self._shape[path.target])} "
                        f"elements {self._shape[path.target]}, but {prod(linear.post_shape)} "
                        f"{linear.post_shape} arrive from {name!r}"
                    )
                gain, _ = self._gains(path.target)
                yield Projection(
                    source=name,
                    target=path.target,
                    linear=scaled(linear, by=gain),
                    delay_s=path.delay_s,
                )


def _pruned(linear: Linear) -> Sparse:
    """Drop zeros, so that a masked map holds only what it still connects."""
    full = sparse(linear)
    source = np.repeat(np.arange(full.row.size - 1), np.diff(full.row))
    keep = full.weight != 0
    return Sparse(
        row=np.searchsorted(source[keep], np.arange(full.row.size)),
        target=full.target[keep],
        weight=full.weight[keep],
        pre_shape=full.pre_shape,
        post_shape=full.post_shape,
    )
