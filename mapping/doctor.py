"""The smallest changes that make a network fit a chip, each found by mapping it again.

Changes of one kind come in steps, from small to large; the smallest that fits is found by
bisection, so that a kind costs about ten mappings. What is returned has been mapped and fits.

Fixes are ranked by `Fix.size`, the share of something that the change takes away or adds:

- bits given up, of the bits of a weight; synapses pruned, of all synapses; neurons left out, of all
  neurons;
- neurons of a population that is no longer pinned, of all;
- 1 - old / new of a longer tick or of more chips;
- a half for a reset of another kind, or input that enters as currents in place of spikes, or the
  other way round: the network computes something else, but loses nothing;
- 1 for another chip. Of equal sizes the one in this order comes first.

Two changes together are looked for only if no single one is enough on this chip; their sizes add
up.
"""

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from math import ceil, floor, log10, prod
from typing import Any, NamedTuple, get_args

from emulator.chip import Chip
from mapping.changes import (
    UnchangeableError,
    n_synapses,
    narrowed,
    narrowed_shape,
    pruned,
    side_by_side,
    with_weight_bits,
)
from mapping.errors import NetworkError, NetxError, NirError, UnsupportedNodeError
from mapping.judging import Judgement, judge, mapped_cores, named_populations
from mapping.linear import Convolution
from mapping.network import Network, Reset
from mapping.outline import Outline
from mapping.pins import Pin
from mapping.quantise import lacking_rules
from mapping.violations import Violation

DRAWN_MOST = 4_000_000
"""Synapses that may be left where pruning is tried; more take too long to draw and to list."""
MOST_CHIPS = 1024
"""Chips in a row, as the chip file allows."""
APART_MOST = 20_000_000
"""Synapses of the largest network whose projections are pruned one by one, too."""
NAMED_MOST = 3
"""Populations, and projections, that are tried one by one, those first that need most."""
EFFORT_MOST, SYNAPSES_A_NEURON = 4_000_000, 100
"""Neurons that are mapped in looking for changes, each as often as it is; then the search ends. So
many synapses of a convolution count as one."""
EDITED_MOST = 8
"""Changed outlines that are kept."""
PAIRS_MOST = 3
"""Fixes of two changes that are told."""


IMPOSSIBLE = (NetworkError, NetxError, NirError, UnsupportedNodeError, UnchangeableError)
"""What a change raises if there can be no such network or chip."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """What the command line can say of a network; None leaves it as the file has it.

    Attributes
    ----------
    dt_s : float or None
    reset : str or None
    direct : bool
        Whether the host turns inputs into currents.
    """

    dt_s: float | None = None
    reset: str | None = None
    direct: bool = False


@dataclass(frozen=True, kw_only=True, eq=False)
class Patient:
    """A network that is to fit a chip.

    Attributes
    ----------
    network : function of Options
        The network with these options.
    outline : function of Chip and Options
        What of it lies on this chip; raises UnsupportedNodeError where the chip lacks a rule.
    options : Options
    pins : tuple of Pin
    tried : dict
        What mappings came to, so that chips that hold the same are not tried twice.
    edited : dict
        The latest networks that were drawn or cut down, for the next chip.
    """

    network: Callable[[Options], Network]
    outline: Callable[[Chip, Options], Outline]
    options: Options = Options()
    pins: tuple[Pin, ...] = ()
    tried: dict[Hashable, "Tried"] = field(default_factory=dict)
    edited: dict[Hashable, "Edited"] = field(default_factory=dict)


class Tried(NamedTuple):
    """What one mapping came to.

    Attributes
    ----------
    cores : int or None
        None if it does not fit.
    outline : Outline
        Of the network before it was edited; kept, as the key holds the identity of its parts.
    """

    cores: int | None
    outline: Outline


@dataclass(frozen=True, kw_only=True)
class Fix:
    """A change with which the network fits, verified by mapping it again.

    Attributes
    ----------
    kind : str
        ``unpin``, ``bits``, ``prune``, ``narrow``, ``tick``, ``reset``, ``input``, ``chips``, ``chip``; two
        of them joined by ``+``.
    change : str
        For people.
    size : float
        See the head of this file.
    apply : dict
        The same for programs; docs/fit.md has its keys.
    cores : int
        Cores that the changed network takes.
    """

    kind: str
    change: str
    size: float
    apply: dict[str, Any]
    cores: int


@dataclass(frozen=True, kw_only=True, eq=False)
class State:
    """A network, options and chip, with what has been changed of them."""

    patient: Patient
    options: Options
    chip: Chip
    edits: tuple["Edit", ...] = ()
    budget: "Budget" = field(default_factory=lambda: Budget(EFFORT_MOST))

    def outline(self) -> Outline:
        """Outline the changed network."""
        base = outline = self.patient.outline(self.chip, self.options)
        if not self.edits:
            return base
        key, edited = (
            (_identity(base), tuple(edit.name for edit in self.edits)),
            self.patient.edited,
        )
        if key not in edited:
            for edit in self.edits:
                outline = edit.on(outline)
            while len(edited) >= EDITED_MOST:
                del edited[next(iter(edited))]
            edited[key] = Edited(outline, base)
        return edited[key].outline

    def cores(self) -> int | None:
        """Map it, or remember how that went; None if it does not fit."""
        base, tried = self.patient.outline(self.chip, self.options), self.patient.tried
        key = (
            _holding(base, self.chip), self.patient.pins, tuple(edit.name for edit in self.edits)
        )  # fmt: skip
        if key not in tried:
            self.budget.spend(_effort(base))
            cores, problems = mapped_cores(self.outline(), self.chip, self.patient.pins)
            tried[key] = Tried(None if problems else cores, base)
        return tried[key].cores


class ExhaustedError(Exception):
    """So much has been mapped that the search ends."""


class Budget:
    """How much may still be mapped."""

    def __init__(self, effort: int) -> None:
        self._left = effort

    def spend(self, effort: int) -> None:
        """Take what a mapping needs, as `_effort` estimates it.

        Raises
        ------
        ExhaustedError
            If so much is not left.
        """
        if effort > self._left:
            raise ExhaustedError
        self._left -= effort


def _effort(outline: Outline) -> int:
    """Estimate the work of mapping: neurons, and synapses of convolutions, which are counted."""
    convolutions = (p.linear for p in outline.projections if isinstance(p.linear, Convolution))
    counted = sum(linear.n_synapses for linear in convolutions)
    return sum(p.size for p in outline.populations) + counted // SYNAPSES_A_NEURON


class Edited(NamedTuple):
    """A changed outline, and the one that it was; kept, as the key holds the identity of parts."""

    outline: Outline
    base: Outline


class Edit(NamedTuple):
    """A change of an outline, with a name that tells it from all others."""

    name: str
    on: Callable[[Outline], Outline]


def _holding(outline: Outline, chip: Chip) -> Hashable:
    """All that decides whether a chip holds an outline, and which outline that is."""
    longest = max((p.delay for p in outline.projections), default=0)
    limits = {name: chip.limit(name) for name in type(chip.limits).model_fields}
    limits["delay_max"] = min(limits["delay_max"], longest)
    return (
        chip.core, tuple(limits.items()), chip.packing, chip.layers, chip.processors, chip.shared,
        chip.weight_bits, chip.formats,
        tuple(chip.usable.tolist()),
        _identity(outline),
    )  # fmt: skip


def _identity(outline: Outline) -> Hashable:
    """Tell outlines apart by what they are made of, whose identity holds while they live."""
    return (
        tuple((p.name, p.compartments) for p in outline.populations),
        tuple((id(p.linear), p.delay, p.format) for p in outline.projections),
    )


class Step(NamedTuple):
    """One step of a change: what it does to a state, and how large it is."""

    change: str
    size: float
    apply: dict[str, Any]
    on: Callable[[State], State]


@dataclass(frozen=True, kw_only=True)
class Steps:
    """Changes of one kind, from small to large.

    Attributes
    ----------
    n : int
        How many there are.
    at : function of int
        The k-th, from 0.
    smallest_first : bool
        Whether the smallest is likely to be enough.
    enough : function of int, optional
        The step that should be enough, from the cores that were taken with more than enough.
    """

    kind: str
    n: int
    at: Callable[[int], Step]
    smallest_first: bool = False
    enough: Callable[[int], int] | None = None


def examine_patient(patient: Patient, chip: Chip) -> Judgement:
    """Judge a network on a chip.

    A rule that the chip lacks is a broken limit as all others. What the network takes is then
    counted as if it had one of the chip's resets.

    Raises
    ------
    PinError
        If no mapping can follow the pins.
    """
    lacking = tuple(lacking_rules(patient.network(patient.options), chip))
    options = [patient.options]
    if lacking:
        options = [replace(patient.options, reset=reset) for reset in get_args(Reset)]
    for instead in options:
        try:
            found = judge(patient.outline(chip, instead), chip, patient.pins)
        except UnsupportedNodeError as error:
            text = str(error)
            continue
        return replace(found, problems=(*lacking, *found.problems))
    told = Violation(limit="arithmetic", where=chip.name, need=1, have=0, text=text)
    return Judgement(chip=chip, outline=None, problems=lacking or (told,))


def fixes(patient: Patient, found: Judgement, others: Sequence[Chip] = ()) -> tuple[Fix, ...]:
    """Find what makes a network fit that does not, the smallest change first.

    Parameters
    ----------
    others : sequence of Chip
        Other chips to try.
    """
    state = State(patient=patient, options=patient.options, chip=found.chip)
    here = [fix for steps in _kinds(state, found) if (fix := _smallest(state, steps))]
    return tuple(
        sorted(
            [*(here or _pairs(state, found)), *_elsewhere(patient, found.chip, others)],
            key=lambda fix: fix.size,
        )
    )


def _elsewhere(patient: Patient, own: Chip, others: Sequence[Chip]) -> Iterator[Fix]:
    """Find other chips that it fits; one of those that have the same room."""
    known = set()
    for chip in others:
        packing = chip.packing and chip.packing.model_dump_json(exclude={"source"})
        names = type(chip.limits).model_fields.keys() - {"delay_max"}
        limits = tuple(chip.limit(name) for name in sorted(names))
        room = (chip.core, limits, packing, chip.shared, chip.n_cores)
        if room not in known and (fix := _on_other(patient, chip, own)):
            known.add(room)
            yield fix


def _pairs(state: State, found: Judgement) -> list[Fix]:
    """Find what two changes of different kinds do together."""
    pairs: list[Fix] = []
    for first in _first_of_two(state, found):
        changed = first.on(state)
        judged = _judged(changed)
        if judged is None:
            continue
        known = {pair.kind for pair in pairs}
        kind = first.apply["kind"]
        for steps in _kinds(changed, judged):
            if steps.kind == kind or f"{steps.kind}+{kind}" in known:
                continue
            second = _smallest(changed, steps)
            if second is not None:
                pairs.append(
                    replace(
                        second, kind=f"{kind}+{second.kind}",
                        change=f"{first.change}, and {second.change}",
                        size=first.size + second.size,
                        apply={"kind": f"{kind}+{second.kind}", "both": [first.apply, second.apply]},
                    )
                )  # fmt: skip
    return sorted(pairs, key=lambda fix: fix.size)[:PAIRS_MOST]


def _first_of_two(state: State, found: Judgement) -> Iterator[Step]:
    """Changes that are worth beginning with: all that come in one step, and half the bits."""
    for steps in _kinds(state, found):
        if steps.kind == "bits":
            yield steps.at(steps.n // 2)
        elif steps.kind in ("tick", "reset", "input"):
            yield steps.at(steps.n - 1)


def _judged(state: State) -> Judgement | None:
    """Judge a changed state; None where there is no such network."""
    try:
        return judge(state.outline(), state.chip, state.patient.pins)
    except IMPOSSIBLE:
        return None


def _smallest(state: State, steps: Steps) -> Fix | None:
    """Find the smallest step that fits, by bisection; None if the largest does not."""
    fitting: dict[int, int] = {}

    def fits(k: int) -> bool:
        try:
            cores = steps.at(k).on(state).cores()
        except (*IMPOSSIBLE, ExhaustedError):
            return False
        if cores is not None:
            fitting[k] = cores
        return cores is not None

    low, high = -1, steps.n - 1
    if steps.smallest_first and high > 0 and fits(0):
        high = 0
    elif high < 0 or not fits(high):
        return None
    if steps.enough is not None and high > 0:
        guess = steps.enough(fitting[high])
        if low < guess < high and fits(guess):
            high, low = guess, guess - 1 if not fits(guess - 1) else low
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if fits(middle) else (middle, high)
    step = steps.at(high)
    return Fix(
        kind=steps.kind, change=step.change, size=step.size, apply=step.apply, cores=fitting[high]
    )


def _on_other(patient: Patient, chip: Chip, own: Chip) -> Fix | None:
    if chip.name == own.name or patient.pins:
        return None  # pins name cores of this chip
    step = Step(
        f"take the chip {chip.name}", 1.0, {"kind": "chip", "chip": chip.name},
        lambda state: replace(state, chip=chip),
    )  # fmt: skip
    state = State(patient=patient, options=patient.options, chip=own)
    return _smallest(state, Steps(kind="chip", n=1, at=lambda _: step))


def _kinds(state: State, found: Judgement) -> Iterator[Steps]:
    """List the changes that are tried, in the order in which equal ones are ranked."""
    yield from _unpinned(state, found)
    yield from _longer_tick(state, found)
    yield from _other_input(state)
    yield from _other_reset(state)
    if found.outline is None:
        return
    broken = {told.limit for told in found.problems}
    if broken <= {"delay_max"}:
        return  # neither smaller nor larger cores help
    yield from _more_chips(state, found)
    yield from _fewer_bits(state)
    yield from _narrower(found)
    yield from _pruning(found)


def _unpinned(state: State, found: Judgement) -> Iterator[Steps]:
    """Let go of pins: one by one, or of all."""
    if found.outline is None:
        return
    sizes, pins = {p.name: p.size for p in found.outline.populations}, state.patient.pins
    for dropped in [*((pin,) for pin in pins), *([pins] if len(pins) > 1 else [])]:
        yield _unpinning(dropped, sizes)


def _unpinning(dropped: tuple[Pin, ...], sizes: dict[str, int]) -> Steps:
    names = [pin.population for pin in dropped]

    def on(state: State) -> State:
        left = tuple(pin for pin in state.patient.pins if pin not in dropped)
        return replace(state, patient=replace(state.patient, pins=left))

    step = Step(
        f"let {' and '.join(map(repr, names))} lie where there is room (no --pin)",
        sum(sizes[name] for name in names) / sum(sizes.values()),
        {"kind": "unpin", "populations": names}, on,
    )  # fmt: skip
    return Steps(kind="unpin", n=1, at=lambda _: step)


def _fewer_bits(state: State) -> Iterator[Steps]:
    bits, rules = state.chip.weight_bits, state.chip.arithmetic if state.chip.runs else None
    if bits < 2 or (rules is not None and "weights" in rules.float_variables):
        return

    def at(k: int) -> Step:
        left = bits - 1 - k
        return Step(
            f"hold weights in {left} bits in place of {bits}", (bits - left) / bits,
            {"kind": "bits", "weight_bits": left},
            lambda state: replace(state, chip=with_weight_bits(state.chip, left)),
        )  # fmt: skip

    yield Steps(kind="bits", n=bits - 1, at=at)


def _other_reset(state: State) -> Iterator[Steps]:
    network = state.patient.network(state.options)
    own = {p.reset for p in network.populations if p.spiking}
    for reset in ("subtract-once", "subtract", "zero"):
        if own and own != {reset}:
            yield _reset_to(reset)


def _reset_to(reset: str) -> Steps:
    step = Step(
        f"reset neurons by the rule {reset} (--reset {reset})", 0.5,
        {"kind": "reset", "reset": reset},
        lambda state: replace(state, options=replace(state.options, reset=reset)),
    )  # fmt: skip
    return Steps(kind="reset", n=1, at=lambda _: step)


def _other_input(state: State) -> Iterator[Steps]:
    """Let the host compute the first layer, or let the chip do it."""
    direct = not state.options.direct
    what = "let the host turn inputs into currents" if direct else "let inputs enter as spikes"
    encoding = "direct" if direct else "spikes"
    step = Step(
        f"{what} (--encoding {encoding})", 0.5, {"kind": "input", "encoding": encoding},
        lambda state: replace(state, options=replace(state.options, direct=direct)),
    )  # fmt: skip
    yield Steps(kind="input", n=1, at=lambda _: step)


def _longer_tick(state: State, found: Judgement) -> Iterator[Steps]:
    """Find the shortest tick, to three digits, in which the longest delay is short enough."""
    if not any(told.limit == "delay_max" for told in found.problems):
        return
    network = state.patient.network(state.options)
    longest, most = max(p.delay_s for p in network.projections), found.chip.limits.delay_max.value
    # A way back needs no tick of delay for its first one. Ticks are tried in three digits.
    least, enough = longest / (most + 1.5), longest / (most + 0.5)
    unit = 10.0 ** (floor(log10(least)) - 2)
    first = ceil(least / unit)

    def at(k: int) -> Step:
        dt = float(f"{(first + k) * unit:.6g}")
        return Step(
            f"take a tick of {dt:g} s in place of {network.dt_s:g} (--dt {dt:g})",
            max(1 - network.dt_s / dt, 0.0), {"kind": "tick", "dt_s": dt},
            lambda state: replace(state, options=replace(state.options, dt_s=dt)),
        )  # fmt: skip

    yield Steps(kind="tick", n=ceil(enough / unit) + 1 - first + 1, at=at)


def _pruning(found: Judgement) -> Iterator[Steps]:
    outline = found.outline
    assert outline is not None
    count = {p.name: n_synapses(p) for p in outline.projections}
    total = sum(count.values())
    concerned = named_populations(found.problems, outline)
    by_need = sorted(
        outline.projections,
        key=lambda p: (p.target not in concerned and p.source not in concerned, -count[p.name]),
    )
    names = dict.fromkeys(p.name for p in by_need)
    yield from _pruning_of(None, total, total)
    apart = len(names) > 1 and total <= APART_MOST
    for name in islice(names, NAMED_MOST if apart else 0):
        yield from _pruning_of(name, count[name], total)


def _pruning_of(name: str | None, own: int, total: int) -> Iterator[Steps]:
    """Shares in whole per cent, those left out that leave too many synapses to draw."""
    least = max(100 - 100 * DRAWN_MOST // max(own, 1), 1)
    if not 1 <= least <= 99 or own < 2:
        return

    def at(k: int) -> Step:
        share = (least + k) / 100
        of = "all synapses" if name is None else f"the synapses of {name}"
        bound = " (less was not tried)" if k == 0 and least > 1 else ""
        return Step(
            f"prune {least + k} % of {of}{bound}", share * own / total,
            {"kind": "prune", "projection": name, "share": share, "seed": 0},
            lambda state: _with_edit(
                state,
                Edit(
                    f"prune {share} of {name}",
                    lambda o: pruned(o, share, names=None if name is None else {name}),
                ),
            ),
        )  # fmt: skip

    yield Steps(kind="prune", n=100 - least, at=at)


def _with_edit(state: State, edit: Edit) -> State:
    return replace(state, edits=(*state.edits, edit))


def _narrower(found: Judgement) -> Iterator[Steps]:
    """Narrow hidden populations, one by one and all together; outputs keep their classes."""
    outline = found.outline
    assert outline is not None
    cores = {layer.population: layer.cores for layer in found.layers}
    concerned = named_populations(found.problems, outline)
    feeding = [p.source for p in outline.projections if p.target in concerned]
    ordered = [outline.population(name) for name in outline.order]
    hidden = [p for p in ordered if p.name not in outline.outputs and p.shape[0] > 1]
    by_need = sorted(
        hidden,
        key=lambda p: (p.name not in feeding, p.name not in concerned, -cores.get(p.name, p.size)),
    )
    total = sum(p.size for p in outline.populations)
    for part in by_need[:NAMED_MOST]:
        yield _narrowing(outline, part.name, total)
    if len(hidden) > 1:
        yield _narrowing_of_all(outline, [p.name for p in hidden], total)


def _narrowing(outline: Outline, name: str, total: int) -> Steps:
    shape = outline.population(name).shape
    what = "neurons" if len(shape) == 1 else "channels"

    def at(k: int) -> Step:
        n = shape[0] - 1 - k
        lost = prod(shape) - prod(narrowed_shape(shape, n))
        return Step(
            f"narrow {name!r} from {shape[0]:,} to {n:,} {what}", lost / total,
            {"kind": "narrow", "widths": {name: n}},
            lambda state: _with_edit(
                state, Edit(f"narrow {name} to {n}", lambda o: narrowed(o, {name: n}))
            ),
        )  # fmt: skip

    return Steps(kind="narrow", n=shape[0] - 1, at=at)


def _narrowing_of_all(outline: Outline, names: list[str], total: int) -> Steps:
    shapes = {name: outline.population(name).shape for name in names}

    def at(k: int) -> Step:
        left = 99 - k
        widths = {name: max(shape[0] * left // 100, 1) for name, shape in shapes.items()}
        kept = sum(prod(narrowed_shape(shapes[name], n)) for name, n in widths.items())
        lost = sum(prod(shape) for shape in shapes.values()) - kept
        listing = ", ".join(f"{name!r} to {n:,}" for name, n in islice(widths.items(), 4))
        return Step(
            f"narrow all hidden populations to {left} % ({listing}{', …' if len(names) > 4 else ''})",
            lost / total, {"kind": "narrow", "widths": widths},
            lambda state: _with_edit(state, Edit(f"narrow {widths}", lambda o: narrowed(o, widths))),
        )  # fmt: skip

    return Steps(kind="narrow", n=99, at=at)


def _more_chips(state: State, found: Judgement) -> Iterator[Steps]:
    """Chips side by side, from as many as the cores that were needed at least."""
    need = max((told.need for told in found.problems if told.limit == "cores"), default=0)
    own, dead = state.chip.fabric.n_chips, state.chip.n_cores - int(state.chip.usable.size)
    per_chip = state.chip.n_cores // own
    first = max(_chips_for(need + dead, per_chip), own + 1)
    if not need or state.chip.faults.on_ways or first > MOST_CHIPS:
        return

    def at(k: int) -> Step:
        n = first + k
        return Step(
            f"put {n:,} of these chips side by side (fabric.chips_x = {n})", 1 - own / n,
            {"kind": "chips", "chips_x": n, "chips_y": 1},
            lambda state: replace(state, chip=side_by_side(state.chip, n)),
        )  # fmt: skip

    yield Steps(
        kind="chips", n=MOST_CHIPS - first + 1, at=at, smallest_first=True,
        enough=lambda cores: _chips_for(cores + dead, per_chip) - first,
    )  # fmt: skip


def _chips_for(cores: int, per_chip: int) -> int:
    return -(-cores // per_chip)
