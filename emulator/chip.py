"""A whole chip: its tables, and what they must agree on."""

import hashlib
import json
from collections.abc import Iterator
from math import prod
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, Field, model_validator

from emulator.arithmetic import FRACTIONS
from emulator.chip_cores import (
    Formats,
    LayerCores,
    ProcessorCores,
    SharedMemory,
    check_layers,
)
from emulator.chip_costs import Energy, Timing
from emulator.chip_fabric import Fabric
from emulator.chip_faults import Faults
from emulator.chip_tables import (
    LARGEST,
    Arithmetic,
    Limits,
    Mesh,
    Numbers,
    Packing,
    Sourced,
    Table,
    one_of,
    refuse,
)
from emulator.fault_check import problems_of_faults, usable_cores

CORES = ("lists", "crossbar", "layers", "processors")

_OF_KINDS: tuple[tuple[str, tuple[str, ...], str], ...] = (
    ("limits.in_axons_per_core", ("lists", "crossbar"), "no other core has axons"),
    ("limits.out_axons_per_core", ("lists",), "a neuron of a crossbar has exactly one destination"),
    (
        "limits.synapse_words_per_core",
        ("lists",),
        "a crossbar holds a bit for each axon and neuron, not lists of synapses",
    ),
    ("packing", ("lists",), "it says how lists of synapses are laid into words"),
    ("limits.axon_types", ("crossbar",), "they choose among the weights of a crossbar's neuron"),
    ("layers", ("layers",), "it says what each core has room for"),
    ("processors", ("processors",), "it says what software takes of a processor's memory"),
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


class Chip(Table):
    """A whole chip; see the built-in files for the meaning of each key.

    ``core`` is the kind of its cores: ``lists`` hold a list of synapses for each axon, a
    ``crossbar`` holds a bit for each axon and neuron. Without ``timing`` or ``energy`` no times or
    energies are told: no figure without a source. ``faults`` are those of one piece of hardware.

    A chip whose discipline is not built has ``runs = false`` and says ``why``: what it holds can be
    counted, but nothing runs on it. It has ``formats`` in place of ``numbers`` and ``arithmetic``.
    """

    name: Annotated[str, Field(min_length=1)]
    summary: str = ""
    runs: bool = True
    why: str = ""
    core: Annotated[str, one_of(CORES)] = "lists"
    sources: dict[str, str] = Field(default_factory=dict)
    mesh: Mesh
    limits: Limits
    packing: Packing | None = None
    layers: LayerCores | None = None
    processors: ProcessorCores | None = None
    shared: SharedMemory | None = None
    formats: Formats | None = None
    # Whoever calculates has refused a chip that does not run (`refuse_to_run`).
    if TYPE_CHECKING:
        numbers: Numbers
        arithmetic: Arithmetic
    else:
        numbers: Numbers | None = None
        arithmetic: Arithmetic | None = None
    fabric: Fabric = Fabric()
    faults: Faults = Faults()
    timing: Timing | None = None
    energy: Energy | None = None

    @model_validator(mode="after")
    def _of_one_kind(self) -> "Chip":
        """Refuse what does not belong to the chip's kind of core."""
        problems = []
        for key, kinds, why in _OF_KINDS:
            given = self._at(key) is not None
            if given and self.core not in kinds:
                problems.append(f"{key}: not with core {self.core}: {why}; leave it out")
            if not given and self.core in kinds:
                problems.append(f"{key}: missing, but core {self.core} needs it: {why}")
        if self.core == "crossbar" and self.runs:
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
        refuse(problems)
        return self

    def __hash__(self) -> int:
        """Hash what decides a chip's network, so that chips are keys though they hold dicts."""
        return hash((self.name, self.mesh, self.fabric, self.faults, self.timing))

    @model_validator(mode="after")
    def _runs_or_says_why(self) -> "Chip":
        """Refuse arithmetic of a chip that does not run, and its lack in one that does."""
        problems = []
        for key, needed in (
            ("numbers", self.runs), ("arithmetic", self.runs), ("formats", not self.runs),
        ):  # fmt: skip
            given = getattr(self, key) is not None
            if needed and not given:
                problems.append(f"{key}: missing" + ("" if self.runs else ", but runs is false"))
            if given and not needed:
                problems.append(f"{key}: not with runs {str(self.runs).lower()}; leave it out")
        if self.runs and self.why:
            problems.append("why: says why a chip does not run, but runs is true; leave it out")
        if not self.runs and not self.why:
            problems.append("why: missing, but runs is false: say why nothing runs on this chip")
        if self.runs and self.core not in ("lists", "crossbar"):
            problems.append(f"core: {self.core} runs nowhere here; set runs to false")
        if self.shared is not None and (self.runs or self.core != "lists"):
            problems.append("shared: only with core lists and runs false; leave it out")
        refuse(problems)
        return self

    @model_validator(mode="after")
    def _layers_of_all_cores(self) -> "Chip":
        check_layers(self.layers, self.n_cores)
        return self

    @property
    def weight_bits(self) -> int:
        """Bits of a weight, also on a chip that does not run."""
        return self.numbers.weight_bits if self.formats is None else self.formats.weight_bits

    def _at(self, key: str) -> Any:
        """Value of a key such as ``limits.delay_max``."""
        value: Any = self
        for name in key.split("."):
            value = getattr(value, name)
        return value

    @model_validator(mode="after")
    def _compatible(self) -> "Chip":
        """Refuse rules and numbers that cannot work together."""
        if self.numbers is None or self.arithmetic is None:
            return self
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
        if numbers.membrane_fraction_bits is not None:
            if "membrane" not in rules.float_variables:
                problems.append(
                    f"numbers.membrane_fraction_bits: {numbers.membrane_fraction_bits}, but the "
                    "membrane is an integer, which has none; put membrane among float_variables"
                )
            if rules.membrane_decay not in FRACTIONS:
                problems.append(
                    f"numbers.membrane_fraction_bits: with arithmetic.membrane_decay "
                    f"{rules.membrane_decay}; fractions are cut {', '.join(FRACTIONS)}"
                )
        if "subtract-repeat" in rules.resets and numbers.spikes_per_tick_max == 1:
            problems.append(
                "arithmetic.resets: subtract-repeat with numbers.spikes_per_tick_max 1: it fires "
                "several times a tick; allow more, or take subtract"
            )
        if rules.input_overflow != "none" and numbers.input_bits == 62:
            problems.append("arithmetic.input_overflow: needs numbers.input_bits to overflow from")
        if rules.shifted_weight_overflow != "none" and numbers.shifted_weight_bits == 62:
            problems.append(
                "arithmetic.shifted_weight_overflow: needs numbers.shifted_weight_bits to overflow "
                "from"
            )
        if rules.drive_overflow != "none" and numbers.drive_bits == 62:
            problems.append("arithmetic.drive_overflow: needs numbers.drive_bits to overflow from")
        if self.limits.routing_entries_per_router is not None and not self.fabric.multicast:
            problems.append(
                "limits.routing_entries_per_router: with fabric.multicast false: each packet names "
                "the core that it goes to, so routers have no entries; leave it out, or set multicast"
            )
        refuse(problems)
        return self

    @model_validator(mode="after")
    def _whole_tree(self) -> "Chip":
        """Refuse a tree with another number of leaves than there are routers."""
        if self.fabric.fan_out is not None:
            leaves, routers = prod(self.fabric.fan_out), self.mesh.width * self.mesh.height
            if leaves != routers:
                raise ValueError(
                    f"fabric.fan_out: {' × '.join(map(str, self.fabric.fan_out))} = {leaves:,} "
                    f"leaves, but mesh.width × mesh.height has {routers:,} routers"
                )
        return self

    @model_validator(mode="after")
    def _packable(self) -> "Chip":
        """Refuse sizes too small for what they must hold: memory would be counted too low."""
        formats = "numbers" if self.runs else "formats"
        if self.packing is None or getattr(self, formats) is None:
            return self
        problems = []
        for sizes, key, need in (
            ("weight_bits_sizes", f"{formats}.weight_bits", getattr(self, formats).weight_bits),
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
        refuse(problems)
        return self

    @model_validator(mode="after")
    def _some_left(self) -> "Chip":
        """Refuse faults of what is not there, and those that leave a chip of no use."""
        if self.faults != Faults():
            refuse(problems_of_faults(self))
        return self

    @property
    def n_cores(self) -> int:
        """Cores of the whole chip, or of all where there are several; dead ones included."""
        mesh = self.mesh
        return mesh.width * mesh.height * mesh.cores_per_router * self.fabric.n_chips

    @property
    def usable(self) -> NDArray[np.int64]:
        """Cores that can hold neurons, ascending: neither dead nor reserved; int64 [n]."""
        return usable_cores(self)

    def limit(self, name: str) -> int:
        """Value of a limit; beyond any need where this kind of core has no such limit."""
        limit = getattr(self.limits, name)
        return LARGEST if limit is None else int(limit.value)

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
            if value.confidence == "absent":
                continue
            yield Row(key, value.value, value.low, value.high, value.source, value.confidence)
        elif isinstance(value, BaseModel):
            yield from _rows(key, value) if value != Faults() else ()
        elif path and value is not None and not name.endswith("source"):
            own = getattr(table, f"{name}_source", "")
            yield Row(key, value, None, None, own or inherited, "")
