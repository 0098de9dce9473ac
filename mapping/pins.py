"""Populations that are told on which cores to lie.

``hidden=0-3`` cuts ``hidden`` into four equal consecutive parts, for cores 0 to 3 in that order.
Only populations that are pinned to a core share it; all others find room on the rest. A pinned
core may hold too much: that is a limit broken by the pin, and told as such.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from emulator.chip import Chip
from mapping.errors import NetworkError
from mapping.mapping import Slice
from mapping.outline import Outline

_RANGE = re.compile(r"\s*(\d{1,9})\s*(?:-\s*(\d{1,9})\s*)?")
_MOST = 2**16


class PinError(NetworkError):
    """Pins that contradict themselves, the network or the chip; the text lists every problem."""


@dataclass(frozen=True, kw_only=True)
class Pin:
    """A population and the cores of its parts.

    Attributes
    ----------
    population : str
    cores : tuple of int
        The chip's numbers of the cores of its equal consecutive parts, in that order.
    """

    population: str
    cores: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.population}={','.join(map(str, self.cores))}"


def read_pin(text: str) -> Pin:
    """Read ``POPULATION=CORES``; cores as in ``5``, ``0-3`` or ``1,4,7-9``.

    Raises
    ------
    PinError
        If the text says no such thing, or a core twice.
    """
    name, sign, listing = text.rpartition("=")
    if not sign or not name.strip():
        raise PinError(f"pin {text!r}: write POPULATION=CORES, as in hidden=0-3 or out=1,4,7")
    cores: list[int] = []
    for part in listing.split(","):
        match = _RANGE.fullmatch(part)
        if match is None:
            raise PinError(
                f"pin {text!r}: {part.strip()!r} is no core; write numbers and ranges, as in 1,4-9"
            )
        first, last = int(match[1]), int(match[2] or match[1])
        if last < first:
            raise PinError(f"pin {text!r}: {part.strip()}: the first core is after the last")
        if last - first >= _MOST:
            raise PinError(f"pin {text!r}: {part.strip()}: more than {_MOST:,} cores")
        cores += range(first, last + 1)
    twice = sorted({core for core in cores if cores.count(core) > 1}) if len(cores) < 999 else []
    if twice or len(set(cores)) < len(cores):
        raise PinError(f"pin {text!r}: names core {twice[0] if twice else 'numbers'} twice")
    return Pin(population=name.strip(), cores=tuple(cores))


def check_pins(pins: Sequence[Pin], outline: Outline, chip: Chip) -> None:
    """Refuse pins that no mapping can follow.

    Raises
    ------
    PinError
        With every problem: a population that is not there or is pinned twice, cores that the chip
        does not have or may not use, more cores than neurons.
    """
    check_pins_in(pins, {p.name: p.size for p in outline.populations}, chip)


def check_pins_in(pins: Sequence[Pin], sizes: Mapping[str, int], chip: Chip) -> None:
    """Do the same, knowing of the network no more than the size of each population."""
    usable, names = set(chip.usable.tolist()), [pin.population for pin in pins]
    problems = [
        f"population {name!r} is pinned {names.count(name)} times; name all its cores in one pin"
        for name in dict.fromkeys(names)
        if names.count(name) > 1
    ]
    for pin in pins:
        if pin.population not in sizes:
            known = ", ".join(sizes)
            problems.append(f"pin {pin}: there is no population {pin.population!r}; it has {known}")
        elif len(pin.cores) > sizes[pin.population]:
            problems.append(
                f"pin {pin}: {len(pin.cores)} cores for {sizes[pin.population]} neurons; name at "
                f"most as many"
            )
        outside = [core for core in pin.cores if core >= chip.n_cores]
        if outside:
            problems.append(
                f"pin {pin}: core {outside[0]}, but {chip.name} has cores 0 to {chip.n_cores - 1:,}"
            )
        dead = [core for core in pin.cores if core < chip.n_cores and core not in usable]
        if dead:
            problems.append(f"pin {pin}: core {dead[0]} of {chip.name} is dead or reserved")
    if problems:
        raise PinError("\n".join(problems))


def pinned_cores(pins: Iterable[Pin]) -> tuple[int, ...]:
    """List the chip's cores that something is pinned to, ascending.

    The first parts that `mapping.partition.partition` returns lie on these, in this order.
    """
    return tuple(sorted({core for pin in pins for core in pin.cores}))


def pinned_slices(pins: Sequence[Pin], outline: Outline) -> list[list[Slice]]:
    """Cut pinned populations; one list for each of `pinned_cores`, in the network's order."""
    at = {core: number for number, core in enumerate(pinned_cores(pins))}
    held: list[list[Slice]] = [[] for _ in at]
    by_name = {pin.population: pin for pin in pins}
    for name in outline.order:
        if name not in by_name:
            continue
        pin = by_name[name]
        whole = np.arange(outline.population(name).size)
        for core, neurons in zip(pin.cores, np.array_split(whole, len(pin.cores)), strict=True):
            held[at[core]].append(Slice(population=name, neurons=neurons))
    return held
