"""Brian2 (``pip install brian2``): the same step in float, compiled as its code generation target says.

A spike waits in ``drive`` for the next tick; membranes are in units of a weight. ``cython`` and
``cpp_standalone`` need a C++ compiler.
"""

import os
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import brian2 as b2
import numpy as np
from peer_outcome import Outcome, Spent


def population(count: int, bias: Any, threshold: int, leak: float) -> Any:
    """Make neurons that integrate what arrived in the tick before."""
    cells = b2.NeuronGroup(
        count, "v : 1\ndrive : 1\nbias : 1 (constant)", threshold=f"v > {threshold}",
        reset="v = 0", method="exact",
    )  # fmt: skip
    cells.run_regularly(f"v = v * {leak} + drive + bias; drive = 0", when="groups")
    cells.bias = bias
    return cells


def synapses(source: Any, target: Any, rows: Any, columns: Any, weights: Any) -> Any:
    made = b2.Synapses(source, target, "w : 1 (constant)", on_pre="drive_post += w")
    made.connect(i=rows, j=columns)
    made.w = weights
    return made


def feed_forward(net: dict[str, Any], leak: float) -> tuple[list[Any], list[Any]]:
    ticks, indices = np.nonzero(net["raster"])
    source = b2.SpikeGeneratorGroup(
        net["raster"].shape[1], indices, ticks * b2.defaultclock.dt, sorted=True
    )
    layers, links = [source], []
    for weights, threshold in zip(net["weights"], net["vth"], strict=True):
        layers.append(population(weights.shape[1], 0, threshold, leak))
        rows, columns = np.indices(weights.shape)
        links.append(
            synapses(*layers[-2:], rows.ravel(), columns.ravel(), weights.ravel().astype(float))
        )
    return layers, links


def recurrent(net: dict[str, Any], leak: float) -> tuple[list[Any], list[Any]]:
    cells = population(net["n"], net["bias"].astype(float), net["vth"], leak)
    rows = np.arange(net["n"]).repeat(net["k"])
    weights = net["w"].ravel().astype(float)
    return [cells], [synapses(cells, cells, rows, net["dst"].ravel(), weights)]


def built(net: dict[str, Any]) -> tuple[Any, list[Any]]:
    """Build the network, and counters of the spikes of each population that computes."""
    make = feed_forward if "raster" in net else recurrent
    groups, links = make(net, 1 - net["dv"] / 4096)
    computing = groups[1:] if "raster" in net else groups
    counters = [b2.SpikeMonitor(group, record=False) for group in computing]
    return b2.Network(*groups, *links, *counters), counters


def looped(network: Any, ticks: int) -> Spent:
    """Run, and take the time between Brian2's first report, after code is generated, and its last."""
    reported: list[Spent] = []
    network.run(ticks * b2.defaultclock.dt, report=lambda *_: reported.append(Spent.now()))
    first, last = reported[0], reported[-1]
    return Spent(last.seconds - first.seconds, last.cpu_s - first.cpu_s)


def in_process(net: dict[str, Any], target: str) -> Callable[[], Outcome]:
    b2.prefs.codegen.target = target
    network, counters = built(net)
    network.store()
    looped(network, 1)  # compile

    def simulate() -> Outcome:
        network.restore()
        spent = looped(network, net["steps"])
        return Outcome(*spent, tuple(int(c.num_spikes) for c in counters), "one thread")

    return simulate


def peak_of(program: Path) -> float:
    """Run a program once more and ask what memory it took, in MB."""
    with subprocess.Popen([program], cwd=program.parent, stdout=subprocess.DEVNULL) as process:
        _, _, usage = os.wait4(process.pid, 0)
        process.returncode = 0
    return float(usage.ru_maxrss / 1024)


def standalone(net: dict[str, Any]) -> Callable[[], Outcome]:
    folder = tempfile.mkdtemp(prefix="brian2-")
    b2.set_device("cpp_standalone", build_on_run=False)
    network, counters = built(net)
    network.run(net["steps"] * b2.defaultclock.dt)
    begin = time.perf_counter()
    b2.device.build(directory=folder, run=False, with_output=False)
    compile_s = time.perf_counter() - begin

    def simulate() -> Outcome:
        b2.device.run(with_output=False)
        seconds = b2.device._last_run_time  # what the program itself measured
        counts = tuple(int(c.num_spikes) for c in counters)
        notes = f"one thread, compiled in {compile_s:.1f} s"
        return Outcome(seconds, None, counts, notes, peak_rss_mb=peak_of(Path(folder) / "main"))

    return simulate


def prepare(net: dict[str, Any], target: str) -> Callable[[], Outcome]:
    """Build for a code generation target."""
    return standalone(net) if target == "cpp_standalone" else in_process(net, target)
