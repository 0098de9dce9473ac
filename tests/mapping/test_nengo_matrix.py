"""Full and listed matrices give the same products."""

from itertools import product as pairs

import numpy as np
import pytest

from mapping.linear import Dense, Sparse, matrix
from mapping.nengo_matrix import (
    Listed,
    applied,
    full,
    identity,
    is_zero,
    linear_of,
    placed,
    product,
    scaled_rows,
    selection,
    sum_of,
)

RNG = np.random.default_rng(5)


def listed(array):
    """Entries in any order, some split in two."""
    row, column = np.nonzero(array)
    row, column = np.tile(row, 2), np.tile(column, 2)
    order = RNG.permutation(row.size)
    value = array[row, column] / 2
    return Listed(array.shape, row[order], column[order], value[order])


def drawn(n, m, share=0.4):
    return RNG.standard_normal((n, m)) * (RNG.random((n, m)) < share)


@pytest.mark.parametrize(("left", "right"), list(pairs([np.asarray, listed], repeat=2)))
def test_products_equal_those_of_full_matrices(left, right):
    a, b = drawn(7, 5), drawn(5, 9)
    result = product(left(a), right(b))
    np.testing.assert_allclose(full(result), a @ b, atol=1e-14)
    assert isinstance(result, Listed) == (left is right is listed)


@pytest.mark.parametrize("kind", [np.asarray, listed])
def test_rows_are_placed_scaled_and_added(kind):
    a, by = drawn(4, 6), RNG.standard_normal(4)
    wide = np.zeros((9, 6))
    wide[[7, 0, 3, 2]] = a
    np.testing.assert_allclose(full(placed(kind(a), np.array([7, 0, 3, 2]), 9)), wide)
    np.testing.assert_allclose(full(scaled_rows(kind(a), by)), a * by[:, None])
    np.testing.assert_allclose(full(sum_of([kind(a), listed(a)])), 2 * a)
    x = RNG.standard_normal((3, 6))
    np.testing.assert_allclose(applied(kind(a), x), x @ a.T, atol=1e-14)


def test_selections_may_repeat():
    chosen = full(product(selection(np.array([2, 2, 0]), 3), identity(3)))
    assert chosen.tolist() == [[0, 0, 1], [0, 0, 1], [1, 0, 0]]
    assert is_zero(np.zeros((2, 2)))
    assert not is_zero(identity(2))


@pytest.mark.parametrize("kind", [np.asarray, listed])
@pytest.mark.parametrize(("share", "wanted"), [(0.2, Sparse), (1.0, Dense)])
def test_weights_take_the_smaller_form(kind, share, wanted):
    a = drawn(30, 20, share)
    linear = linear_of(kind(a))
    assert isinstance(linear, wanted)
    np.testing.assert_allclose(matrix(linear), a, atol=1e-14)
    if wanted is Sparse:
        assert linear.n_synapses == np.count_nonzero(a)
