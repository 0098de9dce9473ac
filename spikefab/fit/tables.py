"""What fit found, for people."""

from collections.abc import Sequence

from rich.table import Table

from mapping.fitting.judging import Judgement
from spikefab.fit.as_json import DISTINCT, chips_needed, cores_needed
from spikefab.fit.holding import Holding
from spikefab.fit.work import Answer, Verdict
from spikefab.marks import footnote, marks_of, starred
from spikefab.telling import console, say
from spikefab.wording import printable, si

_RESOURCES = {
    "neurons_per_core": "neurons",
    "in_axons_per_core": "in-axons",
    "out_axons_per_core": "out-axons",
    "synapse_words_per_core": "memory",
}
"""Columns of the table of chips; other limits are told with the layers that they close."""

FIXES_SHOWN = 8
ENDED_EARLY = (
    "the search for changes ended early, as the network is large: not all were tried, and a smaller "
    "one than is told may do"
)


def print_answer(found: Answer, name: str, *, each: bool) -> None:
    """Print a table of chips, and of each chip why, or at least what to do.

    Parameters
    ----------
    each : bool
        Whether to tell layers of all chips, as where they were named.
    """
    sizes = sum(p.size for p in found.network.populations)
    say(
        f"{printable(name)}: {sizes:,} neurons in {len(found.network.populations)} populations; "
        f"input enters as {'currents from the host' if found.direct else 'spikes'}"
    )
    for note in (found.note, found.known.note):
        say(note)
    for note in found.network.notes:
        say(f"note: {note}")
    _print_chips(found.verdicts)
    for verdict in found.verdicts:
        if each:
            _print_verdict(verdict)
        elif not verdict.found.fits:
            _print_shortly(verdict)


def _print_chips(verdicts: Sequence[Verdict]) -> None:
    table = Table(
        caption="shares are those of the fullest core", caption_justify="left", padding=(0, 1, 0, 0)
    )
    table.add_column("chip", overflow="fold", min_width=6)
    table.add_column("fits", no_wrap=True)
    for column in ("cores", "chips", *_RESOURCES.values()):
        table.add_column(column, justify="right", no_wrap=True)
    for verdict in verdicts:
        table.add_row(*_chip_row(verdict.found))
    console().print(table)
    expected = [verdict for verdict in verdicts if verdict.expected is not None]
    if expected:
        _print_costs(expected)


def _print_costs(verdicts: Sequence[Verdict]) -> None:
    """Print what a tick is expected to take."""
    table = Table(
        title="expected in a tick: estimates from mean rates, without waiting on the network",
        title_justify="left", padding=(0, 1, 0, 0),
    )  # fmt: skip
    table.add_column("chip", overflow="fold", min_width=6)
    for column in ("packets", "hops", "synaptic events", "time", "energy"):
        table.add_column(column, justify="right", no_wrap=True)
    keys: dict[str, tuple[str, ...]] = {}
    for verdict in verdicts:
        expected, marks = verdict.expected, marks_of(verdict.found.chip)
        assert expected is not None
        table.add_row(
            verdict.found.chip.name, f"{expected.packets:,.1f}", f"{expected.hops:,.1f}",
            f"{expected.synaptic_events:,.0f}",
            starred(si(expected.tick_s, "s"), "time", marks),
            starred(si(expected.energy_j, "J"), "energy", marks),
        )  # fmt: skip
        keys = {
            figure: tuple(dict.fromkeys((*keys.get(figure, ()), *marks[figure])))
            for figure in ("time", "energy")
        }
    console().print(table)
    for line in footnote(keys):
        say(line)


def _chip_row(found: Judgement) -> list[str]:
    shares = {use.limit: 100 * use.fullest / use.have for use in found.uses}
    if found.outline is None:  # there was nothing that could be counted
        return [found.chip.name, "no", *[""] * (2 + len(_RESOURCES))]
    return [
        found.chip.name, "yes" if found.fits else "no",
        f"{cores_needed(found):,}/{found.chip.usable.size:,}", f"{chips_needed(found):,}",
        *(f"{shares[limit]:.0f} %" if found.cores and limit in shares else "" for limit in _RESOURCES),
    ]  # fmt: skip


def _print_shortly(verdict: Verdict) -> None:
    """Say in two lines what is broken, and the smallest change that helps."""
    found = verdict.found
    limits = ", ".join(dict.fromkeys(told.limit for told in found.problems))
    n = len(found.problems)
    say(f"\n{found.chip.name}: {n} violated limit{'s' if n > 1 else ''} ({limits})")
    say(f"  {found.problems[0].text}")
    here = [fix for fix in verdict.fixes if fix.kind != "chip"]
    if verdict.fixes:
        say(f"  fits if you {(here or verdict.fixes)[0].change}")
    else:
        say("  no single change and no pair of changes that was tried makes it fit")
    if verdict.complete is False:
        say(f"  {ENDED_EARLY}")


def _print_verdict(verdict: Verdict) -> None:
    found = verdict.found
    cores = f"{cores_needed(found):,} of {found.chip.usable.size:,} cores"
    if found.fits:
        say(f"\n{found.chip.name}: fits, {cores}")
    else:
        n = len(found.problems)
        say(f"\n{found.chip.name}: does not fit; {n} violated limit{'s' if n > 1 else ''}:")
        for told in found.problems:
            say(f"  - {told.text}")
        _print_fixes(verdict)
    if found.layers:
        _print_layers(found)
    if found.cores:
        _print_uses(found)
    elif found.memory_bits_there:
        share = 100 * found.memory_bits / found.memory_bits_there
        say(f"  memory: {_size(found.memory_bits)}, {share:.1f} % of the chip")
    for note in found.notes:
        say(f"  note: {note}")
    if verdict.expected is not None:
        _print_expected(verdict)


def _print_fixes(verdict: Verdict) -> None:
    if verdict.complete is False:
        say(ENDED_EARLY)
    if not verdict.fixes:
        say("no single change and no pair of changes that was tried makes it fit")
        return
    say("it fits with any one of these, each verified by mapping again; the smallest change first:")
    for number, fix in enumerate(verdict.fixes[:FIXES_SHOWN], start=1):
        say(f"  {number}. {fix.change}: {fix.cores:,} core{'s' if fix.cores > 1 else ''}")
    if len(verdict.fixes) > FIXES_SHOWN:
        say(f"  and {len(verdict.fixes) - FIXES_SHOWN} more (--json)")


def _print_layers(found: Judgement) -> None:
    table = Table(padding=(0, 1, 0, 0))
    table.add_column("layer", overflow="fold")
    for column in ("neurons", "synapses", "cores", "memory"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("closed by")
    for layer in found.layers:
        table.add_row(
            layer.population, f"{layer.neurons:,}", f"{layer.synapses:,}", f"{layer.cores:,}",
            _size(layer.bits) if layer.bits else "", _RESOURCES.get(layer.closed or "", layer.closed or ""),
        )  # fmt: skip
    console().print(table)
    for layer in found.layers:
        say(f"  {layer.population}: {layer.arithmetic}")


def _size(bits: int | None) -> str:
    """Write bits in the largest unit of bytes that leaves a whole number before the point."""
    if bits is None:
        return ""
    for unit, size in (("MiB", 2**23), ("KiB", 2**13)):
        if bits >= size:
            return f"{bits / size:,.1f} {unit}"
    return f"{bits / 8:,.0f} B"


def _print_uses(found: Judgement) -> None:
    n = found.chip.usable.size
    for use in found.uses:
        if use.limit in DISTINCT:
            continue  # what cores have in common is no sum
        name = _RESOURCES.get(use.limit, use.limit)
        unit = " words" if use.limit == "synapse_words_per_core" else ""
        place = found.place[use.core] if found.place else use.core
        say(
            f"  {name}: {use.total:,}{unit} in all, {100 * use.total / (use.have * n):.1f} % of the "
            f"chip; core {place} takes most, {use.fullest:,} of {use.have:,} "
            f"({100 * use.fullest / use.have:.1f} %)"
        )


def _print_expected(verdict: Verdict) -> None:
    expected, marks = verdict.expected, marks_of(verdict.found.chip)
    assert expected is not None
    say(
        f"  expected in a tick: {expected.spikes:,.1f} spikes, {expected.packets:,.1f} packets "
        f"between cores over {expected.hops:,.1f} hops, {expected.local:,.1f} delivered locally, "
        f"{expected.from_outside:,.1f} from inputs, {expected.synaptic_events:,.1f} synaptic events; "
        f"{starred(si(expected.tick_s, 's'), 'time', marks)}, "
        f"{starred(si(expected.energy_j, 'J'), 'energy', marks)} (estimates)"
    )


def print_holdings(found: Sequence[Holding]) -> None:
    """Print what chips can hold: cores, and their memory."""
    cores = Table(title="per core", title_justify="left", padding=(0, 1, 0, 0))
    memory = Table(title="synapse memory", title_justify="left", padding=(0, 1, 0, 0))
    for table, columns in (
        (cores, ("cores", "neurons", "in-axons", "out-axons", "delay", "weight")),
        (memory, ("words", "bits", "8-bit synapses", "chip")),
    ):
        table.add_column("chip", overflow="fold")
        for column in columns:
            table.add_column(column, justify="right", no_wrap=True)
    for chip in found:
        usable = f"{chip.usable:,}" + ("" if chip.usable == chip.cores else f"/{chip.cores:,}")
        cores.add_row(
            chip.chip, usable, f"{chip.neurons:,}", _count(chip.in_axons), _count(chip.out_axons),
            f"{chip.delay_max} ticks", f"{chip.weight_bits} bits",
        )  # fmt: skip
        memory.add_row(
            chip.chip, _count(chip.words), _count(chip.bits), _count(chip.dense_synapses),
            _size(chip.total_bits),
        )  # fmt: skip
    console().print(cores)
    console().print(memory)
    say(
        "words, bits and synapses are those of a core; synapses are of 8 bits in lists of a full "
        "matrix, without delays, as many as the best length of lists allows"
    )


def _count(value: int | None) -> str:
    return "" if value is None else f"{value:,}"
