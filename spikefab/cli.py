"""The command line. Exit codes: see `EXITS`; heavy imports wait until a command needs them."""

import errno
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

if TYPE_CHECKING:
    from emulator.chip import Chip
    from mapping.network import Network
    from spikefab.data import Samples
    from spikefab.deploy import Deployment
    from spikefab.run import RunResult

EXITS = """Exit codes: 0 done · 1 internal error · 2 bad input · 3 does not fit the chip ·
4 traces differ · 5 the run broke off (the trace is readable up to then) · 130 interrupted"""

app = typer.Typer(
    name="spikefab",
    help="Rehearse a neuromorphic deployment before there is hardware.",
    epilog=EXITS,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

_FILES = ("trace.h5", "float.h5", "summary.json", "report.html")


class ResetName(str, Enum):  # noqa: UP042 - Typer shows the values of a str enum
    """Reset rules."""

    zero = "zero"
    subtract = "subtract"
    subtract_once = "subtract-once"


class EncodingName(str, Enum):  # noqa: UP042
    """How data enters."""

    direct = "direct"
    spikes = "spikes"


class SpikeName(str, Enum):  # noqa: UP042
    """What a spike is worth in a NIR file."""

    hold = "hold"
    dirac = "dirac"


class CompareName(str, Enum):  # noqa: UP042
    """When a neuron fires."""

    above = ">"
    reached = ">="


Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]


def main() -> None:
    """Run the command line."""
    app()


@contextmanager
def _told(debug: bool) -> Iterator[None]:
    """Turn what goes wrong into one message and an exit code."""
    from emulator.chip import ChipError
    from emulator.errors import ProgramError
    from mapping.errors import (
        CapacityError,
        NetworkError,
        NetxError,
        NirError,
        UnsupportedNodeError,
    )
    from spikefab.data import DataError
    from traces.errors import TraceFormatError, TraceWriteError

    bad_input = (
        ChipError, DataError, FileExistsError, FileNotFoundError, NetworkError, NetxError,
        NirError, ProgramError, TraceFormatError, UnsupportedNodeError, _BadInputError,
    )  # fmt: skip
    try:
        yield
    except (typer.Exit, SystemExit):
        raise
    except KeyboardInterrupt:
        _stop(130, "interrupted; what was recorded until the last flush is readable")
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(0) from None
    except Exception as error:
        if debug:
            raise
        if isinstance(error, CapacityError):
            _stop(3, str(error))
        if isinstance(error, TraceWriteError):
            _stop(5, str(error))
        if isinstance(error, bad_input):
            _stop(2, str(error))
        if isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG:
            _stop(2, f"{error.filename}: this name is too long for a file")
        _stop(
            1,
            f"internal error: {type(error).__name__}: {error}\n(--debug shows where; please report it)",
        )


def _stop(code: int, message: str) -> NoReturn:
    typer.echo(f"spikefab: {message}", err=True)
    raise typer.Exit(code)


class _BadInputError(ValueError):
    """Something that the user gave cannot be used."""


def _version(asked: bool) -> None:
    if asked:
        from spikefab import __version__

        typer.echo(f"spikefab {__version__}")
        raise typer.Exit


@app.callback()
def _top(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    del version


@app.command()
def run(
    network: Annotated[
        Path, typer.Argument(help="A NIR file, or a .net file of lava-dl.", show_default=False)
    ],
    data: Annotated[
        Path, typer.Option("--data", help="x and y in .npz or .h5.", show_default=False)
    ],
    chip: Annotated[str, typer.Option("--chip", help="A built-in chip or a TOML file.")] = "loihi",
    dt: Annotated[float | None, typer.Option("--dt", help="Length of a tick, seconds.")] = None,
    reset: Annotated[
        ResetName | None,
        typer.Option(
            "--reset",
            help="Reset rule; subtract-once is snnTorch's subtraction with reset_delay=False.",
        ),
    ] = None,
    spike: Annotated[
        SpikeName | None,
        typer.Option(
            "--spike",
            help="A spike is 1 for a tick (hold) or has unit area (dirac); by default dirac for I "
            "and IF, else hold.",
        ),
    ] = None,
    compare: Annotated[
        CompareName | None,
        typer.Option("--compare", help="Fire above the threshold or also on it.", show_default=">"),
    ] = None,
    input_shape: Annotated[
        str | None,
        typer.Option("--input-shape", help="Channels,rows,columns where a .net file has none."),
    ] = None,
    ticks: Annotated[
        int | None, typer.Option("--ticks", help="Ticks in which input is applied.")
    ] = None,
    encoding: Annotated[
        EncodingName | None,
        typer.Option("--encoding", help="direct current, or spikes; by default as the data says."),
    ] = None,
    samples: Annotated[
        int | None, typer.Option("--samples", help="Only the first so many.")
    ] = None,
    readout: Annotated[
        str | None,
        typer.Option(
            "--readout",
            help="The output population that classes are read from.",
            show_default="the first",
        ),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="Recorded; nothing here is random yet.")] = 0,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Folder for traces and report.")
    ] = None,
    accuracy: Annotated[
        bool, typer.Option("--accuracy", help="Insist on it: refuse data without classes (y).")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace an earlier run in it.")] = False,
    debug: Debug = False,
) -> None:
    """Run NETWORK on data, in float and on a chip, and compare."""
    with _told(debug):
        _run_and_tell(
            network, data, chip,
            conventions={
                "dt_s": dt, "reset": _value(reset), "spike": _value(spike),
                "compare": _value(compare), "input_shape": input_shape,
            },
            reading={
                "ticks": ticks, "encoding": _value(encoding), "n_samples": samples,
                "need_classes": accuracy, "readout": readout,
            },
            seed=seed, output=output, force=force,
        )  # fmt: skip


def _value(chosen: Enum | None) -> str | None:
    return None if chosen is None else str(chosen.value)


@app.command()
def demo(
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Folder; a new one by default.")
    ] = None,
    chip: Annotated[str, typer.Option("--chip", help="A built-in chip or a TOML file.")] = "loihi",
    model: Annotated[str, typer.Option("--model", help="cnn or mlp.")] = "cnn",
    force: Annotated[bool, typer.Option("--force", help="Replace an earlier run in it.")] = False,
    debug: Debug = False,
) -> None:
    """Run a trained network on 360 handwritten digits: float beside chip."""
    with _told(debug):
        folder = Path(__file__).parent / "data"
        if model not in ("cnn", "mlp"):
            raise _BadInputError(f"--model {model!r} is none of cnn, mlp")
        _run_and_tell(
            folder / f"digits_{model}.nir", folder / "digits_test.npz", chip,
            conventions={}, reading={"ticks": 32}, seed=0, output=output or _new_folder(),
            force=force,
        )  # fmt: skip


def _new_folder() -> Path:
    number = 1
    while True:
        folder = Path("spikefab-demo" if number == 1 else f"spikefab-demo-{number}")
        if not folder.exists():
            return folder
        number += 1


def _run_and_tell(
    network_path: Path,
    data: Path,
    chip_name: str,
    *,
    conventions: dict[str, Any],
    reading: dict[str, Any],
    seed: int,
    output: Path | None,
    force: bool,
) -> None:
    """Do all of a run; ``conventions`` go to the importer, ``reading`` to `load_samples`."""
    began = time.perf_counter()
    if output is not None:
        _check_output(output, force)
    from emulator.chip import load_chip
    from spikefab.data import load_samples

    chip = load_chip(chip_name)
    network, load = _imported(network_path, chip, conventions)
    samples = load_samples(data, network, **reading)
    deployment = load(samples)
    if output is not None:
        _make_output(output, force)
    result = _run_with_progress(deployment, samples, reading.get("readout"), output, seed)
    _tell(result, network_path, output, time.perf_counter() - began)


def _imported(
    path: Path, chip: "Chip", conventions: dict[str, Any]
) -> tuple["Network", Callable[["Samples"], "Deployment"]]:
    """Read a network by its file's suffix; the second loads it onto the chip for its samples."""
    from spikefab.deploy import deploy, deploy_fixed

    if path.suffix != ".net":
        from mapping.nir_import import import_nir

        given = {key: value for key, value in conventions.items() if key != "input_shape"}
        if conventions.get("input_shape") is not None:
            raise _BadInputError("--input-shape is for .net files; a NIR file has it")
        network = import_nir(path, **given)
        return network, lambda samples: deploy(
            network, chip, direct=not samples.spiking, samples=samples
        )
    from mapping.netx_import import import_netx

    for key in ("reset", "spike"):
        if conventions.get(key) not in (None, "zero"):
            raise _BadInputError(
                f"--{key} {conventions[key]}: networks of lava-dl reset to zero and their spikes "
                f"are 1; leave it out"
            )
    fixed = import_netx(
        path, chip, dt_s=conventions.get("dt_s"), compare=conventions.get("compare"),
        input_shape=_sizes(conventions.get("input_shape")),
    )  # fmt: skip
    return fixed.network, lambda samples: deploy_fixed(fixed, chip, direct=not samples.spiking)


def _sizes(text: str | None) -> tuple[int, ...] | None:
    if text is None:
        return None
    try:
        sizes = tuple(int(part) for part in text.split(","))
    except ValueError:
        sizes = ()
    if not 1 <= len(sizes) <= 3 or min(sizes) < 1:
        raise _BadInputError(
            f"--input-shape {text!r} must be channels,rows,columns, such as 2,34,34"
        )
    return sizes


def _run_with_progress(
    deployment: "Deployment",
    samples: "Samples",
    readout: str | None,
    output: Path | None,
    seed: int,
) -> "RunResult":
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    from spikefab.run import run_network

    console = Console(stderr=True)
    command = " ".join(["spikefab", *sys.argv[1:]])
    with Progress(
        TextColumn("{task.description:>6}"), BarColumn(), MofNCompleteColumn(),
        TimeRemainingColumn(), console=console, disable=not console.is_terminal, transient=True,
    ) as bar:  # fmt: skip
        tasks = {stage: bar.add_task(stage, total=len(samples)) for stage in ("float", "chip")}

        def progress(stage: str, done: int, total: int) -> None:
            bar.update(tasks[stage], completed=done, total=total)

        return run_network(
            deployment, samples, readout=readout, folder=output, seed=seed, provenance={"command": command},
            progress=progress,
        )  # fmt: skip


def _tell(result: "RunResult", network: Path, output: Path | None, wall_s: float) -> None:
    from spikefab.summary import summary

    numbers = summary(result, network=network.name, wall_s=wall_s)
    _print_table(numbers)
    if output is None:
        return
    from spikefab.report import write_report
    from traces.errors import TraceWriteError

    try:
        write_report(result, numbers, output / "report.html")
        numbers["wall_s"] = round(wall_s, 3)
        text = json.dumps(numbers, indent=2, ensure_ascii=False, allow_nan=False)
        (output / "summary.json").write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise TraceWriteError(f"{output}: cannot be written on ({error})") from error
    typer.echo(f"written to {output}/: {', '.join(_FILES)}")


def _print_table(numbers: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    from spikefab.wording import micro, percent

    table = Table(title=f"{numbers['network']} on {numbers['chip']}", title_justify="left")
    for column in ("", "float", "chip"):
        table.add_column(column, justify="left" if not column else "right")
    accuracy, spikes = numbers["accuracy"], numbers["spikes"]
    n = numbers["samples"]
    table.add_row("accuracy", percent(accuracy["float"]), percent(accuracy["chip"]))
    table.add_row("same class", "", percent(numbers["agreement"]))
    table.add_row("spikes a sample", f"{spikes['float'] / n:,.0f}", f"{spikes['chip'] / n:,.0f}")
    for name, rate in numbers["rates"].items():
        table.add_row(f"  {name}, spikes a tick", f"{rate['float']:.4f}", f"{rate['chip']:.4f}")
    for name, value in (
        ("cores", f"{numbers['cores_used']}"),
        ("synaptic events a sample", f"{numbers['synaptic_events'] / n:,.0f}"),
        ("packets a sample", f"{numbers['packets'] / n:,.0f}"),
        ("energy a sample", micro(numbers["energy_j_per_sample"], "J", digits=1)),
        ("time a sample", micro(numbers["latency_s_per_sample"], "s")),
        *((f"out of range, {part}", f"{n:,}") for part, n in numbers["out_of_range"].items()),
    ):
        table.add_row(name, "", value)
    Console().print(table)
    typer.echo(
        f"{n} samples of {numbers['ticks']} ticks ({numbers['input']}), {numbers['wall_s']:.1f} s; "
        f"energy and time from published estimates, see: spikefab chips {numbers['chip']}"
    )
    for note in numbers["notes"]:
        typer.echo(f"note: {note}")


def _check_output(folder: Path, force: bool) -> None:
    """Refuse before any work what would fail or lose data after it."""
    if folder.exists() and not folder.is_dir():
        raise _BadInputError(f"{folder}: exists and is no folder; choose another with -o")
    if folder.is_dir() and any(folder.iterdir()) and not force:
        raise _BadInputError(
            f"{folder}: exists and is not empty; choose another with -o, or --force to replace "
            f"{', '.join(_FILES)} in it"
        )
    above = folder.absolute()
    while not above.exists():
        above = above.parent
    if not above.is_dir() or not os.access(above, os.W_OK | os.X_OK):
        raise _BadInputError(f"{folder}: {above} is not writable; choose another with -o")


def _make_output(folder: Path, force: bool) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if force:
            for name in _FILES:
                (folder / name).unlink(missing_ok=True)
    except OSError as error:
        raise _BadInputError(f"{folder}: cannot be used ({error.strerror})") from error


@app.command()
def chips(
    name: Annotated[str | None, typer.Argument(help="A built-in chip or a TOML file.")] = None,
    debug: Debug = False,
) -> None:
    """List the built-in chips, or show one with its sources."""
    with _told(debug):
        from rich.console import Console
        from rich.table import Table

        from emulator.chip import builtin_chips, load_chip

        if name is None:
            for builtin in builtin_chips():
                typer.echo(f"{builtin}: {load_chip(builtin).summary}")
            return
        chip = load_chip(name)
        table = Table(title=f"{chip.name}: {chip.summary}", title_justify="left")
        for column in ("key", "value", "low … high", "confidence", "source"):
            table.add_column(column, overflow="fold")
        for row in chip.rows():
            band = "" if row.low is None and row.high is None else f"{row.low} … {row.high}"
            table.add_row(row.key, str(row.value), band, row.confidence, row.source)
        Console().print(table)
        for key, source in chip.sources.items():
            typer.echo(f"{key}: {source}")


@app.command("compare")
def compare_traces(
    a: Annotated[Path, typer.Argument(help="A trace.", show_default=False)],
    b: Annotated[Path, typer.Argument(help="Another of the same network.", show_default=False)],
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
    debug: Debug = False,
) -> None:
    """Compare two traces spike by spike; exit code 4 if they differ."""
    with _told(debug):
        from traces.compare import compare
        from traces.trace import Trace

        with Trace.open(a) as first, Trace.open(b) as second:
            try:
                found = compare(first, second)
            except ValueError as error:
                raise _BadInputError(str(error)) from error
        if as_json:
            typer.echo(json.dumps(_comparison_json(found), ensure_ascii=False))
        else:
            _print_comparison(found)
        if not found.equal:
            raise typer.Exit(4)


def _comparison_json(found: Any) -> dict[str, Any]:
    return {
        "equal": found.equal,
        "agreement": found.agreement,
        "first": found.first._asdict() if found.first else None,
        "populations": [
            {
                **{k: v for k, v in vars(p).items() if k != "first"},
                "agreement": p.agreement,
                "first": p.first._asdict() if p.first else None,
            }
            for p in found.populations
        ],
    }


def _print_comparison(found: Any) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table()
    for column in (
        "population",
        "spikes a",
        "spikes b",
        "agreement",
        "rate error",
        "rate corr.",
        "first difference",
    ):
        table.add_column(column)
    for p in found.populations:
        first = p.first
        where = (
            ""
            if first is None
            else f"sample {first.sample} tick {first.tick} neuron {first.neuron} (only in {first.only_in})"
        )
        table.add_row(
            p.name, f"{p.n_a:,}", f"{p.n_b:,}", f"{100 * p.agreement:.2f} %", f"{p.rate_error:.2e}",
            "" if p.rate_correlation is None else f"{p.rate_correlation:.5f}", where,
        )  # fmt: skip
    Console().print(table)
    if found.equal:
        typer.echo("equal: every spike and every recorded state")
        return
    if found.first is not None:
        first = found.first
        typer.echo(
            f"first difference: sample {first.sample}, tick {first.tick} after the population's lag, "
            f"population {first.population!r}, neuron {first.neuron}: a spike only in {first.only_in}"
        )
    typer.echo(f"agreement {100 * found.agreement:.2f} % of all spikes")


@app.command()
def info(
    file: Annotated[
        Path, typer.Argument(help="A trace, network, program or chip.", show_default=False)
    ],
    debug: Debug = False,
) -> None:
    """Say what a file holds."""
    with _told(debug):
        from spikefab.info import describe

        for line in describe(file):
            typer.echo(line)


if __name__ == "__main__":
    main()
