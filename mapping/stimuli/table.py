"""Spikes in a table of comma-separated values, such as ``spikefab export --to csv`` writes."""

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mapping.errors import StimulusError
from mapping.event_files import CameraEvents
from mapping.stimuli.camera import Sensor, on_channels
from mapping.stimuli.recording import Recording

Array = NDArray[Any]
Columns = dict[str, list[str]]

TIMES = {"time_s": 1.0, "time_ms": 1e-3, "time_us": 1e-6}
"""Columns of time, and their units in seconds."""
CHANNELS = ("channel", "neuron")
HEADERS = f"tick or {', '.join(TIMES)}; channel or x, y, polarity; perhaps sample, payload"


def csv_recording(
    path: Path, dt_s: float, sensor: Callable[[], Sensor], population: str | None
) -> Recording:
    """Read a table with a line of column names.

    Parameters
    ----------
    dt_s : float
        Length of a tick of the network, which is what a column ``tick`` counts.
    sensor : callable
        Asked only where there are x and y.
    population : str, optional
        Whose spikes, where the table has a column ``population``.

    Raises
    ------
    StimulusError
        If columns are missing, or hold what they cannot.
    """
    columns, where = _chosen(path, _columns(path), population)
    unit_s = dt_s
    if "tick" in columns:
        at = _whole(path, columns, "tick")
        _check_dt(path, columns, at, dt_s)
    else:
        name = next((name for name in TIMES if name in columns), None)
        if name is None:
            raise StimulusError(f"{path}: no column of ticks or times; columns are: {HEADERS}")
        at, unit_s = _numbers(path, columns, name), TIMES[name]
    worth = _whole(path, columns, "payload") if "payload" in columns else np.ones(1, np.int64)
    sample = _whole(path, columns, "sample") if "sample" in columns else np.zeros(1, np.int64)
    if sample.size and sample.min() < 0:
        raise StimulusError(f"{path}: there is a sample {sample.min()}; they count from 0")
    return Recording(
        where=where, at=at, unit_s=unit_s, channel=_channels(path, columns, sensor), worth=worth,
        sample=sample, n_samples=int(sample.max(initial=0)) + 1,
    )  # fmt: skip


def _columns(path: Path) -> Columns:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.reader(file, strict=True)
            names = [name.strip().lower() for name in next(rows, [])]
            if len(set(names)) < len(names):
                raise StimulusError(f"{path}: names a column twice: {', '.join(names)}")
            held: list[list[str]] = [[] for _ in names]
            for row in rows:
                if len(row) not in (0, len(names)):
                    raise StimulusError(
                        f"{path}: line {rows.line_num} has {len(row)} values, but there are "
                        f"{len(names)} columns: {', '.join(names)}"
                    )
                for column, value in zip(held, row, strict=False):
                    column.append(value)
    except (UnicodeDecodeError, csv.Error) as error:
        raise StimulusError(f"{path}: no table of comma-separated values ({error})") from error
    if not names:
        raise StimulusError(f"{path}: empty; the first line must name columns: {HEADERS}")
    return dict(zip(names, held, strict=True))


def _chosen(path: Path, columns: Columns, population: str | None) -> tuple[Columns, str]:
    """Take the rows of one population."""
    owners = columns.get("population")
    if owners is None:
        if population is not None:
            raise StimulusError(f"{path}: has no column 'population' to find {population!r} in")
        return columns, str(path)
    there = list(dict.fromkeys(owners))
    if population is None and len(there) > 1:
        raise StimulusError(
            f"{path}: spikes of {', '.join(there)}; say whose are the input with --population"
        )
    wanted = population if population is not None else (there[0] if there else "")
    if population is not None and population not in there:
        raise StimulusError(
            f"{path}: no spikes of {population!r}; there are those of {', '.join(there) or 'none'}"
        )
    mine = [k for k, owner in enumerate(owners) if owner == wanted]
    found = {name: [values[k] for k in mine] for name, values in columns.items()}
    return found, f"{path}, {wanted}"


def _channels(path: Path, columns: Columns, sensor: Callable[[], Sensor]) -> Array:
    for name in CHANNELS:
        if name in columns:
            return _whole(path, columns, name)
    if "x" not in columns or "y" not in columns:
        raise StimulusError(f"{path}: no column of channels; columns are: {HEADERS}")
    x, y = (_whole(path, columns, name) for name in "xy")
    polarity = _whole(path, columns, "polarity") if "polarity" in columns else np.zeros_like(x)
    # Rows may come in any order, so their times are looked at elsewhere.
    events = CameraEvents(np.zeros_like(x), x, y, polarity)
    return on_channels(str(path), events, sensor(), None, "").channel


def _check_dt(path: Path, columns: Columns, ticks: Array, dt_s: float) -> None:
    """Where the table has times beside ticks, they say how long its ticks are."""
    for name, unit_s in TIMES.items():
        if name in columns:
            apart = np.abs(_numbers(path, columns, name) * unit_s - ticks * dt_s) > dt_s / 2
            if np.any(apart):
                k = int(np.argmax(apart))
                raise StimulusError(
                    f"{path}: tick {ticks[k]} is at {columns[name][k]} ({name}), but a tick of the "
                    f"network is {dt_s:g} s; leave the column 'tick' out to go by time"
                )


def _numbers(path: Path, columns: Columns, name: str) -> Array:
    try:
        values = np.array(columns[name], np.float64)
    except ValueError:
        values = np.array([_number(value) for value in columns[name]])
    bad = np.flatnonzero(~np.isfinite(values))
    if bad.size:
        k = int(bad[0])
        raise StimulusError(
            f"{path}: row {k + 1} has {name} {columns[name][k]!r}, which is no number"
        )
    return values


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return np.nan


def _whole(path: Path, columns: Columns, name: str) -> Array:
    values = _numbers(path, columns, name)
    bad = np.flatnonzero((values != np.rint(values)) | (np.abs(values) > 2**53))
    if bad.size:
        k = int(bad[0])
        raise StimulusError(
            f"{path}: row {k + 1} has {name} {columns[name][k]}, but whole numbers are needed"
        )
    return values.astype(np.int64)
