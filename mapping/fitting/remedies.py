"""The changes that are tried, each kind in steps from small to large."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from math import ceil, floor, log10, prod

from mapping.fitting.changes import (
    n_synapses,
    narrowed,
    narrowed_shape,
    pruned,
    side_by_side,
    with_weight_bits,
)
from mapping.fitting.judging import Judgement, named_populations
from mapping.fitting.patient import Edit, State, Step, Steps
from mapping.outline import Outline
from mapping.pins import Pin
from mapping.relays import relays_for, with_relays

DRAWN_MOST = 4_000_000
"""Synapses that may be left where pruning is tried; more take too long to draw and to list."""
MOST_CHIPS = 1024
"""Chips in a row, as the chip file allows."""
APART_MOST = 20_000_000
"""Synapses of the largest network whose projections are pruned one by one, too."""
RELAYED_MOST = 100_000
"""Neurons of the largest network for which relays are tried: it is mapped some ten times for them."""
NAMED_MOST = 3
"""Populations, and projections, that are tried one by one, those first that need most."""


def kinds(state: State, found: Judgement) -> Iterator[Steps]:
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
    yield from _relays(state, found)
    yield from _more_chips(state, found)
    yield from _fewer_bits(state)
    yield from _narrower(found)
    yield from _pruning(found)


def _relays(state: State, found: Judgement) -> Iterator[Steps]:
    """Let relays repeat the spikes of neurons that reach too many cores."""
    chip, outline = state.chip, found.outline
    assert outline is not None
    far = any(told.limit == "out_axons_per_core" for told in found.problems)
    # Currents of the host could not be held back for what trails.
    if not far or state.options.direct or chip.core != "lists" or not chip.runs:
        return
    if (
        "zero" not in chip.arithmetic.resets
        or sum(p.size for p in outline.populations) > RELAYED_MOST
    ):
        return
    compartments = int(chip.arithmetic.resets["zero"])

    def added(outline: Outline) -> Outline:
        groups = relays_for(outline, chip, compartments, state.patient.pins)
        return with_relays(outline, groups, compartments)

    step = Step(
        "let relays repeat spikes to more cores, a tick later (--relays)", 0.5, {"kind": "relays"},
        # Which relays are needed depends on all of the chip.
        lambda state: _with_edit(state, Edit(f"relays on {chip.model_dump_json()}", added)),
    )  # fmt: skip
    yield Steps(kind="relays", n=1, at=lambda _: step)


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
