"""What neurons take of a core, counted before anything is loaded.

The counts are those of `mapping.mapping.resources`, which counts the rows of an assembled program
and has the last word. A convolution is never written out: its lists are counted from the kernel.
"""

from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, fields
from math import prod
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from emulator.chip import Chip
from emulator.chip_tables import LARGEST
from mapping.linear import Convolution, Dense, Sparse
from mapping.mapping import Slice
from mapping.outline import Outline, OutlineProjection
from mapping.packing import list_words, synapse_bits

Array = NDArray[Any]


@dataclass(frozen=True, kw_only=True)
class Need:
    """What a core holds, or what neurons take of it.

    Attributes
    ----------
    compartments, in_axons, out_axons, words : int
    settings, levels : int
        Distinct settings of decays and rest, and distinct thresholds; 0 where the chip does not
        limit them.
    shared : int
        Bytes of a memory that all share; 0 where each has its own.
    """

    compartments: int
    in_axons: int
    out_axons: int
    words: int
    settings: int = 0
    levels: int = 0
    shared: int = 0

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
        settings=chip.limit("neuron_profiles_per_core"),
        levels=chip.limit("threshold_profiles_per_core"),
        shared=LARGEST if chip.shared is None else chip.shared.memory_bytes.value,
    )


class Lists(NamedTuple):
    """Lists of a projection that a core holds.

    Attributes
    ----------
    source : int64 [n_lists]
        Ascending.
    size : int64 or float [n_lists]
        Synapses of each, 1 at least.
    """

    source: Array
    size: Array


@dataclass(frozen=True, kw_only=True, eq=False)
class Fan:
    """The lists of one projection.

    Attributes
    ----------
    projection : OutlineProjection
    dense : bool
        Lists of a full matrix, without an index.
    fan_in : int64 [n_post]
        Synapses of each target.
    lists : function of targets, int64 [n]
        What a core of these holds.
    """

    projection: OutlineProjection
    dense: bool
    fan_in: Array
    lists: Callable[[Array], Lists]

    def bits(self, chip: Chip, n_targets: int) -> int:
        """Bits of a synapse on a core of ``n_targets`` neurons."""
        return synapse_bits(
            chip, max_delay=self.projection.delay, n_targets=None if self.dense else n_targets
        )


def fan_of(projection: OutlineProjection) -> Fan:
    """Prepare counting the lists of a projection; zeros of lists and kernels are not stored."""
    linear = projection.linear
    if isinstance(linear, Dense):
        fan_in, lists = _matrix_lists(linear)
    elif isinstance(linear, Convolution):
        fan_in, lists = _convolution_lists(linear)
    else:
        fan_in, lists = _plain_lists(linear)
    return Fan(projection=projection, dense=isinstance(linear, Dense), fan_in=fan_in, lists=lists)


def _matrix_lists(matrix: Dense) -> tuple[Array, Callable[[Array], Lists]]:
    n_post, n_pre = matrix.weight.shape
    every = np.arange(n_pre)
    return (
        np.broadcast_to(np.int64(n_pre), (n_post,)),
        lambda part: Lists(every, np.broadcast_to(np.int64(part.size), (n_pre,))),
    )


def _plain_lists(listed: Sparse) -> tuple[Array, Callable[[Array], Lists]]:
    n_pre = listed.row.size - 1
    kept = np.flatnonzero(listed.weight)
    order = kept[np.argsort(listed.target[kept], kind="stable")]
    source = (np.searchsorted(listed.row, order, side="right") - 1).astype(np.int32)
    fan_in = np.bincount(listed.target[kept], minlength=prod(listed.post_shape))
    first = np.cumsum(fan_in) - fan_in

    def lists(part: Array) -> Lists:
        size = fan_in[part]
        step = np.repeat(first[part] - (np.cumsum(size) - size), size)
        heard = source[step + np.arange(step.size)]
        if heard.size < n_pre // 16:  # few of many: sort them rather than count all
            return Lists(*np.unique(heard, return_counts=True))
        count = np.bincount(heard, minlength=n_pre)
        present = np.flatnonzero(count)
        return Lists(present, count[present])

    return fan_in, lists


def _convolution_lists(conv: Convolution) -> tuple[Array, Callable[[Array], Lists]]:
    """Count from the kernel, tap by tap."""
    c_out, c_group = conv.kernel.shape[:2]
    c_in, n_in, n_out = conv.pre_shape[0], prod(conv.pre_shape[1:]), prod(conv.post_shape[1:])
    set_weights = conv.kernel.reshape(c_out, c_group, -1) != 0
    n_taps = set_weights.shape[2]
    at_in, at_out, tap = conv.taps()
    # Input position that each tap of each output position hears; taps on the padding fall behind
    # the last one.
    heard = np.full((n_out, n_taps), n_in)
    heard[at_out, tap] = at_in
    group = np.arange(c_out)[:, None] // (c_out // conv.groups)
    link = np.zeros((c_out, c_in, n_taps), np.float32)
    link[np.arange(c_out)[:, None], group * c_group + np.arange(c_group)] = set_weights
    of_all = link.sum(0)
    fan_in = set_weights.sum(1) @ (heard < n_in).T

    def lists(part: Array) -> Lists:
        channel, position = np.divmod(part, n_out)
        channels, positions = _present(channel, c_out), _present(position, n_out)
        alike = part.size == channels.size * positions.size  # each position has the same channels
        by_tap = of_all if channels.size == c_out else link[channels].sum(0)
        if alike and np.all(by_tap == by_tap[:, :1]):
            near, times = np.unique(heard[positions], return_counts=True)
            count = by_tap[:, :1] * times
        else:
            near, place = np.unique(heard[positions], return_inverse=True)
            place = place.reshape(positions.size, n_taps)
            count = np.zeros((c_in, near.size), np.float32)
            hits = by_tap[None] if alike else _hits(part)
            for k in range(n_taps):  # which leads no two positions to one
                count[:, place[:, k]] += hits[:, :, k].T
        count = count[:, near < n_in].astype(np.int64)
        source = np.arange(c_in)[:, None] * n_in + near[near < n_in]
        return Lists(source[count > 0], count[count > 0])

    def _hits(part: Array) -> Array:
        """Weights of each input channel and tap onto the part's channels at each position."""
        channel, position = np.divmod(part, n_out)
        channels, positions = _present(channel, c_out), _present(position, n_out)
        present = np.zeros((positions.size, channels.size), np.float32)
        present[np.searchsorted(positions, position), np.searchsorted(channels, channel)] = 1
        hits = present @ link[channels].reshape(channels.size, -1)
        return hits.reshape(positions.size, c_in, n_taps)

    return fan_in.ravel(), lists


def _present(numbers: Array, n: int) -> Array:
    """List the numbers below ``n`` that occur, ascending."""
    flags = np.zeros(n, np.bool_)
    flags[numbers] = True
    return np.flatnonzero(flags)


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
    settings, levels : dict of str to int64 [n]
        Of each population, as its outline has them; none where the chip does not limit them.
    """

    chip: Chip
    sizes: dict[str, int]
    compartments: dict[str, int]
    fans: dict[str, tuple[Fan, ...]]
    settings: dict[str, Array]
    levels: dict[str, Array]
    _tables: dict[int, Array] = field(default_factory=dict, repr=False)

    @staticmethod
    def of(outline: Outline, chip: Chip) -> "Needs":
        """Prepare counting for all populations of a network."""
        fans = [fan_of(projection) for projection in outline.projections]
        return Needs(
            chip=chip,
            sizes={p.name: p.size for p in outline.populations},
            compartments={p.name: p.compartments for p in outline.populations},
            fans={
                p.name: tuple(fan for fan in fans if fan.projection.target == p.name)
                for p in outline.populations
            },
            settings=_limited(outline, chip, "settings", "neuron_profiles_per_core"),
            levels=_limited(outline, chip, "levels", "threshold_profiles_per_core"),
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
        axons = _Axons()
        for part in slices:
            for fan in self.fans[part.population]:
                held = fan.lists(part.neurons)
                bits = fan.bits(self.chip, width)
                words += int(self._words(bits, int(held.size.max(initial=0)))[held.size].sum())
                axons.add(fan, held.source)
        compartments = sum(p.neurons.size * self.compartments[p.population] for p in slices)
        in_axons = sum(source.size for _, source in axons)
        out_axons = sum(int(copies[p.population][p.neurons].sum()) for p in slices)
        return Need(
            compartments=compartments,
            in_axons=in_axons,
            out_axons=out_axons,
            words=words,
            shared=_shared_bytes(self.chip, compartments, in_axons, out_axons, words),
            settings=_distinct(slices, self.settings),
            levels=_distinct(slices, self.levels),
        )

    def _words(self, bits: int, longest: int) -> Array:
        """Words of lists of 0 to at least ``longest`` synapses; counted once for each format."""
        known = self._tables.get(bits)
        if known is None or known.size <= longest:
            known = list_words(np.arange(2 * longest + 64), bits, self.chip)
            self._tables[bits] = known
        return known

    def heard(
        self, slices: Sequence[Slice], names: Container[str] | None = None
    ) -> Iterator[tuple[str, Array]]:
        """List the in-axons of a core: part of the network and its elements, ascending.

        A part comes once for each weight format that it is heard in.

        Parameters
        ----------
        names : container of str, optional
            Only these sources.
        """
        axons = _Axons()
        for part in slices:
            for fan in self.fans[part.population]:
                if names is None or fan.projection.source in names:
                    axons.add(fan, fan.lists(part.neurons).source)
        yield from axons

    def copies(self, cores: Iterable[Sequence[Slice]], names: Iterable[str]) -> dict[str, Array]:
        """Out-axons of each neuron of some populations, if these slices lie on these cores."""
        copies: dict[str, Array] = {name: np.zeros(self.sizes[name], np.int64) for name in names}
        for slices in cores:
            for name, source in self.heard(slices, copies):
                copies[name][source] += 1
        return copies


def _shared_bytes(chip: Chip, compartments: int, in_axons: int, out_axons: int, words: int) -> int:
    shared, packing = chip.shared, chip.packing
    if shared is None or packing is None:
        return 0
    return (
        -(-words * packing.word_bits // 8)
        + compartments * shared.neuron_bytes.value
        + in_axons * shared.in_axon_bytes.value
        + out_axons * shared.out_axon_bytes.value
    )


def _limited(outline: Outline, chip: Chip, kind: str, limit: str) -> dict[str, Array]:
    if getattr(chip.limits, limit) is None:
        return {}
    return {p.name: getattr(p, kind) for p in outline.populations}


def _distinct(slices: Sequence[Slice], numbers: dict[str, Array]) -> int:
    """Count the distinct numbers of neurons; those of one broadcast value at no cost."""
    found: set[int] = set()
    for part in slices:
        own = numbers.get(part.population)
        if own is None or not part.neurons.size:
            continue
        one = own.strides == (0,)
        found.update(np.unique(own[part.neurons[:1] if one else part.neurons]).tolist())
    return len(found)


class _Axons:
    """One axon and one packet for each source and weight format, however many lists it has."""

    def __init__(self) -> None:
        self._sources: dict[tuple[str, int], list[Array]] = {}

    def add(self, fan: Fan, source: Array) -> None:
        key = (fan.projection.source, fan.projection.format)
        self._sources.setdefault(key, []).append(source)

    def __iter__(self) -> Iterator[tuple[str, Array]]:
        for (name, _), parts in self._sources.items():
            yield name, parts[0] if len(parts) == 1 else np.unique(np.concatenate(parts))
