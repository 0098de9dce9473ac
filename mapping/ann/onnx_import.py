"""ONNX files: Keras, torch and scikit-learn name things differently, the operators are the same.

Nodes are walked in their order. A value is an affine expression of activations (`mapping.ann.affine`),
a constant, or what comes after the last layer and changes no decision, such as a softmax. Every node
gets a line in the report, and all that cannot be done are refused together.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mapping.ann.affine import Affine, identity
from mapping.ann.rate_network import Layer, RateNetwork
from mapping.errors import OnnxError
from mapping.linear import Convolution, Dense, Shape, pool
from mapping.network import Input
from traces.extras import extra

Array = NDArray[Any]

SUPPORTED, REWRITTEN, REFUSED = "supported", "rewritten", "refused"


class NodeReport(NamedTuple):
    """What becomes of one node: `SUPPORTED`, `REWRITTEN` or `REFUSED`, and how or why."""

    node: str
    operator: str
    status: str
    how: str


class _Refused(Exception):  # noqa: N818 - ends a node, and becomes a line of the report
    """A node that cannot be done; the text says why, and what to do."""


class _Tail(NamedTuple):
    """A value after the last layer; ``of`` is what it was made of."""

    of: Affine


class _Unknown:
    """Comes out of a node that was refused; whatever takes it is not to blame."""


_Value = Affine | Array | _Tail | _Unknown


@dataclass
class _Walk:
    """Values and layers so far."""

    max_pool: str
    values: dict[str, _Value] = field(default_factory=dict)
    layers: list[Layer] = field(default_factory=list)
    report: list[NodeReport] = field(default_factory=list)

    def layer(self, name: str, given: Affine, activation: str, ceiling: float = np.inf) -> Affine:
        """Make a layer of an expression, and return its activations."""
        known = {layer.name for layer in self.layers}
        unique = name
        while unique in known:
            unique += "_"
        self.layers.append(
            Layer(
                name=unique, shape=given.shape, sources=given.sources(), bias=given.bias,
                activation=activation, ceiling=ceiling,
            )
        )  # fmt: skip
        return identity(unique, given.shape)


class _Node(NamedTuple):
    """A node as the operators want it."""

    name: str
    operator: str
    given: tuple[_Value | None, ...]
    attributes: Mapping[str, Any]
    outputs: tuple[str, ...]

    def affine(self, place: int = 0) -> Affine:
        """Argument that must come from activations."""
        value = self.given[place] if place < len(self.given) else None
        if not isinstance(value, Affine):
            raise _Refused(f"argument {place} does not come from the network's input")
        return value

    def constant(self, place: int, default: Array | None = None) -> Array:
        """Argument that must be a number known in advance."""
        value = self.given[place] if place < len(self.given) else None
        if value is None and default is not None:
            return default
        if not isinstance(value, np.ndarray):
            raise _Refused(
                f"argument {place} must be a constant, but is computed while the network runs; "
                f"products of activations have no spiking counterpart"
            )
        return value


def import_onnx(path: str | Path, *, max_pool: str = "refuse") -> RateNetwork:
    """Read a trained network of rates.

    Parameters
    ----------
    max_pool : {"refuse", "average"}
        What becomes of max pooling, which spikes cannot do: an average in its place changes the
        network, so that it must be asked for.

    Raises
    ------
    FileNotFoundError
    OnnxError
        If it is no ONNX file; or with every node that cannot be done, and what to do about it.
    """
    network, report = read_onnx(path, max_pool=max_pool)
    refused = [line for line in report if line.status == REFUSED]
    if network is None:
        raise OnnxError(
            f"{path}: {len(refused)} of {len(report)} nodes cannot become spikes:\n"
            + "\n".join(f"  - {line.node} ({line.operator}): {line.how}" for line in refused)
        )
    return network


def read_onnx(
    path: str | Path, *, max_pool: str = "refuse"
) -> tuple[RateNetwork | None, tuple[NodeReport, ...]]:
    """Read a network and say what becomes of each node; no network where one is refused.

    Raises
    ------
    FileNotFoundError
    MissingExtraError
        If the package onnx is not installed.
    OnnxError
        If it is no ONNX file.
    """
    if max_pool not in ("refuse", "average"):
        raise ValueError(f"max_pool {max_pool!r} is none of refuse, average")
    graph = _graph(Path(path))
    walk = _Walk(max_pool=max_pool)
    for tensor in graph.initializer:
        walk.values[tensor.name] = _onnx().numpy_helper.to_array(tensor)
    inputs = tuple(_inputs(graph, walk, Path(path)))
    for number, node in enumerate(graph.node):
        _take(walk, node, node.name or f"{node.op_type}_{number}")
    outputs = _outputs(walk, [info.name for info in graph.output])
    report = tuple(walk.report)
    if any(line.status == REFUSED for line in report):
        return None, report
    notes = tuple(f"{r.node}: {r.how}" for r in report if r.status == REWRITTEN)
    return RateNetwork(
        inputs=inputs, layers=tuple(walk.layers), outputs=outputs, notes=notes
    ), report


def _onnx() -> Any:
    extra("onnx.numpy_helper", "onnx")
    return extra("onnx", "onnx")


def _graph(path: Path) -> Any:
    """Read a file, and give its samples' axis the length 1."""
    if not path.exists():
        raise FileNotFoundError(f"{path}: there is no such file")
    onnx = _onnx()
    try:
        model = onnx.load(path)
        held = {tensor.name for tensor in model.graph.initializer}
        for info in model.graph.input:
            dims = info.type.tensor_type.shape.dim
            if info.name not in held and dims and not dims[0].dim_value:
                dims[0].dim_value = 1
        return model.graph
    except Exception as error:  # protobuf and onnx raise many kinds
        raise OnnxError(f"{path}: no ONNX file, or a damaged one ({error})") from error


def _shape(info: Any) -> Shape:
    if not info.type.HasField("tensor_type"):
        return ()
    return tuple(int(d.dim_value) for d in info.type.tensor_type.shape.dim)


def _inputs(graph: Any, walk: _Walk, path: Path) -> Iterator[Input]:
    for info in graph.input:
        if info.name in walk.values:  # older files list their weights among the inputs
            continue
        shape = _shape(info)
        if len(shape) < 2 or min(shape) < 1:
            told = [d.dim_param or d.dim_value or "?" for d in info.type.tensor_type.shape.dim]
            raise OnnxError(
                f"{path}: input {info.name!r} has the shape {told}: all axes but that of the "
                f"samples must be known; export it again with fixed sizes"
            )
        if shape[0] != 1:
            # Exported for so many samples at once; its other axes are what counts.
            shape = (1, *shape[1:])
        walk.values[info.name] = identity(info.name, shape[1:])
        yield Input(name=info.name, shape=shape[1:])


def _take(walk: _Walk, node: Any, name: str) -> None:
    """Work out one node, and report on it."""
    onnx = _onnx()
    given = tuple(walk.values.get(n) if n else None for n in node.input)
    attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
    this = _Node(name, node.op_type, given, attributes, tuple(node.output))
    for output in node.output:
        walk.values[output] = _Unknown()
    if any(isinstance(value, _Unknown) for value in given):
        return
    known = [value for value in given if value is not None]
    if all(isinstance(value, np.ndarray) for value in known):
        _fold(walk, node)
        return
    tail = next((value for value in known if isinstance(value, _Tail)), None)
    found: _Value
    try:
        if tail is not None and node.op_type in _AFTER:
            found, status, how = tail, REWRITTEN, "left off: it comes after the decision"
        elif tail is not None:
            raise _Refused("takes what a softmax or sigmoid made, of which spikes know nothing")
        else:
            found, status, how = _operator(this.operator)(walk, this)
    except (_Refused, ValueError) as refused:
        walk.report.append(NodeReport(name, node.op_type, REFUSED, str(refused)))
        return
    walk.report.append(NodeReport(name, node.op_type, status, how))
    for output in node.output:
        walk.values[output] = found


def _fold(walk: _Walk, node: Any) -> None:
    """Compute what depends on constants alone."""
    onnx = _onnx()
    from onnx.reference import ReferenceEvaluator

    feeds = {n: walk.values[n] for n in node.input if n}
    nothing = onnx.TensorProto.UNDEFINED
    graph = onnx.helper.make_graph(
        [node], "constants",
        [onnx.helper.make_tensor_value_info(n, nothing, None) for n in feeds],
        [onnx.helper.make_tensor_value_info(n, nothing, None) for n in node.output],
    )  # fmt: skip
    try:
        found = ReferenceEvaluator(onnx.helper.make_model(graph)).run(None, feeds)
    except Exception:  # then whoever needs it will say what is missing
        return
    walk.values.update(zip(node.output, (np.asarray(value) for value in found), strict=True))


def _outputs(walk: _Walk, names: Iterable[str]) -> tuple[str, ...]:
    """Make layers of what comes out, each once."""
    found: list[str] = []
    seen: list[Affine] = []
    for name in names:
        value = walk.values.get(name)
        if isinstance(value, _Tail):
            value = value.of
        # A class and its probability are read from the same neurons.
        if not isinstance(value, Affine) or any(value is other for other in seen):
            continue
        seen.append(value)
        same = [part for part, linear in value.terms.items() if linear is None]
        direct = len(value.terms) == 1 and len(same) == 1 and not value.bias.any()
        layers = {layer.name for layer in walk.layers}
        if direct and same[0] in layers:
            chosen = same[0]
        else:
            made = walk.layer(name, value, "none")
            chosen = next(iter(made.terms))
        if chosen not in found:
            found.append(chosen)
    if not found and not any(line.status == REFUSED for line in walk.report):
        walk.report.append(
            NodeReport("outputs", "", REFUSED, "no output depends on the network's input")
        )
    return tuple(found)


_Done = tuple[_Value, str, str]
_ORDER = "no work: an order of neurons"


def _as_it_is(walk: _Walk, node: _Node) -> _Done:
    return node.affine(), SUPPORTED, "changes nothing when the network runs"


def _relu(walk: _Walk, node: _Node) -> _Done:
    return walk.layer(node.outputs[0], node.affine(), "relu"), SUPPORTED, "spiking neurons"


def _clip(walk: _Walk, node: _Node) -> _Done:
    low, high = (
        float(np.asarray(node.attributes.get(name, node.constant(k, np.array(default)))).item())
        for k, name, default in ((1, "min", -np.inf), (2, "max", np.inf))
    )
    if low != 0 or not high > 0:
        raise _Refused(
            f"clips to {low:g}..{high:g}; rates can be cut at 0 below, and at a number above it"
        )
    made = walk.layer(node.outputs[0], node.affine(), "relu", high)
    return made, SUPPORTED, f"spiking neurons that fire in every tick at {high:g}"


def _gemm(walk: _Walk, node: _Node) -> _Done:
    if node.attributes.get("transA", 0):
        raise _Refused("transA: its first argument is turned, so that samples mix")
    weight = node.constant(1).astype(np.float64)
    weight = weight if node.attributes.get("transB", 0) else weight.T
    found = _dense(node.affine(), weight * node.attributes.get("alpha", 1.0))
    if len(node.given) > 2 and node.given[2] is not None:
        bias = node.constant(2).astype(np.float64) * node.attributes.get("beta", 1.0)
        found = found.plus(bias.reshape(bias.shape[-1:]) if bias.ndim else bias)
    return found, SUPPORTED, "synapses"


def _matmul(walk: _Walk, node: _Node) -> _Done:
    if isinstance(node.given[0], np.ndarray):
        raise _Refused("a constant times activations: export it with activations on the left")
    weight = node.constant(1).astype(np.float64)
    if weight.ndim != 2:
        raise _Refused(f"a constant of {weight.ndim} axes; a matrix is wanted")
    return _dense(node.affine(), weight.T), SUPPORTED, "synapses"


def _dense(given: Affine, weight: Array) -> Affine:
    n_post, n_pre = weight.shape
    if given.shape[-1:] != (n_pre,):
        raise _Refused(f"a matrix for {n_pre} values, but {given.shape} come")
    if len(given.shape) > 1:
        if prod(given.shape[:-1]) > 1:
            raise _Refused(
                f"a matrix on the last axis of {given.shape}: flatten before it, or use a "
                f"convolution with a kernel of 1"
            )
        found = given.folded((n_pre,)).through(_matrix(weight))
        return found.folded((*given.shape[:-1], n_post))
    return given.through(_matrix(weight))


def _matrix(weight: Array) -> Dense:
    n_post, n_pre = weight.shape
    return Dense(weight=weight, pre_shape=(n_pre,), post_shape=(n_post,))


def _conv(walk: _Walk, node: _Node) -> _Done:
    given, kernel = node.affine(), node.constant(1).astype(np.float64)
    if kernel.ndim not in (3, 4):
        raise _Refused(f"a convolution of {kernel.ndim - 2} axes; 1 or 2 are supported")
    window = kernel.shape[2:]
    stride, dilation = (
        tuple(node.attributes.get(name, [1] * len(window))) for name in ("strides", "dilations")
    )
    reach = tuple(d * (k - 1) + 1 for k, d in zip(window, dilation, strict=True))
    conv = Convolution(
        kernel=kernel, pre_shape=given.shape, stride=stride,
        padding=_padding(node, given.shape[1:], reach, stride), dilation=dilation,
        groups=int(node.attributes.get("group", 1)),
    )  # fmt: skip
    found = given.through(conv)
    if len(node.given) > 2 and node.given[2] is not None:
        bias = node.constant(2).astype(np.float64)
        found = found.plus(bias.reshape(-1, *[1] * len(window)))
    return found, SUPPORTED, "synapses"


def _padding(
    node: _Node, extent: Shape, reach: Shape, stride: Shape
) -> tuple[tuple[int, int], ...]:
    auto = node.attributes.get("auto_pad", b"NOTSET")
    auto = auto.decode() if isinstance(auto, bytes) else str(auto)
    n_axes = len(extent)
    if auto in ("SAME_UPPER", "SAME_LOWER"):
        pads = []
        for n, k, s in zip(extent, reach, stride, strict=True):
            total = max((-(-n // s) - 1) * s + k - n, 0)
            small, large = total // 2, total - total // 2
            pads.append((small, large) if auto == "SAME_UPPER" else (large, small))
        return tuple(pads)
    told = [0] * (2 * n_axes) if auto == "VALID" else node.attributes.get("pads", [0] * 2 * n_axes)
    return tuple((int(told[k]), int(told[n_axes + k])) for k in range(n_axes))


def _average(walk: _Walk, node: _Node) -> _Done:
    found, partial = _pooled(node, average=True)
    return found, SUPPORTED, "synapses" + (", edges weighted by what they hold" if partial else "")


def _pooled(node: _Node, *, average: bool) -> tuple[Affine, bool]:
    given = node.affine()
    window = tuple(int(k) for k in node.attributes["kernel_shape"])
    stride = tuple(node.attributes.get("strides", [1] * len(window)))
    if any(d != 1 for d in node.attributes.get("dilations", [1])):
        raise _Refused("pools with gaps (dilations); pool without them")
    padding = _padding(node, given.shape[1:], window, stride)
    if node.attributes.get("ceil_mode", 0):
        padding = tuple(
            (low, high + (-(n + low + high - k)) % s)
            for n, k, s, (low, high) in zip(given.shape[1:], window, stride, padding, strict=True)
        )
    linear = pool(given.shape, window=window, stride=stride, padding=padding, average=average)
    found = given.through(linear)
    padded = any(pair != (0, 0) for pair in padding)
    if not padded or node.attributes.get("count_include_pad", 0):
        return found, False
    # Windows at the edges average over what they hold alone.
    held = linear.post_shape
    ones = identity("ones", given.shape).plus(np.ones(given.shape)).through(linear)
    return found.times(1.0 / np.where(ones.bias > 0, ones.bias, 1.0).reshape(held)), True


def _max(walk: _Walk, node: _Node) -> _Done:
    if walk.max_pool == "refuse":
        raise _Refused(
            "the largest of several rates is not a sum of spikes; train with average pooling or "
            "strides, or accept averages in its place (--max-pool average), which changes the "
            "network's answers"
        )
    found, _ = _pooled(node, average=True)
    return found, REWRITTEN, "averages in place of maxima, as asked: check the accuracy"


def _global_average(walk: _Walk, node: _Node) -> _Done:
    given = node.affine()
    linear = pool(
        given.shape, window=given.shape[1:], stride=(1,) * (len(given.shape) - 1),
        padding=((0, 0),) * (len(given.shape) - 1), average=True,
    )  # fmt: skip
    return given.through(linear), SUPPORTED, "synapses"


def _mean(walk: _Walk, node: _Node) -> _Done:
    given = node.affine()
    n_axes = len(given.shape)
    axes = _axes(node, n_axes + 1, [])
    if set(axes) != set(range(2, n_axes + 1)) or not axes:
        raise _Refused(
            f"a mean over the axes {axes}; over all but samples and channels is supported"
        )
    found, status, how = _global_average(walk, node)
    assert isinstance(found, Affine)
    if not node.attributes.get("keepdims", 1):
        found = found.folded(given.shape[:1])
    return found, status, how


def _batch_norm(walk: _Walk, node: _Node) -> _Done:
    given = node.affine()
    scale, shift, mean, variance = (node.constant(k).astype(np.float64) for k in range(1, 5))
    factor = scale / np.sqrt(variance + float(node.attributes.get("epsilon", 1e-5)))
    shape = (-1, *[1] * (len(given.shape) - 1))
    found = given.times(factor.reshape(shape)).plus((shift - mean * factor).reshape(shape))
    return found, REWRITTEN, "folded into the synapses and biases beside it"


def _add(walk: _Walk, node: _Node) -> _Done:
    first, second = node.given[:2]
    if isinstance(first, Affine) and isinstance(second, Affine):
        if first.shape != second.shape:
            raise _Refused(f"a sum of the shapes {first.shape} and {second.shape}")
        return first.and_(second), SUPPORTED, "both feed the same neurons"
    place = 0 if isinstance(first, Affine) else 1
    given = node.affine(place)
    return given.plus(_beside(node.constant(1 - place), given.shape)), SUPPORTED, "biases"


def _subtract(walk: _Walk, node: _Node) -> _Done:
    first, second = node.given[:2]
    if isinstance(second, Affine):
        minus = second.times(np.array(-1.0))
        turned = node._replace(given=(first, minus))
    else:
        turned = node._replace(given=(first, -node.constant(1).astype(np.float64)))
    return _add(walk, turned)


def _multiply(walk: _Walk, node: _Node) -> _Done:
    place = 0 if isinstance(node.given[0], Affine) else 1
    given = node.affine(place)
    return given.times(_beside(node.constant(1 - place), given.shape)), SUPPORTED, "weights"


def _divide(walk: _Walk, node: _Node) -> _Done:
    given, by = node.affine(), node.constant(1).astype(np.float64)
    if not np.all(by):
        raise _Refused("divides by 0")
    return given.times(_beside(1.0 / by, given.shape)), SUPPORTED, "weights"


def _beside(constant: Array, shape: Shape) -> Array:
    """A constant without the axis of samples."""
    values = np.asarray(constant, np.float64)
    if values.ndim > len(shape):
        if prod(values.shape[: values.ndim - len(shape)]) != 1:
            raise _Refused(f"a constant of shape {values.shape}, which tells samples apart")
        values = values.reshape(values.shape[values.ndim - len(shape) :])
    return values


def _flatten(walk: _Walk, node: _Node) -> _Done:
    axis = int(node.attributes.get("axis", 1))
    if axis not in (1, -len(node.affine().shape)):
        raise _Refused(f"flattens from axis {axis} on; samples would mix")
    return node.affine().folded((node.affine().size,)), SUPPORTED, _ORDER


def _reshape(walk: _Walk, node: _Node) -> _Done:
    given = node.affine()
    old = (1, *given.shape)
    wanted = [int(n) for n in node.constant(1)]
    if not node.attributes.get("allowzero", 0):
        wanted = [old[k] if n == 0 and k < len(old) else n for k, n in enumerate(wanted)]
    if wanted.count(-1) == 1:
        rest = -prod(wanted)
        # The samples' axis is 1 here; a free first axis is that of the samples, too.
        wanted = [(prod(old) // rest if rest else 0) if n == -1 else n for n in wanted]
    return _folded_to(given, tuple(wanted)), SUPPORTED, _ORDER


def _folded_to(given: Affine, shape: Shape) -> Affine:
    if not shape or shape[0] != 1 or prod(shape[1:]) != given.size:
        raise _Refused(f"a new shape {shape} for samples of {given.shape}; samples would mix")
    return given.folded(shape[1:])


def _squeeze(walk: _Walk, node: _Node) -> _Done:
    given = node.affine()
    old = (1, *given.shape)
    axes = _axes(node, len(old), [k for k, n in enumerate(old) if n == 1 and k > 0])
    return (
        _folded_to(given, tuple(n for k, n in enumerate(old) if k not in axes)),
        SUPPORTED,
        _ORDER,
    )


def _unsqueeze(walk: _Walk, node: _Node) -> _Done:
    given = node.affine()
    old = [1, *given.shape]
    told = node.attributes.get("axes")
    axes = [int(a) for a in (node.constant(1).ravel() if told is None else told)]
    for axis in sorted(a % (len(old) + len(axes)) for a in axes):
        old.insert(axis, 1)
    return _folded_to(given, tuple(old)), SUPPORTED, _ORDER


def _axes(node: _Node, n: int, default: list[int]) -> list[int]:
    """Axes as an attribute has them, or in newer files an argument."""
    told = node.attributes.get("axes")
    if told is None and len(node.given) > 1 and node.given[1] is not None:
        told = node.constant(1).ravel().tolist()
    return [int(axis) % n for axis in (default if told is None else told)]


def _lengths(walk: _Walk, node: _Node) -> _Done:
    return np.array((1, *node.affine().shape)), SUPPORTED, "known in advance"


def _transpose(walk: _Walk, node: _Node) -> _Done:
    given = node.affine()
    order = list(node.attributes.get("perm", range(len(given.shape), -1, -1)))
    if order[0] != 0:
        raise _Refused(f"turns axes as {order}; samples would mix")
    axes = [axis - 1 for axis in order[1:]]
    shape = tuple(given.shape[axis] for axis in axes)
    index = np.arange(given.size).reshape(given.shape).transpose(axes).ravel()
    return given.taken(index, shape), SUPPORTED, _ORDER


def _pad(walk: _Walk, node: _Node) -> _Done:
    given = node.affine()
    pads = node.attributes.get("pads")
    pads = node.constant(1).tolist() if pads is None else list(pads)
    mode = node.attributes.get("mode", b"constant")
    value = node.constant(2, np.zeros(1))
    if mode not in (b"constant", "constant") or np.any(value):
        raise _Refused(f"pads with {mode!r}; zeros are supported")
    n = len(given.shape) + 1
    pairs = tuple((int(pads[k]), int(pads[n + k])) for k in range(n))
    if any(pair != (0, 0) for pair in pairs[:2]) or min(map(min, pairs)) < 0:
        raise _Refused(f"pads axes by {pairs}; zeros around images are supported")
    ones = (1,) * (n - 2)
    linear = pool(given.shape, window=ones, stride=ones, padding=pairs[2:], average=False)
    return given.through(linear), SUPPORTED, "no work: zeros"


def _left_off(walk: _Walk, node: _Node) -> _Done:
    return _Tail(node.affine()), REWRITTEN, "left off: the largest stays the largest"


def _sigmoid(walk: _Walk, node: _Node) -> _Done:
    found = _Tail(node.affine())
    return found, REWRITTEN, "left off where it ends the network: larger stays larger"


_AFTER = frozenset(
    {"ArgMax", "ArrayFeatureExtractor", "Cast", "Concat", "Gather", "Greater", "Identity", "Mul",
     "Neg", "Normalizer", "Reshape", "Softmax", "Squeeze", "Sub", "Unsqueeze", "Where", "ZipMap"}
)  # fmt: skip
"""What exporters put behind the last layer to name a class."""
_OPERATORS: dict[str, Callable[[_Walk, _Node], _Done]] = {
    "Identity": _as_it_is, "Dropout": _as_it_is, "Cast": _as_it_is,
    "Relu": _relu, "Clip": _clip,
    "Gemm": _gemm, "MatMul": _matmul, "Conv": _conv,
    "AveragePool": _average, "MaxPool": _max, "GlobalAveragePool": _global_average,
    "ReduceMean": _mean, "BatchNormalization": _batch_norm,
    "Add": _add, "Sum": _add, "Sub": _subtract, "Mul": _multiply, "Div": _divide,
    "Flatten": _flatten, "Reshape": _reshape, "Squeeze": _squeeze, "Unsqueeze": _unsqueeze,
    "Shape": _lengths,
    "Transpose": _transpose, "Pad": _pad,
    "Softmax": _left_off, "LogSoftmax": _left_off, "ArgMax": _left_off, "Hardmax": _left_off,
    "ZipMap": _left_off, "Sigmoid": _sigmoid, "Normalizer": _left_off,
}  # fmt: skip
_ADVICE = {
    "LeakyRelu": "train with ReLU: a firing rate cannot be negative",
    "PRelu": "train with ReLU: a firing rate cannot be negative",
    "Elu": "train with ReLU: a firing rate cannot be negative",
    "Selu": "train with ReLU: a firing rate cannot be negative",
    "Gelu": "train with ReLU",
    "Tanh": "train with ReLU: a firing rate cannot be negative",
    "LSTM": "recurrent rate networks are not converted; train a recurrent spiking network instead",
    "GRU": "recurrent rate networks are not converted; train a recurrent spiking network instead",
    "GlobalMaxPool": "use a global average in training",
    "Concat": "add the branches up instead, or train a layer for each",
}


def _operator(name: str) -> Callable[[_Walk, _Node], _Done]:
    if name in _OPERATORS:
        return _OPERATORS[name]
    advice = _ADVICE.get(name, "replace it in training by layers that are: " + ", ".join(_TRAINED))
    raise _Refused(f"operator {name} is not supported; {advice}")


_TRAINED = ("dense", "convolution", "average pooling", "batch norm", "ReLU", "ReLU6", "sums")
