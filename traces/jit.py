"""The one place that imports Numba: compiled kernels with a disk cache that cannot go stale.

Numba's own cache looks at the file of a function only, so an edited callee in another file would
be missed. Here compiled code lies in a folder named by a hash over every source file that holds
kernels, and over the versions and options that matter. The folder's root is ``NUMBA_CACHE_DIR``
where the user set it, else the user's cache folder, else a folder for temporary files; where
none of them can be written, every process compiles anew. So it does with an entry that cannot be
read, and an entry that cannot be saved is done without: the cache saves time and is in no one's way.
"""

import hashlib
import os
import platform
import re
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from importlib.metadata import version
from pathlib import Path
from types import FunctionType
from typing import Any, TypeVar, cast

import numba
from numba.core.types import unliteral as untyped_unliteral

try:
    import fcntl
except ImportError:  # not there on Windows
    fcntl = None  # type: ignore[assignment]

config: Any = numba.config
njit: Any = numba.njit
unliteral: Any = untyped_unliteral
COMPILES = not config.DISABLE_JIT
"""Whether kernels are compiled at all; plain Python keeps to one thread."""

Function = TypeVar("Function", bound=Callable[..., Any])

_ROOMS = ("traces", "emulator", "mapping")
_WORD = re.compile(r"\w+")
_DECORATED = re.compile(rb"^\s*@(?:kernel|lean|inner|inlined)\b", re.MULTILINE)
_IMPORT = re.compile(
    rf"^from ((?:{'|'.join(_ROOMS)})[\w.]*) import (\([^)]*\)|[^\n]*)", re.MULTILINE
)


# Numba compiles other code for these, but its own cache does not tell the results apart.
_OPTIONS = ("BOUNDSCHECK", "OPT", "LOOP_VECTORIZE", "SLP_VECTORIZE", "DEBUGINFO_DEFAULT")


def _sources(above: Path) -> list[Path]:
    """List the files that hold kernels, and those whose constants they may have compiled in."""
    rooms = [source for room in _ROOMS for source in (above / room).rglob("*.py")]
    found = {source for source in rooms if b"traces.jit" in source.read_bytes()}
    found.add(Path(__file__).resolve())
    fresh = [source for source in found if _DECORATED.search(source.read_bytes())]
    while fresh:
        text = fresh.pop().read_text(encoding="utf-8")
        for module, names in _IMPORT.findall(text):
            # What is imported may be a name in a module or a module in a folder.
            for name in (module, *(f"{module}.{word}" for word in _WORD.findall(names))):
                source = above / (name.replace(".", "/") + ".py")
                if source not in found and source.is_file():
                    found.add(source)
                    fresh.append(source)
    return sorted(found)


def _fingerprint() -> str:
    """Hash everything that compiled code depends on: sources, versions, options."""
    digest = hashlib.sha256()
    for name in ("numba", "llvmlite", "numpy"):
        digest.update(f"{name} {version(name)}\n".encode())
    for name in _OPTIONS:
        digest.update(f"{name} {getattr(config, name, None)}\n".encode())
    digest.update(f"{sys.version} {platform.machine()}\n".encode())
    above = Path(__file__).resolve().parent.parent
    for source in _sources(above):
        text = source.read_bytes()
        # Names and lengths keep two files apart that only moved a piece of text.
        name = source.relative_to(above).as_posix()
        digest.update(f"{name} {len(text)}\n".encode() + text)
    return digest.hexdigest()[:24]


def _roots() -> Iterator[Path]:
    """Yield where compiled code may be kept, best first."""
    if os.environ.get("NUMBA_CACHE_DIR"):
        yield Path(os.environ["NUMBA_CACHE_DIR"])
    # A user without an entry and without HOME, as in some containers, has no home.
    with suppress(RuntimeError):
        home = Path(os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser())
        yield home / "spikefab" / "kernels"
    user = os.getuid() if hasattr(os, "getuid") else "all"
    yield Path(tempfile.gettempdir()) / f"spikefab-kernels-{user}"


def _cache_folder() -> str | None:
    """Return a writable folder for this very code, or None."""
    name = _fingerprint()
    for root in _roots():
        folder = root / name
        try:
            root.mkdir(parents=True, exist_ok=True, mode=0o700)
            folder.mkdir(exist_ok=True, mode=0o700)
        except OSError:
            continue
        # What lies there is loaded and run, so it must be the user's own: anyone may make a
        # folder of this name among the temporary files.
        mine = not hasattr(os, "getuid") or folder.stat().st_uid == os.getuid()
        if mine and os.access(folder, os.W_OK):
            return str(folder)
    return None


_FOLDER = _cache_folder()


def kernel(function: Function) -> Function:
    """Compile a function of arrays and scalars; errors follow NumPy's model.

    Parameters
    ----------
    function : callable
        Of arrays and scalars, in place, without exceptions. It is compiled at its first call for
        each signature, releases the interpreter lock, and is left as plain Python where
        ``NUMBA_DISABLE_JIT=1``.
    """
    return _compiled(function, _FOLDER)


def lean(function: Function) -> Function:
    """Compile a kernel that makes no arrays: it counts no references to those that it is given."""
    return _compiled(function, _FOLDER, _nrt=False)


def inner(function: Function) -> Function:
    """Compile a lean kernel that only kernels call: taking its arguments from Python is not.

    A kernel of many arrays has more code for that than for its work. Nor is it kept on disk, as it
    is part of whoever calls it.
    """
    return _compiled(function, _FOLDER, _nrt=False, no_cpython_wrapper=True)


def inlined(function: Function) -> Function:
    """Compile a small kernel, lean as well, so that it becomes part of whoever calls it.

    Loops over many neurons become vector code only where nothing is called in them.
    """
    return _compiled(function, _FOLDER, _nrt=False, forceinline=True)


@contextmanager
def _alone(folder: str) -> Iterator[None]:
    """Keep other processes out of a folder of the cache.

    Numba looks for a free name and fills it in two steps: of two processes that compile one kernel
    for different types at the same time, one could later run what the other compiled.
    """
    with (Path(folder) / "lock").open("w") as file:
        if fcntl is not None:
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


class _Forgiving:
    """Numba's cache of one function on disk; whatever is wrong with it means that it is empty."""

    def __init__(self, cache: Any) -> None:
        self._cache = cache

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cache, name)

    def load_overload(self, *about: Any) -> Any:
        """Return what was compiled before; None where that cannot be read."""
        try:
            with _alone(self._cache.cache_path):
                return self._cache.load_overload(*about)
        except Exception:  # damaged pickles raise errors of all kinds
            with suppress(Exception):
                self._cache.flush()  # else its damaged index could not be added to either
            return None

    def save_overload(self, *about: Any) -> None:
        """Keep what was compiled, if that is possible."""
        with suppress(Exception), _alone(self._cache.cache_path):
            self._cache.save_overload(*about)


def _compiled(function: Function, folder: str | None, **options: bool) -> Function:
    if not COMPILES:
        return function
    # Said for each kernel, or it would be taken over from the one that calls it.
    options = {"_nrt": True, "forceinline": False, "no_cpython_wrapper": False} | options
    compiled: Any = njit(nogil=True, error_model="numpy", no_cfunc_wrapper=True, **options)(
        function
    )
    _take_values(compiled)
    part_of_callers = options["forceinline"] or options["no_cpython_wrapper"]
    if folder is None or part_of_callers:
        return cast(Function, compiled)
    before = config.CACHE_DIR
    # Numba reads the folder when the cache is made; the user's own functions keep theirs.
    config.CACHE_DIR = folder
    try:
        compiled.enable_caching()
        compiled._cache = _Forgiving(compiled._cache)
    except (OSError, RuntimeError):
        pass  # the folder cannot be used any more
    finally:
        config.CACHE_DIR = before
    return cast(Function, compiled)


def _take_values(compiled: Any) -> None:
    """Let callers see no constants: for each that they name, Numba would compile once more."""
    resolve = compiled.get_call_template

    def get_call_template(args: Any, kws: Any) -> Any:
        return resolve(
            tuple(unliteral(arg) for arg in args),
            {name: unliteral(value) for name, value in kws.items()},
        )

    compiled.get_call_template = get_call_template


def specialised(
    kernels: Sequence[Any], bound: Mapping[str, Any], *, compiled: bool = True
) -> dict[str, Any]:
    """Compile copies of kernels in which some global names stand for other values.

    What is bound is known to the compiler, so a rule that is off leaves nothing in the code.

    Parameters
    ----------
    kernels : sequence of kernels
        Callees first: each copy sees the copies before it in place of their originals, under
        whatever name they are bound.
    bound : mapping of name to int, bool, type or kernel
    compiled : bool
        Whether to compile; otherwise the copies are plain Python.

    Returns
    -------
    dict of name to kernel
    """
    names = dict(bound)
    if not compiled:
        names = {name: python_of(value) for name, value in names.items()}
    told = "\n".join(f"{name} {_told(value)}" for name, value in sorted(names.items()))
    mark = hashlib.sha256(told.encode()).hexdigest()[:16]
    folder = None
    if compiled and _FOLDER is not None:
        # Numba's cache does not look at globals, so each set of values has a folder of its own.
        path = Path(_FOLDER) / mark
        with suppress(OSError):
            path.mkdir(exist_ok=True, mode=0o700)
            folder = str(path)
    copies: dict[str, Any] = {}
    for original in kernels:
        function = python_of(original)
        copy = FunctionType(
            function.__code__,
            {**function.__globals__, **names},
            function.__name__,
            function.__defaults__,
        )
        # Symbols are named by this and a number that each process counts anew: of two compiled sets
        # with equal names, read from disk, one would call what belongs to the other.
        copy.__module__, copy.__qualname__ = function.__module__, f"{function.__qualname__}_{mark}"
        given = getattr(original, "targetoptions", {})
        options = {
            name: given[name]
            for name in ("_nrt", "forceinline", "no_cpython_wrapper")
            if name in given
        }
        copies[function.__name__] = _compiled(copy, folder, **options) if compiled else copy
        copied = copies[function.__name__]
        # A rule may be bound under another name; it is its copy that is meant.
        names |= {name: copied for name, value in names.items() if python_of(value) is function}
        names[function.__name__] = copied
    return copies


def _told(value: Any) -> str:
    function = python_of(value)
    if callable(function):
        return f"{function.__module__}.{function.__qualname__}"
    return repr(value)


def python_of(compiled: Function) -> Function:
    """Return the plain Python function behind a kernel, itself where nothing is compiled."""
    return cast(Function, getattr(compiled, "py_func", compiled))
