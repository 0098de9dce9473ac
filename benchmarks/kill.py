"""Runs that are killed at random moments: what is left is readable, and goes on as if nothing had been.

    python benchmarks/kill.py [--runs N] [--seed S] [--json]

For each run a random network, chip and choice of what to record: run once without trouble, then in a
process that gets SIGKILL at a random moment. What it leaves must open, hold everything up to a second
of its own time before the kill, be recovered into a sound file, and after `resume_network` (which is killed once, too, in
every third run) have the content hash of the undisturbed run. Exit code 0 if all do, 4 if one does not,
2 for bad input.
"""

import argparse
import mmap
import os
import shutil
import signal
import struct
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from standard import BadInputError, tell

from emulator.chip_file import load_chip
from mapping.linear import Dense
from mapping.network import Input, Network, Population, Projection
from spikefab.data import Samples
from spikefab.deployment import Deployment, deploy
from spikefab.run import resume_network, run_network
from traces.recover import recover
from traces.trace import Trace

GRACE_S = 3.0
"""Processor time in which a process comes to a flush: two threads, a second apart, and a block."""
MOST_SEEN = 1 << 16
FILES = ("trace.h5", "float.h5")
WISHES = ((), ("packets", "activity"), ("v,u hidden[0:5] every 3", "spikes out"),
          ("v out around spike hidden[0:3] 2:4",))  # fmt: skip


def random_network(rng: np.random.Generator) -> Network:
    """Two layers, a recurrent one among them, and an output that never spikes beside one that does."""
    n_in, n_hidden, n_out = (int(n) for n in rng.integers((8, 60, 4), (40, 300, 12)))

    def dense(source: str, target: str, n_pre: int, n_post: int, gain: float) -> Projection:
        weight = rng.normal(0.2, 1.0, (n_post, n_pre)) * gain / np.sqrt(n_pre)
        linear = Dense(weight=weight, pre_shape=(n_pre,), post_shape=(n_post,))
        delay = 1e-3 * int(rng.integers(0, 4))
        return Projection(source=source, target=target, linear=linear, delay_s=delay)

    def cells(name: str, n: int, threshold: float | None) -> Population:
        tau = float(rng.choice([0.0, 4e-3]))
        return Population(
            name=name, shape=(n,), threshold=threshold, tau_mem_s=2e-2, tau_syn_s=tau,
            reset=str(rng.choice(["zero", "subtract"])) if threshold else "zero",
        )  # fmt: skip

    return Network(
        dt_s=1e-3,
        inputs=(Input(name="in", shape=(n_in,)),),
        populations=(
            cells("hidden", n_hidden, 1.0), cells("out", n_out, 1.0), cells("sum", n_out, None),
        ),
        projections=(
            dense("in", "hidden", n_in, n_hidden, 2.0),
            dense("hidden", "hidden", n_hidden, n_hidden, 0.5),
            dense("hidden", "out", n_hidden, n_out, 1.0),
            dense("hidden", "sum", n_hidden, n_out, 1.0),
        ),
        outputs=("out", "sum"),
    )  # fmt: skip


def random_case(rng: np.random.Generator) -> tuple[Deployment, Samples, dict[str, Any]]:
    """A deployment, its input, and how it is run: about a second of work."""
    network = random_network(rng)
    n_samples, n_ticks = int(rng.integers(1, 9)), int(rng.integers(200, 2000))
    spiking = bool(rng.random() < 0.7)
    shape = (n_samples, n_ticks, network.inputs[0].size)
    x = rng.random(shape) < 0.1 if spiking else rng.random(shape) * (rng.random(shape) < 0.05)
    samples = Samples(
        x=x.astype(np.int64) if spiking else x, y=rng.integers(0, 4, n_samples), n_ticks=n_ticks,
        spiking=spiking,
    )  # fmt: skip
    chip = load_chip(str(rng.choice(["loihi", "generic"])))
    deployment = deploy(network, chip, direct=not spiking, samples=samples)
    how = {
        "fabric": str(rng.choice(["ideal", "queued", "links"])) if chip.timing else "ideal",
        "threads": int(rng.integers(1, 3)),
        "checkpoint_ticks": [None, int(rng.integers(100, 3000))][int(rng.integers(2))],
        "seed": int(rng.integers(100)),
        "record": WISHES[int(rng.integers(len(WISHES)))],
    }
    return deployment, samples, how


class Seen:
    """When how much was done, written by one process and read by another."""

    def __init__(self) -> None:
        self._map = mmap.mmap(-1, 16 * MOST_SEEN + 8)

    def add(self, samples: int) -> None:
        """Note that so many samples of the chip's are done."""
        n = struct.unpack_from("q", self._map, 0)[0]
        if n < MOST_SEEN:
            struct.pack_into("dq", self._map, 8 + 16 * n, time.process_time(), samples)
            struct.pack_into("q", self._map, 0, n + 1)

    def before(self, moment: float) -> int:
        """Samples that were done when the process had worked so long."""
        n = struct.unpack_from("q", self._map, 0)[0]
        rows = (struct.unpack_from("dq", self._map, 8 + 16 * k) for k in range(n))
        return max((done for at, done in rows if at <= moment), default=0)


def in_child(
    work: Callable[[], object], kill_after_s: float | None, wait_for: Path
) -> float | None:
    """Do some work in a forked process; kill it so long after a file has appeared.

    Returns
    -------
    float or None
        How long the process had worked when it was killed; None where its work was done before.
    """
    child = os.fork()
    if child == 0:
        code = 1
        try:
            work()
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(code)
    if kill_after_s is not None:
        while not wait_for.exists() and os.waitpid(child, os.WNOHANG) == (0, 0):
            time.sleep(1e-4)
        time.sleep(kill_after_s)
        moment = processor_s(child)
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return moment
    if os.waitstatus_to_exitcode(status):
        raise RuntimeError("the run failed by itself")
    return None


def processor_s(process: int) -> float:
    """Processor time of a process: on a busy machine it is not its fault that time goes by."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:  # it has ended, or this system tells otherwise
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def hashes(folder: Path) -> dict[str, str | None]:
    """Content hash of both traces."""
    found = {}
    for name in FILES:
        with Trace.open(folder / name) as trace:
            found[name] = trace.content_sha256
            assert trace.content_hash() == trace.content_sha256
    return found


def read_all(path: Path) -> tuple[int, bool]:
    """Read every table; ticks that are whole, and whether the trace is complete."""
    with Trace.open(path) as trace:
        for population in trace.populations:
            trace.spikes(population.name, 0, trace.whole_ticks)
        for population_name, variable in trace.states():
            trace.frames(population_name, variable, 0, trace.whole_ticks)
        trace.tick_counters(0, trace.whole_ticks)
        return trace.whole_ticks, trace.complete


def one_run(rng: np.random.Generator, folder: Path, *, twice: bool) -> dict[str, Any]:
    """Run, kill, look, recover, resume, compare."""
    deployment, samples, how = random_case(rng)
    whole, killed = folder / "whole", folder / "killed"
    for each in (whole, killed):
        each.mkdir()
    began = time.monotonic()
    undisturbed = run_network(deployment, samples, folder=whole, **how)
    took = time.monotonic() - began
    seen = Seen()

    def report(stage: str, done: int, total: int) -> None:
        if stage == "chip":
            seen.add(done)

    def work() -> None:
        run_network(deployment, samples, folder=killed, progress=report, **how)

    trace = killed / "trace.h5"
    after_s = float(rng.random()) * took
    moment = in_child(work, after_s, trace)
    while moment is None:  # done before the kill: earlier, in a new folder
        shutil.rmtree(killed)
        killed.mkdir()
        after_s /= 2
        moment = in_child(work, after_s, trace)
    found: dict[str, Any] = {"readable": True, "trouble": ""}
    whole_ticks, complete = read_all(trace)
    # Of the last block that was handed over, the file does not know yet that it is whole.
    due = max(seen.before(moment - GRACE_S) - 1, 0) * undisturbed.ticks_per_sample
    found["early_enough"] = complete or whole_ticks >= due
    recover(trace, folder / "recovered.h5")
    found["recovered"] = read_all(folder / "recovered.h5")[0] >= whole_ticks
    if twice:
        in_child(lambda: resume_network(killed), float(rng.random()) * took, trace)
        read_all(trace)
    resumed = resume_network(killed, threads=int(rng.integers(1, 3)))
    found["same_answer"] = bool(
        np.array_equal(resumed.readout_chip, undisturbed.readout_chip)
        and np.array_equal(resumed.readout_float, undisturbed.readout_float)
        and resumed.duration_ps == undisturbed.duration_ps
        and all(np.array_equal(resumed.counters[k], v) for k, v in undisturbed.counters.items())
    )
    found["resumed_equal"] = hashes(killed) == hashes(whole)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    try:
        if asked.runs < 1 or asked.seed < 0:
            raise BadInputError("--runs must be at least 1, --seed at least 0")
        found = judged(asked.runs, asked.seed)
    except BadInputError as error:
        print(f"kill: {error}", file=sys.stderr)
        return 2
    return tell(found, as_json=asked.json)


def judged(runs: int, seed: int) -> dict[str, Any]:
    """Kill so many runs and sum up."""
    results = []
    for number in range(runs):
        folder = Path(tempfile.mkdtemp(prefix="spikefab-kill-"))
        try:
            result = one_run(np.random.default_rng((seed, number)), folder, twice=number % 3 == 2)
        except Exception as error:  # what is looked for: say it, and go on
            result = {
                "readable": False,
                "trouble": f"{type(error).__name__}: {error}",
            }
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        results.append(result)
        print(f"{number + 1}/{runs} {result}", file=sys.stderr)
    count = {
        name: sum(bool(r.get(name)) for r in results)
        for name in ("readable", "early_enough", "recovered", "same_answer", "resumed_equal")
    }
    return {
        "runs": runs,
        **count,
        "trouble": [f"run {k}: {r['trouble']}" for k, r in enumerate(results) if r["trouble"]],
        "holds": all(n == runs for n in count.values()),
    }


if __name__ == "__main__":
    sys.exit(main())
