"""SANA-FE's states, counts, energies and times, and that each constant and rule is held by them."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from emulator.chip import Chip
from emulator.chip_file import load_chip
from emulator.neuron import KINDS
from mapping import vector_sanafe, vector_steps
from mapping.vector_file import VectorError, first_mismatch, mismatches, read_vector
from mapping.vector_sanafe import CHIP, SanafeCase

pytestmark = pytest.mark.plain_python

CHECKOUT = Path(__file__).resolve().parents[2]
FOLDER = CHECKOUT / "tests" / "data" / "oracles"
FILES = sorted(FOLDER.glob("O5_*.h5"))
SPARSE_UNIT = FOLDER / "O5_sanafe_random_sparse_unit.h5"


def any_differs():
    """Whether any vector fails as things are patched."""
    for path in FILES:
        try:
            if first_mismatch(path) is not None:
                return True
        except ValueError:  # the program needs a rule that is gone
            return True
    return False


CHANGES = [
    ("mesh.tile_order", "row-major"),
    ("numbers.membrane_fraction_bits", 5),
    ("numbers.membrane_fraction_bits", 7),
    ("numbers.membrane_fraction_bits", None),
    ("arithmetic.membrane_decay", "floor"),
    ("arithmetic.membrane_decay", "nearest-even"),
    ("arithmetic.membrane_decay", "away"),
    ("arithmetic.membrane_form", "sum"),
    ("arithmetic.current_order", "add-decay-use"),
    ("arithmetic.compare", ">="),
    ("arithmetic.input_latency", 0),
    ("timing.neuron_active_ps.value", 9701),
    ("timing.neuron_inactive_ps.value", 6001),
    ("timing.spike_ps.value", 30001),
    ("timing.axon_out_ps.value", 5101),
    ("timing.axon_in_ps.value", 16001),
    ("timing.synaptic_event_ps.dense.value", 3801),
    ("timing.synaptic_event_ps.sparse.value", 4701),
    ("timing.barrier_rule", "line"),
    ("timing.barrier", ((1, 600001), (2, 1000000), (4, 1400000), (29, 1800000))),
    ("timing.barrier", ((1, 600000), (2, 1000001), (4, 1400000), (29, 1800000))),
    ("timing.barrier", ((1, 600000), (2, 1000000), (4, 1400001), (29, 1800000))),
    ("energy.neuron_active_pj.value", 72.9),
    ("energy.neuron_inactive_pj.value", 51.3),
    ("energy.spike_pj.value", 69.4),
    ("energy.axon_out_pj.value", 111.1),
    ("energy.local_spike_pj.value", 0.1),
    ("energy.hop_ew_pj.value", 3.1),
    ("energy.hop_ns_pj.value", 4.3),
    ("energy.synaptic_event_pj.dense.value", 35.6),
    ("energy.synaptic_event_pj.sparse.value", 33.7),
]
"""(key, another value). Not among them: hops in time and tiles beyond 28, which the model ``simple``
and no case reach; convolutions, of which none was recorded; skip against hold and freeze, as whoever
rests here was reset to zero and keeps no current; the current's order add-use-decay, which gives the
same membranes."""


@pytest.mark.parametrize(("key", "value"), CHANGES)
def test_every_constant_and_rule_is_held_by_a_vector(key, value, monkeypatch):
    plain = load_chip(CHIP).model_dump()
    *path, last = key.split(".")
    table = plain
    for name in path:
        table = table[name]
    assert table[last] != value
    table[last] = value
    chip = Chip.model_validate(plain)
    monkeypatch.setattr(vector_sanafe, "load_chip", lambda name: chip)
    assert any_differs()


PROGRAMS = {
    "inputs come from outside": lambda p: replace(p, channel_core=np.empty(0, int)),
    "synapses are of another kind": lambda p: replace(p, row_kind=(p.row_kind + 1) % len(KINDS)),
    "packets are not counted": lambda p: replace(p, row_packet=np.zeros_like(p.row_packet)),
    "cores lie elsewhere": lambda p: replace(p, core=p.core[::-1]),
    "nobody rests": lambda p: replace(p, refractory=0 * p.refractory),
    "no bias": lambda p: replace(p, bias=0 * p.bias),
}


@pytest.mark.parametrize("change", PROGRAMS.values(), ids=PROGRAMS)
def test_every_part_of_the_layout_is_held_by_a_vector(change, monkeypatch):
    made = vector_sanafe._program
    monkeypatch.setattr(vector_sanafe, "_program", lambda case, chip: change(made(case, chip)))
    assert any_differs()


def test_a_message_whose_weights_cancel_still_counts_as_an_update(monkeypatch):
    nothing = np.empty(0, int), np.empty(0, int)
    monkeypatch.setattr(vector_steps, "_synapses", lambda program: nothing)
    assert any_differs()


def test_the_first_difference_is_told_of_neurons_and_of_the_chip(tmp_path):
    path = tmp_path / "O5_changed.h5"
    path.write_bytes(SPARSE_UNIT.read_bytes())
    with h5py.File(path, "r+") as file:
        messages = file["expected/messages_detailed"]
        sent = np.flatnonzero(messages["placeholder"][()] == 0)
        first = sent[messages["timestep"][()][sent] == 2]
        messages["hops"][first] = 99
        messages["placeholder"][sent[messages["timestep"][()][sent] == 3][0]] = 1
        file["expected/A/v"][7, 3] += 2**-20
        file["expected/per_step/hops"][9] += 1
        file["expected/per_step/soma_energy"][11] *= 1 + 1e-11
        file["expected/per_step/sim_time_simple"][12] *= 1 + 1e-14
        file["expected/totals"].attrs["packets_sent"] += 1
    found = list(mismatches(path))
    assert [(m.step, m.neuron, m.variable) for m in found] == [
        (1, None, "message 0, hops"),
        (2, None, "messages"),
        (7, 3, "v"),
        (9, None, "hops"),
        (11, None, "soma_energy"),
        (59, None, "total packets_sent"),
    ]


def test_the_benchmark_tells_what_is_of_the_whole_chip(tmp_path):
    path = tmp_path / "O5_changed.h5"
    path.write_bytes((FOLDER / "O5_sanafe_one_hop.h5").read_bytes())
    with h5py.File(path, "r+") as file:
        file["expected/per_step/hops"][3] = 5
    done = subprocess.run(
        [sys.executable, "benchmarks/vectors.py", str(path), "--json"], check=False, text=True,
        capture_output=True, cwd=CHECKOUT,
        env=os.environ | {"PYTHONPATH": str(CHECKOUT), "NUMBA_DISABLE_JIT": "1"},
    )  # fmt: skip
    assert done.returncode == 4
    assert done.stderr == "O5_changed: step 3, hops: expected 5, got 1\n"
    assert json.loads(done.stdout)["vectors"][0]["first"]["neuron"] is None


def test_inputs_and_neurons_lie_where_the_file_says():
    vector = read_vector(FOLDER / "O5_sanafe_one_hop.h5")
    program = vector.program
    assert program.core.tolist() == [0, 5]
    assert program.core_start.tolist() == [0, 0, 1]
    assert program.source_core.tolist() == [1, 0]
    assert program.row_kind.tolist() == [KINDS.index("dense")]


def test_recorded_detailed_times_are_at_hand():
    times = SanafeCase.read(SPARSE_UNIT).detailed_s()
    assert times.shape == (60,)
    assert times.sum() == pytest.approx(1.033665e-4)


def test_lower_limits_are_read(tmp_path):
    path = tmp_path / "O5_reverse.h5"
    path.write_bytes(SPARSE_UNIT.read_bytes())
    with h5py.File(path, "r+") as file:
        file["pop/A/reverse_threshold"] = np.full(50, -0.5)
    program = read_vector(path).program
    assert set(program.membrane_min.tolist()) == {-0.5}
    assert first_mismatch(path).variable == "v"  # recorded without a limit


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: f.attrs.__setitem__("synapse_unit", "other"), "other is not known; known are"),
        (lambda f: f["pop/A"].attrs.__setitem__("reset_mode", "none"), "reset_mode none is not"),
        (lambda f: f.__delitem__("input/in"), "populations A, in and inputs , but this reads"),
        (lambda f: f.__delitem__("pop/A/threshold"), "damaged one"),
        (lambda f: f["proj/0/dst_index"].__setitem__(0, 50), "dst_index spans 0..50, but must lie"),
        (lambda f: f["proj/0/src_index"].__setitem__(0, -1), "src_index spans -1..57, but must"),
        (lambda f: cut(f, "expected/A/v"), r"expected v is \(59, 50\), but must be \(60, 50\)"),
        (lambda f: cut(f, "expected/per_step/hops"), r"per_step hops is \(59,\), but must be"),
        (lambda f: cut(f, "proj/0/weight"), r"weight is \(280,\), but must be \(281,\)"),
    ],
)
def test_broken_files_are_told(tmp_path, change, message):
    path = tmp_path / "O5_broken.h5"
    path.write_bytes(SPARSE_UNIT.read_bytes())
    with h5py.File(path, "r+") as file:
        change(file)
    with pytest.raises(VectorError, match=message):
        first_mismatch(path)


def cut(file, name):
    """Drop the last row of a dataset."""
    values = file[name][:-1]
    del file[name]
    file[name] = values
