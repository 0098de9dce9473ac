"""What the microscope found, in sentences."""

from collections.abc import Iterator
from math import sqrt

from mapping.effects.effects import EFFECTS
from spikefab.microscope.explain import Divergence
from spikefab.microscope.look import Look, Parting
from spikefab.microscope.shares import Causes, Share

NAMED = 0.005
"""Effects that explain less than this share of a difference are summed up in a word."""


def share_of(part: int, whole: int) -> str:
    """Write a share so that only nothing is 0 % and only all is 100 %."""
    if not whole or not part:
        return "0 %"
    percent = 100 * part / whole
    if abs(percent) < 0.5:
        return "< 1 %"
    if part != whole and round(percent) == 100:
        return "> 99 %"
    return f"{percent:.0f} %"


def sentence(found: Divergence) -> str:
    """The whole finding in one sentence, for people; empty where nothing differs or is known."""
    parts = []
    if found.causes is not None and found.causes.total and not found.causes.unlike:
        parts += list(_explained(found, found.causes))
    if found.first is not None:
        parts.append(_first(found))
    return "; ".join(parts)


def without(name: str, found: Divergence) -> str:
    """Complete "vanish with ..."."""
    if found.against_float:
        return EFFECTS[name].without
    return f"the {name} of {found.base}"


def _explained(found: Divergence, causes: Causes) -> Iterator[str]:
    """Say what each effect explains, the largest first."""
    ranked = sorted(causes.shares, key=lambda share: -sum(share.vanish.values()))
    named = [s for s in ranked if sum(s.vanish.values()) >= NAMED * causes.total]
    if not named:
        yield (
            f"none of the {causes.total:,} differing spikes vanishes without a single effect alone"
        )
    for k, share in enumerate(named):
        part = share_of(sum(share.vanish.values()), causes.total)
        text = f"{part} of the {causes.total:,} differing spikes vanish" if k == 0 else part
        yield f"{text} with {without(share.name, found)}"
    others = [s for s in ranked if s not in named and sum(s.alone.values()) >= NAMED * causes.total]
    if others:
        each = [f"{s.name} {share_of(sum(s.alone.values()), causes.total)}" for s in others]
        yield f"made by others as well: {', '.join(each)}"
    if causes.unexplained:
        part = share_of(causes.unexplained, causes.total)
        yield f"{part} come from several effects together"


def _first(found: Divergence) -> str:
    first, look = found.first, found.look
    if first is None:
        return ""
    same = look is not None and (look.population, look.neuron, look.sample) == (
        first.population, first.neuron, first.sample,
    )  # fmt: skip
    core = f" on core {look.core}" if same and look is not None and look.core is not None else ""
    where = (
        f"first difference at sample {first.sample}, tick {first.tick}, "
        f"{first.population}[{first.neuron}]{core}"
    )
    causes = found.causes
    blamed = blame(causes) if causes is not None and causes.first == first else None
    if same and look is not None and found.comparison.first is None and look.own_parting:
        own = look.own_parting
        return f"{where}: {own.variable} {own.base:.6g} → {own.full:.6g}, but no spike differs"
    if blamed is None or look is None or not same:
        return where
    return f"{where}: {_constant(blamed, look)}"


def blame(causes: Causes) -> str | None:
    """The effect that the first difference comes from; None where no single one takes it back."""
    for which in (0, 1):
        suspects = [name for name, signs in causes.first_signs.items() if signs[which]]
        if suspects:
            by_name = {share.name: share for share in causes.shares}
            return max(suspects, key=lambda name: sum(by_name[name].vanish.values()))
    return None


_CONSTANTS = {
    "threshold rounding": "threshold",
    "bias rounding": "bias",
    "current decay": "share of the current kept",
    "membrane decay": "share of the membrane kept",
}


def _constant(name: str, look: Look) -> str:
    """Say what an effect changed for this neuron."""
    if name == "weight rounding" and look.heaviest is not None:
        told = look.heaviest
        return f"weights, that of {told.what} {told.base:.4g} → {told.full:.4g}"
    for told in look.constants:
        if told.what == _CONSTANTS.get(name):
            if told.base == told.full:  # the same constant, so it is the rounding of each tick
                return f"{name}, which rounds at every tick"
            return f"{told.what} {told.base:.6g} → {told.full:.6g}"
    return name


def parting(found: Parting, labels: tuple[str, str]) -> str:
    """Say which state parts first."""
    return (
        f"states part at tick {found.tick}: {found.variable} of {found.population}"
        f"[{found.neuron}], {found.base:.9g} in {labels[0]}, {found.full:.9g} in {labels[1]}"
    )


def lines(found: Divergence) -> Iterator[str]:
    """Everything beside tables that there is to say, the sentence last."""
    causes = found.causes
    if found.why_not:
        yield f"the cause is not known: {found.why_not}"
    if causes is not None:
        yield from _about(found, causes)
    text = sentence(found)
    if text:
        yield text


def _about(found: Divergence, causes: Causes) -> Iterator[str]:
    if causes.broken_off:
        yield f"interrupted: what {len(causes.samples)} samples showed until then"
    if not causes.samples:
        return
    if causes.unlike:
        yield (
            f"run again, {found.full} differs from what was recorded in {causes.unlike:,} spikes: "
            f"its rules cannot be mixed here, or another version recorded it; nothing is attributed"
        )
        return
    if causes.noise:
        yield (
            f"run again, {found.base} differs from what was recorded in {causes.noise:,} spikes, by "
            f"rounding of float64"
        )
    if found.n_ticks < found.ticks:
        yield f"the first {found.n_ticks:,} of {found.ticks:,} ticks of each sample were run again"
    if causes.unexplained:
        yield (
            f"{causes.unexplained:,} of {causes.total:,} stay whichever single effect is taken "
            f"back, and none makes them by itself: they come from several together"
        )
    yield from _by_population(found, causes)
    yield from _classes(found, causes)
    yield from _readouts(found, causes)


def _by_population(found: Divergence, causes: Causes) -> Iterator[str]:
    """Name the largest effect in each population, where there are several."""
    parts = {name: count for name, count in causes.differing.items() if count}
    if len(parts) < 2:
        return
    each = []
    for name, count in parts.items():
        top = max(causes.shares, key=lambda share: share.vanish.get(name, 0), default=None)
        gone = 0 if top is None else top.vanish.get(name, 0)
        text = f"{name} {count:,}"
        if top is not None and gone:
            text += f", {share_of(gone, count)} vanish with {without(top.name, found)}"
        each.append(text)
    yield f"by population: {'; '.join(each)}"


def _classes(found: Divergence, causes: Causes) -> Iterator[str]:
    """Say what happens to classes."""
    n = len(causes.samples)
    if causes.classes_differ:
        back = [
            f"{share.classes_back} come back with {without(share.name, found)}"
            for share in causes.shares
            if share.classes_back
        ]
        yield (
            f"class: {causes.classes_differ} of these {n} samples get another one; "
            + (", ".join(back) or "none comes back with a single effect")
        )
    else:
        yield f"class: the same in all of these {n} samples"
    if causes.judged and causes.right_base != causes.right_full:
        each = [
            f"{share.right_without} with {without(share.name, found)}"
            for share in causes.shares
            if share.right_without != causes.right_full
        ]
        yield (
            f"right: {causes.right_base} of {causes.judged} in {found.base}, {causes.right_full} in "
            f"{found.full}" + (f"; {', '.join(each)}" if each else "")
        )


def _readouts(found: Divergence, causes: Causes) -> Iterator[str]:
    """Say what membranes of readouts that never spike deviate by."""
    if not causes.readout:
        return
    rms = sqrt(causes.readout / causes.readout_values)
    best = sorted(causes.shares, key=lambda share: share.readout_without)[:3]
    each = [f"{_rms(s, causes):.3g} with {without(s.name, found)}" for s in best]
    yield f"readout membranes are off by {rms:.3g} rms; {', '.join(each)}"


def _rms(share: Share, causes: Causes) -> float:
    return sqrt(share.readout_without / causes.readout_values)
