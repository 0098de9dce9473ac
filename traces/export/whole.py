"""Files that are there whole or not at all."""

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from traces.errors import ExportError, TraceWriteError

MARGIN_BYTES = 1 << 18
"""Free space that must be left after a write, for the file's own bookkeeping."""


def check_target(path: Path, source: Path, *, force: bool) -> None:
    """Refuse before any work what could not be written, or would replace what must stay.

    Parameters
    ----------
    source : Path
        What is read; never written over.

    Raises
    ------
    ExportError
    """
    if path.is_dir():
        raise ExportError(f"{path}: this is a folder; name a file in it")
    folder = path.absolute().parent
    if not folder.is_dir():
        raise ExportError(f"{path}: there is no folder {folder}")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise ExportError(f"{path}: the folder {folder} is not writable")
    if path.exists() and path.samefile(source):
        raise ExportError(f"{path}: this is the trace itself; choose another file")
    if os.path.lexists(path) and not force:
        raise ExportError(f"{path}: is there already; choose another, or use --force")


def check_room(path: Path, n_bytes: int) -> None:
    """Meet a full disk before HDF5 does, which does not stand a write that fails.

    Raises
    ------
    OSError
        If there is no room for so much more.
    """
    free = shutil.disk_usage(path.parent).free
    if free < n_bytes:
        raise OSError(errno.ENOSPC, f"{free:,} bytes are free, {n_bytes:,} are needed")


@contextmanager
def whole_file(path: Path, *, force: bool = False) -> Iterator[Path]:
    """Give a path to write to; it becomes ``path`` if all goes well, and vanishes if not.

    It lies in a hidden folder of its own beside ``path`` and has the same name, since some
    libraries judge a file by its suffix or write others next to it.

    Raises
    ------
    TraceWriteError
        If the disk is full, or gone.
    ExportError
        If another made ``path`` in the meantime.
    """
    try:
        with tempfile.TemporaryDirectory(prefix=f".{path.name[:80]}.", dir=path.parent) as folder:
            unfinished = Path(folder) / path.name
            yield unfinished
            if os.path.lexists(path) and not force:
                raise ExportError(
                    f"{path}: was made by another while this was written; nothing was replaced"
                )
            os.replace(unfinished, path)
    except OSError as error:
        raise TraceWriteError(
            f"{path}: cannot be written ({error.strerror or error}); nothing of it is left"
        ) from error
