"""Cases of benchmarks/mapping.py with layers that are never unrolled."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from emulator.chip import Chip
from emulator.chip_file import load_chip
from mapping.embedding import embedded
from mapping.layout.hypergraph import Flows
from mapping.layout.placers import PLACERS, Task
from mapping.linear import Convolution, Dense, constant
from mapping.network import Input, Network, Population, Projection
from mapping.outline import Outline
from mapping.plan import Choices, Plan, plan, quality

Size = tuple[int, int, int]
MANY = 10**9


@dataclass(frozen=True, kw_only=True)
class Stack:
    """Layers that hear each other in a row.

    Attributes
    ----------
    shapes : tuple
        Channels, rows and columns of each layer.
    steps : tuple
        From each layer to the next: kernel, stride and padding, or None for a full matrix.
    side : int
        Width and height of the mesh, one core a router.
    only_neurons : bool
        Whether a core is limited in nothing but neurons; else in all that Loihi's are.
    bars : dict of str to float
    """

    shapes: tuple[Size, ...]
    steps: tuple[tuple[int, int, int] | None, ...]
    side: int
    only_neurons: bool
    bars: Mapping[str, float]


STACKS: Mapping[str, Stack] = {
    "conv-1m": Stack(
        shapes=((64, 64, 64),) * 4, steps=((3, 1, 1),) * 3, side=32, only_neurons=True,
        bars={"hops": 2_000_000, "seconds": 15, "peak_rss_mb": 1000},
    ),
    "plan-10m": Stack(
        shapes=((16, 512, 512), (16, 512, 512), (32, 256, 256), (16, 64, 64), (4, 16, 16),
                (2000, 1, 1), (100, 1, 1)),
        steps=((3, 1, 1), (3, 2, 1), (4, 4, 0), (4, 4, 0), None, None),
        side=256, only_neurons=False, bars={"seconds": 60},
    ),
}  # fmt: skip


def chip_of(stack: Stack) -> Chip:
    """Loihi's cores on the stack's mesh."""
    plain = load_chip("loihi").model_dump()
    plain["mesh"] |= {"width": stack.side, "height": stack.side, "cores_per_router": 1}
    if stack.only_neurons:
        for name in ("in_axons_per_core", "out_axons_per_core", "synapse_words_per_core"):
            plain["limits"][name] = {"value": MANY}
    return Chip.model_validate(plain)


def outline_of(stack: Stack, chip: Chip) -> Outline:
    """Outline the stack; its first layer is driven by the host."""
    names = [f"layer{k}" for k in range(len(stack.shapes))]
    network = Network(
        dt_s=1e-3, inputs=(Input(name="in", shape=(1,)),),
        populations=tuple(
            Population(name=name, shape=shape, threshold=1.0)
            for name, shape in zip(names, stack.shapes, strict=True)
        ),
        projections=tuple(
            Projection(
                source=names[k], target=names[k + 1],
                linear=_linear(stack.shapes[k], stack.shapes[k + 1], step),
            )
            for k, step in enumerate(stack.steps)
        ),
        outputs=(names[-1],),
    )  # fmt: skip
    return Outline.before_rounding(network, chip, direct=frozenset({"in"}))


def _linear(source: Size, target: Size, step: tuple[int, int, int] | None) -> Dense | Convolution:
    if step is None:
        sizes = int(np.prod(target)), int(np.prod(source))
        return Dense(weight=constant(1.0, sizes), pre_shape=source, post_shape=target)
    kernel, stride, padding = step
    return Convolution(
        kernel=constant(1.0, (target[0], source[0], kernel, kernel)), pre_shape=source,
        stride=(stride,) * 2, padding=((padding,) * 2,) * 2, dilation=(1, 1),
    )  # fmt: skip


def warm_stack() -> None:
    """Compile what stacks run, on a small one."""
    small = Stack(
        shapes=((2, 36, 36),) * 2, steps=((3, 1, 1),), side=32, only_neurons=True, bars={}
    )
    stack_found(small, 0)


def stack_found(stack: Stack, seed: int) -> dict[str, Any]:
    """Cut and place a stack, and judge it; rates are random in [0, 1)."""
    chip = chip_of(stack)
    rng = np.random.default_rng(seed)
    begin, start = time.perf_counter(), time.process_time()
    outline = outline_of(stack, chip)
    rates = {p.name: rng.random(p.size) for p in outline.populations[:-1]}
    choices = Choices(partitioner="packed", placer="anneal", rates=rates, seed=seed)
    found = plan(outline, chip, choices)
    seconds, busy = time.perf_counter() - begin, time.process_time() - start
    judged = quality(found)
    base = judged.baseline
    return {
        "neurons": sum(p.size for p in outline.populations),
        "packets": judged.traffic.packets, "hops": judged.traffic.hops,
        "baseline_packets": None if base is None else base.packets,
        "baseline_hops": None if base is None else base.hops,
        "lower_bound": judged.bound, "cores": len(found.cores), "seconds": round(seconds, 3),
        "cpu_seconds": round(busy, 3),
        "partitioners": {
            "sequential": {"refused": "more cores than the mesh has"} if base is None
            else {"packets": base.packets, "hops": base.hops},
            "packed": {"packets": judged.traffic.packets, "cores": len(found.cores)},
        },
        "placers": placers_of(found, judged.flows) | {"anneal": {"hops": judged.traffic.hops}},
    }  # fmt: skip


def placers_of(found: Plan, flows: Flows) -> dict[str, dict[str, float]]:
    """Place the same cores with each of the other placers."""
    middle = embedded(found.cores, found.outline, found.floor)
    task = Task(flows=flows, floor=found.floor, starts=[] if middle is None else [middle])
    rows = {}
    for name in ("linear", "hilbert", "force"):
        begin = time.perf_counter()
        hops = task.hops(PLACERS[name](task, np.random.default_rng(0)))
        rows[name] = {"hops": hops, "seconds": round(time.perf_counter() - begin, 3)}
    return rows
