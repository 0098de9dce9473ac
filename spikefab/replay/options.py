"""The options of ``spikefab replay``; nothing heavy is imported before it is asked for."""

from pathlib import Path
from typing import Annotated

import typer

from spikefab.telling import told

_TIMES = "Recorded spikes on other hardware"
_PART = "A part alone"
_CHIP = "Another chip or precision"
_INPUT = "Another input"


def _texts(option: str, metavar: str, text: str, panel: str) -> typer.models.OptionInfo:
    option_info: typer.models.OptionInfo = typer.Option(
        option, metavar=metavar, help=text, rich_help_panel=panel
    )
    return option_info


def replay(
    trace: Annotated[Path, typer.Argument(help="A trace of spikefab run.", show_default=False)],
    samples: Annotated[
        str | None, typer.Option("--samples", metavar="A:B", help="Only these samples.")
    ] = None,
    ticks: Annotated[
        str | None, typer.Option("--ticks", metavar="A:B", help="Only these ticks of the trace.")
    ] = None,
    core: Annotated[
        list[int] | None, _texts("--core", "PLACE", "This core; again for more.", _PART)
    ] = None,
    population: Annotated[
        list[str] | None,
        _texts("--population", "NAME", "This population; again for more.", _PART),
    ] = None,
    fabric: Annotated[
        str | None,
        _texts("--fabric", "NAME", "Through this fabric: simple, ideal, links, queued.", _TIMES),
    ] = None,
    mapping: Annotated[
        Path | None,
        _texts("--mapping", "PROGRAM", "On the places of this program of spikefab map.", _TIMES),
    ] = None,
    timing: Annotated[
        str | None,
        _texts("--timing", "CHIP", "At the times, energies and fabric of this chip.", _TIMES),
    ] = None,
    chip: Annotated[
        str | None, _texts("--chip", "CHIP", "Quantised anew for this chip, and run.", _CHIP)
    ] = None,
    settings: Annotated[
        list[str] | None,
        _texts("--set", "KEY=VALUE", "With this key of the chip file changed; again.", _CHIP),
    ] = None,
    remove: Annotated[
        list[str] | None,
        _texts("--remove", "SPIKES", "Without CHANNELS@TICKS[/SAMPLES], as 0..3@10.", _INPUT),
    ] = None,
    shift: Annotated[
        list[str] | None,
        _texts("--shift", "SPIKES=BY", "Later by some ticks, or earlier: 3@10=-2.", _INPUT),
    ] = None,
    add: Annotated[
        list[str] | None,
        _texts("--add", "SPIKES[=N]", "With more: 3@10..12/0 adds one a tick.", _INPUT),
    ] = None,
    stimulus: Annotated[
        Path | None,
        _texts("--stimulus", "CSV", "All input anew: tick, channel, payload.", _INPUT),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="New folder for what is run.")
    ] = None,
    threads: Annotated[
        int | None, typer.Option("--threads", help="Changes nothing but speed.", min=1)
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Make a recorded run again from its TRACE alone, and verify it; exit code 4 if it differs."""
    with told(debug):
        from spikefab.replay.command import Asked, replay_trace

        same = replay_trace(
            Asked(
                trace=trace, samples=samples, ticks=ticks, cores=core or [],
                populations=population or [], fabric=fabric, mapping=mapping, timing=timing,
                chip=chip, settings=settings or [], remove=remove or [], shift=shift or [],
                add=add or [], stimulus=stimulus, output=output, threads=threads,
            ),
            json=json,
        )  # fmt: skip
        if not same:
            raise typer.Exit(4)
