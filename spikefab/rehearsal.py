"""One run as the command line does it: checked, recorded, saved, and then told."""

import logging
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from emulator.chip_file import refuse_to_run
from spikefab.data import load_samples
from spikefab.fit.work import chips_of
from spikefab.importing import import_network
from spikefab.map_command import begun
from spikefab.output import FILES, Earlier, check_output, make_new, make_output, replacing
from spikefab.run import RunResult, resume_network, run_network
from spikefab.summary import summary
from spikefab.tables import print_run
from spikefab.telling import BadInputError, console, say
from spikefab.wording import as_json, printable
from traces.errors import TraceFormatError, TraceWriteError
from traces.trace import Trace

LONGEST_COMMAND = 10_000
"""Letters of the command line that a trace keeps."""


def rehearse(
    network_path: Path,
    data: Path,
    chip_name: str,
    *,
    conventions: dict[str, Any],
    reading: dict[str, Any],
    output: Path | None,
    force: bool,
    seed: int = 0,
    strict: bool = False,
    quantiser: str = "spikefab",
    physics: dict[str, Any] | None = None,
    without: Sequence[str] = (),
    start: Path | None = None,
    new: str | None = None,
) -> None:
    """Do all of a run; ``conventions`` go to `import_network`, ``reading`` to `load_samples`.

    Parameters
    ----------
    physics : mapping, optional
        ``fabric``, ``threads``, ``tick_period_s`` and ``checkpoint_ticks`` of `run_network`.
    without : sequence of str
        Parts of the chip to do without, as `chip_without` reads them.
    start : Path, optional
        A saved program whose mapping is used.
    new : str, optional
        Start of the name of a new folder, where no ``output`` is given.
    """
    began = time.perf_counter()
    if output is not None:
        inputs = (network_path, data, Path(chip_name), *([start] if start else []))
        check_output(output, inputs, force=force)
    chip = chips_of([chip_name], without)[chip_name]
    refuse_to_run(chip)
    network, load = import_network(
        network_path, chip, conventions, seed=seed, quantiser=quantiser, data=data
    )
    samples = load_samples(data, network, **reading)
    direct = not samples.spiking
    choices = None if start is None else begun(start, network, chip, direct=direct)
    deployment = load(direct=direct, samples=samples, choices=choices)
    how = {"seed": seed, "strict": strict, "readout": reading.get("readout"), **(physics or {})}
    if output is not None:
        make_output(output)
    elif new is not None:
        output = make_new(new)
    about: dict[str, str | int | float] = {
        "command": printable(" ".join(["spikefab", *sys.argv[1:]]))[:LONGEST_COMMAND],
        "network_name": printable(network_path.name), "chip_name": printable(chip_name),
    }  # fmt: skip
    run = partial(run_network, deployment, samples, folder=output, provenance=about, **how)
    with replacing(output) as earlier:
        result = _run_with_progress(run, len(samples), output, earlier)
    _tell(result, str(about["network_name"]), chip_name, output, time.perf_counter() - began)


def go_on(folder: Path, *, threads: int | None = None) -> None:
    """Go on with a run that broke off, and end it as if it had not.

    Raises
    ------
    BadInputError
        If there is nothing to go on with.
    """
    began = time.perf_counter()
    trace_path = folder / "trace.h5"
    if not trace_path.exists():
        there = "no such folder" if not folder.is_dir() else "no trace.h5 in it"
        raise BadInputError(f"{folder}: {there}; give the folder that a run was writing to")
    with Trace.open(trace_path) as trace:
        if trace.complete and all((folder / name).exists() for name in FILES):
            raise BadInputError(f"{folder}: the run in it is complete; there is nothing to resume")
        names, n_samples = trace.provenance, trace.samples
    run = partial(resume_network, folder, threads=threads)
    result = _run_with_progress(run, n_samples, folder, None)
    name, chip_name = str(names.get("network_name", "network")), str(names.get("chip_name", ""))
    _tell(result, name, chip_name, folder, time.perf_counter() - began)


def _run_with_progress(
    run: Callable[..., RunResult], n_samples: int, output: Path | None, earlier: Earlier | None
) -> RunResult:
    errors = console(err=True)
    recorded = False
    with Progress(
        TextColumn("{task.description:>6}"), BarColumn(), MofNCompleteColumn(),
        TimeRemainingColumn(), console=errors, disable=not errors.is_terminal, transient=True,
    ) as bar:  # fmt: skip
        tasks = {stage: bar.add_task(stage, total=n_samples) for stage in ("float", "chip")}

        def progress(stage: str, done: int, total: int) -> None:
            nonlocal recorded
            if earlier is not None and not recorded:
                earlier.drop()
            recorded = True
            bar.update(tasks[stage], completed=done, total=total)

        try:
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                result = run(progress=progress)
        except KeyboardInterrupt:
            if output is None or not recorded:
                raise KeyboardInterrupt("before anything was recorded") from None
            raise KeyboardInterrupt(
                f"what was recorded in {output} is readable; spikefab resume {output} goes on"
            ) from None
    told_on_the_way = tuple(dict.fromkeys(str(warning.message) for warning in caught))
    return replace(result, warnings=(*result.warnings, *told_on_the_way))


def _tell(
    result: RunResult, network: str, chip_name: str, output: Path | None, wall_s: float
) -> None:
    """Save first, print afterwards: trouble with the terminal must lose nothing."""
    numbers = summary(result, network=network, wall_s=round(wall_s, 3))
    try:
        if output is not None:
            save(result, numbers, chip_name, output)
    finally:
        print_run(numbers, chip_name)
    if output is not None:
        say(f"written to {output}/: {', '.join(FILES)}")


def save(result: RunResult, numbers: dict[str, Any], chip_name: str, output: Path) -> None:
    """Write the summary and the report."""
    # Its notes about fonts and folders are no answer to anything that the user asked.
    logging.getLogger("matplotlib").setLevel(logging.CRITICAL)
    from spikefab.report import write_report  # takes seconds, and most runs that fail do so before

    try:
        (output / "summary.json").write_text(as_json(numbers, indent=2) + "\n", encoding="utf-8")
        write_report(result, numbers, output / "report.html", chip_name=chip_name)
    except (OSError, TraceFormatError) as error:
        raise TraceWriteError(
            f"{output}: the summary or the report cannot be written ({error}); both traces are "
            f"complete"
        ) from error
