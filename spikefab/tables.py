"""Results as tables and JSON."""

import shlex
from typing import Any

from rich.table import Table

from emulator.chip import Chip
from emulator.chip_bounds import cost_rows, is_assumed
from spikefab.marks import STAR, footnote, starred
from spikefab.telling import console, say, warn
from spikefab.wording import micro, percent
from traces.compare import Comparison, Difference, PopulationComparison


def print_run(numbers: dict[str, Any], chip_name: str) -> None:
    """Print a summary; ``chip_name`` is what the user called the chip."""
    table = Table(title=f"{numbers['network']} on {numbers['chip']}", title_justify="left")
    table.add_column("", overflow="fold")
    for column in ("float", "chip"):
        table.add_column(column, justify="right", no_wrap=True)
    accuracy, spikes, n = numbers["accuracy"], numbers["spikes"], numbers["samples"]
    table.add_row("accuracy", percent(accuracy["float"]), percent(accuracy["chip"]))
    table.add_row("same class as float", "", percent(numbers["agreement"]))
    table.add_row("same class as trained", "", percent(numbers["agreement_instant"]))
    table.add_row("spikes per sample", f"{spikes['float'] / n:,.0f}", f"{spikes['chip'] / n:,.0f}")
    table.add_row("spikes per neuron and tick", "", "")
    for name, rate in numbers["rates"].items():
        table.add_row(f"  {name}", f"{rate['float']:.4f}", f"{rate['chip']:.4f}")
    for row in _chip_rows(numbers):
        table.add_row(row[0], "", row[1])
    console().print(table)
    say(
        f"{n} samples of {numbers['ticks']} ticks ({numbers['input']}), {numbers['wall_s']:.1f} s; "
        f"{_costs(numbers['costs'], chip_name)}"
    )
    for line in footnote(numbers["marks"]):
        say(line)
    for note in numbers["notes"]:
        say(f"note: {note}")
    for warning in numbers["warnings"]:
        warn(warning)


def _chip_rows(numbers: dict[str, Any]) -> list[tuple[str, str]]:
    n, energy, marks = numbers["samples"], numbers["energy"], numbers["marks"]
    rows = [
        ("cores", f"{numbers['cores_used']}"),
        ("synaptic events per sample", f"{numbers['synaptic_events'] / n:,.0f}"),
        ("packets per sample", f"{numbers['packets'] / n:,.0f}"),
        (
            "energy per sample",
            starred(micro(numbers["energy_j_per_sample"], "J", digits=1), "energy", marks),
        ),
        *(("  low … high", text) for text in band_of(numbers["energy_band"])),
    ]
    if energy is not None and sum(energy.values()) > 0:
        share = energy["static"] / sum(energy.values())
        rows.append(
            ("  of it static power, spikes or not", starred(percent(share, 1), "static", marks))
        )
    time = micro(numbers["latency_s_per_sample"], "s")
    rows.append(("time per sample", starred(time, "time", marks)))
    timing = numbers["timing"]
    if timing is not None:
        rows.append(
            ("  longest tick", starred(micro(timing["tick_s"].get("max"), "s", 1), "time", marks))
        )
        late = f"{timing['missed_deadlines']:,} of {timing['ticks']:,}"
        rows.append((f"  ticks over {micro(timing['tick_period_s'], 's')}", late))
    rows += [(f"out of range, {part}", f"{k:,}") for part, k in numbers["out_of_range"].items()]
    return rows


def band_of(band: dict[str, dict[str, float]] | None) -> list[str]:
    """Write the band of an energy per sample, where it has one."""
    if band is None or band["low"]["total"] == band["high"]["total"]:
        return []
    low, high = (micro(band[side]["total"], "J", digits=1) for side in ("low", "high"))
    return [f"{low} … {high}"]


def _costs(costs: dict[str, int] | None, chip_name: str) -> str:
    if costs is None:
        return "the chip's file names no times or energies"
    return (
        f"energy and time from published estimates, {costs['assumed']} of {costs['constants']} "
        f"constants assumed, see: spikefab chips {shlex.quote(chip_name)}"
    )


def print_chip(chip: Chip) -> None:
    """Print every constant of a chip with its source."""
    table = Table(title=f"{chip.name}: {chip.summary}", title_justify="left")
    for column in ("key", "value", "low … high", "confidence", "source"):
        table.add_column(column, overflow="fold")
    costs = cost_rows(chip)
    assumed = [
        row
        for row in chip.rows()
        if row.confidence == "assumed" or (row in costs and is_assumed(row))
    ]
    for row in chip.rows():
        band = "" if row.low is None and row.high is None else f"{row.low} … {row.high}"
        star = STAR if row in assumed else ""
        table.add_row(row.key, f"{row.value}{star}", band, row.confidence, row.source)
    console().print(table)
    if assumed:
        say(f"{STAR} assumed, from nobody's figures: {', '.join(row.key for row in assumed)}")
    if not chip.runs:
        say(f"nothing runs on this chip, it can only be fitted: {chip.why}")
    for key, source in chip.sources.items():
        say(f"{key}: {source}")


def comparison_json(found: Comparison) -> dict[str, Any]:
    """Everything that a comparison found, as plain values."""
    return {
        "equal": found.equal,
        "partial": found.partial,
        "differences": list(found.differences),
        "agreement": found.agreement,
        "complete_a": found.complete_a,
        "complete_b": found.complete_b,
        "whole_ticks_a": found.whole_ticks_a,
        "whole_ticks_b": found.whole_ticks_b,
        "n_ticks": found.n_ticks,
        "first": found.first._asdict() if found.first else None,
        "populations": [
            {
                **{k: v for k, v in vars(p).items() if k != "first"},
                "agreement": p.agreement,
                "first": p.first._asdict() if p.first else None,
            }
            for p in found.populations
        ],
    }


def print_comparison(found: Comparison) -> None:
    """Print a comparison: a table, the first difference, and what was left out."""
    with_states = any(p.state_max_error is not None for p in found.populations)
    table = Table()
    table.add_column("population", overflow="fold", min_width=10)
    for column in ("spikes a", "spikes b", "agreement", "rate error", "corr."):
        table.add_column(column, justify="right", no_wrap=True, min_width=len(column))
    if with_states:
        table.add_column("membrane, max", justify="right", no_wrap=True, min_width=8)
    for p in found.populations:
        table.add_row(*_comparison_row(p, with_states))
    console().print(table)
    for line in _verdict(found):
        say(line)


def _comparison_row(p: PopulationComparison, with_states: bool) -> list[str]:
    silent = not p.n_a and not p.n_b
    membrane = "" if p.state_max_error is None else f"{p.state_max_error:.2e}"
    return [
        p.name, f"{p.n_a:,}", f"{p.n_b:,}",
        # No spike agrees with no spike, but to say 100 % would say too much.
        "no spikes" if silent else percent(p.agreement),
        "" if silent else f"{p.rate_error:.2e}",
        "" if p.rate_correlation is None else f"{p.rate_correlation:.4f}",
        *([membrane] if with_states else []),
    ]  # fmt: skip


def _verdict(found: Comparison) -> list[str]:
    lines = list(found.differences)
    if found.partial:
        lines.append("only what the two have in common was compared")
    for side, complete, ticks in (
        ("a", found.complete_a, found.whole_ticks_a), ("b", found.complete_b, found.whole_ticks_b),
    ):  # fmt: skip
        if not complete:
            lines.append(f"{side} broke off after tick {ticks - 1:,}; compared up to there")
    if found.partial and found.first is None:
        return [*lines, f"nothing differs in the {found.n_ticks:,} ticks that were compared"]
    if found.equal:
        upto = f" in the {found.n_ticks:,} ticks that both have" if lines else ""
        return [*lines, f"equal{upto}: every spike and every recorded state"]
    if found.first is not None:
        lines.append(f"first difference: {_where(found.first)}")
    lines += [
        f"{p.name}: {p.n_payload_differs:,} spikes of the same neuron and tick carry another payload"
        for p in found.populations
        if p.n_payload_differs
    ]
    lines += [
        f"{p.name}: membranes differ by up to {p.state_max_error:.3g} ({p.state_rms_error:.3g} rms)"
        + ("" if p.state_correlation is None else f", correlation {p.state_correlation:.5f}")
        for p in found.populations
        if p.state_max_error
    ]
    if any(p.n_a or p.n_b for p in found.populations):
        lines.append(f"agreement {percent(found.agreement)} of all spikes")
    return lines


def _where(first: Difference) -> str:
    what = (
        f"payload {first.payload_a} in a, {first.payload_b} in b"
        if first.only_in is None
        else f"a spike only in {first.only_in}"
    )
    return (
        f"sample {first.sample}, tick {first.tick} after the population's lag, population "
        f"{first.population!r}, neuron {first.neuron}: {what}"
    )
