"""Drive an 8 x 8 mesh into saturation, and measure how fast the network is computed.

    python benchmarks/noc_physics.py [--window N] [--repeats N] [--seed S] [--json] [--plot FILE.png]

Saturation: largest rate, in packets per core and service time, at which a window of N service
times drains within 2 % and the longest way, beside the bound that the busiest channel sets. Speed: link hops a second
on a 4 x 6 mesh (A, 780 packets) and a 9 x 9 mesh (B, 14,000 packets), spread over time (scan) or
all at once (burst), medians; and those of the SimPy form on A. Exit code 2 for bad input.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from emulator.noc.links import carry_links
from emulator.noc.packets import Packets, packets_of
from emulator.noc.queued import carry, carry_kernel
from emulator.noc.scratch import make_scratch, make_traffic
from emulator.noc.simulated_tick import carry_simulated
from emulator.noc.topology import Common, Cost, Noc, mesh
from emulator.noc.ways import ways

Array = np.ndarray[Any, np.dtype[Any]]
Rng = np.random.Generator
SIDE, SERVICE, FLIGHT = 8, 1000, 500
DEPTHS = (1, 2, 3, 4, 8, 16, 0)


def uniform(source: Array, rng: Rng) -> Array:
    return rng.integers(0, SIDE**2, source.size)


def transpose(source: Array, rng: Rng) -> Array:
    return source % SIDE * SIDE + source // SIDE


def bit_complement(source: Array, rng: Rng) -> Array:
    return SIDE**2 - 1 - source


def hotspot(source: Array, rng: Rng) -> Array:
    """One packet in five goes to one core in the middle."""
    hot = (SIDE // 2) * SIDE + SIDE // 2
    return np.where(rng.random(source.size) < 0.2, hot, uniform(source, rng))


TRAFFICS: dict[str, Callable[[Array, Rng], Array]] = {
    "uniform": uniform,
    "transpose": transpose,
    "bit_complement": bit_complement,
    "hotspot": hotspot,
}


def grid(depth: int) -> Noc:
    cost = Cost(SERVICE, 0, FLIGHT)
    common = Common(eject=Cost(SERVICE), axon_ps=1, buffer=depth)
    return mesh(width=SIDE, height=SIDE, east_west=cost, north_south=cost, common=common)


def channel_bound(noc: Noc, traffic: Callable[[Array, Rng], Array], rng: Rng) -> float:
    """Rate at which the busiest link or ejection port works without pause, by expectation."""
    source = np.repeat(np.arange(SIDE**2), 4000)
    target = traffic(source, rng)
    pairs = np.bincount(source * SIDE**2 + target, minlength=SIDE**4) / 4000
    load = np.zeros(noc.n_ports)
    at = np.repeat(np.arange(SIDE**2), SIDE**2)
    goal = np.tile(np.arange(SIDE**2), SIDE**2)
    load[noc.n_links :] = np.bincount(goal, weights=pairs)
    moving = at != goal
    while moving.any():
        link = noc.first_link[at[moving]] + noc.step[at[moving], goal[moving]]
        np.add.at(load, link, pairs[moving])
        at[moving] = noc.link_to[link]
        moving = at != goal
    return float(1 / load.max())


def offered(noc: Noc, traffic: Any, rate: float, window: int, rng: Rng) -> Packets:
    """Make packets at random times (Poisson), `rate` per core and service time."""
    n = rng.poisson(rate * window, SIDE**2)
    source = np.repeat(np.arange(SIDE**2), n)
    created = rng.integers(0, window * SERVICE, source.size)
    return packets_of(noc, source, traffic(source, rng), created, np.zeros(source.size, int))[0]


def drains(noc: Noc, traffic: Any, rate: float, window: int, seed: int) -> bool:
    packets = offered(noc, traffic, rate, window, np.random.default_rng(seed))
    longest = int(ways(noc, 0, SIDE**2 - 1).latency_ps)  # from corner to corner, alone
    return carry(noc, packets).end_ps <= 1.02 * window * SERVICE + longest


def saturation(noc: Noc, traffic: Any, bound: float, window: int, seed: int) -> float:
    """Find the largest rate that drains, to 1 % of the bound."""
    low, high = 0.0, 1.1 * bound
    while high - low > 0.01 * bound:
        middle = (low + high) / 2
        if drains(noc, traffic, middle, window, seed):
            low = middle
        else:
            high = middle
    return low


def curve(noc: Noc, traffic: Any, bound: float, window: int, seed: int) -> list[list[float]]:
    """Mean latency in service times for rising load."""
    points = []
    for share in np.linspace(0.05, 1, 20):
        rate = float(share * bound)
        packets = offered(noc, traffic, rate, window, np.random.default_rng(seed))
        latency = carry(noc, packets).delivered_ps - packets.created_ps
        points.append([rate, float(latency.mean()) / SERVICE])
    return points


def speed_case(width: int, height: int, n_cores: int, n: int, span_ps: int, seed: int) -> Any:
    noc = mesh(
        width=width, height=height, east_west=Cost(1600, 0, 400), north_south=Cost(1600, 0, 200),
        common=Common(eject=Cost(1600), axon_ps=2000, syn_ps=100, buffer=4, buffer_core=4),
    )  # fmt: skip
    rng = np.random.default_rng(seed)
    source = rng.integers(0, n_cores, n)
    target = (source + rng.integers(1, n_cores, n)) % n_cores
    created = rng.integers(0, max(span_ps // 5000, 1), n) * 5000
    packets, _ = packets_of(noc, source, target, created, rng.integers(0, 64, n))
    return noc, packets, int(ways(noc, source, target).hops.sum())


SPEED_CASES = {
    "A scan": (4, 6, 24, 780, 10**6),
    "A burst": (4, 6, 24, 780, 0),
    "B scan": (9, 9, 79, 14_000, 5 * 10**6),
    "B burst": (9, 9, 79, 14_000, 0),
}


def median_s(run: Callable[[], Any], repeats: int) -> float:
    """Median duration in processor time of this thread, after one run to compile."""
    run()
    taken = []
    for _ in range(repeats):
        begin = time.thread_time()
        run()
        taken.append(time.thread_time() - begin)
    return float(np.median(taken))


def speed(name: str, repeats: int, seed: int) -> dict[str, float]:
    noc, packets, n_hops = speed_case(*SPEED_CASES[name], seed)
    scratch, traffic = make_scratch(noc, packets.n), make_traffic(noc)
    kernel, delivered = carry_kernel(noc), np.zeros(packets.n, np.int64)
    starts = np.zeros((0, 4), np.int64)

    def run() -> None:
        kernel(
            packets.first_packet, packets.created_ps, packets.target, packets.n_syn, packets.bits,
            packets.first_copy, delivered, starts, scratch, traffic,
        )  # fmt: skip

    result = {
        "queued_mhop_s": n_hops / median_s(run, repeats) / 1e6,
        "links_mhop_s": n_hops / median_s(lambda: carry_links(noc, packets), 5) / 1e6,
    }
    if name.startswith("A"):
        taken = median_s(lambda: carry_simulated(noc, packets), 3)
        result["simpy_mhop_s"] = n_hops / taken / 1e6
    return {key: float(f"{value:.3g}") for key, value in result.items()}


def plot(path: Path, curves: dict[str, Any]) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 7), layout="constrained")
    for axes, (name, by_depth) in zip(figure.subplots(2, 2).flat, curves.items(), strict=True):
        for depth, points in by_depth.items():
            axes.plot(*np.transpose(points), ".-", label=f"B = {depth}")
        axes.set(
            title=name, yscale="log", xlabel="offered packets per core and service time",
            ylabel="mean latency in service times",
        )  # fmt: skip
        axes.legend()
    figure.savefig(path, dpi=120)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--window", type=int, default=30_000, metavar="N")
    parser.add_argument("--repeats", type=int, default=101, metavar="N")
    parser.add_argument("--seed", type=int, default=0, metavar="S")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--plot", type=Path, metavar="FILE.png")
    args = parser.parse_args()
    if args.window < 100 or args.repeats < 1 or args.seed < 0:
        print("noc_physics: --window must be at least 100, --repeats 1, --seed 0", file=sys.stderr)
        return 2
    if args.plot is not None and not args.plot.parent.is_dir():
        print(f"noc_physics: there is no folder {args.plot.parent}", file=sys.stderr)
        return 2
    out = sys.stderr if args.json else sys.stdout
    results: dict[str, Any] = {"speed": {}, "bound": {}, "saturation": {}, "latency": {}}
    for name in SPEED_CASES:
        results["speed"][name] = speed(name, args.repeats, args.seed)
        print(f"speed {name}: {results['speed'][name]}", file=out, flush=True)
    for name, traffic in TRAFFICS.items():
        bound = channel_bound(grid(0), traffic, np.random.default_rng(args.seed))
        found = {
            depth or "inf": round(
                saturation(grid(depth), traffic, bound, args.window, args.seed), 4
            )
            for depth in DEPTHS
        }
        results["bound"][name], results["saturation"][name] = round(bound, 4), found
        shares = ", ".join(
            f"B={depth} {rate} ({rate / bound:.0%})" for depth, rate in found.items()
        )
        print(f"saturation {name}: bound {bound:.4f}; {shares}", file=out, flush=True)
        if args.plot is not None:
            results["latency"][name] = {
                depth or "inf": curve(grid(depth), traffic, bound, args.window // 10, args.seed)
                for depth in (1, 2, 4, 0)
            }
    if args.plot is not None:
        plot(args.plot, results["latency"])
        print(f"plotted {args.plot}", file=out)
    if args.json:
        print(json.dumps(results))
    return 0


if __name__ == "__main__":
    sys.exit(main())
