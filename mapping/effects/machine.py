"""A mix of two sides, unrolled once for many samples."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from emulator.neuron import FORMS, ORDERS, REFRACTORIES, RESETS
from mapping.effects.registers import (
    DECAY_RULES,
    FRACTION_RULES,
    OVERFLOW_RULES,
    Columns,
    Rules,
)
from mapping.effects.sides import Cells, Limits, Side
from mapping.linear import Linear, scaled
from mapping.reference import Weights, weights_by_source

Array = NDArray[Any]


class Way(NamedTuple):
    """One projection: ticks until a spike acts."""

    projection: int
    source: str
    target: str
    weights: Weights
    late: int


class Part(NamedTuple):
    """One population, ready to run."""

    cells: Cells
    columns: Columns
    rules: Rules


@dataclass(frozen=True, kw_only=True, eq=False)
class Machine:
    """A side with its weights unrolled, for many samples.

    Attributes
    ----------
    parts : mapping of population to Part
        In the order of a tick.
    ways : mapping of part to tuple of Way
        Those that leave it.
    ranks : mapping of part to int
        Order of sources where spikes are added one by one.
    """

    side: Side
    parts: Mapping[str, Part]
    ways: Mapping[str, tuple[Way, ...]]
    ranks: Mapping[str, int]


def machine_of(side: Side, shared: dict[Any, Any] | None = None) -> Machine:
    """Unroll weights and constants once.

    Parameters
    ----------
    shared : dict, optional
        Unrolled weights of earlier machines, to be used again and added to.
    """
    shared = {} if shared is None else shared
    cells = {part.name: part for part in side.cells}
    starts = np.cumsum([0, *(part.size for part in side.cells)])
    first = {part.name: int(start) for part, start in zip(side.cells, starts, strict=False)}
    ways: dict[str, list[Way]] = {part.name: [] for part in side.network.parts}
    for index, linear in side.weights.items():
        projection = side.network.projections[index]
        gain = cells[projection.target].gain
        weights = _unrolled(linear, gain, shared)
        ways[projection.source].append(
            Way(index, projection.source, projection.target, weights, side.late[index])
        )
    return Machine(
        side=side,
        parts={
            p.name: _part(cells[p.name], side.whole_weights, first[p.name])
            for p in side.network.order
        },
        ways={name: tuple(leaving) for name, leaving in ways.items()},
        ranks={part.name: rank for rank, part in enumerate(side.network.parts)},
    )


def _unrolled(linear: Linear, gain: Array, shared: dict[Any, Any]) -> Weights:
    key = id(linear), gain.tobytes()
    if key not in shared:
        # The map itself is kept too, so that no other can get its number.
        even = bool(np.all(gain == 1))
        shared[key] = linear, weights_by_source(linear if even else scaled(linear, by=gain))
    found: Weights = shared[key][1]
    return found


def _part(cells: Cells, whole_weights: bool, first: int) -> Part:
    current, membrane = cells.current_decay, cells.membrane_decay
    columns = Columns(
        keep_current=np.array(current.keep, np.float64),
        whole_current=np.array(current.whole),
        keep_membrane=np.array(membrane.keep, np.float64),
        leak=np.array(membrane.leak, np.float64),
        whole_membrane=np.array(membrane.whole),
        threshold=np.array(cells.threshold if cells.threshold.size else np.zeros(cells.size)),
        rest=np.array(cells.rest, np.int64),
        identity=first + np.arange(cells.size),
    )
    return Part(cells, columns, _rules(cells, whole_weights))


def _rules(cells: Cells, whole_weights: bool) -> Rules:
    limits: Limits = cells.limits
    fits = {
        name: (OVERFLOW_RULES.index(getattr(limits, name)[0]), getattr(limits, name)[1])
        for name in ("input", "current", "drive", "membrane")
    }
    whole_current = cells.current.scale > 0
    decays = cells.current_decay, cells.membrane_decay
    return Rules(
        order=ORDERS.index(cells.order),
        current_scale=cells.current.scale,
        current_decay=DECAY_RULES.index(decays[0].rule),
        current_decay_bits=decays[0].bits,
        membrane_scale=cells.membrane.scale,
        membrane_decay=DECAY_RULES.index(decays[1].rule),
        membrane_decay_bits=decays[1].bits,
        fraction=FRACTION_RULES.index(cells.membrane.fraction[0]),
        fraction_scale=cells.membrane.fraction[1],
        form=FORMS.index(limits.form),
        limit_scale=limits.scale,
        input_fit=fits["input"][0],
        input_bits=fits["input"][1],
        input_whole=whole_weights or whole_current,
        current_fit=fits["current"][0],
        current_bits=fits["current"][1],
        drive_fit=fits["drive"][0],
        drive_bits=fits["drive"][1],
        drive_whole=whole_current or cells.membrane.scale > 0,
        membrane_fit=fits["membrane"][0],
        membrane_bits=fits["membrane"][1],
        reset=RESETS.index(cells.reset),
        most=cells.spikes_max,
        reached=cells.compare == ">=",
        refractory=REFRACTORIES.index(cells.refractory),
        each=cells.accumulate == "each",
        noisy=any(decay.rule == "stochastic" for decay in decays),
    )
