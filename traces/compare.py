"""Compare two traces of one network, each population aligned by its lag."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from traces.align import Aligned, Numbered, Window
from traces.correlation import Moments
from traces.trace import Trace

Array = NDArray[Any]


class Difference(NamedTuple):
    """A spike that only one of the two traces has, or that carries another payload.

    ``tick`` counts within the sample from the population's lag on; ``tick_a`` and ``tick_b`` are
    the same tick as the two traces count it within the sample; ``only_in`` is a, b, or None where
    only the payloads differ. ``payload_a`` is 0 where a has no spike; a spike without one counts 1.
    """

    sample: int
    tick: int
    population: str
    neuron: int
    only_in: str | None
    tick_a: int
    tick_b: int
    payload_a: int
    payload_b: int


@dataclass(frozen=True, kw_only=True)
class PopulationComparison:
    """How one population differs.

    Attributes
    ----------
    n_a, n_b, n_common : int
        Spikes in the aligned ticks of a, of b, and of both.
    n_payload_differs : int
        Of the common spikes, those with different payloads.
    n_ticks : int
        Ticks of all samples that were compared: those that both traces have.
    rate_error : float
        Mean absolute difference of rates, spikes per neuron and tick; a spike counts as often as
        its payload is large.
    rate_correlation : float or None
        Pearson correlation of spike counts over neurons and samples; None if one is constant.
    state_rms_error, state_max_error, state_correlation : float or None
        Of the recorded membrane of populations that never spike, in the network's units; None
        where it was not recorded in both.
    first : Difference or None
    """

    name: str
    n_a: int
    n_b: int
    n_common: int
    n_payload_differs: int
    n_ticks: int
    rate_error: float
    rate_correlation: float | None
    state_rms_error: float | None
    state_max_error: float | None
    state_correlation: float | None
    first: Difference | None

    @property
    def agreement(self) -> float:
        """Common spikes, whatever their payload, over all different ones; 1 if both are silent."""
        union = self.n_a + self.n_b - self.n_common
        return self.n_common / union if union else 1.0


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Two traces side by side.

    Attributes
    ----------
    complete_a, complete_b : bool
        False for a run that broke off; only the ticks up to there are compared.
    whole_ticks_a, whole_ticks_b : int
        Ticks from the start of the trace that are there.
    differences : tuple of str
        In what the two traces differ as a whole, and what was left out for that.
    partial : bool
        Whether only a part of the two could be compared: common populations, samples and ticks.
    """

    populations: tuple[PopulationComparison, ...]
    complete_a: bool
    complete_b: bool
    whole_ticks_a: int
    whole_ticks_b: int
    differences: tuple[str, ...] = ()
    partial: bool = False

    @property
    def n_ticks(self) -> int:
        """Ticks of all samples that were compared in every population."""
        return min((p.n_ticks for p in self.populations), default=0)

    @property
    def equal(self) -> bool:
        """Whether every spike and every state that was recorded in both is the same.

        Says nothing about ticks that a run lacks which broke off, see ``complete_a``. What can be
        compared in part alone is not equal.
        """
        return (
            not self.partial
            and self.first is None
            and not any(p.state_max_error for p in self.populations)
        )

    @property
    def first(self) -> Difference | None:
        """First difference by sample, aligned tick, population and neuron."""
        order = {p.name: k for k, p in enumerate(self.populations)}
        found = [p.first for p in self.populations if p.first is not None]
        return min(found, key=lambda d: (*d[:2], order[d.population], d.neuron), default=None)

    @property
    def agreement(self) -> float:
        """Common spikes of all populations over all different ones."""
        common = sum(p.n_common for p in self.populations)
        union = sum(p.n_a + p.n_b - p.n_common for p in self.populations)
        return common / union if union else 1.0


def compare(a: Trace, b: Trace) -> Comparison:
    """Compare spike by spike, in windows of ticks, so that long traces need little memory.

    Where the two are of different networks or lengths, what they have in common is compared, and
    the result says so (`Comparison.partial`).

    Raises
    ------
    ValueError
        If nothing is left to compare; says why.
    TraceFormatError
        If a file is damaged.
    """
    told, left_out = _unlike(a, b)
    in_b = {p.name: p for p in b.populations}
    aligned = [
        Aligned(a, b, p, in_b[p.name])
        for p in a.populations
        if p.name in in_b and p.name not in left_out
    ]
    if not aligned and (a.populations or b.populations):
        raise ValueError(f"{a.path} and {b.path} cannot be compared: " + "; ".join(told))
    if min(a.samples, b.samples) and aligned and not any(each.n_ticks for each in aligned):
        raise ValueError(
            f"{a.path} and {b.path} cannot be compared: they broke off before they had a tick in "
            f"common ({a.whole_ticks} and {b.whole_ticks} ticks are there)"
        )
    if a.samples != b.samples and not min(a.samples, b.samples):
        raise ValueError(f"{a.path} and {b.path} cannot be compared: " + "; ".join(told))
    return Comparison(
        populations=tuple(_compared(each) for each in aligned),
        complete_a=a.complete,
        complete_b=b.complete,
        whole_ticks_a=a.whole_ticks,
        whole_ticks_b=b.whole_ticks,
        differences=tuple(told),
        partial=bool(left_out) or a.samples != b.samples or a.input_ticks != b.input_ticks,
    )


def _unlike(a: Trace, b: Trace) -> tuple[list[str], set[str]]:
    """Say in what two traces differ, and which populations cannot be compared for that."""
    told: list[str] = []
    left_out: set[str] = set()
    in_a, in_b = ({p.name: p for p in trace.populations} for trace in (a, b))
    for name in sorted(in_a.keys() ^ in_b.keys()):
        told.append(f"population {name!r} is only in {(a if name in in_a else b).path}")
        left_out.add(name)
    for name in sorted(in_a.keys() & in_b.keys()):
        if in_a[name].shape != in_b[name].shape:
            told.append(f"population {name!r} is {in_a[name].shape} and {in_b[name].shape}")
            left_out.add(name)
        for trace, population in ((a, in_a[name]), (b, in_b[name])):
            if population.lag >= trace.ticks:
                told.append(
                    f"population {name!r} trails the input by {population.lag} ticks, but a "
                    f"sample of {trace.path} has {trace.ticks}"
                )
                left_out.add(name)
    for what in ("samples", "input_ticks", "dt_s"):
        if getattr(a, what) != getattr(b, what):
            told.append(f"{what} is {getattr(a, what)} and {getattr(b, what)}")
    networks = [str(trace.provenance.get("network_sha256", ""))[:12] for trace in (a, b)]
    if all(networks) and networks[0] != networks[1]:
        told.append(f"the networks are not the same ({networks[0]} and {networks[1]})")
    return told, left_out


def _difference(aligned: Aligned, key: int, a: Numbered, b: Numbered) -> Difference:
    payloads = [int(side.payload[side.keys == key].sum()) for side in (a, b)]
    there = [key in side.keys for side in (a, b)]
    sample, rest = divmod(key, aligned.length * aligned.size)
    tick, neuron = divmod(rest, aligned.size)
    return Difference(
        sample=sample,
        tick=tick,
        population=aligned.in_a.name,
        neuron=neuron,
        only_in=None if all(there) else "a" if there[0] else "b",
        tick_a=tick + aligned.in_a.lag,
        tick_b=tick + aligned.in_b.lag,
        payload_a=payloads[0],
        payload_b=payloads[1],
    )


def _compared(aligned: Aligned) -> PopulationComparison:
    a, b, size = aligned.a, aligned.b, aligned.size
    totals = np.zeros((2, size), np.int64)
    rates = Moments()
    n = np.zeros(2, np.int64)
    n_common = n_payload_differs = 0
    first: Difference | None = None
    open_sample = np.zeros((2, size), np.int64)
    spikes = max(a.n_spikes(aligned.in_a.name), b.n_spikes(aligned.in_b.name))
    for window in aligned.windows(spikes / max(a.samples * aligned.length, 1)):
        both = aligned.spikes(window)
        common, at_a, at_b = np.intersect1d(
            both[0].keys, both[1].keys, assume_unique=True, return_indices=True
        )
        unlike = common[both[0].payload[at_a] != both[1].payload[at_b]]
        n += [side.keys.size for side in both]
        n_common += common.size
        n_payload_differs += unlike.size
        if first is None:
            odd = np.setxor1d(both[0].keys, both[1].keys, assume_unique=True)
            at = min([*odd[:1].tolist(), *unlike[:1].tolist()], default=None)
            first = None if at is None else _difference(aligned, at, *both)
        counts = np.stack([_counts(side, aligned, window) for side in both])
        totals += counts.sum(axis=1)
        open_sample += counts[:, -1]
        if aligned.ends_sample(window):
            # The last sample of a window may have begun in earlier ones.
            counts[:, -1] = open_sample
            rates.add(counts[0], counts[1])
            open_sample[:] = 0
    states = _state_errors(aligned)
    return PopulationComparison(
        name=aligned.in_a.name,
        n_a=int(n[0]),
        n_b=int(n[1]),
        n_common=n_common,
        n_payload_differs=n_payload_differs,
        n_ticks=aligned.n_ticks,
        rate_error=float(
            np.abs(totals[0] - totals[1]).sum() / max(size, 1) / max(aligned.n_ticks, 1)
        ),
        rate_correlation=rates.correlation,
        state_rms_error=states.rms if states else None,
        state_max_error=states.max if states else None,
        state_correlation=states.correlation if states else None,
        first=first,
    )


def _counts(spikes: Numbered, aligned: Aligned, window: Window) -> Array:
    """Count the spikes of each neuron in each sample of a window; int64 [samples, n]."""
    n, size = window.last_sample - window.first_sample, aligned.size
    sample = spikes.keys // (aligned.length * size) - window.first_sample
    counts = np.zeros(n * size, np.int64)
    np.add.at(counts, sample * size + spikes.keys % size, np.abs(spikes.payload))
    return counts.reshape(n, size)


def _state_errors(aligned: Aligned) -> Moments | None:
    """Compare the membranes of a population that never spikes, if both were recorded."""
    wanted = (aligned.in_a.name, "v")
    sides = (aligned.a, aligned.b)
    if aligned.in_a.spiking or any(
        wanted not in t.states() or not t.all_frames(*wanted) for t in sides
    ):
        return None
    moments = Moments()
    for window in aligned.windows(aligned.size):
        for in_a, in_b in aligned.states(window):
            moments.add(in_a, in_b)
    return moments if moments.n else None
