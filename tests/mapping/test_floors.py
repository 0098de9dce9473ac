"""On a chip too: where the membrane starts, what pushes it, and below which it never falls."""

import sys

import numpy as np
import pytest
from side_by_side import LOIHI, dense, run_both

import spikefab
from emulator.chip_file import load_chip
from mapping.drive import Drive
from mapping.network import Input, Network, Population, Projection
from mapping.quantisers import QUANTISERS
from traces.errors import MissingExtraError

pytestmark = pytest.mark.plain_python
GENERIC = load_chip("generic")


def two_layers(**values):
    """A population under test, and one without any of it beside."""
    return Network(
        dt_s=1e-3,
        inputs=(Input(name="in", shape=(3,)),),
        populations=(
            Population(name="a", shape=(4,), threshold=1.0, tau_mem_s=20e-3, **values),
            Population(name="b", shape=(2,), threshold=1.0, tau_mem_s=20e-3),
        ),
        projections=(
            Projection(source="in", target="a", linear=dense(np.full((4, 3), -0.3))),
            Projection(source="a", target="b", linear=dense(np.full((2, 4), -0.2))),
        ),
        outputs=("b",),
    )


def volley(ticks=160):
    counts = np.zeros((ticks, 3), int)
    counts[::40] = 1
    return Drive(n_ticks=ticks, spikes={"in": counts})


@pytest.mark.parametrize("chip", [LOIHI, GENERIC], ids=lambda chip: chip.name)
@pytest.mark.parametrize(
    "values",
    [
        {"push": 0.06},
        {"push": [0.1, 0.06, 0.0, -0.05], "bias": 0.01, "tau_syn_s": 5e-3},
        {"v_start": [0.9, 0.3, -0.2, 0.0], "v_leak": 1.2},
        {"v_min": 0.0, "v_leak": 1.3},
        {"v_min": [0.0, 0.0, -np.inf, -np.inf], "v_leak": 1.3},
        {"v_min": -0.5, "v_reset": -0.5, "v_start": -0.3, "v_leak": 1.3},
    ],
    ids=["push", "push beside bias", "start", "floor", "floor of some", "floor at the reset"],
)
def test_membranes_on_a_chip_are_those_in_float(chip, values):
    found, overflows, _ = run_both(two_layers(**values), volley(), chip)
    assert not any(overflows.values())
    for name, (counts_float, counts_chip, v_float, v_chip) in found.items():
        # A spike near a threshold may fall a tick aside; what it leaves fades by a 20th each tick.
        assert np.abs(counts_float - counts_chip).max() <= 1
        assert np.median(np.abs(v_float - v_chip)) < (0.01 if name == "a" else 0.06)
        np.testing.assert_allclose(v_chip[:3], v_float[:3], atol=0.01)
    least = np.broadcast_to(values.get("v_min", -np.inf), (4,))
    assert np.all(found["a"][3] >= least - 1e-6)
    # The population beside fires never and has no floor: it shows that the first one spikes.
    fires = "v_leak" in values or "push" in values
    assert found["a"][1].any() == fires
    assert (found["b"][3].min() < -0.1) == fires


def test_a_floor_of_loihi_is_a_power_of_two():
    network = two_layers(v_min=-0.5)
    fixed = QUANTISERS["spikefab"](network, LOIHI)
    least = fixed.population("a").membrane_min
    assert set(np.log2(1 - least) % 1) == {0}
    wanted = -0.5 * fixed.population("a").scale
    assert np.all((least / wanted > 0.7) & (least / wanted < 1.42))
    generic = QUANTISERS["spikefab"](network, GENERIC).population("a")
    assert set(generic.membrane_min.tolist()) == {round(-0.5 * generic.scale)}


def test_nothing_of_it_is_loaded_where_nothing_is_asked_for():
    fixed = QUANTISERS["spikefab"](two_layers(), LOIHI)
    program = spikefab.deploy(two_layers(), LOIHI, direct=False).program
    assert fixed.population("a").membrane_min is None
    assert program.membrane_min.size == program.membrane_max.size == 0


def test_the_quantiser_of_nengo_loihi_has_all_of_it():
    network = two_layers(push=0.06, v_min=0.0, v_start=0.25)
    part = QUANTISERS["nengo-loihi"](network, LOIHI).population("a")
    assert set(part.membrane_min.tolist()) == {0}
    np.testing.assert_allclose(part.bias / part.scale, 0.06, rtol=0.01)
    np.testing.assert_allclose(part.initial_membrane / part.scale, 0.25, rtol=0.01)


def test_chips_without_a_floor_say_that_inhibition_lasts_longer():
    chip = load_chip("loihi-lava")
    note = "a: the membrane is kept above 0 in the network, but loihi-lava has no such limit"
    fixed = QUANTISERS["spikefab"](two_layers(v_min=0.0), chip)
    assert any(text.startswith(note) for text in fixed.notes)
    assert fixed.population("a").membrane_min is None


def test_without_nengo_the_command_that_installs_it_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "nengo", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'spikefab\[nengo\]'"):
        spikefab.import_nengo("anything")
