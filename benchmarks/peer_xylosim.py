"""XyloSim (``pip install xylosim numpy``): SynSense's simulator of Xylo, here of any size.

Another neuron: a spike subtracts the threshold, several fit in a tick, and a synaptic current halves
before it is used (so the whole weight arrives, spread over ticks). Its spikes therefore differ; the
work per spike is the same.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from peer_outcome import Outcome, Spent
from xylosim.v1 import XyloLayer as PlainLayer
from xylosim.v1 import XyloSynapse as PlainSynapse
from xylosim.v2 import XyloLayer as BiasedLayer
from xylosim.v2 import XyloSynapse as BiasedSynapse

LEAK = 4  # 1/16 of the membrane a tick
CURRENT = 1  # the least decay that lets a current through; each neuron has two synapses


def rows(kind: Any, targets: Any, weights: Any) -> list[list[Any]]:
    """Make the synapses of each source."""
    return [
        [kind(t, 0, w) for t, w in zip(ts, ws, strict=True)]
        for ts, ws in zip(targets.tolist(), weights.tolist(), strict=True)
    ]


def neurons(n: int) -> dict[str, Any]:
    """Give the values that all hidden neurons share."""
    return {"aliases": [[]] * n, "dash_mem": [LEAK] * n, "dash_syns": [[CURRENT, CURRENT]] * n}


def shifts() -> dict[str, int]:
    return {"weight_shift_inp": 0, "weight_shift_rec": 0, "weight_shift_out": 0}


def feed_forward(net: dict[str, Any]) -> tuple[Any, Any, Any]:
    """Build W1: both hidden layers in the one recurrent layer, the last as the readout.

    Returned are the layer, its input and its synapses, which must outlive it.
    """
    first, second, last = net["weights"]
    n_hidden = first.shape[1]
    to = [np.tile(np.arange(w.shape[1]), (w.shape[0], 1)) for w in net["weights"]]
    none: list[list[Any]] = [[]] * n_hidden
    synapses = {
        "synapses_in": rows(PlainSynapse, to[0], first),
        "synapses_rec": rows(PlainSynapse, to[1] + n_hidden, second) + none,
        "synapses_out": none + rows(PlainSynapse, to[2], last),
    }
    layer = PlainLayer(
        threshold=[net["vth"][0] + 1] * n_hidden + [net["vth"][1] + 1] * n_hidden,
        threshold_out=[net["vth"][2] + 1] * last.shape[1],
        dash_mem_out=[LEAK] * last.shape[1], dash_syns_out=[[CURRENT]] * last.shape[1],
        name="W1", **synapses, **neurons(2 * n_hidden), **shifts(),
    )  # fmt: skip
    # Its input acts in the tick in which it is given.
    shifted = np.roll(net["raster"], 1, axis=0)
    shifted[0] = False
    return layer, shifted.astype(int).tolist(), synapses


def recurrent(net: dict[str, Any]) -> tuple[Any, Any, Any]:
    """Build W2 or W3, with one input and one readout that do nothing."""
    n = net["n"]
    synapses = {"synapses_rec": rows(BiasedSynapse, net["dst"], net["w"])}
    layer = BiasedLayer(
        synapses_in=[[]], synapses_out=[[]] * n, threshold=[net["vth"] + 1] * n, threshold_out=[1],
        has_bias=True, bias=net["bias"].tolist(), bias_out=[0],
        dash_mem_out=[LEAK], dash_syns_out=[[CURRENT]],
        name=net["name"], **synapses, **neurons(n), **shifts(),
    )  # fmt: skip
    return layer, [[0]] * net["steps"], synapses


def prepare(net: dict[str, Any], _: str) -> Callable[[], Outcome]:
    """Build the layer and its input, as the lists that XyloSim takes."""
    first = "raster" in net
    layer, given, synapses = feed_forward(net) if first else recurrent(net)

    def simulate() -> Outcome:
        assert synapses, "XyloSim keeps pointers to them, not references"
        layer.reset_all()
        begin = Spent.now()
        out = layer.evolve(given)
        spent = begin.since()
        fired = np.asarray(layer.rec_recurrent_spikes)
        counts = [int(fired.sum())]
        if first:
            counts = [int(half.sum()) for half in np.hsplit(fired, 2)] + [int(np.sum(out))]
        return Outcome(*spent, tuple(counts), "records every state of every tick")

    return simulate
