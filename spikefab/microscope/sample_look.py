"""One sample, run with each mix: what vanishes without an effect, and what it makes alone."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mapping.effects.run import MixedRun
from mapping.effects.sides import Side
from spikefab.microscope.looker import Looker, between
from spikefab.microscope.origin import Pair
from spikefab.microscope.rasters import Differences, total
from spikefab.microscope.shares import Causes, First

Array = NDArray[Any]


class SampleLook:
    """One sample, run with each mix."""

    def __init__(self, looker: Looker, sample: int) -> None:
        self._looker, self._number = looker, sample
        self._base, self._full = looker.base(sample), looker.full(sample)
        self._different = between(self._base, self._full)
        self._off: list[Differences] = []
        self._unlike: Differences = {}
        self._answers: list[Answer] = []

    def add(self, run: MixedRun, side: Side) -> None:
        """Take the next mix: base, full, then each effect without and alone."""
        rasters = self._looker.rasters(run, side)
        if len(self._off) == 1:
            self._unlike = between(self._full, rasters)
        self._off.append(between(self._base, rasters))
        self._answers.append(_answer(run, side, self._looker.pair))

    def count(self, found: Causes, *, first: bool) -> None:
        """Add what this sample shows."""
        found.samples.append(self._number)
        found.noise += total(self._off[0])
        found.unlike += total(self._unlike)
        unseen = dict(self._different)
        earliest = self._first() if first else None
        if earliest is not None:
            tick, neuron = divmod(earliest[1], self._looker.frames[earliest[0]].size)
            found.first = First(self._number, tick, earliest[0], neuron)
        for name, keys in self._different.items():
            found.differing[name] = found.differing.get(name, 0) + int(keys.size)
        self._count_classes(found)
        for k, share in enumerate(found.shares):
            without, alone = self._off[2 + 2 * k], self._off[3 + 2 * k]
            for name, keys in self._different.items():
                stays = np.isin(keys, without[name], assume_unique=True)
                made = np.isin(keys, alone[name], assume_unique=True)
                _add(share.vanish, name, np.count_nonzero(~stays))
                _add(share.appear, name, without[name].size - np.count_nonzero(stays))
                _add(share.alone, name, np.count_nonzero(made))
                _add(share.alone_other, name, alone[name].size - np.count_nonzero(made))
                unseen[name] = np.setdiff1d(unseen[name], keys[~stays | made], assume_unique=True)
            if earliest is not None:
                name, key = earliest
                found.first_signs[share.name] = (key not in without[name], key in alone[name])
        found.unexplained += total(unseen)

    def _first(self) -> tuple[str, int] | None:
        """First differing spike by tick, then in the order of the signal."""
        frames = self._looker.frames
        firsts = [
            (int(keys[0]) // frames[name].size, order, name, int(keys[0]))
            for order, (name, keys) in enumerate(self._different.items())
            if keys.size
        ]
        return min(firsts)[2:] if firsts else None

    def _count_classes(self, found: Causes) -> None:
        base, full, *others = self._answers
        y = self._looker.pair.full.samples.y
        right = None if y is None else int(y[self._number])
        found.judged += right is not None
        found.right_base += base.number == right
        found.right_full += full.number == right
        differs = base.number != full.number
        found.classes_differ += differs
        found.readout += _squares(base, full)
        found.readout_values += base.membranes.size
        for k, share in enumerate(found.shares):
            without, alone = others[2 * k], others[2 * k + 1]
            share.classes_back += differs and without.number == base.number
            share.classes_alone += alone.number != base.number
            share.right_without += without.number == right
            share.right_alone += alone.number == right
            share.readout_without += _squares(base, without)
            share.readout_alone += _squares(base, alone)


@dataclass(frozen=True, kw_only=True, eq=False)
class Answer:
    """Class of a sample, and the membranes of readouts that never spike, one after the other."""

    number: int
    membranes: Array


def _answer(run: MixedRun, side: Side, pair: Pair) -> Answer:
    network = side.network
    output = network.readout(pair.full.readout)
    if output.spiking:
        _, neurons, times = run.spikes[output.name]
        scores = np.bincount(neurons, weights=np.abs(times), minlength=output.size)
    else:
        scores = run.states[output.name, "v"].mean(axis=0)
    ends = pair.base.side, pair.full.side
    silent = [network.population(name) for name in network.outputs]
    frames = []
    for part in silent:
        if not part.spiking:
            late = max(end.lag[part.name] for end in ends)
            first = side.lag[part.name]
            frames.append(run.states[part.name, "v"][first : run.n_ticks - (late - first)].ravel())
    return Answer(
        number=int(scores.argmax()), membranes=np.concatenate(frames) if frames else np.empty(0)
    )


def _squares(one: Answer, other: Answer) -> float:
    n = min(one.membranes.size, other.membranes.size)
    return float(np.square(one.membranes[:n] - other.membranes[:n]).sum())


def _add(into: dict[str, int], name: str, count: Any) -> None:
    into[name] = into.get(name, 0) + int(count)
