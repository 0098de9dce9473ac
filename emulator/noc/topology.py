"""What a network-on-chip is made of, as flat integer arrays, and builders of the usual ones.

A router reads its input buffers and sends through its links and through one ejection port for
each of its cores. Links are numbered so that those of a router follow one another; a table says
for each router and destination which of them is next. Every link feeds `n_classes` buffers at
its far end, each core has an injection queue, and each ejection port feeds its core's queue.
"""

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

# A second in ps: larger costs are slips, and sums of them leave 64 bits.
COST_MAX = 10**12
CORES_MAX = 2**20
HERE = -1
NOWHERE = -2


class Cost(NamedTuple):
    """What a link or an ejection port takes: service `fixed_ps + bits * bit_ps`, then a flight."""

    fixed_ps: int = 0
    bit_ps: int = 0
    flight_ps: int = 0


FREE_COST = Cost()


@dataclass(frozen=True, kw_only=True, eq=False)
class Noc:
    """A network-on-chip. All arrays are read-only; networks are equal only to themselves.

    Attributes
    ----------
    topology : str
        Name of the builder.
    n_routers, n_classes : int
        Routers, and buffers that each link feeds (more than one avoid deadlock on rings).
    core_router, core_local : int64 [n_cores]
        Router of a core, and its place among that router's cores.
    link_from, link_to : int64 [n_links]
        Routers; ascending by `link_from`.
    link_port : int64 [n_links]
        Input port at `link_to`; arbitration prefers lower ports among equally old packets. Ports
        of cores come after those of links.
    link_kind : int64 [n_links]
        Index into `kinds`.
    link_fixed_ps, link_bit_ps, link_flight_ps : int64 [n_links]
    eject_fixed_ps, eject_bit_ps, eject_flight_ps : int64 [n_cores]
    axon_ps, syn_ps : int64 [n_cores]
        Service of a core: `axon_ps` for a packet and `syn_ps` for each of its synaptic events.
    buffer, buffer_inject, buffer_core : int
        Slots of each link's buffers, of injection queues and of core queues; 0 is unbounded.
    step : int16 [n_routers, n_routers]
        Towards a destination router: (link's place among its router's) * n_classes + class of the
        buffer that it enters; `HERE` on the diagonal, `NOWHERE` where faults leave no way, of which
        no packet may be sent.
    kinds, link_name : tuple of str

    Raises
    ------
    ValueError
        Naming every array and number that contradicts another.
    """

    topology: str
    n_routers: int
    n_classes: int
    core_router: Array
    core_local: Array
    link_from: Array
    link_to: Array
    link_port: Array
    link_kind: Array
    link_fixed_ps: Array
    link_bit_ps: Array
    link_flight_ps: Array
    eject_fixed_ps: Array
    eject_bit_ps: Array
    eject_flight_ps: Array
    axon_ps: Array
    syn_ps: Array
    buffer: int
    buffer_inject: int
    buffer_core: int
    step: Array
    kinds: tuple[str, ...]
    link_name: tuple[str, ...]

    def __post_init__(self) -> None:
        problems = _problems(self)
        if problems:
            raise ValueError("\n".join(problems))
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, np.ndarray):
                value = np.ascontiguousarray(value).view()
                value.flags.writeable = False
                object.__setattr__(self, field.name, value)

    @property
    def n_cores(self) -> int:
        """Cores that send and receive."""
        return int(self.core_router.size)

    @property
    def n_links(self) -> int:
        """Directed links."""
        return int(self.link_from.size)

    @property
    def n_ports(self) -> int:
        """Links and ejection ports: the servers that arbitrate."""
        return self.n_links + self.n_cores

    @property
    def first_link(self) -> Array:
        """First link out of each router, int64 [n_routers + 1]."""
        return np.searchsorted(self.link_from, np.arange(self.n_routers + 1))

    def server_name(self, server: int) -> str:
        """Name a link, an ejection port or a core, numbered in this order."""
        if server < self.n_links:
            return self.link_name[server]
        if server < self.n_ports:
            return f"ejection of core {server - self.n_links}"
        return f"core {server - self.n_ports}"


def _problems(noc: Noc) -> list[str]:
    """List what is wrong with a network."""
    found = []
    n_links, n_cores = noc.link_from.size, noc.core_router.size
    if not 1 <= n_cores <= CORES_MAX:
        found.append(f"{n_cores:,} cores; 1 to {CORES_MAX:,} are possible")
    for field in fields(noc):
        size = n_links if field.name.startswith("link_") else n_cores
        value = getattr(noc, field.name)
        if not isinstance(value, np.ndarray) or field.name == "step":
            continue
        if value.shape != (size,) or value.dtype != np.int64:
            found.append(f"{field.name}: int64 [{size}] expected, got {value.dtype} {value.shape}")
        elif (
            field.name.endswith("_ps") and size and not 0 <= value.min() <= value.max() <= COST_MAX
        ):
            found.append(
                f"{field.name}: {value.min():,} to {value.max():,} ps; costs are 0 to {COST_MAX:,} ps"
            )
    for name in ("buffer", "buffer_inject", "buffer_core"):
        if not 0 <= getattr(noc, name) < 2**20:
            found.append(f"{name}: {getattr(noc, name):,} slots; 0 (unbounded) to {2**20 - 1:,}")
    if noc.step.shape != (noc.n_routers, noc.n_routers):
        found.append(f"step: a row and a column for each of {noc.n_routers} routers expected")
    for name in ("core_router", "link_from", "link_to"):
        found += _beyond(name, getattr(noc, name), noc.n_routers, "routers")
    found += _beyond("link_kind", noc.link_kind, len(noc.kinds), "kinds")
    if not found:
        found += _wrong_steps(noc)
    if np.any(np.diff(noc.link_from) < 0):
        found.append("link_from: must ascend, so that a router's links follow one another")
    if len(noc.link_name) != n_links:
        found.append(f"link_name: {len(noc.link_name)} names for {n_links} links")
    return found


def _beyond(name: str, values: Array, limit: int, of: str) -> list[str]:
    """Say if an array names what does not exist."""
    if values.size and not 0 <= values.min() <= values.max() < limit:
        return [f"{name}: {values.min()} to {values.max()}, but there are {limit} {of}"]
    return []


def _wrong_steps(noc: Noc) -> list[str]:
    """Say if routes between routers with cores use links that are not there."""
    used = np.unique(noc.core_router)
    n_links = np.bincount(noc.link_from, minlength=noc.n_routers)
    link = noc.step[:, used].astype(np.int64) // noc.n_classes
    wrong = np.argwhere((link >= n_links[:, None]) | (noc.step[:, used] < NOWHERE))
    if wrong.size:
        r, k = wrong[0]
        return [f"step: a route takes link {link[r, k]} of router {r}, which has {n_links[r]}"]
    return []


class Wire(NamedTuple):
    """A directed link as builders list it."""

    start: int
    end: int
    port: int
    kind: int
    cost: Cost
    name: str


class Common(NamedTuple):
    """What every topology is told: ejection, cores and buffers."""

    eject: Cost = FREE_COST
    axon_ps: int = 0
    syn_ps: int = 0
    buffer: int = 0
    buffer_inject: int = 0
    buffer_core: int = 0


PLAIN = Common()


def assemble(
    topology: str,
    n_routers: int,
    core_router: Array,
    wires: Sequence[Wire],
    step: Array,
    common: Common,
    kinds: tuple[str, ...],
    n_classes: int = 1,
) -> Noc:
    """Put a network together; `wires` in order of their start, as `step` counts them."""
    core_router = np.asarray(core_router, np.int64)
    n_cores = core_router.size
    order = np.argsort(core_router, kind="stable")
    first = np.searchsorted(core_router[order], core_router[order])
    local = np.empty(n_cores, np.int64)
    local[order] = np.arange(n_cores) - first

    def of_wires(take: Callable[[Wire], int]) -> Array:
        return np.array([take(wire) for wire in wires], np.int64)

    def of_cores(value: int) -> Array:
        return np.full(n_cores, value, np.int64)

    return Noc(
        topology=topology, n_routers=n_routers, n_classes=n_classes,
        core_router=core_router, core_local=local,
        link_from=of_wires(lambda w: w.start), link_to=of_wires(lambda w: w.end),
        link_port=of_wires(lambda w: w.port), link_kind=of_wires(lambda w: w.kind),
        link_fixed_ps=of_wires(lambda w: w.cost.fixed_ps),
        link_bit_ps=of_wires(lambda w: w.cost.bit_ps),
        link_flight_ps=of_wires(lambda w: w.cost.flight_ps),
        eject_fixed_ps=of_cores(common.eject.fixed_ps),
        eject_bit_ps=of_cores(common.eject.bit_ps),
        eject_flight_ps=of_cores(common.eject.flight_ps),
        axon_ps=of_cores(common.axon_ps), syn_ps=of_cores(common.syn_ps),
        buffer=common.buffer, buffer_inject=common.buffer_inject, buffer_core=common.buffer_core,
        step=step.astype(np.int16), kinds=kinds, link_name=tuple(w.name for w in wires),
    )  # fmt: skip


def at_least(least: int, **counts: int) -> None:
    """Refuse counts below a limit."""
    for name, count in counts.items():
        if operator.index(count) < least:
            raise ValueError(f"{name}: {count}; at least {least} is needed")


# Ports of a router on a grid, where "north" holds what came from the north neighbour, y + 1.
NORTH, EAST, SOUTH, WEST = range(4)
SIDES = ("north", "east", "south", "west")
DX, DY = (0, 1, 0, -1), (1, 0, -1, 0)
OPPOSITE = (SOUTH, WEST, NORTH, EAST)


def _grid_numbers(width: int, height: int, tile_order: str) -> tuple[Array, Array]:
    """Return x and y of each router."""
    router = np.arange(width * height)
    if tile_order == "row-major":
        return router % width, router // width
    if tile_order == "column-major":
        return router // height, router % height
    raise ValueError(f"tile_order: {tile_order!r}; row-major and column-major are known")


def _grid(
    topology: str,
    width: int,
    height: int,
    cores_per_router: int,
    tile_order: str,
    common: Common,
    costs: Callable[[int, int, int], tuple[int, Cost] | None],
    sides: Array,
    kinds: tuple[str, ...],
    classes: Array | None = None,
) -> Noc:
    """Build a grid of routers.

    `costs(x, y, side)` gives kind and cost of the link that leaves on a side, or None where there
    is none; `sides` [n_routers, n_routers] the side on which a route leaves, `HERE` on the
    diagonal; `classes` likewise the buffer class that it enters.
    """
    x, y = _grid_numbers(width, height, tile_order)
    n_routers = width * height
    number = np.empty((width, height), np.int64)
    number[x, y] = np.arange(n_routers)
    wires: list[Wire] = []
    place = np.zeros((n_routers, 4), np.int64)  # of a side among the links of its router
    for r in range(n_routers):
        n_before = len(wires)
        for side in range(4):
            told = costs(int(x[r]), int(y[r]), side)
            if told is None:
                continue
            place[r, side] = len(wires) - n_before
            end = number[(x[r] + DX[side]) % width, (y[r] + DY[side]) % height]
            name = f"({x[r]},{y[r]}) {SIDES[side]}"
            wires.append(Wire(r, int(end), OPPOSITE[side], told[0], told[1], name))
    step = np.take_along_axis(place, np.where(sides == HERE, 0, sides), axis=1)
    n_classes = 1 if classes is None else 2
    step = step * n_classes + (0 if classes is None else classes)
    step[sides == HERE] = HERE
    core_router = np.repeat(np.arange(n_routers), cores_per_router)
    return assemble(
        topology, n_routers, core_router, wires, step, common, kinds, n_classes=n_classes
    )


def _x_then_y(x: Array, y: Array) -> Array:
    """Return the side on which X-then-Y routing leaves, [n_routers, n_routers]."""
    dx, dy = x[None, :] - x[:, None], y[None, :] - y[:, None]
    return np.select([dx > 0, dx < 0, dy > 0, dy < 0], [EAST, WEST, NORTH, SOUTH], HERE)


def mesh(
    *,
    width: int,
    height: int,
    cores_per_router: int = 1,
    tile_order: str = "row-major",
    east_west: Cost = FREE_COST,
    north_south: Cost = FREE_COST,
    common: Common = PLAIN,
) -> Noc:
    """Build a mesh with X-then-Y routing.

    Parameters
    ----------
    width, height, cores_per_router : int
        Core k sits at router k // cores_per_router.
    tile_order : {"row-major", "column-major"}
        Router (x, y) is y * width + x, or x * height + y.
    east_west, north_south : Cost
    common : Common
    """
    at_least(1, width=width, height=height, cores_per_router=cores_per_router)

    def costs(x: int, y: int, side: int) -> tuple[int, Cost] | None:
        if not (0 <= x + DX[side] < width and 0 <= y + DY[side] < height):
            return None
        return (0, east_west) if DX[side] else (1, north_south)

    sides = _x_then_y(*_grid_numbers(width, height, tile_order))
    kinds = ("east-west", "north-south")
    return _grid("mesh", width, height, cores_per_router, tile_order, common, costs, sides, kinds)


def chips(
    *,
    chips_x: int,
    chips_y: int,
    width: int,
    height: int,
    cores_per_router: int = 1,
    tile_order: str = "row-major",
    east_west: Cost = FREE_COST,
    north_south: Cost = FREE_COST,
    between: Cost = FREE_COST,
    common: Common = PLAIN,
) -> Noc:
    """Build a mesh of chips, each a mesh of `width` x `height`; X-then-Y over the whole.

    Routers are numbered chip by chip (chips row by row), within a chip as `tile_order` says.
    `between` is what a link from chip to chip costs; other arguments are as in `mesh`.
    """
    at_least(1, chips_x=chips_x, chips_y=chips_y, width=width, height=height)
    at_least(1, cores_per_router=cores_per_router)
    wide, high = chips_x * width, chips_y * height

    def costs(x: int, y: int, side: int) -> tuple[int, Cost] | None:
        to_x, to_y = x + DX[side], y + DY[side]
        if not (0 <= to_x < wide and 0 <= to_y < high):
            return None
        if (x // width, y // height) != (to_x // width, to_y // height):
            return 2, between
        return (0, east_west) if DX[side] else (1, north_south)

    sides = _x_then_y(*_grid_numbers(wide, high, "row-major"))
    kinds = ("east-west", "north-south", "between chips")
    whole = _grid("chips", wide, high, cores_per_router, "row-major", common, costs, sides, kinds)
    if chips_x * chips_y == 1 and tile_order == "row-major":
        return whole
    return _by_chip(whole, chips_x, chips_y, width, height, tile_order)


def _by_chip(
    whole: Noc, chips_x: int, chips_y: int, width: int, height: int, tile_order: str
) -> Noc:
    """Number the cores of a whole mesh chip by chip; its routers keep their numbers."""
    x, y = _grid_numbers(width, height, tile_order)
    cx, cy = _grid_numbers(chips_x, chips_y, "row-major")
    router = (cy[:, None] * height + y) * (chips_x * width) + cx[:, None] * width + x
    per_router = whole.n_cores // whole.n_routers
    values = {field.name: getattr(whole, field.name) for field in fields(whole)}
    values["core_router"] = np.repeat(router.ravel(), per_router)
    return Noc(**values)


def torus(
    *,
    width: int,
    height: int,
    cores_per_router: int = 1,
    tile_order: str = "row-major",
    east_west: Cost = FREE_COST,
    north_south: Cost = FREE_COST,
    common: Common = PLAIN,
) -> Noc:
    """Build a torus: X then Y, each the shorter way round, towards + where both are equal.

    Every link feeds two buffers. A packet that still has to pass the end of its ring travels in
    class 1, else in class 0 (Dally and Seitz, IEEE Trans. Computers C-36(5), 1987): class 1 never
    goes round, and class 0 never passes the end, so that no cycle of full buffers can wait for
    itself, however small they are.
    """
    at_least(1, width=width, height=height, cores_per_router=cores_per_router)

    def costs(x: int, y: int, side: int) -> tuple[int, Cost] | None:
        if DX[side]:
            return None if width == 1 else (0, east_west)
        return None if height == 1 else (1, north_south)

    x, y = _grid_numbers(width, height, tile_order)
    dx, dy = (x[None, :] - x[:, None]) % width, (y[None, :] - y[:, None]) % height
    east, north = 2 * dx <= width, 2 * dy <= height
    sides = np.select(
        [(dx > 0) & east, dx > 0, (dy > 0) & north, dy > 0], [EAST, WEST, NORTH, SOUTH], HERE
    )
    here = np.where(np.isin(sides, (EAST, WEST)), x[:, None], y[:, None])
    goal = np.where(np.isin(sides, (EAST, WEST)), x[None, :], y[None, :])
    wraps = np.where(np.isin(sides, (EAST, NORTH)), goal < here, goal > here)
    kinds = ("east-west", "north-south")
    return _grid(
        "torus", width, height, cores_per_router, tile_order, common, costs, sides, kinds,
        classes=wraps.astype(np.int64),
    )  # fmt: skip


def tree(
    *,
    fan_out: Sequence[int],
    cores_per_router: int = 1,
    up: Cost = FREE_COST,
    down: Cost = FREE_COST,
    common: Common = PLAIN,
) -> Noc:
    """Build a tree of routers whose leaves carry the cores; up to the common ancestor, then down.

    Parameters
    ----------
    fan_out : sequence of int
        Children of a router at each level, from the root down; empty is a single router.
    cores_per_router : int
        Of each leaf.
    up, down : Cost
    common : Common
    """
    at_least(1, cores_per_router=cores_per_router)
    for level, fan in enumerate(fan_out):
        at_least(1, **{f"fan_out[{level}]": fan})
    parent, level_first = [-1], [0, 1]
    for fan in fan_out:
        above = range(level_first[-2], level_first[-1])
        parent += [r for r in above for _ in range(fan)]
        level_first.append(len(parent))
    n_routers = len(parent)
    children: list[list[int]] = [[] for _ in range(n_routers)]
    for r in range(1, n_routers):
        children[parent[r]].append(r)
    wires, step = [], np.full((n_routers, n_routers), HERE)
    for r in range(n_routers):
        if r:
            port = 1 + children[parent[r]].index(r)
            wires.append(Wire(r, parent[r], port, 0, up, f"router {r} up"))
            step[r] = 0
        wires += [Wire(r, c, 0, 1, down, f"router {r} down to {c}") for c in children[r]]
    for r in range(n_routers - 1, -1, -1):
        step[r, r] = HERE
        below, at = r, parent[r]
        while at >= 0:  # every ancestor of r goes down towards it
            step[at, r] = children[at].index(below) + (at > 0)
            below, at = at, parent[at]
    leaves = np.arange(level_first[-2], level_first[-1])
    core_router = np.repeat(leaves, cores_per_router)
    return assemble("tree", n_routers, core_router, wires, step, common, ("up", "down"))


def crossbar(*, n_cores: int, common: Common = PLAIN) -> Noc:
    """Build a single router that joins all cores: packets wait for their target's port only."""
    at_least(1, n_cores=n_cores)
    step = np.full((1, 1), HERE)
    return assemble("crossbar", 1, np.zeros(n_cores, np.int64), [], step, common, ())


TOPOLOGIES: Mapping[str, Callable[..., Noc]] = {
    "mesh": mesh,
    "torus": torus,
    "tree": tree,
    "crossbar": crossbar,
    "chips": chips,
}
