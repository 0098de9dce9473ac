"""Vectors of Nengo: each value of a file is really compared, and broken files are told."""

from pathlib import Path

import h5py
import numpy as np
import pytest

from mapping import vector_nengo
from mapping.vector_file import VectorError, first_mismatch, mismatches, read_vector
from mapping.vector_nengo import NengoCase, value_of

FOLDER = Path(__file__).resolve().parents[1] / "data" / "oracles"


def copied(tmp_path, name):
    path = tmp_path / "O6_changed.h5"
    path.write_bytes((FOLDER / f"O6_nengo_{name}.h5").read_bytes())
    return path


@pytest.mark.parametrize(
    ("name", "variable"),
    [
        ("lif", "v_first100"), ("lif", "v_last"), ("lif", "refractory_last"), ("lif", "filtered"),
        ("lif", "tuning_rates"), ("lif", "spikes"), ("spikingrelu", "v_first100"),
        ("spikingrelu", "spikes"), ("lifrate", "output"), ("relu", "filtered"),
        ("nef_square_lif", "decoders"), ("nef_square_lif", "output"),
        ("nef_identity_rec", "decoders_rec"), ("nef_identity_rec", "spikes"),
    ],
)  # fmt: skip
def test_every_value_is_compared(tmp_path, name, variable):
    path = copied(tmp_path, name)
    with h5py.File(path, "r+") as file:
        data = file[f"expected/A/{variable}"]
        rows = data[()].reshape(-1, data.shape[-1])
        at = tuple(np.argwhere(rows)[-1])
        # Decoders are 1e-6 of the largest, all else 1e-9.
        rows[at] = rows[at] + (1 if variable == "spikes" else 5e-6 * np.abs(rows).max())
        data[...] = rows.reshape(data.shape)
    found = [m for m in mismatches(path) if m.variable == variable]
    # A changed feedback decoder changes spikes, too, and so what differs first.
    assert found or variable == "decoders_rec"
    assert first_mismatch(path) is not None
    if found:
        assert found[-1].neuron == at[1]


@pytest.mark.parametrize("name", ["gain", "bias", "v0", "encoders"])
def test_every_constant_matters(tmp_path, name):
    path = copied(tmp_path, "lif")
    with h5py.File(path, "r+") as file:
        file[f"pop/A/{name}"][...] *= 1.01
    assert first_mismatch(path) is not None


@pytest.mark.parametrize("name", ["tau_rc", "tau_ref", "amplitude"])
def test_every_parameter_matters(tmp_path, name):
    path = copied(tmp_path, "lif_ref4ms")
    with h5py.File(path, "r+") as file:
        file["pop/A"].attrs[name] *= 1.001
    assert first_mismatch(path) is not None


def test_a_floor_of_the_membrane_matters(tmp_path):
    path = copied(tmp_path, "lif")
    with h5py.File(path, "r+") as file:
        file["pop/A"].attrs["min_voltage"] = -1.0
    assert first_mismatch(path).variable == "v_first100"


def test_tolerances_are_those_of_the_file(tmp_path):
    path = copied(tmp_path, "lif")
    with h5py.File(path, "r+") as file:
        file["expected/A/v_last"][...] *= 1 + 1e-6
    assert first_mismatch(path).variable == "v_last"
    with h5py.File(path, "r+") as file:
        file.attrs["tolerance"] = "float64: rtol 1e-5; spikes exact"
    assert first_mismatch(path) is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: f["pop/A"].attrs.__setitem__("neuron_type", "Izhikevich"), "type Izhikevich; known are LIF"),
        (lambda f: f.copy("pop/A", "pop/B"), "holds 2 ensembles"),
        (lambda f: f.__delitem__("pop/A/gain"), "damaged one"),
        (lambda f: f.attrs.__setitem__("tolerance", "close"), "'close' states no rtol"),
        (lambda f: f.move("expected/A/v_last", "expected/A/v_end"), r"\['v_end'\]: unknown"),
        (lambda f: f.__setitem__("expected/A/decoders_rec", [[0.0]]), r"\['decoders_rec'\]: unknown"),
    ],
)  # fmt: skip
def test_broken_files_are_told(tmp_path, change, message):
    path = copied(tmp_path, "lif")
    with h5py.File(path, "r+") as file:
        change(file)
    with pytest.raises(VectorError, match=message):
        first_mismatch(path)


def test_a_vector_of_nengo_is_no_program():
    with pytest.raises(VectorError, match="so there is no program"):
        read_vector(FOLDER / "O6_nengo_lif.h5")


def test_formulas():
    x = np.array([[0.5, 2.0], [1.0, 3.0]])
    assert value_of("x[0] * x[1]", x).tolist() == [[1.0], [3.0]]
    np.testing.assert_allclose(value_of("np.sin(pi*x)/2 - -x**2", x), np.sin(np.pi * x) / 2 + x**2)
    for wrong in ("__import__('os')", "x.dtype", "y", "x +", "abs(x, x)"):
        with pytest.raises(VectorError, match="the function"):
            value_of(wrong, x)


def test_a_membrane_that_forgets_within_a_tick_is_another(monkeypatch):
    """The rule of the population is what makes the spikes equal, not its constants."""
    real = vector_nengo.NengoNeuron.population

    def changed(self, *args, **kwargs):
        population = real(self, *args, **kwargs)
        object.__setattr__(population, "rule", "euler")
        return population

    monkeypatch.setattr(vector_nengo.NengoNeuron, "population", changed)
    found = next(NengoCase(FOLDER / "O6_nengo_lif.h5").mismatches())
    assert found.variable in ("spikes", "v_first100")
