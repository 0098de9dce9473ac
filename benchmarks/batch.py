"""How fast samples run side by side: the digits of MNIST on a network that lava-dl trained.

    python benchmarks/batch.py [--samples N] [--ticks N] [--threads N] [--json]

The network and the images are those of the shared folder; images beyond its 500 are taken again.
Seconds are the median of three runs after a warm-up; only spikes and the class are looked at. Exit code 0
if all checks hold, 4 if one does not, 2 for bad input.
"""

import argparse
import statistics
import sys
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from real_cases import BadCaseError, net_of, read_images, tutorial_spikes
from standard import BadInputError, shared_folder, tell

from emulator.chip_file import load_chip
from emulator.engine import Block, Engine, usable_cores
from emulator.stimulus import Stimulus
from mapping.drive import Drive
from spikefab.deployment import Deployment
from spikefab.host import stimulus

Array = NDArray[Any]

RUNS = 3
WARM_UP = 8
BAR = {"samples": 500, "ticks": 32, "seconds": 3.0}
"""What must be done in how much time; judged for just so many samples and ticks."""
ACCURACY = 0.96


@dataclass(frozen=True, kw_only=True, eq=False)
class Batch:
    """A network on its chip, and samples with their classes."""

    deployment: Deployment
    stimuli: list[Stimulus]
    classes: Array


def batch_of(n_samples: int, n_ticks: int) -> Batch:
    """Read network and images; an image is input until the output has just time to answer."""
    folder = shared_folder("networks")
    deployment = net_of(shared_folder("networks/loihi_mnist"), {}, load_chip("loihi"))
    (source,) = deployment.network.inputs
    images, classes = read_images(folder / "ann_mnist_cnn" / "mnist_500.npz", source.size)
    taken = np.arange(n_samples) % len(classes)
    spikes = tutorial_spikes(images[np.unique(taken)], max(n_ticks - output_of(deployment).lag, 1))
    stimuli = [
        stimulus(Drive(n_ticks=len(counts), spikes={source.name: counts}), deployment, n_ticks)
        for counts in spikes
    ]
    return Batch(
        deployment=deployment, stimuli=[stimuli[number] for number in taken],
        classes=classes[taken],
    )  # fmt: skip


def output_of(deployment: Deployment) -> Any:
    """Return the population whose spikes say the class."""
    name = deployment.network.outputs[0]
    return next(part for part in deployment.program.populations if part.name == name)


def run_once(batch: Batch, n_ticks: int, threads: int | None, n: int) -> tuple[float, int, Array]:
    """Seconds of the first ``n`` samples, spikes, and what each output neuron fired [n, classes]."""
    deployment = batch.deployment
    output = output_of(deployment)
    column = np.full(deployment.program.n_neurons, output.size)
    column[deployment.program.neurons_of(output.name)] = np.arange(output.size)
    counts = np.zeros((n, output.size + 1), np.int64)

    def count(block: Block) -> None:
        counts[block.sample] += np.bincount(column[block.spike_neuron], minlength=output.size + 1)

    began = time.perf_counter()
    engine = Engine(deployment.program, deployment.chip, n_threads=threads)
    engine.run(batch.stimuli[:n], n_ticks, count)
    return time.perf_counter() - began, int(counts.sum()), counts[:, :-1]


def measure(batch: Batch, args: argparse.Namespace) -> dict[str, Any]:
    """Run all samples several times."""
    run_once(batch, args.ticks, args.threads, min(WARM_UP, args.samples))
    runs = [run_once(batch, args.ticks, args.threads, args.samples) for _ in range(RUNS)]
    seconds = statistics.median(took for took, _, _ in runs)
    accuracy = float((runs[0][2].argmax(axis=1) == batch.classes).mean())
    checks = {
        "all runs fire alike": all(np.array_equal(runs[0][2], counts) for _, _, counts in runs),
    }
    if (args.samples, args.ticks) == (BAR["samples"], BAR["ticks"]):
        checks[f"at most {BAR['seconds']} s"] = seconds <= BAR["seconds"]
        checks[f"accuracy at least {ACCURACY}"] = accuracy >= ACCURACY
    return {
        "seconds": seconds, "samples_per_s": args.samples / seconds, "spikes": runs[0][1],
        "accuracy": accuracy, "checks": checks, "holds": all(checks.values()),
    }  # fmt: skip


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("samples", "ticks"):
        parser.add_argument(f"--{name}", type=int, default=BAR[name])
    parser.add_argument("--threads", type=int, help="all processors if not given")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def main() -> int:
    args = arguments()
    try:
        for name in ("samples", "ticks", "threads"):
            value = getattr(args, name)
            if value is not None and value < 1:
                raise BadInputError(f"--{name} must be at least 1, but is {value}")
        batch = batch_of(args.samples, args.ticks)
    except (BadInputError, BadCaseError) as error:
        print(f"batch: {error}", file=sys.stderr)
        return 2
    found = {
        "samples": args.samples, "ticks": args.ticks, "threads": args.threads or usable_cores(),
    } | measure(batch, args)  # fmt: skip
    return tell(found, as_json=args.json)


if __name__ == "__main__":
    sys.exit(main())
