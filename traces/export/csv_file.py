"""A table as comma-separated values."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from traces.export.selection import Selection
from traces.export.tables import TABLES, Names

Array = NDArray[Any]

MOST_ROWS = 1 << 16
"""Rows that are made into text at once."""
AS_TEXT = {"int64": "%d", "float64": "%.17g", "name": "%s"}


def write_csv(selection: Selection, path: Path) -> tuple[str, ...]:
    """Write one table: a line of column names, then a line for each row.

    Returns
    -------
    tuple of str
        What the file does not hold.
    """
    table = TABLES[selection.table](selection)
    line = ",".join("%.12g" if n == "time_s" else AS_TEXT[k] for n, k in table.columns.items())
    with path.open("w", encoding="utf-8", newline="") as file:
        file.write(",".join(table.columns) + "\n")
        for batch in table.batches:
            columns = [batch[name] for name in table.columns]
            n_rows = len(batch["tick"])
            for first in range(0, n_rows, MOST_ROWS):
                lists = [_values(column, first, first + MOST_ROWS) for column in columns]
                file.writelines(f"{line}\n" % row for row in zip(*lists, strict=True))
    return table.left_out


def _values(column: Array | Names, first: int, last: int) -> list[Any]:
    if isinstance(column, Names):
        quoted = [_quoted(name) for name in column.names]
        return [quoted[code] for code in column.codes[first:last].tolist()]
    values: list[Any] = np.asarray(column)[first:last].tolist()
    return values


def _quoted(name: str) -> str:
    """Quote a name where it would fall apart or be taken for something else (RFC 4180)."""
    if any(sign in name for sign in ',"\r\n'):
        return '"' + name.replace('"', '""') + '"'
    return name
