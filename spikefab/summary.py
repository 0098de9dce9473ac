"""The numbers of a run that a design review asks for."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from emulator.neuron import VARIABLES
from spikefab.run import RunResult, versions

Array = NDArray[Any]


def summary(result: RunResult, *, network: str, wall_s: float) -> dict[str, Any]:
    """Sum up a run; a value that was not measured is None.

    Energy and latency are those of the chip running as fast as it can, per sample.
    """
    samples, counters = result.samples, result.counters
    n = len(samples)
    float_class, chip_class = result.readout_float.argmax(1), result.readout_chip.argmax(1)
    energy = result.energy
    out_of_range = {part: int(counters[f"{part}_overflows"].sum()) for part in VARIABLES}
    return {
        "network": network,
        "chip": result.deployment.chip.name,
        "samples": n,
        "ticks": samples.n_ticks,
        "ticks_per_sample": result.ticks_per_sample,
        "input": "spikes" if samples.spiking else "direct current",
        "accuracy": {
            "float": _accuracy(float_class, samples.y),
            "chip": _accuracy(chip_class, samples.y),
            "float_instant": _accuracy(result.readout_instant.argmax(1), samples.y),
        },
        "agreement": float(np.mean(float_class == chip_class)),
        "predictions": {"float": float_class.tolist(), "chip": chip_class.tolist()},
        "spikes": {
            "float": _total(result.counts_float),
            "chip": _total(result.counts_chip),
        },
        "rates": {
            name: {
                "float": float(counts.mean() / result.ticks_per_sample),
                "chip": float(result.counts_chip[name].mean() / result.ticks_per_sample),
            }
            for name, counts in result.counts_float.items()
        },
        "synaptic_events": int(counters["synaptic_events"].sum()),
        "packets": int(counters["packets"].sum()),
        "local_packets": int(counters["local_packets"].sum()),
        "input_packets": int(counters["input_packets"].sum()),
        "hops": int(counters["hops_ew"].sum() + counters["hops_ns"].sum()),
        "energy_j_per_sample": energy.total / n if energy else None,
        "energy": {part: value / n for part, value in energy._asdict().items()} if energy else None,
        "latency_s_per_sample": (
            result.duration_ps * 1e-12 / n if result.deployment.chip.timing else None
        ),
        "cores_used": result.deployment.program.n_cores,
        "neurons": result.deployment.program.n_neurons,
        "saturations": sum(out_of_range.values()),
        "out_of_range": out_of_range,
        "currents_cut": result.currents_cut,
        "tensors": [vars(error) for error in result.deployment.fixed.errors],
        "notes": [
            *result.deployment.network.notes,
            *result.deployment.fixed.notes,
            *result.warnings,
            *_about_readout(result),
        ],
        "wall_s": wall_s,
        "wall": result.wall_s,
        "versions": versions(),
        "seed": result.seed,
    }


def _about_readout(result: RunResult) -> list[str]:
    """Say which of several outputs decides."""
    others = [name for name in result.deployment.network.outputs if name != result.readout]
    if not others:
        return []
    return [
        f"classes are read from output {result.readout!r}; there are also "
        f"{', '.join(map(repr, others))} (--readout)"
    ]


def _accuracy(predicted: Array, y: Array | None) -> float | None:
    return None if y is None else float(np.mean(predicted == y))


def _total(counts: dict[str, Array]) -> int:
    return int(sum(int(c.sum()) for c in counts.values()))
