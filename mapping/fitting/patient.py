"""A network that is to fit, what is changed of it, and mapping the change."""

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from emulator.chip import Chip
from mapping.errors import NetworkError, NetxError, NirError, UnsupportedNodeError
from mapping.fitting.changes import (
    UnchangeableError,
)
from mapping.fitting.judging import mapped_cores
from mapping.linear import Convolution
from mapping.network import Network
from mapping.outline import Outline
from mapping.pins import Pin

EFFORT_MOST, SYNAPSES_A_NEURON = 4_000_000, 100
"""Neurons that are mapped in looking for changes, each as often as it is; then the search ends. So
many synapses of a convolution count as one."""
EDITED_MOST = 8
"""Changed outlines that are kept."""
IMPOSSIBLE = (NetworkError, NetxError, NirError, UnsupportedNodeError, UnchangeableError)
"""What a change raises if there can be no such network or chip."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """What the command line can say of a network; None leaves it as the file has it.

    Attributes
    ----------
    dt_s : float or None
    reset : str or None
    direct : bool
        Whether the host turns inputs into currents.
    """

    dt_s: float | None = None
    reset: str | None = None
    direct: bool = False


@dataclass(frozen=True, kw_only=True, eq=False)
class Patient:
    """A network that is to fit a chip.

    Attributes
    ----------
    network : function of Options
        The network with these options.
    outline : function of Chip and Options
        What of it lies on this chip; raises UnsupportedNodeError where the chip lacks a rule.
    options : Options
    pins : tuple of Pin
    tried : dict
        What mappings came to, so that chips that hold the same are not tried twice.
    edited : dict
        The latest networks that were drawn or cut down, for the next chip.
    """

    network: Callable[[Options], Network]
    outline: Callable[[Chip, Options], Outline]
    options: Options = Options()
    pins: tuple[Pin, ...] = ()
    tried: dict[Hashable, "Tried"] = field(default_factory=dict)
    edited: dict[Hashable, "Edited"] = field(default_factory=dict)


class Tried(NamedTuple):
    """What one mapping came to.

    Attributes
    ----------
    cores : int or None
        None if it does not fit.
    outline : Outline
        Of the network before it was edited; kept, as the key holds the identity of its parts.
    """

    cores: int | None
    outline: Outline


@dataclass(frozen=True, kw_only=True, eq=False)
class State:
    """A network, options and chip, with what has been changed of them."""

    patient: Patient
    options: Options
    chip: Chip
    edits: tuple["Edit", ...] = ()
    budget: "Budget" = field(default_factory=lambda: Budget(EFFORT_MOST))

    def outline(self) -> Outline:
        """Outline the changed network."""
        base = outline = self.patient.outline(self.chip, self.options)
        if not self.edits:
            return base
        key, edited = (
            (_identity(base), tuple(edit.name for edit in self.edits)),
            self.patient.edited,
        )
        if key not in edited:
            for edit in self.edits:
                outline = edit.on(outline)
            while len(edited) >= EDITED_MOST:
                del edited[next(iter(edited))]
            edited[key] = Edited(outline, base)
        return edited[key].outline

    def cores(self) -> int | None:
        """Map it, or remember how that went; None if it does not fit."""
        base, tried = self.patient.outline(self.chip, self.options), self.patient.tried
        key = (
            _holding(base, self.chip), self.patient.pins, tuple(edit.name for edit in self.edits)
        )  # fmt: skip
        if key not in tried:
            self.budget.spend(_effort(base))
            cores, problems = mapped_cores(self.outline(), self.chip, self.patient.pins)
            tried[key] = Tried(None if problems else cores, base)
        return tried[key].cores


class ExhaustedError(Exception):
    """So much has been mapped that the search ends."""


class Budget:
    """How much may still be mapped.

    Attributes
    ----------
    exhausted : bool
        Whether something was not mapped because it would have taken more than was left.
    """

    def __init__(self, effort: int) -> None:
        self._left = effort
        self.exhausted = False

    def spend(self, effort: int) -> None:
        """Take what a mapping needs, as `_effort` estimates it.

        Raises
        ------
        ExhaustedError
            If so much is not left.
        """
        if effort > self._left:
            self.exhausted = True
            raise ExhaustedError
        self._left -= effort


def _effort(outline: Outline) -> int:
    """Estimate the work of mapping: neurons, and synapses of convolutions, which are counted."""
    convolutions = (p.linear for p in outline.projections if isinstance(p.linear, Convolution))
    counted = sum(linear.n_synapses for linear in convolutions)
    return sum(p.size for p in outline.populations) + counted // SYNAPSES_A_NEURON


class Edited(NamedTuple):
    """A changed outline, and the one that it was; kept, as the key holds the identity of parts."""

    outline: Outline
    base: Outline


class Edit(NamedTuple):
    """A change of an outline, with a name that tells it from all others."""

    name: str
    on: Callable[[Outline], Outline]


def _holding(outline: Outline, chip: Chip) -> Hashable:
    """All that decides whether a chip holds an outline, and which outline that is."""
    longest = max((p.delay for p in outline.projections), default=0)
    limits = {name: chip.limit(name) for name in type(chip.limits).model_fields}
    limits["delay_max"] = min(limits["delay_max"], longest)
    return (
        chip.core, tuple(limits.items()), chip.packing, chip.layers, chip.processors, chip.shared,
        chip.weight_bits, chip.formats,
        tuple(chip.usable.tolist()),
        _identity(outline),
    )  # fmt: skip


def _identity(outline: Outline) -> Hashable:
    """Tell outlines apart by what they are made of, whose identity holds while they live."""
    return (
        tuple((p.name, p.compartments) for p in outline.populations),
        tuple((id(p.linear), p.delay, p.format) for p in outline.projections),
    )


class Step(NamedTuple):
    """One step of a change: what it does to a state, and how large it is."""

    change: str
    size: float
    apply: dict[str, Any]
    on: Callable[[State], State]


@dataclass(frozen=True, kw_only=True)
class Steps:
    """Changes of one kind, from small to large.

    Attributes
    ----------
    n : int
        How many there are.
    at : function of int
        The k-th, from 0.
    smallest_first : bool
        Whether the smallest is likely to be enough.
    enough : function of int, optional
        The step that should be enough, from the cores that were taken with more than enough.
    """

    kind: str
    n: int
    at: Callable[[int], Step]
    smallest_first: bool = False
    enough: Callable[[int], int] | None = None
