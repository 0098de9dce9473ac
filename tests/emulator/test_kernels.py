from itertools import product

import pytest
from naive import fit, keep

from emulator.kernels import SATURATE, WRAP, bounded, decay
from traces.jit import python_of

EDGES = [0, 1, 2, 63, 64, 4095, 4096, 2**22, 2**23 - 2, 2**23 - 1, 2**23, 2**24 + 5, 2**30]


@pytest.mark.parametrize("run", [decay, python_of(decay)], ids=["compiled", "python"])
def test_decay_equals_unbounded_integers(run, rng):
    xs = [s * x for s, x in product((-1, 1), EDGES)] + rng.integers(-(2**31), 2**31, 200).tolist()
    for x, factor in product(xs, [0, 1, 2047, 2048, 4094, 4095, 4096]):
        assert run(x, factor, 12) == keep(x, factor, 12)


@pytest.mark.parametrize("run", [bounded, python_of(bounded)], ids=["compiled", "python"])
@pytest.mark.parametrize(("rule", "name"), [(WRAP, "wrap"), (SATURATE, "saturate")])
def test_registers_equal_unbounded_integers(run, rule, name, rng):
    xs = [s * x for s, x in product((-1, 1), EDGES)] + rng.integers(-(2**40), 2**40, 200).tolist()
    for x, bits in product(xs, [8, 16, 24, 32]):
        assert run(x, bits, rule) == fit(x, bits, name)
