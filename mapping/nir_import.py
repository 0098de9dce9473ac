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
from mapping.nir_file import Graph, naming, read_graph
from mapping.nir_neurons import (
    Conventions,
    Spike,
    current_gain,
    gains,
    plain_sum,
    population,
)
from mapping.nir_walk import NEURONS, SILENT, SUPPORTED, Route, Walk


def import_nir(
    source: str | Path | nir.NIRGraph,
    *,
    dt_s: float | None = None,
    reset: Reset | None = None,
    spike: Spike | None = None,
    compare: Compare | None = None,
    matrices: bool = True,
) -> Network:
    """Import a NIR file or graph.

    Parameters
    ----------
    dt_s, reset, spike, compare
        Win over the graph's metadata (``dt``, ``reset``, ``spike``, ``compare``). The last two
        have defaults: ``dirac`` for I and IF, ``hold`` for all leaky neurons; ``>``.
    matrices : bool
        Whether to read large matrices. A network without them has the right shapes, and weights
        of 1; it takes next to no memory, and serves to judge whether it fits a chip.

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
    graph = read_graph(source, matrices=matrices)
    where = "the graph" if isinstance(source, nir.NIRGraph) else str(source)
    asked = {"dt": dt_s, "reset": reset, "spike": spike, "compare": compare}
    try:
        _refuse_unknown(graph)
        how, notes = _conventions(graph, asked)
        # Numbers that overflow become infinite, and are told as such with their place.
        with np.errstate(all="ignore"):
            return _network(Walk(graph), how, notes)
    except (NirError, UnsupportedNodeError, NetworkError) as error:
        raise type(error)(f"{where}: {_with_types(str(error), graph)}") from error


def _with_types(text: str, graph: Graph) -> str:
    """Name nodes and their types where a `Network` speaks of populations."""
    for node in graph.nodes.values():
        if node.kind in NEURONS:
            text = text.replace(
                f"population {node.name!r}:", f"node {node.name!r} of type {node.kind}:"
            )
    return text


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
    _refuse_unreached(walk)
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


def _refuse_unreached(walk: Walk) -> None:
    """Refuse graphs in which nothing arrives where it is to be read, or anywhere at all."""
    reached = walk.reached()
    nodes = walk.graph.nodes.values()
    outputs = [node.name for node in nodes if walk.reads_out(node)]
    for what, names in (("Output", outputs), ("neuron", walk.neurons)):
        if names and not reached & set(names):
            raise NirError(
                f"no way leads from an Input to any {what} (there are {', '.join(names)}); are "
                f"edges missing?"
            )
    # The nir library puts an Input of this name before a node that nothing leads to.
    fed = {target for source, target in walk.graph.edges if source != f"input_{target}"}
    loose = [name for name in outputs if name not in fed]
    if loose:
        raise NirError(
            f"nothing leads to the Output {', '.join(map(repr, loose))}; connect it, or leave it out"
        )


def _refuse_membranes(walk: Walk) -> None:
    """Refuse integrators whose membrane would feed on: only spikes travel on a chip."""
    found = set()
    for route in walk.routes:
        kind = walk.graph.nodes[route.source].kind
        if kind not in SILENT or _ends(walk, route):
            continue
        begun = f"node {route.source!r} of type {kind} sends its membrane on to {route.target!r}"
        if walk.reads_out(walk.graph.nodes[route.target]):
            found.add(
                f"{begun} through weights or a delay, but membranes are read out as they are; lead "
                f"it there by an edge of its own, or use {kind}F"
            )
        else:
            found.add(f"{begun}, but only spikes travel between neurons; use {kind}F")
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
        if not walk.reads_out(node) or not routes:
            continue
        if len(routes) == 1 and _ends(walk, routes[0]):
            outputs += [routes[0].source] if routes[0].source not in outputs else []
            continue
        sources = sorted({route.source for route in routes})
        silent = [source for source in sources if walk.graph.nodes[source].kind in SILENT]
        if silent:
            raise UnsupportedNodeError(
                f"node {name!r} of type Output adds the membrane of {', '.join(silent)} to other "
                f"values; give it an Output of its own"
            )
        sums.append(name)
        outputs.append(name)
        notes.append(
            f"{name!r} adds up the spikes of {', '.join(sources)}: it reads a plain sum"
            if all(_ends(walk, route) for route in routes)
            else f"{name!r} has weights but no neurons before it: it reads a plain sum"
        )
    if not outputs:
        sources = [route.source for route in walk.routes]
        outputs = [name for name in walk.neurons if name not in sources]
        notes.append(f"there is no Output; read out: {', '.join(outputs) or 'nothing'}")
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
        with naming(node):
            linear = route.linear
            if linear is None:
                own = walk.shapes[route.source]
                linear = diagonal(np.ones(own), own)
            linear = scaled(linear, by=gains(node, shape, how)[0])
        yield Projection(
            source=route.source,
            target=route.target,
            linear=linear,
            delay_s=route.delay_s,
            current_gain=current_gain(node, how) if route.source in walk.inputs else 1.0,
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
    feedback = network.feedback
    for index, projection in enumerate(network.projections):
        exact, rounded = projection.delay_s / network.dt_s, network.delay_ticks(projection)
        if abs(exact - rounded) > 1e-6 * max(exact, 1.0):
            yield (
                f"{projection.name}: a delay of {projection.delay_s:g} s is {exact:g} ticks, "
                f"rounded to {rounded}"
            )
        if index in feedback:
            yield (
                f"{projection.name} closes a cycle and carries the previous tick's spikes "
                f"(one tick of delay)"
            )
