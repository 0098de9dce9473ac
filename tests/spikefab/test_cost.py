"""A recorded run costed again: energy to the last event, time as far as it can be told."""

import json
import re

import h5py
import numpy as np
import pytest
import typer
from command_line import spikefab, write_network

from emulator.chip import Chip
from emulator.chip_bounds import at_bound
from emulator.chip_file import load_chip
from emulator.energy import COUNTED, energy_j
from emulator.engine import Engine
from mapping.nir_import import import_nir
from spikefab import cli
from spikefab.cost import cost_trace
from spikefab.cost_tables import cost_json
from spikefab.data import Samples
from spikefab.deployment import deploy
from spikefab.host import Host
from spikefab.run import run_network
from spikefab.telling import BadInputError
from traces.trace import Trace

pytestmark = pytest.mark.slow_uncompiled

SAMPLES = Samples(
    x=np.random.default_rng(4).integers(0, 2, (3, 20, 3)), y=None, n_ticks=20, spiking=True
)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run on loihi, its trace, and its deployment."""
    folder = tmp_path_factory.mktemp("run")
    write_network(folder / "net.nir", weight=np.full((2, 3), 8.0), names=("a", "b"))
    deployed = deploy(import_nir(folder / "net.nir"), load_chip("loihi"), direct=False)
    return run_network(deployed, SAMPLES, folder=folder)


@pytest.fixture
def trace(run, tmp_path):
    """A copy of the trace that a test may change."""
    path = tmp_path / "trace.h5"
    path.write_bytes((run.folder / "trace.h5").read_bytes())
    return path


def costed(path, chip="loihi"):
    with Trace.open(path) as opened:
        return cost_trace(opened, load_chip(chip) if isinstance(chip, str) else chip)


def banded(base="loihi", **bands):
    """A chip with bands; keys as table__name."""
    plain = load_chip(base).model_dump()
    for key, (low, high) in bands.items():
        table, name = key.split("__")
        plain[table][name] |= {"low": low, "high": high}
    return Chip.model_validate(plain)


def test_the_counters_of_ticks_and_of_cores_add_up_to_the_same(trace):
    with Trace.open(trace) as opened:
        ticks, cores = opened.tick_counters(), opened.core_counters()
        assert opened.cores()["neurons"].sum() == 4
        assert opened.cores()["place"].size == cores["active"].size
    assert cores["spikes"].sum() > 50
    for name in COUNTED:
        assert ticks[name].sum() == cores[name].sum(), name
    kinds = sum(cores[f"{kind}_events"].sum() for kind in ("dense", "sparse", "convolution"))
    assert kinds == cores["synaptic_events"].sum() > 0
    sent = cores["packets"] + cores["local_packets"] + cores["input_packets"]
    assert cores["received"].sum() == sent.sum()


def test_costed_on_its_own_chip_it_is_what_the_run_said(run, trace):
    found = costed(trace)
    assert found.energy.nominal == run.energy
    assert found.by_tick.sum(axis=0) == pytest.approx(list(run.energy))
    assert found.recorded.duration_ps == run.duration_ps
    assert found.recorded.neurons == 4


@pytest.mark.parametrize("name", ["loihi-sanafe", "truenorth"])
def test_on_another_chip_every_event_has_its_price_there(run, trace, name):
    chip, count = load_chip(name), {k: int(v.sum()) for k, v in run.counters.items()}
    found = costed(trace, name)
    energies = {row.key.removeprefix("energy."): row.value for row in chip.rows()}
    event = energies.get("synaptic_event_pj", energies.get("synaptic_event_pj.dense"))
    sent = count["packets"] + count["local_packets"]
    expected = {
        "neurons": count["active"] * energies["neuron_active_pj"]
        + count["inactive"] * energies["neuron_inactive_pj"]
        + count["spikes"] * energies.get("spike_pj", 0),
        "synapses": count["synaptic_events"] * event,
        "network": sent * energies.get("axon_out_pj", 0)
        + (sent + count["input_packets"]) * energies["local_spike_pj"]
        + count["hops_ew"] * energies["hop_ew_pj"]
        + count["hops_ns"] * energies["hop_ns_pj"],
    }
    for part, picojoules in expected.items():
        assert getattr(found.energy.nominal, part) == pytest.approx(1e-12 * picojoules)
    np.testing.assert_allclose(found.by_tick.sum(axis=0), found.energy.nominal, rtol=1e-12)
    assert "recorded on loihi; updates" in found.notes[0]


def test_bands_have_every_cost_at_its_end(run, trace):
    chip = banded(
        energy__neuron_active_pj=(70.0, 100.0), energy__synaptic_event_pj=(20.0, 40.0),
        energy__static_power_w=(0.1, 0.2),
    )  # fmt: skip
    found = costed(trace, chip)
    for side in ("low", "nominal", "high"):
        expected = energy_j(run.counters, found.recorded.duration_ps, at_bound(chip, side))
        assert getattr(found.energy, side) == expected
    assert found.energy.low.total < found.energy.nominal.total < found.energy.high.total
    active = run.counters["active"].sum() * 1e-12
    assert found.energy.high.neurons - found.energy.low.neurons == pytest.approx(30 * active)
    assert found.energy.low.network == found.energy.high.network


def test_no_run_is_faster_than_the_least_time(run):
    events = [
        Host(run.deployment).stimulus(SAMPLES.drive(k, run.deployment.network), 22)
        for k in range(3)
    ]
    for chip in (run.deployment.chip, banded(timing__axon_in_ps=(0, 16000))):
        for side, at in zip(("low", "nominal", "high"), range(3), strict=True):
            engine = Engine(run.deployment.program, at_bound(chip, side))
            engine.run(events, 22, lambda block: None)
            with Trace.open(run.folder / "trace.h5") as opened:
                least = cost_trace(opened, chip).at_least_s
            assert 0 < least[at] <= engine.env.now * 1e-12 * (1 + 1e-12)
    assert least[0] == least[1] < least[2]


def test_static_power_flows_no_shorter_than_the_chip_needs(run, trace):
    slow = banded(energy__static_power_w=(0.1, 0.2))
    slow = slow.model_copy(
        update={"timing": slow.timing.model_copy(update={"barrier": ((1, 10**9),)})}
    )
    found = costed(trace, slow)
    assert found.static_s == found.at_least_s[1] > 0.06
    assert found.energy.nominal.static == pytest.approx(0.104 * found.static_s)
    assert found.by_tick[:, 3].sum() == pytest.approx(found.energy.nominal.static)
    assert "it ran faster than this chip can" in " ".join(found.notes)


def broken_off(path, n_ticks):
    """Make of a trace what a run leaves that is killed after so many ticks."""
    with h5py.File(path, "r+") as file:
        file.attrs["complete"] = False
        file.attrs["whole_ticks"] = n_ticks
        del file["counters/core"]
        for data in file["counters/tick"].values():
            data.resize(n_ticks, axis=0)


def test_of_a_run_that_broke_off_is_costed_what_is_there(trace):
    whole = costed(trace)
    broken_off(trace, 30)
    found = costed(trace)
    np.testing.assert_allclose(found.by_tick, whole.by_tick[:30])
    np.testing.assert_allclose(whole.by_tick[:30].sum(axis=0), found.energy.nominal)
    assert found.recorded.n_samples == 30 / 22
    assert found.notes[0] == "the run broke off: costed are its first 30 of 66 ticks"
    assert found.at_least_s[0] <= found.recorded.duration_ps * 1e-12
    assert len(cost_json(found, by_tick=True)["energy_j_by_sample"]) == 2


def test_a_run_that_is_interrupted_can_be_costed(run, tmp_path):
    def interrupt(stage, done, total):
        if (stage, done) == ("chip", 2):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_network(run.deployment, SAMPLES, folder=tmp_path, progress=interrupt)
    found, whole = costed(tmp_path / "trace.h5"), costed(run.folder / "trace.h5")
    n = found.recorded.n_ticks
    assert 22 <= n <= 44
    np.testing.assert_array_equal(found.by_tick, whole.by_tick[:n])


def test_ticks_that_may_be_there_in_part_are_left_out(trace):
    broken_off(trace, 30)
    with h5py.File(trace, "r+") as file:
        file.attrs["whole_ticks"] = 25
        file["counters/tick/active"][25:] = 0
    found = costed(trace)
    assert found.recorded.n_ticks == len(found.by_tick) == 25
    assert found.recorded.neurons == 4


def earlier(path):
    """Make of a trace what versions wrote that counted less."""
    with h5py.File(path, "r+") as file:
        del file["cores"]
        for name in COUNTED:
            if name != "spikes":
                del file[f"counters/tick/{name}"]
        for name in ("dense_events", "sparse_events", "convolution_events", "received"):
            del file[f"counters/core/{name}"]


def test_earlier_traces_are_costed_and_say_what_they_lack(trace):
    whole = costed(trace)
    earlier(trace)
    found = costed(trace)
    assert found.energy == whole.energy
    assert found.by_tick is None
    assert found.at_least_s[0] <= whole.at_least_s[0]
    assert (
        "the trace counts no events of single ticks, so there is no energy of each" in found.notes
    )
    assert "the trace does not say where its cores lie, so the shortest" in " ".join(found.notes)
    with pytest.raises(BadInputError, match=r"do not tell dense, sparse and convolution .* apart"):
        costed(trace, "loihi-sanafe")
    broken_off(trace, 30)
    with pytest.raises(BadInputError, match="it broke off before they were written"):
        costed(trace)


def said(capsys, *, code=0, **arguments):
    """Call the command in this process; what it printed."""
    given = {"chip": None, "json": False, "by_tick": False, "debug": False} | arguments
    if code:
        with pytest.raises(typer.Exit) as leaving:
            cli.cost_trace(**given)
        assert leaving.value.exit_code == code
        return capsys.readouterr().err
    cli.cost_trace(**given)
    return capsys.readouterr().out


def test_json_is_one_object_with_bands_and_marks(trace, run, capsys):
    told = json.loads(said(capsys, trace=trace, chip="truenorth", json=True, by_tick=True))
    assert set(told["energy_j"]) == {"low", "nominal", "high"}
    for joules in told["energy_j"].values():
        parts = sum(joules[part] for part in ("neurons", "synapses", "network", "static"))
        assert joules["total"] == pytest.approx(parts)
    total = told["energy_j"]["nominal"]["total"]
    assert told["energy_j_per_sample"]["nominal"] == pytest.approx(total / 3)
    assert told["energy_j_per_tick"]["nominal"] == pytest.approx(total / 66)
    assert sum(told["energy_j_by_sample"]) == pytest.approx(total)
    assert len(told["energy_j_by_sample"]) == 3
    assert sum(told["energy_j_by_tick"]) == pytest.approx(total)
    assert told["marks"]["synapses"] == []
    assert told["marks"]["static"][0] == "energy.static_power_w"
    assert (told["recorded_on"], told["same_chip"], told["neurons"]) == ("loihi", False, 4)
    assert told["time"]["recorded_s"] == pytest.approx(run.duration_ps * 1e-12)
    without = json.loads(said(capsys, trace=trace, json=True))
    assert "energy_j_by_tick" not in without
    assert without["same_chip"] is True


def test_the_table_marks_what_rests_on_assumed_constants(trace, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    shown = said(capsys, trace=trace)
    assert "static*" in shown
    assert "neurons*" not in shown
    assert "* rests on assumed constants: timing.axon_in_ps" in shown
    assert "energy.synaptic_event_pj is given as the least, so that" in shown
    assert max(len(line) for line in shown.splitlines() if "│" in line) <= 80
    fitted = said(capsys, trace=trace, chip="loihi-sanafe")
    assert "*" not in fitted
    assert "as recorded on loihi; on loihi-sanafe no less than" in fitted


@pytest.mark.parametrize(
    ("change", "chip", "message"),
    [
        (lambda path: path.unlink(), None, "trace.h5: there is no such file"),
        (lambda path: path.write_text("text"), None, "trace.h5: no HDF5 file"),
        (None, "generic", "chip 'generic' names no energies; take one with a table"),
        (None, "lohi", "no such chip; .*did you mean 'loihi'"),
        (lambda path: renamed(path, "mine"), None, "recorded on mine, which is not built in; name"),
        (lambda path: attribute(path, kind="float"), None, "a float trace counts no events"),
        (lambda path: drop(path, "counters"), None, "no counters .*: it has none"),
        (lambda path: drop(path, "counters/core/hops_ew"), None, "the counters lack hops_ew"),
        (lambda path: attribute(path, samples=4), None, "damaged, counters of 66 ticks, but .* 88"),
        (lambda path: broken_off(path, 0), None, "not a single tick was counted"),
        (
            lambda path: stored(path, "cores/place", 3),
            None,
            r"/cores/place is int64 \(\), not a list",
        ),
        (
            lambda path: stored(path, "cores/place", [1, 2]),
            None,
            "columns of '/cores' differ in length",
        ),
        (lambda path: stored(path, "counters/core/active", [0.5]), None, "active is float64"),
        (
            lambda path: stored(path, "counters/tick/active", [[1]]),
            None,
            r"active is int64 \(1, 1\)",
        ),
    ],
)
def test_what_cannot_be_costed_is_bad_input(trace, change, chip, message, capsys):
    if change is not None:
        change(trace)
    assert re.search(message, said(capsys, code=2, trace=trace, chip=chip), re.DOTALL)


def attribute(path, **values):
    with h5py.File(path, "r+") as file:
        file.attrs.update(values)


def drop(path, name):
    with h5py.File(path, "r+") as file:
        del file[name]


def stored(path, name, values):
    with h5py.File(path, "r+") as file:
        del file[name]
        file[name] = values


def renamed(path, name):
    with h5py.File(path, "r+") as file:
        file["provenance"].attrs["chip"] = name


def test_the_command_line_costs_and_refuses(trace):
    done = spikefab("cost", trace, "--json", cwd=trace.parent)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["chip"] == "loihi"
    refused = spikefab("cost", "missing.h5", cwd=trace.parent)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr == "spikefab: missing.h5: there is no such file\n"


def test_a_chip_of_the_same_name_and_other_content_is_told(trace):
    other = replace_cost("loihi", "neuron_active_pj", 99.0)
    assert costed(trace, other).notes[0].startswith("recorded on a chip loihi of other content;")


def replace_cost(name, key, value):
    plain = load_chip(name).model_dump()
    plain["energy"][key]["value"] = value
    return Chip.model_validate(plain)
