"""Figures that rest on assumed constants are marked, in every output the same way."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest
from command_line import write_network

from emulator.chip import Chip
from emulator.chip_file import load_chip
from emulator.energy import energy_j
from mapping.nir_import import import_nir
from spikefab.data import Samples
from spikefab.deployment import deploy
from spikefab.figures import floor_plan
from spikefab.marks import footnote, marks_of, one_sided, starred
from spikefab.report import write_report
from spikefab.run import run_network
from spikefab.summary import summary
from spikefab.tables import print_chip, print_run
from spikefab.wording import as_json, si


def test_each_figure_names_the_assumed_constants_behind_it():
    loihi = marks_of(load_chip("loihi"))
    axon = ("timing.axon_in_ps",)
    assert loihi == {
        "neurons": (), "synapses": (), "network": (), "static": axon, "time": axon, "energy": axon,
    }  # fmt: skip
    assert not any(marks_of(load_chip("loihi-sanafe")).values())
    assert not any(marks_of(load_chip("generic")).values())
    truenorth = marks_of(load_chip("truenorth"))
    assert truenorth["neurons"] == ("energy.neuron_active_pj", "energy.neuron_inactive_pj")
    assert truenorth["synapses"] == ()
    assert len(truenorth["energy"]) == len(set(truenorth["energy"])) == 6 + 7


def test_without_static_power_no_energy_rests_on_times():
    plain = load_chip("loihi").model_dump()
    plain["energy"]["static_power_w"]["value"] = 0.0
    marks = marks_of(Chip.model_validate(plain))
    assert (marks["static"], marks["energy"]) == ((), ())
    assert marks["time"] == ("timing.axon_in_ps",)


def test_stars_and_what_is_behind_them():
    marks = {"time": ("timing.a", "timing.b"), "static": ("timing.b", "energy.c"), "neurons": ()}
    assert starred("3 s", "time", marks) == "3 s*"
    assert starred("3 J", "neurons", marks) == "3 J"
    assert footnote(marks) == ["* rests on assumed constants: timing.a, timing.b, energy.c"]
    assert footnote(marks, ["neurons"]) == []
    assert one_sided(None) == one_sided({"one_sided": []}) == []


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0 J"), (1.0, "1 J"), (0.99999, "1 J"), (0.0123456, "12.35 mJ"), (4.2e-6, "4.2 µJ"),
        (9.9996e-4, "1 mJ"), (3e-12, "3 pJ"), (1e-20, "1e-05 fJ"), (1234.5, "1,234 J"),
        (-2e-9, "-2 nJ"), (None, "not known"),
    ],
)  # fmt: skip
def test_small_quantities_have_the_prefix_that_suits_them(value, text):
    assert si(value, "J") == text


def test_a_chips_table_stars_what_is_assumed(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    print_chip(load_chip("loihi"))
    shown = capsys.readouterr().out
    assert re.search(r"timing\.axon_in_ps +│ 0\* ", shown)
    assert re.search(r"timing\.hop_ew_ps +│ 4100 ", shown)
    assert (
        "* assumed, from nobody's figures: fabric.link_buffer, fabric.injection_buffer, fabric.core_buffer, timing.axon_in_ps\n"
        in shown
    )
    print_chip(load_chip("loihi-sanafe"))
    shown = capsys.readouterr().out
    named = [line for line in shown.splitlines() if line.startswith("* assumed")]
    assert [re.findall(r"[a-z]+\.[a-z_]+", line) for line in named] == [
        ["fabric.link_ps", "fabric.ejection_ps", "fabric.injection_buffer", "fabric.core_buffer"]
    ]
    assert re.search(r"energy\.synaptic_event_pj\.convolution +│ 24\.0 .*fitted +│ sanafe", shown)
    print_chip(load_chip("xylo-v2"))
    assert "limits.in_axons_per_core, limits.out_axons" in capsys.readouterr().out


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run on a chip with bands, assumed constants and tiles in columns, and its folder."""
    folder = tmp_path_factory.mktemp("run")
    write_network(folder / "net.nir", weight=np.full((3, 3), 8.0), names=("a", "b"))
    plain = load_chip("loihi").model_dump()
    plain["mesh"]["tile_order"] = "column-major"
    plain["energy"]["hop_ew_pj"] = {"value": 3.0}
    plain["energy"]["neuron_active_pj"] |= {"low": 60.0, "high": 100.0}
    deployed = deploy(import_nir(folder / "net.nir"), Chip.model_validate(plain), direct=False)
    samples = Samples(x=np.ones((2, 20, 3), int), y=None, n_ticks=20, spiking=True)
    return run_network(deployed, samples, folder=folder), folder


@pytest.mark.slow_uncompiled
def test_a_summary_has_bands_and_names_what_is_assumed(run):
    result, _ = run
    numbers = json.loads(as_json(summary(result, network="net", wall_s=0.0)))
    band = numbers["energy_band"]
    assert band["nominal"]["total"] == pytest.approx(numbers["energy_j_per_sample"])
    active = int(result.counters["active"].sum()) * 1e-12 / 2
    assert band["nominal"]["neurons"] - band["low"]["neurons"] == pytest.approx(21 * active)
    assert band["high"]["neurons"] - band["nominal"]["neurons"] == pytest.approx(19 * active)
    assert band["low"]["static"] == band["high"]["static"] > 0
    assert numbers["costs"]["assumed"] == 2
    assert numbers["costs"]["assumed_constants"] == ["timing.axon_in_ps", "energy.hop_ew_pj"]
    assert numbers["marks"]["network"] == ["energy.hop_ew_pj"]
    assert numbers["costs"]["one_sided"] == [
        "timing.synaptic_event_ps is given as the most",
        "energy.synaptic_event_pj is given as the least",
    ]
    assert result.energy == energy_j(result.counters, result.duration_ps, result.deployment.chip)


@pytest.mark.slow_uncompiled
def test_the_run_and_its_report_carry_the_same_stars(run, capsys):
    result, folder = run
    numbers = summary(result, network="net", wall_s=0.0)
    print_run(numbers, "mine.toml")
    shown = capsys.readouterr().out
    line = "* rests on assumed constants: energy.hop_ew_pj, timing.axon_in_ps"
    assert line in shown
    assert re.search(r"energy per sample .*µJ\* ", shown)
    assert re.search(r"  low … high .*\d µJ … \d.*µJ ", shown)
    write_report(result, numbers, folder / "report.html")
    page = (folder / "report.html").read_text(encoding="utf-8").replace("\N{NO-BREAK SPACE}", " ")
    assert line in page
    assert re.search(r"  of it network</td><td>[\d.,]+ µJ\* \(", page)
    assert re.search(r"  of it neurons</td><td>[\d.,]+ µJ \(", page)
    assert re.search(r"as fast as the chip can</td><td>[\d.,]+ µs\*</td>", page)
    assert "no band closes it: timing.synaptic_event_ps is given as the most, energy.syn" in page


@pytest.mark.slow_uncompiled
def test_tiles_are_drawn_where_they_lie(run):
    result, _ = run
    deployment = result.deployment
    # Tile 3 is the last of the first column, so that it has three neighbours.
    there = replace(deployment, program=replace(deployment.program, core=np.array([4 * 3])))
    figure, remark = floor_plan(replace(result, deployment=there))
    assert remark == "16 of the chip's 128 cores are drawn."
    patches = figure.axes[0].patches
    assert sum(not patch.get_fill() for patch in patches) == 16
    assert any(patch.get_fill() for patch in patches)
