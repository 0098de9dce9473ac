"""Integers of a vector file, laid straight into a program on several cores."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emulator.chip import Chip
from emulator.neuron import PAYLOADS, RESETS
from emulator.program import Program, ProgramPopulation
from emulator.stimulus import Stimulus
from mapping.assemble import Rows, row_tables
from mapping.vector_case import Case, Mismatch, Vector

Array = NDArray[Any]

NEURONS_A_PART = 32
"""Populations are cut into parts of so many neurons, so that vectors cross cores."""

_OFF = {
    "lower": -(2**40), "reset_every": 0, "reset_phase": 0, "alias": -1, "refractory": 0,
    "membrane_min": None, "membrane_max": None, "spikes_max": None,
}  # fmt: skip


class Building:
    """Collects the columns and rows of a program."""

    def __init__(self, case: Case, chip: Chip) -> None:
        self._case, self._chip = case, chip
        self._first = dict(zip(case.populations, _starts(case.populations, case), strict=True))
        self._n = sum(case.size(name) for name in case.populations)
        self._channel = dict(zip(case.inputs, _starts(case.inputs, case), strict=True))
        self._columns: dict[str, list[Array]] = {}
        self._rows: list[Rows] = []
        self._groups: list[int] = [0]
        self._weights_differ: Mismatch | None = None

    def add(self, name: str, *, reset: str = "zero", **columns: Any) -> None:
        """Add a population's constants; a single value holds for all neurons."""
        n = self._case.size(name)
        whole = {"bias": 0, "initial_current": 0, "initial_membrane": 0} | columns
        whole["reset"] = RESETS.index(reset)
        for column, value in whole.items():
            array = np.asarray(value)
            if column == "alias":
                array = np.where(array >= 0, array + self._first[name], -1)
            wide = (*array.shape[:-1], n) if array.ndim else (n,)
            self._columns.setdefault(column, []).append(np.broadcast_to(array, wide))

    def expect_weights(self, number: int, got: Array, given: Mapping[str, Any]) -> None:
        """Compare with the effective weights of the file, if it has them."""
        if "weights_effective" not in given or self._weights_differ is not None:
            return
        expected = np.asarray(given["weights_effective"])
        if "mask" in given:
            expected = np.where(np.asarray(given["mask"]) != 0, expected, 0)
        wrong = np.argwhere(got != expected)
        if wrong.size:
            post, pre = wrong[0]
            self._weights_differ = Mismatch(
                0, f"projection {number}", int(post), f"weight from {pre}",
                int(expected[post, pre]), int(got[post, pre]),
            )  # fmt: skip

    def connect(
        self,
        number: int,
        weight: Array,
        *,
        exponent: int = 0,
        payload: str = "repeat",
        group: int = 0,
    ) -> None:
        """Add a projection's rows, apart for each delay and each part of its target.

        The exponent is what is left for the sum of a tick.
        """
        given = self._case.projections[number]
        source, target = str(given["src"]), str(given["dst"])
        delays = np.asarray(given.get("delays", given.get("delay", 0)), np.int64)
        delays = np.broadcast_to(delays, weight.shape)
        first = self._first[target]
        numbers = (
            self._first[source] if source in self._first else self._n + self._channel[source]
        ) + np.arange(weight.shape[1])
        for delay in np.unique(delays[weight != 0]):
            # Sums that lose bits when they are shifted are kept apart.
            at = group
            if exponent < 0:
                self._groups.append(exponent)
                at = len(self._groups) - 1
            chosen = np.where(delays == delay, weight, 0)
            for core, (start, stop) in enumerate(self._parts):
                low, high = max(start, first), min(stop, first + weight.shape[0])
                if low < high:
                    part = chosen[low - first : high - first].T
                    pre, post = np.nonzero(part)
                    present, size = np.unique(pre, return_counts=True)
                    self._rows.append(
                        Rows(
                            source=numbers[present], size=size, weight=part[pre, post],
                            target=post + low - start, core=core, dense=False, shift=max(exponent, 0),
                            delay=int(delay), exponent=number, group=at,
                            payload=PAYLOADS.index(payload),
                        )
                    )  # fmt: skip

    @property
    def _parts(self) -> list[tuple[int, int]]:
        """Neurons of each core; one core where spikes are added one by one."""
        if self._chip.n_cores == 1:
            return [(0, self._n)]
        size = max(NEURONS_A_PART, -(-self._n // self._chip.n_cores))
        return [(k, min(k + size, self._n)) for k in range(0, self._n, size)]

    def vector(self) -> Vector:
        """Put everything together."""
        case = self._case
        columns = {
            name: np.concatenate([np.atleast_1d(p) for p in parts], axis=-1)
            for name, parts in self._columns.items()
        }
        for name, off in _OFF.items():
            # Rules that no neuron uses are left out.
            if name in columns and np.all(columns[name] == off):
                del columns[name]
        if "lower" in columns:
            columns["lower_to"] = np.zeros(self._n, np.int64)
        if "reset_every" in columns and "reset_phase" not in columns:
            columns["reset_phase"] = np.zeros(self._n, np.int64)
        if columns["keep_current"].ndim > columns["initial_current"].ndim:
            columns["initial_current"] = np.zeros_like(columns["keep_current"])
        starts = [start for start, _ in self._parts] + [self._n]
        sizes = [case.size(name) for name in case.populations]
        n_sources = self._n + sum(case.size(name) for name in case.inputs)
        program = Program(
            chip=self._chip.name,
            dt_s=1e-3,
            populations=tuple(
                ProgramPopulation(
                    name=name, shape=(case.size(name),), spiking=True, output=True, lag=0, scale=1.0
                )
                for name in case.populations
            ),
            inputs=tuple((name, case.size(name)) for name in case.inputs),
            core=np.arange(len(starts) - 1),
            core_start=np.array(starts),
            population=np.repeat(np.arange(len(sizes)), sizes),
            index=np.concatenate([np.arange(size) for size in sizes]),
            compartments=np.ones(self._n, np.int64),
            sum_shift=np.repeat(np.array(self._groups)[:, None], self._n, axis=1),
            **columns,
            **row_tables(self._rows, n_sources),
        )
        return Vector(
            name=case.path.stem, chip=self._chip, program=program, stimulus=self._stimulus(),
            n_steps=case.n_steps, expected=case.expected, weights_differ=self._weights_differ,
        )  # fmt: skip

    def _stimulus(self) -> Stimulus:
        counts = np.concatenate(
            [np.zeros((self._case.n_steps, 0), np.int64), *self._case.inputs.values()], axis=1
        ).astype(np.int64)
        tick, channel = np.nonzero(counts)
        return Stimulus(spike_tick=tick, spike_channel=channel, spike_payload=counts[tick, channel])


def _starts(names: Mapping[str, Any], case: Case) -> list[int]:
    return [0, *np.cumsum([case.size(name) for name in names]).tolist()][: len(names)]
