"""The folder of a run: refused before any work, or else no earlier result and no input is lost."""

import os
import re
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
import typer
from command_line import RUN, spikefab

from spikefab import rehearsal
from spikefab.info import describe
from spikefab.output import FILES, check_output, make_new
from spikefab.telling import BadInputError, told
from traces.trace import Trace

pytestmark = pytest.mark.slow_uncompiled


def rehearse(output, **how):
    given = {
        "network_path": Path("net.nir"), "data": Path("data.npz"), "chip_name": "loihi",
        "conventions": {}, "reading": {}, "seed": 0, "output": output, "force": False,
    }  # fmt: skip
    rehearsal.rehearse(**given | how)


@pytest.fixture
def earlier(small, monkeypatch):
    """The result of an earlier run, in the folder in which the next one starts."""
    monkeypatch.chdir(small)
    rehearse(Path("out"))
    (small / "out" / "mine.txt").write_text("keep")
    return small / "out"


def content(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError, ZeroDivisionError])
def test_a_run_that_ends_before_it_records_gives_the_earlier_result_back(
    earlier, monkeypatch, error
):
    def ending(*_, folder, **__):
        (folder / "float.h5").write_text("begun")
        raise error

    before = content(earlier)
    monkeypatch.setattr(rehearsal, "run_network", ending)
    with pytest.raises(error):
        rehearse(Path("out"), force=True)
    assert content(earlier) == before


def test_a_run_that_breaks_off_later_leaves_its_own_trace(earlier, monkeypatch):
    run_network = rehearsal.run_network

    def breaking_off(*arguments, progress, **how):
        def stop(stage, done, total):
            progress(stage, done, total)
            if stage == "float" and done == 3:
                raise KeyboardInterrupt

        run_network(*arguments, progress=stop, **how)

    monkeypatch.setattr(rehearsal, "run_network", breaking_off)
    with pytest.raises(KeyboardInterrupt):
        rehearse(Path("out"), force=True)
    # The chip's trace is there from the start: it carries what the run is made from.
    assert sorted(content(earlier)) == ["float.h5", "mine.txt", "trace.h5"]
    with Trace.open(earlier / "float.h5") as trace:
        assert not trace.complete
        assert trace.whole_ticks > trace.ticks


def test_force_replaces_what_is_there(earlier):
    before = content(earlier)
    rehearse(Path("out"), force=True, seed=7)
    assert content(earlier).keys() == before.keys()
    with Trace.open(earlier / "trace.h5") as trace:
        assert trace.provenance["seed"] == 7


@pytest.mark.parametrize("how", ["same", "link", "hard link"])
def test_an_input_is_never_replaced(small, monkeypatch, how):
    monkeypatch.chdir(small)
    Path("dl").mkdir()
    with h5py.File("dl/float.h5", "w") as file:
        file["x"] = np.ones((4, 20, 3), int)
    data = Path("dl/float.h5")
    if how == "link":
        data = Path("data.h5")
        data.symlink_to("dl/float.h5")
    elif how == "hard link":
        data = Path("data.h5")
        os.link("dl/float.h5", data)
    before = content(Path("dl"))
    with pytest.raises(BadInputError, match=r"is read by this run, .* replace it as dl/float\.h5"):
        rehearse(Path("dl"), data=data, force=True)
    assert content(Path("dl")) == before


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("loop", "is a link that leads nowhere"),
        ("dangling", "is a link that leads nowhere"),
        ("dangling/sub", "dangling is no folder"),
        ("net.nir", "exists and is no folder"),
        ("net.nir/sub", "net.nir is no folder"),
        ("x" * 300, "File name too long"),
        ("taken", "is a folder where a file has to be written"),
    ],
)
def test_a_useless_path_is_refused_before_any_work(small, monkeypatch, name, message):
    monkeypatch.chdir(small)
    Path("loop").symlink_to("loop")
    Path("dangling").symlink_to("nowhere")
    Path("taken/trace.h5").mkdir(parents=True)
    with pytest.raises(BadInputError, match=message):
        check_output(Path(name), (), force=True)


def test_a_new_folder_is_nobody_elses(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("demo").symlink_to("nowhere")
    Path("demo-2").mkdir()
    assert [make_new("demo"), make_new("demo")] == [Path("demo-3"), Path("demo-4")]


def test_file_names_that_cannot_be_are_bad_input(small):
    done = spikefab("run", "x" * 300, "--data", "data.npz", cwd=small)
    assert done.returncode == 2
    assert "File name too long" in done.stderr
    assert "Traceback" not in done.stderr


def test_names_that_are_no_text_are_taken(small):
    shutil.copy(small / "net.nir", os.fsencode(small) + b"/\xff.nir")
    done = spikefab("run", b"\xff.nir", "--data", "data.npz", "-o", b"out\xff", cwd=small)
    assert (done.returncode, done.stderr) == (0, "")
    folder = Path(os.fsdecode(os.fsencode(small) + b"/out\xff"))
    assert {path.name for path in folder.iterdir()} == set(FILES)


@pytest.fixture
def nobody(tmp_path):
    """Be a user who may do little, but enter the folder of the test."""
    if os.name != "posix" or os.geteuid() != 0:
        pytest.skip("only root can become nobody")
    above = [path for path in tmp_path.parents if path.stat().st_mode & 0o777 == 0o700]
    for path in (tmp_path, *above):
        path.chmod(0o711)
    yield lambda: os.seteuid(65534)
    os.seteuid(0)
    for path in above:
        path.chmod(0o700)


@pytest.mark.parametrize(
    "work",
    [
        lambda: rehearse(None, network_path=Path("shut/net.nir")),
        lambda: rehearse(None, network_path=Path("secret.nir")),
        lambda: rehearse(None, data=Path("shut/data.npz")),
        lambda: rehearse(Path("shut/out")),
        lambda: list(describe(Path("shut/data.npz"))),
        lambda: list(describe(Path("secret.h5"))),
        lambda: Trace.open("shut/trace.h5"),
    ],
)
def test_what_may_not_be_read_is_bad_input(small, monkeypatch, nobody, capsys, work):
    monkeypatch.chdir(small)
    (small / "shut").mkdir()
    for name in ("shut/data.npz", "secret.h5", "secret.nir", "shut"):
        Path(name).touch()
        Path(name).chmod(0)
    nobody()
    with pytest.raises(typer.Exit) as leaving, told(debug=False):
        work()
    assert leaving.value.exit_code == 2
    assert re.search("(shut|secret).*(ermission|may not be read)", capsys.readouterr().err)


def test_numbers_out_of_range_are_bad_input(small):
    done = spikefab(*RUN, "--seed", "99999999999999999999999", cwd=small)
    assert done.returncode == 2
    assert "--seed" in done.stderr


def test_trouble_with_a_file_names_it_first(capsys):
    with pytest.raises(typer.Exit) as leaving, told(debug=False):
        Path("/" + "x" * 300).read_bytes()
    assert leaving.value.exit_code == 2
    assert capsys.readouterr().err.endswith("x: File name too long\n")
