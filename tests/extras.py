"""What optional extras bring, for tests that need them."""

from importlib.util import find_spec

import pytest

needs_metis = pytest.mark.skipif(
    find_spec("pymetis") is None, reason="pymetis is not installed (extra metis)"
)


def with_extras(names):
    """Parameters for a table of algorithms; those that need an extra are left out without it."""
    return [pytest.param(name, marks=[needs_metis] if name == "metis" else []) for name in names]
