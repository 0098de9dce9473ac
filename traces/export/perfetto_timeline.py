"""The timeline of a run, for Perfetto (ui.perfetto.dev) and chrome://tracing."""

import gzip
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from traces.export.clock import Ticks, has_chip_clock, ticking
from traces.export.perfetto_tracks import (
    CORES,
    FLIGHTS,
    IN,
    LINKS,
    MACHINE,
    OUT,
    OUTSIDE,
    SAMPLES,
    TICKS,
    WORK,
    Tracks,
    begin,
    core_thread,
    counter,
    counter_name,
    end,
    flight,
    flow,
    slice_,
)  # fmt: skip
from traces.export.recorded import packets, update_ps
from traces.export.selection import Selection
from traces.export.tables import source_names
from traces.trace import Packets

Array = NDArray[Any]

MANY_EVENTS = 5_000_000
"""Perfetto takes about a gigabyte of memory for so many."""
TICKS_AT_ONCE = 1 << 10
_NO_COUNTERS = ("slowest_core", "busiest_link", "duration_ps")


def write_perfetto(selection: Selection, path: Path) -> tuple[str, ...]:
    """Write ticks and samples as slices, cores and links as tracks, packets, and counters.

    With recorded packets there are arrows from where each leaves to where it is served. Without,
    the slowest core and the busiest link of each tick are slices on their tracks. A file that ends
    in ``.gz`` is packed, which both viewers open.

    Returns
    -------
    tuple of str
        What the user should know of the file.
    """
    clock = selection.clock or ("chip" if has_chip_clock(selection) else "model")
    about = {
        "trace": selection.trace.path.name, "clock": clock,
        "ticks": f"{selection.start}:{selection.stop}",
        "chip": str(selection.trace.provenance.get("chip", "")),
    }  # fmt: skip
    n_events = 0
    with path.open("wb") as raw, _packed(raw, path) as file:
        head = {"displayTimeUnit": "ns", "otherData": about}
        file.write(json.dumps(head)[:-1] + ', "traceEvents": [\n')
        for event in _events(selection, clock):
            file.write((",\n" if n_events else "") + event)
            n_events += 1
        file.write("\n]}\n")
    if n_events <= MANY_EVENTS:
        return ()
    return (f"{n_events:,} events, which viewers take long to open; choose fewer with --ticks",)


def _packed(raw: Any, path: Path) -> io.TextIOWrapper:
    # Neither name nor time go in, so that equal traces give equal files.
    if path.suffix == ".gz":
        raw = gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0, compresslevel=6)
    return io.TextIOWrapper(raw, encoding="utf-8", newline="\n")


def _events(selection: Selection, clock: str) -> Iterator[str]:
    tracks = Tracks(selection.trace)
    shown: dict[str, float] = {}
    n_packets = 0
    yield from tracks.named(MACHINE, SAMPLES, "samples")
    yield from tracks.named(MACHINE, TICKS, "ticks")
    for ticks in ticking(selection, clock, *selection.sources, most_ticks=TICKS_AT_ONCE):
        yield from _sample_slices(selection, ticks)
        yield from _tick_slices(selection, tracks, ticks)
        yield from _counters(selection, ticks, shown)
        yield from _core_slices(selection, tracks, ticks)
        yield from _link_slices(tracks, ticks)
        found = packets(selection, ticks.start, ticks.stop)
        if found is not None:
            yield from _packet_events(selection, tracks, ticks, found, n_packets)
            n_packets += len(found.timestamps)
        last = int(ticks.edges_ps[-1])
    yield end(MACHINE, SAMPLES, last)


def _sample_slices(selection: Selection, ticks: Ticks) -> Iterator[str]:
    """Begin samples, and end those before; the last one is still open."""
    for tick in range(ticks.start, ticks.stop):
        sample, within = divmod(tick, selection.trace.ticks)
        at = int(ticks.edges_ps[tick - ticks.start])
        if within == 0 and tick != selection.start:
            yield end(MACHINE, SAMPLES, at)
        if within == 0 or tick == selection.start:
            yield begin(MACHINE, SAMPLES, f"sample {sample}", at)


def _tick_slices(selection: Selection, tracks: Tracks, ticks: Ticks) -> Iterator[str]:
    columns = {name: column.tolist() for name, column in ticks.counters.items()}
    edges = ticks.edges_ps.tolist()
    for row, tick in enumerate(range(ticks.start, ticks.stop)):
        sample, within = divmod(tick, selection.trace.ticks)
        args: dict[str, Any] = {"sample": sample, "tick of the trace": tick}
        if "slowest_core" in columns:
            args["slowest core"] = tracks.core(columns["slowest_core"][row])
        if columns.get("busiest_link", [-1] * (row + 1))[row] >= 0:
            args["busiest link"] = tracks.link(columns["busiest_link"][row])
        args |= {
            name.replace("_", " "): values[row]
            for name, values in columns.items()
            if name not in _NO_COUNTERS and values[row]
        }
        yield slice_(MACHINE, TICKS, f"tick {within}", edges[row], edges[row + 1], **args)


def _counters(selection: Selection, ticks: Ticks, shown: dict[str, float]) -> Iterator[str]:
    """Write what differs from the tick before; a counter that is never above 0 has no track."""
    columns = {
        counter_name(name): column for name, column in ticks.counters.items()
        if name not in _NO_COUNTERS
    }  # fmt: skip
    if "duration_ps" in ticks.counters:
        columns["time of the tick on the chip, ns"] = ticks.counters["duration_ps"] / 1000
    for source in selection.sources:
        at, _, payload = selection.spikes(source, ticks.start, ticks.stop)
        worth = None if payload is None else np.abs(payload)
        columns[f"spikes of {source.name}"] = np.bincount(
            at - ticks.start, weights=worth, minlength=ticks.stop - ticks.start
        )
    for name, column in columns.items():
        for start, value in zip(ticks.edges_ps.tolist(), column.tolist(), strict=False):
            if shown.get(name, 0) != value:
                shown[name] = value
                yield counter(name, start, int(value) if value == int(value) else value)


def _core_slices(selection: Selection, tracks: Tracks, ticks: Ticks) -> Iterator[str]:
    """Show how long each core worked, or, where that was not kept, which was the last to end."""
    if "slowest_core" not in ticks.counters:
        return
    places = selection.trace.cores()["place"].tolist() if selection.trace.cores() else []
    worked = update_ps(selection, ticks.start, ticks.stop)
    lengths = ticks.counters["duration_ps"].tolist()
    edges = ticks.edges_ps.tolist()
    for row, slowest in enumerate(ticks.counters["slowest_core"].tolist()):
        work = {slowest: lengths[row]}
        if worked is not None:
            work = dict(zip(places, worked[row].tolist(), strict=True))
        for place, length in work.items():
            if length:
                thread = core_thread(place, WORK)
                yield from tracks.named(CORES, thread, tracks.core(place))
                name = "last to end" if place == slowest else "works"
                until = min(edges[row] + length, edges[row + 1])
                yield slice_(CORES, thread, name, edges[row], until)


def _link_slices(tracks: Tracks, ticks: Ticks) -> Iterator[str]:
    if "busiest_link" not in ticks.counters:
        return
    edges = ticks.edges_ps.tolist()
    lengths = ticks.counters["duration_ps"].tolist()
    for row, link in enumerate(ticks.counters["busiest_link"].tolist()):
        if link >= 0:
            yield from tracks.named(LINKS, link + 1, tracks.link(link))
            until = min(edges[row] + lengths[row], edges[row + 1])
            yield slice_(LINKS, link + 1, "busiest", edges[row], until)


def _packet_events(
    selection: Selection, tracks: Tracks, ticks: Ticks, found: Packets, first: int
) -> Iterator[str]:
    """Show each packet leave, travel, and be served, with an arrow from the first to the last."""
    names = source_names(selection)
    begun = ticks.edges_ps[found.timestamps - ticks.start]
    free: dict[int, int] = {}
    # As they are served: a core serves one after the other, and waits are no slices of its own.
    for k in np.argsort(begun + found.done_ps, kind="stable").tolist():
        number, start = first + k, int(begun[k])
        source, neuron = names[int(found.source_kind[k])], int(found.source[k])
        left, arrived, done = (
            start + int(column[k]) for column in (found.left_ps, found.arrived_ps, found.done_ps)
        )
        core, label = int(found.core[k]), f"{source}[{neuron}]"
        args = {"hops": int(found.hops[k]), "waits_ns": max(free.get(core, 0) - arrived, 0) / 1000}
        sender, thread = _sender(tracks, source, neuron, names)
        yield from tracks.named(*thread, sender)
        yield slice_(*thread, label, left, left, to=tracks.core(core))
        yield flow("s", *thread, left, number)
        yield from tracks.named(FLIGHTS, 0, "")
        yield flight("b", f"to core {core}", left, number, source=label, **args)
        yield flight("e", f"to core {core}", arrived, number)
        served = max(arrived, free.get(core, 0))
        free[core] = max(done, served)
        inbox = core_thread(core, IN)
        yield from tracks.named(CORES, inbox, f"core {core} takes in")
        yield slice_(CORES, inbox, label, served, done, **args)
        yield flow("f", CORES, inbox, served, number)


def _sender(
    tracks: Tracks, source: str, neuron: int, names: tuple[str, ...]
) -> tuple[str, tuple[int, int]]:
    """Name the track that a packet leaves from: its core's, or that of its source."""
    place = tracks.core_of(source, neuron)
    if place is not None:
        return f"core {place} sends", (CORES, core_thread(place, OUT))
    return f"{source} sends", (OUTSIDE, names.index(source) + 1)
