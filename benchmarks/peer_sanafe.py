"""SANA-FE (``pip install sanafe``): cores, energy and time of a Loihi fitted to silicon.

The costs are those of its own ``loihi.yaml``; the mesh is the one that fabric runs are compared on:
neurons in order, no core shared by two layers, one core a router, cores numbered row-major.
"""

import re
import tempfile
from collections.abc import Callable, Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import sanafe
from peer_outcome import Outcome, Spent

# Neurons a core and width of the mesh.
MAPPINGS = {"W1": (128, 5), "W2": (128, 9), "W3": (1024, 10)}
CHUNK = 1000  # sources connected at a time: SANA-FE wants Python lists


def architecture(width: int, height: int) -> Any:
    """Load SANA-FE's Loihi with one core a tile and a mesh of another size."""
    text = (files("sanafe.examples") / "loihi.yaml").read_text()
    for old, new in (
        (r"width: \d+", f"width: {width}"),
        (r"height: \d+", f"height: {height}"),
        (r"loihi_tile\[[\d.]+\]", f"loihi_tile[0..{width * height - 1}]"),
        (r"loihi_core\[[\d.]+\]", "loihi_core[0..0]"),
    ):
        text, found = re.subn(old, new, text)
        assert found == 1, f"SANA-FE's loihi.yaml has {found} times {old}"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "loihi.yaml"
        path.write_text(text)
        return sanafe.load_arch(path)


def cores_in_order(arch: Any, width: int, height: int) -> Iterator[Any]:
    """Yield cores row by row; SANA-FE numbers tiles column by column."""
    for core in range(width * height):
        x, y = core % width, core // width
        yield arch.tiles[x * height + y].cores[0]


def place(group: Any, per_core: int, cores: Iterator[Any]) -> None:
    """Fill the next cores with a group's neurons, in order."""
    for index, neuron in enumerate(group):
        if index % per_core == 0:
            core = next(cores)
        neuron.map_to_core(core)


def lif(net: Any, name: str, count: int, threshold: int) -> Any:
    """Make neurons in units of a weight: SANA-FE rounds to 1/64 of it, Loihi's own unit."""
    return net.create_neuron_group(
        name, count, soma_hw_name="loihi_lif", default_synapse_hw_name="loihi_dense_synapse",
        model_attributes={"threshold": threshold, "leak_decay": 15 / 16, "reset": 0.0},
    )  # fmt: skip


def feed_forward(net: Any, workload: dict[str, Any], per_core: int) -> list[Any]:
    """Build W1; an input neuron needs an input unit of its own in its core."""
    inputs = net.create_neuron_group("inputs", workload["raster"].shape[1])
    for index, neuron in enumerate(inputs):
        neuron.set_attributes(soma_hw_name=f"loihi_inputs[{index % per_core}]")
    groups = [inputs]
    for layer, weights in enumerate(workload["weights"]):
        groups.append(lif(net, f"layer{layer}", weights.shape[1], workload["vth"][layer]))
        groups[-2].connect_neurons_dense(
            groups[-1], {"weight": weights.ravel().astype(float).tolist()}
        )
    return groups


def recurrent(net: Any, workload: dict[str, Any]) -> list[Any]:
    """Build W2 or W3."""
    group = lif(net, "cells", workload["n"], workload["vth"])
    for index, neuron in enumerate(group):
        neuron.set_attributes(model_attributes={"bias": float(workload["bias"][index])})
    for first in range(0, workload["n"], CHUNK):
        targets = workload["dst"][first : first + CHUNK]
        sources = np.arange(first, first + len(targets)).repeat(targets.shape[1])
        pairs = list(zip(sources.tolist(), targets.ravel().tolist(), strict=True))
        weights = workload["w"][first : first + CHUNK].ravel().astype(float).tolist()
        group.connect_neurons_sparse(group, {"weight": weights}, pairs)
    return [group]


def give_input(chip: Any, raster: Any) -> None:
    """Load the input's spikes; a reset of the chip does not bring them back to the first tick."""
    trains = raster.T.tolist()
    for neuron, train in zip(chip.mapped_neuron_groups["inputs"], trains, strict=True):
        neuron.set_attributes(model_attributes={"spikes": train})


def prepare(workload: dict[str, Any], timing: str) -> Callable[[], Outcome]:
    """Build, map and load; ``timing`` is SANA-FE's timing model."""
    per_core, width = MAPPINGS[workload["name"]]
    sizes = workload.get("sizes") or [workload["n"]]
    n_cores = sum(-(-size // per_core) for size in sizes)
    height = -(-n_cores // width)
    arch = architecture(width, height)
    net = sanafe.Network()
    first = "raster" in workload
    groups = feed_forward(net, workload, per_core) if first else recurrent(net, workload)
    cores = cores_in_order(arch, width, height)
    for group in groups:
        place(group, per_core, cores)
    chip = sanafe.SpikingChip(arch)
    chip.load(net)
    n_inputs = int(workload["raster"].sum()) if first else 0

    def simulate() -> Outcome:
        chip.reset()
        if first:
            give_input(chip, workload["raster"])
        begin = Spent.now()
        found = chip.sim(
            workload["steps"], timing_model=timing, processing_threads=1, scheduler_threads=0
        )
        spent = begin.since()
        fired = found["neurons_fired"] - n_inputs
        notes = (
            f"{n_cores} cores, {found['packets_sent']} packets, "
            f"{found['sim_time'] * 1e6:.1f} us on the chip, "
            f"{found['energy']['total'] * 1e6:.3f} uJ; one thread"
        )
        return Outcome(*spent, (fired,), notes, n_events=found["spikes"])

    return simulate
