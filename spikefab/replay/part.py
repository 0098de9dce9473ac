"""Some cores or populations alone, with recorded spikes at their boundary, verified bit for bit."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emulator.block import Block
from emulator.engine import Engine
from emulator.errors import ExcerptError
from emulator.excerpt import Excerpt, excerpt
from emulator.program import Program
from emulator.stimulus import Stimulus
from spikefab.replay.check import Checker
from spikefab.replay.recording import Recording, Window, window_of
from spikefab.replay.verdict import Differs, Verdict
from spikefab.replay.whole import shortened, spans
from spikefab.telling import BadInputError

Array = NDArray[Any]


def neurons_of(program: Program, cores: Sequence[int], populations: Sequence[str]) -> Array:
    """Find the neurons on some places of the chip and of some populations, all together.

    Raises
    ------
    BadInputError
        If there is no such core or population.
    """
    kept = np.zeros(program.n_neurons, np.bool_)
    for place in cores:
        index = np.flatnonzero(program.core == place)
        if not index.size:
            used = ", ".join(map(str, np.sort(program.core)[:20]))
            more = f" and {program.n_cores - 20} more" if program.n_cores > 20 else ""
            raise BadInputError(
                f"--core {place}: holds no neurons in this run; used are {used}{more}"
            )
        kept[slice(*program.core_start[index[0] : index[0] + 2])] = True
    known = [part.name for part in program.populations]
    for name in populations:
        if name not in known:
            raise BadInputError(
                f"--population {name!r}: there is no such population; there are {', '.join(known)}"
            )
        kept[program.neurons_of(name)] = True
    return np.flatnonzero(kept)


def replay_part(
    recording: Recording, *, cores: Sequence[int] = (), populations: Sequence[str] = (),
    window: Window | None = None, threads: int | None = None,
) -> Verdict:  # fmt: skip
    """Run some neurons again with the recorded spikes of all others, and compare.

    Parameters
    ----------
    cores : sequence of int
        Places on the chip.
    populations : sequence of str
    window : Window, optional
        Ticks to compare; all that are whole by default.

    Raises
    ------
    BadInputError
        If there are no such neurons, or they cannot run alone; with the reason.
    """
    program, trace = recording.program, recording.trace
    window = window or window_of(trace)
    mine = neurons_of(program, cores, populations)
    try:
        part = excerpt(program, recording.chip, mine)
    except ExcerptError as error:
        raise BadInputError(f"{trace.path}: {error}") from error
    kept = np.zeros(program.n_neurons, np.bool_)
    kept[mine] = True
    owners = np.unique(program.population[mine])
    names = [program.populations[owner].name for owner in owners]
    only = {name: kept[program.neurons_of(name)] for name in names}
    checker = Checker(trace, window, program, only)
    first = None
    try:
        for span in spans(window, trace.ticks):
            _run(recording, part, checker, span, threads)
    except Differs as differs:
        first = differs.first
    told = [f"core {core}" for core in cores] + [f"population {name!r}" for name in populations]
    notes = [f"{mine.size:,} neurons, with {part.sources.size:,} sources at their boundary"]
    if part.led:
        notes.append(f"their own spikes come from the recording, too: {part.led}")
    return Verdict(
        what=" and ".join(told), start=window.start, stop=window.stop, compared=dict(checker.compared),
        not_compared=("counters and times, which belong to the whole",), first=first,
        notes=tuple(notes),
    )  # fmt: skip


def _run(
    recording: Recording, part: Excerpt, checker: Checker, span: tuple[int, int, int],
    threads: int | None,
) -> None:  # fmt: skip
    """Run some samples of the part."""
    first, last, n_ticks = span
    whole, ticks = recording.program, recording.trace.ticks
    recorded = {name for name, variable in recording.trace.states() if variable == "v"}
    watched = [
        (p.name, part.program.neurons_of(p.name))
        for p in part.program.populations
        if p.name in recorded
    ]
    engine = Engine(
        part.program, part.chip, seed=int(recording.how["seed"]), n_threads=threads,
        watched=np.concatenate([neurons for _, neurons in watched]) if watched else None,
        first_sample=first, identity=part.identity,
    )  # fmt: skip

    sources = part.sources[part.sources < whole.n_neurons]
    reaching = {whole.populations[k].name for k in np.unique(whole.population[sources])}

    def stimuli() -> Iterator[Stimulus]:
        for sample in range(first, last):
            given = shortened(recording.stimulus(sample), n_ticks)
            begins = sample * ticks
            fired = recording.fired(begins, begins + n_ticks, reaching)
            yield part.stimulus(given, fired, n_ticks)

    def observe(block: Block) -> None:
        begins = block.sample * ticks
        neuron = part.neurons[block.spike_neuron]
        for number in np.unique(whole.population[neuron]):
            here = np.flatnonzero(whole.population[neuron] == number)
            checker.spikes(
                whole.populations[number].name, block.spike_tick[here] + begins,
                whole.index[neuron[here]], block.spike_payload[here],
            )  # fmt: skip
        column = 0
        for name, neurons in watched:
            checker.state(name, "v", block.frames[:, column : column + neurons.size])
            column += neurons.size
        checker.settle(begins + block.first_tick, begins + block.first_tick + block.tick_ps.size)

    engine.run(stimuli(), n_ticks, observe)
