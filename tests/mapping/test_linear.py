from itertools import product

import numpy as np
import pytest

from mapping.folding import compose
from mapping.linear import (
    Convolution,
    Dense,
    Sparse,
    apply,
    diagonal,
    matrix,
    pool,
    reshaped,
    scaled,
    sparse,
)  # fmt: skip


def slow_convolution(conv):
    """Full matrix of a convolution, one tap at a time."""
    c_out, extent = conv.post_shape[0], conv.post_shape[1:]
    per_out, per_in = c_out // conv.groups, conv.kernel.shape[1]
    full = np.zeros((*conv.post_shape, *conv.pre_shape))
    for o, i in product(range(c_out), range(per_in)):
        for at in product(*map(range, extent)):
            for tap in product(*map(range, conv.kernel.shape[2:])):
                place = tuple(
                    a * s - p[0] + t * d
                    for a, s, p, t, d in zip(
                        at, conv.stride, conv.padding, tap, conv.dilation, strict=True
                    )
                )
                if all(0 <= p < n for p, n in zip(place, conv.pre_shape[1:], strict=True)):
                    channel = o // per_out * per_in + i
                    full[(o, *at, channel, *place)] += conv.kernel[(o, i, *tap)]
    return full.reshape(int(np.prod(conv.post_shape)), -1)


CONVOLUTIONS = {
    "plain": {"shape": (2, 5, 6), "k": (3, 2, 3, 3)},
    "strided": {
        "shape": (2, 7, 6),
        "k": (4, 2, 3, 2),
        "stride": (2, 3),
        "padding": ((1, 2), (0, 1)),
    },
    "dilated": {"shape": (1, 8, 8), "k": (2, 1, 3, 3), "dilation": (2, 1)},
    "grouped": {"shape": (4, 5, 5), "k": (6, 2, 2, 2), "groups": 2},
    "one axis": {
        "shape": (3, 9),
        "k": (2, 3, 4),
        "stride": (2,),
        "padding": ((1, 2),),
        "dilation": (1,),
    },
}


def convolution(rng, shape, k, groups=1, **how):
    n = len(shape) - 1
    defaults = {"stride": (1,) * n, "padding": ((0, 0),) * n, "dilation": (1,) * n}
    return Convolution(
        kernel=rng.normal(size=k), pre_shape=shape, groups=groups, **(defaults | how)
    )


@pytest.mark.parametrize("case", CONVOLUTIONS.values(), ids=CONVOLUTIONS)
def test_convolution_equals_a_slow_loop(rng, case):
    conv = convolution(rng, **case)
    expected = slow_convolution(conv)
    np.testing.assert_allclose(matrix(conv), expected, atol=1e-14)
    assert conv.n_synapses == sparse(conv).n_synapses == np.count_nonzero(expected)
    x = rng.normal(size=(3, expected.shape[1]))
    np.testing.assert_allclose(apply(conv, x), x @ expected.T, atol=1e-12)


def maps(rng):
    conv = convolution(rng, (2, 6, 6), (3, 2, 3, 3), padding=((1, 1), (1, 1)))
    pooling = pool((3, 6, 6), window=(2, 2), stride=(2, 2), padding=((0, 0),) * 2, average=True)
    later = convolution(rng, (3, 3, 3), (2, 3, 3, 3), padding=((1, 1), (1, 1)))
    dense = Dense(weight=rng.normal(size=(5, 18)), pre_shape=(18,), post_shape=(5,))
    return [conv, pooling, later, dense, diagonal(rng.normal(size=5), (5,))]


def test_compositions_equal_matrix_products(rng):
    chain = maps(rng)
    for first in range(len(chain)):
        folded, expected = chain[first], matrix(chain[first])
        for then in chain[first + 1 :]:
            folded, expected = compose(folded, then), matrix(then) @ expected
            np.testing.assert_allclose(matrix(folded), expected, atol=1e-12)


@pytest.mark.parametrize(
    ("size", "window", "stride", "padding", "kept"),
    [
        (8, 2, 2, 1, True),
        (8, 2, 2, 0, True),
        (9, 2, 2, 1, False),  # a rest of the input lies where the next layer's padding is
        (9, 2, 2, 0, True),
        (8, 3, 2, 1, False),  # overlapping windows reach into it
        (8, 3, 2, 0, True),
    ],
)
def test_pooling_folds_into_a_convolution_only_where_exact(
    rng, size, window, stride, padding, kept
):
    pooling = pool(
        (3, size, size),
        window=(window,) * 2,
        stride=(stride,) * 2,
        padding=((0, 0),) * 2,
        average=False,
    )
    pads = ((padding, padding),) * 2
    conv = convolution(rng, pooling.post_shape, (4, 3, 3, 3), padding=pads)
    folded = compose(pooling, conv)
    assert isinstance(folded, Convolution) == kept
    np.testing.assert_allclose(matrix(folded), matrix(conv) @ matrix(pooling), atol=1e-12)


@pytest.mark.parametrize("index", range(5))
def test_scaling_and_reshaping(rng, index):
    linear = maps(rng)[index]
    n_post = int(np.prod(linear.post_shape))
    by = rng.normal(size=n_post)
    np.testing.assert_allclose(matrix(scaled(linear, by=by)), matrix(linear) * by[:, None])
    flat = reshaped(linear, post_shape=(n_post,))
    assert flat.post_shape == (n_post,)
    np.testing.assert_array_equal(matrix(flat), matrix(linear))


def test_arrays_in_a_map_cannot_be_changed(rng):
    with pytest.raises(ValueError, match="read-only"):
        maps(rng)[3].weight[0, 0] = 1.0


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Dense(weight=np.ones((2, 3)), pre_shape=(4,), post_shape=(2,)), r"need \(2, 4\)"),
        (
            lambda: Sparse(row=[0, 1], target=[2], weight=[1.0], pre_shape=(1,), post_shape=(2,)),
            r"targets must lie in 0..1",
        ),
        (
            lambda: convolution(np.random.default_rng(0), (2, 3, 3), (1, 2, 5, 5)),
            "larger than the padded input",
        ),
        (
            lambda: convolution(np.random.default_rng(0), (3, 3, 3), (1, 2, 2, 2)),
            "takes 2 channels, but the input has 3",
        ),
    ],
)
def test_contradictions_are_told(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    ("k", "stride", "padding", "dilation", "window", "step"),
    [(3, 1, 1, 1, 2, 2), (3, 2, 0, 2, 2, 1), (2, 3, 2, 1, 3, 2), (1, 1, 0, 1, 2, 2)],
)
@pytest.mark.parametrize("groups", [1, 2])
def test_a_convolution_before_a_pooling_stays_one(
    rng, k, stride, padding, dilation, window, step, groups
):
    conv = convolution(
        rng, (2, 11, 10), (4, 2 // groups, k, k), groups, stride=(stride,) * 2,
        padding=((padding, padding),) * 2, dilation=(dilation,) * 2,
    )  # fmt: skip
    pooling = pool(
        conv.post_shape, window=(window,) * 2, stride=(step,) * 2, padding=((0, 0),) * 2,
        average=True,
    )  # fmt: skip
    folded = compose(conv, pooling)
    assert isinstance(folded, Convolution)
    np.testing.assert_allclose(matrix(folded), matrix(pooling) @ matrix(conv), atol=1e-12)


@pytest.mark.parametrize(
    ("window", "padding", "message"),
    [
        ((0, 2), 0, r"\(0, 2\) must be at least 1"),
        ((2, 9), 1, r"\(2, 9\) is larger than .*\(8, 8\)"),
    ],
)
def test_windows_that_cannot_be_are_told(window, padding, message):
    with pytest.raises(ValueError, match=message):
        pool(
            (3, 6, 6), window=window, stride=(1, 1), padding=((padding, padding),) * 2, average=True
        )


def test_an_output_too_large_is_told(rng):
    with pytest.raises(ValueError, match=r"holds more than 2\^31 elements"):
        convolution(rng, (2, 5, 5), (3, 2, 2, 2), padding=((10**5, 10**5),) * 2)
