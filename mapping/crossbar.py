"""Crossbar cores: what their memories hold, checked and turned into a program.

A spike comes in on an *axon*. Wherever the crossbar connects the axon to a neuron, the neuron adds
the weight that it has for the axon's type. Several spikes that reach an axon for the same tick are
one. Per tick, with ``w`` the weights of the axons that were hit:

    v = v + sum(w) + leak
    v >= threshold: a spike, and the reset    v < lower: the lower reset    (else nothing)

The modes of the reset (``RESET_MODES``) are those of TrueNorth (A. Cassidy et al., IJCNN 2013); RANC
has the first two. Below the lower threshold the same mode holds with the signs changed: to
``-reset_to``, or minus ``lower`` (RANC, ThresholdResetUnit.v); or, where ``saturates``, the
membrane stays at ``lower``.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emulator.chip import Chip
from emulator.chip_file import refuse_to_run
from emulator.neuron import RESETS, STAY, SUBTRACT, TO_ZERO
from emulator.program import Program, ProgramPopulation
from mapping.errors import CapacityError, NetworkError

Array = NDArray[Any]

RESET_MODES = ("absolute", "linear", "none")
"""``absolute``: to ``reset_to``; ``linear``: minus the threshold; ``none``: the membrane stays."""
_RESET_OF_MODE = np.array([TO_ZERO, SUBTRACT, STAY])

NOWHERE = -1


@dataclass(frozen=True, kw_only=True, eq=False)
class CrossbarCore:
    """What one core holds; int64 [n_neurons] where nothing else is said.

    Attributes
    ----------
    connected : bool [n_axons, n_neurons]
    axon_type : int64 [n_axons]
    weight : int64 [n_neurons, n_types]
    leak, threshold, lower, reset_to
        The leak is added, so a negative one pulls down; ``lower`` is signed.
    reset
        Index into `RESET_MODES`.
    saturates : bool [n_neurons]
        Whether the membrane stops at ``lower`` instead of being reset below it.
    initial
        Membrane before the first tick.
    to_core, to_axon, delay
        Destination: place of a core on the chip, or `NOWHERE`; axon there; ticks from the spike
        until it acts, at least 1.
    """

    connected: Array
    axon_type: Array
    weight: Array
    leak: Array
    threshold: Array
    lower: Array
    reset_to: Array
    reset: Array
    to_core: Array
    to_axon: Array
    delay: Array
    saturates: Array = field(default_factory=lambda: np.zeros((), np.bool_))
    initial: Array = field(default_factory=lambda: np.zeros((), np.int64))

    def __post_init__(self) -> None:
        n = np.shape(self.connected)[-1] if np.ndim(self.connected) else 0
        for name in self.__dataclass_fields__:
            value = np.asarray(getattr(self, name))
            dtype = np.bool_ if name in ("connected", "saturates") else np.int64
            array: Array = value.astype(dtype)
            if value.dtype.kind not in "biu" or not np.array_equal(array, value):
                raise NetworkError(f"{name} must be {np.dtype(dtype).name}, but is {value.dtype}")
            if name in ("saturates", "initial") and array.ndim == 0:
                array = np.full(n, array)
            array.setflags(write=False)
            object.__setattr__(self, name, array)

    @property
    def n_axons(self) -> int:
        """Axons, the rows of the crossbar."""
        return int(self.connected.shape[0])

    @property
    def n_neurons(self) -> int:
        """Neurons, its columns."""
        return int(self.connected.shape[1])


@dataclass(frozen=True, kw_only=True, eq=False)
class LoadedCrossbars:
    """Crossbars as a program, and how to read its packets.

    Attributes
    ----------
    program : Program
        Each core is a population ``core K``; every axon can be reached from outside by the input
        channel that `channel` tells.
    output_core, output_axon : int64 [n]
        For each neuron of the program the place of the output core and the axon that its packets
        name; -1 where they stay on the chip.
    """

    program: Program
    output_core: Array
    output_axon: Array
    first_channel: Mapping[int, int]

    def channel(self, core: int, axon: int) -> int:
        """Input channel of an axon of the core at a place."""
        return self.first_channel[core] + axon


def load_crossbars(
    cores: Mapping[int, CrossbarCore],
    chip: Chip,
    *,
    outputs: Collection[int] = (),
    dt_s: float = 1e-3,
) -> LoadedCrossbars:
    """Check crossbars and lay them out.

    Parameters
    ----------
    cores : mapping of place to CrossbarCore
    outputs : collection of int
        Places where packets leave the chip, one each however many name the same axon. They have
        routers, so that hops count, but hold nothing.

    Raises
    ------
    NetworkError
        If the description contradicts itself.
    CapacityError
        With everything that the chip cannot hold.
    """
    refuse_to_run(chip)
    if chip.core != "crossbar":
        raise CapacityError(chip.name, (f"its cores are {chip.core}, not crossbars",))
    problems = [
        *(p for place, core in sorted(cores.items()) for p in _contradictions(place, core)),
        *_wrong_places(cores, outputs),
    ]
    if problems:
        raise NetworkError("the crossbars contradict themselves:\n  - " + "\n  - ".join(problems))
    problems = [*_lost(cores, outputs), *_too_much(cores, outputs, chip)]
    if problems:
        raise CapacityError(chip.name, tuple(problems))
    return _laid_out(cores, sorted(outputs), chip, dt_s)


def _contradictions(place: int, core: CrossbarCore) -> Iterator[str]:
    if core.connected.ndim != 2 or core.weight.ndim != 2:
        yield f"core {place}: connected must be [axons, neurons] and weight [neurons, types]"
        return
    n_axons, n = core.connected.shape
    for name in core.__dataclass_fields__:
        array = getattr(core, name)
        want = {"connected": (n_axons, n), "axon_type": (n_axons,)}.get(name, (n,))
        if name == "weight":
            want = (n, core.weight.shape[1])
        if array.shape != want:
            yield f"core {place}: {name} is {array.shape}, but the crossbar needs {want}"
    n_types = core.weight.shape[1]
    for name, top, what in (
        ("axon_type", n_types - 1, f"there are {n_types} weights a neuron"),
        ("reset", len(RESET_MODES) - 1, f"the modes are {', '.join(RESET_MODES)}"),
    ):
        values = getattr(core, name)
        bad = np.flatnonzero((values < 0) | (values > top))
        if bad.size:
            where = "axon" if name == "axon_type" else "neuron"
            yield f"core {place}: {name} {values[bad[0]]} of {where} {bad[0]}, but {what}"


def _wrong_places(cores: Mapping[int, CrossbarCore], outputs: Collection[int]) -> Iterator[str]:
    for place in sorted(set(outputs) & cores.keys()):
        yield f"core {place} is an output and a crossbar; it can be one of them"


def _lost(cores: Mapping[int, CrossbarCore], outputs: Collection[int]) -> Iterator[str]:
    """Find destinations that are not there."""
    for place, core in sorted(cores.items()):
        sends = core.to_core != NOWHERE
        known = np.isin(core.to_core, [*cores, *outputs])
        for neuron in np.flatnonzero(sends & ~known)[:1]:
            n_lost = int(np.count_nonzero(sends & ~known))
            yield (
                f"core {place}: {n_lost} neurons send to cores that are not there, neuron {neuron} "
                f"to core {core.to_core[neuron]}"
            )
        axons = np.array([cores[t].n_axons if t in cores else 2**31 for t in core.to_core.tolist()])
        for neuron in np.flatnonzero(sends & ((core.to_axon < 0) | (core.to_axon >= axons)))[:1]:
            yield (
                f"core {place}: neuron {neuron} sends to axon {core.to_axon[neuron]} of core "
                f"{core.to_core[neuron]}, which has {axons[neuron]}"
            )


def _too_much(
    cores: Mapping[int, CrossbarCore], outputs: Collection[int], chip: Chip
) -> Iterator[str]:
    """Find what a chip's crossbars are too small for."""
    for place in sorted({*cores, *outputs}):
        if not 0 <= place < chip.n_cores:
            yield f"core {place}: outside the {chip.n_cores} cores of the chip"
    numbers = chip.numbers
    potential = 2 ** (numbers.membrane_bits - 1)
    ranges = {
        "weight": 2 ** (numbers.weight_bits - 1),
        "leak": 2**numbers.bias_bits,
        "threshold": 2**numbers.threshold_bits,
        "lower": 2**numbers.threshold_bits,
        "reset_to": potential,
        "initial": potential,
    }
    resets = [RESETS.index(name) for name in chip.arithmetic.resets]
    for place, core in sorted(cores.items()):
        for size, name, what in (
            (core.n_axons, "in_axons_per_core", "axons"),
            (core.n_neurons, "neurons_per_core", "neurons"),
            (core.weight.shape[1], "axon_types", "axon types"),
        ):
            if size > chip.limit(name):
                yield f"core {place}: {size} {what}, but a core holds {chip.limit(name)}"
        for name, edge in ranges.items():
            values = getattr(core, name)
            n_bad = int(np.count_nonzero((values < -edge) | (values >= edge)))
            if n_bad:
                yield (
                    f"core {place}: {n_bad} of {values.size} values of {name} are outside "
                    f"{-edge}..{edge - 1} ({values.min()}..{values.max()})"
                )
        longest = chip.limits.delay_max.value
        late = (core.to_core != NOWHERE) & ((core.delay < 1) | (core.delay > longest))
        if late.any():
            yield (
                f"core {place}: {np.count_nonzero(late)} delays are outside 1..{longest} ticks "
                f"({core.delay[late].min()}..{core.delay[late].max()})"
            )
        missing = np.unique(core.reset[~np.isin(_RESET_OF_MODE[core.reset], resets)])
        if missing.size:
            names = ", ".join(RESET_MODES[mode] for mode in missing)
            yield f"core {place}: reset {names}, but the chip has no rule for it"


def _laid_out(
    cores: Mapping[int, CrossbarCore], outputs: list[int], chip: Chip, dt_s: float
) -> LoadedCrossbars:
    places = sorted({*cores, *outputs})
    held = [cores[place] for place in places if place in cores]
    number = {place: k for k, place in enumerate(places)}
    sizes = [cores[place].n_neurons if place in cores else 0 for place in places]

    def joined(name: str) -> Array:
        return np.concatenate([np.empty(0, np.int64), *(getattr(core, name) for core in held)])

    n = sum(sizes)
    to_core, to_axon, lower = joined("to_core"), joined("to_axon"), joined("lower")
    reset = _RESET_OF_MODE[joined("reset")]
    saturates = joined("saturates") != 0
    leaves = np.isin(to_core, outputs)
    first_axon = _starts([core.n_axons for core in held])
    channels = dict(zip(sorted(cores), first_axon.tolist(), strict=False))
    program = Program(
        chip=chip.name,
        dt_s=dt_s,
        populations=tuple(
            ProgramPopulation(
                name=f"core {place}", shape=(cores[place].n_neurons,), spiking=True,
                output=bool(np.isin(cores[place].to_core, outputs).any()), lag=0, scale=1.0,
            )
            for place in sorted(cores)
        ),
        inputs=(("axons", int(first_axon[-1])),),
        core=np.array(places, np.int64),
        core_start=_starts(sizes),
        population=np.repeat(np.arange(len(held)), [core.n_neurons for core in held]),
        index=np.concatenate([np.empty(0, np.int64), *(np.arange(c.n_neurons) for c in held)]),
        compartments=np.ones(n),
        keep_current=np.zeros(n),
        keep_membrane=np.full(n, 2**chip.numbers.decay_bits),
        bias=joined("leak"),
        threshold=joined("threshold"),
        initial_current=np.zeros(n),
        initial_membrane=joined("initial"),
        sum_shift=np.zeros(n),
        reset=reset,
        reset_to=joined("reset_to"),
        lower=lower,
        lower_to=np.where(saturates, lower, -joined("reset_to")),
        lower_reset=np.where(saturates, TO_ZERO, reset),
        **_rows(cores, number, channels, to_core, to_axon, joined("delay"), leaves),
    )  # fmt: skip
    return LoadedCrossbars(
        program=program,
        output_core=np.where(leaves, to_core, NOWHERE),
        output_axon=np.where(leaves, to_axon, NOWHERE),
        first_channel=channels,
    )


def _starts(sizes: list[int]) -> Array:
    return np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)


def _rows(
    cores: Mapping[int, CrossbarCore],
    number: Mapping[int, int],
    first_axon: Mapping[int, int],
    to_core: Array,
    to_axon: Array,
    delay: Array,
    leaves: Array,
) -> dict[str, Array]:
    """One row for each neuron that sends and one for each axon from outside.

    All rows that end on an axon share its synapses.
    """
    weight, target, fan_out, axon_core = [], [], [], []
    for place, core in sorted(cores.items()):
        axon, neuron = np.nonzero(core.connected)
        weight.append(core.weight[neuron, core.axon_type[axon]])
        target.append(neuron)
        fan_out.append(core.connected.sum(axis=1))
        axon_core.append(np.full(core.n_axons, number[place]))
    size = np.concatenate([np.empty(0, np.int64), *fan_out])
    first = np.cumsum(size) - size
    sends = np.flatnonzero(to_core != NOWHERE)
    out = leaves[sends]
    starts = np.array([first_axon.get(place, 0) for place in to_core[sends].tolist()], np.int64)
    axon = np.where(out, 0, starts + to_axon[sends])
    # What leaves the chip meets nothing: an axon of its own for each neuron keeps it from merging.
    own = size.size + np.arange(out.size)
    target_core = np.array([number[place] for place in to_core[sends].tolist()], np.int64)
    n_axons = size.size
    row_size = np.concatenate([np.where(out, 0, _taken(size, axon)), size])
    row_first = np.concatenate([np.where(out, 0, _taken(first, axon)), first])
    _, row_axon = np.unique(
        np.concatenate([np.where(out, own, axon), np.arange(n_axons)]), return_inverse=True
    )
    per_source = np.concatenate([to_core != NOWHERE, np.ones(n_axons, np.bool_)])
    n_rows = row_size.size
    return {
        "source_row": _starts(per_source.astype(np.int64).tolist()),
        "row_weight": row_first,
        "row_target": row_first,
        "row_size": row_size,
        "row_core": np.concatenate([target_core, *axon_core]),
        "row_dense": np.zeros(n_rows, np.bool_),
        "row_packet": np.ones(n_rows, np.bool_),
        "row_shift": np.zeros(n_rows),
        "row_delay": np.concatenate([delay[sends] - 1, np.zeros(n_axons, np.int64)]),
        "row_axon": row_axon,
        "weight": np.concatenate([np.empty(0, np.int64), *weight]),
        "target": np.concatenate([np.empty(0, np.int64), *target]),
    }


def _taken(values: Array, at: Array) -> Array:
    """``values[at]``, also where there are none."""
    return values[at] if values.size else np.zeros(at.size, np.int64)
