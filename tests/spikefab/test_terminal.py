"""Trouble with the terminal, a pipe or a full disk behind it loses no result."""

import json
import os
import re
import subprocess
from pathlib import Path

import pytest
import typer
from command_line import COMMAND, ENVIRONMENT, RUN, spikefab

from spikefab import rehearsal
from spikefab.telling import told

pytestmark = pytest.mark.slow_uncompiled

RESULTS = ["float.h5", "report.html", "summary.json", "trace.h5"]


def closed_pipe(*arguments, cwd):
    """Run with a standard output whose reader is gone from the start."""
    read, write = os.pipe()
    os.close(read)
    try:
        return spikefab(*arguments, cwd=cwd, stdout=write)
    finally:
        os.close(write)


def full(*arguments, cwd):
    with open("/dev/full", "w") as device:
        return spikefab(*arguments, cwd=cwd, stdout=device)


def results(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_reader_that_goes_away_changes_nothing(small):
    done = closed_pipe(*RUN, "-o", "out", cwd=small)
    assert (done.returncode, "Traceback" in done.stderr) == (0, False)
    assert results(small / "out") == RESULTS
    different = closed_pipe("compare", "out/float.h5", "out/trace.h5", cwd=small)
    same = closed_pipe("compare", "out/float.h5", "out/float.h5", cwd=small)
    shown = spikefab("compare", "out/float.h5", "out/trace.h5", cwd=small)
    assert (different.returncode, same.returncode) == (shown.returncode, 0)
    assert "Exception" not in different.stderr + same.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_behind_the_output_loses_no_result(small):
    done = full(*RUN, "-o", "out", cwd=small)
    assert done.returncode == 5
    assert "the output could not be written (No space left on device)" in done.stderr
    assert "Traceback" not in done.stderr
    assert results(small / "out") == RESULTS
    assert json.loads((small / "out" / "summary.json").read_text())["samples"] == 4
    helped = full("--help", cwd=small)
    assert (helped.returncode, helped.stderr.count("\n")) == (5, 1)
    assert full("run", "--help", cwd=small).stderr == helped.stderr


def test_letters_that_a_terminal_does_not_know_are_replaced(small):
    ascii_only = {"PYTHONIOENCODING": "ascii", "LC_ALL": "C", "PYTHONUTF8": "0"}
    for arguments in (("--help",), ("chips", "loihi"), RUN):
        done = spikefab(*arguments, cwd=small, env=ascii_only)
        assert (done.returncode, done.stderr.count("Traceback")) == (0, 0)
        assert done.stdout.isascii()
    assert "?" in done.stdout


def test_an_early_reader_of_a_long_list_gets_no_complaint(small):
    with subprocess.Popen(
        [*COMMAND, "chips", "loihi"], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True, cwd=small, env=ENVIRONMENT,
    ) as process:  # fmt: skip
        process.stdout.readline()
        process.stdout.close()
        errors = process.stderr.read()
    assert (process.returncode, errors) == (0, "")


def test_debug_changes_no_exit_code(small):
    for arguments, code in (
        (("run", "missing.nir", "--data", "data.npz"), 2),
        ((*RUN, "-o", "net.nir"), 2),
    ):
        done = spikefab(*arguments, "--debug", cwd=small)
        assert done.returncode == code
        assert "Traceback" in done.stderr
        assert done.stderr.splitlines()[-1].startswith("spikefab: ")


def test_a_home_that_cannot_be_written_makes_no_noise(small):
    (small / "home").write_text("a file, so that even root cannot write below it")
    nowhere = {
        "HOME": str(small / "home"),
        "MPLCONFIGDIR": "",
        "XDG_CACHE_HOME": str(small / "home"),
        "NUMBA_DISABLE_JIT": "1",  # where kernels are kept then is a matter of test_kernel_cache.py
    }
    done = spikefab(*RUN, "-o", "out", cwd=small, env=nowhere)
    assert (done.returncode, done.stderr) == (0, "")


def test_an_interrupt_says_what_is_readable_only_where_something_is(small, monkeypatch, capsys):
    def interrupted(*_, progress, **__):
        progress("float", 1, 4)
        raise KeyboardInterrupt

    monkeypatch.chdir(small)
    monkeypatch.setattr(rehearsal, "run_network", interrupted)
    for output, message in (
        (None, "before anything"),
        (small / "out", "recorded in .*out is readable; spikefab resume .*out goes on"),
    ):
        with pytest.raises(typer.Exit) as leaving, told(debug=False):
            rehearsal.rehearse(
                Path("net.nir"), Path("data.npz"), "loihi", conventions={}, reading={}, seed=0,
                output=output, force=False,
            )  # fmt: skip
        assert leaving.value.exit_code == 130
        assert re.search(f"interrupted, .*{message}", capsys.readouterr().err)
