"""The command fit: its answers, its exit codes, and what it refuses before work starts."""

import json
import re
from itertools import pairwise

import h5py
import nir
import numpy as np
import pytest
from command_line import spikefab, write_network

from emulator.chip_file import ChipError, builtin_chips, load_chip
from mapping.errors import NetworkError, NirError
from mapping.fitting.changes import narrowed
from mapping.nir_import import import_nir
from mapping.outline import Outline
from mapping.packing import list_words
from mapping.partition import partition
from mapping.pins import PinError
from spikefab.data import DataError
from spikefab.fit.as_json import answer_json
from spikefab.fit.holding import holding
from spikefab.fit.reading import read_subject
from spikefab.fit.work import answer
from spikefab.telling import BadInputError

SMALL = """
base = "loihi"
name = "{name}"
[mesh]
width = {width}
height = 1
cores_per_router = 1
[limits]
synapse_words_per_core = {words}
"""
CONVENTIONS = dict.fromkeys(("dt_s", "reset", "spike", "compare", "input_shape"))


def write_chip(path, *, width=4, words=16384, text=""):
    path.write_text(SMALL.format(name=path.stem, width=width, words=words) + text)
    return path


def write_chain(path, *sizes, **metadata):
    """Full matrices between layers of LIF neurons, as large as they are named."""
    nodes = {"input": nir.Input({"input": np.array([sizes[0]])})}
    edges, before = [], "input"
    for k, (n, m) in enumerate(pairwise(sizes)):
        one = np.ones(m)
        nodes[f"w{k}"] = nir.Linear(np.ones((m, n), np.float32))
        nodes[f"l{k}"] = nir.LIF(tau=one * 0.01, r=one, v_leak=0 * one, v_threshold=one)
        edges += [(before, f"w{k}"), (f"w{k}", f"l{k}")]
        before = f"l{k}"
    nodes["output"] = nir.Output({"output": np.array([sizes[-1]])})
    edges.append((before, "output"))
    metadata = {"dt": 1e-3, "reset": "zero"} | metadata
    nir.write(path, nir.NIRGraph(nodes=nodes, edges=edges, metadata=metadata))
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fit")
    write_chain(folder / "chain.nir", 300, *[400] * 11, 10)
    write_chain(folder / "short.nir", 300, 400, 400, 10)
    write_chip(folder / "small.toml", width=4, words=2048)
    write_chip(folder / "large.toml", width=200)
    return folder


def judged(folder, *chips, network="short.nir", **how):
    how = {"conventions": CONVENTIONS} | how
    chips = [str(folder / name) if name.endswith(".toml") else name for name in chips]
    found = answer(folder / network, chips, **how)
    return answer_json(found, folder / network)


# The command


def test_a_chain_that_fits_one_of_two_chips_ends_with_0(folder):
    done = spikefab(
        "fit", "chain.nir", "--chip", "small.toml", "--chip", "large.toml", "--json", cwd=folder
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    told = json.loads(done.stdout)
    assert told["network"] == "chain.nir"
    assert told["fits"]
    small, large = told["chips"]
    assert (small["chip"], small["fits"], large["chip"], large["fits"]) == (
        "small", False, "large", True,
    )  # fmt: skip
    assert large["violations"] == large["fixes"] == []
    assert (small["fixes_complete"], large["fixes_complete"]) == (True, None)
    for found in (small, large):
        assert found.keys() >= {
            "chip", "fits", "cores", "chips", "violations", "fixes", "layers", "resources",
            "traffic", "fixes_complete",
        }  # fmt: skip
        assert found["traffic"] is None
        assert len(found["layers"]) == 12
    assert small["violations"][0].keys() == {"limit", "where", "need", "have", "text"}
    assert small["violations"][0]["need"] == small["cores"] > small["violations"][0]["have"] == 4
    for fix in small["fixes"]:
        assert fix.keys() == {"kind", "change", "size", "apply", "cores", "verified"}
        assert fix["verified"] is True
    assert {fix["kind"] for fix in small["fixes"]} >= {"chips", "chip", "narrow"}


def test_a_chain_that_fits_no_chip_ends_with_3_and_says_what_helps(folder):
    done = spikefab("fit", "chain.nir", "--chip", "small.toml", cwd=folder)
    assert done.returncode == 3
    assert done.stderr == ""
    said = done.stdout
    assert "small: does not fit; 1 violated limit:" in said
    assert re.search(r"- [\d,]+ cores needed \('l0' \d+, .*but small has 4", said)
    assert re.search(r"1\. narrow all hidden populations to \d+ %", said)
    assert re.search(
        r"l0: 300 sources × \d+ words per list of \d+ targets = .*of 2,048 words", said
    )


def test_without_a_chip_all_built_in_ones_are_judged(folder):
    done = spikefab("fit", "chain.nir", cwd=folder)
    assert done.returncode == 0, done.stderr
    for name in builtin_chips():
        assert re.search(rf"^│ ?{name} *│(yes|no) ", done.stdout, re.MULTILINE), name


def test_without_a_network_it_says_what_chips_hold(folder):
    done = spikefab("fit", "--json", cwd=folder)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["network"] is None
    assert [chip["chip"] for chip in told["chips"]] == [load_chip(n).name for n in builtin_chips()]
    loihi = next(chip for chip in told["chips"] if chip["chip"] == "loihi")
    assert (loihi["cores"], loihi["neurons"], loihi["in_axons"]) == (128, 1024, 4096)
    assert (loihi["words"], loihi["bits"], loihi["total_bits"]) == (16384, 2**20, 2**27)
    done = spikefab("fit", "--chip", "loihi", "--chip", "small.toml", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "small" in done.stdout
    assert "truenorth" not in done.stdout


def test_bad_input_is_one_message_and_code_2(folder):
    for arguments, said in (
        (("chain.nir", "--chip", "loihi", "--pin", "l0=1", "--pin", "l0=2"), "is pinned 2 times"),
        (("--dt", "1e-3"), "--dt says something of a network; name one"),
    ):
        done = spikefab("fit", *arguments, cwd=folder)
        assert done.returncode == 2
        assert said in done.stderr
        assert done.stdout == ""
        assert "Traceback" not in done.stderr


# What is refused before work starts


@pytest.mark.parametrize(
    ("chips", "how", "error", "said"),
    [
        (["loihi"], {"pins": ["l0=1,2,1"]}, PinError, "names core 1 twice"),
        (["loihi"], {"pins": ["l0=128"]}, PinError, "core 128, but loihi has cores 0 to 127"),
        (["loihi"], {"pins": ["x=1"]}, PinError, "there is no population 'x'"),
        (["loihi"], {"pins": ["l2=0-10"]}, PinError, "11 cores for 10 neurons"),
        (["loihi"], {"pins": ["l0=5"], "without": ["core 5"]}, PinError, "is dead or reserved"),
        (["speck"], {"pins": ["l0=5"]}, PinError, "speck has layers cores, which take no pins"),
        ([], {"pins": ["l0=5"]}, BadInputError, "--pin is for the cores of one chip"),
        ([], {"without": ["core 5"]}, BadInputError, "--without is of one chip"),
        (["loihi"], {"without": ["cores 0-127"]}, BadInputError, "none is left"),
        (["loihi"], {"without": ["cores 0-999"]}, BadInputError, "has cores 0 to 127"),
        (["loihi"], {"without": ["kern 5"]}, BadInputError, "nothing known"),
        (["loihi", "loihi"], {}, BadInputError, "--chip loihi: named 2 times"),
        (["lohi"], {}, ChipError, "did you mean 'loihi'"),
    ],
)
def test_what_contradicts_itself_is_refused(folder, chips, how, error, said):
    with pytest.raises(error, match=re.escape(said)):
        judged(folder, *chips, **how)


@pytest.mark.parametrize(
    "limit", ["synapse_words_per_core", "neurons_per_core", "in_axons_per_core"]
)
def test_a_chip_of_which_a_limit_is_0_is_refused(folder, limit):
    (folder / "none.toml").write_text(f'base = "loihi"\nname = "none"\n[limits]\n{limit} = 0\n')
    with pytest.raises(ChipError, match=f"limits.{limit}: must be at least 1, but is 0"):
        judged(folder, "none.toml")


def loose_output(path):
    one = np.ones(3)
    nodes = {
        "input": nir.Input({"input": np.array([4])}),
        "w": nir.Linear(np.ones((3, 4))),
        "l": nir.LIF(tau=one * 0.01, r=one, v_leak=0 * one, v_threshold=one),
        "output": nir.Output({"output": np.array([3])}),
        "second": nir.Output({"output": np.array([3])}),
    }
    edges = [("input", "w"), ("w", "l"), ("l", "output")]
    nir.write(path, nir.NIRGraph(nodes, edges, metadata={"dt": 1e-3, "reset": "zero"}))


def test_an_unconnected_output_is_refused(folder):
    loose_output(folder / "loose.nir")
    with pytest.raises(NirError, match="nothing leads to the Output 'second'"):
        judged(folder, "loihi", network="loose.nir")


def test_a_population_without_neurons_is_refused(folder):
    write_chain(folder / "none.nir", 4, 0, 3)
    with pytest.raises((NirError, NetworkError), match=r"no numbers|no neurons|must hold"):
        judged(folder, "loihi", network="none.nir")


def test_data_that_do_not_suit_are_refused(folder):
    np.savez(folder / "wide.npz", x=np.ones((2, 5, 7)))
    with pytest.raises(DataError, match="takes 300"):
        judged(folder, "loihi", data=folder / "wide.npz")
    with pytest.raises(FileNotFoundError, match="no such file"):
        judged(folder, "loihi", data=folder / "none.npz")
    with h5py.File(folder / "other.h5", "w") as file:
        file["y"] = np.zeros(3)
    with pytest.raises(DataError, match="no array 'x'"):
        judged(folder, "loihi", data=folder / "other.h5")


# What is counted


def test_counts_are_those_of_the_mapper(folder):
    found = judged(folder, "loihi")["chips"][0]
    network = import_nir(folder / "short.nir")
    chip = load_chip("loihi")
    cores, problems = partition(Outline.before_rounding(network, chip, direct=frozenset()), chip)
    assert problems == ()
    assert found["cores"] == len(cores) == found["resources"]["cores"]["used"]
    sizes = [sum(part.neurons.size for part in core) for core in cores]
    neurons = found["resources"]["neurons_per_core"]
    assert (neurons["total"], neurons["fullest"]) == (sum(sizes), max(sizes))
    assert neurons["percent"] == pytest.approx(100 * max(sizes) / 1024)


def test_large_matrices_are_not_read(folder):
    """A chain of full matrices is counted from its shapes, whatever its size."""
    subject = read_subject(folder / "chain.nir", CONVENTIONS)
    assert subject.counted == "shapes"
    assert "exact here" in subject.note


def test_zeros_of_a_convolution_are_counted_where_it_is_small(folder):
    kernel = np.zeros((4, 2, 3, 3), np.float32)
    kernel[:, 0, 1, 1] = 1  # one tap of 18
    kernel[0, 0, 0, 0] = 1e-9  # which no chip of 8 bits can tell from 0
    one = np.ones((4, 6, 6))
    nodes = {
        "input": nir.Input({"input": np.array([2, 6, 6])}),
        "c": nir.Conv2d((6, 6), kernel, 1, 1, 1, 1, np.zeros(4, np.float32)),
        "l": nir.LIF(tau=one * 0.01, r=one, v_leak=0 * one, v_threshold=one),
        "output": nir.Output({"output": np.array([4, 6, 6])}),
    }
    edges = [("input", "c"), ("c", "l"), ("l", "output")]
    nir.write(
        folder / "conv.nir", nir.NIRGraph(nodes, edges, metadata={"dt": 1e-3, "reset": "zero"})
    )
    told = judged(folder, "loihi", network="conv.nir")
    assert told["counted"] == "weights"
    assert told["chips"][0]["layers"][0]["synapses"] == 4 * 36


def test_a_pinned_core_that_holds_too_much_is_found(folder):
    told = judged(folder, "loihi", pins=["l0=7", "l1=8-12"])["chips"][0]
    (broken,) = (v for v in told["violations"] if v["limit"] == "synapse_words_per_core")
    words = 300 * int(list_words(400, 8, load_chip("loihi")))
    assert (broken["where"], broken["need"], broken["have"]) == ("core 7", words, 16384)
    assert any(fix["kind"] == "unpin" for fix in told["fixes"])


def test_dead_cores_are_not_there(folder):
    chip = write_chip(folder / "row.toml", width=40)
    whole = judged(folder, "row.toml")["chips"][0]
    n = whole["cores"]
    assert whole["fits"]
    assert judged(folder, chip.name, without=[f"cores {n}-39"])["fits"]
    less = judged(folder, chip.name, without=[f"cores {n - 1}-39"])["chips"][0]
    assert not less["fits"]
    assert [(v["limit"], v["need"], v["have"]) for v in less["violations"]] == [("cores", n, n - 1)]


def test_a_fix_of_the_command_is_one_of_the_mapper(folder):
    told = judged(folder, "small.toml")["chips"][0]
    (fix,) = (f for f in told["fixes"] if f["kind"] == "narrow" and len(f["apply"]["widths"]) > 1)
    network, chip = import_nir(folder / "short.nir"), load_chip(folder / "small.toml")
    outline = Outline.before_rounding(network, chip, direct=frozenset())
    cores, problems = partition(narrowed(outline, fix["apply"]["widths"]), chip)
    assert problems == ()
    assert len(cores) == fix["cores"]
    wider = {name: n + 4 for name, n in fix["apply"]["widths"].items()}
    assert partition(narrowed(outline, wider), chip)[1] != ()


# Rates, traffic, time and energy


def test_rates_of_samples_give_traffic_time_and_energy(folder):
    write_network(folder / "net.nir", weight=np.full((2, 3), 8.0), names=("a", "b"))
    np.savez(folder / "data.npz", x=np.ones((4, 20, 3), int))
    told = judged(folder, "loihi", network="net.nir", data=folder / "data.npz")
    # Every input spikes at every tick and drives the first neurons far over their thresholds.
    assert told["encoding"] == "spikes"
    # A spike of weight 8 is 0.8 of a threshold after 1 ms of 10: b fires at every second tick.
    assert told["rates"] == {"a": 1.0, "b": 0.5, "input": 1.0}
    found = told["chips"][0]["traffic"]
    assert found["spikes"] == 3
    assert found["from_outside"] == 3
    assert (found["packets"], found["local"], found["hops"]) == (0, 2, 0)
    assert found["synaptic_events"] == 3 * 2 + 2 * 2  # zeros of full matrices are stored
    assert found["estimated"] is True
    assert found["tick_s"] > 0
    assert found["energy_j"] > 0
    assert judged(folder, "loihi", network="net.nir")["chips"][0]["traffic"] is None


@pytest.mark.slow_uncompiled
def test_an_estimate_from_a_trace_is_near_the_run(small):
    done = spikefab("run", "net.nir", "--data", "data.npz", "-o", "out", cwd=small)
    assert done.returncode == 0, done.stderr
    numbers = json.loads((small / "out" / "summary.json").read_text())
    found = answer(
        small / "net.nir", ["loihi"], conventions=CONVENTIONS, data=small / "out" / "trace.h5"
    )
    expected = found.verdicts[0].expected
    ticks = numbers["ticks_per_sample"]
    assert expected.tick_s * ticks == pytest.approx(numbers["latency_s_per_sample"], rel=0.05)
    assert expected.energy_j * ticks == pytest.approx(numbers["energy_j_per_sample"], rel=0.05)
    assert expected.synaptic_events * ticks == pytest.approx(numbers["synaptic_events"] / 4)


def test_a_trace_of_another_network_is_refused(folder, small):
    done = spikefab("run", "net.nir", "--data", "data.npz", "-o", "out", cwd=small)
    assert done.returncode == 0, done.stderr
    with pytest.raises(BadInputError, match="it is of another network"):
        judged(folder, "loihi", data=small / "out" / "trace.h5")


# What chips hold


def test_the_most_dense_synapses_of_a_core_really_fit():
    """So many of 8 bits fit in lists of one length, and no length fits more (slow count)."""
    chip = load_chip("loihi")
    found = holding(chip)
    best = 0
    for n in range(1, 1025):
        blocks = [64] * (n // 64) + ([n % 64] if n % 64 else [])
        words = sum(-(-(m * 8 + 10) // 64) for m in blocks)
        best = max(best, n * min(16384 // words, 4096))
    assert found.dense_synapses == best


def test_every_built_in_chip_says_what_it_holds():
    for name in builtin_chips():
        chip = load_chip(name)
        found = holding(chip)
        assert found.cores == chip.n_cores
        assert found.neurons > 0
        assert found.total_bits is None or found.total_bits > 0
