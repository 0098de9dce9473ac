"""What neurons take of a core, counted before anything is loaded.

The counts are those of `mapping.mapping.resources`, which counts the rows of an assembled program
and has the last word. A convolution is never written out: its lists are counted from the kernel.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emulator.chip import Chip
from mapping.fixed import FixedNetwork, FixedProjection
from mapping.linear import Convolution, Dense, Sparse
from mapping.mapping import Slice
from mapping.packing import list_words, synapse_bits

Array = NDArray[Any]


@dataclass(frozen=True, kw_only=True)
class Need:
    """What a core holds, or what neurons take of it."""

    compartments: int
    in_axons: int
    out_axons: int
    words: int

    def broken(self, limit: "Need") -> tuple[str, ...]:
        """Names of the resources of which more is needed than there is."""
        return tuple(f.name for f in fields(self) if getattr(self, f.name) > getattr(limit, f.name))


def core_limit(chip: Chip) -> Need:
    """Return what one core of a chip holds."""
    return Need(
        compartments=chip.limit("neurons_per_core"),
        in_axons=chip.limit("in_axons_per_core"),
        out_axons=chip.limit("out_axons_per_core"),
        words=chip.limit("synapse_words_per_core"),
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class Fan:
    """The lists of one projection.

    Attributes
    ----------
    projection : FixedProjection
    dense : bool
        Lists of a full matrix, without an index.
    fan_in : int64 [n_post]
        Synapses of each target.
    count : function of targets, int64 [n]
        Synapses that each source has with these, int64 or float64 [n_pre].
    """

    projection: FixedProjection
    dense: bool
    fan_in: Array
    count: Callable[[Array], Array]

    def bits(self, chip: Chip, n_targets: int) -> int:
        """Bits of a synapse on a core of ``n_targets`` neurons."""
        return synapse_bits(
            chip, max_delay=self.projection.delay, n_targets=None if self.dense else n_targets
        )


def fan_of(projection: FixedProjection) -> Fan:
    """Prepare counting the lists of a projection; zeros of lists and kernels are not stored."""
    linear = projection.linear
    if isinstance(linear, Dense):
        fan_in, count = _matrix_lists(linear)
    elif isinstance(linear, Convolution):
        fan_in, count = _convolution_lists(linear)
    else:
        fan_in, count = _plain_lists(linear)
    return Fan(projection=projection, dense=isinstance(linear, Dense), fan_in=fan_in, count=count)


def _matrix_lists(matrix: Dense) -> tuple[Array, Callable[[Array], Array]]:
    n_post, n_pre = matrix.weight.shape
    return np.full(n_post, n_pre), lambda part: np.full(n_pre, part.size)


def _plain_lists(listed: Sparse) -> tuple[Array, Callable[[Array], Array]]:
    n_pre = listed.row.size - 1
    kept = np.flatnonzero(listed.weight)
    order = kept[np.argsort(listed.target[kept], kind="stable")]
    source = (np.searchsorted(listed.row, order, side="right") - 1).astype(np.int32)
    fan_in = np.bincount(listed.target[kept], minlength=prod(listed.post_shape))
    first = np.cumsum(fan_in) - fan_in

    def count(part: Array) -> Array:
        size = fan_in[part]
        step = np.repeat(first[part] - (np.cumsum(size) - size), size)
        return np.bincount(source[step + np.arange(step.size)], minlength=n_pre)

    return fan_in, count


def _convolution_lists(conv: Convolution) -> tuple[Array, Callable[[Array], Array]]:
    """Count with one small matrix product: channels of the part times kernel, tap by tap."""
    c_out, c_group = conv.kernel.shape[:2]
    c_in, n_in, n_out = conv.pre_shape[0], prod(conv.pre_shape[1:]), prod(conv.post_shape[1:])
    set_weights = conv.kernel.reshape(c_out, c_group, -1) != 0
    n_taps = set_weights.shape[2]
    at_in, at_out, tap = conv.taps()
    # Source that each tap of each output position hears in the first channel; taps on the padding
    # fall behind the last source.
    beside = c_in * n_in
    heard = np.full((n_out, n_taps), beside)
    heard[at_out, tap] = at_in
    group = np.arange(c_out)[:, None] // (c_out // conv.groups)
    link = np.zeros((c_out, c_in, n_taps), np.float32)
    link[np.arange(c_out)[:, None], group * c_group + np.arange(c_group)] = set_weights
    fan_in = set_weights.sum(1) @ (heard < beside).T

    def count(part: Array) -> Array:
        channel, position = np.divmod(part, n_out)
        channels, row = np.unique(channel, return_inverse=True)
        positions, column = np.unique(position, return_inverse=True)
        present = np.zeros((positions.size, channels.size), np.float32)
        present[column, row] = 1
        hits = present @ link[channels].reshape(channels.size, -1)
        at = np.arange(c_in)[:, None] * n_in + heard[positions][:, None, :]
        at = np.minimum(at, beside).ravel()
        return np.bincount(at, weights=hits.ravel(), minlength=beside + 1)[:beside]

    return fan_in.ravel(), count


@dataclass(frozen=True, kw_only=True, eq=False)
class Needs:
    """Counts what slices of a network's populations take of a core.

    Attributes
    ----------
    chip : Chip
    sizes, compartments : dict of str to int
        Neurons of each population; compartments of each of its neurons.
    fans : dict of str to tuple of Fan
        Of each population, what feeds it.
    """

    chip: Chip
    sizes: dict[str, int]
    compartments: dict[str, int]
    fans: dict[str, tuple[Fan, ...]]

    @staticmethod
    def of(fixed: FixedNetwork, chip: Chip) -> "Needs":
        """Prepare counting for all populations of a network."""
        fans = [fan_of(projection) for projection in fixed.projections]
        return Needs(
            chip=chip,
            sizes={p.name: p.size for p in fixed.populations},
            compartments={p.name: p.compartments for p in fixed.populations},
            fans={
                p.name: tuple(fan for fan in fans if fan.projection.target == p.name)
                for p in fixed.populations
            },
        )

    def need(self, slices: Sequence[Slice], copies: dict[str, Array]) -> Need:
        """Count what slices take that share a core.

        Parameters
        ----------
        copies : dict of str to int64 [n]
            Out-axons of each neuron of each population.
        """
        width = sum(part.neurons.size for part in slices)
        words = 0
        heard: dict[tuple[str, int], Array] = {}
        for part in slices:
            for fan in self.fans[part.population]:
                counts = fan.count(part.neurons)
                used = counts > 0
                bits = fan.bits(self.chip, width)
                words += int(list_words(counts[used], bits, self.chip).sum())
                _join(heard, fan, used)
        return Need(
            compartments=sum(p.neurons.size * self.compartments[p.population] for p in slices),
            in_axons=sum(int(np.count_nonzero(used)) for used in heard.values()),
            out_axons=sum(int(copies[p.population][p.neurons].sum()) for p in slices),
            words=words,
        )

    def copies(self, cores: Iterable[Sequence[Slice]], names: Iterable[str]) -> dict[str, Array]:
        """Out-axons of each neuron of some populations, if these slices lie on these cores."""
        copies: dict[str, Array] = {name: np.zeros(self.sizes[name], np.int64) for name in names}
        for slices in cores:
            heard: dict[tuple[str, int], Array] = {}
            for part in slices:
                for fan in self.fans[part.population]:
                    if fan.projection.source in copies:
                        _join(heard, fan, fan.count(part.neurons) > 0)
            for (source, _), used in heard.items():
                copies[source] += used
        return copies


def _join(heard: dict[tuple[str, int], Array], fan: Fan, used: Array) -> None:
    """One axon and one packet for each source and weight format, however many lists it has."""
    key = (fan.projection.source, fan.projection.exponent)
    heard[key] = heard[key] | used if key in heard else used
