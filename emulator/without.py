"""Take parts away from a chip, as ``--without`` on the command line says.

    core 5           cores 5-9        cores 1,3,5-9      dead cores
    reserved 0-3                                         cores kept free of neurons
    router 3,1       router 7                            a dead router: at x 3 and y 1, or by number
    link 3,1 - 4,1   link 7-8                            a dead link, in both directions
    link 3,1 -> 4,1  link 7->8                           the same in one direction

Router numbers count as cores do: core k sits at router k // cores_per_router. On a tree they are
those of its routers, 0 for the root, level by level.
"""

import re
from collections.abc import Iterable, Sequence

import numpy as np
from pydantic import ValidationError

from emulator.chip import Chip
from emulator.chip_faults import Faults, Wire, link_texts, read_link, read_router, router_text
from emulator.routers import Place, is_grid, router_of

_FAULT = re.compile(r"\s*(cores?|reserved|routers?|links?)\b\s*(.*?)\s*", re.IGNORECASE)
_RANGE = re.compile(r"\s*(\d{1,9})\s*(?:-\s*(\d{1,9})\s*)?")


def chip_without(chip: Chip, faults: Sequence[str]) -> Chip:
    """Return a chip without some of its parts, on top of its own faults.

    Parameters
    ----------
    chip : Chip
    faults : sequence of str
        Each as in the table above.

    Raises
    ------
    ValueError
        If one says nothing that is known, or with every way in which the rest of the chip is of no
        use: parts that are not there, no core left, cores cut off.
    """
    found: dict[str, list[object]] = {name: [] for name in Faults.model_fields}
    for text in faults:
        match = _FAULT.fullmatch(text)
        if match is None or not match[2]:
            raise ValueError(
                f"without {text!r}: nothing known; write for example 'core 5', 'cores 5-9,12', "
                "'reserved 0-3', 'router 3,1', 'link 3,1 - 4,1' or 'link 3,1 -> 4,1'"
            )
        kind = match[1].lower().rstrip("s")
        try:
            if kind in ("core", "reserved"):
                found["reserved" if kind == "reserved" else "cores"] += _cores(match[2], chip)
            elif kind == "router":
                found["routers"].append(router_text(_located(read_router(match[2]), chip)))
            else:
                found["links"] += link_texts(_located_wires(read_link(match[2]), chip))
        except ValueError as error:
            raise ValueError(f"without {text!r}: {error}") from None
    own = chip.faults.model_dump()
    together = {name: (*own[name], *found[name]) for name in own}
    try:
        return Chip.model_validate({**chip.model_dump(), "faults": together})
    except ValidationError as error:
        told = [problem["msg"].removeprefix("Value error, ") for problem in error.errors()]
        raise ValueError(f"{chip.name} without {', '.join(faults)}: " + "\n".join(told)) from None


def _cores(text: str, chip: Chip) -> list[object]:
    """Read ``"1,3,5-9"``."""
    found: list[object] = []
    for part in text.split(","):
        match = _RANGE.fullmatch(part)
        if match is None:
            raise ValueError(f"{part.strip()!r} is no core; write numbers and ranges, as in 1,5-9")
        first, last = int(match[1]), int(match[2] or match[1])
        if last < first:
            raise ValueError(f"{part.strip()}: the first core is after the last")
        if last >= chip.n_cores:
            raise ValueError(f"core {last}, but {chip.name} has cores 0 to {chip.n_cores - 1:,}")
        found += range(first, last + 1)
    return found


def _located_wires(wires: Iterable[Wire], chip: Chip) -> list[Wire]:
    return [(_located(one, chip), _located(other, chip)) for one, other in wires]


def _located(place: Place, chip: Chip) -> Place:
    """Turn a router's number on a grid into its x and y."""
    if len(place) == 2 or not is_grid(chip):
        return place
    n = chip.n_cores // chip.mesh.cores_per_router
    if place[0] >= n:
        raise ValueError(f"router {place[0]}, but {chip.name} has routers 0 to {n - 1:,}")
    x, y = router_of(np.array([place[0] * chip.mesh.cores_per_router]), chip)
    return int(x[0]), int(y[0])
