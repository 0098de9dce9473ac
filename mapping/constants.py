"""Constants of one population's neurons, from float to a chip's formats."""

from collections.abc import Iterable

import numpy as np

from emulator.chip import Chip
from mapping import losses, rounding
from mapping.fixed import Array, FixedPopulation, TensorError
from mapping.linear import Floats
from mapping.load import Load, fan_sums
from mapping.network import (
    Network,
    Population,
    Projection,
    current_keep,
    membrane_keep,
    rest_ticks,
)
from mapping.rounding import bias_integers, is_float
from mapping.scale import reference_weight

FLOAT_BITS = 64
"""Width that is told of what a chip keeps in float."""


class Constants:
    """One population's constants, first in float, then in a chip's formats."""

    def __init__(
        self, network: Network, population: Population, chip: Chip, rng: np.random.Generator
    ) -> None:
        self._population, self._chip, self._rng = population, chip, rng
        self._dt_s = network.dt_s
        # The membrane is counted from v_reset, since chips reset to 0; readouts never reset.
        self._offset = np.asarray(population.v_reset) * population.spiking
        keeps = {
            "current": current_keep(population, network.dt_s),
            "membrane": membrane_keep(population, network.dt_s),
        }
        self._leak = {register: 1 - keep for register, keep in keeps.items()}
        self._decay = {
            register: rounding.decays(keep, register, chip, rng) for register, keep in keeps.items()
        }
        self._loaded_leak = {
            register: rounding.leak_of(decay, register, chip)
            for register, decay in self._decay.items()
        }
        filtered = keeps["current"] > 0
        # A bias that acts through the synaptic current settles at bias / leak. Chips add biases to
        # the membrane; given that settled value, an initial current of its negative decays with
        # the same factor and makes the two equal at every tick.
        least = 2.0**-chip.numbers.decay_bits
        settled = np.asarray(population.bias) / np.maximum(self._leak["current"], least)
        to_leak = np.asarray(population.v_leak) - self._offset
        self._bias = np.asarray(settled + self._leak["membrane"] * to_leak + population.push)
        used_first = chip.arithmetic.current_order == "add-use-decay"
        first = keeps["current"] if used_first else 1.0
        self._start = np.where(filtered, -settled * first, 0.0)
        self.gain = current_gain(self._leak["current"], self._loaded_leak["current"], chip)

    def load(self, incoming: Iterable[Projection], host: tuple[Floats | float, bool]) -> Load:
        """Sum up what the neurons ask of registers."""
        population, chip = self._population, self._chip
        up, down, weight = np.zeros(population.size), np.zeros(population.size), 0.0
        with np.errstate(over="ignore"):
            for projection in incoming:
                positive, negative = fan_sums(projection.linear)
                up, down = up + positive, down + negative
                weight = max(weight, reference_weight(projection.linear, chip))
        height = None
        if population.threshold is not None:
            height = np.asarray(population.threshold) - self._offset
        return Load(
            name=population.name,
            height=height,
            holds=population.reset != "zero",
            up=up,
            down=down,
            current_leak=self._loaded_leak["current"],
            membrane_leak=self._loaded_leak["membrane"],
            bias=self._bias,
            start=self._start,
            host=host[0],
            host_known=host[1],
            v_reset=float(np.abs(self._offset).max()),
            weight=weight,
        )

    def fixed(
        self,
        load: Load,
        scale: float,
        reset: str,
        *,
        sum_shift: int,
        errors: list[TensorError],
        notes: list[str],
    ) -> FixedPopulation:
        """Round everything at a scale."""
        population, chip = self._population, self._chip
        rules = chip.arithmetic
        self._judge_decays(errors, notes)
        repeats = reset == "subtract-repeat"
        return FixedPopulation(
            name=population.name,
            shape=population.shape,
            scale=scale,
            offset=self._offset,
            keep_current=self._decay["current"],
            keep_membrane=self._decay["membrane"],
            bias=self._rounded_bias(load, scale, errors, notes),
            threshold=self._rounded_thresholds(load, scale, reset, errors, notes),
            initial_current=self._initial_current(scale, notes),
            initial_membrane=self._from_offset(population.v_start, scale),
            sum_shift=sum_shift,
            reset=reset,
            compartments=rules.resets[reset] if population.spiking else 1,
            spikes_max=chip.numbers.spikes_per_tick_max if repeats and population.spiking else 0,
            **self._limits(scale, notes),
            refractory=self._rest(),
        )

    def _from_offset(self, membrane: Floats | float, scale: float) -> Array:
        """A value of the membrane as the chip counts it."""
        return _whole((membrane - self._offset) * scale, is_float("membrane", self._chip))

    def _limits(self, scale: float, notes: list[str]) -> dict[str, Array]:
        """Least value of the membrane, as near as the chip has one, and a largest beside it."""
        lowest, chip = np.asarray(self._population.v_min), self._chip
        limited = np.isfinite(lowest)
        if not limited.any():
            return {}
        if chip.arithmetic.membrane_floor == "none":
            notes.append(
                f"{self._population.name}: the membrane is kept above {lowest[limited].max():.4g} in "
                f"the network, but {chip.name} has no such limit, so that inhibition lasts longer"
            )
            return {}
        least, most = rounding.membrane_limits((lowest - self._offset) * scale, chip)
        return {"membrane_min": least, "membrane_max": most}

    def _rest(self) -> Array | None:
        """Ticks of rest as chips count them: the one of the spike is the first."""
        ticks = rest_ticks(self._population, self._dt_s)
        return ticks + 1 if ticks.any() else None

    def _judge_decays(self, errors: list[TensorError], notes: list[str]) -> None:
        bits = FLOAT_BITS if is_float("decays", self._chip) else self._chip.numbers.decay_bits
        for register, leak in self._leak.items():
            tensor = f"{self._population.name} {register} decay"
            loaded = self._loaded_leak[register]
            errors.append(
                losses.tensor_error(
                    tensor, leak, loaded, bits=bits, scale=2.0**bits, low=0, high=1, each=True
                )
            )
            notes += losses.decay_notes(tensor, leak, loaded)

    def _rounded_bias(
        self, load: Load, scale: float, errors: list[TensorError], notes: list[str]
    ) -> Array:
        with np.errstate(over="ignore"):
            exact = self._bias * scale
            bias = bias_integers(exact, self._chip)
        limit = rounding.bias_limit(self._chip)
        error = losses.tensor_error(
            f"{self._population.name} bias", exact, bias.astype(np.float64),
            bits=self._chip.numbers.bias_bits, scale=scale, low=-limit, high=limit,
        )  # fmt: skip
        errors.append(error)
        notes += losses.bias_notes(error, exact, bias.astype(np.float64), load.bias_matters)
        return bias

    def _rounded_thresholds(
        self, load: Load, scale: float, reset: str, errors: list[TensorError], notes: list[str]
    ) -> Array | None:
        if load.height is None:
            return None
        chip, population = self._chip, self._population
        floats = is_float("thresholds", chip)
        exact = load.height * scale
        rounded = rounding.thresholds(exact, chip, self._rng)
        step = 1 if floats else rounding.threshold_step(chip)
        error = losses.tensor_error(
            f"{population.name} threshold", exact / step, rounded / step,
            bits=FLOAT_BITS if floats else chip.numbers.threshold_bits, scale=scale / step,
            low=0 if floats else 1, high=rounding.threshold_limit(chip) / step, each=True,
        )  # fmt: skip
        errors.append(error)
        notes += losses.threshold_notes(error)
        notes += losses.rule_notes(population, reset, chip)
        return rounded

    def _initial_current(self, scale: float, notes: list[str]) -> Array:
        with np.errstate(over="ignore"):
            start = self._start * scale
        if is_float("current", self._chip):
            return start
        edge = 2 ** (self._chip.numbers.current_bits - 1) - 1
        if np.any(np.abs(start) > edge):
            notes.append(
                f"{self._population.name}: the initial current that replaces a filtered bias was "
                f"cut to {edge}"
            )
        return _whole(np.clip(start, -edge, edge), False)


def current_gain(leak: Floats, loaded: Floats, chip: Chip) -> Floats:
    """Factor on weights for what the chip's current does otherwise than the network's.

    Parameters
    ----------
    leak, loaded : float64 [n]
        Share of the current that is lost each tick, wanted and on the chip.
    """
    gain = np.ones(leak.size)
    if chip.arithmetic.current_order == "add-decay-use":
        # Such a current decays once before it is used.
        gain = gain / np.where(loaded < 1, 1 - loaded, 1.0)
    if chip.arithmetic.current_decay == "shift":
        # Time constants are powers of 2; what a spike adds up to is kept.
        gain = gain * loaded / np.where(leak > 0, leak, 1.0)
    return np.where(leak < 1, gain, 1.0)  # without a filter there is nothing to make up for


def _whole(values: Floats, floats: bool) -> Array:
    return values if floats else np.rint(values).astype(np.int64)
