"""The rooms import one way, and heavy libraries come in through as few doors as possible."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parent.parent
ROOMS = ("traces", "emulator", "mapping", "spikefab")
DOORS = {
    "numba": {"traces/jit.py", "traces/intrinsics.py"},
    "simpy": {
        "emulator/engine.py", "emulator/simulation.py",
        "emulator/noc/simulated.py", "emulator/noc/simulated_tick.py",
    },
    "h5py": {
        "emulator/program_file.py", "traces/bundle.py", "traces/content.py", "traces/reports.py",
        "traces/salvage.py", "traces/seal.py", "traces/tables.py", "traces/trace.py", "traces/trace_file.py", "traces/walk.py",
        "traces/writer.py", "traces/export/sonata_file.py", "mapping/netx_file.py",
        "mapping/nir_file.py", "mapping/stimuli/recorded.py", "mapping/vector_case.py",
        "mapping/vector_nengo.py",
        "spikefab/data.py",
    },
    "nir": {"mapping/nir_file.py", "mapping/nir_import.py"},
    "pydantic": {
        "emulator/chip.py", "emulator/chip_bounds.py", "emulator/chip_cores.py", "emulator/chip_costs.py",
        "emulator/chip_fabric.py", "emulator/chip_faults.py", "emulator/chip_file.py",
        "emulator/chip_tables.py", "emulator/without.py",
    },
    "pymetis": {"mapping/layout/metis.py"},
    "matplotlib": {"spikefab/figures.py", "spikefab/traffic_figures.py"},
    "torch": set(),
}  # fmt: skip


def imported(path):
    """Top-level names of everything that a file imports, anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.module.split(".")[0]


def files(room):
    return sorted((CHECKOUT / room).rglob("*.py"))


@pytest.mark.parametrize("room", ROOMS)
def test_rooms_import_only_what_lies_below(room):
    above = ROOMS[ROOMS.index(room) + 1 :]
    wrong = [(f.name, name) for f in files(room) for name in imported(f) if name in above]
    assert wrong == []


@pytest.mark.parametrize("library", DOORS)
def test_heavy_libraries_have_few_doors(library):
    found = {
        str(f.relative_to(CHECKOUT))
        for room in ROOMS
        for f in files(room)
        if library in imported(f)
    }
    assert found == DOORS[library]


def test_help_imports_nothing_heavy():
    code = (
        "import sys, spikefab.cli; "
        "print(sorted({'numba', 'h5py', 'nir', 'numpy', 'matplotlib'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=CHECKOUT
    )
    assert done.stdout.strip() == "[]"


def test_public_names_stay_what_they_are_whatever_is_imported_first():
    code = (
        "import spikefab, spikefab.run, types\n"
        "names = [n for n in spikefab.__all__ if n != '__version__']\n"
        "seen = [[getattr(spikefab, n) for n in names] for _ in range(2)]\n"
        "assert seen[0] == seen[1]\n"
        "print([n for n in names if isinstance(getattr(spikefab, n), types.ModuleType)])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=CHECKOUT
    )
    assert done.stdout.strip() == "[]"
