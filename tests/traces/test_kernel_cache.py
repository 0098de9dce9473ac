"""Compiled kernels on disk: never stale, never in the way of the user's own compiled functions."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from traces.jit import kernel, python_of

# Their processes compile or not as they say, whatever this one does.
pytestmark = pytest.mark.slow_uncompiled

CHECKOUT = Path(__file__).resolve().parents[2]

CALLEE = """
from traces.jit import kernel

@kernel
def step(x):
    return x + {step}
"""

CALLER = """
from mapping.callee import step
from traces.jit import kernel

@kernel
def twice(x):
    return step(step(x))
"""


@pytest.fixture
def house(tmp_path):
    """A copy of the lowest room, and a kernel whose callee lies in another file."""
    shutil.copytree(
        CHECKOUT / "traces", tmp_path / "traces", ignore=shutil.ignore_patterns("__pycache__")
    )
    (tmp_path / "mapping").mkdir()
    (tmp_path / "mapping" / "__init__.py").touch()
    (tmp_path / "mapping" / "callee.py").write_text(CALLEE.format(step=1))
    (tmp_path / "mapping" / "caller.py").write_text(CALLER)
    return tmp_path


def where(house, **environment):
    """Folder and environment of a new process that looks for packages in the copy."""
    names = ("NUMBA_CACHE_DIR", "NUMBA_DISABLE_JIT", "NUMBA_BOUNDSCHECK", "XDG_CACHE_HOME")
    kept = {k: v for k, v in os.environ.items() if k not in names}
    environment = {"PYTHONPATH": str(house), "XDG_CACHE_HOME": str(house / "cache")} | environment
    return {"cwd": house, "env": kept | environment}


def run(house, code, **environment):
    """Run code in a new process; return the words that it prints."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True, text=True, check=True, **where(house, **environment),
    )  # fmt: skip
    return done.stdout.split()


TWICE = "from mapping.caller import twice; print(twice(10))"
HITS = "; print(sum(twice.stats.cache_hits.values()))"


def compiled_files(root):
    return sorted(root.rglob("*.nbc"))


def test_second_process_compiles_nothing(house):
    assert run(house, TWICE + HITS) == ["12", "0"]
    assert run(house, TWICE + HITS) == ["12", "1"]


def test_edited_callee_in_another_file_is_seen(house):
    assert run(house, TWICE) == ["12"]
    (house / "mapping" / "callee.py").write_text(CALLEE.format(step=5))
    assert run(house, TWICE + HITS) == ["20", "0"]
    # Back to the first text, which was compiled before.
    (house / "mapping" / "callee.py").write_text(CALLEE.format(step=1))
    assert run(house, TWICE) == ["12"]


def test_the_users_folder_comes_first(house):
    run(house, TWICE, NUMBA_CACHE_DIR=str(house / "mine"))
    assert compiled_files(house / "mine")
    assert not compiled_files(house / "cache")


def test_without_any_writable_folder_kernels_still_run(house):
    # A file is in the way of each folder; even root cannot make folders below a file.
    (house / "file").touch()
    nowhere = str(house / "file" / "below")
    code = "import tempfile; tempfile.tempdir = %r; " % nowhere + TWICE  # noqa: UP031
    assert run(house, code, XDG_CACHE_HOME=nowhere, NUMBA_CACHE_DIR=nowhere) == ["12"]
    assert not compiled_files(house)


def test_a_folder_for_temporary_files_takes_the_place_of_a_home_that_cannot_be_used(house):
    (house / "file").touch()
    (house / "tmp").mkdir()
    home = {"XDG_CACHE_HOME": str(house / "file" / "below"), "TMPDIR": str(house / "tmp")}
    assert run(house, TWICE + HITS, **home) == ["12", "0"]
    assert run(house, TWICE + HITS, **home) == ["12", "1"]
    assert compiled_files(house / "tmp")


@pytest.mark.parametrize("kind", ["*.nbi", "*.nbc"])
@pytest.mark.parametrize("content", [b"", b"\x80\x05", b"no pickle at all"])
def test_a_damaged_entry_is_compiled_anew_and_replaced(house, kind, content):
    assert run(house, TWICE + HITS) == ["12", "0"]
    for path in (house / "cache").rglob(kind):
        path.write_bytes(content)
    assert run(house, TWICE + HITS) == ["12", "0"]
    assert run(house, TWICE + HITS) == ["12", "1"]


def test_a_truncated_entry_is_compiled_anew(house):
    run(house, TWICE)
    for path in (house / "cache").rglob("*.nb?"):
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert run(house, TWICE) == ["12"]


def test_a_disk_that_is_full_for_the_cache_changes_nothing(house):
    before = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100)); "
    assert run(house, before + TWICE) == ["12"]
    assert run(house, TWICE) == ["12"]


COPIES = """
import pathlib
from mapping.callee import step
from mapping.caller import twice
from traces import jit
{before}
print(jit.specialised((step, twice), {{}})["twice"](10))
"""
FULL = """
def full(*_, **__):
    raise OSError(28, "No space left on device")
pathlib.Path.mkdir = full
"""


@pytest.mark.parametrize("before", ["", FULL], ids=["room", "full"])
def test_copies_run_with_and_without_a_folder_of_their_own(house, before):
    assert run(house, COPIES.format(before=before)) == ["12"]


SLOWLY = """
import time
import numba.core.caching as caching
file = caching.IndexDataCacheFile
save = file.{step}
file.{step} = lambda *a: (time.sleep({seconds}), save(*a))
from mapping.callee import step
step({argument})
"""


def test_two_processes_that_compile_for_different_types_do_not_mix_them_up(house):
    slow = [
        {"step": "_save_data", "seconds": 3, "argument": 1},
        {"step": "_save_index", "seconds": 1.5, "argument": 1.5},
    ]
    both = [
        subprocess.Popen([sys.executable, "-c", SLOWLY.format(**how)], **where(house))
        for how in slow
    ]
    assert [process.wait() for process in both] == [0, 0]
    told = run(house, "from mapping.callee import step; print(step(1), step(1.5), step(2))")
    assert told == ["2", "2.5", "3"]


def test_the_users_own_compiled_functions_are_left_alone(house):
    code = (
        "import numba; before = numba.config.CACHE_DIR; import mapping.caller; "
        "print(numba.config.CACHE_DIR == before)"
    )
    assert run(house, code) == ["True"]


def test_plain_python_on_demand(house):
    code = TWICE + "; from traces.jit import python_of; print(python_of(twice) is twice)"
    assert run(house, code, NUMBA_DISABLE_JIT="1") == ["12", "True"]
    assert not compiled_files(house)


BEYOND = """
import numpy as np
from traces.jit import kernel

@kernel
def beyond(x, at):
    return x[at]
"""


def test_bounds_are_checked_on_demand_after_a_run_without(house):
    (house / "mapping" / "beyond.py").write_text(BEYOND)
    code = (
        "import numpy as np\n"
        "from mapping.beyond import beyond\n"
        "try:\n    beyond(np.zeros(8), {at})\n    print('read')\n"
        "except IndexError:\n    print('refused')\n"
    )
    assert run(house, code.format(at=0)) == ["read"]
    assert run(house, code.format(at=8), NUMBA_BOUNDSCHECK="1") == ["refused"]


@kernel
def quotient(a, b):
    return a / b


def test_division_by_zero_follows_numpy():
    if python_of(quotient) is quotient:
        pytest.skip("nothing is compiled in this run")
    assert quotient(1.0, 0.0) == float("inf")


def test_the_python_behind_a_kernel():
    assert python_of(quotient)(6.0, 3.0) == 2.0
    assert python_of(python_of(quotient)) is python_of(quotient)


@pytest.mark.parametrize("how", ["kernel", "lean", "inner", "inlined"])
def test_an_edited_constant_of_a_kernel_is_compiled_anew(house, how):
    """A file without kernels whose constants a kernel has compiled in."""
    (house / "mapping" / "columns.py").write_text("WIDTH = 3\n")
    (house / "mapping" / "callee.py").write_text(
        f"from mapping.columns import (\n    WIDTH,\n)\nfrom traces.jit import {how}\n\n"
        f"@{how}\ndef step(x):\n    return x + WIDTH\n"
    )
    code = "from mapping.caller import twice; print(twice(0))"
    assert run(house, code) == ["6"]
    (house / "mapping" / "columns.py").write_text("WIDTH = 5\n")
    assert run(house, code) == ["10"]


def test_rules_compiled_in_different_processes_do_not_take_each_others_callees(house):
    """A callee too long to be inlined keeps a symbol, and one process sees those of both files."""
    steps = "".join(
        f"    for k in range(x.size):\n        x[k] = (x[k] * {n + 3} + STEP) % {997 + n}\n"
        for n in range(40)
    )
    (house / "mapping" / "callee.py").write_text(
        "from traces.jit import inner\n\nSTEP = 0\n\n\n"
        f"@inner\ndef step(x):\n{steps}    return x[0]\n"
    )
    (house / "mapping" / "caller.py").write_text(
        "from mapping.callee import step\nfrom traces.jit import kernel\n\n\n"
        "@kernel\ndef thrice(x):\n    return step(x) + step(x) * step(x)\n"
    )
    code = (
        "import numpy as np; from mapping.callee import step; from mapping.caller import thrice\n"
        "from traces.jit import specialised\n"
        "def of(by, how): return specialised((step, thrice), dict(STEP=by), compiled=how)['thrice']\n"
        "for by in {}: print(of(by, True)(np.arange(9)) == of(by, False)(np.arange(9)))\n"
    )
    assert run(house, code.format((1,))) == ["True"]
    assert run(house, code.format((2,))) == ["True"]
    assert run(house, code.format((1, 2))) == ["True", "True"]
