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


def stimulus(drive: Drive, deployment: Deployment, n_ticks: int) -> Stimulus:
    """Turn a sample's input into events of the machine.

    Currents go through the weights and the synaptic filter on the host, in float, and are handed
    over as changes of the neurons' biases in the chip's bias format.

    Parameters
    ----------
    n_ticks : int
        Length of the sample; a filtered current that outlasts it is not followed further.
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
    changes = list(_bias_changes(drive, deployment, n_ticks)) if drive.currents else []
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


def _bias_changes(
    drive: Drive, deployment: Deployment, n_ticks: int
) -> Iterator[tuple[Array, Array, Array]]:
    network, fixed = deployment.network, deployment.fixed
    for part in fixed.populations:
        arriving = _host_currents(drive, network, part.name, n_ticks)
        if arriving is None:
            continue
        keep = current_keep(network, network.population(part.name))
        filtered = np.zeros_like(arriving)
        level = np.zeros(part.size)
        for at, row in enumerate(arriving):
            level = keep * level + row
            filtered[at] = level
        values = _whole_bias(filtered, part.bias, part.scale, deployment.chip)
        before = np.vstack([np.zeros((1, part.size), np.int64), values[:-1]])
        tick, neuron = np.nonzero(values != before)
        yield tick, deployment.program.neurons_of(part.name)[neuron], values[tick, neuron]


def _whole_bias(filtered: Array, bias: Array, scale: float, chip: Chip) -> Array:
    """Change against the loaded bias, so that their sum keeps to the chip's bias format."""
    return bias_integers(bias + filtered * scale, chip) - bias


def _host_currents(drive: Drive, network: Network, target: str, n_ticks: int) -> Array | None:
    """Analog input of one population at each tick of the sample; None if it gets none."""
    ways = [p for p in network.projections if p.target == target and p.source in drive.currents]
    if not ways:
        return None
    total: Array = np.zeros((n_ticks, network.population(target).size))
    for projection in ways:
        held = drive.currents[projection.source].astype(np.float64) * projection.current_gain
        values = apply(projection.linear, held)
        first = network.delay_ticks(projection)
        last = min(first + drive.n_ticks, n_ticks)
        # Held values have no tick axis and are the same at each.
        total[first:last] += values if values.ndim == 1 else values[: max(last - first, 0)]
    return total
