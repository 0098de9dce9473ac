"""What a run records, taken out of blocks as columns that a trace's tables have."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emulator.block import Block
from emulator.packet_log import PacketLog
from emulator.probes import KINDS, NOBODY, Fired, Frames
from emulator.program import Program
from spikefab.wishes import Wish, Wishes

Array = NDArray[Any]


class Wished:
    """Selects from the blocks of one run, in their order.

    Parameters
    ----------
    wishes : Wishes
    program : Program
    ticks : int
        Of each sample; columns count ticks from the start of the run.
    always : int64 [n]
        Neurons whose membranes the run watches for itself; those of probes come behind them.
    order : sequence of str
        Populations as the trace lists them.
    """

    def __init__(
        self, wishes: Wishes, program: Program, ticks: int, always: Array, order: list[str]
    ) -> None:
        self._wishes, self._program, self._ticks, self._order = wishes, program, ticks, order
        self._probing = wishes.probing(program.n_neurons)
        self._always = np.asarray(always, np.int64)
        numbers = {p.name: k for k, p in enumerate(program.populations)}
        places = np.array([order.index(name) for name in numbers], np.int64)
        self._place = places[program.population]

    @property
    def engine(self) -> dict[str, Any]:
        """What `emulator.engine.Engine` is told, so that blocks hold all that is wished."""
        watched = self._probing.watched
        behind = np.concatenate([self._always, watched["watched"]])
        return {**watched, "watched": behind, "log_packets": self._wishes.packets}

    @property
    def all_spikes(self) -> bool:
        """Whether the trace gets every spike."""
        return self._wishes.spikes is None

    @property
    def activity(self) -> bool:
        """Whether the trace gets when spikes were sent, and how long cores were busy."""
        return self._wishes.activity

    @property
    def is_plain(self) -> bool:
        """Whether nothing is left out, and nothing held back until something happens."""
        waits = any(wish.probe.trigger is not None for wish in self._wishes.states)
        return self.all_spikes and not waits

    def own(self, block: Block) -> Block:
        """Return the block with the membranes that the run watches for itself."""
        return replace(block, frames=block.frames[:, : self._always.size])

    def spikes(self, name: str, neurons: Array) -> Array:
        """Which spikes of a population are recorded; bool [n_spikes]."""
        if self._wishes.spikes is None:
            return np.ones(neurons.size, np.bool_)
        return np.isin(neurons, self._wishes.spikes.get(name, ()))

    def states(self, block: Block) -> tuple[list[dict[str, Any]], list[dict[str, Array]]]:
        """Frames as `TraceWriter.state` takes them, and triggers that fired, as columns."""
        probed = replace(block, frames=block.frames[:, self._always.size :])
        frames, fired = self._probing.take(probed)
        states = [
            state
            for wish, mine in zip(self._wishes.states, frames, strict=True)
            for state in self._of_wish(wish, mine)
        ]
        triggers = [
            self._of_trigger(wish, mine)
            for wish, mine in zip(self._wishes.states, fired, strict=True)
            if mine.ticks.size
        ]
        return states, _once(triggers)

    def _of_wish(self, wish: Wish, frames: Frames) -> Iterator[dict[str, Any]]:
        part = next(p for p in self._program.populations if p.name == wish.population)
        values, name = frames.values, wish.probe.variable
        if not frames.ticks.size:
            return
        n = 1 if values.ndim == 2 else values.shape[1]
        for k in range(n):
            is_all = wish.neurons.size == part.size
            yield {
                "population": wish.population, "variable": name if n == 1 else f"{name}{k + 1}",
                "frames": values if values.ndim == 2 else values[:, k], "scale": 1.0 / part.scale,
                "ticks": frames.ticks + frames.sample * self._ticks,
                "neurons": None if is_all else wish.neurons,
            }  # fmt: skip

    def _of_trigger(self, wish: Wish, fired: Fired) -> dict[str, Array]:
        assert wish.probe.trigger is not None
        alone, neuron = fired.neuron == NOBODY, np.maximum(fired.neuron, 0)
        return {
            "timestamps": fired.ticks + fired.sample * self._ticks,
            "kind": np.full(fired.ticks.size, KINDS.index(wish.probe.trigger.kind)),
            "population": np.where(alone, NOBODY, self._place[neuron]),
            "neuron": np.where(alone, NOBODY, self._program.index[neuron]),
        }

    def packets(self, block: Block) -> dict[str, Array] | None:
        """Packets as columns; ``source_kind`` counts populations, then inputs."""
        log: PacketLog | None = block.packets
        if log is None:
            return None
        program = self._program
        n, starts = program.n_neurons, np.cumsum([0, *(size for _, size in program.inputs)])
        outside, neuron = log.source >= n, np.minimum(log.source, n - 1)
        channel = np.maximum(log.source - n, 0)
        which = np.searchsorted(starts, channel, "right") - 1
        return {
            "timestamps": log.tick + block.sample * self._ticks,
            "source_kind": np.where(outside, len(self._order) + which, self._place[neuron]),
            "source": np.where(outside, channel - starts[which], program.index[neuron]),
            "core": program.core[log.core].astype(np.int64),
            "hops": log.hops, "left_ps": log.left_ps, "arrived_ps": log.arrived_ps,
            "done_ps": log.done_ps,
        }  # fmt: skip


def _once(triggers: list[dict[str, Array]]) -> list[dict[str, Array]]:
    """Tell what several wishes look around only once."""
    kept: list[dict[str, Array]] = []
    seen: set[bytes] = set()
    for columns in triggers:
        key = b"".join(column.tobytes() for column in columns.values())
        if key not in seen:
            kept.append(columns)
        seen.add(key)
    return kept
