"""The programs in benchmarks/ as others call them: exit code, and one line of JSON."""

import json
import os
import shutil
import subprocess
import sys

import forks
import h5py
import nir
import numpy as np
import pytest
from forks import CHECKOUT

pytestmark = pytest.mark.slow_uncompiled


def environment():
    return os.environ | {"PYTHONPATH": str(CHECKOUT)}


def real_networks(folder, *arguments):
    done = forks.run(
        "benchmarks/real_networks.py", folder, "--json", *arguments, cwd=CHECKOUT, env=environment()
    )
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


def test_the_file_of_a_network_knows_its_own_conventions(networks):
    """dt and reset of the metadata win over what is usual, and a case wins over both."""
    path = networks / "nir_lif" / "lif_norse.nir"
    graph = nir.read(path)
    graph.metadata = {"dt": 2e-4, "reset": "subtract"}
    nir.write(path, graph)
    assert real_networks(networks)[0] == 4
    (networks / "nir_lif" / "case.toml").write_text('dt = 1e-4\nreset = "zero"')
    assert real_networks(networks)[0] == 0


def test_spikes_that_a_lag_moves_beyond_the_table_are_left_out(networks):
    path = networks / "nir_lif" / "lif_norse.csv"
    rows = path.read_text().splitlines()[:720]
    path.write_text("\n".join(rows))  # spikes at 460, 510 and 710
    late = [row.rsplit(",", 1)[0] + "," for row in rows]
    fired = [row.rsplit(",", 1)[1] for row in rows]
    moved = ["0.0"] * 30 + fired[:-30]
    path.write_text("\n".join(a + b for a, b in zip(late, moved, strict=True)))
    (networks / "nir_lif" / "case.toml").write_text("lag = 30")
    code, found, _ = real_networks(networks)
    assert (code, found["networks"][0]["checks"][0]["got"]) == (0, [490, 540])


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
        ("case.toml", 'kind = "lif_csv"', "did you mean 'lif-csv'"),
        ("case.toml", 'kind = "else"', "is none of lif-csv, braille-raster"),
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
    assert message in errors


def test_a_folder_without_networks_is_bad_input(networks):
    (networks / "none").mkdir()
    for folder in ("none", "nir_lif"):
        code, found, errors = real_networks(networks / folder)
        assert (code, found) == (2, None)
        assert "no known network" in errors
        assert "give its parent?" in errors


def test_a_folder_of_unknown_ones_only_is_skipped(tmp_path):
    (tmp_path / "something").mkdir()
    code, found, _ = real_networks(tmp_path)
    assert (code, found["skipped"], found["networks"]) == (0, ["something"], [])


def test_json_holds_null_for_what_is_not_a_number(networks):
    path = networks / "nir_lif" / "lif_norse.csv"
    lines = path.read_text().splitlines()
    first = lines[0].split(",")
    path.write_text("\n".join([",".join([first[0], "nan", *first[2:]]), *lines[1:]]))
    code, found, _ = real_networks(networks)
    assert code == 0
    assert found["networks"][0]["figures"]["membrane, largest difference"] is None


@pytest.fixture
def braille(shared, tmp_path):
    folder = tmp_path / "nir_braille_zero"
    folder.mkdir()
    for path in (shared / "networks" / "nir_braille_zero").iterdir():
        if path.suffix == ".nir" or path.name.startswith(("input", "snntorch")):
            shutil.copy(path, folder)
    return folder


def test_an_input_of_other_than_spikes_is_bad_input(braille):
    path = braille / "input_sample0.npy"
    np.save(path, np.load(path) * 0.5)
    code, _, errors = real_networks(braille.parent)
    assert code == 2
    assert "spikes are whole numbers" in errors


def test_a_class_is_read_from_a_silent_output_too(braille):
    graph = nir.read(next(braille.glob("*.nir")))
    (output,) = (edge[0] for edge in graph.edges if edge[1] == "output")
    cells = graph.nodes[output]
    graph.nodes[output] = nir.CubaLI(
        tau_syn=cells.tau_syn, tau_mem=cells.tau_mem, r=cells.r, v_leak=cells.v_leak,
        w_in=cells.w_in,
    )  # fmt: skip
    nir.write(next(braille.glob("*.nir")), graph)
    _, found, errors = real_networks(braille.parent)
    (entries, same_class) = found["networks"][0]["checks"]
    assert (errors, entries["holds"]) == ("", True)
    assert same_class["got"] == same_class["expected"]


@pytest.fixture
def recordings(shared, tmp_path):
    """Two of the recordings of N-MNIST."""
    source, folder = shared / "networks" / "nir_scnn_nmnist", tmp_path / "nir_scnn_nmnist"
    (folder / "samples").mkdir(parents=True)
    shutil.copy(source / "cnn_sinabs.nir", folder)
    lines = (source / "labels.txt").read_text().splitlines()
    labels = [line for line in lines if line and not line.startswith("#")][:2]
    for line in labels:
        shutil.copy(source / "samples" / f"{line.split()[0]}.bs2", folder / "samples")
    (folder / "labels.txt").write_text("\n".join(["# names and classes of two", "", *labels]))
    return folder


def test_comments_in_labels_are_no_labels_and_dt_is_the_width_of_bins(recordings):
    code, found, _ = real_networks(recordings.parent)
    assert (code, found["networks"][0]["checks"][0]["got"]) == (0, 2)
    spikes = found["networks"][0]["figures"]["spikes a sample, float"]
    (recordings / "case.toml").write_text("dt = 3e-3")
    _, found, errors = real_networks(recordings.parent)
    assert errors == ""
    assert found["networks"][0]["figures"]["spikes a sample, float"] < 0.9 * spikes
    (recordings / "case.toml").write_text("dt = 1.5e-6")
    assert "no whole number of µs" in real_networks(recordings.parent)[2]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ("{name} 3", "has a class already"),
        ("a b c", "line 5: each line must hold"),
        ("a b", "line 5"),
    ],
)
def test_bad_labels_are_bad_input(recordings, more, message):
    path = recordings / "labels.txt"
    name = path.read_text().split("\n")[2].split()[0]
    path.write_text(path.read_text() + "\n" + more.format(name=name))
    code, _, errors = real_networks(recordings.parent)
    assert code == 2
    assert message in errors


def test_an_interrupt_and_a_closed_pipe_leave_no_traceback(networks):
    command = [sys.executable, "benchmarks/real_networks.py", str(networks)]
    read, write = os.pipe()
    os.close(read)
    closed = subprocess.run(
        command, stdout=write, stderr=subprocess.PIPE, text=True, cwd=CHECKOUT, env=environment(),
        check=False,
    )  # fmt: skip
    os.close(write)
    assert (closed.returncode, closed.stderr) == (0, "")
    interrupting = (
        "import sys; sys.path[:0] = ['benchmarks']\n"
        "import real_networks\n"
        "def stop(*_): raise KeyboardInterrupt\n"
        "real_networks.run_folder = stop\n"
        "real_networks.interruptible()\n"
    )
    stopped = subprocess.run(
        [sys.executable, "-c", interrupting, str(networks)],
        capture_output=True, text=True, cwd=CHECKOUT, env=environment(), check=False,
    )  # fmt: skip
    assert (stopped.returncode, stopped.stderr) == (130, "real_networks: interrupted\n")


def fabric(program, *arguments):
    done = forks.run(f"benchmarks/{program}.py", *arguments, cwd=CHECKOUT, env=environment())
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout, done.stderr


def test_fabrics_that_agree_are_told_in_one_line():
    code, out, errors = fabric("fabric_equal", "--cases", "20", "--seed", "3", "--json")
    assert (code, out.count("\n")) == (0, 1)
    found = json.loads(out)
    assert (found["equal"], found["cases"], found["differences"]) == (True, 20, 0)
    assert found["starts"] > found["packets"] > 0
    assert "cases 20" in errors
    assert fabric("fabric_equal", "--cases", "0")[0] == 2
    assert fabric("fabric_equal", "--cases", "many")[0] == 2


def test_saturation_stays_below_the_channel_bound(tmp_path):
    picture = tmp_path / "loads.png"
    code, out, _ = fabric(
        "noc_physics", "--window", "400", "--repeats", "1", "--json", "--plot", str(picture)
    )
    assert (code, out.count("\n")) == (0, 1)
    found = json.loads(out)
    assert picture.stat().st_size > 10_000
    assert found["bound"]["transpose"] == pytest.approx(1 / 7, abs=1e-4)
    assert found["bound"]["bit_complement"] == pytest.approx(1 / 4, abs=1e-4)
    assert found["saturation"]["transpose"]["1"] < 0.7 * found["bound"]["transpose"]
    assert found["saturation"]["uniform"]["1"] < found["saturation"]["uniform"]["4"]
    assert min(found["speed"]["A burst"].values()) > 0
    assert fabric("noc_physics", "--window", "1")[0] == 2
    assert fabric("noc_physics", "--plot", "/nowhere/x.png")[0] == 2


@pytest.mark.parametrize(
    ("program", "arguments", "message"),
    [
        ("speed", ["W9"], "there is no network 'W9'; known are W1, W2, W3"),
        ("speed", ["W1", "--fabric", "magic"], "there is no fabric 'magic'"),
        ("speed", ["W1", "--ticks", "0"], "--threads and --ticks must be at least 1"),
        ("speed", ["W1", "--threads", "-1"], "--threads and --ticks must be at least 1"),
        ("speed", ["W1", "--ticks", "many"], "invalid int value: 'many'"),
        ("speed", [], "the following arguments are required"),
        ("activity", ["--fast"], "unrecognized arguments: --fast"),
        ("batch", ["--samples", "0"], "--samples must be at least 1, but is 0"),
        ("batch", ["--ticks", "-3"], "--ticks must be at least 1, but is -3"),
        ("batch", ["--threads", "0"], "--threads must be at least 1, but is 0"),
        ("batch", ["--samples", "some"], "invalid int value: 'some'"),
    ],
)
def test_bad_arguments_of_benchmarks_are_told_on_the_error_channel(program, arguments, message):
    code, out, errors = fabric(program, *arguments, "--json")
    assert (code, out) == (2, "")
    assert message in errors


@pytest.mark.parametrize(("program", "arguments"), [("speed", ["W1"]), ("batch", [])])
def test_a_benchmark_without_the_shared_folder_says_how_to_name_it(
    program, arguments, tmp_path, monkeypatch
):
    monkeypatch.setenv("SPIKEFAB_SHARED", str(tmp_path))
    code, out, errors = fabric(program, *arguments, "--json")
    assert (code, out) == (2, "")
    assert "SPIKEFAB_SHARED" in errors


SMALL = """
import sys
from pathlib import Path
sys.path.insert(0, "benchmarks")
import mapping  # the package: the program beside it has given way
import mapping_cases as cases
from mapping.layout.moves import Limits
cases.CASES = {{"small": cases.Case(network=lambda seed: cases.{network},
                                    limits=Limits(neurons=30, in_axons=100),
                                    bars={{"hops": {bar}}}, width=4, height=4)}}
sys.exit(cases.main(["small", "--json", "--seed", "1"], Path("mapping.py")))
"""


def small_case(network, bar):
    done = subprocess.run(
        [sys.executable, "-c", SMALL.format(network=network, bar=bar)],
        capture_output=True, text=True, cwd=CHECKOUT, check=False,
        env=environment(),
    )  # fmt: skip
    assert "Traceback" not in done.stderr, done.stderr
    assert done.stdout.count("\n") == 1
    return done.returncode, json.loads(done.stdout)


def test_a_mapping_is_told_beside_its_baseline_and_all_other_ways():
    code, found = small_case("smallworld(seed, 300, 10)", 10**6)
    assert (code, found["case"], found["seed"], found["broken"]) == (0, "small", 1, [])
    assert found["lower_bound"] <= found["hops"] <= found["baseline_hops"]
    assert found["packets"] <= found["baseline_packets"]
    assert (found["cores"], found["seconds"] > 0, found["peak_rss_mb"] > 0) == (10, True, True)
    assert set(found["partitioners"]) == {"traffic", "packed", "sequential"}
    assert set(found["placers"]) == {"linear", "hilbert", "force", "anneal"}


def test_a_baseline_without_room_is_null_and_a_broken_bar_told_by_the_exit_code():
    code, found = small_case("_shuffled_world(300, 10, 0.1, seed)", 1)
    assert (code, found["broken"], found["baseline_hops"]) == (4, ["hops"], None)
    assert "places" in found["partitioners"]["sequential"]["refused"]
    assert found["cores"] <= 16


def test_an_unknown_case_of_mapping_is_bad_input():
    code, out, errors = fabric("mapping", "huge", "--json")
    assert (code, out) == (2, "")
    assert "invalid choice: 'huge'" in errors
    assert "smallworld-loihi" in errors
    assert fabric("mapping", "chain-256", "--seed", "-1")[0] == 2


@pytest.mark.parametrize(("name", "ticks", "packets"), [("W1", 100, 72_833), ("W2", 50, 581_069)])
def test_a_standard_network_sends_as_many_packets_as_it_must(shared, name, ticks, packets):
    """Of the first ticks; spikes of all of them are checked in speed.py."""
    code, out, _ = fabric("speed", name, "--ticks", str(ticks), "--ceiling", "--json")
    assert (code, out.count("\n")) == (0, 1)
    found = json.loads(out)
    assert found["packets"] == packets
    assert found["checks"] == {"spikes equal the ceiling's": True, f"packets are {packets:,}": True}
    assert found["holds"] is True
    assert len(found["seconds"]) == 7


def test_a_few_digits_side_by_side_are_told_in_one_line(shared):
    code, out, errors = fabric("batch", "--samples", "6", "--ticks", "12", "--json")
    assert (code, out.count("\n")) == (0, 1)
    found = json.loads(out)
    assert (found["samples"], found["ticks"], found["holds"]) == (6, 12, True)
    assert found["spikes"] > 0
    assert "accuracy: " in errors
    one = json.loads(
        fabric("batch", "--samples", "6", "--ticks", "12", "--threads", "1", "--json")[1]
    )
    assert (one["spikes"], one["accuracy"]) == (found["spikes"], found["accuracy"])


def test_damaged_traces_are_refused_or_read_right():
    code, out, errors = fabric("fuzz_trace", "--mutations", "40", "--seed", "5", "--json")
    assert (code, out.count("\n")) == (0, 1), errors
    found = json.loads(out)
    assert found["holds"]
    assert (
        found["equal"] + found["fewer"] + found["refused"] + found["wrong_where_nothing_covers"]
        == 40
    )
    assert found["refused"] > 10
    assert fabric("fuzz_trace", "--mutations", "0")[0] == 2
    assert fabric("fuzz_trace", "--mutations", "many")[0] == 2


def test_speed_and_memory_of_traces_are_told_in_one_line():
    few = ("--spikes", "200000", "--plain-spikes", "100000")
    _, out, _ = fabric("trace_speed", *few, "--json")
    found = json.loads(out)
    assert found["window_spikes"] == 200_000
    assert found["bytes_a_spike"] > 12
    assert found["write_peak_mb"] > 0
    assert fabric("trace_speed", "--spikes", "1")[0] == 2
