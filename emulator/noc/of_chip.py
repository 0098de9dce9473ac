"""The network-on-chip that a chip file describes."""

import re
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emulator.chip import Chip
from emulator.chip_tables import Sourced
from emulator.errors import FabricChoiceError
from emulator.noc.detours import around
from emulator.noc.topology import EAST, WEST, Common, Cost, Noc, chips, crossbar, mesh, torus, tree
from emulator.routers import Place, grid_size, is_grid, number_of, router_of
from emulator.traffic import unit_of_work

Array = NDArray[Any]

WHOLE_MESH = 1024
"""Routers of the largest mesh that is built whole. Of a larger one it is the rectangle around the
cores in use, which X-then-Y never leaves; ways around faults may."""
MOST_ROUTERS = 4096


def noc_of(chip: Chip, core: Array) -> tuple[Noc, Array]:
    """Build a chip's network.

    Parameters
    ----------
    core : int array [n]
        Places of the cores in use.

    Returns
    -------
    (noc, core)
        Where each of the cores lies in it, int64 [n].

    Raises
    ------
    FabricChoiceError
        If there are too many routers.
    """
    core = np.asarray(core, np.int64)
    if chip.faults.on_ways:
        return _around_faults(chip), core
    return _BUILDERS[chip.fabric.topology](chip, core)


@lru_cache(maxsize=4)
def _around_faults(chip: Chip) -> Noc:
    """Build the whole network without its dead links and routers; see `emulator.noc.detours`."""
    noc, _ = _BUILDERS[chip.fabric.topology](chip, np.arange(chip.n_cores))
    wires = np.array(
        [[_router(place, chip) for place in wire] for wire in chip.faults.dead_wires], np.int64
    ).reshape(-1, 2)
    n = noc.n_routers
    dead = np.isin(noc.link_from * n + noc.link_to, wires[:, 0] * n + wires[:, 1])
    for place in chip.faults.dead_routers:
        router = _router(place, chip)
        dead |= (noc.link_from == router) | (noc.link_to == router)
    roots, axis = [0], None
    if is_grid(chip):
        right, top = (size - 1 for size in grid_size(chip))
        along_x = np.isin(noc.link_port, (EAST, WEST))
        axis = (along_x == (right >= top)).astype(np.int64)
        roots = [_router((x, y), chip) for x in (0, right) for y in (0, top)]
    return around(noc, dead, noc.core_router[chip.usable], roots, axis)


def _router(place: Place, chip: Chip) -> int:
    """Return a router's number in the network; grids of one chip count as its tiles do."""
    if is_grid(chip) and chip.fabric.n_chips == 1 and chip.mesh.tile_order == "column-major":
        return place[0] * chip.mesh.height + place[1]
    return number_of(place, chip)


def _value(sourced: Sourced[int] | None, otherwise: int) -> int:
    return otherwise if sourced is None else sourced.value


def _cost(
    chip: Chip, whole: Sourced[int] | None, service: Sourced[int] | None, bit_ps: int
) -> Cost:
    """Divide the time of a plain packet into the part that keeps others out and the rest."""
    whole_ps = _value(whole, 0)
    most = max(whole_ps - chip.fabric.packet_bits * bit_ps, 0)
    fixed = min(_value(service, most), most)
    return Cost(fixed_ps=fixed, bit_ps=bit_ps, flight_ps=most - fixed)


def _link(chip: Chip, direction: str) -> Cost:
    if chip.timing is None:
        return Cost()
    whole = getattr(chip.timing, f"hop_{direction}_ps")
    return _cost(chip, whole, chip.fabric.link_ps, chip.fabric.link_bit_ps.value)


def _common(chip: Chip) -> Common:
    fabric, timing = chip.fabric, chip.timing
    waiting = Common(
        buffer=fabric.link_buffer.value,
        buffer_inject=fabric.injection_buffer.value,
        buffer_core=fabric.core_buffer.value,
    )
    if timing is None:
        return waiting
    eject = _cost(chip, timing.local_spike_ps, fabric.ejection_ps, fabric.ejection_bit_ps.value)
    return waiting._replace(eject=eject, axon_ps=timing.axon_in_ps.value, syn_ps=unit_of_work(chip))


def _mesh(chip: Chip, core: Array) -> tuple[Noc, Array]:
    grid, fabric = chip.mesh, chip.fabric
    east_west, north_south, common = _link(chip, "ew"), _link(chip, "ns"), _common(chip)
    if fabric.n_chips > 1:
        between = _cost(
            chip, fabric.off_chip_hop_ps, fabric.off_chip_link_ps, fabric.link_bit_ps.value
        )
        _check_size(chip, grid.width * grid.height * fabric.n_chips)
        whole = chips(
            chips_x=fabric.chips_x, chips_y=fabric.chips_y, width=grid.width, height=grid.height,
            cores_per_router=grid.cores_per_router, tile_order=grid.tile_order, between=between, east_west=east_west, north_south=north_south, common=common,
        )  # fmt: skip
        return whole, core
    if chip.faults.on_ways or grid.width * grid.height <= WHOLE_MESH:
        _check_size(chip, grid.width * grid.height)
        whole = mesh(
            width=grid.width, height=grid.height, cores_per_router=grid.cores_per_router,
            tile_order=grid.tile_order, east_west=east_west, north_south=north_south, common=common,
        )  # fmt: skip
        return whole, core
    local = core % grid.cores_per_router
    x, y = router_of(core, chip)
    left, low = int(x.min()), int(y.min())
    width, height = int(x.max()) - left + 1, int(y.max()) - low + 1
    _check_size(chip, width * height)
    part = mesh(
        width=width, height=height, cores_per_router=grid.cores_per_router,
        east_west=east_west, north_south=north_south, common=common,
    )  # fmt: skip
    names = tuple(_moved(name, left, low) for name in part.link_name)
    there = ((y - low) * width + x - left) * grid.cores_per_router + local
    return replace(part, link_name=names), there


def _moved(name: str, dx: int, dy: int) -> str:
    """Name a link by where its router lies on the whole chip."""
    return re.sub(
        r"^\((\d+),(\d+)\)", lambda at: f"({int(at[1]) + dx},{int(at[2]) + dy})", name, count=1
    )


def _torus(chip: Chip, core: Array) -> tuple[Noc, Array]:
    grid = chip.mesh
    _check_size(chip, grid.width * grid.height)
    whole = torus(
        width=grid.width, height=grid.height, cores_per_router=grid.cores_per_router,
        tile_order=grid.tile_order, east_west=_link(chip, "ew"), north_south=_link(chip, "ns"), common=_common(chip),
    )  # fmt: skip
    return whole, core


def _tree(chip: Chip, core: Array) -> tuple[Noc, Array]:
    """Up costs what a hop east or west does, down what one north or south does."""
    _check_size(chip, 2 * chip.mesh.width * chip.mesh.height)
    whole = tree(
        fan_out=chip.fabric.fan_out or (), cores_per_router=chip.mesh.cores_per_router,
        up=_link(chip, "ew"), down=_link(chip, "ns"), common=_common(chip),
    )  # fmt: skip
    return whole, core


def _crossbar(chip: Chip, core: Array) -> tuple[Noc, Array]:
    return crossbar(n_cores=chip.n_cores, common=_common(chip)), core


def _check_size(chip: Chip, n_routers: int) -> None:
    if n_routers > MOST_ROUTERS:
        raise FabricChoiceError(
            f"{chip.name}: a {chip.fabric.topology} of {n_routers:,} routers, but routes are held "
            f"in a table for at most {MOST_ROUTERS:,}; use fewer cores or chips"
        )


_BUILDERS = {"mesh": _mesh, "torus": _torus, "tree": _tree, "crossbar": _crossbar}
