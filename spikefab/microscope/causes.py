"""Which effects a difference comes from: each switched off by itself, and on by itself.

Three looks at the same spikes, as none tells all. *Without*: of the spikes that differ, those that
no longer do when one effect of the chip is taken back. *Alone*: those that one effect makes by
itself in the network in float. *In turn*: all effects taken back one after another, the largest
first, so that the steps add up to everything. Where effects work together, the first two do not
add up; what neither sees is counted as unexplained.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mapping.effects.effects import in_play, mixed
from mapping.effects.machine import Machine, MixedRun
from mapping.effects.sides import Side
from spikefab.microscope.origin import Pair
from spikefab.microscope.rasters import Differences, Frame, Raster, differing, recorded, rerun

Array = NDArray[Any]
Progress = Callable[[int, int], None]


class First(NamedTuple):
    """A spike that differs; the tick counts without the population's lag."""

    sample: int
    tick: int
    population: str
    neuron: int


@dataclass(kw_only=True)
class Share:
    """What one effect does to the difference, summed over samples.

    Attributes
    ----------
    vanish, appear : dict of population to int
        Without it: differing spikes that no longer differ, and others that then do.
    alone, alone_other : dict of population to int
        With it alone: spikes that differ, of those that differ on the full side, and others.
    in_turn : int or None
        Differing spikes that are gone when it is taken back in its turn; negative where that makes
        more. None where that look was not taken.
    classes_back : int
        Without it: samples with the class of the base, of those with another class.
    classes_alone : int
        With it alone: samples with another class than the base.
    right_without, right_alone : int
        Samples whose class is right.
    readout_without, readout_alone : float
        Sum of squared deviations of readouts that never spike.
    """

    name: str
    vanish: dict[str, int] = field(default_factory=dict)
    appear: dict[str, int] = field(default_factory=dict)
    alone: dict[str, int] = field(default_factory=dict)
    alone_other: dict[str, int] = field(default_factory=dict)
    in_turn: int | None = None
    classes_back: int = 0
    classes_alone: int = 0
    right_without: int = 0
    right_alone: int = 0
    readout_without: float = 0.0
    readout_alone: float = 0.0


@dataclass(kw_only=True)
class Causes:
    """What the differences between two runs come from.

    Attributes
    ----------
    samples : list of int
        Those that were run again.
    n_runs : int
    differing : dict of population to int
        Spikes that differ in these samples.
    shares : list of Share
        Effects in which the two sides differ, in the order in which they are taken back in turn.
    unexplained : int
        Differing spikes that stay whichever effect is taken back, and that no effect makes alone.
    noise : int
        Spikes in which the base differs from what was recorded when it is run again: rounding of
        float64, or an earlier version.
    unlike : int
        The same, of the full side. If there are any, nothing was attributed.
    left_in_turn : int or None
        Differing spikes that stay when all effects are taken back.
    classes_differ, right_base, right_full, judged : int
        Samples with another class; with the right class on either side; samples with a class.
    readout : float
        Sum of squared deviations of readouts that never spike.
    readout_values : int
        How many values that is the sum of.
    first : First or None
        The first differing spike of these samples.
    first_signs : dict of effect to (vanishes without it, is there with it alone)
        Of that spike.
    broken_off : bool
        Whether this is what was known when the user interrupted.
    """

    samples: list[int] = field(default_factory=list)
    n_runs: int = 0
    differing: dict[str, int] = field(default_factory=dict)
    shares: list[Share] = field(default_factory=list)
    unexplained: int = 0
    noise: int = 0
    unlike: int = 0
    left_in_turn: int | None = None
    classes_differ: int = 0
    right_base: int = 0
    right_full: int = 0
    judged: int = 0
    readout: float = 0.0
    readout_values: int = 0
    first: First | None = None
    first_signs: dict[str, tuple[bool, bool]] = field(default_factory=dict)
    broken_off: bool = False

    @property
    def total(self) -> int:
        """Differing spikes of all populations."""
        return sum(self.differing.values())


def frames_of(pair: Pair) -> dict[str, Frame]:
    """Aligned ticks of each spiking population."""
    base, full = pair.base, pair.full
    ticks = [
        min(pair.n_ticks, o.trace.ticks if o.trace is not None else o.samples.n_ticks)
        for o in (base, full)
    ]
    found = {}
    for part in base.side.network.order:
        if part.spiking:
            lags = base.side.lag[part.name], full.side.lag[part.name]
            length = min(t - lag for t, lag in zip(ticks, lags, strict=True))
            found[part.name] = Frame(part.size, max(length, 0))
    return found


def differing_samples(pair: Pair, most: int) -> list[int]:
    """Find the first samples in which recorded spikes differ; all of them where that is known."""
    looker = Looker(pair)
    found: list[int] = []
    for sample in range(looker.n_samples):
        if len(found) == most:
            break
        if any(keys.size for keys in looker.differences(sample).values()):
            found.append(sample)
    return found


def n_whole(pair: Pair) -> int:
    """Samples that both sides have to their end."""
    traces = [o.trace for o in (pair.base, pair.full) if o.trace is not None]
    samples = [len(o.samples) for o in (pair.base, pair.full)]
    return min([*samples, *(t.whole_ticks // t.ticks for t in traces)])


class Looker:
    """Runs mixes of a pair and compares them with what was recorded."""

    def __init__(self, pair: Pair) -> None:
        self.pair = pair
        self.frames = frames_of(pair)
        self.n_runs = 0
        self.n_samples = n_whole(pair)
        self._base = pair.machine(pair.base.side) if pair.base.trace is None else None

    def base(self, sample: int) -> dict[str, Raster]:
        """Spikes of the base: recorded, or run again where nothing was recorded."""
        if self._base is not None:
            return self.rasters(self.run(self._base, sample), self.pair.base.side)
        return self._recorded(self.pair.base.trace, sample)

    def full(self, sample: int) -> dict[str, Raster]:
        """Spikes of the full side as they were recorded."""
        return self._recorded(self.pair.full.trace, sample)

    def _recorded(self, trace: Any, sample: int) -> dict[str, Raster]:
        return {name: recorded(trace, name, sample, frame) for name, frame in self.frames.items()}

    def differences(self, sample: int) -> Differences:
        """Where the two recordings differ."""
        return between(self.base(sample), self.full(sample))

    def run(self, machine: Machine, sample: int) -> MixedRun:
        """Run a mix."""
        self.n_runs += 1
        return self.pair.run(machine, sample)

    def rasters(self, run: MixedRun, side: Side) -> dict[str, Raster]:
        """Spikes of a mix as they are compared."""
        return {
            name: rerun(run, name, side.lag[name], frame) for name, frame in self.frames.items()
        }


def between(one: dict[str, Raster], other: dict[str, Raster]) -> dict[str, Array]:
    """Places that differ, population by population."""
    return {name: differing(one[name], other[name]) for name in one}


def find_causes(
    pair: Pair,
    samples: list[int],
    *,
    in_turn: bool = True,
    progress: Progress = lambda done, total: None,
) -> Causes:
    """Run each effect without and alone in some samples.

    Parameters
    ----------
    samples : list of int
        In the order in which they are run; what was done when the user interrupts is returned.
    in_turn : bool
        Whether to take effects back one after another as well.
    progress : callable
        Gets the runs that are done, and how many there will be.
    """
    base, full = pair.base.side, pair.full.side
    names = in_play(base, full)
    found = Causes(shares=[Share(name=name) for name in names])
    looker = Looker(pair)
    most = len(samples) * runs_of(len(names), in_turn)
    sides = [base, full]
    for name in names:
        one = frozenset([name])
        sides += [mixed(full, base, one), mixed(base, full, one)]
    machines = [pair.machine(side) for side in sides]
    try:
        for sample in samples:
            looked = _Sample(looker, sample)
            for side, machine in zip(sides, machines, strict=True):
                looked.add(looker.run(machine, sample), side)
                progress(looker.n_runs, most)
            looked.count(found, first=sample == samples[0])
        if in_turn and not found.unlike:
            _take_back(found, looker, progress, most)
    except KeyboardInterrupt:
        found.broken_off = True
    found.n_runs = looker.n_runs
    return found


def runs_of(n_effects: int, in_turn: bool = True) -> int:
    """Runs of each sample: both ends, each effect without and alone, and all of them in turn."""
    return 2 + 2 * n_effects + (max(n_effects - 1, 0) if in_turn else 0)


class _Sample:
    """One sample, run with each mix."""

    def __init__(self, looker: Looker, sample: int) -> None:
        self._looker, self._number = looker, sample
        self._base, self._full = looker.base(sample), looker.full(sample)
        self._different = between(self._base, self._full)
        self._off: list[Differences] = []
        self._unlike: Differences = {}
        self._answers: list[_Answer] = []

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
        found.noise += _size(self._off[0])
        found.unlike += _size(self._unlike)
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
        found.unexplained += _size(unseen)

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
class _Answer:
    """Class of a sample, and the membranes of readouts that never spike, one after the other."""

    number: int
    membranes: Array


def _answer(run: MixedRun, side: Side, pair: Pair) -> _Answer:
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
    return _Answer(
        number=int(scores.argmax()), membranes=np.concatenate(frames) if frames else np.empty(0)
    )


def _squares(one: _Answer, other: _Answer) -> float:
    n = min(one.membranes.size, other.membranes.size)
    return float(np.square(one.membranes[:n] - other.membranes[:n]).sum())


def _add(into: dict[str, int], name: str, count: Any) -> None:
    into[name] = into.get(name, 0) + int(count)


def _size(found: Differences) -> int:
    return sum(int(keys.size) for keys in found.values())


def _take_back(found: Causes, looker: Looker, progress: Progress, most: int) -> None:
    """Take effects back one after another, those first that most vanishes without."""
    pair = looker.pair
    order = sorted(found.shares, key=lambda s: (-sum(s.vanish.values()), -sum(s.alone.values())))
    back: frozenset[str] = frozenset()
    before = found.total
    for share in order:
        back |= {share.name}
        side = mixed(pair.full.side, pair.base.side, back)
        stays = _stays(found, looker, side) if len(back) < len(order) else found.noise
        progress(looker.n_runs, most)
        share.in_turn, before = before - stays, stays
    found.shares, found.left_in_turn = order, before


def _stays(found: Causes, looker: Looker, side: Side) -> int:
    machine = looker.pair.machine(side)
    return sum(
        _size(between(looker.base(sample), looker.rasters(looker.run(machine, sample), side)))
        for sample in found.samples
    )
