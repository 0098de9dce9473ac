"""A Nengo model: built if it is not yet, its ensembles named, their neurons looked up."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

from mapping.nengo_neurons import NengoNeuron
from mapping.nengo_ticks import in_whole_ticks, whole_tick_lif
from traces.extras import extra

DT_S = 0.001
"""Nengo's own tick, seconds."""

_WHY = {
    "Direct": "calculates functions in Python without neurons; give it neurons (nengo.LIF())",
    "LIFRate": "sends rates, and a chip spikes; use nengo.LIF or nengo.RegularSpiking(nengo.LIFRate())",
    "RectifiedLinear": "sends rates, and a chip spikes; use nengo.SpikingRectifiedLinear",
    "Sigmoid": "sends rates of a curve that no membrane has; use nengo.LIF and solve again",
    "Tanh": "sends rates, negative ones too; use nengo.LIF and solve again",
    "AdaptiveLIF": "has an adapting current, a second state that no preset has; use nengo.LIF",
    "AdaptiveLIFRate": "sends rates that adapt, and a chip spikes; use nengo.LIF",
    "Izhikevich": "has a quadratic membrane and a recovery variable; use nengo.LIF",
    "PoissonSpiking": "draws its spikes at random, so that no run is another's; use "
    "nengo.RegularSpiking of the same base",
    "StochasticSpiking": "draws its spikes at random, so that no run is another's; use "
    "nengo.RegularSpiking of the same base",
}
"""Types of neurons that are refused: why, and what can be done."""


@contextmanager
def built_model(
    model: Any, dt_s: float | None, *, whole_ticks: bool = False
) -> Iterator[tuple[Any, Any]]:
    """Yield the nengo package, and the model as it is built.

    Raises
    ------
    MissingExtraError
        If nengo is not installed.
    TypeError
        If it is none of Nengo's.
    ValueError
        If a tick is given that is not the built one, or not positive; or if what is built is to be
        solved anew.
    """
    nengo = extra("nengo", "nengo")
    if isinstance(model, nengo.Network):
        dt = DT_S if dt_s is None else float(dt_s)
        if not 0 < dt < float("inf"):
            raise ValueError(f"the tick must be positive, but is {dt} s")
        built = nengo.builder.Model(dt=dt)
        with in_whole_ticks(nengo, model, dt) if whole_ticks else nullcontext():
            built.build(model)
            yield nengo, built
        return
    built = getattr(model, "model", model)
    if not isinstance(built, nengo.builder.Model):
        raise TypeError(
            "a nengo.Network, nengo.Simulator or nengo.builder.Model is needed, not "
            f"{type(model).__name__}"
        )
    if built.toplevel is None:
        raise ValueError("the Nengo model is not built yet; give the nengo.Network itself")
    if whole_ticks:
        raise ValueError(
            "whole_ticks: the model is built, so its decoders are solved already; give the "
            "nengo.Network"
        )
    if dt_s is not None and dt_s != built.dt:
        raise ValueError(
            f"the model was built with a tick of {built.dt} s, not {dt_s} s; build it anew, or leave "
            "dt_s out"
        )
    yield nengo, built


def names_of(network: Any) -> dict[Any, str]:
    """Name all ensembles: labels, after those of the networks that they are in, made unique."""
    names: dict[Any, str] = {}
    _name(network, "", names)
    taken: set[str] = set()
    for ensemble, wanted in names.items():
        name, number = wanted, 2
        while name in taken:
            name, number = f"{wanted}#{number}", number + 1
        taken.add(name)
        names[ensemble] = name
    return names


def _name(network: Any, prefix: str, names: dict[Any, str]) -> None:
    for ensemble in network.ensembles:
        label = ensemble.label or f"ensemble{len(names)}"
        # A slash would be a folder in a trace.
        names[ensemble] = (prefix + label).replace("/", "|")
    for number, inner in enumerate(network.networks):
        _name(inner, f"{prefix}{inner.label or f'network{number}'}.", names)


def neuron_of(nengo: Any, ensemble: Any) -> NengoNeuron | list[str]:
    """Return an ensemble's neurons, or why there are none for them."""
    problems = []
    if ensemble.noise is not None:
        problems.append(
            f"{ensemble}: has noise ({ensemble.noise}), which is random in every run; remove it, or "
            "connect a node with recorded noise"
        )
    kind = type(ensemble.neuron_type)
    found = _neuron(nengo, ensemble.neuron_type)
    if isinstance(found, str):
        problems.append(f"{ensemble}: {kind.__name__} {found}")
    elif not problems:
        return found
    return problems


def _neuron(nengo: Any, neurons: Any) -> NengoNeuron | str:
    kind = type(neurons)
    if kind in (nengo.LIF, whole_tick_lif(nengo)):
        return NengoNeuron(
            kind=kind.__name__, amplitude=neurons.amplitude, tau_rc=neurons.tau_rc,
            tau_ref=neurons.tau_ref, min_voltage=neurons.min_voltage,
        )  # fmt: skip
    if kind is nengo.SpikingRectifiedLinear:
        return NengoNeuron(kind="SpikingRectifiedLinear", amplitude=neurons.amplitude)
    if kind is nengo.RegularSpiking:
        base = neurons.base_type
        if type(base) is nengo.RectifiedLinear:
            return NengoNeuron(
                kind="RegularSpiking(RectifiedLinear)", amplitude=neurons.amplitude,
                gained=base.amplitude,
            )  # fmt: skip
        if type(base) is nengo.LIFRate and base.amplitude == 1:
            return NengoNeuron(
                kind="RegularSpiking(LIFRate)", amplitude=neurons.amplitude,
                tau_rc=base.tau_rc, tau_ref=base.tau_ref,
            )  # fmt: skip
        if type(base) is nengo.LIFRate:
            return (
                f"of LIFRate with amplitude {base.amplitude}, which fires more often than a LIF neuron "
                "can; give the amplitude to RegularSpiking instead"
            )
        return f"of {type(base).__name__} has a curve that no membrane has; use LIFRate or RectifiedLinear"
    known = "LIF, SpikingRectifiedLinear, and RegularSpiking of LIFRate or RectifiedLinear"
    return _WHY.get(kind.__name__, f"is not known; known are {known}")
