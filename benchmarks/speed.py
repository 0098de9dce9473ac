"""How fast a standard network runs, beside the bare loop that is the ceiling.

    python benchmarks/speed.py W1|W2|W3 [--fabric NAME] [--threads N] [--ticks N] [--ceiling] [--write] [--json]

Times are medians of several runs after a warm-up, engine and ceiling in turns. Spikes are counted, and
written to a trace with ``--write``. Exit code 0 if all checks hold, 4 if one does not, 2 for bad input.
"""

import argparse
import gc
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from ceilings import ceiling_of
from standard import BadInputError, Standard, standard, tell

from emulator.engine import Block, Engine
from emulator.fabric import FABRIC_NAMES
from traces.layout import RecordedPopulation
from traces.writer import TraceWriter

TICKS = {"W1": 1000, "W2": 1000, "W3": 200}
SLOW_TICKS = {"links": 10, "queued": 10, "simpy": 200}
"""By how much fewer ticks are run with fabrics that follow packets, where none are asked for."""
SPIKES = {("W1", 1000): 119_568}
PACKETS = {("W1", 100): 72_833, ("W2", 50): 581_069, ("W3", 50): 3_278_230}
"""Of the first so many ticks; one for each core that a spike reaches, its own included."""
RUNS = 7
WRITE_S = 2.0
SLOWER_MAX = 0.15


def run_once(
    network: Standard, n_ticks: int, fabric: str, threads: int,
    observe: Callable[[Block], None] | None = None,
) -> tuple[float, int, Engine]:  # fmt: skip
    """Seconds of the simulation loop, spikes, and the engine that ran."""
    engine = Engine(network.program, network.chip, fabric=fabric, n_threads=threads)
    engine.prepare()
    stimulus = network.stimulus(n_ticks)
    n_spikes = 0

    def count(block: Block) -> None:
        nonlocal n_spikes
        n_spikes += block.spike_neuron.size
        if observe is not None:
            observe(block)

    began = time.perf_counter()
    engine.run([stimulus], n_ticks, count)
    return time.perf_counter() - began, n_spikes, engine


def measure(network: Standard, n_ticks: int, args: argparse.Namespace) -> dict[str, Any]:
    """Run engine and ceiling in turns."""
    ceiling = ceiling_of(network, n_ticks) if args.ceiling else None
    run_once(network, min(n_ticks, 1 if args.fabric == "simpy" else 3), args.fabric, args.threads)
    seconds, ceiling_seconds = [], []
    engine = None
    for _ in range(1 if args.fabric == "simpy" else RUNS):
        engine = None  # two at a time would count as the memory of one
        gc.collect()  # an engine and its process know each other
        took, n_spikes, engine = run_once(network, n_ticks, args.fabric, args.threads)
        seconds.append(took)
        if ceiling is not None:
            took, ceiling_spikes = ceiling()
            ceiling_seconds.append(took)
    counters = {name: int(values.sum()) for name, values in engine.counters.items()}
    median = statistics.median(seconds)
    hops = sum(counters[f"hops_{way}"] for way in ("ew", "ns", "off_chip"))
    found: dict[str, Any] = {
        "ticks_per_s": n_ticks / median,
        "synaptic_events_per_s": counters["synaptic_events"] / median,
        "hops_per_s": hops / median,
        "spikes": n_spikes,
        "packets": counters["packets"] + counters["local_packets"] + counters["input_packets"],
        "ticks": n_ticks,
        "simulated_ps": int(engine.env.now),
        "seconds": [round(s, 5) for s in seconds],
    }
    if ceiling is not None:
        found["ceiling_ticks_per_s"] = n_ticks / statistics.median(ceiling_seconds)
        found["ratio"] = found["ticks_per_s"] / found["ceiling_ticks_per_s"]
        found["checks"] = {"spikes equal the ceiling's": n_spikes == ceiling_spikes}
    for what, known in (("spikes", SPIKES), ("packets", PACKETS)):
        wanted = known.get((network.name, n_ticks))
        if wanted is not None:
            holds = found[what] == wanted
            found.setdefault("checks", {})[f"{what} are {wanted:,}"] = holds
    return found


def write_once(
    network: Standard, n_ticks: int, args: argparse.Namespace, path: Path
) -> dict[str, float]:
    """Run with every spike written; seconds of creating, running, closing."""
    program = network.program
    began = time.perf_counter()
    writer = TraceWriter(
        path, kind="chip", samples=1, ticks=n_ticks, input_ticks=n_ticks, dt_s=program.dt_s,
        provenance={"network": network.name}, overwrite=True,
        populations=[
            RecordedPopulation(
                name=p.name, shape=p.shape, lag=0, output=True, spiking=True, payload=False
            )
            for p in program.populations
        ],
    )  # fmt: skip
    created = time.perf_counter()
    starts = np.cumsum([0, *(part.size for part in program.populations)])[:-1].tolist()

    def record(block: Block) -> None:
        if len(program.populations) == 1:
            writer.spikes(program.populations[0].name, block.spike_tick, block.spike_neuron)
            return
        for part, first in zip(program.populations, starts, strict=True):
            neuron = block.spike_neuron
            mine = np.flatnonzero((neuron >= first) & (neuron < first + part.size))
            writer.spikes(part.name, block.spike_tick.take(mine), neuron.take(mine) - first)

    ran, _, _ = run_once(network, n_ticks, args.fabric, args.threads, record)
    closing = time.perf_counter()
    writer.close()
    return {"create_s": created - began, "run_s": ran, "close_s": time.perf_counter() - closing}


def measure_writing(network: Standard, found: dict[str, Any], args: argparse.Namespace) -> None:
    """Write and do not write, in turns, over at least two seconds of simulation."""
    n_ticks = max(int(found["ticks_per_s"] * WRITE_S * 1.2), 1)
    rows, bare = [], []
    with tempfile.TemporaryDirectory() as folder:
        for turn in range(3):
            bare.append(run_once(network, n_ticks, args.fabric, args.threads)[0])
            rows.append(write_once(network, n_ticks, args, Path(folder) / f"{turn}.h5"))
    medians = {name: statistics.median(row[name] for row in rows) for name in rows[0]}
    slower = medians["run_s"] / statistics.median(bare) - 1
    found["write"] = {
        "ticks": n_ticks,
        **medians,
        "bare_s": statistics.median(bare),
        "slower": slower,
    }
    found.setdefault("checks", {})[f"writing slows by at most {SLOWER_MAX:.0%}"] = (
        slower <= SLOWER_MAX
    )


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("network", metavar="W1|W2|W3")
    parser.add_argument("--fabric", default="ideal")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--ticks", type=int)
    for name in ("--ceiling", "--write", "--json"):
        parser.add_argument(name, action="store_true")
    return parser.parse_args()


def main() -> int:
    args = arguments()
    try:
        if args.fabric not in FABRIC_NAMES:
            raise BadInputError(
                f"there is no fabric {args.fabric!r}; there are {', '.join(FABRIC_NAMES)}"
            )
        if args.threads < 1 or (args.ticks is not None and args.ticks < 1):
            raise BadInputError("--threads and --ticks must be at least 1")
        began = time.perf_counter()
        network = standard(args.network)
        build_s = time.perf_counter() - began
    except BadInputError as error:
        print(f"speed: {error}", file=sys.stderr)
        return 2
    found: dict[str, Any] = {
        "network": args.network, "fabric": args.fabric, "threads": args.threads, "build_s": build_s,
    }  # fmt: skip
    fewer = SLOW_TICKS.get(args.fabric, 1) if args.network != "W1" or args.fabric == "simpy" else 1
    if not args.ceiling:
        network.forget_arrays()
    found |= measure(network, args.ticks or TICKS[args.network] // fewer, args)
    if args.write:
        measure_writing(network, found, args)
    found["peak_rss_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    checks = found.setdefault("checks", {})
    found["holds"] = all(checks.values())
    return tell(found, as_json=args.json)


if __name__ == "__main__":
    sys.exit(main())
