"""What the microscope found, as plain values."""

from dataclasses import asdict
from typing import Any

from spikefab.microscope.explain import Divergence, Recorded
from spikefab.microscope.look import Look, Moment
from spikefab.microscope.shares import Causes
from spikefab.microscope.words import sentence


def divergence_json(found: Divergence) -> dict[str, Any]:
    """Everything beside the comparison, as plain values."""
    return {
        "first_differing": _first_json(found),
        "base": found.base,
        "full": found.full,
        "base_is_b": found.swapped,
        "sentence": sentence(found),
        "cause_unknown": found.why_not or None,
        "look": None if found.look is None else _look_json(found.look),
        "recorded": None if found.recorded is None else _recorded_json(found.recorded),
        "causes": None if found.causes is None else _causes_json(found.causes),
    }


def _first_json(found: Divergence) -> dict[str, Any] | None:
    """Where the two differ first, on which core, and which variable of the neuron parted first."""
    first, look = found.first, found.look
    if first is None:
        return None
    same = look is not None and (look.population, look.neuron, look.sample) == (
        first.population, first.neuron, first.sample,
    )  # fmt: skip
    own = look.own_parting if same and look is not None else None
    return first._asdict() | {
        "core": look.core if same and look is not None else None,
        "variable": None if own is None else own.variable,
        "variable_tick": None if own is None else own.tick,
    }


def _look_json(look: Look) -> dict[str, Any]:
    plain = {
        name: getattr(look, name)
        for name in ("sample", "population", "neuron", "core", "first_tick")
    }
    return plain | {
        "base": [_moment_json(moment) for moment in look.base],
        "full": [_moment_json(moment) for moment in look.full],
        "constants": [told._asdict() for told in look.constants],
        "heaviest": None if look.heaviest is None else look.heaviest._asdict(),
        "parting": None if look.parting is None else look.parting._asdict(),
        "own_parting": None if look.own_parting is None else look.own_parting._asdict(),
    }


def _moment_json(moment: Moment) -> dict[str, Any]:
    names = ("current", "reached", "membrane")
    return moment._asdict() | {
        "arrivals": [arrival._asdict() for arrival in moment.arrivals],
        "registers": dict(zip(names, moment.registers, strict=True)),
    }


def _recorded_json(found: Recorded) -> dict[str, Any]:
    return {**asdict(found.place), "spikes": found.spikes, "membrane": found.membrane}


def _causes_json(causes: Causes) -> dict[str, Any]:
    shares = [
        {
            **vars(share),
            "vanish_share": _ratio(share.vanish, causes.total),
            "alone_share": _ratio(share.alone, causes.total),
            "in_turn_share": None
            if share.in_turn is None or not causes.total
            else share.in_turn / causes.total,
        }
        for share in causes.shares
    ]
    signs = {
        name: {"vanishes_without": both[0], "there_alone": both[1]}
        for name, both in causes.first_signs.items()
    }
    return {
        **vars(causes),
        "total": causes.total,
        "shares": shares,
        "first": None if causes.first is None else causes.first._asdict(),
        "first_signs": signs,
    }


def _ratio(counts: dict[str, int], whole: int) -> float | None:
    return sum(counts.values()) / whole if whole else None
