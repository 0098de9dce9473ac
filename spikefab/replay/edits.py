"""Edits of a recorded input: spikes removed, shifted, added, or all of them given anew."""

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikefab.data import MOST_SPIKES, Samples
from spikefab.telling import BadInputError

Array = NDArray[Any]

GRAMMAR = (
    "[INPUT:]CHANNELS@TICKS[/SAMPLES], each a number, FIRST..LAST (LAST included) or *; ticks count "
    "within the sample"
)
_SELECTION = re.compile(
    r"(?:(?P<input>[^:@]+):)?(?P<channels>[^:@/]+)@(?P<ticks>[^:@/]+)(?:/(?P<samples>[^:@/]+))?"
)


class Selection(NamedTuple):
    """A box of input: ``samples``, ``ticks``, ``channels``; stops are exclusive."""

    samples: slice
    ticks: slice
    channels: slice


class Shift(NamedTuple):
    """Spikes that come some ticks later, or earlier if ``by`` is negative."""

    what: Selection
    by: int


class Add(NamedTuple):
    """Spikes for every channel and tick of a selection."""

    what: Selection
    spikes: int


@dataclass(frozen=True, kw_only=True)
class Edited:
    """An edited input.

    Attributes
    ----------
    samples : Samples
    removed, shifted, added, dropped : int
        Spikes; dropped are those that were shifted out of the ticks with input.
    """

    samples: Samples
    removed: int = 0
    shifted: int = 0
    added: int = 0
    dropped: int = 0


def edited(
    samples: Samples, name: str, *, remove: Sequence[str] = (), shift: Sequence[str] = (),
    add: Sequence[str] = (),
) -> Edited:  # fmt: skip
    """Remove, then shift, then add.

    Parameters
    ----------
    name : str
        Of the input.
    remove : sequence of str
        Selections (`GRAMMAR`).
    shift : sequence of str
        Selections, each with the ticks to shift by: ``3@10=+2``.
    add : sequence of str
        Selections, each with a number of spikes, 1 by default: ``3@10=2``.

    Raises
    ------
    BadInputError
        If the input is no spikes, or an edit is none or outside of it.
    """
    x, shape = _counts(samples), (len(samples), samples.n_ticks, samples.x.shape[-1])
    n_removed = n_shifted = n_added = n_dropped = 0
    for text in remove:
        box = _box("--remove", text, text, name, shape)
        n_removed += int(x[box].sum())
        x[box] = 0
    for text in shift:
        where, by = _valued("--shift", text, None)
        box = _box("--shift", text, where, name, shape)
        moved = x[box].copy()
        x[box] = 0
        n_shifted += int(moved.sum())
        n_dropped += _laid(x, box, moved, by)
    for text in add:
        where, spikes = _valued("--add", text, 1)
        if spikes < 1:
            raise BadInputError(f"--add {text}: {spikes} spikes cannot be added; use --remove")
        box = _box("--add", text, where, name, shape)
        x[box] += spikes
        n_added += spikes * int(x[box].size)
    if x.max(initial=0) > MOST_SPIKES:
        raise BadInputError(
            f"a channel would spike {x.max():,} times in a tick; {MOST_SPIKES:,} do"
        )
    return Edited(
        samples=replace(samples, x=x), removed=n_removed, shifted=n_shifted, added=n_added,
        dropped=n_dropped,
    )  # fmt: skip


def from_events(samples: Samples, path: Path, ticks: int) -> Edited:
    """Take all input from a CSV of events: columns ``tick``, ``channel`` and perhaps ``payload``.

    Parameters
    ----------
    ticks : int
        Of each sample; ``tick`` counts as the trace does.

    Raises
    ------
    BadInputError
        With the line, if an event cannot be.
    """
    before = _counts(samples)
    x = np.zeros_like(before)
    with path.open(newline="", encoding="utf-8-sig") as file:
        rows = csv.DictReader(file)
        if not {"tick", "channel"} <= set(rows.fieldnames or ()):
            raise BadInputError(
                f"{path}: its first line must name the columns tick, channel and perhaps payload, "
                f"but is {', '.join(rows.fieldnames or ['empty'])}"
            )
        for row in rows:
            where = f"{path}, line {rows.line_num}"
            try:
                tick, channel = int(row["tick"]), int(row["channel"])
                payload = int(row.get("payload") or 1)
            except (TypeError, ValueError):
                raise BadInputError(f"{where}: tick, channel and payload must be whole") from None
            sample, within = divmod(tick, ticks)
            if not (tick >= 0 and sample < x.shape[0] and within < x.shape[1]):
                raise BadInputError(
                    f"{where}: tick {tick} takes no input; there are {x.shape[0]} samples of {ticks} "
                    f"ticks, the first {x.shape[1]} of them with input"
                )
            if not 0 <= channel < x.shape[2] or not 1 <= payload <= MOST_SPIKES:
                raise BadInputError(
                    f"{where}: channel {channel} with payload {payload}, but there are channels "
                    f"0..{x.shape[2] - 1}, and a payload is at least 1"
                )
            x[sample, within, channel] += payload
    change = x - before
    return Edited(
        samples=replace(samples, x=x), removed=int(-change[change < 0].sum()),
        added=int(change[change > 0].sum()),
    )  # fmt: skip


def _counts(samples: Samples) -> Array:
    if not samples.spiking:
        raise BadInputError(
            "the input was direct current, which the host hands over; only spikes can be edited. "
            "Record the run with --encoding spikes"
        )
    return np.array(samples.x, np.int64)


def _valued(option: str, text: str, default: int | None) -> tuple[str, int]:
    where, equals, value = text.partition("=")
    if not equals and default is not None:
        return where, default
    try:
        return where, int(value)
    except ValueError:
        example = "3@10=+2 moves by 2 ticks" if option == "--shift" else "3@10=2 adds 2 spikes"
        raise BadInputError(f"{option} {text}: needs a whole number behind =; {example}") from None


def _box(
    option: str, text: str, where: str, name: str, shape: tuple[int, int, int]
) -> tuple[slice, ...]:
    found = _SELECTION.fullmatch(where.strip())
    if found is None:
        raise BadInputError(f"{option} {text}: must be {GRAMMAR}")
    if found["input"] not in (None, name):
        raise BadInputError(
            f"{option} {text}: there is no input {found['input']!r}; there is {name!r}"
        )
    parts = (found["samples"] or "*", found["ticks"], found["channels"])
    kinds = ("sample", "tick", "channel")
    return Selection(
        *(
            _cut(f"{option} {text}", kind, part, size)
            for kind, part, size in zip(kinds, parts, shape, strict=True)
        )
    )


def _cut(where: str, kind: str, text: str, size: int) -> slice:
    if text == "*":
        return slice(0, size)
    first, dots, last = text.partition("..")
    try:
        start = int(first)
        stop = int(last) + 1 if dots else start + 1
    except ValueError:
        raise BadInputError(f"{where}: {text!r} is no {kind}; must be {GRAMMAR}") from None
    if not 0 <= start < stop <= size:
        raise BadInputError(f"{where}: {kind} {text} is not there; there are 0..{size - 1}")
    return slice(start, stop)


def _laid(x: Array, box: tuple[slice, ...], moved: Array, by: int) -> int:
    """Add what was moved where it belongs now; return the spikes that fell off."""
    samples, ticks, channels = box
    start, stop = ticks.start + by, ticks.stop + by
    first, last = max(start, 0), max(min(stop, x.shape[1]), 0)
    if first >= last:
        return int(moved.sum())
    kept = moved[:, first - start : last - start]
    x[samples, first:last, channels] += kept
    return int(moved.sum() - kept.sum())
