"""Traces of everything that a trace can hold, and all of their values, for `fuzz_trace.py`."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np

from traces.layout import TABLES, RecordedPopulation
from traces.trace import Trace
from traces.writer import TraceWriter

SAMPLES, TICKS = 4, 50
SOURCES = (
    "sealed_none", "sealed_fast", "sealed_small", "broken_off", "killed_none", "killed_fast",
)  # fmt: skip


def write_source(name: str, path: Path, rng: np.random.Generator) -> None:
    """Write one of `SOURCES`: a sealed trace, one that broke off, or what a kill leaves."""
    kind, _, compression = name.partition("_")
    how: Any = compression if kind != "broken" else "none"
    populations = [
        RecordedPopulation(name="a", shape=(8, 8), lag=0, output=False, spiking=True, payload=True),
        RecordedPopulation(name="b", shape=(20,), lag=1, output=True, spiking=True, sent_ps=True),
    ]
    writer = TraceWriter(
        path, kind="chip", populations=populations, samples=SAMPLES, ticks=TICKS, input_ticks=30,
        dt_s=1e-3, provenance={"seed": 7, "chip": "some"}, compression=how,
    )  # fmt: skip
    writer.attach("network", {"name": "n", "sizes": [64, 20]}, {"w": rng.integers(-9, 9, (64, 20))})
    writer.cores(place=np.array([0, 3]), neurons=np.array([64, 20]))
    last = SAMPLES * TICKS if kind == "sealed" else 3 * SAMPLES * TICKS // 4
    for tick in range(last):
        if tick in (0, 60, 120):
            writer.checkpoint(tick, {"at": tick}, {"v": rng.integers(0, 9, 500)})
        _write_tick(writer, tick, rng)
    if kind == "sealed":
        writer.totals("core", {"spikes": np.array([40, 50])})
        writer.close()
        return
    if kind == "killed":
        writer.flush()
        whole = path.with_suffix(".killed")
        shutil.copy(path, whole)
        writer.break_off()
        shutil.move(whole, path)
        return
    writer.break_off()


def _write_tick(writer: TraceWriter, tick: int, rng: np.random.Generator) -> None:
    if tick % TICKS == 0:
        writer.stimulus_spikes("in", tick + np.arange(9), rng.integers(0, 5, 9), np.ones(9, int))
        writer.stimulus_currents("b", np.array([tick]), np.array([3]), np.array([-40]))
    who = np.flatnonzero(rng.random(64) < 0.5)
    writer.spikes("a", np.full(who.size, tick), who, rng.integers(-1, 3, who.size))
    who = np.flatnonzero(rng.random(20) < 0.5)
    writer.spikes("b", np.full(who.size, tick), who, sent_ps=rng.integers(0, 10**6, who.size))
    writer.state("b", "v", rng.integers(-(2**23), 2**23, (1, 20)), scale=0.5)
    if tick % 4 == 0:
        chosen = {"ticks": np.array([tick]), "neurons": np.array([2, 5, 63])}
        writer.state("a", "u", rng.normal(size=(1, 3)), scale=1.0, **chosen)
    names = [name for name in TABLES["packets"].types if name != "timestamps"]
    columns = {name: rng.integers(0, 9, 6) for name in names}
    writer.packets(inputs=["in"], timestamps=np.full(6, tick), **columns)
    if tick % 10 == 3:
        zero = np.zeros(1, int)
        writer.triggers(
            kinds=["spike"], timestamps=zero + tick, kind=zero, population=zero, neuron=zero
        )
    writer.tick_counters(spikes=np.array([who.size]), duration_ps=np.array([tick * 10]))
    writer.core_tick_counters(update_ps=rng.integers(0, 99, (1, 2)))


def everything(trace: Trace) -> dict[str, Any]:
    """Read all that a trace holds: tables by name as tuples of columns, other values as they are."""
    found: dict[str, Any] = {
        "about": (
            trace.layout_version, trace.kind, trace.samples, trace.ticks, trace.input_ticks,
            trace.dt_s, trace.populations,
        ),
        "provenance": trace.provenance,
    }  # fmt: skip
    for population in trace.populations:
        name = population.name
        found[f"spikes of {name}"] = tuple(c for c in trace.spikes(name) if c is not None)
        if population.sent_ps:
            found[f"times of {name}"] = (trace.sent_ps(name),)
    for name, variable in trace.states():
        frames = trace.frames(name, variable)
        found[f"state {name}.{variable}"] = (frames.ticks, frames.values)
        found[f"neurons of {name}.{variable}"] = frames.neurons.tolist()
    for table in trace.tables:
        found[table] = tuple(getattr(trace, table)())
    for name in trace.stimuli("spikes"):
        found[f"stimulus {name}"] = tuple(c for c in trace.stimulus_spikes(name) if c is not None)
    for name in trace.stimuli("currents"):
        found[f"currents {name}"] = tuple(trace.stimulus_currents(name))
    found["ticks"] = tuple(v for _, v in sorted(trace.tick_counters().items()))
    found["core ticks"] = tuple(trace.core_tick_counters().values())
    for table, values in (("cores", trace.cores()), ("totals", trace.core_counters())):
        found[table] = {name: column.tolist() for name, column in values.items()}
    for tick in trace.checkpoints():
        found[f"checkpoint {tick}"] = _plain(trace.checkpoint(tick))
    for name in trace.attachments():
        found[f"attached {name}"] = _plain(trace.attached(name))
    found["hash"] = trace.content_hash()
    return found


def _plain(bundle: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    return bundle.header, {name: array.tolist() for name, array in bundle.arrays.items()}


def difference(found: dict[str, Any], truth: dict[str, Any]) -> str:
    """Say how what was read differs: ``equal``, ``fewer`` (true rows), or what is wrong."""
    fewer = set(truth) - set(found)
    for name, value in found.items():
        if name not in truth:
            return f"{name} is new"
        if name == "hash":
            continue
        if not isinstance(value, tuple) or not all(isinstance(c, np.ndarray) for c in value):
            if value != truth[name]:
                return f"{name} differs"
            continue
        for column, true in zip(value, truth[name], strict=True):
            if not np.array_equal(column, true[: len(column)]):
                return f"{name} differs"
            if len(column) < len(true):
                fewer.add(name)
    return "fewer" if fewer else "equal"
