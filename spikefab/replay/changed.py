"""The same network run again with something changed: another chip, precision, or input."""

import tempfile
import tomllib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emulator.chip import Chip
from emulator.chip_file import chip_with, refuse_to_run
from spikefab.data import Samples
from spikefab.deployment import Deployment, deploy
from spikefab.replay.recording import Recording
from spikefab.run import RunResult, run_network
from spikefab.telling import BadInputError
from traces.compare import Comparison, compare
from traces.trace import Trace

Array = NDArray[Any]


@dataclass(frozen=True, kw_only=True, eq=False)
class Changed:
    """A recorded run beside one that is not quite the same.

    Attributes
    ----------
    result : RunResult
        The new run, its float simulation included.
    comparison : Comparison
        The recorded trace, a, against the new one, b.
    with_float : Comparison
        The new run's float trace, a, against its chip's, b.
    recorded, replayed : int64 [samples]
        Predicted classes of the samples that both have whole.
    labels : int64 [samples] or None
    what : tuple of str
        What was changed.
    """

    result: RunResult
    comparison: Comparison
    with_float: Comparison
    recorded: Array
    replayed: Array
    labels: Array | None
    what: tuple[str, ...]

    @property
    def flipped(self) -> Array:
        """Samples whose prediction is another one."""
        return np.flatnonzero(self.recorded != self.replayed)

    def accuracy(self, predicted: Array) -> float | None:
        """Share of right predictions; None without labels."""
        return None if self.labels is None else float(np.mean(predicted == self.labels))


def settings_of(texts: Sequence[str]) -> dict[str, Any]:
    """Read ``table.key=value``, values as in a chip file.

    Raises
    ------
    BadInputError
    """
    found = {}
    for text in texts:
        key, equals, value = text.partition("=")
        try:
            if not equals or not key.strip():
                raise ValueError
            found[key.strip()] = _value(value.strip())
        except (ValueError, tomllib.TOMLDecodeError):
            raise BadInputError(
                f"--set {text}: must be KEY=VALUE in the names of a chip file, as "
                "numbers.weight_bits=4 or arithmetic.compare='>='"
            ) from None
    return found


def _value(text: str) -> Any:
    if text and text.replace("-", "").replace("_", "").isalpha() and text not in ("true", "false"):
        return text  # names of rules, which a shell takes the quotes from
    return tomllib.loads(f"x = {text}")["x"]


def on_chip(recording: Recording, chip: Chip | None, settings: dict[str, Any]) -> Deployment:
    """Quantise and map the recorded network anew.

    Parameters
    ----------
    chip : Chip, optional
        The recorded one by default.
    settings : mapping
        Of `emulator.chip_file.chip_with`.

    Raises
    ------
    BadInputError
        If the network came in integers, of which no other can be made.
    ChipError, CapacityError, UnsupportedNodeError
    """
    target = recording.chip if chip is None else chip
    if settings:
        target = chip_with(target, settings)
    refuse_to_run(target)
    quantiser = recording.how.get("quantiser")
    if quantiser is None:
        raise BadInputError(
            f"{recording.trace.path}: its network came in the integers of {recording.chip.name}, "
            "and cannot be quantised for another chip or precision; replay one that came in float"
        )
    return deploy(
        recording.embedded.network, target, direct=bool(recording.how["direct"]),
        samples=recording.embedded.samples, seed=int(recording.how["seed"]),
        quantiser=str(quantiser),
    )  # fmt: skip


def run_changed(
    recording: Recording, *, deployment: Deployment | None = None, samples: Samples | None = None,
    what: Sequence[str] = (), fabric: str | None = None, threads: int | None = None,
    folder: Path | None = None, provenance: dict[str, str | int | float] | None = None,
) -> Changed:  # fmt: skip
    """Run with something changed, record it, and compare.

    Parameters
    ----------
    deployment : Deployment, optional
        The recorded one by default.
    samples : Samples, optional
        The recorded ones by default.
    what : sequence of str
        What was changed, in words.
    folder : Path, optional
        Existing folder for both traces; they are not kept without one.

    Raises
    ------
    BadInputError
        If the two runs cannot be compared.
    """
    embedded, how, trace = recording.embedded, recording.how, recording.trace
    given = embedded.samples if samples is None else samples
    with _folder(folder) as place:
        result = run_network(
            deployment or embedded.deployment, given, readout=how.get("readout"), folder=place,
            seed=int(how["seed"]), fabric=fabric or str(how["fabric"]), threads=threads,
            tick_period_s=how.get("tick_period_s"), provenance=provenance,
        )  # fmt: skip
        with Trace.open(place / "trace.h5") as new, Trace.open(place / "float.h5") as in_float:
            try:
                comparison, with_float = compare(trace, new), compare(in_float, new)
            except ValueError as error:
                raise BadInputError(str(error)) from error
    n = trace.whole_ticks // trace.ticks
    return Changed(
        result=result, comparison=comparison, with_float=with_float,
        recorded=_readout(recording, result.readout, n).argmax(1) if n else np.empty(0, np.int64),
        replayed=result.readout_chip[:n].argmax(1) if n else np.empty(0, np.int64),
        labels=None if given.y is None else given.y[:n], what=tuple(what),
    )  # fmt: skip


@contextmanager
def _folder(folder: Path | None) -> Iterator[Path]:
    if folder is not None:
        yield folder
        return
    with tempfile.TemporaryDirectory(prefix="spikefab-replay-") as place:
        yield Path(place)


def _readout(recording: Recording, name: str, n: int) -> Array:
    """Spike counts of the recorded output, or its mean membrane, in whole samples."""
    trace = recording.trace
    part = next(p for p in recording.program.populations if p.name == name)
    if part.spiking:
        return trace.counts(name, 0, n).astype(np.float64)
    sums = [
        trace.raw_state(name, "v", k * trace.ticks, (k + 1) * trace.ticks).sum(axis=0)
        for k in range(n)
    ]
    return np.array(sums) / trace.ticks / part.scale
