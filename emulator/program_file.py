"""Programs in files: HDF5, one dataset for each column and a JSON header."""

import json
import os
from collections.abc import Mapping
from pathlib import Path

import h5py

from emulator.errors import ProgramError
from emulator.program import COLUMNS, FORMAT, Program, ProgramPopulation

Notes = Mapping[str, str | int | float]


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
            file.attrs["header"] = json.dumps(program.header())
            file.attrs["sha256"] = program.sha256
            for name in COLUMNS:
                array = getattr(program, name)
                packed = {"compression": "gzip", "compression_opts": 1} if array.size > 64 else {}
                file.create_dataset(f"columns/{name}", data=array, **packed)
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
            header = json.loads(file.attrs["header"])
            del header["format"]
            columns = {name: file[f"columns/{name}"][()] for name in COLUMNS}
            want = file.attrs["sha256"]
        header["populations"] = tuple(
            ProgramPopulation(**{**plain, "shape": tuple(plain["shape"])})
            for plain in header["populations"]
        )
        header["inputs"] = tuple((name, int(size)) for name, size in header["inputs"])
        program = Program(**header, **columns)
    except ProgramError:
        raise
    except Exception as error:  # h5py raises many kinds on damaged files
        raise ProgramError(f"{path}: not a program saved by spikefab ({error})") from error
    if program.sha256 != want:
        raise ProgramError(f"{path}: its content differs from its hash; it was changed or damaged")
    return program


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
