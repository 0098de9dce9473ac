"""How the cost of a tick grows with neurons, synapses a neuron, activity and cores.

    python benchmarks/growth.py [--only VARIABLE] [--fabric NAME] [--seconds S] [--plot FILE.png] [--json]

One variable is varied at a time around ``BASE``, over random recurrent networks that are built from
arrays. Neurons integrate a constant bias from random phases and their synapses average to nothing,
so activity is what it is set to, whatever else changes (a tenth less at its upper end, as a reset drops
what is above the threshold). With ``neurons`` the cores grow too, as each
holds as many as before; with ``cores`` the same network is cut finer. Targets are spread over all
cores, so a spike needs a packet to each of ``min(cores, synapses)`` of them, nearly: where cores grow,
packets grow too, and hops faster still. The work of a tick stands beside each cost (``--json``).

Cost is processor time (the median of several runs of at least S seconds in all) of the loop over
ticks. The exponent p of cost ~ x**p is the slope of a line through the logarithms; where a constant
cost or a change of cache shows, the largest deviation from the line says so. Exit code 0; 2 for bad
input.
"""

import argparse
import inspect
import json
import math
import os
import statistics
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from standard import chip_for, recurrent

from emulator import fabric as fabrics
from emulator.chip import Chip
from emulator.engine import Engine
from emulator.program import Program
from emulator.stimulus import Stimulus

RUNS = 3
THRESHOLD = 20_000  # in units of a weight: an activity of 0.0005 is still a whole bias
WEIGHT_MAX = 20


class Setting(NamedTuple):
    """A network and how it is cut."""

    neurons: int
    synapses: int
    activity: float
    cores: int


class Point(NamedTuple):
    """What one setting cost, and what was done for it in a tick."""

    x: float
    us_per_tick: float
    ticks: int
    spikes_per_tick: float
    events_per_tick: float
    packets_per_tick: float
    hops_per_tick: float


BASE = Setting(neurons=8192, synapses=128, activity=0.02, cores=32)
VALUES: dict[str, tuple[float, ...]] = {
    "neurons": (1024, 2048, 4096, 8192, 16384, 32768, 65536),
    "synapses": (8, 16, 32, 64, 128, 256, 512),
    "activity": (0.0025, 0.005, 0.01, 0.02, 0.04, 0.08, 0.16),
    "cores": (8, 16, 32, 64, 128, 256),
}
NAMES = {
    "neurons": "neurons (256 a core)", "synapses": "synapses a neuron",
    "activity": "activity set (spikes a neuron and tick)", "cores": "cores",
}  # fmt: skip


def setting(variable: str, value: float) -> Setting:
    """Vary one variable; cores keep their size where there are more neurons."""
    changed = BASE._replace(**{variable: value})
    if variable == "neurons":
        changed = changed._replace(cores=changed.neurons * BASE.cores // BASE.neurons)
    return changed


def random_network(of: Setting, rng: np.random.Generator) -> dict[str, Any]:
    """Draw a recurrent network in the form of the shared workloads."""
    stratum = of.neurons // of.synapses
    shape = (of.neurons, of.synapses)
    # One target in each stratum: in order, all different, the same number for every source.
    targets = np.arange(of.synapses) * stratum + rng.integers(0, stratum, shape)
    sign = rng.choice([-1, 1], shape)
    return {
        "n": of.neurons, "k": of.synapses, "dst": targets,
        "w": (sign * 2 * rng.integers(1, WEIGHT_MAX // 2 + 1, shape)).astype(np.int8),
        "bias": np.full(of.neurons, round(of.activity * THRESHOLD)), "vth": THRESHOLD, "dv": 0,
    }  # fmt: skip


def built(of: Setting, seed: int) -> tuple[Program, Chip]:
    """Build the program of a setting and a square mesh for it."""
    rng = np.random.default_rng(seed)
    per_core = of.neurons // of.cores
    program = recurrent(random_network(of, rng), per_core)
    phases: NDArray[Any] = rng.integers(0, 64 * THRESHOLD, of.neurons)
    chip = chip_for(math.ceil(math.sqrt(of.cores)), of.cores, per_core)
    return replace(program, initial_membrane=phases), chip


def run_once(program: Program, chip: Chip, fabric: str, n_ticks: int) -> tuple[float, list[float]]:
    """Seconds of the processor that the loop takes, and the work of a tick as `Point` has it."""
    choice = {"fabric": fabric} if "fabric" in inspect.signature(Engine).parameters else {}
    engine = Engine(program, chip, **choice)
    if hasattr(engine, "prepare"):
        engine.prepare()
    counts: list[int] = []
    begin = time.process_time()
    engine.run([Stimulus()], n_ticks, lambda block: counts.append(block.spike_neuron.size))
    took = time.process_time() - begin
    total = {name: int(values.sum()) for name, values in engine.counters.items()}
    work = [
        sum(counts), total["synaptic_events"], total["packets"] + total["local_packets"],
        total["hops_ew"] + total["hops_ns"],
    ]  # fmt: skip
    return took, [amount / n_ticks for amount in work]


def measured(variable: str, value: float, fabric: str, seconds: float) -> Point:
    """Run a setting for long enough to be timed."""
    program, chip = built(setting(variable, value), seed=1)
    run_once(program, chip, fabric, 2)  # compiles
    trial, _ = run_once(program, chip, fabric, 10)
    n_ticks = max(10, min(5000, round(seconds / RUNS / max(trial / 10, 1e-6))))
    runs = [run_once(program, chip, fabric, n_ticks) for _ in range(RUNS)]
    cost = statistics.median(took for took, _ in runs)
    return Point(value, 1e6 * cost / n_ticks, n_ticks, *runs[0][1])


def fitted(points: list[Point]) -> dict[str, Any]:
    """Fit cost = c * x**p by least squares in the logarithms."""
    x, y = (np.log([getattr(p, name) for p in points]) for name in ("x", "us_per_tick"))
    slope, offset = np.polyfit(x, y, 1)
    rest = y - (slope * x + offset)
    error = math.sqrt(float(rest @ rest) / (x.size - 2) / float(((x - x.mean()) ** 2).sum()))
    return {
        "exponent": round(float(slope), 3), "standard_error": round(error, 3),
        "constant_us": float(np.exp(offset)), "range": [points[0].x, points[-1].x],
        "largest_deviation": round(float(np.exp(np.abs(rest).max()) - 1), 3),
    }  # fmt: skip


def curve(variable: str, fabric: str, seconds: float) -> dict[str, Any]:
    """Measure all values of a variable and fit them."""
    points = [measured(variable, value, fabric, seconds) for value in VALUES[variable]]
    return {
        "variable": variable, "fabric": fabric, **fitted(points),
        "points": [point._asdict() for point in points],
    }  # fmt: skip


def told(curve: dict[str, Any]) -> str:
    """Say a curve in one line."""
    first, last = curve["range"]
    costs = ", ".join(f"{p['us_per_tick']:.4g}" for p in curve["points"])
    return (
        f"{curve['variable']}, {curve['fabric']}: exponent {curve['exponent']:.2f} "
        f"± {curve['standard_error']:.2f} over {first:g}..{last:g} "
        f"(deviates by up to {curve['largest_deviation']:.0%}); µs a tick: {costs}"
    )


def draw(curves: list[dict[str, Any]], path: Path) -> None:
    """Plot a panel for each variable."""
    from matplotlib.figure import Figure

    page = Figure(figsize=(9, 7), layout="constrained")
    panels = dict(zip(VALUES, page.subplots(2, 2).ravel(), strict=True))
    for variable, panel in panels.items():
        panel.set(xscale="log", yscale="log", xlabel=NAMES[variable], ylabel="µs a tick")
    for found in curves:
        x = np.array([p["x"] for p in found["points"]])
        label = f"{found['fabric']}: exponent {found['exponent']:.2f}"
        panel = panels[found["variable"]]
        (line,) = panel.plot(x, [p["us_per_tick"] for p in found["points"]], "o", label=label)
        panel.plot(x, found["constant_us"] * x ** found["exponent"], color=line.get_color(), lw=1)
        panel.legend(frameon=False)
    page.savefig(path, dpi=150)


def arguments() -> argparse.Namespace:
    known = tuple(getattr(fabrics, "FABRICS", ("ideal",)))
    parser = argparse.ArgumentParser(prog="growth", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", choices=list(VALUES), help="vary this alone")
    parser.add_argument("--fabric", choices=known, help="this one alone")
    parser.add_argument("--seconds", type=float, default=0.3, help="of each point")
    parser.add_argument("--plot", type=Path, metavar="FILE.png")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    if not args.seconds > 0:
        parser.error(f"--seconds must be more than 0, got {args.seconds}")
    if args.plot and (args.plot.suffix != ".png" or not os.access(args.plot.parent, os.W_OK)):
        parser.error(f"--plot: {args.plot} must be a .png file in a folder that can be written")
    wanted = [name for name in ("ideal", "queued") if name in known]
    args.fabrics = [args.fabric] if args.fabric else wanted
    return args


def main() -> int:
    args = arguments()
    curves = []
    for fabric in args.fabrics:
        for variable in [args.only] if args.only else VALUES:
            curves.append(curve(variable, fabric, args.seconds))
            print(told(curves[-1]), file=sys.stderr if args.json else sys.stdout, flush=True)
    if args.plot:
        draw(curves, args.plot)
    if args.json:
        print(json.dumps({"base": BASE._asdict(), "curves": curves}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
