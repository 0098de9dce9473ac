"""The smallest changes that make a network fit a chip, each found by mapping it again.

Changes of one kind come in steps, from small to large; the smallest that fits is found by
bisection, so that a kind costs about ten mappings. What is returned has been mapped and fits.

Fixes are ranked by `Fix.size`, the share of something that the change takes away or adds:

- bits given up, of the bits of a weight; synapses pruned, of all synapses; neurons left out, of all
  neurons;
- neurons of a population that is no longer pinned, of all;
- 1 - old / new of a longer tick or of more chips;
- a half for relays, after which the network computes the same, but later, and for a reset of
  another kind, or input that enters as currents in place of spikes, or the
  other way round: the network computes something else, but loses nothing;
- 1 for another chip. Of equal sizes the one in this order comes first.

Two changes together are looked for only if no single one is enough on this chip; their sizes add
up.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, get_args

from emulator.chip import Chip
from mapping.errors import UnsupportedNodeError
from mapping.fitting.judging import Judgement, judge
from mapping.fitting.patient import IMPOSSIBLE, Budget, ExhaustedError, Patient, State, Step, Steps
from mapping.fitting.remedies import kinds
from mapping.network import Reset
from mapping.quantise import lacking_rules
from mapping.violations import Violation

PAIRS_MOST = 3
"""Fixes of two changes that are told."""


@dataclass(frozen=True, kw_only=True)
class Fix:
    """A change with which the network fits, verified by mapping it again.

    Attributes
    ----------
    kind : str
        ``unpin``, ``relays``, ``bits``, ``prune``, ``narrow``, ``tick``, ``reset``, ``input``, ``chips``, ``chip``; two
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


@dataclass(frozen=True, kw_only=True)
class Search:
    """What looking for changes came to.

    Attributes
    ----------
    fixes : tuple of Fix
        The smallest change first.
    complete : bool
        Whether all changes were tried; False if so much had been mapped that the search ended, so
        that there may be others, and smaller ones.
    """

    fixes: tuple[Fix, ...]
    complete: bool


def search(patient: Patient, found: Judgement, others: Sequence[Chip] = ()) -> Search:
    """Find what makes a network fit that does not.

    Parameters
    ----------
    others : sequence of Chip
        Other chips to try.
    """
    state = State(patient=patient, options=patient.options, chip=found.chip)
    here = [fix for steps in kinds(state, found) if (fix := _smallest(state, steps))]
    budgets = [state.budget]
    told = [*(here or _pairs(state, found)), *_elsewhere(patient, found.chip, others, budgets)]
    return Search(
        fixes=tuple(sorted(told, key=lambda fix: fix.size)),
        complete=not any(budget.exhausted for budget in budgets),
    )


def fixes(patient: Patient, found: Judgement, others: Sequence[Chip] = ()) -> tuple[Fix, ...]:
    """Return the changes that `search` finds."""
    return search(patient, found, others).fixes


def _elsewhere(
    patient: Patient, own: Chip, others: Sequence[Chip], budgets: list[Budget]
) -> Iterator[Fix]:
    """Find other chips that it fits; one of those that have the same room."""
    known = set()
    for chip in others:
        packing = chip.packing and chip.packing.model_dump_json(exclude={"source"})
        names = type(chip.limits).model_fields.keys() - {"delay_max"}
        limits = tuple(chip.limit(name) for name in sorted(names))
        room = (chip.core, limits, packing, chip.shared, chip.n_cores)
        if room in known:
            continue
        state = State(patient=patient, options=patient.options, chip=own)  # a budget of its own
        budgets.append(state.budget)
        fix = _on_other(state, chip)
        if fix is not None:
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
        for steps in kinds(changed, judged):
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
    for steps in kinds(state, found):
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


def _on_other(state: State, chip: Chip) -> Fix | None:
    if chip.name == state.chip.name or state.patient.pins:
        return None  # pins name cores of this chip
    step = Step(
        f"take the chip {chip.name}", 1.0, {"kind": "chip", "chip": chip.name},
        lambda state: replace(state, chip=chip),
    )  # fmt: skip
    return _smallest(state, Steps(kind="chip", n=1, at=lambda _: step))
