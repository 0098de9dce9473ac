"""The programs in benchmarks/ as others call them: exit code, and one line of JSON."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow_uncompiled

CHECKOUT = Path(__file__).resolve().parent.parent


def real_networks(folder, *arguments):
    done = subprocess.run(
        [sys.executable, "benchmarks/real_networks.py", str(folder), "--json", *arguments],
        capture_output=True, text=True, cwd=CHECKOUT, check=False,
        env=os.environ | {"PYTHONPATH": str(CHECKOUT)},
    )  # fmt: skip
    assert "Traceback" not in done.stderr
    assert done.stdout.count("\n") == (1 if done.stdout else 0)
    return done.returncode, json.loads(done.stdout or "null"), done.stderr


@pytest.fixture
def networks(shared, tmp_path):
    """A folder with a copy of the single neuron."""
    shutil.copytree(shared / "networks" / "nir_lif", tmp_path / "nir_lif")
    return tmp_path


def test_equal_networks_pass_and_unknown_folders_are_skipped(networks):
    (networks / "something").mkdir()
    code, found, errors = real_networks(networks)
    assert (code, found["holds"], found["skipped"]) == (0, True, ["something"])
    assert found["networks"][0]["checks"][0]["got"] == [460, 510, 710, 760]
    assert "something: skipped" in errors


def test_a_case_file_overrides_the_name(networks):
    (networks / "nir_lif").rename(networks / "mine")
    lines = ['kind = "lif-csv"', 'expected = "lif_lava_loihi_fixed.csv"']
    (networks / "mine" / "case.toml").write_text("\n".join(lines))
    assert real_networks(networks)[0] == 4  # that chip's spikes come one step later
    (networks / "mine" / "case.toml").write_text("\n".join([*lines, "lag = 1"]))
    assert real_networks(networks)[0] == 0


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("case.toml", "kind = ", "no valid TOML"),
        ("case.toml", 'king = "lif-csv"', "unknown keys king"),
        ("case.toml", 'dt = "short"', "dt must be"),
        ("case.toml", 'model = "absent.nir"', "model 'absent.nir' is not there"),
        ("lif_norse.csv", "hello", "lif_norse.csv: cannot be read"),
        ("lif_norse.csv", "0,1\n0,1\n", "2 columns"),
        ("lif_norse.nir", "hello", "lif_norse.nir: cannot be read"),
    ],
)
def test_a_broken_folder_is_bad_input(networks, name, content, message):
    (networks / "nir_lif" / name).write_text(content)
    code, found, errors = real_networks(networks)
    assert (code, found["holds"], len(found["errors"])) == (2, False, 1)
    assert message in errors


def test_a_missing_folder_is_bad_input(tmp_path):
    code, found, errors = real_networks(tmp_path / "nowhere")
    assert (code, found) == (2, None)
    assert "no such folder" in errors


@pytest.fixture
def crossbars(shared, tmp_path):
    """A folder with a copy of RANC's network."""
    shutil.copytree(shared / "networks" / "ranc_tea256", tmp_path / "ranc_copy")
    return tmp_path


def test_ranc_packets_are_judged_one_by_one(crossbars):
    code, found, _ = real_networks(crossbars)
    checks = [(check["expected"], check["got"]) for check in found["networks"][0]["checks"]]
    assert (code, checks) == (0, [(10, 10), (539, 539)])
    path = crossbars / "ranc_copy" / "tb_correct.txt"
    lines = path.read_text().splitlines()
    assert lines[0] == "00000000"
    path.write_text("\n".join(["11111111", *lines[1:]]))
    code, found, _ = real_networks(crossbars)
    assert code == 4
    figure = found["networks"][0]["figures"]["image 0, missing and surplus packets"]
    assert figure == [[255], [0]]


def test_a_case_says_grid_output_lag_and_files_of_ranc(crossbars):
    (crossbars / "ranc_copy").rename(crossbars / "mine")
    for name in ("input", "correct"):
        path = crossbars / "mine" / f"tb_{name}.txt"
        path.rename(path.with_name(f"{name}_a.txt"))
    lines = [
        'kind = "ranc"', "grid = [4, 3]", "output_core = [0, 2]", 'input = "input*.txt"',
        'expected = "correct_a.txt"', 'model = "csram*.mem"',
    ]  # fmt: skip
    for lag, want in ((1, 0), (2, 4)):
        (crossbars / "mine" / "case.toml").write_text("\n".join([*lines, f"lag = {lag}"]))
        assert real_networks(crossbars)[0] == want


@pytest.mark.parametrize(
    ("case", "message"),
    [
        ("grid = [4]", "grid must be two numbers"),
        ("output_core = [0, true]", "output_core must be two numbers"),
        ("grid = [4, 2]", "csram_008.mem is outside the grid of 8 cores"),
        ('input = "absent*"', "input 'absent*' is not there"),
    ],
)
def test_a_broken_ranc_case_is_bad_input(crossbars, case, message):
    (crossbars / "ranc_copy" / "case.toml").write_text(
        case if "output_core" in case else f"{case}\noutput_core = [0, 1]"
    )
    code, _, errors = real_networks(crossbars)
    assert code == 2
    assert message in errors
