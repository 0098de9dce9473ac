"""What reaches the terminal: exit codes and messages, and streams that stand trouble."""

import errno
import io
import os
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, NoReturn

import typer

if TYPE_CHECKING:
    from rich.console import Console

EXITS = """Exit codes: 0 done · 1 internal error · 2 bad input · 3 does not fit the chip ·
4 traces differ · 5 the run broke off (the trace is readable up to then), or the output could not
be written · 130 interrupted"""


class BadInputError(ValueError):
    """Something that the user gave cannot be used."""


class _Patient(io.FileIO):
    """A standard stream that drops what it cannot get rid of, and remembers why."""

    trouble: OSError | None = None

    def write(self, data: Any) -> int:
        if self.trouble is None:
            try:
                return super().write(data)
            except OSError as error:
                if error.errno == errno.EINTR:
                    raise
                self.trouble = error
        return len(data)


def run_patiently(command: Callable[[], object]) -> NoReturn:
    """Run a command and leave with its exit code, whatever happens to the standard streams.

    A reader that goes away (``| head``) changes nothing. Where the output cannot be written for
    another reason, a full disk say, the code is 5 in place of 0. Letters that the terminal does
    not know are replaced.
    """
    streams = [_patient(name) for name in ("stdout", "stderr")]
    code: Any = 0
    try:
        command()
    except SystemExit as leaving:
        code = leaving.code
    for name in ("stdout", "stderr"):
        with suppress(OSError, ValueError, AttributeError):
            getattr(sys, name).flush()
    trouble = streams[0].trouble if streams[0] is not None else None
    if trouble is not None and trouble.errno != errno.EPIPE:
        say(f"spikefab: the output could not be written ({trouble.strerror})", err=True)
        code = code or 5
    sys.exit(code)


def _patient(name: str) -> _Patient | None:
    """Put a patient stream in place of a standard one; None where there is no file behind it."""
    stream = getattr(sys, name)
    try:
        stream.flush()
        raw = _Patient(stream.fileno(), "w", closefd=False)
    except (OSError, ValueError, AttributeError):
        return None
    buffered = io.BufferedWriter(raw)
    replacement = io.TextIOWrapper(
        buffered,
        encoding=stream.encoding,
        errors="replace",
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )
    setattr(sys, name, replacement)
    return raw


def say(text: str, *, err: bool = False) -> None:
    """Print a line."""
    typer.echo(text, err=err)


def warn(text: str) -> None:
    """Print a warning where it does not mix with results."""
    say(f"spikefab: warning: {text}", err=True)


def console(*, err: bool = False) -> "Console":
    """Where tables go. Names are shown as they are: none of them is markup."""
    from rich.console import Console

    return Console(stderr=err, markup=False, emoji=False, highlight=False)


def stop(code: int, message: str) -> NoReturn:
    """Say what is wrong and leave."""
    say(f"spikefab: {message}", err=True)
    raise typer.Exit(code)


@contextmanager
def told(debug: bool) -> Iterator[None]:
    """Turn what goes wrong into one message and an exit code; ``debug`` shows where it did."""
    try:
        yield
    except (typer.Exit, SystemExit):
        raise
    except KeyboardInterrupt as stopped:
        stop(130, ", ".join(["interrupted", *map(str, stopped.args)]))
    except Exception as error:
        if debug:
            say(traceback.format_exc().rstrip(), err=True)
        stop(*judged(error))


def judged(error: Exception) -> tuple[int, str]:
    """Exit code and message."""
    from emulator.chip_file import ChipError
    from emulator.errors import (
        ChipDoesNotRunError,
        EngineError,
        FabricChoiceError,
        OverflowAlarm,
        ProgramError,
    )
    from mapping.encodings import EncodingError
    from mapping.errors import (
        CapacityError,
        NetworkError,
        NetxError,
        NirError,
        OnnxError,
        StimulusError,
        UnsupportedNodeError,
    )
    from spikefab.data import DataError
    from spikefab.wishes import WishError
    from traces.errors import (
        ExportError,
        MissingExtraError,
        TraceFormatError,
        TraceWriteError,
    )

    bad_input = (
        BadInputError, ChipDoesNotRunError, ChipError, DataError, EncodingError, ExportError,
        FabricChoiceError, MissingExtraError, NetworkError, NetxError, NirError, OnnxError,
        ProgramError, WishError, StimulusError, TraceFormatError, UnsupportedNodeError,
    )  # fmt: skip
    if isinstance(error, CapacityError):
        return 3, str(error)
    if isinstance(error, TraceWriteError | OverflowAlarm | EngineError):
        return 5, str(error)
    if isinstance(error, bad_input):
        return 2, str(error)
    if isinstance(error, OSError):
        return 2, _system_said(error)
    if isinstance(error, MemoryError):
        return 2, f"there is not enough memory for this ({error or 'no more is known'})"
    return 1, (
        f"internal error: {type(error).__name__}: {error}\n(--debug shows where; please report it)"
    )


def _system_said(error: OSError) -> str:
    """Name the file first, as all other messages do."""
    if error.filename is None or error.strerror is None:
        return str(error)
    return f"{os.fsdecode(error.filename)}: {error.strerror}"
