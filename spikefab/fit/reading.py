"""Read a network so that it can be judged on many chips, without its weights where they matter not."""

import json
from collections.abc import Callable, Hashable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Generic, TypeVar

from emulator.chip import Chip
from emulator.chip_file import load_chip
from mapping.errors import UnsupportedNodeError
from mapping.fitting.patient import Options
from mapping.fixed import FixedNetwork
from mapping.linear import Dense, constant
from mapping.network import Network, weights_of
from mapping.netx_import import import_netx
from mapping.nir_import import import_nir
from mapping.outline import Outline
from mapping.quantise import quantise
from mapping.weight_rules import unlike_loihi
from spikefab.converting import Choices, converted, is_rate_network
from spikefab.importing import (
    input_sizes,
    refuse_for_netx,
    refuse_for_nir,
    refuse_for_rates,
)

EXACT_MOST = 20_000_000
"""Weights of the largest network that is rounded to a chip's formats only to be counted."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Subject:
    """A network that was read, as `mapping.fitting.doctor.Patient` needs it.

    Attributes
    ----------
    network : function of Options
        Its shapes; weights of large matrices may be left out.
    outline : function of Chip and Options
    whole : function returning Network or None
        The network with all its weights; None if there are too many to simulate it.
    counted : str
        ``weights`` or ``shapes``: what the counts come from.
    note : str
        The same in a sentence.
    """

    network: Callable[[Options], Network]
    outline: Callable[[Chip, Options], Outline]
    whole: Callable[[], Network | None]
    counted: str
    note: str


def read_subject(path: Path, conventions: dict[str, Any]) -> Subject:
    """Read a NIR file, a .net file of lava-dl, or a network of rates.

    Parameters
    ----------
    conventions : dict
        ``dt_s``, ``reset``, ``spike``, ``compare``, ``input_shape``; what the file does not say.

    Raises
    ------
    BadInputError
        If a convention means nothing for this kind of file; and whatever the importer raises.
    """
    if path.suffix == ".net":
        return _read_netx(path, conventions)
    return (_read_rates if is_rate_network(path) else _read_nir)(path, conventions)


def _read_nir(path: Path, conventions: dict[str, Any]) -> Subject:
    refuse_for_nir(conventions)
    given = {key: value for key, value in conventions.items() if key != "input_shape"}

    def read(options: Options, *, matrices: bool) -> Network:
        asked = given | {
            key: value
            for key, value in (("dt_s", options.dt_s), ("reset", options.reset))
            if value is not None
        }
        return import_nir(path, **asked, matrices=matrices)

    return _subject(read)


def _read_rates(path: Path, conventions: dict[str, Any]) -> Subject:
    refuse_for_rates(conventions)
    # Without data: how rates are scaled changes no shape.
    made = converted(path, None, Choices(), dt_s=conventions.get("dt_s")).network

    def read(options: Options, *, matrices: bool) -> Network:
        populations = made.populations
        if options.reset is not None:
            populations = tuple(
                replace(p, reset=options.reset) if p.spiking else p  # type: ignore[arg-type]
                for p in populations
            )
        return replace(made, dt_s=options.dt_s or made.dt_s, populations=populations)

    return _subject(read)


def _subject(read: Callable[..., Network]) -> Subject:
    """A network in float; ``read(options, matrices=)`` reads it, large matrices where asked."""
    shapes = read(Options(), matrices=False)
    n = sum(weights_of(p.linear).size for p in shapes.projections)
    suffice = _shapes_suffice(shapes)
    exact = n <= EXACT_MOST and not suffice
    networks: _Kept[Options, Network] = _Kept(
        lambda options: read(options, matrices=exact), by=lambda options: options
    )

    def network(options: Options) -> Network:
        return networks.get(replace(options, direct=False))

    def outline(chip: Chip, options: Options) -> Outline:
        found = network(options)
        direct = frozenset(part.name for part in found.inputs if options.direct)
        if not exact or not chip.runs or chip.core != "lists":
            return Outline.before_rounding(found, chip, direct=direct)
        return _without_matrices(Outline.of(quantise(found, chip, direct=direct)))

    outlines: _Kept[tuple[Chip, Options], Outline] = _Kept(
        lambda key: outline(key[0], key[1]), by=_rounding
    )
    note = (
        "counted from the weights as each chip rounds them"
        if exact
        else "counted from shapes, which is exact here: full matrices keep their zeros"
        if suffice
        else f"counted from shapes; the {n:,} weights were not read, and those that become 0 would "
        f"take less"
    )
    return Subject(
        network=network, outline=lambda chip, options: outlines.get((chip, options)),
        whole=lambda: read(Options(), matrices=True) if n <= EXACT_MOST else None,
        counted="weights" if exact else "shapes", note=note,
    )  # fmt: skip


def _read_netx(path: Path, conventions: dict[str, Any]) -> Subject:
    refuse_for_netx(conventions)
    shape = input_sizes(conventions.get("input_shape"))

    def read(key: tuple[Chip, Options]) -> FixedNetwork:
        chip, options = key
        wrong = unlike_loihi(chip)
        if "zero" not in chip.arithmetic.resets:
            wrong.append("it has no reset to zero")
        if wrong or options.reset not in (None, "zero"):
            why = "; ".join(wrong) or f"there is no reset {options.reset}"
            raise UnsupportedNodeError(
                f"the file's integers are those of Loihi with a reset to zero, but of {chip.name} "
                f"{why}; use loihi, loihi-lava, loihi-nengo or loihi-brian2"
            )
        dt_s = options.dt_s or conventions.get("dt_s")
        return import_netx(
            path, chip, dt_s=dt_s, compare=conventions.get("compare"), input_shape=shape
        )

    def outline(key: tuple[Chip, Options]) -> Outline:
        chip, options = key
        if not chip.runs or chip.core != "lists":  # whatever its numbers are
            network = networks.get(replace(options, direct=False))
            direct = frozenset(part.name for part in network.inputs if options.direct)
            return Outline.before_rounding(network, chip, direct=direct)
        fixed = read((chip, replace(options, direct=False)))
        direct = frozenset(part.name for part in fixed.network.inputs if options.direct)
        loaded = tuple(p for p in fixed.projections if p.source not in direct)
        return _without_matrices(Outline.of(replace(fixed, direct=direct, projections=loaded)))

    loihi = load_chip("loihi")
    networks: _Kept[Options, Network] = _Kept(
        lambda options: read((loihi, options)).network, by=lambda options: options
    )
    outlines: _Kept[tuple[Chip, Options], Outline] = _Kept(outline, by=_rounding)
    first = networks.get(Options())
    n = sum(weights_of(p.linear).size for p in first.projections)
    return Subject(
        network=lambda options: networks.get(replace(options, direct=False, reset=None)),
        outline=lambda chip, options: outlines.get((chip, options)),
        whole=lambda: first if n <= EXACT_MOST else None,
        counted="weights", note="counted from the integers of the file",
    )  # fmt: skip


def _shapes_suffice(network: Network) -> bool:
    """Whether weights change no count: zeros of full matrices keep their places.

    Two projections from one source may get one weight format and share axons, which only their
    weights tell.
    """
    sources = [p.source for p in network.projections]
    dense = all(isinstance(p.linear, Dense) for p in network.projections)
    return dense and len(set(sources)) == len(sources)


def _without_matrices(outline: Outline) -> Outline:
    """Let go of full matrices, of which only the shape counts."""
    return replace(
        outline,
        projections=tuple(
            replace(p, linear=replace(p.linear, weight=constant(1.0, p.linear.weight.shape)))
            if isinstance(p.linear, Dense) and p.linear.weight.size > 1
            else p
            for p in outline.projections
        ),
    )


def _rounding(key: tuple[Chip, Options]) -> Hashable:
    """What of a chip decides what is loaded, before it is known where."""
    chip, options = key
    tables = (chip.numbers, chip.arithmetic, chip.formats)
    rules = [t and t.model_dump(mode="json") for t in tables]
    return chip.name, json.dumps(rules), options


K = TypeVar("K")
V = TypeVar("V")


class _Kept(Generic[K, V]):
    """Remember results; errors are raised anew each time."""

    def __init__(self, make: Callable[[K], V], by: Callable[[K], Hashable]) -> None:
        self._make, self._by = make, by
        self._known: dict[Hashable, V] = {}

    def get(self, key: K) -> V:
        known = self._by(key)
        if known not in self._known:
            self._known[known] = self._make(key)
        return self._known[known]
