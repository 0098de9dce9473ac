"""The standard networks of BENCHMARKS.md as programs, straight from their arrays.

Neurons are filled in order, no core is shared by two layers, every core has a router of its own,
numbered row by row. Rows of a source follow each other in the synapse memory, so nothing of it
needs to be copied to run.
"""

import importlib.util
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emulator.chip import Chip
from emulator.chip_file import load_chip
from emulator.program import Program, ProgramPopulation
from emulator.stimulus import Stimulus

Array = NDArray[Any]

MESH_WIDTH = {"W1": 5, "W2": 9, "W3": 10}
NEURONS_A_CORE = {"W1": 128, "W2": 128, "W3": 1024}
_ZERO = 1  # emulator.neuron.RESETS


class BadInputError(Exception):
    """What was asked for cannot be run."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Standard:
    """A network, its program and chip, and what comes in."""

    name: str
    net: dict[str, Any]
    program: Program
    chip: Chip

    def forget_arrays(self) -> None:
        """Let go of all arrays but the raster; what follows needs the program alone."""
        for name in ("dst", "w", "weights"):
            self.net.pop(name, None)

    def stimulus(self, n_ticks: int) -> Stimulus:
        """Input of so many ticks; beyond its raster W1's input repeats."""
        if self.name != "W1":
            return Stimulus()
        raster = self.net["raster"]
        tick, channel = np.nonzero(raster)
        times = -(-n_ticks // len(raster))
        tick = (tick + len(raster) * np.arange(times)[:, None]).ravel()
        channel = np.tile(channel, times)
        kept = tick < n_ticks
        return Stimulus(
            spike_tick=tick[kept], spike_channel=channel[kept],
            spike_payload=np.ones(np.count_nonzero(kept), np.int64),
        )  # fmt: skip


def shared_folder(name: str) -> Path:
    """Return a folder of those that all projects share.

    Raises
    ------
    BadInputError
        If it is not there.
    """
    usual = Path(__file__).resolve().parents[2] / "shared"
    folder = Path(os.environ.get("SPIKEFAB_SHARED", usual)) / name
    if not folder.is_dir():
        raise BadInputError(
            f"{folder} is not there; name the folder that holds it with SPIKEFAB_SHARED"
        )
    return folder


def tell(found: dict[str, Any], *, as_json: bool) -> int:
    """Print what was found, as one line of JSON on stdout where asked for.

    Returns
    -------
    int
        The exit code: 0 if ``found["holds"]``, else 4.
    """
    for name, value in found.items():
        print(f"{name}: {value}", file=sys.stderr if as_json else sys.stdout)
    if as_json:
        print(json.dumps(found))
    return 0 if found["holds"] else 4


def shared_module(name: str) -> ModuleType:
    """Load a module of the folder that all projects share.

    Raises
    ------
    BadInputError
        If it is not there.
    """
    folder = shared_folder("benchmarks")
    path = folder / f"{name}.py"
    if not path.is_file():
        raise BadInputError(f"{path} is not there; the shared folder must hold it")
    if str(folder) not in sys.path:
        sys.path.append(str(folder))  # ceiling.py imports workloads.py from beside it
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise BadInputError(f"{path}: no Python module")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def standard(name: str) -> Standard:
    """Build one of the networks W1, W2, W3.

    Raises
    ------
    BadInputError
        If there is no such network, or no folder that it comes from.
    """
    if name not in MESH_WIDTH:
        raise BadInputError(f"there is no network {name!r}; known are {', '.join(MESH_WIDTH)}")
    net = shared_module("workloads").get(name)
    build = _feedforward if name == "W1" else recurrent
    per_core = NEURONS_A_CORE[name]
    program = build(net, per_core)
    chip = chip_for(MESH_WIDTH[name], program.n_cores, per_core)
    return Standard(name=name, net=net, program=program, chip=chip)


def chip_for(width: int, n_cores: int, per_core: int) -> Chip:
    """Loihi's arithmetic on a mesh of this size, with the costs of BENCHMARKS.md."""
    plain = load_chip("loihi").model_dump()
    plain |= {"name": "benchmark", "summary": "", "energy": None}
    plain["mesh"] |= {"width": width, "height": -(-n_cores // width), "cores_per_router": 1}
    plain["limits"]["neurons_per_core"]["value"] = per_core
    costs = {
        "neuron_active_ps": 6000, "neuron_inactive_ps": 6000, "spike_ps": 0, "axon_out_ps": 0,
        "synaptic_event_ps": 100, "axon_in_ps": 2000,
        # Service of 1600 ps included, after which a hop flies 400 and an ejected packet 200.
        "hop_ew_ps": 2000, "hop_ns_ps": 2000, "local_spike_ps": 1800,
    }  # fmt: skip
    plain["fabric"] |= {
        "link_ps": {"value": 1600}, "ejection_ps": {"value": 1600},
        "link_buffer": {"value": 4}, "core_buffer": {"value": 4},
    }  # fmt: skip
    plain["timing"] = {name: {"value": ps} for name, ps in costs.items()} | {"barrier": [[1, 0]]}
    return Chip.model_validate(plain)


def cores_of(sizes: tuple[int, ...], per_core: int) -> Array:
    """First neuron of each core, and the end; layers begin on a core of their own."""
    starts, first = [], 0
    for size in sizes:
        starts.append(np.arange(first, first + size, per_core))
        first += size
    return np.concatenate([*starts, [first]])


def _feedforward(net: dict[str, Any], per_core: int) -> Program:
    n_channels, *sizes = net["sizes"]
    start = cores_of(tuple(sizes), per_core)
    n_input_cores = -(-n_channels // per_core)
    n_cores = n_input_cores + start.size - 1
    layers = np.cumsum([0, *sizes])
    rows: dict[str, list[Array]] = {}
    weights, used = [], 0
    # Sources are numbered neurons first; a layer's matrix lies as it is, one row for each source.
    for layer in (1, 2, 0):
        weight = net["weights"][layer]
        first, last = np.searchsorted(start, layers[layer : layer + 2])
        target, size = start[first:last], np.diff(start[first : last + 1])
        n_pre = len(weight)
        begin = used + np.arange(n_pre)[:, None] * weight.shape[1] + (target - layers[layer])
        columns = {
            "row_weight": begin,
            "row_target": np.tile(target, (n_pre, 1)),
            "row_size": np.tile(size, (n_pre, 1)),
            "row_core": np.tile(n_input_cores + np.arange(first, last), (n_pre, 1)),
        }
        for name, column in columns.items():
            rows.setdefault(name, []).append(column.ravel())
        rows.setdefault("n_rows", []).append(np.full(n_pre, target.size))
        weights.append(weight.ravel())
        used += weight.size
    rows["n_rows"].insert(2, np.zeros(sizes[-1], np.int64))  # the last layer sends nowhere
    n_rows = np.concatenate(rows.pop("n_rows"))
    joined = {name: np.concatenate(columns) for name, columns in rows.items()}
    return _program(
        core_start=np.concatenate([np.zeros(n_input_cores, np.int64), start]),
        threshold=np.repeat(net["vth"], sizes), bias=np.zeros(layers[-1], np.int64), dv=net["dv"],
        sizes=tuple(sizes), inputs=(("in", n_channels),),
        channel_core=np.arange(n_channels) // per_core,
        source_row=np.concatenate([[0], np.cumsum(n_rows)]), row_dense=True,
        weight=np.concatenate(weights), target=np.empty(0, np.uint16), n_cores=n_cores, **joined,
    )  # fmt: skip


def recurrent(net: dict[str, Any], per_core: int) -> Program:
    n, k = net["n"], net["k"]
    start = cores_of((n,), per_core)
    target = net["dst"].ravel()
    core = (target // per_core).astype(np.int32)
    begins = np.ones(target.size, np.bool_)
    begins[1:] = core[1:] != core[:-1]
    begins[::k] = True
    first = np.flatnonzero(begins)
    first.setflags(write=False)  # a program shares what nobody can change
    return _program(
        core_start=start, threshold=np.full(n, net["vth"]), bias=net["bias"], dv=net["dv"],
        sizes=(n,), inputs=(), channel_core=np.empty(0, np.int32),
        source_row=np.searchsorted(first, np.arange(n + 1) * k), row_dense=False,
        row_weight=first, row_target=first, row_core=core[first],
        row_size=np.diff(np.append(first, target.size)).astype(np.int32),
        weight=net["w"].ravel(), target=(target % per_core).astype(np.uint16),
        n_cores=start.size - 1,
    )  # fmt: skip


def _program(
    *, core_start: Array, threshold: Array, bias: Array, dv: int, sizes: tuple[int, ...],
    row_dense: bool, n_cores: int, **columns: Any,
) -> Program:  # fmt: skip
    n, n_rows = int(core_start[-1]), columns["row_size"].size
    none = np.zeros(n, np.int64)
    return Program(
        chip="benchmark", dt_s=1e-3,
        populations=tuple(
            ProgramPopulation(name=f"layer{k + 1}", shape=(size,), spiking=True, output=True,
                              lag=0, scale=1.0)
            for k, size in enumerate(sizes)
        ),
        core=np.arange(n_cores), core_start=core_start,
        population=np.repeat(np.arange(len(sizes)), sizes),
        index=np.concatenate([np.arange(size) for size in sizes]),
        compartments=np.ones(n, np.int32), keep_current=none, keep_membrane=none + (4096 - dv),
        bias=64 * bias.astype(np.int64), threshold=64 * threshold.astype(np.int64),
        initial_current=none, initial_membrane=none, sum_shift=np.zeros(n, np.int8),
        reset=np.full(n, _ZERO, np.uint8), row_dense=np.full(n_rows, row_dense),
        row_packet=np.ones(n_rows, np.bool_), row_shift=np.zeros(n_rows, np.uint8),
        row_delay=np.zeros(n_rows, np.int16), **columns,
    )  # fmt: skip
