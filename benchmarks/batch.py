"""How fast many short samples run side by side.

    python benchmarks/batch.py [--samples N] [--ticks N] [--threads N] [--json]

The network of lava-dl that reads digits, from the shared folder, on Loihi: 500 images of 32 ticks on two
threads in less than 3 seconds once it is compiled, with the same spikes as one after another. Exit code 0 if
that holds, 4 if not, 2 for bad input.
"""

import argparse
import json
import statistics
import sys
import time
from itertools import repeat
from typing import Any

import numpy as np
from real_cases import BadCaseError, net_of, read_images, tutorial_spikes
from standard import BadInputError, shared_folder

from emulator.chip_file import load_chip
from emulator.engine import Block, Engine
from emulator.stimulus import Stimulus
from mapping.drive import Drive
from spikefab.deployment import Deployment
from spikefab.host import stimulus

RUNS, SECONDS_MOST, USUAL = 3, 3.0, (500, 32)


def run_once(deployment: Deployment, stimuli: list[Stimulus], ticks: int, threads: int) -> Any:
    """Seconds, and a row of spike counts for each sample."""
    program = deployment.program
    engine = Engine(program, deployment.chip, n_threads=threads)
    counts = np.zeros((len(stimuli), program.n_neurons), np.int64)

    def observe(block: Block) -> None:
        counts[block.sample] += np.bincount(block.spike_neuron, minlength=program.n_neurons)

    began = time.perf_counter()
    engine.run(stimuli, ticks, observe)
    return time.perf_counter() - began, counts, int(engine.env.now)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, usual in (("--samples", USUAL[0]), ("--ticks", USUAL[1]), ("--threads", 2)):
        parser.add_argument(name, type=int, default=usual)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    try:
        if min(args.samples, args.ticks, args.threads) < 1:
            raise BadInputError("--samples, --ticks and --threads must be at least 1")
        folder = shared_folder("networks/loihi_mnist")
        deployment = net_of(folder, {}, load_chip("loihi"))
        path = shared_folder("networks/ann_mnist_cnn") / "mnist_500.npz"
        images, labels = read_images(path, deployment.network.inputs[0].size)
    except (BadInputError, BadCaseError) as error:
        print(f"batch: {error}", file=sys.stderr)
        return 2
    order = np.arange(args.samples) % len(images)
    raster = tutorial_spikes(images[order], args.ticks)
    name = deployment.network.inputs[0].name
    drives = (Drive(n_ticks=args.ticks, spikes={name: counts}) for counts in raster)
    stimuli = [stimulus(*each) for each in zip(drives, repeat(deployment), repeat(args.ticks))]
    _, alone, alone_ps = run_once(deployment, stimuli, args.ticks, 1)  # compiles
    seconds = [run_once(deployment, stimuli, args.ticks, args.threads) for _ in range(RUNS)]
    took = statistics.median(each[0] for each in seconds)
    equal = all(np.array_equal(alone, each[1]) and each[2] == alone_ps for each in seconds)
    checks = {"equal to one after another": equal}
    if (args.samples, args.ticks) == USUAL:
        checks[f"less than {SECONDS_MOST:g} s"] = took < SECONDS_MOST
    output = deployment.program.neurons_of(deployment.network.outputs[0])
    right = alone[:, output].argmax(axis=1) == labels[order]
    found = {
        "samples": args.samples, "ticks": args.ticks, "threads": args.threads, "seconds": took,
        "samples_per_s": args.samples / took, "spikes": int(alone.sum()),
        "accuracy": float(right.mean()), "checks": checks, "holds": all(checks.values()),
    }  # fmt: skip
    told = sys.stderr if args.json else sys.stdout
    for key, value in found.items():
        print(f"{key}: {value}", file=told)
    if args.json:
        print(json.dumps(found))
    return 0 if found["holds"] else 4


if __name__ == "__main__":
    sys.exit(main())
