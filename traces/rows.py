"""What readers get: columns of a table, side by side."""

from typing import Any, NamedTuple

from numpy.typing import NDArray

Array = NDArray[Any]


class Frames(NamedTuple):
    """States of some neurons at some ticks: int64 [n_frames], int64 [n], float64 [n_frames, n]."""

    ticks: Array
    neurons: Array
    values: Array


class Spikes(NamedTuple):
    """Spikes sorted by tick, then neuron; int64 [n_spikes]; payload None where there is none."""

    ticks: Array
    neurons: Array
    payload: Array | None = None


class Packets(NamedTuple):
    """Packets, one row for each and each destination; int64 [n_packets].

    ``source_kind`` counts the trace's populations, then `Trace.packet_inputs`; ``source`` is a
    neuron or channel there, ``core`` the place of the destination on the chip; times are ps into
    the tick.
    """

    timestamps: Array
    source_kind: Array
    source: Array
    core: Array
    hops: Array
    left_ps: Array
    arrived_ps: Array
    done_ps: Array


class Triggers(NamedTuple):
    """Triggers that fired; int64 [n_triggers].

    ``kind`` counts `Trace.trigger_kinds`; ``population`` and ``neuron`` are -1 where there is none.
    """

    timestamps: Array
    kind: Array
    population: Array
    neuron: Array


class Currents(NamedTuple):
    """Changes of constant currents, sorted by tick, then neuron; [n_changes]."""

    ticks: Array
    neurons: Array
    values: Array
