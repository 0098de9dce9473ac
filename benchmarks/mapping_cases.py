"""The cases of benchmarks/mapping.py: their networks, limits, floors and bars."""

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from mapping_stacks import STACKS, stack_found, warm_stack
from numpy.typing import NDArray
from standard import BadInputError, shared_folder, tell

from mapping.errors import CapacityError
from mapping.layout.floor import Floor
from mapping.layout.hypergraph import Hypergraph, flows
from mapping.layout.moves import Limits
from mapping.layout.pipeline import PARTITIONERS, Job, laid_out
from mapping.layout.placers import PLACERS, Task
from traces.errors import MissingExtraError

Array = NDArray[Any]

NMNIST = ((16, 16, 16), (16, 16, 16), (8, 8, 8), (256,), (10,))


@dataclass(frozen=True, kw_only=True)
class Case:
    """A network that is unrolled, and what its layout must keep to.

    Attributes
    ----------
    network : callable
        From the seed.
    limits : Limits
    bars : dict of str to float
        Most that is allowed of each figure.
    shapes : tuple
        Of the layers, where the geometry is known.
    width, height : int
        Of the mesh.
    """

    network: Callable[[int], Hypergraph]
    limits: Limits
    bars: Mapping[str, float]
    shapes: tuple[tuple[int, ...], ...] = ()
    width: int = 16
    height: int = 8


def nmnist(seed: int) -> Hypergraph:
    """Convolutional network with the rates of its spikes on 20 samples."""
    path = shared_folder("mapping") / "nmnist.npz"
    if not path.is_file():
        raise BadInputError(f"{path} is not there; the shared folder must hold it")
    with np.load(path) as file:
        return Hypergraph.of(file["indptr"], file["indices"], file["rates"])


def renumbered(graph: Hypergraph, seed: int) -> Hypergraph:
    """Give neurons other numbers."""
    number = np.random.default_rng(seed).permutation(graph.n)
    old = np.argsort(number)
    size = np.diff(graph.start)[old]
    start = np.concatenate([[0], np.cumsum(size)])
    at = np.repeat(graph.start[old] - start[:-1], size) + np.arange(start[-1])
    return Hypergraph.of(start, number[graph.target[at]], graph.rate[old])


def smallworld(seed: int, n: int = 10_000, k: int = 100, share: float = 0.1) -> Hypergraph:
    """Ring of ``n`` neurons that reach ``k`` neighbours, a share of them anybody instead."""
    return _smallworld(n, k, share, np.random.default_rng(seed))[0]


def smallworld_shuffled(seed: int) -> Hypergraph:
    """Number the neurons of a small world at random."""
    return _shuffled_world(10_000, 100, 0.1, seed)


def _smallworld(
    n: int, k: int, share: float, rng: np.random.Generator
) -> tuple[Hypergraph, np.random.Generator]:
    offsets = np.concatenate([np.arange(-k // 2, 0), np.arange(1, k // 2 + 1)])
    targets = (np.arange(n)[:, None] + offsets) % n
    rewired = rng.random(targets.shape) < share
    targets[rewired] = rng.integers(0, n, np.count_nonzero(rewired))
    targets.sort(axis=1)
    return Hypergraph.of(np.arange(n + 1) * k, targets.ravel()), rng


def _shuffled_world(n: int, k: int, share: float, seed: int) -> Hypergraph:
    graph, rng = _smallworld(n, k, share, np.random.default_rng(seed))
    number = rng.permutation(n)
    old = np.argsort(number)
    size = np.diff(graph.start)[old]
    start = np.concatenate([[0], np.cumsum(size)])
    at = np.repeat(graph.start[old] - start[:-1], size) + np.arange(start[-1])
    return Hypergraph.of(start, number[graph.target[at]])


def chain(seed: int, width: int = 1000, n_layers: int = 4) -> Hypergraph:
    """Layers, each of which reaches all of the next."""
    n = width * n_layers
    size = np.full(n, width)
    size[-width:] = 0
    layer = np.arange(n - width) // width + 1
    targets = layer[:, None] * width + np.arange(width)
    return Hypergraph.of(np.concatenate([[0], np.cumsum(size)]), targets.ravel())


def random_100k(seed: int) -> Hypergraph:
    """Let 100,000 neurons reach 100 that may be anywhere."""
    n, k = 100_000, 100
    target = np.random.default_rng(seed).integers(0, n, (n, k), dtype=np.int32)
    return Hypergraph.of(np.arange(n + 1) * k, target.ravel())


def loihi(bits: int) -> Limits:
    """One chip's core, with so many bits for each synapse, the index included if there is one."""
    n = np.arange(1100)
    # Blocks of at most 64 synapses, each with a header of 10 bits, in words of 64 bits.
    rest = np.where(n % 64, -(-(n % 64 * bits + 10) // 64), 0)
    words = n // 64 * -(-(64 * bits + 10) // 64) + rest
    return Limits(neurons=1024, in_axons=4096, out_axons=4096, words=16_384, list_words=words)


OF_256 = Limits(neurons=256)
CASES: Mapping[str, Case] = {
    "nmnist-256": Case(network=nmnist, limits=OF_256, shapes=NMNIST,
                       bars={"hops": 54_000, "seconds": 10}),
    "nmnist-flat": Case(network=lambda seed: renumbered(nmnist(seed), seed), limits=OF_256,
                        bars={"hops": 70_000, "seconds": 15}),
    "nmnist-1024": Case(network=nmnist, limits=Limits(neurons=1024), shapes=NMNIST,
                        bars={"hops": 20_000, "seconds": 10}),
    "smallworld": Case(network=lambda seed: smallworld(0), limits=OF_256,
                       bars={"hops": 361_900, "seconds": 10}),
    "smallworld-shuffled": Case(network=smallworld_shuffled, limits=OF_256,
                                bars={"hops": 372_000, "seconds": 15}),
    "chain-256": Case(network=chain, limits=OF_256, shapes=((1000,),) * 4,
                      bars={"hops": 27_200, "seconds": 10}),
    "chain-loihi": Case(network=chain, limits=loihi(8), shapes=((1000,),) * 4,
                        bars={"hops": 83_000, "seconds": 10}),
    "smallworld-loihi": Case(network=smallworld_shuffled, limits=loihi(18),
                             bars={"cores": 36, "seconds": 20}),
    "random-100k": Case(network=random_100k, limits=OF_256, width=20, height=20,
                        bars={"seconds": 25, "peak_rss_mb": 1500}),
}  # fmt: skip


def peak_rss_mb() -> float:
    """Largest memory of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 10)


def warm() -> None:
    """Compile what cases run, on small networks."""
    few = [_smallworld(200, 10, 0.1, np.random.default_rng(0))[0], chain(0, 20, 3)]
    for graph in few:
        for limits in (replace(loihi(18), neurons=40, in_axons=120, out_axons=90),
                       Limits(neurons=16)):  # fmt: skip
            job = Job(graph=graph, limits=limits, floor=Floor.mesh(8, 8), effort=0.01)
            for name in PARTITIONERS:
                with suppress(MissingExtraError):
                    laid_out(job, name)
    tiles = Job(graph=few[1], limits=Limits(neurons=16), floor=Floor.mesh(8, 8), effort=0.01,
                shapes=((1, 4, 5), (20,), (20,)))  # fmt: skip
    laid_out(tiles)


def found(case: Case, seed: int) -> dict[str, Any]:
    """Lay a network out with everything there is, the best pipeline first."""
    warm()
    graph = case.network(seed)
    floor = Floor.mesh(case.width, case.height)
    job = Job(graph=graph, limits=case.limits, floor=floor, shapes=case.shapes, seed=seed)
    rows: dict[str, dict[str, Any]] = {}
    for name in ("traffic", *(name for name in PARTITIONERS if name != "traffic")):
        begin, busy = time.perf_counter(), time.process_time()
        try:
            layout = laid_out(job, name)
        except (CapacityError, MissingExtraError) as error:
            if name == "traffic":
                raise BadInputError(str(error)) from error
            rows[name] = {"refused": str(error)}
            continue
        rows[name] = {
            "packets": layout.packets, "hops": layout.hops, "cores": layout.n_cores,
            "seconds": round(time.perf_counter() - begin, 3),
            "cpu_seconds": round(time.process_time() - busy, 3),
        }  # fmt: skip
        if name == "traffic":
            best, memory = layout, peak_rss_mb()
    return {
        "packets": best.packets, "hops": best.hops,
        "baseline_hops": _told(best.baseline_hops), "baseline_packets": best.baseline_packets,
        "lower_bound": best.lower_bound, "random_hops": best.random_hops, "cores": best.n_cores,
        "seconds": rows["traffic"]["seconds"], "peak_rss_mb": round(memory, 1),
        "partitioners": rows, "placers": placers(flows(graph, best.core), floor),
    }  # fmt: skip


def _told(hops: float) -> float | None:
    """None where the baseline finds no room."""
    return hops if np.isfinite(hops) else None


def placers(between: Any, floor: Floor) -> dict[str, dict[str, float]]:
    """Place the best partition with each placer."""
    rows = {}
    for name, placer in PLACERS.items():
        task, begin = Task(flows=between, floor=floor), time.perf_counter()
        hops = task.hops(placer(task, np.random.default_rng(0)))
        rows[name] = {"hops": hops, "seconds": round(time.perf_counter() - begin, 3)}
    return rows


def judged(name: str, seed: int) -> dict[str, Any]:
    """Run a case and hold it against its bars."""
    if name in CASES:
        bars, result = CASES[name].bars, found(CASES[name], seed)
    else:
        warm_stack()
        bars, result = STACKS[name].bars, stack_found(STACKS[name], seed)
        result["peak_rss_mb"] = round(peak_rss_mb(), 1)
    broken = [key for key, most in bars.items() if result[key] > most]
    broken += worse_than_baseline(result)
    return {
        "case": name, "seed": seed, **result, "bars": dict(bars), "broken": broken,
        "holds": not broken,
    }  # fmt: skip


def worse_than_baseline(result: dict[str, Any]) -> list[str]:
    """Tell in which figures neurons and cores in their order are better."""
    base = result["baseline_hops"]
    if base is None or result["hops"] < base:
        return []
    more_packets = result["packets"] > result.get("baseline_packets", np.inf)
    return ["baseline_hops"] if result["hops"] > base or more_packets else []


def main(arguments: list[str], program: Path) -> int:
    names = [*CASES, *STACKS]
    parser = argparse.ArgumentParser(prog=program.name, description=__doc__)
    parser.add_argument("case", nargs="?", choices=names, metavar="CASE", help=", ".join(names))
    parser.add_argument("--seed", type=int, default=0, help="renumbers where the case is shuffled")
    parser.add_argument("--json", action="store_true", help="one line of JSON on stdout")
    asked = parser.parse_args(arguments)
    if asked.seed < 0:
        parser.error(f"--seed: {asked.seed} is below 0")
    try:
        if asked.case:
            return tell(judged(asked.case, asked.seed), as_json=asked.json)
        return _all(names, asked.seed, program, as_json=asked.json)
    except BadInputError as error:
        print(f"{program.name}: {error}", file=sys.stderr)
        return 2


def _all(names: list[str], seed: int, program: Path, *, as_json: bool) -> int:
    results = {}
    for name in names:
        done = subprocess.run(
            [sys.executable, str(program), name, "--json", "--seed", str(seed)],
            stdout=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip
        if done.returncode not in (0, 4):
            return done.returncode
        results[name] = json.loads(done.stdout)
    holds = all(result["holds"] for result in results.values())
    return tell({"cases": results, "holds": holds}, as_json=as_json)
