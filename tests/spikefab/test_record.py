"""What a run leaves in its traces, and what it says about them."""

import fcntl
import warnings
from contextlib import ExitStack
from dataclasses import replace
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
from command_line import write_network

from emulator.chip_file import load_chip
from emulator.engine import Block
from mapping.nir_import import import_nir
from spikefab.data import Samples
from spikefab.deployment import deploy
from spikefab.record import Recorder
from spikefab.run import run_network
from spikefab.summary import summary
from spikefab.tables import comparison_json, print_comparison, print_run
from spikefab.wished import Wished
from spikefab.wishes import Wishes
from traces.compare import compare
from traces.layout import RecordedPopulation
from traces.trace import Trace
from traces.writer import TraceWriter

pytestmark = pytest.mark.slow_uncompiled

LAYERS = ("z_first", "m_second", "a_third")


@pytest.fixture
def deployed(tmp_path):
    write_network(tmp_path / "net.nir", weight=np.full((2, 3), 8.0), names=LAYERS)
    return deploy(import_nir(tmp_path / "net.nir"), load_chip("loihi"), direct=False)


SAMPLES = Samples(x=np.ones((2, 20, 3), int), y=None, n_ticks=20, spiking=True)


def test_layers_are_listed_as_the_signal_goes(deployed, tmp_path):
    result = run_network(deployed, SAMPLES, folder=tmp_path)
    for name in ("float.h5", "trace.h5"):
        with Trace.open(tmp_path / name) as trace:
            assert tuple(p.name for p in trace.populations) == LAYERS
    numbers = summary(result, network="net", wall_s=0.0)
    assert tuple(numbers["rates"]) == LAYERS


def test_a_partner_that_cannot_be_noted_is_a_warning(deployed, tmp_path, monkeypatch):
    def refuse(path, **_):
        raise OSError("cannot be written on")

    monkeypatch.setattr(TraceWriter, "add_notes", refuse)
    with pytest.warns(UserWarning, match="do not name each other as partners"):
        run_network(deployed, SAMPLES, folder=tmp_path)


def test_a_reader_meanwhile_is_no_trouble(deployed, tmp_path):
    with ExitStack() as held, warnings.catch_warnings():

        def reading(stage, done, total):
            if (stage, done) == ("chip", 1):
                file = held.enter_context(open(tmp_path / "float.h5", "rb"))
                fcntl.flock(file, fcntl.LOCK_SH)  # as HDF5 does for a reader in another process

        warnings.simplefilter("error")
        run_network(deployed, SAMPLES, folder=tmp_path, progress=reading)
    with Trace.open(tmp_path / "float.h5") as trace:
        assert trace.provenance["partner"] == "trace.h5"


def block(neurons, payloads):
    at = np.array(neurons)
    return Block(
        sample=0, first_tick=0, tick_ps=np.ones(20, np.int64), spike_tick=5 + np.arange(at.size),
        spike_neuron=at, spike_payload=np.array(payloads), frames=np.zeros((20, 0)),
        currents=np.empty((20, 1, 0)), spilled=np.empty((20, 0), np.uint8),
        slowest_core=np.zeros(20, np.int64), busiest_link=np.full(20, -1),
        counted=SimpleNamespace(by_tick=dict),
    )  # fmt: skip


def test_payloads_are_recorded_where_a_population_has_any(deployed, tmp_path):
    program = deployed.program
    several = program.reset.copy()
    of_second = program.neurons_of("m_second")
    several[of_second] = 4  # subtract-repeat
    repeating = replace(deployed, program=replace(program, reset=several))
    program = repeating.program
    wished = Wished(
        Wishes(), program, 20, np.empty(0, np.int64), [p.name for p in program.populations]
    )
    record = Recorder(tmp_path, repeating, SAMPLES, 20, {}, wished)
    with record.chip_trace(dict) as writer:
        one = int(program.neurons_of("z_first")[0])
        record.block(writer, block([one, int(of_second[1])], [1, 5]), [])
    with Trace.open(tmp_path / "trace.h5") as trace:
        assert [p.payload for p in trace.populations] == [False, True, False]
        assert [c.tolist() for c in trace.spikes("m_second")] == [[6], [1], [5]]
        assert trace.counts("m_second").tolist() == [[0, 5], [0, 0]]
    with record.float_trace() as writer:
        writer.spikes("m_second", np.array([6]), np.array([1]))
    with Trace.open(tmp_path / "float.h5") as a, Trace.open(tmp_path / "trace.h5") as b:
        found = compare(a, b)
    assert found.populations[1].n_payload_differs == 1


def numbers_of(deployed, samples=SAMPLES, **changes):
    result = run_network(deployed, samples)
    return summary(replace(result, **changes), network="net", wall_s=0.0)


def test_a_run_is_warned_about_where_it_means_little(deployed, capsys):
    result = run_network(deployed, SAMPLES)
    counters = dict(result.counters)
    counters["membrane_overflows"] = np.array([10_000])
    silent = result.counts_chip | {"a_third": np.zeros((2, 2), np.int64)}
    numbers = summary(
        replace(result, counters=counters, counts_chip=silent), network="net", wall_s=0.0
    )
    first, second = numbers["warnings"]
    assert first.startswith("a_third never spikes on the chip, but ")
    assert second.startswith("membrane left its register 10,000 times, ")
    core = str(deployed.program.core[0])
    assert numbers["out_of_range"]["membrane"] == 10_000
    assert numbers["out_of_range_by_core"] == {
        "input": {}, "current": {}, "drive": {}, "membrane": {core: 10_000},
    }  # fmt: skip
    print_run(numbers, "loihi")
    assert capsys.readouterr().err.count("spikefab: warning: ") == 2
    assert numbers_of(deployed)["warnings"] == []


def test_what_the_host_did_is_said(tmp_path):
    write_network(tmp_path / "net.nir", weight=np.full((2, 3), 8.0), names=LAYERS)
    held = Samples(x=np.ones((2, 3)), y=None, n_ticks=20, spiking=False)
    network = import_nir(tmp_path / "net.nir")
    deployed = deploy(network, load_chip("loihi"), direct=True)
    notes = " ".join(numbers_of(deployed, held)["notes"])
    assert "the weights into z_first run in float on the host" in notes


def test_the_table_names_the_chip_as_the_user_did(deployed, capsys):
    print_run(numbers_of(deployed), "my chips/[b].toml")
    shown = capsys.readouterr().out
    assert "1 of 15 constants assumed, see: spikefab chips 'my chips/[b].toml'" in shown
    assert "of it static power" in shown
    assert "spikes per neuron and tick" in shown


def test_a_comparison_fits_80_columns(recording_pair, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    a, b = recording_pair
    found = compare(a, b)
    print_comparison(found)
    lines = capsys.readouterr().out.splitlines()
    assert max(len(line) for line in lines if "│" in line) <= 80
    assert any("1,000" in line and "la[r][b]" in line for line in lines)
    assert "first difference: sample 0" in "\n".join(lines)
    assert "b broke off after tick 49; compared up to there" in lines
    told = comparison_json(found)
    assert (told["complete_a"], told["complete_b"], told["n_ticks"]) == (True, False, 50)


def test_differing_membranes_are_no_full_agreement(recording_pair, capsys):
    a, b = recording_pair
    found = compare(a, b)
    print_comparison(
        replace(found, populations=tuple(p for p in found.populations if p.name == "out"))
    )
    shown = capsys.readouterr().out
    assert "100" not in shown
    assert "out: membranes differ by up to 0.5 (0.5 rms), correlation 1.00000" in shown


def test_equal_up_to_where_one_broke_off_is_not_equal(recording_pair, capsys):
    _, b = recording_pair
    print_comparison(compare(b, b))
    shown = capsys.readouterr().out
    assert "a broke off after tick 49; compared up to there" in shown
    assert "equal in the 50 ticks that both have: every spike" in shown


@pytest.fixture
def recording_pair(tmp_path):
    """Two traces of a population of odd name and of a silent one; the second broke off."""
    parts = [
        RecordedPopulation(
            name=f"la[r][b]{'x' * 30}", shape=(20,), lag=0, output=False, spiking=True
        ),
        RecordedPopulation(name="out", shape=(4,), lag=0, output=True, spiking=False),
    ]
    for name, shift in (("a.h5", 0), ("b.h5", 1)):
        with TraceWriter(
            tmp_path / name, kind="chip", populations=parts, samples=2, ticks=50, input_ticks=50,
            dt_s=1e-3, provenance={},
        ) as writer:  # fmt: skip
            ticks = np.repeat(np.arange(100), 20)
            neurons = np.tile(np.arange(20), 100)
            mine = neurons >= shift
            writer.spikes(parts[0].name, ticks[mine], neurons[mine])
            frames = np.arange(400.0).reshape(100, 4)
            writer.state("out", "v", frames, scale=1.0, offset=0.5 * shift)
    with h5py.File(tmp_path / "b.h5", "r+") as file:
        file.attrs["complete"] = False
        file.attrs["whole_ticks"] = 50
    with Trace.open(tmp_path / "a.h5") as a, Trace.open(tmp_path / "b.h5") as b:
        yield a, b
