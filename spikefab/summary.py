"""The numbers of a run that a design review asks for."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emulator.chip import Chip
from emulator.chip_bounds import cost_rows, is_assumed, open_ends
from emulator.energy import energy_band
from emulator.neuron import VARIABLES
from spikefab.marks import marks_of
from spikefab.run import RunResult, versions
from spikefab.timing import timing_numbers

Array = NDArray[Any]

SATURATED = 1.0
"""Values out of range for each spike from which on a run is warned about."""


def summary(result: RunResult, *, network: str, wall_s: float) -> dict[str, Any]:
    """Sum up a run; a value that was not measured is None.

    Energy and latency are those of the chip running as fast as it can, per sample. The band of the
    energy has every cost at its low or high end; static power flows for the same time in all three.
    """
    samples, counters = result.samples, result.counters
    n = len(samples)
    float_class, chip_class = result.readout_float.argmax(1), result.readout_chip.argmax(1)
    energy, chip = result.energy, result.deployment.chip
    band = energy_band(counters, result.duration_ps, chip) if energy else None
    out_of_range = {part: int(counters[f"{part}_overflows"].sum()) for part in VARIABLES}
    order = [part.name for part in result.deployment.network.order]
    return {
        "network": network,
        "chip": chip.name,
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
        "agreement_instant": float(np.mean(result.readout_instant.argmax(1) == chip_class)),
        "predictions": {"float": float_class.tolist(), "chip": chip_class.tolist()},
        "spikes": {
            "float": _total(result.counts_float),
            "chip": _total(result.counts_chip),
        },
        "rates": {
            name: {
                "float": float(result.counts_float[name].mean() / result.ticks_per_sample),
                "chip": float(result.counts_chip[name].mean() / result.ticks_per_sample),
            }
            for name in order
        },
        "synaptic_events": int(counters["synaptic_events"].sum()),
        "packets": int(counters["packets"].sum()),
        "local_packets": int(counters["local_packets"].sum()),
        "input_packets": int(counters["input_packets"].sum()),
        "hops": sum(int(counters[f"hops_{way}"].sum()) for way in ("ew", "ns", "off_chip")),
        "energy_j_per_sample": energy.total / n if energy else None,
        "energy": {part: value / n for part, value in energy._asdict().items()} if energy else None,
        "energy_band": band
        and {
            side: {part: value / n for part, value in joules._asdict().items()}
            | {"total": joules.total / n}
            for side, joules in band._asdict().items()
        },
        "latency_s_per_sample": result.duration_ps * 1e-12 / n if chip.timing else None,
        "timing": _timing(result),
        "cores_used": result.deployment.program.n_cores,
        "neurons": result.deployment.program.n_neurons,
        "saturations": sum(out_of_range.values()),
        "out_of_range": out_of_range,
        "out_of_range_by_core": _by_core(result),
        "currents_cut": result.currents_cut,
        "tensors": [vars(error) for error in result.deployment.fixed.errors],
        "costs": _costs(chip),
        "marks": marks_of(chip, result.fabric),
        "notes": [
            *result.deployment.network.notes,
            *result.deployment.fixed.notes,
            *_host_notes(result),
            *_about_readout(result),
        ],
        "warnings": [*result.warnings, *_warnings(result, out_of_range)],
        "wall_s": wall_s,
        "wall": result.wall_s,
        "versions": versions(),
        "seed": result.seed,
    }


def _timing(result: RunResult) -> dict[str, Any] | None:
    """What the run took, tick by tick; None for a chip without times."""
    if result.deployment.chip.timing is None:
        return None
    return timing_numbers(
        result.ticks, result.settled, result.carried, result.deployment.program.core,
        fabric=result.fabric, period_s=result.tick_period_s,
    )  # fmt: skip


def _about_readout(result: RunResult) -> list[str]:
    """Say which of several outputs decides."""
    others = [name for name in result.deployment.network.outputs if name != result.readout]
    if not others:
        return []
    return [
        f"classes are read from output {result.readout!r}; there are also "
        f"{', '.join(map(repr, others))} (--readout)"
    ]


def _costs(chip: Chip) -> dict[str, Any] | None:
    """Count the constants behind time and energy, and say which of them are assumed or one-sided."""
    rows = cost_rows(chip)
    assumed = [row.key for row in rows if is_assumed(row)]
    return (
        {
            "constants": len(rows),
            "assumed": len(assumed),
            "assumed_constants": assumed,
            "one_sided": [*open_ends(chip, "timing"), *open_ends(chip, "energy")],
        }
        if rows
        else None
    )


def _host_notes(result: RunResult) -> Iterator[str]:
    """Say what of the network the chip did not do."""
    network = result.deployment.network
    if result.samples.spiking:
        return
    inputs = {part.name for part in network.inputs}
    first = sorted({p.target for p in network.projections if p.source in inputs})
    yield (
        f"direct current: the weights into {', '.join(first)} run in float on the host, which "
        f"hands the sums over as bias currents; only later layers use the chip's weights"
    )


def _warnings(result: RunResult, out_of_range: dict[str, int]) -> Iterator[str]:
    """Point out what makes the chip's result worth little."""
    for part in result.deployment.network.order:
        in_float, on_chip = (
            int(counts[part.name].sum()) for counts in (result.counts_float, result.counts_chip)
        )
        if in_float and not on_chip:
            yield f"{part.name} never spikes on the chip, but {in_float:,} times in float"
    spikes = max(_total(result.counts_chip), 1)
    for variable, count in out_of_range.items():
        if count >= SATURATED * spikes:
            yield (
                f"{variable} left its register {count:,} times, {count / spikes:,.1f} times a "
                f"spike, in {', '.join(_where(result, variable))}: the chip's numbers are too "
                f"small for this network"
            )


def _where(result: RunResult, variable: str) -> list[str]:
    """Name the populations on cores where a variable left its register."""
    program = result.deployment.program
    cores = np.flatnonzero(result.counters[f"{variable}_overflows"])
    there = np.unique(program.population[np.isin(program.neuron_core, cores)])
    return [program.populations[number].name for number in there]


def _accuracy(predicted: Array, y: Array | None) -> float | None:
    return None if y is None else float(np.mean(predicted == y))


def _by_core(result: RunResult) -> dict[str, dict[str, int]]:
    """How often a variable left its register on each core of the chip where it did."""
    cores = result.deployment.program.core
    found = {}
    for variable in VARIABLES:
        counts = result.counters[f"{variable}_overflows"]
        found[variable] = {str(cores[k]): int(counts[k]) for k in np.flatnonzero(counts)}
    return found


def _total(counts: dict[str, Array]) -> int:
    return int(sum(int(c.sum()) for c in counts.values()))
