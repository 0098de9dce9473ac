"""`spikefab compare` as the command line does it."""

from pathlib import Path
from typing import Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from spikefab.measuring import measured, measures_json, print_measures
from spikefab.microscope.as_json import divergence_json
from spikefab.microscope.explain import Divergence, explain_difference, read_ticks
from spikefab.microscope.tables import print_divergence
from spikefab.tables import comparison_json, print_comparison
from spikefab.telling import console, say
from spikefab.wording import as_json

DIFFER, INTERRUPTED = 4, 130


def compare_two(
    a: Path,
    b: Path,
    *,
    samples: int,
    as_trained: bool,
    neuron: str | None,
    ticks: str | None,
    sample: int | None,
    measures: bool,
    json: bool,
) -> None:
    """Compare, print, and leave with the exit code that says whether the two differ.

    Parameters
    ----------
    samples, as_trained, neuron, sample
        As `explain_difference` takes them.
    ticks : str, optional
        ``first:stop``.
    measures : bool
        Whether distances of spike trains are told, too.
    """
    found = _with_progress(
        a, b, samples=samples, as_trained=as_trained, neuron=neuron, sample=sample,
        ticks=None if ticks is None else read_ticks(ticks),
    )  # fmt: skip
    distances = measured(a, b) if measures else None
    if json:
        told = comparison_json(found.comparison) | divergence_json(found)
        say(as_json(told | ({} if distances is None else measures_json(distances))))
    else:
        print_comparison(found.comparison)
        if distances is not None:
            print_measures(distances)
        print_divergence(found)
    if found.causes is not None and found.causes.broken_off:
        raise typer.Exit(INTERRUPTED)
    if not found.comparison.equal:
        raise typer.Exit(DIFFER)


def _with_progress(a: Path, b: Path, **how: Any) -> Divergence:
    errors = console(err=True)
    with Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
        TimeRemainingColumn(), console=errors, disable=not errors.is_terminal, transient=True,
    ) as bar:  # fmt: skip
        task = bar.add_task("looking for the cause", total=None)

        def progress(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        return explain_difference(a, b, progress=progress, **how)
