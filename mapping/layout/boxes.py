"""Layers that are never unrolled: boxes of neurons on cores, and what they send each other.

A core holds a box (channels, rows, columns) of one layer. Which rows of a source a box of rows
hears does not depend on columns or channels, so that everything here is a sum of products of two
small tables, one for each axis, whatever the number of neurons.
"""

from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mapping.layout.floor import Floor
from mapping.layout.hypergraph import Flows
from mapping.layout.placers import PLACERS, Task

Array = NDArray[Any]
Size = tuple[int, int, int]


@dataclass(frozen=True, kw_only=True)
class Layer:
    """A layer, cut into boxes of equal size; those at the ends may be smaller.

    Attributes
    ----------
    shape, box : tuple of int
        Channels, rows, columns.
    """

    shape: Size
    box: Size

    @property
    def grid(self) -> Size:
        """Boxes along each axis."""
        c, y, x = (-(-n // b) for n, b in zip(self.shape, self.box, strict=True))
        return c, y, x

    @property
    def n_cores(self) -> int:
        """Cores, numbered with columns running fastest, channels slowest."""
        return int(np.prod(self.grid))

    def sizes(self, axis: int) -> Array:
        """Length of each box along an axis; int64 [grid[axis]]."""
        n, b = self.shape[axis], self.box[axis]
        return np.minimum(b, n - b * np.arange(self.grid[axis]))


@dataclass(frozen=True, kw_only=True)
class Convolution:
    """How a layer hears the one before; all channels hear all channels.

    Attributes
    ----------
    kernel, stride, padding : tuple of int
        Rows, columns.
    """

    kernel: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)


def dense(shape: Size) -> Convolution:
    """Describe a dense step from a layer to one of any number of neurons, all of them channels."""
    return Convolution(kernel=(shape[1], shape[2]))


@dataclass(frozen=True, kw_only=True, eq=False)
class Counts:
    """What each core of a layer takes; int64 [n_cores] each.

    Attributes
    ----------
    neurons : int64 [n_cores]
    in_axons : int64 [n_cores]
        One for each source neuron (discrete), or each pixel of each of its boxes (shared).
    words : int64 [n_cores]
        Of synapse memory: one list for each source neuron (discrete), or for each source channel
        and each way in which the border of the box cuts the kernel (shared).
    """

    neurons: Array
    in_axons: Array
    words: Array


def heard(n: int, layer: Layer, step: Convolution, axis: int) -> Array:
    """Count positions of each box that each of ``n`` source positions reaches; int64 [grid, n].

    Parameters
    ----------
    axis : int
        1 for rows, 2 for columns.
    """
    k, s, p = (part[axis - 1] for part in (step.kernel, step.stride, step.padding))
    at = np.arange(layer.shape[axis])
    source = (at[:, None] * s - p + np.arange(k)).ravel()
    box = np.repeat(at // layer.box[axis], k)
    inside = (source >= 0) & (source < n)
    found = np.zeros((layer.grid[axis], n), np.int64)
    np.add.at(found, (box[inside], source[inside]), 1)
    return found


def counted(
    source: Layer, layer: Layer, step: Convolution, list_words: Array, *, shared: bool
) -> Counts:
    """Count what cores of a layer take.

    Parameters
    ----------
    list_words : int64 [box + 1 or more]
        Words of a list of 0, 1, 2, … synapses.
    shared : bool
        Whether source pixels are populations that share their lists, or every neuron has its own.
    """
    rows, columns = (
        _classes(source.shape[axis], layer, step, axis, shared=shared) for axis in (1, 2)
    )
    pixels = [np.count_nonzero(heard(source.shape[axis], layer, step, axis), 1) for axis in (1, 2)]
    axons = np.multiply.outer(*pixels) * (source.grid[0] if shared else source.shape[0])
    channels = layer.sizes(0)
    sizes, which = np.unique(channels, return_inverse=True)
    words = np.empty((sizes.size, layer.grid[1], layer.grid[2]), np.int64)
    for k, size in enumerate(sizes.tolist()):
        length = np.multiply.outer(np.arange(rows.shape[1]), np.arange(columns.shape[1]))
        words[k] = source.shape[0] * rows @ list_words[length * size] @ columns.T
    neurons = channels[:, None, None] * np.multiply.outer(layer.sizes(1), layer.sizes(2))
    return Counts(
        neurons=neurons.ravel(), in_axons=np.broadcast_to(axons, layer.grid).ravel(),
        words=words[which].ravel(),
    )  # fmt: skip


def _classes(n: int, layer: Layer, step: Convolution, axis: int, *, shared: bool) -> Array:
    """Count lists by the positions that they reach along an axis; int64 [grid, most + 1].

    Shared lists are counted once: those that take the same part of the kernel.
    """
    reached = heard(n, layer, step, axis)
    found = np.zeros((layer.grid[axis], int(reached.max(initial=0)) + 1), np.int64)
    k, s, p = (part[axis - 1] for part in (step.kernel, step.stride, step.padding))
    for box in range(layer.grid[axis]):
        at = np.flatnonzero(reached[box])
        lengths = reached[box, at]
        if shared:
            # A list is told by its first kernel position and its length; the rest follows.
            first = np.maximum(box * layer.box[axis], -((k - 1 - at - p) // s))
            part = at + p - first * s
            lengths = np.unique(np.stack([part, lengths], axis=1), axis=0)[:, 1]
        found[box] = np.bincount(lengths, minlength=found.shape[1])
    found[:, 0] = 0
    return found


def out_axons(source: Layer, layer: Layer, step: Convolution) -> Array:
    """Count (neuron, core) pairs of each source core, to one layer; int64 [n_cores]."""
    parts = []
    for axis in (1, 2):
        boxes = np.count_nonzero(heard(source.shape[axis], layer, step, axis), axis=0)
        first = source.box[axis] * np.arange(source.grid[axis])
        parts.append(np.add.reduceat(boxes, first))
    each = source.sizes(0)[:, None, None] * np.multiply.outer(*parts)
    return np.asarray(each * layer.grid[0]).ravel()


def step_flows(
    source: Layer, layer: Layer, step: Convolution, rate: Array
) -> tuple[Array, Array, Array]:
    """Count packets from the cores of one layer to those of the next.

    Parameters
    ----------
    rate : float [channels, rows, columns]
        Of the source layer.

    Returns
    -------
    source, target : int64 [n_flows]
        Cores within their layers.
    packets : float64 [n_flows]
    """
    rows, columns = (_pairs(source, layer, step, axis) for axis in (1, 2))
    by_block = np.add.reduceat(rate, source.box[0] * np.arange(source.grid[0]), axis=0)
    packets = rows[2] @ by_block @ columns[2].T
    c, y, x = np.indices(packets.shape, sparse=True)
    begin = (c * source.grid[1] + rows[0][y]) * source.grid[2] + columns[0][x]
    end = rows[1][y] * layer.grid[2] + columns[1][x]
    block = np.arange(layer.grid[0])[:, None, None, None] * (layer.grid[1] * layer.grid[2])
    begin, end, packets = np.broadcast_arrays(begin, block + end, packets)
    return begin.ravel(), end.ravel(), packets.ravel()


def _pairs(source: Layer, layer: Layer, step: Convolution, axis: int) -> tuple[Array, Array, Array]:
    """Source boxes, target boxes that they reach, and which positions do; float64 [n_pairs, n]."""
    n = source.shape[axis]
    box, at = np.nonzero(heard(n, layer, step, axis))
    key, pair = np.unique(box * n + at // source.box[axis], return_inverse=True)
    mask = np.zeros((key.size, n))
    mask[pair, at] = 1.0
    return key % n, key // n, mask


def stack_flows(layers: list[Layer], steps: list[Convolution], rates: list[Array]) -> Flows:
    """Count packets between all cores of layers that hear each other in a row.

    Parameters
    ----------
    steps : list of Convolution
        From each layer to the next.
    rates : list of float [channels, rows, columns]
        Of all layers but the last.
    """
    first = np.cumsum([0, *(layer.n_cores for layer in layers)])
    parts = []
    for k, step in enumerate(steps):
        begin, end, packets = step_flows(layers[k], layers[k + 1], step, rates[k])
        parts.append((first[k] + begin, first[k + 1] + end, packets))
    source, target, packets = (np.concatenate(part) for part in zip(*parts, strict=True))
    return Flows.of(int(first[-1]), source, target, packets)


def embedded(layers: list[Layer], floor: Floor) -> Array:
    """Lay boxes where they lie in their layer, layers interleaved; place int64 [n_cores].

    Cores are dealt out to rows of the floor by the rows of their boxes, and along each by columns.
    """
    parts = []
    for layer in layers:
        row, column = (np.indices(layer.grid)[k].ravel() for k in (1, 2))
        parts.append(np.stack([(row + 0.5) / layer.grid[1], (column + 0.5) / layer.grid[2]], 1))
    at = np.concatenate(parts)
    n = len(at)
    order = np.lexsort((np.arange(floor.n_places), floor.x, floor.y))[:n]
    by_row = np.lexsort((np.arange(n), at[:, 0]))
    row = floor.y[order]
    by_place = np.lexsort((np.arange(n), at[by_row, 1], row))
    place = np.empty(n, np.int64)
    place[by_row[by_place]] = order
    return place


def stack_placed(
    layers: list[Layer], between: Flows, floor: Floor, rng: np.random.Generator
) -> Array:
    """Place boxes from the best of several starts, the embedding among them; int64 [n_cores]."""
    task = Task(flows=between, floor=floor, starts=(embedded(layers, floor),))
    return PLACERS["anneal"](task, rng)


def box_choices(shape: Size, room: int) -> list[Size]:
    """Sizes of boxes of at most ``room`` neurons: powers of two and whole sides."""
    sides = [sorted({n, *(1 << k for k in range(n.bit_length()) if 1 << k < n)}) for n in shape]
    return [box for box in product(*sides) if np.prod(box) <= room]
