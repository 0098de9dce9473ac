"""Shapes that exporters disagree about, and numbers that no machine can hold."""

from itertools import pairwise

import nir
import numpy as np
import pytest

from mapping.errors import NetworkError, NirError
from mapping.linear import Convolution, Sparse, matrix
from mapping.nir_import import import_nir

METADATA = {"dt": 1e-3, "reset": "zero"}


def fire(*shape):
    return nir.IF(r=np.ones(shape), v_threshold=np.ones(shape))


def changed(node, **values):
    """A node past the checks of the nir package, as a file may be."""
    for name, value in values.items():
        setattr(node, name, value)
    return node


def conv(c_out, c_in, k=3, **how):
    plain = {"stride": 1, "padding": 0, "dilation": 1, "groups": 1, "bias": np.zeros(c_out)}
    kernel = np.arange(1.0, 1 + c_out * c_in * k * k).reshape(c_out, c_in, k, k)
    node = nir.Conv2d(input_shape=None, weight=kernel, **plain)
    return changed(node, **how)


def pooling(kind=nir.SumPool2d, **how):
    two = np.array([2, 2])
    return changed(kind(two, two, np.array([0, 0])), **how)


def chain(*nodes, shape, out=None):
    """Input, the nodes one after another (named a, b, c, …), and an Output where ``out`` says so."""
    names = [chr(ord("a") + k) for k in range(len(nodes))]
    whole = {"input": nir.Input(np.array(shape)), **dict(zip(names, nodes, strict=True))}
    if out is not None:
        whole["output"] = nir.Output(np.array(out))
    return nir.NIRGraph(
        nodes=whole, edges=list(pairwise(whole)), metadata=METADATA, type_check=False
    )


def shapes(graph):
    return {population.name: population.shape for population in import_nir(graph).populations}


def test_a_batch_axis_is_dropped():
    batched = chain(conv(4, 2), fire(1, 4, 6, 6), pooling(), fire(1, 4, 3, 3), shape=(1, 2, 8, 8))
    network = import_nir(batched)
    assert network.inputs[0].shape == (2, 8, 8)
    assert shapes(batched) == {"b": (4, 6, 6), "d": (4, 3, 3)}
    plain = chain(conv(4, 2), fire(4, 6, 6), pooling(), fire(4, 3, 3), shape=(2, 8, 8))
    assert import_nir(plain).sha256 == network.sha256
    assert shapes(chain(nir.Linear(np.ones((5, 3))), fire(1, 5), shape=(1, 3))) == {"b": (5,)}
    line = nir.Conv1d(None, np.ones((4, 2, 3)), 1, 0, 1, 1, np.zeros(4))
    assert shapes(chain(line, fire(1, 4, 7), shape=(1, 2, 9))) == {"b": (4, 7)}


def test_flat_parameters_keep_the_geometry():
    graph = chain(conv(2, 1), fire(32), pooling(), fire(8), shape=(1, 6, 6))
    assert shapes(graph) == {"b": (2, 4, 4), "d": (2, 2, 2)}
    assert all(isinstance(p.linear, Convolution) for p in import_nir(graph).projections)


PER_CHANNEL = {
    "Scale": lambda v: [nir.Scale(v), fire(2, 3, 4)],
    "Delay": lambda v: [nir.Delay(v), fire(2, 3, 4)],
    "IF": lambda v: [nir.IF(r=v, v_threshold=np.ones(v.shape))],
}


@pytest.mark.parametrize("kind", PER_CHANNEL)
def test_one_value_for_each_channel_means_the_same_everywhere(kind):
    values = np.array([1.0, 2.0])
    flat = import_nir(chain(*PER_CHANNEL[kind](values), shape=(2, 3, 4)))
    full = import_nir(chain(*PER_CHANNEL[kind](values.reshape(2, 1, 1)), shape=(2, 3, 4)))
    every = np.broadcast_to(values.reshape(2, 1, 1), (2, 3, 4))
    whole = import_nir(chain(*PER_CHANNEL[kind](every.copy()), shape=(2, 3, 4)))
    assert flat.sha256 == full.sha256 == whole.sha256
    assert flat.populations[0].shape == (2, 3, 4)


@pytest.mark.parametrize("kind", PER_CHANNEL)
def test_values_for_the_first_or_the_last_axis_are_not_guessed(kind):
    nodes = PER_CHANNEL[kind](np.array([1.0, 2.0]))[:1]
    with pytest.raises(NirError, match=r"could be for the first or the last axis of \(2, 3, 2\)"):
        import_nir(chain(*nodes, *[fire()] * (kind != "IF"), shape=(2, 3, 2)))


def test_a_convolution_scaled_by_channels_stays_one():
    node = conv(4, 2)
    graph = chain(
        node, nir.Scale(np.arange(1.0, 5).reshape(4, 1, 1)), fire(4, 6, 6), shape=(2, 8, 8)
    )
    (projection,) = import_nir(graph).projections
    assert isinstance(projection.linear, Convolution)
    expected = node.weight * np.arange(1.0, 5).reshape(4, 1, 1, 1)
    np.testing.assert_allclose(projection.linear.kernel, expected)
    uneven = chain(node, nir.Scale(np.arange(144.0).reshape(4, 6, 6)), fire(), shape=(2, 8, 8))
    (projection,) = import_nir(uneven).projections
    assert isinstance(projection.linear, Sparse)
    plain = matrix(import_nir(chain(node, fire(), shape=(2, 8, 8))).projections[0].linear)
    np.testing.assert_allclose(matrix(projection.linear), plain * np.arange(144.0)[:, None])


HUGE = 2**31 - 1


@pytest.mark.parametrize(
    ("node", "message"),
    [
        (pooling(nir.AvgPool2d, kernel_size=np.array([0, 2])), "must be at least 1"),
        (pooling(kernel_size=np.array([HUGE, HUGE])), "larger than the padded input"),
        (pooling(padding=np.array([2, 2])), r"must be less than the window \(2, 2\)"),
        (
            pooling(padding=np.array([HUGE - 1] * 2), kernel_size=np.array([HUGE] * 2)),
            r"not wider than the input \(8, 8\)",
        ),
        (pooling(stride=np.array([0, 1])), "must be at least 1"),
        (conv(4, 2, padding=HUGE), "wider than the kernel"),
        (conv(4, 2, dilation=HUGE), "larger than the padded input"),
        (conv(4, 2, stride=np.array([1, 2, 3])), "must have 2 entries"),
        (conv(4, 2, groups=np.array([1, 2])), "groups must be one whole number"),
        (conv(4, 2, bias=None), "has no 'bias'"),
        (conv(4, 2, input_shape=(9, 9)), r"input_shape is \(9, 9\), but \(8, 8\) arrives"),
        (changed(nir.Affine(np.ones((2, 128)), np.ones(2)), bias=None), "has no 'bias'"),
    ],
)
def test_numbers_that_cannot_be_name_the_node(node, message):
    graph = chain(node, fire(), shape=(2, 8, 8))
    with pytest.raises(NirError, match=f"node 'a' of type {type(node).__name__}.*{message}"):
        import_nir(graph)


def test_numbers_that_only_the_whole_makes_too_large_are_told():
    with pytest.raises(NetworkError, match=r"input→b: a delay of 1e\+300 s is 2\^31 ticks or more"):
        import_nir(chain(nir.Delay(np.array([1e300])), fire(), shape=(2,)))
    twice = [nir.Scale(np.array([1e308]))] * 2
    with pytest.raises(
        NetworkError, match=r"input→c: 2 of 2 values of weights are NaN or infinite"
    ):
        import_nir(chain(*twice, fire(), shape=(2,)))


def test_a_stride_beyond_the_input_leaves_one_place():
    graph = chain(conv(4, 2, stride=HUGE), fire(), shape=(2, 8, 8))
    assert shapes(graph) == {"b": (4, 1, 1)}


def test_a_tick_of_almost_nothing_is_told():
    with pytest.raises(ValueError, match="the graph: "):
        import_nir(
            chain(nir.Delay(np.array([1e-3])), fire(), shape=(2,)), dt_s=1e-320, spike="hold"
        )


@pytest.mark.parametrize("nested", [False, True])
def test_gates_that_say_another_size_are_told(nested):
    gates = {"i": nir.Input(np.array([3])), "f": fire(2), "o": nir.Output(np.array([2]))}
    if not nested:
        with pytest.raises(NirError, match=r"'output' of type Output: its shape \(3,\) holds 3"):
            import_nir(chain(fire(2), shape=(2,), out=(3,)))
        return
    inner = nir.NIRGraph(nodes=gates, edges=[("i", "f"), ("f", "o")], type_check=False)
    with pytest.raises(
        NirError, match=r"'a.i' of type Input: its shape \(3,\) holds 3 .* 2 \(2,\)"
    ):
        import_nir(chain(inner, shape=(2,), out=(2,)))
