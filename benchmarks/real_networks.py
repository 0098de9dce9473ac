"""Run real networks of other projects in float and on the chip, against what is known of them.

    python benchmarks/real_networks.py FOLDER [--json]

FOLDER is laid out like the project's shared networks: one folder a network. Names that begin with
nir_lif, nir_braille, nir_scnn_nmnist, loihi_ (.net files of lava-dl) or ranc_ say the kind; a ``case.toml``
in it says or overrides it.
Exit code 0 if all that is judged holds, 4 if not, 2 for bad input.
"""

import argparse
import difflib
import sys
import tomllib
from pathlib import Path
from typing import Any

from real_cases import RUNS, BadCaseError, Outcome

from emulator.chip import Chip
from emulator.chip_file import load_chip
from spikefab.telling import run_patiently
from spikefab.wording import as_json

KINDS = {
    "nir_lif": "lif-csv",
    "nir_braille": "braille-raster",
    "nir_scnn_nmnist": "nmnist",
    "loihi_": "net-mnist",
    "ranc_": "ranc",
}
KEYS: dict[str, Any] = {
    "kind": str, "model": str, "input": str, "expected": str, "labels": str, "dt": int | float,
    "reset": str, "compare": str, "lag": int, "grid": list | str, "output_core": list | str, "ticks": int,
    "accuracy": int | float, "population": str, "input_shape": list,
}  # fmt: skip


def read_case(folder: Path) -> dict[str, Any]:
    """Read case.toml if there is one; the folder's name says the rest."""
    case: dict[str, Any] = {}
    path = folder / "case.toml"
    if path.exists():
        try:
            case = tomllib.loads(path.read_text())
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise BadCaseError(f"{path}: no valid TOML ({error})") from None
        unknown = sorted(set(case) - KEYS.keys())
        if unknown:
            raise BadCaseError(f"{path}: unknown keys {', '.join(unknown)}")
        for key, value in case.items():
            if not isinstance(value, KEYS[key]) or isinstance(value, bool):
                raise BadCaseError(f"{path}: {key} must be {KEYS[key]}, but is {value!r}")
        if case.get("lag", 0) < 0:
            raise BadCaseError(f"{path}: lag must not be negative, but is {case['lag']}")
        if "kind" in case and case["kind"] not in RUNS:
            near = difflib.get_close_matches(case["kind"], list(RUNS), n=1)
            raise BadCaseError(
                f"{path}: kind {case['kind']!r} is none of {', '.join(RUNS)}"
                + (f"; did you mean {near[0]!r}?" if near else "")
            )
    for start, kind in KINDS.items():
        if folder.name.startswith(start):
            case.setdefault("kind", kind)
    return case


def show(outcome: Outcome) -> None:
    for check in outcome.checks:
        verdict = "equal" if check["holds"] else "DIFFERS"
        expected, got = check["expected"], check["got"]
        print(f"{outcome.name}: {check['what']}: expected {expected}, got {got}: {verdict}")
    for what, value in outcome.figures.items():
        print(f"{outcome.name}: {what}: {value}")


def run_folder(folder: Path, chip: Chip) -> Outcome | None:
    """Run one network; None if its kind is not known."""
    case = read_case(folder)
    if case.get("kind") not in RUNS:
        return None
    outcome = Outcome(folder.name, case["kind"])
    RUNS[case["kind"]](folder, case, chip, outcome)
    return outcome


def is_network(folder: Path) -> bool:
    """Whether a folder is meant as a network, by its name or its case."""
    return folder.resolve().name.startswith(tuple(KINDS)) or (folder / "case.toml").exists()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--chip", default="loihi")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    if not args.folder.is_dir():
        print(f"real_networks: {args.folder}: no such folder", file=sys.stderr)
        return 2
    outcomes, skipped, errors = [], [], []
    try:
        chip = load_chip(args.chip)
    except ValueError as error:
        print(f"real_networks: {error}", file=sys.stderr)
        return 2
    folders = sorted(path for path in args.folder.iterdir() if path.is_dir())
    if not folders or (is_network(args.folder) and not any(map(is_network, folders))):
        print(
            f"real_networks: no known network in {args.folder}; give its parent?", file=sys.stderr
        )
        return 2
    for folder in folders:
        try:
            outcome = run_folder(folder, chip)
        except (ValueError, OSError) as error:
            errors.append(str(error))
            print(f"real_networks: {error}", file=sys.stderr)
            continue
        if outcome is None:
            skipped.append(folder.name)
            print(
                f"{folder.name}: skipped, kind not known",
                file=sys.stderr if args.json else sys.stdout,
            )
            continue
        outcomes.append(outcome)
        if not args.json:
            show(outcome)
    holds = not errors and all(outcome.holds for outcome in outcomes)
    if args.json:
        networks = [{**vars(outcome), "holds": outcome.holds} for outcome in outcomes]
        found = {"holds": holds, "networks": networks, "skipped": skipped, "errors": errors}
        print(as_json(found))
    if errors:
        return 2
    return 0 if holds else 4


def interruptible() -> None:
    """Leave with the exit code of `main`, or 130."""
    try:
        code = main()
    except KeyboardInterrupt:
        print("real_networks: interrupted", file=sys.stderr)
        code = 130
    sys.exit(code)


if __name__ == "__main__":
    run_patiently(interruptible)
