"""The tables of a chip file that say what cores hold and how they calculate; values with sources.

Every limit and cost can carry its source and a confidence; a bare number counts as ``assumed``.
"""

import difflib
from collections.abc import Iterable
from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from emulator.arithmetic import COMPARES, DECAYS, OVERFLOWS, ROUNDINGS
from emulator.neuron import FORMS, LOWERS, ORDERS, REFRACTORIES, RESETS

Confidence = Literal["absent", "measured", "published", "fitted", "assumed"]
Number = TypeVar("Number", int, float)

# A second in ps, a joule in pJ: larger constants are slips, and sums of them leave 64 bits.
LARGEST = 10**12


def nearest(name: str, known: list[str]) -> str:
    """Suggest the known name that is most like another."""
    near = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


class Table(BaseModel):
    """A table that takes nothing it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Sourced(Table, Generic[Number]):
    """A number with where it comes from.

    Attributes
    ----------
    value, low, high : int or float
    source : str
        Key in the chip's ``sources``; empty if there is none.
    confidence : {"absent", "measured", "published", "fitted", "assumed"}
        ``absent``: the source's model has no such term, so that it is 0 and no constant at all.
    """

    value: Annotated[Number, Field(ge=0, le=LARGEST)]
    low: Annotated[Number, Field(ge=0, le=LARGEST)] | None = None
    high: Annotated[Number, Field(ge=0, le=LARGEST)] | None = None
    source: str = ""
    confidence: Confidence = "assumed"

    @model_validator(mode="after")
    def _credible(self) -> "Sourced[Number]":
        problems = []
        low = self.value if self.low is None else self.low
        high = self.value if self.high is None else self.high
        if not low <= self.value <= high:
            problems.append(f"low <= value <= high must hold, but is {low}, {self.value}, {high}")
        if self.confidence == "absent" and (self.value or high):
            problems.append(f"absent, but {self.value} to {high}; leave it out, or say assumed")
        if self.confidence not in ("absent", "assumed") and not self.source:
            problems.append(f"{self.confidence}, but without a source; name it, or say assumed")
        refuse(problems)
        return self


def refuse(problems: list[str]) -> None:
    """Raise if a table has problems; one per line, so that each is told by itself."""
    if problems:
        raise ValueError("\n".join(problems))


def bare_number(value: Any) -> Any:
    """Let a number stand for itself without a source."""
    return value if isinstance(value, dict | Sourced) else {"value": value}


def list_to_tuple(value: Any) -> Any:
    """Turn the lists of TOML into what a frozen table can hold."""
    return tuple(list_to_tuple(v) for v in value) if isinstance(value, list) else value


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


Count = Annotated[Sourced[int], BeforeValidator(bare_number)]
Capacity = Annotated[Count, AfterValidator(_at_least_one)]
Cost = Annotated[Sourced[float], BeforeValidator(bare_number)]
Whole = Annotated[int, Field(ge=0, le=LARGEST)]
Positive = Annotated[int, Field(ge=1, le=LARGEST)]
Extent = Annotated[int, Field(ge=1, le=1024)]
Bits = Annotated[int, Field(ge=0, le=64)]
Sizes = Annotated[
    tuple[Bits, ...],
    BeforeValidator(list_to_tuple),
    Field(min_length=1),
    AfterValidator(_ascending),
]


class Mesh(Table):
    """Routers in a rectangle, each with some cores; core ``k`` sits at router ``k // c``.

    Routers are numbered along the rows (``row-major``, x first) or down the columns.
    """

    width: Extent
    height: Extent
    cores_per_router: Extent
    tile_order: Literal["row-major", "column-major"] = "row-major"
    routing: Literal["xy"] = "xy"


class Limits(Table):
    """What one core holds; some limits are of one kind of core alone (`_OF_ONE_KIND`).

    ``delay_max`` counts ticks on top of the one that every spike takes; on crossbar cores, where
    the field of a destination holds them all, every tick from the spike to its axon.
    ``routing_entries_per_router``: entries of key and mask by which routers tell multicast packets
    apart; left out, packets name their cores. ``neuron_profiles_per_core``: distinct settings
    of decays and time of rest among the neurons of a core; ``threshold_profiles_per_core``:
    distinct thresholds. Left out, each neuron has its own.
    """

    neurons_per_core: Annotated[Capacity, _at_most(2**16, "as targets are stored in 16 bits")]
    in_axons_per_core: Capacity | None = None
    out_axons_per_core: Capacity | None = None
    synapse_words_per_core: Capacity | None = None
    axon_types: Capacity | None = None
    routing_entries_per_router: Capacity | None = None
    neuron_profiles_per_core: Capacity | None = None
    threshold_profiles_per_core: Capacity | None = None
    delay_max: Annotated[Count, _at_most(2**15 - 1, "as delays are stored in 16 bits")]


class Packing(Table):
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
            raise ValueError(f"must be one of {', '.join(known)}{nearest(name, list(known))}")
        return name

    return AfterValidator(check)


FLOAT_VARIABLES = ("weights", "decays", "thresholds", "current", "membrane")

Width = Annotated[int, Field(ge=1, le=32)]
Register = Annotated[int, Field(ge=1, le=48)]
Shift = Annotated[int, Field(ge=0, le=32)]
Exponent = Annotated[int, Field(ge=-32, le=32)]


class Numbers(Table):
    """Widths of the registers, signs included, and where values are shifted.

    ``membrane_fraction_bits``: bits behind the point that a membrane in float keeps when it decays,
    rounded as ``membrane_decay`` says; all of them where it is left out.
    """

    weight_bits: Width
    weight_shift: Shift = 0
    weight_exponent_min: Exponent = 0
    weight_exponent_max: Exponent = 0
    shifted_weight_bits: Annotated[int, Field(ge=1, le=62)] = 62
    input_shift: Shift = 0
    input_bits: Annotated[int, Field(ge=1, le=62)] = 62
    input_payload_max: Whole = 0
    decay_bits: Width
    current_decay_offset: Annotated[int, Field(ge=0, le=1)] = 0
    membrane_decay_offset: Annotated[int, Field(ge=0, le=1)] = 0
    current_bits: Register
    drive_bits: Annotated[int, Field(ge=1, le=62)] = 62
    membrane_bits: Register
    membrane_fraction_bits: Shift | None = None
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
        largest = self.weight_bits + self.weight_shift + self.weight_exponent_max
        if self.shifted_weight_bits < min(largest, 62):
            problems.append(
                f"weight_bits + weight_shift + weight_exponent_max is {largest}, but must not "
                f"exceed shifted_weight_bits {self.shifted_weight_bits}, or the largest exponent "
                "would push weights out of their register"
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
        refuse(problems)
        return self


class Arithmetic(Table):
    """Rules of the integer neuron, by the names in `emulator.arithmetic` and `emulator.neuron`.

    docs/arithmetic.md says what each value means and which published model has it.
    """

    weight_rounding: Annotated[str, one_of(ROUNDINGS)] = "nearest-even"
    threshold_rounding: Annotated[str, one_of(ROUNDINGS)] = "nearest-even"
    decay_rounding: Annotated[str, one_of(ROUNDINGS)] = "nearest-even"
    weight_range: Literal["symmetric", "full", "full-256"] = "symmetric"
    weight_exponent_on: Literal["synapse", "synapse-coarsened", "sum"] = "synapse"
    shifted_weight_overflow: Literal["none", "wrap", "saturate"] = "none"
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
    membrane_floor: Literal["none", "any", "power-of-two"] = "none"
    axons: Literal["counting", "binary"] = "counting"
    input_latency: Annotated[int, Field(ge=0, le=1)]
    float_variables: Annotated[
        tuple[Annotated[str, one_of(FLOAT_VARIABLES)], ...], BeforeValidator(list_to_tuple)
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
                ("axons", "counting"),
            ):
                if getattr(self, name) != value:
                    problems.append(
                        f"accumulate each with {name} {getattr(self, name)}: spikes are added to "
                        f"the current as they arrive, so it must be {value}"
                    )
            if self.weight_exponent_on == "sum":
                problems.append(
                    "accumulate each with weight_exponent_on sum: spikes are added to the current "
                    "as they arrive, so it must be synapse"
                )
            if {"weights", "current"} & set(floats):
                problems.append("accumulate each with float weights or current: nothing saturates")
        if self.weight_exponent_on == "sum" and self.shifted_weight_overflow != "none":
            problems.append(
                f"weight_exponent_on sum with shifted_weight_overflow "
                f"{self.shifted_weight_overflow}: no weight is shifted by itself; take none"
            )
        if self.membrane_form == "increment" and floats:
            problems.append("membrane_form increment with float variables: it limits integers")
        if self.membrane_form == "increment" and self.refractory == "skip":
            problems.append(
                "membrane_form increment with refractory skip: leak and input are one change there, "
                "so a resting neuron cannot take in the one and skip the other; take hold or freeze"
            )
        if self.membrane_form != "sum" and self.drive_overflow != "none":
            problems.append(
                f"membrane_form {self.membrane_form} with drive_overflow {self.drive_overflow}: "
                "currents and bias enter one after another, so their sum has no register; take none"
            )
        for register in ("current", "membrane"):
            if getattr(self, f"{register}_decay") == "shift" and {"decays", register} & set(floats):
                problems.append(
                    f"{register}_decay shift with float decays or {register}: only integers shift"
                )
        refuse(problems)
        return self
