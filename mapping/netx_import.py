"""Networks of lava-dl for chips of Loihi's family, integer for integer.

What lava-dl saves has been rounded to the chip's formats while it was trained, so nothing is
quantised here: with ``W`` a weight, ``d`` a decay and ``T`` a threshold of the file,

    u = keep(u, 4096 - iDecay) + (sum(W s) << weight_exp << 6)
    v = keep(v, 4096 - vDecay) + u + (bias << 6)
    spike where v > (vThMant << 6), then v = 0

Beside the integers lies their float twin, a `Network` in units of ``W`` and ``T``: membranes of the
chip are 64 times as large. Arrays are stored as PyTorch has them: channels, rows, columns; kernels
[out, in / groups, rows, columns], laid over the input without turning them.
"""

from math import prod
from pathlib import Path

import numpy as np

from emulator.chip import Chip
from mapping.errors import NetworkError, NetxError
from mapping.fixed import FixedNetwork, FixedPopulation, FixedProjection
from mapping.linear import Convolution, Dense, Linear, Shape, diagonal, with_weights
from mapping.network import Compare, Input, Network, Population, Projection, weights_of
from mapping.netx_file import Integers, Layer, read_layers
from mapping.netx_neurons import averaging, neurons
from mapping.netx_weights import by_delay, check_range, with_exponent
from mapping.weight_rules import unlike_loihi

UNREAD = ("convT", "unpool", "concat", "dense_comp")
"""Layers that lava-dl knows, but its own reader does not read, or that are not of this neuron."""

_LARGEST_SIZE = 2**20


def import_netx(
    path: str | Path,
    chip: Chip,
    *,
    dt_s: float | None = None,
    compare: Compare | None = None,
    input_shape: Shape | None = None,
) -> FixedNetwork:
    """Read a network that lava-dl saved.

    Parameters
    ----------
    chip : Chip
        Of Loihi's family: ``loihi``, ``loihi-lava``, ``loihi-brian2`` or one that is based on them.
    dt_s : float, optional
        Length of a tick, which the file does not say; 1 ms.
    compare : {">", ">="}, optional
        When a neuron fires, which the file does not say either; ``>``, as lava-dl and the chip do.
    input_shape : tuple of int, optional
        Channels, rows and columns of the input where neither the file nor the first layer says it.

    Raises
    ------
    FileNotFoundError, NetxError
    """
    layers = read_layers(path)
    _refuse_strangers(path, chip)
    if compare not in (None, ">", ">="):
        raise NetxError(f"{path}: compare {compare!r} is none of >, >=")
    build = _Build(chip, dt_s or 1e-3, compare or ">", input_shape)
    for layer in layers:
        build.add(layer, last=layer is layers[-1])
    if dt_s is None:
        build.note("the file does not say how long a tick is; 1 ms is assumed (--dt)")
    if compare is None:
        build.note(
            "the file does not say whether v = threshold fires; it does not (compare >), as in lava-dl"
        )
    try:
        return build.network()
    except NetworkError as error:
        raise NetxError(f"{path}: {error}") from error


def _refuse_strangers(path: str | Path, chip: Chip) -> None:
    """Refuse chips in whose registers the file's integers mean something else."""
    wrong = unlike_loihi(chip)
    if "zero" not in chip.arithmetic.resets:
        wrong.append("it has no reset to zero")
    if wrong:
        raise NetxError(
            f"{path}: its integers are those of Loihi, but of {chip.name} {'; '.join(wrong)}; use "
            f"loihi, loihi-lava, loihi-nengo or loihi-brian2"
        )


class _Build:
    """Goes through the layers and collects both twins."""

    def __init__(
        self, chip: Chip, dt_s: float, compare: Compare, input_shape: Shape | None
    ) -> None:
        self._chip, self._dt_s, self._compare = chip, dt_s, compare
        self._given = input_shape
        self._inputs: list[Input] = []
        self._populations: list[Population] = []
        self._projections: list[Projection] = []
        self._fixed_populations: list[FixedPopulation] = []
        self._fixed_projections: list[FixedProjection] = []
        self._outputs: tuple[str, ...] = ()
        self._notes: list[str] = []
        self._source = ""
        self._shape: Shape = ()

    def note(self, text: str) -> None:
        """Say once what was assumed."""
        if text not in self._notes:
            self._notes.append(text)

    def add(self, layer: Layer, *, last: bool) -> None:
        """Add one layer.

        Raises
        ------
        NetxError
        """
        ways = {
            "input": self._input,
            "dense": self._dense,
            "dense_rec": self._dense,
            "conv": self._conv,
            "pool": self._pool,
            "flatten": self._flatten,
        }
        if layer.kind == "average":
            self._average(layer, last=last)
        elif layer.kind in ways:
            ways[layer.kind](layer)
        else:
            known = "known to lava-dl, but not read here" if layer.kind in UNREAD else "not known"
            raise layer.wrong(
                "type",
                f"layers of type {layer.kind!r} are {known}; what is read: "
                f"{', '.join(ways)}, average",
            )

    def network(self) -> FixedNetwork:
        """Put everything together."""
        if not self._populations:
            raise NetworkError("there is no layer with neurons")
        offset = self._chip.numbers.current_decay_offset
        field = "iDecay - 1" if offset else "iDecay"
        self.note(
            f"iDecay keeps (4096 - iDecay)/4096 of the current each tick, which {self._chip.name} "
            f"has at a decay field of {field}"
        )
        return FixedNetwork(
            network=Network(
                dt_s=self._dt_s,
                inputs=tuple(self._inputs),
                populations=tuple(self._populations),
                projections=tuple(self._projections),
                outputs=self._outputs,
                notes=("integers as lava-dl saved them; nothing was quantised",),
            ),
            direct=frozenset(),
            populations=tuple(self._fixed_populations),
            projections=tuple(self._fixed_projections),
            errors=(),
            notes=tuple(self._notes),
        )

    def _input(self, layer: Layer) -> None:
        if self._source:
            raise layer.wrong("type", "an input must be the first layer")
        shape = _shape(layer)
        self._enter(layer, shape)
        if not layer.has("neuron"):
            return
        weight = layer.number_of("weight", -(2**15), 2**15 - 1, 64)
        self.note(
            f"layer {layer.number}: analog input is multiplied by {weight} and goes through the "
            f"current's decay, as in training"
        )
        one_to_one = diagonal(np.full(shape, float(weight)), shape)
        self._connect(layer, one_to_one, shape, "weight", limited=False)

    def _enter(self, layer: Layer, shape: Shape) -> None:
        """Open the network's input, once its shape is known."""
        if self._given is not None and prod(self._given) != prod(shape):
            raise layer.wrong(
                "shape", f"takes input of {shape}, but {self._given} was given as the input's shape"
            )
        shape = self._given or shape
        self._inputs.append(Input(name="input", shape=shape))
        self._source, self._shape = "input", shape

    def _flatten(self, layer: Layer) -> None:
        if not self._source:
            if self._given is None:
                raise layer.wrong("type", "there is nothing before it to flatten")
            self._enter(layer, self._given)
        n = prod(self._shape)
        if layer.has("shape") and prod(_shape(layer)) != n:
            raise layer.wrong("shape", f"is {_shape(layer)}, but {n} {self._shape} values reach it")
        self._shape = (n,)

    def _dense(self, layer: Layer) -> None:
        n_post = prod(_shape(layer))
        _agree(layer, "outFeatures", n_post)
        weight = _matrix(layer, "weight", n_post)
        n_pre = weight.shape[1]
        _agree(layer, "inFeatures", n_pre)
        if not self._source:
            self._enter(layer, (n_pre,))
        if n_pre != prod(self._shape):
            raise layer.wrong(
                "weight",
                f"has {n_pre} columns {weight.shape}, but {prod(self._shape)} {self._shape} values "
                f"reach it",
            )
        linear = Dense(
            weight=weight.astype(np.float64), pre_shape=self._shape, post_shape=(n_post,)
        )
        if layer.kind == "dense":
            self._connect(layer, linear, (n_post,), "weight")
            return
        back = _matrix(layer, "weight_rec", n_post)
        if back.shape[1] != n_post:
            raise layer.wrong("weight_rec", f"must be {(n_post, n_post)}, but is {back.shape}")
        again = Dense(weight=back.astype(np.float64), pre_shape=(n_post,), post_shape=(n_post,))
        self._connect(layer, linear, (n_post,), "weight", back=again)

    def _conv(self, layer: Layer) -> None:
        kernel = layer.whole("weight")
        if kernel.ndim == 5 and kernel.shape[4] == 1:
            kernel = kernel[..., 0]
        if kernel.ndim != 4:
            raise layer.wrong(
                "weight", f"must be [out, in / groups, rows, columns], but is {kernel.shape}"
            )
        groups = layer.number_of("groups", 1, _LARGEST_SIZE, 1)
        _agree(layer, "outChannels", kernel.shape[0])
        _agree(layer, "inChannels", kernel.shape[1] * groups)
        _agree(layer, "kernelSize", kernel.shape[2:])
        shape = _shape(layer, axes=3)
        steps = _Steps(layer)
        if not self._source:
            n_channels = kernel.shape[1] * groups
            self._enter(layer, self._given or steps.before(shape, kernel.shape[2:], n_channels))
        linear = self._convolution(layer, kernel, steps, groups)
        self._connect(layer, linear, shape, "weight")

    def _pool(self, layer: Layer) -> None:
        if len(self._shape) != 3:
            raise layer.wrong(
                "type",
                f"needs channels, rows and columns before it, but there is {self._shape or 'nothing'}",
            )
        window = layer.pair("kernelSize", 1, _LARGEST_SIZE)
        weight = np.ones(window, np.int64)
        if layer.has("weight"):
            weight = layer.whole("weight").squeeze()
            if weight.size != prod(window):
                raise layer.wrong("weight", f"has {weight.size} values, but kernelSize is {window}")
        n_channels = self._shape[0]
        steps = _Steps(layer, stride=window)
        steps.fit(self._shape[1:], window, _shape(layer, axes=3)[1:])
        kernel = np.broadcast_to(weight.reshape(1, 1, *window), (n_channels, 1, *window))
        linear = self._convolution(layer, kernel, steps, n_channels)
        self._connect(layer, linear, _shape(layer, axes=3), "weight")

    def _convolution(
        self, layer: Layer, kernel: Integers, steps: "_Steps", groups: int
    ) -> Convolution:
        if len(self._shape) != 3:
            raise layer.wrong(
                "type", f"needs channels, rows and columns, but {self._shape} values reach it"
            )
        try:
            linear = Convolution(
                kernel=kernel.astype(np.float64), pre_shape=self._shape, stride=steps.stride, padding=steps.padding,
                dilation=steps.dilation, groups=groups,
            )  # fmt: skip
        except ValueError as error:
            raise layer.wrong("weight", str(error)) from error
        shape = _shape(layer, axes=3)
        if linear.post_shape != shape:
            raise layer.wrong(
                "shape",
                f"is {shape}, but the kernel {kernel.shape} makes {linear.post_shape} of "
                f"{self._shape} (stride {steps.stride}, padding {steps.padding}, dilation "
                f"{steps.dilation})",
            )
        return linear

    def _average(self, layer: Layer, *, last: bool) -> None:
        """Groups of outputs are averaged on the chip, by neurons that only add up."""
        n_post = prod(_shape(layer))
        n = prod(self._shape)
        if not last or not self._populations:
            raise layer.wrong("type", "an average must be the last layer, after neurons")
        if n % n_post:
            raise layer.wrong("shape", f"{n} neurons cannot be averaged in {n_post} equal groups")
        size = n // n_post
        linear = Dense(
            weight=np.repeat(np.eye(n_post), size, axis=1),
            pre_shape=self._shape,
            post_shape=(n_post,),
        )
        source, before = self._source, self._outputs
        self._settle(layer, *averaging(layer, n_post, size, self._dt_s))
        self._outputs += before
        self._project(source, linear, 0, 1.0 / size)
        self.note(
            f"layer {layer.number}: averages of {size} neurons are formed by {n_post} neurons that "
            f"forget at once; they are read out one tick later"
        )

    def _connect(
        self,
        layer: Layer,
        linear: Linear,
        shape: Shape,
        field: str,
        *,
        back: Dense | None = None,
        limited: bool = True,
    ) -> None:
        """Add a layer's neurons and what reaches them."""
        lists = [linear] if back is None else [linear, back]
        if limited:
            check_range(layer, field, lists, self._chip, self.note)
        lists, sum_shift = with_exponent(layer, lists, self._chip, self.note)
        sources = [self._source]
        self._settle(
            layer,
            *neurons(
                layer, shape, chip=self._chip, dt_s=self._dt_s, compare=self._compare,
                sum_shift=sum_shift, note=self.note,
            ),
        )  # fmt: skip
        sources.append(self._source)
        for source, part in zip(sources, lists, strict=False):
            for delay, piece in by_delay(layer, part, shape, self._chip, self.note):
                self._project(source, piece, delay, 2.0**sum_shift)

    def _settle(self, layer: Layer, population: Population, fixed: FixedPopulation) -> None:
        """Add neurons, which the next layer hears."""
        self._populations.append(population)
        self._fixed_populations.append(fixed)
        self._source, self._shape = population.name, population.shape
        self._outputs = (population.name,)

    def _project(self, source: str, linear: Linear, delay: int, factor: float) -> None:
        """Add one projection to both twins; ``factor`` makes mantissas the twin's weights."""
        target = self._source
        self._fixed_projections.append(
            FixedProjection(
                source=source, target=target, linear=linear, exponent=0, shift=0, delay=delay
            )
        )
        self._projections.append(
            Projection(
                source=source,
                target=target,
                linear=with_weights(linear, weights_of(linear) * factor),
                delay_s=delay * self._dt_s,
            )
        )


class _Steps:
    """Stride, padding and dilation of a layer: rows, then columns."""

    def __init__(self, layer: Layer, stride: tuple[int, int] = (1, 1)) -> None:
        self._layer = layer
        self.stride = layer.pair("stride", 1, _LARGEST_SIZE, 1) if layer.has("stride") else stride
        rows, columns = layer.pair("padding", 0, _LARGEST_SIZE, 0)
        self.padding = ((rows, rows), (columns, columns))
        self.dilation = layer.pair("dilation", 1, _LARGEST_SIZE, 1)

    def fit(self, extent: Shape, window: Shape, after: Shape) -> None:
        """Add zeros after rows and columns that no whole number of windows covers, as lava-dl does."""
        plain = zip(self.padding, extent, window, self.stride, self.dilation, strict=True)
        if tuple((n + sum(p) - d * (k - 1) - 1) // s + 1 for p, n, k, s, d in plain) != after:
            rest = (n % k for n, k in zip(extent, window, strict=True))
            rows, columns = ((p[0], p[1] + r) for p, r in zip(self.padding, rest, strict=True))
            self.padding = (rows, columns)

    def before(self, shape: Shape, kernel: Shape, n_channels: int) -> Shape:
        """Shape that a first layer must have before it.

        Raises
        ------
        NetxError
            If strides leave more than one.
        """
        if max(self.stride) > 1:
            raise self._layer.wrong(
                "shape",
                f"the file does not say the shape of its input, and with a stride of {self.stride} "
                f"several lead to {shape}; give it (--input-shape {n_channels},ROWS,COLUMNS)",
            )
        extents = zip(shape[1:], kernel, self.padding, self.dilation, strict=True)
        return (n_channels, *(m + d * (k - 1) - sum(pad) for m, k, pad, d in extents))


def _shape(layer: Layer, axes: int | None = None) -> Shape:
    shape = tuple(int(n) for n in layer.between("shape", 1, _LARGEST_SIZE).ravel())
    if len(shape) > 3 or (axes is not None and len(shape) != axes):
        raise layer.wrong("shape", f"must be channels, rows, columns, but is {shape}")
    if prod(shape) > _LARGEST_SIZE * 16:
        raise layer.wrong("shape", f"{shape} is {prod(shape):,} neurons, more than is read")
    return shape


def _agree(layer: Layer, field: str, sizes: int | Shape) -> None:
    """Compare a size with what the shape and the weights say, where the file has it."""
    if not layer.has(field):
        return
    wanted = np.atleast_1d(sizes)
    told = layer.whole(field).ravel()
    if told.size not in (1, wanted.size) or np.any(told != wanted):
        raise layer.wrong(field, f"is {told.tolist()}, but shape and weights say {wanted.tolist()}")


def _matrix(layer: Layer, field: str, n_post: int) -> Integers:
    """Weights [n_post, n_pre]; older files have them in one line."""
    weight = layer.whole(field)
    rows = n_post if weight.ndim < 2 else weight.shape[0]
    if rows != n_post or weight.size % n_post:
        raise layer.wrong(
            field, f"has shape {weight.shape}, but {n_post} neurons need {n_post} rows"
        )
    return weight.reshape(n_post, -1)
