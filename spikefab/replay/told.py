"""What replays found, in words and as plain values."""

from typing import Any

import numpy as np

from spikefab.replay.changed import Changed
from spikefab.replay.retimed import Retimed, Side
from spikefab.replay.verdict import Mismatch, Verdict
from spikefab.tables import comparison_json
from spikefab.telling import say
from spikefab.timing import timing_numbers
from spikefab.wording import percent, si
from traces.trace import Trace


def mismatch_json(found: Mismatch, trace: Trace) -> dict[str, Any]:
    """A difference with its place in the sample."""
    at: dict[str, Any] = dict(found._asdict())
    if found.tick is not None:
        at["sample"], at["tick_of_sample"] = divmod(found.tick, trace.ticks)
    return at


def verdict_json(found: Verdict, trace: Trace) -> dict[str, Any]:
    """Everything that a verification found."""
    return {
        "replayed": found.what, "identical": found.identical,
        "ticks": [found.start, found.stop], "compared": dict(found.compared),
        "not_compared": list(found.not_compared),
        "first": None if found.first is None else mismatch_json(found.first, trace),
        "notes": list(found.notes),
    }  # fmt: skip


def print_verdict(found: Verdict, trace: Trace) -> None:
    """Say whether a run was made again, and how much was compared."""
    ticks = f"ticks {found.start:,}:{found.stop:,}"
    if found.first is None:
        compared = ", ".join(f"{n:,} {what}" for what, n in found.compared.items() if n)
        say(f"identical: {found.what}, {ticks}")
        say(f"compared: {compared}")
    else:
        say(f"differs: {found.what}, {ticks}")
        say(f"first difference: {_told(found.first, trace)}")
    if found.not_compared:
        say(f"not compared: {', '.join(found.not_compared)}")
    for note in found.notes:
        say(f"note: {note}")


def _told(found: Mismatch, trace: Trace) -> str:
    where = []
    if found.tick is not None:
        sample, tick = divmod(found.tick, trace.ticks)
        where.append(f"tick {found.tick:,} (sample {sample}, tick {tick})")
    if found.core is not None:
        where.append(f"core {found.core}")
    if found.population is not None:
        where.append(f"population {found.population!r}")
    if found.neuron is not None:
        where.append(f"neuron {found.neuron}")
    values = [
        "nothing" if value is None else f"{value:,.10g}"
        for value in (found.recorded, found.replayed)
    ]
    return f"{', '.join(where)}: {found.variable} was {values[0]}, is {values[1]}"


def side_json(side: Side, period_s: float) -> dict[str, Any]:
    """Times and energy of one side, as ``summary.json`` has them."""
    ticks = {
        "duration_ps": side.duration_ps[None],
        "slowest_core": np.searchsorted(np.sort(side.core), side.slowest_core)[None],
        "busiest_link": side.busiest_link[None],
    }
    numbers = timing_numbers(
        ticks, np.array([-1]), side.carried, np.sort(side.core), fabric=side.fabric,
        period_s=period_s,
    )  # fmt: skip
    del numbers["decision_s"]
    energy = None
    if side.energy is not None:
        energy = {
            bound: joules._asdict() | {"total": joules.total}
            for bound, joules in side.energy._asdict().items()
        }
    return {"total_s": float(side.duration_ps.sum()) * 1e-12, **numbers, "energy_j": energy}


def retimed_json(found: Retimed, period_s: float) -> dict[str, Any]:
    """Both sides of recorded times; ``after`` has two ends where it is a band."""
    least = side_json(found.least, period_s)
    after = least if found.exact else {"least": least, "most": side_json(found.most, period_s)}
    return {
        "replayed": "times", "exact": found.exact, "why_not": found.why or None,
        "ticks": [found.window.start, found.window.stop],
        "before": side_json(found.before, period_s), "after": after, "notes": list(found.notes),
    }  # fmt: skip


def print_retimed(found: Retimed, period_s: float) -> None:
    """Print before and after, side by side."""
    before = side_json(found.before, period_s)
    ends = [side_json(side, period_s) for side in (found.least, found.most)]
    say(f"{'':16} {'recorded':>24}   {'replayed':>28}")
    for name, told in _ROWS.items():
        low, high = (told(end) for end in ends)
        after = low if found.exact or (low == high and name in _NO_BAND) else f"{low} .. {high}"
        say(f"{name:16} {told(before):>24}   {after:>28}")
    for note in found.notes:
        say(f"note: {note}")


def _tick(name: str) -> Any:
    return lambda side: si(side["tick_s"].get(name), "s")


def _energy(side: dict[str, Any]) -> str:
    return si(None if side["energy_j"] is None else side["energy_j"]["nominal"]["total"], "J")


def _core(side: dict[str, Any]) -> str:
    worst = side["slowest_cores"]
    return f"{worst[0]['core']} in {worst[0]['ticks']:,} ticks" if worst else "none"


def _link(side: dict[str, Any]) -> str:
    busiest = side["busiest_links"]
    return f"{busiest[0]['link']} {percent(busiest[0]['utilisation'])}" if busiest else "not known"


def _latency(side: dict[str, Any]) -> str:
    found = side["packet_latency_s"]
    return (
        "not followed" if found is None else f"{si(found['median'], 's')}, {si(found['max'], 's')}"
    )


_ROWS = {
    "fabric": lambda side: str(side["fabric"]),
    "all ticks": lambda side: si(side["total_s"], "s"),
    "shortest tick": _tick("min"),
    "median tick": _tick("median"),
    "longest tick": _tick("max"),
    "deadlines missed": lambda side: f"{side['missed_deadlines']:,}",
    "slowest core": _core,
    "busiest link": _link,
    "packets, p50 max": _latency,
    "energy": _energy,
}


def changed_json(found: Changed) -> dict[str, Any]:
    """Everything that a changed run and the recorded one have in common, or not."""
    n = found.recorded.size
    return {
        "replayed": "changed", "changed": list(found.what),
        "chip": found.result.deployment.chip.name, "samples": n,
        "agreement_of_classes": float(np.mean(found.recorded == found.replayed)) if n else None,
        "accuracy": {
            "recorded": found.accuracy(found.recorded),
            "replayed": found.accuracy(found.replayed),
            "float": found.accuracy(found.result.readout_float[:n].argmax(1)) if n else None,
        },
        "flipped": [
            {"sample": int(k), "recorded": int(found.recorded[k]), "replayed": int(found.replayed[k])}
            for k in found.flipped
        ],
        "recorded_to_replayed": comparison_json(found.comparison),
        "float_to_replayed": comparison_json(found.with_float),
        "warnings": list(found.result.warnings),
    }  # fmt: skip


_NO_BAND = ("fabric", "busiest link", "packets, p50 max")
"""Rows that say one thing where both ends say it."""
_MOST_NAMED = 8


def print_changed(found: Changed) -> None:
    """Say what was changed, and what that changed."""
    say(f"changed: {'; '.join(found.what)}")
    for part in found.comparison.populations:
        say(
            f"{part.name}: {part.n_a:,} spikes recorded, {part.n_b:,} now, "
            f"{percent(part.agreement)} in common"
        )
    first = found.comparison.first
    if first is not None:
        only = {"a": "only recorded", "b": "only now", None: "with another payload"}[first.only_in]
        say(
            f"first difference: sample {first.sample}, tick {first.tick_a}, {first.population!r} "
            f"neuron {first.neuron}: a spike {only}"
        )
    else:
        say("no spike differs")
    n = found.recorded.size
    same = n - found.flipped.size
    say(f"predictions: {same:,} of {n:,} the same")
    for k in found.flipped[:_MOST_NAMED]:
        say(f"  sample {k}: {found.recorded[k]} became {found.replayed[k]}")
    if found.flipped.size > _MOST_NAMED:
        say(f"  and {found.flipped.size - _MOST_NAMED:,} more")
    accuracy = [found.accuracy(side) for side in (found.recorded, found.replayed)]
    if accuracy[0] is not None:
        in_float = found.accuracy(found.result.readout_float[:n].argmax(1))
        say(
            f"accuracy: {percent(accuracy[0])} recorded, {percent(accuracy[1])} now, "
            f"{percent(in_float)} in float"
        )
    say(f"with its own float simulation it shares {percent(found.with_float.agreement)} of spikes")
    for warning in found.result.warnings:
        say(f"note: {warning}")
