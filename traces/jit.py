"""The one place that imports Numba: compiled kernels with a disk cache that cannot go stale.

Numba's own cache looks at the file of a function only, so an edited callee in another file would
be missed. Here compiled code lies in a folder named by a hash over every source file that holds
kernels and over the versions that matter.
"""

import hashlib
import os
import platform
import sys
import tempfile
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar, cast

import numba

config: Any = numba.config

Function = TypeVar("Function", bound=Callable[..., Any])

_ROOMS = ("traces", "emulator", "mapping")


def _fingerprint() -> str:
    digest = hashlib.sha256()
    for name in ("numba", "llvmlite", "numpy"):
        digest.update(f"{name} {version(name)}\n".encode())
    digest.update(f"{sys.version} {platform.machine()}\n".encode())
    above = Path(__file__).resolve().parent.parent
    for room in _ROOMS:
        for source in sorted((above / room).rglob("*.py")):
            text = source.read_bytes()
            if b"traces.jit" in text or source == Path(__file__).resolve():
                digest.update(str(source.relative_to(above)).encode() + b"\0" + text)
    return digest.hexdigest()[:24]


def _cache_folder() -> str | None:
    """Return a writable folder for this very code, or None."""
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser())
    user = os.getuid() if hasattr(os, "getuid") else "all"
    roots = [home / "spikefab" / "kernels", Path(tempfile.gettempdir()) / f"spikefab-{user}"]
    if os.environ.get("NUMBA_CACHE_DIR"):
        roots.insert(0, Path(os.environ["NUMBA_CACHE_DIR"]))
    for root in roots:
        folder = root / _fingerprint()
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError:
            continue
        if os.access(folder, os.W_OK):
            return str(folder)
    return None


_FOLDER = _cache_folder()


def kernel(function: Function) -> Function:
    """Compile a function of arrays and scalars; errors follow NumPy's model."""
    before = config.CACHE_DIR
    # Numba reads the folder when the decorator runs; the user's own functions keep theirs.
    config.CACHE_DIR = _FOLDER or before
    try:
        compiled = numba.njit(cache=_FOLDER is not None, nogil=True, error_model="numpy")(function)
    finally:
        config.CACHE_DIR = before
    return cast(Function, compiled)


def python_of(compiled: Function) -> Function:
    """Return the plain Python function behind a kernel."""
    return cast(Function, getattr(compiled, "py_func", compiled))
