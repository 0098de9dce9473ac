"""What two traces were made from, so that both sides can be run again."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emulator.chip import Chip
from emulator.errors import ProgramError
from emulator.program import Program
from mapping.assemble import lags
from mapping.effects.effects import unlike
from mapping.effects.machine import Machine, machine_of
from mapping.effects.of_chip import chip_side
from mapping.effects.of_float import float_side
from mapping.effects.run import MixedRun, run_machine
from mapping.effects.sides import Side
from mapping.errors import NetworkError
from mapping.network import Network
from spikefab.currents import Target, changes, targets_of
from spikefab.data import Samples
from spikefab.embedded import Embedded
from traces.errors import TraceFormatError
from traces.trace import Trace

Array = NDArray[Any]


class CauseUnknownError(ValueError):
    """Why nothing can be said about the cause of a difference."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Origin:
    """One side of a comparison with all that its run needs.

    Attributes
    ----------
    trace : Trace or None
        None for a run that was not recorded: the network as it was trained.
    side : Side
    samples : Samples
    chip : Chip or None
        None for a network in float.
    program : Program or None
    readout : str or None
        Output that classes are read from.
    targets : tuple of Target
        What the host computes of direct current.
    """

    trace: Trace | None
    side: Side
    samples: Samples
    chip: Chip | None
    program: Program | None
    readout: str | None
    targets: tuple[Target, ...]

    @property
    def label(self) -> str:
        """How it is called in sentences."""
        if self.chip is not None:
            return self.chip.name
        return "float" if self.side.timing == "chip" else "float as trained"

    def core_of(self, population: str, neuron: int) -> int | None:
        """Place of the core that holds a neuron."""
        if self.program is None:
            return None
        machine = self.program.neurons_of(population)[neuron]
        return int(self.program.core[self.program.neuron_core[machine]])


@dataclass(frozen=True, kw_only=True, eq=False)
class Pair:
    """Two sides of one network on the same input, ``base`` the one in float where there is one.

    Attributes
    ----------
    swapped : bool
        Whether ``base`` is b of the comparison.
    n_ticks : int
        Ticks of a sample that are run again.
    shared : dict
        Unrolled weights, kept for the next machine.
    """

    base: Origin
    full: Origin
    swapped: bool
    n_ticks: int
    shared: dict[Any, Any]

    @property
    def labels(self) -> tuple[str, str]:
        """What the two sides are called in sentences, apart where they are alike."""
        labels = self.base.label, self.full.label
        if labels[0] != labels[1]:
            return labels
        letters = ("b", "a") if self.swapped else ("a", "b")
        return f"{labels[0]} ({letters[0]})", f"{labels[1]} ({letters[1]})"

    def machine(self, side: Side) -> Machine:
        """Make a side ready to run."""
        return machine_of(side, self.shared)

    def run(self, machine: Machine, sample: int, record: dict[str, Any] | None = None) -> MixedRun:
        """Run a sample again, or as many of its ticks as are looked at."""
        origin = self.full
        samples, network = origin.samples, origin.side.network
        drive = samples.drive(sample, network)
        targets = {target.name: target for target in origin.targets}
        ticks = self.n_ticks
        if machine.side.timing == "instant":
            ticks = min(drive.n_ticks, ticks)

        def handed(name: str) -> Iterator[tuple[int, Array]]:
            if name in targets:
                for tick, current in changes(targets[name], drive, ticks):
                    yield tick, current.copy()

        return run_machine(
            machine, drive.spikes, handed, n_ticks=ticks, sample=sample, record=record
        )


def pair_of(
    a: Trace, b: Trace, *, as_trained: bool = False, most_ticks: int | None = None, stack: ExitStack
) -> Pair:
    """Find out what two traces were made from.

    Parameters
    ----------
    as_trained : bool
        Take the network as it was trained, in instant timing, in place of the side in float.
    most_ticks : int, optional
        Ticks of a sample that are run again; all of them by default.
    stack : ExitStack
        Closes the traces of partners that are opened on the way.

    Raises
    ------
    CauseUnknownError
        If too little is known, or the two cannot be mixed; says what is missing.
    """
    sources = [_source(trace, other, stack) for trace, other in ((a, b), (b, a))]
    try:
        origins = [
            _origin(trace, source, as_trained)
            for trace, source in zip((a, b), sources, strict=True)
        ]
    except (TraceFormatError, ProgramError, NetworkError, ValueError, KeyError) as error:
        raise CauseUnknownError(str(error)) from None
    problems = [*unlike(origins[0].side, origins[1].side), *_inputs_differ(*origins)]
    if problems:
        raise CauseUnknownError("; ".join(problems))
    swapped = origins[1].chip is None and origins[0].chip is not None
    base, full = origins[::-1] if swapped else origins
    if as_trained and base.chip is not None:
        raise CauseUnknownError("neither side is in float, so there is none to take as trained")
    if as_trained and full.chip is None:
        raise CauseUnknownError("both sides are in float: there is no chip to ask about")
    ticks = max(a.ticks, b.ticks)
    return Pair(
        base=base, full=full, swapped=swapped, shared={},
        n_ticks=ticks if most_ticks is None else min(ticks, most_ticks),
    )  # fmt: skip


def _source(trace: Trace, other: Trace, stack: ExitStack) -> Embedded:
    """Find the trace that carries what this one was made from: itself, its partner, or the other.

    Raises
    ------
    CauseUnknownError
    """
    if "fixed" in trace.attachments():
        return Embedded(trace)
    wanted = trace.provenance.get("network_sha256")
    same = wanted is not None and other.provenance.get("network_sha256") == wanted
    if same and "fixed" in other.attachments():
        return Embedded(other)
    name = trace.provenance.get("partner")
    if name is not None:
        path = trace.path.parent / str(name)
        try:
            partner = stack.enter_context(Trace.open(path))
        except (OSError, TraceFormatError) as error:
            raise CauseUnknownError(f"{trace.path}: its partner cannot be read ({error})") from None
        if partner.content_sha256 != trace.provenance.get("partner_sha256"):
            raise CauseUnknownError(f"{trace.path}: {path} is not the partner that it names")
        if "fixed" in partner.attachments():
            return Embedded(partner)
    raise CauseUnknownError(
        f"{trace.path} does not carry what it was made from, nor does a partner; traces of "
        f"spikefab run have it since layout version 2"
    )


def _origin(trace: Trace, source: Embedded, as_trained: bool) -> Origin:
    network, how = source.network, source.how
    fixed = source.deployment.fixed
    is_chip = trace.kind == "chip"
    program = source.program if is_chip else None
    if is_chip:
        side = chip_side(fixed, source.chip, seed=int(how.get("seed", 0)))
    else:
        side = float_side(
            network, direct=fixed.direct, timing="instant" if as_trained else "chip",
            input_latency=_latency(trace, network, fixed.direct),
        )  # fmt: skip
    return Origin(
        trace=None if as_trained and not is_chip else trace,
        side=side,
        samples=source.samples,
        chip=source.chip if is_chip else None,
        program=program,
        readout=how.get("readout"),
        targets=targets_of(network, fixed.direct),
    )


def _latency(trace: Trace, network: Network, direct: frozenset[str]) -> int:
    """Input latency that the lags of a trace in float were recorded with."""
    told = {p.name: p.lag for p in trace.populations}
    for latency in (1, 0):
        found = lags(network, direct, latency)
        if all(found.get(name) == lag for name, lag in told.items()):
            return latency
    raise CauseUnknownError(f"{trace.path}: its lags are those of no timing of its network")


def _inputs_differ(one: Origin, other: Origin) -> list[str]:
    a, b = one.samples, other.samples
    n = min(len(a), len(b))  # one may have more samples, which are not compared
    alike = (a.n_ticks, a.spiking, a.x.shape[1:]) == (b.n_ticks, b.spiking, b.x.shape[1:])
    if alike and np.array_equal(a.x[:n], b.x[:n]):
        return []
    return ["the two were given different input"]
