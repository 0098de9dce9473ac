"""Cases of benchmarks/mapping.py with layers that are never unrolled."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from mapping.layout.boxes import (
    Convolution,
    Layer,
    Size,
    counted,
    dense,
    embedded,
    out_axons,
    stack_flows,
    stack_placed,
)
from mapping.layout.floor import Floor
from mapping.layout.placers import PLACERS, Task, lower_bound

SAME = Convolution(kernel=(3, 3), padding=(1, 1))
HALF = Convolution(kernel=(3, 3), stride=(2, 2), padding=(1, 1))


@dataclass(frozen=True, kw_only=True)
class Stack:
    """Layers that hear each other in a row.

    Attributes
    ----------
    shapes, boxes : tuple
        Of each layer.
    steps : tuple of Convolution
        From each layer to the next.
    side : int
        Width and height of the mesh.
    bars : dict of str to float
    """

    shapes: tuple[Size, ...]
    boxes: tuple[Size, ...]
    steps: tuple[Convolution, ...]
    side: int
    bars: Mapping[str, float]

    def layers(self) -> list[Layer]:
        pairs = zip(self.shapes, self.boxes, strict=True)
        return [Layer(shape=shape, box=box) for shape, box in pairs]


STACKS: Mapping[str, Stack] = {
    "conv-1m": Stack(
        shapes=((64, 64, 64),) * 4, boxes=((64, 4, 4),) * 4, steps=(SAME,) * 3, side=32,
        bars={"hops": 2_000_000, "seconds": 15, "peak_rss_mb": 1000},
    ),
    "plan-10m": Stack(
        shapes=((16, 512, 512), (16, 512, 512), (32, 256, 256), (16, 64, 64), (4, 16, 16),
                (2000, 1, 1), (100, 1, 1)),
        boxes=((16, 8, 8), (16, 8, 8), (32, 4, 8), (16, 8, 8), (4, 16, 16), (100, 1, 1),
               (50, 1, 1)),
        steps=(SAME, HALF, Convolution(kernel=(4, 4), stride=(4, 4)),
               Convolution(kernel=(4, 4), stride=(4, 4)), dense((4, 16, 16)), dense((2000, 1, 1))),
        side=104, bars={"seconds": 60},
    ),
}  # fmt: skip


def list_words(bits: int, longest: int) -> Any:
    """Words of lists of 0, 1, 2, … synapses, as Loihi's blocks hold them; int64."""
    n = np.arange(longest + 1)
    rest = np.where(n % 64, -(-(n % 64 * bits + 10) // 64), 0)
    return n // 64 * -(-(64 * bits + 10) // 64) + rest


def in_rows(shape: Size, room: int = 1024) -> Size:
    """Return the box of a sequential fill: whole rows, or whole channels where they are small."""
    if shape[1] * shape[2] <= room:
        return min(shape[0], room // (shape[1] * shape[2])), shape[1], shape[2]
    return 1, min(shape[1], max(room // shape[2], 1)), min(shape[2], room)


def counts(layers: list[Layer], steps: tuple[Convolution, ...]) -> dict[str, int]:
    """Most that a core takes of each resource, lists of shared weights."""
    neurons = [int(np.prod(layers[0].box))]
    axons, words, out = [0], [0], [0]
    for source, layer, step in zip(layers, layers[1:], steps, strict=False):
        table = list_words(18, int(np.prod(layer.box)))
        taken = counted(source, layer, step, table, shared=layer.shape[1] > 1)
        neurons.append(int(taken.neurons.max()))
        axons.append(int(taken.in_axons.max()))
        words.append(int(taken.words.max()))
        out.append(int(out_axons(source, layer, step).max()))
    return {
        "most_neurons": max(neurons), "most_in_axons": max(axons), "most_out_axons": max(out),
        "most_words": max(words),
    }  # fmt: skip


def warm_stack() -> None:
    """Compile what stacks run, on a small one."""
    small = Stack(
        shapes=((2, 36, 36),) * 2, boxes=((2, 3, 3),) * 2, steps=(SAME,), side=17, bars={}
    )
    stack_found(small, 0)


def stack_found(stack: Stack, seed: int) -> dict[str, Any]:
    """Count, cut and place a stack; rates are random in [0, 1)."""
    begin = time.perf_counter()
    layers = stack.layers()
    rng = np.random.default_rng(seed)
    rates = [rng.random(layer.shape) for layer in layers[:-1]]
    most = counts(layers, stack.steps)
    between = stack_flows(layers, list(stack.steps), rates)
    floor = Floor.mesh(stack.side, stack.side)
    task = Task(flows=between, floor=floor)
    place = stack_placed(layers, between, floor, rng)
    seconds = time.perf_counter() - begin
    plain = [Layer(shape=shape, box=in_rows(shape)) for shape in stack.shapes]
    rows = stack_flows(plain, list(stack.steps), rates)
    high = -(-rows.n_cores // stack.side)
    baseline = Task(flows=rows, floor=Floor.mesh(stack.side, high)).hops(np.arange(rows.n_cores))
    seen = {name: {"hops": task.hops(PLACERS[name](task, rng))} for name in ("linear", "hilbert")}
    seen["embedded"] = {"hops": task.hops(embedded(layers, floor))}
    return {
        "neurons": sum(int(np.prod(shape)) for shape in stack.shapes),
        "packets": between.packets, "hops": task.hops(place), "baseline_hops": baseline,
        "baseline_packets": rows.packets, "lower_bound": lower_bound(between, floor),
        "cores": between.n_cores, "seconds": round(seconds, 3), **most,
        "partitioners": {"sequential": {"packets": rows.packets, "hops": baseline,
                                        "cores": rows.n_cores},
                         "boxes": {"packets": between.packets, "cores": between.n_cores}},
        "placers": seen,
    }  # fmt: skip
