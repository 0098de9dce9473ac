"""The programs that measure speed, as others call them; what they measure is not tested here."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow_uncompiled

CHECKOUT = Path(__file__).resolve().parent.parent


def measured(program, *arguments, **environment):
    done = subprocess.run(
        [sys.executable, f"benchmarks/{program}.py", *arguments],
        capture_output=True, text=True, cwd=CHECKOUT, check=False,
        env=os.environ | {"PYTHONPATH": str(CHECKOUT)} | environment,
    )  # fmt: skip
    assert "Traceback" not in done.stderr, done.stderr
    assert done.stdout.count("\n") == (1 if done.stdout else 0)
    return done.returncode, json.loads(done.stdout or "null"), done.stderr


@pytest.mark.parametrize(
    ("name", "ticks", "packets"), [("W1", 100, 72_833), ("W2", 50, 581_069), ("W3", 50, 3_278_230)]
)
def test_a_standard_network_sends_the_packets_that_are_known(shared, name, ticks, packets):
    code, found, _ = measured(
        "speed", name, "--ticks", str(ticks), "--ceiling", "--json", SPIKEFAB_SHARED=str(shared)
    )
    assert (code, found["holds"], found["packets"]) == (0, True, packets)
    assert found["checks"]["spikes equal the ceiling's"]
    keys = {"ticks_per_s", "synaptic_events_per_s", "hops_per_s", "build_s", "peak_rss_mb", "spikes",
            "ceiling_ticks_per_s", "ratio"}  # fmt: skip
    assert keys <= found.keys()


def test_samples_side_by_side_fire_alike_in_every_run(shared):
    arguments = ("--samples", "6", "--ticks", "8", "--json")
    code, found, _ = measured("batch", *arguments, SPIKEFAB_SHARED=str(shared))
    assert (code, found["checks"]) == (0, {"all runs fire alike": True})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("W9",), "there is no network 'W9'; known are W1, W2, W3"),
        (("W1", "--fabric", "perfect"), "there is no fabric 'perfect'"),
        (("W1", "--ticks", "0"), "--ticks must be at least 1"),
    ],
)
def test_what_cannot_be_measured_is_bad_input(arguments, message):
    code, found, errors = measured("speed", *arguments, "--json")
    assert (code, found) == (2, None)
    assert message in errors


@pytest.mark.parametrize("program", [("speed", "W1"), ("batch",)])
def test_a_missing_folder_is_bad_input(tmp_path, program):
    code, found, errors = measured(*program, "--json", SPIKEFAB_SHARED=str(tmp_path / "nowhere"))
    assert (code, found) == (2, None)
    assert "nowhere" in errors
    assert "SPIKEFAB_SHARED" in errors
