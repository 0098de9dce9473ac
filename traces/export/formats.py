"""All formats, and the way into each."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from traces.errors import ExportError
from traces.export.clock import CLOCKS
from traces.export.csv_file import write_csv
from traces.export.neo_block import write_neo
from traces.export.nwb_file import write_nwb
from traces.export.parquet_file import write_parquet
from traces.export.perfetto_timeline import write_perfetto
from traces.export.selection import Selection, select
from traces.export.sonata_file import write_sonata
from traces.export.tables import TABLES
from traces.export.vcd_file import write_vcd
from traces.export.whole import check_target, whole_file
from traces.trace import Trace

Write = Callable[[Selection, Path], tuple[str, ...]]
"""Writes the selection to a new file, and returns what the user should know of it."""


@dataclass(frozen=True, kw_only=True)
class Format:
    """One format.

    Attributes
    ----------
    write : callable
    takes : frozenset of {"table", "clock"}
        Choices that mean something for it.
    suffixes : tuple of str
        Of the file's name, where readers judge by it; any where empty.
    """

    write: Write
    takes: frozenset[str] = frozenset()
    suffixes: tuple[str, ...] = ()


FORMATS: dict[str, Format] = {
    "sonata": Format(write=write_sonata),
    "nwb": Format(write=write_nwb, suffixes=(".nwb",)),
    "csv": Format(write=write_csv, takes=frozenset({"table"})),
    "parquet": Format(write=write_parquet, takes=frozenset({"table"})),
    "neo": Format(write=write_neo, suffixes=(".nix", ".pkl")),
    "vcd": Format(write=write_vcd, takes=frozenset({"clock"})),
    "perfetto": Format(
        write=write_perfetto, takes=frozenset({"clock"}), suffixes=(".json", ".json.gz")
    ),
}
"""What ``spikefab export --to`` knows."""


def export(
    trace: Trace,
    to: str,
    path: str | Path,
    *,
    populations: Sequence[str] = (),
    ticks: tuple[int | None, int | None] = (None, None),
    samples: tuple[int | None, int | None] = (None, None),
    table: str | None = None,
    clock: str | None = None,
    force: bool = False,
) -> tuple[str, ...]:
    """Write a trace, or a part of it, in the format of another tool.

    The file is there whole or not at all. Memory does not grow with the number of spikes, except
    for ``neo``, whose readers hold everything.

    Parameters
    ----------
    to : str
        A key of `FORMATS`.
    populations : sequence of str
        Names of populations and inputs; all of them if there is none.
    ticks, samples : (start, stop)
        Window of ticks of the trace, or of samples; ``stop`` exclusive.
    table : str, optional
        A key of `TABLES`, for csv and parquet; spikes by default.
    clock : {"model", "chip"}, optional
        For vcd and perfetto: ticks as long as in the network, or as on the chip. By default the
        chip's time for perfetto, if the trace has it.
    force : bool
        Replace a file that is there.

    Returns
    -------
    tuple of str
        What the user should know, above all what the format does not hold.

    Raises
    ------
    ExportError
        If what was asked for is not there, the format needs what is not installed, or the file is
        there already.
    TraceFormatError
        If the trace is damaged.
    TraceWriteError
        If the file cannot be written.
    """
    path = Path(path)
    form = _checked(to, path, {"table": table, "clock": clock})
    selection = select(
        trace, populations=populations, ticks=ticks, samples=samples, table=table or "spikes",
        clock=clock,
    )  # fmt: skip
    check_target(path, trace.path, force=force)
    with whole_file(path, force=force) as unfinished:
        return form.write(selection, unfinished)


def _checked(to: str, path: Path, choices: dict[str, str | None]) -> Format:
    """Find the format, and refuse what means nothing for it."""
    if to not in FORMATS:
        raise ExportError(f"--to {to!r} is none of {', '.join(FORMATS)}")
    form = FORMATS[to]
    known = {"table": tuple(TABLES), "clock": CLOCKS}
    for name, value in choices.items():
        if value is None:
            continue
        if name not in form.takes:
            of = ", ".join(key for key, other in FORMATS.items() if name in other.takes)
            raise ExportError(f"--{name} means nothing for {to}; it is for {of}")
        if value not in known[name]:
            raise ExportError(f"--{name} {value!r} is none of {', '.join(known[name])}")
    if form.suffixes and not path.name.lower().endswith(form.suffixes):
        raise ExportError(
            f"{path}: readers of {to} know their files by {' or '.join(form.suffixes)}"
        )
    return form
