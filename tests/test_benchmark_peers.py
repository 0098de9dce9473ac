"""The benchmarks that run other emulators, and that vary a network, as others call them."""

import importlib.util
import json
import os
import sys

import forks
import pytest
from forks import CHECKOUT


def called(program, *arguments, **environment):
    done = forks.run(
        f"benchmarks/{program}.py", *arguments, cwd=CHECKOUT,
        env=os.environ | {"PYTHONPATH": str(CHECKOUT)} | environment,
    )  # fmt: skip
    assert "Traceback" not in done.stderr
    return done


def peer(shared, *arguments):
    return called("peers", *arguments, SPIKEFAB_SHARED=str(shared))


@pytest.fixture
def noisy(shared, tmp_path):
    """A shared folder whose workloads print, and count one spike too many."""
    (tmp_path / "benchmarks").mkdir()
    text = (shared / "benchmarks" / "workloads.py").read_text()
    more = (
        "\nplain, exact = get, reference\n"
        "def get(*args):\n    print('building')\n    return plain(*args)\n"
        "def reference(net):\n    first, *rest = exact(net)\n    return (first + 1, *rest)\n"
    )
    (tmp_path / "benchmarks" / "workloads.py").write_text(text + more)
    return tmp_path


@pytest.mark.parametrize("workload", ["W1", "W2"])
def test_a_peer_that_runs_answers_in_one_line_of_json(shared, workload):
    done = peer(shared, "numpy", workload, "--ticks", 40, "--repeat", 2, "--json")
    found = json.loads(done.stdout)
    assert (done.returncode, done.stdout.count("\n")) == (0, 1)
    assert (found["peer"], found["workload"], found["ticks"]) == ("numpy", workload, 40)
    assert found["equal"]
    assert found["spikes"] == found["spikes_expected"]
    assert sum(found["spikes"]) > 0
    assert found["synaptic_events"] > sum(found["spikes"])
    assert min(found["sim_s"], found["cpu_s"], found["ticks_per_s"], found["peak_rss_mb"]) > 0


def test_fewer_ticks_are_the_first_of_the_same_network(shared):
    few, more = (
        json.loads(peer(shared, "numpy", "W1", "--ticks", n, "--repeat", 1, "--json").stdout)
        for n in (20, 100)
    )
    assert more["spikes"] == [4514, 5697, 127]  # of the network of 1000 ticks
    assert all(a <= b for a, b in zip(few["spikes"], more["spikes"], strict=True))


def test_a_peer_can_run_in_another_environment(shared):
    done = peer(shared, "numpy", "W2", "--ticks", 5, "--repeat", 1, "--python", sys.executable)
    assert done.returncode == 0
    assert done.stdout.count("\n") == 1
    assert "in exact integers" in done.stdout


def test_other_spikes_than_the_exact_ones_are_code_4_and_prints_stay_out_of_the_answer(noisy):
    done = peer(noisy, "numpy", "W1", "--ticks", 20, "--repeat", 1, "--json")
    found = json.loads(done.stdout)
    assert (done.returncode, found["equal"]) == (4, False)
    assert found["spikes_expected"][0] == found["spikes"][0] + 1
    assert "building" in done.stderr


@pytest.mark.skipif(importlib.util.find_spec("xylosim") is not None, reason="xylosim is there")
def test_a_missing_peer_is_code_2_and_says_what_to_install(shared):
    done = peer(shared, "xylosim", "W1", "--ticks", 5, "--json")
    assert (done.returncode, done.stdout) == (2, "")
    assert "pip install xylosim" in done.stderr
    assert sys.executable in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nest", "W1"], "invalid choice: 'nest'"),
        (["numpy", "W4"], "invalid choice: 'W4'"),
        (["numpy", "W1", "--ticks", "0"], "W1 has ticks for 1..1000, got 0"),
        (["numpy", "W3", "--ticks", "201"], "W3 has ticks for 1..200, got 201"),
        (["numpy", "W1", "--repeat", "0"], "--repeat must be at least 1, got 0"),
        (["numpy", "W1", "--python", "/nowhere"], "/nowhere is no program"),
        (["numpy"], "the following arguments are required: W1|W2|W3"),
    ],
)
def test_bad_input_is_code_2(shared, arguments, message):
    done = peer(shared, *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr


def test_missing_workloads_are_code_2(tmp_path):
    done = peer(tmp_path, "numpy", "W1")
    assert (done.returncode, done.stdout) == (2, "")
    assert "SPIKEFAB_SHARED" in done.stderr


@pytest.mark.skipif(importlib.util.find_spec("elephant") is not None, reason="Elephant is there")
def test_measures_without_their_peers_are_code_2_and_say_what_to_install():
    done = called("measures", "--trains", 10, "--json")
    assert (done.returncode, done.stdout) == (2, "")
    assert "a peer is not installed" in done.stderr
    assert "pip install elephant cython" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--trains", "1"], "--trains must be at least 2, got 1"),
        (["--spikes", "0"], "--spikes must be at least 1, got 0"),
        (["--seed", "-1"], "--seed must be at least 0, got -1"),
        (["--record", "nowhere/peers.json"], "nowhere/peers.json cannot be written"),
    ],
)
def test_measures_refuse_bad_input(arguments, message):
    done = called("measures", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--only", "weights"], "invalid choice: 'weights'"),
        (["--fabric", "wormhole"], "invalid choice: 'wormhole'"),
        (["--seconds", "0"], "--seconds must be more than 0"),
        (["--plot", "page.txt"], "page.txt must be a .png file"),
        (["--plot", "nowhere/page.png"], "folder that can be written"),
    ],
)
def test_growth_refuses_bad_input(arguments, message):
    done = called("growth", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr


@pytest.mark.slow_uncompiled
def test_growth_fits_and_draws_what_it_measured(tmp_path):
    path = tmp_path / "page.png"
    done = called(
        "growth", "--only", "activity", "--fabric", "ideal", "--seconds", "0.001", "--plot", path,
        "--json",
    )  # fmt: skip
    assert (done.returncode, done.stdout.count("\n")) == (0, 1)
    (curve,) = json.loads(done.stdout)["curves"]
    points = curve["points"]
    assert (len(points), curve["range"]) == (7, [0.0025, 0.16])
    for point in points:  # activity is what it was set to
        expected = point["x"] * 8192
        assert abs(point["spikes_per_tick"] - expected) < 0.2 * expected
    assert path.read_bytes().startswith(b"\x89PNG")
