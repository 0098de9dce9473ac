"""Disk space for a file that grows: seen in advance, and a reserve for closing in order."""

import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

try:
    import resource
except ImportError:  # not there on Windows, where files have no such limit
    resource = None  # type: ignore[assignment]

RESERVE_BYTES = 1 << 20
MARGIN_BYTES = 1 << 18
"""Free space that must be left after a write, for the file's own bookkeeping."""


class Disk:
    """What lies under a file that is about to be made at ``path``.

    Raises
    ------
    OSError
        If there is no space for the reserve.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._identity = -1
        # Taken before the run, not when space is gone. It has no name, so that a killed process
        # leaves nothing behind, and is random, so that no file system shrinks it.
        self._reserve = tempfile.TemporaryFile(dir=path.parent)  # noqa: SIM115
        try:
            self._reserve.write(os.urandom(RESERVE_BYTES))
            self._reserve.flush()
        except OSError:
            self.give_up_reserve()
            raise

    def give_up_reserve(self) -> None:
        """Give the reserved space back; does nothing the second time."""
        with suppress(OSError):
            self._reserve.close()

    def made(self) -> None:
        """Take note that the file is there now."""
        self._identity = self._path.stat().st_ino

    def there(self) -> bool:
        """Whether the file still has its name: one that was removed can be written on in vain."""
        try:
            return self._path.stat().st_ino == self._identity
        except OSError:
            return False

    def check(self, n_bytes: int) -> None:
        """Meet trouble before HDF5 does, which does not stand a write that fails.

        Raises
        ------
        OSError
            If the file is gone or cannot grow by so much.
        """
        if not self.there():
            raise FileNotFoundError(f"{self._path} has vanished")
        needed = n_bytes + MARGIN_BYTES
        free = self._room()
        if free < needed:
            raise OSError(f"{free:,} bytes are free, {needed:,} are needed")

    def _room(self) -> int:
        """Bytes by which the file may grow: free space, or what a limit on file sizes leaves."""
        free = shutil.disk_usage(self._path.parent).free
        if resource is not None:
            limit, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
            if limit != resource.RLIM_INFINITY:
                free = min(free, limit - self._path.stat().st_size)
        return free
