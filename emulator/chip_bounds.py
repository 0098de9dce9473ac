"""What is known of a chip's costs: their low and high ends, and which of them nobody published."""

from collections.abc import Iterator
from typing import Any, Literal

from pydantic import BaseModel

from emulator.chip import Chip, Row
from emulator.chip_tables import Sourced

Side = Literal["low", "nominal", "high"]


def at_bound(chip: Chip, side: str) -> Chip:
    """Return a chip whose times and energies are all at their low or high end.

    A cost without such an end keeps its value: `open_ends` lists those of which one side alone is
    known.
    """
    if side == "nominal":
        return chip
    tables = {name: _at(getattr(chip, name), side) for name in ("timing", "energy")}
    return chip.model_copy(update=tables)


def _at(table: Any, side: str) -> Any:
    if isinstance(table, Sourced):
        end = getattr(table, side)
        return table if end is None else table.model_copy(update={"value": end})
    if not isinstance(table, BaseModel):
        return table
    return table.model_copy(
        update={name: _at(getattr(table, name), side) for name in type(table).model_fields}
    )


def cost_rows(chip: Chip) -> tuple[Row, ...]:
    """List the constants of times and energies; rules that have names are none."""
    return tuple(
        row
        for row in chip.rows()
        if row.key.startswith(("timing.", "energy.")) and not isinstance(row.value, str)
    )


def is_assumed(row: Row) -> bool:
    """Whether a constant of time or energy rests on nobody's figure."""
    return row.confidence == "assumed" or not row.source


def open_ends(chip: Chip, table: str) -> Iterator[str]:
    """Name the costs of a table that are given as the least or as the most; no band closes them."""
    for row in cost_rows(chip):
        if row.key.startswith(f"{table}.") and (row.low is None) != (row.high is None):
            yield f"{row.key} is given as the {'least' if row.high is None else 'most'}"
