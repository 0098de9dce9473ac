"""One self-contained page for a run: floor plan, raster, rates, accuracy and what was rounded."""

import base64
import html
import io
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from emulator.fabric import router_of
from spikefab.run import RunResult
from spikefab.wording import micro, percent
from traces.trace import Trace

_COLOURS = ("#3b7dd8", "#e0803a", "#3fa66b", "#b45ac0", "#c94f5d", "#8a8f2a", "#4aa3b5", "#7d6bd1")
_INK = "#808890"  # readable on light and on dark

_STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; margin: 1rem 0; } td, th { padding: .25rem .8rem; text-align: right; }
th:first-child, td:first-child { text-align: left; } tr { border-bottom: 1px solid #8884; }
img { max-width: 100%; height: auto; } .big { font-size: 1.6rem; } figure { margin: 1.5rem 0; }
figcaption, .quiet { color: #808890; font-size: .9rem; } .wide { overflow-x: auto; }
"""


def write_report(result: RunResult, numbers: dict[str, Any], path: Path) -> None:
    """Write ``report.html``; the traces must lie beside it."""
    with mpl.rc_context({"svg.hashsalt": "spikefab", "text.color": _INK, "axes.edgecolor": _INK,
                         "axes.labelcolor": _INK, "xtick.color": _INK, "ytick.color": _INK}):  # fmt: skip
        figures = [
            (_floor_plan(result), "Where the neurons lie: each square is a core, filled by its "
             "neurons, one colour a layer; the number is the fullest of its resources."),
            (_raster(path.parent), "Spikes of the first sample: float above, chip below, each "
             "layer in chip timing."),
            (_rates(result), "Spike rate of each neuron, float against chip, over all samples."),
        ]  # fmt: skip
    parts = [_head(numbers), _accuracy(numbers)]
    parts += [
        f'<figure><img alt="{html.escape(text)}" src="{_inline(figure)}">'
        f"<figcaption>{html.escape(text)}</figcaption></figure>"
        for figure, text in figures
    ]
    parts += [_costs(numbers), _tensors(numbers), _footer(numbers)]
    title = html.escape(f"{numbers['network']} on {numbers['chip']}")
    path.write_text(
        f'<!doctype html><html lang="en"><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title}</title><style>{_STYLE}</style><body>{''.join(parts)}</body></html>\n",
        encoding="utf-8",
    )


def _inline(figure: Figure) -> str:
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=130, transparent=True, metadata={"Software": None})
    return "data:image/png;base64," + base64.b64encode(picture.getvalue()).decode()


def _colour(index: int) -> str:
    return _COLOURS[index % len(_COLOURS)]


def _floor_plan(result: RunResult) -> Figure:
    """Draw the used part of the mesh; cores of one router stand together."""
    program, chip = result.deployment.program, result.deployment.chip
    beside = int(np.ceil(np.sqrt(chip.mesh.cores_per_router)))
    figure = Figure(figsize=(8, 4.2), layout="constrained")
    axes = figure.add_subplot()
    for core in range(chip.n_cores):
        x, y = (int(v) for v in router_of(np.array(core), chip))
        within = core % chip.mesh.cores_per_router
        left = x * (beside + 0.4) + within % beside
        low = y * (beside + 0.4) + within // beside
        axes.add_patch(Rectangle((left, low), 0.94, 0.94, fill=False, ec=_INK, lw=0.4))
        here = np.flatnonzero(program.core == core)
        if here.size:
            _draw_core(axes, result, int(here[0]), left, low)
    for index, population in enumerate(program.populations):
        axes.plot([], [], "s", color=_colour(index), label=population.name)
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1), frameon=False)
    axes.set_aspect("equal")
    axes.autoscale_view()
    axes.axis("off")
    return figure


def _draw_core(axes: Any, result: RunResult, core: int, left: float, low: float) -> None:
    program, chip, used = result.deployment.program, result.deployment.chip, result.deployment.used
    capacity = chip.limits.neurons_per_core.value
    first, last = program.core_start[core], program.core_start[core + 1]
    bottom = low
    for number in np.unique(program.population[first:last]):
        mine = program.population[first:last] == number
        height = 0.94 * program.compartments[first:last][mine].sum() / capacity
        axes.add_patch(Rectangle((left, bottom), 0.94, height, color=_colour(int(number)), lw=0))
        bottom += height
    fullest = max(
        used.compartments[core] / capacity,
        used.in_axons[core] / chip.limit("in_axons_per_core"),
        used.out_axons[core] / chip.limit("out_axons_per_core"),
        used.synapse_words[core] / chip.limit("synapse_words_per_core"),
    )
    axes.text(
        left + 0.47,
        low + 0.47,
        f"{100 * fullest:.0f} %",
        ha="center",
        va="center",
        fontsize=5,
        color="black",
        bbox={"facecolor": "white", "alpha": 0.75, "pad": 0.5, "lw": 0},
    )


def _raster(folder: Path) -> Figure:
    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.subplots(2, 1, sharex=True, sharey=True)
    for row, name in enumerate(("float.h5", "trace.h5")):
        with Trace.open(folder / name) as trace:
            first = 0
            for index, population in enumerate(trace.populations):
                spikes = trace.spikes(population.name, 0, trace.ticks)
                axes[row].scatter(
                    spikes.ticks, first + spikes.neurons, s=2, lw=0, color=_colour(index),
                    label=population.name,
                )  # fmt: skip
                first += population.size
        axes[row].set_ylabel(f"{'float' if row == 0 else 'chip'}: neuron")
        axes[row].spines[["top", "right"]].set_visible(False)
        axes[row].patch.set_alpha(0)
    axes[1].set_xlabel("tick")
    return figure


def _rates(result: RunResult) -> Figure:
    names = list(result.counts_float)
    figure = Figure(figsize=(8, 2.6), layout="constrained")
    axes = figure.subplots(1, len(names), squeeze=False)[0]
    for index, name in enumerate(names):
        rates = [
            counts[name].mean(axis=0) / result.ticks_per_sample
            for counts in (result.counts_float, result.counts_chip)
        ]
        top = max(float(max(r.max() for r in rates)), 1e-3)
        axes[index].plot([0, top], [0, top], color=_INK, lw=0.6)
        axes[index].scatter(*rates, s=5, lw=0, color=_colour(index))
        axes[index].set_title(name, fontsize=9)
        axes[index].set_xlabel("float, spikes a tick", fontsize=8)
        axes[index].tick_params(labelsize=7)
        axes[index].patch.set_alpha(0)
    axes[0].set_ylabel("chip", fontsize=8)
    return figure


def _table(head: list[str], rows: list[list[str]]) -> str:
    cells = "".join(f"<th>{html.escape(c)}</th>" for c in head)
    body = "".join(
        "<tr>" + "".join(f"<td>{html.escape(c)}</td>" for c in row) + "</tr>" for row in rows
    )
    return f'<div class="wide"><table><tr>{cells}</tr>{body}</table></div>'


def _head(numbers: dict[str, Any]) -> str:
    return (
        f"<h1>{html.escape(numbers['network'])} on {html.escape(numbers['chip'])}</h1>"
        f'<p class="big">It fits on {numbers["cores_used"]} core(s). Accuracy: '
        f"{percent(numbers['accuracy']['chip'])} on the chip, "
        f"{percent(numbers['accuracy']['float'])} in float; "
        f"{percent(numbers['agreement'])} of the samples get the same class.</p>"
    )


def _accuracy(numbers: dict[str, Any]) -> str:
    accuracy, spikes, n = numbers["accuracy"], numbers["spikes"], numbers["samples"]
    rows = [
        ["accuracy", percent(accuracy["float"]), percent(accuracy["chip"])],
        ["spikes a sample", f"{spikes['float'] / n:,.0f}", f"{spikes['chip'] / n:,.0f}"],
    ]
    rows += [
        [f"{name}: spikes a neuron and tick", f"{rate['float']:.4f}", f"{rate['chip']:.4f}"]
        for name, rate in numbers["rates"].items()
    ]
    return _table(["", "float", "chip"], rows)


def _costs(numbers: dict[str, Any]) -> str:
    n, energy = numbers["samples"], numbers["energy"]
    rows = [
        ["synaptic events a sample", f"{numbers['synaptic_events'] / n:,.0f}"],
        ["packets between cores a sample", f"{numbers['packets'] / n:,.0f}"],
        ["hops a sample", f"{numbers['hops'] / n:,.0f}"],
        ["energy a sample", micro(numbers["energy_j_per_sample"], "J", 2)],
        *[[f"  of it {part}", micro(value, "J", 3)] for part, value in (energy or {}).items()],
        ["time a sample, as fast as the chip can", micro(numbers["latency_s_per_sample"], "s", 0)],
        *[
            [f"{part}s out of range", f"{count:,}"]
            for part, count in numbers["out_of_range"].items()
        ],
    ]
    return (
        f"<h2>Cost on the chip</h2>{_table(['', ''], rows)}<p class='quiet'>From the chip's "
        f"published estimates; <code>spikefab chips {html.escape(numbers['chip'])}</code> lists "
        f"each with its source. Host, boards and contention between packets are not in it.</p>"
    )


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
