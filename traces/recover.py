"""Save what can be read of a trace that was killed, cut off or damaged, into a sound file.

HDF5 may crash on what is damaged, so a child process copies, and says what it looks at. Where it
dies or does not come back, another one leaves that out. The original is never changed.
"""

import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from traces.errors import TraceFormatError, TraceWriteError

SILENCE_S = 60.0
"""How long the child may work on one piece of a table."""
_MOST_CRASHES = 100


@dataclass(frozen=True, kw_only=True)
class Recovered:
    """What became of a trace.

    Attributes
    ----------
    complete : bool
        Whether it is complete again, and nothing is missing.
    whole_ticks : int
        Ticks from the start of which everything is there.
    rows : dict of str to tuple of int
        For each table the rows kept, and those that the file spoke of.
    lost : tuple of str
        What is missing, in words.
    """

    complete: bool
    whole_ticks: int
    rows: Mapping[str, tuple[int, int]]
    lost: tuple[str, ...]


def recover(path: str | Path, output: str | Path, *, overwrite: bool = False) -> Recovered:
    """Copy all that can be read of a trace into a new file, sealed, that readers take.

    Raises
    ------
    FileNotFoundError
        If there is no such trace.
    FileExistsError
        If there is an output already.
    TraceFormatError
        If nothing can be saved, or the trace is being written.
    TraceWriteError
        If the output cannot be written.
    """
    path, output = Path(path), Path(output)
    if not path.exists():
        raise FileNotFoundError(f"{path}: there is no such file")
    if path.is_dir():
        raise TraceFormatError(f"{path}: this is a folder, not a trace")
    if output.exists() and (not overwrite or output.samefile(path)):
        raise FileExistsError(f"{output} exists; choose another name or remove it")
    left_out: list[str] = []
    while True:
        told = _copy_in_child(path, output, left_out)
        if "report" in told:
            plain = told["report"]
            rows = {name: (kept, of) for name, (kept, of) in plain.pop("rows").items()}
            return Recovered(**plain | {"rows": rows, "lost": tuple(plain["lost"])})
        if told.get("error") == "write":
            raise TraceWriteError(told["text"])
        if told.get("error") or told["at"] in [*left_out, "/"] or len(left_out) > _MOST_CRASHES:
            reason = told.get("text") or f"{path}: HDF5 crashes on it"
            raise TraceFormatError(f"{reason}; nothing can be saved")
        left_out.append(told["at"])


def _copy_in_child(path: Path, output: Path, left_out: list[str]) -> dict[str, Any]:
    """Have a child copy; return its last word: a report, an error, or where it was."""
    command = [sys.executable, "-m", "traces.salvage", str(path.resolve()), str(output.absolute())]
    folders = [str(Path(__file__).resolve().parents[1]), *(p for p in sys.path if p)]
    env = os.environ | {"PYTHONPATH": os.pathsep.join(folders)}
    told: dict[str, Any] = {"at": "/"}
    with subprocess.Popen(
        command, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        text=True,
    ) as child:  # fmt: skip
        assert child.stdin is not None
        child.stdin.write(json.dumps(left_out))
        child.stdin.close()
        lines: queue.Queue[str] = queue.Queue()
        threading.Thread(target=_listen, args=(child.stdout, lines), daemon=True).start()
        try:
            while line := lines.get(timeout=SILENCE_S):
                told = json.loads(line)
        except queue.Empty:
            child.kill()
        finally:
            if child.poll() is None and "report" not in told and "error" not in told:
                child.kill()
    return told


def _listen(stream: Any, lines: "queue.Queue[str]") -> None:
    for line in stream:
        lines.put(line)
    lines.put("")


def as_plain(report: Recovered) -> dict[str, Any]:
    """Return a report as JSON keeps it."""
    return asdict(report)
