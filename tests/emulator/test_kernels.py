"""The rules of integer arithmetic against unbounded Python integers, compiled and as plain Python."""

import math
from fractions import Fraction
from itertools import product

import pytest

from emulator.arithmetic import (
    COMPARES,
    DECAYS,
    FRACTIONS,
    OVERFLOWS,
    hashed,
    keep_by_shift,
    shift_integer,
)
from traces.jit import python_of

EDGES = [
    -(2**31),
    -(2**23) - 1,
    -(2**23),
    -(2**23) + 1,
    -9,
    -2,
    -1,
    0,
    1,
    2,
    7,
    9,
    2**23 - 1,
    2**23,
    2**31,
]


def both(table):
    """Every rule of a table, compiled and as plain Python."""
    return [
        pytest.param(name, form(rule), id=f"{name}-{form.__name__}")
        for name, rule in table.items()
        for form in (compiled, python_of)
    ]


def compiled(rule):
    return rule


def rounded(exact, rule):
    """Round a fraction as the rule's name says."""
    low, rest = math.floor(exact), exact - math.floor(exact)
    if rule == "toward-zero":
        return math.trunc(exact)
    if rule == "floor":
        return low
    if rule == "away":
        return math.ceil(exact) if exact > 0 else low
    assert rule == "nearest-even"
    return round(exact) if rest == Fraction(1, 2) else math.floor(exact + Fraction(1, 2))


@pytest.mark.parametrize(
    ("name", "run"), [c for c in both(DECAYS) if c.values[0] not in ("shift", "stochastic")]
)
def test_decays_round_as_they_are_called(name, run):
    for x, keep, bits in product(EDGES, [0, 1, 2047, 2048, 4095, 4096], [12]):
        assert run(x, keep, bits, 0) == rounded(Fraction(x * keep, 2**bits), name), (x, keep)
    for x, keep in product(EDGES, [0, 1, 2]):
        assert run(x, keep, 1, 0) == rounded(Fraction(x * keep, 2), name), (x, keep)


@pytest.mark.parametrize(
    "run", [keep_by_shift, python_of(keep_by_shift)], ids=["compiled", "python"]
)
def test_decay_by_shift_reaches_zero(run):
    assert run(9, 3, 0, 0) == 8
    assert run(-9, 3, 0, 0) == -7
    assert run(1, 4, 0, 0) == 0
    assert run(-1, 4, 0, 0) == 0
    assert run(0, 4, 0, 0) == 0
    for x, dash in product([-(2**15), -300, -1, 0, 1, 300, 2**15 - 1], range(16)):
        less = math.floor(Fraction(x, 2**dash))
        assert run(x, dash, 0, 0) == x - (1 if less == 0 and x > 0 else less)


@pytest.mark.parametrize("run", [DECAYS["stochastic"], python_of(DECAYS["stochastic"])])
def test_stochastic_rounding_is_exact_on_average(run):
    for x, keep, bits in [(7, 3, 3), (-7, 3, 3), (1000, 4095, 12)]:
        exact = Fraction(x * keep, 2**bits)
        draws = [run(x, keep, bits, (k << 32) // 4096) for k in range(4096)]
        assert Fraction(sum(draws), 4096) == exact
        assert set(draws) <= {math.floor(exact), math.ceil(exact)}


@pytest.mark.parametrize(("name", "run"), both(OVERFLOWS))
def test_registers(name, run):
    for x, bits in product([*EDGES, 2**40, -(2**40)], [1, 2, 8, 24, 32]):
        half = 2 ** (bits - 1)
        expected = {
            "none": x,
            "wrap": (x + half) % (2 * half) - half,
            "saturate": max(-(half - 1), min(half - 1, x)),
            "saturate-twos": max(-half, min(half - 1, x)),
            "wrap-once": x - 2 * half if x > half else x + 2 * half if x <= -half else x,
        }[name]
        assert run(x, bits) == expected, (x, bits)


@pytest.mark.parametrize(("name", "run"), both(COMPARES))
def test_thresholds(name, run):
    assert [bool(run(v, 5)) for v in (4, 5, 6)] == [False, name == ">=", True]


@pytest.mark.parametrize("run", [shift_integer, python_of(shift_integer)])
def test_shifts_to_the_right_round_down(run):
    for x, by in product(EDGES, range(-8, 9)):
        assert run(x, by) == math.floor(x * Fraction(2) ** by)


def test_noise_is_the_same_compiled_or_not_and_spread_evenly():
    draws = [hashed(1, 2, n, 4) for n in range(4096)]
    assert draws == [python_of(hashed)(1, 2, n, 4) for n in range(4096)]
    assert all(0 <= x < 2**32 for x in draws)
    for bit in range(32):
        assert 0.45 < sum(x >> bit & 1 for x in draws) / 4096 < 0.55
    assert len({hashed(a, b, c, -1) for a, b, c in product(range(16), repeat=3)}) > 4090


@pytest.mark.parametrize(("name", "run"), both(FRACTIONS))
@pytest.mark.parametrize("bits", [0, 1, 6, 20])
def test_fractions_of_floats_equal_exact_ones(name, run, bits, rng):
    values = [0.0, 0.5, -0.5, 1.5, -1.5, 2.5, -2.5, 1 / 64, -1 / 64, 3.671037620570385, -1e9 - 0.3]
    for x in [*values, *(float(v) for v in rng.normal(0, 100, 50))]:
        assert Fraction(run(x, bits)) == rounded(Fraction(x) * 2**bits, name) / Fraction(2**bits)
    assert run(1e300, bits) == 1e300  # beyond all integers
