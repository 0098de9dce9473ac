"""The table ``[faults]`` of a chip file: what of a chip does not work, or is kept free."""

import re
from collections.abc import Iterable
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator

from emulator.chip_tables import Table, Whole, list_to_tuple
from emulator.routers import Place

_PLACE = r"\(?\s*(\d{1,9})(?:\s*,\s*(\d{1,9}))?\s*\)?"
_ROUTER = re.compile(rf"\s*{_PLACE}\s*")
_LINK = re.compile(rf"\s*{_PLACE}\s*(<->|->|-)\s*{_PLACE}\s*")

Wire = tuple[Place, Place]
"""A link in one direction: where it begins and ends."""


def read_router(text: str) -> Place:
    """Read ``"3,1"``, a router of a grid at x 3 and y 1, or ``"4"``, one of a tree.

    Raises
    ------
    ValueError
    """
    found = _ROUTER.fullmatch(text)
    if found is None:
        raise ValueError(f'{text!r} is no router; write "x,y", or its number on a tree')
    return _place(found[1], found[2])


def read_link(text: str) -> tuple[Wire, ...]:
    """Read ``"2,1 - 3,1"``, a link in both directions, or ``"2,1 -> 3,1"``, in one.

    Raises
    ------
    ValueError
    """
    found = _LINK.fullmatch(text)
    if found is None:
        raise ValueError(
            f'{text!r} is no link; write two routers with - between them ("2,1 - 3,1"), or -> '
            'where only that direction is dead ("2,1 -> 3,1")'
        )
    one, other = _place(found[1], found[2]), _place(found[4], found[5])
    if one == other:
        raise ValueError(f"{text!r} joins a router with itself; write two neighbours")
    return ((one, other),) if found[3] == "->" else ((one, other), (other, one))


def _place(first: str, second: str | None) -> Place:
    return (int(first),) if second is None else (int(first), int(second))


def router_text(place: Place) -> str:
    """Write a router as `read_router` reads it."""
    return ",".join(map(str, place))


def link_texts(wires: Iterable[Wire]) -> tuple[str, ...]:
    """Write links, each pair of routers once where both directions are dead."""
    dead = set(wires)
    return tuple(
        f"{router_text(one)} {'-' if (other, one) in dead else '->'} {router_text(other)}"
        for one, other in sorted(dead)
        if one < other or (other, one) not in dead
    )


def _in_order(values: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(sorted(set(values)))


def _routers(values: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(router_text(place) for place in _in_order(tuple(map(read_router, values))))


def _links(values: tuple[str, ...]) -> tuple[str, ...]:
    return link_texts(wire for text in values for wire in read_link(text))


Numbers = Annotated[tuple[Whole, ...], BeforeValidator(list_to_tuple), AfterValidator(_in_order)]


class Faults(Table):
    """Dead and reserved parts; in order and each once, so that equal faults have equal hashes.

    Attributes
    ----------
    cores : tuple of int
        Dead cores. Their routers work.
    reserved : tuple of int
        Cores kept free of neurons.
    routers : tuple of str
        Dead routers, with all their cores and links; see `read_router`.
    links : tuple of str
        Dead links between neighbouring routers; see `read_link`.
    """

    cores: Numbers = ()
    reserved: Numbers = ()
    routers: Annotated[
        tuple[str, ...], BeforeValidator(list_to_tuple), AfterValidator(_routers)
    ] = ()
    links: Annotated[tuple[str, ...], BeforeValidator(list_to_tuple), AfterValidator(_links)] = ()

    @property
    def dead_routers(self) -> tuple[Place, ...]:
        """Dead routers."""
        return tuple(map(read_router, self.routers))

    @property
    def dead_wires(self) -> tuple[Wire, ...]:
        """Dead links, direction by direction; those of dead routers are not listed."""
        return tuple(wire for text in self.links for wire in read_link(text))

    @property
    def on_ways(self) -> bool:
        """Whether packets cannot all go their usual ways."""
        return bool(self.routers or self.links)
