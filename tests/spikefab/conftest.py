"""A small network and data for it."""

import numpy as np
import pytest
from command_line import write_network


@pytest.fixture
def small(tmp_path):
    """A folder with a network of two neurons and data of four samples."""
    write_network(tmp_path / "net.nir", weight=np.full((2, 3), 8.0))
    np.savez(tmp_path / "data.npz", x=np.ones((4, 20, 3), int), y=np.zeros(4, int))
    return tmp_path
