"""Whether a network fits a chip, and the arithmetic behind it, layer by layer."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from itertools import chain

import numpy as np

from emulator.chip import Chip
from emulator.chip_tables import LARGEST
from mapping.capacity import LIMITS, PLURALS
from mapping.fitting.kinds.counters import count
from mapping.fitting.layer_use import LayerUse
from mapping.mapping import Slice
from mapping.needs import Fan, Need, Needs, core_limit
from mapping.outline import Outline, OutlinePopulation
from mapping.packing import list_words
from mapping.partition import examine, partition
from mapping.pins import Pin, PinError
from mapping.violations import Violation

Cores = tuple[tuple[Slice, ...], ...]

THOROUGH_MOST = 1_000_000
"""Neurons of the largest network whose synapses are counted if its neurons alone are too many."""


@dataclass(frozen=True, kw_only=True)
class Use:
    """What all cores take of one resource.

    Attributes
    ----------
    limit : str
        As the chip file's table ``limits`` calls it.
    total, fullest : int
        On all cores together, and on the core that takes most.
    have : int
        What a core holds.
    core : int
        Number of the fullest core among those in use.
    """

    limit: str
    total: int
    fullest: int
    have: int
    core: int


@dataclass(frozen=True, kw_only=True, eq=False)
class Judgement:
    """Whether a network fits a chip.

    Attributes
    ----------
    chip : Chip
    outline : Outline or None
        None where the chip has no rule for the network's neurons.
    cores : tuple of tuple of Slice
        As far as it came where it does not fit.
    place : tuple of int
        The chip's core of each of ``cores``, pinned ones where they were pinned; empty where there
        are more than the chip has.
    problems : tuple of Violation
        Every violated limit; it fits if there is none.
    layers : tuple of LayerUse
        In the network's order.
    uses : tuple of Use
    n_cores : int
        Cores that were taken, as far as it came.
    memory_bits, memory_bits_there : int
        For what connections are stored in, and what the chip has of it.
    notes : tuple of str
        What was assumed, and what the chip would do differently.
    """

    chip: Chip
    outline: Outline | None
    cores: Cores = ()
    place: tuple[int, ...] = ()
    problems: tuple[Violation, ...] = ()
    layers: tuple[LayerUse, ...] = ()
    uses: tuple[Use, ...] = ()
    n_cores: int = 0
    memory_bits: int = 0
    memory_bits_there: int = 0
    notes: tuple[str, ...] = ()

    @property
    def fits(self) -> bool:
        """Whether no limit is broken."""
        return not self.problems

    @property
    def n_chips(self) -> int:
        """Chips that hold something."""
        per_chip = self.chip.n_cores // self.chip.fabric.n_chips
        return len({core // per_chip for core in self.place}) or -(-self.n_cores // per_chip)


def judge(outline: Outline, chip: Chip, pins: Sequence[Pin] = ()) -> Judgement:
    """Map an outline onto a chip and tell what that takes.

    Raises
    ------
    PinError
        If no mapping can follow the pins, or neurons have no cores to choose on this chip.
    """
    if chip.core != "lists":
        return _counted(outline, chip, pins)
    return _mapped(outline, chip, pins)


def _counted(outline: Outline, chip: Chip, pins: Sequence[Pin]) -> Judgement:
    """Judge a chip that is counted by the rules of its own kind of core."""
    refuse_pins(chip, pins)
    found = count(outline, chip)
    by_name = {layer.population: layer for layer in found.layers}
    return Judgement(
        chip=chip, outline=outline, problems=found.violations, n_cores=found.cores,
        layers=tuple(by_name[name] for name in outline.order),
        memory_bits=found.memory_bits, memory_bits_there=found.memory_bits_there,
        notes=found.notes,
    )  # fmt: skip


def mapped_cores(
    outline: Outline, chip: Chip, pins: Sequence[Pin] = ()
) -> tuple[int, tuple[Violation, ...]]:
    """Map as `judge` does, and tell no more than the cores that it takes and what is broken."""
    if chip.core == "lists":
        cores, problems = partition(outline, chip, pins=pins)
        return len(cores), problems
    refuse_pins(chip, pins)
    found = count(outline, chip)
    return found.cores, found.violations


def refuse_pins(chip: Chip, pins: Sequence[Pin]) -> None:
    """Refuse pins to cores that neurons are not given to one by one.

    Raises
    ------
    PinError
    """
    if pins and chip.core != "lists":
        raise PinError(f"pin {pins[0]}: {chip.name} has {chip.core} cores, which take no pins")


def _mapped(outline: Outline, chip: Chip, pins: Sequence[Pin]) -> Judgement:
    thorough = sum(p.size for p in outline.populations) <= THOROUGH_MOST
    needs, limit = Needs.of(outline, chip), core_limit(chip)
    found = examine(outline, chip, pins=pins, thorough=thorough, needs=needs)
    copies = needs.copies(found.cores, needs.sizes)
    taken = [needs.need(slices, copies) for slices in found.cores]
    held = {p.name: [c for c in found.cores if _neurons(c, p.name)] for p in outline.populations}
    layers = tuple(
        _layer(outline.population(name), held[name], found.closed.get(name), needs, copies, limit)
        for name in outline.order
    )
    free = iter(np.setdiff1d(chip.usable, list(found.pinned.values())).tolist())
    bits = 0 if chip.packing is None else chip.packing.word_bits
    fits = len(found.cores) <= chip.usable.size
    place = [found.pinned.get(k, -1) for k in range(len(found.cores))] if fits else []
    return Judgement(
        chip=chip, outline=outline, cores=found.cores,
        place=tuple(next(free) if core < 0 else core for core in place),
        problems=found.problems, layers=layers, uses=tuple(_uses(taken, limit, chip)),
        n_cores=len(found.cores), memory_bits=sum(need.words for need in taken) * bits,
        memory_bits_there=chip.limit("synapse_words_per_core") * bits * int(chip.usable.size),
    )  # fmt: skip


def _uses(taken: list[Need], limit: Need, chip: Chip) -> list[Use]:
    found = []
    for resource in (f.name for f in fields(Need)):
        if resource not in LIMITS or getattr(limit, resource) == LARGEST:
            continue  # this chip has no such limit
        each = [getattr(need, resource) for need in taken]
        core = int(np.argmax(each)) if each else -1
        use = Use(
            limit=LIMITS[resource], total=sum(each), fullest=max(each, default=0),
            have=getattr(limit, resource), core=core,
        )  # fmt: skip
        found.append(use)
    return found


def _neurons(slices: Sequence[Slice], name: str) -> int:
    return sum(part.neurons.size for part in slices if part.population == name)


def _layer(
    own: OutlinePopulation,
    held: list[tuple[Slice, ...]],
    closed: str | None,
    needs: Needs,
    copies: dict[str, np.ndarray],
    limit: Need,
) -> LayerUse:
    fans = needs.fans[own.name]
    words = sum(
        _words(fan, *_part(slices, own.name), needs.chip) for slices in held for fan in fans
    )
    most = max((_neurons(slices, own.name) for slices in held), default=0)
    packing = needs.chip.packing
    return LayerUse(
        population=own.name, shape=own.shape, neurons=own.size,
        synapses=sum(int(fan.fan_in.sum()) for fan in fans),
        cores=len(held) or -(-own.size * own.compartments // limit.compartments),
        most=most, words=words, bits=0 if packing is None else words * packing.word_bits,
        closed=None if closed is None else LIMITS[closed],
        arithmetic=_arithmetic(own, held, closed, needs, copies, limit),
    )  # fmt: skip


def _part(slices: Sequence[Slice], name: str) -> tuple[np.ndarray, int]:
    """Neurons of a population on a core, and how many lie there in all."""
    own = [part.neurons for part in slices if part.population == name]
    return np.concatenate(own), sum(part.neurons.size for part in slices)


def _words(fan: Fan, part: np.ndarray, width: int, chip: Chip) -> int:
    return int(list_words(fan.lists(part).size, fan.bits(chip, width), chip).sum())


def _arithmetic(
    own: OutlinePopulation,
    held: list[tuple[Slice, ...]],
    closed: str | None,
    needs: Needs,
    copies: dict[str, np.ndarray],
    limit: Need,
) -> str:
    """Tell how the core that holds most of a population is counted, by what closes such cores."""
    if not held:
        return _compartments(own.size, own, limit)
    # Of cores that hold as much, take one that holds nothing else.
    fullest = max(held, key=lambda slices: (_neurons(slices, own.name), -len(slices)))
    part, width = _part(fullest, own.name)
    resource = closed or ("words" if needs.fans[own.name] else "compartments")
    told = {
        "compartments": lambda: _compartments(part.size, own, limit),
        "words": lambda: _memory(own, part, width, needs, limit),
        "in_axons": lambda: _in_axons(own, part, needs, limit),
        "out_axons": lambda: _out_axons(part, copies[own.name], limit),
    }.get(resource, lambda: _plain(resource, fullest, needs, copies, limit))()
    if closed and len(held) > 1:
        more = _one_more(own, held, fullest, closed, needs, copies, limit)
        told += f"{more} → {len(held):,} cores of up to {part.size:,}"
    return told


def _plain(
    resource: str,
    slices: tuple[Slice, ...],
    needs: Needs,
    copies: dict[str, np.ndarray],
    limit: Need,
) -> str:
    used, n = getattr(needs.need(slices, copies), resource), sum(s.neurons.size for s in slices)
    return f"{n:,} neurons take {used:,} of {getattr(limit, resource):,} {PLURALS[resource]}"


def _compartments(n: int, own: OutlinePopulation, limit: Need) -> str:
    taken = n * own.compartments
    each = "" if own.compartments == 1 else f" × {own.compartments}"
    product = f"{n:,} neurons{each}" + (f" = {taken:,}" if each else "")
    return f"{product} of {limit.compartments:,} compartments"


def _memory(own: OutlinePopulation, part: np.ndarray, width: int, needs: Needs, limit: Need) -> str:
    """Write ``784 sources × 20 words per list of 142 targets = 15,680 of 16,384 words``."""
    terms, total = [], 0
    for fan in needs.fans[own.name]:
        held, bits = fan.lists(part), fan.bits(needs.chip, width)
        words = _words(fan, part, width, needs.chip)
        total += words
        if not held.size.size:
            continue
        if fan.dense:
            each = int(list_words(part.size, bits, needs.chip))
            terms.append(
                f"{held.source.size:,} sources × {each:,} words per list of {part.size:,} targets"
            )
        else:
            terms.append(
                f"{held.source.size:,} lists of {int(held.size.sum()):,} synapses of {bits} bits"
            )
    sign = "=" if all(fan.dense for fan in needs.fans[own.name]) else "→"
    return f"{' + '.join(terms) or 'no synapses'} {sign} {total:,} of {limit.words:,} words"


def _in_axons(own: OutlinePopulation, part: np.ndarray, needs: Needs, limit: Need) -> str:
    heard = list(needs.heard([Slice(population=own.name, neurons=part)]))
    listed = " + ".join(f"{source.size:,} from {name!r}" for name, source in heard)
    total = sum(source.size for _, source in heard)
    sum_ = f" = {total:,}" if len(heard) > 1 else ""
    return f"{listed or 'nothing heard'}{sum_} of {limit.in_axons:,} in-axons"


def _out_axons(part: np.ndarray, copies: np.ndarray, limit: Need) -> str:
    each, total = copies[part], int(copies[part].sum())
    if each.size and each.min() == each.max():
        product = f"{part.size:,} neurons × {int(each[0]):,} cores"
    else:
        product = f"{part.size:,} neurons × {total / max(part.size, 1):.1f} cores on average"
    return f"{product} = {total:,} of {limit.out_axons:,} out-axons"


def _one_more(
    own: OutlinePopulation,
    held: list[tuple[Slice, ...]],
    fullest: tuple[Slice, ...],
    closed: str,
    needs: Needs,
    copies: dict[str, np.ndarray],
    limit: Need,
) -> str:
    """Count what the core would take with a neuron of another core, where that is too much."""
    other = next(
        part.neurons[:1]
        for slices in held
        if slices is not fullest
        for part in slices
        if part.population == own.name
    )
    more = (*fullest, Slice(population=own.name, neurons=other))
    grown, _ = _part(more, own.name)
    rest = [part for part in fullest if part.population != own.name]
    need = needs.need([*rest, Slice(population=own.name, neurons=grown)], copies)
    used = getattr(need, closed)
    return f"; one neuron more takes {used:,}" if used > getattr(limit, closed) else ""


def named_populations(problems: Sequence[Violation], outline: Outline) -> list[str]:
    """Populations that violations speak of, each once, in the order in which they come."""
    found = (
        p.name for told in problems for p in outline.populations if _speaks_of(told.where, p.name)
    )
    return list(dict.fromkeys(chain(found)))


def _speaks_of(where: str, name: str) -> bool:
    return repr(name) in where or f"→{name}" in where
