"""A network in float as one side of a comparison."""

import numpy as np

from mapping.assemble import lags
from mapping.effects.sides import Cells, Decay, Limits, Register, Side, loaded
from mapping.linear import Floats
from mapping.network import Network, Population, current_keep, membrane_keep, rest_ticks
from mapping.reference import Timing


def float_side(
    network: Network,
    *,
    direct: frozenset[str],
    timing: Timing = "chip",
    input_latency: int = 1,
    label: str = "float",
) -> Side:
    """Take a network as it is.

    Parameters
    ----------
    input_latency : int
        In chip timing, ticks from an input spike to the first population.
    """
    numbers = loaded(network, direct)
    first = {part.name: input_latency for part in network.inputs}
    feedback, recurrent = network.feedback, network.recurrent
    late = {}
    for index in numbers:
        projection = network.projections[index]
        delay = network.delay_ticks(projection)
        if timing == "instant":
            late[index] = 1 if index in feedback else delay
        elif index in recurrent:
            late[index] = max(delay, 1)
        else:
            late[index] = delay + first.get(projection.source, 1)
    lag = {part.name: 0 for part in network.parts}
    return Side(
        label=label,
        network=network,
        direct=direct,
        cells=tuple(_float_cells(p, network.dt_s) for p in network.populations),
        weights={index: network.projections[index].linear for index in numbers},
        late=late,
        lag=lag if timing == "instant" else lags(network, direct, input_latency),
        timing=timing,
    )


def _float_decay(keep: Floats, leak: Floats) -> Decay:
    return Decay(keep=keep, leak=leak, whole=np.zeros(keep.size, np.int64))


def _float_cells(population: Population, dt_s: float) -> Cells:
    offset = _offset(population)
    keep = current_keep(population, dt_s)
    leak = dt_s / np.asarray(population.tau_mem_s)
    # As chips do it (`mapping.constants`), so that rounding a bias is all that its effect does.
    settled = np.asarray(population.bias) / (1 - keep)
    height = population.threshold
    return Cells(
        name=population.name,
        size=population.size,
        threshold=np.empty(0) if height is None else np.asarray(height) - offset,
        bias=settled + leak * (np.asarray(population.v_leak) - offset),
        initial_current=np.where(keep > 0, -settled, 0.0),
        handing=None,
        current_decay=_float_decay(keep, 1 - keep),
        order="decay-add-use",
        gain=np.ones(population.size),
        membrane_decay=_float_decay(membrane_keep(population, dt_s), leak),
        current=Register(),
        membrane=Register(),
        initial_membrane=-offset,
        limits=Limits(),
        reset=population.reset if population.spiking else "none",
        spikes_max=1,
        refractory="freeze",
        rest=rest_ticks(population, dt_s),
        compare=population.compare,
        accumulate="sum",
    )


def _offset(population: Population) -> Floats:
    """Where the chip's 0 lies; readouts never reset."""
    return np.asarray(population.v_reset) * float(population.spiking)
