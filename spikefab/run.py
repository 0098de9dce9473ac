"""One network on one chip, beside its float simulation: record both, and sum up."""

import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from emulator.carried import Carried
from emulator.energy import Joules, energy_j
from mapping.network import Population
from spikefab.chip_side import ChipSide, wished_of
from spikefab.data import Samples, check_classes
from spikefab.deployment import Deployment
from spikefab.embedded import Embedded, bundles
from spikefab.float_side import Before, FloatSide, before, float_side
from spikefab.record import NEW, GoingOn, Recorder, carried_of_run
from traces.trace import Trace
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
    record: Sequence[str] = (),
    checkpoint_ticks: int | None = None,
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
    record : sequence of str
        What the chip's trace records, in the grammar of `spikefab.wishes`.
    checkpoint_ticks : int, optional
        Ticks of the trace between two checkpoints that are kept. Without it there is one every few
        seconds and at the end, and the last two are kept.

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
    output = check_classes(samples.y, deployment.network, readout)
    how = {
        "seed": seed, "strict": strict, "fabric": fabric, "readout": output.name,
        "tick_period_s": tick_period_s, "quantiser": deployment.quantiser,
        "direct": not samples.spiking,
        "checkpoint_ticks": checkpoint_ticks, "record": list(record),
    }  # fmt: skip
    about = _provenance(deployment, seed) | (provenance or {})
    sides = _Sides(deployment, samples, output, how, folder, about, threads)
    with sides.record.chip_trace(lambda: bundles(deployment, samples, how)) as writer:
        return sides.run(writer, progress)


def resume_network(
    folder: Path,
    *,
    threads: int | None = None,
    progress: Progress = lambda stage, done, total: None,
) -> RunResult:
    """Go on with a run that broke off, from its last checkpoints; all it needs is in its traces.

    Parameters
    ----------
    folder : Path
        Where `run_network` left ``trace.h5``, and perhaps ``float.h5``.

    Returns
    -------
    RunResult
        The same as that of a run that was never interrupted, wall time apart.

    Raises
    ------
    FileNotFoundError, TraceFormatError
        If there is no trace, or it is damaged or does not carry its run.
    TraceWriteError
        If a trace cannot be written on.
    """
    with Trace.open(folder / "trace.h5") as trace:
        found = Embedded(trace)
        deployment, samples, how = found.deployment, found.samples, found.how
        output = check_classes(samples.y, deployment.network, how["readout"])
        sides = _Sides(deployment, samples, output, how, folder, dict(trace.provenance), threads)
        going_on = _left_off(trace)
        if going_on.tick:
            sides.chip.go_on(trace, trace.checkpoint(going_on.tick))
    float_from = NEW
    if (folder / "float.h5").exists():
        with Trace.open(folder / "float.h5") as trace:
            float_from, sides.before = _left_off(trace), before(trace)
    with sides.record.chip_trace(dict, going_on) as writer:
        return sides.run(writer, progress, float_from)


def _left_off(trace: Trace) -> GoingOn:
    last = trace.checkpoints()[-1:]
    return GoingOn(last[0] if last else 0, trace.complete)


class _Sides:
    """Both sides of a run, from the beginning or from where an earlier run left off."""

    def __init__(
        self, deployment: Deployment, samples: Samples, output: Population, how: dict[str, Any],
        folder: Path | None, about: dict[str, Any], threads: int | None,
    ) -> None:  # fmt: skip
        self._began = time.perf_counter()
        self._deployment, self._samples, self._output = deployment, samples, output
        self._how, self._folder = how, folder
        program, network = deployment.program, deployment.network
        self._ticks = samples.n_ticks + max(p.lag for p in program.populations)
        wished = wished_of(how, program, network, self._ticks)
        self.record = Recorder(folder, deployment, samples, self._ticks, about, wished)
        self.chip = ChipSide(
            deployment, samples, output, self._ticks, wished,
            checkpoint_ticks=how["checkpoint_ticks"],
            seed=how["seed"], strict=how["strict"], fabric=how["fabric"], n_threads=threads,
        )  # fmt: skip
        self.before: Before | None = None

    def run(
        self, writer: TraceWriter | None, progress: Progress, float_from: GoingOn = NEW
    ) -> RunResult:
        """Run the float side, then the chip's."""
        deployment, samples = self._deployment, self._samples
        if writer is not None:
            self.record.cores(writer)
        with self.record.float_trace(float_from) as float_writer:
            in_float = float_side(
                deployment.network, self._output, samples, self._ticks,
                deployment.chip.arithmetic.input_latency, float_writer,
                lambda done: progress("float", done, len(samples)), self.before,
            )  # fmt: skip
        halfway = time.perf_counter()
        self.chip.run(self.record, writer, lambda done: progress("chip", done, len(samples)))
        if writer is not None:
            writer.close()
        self.record.finish()
        return self._result(in_float, halfway)

    def _result(self, in_float: FloatSide, halfway: float) -> RunResult:
        chip, how, network = self.chip, self._how, self._deployment.network
        duration, ended = int(chip.engine.env.now), time.perf_counter()
        period = how["tick_period_s"]
        return RunResult(
            deployment=self._deployment,
            samples=self._samples,
            ticks_per_sample=self._ticks,
            counts_float=in_float.counts,
            counts_chip=chip.tally.counts,
            readout=self._output.name,
            readout_float=in_float.readout,
            readout_chip=chip.tally.readout,
            readout_instant=in_float.instant,
            counters=chip.engine.counters,
            duration_ps=duration,
            energy=energy_j(chip.engine.counters, duration, self._deployment.chip),
            wall_s={
                "float": halfway - self._began, "chip": ended - halfway,
                "total": ended - self._began,
            },
            seed=how["seed"],
            fabric=how["fabric"],
            tick_period_s=network.dt_s if period is None else period,
            ticks=chip.tally.times,
            settled=chip.tally.settled,
            carried=carried_of_run(chip.engine),
            folder=self._folder,
            currents_cut=chip.host.n_cut,
            warnings=tuple(chip.host.notes()),
        )  # fmt: skip


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
