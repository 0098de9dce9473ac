"""Times and energies of chips: kinds of synapses, barriers, bands, and what is only assumed."""

import numpy as np
import pytest

from emulator.chip_bounds import at_bound, cost_rows, is_assumed, open_ends
from emulator.chip_costs import by_kind
from emulator.chip_file import ChipError, load_chip
from emulator.routers import router_at, router_of
from emulator.ways import n_routers_used, ways


def own(tmp_path, text, base="loihi"):
    """Load a chip that differs from its base in some lines."""
    (tmp_path / "mine.toml").write_text(f'base = "{base}"\nname = "mine"\n{text}', "utf-8")
    return load_chip(tmp_path / "mine.toml")


# SANA-FE 2.2.9, loihi.yaml, as CHIPS.md and EQUATIONS.md (O5) give it, typed from there: access and
# update apart.
FITTED = {
    "timing.neuron_active_ps": 6000 + 3700,
    "timing.neuron_inactive_ps": 6000,
    "timing.spike_ps": 30_000,
    "timing.axon_out_ps": 5100,
    "timing.channel_active_ps": 0,
    "timing.channel_inactive_ps": 0,
    "timing.axon_in_ps": 16_000,
    "timing.hop_ew_ps": 4100,
    "timing.hop_ns_ps": 6500,
    "timing.local_spike_ps": 0,
    "timing.synaptic_event_ps.dense": 3800,
    "timing.synaptic_event_ps.sparse": 4700,
    "timing.synaptic_event_ps.convolution": 3100,
    "timing.barrier": ((1, 600_000), (2, 1_000_000), (4, 1_400_000), (29, 1_800_000)),
    "energy.neuron_active_pj": 51.2 + 21.6,
    "energy.neuron_inactive_pj": 51.2,
    "energy.spike_pj": 69.3,
    "energy.axon_out_pj": 111,
    "energy.synaptic_event_pj.dense": 35.5,
    "energy.synaptic_event_pj.sparse": 33.6,
    "energy.synaptic_event_pj.convolution": 24.0,
    "energy.local_spike_pj": 0,
    "energy.hop_ew_pj": 3.0,
    "energy.hop_ns_pj": 4.2,
    "energy.static_power_w": 0,
}


@pytest.mark.parametrize("name", ["loihi-sanafe", "loihi-sanafe-float"])
def test_every_cost_of_the_fitted_preset_is_the_fitted_one_and_from_one_source(name):
    rows = {row.key: row for row in cost_rows(load_chip(name))}
    assert rows.keys() == FITTED.keys()
    for key, value in FITTED.items():
        assert rows[key].value == (value if isinstance(value, tuple) else pytest.approx(value)), key
        assert rows[key].source == "sanafe", key
        assert rows[key].confidence == ("" if key == "timing.barrier" else "fitted"), key


def test_the_fitted_preset_calculates_like_loihi():
    fitted, loihi = load_chip("loihi-sanafe"), load_chip("loihi")
    for table in ("limits", "packing", "numbers"):
        assert getattr(fitted, table) == getattr(loihi, table)
    # SANA-FE's membranes have any floor, Loihi's a power of two.
    floored = loihi.arithmetic.model_copy(update={"membrane_floor": "any"})
    assert fitted.arithmetic == floored
    assert fitted.mesh == loihi.mesh.model_copy(update={"tile_order": "column-major"})


def test_one_number_holds_for_all_kinds_and_a_table_for_each():
    loihi, fitted = load_chip("loihi"), load_chip("loihi-sanafe")
    assert [c.value for c in by_kind(loihi.timing.synaptic_event_ps)] == [3500] * 3
    assert [c.value for c in by_kind(fitted.timing.synaptic_event_ps)] == [3800, 4700, 3100]


def test_a_table_by_kind_takes_bare_numbers_and_one_number_replaces_it(tmp_path):
    chip = own(tmp_path, "[energy.synaptic_event_pj]\ndense = 1\nsparse = 2.5\nconvolution = 3\n")
    assert [c.value for c in by_kind(chip.energy.synaptic_event_pj)] == [1, 2.5, 3]
    assert {r.key for r in cost_rows(chip) if is_assumed(r)} == {
        "timing.axon_in_ps",
        *(f"energy.synaptic_event_pj.{kind}" for kind in ("dense", "sparse", "convolution")),
    }
    single = own(tmp_path, "[energy]\nsynaptic_event_pj = 7\n", base="loihi-sanafe")
    assert [c.value for c in by_kind(single.energy.synaptic_event_pj)] == [7] * 3


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[energy.synaptic_event_pj]\ndense = 1\nsparse = 2\n", r"event_pj\.convolution: missing"),
        (
            "[energy.synaptic_event_pj]\ndense = 1\nsparse = -2\nconvolution = 1\n",
            r"energy\.synaptic_event_pj\.sparse: must be greater than or equal to 0 \(it is -2\)",
        ),
        (
            "[energy.synaptic_event_pj]\ndense = 1\nsparse = 2\nconvolution = 1\nconvolutions = 1\n",
            r"synaptic_event_pj\.convolutions: unknown key; did you mean 'convolution'",
        ),
        (
            '[energy.synaptic_event_pj]\ndense = 1\nsparse = 2\nconvolution = { value = 1, source = "no" }\n',
            r"synaptic_event_pj\.convolution\.source: no is not in the table \[sources\]",
        ),
        ("[energy]\nsynaptic_event_pj = -1\n", r"energy\.synaptic_event_pj: must be greater than"),
        ('[energy]\nsynaptic_event_pj = "1"\n', r"energy\.synaptic_event_pj: must be a .*number"),
        ("[timing]\nsynaptic_event_ps = 1.5\n", r"timing\.synaptic_event_ps: must be .*integer"),
        ('[timing]\nbarrier_rule = "steps"\n', r"timing\.barrier_rule: .*; did you mean 'step'"),
        ('[mesh]\ntile_order = "column"\n', r"mesh\.tile_order: .*did you mean 'column-major'"),
        ("[numbers]\nmembrane_fraction_bits = 6\n", "6, but the membrane is an integer"),
        (
            '[numbers]\nmembrane_fraction_bits = 6\n[arithmetic]\nmembrane_decay = "stochastic"\n'
            'float_variables = ["membrane"]\n',
            "with arithmetic.membrane_decay stochastic; fractions are cut toward-zero, away",
        ),
        (
            '[energy]\nspike_pj = { value = 1.0, confidence = "absent" }\n',
            r"energy\.spike_pj: absent, but 1.0 to 1.0; leave it out, or say assumed",
        ),
        (
            '[arithmetic]\nmembrane_form = "bias-first"\n',
            "membrane_form bias-first with drive_overflow wrap: currents and bias enter one after",
        ),
    ],
)
def test_problems_of_costs_and_their_rules_are_told(tmp_path, text, message):
    with pytest.raises(ChipError, match=message):
        own(tmp_path, text)


def test_barriers_go_in_lines_or_in_steps(tmp_path):
    text = '[timing]\nbarrier = [[2, 100], [4, 300], [10, 900]]\nbarrier_rule = "{}"\n'
    tiles = (0, 1, 2, 3, 4, 7, 9, 10, 11, 1000)
    line, step = (own(tmp_path, text.format(rule)).timing for rule in ("line", "step"))
    assert [line.barrier_ps(n) for n in tiles] == [100, 100, 100, 200, 300, 600, 800, 900, 900, 900]
    assert [step.barrier_ps(n) for n in tiles] == [100, 100, 100, 100, 300, 300, 300, 900, 900, 900]
    fitted = load_chip("loihi-sanafe").timing
    assert [fitted.barrier_ps(n) for n in (1, 2, 3, 4, 28, 29, 32)] == [
        600_000, 1_000_000, 1_000_000, 1_400_000, 1_400_000, 1_800_000, 1_800_000,
    ]  # fmt: skip


def test_tiles_are_numbered_along_rows_or_down_columns():
    rows, columns = load_chip("loihi"), load_chip("loihi-sanafe")
    cores = np.arange(128)
    tile = cores // 4
    for chip, x, y in ((rows, tile % 8, tile // 8), (columns, tile // 4, tile % 4)):
        got = router_of(cores, chip)
        np.testing.assert_array_equal(got[0], x)
        np.testing.assert_array_equal(got[1], y)
        np.testing.assert_array_equal(router_at(*got, chip), tile)
    # Tile 0 to tile 1: a hop east in one order, south in the other.
    assert [int(w) for w in ways(0, 4, rows)[:2]] == [1, 0]
    assert [int(w) for w in ways(0, 4, columns)[:2]] == [0, 1]
    assert [int(w) for w in ways(0, 127, columns)[:2]] == [7, 3]
    assert n_routers_used(np.array([0, 3, 4]), columns) == 2


def test_a_chip_at_its_bounds_has_all_costs_at_their_ends(tmp_path):
    text = (
        "[timing]\nhop_ew_ps = { value = 5, low = 4, high = 9 }\n[energy]\n"
        "hop_ns_pj = { value = 5, low = 1 }\n"
        "[energy.synaptic_event_pj]\ndense = { value = 2, low = 1, high = 3 }\nsparse = 4\n"
        "convolution = { value = 2, high = 8 }\n"
    )
    chip = own(tmp_path, text)
    low, high = at_bound(chip, "low"), at_bound(chip, "high")
    assert at_bound(chip, "nominal") is chip
    assert (low.timing.hop_ew_ps.value, high.timing.hop_ew_ps.value) == (4, 9)
    assert (low.timing.axon_in_ps.value, high.timing.axon_in_ps.value) == (0, 16_000)
    assert (low.energy.hop_ns_pj.value, high.energy.hop_ns_pj.value) == (1, 5)
    for end, values in ((low, [1, 4, 2]), (high, [3, 4, 8])):
        assert [c.value for c in by_kind(end.energy.synaptic_event_pj)] == values
    assert low.timing.barrier == chip.timing.barrier
    assert sorted(open_ends(chip, "energy")) == [
        "energy.hop_ns_pj is given as the least",
        "energy.synaptic_event_pj.convolution is given as the most",
    ]
    assert list(open_ends(load_chip("loihi"), "timing")) == [
        "timing.synaptic_event_ps is given as the most"
    ]
    assert at_bound(load_chip("generic"), "low").energy is None


def test_costs_that_a_source_does_not_have_are_no_constants():
    keys = {row.key for row in cost_rows(load_chip("loihi"))}
    assert "energy.spike_pj" not in keys
    assert len(keys) == 15
    assert load_chip("loihi").energy.spike_pj.value == 0
