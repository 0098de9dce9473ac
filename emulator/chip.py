"""Chip descriptions: what a chip holds, how it calculates, what time and energy it takes.

A chip is a TOML file, built in (``emulator/chips``) or the user's own. Every limit and cost can
carry its source and a confidence; a bare number counts as ``assumed``.
"""

import difflib
import hashlib
import json
import tomllib
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Generic, Literal, NamedTuple, TypeVar

import numpy as np
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

Confidence = Literal["measured", "published", "fitted", "assumed"]
Reset = Literal["zero", "subtract", "subtract-once"]
Number = TypeVar("Number", int, float)

_FOLDER = Path(__file__).parent / "chips"


class ChipError(ValueError):
    """A chip file is wrong; ``problems`` lists everything found in it."""

    def __init__(self, where: str, problems: tuple[str, ...]) -> None:
        self.problems = problems
        listing = "\n".join(f"  - {problem}" for problem in problems)
        super().__init__(f"chip {where}:\n{listing}")


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Sourced(_Table, Generic[Number]):
    """A number with where it comes from.

    Attributes
    ----------
    value, low, high : int or float
    source : str
        Key in the chip's ``sources``; empty if there is none.
    confidence : {"measured", "published", "fitted", "assumed"}
    """

    value: Annotated[Number, Field(ge=0)]
    low: Annotated[Number, Field(ge=0)] | None = None
    high: Annotated[Number, Field(ge=0)] | None = None
    source: str = ""
    confidence: Confidence = "assumed"

    @model_validator(mode="after")
    def _ordered(self) -> "Sourced[Number]":
        low = self.value if self.low is None else self.low
        high = self.value if self.high is None else self.high
        if not low <= self.value <= high:
            raise ValueError(f"low <= value <= high must hold, but is {low}, {self.value}, {high}")
        return self


def _bare_number(value: Any) -> Any:
    return value if isinstance(value, dict | Sourced) else {"value": value}


def _list_to_tuple(value: Any) -> Any:
    return tuple(_list_to_tuple(v) for v in value) if isinstance(value, list) else value


Count = Annotated[Sourced[int], BeforeValidator(_bare_number)]
Cost = Annotated[Sourced[float], BeforeValidator(_bare_number)]
Whole = Annotated[int, Field(ge=0)]
Positive = Annotated[int, Field(ge=1)]
Sizes = Annotated[tuple[Whole, ...], BeforeValidator(_list_to_tuple), Field(min_length=1)]


class Mesh(_Table):
    """Routers in a rectangle, each with some cores; core ``k`` sits at router ``k // c``."""

    width: Positive
    height: Positive
    cores_per_router: Positive
    routing: Literal["xy"] = "xy"


class Limits(_Table):
    """What one core holds."""

    neurons_per_core: Count
    in_axons_per_core: Count
    out_axons_per_core: Count
    synapse_words_per_core: Count
    delay_max: Count


class Packing(_Table):
    """How synapses are laid into memory words."""

    word_bits: Positive
    synapses_per_block: Positive
    block_header_bits: Whole
    weight_bits_sizes: Sizes
    index_bits_sizes: Sizes
    delay_bits_sizes: Sizes
    source: str = ""


class Numbers(_Table):
    """Widths of the registers and where values are shifted."""

    weight_bits: Annotated[int, Field(ge=2, le=8)]
    weight_shift: Annotated[int, Field(ge=0, le=8)]
    weight_exponent_min: Annotated[int, Field(ge=-16, le=16)]
    weight_exponent_max: Annotated[int, Field(ge=-16, le=16)]
    input_shift: Annotated[int, Field(ge=0, le=16)]
    decay_bits: Annotated[int, Field(ge=1, le=16)]
    current_decay_offset: Annotated[int, Field(ge=0, le=1)]
    membrane_decay_offset: Annotated[int, Field(ge=0, le=1)]
    current_bits: Annotated[int, Field(ge=8, le=32)]
    membrane_bits: Annotated[int, Field(ge=8, le=32)]
    threshold_bits: Annotated[int, Field(ge=1, le=31)]
    threshold_shift: Annotated[int, Field(ge=0, le=16)]
    bias_bits: Annotated[int, Field(ge=1, le=31)]
    bias_exponent_max: Annotated[int, Field(ge=0, le=16)]
    source: str = ""

    @model_validator(mode="after")
    def _consistent(self) -> "Numbers":
        if self.weight_exponent_min > self.weight_exponent_max:
            raise ValueError(
                f"weight_exponent_min {self.weight_exponent_min} is above weight_exponent_max "
                f"{self.weight_exponent_max}"
            )
        if self.input_shift + self.weight_shift + self.weight_exponent_min < 0:
            raise ValueError(
                "input_shift + weight_shift + weight_exponent_min must not be negative, or the "
                "smallest weights would be shifted out"
            )
        if self.threshold_bits + self.threshold_shift > 31:
            raise ValueError("threshold_bits + threshold_shift must not exceed 31")
        if self.bias_bits + self.bias_exponent_max > 31:
            raise ValueError("bias_bits + bias_exponent_max must not exceed 31")
        return self


class Arithmetic(_Table):
    """Rules of the integer neuron; see docs/design.md for each."""

    decay_rounding: Literal["toward-zero"]
    current_overflow: Literal["wrap", "saturate"]
    membrane_overflow: Literal["wrap", "saturate"]
    compare: Literal[">", ">="]
    resets: Annotated[dict[Reset, Positive], Field(min_length=1)]
    input_latency: Annotated[int, Field(ge=0, le=1)]
    source: str = ""


class Timing(_Table):
    """Picoseconds."""

    neuron_active_ps: Count
    neuron_inactive_ps: Count
    synaptic_event_ps: Count
    axon_in_ps: Count
    hop_ew_ps: Count
    hop_ns_ps: Count
    local_spike_ps: Count
    barrier: Annotated[
        tuple[tuple[Positive, Whole], ...], BeforeValidator(_list_to_tuple), Field(min_length=1)
    ]
    barrier_source: str = ""

    @model_validator(mode="after")
    def _ascending(self) -> "Timing":
        tiles = [point[0] for point in self.barrier]
        if sorted(set(tiles)) != tiles:
            raise ValueError(f"the tile counts of barrier must ascend, but are {tiles}")
        return self

    def barrier_ps(self, n_tiles: int) -> int:
        """Length of the barrier that ends a tick; linear between the points, our assumption."""
        tiles, lengths = zip(*self.barrier, strict=True)
        return round(float(np.interp(n_tiles, tiles, lengths)))


class Energy(_Table):
    """Picojoules for each event, and the power that flows without any."""

    neuron_active_pj: Cost
    neuron_inactive_pj: Cost
    synaptic_event_pj: Cost
    local_spike_pj: Cost
    hop_ew_pj: Cost
    hop_ns_pj: Cost
    static_power_w: Cost


class Row(NamedTuple):
    """One line of a chip's table: a constant and where it comes from."""

    key: str
    value: object
    low: object
    high: object
    source: str
    confidence: str


class Chip(_Table):
    """A whole chip; see the built-in files for the meaning of each key."""

    name: Annotated[str, Field(min_length=1)]
    summary: str = ""
    sources: dict[str, str] = Field(default_factory=dict)
    mesh: Mesh
    limits: Limits
    packing: Packing
    numbers: Numbers
    arithmetic: Arithmetic
    timing: Timing
    energy: Energy

    @model_validator(mode="after")
    def _known_sources(self) -> "Chip":
        unknown = sorted({r.source for r in self.rows() if r.source} - set(self.sources))
        if unknown:
            raise ValueError(f"source {', '.join(unknown)} is not in the table [sources]")
        if self.packing.weight_bits_sizes[-1] < self.numbers.weight_bits:
            raise ValueError("packing.weight_bits_sizes has no size for numbers.weight_bits")
        return self

    @property
    def n_cores(self) -> int:
        """Cores of the whole chip."""
        return self.mesh.width * self.mesh.height * self.mesh.cores_per_router

    @cached_property
    def sha256(self) -> str:
        """Hash of all values; comments and order do not matter."""
        content = json.dumps(self.model_dump(mode="json"), sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()

    def rows(self) -> tuple[Row, ...]:
        """List every constant with its source, in the order of the file."""
        return tuple(_rows("", self))


def _rows(path: str, table: BaseModel) -> Iterator[Row]:
    inherited = getattr(table, "source", "")
    for name in type(table).model_fields:
        value = getattr(table, name)
        key = f"{path}.{name}" if path else name
        if isinstance(value, Sourced):
            yield Row(key, value.value, value.low, value.high, value.source, value.confidence)
        elif isinstance(value, BaseModel):
            yield from _rows(key, value)
        elif name == "barrier":
            yield Row(key, value, None, None, getattr(table, "barrier_source", ""), "")
        elif path and not name.endswith("source"):
            yield Row(key, value, None, None, inherited, "")


def builtin_chips() -> tuple[str, ...]:
    """Names of the chips that come with the project."""
    return tuple(sorted(path.stem for path in _FOLDER.glob("*.toml")))


def load_chip(name_or_path: str | Path) -> Chip:
    """Read a built-in chip by name or a user's own by path.

    Raises
    ------
    ChipError
        If there is no such chip, or with every problem of the file at once.
    """
    text = str(name_or_path)
    path = Path(text)
    if text in builtin_chips():
        path = _FOLDER / f"{text}.toml"
    elif not path.suffix and path.parent == Path() and not path.exists():
        near = difflib.get_close_matches(text, builtin_chips(), n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        known = ", ".join(builtin_chips())
        raise ChipError(
            repr(text), (f"no such chip; built in: {known}; or give the path of a file{hint}",)
        )
    try:
        values = tomllib.loads(path.read_bytes().decode())
    except FileNotFoundError:
        raise ChipError(repr(text), ("there is no such file",)) from None
    except IsADirectoryError:
        raise ChipError(repr(text), ("this is a folder, not a file",)) from None
    except OSError as error:
        raise ChipError(repr(text), (f"cannot be read: {error.strerror}",)) from None
    except UnicodeDecodeError:
        raise ChipError(repr(text), ("not a TOML file (it is not UTF-8 text)",)) from None
    except tomllib.TOMLDecodeError as error:
        raise ChipError(repr(text), (f"not valid TOML: {error}",)) from None
    try:
        return Chip.model_validate(values)
    except ValidationError as error:
        raise ChipError(repr(text), tuple(_told(error, values))) from None


def _told(error: ValidationError, values: dict[str, Any]) -> Iterator[str]:
    """Say each problem with its key, its value and what is allowed."""
    for problem in error.errors():
        where = [str(part) for part in problem["loc"] if part != "[key]"]
        key = ".".join(where)
        if problem["type"] == "extra_forbidden":
            near = difflib.get_close_matches(where[-1], _known_keys(where[:-1]), n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            yield f"{key}: unknown key{hint}"
        elif problem["type"] == "missing":
            yield f"{key}: missing"
        else:
            message = problem["msg"].removeprefix("Value error, ")
            at = f"{key}: " if key else ""
            value = problem["input"]
            shown = "" if isinstance(value, dict | BaseModel) else f" (it is {value!r})"
            yield f"{at}{message}{shown}"


def _known_keys(path: list[str]) -> list[str]:
    table: type[BaseModel] = Chip
    for name in path:
        annotation = table.model_fields[name].annotation if name in table.model_fields else None
        if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
            return list(Sourced.model_fields)
        table = annotation
    return list(table.model_fields)
