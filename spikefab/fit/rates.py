"""How often neurons fire: as a trace has it, or in a float run of a few samples."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mapping.network import Network, Population
from mapping.outline import Outline, OutlinePopulation
from mapping.rates import rates_of
from mapping.reference import prepare, simulate
from spikefab.data import Samples, load_samples
from spikefab.fit.reading import Subject
from spikefab.telling import BadInputError
from traces.errors import TraceFormatError
from traces.trace import Trace

Array = NDArray[Any]

SAMPLES_MOST, TICKS_MOST = 4, 200
"""Samples that are simulated for their rates, and ticks of each."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Known:
    """What data told.

    Attributes
    ----------
    rates : dict of str to float64 [n]
        Spikes of each neuron or channel in a tick, by population or input; empty if not known.
    direct : bool or None
        Whether the host turns inputs into currents; None if nothing says so.
    note : str
        Where rates come from, or why there are none.
    """

    rates: dict[str, Array] = field(default_factory=dict)
    direct: bool | None = None
    note: str = "spike rates are not known, so neither are traffic, time and energy (--data)"


def learn(
    data: Path | None,
    subject: Subject,
    network: Network,
    *,
    ticks: int | None,
    encoding: str | None,
) -> Known:
    """Take rates from a trace, or simulate samples in float.

    Raises
    ------
    BadInputError
        If a trace is of another network.
    DataError, FileNotFoundError, TraceFormatError
        If data cannot be read or do not suit the network.
    """
    if data is None:
        return Known(direct=None if encoding is None else encoding == "direct")
    try:
        trace = Trace.open(data)
    except TraceFormatError:
        samples = load_samples(data, network, ticks=ticks, encoding=encoding)
        return _simulated(samples, subject, data)
    with trace:
        return _recorded(trace, network, encoding)


def _recorded(trace: Trace, network: Network, encoding: str | None) -> Known:
    outline = Outline(
        inputs={part.name: part.size for part in network.inputs},
        populations=tuple(map(_bare, network.populations)),
        projections=(), order=(), outputs=(),
    )  # fmt: skip
    try:
        rates = rates_of(trace, outline)
    except ValueError as error:
        raise BadInputError(str(error)) from error
    direct = not trace.stimuli("spikes") if encoding is None else encoding == "direct"
    note = f"rates from {trace.path.name}: {trace.samples:,} samples of {trace.ticks:,} ticks"
    return Known(rates=rates, direct=direct, note=note)


def _bare(part: Population) -> OutlinePopulation:
    none: Array = np.broadcast_to(np.int64(0), (part.size,))
    return OutlinePopulation(
        name=part.name, shape=part.shape, compartments=1, spiking=part.spiking, settings=none,
        levels=none,
    )  # fmt: skip


def _simulated(samples: Samples, subject: Subject, data: Path) -> Known:
    network = subject.whole()
    if network is None:
        note = f"rates are not known: too many weights to simulate {data.name}; give a trace"
        return Known(direct=not samples.spiking, note=note)
    n, ticks = min(len(samples), SAMPLES_MOST), min(samples.n_ticks, TICKS_MOST)
    short = Samples(
        x=samples.x[:n, :ticks] if samples.x.ndim == 3 else samples.x[:n], y=None, n_ticks=ticks,
        spiking=samples.spiking,
    )  # fmt: skip
    prepared = prepare(network, timing="instant")
    counts: dict[str, Array] = {p.name: np.zeros(p.size) for p in network.populations}
    for index in range(n):
        ran = simulate(prepared, short.drive(index, network))
        for name, (_, neurons) in ran.spikes.items():
            np.add.at(counts[name], neurons, 1.0)
    rates = {name: count / (n * ticks) for name, count in counts.items()}
    if samples.spiking:
        rates[network.inputs[0].name] = short.x.mean(axis=(0, 1), dtype=np.float64)
    note = f"rates from a float run of {data.name}: {n} of its samples, {ticks:,} ticks each"
    return Known(rates=rates, direct=not samples.spiking, note=note)
