"""The packets of a program, gathered by where they go."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from emulator.chip import Chip
from emulator.program import Program
from emulator.traffic import packets_of

Array = NDArray[Any]


class Sent(NamedTuple):
    """What one spike of each source on the chip sends: packets that fork to several cores.

    Packets of one core with the same targets are of one *bundle*: they go the same way.

    Attributes
    ----------
    source, bundle : int64 [n_packets]
        Ascending by bundle, then source.
    core : int64 [n_bundles]
        Index of the core in use that each is sent from; ascending.
    first : int64 [n_bundles + 1]
    target : int64 [n]
        Indices of cores in use: bundle b goes to ``target[first[b]:first[b + 1]]``, ascending.
    """

    source: Array
    bundle: Array
    core: Array
    first: Array
    target: Array

    @property
    def size(self) -> Array:
        """Packets of each bundle; int64 [n_bundles]."""
        return np.bincount(self.bundle, minlength=self.core.size)


def sent_by(program: Program, chip: Chip) -> Sent:
    """Read the packets off a program, as fabrics send them where packets fork.

    Several packets of one spike to the same core (in several weight formats) are packets of their
    own: the first of each core fork together, then the second.
    """
    packets = packets_of(program, chip)
    source = np.repeat(np.arange(packets.first.size - 1), np.diff(packets.first))
    target = packets.core.astype(np.int64)
    repeats = packets.repeats if packets.repeats.size else np.zeros(target.size, np.uint8)
    on_chip = program.source_core[source] >= 0
    source, target, repeats = source[on_chip], target[on_chip], repeats[on_chip]
    order = np.lexsort((target, repeats, source))
    source, target, repeats = source[order], target[order], repeats[order]
    rank = _rank_in_runs(np.stack([source, repeats, target]))
    order = np.lexsort((target, rank, repeats, source))
    source, target = source[order], target[order]
    begins = _begins(np.stack([source, repeats[order], rank[order]]))
    starts = np.flatnonzero(begins)
    ends = np.append(starts[1:], target.size)
    number: dict[tuple[int, bytes], int] = {}
    owner = source[starts]
    sender = program.source_core[owner]
    bundle = np.array(
        [
            number.setdefault((core, target[start:end].tobytes()), len(number))
            for core, start, end in zip(
                sender.tolist(), starts.tolist(), ends.tolist(), strict=True
            )
        ],
        np.int64,
    )
    known = sorted(number)
    place = np.empty(len(known), np.int64)
    place[[number[key] for key in known]] = np.arange(len(known))
    order = np.lexsort((owner, place[bundle]))
    lists = [np.frombuffer(cores, np.int64) for _, cores in known]
    return Sent(
        source=owner[order],
        bundle=place[bundle][order],
        core=np.array([core for core, _ in known], np.int64),
        first=np.concatenate([[0], np.cumsum([x.size for x in lists])]).astype(np.int64),
        target=np.concatenate([np.empty(0, np.int64), *lists]),
    )


def _begins(columns: Array) -> Array:
    """Whether each column differs from the one before it; bool [n]."""
    differs = np.ones(columns.shape[1], np.bool_)
    differs[1:] = np.any(columns[:, 1:] != columns[:, :-1], axis=0)
    return differs


def _rank_in_runs(columns: Array) -> Array:
    """How many equal columns come just before each; int64 [n]."""
    begins = _begins(columns)
    number = np.arange(begins.size)
    return np.asarray(number - np.maximum.accumulate(np.where(begins, number, 0)))
