"""Vectors recorded from published bit-accurate models, loaded straight into a program.

One HDF5 file holds a small network in integers, its input, and what every state and spike must be
at every step. Nothing is quantised: the weight rules of the model bring the stored weights into its
format, and the program runs on the chip preset that is configured like the model.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emulator.engine import Engine
from mapping.drive import Drive
from mapping.linear import Dense
from mapping.network import Input, Network, Population, Projection
from mapping.reference import prepare, simulate
from mapping.vector_case import VARIABLES, Case, Mismatch, Vector, VectorError, oracle_of
from mapping.vector_models import MODELS
from mapping.vector_nengo import NengoCase
from mapping.vector_sanafe import SanafeCase
from mapping.vector_steps import sanafe_mismatches

Array = NDArray[Any]
Seen = Mapping[tuple[str, str], Array]

__all__ = ["Mismatch", "Vector", "VectorError", "first_mismatch", "mismatches", "read_vector"]


def read_vector(path: str | Path) -> Vector:
    """Read a case of integers and build its program.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    VectorError
        If it is broken, or recorded from a model that no preset is configured like.
    """
    with _told(path):
        if _is_sanafe(path):
            return SanafeCase.read(Path(path)).vector()
        if _is_nengo(path):
            raise VectorError(f"{path}: recorded from Nengo in float, so there is no program of it")
        return _loaded(Case(Path(path)))


def mismatches(path: str | Path) -> Iterator[Mismatch]:
    """Run a case step by step and compare every value.

    Integers run through the engine, on cores, and so do SANA-FE's floats, whose energies and times
    are compared, too; what Lava and Nengo recorded in float runs through the float reference, in
    chip timing.

    Yields
    ------
    Mismatch
        The first differing value of each step, in the order current, membrane, spikes.

    Raises
    ------
    FileNotFoundError, VectorError
        As `read_vector` does.
    """
    with _told(path):
        if _is_sanafe(path):
            yield from sanafe_mismatches(SanafeCase.read(Path(path)))
            return
        if _is_nengo(path):
            yield from NengoCase(Path(path)).mismatches()
            return
        case = Case(Path(path))
        if case.root.get("run_tag") == "floating_pt":
            rows = _float_rows(case)
        else:
            vector = _loaded(case)
            if vector.weights_differ is not None:
                yield vector.weights_differ
            rows = _engine_rows(vector)
        for step, seen in enumerate(rows):
            found = _first_difference(step, case.expected, seen)
            if found is not None:
                yield found


def first_mismatch(path: str | Path) -> Mismatch | None:
    """Return the first value of a case that differs, or None if all are equal; see `mismatches`."""
    return next(mismatches(path), None)


@contextmanager
def _told(path: str | Path) -> Iterator[None]:
    """Turn what goes wrong with a file into one error that names it."""
    if not Path(path).exists():
        raise FileNotFoundError(f"{path}: there is no such file")
    try:
        yield
    except VectorError:
        raise
    except (
        OSError,
        KeyError,
        ValueError,
        TypeError,
        IndexError,
        AttributeError,
        ArithmeticError,
    ) as error:
        raise VectorError(f"{path}: no vector file, or a damaged one ({error})") from error


def _is_sanafe(path: str | Path) -> bool:
    return oracle_of(Path(path)).startswith("O5")


def _is_nengo(path: str | Path) -> bool:
    return oracle_of(Path(path)).startswith("O6")


def _loaded(case: Case) -> Vector:
    kind = str(case.root.get("oracle", ""))[:2]
    if kind not in MODELS:
        raise VectorError(
            f"{case.path}: recorded from {case.root.get('oracle')!r}; known are "
            f"{', '.join([*sorted(MODELS), 'O5', 'O6'])}"
        )
    return MODELS[kind](case)


def _engine_rows(vector: Vector) -> Iterator[Seen]:
    program = vector.program
    engine = Engine(program, vector.chip)
    for block in engine.steps(vector.stimulus, vector.n_steps):
        state = engine.state
        spikes = np.zeros(program.n_neurons, np.int64)
        spikes[block.spike_neuron] = block.spike_payload
        whole = {
            "u": state["current"][0], "i_syn": state["current"][0],
            "i_syn2": state["current"][-1], "v": state["membrane"], "spikes": spikes,
        }  # fmt: skip
        yield {
            (name, variable): whole[variable][program.neurons_of(name)]
            for name, variable in vector.expected
        }


def _float_rows(case: Case) -> Iterator[Seen]:
    """Lava's LIFRefractory in floating point: ticks are the unit of time, a bias is a leak."""
    populations = []
    for name, given in case.populations.items():
        if str(given["model"]) not in ("LIF", "LIFRefractory"):
            raise VectorError(f"{case.path}: {given['model']} in float is not known")
        du, dv = (np.asarray(given[key], np.float64) for key in ("du", "dv"))
        populations.append(
            Population(
                name=name,
                shape=(case.size(name),),
                threshold=given["vth"],
                tau_syn_s=1 / du,
                tau_mem_s=1 / dv,
                v_leak=np.asarray(given["bias_mant"]) / dv,
                refractory_s=given.get("refractory_period", 0),
            )
        )
    network = Network(
        dt_s=1.0,
        inputs=tuple(Input(name=name, shape=(case.size(name),)) for name in case.inputs),
        populations=tuple(populations),
        projections=tuple(
            Projection(
                source=str(p["src"]),
                target=str(p["dst"]),
                linear=Dense(
                    weight=p["weights"],
                    pre_shape=(p["weights"].shape[1],),
                    post_shape=(p["weights"].shape[0],),
                ),
            )
            for p in case.projections
        ),
        outputs=tuple(case.populations),
    )
    spikes = {name: (rows != 0).astype(np.int64) for name, rows in case.inputs.items()}
    run = simulate(
        prepare(network, timing="chip"),
        Drive(n_ticks=case.n_steps, spikes=spikes),
        record=tuple(case.populations),
    )
    seen: dict[tuple[str, str], Array] = {}
    for name in case.populations:
        raster = np.zeros((case.n_steps, case.size(name)), np.int64)
        raster[run.spikes[name]] = 1
        seen |= {
            (name, "u"): run.states[name, "i"],
            (name, "v"): run.states[name, "v"],
            (name, "spikes"): raster,
        }
    for step in range(case.n_steps):
        yield {key: rows[step] for key, rows in seen.items()}


def _first_difference(step: int, expected: Seen, seen: Seen) -> Mismatch | None:
    for (name, variable), rows in sorted(expected.items(), key=_in_order):
        got = seen[name, variable]
        wrong = np.flatnonzero(got != rows[step])
        if wrong.size:
            n = int(wrong[0])
            return Mismatch(step, name, n, variable, rows[step][n].item(), got[n].item())
    return None


def _in_order(item: tuple[tuple[str, str], Array]) -> tuple[int, str]:
    (name, variable), _ = item
    return VARIABLES.index(variable), name
