"""Check measures of spike trains against Elephant and PySpike, and how long all pairs take.

    python benchmarks/measures.py [--trains N] [--spikes K] [--seed S] [--json] [--record FILE]

Equality is checked on all pairs of some random trains and of tricky ones (none, one or several spikes
in a tick, at the edges): with Elephant's Victor-Purpura and van Rossum distances and spike time tiling
coefficient, with PySpike's ISI and SPIKE distances. Times are for all pairs of N trains of K spikes in a
window of 100 K ticks, ours with two threads, in the same run. PySpike's is measured whole; Elephant's,
of which all pairs take many minutes, is the time of some pairs times how many times as many there are.
Victor-Purpura is timed for a cost at which few spikes are in reach of each other and for one at which all
are; both must reach the bar. Times of fewer than 4,000 pairs are told and not judged.

Exit code 0 if all is equal, Victor-Purpura is at least 20 times as fast as Elephant's and the SPIKE
distance at least 3 times as fast as PySpike's compiled back end; 4 if not; 2 for bad input and where a
peer is missing. ``--record`` writes the peers' values and versions for the tests.
"""

import argparse
import importlib
import json
import statistics
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from standard import BadInputError, tell

from traces.measures import (
    Measure,
    Trains,
    isi_distance,
    pairwise,
    spike_distance,
    spike_time_tiling,
    van_rossum,
    victor_purpura,
)

Array = NDArray[Any]

CHECKED = 12
"""Random trains whose pairs are compared, and of which Elephant's time is taken."""
RUNS, THREADS = 3, 2
TICKS_A_SPIKE = 100
JUDGED = 4000
"""Pairs from which times are judged; fewer take less time than starting threads."""
FASTER = {"victor_purpura": 20.0, "spike_distance": 3.0}
EQUAL = 1e-9
TO_INSTALL = (
    "pip install elephant cython numpy 'setuptools>=77'; pip install --no-build-isolation pyspike"
)


class Peers(NamedTuple):
    """The modules of the peers."""

    units: Any
    neo: Any
    dissimilarity: Any
    correlation: Any
    pyspike: Any


def peers() -> Peers:
    """Import Elephant and PySpike with its compiled back end.

    Raises
    ------
    BadInputError
        If one of them is not there; says what to install.
    """
    names = ("quantities", "neo", "elephant.spike_train_dissimilarity",
             "elephant.spike_train_correlation", "pyspike")  # fmt: skip
    try:
        found = Peers(*map(importlib.import_module, names))
    except ImportError as error:
        raise BadInputError(f"a peer is not installed ({error}): {TO_INSTALL}") from error
    try:
        backend = importlib.import_module("pyspike.cython.cython_distances")
    except ImportError as error:
        raise BadInputError(
            f"PySpike is here without its compiled back end ({error}), which needs Cython and a "
            f"compiler when it is installed: {TO_INSTALL}"
        ) from error
    if Path(str(backend.__file__)).suffix == ".py":
        raise BadInputError(f"PySpike's back end {backend.__file__} is not compiled: {TO_INSTALL}")
    return found


class Case(NamedTuple):
    """One of our measures, and the peer's for all pairs of trains."""

    ours: Measure
    peer: str
    theirs: Callable[[Peers, Trains], Array]


def neo_trains(found: Peers, trains: Trains) -> list[Any]:
    ms = found.units.ms
    return [
        found.neo.SpikeTrain(trains[k] * ms, t_start=trains.start * ms, t_stop=trains.stop * ms)
        for k in range(len(trains))
    ]


def pyspike_trains(found: Peers, trains: Trains) -> list[Any]:
    edges = [trains.start, trains.stop]
    return [found.pyspike.SpikeTrain(trains[k], edges) for k in range(len(trains))]


def tiling(found: Peers, trains: Trains, dt_ticks: float) -> Array:
    given = neo_trains(found, trains)
    dt = dt_ticks * found.units.ms
    measure = found.correlation.spike_time_tiling_coefficient
    return np.array([[measure(x, y, dt=dt) for y in given] for x in given])


def victor_case(cost: float) -> Case:
    return Case(
        victor_purpura(cost), "elephant",
        lambda found, trains: found.dissimilarity.victor_purpura_distance(
            neo_trains(found, trains), cost / found.units.ms, sort=False
        ),
    )  # fmt: skip


def rossum_case(tau: float) -> Case:
    return Case(
        van_rossum(tau), "elephant",
        lambda found, trains: found.dissimilarity.van_rossum_distance(
            neo_trains(found, trains), tau * found.units.ms, sort=False
        ),
    )  # fmt: skip


def tiling_case(dt: float) -> Case:
    return Case(spike_time_tiling(dt), "elephant", lambda found, trains: tiling(found, trains, dt))


CASES = (
    *map(victor_case, (0.001, 0.02, 0.5)),
    *map(rossum_case, (3.0, 40.0, 700.0)),
    # Elephant takes spikes up to 1e-5 of their time further apart as near: half a tick is between.
    *map(tiling_case, (2.5, 20.5, 90.5)),
    Case(isi_distance, "pyspike", lambda found, trains: found.pyspike.isi_distance_matrix(
        pyspike_trains(found, trains))),
    Case(spike_distance, "pyspike", lambda found, trains: found.pyspike.spike_distance_matrix(
        pyspike_trains(found, trains))),
)  # fmt: skip


def random_trains(n: int, spikes: int, rng: np.random.Generator) -> Trains:
    stop = TICKS_A_SPIKE * spikes
    return Trains.of([rng.integers(0, stop, spikes) for _ in range(n)], stop=stop)


def tricky_trains(rng: np.random.Generator) -> Trains:
    """Few spikes, several in a tick, at the edges, and the same train twice."""
    stop = 300
    some = [rng.integers(0, stop, n) for n in (1, 1, 2, 3, 8, 30, 120)]
    return Trains.of(
        [[], [0], [stop], [0, stop], [0, 1], [stop - 1, stop], [7] * 5, [0, 0, 150, stop, stop],
         np.arange(stop), np.arange(0, stop, 7), *some, some[-1]],
        stop=stop,
    )  # fmt: skip


def apart(case: Case, ours: Array, theirs: Array) -> float:
    """Largest difference; of squares where the peer takes a root of what cancels."""
    if case.ours.name == "van_rossum":
        ours, theirs = ours**2, theirs**2
    if np.any(np.isnan(ours) != np.isnan(theirs)):
        return float("inf")
    scale = np.maximum(np.nanmax(np.abs(theirs), initial=0.0), 1.0)
    return float(np.nanmax(np.abs(ours - theirs), initial=0.0) / scale)


def differences(found: Peers, samples: list[Trains]) -> dict[str, float]:
    """Largest difference of each measure from its peer's."""
    largest: dict[str, float] = {}
    for case in CASES:
        for trains in samples:
            ours = pairwise(case.ours, trains, threads=THREADS)
            difference = apart(case, ours, case.theirs(found, trains))
            name = f"{case.ours.name} {case.peer}"
            largest[name] = max(largest.get(name, 0.0), difference)
    return largest


def seconds(run: Callable[[], Any], runs: int = RUNS) -> float:
    """Median time of some runs."""
    taken = []
    for _ in range(runs):
        began = time.perf_counter()
        run()
        taken.append(time.perf_counter() - began)
    return statistics.median(taken)


def timed(found: Peers, case: Case, ours: Trains, theirs: Trains) -> dict[str, float]:
    """Seconds for all pairs, ours and the peer's, which is scaled up if it has fewer trains."""
    n, m = len(ours), len(theirs)
    whole = n == m
    pairwise(case.ours, theirs, threads=THREADS)  # compile
    ours_s = seconds(lambda: pairwise(case.ours, ours, threads=THREADS))
    peer_s = seconds(lambda: case.theirs(found, theirs), 1 if whole else RUNS)
    peer_s *= n * (n - 1) / (m * (m - 1))
    return {
        "ours_s": ours_s, "peer_s": peer_s, "peer_pairs_timed": m * (m - 1) // 2,
        "faster": peer_s / ours_s,
    }  # fmt: skip


def times(found: Peers, trains: Trains) -> dict[str, dict[str, float]]:
    """Time every measure."""
    some = Trains.of([trains[k] for k in range(min(CHECKED, len(trains)))], stop=trains.stop)
    few, all_in_reach = 2 / TICKS_A_SPIKE, 1 / trains.stop
    return {
        name: timed(found, case, trains, theirs)
        for name, case, theirs in (
            ("victor_purpura, few in reach", victor_case(few), some),
            ("victor_purpura, all in reach", victor_case(all_in_reach), some),
            ("van_rossum", rossum_case(TICKS_A_SPIKE), some),
            ("spike_time_tiling", tiling_case(TICKS_A_SPIKE / 2), some),
            ("isi_distance", CASES[-2], trains),
            ("spike_distance", CASES[-1], trains),
        )
    }


def record(found: Peers, path: Path) -> None:
    """Write the peers' values for some small trains."""
    rng = np.random.default_rng(7)
    samples = [tricky_trains(rng), random_trains(6, 12, rng)]
    answer = {
        "versions": {name: version(name) for name in ("elephant", "neo", "pyspike")},
        "samples": [
            {
                "start": trains.start, "stop": trains.stop,
                "trains": [trains[k].tolist() for k in range(len(trains))],
                "values": [
                    {"measure": case.ours.name, "parameters": dict(case.ours.parameters),
                     "peer": case.peer,
                     "matrix": [[None if np.isnan(x) else float(x) for x in row]
                                for row in case.theirs(found, trains)]}
                    for case in CASES
                ],
            }
            for trains in samples
        ],
    }  # fmt: skip
    path.write_text(json.dumps(answer) + "\n")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trains", type=int, default=1000, metavar="N")
    parser.add_argument("--spikes", type=int, default=100, metavar="K")
    parser.add_argument("--seed", type=int, default=0, metavar="S")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--record", type=Path, metavar="FILE")
    args = parser.parse_args()
    for name, least in (("trains", 2), ("spikes", 1), ("seed", 0)):
        if getattr(args, name) < least:
            parser.error(f"--{name} must be at least {least}, got {getattr(args, name)}")
    if args.record is not None and not args.record.absolute().parent.is_dir():
        parser.error(f"{args.record} cannot be written: there is no such folder")
    return args


def main() -> int:
    args = arguments()
    try:
        found = peers()
    except BadInputError as error:
        print(f"measures: {error}", file=sys.stderr)
        return 2
    if args.record is not None:
        record(found, args.record)
    rng = np.random.default_rng(args.seed)
    samples = [tricky_trains(rng), random_trains(CHECKED, args.spikes, rng)]
    different = differences(found, samples)
    measured = times(found, random_trains(args.trains, args.spikes, rng))
    checks = {f"{name}: equal": value <= EQUAL for name, value in different.items()}
    for name, row in measured.items():
        bar = FASTER.get(name.split(",")[0])
        if bar is not None and args.trains * (args.trains - 1) // 2 >= JUDGED:
            checks[f"{name}: at least {bar:g} times as fast"] = row["faster"] >= bar
    return tell(
        {
            "trains": args.trains, "spikes": args.spikes, "seed": args.seed, "threads": THREADS,
            "versions": {name: version(name) for name in ("elephant", "pyspike")},
            "differences": different, "times": measured, "checks": checks,
            "holds": all(checks.values()),
        },
        as_json=args.json,
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
