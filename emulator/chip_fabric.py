"""The table ``[fabric]`` of a chip file: how packets travel, and where they wait."""

from typing import Annotated

from pydantic import BeforeValidator, model_validator

from emulator.chip_tables import (
    Count,
    Extent,
    Positive,
    Sourced,
    Table,
    Whole,
    list_to_tuple,
    one_of,
    refuse,
)

TOPOLOGIES = ("mesh", "torus", "tree", "crossbar")


_NO_TIME = Sourced[int](value=0, confidence="absent")


def _packets(value: int) -> Sourced[int]:
    return Sourced[int](value=value)


class Fabric(Table):
    """Topology, service times and buffers of the network-on-chip.

    The times that a packet takes over an idle hop and into an idle core are those of ``[timing]``;
    here stands for how long of them it keeps others from the same link (``link_ps``) or from the
    same core (``ejection_ps``), a packet of ``packet_bits`` being a plain spike. It is never more
    than the whole of them; left out, it is the whole: nothing is pipelined.

    Attributes
    ----------
    topology : {"mesh", "torus", "tree", "crossbar"}
        Over the routers of ``[mesh]``; a tree has them as its leaves, a crossbar is one router.
    fan_out : tuple of int, optional
        Of a tree: routers below each router, level by level from the root down.
    chips_x, chips_y : int
        Chips side by side, each with the routers of ``[mesh]``; only of a mesh.
    multicast : bool
        Whether one packet forks in the routers to all its cores, or one is sent to each.
    packet_bits : int
    link_ps, ejection_ps : int, optional
    link_bit_ps, ejection_bit_ps : int
        On top of them for each bit.
    off_chip_hop_ps, off_chip_link_ps : int, optional
        As ``hop_ew_ps`` and ``link_ps``, between chips; needed where there are several.
    link_buffer, injection_buffer, core_buffer : int
        Packets that wait behind each link, before the router at each core that sends, and in each
        core; 0 stands for any number.
    """

    topology: Annotated[str, one_of(TOPOLOGIES)] = "mesh"
    fan_out: Annotated[tuple[Positive, ...], BeforeValidator(list_to_tuple)] | None = None
    chips_x: Extent = 1
    chips_y: Extent = 1
    multicast: bool = False
    packet_bits: Whole = 32
    link_ps: Count | None = None
    link_bit_ps: Count = _NO_TIME
    ejection_ps: Count | None = None
    ejection_bit_ps: Count = _NO_TIME
    off_chip_hop_ps: Count | None = None
    off_chip_link_ps: Count | None = None
    link_buffer: Count = _packets(16)
    injection_buffer: Count = _packets(0)
    core_buffer: Count = _packets(16)

    @property
    def n_chips(self) -> int:
        """Chips side by side."""
        return self.chips_x * self.chips_y

    @model_validator(mode="after")
    def _of_one_topology(self) -> "Fabric":
        """Refuse what does not belong to the topology."""
        problems = []
        if (self.fan_out is None) == (self.topology == "tree"):
            problems.append(
                "fan_out: missing, but a tree needs it"
                if self.fan_out is None
                else f"fan_out: not with topology {self.topology}; leave it out"
            )
        if self.n_chips > 1 and self.topology != "mesh":
            problems.append(f"chips_x, chips_y: not with topology {self.topology}, only with mesh")
        if (self.n_chips > 1) != (self.off_chip_hop_ps is not None):
            problems.append(
                f"off_chip_hop_ps: missing, but there are {self.n_chips} chips"
                if self.n_chips > 1
                else "off_chip_hop_ps: there is one chip; set chips_x or chips_y, or leave it out"
            )
        if self.off_chip_link_ps is not None and self.off_chip_hop_ps is None:
            problems.append("off_chip_link_ps: needs off_chip_hop_ps")
        refuse(problems)
        return self
