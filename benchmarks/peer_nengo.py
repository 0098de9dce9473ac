"""Nengo (``pip install nengo scipy``): its reference simulator and its own LIF neuron, in float.

``nengo.LIF`` keeps what is left of a tick after a spike, so it fires a little more than the integer
model.
"""

from collections.abc import Callable
from typing import Any

import nengo
import numpy as np
import scipy.sparse
from peer_outcome import Outcome, Spent

DT = 1e-3


def population(bias: Any, threshold: int, leak: float) -> Any:
    """Make neurons with threshold 1, whose membrane keeps ``leak`` a tick."""
    cell = nengo.LIF(tau_rc=-DT / np.log(leak), tau_ref=0, min_voltage=-np.inf)
    worth = 1 / (threshold * (1 - leak))  # of one unit of a weight
    n = len(bias)
    return nengo.Ensemble(n, 1, neuron_type=cell, gain=np.full(n, worth), bias=bias * worth)


def counted(cells: Any) -> Any:
    """Record how many neurons fire in each tick."""
    total = nengo.Node(size_in=1)
    nengo.Connection(cells.neurons, total, transform=np.full((1, cells.n_neurons), DT))
    return nengo.Probe(total)


def feed_forward(net: dict[str, Any], leak: float) -> list[Any]:
    present = nengo.processes.PresentInput(net["raster"] / DT, DT)
    source = nengo.Node(present)
    probes = []
    for weights, threshold in zip(net["weights"], net["vth"], strict=True):
        target = population(np.zeros(weights.shape[1]), threshold, leak)
        # A synapse of 0 is Nengo's delay of one tick.
        nengo.Connection(source, target.neurons, transform=weights.T * DT, synapse=0)
        probes.append(counted(target))
        source = target.neurons
    return probes


def recurrent(net: dict[str, Any], leak: float) -> list[Any]:
    cells = population(net["bias"], net["vth"], leak)
    sources = np.arange(net["n"]).repeat(net["k"])
    matrix = scipy.sparse.csr_matrix(
        (net["w"].ravel() * DT, (net["dst"].ravel(), sources)), shape=(net["n"],) * 2
    )
    weights = nengo.Sparse((net["n"],) * 2, init=matrix)
    nengo.Connection(cells.neurons, cells.neurons, transform=weights, synapse=0)
    return [counted(cells)]


def prepare(net: dict[str, Any], _: str) -> Callable[[], Outcome]:
    """Build the model; a run starts from a reset."""
    with nengo.Network(seed=0) as model:
        make = feed_forward if "raster" in net else recurrent
        probes = make(net, 1 - net["dv"] / 4096)
    simulator = nengo.Simulator(model, dt=DT, progress_bar=False)

    def simulate() -> Outcome:
        simulator.reset()
        simulator.clear_probes()
        begin = Spent.now()
        simulator.run_steps(net["steps"])
        spent = begin.since()
        return Outcome(*spent, tuple(int(np.rint(simulator.data[p].sum())) for p in probes))

    return simulate
