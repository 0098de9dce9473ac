"""What an engine reports: some ticks of one sample."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from emulator import kernels, neuron
from emulator.counting import merged_off
from emulator.fanout import counts_by_tick
from emulator.loading import Loaded
from emulator.packet_log import PacketLog
from emulator.traffic import Activity, one_tick

Array = NDArray[Any]


class Counted(NamedTuple):
    """What happened in a block; ``tally`` and ``merged`` as `kernels.Listed` has them."""

    loaded: Loaded
    activity: Activity
    tally: Array
    merged: Array

    def tick(self, k: int) -> "Counted":
        """Cut one tick out."""
        return Counted(
            self.loaded, one_tick(self.activity, k), self.tally[k : k + 2], self.merged[k : k + 1]
        )

    def by_tick(self) -> dict[str, Array]:
        """Count everything; int64 [n_ticks] by name."""
        program, activity = self.loaded.program, self.activity
        n_ticks = len(self.tally) - 1
        tallied = dict(zip(kernels.TALLIED, np.diff(self.tally, axis=0).T, strict=True))
        merged = np.zeros((2, n_ticks), np.int64)
        if program.row_axon.size:
            merged = self.merged.reshape(n_ticks, 2, program.n_cores).sum(axis=2).T
        inputs, spikes = np.diff(activity.input_start), np.diff(activity.spike_start)
        tick = np.concatenate([np.repeat(np.arange(n_ticks), n) for n in (inputs, spikes)])
        source = np.concatenate([program.n_neurons + activity.input_channel, activity.spike_neuron])
        payload = np.concatenate([activity.input_payload, activity.spike_payload])
        found = counts_by_tick(self.loaded.fanout, n_ticks, tick, source, payload)
        events = {f"{kind}_events": found.pop(f"{kind}_events") for kind in neuron.KINDS}
        events = merged_off(events, merged[0], program)
        fired = np.abs(activity.spike_payload)
        return {
            "active": tallied["active"],
            "inactive": program.n_neurons - tallied["active"],
            "spikes": _summed(fired, activity.spike_start),
            **events,
            **found,
            **{name: tallied[name] for name in kernels.TALLIED[1:]},
            "merged_packets": merged[1],
        }


def _summed(values: Array, start: Array) -> Array:
    """Sum of each part of a list; int64 [n_parts]."""
    before = np.concatenate([[0], np.cumsum(values)])
    return np.asarray(before[start[1:]] - before[start[:-1]], np.int64)


@dataclass(frozen=True, kw_only=True, eq=False)
class Block:
    """What happened in some consecutive ticks of one sample.

    Attributes
    ----------
    sample, first_tick : int
        Ticks count from the start of the sample.
    tick_ps : int64 [n_ticks]
        Duration of each tick.
    slowest_core, busiest_link : int64 [n_ticks]
        See `emulator.traffic.Ticks`.
    spike_tick, spike_neuron, spike_payload : int64 [n_spikes]
        In order of ticks; neurons as `Program` numbers them; a payload is 1, -1 below a lower
        threshold, or the number of spikes where neurons fire several times a tick.
    frames : int64 or float64 [n_ticks, n_watched]
        Membranes of the watched neurons at the end of each tick.
    currents : int64 or float64 [n_ticks, n_currents, n_sensed]
        The same of the currents of neurons whose currents are watched.
    spilled : uint8 [n_ticks, n_alert]
        Bits of `emulator.sweep.SPILLED`: what left its register, of neurons that are watched for it.
    counted
        What `tick_counters` are made of when they are asked for.
    packets : PacketLog, optional
        Every packet, where they are logged.
    activity : Activity, optional
        Where the times of the ticks are not known yet.
    """

    sample: int
    first_tick: int
    tick_ps: Array
    slowest_core: Array
    busiest_link: Array
    spike_tick: Array
    spike_neuron: Array
    spike_payload: Array
    frames: Array
    currents: Array
    spilled: Array
    counted: Counted
    packets: PacketLog | None = None
    activity: Activity | None = None

    @property
    def sent_ps(self) -> Array:
        """When each spike's packets may leave, picoseconds into its tick; int64 [n_spikes]."""
        return self.counted.activity.spike_ps

    @property
    def update_ps(self) -> Array:
        """Time that each core spends on its channels and neurons; int64 [n_ticks, n_cores]."""
        return self.counted.activity.update_ps

    @property
    def tick_counters(self) -> dict[str, Array]:
        """What each tick added to `Engine.counters`, over all cores; int64 [n_ticks] by name."""
        return self.counted.by_tick()

    def ticks(self) -> Iterator["Block"]:
        """Cut into blocks of one tick."""
        n_ticks = self.tick_ps.size
        start = np.searchsorted(self.spike_tick, self.first_tick + np.arange(n_ticks + 1))
        for k in range(n_ticks):
            mine = slice(start[k], start[k + 1])
            yield Block(
                sample=self.sample, first_tick=self.first_tick + k,
                tick_ps=self.tick_ps[k : k + 1], slowest_core=self.slowest_core[k : k + 1],
                busiest_link=self.busiest_link[k : k + 1], spike_tick=self.spike_tick[mine],
                spike_neuron=self.spike_neuron[mine], spike_payload=self.spike_payload[mine],
                frames=self.frames[k : k + 1], currents=self.currents[k : k + 1],
                spilled=self.spilled[k : k + 1], counted=self.counted.tick(k),
                packets=self.packets and self.packets.between(*self.first_tick + np.array([k, k + 1])),
            )  # fmt: skip
