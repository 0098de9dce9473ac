"""The file under a writer: goes from flush to flush, and turns any trouble into one error."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NoReturn

import h5py
import numpy as np

from traces.content import Header, header_hash, header_of
from traces.errors import TraceWriteError
from traces.seal import close_sealed, unsealed
from traces.store import Store, uninterrupted
from traces.tables import Tables

# What h5py raises when the disk is at fault depends on where in HDF5 it is noticed.
DISK_TROUBLE = (OSError, RuntimeError, ValueError, KeyError)


class TraceFile:
    """An HDF5 file with its tables, being written; use `create` or `reopen`.

    Attributes
    ----------
    path : Path
    h5 : h5py.File
    tables : Tables
    closed : bool
        Also after a write that failed.
    """

    def __init__(self, store: Store, h5: Any, *, compression: str) -> None:
        self.path = store.path
        self.h5 = h5
        self.tables = Tables(h5, compression=compression)
        self.closed = False
        self._store = store
        self._header = Header({}, {})
        self._flushed_ticks = 0

    @staticmethod
    @contextmanager
    def create(
        path: Path, *, compression: str, cache_bytes: int, overwrite: bool
    ) -> Iterator["TraceFile"]:
        """Make a file that gets its name at the end of the ``with`` statement, whole or not at all.

        Raises
        ------
        FileExistsError
            If there is such a file and it may not be replaced.
        TraceWriteError
            If it cannot be made.
        """
        try:
            store = Store.create(path)
        except OSError as error:
            raise _not_created(path, error) from error
        with _closed_on_error(store) as opened, uninterrupted():
            try:
                opened.append(_h5(store, "w", cache_bytes))
                file = TraceFile(store, opened[0], compression=compression)
                yield file
                file.header_changed()
                file.commit(0)
                store.publish(overwrite=overwrite)
            except FileExistsError:
                raise FileExistsError(f"{path} exists; choose another name or remove it") from None
            except DISK_TROUBLE as error:
                raise _not_created(path, error) from error

    @staticmethod
    @contextmanager
    def reopen(path: Path, *, compression: str, cache_bytes: int) -> Iterator["TraceFile"]:
        """Open a file to go on with it; what the ``with`` statement changes is flushed at its end.

        Raises
        ------
        TraceWriteError
            If another process holds it, or it cannot be written on.
        """
        try:
            store = Store.change(path)
        except BlockingIOError:
            raise TraceWriteError(f"{path}: is held by another process; wait for it") from None
        except OSError as error:
            raise not_written(path, error) from error
        with _closed_on_error(store) as opened, uninterrupted():
            try:
                unsealed(store)
                opened.append(_h5(store, "r+", cache_bytes))
                file = TraceFile(store, opened[0], compression=compression)
                yield file
                file.header_changed()
            except DISK_TROUBLE as error:
                raise not_written(path, error) from error

    @property
    def n_held_bytes(self) -> int:
        """Bytes that wait in memory to be written."""
        return self.tables.n_held_bytes + self._store.n_held_bytes

    def header_changed(self) -> None:
        """Take note that attributes of the root or of populations were changed."""
        self._header = header_of(self.h5)

    def flush(self, whole_ticks: int) -> None:
        """Write all buffers and bring the file on disk up to date, all of it or nothing."""
        with self.writing():
            if not self._store.there():
                raise FileNotFoundError(f"{self.path} has vanished")
            self.commit(whole_ticks)

    def commit(self, whole_ticks: int) -> None:
        """Do so without a look at whether the file is still there."""
        self.tables.write()
        self.h5.attrs.modify("whole_ticks", whole_ticks)
        self._header.root["whole_ticks"] = str(whole_ticks)
        digest = header_hash(self._header, self.tables.lengths())
        self.h5.attrs["header_sha256"] = np.bytes_(digest)
        self.h5.flush()
        self._store.commit()
        self._flushed_ticks = whole_ticks

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Turn whatever goes wrong with the file into one error; what was flushed stays."""
        if self.closed:
            raise TraceWriteError(f"{self.path}: is closed, or an earlier write failed")
        with uninterrupted():
            try:
                yield
            except DISK_TROUBLE as error:
                self._fail(error)

    def _fail(self, error: Exception) -> NoReturn:
        there = self._store.there()
        self.closed = True
        _close_quietly(self._store, self.h5)
        if not there:
            state = "is gone"
        elif self._flushed_ticks:
            state = f"is readable up to tick {self._flushed_ticks - 1}"
        else:
            state = "holds no spikes yet"
        raise TraceWriteError(f"{not_written(self.path, error)}; the file {state}") from error

    def close(self) -> None:
        """Seal and close the file as it is now."""
        with self.writing():
            close_sealed(self.h5, self._store)
        self._store.close()
        self.closed = True


def change_notes(path: Path, notes: Any) -> None:
    """Add to the provenance of a trace that is closed, and seal it again.

    Raises
    ------
    TraceWriteError
        If it cannot be written on.
    """
    try:
        store = Store.change(path, small=True)
        with _closed_on_error(store) as opened, uninterrupted():
            unsealed(store)
            opened.append(h5py.File(store, "r+"))
            opened[0]["provenance"].attrs.update(notes)
            close_sealed(opened[0], store)
        store.close()
    except DISK_TROUBLE as error:
        raise not_written(path, error) from error


@contextmanager
def _closed_on_error(store: Store) -> Iterator[list[Any]]:
    """Close a store, and before it the HDF5 file that is put into the list, if all goes wrong."""
    opened: list[Any] = []
    try:
        yield opened
    except BaseException:
        _close_quietly(store, *opened)
        raise


def _close_quietly(store: Store, *opened: Any) -> None:
    """Close without a second error; what was flushed is on disk already."""
    store.abandon()
    for h5 in opened:
        with suppress(*DISK_TROUBLE):
            h5.close()
    store.close()


def _h5(store: Store, mode: str, cache_bytes: int) -> Any:
    # One block of each column is appended to; a table of slots for many would cost more than it.
    how = {"rdcc_nbytes": cache_bytes, "rdcc_nslots": 7}
    return h5py.File(store, mode, libver=("earliest", "v110"), **how)


def _not_created(path: Path, error: Exception) -> TraceWriteError:
    if isinstance(error, BlockingIOError):
        return TraceWriteError(f"{path}: is held by another process, and cannot be replaced")
    return TraceWriteError(f"{path}: cannot be created ({_reason(error)})")


def not_written(path: Path, error: Exception) -> TraceWriteError:
    """Say that a file cannot be written on, and why."""
    return TraceWriteError(f"{path}: cannot be written on ({_reason(error)})")


def _reason(error: Exception) -> str:
    """Say in one line what the operating system said, which HDF5 wraps in many."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    number = re.search(r"errno = (\d+)", str(error))
    return os.strerror(int(number[1])) if number else " ".join(str(error).split())
