"""A measure of two spike trains, for one pair, for pairs one by one, and for all pairs of many."""

import itertools
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from traces.jit import COMPILES, inner, lean, specialised
from traces.measures.trains import Trains

Array = NDArray[Any]

THREADS = 2
_PIECES_A_THREAD = 16
"""Trains differ in length, so each thread takes several pieces of the work, one after another."""


class Prepared(NamedTuple):
    """What a kernel sees of trains: numbers of each, ascending, and one that sums it up.

    ``first`` int64 [n_trains + 1], ``values`` float64 [n_values], ``aside`` float64 [n_trains].
    Instants are counted from the start of the window; as float64 they are exact below 2**53.
    """

    first: Array
    values: Array
    aside: Array


@dataclass(frozen=True, kw_only=True)
class Measure:
    """How far apart, or how alike, two spike trains are; symmetric in the two.

    Attributes
    ----------
    name : str
    parameters : mapping of str to float
        As the user gave them, units in their names.
    prepare : callable
        From trains to what the kernel sees of them, once for each train.
    kernel : kernel
        In place of `one`: the value of one pair.
    constants : callable
        From trains to numbers that the kernel is given for all pairs.
    """

    name: str
    parameters: Mapping[str, float] = field(default_factory=dict)
    prepare: Callable[[Trains], Prepared]
    kernel: Callable[..., float]
    constants: Callable[[Trains], tuple[float, ...]]


def pair(measure: Measure, a: ArrayLike, b: ArrayLike, *, start: int = 0, stop: int) -> float:
    """Measure two trains, given as lists of ticks, in a window of ticks.

    Raises
    ------
    ValueError
        If ticks are no whole numbers or outside of the window.
    """
    return float(pairwise(measure, *(Trains.of([x], start=start, stop=stop) for x in (a, b)))[0, 0])


def one_by_one(measure: Measure, a: Trains, b: Trains, *, threads: int = THREADS) -> Array:
    """Measure train ``k`` of a against train ``k`` of b; float64 [n_trains].

    Raises
    ------
    ValueError
        If their windows or numbers of trains differ.
    """
    if len(a) != len(b):
        raise ValueError(f"a has {len(a)} trains and b has {len(b)}; one by one needs as many")
    begin = np.arange(len(a))
    out = np.empty(len(a))
    _fill(measure, a, b, _Work(begin, begin + 1, begin), out, threads)
    return out


def pairwise(
    measure: Measure, a: Trains, b: Trains | None = None, *, threads: int = THREADS
) -> Array:
    """Measure all pairs.

    Parameters
    ----------
    measure : Measure
    a, b : Trains
        Without b all pairs of a, each computed once.
    threads : int
        Share the pairs; the result is the same for any number.

    Returns
    -------
    float64 [n_trains_a, n_trains_b]

    Raises
    ------
    ValueError
        If the windows of the two differ.
    """
    row = np.arange(len(a))
    if b is not None:
        out = np.empty((len(a), len(b)))
        work = _Work(np.zeros_like(row), np.full_like(row, len(b)), row * len(b))
        _fill(measure, a, b, work, out.ravel(), threads)
        return out
    out = np.empty((len(a), len(a)))
    _fill(
        measure,
        a,
        a,
        _Work(row, np.full_like(row, len(a)), row * (len(a) + 1)),
        out.ravel(),
        threads,
    )
    below = np.tril_indices(len(a), -1)
    out[below] = out.T[below]
    return out


class _Work(NamedTuple):
    """Train ``i`` of a meets trains ``begin[i]`` to ``end[i]`` of b, written from ``at[i]`` on."""

    begin: Array
    end: Array
    at: Array


def _fill(measure: Measure, a: Trains, b: Trains, work: _Work, out: Array, threads: int) -> None:
    if (a.start, a.stop) != (b.start, b.stop):
        raise ValueError(
            f"trains of ticks {a.start} to {a.stop} and of ticks {b.start} to {b.stop} cannot be "
            f"measured by {measure.name}; cut both to one window with Trains.between"
        )
    if threads < 1:
        raise ValueError(f"threads must be at least 1, got {threads}")
    mine = measure.prepare(a)
    others = mine if b is a else measure.prepare(b)
    constants = np.array(measure.constants(a), np.float64)
    most = sum(int(np.diff(each.first).max(initial=0)) for each in (mine, others))
    rows = _rows(measure.kernel)

    def some(first: int, last: int) -> None:
        scratch, order = np.empty(2 * most + 1), np.empty((most + 1, 2), np.int64)
        rows(*mine, *others, *work, first, last, float(a.length), constants, scratch, order, out)

    cuts = _cuts(work, threads * _PIECES_A_THREAD if threads > 1 else 1)
    if threads == 1 or not COMPILES:
        for first, last in cuts:
            some(first, last)
        return
    with ThreadPoolExecutor(threads) as pool:
        for done in [pool.submit(some, first, last) for first, last in cuts]:
            done.result()


def _cuts(work: _Work, pieces: int) -> list[tuple[int, int]]:
    """Cut the rows into pieces of about as many pairs."""
    done = np.cumsum(work.end - work.begin)
    total = int(done[-1]) if done.size else 0
    targets = total * np.arange(1, pieces) // pieces
    edges = np.unique([0, *np.searchsorted(done, targets), done.size]).tolist()
    return list(itertools.pairwise(edges))


@inner
def one(
    a: Array, a_first: int, a_last: int, a_aside: float,
    b: Array, b_first: int, b_last: int, b_aside: float,
    length: float, constants: Array, scratch: Array, order: Array,
) -> float:  # fmt: skip
    """Stand for a measure of one pair: values ``a_first`` to ``a_last`` of a, and so of b.

    With n values in both, ``scratch`` float64 has room for 2 n + 1 and ``order`` int64 for n + 1 rows of 2.
    """
    return 0.0


@lean
def rows_of_pairs(
    a_first: Array, a: Array, a_aside: Array, b_first: Array, b: Array, b_aside: Array,
    begin: Array, end: Array, at: Array, first_row: int, last_row: int,
    length: float, constants: Array, scratch: Array, order: Array, out: Array,
) -> None:  # fmt: skip
    """Measure some rows of pairs."""
    for i in range(first_row, last_row):
        for j in range(begin[i], end[i]):
            out[at[i] + j - begin[i]] = one(
                a, a_first[i], a_first[i + 1], a_aside[i],
                b, b_first[j], b_first[j + 1], b_aside[j],
                length, constants, scratch, order,
            )  # fmt: skip


@cache
def _rows(kernel: Any) -> Any:
    return specialised([rows_of_pairs], {"one": kernel})["rows_of_pairs"]


def instants(trains: Trains) -> Prepared:
    """Prepare spikes as they are, counted from the start of the window."""
    return Prepared(
        trains.first, (trains.ticks - trains.start).astype(np.float64), np.zeros(len(trains))
    )


def nothing(trains: Trains) -> tuple[float, ...]:
    """Give a kernel no constants."""
    return ()
