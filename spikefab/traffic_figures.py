"""The pictures of time and traffic: links on the floor plan, ticks, packets."""

import re
from typing import Any

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.collections import LineCollection
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import ScalarFormatter
from numpy.typing import NDArray

from emulator.carried import Carried
from emulator.routers import router_of
from spikefab.figures import INK
from spikefab.run import RunResult

Array = NDArray[Any]

MOST_ROUTERS = 1024
"""Routers that are drawn; of more the picture shows the busiest links alone."""
MOST_BARS = 16
_PLACE = re.compile(r"^\((\d+),(\d+)\) (north|east|south|west)$")
_STEP = {"north": (0, 1), "east": (1, 0), "south": (0, -1), "west": (-1, 0)}
_COLOURS = "plasma"


def link_map(result: RunResult, carried: Carried) -> tuple[Figure, str]:
    """Colour each link by the share of time that packets kept it busy; and say what is shown."""
    busy = carried.busy_ps / max(int(result.ticks["duration_ps"].sum()), 1)
    places = [_PLACE.match(name) for name in carried.noc.link_name]
    x, y = router_of(result.deployment.program.core, result.deployment.chip)
    area = (int(np.ptp(x)) + 1) * (int(np.ptp(y)) + 1)
    if not places or None in places or area > MOST_ROUTERS:
        return _busiest(carried.noc.link_name, busy)
    figure = Figure(figsize=(8, 4.2), layout="constrained")
    axes = figure.add_subplot()
    lines, shares = [], []
    low, high = (int(x.min()), int(y.min())), (int(x.max()), int(y.max()))
    for place, share in zip(places, busy.tolist(), strict=True):
        assert place is not None
        at_x, at_y, side = int(place[1]), int(place[2]), _STEP[place[3]]
        to_x, to_y = at_x + side[0], at_y + side[1]
        if all(
            low[0] <= here_x <= high[0] and low[1] <= here_y <= high[1]
            for here_x, here_y in ((at_x, at_y), (to_x, to_y))
        ):
            lines.append(_beside(at_x, at_y, *side))
            shares.append(100 * share)
    scale = Normalize(0, max([*shares, 1e-12]))
    axes.add_collection(LineCollection(lines, array=shares, cmap=_COLOURS, norm=scale, lw=4))
    grid_x, grid_y = np.meshgrid(np.arange(low[0], high[0] + 1), np.arange(low[1], high[1] + 1))
    size = float(np.clip(700 / max(np.ptp(x) + 1, 2 * (np.ptp(y) + 1)) ** 1.6, 4, 260))
    axes.scatter(grid_x, grid_y, marker="s", s=size, color=INK, lw=0, zorder=3)
    axes.set_xlim(low[0] - 0.7, high[0] + 0.7)
    axes.set_ylim(low[1] - 0.7, high[1] + 0.7)
    axes.set_aspect("equal")
    axes.axis("off")
    bar = figure.colorbar(ScalarMappable(scale, _COLOURS), ax=axes, shrink=0.8)
    bar.set_label("% of time that a link is busy", fontsize=8)
    bar.ax.tick_params(labelsize=7)
    return figure, f"{len(lines):,} of {carried.noc.n_links:,} links, those of the part in use."


def _beside(x: int, y: int, dx: int, dy: int) -> list[tuple[float, float]]:
    """Where a link is drawn: to the right of the way that packets go, so that both are seen."""
    right_x, right_y = 0.09 * dy, -0.09 * dx
    return [
        (x + 0.2 * dx + right_x, y + 0.2 * dy + right_y),
        (x + 0.8 * dx + right_x, y + 0.8 * dy + right_y),
    ]


def _busiest(names: tuple[str, ...], busy: Array) -> tuple[Figure, str]:
    order = np.lexsort((np.arange(busy.size), -busy))[:MOST_BARS]
    figure = Figure(figsize=(8, 0.6 + 0.25 * max(order.size, 1)), layout="constrained")
    axes = figure.add_subplot()
    axes.barh(np.arange(order.size), 100 * busy[order], color="#3b7dd8")
    axes.set_yticks(np.arange(order.size), [names[k] for k in order], fontsize=7)
    axes.invert_yaxis()
    axes.set_xlabel("% of time that a link is busy", fontsize=8)
    axes.tick_params(labelsize=7)
    axes.patch.set_alpha(0)
    if not order.size:
        axes.axis("off")
        return figure, "The chip's cores have no links between them."
    return figure, f"The {order.size} busiest of {busy.size:,} links."


def tick_times(result: RunResult) -> Figure:
    """Plot how long each tick of a sample lasts: median and range over samples, and the deadline."""
    microseconds = result.ticks["duration_ps"] * 1e-6
    figure = Figure(figsize=(8, 2.6), layout="constrained")
    axes = figure.add_subplot()
    tick = np.arange(microseconds.shape[1])
    axes.fill_between(
        tick, microseconds.min(axis=0), microseconds.max(axis=0), color="#3b7dd8", alpha=0.25, lw=0,
        label="all samples",
    )  # fmt: skip
    axes.plot(tick, np.median(microseconds, axis=0), color="#3b7dd8", lw=1.2, label="median")
    period = result.tick_period_s * 1e6
    # A deadline far above would flatten everything that there is to see.
    if period < 3 * microseconds.max(initial=0):
        axes.axhline(period, color="#c94f5d", lw=1, ls="--", label="deadline")
    axes.set_ylim(bottom=0)
    axes.set_xlabel("tick of a sample", fontsize=8)
    axes.set_ylabel("µs", fontsize=8)
    axes.tick_params(labelsize=7)
    axes.legend(frameon=False, fontsize=7)
    axes.patch.set_alpha(0)
    return figure


def latencies(carried: Carried) -> Figure | None:
    """Draw the histogram of packets' latencies; None where the fabric does not follow packets."""
    used = np.flatnonzero(carried.latency)
    if not used.size:
        return None
    shown = slice(int(used[0]), int(used[-1]) + 1)
    edges = carried.latency_edges_ps[shown.start : shown.stop + 1] * 1e-3
    figure = Figure(figsize=(8, 2.4), layout="constrained")
    axes = figure.add_subplot()
    axes.bar(
        edges[:-1], carried.latency[shown], width=np.diff(edges), align="edge", color="#3b7dd8"
    )
    if edges[0] > 0:
        axes.set_xscale("log")
        # Names in figures are no formulas, so exponents would be shown as they are written.
        axes.xaxis.set_major_formatter(ScalarFormatter())
    axes.set_xlabel("ns from leaving a neuron until its target core is done", fontsize=8)
    axes.set_ylabel("packets", fontsize=8)
    axes.tick_params(labelsize=7)
    axes.patch.set_alpha(0)
    return figure
