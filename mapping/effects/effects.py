"""The effects by name: which fields of a side each one is, and mixes of two sides.

Switching an effect takes its fields from the other side and leaves all others as they are: nothing
is quantised again, so that no scale moves.
"""

from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

import numpy as np

from mapping.effects.sides import Cells, Decay, Handing, Limits, Side
from mapping.linear import Linear, sparse
from mapping.network import weights_of


@dataclass(frozen=True, kw_only=True)
class Effect:
    """One thing that a chip does to a network.

    Attributes
    ----------
    name : str
        In a table.
    without : str
        Completes "differing spikes vanish with ...", of a chip against float.
    of_cells, of_side : tuple of str
        Fields of `Cells` and of `Side` that it is made of.
    """

    name: str
    without: str
    of_cells: tuple[str, ...] = ()
    of_side: tuple[str, ...] = ()


EFFECTS = {
    effect.name: effect
    for effect in (
        Effect(
            name="weight rounding", without="float weights", of_side=("weights", "whole_weights")
        ),
        Effect(name="threshold rounding", without="float thresholds", of_cells=("threshold",)),
        Effect(name="bias rounding", without="float biases", of_cells=("bias", "initial_current")),
        Effect(name="host currents", without="the host's currents uncut", of_cells=("handing",)),
        Effect(
            name="current decay",
            without="float decays of the current",
            of_cells=("current_decay", "order", "gain"),
        ),
        Effect(
            name="membrane decay",
            without="float decays of the membrane",
            of_cells=("membrane_decay",),
        ),
        Effect(name="current width", without="a current in float", of_cells=("current",)),
        Effect(
            name="membrane width",
            without="a membrane in float",
            of_cells=("membrane", "initial_membrane"),
        ),
        Effect(name="overflow", without="registers without a limit", of_cells=("limits",)),
        Effect(name="reset rule", without="the network's resets", of_cells=("reset", "spikes_max")),
        Effect(
            name="rest after a spike",
            without="the network's time of rest",
            of_cells=("refractory", "rest"),
        ),
        Effect(name="threshold compare", without="the network's > or >=", of_cells=("compare",)),
        Effect(
            name="accumulate order",
            without="spikes summed before they enter",
            of_cells=("accumulate",),
        ),
        Effect(
            name="delivery timing",
            without="the timing of the network",
            of_side=("late", "lag", "timing"),
        ),
    )
}
"""In the order in which a tick meets them, roughly."""


def mixed(a: Side, b: Side, from_b: frozenset[str]) -> Side:
    """Take some effects from b and all others from a.

    Parameters
    ----------
    from_b : frozenset of str
        Keys of `EFFECTS`.

    Raises
    ------
    ValueError
        If the two do not have the same populations and projections; see `unlike`.
    """
    problems = unlike(a, b)
    if problems:
        raise ValueError("; ".join(problems))
    effects = [EFFECTS[name] for name in sorted(from_b)]
    of_cells = [field for effect in effects for field in effect.of_cells]
    of_side = [field for effect in effects for field in effect.of_side]
    cells = tuple(
        replace(one, **{field: getattr(other, field) for field in of_cells})
        for one, other in zip(a.cells, b.cells, strict=True)
    )
    return replace(
        a,
        cells=cells,
        seed=b.seed if _noisy(b) and not _noisy(a) else a.seed,
        **{field: getattr(b, field) for field in of_side},
    )


def _noisy(side: Side) -> bool:
    return any(
        "stochastic" in (cells.current_decay.rule, cells.membrane_decay.rule)
        for cells in side.cells
    )


def unlike(a: Side, b: Side) -> list[str]:
    """Say why two sides cannot be mixed; nothing if they can."""
    problems = []
    shapes = [[(part.name, part.size) for part in side.network.parts] for side in (a, b)]
    if shapes[0] != shapes[1]:
        problems.append("the networks have different populations or inputs")
    ends = [[(p.source, p.target) for p in side.network.projections] for side in (a, b)]
    if ends[0] != ends[1]:
        problems.append("the networks have different projections")
    elif [p.delay_s for p in a.network.projections] != [p.delay_s for p in b.network.projections]:
        problems.append("the networks have different delays")
    if a.direct != b.direct:
        problems.append("one takes its input as spikes, the other as currents of the host")
    return problems


def in_play(a: Side, b: Side) -> tuple[str, ...]:
    """Effects in which two sides differ at all, in the order of `EFFECTS`."""
    return tuple(name for name, effect in EFFECTS.items() if any(_differences(effect, a, b)))


def _differences(effect: Effect, a: Side, b: Side) -> Iterator[bool]:
    for field in effect.of_side:
        if field != "whole_weights":
            yield not _same(getattr(a, field), getattr(b, field))
    for one, other in zip(a.cells, b.cells, strict=True):
        for field in effect.of_cells:
            if not _idle(field, one, other):
                yield not _same(getattr(one, field), getattr(other, field))


def _idle(field: str, one: Cells, other: Cells) -> bool:
    """Whether a field does nothing on either side, however different it is told."""
    if field == "limits":
        return _unlimited(one.limits) and _unlimited(other.limits)
    if field in ("refractory", "rest"):
        return not (one.rest.any() or other.rest.any())
    if field in ("reset", "spikes_max", "compare"):
        return not one.threshold.size
    if field == "membrane_decay":
        return _trivial(one.membrane_decay) and _trivial(other.membrane_decay)
    if field == "current_decay":
        return _trivial(one.current_decay) and _trivial(other.current_decay)
    if field == "order":
        # Whether a current is used before or after it decays is the same for the neuron.
        return "add-decay-use" not in (one.order, other.order)
    return False


def _unlimited(limits: Limits) -> bool:
    """Whether nothing is limited; the order of sums alone changes no more than a last bit."""
    rules = (limits.input, limits.current, limits.drive, limits.membrane)
    return limits.form != "increment" and all(rule == "none" for rule, _ in rules)


def _trivial(decay: Decay) -> bool:
    """Whether everything stays or nothing does, which no format rounds."""
    return decay.rule != "shift" and bool(np.all((decay.keep == 0) | (decay.keep == 1)))


def _same(one: Any, other: Any) -> bool:
    """Compare values, arrays, linear maps and dataclasses of them."""
    if isinstance(one, np.ndarray):
        return bool(np.shape(one) == np.shape(other) and np.allclose(one, other, 1e-13, 0))
    if isinstance(one, Handing) or isinstance(other, Handing):
        if type(one) is not type(other):
            return False
        return bool(one.scale == other.scale and _same(one.bias, other.bias)
                    and one.chip.numbers == other.chip.numbers)  # fmt: skip
    if isinstance(one, Linear):
        return _same_linear(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_same(one[k], other[k]) for k in one)
    if is_dataclass(one):
        return type(one) is type(other) and all(
            _same(getattr(one, f.name), getattr(other, f.name)) for f in fields(one)
        )
    return bool(one == other)


def _same_linear(one: Linear, other: Linear) -> bool:
    if type(one) is not type(other):
        one, other = sparse(one), sparse(other)
    return _same(weights_of(one), weights_of(other))
