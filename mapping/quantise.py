"""From float to a chip's integers: one scale for each population.

Everything that meets in one neuron shares the population's ``scale`` (integer membrane units for
one float unit): weights, bias, threshold. The scale is a compromise. A large one rounds thresholds,
biases and decays finely; a small one leaves room before current and membrane overflow. Weights
are indifferent: their exponent follows the scale, so they always use their whole range. The rule
here takes the smallest scale at which thresholds and decays round finely enough
(`RESOLUTION`, `DECAY_RESOLUTION`), since integrators without a leak need the room.
"""

from math import ceil, floor, log2

import numpy as np
from numpy.typing import NDArray

from emulator.chip import Chip
from mapping.errors import UnsupportedNodeError
from mapping.fixed import FixedNetwork, FixedPopulation, FixedProjection, Integers, TensorError
from mapping.linear import Convolution, Dense, Floats, Linear, Sparse, matrix
from mapping.network import Network, Population, Projection, weights_of

RESOLUTION = 2**14
"""A threshold of at least so many units: its rounding step is then under 0.4 % on Loihi."""
DECAY_RESOLUTION = 2**8
"""Decays drop half a unit a tick; the threshold is to be so many times what that adds up to."""


def quantise(network: Network, chip: Chip, *, direct: frozenset[str] = frozenset()) -> FixedNetwork:
    """Round a network to a chip's formats.

    Parameters
    ----------
    direct : frozenset of str
        Inputs that the host turns into bias currents; their weights are not loaded.

    Raises
    ------
    UnsupportedNodeError
        If the chip has no rule for a population's reset, or no cores that take a network.
    """
    if chip.core != "lists":
        raise UnsupportedNodeError(
            f"{chip.name} has {chip.core} cores: each neuron has one weight for each axon type and "
            "one destination, which a network cannot be rounded to; load a memory image instead "
            "(mapping.ranc_file, mapping.crossbar), or use another chip"
        )
    missing = [
        f"population {p.name!r}: reset {p.reset!r}, but {chip.name} has "
        f"{', '.join(sorted(chip.arithmetic.resets))}"
        for p in network.populations
        if p.spiking and p.reset not in chip.arithmetic.resets
    ]
    if missing:
        raise UnsupportedNodeError("; ".join(missing) + "; pass --reset or use another chip")
    populations: list[FixedPopulation] = []
    projections: dict[int, FixedProjection] = {}
    errors: list[TensorError] = []
    notes: list[str] = []
    for population in network.populations:
        incoming = {
            index: projection
            for index, projection in enumerate(network.projections)
            if projection.target == population.name and projection.source not in direct
        }
        scale = _scale(network, population, list(incoming.values()), direct, chip)
        exponents = _exponents(scale, incoming, chip)
        lowest = min(exponents.values(), default=0)
        fixed = _fixed_population(network, population, scale, lowest, chip, errors, notes)
        populations.append(fixed)
        for index, projection in incoming.items():
            linear, error = _mantissas(projection, scale, exponents[index], chip)
            errors.append(error)
            projections[index] = FixedProjection(
                source=projection.source,
                target=projection.target,
                linear=linear,
                exponent=exponents[index],
                shift=exponents[index] - lowest,
                delay=network.delay_ticks(projection),
            )
    return FixedNetwork(
        network=network,
        direct=direct,
        populations=tuple(populations),
        projections=tuple(projections[index] for index in sorted(projections)),
        errors=tuple(errors),
        notes=tuple(notes),
    )


def current_keep(network: Network, population: Population) -> Floats:
    """Share of the synaptic current left after one tick; 0 where there is no filter."""
    tau = np.asarray(population.tau_syn_s)
    return np.where(tau > 0, 1 - network.dt_s / np.where(tau > 0, tau, 1.0), 0.0)


def membrane_keep(network: Network, population: Population) -> Floats:
    """Share of the membrane left after one tick."""
    return np.asarray(1 - network.dt_s / np.asarray(population.tau_mem_s))


def _largest(linear: Linear) -> float:
    return float(np.abs(weights_of(linear)).max(initial=0.0))


def _step(exponent: int, chip: Chip) -> float:
    """Membrane units of a mantissa of 1."""
    return 2.0 ** (chip.numbers.weight_shift + exponent + chip.numbers.input_shift)


def _mantissa_limit(chip: Chip) -> int:
    return int(2 ** (chip.numbers.weight_bits - 1) - 1)


def _scale(
    network: Network,
    population: Population,
    incoming: list[Projection],
    direct: frozenset[str],
    chip: Chip,
) -> float:
    """Choose the population's scale; see the head of this file."""
    numbers = chip.numbers
    level = _level(network, population, incoming, direct)
    ceiling = 2.0 ** (numbers.membrane_bits - 1) - 1
    if population.threshold is not None:
        threshold_limit = (2**numbers.threshold_bits - 1) << numbers.threshold_shift
        ceiling = min(ceiling, threshold_limit)
    fits = ceiling / level
    bias = np.abs(_membrane_bias(network, population)).max(initial=0.0)
    if bias > 0:
        bias_limit = (2**numbers.bias_bits - 1) << numbers.bias_exponent_max
        fits = min(fits, bias_limit / bias)
    keeps = np.concatenate([current_keep(network, population), membrane_keep(network, population)])
    leak = 1 - keeps[(keeps > 0) & (keeps < 1)]
    fine = max(RESOLUTION, DECAY_RESOLUTION / leak.min(initial=1.0))
    wanted = min(fits, fine / level)
    largest = max((_largest(p.linear) for p in incoming), default=0.0)
    if largest > 0:
        # The scale that lets the largest weight use the whole mantissa, at the exponent that
        # comes closest to the wanted scale from above and still fits.
        unit = _mantissa_limit(chip) * _step(0, chip) / largest
        exponent = ceil(log2(wanted / unit))
        if unit * 2.0**exponent > fits:
            exponent -= 1
        exponent = min(max(exponent, numbers.weight_exponent_min), numbers.weight_exponent_max)
        wanted = unit * 2.0**exponent
    return _exact_threshold(wanted, population, chip)


def _exact_threshold(scale: float, population: Population, chip: Chip) -> float:
    """Lower the scale a little so that a threshold shared by all neurons needs no rounding."""
    if population.threshold is None:
        return scale
    height = np.asarray(population.threshold) - np.asarray(population.v_reset)
    steps = floor(scale * height[0] / 2**chip.numbers.threshold_shift)
    if steps < 64 or np.any(height != height[0]):
        return scale
    return float(steps * 2**chip.numbers.threshold_shift / height[0])


def _level(
    network: Network,
    population: Population,
    incoming: list[Projection],
    direct: frozenset[str],
) -> float:
    """Return the membrane that the registers must hold: a threshold, or where v can settle."""
    if population.threshold is not None:
        return float((np.asarray(population.threshold) - np.asarray(population.v_reset)).max())
    drive = np.abs(_membrane_bias(network, population))
    for projection in (
        *incoming,
        *(p for p in network.projections if p.target == population.name and p.source in direct),
    ):
        drive = drive + np.abs(matrix(projection.linear)).sum(axis=1)
    # An integrator without a leak has no bound; 64 ticks of everything at once stand for it.
    remember = np.minimum(1 / np.maximum(1 - membrane_keep(network, population), 1e-12), 64.0)
    return max(float((drive * remember).max(initial=0.0)), 1e-12)


def _membrane_bias(network: Network, population: Population) -> Floats:
    """Constant input to the membrane each tick, with the membrane counted from v_reset.

    A bias that acts through the synaptic current settles at ``bias / (1 - keep)``. Chips add
    biases to the membrane; given that settled value, an initial current of its negative decays
    with the same factor and makes the two exactly equal at every tick.
    """
    settled = np.asarray(population.bias) / (1 - current_keep(network, population))
    leak = 1 - membrane_keep(network, population)
    return np.asarray(
        settled + leak * (np.asarray(population.v_leak) - np.asarray(population.v_reset))
    )


def _exponents(scale: float, incoming: dict[int, Projection], chip: Chip) -> dict[int, int]:
    """For each projection the smallest exponent at which its largest weight still fits."""
    exponents = {}
    for index, projection in incoming.items():
        largest = _largest(projection.linear) * scale
        if largest > 0:
            exponent = ceil(log2(largest / (_mantissa_limit(chip) + 0.499) / _step(0, chip)))
        else:
            exponent = chip.numbers.weight_exponent_min
        exponents[index] = min(
            max(exponent, chip.numbers.weight_exponent_min), chip.numbers.weight_exponent_max
        )
    return exponents


def _mantissas(
    projection: Projection, scale: float, exponent: int, chip: Chip
) -> tuple[Linear, TensorError]:
    limit = _mantissa_limit(chip)
    exact = weights_of(projection.linear) * (scale / _step(exponent, chip))
    rounded = np.clip(np.rint(exact), -limit, limit)
    error = _tensor_error(
        f"{projection.name} weights", exact, rounded, chip.numbers.weight_bits,
        scale / _step(exponent, chip), limit,
    )  # fmt: skip
    return _with_weights(projection.linear, rounded), error


def _with_weights(linear: Linear, weights: Floats) -> Linear:
    if isinstance(linear, Dense):
        return Dense(weight=weights, pre_shape=linear.pre_shape, post_shape=linear.post_shape)
    if isinstance(linear, Sparse):
        return Sparse(
            row=linear.row,
            target=linear.target,
            weight=weights,
            pre_shape=linear.pre_shape,
            post_shape=linear.post_shape,
        )
    return Convolution(
        kernel=weights,
        pre_shape=linear.pre_shape,
        stride=linear.stride,
        padding=linear.padding,
        dilation=linear.dilation,
        groups=linear.groups,
    )


def _tensor_error(
    tensor: str, exact: Floats, rounded: Floats, bits: int, scale: float, limit: float
) -> TensorError:
    reference = float(np.abs(exact).max(initial=0.0)) or 1.0
    difference = np.abs(rounded - exact) / reference
    return TensorError(
        tensor=tensor,
        bits=bits,
        scale=scale,
        rms=float(np.sqrt(np.mean(difference**2))) if difference.size else 0.0,
        worst=float(difference.max(initial=0.0)),
        n=int(exact.size),
        n_zeroed=int(np.count_nonzero((rounded == 0) & (exact != 0))),
        n_clipped=int(np.count_nonzero(np.abs(exact) > limit + 0.5)),
    )


def bias_integers(exact: Floats, chip: Chip) -> Integers:
    """Round to mantissa and exponent, each neuron its own: ``mantissa << exponent``.

    Values beyond the format are cut to its edge.
    """
    numbers = chip.numbers
    limit = 2**numbers.bias_bits - 1
    need = np.ceil(np.log2(np.maximum(np.abs(exact) / limit, 1.0)))
    step = 2.0 ** np.minimum(need, numbers.bias_exponent_max)
    mantissa = np.clip(np.rint(exact / step), -limit, limit)
    whole: Integers = (mantissa * step).astype(np.int64)
    return whole


def _decay_keep(keep: Floats, offset: int, chip: Chip) -> Integers:
    """Round a decay to the chip's field; what stays of ``2**decay_bits`` each tick."""
    whole = 2**chip.numbers.decay_bits
    decay = np.clip(np.rint((1 - keep) * whole) - offset, 0, whole - 1)
    kept: Integers = (whole - offset - decay).astype(np.int64)
    return kept


def _fixed_population(
    network: Network,
    population: Population,
    scale: float,
    lowest_exponent: int,
    chip: Chip,
    errors: list[TensorError],
    notes: list[str],
) -> FixedPopulation:
    numbers = chip.numbers
    name = population.name
    u_keep, v_keep = current_keep(network, population), membrane_keep(network, population)
    keep_current = _decay_keep(u_keep, numbers.current_decay_offset, chip)
    keep_membrane = _decay_keep(v_keep, numbers.membrane_decay_offset, chip)
    whole = 2.0**numbers.decay_bits
    for what, exact, integer in (
        ("current decay", u_keep, keep_current),
        ("membrane decay", v_keep, keep_membrane),
    ):
        errors.append(
            _tensor_error(
                f"{name} {what}",
                exact * whole,
                integer.astype(np.float64),
                numbers.decay_bits,
                whole,
                whole,
            )
        )
    exact_bias = _membrane_bias(network, population) * scale
    bias = bias_integers(exact_bias, chip)
    errors.append(
        _tensor_error(
            f"{name} bias", exact_bias, bias.astype(np.float64), numbers.bias_bits, scale,
            float((2**numbers.bias_bits - 1) << numbers.bias_exponent_max),
        )
    )  # fmt: skip
    settled = np.asarray(population.bias) / (1 - u_keep)
    start = np.where(u_keep > 0, -settled, 0.0) * scale
    edge = 2 ** (numbers.current_bits - 1) - 1
    if np.any(np.abs(start) > edge):
        notes.append(f"{name}: the initial current that replaces a filtered bias was cut to {edge}")
    offset = np.asarray(population.v_reset)
    return FixedPopulation(
        name=name,
        shape=population.shape,
        scale=scale,
        offset=offset,
        keep_current=keep_current,
        keep_membrane=keep_membrane,
        bias=bias,
        threshold=_thresholds(population, scale, chip, errors, notes),
        initial_current=np.clip(np.rint(start), -edge, edge).astype(np.int64),
        initial_membrane=np.rint(-offset * scale).astype(np.int64),
        sum_shift=numbers.weight_shift + lowest_exponent,
        reset=population.reset,
        compartments=chip.arithmetic.resets[population.reset] if population.spiking else 1,
    )


def _thresholds(
    population: Population,
    scale: float,
    chip: Chip,
    errors: list[TensorError],
    notes: list[str],
) -> NDArray[np.int64] | None:
    if population.threshold is None:
        return None
    numbers = chip.numbers
    step = 2**numbers.threshold_shift
    limit = 2**numbers.threshold_bits - 1
    exact = (np.asarray(population.threshold) - np.asarray(population.v_reset)) * scale / step
    mantissa = np.clip(np.rint(exact), 1, limit)
    errors.append(
        _tensor_error(
            f"{population.name} threshold", exact, mantissa, numbers.threshold_bits,
            scale / step, limit,
        )
    )  # fmt: skip
    if population.compare != chip.arithmetic.compare:
        notes.append(
            f"{population.name}: fires at v {population.compare} threshold, {chip.name} at "
            f"v {chip.arithmetic.compare} threshold; only a membrane exactly on it differs"
        )
    thresholds: Integers = (mantissa * step).astype(np.int64)
    return thresholds
