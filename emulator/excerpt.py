"""Some neurons of a program alone, with the spikes of all others at their boundary.

Whatever reaches the part from outside, neurons and inputs, becomes an input channel. An input spike
acts after the chip's ``input_latency``, a neuron's one tick later, so spikes of neurons enter
``1 - input_latency`` ticks after they were fired. Where the order in which spikes arrive is
function (`Excerpt.led`), the part's own spikes come from outside too: then all arrive in the order of
the whole, and what its neurons do is compared with what they were told that they had done.
"""

from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from emulator.chip import Chip
from emulator.errors import ExcerptError
from emulator.program import COLUMNS, Program, ProgramPopulation
from emulator.stimulus import Stimulus
from emulator.width import heaviest_load, largest_burst

Array = NDArray[Any]

BOUNDARY = "boundary"
"""Name of the one input of an excerpt."""
_EXACT_BITS = 53
"""Of a sum in float64."""
_PAYLOAD_BITS = 12
"""Of these, left for payloads of inputs."""


class Fired(NamedTuple):
    """Spikes of the whole, by ascending tick; int64 [n_spikes] each."""

    tick: Array
    neuron: Array
    payload: Array


@dataclass(frozen=True, kw_only=True, eq=False)
class Excerpt:
    """A part of a program, ready to run.

    Attributes
    ----------
    program : Program
        Of these neurons, on the places of their cores.
    chip : Chip
        The chip without its limit on payloads of inputs, since neurons have none.
    neurons : int64 [n]
        Number in the whole of each neuron, ascending.
    identity : int64 [n]
        For `emulator.engine.Engine`.
    sources : int64 [n_channels]
        What each channel stands for, as the whole numbers its sources.
    led : str
        Why the part's own spikes come from outside, too; empty where they do not.
    """

    program: Program
    chip: Chip
    neurons: Array
    identity: Array
    sources: Array
    led: str
    _whole: Program = field(repr=False)
    _whole_chip: Chip = field(repr=False)

    def stimulus(self, given: Stimulus, fired: Fired, n_ticks: int) -> Stimulus:
        """Turn a sample of the whole into the part's input.

        Parameters
        ----------
        given : Stimulus
            Input of the whole.
        fired : Fired
            What the neurons of the whole did; those that do not reach the part may be left out.
        n_ticks : int
            Length of the sample: what would act later is left out.
        """
        tick, source, payload = self._arrivals(given, fired)
        whole = self._whole
        channel_of = np.full(whole.source_row.size - 1, -1, np.int64)
        channel_of[self.sources] = np.arange(self.sources.size)
        mine = np.flatnonzero((channel_of[source] >= 0) & (tick < n_ticks))
        number_of = np.full(whole.n_neurons, -1, np.int64)
        number_of[self.neurons] = np.arange(self.neurons.size)
        pushed = np.flatnonzero(number_of[given.current_neuron] >= 0)
        return Stimulus(
            spike_tick=tick[mine],
            spike_channel=channel_of[source[mine]],
            spike_payload=payload[mine],
            current_tick=given.current_tick[pushed],
            current_neuron=number_of[given.current_neuron[pushed]],
            current_value=given.current_value[pushed],
        )

    def _arrivals(self, given: Stimulus, fired: Fired) -> tuple[Array, Array, Array]:
        """Tick, source and payload of all spikes, in the order in which the whole delivers them."""
        rules, most = self._whole_chip.arithmetic, self._whole_chip.numbers.input_payload_max
        taken = np.minimum(given.spike_payload, most) if most else given.spike_payload
        each = rules.accumulate == "each"
        order = given.spike_channel if np.any(self._whole.channel_core >= 0) else None
        inputs = np.zeros(taken.size, np.int64) if order is None else order
        ranks = _identity(self._whole)[fired.neuron] if each else fired.neuron
        # Neurons of the tick before come ahead of inputs that act at once, unless one by one.
        neurons_first = rules.input_latency == 0 and not each
        late = np.repeat([neurons_first, not neurons_first], [taken.size, ranks.size])
        columns = (
            np.append(given.spike_tick, fired.tick + 1 - rules.input_latency),
            np.append(given.spike_channel + self._whole.n_neurons, fired.neuron),
            np.append(taken, fired.payload),
        )
        arranged = np.lexsort((np.append(inputs, ranks), late, columns[0]))
        tick, source, payload = (column[arranged] for column in columns)
        return tick, source, payload


def excerpt(program: Program, chip: Chip, neurons: Array) -> Excerpt:
    """Cut some neurons out of a program.

    Parameters
    ----------
    neurons : int array
        As the program numbers them; whole cores cost no copy of their synapses.

    Raises
    ------
    ExcerptError
        If there are none, or what they do depends on more than the spikes that reach them.
    """
    kept = np.zeros(program.n_neurons, np.bool_)
    kept[np.asarray(neurons, np.int64)] = True
    if not kept.any():
        raise ExcerptError("the part holds no neurons; name a core or population that has some")
    _refuse_cut_alias(program, kept)
    _refuse_float_sums(program)
    rows = _rows(program, kept)
    source = program.row_source[rows.row]
    led = _led(program, chip, kept, rows.row, source)
    mine = np.flatnonzero(kept)
    sources = np.unique(source if led else source[~_inside(source, kept)])
    return Excerpt(
        program=_program(program, kept, rows, source, sources),
        chip=chip.model_copy(
            update={"numbers": chip.numbers.model_copy(update={"input_payload_max": 0})}
        ),
        neurons=mine, identity=_identity(program)[mine], sources=sources, led=led,
        _whole=program, _whole_chip=chip,
    )  # fmt: skip


class _Rows(NamedTuple):
    """Rows of the whole that reach the part, and where they lie in the part."""

    row: Array
    weight_at: Array
    target_at: Array
    size: Array
    dense: Array
    weight: Array
    target: Array


def _identity(program: Program) -> Array:
    starts = np.cumsum([0, *(p.size for p in program.populations)])
    return np.asarray(starts[program.population] + program.index, np.int64)


def _inside(source: Array, kept: Array) -> Array:
    """Whether each source is a neuron of the part."""
    inside = source < kept.size
    inside[inside] = kept[source[inside]]
    return np.asarray(inside)


def _refuse_cut_alias(program: Program, kept: Array) -> None:
    if not program.alias.size:
        return
    from_outside = np.flatnonzero((program.alias >= 0) & ~kept & kept[program.alias])
    if from_outside.size:
        giver, taker = (
            _named(program, n) for n in (from_outside[0], program.alias[from_outside[0]])
        )
        raise ExcerptError(
            f"{taker} is handed the spikes of {giver} within the same tick, so they cannot come "
            "from a recording; take both, or their whole core"
        )


def _named(program: Program, neuron: int) -> str:
    part = program.populations[program.population[neuron]].name
    return f"{part!r} neuron {program.index[neuron]}"


def _refuse_float_sums(program: Program) -> None:
    """Refuse weights whose sums depend on the order in which they are added."""
    weight = program.weight
    if weight.dtype.kind != "f" or not weight.size:
        return
    # Every weight is a whole number of the smallest unit; so are sums, while 53 bits hold them.
    mantissa, exponent = np.frexp(weight[weight != 0])
    whole = np.abs(mantissa * 2.0**_EXACT_BITS).astype(np.int64)
    zeros = np.log2((whole & -whole).astype(np.float64)).astype(np.int64)
    unit = int((exponent + zeros).min(initial=1024)) - _EXACT_BITS
    most = heaviest_load(program) * largest_burst(program)
    if np.log2(max(most, 1.0)) - unit > _EXACT_BITS - _PAYLOAD_BITS:
        raise ExcerptError(
            "its weights are float, and the last bit of their sums depends on the order in which "
            "all spikes of the chip are delivered; only the whole run can be made again exactly"
        )


def _led(program: Program, chip: Chip, kept: Array, row: Array, source: Array) -> str:
    """Why the order of own spikes and those from outside matters; empty where it does not."""
    rules, inside = chip.arithmetic, _inside(source, kept)
    outside = ~inside & (source < program.n_neurons)
    if not inside.any() or not outside.any():
        return ""
    if rules.accumulate == "each" and rules.current_overflow != "none":
        rank = _identity(program)
        if rank[source[inside]].min() < rank[source[outside]].max():
            return "currents are limited at every single spike, so the order of spikes is function"
    if program.row_axon.size:
        axon = program.row_axon[row]
        if np.intersect1d(axon[inside], axon[outside]).size:
            return "neurons inside and outside share binary axons, where the first spike counts"
    return ""


def _rows(program: Program, kept: Array) -> _Rows:
    """Find the rows that reach the part; none of their synapses is copied if it is whole cores."""
    held = np.add.reduceat(np.append(kept, False), program.core_start[:-1], dtype=np.int64)
    size = np.diff(program.core_start)
    held[size == 0] = 0
    row = np.flatnonzero(held[program.row_core] > 0)
    whole = bool(np.all((held == 0) | (held == size)))
    rows = _whole_rows(program, row, kept) if whole else _cut_rows(program, row, kept)
    return _with_rivals(program, rows) if program.row_axon.size else rows


def _with_rivals(program: Program, rows: _Rows) -> _Rows:
    """Add rows that reach none of the part but share its binary axons: a spike on them counts."""
    shared = np.isin(program.row_axon, program.row_axon[rows.row])
    shared[rows.row] = False
    row = np.append(rows.row, np.flatnonzero(shared))
    order, n_more = np.argsort(row), row.size - rows.row.size

    def more(column: Array) -> Array:
        return np.append(column, np.zeros(n_more, column.dtype))[order]

    return rows._replace(
        row=row[order], weight_at=more(rows.weight_at), target_at=more(rows.target_at),
        size=more(rows.size), dense=more(rows.dense),
    )  # fmt: skip


def _renumbered(kept: Array) -> Array:
    return np.cumsum(kept) - 1


def _whole_rows(program: Program, row: Array, kept: Array) -> _Rows:
    target_at, dense = program.row_target[row], program.row_dense[row]
    moved = np.zeros(row.size, np.int64)
    moved[dense] = _renumbered(kept)[program.core_start[program.row_core[row[dense]]]]
    moved[dense] -= program.core_start[program.row_core[row[dense]]]
    listed = ~dense & (program.row_size[row] > 0)
    return _Rows(
        row=row, weight_at=program.row_weight[row], target_at=target_at + moved,
        size=program.row_size[row], dense=dense, weight=program.weight,
        target=program.target if listed.any() else program.target[:0],
    )  # fmt: skip


def _cut_rows(program: Program, row: Array, kept: Array) -> _Rows:
    """List the synapses onto the part one by one."""
    size = program.row_size[row].astype(np.int64)
    owner = np.repeat(np.arange(row.size), size)
    step = np.arange(owner.size) - np.repeat(np.cumsum(size) - size, size)
    at, core = program.row_target[row][owner] + step, program.row_core[row][owner]
    target, listed = at.copy(), ~program.row_dense[row][owner]
    target[listed] = program.core_start[core[listed]] + program.target[at[listed]]
    mine = np.flatnonzero(kept[target])
    counted = np.bincount(owner[mine], minlength=row.size)
    left = np.flatnonzero(counted)
    begins = np.cumsum(counted[left]) - counted[left]
    number = _renumbered(kept)
    # First of the part's neurons on each core.
    first = np.append(0, np.cumsum(kept))[program.core_start[core[mine]]]
    return _Rows(
        row=row[left], weight_at=begins, target_at=begins, size=counted[left],
        dense=np.zeros(left.size, np.bool_),
        weight=program.weight[program.row_weight[row][owner[mine]] + step[mine]],
        target=number[target[mine]] - first,
    )  # fmt: skip


_OF_ROWS = ("row_packet", "row_shift", "row_delay", "row_group", "row_payload", "row_kind")
_OF_NEURONS = tuple(
    name for name in COLUMNS
    if not name.startswith("row_") and name not in (
        "core", "core_start", "source_row", "weight", "target", "channel_core", "alias",
        "population", "index",
    )
)  # fmt: skip


def _program(program: Program, kept: Array, rows: _Rows, source: Array, sources: Array) -> Program:
    """Put the part together."""
    mine, number = np.flatnonzero(kept), _renumbered(kept)
    held = np.append(0, np.cumsum(kept))[program.core_start]
    core = np.flatnonzero(np.diff(held))
    core_of = np.full(program.n_cores, -1, np.int64)
    core_of[core] = np.arange(core.size)
    # Own neurons are sources as before, unless they are led; channels come after them.
    source_of = np.full(program.source_row.size - 1, -1, np.int64)
    source_of[mine] = np.arange(mine.size)
    source_of[sources] = mine.size + np.arange(sources.size)
    new_source = source_of[source]
    order = np.argsort(new_source, kind="stable")
    row = rows.row[order]
    populations, population, index = _populations(program, mine)
    axon = program.row_axon[row] if program.row_axon.size else program.row_axon
    given = {name: getattr(program, name) for name in _OF_NEURONS}
    return replace(
        program,
        populations=populations,
        inputs=((BOUNDARY, int(sources.size)),) if sources.size else (),
        core=program.core[core],
        core_start=np.append(held[core], mine.size),
        population=population,
        index=index,
        **{name: column[..., mine] for name, column in given.items() if column.size},
        alias=_alias(program, mine, number, kept),
        source_row=np.searchsorted(
            new_source[order], np.arange(mine.size + sources.size + 1), "left"
        ),
        row_weight=rows.weight_at[order],
        row_target=rows.target_at[order],
        row_size=rows.size[order],
        row_core=np.maximum(core_of[program.row_core[row]], 0),
        row_dense=rows.dense[order],
        **{name: getattr(program, name)[row] for name in _OF_ROWS},
        row_axon=np.unique(axon, return_inverse=True)[1],
        weight=rows.weight,
        target=rows.target,
        channel_core=np.empty(0, np.int64),
    )


def _alias(program: Program, mine: Array, number: Array, kept: Array) -> Array:
    if not program.alias.size:
        return program.alias
    alias = program.alias[mine]
    return np.where((alias >= 0) & kept[alias], number[alias], -1)


def _populations(
    program: Program, mine: Array
) -> tuple[tuple[ProgramPopulation, ...], Array, Array]:
    """Populations of the part; those that are cut count their neurons anew, in their order."""
    owner, index = program.population[mine], program.index[mine]
    numbers = np.unique(owner)
    new_index = np.empty(mine.size, np.int64)
    parts = []
    for number in numbers:
        here = np.flatnonzero(owner == number)
        part = program.populations[number]
        whole = here.size == part.size
        new_index[here] = index[here] if whole else np.argsort(np.argsort(index[here]))
        parts.append(part if whole else replace(part, shape=(here.size,)))
    return tuple(parts), np.searchsorted(numbers, owner), new_index
