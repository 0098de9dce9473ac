"""What `spikefab info` says, also about damaged and odd files; and JSON that every reader takes."""

import json

import h5py
import nir
import numpy as np
import pytest

from spikefab.info import describe
from spikefab.wording import as_json
from traces.errors import TraceFormatError
from traces.layout import RecordedPopulation
from traces.writer import TraceWriter


@pytest.fixture
def trace(tmp_path):
    part = RecordedPopulation(
        name="a", shape=(2, 3), lag=1, output=True, spiking=True, payload=True
    )
    path = tmp_path / "t.h5"
    with TraceWriter(
        path, kind="chip", populations=[part], samples=1, ticks=20, input_ticks=10, dt_s=1e-3,
        provenance={"seed": 3},
    ) as writer:  # fmt: skip
        writer.spikes("a", np.array([4, 7]), np.array([1, 2]), np.array([1, 3]))
    return path


def told(path):
    return "\n".join(describe(path))


def test_the_content_hash_is_judged(trace):
    assert "content hash holds" in told(trace)
    with h5py.File(trace, "r+") as file:
        file["spikes/a/node_ids"][0] = 2
    assert "content hash DIFFERS" in told(trace)


def test_a_trace_is_told(trace):
    assert "1 samples × 20 ticks (10 with input)" in told(trace)
    assert "a (2, 3) (output): 2 spikes, with payload, lag 1" in told(trace)
    with h5py.File(trace, "r+") as file:
        file.attrs["complete"] = False
        file.attrs["whole_ticks"] = 8
    assert "chip trace, broken off after tick 7" in told(trace)


@pytest.mark.parametrize(
    ("where", "name", "value"),
    [
        ("/", "content_sha256", 7),
        ("/", "content_sha256", np.zeros(3)),
        ("provenance", "seed", h5py.Empty("f")),
        ("provenance", "list", np.array(["a", "b"], dtype=h5py.string_dtype())),
        ("spikes/a", "more", np.array(b"\xff\xfe")),
        ("/", "kind", np.void(b"\x00\x01")),
    ],
)
def test_odd_attributes_are_told(trace, where, name, value):
    with h5py.File(trace, "r+") as file:
        file[where].attrs[name] = value
    assert told(trace)


@pytest.mark.parametrize(
    ("name", "value"),
    [("samples", np.zeros(3)), ("dt_s", "x"), ("complete", np.zeros(2)), ("populations", 5)],
)
def test_attributes_of_a_wrong_type_are_damage(trace, name, value):
    with h5py.File(trace, "r+") as file:
        file.attrs[name] = value
    with pytest.raises(TraceFormatError, match="damaged"):
        told(trace)


def test_shapes_of_a_network_are_told_as_they_are(tmp_path):
    nodes = {
        "input": nir.Input({"input": np.array([1, 8, 8])}),
        "flat": nir.Flatten({"input": np.array([1, 8, 8])}, start_dim=0, end_dim=-1),
        "w": nir.Linear(np.ones((5, 64))),
        "output": nir.Output({"output": np.array([5])}),
    }
    edges = [("input", "flat"), ("flat", "w"), ("w", "output")]
    nir.write(tmp_path / "n.nir", nir.NIRGraph(nodes=nodes, edges=edges))
    text = told(tmp_path / "n.nir")
    assert "input: Input shape 1×8×8" in text
    assert "output: Output shape 5" in text
    assert "w: Linear weight float64 (5, 64)" in text


def test_json_never_holds_what_json_does_not_know():
    value = {
        "a": float("nan"), "b": [float("inf"), (1.5, np.float32("-inf"))], "c": np.arange(2),
        "d": {"e": np.float64(0.5), 3: None}, "f": "µ \udcff",
    }  # fmt: skip
    assert json.loads(as_json(value)) == {
        "a": None, "b": [None, [1.5, None]], "c": [0, 1], "d": {"e": 0.5, "3": None}, "f": "µ ?",
    }  # fmt: skip
