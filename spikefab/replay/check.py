"""Compare what a run reports with what a trace holds, bit for bit, while it goes on.

`Checker` takes what `traces.writer.TraceWriter` takes, from the same `Recorder`: whatever that
records is compared, and nothing is kept beyond the ticks that are being compared.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emulator.program import Program
from spikefab.replay.recording import Window
from spikefab.replay.tables import core_counters_differ, packets_differ
from spikefab.replay.verdict import Differs, Mismatch
from traces.trace import Trace

Array = NDArray[Any]


class Checker:
    """What a trace should hold.

    Parameters
    ----------
    trace : Trace
    window : Window
        Ticks to compare.
    program : Program, optional
        Says on which core a neuron lies.
    only : mapping of population to bool [n], optional
        Neurons to compare, where it is not all of them; frames come with these alone.
    """

    def __init__(
        self, trace: Trace, window: Window, program: Program | None = None,
        only: Mapping[str, Array] | None = None,
    ) -> None:  # fmt: skip
        self._trace, self._window = trace, window
        self._program = program
        self._only = only or {p.name: np.ones(p.size, np.bool_) for p in trace.populations}
        self._spikes: dict[str, list[tuple[Array, ...]]] = defaultdict(list)
        self._frames: dict[tuple[str, str], list[Array]] = defaultdict(list)
        self._framed: dict[tuple[str, str], list[Array]] = defaultdict(list)
        self._counters: dict[str, list[Array]] = defaultdict(list)
        self._of_cores: dict[str, list[Array]] = defaultdict(list)
        self._packets: list[dict[str, Array]] = []
        self._order = {p.name: k for k, p in enumerate(trace.populations)}
        self._seen: set[str] = set()
        self.compared: Counter[str] = Counter()

    def spikes(
        self, population: str, ticks: Array, neurons: Array, payload: Array | None = None,
        sent_ps: Array | None = None,
    ) -> None:  # fmt: skip
        """Take spikes; see `TraceWriter.spikes`."""
        counts = np.ones(len(ticks), np.int64) if payload is None else np.asarray(payload)
        left = np.zeros(len(ticks), np.int64) if sent_ps is None else np.asarray(sent_ps)
        self._spikes[population].append((np.asarray(ticks), np.asarray(neurons), counts, left))

    def state(
        self, population: str, variable: str, frames: Array, *, ticks: Array | None = None,
        **about: Any,
    ) -> None:  # fmt: skip
        """Take frames, of consecutive ticks where none are named; see `TraceWriter.state`."""
        del about
        if ticks is not None:
            self._framed[population, variable].append(np.asarray(ticks))
        self._frames[population, variable].append(np.asarray(frames))

    def tick_counters(self, **columns: Array) -> None:
        """Take counters of consecutive ticks."""
        for name, values in columns.items():
            self._counters[name].append(np.asarray(values))

    def core_tick_counters(self, **columns: Array) -> None:
        """Take counters of each core in consecutive ticks, [n_ticks, n_cores]."""
        for name, values in columns.items():
            self._of_cores[name].append(np.asarray(values))

    def packets(self, *, inputs: Sequence[str] = (), **columns: Array) -> None:
        """Take packets; see `TraceWriter.packets`."""
        del inputs
        self._packets.append(columns)

    def triggers(self, *, kinds: Sequence[str] = (), **columns: Array) -> None:
        """Take nothing: what fires a trigger is compared by itself."""

    def cores(self, **columns: Array) -> None:
        """Compare where cores lie."""
        self._table("cores", self._trace.cores(), columns)

    def totals(self, table: str, columns: Mapping[str, Array]) -> None:
        """Compare totals of a complete run."""
        self._table(f"totals by {table}", self._trace.totals(table), columns)

    def settle(self, first: int, last: int) -> None:
        """Compare what was taken since the last call: all of the ticks ``first:last``.

        Raises
        ------
        Differs
            With what differs first: by tick, then core, population and neuron, counters last.
        """
        start, stop = max(first, self._window.start), min(last, self._window.stop)
        found: list[Mismatch] = []
        if start < stop:
            found += [m for name in self._only for m in self._spikes_of(name, start, stop)]
            for population, variable in self._trace.states():
                found += self._states_of(population, variable, first, start, stop)
            found += self._counters_of(first, start, stop)
            found += core_counters_differ(
                self._trace, self._of_cores, first, start, stop, self.compared
            )
            found += packets_differ(self._trace, self._packets, start, stop, self.compared)
            self.compared["ticks"] += stop - start
        for held in (
            self._spikes,
            self._frames,
            self._framed,
            self._counters,
            self._of_cores,
            self._packets,
        ):
            held.clear()
        if found:
            raise Differs(min(found, key=self._rank))

    def not_compared(self) -> tuple[str, ...]:
        """Name what was recorded that nobody reported."""
        return tuple(
            f"{population}.{variable}"
            for population, variable in self._trace.states()
            if f"{population}.{variable}" not in self._seen
        ) + tuple(
            name for name in self._trace.tick_counters(0, 0) if f"counter {name}" not in self._seen
        )

    def _rank(self, found: Mismatch) -> tuple[float, ...]:
        late = found.population is None
        core = -1 if found.core is None else found.core
        order = self._order.get(found.population or "", -1)
        return (found.tick or 0, late, core, order, found.neuron or 0)

    def _spikes_of(self, name: str, start: int, stop: int) -> Iterator[Mismatch]:
        recorded = self._trace.spikes(name, start, stop)
        payload = np.ones_like(recorded.ticks) if recorded.payload is None else recorded.payload
        given = self._spikes.get(name) or [(recorded.ticks[:0],) * 4]
        ticks, neurons, counts, left = (
            np.concatenate(column) for column in zip(*given, strict=True)
        )
        inside = (ticks >= start) & (ticks < stop)
        size, mine = self._only[name].size, self._only[name][recorded.neurons]
        there = _numbered(recorded.ticks[mine], recorded.neurons[mine], payload[mine], size)
        here = _numbered(ticks[inside], neurons[inside], counts[inside], size)
        self.compared["spikes"] += len(there)
        if np.array_equal(there, here):
            yield from self._sent(
                name,
                start,
                stop,
                mine,
                _numbered(ticks[inside], neurons[inside], left[inside], size),
            )
            return
        keys = np.union1d(there[:, 0], here[:, 0])
        values = [_values_at(keys, side) for side in (there, here)]
        key = int(np.argmax(values[0] != values[1]))
        tick, neuron = divmod(int(keys[key]), size)
        both = [int(side[key]) for side in values]
        yield Mismatch(
            tick, self._core(name, neuron), name, neuron,
            "payload" if all(both) else "spike", both[0], both[1],
        )  # fmt: skip

    def _sent(
        self, name: str, start: int, stop: int, mine: Array, here: Array
    ) -> Iterator[Mismatch]:
        """Compare when spikes left, where that was recorded."""
        trace: Any = self._trace
        if not getattr(trace.population(name), "sent_ps", False):
            return
        there = trace.sent_ps(name, start, stop)[mine]
        self.compared["times of spikes"] += there.size
        odd = np.flatnonzero(there != here[:, 1])
        if odd.size:
            tick, neuron = divmod(int(here[odd[0], 0]), self._only[name].size)
            yield Mismatch(
                tick, self._core(name, neuron), name, neuron, "sent_ps", int(there[odd[0]]),
                int(here[odd[0], 1]),
            )  # fmt: skip

    def _states_of(
        self, population: str, variable: str, first: int, start: int, stop: int
    ) -> Iterator[Mismatch]:
        given = self._frames.get((population, variable))
        if given is None:
            return
        self._seen.add(f"{population}.{variable}")
        if (population, variable) in self._framed:
            yield from self._chosen_frames(population, variable, start, stop)
            return
        here = np.concatenate(given)[start - first : stop - first]
        there = self._trace.raw_state(population, variable, start, stop)[:, self._only[population]]
        self.compared["states"] += there.size
        yield from self._frames_differ(population, variable, start, there, here)

    def _chosen_frames(
        self, population: str, variable: str, start: int, stop: int
    ) -> Iterator[Mismatch]:
        """Compare frames of some ticks and neurons."""
        trace: Any = self._trace
        ticks = np.concatenate(self._framed[population, variable])
        inside = (ticks >= start) & (ticks < stop)
        here = np.concatenate(self._frames[population, variable])[inside]
        recorded = trace.raw_frames(population, variable, start, stop)
        there = np.asarray(recorded.values)
        self.compared["states"] += there.size
        odd = np.setxor1d(ticks[inside], recorded.ticks)
        if odd.size or there.shape != here.shape:
            tick = int(odd[0]) if odd.size else start
            yield Mismatch(tick, None, population, None, variable, None, None)
            return
        wrong = np.asarray(here, there.dtype) != there
        if np.any(wrong):
            row, column = (int(k[0]) for k in np.nonzero(wrong))
            neuron = int(recorded.neurons[column])
            yield Mismatch(
                int(recorded.ticks[row]), self._core(population, neuron), population, neuron,
                variable, float(there[row, column]), float(here[row, column]),
            )  # fmt: skip

    def _frames_differ(
        self, population: str, variable: str, start: int, there: Array, here: Array
    ) -> Iterator[Mismatch]:
        if there.shape != here.shape:
            tick = start + min(len(there), len(here))
            yield Mismatch(tick, None, population, None, variable, None, None)
            return
        # As they are stored: what float32 holds of a value.
        odd = (there != here) & (there != here.astype(np.float32))
        if np.any(odd):
            row = int(np.argmax(odd.any(axis=1)))
            column = int(np.argmax(odd[row]))
            neuron = int(np.flatnonzero(self._only[population])[column])
            yield Mismatch(
                start + row, self._core(population, neuron), population, neuron, variable,
                float(there[row, column]), float(here[row, column]),
            )  # fmt: skip

    def _counters_of(self, first: int, start: int, stop: int) -> Iterator[Mismatch]:
        recorded = self._trace.tick_counters(start, stop)
        for name, given in self._counters.items():
            if name not in recorded:
                continue
            self._seen.add(f"counter {name}")
            here, there = np.concatenate(given)[start - first : stop - first], recorded[name]
            self.compared["counters of ticks"] += there.size
            n = min(here.size, there.size)
            odd = np.flatnonzero(here[:n] != there[:n])
            if odd.size:
                tick = int(odd[0])
                yield Mismatch(
                    start + tick, None, None, None, name, int(there[tick]), int(here[tick])
                )
            elif here.size != there.size:
                yield Mismatch(start + n, None, None, None, name, None, None)

    def _table(self, what: str, recorded: Mapping[str, Array], given: Mapping[str, Array]) -> None:
        for name, values in given.items():
            if name not in recorded:
                continue
            there, here = recorded[name], np.asarray(values)
            self.compared[what] += there.size
            if np.array_equal(there, here):
                continue
            n = min(there.size, here.size)
            at = [*np.flatnonzero(there[:n] != here[:n]), n][0]
            by_core = what != "totals by link" and what != "totals by latency"
            place = self._trace.cores().get("place")
            core = int(place[at]) if by_core and place is not None and at < place.size else None
            raise Differs(
                Mismatch(
                    None, core, None, None, f"{what}: {name}",
                    int(there[at]) if at < there.size else None,
                    int(here[at]) if at < here.size else None,
                )
            )  # fmt: skip

    def _core(self, population: str, neuron: int) -> int | None:
        if self._program is None:
            return None
        machine = self._program.neurons_of(population)[neuron]
        index = np.searchsorted(self._program.core_start, machine, "right") - 1
        return int(self._program.core[index])


def _numbered(ticks: Array, neurons: Array, payload: Array, size: int) -> Array:
    """Spikes as (tick * size + neuron, payload), sorted; int64 [n, 2]."""
    keys = ticks.astype(np.int64) * size + neurons.astype(np.int64)
    order = np.argsort(keys, kind="stable")
    return np.stack([keys[order], payload.astype(np.int64)[order]], axis=1)


def _values_at(keys: Array, spikes: Array) -> Array:
    """Payload at each key; 0 where there is no spike."""
    values = np.zeros(keys.size, np.int64)
    np.add.at(values, np.searchsorted(keys, spikes[:, 0]), spikes[:, 1])
    return values
