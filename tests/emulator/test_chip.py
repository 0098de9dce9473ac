import pytest

from emulator import chip as chips
from emulator.chip import ChipError, builtin_chips, load_chip

TEXT = (chips._FOLDER / "loihi.toml").read_text(encoding="utf-8")


def changed(tmp_path, *pairs):
    text = TEXT
    for old, new in pairs:
        assert old in text
        text = text.replace(old, new)
    (tmp_path / "mine.toml").write_text(text, encoding="utf-8")
    return tmp_path / "mine.toml"


def test_loihi_has_the_published_numbers():
    loihi = load_chip("loihi")
    assert builtin_chips() == ("loihi",)
    assert loihi.n_cores == 128
    assert loihi.limits.synapse_words_per_core.value * 64 == 128 * 1024 * 8
    assert (loihi.timing.barrier_ps(1), loihi.timing.barrier_ps(32)) == (113_000, 465_000)
    assert loihi.timing.barrier_ps(2) == round(113_000 + 352_000 / 31)
    assert loihi.energy.synaptic_event_pj.value == 23.6
    assert loihi.energy.hop_ns_pj.confidence == "published"
    for row in loihi.rows():
        if row.confidence in ("measured", "published", "fitted"):
            assert row.source in loihi.sources, row


def test_only_values_count_for_the_hash(tmp_path):
    loihi = load_chip("loihi")
    comment = changed(tmp_path, ("# Loihi (first", "# another comment (first"))
    assert load_chip(comment).sha256 == loihi.sha256
    slower = changed(tmp_path, ("value = 8400", "value = 8500"))
    assert load_chip(slower).sha256 != loihi.sha256


def test_a_bare_number_is_assumed(tmp_path):
    path = changed(
        tmp_path,
        ('{ value = 4100, source = "davies2018", confidence = "published" }', "4100"),
    )
    cost = load_chip(path).timing.hop_ew_ps
    assert (cost.value, cost.confidence, cost.source) == (4100, "assumed", "")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "neurons_per_core",
            "neuron_per_core",
            "limits.neuron_per_core: unknown key; did you mean 'neurons_per_core'",
        ),
        (
            "value = 62,",
            "value = -62,",
            r"limits.delay_max.*greater than or equal to 0 \(it is -62\)",
        ),
        ("weight_bits = 8 ", 'weight_bits = "8" ', r"numbers.weight_bits.*integer \(it is '8'\)"),
        ("width = 8 ", "width = 8.0 ", "mesh.width"),
        ("width = 8 ", "width = true ", "mesh.width"),
        ("value = 23.6", "value = nan", "energy.synaptic_event_pj"),
        ('compare = ">"', 'compare = "<"', "arithmetic.compare"),
        ("subtract = 2", "substract = 2", "arithmetic.resets"),
        ("value = 0.104", "value = 0.104, low = 0.2", "low <= value <= high"),
        ('source = "frady2020"', 'source = "frady2021"', "frady2021 is not in the table"),
        ("[1, 113000], [32, 465000]", "[32, 113000], [1, 465000]", "must ascend"),
        ("weight_exponent_min = -6", "weight_exponent_min = 8", "above weight_exponent_max"),
        ("[mesh]", "[mesh", "not valid TOML"),
    ],
)
def test_problems_name_key_value_and_what_is_allowed(tmp_path, old, new, message):
    with pytest.raises(ChipError, match=message):
        load_chip(changed(tmp_path, (old, new)))


def test_all_problems_come_at_once(tmp_path):
    path = changed(tmp_path, ("value = 62,", "value = -62,"), ("height = 4", "heigth = 4"))
    with pytest.raises(ChipError) as caught:
        load_chip(path)
    assert len(caught.value.problems) == 3


def test_files_that_are_none(tmp_path):
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    for name, message in (
        ("missing.toml", "no such file"),
        ("binary.toml", "not UTF-8"),
        ("", "a folder"),
    ):
        with pytest.raises(ChipError, match=message):
            load_chip(tmp_path / name)
    with pytest.raises(ChipError, match=r"no such chip; built in: loihi.*did you mean 'loihi'"):
        load_chip("lohi")
