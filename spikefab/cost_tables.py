"""A costed run as a table and as JSON."""

from typing import Any

import numpy as np
from rich.table import Table

from emulator.energy import Band, Joules
from spikefab.cost import Costing
from spikefab.marks import footnote, marks_of, starred
from spikefab.telling import console, say
from spikefab.wording import si


def cost_json(found: Costing, *, by_tick: bool) -> dict[str, Any]:
    """Everything that was found, as plain values; the energy of each tick on demand."""
    run = found.recorded
    samples = None
    if found.by_tick is not None:
        starts = np.arange(0, run.n_ticks, run.ticks_a_sample)
        samples = np.add.reduceat(found.by_tick.sum(axis=1), starts)
    return {
        "chip": found.chip.name,
        "recorded_on": run.chip,
        "same_chip": run.chip_sha256 == found.chip.sha256,
        "complete": run.complete,
        "samples": run.n_samples,
        "ticks": run.n_ticks,
        "neurons": run.neurons,
        "energy_j": {
            side: joules._asdict() | {"total": joules.total}
            for side, joules in found.energy._asdict().items()
        },
        "energy_j_per_sample": _each(found.energy, run.n_samples),
        "energy_j_per_tick": _each(found.energy, run.n_ticks),
        "energy_j_by_sample": samples,
        **({"energy_j_by_tick": _totals(found)} if by_tick else {}),
        "time": {
            "recorded_s": run.duration_ps * 1e-12 if run.duration_ps else None,
            "recorded_s_per_sample": (
                run.duration_ps * 1e-12 / run.n_samples if run.duration_ps else None
            ),
            "least_s": found.at_least_s and dict(zip(Band._fields, found.at_least_s, strict=True)),
            "static_power_for_s": found.static_s,
        },
        "marks": marks_of(found.chip),
        "notes": found.notes,
    }


def _each(energy: Band, n: float) -> dict[str, float]:
    return {side: joules.total / n for side, joules in energy._asdict().items()}


def _totals(found: Costing) -> Any:
    return None if found.by_tick is None else found.by_tick.sum(axis=1)


def print_cost(found: Costing, trace_name: str) -> None:
    """Print a costed run: energy by part with its band, time, and what is not exact."""
    run, marks = found.recorded, marks_of(found.chip)
    table = Table(title=f"{trace_name} on {found.chip.name}", title_justify="left")
    table.add_column("energy", overflow="fold")
    for column in ("low", "nominal", "high", "per sample", "per tick"):
        table.add_column(column, justify="right", no_wrap=True)
    for part in Joules._fields:
        low, nominal, high = (getattr(joules, part) for joules in found.energy)
        table.add_row(starred(part, part, marks), *_row(low, nominal, high, found))
    low, nominal, high = (joules.total for joules in found.energy)
    table.add_row(starred("total", "energy", marks), *_row(low, nominal, high, found))
    console().print(table)
    totals = _totals(found)
    if totals is not None:
        most = int(totals.argmax())
        sample, tick = divmod(most, run.ticks_a_sample)
        say(
            f"ticks take {si(float(totals.min()), 'J')} to {si(float(totals[most]), 'J')}, the most "
            f"in sample {sample}, tick {tick}"
        )
    say(
        f"{run.n_samples:,.4g} samples, {run.n_ticks:,} ticks, {run.neurons:,} neurons; "
        f"{'; '.join(_times(found))}"
    )
    for note in found.notes:
        say(f"note: {note}")
    for line in footnote(marks):
        say(line)


def _row(low: float, nominal: float, high: float, found: Costing) -> list[str]:
    run = found.recorded
    each = nominal / run.n_samples, nominal / run.n_ticks
    return [si(value, "J") for value in (low, nominal, high, *each)]


def _times(found: Costing) -> list[str]:
    run = found.recorded
    told = ["time per sample not known"]
    if run.duration_ps:
        each = si(run.duration_ps * 1e-12 / run.n_samples, "s")
        told = [f"time per sample {each}, as recorded on {run.chip or 'its chip'}"]
    if found.at_least_s is not None:
        low, nominal, high = (si(time / run.n_samples, "s") for time in found.at_least_s)
        star = starred("", "time", marks_of(found.chip))
        band = "" if low == high else f" ({low} … {high})"
        told.append(f"on {found.chip.name} no less than {nominal}{star}{band}")
    return told
