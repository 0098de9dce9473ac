"""What the host does for each sample: turn input into events of the machine."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emulator.chip import Chip
from emulator.stimulus import Stimulus
from mapping.drive import Drive
from mapping.linear import apply
from mapping.network import Network
from mapping.quantise import bias_integers, current_keep
from spikefab.deploy import Deployment

Array = NDArray[Any]


def stimulus(drive: Drive, deployment: Deployment) -> Stimulus:
    """Turn a sample's input into events of the machine.

    Currents go through the weights and the synaptic filter on the host, in float, and are handed
    over as changes of the neurons' biases in the chip's bias format.
    """
    program = deployment.program
    ticks, channels, payloads = [], [], []
    for name, counts in drive.spikes.items():
        tick, channel = np.nonzero(counts)
        ticks.append(tick)
        channels.append(channel + program.first_channel(name))
        payloads.append(counts[tick, channel])
    spike = [np.concatenate(c) if c else np.empty(0, np.int64) for c in (ticks, channels, payloads)]
    order = np.lexsort((spike[1], spike[0]))
    changes = list(_bias_changes(drive, deployment)) if drive.currents else []
    current = [np.concatenate(c) for c in zip(*changes, strict=True)] or [np.empty(0)] * 3
    later = np.lexsort((current[1], current[0]))
    return Stimulus(
        spike_tick=spike[0][order],
        spike_channel=spike[1][order],
        spike_payload=spike[2][order],
        current_tick=current[0][later],
        current_neuron=current[1][later],
        current_value=current[2][later],
    )


def _bias_changes(drive: Drive, deployment: Deployment) -> Iterator[tuple[Array, Array, Array]]:
    network, fixed = deployment.network, deployment.fixed
    for part in fixed.populations:
        arriving = _host_currents(drive, network, part.name)
        if arriving is None:
            continue
        keep = current_keep(network, network.population(part.name))
        filtered = np.zeros_like(arriving)
        level = np.zeros(part.size)
        for at, row in enumerate(arriving):
            level = keep * level + row
            filtered[at] = level
        # After the last input a filtered current fades; it is followed until below half a unit.
        values = _whole_bias(filtered, part.bias, part.scale, deployment.chip)
        before = np.vstack([np.zeros((1, part.size), np.int64), values[:-1]])
        tick, neuron = np.nonzero(values != before)
        yield tick, deployment.program.neurons_of(part.name)[neuron], values[tick, neuron]


def _whole_bias(filtered: Array, bias: Array, scale: float, chip: Chip) -> Array:
    """Change against the loaded bias, so that their sum keeps to the chip's bias format."""
    return bias_integers(bias + filtered * scale, chip) - bias


def _host_currents(drive: Drive, network: Network, target: str) -> Array | None:
    """Analog input of one population at each tick, until it has faded; None if it gets none."""
    ways = [p for p in network.projections if p.target == target and p.source in drive.currents]
    if not ways:
        return None
    tau = np.asarray(network.population(target).tau_syn_s)
    fade = int(np.ceil(20 * float(tau.max()) / network.dt_s)) + 1
    longest = max(network.delay_ticks(p) for p in ways)
    total: Array = np.zeros((drive.n_ticks + longest + fade, network.population(target).size))
    for projection in ways:
        values = drive.currents[projection.source].astype(np.float64)
        delay = network.delay_ticks(projection)
        total[delay : delay + drive.n_ticks] += apply(projection.linear, values)
    return total
