"""What a recorded run costs on a chip, from the counters of its trace: energy, and time where it can be told.

Energy is a sum of counts and so exact for any chip's costs, as far as the recorded counts hold for
it: hops and packets are those of the recorded placement. Time is not: how far cores wait for each
other is no sum. Told are the run's own time, and a time that no such run can undercut.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emulator import simple
from emulator.chip import Chip
from emulator.chip_bounds import at_bound, open_ends
from emulator.energy import COUNTED, Band, CountersError, energy_band, energy_by_tick
from emulator.ways import n_routers_used
from spikefab.telling import BadInputError
from traces.trace import Trace

Array = NDArray[Any]


@dataclass(frozen=True, kw_only=True, eq=False)
class Recorded:
    """What a trace tells of a run.

    Attributes
    ----------
    n_ticks : int
        Ticks that are counted; all of them if the trace is complete.
    n_samples : float
        The same in samples.
    counters : mapping of name to int array
        Totals of the cores of a complete trace, else of ticks, up to where it broke off.
    by_core : bool
        Whether the counters are those of cores.
    ticks : mapping of name to int64 [n_ticks]
        Counters of each tick; without those of energy in earlier traces.
    place : int64 [n_cores] or None
    duration_ps : int
        The run's own time, on the chip that it was recorded on.
    """

    chip: str
    chip_sha256: str
    complete: bool
    n_ticks: int
    n_samples: float
    ticks_a_sample: int
    counters: dict[str, Array]
    by_core: bool
    ticks: dict[str, Array]
    place: Array | None
    duration_ps: int

    @property
    def counts_ticks(self) -> bool:
        """Whether energy can be told for each tick."""
        return set(COUNTED) <= self.ticks.keys()

    @property
    def neurons(self) -> int:
        """Mapped neurons: each is updated once a tick."""
        both = (int(self.counters[name].sum()) for name in ("active", "inactive"))
        return sum(both) // self.n_ticks


@dataclass(frozen=True, kw_only=True, eq=False)
class Costing:
    """A recorded run at a chip's costs.

    Attributes
    ----------
    energy : Band
        Joules of the whole run.
    by_tick : float64 [n_ticks, 4] or None
        Nominal joules of each tick, by part as `emulator.energy.Joules` has them.
    at_least_s : tuple of low, nominal, high or None
        Time below which no such run stays, whatever its fabric; None without times.
    static_s : float
        Time for which static power flows.
    notes : tuple of str
        What is exact and what is not.
    """

    recorded: Recorded
    chip: Chip
    energy: Band
    by_tick: Array | None
    at_least_s: tuple[float, float, float] | None
    static_s: float
    notes: tuple[str, ...]


def recorded(trace: Trace) -> Recorded:
    """Read the counters of a trace.

    Raises
    ------
    BadInputError
        If it has none.
    """
    if trace.kind != "chip":
        raise BadInputError(
            f"{trace.path}: a {trace.kind} trace counts no events; take that of the chip"
        )
    ticks, totals = trace.tick_counters(), trace.core_counters()
    n_ticks = min((values.size for values in ticks.values()), default=0)
    if not trace.complete:
        # What lies behind may have been written in part.
        n_ticks = min(n_ticks, trace.whole_ticks)
        ticks = {name: values[:n_ticks] for name, values in ticks.items()}
    whole = trace.complete and bool(totals)
    if whole:
        counted, n_ticks = n_ticks, trace.samples * trace.ticks
        if ticks and counted != n_ticks:
            raise BadInputError(
                f"{trace.path}: damaged, counters of {counted:,} ticks, but it has {n_ticks:,}"
            )
    elif not set(COUNTED) <= ticks.keys():
        why = "it broke off before they were written" if not trace.complete else "it has none"
        raise BadInputError(f"{trace.path}: no counters that energy could be told from: {why}")
    if n_ticks == 0:
        raise BadInputError(f"{trace.path}: not a single tick was counted")
    return Recorded(
        chip=str(trace.provenance.get("chip", "")),
        chip_sha256=str(trace.provenance.get("chip_sha256", "")),
        complete=trace.complete,
        n_ticks=n_ticks,
        n_samples=n_ticks / trace.ticks,
        ticks_a_sample=trace.ticks,
        counters=totals if whole else ticks,
        by_core=whole,
        ticks=ticks,
        place=trace.cores().get("place"),
        duration_ps=int(ticks["duration_ps"].sum()) if "duration_ps" in ticks else 0,
    )


def cost_trace(trace: Trace, chip: Chip) -> Costing:
    """Cost a recorded run again.

    Raises
    ------
    BadInputError
        If the trace has no counters, or not those that the chip's costs need, or the chip has no
        energies.
    """
    if chip.energy is None:
        raise BadInputError(f"chip {chip.name!r} names no energies; take one with a table [energy]")
    run = recorded(trace)
    least = _at_least_s(run, chip)
    static_ps = run.duration_ps
    if least is not None and run.chip_sha256 != chip.sha256:
        static_ps = max(static_ps, round(least[1] * 1e12))
    try:
        energy = energy_band(run.counters, static_ps, chip)
        by_tick = _by_tick(run, static_ps, chip)
    except CountersError as error:
        raise BadInputError(
            f"{trace.path}: {error}; record the run again, as this version counts it"
        ) from error
    assert energy is not None
    return Costing(
        recorded=run, chip=chip, energy=energy, by_tick=by_tick, at_least_s=least,
        static_s=static_ps * 1e-12, notes=tuple(_notes(trace, run, chip, static_ps)),
    )  # fmt: skip


def _by_tick(run: Recorded, static_ps: int, chip: Chip) -> Array | None:
    """Energy of each tick, if its events were counted."""
    if not run.counts_ticks:
        return None
    durations = np.full(run.n_ticks, static_ps / run.n_ticks)
    if run.duration_ps:
        durations = run.ticks["duration_ps"] * (static_ps / run.duration_ps)
    return energy_by_tick({name: run.ticks[name] for name in COUNTED}, durations, chip)


def _at_least_s(run: Recorded, chip: Chip) -> tuple[float, float, float] | None:
    """Bound the time from below, seconds; with all times low, nominal and high.

    The barriers, and the busiest core's own work: what it updates and sends, or what it takes in.
    """
    if chip.timing is None:
        return None
    low, nominal, high = (
        _least_ps(run, at_bound(chip, side)) * 1e-12 for side in ("low", "nominal", "high")
    )
    return low, nominal, high


def _least_ps(run: Recorded, chip: Chip) -> float:
    timing = chip.timing
    assert timing is not None
    barrier = min(ps for _, ps in timing.barrier)
    if run.place is not None:
        barrier = timing.barrier_ps(n_routers_used(run.place, chip))
    counters = run.counters
    if not run.by_core:
        # The busiest core works no less than the mean of all; of unknown cores nothing is known.
        n_cores = np.inf if run.place is None else run.place.size
        counters = {name: values.sum() / n_cores for name, values in counters.items()}
    # Counters that are missing, as in earlier traces, count as nothing: the bound holds all the same.
    known = dict.fromkeys((*COUNTED, "received"), np.zeros(1)) | counters
    work = max(
        float(np.max(made(known, timing))) for made in (simple.generation_ps, simple.reception_ps)
    )
    return run.n_ticks * barrier + work


def _recorder(run: Recorded, chip: Chip) -> str:
    if run.chip == chip.name:
        return f"a chip {run.chip} of other content"
    return run.chip or "a chip that the trace does not name"


def _notes(trace: Trace, run: Recorded, chip: Chip, static_ps: int) -> Iterator[str]:
    """Say what is exact and what is not."""
    if not run.complete:
        yield (
            f"the run broke off: costed are its first {run.n_ticks:,} of "
            f"{trace.samples * trace.ticks:,} ticks"
        )
    if run.chip_sha256 != chip.sha256:
        yield (
            f"recorded on {_recorder(run, chip)}; updates, synaptic events, packets and hops are "
            "counted as there"
        )
        if static_ps > run.duration_ps:
            yield "it ran faster than this chip can; static power flows for the least time"
        else:
            yield "static power flows for the recorded run's own time, which is no time of this chip"
    if not run.counts_ticks:
        yield "the trace counts no events of single ticks, so there is no energy of each"
    if run.place is None and chip.timing is not None:
        yield "the trace does not say where its cores lie, so the shortest barrier is taken"
    for name in open_ends(chip, "energy"):
        yield f"{name}, so that the band of the energy is open on the other side"
