"""A plan as a table and as JSON."""

from collections.abc import Iterable
from itertools import groupby
from pathlib import Path
from typing import Any

from rich.table import Table

from mapping.mapping import Resources
from mapping.plan import Plan, Quality
from spikefab.telling import console, say
from spikefab.wording import percent


def plan_json(
    found: Plan, judged: Quality, used: Resources, network: str, output: Path | None
) -> dict[str, Any]:
    """Everything about a plan, as plain values."""
    return {
        "network": network,
        "chip": found.chip.name,
        "partitioner": found.choices.partitioner,
        "placer": found.choices.placer,
        "seed": found.choices.seed,
        "rates": "measured" if found.choices.rates else "one spike of each neuron a tick",
        "cores": len(found.cores),
        "cores_usable": int(found.chip.usable.size),
        "packets": judged.traffic.packets,
        "local": judged.traffic.local,
        "hops": judged.traffic.hops,
        "packets_from_outside": judged.from_outside,
        "lower_bound": judged.bound,
        "random_hops": judged.random,
        "baseline_packets": None if judged.baseline is None else judged.baseline.packets,
        "baseline_hops": None if judged.baseline is None else judged.baseline.hops,
        "populations": [
            {"name": name, "neurons": size, "cores": cores}
            for name, size, cores in _populations(found)
        ],
        "fullest": {
            name: int(getattr(used, name).max(initial=0))
            for name in ("compartments", "in_axons", "out_axons", "synapse_words")
        },
        "program": None if output is None else str(output),
    }


def _populations(found: Plan) -> Iterable[tuple[str, int, list[int]]]:
    for part in found.outline.populations:
        held = [
            place
            for slices, place in zip(found.cores, found.place, strict=True)
            if any(one.population == part.name for one in slices)
        ]
        yield part.name, part.size, sorted(held)


def print_plan(found: Plan, judged: Quality, used: Resources) -> None:
    """Print where layers lie, what the fullest core takes, and how good the plan is."""
    chip = found.chip
    table = Table(title=f"{len(found.cores)} of {chip.usable.size:,} cores of {chip.name}")
    table.title_justify = "left"
    for column, where in (("population", "left"), ("neurons", "right"), ("cores", "left")):
        table.add_column(column, justify=where, overflow="fold")  # type: ignore[arg-type]
    for name, size, cores in _populations(found):
        table.add_row(name, f"{size:,}", ranges(cores))
    console().print(table)
    for what, most, limit in (
        ("compartments", used.compartments, "neurons_per_core"),
        ("in-axons", used.in_axons, "in_axons_per_core"),
        ("out-axons", used.out_axons, "out_axons_per_core"),
        ("words of synapse memory", used.synapse_words, "synapse_words_per_core"),
    ):
        full, room = int(most.max(initial=0)), chip.limit(limit)
        say(f"fullest core: {full:,} of {room:,} {what} ({percent(full / room, 1)})")
    for line in _judgement(found, judged):
        say(line)


def _judgement(found: Plan, judged: Quality) -> Iterable[str]:
    traffic, base = judged.traffic, judged.baseline
    rate = "at the measured rates" if found.choices.rates else "if every neuron fires once"
    yield (
        f"a tick {rate}: {traffic.packets:,.1f} packets, {traffic.hops:,.1f} hops, "
        f"{traffic.local:,.1f} deliveries within cores, {judged.from_outside:,.1f} packets from "
        f"outside"
    )
    how = f"{found.choices.partitioner}, {found.choices.placer}"
    if base is None:
        yield f"{how}; neurons in their order would not fit"
    else:
        yield f"{how}: hops {_against(traffic.hops, base.hops)} sequential, row by row"
    yield f"hops {_against(traffic.hops, judged.random)} random places of the same cores"
    gap = f", {percent(traffic.hops / judged.bound - 1, 1)} above it" if judged.bound else ""
    yield f"no placement of these cores takes fewer than {judged.bound:,.1f} hops{gap}"


def _against(hops: float, other: float) -> str:
    if not other:
        return f"{hops:,.1f}, as many as"
    change = hops / other - 1
    return f"{percent(abs(change), 1)} {'more' if change > 0 else 'fewer'} than the {other:,.1f} of"


def ranges(numbers: Iterable[int]) -> str:
    """Write ascending numbers with their runs together, such as ``0-3, 7``."""
    runs = [
        [number for _, number in group]
        for _, group in groupby(enumerate(numbers), lambda pair: pair[1] - pair[0])
    ]
    return ", ".join(f"{run[0]}" if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)
