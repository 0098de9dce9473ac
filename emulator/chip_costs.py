"""The tables of a chip file that say what time and energy it takes."""

from itertools import pairwise
from typing import Annotated, Any, Generic, Literal

from pydantic import BeforeValidator, Discriminator, Field, Tag, model_validator

from emulator.chip_tables import (
    Cost,
    Count,
    Number,
    Positive,
    Sourced,
    Table,
    Whole,
    bare_number,
    list_to_tuple,
)
from emulator.neuron import KINDS


class ByKind(Table, Generic[Number]):
    """A cost of each kind of synapse."""

    dense: Annotated[Sourced[Number], BeforeValidator(bare_number)]
    sparse: Annotated[Sourced[Number], BeforeValidator(bare_number)]
    convolution: Annotated[Sourced[Number], BeforeValidator(bare_number)]


def _shape(value: Any) -> str:
    """Whether a cost is one number or a table by kind; the tag never reaches an error's text."""
    tabled = isinstance(value, ByKind) or (
        isinstance(value, dict) and not value.keys().isdisjoint(KINDS)
    )
    return "[by kind]" if tabled else "[number]"


EventCount = Annotated[
    Annotated[Count, Tag("[number]")] | Annotated[ByKind[int], Tag("[by kind]")],
    Discriminator(_shape),
]
EventCost = Annotated[
    Annotated[Cost, Tag("[number]")] | Annotated[ByKind[float], Tag("[by kind]")],
    Discriminator(_shape),
]


def by_kind(cost: Sourced[Number] | ByKind[Any]) -> tuple[Sourced[Number], ...]:
    """Return a cost for each of `KINDS`, the same for all where the file has one number."""
    if isinstance(cost, Sourced):
        return (cost,) * len(KINDS)
    return tuple(getattr(cost, kind) for kind in KINDS)


_NO_TIME = Sourced[int](value=0, confidence="absent")
_NO_ENERGY = Sourced[float](value=0.0, confidence="absent")


class Timing(Table):
    """Picoseconds.

    A neuron that fires takes ``spike_ps`` on top of its update, and ``axon_out_ps`` for each packet;
    a core takes ``axon_in_ps`` for each packet that comes, and its synaptic events.

    An input channel on a core takes ``channel_active_ps`` in ticks in which it sends and
    ``channel_inactive_ps`` in others; left out, as much as a neuron.

    ``barrier`` lists (tiles, ps); ``barrier_rule`` says what holds between two of its points: a
    straight ``line``, or the ``step`` of the largest number of tiles that is not above.
    """

    neuron_active_ps: Count
    neuron_inactive_ps: Count
    spike_ps: Count = _NO_TIME
    axon_out_ps: Count = _NO_TIME
    channel_active_ps: Count | None = None
    channel_inactive_ps: Count | None = None
    synaptic_event_ps: EventCount
    axon_in_ps: Count
    hop_ew_ps: Count
    hop_ns_ps: Count
    local_spike_ps: Count
    barrier: Annotated[
        tuple[tuple[Positive, Whole], ...], BeforeValidator(list_to_tuple), Field(min_length=1)
    ]
    barrier_rule: Literal["line", "step"] = "line"
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
        of the points the nearest one holds, whatever the rule.
        """
        first_tiles, first_ps = self.barrier[0]
        if n_tiles <= first_tiles:
            return first_ps
        for (tiles, ps), (next_tiles, next_ps) in pairwise(self.barrier):
            if n_tiles < next_tiles:
                if self.barrier_rule == "step":
                    return ps
                return round(ps + (next_ps - ps) * (n_tiles - tiles) / (next_tiles - tiles))
        return self.barrier[-1][1]


class Energy(Table):
    """Picojoules for each event, and the power that flows without any.

    A neuron that fires costs ``spike_pj`` on top of its update, and ``axon_out_pj`` for each packet
    that it sends; ``local_spike_pj`` is that of a packet's delivery, whatever its way.
    """

    neuron_active_pj: Cost
    neuron_inactive_pj: Cost
    spike_pj: Cost = _NO_ENERGY
    axon_out_pj: Cost = _NO_ENERGY
    synaptic_event_pj: EventCost
    local_spike_pj: Cost
    hop_ew_pj: Cost
    hop_ns_pj: Cost
    off_chip_hop_pj: Cost = _NO_ENERGY
    static_power_w: Cost
