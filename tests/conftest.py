"""What tests share: where the networks and vectors of other projects lie."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from random_machines import uncompiled

CHECKOUT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder with networks, data and vectors of other projects, which are not part of this one."""
    folder = Path(os.environ.get("SPIKEFAB_SHARED", CHECKOUT.parent / "shared"))
    if not folder.is_dir():
        pytest.skip(f"needs the folder {folder}; name it with SPIKEFAB_SHARED")
    return folder


@pytest.fixture(autouse=True)
def _plain_python(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Compile no machine in tests marked so: each set of rules would take seconds."""
    node = request.node
    if node.get_closest_marker("plain_python") and not node.get_closest_marker("compiled"):
        uncompiled(monkeypatch)


@pytest.fixture
def rng() -> np.random.Generator:
    """Random numbers that are the same in every run."""
    return np.random.default_rng(20240229)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of a few megabytes."""
    folder = tmp_path / "small"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", str(folder)]
    try:
        subprocess.run(command, capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("a small file system cannot be mounted here")
    yield folder
    # Lazily, so that a file that is still open leaves nothing mounted behind.
    subprocess.run(["umount", "--lazy", str(folder)], check=True)
