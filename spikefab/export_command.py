"""Export a trace as the command line does it."""

from collections.abc import Sequence
from pathlib import Path

from spikefab.telling import BadInputError, say, warn
from traces.export.formats import export
from traces.trace import Trace


def export_trace(
    path: Path,
    to: str,
    output: Path,
    *,
    populations: Sequence[str] = (),
    ticks: str | None = None,
    samples: str | None = None,
    table: str | None = None,
    clock: str | None = None,
    force: bool = False,
) -> None:
    """Do all of ``spikefab export``; for the parameters see `traces.export.formats.export`.

    Parameters
    ----------
    ticks, samples : str, optional
        Windows such as ``100:200``, ``:200`` or ``100:``.
    """
    asked = {"ticks": window("--ticks", ticks), "samples": window("--samples", samples)}
    with Trace.open(path) as trace:
        if not trace.complete:
            warn(f"{path}: the run broke off; only its {trace.whole_ticks:,} whole ticks are there")
        notes = export(
            trace, to, output, populations=populations, table=table, clock=clock, force=force,
            **asked,
        )  # fmt: skip
    for note in notes:
        warn(f"{output.name}: not in it, or worth knowing: {note}")
    say(f"written to {output}: {output.stat().st_size:,} bytes")


def window(option: str, text: str | None) -> tuple[int | None, int | None]:
    """Read a window ``A:B`` of whole numbers, of which either may be left out.

    Raises
    ------
    BadInputError
    """
    if text is None:
        return None, None
    first, colon, last = text.partition(":")
    try:
        if not colon:
            raise ValueError
        start, stop = (int(part) if part.strip() else None for part in (first, last))
    except ValueError:
        raise BadInputError(
            f"{option} {text!r}: must be two whole numbers, such as 100:200, 100: or :200"
        ) from None
    return start, stop
