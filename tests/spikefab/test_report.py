"""The report: names as they are, pictures of a bearable size, numbers that keep their units."""

import re
import warnings
from dataclasses import replace

import numpy as np
import pytest
from command_line import write_network

from emulator.chip_file import load_chip
from mapping.nir_import import import_nir
from spikefab.data import Samples
from spikefab.deployment import deploy
from spikefab.figures import MOST_CORES, floor_plan, inked, raster, rates
from spikefab.report import write_report
from spikefab.run import run_network
from spikefab.summary import summary
from traces.trace import Trace

pytestmark = pytest.mark.slow_uncompiled

NAMES = (r"l$\foo{$", "_hidden", "la[relu]", "<b>", "日本", "a" * 60, "g", "h")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of a network of eight layers with odd names, and the folder with its traces."""
    folder = tmp_path_factory.mktemp("run")
    write_network(folder / "net.nir", weight=np.full((3, 3), 8.0), names=NAMES)
    deployed = deploy(import_nir(folder / "net.nir"), load_chip("loihi"), direct=False)
    samples = Samples(x=np.ones((2, 20, 3), int), y=None, n_ticks=20, spiking=True)
    return run_network(deployed, samples, folder=folder), folder


def texts(figure):
    figure.canvas.draw()
    legends = [*figure.legends, *(a.get_legend() for a in figure.axes if a.get_legend())]
    return [text.get_text() for legend in legends for text in legend.get_texts()]


def test_a_page_with_odd_names_is_written_without_a_word(run, capfd):
    result, folder = run
    numbers = summary(result, network="net", wall_s=0.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        write_report(result, numbers, folder / "report.html", chip_name="my [b].toml")
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert page.count("data:image/png;base64,") == 5
    assert r"l$\foo{$" in page
    assert "&lt;b&gt;" in page
    assert "spikefab chips &#x27;my [b].toml&#x27;" in page
    # A per cent sign never stands alone at the start of a line.
    assert not re.search(r"\d [%µ]", page)
    assert capfd.readouterr() == ("", "")


def test_every_layer_is_in_the_legends(run):
    result, folder = run
    with inked(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the font lacks some signs
        for figure in (floor_plan(result)[0], raster(folder)):
            assert [t[:20] for t in texts(figure)] == [name[:20] for name in NAMES]
        plots = [a for a in rates(result)[0].axes if a.get_title()]
    assert [a.get_title()[:20] for a in plots] == [name[:20] for name in NAMES]
    # Rows of four, none above the other.
    assert sorted({round(a.get_subplotspec().rowspan.start) for a in plots}) == [0, 1]


def test_a_silent_raster_has_the_same_limits(run, monkeypatch):
    _, folder = run
    limits = [a.get_xlim() + a.get_ylim() for a in raster(folder).axes]
    spikes = Trace.spikes
    monkeypatch.setattr(Trace, "spikes", lambda self, name, *_: spikes(self, name, 0, 0))
    assert [a.get_xlim() + a.get_ylim() for a in raster(folder).axes] == limits
    assert limits[0] == limits[1]


def cores_drawn(figure):
    return sum(not patch.get_fill() for patch in figure.axes[0].patches)


def moved(result, cores, **mesh):
    """Lay the one core of a run elsewhere, on a chip of another size."""
    chip = result.deployment.chip
    sizes = {name: getattr(chip.mesh, name) for name in ("width", "height")} | mesh
    chip = chip.model_copy(update={"mesh": chip.mesh.model_copy(update=sizes)})
    program = replace(result.deployment.program, core=np.array(cores))
    return replace(result, deployment=replace(result.deployment, chip=chip, program=program))


def test_only_the_used_part_of_a_chip_is_drawn(run):
    result, _ = run
    # Router (3, 1) of 8 × 4 with 4 cores each, and its eight neighbours.
    figure, remark = floor_plan(moved(result, [4 * 11]))
    assert cores_drawn(figure) == 9 * 4
    assert remark == "36 of the chip's 128 cores are drawn."


def test_a_floor_plan_of_a_huge_chip_is_cut(run):
    result, _ = run
    one = result.deployment.program
    n = MOST_CORES + 76
    far = moved(result, [0], width=1000, height=1000)
    many = replace(
        one,
        core=np.arange(n) * 1000,
        core_start=np.concatenate([[0], np.full(n, one.n_neurons)]),
    )
    used = type(far.deployment.used)(
        **{name: np.zeros(n, int) for name in vars(far.deployment.used)}
    )
    far = replace(far, deployment=replace(far.deployment, program=many, used=used))
    figure, remark = floor_plan(far)
    assert cores_drawn(figure) == MOST_CORES
    assert remark == "1,024 of the chip's 4,000,000 cores are drawn; 76 more are in use."
