"""Compare two traces and say where they part and why, as far as they tell what they were made from."""

import re
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikefab.microscope.causes import find_causes
from spikefab.microscope.look import AFTER, BEFORE, Look, look_at
from spikefab.microscope.looker import differing_samples, n_whole
from spikefab.microscope.origin import CauseUnknownError, Pair, pair_of
from spikefab.microscope.shares import Causes, First
from spikefab.telling import BadInputError
from traces.compare import Comparison, compare
from traces.errors import TraceFormatError
from traces.trace import Trace

Array = NDArray[Any]

SAMPLES = 8
"""Samples that are run again where nothing else is asked for."""
MOST_TICKS = 8192
"""Ticks of a longer sample that are run again, unless what is looked at lies behind them."""
BEHIND = 64
"""Ticks beyond what is looked at."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """A neuron, a sample and ticks to look at; ticks count without the population's lag."""

    population: str
    neuron: int
    sample: int
    first_tick: int
    stop_tick: int


@dataclass(frozen=True, kw_only=True, eq=False)
class Recorded:
    """What the two traces themselves hold of a neuron, where nothing can be run again.

    Attributes
    ----------
    spikes : int64 [n_ticks, 2]
        Of a and of b.
    membrane : float64 [n_ticks, 2]
        In the network's units; NaN where it was not recorded.
    """

    place: Place
    spikes: Array
    membrane: Array


@dataclass(frozen=True, kw_only=True, eq=False)
class Divergence:
    """Two traces side by side, and why they differ.

    Attributes
    ----------
    comparison : Comparison
    first : First or None
        The first spike that differs: that of the comparison, or from the network as it was
        trained, where that was asked for. The first recorded state, where no spike differs.
    base, full : str
        Names of the two sides that effects lie between: the one in float, if there is one, first.
    swapped : bool
        Whether the base is b.
    against_float : bool
        Whether the base alone is in float.
    look : Look or None
        The neuron that differs first, or the one that was asked for, run again on both sides.
    recorded : Recorded or None
        The same from the traces alone, where they cannot be run again.
    causes : Causes or None
    why_not : str
        Why there are no causes; empty where there are, or where nothing differs.
    n_ticks : int
        Ticks of each sample that were run again; 0 where none were.
    ticks : int
        Ticks of each sample.
    """

    comparison: Comparison
    first: First | None
    base: str
    full: str
    swapped: bool
    against_float: bool
    look: Look | None
    recorded: Recorded | None
    causes: Causes | None
    why_not: str
    n_ticks: int
    ticks: int


def explain_difference(
    a: str | Path | Trace,
    b: str | Path | Trace,
    *,
    samples: int = SAMPLES,
    as_trained: bool = False,
    neuron: str | None = None,
    ticks: tuple[int, int] | None = None,
    sample: int | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Divergence:
    """Compare two traces, find the first neuron that differs, and name the cause.

    Parameters
    ----------
    a, b : path or Trace
        Of one network; one in float and one of a chip, or two of chips.
    samples : int
        How many of the samples that differ are run again, the first ones. With 0 nothing is run
        again but for a neuron that is asked for.
    as_trained : bool
        Ask why the chip differs from the network in instant timing, as it was trained, in place
        of the float trace, which has the chip's timing.
    neuron : str, optional
        ``population[index]`` to look at, in place of the first that differs.
    ticks : (int, int), optional
        Ticks to look at, the second exclusive, without the population's lag.
    sample : int, optional
        Sample to look at.
    progress : callable
        Gets the runs that are done, and how many there will be.

    Raises
    ------
    BadInputError
        If the traces have nothing in common, or there is no such neuron or tick.
    TraceFormatError
        If a file is damaged.
    """
    with ExitStack() as stack:
        traces = [t if isinstance(t, Trace) else stack.enter_context(Trace.open(t)) for t in (a, b)]
        first, second = traces
        try:
            comparison = compare(first, second)
        except ValueError as error:
            raise BadInputError(str(error)) from error
        start = _first_of(comparison) or first_state(first, second, comparison)
        asked = (neuron, ticks, sample) != (None, None, None)
        place = (
            _place(traces, comparison, start, neuron, ticks, sample) if samples or asked else None
        )
        pair, why_not = None, ""
        # What is equal has no cause; but it may still differ from the network as it was trained.
        if asked or (samples and (as_trained or not comparison.equal)):
            pair, why_not = _pair(traces, as_trained, _most_ticks(traces, place), stack, samples)
        found = None
        if pair is not None and samples:
            chosen = _chosen(pair, comparison, samples)
            if chosen:
                found = find_causes(pair, chosen, progress=progress)
            elif comparison.first is not None:
                why_not = (
                    "what differs lies in samples that broke off, or behind the ticks that are run"
                )
        if as_trained and found is not None:
            start = found.first
            place = _place(traces, comparison, start, neuron, ticks, sample)
        look = seen = None
        if place is not None:
            look, seen = _look(pair, first, second, place)
        labels = ("a", "b") if pair is None else pair.labels
        return Divergence(
            comparison=comparison,
            first=start,
            base=labels[0],
            full=labels[1],
            swapped=pair is not None and pair.swapped,
            against_float=pair is not None and pair.base.chip is None is not pair.full.chip,
            look=look,
            recorded=seen,
            causes=found,
            why_not=why_not,
            n_ticks=0 if pair is None else pair.n_ticks,
            ticks=max(trace.ticks for trace in traces),
        )


def _chosen(pair: Pair, comparison: Comparison, most: int) -> list[int]:
    """Take the first samples that differ; by their readouts, where no spike does."""
    if comparison.first is None and not any(p.state_max_error for p in comparison.populations):
        # As trained, the recorded float is not what the chip is compared with.
        return differing_samples(pair, most) if pair.base.trace is None else []
    found = differing_samples(pair, most)
    return found or list(range(min(most, n_whole(pair))))


def _first_of(comparison: Comparison) -> First | None:
    found = comparison.first
    if found is None:
        return None
    return First(found.sample, found.tick, found.population, found.neuron)


def first_state(a: Trace, b: Trace, comparison: Comparison) -> First | None:
    """Find the first recorded membrane that differs, and of those the one that differs most."""
    names = [p.name for p in comparison.populations if p.state_max_error]
    for sample in range(min(a.samples, b.samples)) if names else ():
        found = []
        for order, name in enumerate(names):
            frames = [_sample_state(trace, name, sample) for trace in (a, b)]
            n = min(map(len, frames))
            off = np.abs(frames[0][:n] - frames[1][:n])
            ticks = np.flatnonzero(off.any(axis=1))
            if ticks.size:
                tick = int(ticks[0])
                found.append((tick, order, First(sample, tick, name, int(off[tick].argmax()))))
        if found:
            return min(found)[2]
    return None


def _sample_state(trace: Trace, name: str, sample: int) -> Array:
    first = sample * trace.ticks + trace.population(name).lag
    return trace.state(name, "v", first, (sample + 1) * trace.ticks)


def _most_ticks(traces: list[Trace], place: Place | None) -> int:
    """Ticks of a sample that are run again."""
    if place is None:
        return MOST_TICKS
    lag = max(trace.population(place.population).lag for trace in traces)
    return max(MOST_TICKS, place.stop_tick + lag + BEHIND)


def _pair(
    traces: list[Trace], as_trained: bool, most_ticks: int, stack: ExitStack, samples: int
) -> tuple[Pair | None, str]:
    """Find what the two were made from; or why not."""
    try:
        pair = pair_of(*traces, as_trained=as_trained, most_ticks=most_ticks, stack=stack)
    except (CauseUnknownError, TraceFormatError) as error:
        return None, str(error) if samples else ""
    return pair, ""


def _place(
    traces: list[Trace],
    comparison: Comparison,
    first: First | None,
    neuron: str | None,
    ticks: tuple[int, int] | None,
    sample: int | None,
) -> Place | None:
    """Find what to look at: what was asked for, else around the first difference."""
    if neuron is None and ticks is None and sample is None:
        if first is None:
            return None
        return Place(
            population=first.population, neuron=first.neuron, sample=first.sample,
            first_tick=max(first.tick - BEFORE, 0), stop_tick=first.tick + AFTER + 1,
        )  # fmt: skip
    if neuron is not None:
        population, index = read_neuron(neuron)
    elif first is not None:
        population, index = first.population, first.neuron
    else:
        raise BadInputError("the two do not differ: say which neuron to look at (--neuron)")
    names = [p.name for p in comparison.populations]
    sizes = {name: traces[0].population(name).size for name in names}
    if population not in sizes:
        raise BadInputError(
            f"there is no population {population!r} in both; there are {', '.join(sizes)}"
        )
    if not 0 <= index < sizes[population]:
        raise BadInputError(
            f"there is no {population}[{index}]; {population!r} has 0..{sizes[population] - 1}"
        )
    chosen = sample if sample is not None else first.sample if first is not None else 0
    n_samples = min(trace.samples for trace in traces)
    if not 0 <= chosen < n_samples:
        raise BadInputError(f"there is no sample {chosen}; there are 0..{n_samples - 1}")
    around = first.tick if first is not None and first.sample == chosen else BEFORE
    start, stop = ticks or (max(around - BEFORE, 0), around + AFTER + 1)
    length = min(trace.ticks - trace.population(population).lag for trace in traces)
    if not 0 <= start < stop or start >= length:
        raise BadInputError(
            f"ticks {start}:{stop} are not there; {population!r} has 0:{length} without its lag"
        )
    return Place(
        population=population, neuron=index, sample=chosen, first_tick=start,
        stop_tick=min(stop, length),
    )  # fmt: skip


def read_neuron(text: str) -> tuple[str, int]:
    """Read ``population[index]``.

    Raises
    ------
    BadInputError
    """
    found = re.fullmatch(r"(.+)\[(\d+)\]", text.strip())
    if found is None:
        raise BadInputError(f"{text!r} names no neuron; write it as hidden[42]")
    return found[1], int(found[2])


def read_ticks(text: str) -> tuple[int, int]:
    """Read ``first:stop``.

    Raises
    ------
    BadInputError
    """
    found = re.fullmatch(r"(\d+):(\d+)", text.strip())
    if found is None or int(found[1]) >= int(found[2]):
        raise BadInputError(f"{text!r} names no ticks; write them as 10:20, the last one exclusive")
    return int(found[1]), int(found[2])


def _look(
    pair: Pair | None, a: Trace, b: Trace, place: Place
) -> tuple[Look | None, Recorded | None]:
    if pair is not None:
        look = look_at(
            pair, place.population, place.neuron, place.sample,
            (place.first_tick, place.stop_tick),
        )  # fmt: skip
        return look, None
    return None, _recorded(a, b, place)


def _recorded(a: Trace, b: Trace, place: Place) -> Recorded:
    """Read a neuron from two traces."""
    n = place.stop_tick - place.first_tick
    spikes, membrane = np.zeros((n, 2), np.int64), np.full((n, 2), np.nan)
    for k, trace in enumerate((a, b)):
        lag = trace.population(place.population).lag
        first = place.sample * trace.ticks + lag + place.first_tick
        found = trace.spikes(place.population, first, first + n)
        mine = found.neurons == place.neuron
        payload = np.ones(mine.size, np.int64) if found.payload is None else found.payload
        np.add.at(spikes[:, k], found.ticks[mine] - first, payload[mine])
        if (place.population, "v") in trace.states():
            frames = trace.state(place.population, "v", first, first + n)
            membrane[: len(frames), k] = frames[:, place.neuron]
    return Recorded(place=place, spikes=spikes, membrane=membrane)
