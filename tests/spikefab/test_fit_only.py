"""Chips whose discipline is not built: listed, shown, and refused for a run before work starts."""

import pytest
from command_line import spikefab

from emulator.chip_file import builtin_chips, load_chip

FIT_ONLY = [name for name in builtin_chips() if not load_chip(name).runs]


def test_the_list_of_chips_says_which_of_them_run(tmp_path):
    done = spikefab("chips", cwd=tmp_path)
    lines = dict(line.split(": ", 1) for line in done.stdout.splitlines())
    assert sorted(lines) == list(builtin_chips())
    assert [name for name in sorted(lines) if lines[name].endswith("(fit only)")] == FIT_ONLY
    assert FIT_ONLY == ["loihi2", "speck", "spinnaker2"]


@pytest.mark.parametrize("chip", FIT_ONLY)
def test_such_a_chip_is_shown_with_the_reason(chip, tmp_path):
    done = spikefab("chips", chip, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    said = " ".join(done.stdout.split())
    assert f"nothing runs on this chip, it can only be fitted: {load_chip(chip).why}" in said
    assert "formats.weight_bits" in said


@pytest.mark.parametrize("chip", FIT_ONLY)
def test_a_run_on_it_is_refused_in_a_sentence(chip, small):
    done = spikefab("run", "net.nir", "--data", "data.npz", "--chip", chip, "-o", "out", cwd=small)
    assert done.returncode == 2
    said = " ".join(done.stderr.split())
    assert f"chip {chip}: what it holds can be counted, but nothing runs on it" in said
    assert "take one of generic, loihi" in said
    assert "Traceback" not in said
    assert not (small / "out").exists()
