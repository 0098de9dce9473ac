"""The pictures of a report."""

import base64
import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from emulator.routers import router_at, router_of
from spikefab.run import RunResult
from spikefab.wording import short
from traces.trace import Trace

_COLOURS = ("#3b7dd8", "#e0803a", "#3fa66b", "#b45ac0", "#c94f5d", "#8a8f2a", "#4aa3b5", "#7d6bd1")
INK = "#808890"
"""Readable on light and on dark."""

MOST_CORES = 1024
"""Cores that are drawn; more would be too small to see."""
MOST_NAMED = 12
"""Layers in a legend or with an own plot of rates."""
ABREAST = 4


@contextmanager
def inked() -> Iterator[None]:
    """Colours for both themes; names are text, whatever signs they hold."""
    with mpl.rc_context({
        "svg.hashsalt": "spikefab", "text.color": INK, "axes.edgecolor": INK,
        "axes.labelcolor": INK, "xtick.color": INK, "ytick.color": INK,
        "text.parse_math": False, "text.usetex": False,
    }):  # fmt: skip
        yield


def inline(figure: Figure) -> str:
    """Return a picture as the address of itself."""
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=130, transparent=True, metadata={"Software": None})
    return "data:image/png;base64," + base64.b64encode(picture.getvalue()).decode()


def _colour(index: int) -> str:
    return _COLOURS[index % len(_COLOURS)]


def _order(result: RunResult) -> list[str]:
    """Layers as the signal goes through them."""
    return [part.name for part in result.deployment.network.order]


def _legend(owner: Any, names: list[str], marker: str, **where: Any) -> None:
    """Name the layers, also those whose names begin with _, which legends leave out."""
    shown = names[:MOST_NAMED]
    handles = [Line2D([], [], ls="", marker=marker, color=_colour(k)) for k in range(len(shown))]
    more = [f"and {len(names) - len(shown)} more"] if len(names) > len(shown) else []
    handles += [Line2D([], [], ls="") for _ in more]
    legend = owner.legend(handles, ["·"] * len(handles), frameon=False, fontsize=8, **where)
    for text, name in zip(legend.get_texts(), [*map(short, shown), *more], strict=True):
        text.set_text(name)


def floor_plan(result: RunResult) -> tuple[Figure, str]:
    """Draw the used part of the mesh, one router's cores together; and say what is left out."""
    program, chip = result.deployment.program, result.deployment.chip
    per_router, beside = chip.mesh.cores_per_router, _beside(result)
    drawn, remark = _cores_to_draw(result)
    index = {int(core): k for k, core in enumerate(program.core)}
    figure = Figure(figsize=(8, 4.2), layout="constrained")
    axes = figure.add_subplot()
    x, y = router_of(drawn, chip)
    left = (x - x.min()) * (beside + 0.4) + drawn % per_router % beside
    low = (y - y.min()) * (-(-per_router // beside) + 0.4) + drawn % per_router // beside
    colours = {name: _colour(k) for k, name in enumerate(_order(result))}
    tall = float(max(left.max() - left.min(), 1.9 * (low.max() - low.min()))) + 1
    for core, at_x, at_y in zip(drawn.tolist(), left.tolist(), low.tolist(), strict=True):
        axes.add_patch(Rectangle((at_x, at_y), 0.94, 0.94, fill=False, ec=INK, lw=0.4))
        if core in index:
            _draw_core(axes, result, index[core], at_x, at_y, colours, 340 / tall)
    _legend(axes, _order(result), "s", loc="upper left", bbox_to_anchor=(1, 1))
    axes.set_aspect("equal")
    # A few cores on a large chip need not fill the picture.
    width, height = float(left.max()) + 1, float(low.max()) + 1
    axes.set_xlim(-0.1, max(width, 4) + 0.04)
    axes.set_ylim(-0.1, max(height, 2) + 0.04)
    axes.axis("off")
    return figure, remark


def _beside(result: RunResult) -> int:
    return int(np.ceil(np.sqrt(result.deployment.chip.mesh.cores_per_router)))


def _cores_to_draw(result: RunResult) -> tuple[NDArray[np.int64], str]:
    """Choose the cores of the smallest rectangle of routers around those in use, and one more."""
    program, chip = result.deployment.program, result.deployment.chip
    used = np.asarray(program.core, np.int64)
    x, y = router_of(used, chip)
    columns = np.arange(max(x.min() - 1, 0), min(x.max() + 2, chip.mesh.width))
    rows = np.arange(max(y.min() - 1, 0), min(y.max() + 2, chip.mesh.height))
    routers = router_at(columns, rows[:, None], chip).ravel()
    per_router = chip.mesh.cores_per_router
    if routers.size * per_router <= MOST_CORES:
        cores = (routers[:, None] * per_router + np.arange(per_router)).ravel()
    else:
        cores = np.sort(used)[:MOST_CORES]
    remark = (
        f"{cores.size:,} of the chip's {chip.n_cores:,} cores are drawn"
        if cores.size < chip.n_cores
        else f"All {chip.n_cores:,} cores are drawn"
    )
    missing = int((~np.isin(used, cores)).sum())
    return cores, f"{remark}; {missing:,} more are in use." if missing else f"{remark}."


def _draw_core(
    axes: Any, result: RunResult, core: int, left: float, low: float,
    colours: dict[str, str], points: float,
) -> None:  # fmt: skip
    """Draw one core; ``points`` is about the width that it has on paper."""
    program, chip, used = result.deployment.program, result.deployment.chip, result.deployment.used
    first, last = program.core_start[core], program.core_start[core + 1]
    bottom = low
    for number in np.unique(program.population[first:last]):
        mine = program.population[first:last] == number
        share = program.compartments[first:last][mine].sum() / chip.limit("neurons_per_core")
        colour = colours[program.populations[number].name]
        axes.add_patch(Rectangle((left, bottom), 0.94, 0.94 * share, color=colour, lw=0))
        bottom += 0.94 * share
    fullest = max(
        used.compartments[core] / chip.limit("neurons_per_core"),
        used.in_axons[core] / chip.limit("in_axons_per_core"),
        used.out_axons[core] / chip.limit("out_axons_per_core"),
        used.synapse_words[core] / chip.limit("synapse_words_per_core"),
    )
    size = min(points / 3.2, 10)
    if size < 3:  # could not be read
        return
    axes.text(
        left + 0.47, low + 0.47, f"{100 * fullest:.0f}\N{NO-BREAK SPACE}%", ha="center",
        va="center", fontsize=size, color="black",
        bbox={"facecolor": "white", "alpha": 0.8, "pad": 0.6, "lw": 0},
    )  # fmt: skip


def raster(folder: Path) -> Figure:
    """Draw the spikes of the first sample, float above chip."""
    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.subplots(2, 1, sharex=True, sharey=True)
    for row, name in enumerate(("float.h5", "trace.h5")):
        with Trace.open(folder / name) as trace:
            shown = [(p, trace.spikes(p.name, 0, trace.ticks)) for p in trace.populations]
            total, ticks = sum(p.size for p, _ in shown), trace.ticks
        densest = sum(spikes.ticks.size for _, spikes in shown)
        first = 0
        for index, (population, spikes) in enumerate(shown):
            axes[row].scatter(
                spikes.ticks, first + spikes.neurons, s=2 if densest > 2000 else 6, lw=0,
                color=_colour(index),
            )  # fmt: skip
            first += population.size
        # Fixed: a silent network shows an empty picture of the same size.
        axes[row].set_xlim(-0.5, ticks - 0.5)
        axes[row].set_ylim(-0.02 * total - 0.5, 1.02 * total - 0.5)
        axes[row].set_ylabel(f"{'float' if row == 0 else 'chip'}: neuron")
        axes[row].spines[["top", "right"]].set_visible(False)
        axes[row].patch.set_alpha(0)
    names = [population.name for population, _ in shown]
    _legend(figure, names, ".", loc="outside right upper")
    axes[1].set_xlabel("tick")
    return figure


def rates(result: RunResult) -> tuple[Figure, str]:
    """Plot the rate of each neuron, float against chip, layer by layer; and say what is left out."""
    every = [part.name for part in result.deployment.network.order if part.spiking]
    names = every[:MOST_NAMED]
    columns = max(min(len(names), ABREAST), 1)
    rows = max(-(-len(names) // columns), 1)
    figure = Figure(figsize=(8 if columns > 2 else 2.9 * columns, 2.5 * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    colours = {name: _colour(k) for k, name in enumerate(_order(result))}
    for here in axes[len(names) :]:
        here.axis("off")
    for here, name in zip(axes, names, strict=False):
        pair = [
            counts[name].mean(axis=0) / result.ticks_per_sample
            for counts in (result.counts_float, result.counts_chip)
        ]
        top = 1.05 * max(float(max(r.max(initial=0) for r in pair)), 1e-3)
        here.plot([0, top], [0, top], color=INK, lw=0.6)
        here.scatter(*pair, s=5 if pair[0].size > 100 else 12, lw=0, color=colours[name])
        here.set_xlim(-0.03 * top, top)
        here.set_ylim(-0.03 * top, top)
        here.set_title(short(name, 22), fontsize=9)
        here.locator_params(nbins=4)
        here.tick_params(labelsize=7)
        here.patch.set_alpha(0)
    figure.supxlabel("float: spikes per neuron and tick", fontsize=8)
    figure.supylabel("chip", fontsize=8)
    left_out = len(every) - len(names)
    return figure, f" The last {left_out} layers are left out." if left_out else ""
