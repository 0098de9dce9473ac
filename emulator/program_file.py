"""Programs in files: HDF5, a bundle (`traces.bundle`) and notes."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
from numpy.typing import NDArray

from emulator.errors import ProgramError
from emulator.program import COLUMNS, FORMAT, Program, ProgramPopulation
from traces.bundle import read_bundle, write_bundle
from traces.errors import TraceFormatError

Notes = Mapping[str, str | int | float]


def packed(program: Program) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Split a program into plain values and arrays."""
    return program.header(), {name: getattr(program, name) for name in COLUMNS}


def unpacked(header: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Program:
    """Put together what `packed` split.

    Raises
    ------
    ProgramError
        If something is missing or contradicts itself.
    """
    try:
        plain: dict[str, Any] = {**header, **arrays}
        if plain.pop("format") != FORMAT:
            raise ProgramError(
                f"a program in the format {header['format']!r}, but this reads {FORMAT!r}"
            )
        plain["populations"] = tuple(
            ProgramPopulation(**{**each, "shape": tuple(each["shape"])})
            for each in plain["populations"]
        )
        plain["inputs"] = tuple((name, int(size)) for name, size in plain["inputs"])
        return Program(**plain)
    except (KeyError, TypeError, ValueError) as error:
        raise ProgramError(f"no program of {FORMAT} ({error})") from error


def save_program(program: Program, path: str | Path, notes: Notes | None = None) -> None:
    """Write a program; the file is there whole or not at all.

    Parameters
    ----------
    notes : mapping, optional
        Where it came from; kept as attributes of the group ``notes``.
    """
    path = Path(path)
    unfinished = path.with_name(f".{path.name}.unfinished")
    try:
        with h5py.File(unfinished, "w") as file:
            file.attrs["format"] = FORMAT
            write_bundle(file.create_group("program"), *packed(program))
            for key, value in (notes or {}).items():
                file.require_group("notes").attrs[key] = value
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


def load_program(path: str | Path) -> Program:
    """Read what `save_program` wrote.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ProgramError
        If it is none of these files, is damaged, or of another version.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"{path}: there is no such file")
    try:
        with h5py.File(path, "r") as file:
            if file.attrs.get("format") != FORMAT:
                raise ProgramError(
                    f"{path}: no program saved by spikefab ({FORMAT}); spikefab map -o makes one"
                )
            return unpacked(*read_bundle(file["program"]))
    except TraceFormatError as error:
        raise ProgramError(str(error)) from error
    except ProgramError:
        raise
    except Exception as error:  # h5py raises many kinds on damaged files
        raise ProgramError(f"{path}: not a program saved by spikefab ({error})") from error


def is_program(path: str | Path) -> bool:
    """Whether a file says that it holds a program of this version."""
    try:
        with h5py.File(path, "r") as file:
            return bool(file.attrs.get("format") == FORMAT)
    except OSError:
        return False


def notes_of(path: str | Path) -> dict[str, str]:
    """Read the notes of a saved program; empty where the file is none."""
    if not is_program(path):
        return {}
    with h5py.File(path, "r") as file:
        return (
            {key: str(value) for key, value in file["notes"].attrs.items()}
            if "notes" in file
            else {}
        )
