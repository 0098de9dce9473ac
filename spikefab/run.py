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

from emulator.chip import Chip
from emulator.energy import Joules, energy_j
from emulator.engine import Block, Engine
from emulator.program import Program
from emulator.stimulus import Stimulus
from mapping.drive import Drive
from mapping.fixed import FixedNetwork
from mapping.linear import apply
from mapping.mapping import Mapping, Resources, resources
from mapping.network import Network
from mapping.partition import map_network
from mapping.quantise import bias_integers, current_keep, quantise
from mapping.reference import FloatRun, prepare, simulate
from spikefab.data import Samples
from traces.layout import RecordedPopulation
from traces.trace import Trace
from traces.writer import TraceWriter

Array = NDArray[Any]
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, kw_only=True, eq=False)
class Deployment:
    """A network that is mapped onto a chip.

    Attributes
    ----------
    mapping, program, used
        Where everything lies, what is loaded, and what it takes of each core.
    """

    network: Network
    chip: Chip
    fixed: FixedNetwork
    mapping: Mapping
    program: Program
    used: Resources


@dataclass(frozen=True, kw_only=True, eq=False)
class RunResult:
    """What a run found out.

    Attributes
    ----------
    counts_float, counts_chip : mapping of population to int64 [samples, n]
        Spikes of each neuron in each sample.
    readout_float, readout_chip : float64 [samples, n] of the first output
        Spike counts, or the mean membrane of an output that never spikes.
    reference_accuracy : float or None
        Of the float network in instant timing, as it was trained.
    """

    deployment: Deployment
    samples: Samples
    ticks_per_sample: int
    counts_float: dict[str, Array]
    counts_chip: dict[str, Array]
    readout_float: Array
    readout_chip: Array
    readout_instant: Array
    counters: dict[str, Array]
    duration_ps: int
    energy: Joules
    wall_s: dict[str, float]
    seed: int
    folder: Path | None = None
    warnings: tuple[str, ...] = field(default=())


def deploy(network: Network, chip: Chip, *, direct: bool) -> Deployment:
    """Quantise, partition, place and assemble.

    Parameters
    ----------
    direct : bool
        Whether the host turns the input into bias currents.

    Raises
    ------
    CapacityError, UnsupportedNodeError
    """
    names = frozenset(part.name for part in network.inputs) if direct else frozenset()
    fixed = quantise(network, chip, direct=names)
    mapping, program = map_network(fixed, chip)
    program.check(chip)
    return Deployment(
        network=network,
        chip=chip,
        fixed=fixed,
        mapping=mapping,
        program=program,
        used=resources(program, chip),
    )


def stimulus(drive: Drive, deployment: Deployment) -> Stimulus:
    """Turn a sample's input into events of the machine.

    Currents go through the weights and the synaptic filter on the host, in float, and are handed
    over as changes of the neurons' biases in the chip's bias format.
    """
    program = deployment.program
    ticks, channels, payloads = [], [], []
    for name, counts in drive.spikes.items():
        tick, channel = np.nonzero(counts)
        ticks.append(tick)
        channels.append(channel + program.first_channel(name))
        payloads.append(counts[tick, channel])
    spike = [np.concatenate(c) if c else np.empty(0, np.int64) for c in (ticks, channels, payloads)]
    order = np.lexsort((spike[1], spike[0]))
    changes = list(_bias_changes(drive, deployment)) if drive.currents else []
    current = [np.concatenate(c) for c in zip(*changes, strict=True)] or [np.empty(0)] * 3
    later = np.lexsort((current[1], current[0]))
    return Stimulus(
        spike_tick=spike[0][order],
        spike_channel=spike[1][order],
        spike_payload=spike[2][order],
        current_tick=current[0][later],
        current_neuron=current[1][later],
        current_value=current[2][later],
    )


def _bias_changes(drive: Drive, deployment: Deployment) -> Iterator[tuple[Array, Array, Array]]:
    network, fixed = deployment.network, deployment.fixed
    for part in fixed.populations:
        arriving = _host_currents(drive, network, part.name)
        if arriving is None:
            continue
        keep = current_keep(network, network.population(part.name))
        filtered = np.zeros_like(arriving)
        level = np.zeros(part.size)
        for at, row in enumerate(arriving):
            level = keep * level + row
            filtered[at] = level
        # After the last input a filtered current fades; it is followed until below half a unit.
        values = _whole_bias(filtered, part.bias, part.scale, deployment.chip)
        before = np.vstack([np.zeros((1, part.size), np.int64), values[:-1]])
        tick, neuron = np.nonzero(values != before)
        yield tick, deployment.program.neurons_of(part.name)[neuron], values[tick, neuron]


def _whole_bias(filtered: Array, bias: Array, scale: float, chip: Chip) -> Array:
    """Change against the loaded bias, so that their sum keeps to the chip's bias format."""
    return bias_integers(bias + filtered * scale, chip) - bias


def _host_currents(drive: Drive, network: Network, target: str) -> Array | None:
    """Analog input of one population at each tick, until it has faded; None if it gets none."""
    ways = [p for p in network.projections if p.target == target and p.source in drive.currents]
    if not ways:
        return None
    tau = np.asarray(network.population(target).tau_syn_s)
    fade = int(np.ceil(20 * float(tau.max()) / network.dt_s)) + 1
    longest = max(network.delay_ticks(p) for p in ways)
    total: Array = np.zeros((drive.n_ticks + longest + fade, network.population(target).size))
    for projection in ways:
        values = drive.currents[projection.source].astype(np.float64)
        delay = network.delay_ticks(projection)
        total[delay : delay + drive.n_ticks] += apply(projection.linear, values)
    return total


def run_network(
    deployment: Deployment,
    samples: Samples,
    *,
    folder: Path | None = None,
    seed: int = 0,
    provenance: dict[str, str | int | float] | None = None,
    progress: Progress = lambda stage, done, total: None,
) -> RunResult:
    """Run every sample in float and on the chip.

    Parameters
    ----------
    folder : Path, optional
        Existing folder for ``float.h5`` and ``trace.h5``; nothing is written without one.

    Raises
    ------
    TraceWriteError
        If a trace cannot be written on.
    """
    network, program = deployment.network, deployment.program
    lag = {p.name: p.lag for p in program.populations}
    ticks = samples.n_ticks + max(lag.values())
    began = time.perf_counter()
    about = _provenance(deployment, seed) | (provenance or {})
    record = _Recorder(folder, deployment, samples, ticks, about)
    latency = deployment.chip.arithmetic.input_latency
    float_counts, float_readout, instant = _float_runs(
        network, samples, ticks, latency, record, progress
    )
    halfway = time.perf_counter()
    chip_counts, chip_readout, engine, duration = _chip_run(
        deployment, samples, ticks, record, progress
    )
    record.finish(engine)
    ended = time.perf_counter()
    return RunResult(
        deployment=deployment,
        samples=samples,
        ticks_per_sample=ticks,
        counts_float=float_counts,
        counts_chip=chip_counts,
        readout_float=float_readout,
        readout_chip=chip_readout,
        readout_instant=instant,
        counters=engine.counters,
        duration_ps=duration,
        energy=energy_j(engine.counters, duration, deployment.chip),
        wall_s={"float": halfway - began, "chip": ended - halfway, "total": ended - began},
        seed=seed,
        folder=folder,
    )


def _float_runs(
    network: Network,
    samples: Samples,
    ticks: int,
    latency: int,
    record: "_Recorder",
    progress: Progress,
) -> tuple[dict[str, Array], Array, Array]:
    in_step = prepare(network, timing="chip", input_latency=latency)
    as_trained = prepare(network, timing="instant")
    n = len(samples)
    counts = {p.name: np.zeros((n, p.size), np.int64) for p in network.populations}
    readout = np.zeros((n, network.population(network.outputs[0]).size))
    instant = np.zeros_like(readout)
    with record.float_trace() as writer:
        for index in range(n):
            drive = samples.drive(index, network)
            run = simulate(in_step, drive, n_ticks=ticks)
            for name, (at, neurons) in run.spikes.items():
                counts[name][index] = np.bincount(neurons, minlength=counts[name].shape[1])
                if writer is not None:
                    writer.spikes(name, at + index * ticks, neurons)
            if writer is not None:
                for (name, variable), frames in run.states.items():
                    writer.state(name, variable, frames, scale=1.0)
            readout[index] = _read_out(run, network)
            instant[index] = _read_out(simulate(as_trained, drive), network)
            progress("float", index + 1, n)
    return counts, readout, instant


def _read_out(run: FloatRun, network: Network) -> Array:
    """Spike counts of the first output, or its mean membrane if it never spikes."""
    output = network.population(network.outputs[0])
    if not output.spiking:
        return np.asarray(run.states[output.name, "v"].mean(axis=0))
    return np.bincount(run.spikes[output.name][1], minlength=output.size).astype(np.float64)


def _chip_run(
    deployment: Deployment,
    samples: Samples,
    ticks: int,
    record: "_Recorder",
    progress: Progress,
) -> tuple[dict[str, Array], Array, Engine, int]:
    program, network = deployment.program, deployment.network
    silent = [p for p in program.populations if p.output and not p.spiking]
    watched = [program.neurons_of(p.name) for p in silent]
    engine = Engine(program, deployment.chip, watched=np.concatenate(watched) if watched else None)
    counts = np.zeros((len(samples), program.n_neurons), np.int64)
    frame_sums = np.zeros((len(samples), sum(w.size for w in watched)))
    with record.chip_trace() as writer:

        def events() -> Iterator[Stimulus]:
            for index in range(len(samples)):
                events = stimulus(samples.drive(index, network), deployment)
                if writer is not None:
                    record.stimulus(writer, events, index)
                yield events

        def observe(block: Block) -> None:
            counts[block.sample] += np.bincount(block.spike_neuron, minlength=program.n_neurons)
            frame_sums[block.sample] += block.frames.sum(axis=0)
            if writer is not None:
                record.block(writer, block, silent)
            if block.first_tick + block.tick_ps.size == ticks:
                progress("chip", block.sample + 1, len(samples))

        engine.run(events(), ticks, observe)
        if writer is not None:
            writer.core_counters(engine.counters)
    by_name = {p.name: counts[:, program.neurons_of(p.name)] for p in program.populations}
    output = network.outputs[0]
    readout = by_name[output].astype(np.float64)
    first = 0
    for part in silent:
        if part.name == output:
            readout = frame_sums[:, first : first + part.size] / ticks / part.scale
            readout = readout + deployment.fixed.population(output).offset
        first += part.size
    return by_name, readout, engine, int(engine.env.now)


class _Recorder:
    """The two trace files of a run, or none of them."""

    def __init__(
        self,
        folder: Path | None,
        deployment: Deployment,
        samples: Samples,
        ticks: int,
        provenance: dict[str, str | int | float],
    ) -> None:
        self._folder = folder
        self._deployment = deployment
        self._program = deployment.program
        self._about = provenance
        self._ticks = ticks
        self._common: dict[str, Any] = {
            "samples": len(samples),
            "ticks": ticks,
            "input_ticks": samples.n_ticks,
            "dt_s": deployment.network.dt_s,
            "populations": [
                RecordedPopulation(
                    name=p.name, shape=p.shape, lag=p.lag, output=p.output, spiking=p.spiking
                )
                for p in self._program.populations
            ],
        }

    def float_trace(self) -> "_Writing":
        """Open ``float.h5``."""
        return self._open("float.h5", "float")

    def chip_trace(self) -> "_Writing":
        """Open ``trace.h5``."""
        return self._open("trace.h5", "chip")

    def _open(self, name: str, kind: Any) -> "_Writing":
        if self._folder is None:
            return _Writing(None)
        path = self._folder / name
        return _Writing(TraceWriter(path, kind=kind, provenance=self._about, **self._common))

    def stimulus(self, writer: TraceWriter, events: Stimulus, sample: int) -> None:
        """Record a sample's input."""
        first = sample * self._ticks
        for name, size in self._program.inputs:
            channel = events.spike_channel - self._program.first_channel(name)
            mine = (channel >= 0) & (channel < size)
            writer.stimulus_spikes(
                name, events.spike_tick[mine] + first, channel[mine], events.spike_payload[mine]
            )
        owner = self._program.population[events.current_neuron]
        for number in np.unique(owner):
            mine = owner == number
            writer.stimulus_currents(
                self._program.populations[number].name,
                events.current_tick[mine] + first,
                self._program.index[events.current_neuron[mine]],
                events.current_value[mine],
            )

    def block(self, writer: TraceWriter, block: Block, silent: list[Any]) -> None:
        """Record some ticks."""
        owner = self._program.population[block.spike_neuron]
        at = block.spike_tick + block.sample * self._ticks
        for number in np.unique(owner):
            mine = owner == number
            writer.spikes(
                self._program.populations[number].name,
                at[mine],
                self._program.index[block.spike_neuron[mine]],
            )
        first = 0
        for part in silent:
            frames = block.frames[:, first : first + part.size]
            offset = float(self._deployment.fixed.population(part.name).offset[0])
            writer.state(part.name, "v", frames, scale=1.0 / part.scale, offset=offset)
            first += part.size
        spikes = np.bincount(block.spike_tick - block.first_tick, minlength=block.tick_ps.size)
        writer.tick_counters(duration_ps=block.tick_ps, spikes=spikes)

    def finish(self, engine: Engine) -> None:
        """Name each trace's partner by its content hash."""
        if self._folder is None:
            return
        names = ("float.h5", "trace.h5")
        hashes = []
        for name in names:
            with Trace.open(self._folder / name) as trace:
                hashes.append(str(trace.content_sha256))
        for name, partner, digest in zip(names, names[::-1], hashes[::-1], strict=True):
            TraceWriter.add_notes(self._folder / name, partner=partner, partner_sha256=digest)


class _Writing:
    """A writer in a ``with`` statement, or nothing to write to."""

    def __init__(self, writer: TraceWriter | None) -> None:
        self._writer = writer

    def __enter__(self) -> TraceWriter | None:
        return self._writer.__enter__() if self._writer is not None else None

    def __exit__(self, *about: Any) -> None:
        if self._writer is not None:
            self._writer.__exit__(*about)


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
