"""Map a network as the command line does it: plan, say how good it is, save what is to be loaded."""

import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from emulator.chip import Chip
from emulator.program_file import load_program, save_program
from mapping.layout.floor import Floor
from mapping.network import Network
from mapping.outline import Outline
from mapping.partitioners import parts_of
from mapping.pins import read_pin
from mapping.plan import Choices, quality
from mapping.rates import rates_of
from spikefab.deployment import Deployment
from spikefab.explain import explained
from spikefab.fit.work import chips_of
from spikefab.importing import import_network
from spikefab.plan_tables import plan_json, print_plan
from spikefab.telling import BadInputError, say, warn
from spikefab.wording import as_json, printable
from traces.trace import Trace


def map_to_chip(
    network_path: Path,
    chip_name: str,
    *,
    conventions: dict[str, Any],
    direct: bool,
    partitioner: str | None,
    placer: str,
    seed: int,
    quantiser: str,
    pins: Sequence[str] = (),
    without: Sequence[str] = (),
    rates: Path | None = None,
    start: Path | None = None,
    output: Path | None = None,
    force: bool = False,
    explain: str | None = None,
    json: bool = False,
    relays: bool = False,
) -> None:
    """Do all of ``spikefab map``.

    Parameters
    ----------
    conventions : dict
        For `import_network`.
    direct : bool
        Whether the host turns the input into bias currents.
    pins, without : sequence of str
        As `read_pin` and `chip_without` read them.
    partitioner : str, optional
        By default ``kept`` with a ``start``, else ``traffic``.
    rates : Path, optional
        A trace whose spike rates the plan is made for.
    start : Path, optional
        A saved program to improve.
    relays : bool
        Whether to add relays where they are needed.
    """
    if output is not None:
        _check_output(output, (network_path, rates, start), force=force)
    if partitioner == "kept" and start is None:
        raise BadInputError(
            "--partitioner kept: needs an earlier mapping to keep; name it with --start"
        )
    chip = chips_of([chip_name], without)[chip_name]
    network, load = import_network(network_path, chip, conventions, seed=seed, quantiser=quantiser)
    outline = _outline(network, chip, direct=direct)
    if explain is not None and explain not in outline.order:
        raise BadInputError(
            f"--explain {explain!r}: there is no such population; there are "
            f"{', '.join(outline.order)}"
        )
    with _until_interrupted() as stop:
        choices = Choices(
            partitioner=partitioner or ("traffic" if start is None else "kept"),
            placer=placer, pins=[read_pin(text) for text in pins], relays=relays, seed=seed,
            stop=stop,
        )  # fmt: skip
        choices = _informed(choices, outline, chip, rates, start)
        deployment = load(direct=direct, choices=choices, keep_plan=True)
    found = deployment.plan
    assert found is not None  # it was asked to be kept
    for note in deployment.fixed.notes if relays else ():
        if "relays" in note:
            warn(note)
    judged = quality(found)
    if output is not None:
        _save(deployment, network_path, choices, judged.traffic.hops, output)
    if json:
        say(as_json(plan_json(found, judged, deployment.used, network_path.name, output)))
    else:
        print_plan(found, judged, deployment.used)
        if explain is not None:
            say("")
            for line in explained(found, judged, explain):
                say(line)
        if output is not None:
            say(f"written to {output}")


def begun(
    start: Path, network: Network, chip: Chip, *, direct: bool, relays: bool = False
) -> Choices:
    """Take the mapping of a saved program as it is.

    Raises
    ------
    BadInputError
        If it is of another network or chip.
    """
    choices = Choices(partitioner="kept", placer="linear", relays=relays)
    return _informed(choices, _outline(network, chip, direct=direct), chip, None, start)


def _outline(network: Network, chip: Chip, *, direct: bool) -> Outline:
    inputs = frozenset(part.name for part in network.inputs) if direct else frozenset[str]()
    return Outline.before_rounding(network, chip, direct=inputs)


def _informed(
    choices: Choices, outline: Outline, chip: Chip, rates: Path | None, start: Path | None
) -> Choices:
    """Add measured rates and an earlier plan."""
    program = None if start is None else load_program(start)
    try:
        if rates is not None:
            with Trace.open(rates) as trace:
                choices = replace(choices, rates=rates_of(trace, outline))
    except ValueError as error:
        raise BadInputError(f"--rates {error}") from error
    if program is None:
        return choices
    try:
        parts = parts_of(program, outline, Floor.of(chip), relays=choices.relays)
        return replace(choices, start=parts)
    except ValueError as error:
        raise BadInputError(f"{start}: {error}") from error


@contextmanager
def _until_interrupted() -> Iterator[Callable[[], bool]]:
    """Ask whether Ctrl-C was pressed; a second one ends the command."""
    pressed = False

    def press(number: int, frame: object) -> None:
        nonlocal pressed
        if pressed:
            raise KeyboardInterrupt
        pressed = True
        warn("ending with the best plan so far; press Ctrl-C again to end without one")

    before = signal.signal(signal.SIGINT, press)
    try:
        yield lambda: pressed
    finally:
        signal.signal(signal.SIGINT, before)


def _check_output(output: Path, inputs: Sequence[Path | None], *, force: bool) -> None:
    if output.is_dir():
        raise BadInputError(f"{output}: this is a folder; name a file in it")
    if not output.absolute().parent.is_dir():
        raise BadInputError(f"{output}: there is no folder {output.absolute().parent}")
    if output.exists():
        if any(path is not None and path.exists() and output.samefile(path) for path in inputs):
            raise BadInputError(f"{output}: this is an input; choose another output")
        if not force:
            raise BadInputError(f"{output}: is there already; choose another, or use --force")


def _save(
    deployment: Deployment, network: Path, choices: Choices, hops: float, output: Path
) -> None:
    notes: dict[str, str | int | float] = {
        "network": printable(network.name),
        "network_sha256": deployment.network.sha256,
        "chip_sha256": deployment.chip.sha256,
        "partitioner": choices.partitioner,
        "placer": choices.placer,
        "seed": choices.seed,
        "hops_per_tick": hops,
    }
    save_program(deployment.program, output, notes)
