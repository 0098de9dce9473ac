"""What the microscope found, as tables."""

import math

from rich.box import SIMPLE_HEAD
from rich.table import Table

from spikefab.microscope.explain import Divergence, Recorded
from spikefab.microscope.look import Arrival, Look, Moment
from spikefab.microscope.shares import Causes
from spikefab.microscope.words import lines, parting, share_of
from spikefab.telling import console, say

SAMPLES_NAMED = 10
SOURCES = 5
"""Sources of a tick that are listed; the others are counted."""


def print_divergence(found: Divergence) -> None:
    """Print everything beside the comparison itself."""
    if found.look is not None and found.look.base:
        _print_look(found, found.look)
    if found.recorded is not None:
        _print_recorded(found.recorded)
    if found.causes is not None and found.causes.samples and not found.causes.unlike:
        _print_causes(found.causes)
    for line in lines(found):
        say(line)


def _table(title: str, *columns: str) -> Table:
    """A table without lines between columns, as terminals are narrow."""
    table = Table(
        title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0)
    )
    for k, name in enumerate(columns):
        table.add_column(name, justify="right" if k else "left", no_wrap=True)
    return table


def _letters(found: Divergence) -> tuple[str, str]:
    """What the command line called the base and the full side."""
    return ("b", "a") if found.swapped else ("a", "b")


def _print_look(found: Divergence, look: Look) -> None:
    core = "" if look.core is None else f" on core {look.core}"
    letters = _letters(found)
    filtered = any(
        abs(moment.current - moment.arrived) > 1e-12 for moment in (*look.base, *look.full)
    )
    whole = any(value is not None for m in (*look.base, *look.full) for value in m.registers)
    parts = ["input", *(["current"] if filtered else []), "membrane"]
    table = _table(
        f"{look.population}[{look.neuron}]{core}, sample {look.sample}; {letters[0]}: {found.base}, "
        f"{letters[1]}: {found.full}",
        "tick", "", "from", *parts, "off by", "spike", *(["u, v on chip"] if whole else []),
    )  # fmt: skip
    for k, (base, full) in enumerate(zip(look.base, look.full, strict=True)):
        tick = str(look.first_tick + k)
        columns = len(table.columns) - 2
        table.add_row(tick, letters[0], *_moment_row(base, None, filtered)[:columns])
        table.add_row("", letters[1], *_moment_row(full, base, filtered)[:columns])
    console().print(table)
    _print_sources(found, look)
    pairs = [
        f"{told.what} {told.base:.6g} → {told.full:.6g}"
        for told in look.constants
        if told.base != told.full
    ]
    if pairs:
        say("; ".join(pairs))
    if look.parting is not None:
        say(parting(look.parting, (found.base, found.full)))


def _moment_row(moment: Moment, other: Moment | None, filtered: bool) -> list[str]:
    v = f"{moment.reached:.5g}"
    if moment.membrane != moment.reached:
        v += f" → {moment.membrane:.3g}"
    return [
        str(len(moment.arrivals)) if moment.arrivals else "",
        f"{moment.arrived:.4g}" if moment.arrived else "",
        *([f"{moment.current:.4g}"] if filtered else []),
        v,
        "" if other is None else f"{moment.reached - other.reached:+.2g}",
        str(moment.spikes) if moment.spikes else "",
        ", ".join(str(value) for value in moment.registers[:2] if value is not None),
    ]


def _print_sources(found: Divergence, look: Look) -> None:
    """Print what arrived at the tick of the first difference, or else at the last one."""
    first = found.first
    at = len(look.base) - 1
    if first is not None and (look.population, look.neuron, look.sample) == (
        first.population, first.neuron, first.sample,
    ):  # fmt: skip
        at = min(max(first.tick - look.first_tick, 0), at)
    sides = [{a.source: a for a in moments[at].arrivals} for moments in (look.base, look.full)]
    both_hear = sorted(sides[0].keys() | sides[1].keys(), key=lambda name: -_change(name, sides))
    sources = [name for name in both_hear if _change(name, sides)]
    if not sources:
        return
    one, two = _letters(found)
    table = _table(
        f"what arrives at tick {look.first_tick + at}, and what changes it most",
        "source", f"spikes {one}", f"spikes {two}", f"weight {one}", f"weight {two}", "change",
    )  # fmt: skip
    for name in sources[:SOURCES]:
        both = [side.get(name) for side in sides]
        weights = ["" if a is None else f"{a.weight:.5g}" for a in both]
        spikes = ["" if a is None else str(a.spikes) for a in both]
        change = _sum(both[1]) - _sum(both[0])
        table.add_row(name, *spikes, *weights, f"{change:+.3g}")
    console().print(table)
    if len(sources) > SOURCES:
        say(f"and {len(sources) - SOURCES} more sources, which change it less")


def _sum(arrival: Arrival | None) -> float:
    return 0.0 if arrival is None else arrival.spikes * arrival.weight


def _change(name: str, sides: list[dict[str, Arrival]]) -> float:
    return abs(_sum(sides[1].get(name)) - _sum(sides[0].get(name)))


def _print_recorded(found: Recorded) -> None:
    place = found.place
    table = _table(
        f"{place.population}[{place.neuron}], sample {place.sample}, as recorded",
        "tick", "spikes a", "spikes b", "membrane a", "membrane b",
    )  # fmt: skip
    for k, (spikes, membrane) in enumerate(zip(found.spikes, found.membrane, strict=True)):
        table.add_row(
            str(place.first_tick + k), *(str(s) if s else "" for s in spikes),
            *("not recorded" if math.isnan(v) else f"{v:.6g}" for v in membrane),
        )  # fmt: skip
    console().print(table)


def _print_causes(causes: Causes) -> None:
    table = _table(
        f"{causes.total:,} differing spikes in {_listed(causes.samples)}; {causes.n_runs:,} runs",
        "effect", "gone without", "new without", "made alone", "in turn",
    )  # fmt: skip
    for share in causes.shares:
        sums = [sum(c.values()) for c in (share.vanish, share.appear, share.alone)]
        table.add_row(
            share.name, _counted(sums[0], causes.total), f"{sums[1]:,}",
            _counted(sums[2], causes.total),
            "" if share.in_turn is None else _counted(share.in_turn, causes.total),
        )  # fmt: skip
    if causes.left_in_turn is not None:
        table.add_row("left of it", "", "", "", _counted(causes.left_in_turn, causes.total))
    console().print(table)


def _listed(samples: list[int]) -> str:
    text = ", ".join(map(str, samples[:SAMPLES_NAMED]))
    more = len(samples) - SAMPLES_NAMED
    return f"sample{'s' if len(samples) != 1 else ''} {text}" + (
        f" and {more} more" if more > 0 else ""
    )


def _counted(part: int, whole: int) -> str:
    return f"{part:,} ({share_of(part, whole)})"
