"""Run one of the common workloads in another emulator, for comparison.

    python benchmarks/peers.py PEER W1|W2|W3 [--ticks N] [--repeat K] [--python PATH] [--json]

No peer is a dependency: each lives in an environment of its own, whose interpreter ``--python``
names. There it needs NumPy, this folder and the workloads (``benchmarks/workloads.py`` of the shared
folder: ``$SPIKEFAB_SHARED``, or ``shared`` beside the checkout), and nothing of spikefab.

Measured is the loop over ticks (the median of K runs from the start) without building, compiling and
reading back, on the clock and in processor time, which other work on the machine disturbs less. Fewer ticks are the first ticks of the same network. Spikes are compared with the exact
integers of ``workloads.reference``.

Exit code 0; 2 for bad input and for a peer that is not installed; 4 if a peer that computes in the
same integers has other spikes.
"""

import argparse
import contextlib
import importlib
import importlib.metadata
import importlib.util
import json
import os
import platform
import resource
import statistics
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

CHECKOUT = Path(__file__).resolve().parent.parent


class Peer(NamedTuple):
    """An emulator, in one of its ways to run.

    ``module`` has the function ``prepare(net, variant)``, which builds the network and returns a
    function that simulates it from the start and returns a ``peer_outcome.Outcome``.
    """

    module: str
    variant: str
    distribution: str
    packages: str
    exact: bool
    models: str


LOIHI = "integer Loihi cores, no fabric"
FLOAT = "float neurons only"
PEERS = {
    "numpy": Peer("peer_numpy", "", "numpy", "numpy", True, "integer neurons only; a plain loop"),
    "sanafe-simple": Peer(
        "peer_sanafe", "simple", "sanafe", "sanafe", True, "cores, energy, time without contention"
    ),
    "sanafe-detailed": Peer(
        "peer_sanafe", "detailed", "sanafe", "sanafe", True, "cores, energy, time with contention"
    ),
    "nengo-loihi": Peer(
        "peer_nengo_loihi", "populations", "nengo-loihi", "nengo-loihi 'numpy<1.24'", True,
        f"{LOIHI}; a population is one block of any size",
    ),
    "nengo-loihi-cores": Peer(
        "peer_nengo_loihi", "cores", "nengo-loihi", "nengo-loihi 'numpy<1.24'", True,
        f"{LOIHI}; blocks of at most 1024 neurons",
    ),
    "nengo": Peer("peer_nengo", "", "nengo", "nengo scipy 'numpy<1.24'", False, FLOAT),
    "brian2-cython": Peer("peer_brian2", "cython", "brian2", "brian2 setuptools 'numpy<2.3'", False, FLOAT),
    "brian2-numpy": Peer("peer_brian2", "numpy", "brian2", "brian2 'numpy<2.3'", False, FLOAT),
    "brian2-cpp": Peer("peer_brian2", "cpp_standalone", "brian2", "brian2 'numpy<2.3'", False, FLOAT),
    "brian2-loihi": Peer(
        "peer_brian2_loihi", "", "brian2-loihi", "brian2-loihi setuptools 'numpy<2.3'", True, LOIHI
    ),
    "xylosim": Peer(
        "peer_xylosim", "", "xylosim", "xylosim numpy", False,
        "16-bit Xylo neurons (reset by subtraction, synaptic current decays by half)",
    ),
    "norse": Peer("peer_torch", "norse", "norse", "torch norse", False, FLOAT),
    "snntorch": Peer("peer_torch", "snntorch", "snntorch", "torch snntorch", False, FLOAT),
    "sinabs": Peer("peer_torch", "sinabs", "sinabs", "torch sinabs", False, FLOAT),
}  # fmt: skip


class NotThereError(Exception):
    """A peer or the workloads cannot be imported here."""


def shared_workloads() -> Any:
    """Import ``workloads.py`` from the shared folder."""
    shared = Path(os.environ.get("SPIKEFAB_SHARED") or CHECKOUT.parent / "shared")
    path = shared / "benchmarks" / "workloads.py"
    if not path.is_file():
        raise NotThereError(f"no workloads at {path}: say with SPIKEFAB_SHARED where they are")
    spec = importlib.util.spec_from_file_location("workloads", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except ImportError as error:
        raise NotThereError(f"{error} in {sys.executable}: install numpy there") from error
    return module


def adapter(name: str, peer: Peer) -> Any:
    """Import what runs the peer, and with it the peer."""
    try:
        return importlib.import_module(peer.module)
    except ImportError as error:
        raise NotThereError(
            f"{name} is not installed in {sys.executable} ({error}); make an environment of its "
            f"own (python -m venv ENV; ENV/bin/pip install {peer.packages}) and give "
            f"--python ENV/bin/python"
        ) from error


def network(workloads: Any, workload: str, ticks: int | None) -> dict[str, Any]:
    """Build the workload, cut to its first ticks.

    The network is built for its full length first: in W1 the raster is drawn before the weights.
    """
    net: dict[str, Any] = workloads.get(workload)
    limit = net["steps"]
    net["steps"] = limit if ticks is None else ticks
    if not 1 <= net["steps"] <= limit:
        raise ValueError(f"--ticks: {workload} has ticks for 1..{limit}, got {ticks}")
    if "raster" in net:
        net["raster"] = net["raster"][: net["steps"]]
    return net


def expected_spikes(workloads: Any, net: dict[str, Any]) -> list[int]:
    """Count the spikes of each population in exact integers."""
    found = workloads.reference(net)
    return [int(n) for n in found] if "raster" in net else [int(sum(found))]


def synaptic_events(workloads: Any, net: dict[str, Any], spikes: list[int]) -> int:
    """Count the synapses that the spikes reach, those of the last tick included."""
    if "raster" in net:
        first, second, _ = spikes
        return int(workloads.w1_syn_events(int(net["raster"].sum()), first, second))
    return spikes[0] * net["k"]


def cpu_name() -> str:
    """Name the processor as the system does, where it says."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((s.split(":", 1)[1].strip() for s in lines if s.startswith("model name")), "")


def machine() -> dict[str, Any]:
    """Say where this was measured."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "cpu": cpu_name(), "cores": os.cpu_count(), "memory_gib": round(memory / 2**30, 1),
        "python": platform.python_version(), "load": round(os.getloadavg()[0], 2),
    }  # fmt: skip


@contextlib.contextmanager
def only_errors_speak() -> Iterator[None]:
    """Send to standard error what a peer prints, from compiled code too."""
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        yield
    finally:
        sys.stdout.flush()
        os.dup2(kept, 1)
        os.close(kept)


def measured(name: str, workload: str, ticks: int | None, repeat: int) -> dict[str, Any]:
    """Build and run a workload in a peer, and compare its spikes."""
    peer, workloads = PEERS[name], shared_workloads()
    net = network(workloads, workload, ticks)
    run_peer = adapter(name, peer)
    where = machine()
    begin = time.perf_counter()
    simulate = run_peer.prepare(net, peer.variant)
    build_s = time.perf_counter() - begin
    outcomes = [simulate() for _ in range(repeat)]
    own_rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    sim_s = statistics.median(outcome.seconds for outcome in outcomes)
    cpu = [outcome.cpu_s for outcome in outcomes if outcome.cpu_s]
    cpu_s = statistics.median(cpu) if cpu else None
    last = outcomes[-1]
    spikes, expected = list(last.spikes), expected_spikes(workloads, net)
    if len(spikes) < len(expected):
        expected = [sum(expected)]
    n_events = last.n_events
    if n_events is None:
        n_events = synaptic_events(workloads, net, spikes)
    return {
        "peer": name, "version": importlib.metadata.version(peer.distribution),
        "workload": workload, "ticks": net["steps"], "runs": repeat,
        "build_s": round(build_s, 3), "sim_s": round(sim_s, 4),
        "cpu_s": cpu_s and round(cpu_s, 4), "ticks_per_s": round(net["steps"] / sim_s, 1),
        "ticks_per_cpu_s": cpu_s and round(net["steps"] / cpu_s, 1),
        "spikes": spikes, "spikes_expected": expected,
        "synaptic_events": n_events,
        "peak_rss_mb": round(last.peak_rss_mb or own_rss, 1),
        "exact": peer.exact, "equal": all(list(outcome.spikes) == expected for outcome in outcomes),
        "models": peer.models, "notes": last.notes, "machine": where,
    }  # fmt: skip


def told(result: dict[str, Any]) -> str:
    """Say the outcome in one line."""
    exact = "as" if result["equal"] else f"where {result['spikes_expected']}"
    return (
        f"{result['peer']} {result['version']}, {result['workload']}: "
        f"{result['ticks_per_s']:,} ticks/s ({result['ticks']} ticks, built in "
        f"{result['build_s']} s, {result['peak_rss_mb']} MB); "
        f"spikes {result['spikes']}, {exact} in exact integers"
    )


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="peers", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("peer", choices=sorted(PEERS))
    parser.add_argument("workload", choices=["W1", "W2", "W3"], metavar="W1|W2|W3")
    parser.add_argument("--ticks", type=int, help="the first ticks only")
    parser.add_argument("--repeat", type=int, default=3, help="runs, of which the median counts")
    parser.add_argument("--python", type=Path, help="the interpreter that has the peer")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    if args.repeat < 1:
        parser.error(f"--repeat must be at least 1, got {args.repeat}")
    if args.python and not os.access(args.python, os.X_OK):
        parser.error(f"--python: {args.python} is no program that can be started")
    return args


def hand_over(args: argparse.Namespace) -> None:
    """Go on in the peer's own interpreter, which takes this process's place."""
    words = [args.peer, args.workload, "--repeat", str(args.repeat)]
    words += ["--ticks", str(args.ticks)] if args.ticks is not None else []
    words += ["--json"] if args.json else []
    os.execv(args.python, [str(args.python), str(Path(__file__).resolve()), *words])


def main() -> int:
    args = arguments()
    if args.python:
        hand_over(args)
    try:
        with only_errors_speak():
            result = measured(args.peer, args.workload, args.ticks, args.repeat)
    except (NotThereError, ValueError) as error:
        print(f"peers: {error}", file=sys.stderr)
        return 2
    print(json.dumps(result) if args.json else told(result))
    return 4 if result["exact"] and not result["equal"] else 0


if __name__ == "__main__":
    sys.exit(main())
