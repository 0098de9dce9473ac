"""How fast traces are written and read, and in how much memory.

    python benchmarks/trace_speed.py [--spikes N] [--plain-spikes N] [--compression C] [--json]

Writes a trace of many spikes in blocks of ticks, as an engine hands them over, and reads a window of
1,000 ticks from its middle, each in a process of its own whose peak memory is taken. What the
checksums of HDF5 cost is measured beside it: the same columns through plain h5py, with and without.
Exit code 0 if memory stays below 500 MB and the window is read in under 0.3 s, 4 if not, 2 for bad
input.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from standard import tell

from traces.layout import RecordedPopulation
from traces.trace import Trace
from traces.writer import TraceWriter

NEURONS = 10_000
SPIKES_A_TICK = 1_000
BLOCK_TICKS = 100
WINDOW_TICKS = 1_000
MEMORY_BAR_MB, WINDOW_BAR_S = 500, 0.3


def blocks(n_spikes: int) -> Any:
    """Ticks and neurons of one block after the other, sorted."""
    rng = np.random.default_rng(0)
    # A few different blocks, so that making them does not count.
    who = [
        np.sort(
            rng.permuted(np.tile(np.arange(NEURONS), (BLOCK_TICKS, 1)), axis=1)[:, :SPIKES_A_TICK]
        ).ravel()
        for _ in range(4)
    ]
    tick = np.repeat(np.arange(BLOCK_TICKS), SPIKES_A_TICK)
    for k in range(n_spikes // (BLOCK_TICKS * SPIKES_A_TICK)):
        yield tick + k * BLOCK_TICKS, who[k % 4]


def write(path: Path, n_spikes: int, compression: Any) -> dict[str, Any]:
    cells = RecordedPopulation(name="a", shape=(NEURONS,), lag=0, output=True, spiking=True)
    writer = TraceWriter(
        path, kind="chip", populations=[cells], samples=1, ticks=n_spikes // SPIKES_A_TICK,
        input_ticks=0, dt_s=1e-3, provenance={}, compression=compression,
    )  # fmt: skip
    begin, busy = time.perf_counter(), time.process_time()
    for ticks, neurons in blocks(n_spikes):
        writer.spikes("a", ticks, neurons)
    writer.flush()
    wrote, busy = time.perf_counter() - begin, time.process_time() - busy
    begin = time.perf_counter()
    writer.close()
    return {
        "write_s": wrote, "write_cpu_s": busy, "close_s": time.perf_counter() - begin,
        "bytes": path.stat().st_size,
    }  # fmt: skip


def read(path: Path) -> dict[str, Any]:
    begin, busy = time.perf_counter(), time.process_time()
    with Trace.open(path) as trace:
        opened = time.perf_counter() - begin
        first = trace.ticks // 2 - min(WINDOW_TICKS, trace.ticks) // 2
        spikes = trace.spikes("a", first, first + WINDOW_TICKS)
    return {
        "open_s": opened, "window_s": time.perf_counter() - begin,
        "window_cpu_s": time.process_time() - busy, "window": spikes.ticks.size,
    }  # fmt: skip


def checksums(folder: Path, n_spikes: int) -> dict[str, float]:
    """CPU seconds for the same columns through plain h5py, with checksums and without."""
    seconds = {}
    for name, fletcher32 in (("plain", False), ("fletcher32", True)) * 3:
        with h5py.File(folder / "plain.h5", "w") as file:
            columns = [
                file.create_dataset(
                    column, (0,), kind, maxshape=(None,), chunks=(1 << 16,), fletcher32=fletcher32
                )
                for column, kind in (("timestamps", "u8"), ("node_ids", "u4"))
            ]
            begin = time.process_time()
            for values in blocks(n_spikes):
                for column, part in zip(columns, values, strict=True):
                    n = column.shape[0]
                    column.resize(n + part.size, axis=0)
                    column[n:] = part.astype(column.dtype)
            file.flush()
            seconds.setdefault(name, []).append(time.process_time() - begin)
    return {name: statistics.median(found) for name, found in seconds.items()}


def apart(*arguments: str) -> dict[str, Any]:
    """Do one step in a process of its own; what it found and its peak memory."""
    command = [sys.executable, __file__, *arguments]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def step(name: str, path: Path, n_spikes: int, compression: str) -> int:
    found = read(path) if name == "read" else write(path, n_spikes, compression)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
    print(json.dumps(found | {"peak_mb": peak}))
    return 0


def measure(n_spikes: int, folder: Path, compression: str) -> dict[str, Any]:
    path = folder / "trace.h5"
    how = ("--spikes", str(n_spikes), "--compression", compression)
    wrote = apart("--step", "write", "--file", str(path), *how)
    reads = [apart("--step", "read", "--file", str(path), *how) for _ in range(5)]
    window_s = statistics.median(r["window_s"] for r in reads)
    found = {
        "spikes": n_spikes, "compression": compression,
        "write_s": round(wrote["write_s"], 2), "write_cpu_s": round(wrote["write_cpu_s"], 2),
        "million_spikes_a_second": round(n_spikes / wrote["write_s"] / 1e6, 1),
        "close_s": round(wrote["close_s"], 2),
        "bytes_a_spike": round(wrote["bytes"] / n_spikes, 2),
        "write_peak_mb": round(wrote["peak_mb"]), "read_peak_mb": round(reads[0]["peak_mb"]),
        "open_s": round(statistics.median(r["open_s"] for r in reads), 4),
        "window_s": round(window_s, 4),
        "window_cpu_s": round(statistics.median(r["window_cpu_s"] for r in reads), 4),
        "window_spikes": reads[0]["window"],
    }  # fmt: skip
    found["holds"] = wrote["peak_mb"] < MEMORY_BAR_MB and window_s < WINDOW_BAR_S
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--spikes", type=int, default=100_000_000, metavar="N")
    parser.add_argument("--plain-spikes", type=int, default=20_000_000, metavar="N")
    parser.add_argument("--compression", choices=["none", "fast", "small"], default="none")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--step", choices=["write", "read"], help=argparse.SUPPRESS)
    parser.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    least = BLOCK_TICKS * SPIKES_A_TICK
    if min(args.spikes, args.plain_spikes) < least:
        print(
            f"trace_speed: --spikes and --plain-spikes must be at least {least:,}", file=sys.stderr
        )
        return 2
    if args.step:
        return step(args.step, args.file, args.spikes, args.compression)
    with tempfile.TemporaryDirectory() as name:
        found = measure(args.spikes, Path(name), args.compression)
        costs = checksums(Path(name), args.plain_spikes)
    found["plain_cpu_s"], found["fletcher32_cpu_s"] = (
        round(costs[name], 3) for name in ("plain", "fletcher32")
    )
    found["plain_spikes"] = args.plain_spikes
    found["cpus"] = os.cpu_count()
    return tell(found, as_json=args.json)


if __name__ == "__main__":
    sys.exit(main())
