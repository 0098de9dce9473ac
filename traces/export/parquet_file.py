"""A table in Apache Parquet."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from traces.export.selection import Selection
from traces.export.tables import TABLES, Names
from traces.extras import extra

Array = NDArray[Any]


def write_parquet(selection: Selection, path: Path) -> tuple[str, ...]:
    """Write one table; names are dictionary-encoded, and the file's metadata says what a tick is.

    Returns
    -------
    tuple of str
        What the file does not hold.

    Raises
    ------
    ExportError
        If pyarrow is not installed.
    """
    arrow, parquet = extra("pyarrow", "parquet"), extra("pyarrow.parquet", "parquet")
    table = TABLES[selection.table](selection)
    kinds = {
        "int64": arrow.int64(), "float64": arrow.float64(),
        "name": arrow.dictionary(arrow.int32(), arrow.string()),
    }  # fmt: skip
    trace = selection.trace
    about = {
        "spikefab.table": selection.table, "spikefab.dt_s": repr(trace.dt_s),
        "spikefab.ticks": str(trace.ticks), "spikefab.samples": str(trace.samples),
        "spikefab.trace_sha256": str(trace.content_sha256),
    }  # fmt: skip
    schema = arrow.schema([(n, kinds[k]) for n, k in table.columns.items()], metadata=about)
    with parquet.ParquetWriter(path, schema) as writer:
        for batch in table.batches:
            columns = [_column(arrow, batch[name]) for name in table.columns]
            writer.write_table(arrow.Table.from_arrays(columns, schema=schema))
    return table.left_out


def _column(arrow: Any, column: Array | Names) -> Any:
    if isinstance(column, Names):
        return arrow.DictionaryArray.from_arrays(column.codes, list(column.names))
    return arrow.array(np.ascontiguousarray(column))
