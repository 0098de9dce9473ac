"""Judge a network on chips, and look for what makes it fit those that it does not."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emulator.chip import Chip
from emulator.chip_file import builtin_chips, load_chip
from emulator.without import chip_without
from mapping.fitting.doctor import Fix, examine_patient, search
from mapping.fitting.estimate import Estimate, estimate
from mapping.fitting.judging import Judgement, refuse_pins
from mapping.fitting.patient import Options, Patient
from mapping.network import Network
from mapping.pins import check_pins_in, read_pin
from spikefab.fit.rates import Known, learn
from spikefab.fit.reading import read_subject
from spikefab.telling import BadInputError


@dataclass(frozen=True, kw_only=True, eq=False)
class Verdict:
    """What was found of one chip.

    Attributes
    ----------
    name : str
        As the user called the chip.
    found : Judgement
    fixes : tuple of Fix
        Of a network that does not fit, the smallest change first.
    complete : bool or None
        Whether all changes were tried that are known; None of a network that fits.
    expected : Estimate or None
        Of a network that fits, where rates are known.
    """

    name: str
    found: Judgement
    fixes: tuple[Fix, ...]
    complete: bool | None
    expected: Estimate | None


@dataclass(frozen=True, kw_only=True, eq=False)
class Answer:
    """All that ``spikefab fit`` has to tell.

    Attributes
    ----------
    network : Network
    counted, note : str
        Of `Subject`.
    direct : bool
        Whether the host turns inputs into currents.
    known : Known
    verdicts : tuple of Verdict
    """

    network: Network
    counted: str
    note: str
    direct: bool
    known: Known
    verdicts: tuple[Verdict, ...]

    @property
    def fits(self) -> bool:
        """Whether it fits any of the chips."""
        return any(verdict.found.fits for verdict in self.verdicts)


def chips_of(names: Sequence[str], without: Sequence[str]) -> dict[str, Chip]:
    """Load the chips that were named, or all that are built in.

    Raises
    ------
    BadInputError
        If one is named twice, or parts are to be left out of a chip that is not named, or cannot.
    ChipError
        If a file is wrong.
    """
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise BadInputError(f"--chip {twice[0]}: named {names.count(twice[0])} times")
    if without and not names:
        raise BadInputError("--without is of one chip; name it with --chip")
    found = {name: load_chip(name) for name in names or builtin_chips()}
    try:
        return {name: chip_without(chip, without) if without else chip
                for name, chip in found.items()}  # fmt: skip
    except ValueError as error:
        raise BadInputError(f"--without: {error}") from None


def answer(
    path: Path,
    names: Sequence[str],
    *,
    conventions: dict[str, Any],
    data: Path | None = None,
    ticks: int | None = None,
    encoding: str | None = None,
    pins: Sequence[str] = (),
    without: Sequence[str] = (),
) -> Answer:
    """Judge a network on the chips of these names, or on all built-in ones.

    Parameters
    ----------
    conventions : dict
        As `spikefab.fit.reading.read_subject` takes them.
    data : Path, optional
        A trace, or samples; what rates come from.
    encoding : {"direct", "spikes"}, optional
        How input enters. By default as the data says, and as spikes without any: they take at
        least as much of the chip.
    pins, without : sequence of str
        As `read_pin` and `chip_without` read them.

    Raises
    ------
    BadInputError
        Of all that is wrong with what was asked; and whatever importing and loading raise.
    """
    told = tuple(map(read_pin, pins))
    if told and not names:
        raise BadInputError("--pin is for the cores of one chip; name it with --chip")
    chips = chips_of(names, without)
    subject = read_subject(path, conventions)
    network = subject.network(Options())
    for chip in chips.values() if told else ():
        refuse_pins(chip, told)
        check_pins_in(told, {p.name: p.size for p in network.populations}, chip)
    known = learn(data, subject, network, ticks=ticks, encoding=encoding)
    options = Options(direct=bool(known.direct))
    patient = Patient(network=subject.network, outline=subject.outline, options=options, pins=told)
    judged = {name: examine_patient(patient, chip) for name, chip in chips.items()}
    return Answer(
        network=network, counted=subject.counted, note=subject.note, direct=options.direct,
        known=known, verdicts=tuple(_verdicts(patient, judged, known)),
    )  # fmt: skip


def _verdicts(patient: Patient, judged: dict[str, Judgement], known: Known) -> Iterator[Verdict]:
    others = _others(judged)
    for name, found in judged.items():
        fits = found.fits
        told = None if fits else search(patient, found, others)
        yield Verdict(
            name=name, found=found, fixes=() if told is None else told.fixes,
            complete=None if told is None else told.complete,
            expected=estimate(found, known.rates) if fits and known.rates else None,
        )  # fmt: skip


def _others(judged: dict[str, Judgement]) -> list[Chip]:
    """Built-in chips that a network may be moved to."""
    known = {found.chip.name: found.fits for found in judged.values()}
    return [chip for chip in map(load_chip, builtin_chips()) if known.get(chip.name, True)]
