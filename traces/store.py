"""The bytes under an HDF5 file, which go from one whole state to the next, or not at all.

HDF5 changes a file in many places: a process killed between two of its writes leaves what nobody
can open. It therefore writes through this file alone, as to a Python file. What lies beyond the end
of the last whole state is written at once, since nothing points there yet. What would change that
state is held in memory, page by page, until `Store.commit`: the pages are written behind the end of
the file as a *journal*, then to their places, then the journal is cut off. Killed before the
journal is whole, the file is what it was; killed later, whoever opens it finds the journal and
reads its pages instead of those below (`docs/trace-format.md`).
"""

import errno
import hashlib
import os
import signal
import struct
import threading
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

try:
    import fcntl
except ImportError:  # not there on Windows, where HDF5 does not lock files either
    fcntl = None  # type: ignore[assignment]

PAGE_BYTES = 4096
JOURNAL_MAGIC = b"spikefab-journal"
_FOOTER = struct.Struct("<QQ32s16s")
"""Length of the whole state, number of pages, hash of what comes before, magic."""
_NO_LOCKS = {errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK}


class Store:
    """A file for ``h5py.File(store, ...)``; use `create`, `change` or `read`.

    Writes never fail into HDF5, which does not stand it: the first error is kept, whatever comes
    after it is dropped, and `commit` raises it.

    Attributes
    ----------
    path : Path
    end : int
        Length of the HDF5 file, bytes; what lies behind is none of its business.
    """

    def __init__(self, file: BinaryIO, path: Path, *, whole: int, pages: dict[int, bytearray]):
        self.path = path
        self.end = whole
        self._file = file
        self._at = 0
        self._pages = pages
        self._whole = whole
        self._trouble: OSError | None = None
        self._journal_counts = False
        self._holds_all = False
        self._cut_off_at = 1 << 62
        self._sums: dict[int, tuple[int, int]] = {}
        self._identity = os.fstat(file.fileno()).st_ino

    @staticmethod
    def create(path: Path) -> "Store":
        """Make a file that has no name before it is whole: `publish` gives it one.

        Raises
        ------
        OSError
            If it cannot be made.
        """
        # Opened again by its name only for `publish`; a killed process leaves at most an empty one.
        unnamed = path.with_name(f".{path.name}.{os.getpid()}.unfinished")
        file = open(unnamed, "w+b", buffering=0)  # noqa: SIM115
        try:
            _lock(file, write=True)
        except BaseException:
            file.close()
            unnamed.unlink(missing_ok=True)
            raise
        return Store(file, path, whole=0, pages={})

    @property
    def _unfinished(self) -> Path:
        return self.path.with_name(f".{self.path.name}.{os.getpid()}.unfinished")

    def publish(self, *, overwrite: bool) -> None:
        """Give the file its name, whole as it is now.

        Raises
        ------
        FileExistsError
            If there is such a file and it may not be replaced.
        BlockingIOError
            If another process holds that file.
        """
        if overwrite:
            with suppress(FileNotFoundError), open(self.path, "rb") as old:
                _lock(old, write=True)
            os.replace(self._unfinished, self.path)
            return
        try:
            os.link(self._unfinished, self.path)
        except FileExistsError:
            raise
        except OSError:  # a file system without links
            if self.path.exists():
                raise FileExistsError(self.path) from None
            os.replace(self._unfinished, self.path)
        self._unfinished.unlink(missing_ok=True)

    @staticmethod
    def change(path: Path, *, small: bool = False) -> "Store":
        """Open a file to change it; a journal that was left is carried out first.

        Parameters
        ----------
        small : bool
            Whether the change is small: nothing of it is written before `commit`, and those who
            read the file meanwhile are not waited for.

        Raises
        ------
        BlockingIOError
            If another process reads or writes it.
        OSError
            If it cannot be opened.
        """
        file = open(path, "r+b", buffering=0)  # noqa: SIM115
        try:
            if not small:
                _lock(file, write=True)
            store = Store(file, path, **_state(file))
            if store._pages:
                store._carry_out()
            store._holds_all = small
        except BaseException:
            file.close()
            raise
        return store

    @staticmethod
    def read(path: Path) -> "Store":
        """Open a file to read it, through a journal that was left.

        Raises
        ------
        BlockingIOError
            If another process writes it.
        OSError
            If it cannot be opened.
        """
        file = open(path, "rb", buffering=0)  # noqa: SIM115
        try:
            _lock(file, write=False)
            return Store(file, path, **_state(file))
        except BaseException:
            file.close()
            raise

    # What h5py calls.

    def __repr__(self) -> str:
        return str(self.path)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a place, for the next `readinto` or `write`."""
        self._at = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self.end}[whence]
        return self._at

    def tell(self) -> int:
        """Tell the place."""
        return self._at

    def readinto(self, buffer: Any) -> int:
        """Read at the place; zeros where nothing was written yet."""
        view = memoryview(buffer).cast("B")
        if self._at + len(view) > self._cut_off_at:
            raise OSError(errno.EIO, f"the file is cut off at byte {self._cut_off_at:,}")
        self._read_at(self._at, view)
        size, told = self._sums.get(self._at, (0, 0))
        if size == len(view) and zlib.crc32(view) != told:
            raise OSError(errno.EIO, f"the block at byte {self._at:,} differs from its checksum")
        self._at += len(view)
        return len(view)

    def write(self, data: Any) -> int:
        """Write at the place, or keep in mind why that is impossible."""
        view = memoryview(data).cast("B")
        self._sums.pop(self._at, None)
        if self._trouble is None:
            try:
                self._put(self._at, view)
            except OSError as error:
                self._trouble = error
        self._at += len(view)
        self.end = max(self.end, self._at)
        return len(view)

    def verify(self, sums: Mapping[int, tuple[int, int]]) -> None:
        """Check blocks when they are read, until they are written: address to length, CRC-32."""
        self._sums = dict(sums)

    def salvage(self) -> None:
        """Let HDF5 read a file that was cut off: what is missing cannot be read, and no zeros."""
        self._cut_off_at = os.fstat(self._file.fileno()).st_size
        self.end = 1 << 60

    def truncate(self, size: int) -> int:
        """Take note of the length that HDF5 wants at the next `commit`."""
        self.end = size
        return size

    def flush(self) -> None:
        """Do nothing: HDF5 flushes in many steps, `commit` comes after the last."""

    # States.

    def there(self) -> bool:
        """Whether the file still has its name: one that was removed can be written on in vain."""
        try:
            return self.path.stat().st_ino == self._identity
        except OSError:
            return False

    def commit(self) -> None:
        """Make what HDF5 has flushed the whole state; a kill keeps either the old or the new one.

        Raises
        ------
        OSError
            If that fails, or any write before did; the old state stays.
        """
        if self._trouble is not None:
            raise self._trouble
        if self._pages:
            journal = _packed(self._pages, self.end)
            at = max(os.fstat(self._file.fileno()).st_size, self.end)
            try:
                self._write_at(at, journal)
            except OSError as error:
                self._trouble = error
                with suppress(OSError):
                    self._file.truncate(at)
                raise
        # From here on the journal counts, whatever happens to this process.
        self._journal_counts = bool(self._pages)
        try:
            self._carry_out()
        except OSError as error:
            self._trouble = error
            raise
        self._journal_counts = False

    def _carry_out(self) -> None:
        for number, page in sorted(self._pages.items()):
            self._write_at(number * PAGE_BYTES, page)
        self._file.truncate(self.end)
        self._pages = {}
        self._whole = self.end

    def abandon(self) -> None:
        """Drop what was not committed, and whatever HDF5 writes from now on."""
        if self._trouble is None:
            self._trouble = OSError(errno.ECANCELED, "given up")

    def close(self) -> None:
        """Close; what was written since the last commit is cut off."""
        if self._file.closed:
            return
        if self._file.writable():
            with suppress(OSError):
                if not self._journal_counts and os.fstat(self._file.fileno()).st_size > self._whole:
                    self._file.truncate(self._whole)
            with suppress(OSError):
                self._unfinished.unlink(missing_ok=True)
        self._file.close()

    # Places.

    def _put(self, at: int, view: memoryview) -> None:
        # A page in which the whole state ends is held, too, so that each is held or written.
        held = -(-self._whole // PAGE_BYTES) * PAGE_BYTES
        inside = len(view) if self._holds_all else max(min(held - at, len(view)), 0)
        for place, piece in _by_page(at, inside):
            number, offset = divmod(place, PAGE_BYTES)
            if number not in self._pages:
                page = bytearray(PAGE_BYTES)
                self._read_below(number * PAGE_BYTES, memoryview(page))
                self._pages[number] = page
            start = place - at
            self._pages[number][offset : offset + piece] = view[start : start + piece]
        if inside < len(view):
            self._write_at(at + inside, view[inside:])

    def _write_at(self, at: int, data: Any) -> None:
        view = memoryview(data)
        self._file.seek(at)
        while view:
            view = view[self._file.write(view) :]

    def _read_at(self, at: int, view: memoryview) -> None:
        self._read_below(at, view)
        if not self._pages:
            return
        for place, piece in _by_page(at, len(view)):
            number, offset = divmod(place, PAGE_BYTES)
            page = self._pages.get(number)
            if page is not None:
                start = place - at
                view[start : start + piece] = page[offset : offset + piece]

    def _read_below(self, at: int, view: memoryview) -> None:
        self._file.seek(at)
        while view:
            n = self._file.readinto(view)  # type: ignore[attr-defined]
            if not n:
                view[:] = bytes(len(view))
                return
            view = view[n:]

    @property
    def n_held_bytes(self) -> int:
        """Bytes that wait in memory for the next commit."""
        return len(self._pages) * PAGE_BYTES


def _by_page(at: int, n_bytes: int) -> Iterator[tuple[int, int]]:
    """Places and lengths of the pieces of a stretch that lie in one page each."""
    end = at + n_bytes
    while at < end:
        piece = min(PAGE_BYTES - at % PAGE_BYTES, end - at)
        yield at, piece
        at += piece


def _packed(pages: Mapping[int, bytearray], whole: int) -> bytes:
    numbers = sorted(pages)
    body = struct.pack(f"<{len(numbers)}Q", *numbers) + b"".join(pages[n] for n in numbers)
    digest = hashlib.sha256(body + struct.pack("<QQ", whole, len(numbers))).digest()
    return body + _FOOTER.pack(whole, len(numbers), digest, JOURNAL_MAGIC)


def _state(file: BinaryIO) -> dict[str, Any]:
    """Length and changed pages of the whole state that a file is in."""
    size = os.fstat(file.fileno()).st_size
    nothing: dict[str, Any] = {"whole": size, "pages": {}}
    if size < _FOOTER.size:
        return nothing
    whole, n_pages, digest, magic = _FOOTER.unpack(_bytes(file, size - _FOOTER.size, _FOOTER.size))
    n_bytes = n_pages * (8 + PAGE_BYTES)
    if magic != JOURNAL_MAGIC or n_bytes + _FOOTER.size > size:
        return nothing
    body = _bytes(file, size - _FOOTER.size - n_bytes, n_bytes)
    if hashlib.sha256(body + struct.pack("<QQ", whole, n_pages)).digest() != digest:
        return nothing
    numbers = struct.unpack(f"<{n_pages}Q", body[: 8 * n_pages])
    pages = {
        number: bytearray(body[at : at + PAGE_BYTES])
        for number, at in zip(numbers, range(8 * n_pages, n_bytes, PAGE_BYTES), strict=True)
    }
    return {"whole": whole, "pages": pages}


def _bytes(file: BinaryIO, at: int, n_bytes: int) -> bytes:
    file.seek(at)
    data = b""
    while len(data) < n_bytes:
        more = file.read(n_bytes - len(data))
        if not more:
            break
        data += more
    return data


def _lock(file: BinaryIO, *, write: bool) -> None:
    """Lock a file as HDF5 does, so that its own readers and writers respect it, too."""
    if fcntl is None or os.environ.get("HDF5_USE_FILE_LOCKING", "").upper() in ("FALSE", "0"):
        return
    try:
        fcntl.flock(file, (fcntl.LOCK_EX if write else fcntl.LOCK_SH) | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Let HDF5 end what it does before an interrupt is heard: it cannot be left in the middle."""
    if threading.current_thread() is not threading.main_thread():
        yield  # Python tells interrupts to the main thread alone
        return
    heard: list[tuple[int, Any]] = []
    before = {
        int(number): handler
        for number in (signal.SIGINT, signal.SIGTERM)
        if callable(handler := signal.getsignal(number))
    }
    try:
        for number in before:
            signal.signal(number, lambda *about: heard.append(about))
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for number, frame in heard:
            before[number](number, frame)
