"""Cores that hold one convolution layer each (Speck with its DYNAP-CNN processor).

What a layer takes is SynSense's formula (sinabs documentation, Speck overview): kernels are
addressed by bits, so a kernel of ``c`` input and ``f`` output channels takes
``c * 2**(ceil(log2(kx * ky)) + ceil(log2(f)))`` words; a state takes one word.

A full matrix is a convolution whose kernel covers the whole input. Groups and dilation are kernels
with zeros. Pooling is folded into convolutions before anything is counted.
"""

from collections.abc import Iterator
from math import prod
from typing import NamedTuple

from emulator.chip import Chip
from emulator.chip_cores import LayerCores
from mapping.capacity import too_long_delays
from mapping.fitting.kinds.count import Count
from mapping.fitting.layer_use import LayerUse
from mapping.linear import Convolution, Dense
from mapping.outline import Outline, OutlinePopulation, OutlineProjection
from mapping.violations import Violation


class Layer(NamedTuple):
    """A convolution as these cores know it: channels, rows, columns."""

    pre: tuple[int, int, int]
    post: tuple[int, int, int]
    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[tuple[int, int], tuple[int, int]]

    @property
    def words(self) -> tuple[int, int, int]:
        """Words of kernels, states and biases."""
        bits = (prod(self.kernel) - 1).bit_length() + (self.post[0] - 1).bit_length()
        return self.pre[0] << bits, prod(self.post), self.post[0]


def layer_of(projection: OutlineProjection) -> Layer | None:
    """Read a projection as a convolution; None if it is none."""
    linear = projection.linear
    if isinstance(linear, Convolution):
        (pre, post), kernel = map(_wide, (linear.pre_shape, linear.post_shape)), linear.kernel
        reach = [(k - 1) * d + 1 for k, d in zip(kernel.shape[2:], linear.dilation, strict=True)]
        if len(reach) == 1:
            step, beside = linear.stride[0], linear.padding[0]
            return Layer(pre, post, (1, reach[0]), (step, step), ((0, 0), beside))
        stride, padding = linear.stride, linear.padding
        return Layer(
            pre, post, (reach[0], reach[1]), (stride[0], stride[1]), (padding[0], padding[1])
        )
    if isinstance(linear, Dense):
        pre = _wide(linear.pre_shape)
        post = (prod(linear.post_shape), 1, 1)
        return Layer(pre, post, (pre[1], pre[2]), (1, 1), ((0, 0), (0, 0)))
    return None


def _wide(shape: tuple[int, ...]) -> tuple[int, int, int]:
    """Channels, rows and columns; a flat list of elements is one of channels."""
    rows, columns = {1: (1, 1), 2: (1, shape[-1])}.get(len(shape), shape[-2:])
    return prod(shape) // (rows * columns), rows, columns


def count_layers(outline: Outline, chip: Chip) -> Count:
    """Judge each layer, and put it on a core of its own that has room for it."""
    rules = chip.layers
    if rules is None:
        raise ValueError(f"{chip.name} has {chip.core} cores, which hold no layers")
    violations = list(too_long_delays(outline, chip))
    layers: dict[str, Layer] = {}
    for population in outline.populations:
        feeding = [p for p in outline.projections if p.target == population.name]
        found = layer_of(feeding[0]) if len(feeding) == 1 else None
        told = list(_problems(population, feeding, found, outline, rules, chip))
        violations += told
        if found is not None:
            layers[population.name] = found
    usable = [int(core) for core in chip.usable]
    fitting = {name: _cores_for(layer, rules, usable) for name, layer in layers.items()}
    for name, layer in layers.items():
        if not fitting[name]:
            violations += _too_large(name, layer, rules, chip)
    core_of = matched({name: cores for name, cores in fitting.items() if cores})
    left = [name for name in layers if fitting[name] and name not in core_of]
    if left or len(outline.populations) > len(usable):
        violations.append(_without_core(left, outline, len(usable), chip))
    there = sum(rules.kernel_words[c] * chip.weight_bits for c in usable)
    state = 0 if chip.formats is None else chip.formats.state_bits
    there += sum((rules.neuron_words[c] + rules.bias_words[c]) * state for c in usable)
    return Count(
        cores=len(core_of),
        memory_bits=sum(_bits(layers[name], chip) for name in core_of),
        memory_bits_there=there,
        violations=tuple(violations),
        layers=tuple(
            _use(p, layers.get(p.name), core_of.get(p.name), outline, rules, chip)
            for p in outline.populations
        ),
        placed={name: (core,) for name, core in core_of.items()},
    )


def _bits(layer: Layer, chip: Chip) -> int:
    kernels, states, biases = layer.words
    state = 0 if chip.formats is None else chip.formats.state_bits
    return kernels * chip.weight_bits + (states + biases) * state


def _use(
    own: OutlinePopulation,
    layer: Layer | None,
    core: int | None,
    outline: Outline,
    rules: LayerCores,
    chip: Chip,
) -> LayerUse:
    """Write ``16 channels × 2^(4 + 3) = 2,048 of 16,384 words of kernels``, and of the others."""
    text = "fed by no single convolution or full matrix"
    if layer is not None:
        taps, channels = ((n - 1).bit_length() for n in (prod(layer.kernel), layer.post[0]))
        rooms = (rules.kernel_words, rules.neuron_words, rules.bias_words)
        have = [f" of {max(room) if core is None else room[core]:,}" for room in rooms]
        kernels, states, biases = (
            f"{words:,}{of}" for words, of in zip(layer.words, have, strict=True)
        )
        where = "on no core (shares of the largest)" if core is None else f"on core {core}"
        text = (
            f"{layer.pre[0]:,} channels × 2^({taps} + {channels}) = {kernels} words of kernels, "
            f"{states} states, {biases} biases; {where}"
        )
    return LayerUse(
        population=own.name, shape=own.shape, neurons=own.size,
        synapses=sum(p.linear.n_synapses for p in outline.projections if p.target == own.name),
        cores=int(core is not None), most=0 if core is None else own.size, words=None,
        bits=0 if layer is None else _bits(layer, chip), closed=None, arithmetic=text,
    )  # fmt: skip


def _cores_for(layer: Layer, rules: LayerCores, usable: list[int]) -> list[int]:
    rooms = (rules.kernel_words, rules.neuron_words, rules.bias_words)
    return [
        core
        for core in usable
        if all(need <= room[core] for need, room in zip(layer.words, rooms, strict=True))
    ]


def matched(choices: dict[str, list[int]]) -> dict[str, int]:
    """Give as many names as possible a number of their own among their choices (Kuhn's rule).

    Names come in their order; one that has a number never loses it to none, but may change it.
    """
    holder: dict[int, str] = {}

    def seat(name: str, tried: set[int]) -> bool:
        for number in choices[name]:
            if number in tried:
                continue
            tried.add(number)
            if number not in holder or seat(holder[number], tried):
                holder[number] = name
                return True
        return False

    for name in choices:
        seat(name, set())
    return {name: number for number, name in sorted(holder.items())}


def _problems(
    population: OutlinePopulation,
    feeding: list[OutlineProjection],
    layer: Layer | None,
    outline: Outline,
    rules: LayerCores,
    chip: Chip,
) -> Iterator[Violation]:
    where = f"population {population.name!r}"

    def broken(limit: str, need: int, have: int, text: str) -> Violation:
        return Violation(limit=limit, where=where, need=need, have=have, text=f"{where}: {text}")

    if not population.spiking:
        yield broken(
            "spiking", population.size, 0, f"its neurons never fire, but a core of {chip.name} "
            "tells nothing but spikes; let it fire, or read the layer before it",
        )  # fmt: skip
    if len(feeding) != 1:
        yield broken(
            "layers.kernels", len(feeding), 1, f"{len(feeding)} projections feed it, but a core "
            f"of {chip.name} has one kernel; join them, or put a layer between",
        )  # fmt: skip
    elif layer is None:
        yield broken(
            "layers.kernels", 1, 0, f"a list of synapses feeds it, but {chip.name} knows "
            "convolutions and full matrices alone; write it as one of them",
        )  # fmt: skip
    targets = {p.target for p in outline.projections if p.source == population.name}
    if len(targets) > rules.destinations_max:
        yield broken(
            "layers.destinations_max", len(targets), rules.destinations_max,
            f"it sends to {len(targets)} layers, but a core of {chip.name} sends to "
            f"{rules.destinations_max} at most",
        )  # fmt: skip
    if layer is None:
        return
    widest = max(max(pair) for pair in layer.padding)
    for limit, need, have, what in (
        ("input_extent_max", max(layer.pre[1:]), rules.input_extent_max, "rows or columns come in"),
        ("output_extent_max", max(layer.post[1:]), rules.output_extent_max, "rows or columns"),
        ("channels_max", max(layer.pre[0], layer.post[0]), rules.channels_max, "channels"),
        ("kernel_extent_max", max(layer.kernel), rules.kernel_extent_max, "rows or columns of kernel"),
        ("padding_max", widest, rules.padding_max, "rows or columns of padding"),
    ):  # fmt: skip
        if need > have:
            yield broken(
                f"layers.{limit}", need, have,
                f"{need:,} {what}, but {chip.name} takes {have:,} at most",
            )  # fmt: skip
    for stride in sorted(set(layer.stride) - set(rules.strides)):
        yield broken(
            "layers.strides", stride, max(rules.strides),
            f"a stride of {stride}, but {chip.name} has {', '.join(map(str, rules.strides))}",
        )  # fmt: skip


def _too_large(name: str, layer: Layer, rules: LayerCores, chip: Chip) -> Iterator[Violation]:
    """Say which memories are too small; if each is large enough somewhere, but never all."""
    rooms = (rules.kernel_words, rules.neuron_words, rules.bias_words)
    kinds = ("kernel_words", "neuron_words", "bias_words")
    over = [k for k in range(3) if layer.words[k] > max(rooms[k])]
    where = f"population {name!r}"
    for k in over or [max(range(3), key=lambda k: layer.words[k] / max(rooms[k]))]:
        beside = "" if over else " on a core that holds all of it"
        holding = [
            rooms[k][core]
            for core in range(len(rooms[k]))
            if over or all(layer.words[j] <= rooms[j][core] for j in range(3) if j != k)
        ]
        have = max(holding, default=0)
        yield Violation(
            limit=f"layers.{kinds[k]}", where=where, need=layer.words[k], have=have,
            text=f"{where}: {layer.words[k]:,} words of {kinds[k].split('_')[0]} memory, but "
            f"{chip.name} has {have:,} at most{beside}; use fewer channels, a smaller kernel or a "
            "larger stride",
        )  # fmt: skip


def _without_core(left: list[str], outline: Outline, there: int, chip: Chip) -> Violation:
    need = len(outline.populations)
    which = f"; {', '.join(map(repr, left))} found none that is large enough and free"
    return Violation(
        limit="cores", where=chip.name, need=max(need, there + 1) if left else need, have=there,
        text=f"{need} layers, one core each, but {chip.name} has {there} cores"
        f"{which if left else ''}; join layers, or make some smaller",
    )  # fmt: skip
