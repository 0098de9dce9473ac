"""Run a vector of SANA-FE step by step and compare states, messages, counts, energies and times.

The neurons run through the engine, and packets, hops, synaptic events and spikes are what it
counts. One rule of counting is that simulator's own: a neuron counts as updated in a step if its
membrane was not 0 before, if it has a bias, or if a message came, be it of weights that cancel
each other. It is derived here from membranes and spikes; inputs that fire count, too.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from emulator import simple
from emulator.chip import Chip
from emulator.chip_costs import by_kind
from emulator.energy import energy_j
from emulator.engine import Engine
from emulator.program import Program
from emulator.ways import n_routers_used, ways
from mapping.vector_case import Mismatch, Vector
from mapping.vector_sanafe import SanafeCase

Array = NDArray[Any]

EXACT_TO = 1e-12
"""Relative difference up to which energies and times are equal; they are sums of floats."""

_TOTALS = {
    "packets_sent": "packets", "spikes": "spikes", "neurons_fired": "fired",
    "neurons_updated": "updated", "energy_soma": "soma_energy",
    "energy_synapse": "synapse_energy", "energy_network": "network_energy",
    "energy_total": "total_energy", "sim_time_simple": "sim_time_simple",
}  # fmt: skip
"""What the files call the sum of each column of `Step`."""


_MESSAGE = ("source core", "target core", "hops", "synaptic events", "processing_delay, ps")
"""Columns of `_messages`."""


class Step(NamedTuple):
    """What a step did and cost, as the files name it; energies in joules, the time in seconds.

    ``spikes`` are synaptic events there.
    """

    packets: int
    hops: int
    spikes: int
    fired: int
    updated: int
    soma_energy: float
    synapse_energy: float
    network_energy: float
    total_energy: float
    sim_time_simple: float


def sanafe_mismatches(case: SanafeCase) -> Iterator[Mismatch]:
    """Run a case step by step; yield the first difference of each step, then of the totals."""
    vector = case.vector()
    steps = []
    for number, (seen, fired, step) in enumerate(_steps(vector)):
        steps.append(step)
        found = (
            _of_neurons(case, number, seen)
            or _of_messages(case, number, _messages(vector.program, vector.chip, fired))
            or _of_step(case, number, step)
        )
        if found is not None:
            yield found
    for name, column in _TOTALS.items():
        got = sum(getattr(step, column) for step in steps)
        if not _equal(got, case.totals[name]):
            yield Mismatch(case.n_steps - 1, "", None, f"total {name}", case.totals[name], got)


def _of_neurons(case: SanafeCase, number: int, seen: Mapping[str, Array]) -> Mismatch | None:
    for variable, rows in case.expected.items():
        wrong = np.flatnonzero(seen[variable] != rows[number])
        if wrong.size:
            n = int(wrong[0])
            return Mismatch(
                number, case.population, n, variable,
                rows[number][n].item(), seen[variable][n].item(),
            )  # fmt: skip
    return None


def _of_messages(case: SanafeCase, number: int, got: Array) -> Mismatch | None:
    """Compare with the messages of a step, if they were recorded, in whatever order they were sent."""
    told = case.messages
    if not told or number >= np.max(told["timestep"], initial=0):
        return None
    mine = (told["timestep"] == number + 1) & (told["placeholder"] == 0)
    columns = [told[name][mine] for name in ("src_core_id", "dest_core_id", "hops", "spikes")]
    delay_ps = np.rint(1e12 * told["processing_delay"][mine])
    expected = _sorted(np.stack([*columns, delay_ps]).astype(np.int64))
    if expected.shape != got.shape:
        return Mismatch(number, "", None, "messages", expected.shape[1], got.shape[1])
    wrong = np.argwhere((expected != got).T)
    if not wrong.size:
        return None
    message, column = wrong[0]
    name = f"message {message}, {_MESSAGE[column]}"
    return Mismatch(
        number, "", None, name, int(expected[column, message]), int(got[column, message])
    )


def _messages(program: Program, chip: Chip, fired: Array) -> Array:
    """Messages that these sources send; int64 [5, n_messages], sorted (`_MESSAGE`)."""
    assert chip.timing is not None
    row = np.flatnonzero(fired[program.row_source])
    starts = np.flatnonzero(program.row_packet[row])
    cost = np.array([one.value for one in by_kind(chip.timing.synaptic_event_ps)])
    size = program.row_size[row].astype(np.int64)
    events, work = (
        np.add.reduceat(values, starts) if starts.size else values
        for values in (size, size * cost[np.asarray(program.row_kind)[row]])
    )
    first = row[starts]
    source = program.core[program.source_core[program.row_source[first]]]
    target = program.core[program.row_core[first]]
    way = ways(source, target, chip)
    delay_ps = chip.timing.axon_in_ps.value + work
    return _sorted(np.stack([source, target, way.hops_ew + way.hops_ns, events, delay_ps]))


def _sorted(columns: Array) -> Array:
    return columns[:, np.lexsort(columns[::-1])]


def _of_step(case: SanafeCase, number: int, step: Step) -> Mismatch | None:
    for name, got in step._asdict().items():
        if name in case.per_step and not _equal(got, case.per_step[name][number]):
            return Mismatch(number, "", None, name, case.per_step[name][number].item(), got)
    return None


def _equal(got: float, expected: float) -> bool:
    """Counts are equal; energies and times, which are floats, nearly."""
    return abs(got - expected) <= (EXACT_TO * abs(expected) if isinstance(got, float) else 0)


def _steps(vector: Vector) -> Iterator[tuple[dict[str, Array], Array, Step]]:
    """Run tick by tick.

    Yields
    ------
    (the neurons' state, in the order of the file; which sources fired; what the step cost)
    """
    program, chip = vector.program, vector.chip
    engine = Engine(program, chip)
    order = program.neurons_of(program.populations[0].name)
    barrier = (
        0 if chip.timing is None else chip.timing.barrier_ps(n_routers_used(program.core, chip))
    )
    synapses = _synapses(program)
    before, so_far = engine.state["membrane"], engine.counters
    reached = np.zeros(program.n_neurons, np.bool_)
    for block in engine.steps(vector.stimulus, vector.n_steps):
        state, counters = engine.state["membrane"], engine.counters
        fired = np.zeros(program.n_neurons + program.n_channels, np.bool_)
        fired[block.spike_neuron] = True
        now = vector.stimulus.spike_tick == block.first_tick
        fired[program.n_neurons + vector.stimulus.spike_channel[now]] = True
        updated = (before != 0) | reached | (program.bias != 0) | fired[: program.n_neurons]
        added = {name: counters[name] - so_far[name] for name in counters}
        yield (
            {"v": state[order], "spikes": fired[order].astype(np.int64)},
            fired,
            _step(added, updated, fired, program, chip, barrier),
        )
        reached = np.zeros_like(reached)
        reached[synapses[1][fired[synapses[0]]]] = True
        before, so_far = state, counters


def _synapses(program: Program) -> tuple[Array, Array]:
    """Source and target neuron of every synapse; all rows are lists."""
    size = program.row_size.astype(np.int64)
    ends = np.cumsum(size)
    listed = np.arange(size.sum()) + np.repeat(program.row_target - (ends - size), size)
    first = program.core_start[program.row_core]
    return np.repeat(program.row_source, size), program.target[listed] + np.repeat(first, size)


def _step(
    added: dict[str, Array],
    updated: Array,
    fired: Array,
    program: Program,
    chip: Chip,
    barrier: int,
) -> Step:
    """Cost a step: the engine's counts, but that simulator's rule of who counts as updated."""
    assert chip.timing is not None
    cores = program.n_cores
    active = np.bincount(program.neuron_core[updated], minlength=cores)
    inactive = np.bincount(program.neuron_core[~updated], minlength=cores)
    counted = added | {"active": active, "inactive": inactive}
    joules = energy_j(counted, 0, chip)
    assert joules is not None
    time = simple.tick_ps(
        simple.generation_ps(counted, chip.timing),
        simple.reception_ps(counted, chip.timing),
        barrier,
    )
    n_fired = int(fired.sum())
    return Step(
        packets=int(added["received"].sum()),
        hops=int(added["hops_ew"].sum() + added["hops_ns"].sum()),
        spikes=int(added["synaptic_events"].sum()),
        fired=n_fired,
        updated=int(updated.sum() + fired[program.n_neurons :].sum()),
        soma_energy=joules.neurons,
        synapse_energy=joules.synapses,
        network_energy=joules.network,
        total_energy=joules.total,
        sim_time_simple=float(time) * 1e-12,
    )
