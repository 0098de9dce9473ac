"""From float to a chip's integers, population by population.

`mapping.scale` chooses how many integer units a float unit becomes, `mapping.constants` has the
neurons' side, `mapping.rounding` knows the formats, `mapping.losses` says what was lost. Here they
are put together.
"""

from collections.abc import Mapping

import numpy as np

from emulator.chip import Chip
from emulator.chip_file import refuse_to_run
from mapping import losses, rounding
from mapping.constants import FLOAT_BITS, Constants
from mapping.errors import UnsupportedNodeError
from mapping.fixed import FixedNetwork, FixedPopulation, FixedProjection, TensorError
from mapping.linear import Floats, Linear, scaled, with_weights
from mapping.load import fan_sums
from mapping.network import Network, Population, Projection, current_keep, rest_ticks, weights_of
from mapping.rounding import is_float
from mapping.scale import choose_scale, reference_weight, weight_exponent
from mapping.violations import Violation


def quantise(
    network: Network,
    chip: Chip,
    *,
    direct: frozenset[str] = frozenset(),
    largest_currents: Mapping[str, float] | None = None,
    seed: int = 0,
) -> FixedNetwork:
    """Round a network to a chip's formats.

    Parameters
    ----------
    direct : frozenset of str
        Inputs that the host turns into bias currents; their weights are not loaded.
    largest_currents : mapping of population name to float, optional
        Largest magnitude, after the synaptic filter, that the host will hand over, so that the
        bias format holds it. Analog values up to 1 are assumed without it.
    seed : int
        For stochastic rounding alone.

    Raises
    ------
    UnsupportedNodeError
        If the chip has no rule for a population's reset, or no cores that take a network.
    NetworkError
        If thresholds are too small to calculate with.
    ChipDoesNotRunError
        If nothing runs on the chip.
    """
    refuse_to_run(chip)
    if chip.core != "lists":
        raise UnsupportedNodeError(
            f"{chip.name} has {chip.core} cores: each neuron has one weight for each axon type and "
            "one destination, which a network cannot be rounded to; load a memory image instead "
            "(mapping.ranc_file, mapping.crossbar), or use another chip"
        )
    resets = chip_resets(network, chip)
    rng = np.random.default_rng(seed)
    recurrent = network.recurrent
    errors: list[TensorError] = []
    notes = list(losses.timing_notes(network, direct, chip.arithmetic.input_latency))
    populations: list[FixedPopulation] = []
    projections: dict[int, FixedProjection] = {}
    for population in network.populations:
        constants = Constants(network, population, chip, rng)
        incoming = {
            index: _gained(projection, constants)
            for index, projection in enumerate(network.projections)
            if projection.target == population.name and projection.source not in direct
        }
        host = _host(network, population, direct, largest_currents or {})
        load = constants.load(incoming.values(), host)
        scale = choose_scale(load, chip)
        exponents = {
            index: weight_exponent(reference_weight(p.linear, chip) * scale, chip)
            for index, p in incoming.items()
        }
        sum_shift, shifts = _shifts(exponents, chip)
        reset = resets.get(population.name, population.reset)
        populations.append(
            constants.fixed(load, scale, reset, sum_shift=sum_shift, errors=errors, notes=notes)
        )
        for index, p in incoming.items():
            delay = network.delay_ticks(p)
            projections[index] = FixedProjection(
                source=p.source,
                target=p.target,
                linear=_mantissas(p, scale, exponents[index], chip, rng, errors, notes),
                exponent=exponents[index],
                shift=shifts[index],
                # A delay that the network states already is the tick that a way back takes.
                delay=(max(delay - 1, 0) if index in recurrent else delay) + p.chip_ticks,
            )
    return FixedNetwork(
        network=network,
        direct=direct,
        populations=tuple(populations),
        projections=tuple(projections[index] for index in sorted(projections)),
        errors=tuple(errors),
        notes=tuple(notes),
    )


def _shifts(exponents: dict[int, int], chip: Chip) -> tuple[int, dict[int, int]]:
    """Split shifts into what the sum of a neuron takes and what each weight takes before it."""
    fixed = chip.numbers.weight_shift
    if chip.arithmetic.accumulate == "each":  # there is no sum
        return 0, {index: fixed + exponent for index, exponent in exponents.items()}
    lowest = min(exponents.values(), default=0)
    return fixed + lowest, {index: exponent - lowest for index, exponent in exponents.items()}


def chip_resets(network: Network, chip: Chip) -> dict[str, str]:
    """Find the chip's rule for each spiking population; none where its rules are not known.

    Raises
    ------
    UnsupportedNodeError
        If there is none for a reset, or for a time of rest; see `lacking_rules`.
    """
    missing = lacking_rules(network, chip)
    if missing:
        raise UnsupportedNodeError(
            "; ".join(map(str, missing)) + "; change it (a reset with --reset) or use another chip"
        )
    if not chip.runs:
        return {}
    return {p.name: _rule(p.reset, chip) for p in network.populations if p.spiking}


def _rule(reset: str, chip: Chip) -> str:
    """Return the chip's name of a reset; empty if it has none."""
    if reset in chip.arithmetic.resets:
        return str(reset)
    repeats = reset == "subtract" and "subtract-repeat" in chip.arithmetic.resets
    return "subtract-repeat" if repeats else ""


def lacking_rules(network: Network, chip: Chip) -> list[Violation]:
    """Find populations that the chip has no rule for: of their reset, or of a time of rest."""
    missing: list[Violation] = []
    if not chip.runs:  # its rules are not known, so that none can be lacking
        return missing
    for p in network.populations:
        if not p.spiking:
            continue
        where = f"population {p.name!r}"
        if not _rule(p.reset, chip):
            has = ", ".join(sorted(chip.arithmetic.resets))
            text = f"{where}: reset {p.reset!r}, but {chip.name} has {has}"
            missing.append(
                Violation(limit="arithmetic.resets", where=where, need=1, have=0, text=text)
            )
        rest = int(rest_ticks(p, network.dt_s).max(initial=0))
        if rest and chip.arithmetic.refractory == "none":
            text = (
                f"{where}: rests for {rest} ticks after a spike, but {chip.name} has no refractory "
                f"time"
            )
            missing.append(
                Violation(limit="arithmetic.refractory", where=where, need=rest, have=0, text=text)
            )
    return missing


def _host(
    network: Network, population: Population, direct: frozenset[str], known: Mapping[str, float]
) -> tuple[Floats | float, bool]:
    """Largest current of the host, and whether it is known."""
    if population.name in known:
        return float(known[population.name]), True
    total: Floats | float = 0.0
    for projection in network.projections:
        if projection.target == population.name and projection.source in direct:
            total = total + np.maximum(*fan_sums(projection.linear)) * projection.current_gain
    return total / np.maximum(1 - current_keep(population, network.dt_s), 1e-12), False


def _gained(projection: Projection, constants: Constants) -> Projection:
    """Raise weights by what a current loses that decays before it is used."""
    if np.all(constants.gain == 1):
        return projection
    linear = scaled(projection.linear, by=constants.gain)
    return Projection(
        source=projection.source,
        target=projection.target,
        current_gain=projection.current_gain,
        linear=linear,
        delay_s=projection.delay_s,
        chip_ticks=projection.chip_ticks,
    )


def _mantissas(
    projection: Projection,
    scale: float,
    exponent: int,
    chip: Chip,
    rng: np.random.Generator,
    errors: list[TensorError],
    notes: list[str],
) -> Linear:
    units = scale / rounding.weight_step(exponent, chip)
    with np.errstate(over="ignore", under="ignore"):
        exact = weights_of(projection.linear) * units
    rounded = rounding.mantissas(exact, chip, rng)
    low, high = rounding.mantissa_range(chip)
    floats, bits = is_float("weights", chip), chip.numbers.weight_bits
    signs = bits == 1 and not floats
    error = losses.tensor_error(
        f"{projection.name} weights", exact, rounded,
        bits=FLOAT_BITS if floats else bits, scale=units,
        low=-np.inf if floats or signs else low, high=np.inf if floats or signs else high,
    )  # fmt: skip
    errors.append(error)
    if not floats:
        notes += losses.weight_notes(error, rounded, int(np.count_nonzero(exact)), high)
    return with_weights(projection.linear, rounded)
