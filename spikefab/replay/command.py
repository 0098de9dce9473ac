"""``spikefab replay``: what was asked for, done and told."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emulator.chip_file import load_chip
from emulator.fabric import FABRIC_NAMES
from emulator.program_file import load_program
from spikefab.output import check_output, make_output
from spikefab.rehearsal import LONGEST_COMMAND, save
from spikefab.replay.changed import on_chip, run_changed, settings_of
from spikefab.replay.edits import edited, from_events
from spikefab.replay.part import replay_part
from spikefab.replay.recording import Recording, window_of
from spikefab.replay.retimed import retime
from spikefab.replay.told import (
    changed_json,
    print_changed,
    print_retimed,
    print_verdict,
    retimed_json,
    verdict_json,
)
from spikefab.replay.whole import replay_float, replay_whole
from spikefab.summary import summary
from spikefab.telling import BadInputError, say
from spikefab.wording import as_json, printable
from traces.trace import Trace


@dataclass(frozen=True, kw_only=True)
class Asked:
    """The command line; see `spikefab.replay.options.replay`."""

    trace: Path
    samples: str | None = None
    ticks: str | None = None
    cores: Sequence[int] = ()
    populations: Sequence[str] = ()
    fabric: str | None = None
    mapping: Path | None = None
    timing: str | None = None
    chip: str | None = None
    settings: Sequence[str] = ()
    remove: Sequence[str] = ()
    shift: Sequence[str] = ()
    add: Sequence[str] = ()
    stimulus: Path | None = None
    output: Path | None = None
    threads: int | None = None


_KINDS = {
    "part": ("cores", "populations"),
    "input": ("remove", "shift", "add", "stimulus"),
    "chip": ("chip", "settings"),
    "times": ("mapping", "timing", "fabric"),
}
"""What a replay is, by the options that say so; the first that is asked for."""
_ALSO = {
    "whole": ("samples", "ticks", "output", "threads"),
    "part": ("samples", "ticks", "threads"),
    "input": ("output", "threads"),
    "chip": ("fabric", "output", "threads"),
    "times": ("samples", "ticks"),
}
_OPTIONS = {"cores": "--core", "populations": "--population", "settings": "--set", "output": "-o"}


def kind_of(asked: Asked) -> str:
    """Say what kind of replay is asked for.

    Raises
    ------
    BadInputError
        If options do not go together; with all that would go with the first.
    """
    given = [name for name, value in vars(asked).items() if name != "trace" and _is(value)]
    kind = next((k for k, names in _KINDS.items() if set(names) & set(given)), "whole")
    own = _KINDS.get(kind, ())
    odd = [name for name in given if name not in (*own, *_ALSO[kind])]
    if odd:
        first = next((name for name in own if name in given), None)
        raise BadInputError(
            f"{_option(odd[0])} does not go with {_option(first) if first else 'a whole run'}; "
            f"what does: {', '.join(map(_option, (*own, *_ALSO[kind])))}"
        )
    if asked.stimulus is not None and (asked.remove or asked.shift or asked.add):
        raise BadInputError("--stimulus gives all input, so there is nothing to edit; leave it out")
    if asked.output is not None and (asked.samples or asked.ticks):
        raise BadInputError("-o saves whole runs; leave out --samples and --ticks, or -o")
    if asked.fabric is not None and asked.fabric not in FABRIC_NAMES:
        raise BadInputError(f"--fabric {asked.fabric}: is none of {', '.join(FABRIC_NAMES)}")
    return kind


def _is(value: Any) -> bool:
    return value is not None and value != [] and value != ()


def _option(name: str) -> str:
    return _OPTIONS.get(name, f"--{name}")


def replay_trace(asked: Asked, *, json: bool) -> bool:
    """Do what is asked and tell it; return whether nothing differs that should not."""
    kind = kind_of(asked)
    with Trace.open(asked.trace) as trace:
        if asked.output is not None:
            partner = asked.trace.with_name(str(trace.provenance.get("partner", "float.h5")))
            check_output(asked.output, (asked.trace, partner), force=False)
        return _DONE[kind](trace, asked, json)


def _tell(json: bool, found: dict[str, Any]) -> bool:
    if json:
        say(as_json(found))
    return json


def _whole(trace: Trace, asked: Asked, json: bool) -> bool:
    window = window_of(trace, asked.samples, asked.ticks)
    if trace.kind == "float":
        if asked.output is not None:
            raise BadInputError("-o saves the chip's run; replay its trace instead")
        verdict = replay_float(trace, window)
    else:
        recording = Recording(trace)
        if asked.output is not None:
            make_output(asked.output)
        verdict = replay_whole(recording, window, threads=asked.threads, folder=asked.output)
    if not _tell(json, {"trace": str(asked.trace)} | verdict_json(verdict, trace)):
        print_verdict(verdict, trace)
    return verdict.identical


def _part(trace: Trace, asked: Asked, json: bool) -> bool:
    verdict = replay_part(
        Recording(trace), cores=asked.cores, populations=asked.populations,
        window=window_of(trace, asked.samples, asked.ticks), threads=asked.threads,
    )  # fmt: skip
    if not _tell(json, {"trace": str(asked.trace)} | verdict_json(verdict, trace)):
        print_verdict(verdict, trace)
    return verdict.identical


def _times(trace: Trace, asked: Asked, json: bool) -> bool:
    recording = Recording(trace)
    found = retime(
        recording, fabric=asked.fabric,
        program=None if asked.mapping is None else load_program(asked.mapping),
        timing=None if asked.timing is None else load_chip(asked.timing),
        window=window_of(trace, asked.samples, asked.ticks),
    )  # fmt: skip
    period = recording.how.get("tick_period_s") or trace.dt_s
    if not _tell(json, {"trace": str(asked.trace)} | retimed_json(found, period)):
        print_retimed(found, period)
    return True


def _chip(trace: Trace, asked: Asked, json: bool) -> bool:
    recording = Recording(trace)
    settings = settings_of(asked.settings)
    chip = None if asked.chip is None else load_chip(asked.chip)
    deployment = on_chip(recording, chip, settings)
    what = [f"chip {deployment.chip.name} in place of {recording.chip.name}"] if chip else []
    what += [f"{key} = {value}" for key, value in settings.items()]
    return _run(recording, asked, json, what, deployment=deployment, fabric=asked.fabric)


def _input(trace: Trace, asked: Asked, json: bool) -> bool:
    recording = Recording(trace)
    samples, name = recording.embedded.samples, recording.embedded.network.inputs[0].name
    if asked.stimulus is not None:
        found = from_events(samples, asked.stimulus, trace.ticks)
    else:
        found = edited(samples, name, remove=asked.remove, shift=asked.shift, add=asked.add)
    what = [
        f"{n:,} input spikes {done}"
        for done, n in (
            ("removed", found.removed), ("shifted", found.shifted), ("added", found.added),
            ("fell out of the ticks with input", found.dropped),
        )
        if n
    ]  # fmt: skip
    return _run(recording, asked, json, what or ["nothing"], samples=found.samples)


def _run(recording: Recording, asked: Asked, json: bool, what: list[str], **how: Any) -> bool:
    """Run what was changed, save all of it where that is asked for, and compare."""
    if asked.output is not None:
        make_output(asked.output)
    command = printable(" ".join(["spikefab", *sys.argv[1:]]))[:LONGEST_COMMAND]
    found = run_changed(
        recording, what=what, threads=asked.threads, folder=asked.output,
        provenance={"command": command, "replay_of": str(recording.trace.content_sha256)}, **how,
    )  # fmt: skip
    if asked.output is not None:
        name = recording.trace.path.name
        numbers = summary(
            found.result, network=f"replay of {name}", wall_s=found.result.wall_s["total"]
        )
        save(found.result, numbers, found.result.deployment.chip.name, asked.output)
    if not _tell(json, {"trace": str(asked.trace)} | changed_json(found)):
        print_changed(found)
        if asked.output is not None:
            say(f"written to {asked.output}/")
    return True


_DONE = {"whole": _whole, "part": _part, "times": _times, "chip": _chip, "input": _input}
