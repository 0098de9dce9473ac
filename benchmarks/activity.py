"""What a tick of a large network costs of which few neurons are active.

    python benchmarks/activity.py [--json]

A thousand neurons are active; they are run by themselves, and among a million: as the first
thousand, and scattered evenly. Exit code 0 if the first thousand cost at most 1.5 times as much
among the million as by themselves, and all three fire alike; else 4.
"""

import argparse
import statistics
import sys
import time
from typing import Any

import numpy as np
from numpy.typing import NDArray
from standard import chip_for, tell

from emulator.engine import Engine
from emulator.program import Program, ProgramPopulation
from emulator.stimulus import Stimulus

Array = NDArray[Any]

N, ACTIVE, SYNAPSES, PER_CORE, TICKS, RUNS, MOST = 1_000_000, 1000, 10, 1024, 5000, 7, 1.5


def program_of(n: int, active: Array) -> Program:
    """Neurons of which some have a bias and synapses to each other."""
    rng = np.random.default_rng(7)
    target = active[np.sort(rng.permuted(np.tile(np.arange(active.size), (active.size, 1)),
                                         axis=1)[:, :SYNAPSES], axis=1)]  # fmt: skip
    weight = rng.integers(-8, 10, target.shape)
    bias, n_rows = np.zeros(n, np.int64), np.zeros(n, np.int64)
    bias[active] = rng.integers(1000, 4000, active.size)
    core = target // PER_CORE
    begins = np.ones(target.shape, np.bool_)
    begins[:, 1:] = core[:, 1:] != core[:, :-1]
    n_rows[active] = begins.sum(axis=1)
    first = np.flatnonzero(begins)
    none = np.zeros(n, np.int64)
    return Program(
        chip="benchmark", dt_s=1e-3, inputs=(),
        populations=(ProgramPopulation(name="all", shape=(n,), spiking=True, output=True, lag=0,
                                       scale=1.0),),
        core=np.arange(-(-n // PER_CORE)),
        core_start=np.append(np.arange(0, n, PER_CORE), n),
        population=none, index=np.arange(n), compartments=none + 1, keep_current=none,
        keep_membrane=none + 3840, bias=bias, threshold=none + 64 * 300, initial_current=none,
        initial_membrane=none, sum_shift=none, reset=none + 1,
        source_row=np.append(0, np.cumsum(n_rows)), row_weight=first, row_target=first,
        row_size=np.diff(np.append(first, target.size)), row_core=core.ravel()[first],
        row_dense=np.zeros(first.size, np.bool_), row_packet=np.ones(first.size, np.bool_),
        row_shift=np.zeros(first.size), row_delay=np.zeros(first.size), weight=weight.ravel(),
        target=target.ravel() % PER_CORE,
    )  # fmt: skip


def run_once(program: Program) -> tuple[float, Array]:
    """Seconds of a run, and how many neurons fired in each tick."""
    chip = chip_for(32, program.n_cores, PER_CORE)
    engine = Engine(program, chip, n_threads=1)
    engine.prepare()
    spikes = np.zeros(TICKS, np.int64)

    def count(block: Any) -> None:
        np.add.at(spikes, block.spike_tick, 1)

    began = time.perf_counter()
    engine.run([Stimulus()], TICKS, count)
    return time.perf_counter() - began, spikes


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    some = np.arange(ACTIVE)
    programs = {
        "alone": program_of(ACTIVE, some),
        "contiguous": program_of(N, some),
        "scattered": program_of(N, some * (N // ACTIVE)),
    }
    seconds: dict[str, list[float]] = {name: [] for name in programs}
    fired = {name: run_once(program)[1] for name, program in programs.items()}
    for _ in range(RUNS):
        for name, program in programs.items():
            seconds[name].append(run_once(program)[0])
    tick_us = {name: 1e6 * statistics.median(values) / TICKS for name, values in seconds.items()}
    ratios = {name: us / tick_us["alone"] for name, us in tick_us.items() if name != "alone"}
    equal = all(np.array_equal(fired["alone"], other) for other in fired.values())
    checks = {"contiguous": ratios["contiguous"] <= MOST, "equal spikes": equal}
    found = {
        "neurons": N, "active": ACTIVE, "spikes_per_tick": float(fired["alone"].mean()),
        "tick_us": tick_us, "ratios": ratios, "checks": checks, "holds": all(checks.values()),
    }  # fmt: skip
    return tell(found, as_json=args.json)


if __name__ == "__main__":
    sys.exit(main())
