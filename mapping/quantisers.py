"""Ways from float to a chip's integers, by name."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emulator.chip import Chip
from mapping import losses
from mapping.errors import UnsupportedNodeError
from mapping.fixed import FixedNetwork, FixedPopulation, FixedProjection, TensorError
from mapping.linear import Convolution, Floats, Linear, with_weights
from mapping.nengo_rule import Block, FixedBlock, discretise
from mapping.network import (
    Network,
    Population,
    Projection,
    current_keep,
    membrane_keep,
    rest_ticks,
    weights_of,
)
from mapping.quantise import quantise
from mapping.weight_rules import unlike_loihi


def quantise_as_nengo(
    network: Network,
    chip: Chip,
    *,
    direct: frozenset[str] = frozenset(),
    largest_currents: Mapping[str, float] | None = None,
    seed: int = 0,
) -> FixedNetwork:
    """Round a network by nengo-loihi's rule (`mapping.nengo_rule`), each population a block.

    The largest weight into a population gets the largest mantissa; thresholds and biases follow,
    with corrections for what rounding takes from decaying states. Nothing is made room for.

    Parameters
    ----------
    largest_currents, seed
        Taken for the sake of the table; this rule looks at neither.

    Raises
    ------
    UnsupportedNodeError
        If the chip has other formats than Loihi, or neurons of a population have different time
        constants.
    """
    unsuited = unlike_loihi(chip)
    if chip.numbers.weight_bits != 8:
        unsuited.append(f"numbers.weight_bits is {chip.numbers.weight_bits}, not 8")
    if unsuited:
        raise UnsupportedNodeError(
            f"the quantiser nengo-loihi is made for Loihi's integers, but of {chip.name} "
            f"{'; '.join(unsuited)}; use another quantiser"
        )
    # Everything that both ways share, and every refusal, is the same.
    usual = quantise(network, chip, direct=direct)
    errors: list[TensorError] = []
    populations: list[FixedPopulation] = []
    projections: list[FixedProjection] = []
    for population, own in zip(network.populations, usual.populations, strict=True):
        into = [
            p for p in network.projections if p.target == population.name and p.source not in direct
        ]
        loaded = [p for p in usual.projections if p.target == population.name]
        block = _block(network, population, into)
        try:
            fixed = discretise(block)
        except ValueError as error:
            raise UnsupportedNodeError(f"population {population.name!r}: {error}") from None
        populations.append(_population(own, fixed, block, population, chip))
        for p, before, weight in zip(into, loaded, fixed.weights, strict=True):
            errors.append(_error(p, weight, fixed, chip))
            projections.append(
                FixedProjection(
                    source=p.source,
                    target=p.target,
                    linear=with_weights(p.linear, weight.reshape(weights_of(p.linear).shape)),
                    exponent=0,
                    shift=0,
                    delay=before.delay,
                )
            )
    return FixedNetwork(
        network=network,
        direct=direct,
        populations=tuple(populations),
        projections=tuple(projections),
        errors=tuple(errors),
        notes=tuple(losses.timing_notes(network, direct, chip.arithmetic.input_latency)),
    )


def _block(network: Network, population: Population, into: list[Projection]) -> Block:
    """Say it in nengo's terms: filters whose output settles at their input."""
    current = _uniform(population, "synaptic", 1 - current_keep(population, network.dt_s))
    membrane = _uniform(population, "membrane", 1 - membrane_keep(population, network.dt_s))
    rest = rest_ticks(population, network.dt_s)
    gain = 1 / (current * (membrane or 1.0))
    offset = np.asarray(population.v_reset) * population.spiking
    settled = np.asarray(population.bias) / current
    settled = settled + membrane * (np.asarray(population.v_leak) - offset) + population.push
    # What never spikes has no threshold that must fit.
    height = np.asarray(0.0 if population.threshold is None else population.threshold - offset)
    return Block(
        current_leak=current,
        membrane_leak=membrane,
        rest_ticks=int(rest.max(initial=0)),
        bias=settled / (membrane or 1.0),
        threshold=np.broadcast_to(height, (population.size,)),
        voltage_min=float(np.min(population.v_min - offset)),
        voltage_max=np.inf,
        weights=tuple(_flat(p.linear) * gain for p in into),
    )


def _uniform(population: Population, what: str, leak: Floats) -> float:
    if np.any(leak != leak[0]):
        raise UnsupportedNodeError(
            f"population {population.name!r}: its neurons have different {what} time constants, but "
            f"the quantiser nengo-loihi takes one for a population; use another quantiser"
        )
    return float(leak[0])


def _flat(linear: Linear) -> Floats:
    weight = weights_of(linear)
    return weight.reshape(weight.shape[0], -1) if isinstance(linear, Convolution) else weight


def _population(
    usual: FixedPopulation,
    fixed: FixedBlock,
    block: Block,
    population: Population,
    chip: Chip,
) -> FixedPopulation:
    n = usual.size
    whole = 2**chip.numbers.decay_bits
    keep = whole - chip.numbers.current_decay_offset - fixed.decay_u
    # A bias that acts through the current is its settled value, less one that fades with it.
    filtered = (np.asarray(population.tau_syn_s) > 0) & (np.asarray(population.bias) != 0)
    gain = fixed.scale / max(block.current_leak, 1 / whole)
    start = np.where(filtered, np.rint(-np.asarray(population.bias) * gain), 0).astype(np.int64)
    return FixedPopulation(
        name=usual.name,
        shape=usual.shape,
        scale=fixed.scale,
        offset=usual.offset,
        keep_current=np.full(n, keep),
        keep_membrane=np.full(n, whole - fixed.decay_v),
        bias=fixed.bias,
        threshold=None if usual.threshold is None else fixed.threshold,
        initial_current=start,
        initial_membrane=np.rint((population.v_start - usual.offset) * fixed.scale).astype(
            np.int64
        ),
        sum_shift=0,
        reset=usual.reset,
        compartments=usual.compartments,
        membrane_min=None if usual.membrane_min is None else np.full(n, fixed.membrane_min),
        membrane_max=usual.membrane_max,
        refractory=usual.refractory,
    )


def _error(
    projection: Projection, weight: NDArray[Any], fixed: FixedBlock, chip: Chip
) -> TensorError:
    step = 2.0 ** (chip.numbers.input_shift - chip.numbers.weight_shift)
    exact = weights_of(projection.linear) * fixed.scale / 2**chip.numbers.input_shift
    return losses.tensor_error(
        f"{projection.name} weights", exact, weight.reshape(exact.shape).astype(np.float64),
        bits=chip.numbers.weight_bits, scale=fixed.scale / step, low=-np.inf, high=np.inf,
    )  # fmt: skip


Quantiser = Callable[..., FixedNetwork]
QUANTISERS: dict[str, Quantiser] = {"spikefab": quantise, "nengo-loihi": quantise_as_nengo}
