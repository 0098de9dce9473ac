"""Chip descriptions: what a chip holds, how it calculates, what time and energy it takes.

A chip is a TOML file, built in (``emulator/chips``) or the user's own. Every limit and cost can
carry its source and a confidence; a bare number counts as ``assumed``.
"""

import difflib
import hashlib
import json
import re
import tomllib
from collections.abc import Iterable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Generic, Literal, NamedTuple, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from emulator.arithmetic import COMPARES, DECAYS, OVERFLOWS, ROUNDINGS
from emulator.neuron import FORMS, LOWERS, ORDERS, REFRACTORIES, RESETS

Confidence = Literal["measured", "published", "fitted", "assumed"]
Number = TypeVar("Number", int, float)

_FOLDER = Path(__file__).parent / "chips"
_MOST_BASES = 8

# A second in ps, a joule in pJ: larger constants are slips, and sums of them leave 64 bits.
_LARGEST = 10**12


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

    value: Annotated[Number, Field(ge=0, le=_LARGEST)]
    low: Annotated[Number, Field(ge=0, le=_LARGEST)] | None = None
    high: Annotated[Number, Field(ge=0, le=_LARGEST)] | None = None
    source: str = ""
    confidence: Confidence = "assumed"

    @model_validator(mode="after")
    def _credible(self) -> "Sourced[Number]":
        problems = []
        low = self.value if self.low is None else self.low
        high = self.value if self.high is None else self.high
        if not low <= self.value <= high:
            problems.append(f"low <= value <= high must hold, but is {low}, {self.value}, {high}")
        if self.confidence != "assumed" and not self.source:
            problems.append(f"{self.confidence}, but without a source; name it, or say assumed")
        _refuse(problems)
        return self


def _refuse(problems: list[str]) -> None:
    """Raise if a table has problems; one per line, so that each is told by itself."""
    if problems:
        raise ValueError("\n".join(problems))


def _bare_number(value: Any) -> Any:
    return value if isinstance(value, dict | Sourced) else {"value": value}


def _list_to_tuple(value: Any) -> Any:
    return tuple(_list_to_tuple(v) for v in value) if isinstance(value, list) else value


def _at_least_one(count: Sourced[int]) -> Sourced[int]:
    if count.value < 1:
        raise ValueError(f"must be at least 1, but is {count.value}")
    return count


def _at_most(limit: int, why: str) -> AfterValidator:
    def check(count: Sourced[int]) -> Sourced[int]:
        if count.value > limit:
            raise ValueError(f"must be at most {limit:,}, {why}, but is {count.value:,}")
        return count

    return AfterValidator(check)


def _ascending(sizes: tuple[int, ...]) -> tuple[int, ...]:
    if sorted(set(sizes)) != list(sizes):
        raise ValueError("the sizes must ascend")
    return sizes


Count = Annotated[Sourced[int], BeforeValidator(_bare_number)]
Capacity = Annotated[Count, AfterValidator(_at_least_one)]
Cost = Annotated[Sourced[float], BeforeValidator(_bare_number)]
Whole = Annotated[int, Field(ge=0, le=_LARGEST)]
Positive = Annotated[int, Field(ge=1, le=_LARGEST)]
Extent = Annotated[int, Field(ge=1, le=1024)]
Bits = Annotated[int, Field(ge=0, le=64)]
Sizes = Annotated[
    tuple[Bits, ...],
    BeforeValidator(_list_to_tuple),
    Field(min_length=1),
    AfterValidator(_ascending),
]


class Mesh(_Table):
    """Routers in a rectangle, each with some cores; core ``k`` sits at router ``k // c``."""

    width: Extent
    height: Extent
    cores_per_router: Extent
    routing: Literal["xy"] = "xy"


class Limits(_Table):
    """What one core holds; some limits are of one kind of core alone (`_OF_ONE_KIND`).

    ``delay_max`` counts ticks on top of the one that every spike takes; on crossbar cores, where
    the field of a destination holds them all, every tick from the spike to its axon.
    """

    neurons_per_core: Annotated[Capacity, _at_most(2**16, "as targets are stored in 16 bits")]
    in_axons_per_core: Capacity
    out_axons_per_core: Capacity | None = None
    synapse_words_per_core: Capacity | None = None
    axon_types: Capacity | None = None
    delay_max: Annotated[Count, _at_most(2**15 - 1, "as delays are stored in 16 bits")]


class Packing(_Table):
    """How synapses are laid into memory words."""

    word_bits: Positive
    synapses_per_block: Positive
    block_header_bits: Whole
    weight_bits_sizes: Sizes
    index_bits_sizes: Sizes
    delay_bits_sizes: Sizes
    source: str = ""


def one_of(names: Iterable[str]) -> AfterValidator:
    """Accept one of some names, and suggest the nearest for any other."""
    known = tuple(names)

    def check(name: str) -> str:
        if name not in known:
            raise ValueError(f"must be one of {', '.join(known)}{_nearest(name, list(known))}")
        return name

    return AfterValidator(check)


FLOAT_VARIABLES = ("weights", "decays", "thresholds", "current", "membrane")

Width = Annotated[int, Field(ge=1, le=32)]
Register = Annotated[int, Field(ge=1, le=48)]
Shift = Annotated[int, Field(ge=0, le=32)]
Exponent = Annotated[int, Field(ge=-32, le=32)]


class Numbers(_Table):
    """Widths of the registers, signs included, and where values are shifted."""

    weight_bits: Width
    weight_shift: Shift = 0
    weight_exponent_min: Exponent = 0
    weight_exponent_max: Exponent = 0
    input_shift: Shift = 0
    input_bits: Annotated[int, Field(ge=1, le=62)] = 62
    input_payload_max: Whole = 0
    decay_bits: Width
    current_decay_offset: Annotated[int, Field(ge=0, le=1)] = 0
    membrane_decay_offset: Annotated[int, Field(ge=0, le=1)] = 0
    current_bits: Register
    drive_bits: Annotated[int, Field(ge=1, le=62)] = 62
    membrane_bits: Register
    threshold_bits: Width
    threshold_shift: Shift = 0
    bias_bits: Width
    bias_exponent_max: Shift = 0
    spikes_per_tick_max: Annotated[int, Field(ge=1, le=255)] = 1
    source: str = ""

    @model_validator(mode="after")
    def _consistent(self) -> "Numbers":
        problems = []
        if self.weight_exponent_min > self.weight_exponent_max:
            problems.append(
                f"weight_exponent_min {self.weight_exponent_min} is above weight_exponent_max "
                f"{self.weight_exponent_max}"
            )
        lowest = self.weight_shift + self.weight_exponent_min
        if lowest < 0:
            problems.append(
                f"weight_shift + weight_exponent_min is {lowest}, but must not be negative, or the "
                "lowest bits of weights would be shifted out"
            )
        for names, most, why in (
            (("threshold_bits", "threshold_shift"), 62, "leave 64 bits"),
            (("bias_bits", "bias_exponent_max"), 62, "leave 64 bits"),
            (("current_bits", "decay_bits"), 62, "leave 64 bits when multiplied"),
            (("membrane_bits", "decay_bits"), 62, "leave 64 bits when multiplied"),
        ):
            bits = sum(getattr(self, name) for name in names)
            if bits > most:
                problems.append(
                    f"{' + '.join(names)} is {bits}, but must not exceed {most}, or values {why}"
                )
        _refuse(problems)
        return self


class Arithmetic(_Table):
    """Rules of the integer neuron, by the names in `emulator.arithmetic` and `emulator.neuron`.

    docs/arithmetic.md says what each value means and which published model has it.
    """

    weight_rounding: Annotated[str, one_of(ROUNDINGS)] = "nearest-even"
    threshold_rounding: Annotated[str, one_of(ROUNDINGS)] = "nearest-even"
    decay_rounding: Annotated[str, one_of(ROUNDINGS)] = "nearest-even"
    weight_range: Literal["symmetric", "full", "full-256"] = "symmetric"
    weight_exponent_on: Literal["synapse", "sum"] = "synapse"
    accumulate: Literal["sum", "each"] = "sum"
    input_overflow: Annotated[str, one_of(OVERFLOWS)] = "none"
    current_decay: Annotated[str, one_of(DECAYS)]
    membrane_decay: Annotated[str, one_of(DECAYS)]
    current_order: Annotated[str, one_of(ORDERS)] = "decay-add-use"
    current_overflow: Annotated[str, one_of(OVERFLOWS)]
    drive_overflow: Annotated[str, one_of(OVERFLOWS)] = "none"
    membrane_form: Annotated[str, one_of(FORMS)] = "sum"
    membrane_overflow: Annotated[str, one_of(OVERFLOWS)]
    compare: Annotated[str, one_of(COMPARES)]
    resets: Annotated[
        dict[Annotated[str, one_of(RESETS[1:])], Positive],
        Field(min_length=1),
    ]
    refractory: Annotated[str, one_of(REFRACTORIES)] = "none"
    lower_threshold: Annotated[str, one_of(LOWERS)] = "none"
    axons: Literal["counting", "binary"] = "counting"
    input_latency: Annotated[int, Field(ge=0, le=1)]
    float_variables: Annotated[
        tuple[Annotated[str, one_of(FLOAT_VARIABLES)], ...], BeforeValidator(_list_to_tuple)
    ] = ()
    source: str = ""
    resets_source: str = ""

    @model_validator(mode="after")
    def _compatible(self) -> "Arithmetic":
        """Refuse rules that contradict each other, each pair with the reason."""
        problems = []
        floats = self.float_variables
        if self.accumulate == "each":
            for name, value in (
                ("current_order", "add-decay-use"),
                ("input_latency", 0),
                ("weight_exponent_on", "synapse"),
                ("axons", "counting"),
            ):
                if getattr(self, name) != value:
                    problems.append(
                        f"accumulate each with {name} {getattr(self, name)}: spikes are added to "
                        f"the current as they arrive, so it must be {value}"
                    )
            if {"weights", "current"} & set(floats):
                problems.append("accumulate each with float weights or current: nothing saturates")
        if self.membrane_form == "increment" and floats:
            problems.append("membrane_form increment with float variables: it limits integers")
        for register in ("current", "membrane"):
            if getattr(self, f"{register}_decay") == "shift" and {"decays", register} & set(floats):
                problems.append(
                    f"{register}_decay shift with float decays or {register}: only integers shift"
                )
        _refuse(problems)
        return self


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
        """Length of the barrier that ends a tick, if ``n_tiles`` take part.

        Straight lines between the points of ``barrier`` are this project's assumption; outside
        of them the nearest point holds.
        """
        first_tiles, first_ps = self.barrier[0]
        if n_tiles <= first_tiles:
            return first_ps
        for (tiles, ps), (next_tiles, next_ps) in pairwise(self.barrier):
            if n_tiles <= next_tiles:
                return round(ps + (next_ps - ps) * (n_tiles - tiles) / (next_tiles - tiles))
        return self.barrier[-1][1]


class Energy(_Table):
    """Picojoules for each event, and the power that flows without any."""

    neuron_active_pj: Cost
    neuron_inactive_pj: Cost
    synaptic_event_pj: Cost
    local_spike_pj: Cost
    hop_ew_pj: Cost
    hop_ns_pj: Cost
    static_power_w: Cost


CORES = ("lists", "crossbar")

_OF_ONE_KIND = (
    ("limits.out_axons_per_core", "lists", "a neuron of a crossbar has exactly one destination"),
    (
        "limits.synapse_words_per_core",
        "lists",
        "a crossbar holds a bit for each axon and neuron, not lists of synapses",
    ),
    ("packing", "lists", "it says how lists of synapses are laid into words"),
    ("limits.axon_types", "crossbar", "they choose among the weights of a crossbar's neuron"),
)

_ONE_STEP = "a crossbar's neuron adds weights and leak to its membrane in one step"
_AS_WRITTEN = "a memory image holds the numbers themselves"
_CROSSBAR_NEEDS: tuple[tuple[str, object, str], ...] = (
    ("arithmetic.axons", "binary", "a crossbar's axon is one bit a tick"),
    ("arithmetic.accumulate", "sum", _ONE_STEP),
    ("arithmetic.current_order", "add-use-decay", _ONE_STEP),
    ("arithmetic.membrane_form", "sum", _ONE_STEP),
    ("arithmetic.lower_threshold", "reset", "a crossbar's neuron has a threshold on either side"),
    ("arithmetic.refractory", "none", "a crossbar's neuron has no refractory period"),
    ("arithmetic.float_variables", (), _AS_WRITTEN),
    ("numbers.weight_shift", 0, _AS_WRITTEN),
    ("numbers.weight_exponent_min", 0, _AS_WRITTEN),
    ("numbers.weight_exponent_max", 0, _AS_WRITTEN),
    ("numbers.input_shift", 0, _AS_WRITTEN),
    ("numbers.threshold_shift", 0, _AS_WRITTEN),
    ("numbers.bias_exponent_max", 0, _AS_WRITTEN),
)


class Row(NamedTuple):
    """One line of a chip's table: a constant and where it comes from."""

    key: str
    value: object
    low: object
    high: object
    source: str
    confidence: str


class Chip(_Table):
    """A whole chip; see the built-in files for the meaning of each key.

    ``core`` is the kind of its cores: ``lists`` hold a list of synapses for each axon, a
    ``crossbar`` holds a bit for each axon and neuron. Without ``timing`` or ``energy`` no times or energies are told: no figure without a source.
    """

    name: Annotated[str, Field(min_length=1)]
    summary: str = ""
    core: Annotated[str, one_of(CORES)] = "lists"
    sources: dict[str, str] = Field(default_factory=dict)
    mesh: Mesh
    limits: Limits
    packing: Packing | None = None
    numbers: Numbers
    arithmetic: Arithmetic
    timing: Timing | None = None
    energy: Energy | None = None

    @model_validator(mode="after")
    def _of_one_kind(self) -> "Chip":
        """Refuse what does not belong to the chip's kind of core."""
        problems = []
        for key, kind, why in _OF_ONE_KIND:
            given = self._at(key) is not None
            if given and kind != self.core:
                problems.append(f"{key}: not with core {self.core}: {why}; leave it out")
            if not given and kind == self.core:
                problems.append(f"{key}: missing, but core {self.core} needs it: {why}")
        if self.core == "crossbar":
            for key, need, why in _CROSSBAR_NEEDS:
                if self._at(key) != need:
                    problems.append(
                        f"{key}: {self._at(key)} with core crossbar: {why}, so it must be {need}"
                    )
            for key in ("arithmetic.current_decay", "arithmetic.membrane_decay"):
                if self._at(key) == "shift":
                    problems.append(
                        f"{key}: shift with core crossbar: its neurons keep the whole membrane, "
                        "which no shift does; take toward-zero"
                    )
            if self.limits.delay_max.value < 1:
                problems.append("limits.delay_max: 0 with core crossbar: a spike takes 1 at least")
        _refuse(problems)
        return self

    def _at(self, key: str) -> Any:
        """Value of a key such as ``limits.delay_max``."""
        value: Any = self
        for name in key.split("."):
            value = getattr(value, name)
        return value

    @model_validator(mode="after")
    def _compatible(self) -> "Chip":
        """Refuse rules and numbers that cannot work together."""
        numbers, rules, problems = self.numbers, self.arithmetic, []
        if rules.accumulate == "each" and self.limits.delay_max.value:
            problems.append(
                f"arithmetic.accumulate: each with limits.delay_max {self.limits.delay_max.value}: "
                "spikes are added as they arrive, so there is nowhere to hold them back"
            )
        for register in ("current", "membrane"):
            if getattr(rules, f"{register}_decay") == "shift" and getattr(
                numbers, f"{register}_decay_offset"
            ):
                problems.append(
                    f"arithmetic.{register}_decay: shift with numbers.{register}_decay_offset 1: a "
                    "shift has no field to add it to"
                )
        if "subtract-repeat" in rules.resets and numbers.spikes_per_tick_max == 1:
            problems.append(
                "arithmetic.resets: subtract-repeat with numbers.spikes_per_tick_max 1: it fires "
                "several times a tick; allow more, or take subtract"
            )
        if rules.input_overflow != "none" and numbers.input_bits == 62:
            problems.append("arithmetic.input_overflow: needs numbers.input_bits to overflow from")
        if rules.drive_overflow != "none" and numbers.drive_bits == 62:
            problems.append("arithmetic.drive_overflow: needs numbers.drive_bits to overflow from")
        _refuse(problems)
        return self

    @model_validator(mode="after")
    def _packable(self) -> "Chip":
        """Refuse sizes too small for what they must hold: memory would be counted too low."""
        if self.packing is None:
            return self
        problems = []
        for sizes, key, need in (
            ("weight_bits_sizes", "numbers.weight_bits", self.numbers.weight_bits),
            ("delay_bits_sizes", "limits.delay_max", self.limits.delay_max.value.bit_length()),
            (
                "index_bits_sizes",
                "limits.neurons_per_core",
                (self.limits.neurons_per_core.value - 1).bit_length(),
            ),
        ):
            largest = getattr(self.packing, sizes)[-1]
            if largest < need:
                problems.append(
                    f"packing.{sizes}: {largest} bits at most, but {key} needs {need}; "
                    "add a size or lower the limit"
                )
        _refuse(problems)
        return self

    @property
    def n_cores(self) -> int:
        """Cores of the whole chip."""
        return self.mesh.width * self.mesh.height * self.mesh.cores_per_router

    def limit(self, name: str) -> int:
        """Value of a limit; beyond any need where this kind of core has no such limit."""
        limit = getattr(self.limits, name)
        return _LARGEST if limit is None else int(limit.value)

    @property
    def row_delay_max(self) -> int:
        """Most ticks of delay on top of the one that every spike takes."""
        return self.limits.delay_max.value - (1 if self.core == "crossbar" else 0)

    @property
    def sha256(self) -> str:
        """Hash of all values; comments and order do not matter.

        Not kept: a changed copy would inherit the hash of its original.
        """
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
        elif path and value is not None and not name.endswith("source"):
            own = getattr(table, f"{name}_source", "")
            yield Row(key, value, None, None, own or inherited, "")


def builtin_chips() -> tuple[str, ...]:
    """Names of the chips that come with the project."""
    return tuple(sorted(path.stem for path in _FOLDER.glob("*.toml")))


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
    values = _whole(path, repr(text), depth=0)
    problems = list(_unknown_sources("", values, values.get("sources")))
    try:
        chip = Chip.model_validate(values)
    except ValidationError as error:
        problems = [*_told(error, values), *problems]
    if problems:
        raise ChipError(repr(text), tuple(problems))
    return chip


def _found(text: str, folder: Path) -> Path:
    """Find a chip's file; paths of bases are relative to the file that names them."""
    path = folder / text
    if text in builtin_chips():
        return _FOLDER / f"{text}.toml"
    if not text or (not path.suffix and Path(text).parent == Path() and not path.exists()):
        hint = _nearest(text, list(builtin_chips()))
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
                yield f"{key}: {value} is not in the table [sources]{_nearest(value, names)}"


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
        where = [str(part) for part in problem["loc"] if part != "[key]"]
        if where[-1:] == ["value"] and not isinstance(_at(values, where[:-1]), dict):
            where.pop()  # a bare number was written
        at = ".".join(where) + ": " if where else ""
        if problem["type"] == "extra_forbidden":
            yield f"{at}unknown key{_nearest(where[-1], _known_keys(where[:-1]))}"
            continue
        value = problem["input"]
        shown = "" if isinstance(value, dict | BaseModel) else f" (it is {value!r})"
        if problem["type"] == "literal_error" and isinstance(value, str):
            shown += _nearest(value, re.findall(r"'(.*?)'", problem["ctx"]["expected"]))
        said = problem["msg"].removeprefix("Value error, ").replace("Input should be", "must be")
        message = _PLAIN_WORDS.get(problem["type"], said)
        for line in message.splitlines():
            yield f"{at}{line}{shown}"


def _nearest(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def _at(values: Any, where: list[str]) -> Any:
    """Value of the file at a key path; None where there is none."""
    for name in where:
        values = values.get(name) if isinstance(values, dict) else None
    return values


def _known_keys(path: list[str]) -> list[str]:
    table: type[BaseModel] = Chip
    for name in path:
        annotation = table.model_fields[name].annotation if name in table.model_fields else None
        if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
            return []
        table = annotation
    return list(table.model_fields)
