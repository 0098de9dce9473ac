"""What fit found as plain values; docs/fit.md describes them."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from mapping.fitting.estimate import Estimate
from mapping.fitting.judging import Judgement
from spikefab.fit.holding import Holding
from spikefab.fit.work import Answer, Verdict
from spikefab.marks import marks_of
from spikefab.wording import printable

DISTINCT = ("neuron_profiles_per_core", "threshold_profiles_per_core")
"""What neurons of a core have in common; over all cores it is no sum."""


def answer_json(found: Answer, path: Path) -> dict[str, Any]:
    """Everything about one network."""
    return {
        "network": printable(path.name),
        "counted": found.counted,
        "encoding": "direct" if found.direct else "spikes",
        "rates": {
            name: float(rate.mean()) for name, rate in found.known.rates.items() if rate.size
        } or None,
        "fits": found.fits,
        "chips": [_verdict(verdict) for verdict in found.verdicts],
        "notes": [found.note, found.known.note, *found.network.notes],
    }  # fmt: skip


def cores_needed(found: Judgement) -> int:
    """Cores that were taken, or those that are needed at least."""
    asked = [told.need for told in found.problems if told.limit == "cores"]
    return max([found.n_cores, *asked])


def chips_needed(found: Judgement) -> int:
    """The same in chips."""
    per_chip = found.chip.n_cores // found.chip.fabric.n_chips
    return found.n_chips if found.place else -(-cores_needed(found) // per_chip)


def _verdict(verdict: Verdict) -> dict[str, Any]:
    found = verdict.found
    return {
        "chip": found.chip.name,
        "named": printable(verdict.name),
        "fits": found.fits,
        "cores": cores_needed(found),
        "chips": chips_needed(found),
        "violations": [asdict(told) for told in found.problems],
        "fixes": [asdict(fix) | {"verified": True} for fix in verdict.fixes],
        "fixes_complete": verdict.complete,
        "layers": [asdict(layer) for layer in found.layers],
        "resources": _resources(found),
        "memory_bits": {"used": found.memory_bits, "limit": found.memory_bits_there},
        "notes": list(found.notes),
        "traffic": None if verdict.expected is None else _traffic(verdict.expected, found),
    }


def _resources(found: Judgement) -> dict[str, Any]:
    n = int(found.chip.usable.size)
    cores = {"used": cores_needed(found), "limit": n, "percent": _percent(cores_needed(found), n)}
    return {
        "cores": cores,
        **{
            use.limit: {
                "total": None if use.limit in DISTINCT else use.total,
                "fullest": use.fullest,
                "limit": use.have,
                "percent": _percent(use.fullest, use.have),
                "percent_of_chip": (
                    None if use.limit in DISTINCT else _percent(use.total, use.have * n)
                ),
            }
            for use in found.uses
        },
    }


def _percent(used: int, of: int) -> float:
    return 100.0 * used / of


def _traffic(expected: Estimate, found: Judgement) -> dict[str, Any]:
    marks = marks_of(found.chip)
    return asdict(expected) | {
        "estimated": True,
        "assumed": {figure: list(marks[figure]) for figure in ("time", "energy")},
    }


def holdings_json(found: list[Holding]) -> dict[str, Any]:
    """What chips can hold."""
    return {"network": None, "chips": [asdict(holding) for holding in found]}
