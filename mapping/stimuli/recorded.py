"""Spikes from traces and from SONATA files as input."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from mapping.errors import StimulusError
from mapping.network import Input
from mapping.stimuli.recording import Recording, in_order
from traces.trace import Trace

Array = NDArray[Any]

UNITS = {"s": 1.0, "ms": 1e-3, "milliseconds": 1e-3, "us": 1e-6}
"""Of SONATA times, in seconds; besides, ``ticks`` are ticks of the network."""
BY_TIME = 2
"""Of the enumeration ``sorting``."""


def trace_recording(
    path: Path, part: Input, population: str | None, n_samples: int | None
) -> Recording:
    """Read the spikes of a recorded population, or those that went into an input.

    Ticks of an input reach as far as input was applied, those of a population to the end of the
    sample. Of a run that broke off only whole samples are there.

    Raises
    ------
    StimulusError
        If there is no such population, or it has another size than the input.
    """
    with Trace.open(path) as trace:
        inputs = trace.stimuli("spikes")
        names = [*(p.name for p in trace.populations), *inputs]
        name = _named(path, names, population, part.name)
        whole = trace.whole_ticks // trace.ticks
        n = whole if n_samples is None else min(n_samples, whole)
        if n < 1:
            raise StimulusError(f"{path}: the run broke off within its first sample")
        stop = n * trace.ticks
        if name in inputs:
            spikes, length = trace.stimulus_spikes(name, 0, stop), trace.input_ticks
        else:
            size = trace.population(name).size
            if size != part.size:
                raise StimulusError(
                    f"{path}: {name!r} has {size} neurons, but the input {part.name!r} takes "
                    f"{part.size} channels"
                )
            spikes, length = trace.spikes(name, 0, stop), trace.ticks
        sample, tick = np.divmod(spikes.ticks, trace.ticks)
        worth = np.ones(1, np.int64) if spikes.payload is None else spikes.payload
        return Recording(
            where=f"{path}, {name}", at=tick, unit_s=trace.dt_s, channel=spikes.neurons,
            worth=worth, sample=sample, n_samples=whole, length=length,
        )  # fmt: skip


def sonata_recording(path: Path, part: Input, population: str | None, dt_s: float) -> Recording:
    """Read the spikes of one population of a SONATA file: one sample from time 0 on.

    A column ``payload``, as ``spikefab export`` adds it, says what each counts for.

    Raises
    ------
    StimulusError
        If there is no such population, or the file is damaged.
    """
    try:
        with h5py.File(path, "r") as file:
            groups = {key: item for key, item in file["spikes"].items() if _is_spikes(item)}
            name = _named(path, list(groups), population, part.name)
            group = groups[name]
            unit = str(group["timestamps"].attrs.get("units", "ms"))
            at, channel = group["timestamps"][()], group["node_ids"][()].astype(np.int64)
            worth = group["payload"][()] if "payload" in group else np.ones(1, np.int64)
            by_time = int(group.attrs.get("sorting", 0)) == BY_TIME
    except (OSError, RuntimeError, KeyError, TypeError, ValueError, AttributeError) as error:
        if isinstance(error, StimulusError):
            raise
        raise StimulusError(f"{path}: damaged ({error})") from error
    where = f"{path}, {name}"
    if at.shape != channel.shape or at.ndim != 1 or at.dtype.kind not in "iuf":
        raise StimulusError(
            f"{where}: {at.dtype} timestamps of shape {at.shape} and node_ids of {channel.shape}, "
            "but two lists of numbers of one length are needed"
        )
    if unit not in UNITS and unit != "ticks":
        raise StimulusError(
            f"{where}: times in {unit!r}, but {', '.join(UNITS)} and ticks are known"
        )
    if by_time:
        in_order(where, at, "though the file says that they are sorted by time")
    at = at.astype(np.float64)
    return Recording(
        where=where, at=at, unit_s=dt_s if unit == "ticks" else UNITS[unit], channel=channel,
        worth=worth,
    )  # fmt: skip


def _is_spikes(item: object) -> bool:
    return isinstance(item, h5py.Group) and "timestamps" in item and "node_ids" in item


def holds_spikes(path: Path) -> str | None:
    """Tell a trace and a SONATA file from other HDF5 files: ``trace``, ``sonata`` or None."""
    try:
        with h5py.File(path, "r") as file:
            if file.attrs.get("magic") == "spikefab-trace":
                return "trace"
            spikes = file.get("spikes")
            named = isinstance(spikes, h5py.Group) and any(map(_is_spikes, spikes.values()))
            return "sonata" if named and "x" not in file else None
    except (OSError, RuntimeError, KeyError):
        return None


def _named(path: Path, names: Sequence[str], asked: str | None, own: str) -> str:
    """Choose whose spikes: who was asked for, who is called as the input, or the only one."""
    if asked is not None:
        if asked not in names:
            raise StimulusError(f"{path}: no spikes of {asked!r}; there are: {', '.join(names)}")
        return asked
    if own in names:
        return own
    if len(names) != 1:
        raise StimulusError(
            f"{path}: spikes of {', '.join(names) or 'nobody'}; say whose are the input with "
            "--population"
        )
    return names[0]
