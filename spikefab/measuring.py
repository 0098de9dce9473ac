"""Measures of two traces at the front door: a table, alarms, and plain values."""

from pathlib import Path
from typing import Any

from rich.table import Table

from spikefab.least_intervals import least_intervals
from spikefab.telling import BadInputError, console, say
from traces.measures import Limits, Measures, measure, plain
from traces.trace import Trace

_SHORT = {
    "victor_purpura": "V-P", "van_rossum": "v. R.", "isi_distance": "ISI",
    "spike_distance": "SPIKE", "spike_time_tiling": "STTC", "rate_correlation": "rates",
    "earth_mover": "EMD",
}  # fmt: skip
"""Headings that leave room on 80 columns."""


def measured(a: Path, b: Path) -> Measures:
    """Measure how far two traces are from each other, population by population.

    Raises
    ------
    BadInputError
        If they have nothing in common.
    """
    with Trace.open(a) as one, Trace.open(b) as other:
        intervals = least_intervals(one) or least_intervals(other)
        try:
            return measure(one, other, limits=Limits(least_interval=intervals))
        except ValueError as error:
            raise BadInputError(str(error)) from error


def measures_json(found: Measures) -> dict[str, Any]:
    """Everything that was measured, as plain values."""
    return {"measures": plain(found)}


def print_measures(found: Measures) -> None:
    """Print means over neurons and samples, what they were measured with, and alarms."""
    numbers = plain(found)
    rows = numbers["populations"]
    names = [name for name in _SHORT if any(name in row["values"] for row in rows)]
    table = Table(
        title="distances of spike trains, means over neurons and samples", padding=(0, 0, 0, 1)
    )
    table.add_column("population", overflow="fold")
    for name in names:
        table.add_column(_SHORT[name], justify="right", no_wrap=True)
    for row in rows:
        means = [row["values"].get(name, {}).get("mean") for name in names]
        table.add_row(row["name"], *("" if mean is None else f"{mean:.2g}" for mean in means))
    console().print(table)
    say(
        "measured with "
        + ", ".join(
            f"{key} {value:g}"
            for about in numbers["parameters"].values()
            for key, value in about.items()
            if not key.endswith("_s")
        )
    )
    for alarm in found.alarms:
        say(f"alarm: {alarm.text}")
    for note in found.notes:
        say(f"note: {note}")
