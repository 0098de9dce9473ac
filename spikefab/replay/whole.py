"""The whole run again, or some of its ticks, verified against everything that was recorded."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emulator.block import Block
from emulator.engine import Engine
from emulator.stimulus import Stimulus
from mapping.reference import prepare, simulate
from spikefab.chip_side import silent_outputs, wished_of
from spikefab.data import Samples
from spikefab.embedded import Embedded, bundles
from spikefab.record import Recorder
from spikefab.replay.check import Checker
from spikefab.replay.recording import Recording, Window, window_of
from spikefab.replay.verdict import Differs, Mismatch, Verdict
from spikefab.telling import BadInputError
from spikefab.wished import Wished
from traces.errors import TraceFormatError
from traces.trace import Trace

Array = NDArray[Any]

_OF_THE_FILE = ("partner", "partner_sha256")
"""Provenance that is not the run's."""


def spans(window: Window, ticks: int) -> Iterator[tuple[int, int, int]]:
    """Cut ticks into (first sample, last sample, ticks of each): whole ones, then the rest of one.

    Samples are run from their first tick on.
    """
    first, whole, rest = window.start // ticks, window.stop // ticks, window.stop % ticks
    if first < whole:
        yield first, whole, ticks
    if rest:
        yield whole, whole + 1, rest


def replay_whole(
    recording: Recording, window: Window | None = None, *, threads: int | None = None,
    folder: Path | None = None,
) -> Verdict:  # fmt: skip
    """Run the chip again and compare every spike, state, counter and total.

    Parameters
    ----------
    window : Window, optional
        Ticks to compare; all that are whole by default.
    folder : Path, optional
        Existing folder that gets the new ``trace.h5``; for the whole window alone.

    Raises
    ------
    TraceWriteError
        If it cannot be written.
    """
    trace = recording.trace
    window = window or window_of(trace)
    checker: Any = Checker(trace, window, recording.program)
    wished = wished_of(recording.how, recording.program, recording.embedded.network, trace.ticks)
    record = _recorder(recording, folder, wished)
    complete = window == Window(0, trace.samples * trace.ticks) and trace.complete
    try:
        embedded = recording.embedded
        carried = partial(bundles, embedded.deployment, embedded.samples, recording.how)
        with record.chip_trace(carried) as writer:
            sinks = [checker] if writer is None else [checker, writer]
            for sink in sinks:
                record.cores(sink)
            for span in spans(window, trace.ticks):
                _run(recording, record, wished, sinks, span, threads, totals=complete)
    except Differs as differs:
        return _verdict(trace, window, checker, differs.first)
    return _verdict(trace, window, checker, None)


def _run(
    recording: Recording, record: Recorder, wished: Wished, sinks: list[Any],
    span: tuple[int, int, int], threads: int | None, *, totals: bool,
) -> None:  # fmt: skip
    """Run some samples and hand them to the checker, which is the first of the sinks."""
    first, last, n_ticks = span
    program, ticks = recording.program, recording.trace.ticks
    silent = silent_outputs(program)
    engine = Engine(
        program, recording.chip, **wished.engine,
        seed=int(recording.how["seed"]), strict=bool(recording.how["strict"]),
        fabric=str(recording.how["fabric"]), n_threads=threads, first_sample=first,
    )  # fmt: skip

    settled = first * ticks

    def stimuli() -> Iterator[Stimulus]:
        for sample in range(first, last):
            stimulus = recording.stimulus(sample)
            for writer in sinks[1:]:
                record.stimulus(writer, stimulus, sample)
            yield stimulus if n_ticks == ticks else shortened(stimulus, n_ticks)

    def observe(block: Block) -> None:
        for sink in sinks:
            record.block(sink, block, silent)
        nonlocal settled
        ends = block.first_tick + block.tick_ps.size
        # What waits for a trigger comes later than its ticks, but not after their sample.
        if wished.is_plain or ends == n_ticks:
            sinks[0].settle(settled, block.sample * ticks + ends)
            settled = block.sample * ticks + ends
            if ends == n_ticks:
                settled = (block.sample + 1) * ticks

    engine.run(stimuli(), n_ticks, observe)
    if totals:
        for sink in sinks:
            record.totals(sink, engine)


def shortened(stimulus: Stimulus, n_ticks: int) -> Stimulus:
    """Leave out what comes after some ticks."""
    cuts = {
        kind: int(np.searchsorted(getattr(stimulus, f"{kind}_tick"), n_ticks))
        for kind in ("spike", "current")
    }
    return Stimulus(
        **{name: values[: cuts[name.split("_")[0]]] for name, values in vars(stimulus).items()}
    )


def _recorder(recording: Recording, folder: Path | None, wished: Wished) -> Recorder:
    """Say again what was said of the run."""
    trace = recording.trace
    about = {k: v for k, v in trace.provenance.items() if k not in _OF_THE_FILE}
    # Only how many there are, and how long: their values are in the recorded stimulus.
    samples = Samples(
        x=np.empty((trace.samples, 0)), y=None, n_ticks=trace.input_ticks,
        spiking=not recording.how.get("direct"),
    )  # fmt: skip
    return Recorder(folder, recording.embedded.deployment, samples, trace.ticks, about, wished)


def _verdict(trace: Trace, window: Window, checker: Checker, first: Mismatch | None) -> Verdict:
    notes = []
    if not trace.complete:
        notes.append(
            f"the run broke off: its first {trace.whole_ticks:,} of {trace.samples * trace.ticks:,} "
            "ticks are whole"
        )
    elif trace.kind == "chip" and window != Window(0, trace.samples * trace.ticks):
        notes.append("totals of cores and links are those of the whole run, and were not compared")
    return Verdict(
        what=f"the {trace.kind} run", start=window.start, stop=window.stop,
        compared=dict(checker.compared),
        not_compared=() if first else checker.not_compared(), first=first, notes=tuple(notes),
    )  # fmt: skip


def replay_float(trace: Trace, window: Window | None = None) -> Verdict:
    """Simulate a float trace again, from the network and input in its partner.

    Parameters
    ----------
    window : Window, optional
        Ticks to compare; all that are whole by default.

    Raises
    ------
    BadInputError
        If the partner is not beside it.
    """
    window = window or window_of(trace)
    with Trace.open(partner_of(trace)) as chip:
        recording = Recording(chip)
        embedded: Embedded = recording.embedded
        network, data = embedded.network, embedded.samples
        latency = embedded.chip.arithmetic.input_latency
    in_step = prepare(network, timing="chip", input_latency=latency)
    checker = Checker(trace, window)
    try:
        for sample in range(window.start // trace.ticks, -(-window.stop // trace.ticks)):
            run = simulate(in_step, data.drive(sample, network), n_ticks=trace.ticks)
            begins = sample * trace.ticks
            for name, (at, neurons) in run.spikes.items():
                checker.spikes(name, at + begins, neurons)
            for (name, variable), frames in run.states.items():
                checker.state(name, variable, frames)
            checker.settle(begins, begins + trace.ticks)
    except Differs as differs:
        return _verdict(trace, window, checker, differs.first)
    return _verdict(trace, window, checker, None)


def partner_of(trace: Trace) -> Path:
    """Find the chip's trace of the same run beside a float trace.

    Raises
    ------
    BadInputError
        If it is not there, or is another one.
    """
    name = str(trace.provenance.get("partner", "trace.h5"))
    path = trace.path.with_name(name)
    try:
        with Trace.open(path) as found:
            wanted = trace.provenance.get("partner_sha256")
            # A run that broke off leaves no hashes; what it was made from is named all the same.
            same = found.kind == "chip" and (
                found.content_sha256 == wanted
                if wanted is not None
                else all(
                    found.provenance.get(key) == trace.provenance.get(key)
                    for key in ("network_sha256", "program_sha256", "seed")
                )
            )
    except (FileNotFoundError, TraceFormatError) as error:
        raise BadInputError(
            f"{trace.path}: a float trace carries no network and no input; they are in its partner "
            f"{name}, which must lie beside it ({error})"
        ) from error
    if not same:
        raise BadInputError(
            f"{path}: is not the partner of {trace.path}: its hash is another one; put the chip's "
            "trace of the same run there"
        )
    return path
