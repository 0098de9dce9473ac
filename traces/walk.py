"""Whether HDF5 survives a file without a seal: a child process looks at all of its bookkeeping.

Files without a seal are those of killed runs, of layout 1, and those that other programs changed.
Nothing vouches for their bookkeeping, and HDF5 may crash or never come back on what is damaged. The
child looks at every object, attribute, list of blocks and value before this process does, which
costs as much as starting Python, about 0.3 s, and reading the file once. A file that was found sound is not looked at again.
"""

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import h5py

from traces.errors import TraceFormatError
from traces.seal import unsealed
from traces.store import Store

WALK_S = 60.0
MEMORY_BYTES = 8 << 30
_SOUND: set[tuple[str, int, int, int]] = set()


def check(store: Store) -> None:
    """Make sure that HDF5 survives a file: by its seal, or by a child process.

    Raises
    ------
    TraceFormatError
        If the file is damaged.
    """
    if unsealed(store):
        walk(store)


def walk(store: Store) -> None:
    """Have a child process walk through an unsealed file.

    Raises
    ------
    TraceFormatError
        If the file is damaged.
    """
    about = os.stat(store.path)
    key = (str(store.path.resolve()), about.st_ino, about.st_size, about.st_mtime_ns)
    if key in _SOUND:
        return
    command = [sys.executable, "-m", "traces.walk", str(store.path.resolve())]
    folders = [str(Path(__file__).resolve().parents[1]), *(p for p in sys.path if p)]
    env = os.environ | {"PYTHONPATH": os.pathsep.join(folders)}
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=WALK_S, check=False, env=env
        )
    except subprocess.TimeoutExpired:
        raise TraceFormatError(
            f"{store}: damaged, HDF5 does not come back from it; {_HELP}"
        ) from None
    if done.returncode:
        told = done.stdout.strip() or f"HDF5 crashes on it, exit code {done.returncode}"
        raise TraceFormatError(f"{store}: no HDF5 file, or a damaged one ({told}); {_HELP}")
    _SOUND.add(key)


_HELP = "spikefab recover saves what can be read"


def look_at_all(file: Any) -> None:
    """Look at everything in an open file: what HDF5 keeps about it, and every value.

    Values that differ from their checksum are no danger, and whoever reads them is told.
    """

    def visit(_: str, item: Any) -> None:
        for name in item.attrs:
            _look_at(item, name)
        if isinstance(item, h5py.Dataset) and item.chunks:
            places: list[int] = []
            item.id.chunk_iter(lambda chunk: places.append(chunk.byte_offset))
        if isinstance(item, h5py.Dataset) and item.ndim and item.size:
            rows = item.chunks[0] if item.chunks else len(item)
            for first in range(0, len(item), rows):
                with suppress(OSError):
                    item[first : first + rows]

    visit("/", file)
    file.visititems(visit)


def _look_at(item: Any, name: str) -> None:
    try:
        item.attrs[name]
    except TypeError:
        return  # a type that Python has nothing for is no damage


def main(path: str) -> int:
    """Walk through a file; 0 if HDF5 comes through."""
    limit_memory()
    try:
        store = Store.read(Path(path))
        with h5py.File(store, "r") as file:
            look_at_all(file)
    except Exception as error:  # whatever h5py makes of a damaged file
        print(" ".join(str(error).split()))
        return 1
    return 0


def limit_memory() -> None:
    """Keep this process from taking all memory, for which damage may ask."""
    try:
        import resource
    except ImportError:  # not there on Windows
        return
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, hard))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
