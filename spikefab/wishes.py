"""What a run records, as it is asked for on the command line.

A wish is one text, ``--record`` is given as often as there are wishes::

    spikes output                              spikes of some populations or neurons alone
    spikes none                                no spikes
    v,u hidden[0:64] every 10 ticks 100:200    membranes and currents, in a window of each sample
    v output around spike hidden 5:10          5 ticks before a spike to 10 after it
    v hidden around overflow membrane 0:3      around a value that left its register
    u hidden around late 2:2                   around ticks that last longer than a real one
    packets                                    every packet, with its times
    activity                                   when spikes were sent, and how long cores were busy

Without a wish for spikes all are recorded.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from emulator.neuron import VARIABLES
from emulator.probes import Probe, Probing, Trigger
from emulator.program import Program

Array = NDArray[Any]

_PART = re.compile(r"(?P<name>[^\s\[\],]+)(?:\[(?P<start>\d*)(?P<colon>:?)(?P<stop>\d*)\])?")
_SPAN = re.compile(r"(\d+):(\d*)")
WISHES = "spikes, v, u, packets, activity"


class WishError(ValueError):
    """Wishes that cannot be met; the text lists all problems, and what is there."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Wish:
    """A variable of some neurons of one population.

    ``neurons`` int64 [n] count within the population; ``probe`` has their machine numbers.
    """

    population: str
    neurons: Array
    probe: Probe


@dataclass(frozen=True, kw_only=True, eq=False)
class Wishes:
    """What a run records.

    Attributes
    ----------
    spikes : mapping of population to int64 [n], or None
        Neurons whose spikes are recorded, by population; None for all.
    states : tuple of Wish
    packets, activity : bool
    """

    spikes: dict[str, Array] | None = None
    states: tuple[Wish, ...] = ()
    packets: bool = False
    activity: bool = False

    def probing(self, n_neurons: int) -> Probing:
        """What selects the frames of `states`, in their order, from blocks."""
        return Probing([wish.probe for wish in self.states], n_neurons)


def wishes_of(texts: Sequence[str], program: Program, tick_period_s: float) -> Wishes:
    """Read wishes.

    Parameters
    ----------
    texts : sequence of str
        In the grammar at the head of this module.
    tick_period_s : float
        What is ``late`` has lasted longer.

    Raises
    ------
    WishError
        With the problems of all wishes.
    """
    problems: list[str] = []
    spikes: dict[str, list[Array]] | None = None
    wishes: list[Wish] = []
    flags = {"packets": False, "activity": False}
    for text in texts:
        words = text.split()
        try:
            if words and words[0] in flags and len(words) == 1:
                flags[words[0]] = True
            elif words and words[0] == "spikes":
                spikes = {} if spikes is None else spikes
                for name, neurons in _of_spikes(words[1:], program):
                    spikes.setdefault(name, []).append(neurons)
            else:
                wishes += _states(words, program, tick_period_s)
        except ValueError as error:
            problems.append(f"--record {text!r}: {error}")
    problems += _twice(wishes) + _anyway(wishes, program)
    if problems:
        raise WishError("\n".join(problems))
    chosen = None
    if spikes is not None:
        chosen = {name: np.unique(np.concatenate(lists)) for name, lists in spikes.items()}
    return Wishes(spikes=chosen, states=tuple(wishes), **flags)


def _of_spikes(words: list[str], program: Program) -> list[tuple[str, Array]]:
    if words == ["none"]:
        return []
    found, rest = _populations(words, program)
    if rest:
        raise ValueError(f"spikes are recorded at all ticks; {' '.join(rest)!r} is too much")
    return found


def _states(words: list[str], program: Program, tick_period_s: float) -> list[Wish]:
    variables = words[0].split(",") if words else [""]
    wrong = [name for name in variables if name not in ("v", "u")]
    if wrong:
        raise ValueError(f"nothing is called {wrong[0]!r}; there are {WISHES}")
    parts, rest = _populations(words[1:], program)
    about: dict[str, Any] = {}
    while rest:
        word = rest.pop(0)
        if word == "every" and "every" not in about:
            about["every"] = _number(rest)
            if rest[:1] == ["ticks"] and not (rest[1:] and _SPAN.fullmatch(rest[1])):
                rest.pop(0)
        elif word == "ticks" and "window" not in about:
            about["window"] = _span(rest, "ticks")
        elif word == "around" and "trigger" not in about:
            about["trigger"] = _trigger(rest, program, tick_period_s)
        else:
            raise ValueError(
                f"{word!r} is not understood here; behind the neurons come, once each: every N, "
                "ticks A:B, around spike|overflow|late BEFORE:AFTER"
            )
    return [
        Wish(
            population=name, neurons=neurons,
            probe=Probe(variable=_variable(v), neurons=program.neurons_of(name)[neurons], **about),
        )
        for v in dict.fromkeys(variables)
        for name, neurons in parts
    ]  # fmt: skip


def _variable(name: str) -> Literal["v", "u"]:
    return "v" if name == "v" else "u"


def _populations(words: list[str], program: Program) -> tuple[list[tuple[str, Array]], list[str]]:
    """Read populations, joined by commas, and return what follows."""
    texts: list[str] = []
    rest = list(words)
    while rest:
        word = rest.pop(0)
        texts += [part for part in word.split(",") if part]
        if not word.endswith(",") and not (rest and rest[0].startswith(",")):
            break
    if not texts:
        raise ValueError("says of which population; " + _what_there_is(program))
    if texts == ["all"]:
        return [(p.name, np.arange(p.size)) for p in program.populations], rest
    return [_part(text, program) for text in texts], rest


def _part(text: str, program: Program) -> tuple[str, Array]:
    match = _PART.fullmatch(text)
    sizes = {p.name: p.size for p in program.populations}
    if match is None or match["name"] not in sizes:
        raise ValueError(f"there is no population {text!r}; {_what_there_is(program)}")
    name = match["name"]
    size = sizes[name]
    if match["colon"] is None:
        return name, np.arange(size)
    if not match["colon"] and not match["start"]:
        raise ValueError(f"{text!r} names no neuron")
    start = int(match["start"] or 0)
    stop = (int(match["stop"]) if match["stop"] else size) if match["colon"] else start + 1
    if not start < stop <= size:
        raise ValueError(f"{text!r}: population {name!r} has neurons 0..{size - 1}")
    return name, np.arange(start, stop)


def _what_there_is(program: Program) -> str:
    return "there are " + ", ".join(f"{p.name}[0:{p.size}]" for p in program.populations)


def _number(rest: list[str]) -> int:
    word = rest.pop(0) if rest else ""
    if not word.isdecimal():
        raise ValueError(f"every {word!r}: a number of ticks is missing")
    return int(word)


def _span(rest: list[str], what: str) -> tuple[int, int | None]:
    word = rest.pop(0) if rest else ""
    match = _SPAN.fullmatch(word)
    if match is None:
        raise ValueError(f"{what} {word!r}: two numbers such as 5:10 are missing")
    return int(match[1]), int(match[2]) if match[2] else None


def _trigger(rest: list[str], program: Program, tick_period_s: float) -> Trigger:
    kind = rest.pop(0) if rest else ""
    about: dict[str, Any] = {}
    if kind == "overflow" and rest and rest[0] in VARIABLES:
        about["variable"] = rest.pop(0)
    names_neurons = rest and not _SPAN.fullmatch(rest[0])
    if kind == "spike" or (kind == "overflow" and names_neurons):
        parts, rest[:] = _populations(rest, program)
        numbers = [program.neurons_of(name)[neurons] for name, neurons in parts]
        about["neurons"] = np.unique(np.concatenate(numbers))
    if kind == "late":
        about["limit_ps"] = round(tick_period_s * 1e12)
    before, after = _span(rest, f"around {kind}")
    if kind not in ("spike", "overflow", "late"):
        raise ValueError(f"around {kind!r}: must be spike, overflow or late")
    return Trigger(kind=kind, before=before, after=after or 0, **about)  # type: ignore[arg-type]


def _anyway(wishes: list[Wish], program: Program) -> list[str]:
    """Refuse what every run records."""
    silent = {p.name for p in program.populations if p.output and not p.spiking}
    return [
        f"--record: v of {wish.population} is recorded at every tick anyway, since it is an output "
        "that never spikes"
        for wish in wishes
        if wish.probe.variable == "v" and wish.population in silent
    ]


def _twice(wishes: list[Wish]) -> list[str]:
    """Refuse several wishes for one variable of a population, which has one report."""
    names = sorted(f"{wish.probe.variable} of {wish.population}" for wish in wishes)
    again = dict.fromkeys(one for one, other in pairwise(names) if one == other)
    return [
        f"--record: {name} is wished for more than once; a trace has one report of it, so join the "
        "wishes to one"
        for name in again
    ]
