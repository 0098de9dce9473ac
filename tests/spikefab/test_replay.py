"""Recorded runs made again from the trace alone, whole and in part."""

import json
import shutil

import h5py
import numpy as np
import pytest
from command_line import spikefab
from replays import TICKS, deployed, recorded

from spikefab.replay.part import replay_part
from spikefab.replay.recording import Recording, Window, window_of
from spikefab.replay.whole import replay_float, replay_whole
from spikefab.run import run_network
from spikefab.telling import BadInputError
from traces.errors import TraceFormatError
from traces.trace import Trace

pytestmark = pytest.mark.plain_python
N_TICKS = TICKS + 3
STOCHASTIC = {
    "numbers__decay_bits": 6, "arithmetic__current_decay": "stochastic",
    "arithmetic__membrane_decay": "stochastic",
}  # fmt: skip


def whole(path, **how):
    with Trace.open(path) as trace:
        return replay_whole(Recording(trace), window_of(trace, **how))


@pytest.mark.parametrize(
    ("how", "run"),
    [
        ({}, {}), ({"direct": True}, {}), ({}, {"fabric": "queued"}),
        ({"chip": "generic", **STOCHASTIC}, {"seed": 7}), ({}, {"threads": 1}),
    ],
    ids=["spikes", "direct", "queued", "stochastic", "one thread"],
)  # fmt: skip
def test_a_run_is_made_again_bit_for_bit(tmp_path, how, run):
    recorded(tmp_path / "run", run=run, **how)
    found = whole(tmp_path / "run/trace.h5")
    assert found.identical
    assert not found.not_compared
    with Trace.open(tmp_path / "run/trace.h5") as trace:
        spikes = sum(trace.n_spikes(p.name) for p in trace.populations)
        assert found.compared["spikes"] == spikes > 50
        assert found.compared["ticks"] == trace.samples * trace.ticks
        assert found.compared["totals by core"] == sum(
            values.size for values in trace.core_counters().values()
        )
        counters = trace.tick_counters()
        assert found.compared["counters of ticks"] == len(counters) * trace.whole_ticks
        with Trace.open(tmp_path / "run/float.h5") as in_float:
            assert replay_float(in_float).identical
        recording = Recording(trace)
        for name in ("one", "two", "three"):
            assert replay_part(recording, populations=[name]).identical
        for core in recording.program.core:
            part = replay_part(recording, cores=[int(core)])
            assert part.identical
            assert part.compared["spikes"] > 0


def test_some_samples_are_those_of_the_whole_run(tmp_path):
    """Stochastic rounding is drawn by the sample's own number."""
    recorded(tmp_path / "run", chip="generic", **STOCHASTIC)
    for samples in ("2:4", "3", ":1"):
        found = whole(tmp_path / "run/trace.h5", samples=samples)
        assert found.identical, samples
    found = whole(tmp_path / "run/trace.h5", ticks="30:60")
    assert found.identical
    assert found.compared["ticks"] == 30
    with Trace.open(tmp_path / "run/trace.h5") as trace:
        recording = Recording(trace)
        assert replay_part(recording, populations=["two"], window=Window(50, 70)).identical


SPIKES = "spikes/two"


def changed(file, what):
    if what == "moved":
        file[f"{SPIKES}/node_ids"][5] = (file[f"{SPIKES}/node_ids"][5] + 1) % 6
    elif what == "lost":
        for name in ("timestamps", "node_ids"):
            file[f"{SPIKES}/{name}"].resize(file[f"{SPIKES}/{name}"].shape[0] - 1, axis=0)
    elif what == "counter":
        file["counters/tick/spikes"][17] += 1
    elif what == "total":
        file["counters/core/hops_ew"][0] += 1
    elif what == "input":
        file["stimulus/spikes/input/payload"][0] += 5


@pytest.mark.parametrize("what", ["moved", "lost", "counter", "total", "input"])
def test_what_was_changed_in_the_file_is_the_first_difference(tmp_path, what):
    recorded(tmp_path / "run")
    path = tmp_path / "run/trace.h5"
    with h5py.File(path, "a") as file:
        before = {name: file[f"{SPIKES}/{name}"][()] for name in ("timestamps", "node_ids")}
        changed(file, what)
        after = file[f"{SPIKES}/node_ids"][()]
    found = whole(path)
    assert not found.identical
    first = found.first
    if what == "moved":
        tick = int(before["timestamps"][5])
        neurons = sorted([int(before["node_ids"][5]), int(after[5])])
        assert (first.tick, first.population) == (tick, "two")
        assert first.neuron in neurons
    if what == "lost":
        assert first.tick == before["timestamps"][-1]
        assert first.neuron == before["node_ids"][-1]
        assert (first.variable, first.recorded, first.replayed) == ("spike", 0, 1)
        assert first.core is not None
    if what == "counter":
        assert (first.tick, first.variable) == (17, "spikes")
        assert first.recorded == first.replayed + 1
    if what == "total":
        assert (first.tick, first.variable) == (None, "totals by core: hops_ew")
    if what == "input":
        assert first.tick is not None
    with Trace.open(path) as trace:
        alone = replay_part(Recording(trace), populations=["two"])
        assert alone.identical == (what in ("counter", "total", "input"))


def test_the_first_difference_of_several_is_that_of_the_earliest_tick(tmp_path):
    recorded(tmp_path / "run")
    path = tmp_path / "run/trace.h5"
    with h5py.File(path, "a") as file:
        file["counters/tick/active"][2] += 1
        file["spikes/three/node_ids"][-1] = (file["spikes/three/node_ids"][-1] + 1) % 6
    assert whole(path).first.tick == 2
    assert whole(path, ticks="3:").first.population == "three"


class StopError(Exception):
    pass


@pytest.fixture
def broken(tmp_path):
    """A run that broke off after two and a bit samples."""

    def progress(stage, done, total):
        if stage == "chip" and done == 3:
            raise StopError

    deployment, samples = deployed(tmp_path)
    with pytest.raises(StopError):
        run_network(deployment, samples, folder=tmp_path, threads=1, progress=progress)
    return tmp_path


def test_a_run_that_broke_off_is_made_again_as_far_as_it_came(broken):
    with Trace.open(broken / "trace.h5") as trace:
        n = trace.whole_ticks
        assert not trace.complete
        assert 0 < n < 4 * N_TICKS
        assert replay_part(Recording(trace), populations=["two"]).identical
    found = whole(broken / "trace.h5")
    assert found.identical
    assert found.compared["ticks"] == n
    assert "broke off" in found.notes[0]
    with pytest.raises(BadInputError, match=r"not one of the ticks 91:92 is there"):
        whole(broken / "trace.h5", ticks="91")


def test_a_part_of_the_last_tick_of_a_broken_run_is_no_difference(broken):
    with h5py.File(broken / "trace.h5", "a") as file:
        file.attrs["whole_ticks"] = 30
        del file.attrs["header_sha256"]
    found = whole(broken / "trace.h5")
    assert found.identical
    assert found.compared["ticks"] == 30


def test_a_replay_is_recorded_with_the_same_content(tmp_path):
    recorded(tmp_path / "run")
    done = spikefab("replay", "run/trace.h5", "-o", "again", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "identical: the chip run, ticks 0:92" in done.stdout
    with (
        Trace.open(tmp_path / "run/trace.h5") as one,
        Trace.open(tmp_path / "again/trace.h5") as two,
    ):
        assert one.content_sha256 == two.content_sha256 == two.content_hash()


def test_a_trace_that_lacks_what_it_was_made_from_says_so(tmp_path):
    recorded(tmp_path / "run")
    with h5py.File(tmp_path / "run/trace.h5", "a") as file:
        del file["attached/program"]
    with pytest.raises(TraceFormatError, match="holds no program, so its run cannot be made again"):
        whole(tmp_path / "run/trace.h5")


def test_a_program_of_another_hash_is_refused(tmp_path):
    recorded(tmp_path / "run")
    with h5py.File(tmp_path / "run/trace.h5", "a") as file:
        file["provenance"].attrs["program_sha256"] = "0" * 64
    with pytest.raises(TraceFormatError, match="recorded from the program 000000000000, but it"):
        whole(tmp_path / "run/trace.h5")


def test_a_float_trace_needs_its_partner(tmp_path):
    recorded(tmp_path / "run")
    (tmp_path / "alone").mkdir()
    shutil.copy(tmp_path / "run/float.h5", tmp_path / "alone/float.h5")
    with (
        Trace.open(tmp_path / "alone/float.h5") as trace,
        pytest.raises(BadInputError, match=r"its partner trace\.h5, which must lie beside it"),
    ):
        replay_float(trace)
    recorded(tmp_path / "other", direct=True)
    shutil.copy(tmp_path / "other/trace.h5", tmp_path / "alone/trace.h5")
    with (
        Trace.open(tmp_path / "alone/float.h5") as trace,
        pytest.raises(BadInputError, match="is not the partner of"),
    ):
        replay_float(trace)


def test_a_spike_of_the_float_trace_that_differs_is_found(tmp_path):
    recorded(tmp_path / "run")
    with h5py.File(tmp_path / "run/float.h5", "a") as file:
        file["spikes/one/node_ids"][0] = (file["spikes/one/node_ids"][0] + 1) % 6
        tick = file["spikes/one/timestamps"][0]
    with Trace.open(tmp_path / "run/float.h5") as trace:
        found = replay_float(trace)
    assert (found.first.tick, found.first.population) == (tick, "one")


REFUSED = [
    (("--core", "99"), "--core 99: holds no neurons in this run; used are"),
    (("--population", "four"), "there is no such population; there are one, "),
    (
        ("--core", "0", "--chip", "loihi"),
        "--chip does not go with --core; what does: --core, --popul",
    ),
    (("--core", "0", "-o", "new"), "-o does not go with --core"),
    (("--samples", "3:2"), "--samples 3:2: must lie within 0:4"),
    (("--ticks", "x"), "--ticks x: must be FIRST:LAST in whole numbers"),
    (("--samples", "0:1", "-o", "new"), "-o saves whole runs"),
    (("--fabric", "magic"), "--fabric magic: is none of simple, ideal"),
    (("--fabric", "simpy"), "queued takes the same picoseconds"),
    (("--timing", "generic"), "names no times"),
    (("-o", "run"), "is read by this run"),
]


@pytest.mark.compiled
def test_what_cannot_be_replayed_is_refused(tmp_path):
    recorded(tmp_path / "run")
    before = (tmp_path / "run/trace.h5").read_bytes()
    for options, message in REFUSED:
        done = spikefab("replay", "run/trace.h5", *options, cwd=tmp_path)
        assert done.returncode == 2, (options, done.stderr)
        assert message in done.stderr, options
        assert "Traceback" not in done.stderr
    assert (tmp_path / "run/trace.h5").read_bytes() == before
    assert not (tmp_path / "new").exists()


def test_differences_end_with_exit_code_4(tmp_path):
    recorded(tmp_path / "run")
    with h5py.File(tmp_path / "run/trace.h5", "a") as file:
        file["counters/tick/active"][2] += 1
    done = spikefab("replay", "run/trace.h5", cwd=tmp_path)
    assert done.returncode == 4, done.stderr
    assert "first difference: tick 2 (sample 0, tick 2): active was" in done.stdout
    done = spikefab("replay", "run/trace.h5", "--json", cwd=tmp_path)
    found = json.loads(done.stdout)
    assert (found["identical"], found["first"]["tick"], found["first"]["variable"]) == (
        False, 2, "active",
    )  # fmt: skip
    assert np.isfinite(found["first"]["recorded"])
