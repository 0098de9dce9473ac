"""What mapping needs to know of a network: sizes, connections and settings, but no weights.

Everything that a chip's cores run out of can be counted from it, so that a network can be judged
before a single weight is rounded, or even read.
"""

from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emulator.chip import Chip
from mapping.fixed import FixedNetwork, FixedPopulation
from mapping.linear import Linear, Shape
from mapping.network import Network, Population, rest_ticks
from mapping.quantise import chip_resets

Array = NDArray[Any]


@dataclass(frozen=True, kw_only=True, eq=False)
class OutlinePopulation:
    """What neurons of one population take, wherever they lie.

    Attributes
    ----------
    name : str
    shape : tuple of int
    compartments : int
        Of each neuron.
    spiking : bool
    settings : int64 [n]
        Number that tells neurons apart whose decays or time of rest differ, across populations.
    levels : int64 [n]
        The same for thresholds.
    """

    name: str
    shape: Shape
    compartments: int
    spiking: bool
    settings: Array
    levels: Array

    @property
    def size(self) -> int:
        """Number of neurons."""
        return prod(self.shape)


@dataclass(frozen=True, kw_only=True, eq=False)
class OutlineProjection:
    """Connections between two parts.

    Attributes
    ----------
    source, target : str
    linear : Dense, Sparse or Convolution
        Which elements are connected; its weights count only as far as some are 0.
    delay : int
        Ticks on top of the one that every projection takes.
    format : int
        Weights of one format share axons and packets.
    """

    source: str
    target: str
    linear: Linear
    delay: int
    format: int

    @property
    def name(self) -> str:
        """``source→target``."""
        return f"{self.source}→{self.target}"


@dataclass(frozen=True, kw_only=True, eq=False)
class Outline:
    """A network without its weights.

    Attributes
    ----------
    inputs : dict of str to int
        Channels of each input that sends spikes.
    populations : tuple of OutlinePopulation
    projections : tuple of OutlineProjection
        Without those of inputs that the host hands over as currents.
    order : tuple of str
        Populations so that each comes after what feeds it.
    outputs : tuple of str
    """

    inputs: dict[str, int]
    populations: tuple[OutlinePopulation, ...]
    projections: tuple[OutlineProjection, ...]
    order: tuple[str, ...]
    outputs: tuple[str, ...]

    def population(self, name: str) -> OutlinePopulation:
        """Return the population of this name; KeyError if there is none."""
        for part in self.populations:
            if part.name == name:
                return part
        raise KeyError(f"no population {name!r}; there are {[p.name for p in self.populations]}")

    @staticmethod
    def of(fixed: FixedNetwork) -> "Outline":
        """Outline a network in a chip's integers: what will be loaded, counted exactly."""
        network, settings, levels = fixed.network, _Numbered(), _Numbered()
        return Outline(
            inputs=_inputs(network, fixed.direct),
            populations=tuple(_loaded(p, settings, levels) for p in fixed.populations),
            projections=tuple(
                OutlineProjection(
                    source=p.source, target=p.target, linear=p.linear, delay=p.delay,
                    format=p.exponent,
                )
                for p in fixed.projections
            ),
            order=tuple(p.name for p in network.order),
            outputs=network.outputs,
        )  # fmt: skip

    @staticmethod
    def before_rounding(network: Network, chip: Chip, *, direct: frozenset[str]) -> "Outline":
        """Outline a network that no weight is known of.

        Rounding makes weights 0 and may give two projections one format, both of which take
        less than is counted here, and neurons alike that were not.

        Parameters
        ----------
        direct : frozenset of str
            Inputs that the host hands over as currents.

        Raises
        ------
        UnsupportedNodeError
            If the chip has no rule for a population's reset.
        """
        resets, recurrent = chip_resets(network, chip), network.recurrent
        settings, levels = _Numbered(), _Numbered()
        return Outline(
            inputs=_inputs(network, direct),
            populations=tuple(
                _planned(p, network, chip, resets.get(p.name), settings, levels, number)
                for number, p in enumerate(network.populations)
            ),
            projections=tuple(
                OutlineProjection(
                    source=p.source, target=p.target, linear=p.linear,
                    delay=max(network.delay_ticks(p) - (index in recurrent), 0) + p.chip_ticks,
                    format=index,
                )
                for index, p in enumerate(network.projections)
                if p.source not in direct
            ),
            order=tuple(p.name for p in network.order),
            outputs=network.outputs,
        )  # fmt: skip


def _inputs(network: Network, direct: frozenset[str]) -> dict[str, int]:
    return {part.name: part.size for part in network.inputs if part.name not in direct}


def _loaded(part: FixedPopulation, settings: "_Numbered", levels: "_Numbered") -> OutlinePopulation:
    rest = np.zeros(1, np.int64) if part.refractory is None else part.refractory
    return OutlinePopulation(
        name=part.name, shape=part.shape, compartments=part.compartments,
        spiking=part.threshold is not None,
        settings=settings.of(part.size, part.keep_current, part.keep_membrane, rest),
        levels=levels.of(part.size, np.zeros(1) if part.threshold is None else part.threshold),
    )  # fmt: skip


def _planned(
    part: Population,
    network: Network,
    chip: Chip,
    reset: str | None,
    settings: "_Numbered",
    levels: "_Numbered",
    number: int,
) -> OutlinePopulation:
    threshold = np.zeros(1) if part.threshold is None else np.asarray(part.threshold)
    return OutlinePopulation(
        name=part.name, shape=part.shape,
        compartments=1 if reset is None else chip.arithmetic.resets[reset],
        spiking=part.spiking,
        settings=settings.of(
            part.size, np.asarray(part.tau_syn_s), np.asarray(part.tau_mem_s),
            rest_ticks(part, network.dt_s),
        ),
        # Each population has a scale of its own, so that no two need share a threshold.
        levels=levels.of(part.size, threshold - np.asarray(part.v_reset), np.full(1, number)),
    )  # fmt: skip


class _Numbered:
    """Numbers for rows of values: equal rows are numbered alike, in whatever population."""

    def __init__(self) -> None:
        self._known: dict[tuple[float, ...], int] = {}

    def of(self, n: int, *columns: Array) -> Array:
        """Number the rows of ``n`` neurons; int64 [n]."""
        if all(np.all(column == column.flat[0]) for column in columns if column.size):
            row = tuple(float(column.flat[0]) for column in columns if column.size)
            return np.broadcast_to(np.int64(self._number(row)), (n,))
        rows = np.stack([np.broadcast_to(column, (n,)) for column in columns]).astype(np.float64)
        kinds, place = np.unique(rows, axis=1, return_inverse=True)
        numbers = [self._number(tuple(row)) for row in kinds.T.tolist()]
        return np.array(numbers, np.int64)[place.reshape(-1)]

    def _number(self, row: tuple[float, ...]) -> int:
        return self._known.setdefault(row, len(self._known))
