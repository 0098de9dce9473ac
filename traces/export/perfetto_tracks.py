"""Tracks of a timeline: what they are called, how they are numbered, and the events on them.

Chrome's trace event format ("Trace Event Format", Duman and Sinclair, 2016) thinks in processes with
threads. Here the machine, its cores, links and packets are the processes, and each core and link
is a thread.
"""

import json
from collections.abc import Iterator
from typing import Any

from traces.export.machine import machine_of
from traces.trace import Trace

MACHINE, CORES, LINKS, FLIGHTS, OUTSIDE = 1, 2, 3, 4, 5
"""Numbers of processes; the order is that on the screen."""
_PROCESSES = {
    MACHINE: "machine", CORES: "cores", LINKS: "links", FLIGHTS: "packets under way",
    OUTSIDE: "outside of the chip",
}  # fmt: skip
SAMPLES, TICKS = 1, 2
_SPREAD = 1 << 24
"""Numbers of threads differ between processes, too: Perfetto takes them for one otherwise."""
WORK, IN, OUT = 0, 1, 2
"""What a core does: each is a track."""

_PER_TICK = {
    "spikes": "spikes", "active": "neurons updated", "inactive": "neurons passed over",
    "packets": "packets to other cores", "local_packets": "packets to the own core",
    "input_packets": "packets from outside", "hops_ew": "hops east or west",
    "hops_ns": "hops north or south", "hops_off_chip": "hops between chips",
    "dense_events": "events of dense synapses", "sparse_events": "events of sparse synapses",
    "convolution_events": "events of convolutions",
}  # fmt: skip


def counter_name(counter: str) -> str:
    """Say what a counter of ticks counts."""
    return f"{_PER_TICK.get(counter, counter.replace('_', ' '))} per tick"


class Tracks:
    """Names tracks as they come to be used, and writes events onto them as JSON.

    Parameters
    ----------
    trace : Trace
    """

    def __init__(self, trace: Trace) -> None:
        self._machine = machine_of(trace)
        links = trace.totals("link")
        ends = zip(
            links.get("from_router", ()), links.get("to_router", ()), strict=True
        )  # fmt: skip
        self._links = [f"link {a} → {b}" for a, b in ends]
        self._named: set[tuple[int, int]] = set()

    def core(self, place: int) -> str:
        """Return the name of a core."""
        return self._machine.labels.get(place, f"core {place}")

    def link(self, row: int) -> str:
        """Return the name of a link."""
        return self._links[row] if row < len(self._links) else f"link {row}"

    def core_of(self, population: str, neuron: int) -> int | None:
        """Return the core of a neuron; None of an input's channel, or where it is not known."""
        places = self._machine.core_of.get(population)
        return None if places is None else int(places[neuron])

    def named(self, process: int, thread: int, name: str) -> Iterator[str]:
        """Introduce a track the first time that it is used, and its process."""
        if (process, 0) not in self._named:
            self._named.add((process, 0))
            yield _about(process, None, "process_name", name=_PROCESSES[process])
            yield _about(process, None, "process_sort_index", sort_index=process)
        if thread and (process, thread) not in self._named:
            self._named.add((process, thread))
            yield _about(process, thread, "thread_name", name=name)
            yield _about(process, thread, "thread_sort_index", sort_index=thread)


def core_thread(place: int, what: int) -> int:
    """Return the thread of what a core does."""
    return 3 * place + what + 1


def slice_(
    process: int, thread: int, name: str, start_ps: int, stop_ps: int, **args: Any
) -> str:  # fmt: skip
    """Write a slice; whole nanoseconds, cut at both ends alike, so that neighbours do not overlap."""
    start, stop = start_ps // 1000, max(stop_ps, start_ps) // 1000
    return _event("X", process, thread, start, name=name, dur=(stop - start) / 1000, args=args)


def begin(process: int, thread: int, name: str, at_ps: int) -> str:
    """Begin a slice whose end is not known yet."""
    return _event("B", process, thread, at_ps // 1000, name=name)


def end(process: int, thread: int, at_ps: int) -> str:
    """End the slice that was begun."""
    return _event("E", process, thread, at_ps // 1000)


def counter(name: str, at_ps: int, value: float) -> str:
    """Write the value of a counter from a time on."""
    return _event("C", MACHINE, None, at_ps // 1000, name=name, args={"value": value})


def flow(
    step: str, process: int, thread: int, at_ps: int, number: int
) -> str:  # fmt: skip
    """Write one end of an arrow between slices: ``s`` where it starts, ``f`` where it ends."""
    binding = {"bp": "e"} if step == "f" else {}
    return _event(
        step, process, thread, at_ps // 1000, name="packet", cat="packet", id=number, **binding
    )


def flight(step: str, name: str, at_ps: int, number: int, **args: Any) -> str:
    """Write the begin ``b`` or end ``e`` of what may overlap others of its kind."""
    return _event(step, FLIGHTS, None, at_ps // 1000, name=name, cat="packet", id=number, args=args)


def _about(process: int, thread: int | None, what: str, **args: Any) -> str:
    return _event("M", process, thread, None, name=what, args=args)


def _event(
    phase: str, process: int, thread: int | None, at_ns: int | None, **more: Any
) -> str:  # fmt: skip
    event: dict[str, Any] = {"ph": phase, "pid": process}
    if thread is not None:
        event["tid"] = process * _SPREAD + thread
    if at_ns is not None:
        event["ts"] = at_ns / 1000  # the format counts microseconds
    return json.dumps(event | more, separators=(",", ":"), ensure_ascii=False)
