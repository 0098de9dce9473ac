"""norse, snnTorch and sinabs on PyTorch (``pip install torch norse snntorch sinabs``), on the CPU.

Each brings its own leaky neuron, set to the workload's leak and reset; batch 1, no gradients. The
loop over ticks is Python, and synapses are products with dense or sparse matrices. One thread: at
this size more of them wait for each other.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from peer_outcome import Outcome, Spent

# A neuron takes its input and its state, and gives spikes and the next state.
Neuron = Callable[[Any, Any], tuple[Any, Any]]


def norse_neuron(threshold: int, leak: float) -> Neuron:
    from norse.torch import LIFBoxCell
    from norse.torch.functional.lif_box import LIFBoxParameters

    rate = 1 - leak  # of the membrane a tick; norse applies it to its input as well
    cell = LIFBoxCell(
        p=LIFBoxParameters(
            tau_mem_inv=torch.tensor(rate), v_th=torch.tensor(float(threshold)),
            v_leak=torch.tensor(0.0), v_reset=torch.tensor(0.0),
        ),
        dt=1.0,
    )  # fmt: skip
    return lambda drive, state: cell(drive / rate, state)


def snntorch_neuron(threshold: int, leak: float) -> Neuron:
    import snntorch

    cell = snntorch.Leaky(
        beta=leak, threshold=float(threshold), reset_mechanism="zero", reset_delay=False
    )
    return lambda drive, state: cell(drive, torch.zeros_like(drive) if state is None else state)


def sinabs_neuron(threshold: int, leak: float) -> Neuron:
    from sinabs.activation import MembraneReset, SingleSpike
    from sinabs.layers import LIF

    cell = LIF(
        tau_mem=float(-1 / np.log(leak)), spike_threshold=torch.tensor(float(threshold)),
        spike_fn=SingleSpike, reset_fn=MembraneReset(), norm_input=False,
    )  # fmt: skip
    cell.reset_states()

    def step(drive: Any, state: Any) -> tuple[Any, Any]:
        if state is None:
            cell.reset_states()
        return cell(drive[:, None])[:, 0], cell  # it keeps its state itself

    return step


NEURONS = {"norse": norse_neuron, "snntorch": snntorch_neuron, "sinabs": sinabs_neuron}


def feed_forward(net: dict[str, Any], neurons: list[Neuron]) -> tuple[list[Any], Any]:
    """Give the layers' counts as a list that grows and a function of one tick for W1."""
    weights = [torch.tensor(w.astype(np.float32)) for w in net["weights"]]
    raster = torch.tensor(net["raster"].astype(np.float32))[:, None]
    before = [torch.zeros(1, len(w)) for w in weights]
    states: list[Any] = [None] * len(neurons)
    counts = [torch.zeros(()) for _ in neurons]

    def tick(t: int) -> None:
        fired = [raster[t]]
        for layer, neuron in enumerate(neurons):
            spikes, states[layer] = neuron(before[layer] @ weights[layer], states[layer])
            counts[layer] += spikes.sum()
            fired.append(spikes)
        before[:] = fired[:-1]

    return counts, tick


def recurrent(net: dict[str, Any], neurons: list[Neuron]) -> tuple[list[Any], Any]:
    """Give the count and a function of one tick for W2 and W3."""
    n = net["n"]
    sources = np.arange(n).repeat(net["k"])
    index = torch.tensor(np.stack([net["dst"].ravel(), sources]))
    matrix = torch.sparse_coo_tensor(
        index, torch.tensor(net["w"].ravel().astype(np.float32)), (n, n)
    ).to_sparse_csr()
    bias = torch.tensor(net["bias"].astype(np.float32))[None]
    before, state = torch.zeros(1, n), None
    counts = [torch.zeros(())]

    def tick(_: int) -> None:
        nonlocal before, state
        drive = matrix.mv(before[0])[None] + bias
        before, state = neurons[0](drive, state)
        counts[0] += before.sum()

    return counts, tick


def prepare(net: dict[str, Any], library: str) -> Callable[[], Outcome]:
    """Build with the neuron of a library; every run starts with new state."""
    torch.set_num_threads(1)
    leak = 1 - net["dv"] / 4096
    thresholds = net["vth"] if "raster" in net else [net["vth"]]
    neurons = [NEURONS[library](threshold, leak) for threshold in thresholds]
    make = feed_forward if "raster" in net else recurrent

    @torch.no_grad()
    def simulate() -> Outcome:
        counts, tick = make(net, neurons)
        begin = Spent.now()
        for t in range(net["steps"]):
            tick(t)
        spent = begin.since()
        notes = f"torch {torch.__version__}, one thread, batch 1"
        return Outcome(*spent, tuple(int(c) for c in counts), notes)

    return simulate
