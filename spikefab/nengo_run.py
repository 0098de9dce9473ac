"""A Nengo model in float and on a chip, and what its probes show of both."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from emulator.block import Block
from emulator.chip import Chip
from emulator.engine import Engine
from mapping.nengo_import import NengoNetwork, import_nengo
from mapping.reference import prepare, simulate
from spikefab.data import Samples
from spikefab.deployment import Deployment, deploy
from spikefab.host import Host
from traces.rows import Spikes

Array = NDArray[Any]


class DecodedError(NamedTuple):
    """How far a probe on the chip is from what it should show, all in the probe's own units.

    Attributes
    ----------
    float_rmse, chip_rmse : float
        Root mean square distance from what was asked for.
    between_rmse : float
        The same between chip and float.
    """

    float_rmse: float
    chip_rmse: float
    between_rmse: float


@dataclass(frozen=True, kw_only=True, eq=False)
class NengoRun:
    """Result of `run_nengo`.

    Attributes
    ----------
    model : NengoNetwork
    deployment : Deployment
    n_ticks : int
    spikes_float, spikes_chip : mapping of population name to Spikes
    decoded_float, decoded_chip : mapping of probe name to float64 [n_ticks, size]
        Row ``t`` is at time ``(t + 1) dt``, as in Nengo; ``decoded_float`` is what Nengo shows.
    counters : mapping of str to int64 [n_cores]
        What the chip did.
    notes : tuple of str
        What the import, the chip's formats and the host changed.
    """

    model: NengoNetwork
    deployment: Deployment
    n_ticks: int
    spikes_float: Mapping[str, Spikes]
    spikes_chip: Mapping[str, Spikes]
    decoded_float: Mapping[str, Array]
    decoded_chip: Mapping[str, Array]
    counters: Mapping[str, Array]
    notes: tuple[str, ...]

    @property
    def times_s(self) -> Array:
        """Time of each row, seconds; float64 [n_ticks]."""
        return np.arange(1, self.n_ticks + 1) * self.model.network.dt_s

    def error(self, probe: str, ideal: Array, *, from_s: float = 0.0) -> DecodedError:
        """Compare a probe with what it should show.

        Parameters
        ----------
        ideal : float [n_ticks, size] or [n_ticks]
        from_s : float
            What is before does not count, such as until a filter has filled.

        Raises
        ------
        KeyError
            If there is no such probe.
        ValueError
            If shapes differ, or nothing is left to count.
        """
        if probe not in self.decoded_chip:
            raise KeyError(f"no probe {probe!r}; there are {sorted(self.decoded_chip)}")
        shown = self.decoded_float[probe], self.decoded_chip[probe]
        wanted = np.asarray(ideal, np.float64).reshape(self.n_ticks, -1)
        if wanted.shape != shown[0].shape:
            raise ValueError(
                f"the ideal is {np.shape(ideal)}, but probe {probe!r} {shown[0].shape}"
            )
        late = self.times_s >= from_s
        if not late.any():
            raise ValueError(f"nothing is left after {from_s} s of {self.times_s[-1]:.6g} s")
        return DecodedError(
            *(_rms((a - b)[late]) for a, b in ((shown[0], wanted), (shown[1], wanted), shown[::-1]))
        )


def _rms(values: Array) -> float:
    return float(np.sqrt(np.mean(values**2)))


def nengo_samples(model: NengoNetwork, n_ticks: int) -> Samples:
    """Input of a model from time 0, as one sample for `spikefab.run_network`."""
    return Samples(x=model.currents(n_ticks)[None], y=None, n_ticks=n_ticks, spiking=False)


def run_nengo(
    model: Any,
    chip: Chip,
    *,
    duration_s: float,
    dt_s: float | None = None,
    approximate: bool = False,
    whole_ticks: bool = False,
    quantiser: str = "spikefab",
    seed: int = 0,
) -> NengoRun:
    """Import a Nengo model, run it in float and on a chip, and decode its probes from both.

    Parameters
    ----------
    model : NengoNetwork, nengo.Network, nengo.Simulator or nengo.builder.Model
    duration_s : float
        Seconds from time 0.
    dt_s, approximate, whole_ticks
        See `import_nengo`.
    quantiser : str
        A key of `mapping.quantisers.QUANTISERS`.
    seed : int
        For stochastic rounding, where the chip has it.

    Raises
    ------
    UnsupportedNodeError
        If the model, or a rule of it on this chip, cannot be expressed.
    CapacityError
        If it does not fit.
    MissingExtraError
        If nengo is not installed.
    ValueError
        If the duration is less than a tick.
    """
    if not isinstance(model, NengoNetwork):
        model = import_nengo(model, dt_s=dt_s, approximate=approximate, whole_ticks=whole_ticks)
    network = model.network
    n_ticks = round(duration_s / network.dt_s)
    if n_ticks < 1:
        raise ValueError(f"duration_s {duration_s} is less than a tick of {network.dt_s} s")
    samples = nengo_samples(model, n_ticks)
    deployment = deploy(
        network, chip, direct=True, samples=samples if network.inputs else None, seed=seed,
        quantiser=quantiser,
    )  # fmt: skip
    drive = model.drive(n_ticks)
    in_float = simulate(prepare(network, timing="chip"), drive)
    spikes_float = {name: Spikes(*columns) for name, columns in in_float.spikes.items()}
    host = Host(deployment)
    engine = Engine(deployment.program, chip, seed=seed)
    blocks: list[Block] = []
    engine.run([host.stimulus(drive, n_ticks)], n_ticks, blocks.append)
    spikes_chip = _by_population(deployment, blocks)
    return NengoRun(
        model=model,
        deployment=deployment,
        n_ticks=n_ticks,
        spikes_float=spikes_float,
        spikes_chip=spikes_chip,
        decoded_float=model.decode(spikes_float, n_ticks),
        decoded_chip=model.decode(spikes_chip, n_ticks),
        counters=engine.counters,
        notes=(*network.notes, *deployment.fixed.notes, *host.notes()),
    )


def _by_population(deployment: Deployment, blocks: list[Block]) -> dict[str, Spikes]:
    """Spikes of all blocks, by population."""
    program = deployment.program
    tick, neuron, payload = (
        np.concatenate([np.asarray(getattr(block, name), np.int64) for block in blocks])
        for name in ("spike_tick", "spike_neuron", "spike_payload")
    )
    of = program.population[neuron]
    found = {}
    for number, part in enumerate(program.populations):
        mine = of == number
        found[part.name] = Spikes(tick[mine], program.index[neuron[mine]], payload[mine])
    return found
