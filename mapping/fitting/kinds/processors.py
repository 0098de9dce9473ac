"""Processors that update neurons in software, each with memory of its own (SpiNNaker2).

A processor holds neurons of one population, the lists of synapses that end on them, and the
program. Its neurons have consecutive keys, so that one routing entry tells all their spikes; an
input is told by one entry as well.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emulator.chip import Chip
from emulator.chip_cores import ProcessorCores
from mapping.capacity import too_long_delays
from mapping.fitting.kinds.count import Count, runs_that_fit
from mapping.fitting.layer_use import LayerUse
from mapping.needs import Fan, fan_of
from mapping.outline import Outline, OutlinePopulation
from mapping.violations import Violation

Array = NDArray[Any]


def count_processors(outline: Outline, chip: Chip) -> Count:
    """Fill processors population by population, in the order of the neurons."""
    rules, room = chip.processors, chip.limit("neurons_per_core")
    if rules is None:
        raise ValueError(f"{chip.name} has {chip.core} cores, not processors")
    fans = [fan_of(projection) for projection in outline.projections]
    sending = {p.source for p in outline.projections}
    violations = list(too_long_delays(outline, chip))
    cores = taken = 0
    layers = []
    entries = len(sending & outline.inputs.keys())
    for population in outline.populations:
        own = [fan for fan in fans if fan.projection.target == population.name]
        runs = _runs(population, own, rules, room)
        sizes = [_bytes_of(population, own, rules, *run) for run in runs]
        over = [size for size in sizes if size > rules.memory_bytes.value]
        if over:
            violations.append(_too_large(population, max(over), rules, chip))
        cores += len(sizes)
        taken += sum(sizes)
        entries += len(sizes) if population.name in sending else 0
        layers.append(_layer(population, own, runs, sizes, rules, chip))
    violations += _of_the_chip(cores, entries, chip)
    return Count(
        cores=cores,
        memory_bits=8 * taken,
        memory_bits_there=8 * rules.memory_bytes.value * chip.usable.size,
        violations=tuple(violations),
        layers=tuple(layers),
        notes=(
            "one routing entry for the consecutive keys of each processor that sends, before any "
            "are merged",
        ),
    )


def _counted(fans: list[Fan], first: int, end: int) -> tuple[int, int]:
    """Lists and synapses that end on a run of neurons."""
    lists = [fan.lists(np.arange(first, end)) for fan in fans]
    return sum(held.source.size for held in lists), sum(int(held.size.sum()) for held in lists)


def _bytes_of(
    population: OutlinePopulation, fans: list[Fan], rules: ProcessorCores, first: int, end: int
) -> int:
    n_rows, n_synapses = _counted(fans, first, end)
    return (
        rules.program_bytes.value
        + (end - first) * population.compartments * rules.neuron_bytes.value
        + n_rows * rules.row_bytes.value
        + n_synapses * rules.synapse_bytes.value
    )


def _runs(
    population: OutlinePopulation, fans: list[Fan], rules: ProcessorCores, room: int
) -> list[tuple[int, int]]:
    """First and end of the neurons of each processor."""
    synapses: Array = np.zeros(population.size, np.int64)
    for fan in fans:
        synapses += fan.fan_in
    widest = int(synapses.argmax())

    def fits(first: int, end: int) -> bool:
        return _bytes_of(population, fans, rules, first, end) <= rules.memory_bytes.value

    if not fits(widest, widest + 1):  # it is not worth filling processors with the others
        return [(widest, widest + 1)] * -(-population.size // room)
    runs = runs_that_fit(population.size, room, fits)
    return [(int(run[0]), int(run[-1]) + 1) for run in runs]


def _layer(
    own: OutlinePopulation,
    fans: list[Fan],
    runs: list[tuple[int, int]],
    sizes: list[int],
    rules: ProcessorCores,
    chip: Chip,
) -> LayerUse:
    """Tell how the processor that holds most of a population is counted."""
    first, end = max(runs, key=lambda run: run[1] - run[0])
    n, (n_rows, n_synapses) = end - first, _counted(fans, first, end)
    have, took = rules.memory_bytes.value, _bytes_of(own, fans, rules, first, end)
    full = n == chip.limit("neurons_per_core") and took <= have
    closed = "neurons_per_core" if full else "processors.memory_bytes"
    text = (
        f"{n * own.compartments:,} neurons × {rules.neuron_bytes.value} + {n_rows:,} lists × "
        f"{rules.row_bytes.value} + {n_synapses:,} synapses × {rules.synapse_bytes.value} + "
        f"{rules.program_bytes.value:,} of the program = {took:,} of {have:,} bytes"
    )
    many = f" → {len(runs):,} processors of up to {n:,} neurons" if len(runs) > 1 else ""
    return LayerUse(
        population=own.name, shape=own.shape, neurons=own.size,
        synapses=sum(int(fan.fan_in.sum()) for fan in fans), cores=len(runs), most=n, words=None,
        bits=8 * sum(sizes), closed=closed if many else None, arithmetic=text + many,
    )  # fmt: skip


def _too_large(
    population: OutlinePopulation, need: int, rules: ProcessorCores, chip: Chip
) -> Violation:
    have, where = rules.memory_bytes.value, f"population {population.name!r}"
    return Violation(
        limit="processors.memory_bytes", where=where, need=need, have=have,
        text=f"{where}: a neuron alone, with its synapses and the program, takes {need:,} bytes, "
        f"but a processor of {chip.name} has {have:,}; narrow or prune what feeds it",
    )  # fmt: skip


def _of_the_chip(cores: int, entries: int, chip: Chip) -> Iterator[Violation]:
    if cores > chip.usable.size:
        yield Violation(
            limit="cores",
            where=chip.name,
            need=cores,
            have=int(chip.usable.size),
            text=f"{cores:,} processors needed, but {chip.name} has {chip.usable.size}; use "
            "more chips, or narrow the largest populations",
        )
    most = chip.limit("routing_entries_per_router")
    if entries > most:
        yield Violation(
            limit="routing_entries_per_router",
            where=chip.name,
            need=entries,
            have=most,
            text=f"{entries:,} routing entries needed, one for each sending processor and "
            f"input, but the router of {chip.name} has {most:,}; merge keys, or use fewer "
            "processors",
        )
