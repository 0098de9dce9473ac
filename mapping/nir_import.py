"""From a NIR graph to a `Network`.

NIR says what a neuron computes in continuous time; a `Network` holds what happens in a tick. Two
things are not in the file and must be known: the length of the tick and the reset rule. A third
is a convention: a spike is the value 1 for the length of a tick (``hold``; how frameworks train
leaky neurons), or has unit area (``dirac``; how they train IF neurons, where dt does not enter).
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from math import prod
from pathlib import Path
from typing import Any, get_args

import nir
import numpy as np

from mapping.errors import NetworkError, NirError, UnsupportedNodeError
from mapping.linear import diagonal, scaled
from mapping.network import Compare, Input, Network, Population, Projection, Reset
from mapping.nir_file import Graph, read_graph
from mapping.nir_linear import same_size
from mapping.nir_neurons import Conventions, Spike, gains, plain_sum, population
from mapping.nir_walk import SILENT, SUPPORTED, Route, Walk


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
        Win over the graph's metadata (``dt``, ``reset``, ``spike``, ``compare``). The last two
        have defaults: ``dirac`` for I and IF, ``hold`` for all leaky neurons; ``>``.

    Returns
    -------
    Network
        Its notes say what was assumed.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    NirError
        If the file is broken, or neither it nor an argument says dt and the reset rule.
    UnsupportedNodeError
        Names every node that cannot be expressed, with its type and the reason.
    NetworkError
        If parameters contradict each other.
    """
    graph = read_graph(source)
    where = "the graph" if isinstance(source, nir.NIRGraph) else str(source)
    asked = {"dt": dt_s, "reset": reset, "spike": spike, "compare": compare}
    try:
        _refuse_unknown(graph)
        how, notes = _conventions(graph, asked)
        return _network(Walk(graph), how, notes)
    except (NirError, UnsupportedNodeError, NetworkError) as error:
        raise type(error)(f"{where}: {error}") from error


def _refuse_unknown(graph: Graph) -> None:
    listed = [
        f"node {node.name!r} of type {node.kind} is not known"
        for node in graph.nodes.values()
        if node.kind not in SUPPORTED
    ]
    if listed:
        raise UnsupportedNodeError(f"{'; '.join(listed)}. Supported: {', '.join(SUPPORTED)}")


def _conventions(graph: Graph, asked: dict[str, Any]) -> tuple[Conventions, list[str]]:
    """Join arguments and metadata; what is missing is asked for in one message."""
    allowed = {"reset": get_args(Reset), "spike": get_args(Spike), "compare": get_args(Compare)}
    notes = []
    found: dict[str, Any] = {}
    for key, argument in asked.items():
        stored = graph.metadata.get(key)
        found[key] = stored if argument is None else argument
        if argument is not None and stored is not None and str(stored) != str(argument):
            notes.append(f"{key} {argument} was asked for; the file says {stored}")
        if found[key] is not None and key in allowed and str(found[key]) not in allowed[key]:
            raise NirError(f"{key} {found[key]!r} is none of {', '.join(allowed[key])}")
    missing = []
    if found["dt"] is None:
        missing.append("how long a tick is (pass dt_s=SECONDS, on the command line --dt SECONDS)")
    resets = any(node.kind in ("IF", "LIF", "CubaLIF") for node in graph.nodes.values())
    if found["reset"] is None and resets:
        missing.append(
            f"how neurons reset (pass reset=RULE, on the command line --reset RULE; the rules are "
            f"{', '.join(allowed['reset'])})"
        )
    if missing:
        raise NirError(f"the file does not say {', nor '.join(missing)}")
    try:
        dt = float(found["dt"])
    except (TypeError, ValueError):
        raise NirError(f"dt {found['dt']!r} is no number of seconds") from None
    if not (np.isfinite(dt) and dt > 0):
        raise NirError(f"the tick must be a positive number of seconds, but dt is {dt}")
    return Conventions(dt, found["reset"] or "zero", found["spike"], found["compare"] or ">"), notes


def _network(walk: Walk, how: Conventions, notes: list[str]) -> Network:
    """Put together what the walk found."""
    _refuse_membranes(walk)
    outputs, sums = _outputs(walk, notes)
    biases, delayed = walk.biases()
    network = Network(
        dt_s=how.dt_s,
        inputs=tuple(Input(name=name, shape=walk.shapes[name]) for name in walk.inputs),
        populations=tuple(_populations(walk, how, biases, sums)),
        projections=tuple(_projections(walk, how, sums)),
        outputs=tuple(outputs),
    )
    kinds = {walk.graph.nodes[name].kind for name in walk.neurons}
    notes += [
        *_about_spikes(kinds - {"Threshold"}, how),
        *_about_timing(network),
        *(f"the bias of {name!r} passes a delay; it acts from the first tick" for name in delayed),
        *(f"nothing arrives at {name!r}" for name in walk.idle()),
    ]
    return replace(network, notes=tuple(notes))


def _refuse_membranes(walk: Walk) -> None:
    """Refuse integrators whose membrane would feed on: only spikes travel on a chip."""
    found = {
        f"node {route.source!r} of type {kind} sends its membrane on to {route.target!r}, but "
        f"only spikes travel between neurons; use {kind}F, or end at an Output"
        for route in walk.routes
        if (kind := walk.graph.nodes[route.source].kind) in SILENT and not _ends(walk, route)
    }
    if found:
        raise UnsupportedNodeError("; ".join(sorted(found)))


def _ends(walk: Walk, route: Route) -> bool:
    """Whether a population's own spikes or membranes go out, unchanged."""
    plain = route.linear is None and route.delay_s == 0 and route.source not in walk.inputs
    return plain and walk.graph.nodes[route.target].kind == "Output"


def _outputs(walk: Walk, notes: list[str]) -> tuple[list[str], list[str]]:
    """Names of the populations that are read out, and of those outputs that must sum up."""
    outputs: list[str] = []
    sums: list[str] = []
    for name, node in walk.graph.nodes.items():
        routes = [route for route in walk.routes if route.target == name]
        if node.kind != "Output" or not routes:
            continue
        sources = sorted({route.source for route in routes})
        if all(_ends(walk, route) for route in routes):
            outputs += [source for source in sources if source not in outputs]
            if len(sources) > 1:
                notes.append(f"{name!r} adds up {', '.join(sources)}; here each is read by itself")
            continue
        silent = [source for source in sources if walk.graph.nodes[source].kind in SILENT]
        if silent:
            raise UnsupportedNodeError(
                f"node {name!r} of type Output adds the membrane of {', '.join(silent)} to other "
                f"values; give it an Output of its own"
            )
        sums.append(name)
        outputs.append(name)
        notes.append(f"{name!r} has weights but no neurons before it: it reads a plain sum")
    if not outputs:
        sources = [route.source for route in walk.routes]
        outputs = [name for name in walk.neurons if name not in sources]
        notes.append(f"no Output is reached; read out: {', '.join(outputs) or 'nothing'}")
    return outputs, sums


def _populations(
    walk: Walk, how: Conventions, biases: dict[str, Any], sums: Iterable[str]
) -> Iterator[Population]:
    for name in walk.neurons:
        shape = walk.shapes[name]
        bias = biases.get(name, np.zeros(prod(shape)))
        yield population(walk.graph.nodes[name], shape, how, bias)
    for name in sums:
        shape = walk.shapes[name]
        yield plain_sum(name, shape, how, biases.get(name, np.zeros(prod(shape))))


def _projections(walk: Walk, how: Conventions, sums: Iterable[str]) -> Iterator[Projection]:
    for route in walk.routes:
        node, shape = walk.graph.nodes[route.target], walk.shapes[route.target]
        if node.kind == "Output" and node.name not in sums:
            continue
        same_size(node, route.shape, prod(shape))
        linear = route.linear
        if linear is None:
            own = walk.shapes[route.source]
            linear = diagonal(np.ones(own), own)
        yield Projection(
            source=route.source,
            target=route.target,
            linear=scaled(linear, by=gains(node, shape, how)[0]),
            delay_s=route.delay_s,
        )


def _about_spikes(kinds: Iterable[str], how: Conventions) -> Iterator[str]:
    meanings = {
        "hold": "the value 1 held for one tick (hold)",
        "dirac": "a pulse of unit area (dirac)",
    }
    for spike, meaning in meanings.items():
        named = sorted(kind for kind in kinds if how.spike_of(kind) == spike)
        if named:
            yield f"a spike into {', '.join(named)} is {meaning}; tick {how.dt_s:g} s"


def _about_timing(network: Network) -> Iterator[str]:
    for index, projection in enumerate(network.projections):
        exact, rounded = projection.delay_s / network.dt_s, network.delay_ticks(projection)
        if abs(exact - rounded) > 1e-6 * max(exact, 1.0):
            yield (
                f"{projection.name}: a delay of {projection.delay_s:g} s is {exact:g} ticks, "
                f"rounded to {rounded}"
            )
        if index in network.feedback:
            yield (
                f"{projection.name} closes a cycle and carries the previous tick's spikes "
                f"(one tick of delay)"
            )
