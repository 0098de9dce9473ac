"""Which effects a difference comes from: each switched off by itself, and on by itself.

Three looks at the same spikes, as none tells all. *Without*: of the spikes that differ, those that
no longer do when one effect of the chip is taken back. *Alone*: those that one effect makes by
itself in the network in float. *In turn*: all effects taken back one after another, the largest
first, so that the steps add up to everything. Where effects work together, the first two do not
add up; what neither sees is counted as unexplained.
"""

from collections.abc import Callable

from mapping.effects.effects import in_play, mixed
from mapping.effects.sides import Side
from spikefab.microscope.looker import Looker, between
from spikefab.microscope.origin import Pair
from spikefab.microscope.rasters import total
from spikefab.microscope.sample_look import SampleLook
from spikefab.microscope.shares import Causes, Share

Progress = Callable[[int, int], None]


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
            looked = SampleLook(looker, sample)
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
        total(between(looker.base(sample), looker.rasters(looker.run(machine, sample), side)))
        for sample in found.samples
    )
