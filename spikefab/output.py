"""The folder of a run: looked at before any work, made late, and no earlier result lost early."""

import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from spikefab.telling import BadInputError

FILES = ("trace.h5", "float.h5", "summary.json", "report.html")


def check_output(folder: Path, inputs: Iterable[Path], *, force: bool) -> None:
    """Refuse before any work what would fail or lose data after it.

    Parameters
    ----------
    inputs : iterable of Path
        What the run reads; none of it may be one of the files that it writes.

    Raises
    ------
    BadInputError
    """
    try:
        there = os.path.lexists(folder)
        os.lstat(folder)
    except (FileNotFoundError, NotADirectoryError):
        there = False
    except OSError as error:
        raise BadInputError(f"{folder}: {error.strerror}; choose another with -o") from error
    if there and not folder.exists():
        raise BadInputError(
            f"{folder}: is a link that leads nowhere; remove it, or choose another with -o"
        )
    if there and not folder.is_dir():
        raise BadInputError(f"{folder}: exists and is no folder; choose another with -o")
    _check_inputs(folder, inputs)
    if there and any(folder.iterdir()) and not force:
        raise BadInputError(
            f"{folder}: exists and is not empty; choose another with -o, or --force to replace "
            f"{', '.join(FILES)} in it"
        )
    for name in FILES:
        if (folder / name).is_dir() and not (folder / name).is_symlink():
            raise BadInputError(f"{folder / name}: is a folder where a file has to be written")
    _check_writable(folder)


def _check_inputs(folder: Path, inputs: Iterable[Path]) -> None:
    for path in inputs:
        for name in FILES:
            with suppress(OSError):
                if path.samefile(folder / name):
                    raise BadInputError(
                        f"{path}: is read by this run, which would replace it as {folder / name}; "
                        f"choose another folder with -o"
                    )


def _check_writable(folder: Path) -> None:
    above = folder.absolute()
    while not os.path.lexists(above):
        above = above.parent
    if not above.is_dir():
        raise BadInputError(
            f"{folder}: cannot be used, since {above} is no folder; choose another with -o"
        )
    if not os.access(above, os.W_OK | os.X_OK):
        raise BadInputError(f"{folder}: {above} is not writable; choose another with -o")


def make_output(folder: Path) -> None:
    """Make a folder and those above it.

    Raises
    ------
    BadInputError
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInputError(f"{folder}: cannot be used ({error.strerror})") from error


def make_new(stem: str) -> Path:
    """Make a folder that nobody had before: ``stem``, ``stem-2``, ``stem-3``, ...

    Raises
    ------
    BadInputError
    """
    number = 1
    while True:
        folder = Path(stem if number == 1 else f"{stem}-{number}")
        try:
            folder.mkdir()
        except FileExistsError:  # a link that leads nowhere, too, and another run's just now
            number += 1
        except OSError as error:
            raise BadInputError(f"{folder}: cannot be used ({error.strerror})") from error
        else:
            return folder


class Earlier:
    """Files of an earlier run, put aside until the new one has recorded something."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._aside: Path | None = None

    def put_aside(self) -> None:
        """Move them out of the way.

        Raises
        ------
        BadInputError
        """
        there = [name for name in FILES if os.path.lexists(self._folder / name)]
        if not there:
            return
        try:
            self._aside = Path(tempfile.mkdtemp(prefix=".earlier-", dir=self._folder))
            for name in there:
                (self._folder / name).rename(self._aside / name)
        except OSError as error:
            self.bring_back()
            raise BadInputError(f"{self._folder}: cannot be used ({error.strerror})") from error

    def drop(self) -> None:
        """Remove them: the new run has begun."""
        if self._aside is not None:
            shutil.rmtree(self._aside, ignore_errors=True)
            self._aside = None

    def bring_back(self) -> bool:
        """Put them back if they are still there; whether they are."""
        if self._aside is None:
            return False
        for name in os.listdir(self._aside):
            with suppress(OSError):
                (self._aside / name).replace(self._folder / name)
        with suppress(OSError):
            self._aside.rmdir()
        self._aside = None
        return True


@contextmanager
def replacing(folder: Path | None) -> Iterator[Earlier | None]:
    """Replace an earlier result, unless the new run ends before it recorded anything."""
    if folder is None:
        yield None
        return
    earlier = Earlier(folder)
    earlier.put_aside()
    try:
        yield earlier
    except BaseException:
        earlier.bring_back()
        raise
    earlier.drop()
