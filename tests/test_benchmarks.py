"""The programs in benchmarks/ as others call them: exit code, and one line of JSON."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
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


def test_the_network_of_lava_dl_reads_the_digits(shared, tmp_path):
    for name in ("loihi_mnist", "ann_mnist_cnn"):
        (tmp_path / name).symlink_to(shared / "networks" / name)
    code, found, _ = real_networks(tmp_path)
    check = found["networks"][0]["checks"][0]
    assert (code, found["networks"][0]["kind"], check["expected"]) == (0, "net-mnist", 480)
    assert check["got"] >= 480
    assert found["networks"][0]["figures"]["ticks of input, of a sample"] == [20, 23]


@pytest.fixture
def raster(tmp_path):
    """One neuron that repeats its input, two ticks late by its delay."""
    folder = tmp_path / "mine"
    folder.mkdir()
    neuron = {"type": np.bytes_("CUBA"), "iDecay": 4096, "vDecay": 4096, "vThMant": 10}
    with h5py.File(folder / "a.net", "w") as file:
        for name, value in {
            "type": np.bytes_("dense"), "shape": [1], "weight": [[20]], "delay": 2,
        }.items():  # fmt: skip
            file[f"layer/0/{name}"] = value
        for name, value in neuron.items():
            file[f"layer/0/neuron/{name}"] = value
    counts = np.array([[1], [0], [1], [1], [0], [0], [0]])
    np.save(folder / "input.npy", counts)
    np.save(folder / "expected.npy", np.roll(counts, 2, axis=0))
    (folder / "case.toml").write_text('kind = "net-raster"')
    return folder


def test_a_raster_of_a_net_file_is_compared_entry_by_entry(raster):
    code, found, _ = real_networks(raster.parent)
    assert (code, found["networks"][0]["checks"][0]["got"]) == (0, 0)
    # Recorded with the tick that each layer takes, and with neurons first.
    np.save(raster / "expected.npy", np.roll(np.load(raster / "input.npy"), 3, axis=0).T)
    assert real_networks(raster.parent)[0] == 4
    (raster / "case.toml").write_text('kind = "net-raster"\nlag = 1\npopulation = "layer0"')
    assert real_networks(raster.parent)[0] == 0


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("case.toml", 'kind = "net-raster"\npopulation = "x"', "population 'x' is none of layer0"),
        ("case.toml", 'kind = "net-mnist"', "no file *.npz"),
        ("a.net", "hello", "a.net: cannot be read"),
        ("input.npy", "hello", "input.npy: cannot be read"),
    ],
)
def test_a_broken_net_folder_is_bad_input(raster, name, content, message):
    (raster / name).write_text(content)
    code, found, errors = real_networks(raster.parent)
    assert (code, len(found["errors"])) == (2, 1)
    assert message in errors


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
