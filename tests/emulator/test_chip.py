import pytest

from emulator import chip_file as chips
from emulator.chip_file import ChipError, builtin_chips, load_chip

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
    assert "loihi" in builtin_chips()
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
        ("weight_exponent_min = -1", "weight_exponent_min = 8", "above weight_exponent_max"),
        ("[mesh]", "[mesh", "not valid TOML.*line 13"),
        ("value = 1024,", "value = 1024.0,", r"neurons_per_core.*integer \(it is 1024.0\)"),
        ("value = 1024,", "value = 0,", "neurons_per_core: must be at least 1, but is 0"),
        ("value = 4100,", "value = 9223372036854775808,", "hop_ew_ps.*less than or equal"),
        ("value = 3.0,", "value = inf,", "energy.hop_ew_pj.*finite"),
        ("value = 3.0,", "value = true,", "energy.hop_ew_pj.*number"),
        (
            'value = 0.104, source = "frady2020",',
            "value = 0.104,",
            "static_power_w: published, but without a source",
        ),
        (
            'source = "frady2020"',
            'source = "frady202"',
            "static_power_w.source: frady202 is .*; did you mean 'frady2020'",
        ),
        ('barrier_source = "davies2018"', 'barrier_source = "d"', "timing.barrier_source: d is"),
        (
            'confidence = "assumed"',
            'confidence = "asumed"',
            "axon_in_ps.confidence: must be .*'fitted' or 'assumed'.*did you mean 'assumed'",
        ),
        ('"wrap" ', '"saturated" ', "current_overflow.*did you mean 'saturate'"),
        ("[0, 3, 6]", "[0, 3]", "delay_bits_sizes: 3 bits at most, but limits.delay_max needs 6"),
        ("[0, 3, 6]", "[6, 3, 0]", "packing.delay_bits_sizes: the sizes must ascend"),
        ("9, 10, 11, 12]", "9]", "index_bits_sizes: 9 bits at most, but limits.neurons_per_core"),
        ("zero = 1\nsubtract = 2\nsubtract-once = 2", "", "arithmetic.resets: must not be empty"),
        ("weight_shift = 1 ", "weight_shift = 0 ", "lowest bits of weights would be shifted out"),
        (
            "current_bits = 24",
            "current_bits = 99",
            "current_bits: must be less than or equal to 48",
        ),
        (
            "threshold_shift = 6",
            "threshold_shift = 64",
            "threshold_shift.*less than or equal to 32",
        ),
        ("value = 1024,", "value = 65537,", "neurons_per_core: must be at most 65,536, as targets"),
        ("value = 62,", "value = 32768,", "delay_max: must be at most 32,767, as delays"),
        ('"nearest-even"', '"nearest"', "weight_rounding: must be one of .*mean 'nearest-even'"),
        ('"decay-add-use"', '"use"', "current_order: must be one of decay-add-use, add-use-decay"),
        ("input_bits = 22 ", "# ", "arithmetic.input_overflow: needs numbers.input_bits"),
        ("drive_bits = 24 ", "# ", "arithmetic.drive_overflow: needs numbers.drive_bits"),
        ("[packing]", "[packaging]", "packaging: unknown key; did you mean 'packing'"),
        ("[1, 113000]", "[1]", "timing.barrier.0.1: missing"),
        ('resets_source = "nxtf"', 'resets_source = "nxft"', "arithmetic.resets_source: nxft is"),
        ("value = 62,", f"value = {'9' * 5000},", "not valid TOML: .*digits"),
    ],
)
def test_problems_name_key_value_and_what_is_allowed(tmp_path, old, new, message):
    with pytest.raises(ChipError, match=message):
        load_chip(changed(tmp_path, (old, new)))


RULES = """
base = "{base}"
name = "mine"
[arithmetic]
{rules}
"""


@pytest.mark.parametrize(
    ("base", "rules", "message"),
    [
        (
            "xylo-v2",
            'current_order = "add-use-decay"',
            "accumulate each with current_order .*must be",
        ),
        ("xylo-v2", "input_latency = 1", "accumulate each with input_latency 1"),
        (
            "xylo-v2",
            'float_variables = ["current"]',
            "accumulate each with float .*nothing saturates",
        ),
        ("xylo-v2", 'float_variables = ["membrane"]', "membrane_form increment with float"),
        ("xylo-v2", 'refractory = "skip"', "membrane_form increment with refractory skip"),
        ("xylo-v2", 'drive_overflow = "wrap"', "membrane_form increment with drive_overflow wrap"),
        ("xylo-v1", 'float_variables = ["decays"]', "current_decay shift with float decays"),
        ("loihi", 'accumulate = "each"', "accumulate each with current_order decay-add-use"),
        (
            "loihi",
            'current_decay = "shift"',
            "current_decay: shift with numbers.current_decay_offset",
        ),
        (
            "loihi",
            "resets = { subtract-repeat = 1 }",
            "subtract-repeat with numbers.spikes_per_tick",
        ),
        (
            "loihi",
            'float_variables = ["weight"]',
            "must be one of weights, .*did you mean 'weights'",
        ),
        ("lohi", "", "no such chip; .*did you mean 'loihi'"),
        ("other.toml", "", r"other.toml':\s+- there is no such file"),
        ("mine.toml", "", "base: 8 files deep; do two name each other"),
    ],
)
def test_rules_that_cannot_work_together_say_why(tmp_path, base, rules, message):
    path = tmp_path / "mine.toml"
    path.write_text(RULES.format(base=base, rules=rules), encoding="utf-8")
    with pytest.raises(ChipError, match=message):
        load_chip(path)


def test_a_file_holds_only_what_differs_from_its_base(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('base = "loihi"\nname = "mine"\n[numbers]\nweight_bits = 4\n', encoding="utf-8")
    mine, loihi = load_chip(path), load_chip("loihi")
    assert mine.numbers == loihi.numbers.model_copy(update={"weight_bits": 4})
    assert mine.model_copy(update={"name": "loihi", "numbers": loihi.numbers}) == loihi
    second = tmp_path / "second.toml"
    second.write_text('base = "mine.toml"\nname = "second"\n', encoding="utf-8")
    assert load_chip(second).numbers.weight_bits == 4


@pytest.mark.parametrize("name", builtin_chips())
def test_built_in_chips_are_valid_and_say_where_their_constants_come_from(name):
    chip = load_chip(name)
    assert chip.name == name
    assert chip.summary
    for row in chip.rows():
        assert row.confidence in ("", "assumed") or row.source


def test_all_problems_come_at_once(tmp_path):
    path = changed(tmp_path, ("value = 62,", "value = -62,"), ("height = 4", "heigth = 4"))
    with pytest.raises(ChipError) as caught:
        load_chip(path)
    assert len(caught.value.problems) == 3


def test_files_that_are_none(tmp_path):
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "deep.toml").write_text("a = " + "[" * 100_000, encoding="utf-8")
    for name, message in (
        ("missing.toml", "no such file"),
        ("binary.toml", "not UTF-8"),
        ("deep.toml", "nested too deeply"),
        ("", "a folder"),
    ):
        with pytest.raises(ChipError, match=message):
            load_chip(tmp_path / name)
    with pytest.raises(
        ChipError, match=r"no such chip; built in: generic, loihi.*did you mean 'loihi'"
    ):
        load_chip("lohi")
    with pytest.raises(ChipError, match=r"no such chip; built in: generic"):
        load_chip("")
    with pytest.raises(ChipError, match=r"cannot be read: .*null"):
        load_chip("mine\0.toml")


def test_constants_of_another_origin_than_their_table_name_it():
    sources = {row.key: row.source for row in load_chip("loihi").rows()}
    assert sources["arithmetic.resets"] == "nxtf"
    assert sources["arithmetic.compare"] == "nengoloihi"
    assert sources["timing.barrier"] == "davies2018"


# Davies et al. 2018, Table 2, and nengo-loihi's block.py, typed from the sources.
PUBLISHED = {
    "mesh.width": 8,
    "mesh.height": 4,
    "mesh.cores_per_router": 4,
    "limits.neurons_per_core": 1024,
    "limits.in_axons_per_core": 4096,
    "limits.out_axons_per_core": 4096,
    "limits.synapse_words_per_core": 16_384,
    "limits.delay_max": 62,
    "packing.word_bits": 64,
    "packing.synapses_per_block": 64,
    "packing.block_header_bits": 4 + 6,
    "packing.weight_bits_sizes": (0, 1, 2, 3, 4, 5, 6, 8),
    "packing.index_bits_sizes": (0, 6, 7, 8, 9, 10, 11, 12),
    "numbers.weight_bits": 8,
    "numbers.weight_exponent_min": -1,
    "numbers.weight_exponent_max": 7,
    "numbers.decay_bits": 12,
    "numbers.current_bits": 1 + 23,
    "numbers.membrane_bits": 1 + 23,
    "numbers.threshold_bits": 17,
    "numbers.threshold_shift": 6,
    "numbers.bias_bits": 12,
    "timing.neuron_active_ps": 8400,
    "timing.neuron_inactive_ps": 5300,
    "timing.synaptic_event_ps": 3500,
    "timing.hop_ew_ps": 4100,
    "timing.hop_ns_ps": 6500,
    "timing.local_spike_ps": 2100,
    "timing.barrier": ((1, 113_000), (32, 465_000)),
    "energy.neuron_active_pj": 81,
    "energy.neuron_inactive_pj": 52,
    "energy.synaptic_event_pj": 23.6,
    "energy.local_spike_pj": 1.7,
    "energy.hop_ew_pj": 3.0,
    "energy.hop_ns_pj": 4.0,
    "energy.static_power_w": 0.104,
}


def test_every_constant_of_loihi_is_the_published_one():
    rows = {row.key: row.value for row in load_chip("loihi").rows()}
    assert {key: rows[key] for key in PUBLISHED} == PUBLISHED


def test_estimates_of_one_side_say_so():
    loihi = load_chip("loihi")
    least, most = loihi.energy.synaptic_event_pj, loihi.timing.synaptic_event_ps
    assert (least.low, least.high) == (23.6, None)
    assert (most.low, most.high) == (None, 3500)


def test_outside_of_its_points_the_barrier_is_the_nearest_point(tmp_path):
    text = ("[[1, 113000], [32, 465000]]", "[[2, 100], [4, 300], [10, 900]]")
    timing = load_chip(changed(tmp_path, text)).timing
    tiles = (0, 1, 2, 3, 4, 7, 10, 11, 1000)
    assert [timing.barrier_ps(n) for n in tiles] == [100, 100, 100, 200, 300, 600, 900, 900, 900]


def test_a_changed_copy_has_its_own_hash():
    loihi = load_chip("loihi")
    before = loihi.sha256
    quick = loihi.timing.model_copy(update={"barrier": ((1, 0),)})
    assert loihi.model_copy(update={"timing": quick}).sha256 != before
    assert loihi.sha256 == before


def test_spelling_of_a_number_does_not_count_for_the_hash(tmp_path):
    text = ("value = 81.0", "value = 81")
    assert load_chip(changed(tmp_path, text)).sha256 == load_chip("loihi").sha256


def test_a_chip_is_frozen():
    loihi = load_chip("loihi")
    with pytest.raises(ValueError, match="frozen"):
        loihi.limits.delay_max.value = 63


def test_a_file_needs_no_suffix_and_may_carry_a_byte_order_mark(tmp_path, monkeypatch):
    (tmp_path / "mychip").write_text(TEXT, encoding="utf-8-sig")
    monkeypatch.chdir(tmp_path)
    assert load_chip("mychip") == load_chip("loihi")


def test_one_problem_hides_no_other(tmp_path):
    path = changed(
        tmp_path,
        ("width = 8 ", "width = -8 "),
        ("weight_exponent_min = -1", "weight_exponent_min = 8"),
        ("membrane_bits = 24", "membrane_bits = 48"),
        ("decay_bits = 12", "decay_bits = 20"),
        ('value = 0.104, source = "frady2020"', 'value = 0.104, low = 1.0, source = "frady"'),
    )
    with pytest.raises(ChipError) as caught:
        load_chip(path)
    keys = [problem.split(":")[0] for problem in caught.value.problems]
    cost = "energy.static_power_w"
    assert keys == ["mesh.width", "numbers", "numbers", cost, f"{cost}.source"]
    assert "mine.toml" in str(caught.value)


def test_a_bare_number_is_named_without_the_key_of_its_value(tmp_path):
    text = ('{ value = 62, source = "davies2018", confidence = "published" }', "-62")
    with pytest.raises(ChipError, match=r"limits\.delay_max: must be greater than or equal to 0"):
        load_chip(changed(tmp_path, text))


CROSSBAR = (chips._FOLDER / "ranc.toml").read_text(encoding="utf-8")


def test_crossbar_chips_have_the_published_sizes():
    truenorth, ranc = load_chip("truenorth"), load_chip("ranc")
    for chip, n_cores, delay in ((truenorth, 4096, 15), (ranc, 12, 16)):
        assert chip.core == "crossbar"
        assert chip.n_cores == n_cores
        assert chip.limit("in_axons_per_core") == chip.limit("neurons_per_core") == 256
        assert chip.limit("axon_types") == 4
        assert chip.numbers.weight_bits == 9
        assert (chip.limits.delay_max.value, chip.row_delay_max) == (delay, delay - 1)
        assert chip.limit("synapse_words_per_core") > 10**9
        assert not [row for row in chip.rows() if row.value is None]
    assert truenorth.energy.synaptic_event_pj.value == 26
    assert truenorth.timing.barrier_ps(1) == truenorth.timing.barrier_ps(4096) == 10**9
    assert ranc.timing is None
    assert load_chip("loihi").row_delay_max == 62


def test_a_file_on_top_of_ranc_changes_its_sizes(tmp_path):
    (tmp_path / "mine.toml").write_text(
        'base = "ranc"\nname = "mine"\n[mesh]\nwidth = 2\n[limits]\nin_axons_per_core = 512\n'
        "neurons_per_core = 128\n[numbers]\nmembrane_bits = 16\n"
    )
    mine = load_chip(tmp_path / "mine.toml")
    assert (mine.n_cores, mine.limit("in_axons_per_core"), mine.limit("axon_types")) == (6, 512, 4)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('core = "crossbar"', 'core = "crosbar"', r"core: must be one of lists, crossbar, layers, processors; did you mean 'crossbar'"),
        ('core = "crossbar"', "", "limits.out_axons_per_core: missing, but core lists needs it"),
        ('core = "crossbar"', "", "limits.axon_types: not with core lists: they choose among"),
        ('core = "crossbar"', "", "packing: missing, but core lists needs it"),
        ("[limits]", "[limits]\nsynapse_words_per_core = 9", "limits.synapse_words_per_core: not with core crossbar: a crossbar holds a bit"),
        ("[limits]", "[limits]\nout_axons_per_core = 9", "limits.out_axons_per_core: not with core crossbar: a neuron of a crossbar has exactly one destination"),
        ("axon_types = {", "#", "limits.axon_types: missing, but core crossbar needs it"),
        ("value = 16,", "value = 0,", "limits.delay_max: 0 with core crossbar"),
        ('axons = "binary"', 'axons = "counting"', "arithmetic.axons: counting with core crossbar: .* must be binary"),
        ('lower_threshold = "reset"', "", "arithmetic.lower_threshold: none with core crossbar"),
        ('current_order = "add-use-decay"', "", "arithmetic.current_order: decay-add-use with core crossbar"),
        ('membrane_decay = "toward-zero"', 'membrane_decay = "shift"', "arithmetic.membrane_decay: shift with core crossbar"),
        ("weight_bits = 9", "weight_bits = 9\ninput_shift = 6", "numbers.input_shift: 6 with core crossbar: a memory image holds"),
        ("weight_bits = 9", "weight_bits = 9\nweight_exponent_max = 2", "numbers.weight_exponent_max: 2 with core"),
        ('axons = "binary"', 'axons = "binary"\nrefractory = "hold"', "arithmetic.refractory: hold with core"),
        ('axons = "binary"', 'axons = "binary"\nfloat_variables = ["membrane"]', "arithmetic.float_variables: .* with core"),
    ],
)  # fmt: skip
def test_limits_and_rules_of_another_kind_of_core_are_refused(tmp_path, old, new, message):
    assert old in CROSSBAR
    (tmp_path / "mine.toml").write_text(CROSSBAR.replace(old, new), encoding="utf-8")
    with pytest.raises(ChipError, match=message):
        load_chip(tmp_path / "mine.toml")


@pytest.mark.parametrize(
    ("name", "old", "new", "message"),
    [
        ("loihi2", 'why = "its', '#"', "why: missing, but runs is false"),
        ("loihi2", "runs = false", "", "numbers: missing"),
        ("loihi2", "runs = false", "", "arithmetic: missing"),
        ("loihi2", "runs = false", "", "formats: not with runs true"),
        ("loihi2", "runs = false", "", "why: says why a chip does not run, but runs is true"),
        ("loihi2", "[formats]", "[format]", "format: unknown key; did you mean 'formats'"),
        ("loihi2", "weight_bits = 8 ", "weight_bits = 9 ", "packing.weight_bits_sizes: 8 bits at most, but formats.weight_bits needs 9"),
        ("loihi2", "value = 196608", "value = 0", "shared.memory_bytes: must be at least 1"),
        ("speck", 'core = "layers"', 'core = "processors"', "layers: not with core processors"),
        ("speck", 'core = "layers"', 'core = "processors"', "processors: missing, but core processors needs it"),
        ("speck", "width = 9", "width = 8", "layers.kernel_words: 9 entries, but the chip has 8 cores"),
        ("speck", "bias_words = [1024, ", "bias_words = [", "must have an entry for each core, but have 9, 9 and 8"),
        ("speck", "strides = [1, 2", "strides = [2, 1", "layers.strides: the sizes must ascend"),
        ("speck", "[limits]", "[limits]\nin_axons_per_core = 3", "limits.in_axons_per_core: not with core layers"),
        ("spinnaker2", "value = 32768, low = 16384, high = 65536,", "value = 131072,", "program_bytes 131,072 leaves nothing of memory_bytes"),
        ("spinnaker2", "runs = false", "runs = true", "core: processors runs nowhere here"),
        ("loihi", "in_axons_per_core = {", "#", "limits.in_axons_per_core: missing, but core lists needs it"),
        ("loihi", "[limits]", "[shared]\nmemory_bytes = 9\nneuron_bytes = 1\nin_axon_bytes = 1\nout_axon_bytes = 1\n[limits]", "shared: only with core lists and runs false"),
    ],
)  # fmt: skip
def test_chips_that_only_hold_say_so_and_no_more(tmp_path, name, old, new, message):
    text = (chips._FOLDER / f"{name}.toml").read_text(encoding="utf-8")
    assert old in text
    (tmp_path / "mine.toml").write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(ChipError, match=message):
        load_chip(tmp_path / "mine.toml")


def test_presets_for_fitting_have_the_published_sizes():
    speck, spinnaker2, loihi2 = (load_chip(name) for name in ("speck", "spinnaker2", "loihi2"))
    assert (speck.n_cores, spinnaker2.n_cores, loihi2.n_cores) == (9, 152, 128)
    assert sum(speck.layers.neuron_words) == 320 * 1024  # "up to 0.32M configurable neurons"
    assert spinnaker2.processors.memory_bytes.value == 128 * 1024
    assert spinnaker2.limit("routing_entries_per_router") == 16_384
    assert loihi2.n_cores * loihi2.limit("neurons_per_core") == 2**20
    assert loihi2.shared.memory_bytes.value == 192 * 1024
    assert not any(chip.runs for chip in (speck, spinnaker2, loihi2))
    xylo, newest = load_chip("xylo"), load_chip("xylo-v2")
    assert xylo.model_copy(update={"name": newest.name, "summary": newest.summary}) == newest
