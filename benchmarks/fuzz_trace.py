"""Damage traces in many ways and read all of them: a clear error or true values, and no crash.

    python benchmarks/fuzz_trace.py [--mutations N] [--seed S] [--json]

Sealed traces of each compression, one that broke off and what a kill leaves are cut, bits in them
flipped, pages zeroed, blocks swapped, tails doubled, bytes replaced. Worker processes open each and
read every table; they may die without harm to the count. What no checksum covers - HDF5's own
bookkeeping in a file that a kill left without its seal - may give a wrong value; how often is told.
Exit code 0 if all is well, 4 if not, 2 for bad input.
"""

import argparse
import json
import os
import pickle
import queue
import select
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections import Counter
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from standard import tell
from traces_to_fuzz import SOURCES, difference, everything, write_source

from traces.errors import TraceFormatError
from traces.trace import Trace

HANG_S = 60.0
PAGE = 4096


def cut(raw: bytearray, rng: np.random.Generator) -> bytearray:
    return raw[: int(rng.integers(0, len(raw)))]


def cut_a_little(raw: bytearray, rng: np.random.Generator) -> bytearray:
    return raw[: len(raw) - int(rng.integers(1, min(2000, len(raw))))]


def flip(raw: bytearray, rng: np.random.Generator) -> bytearray:
    for _ in range(int(rng.choice([1, 1, 1, 2, 8, 64]))):
        raw[int(rng.integers(0, len(raw)))] ^= 1 << int(rng.integers(0, 8))
    return raw


def zero(raw: bytearray, rng: np.random.Generator) -> bytearray:
    size = int(rng.choice([8, 512, PAGE, 4 * PAGE]))
    at = int(rng.integers(0, len(raw))) // size * size
    raw[at : at + size] = bytes(len(raw[at : at + size]))
    return raw


def swap(raw: bytearray, rng: np.random.Generator) -> bytearray:
    size = int(rng.choice([8, 512, PAGE]))
    a, b = (int(n) * size for n in rng.integers(0, len(raw) // size, 2))
    raw[a : a + size], raw[b : b + size] = raw[b : b + size], raw[a : a + size]
    return raw


def double_the_tail(raw: bytearray, rng: np.random.Generator) -> bytearray:
    return raw + raw[len(raw) - int(rng.integers(1, min(20_000, len(raw)))) :]


def replace(raw: bytearray, rng: np.random.Generator) -> bytearray:
    at, n = int(rng.integers(0, len(raw))), int(rng.integers(1, 64))
    raw[at : at + n] = rng.bytes(len(raw[at : at + n]))
    return raw


MUTATIONS = (cut, cut_a_little, flip, flip, flip, zero, swap, double_the_tail, replace)


def mutated(sources: list[bytes], seed: int, case: int) -> tuple[int, str, bytearray]:
    """Damage one of the sources; return its number, how, and the bytes."""
    rng = np.random.default_rng([seed, case])
    number = int(rng.integers(0, len(sources)))
    mutation = MUTATIONS[int(rng.integers(0, len(MUTATIONS)))]
    return number, mutation.__name__, mutation(bytearray(sources[number]), rng)


def outcome(path: Path, truth: dict[str, Any]) -> tuple[str, str]:
    """Open and read a damaged trace."""
    try:
        with Trace.open(path) as trace:
            found = everything(trace)
            complete = trace.complete
    except TraceFormatError as error:
        return "refused", str(error)
    except Exception:
        return "exception", traceback.format_exc()
    how = difference(found, truth)
    if how == "equal" or (how == "fewer" and not complete):
        return how, ""
    return "wrong", "rows are missing from a complete trace" if how == "fewer" else how


def work(folder: Path, seed: int) -> int:
    """Do one case after the other, as told on stdin."""
    sources = [(folder / f"{name}.h5").read_bytes() for name in SOURCES]
    truths = pickle.loads((folder / "truths").read_bytes())
    path = folder / f"case{os.getpid()}.h5"
    for line in sys.stdin:
        number, _, raw = mutated(sources, seed, int(line))
        path.unlink(missing_ok=True)
        path.write_bytes(raw)
        print(json.dumps(outcome(path, truths[number])), flush=True)
    path.unlink(missing_ok=True)
    return 0


class Worker:
    """A process that reads damaged traces and may die of one."""

    def __init__(self, folder: Path, seed: int) -> None:
        self._command = [sys.executable, __file__, "--work", str(folder), "--seed", str(seed)]
        self._process = self._start()

    def _start(self) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            bufsize=0,
        )  # fmt: skip

    def do(self, case: int) -> tuple[str, str]:
        """Have a case done."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{case}\n".encode())
        ready, _, _ = select.select([self._process.stdout], [], [], HANG_S)
        line = self._process.stdout.readline() if ready else b""
        if line:
            how, text = json.loads(line)
            return how, text
        self.end()
        code = self._process.returncode
        self._process = self._start()
        return ("crash", f"exit code {code}") if ready else ("hang", f"after {HANG_S:g} s")

    def end(self) -> None:
        """Stop the process."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()


def covered(
    sources: list[bytes], blocks: list[list[tuple[int, int]]], seed: int, case: int
) -> bool:
    """Whether a checksum covers what a case changed: all of a sealed file, else the blocks."""
    number, _, raw = mutated(sources, seed, case)
    if not SOURCES[number].startswith("killed"):
        return True
    before = np.frombuffer(sources[number], np.uint8)
    after = np.frombuffer(raw, np.uint8)
    if after.size != before.size:
        return after.size < before.size
    changed = np.flatnonzero(after != before)
    inside = np.zeros(before.size, np.bool_)
    for start, size in blocks[number]:
        inside[start : start + size] = True
    return bool(inside[changed].all())


def blocks_of(path: Path) -> list[tuple[int, int]]:
    """Places and sizes of the blocks that have a checksum of HDF5."""
    found: list[tuple[int, int]] = []

    def visit(_: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset) and item.chunks:
            item.id.chunk_iter(lambda chunk: found.append((chunk.byte_offset, chunk.size)))

    with h5py.File(path, "r") as file:
        file.visititems(visit)
    return found


def fuzz(n: int, seed: int, n_workers: int) -> dict[str, Any]:
    """Read so many damaged traces."""
    begin = time.perf_counter()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for k, source in enumerate(SOURCES):
            write_source(source, folder / f"{source}.h5", np.random.default_rng([seed, 10**6 + k]))
        truths = []
        for source in SOURCES:
            with Trace.open(folder / f"{source}.h5") as trace:
                truths.append(everything(trace))
        (folder / "truths").write_bytes(pickle.dumps(truths))
        sources = [(folder / f"{source}.h5").read_bytes() for source in SOURCES]
        blocks = [blocks_of(folder / f"{source}.h5") for source in SOURCES]
        results = _all(n, seed, n_workers, folder)
        counts: Counter[str] = Counter()
        for case, (how, text) in sorted(results.items()):
            if how == "wrong" and not covered(sources, blocks, seed, case):
                how = "wrong_where_nothing_covers"
            counts[how] += 1
            if how in ("wrong", "crash", "hang", "exception"):
                number, mutation, _ = mutated(sources, seed, case)
                print(
                    f"case {case} of seed {seed} ({mutation} of {SOURCES[number]}): {how}, {text}",
                    file=sys.stderr,
                )
    kinds = ("equal", "fewer", "refused", "wrong_where_nothing_covers")
    bad = ("wrong", "crash", "hang", "exception")
    return {
        "mutations": n, "seed": seed, **{kind: counts[kind] for kind in (*kinds, *bad)},
        "seconds": round(time.perf_counter() - begin, 1),
        "holds": not any(counts[kind] for kind in bad),
    }  # fmt: skip


def _all(n: int, seed: int, n_workers: int, folder: Path) -> dict[int, tuple[str, str]]:
    cases: queue.SimpleQueue[int] = queue.SimpleQueue()
    for case in range(n):
        cases.put(case)
    results: dict[int, tuple[str, str]] = {}

    def go() -> None:
        worker = Worker(folder, seed)
        while True:
            try:
                case = cases.get_nowait()
            except queue.Empty:
                worker.end()
                return
            results[case] = worker.do(case)

    threads = [threading.Thread(target=go) for _ in range(n_workers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mutations", type=int, default=2000, metavar="N")
    parser.add_argument("--seed", type=int, default=0, metavar="S")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, metavar="N")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--work", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.mutations < 1 or args.seed < 0 or args.workers < 1:
        print(
            "fuzz_trace: --mutations and --workers must be at least 1, --seed at least 0",
            file=sys.stderr,
        )
        return 2
    if args.work is not None:
        return work(args.work, args.seed)
    return tell(fuzz(args.mutations, args.seed, args.workers), as_json=args.json)


if __name__ == "__main__":
    sys.exit(main())
