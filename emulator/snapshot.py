"""What a run can go on from: the machine between two ticks, as a header and named arrays.

Everything is kept as wide as it can be, and nothing of how it was computed: not the threads, the
length of blocks, or the width of registers. Who is awake is not kept either: all neurons are
looked at once after a restart, which changes nothing (`emulator.activity`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emulator.activity import Counters, Wake
from emulator.delivery import Pending
from emulator.errors import SnapshotError
from emulator.neuron import State
from emulator.noc.scratch import Traffic
from emulator.sweep import BLOCK

Array = NDArray[Any]

FORM = "spikefab-snapshot-1"
"""Changes when a snapshot's arrays change their meaning."""
ORIGIN = ("form", "program_sha256", "chip_sha256", "fabric", "seed")
"""Parts of the header that must be those of the engine that goes on."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Snapshot:
    """A machine between two ticks.

    Attributes
    ----------
    header : dict
        Plain values: what it belongs to (`ORIGIN`), the ``sample`` and ``tick`` that come next, the
        simulated time ``now_ps``, and how many ticks have passed in all, ``n_ticks``.
    arrays : mapping of name to array
        Counters and what the fabric has carried. Within a sample also registers and what is on its
        way; between samples there is none, since samples begin afresh.
    """

    header: dict[str, Any]
    arrays: dict[str, Array]

    @property
    def sample(self) -> int:
        """Sample that comes next, or that it lies in."""
        return int(self.header["sample"])

    @property
    def tick(self) -> int:
        """Tick of it that comes next."""
        return int(self.header["tick"])

    @property
    def now_ps(self) -> int:
        """Simulated time."""
        return int(self.header["now_ps"])

    def check_origin(self, about: Mapping[str, Any]) -> None:
        """Refuse to go on with another machine.

        Raises
        ------
        SnapshotError
            With every part of `ORIGIN` that differs.
        """
        found = [
            f"{name}: {self.header.get(name)!r} in the snapshot, {about[name]!r} here"
            for name in ORIGIN
            if self.header.get(name) != about[name]
        ]
        found += [
            f"{name}: a number from 0 on expected, got {self.header.get(name)!r}"
            for name in ("sample", "tick", "now_ps", "n_ticks")
            if not _is_count(self.header.get(name))
        ]
        if found:
            raise SnapshotError("the snapshot is not of this machine:\n  - " + "\n  - ".join(found))


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def of_columns(prefix: str, columns: Counters | Traffic) -> dict[str, Array]:
    """Name copies of some columns."""
    return {f"{prefix}_{name}": column.copy() for name, column in columns._asdict().items()}


def take_columns(prefix: str, columns: Counters | Traffic, arrays: Mapping[str, Array]) -> None:
    """Fill columns with what `of_columns` named.

    Raises
    ------
    SnapshotError
    """
    named = {f"{prefix}_{name}": column for name, column in columns._asdict().items()}
    check_arrays(arrays, named)
    for name, column in named.items():
        column[...] = arrays[name]


def check_arrays(arrays: Mapping[str, Array], like: Mapping[str, Array]) -> None:
    """Refuse arrays that are not there, or are not as large or of the kind that is wanted.

    Raises
    ------
    SnapshotError
        With all that is wrong.
    """
    found = []
    for name, wanted in like.items():
        if name not in arrays:
            found.append(f"{name} is missing")
            continue
        array = arrays[name]
        if array.shape != wanted.shape:
            found.append(f"{name}: shape {wanted.shape} expected, got {array.shape}")
        elif (array.dtype.kind == "f") != (wanted.dtype.kind == "f"):
            found.append(f"{name}: numbers like {wanted.dtype} expected, got {array.dtype}")
        elif np.any(array.astype(wanted.dtype) != array):
            found.append(f"{name}: numbers beyond {wanted.dtype}")
    if found:
        raise SnapshotError("the snapshot cannot be loaded:\n  - " + "\n  - ".join(found))


def of_machine(state: State, pending: Pending) -> dict[str, Array]:
    """Name copies of all registers, and of what is on its way, where there is something."""
    sums = pending.sums.ravel()
    # Bit by bit, so that a negative zero stays one.
    at = np.flatnonzero(sums.view(np.int64) if sums.dtype.kind == "f" else sums)
    n_last = int(pending.n_last[0])
    return {
        **{name: _wide(column) for name, column in state._asdict().items()},
        "sums_at": at, "sums": _wide(sums[at]), "marks_at": np.flatnonzero(pending.marks),
        "last": _wide(pending.last[:n_last]), "last_payload": _wide(pending.last_payload[:n_last]),
    }  # fmt: skip


def _wide(column: Array) -> Array:
    kinds = {"f": np.float64, "b": np.uint8}
    return column.astype(kinds.get(column.dtype.kind, np.int64))


def take_machine(arrays: Mapping[str, Array], state: State, pending: Pending) -> None:
    """Fill registers with what `of_machine` named; sums that are not named stay as they are.

    Raises
    ------
    SnapshotError
    """
    sums, marks = pending.sums.reshape(-1), pending.marks.reshape(-1)
    check_arrays(arrays, state._asdict())
    n_last = _places("last", arrays, pending.last.size, pending.last.size)
    n_sums = _places("sums_at", arrays, sums.size, sums.size)
    n_marks = _places("marks_at", arrays, marks.size, marks.size)
    check_arrays(
        arrays,
        {"sums": sums[:n_sums], "last_payload": pending.last_payload[:n_last],
         "sums_at": np.empty(n_sums, np.int64), "marks_at": np.empty(n_marks, np.int64)},
    )  # fmt: skip
    for name, column in state._asdict().items():
        column[...] = arrays[name]
    sums[arrays["sums_at"]] = arrays["sums"]
    marks[arrays["marks_at"]] = True
    pending.last[:n_last], pending.last_payload[:n_last] = arrays["last"], arrays["last_payload"]
    pending.n_last[0] = n_last


def _places(name: str, arrays: Mapping[str, Array], n_most: int, stop: int) -> int:
    """Count places that are named, each of which compiled code will go to.

    Raises
    ------
    SnapshotError
    """
    at = arrays.get(name)
    if at is None or at.ndim != 1 or at.size > n_most or at.dtype.kind not in "iu":
        raise SnapshotError(f"the snapshot cannot be loaded: {name} is missing or damaged")
    if at.size and not 0 <= at.min() <= at.max() < stop:
        raise SnapshotError(
            f"the snapshot cannot be loaded: {name} names {at.min()}..{at.max()} of {stop}"
        )
    return int(at.size)


def wake_all(wake: Wake, pending: Pending) -> None:
    """Let every block be looked at in the next tick, and those that get input when it acts."""
    wake.busy[wake.first_neuron // BLOCK : -(-wake.last_neuron // BLOCK)] = 1
    slots, _, neurons = np.nonzero(pending.sums)
    mine = (neurons >= wake.first_neuron) & (neurons < wake.last_neuron)
    wake.marks[slots[mine], neurons[mine] // BLOCK] = 1


def on_its_way(arrays: Mapping[str, Array], bias: Array) -> tuple[float, float]:
    """How large a sum that waits is at most, and a current that is injected."""
    sums, push = arrays.get("sums"), arrays.get("push")
    if sums is None or push is None or push.shape != bias.shape:
        return 0.0, 0.0  # `take_machine` refuses it
    injected = np.abs(push.astype(np.float64) - bias).max(initial=0)
    return float(np.abs(sums.astype(np.float64)).max(initial=0)), float(injected)
