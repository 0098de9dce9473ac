"""What the documentation shows is run, block after block, as one program a page."""

import re
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parent.parent / "docs"
LONGEST = 30


def blocks(page):
    text = (DOCS / page).read_text(encoding="utf-8")
    return re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


@pytest.mark.plain_python
def test_examples_of_extending_run():
    names = {}
    found = blocks("extending.md")
    assert len(found) == 5
    for block in found:
        assert len(block.splitlines()) < LONGEST
        exec(compile(block, "extending.md", "exec"), names)


@pytest.mark.slow_uncompiled
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_the_example_of_nengo_runs(capsys):
    pytest.importorskip("nengo", reason="the extra nengo is not installed")
    (block,) = blocks("nengo.md")
    names = {}
    exec(compile(block, "nengo.md", "exec"), names)
    assert "DecodedError" in capsys.readouterr().out
    assert names["run"].error("out", names["run"].decoded_float["out"]).chip_rmse < 0.05
