"""What the host does for each sample: turn input into events of the machine."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emulator.stimulus import Stimulus
from mapping.drive import Drive
from mapping.fixed import FixedPopulation
from mapping.rounding import bias_integers, bias_limit
from spikefab.currents import Target, changes
from spikefab.deployment import Deployment

Array = NDArray[Any]
Columns = tuple[Array, Array, Array]


class Host:
    """The host of one deployment.

    Attributes
    ----------
    n_handed, n_cut : dict of population name to int
        Currents handed over so far, and those cut to the chip's bias format.
    """

    def __init__(self, deployment: Deployment) -> None:
        self._deployment = deployment
        self._targets = deployment.current_targets
        self.n_handed = {target.name: 0 for target in self._targets}
        self.n_cut = dict(self.n_handed)

    def stimulus(self, drive: Drive, n_ticks: int) -> Stimulus:
        """Turn a sample's input into events of the machine.

        Currents go through the weights and the synaptic filter on the host, in float, and are
        handed over as changes of the neurons' biases in the chip's bias format.

        Parameters
        ----------
        n_ticks : int
            Length of the sample; a filtered current that outlasts it is not followed further.
        """
        spike = _sorted([self._spikes(name, counts) for name, counts in drive.spikes.items()])
        given = [t for t in self._targets if any(w.source in drive.currents for w in t.ways)]
        current = _sorted(
            [c for target in given for c in self._bias_changes(target, drive, n_ticks)]
        )
        return Stimulus(
            spike_tick=spike[0],
            spike_channel=spike[1],
            spike_payload=spike[2],
            current_tick=current[0],
            current_neuron=current[1],
            current_value=current[2],
        )

    def notes(self) -> Iterator[str]:
        """Say what was cut so far."""
        for name, n_cut in self.n_cut.items():
            if n_cut:
                limit = bias_limit(self._deployment.chip)
                scale = self._deployment.fixed.population(name).scale
                yield (
                    f"{name}: {n_cut:,} of {self.n_handed[name]:,} currents of the host were cut to "
                    f"the chip's largest bias of {limit:,} ({limit / scale:.4g} in the network)"
                )

    def _spikes(self, name: str, counts: Array) -> Columns:
        tick, channel = np.nonzero(counts)
        first = self._deployment.program.first_channel(name)
        return tick, channel + first, counts[tick, channel]

    def _bias_changes(self, target: Target, drive: Drive, n_ticks: int) -> Iterator[Columns]:
        part = self._deployment.fixed.population(target.name)
        number = self._deployment.program.neurons_of(target.name)
        before = np.zeros(part.size, np.int64)
        for tick, current in changes(target, drive, n_ticks):
            value, cut = self._change(part, current)
            changed = np.flatnonzero(value != before)
            self.n_handed[target.name] += changed.size
            self.n_cut[target.name] += int(np.count_nonzero(cut[changed]))
            yield np.full(changed.size, tick), number[changed], value[changed]
            before = value

    def _change(self, part: FixedPopulation, current: Array) -> tuple[Array, Array]:
        """Change against the loaded bias, so that their sum keeps to the chip's bias format.

        Returns
        -------
        (int64 [n], bool [n])
            The change, and where it was cut.
        """
        chip = self._deployment.chip
        exact = part.bias + current * part.scale
        return bias_integers(exact, chip) - part.bias, np.abs(exact) > bias_limit(chip) + 0.5


def stimulus(drive: Drive, deployment: Deployment, n_ticks: int) -> Stimulus:
    """Turn one sample's input into events of the machine; see `Host.stimulus`."""
    return Host(deployment).stimulus(drive, n_ticks)


def _sorted(columns: list[Columns]) -> Columns:
    """Join (tick, where, value) and order them by tick, then place."""
    if not columns:
        return np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.int64)
    tick, where, value = (np.concatenate(column) for column in zip(*columns, strict=True))
    order = np.lexsort((where, tick))
    return tick[order], where[order], value[order]
