"""The wires of a value change dump: what there is to see, and its code in the file."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from traces.export.clock import ticking
from traces.export.machine import machine_of
from traces.export.recorded import packets
from traces.export.selection import Selection, Source

FIRST_SIGN, N_SIGNS = 33, 94
"""Codes are of printable ASCII."""
EVENT, TRUTH, COUNT, NUMBER, REAL = "event 1", "wire 1", "integer 64", "integer 32", "real 64"


class Module(NamedTuple):
    """A scope in the viewer: names of wires with their kinds."""

    name: str
    wires: list[tuple[str, str]]


@dataclass(frozen=True, kw_only=True)
class Wires:
    """Codes by what they show.

    Attributes
    ----------
    machine : mapping of name to code
        ``tick_clock``, ``sample``, ``tick`` and the counters.
    spikes : mapping of source to list of code
        One for each neuron.
    states : mapping of (population, variable) to list of code
    arrivals : mapping of core to code
        Packets that come to it.
    """

    machine: dict[str, str]
    spikes: dict[str, list[str]]
    states: dict[tuple[str, str], list[str]]
    arrivals: dict[int, str]

    @property
    def n_of_neurons(self) -> int:
        """Number of wires that grow with the number of neurons."""
        return sum(map(len, [*self.spikes.values(), *self.states.values()]))


def wires_of(selection: Selection, clock: str) -> tuple[Wires, list[str]]:
    """Number all wires, and write the lines that declare them."""
    codes = _codes()
    lines = ["$scope module trace $end"]
    scopes = iter(_scopes([source.name for source in selection.sources]))

    def declare(module: Module) -> list[str]:
        own = [next(codes) for _ in module.wires]
        lines.append(f"$scope module {module.name} $end")
        lines.extend(
            f"$var {kind} {code} {label} $end"
            for code, (label, kind) in zip(own, module.wires, strict=True)
        )
        lines.append("$upscope $end")
        return own

    labels = _machine_wires(selection, clock)
    machine = dict(
        zip([label for label, _ in labels], declare(Module("machine", labels)), strict=True)
    )
    spikes, states = {}, {}
    for source in selection.sources:
        variables = [variable for name, variable in selection.states() if name == source.name]
        n = _size(selection, source)
        own = declare(_neurons(next(scopes), n, source, variables))
        spikes[source.name] = own[:n]
        for k, variable in enumerate(variables, 1):
            states[source.name, variable] = own[k * n : (k + 1) * n]
    places = _places(selection, clock)
    cores = Module("cores", [(f"core{place}_packet", EVENT) for place in places])
    arrivals = dict(zip(places, declare(cores), strict=True)) if places else {}
    lines += ["$upscope $end", "$enddefinitions $end"]
    return Wires(machine=machine, spikes=spikes, states=states, arrivals=arrivals), lines


def _machine_wires(selection: Selection, clock: str) -> list[tuple[str, str]]:
    counted = next(ticking(selection, clock)).counters
    return [("tick_clock", TRUTH), *((name, COUNT) for name in ("sample", "tick", *counted))]


def _neurons(scope: str, n: int, source: Source, variables: Iterable[str]) -> Module:
    kind = NUMBER if source.payload else EVENT
    wires = [(f"n{neuron}", kind) for neuron in range(n)]
    for variable in variables:
        wires += [(f"{variable}_{neuron}", REAL) for neuron in range(n)]
    return Module(scope, wires)


def _size(selection: Selection, source: Source) -> int:
    if source.shape is None:
        return int(selection.counts(source).size)
    return selection.trace.population(source.name).size


def _places(selection: Selection, clock: str) -> list[int]:
    """Cores whose packets are shown: only the chip's clock knows when these come."""
    if clock != "chip" or packets(selection, selection.start, selection.start) is None:
        return []
    return sorted(machine_of(selection.trace).labels)


def _codes() -> Iterator[str]:
    """Give codes of few signs, each once."""
    number = 0
    while True:
        code, rest = "", number
        while True:
            rest, sign = divmod(rest, N_SIGNS)
            code += chr(FIRST_SIGN + sign)
            if not rest:
                break
            rest -= 1
        yield code
        number += 1


def _scopes(names: Iterable[str]) -> list[str]:
    """Make names of scopes that all viewers take, each once: no blanks, dots or brackets."""
    scopes = ["machine", "cores"]
    for name in names:
        scope = re.sub(r"[^A-Za-z0-9_]", "_", name)
        while scope in scopes:
            scope += "_"
        scopes.append(scope)
    return scopes[2:]
