"""From a mapping to the program that is loaded."""

from math import prod
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from emulator.neuron import KINDS, RESETS
from emulator.program import Program, ProgramPopulation
from mapping.fixed import FixedNetwork, FixedPopulation, FixedProjection
from mapping.linear import Convolution, Dense, Sparse, sparse
from mapping.mapping import Mapping, Slice
from mapping.network import Network

Array = NDArray[Any]


class Rows(NamedTuple):
    """Rows of one projection onto one slice; one entry for each source with a target there.

    Attributes
    ----------
    source, size : int64 [n_rows]
    weight : [sum of sizes]
    target : int64
        Dense: first neuron of each row. Sparse: the listed targets, as numbers within the core.
    core, shift, delay, exponent, group, payload : int
        The same for all of these rows; ``exponent`` tells formats apart, which have axons and
        packets of their own.
    kind : str, optional
        One of `emulator.neuron.KINDS`, the same for all; dense or sparse, as ``dense`` says,
        where there is none.
    """

    source: Array
    size: Array
    weight: Array
    target: Array
    core: int
    dense: bool
    shift: int = 0
    delay: int = 0
    exponent: int = 0
    group: int = 0
    payload: int = 0
    kind: str | None = None


def lags(network: Network, direct: frozenset[str], input_latency: int = 1) -> dict[str, int]:
    """Ticks by which each population trails the input on a chip.

    One for each projection on the longest way, and its `chip_ticks`; the first step takes ``input_latency`` from
    spiking inputs and none from inputs that the host hands over as currents.
    """
    first = {part.name: 0 if part.name in direct else input_latency for part in network.inputs}
    lag = {part.name: 0 for part in network.parts}
    closing, depth = network.recurrent, network.depth
    for population in sorted(network.populations, key=lambda part: depth[part.name]):
        for index, projection in enumerate(network.projections):
            if projection.target == population.name and index not in closing:
                step = first.get(projection.source, 1) + projection.chip_ticks
                lag[population.name] = max(lag[population.name], lag[projection.source] + step)
    return lag


def assemble(mapping: Mapping, *, chip_name: str, input_latency: int) -> Program:
    """Lay out neurons, synapse memory and routes."""
    fixed, network = mapping.fixed, mapping.fixed.network
    numbers = {population.name: k for k, population in enumerate(fixed.populations)}
    slices = [(core, part) for core, held in enumerate(mapping.cores) for part in held]
    sizes = [sum(part.neurons.size for part in held) for held in mapping.cores]
    core_start = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    population = np.concatenate(
        [np.full(part.neurons.size, numbers[part.population]) for _, part in slices]
    )
    index = np.concatenate([part.neurons for _, part in slices])
    channels: dict[str, int] = {}
    inputs = tuple(
        (part.name, part.size) for part in network.inputs if part.name not in fixed.direct
    )
    first = int(core_start[-1])
    for name, size in inputs:
        channels[name] = first
        first += size
    machine = _machine_numbers(fixed, population, index)
    rows = _all_rows(fixed, slices, core_start, machine, channels)
    lag = lags(network, fixed.direct, input_latency)
    return Program(
        chip=chip_name,
        dt_s=network.dt_s,
        populations=tuple(
            ProgramPopulation(
                name=part.name,
                shape=part.shape,
                spiking=part.threshold is not None,
                output=part.name in network.outputs,
                lag=lag[part.name],
                scale=part.scale,
            )
            for part in fixed.populations
        ),
        inputs=inputs,
        core=np.asarray(mapping.place),
        core_start=core_start,
        population=population,
        index=index,
        **_constants(fixed.populations, population, index),
        **row_tables(rows, first),
    )


def _machine_numbers(fixed: FixedNetwork, population: Array, index: Array) -> dict[str, Array]:
    """For each population the machine number of each neuron."""
    found = {}
    for number, part in enumerate(fixed.populations):
        mine = np.flatnonzero(population == number)
        placed = np.full(part.size, -1, np.int64)
        placed[index[mine]] = mine
        if mine.size != part.size or placed.min() < 0:
            raise ValueError(
                f"population {part.name!r}: {np.count_nonzero(placed >= 0)} of {part.size} neurons "
                f"are mapped ({mine.size} places); each needs exactly one"
            )
        found[part.name] = placed
    return found


def _constants(
    populations: tuple[FixedPopulation, ...], population: Array, index: Array
) -> dict[str, Array]:
    columns: dict[str, list[Array]] = {}
    rests = any(part.refractory is not None for part in populations)
    edges = [part.membrane_max.max() for part in populations if part.membrane_max is not None]
    floors, far = bool(edges), max(edges, default=0)
    for part in populations:
        spiking = part.threshold is not None
        for name, values in (
            ("compartments", part.compartments),
            ("keep_current", part.keep_current),
            ("keep_membrane", part.keep_membrane),
            ("bias", part.bias),
            ("threshold", part.threshold if part.threshold is not None else 0),
            ("initial_current", part.initial_current),
            ("initial_membrane", part.initial_membrane),
            ("sum_shift", part.sum_shift),
            ("reset", RESETS.index(part.reset if spiking else "none")),
            ("spikes_max", max(part.spikes_max, 1)),
        ):
            columns.setdefault(name, []).append(np.broadcast_to(values, (part.size,)))
        if floors:
            lowest = -far if part.membrane_min is None else part.membrane_min
            for name, values in (("membrane_min", lowest), ("membrane_max", far)):
                columns.setdefault(name, []).append(np.broadcast_to(values, (part.size,)))
        if rests:
            rest = np.zeros(part.size, np.int64) if part.refractory is None else part.refractory
            columns.setdefault("refractory", []).append(rest)
    if not any(part.spikes_max for part in populations):
        del columns["spikes_max"]
    starts = np.concatenate([[0], np.cumsum([part.size for part in populations])])
    return {
        name: np.concatenate(parts)[starts[population] + index] for name, parts in columns.items()
    }


def _all_rows(
    fixed: FixedNetwork,
    slices: list[tuple[int, Slice]],
    core_start: Array,
    machine: dict[str, Array],
    channels: dict[str, int],
) -> list[Rows]:
    rows = []
    for projection in fixed.projections:
        listed = None if isinstance(projection.linear, Dense) else sparse(projection.linear)
        if projection.source in machine:
            numbers = machine[projection.source]
        else:
            size = fixed.network.part(projection.source).size
            numbers = channels[projection.source] + np.arange(size)
        for core, part in slices:
            if part.population == projection.target:
                at = machine[projection.target][part.neurons]
                first = int(core_start[core])
                if listed is None:
                    rows.append(_dense_rows(projection, part, core, at, numbers))
                else:
                    rows.append(_sparse_rows(projection, listed, part, core, at - first, numbers))
    return rows


def _dense_rows(
    projection: FixedProjection, part: Slice, core: int, at: Array, numbers: Array
) -> Rows:
    """Rows of a matrix; a slice lies in one piece on its core, so each is one run of neurons."""
    assert isinstance(projection.linear, Dense)
    weight = _loaded(projection.linear.weight[part.neurons].T)
    n_pre, size = weight.shape
    return Rows(
        numbers, np.full(n_pre, size), weight.ravel(), np.full(n_pre, at[0]), core, True,
        projection.shift, projection.delay, projection.exponent,
    )  # fmt: skip


def _sparse_rows(
    projection: FixedProjection,
    listed: Sparse,
    part: Slice,
    core: int,
    within: Array,
    numbers: Array,
) -> Rows:
    """Rows of a list; ``within`` are the slice's places on its core. Zeros are left out."""
    place = np.full(prod(listed.post_shape), -1, np.int64)
    place[part.neurons] = within
    keep = (place[listed.target] >= 0) & (listed.weight != 0)
    source = listed.source[keep]
    target, weight = place[listed.target[keep]], _loaded(listed.weight[keep])
    order = np.lexsort((target, source))
    present, size = np.unique(source, return_counts=True)
    return Rows(
        numbers[present], size, weight[order], target[order], core, False,
        projection.shift, projection.delay, projection.exponent,
        kind="convolution" if isinstance(projection.linear, Convolution) else "sparse",
    )  # fmt: skip


def _loaded(weight: Array) -> Array:
    """Mantissas are whole numbers; on a chip with float weights they are not and stay as they are."""
    whole: Array = weight.astype(np.int64)
    return whole if np.array_equal(whole, weight) else weight


def _kind(rows: Rows) -> int:
    return KINDS.index(rows.kind or ("dense" if rows.dense else "sparse"))


def row_tables(rows: list[Rows], n_sources: int) -> dict[str, Array]:
    """Join rows into a program's columns.

    Sorted by source, core and format; the first of a format carries the packet.
    """

    def joined(values: list[Any], dtype: type = np.int64) -> Array:
        return (
            np.concatenate([np.asarray(v, dtype) for v in values]) if values else np.empty(0, dtype)
        )

    def each(field: str) -> Array:
        return joined([np.full(r.source.size, getattr(r, field)) for r in rows])

    source, size = joined([r.source for r in rows]), joined([r.size for r in rows])
    core, exponent, dense, delay = each("core"), each("exponent"), each("dense"), each("delay")
    lists = joined([r.size if not r.dense else np.zeros(r.source.size) for r in rows])
    starts = np.cumsum(size) - size
    first = joined([r.target if r.dense else np.zeros(r.source.size) for r in rows])
    target_start = np.where(dense == 1, first, np.cumsum(lists) - lists)
    values = [r.weight for r in rows]
    weights = np.concatenate(values) if values else np.empty(0, np.int64)
    order = np.lexsort((delay, 1 - dense, exponent, core, source))
    key = np.stack([source, core, exponent])[:, order]
    packet = np.ones(order.size, np.bool_)
    packet[1:] = np.any(key[:, 1:] != key[:, :-1], axis=0)
    return {
        "source_row": np.searchsorted(source[order], np.arange(n_sources + 1)),
        "row_weight": starts[order],
        "row_target": target_start[order],
        "row_size": size[order],
        "row_core": core[order],
        "row_dense": dense[order] == 1,
        "row_packet": packet,
        "row_shift": each("shift")[order],
        "row_delay": delay[order],
        "row_group": each("group")[order],
        "row_payload": each("payload")[order],
        "row_kind": joined([np.full(r.source.size, _kind(r)) for r in rows])[order],
        "weight": weights,
        "target": joined([r.target for r in rows if not r.dense]),
    }
