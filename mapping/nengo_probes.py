"""Probes: what each shows, in terms of spikes and of what the host knows."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from mapping.nengo_host import NeuronTerm, OutsideTerm, Readout
from mapping.nengo_matrix import product, selection
from mapping.nengo_walk import Outside, Term, Walk, outside_of

Find = Callable[[Term], NeuronTerm | None]


def readouts_of(
    nengo: Any, model: Any, walk: Walk, neuron_term: Find, notes: list[str]
) -> dict[str, Readout]:
    """Find what each probe shows; those that show what is no signal of spikes become notes."""
    found: dict[str, Readout] = {}
    own = {c.post_obj: c for c in model.params if isinstance(c, nengo.Connection)}
    for number, probe in enumerate(model.toplevel.all_probes):
        name = probe.label or f"probe{number}"
        while name in found:
            name += f"#{number}"
        terms = _terms(nengo, walk, probe, own)
        if terms is None:
            notes.append(
                f"{probe}: {probe.attr} of {type(probe.obj).__name__} is not made of spikes, so the "
                "probe is left out; a simulation shows it (record=)"
            )
            continue
        if probe.sample_every is not None:
            notes.append(f"{probe}: shows every tick here, not one in {probe.sample_every} s")
        found[name] = _readout(name, probe, terms, model, neuron_term, separate=probe in own)
    return found


def _readout(
    name: str, probe: Any, terms: Sequence[Term], model: Any, neuron_term: Find, *, separate: bool
) -> Readout:
    outer = tuple(
        OutsideTerm(origin=t.origin, matrix=t.matrix, filters=t.filters)
        for t in terms
        if isinstance(t.origin, Outside)
    )
    inner = [neuron_term(t) for t in terms if not isinstance(t.origin, Outside)]
    filters = () if separate or probe.synapse is None else (probe.synapse,)
    return Readout(
        name=name,
        size=probe.size_in,
        terms=tuple(term for term in inner if term is not None),
        host=outer,
        filters=filters,
        dt_s=float(model.dt),
        seeds=model.seeds,
    )


def _terms(nengo: Any, walk: Walk, probe: Any, own: dict[Any, Any]) -> list[Term] | None:
    """What a probe shows, before its own filter; None for what spikes do not make."""
    target, what = probe.obj, probe.attr
    if isinstance(target, nengo.Ensemble) and what == "decoded_output":
        return list(walk.through(own[probe]))  # its slice and synapse included
    if isinstance(target, nengo.ensemble.Neurons) and what in ("output", "spikes"):
        n = target.size_out
        everyone = Term(target.ensemble, selection(np.arange(n), n), ())
        return _sliced([everyone], probe)
    if isinstance(target, nengo.Node) and what == "output":
        if walk.is_source(target):
            node = outside_of(target)
            n = target.size_out
            return _sliced([Term(node, selection(np.arange(n), n), ())], probe)
        return _sliced(walk.into(target), probe) if target.output is None else None
    if isinstance(target, nengo.Ensemble) and what == "input":
        return _sliced(walk.into(target), probe)
    if isinstance(target, nengo.Connection) and what == "output":
        return _sliced(list(walk.through(target)), probe)
    return None


def _sliced(terms: Sequence[Term], probe: Any) -> list[Term]:
    if probe.slice is None:
        return list(terms)
    chosen = []
    for term in terms:
        size = term.matrix.shape[0]
        indices = np.atleast_1d(np.arange(size)[probe.slice])
        chosen.append(term._replace(matrix=product(selection(indices, size), term.matrix)))
    return chosen
