"""Value change dump (IEEE 1364-2005, clause 18), for viewers of waveforms such as GTKWave and Surfer."""

from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from traces.export.clock import Ticks, dt_ps, ticking
from traces.export.recorded import frames, packets, ticks_at_once
from traces.export.selection import Selection
from traces.export.vcd_wires import Wires, wires_of

Array = NDArray[Any]
Moments = dict[int, list[str]]
"""What changes, by picosecond."""

MANY_WIRES = 200_000
"""Viewers begin to crawl somewhere there."""
_UNITS = {0: "ps", 1: "ns", 2: "us", 3: "ms", 4: "s"}
_MOST_POWER = 14
"""Of 10 ps; the format ends at 100 s."""


def write_vcd(selection: Selection, path: Path) -> tuple[str, ...]:
    """Write spikes as events, states as reals, counters as integers, and a clock of ticks.

    A spike that is worth other than 1 is a number that falls back to 0 in the middle of its tick.
    Time is the network's, in the coarsest unit that half a tick is a multiple of, or the chip's,
    in picoseconds; only the latter shows packets arrive.

    Returns
    -------
    tuple of str
        What the user should know of the file.
    """
    clock = selection.clock or "model"
    power = _power(dt_ps(selection)) if clock == "model" else 0
    wires, declared = wires_of(selection, clock)
    with path.open("w", encoding="ascii", newline="\n") as file:
        file.write(
            f"$version spikefab $end\n$comment ticks {selection.start} to {selection.stop}, "
            f"{selection.trace.ticks} a sample, in {clock} time $end\n"
            f"$timescale {10 ** (power % 3)} {_UNITS[power // 3]} $end\n"
        )
        file.writelines(f"{line}\n" for line in declared)
        for lines in _changes(selection, clock, 10**power, wires):
            file.writelines(f"{line}\n" for line in lines)
    if wires.n_of_neurons <= MANY_WIRES:
        return ()
    return (
        f"{wires.n_of_neurons:,} wires, which viewers take long to open; choose fewer with "
        "--population",
    )


def _power(tick_ps: int) -> int:
    """Return the greatest power of ten of which half a tick is a multiple, in picoseconds."""
    power = 0
    while power < _MOST_POWER and tick_ps % (2 * 10 ** (power + 1)) == 0:
        power += 1
    return power


def _changes(
    selection: Selection, clock: str, unit_ps: int, wires: Wires
) -> Iterator[Iterator[str] | list[str]]:
    """Give the lines of each window of ticks, and of the end."""
    shown: dict[str, str] = {}
    most_ticks = ticks_at_once(sum(map(len, wires.states.values())))
    last = 0
    for ticks in ticking(selection, clock, *selection.sources, most_ticks=most_ticks):
        moments: Moments = defaultdict(list)
        _show_machine(moments, selection, ticks, wires)
        _show_spikes(moments, selection, ticks, wires)
        _show_states(moments, selection, ticks, wires)
        _show_arrivals(moments, selection, ticks, wires)
        yield _lines(moments, unit_ps, shown)
        last = int(ticks.edges_ps[-1])
    yield [f"#{last // unit_ps}"]


def _lines(moments: Moments, unit_ps: int, shown: dict[str, str]) -> Iterator[str]:
    """Write what is new of each moment; events happen again, whatever they showed before."""
    for moment in sorted(moments):
        yield f"#{moment // unit_ps}"
        for change in moments[moment]:
            value, space, code = change.partition(" ")
            if not space:
                yield change
            elif shown.get(code) != value:
                shown[code] = value
                yield change


def _show_machine(moments: Moments, selection: Selection, ticks: Ticks, wires: Wires) -> None:
    sample, tick = np.divmod(np.arange(ticks.start, ticks.stop), selection.trace.ticks)
    columns = {"sample": sample, "tick": tick, **ticks.counters}
    codes = [wires.machine[name] for name in columns]
    clock = wires.machine["tick_clock"]
    starts = ticks.edges_ps.tolist()
    rows = zip(*(column.tolist() for column in columns.values()), strict=True)
    for (start, stop), row in zip(pairwise(starts), rows, strict=True):
        moments[start] += [f"1{clock}", *map(_number, row, codes)]
        moments[(start + stop) // 2].append(f"0{clock}")


def _show_spikes(moments: Moments, selection: Selection, ticks: Ticks, wires: Wires) -> None:
    for source in selection.sources:
        at, neurons, payload = selection.spikes(source, ticks.start, ticks.stop)
        codes = wires.spikes[source.name]
        starts, stops = (ticks.edges_ps[at - ticks.start + k].tolist() for k in (0, 1))
        if not source.payload:
            for start, neuron in zip(starts, neurons.tolist(), strict=True):
                moments[start].append(f"1{codes[neuron]}")
            continue
        worth = np.ones_like(at) if payload is None else payload
        for start, stop, neuron, value in zip(
            starts, stops, neurons.tolist(), worth.tolist(), strict=True
        ):
            moments[start].append(_number(value, codes[neuron]))
            moments[(start + stop) // 2].append(_number(0, codes[neuron]))


def _show_states(moments: Moments, selection: Selection, ticks: Ticks, wires: Wires) -> None:
    for (population, variable), codes in wires.states.items():
        found = frames(selection, population, variable, ticks.start, ticks.stop)
        mine = [codes[neuron] for neuron in found.neurons.tolist()]
        starts = ticks.edges_ps[found.ticks - ticks.start].tolist()
        for start, values in zip(starts, found.values.tolist(), strict=True):
            moments[start] += [f"r{v:.17g} {code}" for v, code in zip(values, mine, strict=True)]


def _show_arrivals(moments: Moments, selection: Selection, ticks: Ticks, wires: Wires) -> None:
    found = packets(selection, ticks.start, ticks.stop) if wires.arrivals else None
    if found is None:
        return
    row = found.timestamps - ticks.start
    # What is late for its own tick must not be written behind the next.
    at = np.minimum(ticks.edges_ps[row] + found.arrived_ps, ticks.edges_ps[row + 1])
    for moment, core in zip(at.tolist(), found.core.tolist(), strict=True):
        if core in wires.arrivals:
            moments[moment].append(f"1{wires.arrivals[core]}")


def _number(value: int, code: str) -> str:
    """Write a whole number; a negative one as its two's complement of 64 bits."""
    return f"b{value & 0xFFFF_FFFF_FFFF_FFFF:b} {code}"
