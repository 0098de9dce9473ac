"""Read chips: built in (``emulator/chips``) or a user's own TOML file, all problems at once."""

import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from emulator.chip import Chip
from emulator.chip_tables import nearest
from emulator.errors import ChipDoesNotRunError

_FOLDER = Path(__file__).parent / "chips"
_MOST_BASES = 8


class ChipError(ValueError):
    """A chip file is wrong; ``problems`` lists everything found in it."""

    def __init__(self, where: str, problems: tuple[str, ...]) -> None:
        self.problems = problems
        listing = "\n".join(f"  - {problem}" for problem in problems)
        super().__init__(f"chip {where}:\n{listing}")


def builtin_chips() -> tuple[str, ...]:
    """Names of the chips that come with the project."""
    return tuple(sorted(path.stem for path in _FOLDER.glob("*.toml")))


def refuse_to_run(chip: Chip) -> None:
    """Raise if nothing runs on a chip, before anything asks for its arithmetic.

    Raises
    ------
    ChipDoesNotRunError
        With the reason, and the built-in chips that run.
    """
    if chip.runs:
        return
    running = [name for name in builtin_chips() if load_chip(name).runs]
    raise ChipDoesNotRunError(
        f"chip {chip.name}: what it holds can be counted, but nothing runs on it: {chip.why}; "
        f"to run a network take one of {', '.join(running)}"
    )


def load_chip(name_or_path: str | Path) -> Chip:
    """Read a built-in chip by name or a user's own by path.

    A file that names another chip as its ``base`` holds only what differs from it: its tables are
    laid over those of the base, key by key.

    Parameters
    ----------
    name_or_path : str or Path
        A built-in name wins over a file of the same name; write ``./loihi`` for the file.

    Raises
    ------
    ChipError
        If there is no such chip, or with every problem of the file at once.
    """
    text = str(name_or_path)
    path = _found(text, Path())
    return _chip_of(_whole(path, repr(text), depth=0), repr(text))


def chip_with(chip: Chip, changes: Mapping[str, Any]) -> Chip:
    """Change some keys of a chip.

    Parameters
    ----------
    changes : mapping of str to value
        By keys of the chip file, tables before a dot: ``numbers.weight_bits``.

    Raises
    ------
    ChipError
        With every problem at once.
    """
    values = chip.model_dump(mode="json", exclude_unset=True)
    for key, value in changes.items():
        *tables, name = key.split(".")
        table = values
        for part in tables:
            table = table.setdefault(part, {}) if isinstance(table, dict) else {}
        if isinstance(table, dict):
            table[name] = value
    return _chip_of(values, f"{chip.name} with {', '.join(changes)}")


def _chip_of(values: dict[str, Any], where: str) -> Chip:
    problems = list(_unknown_sources("", values, values.get("sources")))
    try:
        chip = Chip.model_validate(values)
    except ValidationError as error:
        problems = [*_told(error, values), *problems]
    if problems:
        raise ChipError(where, tuple(problems))
    return chip


def _found(text: str, folder: Path) -> Path:
    """Find a chip's file; paths of bases are relative to the file that names them."""
    path = folder / text
    if text in builtin_chips():
        return _FOLDER / f"{text}.toml"
    if not text or (not path.suffix and Path(text).parent == Path() and not path.exists()):
        hint = nearest(text, list(builtin_chips()))
        known = ", ".join(builtin_chips())
        raise ChipError(
            repr(text), (f"no such chip; built in: {known}; or give the path of a file{hint}",)
        )
    return path


def _whole(path: Path, where: str, *, depth: int) -> dict[str, Any]:
    """Read a file and lay it over its base."""
    values = _read(path, where)
    if "base" not in values:
        return values
    base = values.pop("base")
    if not isinstance(base, str):
        raise ChipError(where, (f"base: must be the name or path of a chip, but is {base!r}",))
    if depth == _MOST_BASES:
        raise ChipError(where, (f"base: {depth} files deep; do two name each other?",))
    under = _whole(_found(base, path.parent), repr(base), depth=depth + 1)
    for name, table in values.items():
        both = isinstance(table, dict) and isinstance(under.get(name), dict)
        under[name] = under[name] | table if both else table
    return under


def _read(path: Path, where: str) -> dict[str, Any]:
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise ChipError(where, ("there is no such file",)) from None
    except IsADirectoryError:
        raise ChipError(where, ("this is a folder, not a file",)) from None
    except OSError as error:
        raise ChipError(where, (f"cannot be read: {error.strerror}",)) from None
    except ValueError as error:  # a null character in the path
        raise ChipError(where, (f"cannot be read: {error}",)) from None
    try:
        return tomllib.loads(content.decode("utf-8-sig"))  # some editors put a mark
    except UnicodeDecodeError:
        raise ChipError(where, ("not a TOML file (it is not UTF-8 text)",)) from None
    except ValueError as error:  # syntax, and numbers of more digits than Python converts
        raise ChipError(where, (f"not valid TOML: {error}",)) from None
    except RecursionError:
        raise ChipError(where, ("not valid TOML: nested too deeply",)) from None


def _unknown_sources(path: str, table: dict[str, Any], known: Any) -> Iterator[str]:
    """Look up every source in the file as it was read, so that other problems hide none."""
    for name, value in table.items():
        key = f"{path}.{name}" if path else name
        if isinstance(value, dict) and key != "sources":
            yield from _unknown_sources(key, value, known)
        elif name.endswith("source") and isinstance(value, str) and value:
            names = list(known) if isinstance(known, dict) else []
            if value not in names:
                yield f"{key}: {value} is not in the table [sources]{nearest(value, names)}"


_PLAIN_WORDS = {
    "missing": "missing",
    "model_type": "must be a table",
    "dict_type": "must be a table",
    "tuple_type": "must be a list",
    "too_short": "must not be empty",
    "too_long": "has too many items",
}


def _told(error: ValidationError, values: dict[str, Any]) -> Iterator[str]:
    """Say each problem with its key, its value and what is allowed."""
    for problem in error.errors():
        # Parts in brackets say which reading of the value was tried.
        where = [str(part) for part in problem["loc"] if not str(part).startswith("[")]
        if where[-1:] == ["value"] and not isinstance(_at(values, where[:-1]), dict):
            where.pop()  # a bare number was written
        at = ".".join(where) + ": " if where else ""
        if problem["type"] == "extra_forbidden":
            yield f"{at}unknown key{nearest(where[-1], _known_keys(where[:-1]))}"
            continue
        value = problem["input"]
        shown = "" if isinstance(value, dict | BaseModel) else f" (it is {value!r})"
        if problem["type"] == "literal_error" and isinstance(value, str):
            shown += nearest(value, re.findall(r"'(.*?)'", problem["ctx"]["expected"]))
        said = problem["msg"].removeprefix("Value error, ").replace("Input should be", "must be")
        message = _PLAIN_WORDS.get(problem["type"], said)
        for line in message.splitlines():
            yield f"{at}{line}{shown}"


def _at(values: Any, where: list[str]) -> Any:
    """Value of the file at a key path; None where there is none."""
    for name in where:
        values = values.get(name) if isinstance(values, dict) else None
    return values


def _known_keys(path: list[str]) -> list[str]:
    """Keys of the table at a path; of all its forms where it may have several."""
    tables: list[type[BaseModel]] = [Chip]
    for name in path:
        fields = [t.model_fields[name] for t in tables if name in t.model_fields]
        tables = [form for field in fields for form in _forms(field.annotation)]
    return [key for table in tables for key in table.model_fields]


def _forms(annotation: Any) -> Iterator[type[BaseModel]]:
    """Tables among the forms that a value may have."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _forms(part)
