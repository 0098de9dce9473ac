import numpy as np
import pytest

from spikefab.decisions import UNDECIDED, Decisions, settled_tick


def settled_slowly(scores):
    """The definition, tick by tick."""
    n_ticks = len(scores)
    leaders = []
    for tick in range(n_ticks):
        sums = [sum(scores[t][k] for t in range(tick + 1)) for k in range(len(scores[0]))]
        leaders.append(sums.index(max(sums)) if any(sums) else None)
    if leaders[-1] is None:
        return UNDECIDED
    return next(t for t in range(n_ticks) if all(x == leaders[-1] for x in leaders[t:]))


@pytest.mark.parametrize("seed", range(20))
def test_a_class_is_settled_when_it_leads_for_good(seed):
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, 3, (12, 3)) * (rng.random((12, 3)) < 0.3)
    assert settled_tick(scores) == settled_slowly(scores.tolist())


def test_nobody_leads_before_the_first_spike():
    assert settled_tick(np.array([[0, 0], [0, 0], [1, 0]])) == 2
    assert settled_tick(np.zeros((4, 3))) == UNDECIDED


def test_blocks_add_up_to_samples():
    decisions = Decisions(np.array([5, 2]), 6)
    none = np.zeros((2, 0))
    decisions.add(2, np.array([0, 1]), np.array([5, 3]), np.array([1, 9]), none)
    decisions.add(2, np.array([0, 0, 1]), np.array([2, 2, 5]), np.array([1, 1, 1]), none)
    decisions.end_sample()
    decisions.add(2, np.array([1]), np.array([2]), np.array([3]), none)
    decisions.end_sample()
    # Class 0 leads until class 1 has two spikes; then both have two, and the lower leads again.
    assert decisions.ticks == [3, 1]


def test_an_output_that_never_spikes_decides_by_its_membranes():
    decisions = Decisions(np.array([0, 1]), 2, slice(1, 3))
    frames = np.array([[9, 1, 0], [9, 0, 5]])
    no_spikes = np.array([], np.int64)
    decisions.add(2, no_spikes, no_spikes, no_spikes, frames)
    decisions.end_sample()
    assert decisions.ticks == [1]
