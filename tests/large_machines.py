"""Programs of some hundred neurons at random, on cores that no block of neurons is aligned to."""

from dataclasses import replace

import numpy as np
from random_machines import chip_with

from emulator.chip import Chip
from emulator.neuron import RESETS
from emulator.program import Program, ProgramPopulation
from emulator.stimulus import Stimulus

CHANNELS = 8
SIZES = (70, 1, 129, 3, 64, 40)
"""Neurons of each core: blocks of 64 are shared by cores, and cores have several blocks."""


def large_chip(*, timed=False, numbers=None, arithmetic=None):
    """A chip with resets of several kinds and, if wanted, a different price for everything."""
    chip = chip_with(
        numbers={"spikes_per_tick_max": 31} | (numbers or {}),
        arithmetic={"resets": dict.fromkeys(RESETS[1:], 1)} | (arithmetic or {}),
    )
    if not timed:
        return chip
    plain = chip.model_dump()
    prices = {
        "neuron_active_ps": 170, "neuron_inactive_ps": 30, "spike_ps": 11, "axon_out_ps": 7,
        "axon_in_ps": 90, "hop_ew_ps": 301, "hop_ns_ps": 502, "local_spike_ps": 13,
    }  # fmt: skip
    plain["timing"] = {name: {"value": ps} for name, ps in prices.items()} | {
        "barrier": [[1, 1009]],
        "synaptic_event_ps": {kind: {"value": ps} for kind, ps in
                              (("dense", 20), ("sparse", 50), ("convolution", 70))},
    }  # fmt: skip
    plain["mesh"] |= {"width": 4, "height": 4, "cores_per_router": 2}
    return Chip.model_validate(plain)


def large_program(rng, chip, *, rows_a_source=1, heavy=60, quiet=False, n_sums=1, bursts=False):
    """Every source reaches a stretch of neurons, or a list of them, across cores.

    What a source sends to neighbouring cores follows each other in memory, so that it can be
    merged. ``quiet``: neurons have no bias, so that those that nothing reaches can fall asleep.
    """
    start = np.concatenate([[0], np.cumsum(SIZES)])
    n = int(start[-1])
    core_of = np.repeat(np.arange(len(SIZES)), SIZES)
    rows, weights, targets, n_rows = [], [], [], np.zeros(n + CHANNELS, int)
    used = listed = 0
    for source in range(n + CHANNELS):
        for _ in range(rows_a_source * (4 if source >= n else 1)):
            dense = bool(rng.random() < 0.4)
            first = int(rng.integers(0, n))
            if dense:
                reached = np.arange(first, min(first + int(rng.integers(1, 90)), n))
            else:
                reached = np.sort(rng.choice(n, int(rng.integers(1, 9)), replace=False))
            about = {
                "row_delay": int(rng.integers(0, 4)), "row_shift": int(rng.integers(0, 2)),
                "row_group": int(rng.integers(0, n_sums)),
                "row_payload": int(rng.integers(0, 3)) if bursts else 0,
            }  # fmt: skip
            cores, begins = np.unique(core_of[reached], return_index=True)
            for core, part in zip(cores, np.split(reached, begins[1:]), strict=True):
                rows.append(
                    about | {
                        "row_weight": used, "row_target": int(part[0]) if dense else listed,
                        "row_size": part.size, "row_core": core, "row_dense": dense,
                    }
                )  # fmt: skip
                weights.append(rng.integers(-heavy, heavy + 1, part.size))
                used += part.size
                if not dense:
                    targets.append(part - start[core])
                    listed += part.size
                n_rows[source] += 1
    resets = rng.choice([1, 2, 3, *([4] if bursts else [])], n)
    most_kept = 2**chip.numbers.decay_bits // (2 if quiet else 1)
    half = 2 ** (chip.numbers.membrane_bits - 1)
    none = np.zeros(n, int)
    order = rng.permutation(n)
    return Program(
        chip=chip.name, dt_s=1e-3,
        populations=(ProgramPopulation(name="all", shape=(n,), spiking=True, output=True, lag=0,
                                       scale=1.0),),
        inputs=(("in", CHANNELS),), core=rng.permutation(chip.n_cores)[: len(SIZES)],
        core_start=start, population=none, index=order, compartments=none + 1,
        keep_current=rng.integers(0, most_kept + 1, n),
        keep_membrane=rng.integers(0, most_kept + 1, n),
        bias=none if quiet else rng.integers(-9, 40, n) * (rng.random(n) < 0.3),
        threshold=rng.integers(1, min(half, 6 * heavy), n), initial_current=none,
        initial_membrane=none if quiet else rng.integers(-9, 10, n),
        sum_shift=rng.integers(-1, 2, (n_sums, n)), reset=resets, spikes_max=none + 5,
        row_packet=np.ones(len(rows), bool), source_row=np.concatenate([[0], np.cumsum(n_rows)]),
        weight=np.concatenate(weights), target=np.concatenate(targets),
        **{name: np.array([row[name] for row in rows]) for name in rows[0]},
    )  # fmt: skip


def scattered_memory(program, rng, *, gap):
    """The same synapses elsewhere in memory, so that none follow each other.

    ``gap``: with unused entries between the lists, which no longer fill the memory then.
    """
    weights, targets = [], []
    row_weight, row_target = program.row_weight.copy(), program.row_target.copy()
    used = listed = 0
    for row in rng.permutation(program.row_size.size):
        size = program.row_size[row]
        old, at = program.row_weight[row], program.row_target[row]
        weights += [program.weight[old : old + size], np.zeros(1, int)]
        row_weight[row] = used
        used += size + 1
        if not program.row_dense[row]:
            targets += [program.target[at : at + size], np.zeros(gap, int)]
            row_target[row] = listed
            listed += size + gap
    return replace(
        program, row_weight=row_weight, row_target=row_target, weight=np.concatenate(weights),
        target=np.concatenate(targets),
    )  # fmt: skip


def large_stimulus(rng, n_ticks, *, most=3, until=None):
    """Some input spikes, in the first ``until`` ticks."""
    counts = rng.integers(0, most, (n_ticks, CHANNELS)) * (rng.random((n_ticks, CHANNELS)) < 0.5)
    counts[until if until is not None else n_ticks :] = 0
    tick, channel = np.nonzero(counts)
    return Stimulus(spike_tick=tick, spike_channel=channel, spike_payload=counts[tick, channel])
