"""The command ``recover``: a sound file of what is left of a trace."""

from pathlib import Path

from spikefab.telling import BadInputError, say
from spikefab.wording import as_json
from traces.recover import Recovered, as_plain, recover


def recover_trace(trace: Path, output: Path | None, *, force: bool, json: bool) -> None:
    """Save what can be read of a trace, and say what that is.

    Parameters
    ----------
    output : Path, optional
        By default beside the trace, with ``-recovered`` in its name.

    Raises
    ------
    BadInputError
        If the output is there already, or is the trace itself.
    """
    target = trace.with_name(f"{trace.stem}-recovered{trace.suffix}") if output is None else output
    try:
        found = recover(trace, target, overwrite=force)
    except FileExistsError as error:
        raise BadInputError(f"{error}; or replace it with --force") from error
    if json:
        say(as_json({"trace": str(trace), "output": str(target)} | as_plain(found)))
        return
    for line in told(found, trace.name, target):
        say(line)


def told(found: Recovered, name: str, target: Path) -> list[str]:
    """Say what was saved, table by table where something is missing."""
    if found.complete:
        lines = [f"{name}: complete, nothing is missing"]
    else:
        lines = [f"{name}: saved up to tick {found.whole_ticks:,}, before which nothing is missing"]
    kept = sum(rows for rows, _ in found.rows.values())
    lines.append(f"{kept:,} rows of {len(found.rows)} tables kept")
    lines += [
        f"  {table}: {rows:,} of {of:,} rows"
        for table, (rows, of) in sorted(found.rows.items())
        if rows < of
    ]
    lines += [f"lost: {text}" for text in found.lost]
    lines.append(f"written to {target}")
    return lines
