"""One network on one chip, beside its float simulation: record both, and sum up."""

import platform
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emulator.carried import Carried
from emulator.energy import Joules, energy_j
from emulator.engine import Block, Engine
from emulator.program import Program, ProgramPopulation
from emulator.stimulus import Stimulus
from mapping.network import Population
from spikefab.data import Samples, check_classes
from spikefab.deployment import Deployment
from spikefab.embedded import embed
from spikefab.float_side import float_side
from spikefab.host import Host
from spikefab.record import Recorder, carried_of_run
from spikefab.tally import Tally, passed
from traces.writer import TraceWriter

Array = NDArray[Any]
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, kw_only=True, eq=False)
class RunResult:
    """What a run found out.

    Attributes
    ----------
    counts_float, counts_chip : mapping of population to int64 [samples, n]
        Spikes of each neuron in each sample.
    readout : str
        The output that classes are read from.
    readout_float, readout_chip : float64 [samples, n] of that output
        Spike counts, or the mean membrane of an output that never spikes.
    readout_instant : float64 [samples, n]
        Of the float network in instant timing, as it was trained.
    fabric : str
    tick_period_s : float
        Ticks must end within it to keep up with real time.
    ticks : mapping of name to int64 [samples, ticks]
        ``duration_ps``, ``slowest_core`` and ``busiest_link`` of each tick.
    settled : int64 [samples]
        Tick at whose end the chip's class leads for good, or -1.
    carried : Carried, optional
        What the fabric has carried; None where the network is too large for a table of its routes.
    currents_cut : mapping of population to int
        Currents of the host that were cut to the chip's bias format.
    warnings : tuple of str
        What happened in the run that a user should know.
    """

    deployment: Deployment
    samples: Samples
    ticks_per_sample: int
    counts_float: dict[str, Array]
    counts_chip: dict[str, Array]
    readout: str
    readout_float: Array
    readout_chip: Array
    readout_instant: Array
    counters: dict[str, Array]
    duration_ps: int
    energy: Joules | None
    wall_s: dict[str, float]
    seed: int
    fabric: str = "ideal"
    tick_period_s: float
    ticks: dict[str, Array]
    settled: Array
    carried: Carried | None
    folder: Path | None = None
    currents_cut: dict[str, int] = field(default_factory=dict)
    warnings: tuple[str, ...] = field(default=())


def run_network(
    deployment: Deployment,
    samples: Samples,
    *,
    readout: str | None = None,
    folder: Path | None = None,
    seed: int = 0,
    strict: bool = False,
    fabric: str = "ideal",
    threads: int | None = None,
    tick_period_s: float | None = None,
    provenance: dict[str, str | int | float] | None = None,
    progress: Progress = lambda stage, done, total: None,
) -> RunResult:
    """Run every sample in float and on the chip.

    Parameters
    ----------
    readout : str, optional
        Output that classes are read from; the first by default.
    folder : Path, optional
        Existing folder for ``float.h5`` and ``trace.h5``; nothing is written without one.
    seed : int
        For stochastic rounding in the machine.
    strict : bool
        End the run at the first value on the chip that leaves its register.
    fabric : str
        One of `emulator.fabric.FABRIC_NAMES`.
    threads : int, optional
        Threads of the engine; changes nothing but speed.
    tick_period_s : float, optional
        What a tick may last in real time; the network's own tick by default.

    Raises
    ------
    OverflowAlarm
        In a strict run.
    NetworkError
        If there is no such output.
    DataError
        If it has no neuron for a class.
    TraceWriteError
        If a trace cannot be written on.
    """
    network, program = deployment.network, deployment.program
    output = check_classes(samples.y, network, readout)
    lag = {p.name: p.lag for p in program.populations}
    ticks = samples.n_ticks + max(lag.values())
    began = time.perf_counter()
    about = _provenance(deployment, seed) | (provenance or {})
    record = Recorder(folder, deployment, samples, ticks, about)
    how = {
        "seed": seed, "strict": strict, "fabric": fabric, "readout": output.name,
        "tick_period_s": tick_period_s, "quantiser": deployment.quantiser,
        "direct": not samples.spiking,
    }  # fmt: skip
    with record.chip_trace() as writer:
        if writer is not None:
            embed(writer, deployment, samples, how)
        with record.float_trace() as float_writer:
            in_float = float_side(
                network, output, samples, ticks, deployment.chip.arithmetic.input_latency,
                float_writer, lambda done: progress("float", done, len(samples)),
            )  # fmt: skip
        halfway = time.perf_counter()
        host = Host(deployment)
        silent = [p for p in program.populations if p.output and not p.spiking]
        engine = Engine(
            program, deployment.chip, watched=_neurons_of(program, silent), seed=seed,
            strict=strict, fabric=fabric, n_threads=threads,
        )  # fmt: skip
        tally = _chip_run(
            deployment, engine, host, output, silent, samples, ticks, record, writer, progress
        )
    duration = int(engine.env.now)
    record.finish()
    ended = time.perf_counter()
    return RunResult(
        deployment=deployment,
        samples=samples,
        ticks_per_sample=ticks,
        counts_float=in_float.counts,
        counts_chip=tally.counts,
        readout=output.name,
        readout_float=in_float.readout,
        readout_chip=tally.readout,
        readout_instant=in_float.instant,
        counters=engine.counters,
        duration_ps=duration,
        energy=energy_j(engine.counters, duration, deployment.chip),
        wall_s={"float": halfway - began, "chip": ended - halfway, "total": ended - began},
        seed=seed,
        fabric=fabric,
        tick_period_s=network.dt_s if tick_period_s is None else tick_period_s,
        ticks=tally.times,
        settled=tally.settled,
        carried=carried_of_run(engine),
        folder=folder,
        currents_cut=host.n_cut,
        warnings=tuple(host.notes()),
    )


def _neurons_of(program: Program, parts: list[ProgramPopulation]) -> Array:
    """Machine numbers of some populations, one after the other."""
    numbers = [program.neurons_of(part.name) for part in parts]
    return np.concatenate(numbers) if numbers else np.empty(0, np.int64)


def _chip_run(
    deployment: Deployment,
    engine: Engine,
    host: Host,
    output: Population,
    silent: list[ProgramPopulation],
    samples: Samples,
    ticks: int,
    record: "Recorder",
    writer: TraceWriter | None,
    progress: Progress,
) -> Tally:
    network = deployment.network
    tally = Tally(deployment.program, output, silent, len(samples), ticks)
    if writer is not None:
        record.cores(writer)

    def events() -> Iterator[Stimulus]:
        for index in range(len(samples)):
            events = host.stimulus(samples.drive(index, network), ticks)
            if writer is not None:
                record.stimulus(writer, events, index)
            yield events

    def observe(block: Block) -> None:
        ended = tally.add(passed(block))
        if writer is not None:
            record.block(writer, block, silent)
        if ended:
            progress("chip", block.sample + 1, len(samples))

    engine.run(events(), ticks, observe)
    if writer is not None:
        record.totals(writer, engine)
    return tally


def _provenance(deployment: Deployment, seed: int) -> dict[str, str | int | float]:
    return {
        "network_sha256": deployment.network.sha256,
        "chip": deployment.chip.name,
        "chip_sha256": deployment.chip.sha256,
        "program_sha256": deployment.program.sha256,
        "seed": seed,
        "versions": ", ".join(f"{k} {v}" for k, v in versions().items()),
    }


def versions() -> dict[str, str]:
    """Versions of everything that could change a result."""
    packages = ("spikefab", "numpy", "numba", "simpy", "h5py", "nir")
    return {"python": platform.python_version()} | {name: version(name) for name in packages}
