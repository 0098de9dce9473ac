"""brian2-loihi (``pip install brian2-loihi``): Loihi's integers, by equations of Brian2.

It has no bias, so one more input that fires in every tick brings it, over synapses of the same
weights as everything on that chip.
"""

from collections.abc import Callable
from typing import Any

import brian2 as b2
import numpy as np
from brian2_loihi import (
    LoihiNetwork,
    LoihiNeuronGroup,
    LoihiSpikeGeneratorGroup,
    LoihiSynapses,
    synapse_sign_mode,
)
from peer_outcome import Outcome, Spent


def population(count: int, threshold: int, leak: int) -> Any:
    return LoihiNeuronGroup(
        count, refractory=1, threshold_v_mant=threshold, decay_v=leak, decay_I=4096
    )


def synapses(source: Any, target: Any, rows: Any, columns: Any, weights: Any) -> Any:
    mode = synapse_sign_mode.MIXED if weights.min() < 0 else synapse_sign_mode.EXCITATORY
    made = LoihiSynapses(source, target, sign_mode=mode)
    made.connect(i=rows, j=columns)
    made.w = weights.astype(np.int32)
    return made


def feed_forward(net: dict[str, Any]) -> tuple[list[Any], list[Any]]:
    ticks, indices = np.nonzero(net["raster"])
    # Its input acts in the tick in which it is given.
    layers: list[Any] = [
        LoihiSpikeGeneratorGroup(net["raster"].shape[1], indices, ticks + 1, sorted=True)
    ]
    links = []
    for weights, threshold in zip(net["weights"], net["vth"], strict=True):
        layers.append(population(weights.shape[1], threshold, net["dv"]))
        rows, columns = np.indices(weights.shape)
        links.append(synapses(*layers[-2:], rows.ravel(), columns.ravel(), weights.ravel()))
    return layers, links


def recurrent(net: dict[str, Any]) -> tuple[list[Any], list[Any]]:
    n, ticks = net["n"], np.arange(net["steps"])
    always = LoihiSpikeGeneratorGroup(1, np.zeros_like(ticks), ticks, sorted=True)
    cells = population(n, net["vth"], net["dv"])
    rows = np.arange(n).repeat(net["k"])
    return [always, cells], [
        synapses(cells, cells, rows, net["dst"].ravel(), net["w"].ravel()),
        synapses(always, cells, np.zeros(n, int), np.arange(n), net["bias"]),
    ]


def looped(network: Any, ticks: int) -> Spent:
    """Run, and take the time between Brian2's first report, after code is generated, and its last."""
    reported: list[Spent] = []
    network.run(ticks, report=lambda *_: reported.append(Spent.now()))
    first, last = reported[0], reported[-1]
    return Spent(last.seconds - first.seconds, last.cpu_s - first.cpu_s)


def prepare(net: dict[str, Any], _: str) -> Callable[[], Outcome]:
    """Build with Cython as Brian2's target."""
    b2.prefs.codegen.target = "cython"
    groups, links = feed_forward(net) if "raster" in net else recurrent(net)
    counters = [b2.SpikeMonitor(group, record=False) for group in groups[1:]]
    network = LoihiNetwork(*groups, *links, *counters)
    network.store()
    looped(network, 1)  # compile

    def simulate() -> Outcome:
        network.restore()
        spent = looped(network, net["steps"])
        return Outcome(*spent, tuple(int(c.num_spikes) for c in counters), "cython, one thread")

    return simulate
