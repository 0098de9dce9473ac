"""One self-contained page for a run: floor plan, raster, rates, accuracy and what was rounded."""

import html
import shlex
import warnings
from pathlib import Path
from typing import Any

from spikefab.figures import floor_plan, inked, inline, raster, rates
from spikefab.marks import footnote, one_sided, starred
from spikefab.run import RunResult
from spikefab.tables import band_of
from spikefab.traffic_figures import latencies, link_map, tick_times
from spikefab.wording import micro, percent, printable

_STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; margin: 1rem 0; } td, th { padding: .25rem .8rem; text-align: right; }
th:first-child, td:first-child { text-align: left; } tr { border-bottom: 1px solid #8884; }
img { max-width: 100%; height: auto; } .big { font-size: 1.6rem; } figure { margin: 1.5rem 0; }
.warning { border-left: 4px solid #e0803a; padding-left: .8rem; }
figcaption, .quiet { color: #808890; font-size: .9rem; } .wide { overflow-x: auto; }
"""


def write_report(
    result: RunResult, numbers: dict[str, Any], path: Path, *, chip_name: str | None = None
) -> None:
    """Write ``report.html``; the traces must lie beside it.

    Parameters
    ----------
    chip_name : str, optional
        What the user called the chip, if not its name.
    """
    # Fonts lack some signs that names may hold; that is no news for the user.
    with warnings.catch_warnings(), inked():
        warnings.simplefilter("ignore")
        plan, drawn = floor_plan(result)
        plot, left_out = rates(result)
        figures = [
            (inline(plan), "Where the neurons lie: each square is a core, filled by its neurons, "
             f"one colour a layer; the number is the fullest of its resources. {drawn}"),
            (inline(raster(path.parent)), "Spikes of the first sample: float above, chip below, "
             "each layer in chip timing."),
            (inline(plot), "Spike rate of each neuron, float against chip, over all samples."
             f"{left_out}"),
        ]  # fmt: skip
        if result.carried is not None:
            links, shown = link_map(result, result.carried)
            figures.append((inline(links), f"Traffic: {shown} Fabric {result.fabric}."))
        if result.deployment.chip.timing is not None:
            figures.append(
                (
                    inline(tick_times(result)),
                    "How long each tick lasts on the chip, over all samples.",
                )
            )
        waited = None if result.carried is None else latencies(result.carried)
        if waited is not None:
            figures.append((inline(waited), "How long packets are on their way, waiting included."))
    parts = [_head(numbers), _accuracy(numbers)]
    parts += [
        f'<figure><img alt="{html.escape(text)}" src="{picture}">'
        f"<figcaption>{html.escape(text)}</figcaption></figure>"
        for picture, text in figures
    ]
    parts += [
        _costs(numbers, chip_name or numbers["chip"]), _timing(numbers["timing"]), _tensors(numbers), _footer(numbers),
    ]  # fmt: skip
    title = html.escape(f"{numbers['network']} on {numbers['chip']}")
    page = (
        f'<!doctype html><html lang="en"><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title}</title><style>{_STYLE}</style><body>{''.join(parts)}</body></html>\n"
    )
    # A number and its unit stay on one line.
    for unit in ("%", "µJ", "µs"):
        page = page.replace(f" {unit}", f"\N{NO-BREAK SPACE}{unit}")
    path.write_text(printable(page), encoding="utf-8")


def _table(head: list[str], rows: list[list[str]]) -> str:
    cells = "".join(f"<th>{html.escape(c)}</th>" for c in head)
    body = "".join(
        "<tr>" + "".join(f"<td>{html.escape(c)}</td>" for c in row) + "</tr>" for row in rows
    )
    return f'<div class="wide"><table><tr>{cells}</tr>{body}</table></div>'


def _head(numbers: dict[str, Any]) -> str:
    warned = "".join(f"<p class='warning'>{html.escape(w)}</p>" for w in numbers["warnings"])
    return (
        f"<h1>{html.escape(numbers['network'])} on {html.escape(numbers['chip'])}</h1>"
        f'<p class="big">It fits on {numbers["cores_used"]} core(s). Accuracy: '
        f"{percent(numbers['accuracy']['chip'])} on the chip, "
        f"{percent(numbers['accuracy']['float'])} in float; "
        f"{percent(numbers['agreement'])} of the samples get the same class.</p>{warned}"
    )


def _accuracy(numbers: dict[str, Any]) -> str:
    accuracy, spikes, n = numbers["accuracy"], numbers["spikes"], numbers["samples"]
    rows = [
        ["accuracy", percent(accuracy["float"]), percent(accuracy["chip"])],
        ["spikes per sample", f"{spikes['float'] / n:,.0f}", f"{spikes['chip'] / n:,.0f}"],
    ]
    rows += [
        [f"{name}: spikes per neuron and tick", f"{rate['float']:.4f}", f"{rate['chip']:.4f}"]
        for name, rate in numbers["rates"].items()
    ]
    return _table(["", "float", "chip"], rows)


def _costs(numbers: dict[str, Any], chip_name: str) -> str:
    n, energy, marks = numbers["samples"], numbers["energy"], numbers["marks"]
    total = sum((energy or {}).values()) or 1.0
    costs = numbers["costs"] or {"constants": 0, "assumed": 0}
    rows = [
        ["synaptic events per sample", f"{numbers['synaptic_events'] / n:,.0f}"],
        ["packets between cores per sample", f"{numbers['packets'] / n:,.0f}"],
        ["hops per sample", f"{numbers['hops'] / n:,.0f}"],
        [
            "energy per sample",
            starred(micro(numbers["energy_j_per_sample"], "J", 2), "energy", marks),
        ],
        *[["  low … high", text] for text in band_of(numbers["energy_band"])],
        *[
            [
                f"  of it {part}",
                f"{starred(micro(value, 'J', 3), part, marks)} ({percent(value / total, 1)})",
            ]
            for part, value in (energy or {}).items()
        ],
        [
            "time per sample, as fast as the chip can",
            starred(micro(numbers["latency_s_per_sample"], "s", 0), "time", marks),
        ],
        *[
            [f"{part}s out of range", f"{count:,}"]
            for part, count in numbers["out_of_range"].items()
        ],
    ]
    lines = [*footnote(marks), *one_sided(numbers["costs"])]
    behind = "".join(f"<p class='quiet'>{html.escape(line)}</p>" for line in lines)
    command = html.escape(f"spikefab chips {shlex.quote(chip_name)}")
    return (
        f"<h2>Cost on the chip</h2>{_table(['', ''], rows)}<p class='quiet'>From the chip's "
        f"published estimates, {costs['assumed']} of {costs['constants']} constants assumed; "
        f"<code>{command}</code> lists each with its source. Host and boards are not in it.</p>{behind}"
    )


def _timing(timing: dict[str, Any] | None) -> str:
    """Tell ticks, deadlines, decisions, links and queues."""
    if timing is None:
        return ""
    decision, latency, peaks = (
        timing["decision_s"],
        timing["packet_latency_s"],
        timing["queue_peaks"],
    )
    rows = [
        ["a tick, median … longest",
         f"{micro(timing['tick_s']['median'], 's', 1)} … {micro(timing['tick_s']['max'], 's', 1)}"],
        [f"ticks longer than {micro(timing['tick_period_s'], 's')}",
         f"{timing['missed_deadlines']:,} of {timing['ticks']:,}"],
        ["left of that time in the longest tick", percent(timing["real_time_margin"], 1)],
    ]  # fmt: skip
    if "median" in decision:
        rows.append(["class settled after, median … longest",
                     f"{micro(decision['median'], 's', 1)} … {micro(decision['max'], 's', 1)}"])  # fmt: skip
    if latency is not None:
        rows.append(["a packet's way, median … longest",
                     f"{micro(latency['median'], 's', 3)} … {micro(latency['max'], 's', 3)}"])  # fmt: skip
        rows.append(["most packets waiting behind a link, at a sender, at a core",
                     ", ".join(f"{peaks[where]:,}" for where in ("link", "injection", "core"))])  # fmt: skip
    rows += [
        [f"core {one['core']} was last", f"in {one['ticks']:,} ticks"]
        for one in timing["slowest_cores"][:3]
    ]
    rows += [
        [f"link {one['link']}", f"busy {percent(one['utilisation'], 2)} of the time"]
        for one in timing["busiest_links"][:3]
    ]
    return f"<h2>Time</h2>{_table(['', ''], rows)}"


def _tensors(numbers: dict[str, Any]) -> str:
    rows = [
        [
            t["tensor"], str(t["bits"]), f"{100 * t['rms']:.3f} %", f"{100 * t['worst']:.3f} %",
            f"{t['n_zeroed']:,}", f"{t['n_clipped']:,}",
        ]
        for t in numbers["tensors"]
    ]  # fmt: skip
    head = ["tensor", "bits", "rms error", "worst error", "became 0", "cut off"]
    return (
        f"<h2>What rounding changed</h2>{_table(head, rows)}"
        f"<p class='quiet'>Errors relative to the largest value of the tensor; of thresholds and decays relative to each value, decays by what is lost each tick.</p>"
    )


def _footer(numbers: dict[str, Any]) -> str:
    notes = "".join(f"<li>{html.escape(note)}</li>" for note in numbers["notes"])
    versions = ", ".join(f"{k} {v}" for k, v in numbers["versions"].items())
    return f"<h2>Notes</h2><ul>{notes}</ul><p class='quiet'>{html.escape(versions)}</p>"
